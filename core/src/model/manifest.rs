//! What a model file says about itself.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::network::Architecture;
use crate::nn::Statistics;

/// The version of the file format that this library writes, and the only one there is so far.
pub const FORMAT: u32 = 1;

/// The manifest of a model file, stored in it as RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the file format.
    pub format: u32,
    /// What the model is called.
    pub name: String,
    /// The network.
    pub architecture: Architecture,
    /// Classes and their colours.
    pub classes: ClassTable,
    /// Statistics that norms use at inference.
    #[serde(default)]
    pub statistics: Statistics,
    /// Height and width the model was trained at, in pixels; other sizes work, with pictures less like the trained ones.
    pub native_size: [usize; 2],
    /// What the network's lowest and highest output stand for: black and white.
    pub value_range: [f32; 2],
    /// Where the weights come from.
    #[serde(default)]
    pub provenance: Provenance,
    /// Licence of the weights, an SPDX expression where there is one.
    pub licence: String,
}

/// Where weights come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The program and version that wrote the file.
    pub program: String,
    /// The training set in words.
    pub data: String,
    /// Training steps.
    pub steps: u64,
    /// The recipe, as RON.
    pub recipe: String,
}

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] naming the line or the value at fault; [`Error::UnsupportedFormat`] for another version.
    pub fn from_ron_str(text: &str) -> Result<Self> {
        let broken = |error: &dyn std::fmt::Display| Error::Model(format!("the manifest is malformed: {error}"));
        // The version is read by itself first, so that a newer file is called newer rather than malformed.
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
        let [low, high] = self.value_range;
        check(low.is_finite() && high.is_finite() && low < high, format!("value range {low} to {high} makes no sense"))
    }
}

/// The field of a manifest that every version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}
