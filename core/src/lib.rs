//! Semantic image synthesis: turns a label map, which assigns a class to each pixel, into a picture, with the
//! generators of SPADE, CLADE and SEAN on [Burn](burn).
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
//! The modules from the lowest to the highest: [`picture`] (pictures in memory), [`sink`] (pictures written by rows),
//! [`collage`] (pictures with missing pixels),
//! [`label`] (label maps and class tables), [`tensors`] (weights files), [`style`] (styles), [`nn`] (layers),
//! [`network`] (whole networks), [`model`] (model files), [`synth`] (inference), [`data`] (training pairs), [`bank`] (segments of photos),
//! [`metrics`] (measures of pictures), [`eval`] (evaluation of pictures and models), [`train`] (training),
//! [`segmenter`] (training of networks to measure with), [`table`] (recipes compared). A module uses only modules before it in this list, and [`error`] and [`device`].
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `gpu` (default) | GPUs through wgpu; without it, the CPU is the only device |
//! | `gpu-tuned` | kernel fusion and autotuning, for real GPUs; results are cached on disk |
//! | `gpu-vulkan` | kernels compiled to SPIR-V, for real GPUs |
//! | `train` | the modules [`data`], [`bank`], [`metrics`], [`eval`], [`train`], [`segmenter`] and [`table`], and the networks' gradients |
//! | `cli` (default) | the `semsynth` command; implies `train` |
//!
//! A host that only runs inference builds with `default-features = false`, plus `features = ["gpu"]` if it wants
//! GPUs. Such a build contains no autodiff, optimizers, plots or data set readers. [`nn::Mode::Train`] is still
//! there: it only updates statistics, which needs no gradients.

#[cfg(feature = "train")]
pub mod bank;
#[cfg(feature = "cli")]
pub mod cli;
pub mod collage;
#[cfg(feature = "train")]
pub mod data;
pub mod device;
mod engine;
pub mod error;
#[cfg(feature = "train")]
pub mod eval;
mod files;
pub mod label;
mod memory;
#[cfg(feature = "train")]
pub mod metrics;
pub mod model;
pub mod network;
pub mod nn;
pub mod picture;
mod pixels;
mod rng;
#[cfg(feature = "train")]
pub mod segmenter;
pub mod sink;
pub mod style;
pub mod synth;
#[cfg(feature = "train")]
pub mod table;
pub mod tensors;
#[cfg(feature = "train")]
pub mod train;

pub use collage::Collage;
pub use device::Device;
pub use error::{Error, ErrorCategory, ErrorCode, Result};
pub use label::{ClassTable, LabelFile, LabelMap, LabelSource, Rect};
pub use model::Model;
pub use picture::{Image, PixelFormat, Pixels, PixelsMut};
pub use sink::{PictureFile, RowSink};
pub use style::Style;
pub use synth::{
    Border, CancelToken, Control, Estimate, Goal, PreparedModel, Request, StyleEncoder, Synthesizer, SynthesizerOptions,
};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
