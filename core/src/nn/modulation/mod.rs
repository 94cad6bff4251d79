//! Modulation: scale and shift per pixel, read off the label map.
//!
//! A new kind of modulation is one new file here, one variant of [`Modulation`] and one of [`ModulationKind`].

mod clade;
mod sean;
mod spade;

pub use clade::{Clade, Icpe};
pub use sean::{Sean, StyleBranch};
pub use spade::Spade;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

use super::guide::Surroundings;
use super::{Init, Lookup, Mode, NormKind, ParamFreeNorm, Statistics, as_type_of, gpu, leaky_relu};

/// Which modulation a block uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModulationKind {
    /// Scale and shift are convolved from the label map with square kernels of this side (odd, the papers use 3 and 5).
    Spade {
        /// Side of the kernels.
        kernel: usize,
    },
    /// One scale and one shift per class and channel.
    Clade,
    /// CLADE whose scale and shift also depend on the place within the object (CLADE-ICPE).
    CladeIcpe,
    /// SPADE mixed with scales and shifts from a style per class, over noisy features.
    Sean,
}

/// What the modulated norms of a network have in common.
#[derive(Clone, Copy, Debug)]
pub struct ModulationConfig {
    /// What features are normalised over.
    pub norm: NormKind,
    /// Label channels.
    pub labels: usize,
    /// Whether a channel of instance edges follows the label channels.
    pub edges: bool,
    /// Length of the style vector of a class; 0 where a block has no styles.
    pub style: usize,
}

impl ModulationConfig {
    /// Channels of the semantic input: labels and edges.
    pub fn semantics(&self) -> usize {
        self.labels + usize::from(self.edges)
    }
}

impl ModulationKind {
    /// Channels that come out beyond those that go in.
    pub(super) fn extra_channels(self, config: &ModulationConfig) -> usize {
        match self {
            Self::Clade | Self::CladeIcpe => usize::from(config.edges),
            Self::Spade { .. } | Self::Sean => 0,
        }
    }

    /// Noise maps that a norm draws.
    pub(crate) fn draws(self) -> usize {
        usize::from(self == Self::Sean)
    }
}

/// Gamma (for SPADE and SEAN with the 1 of `1 + gamma`) and beta, `[rows, channels]`, and the row of each pixel.
struct Rows {
    tables: [Tensor<2>; 2],
    ids: Tensor<1, Int>,
}

/// Turns a normalised feature map into a modulated one.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has a few dozen of them")]
pub enum Modulation {
    /// See [`Spade`].
    Spade(Spade),
    /// See [`Clade`].
    Clade(Clade),
    /// See [`Sean`].
    Sean(Sean),
}

/// Normalise, then scale and shift each pixel by what its place in the label map says.
#[derive(Module, Debug)]
pub struct ModulatedNorm {
    param_free_norm: ParamFreeNorm,
    modulation: Modulation,
}

impl ModulatedNorm {
    /// A norm over `channels` channels; `draw` is the number of the noise map it draws, if it draws one.
    pub(super) fn new(
        init: &mut Init,
        kind: ModulationKind,
        config: &ModulationConfig,
        channels: usize,
        draw: usize,
    ) -> Self {
        let param_free_norm = ParamFreeNorm::new(init, config.norm, channels);
        let modulation = match kind {
            ModulationKind::Spade { kernel } => {
                Modulation::Spade(Spade::new(init, kernel, channels, config.semantics()))
            }
            ModulationKind::Clade => Modulation::Clade(Clade::new(init, channels, config, false)),
            ModulationKind::CladeIcpe => Modulation::Clade(Clade::new(init, channels, config, true)),
            ModulationKind::Sean => Modulation::Sean(Sean::new(init, channels, config, draw)),
        };
        Self { param_free_norm, modulation }
    }

    /// `[batch, channels, height, width]` in and out; CLADE with instance edges adds a channel. Followed by the leaky rectifier
    /// if `leaky`.
    pub(super) fn forward(&self, x: Tensor<4>, around: Surroundings<'_>, mode: Mode, leaky: bool) -> Tensor<4> {
        let x = match &self.modulation {
            Modulation::Sean(sean) => sean.disturb(x, around),
            Modulation::Spade(_) | Modulation::Clade(_) => x,
        };
        if let Mode::Eval(statistics) = mode
            && gpu::applies_to(&x)
            && let Some(modulated) = self.by_rows(&x, around, statistics, leaky)
        {
            return modulated;
        }
        let normalized = self.param_free_norm.forward(x, mode);
        let modulated = match &self.modulation {
            Modulation::Spade(spade) => spade.modulate(normalized, around.layout),
            Modulation::Clade(clade) => clade.modulate(normalized, around.layout),
            Modulation::Sean(sean) => sean.modulate(normalized, around),
        };
        if leaky { leaky_relu(modulated) } else { modulated }
    }

    /// The same in one pass over the features, where gamma and beta can be looked up.
    fn by_rows(
        &self,
        x: &Tensor<4>,
        around: Surroundings<'_>,
        statistics: Statistics,
        leaky: bool,
    ) -> Option<Tensor<4>> {
        let [batch, _, height, width] = x.dims();
        let level = around.layout.at(height, width);
        if batch > 1 || around.layout.lookup() == Lookup::Dense {
            return None;
        }
        let Rows { tables, ids } = match &self.modulation {
            Modulation::Spade(spade) => spade.rows(&level),
            Modulation::Clade(clade) => clade.rows(&level),
            Modulation::Sean(sean) => sean.rows(&level, around.style),
        }?;
        let modulated =
            gpu::modulate(x.clone(), self.param_free_norm.mean_and_scale(x, statistics), tables, ids, leaky);
        let edges = match &self.modulation {
            Modulation::Clade(clade) => clade.edges(&level),
            Modulation::Spade(_) | Modulation::Sean(_) => None,
        };
        Some(match edges {
            Some(edges) => {
                let edges = if leaky { leaky_relu(edges) } else { edges };
                Tensor::cat(vec![modulated, as_type_of(x, edges)], 1)
            }
            None => modulated,
        })
    }
}
