//! Measures a session of painting: what a frame pays, how long an edit takes to be shown, bytes uploaded, and memory.
//!
//! `cargo run --release -p bevy_semsynth --example measure -- SIDE SECONDS [RADIUS]`, such as `512 30 16`. Renders off-screen;
//! a driver of Vulkan is needed. A stroke goes on for 2 seconds, then the brush rests for half a second. After that, single dabs are
//! made, each once the one before is painted, and every frame is read back to see which is the first that shows it.

mod common;

use std::time::{Duration, Instant};

use bevy::app::ScheduleRunnerPlugin;
use bevy::camera::RenderTarget;
use bevy::diagnostic::{DiagnosticPath, DiagnosticsStore};
use bevy::prelude::*;
use bevy::render::gpu_readback::{Readback, ReadbackComplete};
use bevy::render::render_resource::{TextureFormat, TextureUsages};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use bevy_semsynth::{
    LATENCY_MS, LabelMap, MAIN_CPU_MS, MAIN_MS, PAINT_MS, PaintLabels, PartPainted, Quality, SemSynthPlugin,
    SemanticTerrain, Shape, SynthFinished, SynthModel, SynthState, SynthStatus, UPLOAD_BYTES, UPLOAD_MS,
};
use common::{TONES, class, island};

#[derive(Resource)]
struct Session {
    side: u32,
    radius: f32,
    length: Duration,
    /// The strokes are over, and their figures told.
    is_reported: bool,
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

/// Single dabs, and when they are seen.
#[derive(Resource, Default)]
struct Dabs {
    target: Handle<Image>,
    /// Whether frames are read back.
    is_reading: bool,
    /// The last frame that came back, and how many did.
    seen: Vec<u8>,
    frames: usize,
    /// When the last dab was made, if it is not seen yet, and what was seen before.
    made: Option<(Instant, Vec<u8>)>,
    count: u32,
    /// When the last dab was made, or the strokes ended.
    last: Option<Instant>,
    times: Vec<f64>,
    missed: u32,
}

/// Dabs that are made.
const DABS: u32 = 60;
/// How long a dab is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Levels of 255 by which a pixel must change to count as seen.
const VISIBLE: u8 = 8;

const PATHS: [(&DiagnosticPath, &str); 5] = [
    (&MAIN_MS, "main thread, ms per frame"),
    (&MAIN_CPU_MS, "main thread, ms of a processor per frame"),
    (&UPLOAD_MS, "writing to the GPU's queue, ms per frame that does"),
    (&UPLOAD_BYTES, "bytes written, per frame that does"),
    (&LATENCY_MS, "edit to the GPU's queue, ms"),
];

fn main() -> AppExit {
    let numbers: Vec<f32> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |index: usize, default: f32| numbers.get(index).copied().unwrap_or(default);
    let session = Session {
        side: number(0, 512.0) as u32,
        length: Duration::from_secs_f32(number(1, 30.0)),
        radius: number(2, 16.0),
        is_reported: false,
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
        .init_resource::<Dabs>()
        .add_systems(Startup, setup)
        .add_systems(Update, (paint, note, dab).chain())
        .add_observer(see)
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

#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
fn setup(
    mut commands: Commands,
    session: Res<Session>,
    mut images: ResMut<Assets<Image>>,
    mut labels: ResMut<Assets<LabelMap>>,
    mut models: ResMut<Assets<SynthModel>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    mut dabs: ResMut<Dabs>,
) -> Result {
    let mut target = Image::new_target_texture(320, 180, TextureFormat::Rgba8UnormSrgb, None);
    target.texture_descriptor.usage |= TextureUsages::COPY_SRC;
    let target = images.add(target);
    dabs.target = target.clone();
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
    let Some(start) = session.start.filter(|start| start.elapsed() < session.length) else { return };
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

/// Makes single dabs when the strokes are over, and reports when all are seen.
fn dab(
    mut commands: Commands,
    session: Res<Session>,
    mut dabs: ResMut<Dabs>,
    terrain: Single<(&SemanticTerrain, &SynthStatus)>,
    maps: Res<Assets<LabelMap>>,
    mut exit: MessageWriter<AppExit>,
) {
    if !session.is_reported {
        return;
    }
    let (terrain, status) = *terrain;
    if !dabs.is_reading {
        dabs.is_reading = true;
        dabs.last = Some(Instant::now());
        commands.spawn(Readback::texture(dabs.target.clone()));
    }
    let waited = dabs.last.map_or(Duration::ZERO, |last| last.elapsed());
    if dabs.made.is_some() && waited > PATIENCE {
        dabs.made = None;
        dabs.missed += 1;
    }
    // What was painted last is on its way to the screen when it is ready.
    let is_quiet = status.state == SynthState::Ready && waited > Duration::from_millis(400) && dabs.frames > 10;
    if dabs.made.is_some() || !is_quiet {
        return;
    }
    if dabs.count == DABS {
        report("edit to the first frame that shows it, read-back included, ms", &mut dabs.times);
        println!("dabs that were not seen: {}", dabs.missed);
        exit.write(AppExit::Success);
        return;
    }
    let Some(map) = maps.get(&terrain.labels) else { return };
    dabs.count += 1;
    // Well spread, each on another place.
    let part = |step: f32| 0.2 + 0.6 * (dabs.count as f32 * step).fract();
    let center = Vec2::new(part(0.618_034), part(0.754_878)) * session.side as f32;
    let snow = map.get(center.x as u32, center.y as u32) == Some(class::SNOW);
    let class = if snow { class::DEEP_WATER } else { class::SNOW };
    let (now, before) = (Instant::now(), dabs.seen.clone());
    commands.queue(PaintLabels::shape(&terrain.labels, class, Shape::Disc { center, radius: session.radius }));
    (dabs.made, dabs.last) = (Some((now, before)), Some(now));
}

/// Takes a frame that was read back.
fn see(frame: On<ReadbackComplete>, mut dabs: ResMut<Dabs>) {
    let shows = |before: &[u8]| before.iter().zip(&frame.data).any(|(a, b)| a.abs_diff(*b) > VISIBLE);
    if let Some((made, _)) = dabs.made.take_if(|(_, before)| shows(before)) {
        dabs.times.push(1e3 * made.elapsed().as_secs_f64());
    }
    dabs.seen.clone_from(&frame.data);
    dabs.frames += 1;
}

fn note(mut session: ResMut<Session>, store: Res<DiagnosticsStore>) {
    if session.is_reported {
        return;
    }
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
    println!("main thread: all of the plugin's systems, and painting commands");
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
    session.is_reported = true;
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
