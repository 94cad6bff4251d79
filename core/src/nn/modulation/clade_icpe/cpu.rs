//! CLADE-ICPE on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, LEAKY_SLOPE, MapMut, Source, for_each_run};

use super::super::clade::CpuEdges;
use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::error::Result;
use crate::label::LabelArea;

/// Packs CLADE-ICPE.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let factor = |layer: &str| -> Result<[f32; 3]> {
        let weight = weights.get(&format!("class_specified_affine.{layer}.weight"))?;
        let bias = weights.get(&format!("class_specified_affine.{layer}.bias"))?;
        let at = |values: &[f32], index: usize| values.get(index).copied().unwrap_or_default();
        Ok([at(&weight, 0), at(&weight, 1), 1.0 + at(&bias, 0)])
    };
    Ok(Arc::new(Packed {
        scale: weights.get("class_specified_affine.weight")?.into_owned(),
        shift: weights.get("class_specified_affine.bias")?.into_owned(),
        scale_factor: factor("dist_conv_w")?,
        shift_factor: factor("dist_conv_b")?,
        edges: CpuEdges::pack(weights, config.isa)?,
    }))
}

#[derive(Debug)]
struct Packed {
    /// `[labels, channels]` each.
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Weights of the vertical and the horizontal distance, then the bias plus 1.
    scale_factor: [f32; 3],
    shift_factor: [f32; 3],
    edges: Option<CpuEdges>,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(Session(self))
    }
}

#[derive(Debug)]
struct Session(Arc<Packed>);

impl CpuSession for Session {
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        let packed = &*self.0;
        let channels = affine.scale.len();
        let (features, extra) = out.split_channels(x.channels());
        let [vertical, horizontal] = labels.distances();
        let factors = |[v, h, one]: [f32; 3]| -> Vec<f32> {
            vertical.iter().zip(&horizontal).map(|(dy, dx)| dy * v + dx * h + one).collect()
        };
        let (scale_factors, shift_factors) = (factors(packed.scale_factor), factors(packed.shift_factor));
        let ids = labels.ids();
        let slope = if affine.leaky { LEAKY_SLOPE } else { 1.0 };
        for_each_run(x, features, |channel, offset, x, out| {
            let column = |bank: &[f32]| -> Vec<f32> { bank.iter().skip(channel).step_by(channels).copied().collect() };
            let (weight, bias) = (column(&packed.scale), column(&packed.shift));
            let (norm_scale, norm_shift) = (affine.scale[channel], affine.shift[channel]);
            let places = ids[offset..].iter().zip(scale_factors[offset..].iter().zip(&shift_factors[offset..]));
            for ((out, x), (&id, (fw, fb))) in out.iter_mut().zip(x).zip(places) {
                let (w, b) = (weight.get(usize::from(id)), bias.get(usize::from(id)));
                let value = (x * norm_scale + norm_shift) * (w.unwrap_or(&0.0) * fw) + b.unwrap_or(&0.0) * fb;
                *out = value.max(slope * value);
            }
        });
        if let Some(edges) = packed.edges {
            edges.run(labels, affine.leaky, extra);
        }
    }
}
