//! A brush for apps: what is painted with, strokes, and the keyboard shortcuts that people expect.

use bevy_app::{App, Plugin, PreUpdate};
use bevy_asset::{Assets, Handle};
use bevy_ecs::change_detection::DetectChangesMut;
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::{Commands, Query, Res, ResMut};
use bevy_input::keyboard::KeyCode;
use bevy_input::{ButtonInput, InputSystems};
use bevy_math::{UVec2, Vec2};
use bevy_reflect::Reflect;

use crate::cost::FrameCost;
use crate::labels::{LabelMap, PaintLabels, Shape};
use crate::model::SynthClasses;
use crate::terrain::SemanticTerrain;

/// What the pointer does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum ToolMode {
    /// Paints a stroke.
    #[default]
    Brush,
    /// Fills a connected area.
    Fill,
    /// Takes the class under the pointer.
    Pick,
}

/// The tool that the user paints with. Where the pointer is on the labels is for the app to find out; it then calls
/// [`press`](Self::press), [`drag`](Self::drag) and [`release`](Self::release).
#[derive(Resource, Clone, Debug, PartialEq, Reflect)]
pub struct PaintTool {
    /// The class that is painted.
    pub class: u16,
    /// Radius of the brush in pixels of the labels, 0.5 to 256.
    pub radius: f32,
    /// What the pointer does.
    pub mode: ToolMode,
    /// Where the stroke was last.
    #[reflect(ignore)]
    last: Option<Vec2>,
}

impl Default for PaintTool {
    fn default() -> Self {
        Self { class: 0, radius: 12.0, mode: ToolMode::default(), last: None }
    }
}

impl PaintTool {
    /// The pointer was pressed at a place, in pixels of the labels.
    pub fn press(&mut self, commands: &mut Commands<'_, '_>, labels: &Handle<LabelMap>, map: &LabelMap, at: Vec2) {
        let pixel = at.max(Vec2::ZERO).as_uvec2();
        match self.mode {
            ToolMode::Brush => {
                commands.queue(PaintLabels::begin_group(labels));
                let dab = Shape::Disc { center: at, radius: self.radius };
                commands.queue(PaintLabels::shape(labels, self.class, dab));
                self.last = Some(at);
            }
            ToolMode::Fill => commands.queue(PaintLabels::shape(labels, self.class, Shape::Fill(pixel))),
            ToolMode::Pick => self.class = map.get(pixel.x, pixel.y).unwrap_or(self.class),
        }
    }

    /// The pointer moved to a place while pressed.
    pub fn drag(&mut self, commands: &mut Commands<'_, '_>, labels: &Handle<LabelMap>, at: Vec2) {
        if let Some(from) = self.last.filter(|from| *from != at) {
            let line = Shape::Line { from, to: at, radius: self.radius };
            commands.queue(PaintLabels::shape(labels, self.class, line));
            self.last = Some(at);
        }
    }

    /// The pointer was released, or lost the labels.
    pub fn release(&mut self, commands: &mut Commands<'_, '_>, labels: &Handle<LabelMap>) {
        if self.last.take().is_some() {
            commands.queue(PaintLabels::end_group(labels));
        }
    }

    /// Makes the brush wider or narrower by a factor.
    pub fn scale(&mut self, factor: f32) {
        self.radius = (self.radius * factor).clamp(0.5, 256.0);
    }

    /// The pixel of a map at texture coordinates, 0 to 1 from the top left.
    pub fn place(uv: Vec2, size: UVec2) -> Vec2 {
        uv * size.as_vec2()
    }
}

/// Adds [`PaintTool`] and its shortcuts: 1 to 9 and 0 for the first ten classes, `[` and `]` for the radius, B, F and I for
/// brush, fill and pick, Ctrl+Z for undo, Ctrl+Shift+Z and Ctrl+Y for redo. Shortcuts apply to all terrains' labels; during a
/// stroke, undo and redo end it. With the feature `egui`, keys that go to a field or an open list of egui are no shortcuts.
#[derive(Clone, Copy, Debug, Default)]
pub struct PaintToolPlugin;

impl Plugin for PaintToolPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<PaintTool>().register_type::<PaintTool>();
        let shortcuts = shortcuts.after(InputSystems);
        #[cfg(feature = "egui")]
        let shortcuts = shortcuts.run_if(crate::panel::keyboard_is_free);
        app.add_systems(PreUpdate, shortcuts);
    }
}

