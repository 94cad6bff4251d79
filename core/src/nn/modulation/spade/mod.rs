//! SPADE: spatially-adaptive modulation (Park et al. 2019, §3).

mod cached;
mod cpu;
mod definition;

pub use definition::Spade;

pub(super) use cached::CachedSpade;
pub(super) use cpu::pack;
pub(super) use definition::rows_first;

use super::ModulationConfig;
use super::cpu::PackFn;
use super::facts::{self, BlockTensors, Inputs};
use crate::error::{Error, Result};

/// Size of its square kernels (odd; the papers use 3 and 5).
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) kernel: usize,
}

impl facts::Facts for Facts {
    fn label(&self) -> String {
        format!("SPADE {0}x{0}", self.kernel)
    }

    fn name(&self) -> &'static str {
        "spade"
    }

    fn summary(&self) -> &'static str {
        "Spatially-adaptive modulation"
    }

    fn validate(&self, _config: &ModulationConfig) -> Result<()> {
        let kernel = self.kernel;
        if kernel % 2 == 1 && kernel <= 9 {
            return Ok(());
        }
        Err(Error::Argument(format!("SPADE kernels of side {kernel}: it must be odd and 1 to 9")))
    }

    fn reach(&self) -> usize {
        // Half of a kernel in each of two layers.
        self.kernel - 1
    }

    fn cpu(&self, config: &ModulationConfig) -> Option<PackFn> {
        // A label with an instance edge counts as a separate class, and class ids have 16 bits.
        let classes_fit = !config.edges || config.labels < 1 << 15;
        (self.kernel == 3 && classes_fit).then_some(cpu::pack as PackFn)
    }

    fn inputs(&self, block: BlockTensors<'_>) -> Result<Inputs> {
        let [_, semantics, ..] = block.shape::<4>("norm_0.mlp_shared.0.weight")?;
        Ok(Inputs::Semantics(semantics))
    }

    fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
        // With noise, it is another modulation.
        if !block.has("norm_0.mlp_shared.0.weight") || block.has("norm_0.noise_var") {
            return Ok(None);
        }
        let [_, _, kernel, _] = block.shape::<4>("norm_0.mlp_shared.0.weight")?;
        Ok(Some(Self { kernel }))
    }

    fn official_name(path: &[&str]) -> Option<String> {
        official_name(path)
    }
}

/// Also used for the SPADE inside SEAN.
pub(super) fn official_name(path: &[&str]) -> Option<String> {
    match path {
        ["mlp_shared"] => Some("mlp_shared.0".into()),
        ["mlp_gamma" | "mlp_beta"] => Some(path.concat()),
        _ => None,
    }
}
