#![doc = include_str!("../README.md")]

mod cost;
mod diagnostics;
mod error;
mod events;
mod labels;
mod look;
mod model;
#[cfg(feature = "egui")]
pub mod panel;
mod plugin;
#[cfg(any(feature = "render", test))]
mod queue;
#[cfg(feature = "render")]
mod render;
mod settings;
mod stream;
mod surface;
mod sweep;
mod sync;
mod terrain;
mod tool;
mod upload;
mod worker;

pub use diagnostics::{LATENCY_MS, MAIN_CPU_MS, MAIN_MS, PAINT_MS, QUEUE, STALE, UPLOAD_BYTES, UPLOAD_MS};
pub use error::LoadError;
pub use events::{PartPainted, PictureSaved, Quality, SavePicture, SynthFailed, SynthFinished};
pub use labels::{LabelMap, LabelMapLoader, LabelMapSettings, PaintLabels, Shape, Stamp};
pub use look::{ClassLook, SynthLook, TerrainLook, TerrainLookLoader};
pub use model::{
    ClassPalette, ClassPaletteLoader, SynthClasses, SynthModel, SynthModelLoader, SynthPreset, SynthPresets,
};
pub use plugin::{SemSynthPlugin, SemSynthSystems};
#[cfg(feature = "render")]
pub use render::ShowLabels;
pub use semsynth;
pub use settings::{SemSynthSettings, SynthDevice};
pub use stream::{SemanticWorld, SynthChunk, SynthViewer, WorldLabels};
pub use surface::{ClassSurface, SynthSurface};
pub use sweep::StyleSweep;
pub use terrain::{
    ClassKey, ClassStyle, ManualMaterial, SemanticTerrain, StyleSource, SynthOutput, SynthSettings, SynthState,
    SynthStatus,
};
pub use tool::{PaintTool, PaintToolPlugin, ToolMode};
pub use upload::{SinkNews, SynthSink, TextureSink};
pub use worker::LevelPart;
