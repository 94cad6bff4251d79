//! Reference implementation of SEAN in Burn operations, and its GPU tables.

use burn::module::{Module, Param};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{DType, Tensor};

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::super::spade::{Spade, rows_first};
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::patches::PatchTables;
use crate::nn::{Conv, ConvConfig, Init, LabelEncoding, Linear, Mode, as_type_of, gpu};

/// `y = n (1 + gamma) + beta` on features with added noise, where gamma and beta are blended from those of [`Spade`]
/// and those of a style per class.
///
/// The papers' code calls a norm with this modulation ACE.
#[derive(Module, Debug)]
pub struct Sean {
    /// `[1]`; the share of gamma that comes from the style, before a sigmoid.
    blending_gamma: Param<Tensor<1>>,
    /// `[1]`; the share of beta that comes from the style, before a sigmoid.
    blending_beta: Param<Tensor<1>>,
    /// `[channels]`; strength of the noise.
    noise_var: Param<Tensor<1>>,
    spade: Spade,
    style: Option<StyleBranch>,
}

/// Computes gamma and beta from a style per class: each class has its own linear layer for its vector; the result is
/// broadcast to the pixels of the class and convolved.
#[derive(Module, Debug)]
pub struct StyleBranch {
    fc_mu: Vec<Linear>,
    conv_gamma: Conv,
    conv_beta: Conv,
}

impl Layer for Sean {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        let length = config.style;
        Self {
            blending_gamma: init.zeros([1]),
            blending_beta: init.zeros([1]),
            noise_var: init.zeros([channels]),
            spade: Spade::with_kernel(init, 3, channels, config.semantics()),
            style: (length > 0).then(|| StyleBranch {
                fc_mu: (0..config.labels).map(|_| Linear::new(init, length, length)).collect(),
                conv_gamma: ConvConfig::new(length, channels, 3).init(init),
                conv_beta: ConvConfig::new(length, channels, 3).init(init),
            }),
        }
    }

    fn noise_strength(&self) -> Option<Tensor<1>> {
        Some(self.noise_var.val())
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let labels = input.layout.at(height, width);
        let encoding = input.layout.encoding();
        let mut gamma_beta = self.spade.gamma_beta(&labels, encoding);
        if let (Some(branch), Some(style)) = (&self.style, input.style) {
            gamma_beta = self.mix(branch.gamma_beta(style, &labels, encoding), gamma_beta);
        }
        let [gamma, beta] = gamma_beta;
        normalized * (gamma + 1.0) + beta
    }

    /// Gamma and beta of each distinct patch, if there are few.
    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        let ModulationTables { mut gamma_beta, rows } = self.spade.patch_tables(labels)?;
        if let (Some(branch), Some(style)) = (&self.style, style) {
            gamma_beta = self.mix(branch.patch_tables(style, &*labels.patches()?)?, gamma_beta);
        }
        Some(ModulationTables { gamma_beta, rows })
    }
}

impl Sean {
    /// Blends gamma and beta of the style branch with those of SPADE.
    fn mix<const D: usize>(&self, style: [Tensor<D>; 2], spade: [Tensor<D>; 2]) -> [Tensor<D>; 2] {
        let ([style_gamma, style_beta], [gamma, beta]) = (style, spade);
        [mix(&self.blending_gamma, style_gamma, gamma), mix(&self.blending_beta, style_beta, beta)]
    }
}

/// `s a + (1 - s) b`, where `s` is the sigmoid of `blending`.
fn mix<const D: usize>(blending: &Param<Tensor<1>>, a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let weight: Tensor<D> = as_type_of(&a, sigmoid(blending.val())).reshape([1; D]);
    b.clone() + (a - b) * weight
}

impl StyleBranch {
    /// The output of each class's linear layer, `[batch, length, classes]`.
    fn vectors(&self, style: &Tensor<3>) -> Tensor<3> {
        let [batch, classes, length] = style.dims();
        let mut vectors = Vec::with_capacity(classes);
        for (class, layer) in self.fc_mu.iter().enumerate() {
            let vector: Tensor<2> = style.clone().narrow(1, class, 1).reshape([batch, length]);
            vectors.push(relu(layer.forward(vector)));
        }
        Tensor::stack(vectors, 2)
    }

    /// Gamma (including the 1 of `1 + gamma`) and beta of each distinct patch, each `[rows, channels]`, for the
    /// styles of one picture.
    fn patch_tables(&self, style: &Tensor<3>, patches: &PatchTables) -> Option<[Tensor<2>; 2]> {
        let [_, classes, length] = style.dims();
        let vectors: Tensor<2> = self.vectors(style).reshape([length, classes]);
        let table = |conv: &Conv, one: f32| {
            let weight = rows_first(collapsed(conv, vectors.clone()));
            let [taps, _, channels] = weight.dims();
            let bias = conv.bias()?.cast(DType::F32) + one;
            Some(gpu::sum_rows(weight.reshape([taps * classes, channels]), patches.middles.clone(), bias, false))
        };
        Some([table(&self.conv_gamma, 1.0)?, table(&self.conv_beta, 0.0)?])
    }

    /// Gamma and beta, each `[batch, channels, height, width]`, for styles `[batch, classes, length]`.
    fn gamma_beta(&self, style: &Tensor<3>, labels: &LabelTensors, encoding: LabelEncoding) -> [Tensor<4>; 2] {
        let [batch, classes, length] = style.dims();
        let vectors = self.vectors(style);
        let convs = [&self.conv_gamma, &self.conv_beta];
        if encoding == LabelEncoding::Indexed && batch == 1 {
            let vectors: Tensor<2> = vectors.reshape([length, classes]);
            return convs.map(|conv| labels.convolve(collapsed(conv, vectors.clone()), conv.bias()));
        }
        // Each pixel gets the vector of its class.
        let [_, _, height, width] = labels.one_hot().dims();
        let pixels = labels.one_hot().reshape([batch, classes, height * width]);
        let map = vectors.clone().matmul(as_type_of(&vectors, pixels)).reshape([batch, length, height, width]);
        convs.map(|conv| conv.forward(map.clone(), Mode::EVAL))
    }
}

/// Multiplies class vectors, `[length, classes]`, into the kernel of a convolution. A convolution of a map of class
/// vectors equals a convolution of the one-hot map with the resulting kernel, which has `classes` input channels
/// instead of `length`: the vectors are multiplied once, not at every pixel.
fn collapsed(conv: &Conv, vectors: Tensor<2>) -> Tensor<4> {
    let [out, _, rows, columns] = conv.weight().dims();
    let [length, classes] = vectors.dims();
    // All taps use the same vectors.
    let vectors: Tensor<3> = vectors.transpose().unsqueeze::<3>().expand([rows * columns, classes, length]);
    vectors.matmul(rows_first(conv.weight())).reshape([rows, columns, classes, out]).permute([3, 2, 0, 1])
}
