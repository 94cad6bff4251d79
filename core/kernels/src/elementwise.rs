//! Operations that read and write every value once.

use crate::Affine;
use crate::isa::{Isa, dispatch};
use crate::scratch::{Shared, volume};
use crate::simd::Simd;
use rayon::prelude::*;

/// Number of values in a task, and in a partial sum of [`moments`].
const BLOCK: usize = 1 << 14;
/// Number of partial sums that a block computes in parallel.
const LANES: usize = 16;

/// Doubles height and width: each value of `x` `[channels, h, w]` becomes 2×2 values of `out` `[channels, 2h, 2w]`.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn upsample2(x: &[f32], [channels, h, w]: [usize; 3], out: &mut [f32]) {
    assert_eq!(x.len(), volume(&[channels, h, w]), "x is [channels, h, w]");
    assert_eq!(out.len(), volume(&[x.len(), 4]), "out is [channels, 2h, 2w]");
    if x.is_empty() {
        return;
    }
    let rows = out.par_chunks_exact_mut(4 * w).zip(x.par_chunks_exact(w));
    rows.with_min_len(BLOCK.div_ceil(4 * w)).for_each(|(out, x)| {
        let (first, second) = out.split_at_mut(2 * w);
        for (pair, &v) in first.chunks_exact_mut(2).zip(x) {
            pair.fill(v);
        }
        second.copy_from_slice(first);
    });
}

/// Applies an [`Affine`] to each channel; `x` and `out` are `[channels, …]`.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn affine(isa: Isa, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
    let channels = affine.scale.len();
    assert!(affine.is_of(channels), "scale and shift are [channels]");
    assert!(out.len() == x.len() && x.len().is_multiple_of(channels.max(1)), "x and out are [channels, ...]");
    if x.is_empty() {
        return;
    }
    let n = x.len() / channels;
    let parts = out.par_chunks_mut(n).zip(x.par_chunks(n)).enumerate();
    parts.for_each(|(c, (out, x))| {
        let norm = affine.of_channel(c);
        out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
            // SAFETY: `out` is as long as `x`.
            unsafe { affine_part(isa, x, norm, Shared::new(out)) }
        });
    });
}

#[inline(always)]
unsafe fn affine_task<S: Simd>(x: &[f32], norm: [f32; 3], out: Shared) {
    let [scale, shift, slope] = norm.map(|v| S::splat(v));
    let n = x.len() as isize;
    for i in (0..n).step_by(S::L) {
        let v = S::fma(S::load_range(x.as_ptr(), i, n), scale, shift);
        S::store_range(out.ptr(), i, n, S::max(v, S::mul(slope, v)));
    }
}
dispatch!(unsafe fn affine_part(x: &[f32], norm: [f32; 3], out: Shared) => affine_task);

/// Mean and variance (divided by n, not n − 1) of each channel of `x` `[channels, …]`, summed in `f64` in a fixed
/// order.
///
/// `mean` and `variance` are `[channels]`. The result is also the same for all instruction sets.
///
/// # Panics
///
/// If `x` is empty, or cannot be divided into as many channels as `mean` and `variance` have.
pub fn moments(isa: Isa, x: &[f32], mean: &mut [f64], variance: &mut [f64]) {
    let channels = mean.len();
    assert_eq!(variance.len(), channels, "mean and variance are [channels]");
    assert!(!x.is_empty() && channels > 0 && x.len().is_multiple_of(channels), "x is [channels, ...]");
    let n = x.len() / channels;
    mean.par_iter_mut().zip(variance).zip(x.par_chunks(n)).for_each(|((mean, variance), x)| {
        // Sum relative to a value of the channel, so that a large mean does not cancel out a small variance.
        let origin = f64::from(x[0]);
        let mut parts = vec![[0.0; 2]; n.div_ceil(BLOCK)];
        parts.par_iter_mut().zip(x.par_chunks(BLOCK)).for_each(|(part, x)| {
            // SAFETY: no pointers.
            unsafe { moments_part(isa, x, origin, part) }
        });
        let [sum, squares] = parts.iter().fold([0.0, 0.0], |a, p| [a[0] + p[0], a[1] + p[1]]);
        let shifted = sum / n as f64;
        *mean = origin + shifted;
        *variance = (squares / n as f64 - shifted * shifted).max(0.0);
    });
}

/// Sum and sum of squares of the differences from `origin`; the compiler vectorises it.
#[inline(always)]
fn moments_task<S: Simd>(x: &[f32], origin: f64, part: &mut [f64; 2]) {
    let (mut sum, mut squares) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |i: usize, v: f32| {
        let d = f64::from(v) - origin;
        sum[i] += d;
        squares[i] += d * d;
    };
    let (groups, rest) = x.as_chunks::<LANES>();
    for group in groups {
        for i in 0..LANES {
            add(i, group[i]);
        }
    }
    for (i, &v) in rest.iter().enumerate() {
        add(i, v);
    }
    *part = [sum.iter().sum(), squares.iter().sum()];
}
dispatch!(unsafe fn moments_part(x: &[f32], origin: f64, part: &mut [f64; 2]) => moments_task);
