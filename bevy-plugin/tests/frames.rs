//! When the plugin's systems run, and that they hold up neither frames nor Bevy's task pools.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use bevy::app::{TaskPoolOptions, TaskPoolPlugin};
use bevy::prelude::*;
use bevy::tasks::{AsyncComputeTaskPool, IoTaskPool, Task, futures::check_ready};
use bevy_semsynth::{
    LabelMap, SemSynthSystems, SemanticWorld, Shape, SynthChunk, SynthState, SynthStatus, SynthViewer,
};
use common::{World3, headless_with, labels};

/// What systems saw in a frame, by name.
#[derive(Resource, Default)]
struct Seen(Vec<(&'static str, u64)>);

/// Which system shall paint next, and where the last one did.
#[derive(Resource, Default)]
struct Turn(&'static str, f32);

fn dab(map: &mut LabelMap, x: f32) {
    map.paint(&Shape::Disc { center: Vec2::new(x, 20.0), radius: 4.0 }, 7).unwrap();
}

/// Paints if it is this system's turn.
fn painter(name: &'static str) -> impl FnMut(ResMut<Turn>, ResMut<Assets<LabelMap>>) {
    move |mut turn, mut maps| {
        if turn.0 == name {
            *turn = Turn("", turn.1 + 9.0);
            let id = maps.ids().next().unwrap();
            dab(&mut maps.get_mut(id).unwrap(), turn.1);
        }
    }
}

#[test]
fn edits_made_before_collect_go_out_in_the_same_frame_and_others_in_the_next() {
    let mut world = World3::new();
    let (entity, _) = world.terrain(labels(96, 96));
    world.app.init_resource::<Turn>();
    world.app.add_systems(Update, painter("update"));
    world.app.add_systems(PostUpdate, painter("before").before(SemSynthSystems::Collect));
    world.app.add_systems(PostUpdate, painter("after").after(SemSynthSystems::Collect));
    world.until_ready(entity);
    for (name, frames) in [("update", 1), ("before", 1), ("after", 2), ("update", 1)] {
        let sent = world.status(entity).sent;
        world.app.world_mut().resource_mut::<Turn>().0 = name;
        for frame in 1..=frames {
            world.app.update();
            assert_eq!(world.status(entity).sent - sent, u64::from(frame == frames), "{name}, frame {frame}");
        }
    }
    world.until_ready(entity);
    assert_eq!(world.status(entity).settled, 4);
}

#[test]
fn results_are_there_after_receive() {
    let mut world = World3::new();
    let (entity, _) = world.terrain(labels(64, 64));
    world.app.init_resource::<Seen>();
    let look = |name: &'static str| {
        move |statuses: Query<&SynthStatus>, mut seen: ResMut<Seen>| {
            let ready = statuses.iter().any(|status| status.state == SynthState::Ready);
            seen.0.push((name, u64::from(ready)));
        }
    };
    world.app.add_systems(PreUpdate, look("before").before(SemSynthSystems::Receive));
    world.app.add_systems(PreUpdate, look("after").after(SemSynthSystems::Receive));
    world.until_ready(entity);
    // In the last frame, only the second of the two saw that it is ready.
    let seen = &world.app.world().resource::<Seen>().0;
    assert_eq!(seen[seen.len() - 2..], [("before", 0), ("after", 1)]);
}

#[cfg(feature = "render")]
#[test]
fn chunks_are_spawned_then_dressed_and_materials_get_their_texture_in_apply() {
    let mut world = World3::new();
    world.app.init_resource::<Seen>();
    let count = |name: &'static str| {
        move |chunks: Query<(), With<SynthChunk>>, dressed: Query<(), With<Mesh3d>>, mut seen: ResMut<Seen>| {
            seen.0.push((name, (10 * chunks.iter().count() + dressed.iter().count()) as u64));
        }
    };
    world.app.add_systems(
        PostUpdate,
        (
            count("before").before(SemSynthSystems::Schedule),
            count("scheduled").after(SemSynthSystems::Schedule).before(SemSynthSystems::Dress),
            count("dressed").after(SemSynthSystems::Dress).before(SemSynthSystems::Collect),
        ),
    );
    let model = world.model();
    let ground = SemanticWorld { chunk: 32, radius: 0.0, ..SemanticWorld::new(|_, _| 3, model) };
    world.app.world_mut().spawn(ground);
    world.app.world_mut().spawn((SynthViewer, GlobalTransform::from_xyz(0.5, 0.0, 0.5)));
    world.app.update();
    assert_eq!(world.app.world().resource::<Seen>().0, [("before", 0), ("scheduled", 10), ("dressed", 11)]);

    let mut world = World3::new();
    let (entity, _) = world.terrain(labels(64, 64));
    let material = world.app.world_mut().resource_mut::<Assets<StandardMaterial>>().add(StandardMaterial::default());
    world.app.world_mut().entity_mut(entity).insert(MeshMaterial3d(material));
    world.app.init_resource::<Seen>();
    let textures = |name: &'static str| {
        move |materials: Res<Assets<StandardMaterial>>, mut seen: ResMut<Seen>| {
            let count = materials.iter().filter(|(_, material)| material.base_color_texture.is_some()).count();
            seen.0.push((name, count as u64));
        }
    };
    world
        .app
        .add_systems(PostUpdate, textures("collected").after(SemSynthSystems::Collect).before(SemSynthSystems::Apply));
    world.app.add_systems(PostUpdate, textures("applied").after(SemSynthSystems::Apply));
    world.until("the texture", |world| world.app.world().resource::<Seen>().0.ends_with(&[("applied", 1)]));
    let seen = &world.app.world().resource::<Seen>().0;
    assert_eq!(seen[seen.len() - 2..], [("collected", 0), ("applied", 1)]);
}

