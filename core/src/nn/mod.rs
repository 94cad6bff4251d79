//! The building blocks of the networks.
//!
//! Names follow the papers; every tensor is `[batch, channels, height, width]` unless a doc says otherwise.
//!
//! | here | paper |
//! |---|---|
//! | [`ModulatedNorm`] with [`modulation::Spade`] | Park et al., *Semantic Image Synthesis with Spatially-Adaptive Normalization*, 2019, §3 |
//! | [`ModulatedNorm`] with [`modulation::Clade`] | Tan et al., *Efficient Semantic Image Synthesis via Class-Adaptive Normalization*, 2021, §3 |
//! | [`ModulatedNorm`] with [`modulation::Sean`] | Zhu et al., *SEAN: Image Synthesis with Semantic Region-Adaptive Normalization*, 2020, §3 |
//! | [`ResBlock`] | Park et al., 2019, appendix A |
//! | [`SpectralNorm`] | Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, 2018 |

mod block;
mod buffer;
mod conv;
mod conv_transpose;
pub(crate) mod gpu;
mod init;
pub(crate) mod input;
mod layout;
mod linear;
mod mode;
pub mod modulation;
mod noise;
mod norm;
pub(crate) mod ops;
mod patches;
mod share;
mod spectral;

pub use block::ResBlock;
pub(crate) use block::{BlockPlan, NormPlan};
pub use buffer::Buffer;
pub use conv::{Conv, ConvConfig};
pub use conv_transpose::{ConvTranspose, ConvTransposeConfig};
pub use init::Init;
pub use input::{BlockStyles, GeneratorInput};
pub use layout::{LabelEncoding, Layout};
pub use linear::Linear;
pub use mode::{Mode, Statistics};
pub use modulation::ModulatedNorm;
pub use noise::Noise;
pub use norm::{NormKind, ParamFreeNorm};
pub use share::{Share, Sums};
pub use spectral::SpectralNorm;

#[cfg(feature = "train")]
pub(crate) use norm::batch_norm;
pub(crate) use norm::{EPSILON, instance_norm};

use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu as burn_leaky_relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions, PadMode};

/// Slope of every leaky `ReLU` in the networks.
pub const LEAKY_SLOPE: f64 = 0.2;

/// Leaky `ReLU`: `x` where positive, `0.2 x` elsewhere.
pub fn leaky_relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if ops::apply_to(&x) { ops::leaky_relu(x) } else { burn_leaky_relu(x, LEAKY_SLOPE) }
}

/// `x` converted to the float type of `other`.
pub(crate) fn as_type_of<const D: usize, const E: usize>(other: &Tensor<D>, x: Tensor<E>) -> Tensor<E> {
    if x.dtype() == other.dtype() { x } else { x.cast(other.dtype()) }
}

/// Nearest-neighbour upsampling by two: `[b, c, h, w] -> [b, c, 2h, 2w]`.
pub fn upsample2(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height * 2, width * 2]);
    interpolate(x, options)
}

/// Reflection padding by `by` rows and columns on each side; the edge itself is not repeated.
pub(crate) fn reflect(x: Tensor<4>, by: usize) -> Tensor<4> {
    x.pad((by, by, by, by), PadMode::Reflect)
}