const DIGITS: [KeyCode; 10] = [
    KeyCode::Digit1,
    KeyCode::Digit2,
    KeyCode::Digit3,
    KeyCode::Digit4,
    KeyCode::Digit5,
    KeyCode::Digit6,
    KeyCode::Digit7,
    KeyCode::Digit8,
    KeyCode::Digit9,
    KeyCode::Digit0,
];

fn shortcuts(
    keys: Option<Res<ButtonInput<KeyCode>>>,
    mut tool: ResMut<PaintTool>,
    terrains: Query<(&SemanticTerrain, Option<&SynthClasses>)>,
    maps: Res<Assets<LabelMap>>,
    mut commands: Commands,
    cost: Option<Res<FrameCost>>,
) {
    let _counting = cost.as_deref().map(FrameCost::count);
    let Some(keys) = keys else { return };
    if keys.get_just_pressed().next().is_none() {
        return;
    }
    if keys.any_pressed([KeyCode::ControlLeft, KeyCode::ControlRight, KeyCode::SuperLeft, KeyCode::SuperRight]) {
        let shift = keys.any_pressed([KeyCode::ShiftLeft, KeyCode::ShiftRight]);
        let undo = keys.just_pressed(KeyCode::KeyZ) && !shift;
        let redo = keys.just_pressed(KeyCode::KeyY) || keys.just_pressed(KeyCode::KeyZ) && shift;
        if undo || redo {
            // What is dragged on would be steps of its own.
            tool.last = None;
        }
        let mut done = Vec::new();
        for (terrain, _) in &terrains {
            // Terrains may share their labels.
            if (undo || redo) && maps.contains(&terrain.labels) && !done.contains(&terrain.labels) {
                let step = if undo { PaintLabels::undo } else { PaintLabels::redo };
                commands.queue(step(&terrain.labels));
                done.push(terrain.labels.clone());
            }
        }
        return;
    }
    let mut next = tool.clone();
    for (index, key) in DIGITS.into_iter().enumerate() {
        let class = terrains.iter().find_map(|(_, classes)| classes?.0.iter().nth(index));
        if let Some(class) = class.filter(|_| keys.just_pressed(key)) {
            next.class = class.id;
        }
    }
    for (key, mode) in
        [(KeyCode::KeyB, ToolMode::Brush), (KeyCode::KeyF, ToolMode::Fill), (KeyCode::KeyI, ToolMode::Pick)]
    {
        if keys.just_pressed(key) {
            next.mode = mode;
        }
    }
    for (key, factor) in [(KeyCode::BracketLeft, 0.8), (KeyCode::BracketRight, 1.25)] {
        if keys.just_pressed(key) {
            next.scale(factor);
        }
    }
    tool.set_if_neq(next);
}

#[cfg(test)]
mod tests {
    use bevy_ecs::system::RunSystemOnce;
    use bevy_ecs::world::World;

    use super::*;

    fn world() -> (World, Handle<LabelMap>) {
        let mut world = World::new();
        let mut maps = Assets::<LabelMap>::default();
        let labels = maps.add(LabelMap::filled(64, 64, 1).unwrap());
        world.insert_resource(maps);
        world.init_resource::<PaintTool>();
        world.init_resource::<ButtonInput<KeyCode>>();
        let model = Handle::default();
        world.spawn((SemanticTerrain { labels: labels.clone(), model }, classes()));
        (world, labels)
    }

    fn classes() -> SynthClasses {
        SynthClasses(std::sync::Arc::new(semsynth::ClassTable::cmp_facades()))
    }

    fn press(world: &mut World, keys: &[KeyCode]) {
        let mut input = ButtonInput::<KeyCode>::default();
        for key in keys {
            input.press(*key);
        }
        world.insert_resource(input);
        world.run_system_once(shortcuts).unwrap();
        world.flush();
    }

