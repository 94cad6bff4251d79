//! The `semsynth` command.

use std::process::{Command, Output};

/// Runs the command with these arguments.
pub fn semsynth(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_semsynth")).args(arguments).output().unwrap()
}

/// What it printed.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
