//! Feature maps of which only some rows are in memory.

use crate::scratch::{Shared, local, volume};
use rayon::prelude::*;
use std::ops::Range;

/// Values that are prepared at a time where columns are doubled.
const BATCH: usize = 2048;

/// Rows of a feature map `[channels, height, width]`. They are in memory of `[channels, capacity, width]`: row y is
/// at `y % capacity`, so that new rows take the place of old ones.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) place: Place,
}

/// As [`Map`], with rows to be written.
#[derive(Debug)]
pub struct MapMut<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) place: Place,
}

/// Where rows of a map are in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) capacity: usize,
    pub(crate) width: usize,
    /// The first row, and the one after the last.
    pub(crate) first: usize,
    pub(crate) end: usize,
}

impl Place {
    fn new(len: usize, [capacity, width]: [usize; 2], rows: Range<usize>) -> Self {
        assert!(capacity > 0 && width > 0, "a map has rows and columns");
        assert!(len.is_multiple_of(volume(&[capacity, width])), "values are [channels, capacity, width]");
        assert!(rows.start <= rows.end && rows.len() <= capacity, "rows fit into the capacity");
        Self { capacity, width, first: rows.start, end: rows.end }
    }

    pub(crate) fn rows(&self) -> usize {
        self.end - self.first
    }

    /// Distance between channels.
    pub(crate) fn plane(&self) -> usize {
        self.capacity * self.width
    }
}

impl<'a> Map<'a> {
    /// `values` are `[channels, capacity, width]`; `rows` are in memory.
    ///
    /// # Panics
    ///
    /// If the capacity is zero or less than the number of rows, or `values` has another length.
    pub fn new(values: &'a [f32], size: [usize; 2], rows: Range<usize>) -> Self {
        Self { place: Place::new(values.len(), size, rows), values }
    }

    /// A map `[channels, height, width]` that is in memory as a whole.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub fn whole(values: &'a [f32], size: [usize; 2]) -> Self {
        Self::new(values, size, 0..size[0])
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.values.len() / self.place.plane()
    }
}

impl<'a> MapMut<'a> {
    /// `values` are `[channels, capacity, width]`; `rows` are to be written.
    ///
    /// # Panics
    ///
    /// As [`Map::new`].
    pub fn new(values: &'a mut [f32], size: [usize; 2], rows: Range<usize>) -> Self {
        Self { place: Place::new(values.len(), size, rows), values }
    }

    /// A map `[channels, height, width]` that is written as a whole.
    ///
    /// # Panics
    ///
    /// As [`Map::new`].
    pub fn whole(values: &'a mut [f32], size: [usize; 2]) -> Self {
        Self::new(values, size, 0..size[0])
    }

    /// The number of rows to be written, and of columns.
    pub fn size(&self) -> [usize; 2] {
        [self.place.rows(), self.place.width]
    }

    pub(crate) fn channels(&self) -> usize {
        self.values.len() / self.place.plane()
    }

    /// Some of the rows, counted from the first to be written.
    ///
    /// # Panics
    ///
    /// If there are fewer rows.
    pub fn rows(&mut self, rows: Range<usize>) -> MapMut<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.place.rows(), "the rows are within the map");
        let first = self.place.first;
        let place = Place { first: first + rows.start, end: first + rows.end, ..self.place };
        MapMut { values: self.values, place }
    }

    /// The same rows of some of the channels, and of all after them.
    ///
    /// # Panics
    ///
    /// If there are fewer channels.
    pub fn split_channels(self, channels: usize) -> (Self, Self) {
        let (first, rest) = self.values.split_at_mut(channels * self.place.plane());
        (Self { values: first, place: self.place }, Self { values: rest, place: self.place })
    }
}

/// A part of a [`Map`], as large as some output, and perhaps doubled: the input of a modulation.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub(crate) map: Map<'a>,
    pub(crate) doubled: bool,
    /// Row and column of the first value, after doubling.
    pub(crate) at: [usize; 2],
}

impl<'a> Source<'a> {
    /// The part of `map` from this row and column on.
    pub fn new(map: Map<'a>, at: [usize; 2]) -> Self {
        Self { map, doubled: false, at }
    }

    /// The part from this row and column on of the map that has 2×2 values in place of each value of `map`.
    pub fn doubled(map: Map<'a>, at: [usize; 2]) -> Self {
        Self { map, doubled: true, at }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.map.channels()
    }

    /// The part that is a number of rows and columns further down and to the right.
    #[must_use]
    pub fn moved(&self, rows: usize, columns: usize) -> Self {
        Self { at: [self.at[0] + rows, self.at[1] + columns], ..*self }
    }

