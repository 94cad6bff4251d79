//! The gradient of weights as a matrix product over pixels.

use crate::isa::{Isa, dispatch};
use crate::layout::{add_up, channels_last, transposed};
use crate::scratch::{Loan, Shared, local, volume};
use crate::simd::Simd;
use rayon::prelude::*;
use std::ops::Range;

/// Columns of the product in a task.
const COLUMNS: usize = 96;
/// Pixels in a block.
const DEPTH: usize = 512;
/// Fewest tasks to make, and most pixels per sum, so that rounding errors do not accumulate.
const TASKS: usize = 16;
const MAX_SUM: usize = 1 << 14;
/// Most values of both sides at a time, if there are several images.
const MAX_ROUND: usize = 2 << 20;

/// sum(m, ky, kx, c) = Σ over images b and pixels (i, j) of the grid of
/// a(b, m, i, j) · x(b, c, i·stride + ky − padding, j·stride + kx − padding); x is zero outside.
///
/// Both sides are transposed so that channels come last: a into panels of 16 m, x into padded images, in which the
/// channels of kx = 0, 1, … of a pixel are adjacent. The columns of the product are (ky, kx, c).
pub(super) struct Outer {
    pub(super) images: usize,
    pub(super) rows: usize,
    pub(super) grid: [usize; 2],
    pub(super) channels: usize,
    /// Height and width of x.
    pub(super) size: [usize; 2],
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Outer {
    /// Height and width of the part of x that is read, with its padding.
    fn padded(&self) -> [usize; 2] {
        self.grid.map(|n| (n - 1) * self.stride + self.kernel)
    }

    /// Computes the sums; calls `store(m, sums)` for each m. The caller has checked the lengths of the slices.
    pub(super) fn run(&self, isa: Isa, a: &[f32], x: &[f32], store: impl Fn(usize, &[f32]) + Sync) {
        let ([gh, gw], [ph, pw]) = (self.grid, self.padded());
        let (panels, columns) = (self.rows.div_ceil(16), self.kernel * self.kernel * self.channels);
        let blocks = columns.div_ceil(COLUMNS);
        let width = columns.div_ceil(blocks).next_multiple_of(16);
        let blocks = columns.div_ceil(width);
        let share = (MAX_ROUND / (ph * pw * self.channels + panels * 16 * gh * gw)).clamp(1, self.images);
        let parts = TASKS.div_ceil(blocks).max(self.images * gh * gw / MAX_SUM).min(share * gh * gw);
        // Reads extend up to one vector beyond the end.
        let mut last = Loan::new(volume(&[share, ph, pw, self.channels]) + 16);
        let mut packed = Loan::new(volume(&[panels, share, gh, gw, 16]));
        let size = panels * 16 * width;
        let mut sums = Loan::new(volume(&[parts, blocks, size]));
        for b0 in (0..self.images).step_by(share) {
            let images = share.min(self.images - b0);
            let pixels = images * gh * gw;
            let (at, xt) = (Shared::new(&mut packed), Shared::new(&mut last));
            (0..images * panels).into_par_iter().for_each(|i| {
                let (b, panel) = (i / panels, i % panels);
                let from = a[((b0 + b) * self.rows + panel * 16) * gh * gw..].as_ptr();
                // SAFETY: an image of a panel in, as many pixels of it out, and no other task writes them.
                unsafe {
                    let to = at.ptr().add((panel * pixels + b * gh * gw) * 16);
                    panel_of(isa, from, 16.min(self.rows - panel * 16), gh * gw, to);
                }
            });
            (0..images * ph).into_par_iter().with_min_len(2).for_each(|i| {
                let image = x[(b0 + i / ph) * self.channels * self.size[0] * self.size[1]..].as_ptr();
                // SAFETY: an image in, one row of its padded copy out.
                unsafe { row_of(isa, self, image, i % ph, xt.ptr().add(i * pw * self.channels)) }
            });
            sums.par_chunks_mut(size).enumerate().with_max_len(1).for_each(|(i, sum)| {
                let (part, block) = (i / blocks, i % blocks);
                let range = pixels * part / parts..pixels * (part + 1) / parts;
                let lanes = block * width..(block * width + width).min(columns);
                let segments = self.segments(lanes);
                local([DEPTH * width + 16], |[v]| {
                    // SAFETY: both sides are complete and only read now; `v` holds a block of pixels, `sum` all rows.
                    unsafe {
                        let v = v.as_mut_ptr();
                        product(isa, self, at.ptr(), xt.ptr(), pixels, range, &segments, width, b0 > 0, v, sum);
                    }
                });
            });
        }
        (0..self.rows).into_par_iter().for_each(|m| {
            local([blocks * width], |[row]| {
                for (block, row) in row.chunks_mut(width).enumerate().take(blocks) {
                    add_up(&sums[block * size + m * width..], blocks * size, parts, row);
                }
                store(m, &row[..columns]);
            });
        });
    }

    /// Columns of the product: their offset in x from the corner of a window, their position in the block, and their
    /// number.
    fn segments(&self, lanes: Range<usize>) -> Vec<[usize; 3]> {
        let row = self.kernel * self.channels;
        let segment = |ky: usize| {
            let (from, to) = (lanes.start.max(ky * row), lanes.end.min((ky + 1) * row));
            let x = ky * self.padded()[1] * self.channels + from.saturating_sub(ky * row);
            (from < to).then(|| [x, from - lanes.start, to - from])
        };
        (0..self.kernel).filter_map(segment).collect()
    }
}

#[inline(always)]
unsafe fn panel_task<S: Simd>(src: *const f32, rows: usize, columns: usize, to: *mut f32) {
    transposed::<S>(src, columns, rows, columns, 16, |j| to.add(j * 16));
}
dispatch!(unsafe fn panel_of(src: *const f32, rows: usize, columns: usize, to: *mut f32) => panel_task);

/// Row y of the padded copy of an image.
#[inline(always)]
unsafe fn row_task<S: Simd>(outer: &Outer, image: *const f32, y: usize, to: *mut f32) {
    let &Outer { channels, size, padding, .. } = outer;
    let corner = [y as isize - padding as isize, -(padding as isize)];
    channels_last::<S>(image, channels, size, corner, 1, outer.padded()[1], channels, to);
}
dispatch!(unsafe fn row_of(outer: &Outer, image: *const f32, y: usize, to: *mut f32) => row_task);

/// Sums `[rows, padded][width]` of some columns over some pixels; added to the previous values if `acc`.
#[inline(always)]
unsafe fn product_task<S: Simd>(
    outer: &Outer,
    a: *const f32,
    x: *const f32,
    pixels: usize,
    range: Range<usize>,
    segments: &[[usize; 3]],
    width: usize,
    acc: bool,
    v: *mut f32,
    sum: &mut [f32],
) {
    let ([gh, gw], [ph, pw], stride) = (outer.grid, outer.padded(), outer.stride);
    let lanes = segments.iter().map(|s| s[2]).sum::<usize>();
    // The channels of single pixels are read in place.
    let whole = (outer.kernel, outer.stride, outer.padding) == (1, 1, 0);
    for k0 in range.clone().step_by(DEPTH) {
        let kn = DEPTH.min(range.end - k0);
        let mut k = if whole { kn } else { 0 };
        while k < kn {
            let (b, i, j) = ((k0 + k) / gw / gh, (k0 + k) / gw % gh, (k0 + k) % gw);
            let n = (gw - j).min(kn - k);
            let corner = x.add(((b * ph + i * stride) * pw + j * stride) * outer.channels);
            for p in 0..n {
                let (src, dst) = (corner.add(p * stride * outer.channels), v.add((k + p) * width));
                // A vector may overwrite the beginning of the next segment or pixel, which is written afterwards.
                for &[from, at, len] in segments {
                    for j in (0..len).step_by(S::L) {
                        S::store(dst.add(at + j), S::load(src.add(from + j)));
                    }
                }
            }
            k += n;
        }
        let (b, ldb) =
            if whole { (x.add(k0 * outer.channels + segments[0][0]), outer.channels) } else { (v.cast_const(), width) };
        for panel in 0..outer.rows.div_ceil(16) {
            let (a, c) = (a.add((panel * pixels + k0) * 16), sum.as_mut_ptr().add(panel * 16 * width));
            S::strip(kn, a, b, ldb, c, width, lanes.div_ceil(S::L), acc || k0 > range.start);
        }
    }
}
dispatch!(
    unsafe fn product(
        outer: &Outer, a: *const f32, x: *const f32, pixels: usize, range: Range<usize>, segments: &[[usize; 3]],
        width: usize, acc: bool, v: *mut f32, sum: &mut [f32],
    ) => product_task
);
