//! The networks by their names in the papers.

use std::fmt;

use super::{Architecture, CrnConfig, GeneratorConfig, Pix2PixHdConfig, StyleConfig, UNetConfig};
use crate::error::{Error, Result};
use crate::nn::modulation::ModulationKind;

/// A network with the defaults of its paper, as chosen with `--arch` on the command line. [`Architecture`] is the
/// complete configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum System {
    /// One modulation in every block: SPADE, CLADE, SEAN and similar.
    Modulation(ModulationKind),
    /// SPADE in the three smallest blocks, CLADE in the others (Tan et al. 2021).
    Hybrid,
    /// pix2pixHD (Wang et al. 2018).
    Pix2PixHd,
    /// The U-Net of pix2pix (Isola et al. 2017).
    Pix2Pix,
    /// The cascaded refinement network (Chen & Koltun 2017).
    Crn,
    /// A refinement network that paints from collages of photos, after SIMS (Qi et al. 2018).
    Sims,
}

/// Number of SPADE blocks in the hybrid.
const HYBRID_SPADE_BLOCKS: usize = 3;

impl System {
    /// Every system.
    pub fn all() -> impl Iterator<Item = Self> {
        let modulations = ModulationKind::ALL.iter().copied().map(Self::Modulation);
        modulations.chain([Self::Hybrid, Self::Pix2PixHd, Self::Pix2Pix, Self::Crn, Self::Sims])
    }

    /// Its name, such as `spade`, `clade-icpe` or `pix2pixhd`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Modulation(kind) => kind.facts().name(),
            Self::Hybrid => "hybrid",
            Self::Pix2PixHd => "pix2pixhd",
            Self::Pix2Pix => "pix2pix",
            Self::Crn => "crn",
            Self::Sims => "sims",
        }
    }

    /// A one-line description.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Modulation(kind) => kind.facts().summary(),
            Self::Hybrid => "SPADE in the three smallest blocks, CLADE in the others",
            Self::Pix2PixHd => "The baseline pix2pixHD, with spectral norm (the SPADE paper's pix2pixHD++)",
            Self::Pix2Pix => "The U-Net of pix2pix, a baseline",
            Self::Crn => "The cascaded refinement network, a baseline that needs no discriminator",
            Self::Sims => "The same, which paints from segments of training photos (after SIMS)",
        }
    }

    /// Finds a system by name.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is none; the message lists all names.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::all().find(|system| system.name() == name);
        found.ok_or_else(|| Error::unknown_name("network", name, Self::all().map(Self::name)))
    }

    /// The modulation of most blocks, and those of the first blocks if they differ; `None` for the baselines.
    pub fn modulations(self) -> Option<(ModulationKind, Vec<ModulationKind>)> {
        match self {
            Self::Modulation(kind) => Some((kind, Vec::new())),
            Self::Hybrid => {
                Some((ModulationKind::Clade, vec![ModulationKind::Spade { kernel: 3 }; HYBRID_SPADE_BLOCKS]))
            }
            Self::Pix2PixHd | Self::Pix2Pix | Self::Crn | Self::Sims => None,
        }
    }

    /// The complete configuration, with `ngf` channels (64 in the papers) and `label_channels` label channels.
    pub fn architecture(self, ngf: usize, label_channels: usize) -> Architecture {
        match self.modulations() {
            Some((modulation, leading_blocks)) => {
                let config =
                    GeneratorConfig { leading_blocks, ..GeneratorConfig::new(modulation, ngf, label_channels) };
                let style = if config.needs().styles { StyleConfig::SEAN } else { StyleConfig::None };
                Architecture::SpadeFamily(GeneratorConfig { style, ..config })
            }
            None if self == Self::Pix2PixHd => {
                let config = Pix2PixHdConfig::new(ngf, label_channels);
                Architecture::Pix2PixHd(Pix2PixHdConfig { spectral: true, ..config })
            }
            None if matches!(self, Self::Crn | Self::Sims) => {
                Architecture::Crn(CrnConfig { collage: self == Self::Sims, ..CrnConfig::new(ngf, label_channels) })
            }
            None => Architecture::Pix2Pix(UNetConfig::new(ngf, label_channels)),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for system in System::all() {
            assert_eq!(System::by_name(system.name()).unwrap(), system);
            let architecture = system.architecture(4, 5);
            architecture.validate().unwrap();
        }
        let message = System::by_name("spode").unwrap_err().to_string();
        assert!(message.contains("spode") && message.contains("clade-icpe"), "{message}");
    }
}
