//! Endless worlds: chunks around a viewer, each painted as part of the whole world.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bevy_asset::{AssetServer, Assets, Handle};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::hierarchy::ChildOf;
use bevy_ecs::lifecycle::Remove;
use bevy_ecs::observer::On;
use bevy_ecs::query::{With, Without};
use bevy_ecs::system::{Commands, Query, Res, ResMut};
use bevy_image::Image;
use bevy_math::{BVec2, I64Vec2, IVec2, UVec2, Vec2};
use bevy_transform::components::{GlobalTransform, Transform};
use semsynth::Rect;

use crate::SemSynthSettings;
use crate::cost::FrameCost;
use crate::look::SynthLook;
use crate::model::SynthModel;
use crate::surface::SynthSurface;
use crate::sync::{Link, load_fault, replace_textures, set_state, unordered};
use crate::terrain::{SynthOutput, SynthSettings, SynthState, SynthStatus};
use crate::upload::{Sampling, SynthSink};
use crate::worker::{Command, Open, What, Worker};

/// The class of every pixel of a world without end. A function of column and row is one:
/// `|x: i64, y: i64| -> u16 { .. }`.
pub trait WorldLabels: Send + Sync + 'static {
    /// Writes the ids of an area, row by row. The same pixel must always have the same id.
    fn read(&self, area: Rect, ids: &mut [u16]);
}

impl<F: Fn(i64, i64) -> u16 + Send + Sync + 'static> WorldLabels for F {
    fn read(&self, area: Rect, ids: &mut [u16]) {
        for (y, row) in (area.y..).zip(ids.chunks_exact_mut(area.width.max(1) as usize)) {
            for (x, id) in (area.x..).zip(row) {
                *id = self(x, y);
            }
        }
    }
}

/// A world that is painted chunk by chunk around every [`SynthViewer`].
///
/// Chunks become child entities, with the feature `render` with a flat mesh and a `StandardMaterial`, from this entity's
/// place: world pixel (x, y) is at `x * meters_per_pixel` on the X axis and `y * meters_per_pixel` on the Z axis, less
/// [`SynthSettings::origin`]. Neighbours meet without a seam, in every order of painting, if the model can paint
/// [parts of a world](semsynth::network::Capabilities::world); others fail.
///
/// The [`SynthStatus`] of the world is that of the chunks near a viewer, all together: `Running` says which share of them is
/// painted. Without a viewer it is `Queued`. If settings, labels or the model change, chunks show what they did until they
/// are painted anew; those that are kept far away are dropped.
#[derive(Component, Clone)]
#[require(SynthSettings, SynthStatus, Transform, Chunks)]
#[cfg_attr(feature = "render", require(bevy_camera::visibility::Visibility))]
pub struct SemanticWorld {
    /// The labels.
    pub labels: Arc<dyn WorldLabels>,
    /// The network that paints.
    pub model: Handle<SynthModel>,
    /// Side of a chunk in pixels, 1 to 4096. Powers of two have mips that fit those of the neighbours.
    pub chunk: u32,
    /// How far from a viewer chunks are painted, in chunks.
    pub radius: f32,
    /// Chunks that are kept, hidden, when they are further away; the least recently seen go first.
    pub keep: usize,
    /// Size of a pixel.
    pub meters_per_pixel: f32,
}

impl SemanticWorld {
    /// A world of chunks of 256x256 pixels, 4 chunks far, with 1/16 m per pixel.
    pub fn new(labels: impl WorldLabels, model: Handle<SynthModel>) -> Self {
        Self { labels: Arc::new(labels), model, chunk: 256, radius: 4.0, keep: 64, meters_per_pixel: 1.0 / 16.0 }
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=4096).contains(&self.chunk) {
            return Err(format!("chunks of {} pixels: it must be 1 to 4096", self.chunk));
        }
        if !(self.meters_per_pixel.is_finite() && self.meters_per_pixel > 0.0) {
            return Err(format!("{} meters per pixel: it must be more than 0", self.meters_per_pixel));
        }
        if !(0.0..=64.0).contains(&self.radius) {
            return Err(format!("a radius of {} chunks: it must be 0 to 64", self.radius));
        }
        Ok(())
    }

    /// Side of a chunk in meters.
    pub(crate) fn side(&self) -> f32 {
        self.chunk as f32 * self.meters_per_pixel
    }
}

impl fmt::Debug for SemanticWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemanticWorld")
            .field("model", &self.model)
            .field("chunk", &self.chunk)
            .field("radius", &self.radius)
            .field("keep", &self.keep)
            .field("meters_per_pixel", &self.meters_per_pixel)
            .finish_non_exhaustive()
    }
}

