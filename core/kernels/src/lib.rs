//! Fast CPU kernels for the generators of the SPADE family: convolution, SPADE and CLADE modulation, and the
//! elementwise operations between them.
//!
//! * Convolution: [`Conv3x3`] (Winograd), [`Conv1x1`], and [`ConvHead`] (3×3 to at most four channels).
//! * Modulation: [`Spade`], spatially-adaptive, computed once for each *distinct* label patch ([`Patches`]) instead
//!   of once for each pixel; [`Clade`], by class; [`collapse`], which turns the style convolutions of SEAN into
//!   convolutions of labels.
//! * Elementwise: [`upsample2`], [`moments`], [`affine`].
//! * For training, on batches and with gradients: [`Convolution`] with any kernel, stride and padding;
//!   [`standardize`], [`modulate_by_class`], [`leaky`], and, for spectral norm, [`times`] and related functions.
//!
//! ```
//! use semsynth_kernels::{Conv3x3, Isa};
//!
//! let blur = [1.0 / 9.0; 9];
//! let conv = Conv3x3::new(Isa::detect(), &blur, None, [1, 1], 64 * 64);
//! let mut output = vec![0.0; 64 * 64];
//! conv.run(&[1.0; 64 * 64], [64, 64], &mut output, None);
//! assert!((output[64 * 32 + 32] - 1.0).abs() < 1e-5);
//! assert!((output[0] - 4.0 / 9.0).abs() < 1e-5); // zeros around the image
//! ```
//!
//! A [`Map`] has only some rows of an image in memory; functions that end in `_rows` compute some rows of a larger
//! output from it, with the bits that the whole image would give.
//!
//! All values are `f32`. Images are `[channels, height, width]`, one at a time; the functions for training take
//! batches of such images. A slice with the wrong length is a programming error and causes a panic.
//!
//! **Instruction sets.** AVX-512, AVX2 with FMA, NEON or plain Rust is selected at run time, with the [`Isa`]
//! argument of arithmetic functions. Functions that are limited by memory bandwidth are plain Rust. Results of
//! different instruction sets differ in their last bits.
//!
//! **Threads.** Work is distributed over the current Rayon pool. Results are the same to the last bit for any number
//! of threads.
//!
//! **Memory.** Weights are packed once, when a layer is made; [`Convolution`] packs them in each call. Working memory
//! is kept between calls: at most 32 MiB for each thread of the pool, plus 96 MiB in total. A call that needs more
//! returns it to the system when it ends.

mod clade;
mod collapse;
mod convolution;
mod elementwise;
mod head;
mod isa;
mod layout;
mod map;
mod norms;
mod patches;
mod pointwise;
mod scratch;
mod simd;
mod spade;
mod spectral;
mod winograd;

pub use clade::Clade;
pub use collapse::collapse;
pub use convolution::Convolution;
pub use elementwise::{affine, moments, upsample2};
pub use head::ConvHead;
pub use isa::Isa;
pub use map::{Map, MapMut, Source, fill_rows, for_each_run};
pub use norms::{
    Runs, batch_moments, gradient_sums, leaky, leaky_gradient, modulate_by_class, modulate_by_class_gradients,
    standardize, standardize_gradient,
};
pub use patches::Patches;
pub use pointwise::Conv1x1;
pub use scratch::{Scratch, ScratchPeak};
pub use spade::{HIDDEN, Part, Spade, Tables};
pub use spectral::{divide, dot, spectral_gradient, times, transposed_times};
pub use winograd::{Conv3x3, Mode, Residual};

/// Slope of the leaky ReLU for negative values.
pub const LEAKY_SLOPE: f32 = 0.2;

/// An affine function per channel with activation: act(`x`·`scale` + `shift`), where act is leaky ReLU or the
/// identity. A modulation is applied between the sum and act.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// `[channels]`
    pub scale: &'a [f32],
    /// `[channels]`
    pub shift: &'a [f32],
    /// Whether leaky ReLU follows.
    pub leaky: bool,
}

impl Affine<'_> {
    /// Whether scale and shift have this many channels.
    fn is_of(&self, channels: usize) -> bool {
        self.scale.len() == channels && self.shift.len() == channels
    }

    /// Scale, shift and slope for negative values of a channel.
    fn of_channel(&self, channel: usize) -> [f32; 3] {
        [self.scale[channel], self.shift[channel], slope(self.leaky)]
    }
}

/// The slope for negative values; 1 without activation.
fn slope(leaky: bool) -> f32 {
    if leaky { LEAKY_SLOPE } else { 1.0 }
}
