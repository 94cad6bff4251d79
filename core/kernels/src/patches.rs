//! Distinct patches of a label map.

use crate::scratch::volume;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// The distinct 3×3 and 5×5 patches of a label map, or of a part of it.
///
/// A hidden vector of SPADE depends on the 3×3 labels around a pixel; its gamma and beta depend on the 5×5 labels.
/// Label maps consist of large uniform areas, so there are far fewer distinct patches than pixels. All norms that
/// work at one size share the patches.
#[derive(Debug)]
pub struct Patches {
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Index of the 3×3 patch of each pixel of `around`.
    pub(crate) id3: Vec<u32>,
    /// How many rows and columns `id3` has before those of the part, and its width.
    pub(crate) before: [usize; 2],
    pub(crate) w3: usize,
    /// Labels of each 3×3 patch; [`OUTSIDE`] outside of the map.
    pub(crate) labels: Vec<[u32; 9]>,
    /// Index of the 5×5 patch of each pixel.
    pub(crate) id5: Vec<u32>,
    /// Indices of the nine 3×3 patches of each 5×5 patch; `labels.len()` outside of the map.
    pub(crate) nine: Vec<[u32; 9]>,
    /// Side of the blocks that [`Spade`](crate::Spade) chooses a method for.
    pub(crate) block: usize,
    /// Whether the patch method should be faster, `[h / block, w / block]` rounded up.
    pub(crate) pays: Vec<bool>,
}

/// Number of values after a list of indices, so that a vector of them can be read at any pixel.
pub(crate) const PAD: usize = 16;
/// A number that is not a label.
const OUTSIDE: u32 = u32::MAX;

impl Patches {
    /// Numbers the patches of `labels` `[h, w]` in order of first appearance.
    ///
    /// Labels may be any numbers; [`Spade`](crate::Spade) defines how labels without a class are treated.
    ///
    /// # Panics
    ///
    /// If the map is empty, `labels` has the wrong length, or the map has 2³¹ pixels or more.
    pub fn new(labels: &[u16], [h, w]: [usize; 2]) -> Self {
        Self::within(labels, [h, w], 0..h, 0..w, h.max(w))
    }

    /// Numbers the patches of some rows and columns of `labels` `[h, w]`, which must have two more on each side of
    /// them, except where the map ends. [`Spade`](crate::Spade) chooses a method for each block of `block`×`block`
    /// pixels, from its patches alone: blocks begin at the first row and column.
    ///
    /// # Panics
    ///
    /// If the part is empty or not within the map, `labels` has the wrong length, or the map has 2³¹ pixels or more.
    pub fn within(labels: &[u16], [h, w]: [usize; 2], rows: Range<usize>, columns: Range<usize>, block: usize) -> Self {
        assert!(!labels.is_empty() && labels.len() < 1 << 31, "a label map has 1 to 2^31 - 1 pixels");
        assert_eq!(labels.len(), volume(&[h, w]), "labels are [h, w]");
        assert!(!rows.is_empty() && !columns.is_empty() && rows.end <= h && columns.end <= w, "the part has pixels");
        let labels: Vec<u32> = labels.iter().map(|&l| u32::from(l)).collect();
        let [above, left] = [&rows, &columns].map(|range| range.start.min(1));
        let around_rows = rows.start - above..(rows.end + 1).min(h);
        let around_columns = columns.start - left..(columns.end + 1).min(w);
        let (w3, h3) = (around_columns.len(), around_rows.len());
        let (id3, labels) = number(&labels, w, around_rows, around_columns, OUTSIDE);
        let (h, w) = (rows.len(), columns.len());
        // A 5×5 patch is determined by its nine 3×3 patches, which are again a 3×3 neighbourhood.
        debug_assert_eq!(id3.len(), h3 * w3);
        let (id5, nine) = number(&id3, w3, above..above + h, left..left + w, labels.len() as u32);
        let mut patches = Self { h, w, id3, before: [above, left], w3, labels, id5, nine, block, pays: Vec::new() };
        patches.pays = patches.pays_by_block();
        patches
    }

    /// Height and width of the part.
    pub fn size(&self) -> [usize; 2] {
        [self.h, self.w]
    }

    /// The numbers of distinct 3×3 and 5×5 patches.
    pub fn distinct(&self) -> [usize; 2] {
        [self.labels.len(), self.nine.len()]
    }

