//! Styles: needed, per class, and over time, with a small SEAN of random weights.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bevy::prelude::*;
use bevy_semsynth::semsynth::label::Class;
use bevy_semsynth::semsynth::model::{FORMAT, Manifest, Precision, Provenance};
use bevy_semsynth::semsynth::network::{Architecture, GeneratorConfig, StyleConfig};
use bevy_semsynth::semsynth::nn::modulation::ModulationKind;
use bevy_semsynth::semsynth::nn::{Init, Statistics};
use bevy_semsynth::semsynth::tensors::Tensors;
use bevy_semsynth::semsynth::{self, ClassTable, Device, Model, Request, Style, Synthesizer};
use bevy_semsynth::{ClassStyle, LabelMap, SemanticTerrain, StyleSweep, SynthModel, SynthSettings, SynthState};
use common::World3;

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
        let values = data.to_f32().iter().map(|value| value * scale).collect();
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
    world.app.world_mut().get_mut::<SynthSettings>(entity).unwrap().style = Some(style(1.0));
    world.app.update();
    world.until_ready(entity);
    assert_eq!(world.off(entity, &expected(&style(1.0))), (0, 0));
    assert!(world.off(entity, &expected(&style(2.0))).1 > 1000, "styles show");
}

#[test]
fn classes_take_styles_of_their_own() {
    let mut world = World3::new();
    let (a, b) = (style(1.0), style(2.0));
    let part = |class, from, weight| ClassStyle { class, style: b.clone(), from, weight };
    let settings =
        SynthSettings { style: Some(a.clone()), class_styles: vec![part(1, 1, 0.5), part(3, 2, 1.0)], ..default() };
    let entity = terrain(&mut world, settings);
    world.until_ready(entity);
    let mixed = a.blend_class(1, &b, 0.5).unwrap().with_class(3, &b, 2).unwrap();
    assert_eq!(world.off(entity, &expected(&mixed)), (0, 0));
    // A weight out of range.
    world.app.world_mut().get_mut::<SynthSettings>(entity).unwrap().class_styles[0].weight = 1.5;
    let error = world.until_failed(entity);
    assert!(error.contains("1.5"), "{error}");
}

#[test]
fn a_sweep_ends_with_its_last_style_and_shows_some_between() {
    let mut world = World3::new();
    assert!(StyleSweep::new(style(1.0), Style::global(vec![1.0]).unwrap(), 1.0).is_err());
    assert!(StyleSweep::new(style(1.0), style(2.0), f32::NAN).is_err());
    let entity = terrain(&mut world, SynthSettings { style: Some(style(1.0)), ..default() });
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
