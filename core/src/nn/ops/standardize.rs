//! Normalisation over a batch.

#[cfg(feature = "train")]
mod gradients;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Isa, batch_moments};

use super::{computed, dims, values};

/// Mean and biased variance of each channel of `[batch, channels, h, w]` over the batch, as `[2, channels]`, without
/// gradients. For tensors on the CPU.
pub(in crate::nn) fn moments(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::moments(x.into_dispatch()))
}

/// `(x - mean) / sqrt(variance + epsilon)` for `x` `[batch, channels, h, w]` and its own [`moments`]; the result has
/// the shape of `x`. Gradients account for the dependence of the moments on `x`. For tensors on the CPU.
pub(in crate::nn) fn standardize(x: Tensor<4>, moments: Tensor<2>, epsilon: f64) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::standardize(x.into_dispatch(), moments.into_dispatch(), epsilon as f32))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait Norms: Backend {
    fn moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn standardize(x: FloatTensor<Self>, moments: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;
}

impl Norms for Flex {
    fn moments(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let [batch, channels, ..] = dims(&x);
        computed([2, channels], |moments| {
            let (mean, variance) = moments.split_at_mut(channels);
            batch_moments(Isa::detect(), values(&x), batch, mean, variance);
        })
    }

    fn standardize(x: FlexTensor, moments: FlexTensor, epsilon: f32) -> FlexTensor {
        let x = x.to_contiguous();
        let [batch, ..] = dims(&x);
        let [mean, scale] = mean_and_scale(&moments, epsilon);
        computed(x.shape(), |y| semsynth_kernels::standardize(values(&x), batch, &mean, &scale, y))
    }
}

fn mean_and_scale(moments: &FlexTensor, epsilon: f32) -> [Vec<f32>; 2] {
    let moments = moments.to_contiguous();
    let (mean, variance) = values(&moments).split_at(values(&moments).len() / 2);
    [mean.to_vec(), variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect()]
}
