//! A whole run: steps, log, checkpoints, the file of the network, and its score.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use image::RgbImage;
use serde::Serialize;

use super::{Checkpoint, Recipe, Trainer};
use crate::data::{Augment, Dataset, Sample, fit};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::eval::SegmentationScore;
use crate::files::{save_picture, write_whole};
use crate::metrics::{Confusion, EspNet};
use crate::model::read_back;
use crate::rng::Rng;
use crate::train::{
    Batch, Observer, Record, Sampler, SheetRow, Stopped, Trace, TrainLog, contact_sheet, plot, prefetch,
};

/// Pictures on the contact sheet.
const SHEET: usize = 8;

/// What to train, on which data, and where to write the results.
#[allow(missing_debug_implementations, reason = "a data set has no Debug")]
pub struct Run {
    /// The recipe. When a run is resumed, only the fields that [`resume`] names are used.
    pub recipe: Recipe,
    /// The folder for all files of the run.
    pub out: PathBuf,
    /// Training samples.
    pub train: Arc<dyn Dataset>,
    /// Validation samples, for the score; never trained on.
    pub val: Arc<dyn Dataset>,
    /// The device to train on.
    pub device: Device,
    /// Stop after this time; the clock restarts on resume.
    pub time_limit: Option<Duration>,
}

/// The paths of a run's files.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The paths for a run in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The network; see [`EspNet::open`].
    pub fn segmenter(&self) -> PathBuf {
        self.0.join("segmenter.safetensors")
    }

    /// Its score on the validation set, as JSON: a [`Report`].
    pub fn score(&self) -> PathBuf {
        self.0.join("score.json")
    }

    /// Labels, what the network finds, and photos of the validation set.
    pub fn sheet(&self) -> PathBuf {
        self.0.join("sheet.png")
    }

    /// The log, one JSON object per line: step, seconds, loss.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    /// The plot of the loss.
    pub fn plot(&self) -> PathBuf {
        self.0.join("losses.svg")
    }

    /// The checkpoint that a resumed run starts from; see [`Checkpoint::open`].
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint.safetensors")
    }
}

/// The score of a network, and what it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of this library.
    pub program: String,
    /// The training data.
    pub data: String,
    /// The validation data.
    pub validation: String,
    /// Number of classes.
    pub classes: usize,
    /// Number of steps.
    pub steps: u64,
    /// Height and width of the validation pictures.
    pub size: [usize; 2],
    /// Number of validation pictures.
    pub pictures: usize,
    /// How well it finds their labels.
    #[serde(flatten)]
    pub score: SegmentationScore,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The paths of its files.
    pub files: Files,
    /// Total number of completed steps.
    pub steps: u64,
    /// Steps per second of this session.
    pub rate: f64,
    /// Why it ended.
    pub stopped: Stopped,
    /// The score.
    pub report: Report,
}

/// Trains until all steps are done, the time is up or `stop` is set, and writes the network, its score, a contact sheet, a
/// checkpoint and a log to `run.out`.
///
/// # Errors
///
/// [`Error::Argument`] if `run.out` already holds a run; [`Error::Data`] if training and validation set have other classes;
/// [`Error::Diverged`] if the loss is no longer finite; otherwise errors of reading data and writing files.
pub fn train(run: &Run, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
    let files = Files::new(&run.out);
    if let Some(file) = [files.checkpoint(), files.segmenter(), files.log()].iter().find(|file| file.exists()) {
        let (folder, file) = (run.out.display(), file.display());
        return Err(Error::Argument(format!(
            "{folder} already holds a run ({file}): resume it, or choose another folder"
        )));
    }
    same_classes(run)?;
    observer.note("looking at the training set");
    let trainer = Trainer::new(run.recipe.clone(), &run.train, &run.device)?;
    std::fs::create_dir_all(&run.out).map_err(Error::io(&run.out))?;
    let log = TrainLog::create(files.log())?;
    Session { run, files, trainer, log, pending: Vec::new(), started: Instant::now(), before: 0.0 }.run(observer, stop)
}

