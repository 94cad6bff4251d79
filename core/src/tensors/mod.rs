//! Named tensors with metadata: the storage of model files, training checkpoints and weights of other programs.
//!
//! Writes [safetensors](https://huggingface.co/docs/safetensors); reads safetensors and what `torch.save` writes
//! for a `state_dict` (the zip container of `PyTorch` 1.6 and later, and the older pickle stream). Files are not
//! trusted: every declared size is compared with the real length before memory is allocated.

mod data;
mod file;
#[cfg(test)]
mod fuzz;
mod pickle;
mod pytorch;
mod safetensors;
mod source;
mod wrap;

use std::collections::BTreeMap;

pub use data::{DType, TensorData};
pub(crate) use wrap::unwrapped;

use crate::error::{Error, Result};

/// The key of the metadata in safetensors headers; no tensor can have this name.
const METADATA_KEY: &str = "__metadata__";

/// Limits on files, headers and tensors. The defaults suit all networks of this library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. Default 2 GiB.
    pub max_file: u64,
    /// Bytes of all metadata keys and values together. Default 1 MiB.
    pub max_metadata: usize,
    /// Number of tensors. Default 4096.
    pub max_tensors: usize,
    /// Number of sides of a tensor. Default 6.
    pub max_rank: usize,
    /// Bytes in the name of a tensor. Default 256.
    pub max_name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file: 2 << 30, max_metadata: 1 << 20, max_tensors: 4096, max_rank: 6, max_name: 256 }
    }
}

impl Limits {
    fn check_file(&self, len: u64) -> Result<()> {
        if len > self.max_file {
            return Err(Error::Limit(format!("{len} bytes, more than the {} accepted", self.max_file)));
        }
        Ok(())
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if count > self.max_tensors {
            return Err(Error::Limit(format!("{count} tensors, more than the {} accepted", self.max_tensors)));
        }
        Ok(())
    }

    fn check_tensor(&self, name: &str, rank: usize) -> Result<()> {
        if name.is_empty() || name == METADATA_KEY {
            return Err(Error::Model(format!("{name:?} is not a valid tensor name")));
        }
        if name.len() > self.max_name {
            let (short, len) = (shorten(name), name.len());
            return Err(Error::Limit(format!(
                "the name of tensor {short} is {len} bytes long, more than the {} accepted",
                self.max_name
            )));
        }
        if rank > self.max_rank {
            return Err(Error::Limit(format!(
                "tensor {} has {rank} sides, more than the {} accepted",
                shorten(name),
                self.max_rank
            )));
        }
        Ok(())
    }

    fn check_metadata(&self, metadata: &BTreeMap<String, String>) -> Result<()> {
        let total: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        if total > self.max_metadata {
            return Err(Error::Limit(format!(
                "{total} bytes of metadata, more than the {} accepted",
                self.max_metadata
            )));
        }
        Ok(())
    }
}

/// Quotes text from a file for an error message, truncated if it is long.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        return format!("{text:?}");
    }
    format!("{:?}...", text.chars().take(SHOWN).collect::<String>())
}

/// Tensors by name, with text metadata, both sorted by name.
///
/// ```
/// # fn main() -> semsynth::Result<()> {
/// # let folder = tempfile::tempdir().map_err(semsynth::Error::io("temporary folder"))?;
/// # let path = folder.path().join("weights.safetensors");
/// use semsynth::tensors::Tensors;
///
/// let mut tensors = Tensors::new();
/// tensors.insert_f32("conv.bias", vec![3], vec![0.0, 1.0, 2.0])?;
/// tensors.set_metadata("licence", "CC0-1.0");
/// tensors.save(&path)?;
/// assert_eq!(Tensors::open(&path)?, tensors);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tensors {
    tensors: BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
}

impl Tensors {
    /// No tensors, no metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`Error::Argument`] if the name is taken; [`Error::Model`] or [`Error::Limit`] if the default [`Limits`] do
    /// not allow the name or shape.
    pub fn insert(&mut self, name: impl Into<String>, data: TensorData) -> Result<()> {
        let name = name.into();
        Limits::default().check_tensor(&name, data.shape().len())?;
        match self.tensors.entry(name) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(data);
                Ok(())
            }
            std::collections::btree_map::Entry::Occupied(slot) => {
                Err(Error::Argument(format!("there is already a tensor named {:?}", slot.key())))
            }
        }
    }

    /// Adds a 32-bit float tensor; `values` are in row-major order.
    ///
    /// # Errors
    /// As [`Tensors::insert`], and [`Error::Argument`] if the number of values does not match `shape`.
    #[allow(clippy::needless_pass_by_value, reason = "the caller hands the values over for good")]
    pub fn insert_f32(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) -> Result<()> {
        let name = name.into();
        let data = TensorData::from_f32(shape, &values).map_err(|e| e.context(format!("tensor {}", shorten(&name))))?;
        self.insert(name, data)
    }

    /// Adds a tensor stored as 16-bit floats; `values` are in row-major order and are rounded to nearest.
    ///
    /// # Errors
    /// As [`Tensors::insert_f32`], and [`Error::Argument`] if a finite value is beyond the range of 16-bit floats.
    #[allow(clippy::needless_pass_by_value, reason = "the caller hands the values over for good")]
    pub fn insert_f16(&mut self, name: impl Into<String>, shape: Vec<usize>, values: Vec<f32>) -> Result<()> {
        let name = name.into();
        let data =
            TensorData::from_f32_as_f16(shape, &values).map_err(|e| e.context(format!("tensor {}", shorten(&name))))?;
        self.insert(name, data)
    }

    /// The tensor with this name.
    pub fn get(&self, name: &str) -> Option<&TensorData> {
        self.tensors.get(name)
    }

    /// Removes the tensor with this name and returns it.
    pub fn remove(&mut self, name: &str) -> Option<TensorData> {
        self.tensors.remove(name)
    }

    /// Keeps only the tensors whose names fulfil a condition.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.tensors.retain(|name, _| keep(name));
    }

    /// All names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &TensorData)> {
        self.tensors.iter().map(|(name, data)| (name.as_str(), data))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The text metadata.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets a metadata entry, replacing any earlier value.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.metadata.insert(key.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_reasonable() {
        let mut tensors = Tensors::new();
        tensors.insert_f32("b", vec![1], vec![1.0]).unwrap();
        tensors.insert_f16("a", vec![], vec![0.5]).unwrap();
        assert!(matches!(tensors.insert_f32("b", vec![1], vec![2.0]), Err(Error::Argument(_))));
        assert_eq!(tensors.get("b").unwrap().to_f32(), [1.0]);
        assert_eq!(tensors.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(tensors.insert_f32("", vec![1], vec![1.0]).is_err());
        assert!(tensors.insert_f32("__metadata__", vec![1], vec![1.0]).is_err());
        assert!(tensors.insert_f32("n".repeat(257), vec![1], vec![1.0]).is_err());
        assert!(tensors.insert_f32("rank", vec![1; 7], vec![1.0]).is_err());
        let error = tensors.insert_f32("short", vec![2], vec![1.0]).unwrap_err().to_string();
        assert!(error.contains("short") && error.contains('2'), "{error}");
        assert_eq!(tensors.len(), 2);
        assert!(tensors.remove("a").is_some() && tensors.remove("a").is_none());
    }
}
