//! What is known of a modulation besides its arithmetic.

use std::fmt::Debug;

use super::cpu::PackFn;
use crate::error::{Error, Result};
use crate::nn::NormKind;
use crate::tensors::Tensors;

/// What the modulated norms of a block have in common.
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

/// What a modulation needs besides label maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A style vector for each class.
    pub styles: bool,
    /// A noise map for each norm.
    pub noise: bool,
    /// Where in its object each pixel lies.
    pub distances: bool,
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            styles: self.styles || other.styles,
            noise: self.noise || other.noise,
            distances: self.distances || other.distances,
        }
    }
}

/// The facts of a modulation: its names, its limits, and how it shows in a checkpoint. Each folder of
/// [`modulation`](super) has a type with them, whose fields are the parameters of its
/// [`ModulationKind`](super::ModulationKind).
pub(crate) trait Facts: Debug {
    /// What the papers call it: `SPADE 3x3`.
    fn label(&self) -> String;

    /// Its name on the command line: `spade`.
    fn name(&self) -> &'static str;

    /// What it is, in one line, for help texts.
    fn summary(&self) -> &'static str;

    /// What it needs besides label maps.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Whether it has style vectors in the block of an index, if it needs some at all.
    fn styles_block(&self, _block: usize) -> bool {
        true
    }

    /// Checks its own parameters, and whether it goes with the network's.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value and its range.
    fn validate(&self, _config: &ModulationConfig) -> Result<()> {
        Ok(())
    }

    /// Channels that come out beyond those that go in.
    fn extra_channels(&self, _config: &ModulationConfig) -> usize {
        0
    }

    /// What the papers' code calls a norm of this kind, before `_0`, `_1` and `_s`.
    fn norm_prefix(&self) -> &'static str {
        "norm"
    }

    /// How its weights are packed for the CPU engine; nothing where the engine does not support it.
    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        None
    }

    /// Reads the number of input channels off a checkpoint that holds it.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor is missing or has another number of sides.
    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs>;

    /// Reads the length of style vectors off a checkpoint that holds it.
    ///
    /// # Errors
    ///
    /// As [`inputs`](Self::inputs).
    fn style_length(&self, _block: BlockTensors<'_>) -> Result<Option<usize>> {
        Ok(None)
    }

    /// Recognises it in a block of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor that it is told by has another number of sides than it must have.
    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>>
    where
        Self: Sized;

    /// The name that the papers' code gives to a layer, from its path within the Burn module: what follows the name of the
    /// norm, empty for the norm itself. Nothing for a path that is none of its own.
    fn official_name(path: &[&str]) -> Option<String>
    where
        Self: Sized;
}

/// Input channels as the tensors of a checkpoint tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Label channels, and whether instance edges follow them.
    Labels(usize, bool),
    /// All of them together.
    Semantics(usize),
}

/// The tensors of a checkpoint that belong to one block of the generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockTensors<'a> {
    pub(crate) tensors: &'a Tensors,
    /// The block's official name.
    pub(crate) block: &'a str,
}

impl BlockTensors<'_> {
    /// Whether there is a tensor, named from the block down.
    pub(crate) fn has(self, name: &str) -> bool {
        self.tensors.get(&format!("{}.{name}", self.block)).is_some()
    }

    /// The shape of a tensor that must be there, with `N` sides.
    pub(crate) fn shape<const N: usize>(self, name: &str) -> Result<[usize; N]> {
        shape_of(self.tensors, &format!("{}.{name}", self.block))
    }
}

/// The shape of a tensor that must be there, with `N` sides.
///
/// # Errors
///
/// [`Error::Model`] if it is missing or has another number of sides.
pub(crate) fn shape_of<const N: usize>(tensors: &Tensors, name: &str) -> Result<[usize; N]> {
    let data = tensors.get(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
    let shape = data.shape();
    shape.try_into().map_err(|_| Error::Model(format!("tensor {name:?} has shape {shape:?}: it needs {N} sides")))
}
