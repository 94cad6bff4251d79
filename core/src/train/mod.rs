//! Training a generator, mostly against a discriminator.
//!
//! [`Trainer`] does single steps; [`train`] does a whole run with log, contact sheets and checkpoints; [`resume`]
//! continues a run from its [`Checkpoint`]. [`train_in_group`] does the same as one of several processes, a [`Group`]; the feature `mpi`
//! makes one of the processes that `mpirun` starts.

mod adam;
mod animation;
mod batch;
mod checkpoint;
mod clusters;
mod critic;
mod diff_augment;
mod ema;
mod group;
mod inputs;
mod log;
mod loss_scale;
mod losses;
#[cfg(feature = "mpi")]
mod mpi;
mod recipe;
mod run;
mod segmentation;
mod segments;
mod sheet;
mod sums;
mod tensorboard;
mod trace;
mod trainer;
mod vgg;

pub use adam::Adam;
pub use animation::animation;
pub use batch::Batch;
pub(crate) use batch::{Sampler, prefetch};
pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::{restore, store};
pub use diff_augment::DiffAugment;
pub use group::{Group, Link};
pub use log::{Record, TrainLog, plot};
pub use losses::{
    DiscriminatorOutput, balanced_perceptual, coarse_l1, cross_entropy_fake, cross_entropy_generator,
    cross_entropy_real, feature_matching, hinge_fake, hinge_generator, hinge_real, kl_divergence, l1,
    least_squares_fake, least_squares_generator, least_squares_real, perceptual, pyramid,
};
#[cfg(feature = "mpi")]
pub use mpi::in_mpi;
pub use recipe::{Adversarial, LossWeights, NetworkKind, PerceptualLayers, ProceduralSet, Recipe};
pub use run::{Files, Observer, Outcome, Run, Score, Silent, Stopped, resume, train, train_in_group};
pub use segmentation::{LabelMix, segment_fake, segment_real};
pub use sheet::{SheetRow, contact_sheet};
pub use tensorboard::EventFile;
pub(crate) use trace::Trace;
pub use trainer::{Losses, Trainer};
pub(crate) use vgg::check_vgg;
