//! SPADE on features with added noise: SEAN without its styles, for comparisons (Zhu et al. 2020, §3.1).

mod cpu;
mod definition;

pub use definition::SpadeNoise;

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs, spade};
use crate::error::Result;

/// Its kernels are 3x3, as SEAN's are.
#[derive(Debug)]
pub(super) struct Facts;

/// The SPADE that it contains.
const SPADE: spade::Facts = spade::Facts { kernel: 3 };

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "SPADE with noise".into()
    }

    fn name(&self) -> &'static str {
        "spade-noise"
    }

    fn summary(&self) -> &'static str {
        "SPADE on features with added noise: SEAN without styles"
    }

    fn needs(&self) -> Needs {
        Needs { noise: true, ..Needs::default() }
    }

    fn reach(&self) -> usize {
        SPADE.reach()
    }

    fn cpu(&self, config: &ModulationConfig) -> Option<PackFn> {
        SPADE.cpu(config).map(|_| cpu::pack as PackFn)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        SPADE.inputs(block)
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok((block.has("norm_0.noise_var") && block.has("norm_0.mlp_shared.0.weight")).then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            [] => Some(String::new()),
            ["spade", rest @ ..] => spade::official_name(rest),
            _ => None,
        }
    }
}
