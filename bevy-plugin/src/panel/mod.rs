//! The paint panel: a window of egui with classes, brush, undo, settings and progress.
//!
//! Add [`SynthPanelPlugin`] after [`SemSynthPlugin`](crate::SemSynthPlugin). It shows the first terrain, or the first world
//! if there is none, or the one with [`PanelTarget`], and changes [`PaintTool`]. Of a world, whose labels are not painted on, it
//! shows settings, progress and the chunks around the viewers.

mod widgets;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::PathBuf;

use bevy_app::{App, Plugin};
use bevy_asset::{AssetId, Assets};
use bevy_diagnostic::DiagnosticsStore;
use bevy_ecs::change_detection::DetectChangesMut;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::error::Result;
use bevy_ecs::observer::On;
use bevy_ecs::query::{Has, Or, With, Without};
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::{Commands, Local, Query, Res, ResMut};
use bevy_egui::egui;
use bevy_egui::input::EguiWantsInput;
use bevy_egui::{EguiContexts, EguiPlugin, EguiPrimaryContextPass, EguiTextureHandle};
use bevy_image::Image;
use bevy_input::ButtonInput;
use bevy_input::keyboard::KeyCode;
use bevy_math::{IVec2, UVec2};

use crate::cost::FrameCost;
use crate::labels::LabelMap;
use crate::model::{SynthClasses, SynthPresets};
use crate::stream::{SemanticWorld, SynthChunk};
use crate::sync::{Link, Shown};
use crate::terrain::{SemanticTerrain, SynthOutput, SynthSettings, SynthState, SynthStatus};
use crate::tool::{PaintTool, PaintToolPlugin};
use crate::{PictureSaved, SavePicture, ShowLabels};

/// Shows the paint panel. Adds [`EguiPlugin`] and [`PaintToolPlugin`] if they are missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SynthPanelPlugin;

/// The terrain or world that the panel is about; without one it is the first.
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
    /// The textures that are shown in it.
    previews: HashSet<AssetId<Image>>,
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
            previews: HashSet::new(),
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
        app.add_systems(EguiPrimaryContextPass, (show, toggle.run_if(keyboard_is_free), compare).chain());
        app.add_observer(note_saved);
    }
}

fn note_saved(saved: On<'_, '_, PictureSaved>, mut panel: ResMut<SynthPanel>) {
    panel.message = match &saved.error {
        None => format!("saved {}", saved.path.display()),
        Some(error) => error.clone(),
    };
}

/// Whether keys do not go to a field or an open list of egui.
pub(crate) fn keyboard_is_free(egui: Option<Res<EguiWantsInput>>) -> bool {
    egui.is_none_or(|egui| !egui.wants_any_keyboard_input())
}

/// Runs if the keyboard is free, as it was before the panel was shown: egui gives a field the focus when Tab is pressed.
fn toggle(keys: Option<Res<ButtonInput<KeyCode>>>, mut panel: ResMut<SynthPanel>) {
    let Some(keys) = keys else { return };
    if keys.just_pressed(KeyCode::Tab) {
        panel.is_open = !panel.is_open;
    }
    if keys.just_pressed(KeyCode::KeyL) {
        panel.show_labels = !panel.show_labels;
    }
}

type Target<'a> = (
    Entity,
    Option<&'a SemanticTerrain>,
    &'a mut SynthSettings,
    &'a SynthStatus,
    Option<&'a SynthOutput>,
    Option<&'a SynthClasses>,
    Option<&'a SynthPresets>,
    Has<PanelTarget>,
);

type IsTarget = Or<(With<SemanticTerrain>, With<SemanticWorld>)>;

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

/// The textures to show: that of a terrain that repeats, or those of the chunks of a world that are near, with their places.
fn previews(
    terrain: bool,
    settings: &SynthSettings,
    output: Option<&SynthOutput>,
    chunks: impl Iterator<Item = (IVec2, AssetId<Image>)>,
) -> Vec<(IVec2, AssetId<Image>)> {
    let repeated = output.filter(|_| settings.wrap.any()).and_then(|output| output.base_color.as_ref());
    if terrain { repeated.map(|image| (IVec2::ZERO, image.id())).into_iter().collect() } else { chunks.collect() }
}

