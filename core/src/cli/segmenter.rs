//! `semsynth train-segmenter`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::progress::Progress;
use super::train::{SetName, free_folder, open_folder, procedural, why};
use super::{ColorArgs, Ending, interrupt, parse_size};
use crate::data::Split;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::segmenter::{Checkpoint, Files, Outcome, Recipe, Run, resume, train};
use crate::table::Sets;
use crate::train::Stopped;

/// Sizes of a procedural training set and of its validation set. Each picture is made when it is needed.
const PROCEDURAL: (usize, usize) = (1 << 20, 100);

/// Arguments of `semsynth train-segmenter`.
#[derive(Args, Debug)]
#[command(
    after_help = "Trains ESPNet to find the classes of a data set in its photos. Then `semsynth eval --segmenter \
                        DIR/segmenter.safetensors` measures how well it finds them in pictures. docs/evaluation.md says more."
)]
pub struct TrainSegmenterArgs {
    /// Training data, in any form that `semsynth train` takes [default: the built-in procedural facades]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Procedural set to train on, without --data [default: facades]
    #[arg(long, value_enum, value_name = "SET", conflicts_with = "data")]
    set: Option<SetName>,
    /// Class table of the data, in place of what the folder holds: a file (.ron, .gpl, .json, .txt of CVAT, .csv) or a
    /// built-in name such as ade20k
    #[arg(long, value_name = "NAME|FILE", requires = "data")]
    classes: Option<PathBuf>,
    #[command(flatten)]
    colors: ColorArgs,
    /// Class whose pixels do not count, by name or id [default: the don't-care class, if there is one]
    #[arg(long, value_name = "CLASS")]
    ignore: Option<String>,
    /// Do not mirror pictures at random
    #[arg(long)]
    no_flip: bool,
    /// Output folder for the network, its score, log and checkpoint [default: the first unused of segmenter, segmenter-2, …]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the run in this folder; data, steps and rate can be changed with flags
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "set", "ignore", "no_flip", "size", "load_scale", "batch", "blocks", "seed"])]
    resume: Option<PathBuf>,
    /// Picture size: WIDTHxHEIGHT, or one number for both; multiples of 8 [default: 128]. Take the size that is measured
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// Pictures are resized to 1 to this times the size, and cropped [default: 1.25]
    #[arg(long, value_name = "FACTOR")]
    load_scale: Option<f64>,
    /// Number of steps; the learning rate falls to 0 at the last [default: 2000]
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Stop after this many minutes [default: no limit]
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Batch size [default: 8]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Blocks at an eighth of the size, 8 in the paper; fewer are faster [default: 8]
    #[arg(long, value_name = "N")]
    blocks: Option<usize>,
    /// Learning rate of the first step [default: 0.001]
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Seed for weight initialization and the order of the data [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
}

impl TrainSegmenterArgs {
    /// Trains, and prints what was written.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if flags contradict each other; otherwise errors from reading, training and writing.
    pub fn run(&self) -> Result<Ending> {
        let (run, checkpoint) = self.prepare()?;
        eprintln!("device      {}", run.device.describe());
        eprintln!("train       {}", run.train.describe());
        eprintln!("validate    {}", run.val.describe());
        let limit =
            run.time_limit.map_or(String::new(), |limit| format!(" or {:.1} minutes", limit.as_secs_f64() / 60.0));
        eprintln!("run         {} steps{limit}, into {}", run.recipe.steps, run.out.display());
        // All files are read once before the first step.
        run.train.check()?;
        run.val.check()?;
        let stop = interrupt::flag("stopping after this step; the run can be resumed")?;
        let mut progress = Progress::new(run.time_limit);
        let outcome = match checkpoint {
            Some(checkpoint) => resume(&run, checkpoint, &mut progress, &stop)?,
            None => train(&run, &mut progress, &stop)?,
        };
        report(&outcome, &run.out);
        Ok(if outcome.stopped == Stopped::Interrupted { Ending::Interrupted } else { Ending::Done })
    }

