//! CLADE on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, Clade, MapMut, Source};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use super::CpuEdges;
use crate::error::Result;
use crate::label::LabelArea;

/// Packs CLADE.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    pack_table("class_specified_affine", weights, config)
}

/// Packs CLADE whose table has another name.
pub(in super::super) fn pack_table(
    table: &str,
    weights: &NormWeights<'_>,
    config: &CpuConfig,
) -> Result<Arc<dyn CpuModulation>> {
    let [scale, shift] = [weights.get(&format!("{table}.weight"))?, weights.get(&format!("{table}.bias"))?];
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
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        let (features, extra) = out.split_channels(x.channels());
        self.0.clade.run_rows(&labels.ids(), x, affine, features);
        if let Some(edges) = self.0.edges {
            edges.run(labels, affine.leaky, extra);
        }
    }
}
