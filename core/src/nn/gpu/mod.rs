//! Operations on kernels of our own for GPUs, written in `CubeCL`, for painting: without gradients. Sums are taken in 32 bits
//! whatever the tensors hold.
//!
//! Each has its definition in Burn's operations beside it, which computes everywhere and which tests compare with.

mod convolve;
#[cfg(feature = "gpu")]
mod cube;
#[cfg(feature = "gpu")]
mod kernels;
mod prepare;
mod rows;

pub(super) use convolve::convolve;
pub(crate) use prepare::prepared;
pub(super) use rows::{modulate, sum_rows};

use burn::tensor::{Device, Tensor};

use super::ops;

/// Whether a tensor lies where these operations have kernels: on a GPU, and without a graph.
pub(super) fn applies_to<const D: usize>(x: &Tensor<D>) -> bool {
    let device = x.device();
    cfg!(feature = "gpu") && device != Device::flex() && !device.is_autodiff() && !ops::are_off()
}

#[cfg(test)]
mod tests;
