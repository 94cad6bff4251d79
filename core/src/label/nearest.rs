//! Gives pixels without a class the class of the nearest pixel that has one.
//!
//! Distance is the exact Euclidean distance between pixel centres; ties go to the leftmost pixel, then to the topmost.
//! The nearest pixel can be anywhere in the picture. It is found in bands of rows all the same, so that the picture need
//! not fit into memory: of all that is above a band, each column needs only the last pixel with a value, and of all that
//! is below, the first. One pass over the picture finds these ([`Bands::add`]); then each band is filled on its own.

use crate::error::Result;
use crate::memory;

/// Marks pixels without a class.
pub(super) const NONE: u16 = u16::MAX;

/// Rows of a band where the picture is in memory.
const ROWS: usize = 64;

/// Replaces each [`NONE`] by the value of the nearest pixel that has one, and returns the number of replaced
/// pixels. Does nothing if no pixel has a value.
///
/// # Errors
///
/// [`Error::Limit`](crate::Error::Limit) if there is not enough memory: a quarter of a byte per pixel, and a band.
pub(super) fn fill(values: &mut [u16], width: usize) -> Result<u64> {
    if width == 0 || !values.contains(&NONE) {
        return Ok(0);
    }
    let mut bands = Bands::new(width, values.len() / width, ROWS)?;
    values.chunks(ROWS * width).for_each(|band| bands.add(band));
    bands.finish();
    Ok((0..).zip(values.chunks_mut(ROWS * width)).map(|(number, band)| bands.fill(number, band)).sum())
}

/// The nearest pixel with a value in some column. Without one, `value` is [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Near {
    row: u32,
    value: u16,
}

const NOTHING: Near = Near { row: 0, value: NONE };

/// What it takes to fill a band of rows, besides its own pixels.
#[derive(Clone, Debug)]
pub(super) struct Bands {
    width: usize,
    rows: usize,
    /// Of each band and column, the last pixel with a value above the band.
    above: Vec<Near>,
    /// The first one below it; until all bands are added, the first one in it.
    below: Vec<Near>,
    /// Of each column, the last pixel with a value so far.
    last: Vec<Near>,
    /// Bands so far.
    added: usize,
}

impl Bands {
    /// Begins with a picture in bands of `rows` rows; the last one may have fewer.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`](crate::Error::Limit) if there is not enough memory for all bands, and for filling one.
    pub(super) fn new(width: usize, height: usize, rows: usize) -> Result<Self> {
        let rows = rows.clamp(1, height.max(1));
        let count = width.saturating_mul(height.div_ceil(rows));
        let band = width.saturating_mul(rows);
        memory::ask_for(
            count.saturating_mul(2).saturating_add(band),
            size_of::<Near>(),
            &format!("finding the nearest class in {width}x{height} pixels"),
        )?;
        let nothing = |count| vec![NOTHING; count];
        Ok(Self { width, rows, above: nothing(count), below: nothing(count), last: nothing(width), added: 0 })
    }

    /// Looks at the next band.
    pub(super) fn add(&mut self, values: &[u16]) {
        let columns = self.added * self.width..(self.added + 1) * self.width;
        let (Some(above), Some(firsts)) = (self.above.get_mut(columns.clone()), self.below.get_mut(columns)) else {
            return;
        };
        above.copy_from_slice(&self.last);
        for (row, values) in (self.added as u32 * self.rows as u32..).zip(values.chunks_exact(self.width)) {
            for ((&value, last), first) in values.iter().zip(&mut self.last).zip(&mut *firsts) {
                if value != NONE {
                    *last = Near { row, value };
                    if first.value == NONE {
                        *first = *last;
                    }
                }
            }
        }
        self.added += 1;
    }

    /// Ends the look at the picture.
    pub(super) fn finish(&mut self) {
        let mut next = vec![NOTHING; self.width];
        for band in self.below.chunks_exact_mut(self.width).rev() {
            for (first, next) in band.iter_mut().zip(&mut next) {
                let below = *next;
                if first.value != NONE {
                    *next = *first;
                }
                *first = below;
            }
        }
    }

    /// Replaces each [`NONE`] in a band by the value of the nearest pixel of the picture that has one, and returns the
    /// number of replaced pixels.
    ///
    /// Time is linear in the area: a pass over columns, then a pass over rows with the lower envelope of parabolas
    /// (Meijster, Roerdink and Hesselink 2000; Felzenszwalb and Huttenlocher 2012).
    pub(super) fn fill(&self, band: usize, values: &mut [u16]) -> u64 {
        if !values.contains(&NONE) {
            return 0;
        }
        let first = band * self.rows;
        let near = self.nearest_rows(band, values);
        let mut envelope = Envelope::default();
        let mut filled = 0;
        let rows = values.chunks_exact_mut(self.width).zip(near.chunks_exact(self.width));
        for (y, (values, near)) in (first as u32..).zip(rows) {
            if !values.contains(&NONE) {
                continue;
            }
            envelope.build(near, y);
            let mut sources = envelope.sources();
            for (x, value) in values.iter_mut().enumerate() {
                let column = sources.at(x as u32);
                if *value == NONE {
                    *value = near.get(column).map_or(NONE, |near| near.value);
                    filled += u64::from(*value != NONE);
                }
            }
        }
        filled
    }