    fn check(&self, [rows, columns]: [usize; 2]) {
        let place = &self.map.place;
        let half = |n: usize| if self.doubled { n / 2 } else { n };
        let last = |n: usize| if self.doubled { n.div_ceil(2) } else { n };
        assert!(
            half(self.at[0]) >= place.first && last(self.at[0] + rows) <= place.end,
            "the input has the rows of the output"
        );
        assert!(last(self.at[1] + columns) <= place.width, "the input has the columns of the output");
    }
}

/// Calls `f(channel, offset, x, out)` for runs of consecutive pixels: `x` are values of the input, `out` those of the
/// output at the same pixels, and `offset` is the number of the first pixel, counted from the first row of the output
/// row by row. Channels are processed in parallel.
///
/// # Panics
///
/// If input and output have a different number of channels, or the input lacks pixels of the output.
pub fn for_each_run(x: Source<'_>, out: MapMut<'_>, f: impl Fn(usize, usize, &[f32], &mut [f32]) + Sync) {
    let columns = 0..out.place.width;
    for_each_run_of(x, out, columns, f);
}

/// Calls `f(channel, offset, out)` for runs of consecutive pixels of a map to be written; `offset` is as in
/// [`for_each_run`]. Channels are processed in parallel.
pub fn fill_rows(out: MapMut<'_>, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let Place { capacity, width, first, .. } = out.place;
    let rows = out.place.rows();
    out.values.par_chunks_mut(capacity * width).enumerate().for_each(|(c, plane)| {
        let mut r = 0;
        while r < rows {
            let row = (first + r) % capacity;
            let step = (rows - r).min(capacity - row);
            f(c, r * width, &mut plane[row * width..][..step * width]);
            r += step;
        }
    });
}

/// As [`for_each_run`], for some columns of the output only. The input starts at the first of them.
pub(crate) fn for_each_run_of(
    x: Source<'_>,
    out: MapMut<'_>,
    columns: Range<usize>,
    f: impl Fn(usize, usize, &[f32], &mut [f32]) + Sync,
) {
    let runs = Runs::new(x, out, columns);
    let channels = x.channels();
    (0..channels).into_par_iter().with_min_len(4.min(channels.div_ceil(4))).for_each(|c| {
        // SAFETY: each task has a channel of its own.
        unsafe { runs.of_channel(c, |offset, x, out| f(c, offset, x, out)) }
    });
}

/// The runs of consecutive pixels that an input and an output have in common.
pub(crate) struct Runs<'a> {
    x: Source<'a>,
    writer: Shared,
    to: Place,
    /// Columns of the output.
    first: usize,
    columns: usize,
    output: std::marker::PhantomData<&'a mut [f32]>,
}

impl<'a> Runs<'a> {
    pub(crate) fn new(x: Source<'a>, out: MapMut<'a>, columns: Range<usize>) -> Self {
        assert_eq!(x.channels(), out.channels(), "input and output have the same channels");
        assert!(columns.end <= out.place.width, "the output has these columns");
        x.check([out.place.rows(), columns.len()]);
        let (to, first) = (out.place, columns.start);
        let output = std::marker::PhantomData;
        Self { x, writer: Shared::new(out.values), to, first, columns: columns.len(), output }
    }

    /// Calls `f(offset, x, out)` for the runs of a channel.
    ///
    /// # Safety
    ///
    /// No other thread may work on the channel at the same time.
    pub(crate) unsafe fn of_channel(&self, c: usize, mut f: impl FnMut(usize, &[f32], &mut [f32])) {
        let Self { x, writer, to, first, columns: n, .. } = *self;
        let (from, rows) = (x.map.place, to.rows());
        if rows == 0 || n == 0 {
            return;
        }
        let whole_rows = n == to.width;
        let plane = &x.map.values[c * from.plane()..][..from.plane()];
        let target = |row: usize, rows: usize| {
            let at = c * to.plane() + (to.first + row) % to.capacity * to.width + first;
            // SAFETY: these rows are within the plane of the output, which `self` borrows; several rows only if they
            // are whole and do not wrap.
            unsafe { std::slice::from_raw_parts_mut(writer.ptr().add(at), if rows == 1 { n } else { rows * n }) }
        };
        let until_wrap = |row: usize, capacity: usize| capacity - row % capacity;
        if !x.doubled {
            let contiguous = whole_rows && from.width == n;
            let mut r = 0;
            while r < rows {
                let row = x.at[0] + r;
                let step = if contiguous {
                    (rows - r).min(until_wrap(row, from.capacity)).min(until_wrap(to.first + r, to.capacity))
                } else {
                    1
                };
                let source = &plane[row % from.capacity * from.width + x.at[1]..][..step * n];
                f(r * to.width + first, source, target(r, step));
                r += step;
            }
            return;
        }
        let batch = if whole_rows { (BATCH / n).max(1) } else { 1 };
        local([batch.min(rows) * n], |[copy]| {
            let mut r = 0;
            while r < rows {
                let step = (rows - r).min(batch).min(until_wrap(to.first + r, to.capacity));
                for (i, copy) in copy.chunks_exact_mut(n).take(step).enumerate() {
                    let source = &plane[(x.at[0] + r + i) / 2 % from.capacity * from.width..][..from.width];
                    double(&source[x.at[1] / 2..], x.at[1] % 2, copy);
                }
                f(r * to.width + first, &copy[..step * n], target(r, step));
                r += step;
            }
        });
    }
}

