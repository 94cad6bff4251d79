//! The generators of SPADE, CLADE and SEAN (Park et al. 2019, appendix A; Tan et al. 2021, §4; Zhu et al. 2020, §3).

use burn::module::Module;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::check;
use crate::error::{Error, Result};
use crate::nn::modulation::{ModulationConfig, ModulationKind};
use crate::nn::{BlockStyles, Conv, ConvConfig, Guide, Init, Linear, Mode, NormKind, ResBlock, leaky_relu, upsample2};

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

    /// Whether some block has this modulation.
    pub fn uses(&self, kind: ModulationKind) -> bool {
        (0..self.blocks()).any(|block| self.modulation_of(block) == kind)
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
        for block in 0..blocks {
            if let ModulationKind::Spade { kernel } = self.modulation_of(block) {
                let fine = kernel % 2 == 1 && kernel <= 9;
                check(fine, || format!("SPADE kernels of side {kernel}: it must be odd and 1 to 9"))?;
            }
        }
        let sean = self.uses(ModulationKind::Sean);
        let length_fits = |length: &usize| (1..=4096).contains(length);
        let encoder_fits = |width: &Option<usize>| width.is_none_or(|width| (1..=1024).contains(&width));
        match &self.style {
            StyleConfig::Regions { length, encoder } => {
                check(sean, || "styles per class need SEAN's modulation".into())?;
                // A layer per class in every norm: keep what a small manifest can ask for within reason.
                let classes_fit = *labels <= 1024 && !self.instance_edges;
                check(classes_fit, || "SEAN takes up to 1024 label channels and no instance edges".into())?;
                check(length_fits(length), || format!("style vectors of {length} values: it must be 1 to 4096"))?;
                check(encoder_fits(encoder), || "the style encoder's width must be 1 to 1024".into())
            }
            StyleConfig::Latent { length, grid, encoder } => {
                check(!sean, || "SEAN needs styles per class".into())?;
                check(length_fits(length), || format!("latent vectors of {length} values: it must be 1 to 4096"))?;
                let [height, width] = grid;
                let fits = |side: &usize| (1..=256).contains(side);
                check(fits(height) && fits(width), || format!("a latent grid of {height}x{width}: 1 to 256"))?;
                check(encoder_fits(encoder), || "the encoder's width must be 1 to 1024".into())
            }
            StyleConfig::None => check(!sean, || "SEAN needs styles per class".into()),
        }
    }

    /// Whether the picture doubles before a block.
    pub(crate) fn doubles_before(&self, block: usize) -> bool {
        doubles_before(self.upsampling.doublings() as usize, block)
    }

    /// How often the picture has doubled when a block runs.
    pub(crate) fn doublings_until(&self, block: usize) -> usize {
        (0..=block).filter(|&index| self.doubles_before(index)).count()
    }

    /// Input and output channels of each block.
    pub(crate) fn plan(&self) -> Vec<[usize; 2]> {
        let n = self.ngf;
        let mut plan = vec![[16 * n, 16 * n]; 3];
        plan.extend([[16 * n, 8 * n], [8 * n, 4 * n], [4 * n, 2 * n], [2 * n, n]]);
        if self.upsampling == Upsampling::Most {
            plan.push([n, n / 2]);
        }
        plan
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// See [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Generator> {
        self.validate()?;
        let plan = self.plan();
        let (first, last) = (16 * self.ngf, plan.last().map_or(self.ngf, |&[_, output]| output));
        let fc = match self.style {
            StyleConfig::Latent { length, grid: [height, width], .. } => {
                Start::Latent(Linear::new(init, length, first * height * width))
            }
            StyleConfig::None | StyleConfig::Regions { .. } => {
                Start::Labels(ConvConfig::new(self.semantics(), first, 3).init(init))
            }
        };
        let mut draws = Vec::new();
        let mut blocks = Vec::with_capacity(plan.len());
        for (index, channels) in plan.into_iter().enumerate() {
            let kind = self.modulation_of(index);
            let config = ModulationConfig {
                norm: self.norm,
                labels: self.label_channels,
                edges: self.instance_edges,
                style: self.style_length(index),
            };
            blocks.push(ResBlock::new(init, kind, &config, channels, draws.len()));
            draws.extend(vec![index; kind.draws() * ResBlock::norms(channels)]);
        }
        Ok(Generator {
            fc,
            blocks,
            conv_img: ConvConfig::new(last, 3, 3).init(init),
            upsampling: self.upsampling.doublings() as usize,
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
            draws,
        })
    }

    /// Length of the style vectors in a block. The papers' `up_3`, which works at full size in their
    /// networks, has none.
    fn style_length(&self, block: usize) -> usize {
        match self.style {
            StyleConfig::Regions { length, .. } if block != UNSTYLED_BLOCK => length,
            _ => 0,
        }
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

/// The papers' `up_3`.
const UNSTYLED_BLOCK: usize = 6;

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
    upsampling: usize,
    labels: usize,
    edges: bool,
    /// Length of the latent vector or of the style of a class; 0 where there is neither.
    style_length: usize,
    /// Height and width of the grid that a latent vector is turned into.
    grid: Vec<usize>,
    /// For each noise map that is drawn, the block it is for.
    draws: Vec<usize>,
}

