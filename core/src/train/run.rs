//! A whole training run: steps, log, contact sheets, checkpoints, and the final model.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Tensor, TensorData};
use image::RgbImage;

use super::batch::{Sampler, shares};
use super::clusters::feature_presets;
use super::inputs::{Sampling, Sources, generator_input, layout_of};
use super::sheet::to_images;
use super::trace::{Lane, Trace};
use super::{Checkpoint, Group, Losses, Recipe, Record, SheetRow, TrainLog, Trainer, contact_sheet, plot};
use crate::bank::{Bank, BankLimits};
use crate::collage::Collage;
use crate::data::{Augment, Dataset, Kept, Sample, fit};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::{save_picture, write_whole};
use crate::metrics::{psnr, ssim};
use crate::model::{FORMAT, Manifest, Model, Precision, Preset, Provenance};
use crate::network::Network;
use crate::nn::{LabelEncoding, Mode, Share, Statistics};
use crate::pixels::push_planes;

/// Pictures on a contact sheet.
const SHEET: usize = 8;
/// Batches used to compute statistics for a contact sheet during training: enough for a visual check.
const SHEET_CALIBRATION: u64 = 4;
/// Batches used to compute the statistics of the final model.
const CALIBRATION: u64 = 32;
/// The range of the generators' output.
const VALUE_RANGE: [f32; 2] = [-1.0, 1.0];

/// What to train, on which data, and where to write the results.
#[allow(missing_debug_implementations, reason = "a data set has no Debug")]
pub struct Run {
    /// The recipe. When a run is resumed, only the fields that [`resume`] names are used.
    pub recipe: Recipe,
    /// The folder for all files of the run.
    pub out: PathBuf,
    /// Training samples.
    pub train: Arc<dyn Dataset>,
    /// Validation samples, for contact sheets and scores; never trained on.
    pub val: Arc<dyn Dataset>,
    /// The device to train on.
    pub device: Device,
    /// Stop after this time; the clock restarts on resume.
    pub time_limit: Option<Duration>,
    /// Whether to write a trace of this session: when its threads computed, loaded pictures, and waited. Of a group, rank 0 writes one.
    pub trace: bool,
}

/// The paths of a run's files.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The paths for a run in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The final model.
    pub fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// The contact sheet of the validation set, made with the final model.
    pub fn sheet(&self) -> PathBuf {
        self.0.join("sheet.png")
    }

    /// The recipe of the run.
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.ron")
    }

    /// The log, one JSON object per line: step, seconds, losses.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    /// The plot of the losses.
    pub fn plot(&self) -> PathBuf {
        self.0.join("losses.svg")
    }

    /// The checkpoint that a resumed run starts from; see [`Checkpoint::open`].
    pub fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint.safetensors")
    }

    /// The trace of the last session that was asked for one, for Perfetto (<https://ui.perfetto.dev>) or Chrome.
    pub fn trace(&self) -> PathBuf {
        self.0.join("trace.json")
    }

    /// The contact sheet of a step.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.0.join("samples").join(format!("step-{step:07}.png"))
    }
}

/// Receives events during a run.
pub trait Observer {
    /// Training starts at step `first` of `steps`.
    fn start(&mut self, first: u64, steps: u64);
    /// A step is complete.
    fn step(&mut self, step: u64);
    /// The losses of a step were read.
    fn losses(&mut self, record: &Record);
    /// A message for the user.
    fn note(&mut self, text: &str);
    /// Training has ended.
    fn finish(&mut self);
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn start(&mut self, _first: u64, _steps: u64) {}
    fn step(&mut self, _step: u64) {}
    fn losses(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self) {}
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All steps are complete.
    Finished,
    /// The time limit was reached.
    TimeUp,
    /// An interruption was requested.
    Interrupted,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The paths of its files.
    pub files: Files,
    /// Total number of completed steps.
    pub steps: u64,
    /// Steps per second in this session.
    pub rate: f64,
    /// How long training waited for pictures in this session, the first ones apart, which nothing could be done before.
    pub waited: Duration,
    /// Why it ended.
    pub stopped: Stopped,
    /// The model's score on the validation set.
    pub score: Score,
}

