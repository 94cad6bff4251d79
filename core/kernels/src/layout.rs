//! Copies that reorder axes.

use crate::isa::{Isa, dispatch};
use crate::scratch::Shared;
use crate::simd::Simd;
use rayon::prelude::*;

/// Transposes a matrix: lane i of `to(j)` is `src[i·stride + j]`, for `rows` ≤ `lanes` ≤ 16. Lanes beyond the rows
/// are zero; those beyond `lanes` are not written.
#[inline(always)]
pub(crate) unsafe fn transposed<S: Simd>(
    src: *const f32,
    stride: usize,
    rows: usize,
    columns: usize,
    lanes: usize,
    to: impl Fn(usize) -> *mut f32,
) {
    for j0 in (0..columns).step_by(S::L) {
        for i0 in (0..lanes).step_by(S::L) {
            let mut v = [S::splat(0.0); 16];
            for i in 0..S::L.min(rows.saturating_sub(i0)) {
                v[i] = S::load_range(src.add((i0 + i) * stride), j0 as isize, columns as isize);
            }
            S::transpose(&mut v);
            for j in 0..S::L.min(columns - j0) {
                S::store_range(to(j0 + j), i0 as isize, lanes as isize, v[j]);
            }
        }
    }
}

/// Copies a part of an image `[channels, h, w]`, from row and column `corner` on, with zeros outside of the image.
/// Value (r, x, c) is written to dst + (r·width + x)·cs + c, for `rows` rows and `width` columns. `cs` may exceed the
/// number of channels by up to 15; those are zero.
#[inline(always)]
pub(crate) unsafe fn channels_last<S: Simd>(
    src: *const f32,
    channels: usize,
    [h, w]: [usize; 2],
    corner: [isize; 2],
    rows: usize,
    width: usize,
    cs: usize,
    dst: *mut f32,
) {
    let left = (-corner[1]).clamp(0, width as isize) as usize;
    let skip = corner[1].clamp(0, w as isize) as usize;
    let n = (w - skip).min(width - left);
    for r in 0..rows {
        let (y, row) = (corner[0] + r as isize, dst.add(r * width * cs));
        if y < 0 || y >= h as isize {
            std::ptr::write_bytes(row, 0, width * cs);
            continue;
        }
        std::ptr::write_bytes(row, 0, left * cs);
        std::ptr::write_bytes(row.add((left + n) * cs), 0, (width - left - n) * cs);
        for c in (0..channels).step_by(16) {
            let src = src.add((c * h + y as usize) * w + skip);
            transposed::<S>(src, h * w, 16.min(channels - c), n, 16.min(cs - c), |x| row.add((left + x) * cs + c));
        }
    }
}

/// Panels of 16 rows, `[rows/16][columns][16]`, of a matrix `[rows, columns]`.
pub(crate) fn panels(isa: Isa, matrix: &[f32], columns: usize, packed: &mut [f32]) {
    let parts = packed.par_chunks_mut(columns * 16).zip(matrix.par_chunks(columns * 16));
    // SAFETY: a panel for each 16 rows, or less of the last.
    parts.for_each(|(panel, rows)| unsafe { one_panel(isa, rows, columns, panel.as_mut_ptr()) });
}

/// Panels of two matrices of equal size, alternating, `[rows/16][2][columns][16]`.
pub(crate) fn panels_in_turn(isa: Isa, matrices: [&[f32]; 2], columns: usize, packed: &mut [f32]) {
    let [first, second] = matrices.map(|matrix| matrix.par_chunks(columns * 16));
    packed.par_chunks_mut(2 * columns * 16).zip(first.zip(second)).for_each(|(packed, (first, second))| {
        for (panel, rows) in packed.chunks_exact_mut(columns * 16).zip([first, second]) {
            // SAFETY: a panel for 16 rows, or less of the last.
            unsafe { one_panel(isa, rows, columns, panel.as_mut_ptr()) };
        }
    });
}

#[inline(always)]
unsafe fn one_panel_task<S: Simd>(rows: &[f32], columns: usize, panel: *mut f32) {
    transposed::<S>(rows.as_ptr(), columns, rows.len() / columns, columns, 16, |j| panel.add(j * 16));
}
dispatch!(unsafe fn one_panel(rows: &[f32], columns: usize, panel: *mut f32) => one_panel_task);

/// Weights `[out, in, taps]` for the backward pass: panels of 16 *input* channels, where (o, tap) is row
/// `rows[tap][0] + o · rows[tap][1]` of a panel with `depth` rows.
pub(crate) fn adjoint_panels(
    isa: Isa,
    weight: &[f32],
    ins: usize,
    rows: &[[usize; 2]],
    depth: usize,
    packed: &mut [f32],
) {
    assert!(packed.len() >= ins.div_ceil(16) * depth * 16 && rows.iter().all(|r| r[0] < depth));
    let packed = Shared::new(packed);
    // Process 16 output channels at a time, so that the rows of weights are read in order.
    weight.par_chunks(16 * ins * rows.len()).enumerate().for_each(|(i, weight)| {
        // SAFETY: the panels have a row for each output channel and tap; no other task writes those of these channels.
        unsafe { adjoint_rows(isa, weight, ins, i * 16, rows, depth, packed) }
    });
}

#[inline(always)]
unsafe fn adjoint_rows_task<S: Simd>(
    weight: &[f32],
    ins: usize,
    o0: usize,
    rows: &[[usize; 2]],
    depth: usize,
    packed: Shared,
) {
    let taps = rows.len();
    for c in (0..ins).step_by(16) {
        let panel = packed.ptr().add(c * depth);
        for (o, kernel) in weight.chunks_exact(ins * taps).enumerate() {
            let to = |j: usize| panel.add((rows[j][0] + (o0 + o) * rows[j][1]) * 16);
            transposed::<S>(kernel.as_ptr().add(c * taps), taps, 16.min(ins - c), taps, 16, to);
        }
    }
}
dispatch!(
    unsafe fn adjoint_rows(
        weight: &[f32], ins: usize, o0: usize, rows: &[[usize; 2]], depth: usize, packed: Shared,
    ) => adjoint_rows_task
);

/// `sum` = the sum of `parts` slices of its length, which start at multiples of `stride`.
pub(crate) fn add_up(values: &[f32], stride: usize, parts: usize, sum: &mut [f32]) {
    sum.copy_from_slice(&values[..sum.len()]);
    for part in 1..parts {
        for (s, v) in sum.iter_mut().zip(&values[part * stride..]) {
            *s += v;
        }
    }
}

/// Reorders values `[taps][width]`, whose first columns are the channels, to `[channels][taps]`.
pub(crate) fn taps_last(isa: Isa, values: &[f32], taps: usize, out: &mut [f32]) {
    let (width, channels) = (values.len() / taps, out.len() / taps);
    assert!(channels <= width && values.len() == width * taps && out.len() == channels * taps);
    // SAFETY: the sizes are as asserted.
    unsafe { turned(isa, values, width, taps, out) }
}

#[inline(always)]
unsafe fn turned_task<S: Simd>(values: &[f32], width: usize, taps: usize, out: &mut [f32]) {
    let (to, channels) = (out.as_mut_ptr(), out.len() / taps);
    for t in (0..taps).step_by(16) {
        let src = values.as_ptr().add(t * width);
        let n = 16.min(taps - t);
        transposed::<S>(src, width, n, channels, n, |c| to.add(c * taps + t));
    }
}
dispatch!(unsafe fn turned(values: &[f32], width: usize, taps: usize, out: &mut [f32]) => turned_task);
