//! Where labels come from.

use std::fmt;

use super::LabelMap;
use crate::error::{Error, Result};

/// A rectangle of pixels of a world: x to the right, y down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// The first column.
    pub x: i64,
    /// The first row.
    pub y: i64,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

/// Where class ids come from.
pub trait LabelSource: Send {
    /// Writes the ids of a rectangle, `[height, width]`, row by row.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that; it ends the synthesis.
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()>;

    /// Writes the instance ids of a rectangle, for models that take instance edges. The default are the class ids, so
    /// that there are edges between classes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.read(area, ids)
    }
}

/// A label map, and an instance map of the same size.
pub(crate) struct WithInstances<'a> {
    pub(crate) labels: &'a LabelMap,
    pub(crate) instances: &'a LabelMap,
}

impl LabelSource for WithInstances<'_> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.labels.read(area, ids)
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.instances.read(area, ids)
    }
}

/// Reads from a label map, whose top left pixel is at (0, 0). Beyond the map is an error.
impl LabelSource for &LabelMap {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        let Rect { x, y, width, height } = area;
        let (wide, high) = (self.width() as i64, self.height() as i64);
        if x < 0 || y < 0 || x.saturating_add(i64::from(width)) > wide || y.saturating_add(i64::from(height)) > high {
            return Err(Error::Argument(format!(
                "labels at {area}, but the label map has {wide}x{high} pixels: a world needs labels beyond the border of \
                 what it paints"
            )));
        }
        for (row, ids) in (y as usize..).zip(ids.chunks_exact_mut(width.max(1) as usize)) {
            self.copy_row(row, x as usize, ids);
        }
        Ok(())
    }
}

/// A function is a source of labels.
impl<F: FnMut(Rect, &mut [u16]) -> Result<()> + Send> LabelSource for F {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self(area, ids)
    }
}

impl fmt::Display for Rect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { x, y, width, height } = self;
        write!(f, "({x}, {y}), {width}x{height} pixels")
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
    use crate::label::Limits;
    use crate::label::instance_edges;
    use crate::label::stream::read_edges;
    use proptest::prelude::*;

    fn map(width: usize, height: usize, seed: u64) -> LabelMap {
        let id = |i: usize| ((i as u64).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62) as u16;
        LabelMap::new(width, height, (0..width * height).map(id).collect()).unwrap()
    }

    #[test]
    fn a_map_ends_at_its_border() {
        let map = map(5, 3, 1);
        let mut ids = [0; 4];
        (&map).read(Rect { x: 3, y: 1, width: 2, height: 2 }, &mut ids).unwrap();
        assert_eq!(ids.map(Some), [map.get(3, 1), map.get(4, 1), map.get(3, 2), map.get(4, 2)]);
        for (x, y, width) in [(-1, 0, 2), (4, 0, 2), (0, 3, 2), (i64::MAX, 0, 2)] {
            let error = (&map).read(Rect { x, y, width, height: 1 }, &mut ids).unwrap_err().to_string();
            assert!(error.contains("5x3"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_period_repeats(seed in any::<u64>(), x in -20i64..20, y in -20i64..20, width in 1u32..30) {
            let map = map(7, 5, seed);
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
            let map = map(width, height, seed);
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
