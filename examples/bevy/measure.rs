//! Measures a session of painting: what a frame pays, how long an edit takes to be shown, bytes uploaded, and memory.
//!
//! `cargo run --release -p bevy_semsynth --example measure -- SIDE SECONDS [RADIUS]`, such as `512 30 16`. Renders off-screen;
//! a driver of Vulkan is needed. A stroke goes on for 2 seconds, then the brush rests for half a second.

mod common;

use std::time::{Duration, Instant};

use bevy::app::ScheduleRunnerPlugin;
use bevy::camera::RenderTarget;
use bevy::diagnostic::{DiagnosticPath, DiagnosticsStore};
use bevy::prelude::*;
use bevy::render::render_resource::TextureFormat;
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_semsynth::{
    LATENCY_MS, LabelMap, MAIN_CPU_MS, MAIN_MS, PAINT_MS, PaintLabels, PartPainted, Quality, SemSynthPlugin,
    SemanticTerrain, Shape, SynthFinished, SynthModel, UPLOAD_BYTES, UPLOAD_MS,
};
use common::{TONES, class, island};

#[derive(Resource)]
struct Session {
    side: u32,
    radius: f32,
    length: Duration,
    /// When painting began.
    start: Option<Instant>,
    /// When the last stroke ended.
    rested: Option<Instant>,
    frame: u64,
    frames: Vec<f64>,
    last: Instant,
    values: [Vec<f64>; 5],
    seen: [Option<Instant>; 5],
    previews: Vec<f64>,
    settled: Vec<f64>,
    memory: Vec<(f64, f64)>,
}

const PATHS: [(&DiagnosticPath, &str); 5] = [
    (&MAIN_MS, "main thread, ms per frame"),
    (&MAIN_CPU_MS, "main thread, ms of a processor per frame"),
    (&UPLOAD_MS, "writing to the GPU's queue, ms per frame that does"),
    (&UPLOAD_BYTES, "bytes written, per frame that does"),
    (&LATENCY_MS, "edit to first visible change, ms"),
];

fn main() -> AppExit {
    let numbers: Vec<f32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |index: usize, default: f32| numbers.get(index).copied().unwrap_or(default);
    let session = Session {
        side: number(0, 512.0) as u32,
        length: Duration::from_secs_f32(number(1, 30.0)),
        radius: number(2, 16.0),
        start: None,
        rested: None,
        frame: 0,
        frames: Vec::new(),
        last: Instant::now(),
        values: default(),
        seen: default(),
        previews: Vec::new(),
        settled: Vec::new(),
        memory: Vec::new(),
    };
    App::new()
        .add_plugins(
            DefaultPlugins
                .set(WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() })
                .disable::<WinitPlugin>(),
        )
        // 60 frames a second, if the machine is fast enough.
        .add_plugins((ScheduleRunnerPlugin::run_loop(Duration::from_micros(16_667)), SemSynthPlugin))
        .insert_resource(session)
        .add_systems(Startup, setup)
        .add_systems(Update, (paint, note).chain())
        .add_observer(|part: On<PartPainted>, mut session: ResMut<Session>| {
            if part.quality == Quality::Preview {
                session.previews.push(1e3 * part.time.as_secs_f64());
            }
        })
        .add_observer(|_: On<SynthFinished>, mut session: ResMut<Session>| {
            if let Some(rested) = session.rested.take() {
                let taken = 1e3 * rested.elapsed().as_secs_f64();
                session.settled.push(taken);
            } else {
                session.start.get_or_insert_with(Instant::now);
            }
        })
        .run()
}

