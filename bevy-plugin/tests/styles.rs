//! Styles: needed, per class, and over time, with a small SEAN of random weights.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bevy::asset::AssetServer;
use bevy::math::I64Vec2;
use bevy::prelude::*;
use bevy_semsynth::semsynth::label::Class;
use bevy_semsynth::semsynth::model::{FORMAT, Manifest, Precision, Provenance};
use bevy_semsynth::semsynth::network::{Architecture, GeneratorConfig, StyleConfig};
use bevy_semsynth::semsynth::nn::modulation::ModulationKind;
use bevy_semsynth::semsynth::nn::{Init, Statistics};
use bevy_semsynth::semsynth::tensors::Tensors;
use bevy_semsynth::semsynth::{self, ClassTable, Device, Model, Request, Style, Synthesizer};
use bevy_semsynth::{
    ClassStyle, LabelMap, SemanticTerrain, Shape, StyleSweep, SynthLook, SynthModel, SynthOutput, SynthPresets,
    SynthSettings, SynthState, SynthSurface,
};
use common::{World3, headless};

fn sean() -> Model {
    let config = GeneratorConfig {
        style: StyleConfig::Regions { length: 6, encoder: None },
        ..GeneratorConfig::new(ModulationKind::Sean, 2, 4)
    };
    let architecture = Architecture::SpadeFamily(config);
    let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        architecture: architecture.clone(),
        classes: ClassTable::new((0..4).map(class).collect()).unwrap(),
        statistics: Statistics::Running,
        native_size: [64, 64],
        value_range: [-1.0, 1.0],
        provenance: Provenance::default(),
        licence: "CC0-1.0".into(),
        presets: Vec::new(),
    };
    let network = architecture.init(&mut Init::random(3, Device::cpu().burn())).unwrap().folded();
    // Larger weights, so that styles show.
    let mut tensors = Tensors::new();
    for (name, data) in semsynth::model::store(&network, Precision::Full).unwrap().iter() {
        let is_weight = ["conv_", "fc", "mlp"].iter().any(|part| name.contains(part)) && !name.contains("running");
        let scale = if is_weight { 20.0 } else { 1.0 };
        // Without training, noise has no strength.
        let base = if name.contains("noise") { 0.5 } else { 0.0 };
        let values = data.to_f32().iter().map(|value| base + value * scale).collect();
        tensors.insert_f32(name, data.shape().to_vec(), values).unwrap();
    }
    tensors.set_metadata("semsynth", manifest.to_ron_string().unwrap());
    Model::from_bytes(&tensors.to_safetensors().unwrap()).unwrap()
}

fn style(seed: f32) -> Style {
    Style::regions(
        6,
        (0..4).map(|class| Some((0..6).map(|i| 3.0 * (seed + (class * 6 + i) as f32).sin()).collect())).collect(),
    )
    .unwrap()
}

/// A map of four quarters.
fn quarters() -> LabelMap {
    LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (2 * (pixel / 64 / 32) + pixel % 64 / 32) as u16).collect()).unwrap()
}

fn terrain(world: &mut World3, settings: SynthSettings) -> Entity {
    let labels = world.add_labels(quarters());
    let model = world.app.world_mut().resource_mut::<Assets<SynthModel>>().add(SynthModel::from(sean()));
    world.app.world_mut().spawn((SemanticTerrain { labels, model }, settings)).id()
}

fn expected(style: &Style) -> Vec<u8> {
    let mut synth = Synthesizer::new(sean(), &Device::cpu()).unwrap();
    synth.run(&quarters().to_core().unwrap(), &Request::new().style(style)).unwrap().into_bytes()
}

#[test]
fn a_missing_style_is_told_and_one_given_later_repairs() {
    let mut world = World3::new();
    let entity = terrain(&mut world, SynthSettings::default());
    let error = world.until_failed(entity);
    assert!(error.contains("style"), "{error}");
    world.app.world_mut().get_mut::<SynthSettings>(entity).unwrap().style = Some(style(1.0).into());
    world.app.update();
    world.until_ready(entity);
    assert_eq!(world.off(entity, &expected(&style(1.0))), (0, 0));
    assert!(world.off(entity, &expected(&style(2.0))).1 > 1000, "styles show");
}

