//! The paint panel, as egui runs it, without a window or a GPU: what is read on it, clicked and typed.

#![cfg(feature = "egui")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bevy::input::ButtonState;
use bevy::input::InputPlugin;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::*;
use bevy::window::{PrimaryWindow, WindowPlugin};
use bevy_egui::egui::{self, Event, Modifiers, PointerButton, Pos2};
use bevy_egui::{EguiFullOutput, EguiPostUpdateSet, EguiUserTextures, PrimaryEguiContext, input::EguiInputEvent};
use bevy_semsynth::panel::{PanelTarget, SynthPanel, SynthPanelPlugin};
use bevy_semsynth::{
    LabelMap, PaintTool, SemanticTerrain, SemanticWorld, Shape, StyleSource, SynthChunk, SynthModel, SynthOutput,
    SynthPresets, SynthSettings, SynthState, SynthViewer, ToolMode,
};
use common::World3;

/// What egui shows: texts and their places.
#[derive(Resource, Default)]
struct Shown(Vec<(String, egui::Rect)>);

fn collect(shape: &egui::Shape, shown: &mut Vec<(String, egui::Rect)>) {
    match shape {
        egui::Shape::Vec(shapes) => shapes.iter().for_each(|shape| collect(shape, shown)),
        egui::Shape::Text(text) => shown.push((text.galley.text().into(), text.visual_bounding_rect())),
        _ => {}
    }
}

fn look(outputs: Query<&EguiFullOutput>, mut shown: ResMut<Shown>) {
    let Some(output) = outputs.iter().find_map(|output| output.0.as_ref()) else { return };
    shown.0.clear();
    output.shapes.iter().for_each(|clipped| collect(&clipped.shape, &mut shown.0));
}

struct Bench {
    world: World3,
    context: Entity,
    window: Entity,
}

impl Bench {
    fn new() -> Self {
        let mut world = World3::new();
        let app = &mut world.app;
        let window = WindowPlugin { primary_window: None, ..default() };
        app.add_plugins((InputPlugin, window)).init_asset::<Shader>().init_resource::<Shown>();
        app.add_plugins(SynthPanelPlugin);
        app.add_systems(PostUpdate, look.after(EguiPostUpdateSet::EndPass).before(EguiPostUpdateSet::ProcessOutput));
        let window = app.world_mut().spawn((Window::default(), PrimaryWindow)).id();
        let context = app.world_mut().spawn((Camera::default(), PrimaryEguiContext)).id();
        Self { world, context, window }
    }

    fn model(&mut self) -> Handle<SynthModel> {
        let model = SynthModel::builtin("terrain").unwrap();
        self.world.app.world_mut().resource_mut::<Assets<SynthModel>>().add(model)
    }

    fn terrain(&mut self) -> (Entity, Handle<LabelMap>) {
        let (labels, model) = (self.world.add_labels(LabelMap::filled(64, 64, 4).unwrap()), self.model());
        let entity = self.world.app.world_mut().spawn(SemanticTerrain { labels: labels.clone(), model }).id();
        self.world.until_ready(entity);
        // Windows take some passes to find their size.
        self.frames(3);
        (entity, labels)
    }

    fn frames(&mut self, count: usize) {
        (0..count).for_each(|_| self.world.app.update());
    }

    fn send(&mut self, event: Event) {
        self.world.app.world_mut().write_message(EguiInputEvent { context: self.context, event });
    }

    /// The middle of the last text that reads so; lists come last.
    fn place(&self, text: &str) -> Option<Pos2> {
        let shown = &self.world.app.world().resource::<Shown>().0;
        shown.iter().rev().find(|(found, _)| found == text).map(|(_, rect)| rect.center())
    }

    fn point_at(&mut self, pos: Pos2) {
        self.send(Event::PointerMoved(pos));
        self.frames(2);
    }

    fn click_at(&mut self, pos: Pos2) {
        self.point_at(pos);
        for pressed in [true, false] {
            self.send(Event::PointerButton {
                pos,
                button: PointerButton::Primary,
                pressed,
                modifiers: Modifiers::default(),
            });
            self.frames(1);
        }
        self.frames(2);
    }

    fn click(&mut self, text: &str) {
        let pos = self.place(text);
        let shown = || self.world.app.world().resource::<Shown>().0.iter().map(|(text, _)| text).collect::<Vec<_>>();
        let pos = pos.unwrap_or_else(|| panic!("no {text:?} in {:?}", shown()));
        self.click_at(pos);
    }

