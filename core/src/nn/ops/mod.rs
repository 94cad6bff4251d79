//! Operations with our own CPU kernels (`semsynth-kernels`) and gradients. Results equal those of Burn's operations
//! up to rounding. (The slope of leaky ReLU at exactly 0 is that of the negative side, as in `PyTorch`.)
//!
//! Each file has one operation and uses Burn's extension mechanism: a trait that is implemented for the CPU backend
//! and, in `gradients` with the feature `train`, for the `Autodiff` backend around it.

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

/// Runs `f` with Burn's operations instead of ours, on this thread: the reference for tests and benchmarks.
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

/// Whether [`without`] is active on this thread.
pub(super) fn are_off() -> bool {
    PLAIN.get()
}

/// Whether these operations support the device of a tensor.
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

/// A new tensor whose values `fill` writes.
fn computed(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}
