//! Spectral norm: operations on a weight as a matrix `[rows, columns]`.

use rayon::prelude::*;

use crate::scratch::volume;

/// Number of partial sums that are computed in parallel.
const LANES: usize = 16;
/// Columns in a task, and values in a task that works along rows.
const BLOCK: usize = 1 << 12;

/// `weight` · `x` for `x` `[columns]`, written to `out` `[rows]`.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn times(weight: &[f32], x: &[f32], out: &mut [f32]) {
    assert_eq!(weight.len(), volume(&[out.len(), x.len()]), "weight is [rows, columns]");
    if x.is_empty() {
        return out.fill(0.0);
    }
    let rows = weight.par_chunks(x.len()).with_min_len(BLOCK.div_ceil(x.len()));
    rows.zip(out).for_each(|(row, out)| *out = dot(row, x));
}

/// `weight` transposed · `x` for `x` `[rows]`, written to `out` `[columns]`.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn transposed_times(weight: &[f32], x: &[f32], out: &mut [f32]) {
    assert_eq!(weight.len(), volume(&[out.len(), x.len()]), "weight is [rows, columns]");
    let columns = out.len();
    if columns == 0 {
        return;
    }
    // With few columns, make tasks as narrow as a cache line, so that there are several.
    let block = columns.div_ceil(8).next_multiple_of(LANES).min(BLOCK);
    out.par_chunks_mut(block).enumerate().for_each(|(i, out)| {
        out.fill(0.0);
        let len = out.len();
        let part = |row: usize| &weight[row * columns + i * block..][..len];
        // Four rows per pass, so that sums are read and written less often.
        let rows = x.len() / 4 * 4;
        for row in (0..rows).step_by(4) {
            let ([a, b, c, d], x) = ([0, 1, 2, 3].map(|i| part(row + i)), [x[row], x[row + 1], x[row + 2], x[row + 3]]);
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out += a * x[0] + b * x[1] + (c * x[2] + d * x[3]);
            }
        }
        for row in rows..x.len() {
            for (out, w) in out.iter_mut().zip(part(row)) {
                *out += w * x[row];
            }
        }
    });
}

/// Dot product, summed in a fixed order.
///
/// # Panics
///
/// If lengths differ.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "both are of one length");
    let partial = |(a, b): (&[f32], &[f32])| {
        let mut lanes = [0.0f32; LANES];
        let ((groups, rest), (b_groups, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        for (a, b) in groups.iter().zip(b_groups) {
            for i in 0..LANES {
                lanes[i] += a[i] * b[i];
            }
        }
        for (lane, (a, b)) in lanes.iter_mut().zip(rest.iter().zip(b_rest)) {
            *lane += a * b;
        }
        lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>()
    };
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(partial).sum::<f64>() as f32
}

/// `out` = `x` / `by`.
///
/// # Panics
///
/// If lengths differ.
pub fn divide(x: &[f32], by: f32, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "out is as long as x");
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x / by;
        }
    });
}

/// The gradient with respect to `weight`, from that with respect to `weight` / sigma, where sigma = `u` · `weight` ·
/// `v`. The vectors, `[rows]` and `[columns]`, are treated as constants.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn spectral_gradient(weight: &[f32], gradient: &[f32], [u, v]: [&[f32]; 2], sigma: f32, out: &mut [f32]) {
    assert_eq!(weight.len(), volume(&[u.len(), v.len()]), "weight is [rows, columns]");
    assert!(gradient.len() == weight.len() && out.len() == weight.len(), "gradients are as the weight");
    if weight.is_empty() {
        return;
    }
    let columns = v.len();
    let parts: Vec<f32> =
        weight.par_chunks(columns).zip(gradient.par_chunks(columns)).map(|(w, g)| dot(w, g)).collect();
    let along = (parts.iter().map(|&part| f64::from(part)).sum::<f64>() / f64::from(sigma)) as f32;
    out.par_chunks_mut(columns).zip(gradient.par_chunks(columns)).zip(u).for_each(|((out, g), u)| {
        let step = along * u;
        for ((out, g), v) in out.iter_mut().zip(g).zip(v) {
            *out = (g - step * v) / sigma;
        }
    });
}
