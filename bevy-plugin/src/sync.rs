//! Between the app's components and the worker: edits out, rectangles in. Nothing here computes pixels or waits.

use std::sync::Arc;
use std::time::Instant;

use bevy_asset::{AssetServer, Assets, Handle, LoadState};
use bevy_diagnostic::Diagnostics;
use bevy_ecs::change_detection::{DetectChanges, Ref};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::lifecycle::Remove;
use bevy_ecs::observer::On;
use bevy_ecs::query::With;
use bevy_ecs::system::{Commands, Local, Query, Res, ResMut};
use bevy_image::Image;
use bevy_log::warn;
use bevy_math::{BVec2, URect, UVec2};

use crate::SemSynthSettings;
use crate::cost::FrameCost;
use crate::diagnostics;
use crate::events::{PartPainted, PictureSaved, Quality, SavePicture, SynthFailed, SynthFinished};
use crate::labels::{Changes, LabelMap};
use crate::look::SynthLook;
use crate::model::{SynthClasses, SynthModel};
use crate::stream::SynthChunk;
use crate::surface::SynthSurface;
use crate::terrain::{SemanticTerrain, SynthOutput, SynthSettings, SynthState, SynthStatus};
use crate::upload::{COLOR, LINEAR, Sampling, SynthSink, texture};
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
    surface: Option<SynthSurface>,
    /// The settings that were sent.
    settings: SynthSettings,
    /// Why an asset is missing, as it was told.
    fault: Option<String>,
    pub(crate) failed: bool,
    /// What failed had been changed meanwhile: it is tried again.
    outdated: bool,
    pub(crate) shown: Shown,
    /// The roughness of the material before it got maps.
    #[cfg(feature = "render")]
    pub(crate) roughness: Option<f32>,
}

/// What the textures hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shown {
    #[default]
    Nothing,
    Colors,
    ColorsAndMaps,
}

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

type Terrain<'a> = (
    Entity,
    Ref<'a, SemanticTerrain>,
    Ref<'a, SynthSettings>,
    Option<&'a SynthLook>,
    Option<&'a SynthSurface>,
    &'a mut SynthOutput,
    &'a mut SynthStatus,
    &'a mut Link,
);

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
    plugin: Res<SemSynthSettings>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    #[cfg(feature = "render")]
    let most = crate::render::most_pixels(device.as_deref()).unwrap_or(16384);
    #[cfg(not(feature = "render"))]
    let most = 16384;
    for (entity, terrain, settings, look, surface, mut output, mut status, mut link) in &mut terrains {
        let assets = (labels.get(&terrain.labels), models.get(&terrain.model));
        let waits_for_look = look.is_some_and(|look| !look.is_applied());
        let misses_some = assets.0.is_none() || assets.1.is_none() || waits_for_look;
        let fault = server
            .as_ref()
            .filter(|_| misses_some)
            .and_then(|server| load_fault(server, Some(&terrain.labels), &terrain.model, look));
        let is_news = fault != link.fault;
        link.fault.clone_from(&fault);
        match (fault, link.opened && assets.0.is_some() && assets.1.is_some()) {
            // It goes on in the look that it has.
            (Some(error), true) if is_news => {
                warn!("terrain {entity}: {error}");
                commands.trigger(SynthFailed { entity, error });
            }
            (Some(error), false) => fail(&mut commands, entity, &mut status, &mut link, error),
            _ => {}
        }
        let (Some(map), Some(model)) = assets else { continue };
        if waits_for_look && !link.opened {
            continue;
        }
        let is_same = link.opened
            && link.labels.0 == map.serial()
            && link.model == model.0.serial
            && link.wrap == settings.wrap
            && link.surface.as_ref() == surface;
        let is_corrected =
            link.labels.1 != map.head() || settings.is_changed() && link.settings != unordered(&settings);
        let is_retry = link.failed && (link.outdated || is_corrected);
        if is_same && !is_retry {
            if !link.failed {
                send_changes(entity, map, &settings, &mut status, &mut link, &worker);
            }
            continue;
        }
        link.opened = true;
        link.labels = (map.serial(), map.head());
        link.model = model.0.serial;
        (link.failed, link.outdated) = (false, false);
        link.priority = settings.priority;
        link.settings = unordered(&settings);
        link.surface = surface.cloned();
        let size = map.size();
        if size.max_element() > most {
            let error = format!("labels of {size} pixels: textures have at most {most} per side here");
            fail(&mut commands, entity, &mut status, &mut link, error);
            continue;
        }
        let labels = match map.to_core() {
            Ok(labels) => labels,
            Err(error) => {
                fail(&mut commands, entity, &mut status, &mut link, error.to_string());
                continue;
            }
        };
        let maps = surface.is_some();
        let is_new = output.base_color.is_none()
            || output.size != size
            || link.wrap != settings.wrap
            || output.normal.is_some() != maps;
        if is_new {
            let sampling = Sampling { wrap: settings.wrap, anisotropy: plugin.anisotropy };
            replace_textures(&mut output, size, sampling, maps, &mut images, &sink);
            link.shown = Shown::Nothing;
            link.wrap = settings.wrap;
        }
        let generation = status.generation + 1;
        *status = SynthStatus { generation, state: SynthState::Queued, ..Default::default() };
        let open = Open {
            generation,
            model: model.0.clone(),
            settings: SynthSettings::clone(&settings),
            priority: settings.priority,
            colors: is_new,
            surface: surface.cloned(),
            what: What::Terrain(labels),
        };
        worker.send(Command::Open(entity, Box::new(open)));
    }
}

