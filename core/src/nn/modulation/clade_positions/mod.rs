//! CLADE with the pixel's position within its object beside the features: a comparison of the CLADE paper.
//!
//! The paper compares three places for positions (Tan et al. 2021, the ablation of intra-class positional encoding): the input
//! (`dist_i`), the features (`dist_f`) and the parameters of the modulation (`dist_p`, which is [CLADE-ICPE](super::CladeIcpe)). Its
//! code has the last only. Here, `dist_f` appends the positions to the output of every norm, as its code appends instance edges, and
//! `dist_i` to the label map that the first layer sees
//! ([`input_positions`](crate::network::GeneratorConfig::input_positions)).

mod cpu;
mod definition;

pub use definition::CladePositions;

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs, clade};
use crate::error::Result;
use crate::label::POSITION_CHANNELS;

/// It has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "CLADE with positions beside the features".into()
    }

    fn name(&self) -> &'static str {
        "clade-positions"
    }

    fn summary(&self) -> &'static str {
        "CLADE with each pixel's place in its object beside the features: a comparison for clade-icpe"
    }

    fn needs(&self) -> Needs {
        Needs { distances: true, ..Needs::default() }
    }

    fn extra_channels(&self, config: &ModulationConfig) -> usize {
        usize::from(config.edges) + POSITION_CHANNELS
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        let [labels, _] = block.shape::<2>("norm_0.class_positioned_affine.weight")?;
        Ok(Inputs::Labels(labels, block.has("norm_0.inst_conv.weight")))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("norm_0.class_positioned_affine.weight").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            ["clade"] => Some("class_positioned_affine".into()),
            ["clade", rest @ ..] => <clade::Facts as facts::Facts>::official_name(rest),
            _ => None,
        }
    }
}