/// Continues the run in `run.out` from its checkpoint; otherwise same as [`train`]. Paths, how to read labels, steps, rate and
/// intervals are those of `run.recipe`, all else is that of the checkpoint.
///
/// # Errors
///
/// [`Error::Data`] if the classes are not those of the data; [`Error::Model`] if the checkpoint does not fit its recipe;
/// otherwise same as [`train`].
pub fn resume(run: &Run, checkpoint: Checkpoint, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
    same_classes(run)?;
    if checkpoint.classes() != run.train.classes() {
        let folder = run.out.display();
        return Err(Error::Data(format!("{folder}: the classes of the run are not those of the data")));
    }
    let trainer = Trainer::resume(checkpoint, &run.device, |stored| {
        let Recipe { data, set, classes, labels, steps, learning_rate, checkpoint_every, log_every, .. } =
            run.recipe.clone();
        let kept = stored.clone();
        *stored = Recipe { data, set, classes, labels, steps, learning_rate, checkpoint_every, log_every, ..kept };
    })?;
    let files = Files::new(&run.out);
    let log = TrainLog::resume(files.log(), trainer.steps_done())?;
    let before = TrainLog::read(files.log())?.last().map_or(0.0, |record| record.seconds);
    Session { run, files, trainer, log, pending: Vec::new(), started: Instant::now(), before }.run(observer, stop)
}

fn same_classes(run: &Run) -> Result<()> {
    if run.train.classes() == run.val.classes() {
        return Ok(());
    }
    let (train, val) = (run.train.describe(), run.val.describe());
    Err(Error::Data(format!("the classes of both sets must be the same: {train}; {val}")))
}

/// The batches of all steps from `first` on, loaded ahead. What a step sees depends only on its number and the seed. All samples of
/// a step have one scale.
fn batches(recipe: &Recipe, set: &Arc<dyn Dataset>, first: u64) -> impl Iterator<Item = Result<Batch>> + use<> {
    let (steps, recipe, set) = (first..recipe.steps, recipe.clone(), Arc::clone(set));
    prefetch(steps, Trace::default(), move |step| batch_at(&recipe, &set, step))
}

/// The batch of a step: samples are resized to the size of the recipe times 1 to `load_scale`, cropped and mirrored.
fn batch_at(recipe: &Recipe, set: &Arc<dyn Dataset>, step: u64) -> Result<Batch> {
    let ([height, width], seed) = (recipe.size, recipe.seed);
    let drawn = Rng::at(seed, step).fork(0x5ca1e).uniform();
    let load_scale = 1.0 + drawn * (recipe.load_scale - 1.0);
    let augment = Augment { flip: recipe.flip, load_scale, width, height };
    Sampler::alone(Arc::clone(set), augment, recipe.batch, seed).batch(step)
}

struct Session<'a> {
    run: &'a Run,
    files: Files,
    trainer: Trainer,
    log: TrainLog,
    /// Losses that have not been read yet, because reading waits for the device.
    pending: Vec<(u64, Tensor<1>)>,
    started: Instant,
    /// Seconds of earlier sessions.
    before: f64,
}

