//! SEAN: semantic region-adaptive modulation (Zhu et al. 2020, §3).

mod cpu;
mod definition;

pub use definition::{Sean, StyleBranch};

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs};
use crate::error::{Error, Result};

/// The block that has no styles. It works at full size, except in networks with an eighth block.
const UNSTYLED_BLOCK: &str = "up_3";

/// SEAN has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "SEAN".into()
    }

    fn name(&self) -> &'static str {
        "sean"
    }

    fn summary(&self) -> &'static str {
        "SPADE with a style for each class"
    }

    fn reach(&self) -> usize {
        // As SPADE; the styles' convolution reaches one cell.
        2
    }

    fn needs(&self) -> Needs {
        Needs { styles: true, noise: true, ..Needs::default() }
    }

    fn styles_block(&self, block: &str) -> bool {
        block != UNSTYLED_BLOCK
    }

    fn validate(&self, config: &ModulationConfig) -> Result<()> {
        // Every norm has a linear layer per class: limit the memory that a small manifest can ask for.
        if config.labels <= 1024 && !config.edges {
            return Ok(());
        }
        Err(Error::Argument("SEAN takes up to 1024 label channels and no instance edges".into()))
    }

    /// SEAN's code calls its norms ACE.
    fn norm_prefix(&self) -> &'static str {
        "ace"
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        let [_, labels, ..] = block.shape::<4>("ace_0.Spade.mlp_shared.0.weight")?;
        Ok(Inputs::Labels(labels, false))
    }

    fn style_length(&self, block: BlockTensors<'_>) -> Result<Option<usize>> {
        if !block.has("ace_0.fc_mu0.weight") {
            return Ok(None);
        }
        let [length, _] = block.shape::<2>("ace_0.fc_mu0.weight")?;
        Ok(Some(length))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("ace_0.noise_var").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            [] => Some(String::new()),
            ["spade", rest @ ..] => Some(format!("Spade.{}", super::spade::official_name(rest)?)),
            ["style", "fc_mu", class] => Some(format!("fc_mu{class}")),
            ["style", conv @ ("conv_gamma" | "conv_beta")] => Some((*conv).into()),
            _ => None,
        }
    }
}
