//! `semsynth train`, which the training examples share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::progress::Progress;
use super::{ColorArgs, Ending, class_table, interrupt, parse_size, system_parser, table, upsampling_parser};
use crate::data::{self, Dataset, OpenOptions, Procedural, ProceduralTiles, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::ReadOptions;
use crate::network::{System, Upsampling};
use crate::table::{Sets, Table};
use crate::train::{
    Checkpoint, EventFile, Files, Group, Observer, Outcome, ProceduralSet, Recipe, Record, Run, Silent, Stopped,
    TrainLog, Trainer, animation, check_vgg, train_in_group,
};

/// Sizes of the procedural training set (one epoch) and of the validation set.
const PROCEDURAL: (usize, usize) = (4096, 16);

/// The same for terrain. Every tile is a world of its own, so a longer epoch costs nothing.
const TILES: (usize, usize) = (1 << 20, 16);

/// Time limit of a run without any flags; writing the model takes some more time.
const FIRST_IMPRESSION: Duration = Duration::from_mins(4);

/// Where libraries of MPI say how many processes there are: Open MPI, MPICH and its kin.
const MPI_SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

#[cfg(feature = "mpi")]
use crate::train::in_mpi;

#[cfg(not(feature = "mpi"))]
fn in_mpi<T>(_work: impl FnOnce(&Group, usize) -> Result<T>) -> Result<T> {
    Err(Error::Argument("--mpi: this build cannot use MPI (feature `mpi`)".into()))
}

/// Arguments of `semsynth train`.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command")]
pub struct TrainArgs {
    /// Training data: pix2pix pairs, img/ and label/ folders, or CMP facades [default: the built-in procedural
    /// facades]
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
    /// Do not mirror pictures at random; classes such as "left eye" and "right eye" swap when they are mirrored
    #[arg(long)]
    no_flip: bool,
    /// Output folder for the model, logs and checkpoints [default: the first unused of facades-run, facades-run-2,
    /// …]
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the run in this folder with its own recipe; some settings can be changed with flags
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "recipe", "preset", "set", "arch", "upsampling", "latent", "size", "batch", "ngf", "ndf", "seed", "no_flip"])]
    resume: Option<PathBuf>,
    /// Settings to start from; other flags override them
    #[arg(long, value_enum, default_value_t = Preset::Quick)]
    preset: Preset,
    /// Recipe file (RON) to start from instead, such as the recipe.ron of another run
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    recipe: Option<PathBuf>,
    /// Train and measure all recipes of a table (RON), such as core/models/recipes/tables/systems.ron, into --out; the same
    /// command goes on where it was stopped. Flags for data, size, widths, learning rate, VGG19 and seed apply to all rows
    #[arg(long, value_name = "FILE", requires = "out", conflicts_with_all = ["resume", "recipe", "preset", "arch", "upsampling", "latent", "steps", "minutes", "batch", "name"])]
    table: Option<PathBuf>,
    /// Pictures that each row of the table is trained on, in place of the table's number
    #[arg(long, value_name = "N", requires = "table")]
    images: Option<u64>,
    /// Weights of ESPNet that the table is measured with, such as those of `semsynth train-segmenter`, in place of the table's
    #[arg(long, value_name = "FILE", requires = "table")]
    segmenter: Option<PathBuf>,
    /// Network of the generator
    #[arg(long, value_name = "NETWORK", value_parser = system_parser())]
    arch: Option<System>,
    /// How often the generator doubles the size of its first features [default: normal]. With fewer doublings, a label
    /// reaches less far, for live work. Not for pix2pixhd, pix2pix, crn and sims
    #[arg(long, value_name = "HOW", value_parser = upsampling_parser())]
    upsampling: Option<Upsampling>,
    /// Train a variational encoder that gives each picture a latent vector (with networks of the SPADE family
    /// that have no styles of their own, such as spade, clade and hybrid)
    #[arg(long)]
    latent: bool,
    /// Picture size: WIDTHxHEIGHT, or one number for both; multiples of 32, or of the network's stride with --upsampling
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// Total number of steps; learning rates decay over the last third
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Stop after this many minutes [default: 4 for a run without other instructions, else no limit]
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Batch size
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Base width of the generator
    #[arg(long, value_name = "N")]
    ngf: Option<usize>,
    /// Base width of the discriminator
    #[arg(long, value_name = "N")]
    ndf: Option<usize>,
    /// Base learning rate
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// torchvision's VGG19 weights (.pth or .safetensors) for the perceptual loss
    #[arg(long, value_name = "FILE")]
    vgg: Option<PathBuf>,
    /// Seed for weight initialization and the order of the data
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Name of the model [default: the name of the output folder]
    #[arg(long)]
    name: Option<String>,
    /// Licence of the weights, an SPDX expression
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// Store weights as 16-bit floats: half the size
    #[arg(long)]
    half: bool,
    /// Compute convolutions with 16-bit floats (mixed precision), on GPUs that have them
    #[arg(long)]
    mixed: bool,
    /// Write the contact sheets as an animated PNG at the end: animation.png
    #[arg(long, conflicts_with = "table")]
    animation: bool,
    /// Write an event file with the losses into the output folder, for `tensorboard --logdir`
    #[arg(long, conflicts_with = "table")]
    tensorboard: bool,
    /// Write a trace of threads into the output folder, trace.json, for Perfetto (ui.perfetto.dev): when they compute, load
    /// pictures, and wait
    #[arg(long, conflicts_with = "table")]
    trace: bool,
    /// Train as one of the processes that `mpirun` starts: each computes its share of every batch. Needs a build with the feature
    /// `mpi`
    #[arg(long, conflicts_with = "table")]
    mpi: bool,
    /// Device: auto, or a name from `semsynth devices`. With --mpi, the processes of a machine take turns with its GPUs
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SetName {
    /// Rectified facades with the 12 CMP classes
    Facades,
    /// The same in many colours and materials, with a style for each class
    StyledFacades,
    /// Ground from above with 12 classes, and a style for each
    Terrain,
}

