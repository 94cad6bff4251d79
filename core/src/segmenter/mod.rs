//! Training a small segmentation network, ESPNet, on the pairs of a data set, to measure pictures of its classes with.
//!
//! [`Trainer`] does single steps; [`train`] does a whole run with log, contact sheet and checkpoints, and [`resume`]
//! continues one. The file that a run writes is opened by [`EspNet::open`](crate::metrics::EspNet::open).

mod recipe;
mod run;
mod survey;
mod trainer;

pub use recipe::Recipe;
pub use run::{Files, Outcome, Report, Run, resume, train};
pub use survey::Survey;
pub use trainer::{Checkpoint, Trainer};
