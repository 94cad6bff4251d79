//! The generators of SPADE, CLADE and SEAN (Park et al. 2019, appendix A; Tan et al. 2021, §4; Zhu et al. 2020, §3).

use std::collections::BTreeSet;
use std::ops::Bound;

use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::check;
use super::plan::{BLOCKS, Plan, block_names};
use crate::error::{Error, Result};
use crate::label::POSITION_CHANNELS;
use crate::nn::modulation::{self, ModulationKind, Needs};
use crate::nn::{
    BlockStyles, Conv, ConvConfig, GeneratorInput, Init, Linear, Mode, NormKind, ResBlock, leaky_relu, upsample2,
};

/// How many times features are upsampled by two between the first block and the output.
///
/// [`Normal`](Self::Normal), [`More`](Self::More) and [`Most`](Self::Most) are the papers' networks. The others are not
/// in the papers: they start at a finer scale, with one block before the first doubling, and are like the papers'
/// network from there on. They are for live work, where labels change while a picture is shown: a label reaches less
/// far, so that less of the picture has to be computed again. With CLADE and running statistics, a label affects pixels
/// up to 191 above it and to its left with five doublings, 79 with four, 39 with three, and 19 with two. In return, a
/// pixel depends on less of what surrounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upsampling {
    /// Twice, with 3 blocks: 64x64 to 256x256. Not in the papers.
    Two,
    /// Three times, with 4 blocks: 32x32 to 256x256. Not in the papers.
    Three,
    /// Four times, with 5 blocks: 16x16 to 256x256. Not in the papers.
    Four,
    /// Five times, with 7 blocks: 8x8 to 256x256.
    #[default]
    Normal,
    /// Six times, with 7 blocks: 8x8 to 512x512.
    More,
    /// Seven times, with an eighth block: 8x8 to 1024x1024.
    Most,
}

impl Upsampling {
    /// Every choice, the one with the fewest doublings first.
    pub const ALL: &[Self] = &[Self::Two, Self::Three, Self::Four, Self::Normal, Self::More, Self::Most];

    /// Its name: that of the papers' code, if it is theirs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Two => "two",
            Self::Three => "three",
            Self::Four => "four",
            Self::Normal => "normal",
            Self::More => "more",
            Self::Most => "most",
        }
    }

    /// A one-line description.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Two => "Doubles the size twice, with 3 blocks; not in the papers",
            Self::Three => "Doubles the size three times, with 4 blocks; not in the papers",
            Self::Four => "Doubles the size four times, with 5 blocks; not in the papers",
            Self::Normal => "Doubles the size five times, with 7 blocks",
            Self::More => "Doubles the size six times, with 7 blocks",
            Self::Most => "Doubles the size seven times, with 8 blocks",
        }
    }

    /// Finds a choice by name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is none; the message lists all names.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|upsampling| upsampling.name() == name);
        let names = Self::ALL.iter().map(|upsampling| upsampling.name());
        found.ok_or_else(|| Error::unknown_name("upsampling", name, names))
    }

    /// Number of doublings.
    pub fn doublings(self) -> u32 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
            Self::Four => 4,
            Self::Normal => 5,
            Self::More => 6,
            Self::Most => 7,
        }
    }

    /// Number of residual blocks.
    pub fn blocks(self) -> usize {
        match self {
            Self::Two => 3,
            Self::Three => 4,
            Self::Four => 5,
            Self::Normal | Self::More => 7,
            Self::Most => 8,
        }
    }

    /// Channels of the first features, in multiples of `ngf`.
    pub(crate) fn first_width(self) -> usize {
        // Each block after the middle ones halves the channels: up to four until there are `ngf`.
        1 << self.doublings().min(4)
    }

    /// The grid that a latent vector is mapped to in networks trained at this height and width: the size of the first
    /// features, but at most a 32nd of the picture's, because the layer that makes it has weights for every cell.
    pub(crate) fn latent_grid(self, size: [usize; 2]) -> [usize; 2] {
        let doublings = self.doublings().max(Self::Normal.doublings());
        size.map(|side| side >> doublings)
    }
}