    /// For each pixel of a band, the nearest pixel with a value in the same column, the upper of two equally near ones.
    fn nearest_rows(&self, band: usize, values: &[u16]) -> Vec<Near> {
        let columns = band * self.width..(band + 1) * self.width;
        let around = |side: &[Near]| side.get(columns.clone()).unwrap_or_default().to_vec();
        let (mut last, mut next) = (around(&self.above), around(&self.below));
        let first = (band * self.rows) as u32;
        let mut near = Vec::with_capacity(values.len());
        for (row, values) in (first..).zip(values.chunks_exact(self.width)) {
            for (&value, last) in values.iter().zip(&mut last) {
                if value != NONE {
                    *last = Near { row, value };
                }
            }
            near.extend_from_slice(&last);
        }
        let rows = values.chunks_exact(self.width).zip(near.chunks_exact_mut(self.width));
        for (row, (values, near)) in rows.enumerate().rev() {
            let row = first + row as u32;
            for ((&value, next), near) in values.iter().zip(&mut next).zip(near) {
                if value != NONE {
                    *next = Near { row, value };
                } else if next.value != NONE && (near.value == NONE || next.row - row < row - near.row) {
                    *near = *next;
                }
            }
        }
        near
    }
}

/// The columns that are nearest to some pixel of a row, from left to right.
#[derive(Default)]
struct Envelope {
    parts: Vec<Part>,
}

/// Where the part of an envelope that belongs to `column` begins.
#[derive(Clone, Copy)]
struct Part {
    start: i64,
    column: u32,
    /// Squared distance from the row to the nearest pixel of the column.
    height: i64,
}

impl Part {
    fn distance(self, x: i64) -> i64 {
        (x - i64::from(self.column)).pow(2) + self.height
    }
}

impl Envelope {
    fn build(&mut self, near: &[Near], y: u32) {
        self.parts.clear();
        for (column, near) in (0..).zip(near) {
            if near.value == NONE {
                continue;
            }
            let height = i64::from(near.row.abs_diff(y)).pow(2);
            let mut new = Part { start: 0, column, height };
            // Ties go to the column further left, which is already in the envelope.
            while self.parts.pop_if(|last| last.distance(last.start) > new.distance(last.start)).is_some() {}
            if let Some(last) = self.parts.last() {
                let (left, right) = (i64::from(last.column), i64::from(column));
                let squares = right.pow(2) - left.pow(2) + height - last.height;
                new.start = squares.div_euclid(2 * (right - left)) + 1;
            }
            self.parts.push(new);
        }
    }

    fn sources(&self) -> Sources<'_> {
        Sources { parts: &self.parts, current: 0 }
    }
}

/// Walks along an [`Envelope`].
struct Sources<'a> {
    parts: &'a [Part],
    current: usize,
}

impl Sources<'_> {
    /// The column nearest to pixel `x`; `x` must not decrease from call to call.
    fn at(&mut self, x: u32) -> usize {
        while self.parts.get(self.current + 1).is_some_and(|next| next.start <= i64::from(x)) {
            self.current += 1;
        }
        self.parts.get(self.current).map_or(0, |part| part.column as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A direct implementation in quadratic time.
    fn brute(values: &[u16], width: usize) -> Vec<u16> {
        let known: Vec<(usize, usize)> =
            (0..values.len()).filter(|&i| values[i] != NONE).map(|i| (i % width, i / width)).collect();
        let nearest = |i: usize| {
            let (x, y) = (i % width, i / width);
            known
                .iter()
                .min_by_key(|(kx, ky)| (kx.abs_diff(x).pow(2) + ky.abs_diff(y).pow(2), *kx, *ky))
                .map_or(NONE, |(kx, ky)| values[ky * width + kx])
        };
        (0..values.len()).map(|i| if values[i] == NONE { nearest(i) } else { values[i] }).collect()
    }

    #[test]
    fn ties_go_left_then_up() {
        let mut row = [1, NONE, 2];
        assert_eq!(fill(&mut row, 3).unwrap(), 1);
        assert_eq!(row, [1, 1, 2]);
        let mut column = [1, NONE, 2];
        fill(&mut column, 1).unwrap();
        assert_eq!(column, [1, 1, 2]);
        let mut cross = [NONE, 1, NONE, 2, NONE, 3, NONE, 4, NONE];
        fill(&mut cross, 3).unwrap();
        assert_eq!(cross, [2, 1, 1, 2, 2, 3, 2, 4, 4]);
    }

    #[test]
    fn nothing_known_stays() {
        let mut values = [NONE; 6];
        assert_eq!(fill(&mut values, 3).unwrap(), 0);
        assert_eq!(values, [NONE; 6]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn equals_the_definition(
            width in 1_usize..14,
            height in 1_usize..14,
            known in 1_u32..100,
            rows in 1_usize..16,
            seed in any::<u64>(),
        ) {
            let mut state = seed | 1;
            let mut random = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 33) as u32
            };
            let mut values: Vec<u16> =
                (0..width * height).map(|i| if random() % 100 < known { i as u16 } else { NONE }).collect();
            let expected = brute(&values, width);
            let mut bands = Bands::new(width, height, rows).unwrap();
            values.chunks(rows * width).for_each(|band| bands.add(band));
            bands.finish();
            // In any order: a band that is filled changes nothing for the others.
            let mut banded = values.clone();
            for (number, band) in banded.chunks_mut(rows * width).enumerate().rev() {
                bands.fill(number, band);
            }
            prop_assert_eq!(&banded, &expected);
            let missing = values.iter().zip(&expected).filter(|(a, b)| a != b).count();
            prop_assert_eq!(fill(&mut values, width).unwrap(), missing as u64);
            prop_assert_eq!(values, expected);
        }
    }

    /// Without touching memory of that size.
    #[test]
    fn more_than_there_is_is_refused() {
        let error = Bands::new(1 << 40, 1 << 20, 64).unwrap_err().to_string();
        assert!(error.contains("finding the nearest class in 1099511627776x1048576 pixels needs"), "{error}");
    }
}
