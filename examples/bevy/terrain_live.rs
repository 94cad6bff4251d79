//! A terrain whose heights and colours follow its labels, painted with the mouse.
//!
//! `cargo run --release -p bevy_semsynth --example terrain_live`, with `--features egui` for the paint panel
//!
//! | input | |
//! |---|---|
//! | left button | paint |
//! | right button | turn the camera |
//! | wheel | zoom |
//! | 1 to 9, 0 | choose a class |
//! | [ ] | narrower, wider brush |
//! | B F I | brush, fill, pick |
//! | Ctrl+Z, Ctrl+Y | undo, redo |
//! | Tab | panel on and off |
//! | L | labels in place of the texture |

mod common;

use bevy::asset::RenderAssetUsages;
use bevy::input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll};
use bevy::mesh::{Indices, PrimitiveTopology};
use bevy::prelude::*;
use bevy_semsynth::{
    LabelMap, PaintTool, PaintToolPlugin, SemSynthPlugin, SemanticTerrain, SynthClasses, SynthModel, SynthState,
    SynthStatus, SynthSurface,
};
use common::{ScreenshotPlugin, TONES, class, default_plugins, island};

/// Side of the labels in pixels.
const SIDE: u32 = 512;
/// Side of the ground in meters.
const GROUND: f32 = 10.0;
/// Squares of the mesh along a side.
const SQUARES: u32 = 256;

fn main() {
    let mut app = App::new();
    app.add_plugins((default_plugins(), SemSynthPlugin, PaintToolPlugin, ScreenshotPlugin));
    #[cfg(feature = "egui")]
    app.add_plugins(bevy_semsynth::panel::SynthPanelPlugin);
    app.insert_resource(ClearColor(Color::srgb(0.6, 0.7, 0.8)))
        .init_resource::<Orbit>()
        .init_resource::<PointerIsTaken>()
        .add_systems(Startup, setup)
        .add_systems(Update, (follow_panel, orbit, paint, raise, show_state).chain())
        .run();
}

/// The camera's place around the middle of the ground.
#[derive(Resource)]
struct Orbit {
    yaw: f32,
    pitch: f32,
    distance: f32,
}

impl Default for Orbit {
    fn default() -> Self {
        Self { yaw: 0.5, pitch: 0.8, distance: 12.0 }
    }
}

/// Whether the pointer is over the panel.
#[derive(Resource, Default)]
struct PointerIsTaken(bool);

/// Heights of the mesh's corners, row by row.
#[derive(Component)]
struct Ground {
    heights: Vec<f32>,
    /// The ids that the heights were made of.
    ids: Vec<u16>,
}

fn setup(
    mut commands: Commands,
    mut labels: ResMut<Assets<LabelMap>>,
    mut models: ResMut<Assets<SynthModel>>,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<StandardMaterial>>,
    mut tool: ResMut<PaintTool>,
) -> Result {
    tool.class = class::FOREST;
    let ids = island(SIDE);
    let heights = heights(&ids);
    commands.spawn((
        SemanticTerrain {
            labels: labels.add(LabelMap::new(SIDE, SIDE, ids.clone())?),
            model: models.add(SynthModel::builtin("terrain")?),
        },
        SynthSurface::default()
            .class(class::DEEP_WATER, 0.5, 0.25)
            .class(class::SHALLOW_WATER, 0.5, 0.3)
            .class(class::FOREST, 6.0, 1.0)
            .class(class::SNOW, 1.0, 0.7),
        Mesh3d(meshes.add(mesh(&heights))),
        MeshMaterial3d(materials.add(StandardMaterial { perceptual_roughness: 0.95, reflectance: 0.2, ..default() })),
        Ground { heights, ids },
    ));
    commands.spawn((Camera3d::default(), TONES, Transform::default()));
    commands.spawn((
        DirectionalLight { illuminance: 9000.0, shadow_maps_enabled: true, ..default() },
        Transform::from_xyz(5.0, 7.0, 3.0).looking_at(Vec3::ZERO, Vec3::Y),
    ));
    Ok(())
}

