//! Endless worlds: what they say of themselves, and what they show while something is wrong.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::{Duration, Instant};

use bevy::asset::AssetServer;
use bevy::math::I64Vec2;
use bevy::prelude::*;
use bevy_semsynth::semsynth::{Model, Rect as Area};
use bevy_semsynth::{
    SemanticWorld, SynthChunk, SynthClasses, SynthLook, SynthModel, SynthOutput, SynthPresets, SynthSettings,
    SynthState, SynthStatus, SynthViewer,
};
use common::{World3, headless, painted};

const SIDE: u32 = 32;

/// Grass and rock without an end.
fn hills(x: i64, y: i64) -> u16 {
    if (x.rem_euclid(23) - 11).pow(2) + (y.rem_euclid(19) - 9).pow(2) < 40 { 6 } else { 4 }
}

struct Ground {
    world: World3,
    entity: Entity,
    viewer: Entity,
}

impl Ground {
    fn new(mut world: World3, model: Handle<SynthModel>) -> Self {
        let settings = SemanticWorld { chunk: SIDE, radius: 1.2, ..SemanticWorld::new(hills, model) };
        let middle = Self::middle(settings.meters_per_pixel, 0.0);
        let entity = world.app.world_mut().spawn(settings).id();
        let viewer = world.app.world_mut().spawn((SynthViewer, middle)).id();
        Self { world, entity, viewer }
    }

    fn builtin() -> Self {
        let mut world = World3::new();
        let model = SynthModel::builtin("terrain").unwrap();
        let model = world.app.world_mut().resource_mut::<Assets<SynthModel>>().add(model);
        Self::new(world, model)
    }

    /// The middle of a chunk.
    fn middle(meters_per_pixel: f32, column: f32) -> GlobalTransform {
        let side = SIDE as f32 * meters_per_pixel;
        GlobalTransform::from_xyz((column + 0.5) * side, 2.0, 0.5 * side)
    }