fn setup(
    mut commands: Commands,
    session: Res<Session>,
    mut images: ResMut<Assets<Image>>,
    mut labels: ResMut<Assets<LabelMap>>,
    mut models: ResMut<Assets<SynthModel>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
) -> Result {
    let target = images.add(Image::new_target_texture(320, 180, TextureFormat::Rgba8UnormSrgb, None));
    let side = session.side;
    commands.spawn((
        SemanticTerrain {
            labels: labels.add(LabelMap::new(side, side, island(side))?),
            model: models.add(SynthModel::builtin("terrain")?),
        },
        Mesh3d(meshes.add(Plane3d::default().mesh().size(8.0, 8.0))),
        MeshMaterial3d(materials.add(StandardMaterial { unlit: true, ..default() })),
    ));
    commands.spawn((
        Camera3d::default(),
        TONES,
        RenderTarget::Image(target.into()),
        Transform::from_xyz(0.0, 5.0, 6.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

/// A brush on a winding way.
fn paint(mut commands: Commands, mut session: ResMut<Session>, terrain: Single<&SemanticTerrain>) {
    let Some(start) = session.start else { return };
    let labels = &terrain.labels;
    let phase = start.elapsed().as_secs_f32() % 2.5;
    let place = |frame: u64| {
        let t = frame as f32 * 0.02;
        (Vec2::new((0.7 * t).sin() + 0.3 * (2.3 * t).sin(), (0.9 * t).cos() + 0.2 * (1.7 * t).cos()) * 0.35 + 0.5)
            * session.side as f32
    };
    let (from, to) = (place(session.frame), place(session.frame + 1));
    if phase < 2.0 {
        if session.frame.is_multiple_of(64) {
            commands.queue(PaintLabels::begin_group(labels));
        }
        let classes = [class::FOREST, class::GRASS, class::ROCK, class::SAND, class::SHALLOW_WATER];
        let class = classes[(session.frame / 40) as usize % classes.len()];
        commands.queue(PaintLabels::shape(labels, class, Shape::Line { from, to, radius: session.radius }));
        session.frame += 1;
        session.rested = Some(Instant::now());
    }
}

fn note(mut session: ResMut<Session>, store: Res<DiagnosticsStore>, mut exit: MessageWriter<AppExit>) {
    let now = Instant::now();
    let frame = 1e3 * now.duration_since(session.last).as_secs_f64();
    session.last = now;
    let Some(start) = session.start else { return };
    session.frames.push(frame);
    for (index, (path, _)) in PATHS.iter().enumerate() {
        let Some(measured) = store.get(path).and_then(|diagnostic| diagnostic.measurement()) else { continue };
        if session.seen[index] != Some(measured.time) {
            session.seen[index] = Some(measured.time);
            session.values[index].push(measured.value);
        }
    }
    let elapsed = start.elapsed().as_secs_f64();
    let due = session.memory.last().is_none_or(|(at, _)| elapsed - at >= session.length.as_secs_f64() / 12.0);
    if let (true, Some(memory)) = (due, resident_mib()) {
        session.memory.push((elapsed, memory));
    }
    if start.elapsed() < session.length {
        return;
    }
    let side = session.side;
    println!(
        "{side}x{side}, radius {}, {elapsed:.0} s, {} frames, {} strokes' worth of dabs",
        session.radius,
        session.frames.len(),
        session.frame
    );
    report("frame, ms", &mut session.frames.clone());
    for (index, (_, name)) in PATHS.iter().enumerate() {
        report(name, &mut session.values[index].clone());
    }
    report("the worker's previews, ms", &mut session.previews.clone());
    report("end of a stroke to full quality, ms", &mut session.settled.clone());
    if let Some(painted) = store.get(&PAINT_MS).and_then(bevy::diagnostic::Diagnostic::average) {
        println!("the worker's updates, mean of the last: {painted:.1} ms");
    }
    let memory: Vec<String> = session.memory.iter().map(|(at, mib)| format!("{at:.0} s {mib:.0}")).collect();
    println!("resident memory, MiB: {}", memory.join(", "));
    exit.write(AppExit::Success);
}

fn report(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| {
        values.get(((values.len().saturating_sub(1)) as f64 * q).round() as usize).copied().unwrap_or(f64::NAN)
    };
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    println!(
        "{name}: mean {mean:.3}, p50 {:.3}, p95 {:.3}, p99 {:.3}, most {:.3} ({} values)",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0),
        values.len()
    );
}

/// Linux only.
fn resident_mib() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1024.0)
}
