//! The generators of SPADE, CLADE and SEAN (Park et al. 2019, appendix A; Tan et al. 2021, §4; Zhu et al. 2020, §3).

use std::collections::BTreeSet;
use std::ops::Bound;

use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::check;
use super::plan::{BLOCKS, Plan};
use crate::error::{Error, Result};
use crate::nn::modulation::{self, ModulationKind, Needs};
use crate::nn::{
    BlockStyles, Conv, ConvConfig, GeneratorInput, Init, Linear, Mode, NormKind, ResBlock, leaky_relu, upsample2,
};

/// How many times the picture doubles between the first block and the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upsampling {
    /// Five times, with 7 blocks: 8x8 to 256x256.
    #[default]
    Normal,
    /// Six times, with 7 blocks: 8x8 to 512x512.
    More,
    /// Seven times, with an eighth block: 8x8 to 1024x1024.
    Most,
}

impl Upsampling {
    /// Number of doublings.
    pub fn doublings(self) -> u32 {
        match self {
            Self::Normal => 5,
            Self::More => 6,
            Self::Most => 7,
        }
    }
}

/// What a network knows of how a picture is to look, apart from what is where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StyleConfig {
    /// Nothing: a label map has one picture.
    #[default]
    None,
    /// One latent vector for the whole picture, from a variational encoder (Park et al. 2019, §3).
    Latent {
        /// Length of the vector; 256 in the papers.
        length: usize,
        /// Height and width of the first feature map, which the vector is turned into.
        grid: [usize; 2],
        /// Channels of the encoder's first layer (`ndf`; as `ngf` in the papers); none: the model comes without encoder.
        encoder: Option<usize>,
    },
    /// One vector per class, from a region-wise encoder (SEAN).
    Regions {
        /// Length of the vectors; 512 in the paper.
        length: usize,
        /// Channels of the encoder's first layer (32 in the paper); none: the model comes without encoder.
        encoder: Option<usize>,
    },
}

impl StyleConfig {
    /// The paper's vectors of 512 values and its encoder.
    pub const SEAN: Self = Self::Regions { length: 512, encoder: Some(32) };

    /// Length of the style vector of a class; 0 where styles are not per class.
    pub(crate) fn region_length(&self) -> usize {
        match *self {
            Self::Regions { length, .. } => length,
            Self::None | Self::Latent { .. } => 0,
        }
    }

    /// Whether the model comes with the encoder that finds such styles.
    pub fn has_encoder(&self) -> bool {
        match self {
            Self::None => false,
            Self::Latent { encoder, .. } | Self::Regions { encoder, .. } => encoder.is_some(),
        }
    }
}

