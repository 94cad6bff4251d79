//! AVX-512 and AVX2 with FMA.

use super::{Simd, micro};
use std::arch::x86_64::{
    __m256, __m512, _mm256_add_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, _mm256_i32gather_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_max_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps,
    _mm512_add_epi32, _mm512_add_ps, _mm512_alignr_epi32, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_fmadd_ps,
    _mm512_fnmadd_ps, _mm512_i32gather_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_mul_ps, _mm512_permutex2var_ps, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setr_epi32, _mm512_shuffle_f32x4, _mm512_shuffle_ps, _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_ps,
    _mm512_unpacklo_ps,
};

/// The operations that are a single instruction.
macro_rules! instructions {
    ($($name:ident($($a:ident: $t:ty),*) $(-> $r:ty)? = $f:ident;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($a: $t),*) $(-> $r)? {
            $f($($a),*)
        })*
    };
}

/// 8 lanes, AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Simd for Avx2 {
    const L: usize = 8;
    type V = __m256;

    instructions! {
        splat(x: f32) -> __m256 = _mm256_set1_ps;
        load(p: *const f32) -> __m256 = _mm256_loadu_ps;
        store(p: *mut f32, v: __m256) = _mm256_storeu_ps;
        add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps;
        sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps;
        mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps;
        max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps;
        fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps;
        fnma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fnmadd_ps;
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, idx: *const u32) -> __m256 {
        _mm256_i32gather_ps::<4>(base, _mm256_loadu_si256(idx.cast()))
    }
}

/// 16 lanes, AVX-512 F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

/// Bit i is set if 0 ≤ x+i < w.
#[inline(always)]
fn mask(x: isize, w: isize) -> u16 {
    let lo = (-x).clamp(0, 16) as u32;
    let hi = (w - x).clamp(0, 16) as u32;
    ((((1u32 << hi) - 1) >> lo) << lo) as u16
}

impl Simd for Avx512 {
    const L: usize = 16;
    type V = __m512;

    instructions! {
        splat(x: f32) -> __m512 = _mm512_set1_ps;
        load(p: *const f32) -> __m512 = _mm512_loadu_ps;
        store(p: *mut f32, v: __m512) = _mm512_storeu_ps;
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps;
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps;
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps;
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps;
        fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps;
        fnma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fnmadd_ps;
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, idx: *const u32) -> __m512 {
        _mm512_i32gather_ps::<4>(_mm512_loadu_si512(idx.cast()), base)
    }
    #[inline(always)]
    unsafe fn load_range(row: *const f32, x: isize, w: isize) -> __m512 {
        _mm512_maskz_loadu_ps(mask(x, w), row.wrapping_offset(x))
    }
    #[inline(always)]
    unsafe fn store_range(row: *mut f32, x: isize, w: isize, v: __m512) {
        _mm512_mask_storeu_ps(row.wrapping_offset(x), mask(x, w), v);
    }
    #[inline(always)]
    unsafe fn split4(v: [__m512; 4]) -> [__m512; 4] {
        // Indices 0 and 1 modulo 4, then 2 and 3, of each pair of vectors; then join the halves.
        let i01 = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
        let i23 = _mm512_add_epi32(i01, _mm512_set1_epi32(2));
        let a = _mm512_permutex2var_ps(v[0], i01, v[1]);
        let b = _mm512_permutex2var_ps(v[2], i01, v[3]);
        let c = _mm512_permutex2var_ps(v[0], i23, v[1]);
        let d = _mm512_permutex2var_ps(v[2], i23, v[3]);
        [
            _mm512_shuffle_f32x4::<0x44>(a, b),
            _mm512_shuffle_f32x4::<0xEE>(a, b),
            _mm512_shuffle_f32x4::<0x44>(c, d),
            _mm512_shuffle_f32x4::<0xEE>(c, d),
        ]
    }
    #[inline(always)]
    unsafe fn join4(v: [__m512; 4]) -> [__m512; 4] {
        let i0 = _mm512_setr_epi32(0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27);
        let i1 = _mm512_add_epi32(i0, _mm512_set1_epi32(4));
        let a = _mm512_shuffle_f32x4::<0x44>(v[0], v[1]);
        let b = _mm512_shuffle_f32x4::<0xEE>(v[0], v[1]);
        let c = _mm512_shuffle_f32x4::<0x44>(v[2], v[3]);
        let d = _mm512_shuffle_f32x4::<0xEE>(v[2], v[3]);
        [
            _mm512_permutex2var_ps(a, i0, c),
            _mm512_permutex2var_ps(a, i1, c),
            _mm512_permutex2var_ps(b, i0, d),
            _mm512_permutex2var_ps(b, i1, d),
        ]
    }
    #[inline(always)]
    unsafe fn transpose(v: &mut [__m512; 16]) {
        // Within each group of four lanes: interleave pairs of rows, then pairs of pairs.
        let mut t = *v;
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]);
        }
        for i in 0..4 {
            for j in 0..2 {
                let (a, b) = (t[4 * i + j], t[4 * i + j + 2]);
                v[4 * i + 2 * j] = _mm512_shuffle_ps::<0x44>(a, b);
                v[4 * i + 2 * j + 1] = _mm512_shuffle_ps::<0xEE>(a, b);
            }
        }
        // v[4·i + r] holds, in quarter q, row 4·q + r of columns 4·i..: transpose the quarters.
        for r in 0..4 {
            let (a, b, c, d) = (v[r], v[4 + r], v[8 + r], v[12 + r]);
            let (ab, ab2) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xDD>(a, b));
            let (cd, cd2) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xDD>(c, d));
            t[r] = _mm512_shuffle_f32x4::<0x88>(ab, cd);
            t[4 + r] = _mm512_shuffle_f32x4::<0x88>(ab2, cd2);
            t[8 + r] = _mm512_shuffle_f32x4::<0xDD>(ab, cd);
            t[12 + r] = _mm512_shuffle_f32x4::<0xDD>(ab2, cd2);
        }
        *v = t;
    }
    #[inline(always)]
    unsafe fn shift1(a: __m512, next: __m512) -> __m512 {
        _mm512_castsi512_ps(_mm512_alignr_epi32::<1>(_mm512_castps_si512(next), _mm512_castps_si512(a)))
    }
    #[inline(always)]
    unsafe fn product(
        k: usize,
        a: *const f32,
        at: [usize; 2],
        b: *const f32,
        ldb: usize,
        c: *mut f32,
        ldc: usize,
        n: usize,
        acc: bool,
    ) {
        let mut j = 0;
        while j < n {
            // 4 = 2 + 2 uses the multipliers better than 3 + 1.
            let nr = if n - j == 4 { 2 } else { (n - j).min(3) };
            let (b, c) = (b.add(j * 16), c.add(j * 16));
            match nr {
                3 => {
                    micro::<Self, 8, 3>(k, a, at, b, ldb, c, ldc, acc);
                    micro::<Self, 8, 3>(k, a.add(8 * at[0]), at, b, ldb, c.add(8 * ldc), ldc, acc);
                }
                2 => {
                    micro::<Self, 8, 2>(k, a, at, b, ldb, c, ldc, acc);
                    micro::<Self, 8, 2>(k, a.add(8 * at[0]), at, b, ldb, c.add(8 * ldc), ldc, acc);
                }
                _ => micro::<Self, 16, 1>(k, a, at, b, ldb, c, ldc, acc),
            }
            j += nr;
        }
    }
}
