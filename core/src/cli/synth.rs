//! `semsynth synth`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{ColorArgs, Ending, data_classes, style};
use crate::bank::{Bank, BankLimits};
use crate::data::{self, OpenOptions, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{LabelFile, LabelMap, Rect};
use crate::model::{Model, Precision};
use crate::network::StyleConfig;
use crate::nn::Statistics;
use crate::picture::{Image, PictureFolder};
use crate::sink::PictureFile;
use crate::style::Style;
use crate::synth::{Border, Control, Request, Synthesizer, SynthesizerOptions};

/// Arguments of `semsynth synth`.
#[derive(Args, Debug)]
pub struct SynthArgs {
    /// Model file, or `builtin:NAME`
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// Label map or folder of label maps (.png, .jpg): ids as indexed or grey PNG, or class colours
    #[arg(short, long, value_name = "FILE|DIR")]
    labels: PathBuf,
    /// Picture to write (.png, .jpg), or folder for pictures; a folder is created if it does not exist
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Seed of the model's random inputs (SPADE and CLADE have none)
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Style file, made by `semsynth style`; SEAN models need a style
    #[arg(long, value_name = "FILE", conflicts_with = "style_photo")]
    style: Option<PathBuf>,
    /// A named style of the model; `semsynth inspect` lists them [default: the model's first preset, if it has any]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["style", "style_photo"])]
    preset: Option<String>,
    /// Photo to take the style from
    #[arg(long, value_name = "FILE")]
    style_photo: Option<PathBuf>,
    /// Label map of that photo, for models with a style per class
    #[arg(long, value_name = "FILE", requires = "style_photo")]
    style_labels: Option<PathBuf>,
    /// Another style for one of SEAN's blocks, counted from 0, such as 3=style.safetensors; may be repeated
    #[arg(long, value_name = "BLOCK=FILE")]
    block_style: Vec<String>,
    /// Data set whose training photos a SIMS model paints from: the one that it was trained on
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    bank: Option<PathBuf>,
    /// Turn off the noise in SEAN's features
    #[arg(long)]
    no_noise: bool,
    /// Instance map of the label map, for models with instance edges: ids (8 or 16-bit PNG) or a colour for each
    /// instance; or a folder of them [default: edges between classes]
    #[arg(long, value_name = "FILE|DIR")]
    instances: Option<PathBuf>,
    /// Statistics that batch norms use [default: those the model names]
    #[arg(long, value_enum, value_name = "WHICH")]
    statistics: Option<Norms>,
    /// Use less memory on the CPU; starting takes a little longer
    #[arg(long, alias = "compact")]
    low_memory: bool,
    /// Most memory, such as 1GiB or 700MiB: labels are read and pictures written by rows, so that pictures may be of
    /// any size (PNG in, PNG or TIFF out; CPU only)
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<usize>,
    /// Make the picture repeat itself without a seam: in both directions, or along one axis
    #[arg(long, value_enum, value_name = "AXES", num_args = 0..=1, default_missing_value = "both")]
    wrap: Option<Wrap>,
    /// Compute with 16-bit floats on a GPU: less memory, and faster on most GPUs
    #[arg(long)]
    half: bool,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    #[command(flatten)]
    colors: ColorArgs,
}

impl SynthArgs {
    /// Synthesizes one picture, or one for each label map in a folder. In a folder, label maps that cannot be used
    /// are reported and skipped.
    ///
    /// # Errors
    ///
    /// Errors from reading, synthesizing and writing.
    pub fn run(&self) -> Result<Ending> {
        let jobs = self.jobs()?;
        let options = self.colors.options()?;
        let model = Model::open(&self.model)?;
        let device = Device::by_name(&self.device)?;
        let bank = self.bank(&model)?;
        let classes = model.classes().clone();
        let preset = self.preset.as_deref().map(|name| model.preset(name)).transpose()?;
        let has_presets = !model.presets().is_empty();
        let mut preparation = SynthesizerOptions::new(&device);
        if self.low_memory || self.memory.is_some() {
            preparation = preparation.low_memory();
        }
        if self.half {
            preparation = preparation.precision(Precision::Half);
        }
        let mut synth = Synthesizer::new(model, preparation)?;
        let mut request = self.request(&synth, preset, has_presets)?;
        request.statistics = self.statistics.map(|statistics| match statistics {
            Norms::Running => Statistics::Running,
            Norms::Batch => Statistics::Batch,
        });
        if let Some(wrap) = self.wrap {
            let border = |wrapped| if wrapped { Border::Wrap } else { Border::Zero };
            request = request.borders(border(wrap != Wrap::X), border(wrap != Wrap::Y));
        }
        let mut paint = |(labels, output): &(PathBuf, PathBuf)| {
            if let Some(memory) = self.memory {
                let mut source = LabelFile::open(labels, &classes, options)?;
                let (width, height) = (source.width(), source.height());
                let area = Rect { x: 0, y: 0, width: width as u32, height: height as u32 };
                let mut file = PictureFile::create(output, width, height)?;
                synth.synthesize(&mut source, area, &request, &mut file, &mut Control::new().memory(memory))?;
                return file.finish();
            }
            let map = LabelMap::read(labels, &classes, options)?.map()?;
            let mut request = match self.instances.as_deref().filter(|path| path.is_dir()) {
                Some(folder) => request.clone().instances(LabelMap::open_instances(instances_of(folder, labels)?)?),
                None => request.clone(),
            };
            if let Some(bank) = &bank {
                request = request.collage(bank.collage(&map, None)?);
            }
            synth.run(&map, &request)?.save(output)
        };
        if !self.labels.is_dir() {
            if let Some(folder) = self.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
            }
            jobs.iter().try_for_each(paint)?;
            return Ok(Ending::Done);
        }
        std::fs::create_dir_all(&self.output).map_err(Error::io(&self.output))?;
        let mut failed = Vec::new();
        for job in &jobs {
            if let Err(error) = paint(job) {
                eprintln!("error: {error}");
                failed.push(job.0.display());
            }
        }
        let PictureFolder { passed, folders, .. } = PictureFolder::list(&self.labels)?;
        println!("{} of {} pictures written to {}", jobs.len() - failed.len(), jobs.len(), self.output.display());
        if folders > 0 {
            println!("passed over: {folders} folders in {}", self.labels.display());
        }
        for path in &passed {
            println!("passed over, no file: {}", path.display());
        }
        for path in &failed {
            println!("not painted: {path}");
        }
        Ok(if failed.is_empty() && passed.is_empty() { Ending::Done } else { Ending::Incomplete })
    }

    /// The bank of photos, if the model paints from one.
    fn bank(&self, model: &Model) -> Result<Option<Bank>> {
        match (&self.bank, model.architecture().takes_collage()) {
            (None, false) => Ok(None),
            (None, true) => Err(Error::Argument(
                "this model paints from photos: give the data set that it was trained on as --bank DIR".into(),
            )),
            (Some(_), false) => Err(Error::Argument("--bank: this model paints without photos".into())),
            (Some(folder), true) => {
                let options = OpenOptions { classes: data_classes(folder, model), labels: self.colors.options()? };
                let set = data::open(folder, Split::Train, &options)?;
                let bank = Bank::of(&*set, model.manifest().native_size, BankLimits::default())?;
                bank.check(model.classes()).map_err(|error| error.context(folder.display()))?;
                eprintln!("bank        {} segments of {} photos", bank.segments(), bank.photos());
                Ok(Some(bank))
            }
        }
    }

    /// The request: everything but the label map.
    fn request(&self, synth: &Synthesizer, preset: Option<Style>, has_presets: bool) -> Result<Request> {
        let mut request = Request::new().seed(self.seed);
        request.style = preset;
        if let Some(path) = &self.style {
            request = request.style(&Style::open(path)?);
        }
        if let Some(photo) = &self.style_photo {
            let labels = self.style_labels.as_deref().map(|path| (path, self.colors));
            request = request.style(&style::encode(&synth.prepared().style_encoder()?, photo, labels, None)?);
        }
        let needs_style = matches!(synth.manifest().architecture.style(), StyleConfig::Regions { .. });
        if needs_style && request.style.is_none() && !has_presets {
            return Err(Error::Argument(
                "this model needs a style: --style FILE, or --style-photo FILE and --style-labels FILE".into(),
            ));
        }
        for text in &self.block_style {
            let (block, path) =
                text.split_once('=').and_then(|(block, path)| Some((block.parse().ok()?, path))).ok_or_else(|| {
                    Error::Argument(format!("--block-style {text}: it is written like 3=style.safetensors"))
                })?;
            request = request.block_style(block, &Style::open(path)?);
        }
        if self.no_noise {
            request = request.quiet();
        }
        if let Some(path) = &self.instances {
            if self.labels.is_dir() != path.is_dir() {
                let fault = "--instances is a folder if --labels is one, with files of the same names, else a file";
                return Err(Error::Argument(fault.into()));
            }
            if self.memory.is_some() && path.is_dir() {
                return Err(Error::Argument("--memory takes a single instance map, not a folder".into()));
            }
            if !path.is_dir() {
                request = request.instances(LabelMap::open_instances(path)?);
            }
        }
        Ok(request)
    }

    /// Pairs of label map and output path. No label map is overwritten, and no two pictures have the same path.
    fn jobs(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let folder = self.labels.is_dir();
        let maps = if folder { PictureFolder::list(&self.labels)?.pictures } else { vec![self.labels.clone()] };
        if maps.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", self.labels.display())));
        }
        let mut jobs: Vec<(PathBuf, PathBuf)> = Vec::with_capacity(maps.len());
        for map in maps {
            let output = match map.with_extension("png").file_name() {
                Some(name) if folder || self.output.is_dir() => self.output.join(name),
                _ => self.output.clone(),
            };
            match self.memory {
                Some(_) => PictureFile::check_path(&output)?,
                None => Image::check_path(&output)?,
            }
            if let (Ok(input), Ok(output)) = (map.canonicalize(), output.canonicalize())
                && input == output
            {
                return Err(Error::Argument(format!(
                    "the picture of {} would be written over its label map; choose another --output",
                    map.display()
                )));
            }
            if let Some((other, _)) = jobs.iter().find(|(_, known)| *known == output) {
                let (a, b) = (other.display(), map.display());
                return Err(Error::Argument(format!(
                    "the pictures of {a} and {b} would both be written to {}",
                    output.display()
                )));
            }
            jobs.push((map, output));
        }
        Ok(jobs)
    }
}

/// Parses a number of bytes, such as `1GiB`.
fn bytes(text: &str) -> std::result::Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "k" | "kib" => 1_u64 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "" | "b" => 1,
        _ => return Err(format!("the unit {unit:?} is unknown: give a size such as 1GiB or 700MiB")),
    };
    let number: f64 = number.parse().map_err(|_| "give a size such as 1GiB or 700MiB".to_owned())?;
    Ok((number * unit as f64) as usize)
}

/// Axes along which a picture repeats itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wrap {
    /// Both
    Both,
    /// Left and right border meet
    X,
    /// Upper and lower border meet
    Y,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Norms {
    /// The running averages from training
    Running,
    /// The statistics of the picture itself, as in training
    Batch,
}

/// The instance map of a label map: that of the same name, whatever its format.
fn instances_of(folder: &Path, labels: &Path) -> Result<PathBuf> {
    let same = |path: &PathBuf| path.file_stem() == labels.file_stem();
    PictureFolder::list(folder)?.pictures.into_iter().find(same).ok_or_else(|| {
        let (folder, labels) = (folder.display(), labels.display());
        Error::Data(format!("{folder} has no instance map for {labels}: give it one of the same name"))
    })
}
