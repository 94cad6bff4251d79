//! Label maps from PNG files.

use std::path::PathBuf;

use bevy_asset::io::Reader;
use bevy_asset::{AssetLoader, LoadContext};
use bevy_reflect::TypePath;
use semsynth::label::{ColorPolicy, ReadOptions};
use semsynth::{ClassTable, Error};
use serde::{Deserialize, Serialize};

use super::LabelMap;
use crate::error::LoadError;

/// How to read a label picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelMapSettings {
    /// The classes, as the path of a class table: `.ron`, `.gpl` (GIMP palette) or `.json`. A picture of colours needs
    /// one. Without it, the values of a grey or indexed picture are the ids.
    pub palette: Option<PathBuf>,
    /// What to do with colours that belong to no class.
    pub colors: ColorPolicy,
}

/// Loads a [`LabelMap`] from a grey, indexed or RGB PNG.
///
/// Its own extension is `.labels.png`; `asset_server.load::<LabelMap>("any.png")` uses it too.
#[derive(Debug, Default, TypePath)]
pub struct LabelMapLoader;

impl AssetLoader for LabelMapLoader {
    type Asset = LabelMap;
    type Settings = LabelMapSettings;
    type Error = LoadError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        settings: &LabelMapSettings,
        context: &mut LoadContext<'_>,
    ) -> Result<LabelMap, LoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        let classes = match &settings.palette {
            Some(path) => {
                let text =
                    context.read_asset_bytes(path.clone()).await.map_err(|error| LoadError::palette(path, error))?;
                let name = path.to_string_lossy();
                Some(class_table(&text, &name).map_err(|error| LoadError::palette(path, error))?)
            }
            None => None,
        };
        let map = match classes {
            Some(classes) => {
                let options = ReadOptions::from(settings.colors);
                semsynth::LabelMap::from_image_bytes(&bytes, &classes, options).and_then(|reading| reading.map())
            }
            None => semsynth::LabelMap::ids_from_image_bytes(&bytes).map_err(|error| {
                error.context("without a palette, pixels must be ids (set `LabelMapSettings::palette` for colours)")
            }),
        }?;
        Ok(LabelMap::from_core(&map)?)
    }

    fn extensions(&self) -> &[&str] {
        &["labels.png"]
    }
}

/// Reads a class table; its form follows from the extension.
pub(crate) fn class_table(bytes: &[u8], name: &str) -> semsynth::Result<ClassTable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Labels(format!("{name}: a class table is UTF-8 text")))?;
    let text = text.trim_start_matches('\u{feff}');
    let extension = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "ron" => ClassTable::from_ron_str(text),
        "gpl" => ClassTable::from_gpl_str(text),
        "json" => ClassTable::from_json_str(text),
        _ => Err(Error::Argument("class tables are .ron, .gpl (GIMP palette) or .json files".into())),
    }
    .map_err(|error| error.context(name))
}
