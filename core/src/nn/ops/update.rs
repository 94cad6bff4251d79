//! In-place updates, for optimizers and running averages.

use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::values;

/// Updates CPU tensors of equal length in place. `change` is called with one piece of each tensor at a time, and the
/// matching pieces of the read-only tensors. Memory is reused if nothing else holds it.
///
/// # Panics
///
/// If a tensor is on another device or tracked by autodiff, or lengths differ.
pub(crate) fn update<const N: usize, const M: usize>(
    tensors: [Tensor<1>; N],
    read: [Tensor<1>; M],
    change: impl Fn([&mut [f32]; N], [&[f32]; M]) + Send + Sync,
) -> [Tensor<1>; N] {
    const PIECE: usize = 1 << 14;
    let flex = |tensor: Tensor<1>| {
        let tensor = tensor.try_into_primitive::<Flex>().expect("tensors lie on the CPU and have no graph");
        // Two separate calls: a second handle would force a copy.
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
