//! Operations on kernels of our own (`semsynth-kernels`), for tensors on the CPU, with gradients. Results are those of Burn's
//! operations but for rounding (and the slope of the leaky rectifier at exactly 0, which is that of the negative side, as in
//! `PyTorch`).
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
pub(super) use spectral::{power_iteration, singular, spectral_divide};
pub(super) use standardize::{moments, standardize};

use std::cell::Cell;

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};
use rayon::prelude::*;

thread_local! {
    static PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` on Burn's own operations: what tests and comparisons hold these against. For what `f` does on this thread.
pub(crate) fn without<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            PLAIN.set(self.0);
        }
    }
    let _restore = Restore(PLAIN.replace(true));
    f()
}

/// Whether this thread runs [`without`].
pub(super) fn are_off() -> bool {
    PLAIN.get()
}

/// Whether a tensor lies where these operations run.
pub(crate) fn apply_to<const D: usize>(x: &Tensor<D>) -> bool {
    x.device() == Device::flex() && x.dtype() == DType::F32 && !are_off()
}

/// Changes tensors on the CPU value by value, all of one length: `change` gets a piece of each at a time, and of those that it
/// only reads. Memory that nobody else holds is used again.
///
/// # Panics
///
/// If a tensor lies elsewhere or has a graph, or lengths differ.
pub(crate) fn update<const N: usize, const M: usize>(
    tensors: [Tensor<1>; N],
    read: [Tensor<1>; M],
    change: impl Fn([&mut [f32]; N], [&[f32]; M]) + Send + Sync,
) -> [Tensor<1>; N] {
    const PIECE: usize = 1 << 14;
    let flex = |tensor: Tensor<1>| {
        let tensor = tensor.try_into_primitive::<Flex>().expect("tensors lie on the CPU and have no graph");
        // Not one call in place of two: a second handle would have the memory copied.
        let whole = tensor.to_contiguous();
        drop(tensor);
        whole
    };
    let (mut tensors, read) = (tensors.map(flex), read.map(flex));
    let lengths = || tensors.iter().chain(&read).map(|tensor| tensor.shape().num_elements());
    assert!(lengths().min() == lengths().max(), "tensors are of one length");
    let mut pieces = tensors.each_mut().map(|tensor| tensor.storage_mut::<f32>().chunks_mut(PIECE));
    let mut read = read.each_ref().map(|tensor| values(tensor).chunks(PIECE));
    let mut tasks = Vec::new();
    loop {
        let next = (pieces.each_mut().map(Iterator::next), read.each_mut().map(Iterator::next));
        if next.0.iter().all(Option::is_none) {
            break;
        }
        let same = "tensors are of one length";
        tasks.push((next.0.map(|piece| piece.expect(same)), next.1.map(|piece| piece.expect(same))));
    }
    tasks.into_par_iter().for_each(|(pieces, read)| change(pieces, read));
    tensors.map(Tensor::from_primitive::<Flex>)
}

fn dims(tensor: &FlexTensor) -> [usize; 4] {
    tensor.shape().dims()
}

/// The values of a contiguous tensor of 32-bit floats.
fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("operations apply to 32-bit floats, made contiguous")
}

/// A tensor whose values `fill` writes.
fn computed(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}
