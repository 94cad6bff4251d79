//! Gives pixels without a class the class of the nearest pixel that has one.

/// Marks pixels without a class in [`fill`].
pub(super) const NONE: u16 = u16::MAX;

/// A row index that no picture has: sides are at most 32768.
const NO_ROW: u16 = u16::MAX;

/// Replaces each [`NONE`] by the value of the nearest pixel that has one, and returns the number of replaced
/// pixels. Does nothing if no pixel has a value.
///
/// Distance is the exact Euclidean distance between pixel centres; ties go to the leftmost pixel, then to the
/// topmost. Time is linear in the area: a pass over columns, then a pass over rows with the lower envelope of
/// parabolas (Meijster, Roerdink and Hesselink 2000; Felzenszwalb and Huttenlocher 2012).
pub(super) fn fill(values: &mut [u16], width: usize) -> u64 {
    let missing = values.iter().filter(|&&v| v == NONE).count();
    if missing == 0 || missing == values.len() || width == 0 {
        return 0;
    }
    let rows = nearest_rows(values, width);
    let mut envelope = Envelope::default();
    for (y, near) in rows.chunks_exact(width).enumerate() {
        // A pixel whose nearest row is its own has a value. Such pixels are never written, so reading them from any
        // row is safe.
        if near.iter().all(|&row| usize::from(row) == y) {
            continue;
        }
        envelope.build(near, y as u16);
        let mut sources = envelope.sources();
        for (x, &row) in near.iter().enumerate() {
            let column = sources.at(x as u32);
            if usize::from(row) == y {
                continue;
            }
            let from = near.get(column).map(|&row| usize::from(row) * width + column);
            let value = from.and_then(|from| values.get(from)).copied();
            if let (Some(value), Some(to)) = (value, values.get_mut(y * width + x)) {
                *to = value;
            }
        }
    }
    missing as u64
}

/// For each pixel, the row of the nearest pixel with a value in the same column (the upper of two equally near
/// ones), or [`NO_ROW`].
fn nearest_rows(values: &[u16], width: usize) -> Vec<u16> {
    let mut rows = vec![NO_ROW; values.len()];
    let mut last = vec![NO_ROW; width];
    for ((y, values), rows) in (0..).zip(values.chunks_exact(width)).zip(rows.chunks_exact_mut(width)) {
        for ((value, last), row) in values.iter().zip(&mut last).zip(rows) {
            if *value != NONE {
                *last = y;
            }
            *row = *last;
        }
    }
    let mut next = vec![NO_ROW; width];
    for (y, (values, rows)) in values.chunks_exact(width).zip(rows.chunks_exact_mut(width)).enumerate().rev() {
        let y = y as u16;
        for ((value, next), row) in values.iter().zip(&mut next).zip(rows) {
            if *value != NONE {
                *next = y;
            } else if *next != NO_ROW && (*row == NO_ROW || *next - y < y - *row) {
                *row = *next;
            }
        }
    }
    rows
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
    fn build(&mut self, near: &[u16], y: u16) {
        self.parts.clear();
        for (column, &row) in (0..).zip(near) {
            if row == NO_ROW {
                continue;
            }
            let height = i64::from(row.abs_diff(y)).pow(2);
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
        assert_eq!(fill(&mut row, 3), 1);
        assert_eq!(row, [1, 1, 2]);
        let mut column = [1, NONE, 2];
        fill(&mut column, 1);
        assert_eq!(column, [1, 1, 2]);
        let mut cross = [NONE, 1, NONE, 2, NONE, 3, NONE, 4, NONE];
        fill(&mut cross, 3);
        assert_eq!(cross, [2, 1, 1, 2, 2, 3, 2, 4, 4]);
    }

    #[test]
    fn nothing_known_stays() {
        let mut values = [NONE; 6];
        assert_eq!(fill(&mut values, 3), 0);
        assert_eq!(values, [NONE; 6]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn equals_the_definition(
            width in 1_usize..14,
            height in 1_usize..14,
            known in 1_u32..100,
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
            fill(&mut values, width);
            prop_assert_eq!(values, expected);
        }
    }
}
