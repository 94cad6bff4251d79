//! What the Bevy examples share: land to paint, and screenshots for those who run them without a screen.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared by examples, each of which uses a part")]

use std::path::PathBuf;

use bevy::app::PluginGroupBuilder;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::RenderPlugin;
use bevy::render::view::window::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk};
use bevy_semsynth::{SynthState, SynthStatus};

/// Bevy's default needs tables that these examples are built without.
pub const TONES: Tonemapping = Tonemapping::SomewhatBoringDisplayTransform;

/// Classes of the built-in model `terrain`.
pub mod class {
    pub const DEEP_WATER: u16 = 0;
    pub const SHALLOW_WATER: u16 = 1;
    pub const SAND: u16 = 2;
    pub const DIRT: u16 = 3;
    pub const GRASS: u16 = 4;
    pub const FOREST: u16 = 5;
    pub const ROCK: u16 = 6;
    pub const SNOW: u16 = 7;
    pub const ROAD: u16 = 8;
    pub const ROOF: u16 = 9;
    pub const FIELD: u16 = 10;
    pub const WETLAND: u16 = 11;
}

/// A random number from 0 to 1 for a cell.
fn hash(x: i64, y: i64, layer: i64) -> f32 {
    let mut mixed = layer as u64;
    for part in [x as u64, y as u64] {
        mixed = (mixed ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^= mixed >> 29;
    }
    (mixed >> 40) as f32 / (1 << 24) as f32
}

/// Smooth noise from 0 to 1, with hills of so many pixels.
fn noise(x: i64, y: i64, side: i64, layer: i64) -> f32 {
    let (column, row) = (x.div_euclid(side), y.div_euclid(side));
    let smooth = |rest: i64| {
        let t = rest as f32 / side as f32;
        t * t * (3.0 - 2.0 * t)
    };
    let (s, t) = (smooth(x.rem_euclid(side)), smooth(y.rem_euclid(side)));
    let across = |row: i64| hash(column, row, layer) * (1.0 - s) + hash(column + 1, row, layer) * s;
    across(row) * (1.0 - t) + across(row + 1) * t
}

/// Hills on hills, 0 to 1.
fn hills(x: i64, y: i64, side: i64, layer: i64) -> f32 {
    let octaves = [(1, 0.5), (2, 0.25), (4, 0.14), (8, 0.07), (16, 0.04)];
    octaves.iter().map(|(parts, share)| share * noise(x, y, (side / parts).max(1), layer + parts)).sum()
}

/// The class of a place of this elevation, 0 to 1.
fn class_at(x: i64, y: i64, elevation: f32) -> u16 {
    let moisture = hills(x, y, 192, 100);
    let way = (hills(x, y, 320, 200) - 0.5).abs();
    let (column, row) = (x.div_euclid(28), y.div_euclid(28));
    let (inner_x, inner_y) = (x.rem_euclid(28), y.rem_euclid(28));
    let is_plain = (0.49..0.61).contains(&elevation);
    let is_house = hash(column, row, 7) < 0.6 && (7..21).contains(&inner_x) && (9..20).contains(&inner_y);
    match elevation {
        ..0.36 => class::DEEP_WATER,
        ..0.43 => class::SHALLOW_WATER,
        ..0.46 => class::SAND,
        _ if is_plain && way < 0.007 => class::ROAD,
        _ if is_plain && (0.02..0.05).contains(&way) && is_house => class::ROOF,
        _ if is_plain && way < 0.1 && hash(x.div_euclid(72), y.div_euclid(56), 8) < 0.45 => class::FIELD,
        ..0.50 if moisture > 0.58 => class::WETLAND,
        ..0.62 if moisture > 0.50 => class::FOREST,
        ..0.62 if moisture < 0.36 => class::DIRT,
        ..0.62 => class::GRASS,
        ..0.70 => class::ROCK,
        _ => class::SNOW,
    }
}

/// The class of a pixel of a country without end.
pub fn country(x: i64, y: i64) -> u16 {
    class_at(x, y, hills(x, y, 256, 300))
}

/// An island, row by row.
pub fn island(side: u32) -> Vec<u16> {
    let middle = f32::midpoint(0.0, side as f32);
    let id = |x: u32, y: u32| {
        let from_middle = Vec2::new(x as f32, y as f32).distance(Vec2::splat(middle)) / middle;
        let (x, y) = (i64::from(x) + 3584, i64::from(y));
        class_at(x, y, hills(x, y, 256, 300) + 0.12 - 0.3 * from_middle.powi(2))
    };
    (0..side).flat_map(|y| (0..side).map(move |x| id(x, y))).collect()
}

/// Bevy's plugins. For a screenshot, shaders are compiled before anything is drawn with them, not beside.
pub fn default_plugins() -> PluginGroupBuilder {
    let synchronous_pipeline_compilation = std::env::var_os(SCREENSHOT).is_some();
    DefaultPlugins.set(RenderPlugin { synchronous_pipeline_compilation, ..default() })
}

/// The variable that names the file of a screenshot.
const SCREENSHOT: &str = "SEMSYNTH_SCREENSHOT";

/// Saves a picture of the window once everything is painted, and exits, if the variable `SEMSYNTH_SCREENSHOT` names a file.
pub struct ScreenshotPlugin;

#[derive(Resource)]
struct Wanted {
    file: PathBuf,
    /// Frames since everything was painted for the first time.
    frames: Option<u32>,
}

impl Plugin for ScreenshotPlugin {
    fn build(&self, app: &mut App) {
        if let Some(file) = std::env::var_os(SCREENSHOT) {
            app.insert_resource(Wanted { file: file.into(), frames: None }).add_systems(Update, take_screenshot);
        }
    }
}

fn take_screenshot(
    mut commands: Commands,
    mut wanted: ResMut<Wanted>,
    pictures: Query<&SynthStatus>,
    mut exit: MessageWriter<AppExit>,
) {
    for status in &pictures {
        if let SynthState::Failed { error } = &status.state {
            eprintln!("{error}");
            exit.write(AppExit::error());
        }
    }
    let is_done = |status: &SynthStatus| status.state == SynthState::Ready;
    if wanted.frames.is_none() && !pictures.is_empty() && pictures.iter().all(is_done) {
        wanted.frames = Some(0);
    }
    let Some(frames) = &mut wanted.frames else { return };
    *frames += 1;
    // Meanwhile textures reach the GPU.
    if *frames == 15 {
        commands.spawn(Screenshot::primary_window()).observe(save_to_disk(wanted.file.clone())).observe(
            |_: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
                exit.write(AppExit::Success);
            },
        );
    }
}
