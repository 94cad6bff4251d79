//! Making a table: every row is trained to the end and measured.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::{Results, Row, RowResult, RowState, Table, TableMeasures};
use crate::bank::{Bank, BankLimits};
use crate::data::Dataset;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::eval::{self, Against, Measures, Painted, Source as _, evaluate, ignored_class};
use crate::files::write_whole;
use crate::label::ClassTable;
use crate::model::Model;
use crate::train::{self, Checkpoint, Recipe, Run, Stopped, TrainLog, resume};

/// Pairs to train on and pairs to validate on.
pub type Sets = (Arc<dyn Dataset>, Arc<dyn Dataset>);

/// The paths of a table's files.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The paths for a table in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The [`Results`], as JSON.
    pub fn results(&self) -> PathBuf {
        self.0.join("table.json")
    }

    /// The table, as Markdown.
    pub fn markdown(&self) -> PathBuf {
        self.0.join("table.md")
    }

    /// The folder of a row: that of its training run, with the files of its evaluation in the folder `eval` within.
    pub fn row(&self, row: &Row) -> PathBuf {
        self.0.join(row.folder())
    }
}

/// Receives events while a table is made.
pub trait Observer {
    /// A row begins; `index` counts from 0.
    fn row(&mut self, index: usize, rows: usize, name: &str);
    /// A message for the user.
    fn note(&mut self, text: &str);
    /// Receives the events of a row's training.
    fn training(&mut self) -> &mut dyn train::Observer;
    /// Receives the events of a row's evaluation.
    fn evaluation(&mut self) -> &mut dyn eval::Observer;
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent {
    training: train::Silent,
    evaluation: eval::Silent,
}

impl Observer for Silent {
    fn row(&mut self, _index: usize, _rows: usize, _name: &str) {}
    fn note(&mut self, _text: &str) {}
    fn training(&mut self) -> &mut dyn train::Observer {
        &mut self.training
    }
    fn evaluation(&mut self) -> &mut dyn eval::Observer {
        &mut self.evaluation
    }
}

/// Trains and measures the rows of a table one after the other. `open` gives the data of a recipe: all rows should be trained
/// and validated on the same pairs.
///
/// The files of `files` are written anew after each row. What is there is used: a row that is finished is not trained again, one
/// that was interrupted goes on from its checkpoint, and results of single pictures are kept. A row that diverges says
/// so in the table, and the others go on; so does making the table again, until the row's folder is deleted. When `stop` is
/// set, a row that is being trained is left with a checkpoint, and the results are those so far.
///
/// # Errors
///
/// [`Error::Argument`] if the table is wrong ([`Table::prepared`]), or the folder of a row holds a run with another recipe;
/// otherwise those of training and evaluation, but for [`Error::Diverged`].
pub fn make(
    table: Table,
    files: &Files,
    device: &Device,
    open: &dyn Fn(&Recipe) -> Result<Sets>,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Results> {
    let Table { images, rows, measures } = table.prepared()?;
    for row in &rows {
        same_recipe(row, &files.row(row))?;
    }
    let blank = |row: &Row| RowResult {
        name: row.name.clone(),
        state: RowState::Unfinished,
        steps: row.recipe.steps,
        parameters: None,
        seconds_per_step: None,
        message: None,
        report: None,
    };
    let mut results = Results {
        program: format!("semsynth {}", env!("CARGO_PKG_VERSION")),
        device: device.describe(),
        images,
        rows: rows.iter().map(blank).collect(),
    };
    // Rows that are trained come first, so that a table that is stopped again still has all that was reached.
    let mut order = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        order.push((Ended::read(&files.row(row))?.is_none(), index, row));
    }
    order.sort_by_key(|(open, index, _)| (*open, *index));
    // All that rows and measures need is opened before the first row is trained.
    let (mut opened, mut checked, mut sets) = (Vec::new(), Vec::new(), Vec::with_capacity(rows.len()));
    for (unfinished, _, row) in &order {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let context = |error: Error| error.context(format!("row {:?}", row.name));
        let vgg = (&row.recipe.vgg, row.recipe.perceptual);
        if *unfinished && !opened.contains(&vgg) {
            train::check_vgg(&row.recipe).map_err(context)?;
            opened.push(vgg);
        }
        let (train, val) = open(&row.recipe).map_err(context)?;
        // Rows share their data, which may take long to check.
        let described = train.describe() + &val.describe();
        if !checked.contains(&described) {
            let classes = Some(val.classes());
            let networks = measures.open(classes, device).and_then(|networks| networks.check_classes(classes));
            networks.map_err(|error| error.context("measures"))?;
            train.check().and_then(|()| val.check()).map_err(context)?;
            checked.push(described);
        }
        sets.push((train, val));
    }
    for ((_, index, row), (train, val)) in order.into_iter().zip(sets) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        observer.row(index, rows.len(), &row.name);
        let context = |error: Error| error.context(format!("row {:?}", row.name));
        let making = Making { row, folder: files.row(row), measures: &measures, device, train, val };
        let Some(result) = results.rows.get_mut(index) else { break };
        making.make(result, observer, stop).map_err(context)?;
        save(&results, files)?;
    }
    save(&results, files)?;
    Ok(results)
}

fn save(results: &Results, files: &Files) -> Result<()> {
    std::fs::create_dir_all(&files.0).map_err(Error::io(&files.0))?;
    let json = results.to_json()?;
    write_whole(&files.results(), |out| out.write_all(json.as_bytes()))?;
    let markdown = results.to_markdown();
    write_whole(&files.markdown(), |out| out.write_all(markdown.as_bytes()))
}