    /// The run, and the checkpoint to resume from, if any.
    fn prepare(&self) -> Result<(Run, Option<Checkpoint>)> {
        let out = self.resume.as_ref().or(self.out.as_ref()).cloned().unwrap_or_else(|| free_folder("segmenter"));
        let checkpoint = match &self.resume {
            Some(folder) => Some(Checkpoint::open(Files::new(folder).checkpoint())?),
            None => None,
        };
        let recipe = self.recipe(checkpoint.as_ref().map(Checkpoint::recipe))?;
        recipe.validate()?;
        let time_limit = match self.minutes {
            None => None,
            Some(minutes) if minutes > 0.0 && minutes < 1e6 => Some(Duration::from_secs_f64(minutes * 60.0)),
            Some(minutes) => return Err(Error::Argument(format!("--minutes is {minutes}: it must be above 0"))),
        };
        let (train, val) = sets(&recipe)?;
        let device = Device::by_name(&self.device)?;
        Ok((Run { recipe, out, train, val, device, time_limit }, checkpoint))
    }

    /// The recipe: from the checkpoint or the default, changed by flags.
    fn recipe(&self, stored: Option<&Recipe>) -> Result<Recipe> {
        let mut recipe = stored.cloned().unwrap_or_default();
        // Absolute, so that the run can be resumed from another working directory.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if let Some(data) = &self.data {
            recipe.data = Some(absolute(data));
            let named = |path: &PathBuf| if path.extension().is_none() { path.clone() } else { absolute(path) };
            recipe.classes = self.classes.as_ref().map(named);
        }
        if let Some(set) = self.set {
            (recipe.data, recipe.set) = (None, set.set());
        }
        if self.colors.is_used() {
            recipe.labels = self.colors.options()?;
        }
        recipe.flip &= !self.no_flip;
        recipe.ignore = self.ignore.clone().or(recipe.ignore);
        recipe.size = self.size.unwrap_or(recipe.size);
        recipe.load_scale = self.load_scale.unwrap_or(recipe.load_scale);
        recipe.steps = self.steps.unwrap_or(recipe.steps);
        recipe.batch = self.batch.unwrap_or(recipe.batch);
        recipe.blocks[1] = self.blocks.unwrap_or(recipe.blocks[1]);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        Ok(recipe)
    }
}

/// The pairs that a recipe is trained and validated on.
fn sets(recipe: &Recipe) -> Result<Sets> {
    if let Some(folder) = &recipe.data {
        return open_folder(folder, recipe.classes.as_deref(), recipe.labels);
    }
    let (train, val) = PROCEDURAL;
    let set = |split, len, size| procedural(recipe.set, split, len, size);
    Ok((set(Split::Train, train, recipe.load_size()), set(Split::Val, val, recipe.size)))
}

fn report(outcome: &Outcome, out: &Path) {
    let why = why(outcome.stopped);
    println!("{why} after {} steps, {:.2} steps/s", outcome.steps, outcome.rate);
    let report = &outcome.report;
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let (mean, accuracy) = (share(report.score.mean_iou), share(report.score.pixel_accuracy));
    println!("validation  mIoU {mean}, pixel accuracy {accuracy}, {} pictures", report.pictures);
    for (name, value) in &report.score.iou {
        println!("            {value:.3} {name}");
    }
    println!("segmenter   {}", outcome.files.segmenter().display());
    println!("score       {}", outcome.files.score().display());
    println!("pictures    {} (labels | found | photo)", outcome.files.sheet().display());
    if outcome.stopped != Stopped::Finished {
        println!("resume with --resume {}", out.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        args: TrainSegmenterArgs,
    }

    fn parse(text: &str) -> Result<TrainSegmenterArgs, clap::Error> {
        let words = std::iter::once("train-segmenter").chain(text.split_whitespace());
        Arguments::try_parse_from(words).map(|arguments| arguments.args)
    }

    #[test]
    fn flags_make_the_recipe() {
        let flags = "--set terrain --size 64x32 --steps 9 --blocks 3 --no-flip --ignore snow --batch 4";
        let recipe = parse(flags).unwrap().recipe(None).unwrap();
        assert_eq!((recipe.size, recipe.steps, recipe.blocks, recipe.flip), ([32, 64], 9, [2, 3], false));
        assert_eq!((recipe.set, recipe.ignore.as_deref()), (crate::train::ProceduralSet::Terrain, Some("snow")));
        let again = parse("--resume x --steps 20").unwrap().recipe(Some(&recipe)).unwrap();
        assert_eq!(again, Recipe { steps: 20, ..recipe });
    }

    #[test]
    fn what_a_run_is_made_of_cannot_change() {
        for wrong in ["--resume x --size 64", "--resume x --blocks 3", "--data x --set terrain", "--classes ade20k"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let message = parse("--resume no-such-folder").unwrap().prepare().err().unwrap().to_string();
        assert!(message.contains("no checkpoint"), "{message}");
        assert!(parse("--minutes 0").unwrap().prepare().is_err());
    }
}
