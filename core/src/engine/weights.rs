//! Weights by the names of the papers' code.

use crate::error::{Error, Result};
use crate::model::{TensorData, Tensors};

/// The tensors of a model that has been checked: every name the network needs is there, with its shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a>(pub(super) &'a Tensors);

impl Weights<'_> {
    pub(super) fn get(self, name: &str) -> Result<Vec<f32>> {
        self.find(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(super) fn find(self, name: &str) -> Option<Vec<f32>> {
        self.0.get(name).map(TensorData::to_f32)
    }
}
