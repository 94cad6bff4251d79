//! Reference implementation of SPADE in Burn operations, and its GPU tables.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor};
use semsynth_kernels::HIDDEN;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Conv, ConvConfig, Init, LabelEncoding, Mode, as_type_of, gpu};

/// Most values that the products of all patches may have: 64 MB, because graphics drivers limit the size of a buffer.
const MOST_PRODUCTS: usize = 16 << 20;

/// `y = n (1 + gamma) + beta`, where gamma and beta are convolutions of a hidden layer: a convolution of the label
/// map with ReLU.
#[derive(Module, Debug)]
pub struct Spade {
    mlp_shared: Conv,
    mlp_gamma: Conv,
    mlp_beta: Conv,
    kernel: usize,
}

impl Layer for Spade {
    type Facts = Facts;

    fn new(init: &mut Init, facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        Self::with_kernel(init, facts.kernel, channels, config.semantics())
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let [gamma, beta] = self.gamma_beta(&input.layout.at(height, width), input.layout.encoding());
        normalized * (gamma + 1.0) + beta
    }

    fn tables(&self, labels: &LabelTensors, _style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        self.patch_tables(labels)
    }
}

impl Spade {
    /// Makes a layer for a semantic input with `semantics` channels.
    pub(in super::super) fn with_kernel(init: &mut Init, kernel: usize, channels: usize, semantics: usize) -> Self {
        Self {
            mlp_shared: ConvConfig::new(semantics, HIDDEN, kernel).init(init),
            mlp_gamma: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            mlp_beta: ConvConfig::new(HIDDEN, channels, kernel).init(init),
            kernel,
        }
    }

    /// Gamma and beta, each `[batch, channels, height, width]`.
    pub(in super::super) fn gamma_beta(&self, labels: &LabelTensors, encoding: LabelEncoding) -> [Tensor<4>; 2] {
        // None of these convolutions has spectral norm, so any mode will do.
        let hidden = match encoding {
            LabelEncoding::OneHot => self.mlp_shared.forward(labels.semantics(), Mode::EVAL),
            LabelEncoding::Indexed => self.indexed_hidden(labels),
        };
        let hidden = relu(hidden);
        [self.mlp_gamma.forward(hidden.clone(), Mode::EVAL), self.mlp_beta.forward(hidden, Mode::EVAL)]
    }

    /// Gamma and beta of each distinct patch, if there are few: products are computed once for each 3x3 patch and
    /// summed for each 5x5 patch.
    pub(in super::super) fn patch_tables(&self, labels: &LabelTensors) -> Option<ModulationTables> {
        if self.kernel != 3 {
            return None;
        }
        let patches = labels.patches()?;
        let [n3, _] = patches.distinct;
        let [channels, ..] = self.mlp_gamma.weight().dims();
        if 9 * n3 * channels > MOST_PRODUCTS {
            return None;
        }
        let [hidden, semantics, ..] = self.mlp_shared.weight().dims();
        let mut shared: Tensor<3> = rows_first(self.mlp_shared.weight());
        if labels.edges().is_some() {
            // A label with an instance edge counts as a separate class, whose weight includes that of the edge.
            let (label, edge) = (shared.clone().narrow(1, 0, semantics - 1), shared.narrow(1, semantics - 1, 1));
            shared = Tensor::cat(vec![label.clone(), label + edge], 1);
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
        let gamma_beta = [table(&self.mlp_gamma, 1.0)?, table(&self.mlp_beta, 0.0)?];
        Some(ModulationTables { gamma_beta, rows: patches.of_pixels.clone() })
    }

    /// A convolution of a one-hot map adds one column of the weight per tap, so look the columns up. Instance edges,
    /// if set, are one more channel to convolve.
    fn indexed_hidden(&self, labels: &LabelTensors) -> Tensor<4> {
        let weight = self.mlp_shared.weight();
        let [hidden, channels, kernel, _] = weight.dims();
        let (of_labels, edges) = match labels.edges() {
            Some(edges) => {
                let of_labels = weight.clone().slice([0..hidden, 0..channels - 1]);
                let options = ConvOptions::new([1, 1], [kernel / 2; 2], [1, 1], 1);
                let edges = as_type_of(&weight, edges);
                (of_labels, Some(conv2d(edges, weight.slice([0..hidden, channels - 1..channels]), None, options)))
            }
            None => (weight, None),
        };
        let sum = labels.convolve(of_labels, self.mlp_shared.bias());
        match edges {
            Some(edges) => sum + edges,
            None => sum,
        }
    }
}

/// A weight `[out, in, k, k]` as `[k * k, in, out]`, without a copy if it already has that memory layout.
pub(in super::super) fn rows_first(weight: Tensor<4>) -> Tensor<3> {
    let [out, input, rows, columns] = weight.dims();
    weight.permute([2, 3, 1, 0]).reshape([rows * columns, input, out])
}
