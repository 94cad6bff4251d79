//! Weights by the names of the papers' code.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::model::{TensorData, Tensors};

/// The tensors of a model that has been checked: every name the network needs is there, with its shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a>(pub(super) &'a Tensors);

impl<'a> Weights<'a> {
    pub(super) fn get(self, name: &str) -> Result<Cow<'a, [f32]>> {
        self.find(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(super) fn find(self, name: &str) -> Option<Cow<'a, [f32]>> {
        self.0.get(name).map(TensorData::as_f32)
    }
}
