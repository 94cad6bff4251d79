//! Pictures put together from parts of photos, with pixels that are missing: what SIMS paints from (Qi et al. 2018, where
//! they are called canvases).

use std::fmt;

use crate::error::{Error, Result};
use crate::picture::Image;

/// A picture of which pixels may be missing.
#[derive(Clone, PartialEq, Eq)]
pub struct Collage {
    image: Image,
    /// Of each pixel, row by row from the top left.
    missing: Vec<bool>,
}

impl Collage {
    /// Values of each pixel as networks take them: red, green, blue, and 1 where it is missing.
    pub const CHANNELS: usize = 4;

    /// A picture and which of its pixels are missing, row by row from the top left. The colours of missing pixels do not
    /// count; they become black.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is not one value of `missing` for each pixel.
    pub fn new(image: Image, missing: Vec<bool>) -> Result<Self> {
        let (width, height) = (image.width(), image.height());
        if missing.len() != width * height {
            return Err(Error::Argument(format!(
                "a mask of {} pixels does not fit a collage of {width}x{height}",
                missing.len()
            )));
        }
        let mut bytes = image.into_bytes();
        for (pixel, missing) in bytes.as_chunks_mut::<3>().0.iter_mut().zip(&missing) {
            if *missing {
                *pixel = [0; 3];
            }
        }
        Ok(Self { image: Image::new(width, height, bytes)?, missing })
    }

    /// A collage without any pixel.
    ///
    /// # Errors
    ///
    /// As [`Image::new`].
    pub fn empty(width: usize, height: usize) -> Result<Self> {
        let area = width.saturating_mul(height);
        let image = Image::new(width, height, vec![0; area.saturating_mul(3)])?;
        Ok(Self { image, missing: vec![true; area] })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.image.width()
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.image.height()
    }

    /// The picture, black where pixels are missing.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Whether each pixel is missing, row by row from the top left.
    pub fn missing(&self) -> &[bool] {
        &self.missing
    }

    /// Appends the planes of [`CHANNELS`](Self::CHANNELS), colours in -1 to 1 and 0 where they are missing, for a picture of this
    /// height and width: a larger one repeats the last row and column.
    pub(crate) fn push_planes(&self, [height, width]: [usize; 2], planes: &mut Vec<f32>) {
        let (pixels, own) = (self.image.as_bytes().as_chunks::<3>().0, [self.height(), self.width()]);
        let places = || {
            let rows = (0..height).map(move |y| y.min(own[0] - 1) * own[1]);
            rows.flat_map(move |row| (0..width).map(move |x| row + x.min(own[1] - 1)))
        };
        for channel in 0..3 {
            let value = |at: usize| match (self.missing.get(at), pixels.get(at)) {
                (Some(false), Some(pixel)) => f32::from(pixel[channel]) / 127.5 - 1.0,
                _ => 0.0,
            };
            planes.extend(places().map(value));
        }
        planes.extend(places().map(|at| f32::from(self.missing.get(at).copied().unwrap_or(true))));
    }
}

impl fmt::Debug for Collage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing.iter().filter(|missing| **missing).count();
        f.debug_struct("Collage").field("image", &self.image).field("missing", &missing).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_colours_and_what_is_missing() {
        let image = Image::new(2, 1, vec![255, 0, 51, 9, 9, 9]).unwrap();
        let collage = Collage::new(image, vec![false, true]).unwrap();
        assert_eq!(collage.image().as_bytes(), [255, 0, 51, 0, 0, 0]);
        let planes = |size| {
            let mut planes = Vec::new();
            collage.push_planes(size, &mut planes);
            planes
        };
        assert_eq!(planes([1, 2]), [1.0, 0.0, -1.0, 0.0, 51.0 / 127.5 - 1.0, 0.0, 0.0, 1.0]);
        // Padded below and to the right.
        assert_eq!(planes([2, 3])[..6], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(planes([2, 3])[18..], [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!(planes([1, 1]), [1.0, -1.0, 51.0 / 127.5 - 1.0, 0.0]);
    }

    #[test]
    fn a_mask_must_fit() {
        let image = Image::new(2, 1, vec![0; 6]).unwrap();
        assert!(Collage::new(image, vec![true]).unwrap_err().to_string().contains("2x1"));
        assert!(Collage::empty(0, 4).is_err());
        assert!(Collage::empty(3, 2).unwrap().missing().iter().all(|missing| *missing));
    }
}