/// The kind of style that a network takes besides the label map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StyleConfig {
    /// None: the label map determines the picture.
    #[default]
    None,
    /// One latent vector for the whole picture, from a variational encoder (Park et al. 2019, §3).
    Latent {
        /// Length of the vector; 256 in the papers.
        length: usize,
        /// Height and width of the feature map that the vector is mapped to.
        grid: [usize; 2],
        /// Channels of the encoder's first layer (`ndf`; equal to `ngf` in the papers). `None` for a model without
        /// encoder.
        encoder: Option<usize>,
    },
    /// One style vector per class, from a region-wise encoder (SEAN).
    Regions {
        /// Length of the vectors; 512 in the paper.
        length: usize,
        /// Channels of the encoder's first layer (32 in the paper). `None` for a model without encoder.
        encoder: Option<usize>,
    },
}

impl StyleConfig {
    /// As in the paper: vectors of 512 values, with encoder.
    pub const SEAN: Self = Self::Regions { length: 512, encoder: Some(32) };

    /// Length of the style vector of a class; 0 if styles are not per class.
    pub(crate) fn region_length(&self) -> usize {
        match *self {
            Self::Regions { length, .. } => length,
            Self::None | Self::Latent { .. } => 0,
        }
    }

    /// Whether the model has an encoder for such styles.
    pub fn has_encoder(&self) -> bool {
        match self {
            Self::None => false,
            Self::Latent { encoder, .. } | Self::Regions { encoder, .. } => encoder.is_some(),
        }
    }
}

/// Configuration of a generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The modulation of every norm, except in `leading_blocks`.
    pub modulation: ModulationKind,
    /// Modulations of the first blocks, in the order they run, if they differ from `modulation`. SPADE here with
    /// CLADE as `modulation` gives the hybrid of the CLADE paper.
    #[serde(default)]
    pub leading_blocks: Vec<ModulationKind>,
    /// Which dimensions the norms normalise over.
    #[serde(default)]
    pub norm: NormKind,
    /// Channels of the block at full size, or before the eighth block (`ngf`; 64 in the papers). The first block has 16
    /// times as many; 8 times with three doublings, 4 times with two. 2 to 1024, even.
    pub ngf: usize,
    /// Number of doublings.
    #[serde(default)]
    pub upsampling: Upsampling,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Whether a channel of instance edges follows the label channels.
    #[serde(default)]
    pub instance_edges: bool,
    /// Whether the first layer also sees where in its object each pixel lies: two channels after labels and edges. (The CLADE paper's
    /// comparison `dist_i`; CLADE-ICPE uses positions in the modulation instead.)
    #[serde(default)]
    pub input_positions: bool,
    /// The kind of style.
    #[serde(default)]
    pub style: StyleConfig,
}

impl GeneratorConfig {
    /// CLADE with batch norm and the paper's five doublings.
    pub fn clade(ngf: usize, label_channels: usize) -> Self {
        Self::new(ModulationKind::Clade, ngf, label_channels)
    }

    /// SPADE with 3x3 kernels, batch norm and the paper's five doublings.
    pub fn spade(ngf: usize, label_channels: usize) -> Self {
        Self::new(ModulationKind::Spade { kernel: 3 }, ngf, label_channels)
    }

    /// SEAN with the paper's styles, batch norm and five doublings.
    pub fn sean(ngf: usize, label_channels: usize) -> Self {
        Self { style: StyleConfig::SEAN, ..Self::new(ModulationKind::Sean, ngf, label_channels) }
    }

    /// SPADE in the first `spade_blocks` blocks, which work at low resolution, and CLADE in the others (Tan et al.
    /// 2021).
    pub fn hybrid(ngf: usize, label_channels: usize, spade_blocks: usize) -> Self {
        let leading_blocks = vec![ModulationKind::Spade { kernel: 3 }; spade_blocks];
        Self { leading_blocks, ..Self::clade(ngf, label_channels) }
    }

