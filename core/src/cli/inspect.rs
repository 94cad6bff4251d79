//! `semsynth inspect`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{ColorArgs, Ending, class_table};
use crate::data::{self, OpenOptions, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::metrics::EspNet;
use crate::model::{MANIFEST_KEY, Manifest, Model, Preset, Provenance};
use crate::network::Halo;
use crate::nn::{NormKind, Statistics};
use crate::picture::PictureFolder;
use crate::segmenter;
use crate::style::{Style, StyleKind};
use crate::tensors::Tensors;
use crate::train::Checkpoint;

/// Arguments of `semsynth inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Model file, `builtin:NAME`, label map, style, checkpoint, segmentation network, or a folder: of label maps, or a data set
    #[arg(value_name = "FILE|DIR")]
    file: PathBuf,
    /// Check the label map against the classes of this model [default: the 12 classes of CMP facades]
    #[arg(long, value_name = "MODEL", conflicts_with = "classes")]
    model: Option<PathBuf>,
    /// Check the label map against this class table: a file (.ron, .gpl, .json) or a built-in name such as ade20k
    #[arg(long, value_name = "NAME|FILE")]
    classes: Option<PathBuf>,
    #[command(flatten)]
    colors: ColorArgs,
}

impl InspectArgs {
    /// Says what a file is and describes it: a summary of a model, a report on a label map.
    ///
    /// # Errors
    ///
    /// Errors from reading the file. If a label map does not fit the classes, [`Error::UnknownLabels`](crate::Error::UnknownLabels), after the
    /// report is printed.
    pub fn run(&self) -> Result<Ending> {
        if self.file.is_dir() {
            return self.folder();
        }
        match Kind::of(&self.file)? {
            Kind::Labels => self.labels(&self.file),
            Kind::Style => {
                print!("{}", describe_style(&self.file)?);
                Ok(Ending::Done)
            }
            Kind::Checkpoint => {
                print!("{}", describe_checkpoint(&self.file)?);
                Ok(Ending::Done)
            }
            Kind::Model => {
                print!("{}", describe(&Model::open(&self.file)?));
                Ok(Ending::Done)
            }
        }
    }

    fn classes(&self) -> Result<Option<ClassTable>> {
        match (&self.model, &self.classes) {
            (Some(model), _) => Model::open(model).map(|model| Some(model.classes().clone())),
            (None, Some(table)) => class_table(table).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn labels(&self, path: &Path) -> Result<Ending> {
        let classes = self.classes()?.unwrap_or_else(ClassTable::cmp_facades);
        let reading = LabelMap::read(path, &classes, self.colors.options()?)?;
        println!("{}", reading.report());
        reading.report().check()?;
        Ok(Ending::Done)
    }

    /// A data set, or a folder of label maps.
    fn folder(&self) -> Result<Ending> {
        let options = OpenOptions { classes: self.classes()?, labels: self.colors.options()? };
        if let Ok(set) = data::open(&self.file, Split::Train, &options) {
            println!("{}", set.describe());
            set.check()?;
            let val = data::open(&self.file, Split::Val, &options)?;
            println!("{}", val.describe());
            val.check()?;
            println!("all pairs can be read");
            return Ok(Ending::Done);
        }
        let found = PictureFolder::list(&self.file)?.pictures;
        if found.is_empty() {
            // Says what a data set looks like, and what is here instead.
            data::open(&self.file, Split::Train, &options)?;
        }
        let mut failed = 0;
        for path in &found {
            println!("{}", path.display());
            if let Err(error) = self.labels(path) {
                failed += 1;
                eprintln!("error: {error}");
            }
        }
        println!("{} of {} label maps can be used", found.len() - failed, found.len());
        Ok(if failed == 0 { Ending::Done } else { Ending::Incomplete })
    }
}

/// What a file is.
enum Kind {
    Labels,
    Style,
    Checkpoint,
    Model,
}

impl Kind {
    /// Looks at the content. A name that is no file may be that of a built-in model.
    fn of(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Ok(Self::Model);
        }
        let mut start = [0; 16];
        let length = File::open(path).and_then(|mut file| file.read(&mut start)).map_err(Error::io(path))?;
        if image::guess_format(start.get(..length).unwrap_or_default()).is_ok() || starts_as_picture(&start) {
            // Formats that cannot be read are named by the reader of label maps.
            return Ok(Self::Labels);
        }
        let tensors = Tensors::open(path)?;
        Ok(if tensors.metadata().contains_key(MANIFEST_KEY) {
            Self::Model
        } else if Style::open(path).is_ok() {
            Self::Style
        } else {
            Self::Checkpoint
        })
    }
}

/// Whether a file is of a painting program.
fn starts_as_picture(start: &[u8]) -> bool {
    [&b"gimp xcf"[..], b"8BPS"].iter().any(|magic| start.starts_with(magic))
}

fn describe_style(path: &Path) -> Result<String> {
    let style = Style::open(path)?;
    let what = match style.kind() {
        StyleKind::Global => "one for the whole picture".to_owned(),
        StyleKind::Regions => {
            let present = (0..style.rows()).filter(|row| style.is_present(*row as u16)).count();
            format!("for {present} of {} classes", style.rows())
        }
    };
    Ok(format!("a style, for `semsynth synth --style`: {what}, {} values each\n", style.length()))
}

fn describe_checkpoint(path: &Path) -> Result<String> {
    let tensors = Tensors::open(path)?;
    let names: Vec<&str> = tensors.names().collect();
    let values: usize = tensors.iter().map(|(_, data)| data.shape().iter().product::<usize>()).sum();
    let first = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    let more = if names.len() > 8 { ", …" } else { "" };
    let what = if Checkpoint::open(path).is_ok() {
        "a checkpoint of a training run: `semsynth train --resume` with its folder goes on".into()
    } else if segmenter::Checkpoint::open(path).is_ok() {
        "a checkpoint of a segmentation network: `semsynth train-segmenter --resume` with its folder goes on".into()
    } else if let Ok(network) = EspNet::from_tensors(&tensors, &Device::cpu()) {
        describe_segmenter(&network)
    } else {
        "weights without a description: `semsynth import` makes a model of those of the papers' code".into()
    };
    Ok(format!("{what}\n{} tensors, {values} values: {first}{more}\n", names.len()))
}

fn describe_segmenter(network: &EspNet) -> String {
    let classes = match network.class_table() {
        Some(table) => format!("{} classes ({})", table.len(), first_names(table)),
        None => format!("{} classes without names", network.classes()),
    };
    format!(
        "a segmentation network (ESPNet) that tells {classes}: `semsynth eval --segmenter` measures pictures with it"
    )
}

fn statistics(model: &Model) -> &'static str {
    match (model.architecture().norm(), model.manifest().statistics) {
        (NormKind::Instance, _) => "of each picture (instance norm)",
        (NormKind::Batch, Statistics::Running) => "running averages",
        (NormKind::Batch, Statistics::Batch) => "of the batch",
    }
}

