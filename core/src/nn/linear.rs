//! Fully connected layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Init, as_type_of};

/// `y = x W^T + b`, with the weight stored as in `PyTorch`, `[out, in]`.
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Linear {
    /// A layer from `input` to `output` values, with Xavier-normal weights (gain 0.02) and zero bias.
    pub fn new(init: &mut Init, input: usize, output: usize) -> Self {
        Self { weight: init.xavier_normal([output, input], 0.02), bias: init.zeros([output]) }
    }

    /// `[batch, in] -> [batch, out]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = self.weight.val();
        as_type_of(&weight, x).matmul(weight.transpose()) + self.bias.val().unsqueeze()
    }
}