impl SetName {
    pub(super) fn set(self) -> ProceduralSet {
        match self {
            Self::Facades => ProceduralSet::Facades,
            Self::StyledFacades => ProceduralSet::StyledFacades,
            Self::Terrain => ProceduralSet::Terrain,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// A small network at 128x128: first results within minutes on two CPU cores
    Quick,
    /// The papers' networks at 256x256, for GPUs
    Paper,
}

impl TrainArgs {
    /// Trains, and prints what was written.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if flags contradict each other; otherwise errors from reading, training and writing.
    pub fn run(&self) -> Result<Ending> {
        if let (Some(file), Some(out)) = (&self.table, &self.out) {
            return table::run(self.table(file)?, out, &Device::by_name(&self.device)?);
        }
        if self.mpi {
            return in_mpi(|group, local| self.train(group, local));
        }
        if let Some(name) = MPI_SIZES.iter().find(|name| std::env::var(name).is_ok_and(|size| size != "1")) {
            return Err(Error::Argument(format!(
                "mpirun has started several processes (says {name}), which would all train the same: give --mpi too"
            )));
        }
        self.train(&Group::alone(), 0)
    }

    /// Trains as one of a group, the `local`-th of this machine. The first of the group speaks for all.
    fn train(&self, group: &Group, local: usize) -> Result<Ending> {
        let leads = group.rank() == 0;
        let (run, checkpoint) = self.prepare(local)?;
        if leads {
            eprintln!("device      {}", run.device.describe());
            if group.size() > 1 {
                eprintln!("processes   {}", group.size());
            }
            if run.recipe.mixed {
                let mixed = "16-bit floats in convolutions, 32 elsewhere";
                let plain = "32-bit floats: this device has no 16-bit floats that would be faster";
                eprintln!("precision   {}", if Trainer::can_mix(&run.device) { mixed } else { plain });
            }
            eprintln!("train       {}", run.train.describe());
            eprintln!("validate    {}", run.val.describe());
            let limit =
                run.time_limit.map_or(String::new(), |limit| format!(" or {:.1} minutes", limit.as_secs_f64() / 60.0));
            eprintln!("run         {} steps{limit}, into {}", run.recipe.steps, run.out.display());
        }
        // All files are read once before the first step.
        run.train.check()?;
        run.val.check()?;
        let stop = interrupt::flag("stopping after this step; the run can be resumed")?;
        let outcome = if leads {
            let progress = Progress::new(run.time_limit);
            let mut watch = Watch { progress, out: &run.out, tensorboard: self.tensorboard, events: None };
            train_in_group(&run, checkpoint, group, &mut watch, &stop)?
        } else {
            train_in_group(&run, checkpoint, group, &mut Silent, &stop)?
        };
        if leads {
            // All files are written before anything is printed: printing may end the program.
            let path = run.out.join("animation.png");
            let frames = self.animation.then(|| animation(&outcome.files, &path));
            report(&outcome, &run);
            if let Some(frames) = frames.transpose()? {
                println!("animation   {} ({frames} pictures)", path.display());
            }
        }
        Ok(if outcome.stopped == Stopped::Interrupted { Ending::Interrupted } else { Ending::Done })
    }

    /// The run, and the checkpoint to resume from, if any.
    fn prepare(&self, local: usize) -> Result<(Run, Option<Checkpoint>)> {
        let out = self.resume.as_ref().or(self.out.as_ref()).cloned().unwrap_or_else(|| free_folder("facades-run"));
        let checkpoint = match &self.resume {
            Some(folder) => Some(Checkpoint::open(Files::new(folder).checkpoint())?),
            None => None,
        };
        let recipe = self.recipe(checkpoint.as_ref().map(Checkpoint::recipe))?;
        recipe.validate()?;
        check_vgg(&recipe)?;
        let time_limit = self.time_limit()?;
        let (train, val) = open_sets(&recipe)?;
        let device = Device::for_process(&self.device, local)?;
        Ok((Run { recipe, out, train, val, device, time_limit, trace: self.trace }, checkpoint))
    }

    /// The table, its rows changed by flags.
    fn table(&self, file: &Path) -> Result<Table> {
        let mut table = Table::open(file)?;
        table.images = self.images.unwrap_or(table.images);
        table.measures.segmenter = self.segmenter.clone().or(table.measures.segmenter);
        for row in &mut table.rows {
            row.recipe = self.recipe(Some(&row.recipe))?;
        }
        table.prepared().map_err(|error| error.context(file.display()))
    }

    fn time_limit(&self) -> Result<Option<Duration>> {
        match self.minutes {
            Some(minutes) if minutes > 0.0 && minutes < 1e6 => Ok(Some(Duration::from_secs_f64(minutes * 60.0))),
            Some(minutes) => Err(Error::Argument(format!("--minutes is {minutes}: it must be above 0"))),
            None => {
                let told = self.data.is_some()
                    || self.steps.is_some()
                    || self.recipe.is_some()
                    || self.resume.is_some()
                    || self.preset == Preset::Paper;
                Ok((!told).then_some(FIRST_IMPRESSION))
            }
        }
    }

    /// The recipe: from the checkpoint, a file or a preset, then changed by flags.
    fn recipe(&self, stored: Option<&Recipe>) -> Result<Recipe> {
        let mut recipe = match (stored, &self.recipe, self.preset) {
            (Some(stored), ..) => stored.clone(),
            (None, Some(path), _) => Recipe::open(path)?,
            (None, None, Preset::Quick) => Recipe::quick(),
            (None, None, Preset::Paper) => Recipe::default(),
        };
        // Absolute, so that the run can be resumed from another working directory.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        if let Some(data) = &self.data {
            recipe.data = Some(absolute(data));
            let named = |path: &PathBuf| if path.extension().is_none() { path.clone() } else { absolute(path) };
            recipe.classes = self.classes.as_ref().map(named);
        }
        if let Some(set) = self.set {
            recipe.data = None;
            recipe.set = set.set();
        }
        if self.colors.is_used() {
            recipe.labels = self.colors.options()?;
        }
        recipe.flip &= !self.no_flip;
        if let Some(system) = self.arch {
            recipe.set_system(system);
        }
        recipe.upsampling = self.upsampling.unwrap_or(recipe.upsampling);
        recipe.latent |= self.latent;
        if let Some(steps) = self.steps {
            recipe.steps = steps;
            recipe.decay_from = recipe.decay_from.map(|_| steps - steps / 3);
        }
        recipe.name = self.name.clone().or(recipe.name);
        recipe.licence = self.licence.clone().unwrap_or(recipe.licence);
        recipe.half |= self.half;
        recipe.mixed |= self.mixed;
        recipe.size = self.size.unwrap_or(recipe.size);
        recipe.batch = self.batch.unwrap_or(recipe.batch);
        recipe.ngf = self.ngf.unwrap_or(recipe.ngf);
        recipe.discriminator.ndf = self.ndf.unwrap_or(recipe.discriminator.ndf);
        recipe.learning_rate = self.learning_rate.unwrap_or(recipe.learning_rate);
        recipe.seed = self.seed.unwrap_or(recipe.seed);
        recipe.vgg = self.vgg.as_ref().map(absolute).or(recipe.vgg);
        Ok(recipe)
    }
}

/// Shows progress, and writes losses for `TensorBoard`.
struct Watch<'a> {
    progress: Progress,
    out: &'a Path,
    tensorboard: bool,
    /// The event file, from the start of training on, unless it could not be written.
    events: Option<EventFile>,
}

