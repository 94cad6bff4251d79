//! Reference implementation of CLADE-ICPE in Burn operations.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::clade::{edge_channel, edge_conv};
use super::super::norm::Layer;
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Conv, ConvConfig, Init, Mode};

/// `y = n W[class] (1 + w(d)) + B[class] (1 + b(d))`, where `w` and `b` are 1x1 convolutions of `d`, the distance of
/// a pixel from the centre of its object.
#[derive(Module, Debug)]
pub struct CladeIcpe {
    /// `[labels, channels]`
    weight: Param<Tensor<2>>,
    /// `[labels, channels]`
    bias: Param<Tensor<2>>,
    dist_conv_w: Conv,
    dist_conv_b: Conv,
    inst_conv: Option<Conv>,
}

impl Layer for CladeIcpe {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        let shape = [config.labels, channels];
        Self {
            weight: init.uniform(shape),
            bias: init.zeros(shape),
            dist_conv_w: ConvConfig::new(2, 1, 1).init(init),
            dist_conv_b: ConvConfig::new(2, 1, 1).init(init),
            inst_conv: config.edges.then(|| edge_conv(init)),
        }
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let labels = input.layout.at(height, width);
        let [scale, shift] = [&self.weight, &self.bias].map(|bank| labels.look_up(bank.val(), input.layout.encoding()));
        let factor = |conv: &Conv| conv.forward(labels.distances(), Mode::EVAL) + 1.0;
        normalized * (scale * factor(&self.dist_conv_w)) + shift * factor(&self.dist_conv_b)
    }

    fn extra(&self, labels: &LabelTensors) -> Option<Tensor<4>> {
        edge_channel(self.inst_conv.as_ref(), labels)
    }
}
