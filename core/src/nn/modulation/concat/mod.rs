//! Concatenation: the label map as further channels of the features, the baseline "decoder + concat" of SPADE (Park et al. 2019,
//! table 4).
//!
//! After each normalisation a learned scale and shift per channel, as batch norm has them, then the labels beside the features: what
//! one gets without a modulation. The convolutions have as many input channels more as there are labels.

mod cpu;
mod definition;

pub use definition::Concat;

use super::ModulationConfig;
use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use crate::error::{Error, Result};

/// Most channels of labels and edges: every convolution has so many more.
const MOST_CHANNELS: usize = 1024;

/// Concatenation has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "concatenation".into()
    }

    fn name(&self) -> &'static str {
        "concat"
    }

    fn summary(&self) -> &'static str {
        "No modulation: labels beside the features of every layer, a baseline of the SPADE paper"
    }

    fn validate(&self, config: &ModulationConfig) -> Result<()> {
        let channels = config.semantics();
        if channels <= MOST_CHANNELS {
            return Ok(());
        }
        Err(Error::Argument(format!("concatenation of {channels} label channels: at most {MOST_CHANNELS}")))
    }

    fn extra_channels(&self, config: &ModulationConfig) -> usize {
        config.semantics()
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        let [channels] = block.shape::<1>("norm_0.affine.weight")?;
        let [_, input, ..] = block.shape::<4>("conv_0.weight").or_else(|_| block.shape::<4>("conv_0.weight_orig"))?;
        let extra = input.checked_sub(channels).filter(|extra| *extra > 0);
        let message = || Error::Model(format!("{}.conv_0 has {input} inputs, {channels} of features", block.block));
        Ok(Inputs::Semantics(extra.ok_or_else(message)?))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("norm_0.affine.weight").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        path.is_empty().then(|| "affine".into())
    }
}
