//! What to synthesize of a label map.

use crate::label::LabelMap;
use crate::nn::Statistics;
use crate::style::Style;

/// What to make of a label map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Seed of everything random in a model: the noise of SEAN, the style of a model with a latent vector where none is
    /// given. SPADE and CLADE have no random input: they give one picture for a label map, whatever the seed.
    pub seed: u64,
    /// Statistics that batch norms divide by; none: those the model names.
    pub statistics: Option<Statistics>,
    /// How the picture is to look. SEAN needs one; a model with a latent vector draws one where there is none.
    pub style: Option<Style>,
    /// Other styles for some of SEAN's residual blocks, by their number from 0: style crossover.
    pub block_styles: Vec<(usize, Style)>,
    /// No noise in SEAN's features.
    pub quiet: bool,
    /// Where the picture's top left pixel lies in the world that its noise is anchored in: x to the right, y down.
    /// Pictures of neighbouring places have the same noise where they meet if these are multiples of the network's
    /// stride.
    pub origin: [i64; 2],
    /// Instance ids, of the size of the label map, for models that are fed instance edges; none: the edges are those
    /// between classes.
    pub instances: Option<LabelMap>,
}

impl Request {
    /// Seed 0, the model's own statistics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Other statistics: those of the picture itself ([`Statistics::Batch`]) can look better for a model that was trained
    /// with few pictures a step, but a pixel then depends on the whole picture.
    #[must_use]
    pub fn statistics(self, statistics: Statistics) -> Self {
        Self { statistics: Some(statistics), ..self }
    }

    /// A style.
    #[must_use]
    pub fn style(self, style: &Style) -> Self {
        Self { style: Some(style.clone()), ..self }
    }

    /// Another style for one residual block, counted from 0.
    #[must_use]
    pub fn block_style(mut self, block: usize, style: &Style) -> Self {
        self.block_styles.push((block, style.clone()));
        self
    }

    /// Without noise.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Another place in the world.
    #[must_use]
    pub fn origin(self, x: i64, y: i64) -> Self {
        Self { origin: [x, y], ..self }
    }

    /// Instance ids.
    #[must_use]
    pub fn instances(self, instances: LabelMap) -> Self {
        Self { instances: Some(instances), ..self }
    }
}
