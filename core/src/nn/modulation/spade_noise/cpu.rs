//! SPADE with noise on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, MapMut, Scratch, Source};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use super::super::spade;
use crate::error::Result;
use crate::label::LabelArea;

/// Packs SPADE and the strength of the noise.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let strength = weights.get("noise_var")?.into_owned().into();
    Ok(Arc::new(Packed { spade: spade::pack(weights, config)?, strength }))
}

#[derive(Debug)]
struct Packed {
    spade: Arc<dyn CpuModulation>,
    /// `[channels]`
    strength: Arc<[f32]>,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(Session { spade: Arc::clone(&self.spade).session(), strength: Arc::clone(&self.strength) })
    }

    fn bytes(&self) -> usize {
        self.spade.bytes()
    }

    fn scratch(&self, size: [usize; 2]) -> Scratch {
        self.spade.scratch(size)
    }
}

#[derive(Debug)]
struct Session {
    spade: Box<dyn CpuSession>,
    strength: Arc<[f32]>,
}

impl CpuSession for Session {
    fn noise_strength(&self) -> Option<&[f32]> {
        Some(&self.strength)
    }

    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        self.spade.modulate(x, affine, labels, out);
    }
}
