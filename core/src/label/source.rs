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

    /// Writes the instance ids of `area`, for models that take instance edges. The default are the class ids, so that
    /// there are edges between classes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.read(area, ids)
    }
}

impl<S: LabelSource + ?Sized> LabelSource for &mut S {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read(area, ids)
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read_instances(area, ids)
    }
}

impl<S: LabelSource + ?Sized> LabelSource for Box<S> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read(area, ids)
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (**self).read_instances(area, ids)
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

/// A source, and a map of its instances.
pub(crate) struct WithInstances<'a> {
    pub(crate) labels: &'a mut dyn LabelSource,
    pub(crate) instances: &'a LabelMap,
}

impl LabelSource for WithInstances<'_> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.labels.read(area, ids)
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        (&mut &*self.instances).read(area, ids).map_err(|error| error.context("instances"))
    }
}

/// A source at another place, which may repeat itself.
pub(crate) struct Placed<'a> {
    pub(crate) source: &'a mut dyn LabelSource,
    /// Row and column of the source that are row and column 0 here.
    pub(crate) origin: [i64; 2],
    /// Height and width that repeat.
    pub(crate) period: [Option<i64>; 2],
}

impl LabelSource for Placed<'_> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.read_by(area, ids, |source, area, ids| source.read(area, ids))
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.read_by(area, ids, |source, area, ids| source.read_instances(area, ids))
    }
}

impl Placed<'_> {
    fn read_by(
        &mut self,
        area: Rect,
        ids: &mut [u16],
        read: impl Fn(&mut dyn LabelSource, Rect, &mut [u16]) -> Result<()>,
    ) -> Result<()> {
        let width = area.width as usize;
        for (y, ids) in (area.y..).zip(ids.chunks_exact_mut(width.max(1))) {
            let y = self.origin[0] + self.period[0].map_or(y, |period| y.rem_euclid(period));
            let mut done = 0;
            while done < width {
                let x = area.x + done as i64;
                // Up to where the source repeats itself.
                let (x, most) = match self.period[1] {
                    Some(period) => (x.rem_euclid(period), (period - x.rem_euclid(period)) as usize),
                    None => (x, width),
                };
                let count = most.min(width - done);
                let area = Rect { x: self.origin[1] + x, y, width: count as u32, height: 1 };
                read(self.source, area, &mut ids[done..done + count])?;
                done += count;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::stream::read_edges;
    use crate::label::{Limits, instance_edges};
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

    fn scattered(width: usize, height: usize, seed: u64) -> LabelMap {
        let id = |i: usize| ((i as u64).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62) as u16;
        LabelMap::new(width, height, (0..width * height).map(id).collect()).unwrap()
    }

    proptest! {
        #[test]
        fn a_period_repeats(seed in any::<u64>(), x in -20i64..20, y in -20i64..20, width in 1u32..30) {
            let map = scattered(7, 5, seed);
            let mut source = &map;
            let mut placed = Placed { source: &mut source, origin: [1, 2], period: [Some(4), Some(5)] };
            let mut ids = vec![9; 2 * width as usize];
            placed.read(Rect { x, y, width, height: 2 }, &mut ids).unwrap();
            for (i, id) in ids.into_iter().enumerate() {
                let (column, row) = (x + i as i64 % i64::from(width), y + i as i64 / i64::from(width));
                let expected = map.get(2 + column.rem_euclid(5) as usize, 1 + row.rem_euclid(4) as usize);
                prop_assert_eq!(Some(id), expected);
            }
        }

        #[test]
        fn rows_of_edges_are_those_of_the_map(seed in any::<u64>(), width in 1usize..9, height in 1usize..9, right in 0usize..4) {
            let map = scattered(width, height, seed);
            let padded = map.extended(width + right, height + 2).unwrap();
            let expected = instance_edges(&padded);
            let mut source = &map;
            let (size, limits) = ([Some(height), Some(width)], Limits::picture([height + 2, width + right]));
            for (y, expected) in expected.chunks_exact(width + right).enumerate() {
                for first in 0..width + right {
                    let mut edges = vec![false; width + right - first];
                    read_edges(&mut source, size, limits, y as i64, first as i64, &mut edges).unwrap();
                    prop_assert_eq!(&edges[..], &expected[first..]);
                }
            }
        }
    }
}
