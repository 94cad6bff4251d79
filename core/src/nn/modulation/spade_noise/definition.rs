//! Reference implementation of SPADE with noise in Burn operations, and its GPU tables.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::super::spade::Spade;
use super::Facts;
use crate::nn::Init;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;

/// [`Spade`] on features to which noise is added before normalisation.
#[derive(Module, Debug)]
pub struct SpadeNoise {
    /// `[channels]`; strength of the noise.
    noise_var: Param<Tensor<1>>,
    spade: Spade,
}

impl Layer for SpadeNoise {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        let noise_var = init.zeros([channels]);
        Self { noise_var, spade: Spade::new(init, &super::SPADE, channels, config) }
    }

    fn noise_strength(&self) -> Option<Tensor<1>> {
        Some(self.noise_var.val())
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        self.spade.modulate(normalized, input)
    }

    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        self.spade.tables(labels, style)
    }
}
