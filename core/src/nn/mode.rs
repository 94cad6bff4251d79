//! How a forward pass treats the state that training maintains.

use serde::{Deserialize, Serialize};

/// Which statistics a batch-normalising layer divides by at inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistics {
    /// The running averages kept in the model: a pixel's value depends on its neighbourhood only.
    #[default]
    Running,
    /// Those of the batch at hand, as while training.
    Batch,
}

/// Training or inference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Batch statistics are used and folded into the running ones with weight `momentum` (`PyTorch`: 0.1); spectral
    /// norm does one power iteration per forward pass.
    Train {
        /// Weight of the new statistics in the running average, in `0.0..=1.0`.
        momentum: f64,
    },
    /// Nothing is updated.
    Eval(Statistics),
}

impl Mode {
    /// Training with `PyTorch`'s default momentum.
    pub const TRAIN: Self = Self::Train { momentum: 0.1 };
    /// Inference with running statistics.
    pub const EVAL: Self = Self::Eval(Statistics::Running);
}
