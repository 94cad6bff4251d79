//! What is on screen: rendered without a window, on whatever driver of Vulkan is installed; Mesa's software driver will do.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use bevy::camera::{RenderTarget, ScalingMode};
use bevy::core_pipeline::tonemapping::{DebandDither, Tonemapping};
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::render_asset::RenderAssets;
use bevy::render::render_resource::TextureFormat;
use bevy::render::texture::GpuImage;
use bevy::render::view::window::screenshot::{Screenshot, ScreenshotCaptured};
use bevy::render::{RenderApp, RenderPlugin};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_semsynth::semsynth::{Device, Model, Rect as Area, Request, Synthesizer};
use bevy_semsynth::{
    LabelMap, SemSynthPlugin, SemSynthSettings, SemanticTerrain, SemanticWorld, Shape, SynthChunk, SynthModel,
    SynthOutput, SynthState, SynthStatus, SynthSurface, SynthViewer, UPLOAD_BYTES,
};
use common::painted;

/// Whether there is a driver; says so if not.
fn has_driver() -> bool {
    let folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
    let is_set = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find_map(std::env::var_os);
    let found = match is_set {
        Some(files) => std::env::split_paths(&files).any(|file| file.exists()),
        None => folders.iter().any(|folder| Path::new(folder).read_dir().is_ok_and(|mut files| files.next().is_some())),
    };
    if !found {
        println!("skipped: no driver of Vulkan is installed (Debian: mesa-vulkan-drivers)");
    }
    found
}

/// The last picture taken.
#[derive(Resource, Default)]
struct Taken(Option<Image>);

struct Stage {
    app: App,
    target: Handle<Image>,
    side: u32,
}

impl Stage {
    /// A square picture of `side` pixels, seen from above, of so many meters.
    fn new(side: u32, meters: f32, settings: SemSynthSettings) -> Self {
        let mut app = App::new();
        app.add_plugins(
            DefaultPlugins
                .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
                .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
                .disable::<WinitPlugin>()
                .disable::<LogPlugin>()
                // Each update draws.
                .disable::<PipelinedRenderingPlugin>(),
        );
        app.insert_resource(settings).add_plugins(SemSynthPlugin).init_resource::<Taken>();
        while app.plugins_state() == bevy::app::PluginsState::Adding {
            bevy::tasks::tick_global_task_pools_on_main_thread();
        }
        app.finish();
        app.cleanup();
        let mut images = app.world_mut().resource_mut::<Assets<Image>>();
        let target = images.add(Image::new_target_texture(side, side, TextureFormat::Rgba8UnormSrgb, None));
        app.world_mut().spawn((
            Camera3d::default(),
            RenderTarget::Image(target.clone().into()),
            Projection::Orthographic(OrthographicProjection {
                scaling_mode: ScalingMode::Fixed { width: meters, height: meters },
                ..OrthographicProjection::default_3d()
            }),
            Transform::from_xyz(0.0, 10.0, 0.0).looking_at(Vec3::ZERO, Vec3::NEG_Z),
            Msaa::Off,
            Tonemapping::None,
            DebandDither::Disabled,
        ));
        Self { app, target, side }
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut App) -> bool) {
        let start = Instant::now();
        while !holds(&mut self.app) {
            assert!(start.elapsed() < Duration::from_mins(2), "{what} does not come");
            self.app.update();
        }
    }

    /// Red, green and blue of what is on screen.
    fn picture(&mut self) -> Vec<u8> {
        // What is on its way to the GPU arrives.
        for _ in 0..8 {
            self.app.update();
        }
        self.app.world_mut().resource_mut::<Taken>().0 = None;
        let take = |shot: On<ScreenshotCaptured>, mut taken: ResMut<Taken>| taken.0 = Some(shot.image.clone());
        self.app.world_mut().spawn(Screenshot::image(self.target.clone())).observe(take);
        self.until("the screenshot", |app| app.world().resource::<Taken>().0.is_some());
        let image = self.app.world_mut().resource_mut::<Taken>().0.take().unwrap();
        assert_eq!(image.size(), UVec2::splat(self.side));
        image.data.unwrap().chunks_exact(4).flat_map(|pixel| pixel[..3].to_vec()).collect()
    }

    /// A flat, unlit ground of so many meters.
    fn terrain(&mut self, map: LabelMap, meters: f32) -> (Entity, Handle<LabelMap>) {
        let world = self.app.world_mut();
        let labels = world.resource_mut::<Assets<LabelMap>>().add(map);
        let model = world.resource_mut::<Assets<SynthModel>>().add(SynthModel::builtin("facades").unwrap());
        let mesh = world.resource_mut::<Assets<Mesh>>().add(Plane3d::default().mesh().size(meters, meters));
        let mut materials = world.resource_mut::<Assets<StandardMaterial>>();
        let material = materials.add(StandardMaterial { unlit: true, ..default() });
        let terrain = SemanticTerrain { labels: labels.clone(), model };
        (world.spawn((terrain, Mesh3d(mesh), MeshMaterial3d(material))).id(), labels)
    }

    fn until_ready(&mut self, entity: Entity) {
        self.until("the finished picture", |app| {
            app.world().get::<SynthStatus>(entity).unwrap().state == SynthState::Ready
        });
    }

    fn edit(&mut self, labels: &Handle<LabelMap>, shape: &Shape, class: u16) -> URect {
        let mut maps = self.app.world_mut().resource_mut::<Assets<LabelMap>>();
        let rect = maps.get_mut(labels).unwrap().paint(shape, class).unwrap().unwrap();
        self.app.update();
        rect
    }
}

