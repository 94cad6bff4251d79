//! The worker's loop: edits first, then what was never painted, then full quality.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bevy_ecs::entity::Entity;
use bevy_log::warn;
use bevy_math::BVec2;
use semsynth::device::{DeviceClass, DeviceInfo};
use semsynth::{
    CancelToken, ClassTable, Device, Error, PreparedModel, Request, Result, Synthesizer, SynthesizerOptions,
};

use super::inbox::{Command, Current, Inbox, What};
use super::maps::{Maps, REACH};
use super::picture::{Job, Picture, State, grown, paint_chunk};
use super::{MapParts, News, Painted, Report, Reports};
use crate::events::Quality;
use crate::model::{ModelData, SynthPresets};
use crate::terrain::SynthSettings;
use crate::{SemSynthSettings, SynthDevice};

/// A model's weights. Kept as long as the asset or a picture is.
struct Weights {
    asset: Weak<ModelData>,
    prepared: PreparedModel,
    classes: Arc<ClassTable>,
    presets: SynthPresets,
    /// Paints chunks.
    chunks: Option<Synthesizer>,
}

impl Weights {
    fn request(&self, settings: &SynthSettings) -> Result<Request> {
        settings.request(&self.classes, &self.presets)
    }
}

pub(super) struct Painter {
    inbox: Arc<Inbox>,
    reports: Reports,
    open_device: OpenDevice,
    /// The device that is painted on, and how many were opened before it.
    device: Option<DeviceInfo>,
    epoch: u64,
    /// Times in a row that the device failed; [`LOSSES`] of them, and the CPU takes over for good.
    losses: u32,
    /// How long a brush rests before its edits are brought to full quality.
    rest: Duration,
    canvas_memory: usize,
    models: HashMap<u64, Weights>,
    pictures: HashMap<Entity, Picture>,
}

/// The app is gone.
struct Closed;

/// Opens the device to paint on.
pub(super) type OpenDevice = Box<dyn FnMut() -> Device + Send>;

/// Failures of a device after which it is not tried again. Burn keeps a device for the life of the process: a GPU that is gone
/// for good does not come back when it is opened anew.
const LOSSES: u32 = 2;

/// Opens what the settings ask for.
pub(super) fn opener(device: SynthDevice) -> OpenDevice {
    Box::new(move || match device {
        SynthDevice::Cpu => Device::cpu(),
        SynthDevice::Best => Device::best().unwrap_or_else(|error| {
            warn!("painting on the CPU: {error}");
            Device::cpu()
        }),
    })
}

