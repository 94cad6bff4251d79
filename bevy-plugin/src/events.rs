//! What happens to a terrain, for observers.

use std::path::PathBuf;
use std::time::Duration;

use bevy_ecs::entity::Entity;
use bevy_ecs::event::EntityEvent;
use bevy_math::URect;

/// How good a painted part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// The colours of the classes, shown until the network has painted.
    Colors,
    /// A preview of an edit: right within the edit, not yet around it.
    Preview,
    /// Final.
    Settled,
}

/// A part of a terrain's texture is new. It is on its way to the GPU, which takes as many frames as the upload budget asks
/// for.
#[derive(EntityEvent, Clone, Debug)]
pub struct PartPainted {
    /// The terrain or chunk.
    pub entity: Entity,
    /// The part, in pixels.
    pub rect: URect,
    /// How good it is.
    pub quality: Quality,
    /// How long it took to paint.
    pub time: Duration,
}

/// A terrain's texture shows all edits at full quality.
#[derive(EntityEvent, Clone, Debug)]
pub struct SynthFinished {
    /// The terrain or chunk.
    pub entity: Entity,
    /// Its generation.
    pub generation: u64,
}

/// A terrain cannot be painted. Its texture stays as it was and the app goes on.
#[derive(EntityEvent, Clone, Debug)]
pub struct SynthFailed {
    /// The terrain or chunk.
    pub entity: Entity,
    /// What is wrong and what to do.
    pub error: String,
}

/// Saves the picture of a terrain or chunk as it is, as PNG or JPEG: `commands.trigger(SavePicture { entity, path })`. The
/// worker writes it; [`PictureSaved`] follows.
#[derive(EntityEvent, Clone, Debug)]
pub struct SavePicture {
    /// The terrain or chunk.
    pub entity: Entity,
    /// The file; its extension chooses the format.
    pub path: PathBuf,
}

/// A picture was saved, or why it was not.
#[derive(EntityEvent, Clone, Debug)]
pub struct PictureSaved {
    /// The terrain or chunk.
    pub entity: Entity,
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub error: Option<String>,
}
