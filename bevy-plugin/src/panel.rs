//! The paint panel: a window of egui with classes, brush, undo, settings and progress.
//!
//! Add [`SynthPanelPlugin`] after [`SemSynthPlugin`](crate::SemSynthPlugin). It shows the first terrain, or that with
//! [`PanelTarget`], and changes [`PaintTool`].

use std::path::PathBuf;

use bevy_app::{App, Plugin};
use bevy_asset::Assets;
use bevy_diagnostic::DiagnosticsStore;
use bevy_ecs::change_detection::DetectChangesMut;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::error::Result;
use bevy_ecs::observer::On;
use bevy_ecs::query::With;
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::{Commands, Query, Res, ResMut};
use bevy_egui::egui::{self, Color32, RichText, Ui};
use bevy_egui::{EguiContexts, EguiPlugin, EguiPrimaryContextPass};
use bevy_input::ButtonInput;
use bevy_input::keyboard::KeyCode;

use crate::labels::{LabelMap, PaintLabels};
use crate::model::SynthClasses;
use crate::terrain::{SemanticTerrain, SynthSettings, SynthState, SynthStatus};
use crate::tool::{PaintTool, PaintToolPlugin, ToolMode};
use crate::{LATENCY_MS, PictureSaved, QUEUE, SavePicture};

/// Shows the paint panel. Adds [`EguiPlugin`] and [`PaintToolPlugin`] if they are missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SynthPanelPlugin;

/// The terrain that the panel is about; without one it is the first.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct PanelTarget;

/// The state of the panel.
#[derive(Resource, Clone, Debug)]
pub struct SynthPanel {
    /// Whether it is shown; Tab changes that.
    pub is_open: bool,
    /// Where "Save PNG" writes to.
    pub file: PathBuf,
    /// What became of the last picture saved.
    message: String,
    /// Whether the pointer is over the panel, so that it does not paint below.
    wants_pointer: bool,
}

impl Default for SynthPanel {
    fn default() -> Self {
        Self { is_open: true, file: "terrain.png".into(), message: String::new(), wants_pointer: false }
    }
}

impl SynthPanel {
    /// Whether the pointer is over a window of egui: then it should not paint.
    pub fn wants_pointer(&self) -> bool {
        self.wants_pointer
    }
}

impl Plugin for SynthPanelPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        if !app.is_plugin_added::<PaintToolPlugin>() {
            app.add_plugins(PaintToolPlugin);
        }
        app.init_resource::<SynthPanel>();
        app.add_systems(EguiPrimaryContextPass, (show, toggle).chain());
        app.add_observer(note_saved);
    }
}

fn note_saved(saved: On<'_, '_, PictureSaved>, mut panel: ResMut<SynthPanel>) {
    panel.message = match &saved.error {
        None => format!("saved {}", saved.path.display()),
        Some(error) => error.clone(),
    };
}

fn toggle(keys: Option<Res<ButtonInput<KeyCode>>>, mut panel: ResMut<SynthPanel>) {
    if keys.is_some_and(|keys| keys.just_pressed(KeyCode::Tab)) {
        panel.is_open = !panel.is_open;
    }
}

type Target<'a> = (
    Entity,
    &'a SemanticTerrain,
    &'a mut SynthSettings,
    &'a SynthStatus,
    Option<&'a SynthClasses>,
    Option<&'a PanelTarget>,
);

#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
fn show(
    mut contexts: EguiContexts,
    mut panel: ResMut<SynthPanel>,
    mut tool: ResMut<PaintTool>,
    mut terrains: Query<Target<'_>, With<SemanticTerrain>>,
    maps: Res<Assets<LabelMap>>,
    diagnostics: Option<Res<DiagnosticsStore>>,
    mut commands: Commands,
) -> Result {
    let context = contexts.ctx_mut()?;
    panel.wants_pointer = context.egui_wants_pointer_input() || context.is_pointer_over_egui();
    if !panel.is_open {
        return Ok(());
    }
    let marked = terrains.iter().find(|target| target.5.is_some());
    let chosen = marked.or_else(|| terrains.iter().next()).map(|target| target.0);
    egui::Window::new("Paint").default_width(230.0).resizable(false).show(context, |ui| {
        let found = match chosen {
            Some(entity) => terrains.get_mut(entity).ok(),
            None => None,
        };
        let Some((entity, terrain, mut settings, status, classes, _)) = found else {
            ui.label("no terrain");
            return;
        };
        let mut next_tool = tool.clone();
        tools(ui, &mut next_tool);
        swatches(ui, &mut next_tool, classes);
        tool.set_if_neq(next_tool);
        if let Some(map) = maps.get(&terrain.labels) {
            undo(ui, map, terrain, &mut commands);
        }
        ui.separator();
        let mut next = settings.clone();
        look(ui, &mut next, classes);
        settings.set_if_neq(next);
        ui.separator();
        ui.horizontal(|ui| {
            if ui.button("Save PNG").on_hover_text(panel.file.display().to_string()).clicked() {
                commands.trigger(SavePicture { entity, path: panel.file.clone() });
            }
            ui.label(&panel.message);
        });
        progress(ui, status, diagnostics.as_deref());
    });
    Ok(())
}

