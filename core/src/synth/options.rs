//! How a model is prepared.

use crate::device::Device;
use crate::model::Precision;

/// How a model is prepared: where it runs, and what it may cost. An [`&Device`](Device) stands for the usual options on
/// that device.
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
    /// On a device: fast kernels, 32-bit floats, memory for speed, the threads of the current Rayon pool.
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

    /// Floats to compute with. 16 bits are for GPUs: half the memory, and faster where the GPU has units for them.
    /// Statistics, and the sums of our kernels, have 32 bits.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Less memory, on the CPU: the weights of the model are freed as they are packed for the kernels, unless there are
    /// other handles of the model, and nothing is kept from picture to picture but packed weights. Preparing takes a little
    /// longer.
    #[must_use]
    pub fn low_memory(self) -> Self {
        Self { low_memory: true, ..self }
    }

    /// Width and height of most pictures; without, those the model was trained at. Speed on the CPU depends on it; pictures
    /// do not, but for the last bits of their values.
    #[must_use]
    pub fn size_hint(self, width: usize, height: usize) -> Self {
        Self { size_hint: Some([height, width]), ..self }
    }

    /// Processor threads, in a pool of the model's own. Pictures are the same for any number.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// The reference implementation, on Burn's own operations on any device: slow, to compare and test with.
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
