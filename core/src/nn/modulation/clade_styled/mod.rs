//! CLADE with styles: class-adaptive modulation (Tan et al. 2021, §3) whose tables also depend on a style per class,
//! on features with added noise, as in `StyleGAN` (Karras et al. 2019, §2).
//!
//! For textures: noise gives large areas of one class their detail, and a style says how the class looks. It costs as
//! much as CLADE. Not in the papers.

mod cpu;
mod definition;

pub use definition::CladeStyled;

use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use super::{ModulationConfig, Needs};
use crate::error::Result;

/// CLADE with styles has no parameters.
#[derive(Debug)]
pub(super) struct Facts;

impl facts::Facts for Facts {
    fn label(&self) -> String {
        "CLADE with styles".into()
    }

    fn name(&self) -> &'static str {
        "clade-styled"
    }

    fn summary(&self) -> &'static str {
        "CLADE with a style for each class and with noise, for textures; not in the papers"
    }

    fn needs(&self) -> Needs {
        Needs { styles: true, noise: true, ..Needs::default() }
    }

    fn cpu(&self, _config: &ModulationConfig) -> Option<PackFn> {
        Some(cpu::pack)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        let [labels, _] = block.shape::<2>("norm_0.styled_affine.weight")?;
        // Instance edges enter the first layer only.
        let [_, semantics, ..] = facts::shape_of::<4>(block.tensors, "fc.weight")?;
        Ok(Inputs::Labels(labels, semantics > labels))
    }

    fn style_length(&self, block: BlockTensors<'_>) -> Result<Option<usize>> {
        let [_, _, length] = block.shape::<3>("norm_0.styled_affine.style_weight")?;
        Ok(Some(length))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        Ok(block.has("norm_0.styled_affine.style_weight").then_some(Self))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        path.is_empty().then(|| "styled_affine".into())
    }
}