    #[test]
    fn a_stroke_is_one_step_that_the_shortcuts_undo_and_redo() {
        let (mut world, labels) = world();
        let handle = labels.clone();
        let stroke = move |mut tool: ResMut<PaintTool>, maps: Res<Assets<LabelMap>>, mut commands: Commands| {
            (tool.class, tool.radius) = (5, 3.0);
            tool.press(&mut commands, &handle, maps.get(&handle).unwrap(), Vec2::new(10.0, 10.0));
            tool.drag(&mut commands, &handle, Vec2::new(30.0, 10.0));
            tool.drag(&mut commands, &handle, Vec2::new(50.0, 10.0));
            tool.release(&mut commands, &handle);
            // Without a stroke nothing is painted.
            tool.drag(&mut commands, &handle, Vec2::new(10.0, 50.0));
        };
        world.run_system_once(stroke).unwrap();
        let at = |world: &World, x, y| world.resource::<Assets<LabelMap>>().get(&labels).unwrap().get(x, y);
        assert_eq!([at(&world, 20, 10), at(&world, 45, 10), at(&world, 10, 50)], [Some(5), Some(5), Some(1)]);
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::KeyZ]);
        assert_eq!([at(&world, 20, 10), at(&world, 45, 10)], [Some(1); 2]);
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::ShiftLeft, KeyCode::KeyZ]);
        assert_eq!(at(&world, 20, 10), Some(5));
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::KeyZ]);
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::KeyY]);
        assert_eq!(at(&world, 20, 10), Some(5));
    }

    #[test]
    fn undo_during_a_stroke_takes_it_back_and_ends_it() {
        let (mut world, labels) = world();
        let step = |world: &mut World, first: bool| {
            let handle = labels.clone();
            let stroke = move |mut tool: ResMut<PaintTool>, maps: Res<Assets<LabelMap>>, mut commands: Commands| {
                (tool.class, tool.radius) = (5, 3.0);
                if first {
                    tool.press(&mut commands, &handle, maps.get(&handle).unwrap(), Vec2::new(10.0, 10.0));
                }
                tool.drag(&mut commands, &handle, Vec2::new(30.0, if first { 10.0 } else { 30.0 }));
            };
            world.run_system_once(stroke).unwrap();
        };
        step(&mut world, true);
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::KeyZ]);
        let map = |world: &World| world.resource::<Assets<LabelMap>>().get(&labels).unwrap().ids().to_vec();
        assert!(map(&world).iter().all(|&id| id == 1));
        // The button is still pressed.
        step(&mut world, false);
        assert!(map(&world).iter().all(|&id| id == 1));
        let handle = labels.clone();
        let release = move |mut tool: ResMut<PaintTool>, mut commands: Commands| tool.release(&mut commands, &handle);
        world.run_system_once(release).unwrap();
        // The next stroke is one step.
        step(&mut world, true);
        step(&mut world, false);
        press(&mut world, &[KeyCode::ControlLeft, KeyCode::KeyZ]);
        assert!(map(&world).iter().all(|&id| id == 1));
    }

    #[test]
    fn keys_choose_class_mode_and_radius() {
        let (mut world, _) = world();
        press(&mut world, &[KeyCode::Digit4]);
        press(&mut world, &[KeyCode::KeyF]);
        press(&mut world, &[KeyCode::BracketRight]);
        let tool = world.resource::<PaintTool>();
        assert_eq!((tool.class, tool.mode, tool.radius), (3, ToolMode::Fill, 15.0));
        for _ in 0..100 {
            press(&mut world, &[KeyCode::BracketLeft]);
        }
        assert!((world.resource::<PaintTool>().radius - 0.5).abs() < 1e-6);
    }

    #[test]
    fn fill_and_pick_take_the_pixel_under_the_pointer() {
        let (mut world, labels) = world();
        let handle = labels.clone();
        let fill = move |mut tool: ResMut<PaintTool>, maps: Res<Assets<LabelMap>>, mut commands: Commands| {
            (tool.class, tool.mode) = (7, ToolMode::Fill);
            let map = maps.get(&handle).unwrap();
            tool.press(&mut commands, &handle, map, PaintTool::place(Vec2::new(0.5, 0.25), map.size()));
        };
        world.run_system_once(fill).unwrap();
        let map = world.resource::<Assets<LabelMap>>().get(&labels).unwrap();
        assert!(map.ids().iter().all(|&id| id == 7));
        let handle = labels.clone();
        let pick = move |mut tool: ResMut<PaintTool>, maps: Res<Assets<LabelMap>>, mut commands: Commands| {
            (tool.class, tool.mode) = (0, ToolMode::Pick);
            tool.press(&mut commands, &handle, maps.get(&handle).unwrap(), Vec2::new(3.0, 3.0));
            assert_eq!(tool.class, 7);
            // Outside nothing is picked.
            tool.press(&mut commands, &handle, maps.get(&handle).unwrap(), Vec2::new(300.0, 3.0));
            assert_eq!(tool.class, 7);
        };
        world.run_system_once(pick).unwrap();
    }
}
