//! Convolution.

#[cfg(feature = "train")]
mod gradients;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Convolution, Isa};

use super::{computed, dims, values};
use crate::nn::conv::Geometry;

/// Convolves `[batch, in, h, w]` with `[out, in, k, k]` and adds `[out]`. For tensors on the CPU.
pub(in crate::nn) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
) -> Tensor<4> {
    // An operation takes no optional tensors.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    Tensor::from_dispatch(Dispatch::convolve(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch(), geometry))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait Convolutions: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
}

impl Convolutions for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, geometry: Geometry) -> FlexTensor {
        let shape = convolution(&x, &weight, geometry);
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let ([batch, ..], [outs, ..], [rows, columns]) = (dims(&x), dims(&weight), shape.output_size());
        computed([batch, outs, rows, columns], |y| {
            shape.forward(Isa::detect(), values(&x), values(&weight), Some(values(&bias)), y);
        })
    }
}

fn convolution(x: &FlexTensor, weight: &FlexTensor, geometry: Geometry) -> Convolution {
    let ([batch, ins, height, width], [outs, _, kernel, _]) = (dims(x), dims(weight));
    Convolution::new(batch, [outs, ins], kernel, geometry.stride, geometry.padding, [height, width])
}
