//! Operations on kernels of our own (`semsynth-kernels`), for tensors on the CPU, with gradients. Results are those of Burn's
//! operations but for rounding.
//!
//! Each file has one, by Burn's extension mechanism: a trait, implemented for the backend that computes and for
//! `Autodiff` around it.

mod class_affine;
mod convolution;
mod rectifier;
mod standardize;

pub(super) use class_affine::class_affine;
pub(super) use convolution::convolve;
pub(super) use rectifier::leaky_relu;
pub(super) use standardize::{moments, standardize};

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Shape, Tensor, TensorData};

/// Whether a tensor lies where these operations run.
pub(super) fn apply_to<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

fn dims(tensor: &FlexTensor) -> [usize; 4] {
    tensor.shape().dims()
}

/// The values of a contiguous tensor of 32-bit floats.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().unwrap_or_default()
}

/// A tensor whose values `fill` writes.
fn computed(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}
