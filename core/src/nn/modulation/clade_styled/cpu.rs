//! CLADE with styles on the CPU engine. Once the style is known, it runs the kernel of CLADE.

use std::sync::Arc;

use semsynth_kernels::{Affine, Clade, Isa, MapMut, Source, times};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::error::Result;
use crate::label::LabelArea;

/// Packs the weights. Tables are computed when the style is set.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let get = |name: &str| weights.get(&format!("styled_affine.{name}")).map(std::borrow::Cow::into_owned);
    Ok(Arc::new(Packed {
        isa: config.isa,
        classes: config.modulation.labels,
        channels: config.channels,
        weight: get("weight")?,
        bias: get("bias")?,
        style_weight: get("style_weight")?,
        noise_var: get("noise_var")?,
    }))
}

#[derive(Debug)]
struct Packed {
    isa: Isa,
    classes: usize,
    channels: usize,
    /// `[classes, channels]`
    weight: Vec<f32>,
    /// `[classes, channels]`
    bias: Vec<f32>,
    /// `[classes, 2 channels, length]`
    style_weight: Vec<f32>,
    /// `[channels]`
    noise_var: Vec<f32>,
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

    fn noise_strength(&self) -> Option<&[f32]> {
        Some(&self.packed.noise_var)
    }

    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        self.clade.run_rows(&labels.ids(), x, affine, out);
    }
}

impl Packed {
    /// Scale and shift per class for a style `[classes, length]`; without one, for a style of zeros.
    fn clade(&self, style: Option<&[f32]>) -> Clade {
        let (mut scale, mut shift) = (self.weight.clone(), self.bias.clone());
        if let Some(style) = style {
            let (length, channels) = (style.len() / self.classes, self.channels);
            let mut both = vec![0.0; 2 * channels];
            for class in 0..self.classes {
                let slopes = &self.style_weight[class * 2 * channels * length..][..2 * channels * length];
                times(slopes, &style[class * length..][..length], &mut both);
                let add = |table: &mut [f32], added: &[f32]| {
                    table[class * channels..][..channels].iter_mut().zip(added).for_each(|(to, value)| *to += value);
                };
                add(&mut scale, &both[..channels]);
                add(&mut shift, &both[channels..]);
            }
        }
        Clade::new(self.isa, &scale, &shift, [self.classes, self.channels])
    }
}
