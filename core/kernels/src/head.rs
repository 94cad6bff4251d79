//! 3×3 convolution to at most four channels: the output layer of a generator.

use crate::isa::{Isa, dispatch};
use crate::map::{Map, Ring};
use crate::scratch::{Shared, local, volume};
use crate::simd::Simd;
use crate::slope;
use rayon::prelude::*;

/// Rows and columns in a task.
const ROWS: usize = 8;
const COLUMNS: usize = 256;
/// At most four vectors of pixels are processed at a time.
const STEP: usize = 64;

/// A 3×3 convolution with stride 1 and padding 1 to one to four channels, optionally with leaky ReLU before and tanh
/// after it.
///
/// This is a direct convolution: SIMD lanes are pixels of a row, and the output channels stay in registers.
#[derive(Debug)]
pub struct ConvHead {
    ins: usize,
    outs: usize,
    isa: Isa,
    /// `[in][9][out]`
    weights: Vec<f32>,
    bias: [f32; 4],
    leaky: bool,
    tanh: bool,
}

impl ConvHead {
    /// Packs `weight` `[out, in, 3, 3]` and `bias` `[out]` (zero if absent); `channels` is `[out, in]`.
    ///
    /// # Panics
    ///
    /// If there are no input channels, not one to four output channels, or a slice has the wrong length.
    pub fn new(isa: Isa, weight: &[f32], bias: Option<&[f32]>, [outs, ins]: [usize; 2]) -> Self {
        assert!((1..=4).contains(&outs) && ins > 0, "a head has input channels, and 1 to 4 output channels");
        assert_eq!(weight.len(), volume(&[outs, ins, 9]), "weight is [out, in, 3, 3]");
        let mut weights = vec![0.0; weight.len()];
        for (i, &g) in weight.iter().enumerate() {
            weights[i % (ins * 9) * outs + i / (ins * 9)] = g;
        }
        let mut padded = [0.0; 4];
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outs, "bias is [out]");
            padded[..outs].copy_from_slice(bias);
        }
        Self { ins, outs, isa, weights, bias: padded, leaky: false, tanh: false }
    }

    /// Applies leaky ReLU (slope [`LEAKY_SLOPE`](crate::LEAKY_SLOPE)) to the input.
    #[must_use]
    pub fn with_leaky(mut self) -> Self {
        self.leaky = true;
        self
    }

    /// Applies tanh to the output, accurate to 3e-7.
    #[must_use]
    pub fn with_tanh(mut self) -> Self {
        self.tanh = true;
        self
    }

    /// Size of the weights in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.weights) + size_of_val(&self.bias)
    }

    /// `output` `[out, h, w]` from `input` `[in, h, w]`.
    ///
    /// # Panics
    ///
    /// If height or width is zero, or a slice has the wrong length.
    pub fn run(&self, input: &[f32], [h, w]: [usize; 2], output: &mut [f32]) {
        assert!(h > 0 && w > 0, "an image has pixels");
        assert_eq!(input.len(), volume(&[self.ins, h, w]), "input is [in, h, w]");
        assert_eq!(output.len(), volume(&[self.outs, h, w]), "output is [out, h, w]");
        self.run_rows(Map::whole(input, [h, w]), [0, 0], [h, w], output);
    }

    /// Convolves some rows: `output` `[out, h, w]`, whose row and column 0 are at `at` in `input`. What `input` lacks
    /// around them counts as zero.
    ///
    /// # Panics
    ///
    /// If height or width is zero, or a map has another size.
    pub fn run_rows(&self, input: Map<'_>, at: [usize; 2], [h, w]: [usize; 2], output: &mut [f32]) {
        assert!(h > 0 && w > 0, "an image has pixels");
        assert_eq!(input.channels(), self.ins, "input has the layer's channels");
        assert_eq!(output.len(), volume(&[self.outs, h, w]), "output is [out, h, w]");
        let from = input.place;
        let near = [from.first.max(at[0].saturating_sub(1)), from.end.min(at[0] + h + 1)];
        let call = Call {
            head: self,
            h,
            w,
            x: input.values.as_ptr(),
            stride: from.plane(),
            width: from.width,
            ring: Ring::new(from.capacity, at[0]),
            rows: near.map(|row| row as isize - at[0] as isize),
            left: at[1] as isize,
            y: Shared::new(output),
        };
        let columns = w.div_ceil(COLUMNS);
        (0..h.div_ceil(ROWS) * columns).into_par_iter().with_max_len(1).for_each(|i| {
            let (r0, x0) = (i / columns * ROWS, i % columns * COLUMNS);
            local([self.ins * (ROWS + 2) * (COLUMNS + 2 * STEP)], |[pad]| {
                // SAFETY: `call` points to whole images of the sizes stated; `pad` holds all channels of the task's
                // padded rows; tasks write different pixels.
                unsafe { head(self.isa, &call, r0, x0, pad.as_mut_ptr()) }
            });
        });
    }
}

/// The arguments of one call.
struct Call<'a> {
    head: &'a ConvHead,
    h: usize,
    w: usize,
    x: *const f32,
    /// Distance between channels, and width of the input.
    stride: usize,
    width: usize,
    ring: Ring,
    /// Rows of the input that exist, relative to the output: from the first up to before the second.
    rows: [isize; 2],
    /// The column of the input where column 0 of the output is.
    left: isize,
    y: Shared,
}

