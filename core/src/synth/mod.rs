//! Inference: synthesizes pictures from label maps.
//!
//! A [`PreparedModel`] holds a model's weights on a device; threads share it, and each has its own [`Synthesizer`].
//! A [`Request`] holds the inputs besides the label map, [`SynthesizerOptions`] say how to prepare a model, and
//! [`Control`] cancels a synthesis and reports its progress.

mod canvas;
mod control;
mod encode;
mod options;
mod paint;
mod prepared;
mod request;
mod synthesizer;
mod windows;

pub use canvas::{Canvas, Goal};
pub use control::{CancelToken, Control};
pub use encode::StyleEncoder;
pub use options::SynthesizerOptions;
pub use prepared::PreparedModel;
pub use request::{Border, Request};
pub use synthesizer::{Estimate, Synthesizer};
