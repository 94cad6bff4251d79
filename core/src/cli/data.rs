//! `semsynth data`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{ColorArgs, Ending, class_table};
use crate::data::{OpenOptions, Split, check};
use crate::error::Result;

/// Arguments of `semsynth data`.
#[derive(Args, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Read all files of a data set and list everything that is wrong, with what to do about it
    Check(CheckArgs),
}

/// Arguments of `semsynth data check`.
#[derive(Args, Debug)]
struct CheckArgs {
    /// Folder of the data set
    dir: PathBuf,
    /// Check only this split [default: both]
    #[arg(long, value_enum)]
    split: Option<SplitName>,
    /// Class table of the data, in place of what the folder holds: a file (.ron, .gpl, .json, .txt of CVAT, .csv) or a
    /// built-in name such as ade20k
    #[arg(long, value_name = "NAME|FILE")]
    classes: Option<PathBuf>,
    #[command(flatten)]
    colors: ColorArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitName {
    /// The pairs to train on
    Train,
    /// The pairs to validate on
    Val,
}

impl DataArgs {
    /// Does what the subcommand says, and prints what it found. The ending of a check is
    /// [`Ending::Incomplete`] if training could not start.
    ///
    /// # Errors
    ///
    /// Errors from the class table, and if the folder holds no data set.
    pub fn run(&self) -> Result<Ending> {
        match &self.command {
            DataCommand::Check(args) => args.run(),
        }
    }
}

impl CheckArgs {
    fn run(&self) -> Result<Ending> {
        let splits: &[Split] = match self.split {
            None => &[Split::Train, Split::Val],
            Some(SplitName::Train) => &[Split::Train],
            Some(SplitName::Val) => &[Split::Val],
        };
        let classes = self.classes.as_deref().map(class_table).transpose()?;
        let found = check(&self.dir, splits, &OpenOptions { classes, labels: self.colors.options()? })?;
        print!("{found}");
        Ok(if found.is_usable() { Ending::Done } else { Ending::Incomplete })
    }
}