/// Chunks near this entity are painted, the nearest first.
#[derive(Component, Clone, Copy, Debug, Default)]
#[require(Transform)]
pub struct SynthViewer;

/// A chunk of a [`SemanticWorld`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[require(SynthOutput, SynthStatus, Link)]
pub struct SynthChunk {
    /// The world.
    pub world: Entity,
    /// Column and row of the chunk; it begins at pixel `origin + coord * chunk` of the world.
    pub coord: IVec2,
    /// Whether a viewer is near. Others are kept for when it comes back, hidden.
    pub is_near: bool,
}

/// The chunks of a world.
#[derive(Component, Debug, Default)]
pub(crate) struct Chunks {
    known: HashMap<IVec2, Known>,
    /// What the chunks are painted from.
    made_for: Option<MadeFor>,
    /// Counts the times that chunks were looked at.
    clock: u64,
    /// Why assets are missing, as it was told.
    fault: Option<String>,
    /// A chunk failed, and that was told.
    broken: bool,
}

/// What makes the pixels of chunks.
#[derive(Clone, Debug, PartialEq)]
struct MadeFor {
    model: u64,
    /// The address of the labels.
    labels: usize,
    /// Without the priority.
    settings: SynthSettings,
    surface: Option<SynthSurface>,
    chunk: u32,
    meters_per_pixel: f32,
}

impl MadeFor {
    /// Whether chunks have the same meshes and textures, of which only the content differs.
    fn has_shape_of(&self, other: &Self) -> bool {
        self.chunk == other.chunk
            && self.meters_per_pixel.to_bits() == other.meters_per_pixel.to_bits()
            && self.surface.is_some() == other.surface.is_some()
    }
}

#[derive(Debug)]
struct Known {
    entity: Entity,
    /// When it was spawned, and last near.
    born: u64,
    seen: u64,
    priority: f32,
    /// To be painted anew.
    outdated: bool,
}

/// Coordinates of the chunks around a place, in chunks, with their distance.
fn around(place: Vec2, radius: f32) -> impl Iterator<Item = (IVec2, f32)> {
    let reach = radius.ceil() as i32 + 1;
    let center = place.floor().as_ivec2();
    let range = -reach..=reach;
    range.clone().flat_map(move |y| range.clone().map(move |x| center + IVec2::new(x, y))).filter_map(move |coord| {
        let distance = (coord.as_vec2() + 0.5).distance(place);
        // At least the chunk that the viewer is in.
        (distance <= radius || coord == center).then_some((coord, distance))
    })
}

type World<'a> = (
    Entity,
    &'a SemanticWorld,
    &'a SynthSettings,
    Option<&'a SynthLook>,
    Option<&'a SynthSurface>,
    &'a GlobalTransform,
    &'a mut Chunks,
    &'a mut SynthStatus,
);

type Chunk<'a> = (&'a mut SynthStatus, &'a mut SynthChunk, &'a mut Link);

