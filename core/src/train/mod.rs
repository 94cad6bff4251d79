//! Training: two networks, one against the other.
//!
//! [`Trainer`] does single steps, [`train`] a whole run with log, contact sheets and checkpoints.

mod adam;
mod batch;
mod checkpoint;
mod ema;
mod guidance;
mod log;
mod losses;
mod recipe;
mod run;
mod sheet;
mod trainer;

pub use adam::Adam;
pub use batch::Batch;
pub use checkpoint::stored_recipe;
pub use log::{Record, TrainLog, plot};
pub use losses::{Verdicts, feature_matching, hinge_fake, hinge_generator, hinge_real, kl_divergence, l1, perceptual};
pub use recipe::{LossWeights, NetworkKind, Recipe};
pub use run::{Files, Observer, Outcome, Run, Score, Silent, Stopped, train};
pub use sheet::{SheetRow, contact_sheet};
pub use trainer::{Losses, Trainer};
