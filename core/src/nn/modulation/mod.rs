//! Modulation: scale and shift per pixel, read off the label map.
//!
//! A new kind of modulation is one new file here, one variant of [`Modulation`] and one of [`ModulationKind`].

mod clade;
mod spade;

pub use clade::Clade;
pub use spade::Spade;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Init, Layout, Mode, NormKind, ParamFreeNorm};

/// Which modulation a network uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModulationKind {
    /// Scale and shift are convolved from the label map with square kernels of this side (odd, the papers use 3 and 5).
    Spade {
        /// Side of the kernels.
        kernel: usize,
    },
    /// One scale and one shift per class and channel.
    Clade,
}

/// Turns a normalised feature map into a modulated one.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has a few dozen of them")]
pub enum Modulation {
    /// See [`Spade`].
    Spade(Spade),
    /// See [`Clade`].
    Clade(Clade),
}

/// Normalise, then scale and shift each pixel by what its place in the label map says.
#[derive(Module, Debug)]
pub struct ModulatedNorm {
    param_free_norm: ParamFreeNorm,
    modulation: Modulation,
}

impl ModulatedNorm {
    /// A norm over `channels` channels for maps with `label_channels` label channels.
    pub fn new(init: &mut Init, kind: ModulationKind, norm: NormKind, channels: usize, label_channels: usize) -> Self {
        let param_free_norm = ParamFreeNorm::new(init, norm, channels);
        let modulation = match kind {
            ModulationKind::Spade { kernel } => Modulation::Spade(Spade::new(init, kernel, channels, label_channels)),
            ModulationKind::Clade => Modulation::Clade(Clade::new(init, channels, label_channels)),
        };
        Self { param_free_norm, modulation }
    }

    /// Shape in, shape out: `[batch, channels, height, width]`.
    pub fn forward(&self, x: Tensor<4>, layout: &Layout, mode: Mode) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let normalized = self.param_free_norm.forward(x, mode);
        let level = layout.at(height, width);
        match &self.modulation {
            Modulation::Spade(spade) => spade.modulate(normalized, &level, layout.lookup()),
            Modulation::Clade(clade) => clade.modulate(normalized, &level, layout.lookup()),
        }
    }
}
