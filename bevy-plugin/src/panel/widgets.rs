//! The parts of the panel.

use std::path::PathBuf;

use bevy_diagnostic::{DiagnosticPath, DiagnosticsStore};
use bevy_ecs::system::Commands;
use bevy_egui::egui::{self, Color32, RichText, Ui};
use bevy_math::{IVec2, UVec2};

use crate::labels::{LabelMap, PaintLabels};
use crate::model::{SynthClasses, SynthPresets};
use crate::terrain::{ClassKey, ClassStyle, SemanticTerrain, StyleSource, SynthSettings, SynthState, SynthStatus};
use crate::tool::{PaintTool, ToolMode};
use crate::{LATENCY_MS, QUEUE};

pub(super) fn tools(ui: &mut Ui, tool: &mut PaintTool) {
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

pub(super) fn swatches(ui: &mut Ui, tool: &mut PaintTool, classes: Option<&SynthClasses>) {
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

pub(super) fn undo(ui: &mut Ui, map: &LabelMap, terrain: &SemanticTerrain, commands: &mut Commands<'_, '_>) {
    ui.horizontal(|ui| {
        if ui.add_enabled(map.can_undo(), egui::Button::new("Undo")).on_hover_text("Ctrl+Z").clicked() {
            commands.queue(PaintLabels::undo(&terrain.labels));
        }
        if ui.add_enabled(map.can_redo(), egui::Button::new("Redo")).on_hover_text("Ctrl+Shift+Z").clicked() {
            commands.queue(PaintLabels::redo(&terrain.labels));
        }
    });
}

pub(super) fn seed(ui: &mut Ui, settings: &mut SynthSettings) {
    ui.horizontal(|ui| {
        ui.label("seed");
        ui.add(egui::DragValue::new(&mut settings.seed));
        if ui.button("Next").clicked() {
            settings.seed = settings.seed.wrapping_add(1);
        }
    });
}

/// The preset of the whole terrain, and that of the class that is painted with.
pub(super) fn styles(
    ui: &mut Ui,
    settings: &mut SynthSettings,
    class: u16,
    classes: &SynthClasses,
    presets: &SynthPresets,
) {
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
pub(super) fn repeat(ui: &mut Ui, settings: &mut SynthSettings, texture: Option<egui::TextureId>, size: UVec2) {
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

/// The chunks of a world around its viewers, as a map.
pub(super) fn map(ui: &mut Ui, chunks: &[(IVec2, egui::TextureId)]) {
    let coords = || chunks.iter().map(|(coord, _)| *coord);
    let (Some(min), Some(max)) = (coords().reduce(IVec2::min), coords().reduce(IVec2::max)) else {
        ui.label("no chunk is painted yet");
        return;
    };
    let count = (max - min + 1).as_vec2();
    let side = 200.0 / count.max_element();
    let size = egui::vec2(count.x * side, count.y * side);
    let (area, response) = ui.allocate_exact_size(size, egui::Sense::hover());
    for (coord, texture) in chunks {
        let place = (*coord - min).as_vec2() * side;
        let place = egui::Rect::from_min_size(area.min + egui::vec2(place.x, place.y), egui::Vec2::splat(side));
        let all = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::pos2(1.0, 1.0));
        ui.painter().image(*texture, place, all, Color32::WHITE);
    }
    response.on_hover_text("the chunks around the viewers");
}

/// Where the picture is saved, and whether it shall be now.
pub(super) fn save(ui: &mut Ui, file: &mut PathBuf) -> bool {
    ui.horizontal(|ui| {
        let wanted = ui.button("Save PNG").clicked();
        let mut text = file.display().to_string();
        if ui.add(egui::TextEdit::singleline(&mut text).desired_width(130.0)).changed() {
            *file = text.into();
        }
        wanted
    })
    .inner
}

pub(super) fn progress(ui: &mut Ui, status: &SynthStatus, diagnostics: Option<&DiagnosticsStore>) {
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