/// Pools of one thread each: whatever blocked one would stop all others' tasks.
#[test]
fn tasks_of_others_go_on_while_a_large_terrain_is_painted() {
    let options = TaskPoolOptions { min_total_threads: 3, max_total_threads: 3, ..default() };
    let mut world = headless_with(Path::new("assets"), TaskPoolPlugin { task_pool_options: options });
    let (entity, _) = world.terrain(labels(1536, 1536));
    let (io, compute) = (IoTaskPool::get(), AsyncComputeTaskPool::get());
    assert_eq!([io.thread_num(), compute.thread_num()], [1, 1]);
    world.until("the colours", |world| !world.happened().parts.is_empty());
    let (start, mut waits, mut frames) = (Instant::now(), [Vec::new(), Vec::new()], Vec::new());
    let mut tasks: Vec<(usize, Instant, Task<Instant>)> = Vec::new();
    while world.status(entity).state != SynthState::Ready {
        for (index, pool) in [&**io, &**compute].into_iter().enumerate() {
            tasks.push((index, Instant::now(), pool.spawn(async { Instant::now() })));
        }
        let frame = Instant::now();
        world.app.update();
        frames.push(frame.elapsed());
        std::thread::sleep(Duration::from_millis(2));
        tasks.retain_mut(|(index, asked, task)| match check_ready(task) {
            Some(done) => {
                waits[*index].push(done - *asked);
                false
            }
            None => true,
        });
    }
    let painting = start.elapsed();
    assert!(painting > Duration::from_millis(500), "{painting:?} is no painting that could block anything");
    for waits in &mut waits {
        waits.sort();
        assert!(waits.len() > 20 && tasks.len() < 10, "{} tasks done, {} not", waits.len(), tasks.len());
        // Whatever else the machine does.
        let [half, most] = [waits[waits.len() / 2], waits[waits.len() - 1 - waits.len() / 50]];
        assert!(half < Duration::from_millis(20) && most < painting / 3, "{half:?}, {most:?} of {painting:?}");
    }
    frames.sort();
    let high = frames[frames.len() - 1 - frames.len() / 20];
    assert!(high < Duration::from_millis(50), "{high:?} in 5 % of {} frames", frames.len());
}
