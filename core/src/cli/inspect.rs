//! `semsynth inspect`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ColorArgs, Ending, class_table};
use crate::error::Result;
use crate::label::{ClassTable, LabelMap};
use crate::model::{Manifest, Model, Provenance};
use crate::network::Halo;
use crate::nn::{NormKind, Statistics};

/// Arguments of `semsynth inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Model file, `builtin:NAME`, or label map (.png, .jpg)
    #[arg(value_name = "FILE")]
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
    /// Prints a summary of a model file, or a report on a label map.
    ///
    /// # Errors
    ///
    /// Errors from reading the file. If a label map does not fit the classes, [`Error::UnknownLabels`](crate::Error::UnknownLabels), after the
    /// report is printed.
    pub fn run(&self) -> Result<Ending> {
        let extension = self.file.extension().and_then(|text| text.to_str()).map(str::to_ascii_lowercase);
        if matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
            return self.labels(&self.file);
        }
        print!("{}", describe(&Model::open(&self.file)?));
        Ok(Ending::Done)
    }

    fn labels(&self, path: &Path) -> Result<Ending> {
        let classes = match (&self.model, &self.classes) {
            (Some(model), _) => Model::open(model)?.classes().clone(),
            (None, Some(table)) => class_table(table)?,
            (None, None) => ClassTable::cmp_facades(),
        };
        let reading = LabelMap::read(path, &classes, self.colors.policy()?)?;
        println!("{}", reading.report());
        reading.report().check()?;
        Ok(Ending::Done)
    }
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
fn first_names(model: &Model) -> String {
    let names: Vec<&str> = model.classes().iter().take(4).map(|class| class.name.as_str()).collect();
    let more = if model.classes().len() > names.len() { ", …" } else { "" };
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
        format!("classes     {} ({})", manifest.classes.len(), first_names(model)),
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
    lines.extend(manifest.classes.iter().map(|class| {
        let [r, g, b] = class.color;
        let dont_care = if class.dont_care { " (don't care)" } else { "" };
        format!("  {:>5}  #{r:02x}{g:02x}{b:02x}  {}{dont_care}", class.id, class.name)
    }));
    summary(model) + &lines.join("\n") + "\n"
}