    /// Labels of each distinct 3×3 patch, in row-major order; `u32::MAX` outside of the map.
    pub fn labels(&self) -> &[[u32; 9]] {
        &self.labels
    }

    /// Indices of the nine 3×3 patches of each distinct 5×5 patch; the number of 3×3 patches means outside of the
    /// map.
    pub fn nine(&self) -> &[[u32; 9]] {
        &self.nine
    }

    /// Index of the 5×5 patch of each pixel.
    pub fn of_pixels(&self) -> &[u32] {
        &self.id5
    }

    /// The distinct 3×3 patches in some rows and columns of `id3`: the index of each pixel's patch, and their labels.
    pub(crate) fn distinct3(&self, rows: Range<usize>, columns: Range<usize>) -> (Vec<u32>, Vec<[u32; 9]>) {
        let mut patches = Renumbered::new(self.labels.len());
        let mut ids = Vec::with_capacity(rows.len() * columns.len());
        for y in rows {
            ids.extend(self.id3[y * self.w3..][columns.clone()].iter().map(|&id| patches.number(id)));
        }
        (ids, patches.old.iter().map(|&id| self.labels[id as usize]).collect())
    }

    /// Indices of the 3×3 patches of a row's pixels, from `left` columns before the first on, as far as they exist.
    /// The row may be one before the first or one after the last.
    pub(crate) fn row3(&self, row: isize) -> &[u32] {
        let row = (row + self.before[0] as isize) as usize;
        &self.id3[row * self.w3..][..self.w3]
    }

    /// The distinct patches of some rows and columns alone, in order of first appearance there.
    pub(crate) fn distinct_of(&self, rows: Range<usize>, columns: Range<usize>) -> Distinct<'_> {
        if rows.len() == self.h && columns.len() == self.w {
            return Distinct {
                labels: Cow::Borrowed(&self.labels),
                nine: Cow::Borrowed(&self.nine),
                ids: Cow::Borrowed(&self.id5),
            };
        }
        let mut patches = Renumbered::new(self.nine.len());
        let mut ids = Vec::with_capacity(rows.len() * columns.len());
        for y in rows {
            ids.extend(self.id5[y * self.w..][columns.clone()].iter().map(|&id| patches.number(id)));
        }
        // A number beyond the 3×3 patches stands for what is outside of the map.
        let outside = self.labels.len() as u32;
        let mut inner = Renumbered::new(self.labels.len());
        let nine = |&id: &u32| self.nine[id as usize].map(|id| if id == outside { u32::MAX } else { inner.number(id) });
        let mut nine: Vec<[u32; 9]> = patches.old.iter().map(nine).collect();
        let count = inner.old.len() as u32;
        nine.iter_mut().flatten().for_each(|id| *id = (*id).min(count));
        let labels = inner.old.iter().map(|&id| self.labels[id as usize]).collect();
        Distinct { labels: Cow::Owned(labels), nine: Cow::Owned(nine), ids: Cow::Owned(ids) }
    }

    /// Whether the patch method should be faster than the dense one, for each block.
    ///
    /// The cost per channel grows with the number of distinct patches for one method, and with the number of pixels
    /// for the other, which computes at least 16 Winograd tiles at a time. The factors were fitted to times on
    /// facades and random maps, on two CPUs with AVX-512. Only the patches within the block count: neither the number
    /// of threads nor the rest of the map may matter, because the results of the methods differ in their last bits.
    fn pays_by_block(&self) -> Vec<bool> {
        let [down, across] = [self.h, self.w].map(|side| side.div_ceil(self.block));
        // For each patch, the number of the last block it was seen in, plus one.
        let (mut seen3, mut seen5) = (vec![0_u32; self.labels.len()], vec![0_u32; self.nine.len()]);
        let mut pays = Vec::with_capacity(down * across);
        for number in 0..down * across {
            let (y, x) = (number / across * self.block, number % across * self.block);
            let (rows, columns) = (y..(y + self.block).min(self.h), x..(x + self.block).min(self.w));
            let (mut n3, mut n5) = (0_u32, 0_u32);
            let mark = number as u32 + 1;
            let count = |seen: &mut [u32], id: u32| u32::from(std::mem::replace(&mut seen[id as usize], mark) != mark);
            for y in rows.clone() {
                let ids3 = &self.row3(y as isize)[self.before[1]..][columns.clone()];
                let ids5 = &self.id5[y * self.w..][columns.clone()];
                n3 += ids3.iter().map(|&id| count(&mut seen3, id)).sum::<u32>();
                n5 += ids5.iter().map(|&id| count(&mut seen5, id)).sum::<u32>();
            }
            let area = (rows.len() * columns.len()).max(16 * 16);
            pays.push(f64::from(n3) + 0.2 * f64::from(n5) < 0.4 * area as f64);
        }
        pays
    }
}

