//! The `semsynth` command.

use std::process::ExitCode;

use clap::Parser;
use semsynth::cli::Command;

/// Semantic image synthesis: turns label maps into pictures.
#[derive(Parser)]
#[command(version, name = "semsynth", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    Arguments::parse().command.run()
}