/// Buildings without an end.
fn town(x: i64, y: i64) -> u16 {
    let (block, inner) = ((x.div_euclid(96), y.div_euclid(80)), (x.rem_euclid(96), y.rem_euclid(80)));
    let side = 12 + (block.0 * 7 + block.1 * 13).rem_euclid(20);
    let window = inner.0 % 32 < side && inner.1 % 40 < side + 4;
    if window {
        2
    } else if inner.1 > 72 {
        4
    } else {
        1
    }
}

fn labels(width: u32, height: u32) -> LabelMap {
    let ids = (0..height).flat_map(|y| (0..width).map(move |x| town(i64::from(x), i64::from(y))));
    LabelMap::new(width, height, ids.collect()).unwrap()
}

fn synthesizer() -> Synthesizer {
    Synthesizer::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap()
}

fn most_off(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// Without anisotropy, which blurs on Mesa's software driver even where one pixel is one texel.
fn quick() -> SemSynthSettings {
    SemSynthSettings { rest: Duration::from_millis(20), anisotropy: 1, ..Default::default() }
}

#[test]
fn an_edit_changes_the_screen_only_where_it_may() {
    if !has_driver() {
        return;
    }
    let mut stage = Stage::new(256, 8.0, quick());
    let (entity, map) = stage.terrain(labels(256, 256), 8.0);
    stage.until_ready(entity);
    let before = stage.picture();
    let expected = synthesizer().run(&labels(256, 256).to_core().unwrap(), &Request::new()).unwrap();
    // One pixel of the screen is one of the labels, the right way up.
    let off = most_off(&before, expected.as_bytes());
    assert!(off <= 1, "{off} levels");
    let center = Vec2::new(230.0, 30.0);
    let rect = stage.edit(&map, &Shape::Disc { center, radius: 12.0 }, 3);
    stage.until_ready(entity);
    let after = stage.picture();
    let (x, y) = (i64::from(rect.min.x), i64::from(rect.min.y));
    let edit = Area { x, y, width: rect.width(), height: rect.height() };
    let may = Model::builtin("facades").unwrap().affected(edit, Some([256, 256])).unwrap();
    let (mut inside, mut outside) = (0, 0);
    for (i, (a, b)) in before.chunks_exact(3).zip(after.chunks_exact(3)).enumerate() {
        let (x, y) = (i as i64 % 256, i as i64 / 256);
        let within =
            (may.x..may.x + i64::from(may.width)).contains(&x) && (may.y..may.y + i64::from(may.height)).contains(&y);
        *(if within { &mut inside } else { &mut outside }) += usize::from(a != b);
    }
    assert!(inside > 300 && outside == 0, "{inside} pixels changed inside, {outside} outside");
    let map = stage.app.world().resource::<Assets<LabelMap>>().get(&map).unwrap().to_core().unwrap();
    let fresh = synthesizer().run(&map, &Request::new()).unwrap();
    let off = most_off(&after, fresh.as_bytes());
    assert!(off <= 2, "{off} levels");
}

#[test]
fn a_far_view_shows_the_average_of_the_edited_ground() {
    if !has_driver() {
        return;
    }
    // 256 pixels of labels on 32 of the screen.
    let mut stage = Stage::new(32, 8.0, quick());
    let (entity, map) = stage.terrain(labels(256, 256), 8.0);
    stage.until_ready(entity);
    let before = stage.picture();
    stage.edit(&map, &Shape::Disc { center: Vec2::new(60.0, 60.0), radius: 40.0 }, 3);
    stage.until_ready(entity);
    let found = stage.picture();
    let map = stage.app.world().resource::<Assets<LabelMap>>().get(&map).unwrap().to_core().unwrap();
    let picture = synthesizer().run(&map, &Request::new()).unwrap().into_bytes();
    let linear = |byte: u8| {
        let value = f64::from(byte) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let srgb = |value: f64| {
        let value = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        (255.0 * value).round() as u8
    };
    let mut expected = Vec::new();
    for (y, x) in (0..32).flat_map(|y| (0..32).map(move |x| (y, x))) {
        for channel in 0..3 {
            let texels = (0..64).map(|k| linear(picture[3 * ((8 * y + k / 8) * 256 + 8 * x + k % 8) + channel]));
            expected.push(srgb(texels.sum::<f64>() / 64.0));
        }
    }
    let off = most_off(&found, &expected);
    assert!(off <= 3, "{off} levels");
    // A stale level would still show what was there before.
    assert!(most_off(&before, &expected) > 20);
}

#[test]
fn chunks_meet_without_a_seam() {
    if !has_driver() {
        return;
    }
    // Four chunks of 64 pixels, seen pixel by pixel.
    let mut stage = Stage::new(128, 4.0, quick());
    let world = stage.app.world_mut();
    let model = world.resource_mut::<Assets<SynthModel>>().add(SynthModel::builtin("facades").unwrap());
    let ground =
        SemanticWorld { chunk: 64, radius: 1.5, meters_per_pixel: 1.0 / 32.0, ..SemanticWorld::new(town, model) };
    world.spawn(ground);
    world.spawn((SynthViewer, Transform::default()));
    stage.until("the chunks", |app| {
        let mut chunks =
            app.world_mut().query_filtered::<(&SynthStatus, &MeshMaterial3d<StandardMaterial>), With<SynthChunk>>();
        let found: Vec<_> =
            chunks.iter(app.world()).map(|(status, material)| (status.state.clone(), material.0.id())).collect();
        // Without light, colours are those of the texture.
        for (_, material) in &found {
            let mut materials = app.world_mut().resource_mut::<Assets<StandardMaterial>>();
            if materials.get(*material).is_some_and(|material| !material.unlit) {
                materials.get_mut(*material).unwrap().unlit = true;
            }
        }
        found.len() >= 4 && found.iter().all(|(state, _)| *state == SynthState::Ready)
    });
    let found = stage.picture();
    let whole = Area { x: -64, y: -64, width: 128, height: 128 };
    let expected = painted("facades", town, whole, None);
    let off = most_off(&found, &expected);
    assert!(off <= 1, "{off} levels");
}

/// Irregular patches of some classes, without an end: each pixel has the class of the nearest of scattered points.
fn patches(x: i64, y: i64) -> u16 {
    let hash = |x: i64, y: i64| {
        let mixed = (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        (mixed ^ mixed >> 29).wrapping_mul(0x1656_67B1_9E37_79F9) >> 32
    };
    let (column, row) = (x.div_euclid(14), y.div_euclid(14));
    let points = (row - 1..=row + 1).flat_map(|row| (column - 1..=column + 1).map(move |column| (column, row)));
    let distance = |&(column, row): &(i64, i64)| {
        let jitter = hash(column, row);
        let (dx, dy) = (14 * column + (jitter % 14) as i64 - x, 14 * row + (jitter / 14 % 14) as i64 - y);
        dx * dx + dy * dy
    };
    let (column, row) = points.min_by_key(distance).unwrap();
    [4, 5, 6, 2][(hash(row, column) % 4) as usize]
}

/// The mean step between neighbouring pixels across the borders of chunks, by that between pixels inside: across vertical
/// borders, and across horizontal ones.
fn seams(picture: &[u8], side: usize, chunk: usize) -> [f64; 2] {
    let at = |x: usize, y: usize, c: usize| f64::from(picture[3 * (y * side + x) + c]);
    [false, true].map(|turned| {
        let at =
            |along: usize, across: usize, c: usize| if turned { at(across, along, c) } else { at(along, across, c) };
        let (mut border, mut inside) = ((0.0, 0.0), (0.0, 0.0));
        for (along, across, c) in (1..side).flat_map(|a| (0..side).flat_map(move |b| (0..3).map(move |c| (a, b, c)))) {
            let sum = if along % chunk == 0 { &mut border } else { &mut inside };
            *sum = (sum.0 + (at(along, across, c) - at(along - 1, across, c)).abs(), sum.1 + 1.0);
        }
        (border.0 / border.1) / (inside.0 / inside.1)
    })
}

/// Sides of a chunk and of the picture, in pixels.
const CHUNK: usize = 32;
const SIDE: usize = 256;

#[test]
fn steps_across_the_borders_of_chunks_are_no_larger_than_those_inside() {
    if !has_driver() {
        return;
    }
    let mut stage = Stage::new(SIDE as u32, 8.0, quick());
    let world = stage.app.world_mut();
    let model = world.resource_mut::<Assets<SynthModel>>().add(SynthModel::builtin("terrain").unwrap());
    let ground = SemanticWorld {
        chunk: CHUNK as u32,
        radius: 5.0,
        meters_per_pixel: 1.0 / 32.0,
        ..SemanticWorld::new(patches, model)
    };
    let ground = world.spawn((ground, SynthSurface::default())).id();
    world.spawn((SynthViewer, Transform::default()));
    world.spawn((
        DirectionalLight { illuminance: 3000.0, ..default() },
        Transform::from_xyz(5.0, 4.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    stage.until_ready(ground);
    let mut pictures = Vec::new();
    for lit in [false, true] {
        let mut chunks = stage.app.world_mut().query_filtered::<&MeshMaterial3d<StandardMaterial>, With<SynthChunk>>();
        let handles: Vec<_> = chunks.iter(stage.app.world()).map(|material| material.0.clone()).collect();
        assert!(handles.len() >= (SIDE / CHUNK).pow(2));
        let mut materials = stage.app.world_mut().resource_mut::<Assets<StandardMaterial>>();
        for handle in handles {
            let mut material = materials.get_mut(&handle).unwrap();
            assert!(material.normal_map_texture.is_some());
            material.unlit = !lit;
        }
        let picture = stage.picture();
        let found = seams(&picture, SIDE, CHUNK);
        println!("lit: {lit}, steps across borders by those inside: {found:?}");
        assert!(found.iter().all(|ratio| *ratio <= 1.05), "lit: {lit}: {found:?}");
        pictures.push(picture);
    }
    // Normals count: the second is not the first, darker.
    let contrast = |picture: &[u8]| picture.windows(4).map(|at| f64::from(at[0].abs_diff(at[3]))).sum::<f64>();
    let sum = |picture: &[u8]| picture.iter().map(|byte| f64::from(*byte)).sum::<f64>();
    let [flat, lit] = [0, 1].map(|i| contrast(&pictures[i]) / sum(&pictures[i]));
    assert!(lit > 1.02 * flat, "{lit} against {flat}");
    // A seam would be found: chunks that know nothing of their neighbours.
    let model = Model::builtin("terrain").unwrap();
    let style = model.preset(&model.presets()[0].name.clone()).unwrap();
    let mut synth = Synthesizer::new(model, &Device::cpu()).unwrap();
    let mut apart = vec![0; 3 * SIDE * SIDE];
    for (row, column) in (0..SIDE / CHUNK).flat_map(|row| (0..SIDE / CHUNK).map(move |column| (row, column))) {
        let ids = (0..CHUNK * CHUNK).map(|i| {
            patches(
                (column * CHUNK + i % CHUNK) as i64 - SIDE as i64 / 2,
                (row * CHUNK + i / CHUNK) as i64 - SIDE as i64 / 2,
            )
        });
        let map = semsynth::LabelMap::new(CHUNK, CHUNK, ids.collect()).unwrap();
        let chunk = synth.run(&map, &Request::new().style(&style)).unwrap().into_bytes();
        for (y, bytes) in chunk.chunks_exact(3 * CHUNK).enumerate() {
            apart[3 * ((row * CHUNK + y) * SIDE + column * CHUNK)..][..bytes.len()].copy_from_slice(bytes);
        }
    }
    let found = seams(&apart, SIDE, CHUNK);
    println!("chunks on their own: {found:?}");
    assert!(found.iter().all(|ratio| *ratio > 1.05), "{found:?}");
}

#[test]
fn a_texture_that_was_away_and_comes_back_blank_is_filled_again() {
    if !has_driver() {
        return;
    }
    let mut stage = Stage::new(128, 8.0, quick());
    let (entity, _) = stage.terrain(labels(128, 128), 8.0);
    stage.until_ready(entity);
    let before = stage.picture();
    let image = stage.app.world().get::<SynthOutput>(entity).unwrap().base_color.clone().unwrap();
    let material = stage.app.world().get::<MeshMaterial3d<StandardMaterial>>(entity).unwrap().0.clone();
    // As when Bevy makes its textures anew and has no room for all of them in one frame.
    let render = stage.app.sub_app_mut(RenderApp).world_mut();
    assert!(render.resource_mut::<RenderAssets<GpuImage>>().remove(&image).is_some());
    stage.app.update();
    let world = stage.app.world_mut();
    let mut images = world.resource_mut::<Assets<Image>>();
    images.get_mut(&image).unwrap().sampler = bevy::image::ImageSampler::nearest();
    let mut materials = world.resource_mut::<Assets<StandardMaterial>>();
    materials.get_mut(&material).unwrap().unlit = true;
    let after = stage.picture();
    assert!(most_off(&before, &after) <= 1, "{} levels", most_off(&before, &after));
}

#[test]
fn other_sizes_reach_the_screen_within_the_upload_budget() {
    if !has_driver() {
        return;
    }
    let budget = 64 << 10;
    let mut stage = Stage::new(128, 8.0, SemSynthSettings { upload_budget: budget, ..quick() });
    let (entity, map) = stage.terrain(labels(128, 128), 8.0);
    stage.until_ready(entity);
    let other = labels(256, 256);
    let picture = synthesizer().run(&other.to_core().unwrap(), &Request::new()).unwrap().into_bytes();
    stage.app.world_mut().resource_mut::<Assets<LabelMap>>().insert(&map, other).unwrap();
    stage.app.update();
    stage.until_ready(entity);
    let found = stage.picture();
    // Every second pixel of the labels, averaged.
    let mean = |bytes: &[u8]| bytes.iter().map(|byte| f64::from(*byte)).sum::<f64>() / bytes.len() as f64;
    assert!((mean(&found) - mean(&picture)).abs() < 3.0, "{} against {}", mean(&found), mean(&picture));
    let store = stage.app.world().resource::<bevy::diagnostic::DiagnosticsStore>();
    let written = store.get(&UPLOAD_BYTES).unwrap();
    assert!(written.history_len() > 5);
    assert!(written.values().all(|bytes| *bytes <= budget as f64), "{:?}", written.values().collect::<Vec<_>>());
}
