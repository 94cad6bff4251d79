//! The generator of SPADE and CLADE (Park et al. 2019, appendix A; Tan et al. 2021, §4).

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::nn::modulation::ModulationKind;
use crate::nn::{Conv, ConvConfig, Init, Layout, Mode, NormKind, ResBlock, leaky_relu, upsample2};

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

/// What distinguishes one generator from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorConfig {
    /// The modulation of every norm.
    pub modulation: ModulationKind,
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

    fn new(modulation: ModulationKind, ngf: usize, label_channels: usize) -> Self {
        Self { modulation, norm: NormKind::Batch, ngf, upsampling: Upsampling::Normal, label_channels }
    }

    /// Sides of pictures are multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.upsampling.doublings()
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |fine: bool, message: String| if fine { Ok(()) } else { Err(Error::Argument(message)) };
        check(
            (2..=1024).contains(&self.ngf) && self.ngf.is_multiple_of(2),
            format!("ngf is {}, it must be even and 2 to 1024", self.ngf),
        )?;
        let labels = self.label_channels;
        check((1..=65_535).contains(&labels), format!("{labels} label channels: it must be 1 to 65535"))?;
        if let ModulationKind::Spade { kernel } = self.modulation {
            let fine = kernel % 2 == 1 && kernel <= 9;
            check(fine, format!("SPADE kernels of side {kernel}: it must be odd and 1 to 9"))?;
        }
        Ok(())
    }

    /// Input and output channels of each block.
    fn plan(&self) -> Vec<[usize; 2]> {
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
        let last = plan.last().map_or(self.ngf, |&[_, output]| output);
        let fc = ConvConfig::new(self.label_channels, 16 * self.ngf, 3).init(init);
        let block = |channels| ResBlock::new(init, self.modulation, self.norm, channels, self.label_channels);
        let blocks = plan.into_iter().map(block).collect();
        let conv_img = ConvConfig::new(last, 3, 3).init(init);
        Ok(Generator { fc, blocks, conv_img, upsampling: self.upsampling.doublings() as usize })
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

/// Label map in, picture out.
#[derive(Module, Debug)]
pub struct Generator {
    fc: Conv,
    blocks: Vec<ResBlock>,
    conv_img: Conv,
    upsampling: usize,
}

impl Generator {
    /// Synthesizes `[batch, 3, height, width]` with values in -1 to 1, at the size of the layout.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if height or width is not a multiple of 2 to the number of doublings.
    pub fn forward(&self, layout: &Layout, mode: Mode) -> Result<Tensor<4>> {
        let [height, width] = layout.size();
        let stride = 1usize << self.upsampling;
        if height == 0 || width == 0 || !height.is_multiple_of(stride) || !width.is_multiple_of(stride) {
            return Err(Error::Argument(format!(
                "a label map of {width}x{height} does not fit this generator: both sides must be multiples of {stride}"
            )));
        }
        let mut x = self.fc.forward(layout.at(height / stride, width / stride).one_hot(), mode);
        for (index, block) in self.blocks.iter().enumerate() {
            if self.doubles_before(index) {
                x = upsample2(x);
            }
            x = block.forward(x, layout, mode);
        }
        Ok(self.conv_img.forward(leaky_relu(x), mode).tanh())
    }

    /// The head block works at the size of the latent map, and the second middle block doubles only in deep networks.
    fn doubles_before(&self, block: usize) -> bool {
        match block {
            0 => false,
            2 => self.upsampling > 5,
            _ => true,
        }
    }

    /// The same network for inference: spectral norms are divided in.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { blocks: self.blocks.into_iter().map(ResBlock::folded).collect(), ..self }
    }
}
