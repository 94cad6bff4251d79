//! The building blocks of the networks.
//!
//! Names follow the papers; every tensor is `[batch, channels, height, width]` unless a doc says otherwise.
//!
//! | here | paper |
//! |---|---|
//! | [`ModulatedNorm`] with [`modulation::Spade`] | Park et al., *Semantic Image Synthesis with Spatially-Adaptive Normalization*, 2019, §3 |
//! | [`ModulatedNorm`] with [`modulation::Clade`] | Tan et al., *Efficient Semantic Image Synthesis via Class-Adaptive Normalization*, 2021, §3 |
//! | [`ResBlock`] | Park et al., 2019, appendix A |
//! | [`SpectralNorm`] | Miyato et al., *Spectral Normalization for Generative Adversarial Networks*, 2018 |

mod block;
mod buffer;
mod conv;
mod init;
mod layout;
mod mode;
pub mod modulation;
mod norm;

pub use block::ResBlock;
pub use buffer::Buffer;
pub use conv::{Conv, ConvConfig, SpectralNorm};
pub use init::Init;
pub use layout::{Layout, Lookup};
pub use mode::{Mode, Statistics};
pub use modulation::ModulatedNorm;
pub use norm::{NormKind, ParamFreeNorm};

pub(crate) use norm::instance_norm;

use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu as burn_leaky_relu;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

/// Slope of every leaky `ReLU` in the family.
pub const LEAKY_SLOPE: f64 = 0.2;

/// `x` where positive, `0.2 x` elsewhere.
pub fn leaky_relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    burn_leaky_relu(x, LEAKY_SLOPE)
}

/// Doubles height and width by repeating each pixel: `[b, c, h, w] -> [b, c, 2h, 2w]`.
pub fn upsample2(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let options = InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([height * 2, width * 2]);
    interpolate(x, options)
}