/// Begins chunks that came near, and lets go of those that are far.
#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
pub(crate) fn stream(
    mut commands: Commands,
    mut worlds: Query<World<'_>, Without<SynthChunk>>,
    viewers: Query<&GlobalTransform, With<SynthViewer>>,
    mut states: Query<Chunk<'_>>,
    models: Res<Assets<SynthModel>>,
    mut images: ResMut<Assets<Image>>,
    sink: Res<SynthSink>,
    worker: Res<Worker>,
    plugin: Res<SemSynthSettings>,
    server: Option<Res<AssetServer>>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    let sampling = Sampling { wrap: BVec2::FALSE, anisotropy: plugin.anisotropy };
    for (entity, world, settings, look, surface, place, mut chunks, mut status) in &mut worlds {
        let model = models.get(&world.model);
        let waits_for_look = look.is_some_and(|look| !look.is_applied());
        let missing = server
            .as_ref()
            .filter(|_| model.is_none() || waits_for_look)
            .and_then(|server| load_fault(server, None, &world.model, look));
        let fault = world.check().err().or(missing);
        if fault != chunks.fault
            && let Some(error) = fault.clone()
        {
            bevy_log::warn!("world {entity}: {error}");
            commands.trigger(crate::events::SynthFailed { entity, error });
        }
        chunks.fault.clone_from(&fault);
        // With a look that it has, a world goes on while another one is missing.
        let (Some(model), Ok(()), false) = (model, world.check(), waits_for_look && chunks.made_for.is_none()) else {
            set_state(&mut status, fault.map_or(SynthState::Loading, |error| SynthState::Failed { error }));
            continue;
        };
        let made_for = MadeFor {
            model: model.0.serial,
            labels: Arc::as_ptr(&world.labels).cast::<()>() as usize,
            settings: unordered(settings),
            surface: surface.cloned(),
            chunk: world.chunk,
            meters_per_pixel: world.meters_per_pixel,
        };
        if chunks.made_for.as_ref() != Some(&made_for) {
            if chunks.made_for.as_ref().is_some_and(|old| old.has_shape_of(&made_for)) {
                chunks.known.values_mut().for_each(|known| known.outdated = true);
            } else {
                for (_, known) in chunks.known.drain() {
                    commands.entity(known.entity).try_despawn();
                }
            }
            chunks.made_for = Some(made_for);
            chunks.broken = false;
            status.generation += 1;
        }
        let open = |coord: IVec2, generation: u64, priority: f32| {
            let area = area(coord, world.chunk, settings.origin);
            Box::new(Open {
                generation,
                model: Arc::clone(&model.0),
                settings: settings.clone(),
                priority,
                colors: false,
                surface: surface.cloned(),
                what: What::Chunk { labels: Arc::clone(&world.labels), area },
            })
        };
        let inverse = place.affine().inverse();
        let places: Vec<Vec2> = viewers
            .iter()
            .map(|viewer| inverse.transform_point3(viewer.translation()))
            .map(|local| Vec2::new(local.x, local.z) / world.side())
            .filter(|place| place.is_finite() && place.abs().max_element() < 1e9)
            .collect();
        let mut wanted: HashMap<IVec2, f32> = HashMap::new();
        for (coord, distance) in places.iter().flat_map(|place| around(*place, world.radius)) {
            wanted.entry(coord).and_modify(|known| *known = known.min(distance)).or_insert(distance);
        }
        chunks.clock += 1;
        let clock = chunks.clock;
        // The worker begins with the first that it hears of.
        let mut wanted: Vec<(IVec2, f32)> = wanted.into_iter().collect();
        wanted.sort_by(|(a, x), (b, y)| x.total_cmp(y).then((a.x, a.y).cmp(&(b.x, b.y))));
        for &(coord, distance) in &wanted {
            let priority = settings.priority - distance;
            if let Some(known) = chunks.known.get_mut(&coord) {
                known.seen = clock;
                // Spawned in the frame before, it is there now.
                if let (true, Ok((mut state, _, mut link))) = (known.outdated, states.get_mut(known.entity)) {
                    (known.outdated, known.priority, link.failed) = (false, priority, false);
                    let generation = state.generation + 1;
                    *state = SynthStatus { generation, state: SynthState::Queued, ..Default::default() };
                    worker.send(Command::Open(known.entity, open(coord, generation, priority)));
                } else if (known.priority - priority).abs() > 0.5 {
                    // Telling every small step would only keep the worker's inbox busy.
                    known.priority = priority;
                    worker.send(Command::Priority(known.entity, priority));
                }
                continue;
            }
            let chunk = spawn(&mut commands, entity, world, coord, (sampling, surface.is_some()), &mut images, &sink);
            worker.send(Command::Open(chunk, open(coord, 1, priority)));
            let known = Known { entity: chunk, born: clock, seen: clock, priority, outdated: false };
            chunks.known.insert(coord, known);
        }
        // Without a viewer nothing is wanted, and nothing dropped.
        if !places.is_empty() {
            retire(&mut commands, world, &mut chunks, &mut states);
        }
        let state = summary(&chunks, &states, &wanted);
        chunks.broken &= matches!(state, SynthState::Failed { .. });
        set_state(&mut status, state);
    }
}

/// The state of a world, from that of the chunks that are wanted.
fn summary(chunks: &Chunks, states: &Query<Chunk<'_>>, wanted: &[(IVec2, f32)]) -> SynthState {
    let mut done = 0;
    for known in wanted.iter().filter_map(|(coord, _)| chunks.known.get(coord)) {
        match states.get(known.entity).map(|(status, ..)| &status.state) {
            Ok(SynthState::Failed { error }) => return SynthState::Failed { error: error.clone() },
            Ok(SynthState::Ready) => done += 1,
            _ => {}
        }
    }
    match (done, wanted.len()) {
        (0, _) => SynthState::Queued,
        (done, all) if done == all => SynthState::Ready,
        (done, all) => SynthState::Running { progress: done as f32 / all as f32 },
    }
}

/// The pixels of a chunk in a world that begins at `origin`.
fn area(coord: IVec2, chunk: u32, origin: I64Vec2) -> Rect {
    let start = |at: i32, origin: i64| (i64::from(at) * i64::from(chunk)).saturating_add(origin);
    Rect { x: start(coord.x, origin.x), y: start(coord.y, origin.y), width: chunk, height: chunk }
}

