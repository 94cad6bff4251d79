//! Trains a generator that synthesizes facades from label maps.
//!
//! Without arguments, trains a small CLADE on the built-in procedural facades, in under five minutes on two CPU
//! cores. With `-- --data DIR`, trains on real facades, such as the CMP set in any of its forms.

use std::process::ExitCode;

use clap::Parser;
use semsynth::cli::{TrainArgs, finish};

/// Train a generator that synthesizes facades from label maps
#[derive(Parser)]
#[command(version, name = "train_facades")]
struct Arguments {
    #[command(flatten)]
    train: TrainArgs,
}

fn main() -> ExitCode {
    finish(Arguments::parse().train.run())
}
