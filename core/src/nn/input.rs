//! The input of a generator.

use burn::tensor::Tensor;

use super::{Layout, Noise, Share};

/// The complete input of a generator: label maps, styles and noise.
#[derive(Clone, Debug)]
pub struct GeneratorInput {
    /// The label maps.
    pub layout: Layout,
    /// Latent vectors, `[batch, length]`, for networks with a variational encoder.
    pub latent: Option<Tensor<2>>,
    /// Styles, for networks with a style per class.
    pub styles: Option<BlockStyles>,
    /// Features of each pixel, `[batch, length, height, width]`, in place of those that the styles give it, for pix2pixHD with
    /// instance features.
    pub features: Option<Tensor<4>>,
    /// Collages, `[batch, 4, height, width]`, for networks that take one: colours in -1 to 1 and 0 where they are missing, and 1 where
    /// they are.
    pub collage: Option<Tensor<4>>,
    /// Noise, for networks that use it.
    pub noise: Noise,
    /// Seed of dropout, for networks that have it; `None` for no dropout.
    pub dropout: Option<u64>,
    /// Which pictures of a batch these are, if several processes hold it together.
    pub share: Share,
}

/// Style vectors of a batch of pictures, `[batch, classes, length]`. Row `j` is the style of class `j`; a row of
/// zeros means that the style of the class is unknown (Zhu et al. 2020, §3).
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one per generated batch")]
pub enum BlockStyles {
    /// The same styles for every block.
    All(Tensor<3>),
    /// Separate styles for each block, first to last: style crossover (Zhu et al. 2020).
    Each(Vec<Tensor<3>>),
}

impl BlockStyles {
    /// The styles of a block; none if there are fewer blocks.
    pub(crate) fn of(&self, block: usize) -> Option<&Tensor<3>> {
        match self {
            Self::All(styles) => Some(styles),
            Self::Each(styles) => styles.get(block),
        }
    }
}

impl GeneratorInput {
    /// Label maps only: no style, no noise.
    pub fn new(layout: Layout) -> Self {
        let (noise, share) = (Noise::Zero, Share::default());
        Self { layout, latent: None, styles: None, features: None, collage: None, noise, dropout: None, share }
    }

    /// Sets the latent vectors.
    #[must_use]
    pub fn latent(self, latent: Tensor<2>) -> Self {
        Self { latent: Some(latent), ..self }
    }

    /// Sets the styles.
    #[must_use]
    pub fn styles(self, styles: BlockStyles) -> Self {
        Self { styles: Some(styles), ..self }
    }

    /// Sets the features of each pixel.
    #[must_use]
    pub fn features(self, features: Tensor<4>) -> Self {
        Self { features: Some(features), ..self }
    }

    /// Sets the collages.
    #[must_use]
    pub fn collage(self, collage: Tensor<4>) -> Self {
        Self { collage: Some(collage), ..self }
    }

    /// Sets the noise.
    #[must_use]
    pub fn noise(self, noise: Noise) -> Self {
        Self { noise, ..self }
    }

    /// Sets features of the networks that have dropout to zero at random, as this seed draws them. For training.
    #[must_use]
    pub fn dropout(self, seed: u64) -> Self {
        Self { dropout: Some(seed), ..self }
    }

    /// Makes this a part of a batch that several processes hold together: batch norms in training have the statistics of the
    /// whole, and noise and dropout are those of these pictures.
    #[must_use]
    pub fn share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// The part of the input that belongs to one block.
    pub(crate) fn of_block(&self, block: usize) -> BlockInput<'_> {
        BlockInput {
            layout: &self.layout,
            noise: &self.noise,
            share: &self.share,
            style: self.styles.as_ref().and_then(|styles| styles.of(block)),
        }
    }
}

/// The input of one block besides the features.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockInput<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) noise: &'a Noise,
    pub(crate) share: &'a Share,
    /// `[batch, classes, length]`
    pub(crate) style: Option<&'a Tensor<3>>,
}