impl Generator {
    /// Synthesizes `[batch, 3, height, width]` with values in -1 to 1, at the size of the layout.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if height or width is not a multiple of 2 to the number of doublings, or something the network
    /// needs is missing or has another shape.
    pub fn forward(&self, guide: &Guide, mode: Mode) -> Result<Tensor<4>> {
        let layout = &guide.layout;
        let [height, width] = layout.size();
        let stride = 1usize << self.upsampling;
        super::check_layout(layout, self.labels, self.edges, stride)?;
        let [latent_height, latent_width] = [height / stride, width / stride];
        let sizes: Vec<[usize; 2]> = self.draws.iter().map(|&block| self.size_at(block, height, width)).collect();
        guide.noise.check(layout.batch(), &sizes)?;
        let mut x = match &self.fc {
            Start::Labels(conv) => {
                self.check_styles(guide)?;
                conv.forward(layout.at(latent_height, latent_width).semantics(), mode)
            }
            Start::Latent(linear) => self.spread(linear.forward(self.latent(guide)?), [latent_height, latent_width]),
        };
        for (index, block) in self.blocks.iter().enumerate() {
            if doubles_before(self.upsampling, index) {
                x = upsample2(x);
            }
            x = block.forward(x, guide.at_block(index), mode);
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
    fn latent(&self, guide: &Guide) -> Result<Tensor<2>> {
        let latent = guide.latent.clone().ok_or_else(|| {
            Error::Argument("this network needs a latent vector: encode one from a photo, or draw one".into())
        })?;
        fits(&latent.dims(), &[guide.layout.batch(), self.style_length])?;
        Ok(latent)
    }

    fn check_styles(&self, guide: &Guide) -> Result<()> {
        if self.style_length == 0 {
            return Ok(());
        }
        let expected = [guide.layout.batch(), self.labels, self.style_length];
        match &guide.styles {
            None => Err(Error::Argument("this network needs a style for each class".into())),
            Some(BlockStyles::All(styles)) => fits(&styles.dims(), &expected),
            Some(BlockStyles::Each(each)) => {
                let (found, blocks) = (each.len(), self.blocks.len());
                check(found == blocks, || format!("{found} styles for {blocks} blocks: there must be one for each"))?;
                each.iter().try_for_each(|styles| fits(&styles.dims(), &expected))
            }
        }
    }

    /// Height and width at which a block works on a picture of this size.
    fn size_at(&self, block: usize, height: usize, width: usize) -> [usize; 2] {
        let doublings = (0..=block).filter(|&index| doubles_before(self.upsampling, index)).count();
        [(height >> self.upsampling) << doublings, (width >> self.upsampling) << doublings]
    }

    /// The same network for inference: spectral norms are divided in.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { blocks: self.blocks.into_iter().map(ResBlock::folded).collect(), ..self }
    }
}

/// The head block works at the size of the latent map, and the second middle block doubles only in deep networks.
fn doubles_before(doublings: usize, block: usize) -> bool {
    match block {
        0 => false,
        2 => doublings > 5,
        _ => true,
    }
}

fn fits(found: &[usize], expected: &[usize]) -> Result<()> {
    check(found == expected, || format!("a style of shape {found:?}: this network takes {expected:?}"))
}
