//! CLADE: class-adaptive modulation (Tan et al. 2021, §3).

mod cpu;
mod definition;
mod edges;

pub(super) use cpu::pack_table;
pub use definition::Clade;
pub(super) use edges::{CpuEdges, edge_channel, edge_conv};

use super::ModulationConfig;
use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use crate::error::Result;

/// CLADE has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "CLADE".into()
    }

    fn name(&self) -> &'static str {
        "clade"
    }

    fn summary(&self) -> &'static str {
        "Class-adaptive modulation: a quarter of the work, nearly the same pictures"
    }

    fn extra_channels(&self, config: &ModulationConfig) -> usize {
        usize::from(config.edges)
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        inputs(block)
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        let positional = block.has("norm_0.class_specified_affine.dist_conv_w.weight");
        Ok((block.has("norm_0.class_specified_affine.weight") && !positional).then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            [] => Some("class_specified_affine".into()),
            ["inst_conv"] => Some("inst_conv".into()),
            _ => None,
        }
    }
}

/// Label channels and instance edges of a checkpoint with CLADE tables.
pub(super) fn inputs(block: BlockTensors<'_>) -> Result<Inputs> {
    let [labels, _] = block.shape::<2>("norm_0.class_specified_affine.weight")?;
    Ok(Inputs::Labels(labels, block.has("norm_0.inst_conv.weight")))
}