/// Mean similarity of synthesized pictures to photos.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Number of pictures compared.
    pub pictures: usize,
    /// Peak signal-to-noise ratio in decibels.
    pub psnr: f64,
    /// Structural similarity, -1 to 1.
    pub ssim: f64,
}

/// Trains until all steps are done, the time is up or `stop` is set, and writes a model, a contact sheet, a
/// checkpoint and a log to `run.out`.
///
/// # Errors
///
/// [`Error::Argument`] if `run.out` already holds a run; [`Error::Diverged`] if a loss is no longer finite; otherwise
/// errors of reading data and writing files.
pub fn train(run: &Run, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
    train_in_group(run, None, &Group::alone(), observer, stop)
}

/// Continues the run in `run.out` from its checkpoint; otherwise same as [`train`].
///
/// Settings that determine the networks and the order of the data (kind, widths, size, batch, average, augmentation,
/// seed) are taken from the checkpoint. The others are taken from `run.recipe`: names, paths, steps, rates, losses
/// and intervals.
///
/// # Errors
///
/// [`Error::Argument`] if the checkpoint does not belong to the run in `run.out`; [`Error::Data`] if its classes are
/// not those of the data; [`Error::Model`] if it does not fit its recipe; otherwise same as [`train`].
pub fn resume(run: &Run, checkpoint: Checkpoint, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
    train_in_group(run, Some(checkpoint), &Group::alone(), observer, stop)
}

/// [`train`], or [`resume`] from a checkpoint, as one of the processes of a group, all of which call this with the same run and
/// checkpoint. Each trains on its share of every batch (see [`Trainer::together`]). Only rank 0 writes files, and only it uses the
/// validation samples. An error of one process ends the run of all, and so does `stop` or the time limit of any.
///
/// # Errors
///
/// Same as [`train`] and [`resume`]; [`Error::Argument`] if a batch has fewer pictures than the group has processes, or if the
/// processes differ in recipe, classes or completed steps; [`Error::Device`] if a process is gone.
pub fn train_in_group(
    run: &Run,
    checkpoint: Option<Checkpoint>,
    group: &Group,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Outcome> {
    Session::open(run, checkpoint, group)?.train(observer, stop)
}

struct Session<'a> {
    run: &'a Run,
    files: Files,
    trainer: Trainer,
    /// Rank 0 writes it.
    log: Option<TrainLog>,
    sampler: Sampler,
    /// The bank that collages are made of, for networks that take them.
    bank: Option<Arc<Bank>>,
    samples: Vec<Sample>,
    /// Losses that have not been read yet, because reading waits for the device.
    pending: Vec<Losses>,
    trace: Trace,
    started: Instant,
    /// Seconds of earlier sessions.
    before: f64,
}

impl<'a> Session<'a> {
    /// Opens the run in all processes, or in none.
    fn open(run: &'a Run, checkpoint: Option<Checkpoint>, group: &Group) -> Result<Self> {
        let resumes = checkpoint.is_some();
        let trainer = match checkpoint {
            Some(checkpoint) => Self::resumed(run, checkpoint),
            None => Self::fresh(run, group.rank() == 0),
        };
        let trainer = group.agree(trainer)?.together(group.clone())?;
        group.agree(Self::new(run, trainer, resumes))
    }

