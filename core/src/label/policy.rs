//! What to do with pixels whose colour belongs to no class.

/// How [`LabelMap::read`](crate::label::LabelMap::read) treats pixels whose colour belongs to no class.
///
/// A tolerance is the largest difference in any of the channels red, green and blue, 0 to 255. If several class
/// colours are within it, the nearest by Euclidean distance wins, then the lowest id.
///
/// The policy only concerns colours. Ids without a class (in indexed and grey pictures) are an error under every
/// policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
