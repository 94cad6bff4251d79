//! Convolution with stride 1 to few channels: computes all products of pixels and weights as one matrix product, then
//! sums its shifted rows.
//!
//! The taps of one channel fill panels of 16, whereas [`super::gather`] would leave 15 of 16 rows empty.

use super::gather::{self, Gather};
use crate::isa::Isa;
use crate::layout::panels;
use crate::scratch::{Loan, volume};
use rayon::prelude::*;

/// y(b, m, i, j) = bias(m) + Σ over channels c and taps of weight(m, tap, c) · x(b, c, i + `tap[0]`, j + `tap[1]`),
/// where `weight` maps m, tap and c to an index; x is zero outside.
pub(super) fn run(
    isa: Isa,
    images: usize,
    [outs, ins]: [usize; 2],
    taps: &[[isize; 2]],
    weight: impl Fn(usize, usize, usize) -> f32,
    bias: Option<&[f32]>,
    (x, [h, w]): (&[f32], [usize; 2]),
    (y, [oh, ow]): (&mut [f32], [usize; 2]),
) {
    let rows = outs * taps.len();
    let matrix: Vec<f32> =
        (0..rows * ins).map(|i| weight(i / ins / taps.len(), i / ins % taps.len(), i % ins)).collect();
    let mut packed = Loan::new(rows.next_multiple_of(16) * ins);
    panels(isa, &matrix, ins, &mut packed);
    let mut products = Loan::new(volume(&[images, rows, h, w]));
    gather::run(isa, &[Gather::pointwise(ins, rows, h * w)], images, x, &packed, None, &mut products);
    y.par_chunks_mut(ow).enumerate().with_min_len(4).for_each(|(r, y)| {
        let (m, i) = (r / oh, r % oh);
        y.fill(bias.map_or(0.0, |b| b[m % outs]));
        for (t, &[dy, dx]) in taps.iter().enumerate() {
            let source = i as isize + dy;
            if source < 0 || source >= h as isize {
                continue;
            }
            let row = &products[((m * taps.len() + t) * h + source as usize) * w..][..w];
            let (from, skip) = ((-dx).max(0) as usize, dx.max(0) as usize);
            y.iter_mut().skip(from).zip(row.iter().skip(skip)).for_each(|(y, &v)| *y += v);
        }
    });
}
