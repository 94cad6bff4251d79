//! Leaky ReLU.

#[cfg(feature = "train")]
mod gradients;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::leaky;

use super::{computed, values};

/// `x` where positive, `0.2 x` elsewhere. For tensors on the CPU.
pub(in crate::nn) fn leaky_relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::leaky_relu_on_cpu(x.into_dispatch()))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait LeakyRelus: Backend {
    fn leaky_relu_on_cpu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl LeakyRelus for Flex {
    fn leaky_relu_on_cpu(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        computed(x.shape(), |y| leaky(values(&x), y))
    }
}
