//! The paint panel: a window of egui with classes, brush, undo, settings and progress.
//!
//! Add [`SynthPanelPlugin`] after [`SemSynthPlugin`](crate::SemSynthPlugin). It shows the first terrain, or that with
//! [`PanelTarget`], and changes [`PaintTool`].

use std::path::PathBuf;

use bevy_app::{App, Plugin};
use bevy_asset::{AssetId, Assets, Handle};
use bevy_diagnostic::{DiagnosticPath, DiagnosticsStore};
use bevy_ecs::change_detection::DetectChangesMut;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::error::Result;
use bevy_ecs::observer::On;
use bevy_ecs::query::{With, Without};
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::{Commands, Local, Query, Res, ResMut};
use bevy_egui::egui::{self, Color32, RichText, Ui};
use bevy_egui::{EguiContexts, EguiPlugin, EguiPrimaryContextPass, EguiTextureHandle};
use bevy_image::Image;
use bevy_input::ButtonInput;
use bevy_input::keyboard::KeyCode;
use bevy_math::UVec2;

use crate::labels::{LabelMap, PaintLabels};
use crate::model::{SynthClasses, SynthPresets};
use crate::terrain::{
    ClassKey, ClassStyle, SemanticTerrain, StyleSource, SynthOutput, SynthSettings, SynthState, SynthStatus,
};
use crate::tool::{PaintTool, PaintToolPlugin, ToolMode};
use crate::{LATENCY_MS, PictureSaved, QUEUE, SavePicture, ShowLabels};

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
    /// Whether labels are shown in place of the texture; L changes that.
    pub show_labels: bool,
    /// Where "Save PNG" writes to.
    pub file: PathBuf,
    /// What became of the last picture saved.
    message: String,
    /// The texture that is shown beside itself.
    preview: Option<AssetId<Image>>,
    /// Whether the pointer is over the panel, so that it does not paint below.
    wants_pointer: bool,
}

impl Default for SynthPanel {
    fn default() -> Self {
        Self {
            is_open: true,
            show_labels: false,
            file: "terrain.png".into(),
            message: String::new(),
            preview: None,
            wants_pointer: false,
        }
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
        app.add_systems(EguiPrimaryContextPass, (show, toggle, compare).chain());
        app.add_observer(note_saved);
    }
}

fn note_saved(saved: On<'_, '_, PictureSaved>, mut panel: ResMut<SynthPanel>) {
    panel.message = match &saved.error {
        None => format!("saved {}", saved.path.display()),
        Some(error) => error.clone(),
    };
}

fn toggle(mut contexts: EguiContexts, keys: Option<Res<ButtonInput<KeyCode>>>, mut panel: ResMut<SynthPanel>) {
    // Keys that go to a field of the panel are none of its shortcuts.
    let is_typing = contexts.ctx_mut().is_ok_and(|context| context.egui_wants_keyboard_input());
    let Some(keys) = keys.filter(|_| !is_typing) else { return };
    if keys.just_pressed(KeyCode::Tab) {
        panel.is_open = !panel.is_open;
    }
    if keys.just_pressed(KeyCode::KeyL) {
        panel.show_labels = !panel.show_labels;
    }
}

type Target<'a> = (
    Entity,
    &'a SemanticTerrain,
    &'a mut SynthSettings,
    &'a SynthStatus,
    &'a SynthOutput,
    Option<&'a SynthClasses>,
    Option<&'a SynthPresets>,
    Option<&'a PanelTarget>,
);

