//! A model's weights on a device.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::DType;
use rayon::ThreadPool;

use super::{Synthesizer, SynthesizerOptions};
use crate::device::{Device, DeviceClass};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::{self, Manifest, Model, Precision};
use crate::network::{Architecture, Encoder, Network};
use crate::nn::gpu;
use crate::tensors::Tensors;

/// A model's weights, packed for a device. It is immutable and cheap to clone; any number of threads can share it,
/// each with its own [`Synthesizer`].
///
/// ```no_run
/// # fn main() -> semsynth::Result<()> {
/// use semsynth::{Device, LabelMap, Model, PreparedModel, Request};
///
/// let model = Model::builtin("facades")?;
/// let prepared = PreparedModel::new(&model, &Device::cpu())?;
/// let labels = LabelMap::open("labels.png", model.classes())?;
/// std::thread::scope(|scope| {
///     for seed in 0..8 {
///         let (mut synth, labels) = (prepared.synthesizer(), &labels);
///         scope.spawn(move || synth.run(labels, &Request::new().seed(seed)));
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PreparedModel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    manifest: Arc<Manifest>,
    device: Device,
    weights: Weights,
    /// The model's tensors, to load the encoder from.
    tensors: Arc<Tensors>,
    encoder: Mutex<Option<Encoder>>,
    pool: Option<ThreadPool>,
}

/// The weights, in one of two forms.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one per prepared model, behind an `Arc`")]
pub(super) enum Weights {
    /// The CPU engine.
    Engine(Arc<Engine>),
    /// The Burn network.
    Network {
        network: Network,
        /// Use Burn's operations only.
        reference: bool,
    },
}

impl PreparedModel {
    /// Prepares a model. `options` is a device or [`SynthesizerOptions`].
    ///
    /// On the CPU, models of the SPADE family run on our kernels if every layer is supported, on the current Rayon
    /// pool or a pool of their own. On a GPU, our kernels compute convolution and modulation.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for 16-bit floats on the CPU or on a device without them, or for 0 threads;
    /// [`Error::Device`] if the device fails.
    pub fn new(model: impl Into<Model>, options: impl Into<SynthesizerOptions>) -> Result<Self> {
        let (model, options) = (model.into(), options.into());
        let pool = options.threads.map(thread_pool).transpose()?;
        match &pool {
            Some(pool) => pool.install(|| Self::on(model, &options)),
            None => Self::on(model, &options),
        }
        .map(|inner| Self(Arc::new(Inner { pool, ..inner })))
    }

    fn on(model: Model, options: &SynthesizerOptions) -> Result<Inner> {
        let device = &options.device;
        let on_cpu = device.info().class == DeviceClass::Cpu;
        let half = options.precision == Precision::Half;
        if half && (on_cpu || !device.burn().supports_dtype(DType::F16)) {
            let name = &device.info().name;
            return Err(Error::Argument(format!(
                "16-bit floats are for GPUs that have them, and {name} is none: use 32 bits"
            )));
        }
        let size = options.size_hint.unwrap_or(model.manifest().native_size);
        let of = |manifest, tensors, weights| {
            let device = device.clone();
            Inner { manifest, device, weights, tensors, encoder: Mutex::default(), pool: None }
        };
        match model.architecture().clone() {
            Architecture::SpadeFamily(config) if on_cpu && !options.reference && Engine::supports(&config) => {
                let (manifest, tensors) = model.into_parts();
                let engine = if options.low_memory {
                    let tensors = Arc::unwrap_or_clone(tensors);
                    Engine::low_memory(&config, tensors, size)?
                } else {
                    Engine::new(&config, tensors, size)?
                };
                let rest = Arc::clone(engine.tensors());
                Ok(of(manifest, rest, Weights::Engine(Arc::new(engine))))
            }
            _ => {
                let mut network = model.network(device.burn())?;
                if !on_cpu && !options.reference {
                    network.generator = gpu::prepared(network.generator, half);
                }
                let (manifest, tensors) = model.into_parts();
                Ok(of(manifest, tensors, Weights::Network { network, reference: options.reference }))
            }
        }
    }

    /// A synthesizer that uses these weights, for one thread.
    pub fn synthesizer(&self) -> Synthesizer {
        Synthesizer::of(self.clone())
    }

    /// The manifest of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The device that the model runs on.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    pub(super) fn architecture(&self) -> &Architecture {
        &self.0.manifest.architecture
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.0.weights
    }

    pub(super) fn pool(&self) -> Option<&ThreadPool> {
        self.0.pool.as_ref()
    }

    /// The style encoder, if the model has one; it is loaded on first use.
    pub(super) fn encoder(&self) -> Result<Option<Encoder>> {
        if let Weights::Network { network, .. } = &self.0.weights {
            return Ok(network.encoder.clone());
        }
        let mut encoder = self.0.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        if encoder.is_none() {
            *encoder = model::load_encoder(self.architecture(), &self.0.tensors, self.0.device.burn())?;
        }
        Ok(encoder.clone())
    }
}

fn thread_pool(threads: usize) -> Result<ThreadPool> {
    if threads == 0 {
        return Err(Error::Argument("threads: 0 is not possible, it must be at least 1".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("semsynth {i}")).build();
    pool.map_err(|error| Error::Device(format!("{threads} threads: {error}")))
}

/// Both types can be sent to other threads; a prepared model can also be shared.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn sent<T: Send>() {}
    shared::<PreparedModel>();
    shared::<Model>();
    shared::<SynthesizerOptions>();
    shared::<super::CancelToken>();
    sent::<Synthesizer>();
};
