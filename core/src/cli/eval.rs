//! `semsynth eval`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::progress::clock;
use super::{ColorArgs, Ending, class_table, data_classes, interrupt, parse_size};
use crate::bank::{Bank, BankLimits};
use crate::data::{self, OpenOptions, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::eval::{Against, Files, Folders, Measures, Observer, Painted, Source, evaluate, ignored_class};
use crate::label::ClassTable;
use crate::model::Model;

/// Arguments of `semsynth eval`.
#[derive(Args, Debug)]
#[command(
    after_help = "PSNR, SSIM and RMSE are always measured. Networks are files that you supply; docs/evaluation.md says \
                        which, how everything is measured, and how to compare with papers. Stop with Ctrl-C; the same command \
                        goes on where it stopped."
)]
#[group(id = "what", required = true, args = ["pictures", "model"])]
pub struct EvalArgs {
    /// Folder of pictures to measure against the photos of the same names in --truth
    #[arg(long, value_name = "DIR", requires = "truth", conflicts_with_all = ["model", "data", "split", "size"])]
    pictures: Option<PathBuf>,
    /// Folder of the photos of the pictures
    #[arg(long, value_name = "DIR", requires = "pictures")]
    truth: Option<PathBuf>,
    /// Folder of the label maps of the photos, for --segmenter
    #[arg(long, value_name = "DIR", requires_all = ["pictures", "classes"])]
    labels: Option<PathBuf>,
    /// Model file, or `builtin:NAME`, that paints the label maps of --data
    #[arg(short, long, value_name = "MODEL", requires = "data")]
    model: Option<PathBuf>,
    /// Data set, in any form that `semsynth train` takes
    #[arg(long, value_name = "DIR", requires = "model")]
    data: Option<PathBuf>,
    /// Split of the data set
    #[arg(long, value_enum, default_value_t = Part::Val, value_name = "SPLIT")]
    split: Part,
    /// Size to paint and measure at, WIDTHxHEIGHT or one number for both [default: the size the model was trained at]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// Class table of the label maps: a file or a built-in name such as ade20k [default for --data: what the folder holds, or
    /// the classes of the model]
    #[arg(long, value_name = "NAME|FILE")]
    classes: Option<PathBuf>,
    #[command(flatten)]
    colors: ColorArgs,
    /// Measure LPIPS: torchvision's AlexNet or VGG16, and the `lin` weights of the package lpips for it
    #[arg(long, value_name = "FILE", num_args = 1..=2)]
    lpips: Vec<PathBuf>,
    /// Measure FID: weights of Inception as pytorch-fid has them (pt_inception-2015-12-05)
    #[arg(long, value_name = "FILE")]
    fid: Option<PathBuf>,
    /// Photos that FID compares with
    #[arg(long, value_enum, default_value_t = FidAgainst::Val, value_name = "WHICH", requires = "fid")]
    fid_against: FidAgainst,
    /// Measure mIoU and pixel accuracy: weights of ESPNet with its decoder, trained on the classes of the label maps
    #[arg(long, value_name = "FILE")]
    segmenter: Option<PathBuf>,
    /// Class whose pixels do not count in these scores, by name or id [default: the don't-care class, if there is one]
    #[arg(long, value_name = "CLASS", requires = "segmenter")]
    ignore: Option<String>,
    /// Folder for results; what it holds of the same pictures is not measured again
    #[arg(short, long, value_name = "DIR", default_value = "eval")]
    out: PathBuf,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Pairs to train on
    Train,
    /// Pairs to validate on
    Val,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FidAgainst {
    /// The photos of the pictures, as SPADE and OASIS
    Val,
    /// The photos of the training split of --data, as CLADE
    Train,
}

impl EvalArgs {
    /// Evaluates, writes `eval.json`, and prints a table.
    ///
    /// # Errors
    ///
    /// Errors from reading, painting, measuring and writing.
    pub fn run(&self) -> Result<Ending> {
        let device = Device::by_name(&self.device)?;
        let (mut source, measures) = self.prepare(&device)?;
        eprintln!("device      {}", device.describe());
        eprintln!("measure     {}", source.describe());
        let files = Files::new(&self.out);
        let stop = interrupt::flag("stopping after this picture; the same command goes on from here")?;
        let mut progress = Progress::new();
        let result = evaluate(source.as_mut(), &measures, &files, &mut progress, &stop);
        progress.clear();
        match result {
            Ok(report) => {
                print!("{report}");
                println!("report      {}", files.report().display());
                Ok(Ending::Done)
            }
            Err(Error::Cancelled) if stop.load(Ordering::Relaxed) => {
                println!("stopped; what was measured is in {}", files.journal().display());
                Ok(Ending::Interrupted)
            }
            Err(error) => Err(error),
        }
    }