impl Observer for Watch<'_> {
    fn start(&mut self, first: u64, steps: u64) {
        self.progress.start(first, steps);
        if self.tensorboard {
            // The log has been cut back to the checkpoint, so the event file is too.
            let records = TrainLog::read(Files::new(self.out).log());
            let events = records.and_then(|records| EventFile::create(EventFile::path_in(self.out), &records));
            match events {
                Ok(events) => self.events = Some(events),
                Err(error) => self.no_events(&error),
            }
        }
    }

    fn step(&mut self, step: u64) {
        self.progress.step(step);
    }

    fn losses(&mut self, record: &Record) {
        self.progress.losses(record);
        if let Some(error) = self.events.as_mut().and_then(|events| events.append(record).err()) {
            self.no_events(&error);
        }
    }

    fn note(&mut self, text: &str) {
        self.progress.note(text);
    }

    fn finish(&mut self) {
        self.progress.finish();
    }
}

impl Watch<'_> {
    /// Training goes on without an event file: a resumed run writes it again from the log.
    fn no_events(&mut self, error: &Error) {
        self.events = None;
        self.progress.note(&format!("nothing more is written for TensorBoard: {error}"));
    }
}

/// The pairs that a recipe is trained and validated on.
pub(super) fn open_sets(recipe: &Recipe) -> Result<Sets> {
    if let Some(folder) = &recipe.data {
        return open_folder(folder, recipe.classes.as_deref(), recipe.labels);
    }
    let (train, val) = match recipe.set {
        ProceduralSet::Facades | ProceduralSet::StyledFacades => PROCEDURAL,
        ProceduralSet::Terrain => TILES,
    };
    let set = |split, len, size| procedural(recipe.set, split, len, size);
    Ok((set(Split::Train, train, recipe.load_size()), set(Split::Val, val, recipe.validation_size())))
}

