//! Painting as a command.

use bevy_asset::{AssetId, Assets, Handle};
use bevy_ecs::system::Command;
use bevy_ecs::world::World;
use bevy_log::warn;

use super::{LabelMap, Shape};
use crate::cost::{Began, FrameCost};

/// Paints on a [`LabelMap`], or undoes and redoes: `commands.queue(PaintLabels::shape(&labels, class, shape))`.
///
/// If the map is not loaded, or a shape has coordinates that are not finite, nothing is painted and a warning is logged.
#[derive(Clone, Debug)]
pub struct PaintLabels {
    labels: AssetId<LabelMap>,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Shape { class: u16, shape: Shape },
    BeginGroup,
    EndGroup,
    Undo,
    Redo,
}

impl PaintLabels {
    /// Paints a shape with a class id.
    pub fn shape(labels: &Handle<LabelMap>, class: u16, shape: Shape) -> Self {
        Self { labels: labels.id(), action: Action::Shape { class, shape } }
    }

    /// All that follows is one step of undo, up to [`end_group`](Self::end_group).
    pub fn begin_group(labels: &Handle<LabelMap>) -> Self {
        Self { labels: labels.id(), action: Action::BeginGroup }
    }

    /// Ends a step of undo.
    pub fn end_group(labels: &Handle<LabelMap>) -> Self {
        Self { labels: labels.id(), action: Action::EndGroup }
    }

    /// Takes the last step back.
    pub fn undo(labels: &Handle<LabelMap>) -> Self {
        Self { labels: labels.id(), action: Action::Undo }
    }

    /// Does the last undone step again.
    pub fn redo(labels: &Handle<LabelMap>) -> Self {
        Self { labels: labels.id(), action: Action::Redo }
    }
}

impl Command for PaintLabels {
    type Out = ();

    fn apply(self, world: &mut World) {
        let began = Began::now();
        self.paint(world);
        if let Some(cost) = world.get_resource::<FrameCost>() {
            cost.add(&began);
        }
    }
}

impl PaintLabels {
    fn paint(self, world: &mut World) {
        let Some(mut maps) = world.get_resource_mut::<Assets<LabelMap>>() else {
            warn!("nothing is painted: add `SemSynthPlugin` first");
            return;
        };
        let Some(mut map) = maps.get_mut(self.labels) else {
            warn!("nothing is painted: the label map {} is not loaded", self.labels);
            return;
        };
        match self.action {
            Action::Shape { class, shape } => {
                if let Err(error) = map.paint(&shape, class) {
                    warn!("nothing is painted: {error}");
                }
            }
            Action::BeginGroup => map.begin_group(),
            Action::EndGroup => map.end_group(),
            Action::Undo => drop(map.undo()),
            Action::Redo => drop(map.redo()),
        }
    }
}
