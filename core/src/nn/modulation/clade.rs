//! CLADE: class-adaptive modulation (Tan et al. 2021, §3), also with intra-class positional encoding (ICPE).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::ModulationConfig;
use crate::nn::{Conv, ConvConfig, Init, Layout, Lookup, Mode};

/// `y = n W[class] + B[class]` (there is no `1 +` here): a scale and a shift per class and channel.
#[derive(Module, Debug)]
pub struct Clade {
    /// `[labels, channels]`
    weight: Param<Tensor<2>>,
    /// `[labels, channels]`
    bias: Param<Tensor<2>>,
    icpe: Option<Icpe>,
    /// With instance edges: what becomes of them, the last channel of the output.
    inst_conv: Option<Conv>,
}

/// Positional encoding: factors that depend on where in its object a pixel lies.
#[derive(Module, Debug)]
pub struct Icpe {
    dist_conv_w: Conv,
    dist_conv_b: Conv,
}

impl Clade {
    pub(super) fn new(init: &mut Init, channels: usize, config: &ModulationConfig, icpe: bool) -> Self {
        let shape = [config.labels, channels];
        Self {
            weight: init.uniform(shape),
            bias: init.zeros(shape),
            icpe: icpe.then(|| {
                let mut conv = || ConvConfig::new(2, 1, 1).init(init);
                Icpe { dist_conv_w: conv(), dist_conv_b: conv() }
            }),
            inst_conv: config.edges.then(|| ConvConfig::new(1, 1, 1).init(init)),
        }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, layout: &Layout) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let level = layout.at(height, width);
        let value = |bank: &Param<Tensor<2>>| {
            let table = bank.val().transpose();
            match layout.lookup() {
                Lookup::Gather => level.unflatten(table.select(1, level.flat())),
                Lookup::Dense => dense(table, level.one_hot()),
            }
        };
        let (mut scale, mut shift) = (value(&self.weight), value(&self.bias));
        if let Some(icpe) = &self.icpe {
            let distances = layout.distances_at(height, width);
            scale = scale * (icpe.dist_conv_w.forward(distances.clone(), Mode::EVAL) + 1.0);
            shift = shift * (icpe.dist_conv_b.forward(distances, Mode::EVAL) + 1.0);
        }
        let modulated = normalized * scale + shift;
        match (&self.inst_conv, level.edges()) {
            (Some(conv), Some(edges)) => Tensor::cat(vec![modulated, conv.forward(edges, Mode::EVAL)], 1),
            _ => modulated,
        }
    }
}

/// `[c, labels]` times one-hot `[batch, labels, h, w]` is `[batch, c, h, w]`.
pub(super) fn dense(table: Tensor<2>, one_hot: Tensor<4>) -> Tensor<4> {
    let [batch, labels, height, width] = one_hot.dims();
    let channels = table.dims()[0];
    let pixels = one_hot.reshape([batch, labels, height * width]);
    let values = table.unsqueeze::<3>().expand([batch, channels, labels]).matmul(pixels);
    values.reshape([batch, channels, height, width])
}
