//! Per-class AdaIN: adaptive instance normalisation (Huang & Belongie 2017) with a style for each class.
//!
//! This is the simplest modulation with styles: scale and shift of a pixel are a linear function of the style of its
//! class. It uses the same styles as SEAN, without SPADE's branch and without noise, at about the cost of CLADE.

mod cpu;
mod definition;

pub use definition::Adain;

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs};
use crate::error::Result;

/// AdaIN has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "AdaIN by class".into()
    }

    fn name(&self) -> &'static str {
        "adain"
    }

    fn summary(&self) -> &'static str {
        "Scale and shift from a style for each class, at the cost of CLADE"
    }

    fn needs(&self) -> Needs {
        Needs { styles: true, ..Needs::default() }
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        // The norm's tensors do not determine the number of input channels; the first layer does.
        let [_, semantics, ..] = facts::shape_of::<4>(block.tensors, "fc.weight")?;
        Ok(Inputs::Semantics(semantics))
    }

    fn style_length(&self, block: BlockTensors<'_>) -> Result<Option<usize>> {
        let [_, length] = block.shape::<2>("norm_0.style_affine.weight")?;
        Ok(Some(length))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("norm_0.style_affine.weight").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        match path {
            ["style_affine"] => Some("style_affine".into()),
            _ => None,
        }
    }
}
