//! Label map in, picture out.
//!
//! A [`PreparedModel`] is a model's weights on a device, shared by threads; each has a [`Synthesizer`] of its own. A
//! [`Request`] says what to make of a label map, [`SynthesizerOptions`] how to prepare a model, [`Control`] how to watch and
//! end it.

mod control;
mod encode;
mod options;
mod prepared;
mod request;
mod synthesizer;

pub use control::{CancelToken, Control};
pub use options::SynthesizerOptions;
pub use prepared::PreparedModel;
pub use request::Request;
pub use synthesizer::Synthesizer;
