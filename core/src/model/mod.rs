//! Models: one file that holds a network, its classes and where it comes from.
//!
//! A model file is a `.safetensors` file whose metadata holds a RON [`Manifest`] under `semsynth`. Tensors have the names
//! of the papers' code, with spectral norm divided in.

mod builtin;
mod import;
mod manifest;
mod params;
mod tensors;

use std::path::Path;
use std::sync::Arc;

use burn::module::Module;

pub use import::{Family, ImportOptions, import_checkpoint};
pub use manifest::{FORMAT, Manifest, Provenance};
#[cfg(feature = "train")]
pub(crate) use params::Slot;
pub(crate) use params::{export, import, names, read_back, slots};
pub use tensors::{DType, Limits, TensorData, Tensors};

use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::network::{Architecture, Network, official_names};
use crate::nn::Init;

/// Fills a network from tensors that have the names of the papers' code; others are passed over.
///
/// # Errors
///
/// [`Error::Model`] naming the tensor that is missing, has another shape, or holds a value that is not finite.
pub fn load<M: Module>(network: M, tensors: &Tensors) -> Result<M> {
    let names = names(&slots(&network), official_names);
    import(network, tensors, &names)
}

/// The names and shapes of a network's parameters and buffers, as [`load`] looks for them. Nothing is allocated for a
/// network made by [`Init::to_load`].
pub fn shapes<M: Module>(network: &M) -> Vec<(String, Vec<usize>)> {
    let slots = slots(network);
    names(&slots, official_names).into_iter().zip(slots).map(|(name, slot)| (name, slot.shape)).collect()
}

/// Copies every value of a network out, under the names of the papers' code.
///
/// # Errors
///
/// [`Error::Device`] if values cannot be read back.
pub fn store<M: Module>(network: &M, precision: Precision) -> Result<Tensors> {
    let names = names(&slots(network), official_names);
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

/// Key of the manifest in the metadata of a model file.
const MANIFEST_KEY: &str = "semsynth";

/// How weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Full,
    /// 16-bit floats: half the size, about three decimal digits. Statistics stay at 32 bits.
    Half,
}

/// A trained network on the host: immutable, and cheap to clone.
#[derive(Clone, Debug)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manifest: Manifest,
    tensors: Tensors,
}

impl Model {
    /// Opens a model file, or `builtin:NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Model`] if it is malformed, naming the fault;
    /// [`Error::Argument`] for an unknown built-in.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(name) = path.to_str().and_then(|text| text.strip_prefix("builtin:")) {
            return Self::builtin(name);
        }
        Tensors::open(path)
            .and_then(|tensors| Self::from_tensors(tensors).map_err(|error| error.context(path.display())))
    }

    /// A model that is part of the library; see [`builtins`](Self::builtins).
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is none of that name; it lists those there are.
    pub fn builtin(name: &str) -> Result<Self> {
        let bytes = builtin::bytes(name).ok_or_else(|| {
            let names: Vec<&str> = Self::builtins().collect();
            Error::Argument(format!("there is no built-in model {name:?}; there is: {}", names.join(", ")))
        })?;
        Self::from_bytes(bytes)
    }

    /// Names of the models that are part of the library.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        builtin::names()
    }

    /// Reads the content of a model file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] or [`Error::Limit`], naming the fault.
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
        let model = Self(Arc::new(Inner { manifest, tensors }));
        model.check()?;
        Ok(model)
    }

    /// Makes a model out of a trained network, as it infers with `manifest.statistics`.
    #[cfg(feature = "train")]
    pub(crate) fn from_network(network: Network, manifest: Manifest, precision: Precision) -> Result<Self> {
        let mut tensors = store(&network.folded(), precision)?;
        tensors.set_metadata(MANIFEST_KEY, manifest.to_ron_string()?);
        Self::from_tensors(tensors)
    }

    /// What it consists of, copied if there are other handles of this model.
    pub(crate) fn into_parts(self) -> (Manifest, Tensors) {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => (inner.manifest, inner.tensors),
            Err(shared) => (shared.manifest.clone(), shared.tensors.clone()),
        }
    }

    /// A model of parts that are not checked; those of another one, or some of them.
    pub(crate) fn of_parts(manifest: Manifest, tensors: Tensors) -> Self {
        Self(Arc::new(Inner { manifest, tensors }))
    }

    /// Compares the tensors with what the architecture needs; nothing of its size is allocated for that.
    fn check(&self) -> Result<()> {
        let network = self.blank(&burn::tensor::Device::flex())?;
        let slots = slots(&network);
        let needed = names(&slots, official_names);
        let known: std::collections::BTreeSet<&str> = needed.iter().map(String::as_str).collect();
        for name in self.0.tensors.names() {
            if !known.contains(name) {
                return Err(Error::Model(format!(
                    "tensor {name:?} does not belong to a {}",
                    self.architecture().describe()
                )));
            }
        }
        params::check(&slots, &self.0.tensors, &needed)
    }

    fn blank(&self, device: &burn::tensor::Device) -> Result<Network> {
        self.architecture().init(&mut Init::to_load(device))
    }

    /// Puts the network on a device.
    ///
    /// # Errors
    ///
    /// Does not fail for a model that was opened; the checks were made then.
    pub fn network(&self, device: &burn::tensor::Device) -> Result<Network> {
        load(self.blank(device)?, &self.0.tensors)
    }

    /// Writes the model to a file; a crash never leaves half of one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.0.tensors.save(path)
    }

    /// The content of the model's file: the same model gives the same bytes.
    ///
    /// # Errors
    ///
    /// Does not fail for a model that was opened.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.0.tensors.to_safetensors()
    }

    /// The weights, under the names of the papers' code, spectral norms divided in.
    pub fn tensors(&self) -> &Tensors {
        &self.0.tensors
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The network.
    pub fn architecture(&self) -> &Architecture {
        &self.0.manifest.architecture
    }

    /// The classes the model knows.
    pub fn classes(&self) -> &ClassTable {
        &self.0.manifest.classes
    }

    /// Number of values in the network, trained ones and statistics.
    pub fn num_values(&self) -> usize {
        self.0.tensors.iter().map(|(_, data)| data.len()).sum()
    }
}
