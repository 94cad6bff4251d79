//! One island in all presets of the model `terrain`: temperate, dry, tropical, and so on, and what lies between.
//!
//! `cargo run --release -p bevy_semsynth --example style_morph`

mod common;

use bevy::prelude::*;
use bevy_semsynth::semsynth::Style;
use bevy_semsynth::{
    LabelMap, SemSynthPlugin, SemanticTerrain, StyleSweep, SynthModel, SynthPresets, SynthState, SynthStatus,
};
use common::{ScreenshotPlugin, TONES, default_plugins, island};

/// Seconds from one preset to the next, and how long that stays.
const SWEEP: f32 = 4.0;
const STAY: f32 = 3.0;

fn main() {
    App::new()
        .add_plugins((default_plugins(), SemSynthPlugin, ScreenshotPlugin))
        .init_resource::<Next>()
        .add_systems(Startup, setup)
        .add_systems(Update, (sweep, show_preset))
        .run();
}

/// The preset that comes next, and since when the last one has been there.
#[derive(Resource, Default)]
struct Next {
    preset: usize,
    stayed: f32,
}

fn setup(
    mut commands: Commands,
    mut labels: ResMut<Assets<LabelMap>>,
    mut models: ResMut<Assets<SynthModel>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
) -> Result {
    commands.spawn((
        SemanticTerrain {
            labels: labels.add(LabelMap::new(256, 256, island(256))?),
            model: models.add(SynthModel::builtin("terrain")?),
        },
        Mesh3d(meshes.add(Plane3d::default().mesh().size(8.0, 8.0))),
        MeshMaterial3d(materials.add(StandardMaterial { perceptual_roughness: 0.95, reflectance: 0.2, ..default() })),
    ));
    commands.spawn((Camera3d::default(), TONES, Transform::from_xyz(0.0, 7.0, 5.0).looking_at(Vec3::ZERO, Vec3::Y)));
    commands.spawn((
        DirectionalLight { illuminance: 9000.0, ..default() },
        Transform::from_xyz(3.0, 8.0, 4.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

/// Begins a sweep to the next preset when the last one has been there for a while.
fn sweep(
    mut commands: Commands,
    mut next: ResMut<Next>,
    time: Res<Time>,
    terrain: Single<(Entity, &SynthPresets, &SynthStatus), Without<StyleSweep>>,
) -> Result {
    let (entity, presets, status) = *terrain;
    if status.state != SynthState::Ready {
        return Ok(());
    }
    next.stayed += time.delta_secs();
    if next.stayed < STAY {
        return Ok(());
    }
    let style = |index: usize| -> Option<&Style> { Some(&presets.0.get(index % presets.0.len().max(1))?.style) };
    let (Some(from), Some(to)) = (style(next.preset), style(next.preset + 1)) else { return Ok(()) };
    commands.entity(entity).insert(StyleSweep::new(from.clone(), to.clone(), SWEEP)?);
    *next = Next { preset: next.preset + 1, stayed: 0.0 };
    Ok(())
}

fn show_preset(
    mut window: Single<&mut Window>,
    next: Res<Next>,
    terrain: Single<(&SynthPresets, Option<&StyleSweep>)>,
) {
    let (presets, sweep) = *terrain;
    let name = |index: usize| presets.0.get(index % presets.0.len().max(1)).map_or("", |preset| &preset.name);
    let title = match sweep {
        Some(sweep) => {
            format!("{} to {}, {:.0} %", name(next.preset - 1), name(next.preset), 100.0 * sweep.fraction())
        }
        None => name(next.preset).into(),
    };
    if window.title != title {
        window.title = title;
    }
}
