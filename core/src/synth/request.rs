//! The inputs of a synthesis besides the label map.

use crate::collage::Collage;
use crate::label::LabelMap;
use crate::nn::Statistics;
use crate::style::Style;

/// The inputs of a synthesis besides the label map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Seed of all randomness in a model: SEAN's noise, and the style of a model with a latent vector if none is
    /// given. SPADE and CLADE have no random input; they give the same picture for any seed.
    pub seed: u64,
    /// The statistics that batch norms use; `None` uses those the model names.
    pub statistics: Option<Statistics>,
    /// The style. `None` takes the model's first preset, if it has presets; else SEAN needs a style, and a model with a
    /// latent vector samples one from `seed`.
    pub style: Option<Style>,
    /// Other styles for some of SEAN's residual blocks, by block number from 0 (style crossover). Blocks that take no
    /// styles (SEAN's block at full size) ignore theirs.
    pub block_styles: Vec<(usize, Style)>,
    /// Turns off the noise in SEAN's features.
    pub quiet: bool,
    /// World coordinates of the picture's top left pixel: x to the right, y down. SEAN's noise is anchored in the
    /// world, so neighbouring pictures have matching noise at their common border, if these are multiples of the
    /// network's stride.
    pub origin: [i64; 2],
    /// Instance ids, as large as the label map, for models that take instance edges. `None` uses the edges between
    /// classes.
    pub instances: Option<LabelMap>,
    /// A collage as large as the label map, for models that paint from one (SIMS). With the feature `train`, the module
    /// `bank` makes it.
    pub collage: Option<Collage>,
    /// What is beyond the border: above and below, then to the left and right.
    pub borders: [Border; 2],
}

/// What is beyond the border of a picture, along one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Border {
    /// Nothing: convolutions see zeros there, as the papers' networks do.
    #[default]
    Zero,
    /// The picture itself, again and again: a seamless texture. The side must be a multiple of the network's stride.
    Wrap,
    /// More of the world, whose labels the source has: parts of a world meet without a seam.
    Source,
}

impl Request {
    /// Seed 0, the model's own statistics, no style, noise on, origin (0, 0).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the batch norm statistics. Those of the picture itself ([`Statistics::Batch`]) can look better for a
    /// model that was trained with small batches, but then every pixel depends on the whole picture.
    #[must_use]
    pub fn statistics(self, statistics: Statistics) -> Self {
        Self { statistics: Some(statistics), ..self }
    }

    /// Sets the style.
    #[must_use]
    pub fn style(self, style: &Style) -> Self {
        Self { style: Some(style.clone()), ..self }
    }

    /// Sets another style for one residual block, counted from 0.
    #[must_use]
    pub fn block_style(mut self, block: usize, style: &Style) -> Self {
        self.block_styles.push((block, style.clone()));
        self
    }

    /// Turns off noise.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Sets the world coordinates of the top left pixel.
    #[must_use]
    pub fn origin(self, x: i64, y: i64) -> Self {
        Self { origin: [x, y], ..self }
    }

    /// Sets what is beyond the upper and lower border, and beyond the left and right border.
    #[must_use]
    pub fn borders(self, rows: Border, columns: Border) -> Self {
        Self { borders: [rows, columns], ..self }
    }

    /// Sets the collage.
    #[must_use]
    pub fn collage(self, collage: Collage) -> Self {
        Self { collage: Some(collage), ..self }
    }

    /// Sets the instance ids.
    #[must_use]
    pub fn instances(self, instances: LabelMap) -> Self {
        Self { instances: Some(instances), ..self }
    }
}