/// Before and after: what the panel says about labels holds for all terrains.
fn compare(
    panel: Res<SynthPanel>,
    mut shown: Local<bool>,
    with: Query<Entity, (With<SemanticTerrain>, With<ShowLabels>)>,
    without: Query<Entity, (With<SemanticTerrain>, Without<ShowLabels>)>,
    mut commands: Commands,
) {
    // What the app shows by itself stays.
    if std::mem::replace(&mut *shown, panel.show_labels) == panel.show_labels {
        return;
    }
    if panel.show_labels {
        for entity in &without {
            commands.entity(entity).try_insert(ShowLabels::default());
        }
    } else {
        for entity in &with {
            commands.entity(entity).try_remove::<ShowLabels>();
        }
    }
}

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
    let marked = terrains.iter().find(|target| target.7.is_some());
    let chosen = marked.or_else(|| terrains.iter().next()).map(|target| target.0);
    let repeated = chosen.and_then(|entity| terrains.get(entity).ok()).filter(|target| target.2.wrap.any());
    let repeated = repeated.and_then(|target| target.4.base_color.as_ref()).map(Handle::id);
    if let Some(old) = panel.preview.filter(|old| Some(*old) != repeated) {
        contexts.remove_image(old);
    }
    panel.preview = repeated;
    let texture = repeated.map(|image| contexts.add_image(EguiTextureHandle::Weak(image)));
    let context = contexts.ctx_mut()?;
    egui::Window::new("Paint").default_width(230.0).resizable(false).show(context, |ui| {
        let found = match chosen {
            Some(entity) => terrains.get_mut(entity).ok(),
            None => None,
        };
        let Some((entity, terrain, mut settings, status, output, classes, presets, _)) = found else {
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
        seed(ui, &mut next);
        if let (Some(classes), Some(presets)) = (classes, presets.filter(|presets| !presets.0.is_empty())) {
            styles(ui, &mut next, tool.class, classes, presets);
        }
        repeat(ui, &mut next, texture.filter(|_| status.state != SynthState::Loading), output.size);
        settings.set_if_neq(next);
        ui.checkbox(&mut panel.show_labels, "show labels").on_hover_text("L");
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

fn seed(ui: &mut Ui, settings: &mut SynthSettings) {
    ui.horizontal(|ui| {
        ui.label("seed");
        ui.add(egui::DragValue::new(&mut settings.seed));
        if ui.button("Next").clicked() {
            settings.seed = settings.seed.wrapping_add(1);
        }
    });
}

/// The preset of the whole terrain, and that of the class that is painted with.
fn styles(ui: &mut Ui, settings: &mut SynthSettings, class: u16, classes: &SynthClasses, presets: &SynthPresets) {
    let name = match &settings.style {
        Some(StyleSource::Preset(name)) => name.clone(),
        Some(StyleSource::Style(_)) => "(of the app)".into(),
        None => presets.0.first().map_or_else(String::new, |preset| preset.name.clone()),
    };
    egui::ComboBox::new("style", "style").selected_text(&name).show_ui(ui, |ui| {
        for preset in presets.0.iter() {
            if ui.selectable_label(preset.name == name, &preset.name).on_hover_text(&preset.summary).clicked() {
                settings.style = Some(StyleSource::Preset(preset.name.clone()));
            }
        }
    });
    let Some(found) = classes.0.get(class) else { return };
    let is_this = |part: &ClassStyle| match &part.class {
        ClassKey::Id(id) => *id == class,
        ClassKey::Name(name) => *name == found.name,
    };
    let index = settings.class_styles.iter().position(is_this);
    let part = index.and_then(|index| settings.class_styles.get(index));
    let own = match part.map(|part| &part.style) {
        Some(StyleSource::Preset(name)) => name.clone(),
        Some(StyleSource::Style(_)) => "(of the app)".into(),
        None => "(as all)".into(),
    };
    let mut chosen = None;
    egui::ComboBox::new("class style", &found.name).selected_text(&own).show_ui(ui, |ui| {
        if ui.selectable_label(part.is_none(), "(as all)").clicked() {
            chosen = Some(None);
        }
        for preset in presets.0.iter() {
            if ui.selectable_label(preset.name == own, &preset.name).on_hover_text(&preset.summary).clicked() {
                chosen = Some(Some(preset.name.as_str()));
            }
        }
    });
    match (chosen, index) {
        (Some(None), Some(index)) => drop(settings.class_styles.remove(index)),
        (Some(Some(name)), index) => {
            let weight = part.map_or(1.0, |part| part.weight);
            let new = ClassStyle::new(class, name, weight);
            match index.and_then(|index| settings.class_styles.get_mut(index)) {
                Some(old) => *old = new,
                None => settings.class_styles.push(new),
            }
        }
        _ => {}
    }
    // Each can be faded.
    for part in &mut settings.class_styles {
        let name = part.class.id(&classes.0).ok().and_then(|id| classes.0.get(id)).map_or("class", |class| &class.name);
        ui.add(egui::Slider::new(&mut part.weight, 0.0..=1.0).text(name));
    }
}

/// Whether the texture repeats, and how that looks.
fn repeat(ui: &mut Ui, settings: &mut SynthSettings, texture: Option<egui::TextureId>, size: UVec2) {
    ui.horizontal(|ui| {
        ui.label("repeat");
        ui.checkbox(&mut settings.wrap.x, "across");
        ui.checkbox(&mut settings.wrap.y, "down");
    });
    let (Some(texture), true) = (texture, settings.wrap.any()) else { return };
    let times = |wraps: bool| if wraps { 2.0 } else { 1.0 };
    let times = egui::vec2(times(settings.wrap.x), times(settings.wrap.y));
    let shape = egui::vec2(size.x as f32, size.y as f32) * times;
    let uv = egui::Rect::from_min_size(egui::Pos2::ZERO, times);
    let picture = egui::Image::new(egui::load::SizedTexture::new(texture, shape * (200.0 / shape.max_elem().max(1.0))));
    ui.add(picture.uv(uv)).on_hover_text("the texture beside itself");
}

fn progress(ui: &mut Ui, status: &SynthStatus, diagnostics: Option<&DiagnosticsStore>) {
    match &status.state {
        SynthState::Loading => drop(ui.label("loading")),
        SynthState::Queued => drop(ui.label("waiting")),
        SynthState::Running { progress } => drop(ui.add(egui::ProgressBar::new(*progress).desired_width(200.0))),
        SynthState::Ready => drop(ui.label("ready")),
        SynthState::Failed { error } => drop(ui.label(RichText::new(error).color(Color32::LIGHT_RED))),
    }
    let value = |path: DiagnosticPath| {
        diagnostics.and_then(|store| store.get(&path)).and_then(bevy_diagnostic::Diagnostic::value)
    };
    let queue = value(QUEUE).unwrap_or_default();
    let latency = value(LATENCY_MS).map_or_else(String::new, |ms| format!(", last edit shown after {ms:.0} ms"));
    ui.label(RichText::new(format!("queue {queue:.0}{latency}")).small());
}
