//! A country without end: chunks are painted around the camera, and meet without a seam.
//!
//! `cargo run --release -p bevy_semsynth --example chunk_streaming`
//!
//! | keys | |
//! |---|---|
//! | W A S D, arrows | move |
//! | Q E | down, up |
//! | Shift | faster |
//! | F | fly on by itself |

mod common;

use bevy::prelude::*;
use bevy_semsynth::{SemSynthPlugin, SemanticWorld, SynthChunk, SynthModel, SynthState, SynthStatus, SynthViewer};
use common::{ScreenshotPlugin, TONES, country, default_plugins};

fn main() {
    App::new()
        .add_plugins((default_plugins(), SemSynthPlugin, ScreenshotPlugin))
        .insert_resource(ClearColor(Color::srgb(0.55, 0.65, 0.75)))
        .add_systems(Startup, setup)
        .add_systems(Update, (fly, show_progress))
        .run();
}

fn setup(mut commands: Commands, mut models: ResMut<Assets<SynthModel>>) -> Result {
    let model = models.add(SynthModel::builtin("terrain")?);
    commands.spawn(SemanticWorld { radius: 3.5, meters_per_pixel: 1.0 / 32.0, ..SemanticWorld::new(country, model) });
    // The viewer is above what the camera looks at.
    commands.spawn((SynthViewer, Transform::default(), Visibility::default())).with_child((
        Camera3d::default(),
        TONES,
        Transform::from_xyz(0.0, 9.0, 11.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    commands.spawn((
        DirectionalLight { illuminance: 9000.0, ..default() },
        Transform::from_xyz(2.0, 8.0, 4.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

fn fly(
    keys: Res<ButtonInput<KeyCode>>,
    time: Res<Time>,
    mut viewer: Single<&mut Transform, With<SynthViewer>>,
    mut on_its_own: Local<bool>,
) {
    *on_its_own ^= keys.just_pressed(KeyCode::KeyF);
    let pressed = |a, b| f32::from(keys.any_pressed([a, b]));
    let right = pressed(KeyCode::KeyD, KeyCode::ArrowRight) - pressed(KeyCode::KeyA, KeyCode::ArrowLeft);
    let ahead = pressed(KeyCode::KeyW, KeyCode::ArrowUp) - pressed(KeyCode::KeyS, KeyCode::ArrowDown);
    let up = f32::from(keys.pressed(KeyCode::KeyE)) - f32::from(keys.pressed(KeyCode::KeyQ));
    let speed = if keys.any_pressed([KeyCode::ShiftLeft, KeyCode::ShiftRight]) { 20.0 } else { 5.0 };
    let ahead = if *on_its_own { 1.0 } else { ahead };
    viewer.translation += Vec3::new(right, up, -ahead) * speed * time.delta_secs();
    viewer.translation.y = viewer.translation.y.clamp(-6.0, 30.0);
}

fn show_progress(chunks: Query<&SynthStatus, With<SynthChunk>>, mut window: Single<&mut Window>) {
    let done = chunks.iter().filter(|status| status.state == SynthState::Ready).count();
    let title = format!("chunk_streaming: {done} of {} chunks painted", chunks.iter().count());
    if window.title != title {
        window.title = title;
    }
}