#[test]
fn an_origin_moves_the_noise() {
    let mut world = World3::new();
    let settings = SynthSettings { style: Some(style(1.0).into()), origin: I64Vec2::new(64, -32), ..default() };
    let entity = terrain(&mut world, settings);
    world.until_ready(entity);
    let expected = |origin: I64Vec2| {
        let mut synth = Synthesizer::new(sean(), &Device::cpu()).unwrap();
        let request = Request::new().style(&style(1.0)).origin(origin.x, origin.y);
        synth.run(&quarters().to_core().unwrap(), &request).unwrap().into_bytes()
    };
    assert_eq!(world.off(entity, &expected(I64Vec2::new(64, -32))), (0, 0));
    assert!(world.off(entity, &expected(I64Vec2::ZERO)).1 > 100, "noise shows");
    world.app.world_mut().get_mut::<SynthSettings>(entity).unwrap().origin = I64Vec2::new(1 << 40, 0);
    world.app.update();
    world.until_ready(entity);
    assert_eq!(world.off(entity, &expected(I64Vec2::new(1 << 40, 0))), (0, 0));
}

#[test]
fn classes_take_styles_of_their_own() {
    let mut world = World3::new();
    let (a, b) = (style(1.0), style(2.0));
    let part = |class: u16, from: u16, weight| ClassStyle {
        from: Some(from.into()),
        ..ClassStyle::new(class, b.clone(), weight)
    };
    let settings = SynthSettings {
        style: Some(a.clone().into()),
        class_styles: vec![part(1, 1, 0.5), part(3, 2, 1.0)],
        ..default()
    };
    let entity = terrain(&mut world, settings);
    world.until_ready(entity);
    let mixed = a.blend_class(1, &b, 0.5).unwrap().with_class(3, &b, 2).unwrap();
    assert_eq!(world.off(entity, &expected(&mixed)), (0, 0));
    // A weight out of range.
    world.app.world_mut().get_mut::<SynthSettings>(entity).unwrap().class_styles[0].weight = 1.5;
    let error = world.until_failed(entity);
    assert!(error.contains("1.5"), "{error}");
}

/// The built-in terrain, whose presets are known by name.
fn island(world: &mut World3, settings: SynthSettings) -> Entity {
    let labels = world.add_labels(quarters());
    let model = world.app.world_mut().resource_mut::<Assets<SynthModel>>().add(SynthModel::builtin("terrain").unwrap());
    world.app.world_mut().spawn((SemanticTerrain { labels, model }, settings)).id()
}

fn painted(style: &Style) -> Vec<u8> {
    let mut synth = Synthesizer::new(Model::builtin("terrain").unwrap(), &Device::cpu()).unwrap();
    synth.run(&quarters().to_core().unwrap(), &Request::new().style(style)).unwrap().into_bytes()
}

#[test]
fn presets_and_classes_are_known_by_name() {
    let mut world = World3::new();
    let desert = SynthSettings { style: Some("desert".into()), ..default() };
    let entity = island(&mut world, desert);
    world.until_ready(entity);
    let model = Model::builtin("terrain").unwrap();
    assert_eq!(world.off(entity, &painted(&model.preset("desert").unwrap())), (0, 0));
    let presets = world.app.world().get::<SynthPresets>(entity).unwrap().clone();
    assert_eq!(presets.0.len(), model.presets().len());
    assert_eq!(presets.get("desert"), Some(&model.preset("desert").unwrap()));
    // Without a style of the whole, classes differ from the model's first preset.
    let settings = SynthSettings { class_styles: vec![ClassStyle::new("sand", "volcanic", 0.5)], ..default() };
    *world.app.world_mut().get_mut(entity).unwrap() = settings;
    world.app.update();
    world.until_ready(entity);
    let first = &presets.0[0].style;
    let mixed = first.blend_class(2, presets.get("volcanic").unwrap(), 0.5).unwrap();
    assert_eq!(world.off(entity, &painted(&mixed)), (0, 0));
    for (settings, words) in [
        (SynthSettings { style: Some("desrt".into()), ..default() }, ["desrt", "desert"]),
        (SynthSettings { class_styles: vec![ClassStyle::new("lava", "desert", 1.0)], ..default() }, ["lava", "rock"]),
    ] {
        *world.app.world_mut().get_mut(entity).unwrap() = settings;
        world.app.update();
        let error = world.until_failed(entity);
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        // Other settings repair.
        *world.app.world_mut().get_mut(entity).unwrap() = SynthSettings::default();
        world.app.update();
        world.until_ready(entity);
    }
    assert_eq!(world.off(entity, &painted(first)), (0, 0));
}

