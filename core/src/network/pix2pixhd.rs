//! The generators of pix2pixHD (Wang et al. 2018, §3.2), a baseline: the global one, alone or within a local
//! enhancer.

use std::collections::BTreeSet;
use std::iter;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use serde::{Deserialize, Serialize};

use super::{FeatureEncoder, StyleConfig, check};
use crate::error::{Error, Result};
use crate::nn::input::BlockInput;
use crate::nn::modulation::{self, ModulationConfig, ModulationKind, Needs};
use crate::nn::{
    Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, GeneratorInput, Init, Mode, ModulatedNorm, NormKind,
    instance_norm, reflect,
};

/// Configuration of a pix2pixHD generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pix2PixHdConfig {
    /// Channels of the global generator's first layer; 64 in the paper. 1 to 256; even with a local enhancer.
    pub ngf: usize,
    /// Number of strided convolutions, and of upsamplings after the blocks; 4 in the paper. 1 to 6.
    pub downsamplings: usize,
    /// Residual blocks; 9 in the paper. 0 to 32.
    pub blocks: usize,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Whether a channel of instance edges follows the label channels.
    #[serde(default)]
    pub instance_edges: bool,
    /// Number of residual blocks of the local enhancer (3 in the paper, 0 to 32); `None` for no enhancer. With an
    /// enhancer, the global generator works at half the size, and the enhancer, with half as many channels, at full
    /// size.
    #[serde(default)]
    pub enhancer_blocks: Option<usize>,
    /// Features of each pixel that follow the label channels (§3.4): the style of its class, or in training the mean of the
    /// encoder's features over its object. The paper has 3 features and an encoder of width 16.
    #[serde(default)]
    pub features: StyleConfig,
    /// Whether to use the "pix2pixHD++" that Park et al. 2019 compare with: spectral norm, and no bias before
    /// instance norm.
    #[serde(default)]
    pub spectral: bool,
    /// The modulation of every instance norm of the global generator; `None` for none. With [`ModulationKind::Spade`] and `spectral`
    /// it is the "pix2pixHD++ with SPADE" of the same paper (table 4).
    #[serde(default)]
    pub modulation: Option<ModulationKind>,
}

impl Pix2PixHdConfig {
    /// The paper's global generator.
    pub fn new(ngf: usize, label_channels: usize) -> Self {
        let (downsamplings, blocks, enhancer_blocks) = (4, 9, None);
        Self {
            ngf,
            downsamplings,
            blocks,
            label_channels,
            instance_edges: false,
            enhancer_blocks,
            features: StyleConfig::None,
            spectral: false,
            modulation: None,
        }
    }

    /// Picture sides must be multiples of this.
    pub fn stride(&self) -> usize {
        1 << (self.downsamplings + usize::from(self.enhancer_blocks.is_some()))
    }

    /// The smallest picture side: reflection padding needs a pixel next to the edge, also at the resolution of the
    /// blocks.
    pub fn least_side(&self) -> usize {
        (2 * self.stride()).max(4)
    }

    /// What its modulated norms have in common.
    fn norms(&self) -> ModulationConfig {
        ModulationConfig { norm: NormKind::Instance, labels: self.label_channels, edges: self.instance_edges, style: 0 }
    }