fn spawn(
    commands: &mut Commands<'_, '_>,
    entity: Entity,
    world: &SemanticWorld,
    coord: IVec2,
    (sampling, maps): (Sampling, bool),
    images: &mut Assets<Image>,
    sink: &SynthSink,
) -> Entity {
    let mut output = SynthOutput::default();
    replace_textures(&mut output, UVec2::splat(world.chunk), sampling, maps, images, sink);
    let middle = (coord.as_vec2() + 0.5) * world.side();
    let chunk = commands.spawn((
        SynthChunk { world: entity, coord, is_near: true },
        output,
        SynthStatus { generation: 1, state: SynthState::Queued, ..Default::default() },
        Transform::from_xyz(middle.x, 0.0, middle.y),
        ChildOf(entity),
    ));
    chunk.id()
}

/// Notes what is far, and drops of it what is not painted or too much.
fn retire(commands: &mut Commands<'_, '_>, world: &SemanticWorld, chunks: &mut Chunks, states: &mut Query<Chunk<'_>>) {
    let clock = chunks.clock;
    let mut far: Vec<(u64, IVec2)> = Vec::new();
    chunks.known.retain(|coord, known| {
        // Spawned in this frame, it is not there yet; later, somebody else has despawned it.
        let Ok((status, mut chunk, _)) = states.get_mut(known.entity) else { return known.born == clock };
        let is_near = known.seen == clock;
        let is_done = status.state == SynthState::Ready && !known.outdated;
        if chunk.is_near != is_near {
            chunk.is_near = is_near;
        }
        if !is_near && is_done {
            far.push((known.seen, *coord));
        } else if !is_near {
            commands.entity(known.entity).try_despawn();
            return false;
        }
        true
    });
    if far.len() > world.keep {
        far.sort_by_key(|(seen, coord)| (*seen, coord.x, coord.y));
        for (_, coord) in far.iter().take(far.len() - world.keep) {
            if let Some(known) = chunks.known.remove(coord) {
                commands.entity(known.entity).try_despawn();
            }
        }
    }
}

/// The worker forgets a chunk that is gone.
pub(crate) fn close(
    gone: On<'_, '_, Remove, SynthChunk>,
    worker: Option<Res<Worker>>,
    sink: Option<Res<SynthSink>>,
    outputs: Query<&SynthOutput>,
) {
    let (Some(worker), Some(sink)) = (worker, sink) else { return };
    worker.send(Command::Close(gone.entity));
    if let Ok(output) = outputs.get(gone.entity) {
        output.images().for_each(|image| sink.0.forget(image));
    }
}

/// Chunks of a world that is no more go with it.
pub(crate) fn end(gone: On<'_, '_, Remove, SemanticWorld>, mut commands: Commands, mut worlds: Query<&mut Chunks>) {
    let Ok(mut chunks) = worlds.get_mut(gone.entity) else { return };
    for (_, known) in chunks.known.drain() {
        commands.entity(known.entity).try_despawn();
    }
    chunks.made_for = None;
}

/// Reports a failed chunk to its world too.
pub(crate) fn report_failures(
    failed: On<'_, '_, crate::events::SynthFailed>,
    chunks: Query<&SynthChunk>,
    mut worlds: Query<&mut Chunks>,
    mut commands: Commands,
) {
    let Ok(chunk) = chunks.get(failed.entity) else { return };
    let Ok(mut world) = worlds.get_mut(chunk.world) else { return };
    // Once, not for every chunk.
    if !std::mem::replace(&mut world.broken, true) {
        commands.trigger(crate::events::SynthFailed { entity: chunk.world, error: failed.error.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_around_a_viewer_are_those_within_the_radius() {
        for (place, radius) in [(Vec2::new(0.5, 0.5), 2.0), (Vec2::new(-3.2, 7.9), 3.5), (Vec2::new(10.0, -10.0), 0.0)]
        {
            let found: HashMap<IVec2, f32> = around(place, radius).collect();
            assert!(found.contains_key(&place.floor().as_ivec2()));
            for x in -20..20 {
                for y in -20..20 {
                    let distance = (Vec2::new(x as f32, y as f32) + 0.5).distance(place);
                    let near = distance <= radius || IVec2::new(x, y) == place.floor().as_ivec2();
                    assert_eq!(found.contains_key(&IVec2::new(x, y)), near, "{x}, {y}");
                }
            }
        }
    }

    #[test]
    fn functions_are_worlds() {
        let world = |x: i64, y: i64| (x * 10 + y) as u16;
        let mut ids = [0; 6];
        world.read(Rect { x: 3, y: 4, width: 3, height: 2 }, &mut ids);
        assert_eq!(ids, [34, 44, 54, 35, 45, 55]);
    }
}