/// How high the ground of a class is, in meters.
fn height_of(id: u16) -> f32 {
    match id {
        class::DEEP_WATER => -0.12,
        class::SHALLOW_WATER => -0.08,
        class::SAND | class::WETLAND => -0.03,
        class::FOREST => 0.07,
        class::ROOF => 0.1,
        class::ROCK => 0.2,
        class::SNOW => 0.35,
        _ => 0.0,
    }
}

fn heights(ids: &[u16]) -> Vec<f32> {
    let corner = |x: u32, y: u32| {
        // The mean of the four pixels around it.
        let pixel = |dx: i64, dy: i64| {
            let at = |corner: u32, by: i64| (i64::from(corner * SIDE / SQUARES) + by).clamp(0, i64::from(SIDE) - 1);
            height_of(ids[(at(y, dy) * i64::from(SIDE) + at(x, dx)) as usize])
        };
        (pixel(-1, -1) + pixel(0, -1) + pixel(-1, 0) + pixel(0, 0)) / 4.0
    };
    (0..=SQUARES).flat_map(|y| (0..=SQUARES).map(move |x| (x, y))).map(|(x, y)| corner(x, y)).collect()
}

fn mesh(heights: &[f32]) -> Mesh {
    let side = SQUARES + 1;
    let index = |x: u32, y: u32| (y * side + x) as usize;
    let place = |x: u32| (x as f32 / SQUARES as f32 - 0.5) * GROUND;
    let (mut positions, mut normals, mut uvs) = (Vec::new(), Vec::new(), Vec::new());
    for y in 0..side {
        for x in 0..side {
            positions.push([place(x), heights[index(x, y)], place(y)]);
            let slope =
                |a: usize, b: usize, steps: u32| (heights[a] - heights[b]) / (steps as f32 * GROUND / SQUARES as f32);
            let (left, right) = (x.saturating_sub(1), (x + 1).min(SQUARES));
            let (up, down) = (y.saturating_sub(1), (y + 1).min(SQUARES));
            let across = slope(index(left, y), index(right, y), right - left);
            let along = slope(index(x, up), index(x, down), down - up);
            normals.push(Vec3::new(across, 1.0, along).normalize().to_array());
            uvs.push([x as f32 / SQUARES as f32, y as f32 / SQUARES as f32]);
        }
    }
    let squares = (0..SQUARES).flat_map(|y| (0..SQUARES).map(move |x| (x, y)));
    let indices = squares.flat_map(|(x, y)| {
        let [a, b, c, d] = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| y * side + x);
        [a, c, b, b, c, d]
    });
    // The normal map's X axis is east everywhere: heights are small.
    let tangents = vec![[1.0, 0.0, 0.0, 1.0]; positions.len()];
    Mesh::new(PrimitiveTopology::TriangleList, RenderAssetUsages::default())
        .with_inserted_indices(Indices::U32(indices.collect()))
        .with_inserted_attribute(Mesh::ATTRIBUTE_POSITION, positions)
        .with_inserted_attribute(Mesh::ATTRIBUTE_NORMAL, normals)
        .with_inserted_attribute(Mesh::ATTRIBUTE_UV_0, uvs)
        .with_inserted_attribute(Mesh::ATTRIBUTE_TANGENT, tangents)
}

/// Lifts the mesh where labels changed.
fn raise(
    mut grounds: Query<(&SemanticTerrain, &Mesh3d, &mut Ground)>,
    labels: Res<Assets<LabelMap>>,
    mut meshes: ResMut<Assets<Mesh>>,
) {
    for (terrain, handle, mut ground) in &mut grounds {
        let Some(map) = labels.get(&terrain.labels).filter(|map| map.ids() != ground.ids) else { continue };
        ground.ids = map.ids().to_vec();
        ground.heights = heights(&ground.ids);
        if let Some(mut old) = meshes.get_mut(handle) {
            *old = mesh(&ground.heights);
        }
    }
}

#[cfg(feature = "egui")]
fn follow_panel(panel: Res<bevy_semsynth::panel::SynthPanel>, mut taken: ResMut<PointerIsTaken>) {
    taken.0 = panel.wants_pointer();
}

#[cfg(not(feature = "egui"))]
fn follow_panel() {}

