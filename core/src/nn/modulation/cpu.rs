//! Modulations on the kernels of the CPU engine.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use semsynth_kernels::{Affine, Isa};

use super::ModulationConfig;
use crate::error::{Error, Result};
use crate::label::LabelScale;
use crate::tensors::{TensorData, Tensors};

/// Packs the weights of one norm.
pub(crate) type PackFn = fn(&NormWeights<'_>, &CpuConfig) -> Result<Arc<dyn CpuModulation>>;

/// What a norm of the CPU engine is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuConfig {
    pub(crate) isa: Isa,
    pub(crate) modulation: ModulationConfig,
    /// Channels of the features.
    pub(crate) channels: usize,
    /// Whether memory matters more than time.
    pub(crate) low_memory: bool,
}

/// The packed weights of one modulation: immutable, and shared by all sessions.
pub(crate) trait CpuModulation: Debug + Send + Sync {
    /// What one thread needs besides the weights.
    fn session(self: Arc<Self>) -> Box<dyn CpuSession>;
}

/// A modulation in use: the shared weights, and what is kept from picture to picture.
pub(crate) trait CpuSession: Debug + Send {
    /// Takes on styles, `[labels, length]`, or none. `weights` are those it was packed from.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor is missing.
    fn set_style(&mut self, _weights: &NormWeights<'_>, _style: Option<&[f32]>) -> Result<()> {
        Ok(())
    }

    /// How strong the noise is that is added to features before they are normalised, `[channels]`; nothing where there is
    /// none.
    fn noise_strength(&self) -> Option<&[f32]> {
        None
    }

    /// Normalises by an affine map, modulates, and applies the activation: `x` is `[channels, h, w]`, `out`
    /// `[channels + extra, h, w]`, of the size of the scale.
    fn modulate(&mut self, x: &[f32], affine: Affine<'_>, scale: &LabelScale, out: &mut [f32]);
}

/// The tensors of one norm, by their names within it. The model has been checked: every name the network needs is there,
/// with its shape.
#[derive(Clone, Debug)]
pub(crate) struct NormWeights<'a> {
    tensors: &'a Tensors,
    /// Official name of the norm.
    norm: &'a str,
}

impl<'a> NormWeights<'a> {
    pub(crate) fn new(tensors: &'a Tensors, norm: &'a str) -> Self {
        Self { tensors, norm }
    }

    /// A tensor's values.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if it is missing.
    pub(crate) fn get(&self, name: &str) -> Result<Cow<'a, [f32]>> {
        values(self.tensors, &format!("{}.{name}", self.norm))
    }

    /// Whether there is such a tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.get(&format!("{}.{name}", self.norm)).is_some()
    }
}

/// The values of a tensor by its whole name.
///
/// # Errors
///
/// [`Error::Model`] if it is missing.
pub(crate) fn values<'a>(tensors: &'a Tensors, name: &str) -> Result<Cow<'a, [f32]>> {
    let data = tensors.get(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
    Ok(TensorData::as_f32(data))
}