impl Session<'_> {
    fn run(mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        let recipe = self.trainer.recipe().clone();
        let first = self.trainer.steps_done();
        observer.start(first, recipe.steps);
        let mut stopped = Stopped::Finished;
        for batch in batches(&recipe, &self.run.train, first) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    // A picture that cannot be read must not cost the steps done so far.
                    let step = self.trainer.steps_done();
                    let saved = self.flush(observer).and_then(|()| self.trainer.save(self.files.checkpoint()));
                    return Err(error.context(match saved {
                        Ok(()) => format!("after step {step}, kept in the checkpoint"),
                        Err(other) => format!("after step {step}, which could not be saved ({other})"),
                    }));
                }
            };
            let loss = self.trainer.step(&batch)?;
            let step = self.trainer.steps_done();
            self.pending.push((step, loss));
            observer.step(step);
            let checkpoint = step.is_multiple_of(recipe.checkpoint_every);
            if checkpoint || step.is_multiple_of(recipe.log_every) {
                self.flush(observer)?;
            }
            if checkpoint {
                self.trainer.save(self.files.checkpoint())?;
            }
            if stop.load(Ordering::Relaxed) {
                stopped = Stopped::Interrupted;
            } else if self.run.time_limit.is_some_and(|limit| self.started.elapsed() >= limit) && step < recipe.steps {
                stopped = Stopped::TimeUp;
            }
            if stopped != Stopped::Finished {
                break;
            }
        }
        self.flush(observer)?;
        let steps = self.trainer.steps_done();
        let rate = (steps - first) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        observer.finish();
        self.trainer.save(self.files.checkpoint())?;
        plot(&TrainLog::read(self.files.log())?, self.files.plot())?;
        observer.note(&format!("{steps} steps done; measuring {} validation pictures", self.run.val.len()));
        self.trainer.network().to_tensors()?.save(self.files.segmenter())?;
        // The score and the sheet are those of the file.
        let network = EspNet::open(self.files.segmenter(), &self.run.device)?;
        let report = self.score(&network)?;
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Error::Data(format!("the score cannot be written: {error}")))?;
        write_whole(&self.files.score(), |out| writeln!(out, "{text}"))?;
        Ok(Outcome { files: self.files, steps, rate, stopped, report })
    }

    /// Reads the losses of all steps since the last call; ends the run if one of them has diverged.
    fn flush(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let seconds = self.before + self.started.elapsed().as_secs_f64();
        let every = self.trainer.recipe().log_every;
        for (step, loss) in std::mem::take(&mut self.pending) {
            let loss = read_back(loss)?.first().copied().unwrap_or(f32::NAN);
            if !loss.is_finite() {
                return Err(Error::Diverged(format!(
                    "training diverged at step {step}: the loss is {loss}; checkpoints from before are kept. A smaller \
                     learning rate or a larger batch may help"
                )));
            }
            if step.is_multiple_of(every) {
                let record = Record { step, seconds, values: [("loss".to_owned(), loss)].into() };
                self.log.append(&record)?;
                observer.losses(&record);
            }
        }
        Ok(())
    }

    /// Measures the network on whole validation pictures at the size of the recipe, and draws the first of them.
    fn score(&self, network: &EspNet) -> Result<Report> {
        let (val, [height, width]) = (&self.run.val, self.trainer.recipe().size);
        let (classes, ignored) = (self.trainer.classes(), self.trainer.ignored());
        let mut confusion = Confusion::new(network.classes(), ignored);
        let mut shown: Vec<(Sample, RgbImage)> = Vec::new();
        for index in 0..val.len() {
            let sample = fit(val.get(index)?, width, height)?;
            let found = network.segment(&sample.image, &self.run.device)?.labels;
            confusion.add(&sample.labels, &found).map_err(|error| error.context(&sample.name))?;
            if shown.len() < SHEET {
                let found = found.to_rgb(classes).as_rgb().clone();
                shown.push((sample, found));
            }
        }
        let rows: Vec<SheetRow> = shown
            .iter()
            .map(|(sample, found)| SheetRow {
                labels: &sample.labels,
                collage: None,
                synthesized: found,
                real: Some(&sample.image),
            })
            .collect();
        save_picture(&contact_sheet(&rows, classes), &self.files.sheet())?;
        Ok(Report {
            program: format!("semsynth {}", env!("CARGO_PKG_VERSION")),
            data: format!("{}, {} pairs", self.run.train.name(), self.run.train.len()),
            validation: format!("{}, {} pairs", val.name(), val.len()),
            classes: classes.len(),
            steps: self.trainer.steps_done(),
            size: [height, width],
            pictures: val.len(),
            score: SegmentationScore::new(&confusion, classes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Procedural, Split};

    #[test]
    fn steps_see_the_same_at_scales_of_their_own() {
        let set: Arc<dyn Dataset> = Arc::new(Procedural::new(Split::Train, 3, 6, 40, 40));
        let recipe = Recipe { size: [32, 32], batch: 2, steps: 5, ..Recipe::default() };
        let all: Vec<Batch> = batches(&recipe, &set, 2).map(Result::unwrap).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].images, batch_at(&recipe, &set, 3).unwrap().images);
        assert_ne!(all[1].images, all[2].images);
        // Without scaling, whole samples, perhaps mirrored.
        let whole = Recipe { load_scale: 1.0, flip: false, ..recipe };
        let batch = batch_at(&whole, &set, 0).unwrap();
        let fits = |index| fit(set.get(index).unwrap(), 32, 32).unwrap().labels;
        assert!(batch.labels.iter().all(|labels| (0..6).any(|index| fits(index) == *labels)));
    }
}