/// The distinct patches of a part of a map. Fields are as in [`Patches`].
pub(crate) struct Distinct<'a> {
    pub(crate) labels: Cow<'a, [[u32; 9]]>,
    pub(crate) nine: Cow<'a, [[u32; 9]]>,
    /// Index of the 5×5 patch of each pixel of the part.
    pub(crate) ids: Cow<'a, [u32]>,
}

impl Distinct<'_> {
    /// Length of a row of a table over 5×5 patches: an odd number of cache lines, so that rows do not map to the same
    /// cache sets.
    pub(crate) fn row5(&self) -> usize {
        (self.nine.len().div_ceil(16) | 1) * 16
    }
}

/// New numbers for some of many numbers, in order of first appearance.
struct Renumbered {
    new: Vec<u32>,
    old: Vec<u32>,
}

impl Renumbered {
    fn new(count: usize) -> Self {
        Self { new: vec![u32::MAX; count], old: Vec::new() }
    }

    fn number(&mut self, old: u32) -> u32 {
        let new = &mut self.new[old as usize];
        if *new == u32::MAX {
            *new = self.old.len() as u32;
            self.old.push(old);
        }
        *new
    }
}

/// Numbers the distinct 3×3 neighbourhoods of the pixels in some rows and columns of an image with rows of `w` values,
/// in raster order of first appearance. Returns the index of each pixel's neighbourhood and the nine values of each
/// neighbourhood.
fn number(
    values: &[u32],
    w: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    outside: u32,
) -> (Vec<u32>, Vec<[u32; 9]>) {
    // Number the distinct columns of three first: a neighbourhood is then three numbers, which fit in one key. The
    // column outside of the image comes first.
    let mut triples = Table::default();
    let mut patches = Table::default();
    triples.number([outside; 3]);
    // The columns and one more on each side.
    let mut around = vec![0; columns.len() + 2];
    let (from, to) = (columns.start.saturating_sub(1), (columns.end + 1).min(w));
    let first = from + 1 - columns.start;
    let mut ids = Vec::with_capacity(rows.len() * columns.len());
    let beyond = vec![outside; to - from];
    let part = |y: usize| values.get(y * w..(y + 1) * w).map_or(&beyond[..], |row| &row[from..to]);
    for y in rows {
        let (above, row, below) = (if y > 0 { part(y - 1) } else { &beyond }, part(y), part(y + 1));
        let mut last = ([outside; 3], 0);
        for (x, ((&a, &b), &c)) in above.iter().zip(row).zip(below).enumerate() {
            if last.0 != [a, b, c] {
                last = ([a, b, c], triples.number([a, b, c]));
            }
            around[x + first] = last.1;
        }
        let mut last = ([u32::MAX; 3], 0);
        for c in around.windows(3) {
            let key = [c[0], c[1], c[2]];
            if last.0 != key {
                last = (key, patches.number(key));
            }
            ids.push(last.1);
        }
    }
    let values = |p: &[u32; 3]| {
        let c = p.map(|i| triples.keys[i as usize]);
        std::array::from_fn(|j| c[j % 3][j / 3])
    };
    (ids, patches.keys.iter().map(values).collect())
}

/// Numbers keys in order of first appearance.
#[derive(Default)]
struct Table {
    ids: HashMap<[u32; 3], u32, BuildHasherDefault<Mix>>,
    keys: Vec<[u32; 3]>,
}

impl Table {
    fn number(&mut self, key: [u32; 3]) -> u32 {
        *self.ids.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        })
    }
}

