//! The manifest of a model file.

use serde::{Deserialize, Serialize};

use super::presets::{Preset, check_names};
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::network::{Architecture, Capabilities};
use crate::nn::Statistics;

/// The only version of the file format so far.
pub const FORMAT: u32 = 1;

/// Describes a model. The model file stores it as RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the file format, [`FORMAT`].
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// The network.
    pub architecture: Architecture,
    /// The classes and their colours.
    pub classes: ClassTable,
    /// The statistics that batch norms use at inference.
    #[serde(default)]
    pub statistics: Statistics,
    /// Height and width the model was trained at, in pixels. Other sizes work, but pictures may look worse.
    pub native_size: [usize; 2],
    /// The network outputs that map to black and to white.
    pub value_range: [f32; 2],
    /// How the weights were made.
    #[serde(default)]
    pub provenance: Provenance,
    /// Licence of the weights: an SPDX expression if possible.
    pub licence: String,
    /// Named styles in the model file; the first is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<Preset>,
}

/// How the weights of a model were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The program that wrote the file, and its version.
    pub program: String,
    /// A description of the training set.
    pub data: String,
    /// Number of training steps; 0 if unknown.
    pub steps: u64,
    /// The training recipe as RON; empty if there is none.
    pub recipe: String,
}

impl Manifest {
    /// What the model can do besides painting whole pictures, with its own statistics.
    pub fn capabilities(&self) -> Capabilities {
        self.architecture.capabilities(self.statistics)
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] naming the malformed line or value; [`Error::UnsupportedFormat`] for another format
    /// version.
    pub fn from_ron_str(text: &str) -> Result<Self> {
        let broken = |error: &dyn std::fmt::Display| Error::Model(format!("the manifest is malformed: {error}"));
        // The version is read on its own first, so that a newer file gives `UnsupportedFormat` instead of a parse
        // error.
        if let Ok(Version { format }) = ron::from_str::<Version>(text)
            && format != FORMAT
        {
            return Err(Error::unsupported_format(format, FORMAT));
        }
        let manifest: Self = ron::from_str(text).map_err(|error| broken(&error))?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The manifest as RON.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if it cannot be written as RON.
    pub fn to_ron_string(&self) -> Result<String> {
        ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default())
            .map_err(|error| Error::Model(format!("the manifest cannot be written: {error}")))
    }

    fn validate(&self) -> Result<()> {
        let check = |fine: bool, message: String| if fine { Ok(()) } else { Err(Error::Model(message)) };
        check(self.format == FORMAT, format!("format version {} is unknown", self.format))?;
        let network = &self.architecture;
        network.validate().map_err(|error| Error::Model(format!("the manifest's architecture: {error}")))?;
        let (classes, channels) = (self.classes.channels(), network.label_channels());
        check(
            classes <= channels,
            format!("the class table goes up to id {}, the network has {channels} label channels", classes - 1),
        )?;
        let [height, width] = self.native_size;
        let side = |side: usize| (1..=8192).contains(&side);
        check(side(height) && side(width), format!("native size {width}x{height}: sides must be 1 to 8192"))?;
        check_names(&self.presets, network)?;
        let [low, high] = self.value_range;
        check(low.is_finite() && high.is_finite() && low < high, format!("value range {low} to {high} makes no sense"))
    }
}

/// The field that all versions of the manifest have.
#[derive(Deserialize)]
struct Version {
    format: u32,
}
