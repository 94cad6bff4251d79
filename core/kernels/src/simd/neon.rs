//! NEON, which every 64-bit ARM processor has.

use super::Simd;
use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vbslq_f32, vcgtq_f32, vdupq_n_f32, vfmaq_f32, vfmsq_f32, vld1q_f32, vmulq_f32,
    vreinterpretq_f32_f64, vreinterpretq_f64_f32, vst1q_f32, vsubq_f32, vtrn1q_f32, vtrn1q_f64, vtrn2q_f32, vtrn2q_f64,
};

/// 8 lanes as a pair of vectors of 4: two independent sums hide the latency of each other.
#[derive(Clone, Copy)]
pub(crate) struct Neon;

/// Applies an operation to each half.
macro_rules! halves {
    ($($name:ident($($a:ident),*) = $f:ident($($b:ident),*);)*) => {
        $(#[inline(always)]
        unsafe fn $name($($a: Self::V),*) -> Self::V {
            let half = |i: usize| $f($($b[i]),*);
            [half(0), half(1)]
        })*
    };
}

impl Simd for Neon {
    const L: usize = 8;
    type V = [float32x4_t; 2];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [vdupq_n_f32(x); 2]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        [vld1q_f32(p), vld1q_f32(p.add(4))]
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        vst1q_f32(p, v[0]);
        vst1q_f32(p.add(4), v[1]);
    }
    halves! {
        add(a, b) = vaddq_f32(a, b);
        sub(a, b) = vsubq_f32(a, b);
        mul(a, b) = vmulq_f32(a, b);
        fma(a, b, c) = vfmaq_f32(c, a, b);
        fnma(a, b, c) = vfmsq_f32(c, a, b);
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        // Not `vmaxq_f32`: it returns NaN if either is NaN.
        let half = |i: usize| vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i]);
        [half(0), half(1)]
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, idx: *const u32) -> Self::V {
        let values: [f32; 8] = std::array::from_fn(|i| *base.add(*idx.add(i) as usize));
        Self::load(values.as_ptr())
    }
    #[inline(always)]
    unsafe fn transpose(v: &mut [Self::V; 16]) {
        // Transpose 4×4 blocks; those off the diagonal swap places.
        let square = |i: usize, half: usize| transposed4([v[i][half], v[i + 1][half], v[i + 2][half], v[i + 3][half]]);
        let (a, b, c, d) = (square(0, 0), square(0, 1), square(4, 0), square(4, 1));
        for i in 0..4 {
            v[i] = [a[i], c[i]];
            v[i + 4] = [b[i], d[i]];
        }
    }
}

#[inline(always)]
unsafe fn transposed4(v: [float32x4_t; 4]) -> [float32x4_t; 4] {
    let wide = |v: float32x4_t| vreinterpretq_f64_f32(v);
    let (a, b) = (wide(vtrn1q_f32(v[0], v[1])), wide(vtrn2q_f32(v[0], v[1])));
    let (c, d) = (wide(vtrn1q_f32(v[2], v[3])), wide(vtrn2q_f32(v[2], v[3])));
    [vtrn1q_f64(a, c), vtrn1q_f64(b, d), vtrn2q_f64(a, c), vtrn2q_f64(b, d)].map(|v| vreinterpretq_f32_f64(v))
}