    fn settings(&mut self) -> Mut<'_, SynthSettings> {
        self.world.app.world_mut().get_mut(self.entity).unwrap()
    }

    fn status(&self) -> SynthStatus {
        self.world.status(self.entity)
    }

    fn until_ready(&mut self) {
        self.world.until_ready(self.entity);
    }

    /// The chunks that are near, in order.
    fn chunks(&mut self) -> Vec<(IVec2, Entity)> {
        let mut query = self.world.app.world_mut().query::<(&SynthChunk, Entity)>();
        let near = query.iter(self.world.app.world()).filter(|(chunk, _)| chunk.is_near);
        let mut found: Vec<(IVec2, Entity)> = near.map(|(chunk, entity)| (chunk.coord, entity)).collect();
        found.sort_by_key(|(coord, _)| (coord.x, coord.y));
        found
    }

    fn texels(&self, chunk: Entity) -> Vec<u8> {
        let image = self.world.app.world().get::<SynthOutput>(chunk).unwrap().base_color.clone().unwrap();
        self.world.sink.level(&image, 0)
    }

    /// Asserts that the five chunks are there, shown, and parts of one picture of the world from `origin` on.
    fn assert_shows(&mut self, preset: Option<&str>, origin: I64Vec2) {
        let chunks = self.chunks();
        assert_eq!(chunks.len(), 5);
        let (wide, side) = (3 * SIDE as usize, i64::from(SIDE));
        let corner = chunks.iter().map(|(coord, _)| *coord).reduce(IVec2::min).unwrap();
        let start = corner.as_i64vec2() * side + origin;
        let whole =
            painted("terrain", hills, Area { x: start.x, y: start.y, width: 3 * SIDE, height: 3 * SIDE }, preset);
        for (coord, entity) in chunks {
            let at = (coord - corner).as_uvec2() * SIDE;
            for (y, row) in self.texels(entity).chunks_exact(wide).enumerate() {
                let start = (at.y as usize + y) * 3 * wide + 3 * at.x as usize;
                assert_eq!(row, &whole[start..start + wide], "chunk {coord}, row {y}");
            }
            #[cfg(feature = "render")]
            assert_eq!(self.world.app.world().get::<Visibility>(entity), Some(&Visibility::Inherited), "chunk {coord}");
        }
    }

    fn frames(&mut self, count: usize) {
        for _ in 0..count {
            self.world.app.update();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn failures(&self) -> usize {
        self.world.happened().failed.iter().filter(|(entity, _)| *entity == self.entity).count()
    }
}

#[test]
fn a_world_says_how_far_it_is_and_what_its_model_has() {
    let mut ground = Ground::builtin();
    assert_eq!(ground.status().state, SynthState::Loading);
    let mut seen = Vec::new();
    let start = Instant::now();
    while ground.status().state != SynthState::Ready {
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", ground.status());
        ground.world.app.update();
        seen.push(ground.status().state);
    }
    assert!(seen.contains(&SynthState::Queued));
    assert!(seen.iter().any(|state| matches!(state, SynthState::Running { progress } if *progress > 0.1)), "{seen:?}");
    ground.assert_shows(None, I64Vec2::ZERO);
    let world = ground.world.app.world();
    assert!(world.get::<SynthClasses>(ground.entity).unwrap().0.by_name("grass").is_some());
    assert!(world.get::<SynthPresets>(ground.entity).unwrap().get("alpine").is_some());
    // Others chunks are wanted.
    ground.world.app.world_mut().entity_mut(ground.viewer).insert(Ground::middle(1.0 / 16.0, 7.0));
    ground.world.app.update();
    assert_ne!(ground.status().state, SynthState::Ready);
    ground.until_ready();
}

#[test]
fn a_model_that_is_not_there_fails_the_world_and_one_that_comes_repairs_it() {
    let folder = tempfile::tempdir().unwrap();
    let world = headless(folder.path());
    let model: Handle<SynthModel> = world.app.world().resource::<AssetServer>().load("absent.safetensors");
    let mut ground = Ground::new(world, model);
    let error = ground.world.until_failed(ground.entity);
    assert!(error.contains("the model cannot be loaded") && error.contains("absent.safetensors"), "{error}");
    ground.frames(5);
    assert_eq!(ground.failures(), 1);
    // What is changed meanwhile counts.
    ground.settings().style = Some("alpine".into());
    ground.frames(3);
    std::fs::write(folder.path().join("absent.safetensors"), Model::builtin("terrain").unwrap().to_bytes().unwrap())
        .unwrap();
    ground.world.app.world().resource::<AssetServer>().reload("absent.safetensors");
    ground.until_ready();
    ground.assert_shows(Some("alpine"), I64Vec2::ZERO);
    // A mistake in the world itself.
    ground.world.app.world_mut().get_mut::<SemanticWorld>(ground.entity).unwrap().radius = -1.0;
    let error = ground.world.until_failed(ground.entity);
    assert!(error.contains("radius"), "{error}");
    ground.world.app.world_mut().get_mut::<SemanticWorld>(ground.entity).unwrap().radius = 1.2;
    ground.world.app.update();
    ground.until_ready();
}

#[test]
fn a_broken_model_leaves_the_ground_as_it_was_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let bytes = Model::builtin("terrain").unwrap().to_bytes().unwrap();
    std::fs::write(&file, &bytes).unwrap();
    let world = headless(folder.path());
    let server = world.app.world().resource::<AssetServer>().clone();
    let mut ground = Ground::new(world, server.load("model.safetensors"));
    ground.until_ready();
    let chunks = ground.chunks();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    server.reload("model.safetensors");
    let error = ground.world.until_failed(ground.entity);
    assert!(!error.is_empty());
    ground.world.until("the failure of each chunk", |world| {
        chunks.iter().all(|(_, chunk)| matches!(world.status(*chunk).state, SynthState::Failed { .. }))
    });
    ground.frames(3);
    assert_eq!(ground.chunks(), chunks);
    ground.assert_shows(None, I64Vec2::ZERO);
    assert_eq!(ground.failures(), 1);
    // A file that is gone: what was loaded goes on.
    std::fs::write(&file, &bytes).unwrap();
    server.reload("model.safetensors");
    ground.until_ready();
    std::fs::remove_file(&file).unwrap();
    server.reload("model.safetensors");
    ground.frames(20);
    ground.world.app.world_mut().entity_mut(ground.viewer).insert(Ground::middle(1.0 / 16.0, 7.0));
    ground.frames(2);
    ground.until_ready();
    assert!(ground.chunks().iter().any(|(coord, _)| coord.x == 7));
    ground.assert_shows(None, I64Vec2::ZERO);
    assert_eq!(ground.failures(), 1);
}