    /// A new trainer; the process that `leads` checks that there is no run yet.
    fn fresh(run: &Run, leads: bool) -> Result<Trainer> {
        let files = Files::new(&run.out);
        let results = [files.checkpoint(), files.model(), files.recipe(), files.log(), files.sheet()];
        if let Some(file) = results.iter().find(|file| leads && file.exists()) {
            let way = if files.checkpoint().exists() {
                "it can be resumed, or choose another folder"
            } else {
                "choose another folder"
            };
            let (folder, file) = (run.out.display(), file.display());
            return Err(Error::Argument(format!("{folder} already holds a run ({file}): {way}")));
        }
        Trainer::new(run.recipe.clone(), run.train.classes().channels(), &run.device)
    }

    /// The trainer of a checkpoint.
    fn resumed(run: &Run, checkpoint: Checkpoint) -> Result<Trainer> {
        let (files, folder) = (Files::new(&run.out), run.out.display());
        // The checkpoint in the run's folder will be overwritten.
        if !same_file(checkpoint.path(), &files.checkpoint()) {
            let path = checkpoint.path().display();
            return Err(Error::Argument(format!(
                "{path} is not the checkpoint of the run in {folder}: resume in the folder of the checkpoint"
            )));
        }
        if checkpoint.classes() != run.train.classes() {
            return Err(Error::Data(format!("{folder}: the classes of the run are not those of the data")));
        }
        Trainer::resume(checkpoint, &run.device, |stored| {
            // List the fields that may change, so that a new field of the networks is taken from the checkpoint by
            // default.
            let Recipe {
                name,
                licence,
                half,
                data,
                classes,
                labels,
                steps,
                decay_from,
                learning_rate,
                ttur,
                losses,
                vgg,
                fresh_fakes,
                sample_every,
                checkpoint_every,
                log_every,
                ..
            } = run.recipe.clone();
            let kept = stored.clone();
            let named = Recipe { name, licence, half, data, classes, labels, steps, decay_from, ..kept };
            let learned = Recipe { learning_rate, ttur, losses, vgg, fresh_fakes, ..named };
            *stored = Recipe { sample_every, checkpoint_every, log_every, ..learned };
        })
    }

    fn new(run: &'a Run, trainer: Trainer, resumes: bool) -> Result<Self> {
        let (batch, processes) = (trainer.recipe().batch, trainer.group.size());
        if batch < processes {
            return Err(Error::Argument(format!(
                "recipe: batch is {batch}: it must be at least {processes}, a picture for each process"
            )));
        }
        if let (Some(length), found) = (trainer.recipe().style_length, run.train.style_length())
            && found != Some(length)
        {
            let set = run.train.name();
            let found = found.map_or("has no styles".into(), |found| format!("has styles of {found} values"));
            return Err(Error::Argument(format!("recipe: style_length is {length}, but the data set {set} {found}")));
        }
        let files = Files::new(&run.out);
        let recipe = trainer.recipe();
        let leads = trainer.group.rank() == 0;
        let (mut log, mut before) = (None, 0.0);
        if leads {
            std::fs::create_dir_all(run.out.join("samples")).map_err(Error::io(run.out.join("samples")))?;
            let steps = trainer.steps_done();
            log = Some(if resumes { TrainLog::resume(files.log(), steps)? } else { TrainLog::create(files.log())? });
            let text = recipe.to_ron_string()?;
            write_whole(&files.recipe(), |out| out.write_all(text.as_bytes()))?;
            before = TrainLog::read(files.log())?.last().map_or(0.0, |record| record.seconds);
        }
        let [height, width] = recipe.size;
        let augment = Augment { flip: recipe.flip, load_scale: recipe.load_scale, width, height };
        let bank = if trainer.architecture().takes_collage() {
            // At the size of the model, so that whoever paints with it has the same bank.
            Some(Arc::new(Bank::of(&*run.train, recipe.validation_size(), BankLimits::default())?))
        } else {
            None
        };
        let sampler = Sampler {
            dataset: Kept::of(Arc::clone(&run.train), recipe.load_size()),
            bank: bank.clone(),
            augment,
            batch: recipe.batch * recipe.accumulate,
            shares: shares(recipe.batch, recipe.accumulate, &trainer.group),
            seed: recipe.seed,
        };
        let [height, width] = recipe.validation_size();
        let shown = if leads { run.val.len().min(SHEET) } else { 0 };
        let samples = (0..shown).map(|index| fit(run.val.get(index)?, width, height));
        let samples = samples.collect::<Result<Vec<_>>>()?;
        let trace = if run.trace && leads { Trace::create(&files.trace())? } else { Trace::default() };
        let (pending, started) = (Vec::new(), Instant::now());
        Ok(Self { run, files, trainer, log, sampler, bank, samples, pending, trace, started, before })
    }

