//! CLADE on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, Clade};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use super::CpuEdges;
use crate::error::Result;
use crate::label::LabelScale;

/// Packs CLADE.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let [scale, shift] = [weights.get("class_specified_affine.weight")?, weights.get("class_specified_affine.bias")?];
    let clade = Clade::new(config.isa, &scale, &shift, [config.modulation.labels, config.channels]);
    Ok(Arc::new(Packed { clade, edges: CpuEdges::pack(weights, config.isa)? }))
}

#[derive(Debug)]
struct Packed {
    clade: Clade,
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
    fn modulate(&mut self, x: &[f32], affine: Affine<'_>, scale: &LabelScale, out: &mut [f32]) {
        let (features, extra) = out.split_at_mut(x.len());
        self.0.clade.run(scale.ids(), x, affine, features);
        if let Some(edges) = self.0.edges {
            edges.run(scale, affine.leaky, extra);
        }
    }
}