#[test]
fn a_world_goes_on_while_its_look_is_broken_and_misses_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hills.look.ron");
    std::fs::write(&file, r#"(preset: "alpine")"#).unwrap();
    let mut world = headless(folder.path());
    let server = world.app.world().resource::<AssetServer>().clone();
    let model = SynthModel::builtin("terrain").unwrap();
    let model = world.app.world_mut().resource_mut::<Assets<SynthModel>>().add(model);
    let mut ground = Ground::new(world, model);
    let look = SynthLook::new(server.load("hills.look.ron"));
    ground.world.app.world_mut().entity_mut(ground.entity).insert(look);
    ground.until_ready();
    ground.assert_shows(Some("alpine"), I64Vec2::ZERO);
    std::fs::write(&file, "(preset: 7)").unwrap();
    server.reload("hills.look.ron");
    ground.frames(20);
    ground.settings().style = Some("northern".into());
    ground.frames(1);
    ground.until_ready();
    ground.assert_shows(Some("northern"), I64Vec2::ZERO);
    // Another look, which is broken: told, and the world goes on in the one that it has.
    let look = SynthLook::new(server.load("absent.look.ron"));
    ground.world.app.world_mut().entity_mut(ground.entity).insert(look);
    ground.world.until("a failure", |world| !world.happened().failed.is_empty());
    ground.world.app.world_mut().entity_mut(ground.viewer).insert(Ground::middle(1.0 / 16.0, 7.0));
    ground.frames(2);
    ground.until_ready();
    ground.assert_shows(Some("northern"), I64Vec2::ZERO);
    assert_eq!(ground.failures(), 1);
}

#[test]
fn settings_repaint_chunks_in_place_and_another_priority_repaints_nothing() {
    let mut ground = Ground::builtin();
    ground.until_ready();
    let (chunks, parts) = (ground.chunks(), ground.world.happened().parts.len());
    for step in 0..10_u8 {
        ground.settings().priority = f32::from(step);
        ground.world.app.update();
        assert_eq!(ground.status().state, SynthState::Ready);
    }
    // A write that changes nothing.
    ground.settings().quiet = false;
    ground.frames(10);
    assert_eq!((ground.chunks(), ground.world.happened().parts.len()), (chunks.clone(), parts));
    ground.settings().style = Some("alpine".into());
    ground.world.app.update();
    assert_ne!(ground.status().state, SynthState::Ready);
    let start = Instant::now();
    while ground.status().state != SynthState::Ready {
        assert!(start.elapsed() < Duration::from_mins(1), "{:?}", ground.status());
        // Nothing vanishes meanwhile.
        #[cfg(feature = "render")]
        for (coord, chunk) in &chunks {
            let shown = ground.world.app.world().get::<Visibility>(*chunk);
            assert_eq!(shown, Some(&Visibility::Inherited), "chunk {coord}");
        }
        ground.frames(1);
    }
    assert_eq!(ground.chunks(), chunks);
    ground.assert_shows(Some("alpine"), I64Vec2::ZERO);
}

#[test]
fn a_world_with_an_origin_is_the_same_world_moved() {
    let mut ground = Ground::builtin();
    let origin = I64Vec2::new(1_000, -37);
    ground.settings().origin = origin;
    ground.until_ready();
    ground.assert_shows(None, origin);
    // It can move on.
    let origin = I64Vec2::new(-5, 1 << 39);
    ground.settings().origin = origin;
    ground.world.app.update();
    ground.until_ready();
    ground.assert_shows(None, origin);
}