    /// A network with the given modulation, batch norm and five doublings, without instance edges and styles.
    pub fn new(modulation: ModulationKind, ngf: usize, label_channels: usize) -> Self {
        Self {
            modulation,
            leading_blocks: Vec::new(),
            norm: NormKind::Batch,
            ngf,
            upsampling: Upsampling::Normal,
            label_channels,
            instance_edges: false,
            input_positions: false,
            style: StyleConfig::None,
        }
    }

    /// Picture sides must be multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.upsampling.doublings()
    }

    /// Channels of the semantic input: labels and edges.
    pub fn semantics(&self) -> usize {
        self.label_channels + usize::from(self.instance_edges)
    }

    /// Input channels of the first layer of a network without a latent vector: labels, edges and positions.
    pub(crate) fn first_inputs(&self) -> usize {
        self.semantics() + if self.input_positions { POSITION_CHANNELS } else { 0 }
    }

    /// Number of residual blocks.
    pub fn blocks(&self) -> usize {
        self.upsampling.blocks()
    }

    /// The modulation of a block.
    pub fn modulation_of(&self, block: usize) -> ModulationKind {
        self.leading_blocks.get(block).copied().unwrap_or(self.modulation)
    }

    /// Inputs that it needs besides label maps.
    pub fn needs(&self) -> Needs {
        let needs = (0..self.blocks()).map(|block| self.modulation_of(block).facts().needs());
        needs.fold(Needs { distances: self.input_positions, ..Needs::default() }, Needs::or)
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { ngf, label_channels: labels, .. } = self;
        check((2..=1024).contains(ngf) && ngf.is_multiple_of(2), || {
            format!("ngf is {ngf}, it must be even and 2 to 1024")
        })?;
        check((1..=65_535).contains(labels), || format!("{labels} label channels: it must be 1 to 65535"))?;
        let (leading, blocks) = (self.leading_blocks.len(), self.blocks());
        check(leading <= blocks, || format!("{leading} leading blocks: the network has {blocks}"))?;
        for block in Plan::new(self).blocks {
            block.modulation.facts().validate(&block.config)?;
        }
        let per_class = self.needs().styles;
        let length_fits = |length: &usize| (1..=4096).contains(length);
        let encoder_fits = |width: &Option<usize>| width.is_none_or(|width| (1..=1024).contains(&width));
        match &self.style {
            StyleConfig::Regions { length, encoder } => {
                check(per_class, || "styles per class need a modulation that takes them, such as SEAN".into())?;
                check(length_fits(length), || format!("style vectors of {length} values: it must be 1 to 4096"))?;
                check(encoder_fits(encoder), || "the style encoder's width must be 1 to 1024".into())
            }
            StyleConfig::Latent { length, grid, encoder } => {
                check(!self.input_positions, || {
                    "input_positions: with a latent vector the first layer sees no labels".into()
                })?;
                check(!per_class, || format!("{} needs styles per class", self.styled_label()))?;
                check(length_fits(length), || format!("latent vectors of {length} values: it must be 1 to 4096"))?;
                let [height, width] = grid;
                let fits = |side: &usize| (1..=256).contains(side);
                check(fits(height) && fits(width), || format!("a latent grid of {height}x{width}: 1 to 256"))?;
                check(encoder_fits(encoder), || "the encoder's width must be 1 to 1024".into())
            }
            StyleConfig::None => check(!per_class, || format!("{} needs styles per class", self.styled_label())),
        }
    }

    /// Name of the first modulation that needs styles.
    fn styled_label(&self) -> String {
        let facts = (0..self.blocks()).map(|block| self.modulation_of(block).facts());
        facts.into_iter().find(|facts| facts.needs().styles).map_or_else(String::new, |facts| facts.label())
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Generator> {
        self.validate()?;
        let plan = Plan::new(self);
        let fc = match self.style {
            StyleConfig::Latent { length, grid: [height, width], .. } => {
                Start::Latent(Linear::new(init, length, plan.first_channels * height * width))
            }
            StyleConfig::None | StyleConfig::Regions { .. } => {
                Start::Labels(ConvConfig::new(self.first_inputs(), plan.first_channels, 3).init(init))
            }
        };
        let noise = plan
            .blocks
            .iter()
            .enumerate()
            .flat_map(|(index, block)| block.norms().filter(|norm| norm.noise.is_some()).map(move |_| index));
        Ok(Generator {
            fc,
            blocks: plan.blocks.iter().map(|block| ResBlock::new(init, block)).collect(),
            conv_img: ConvConfig::new(plan.last_channels, 3, 3).init(init),
            doublings: plan.blocks.iter().map(|block| block.doublings).collect(),
            labels: self.label_channels,
            edges: self.instance_edges,
            positions: self.input_positions,
            style_length: match self.style {
                StyleConfig::Latent { length, .. } | StyleConfig::Regions { length, .. } => length,
                StyleConfig::None => 0,
            },
            grid: match self.style {
                StyleConfig::Latent { grid, .. } => grid.to_vec(),
                StyleConfig::None | StyleConfig::Regions { .. } => Vec::new(),
            },
            noise: noise.collect(),
        })
    }

    /// Makes the network with random initial values.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init_random(&self, seed: u64, device: &Device) -> Result<Generator> {
        self.init(&mut Init::random(seed, device))
    }
}