/// A multiplicative hash: keys are small numbers computed here, so collisions cost time but are no security problem.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let m = u128::from(self.0 ^ u64::from_le_bytes(word)) * 0x9E37_79B9_7F4A_7C15;
            self.0 = (m >> 64) as u64 ^ m as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The labels around a pixel up to distance `r`; `None` outside of the map.
    fn around(labels: &[u16], h: usize, w: usize, p: usize, r: isize) -> Vec<Option<u16>> {
        let (y, x) = ((p / w) as isize, (p % w) as isize);
        let at = |y: isize, x: isize| {
            (y >= 0 && x >= 0 && y < h as isize && x < w as isize).then(|| labels[y as usize * w + x as usize])
        };
        (-r..=r).flat_map(|dy| (-r..=r).map(move |dx| (dy, dx))).map(|(dy, dx)| at(y + dy, x + dx)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Two pixels have the same index exactly if they have the same labels around them.
        #[test]
        fn numbers_stand_for_neighbourhoods(h in 1usize..9, w in 1usize..9, seed in any::<u32>(), kinds in 1u32..4) {
            let label = |i: usize| ((i as u32).wrapping_mul(seed | 1).wrapping_mul(2_654_435_761) >> 20) % kinds;
            let labels: Vec<u16> = (0..h * w).map(|i| [0, 65_535, 300][label(i) as usize]).collect();
            let p = Patches::new(&labels, [h, w]);
            for a in 0..h * w {
                for b in 0..a {
                    let same = |r| around(&labels, h, w, a, r) == around(&labels, h, w, b, r);
                    prop_assert_eq!(p.id3[a] == p.id3[b], same(1));
                    prop_assert_eq!(p.id5[a] == p.id5[b], same(2));
                }
                let want: Vec<u32> =
                    around(&labels, h, w, a, 1).iter().map(|l| l.map_or(OUTSIDE, u32::from)).collect();
                prop_assert_eq!(&p.labels[p.id3[a] as usize][..], &want[..]);
            }
        }
    }

    /// A part of a map has the patches that the whole map has there.
    #[test]
    fn parts_of_a_map_have_its_patches() {
        let (h, w) = (23_usize, 31_usize);
        let labels: Vec<u16> = (0..h * w).map(|i| ((i / w / 4 + i % w / 5) * 7 % 3) as u16).collect();
        let whole = Patches::new(&labels, [h, w]);
        for (rows, columns) in [(0_usize..23, 0_usize..31), (0..8, 4..9), (5..23, 0..2), (2..3, 30..31), (9..14, 8..29)]
        {
            // Two more rows and columns on each side, as far as they exist.
            let (top, left) = (rows.start.saturating_sub(2), columns.start.saturating_sub(2));
            let (bottom, right) = ((rows.end + 2).min(h), (columns.end + 2).min(w));
            let part: Vec<u16> = (top..bottom).flat_map(|y| labels[y * w..][left..right].to_vec()).collect();
            let [inner, across] = [(&rows, top), (&columns, left)].map(|(range, by)| range.start - by..range.end - by);
            let part = Patches::within(&part, [bottom - top, right - left], inner, across, 8);
            for (i, y) in rows.clone().enumerate() {
                for (j, x) in columns.clone().enumerate() {
                    let nine = |patches: &Patches, id: u32| {
                        patches.nine[id as usize].map(|id| patches.labels.get(id as usize).copied())
                    };
                    assert_eq!(nine(&part, part.id5[i * columns.len() + j]), nine(&whole, whole.id5[y * w + x]));
                    let id3 = part.row3(i as isize)[part.before[1] + j];
                    assert_eq!(part.labels[id3 as usize], whole.labels[whole.id3[y * w + x] as usize]);
                }
            }
        }
    }

    /// The method depends on the block alone.
    #[test]
    fn noise_is_dense_and_flat_areas_are_not() {
        let label = |i: usize| if i % 96 < 32 { (i * i * 7_919 % 251 % 7) as u16 } else { 1 };
        let labels: Vec<u16> = (0..64 * 96).map(label).collect();
        let patches = Patches::within(&labels, [64, 96], 0..64, 0..96, 32);
        assert_eq!(patches.pays, [false, true, true, false, true, true]);
    }

    #[test]
    fn a_flat_map_has_few_patches() {
        // Inside, four edges, four corners; for 5×5, five positions along each side.
        assert_eq!(Patches::new(&[7; 400], [20, 20]).distinct(), [9, 25]);
        assert_eq!(Patches::new(&[7], [1, 1]).distinct(), [1, 1]);
    }
}
