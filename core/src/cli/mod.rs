//! The command line: what `semsynth` and the examples share.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (after saving).

mod bench;
mod devices;
mod import;
mod inspect;
mod interrupt;
mod progress;
mod style;
mod synth;
mod train;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::error::{Error, ErrorCategory};
use crate::label::{ClassTable, ColorPolicy};

pub use bench::BenchArgs;
pub use devices::DevicesArgs;
pub use import::ImportArgs;
pub use inspect::InspectArgs;
pub use style::StyleArgs;
pub use synth::SynthArgs;
pub use train::TrainArgs;

/// What `semsynth` can do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one, once")]
pub enum Command {
    /// Paint pictures from label maps
    Synth(SynthArgs),
    /// Train a model
    Train(TrainArgs),
    /// Make a model file out of an official PyTorch checkpoint
    Import(ImportArgs),
    /// Find and mix styles
    Style(StyleArgs),
    /// Say what a model file or a label map holds
    Inspect(InspectArgs),
    /// Time pictures
    Bench(BenchArgs),
    /// List the devices of this machine and which one would be picked
    Devices(DevicesArgs),
}

impl Command {
    /// Runs it, writes what went wrong to standard error, and gives the exit code.
    pub fn run(self) -> ExitCode {
        finish(match self {
            Self::Synth(args) => args.run(),
            Self::Train(args) => args.run(),
            Self::Import(args) => args.run(),
            Self::Style(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Bench(args) => args.run(),
            Self::Devices(args) => args.run(),
        })
    }
}

/// How a command ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything asked for is done.
    Done,
    /// Some of it could not be done; what and why has been said.
    Incomplete,
    /// It was interrupted and has saved its work.
    Interrupted,
}

/// Turns the result of a command into an exit code, and writes what went wrong to standard error.
pub fn finish(result: Result<Ending, Error>) -> ExitCode {
    match result {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::FAILURE,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.code().category() == ErrorCategory::Argument { 2 } else { 1 })
        }
    }
}

/// A class table that ships with the library, by name, or a file of one.
fn class_table(name: &std::path::Path) -> Result<ClassTable, Error> {
    match name.to_str().filter(|_| name.extension().is_none()) {
        Some(name) => ClassTable::shipped(name),
        None => ClassTable::open(name),
    }
}

/// `128` or `256x128` (width x height) to height and width.
fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no number of pixels"));
    match text.split_once('x') {
        Some((width, height)) => Ok([number(height)?, number(width)?]),
        None => number(text).map(|side| [side, side]),
    }
}

/// How to read pixels of label pictures that have no class's colour.
#[derive(Args, Clone, Copy, Debug)]
struct ColorArgs {
    /// What to do with pixels of RGB label maps that have no class's colour
    #[arg(long, value_enum, default_value_t = Unknown::Refuse, value_name = "POLICY")]
    unknown_colors: Unknown,
    /// Largest difference per channel, 0 to 255, at which a pixel still has a class's colour
    #[arg(long, default_value_t = 0, value_name = "N")]
    tolerance: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unknown {
    /// Stop and list them
    Refuse,
    /// Take the class with the nearest colour, if it is within the tolerance
    NearestColor,
    /// Take the class of the nearest pixel that has one (for soft brushes)
    NearestPixel,
}

impl ColorArgs {
    fn policy(self) -> Result<ColorPolicy, Error> {
        let Self { unknown_colors, tolerance } = self;
        match unknown_colors {
            Unknown::Refuse if tolerance > 0 => Err(Error::Argument(
                "--tolerance needs a policy: --unknown-colors nearest-color or nearest-pixel".into(),
            )),
            Unknown::Refuse => Ok(ColorPolicy::Refuse),
            Unknown::NearestColor => Ok(ColorPolicy::NearestColor { tolerance }),
            Unknown::NearestPixel => Ok(ColorPolicy::NearestPixel { tolerance }),
        }
    }
}
