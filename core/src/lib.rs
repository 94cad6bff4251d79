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

#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod device;
mod engine;
pub mod error;
mod files;
pub mod label;
pub mod metrics;
pub mod model;
pub mod network;
pub mod nn;
pub mod picture;
mod pixels;
mod rng;
pub mod synth;
pub mod train;

pub use device::Device;
pub use error::{Error, ErrorCategory, ErrorCode, Result};
pub use label::{ClassTable, LabelMap};
pub use model::Model;
pub use picture::{Image, PixelFormat, Pixels, PixelsMut};
pub use synth::{Request, Style, Synthesizer};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