#[allow(clippy::too_many_arguments, reason = "what a system needs are its arguments")]
fn show(
    mut contexts: EguiContexts,
    mut panel: ResMut<SynthPanel>,
    mut tool: ResMut<PaintTool>,
    mut targets: Query<Target<'_>, IsTarget>,
    chunks: Query<(&SynthChunk, &SynthOutput, &Link)>,
    maps: Res<Assets<LabelMap>>,
    diagnostics: Option<Res<DiagnosticsStore>>,
    cost: Option<Res<FrameCost>>,
    mut commands: Commands,
) -> Result {
    let _counting = cost.as_deref().map(FrameCost::count);
    let context = contexts.ctx_mut()?;
    panel.wants_pointer = context.egui_wants_pointer_input() || context.is_pointer_over_egui();
    if !panel.is_open {
        return Ok(());
    }
    // The one that is marked, a terrain, anything.
    let chosen = targets.iter().max_by_key(|target| (target.7, target.1.is_some(), Reverse(target.0)));
    let pictures = chosen.map_or_else(Vec::new, |(entity, terrain, settings, _, output, ..)| {
        let near = chunks
            .iter()
            .filter(|(chunk, _, link)| chunk.world == entity && chunk.is_near && link.shown > Shown::Nothing);
        let near = near.filter_map(|(chunk, output, _)| Some((chunk.coord, output.base_color.as_ref()?.id())));
        previews(terrain.is_some(), settings, output, near)
    });
    let chosen = chosen.map(|target| target.0);
    let shown: HashSet<AssetId<Image>> = pictures.iter().map(|(_, image)| *image).collect();
    for old in panel.previews.difference(&shown) {
        contexts.remove_image(*old);
    }
    panel.previews = shown;
    let textures: Vec<(IVec2, egui::TextureId)> =
        pictures.iter().map(|(coord, image)| (*coord, contexts.add_image(EguiTextureHandle::Weak(*image)))).collect();
    let context = contexts.ctx_mut()?;
    egui::Window::new("Paint").default_width(230.0).resizable(false).show(context, |ui| {
        let found = match chosen {
            Some(entity) => targets.get_mut(entity).ok(),
            None => None,
        };
        let Some((entity, terrain, mut settings, status, output, classes, presets, _)) = found else {
            ui.label("no terrain");
            return;
        };
        let mut next_tool = tool.clone();
        if terrain.is_some() {
            widgets::tools(ui, &mut next_tool);
        }
        widgets::swatches(ui, &mut next_tool, classes);
        tool.set_if_neq(next_tool);
        if let Some((terrain, map)) = terrain.and_then(|terrain| Some((terrain, maps.get(&terrain.labels)?))) {
            widgets::undo(ui, map, terrain, &mut commands);
        }
        ui.separator();
        let mut next = settings.clone();
        widgets::seed(ui, &mut next);
        if let (Some(classes), Some(presets)) = (classes, presets.filter(|presets| !presets.0.is_empty())) {
            widgets::styles(ui, &mut next, tool.class, classes, presets);
        }
        if terrain.is_some() {
            let texture = textures.first().filter(|_| status.state != SynthState::Loading);
            let size = output.map_or(UVec2::ONE, |output| output.size);
            widgets::repeat(ui, &mut next, texture.map(|(_, texture)| *texture), size);
        } else {
            widgets::map(ui, &textures);
        }
        settings.set_if_neq(next);
        if terrain.is_some() {
            ui.checkbox(&mut panel.show_labels, "show labels").on_hover_text("L");
            ui.separator();
            if widgets::save(ui, &mut panel.file) {
                commands.trigger(SavePicture { entity, path: panel.file.clone() });
            }
            ui.label(&panel.message);
        }
        widgets::progress(ui, status, diagnostics.as_deref());
    });
    Ok(())
}