    fn train(mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        let recipe = self.trainer.recipe().clone();
        let group = self.trainer.group.clone();
        let first = self.trainer.steps_done();
        observer.start(first, recipe.steps);
        let trace = self.trace.clone();
        let others = if group.size() > 1 { trace.clone() } else { Trace::default() };
        let mut batches = self.sampler.clone().prefetch_traced(first, recipe.steps, trace.clone());
        let mut stopped = Stopped::Finished;
        let mut waited = Duration::ZERO;
        let mut next = trace.span(Lane::Training, "first pictures", first + 1, || batches.next());
        while let Some(batch) = next {
            let number = self.trainer.steps_done() + 1;
            let batch = match others.span(Lane::Training, "wait for others", number, || group.agree(batch)) {
                Ok(batch) => batch,
                Err(error) => {
                    // A picture that cannot be read must not cost the steps done so far.
                    let step = self.trainer.steps_done();
                    let kept = match self.flush(observer).and_then(|()| self.checkpoint()) {
                        Ok(()) => format!("after step {step}, kept in the checkpoint"),
                        Err(other) => format!("after step {step}, which could not be saved ({other})"),
                    };
                    return Err(error.context(kept));
                }
            };
            let losses = trace.span(Lane::Training, "step", number, || self.trainer.step(batch))?;
            let step = losses.step;
            self.pending.push(losses);
            observer.step(step);
            let checkpoint = step % recipe.checkpoint_every == 0;
            if checkpoint || step % recipe.log_every == 0 {
                // Reading losses waits for the device.
                trace.span(Lane::Training, "losses", step, || self.flush(observer))?;
            }
            if checkpoint {
                trace.span(Lane::Training, "checkpoint", step, || self.checkpoint())?;
            }
            if step % recipe.sample_every == 0 && step < recipe.steps {
                trace.span(Lane::Training, "contact sheet", step, || self.show(step))?;
            }
            let interrupted = stop.load(Ordering::Relaxed);
            let late = self.run.time_limit.is_some_and(|limit| self.started.elapsed() >= limit) && step < recipe.steps;
            // What one process is told, all do.
            let own = [u8::from(interrupted), u8::from(late)];
            let told = others.span(Lane::Training, "wait for others", step, || group.gather(&own))?;
            let (told, _) = told.as_chunks::<2>();
            if told.iter().any(|&[interrupted, _]| interrupted > 0) {
                stopped = Stopped::Interrupted;
            } else if told.iter().any(|&[_, late]| late > 0) {
                stopped = Stopped::TimeUp;
            }
            if stopped != Stopped::Finished {
                break;
            }
            let from = Instant::now();
            next = trace.span(Lane::Training, "wait for pictures", step + 1, || batches.next());
            waited += from.elapsed();
        }
        self.flush(observer)?;
        let steps = self.trainer.steps_done();
        let rate = (steps - first) as f64 / self.started.elapsed().as_secs_f64();
        observer.finish();
        self.checkpoint()?;
        if let Err(error) = trace.close(&self.files.trace()) {
            observer.note(&format!("the trace is not whole: {error}"));
        }
        observer.note(&format!("{steps} steps done; computing the model's statistics"));
        let score = self.finish(stop)?;
        Ok(Outcome { files: self.files, steps, rate, waited, stopped, score })
    }

