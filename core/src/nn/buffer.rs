//! State that is saved with a module but not trained.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::tensor::{Device, Tensor};

/// A tensor that a forward pass may replace: running statistics, the vectors of the power iteration.
///
/// Clones share the value, so a gradient-free clone used inside a training step keeps the original's statistics up to
/// date. [`Module::valid`] and [`Module::fork`] make an independent copy. (Burn's own `RunningState` averages over
/// threads and shows an update only one call later, so a resumed run would differ from an uninterrupted one.)
#[derive(Clone, Debug)]
pub struct Buffer<const D: usize> {
    id: ParamId,
    value: Arc<Mutex<Tensor<D>>>,
}

impl<const D: usize> Buffer<D> {
    /// Wraps an initial value.
    pub fn new(value: Tensor<D>) -> Self {
        Self::with_id(ParamId::new(), value)
    }

    fn with_id(id: ParamId, value: Tensor<D>) -> Self {
        Self { id, value: Arc::new(Mutex::new(value)) }
    }

    /// The current value.
    pub fn get(&self) -> Tensor<D> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value in every clone.
    pub fn set(&self, value: Tensor<D>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

impl<const D: usize> Module for Buffer<D> {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.get()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let (id, value, _) = mapper.map_float(Param::initialized(self.id, self.get())).consume();
        self.set(value.set_require_grad(false));
        Self { id, ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        self.set(self.get().to_device(device));
        self
    }

    fn fork(self, device: &Device) -> Self {
        Self::with_id(self.id, self.get().to_device(device))
    }

    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.get().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn materialize(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        Self::with_id(self.id, self.get().without_autodiff())
    }

    fn train(self) -> Self {
        Self::with_id(self.id, Tensor::from_inner(self.get()))
    }
}

impl<const D: usize> ModuleDisplayDefault for Buffer<D> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("Buffer {{rank: {D}}}")).optional()
    }
}

impl<const D: usize> ModuleDisplay for Buffer<D> {}