/// Whether the folder holds a run of the row's recipe, or an error if it holds another one.
fn same_recipe(row: &Row, folder: &Path) -> Result<bool> {
    let path = train::Files::new(folder).recipe();
    if !path.exists() {
        return Ok(false);
    }
    if Recipe::open(&path)? == row.recipe {
        return Ok(true);
    }
    Err(Error::Argument(format!(
        "row {:?}: {} is of a run with another recipe: choose another output folder, or delete {}",
        row.name,
        path.display(),
        folder.display()
    )))
}

/// How a row's training ended, in its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Ended {
    Finished,
    Diverged(String),
}

impl Ended {
    fn path(folder: &Path) -> PathBuf {
        folder.join("ended.json")
    }

    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io(&path))?,
        };
        let malformed = |error| Error::Data(format!("{}: {error}; delete the file to go on", path.display()));
        serde_json::from_slice(&text).map(Some).map_err(malformed)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| Error::Data(error.to_string()))?;
        write_whole(&Self::path(folder), |out| out.write_all(&text))
    }
}

/// A row that is being made.
struct Making<'a> {
    row: &'a Row,
    folder: PathBuf,
    measures: &'a TableMeasures,
    device: &'a Device,
    train: Arc<dyn Dataset>,
    val: Arc<dyn Dataset>,
}

impl Making<'_> {
    fn make(&self, result: &mut RowResult, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<()> {
        let files = train::Files::new(&self.folder);
        let ended = match Ended::read(&self.folder)? {
            Some(ended) => ended,
            None => match self.train(&files, observer, stop)? {
                Some(ended) => {
                    ended.write(&self.folder)?;
                    ended
                }
                None => return Ok(()),
            },
        };
        let last = TrainLog::read(files.log())?.pop();
        result.seconds_per_step = last.map(|record| record.seconds / record.step.max(1) as f64);
        if let Ended::Diverged(message) = ended {
            observer.note(&message);
            (result.state, result.message) = (RowState::Diverged, Some(message));
            return Ok(());
        }
        let model = Model::open(files.model())?;
        result.parameters = Some(model.num_parameters());
        match self.evaluate(model, observer, stop) {
            Ok(report) => {
                (result.state, result.report) = (RowState::Finished, Some(report));
                Ok(())
            }
            Err(Error::Cancelled) if stop.load(Ordering::Relaxed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Trains to the end; `None` if it was stopped before.
    fn train(&self, files: &train::Files, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Option<Ended>> {
        let run = Run {
            recipe: self.row.recipe.clone(),
            out: self.folder.clone(),
            train: Arc::clone(&self.train),
            val: Arc::clone(&self.val),
            device: self.device.clone(),
            time_limit: None,
            trace: false,
        };
        let outcome = if files.checkpoint().exists() {
            let checkpoint = Checkpoint::open(files.checkpoint())?;
            resume(&run, checkpoint, observer.training(), stop)
        } else {
            // Stopped before its first checkpoint: nothing of it can be used.
            if same_recipe(self.row, &self.folder)? && !files.model().exists() {
                for path in [files.recipe(), files.log()] {
                    match std::fs::remove_file(&path) {
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                        removed => removed.map_err(Error::io(&path))?,
                    }
                }
            }
            train::train(&run, observer.training(), stop)
        };
        match outcome {
            Ok(outcome) if outcome.stopped == Stopped::Finished => Ok(Some(Ended::Finished)),
            // The last step may be the one at which it was stopped.
            Ok(outcome) => Ok((outcome.steps >= run.recipe.steps).then_some(Ended::Finished)),
            Err(Error::Diverged(message)) => Ok(Some(Ended::Diverged(message))),
            Err(error) => Err(error),
        }
    }

    fn evaluate(&self, model: Model, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<eval::Report> {
        let size = self.measures.size.unwrap_or(self.row.recipe.size);
        let bank = if model.architecture().takes_collage() {
            Some(Bank::of(&*self.train, model.manifest().native_size, BankLimits::default())?)
        } else {
            None
        };
        let mut source = Painted::new(model, Box::new(Arc::clone(&self.val)), Some(size), self.device)?;
        if let Some(bank) = bank {
            source = source.bank(bank, false)?;
        }
        if self.measures.fid.is_some() && self.measures.fid_against_training {
            source = source.training(Box::new(Arc::clone(&self.train)));
        }
        let measures = self.measures.open(source.classes(), self.device)?;
        let files = eval::Files::new(self.folder.join("eval"));
        evaluate(&mut source, &measures, &files, observer.evaluation(), stop)
    }
}

impl TableMeasures {
    /// Loads the networks of the measures.
    fn open(&self, classes: Option<&ClassTable>, device: &Device) -> Result<Measures> {
        let mut measures = Measures::new(device);
        if !self.lpips.is_empty() {
            measures = measures.lpips(&self.lpips)?;
        }
        if let Some(file) = &self.fid {
            let against = if self.fid_against_training { Against::Training } else { Against::Photos };
            measures = measures.fid(file, against)?;
        }
        if let Some(file) = &self.segmenter {
            let ignored = ignored_class(self.ignore.as_deref(), classes)?;
            measures = measures.segmenter(file, ignored)?;
        }
        Ok(measures)
    }
}
