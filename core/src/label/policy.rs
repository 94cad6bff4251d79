//! What to do with pixels whose colour is no class's colour.

/// How [`LabelMap::read`](crate::label::LabelMap::read) treats pixels whose colour is no class's colour.
///
/// A tolerance is the largest difference in any of the channels red, green and blue, 0 to 255. Of several class
/// colours within it the one nearest by Euclidean distance is taken, then the one with the lowest id.
///
/// The policy is about colours. Ids without a class (in indexed and grey pictures) are an error under all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorPolicy {
    /// Every pixel has exactly the colour of a class, or the picture is refused.
    #[default]
    Refuse,
    /// Colours take the class of the nearest colour within the tolerance; pixels beyond it refuse the picture.
    ///
    /// Fit for small changes of all pixels (a colour profile, a mild JPEG). Soft edges between two classes can pass
    /// near the colour of a third and leave a thin line of it: use [`NearestPixel`](Self::NearestPixel) there.
    NearestColor {
        /// Largest difference per channel.
        tolerance: u8,
    },
    /// Pixels within the tolerance of a class colour are certain; all others take the class of the nearest certain
    /// pixel (Euclidean distance between pixel centres; of equally near ones the leftmost, then the topmost).
    ///
    /// Fit for soft brushes, resampled pictures and transparent holes: no class can appear where none was painted.
    NearestPixel {
        /// Largest difference per channel of a certain pixel.
        tolerance: u8,
    },
}

impl ColorPolicy {
    /// The largest difference per channel under which a pixel has the colour of a class; 0 for
    /// [`Refuse`](Self::Refuse).
    pub const fn tolerance(self) -> u8 {
        match self {
            Self::Refuse => 0,
            Self::NearestColor { tolerance } | Self::NearestPixel { tolerance } => tolerance,
        }
    }
}
