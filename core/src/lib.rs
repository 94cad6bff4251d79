//! Semantic image synthesis: label map in, picture out, with the generators of SPADE, CLADE and SEAN on
//! [Burn](burn).
//!
//! ```no_run
//! # fn main() -> semsynth::Result<()> {
//! use semsynth::{Device, LabelMap, Model, Request, Synthesizer};
//!
//! let device = Device::best()?; // a GPU if there is one, else the CPU; `describe()` says which and why
//! let model = Model::open("model.safetensors")?; // or Model::builtin("facades")?
//! let labels = LabelMap::open("labels.png", model.classes())?; // ids or colours; the error names the unknown ones
//! let mut synth = Synthesizer::new(&model, &device)?;
//! synth.run(&labels, &Request::new())?.save("out.png")?;
//! # Ok(())
//! # }
//! ```
//!
//! From the inside out: [`picture`] (pictures in memory), [`label`] (what is where), [`nn`] (blocks), [`network`] (networks), [`model`] (files),
//! [`synth`] (pictures), [`data`] (pairs of photo and labels), [`metrics`] (closeness), [`train`] (making models). A module
//! uses only those before it, and [`error`] and [`device`].
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `gpu` (default) | GPUs through wgpu; without it there is only the CPU |
//! | `gpu-tuned`, `gpu-vulkan` | for real GPUs: measured and fused kernels, kernels in SPIR-V |
//! | `train` | the modules [`data`], [`metrics`] and [`train`], and gradients of the networks |
//! | `cli` (default) | what the command `semsynth` consists of; implies `train` |
//!
//! A program that only paints builds with `default-features = false`, or that and `features = ["gpu"]`: it then contains no
//! autodiff, optimizers, plots or readers of data sets. [`nn::Mode::Train`] exists all the same; it updates statistics and
//! needs no gradients.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "train")]
pub mod data;
pub mod device;
mod engine;
pub mod error;
mod files;
pub mod label;
#[cfg(feature = "train")]
pub mod metrics;
pub mod model;
pub mod network;
pub mod nn;
pub mod picture;
mod pixels;
mod rng;
pub mod style;
pub mod synth;
pub mod tensors;
#[cfg(feature = "train")]
pub mod train;

pub use device::Device;
pub use error::{Error, ErrorCategory, ErrorCode, Result};
pub use label::{ClassTable, LabelMap};
pub use model::Model;
pub use picture::{Image, PixelFormat, Pixels, PixelsMut};
pub use style::Style;
pub use synth::{CancelToken, Control, PreparedModel, Request, Synthesizer, SynthesizerOptions};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
