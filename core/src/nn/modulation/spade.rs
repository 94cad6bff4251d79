//! SPADE: spatially-adaptive modulation (Park et al. 2019, §3).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::nn::layout::Level;
use crate::nn::{Conv, ConvConfig, Init, Lookup, Mode};

/// Channels of the hidden map between label map and modulation; fixed in the paper.
const HIDDEN: usize = 128;

/// `y = n (1 + gamma) + beta`, where gamma and beta are two convolutions of a rectified convolution of the one-hot map.
#[derive(Module, Debug)]
pub struct Spade {
    mlp_shared: Conv,
    mlp_gamma: Conv,
    mlp_beta: Conv,
    kernel: usize,
}

impl Spade {
    pub(super) fn new(init: &mut Init, kernel: usize, channels: usize, label_channels: usize) -> Self {
        Self {
            mlp_shared: ConvConfig::new(label_channels, HIDDEN, kernel).init(init),
            mlp_gamma: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            mlp_beta: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            kernel,
        }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, level: &Level, lookup: Lookup) -> Tensor<4> {
        // None of these convolutions has spectral norm, so the mode does not matter to them.
        let hidden = match lookup {
            Lookup::Dense => self.mlp_shared.forward(level.one_hot(), Mode::EVAL),
            Lookup::Gather => self.gather_hidden(level),
        };
        let hidden = relu(hidden);
        let gamma = self.mlp_gamma.forward(hidden.clone(), Mode::EVAL);
        let beta = self.mlp_beta.forward(hidden, Mode::EVAL);
        normalized * (gamma + 1.0) + beta
    }

    /// A convolution of a one-hot map only ever adds up one weight column per tap: look them up.
    fn gather_hidden(&self, level: &Level) -> Tensor<4> {
        let weight = self.mlp_shared.weight();
        let [hidden, channels, _, _] = weight.dims();
        // A column of zeros stands for pixels outside of the picture.
        let outside = Tensor::zeros([hidden, 1], &weight.device());
        let mut sum: Option<Tensor<2>> = None;
        for (tap, ids) in level.taps(self.kernel).iter().enumerate() {
            let (dy, dx) = (tap / self.kernel, tap % self.kernel);
            let columns = weight.clone().slice([0..hidden, 0..channels, dy..dy + 1, dx..dx + 1]);
            let table = Tensor::cat(vec![columns.reshape([hidden, channels]), outside.clone()], 1);
            let term = table.select(1, ids.clone());
            sum = Some(match sum {
                Some(sum) => sum + term,
                None => term,
            });
        }
        let sum = sum.unwrap_or_else(|| Tensor::zeros([hidden, 1], &weight.device()));
        let sum = match self.mlp_shared.bias() {
            Some(bias) => sum + bias.reshape([hidden, 1]),
            None => sum,
        };
        level.unflatten(sum)
    }
}