// SAFETY: tasks only read through `x`, and write different pixels through `y`.
unsafe impl Sync for Call<'_> {}

#[inline(always)]
unsafe fn head_task<S: Simd>(call: &Call, r0: usize, x0: usize, pad: *mut f32) {
    // As many vectors as possible with all accumulators in registers.
    match (call.head.outs, S::L) {
        (1, 16) => block::<S, 1, 4>(call, r0, x0, pad),
        (2, 16) => block::<S, 2, 4>(call, r0, x0, pad),
        (3, 16) => block::<S, 3, 4>(call, r0, x0, pad),
        (_, 16) => block::<S, 4, 4>(call, r0, x0, pad),
        (1, _) => block::<S, 1, 3>(call, r0, x0, pad),
        (2, _) => block::<S, 2, 3>(call, r0, x0, pad),
        (3, _) => block::<S, 3, 3>(call, r0, x0, pad),
        _ => block::<S, 4, 3>(call, r0, x0, pad),
    }
}
dispatch!(unsafe fn head(call: &Call, r0: usize, x0: usize, pad: *mut f32) => head_task);

/// One block of rows and columns, `N` output channels, `NV` vectors of pixels at a time.
#[inline(always)]
unsafe fn block<S: Simd, const N: usize, const NV: usize>(call: &Call, r0: usize, x0: usize, pad: *mut f32) {
    let (h, w, ins) = (call.h, call.w, call.head.ins);
    let (rows, columns) = (ROWS.min(h - r0), COLUMNS.min(w - x0));
    let step = NV * S::L;
    let ld = (columns.next_multiple_of(step) + 2).next_multiple_of(S::L);
    // Copy the rows and columns of the block and around it, with activation, and zero outside of the image.
    let slope = S::splat(slope(call.head.leaky));
    for c in 0..ins {
        for r in 0..rows + 2 {
            let dst = pad.add((c * (rows + 2) + r) * ld);
            let y = (r0 + r) as isize - 1;
            if y < call.rows[0] || y >= call.rows[1] {
                std::ptr::write_bytes(dst, 0, ld);
                continue;
            }
            let row = call.x.add(c * call.stride + call.ring.at(y) * call.width);
            for j in (0..ld).step_by(S::L) {
                let v = S::load_range(row, (x0 + j) as isize - 1 + call.left, call.width as isize);
                S::store(dst.add(j), S::max(v, S::mul(slope, v)));
            }
        }
    }
    for r in 0..rows {
        for x in (0..columns).step_by(step) {
            let mut sum = [[S::splat(0.0); NV]; N];
            for i in 0..N {
                sum[i] = [S::splat(call.head.bias[i]); NV];
            }
            let mut g = call.head.weights.as_ptr();
            for c in 0..ins {
                for ky in 0..3 {
                    for kx in 0..3 {
                        let src = pad.add((c * (rows + 2) + r + ky) * ld + x + kx);
                        let mut v = [S::splat(0.0); NV];
                        for j in 0..NV {
                            v[j] = S::load(src.add(j * S::L));
                        }
                        for i in 0..N {
                            let g = S::splat(*g.add(i));
                            for j in 0..NV {
                                sum[i][j] = S::fma(g, v[j], sum[i][j]);
                            }
                        }
                        g = g.add(N);
                    }
                }
            }
            for i in 0..N {
                let row = call.y.ptr().add((i * h + r0 + r) * w + x0);
                for j in 0..NV {
                    S::store_range(row, (x + j * S::L) as isize, columns as isize, sum[i][j]);
                }
            }
        }
        if call.head.tanh {
            for i in 0..N {
                let row = call.y.ptr().add((i * h + r0 + r) * w + x0);
                for v in std::slice::from_raw_parts_mut(row, columns) {
                    *v = tanh(*v);
                }
            }
        }
    }
}

/// tanh, accurate to 3e-7, without branches, so that the compiler vectorises loops over it. NaN stays NaN.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    // Adding this leaves the nearest integer in the low bits.
    const ROUND: f32 = (3 << 22) as f32;
    // ln(2)ᵏ / k!, the coefficients of the series of 2^f.
    const SERIES: [f32; 7] = [
        std::f32::consts::LN_2,
        0.240_226_5,
        0.055_504_11,
        0.009_618_13,
        0.001_333_355_8,
        1.540_353e-4,
        1.525_273_4e-5,
    ];
    // tanh |x| = (1 − e) / (1 + e) with e = exp(−2|x|) = 2^(n+f), |f| ≤ ½
    let t = -2.0 * std::f32::consts::LOG2_E * x.abs();
    let t = if t < -60.0 { -60.0 } else { t };
    let n = t + ROUND;
    let f = t - (n - ROUND);
    let power = f32::from_bits(n.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    let mut sum = SERIES[6];
    for k in (0..6).rev() {
        sum = sum * f + SERIES[k];
    }
    let e = (sum * f + 1.0) * power;
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_everywhere() {
        let worst = (-200_000..=200_000)
            .map(|i| {
                let x = i as f32 * 1e-4;
                (f64::from(tanh(x)) - f64::from(x).tanh()).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 3e-7, "{worst}");
        for (x, want) in [(f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0), (1e30, 1.0), (0.0, 0.0), (1e-30, 0.0)] {
            assert!((tanh(x) - want).abs() < 3e-7, "{x}");
        }
        assert!(tanh(f32::NAN).is_nan());
    }
}
