//! A model's weights on a device.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::DType;
use rayon::ThreadPool;

use super::{StyleEncoder, Synthesizer, SynthesizerOptions};
use crate::device::{Device, DeviceClass};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::label::{LabelMap, MAX_SIDE};
use crate::memory;
use crate::model::{Manifest, Model, Precision};
use crate::network::{Architecture, Network};
use crate::nn::gpu;
use crate::picture::Image;
use crate::style::Style;

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
    encoder: Mutex<Option<StyleEncoder>>,
    /// The style of requests without one: the model's first preset.
    style: Option<Style>,
    pool: Option<Pool>,
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
            Some(pool) => pool.threads.install(|| Self::on(model, &options)),
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
        if let Some(side) = size.into_iter().find(|side| !(1..=MAX_SIDE).contains(side)) {
            return Err(Error::Argument(format!("size_hint: a side of {side} pixels, it must be 1 to {MAX_SIDE}")));
        }
        // As 32-bit floats, and packed for the kernels.
        let values = model.tensors().iter().map(|(_, data)| data.len()).sum();
        memory::ask_for(values, 2 * size_of::<f32>(), "this model")?;
        let style = model.presets().first().map(|preset| model.preset(&preset.name)).transpose()?;
        let of = |manifest, weights| {
            let (device, style) = (device.clone(), style.clone());
            Inner { manifest, device, weights, encoder: Mutex::default(), style, pool: None }
        };
        match model.architecture().clone() {
            Architecture::SpadeFamily(config) if on_cpu && !options.reference && Engine::supports(&config) => {
                let (manifest, tensors) = model.into_parts();
                let engine = match (options.low_memory, Arc::try_unwrap(tensors)) {
                    (true, Ok(tensors)) => Engine::low_memory(&config, tensors, size)?,
                    // Somebody else holds the tensors: there is nothing to free.
                    (low_memory, Err(tensors)) => Engine::new(&config, tensors, size, low_memory)?,
                    (false, Ok(tensors)) => Engine::new(&config, Arc::new(tensors), size, false)?,
                };
                Ok(of(manifest, Weights::Engine(Arc::new(engine))))
            }
            _ => {
                let mut network = model.network(device.burn())?;
                if !on_cpu && !options.reference {
                    network.generator = gpu::prepared(network.generator, half);
                }
                let (manifest, _) = model.into_parts();
                Ok(of(manifest, Weights::Network { network, reference: options.reference }))
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

    /// The style of requests without one, if the model has presets.
    pub(super) fn default_style(&self) -> Option<&Style> {
        self.0.style.as_ref()
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.0.weights
    }

    /// Whether the CPU engine synthesizes, rather than the network on Burn.
    pub fn uses_engine(&self) -> bool {
        matches!(self.0.weights, Weights::Engine(_))
    }

    pub(super) fn pool(&self) -> Option<&Pool> {
        self.0.pool.as_ref()
    }

    /// Encodes the style of a photo; see [`StyleEncoder::encode`].
    ///
    /// # Errors
    ///
    /// As [`StyleEncoder::encode`]; [`Error::Argument`] if the model has no encoder.
    pub fn encode(&self, photo: &Image, labels: Option<&LabelMap>, seed: Option<u64>) -> Result<Style> {
        let encode = || self.style_encoder()?.encode(photo, labels, seed);
        match &self.0.pool {
            Some(pool) => pool.threads.install(encode),
            None => encode(),
        }
    }

    /// The style encoder, loaded on first use.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model has none.
    pub fn style_encoder(&self) -> Result<StyleEncoder> {
        // Not held while loading: that waits on a thread pool, whose threads may come back here meanwhile.
        let loaded = || self.0.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoder) = &*loaded() {
            return Ok(encoder.clone());
        }
        let Inner { manifest, device, .. } = &*self.0;
        let encoder = match &self.0.weights {
            Weights::Engine(engine) => StyleEncoder::load(Arc::clone(manifest), engine.tensors(), device),
            Weights::Network { network, .. } => StyleEncoder::of(Arc::clone(manifest), network.encoder.clone(), device),
        }?;
        *loaded() = Some(encoder.clone());
        Ok(encoder)
    }
}

/// A thread pool of a model's own, which computes one picture at a time: a thread that waits for its part of a picture
/// would otherwise start another one and finish that first.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) threads: ThreadPool,
    pub(super) turn: Mutex<()>,
}

fn thread_pool(threads: usize) -> Result<Pool> {
    if threads == 0 {
        return Err(Error::Argument("threads: 0 is not possible, it must be at least 1".into()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("semsynth {i}")).build();
    let threads = pool.map_err(|error| Error::Device(format!("{threads} threads: {error}")))?;
    Ok(Pool { threads, turn: Mutex::new(()) })
}

/// Both types can be sent to other threads; a prepared model can also be shared.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn sent<T: Send>() {}
    shared::<PreparedModel>();
    shared::<Model>();
    shared::<StyleEncoder>();
    shared::<SynthesizerOptions>();
    shared::<super::CancelToken>();
    sent::<Synthesizer>();
};
