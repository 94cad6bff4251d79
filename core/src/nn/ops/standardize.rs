//! Normalisation over a batch.

#[cfg(feature = "train")]
mod gradients;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Isa, batch_moments};

use super::{computed, dims, values};
use crate::nn::share::Others;

/// Mean and biased variance of each channel of `[batch, channels, h, w]` over the batch, as `[2, channels]`, without
/// gradients. The batch includes what `others` hold. For tensors on the CPU.
pub(in crate::nn) fn moments(x: Tensor<4>, others: Option<Others>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::moments(x.into_dispatch(), others))
}

/// `(x - mean) / sqrt(variance + epsilon)` for `x` `[batch, channels, h, w]` and its own [`moments`]; the result has
/// the shape of `x`. Gradients account for the dependence of the moments on `x`, and of the results of `others` on these.
/// For tensors on the CPU.
pub(in crate::nn) fn standardize(x: Tensor<4>, moments: Tensor<2>, epsilon: f64, others: Option<Others>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::standardize(x.into_dispatch(), moments.into_dispatch(), epsilon as f32, others))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait Norms: Backend {
    fn moments(x: FloatTensor<Self>, others: Option<Others>) -> FloatTensor<Self>;

    fn standardize(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f32,
        others: Option<Others>,
    ) -> FloatTensor<Self>;
}

impl Norms for Flex {
    fn moments(x: FlexTensor, others: Option<Others>) -> FlexTensor {
        let x = x.to_contiguous();
        let [batch, channels, ..] = dims(&x);
        let mut moments = batch_moments(Isa::detect(), values(&x), batch, channels);
        if let Some(others) = others {
            others.moments(batch, &mut moments);
        }
        computed([2, channels], |out| {
            let (means, variances) = out.split_at_mut(channels);
            for (([mean, variance], of_mean), of_variance) in moments.into_iter().zip(means).zip(variances) {
                (*of_mean, *of_variance) = (mean as f32, variance as f32);
            }
        })
    }

    fn standardize(x: FlexTensor, moments: FlexTensor, epsilon: f32, _others: Option<Others>) -> FlexTensor {
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