/// Writes each value twice, without the first `skip` (0 or 1).
fn double(source: &[f32], skip: usize, out: &mut [f32]) {
    let (head, out) = out.split_at_mut(skip.min(out.len()));
    head.fill(source[0]);
    let source = &source[skip..];
    let (pairs, rest) = out.as_chunks_mut::<2>();
    let count = pairs.len();
    pairs.iter_mut().zip(source).for_each(|(pair, &v)| *pair = [v; 2]);
    if let (Some(last), Some(&v)) = (rest.first_mut(), source.get(count)) {
        *last = v;
    }
}

/// Rows of a plane as a kernel sees them: relative to the first row of its output.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    /// Place of relative row 0.
    phase: isize,
    capacity: isize,
}

impl Ring {
    /// `first` is the row that relative row 0 stands for.
    pub(crate) fn new(capacity: usize, first: usize) -> Self {
        Self { phase: (first % capacity) as isize, capacity: capacity as isize }
    }

    /// The place of a relative row, which is less than the capacity away from row 0.
    #[inline(always)]
    pub(crate) fn at(self, row: isize) -> usize {
        let row = self.phase + row;
        let row = if row < 0 { row + self.capacity } else { row };
        (if row >= self.capacity { row - self.capacity } else { row }) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel is visited once, with the value at its place.
    #[test]
    #[allow(clippy::float_cmp, reason = "values are copied")]
    fn runs_cover_the_output() {
        for (doubled, at) in [(false, [3, 0]), (false, [3, 2]), (true, [6, 0]), (true, [7, 3])] {
            let (channels, width) = (5, 9);
            let half = |n: usize| if doubled { n / 2 } else { n };
            // Rows 3 to 9 of the input, of which 7 fit in memory.
            let value = |c: usize, y: usize, x: usize| (c * 10_000 + y * 100 + x) as f32;
            let mut values = vec![f32::NAN; channels * 7 * width];
            for c in 0..channels {
                for y in 3..10 {
                    (0..width).for_each(|x| values[(c * 7 + y % 7) * width + x] = value(c, y, x));
                }
            }
            let x = Map::new(&values, [7, width], 3..10);
            let x = if doubled { Source::doubled(x, at) } else { Source::new(x, at) };
            for columns in [0..width - 2, 1..4] {
                let mut out = vec![f32::NAN; channels * 6 * (width - 2)];
                let map = MapMut::new(&mut out, [6, width - 2], 4..9);
                let seen = std::sync::Mutex::new(vec![0; 5 * (width - 2)]);
                for_each_run_of(x, map, columns.clone(), |c, offset, x, out| {
                    out.copy_from_slice(x);
                    if c == 4 {
                        (offset..offset + x.len()).for_each(|i| seen.lock().unwrap()[i] += 1);
                    }
                });
                for (i, count) in seen.into_inner().unwrap().into_iter().enumerate() {
                    let (r, column) = (i / (width - 2), i % (width - 2));
                    assert_eq!(count, usize::from(columns.contains(&column)));
                    for c in 0..channels {
                        let found = out[(c * 6 + (4 + r) % 6) * (width - 2) + column];
                        if count == 1 {
                            assert_eq!(found, value(c, half(at[0] + r), half(at[1] + column - columns.start)));
                        } else {
                            assert!(found.is_nan());
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "rows of the output")]
    fn missing_rows_are_a_mistake() {
        let mut out = [0.0; 8];
        let x = [0.0; 8];
        for_each_run(Source::new(Map::new(&x, [4, 2], 0..3), [0, 0]), MapMut::whole(&mut out, [4, 2]), |_, _, _, _| ());
    }
}