    /// Keys go to the app and, through its window, to egui.
    fn key(&mut self, keys: &[(KeyCode, Key)]) {
        for state in [ButtonState::Pressed, ButtonState::Released] {
            for (key_code, logical_key) in keys {
                self.world.app.world_mut().write_message(KeyboardInput {
                    key_code: *key_code,
                    logical_key: logical_key.clone(),
                    state,
                    text: None,
                    repeat: false,
                    window: self.window,
                });
            }
            self.frames(1);
        }
        self.frames(1);
    }

    fn digit(&mut self, digit: KeyCode, text: &str) {
        self.key(&[(digit, Key::Character(text.into()))]);
    }

    /// Replaces the text of the field at a place.
    fn write(&mut self, pos: Pos2, text: &str) {
        self.click_at(pos);
        self.send(Event::Key {
            key: egui::Key::A,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers: Modifiers::COMMAND,
        });
        self.send(Event::Text(text.into()));
        self.frames(2);
    }

    fn tool(&self) -> &PaintTool {
        self.world.app.world().resource()
    }

    fn panel(&self) -> &SynthPanel {
        self.world.app.world().resource()
    }

    fn settings(&self, entity: Entity) -> &SynthSettings {
        self.world.app.world().get(entity).unwrap()
    }
}

#[test]
fn swatches_and_modes_choose_and_buttons_undo_and_redo() {
    let mut bench = Bench::new();
    let (_, labels) = bench.terrain();
    bench.click("rock");
    assert_eq!(bench.tool().class, 6);
    bench.click("forest");
    assert_eq!(bench.tool().class, 5);
    for (text, mode) in [("Fill", ToolMode::Fill), ("Pick", ToolMode::Pick), ("Brush", ToolMode::Brush)] {
        bench.click(text);
        assert_eq!(bench.tool().mode, mode);
    }
    let count = |bench: &Bench| {
        let maps = bench.world.app.world().resource::<Assets<LabelMap>>();
        maps.get(&labels).unwrap().ids().iter().filter(|id| **id == 6).count()
    };
    // With nothing to undo, the button does nothing.
    bench.click("Undo");
    bench.world.edit(&labels, |map| map.paint(&Shape::All, 6)).unwrap();
    bench.frames(1);
    assert_eq!(count(&bench), 64 * 64);
    bench.click("Undo");
    assert_eq!(count(&bench), 0);
    bench.click("Redo");
    assert_eq!(count(&bench), 64 * 64);
}

#[test]
fn seed_presets_and_repetition_reach_the_settings_and_are_painted() {
    let mut bench = Bench::new();
    let (entity, _) = bench.terrain();
    bench.click("Next");
    assert_eq!(bench.settings(entity).seed, 1);
    bench.write(bench.place("1").unwrap(), "42");
    bench.send(Event::Key {
        key: egui::Key::Enter,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::default(),
    });
    bench.frames(2);
    assert_eq!(bench.settings(entity).seed, 42);
    let first = bench.world.app.world().get::<SynthPresets>(entity).unwrap().0[0].name.clone();
    bench.click(&first);
    bench.click("alpine");
    assert_eq!(bench.settings(entity).style, Some(StyleSource::Preset("alpine".into())));
    // The style of the class that is painted with.
    bench.click("rock");
    bench.click("(as all)");
    bench.click("northern");
    let parts = &bench.settings(entity).class_styles;
    assert!(parts.len() == 1 && parts[0].style == StyleSource::Preset("northern".into()), "{parts:?}");
    bench.world.until_ready(entity);
    bench.click("across");
    assert_eq!(bench.settings(entity).wrap, BVec2::new(true, false));
    bench.world.until_ready(entity);
    bench.frames(2);
    // Shown beside itself.
    let image = bench.world.image(entity).id();
    assert!(bench.world.app.world().resource::<EguiUserTextures>().image_id(image).is_some());
    bench.click("across");
    bench.frames(2);
    assert!(bench.world.app.world().resource::<EguiUserTextures>().image_id(image).is_none());
}

#[test]
fn pictures_are_saved_where_the_field_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ground.png");
    let mut bench = Bench::new();
    bench.terrain();
    bench.write(bench.place("terrain.png").unwrap(), &path.display().to_string());
    assert_eq!(bench.panel().file, path);
    bench.click("Save PNG");
    let message = format!("saved {}", path.display());
    bench
        .world
        .until("the message", |world| world.app.world().resource::<Shown>().0.iter().any(|(text, _)| *text == message));
    assert!(path.metadata().unwrap().len() > 100);
}