impl Painter {
    pub(super) fn new(
        inbox: Arc<Inbox>,
        reports: Reports,
        settings: &SemSynthSettings,
        open_device: OpenDevice,
    ) -> Self {
        Self {
            inbox,
            reports,
            open_device,
            device: None,
            epoch: 0,
            losses: 0,
            rest: settings.rest,
            canvas_memory: settings.canvas_memory,
            models: HashMap::new(),
            pictures: HashMap::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            self.note_queue();
            let patience = self.choose().map(|(_, _, from)| from.saturating_duration_since(Instant::now()));
            let Some(commands) = self.inbox.take(patience) else { return };
            for command in commands {
                if self.obey(command).is_err() {
                    return;
                }
            }
            self.models.retain(|_, weights| weights.asset.strong_count() > 0);
            self.note_queue();
            let Some((entity, job, from)) = self.choose() else {
                self.inbox.set_idle();
                continue;
            };
            if from > Instant::now() {
                self.inbox.set_idle();
                continue;
            }
            let token = CancelToken::new();
            let current =
                Current { entity, token: token.clone(), yields_to_edits: matches!(job, Job::Settle | Job::Chunk) };
            if !self.inbox.start(current) {
                continue;
            }
            // A picture that breaks the painter must not take the others with it.
            let done = catch_unwind(AssertUnwindSafe(|| self.work(entity, job, &token)));
            let result = done.unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Ok(Err(Error::Device(text.into())))
            });
            match result {
                Err(Closed) => return,
                Ok(Ok(())) => {
                    // One that was given up is not tried again.
                    let is_current = self.pictures.get(&entity).is_some_and(|picture| picture.epoch == self.epoch);
                    if job != Job::Begin && is_current && self.losses < LOSSES {
                        self.losses = 0;
                    }
                }
                // What was cancelled is still to be done.
                Ok(Err(Error::Cancelled)) => {}
                Ok(Err(error)) => {
                    let error = self.note_loss(entity, error);
                    if self.fail(entity, &error).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// If the device failed, forgets all that is on it, so that the next edit opens it anew, and says what happened.
    fn note_loss(&mut self, entity: Entity, error: Error) -> Error {
        let Error::Device(text) = error else { return error };
        // Pictures that are on a device that failed before fail one after the other.
        if self.pictures.get(&entity).is_some_and(|picture| picture.epoch == self.epoch) {
            self.models.clear();
            self.epoch += 1;
            self.losses += 1;
        }
        Error::Device(describe_loss(self.device.as_ref(), &text, self.losses))
    }

    /// Says how many pictures wait.
    fn note_queue(&self) {
        self.inbox.set_queue(self.pictures.values().filter(|picture| picture.job(self.rest).is_some()).count());
    }

    /// The most urgent job.
    fn choose(&self) -> Option<(Entity, Job, Instant)> {
        let now = Instant::now();
        let jobs = self.pictures.iter().filter_map(|(entity, picture)| {
            let (job, from) = picture.job(self.rest)?;
            // What is due before what is not; then by urgency, priority, and by time.
            let wait = from.saturating_duration_since(now);
            let newest_first = std::cmp::Reverse(picture.touched);
            Some(((wait, job, Descending(picture.priority), newest_first, *entity), (*entity, job, from)))
        });
        jobs.min_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, job)| job)
    }

