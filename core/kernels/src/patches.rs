//! Distinct patches of a label map.

use crate::scratch::volume;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The distinct 3×3 and 5×5 patches of a label map.
///
/// A hidden vector of SPADE depends on the 3×3 labels around a pixel; its gamma and beta depend on the 5×5 labels.
/// Label maps consist of large uniform areas, so there are far fewer distinct patches than pixels. All norms that
/// work at one size share the patches.
#[derive(Debug)]
pub struct Patches {
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Index of the 3×3 patch of each pixel.
    pub(crate) id3: Vec<u32>,
    /// Labels of each 3×3 patch; [`OUTSIDE`] outside of the map.
    pub(crate) labels: Vec<[u32; 9]>,
    /// Index of the 5×5 patch of each pixel, followed by [`PAD`] zeros.
    pub(crate) id5: Vec<u32>,
    /// Indices of the nine 3×3 patches of each 5×5 patch; `labels.len()` outside of the map.
    pub(crate) nine: Vec<[u32; 9]>,
}

/// Number of zeros after `id5`, so that a vector of indices can be read at any pixel.
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
        assert!(!labels.is_empty() && labels.len() < 1 << 31, "a label map has 1 to 2^31 - 1 pixels");
        assert_eq!(labels.len(), volume(&[h, w]), "labels are [h, w]");
        let labels: Vec<u32> = labels.iter().map(|&l| u32::from(l)).collect();
        let (id3, labels) = number(&labels, w, OUTSIDE);
        // A 5×5 patch is determined by its nine 3×3 patches, which are again a 3×3 neighbourhood.
        let (mut id5, nine) = number(&id3, w, labels.len() as u32);
        id5.resize(id5.len() + PAD, 0);
        Self { h, w, id3, labels, id5, nine }
    }

    /// Height and width of the map.
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
        &self.id5[..self.h * self.w]
    }

    /// Length of a row of a table over 5×5 patches: an odd number of cache lines, so that rows do not map to the same
    /// cache sets.
    pub(crate) fn row5(&self) -> usize {
        (self.nine.len().div_ceil(16) | 1) * 16
    }
}

/// Numbers the distinct 3×3 neighbourhoods of an image with rows of `w` values, in raster order of first appearance.
/// Returns the index of each pixel's neighbourhood and the nine values of each neighbourhood.
fn number(values: &[u32], w: usize, outside: u32) -> (Vec<u32>, Vec<[u32; 9]>) {
    // Number the distinct columns of three first: a neighbourhood is then three numbers, which fit in one key. The
    // column outside of the image comes first.
    let mut columns = Table::default();
    let mut patches = Table::default();
    columns.number([outside; 3]);
    let mut around = vec![0; w + 2];
    let mut ids = Vec::with_capacity(values.len());
    let rows: Vec<&[u32]> = values.chunks_exact(w).collect();
    let beyond = vec![outside; w];
    for (y, row) in rows.iter().enumerate() {
        let above = if y > 0 { rows[y - 1] } else { &beyond };
        let below = rows.get(y + 1).copied().unwrap_or(&beyond);
        let mut last = ([outside; 3], 0);
        for (x, ((&a, &b), &c)) in above.iter().zip(*row).zip(below).enumerate() {
            if last.0 != [a, b, c] {
                last = ([a, b, c], columns.number([a, b, c]));
            }
            around[x + 1] = last.1;
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
        let c = p.map(|i| columns.keys[i as usize]);
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

    #[test]
    fn a_flat_map_has_few_patches() {
        // Inside, four edges, four corners; for 5×5, five positions along each side.
        assert_eq!(Patches::new(&[7; 400], [20, 20]).distinct(), [9, 25]);
        assert_eq!(Patches::new(&[7], [1, 1]).distinct(), [1, 1]);
    }
}
