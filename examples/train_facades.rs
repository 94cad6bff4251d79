//! Trains a generator that paints facades from label maps.
//!
//! Without arguments: a small CLADE on the built-in procedural facades, within five minutes on two CPU cores. With
//! `-- --data DIR`: on real facades, such as the CMP set in any of its forms.

use std::process::ExitCode;

use clap::Parser;
use semsynth::cli::{TrainArgs, finish};

/// Train a generator that paints facades from label maps
#[derive(Parser)]
#[command(version, name = "train_facades")]
struct Arguments {
    #[command(flatten)]
    train: TrainArgs,
}

fn main() -> ExitCode {
    finish(Arguments::parse().train.run())
}
