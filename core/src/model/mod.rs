//! Models: files with a network's weights, its classes and their origin.
//!
//! A model file is a `.safetensors` file with a RON [`Manifest`] in its metadata, under the key `semsynth`. Tensors
//! have the names of the papers' code, and spectral norm is folded into the weights.

mod builtin;
mod import;
mod manifest;
mod params;
mod presets;

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;

use crate::error::{Error, Result};
use crate::label::{ClassTable, Rect};
use crate::network::{Architecture, Capabilities, Encoder, Network, official_names};
use crate::nn::Init;
use crate::tensors::{Limits, Tensors};
pub use import::{ImportOptions, import_checkpoint};
pub use manifest::{FORMAT, Manifest, Provenance};
#[cfg(feature = "train")]
pub(crate) use params::Slot;
pub(crate) use params::{export, import, names, read_back, slots};
pub use presets::Preset;

/// Fills a network from tensors named as in the papers' code. Unused tensors are ignored.
///
/// # Errors
///
/// [`Error::Model`] naming the tensor that is missing, has the wrong shape, or holds a value that is not finite.
pub fn load<M: Module>(network: M, tensors: &Tensors) -> Result<M> {
    let names = names(&slots(&network), official_names)?;
    import(network, tensors, &names)
}

/// Loads the encoder of an architecture, if it has one, from the tensors of a whole model.
pub(crate) fn load_encoder(
    architecture: &Architecture,
    tensors: &Tensors,
    device: &burn::tensor::Device,
) -> Result<Option<Encoder>> {
    /// Tensor names depend on where the encoder is within a [`Network`].
    #[derive(Module, Debug)]
    struct Part {
        encoder: Option<Encoder>,
    }
    let encoder = architecture.init_encoder(&mut Init::to_load(device));
    load(Part { encoder }, tensors).map(|part| part.encoder)
}

/// The names and shapes of the tensors that [`load`] needs for a network. Allocates no tensors for a network made
/// by [`Init::to_load`].
///
/// # Errors
///
/// [`Error::Model`] for a parameter that none of this library's networks has.
pub fn shapes<M: Module>(network: &M) -> Result<Vec<(String, Vec<usize>)>> {
    let slots = slots(network);
    Ok(names(&slots, official_names)?.into_iter().zip(slots).map(|(name, slot)| (name, slot.shape)).collect())
}

/// Copies all values out of a network, under the names of the papers' code.
///
/// # Errors
///
/// [`Error::Device`] if values cannot be read from the device; [`Error::Model`] for a parameter that none of this
/// library's networks has.
pub fn store<M: Module>(network: &M, precision: Precision) -> Result<Tensors> {
    let names = names(&slots(network), official_names)?;
    let mut tensors = Tensors::new();
    export(network, &names, |name, shape, values| {
        let statistic = name.contains(".running_");
        match precision {
            Precision::Half if !statistic => tensors.insert_f16(name, shape, values),
            _ => tensors.insert_f32(name, shape, values),
        }
    })?;
    Ok(tensors)
}

/// The metadata key of the manifest in a model file.
pub const MANIFEST_KEY: &str = "semsynth";

/// Precision of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Full,
    /// 16-bit floats: half the size, about three decimal digits. Stored statistics stay at 32 bits.
    Half,
}

/// A trained network in host memory: immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct Model {
    manifest: Arc<Manifest>,
    tensors: Arc<Tensors>,
}

