//! Reference implementation of per-class AdaIN in Burn operations, and its GPU tables.

use burn::module::Module;
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Init, LabelEncoding, Linear};

/// `y = n (1 + gamma) + beta`, where gamma and beta are a linear function of the style of the pixel's class.
#[derive(Module, Debug)]
pub struct Adain {
    /// Maps a style, `[length]`, to gamma and beta, `[2 channels]`.
    style_affine: Linear,
}

impl Layer for Adain {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        Self { style_affine: Linear::new(init, config.style, 2 * channels) }
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [batch, _, height, width] = normalized.dims();
        let Some(style) = input.style else { return normalized };
        let labels = input.layout.at(height, width);
        let [gamma, beta] = self.gamma_beta(style).map(|table| {
            let [_, classes, channels] = table.dims();
            if batch == 1 && input.layout.encoding() == LabelEncoding::Indexed {
                return labels.look_up(table.reshape([classes, channels]), LabelEncoding::Indexed);
            }
            let pixels = labels.one_hot().reshape([batch, classes, height * width]);
            table.swap_dims(1, 2).matmul(pixels).reshape([batch, channels, height, width])
        });
        normalized * (gamma + 1.0) + beta
    }

    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        let [gamma, beta] = self.gamma_beta(style?).map(|table| {
            let [_, classes, channels] = table.dims();
            table.reshape([classes, channels])
        });
        Some(ModulationTables { gamma_beta: [gamma + 1.0, beta], rows: labels.ids() })
    }
}

impl Adain {
    /// Gamma and beta of each class, each `[batch, classes, channels]`, for styles `[batch, classes, length]`.
    fn gamma_beta(&self, style: &Tensor<3>) -> [Tensor<3>; 2] {
        let [batch, classes, length] = style.dims();
        let both = self.style_affine.forward(style.clone().reshape([batch * classes, length]));
        let channels = both.dims()[1] / 2;
        let both: Tensor<3> = both.reshape([batch, classes, 2 * channels]);
        [both.clone().narrow(2, 0, channels), both.narrow(2, channels, channels)]
    }
}
