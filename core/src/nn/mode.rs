//! Training or inference.

use serde::{Deserialize, Serialize};

/// Which statistics batch norm uses at inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistics {
    /// The running averages stored in the model: a pixel depends only on its neighbourhood.
    #[default]
    Running,
    /// The statistics of the current batch, as in training.
    Batch,
}

/// Training or inference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Batch norm uses batch statistics and updates the running averages with weight `momentum` (`PyTorch`: 0.1);
    /// spectral norm does one power iteration per forward pass.
    Train {
        /// Weight of the new statistics in the running average, in `0.0..=1.0`.
        momentum: f64,
    },
    /// Training with fixed statistics: batch norm uses the running averages and leaves them as they are, as at
    /// inference; spectral norm does one power iteration per forward pass.
    TrainFixed,
    /// Inference: no state is updated.
    Eval(Statistics),
}

impl Mode {
    /// Training with `PyTorch`'s default momentum.
    pub const TRAIN: Self = Self::Train { momentum: 0.1 };
    /// Inference with running statistics.
    pub const EVAL: Self = Self::Eval(Statistics::Running);
}