impl Model {
    /// Opens a model file, or `builtin:NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Model`] if it is malformed, saying where;
    /// [`Error::UnknownName`] for an unknown built-in model; [`Error::UnsupportedFormat`] for another format
    /// version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(name) = path.to_str().and_then(|text| text.strip_prefix("builtin:")) {
            return Self::builtin(name);
        }
        Tensors::open(path)
            .and_then(|tensors| Self::from_tensors(tensors).map_err(|error| error.context(path.display())))
    }

    /// Opens a model that is compiled into the library; see [`builtins`](Self::builtins).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is no such model; it lists the valid names.
    pub fn builtin(name: &str) -> Result<Self> {
        let bytes =
            builtin::bytes(name).ok_or_else(|| Error::unknown_name("built-in model", name, Self::builtins()))?;
        Self::from_bytes(bytes)
    }

    /// Names of the models that are compiled into the library.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        builtin::names()
    }

    /// Reads a model from the content of its file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] or [`Error::Limit`], saying what is wrong; [`Error::UnsupportedFormat`] for another format
    /// version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_tensors(Tensors::from_safetensors(bytes, &Limits::default())?)
    }

    fn from_tensors(tensors: Tensors) -> Result<Self> {
        let text = tensors.metadata().get(MANIFEST_KEY).ok_or_else(|| {
            Error::Model(
                "this is no semsynth model: it has no manifest (weights of other programs need an import)".into(),
            )
        })?;
        let manifest = Manifest::from_ron_str(text)?;
        let model = Self { manifest: Arc::new(manifest), tensors: Arc::new(tensors) };
        model.check()?;
        Ok(model)
    }

    /// Makes a model from a trained network; spectral norms are folded into the weights.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the network does not match the manifest or holds a value that is not finite;
    /// [`Error::Device`] if values cannot be read from the device.
    pub fn from_network(network: Network, manifest: Manifest, precision: Precision) -> Result<Self> {
        let mut tensors = store(&network.folded(), precision)?;
        tensors.set_metadata(MANIFEST_KEY, manifest.to_ron_string()?);
        Self::from_tensors(tensors)
    }

    /// Takes the model apart into manifest and tensors.
    pub(crate) fn into_parts(self) -> (Arc<Manifest>, Arc<Tensors>) {
        (self.manifest, self.tensors)
    }

    /// Compares the tensors with those the architecture needs, without allocating a network.
    fn check(&self) -> Result<()> {
        let network = self.blank(&burn::tensor::Device::flex())?;
        let slots = slots(&network);
        let needed = names(&slots, official_names)?;
        let known: std::collections::BTreeSet<&str> = needed.iter().map(String::as_str).collect();
        presets::check(&self.manifest.presets, self.architecture(), &self.tensors)?;
        for name in self.tensors.names().filter(|name| !presets::is_preset(name)) {
            if !known.contains(name) {
                return Err(Error::Model(format!(
                    "tensor {name:?} does not belong to a {}",
                    self.architecture().describe()
                )));
            }
        }
        params::check(&slots, &self.tensors, &needed)
    }

    fn blank(&self, device: &burn::tensor::Device) -> Result<Network> {
        self.architecture().init(&mut Init::to_load(device))
    }

    /// Loads the network onto a device.
    ///
    /// # Errors
    ///
    /// Never fails for a model that was opened: opening has checked everything.
    pub fn network(&self, device: &burn::tensor::Device) -> Result<Network> {
        load(self.blank(device)?, &self.tensors)
    }

    /// Writes the model to a file; a crash never leaves a partial file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.tensors.save(path)
    }

    /// Encodes the model as a file. Equal models give equal bytes.
    ///
    /// # Errors
    ///
    /// Never fails for a model that was opened.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.tensors.to_safetensors()
    }

    /// The weights, named as in the papers' code, with spectral norms folded.
    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The network.
    pub fn architecture(&self) -> &Architecture {
        &self.manifest.architecture
    }

    /// What the model can do besides painting whole pictures, with its own statistics.
    pub fn capabilities(&self) -> Capabilities {
        self.manifest.capabilities()
    }

    /// The pixels that depend on the labels of a rectangle, within a picture of the given height and width or, without
    /// one, in an endless world. `None` if all pixels do, or more than a [`Rect`] can have.
    pub fn affected(&self, edit: Rect, size: Option<[usize; 2]>) -> Option<Rect> {
        self.manifest.architecture.affected(edit, size, self.manifest.statistics)
    }

    /// The classes.
    pub fn classes(&self) -> &ClassTable {
        &self.manifest.classes
    }

    /// Number of parameters of the network, an encoder's included: as papers count them, without statistics.
    pub fn num_parameters(&self) -> usize {
        let learned = |name: &str| !name.ends_with(".running_mean") && !name.ends_with(".running_var");
        let network = self.tensors.iter().filter(|(name, _)| !presets::is_preset(name) && learned(name));
        network.map(|(_, data)| data.len()).sum()
    }

    /// Number of values in the network: parameters and statistics.
    pub fn num_values(&self) -> usize {
        let network = self.tensors.iter().filter(|(name, _)| !presets::is_preset(name));
        network.map(|(_, data)| data.len()).sum()
    }
}

impl From<&Self> for Model {
    fn from(model: &Self) -> Self {
        model.clone()
    }
}
