//! SPADE on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, HIDDEN, MapMut, Scratch, Source, Spade};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use super::CachedSpade;
use crate::error::Result;
use crate::label::LabelArea;

/// Packs SPADE with 3x3 kernels.
pub(in super::super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let mut shared = weights.get("mlp_shared.0.weight")?;
    let mut classes = config.modulation.labels;
    if config.modulation.edges {
        shared = at_edges(&shared, classes).into();
        classes *= 2;
    }
    let bias = weights.get("mlp_shared.0.bias")?;
    let [gamma, gamma_bias] = [weights.get("mlp_gamma.weight")?, weights.get("mlp_gamma.bias")?];
    let [beta, beta_bias] = [weights.get("mlp_beta.weight")?, weights.get("mlp_beta.bias")?];
    let sizes = [classes, config.channels];
    let spade = Spade::new(config.isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias);
    Ok(Arc::new(Packed { spade: Arc::new(spade), channels: config.channels, low_memory: config.low_memory }))
}

#[derive(Debug)]
struct Packed {
    spade: Arc<Spade>,
    channels: usize,
    low_memory: bool,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(CachedSpade::new(Arc::clone(&self.spade), self.low_memory))
    }

    fn bytes(&self) -> usize {
        self.spade.bytes()
    }

    fn scratch(&self, size: [usize; 2]) -> Scratch {
        Spade::scratch(HIDDEN, self.channels, size)
    }
}

impl CpuSession for CachedSpade {
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        self.run(x, affine, labels, out);
    }
}

/// Converts a weight `[out, labels + 1, 9]`, whose last input channel is the instance edge, to `[out, 2 labels, 9]`:
/// first the labels of pixels without an edge, then those of pixels with one, to which the weight of the edge is
/// added.
fn at_edges(weight: &[f32], labels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(2 * weight.len());
    for row in weight.chunks_exact((labels + 1) * 9) {
        let (plain, edge) = row.split_at(labels * 9);
        out.extend(plain);
        out.extend(plain.chunks_exact(9).flat_map(|label| label.iter().zip(edge).map(|(label, edge)| label + edge)));
    }
    out
}
