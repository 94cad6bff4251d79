//! SEAN: semantic region-adaptive modulation (Zhu et al. 2020, §3).

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};

use super::{ModulationConfig, Spade};
use crate::nn::guide::Surroundings;
use crate::nn::layout::Level;
use crate::nn::{Conv, ConvConfig, Init, Linear, Lookup, Mode};

/// `y = n (1 + gamma) + beta` over noisy features, where gamma and beta are mixed from those of [`Spade`] and those of a
/// style per class.
///
/// The papers' code calls a norm with this modulation ACE.
#[derive(Module, Debug)]
pub struct Sean {
    /// `[1]`; how much gamma comes from the style, before a sigmoid.
    blending_gamma: Param<Tensor<1>>,
    /// `[1]`; how much beta comes from the style, before a sigmoid.
    blending_beta: Param<Tensor<1>>,
    /// `[channels]`; how strong the noise is.
    noise_var: Param<Tensor<1>>,
    spade: Spade,
    style: Option<StyleBranch>,
    draw: usize,
}

/// Gamma and beta out of a style per class: each class's vector goes through a layer of its own and is then spread over
/// the pixels of the class and convolved.
#[derive(Module, Debug)]
pub struct StyleBranch {
    fc_mu: Vec<Linear>,
    conv_gamma: Conv,
    conv_beta: Conv,
}

impl Sean {
    pub(super) fn new(init: &mut Init, channels: usize, config: &ModulationConfig, draw: usize) -> Self {
        let length = config.style;
        Self {
            blending_gamma: init.zeros([1]),
            blending_beta: init.zeros([1]),
            noise_var: init.zeros([channels]),
            spade: Spade::new(init, 3, channels, config.semantics()),
            style: (length > 0).then(|| StyleBranch {
                fc_mu: (0..config.labels).map(|_| Linear::new(init, length, length)).collect(),
                conv_gamma: ConvConfig::new(length, channels, 3).init(init),
                conv_beta: ConvConfig::new(length, channels, 3).init(init),
            }),
            draw,
        }
    }

    /// Features with noise, one value per pixel, scaled per channel.
    pub(super) fn disturb(&self, x: Tensor<4>, around: Surroundings<'_>) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        match around.noise.map(self.draw, around.layout, [height, width]) {
            Some(noise) => x + noise * self.noise_var.val().reshape([1, channels, 1, 1]),
            None => x,
        }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, around: Surroundings<'_>) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let level = around.layout.at(height, width);
        let lookup = around.layout.lookup();
        let [mut gamma, mut beta] = self.spade.gamma_beta(&level, lookup);
        if let (Some(branch), Some(style)) = (&self.style, around.style) {
            let [style_gamma, style_beta] = branch.gamma_beta(style, &level, lookup);
            gamma = mix(&self.blending_gamma, style_gamma, gamma);
            beta = mix(&self.blending_beta, style_beta, beta);
        }
        normalized * (gamma + 1.0) + beta
    }
}

/// `a` and `b`, weighted by a sigmoid and what is left to 1.
fn mix(blending: &Param<Tensor<1>>, a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let weight: Tensor<4> = sigmoid(blending.val()).reshape([1, 1, 1, 1]);
    b.clone() + (a - b) * weight
}

impl StyleBranch {
    /// Gamma and beta, each `[batch, channels, height, width]`, of styles `[batch, classes, length]`.
    fn gamma_beta(&self, style: &Tensor<3>, level: &Level, lookup: Lookup) -> [Tensor<4>; 2] {
        let [batch, classes, length] = style.dims();
        let mut vectors = Vec::with_capacity(classes);
        for (class, layer) in self.fc_mu.iter().enumerate() {
            let vector: Tensor<2> = style.clone().narrow(1, class, 1).reshape([batch, length]);
            vectors.push(relu(layer.forward(vector)));
        }
        // [batch, length, classes]
        let vectors: Tensor<3> = Tensor::stack(vectors, 2);
        let convs = [&self.conv_gamma, &self.conv_beta];
        if lookup == Lookup::Gather && batch == 1 {
            let vectors: Tensor<2> = vectors.reshape([length, classes]);
            return convs.map(|conv| collapsed(conv, vectors.clone(), level));
        }
        // A map of vectors: each pixel has that of its class.
        let [_, _, height, width] = level.one_hot().dims();
        let pixels = level.one_hot().reshape([batch, classes, height * width]);
        let map = vectors.matmul(pixels).reshape([batch, length, height, width]);
        convs.map(|conv| conv.forward(map.clone(), Mode::EVAL))
    }
}

/// The convolution of a map of class vectors, `[length, classes]`, is a convolution of the one-hot map with a kernel that
/// has `classes` input channels instead of `length`: the vectors multiply the weight once, not every pixel.
fn collapsed(conv: &Conv, vectors: Tensor<2>, level: &Level) -> Tensor<4> {
    let weight = conv.weight();
    let [out, length, kernel, _] = weight.dims();
    let classes = vectors.dims()[1];
    let columns = weight.permute([0, 2, 3, 1]).reshape([out * kernel * kernel, length]);
    let weight = columns.matmul(vectors).reshape([out, kernel, kernel, classes]).permute([0, 3, 1, 2]);
    let y = level.convolve(weight);
    match conv.bias() {
        Some(bias) => y + bias.reshape([1, out, 1, 1]),
        None => y,
    }
}
