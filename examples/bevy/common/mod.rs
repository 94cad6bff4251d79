//! What the Bevy examples share: a town to paint, and screenshots for those who run them without a screen.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "shared by examples, each of which uses a part")]

use std::path::PathBuf;

use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::prelude::*;
use bevy::render::view::window::screenshot::{Screenshot, ScreenshotCaptured, save_to_disk};
use bevy_semsynth::{SynthState, SynthStatus};

/// Bevy's default needs tables that these examples are built without.
pub const TONES: Tonemapping = Tonemapping::SomewhatBoringDisplayTransform;

/// Classes of the built-in model `facades`.
pub mod class {
    pub const SKY: u16 = 0;
    pub const WALL: u16 = 1;
    pub const WINDOW: u16 = 2;
    pub const DOOR: u16 = 3;
    pub const CORNICE: u16 = 4;
    pub const SILL: u16 = 5;
    pub const BALCONY: u16 = 6;
    pub const MOLDING: u16 = 9;
    pub const PILLAR: u16 = 10;
    pub const SHOP: u16 = 11;
}

/// The class of a pixel of a town without end: rows of houses, 128 pixels high, with storeys of 28.
pub fn town(x: i64, y: i64) -> u16 {
    let row = y.div_euclid(128);
    let hash = |a: i64, b: i64| {
        let mixed = (a as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (b as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40
    };
    // Rows are shifted against each other.
    let x = x + (hash(row, 7) % 96) as i64;
    let (house, inner) = (x.div_euclid(96), x.rem_euclid(96));
    let kind = hash(house, row);
    let y = y.rem_euclid(128);
    let storey = (y - 10).rem_euclid(28);
    let (window, across) = (inner / 24, inner % 24);
    let is_ground = y >= 94;
    match (y, storey) {
        (0..=5, _) => class::MOLDING,
        (6..=9, _) => class::CORNICE,
        _ if inner < 3 => class::PILLAR,
        _ if is_ground && kind % 3 == 0 && (12..84).contains(&inner) && (98..124).contains(&y) => class::SHOP,
        _ if is_ground && kind % 3 != 0 && window == 1 && (6..18).contains(&across) => class::DOOR,
        (_, 6..=21) if (6..18).contains(&across) => class::WINDOW,
        (_, 22..=23) if (5..19).contains(&across) => class::SILL,
        (_, 22..=25) if kind % 4 == 1 && (4..20).contains(&across) => class::BALCONY,
        _ => class::WALL,
    }
}

/// A part of the town, row by row.
pub fn town_ids(width: u32, height: u32) -> Vec<u16> {
    (0..height).flat_map(|y| (0..width).map(move |x| town(i64::from(x), i64::from(y)))).collect()
}

/// Saves a picture of the window once everything is painted, and exits, if the variable `SEMSYNTH_SCREENSHOT` names a file.
pub struct ScreenshotPlugin;

#[derive(Resource)]
struct Wanted {
    file: PathBuf,
    /// Frames since everything was painted.
    quiet: u32,
}

impl Plugin for ScreenshotPlugin {
    fn build(&self, app: &mut App) {
        if let Some(file) = std::env::var_os("SEMSYNTH_SCREENSHOT") {
            app.insert_resource(Wanted { file: file.into(), quiet: 0 }).add_systems(Update, take_screenshot);
        }
    }
}

fn take_screenshot(mut commands: Commands, mut wanted: ResMut<Wanted>, pictures: Query<&SynthStatus>) {
    let is_done = |status: &SynthStatus| matches!(status.state, SynthState::Ready | SynthState::Failed { .. });
    if pictures.is_empty() || !pictures.iter().all(is_done) {
        wanted.quiet = 0;
        return;
    }
    wanted.quiet += 1;
    if wanted.quiet == 30 {
        commands.spawn(Screenshot::primary_window()).observe(save_to_disk(wanted.file.clone())).observe(
            |_: On<ScreenshotCaptured>, mut exit: MessageWriter<AppExit>| {
                exit.write(AppExit::Success);
            },
        );
    }
}
