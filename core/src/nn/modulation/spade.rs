//! SPADE: spatially-adaptive modulation (Park et al. 2019, §3).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::nn::layout::Level;
use crate::nn::{Conv, ConvConfig, Init, Layout, Lookup, Mode};

/// Channels of the hidden map between label map and modulation; fixed in the paper.
const HIDDEN: usize = 128;

/// `y = n (1 + gamma) + beta`, where gamma and beta are two convolutions of a rectified convolution of the label map.
#[derive(Module, Debug)]
pub struct Spade {
    mlp_shared: Conv,
    mlp_gamma: Conv,
    mlp_beta: Conv,
    kernel: usize,
}

impl Spade {
    /// For a semantic input of `semantics` channels.
    pub(super) fn new(init: &mut Init, kernel: usize, channels: usize, semantics: usize) -> Self {
        Self {
            mlp_shared: ConvConfig::new(semantics, HIDDEN, kernel).init(init),
            mlp_gamma: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            mlp_beta: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            kernel,
        }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, layout: &Layout) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let [gamma, beta] = self.gamma_beta(&layout.at(height, width), layout.lookup());
        normalized * (gamma + 1.0) + beta
    }

    /// Gamma and beta, each `[batch, channels, height, width]`.
    pub(super) fn gamma_beta(&self, level: &Level, lookup: Lookup) -> [Tensor<4>; 2] {
        // None of these convolutions has spectral norm, so the mode does not matter to them.
        let hidden = match lookup {
            Lookup::Dense => self.mlp_shared.forward(level.semantics(), Mode::EVAL),
            Lookup::Gather => self.gather_hidden(level),
        };
        let hidden = relu(hidden);
        [self.mlp_gamma.forward(hidden.clone(), Mode::EVAL), self.mlp_beta.forward(hidden, Mode::EVAL)]
    }

    /// A convolution of a one-hot map only ever adds up one weight column per tap: look them up. Edges, if there are
    /// some, are one channel to convolve.
    fn gather_hidden(&self, level: &Level) -> Tensor<4> {
        let weight = self.mlp_shared.weight();
        let [hidden, channels, kernel, _] = weight.dims();
        let (labels, edges) = match level.edges() {
            Some(edges) => {
                let labels = weight.clone().slice([0..hidden, 0..channels - 1]);
                let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], 1);
                (labels, Some(conv2d(edges, weight.slice([0..hidden, channels - 1..channels]), None, options)))
            }
            None => (weight, None),
        };
        let mut sum = level.convolve(labels);
        if let Some(edges) = edges {
            sum = sum + edges;
        }
        match self.mlp_shared.bias() {
            Some(bias) => sum + bias.reshape([1, hidden, 1, 1]),
            None => sum,
        }
    }
}
