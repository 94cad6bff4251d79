//! Renders a terrain without a window and saves the picture: for servers and tests. Any Vulkan driver will do, such as
//! Mesa's software driver.
//!
//! `cargo run --release -p bevy_semsynth --example headless_screenshot -- picture.png`

mod common;

use std::path::PathBuf;
use std::time::Duration;

use bevy::app::ScheduleRunnerPlugin;
use bevy::camera::RenderTarget;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::render_resource::TextureFormat;
use bevy::render::view::window::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_semsynth::{LabelMap, SemSynthPlugin, SemanticTerrain, SynthFailed, SynthFinished, SynthModel};
use common::{TONES, island};

/// Where the picture goes.
#[derive(Resource)]
struct Output {
    file: PathBuf,
    target: Handle<Image>,
    /// Frames since the ground was painted: its texture takes some to reach the GPU.
    frames: Option<u32>,
}

fn main() -> AppExit {
    let file = std::env::args().nth(1).map_or_else(|| "terrain.png".into(), PathBuf::from);
    App::new()
        .add_plugins(
            DefaultPlugins
                .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
                // Otherwise frames show nothing until shaders are compiled, however many that takes.
                .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
                // No display.
                .disable::<WinitPlugin>(),
        )
        .add_plugins((ScheduleRunnerPlugin::run_loop(Duration::from_millis(5)), SemSynthPlugin))
        .insert_resource(Output { file, target: Handle::default(), frames: None })
        .add_systems(Startup, setup)
        .add_systems(Update, save)
        .add_observer(|_: On<SynthFinished>, mut output: ResMut<Output>| {
            output.frames.get_or_insert(0);
        })
        .add_observer(|failed: On<SynthFailed>, mut exit: MessageWriter<AppExit>| {
            eprintln!("{}", failed.error);
            exit.write(AppExit::error());
        })
        .run()
}

fn setup(
    mut commands: Commands,
    mut output: ResMut<Output>,
    mut images: ResMut<Assets<Image>>,
    mut labels: ResMut<Assets<LabelMap>>,
    mut models: ResMut<Assets<SynthModel>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
) -> Result {
    output.target = images.add(Image::new_target_texture(960, 540, TextureFormat::Rgba8UnormSrgb, None));
    commands.spawn((
        SemanticTerrain {
            labels: labels.add(LabelMap::new(512, 512, island(512))?),
            model: models.add(SynthModel::builtin("terrain")?),
        },
        Mesh3d(meshes.add(Plane3d::default().mesh().size(8.0, 8.0))),
        MeshMaterial3d(materials.add(StandardMaterial { perceptual_roughness: 0.9, ..default() })),
    ));
    commands.spawn((
        Camera3d::default(),
        TONES,
        RenderTarget::Image(output.target.clone().into()),
        Transform::from_xyz(0.0, 5.0, 6.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    commands.spawn((
        DirectionalLight { illuminance: 9000.0, ..default() },
        Transform::from_xyz(2.0, 8.0, 4.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

fn save(mut commands: Commands, mut output: ResMut<Output>) {
    let Some(frames) = &mut output.frames else { return };
    *frames += 1;
    if *frames == 60 {
        commands.spawn(Screenshot::image(output.target.clone())).observe(save_to_disk(output.file.clone())).observe(
            |_: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
                exit.write(AppExit::Success);
            },
        );
    }
}