fn tools(ui: &mut Ui, tool: &mut PaintTool) {
    ui.horizontal(|ui| {
        for (mode, name, key) in
            [(ToolMode::Brush, "Brush", "B"), (ToolMode::Fill, "Fill", "F"), (ToolMode::Pick, "Pick", "I")]
        {
            ui.selectable_value(&mut tool.mode, mode, name).on_hover_text(key);
        }
    });
    let radius = egui::Slider::new(&mut tool.radius, 0.5..=256.0).logarithmic(true).text("radius");
    ui.add(radius).on_hover_text("[ and ]");
}

fn swatches(ui: &mut Ui, tool: &mut PaintTool, classes: Option<&SynthClasses>) {
    let Some(classes) = classes else {
        ui.label("the model is being loaded");
        return;
    };
    egui::ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
        for class in classes.0.iter() {
            let [r, g, b] = class.color;
            ui.horizontal(|ui| {
                let (rect, _) = ui.allocate_exact_size(egui::vec2(18.0, 18.0), egui::Sense::hover());
                ui.painter().rect_filled(rect, 3.0, Color32::from_rgb(r, g, b));
                ui.selectable_value(&mut tool.class, class.id, &class.name)
                    .on_hover_text(format!("class {}", class.id));
            });
        }
    });
}

fn undo(ui: &mut Ui, map: &LabelMap, terrain: &SemanticTerrain, commands: &mut Commands<'_, '_>) {
    ui.horizontal(|ui| {
        if ui.add_enabled(map.can_undo(), egui::Button::new("Undo")).on_hover_text("Ctrl+Z").clicked() {
            commands.queue(PaintLabels::undo(&terrain.labels));
        }
        if ui.add_enabled(map.can_redo(), egui::Button::new("Redo")).on_hover_text("Ctrl+Shift+Z").clicked() {
            commands.queue(PaintLabels::redo(&terrain.labels));
        }
    });
}

fn look(ui: &mut Ui, settings: &mut SynthSettings, classes: Option<&SynthClasses>) {
    ui.horizontal(|ui| {
        ui.label("seed");
        ui.add(egui::DragValue::new(&mut settings.seed));
        if ui.button("Next").clicked() {
            settings.seed = settings.seed.wrapping_add(1);
        }
    });
    ui.horizontal(|ui| {
        ui.label("repeat");
        ui.checkbox(&mut settings.wrap.x, "across");
        ui.checkbox(&mut settings.wrap.y, "down");
    });
    // Styles that the app has set; each can be faded.
    for part in &mut settings.class_styles {
        let name = classes.and_then(|classes| classes.0.get(part.class)).map_or("class", |class| &class.name);
        ui.add(egui::Slider::new(&mut part.weight, 0.0..=1.0).text(name));
    }
}

fn progress(ui: &mut Ui, status: &SynthStatus, diagnostics: Option<&DiagnosticsStore>) {
    match &status.state {
        SynthState::Loading => drop(ui.label("loading")),
        SynthState::Queued => drop(ui.label("waiting")),
        SynthState::Running { progress } => drop(ui.add(egui::ProgressBar::new(*progress).desired_width(200.0))),
        SynthState::Ready => drop(ui.label("ready")),
        SynthState::Failed { error } => drop(ui.label(RichText::new(error).color(Color32::LIGHT_RED))),
    }
    let value = |path| diagnostics.and_then(|store| store.get(path)).and_then(bevy_diagnostic::Diagnostic::value);
    let queue = value(&QUEUE).unwrap_or_default();
    let latency = value(&LATENCY_MS).map_or_else(String::new, |ms| format!(", last edit shown after {ms:.0} ms"));
    ui.label(RichText::new(format!("queue {queue:.0}{latency}")).small());
}