/// What distinguishes one generator from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The modulation of every norm.
    pub modulation: ModulationKind,
    /// Modulations of the first blocks, in the order they run, where they differ from `modulation`: with SPADE here and
    /// CLADE there, the hybrid of the CLADE paper.
    #[serde(default)]
    pub leading_blocks: Vec<ModulationKind>,
    /// What the norms normalise over.
    #[serde(default)]
    pub norm: NormKind,
    /// Channels of the last block (`ngf`; 64 in the papers). The first block has 16 times as many. 2 to 1024, even.
    pub ngf: usize,
    /// Number of doublings.
    #[serde(default)]
    pub upsampling: Upsampling,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Whether a channel of instance edges follows the label channels.
    #[serde(default)]
    pub instance_edges: bool,
    /// Styles.
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

    /// SPADE in the first `spade_blocks` blocks, where pictures are small, CLADE in the others (Tan et al. 2021).
    pub fn hybrid(ngf: usize, label_channels: usize, spade_blocks: usize) -> Self {
        let leading_blocks = vec![ModulationKind::Spade { kernel: 3 }; spade_blocks];
        Self { leading_blocks, ..Self::clade(ngf, label_channels) }
    }

    /// A modulation with batch norm, five doublings, no instance edges and no styles.
    pub fn new(modulation: ModulationKind, ngf: usize, label_channels: usize) -> Self {
        Self {
            modulation,
            leading_blocks: Vec::new(),
            norm: NormKind::Batch,
            ngf,
            upsampling: Upsampling::Normal,
            label_channels,
            instance_edges: false,
            style: StyleConfig::None,
        }
    }

    /// Sides of pictures are multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.upsampling.doublings()
    }

    /// Channels of the semantic input: labels and edges.
    pub fn semantics(&self) -> usize {
        self.label_channels + usize::from(self.instance_edges)
    }

    /// Number of residual blocks.
    pub fn blocks(&self) -> usize {
        if self.upsampling == Upsampling::Most { 8 } else { 7 }
    }

    /// The modulation of a block.
    pub fn modulation_of(&self, block: usize) -> ModulationKind {
        self.leading_blocks.get(block).copied().unwrap_or(self.modulation)
    }

    /// What its modulations need besides label maps.
    pub fn needs(&self) -> Needs {
        let needs = (0..self.blocks()).map(|block| self.modulation_of(block).facts().needs());
        needs.fold(Needs::default(), Needs::or)
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

    /// What the first modulation that needs styles is called.
    fn styled_label(&self) -> String {
        let facts = (0..self.blocks()).map(|block| self.modulation_of(block).facts());
        facts.into_iter().find(|facts| facts.needs().styles).map_or_else(String::new, |facts| facts.label())
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// See [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Generator> {
        self.validate()?;
        let plan = Plan::new(self);
        let fc = match self.style {
            StyleConfig::Latent { length, grid: [height, width], .. } => {
                Start::Latent(Linear::new(init, length, plan.first_channels * height * width))
            }
            StyleConfig::None | StyleConfig::Regions { .. } => {
                Start::Labels(ConvConfig::new(self.semantics(), plan.first_channels, 3).init(init))
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

    /// Makes the network with random first values.
    ///
    /// # Errors
    ///
    /// See [`validate`](Self::validate).
    pub fn init_random(&self, seed: u64, device: &Device) -> Result<Generator> {
        self.init(&mut Init::random(seed, device))
    }
}

/// What the first features are made from.
#[derive(Module, Debug)]
enum Start {
    /// From the label map at the size of the latent grid.
    Labels(Conv),
    /// From a latent vector.
    Latent(Linear),
}

/// Label map in, picture out.
#[derive(Module, Debug)]
pub struct Generator {
    fc: Start,
    blocks: Vec<ResBlock>,
    conv_img: Conv,
    /// How often features have doubled when each block runs.
    doublings: Vec<usize>,
    labels: usize,
    edges: bool,
    /// Length of the latent vector or of the style of a class; 0 where there is neither.
    style_length: usize,
    /// Height and width of the grid that a latent vector is turned into.
    grid: Vec<usize>,
    /// For each noise map, the block it is for.
    noise: Vec<usize>,
}

impl Generator {
    /// Synthesizes `[batch, 3, height, width]` with values in -1 to 1, at the size of the layout.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if height or width is not a multiple of 2 to the number of doublings, or something the network
    /// needs is missing or has another shape.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// The same; `step` is told how much is done, 0 to 1, before each block, and may end it with an error.
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
        step(0.0)?;
        let mut x = match &self.fc {
            Start::Labels(conv) => {
                self.check_styles(input)?;
                conv.forward(layout.at(first[0], first[1]).semantics(), mode)
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

    /// The first features, `[batch, channels, height, width]`. The grid has the size the network was trained at; other
    /// sizes take the nearest of its cells.
    fn spread(&self, x: Tensor<2>, [height, width]: [usize; 2]) -> Tensor<4> {
        let [batch, values] = x.dims();
        let (rows, columns) = (self.grid.first().copied().unwrap_or(1), self.grid.get(1).copied().unwrap_or(1));
        let x = x.reshape([batch, values / (rows * columns), rows, columns]);
        if (rows, columns) == (height, width) {
            return x;
        }
        interpolate(x, InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height, width]))
    }

    /// The latent vectors, of the shape this network takes.
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

    /// The same network for inference: spectral norms are folded into the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { blocks: self.blocks.into_iter().map(ResBlock::folded).collect(), ..self }
    }
}

fn fits(found: &[usize], expected: &[usize]) -> Result<()> {
    check(found == expected, || format!("a style of shape {found:?}: this network takes {expected:?}"))
}

/// The official name of a layer, from its path.
pub(super) fn official_name(parts: &[&str], known: &BTreeSet<&str>) -> Option<String> {
    match parts {
        ["fc", "Labels" | "Latent"] => Some("fc".into()),
        ["conv_img"] => Some("conv_img".into()),
        ["blocks", index, rest @ ..] => {
            let block = BLOCKS.get(index.parse::<usize>().ok()?)?;
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

/// The kind of a norm's modulation, which shows in the paths of its parameters.
fn variant<'a>(norm: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    ["generator.SpadeFamily.", ""].into_iter().find_map(|place| {
        let norm = format!("{place}{norm}");
        let path = known.range::<str, _>((Bound::Included(norm.as_str()), Bound::Unbounded)).next()?;
        path.strip_prefix(&norm)?.split('.').next()
    })
}