#[test]
fn a_look_is_a_file_that_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = headless(folder.path());
    let file = folder.path().join("island.look.ron");
    std::fs::write(&file, r#"(preset: "northern", seed: 3)"#).unwrap();
    let entity = island(&mut world, SynthSettings { priority: 2.0, ..default() });
    let server = world.app.world().resource::<AssetServer>().clone();
    let look = server.load("island.look.ron");
    world.app.world_mut().entity_mut(entity).insert(SynthLook::new(look));
    world.until_ready(entity);
    let model = Model::builtin("terrain").unwrap();
    let expected = |style: &Style, seed| {
        let mut synth = Synthesizer::new(model.clone(), &Device::cpu()).unwrap();
        synth.run(&quarters().to_core().unwrap(), &Request::new().style(style).seed(seed)).unwrap().into_bytes()
    };
    assert_eq!(world.off(entity, &expected(&model.preset("northern").unwrap(), 3)), (0, 0));
    // Nothing else was painted before.
    assert_eq!(world.happened().finished, [entity]);
    let broken = |world: &mut World3, text: &str| {
        std::fs::write(&file, text).unwrap();
        server.reload("island.look.ron");
        for _ in 0..40 {
            world.app.update();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    // A mistake changes nothing.
    broken(&mut world, "(preset: 7)");
    assert_eq!(world.status(entity).state, SynthState::Ready);
    broken(&mut world, r#"(classes: {"sand": (preset: "desert", from: "dirt")})"#);
    world.until_ready(entity);
    let mixed = model.preset("temperate").unwrap().with_class(2, &model.preset("desert").unwrap(), 3).unwrap();
    assert_eq!(world.off(entity, &expected(&mixed, 0)), (0, 0));
    let settings = world.app.world().get::<SynthSettings>(entity).unwrap();
    assert!((settings.priority - 2.0).abs() < 1e-6);

    // One that cannot be read is told once, and a terrain that has a look already goes on.
    std::fs::write(folder.path().join("bad.look.ron"), "(sed: 1)").unwrap();
    world.app.world_mut().entity_mut(entity).insert(SynthLook::new(server.load("bad.look.ron")));
    world.until("a failure", |world| !world.happened().failed.is_empty());
    let map = world.app.world().get::<SemanticTerrain>(entity).unwrap().labels.clone();
    world.edit(&map, |map| map.paint(&Shape::Disc { center: Vec2::new(9.0, 9.0), radius: 6.0 }, 3)).unwrap();
    world.app.update();
    world.until_ready(entity);
    assert_eq!(world.status(entity).settled, world.status(entity).sent);
    assert_eq!(world.happened().failed.len(), 1);

    // One without fails.
    let entity = island(&mut world, SynthSettings::default());
    world.app.world_mut().entity_mut(entity).insert(SynthLook::new(server.load("bad.look.ron")));
    let error = world.until_failed(entity);
    assert!(error.contains("look") && error.contains("sed"), "{error}");
}

#[test]
fn a_surface_brings_normals_and_roughness_that_follow_edits() {
    let mut world = World3::new();
    let entity = island(&mut world, SynthSettings::default());
    world.app.world_mut().entity_mut(entity).insert(SynthSurface::default().class(0, 0.0, 0.25));
    world.until_ready(entity);
    #[cfg(feature = "render")]
    let material = {
        let material = StandardMaterial { perceptual_roughness: 0.7, ..default() };
        let material = world.app.world_mut().resource_mut::<Assets<StandardMaterial>>().add(material);
        world.app.world_mut().entity_mut(entity).insert(MeshMaterial3d(material.clone()));
        world.app.update();
        material
    };
    #[cfg(feature = "render")]
    let looks = |world: &World3| {
        let material = world.app.world().resource::<Assets<StandardMaterial>>().get(&material).unwrap();
        let roughness = (100.0 * material.perceptual_roughness).round() as u32;
        (material.normal_map_texture.clone(), material.metallic_roughness_texture.clone(), roughness)
    };
    let output = world.app.world().get::<SynthOutput>(entity).unwrap().clone();
    #[cfg(feature = "render")]
    assert_eq!(looks(&world), (output.normal.clone(), output.roughness.clone(), 100));
    let (normal, rough) = (output.normal.unwrap(), output.roughness.unwrap());
    let at = |texels: &[u8], x: usize, y: usize| -> [u8; 3] { texels[3 * (64 * y + x)..][..3].try_into().unwrap() };
    let (normals, roughness) = (world.sink.level(&normal, 0), world.sink.level(&rough, 0));
    // The first quarter is class 0, the last one class 3.
    assert_eq!((at(&normals, 10, 10), at(&roughness, 10, 10)), ([128, 128, 255], [0, 64, 0]));
    assert_eq!(at(&roughness, 50, 50), [0, 230, 0]);
    assert!((40..60).any(|x| at(&normals, x, 50) != [128, 128, 255]), "ground has relief");
    assert_eq!(world.sink.level_size(&normal, 6), Some(UVec2::ONE));
    let map = world.app.world().get::<SemanticTerrain>(entity).unwrap().labels.clone();
    world.edit(&map, |map| map.paint(&Shape::Disc { center: Vec2::new(50.0, 50.0), radius: 6.0 }, 0)).unwrap();
    world.app.update();
    world.until_ready(entity);
    assert_eq!(at(&world.sink.level(&rough, 0), 50, 50), [0, 64, 0]);
    assert_eq!(at(&world.sink.level(&normal, 0), 50, 50), [128, 128, 255]);
    // Without one, the maps go.
    world.app.world_mut().entity_mut(entity).remove::<SynthSurface>();
    world.app.update();
    world.until_ready(entity);
    assert_eq!(world.app.world().get::<SynthOutput>(entity).unwrap().normal, None);
    #[cfg(feature = "render")]
    assert_eq!(looks(&world), (None, None, 70));
    // A mistake is told.
    world.app.world_mut().entity_mut(entity).insert(SynthSurface::default().class("lava", 0.0, 0.25));
    world.app.update();
    let error = world.until_failed(entity);
    assert!(error.contains("lava"), "{error}");
}

#[test]
fn a_sweep_ends_with_its_last_style_and_shows_some_between() {
    let mut world = World3::new();
    assert!(StyleSweep::new(style(1.0), Style::global(vec![1.0]).unwrap(), 1.0).is_err());
    assert!(StyleSweep::new(style(1.0), style(2.0), f32::NAN).is_err());
    let entity = terrain(&mut world, SynthSettings { style: Some(style(1.0).into()), ..default() });
    world.until_ready(entity);
    let before = world.happened().finished.len();
    let sweep = StyleSweep::new(style(1.0), style(2.0), 0.5).unwrap();
    world.app.world_mut().entity_mut(entity).insert(sweep);
    world.until("the end of the sweep", |world| world.app.world().get::<StyleSweep>(entity).is_none());
    world.until_ready(entity);
    assert_eq!(world.off(entity, &expected(&style(2.0))), (0, 0));
    assert!(world.happened().finished.len() >= before + 3, "{:?}", world.happened().finished);
    assert_eq!(world.status(entity).state, SynthState::Ready);
}
