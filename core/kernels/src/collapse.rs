//! Convolutions of maps of class vectors.
//!
//! If each pixel of a map has the vector of its class, a 3×3 convolution of the map equals a convolution of the
//! one-hot labels whose kernel is multiplied by the vectors: `[out, length, 9]` times `[length, classes]` gives
//! `[out, classes, 9]`, one matrix product per output channel.

use crate::isa::{Isa, dispatch};
use crate::scratch::{local, volume};
use crate::simd::Simd;
use rayon::prelude::*;

/// Output channels per task, chosen so that their taps fill whole vectors.
const GROUP: usize = 16;
/// Columns of a task's matrix product.
const COLUMNS: usize = GROUP * 9;

/// Multiplies class vectors into a kernel: `collapsed` = `scale` · `weight` `[out, length, 3, 3]` · `vectors`
/// `[length, classes]`. `collapsed` has `stride` values per output channel, of which the last `classes · 9` are
/// written.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn collapse(
    isa: Isa,
    weight: &[f32],
    vectors: &[f32],
    classes: usize,
    scale: f32,
    stride: usize,
    collapsed: &mut [f32],
) {
    let length = vectors.len().checked_div(classes).unwrap_or_default();
    assert!(length > 0 && vectors.len() == length * classes, "vectors are [length, classes]");
    assert!(weight.len().is_multiple_of(length * 9), "weight is [out, length, 3, 3]");
    let outs = weight.len() / (length * 9);
    assert!(stride >= classes * 9 && collapsed.len() == volume(&[outs, stride]), "collapsed is [out, stride]");
    let panels = classes.div_ceil(16);
    let mut packed = vec![0.0; volume(&[panels, length, 16])];
    for (i, value) in vectors.iter().enumerate() {
        let (k, class) = (i / classes, i % classes);
        packed[(class / 16 * length + k) * 16 + class % 16] = scale * value;
    }
    let groups = collapsed.par_chunks_mut(stride * GROUP).zip(weight.par_chunks(length * 9 * GROUP));
    groups.for_each(|(collapsed, kernels)| {
        local([length * COLUMNS, 16 * COLUMNS], |[taps, sums]| {
            for (o, kernel) in kernels.chunks_exact(length * 9).enumerate() {
                for (taps, kernel) in taps.chunks_exact_mut(COLUMNS).zip(kernel.as_chunks::<9>().0) {
                    taps[o * 9..][..9].copy_from_slice(kernel);
                }
            }
            for (first, panel) in (0..classes).step_by(16).zip(packed.chunks_exact(length * 16)) {
                // SAFETY: a panel has 16 values for each of `length` rows of taps; there are sums for all of them.
                unsafe { product(isa, length, panel.as_ptr(), taps.as_ptr(), sums.as_mut_ptr()) };
                for (o, row) in collapsed.chunks_exact_mut(stride).enumerate() {
                    let labels = row[stride - classes * 9 + first * 9..].as_chunks_mut::<9>().0;
                    for (label, sums) in labels.iter_mut().zip(sums.chunks_exact(COLUMNS)) {
                        label.copy_from_slice(&sums[o * 9..][..9]);
                    }
                }
            }
        });
    });
}

#[inline(always)]
unsafe fn product_task<S: Simd>(length: usize, panel: *const f32, taps: *const f32, sums: *mut f32) {
    S::strip(length, panel, taps, COLUMNS, sums, COLUMNS, COLUMNS / S::L, false);
}
dispatch!(unsafe fn product(length: usize, panel: *const f32, taps: *const f32, sums: *mut f32) => product_task);
