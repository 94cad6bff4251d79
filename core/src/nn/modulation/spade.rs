//! SPADE: spatially-adaptive modulation (Park et al. 2019, §3).

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor};

use super::Rows;
use crate::nn::layout::Level;
use crate::nn::{Conv, ConvConfig, Init, Layout, Lookup, Mode, as_type_of, gpu};

/// Channels of the hidden map between label map and modulation; fixed in the paper.
const HIDDEN: usize = 128;

/// Values that the products of all patches may have: 64 MB, as graphics drivers bound what a kernel can see at a time.
const MOST_PRODUCTS: usize = 16 << 20;

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

    /// Gamma and beta of each distinct patch, where they are few: their products are taken once for each 3x3 patch and summed
    /// for each 5x5 patch.
    pub(super) fn rows(&self, level: &Level) -> Option<Rows> {
        if self.kernel != 3 {
            return None;
        }
        let patches = level.patches()?;
        let [n3, _] = patches.distinct;
        let [channels, ..] = self.mlp_gamma.weight().dims();
        if 9 * n3 * channels > MOST_PRODUCTS {
            return None;
        }
        let [hidden, semantics, ..] = self.mlp_shared.weight().dims();
        let mut shared: Tensor<3> = rows_first(self.mlp_shared.weight());
        if level.edges().is_some() {
            // A label at an edge is a class of its own, whose weights have the edge's in them.
            let (labels, edge) = (shared.clone().narrow(1, 0, semantics - 1), shared.narrow(1, semantics - 1, 1));
            shared = Tensor::cat(vec![labels.clone(), labels + edge], 1);
        }
        let classes = shared.dims()[1];
        let bias = self.mlp_shared.bias()?;
        let hidden_rows = gpu::sum_rows(shared.reshape([9 * classes, hidden]), patches.labels.clone(), bias, true);
        let left: Tensor<3> = hidden_rows.unsqueeze::<3>().expand([9, n3, hidden]);
        let table = |conv: &Conv, one: f32| {
            let products = left.clone().matmul(rows_first(conv.weight())).reshape([9 * n3, channels]);
            let bias = conv.bias()?.cast(DType::F32) + one;
            Some(gpu::sum_rows(products, patches.nine.clone(), bias, false))
        };
        let tables = [table(&self.mlp_gamma, 1.0)?, table(&self.mlp_beta, 0.0)?];
        Some(Rows { tables, ids: patches.of_pixels.clone() })
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
                let edges = as_type_of(&weight, edges);
                (labels, Some(conv2d(edges, weight.slice([0..hidden, channels - 1..channels]), None, options)))
            }
            None => (weight, None),
        };
        let sum = level.convolve(labels, self.mlp_shared.bias());
        match edges {
            Some(edges) => sum + edges,
            None => sum,
        }
    }
}

/// A weight `[out, in, k, k]` as `[k * k, in, out]`: no copy where it is laid out for kernels.
pub(super) fn rows_first(weight: Tensor<4>) -> Tensor<3> {
    let [out, input, rows, columns] = weight.dims();
    weight.permute([2, 3, 1, 0]).reshape([rows * columns, input, out])
}
