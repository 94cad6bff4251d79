//! The description of a modulation: everything but its arithmetic.

use std::fmt::Debug;

use super::cpu::PackFn;
use crate::error::{Error, Result};
use crate::nn::NormKind;
use crate::tensors::Tensors;

/// Configuration shared by the modulated norms of a block.
#[derive(Clone, Copy, Debug)]
pub struct ModulationConfig {
    /// Which dimensions features are normalised over.
    pub norm: NormKind,
    /// Number of label channels.
    pub labels: usize,
    /// Whether a channel of instance edges follows the label channels.
    pub edges: bool,
    /// Length of the style vector of a class; 0 in blocks without styles.
    pub style: usize,
}

impl ModulationConfig {
    /// Channels of the semantic input: labels and edges.
    pub fn semantics(&self) -> usize {
        self.labels + usize::from(self.edges)
    }
}

/// Inputs that a modulation needs besides label maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A style vector for each class.
    pub styles: bool,
    /// A noise map for each norm.
    pub noise: bool,
    /// The position of each pixel within its object.
    pub distances: bool,
}

impl Needs {
    /// The union of both.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            styles: self.styles || other.styles,
            noise: self.noise || other.noise,
            distances: self.distances || other.distances,
        }
    }
}

/// Describes a modulation: its names, its limits, and how to recognise it in a checkpoint. Each folder of
/// [`modulation`](super) has a type that implements this trait; its fields are the parameters of the
/// [`ModulationKind`](super::ModulationKind).
pub(crate) trait Facts: Debug {
    /// Its name in the papers, such as `SPADE 3x3`.
    fn label(&self) -> String;

    /// Its name on the command line, such as `spade`.
    fn name(&self) -> &'static str;

    /// A one-line description for help texts.
    fn summary(&self) -> &'static str;

    /// Inputs it needs besides label maps.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Whether the block with this official name has styles, for modulations that need them.
    fn styles_block(&self, _block: &str) -> bool {
        true
    }

    /// Checks its own parameters, and that it supports the configuration of the network.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value and its range.
    fn validate(&self, _config: &ModulationConfig) -> Result<()> {
        Ok(())
    }

    /// How far the labels that gamma and beta of a pixel depend on are away from it, in cells.
    fn reach(&self) -> usize {
        0
    }

    /// Number of channels that it appends to the features.
    fn extra_channels(&self, _config: &ModulationConfig) -> usize {
        0
    }

    /// Prefix of its norms in the papers' code, before `_0`, `_1` and `_s`.
    fn norm_prefix(&self) -> &'static str {
        "norm"
    }

    /// The function that packs its weights for the CPU engine; `None` if the engine does not support it.
    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        None
    }

    /// Infers the number of input channels from a checkpoint with this modulation.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor is missing or has the wrong number of dimensions.
    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs>;

    /// Infers the length of style vectors from a checkpoint with this modulation.
    ///
    /// # Errors
    ///
    /// Same as [`inputs`](Self::inputs).
    fn style_length(&self, _block: BlockTensors<'_>) -> Result<Option<usize>> {
        Ok(None)
    }

    /// Detects this modulation in a block of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor that identifies it has the wrong number of dimensions.
    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>>
    where
        Self: Sized;

    /// The name of a layer in the papers' code. `path` is the layer's path within the Burn module; the result is the
    /// part of the name after that of the norm, empty for the norm itself. `None` if the path is not one of this
    /// modulation.
    fn official_name(path: &[&str]) -> Option<String>
    where
        Self: Sized;
}

/// Input channels as inferred from the tensors of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// The number of label channels, and whether a channel of instance edges follows them.
    Labels(usize, bool),
    /// The total number of channels only.
    Semantics(usize),
}

/// The tensors of a checkpoint that belong to one block of the generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockTensors<'a> {
    pub(crate) tensors: &'a Tensors,
    /// Official name of the block.
    pub(crate) block: &'a str,
}

impl BlockTensors<'_> {
    /// Whether a tensor exists; `name` starts below the block.
    pub(crate) fn has(self, name: &str) -> bool {
        self.tensors.get(&format!("{}.{name}", self.block)).is_some()
    }

    /// The shape of a required tensor with `N` dimensions; `name` starts below the block.
    pub(crate) fn shape<const N: usize>(self, name: &str) -> Result<[usize; N]> {
        shape_of(self.tensors, &format!("{}.{name}", self.block))
    }
}

/// The shape of a required tensor with `N` dimensions.
///
/// # Errors
///
/// [`Error::Model`] if it is missing or has another number of dimensions.
pub(crate) fn shape_of<const N: usize>(tensors: &Tensors, name: &str) -> Result<[usize; N]> {
    let data = tensors.get(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
    let shape = data.shape();
    shape.try_into().map_err(|_| Error::Model(format!("tensor {name:?} has shape {shape:?}: it needs {N} sides")))
}
