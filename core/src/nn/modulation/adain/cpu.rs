//! Per-class AdaIN on the CPU engine. Once the style is known, it runs the kernel of CLADE.

use std::sync::Arc;

use semsynth_kernels::{Affine, Clade, Isa, MapMut, Source, times};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::error::Result;
use crate::label::LabelArea;

/// Packs AdaIN. Its tables are computed when the style is set.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    Ok(Arc::new(Packed {
        isa: config.isa,
        classes: config.modulation.labels,
        channels: config.channels,
        weight: weights.get("style_affine.weight")?.into_owned(),
        bias: weights.get("style_affine.bias")?.into_owned(),
    }))
}

#[derive(Debug)]
struct Packed {
    isa: Isa,
    classes: usize,
    channels: usize,
    /// `[2 channels, length]`
    weight: Vec<f32>,
    /// `[2 channels]`
    bias: Vec<f32>,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        let (style, clade) = (None, self.clade(None));
        Box::new(Session { packed: self, style, clade })
    }
}

#[derive(Debug)]
struct Session {
    packed: Arc<Packed>,
    style: Option<Vec<f32>>,
    clade: Clade,
}

impl CpuSession for Session {
    fn set_style(&mut self, _weights: &NormWeights<'_>, style: Option<&[f32]>) -> Result<()> {
        if self.style.as_deref() != style {
            self.clade = self.packed.clade(style);
            self.style = style.map(<[f32]>::to_vec);
        }
        Ok(())
    }

    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        self.clade.run_rows(&labels.ids(), x, affine, out);
    }
}

impl Packed {
    /// Scale and shift per class for a style `[classes, length]`. Without a style, features are left unchanged.
    fn clade(&self, style: Option<&[f32]>) -> Clade {
        let (mut gamma, mut beta) = (Vec::new(), Vec::new());
        let mut both = vec![0.0; 2 * self.channels];
        for class in 0..self.classes {
            if let Some(style) = style {
                let length = style.len() / self.classes;
                times(&self.weight, &style[class * length..][..length], &mut both);
                both.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
            }
            gamma.extend(both[..self.channels].iter().map(|gamma| 1.0 + gamma));
            beta.extend(&both[self.channels..]);
        }
        Clade::new(self.isa, &gamma, &beta, [self.classes, self.channels])
    }
}
