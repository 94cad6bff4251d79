//! How to read a label picture: what values and colours mean, and what to do with colours that belong to no class.

use serde::{Deserialize, Serialize};

use super::report::ReadAs;

/// How [`LabelMap::read`](crate::label::LabelMap::read) treats pixels whose colour belongs to no class.
///
/// A tolerance is the largest difference in any of the channels red, green and blue, 0 to 255. If several class
/// colours are within it, the nearest by Euclidean distance wins, then the lowest id.
///
/// The policy only concerns colours. Ids without a class (in indexed and grey pictures) are an error under every
/// policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColorPolicy {
    /// All pixels must have exactly the colour of a class.
    #[default]
    Refuse,
    /// A pixel takes the class with the nearest colour within the tolerance; pixels beyond it are an error.
    ///
    /// Suited to small changes of all pixels (a colour profile, mild JPEG compression). A soft edge between two
    /// classes can pass near the colour of a third class, which leaves a thin line of it: use
    /// [`NearestPixel`](Self::NearestPixel) there.
    NearestColor {
        /// Largest difference per channel.
        tolerance: u8,
    },
    /// Pixels within the tolerance of a class colour are certain. All others take the class of the nearest certain
    /// pixel (Euclidean distance between pixel centres; ties go to the leftmost pixel, then to the topmost).
    ///
    /// Suited to soft brushes, resampled pictures and transparent holes: no class can appear where none was
    /// painted.
    NearestPixel {
        /// Largest difference per channel at which a pixel is certain.
        tolerance: u8,
    },
}

impl ColorPolicy {
    /// The largest difference per channel at which a pixel has the colour of a class; 0 for
    /// [`Refuse`](Self::Refuse).
    pub const fn tolerance(self) -> u8 {
        match self {
            Self::Refuse => 0,
            Self::NearestColor { tolerance } | Self::NearestPixel { tolerance } => tolerance,
        }
    }
}

/// How to read a label picture. A [`ColorPolicy`] alone can stand for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOptions {
    /// What to do with colours that belong to no class.
    pub policy: ColorPolicy,
    /// What pixels mean. Without it, the picture decides; if its values and colours contradict each other, it is read by
    /// colour under any policy but [`ColorPolicy::Refuse`], and refused under that.
    pub read_as: Option<ReadAs>,
}

impl ReadOptions {
    /// The same options, but pixels mean ids or colours whatever the picture looks like. As ids, an RGB picture must be
    /// grey, and its grey levels are the ids.
    #[must_use]
    pub fn read_as(self, read_as: ReadAs) -> Self {
        Self { read_as: Some(read_as), ..self }
    }
}

impl From<ColorPolicy> for ReadOptions {
    fn from(policy: ColorPolicy) -> Self {
        Self { policy, read_as: None }
    }
}
