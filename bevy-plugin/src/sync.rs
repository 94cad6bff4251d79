//! Between the app's components and the worker: edits out, rectangles in. Nothing here computes pixels or waits.

use std::time::{Duration, Instant};

use bevy_asset::{AssetServer, Assets, Handle, LoadState};
use bevy_diagnostic::Diagnostics;
use bevy_ecs::change_detection::{DetectChanges, Ref};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::lifecycle::Remove;
use bevy_ecs::observer::On;
use bevy_ecs::query::With;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Commands, Local, Query, Res, ResMut};
use bevy_image::Image;
use bevy_log::warn;
use bevy_math::{BVec2, URect, UVec2};

use crate::diagnostics;
use crate::events::{PartPainted, PictureSaved, Quality, SavePicture, SynthFailed, SynthFinished};
use crate::labels::{Changes, LabelMap};
use crate::model::{SynthClasses, SynthModel};
use crate::terrain::{SemanticTerrain, SynthOutput, SynthSettings, SynthState, SynthStatus};
use crate::upload::{SynthSink, texture};
use crate::worker::{Command, Edit, News, Open, Painted, What, Worker};

/// What the worker knows of a terrain or chunk.
#[derive(Component, Debug, Default)]
pub(crate) struct Link {
    pub(crate) opened: bool,
    /// The labels that were sent, and up to which edit.
    labels: (u64, u64),
    pub(crate) model: u64,
    wrap: BVec2,
    priority: f32,
    pub(crate) failed: bool,
    /// Whether something was painted.
    pub(crate) visible: bool,
}

/// Time that the plugin's systems took in this frame.
#[derive(Resource, Debug, Default)]
pub(crate) struct FrameCost(pub(crate) Duration);

/// Sets a state that can be seen, without a change if it is the same.
pub(crate) fn set_state(status: &mut bevy_ecs::change_detection::Mut<'_, SynthStatus>, state: SynthState) {
    if status.state != state {
        status.state = state;
    }
}

/// Notes that something cannot be painted, and tells.
pub(crate) fn fail(
    commands: &mut Commands<'_, '_>,
    entity: Entity,
    status: &mut bevy_ecs::change_detection::Mut<'_, SynthStatus>,
    link: &mut Link,
    error: String,
) {
    link.failed = true;
    if status.state == (SynthState::Failed { error: error.clone() }) {
        return;
    }
    warn!("terrain {entity}: {error}");
    status.state = SynthState::Failed { error: error.clone() };
    commands.trigger(SynthFailed { entity, error });
}

