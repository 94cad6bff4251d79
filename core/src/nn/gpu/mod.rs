//! GPU kernels for inference, written in `CubeCL`, without gradients. Sums are accumulated in 32 bits whatever the
//! type of the tensors.
//!
//! Each kernel comes with a reference implementation in Burn operations, which runs on any device and which the tests
//! compare with.

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

/// Whether these kernels can process a tensor: it is on a GPU and not tracked by autodiff.
pub(super) fn applies_to<const D: usize>(x: &Tensor<D>) -> bool {
    let device = x.device();
    cfg!(feature = "gpu") && device != Device::flex() && !device.is_autodiff() && !ops::are_off()
}

#[cfg(test)]
mod tests;