    fn obey(&mut self, command: Command) -> std::result::Result<(), Closed> {
        match command {
            Command::Open(entity, open) => {
                let keeps_textures = !open.colors;
                let mut picture = Picture::new(*open);
                if let Some(old) = self.pictures.remove(&entity).filter(|_| keeps_textures) {
                    picture.take_textures(old);
                }
                self.pictures.insert(entity, picture);
            }
            Command::Edit { entity, revision, edits, at } => {
                let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(()) };
                picture.revision = revision;
                picture.touched = Instant::now();
                picture.unseen.get_or_insert(at);
                if let Err(error) = picture.edit(&edits) {
                    return self.fail(entity, &error);
                }
            }
            Command::Settings { entity, revision, settings } => {
                let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(()) };
                picture.revision = revision;
                picture.settings = *settings;
                // Before it has begun, `begin` looks at them.
                if matches!(picture.state, State::New(_)) {
                    return Ok(());
                }
                let (settings, model) = (picture.settings.clone(), Arc::clone(&picture.model));
                let request = self.weights(&model).and_then(|weights| weights.request(&settings));
                let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(()) };
                if let Err(error) = request.and_then(|request| picture.set_request(request)) {
                    return self.fail(entity, &error);
                }
            }
            Command::Priority(entity, priority) => {
                if let Some(picture) = self.pictures.get_mut(&entity) {
                    picture.priority = priority;
                }
            }
            Command::Resend(entity) => {
                let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(()) };
                let whole = picture.pyramid.whole();
                let parts = picture.pyramid.send(whole);
                let quality = if picture.job(self.rest).is_some() { Quality::Preview } else { Quality::Settled };
                let painted = Painted {
                    revision: picture.revision,
                    quality,
                    rect: Some(whole),
                    parts,
                    maps: picture.maps.as_mut().map(|maps| maps.send()).unwrap_or_default(),
                    time: Duration::ZERO,
                    edited: None,
                };
                return self.report(entity, News::Painted(painted));
            }
            Command::Save(entity, path) => {
                let Some(picture) = self.pictures.get(&entity) else { return Ok(()) };
                let error = picture.pyramid.image().and_then(|image| image.save(&path)).err();
                return self.report(entity, News::Saved(path, error.map(|error| error.to_string())));
            }
            Command::Close(entity) => {
                self.pictures.remove(&entity);
            }
        }
        Ok(())
    }

    fn report(&self, entity: Entity, news: News) -> std::result::Result<(), Closed> {
        let Some(picture) = self.pictures.get(&entity) else { return Ok(()) };
        self.reports.send(Report { entity, generation: picture.generation, news }).map_err(|_| Closed)
    }

    fn fail(&mut self, entity: Entity, error: &Error) -> std::result::Result<(), Closed> {
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(()) };
        picture.state = State::Done;
        let (error, revision) = (error.to_string(), picture.revision);
        self.report(entity, News::Failed { error, revision })
    }

    /// Does a job, or says why not.
    fn work(&mut self, entity: Entity, job: Job, token: &CancelToken) -> std::result::Result<Result<()>, Closed> {
        match job {
            Job::Begin => self.begin(entity),
            Job::Chunk => self.chunk(entity, token),
            Job::Preview | Job::Paint | Job::Settle => self.paint(entity, job, token),
        }
    }

    fn begin(&mut self, entity: Entity) -> std::result::Result<Result<()>, Closed> {
        let epoch = self.epoch;
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        picture.epoch = epoch;
        let (settings, asset) = (picture.settings.clone(), Arc::clone(&picture.model));
        let (model, classes, presets, request) = match self.weights(&asset) {
            Ok(weights) => {
                let Weights { prepared, classes, presets, .. } = &*weights;
                (prepared.clone(), Arc::clone(classes), presets.clone(), weights.request(&settings))
            }
            Err(error) => return Ok(Err(error)),
        };
        self.report(entity, News::Model(Arc::clone(&classes), presets))?;
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        if let (true, State::New(What::Terrain(labels))) = (picture.colors, &picture.state) {
            let start = Instant::now();
            let whole = picture.pyramid.whole();
            let colors = labels.to_rgb(&classes);
            let parts = picture.pyramid.update(colors.pixels().rows(), whole);
            let painted = Painted {
                revision: 0,
                quality: Quality::Colors,
                rect: Some(whole),
                parts,
                maps: MapParts::default(),
                time: start.elapsed(),
                edited: None,
            };
            picture.fresh = false;
            picture.colors = false;
            self.report(entity, News::Painted(painted))?;
        }
        let memory = self.canvas_memory;
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        Ok(request.and_then(|request| picture.begin(&model, request, memory)))
    }

    fn paint(&mut self, entity: Entity, job: Job, token: &CancelToken) -> std::result::Result<Result<()>, Closed> {
        let start = Instant::now();
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        let inbox = &self.inbox;
        let change = match picture.paint(job, token, &mut |done| inbox.set_progress(done)) {
            Ok(change) => change,
            Err(error) => return Ok(Err(error)),
        };
        let taken = match picture.take_over(change) {
            Ok(taken) => taken,
            Err(error) => return Ok(Err(error)),
        };
        let quality = if job == Job::Preview { Quality::Preview } else { Quality::Settled };
        let painted = Painted {
            revision: picture.revision,
            quality,
            rect: taken.rect(),
            parts: taken.parts,
            maps: taken.maps,
            time: start.elapsed(),
            edited: picture.unseen.take(),
        };
        self.report(entity, News::Painted(painted))?;
        Ok(Ok(()))
    }

    fn chunk(&mut self, entity: Entity, token: &CancelToken) -> std::result::Result<Result<()>, Closed> {
        let (start, epoch) = (Instant::now(), self.epoch);
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        picture.epoch = epoch;
        let State::New(What::Chunk { labels, area }) = &picture.state else { return Ok(Ok(())) };
        let (labels, area) = (Arc::clone(labels), *area);
        let (settings, model, surface) =
            (picture.settings.clone(), Arc::clone(&picture.model), picture.surface.clone());
        let inbox = Arc::clone(&self.inbox);
        let reach = if surface.is_some() { REACH } else { 0 };
        let painted = self.weights(&model).and_then(|weights| {
            let request = weights.request(&settings)?;
            let surfaces = surface.map(|surface| surface.by_id(&weights.classes)).transpose()?;
            let synth = weights.chunks.get_or_insert_with(|| weights.prepared.synthesizer());
            let mut progress = |done| inbox.set_progress(done);
            let bytes = paint_chunk(synth, &labels, grown(area, reach), &request, token, &mut progress)?;
            Ok((bytes, surfaces, Arc::clone(&weights.classes), weights.presets.clone()))
        });
        let (bytes, surfaces, classes, presets) = match painted {
            Ok(painted) => painted,
            Err(error) => return Ok(Err(error)),
        };
        self.report(entity, News::Model(classes, presets))?;
        let Some(picture) = self.pictures.get_mut(&entity) else { return Ok(Ok(())) };
        picture.state = State::Done;
        let whole = picture.pyramid.whole();
        let stride = 3 * (whole.width() + 2 * reach) as usize;
        let rows = bytes.chunks_exact(stride).skip(reach as usize).take(whole.height() as usize);
        let parts =
            picture.pyramid.update(rows.map(|row| &row[3 * reach as usize..][..3 * whole.width() as usize]), whole);
        let mut maps = MapParts::default();
        if let Some(surfaces) = surfaces {
            let mut ids = vec![0; whole.width() as usize * whole.height() as usize];
            labels.read(area, &mut ids);
            let made = picture.maps.insert(Box::new(Maps::new(whole.size(), BVec2::FALSE, surfaces, ids)));
            maps = made.update_within(&bytes);
        }
        let painted = Painted {
            revision: 0,
            quality: Quality::Settled,
            rect: Some(whole),
            parts,
            maps,
            time: start.elapsed(),
            edited: None,
        };
        self.report(entity, News::Painted(painted))?;
        Ok(Ok(()))
    }

    /// The weights of a model, prepared at first use.
    fn weights(&mut self, model: &Arc<ModelData>) -> Result<&mut Weights> {
        if !self.models.contains_key(&model.serial) {
            let options = SynthesizerOptions::new(&self.device());
            let opened = model.open()?;
            let presets = SynthPresets::of(&opened)?;
            let prepared = PreparedModel::new(opened, options)?;
            let classes = Arc::new(prepared.manifest().classes.clone());
            let fresh = Weights { asset: Arc::downgrade(model), prepared, classes, presets, chunks: None };
            self.models.insert(model.serial, fresh);
        }
        self.models.get_mut(&model.serial).ok_or_else(|| Error::Model("the model is gone".into()))
    }

    fn device(&mut self) -> Device {
        let device = if self.losses < LOSSES { (self.open_device)() } else { Device::cpu() };
        self.device = Some(device.info().clone());
        device
    }
}

