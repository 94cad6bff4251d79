//! Where class ids come from: memory, files, or functions of the place.

use std::fmt;

use super::map::LabelMap;
use crate::error::{Error, Result};

/// A rectangle of pixels: `width` columns from `x` to the right, `height` rows from `y` down. Coordinates are those
/// of the whole picture; they may be negative or of any size where a source has no borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The leftmost column.
    pub x: i64,
    /// The top row.
    pub y: i64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Rect {
    /// The first column and row, if the rectangle is inside a picture of this size.
    pub(super) fn inside(&self, width: usize, height: usize) -> Option<(usize, usize)> {
        let start = |at: i64, len: u32, side: usize| {
            let at = usize::try_from(at).ok()?;
            at.checked_add(len as usize).filter(|&end| end <= side).map(|_| at)
        };
        Some((start(self.x, self.width, width)?, start(self.y, self.height, height)?))
    }

    /// As [`inside`](Self::inside) for ids of `what`, and checks that `len` ids fill the rectangle.
    pub(super) fn place(&self, what: &str, width: usize, height: usize, len: usize) -> Result<(usize, usize)> {
        if (self.width as usize).checked_mul(self.height as usize) != Some(len) {
            return Err(Error::Argument(format!("{len} ids do not fill an area of {self}")));
        }
        self.inside(width, height).ok_or_else(|| {
            Error::Argument(format!("an area of {self} is not inside {what} of {width}x{height} pixels"))
        })
    }
}

impl fmt::Display for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} pixels at ({}, {})", self.width, self.height, self.x, self.y)
    }
}

/// Gives the class ids of a picture, one area at a time, so that a picture need not fit into memory.
///
/// A caller reads a picture in passes. Within a pass, areas come from top to bottom: the top row of an area is never
/// above that of the area before. Areas may overlap; how far back a source can go, and at what price, is its own
/// affair. Every pass must give the same ids.
///
/// A [`LabelMap`] is a source, a [`LabelFile`](super::LabelFile) reads a file by rows, and [`from_fn`] makes a source of
/// a closure.
pub trait LabelSource: Send {
    /// Writes the ids of `area` to `ids`, row by row: `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Argument`] if the source has no ids there or `ids` has another length; whatever keeps the source
    /// from reading.
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()>;
}

impl<S: LabelSource + ?Sized> LabelSource for &mut S {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read(area, ids)
    }
}

impl<S: LabelSource + ?Sized> LabelSource for Box<S> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read(area, ids)
    }
}

/// Areas come in any order, at no cost.
impl LabelSource for &LabelMap {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        let (x, y) = area.place("a label map", self.width(), self.height(), ids.len())?;
        for (y, row) in (y..).zip(ids.chunks_exact_mut(area.width.max(1) as usize)) {
            self.copy_row(x, y, row);
        }
        Ok(())
    }
}

/// As for `&LabelMap`; clones of a map share their ids.
impl LabelSource for LabelMap {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (&*self).read(area, ids)
    }
}

/// A [`LabelSource`] made of a closure; see [`from_fn`].
pub struct LabelFn<F>(F);

impl<F> fmt::Debug for LabelFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelFn").finish_non_exhaustive()
    }
}

impl<F: FnMut(Rect, &mut [u16]) -> Result<()> + Send> LabelSource for LabelFn<F> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (self.0)(area, ids)
    }
}

/// Makes a source of a closure that writes the ids of an area, row by row.
///
/// ```
/// use semsynth::label::{LabelSource, Rect, from_fn};
///
/// // Vertical stripes of classes 0 and 1, without end.
/// let mut stripes = from_fn(|area, ids| {
///     for row in ids.chunks_mut(area.width as usize) {
///         for (x, id) in (area.x..).zip(row) {
///             *id = u16::from(x.rem_euclid(20) >= 10);
///         }
///     }
///     Ok(())
/// });
/// let mut ids = [0; 4];
/// stripes.read(Rect { x: -12, y: 1 << 40, width: 4, height: 1 }, &mut ids)?;
/// assert_eq!(ids, [0, 0, 1, 1]);
/// # Ok::<(), semsynth::Error>(())
/// ```
pub fn from_fn<F: FnMut(Rect, &mut [u16]) -> Result<()> + Send>(read: F) -> LabelFn<F> {
    LabelFn(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: i64, y: i64, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn areas_outside_of_a_map_are_named() {
        let map = LabelMap::new(3, 2, vec![0, 1, 2, 3, 4, 500]).unwrap();
        let mut ids = [9; 2];
        for area in [rect(-1, 0, 2, 1), rect(2, 0, 2, 1), rect(0, 1, 1, 2), rect(i64::MAX, 0, 2, 1)] {
            let error = (&map).read(area, &mut ids).unwrap_err();
            let text = format!("an area of {area} is not inside a label map of 3x2 pixels");
            assert!(matches!(&error, Error::Argument(message) if *message == text), "{error}");
        }
        let error = (&map).read(rect(0, 0, 1, 1), &mut ids).unwrap_err();
        assert!(error.to_string().contains("2 ids do not fill an area of 1x1 pixels at (0, 0)"), "{error}");
        assert!((&map).read(rect(0, 0, u32::MAX, u32::MAX), &mut ids).is_err());
        assert_eq!(ids, [9; 2]);
        (&map).read(rect(3, 2, 0, 0), &mut []).unwrap();
    }

    #[test]
    fn sources_compose() {
        let map = LabelMap::new(2, 1, vec![7, 8]).unwrap();
        let mut borrowed = &map;
        let mut moved = from_fn(|area, ids| borrowed.read(rect(area.x - 100, area.y, area.width, area.height), ids));
        let dynamic: &mut dyn LabelSource = &mut moved;
        let mut boxed: Box<dyn LabelSource + '_> = Box::new(dynamic);
        let mut ids = [0; 2];
        boxed.read(rect(100, 0, 2, 1), &mut ids).unwrap();
        assert_eq!(ids, [7, 8]);
        assert!(boxed.read(rect(0, 0, 2, 1), &mut ids).unwrap_err().to_string().contains("at (-100, 0)"));
    }

    proptest! {
        #[test]
        fn areas_of_a_map_are_its_crops(
            (width, height) in (1_usize..12, 1_usize..12),
            ids in proptest::collection::vec(any::<u16>(), 144),
            wide in any::<bool>(),
            (x, y, w, h) in (0_usize..12, 0_usize..12, 1_usize..12, 1_usize..12),
        ) {
            let ids = ids[..width * height].iter().map(|id| if wide { *id } else { id % 256 }).collect();
            let map = LabelMap::new(width, height, ids).unwrap();
            let mut area = vec![0; w * h];
            let read = map.clone().read(rect(x as i64, y as i64, w as u32, h as u32), &mut area);
            match map.crop(x, y, w, h) {
                Ok(crop) => prop_assert!(read.is_ok() && crop.ids().eq(area)),
                Err(_) => prop_assert!(read.is_err()),
            }
        }
    }
}
