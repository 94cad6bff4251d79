//! The least that paints the ground: a plane, a map of labels, a model.
//!
//! `cargo run --release -p bevy_semsynth --example minimal`
//!
//! A brush walks over the ground and paints rocks here and there: the texture follows.

mod common;

use bevy::prelude::*;
use bevy_semsynth::{LabelMap, PaintLabels, SemSynthPlugin, SemanticTerrain, Shape, SynthModel};
use common::{ScreenshotPlugin, TONES, class, default_plugins, island};

fn main() {
    App::new()
        .add_plugins((default_plugins(), SemSynthPlugin, ScreenshotPlugin))
        .add_systems(Startup, setup)
        .add_systems(Update, walk)
        .run();
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
            labels: labels.add(LabelMap::new(512, 512, island(512))?),
            model: models.add(SynthModel::builtin("terrain")?),
        },
        // The material gets the texture by itself.
        Mesh3d(meshes.add(Plane3d::default().mesh().size(8.0, 8.0))),
        MeshMaterial3d(materials.add(StandardMaterial { perceptual_roughness: 0.9, ..default() })),
    ));
    commands.spawn((Camera3d::default(), TONES, Transform::from_xyz(0.0, 6.0, 6.5).looking_at(Vec3::ZERO, Vec3::Y)));
    commands.spawn((
        DirectionalLight { illuminance: 9000.0, ..default() },
        Transform::from_xyz(2.0, 8.0, 4.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

/// Paints a spot every second.
fn walk(mut commands: Commands, time: Res<Time>, terrain: Single<&SemanticTerrain>, mut next: Local<(f32, u32)>) {
    if time.elapsed_secs() < next.0 + 1.0 || next.1 > 5 {
        return;
    }
    *next = (time.elapsed_secs(), next.1 + 1);
    let center = Vec2::new(70.0 + 70.0 * next.1 as f32, 256.0);
    commands.queue(PaintLabels::shape(&terrain.labels, class::ROCK, Shape::Disc { center, radius: 16.0 }));
}