/// Both splits of the data set in a folder.
pub(super) fn open_folder(folder: &Path, classes: Option<&Path>, labels: ReadOptions) -> Result<Sets> {
    let options = OpenOptions { classes: classes.map(class_table).transpose()?, labels };
    let open = |split| data::open(folder, split, &options).map(Arc::from);
    Ok((open(Split::Train)?, open(Split::Val)?))
}

/// `len` samples of a procedural set, `size` (height and width) large.
pub(super) fn procedural(
    set: ProceduralSet,
    split: Split,
    len: usize,
    [height, width]: [usize; 2],
) -> Arc<dyn Dataset> {
    match set {
        ProceduralSet::Facades => Arc::new(Procedural::new(split, 0, len, width, height)),
        ProceduralSet::StyledFacades => Arc::new(Procedural::varied(split, 0, len, width, height)),
        ProceduralSet::Terrain => Arc::new(ProceduralTiles::new(split, 0, len, width, height)),
    }
}

/// `name`, or the first unused of `name-2`, `name-3`, ….
pub(super) fn free_folder(name: &str) -> PathBuf {
    let numbered = (2..).map(|number| PathBuf::from(format!("{name}-{number}")));
    let mut names = std::iter::once(PathBuf::from(name)).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or_else(|| PathBuf::from(name))
}

/// Why a run ended, as the command says it.
pub(super) fn why(stopped: Stopped) -> &'static str {
    match stopped {
        Stopped::Finished => "finished",
        Stopped::TimeUp => "time is up",
        Stopped::Interrupted => "interrupted",
    }
}