/// What happened to a device, and what happens next.
fn describe_loss(device: Option<&DeviceInfo>, text: &str, losses: u32) -> String {
    let Some(gpu) = device.filter(|device| device.class != DeviceClass::Cpu) else {
        return format!(
            "painting panicked: {text}. The next edit, model or setting tries again. Unless this came from the app's \
             `WorldLabels`, it is a bug of semsynth"
        );
    };
    let next = if losses < LOSSES { "opens it anew" } else { "is painted on the CPU" };
    format!(
        "{} ({}) failed or was lost while painting: {text}. The next edit, model or setting {next}",
        gpu.name, gpu.description
    )
}

/// The greatest first; what is no number last.
#[derive(PartialEq)]
struct Descending(f32);

impl Eq for Descending {}

impl PartialOrd for Descending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Descending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let number = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
        number(other.0).total_cmp(&number(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_names_the_device_and_what_comes_next() {
        let mut info = Device::cpu().info().clone();
        assert!(describe_loss(Some(&info), "index 7", 1).contains("index 7"));
        (info.class, info.name) = (DeviceClass::DiscreteGpu, "gpu:0".into());
        let texts = [1, 2].map(|losses| describe_loss(Some(&info), "device lost", losses));
        assert!(
            texts.iter().all(|text| text.contains("gpu:0") && text.contains("device lost") && !text.contains("bug"))
        );
        assert!(texts[0].contains("opens it anew") && texts[1].contains("on the CPU"), "{texts:?}");
    }
}