#[test]
fn keys_that_are_typed_into_a_field_are_no_shortcuts() {
    let mut bench = Bench::new();
    let (_, labels) = bench.terrain();
    bench.world.edit(&labels, |map| map.paint(&Shape::All, 6)).unwrap();
    bench.digit(KeyCode::Digit4, "4");
    assert_eq!(bench.tool().class, 3);
    bench.click("terrain.png");
    bench.digit(KeyCode::Digit7, "7");
    bench.digit(KeyCode::KeyF, "f");
    bench.digit(KeyCode::KeyL, "l");
    assert!(bench.panel().file.to_str().unwrap().contains("7fl"), "{:?}", bench.panel().file);
    let control = (KeyCode::ControlLeft, Key::Control);
    bench.key(&[control.clone(), (KeyCode::KeyZ, Key::Character("z".into()))]);
    let painted =
        |bench: &Bench| bench.world.app.world().resource::<Assets<LabelMap>>().get(&labels).unwrap().ids().contains(&6);
    assert_eq!((bench.tool().class, bench.tool().mode), (3, ToolMode::Brush));
    assert!(painted(&bench) && !bench.panel().show_labels && bench.panel().is_open);
    // Elsewhere they are again.
    bench.click_at(Pos2::new(900.0, 700.0));
    bench.digit(KeyCode::Digit7, "7");
    assert_eq!(bench.tool().class, 6);
    bench.key(&[control, (KeyCode::KeyZ, Key::Character("z".into()))]);
    assert!(!painted(&bench));
    bench.digit(KeyCode::KeyL, "l");
    assert!(bench.panel().show_labels);
    // Tab, with which egui goes from field to field, closes and opens the panel, any number of times.
    for open in [false, true, false, true] {
        bench.key(&[(KeyCode::Tab, Key::Tab)]);
        assert_eq!((bench.panel().is_open, bench.place("Undo").is_some()), (open, open));
    }
    bench.digit(KeyCode::Digit2, "2");
    assert_eq!(bench.tool().class, 1);
}

#[test]
fn the_pointer_belongs_to_the_panel_above_it_only() {
    let mut bench = Bench::new();
    bench.terrain();
    let over = bench.place("Undo").unwrap();
    for _ in 0..2 {
        bench.point_at(over);
        assert!(bench.panel().wants_pointer());
        bench.point_at(Pos2::new(900.0, 700.0));
        assert!(!bench.panel().wants_pointer());
    }
    // A closed one wants nothing.
    bench.key(&[(KeyCode::Tab, Key::Tab)]);
    bench.point_at(over);
    assert!(!bench.panel().wants_pointer());
}

#[test]
fn worlds_are_shown_with_their_chunks_and_settings() {
    let mut bench = Bench::new();
    let model = bench.model();
    let ground = SemanticWorld { chunk: 32, radius: 0.8, ..SemanticWorld::new(|_, _| 4, model) };
    let entity = bench.world.app.world_mut().spawn(ground).id();
    bench.world.app.world_mut().spawn((SynthViewer, GlobalTransform::from_xyz(1.0, 0.0, 1.0)));
    bench.frames(2);
    assert!(bench.place("Next").is_some() && bench.place("Undo").is_none());
    bench.world.until_ready(entity);
    bench.frames(3);
    assert!(bench.place("ready").is_some());
    let mut chunks = bench.world.app.world_mut().query_filtered::<&SynthOutput, With<SynthChunk>>();
    let world = bench.world.app.world();
    let images: Vec<AssetId<Image>> =
        chunks.iter(world).map(|output| output.base_color.as_ref().unwrap().id()).collect();
    assert!(!images.is_empty());
    let textures = world.resource::<EguiUserTextures>();
    assert!(images.iter().all(|image| textures.image_id(*image).is_some()));
    bench.click("Next");
    assert_eq!(bench.settings(entity).seed, 1);
    let presets = bench.world.app.world().get::<SynthPresets>(entity).unwrap().0.clone();
    bench.click(&presets[0].name);
    bench.click("alpine");
    assert_eq!(bench.settings(entity).style, Some(StyleSource::Preset("alpine".into())));
    bench.world.until_ready(entity);
    // A terrain goes first, unless the world is marked.
    let (terrain, _) = bench.terrain();
    assert!(bench.place("Undo").is_some());
    let textures = bench.world.app.world().resource::<EguiUserTextures>();
    assert!(images.iter().all(|image| textures.image_id(*image).is_none()));
    bench.world.app.world_mut().entity_mut(entity).insert(PanelTarget);
    bench.frames(3);
    assert!(bench.place("Undo").is_none());
    assert_eq!(bench.world.status(terrain).state, SynthState::Ready);
}