fn report(outcome: &Outcome, run: &Run) {
    let why = why(outcome.stopped);
    let score = outcome.score;
    println!("{why} after {} steps, {:.2} steps/s", outcome.steps, outcome.rate);
    // Less is nothing to act on.
    if outcome.waited > Duration::from_secs(1) {
        println!(
            "data        waited {:.1} s for pictures: reading them is slower than training",
            outcome.waited.as_secs_f64()
        );
    }
    println!("validation  PSNR {:.2} dB, SSIM {:.3}, mean of {} pictures", score.psnr, score.ssim, score.pictures);
    println!("model       {}", outcome.files.model().display());
    let collage = if run.recipe.architecture(1).takes_collage() { " | collage" } else { "" };
    println!("pictures    {} (labels{collage} | synthesized | real)", outcome.files.sheet().display());
    println!("losses      {}", outcome.files.plot().display());
    if run.trace {
        println!("trace       {}", outcome.files.trace().display());
    }
    if outcome.stopped != Stopped::Finished {
        println!("resume with --resume {}", run.out.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        train: TrainArgs,
    }

    fn parse(arguments: &[&str]) -> TrainArgs {
        Arguments::try_parse_from(std::iter::once(&"train").chain(arguments)).unwrap().train
    }

    #[test]
    fn flags_override_the_preset() {
        let args =
            parse(&["--arch", "spade", "--size", "256x128", "--steps", "300", "--ndf", "8", "--upsampling", "two"]);
        let recipe = args.recipe(None).unwrap();
        assert_eq!(recipe.modulation, crate::nn::modulation::ModulationKind::Spade { kernel: 3 });
        assert_eq!(recipe.size, [128, 256]);
        assert_eq!((recipe.steps, recipe.decay_from), (300, Some(200)));
        assert_eq!(recipe.discriminator.ndf, 8);
        assert_eq!(recipe.upsampling, Upsampling::Two);
        assert_eq!(recipe.batch, Recipe::quick().batch);
    }

    #[test]
    fn resuming_excludes_flags_that_change_the_network() {
        let all = ["train", "--resume", "x", "--ngf", "3"];
        assert!(Arguments::try_parse_from(all).is_err());
        // Mirroring determines the order of the data.
        assert!(Arguments::try_parse_from(["train", "--resume", "x", "--no-flip"]).is_err());
        let message = parse(&["--resume", "no-such-folder"]).prepare(0).err().unwrap().to_string();
        assert!(message.contains("no checkpoint"), "{message}");
    }

    #[test]
    fn only_a_run_without_instructions_is_short() {
        let limit = |arguments: &[&str]| parse(arguments).time_limit().unwrap();
        assert_eq!(limit(&[]), Some(FIRST_IMPRESSION));
        assert_eq!(limit(&["--arch", "spade"]), Some(FIRST_IMPRESSION));
        assert_eq!(limit(&["--steps", "10"]), None);
        assert_eq!(limit(&["--data", "x"]), None);
        assert_eq!(limit(&["--data", "x", "--minutes", "1.5"]), Some(Duration::from_secs(90)));
        assert!(parse(&["--minutes", "0"]).time_limit().is_err());
    }

    #[test]
    fn a_table_takes_flags_for_all_rows() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/models/recipes/tables/systems.ron");
        let flags = ["--size", "64", "--ngf", "8", "--images", "41", "--seed", "3"];
        let table =
            parse(&[["--table", file, "--out", "x"].as_slice(), &flags].concat()).table(Path::new(file)).unwrap();
        assert!(
            table.rows.iter().all(|row| row.recipe.size == [64, 64] && row.recipe.ngf == 8 && row.recipe.seed == 3)
        );
        assert!(table.rows.iter().all(|row| (row.recipe.steps, row.recipe.decay_from) == (11, Some(5))));
        for wrong in
            ["--table x", "--images 3 --out x", "--table x --out y --arch spade", "--table x --out y --steps 3"]
        {
            let arguments = std::iter::once("train").chain(wrong.split(' '));
            assert!(Arguments::try_parse_from(arguments).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("64").unwrap(), [64, 64]);
        assert!(parse_size("64y3").is_err());
    }
}
