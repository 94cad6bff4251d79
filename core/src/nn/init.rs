//! Initial values of parameters.

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Shape, Tensor, TensorData};

use crate::rng::Rng;

/// Creates parameters on one device. With a seed, their initial values are the same on every device.
#[derive(Debug)]
pub struct Init {
    /// None if values will be loaded.
    rng: Option<Rng>,
    spectral: bool,
    mixed: bool,
    device: Device,
}

impl Init {
    /// Random initial values, from the same distributions as in the papers' code.
    pub fn random(seed: u64, device: &Device) -> Self {
        Self { rng: Some(Rng::new(seed)), spectral: true, mixed: false, device: device.clone() }
    }

    /// For inference with parameters that will be loaded: allocates nothing beforehand, and makes layers without
    /// spectral norm, because model files store weights with spectral norm folded in.
    pub fn to_load(device: &Device) -> Self {
        Self { rng: None, spectral: false, mixed: false, device: device.clone() }
    }

    /// Like [`to_load`](Self::to_load), but with spectral norm: for checkpoints, and to list the parameters of a
    /// network.
    pub fn to_load_unfolded(device: &Device) -> Self {
        Self { spectral: true, ..Self::to_load(device) }
    }

    /// Makes convolutions that compute with 16-bit floats, from and to 32 bits.
    #[cfg(feature = "train")]
    pub(crate) fn mixed(self, mixed: bool) -> Self {
        Self { mixed, ..self }
    }

    /// Whether convolutions compute with 16-bit floats, whatever the type of what they are given.
    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// Whether layers that ask for spectral norm get it.
    pub(crate) fn spectral(&self) -> bool {
        self.spectral
    }

    /// The device that parameters are created on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Normal with variance `2 gain² / (fan_in + fan_out)` (Glorot & Bengio 2010); the papers' gain is 0.02.
    pub(crate) fn xavier_normal<const D: usize>(&mut self, shape: [usize; D], gain: f64) -> Param<Tensor<D>> {
        // Fans are the first two dimensions, each times the area of the kernel.
        let area: usize = shape.iter().skip(2).product();
        let fans: usize = shape.iter().take(2).sum();
        let std = gain * (2.0 / (fans * area) as f64).sqrt();
        self.fill(shape, |rng| rng.normal() * std)
    }

    /// Uniform in `±1/sqrt(fan_in)`, the default of `PyTorch` for convolutions.
    pub(crate) fn kaiming_uniform(&mut self, shape: [usize; 4]) -> Param<Tensor<4>> {
        let [_, input, kh, kw] = shape;
        let bound = 1.0 / ((input * kh * kw) as f64).sqrt();
        self.fill(shape, |rng| (rng.uniform() * 2.0 - 1.0) * bound)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn uniform<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.fill(shape, Rng::uniform)
    }

    /// Ones.
    pub(crate) fn ones<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.fill(shape, |_| 1.0)
    }

    /// The same value everywhere.
    #[cfg(feature = "train")]
    pub(crate) fn constant<const D: usize>(&mut self, shape: [usize; D], value: f64) -> Param<Tensor<D>> {
        self.fill(shape, |_| value)
    }

    /// Zeros.
    pub(crate) fn zeros<const D: usize>(&self, shape: [usize; D]) -> Param<Tensor<D>> {
        if self.rng.is_some() {
            return Param::from_tensor(Tensor::zeros(shape, &self.device));
        }
        let make = move |device: &Device, _| Tensor::zeros(shape, device);
        Param::uninitialized(ParamId::new(), make, self.device.clone(), false, Shape::new(shape))
    }

    /// A random unit vector: standard normal values divided by their Euclidean length.
    pub(crate) fn unit_vector(&mut self, len: usize) -> Tensor<1> {
        let Some(rng) = &mut self.rng else { return Tensor::zeros([len], &self.device) };
        let values: Vec<f64> = (0..len).map(|_| rng.normal()).collect();
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
        let values: Vec<f32> = values.into_iter().map(|v| (v / norm) as f32).collect();
        Tensor::from_data(TensorData::new(values, [len]), &self.device)
    }

    fn fill<const D: usize>(&mut self, shape: [usize; D], mut draw: impl FnMut(&mut Rng) -> f64) -> Param<Tensor<D>> {
        let Some(rng) = &mut self.rng else { return self.zeros(shape) };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw(rng) as f32).collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}
