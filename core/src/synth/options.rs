//! Options for preparing a model.

use crate::device::Device;
use crate::model::Precision;

/// How to prepare a model: the device, and trade-offs between speed, memory and precision. A [`&Device`](Device)
/// converts into the default options for that device.
#[derive(Clone, Debug)]
pub struct SynthesizerOptions {
    pub(super) device: Device,
    pub(super) precision: Precision,
    pub(super) low_memory: bool,
    pub(super) size_hint: Option<[usize; 2]>,
    pub(super) threads: Option<usize>,
    pub(super) reference: bool,
}

impl SynthesizerOptions {
    /// Default options for a device: fast kernels, 32-bit floats, buffers kept for reuse, the current Rayon pool.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            precision: Precision::Full,
            low_memory: false,
            size_hint: None,
            threads: None,
            reference: false,
        }
    }

    /// Precision of the computation. 16-bit floats are for GPUs: they halve the memory, and are faster on GPUs with
    /// 16-bit units. Normalization statistics and the sums in our kernels stay at 32 bits.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Uses less memory on the CPU: the model's weights are freed while they are packed for the kernels (unless
    /// other handles of the model exist), and no tables of gamma and beta are kept between pictures; buffers still
    /// are. Preparing takes a little longer.
    #[must_use]
    pub fn low_memory(self) -> Self {
        Self { low_memory: true, ..self }
    }

    /// The usual width and height of pictures. The default is the size the model was trained at. On the CPU,
    /// kernels are chosen for this size: other sizes give the same pictures, up to rounding, but may be slower.
    #[must_use]
    pub fn size_hint(self, width: usize, height: usize) -> Self {
        Self { size_hint: Some([height, width]), ..self }
    }

    /// Runs on a thread pool of its own with this many threads. Pictures do not depend on the number.
    ///
    /// Synthesizers that share the model then take turns: the pool computes one picture at a time.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Uses the reference path, built on Burn's operations, on any device: slow, for comparisons and tests.
    #[must_use]
    pub fn reference(self) -> Self {
        Self { reference: true, ..self }
    }
}

impl From<&Device> for SynthesizerOptions {
    fn from(device: &Device) -> Self {
        Self::new(device)
    }
}

impl From<&Self> for SynthesizerOptions {
    fn from(options: &Self) -> Self {
        options.clone()
    }
}