/// The layer that makes the first features.
#[derive(Module, Debug)]
enum Start {
    /// A convolution of the label map, resized to the size of the first features.
    Labels(Conv),
    /// A linear layer of the latent vector.
    Latent(Linear),
}

/// Generates a picture from a label map.
#[derive(Module, Debug)]
pub struct Generator {
    fc: Start,
    blocks: Vec<ResBlock>,
    conv_img: Conv,
    /// For each block, how often features have been upsampled when it runs.
    doublings: Vec<usize>,
    labels: usize,
    edges: bool,
    positions: bool,
    /// Length of the latent vector or of a class's style; 0 if the network takes neither.
    style_length: usize,
    /// Height and width of the grid that a latent vector is mapped to.
    grid: Vec<usize>,
    /// For each noise map, the index of the block that uses it.
    noise: Vec<usize>,
}

impl Generator {
    /// Synthesizes pictures `[batch, 3, height, width]` with values in -1 to 1, from label maps of that batch, height
    /// and width. Latent vectors are `[batch, length]`, styles `[batch, classes, length]`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if height or width is not a multiple of 2 to the number of doublings, or an input the
    /// network needs is missing or has the wrong shape.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// Like [`forward`](Self::forward). Calls `step` before each block with the progress, 0 to 1; an error from it
    /// ends the computation.
    pub(crate) fn forward_by_steps(
        &self,
        input: &GeneratorInput,
        mode: Mode,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Tensor<4>> {
        let layout = &input.layout;
        let [height, width] = layout.size();
        let doublings = self.doublings.last().copied().unwrap_or_default();
        super::check_layout(layout, self.labels, self.edges, 1 << doublings)?;
        let first = [height >> doublings, width >> doublings];
        let sizes: Vec<[usize; 2]> =
            self.noise.iter().map(|&block| first.map(|side| side << self.doublings[block])).collect();
        input.noise.check(layout.batch(), &sizes)?;
        let mut x = match &self.fc {
            Start::Labels(conv) => {
                self.check_styles(input)?;
                let labels = layout.at(first[0], first[1]);
                let mut seen = labels.semantics();
                if self.positions {
                    seen = Tensor::cat(vec![seen, labels.distances()], 1);
                }
                conv.forward(seen, mode)
            }
            Start::Latent(linear) => self.spread(linear.forward(self.latent(input)?), first),
        };
        let mut doubled = 0;
        for (index, (block, &doublings)) in self.blocks.iter().zip(&self.doublings).enumerate() {
            step(index as f32 / self.blocks.len() as f32)?;
            if doublings > doubled {
                x = upsample2(x);
                doubled = doublings;
            }
            x = block.forward(x, input.of_block(index), mode);
        }
        Ok(self.conv_img.forward(leaky_relu(x), mode).tanh())
    }

    /// Reshapes the output of the linear layer to the first features, `[batch, channels, height, width]`. The grid
    /// has the size the network was trained at; for other sizes it is resized by nearest neighbour.
    fn spread(&self, x: Tensor<2>, [height, width]: [usize; 2]) -> Tensor<4> {
        let [batch, values] = x.dims();
        let (rows, columns) = (self.grid.first().copied().unwrap_or(1), self.grid.get(1).copied().unwrap_or(1));
        let x = x.reshape([batch, values / (rows * columns), rows, columns]);
        if (rows, columns) == (height, width) {
            return x;
        }
        interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height, width]))
    }

    /// The latent vectors, if they have the shape this network takes.
    fn latent(&self, input: &GeneratorInput) -> Result<Tensor<2>> {
        let latent = input.latent.clone().ok_or_else(|| {
            Error::Argument("this network needs a latent vector: encode one from a photo, or draw one".into())
        })?;
        fits(&latent.dims(), &[input.layout.batch(), self.style_length])?;
        Ok(latent)
    }

    fn check_styles(&self, input: &GeneratorInput) -> Result<()> {
        if self.style_length == 0 {
            return Ok(());
        }
        let expected = [input.layout.batch(), self.labels, self.style_length];
        match &input.styles {
            None => Err(Error::Argument("this network needs a style for each class".into())),
            Some(BlockStyles::All(styles)) => fits(&styles.dims(), &expected),
            Some(BlockStyles::Each(each)) => {
                let (found, blocks) = (each.len(), self.blocks.len());
                check(found == blocks, || format!("{found} styles for {blocks} blocks: there must be one for each"))?;
                each.iter().try_for_each(|styles| fits(&styles.dims(), &expected))
            }
        }
    }

    /// The same network for inference, with spectral norms folded into the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { blocks: self.blocks.into_iter().map(ResBlock::folded).collect(), ..self }
    }
}