/// Why labels, model or look will never be there.
pub(crate) fn load_fault(
    server: &AssetServer,
    labels: Option<&Handle<LabelMap>>,
    model: &Handle<SynthModel>,
    look: Option<&SynthLook>,
) -> Option<String> {
    let fault = |state: LoadState, what: &str| match state {
        LoadState::Failed(error) => Some(format!("{what}: {error}")),
        _ => None,
    };
    let labels = labels.and_then(|labels| fault(server.load_state(labels), "the labels cannot be loaded"));
    labels
        .or_else(|| fault(server.load_state(model), "the model cannot be loaded"))
        .or_else(|| look.and_then(|look| fault(server.load_state(look.handle()), "the look cannot be loaded")))
}

/// Gives an output other textures, with normals and roughness or without.
pub(crate) fn replace_textures(
    output: &mut SynthOutput,
    size: UVec2,
    sampling: Sampling,
    maps: bool,
    images: &mut Assets<Image>,
    sink: &SynthSink,
) {
    output.images().for_each(|old| sink.0.forget(old));
    output.base_color = Some(images.add(texture(size, sampling, COLOR)));
    output.normal = maps.then(|| images.add(texture(size, sampling, LINEAR)));
    output.roughness = maps.then(|| images.add(texture(size, sampling, LINEAR)));
    output.size = size;
}

fn send_changes(
    entity: Entity,
    map: &LabelMap,
    settings: &Ref<'_, SynthSettings>,
    status: &mut bevy_ecs::change_detection::Mut<'_, SynthStatus>,
    link: &mut Link,
    worker: &Worker,
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
        let wanted = unordered(settings);
        // Repainting for nothing would never end for a terrain whose priority changes in every frame.
        if wanted != link.settings {
            status.sent += 1;
            let settings = Box::new(SynthSettings::clone(settings));
            worker.send(Command::Settings { entity, revision: status.sent, settings });
            link.settings = wanted;
            set_state(status, SynthState::Queued);
        }
    }
}

/// The settings without what changes no pixel.
pub(crate) fn unordered(settings: &SynthSettings) -> SynthSettings {
    SynthSettings { priority: 0.0, ..settings.clone() }
}

/// Hands painted rectangles to the sink and tells what happened.
#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
pub(crate) fn receive(
    mut commands: Commands,
    mut worker: ResMut<Worker>,
    sink: Res<SynthSink>,
    mut pictures: Query<(Entity, &SynthOutput, &mut SynthStatus, &mut Link)>,
    mut diagnostics: Diagnostics,
    chunks: Query<&SynthChunk>,
    known: Query<&SynthClasses>,
    cost: Res<FrameCost>,
    mut stale: Local<f64>,
) {
    // Of all systems and commands since the last frame's.
    let [elapsed, cpu] = cost.take();
    diagnostics.add_measurement(&diagnostics::MAIN_MS, || 1e3 * elapsed.as_secs_f64());
    diagnostics.add_measurement(&diagnostics::MAIN_CPU_MS, || 1e3 * cpu.as_secs_f64());
    let _counting = cost.count();
    for report in worker.reports() {
        // The entity may be gone, or its labels be others by now.
        let Ok((entity, output, mut status, mut link)) = pictures.get_mut(report.entity) else { continue };
        if report.generation != status.generation {
            *stale += 1.0;
            diagnostics.add_measurement(&diagnostics::STALE, || *stale);
            continue;
        }
        match report.news {
            News::Model(classes, presets) => {
                // A world has those of its chunks, of which each tells.
                let is_new = |world: &Entity| known.get(*world).map_or(true, |known| !Arc::ptr_eq(&known.0, &classes));
                let world = chunks.get(entity).ok().map(|chunk| chunk.world).filter(is_new);
                for entity in std::iter::once(entity).chain(world) {
                    commands.entity(entity).try_insert((SynthClasses(Arc::clone(&classes)), presets.clone()));
                }
            }
            News::Saved(path, error) => commands.trigger(PictureSaved { entity, path, error }),
            News::Failed { error, revision } => {
                link.outdated = status.sent > revision;
                fail(&mut commands, entity, &mut status, &mut link, error);
            }
            News::Painted(painted) => {
                diagnostics.add_measurement(&diagnostics::PAINT_MS, || 1e3 * painted.time.as_secs_f64());
                take(&mut commands, entity, output, &mut status, &mut link, painted, &sink);
            }
        }
    }
    let news = sink.0.take_news();
    for (entity, output, mut status, link) in &mut pictures {
        if output.images().any(|image| news.lost.contains(&image)) {
            worker.send(Command::Resend(entity));
        }
        let image = output.base_color.as_ref().map(Handle::id);
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
        link.shown = link.shown.max(Shown::Colors);
    }
    for (image, parts) in [(&output.normal, painted.maps.normal), (&output.roughness, painted.maps.roughness)] {
        if let (Some(image), false) = (image, parts.is_empty()) {
            sink.0.push(image.id(), parts, None);
            link.shown = Shown::ColorsAndMaps;
        }
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
        output.images().for_each(|image| sink.0.forget(image));
    }
}

/// Asks the worker for a file.
pub(crate) fn save(wanted: On<'_, '_, SavePicture>, worker: Res<Worker>, mut commands: Commands, known: Query<&Link>) {
    let (entity, path) = (wanted.entity, wanted.path.clone());
    if known.get(entity).is_ok_and(|link| link.shown > Shown::Nothing) {
        worker.send(Command::Save(entity, path));
    } else {
        let error = Some("there is no picture to save yet".into());
        commands.trigger(PictureSaved { entity, path, error });
    }
}