/// What the model can do besides whole pictures, and how far labels reach.
fn abilities(model: &Model) -> String {
    let capabilities = model.capabilities();
    let Some(Halo { before, after }) = capabilities.halo else {
        let why = capabilities.stream.reason().unwrap_or_default();
        return format!("paint whole pictures only: {why}");
    };
    let all = [
        ("bands", capabilities.stream),
        ("wrap", capabilities.wrap),
        ("endless worlds", capabilities.world),
        ("edits", capabilities.edit),
    ];
    let can: Vec<&str> = all.iter().filter(|(_, ability)| ability.is_yes()).map(|(name, _)| *name).collect();
    format!("{}; a label reaches {before} pixels up and left, {after} down and right", can.join(", "))
}

fn trained_on(manifest: &Manifest) -> String {
    let Provenance { data, steps, .. } = &manifest.provenance;
    if *steps > 0 { format!("{data}, {steps} steps") } else { data.clone() }
}

/// The first few class names, which identify the table.
fn first_names(classes: &ClassTable) -> String {
    let names: Vec<&str> = classes.iter().take(4).map(|class| class.name.as_str()).collect();
    let more = if classes.len() > names.len() { ", …" } else { "" };
    names.join(", ") + more
}

/// Describes a model, one property per line.
pub(super) fn summary(model: &Model) -> String {
    let manifest = model.manifest();
    let [height, width] = manifest.native_size;
    let lines = [
        format!("name        {}", manifest.name),
        format!("network     {}", manifest.architecture.describe()),
        format!("values      {}", model.num_values()),
        format!("classes     {} ({})", manifest.classes.len(), first_names(&manifest.classes)),
        format!("trained at  {width}x{height}; sides are padded to multiples of {}", manifest.architecture.stride()),
        format!("statistics  {}", statistics(model)),
        format!("can         {}", abilities(model)),
        format!("trained on  {}", trained_on(manifest)),
        format!("licence     {}", manifest.licence),
    ];
    lines.join("\n") + "\n"
}

fn describe(model: &Model) -> String {
    let manifest = model.manifest();
    let provenance = &manifest.provenance;
    let mut lines = vec![format!("written by  {}", provenance.program), "classes".to_owned()];
    if !manifest.presets.is_empty() {
        lines.insert(1, "presets".to_owned());
        let preset = |preset: &Preset| format!("  {:<12}  {}", preset.name, preset.summary);
        lines.splice(2..2, manifest.presets.iter().map(preset));
    }
    lines.extend(manifest.classes.iter().map(|class| {
        let [r, g, b] = class.color;
        let dont_care = if class.dont_care { " (don't care)" } else { "" };
        format!("  {:>5}  #{r:02x}{g:02x}{b:02x}  {}{dont_care}", class.id, class.name)
    }));
    summary(model) + &lines.join("\n") + "\n"
}