fn fits(found: &[usize], expected: &[usize]) -> Result<()> {
    check(found == expected, || format!("a style of shape {found:?}: this network takes {expected:?}"))
}

/// The official name of a layer from its path.
pub(super) fn official_name(parts: &[&str], known: &BTreeSet<&str>) -> Option<String> {
    match parts {
        ["fc", "Labels" | "Latent"] => Some("fc".into()),
        ["conv_img"] => Some("conv_img".into()),
        ["blocks", index, rest @ ..] => {
            let block = block_names(block_count(known)).nth(index.parse().ok()?)?;
            match rest {
                [conv @ ("conv_0" | "conv_1" | "conv_s")] => Some(format!("{block}.{conv}")),
                [norm, rest @ ..] => {
                    let part = norm.strip_prefix("norm_")?;
                    let variant = variant(&format!("blocks.{index}.{norm}.modulation."), known)?;
                    let name = format!("{block}.{}_{part}", modulation::norm_prefix(variant)?);
                    let layer = match rest {
                        ["param_free_norm"] => "param_free_norm".into(),
                        ["modulation", variant, path @ ..] => modulation::official_name(variant, path)?,
                        _ => return None,
                    };
                    Some(if layer.is_empty() { name } else { format!("{name}.{layer}") })
                }
                [] => None,
            }
        }
        _ => None,
    }
}

/// Number of blocks of the generator, found in the paths of its parameters.
fn block_count(known: &BTreeSet<&str>) -> usize {
    let has = |index: &usize| first_below(&format!("blocks.{index}."), known).is_some();
    (0..BLOCKS.len()).take_while(has).count()
}

/// The variant of a norm's modulation, found in the paths of its parameters.
fn variant<'a>(norm: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    first_below(norm, known)?.split('.').next()
}

/// The first path of the generator that starts with `prefix`, without it. The generator is a part of a network, or on
/// its own.
fn first_below<'a>(prefix: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    ["generator.SpadeFamily.", ""].into_iter().find_map(|place| {
        let prefix = format!("{place}{prefix}");
        let path = known.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded)).next()?;
        path.strip_prefix(&prefix)
    })
}
