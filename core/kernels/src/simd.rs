//! A thin layer over vectors of `f32`: one trait, with one implementation for each instruction set.
//!
//! Kernels are written once, as `#[inline(always)]` functions that are generic over [`Simd`].
//! [`dispatch!`](crate::isa::dispatch) instantiates them inside functions that enable the instruction set.

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Vectors of `L` `f32` values.
///
/// # Safety
///
/// For all functions: the CPU supports the instruction set, and pointers are valid for what the function reads or
/// writes according to its documentation. Nothing needs to be aligned.
pub(crate) trait Simd: Copy + 'static {
    /// Lanes in a vector: 8 or 16.
    const L: usize;
    /// A vector.
    type V: Copy;

    /// The same value in all lanes.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads `L` values.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Writes `L` values.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// a + b
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// a − b
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// a · b
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of a and b in each lane; b if either is NaN.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// c − a · b
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Lane i is `base[idx[i]]`; indices are below 2³¹. Reads `L` indices.
    unsafe fn gather(base: *const f32, idx: *const u32) -> Self::V;
    /// C[16, n·L] = A[16, k] B[k, n·L], plus the old C if `acc`. Element (i, j) of A is at i·`at[0]` + j·`at[1]`; `ldb` and
    /// `ldc` are the row lengths of B and C.
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
        // 4 × 2: with 4 × 3, which needs all 16 registers of AVX2, layers ran at half the speed (measured on Zen 4).
        let mut j = 0;
        while j < n {
            let nr = (n - j).min(2);
            for i in (0..16).step_by(4) {
                let (a, b, c) = (a.add(i * at[0]), b.add(j * Self::L), c.add(i * ldc + j * Self::L));
                match nr {
                    2 => micro::<Self, 4, 2>(k, a, at, b, ldb, c, ldc, acc),
                    _ => micro::<Self, 4, 1>(k, a, at, b, ldb, c, ldc, acc),
                }
            }
            j += nr;
        }
    }

    /// C[16, n·L] = A[k, 16]ᵀ B[k, n·L], plus the old C if `acc`. `ldb` and `ldc` are the row lengths of B and C.
    #[inline(always)]
    unsafe fn strip(k: usize, a: *const f32, b: *const f32, ldb: usize, c: *mut f32, ldc: usize, n: usize, acc: bool) {
        Self::product(k, a, [1, 16], b, ldb, c, ldc, n, acc);
    }

    /// Lanes i with 0 ≤ x+i < w are `row[x+i]`, the others zero; reads nothing else.
    #[inline(always)]
    unsafe fn load_range(row: *const f32, x: isize, w: isize) -> Self::V {
        if x >= 0 && x + Self::L as isize <= w {
            return Self::load(row.offset(x));
        }
        let mut t = [0.0; 16];
        for i in 0..Self::L as isize {
            if x + i >= 0 && x + i < w {
                t[i as usize] = *row.offset(x + i);
            }
        }
        Self::load(t.as_ptr())
    }

    /// Writes the lanes i with x+i < w to `row[x+i]`; x ≥ 0.
    #[inline(always)]
    unsafe fn store_range(row: *mut f32, x: isize, w: isize, v: Self::V) {
        if x + Self::L as isize <= w {
            return Self::store(row.offset(x), v);
        }
        let mut t = [0.0; 16];
        Self::store(t.as_mut_ptr(), v);
        for i in 0..Self::L as isize {
            if x + i < w {
                *row.offset(x + i) = t[i as usize];
            }
        }
    }

    /// Splits 4·L consecutive values by their index modulo 4.
    #[inline(always)]
    unsafe fn split4(v: [Self::V; 4]) -> [Self::V; 4] {
        let (a, mut b) = (spill::<Self>(v), [0.0; 64]);
        for j in 0..4 {
            for i in 0..Self::L {
                b[j * Self::L + i] = a[4 * i + j];
            }
        }
        unspill::<Self>(&b)
    }

    /// The inverse of [`Simd::split4`].
    #[inline(always)]
    unsafe fn join4(v: [Self::V; 4]) -> [Self::V; 4] {
        let (a, mut b) = (spill::<Self>(v), [0.0; 64]);
        for j in 0..4 {
            for i in 0..Self::L {
                b[4 * i + j] = a[j * Self::L + i];
            }
        }
        unspill::<Self>(&b)
    }

    /// Transposes a matrix of L vectors: lane j of vector i becomes lane i of vector j.
    #[inline(always)]
    unsafe fn transpose(v: &mut [Self::V; 16]) {
        let mut a = [0.0; 256];
        for i in 0..Self::L {
            Self::store(a.as_mut_ptr().add(i * Self::L), v[i]);
        }
        for i in 0..Self::L {
            for j in 0..i {
                a.swap(i * Self::L + j, j * Self::L + i);
            }
        }
        for i in 0..Self::L {
            v[i] = Self::load(a.as_ptr().add(i * Self::L));
        }
    }

    /// Lanes 1, 2, … of `a`, then lane 0 of `next`.
    #[inline(always)]
    unsafe fn shift1(a: Self::V, next: Self::V) -> Self::V {
        let mut t = [0.0; 32];
        Self::store(t.as_mut_ptr(), a);
        Self::store(t.as_mut_ptr().add(Self::L), next);
        Self::load(t.as_ptr().add(1))
    }
}