fn orbit(
    mut orbit: ResMut<Orbit>,
    mut camera: Single<&mut Transform, With<Camera3d>>,
    buttons: Res<ButtonInput<MouseButton>>,
    motion: Res<AccumulatedMouseMotion>,
    scroll: Res<AccumulatedMouseScroll>,
    taken: Res<PointerIsTaken>,
) {
    if !taken.0 {
        if buttons.pressed(MouseButton::Right) {
            orbit.yaw -= 0.005 * motion.delta.x;
            orbit.pitch = (orbit.pitch + 0.005 * motion.delta.y).clamp(0.1, 1.5);
        }
        orbit.distance = (orbit.distance * (1.0 - 0.1 * scroll.delta.y.clamp(-5.0, 5.0))).clamp(2.0, 40.0);
    }
    let turn = Quat::from_rotation_y(orbit.yaw) * Quat::from_rotation_x(-orbit.pitch);
    **camera = Transform::from_translation(turn * Vec3::Z * orbit.distance).looking_at(Vec3::ZERO, Vec3::Y);
}

/// Where the pointer meets the ground, in pixels of the labels.
fn pointed(window: &Window, camera: &Camera, place: &GlobalTransform, ground: &Ground) -> Option<Vec2> {
    let ray = camera.viewport_to_world(place, window.cursor_position()?).ok()?;
    let height = |point: Vec3| {
        let at = (point.xz() / GROUND + 0.5) * SQUARES as f32;
        let corner = at.round().clamp(Vec2::ZERO, Vec2::splat(SQUARES as f32)).as_uvec2();
        ground.heights[(corner.y * (SQUARES + 1) + corner.x) as usize]
    };
    // Heights are small: steps of 2 cm from just above the highest ground.
    let down = -ray.direction.y;
    if down <= 1e-3 {
        return None;
    }
    let start = ray.origin + *ray.direction * ((ray.origin.y - 0.4) / down).max(0.0);
    let hit =
        (0..400).map(|step| start + *ray.direction * (0.02 * step as f32)).find(|point| point.y <= height(*point))?;
    let uv = hit.xz() / GROUND + 0.5;
    (uv.min_element() >= 0.0 && uv.max_element() < 1.0).then_some(uv * SIDE as f32)
}

#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
fn paint(
    mut commands: Commands,
    mut tool: ResMut<PaintTool>,
    buttons: Res<ButtonInput<MouseButton>>,
    window: Single<&Window>,
    camera: Single<(&Camera, &GlobalTransform), With<Camera3d>>,
    terrain: Single<(&SemanticTerrain, &Ground)>,
    labels: Res<Assets<LabelMap>>,
    taken: Res<PointerIsTaken>,
) {
    let (camera, place) = *camera;
    let (terrain, ground) = *terrain;
    let at = pointed(&window, camera, place, ground);
    // Also beside the ground: the stroke is over.
    if buttons.just_released(MouseButton::Left) {
        tool.release(&mut commands, &terrain.labels);
    }
    let (Some(at), Some(map)) = (at, labels.get(&terrain.labels)) else { return };
    if buttons.just_pressed(MouseButton::Left) && !taken.0 {
        tool.press(&mut commands, &terrain.labels, map, at);
    } else if buttons.pressed(MouseButton::Left) {
        tool.drag(&mut commands, &terrain.labels, at);
    }
}

fn show_state(
    mut window: Single<&mut Window>,
    tool: Res<PaintTool>,
    terrain: Single<(&SynthStatus, Option<&SynthClasses>)>,
) {
    let (status, classes) = *terrain;
    let name = classes.and_then(|classes| classes.0.get(tool.class)).map_or("", |class| &class.name);
    let state = match &status.state {
        SynthState::Loading => "loading".into(),
        SynthState::Queued => "waiting".into(),
        SynthState::Running { progress } => format!("painting {:.0} %", 100.0 * progress),
        SynthState::Ready => "ready".into(),
        SynthState::Failed { error } => error.clone(),
    };
    let title = format!("terrain_live: {name}, radius {:.0}, {state}", tool.radius);
    if window.title != title {
        window.title = title;
    }
}