    /// What to measure, and with what.
    fn prepare(&self, device: &Device) -> Result<(Box<dyn Source>, Measures)> {
        let options = self.colors.options()?;
        if let (Some(pictures), Some(truth)) = (&self.pictures, &self.truth) {
            let folders = Folders::open(pictures, truth)?;
            let folders = match (&self.labels, &self.classes) {
                (Some(labels), Some(classes)) => folders.labels(labels, class_table(classes)?, options)?,
                _ => folders,
            };
            let measures = self.measures(folders.classes(), device)?;
            return Ok((Box::new(folders), measures));
        }
        let (Some(model), Some(folder)) = (&self.model, &self.data) else {
            return Err(Error::Argument("give --pictures and --truth, or --model and --data".into()));
        };
        let model = Model::open(model)?;
        let classes = match &self.classes {
            Some(classes) => Some(class_table(classes)?),
            None => data_classes(folder, &model),
        };
        let open = |split| data::open(folder, split, &OpenOptions { classes: classes.clone(), labels: options });
        let split = match self.split {
            Part::Train => Split::Train,
            Part::Val => Split::Val,
        };
        let set = open(split)?;
        // Before the photos of a bank are read, which may take long.
        let measures = self.measures(Some(set.classes()), device)?;
        let bank = if model.architecture().takes_collage() {
            Some(Bank::of(&*open(Split::Train)?, model.manifest().native_size, BankLimits::default())?)
        } else {
            None
        };
        let mut painted = Painted::new(model, set, self.size, device)?;
        if let Some(bank) = bank {
            painted = painted.bank(bank, split == Split::Train)?;
        }
        if self.against() == Some(Against::Training) {
            painted = painted.training(open(Split::Train)?);
        }
        Ok((Box::new(painted), measures))
    }

    fn against(&self) -> Option<Against> {
        self.fid.as_ref().map(|_| match self.fid_against {
            FidAgainst::Val => Against::Photos,
            FidAgainst::Train => Against::Training,
        })
    }

    fn measures(&self, classes: Option<&ClassTable>, device: &Device) -> Result<Measures> {
        let mut measures = Measures::new(device);
        if !self.lpips.is_empty() {
            measures = measures.lpips(&self.lpips)?;
        }
        if let (Some(file), Some(against)) = (&self.fid, self.against()) {
            measures = measures.fid(file, against)?;
        }
        if let Some(file) = &self.segmenter {
            let ignored = ignored_class(self.ignore.as_deref(), classes);
            let ignored = ignored.map_err(|error| error.context("--ignore"))?;
            measures = measures.segmenter(file, ignored)?;
        }
        Ok(measures)
    }
}

/// Time between lines without a terminal.
const EVERY: Duration = Duration::from_secs(15);

/// A progress bar with the time left, or, without a terminal, a line from time to time.
pub(super) struct Progress {
    bar: ProgressBar,
    plain: bool,
    what: String,
    total: usize,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let (now, plain) = (Instant::now(), !std::io::stderr().is_terminal());
        Self { bar: ProgressBar::hidden(), plain, what: String::new(), total: 0, started: now, last_line: now }
    }

    /// Removes the bar.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn start(&mut self, what: &str, total: usize, known: usize) {
        (self.what, self.total) = (what.to_owned(), total);
        (self.started, self.last_line) = (Instant::now(), Instant::now());
        if known > 0 {
            self.note(&format!("{known} results of earlier evaluations are in the folder"));
        }
        if !self.plain {
            self.bar = ProgressBar::new(total as u64);
            // The template is a constant, so a mistake in it shows on the first run.
            let style = ProgressStyle::with_template("{pos}/{len} {msg} [{bar:24}]");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        }
    }

    fn progress(&mut self, done: usize) {
        let left = self.started.elapsed().mul_f64((self.total - done.min(self.total)) as f64 / done.max(1) as f64);
        let text = format!("{}, {} left", self.what, clock(left));
        if !self.plain {
            self.bar.set_position(done as u64);
            self.bar.set_message(text);
        } else if self.last_line.elapsed() >= EVERY {
            self.last_line = Instant::now();
            eprintln!("{done}/{} {text}", self.total);
        }
    }

    fn note(&mut self, text: &str) {
        if self.plain {
            eprintln!("{text}");
        } else {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        eval: EvalArgs,
    }

    fn parse(arguments: &str) -> std::result::Result<EvalArgs, String> {
        let arguments = std::iter::once("eval").chain(arguments.split(' '));
        Arguments::try_parse_from(arguments).map(|arguments| arguments.eval).map_err(|error| error.to_string())
    }

    #[test]
    fn pictures_or_a_model() {
        assert!(parse("--pictures a --truth b").is_ok());
        assert!(parse("--model m --data d --split train --size 64x32").is_ok());
        for wrong in [
            "--pictures a",
            "--truth b",
            "--model m",
            "--data d",
            "--pictures a --truth b --model m --data d",
            "--pictures a --truth b --size 64",
            "--pictures a --truth b --labels c",
            "--pictures a --truth b --fid-against train",
            "--pictures a --truth b --ignore sky",
            "--out x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let args = parse("--pictures a --truth b --lpips alex.pth lin.pth --fid i.pth --fid-against train").unwrap();
        assert_eq!((args.lpips.len(), args.against()), (2, Some(Against::Training)));
    }

    #[test]
    fn a_class_is_named_or_numbered() {
        let classes = ClassTable::cmp_facades();
        let class = classes.get(3).unwrap();
        let of = |name: &str| ignored_class(Some(name), Some(&classes));
        assert_eq!((of(&class.name).unwrap(), of("3").unwrap()), (Some(3), Some(3)));
        assert!(of("99").unwrap_err().to_string().contains(&class.name));
    }
}
