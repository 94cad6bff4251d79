//! Operations on kernels of our own (`semsynth-kernels`), for tensors on the CPU, with gradients. Results are those of Burn's
//! operations but for rounding.
//!
//! Each file has one, by Burn's extension mechanism: a trait, implemented for the backend that computes and for
//! `Autodiff` around it.

mod class_affine;
mod convolution;
mod rectifier;
mod spectral;
mod standardize;

pub(super) use class_affine::class_affine;
pub(super) use convolution::convolve;
pub(super) use rectifier::leaky_relu;
pub(super) use spectral::{power_iteration, spectral_divide};
pub(super) use standardize::{moments, standardize};

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rayon::prelude::*;

/// Whether a tensor lies where these operations run.
pub(crate) fn apply_to<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex()
}

/// Changes tensors on the CPU, all of one length, value by value: `change` gets a piece of each at a time, and what it leaves
/// there is the result. Memory that nobody else holds is used again.
///
/// # Panics
///
/// If a tensor lies elsewhere or has a graph, or lengths differ.
pub(crate) fn update<const N: usize>(
    tensors: [Tensor<1>; N],
    change: impl Fn([&mut [f32]; N]) + Send + Sync,
) -> [Tensor<1>; N] {
    const PIECE: usize = 1 << 14;
    let mut tensors = tensors.map(|tensor| {
        let tensor = tensor.try_into_primitive::<Flex>().expect("tensors lie on the CPU and have no graph");
        // Not one call in place of two: a second handle would have the memory copied.
        let whole = tensor.to_contiguous();
        drop(tensor);
        whole
    });
    let mut pieces = tensors.each_mut().map(|tensor| tensor.storage_mut::<f32>().chunks_mut(PIECE));
    let mut tasks = Vec::new();
    loop {
        let next = pieces.each_mut().map(Iterator::next);
        if next.iter().all(Option::is_none) {
            break;
        }
        tasks.push(next.map(|piece| piece.expect("tensors are of one length")));
    }
    tasks.into_par_iter().for_each(change);
    tensors.map(Tensor::from_primitive::<Flex>)
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