    /// The contact sheet of a step, and the plot of the losses.
    fn show(&self, step: u64) -> Result<()> {
        let batches = self.sampler.clone().prefetch(step, step + SHEET_CALIBRATION);
        let network = self.trainer.calibrated(batches)?;
        self.lead(|| {
            self.sample(&network, &self.files.sample(step))?;
            plot(&TrainLog::read(self.files.log())?, self.files.plot())
        })
    }

    fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    /// Does work that rank 0 does alone; its error is one of all.
    fn lead<T: Default>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let group = &self.trainer.group;
        group.agree(if group.rank() == 0 { work() } else { Ok(T::default()) })
    }

    /// Reads the losses of all steps since the last call; ends the run if one of them has diverged. Collective.
    fn flush(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let read = self.read_losses(observer);
        self.trainer.group.agree(read)
    }

    fn read_losses(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let seconds = self.seconds();
        let every = self.trainer.recipe().log_every;
        for losses in std::mem::take(&mut self.pending) {
            let step = losses.step;
            let values = losses.read()?;
            if step % every == 0 {
                let record = Record { step, seconds, values };
                if let Some(log) = &mut self.log {
                    log.append(&record)?;
                }
                observer.losses(&record);
            }
        }
        Ok(())
    }

    /// Collective.
    fn checkpoint(&self) -> Result<()> {
        self.lead(|| self.trainer.save(self.files.checkpoint(), self.run.train.classes()))
    }

    /// Synthesizes the first samples of the validation set.
    fn sample(&self, network: &Network, path: &Path) -> Result<()> {
        let collages: Vec<Option<Collage>> =
            self.samples.iter().map(|sample| self.collage(sample)).collect::<Result<_>>()?;
        let both = || self.samples.iter().zip(&collages);
        let pictures: Vec<RgbImage> =
            both().map(|(sample, collage)| self.paint(network, sample, collage.as_ref())).collect::<Result<_>>()?;
        let rows: Vec<SheetRow> = both()
            .zip(&pictures)
            .map(|((sample, collage), picture)| SheetRow {
                labels: &sample.labels,
                collage: collage.as_ref(),
                synthesized: picture,
                real: Some(&sample.image),
            })
            .collect();
        let sheet = contact_sheet(&rows, self.run.val.classes());
        save_picture(&sheet, path)
    }

    /// The collage of a validation sample, for networks that take one.
    fn collage(&self, sample: &Sample) -> Result<Option<Collage>> {
        self.bank.as_ref().map(|bank| bank.collage(&sample.labels, None)).transpose()
    }

    fn paint(&self, network: &Network, sample: &Sample, collage: Option<&Collage>) -> Result<RgbImage> {
        let device = self.run.device.burn();
        let instances = sample.instances.as_ref().map(std::slice::from_ref);
        let labels = vec![sample.labels.clone()];
        let layout = layout_of(self.trainer.architecture(), labels, instances, LabelEncoding::Indexed, device)?;
        let [height, width] = layout.size();
        let mut planes = Vec::with_capacity(3 * height * width);
        push_planes(&sample.image, &mut planes);
        let photo = Tensor::from_data(TensorData::new(planes, [1, 3, height, width]), device);
        let styles = sample.style.as_ref().filter(|_| self.trainer.recipe().style_length.is_some()).map(|style| {
            Tensor::from_data(TensorData::new(style.to_rows(), [1, style.rows(), style.length()]), device)
        });
        let collages = collage.map(|collage| {
            let mut planes = Vec::new();
            collage.push_planes([height, width], &mut planes);
            Tensor::from_data(TensorData::new(planes, [1, Collage::CHANNELS, height, width]), device)
        });
        // Instance features are those of classes here, as they are when a model paints.
        let sources = Sources { photos: &photo, styles: styles.as_ref(), collages: collages.as_ref(), segments: None };
        let sampling = Sampling { seed: 0, noise: true, draw_latent: false, share: Share::default() };
        let (input, _) = generator_input(network, &layout, sources, sampling, Mode::EVAL)?;
        let output = network.forward(&input, Mode::EVAL)?;
        to_images(output, VALUE_RANGE)?.pop().ok_or_else(|| Error::Device("the network gave no picture".into()))
    }

    /// Writes the final model and its contact sheet, and computes its score. Collective.
    fn finish(&self, stop: &AtomicBool) -> Result<Score> {
        // Use the batches that would follow the last step: deterministic, and as varied as those trained on.
        let first = self.trainer.steps_done();
        let batches = self.sampler.clone().prefetch(first, first + CALIBRATION);
        let network = self.trainer.calibrated(batches)?;
        let Score { pictures, psnr, ssim } = self.lead(|| self.publish(network, stop))?;
        let scores = self.trainer.group.gather(&[pictures as f64, psnr, ssim])?;
        Ok(Score { pictures: scores[0] as usize, psnr: scores[1], ssim: scores[2] })
    }

    /// Writes a model with the final network.
    fn publish(&self, network: Network, stop: &AtomicBool) -> Result<Score> {
        let recipe = self.trainer.recipe();
        let manifest = Manifest {
            format: FORMAT,
            name: recipe.name.clone().unwrap_or_else(|| folder_name(&self.run.out)),
            architecture: self.trainer.architecture().clone(),
            classes: self.run.train.classes().clone(),
            statistics: Statistics::Running,
            native_size: recipe.validation_size(),
            value_range: VALUE_RANGE,
            provenance: Provenance {
                program: format!("semsynth {}", env!("CARGO_PKG_VERSION")),
                data: format!("{}, {} pairs", self.run.train.name(), self.run.train.len()),
                steps: self.trainer.steps_done(),
                recipe: recipe.without_paths().to_ron_string()?,
            },
            licence: recipe.licence.clone(),
            presets: Vec::new(),
        };
        let precision = if recipe.half { Precision::Half } else { Precision::Full };
        let looks = feature_presets(&network, &*self.run.train, recipe, self.run.device.burn())?;
        let model = Model::from_network(network, manifest, precision)?;
        let model = if !looks.is_empty() {
            model.with_presets(&looks)?
        } else if recipe.style_length.is_some() {
            let presets = self.run.train.presets()?.into_iter();
            let presets: Vec<_> = presets.map(|(name, summary, style)| (Preset { name, summary }, style)).collect();
            model.with_presets(&presets)?
        } else {
            model
        };
        model.save(self.files.model())?;
        // Compute pictures and scores from the model file, not from the network it was made from.
        let network = model.network(self.run.device.burn())?;
        self.sample(&network, &self.files.sheet())?;
        plot(&TrainLog::read(self.files.log())?, self.files.plot())?;
        self.score(&network, stop)
    }

    /// Computes the score on the whole validation set, or only on its first pictures if the user is waiting for the
    /// end.
    fn score(&self, network: &Network, stop: &AtomicBool) -> Result<Score> {
        let [height, width] = self.trainer.recipe().validation_size();
        let (mut pictures, mut decibels, mut similarity) = (0u32, 0.0, 0.0);
        for index in 0..self.run.val.len() {
            if index >= SHEET && stop.load(Ordering::Relaxed) {
                break;
            }
            let sample = fit(self.run.val.get(index)?, width, height)?;
            let picture = self.paint(network, &sample, self.collage(&sample)?.as_ref())?;
            pictures += 1;
            decibels += psnr(&picture, &sample.image)?;
            similarity += ssim(&picture, &sample.image)?;
        }
        let count = f64::from(pictures.max(1));
        Ok(Score { pictures: pictures as usize, psnr: decibels / count, ssim: similarity / count })
    }
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}

/// Whether both paths refer to the same existing file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
