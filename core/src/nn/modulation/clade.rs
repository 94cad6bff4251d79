//! CLADE: class-adaptive modulation (Tan et al. 2021, §3).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::nn::layout::Level;
use crate::nn::{Init, Lookup};

/// `y = n W[class] + B[class]` (there is no `1 +` here): a scale and a shift per class and channel.
#[derive(Module, Debug)]
pub struct Clade {
    /// `[label_channels, channels]`
    weight: Param<Tensor<2>>,
    /// `[label_channels, channels]`
    bias: Param<Tensor<2>>,
}

impl Clade {
    pub(super) fn new(init: &mut Init, channels: usize, label_channels: usize) -> Self {
        let shape = [label_channels, channels];
        Self { weight: init.uniform(shape), bias: init.zeros(shape) }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, level: &Level, lookup: Lookup) -> Tensor<4> {
        let value = |bank: &Param<Tensor<2>>| {
            let table = bank.val().transpose();
            match lookup {
                Lookup::Gather => level.unflatten(table.select(1, level.flat())),
                Lookup::Dense => dense(table, level.one_hot()),
            }
        };
        normalized * value(&self.weight) + value(&self.bias)
    }
}

/// `[c, labels]` times one-hot `[batch, labels, h, w]` is `[batch, c, h, w]`.
fn dense(table: Tensor<2>, one_hot: Tensor<4>) -> Tensor<4> {
    let [batch, labels, height, width] = one_hot.dims();
    let channels = table.dims()[0];
    let pixels = one_hot.reshape([batch, labels, height * width]);
    let values = table.unsqueeze::<3>().expand([batch, channels, labels]).matmul(pixels);
    values.reshape([batch, channels, height, width])
}
