//! What a generator is given.

use burn::tensor::Tensor;

use super::{Layout, Noise};

/// Everything a generator is given: label maps, styles and noise.
#[derive(Clone, Debug)]
pub struct GeneratorInput {
    /// The label maps.
    pub layout: Layout,
    /// The latent vectors of networks with a variational encoder, `[batch, length]`.
    pub latent: Option<Tensor<2>>,
    /// The styles of networks with a style per class.
    pub styles: Option<BlockStyles>,
    /// The noise of networks that add some.
    pub noise: Noise,
}

/// Styles of a batch of pictures, `[batch, classes, length]`: row `j` is how class `j` looks, zeros where nothing is known
/// of it (Zhu et al. 2020, §3).
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a picture has one")]
pub enum BlockStyles {
    /// The same for every block.
    All(Tensor<3>),
    /// One for each block, first to last: style crossover (Zhu et al. 2020).
    Each(Vec<Tensor<3>>),
}

impl BlockStyles {
    /// The styles of a block.
    pub(crate) fn of(&self, block: usize) -> Option<&Tensor<3>> {
        match self {
            Self::All(styles) => Some(styles),
            Self::Each(styles) => styles.get(block),
        }
    }
}

impl GeneratorInput {
    /// Nothing but label maps: no style, no noise.
    pub fn new(layout: Layout) -> Self {
        Self { layout, latent: None, styles: None, noise: Noise::Zero }
    }

    /// With latent vectors.
    #[must_use]
    pub fn latent(self, latent: Tensor<2>) -> Self {
        Self { latent: Some(latent), ..self }
    }

    /// With styles.
    #[must_use]
    pub fn styles(self, styles: BlockStyles) -> Self {
        Self { styles: Some(styles), ..self }
    }

    /// With noise.
    #[must_use]
    pub fn noise(self, noise: Noise) -> Self {
        Self { noise, ..self }
    }

    /// What one block is given of it.
    pub(crate) fn of_block(&self, block: usize) -> BlockInput<'_> {
        BlockInput {
            layout: &self.layout,
            noise: &self.noise,
            style: self.styles.as_ref().and_then(|styles| styles.of(block)),
        }
    }
}

/// What one block is given of a [`GeneratorInput`] besides features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockInput<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) noise: &'a Noise,
    /// `[batch, classes, length]`
    pub(crate) style: Option<&'a Tensor<3>>,
}
