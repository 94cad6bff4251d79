//! CLADE-ICPE: CLADE whose scale and shift also depend on the pixel's position within its object (Tan et al. 2021,
//! §3.3).

mod cpu;
mod definition;

pub use definition::CladeIcpe;

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs, clade};
use crate::error::Result;

/// CLADE-ICPE has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "CLADE-ICPE".into()
    }

    fn name(&self) -> &'static str {
        "clade-icpe"
    }

    fn summary(&self) -> &'static str {
        "CLADE that also knows where in its object a pixel lies"
    }

    fn needs(&self) -> Needs {
        Needs { distances: true, ..Needs::default() }
    }

    fn extra_channels(&self, config: &ModulationConfig) -> usize {
        usize::from(config.edges)
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        clade::inputs(block)
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("norm_0.class_specified_affine.dist_conv_w.weight").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            [] => Some("class_specified_affine".into()),
            [conv @ ("dist_conv_w" | "dist_conv_b")] => Some(format!("class_specified_affine.{conv}")),
            ["inst_conv"] => Some("inst_conv".into()),
            _ => None,
        }
    }
}
