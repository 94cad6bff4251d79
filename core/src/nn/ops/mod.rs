//! Operations on kernels of our own (`semsynth-kernels`), for tensors on the CPU, with gradients. Results are those of Burn's
//! operations but for rounding (and the slope of the leaky ReLU at exactly 0, which is that of the negative side, as in
//! `PyTorch`).
//!
//! Each file has one, by Burn's extension mechanism: a trait, implemented for the backend that computes and, in `gradients`,
//! with the feature `train`, for `Autodiff` around it.

mod class_affine;
mod convolution;
mod leaky_relu;
mod spectral;
mod standardize;
#[cfg(feature = "train")]
mod update;

pub(super) use class_affine::class_affine;
pub(super) use convolution::convolve;
pub(super) use leaky_relu::leaky_relu;
pub(super) use spectral::{power_iteration, singular, spectral_divide};
pub(super) use standardize::{moments, standardize};
#[cfg(feature = "train")]
pub(crate) use update::update;

use std::cell::Cell;

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Device, Shape, Tensor, TensorData};

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