    /// Inputs that it needs besides label maps and styles.
    pub(super) fn needs(&self) -> Needs {
        self.modulation.map_or(Needs::default(), |kind| kind.facts().needs())
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
        if let Some(local) = self.enhancer_blocks {
            check(local <= 32, || format!("{local} residual blocks of the enhancer: it must be 0 to 32"))?;
            check(ngf.is_multiple_of(2), || format!("ngf is {ngf}: with a local enhancer it must be even"))?;
            check(!self.spectral, || "a local enhancer has no spectral norm".into())?;
            check(self.modulation.is_none(), || "a local enhancer has no modulation".into())?;
        }
        if let Some(facts) = self.modulation.map(ModulationKind::facts) {
            let (config, name) = (self.norms(), facts.name());
            facts.validate(&config)?;
            let plain = facts.extra_channels(&config) == 0 && !facts.needs().styles && !facts.needs().noise;
            check(plain, || {
                format!("pix2pixHD takes no modulation {name}: only those without further channels, styles and noise")
            })?;
        }
        match &self.features {
            StyleConfig::None => {}
            StyleConfig::Regions { length, encoder } => {
                check((1..=64).contains(length), || format!("{length} instance features: it must be 1 to 64"))?;
                check(encoder.is_none_or(|width| (1..=256).contains(&width)), || {
                    "the width of the encoder of instance features must be 1 to 256".into()
                })?;
                // The encoder halves the size as often as this.
                check(encoder.is_none() || self.stride().is_multiple_of(FeatureEncoder::STRIDE), || {
                    format!("instance features need at least {} downsamplings", FeatureEncoder::STRIDE.ilog2())
                })?;
            }
            StyleConfig::Latent { .. } => check(false, || "pix2pixHD takes no latent vector".into())?,
        }
        check((1..=1024).contains(labels), || format!("{labels} label channels: it must be 1 to 1024"))
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Pix2PixHd> {
        self.validate()?;
        let features = self.features.region_length();
        let semantics = self.label_channels + usize::from(self.instance_edges) + features;
        let trunk = self.trunk(init, semantics);
        let last = |init: &mut Init, width| ConvConfig::new(width, 3, 7).padding(0).init(init);
        let (local, last) = match self.enhancer_blocks {
            None => (None, last(init, self.ngf)),
            Some(blocks) => {
                let (narrow, wide) = (self.ngf / 2, self.ngf);
                let enhancer = Enhancer {
                    first: ConvConfig::new(semantics, narrow, 7).padding(0).init(init),
                    down: ConvConfig::new(narrow, wide, 3).stride(2).init(init),
                    blocks: (0..blocks).map(|_| self.block(init, wide)).collect(),
                    up: ConvTransposeConfig::new(wide, narrow, 3).init(init),
                };
                (Some(enhancer), last(init, narrow))
            }
        };
        let (stride, least) = (self.stride(), self.least_side());
        let (labels, edges) = (self.label_channels, self.instance_edges);
        Ok(Pix2PixHd { trunk, local, last, labels, edges, features, stride, least })
    }

    fn trunk(&self, init: &mut Init, semantics: usize) -> Trunk {
        let up = |config: ConvTransposeConfig| if self.spectral { config.without_bias().spectral() } else { config };
        let widths: Vec<usize> = (0..=self.downsamplings).map(|level| self.ngf << level).collect();
        let deepest = self.ngf << self.downsamplings;
        let pairs = || widths.iter().copied().zip(widths.iter().copied().skip(1));
        let config = self.norms();
        let norms = match self.modulation {
            Some(kind) => {
                let blocks = iter::repeat_n(deepest, 2 * self.blocks);
                let channels = widths.iter().copied().chain(blocks).chain(widths.iter().copied().rev().skip(1));
                channels.map(|channels| ModulatedNorm::new(init, kind, &config, channels, None)).collect()
            }
            None => Vec::new(),
        };
        Trunk {
            norms,
            first: self.conv(ConvConfig::new(semantics, self.ngf, 7).padding(0)).init(init),
            down: pairs()
                .map(|(wide, narrow)| self.conv(ConvConfig::new(wide, narrow, 3).stride(2)).init(init))
                .collect(),
            blocks: (0..self.blocks).map(|_| self.block(init, deepest)).collect(),
            up: pairs().rev().map(|(outer, inner)| up(ConvTransposeConfig::new(inner, outer, 3)).init(init)).collect(),
        }
    }

    /// Adapts a convolution to the variant: spectral norm and bias.
    fn conv(&self, config: ConvConfig) -> ConvConfig {
        if self.spectral { config.without_bias().spectral() } else { config }
    }

    fn block(&self, init: &mut Init, width: usize) -> PlainBlock {
        let mut layer = || self.conv(ConvConfig::new(width, width, 3).padding(0)).init(init);
        PlainBlock { conv_0: layer(), conv_1: layer() }
    }
}

/// Generates a picture from a label map; only the first layers see the label map.
#[derive(Module, Debug)]
pub struct Pix2PixHd {
    trunk: Trunk,
    local: Option<Enhancer>,
    last: Conv,
    labels: usize,
    edges: bool,
    features: usize,
    stride: usize,
    least: usize,
}

/// The global generator without its output layer: downsampling, residual blocks, upsampling.
#[derive(Module, Debug)]
struct Trunk {
    first: Conv,
    down: Vec<Conv>,
    blocks: Vec<PlainBlock>,
    up: Vec<ConvTranspose>,
    /// In the order they run; none if they are not modulated.
    norms: Vec<ModulatedNorm>,
}

/// Adds detail at full size to the global generator's features, which have half the size.
#[derive(Module, Debug)]
struct Enhancer {
    first: Conv,
    down: Conv,
    blocks: Vec<PlainBlock>,
    up: ConvTranspose,
}

/// Two convolutions with a shortcut.
#[derive(Module, Debug)]
struct PlainBlock {
    conv_0: Conv,
    conv_1: Conv,
}

impl Pix2PixHd {
    /// Synthesizes pictures `[batch, 3, height, width]` with values in -1 to 1, from label maps of that batch, height
    /// and width.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if a side is not a multiple of the stride or too small, or the
    /// layout does not fit.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// Like [`forward`](Self::forward); `step` gets the fraction done, 0 to 1, between layers, and may end it with an
    /// error.
    pub(crate) fn forward_by_steps(
        &self,
        input: &GeneratorInput,
        mode: Mode,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Tensor<4>> {
        let (layout, least) = (&input.layout, self.least);
        super::check_layout(layout, self.labels, self.edges, self.stride)?;
        let [height, width] = layout.size();
        check(height.min(width) >= least, || format!("{width}x{height} is too small: sides must be {least} or more"))?;
        super::check_one_hot(layout)?;
        let semantics = self.with_features(layout.at(height, width).semantics(), input)?;
        let layers = self.trunk.layers() + self.local.as_ref().map_or(0, Enhancer::layers) + 1;
        let mut done = 0;
        let mut step = || {
            done += 1;
            step((done - 1) as f32 / layers as f32)
        };
        let features = match &self.local {
            None => self.trunk.forward(semantics, input.of_block(0), mode, &mut step)?,
            Some(local) => {
                let options = AvgPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
                let half = avg_pool2d(semantics.clone(), options.with_count_include_pad(false));
                let global = self.trunk.forward(half, input.of_block(0), mode, &mut step)?;
                local.forward(semantics, global, mode, &mut step)?
            }
        };
        step()?;
        Ok(self.last.forward(reflect(features, 3), mode).tanh())
    }

    /// The semantic input followed by the features of each pixel, if the network takes them.
    fn with_features(&self, semantics: Tensor<4>, input: &GeneratorInput) -> Result<Tensor<4>> {
        if self.features == 0 {
            return Ok(semantics);
        }
        let [batch, _, height, width] = semantics.dims();
        let features = match (&input.features, input.styles.as_ref().and_then(|styles| styles.of(0))) {
            (Some(features), _) => features.clone(),
            (None, Some(styles)) => {
                let pixels = input.layout.at(height, width).one_hot().reshape([batch, self.labels, height * width]);
                let fits = styles.dims() == [batch, self.labels, self.features];
                check(fits, || format!("styles of shape {:?} do not fit this network", styles.dims()))?;
                styles.clone().swap_dims(1, 2).matmul(pixels).reshape([batch, self.features, height, width])
            }
            (None, None) => return Err(Error::Argument("pix2pixHD with instance features needs a style".into())),
        };
        let (found, expected) = (features.dims(), [batch, self.features, height, width]);
        check(found == expected, || format!("features of shape {found:?}: this network takes {expected:?}"))?;
        Ok(Tensor::cat(vec![semantics, features], 1))
    }

    /// The same network for inference, with spectral norms (only the variant without enhancer has them) folded into
    /// the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { trunk: self.trunk.folded(), ..self }
    }
}

impl Trunk {
    fn forward(
        &self,
        semantics: Tensor<4>,
        input: BlockInput<'_>,
        mode: Mode,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Tensor<4>> {
        let mut norms = self.norms.iter();
        let mut norm = |x: Tensor<4>| match norms.next() {
            Some(norm) => norm.forward(x, input, mode, false),
            None => instance_norm(x),
        };
        step()?;
        let mut x = relu(norm(self.first.forward(reflect(semantics, 3), mode)));
        for conv in &self.down {
            step()?;
            x = relu(norm(conv.forward(x, mode)));
        }
        for block in &self.blocks {
            step()?;
            x = block.forward(x, mode, &mut norm);
        }
        for conv in &self.up {
            step()?;
            x = relu(norm(conv.forward(x, mode)));
        }
        Ok(x)
    }

    /// How often [`forward`](Self::forward) calls `step`.
    fn layers(&self) -> usize {
        1 + self.down.len() + self.blocks.len() + self.up.len()
    }

    fn folded(self) -> Self {
        Self {
            first: self.first.folded(),
            down: self.down.into_iter().map(Conv::folded).collect(),
            blocks: self.blocks.into_iter().map(PlainBlock::folded).collect(),
            up: self.up.into_iter().map(ConvTranspose::folded).collect(),
            norms: self.norms,
        }
    }
}

impl Enhancer {
    /// `semantics` is `[batch, semantics, h, w]`, `global` the global generator's features at half that height and
    /// width.
    fn forward(
        &self,
        semantics: Tensor<4>,
        global: Tensor<4>,
        mode: Mode,
        step: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Tensor<4>> {
        step()?;
        let x = relu(instance_norm(self.first.forward(reflect(semantics, 3), mode)));
        let mut x = relu(instance_norm(self.down.forward(x, mode))) + global;
        for block in &self.blocks {
            step()?;
            x = block.forward(x, mode, &mut instance_norm);
        }
        step()?;
        Ok(relu(instance_norm(self.up.forward(x, mode))))
    }

    /// How often [`forward`](Self::forward) calls `step`.
    fn layers(&self) -> usize {
        2 + self.blocks.len()
    }
}

impl PlainBlock {
    fn forward(&self, x: Tensor<4>, mode: Mode, norm: &mut dyn FnMut(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let dx = relu(norm(self.conv_0.forward(reflect(x.clone(), 1), mode)));
        x + norm(self.conv_1.forward(reflect(dx, 1), mode))
    }

    fn folded(self) -> Self {
        Self { conv_0: self.conv_0.folded(), conv_1: self.conv_1.folded() }
    }
}

/// The official name of a layer from its path: an index into a long sequence. In pix2pixHD's own code, convolution,
/// norm and activation are three entries; in that of SPADE, recognised by the missing biases, convolution and norm
/// are one.
pub(super) fn official_name(parts: &[&str], known: &BTreeSet<&str>) -> Option<String> {
    let there = |path: String| known.contains(format!("generator.Pix2PixHd.{path}").as_str());
    let plus_plus = !there("trunk.first.bias".into());
    let count = |path: &dyn Fn(usize) -> String| (0..known.len()).take_while(|&index| there(path(index))).count();
    let local = there("local.first.weight".into());
    let (step, inner) = if plus_plus { (2, ".0") } else { (3, "") };
    let index = |text: &str| text.parse().unwrap_or(0usize);
    let in_block = |conv: &str| match (conv, plus_plus) {
        ("conv_0", _) => 1,
        (_, true) => 4,
        (_, false) => 5,
    };
    // A padding layer, then the first layer.
    let downs = 1 + step;
    let down = count(&|index| format!("trunk.down.{index}.weight"));
    let first_block = downs + step * down;
    let ups = first_block + count(&|index| format!("trunk.blocks.{index}.conv_0.weight"));
    let local_blocks = count(&|index| format!("local.blocks.{index}.conv_0.weight"));
    let name = match parts {
        ["trunk", "first"] => format!("model.1{inner}"),
        ["trunk", "down", i] => format!("model.{}{inner}", downs + step * index(i)),
        ["trunk", "blocks", i, conv] => {
            format!("model.{}.conv_block.{}{inner}", first_block + index(i), in_block(conv))
        }
        ["trunk", "up", i] => format!("model.{}{inner}", ups + step * index(i)),
        ["local", "first"] => "model1_1.1".into(),
        ["local", "down"] => "model1_1.4".into(),
        ["local", "blocks", i, conv] => format!("model1_2.{i}.conv_block.{}", in_block(conv)),
        ["local", "up"] => format!("model1_2.{local_blocks}"),
        // No published code has these.
        ["trunk", "norms", i, "modulation", variant, path @ ..] => {
            let layer = modulation::official_name(variant, path)?;
            format!("norm.{i}{}{layer}", if layer.is_empty() { "" } else { "." })
        }
        ["last"] if local => format!("model1_2.{}", local_blocks + 4),
        ["last"] => format!("model.{}", ups + step * down + 1),
        _ => return None,
    };
    Some(name)
}