type Terrain<'a> =
    (Entity, Ref<'a, SemanticTerrain>, Ref<'a, SynthSettings>, &'a mut SynthOutput, &'a mut SynthStatus, &'a mut Link);

/// Sends edits and changes to the worker.
#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
pub(crate) fn collect(
    mut commands: Commands,
    mut terrains: Query<Terrain<'_>>,
    labels: Res<Assets<LabelMap>>,
    models: Res<Assets<SynthModel>>,
    mut images: ResMut<Assets<Image>>,
    server: Option<Res<AssetServer>>,
    #[cfg(feature = "render")] device: Option<Res<bevy_render::renderer::RenderDevice>>,
    sink: Res<SynthSink>,
    worker: Res<Worker>,
    mut cost: ResMut<FrameCost>,
) {
    let start = Instant::now();
    #[cfg(feature = "render")]
    let most = crate::render::most_pixels(device.as_deref()).unwrap_or(16384);
    #[cfg(not(feature = "render"))]
    let most = 16384;
    for (entity, terrain, settings, mut output, mut status, mut link) in &mut terrains {
        let (Some(map), Some(model)) = (labels.get(&terrain.labels), models.get(&terrain.model)) else {
            let fault = server.as_ref().and_then(|server| load_fault(server, &terrain));
            if let Some(error) = fault.filter(|_| !link.opened) {
                fail(&mut commands, entity, &mut status, &mut link, error);
            }
            continue;
        };
        let same =
            link.opened && link.labels.0 == map.serial() && link.model == model.0.serial && link.wrap == settings.wrap;
        let is_retry = link.failed && (link.labels.1 != map.head() || settings.is_changed());
        if same && !is_retry {
            if !link.failed {
                send_changes(entity, map, &settings, &mut status, &mut link, &worker, &mut commands);
            }
            continue;
        }
        link.opened = true;
        link.labels = (map.serial(), map.head());
        link.model = model.0.serial;
        link.failed = false;
        link.priority = settings.priority;
        let size = map.size();
        if size.max_element() > most {
            let error = format!("labels of {size} pixels: textures have at most {most} per side here");
            fail(&mut commands, entity, &mut status, &mut link, error);
            continue;
        }
        let (request, labels) = match settings.request().and_then(|request| Ok((request, map.to_core()?))) {
            Ok(parts) => parts,
            Err(error) => {
                fail(&mut commands, entity, &mut status, &mut link, error.to_string());
                continue;
            }
        };
        let is_new = output.base_color.is_none() || output.size != size || link.wrap != settings.wrap;
        if is_new {
            replace_texture(&mut output, size, settings.wrap, &mut images, &sink);
            link.visible = false;
            link.wrap = settings.wrap;
        }
        let generation = status.generation + 1;
        *status = SynthStatus { generation, state: SynthState::Queued, ..Default::default() };
        let open = Open {
            generation,
            model: model.0.clone(),
            request,
            priority: settings.priority,
            colors: is_new,
            what: What::Terrain(labels),
        };
        worker.send(Command::Open(entity, Box::new(open)));
    }
    cost.0 += start.elapsed();
}

/// Why labels or model will never be there.
fn load_fault(server: &AssetServer, terrain: &SemanticTerrain) -> Option<String> {
    let fault = |state: LoadState, what: &str| match state {
        LoadState::Failed(error) => Some(format!("{what}: {error}")),
        _ => None,
    };
    fault(server.load_state(&terrain.labels), "the labels cannot be loaded")
        .or_else(|| fault(server.load_state(&terrain.model), "the model cannot be loaded"))
}

/// Gives an output a texture of another size.
pub(crate) fn replace_texture(
    output: &mut SynthOutput,
    size: UVec2,
    wrap: BVec2,
    images: &mut Assets<Image>,
    sink: &SynthSink,
) {
    if let Some(old) = &output.base_color {
        sink.0.forget(old.id());
    }
    output.base_color = Some(images.add(texture(size, wrap)));
    output.size = size;
}

fn send_changes(
    entity: Entity,
    map: &LabelMap,
    settings: &Ref<'_, SynthSettings>,
    status: &mut bevy_ecs::change_detection::Mut<'_, SynthStatus>,
    link: &mut Link,
    worker: &Worker,
    commands: &mut Commands<'_, '_>,
) {
    if link.labels.1 != map.head() {
        let rects = match map.changes_since(link.labels.1) {
            Changes::Rects(rects) => rects,
            Changes::Everything => vec![URect::from_corners(UVec2::ZERO, map.size())],
        };
        let edits: Vec<Edit> = rects.into_iter().map(|rect| (rect, map.read(rect))).collect();
        link.labels.1 = map.head();
        status.sent += 1;
        let (revision, at) = (status.sent, Instant::now());
        worker.send(Command::Edit { entity, revision, edits, at });
        set_state(status, SynthState::Queued);
    }
    if settings.is_changed() && !settings.is_added() {
        if settings.priority.to_bits() != link.priority.to_bits() {
            link.priority = settings.priority;
            worker.send(Command::Priority(entity, settings.priority));
        }
        match settings.request() {
            Ok(request) => {
                status.sent += 1;
                worker.send(Command::Request { entity, revision: status.sent, request: Box::new(request) });
                set_state(status, SynthState::Queued);
            }
            Err(error) => fail(commands, entity, status, link, error.to_string()),
        }
    }
}

/// Hands painted rectangles to the sink and tells what happened.
#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
pub(crate) fn receive(
    mut commands: Commands,
    mut worker: ResMut<Worker>,
    sink: Res<SynthSink>,
    mut pictures: Query<(Entity, &SynthOutput, &mut SynthStatus, &mut Link)>,
    mut diagnostics: Diagnostics,
    mut cost: ResMut<FrameCost>,
    mut stale: Local<f64>,
) {
    let start = Instant::now();
    for report in worker.reports() {
        // The entity may be gone, or its labels be others by now.
        let Ok((entity, output, mut status, mut link)) = pictures.get_mut(report.entity) else { continue };
        if report.generation != status.generation {
            *stale += 1.0;
            diagnostics.add_measurement(&diagnostics::STALE, || *stale);
            continue;
        }
        match report.news {
            News::Classes(classes) => {
                commands.entity(entity).try_insert(SynthClasses(classes));
            }
            News::Saved(path, error) => commands.trigger(PictureSaved { entity, path, error }),
            News::Failed(error) => fail(&mut commands, entity, &mut status, &mut link, error),
            News::Painted(painted) => {
                diagnostics.add_measurement(&diagnostics::PAINT_MS, || 1e3 * painted.time.as_secs_f64());
                take(&mut commands, entity, output, &mut status, &mut link, painted, &sink);
            }
        }
    }
    let news = sink.0.take_news();
    for (entity, output, mut status, link) in &mut pictures {
        let image = output.base_color.as_ref().map(Handle::id);
        if news.lost.iter().any(|lost| Some(*lost) == image) {
            worker.send(Command::Resend(entity));
        }
        if let Some((_, latency)) = news.shown.iter().rev().find(|(shown, _)| Some(*shown) == image) {
            status.latency = Some(*latency);
        }
        if matches!(status.state, SynthState::Queued | SynthState::Running { .. }) && !link.failed {
            let progress = worker.inbox().progress(entity);
            set_state(&mut status, progress.map_or(SynthState::Queued, |progress| SynthState::Running { progress }));
        }
    }
    if worker.has_died() {
        for (entity, _, mut status, mut link) in &mut pictures {
            let error = "the painting thread has ended; the log says why. Restart the app".to_string();
            fail(&mut commands, entity, &mut status, &mut link, error);
        }
    }
    if let Some(latency) = news.shown.iter().map(|(_, latency)| *latency).max() {
        diagnostics.add_measurement(&diagnostics::LATENCY_MS, || 1e3 * latency.as_secs_f64());
    }
    if let Some(bytes) = news.written.iter().max() {
        diagnostics.add_measurement(&diagnostics::UPLOAD_BYTES, || *bytes as f64);
        diagnostics.add_measurement(&diagnostics::UPLOAD_MS, || 1e3 * news.time.as_secs_f64());
    }
    diagnostics.add_measurement(&diagnostics::QUEUE, || worker.inbox().queue() as f64);
    // That of the frame before, whose systems have all run.
    cost.0 += start.elapsed();
    diagnostics.add_measurement(&diagnostics::MAIN_MS, || 1e3 * cost.0.as_secs_f64());
    cost.0 = Duration::ZERO;
}

fn take(
    commands: &mut Commands<'_, '_>,
    entity: Entity,
    output: &SynthOutput,
    status: &mut bevy_ecs::change_detection::Mut<'_, SynthStatus>,
    link: &mut Link,
    painted: Painted,
    sink: &SynthSink,
) {
    if let (Some(image), false) = (&output.base_color, painted.parts.is_empty()) {
        sink.0.push(image.id(), painted.parts, painted.edited);
        link.visible = true;
    }
    if let Some(rect) = painted.rect {
        commands.trigger(PartPainted { entity, rect, quality: painted.quality, time: painted.time });
    }
    if painted.quality == Quality::Colors {
        return;
    }
    status.shown = painted.revision;
    if painted.quality == Quality::Settled {
        status.settled = painted.revision;
        if status.settled == status.sent && !link.failed {
            set_state(status, SynthState::Ready);
            commands.trigger(SynthFinished { entity, generation: status.generation });
        }
    }
}

/// The worker forgets a terrain that is gone.
pub(crate) fn close(
    gone: On<'_, '_, Remove, SemanticTerrain>,
    worker: Option<Res<Worker>>,
    sink: Option<Res<SynthSink>>,
    mut pictures: Query<(&SynthOutput, &mut Link), With<SemanticTerrain>>,
) {
    let (Some(worker), Some(sink)) = (worker, sink) else { return };
    worker.send(Command::Close(gone.entity));
    if let Ok((output, mut link)) = pictures.get_mut(gone.entity) {
        link.opened = false;
        if let Some(image) = &output.base_color {
            sink.0.forget(image.id());
        }
    }
}

/// Asks the worker for a file.
pub(crate) fn save(wanted: On<'_, '_, SavePicture>, worker: Res<Worker>, mut commands: Commands, known: Query<&Link>) {
    let (entity, path) = (wanted.entity, wanted.path.clone());
    if known.get(entity).is_ok_and(|link| link.visible) {
        worker.send(Command::Save(entity, path));
    } else {
        let error = Some("there is no picture to save yet".into());
        commands.trigger(PictureSaved { entity, path, error });
    }
}
