//! The multi-scale patch discriminator (Wang et al. 2018, §3.2; with spectral norm as in Park et al. 2019).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use serde::{Deserialize, Serialize};

use crate::nn::{Conv, ConvConfig, Init, Mode, instance_norm, leaky_relu};

/// Kinds of discriminators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiscriminatorKind {
    /// [`Discriminator`]: it rates patches of a picture, given its label map.
    #[default]
    Patches,
    /// [`SegmentationDiscriminator`](super::SegmentationDiscriminator): it tells the class of each pixel. Of the
    /// configuration, only `ndf` applies, and there is no feature matching.
    Segmentation,
}

/// Configuration of a discriminator. The defaults are those of the papers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiscriminatorConfig {
    /// The kind of discriminator.
    pub kind: DiscriminatorKind,
    /// Channels of the first layer; of the last block for [`DiscriminatorKind::Segmentation`].
    pub ndf: usize,
    /// Number of scales; each works at half the resolution of the previous one.
    pub scales: usize,
    /// Number of layers before the output layer.
    pub layers: usize,
    /// Whether the last of them is strided like the others. SEAN's code uses this older form, with three layers
    /// ([`sean`](Self::sean)).
    pub all_strided: bool,
    /// Whether the layers between the first and the output have spectral norm, as in SPADE's paper; pix2pixHD's has none.
    pub spectral: bool,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self { kind: DiscriminatorKind::Patches, ndf: 64, scales: 2, layers: 4, all_strided: false, spectral: true }
    }
}

impl DiscriminatorConfig {
    /// The older discriminator of SEAN's code.
    pub fn sean() -> Self {
        Self { layers: 3, all_strided: true, ..Self::default() }
    }

    /// Makes the network that rates patches, for inputs of `input` channels: the semantic channels and the three of the picture.
    pub fn init(&self, init: &mut Init, input: usize) -> Discriminator {
        let mut patch = || {
            let mut channels = self.ndf;
            let layer = |conv: ConvConfig, norm, activation| (conv.padding(2), norm, activation);
            let mut plan = vec![layer(ConvConfig::new(input, channels, 4).stride(2), false, true)];
            for index in 1..self.layers {
                let next = (channels * 2).min(512);
                let stride = if index + 1 == self.layers && !self.all_strided { 1 } else { 2 };
                let conv = ConvConfig::new(channels, next, 4).stride(stride);
                let conv = if self.spectral { conv.without_bias().spectral() } else { conv };
                plan.push(layer(conv, true, true));
                channels = next;
            }
            plan.push(layer(ConvConfig::new(channels, 1, 4), false, false));
            let layers =
                plan.into_iter().map(|(conv, norm, activation)| Layer { conv: conv.init(init), norm, activation });
            PatchDiscriminator { layers: layers.collect() }
        };
        Discriminator { scales: (0..self.scales).map(|_| patch()).collect() }
    }
}

/// Rates patches of a picture at several scales, given its label map.
#[derive(Module, Debug)]
pub struct Discriminator {
    scales: Vec<PatchDiscriminator>,
}

impl Discriminator {
    /// `x` is `[batch, semantics + 3, height, width]`: one-hot labels (and edges), then the picture. Returns the
    /// output of every layer for each scale, each `[batch, channels, h, w]`, first layer first. A strided layer maps
    /// a side `n` to `n / 2 + 1`, any other to `n + 1`. The last output of a scale, `[batch, 1, h, w]`, holds one
    /// unbounded score per patch.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Vec<Vec<Tensor<4>>> {
        let mut x = x;
        let mut outputs = Vec::with_capacity(self.scales.len());
        for (index, scale) in self.scales.iter().enumerate() {
            if index > 0 {
                let options = AvgPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
                x = avg_pool2d(x, options.with_count_include_pad(false));
            }
            outputs.push(scale.forward(x.clone(), mode));
        }
        outputs
    }
}

#[derive(Module, Debug)]
struct PatchDiscriminator {
    layers: Vec<Layer>,
}

impl PatchDiscriminator {
    fn forward(&self, x: Tensor<4>, mode: Mode) -> Vec<Tensor<4>> {
        let mut features: Vec<Tensor<4>> = Vec::with_capacity(self.layers.len());
        let mut x = x;
        for layer in &self.layers {
            x = layer.forward(x, mode);
            features.push(x.clone());
        }
        features
    }
}

#[derive(Module, Debug)]
struct Layer {
    conv: Conv,
    norm: bool,
    activation: bool,
}

impl Layer {
    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let x = self.conv.forward(x, mode);
        let x = if self.norm { instance_norm(x) } else { x };
        if self.activation { leaky_relu(x) } else { x }
    }
}

/// The official name of a layer from its path. Layers with spectral norm are followed by instance norm, which nests
/// them in one more sequence.
pub(super) fn official_name(parts: &[&str], spectral: bool) -> Option<String> {
    let ["scales", scale, "layers", index, "conv"] = parts else { return None };
    let deeper = if spectral { ".0" } else { "" };
    Some(format!("discriminator_{scale}.model{index}.0{deeper}"))
}
