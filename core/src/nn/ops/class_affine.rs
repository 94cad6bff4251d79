//! Scale and shift per class.

#[cfg(feature = "train")]
mod gradients;

use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Runs, modulate_by_class};

use super::{computed, values};

/// `x * weight[class] + bias[class]`, where `x` and the result are `[batch, channels, h, w]`, weight and bias are
/// `[classes, channels]`, and classes are given by `runs`. For tensors on the CPU.
pub(in crate::nn) fn class_affine(x: Tensor<4>, weight: Tensor<2>, bias: Tensor<2>, runs: &Arc<Runs>) -> Tensor<4> {
    let (weight, bias) = (weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::class_affine(x.into_dispatch(), weight, bias, Arc::clone(runs)))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait ClassAffines: Backend {
    fn class_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        runs: Arc<Runs>,
    ) -> FloatTensor<Self>;
}

impl ClassAffines for Flex {
    fn class_affine(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, runs: Arc<Runs>) -> FlexTensor {
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        computed(x.shape(), |y| modulate_by_class(values(&x), &runs, values(&weight), values(&bias), y))
    }
}