#[inline(always)]
unsafe fn spill<S: Simd>(v: [S::V; 4]) -> [f32; 64] {
    let mut a = [0.0; 64];
    for j in 0..4 {
        S::store(a.as_mut_ptr().add(j * S::L), v[j]);
    }
    a
}

#[inline(always)]
unsafe fn unspill<S: Simd>(a: &[f32; 64]) -> [S::V; 4] {
    let p = a.as_ptr();
    [S::load(p), S::load(p.add(S::L)), S::load(p.add(2 * S::L)), S::load(p.add(3 * S::L))]
}

/// The inner kernel of [`Simd::product`]: `MR` of its 16 rows and `NR` of its vectors, all in registers.
///
/// Each output is one chain of multiply-adds in the order of k, so blocking does not change a bit of the result.
#[inline(always)]
unsafe fn micro<S: Simd, const MR: usize, const NR: usize>(
    k: usize,
    mut a: *const f32,
    at: [usize; 2],
    mut b: *const f32,
    ldb: usize,
    c: *mut f32,
    ldc: usize,
    acc: bool,
) {
    let mut r = [[S::splat(0.0); NR]; MR];
    if acc {
        for i in 0..MR {
            for j in 0..NR {
                r[i][j] = S::load(c.add(i * ldc + j * S::L));
            }
        }
    }
    for _ in 0..k {
        let mut v = [S::splat(0.0); NR];
        for j in 0..NR {
            v[j] = S::load(b.add(j * S::L));
        }
        for i in 0..MR {
            let s = S::splat(*a.add(i * at[0]));
            for j in 0..NR {
                r[i][j] = S::fma(s, v[j], r[i][j]);
            }
        }
        a = a.wrapping_add(at[1]);
        b = b.wrapping_add(ldb);
    }
    for i in 0..MR {
        for j in 0..NR {
            S::store(c.add(i * ldc + j * S::L), r[i][j]);
        }
    }
}

/// Arrays of 8 values in plain Rust; the compiler vectorises them for the target's baseline. A multiply-add rounds
/// twice.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    const L: usize = 8;
    type V = [f32; 8];

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        p.cast::<[f32; 8]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        p.cast::<[f32; 8]>().write_unaligned(v);
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn fnma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| c[i] - a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn gather(base: *const f32, idx: *const u32) -> Self::V {
        std::array::from_fn(|i| *base.add(*idx.add(i) as usize))
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
        for j in 0..n {
            for i in (0..16).step_by(4) {
                micro::<Self, 4, 1>(k, a.add(i * at[0]), at, b.add(j * 8), ldb, c.add(i * ldc + j * 8), ldc, acc);
            }
        }
    }
}
