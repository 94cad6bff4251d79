//! CLADE with positions on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, LEAKY_SLOPE, MapMut, Source, fill_rows};

use super::super::clade::pack_table;
use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::error::Result;
use crate::label::LabelArea;

/// Packs CLADE with positions.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let clade = pack_table("class_positioned_affine", weights, config)?;
    Ok(Arc::new(Packed { clade, edges: usize::from(config.modulation.edges) }))
}

#[derive(Debug)]
struct Packed {
    clade: Arc<dyn CpuModulation>,
    /// Channels of instance edges.
    edges: usize,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(Session { clade: Arc::clone(&self.clade).session(), edges: self.edges })
    }
}

#[derive(Debug)]
struct Session {
    clade: Box<dyn CpuSession>,
    edges: usize,
}

impl CpuSession for Session {
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        let (features, positions) = out.split_channels(x.channels() + self.edges);
        self.clade.modulate(x, affine, labels, features);
        let slope = if affine.leaky { LEAKY_SLOPE } else { 1.0 };
        let distances = labels.distances();
        fill_rows(positions, |channel, offset, out| {
            let values = &distances[channel][offset..];
            out.iter_mut().zip(values).for_each(|(to, &value)| *to = value.max(slope * value));
        });
    }
}
