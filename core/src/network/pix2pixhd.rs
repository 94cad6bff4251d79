//! The global generator of pix2pixHD (Wang et al. 2018, §3.2), a baseline.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use super::check;
use crate::error::Result;
use crate::nn::{Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, Guide, Init, Mode, instance_norm, reflect};

/// What distinguishes one pix2pixHD generator from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pix2PixHdConfig {
    /// Channels of the first layer; 64 in the paper. 1 to 256.
    pub ngf: usize,
    /// Halvings, and doublings after the blocks; 4 in the paper. 1 to 6.
    pub downsamplings: usize,
    /// Residual blocks; 9 in the paper. 0 to 32.
    pub blocks: usize,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Whether a channel of instance edges follows the label channels.
    #[serde(default)]
    pub instance_edges: bool,
    /// Whether it is the "pix2pixHD++" that Park et al. 2019 compare with: spectral norm, and no biases before instance
    /// norms.
    #[serde(default)]
    pub spectral: bool,
}

impl Pix2PixHdConfig {
    /// The paper's network.
    pub fn new(ngf: usize, label_channels: usize) -> Self {
        Self { ngf, downsamplings: 4, blocks: 9, label_channels, instance_edges: false, spectral: false }
    }

    /// Sides of pictures are multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.downsamplings
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { ngf, downsamplings, blocks, label_channels: labels, .. } = self;
        check((1..=256).contains(ngf), || format!("ngf is {ngf}, it must be 1 to 256"))?;
        check((1..=6).contains(downsamplings), || format!("{downsamplings} downsamplings: it must be 1 to 6"))?;
        check(*blocks <= 32, || format!("{blocks} residual blocks: it must be 0 to 32"))?;
        check((1..=65_535).contains(labels), || format!("{labels} label channels: it must be 1 to 65535"))
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// See [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Pix2PixHd> {
        self.validate()?;
        let conv = |config: ConvConfig| if self.spectral { config.without_bias().spectral() } else { config };
        let up = |config: ConvTransposeConfig| if self.spectral { config.without_bias().spectral() } else { config };
        let widths: Vec<usize> = (0..=self.downsamplings).map(|level| self.ngf << level).collect();
        let deepest = self.ngf << self.downsamplings;
        let semantics = self.label_channels + usize::from(self.instance_edges);
        let first = conv(ConvConfig::new(semantics, self.ngf, 7).padding(0)).init(init);
        let down =
            widths.windows(2).map(|pair| conv(ConvConfig::new(pair[0], pair[1], 3).stride(2)).init(init)).collect();
        let mut inner = || conv(ConvConfig::new(deepest, deepest, 3).padding(0)).init(init);
        let blocks = (0..self.blocks).map(|_| PlainBlock { conv_0: inner(), conv_1: inner() }).collect();
        let up =
            widths.windows(2).rev().map(|pair| up(ConvTransposeConfig::new(pair[1], pair[0], 3)).init(init)).collect();
        Ok(Pix2PixHd {
            first,
            down,
            blocks,
            up,
            last: ConvConfig::new(self.ngf, 3, 7).padding(0).init(init),
            labels: self.label_channels,
            edges: self.instance_edges,
        })
    }
}

/// Down, residual blocks, up; the label map is the first layer's input only.
#[derive(Module, Debug)]
pub struct Pix2PixHd {
    first: Conv,
    down: Vec<Conv>,
    blocks: Vec<PlainBlock>,
    up: Vec<ConvTranspose>,
    last: Conv,
    labels: usize,
    edges: bool,
}

/// Two convolutions around a shortcut.
#[derive(Module, Debug)]
struct PlainBlock {
    conv_0: Conv,
    conv_1: Conv,
}

impl Pix2PixHd {
    /// Synthesizes `[batch, 3, height, width]` with values in -1 to 1, at the size of the layout.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if a side is no multiple of 2 to the number of downsamplings or too
    /// small, or the layout does not fit.
    pub fn forward(&self, guide: &Guide, mode: Mode) -> Result<Tensor<4>> {
        let layout = &guide.layout;
        super::check_layout(layout, self.labels, self.edges, 1 << self.down.len())?;
        let [height, width] = layout.size();
        // Reflection needs a pixel beside the edge, at the size of the blocks and at full size.
        let least = (2usize << self.down.len()).max(4);
        check(height.min(width) >= least, || format!("{width}x{height} is too small: sides must be {least} or more"))?;
        let norm = |x| relu(instance_norm(x));
        let semantics = layout.at(height, width).semantics();
        let mut x = norm(self.first.forward(reflect(semantics, 3), mode));
        for conv in &self.down {
            x = norm(conv.forward(x, mode));
        }
        for PlainBlock { conv_0, conv_1 } in &self.blocks {
            let dx = norm(conv_0.forward(reflect(x.clone(), 1), mode));
            x = x + instance_norm(conv_1.forward(reflect(dx, 1), mode));
        }
        for conv in &self.up {
            x = norm(conv.forward(x, mode));
        }
        Ok(self.last.forward(reflect(x, 3), mode).tanh())
    }

    /// The same network for inference: spectral norms are divided in.
    #[must_use]
    pub fn folded(self) -> Self {
        let block = |PlainBlock { conv_0, conv_1 }| PlainBlock { conv_0: conv_0.folded(), conv_1: conv_1.folded() };
        Self {
            first: self.first.folded(),
            down: self.down.into_iter().map(Conv::folded).collect(),
            blocks: self.blocks.into_iter().map(block).collect(),
            up: self.up.into_iter().map(ConvTranspose::folded).collect(),
            ..self
        }
    }
}
