//! Models and class tables as assets.

use std::fmt;
use std::sync::Arc;

use bevy_asset::io::Reader;
use bevy_asset::{Asset, AssetLoader, LoadContext};
use bevy_ecs::component::Component;
use bevy_reflect::TypePath;
use semsynth::{ClassTable, Error, Model, Result, Style};

use crate::error::LoadError;
use crate::labels::{class_table, next_serial};

/// A model: a `.safetensors` file of semsynth, or one that is built in.
///
/// Loading only reads the file. The worker parses it and prepares its weights, so that large models do not hold up Bevy's
/// loading threads; a file that is no model makes the terrains that use it [fail](crate::SynthState::Failed).
#[derive(Asset, TypePath, Clone, Debug)]
pub struct SynthModel(pub(crate) Arc<ModelData>);

/// What a model is made of.
pub(crate) struct ModelData {
    pub(crate) serial: u64,
    source: ModelSource,
}

enum ModelSource {
    Builtin(String),
    Bytes(Vec<u8>),
    Opened(Model),
}

impl fmt::Debug for ModelData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            ModelSource::Builtin(name) => format!("builtin:{name}"),
            ModelSource::Bytes(bytes) => format!("{} bytes", bytes.len()),
            ModelSource::Opened(_) => "opened".into(),
        };
        f.debug_struct("ModelData").field("serial", &self.serial).field("source", &source).finish()
    }
}

impl SynthModel {
    /// A model that is compiled into the library.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is none of this name; it lists the valid names.
    pub fn builtin(name: &str) -> Result<Self> {
        if !Model::builtins().any(|known| known == name) {
            // For its list of names.
            return Model::builtin(name).map(Self::from);
        }
        Ok(Self::of(ModelSource::Builtin(name.into())))
    }

    /// A model from the content of its file. The content is looked at later, by the worker.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::of(ModelSource::Bytes(bytes))
    }

    fn of(source: ModelSource) -> Self {
        Self(Arc::new(ModelData { serial: next_serial(), source }))
    }
}

impl From<Model> for SynthModel {
    fn from(model: Model) -> Self {
        Self::of(ModelSource::Opened(model))
    }
}

impl ModelData {
    /// Parses the file; for the worker.
    pub(crate) fn open(&self) -> Result<Model> {
        match &self.source {
            ModelSource::Builtin(name) => Model::builtin(name),
            ModelSource::Bytes(bytes) if bytes.is_empty() => Err(Error::Model("the model file is empty".into())),
            ModelSource::Bytes(bytes) => Model::from_bytes(bytes),
            ModelSource::Opened(model) => Ok(model.clone()),
        }
    }
}

/// Loads a [`SynthModel`] from a `.safetensors` file.
#[derive(Debug, Default, TypePath)]
pub struct SynthModelLoader;

impl AssetLoader for SynthModelLoader {
    type Asset = SynthModel;
    type Settings = ();
    type Error = LoadError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        (): &(),
        _: &mut LoadContext<'_>,
    ) -> std::result::Result<SynthModel, LoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        Ok(SynthModel::from_bytes(bytes))
    }

    fn extensions(&self) -> &[&str] {
        &["safetensors"]
    }
}

/// The classes of a terrain's model, by which its labels are painted. The plugin adds it to the terrain when the model is
/// ready.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
pub struct SynthClasses(pub Arc<ClassTable>);

/// The named styles of a terrain's model. The plugin adds it to the terrain when the model is ready; without presets it is
/// empty.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct SynthPresets(pub Arc<[SynthPreset]>);

/// A named style of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthPreset {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// The style, for [`SynthSettings::style`](crate::SynthSettings::style).
    pub style: Style,
}

impl SynthPresets {
    /// A style by its name.
    pub fn get(&self, name: &str) -> Option<&Style> {
        self.0.iter().find(|preset| preset.name == name).map(|preset| &preset.style)
    }

    /// Those of a model.
    pub(crate) fn of(model: &Model) -> Result<Self> {
        let preset = |preset: &semsynth::model::Preset| {
            let (name, summary) = (preset.name.clone(), preset.summary.clone());
            Ok(SynthPreset { style: model.preset(&name)?, name, summary })
        };
        model.presets().iter().map(preset).collect::<Result<_>>().map(Self)
    }
}

/// A class table as an asset, for palettes without a model.
#[derive(Asset, TypePath, Clone, Debug, PartialEq, Eq)]
pub struct ClassPalette(pub ClassTable);

/// Loads a [`ClassPalette`] from `.palette.ron`, `.palette.json` or `.gpl` (GIMP palette).
#[derive(Debug, Default, TypePath)]
pub struct ClassPaletteLoader;

impl AssetLoader for ClassPaletteLoader {
    type Asset = ClassPalette;
    type Settings = ();
    type Error = LoadError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        (): &(),
        context: &mut LoadContext<'_>,
    ) -> std::result::Result<ClassPalette, LoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        let name = context.path().path().to_string_lossy().into_owned();
        Ok(ClassPalette(class_table(&bytes, &name)?))
    }

    fn extensions(&self) -> &[&str] {
        &["palette.ron", "palette.json", "gpl"]
    }
}
