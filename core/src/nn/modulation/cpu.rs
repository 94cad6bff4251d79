//! How the CPU engine runs a modulation.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use semsynth_kernels::{Affine, Isa, MapMut, Scratch, Source};

use super::ModulationConfig;
use crate::error::{Error, Result};
use crate::label::LabelArea;
use crate::tensors::{TensorData, Tensors};

/// Packs the weights of one norm for the CPU engine.
pub(crate) type PackFn = fn(&NormWeights<'_>, &CpuConfig) -> Result<Arc<dyn CpuModulation>>;

/// What a norm is packed for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuConfig {
    pub(crate) isa: Isa,
    pub(crate) modulation: ModulationConfig,
    /// Channels of the features.
    pub(crate) channels: usize,
    /// Whether to save memory at the cost of time.
    pub(crate) low_memory: bool,
}

/// The packed weights of one modulation: immutable, and shared by all sessions.
pub(crate) trait CpuModulation: Debug + Send + Sync {
    /// Creates the mutable state that one thread needs.
    fn session(self: Arc<Self>) -> Box<dyn CpuSession>;

    /// Bytes of the weights, if they are many.
    fn bytes(&self) -> usize {
        0
    }

    /// Working memory for `[rows, columns]`, if it is much.
    fn scratch(&self, _size: [usize; 2]) -> Scratch {
        Scratch::default()
    }
}

/// A modulation in use by one thread: the shared weights, and state kept between pictures.
pub(crate) trait CpuSession: Debug + Send {
    /// Sets the styles, `[labels, length]`, or removes them. `weights` must be those that the modulation was packed
    /// from.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if a tensor is missing.
    fn set_style(&mut self, _weights: &NormWeights<'_>, _style: Option<&[f32]>) -> Result<()> {
        Ok(())
    }

    /// Strength of the noise that is added to features before normalisation, `[channels]`; `None` if the modulation
    /// uses no noise.
    fn noise_strength(&self) -> Option<&[f32]> {
        None
    }

    /// Normalises some rows by the affine map, modulates, and applies the activation. `out` has the channels of `x` and
    /// the extra ones, and the rows and columns of `labels`; `x` starts at the first of them.
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>);
}

/// The tensors of one norm, by their names within it. The model has been validated: every tensor the network needs
/// exists and has the right shape.
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

    /// The values of a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if it is missing.
    pub(crate) fn get(&self, name: &str) -> Result<Cow<'a, [f32]>> {
        values(self.tensors, &format!("{}.{name}", self.norm))
    }

    /// Whether the tensor exists.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.get(&format!("{}.{name}", self.norm)).is_some()
    }
}

/// The values of a tensor by its full name.
///
/// # Errors
///
/// [`Error::Model`] if it is missing.
pub(crate) fn values<'a>(tensors: &'a Tensors, name: &str) -> Result<Cow<'a, [f32]>> {
    let data = tensors.get(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
    Ok(TensorData::as_f32(data))
}
