//! Named styles inside a model file: the manifest lists them, and each is a tensor `preset.NAME`, `[rows, length]`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Model;
use crate::error::{Error, Result};
use crate::network::{Architecture, StyleConfig};
use crate::style::{Style, StyleKind};
use crate::tensors::Tensors;

/// What tensors of presets are called, before the name of the preset.
const PREFIX: &str = "preset.";

/// A named style in a model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name: lower-case letters, digits and hyphens.
    pub name: String,
    /// One line about it.
    #[serde(default)]
    pub summary: String,
}

impl Preset {
    /// Name of its tensor.
    pub(super) fn tensor(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// Whether a tensor holds a preset.
pub(super) fn is_preset(tensor: &str) -> bool {
    tensor.starts_with(PREFIX)
}

/// The kind of styles that a network takes, their rows and the length of these; `None` if it takes no styles.
fn form(architecture: &Architecture) -> Option<(StyleKind, usize, usize)> {
    match architecture.style() {
        StyleConfig::None => None,
        StyleConfig::Latent { length, .. } => Some((StyleKind::Global, 1, length)),
        StyleConfig::Regions { length, .. } => Some((StyleKind::Regions, architecture.label_channels(), length)),
    }
}

/// Checks the names of presets, without their tensors.
pub(super) fn check_names(presets: &[Preset], architecture: &Architecture) -> Result<()> {
    let mut names = BTreeSet::new();
    for Preset { name, .. } in presets {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(fine) {
            return Err(Error::Model(format!("preset {name:?}: a name has lower-case letters, digits and hyphens")));
        }
        if !names.insert(name) {
            return Err(Error::Model(format!("two presets are called {name:?}: names must be unique")));
        }
        if form(architecture).is_none() {
            let network = architecture.describe();
            return Err(Error::Model(format!("there is a preset {name:?}, but a {network} takes no styles")));
        }
    }
    Ok(())
}

/// Checks that every preset has its tensor, with the form that the network takes, and that there are no others.
pub(super) fn check(presets: &[Preset], architecture: &Architecture, tensors: &Tensors) -> Result<()> {
    for preset in presets {
        read(preset, architecture, tensors)?;
    }
    let listed: BTreeSet<String> = presets.iter().map(Preset::tensor).collect();
    match tensors.names().find(|name| is_preset(name) && !listed.contains(*name)) {
        Some(name) => Err(Error::Model(format!("tensor {name:?} is a preset that the manifest does not list"))),
        None => Ok(()),
    }
}

fn read(preset: &Preset, architecture: &Architecture, tensors: &Tensors) -> Result<Style> {
    let name = preset.tensor();
    let data = tensors.get(&name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
    let (kind, rows, length) = form(architecture).ok_or_else(|| Error::Model("the network takes no styles".into()))?;
    if data.shape() != [rows, length] {
        let shape = data.shape();
        return Err(Error::Model(format!("tensor {name:?} has shape {shape:?}, it must have [{rows}, {length}]")));
    }
    let values = data.to_f32();
    let style = match kind {
        StyleKind::Global => Style::global(values),
        StyleKind::Regions => Style::regions(length, values.chunks_exact(length).map(|row| Some(row.into())).collect()),
    };
    style.map_err(|error| Error::Model(format!("tensor {name:?}: {error}")))
}

impl Model {
    /// The named styles of the model. The first is what the model paints if a request has no style.
    pub fn presets(&self) -> &[Preset] {
        &self.manifest().presets
    }

    /// A named style of the model.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is no such preset; it lists the valid names.
    pub fn preset(&self, name: &str) -> Result<Style> {
        let preset = self.presets().iter().find(|preset| preset.name == name);
        let names = self.presets().iter().map(|preset| preset.name.as_str());
        let preset = preset.ok_or_else(|| Error::unknown_name("preset of this model", name, names))?;
        let style = read(preset, self.architecture(), self.tensors())?;
        if style.kind() == StyleKind::Regions { style.with_names(self.classes()) } else { Ok(style) }
    }

    /// The same model with these presets in place of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a name is malformed or used twice, if the model takes no styles, or if a style has another
    /// form than the model's.
    pub fn with_presets(&self, presets: &[(Preset, Style)]) -> Result<Self> {
        let mut manifest = self.manifest().clone();
        manifest.presets = presets.iter().map(|(preset, _)| preset.clone()).collect();
        check_names(&manifest.presets, self.architecture())?;
        let mut tensors = self.tensors().clone();
        tensors.retain(|name| !is_preset(name));
        for (preset, style) in presets {
            tensors.insert_f32(preset.tensor(), vec![style.rows(), style.length()], style.to_rows())?;
        }
        tensors.set_metadata(super::MANIFEST_KEY, manifest.to_ron_string()?);
        // Reads the manifest again, which checks it.
        Self::from_tensors(tensors)
    }
}
