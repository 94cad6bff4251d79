//! The `semsynth` command line, parts of which the examples use.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted (after saving), 141 nobody reads the results.

// Its macros are known to the modules after it.
#[macro_use]
mod output;

mod bench;
mod data;
mod demo;
mod devices;
mod eval;
mod import;
mod inspect;
mod interrupt;
mod models;
mod progress;
mod segmenter;
mod style;
mod synth;
mod table;
mod train;

use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};

use crate::error::{Error, ErrorCategory, ErrorCode};
use crate::label::{ClassTable, ColorPolicy, ReadAs, ReadOptions};
use crate::model::Model;
use crate::network::{System, Upsampling};

pub use bench::BenchArgs;
pub use data::DataArgs;
pub use demo::DemoArgs;
pub use devices::DevicesArgs;
pub use eval::EvalArgs;
pub use import::ImportArgs;
pub use inspect::InspectArgs;
pub use models::ModelsArgs;
pub use segmenter::TrainSegmenterArgs;
pub use style::StyleArgs;
pub use synth::SynthArgs;
pub use train::TrainArgs;

/// The subcommands of `semsynth`.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "created once per process")]
pub enum Command {
    /// Synthesize pictures from label maps
    Synth(SynthArgs),
    /// Train a model
    Train(TrainArgs),
    /// Train a segmentation network to measure pictures with: `eval --segmenter`
    TrainSegmenter(TrainSegmenterArgs),
    /// Convert an official PyTorch checkpoint into a model file
    Import(ImportArgs),
    /// Encode, mix and convert styles
    Style(StyleArgs),
    /// Describe a model or another file, check a label map, a folder of them, or a data set
    Inspect(InspectArgs),
    /// Check a data set before training on it
    Data(DataArgs),
    /// Measure pictures, or the pictures that a model paints, against photos
    Eval(EvalArgs),
    /// Benchmark synthesis or training
    Bench(BenchArgs),
    /// List the models that are built in: their classes, presets and licences
    Models(ModelsArgs),
    /// Write a picture for each built-in model and preset
    Demo(DemoArgs),
    /// List the devices of this machine, and which one `auto` selects
    Devices(DevicesArgs),
}

impl Command {
    /// Runs the command, prints errors to standard error, and returns the exit code.
    pub fn run(self) -> ExitCode {
        finish(match self {
            Self::Synth(args) => args.run(),
            Self::Train(args) => args.run(),
            Self::TrainSegmenter(args) => args.run(),
            Self::Import(args) => args.run(),
            Self::Style(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Data(args) => args.run(),
            Self::Eval(args) => args.run(),
            Self::Bench(args) => args.run(),
            Self::Models(args) => args.run(),
            Self::Demo(args) => args.run(),
            Self::Devices(args) => args.run(),
        })
    }
}

/// How a command ended if it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It did everything it was asked to do.
    Done,
    /// It skipped some of its work and has printed the reasons.
    Incomplete,
    /// It was interrupted and has saved its work.
    Interrupted,
}

/// Turns the result of a command into an exit code and prints errors to standard error.
pub fn finish(result: Result<Ending, Error>) -> ExitCode {
    match result {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::FAILURE,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error}");
            if error.code() == ErrorCode::UnclearPalette {
                eprintln!("hint: --read-as colors or --read-as ids says which it is");
            }
            ExitCode::from(if error.code().category() == ErrorCategory::Argument { 2 } else { 1 })
        }
    }
}

/// A built-in class table by name, or one from a file.
fn class_table(name: &std::path::Path) -> Result<ClassTable, Error> {
    match name.to_str().filter(|_| name.extension().is_none()) {
        Some(name) => ClassTable::shipped(name),
        None => ClassTable::open(name),
    }
}

/// The classes to read a data set with that a model goes with: those of the model, unless the folder has a table.
fn data_classes(folder: &std::path::Path, model: &Model) -> Option<ClassTable> {
    let own = ["classes.ron", "classes.json", "classes.gpl"].iter().any(|name| folder.join(name).is_file());
    (!own).then(|| model.classes().clone())
}

/// Parses the name of a network; help texts list all names.
fn system_parser() -> impl TypedValueParser<Value = System> {
    let names = System::all().map(|system| PossibleValue::new(system.name()).help(system.summary()));
    PossibleValuesParser::new(names).try_map(|name| System::by_name(&name))
}

/// Parses how often a generator doubles the size; help texts list all choices.
fn upsampling_parser() -> impl TypedValueParser<Value = Upsampling> {
    let name = |upsampling: &Upsampling| PossibleValue::new(upsampling.name()).help(upsampling.summary());
    let names = Upsampling::ALL.iter().map(name);
    PossibleValuesParser::new(names).try_map(|name| Upsampling::by_name(&name))
}

/// Parses `128` or `256x128` (width x height) into height and width.
fn parse_size(text: &str) -> Result<[usize; 2], String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text:?} is no number of pixels"));
    match text.split_once('x') {
        Some((width, height)) => Ok([number(height)?, number(width)?]),
        None => number(text).map(|side| [side, side]),
    }
}

/// How to treat colours of label pictures that belong to no class.
#[derive(Args, Clone, Copy, Debug)]
struct ColorArgs {
    /// How to treat pixels of an RGB label map whose colour belongs to no class
    #[arg(long, value_enum, default_value_t = Unknown::Refuse, value_name = "POLICY")]
    unknown_colors: Unknown,
    /// Largest difference per channel, 0 to 255, at which a colour still counts as a class colour
    #[arg(long, default_value_t = 0, value_name = "N")]
    tolerance: u8,
    /// What the pixels of label maps mean [default: what the picture looks like; if that is unclear, it is refused]
    #[arg(long, value_enum, value_name = "WHAT")]
    read_as: Option<Meaning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Meaning {
    /// Class ids: the stored values of an indexed or grey picture, the greys of an RGB one
    Ids,
    /// Class colours: those of the palette, or of the pixels
    Colors,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unknown {
    /// Stop and list the unknown colours
    Refuse,
    /// Use the class with the nearest colour, if it is within the tolerance
    NearestColor,
    /// Use the class of the nearest pixel that has one (for soft brushes)
    NearestPixel,
}

impl ColorArgs {
    fn options(self) -> Result<ReadOptions, Error> {
        let read_as = self.read_as.map(|meaning| match meaning {
            Meaning::Ids => ReadAs::Ids,
            Meaning::Colors => ReadAs::Colors,
        });
        Ok(ReadOptions { policy: self.policy()?, read_as })
    }

    /// Whether any of the flags was given.
    fn is_used(self) -> bool {
        !matches!(self.unknown_colors, Unknown::Refuse) || self.tolerance > 0 || self.read_as.is_some()
    }

    fn policy(self) -> Result<ColorPolicy, Error> {
        let Self { unknown_colors, tolerance, .. } = self;
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
