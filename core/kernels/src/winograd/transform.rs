//! Winograd transforms of tiles and weights.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::MAX_TILES;
use crate::map::Ring;
use crate::simd::Simd;

/// The arguments of one call: sizes, and pointers to whole planes. Rows and columns are relative to the first of the
/// output.
pub(super) struct Call<'a> {
    pub(super) ins: usize,
    pub(super) outs: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    /// Rows of tiles in an image, tiles in a row, and tiles in all images.
    pub(super) th: usize,
    pub(super) tw: usize,
    pub(super) tiles: usize,
    /// `[images, ins]` planes
    pub(super) x: Plane<*const f32>,
    /// Rows of the input that exist: from the first up to before the second. Others are zero.
    pub(super) rows: [isize; 2],
    /// `[images, outs]` planes
    pub(super) y: Plane<*mut f32>,
    /// `[images, outs]` planes; may be null.
    pub(super) residual: Plane<*const f32>,
    /// `[outs]`
    pub(super) bias: *const f32,
    /// Set when the result is not wanted any more.
    pub(super) stop: &'a AtomicBool,
}

/// Planes in memory.
#[derive(Clone, Copy)]
pub(super) struct Plane<P> {
    pub(super) ptr: P,
    /// Distance between planes, and their width.
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) ring: Ring,
    /// The column where column 0 of the output is.
    pub(super) left: isize,
}

// SAFETY: tasks only read through it, except for `y`, where they write different parts.
unsafe impl Sync for Call<'_> {}

impl Call<'_> {
    /// Whether the result is not wanted any more.
    #[inline(always)]
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Image, row of tiles and column of tiles of tile t.
    #[inline(always)]
    fn place(&self, t: usize) -> [usize; 3] {
        [t / self.tw / self.th, t / self.tw % self.th, t % self.tw]
    }
}

/// A tile size. Arrays are sized for the larger; F2 uses the leading part.
pub(super) trait Tile: Copy + 'static {
    /// Outputs per side.
    const M: usize;
    /// Inputs per side.
    const A: usize = Self::M + 2;
    /// Positions.
    const P: usize = Self::A * Self::A;

    /// Bᵀ d
    unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6];
    /// Aᵀ m
    unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4];
    /// G g
    unsafe fn g<S: Simd>(g: [S::V; 3]) -> [S::V; 6];

    /// Number of values in a padded copy of the rows under any `tiles` consecutive tiles.
    fn pad_len(th: usize, tw: usize, tiles: usize) -> usize {
        (Self::M * (tiles / tw + 2) + 2 * (tiles / tw / th + 2)) * (Self::M * tw + 2)
    }
}

/// F(2×2, 3×3), interpolating at 0, 1, −1 and ∞.
#[derive(Clone, Copy)]
pub(super) struct F2;

impl Tile for F2 {
    const M: usize = 2;

    #[inline(always)]
    unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
        [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3]), d[4], d[5]]
    }
    #[inline(always)]
    unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
        [S::add(S::add(m[0], m[1]), m[2]), S::sub(S::sub(m[1], m[2]), m[3]), m[4], m[5]]
    }
    #[inline(always)]
    unsafe fn g<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
        let half = S::splat(0.5);
        let even = S::mul(half, S::add(g[0], g[2]));
        [g[0], S::fma(half, g[1], even), S::fnma(half, g[1], even), g[2], g[0], g[0]]
    }
}

/// F(4×4, 3×3), interpolating at 0, ±P, ±Q and ∞.
///
/// P = √½ and Q = √2 about halve the rounding error of the usual 1 and 2 (measured on layers of 64 to 1024 channels),
/// at the same cost.
#[derive(Clone, Copy)]
pub(super) struct F4;

const P: f32 = std::f32::consts::FRAC_1_SQRT_2;
const Q: f32 = std::f32::consts::SQRT_2;
/// P² and Q², exact.
const PP: f32 = 0.5;
const QQ: f32 = 2.0;
/// 1 / product of (P − other points), which is the same for −P; then the same for Q.
const NP: f32 = 1.0 / (2.0 * PP * (PP - QQ));
const NQ: f32 = 1.0 / (2.0 * QQ * (QQ - PP));

/// Powers of P and Q (with both signs, these are all points but 0 and ∞), and the factors by which G scales its rows.
/// For other algorithms that use the same points.
pub(crate) const POWERS: [[f32; 5]; 2] = [[1.0, P, PP, P * PP, PP * PP], [1.0, Q, QQ, Q * QQ, QQ * QQ]];
pub(crate) const SCALES: [f32; 6] = [1.0 / (PP * QQ), NP, NP, NQ, NQ, 1.0];

/// Bᵀ d B of 6×6 windows, which does not depend on the size of the kernel within the window; written with stride
/// `ps`.
#[inline(always)]
pub(crate) unsafe fn windows<S: Simd>(d: &mut [[S::V; 6]; 6], v: *mut f32, ps: usize) {
    input_tiles::<S, F4>(d, v, ps);
}

impl Tile for F4 {
    const M: usize = 4;

    #[inline(always)]
    unsafe fn bt<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
        // Rows are the coefficients of the product of (x − point) over all other points.
        let (p, q, pp, qq) = (S::splat(P), S::splat(Q), S::splat(PP), S::splat(QQ));
        let (sum, product) = (S::splat(PP + QQ), S::splat(PP * QQ));
        let p_even = S::fnma(qq, d[2], d[4]);
        let p_odd = S::mul(p, S::fnma(qq, d[1], d[3]));
        let q_even = S::fnma(pp, d[2], d[4]);
        let q_odd = S::mul(q, S::fnma(pp, d[1], d[3]));
        [
            S::fma(product, d[0], S::fnma(sum, d[2], d[4])),
            S::add(p_even, p_odd),
            S::sub(p_even, p_odd),
            S::add(q_even, q_odd),
            S::sub(q_even, q_odd),
            S::fma(product, d[1], S::fnma(sum, d[3], d[5])),
        ]
    }
    #[inline(always)]
    unsafe fn at<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
        // Row i is the i-th power of the points.
        let (s1, d1) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (s2, d2) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(S::add(m[0], s1), s2),
            S::fma(S::splat(P), d1, S::mul(S::splat(Q), d2)),
            S::fma(S::splat(PP), s1, S::mul(S::splat(QQ), s2)),
            S::fma(S::splat(P * PP), d1, S::fma(S::splat(Q * QQ), d2, m[5])),
        ]
    }
    #[inline(always)]
    unsafe fn g<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
        // Row of point a: (g0 + a g1 + a² g2) / product of (a − other points).
        let zero = S::splat(1.0 / (PP * QQ));
        let p_even = S::fma(S::splat(NP), g[0], S::mul(S::splat(NP * PP), g[2]));
        let q_even = S::fma(S::splat(NQ), g[0], S::mul(S::splat(NQ * QQ), g[2]));
        let (p_odd, q_odd) = (S::splat(NP * P), S::splat(NQ * Q));
        [
            S::mul(zero, g[0]),
            S::fma(p_odd, g[1], p_even),
            S::fnma(p_odd, g[1], p_even),
            S::fma(q_odd, g[1], q_even),
            S::fnma(q_odd, g[1], q_even),
            g[2],
        ]
    }
}

/// A stride of at least n that is an odd number of cache lines beyond a round one, so that the P streams of a
/// transform do not map to the same cache sets.
#[inline(always)]
pub(crate) fn skew(n: usize) -> usize {
    n.next_multiple_of(16) + 16
}

/// Whether vectors of tiles lie within a row of tiles, so that whole rows of pixels can be read and written.
#[inline(always)]
fn by_rows<S: Simd, T: Tile>(call: &Call<'_>) -> bool {
    T::M == 4 && call.tw.is_multiple_of(S::L)
}

/// Bᵀ d B of the vectors in `d`, written with stride `ps`.
#[inline(always)]
unsafe fn input_tiles<S: Simd, T: Tile>(d: &mut [[S::V; 6]; 6], v: *mut f32, ps: usize) {
    for j in 0..T::A {
        let column = T::bt::<S>([d[0][j], d[1][j], d[2][j], d[3][j], d[4][j], d[5][j]]);
        for i in 0..T::A {
            d[i][j] = column[i];
        }
    }
    for i in 0..T::A {
        let row = T::bt::<S>(d[i]);
        for j in 0..T::A {
            S::store(v.add((i * T::A + j) * ps), row[j]);
        }
    }
}

/// V of channels c0..c1 and tiles t0..t0+tn, at v + p·ps + c·tn + t; tiles beyond the last hold anything finite.
///
/// `pad` has [`Tile::pad_len`] values.
#[inline(always)]
pub(super) unsafe fn input_transform<S: Simd, T: Tile>(
    call: &Call<'_>,
    c0: usize,
    c1: usize,
    t0: usize,
    tn: usize,
    v: *mut f32,
    ps: usize,
    pad: *mut f32,
) {
    if by_rows::<S, T>(call) {
        input_rows::<S, T>(call, c0, c1, t0, tn, v, ps);
    } else {
        input_gathered::<S, T>(call, c0, c1, t0, tn, v, ps, pad);
    }
}

/// Masked loads of whole rows, split by index modulo 4. For F4.
#[inline(always)]
unsafe fn input_rows<S: Simd, T: Tile>(
    call: &Call<'_>,
    c0: usize,
    c1: usize,
    t0: usize,
    tn: usize,
    v: *mut f32,
    ps: usize,
) {
    let (w, l) = (call.x.width as isize, S::L as isize);
    for c in c0..c1 {
        for t in (0..tn).step_by(S::L) {
            let [b, ty, tx] = call.place(t0 + t);
            let (y0, x0) = (4 * ty as isize - 1, 4 * tx as isize - 1 + call.x.left);
            let plane = call.x.ptr.wrapping_add((b * call.ins + c) * call.x.stride);
            let mut d = [[S::splat(0.0); 6]; 6];
            for i in 0..6 {
                let y = y0 + i as isize;
                if y < call.rows[0] || y >= call.rows[1] || t0 + t >= call.tiles {
                    continue;
                }
                let row = plane.add(call.x.ring.at(y) * call.x.width);
                let q = S::split4([
                    S::load_range(row, x0, w),
                    S::load_range(row, x0 + l, w),
                    S::load_range(row, x0 + 2 * l, w),
                    S::load_range(row, x0 + 3 * l, w),
                ]);
                let q4 = S::shift1(q[0], S::load_range(row, x0 + 4 * l, w));
                let q5 = S::shift1(q[1], S::load_range(row, x0 + 4 * l + 1, w));
                d[i] = [q[0], q[1], q[2], q[3], q4, q5];
            }
            input_tiles::<S, T>(&mut d, v.add(c * tn + t), ps);
        }
    }
}

/// Makes a zero-padded copy of the rows, then gathers. For any width.
#[inline(always)]
unsafe fn input_gathered<S: Simd, T: Tile>(
    call: &Call<'_>,
    c0: usize,
    c1: usize,
    t0: usize,
    tn: usize,
    v: *mut f32,
    ps: usize,
    pad: *mut f32,
) {
    let last = (t0 + tn).min(call.tiles) - 1;
    let ([b0, ty0, _], [b1, ty1, _]) = (call.place(t0), call.place(last));
    let pw = T::M * call.tw + 2;
    // The copy has two more rows per image than its tiles; tile row ty of image b begins at this one.
    let begin = |b: usize, ty: usize| T::M * ((b - b0) * call.th + ty - ty0) + 2 * (b - b0);
    std::ptr::write_bytes(pad, 0, pw * (begin(b1, ty1) + T::A));
    let mut corners = [0u32; MAX_TILES];
    for (t, corner) in corners.iter_mut().enumerate().take(last + 1 - t0) {
        let [b, ty, tx] = call.place(t0 + t);
        *corner = (begin(b, ty) * pw + tx * T::M) as u32;
    }
    // Column j of the copy is column left + j − 1 of the input.
    let skip = (1 - call.x.left).clamp(0, pw as isize) as usize;
    let first = (call.x.left - 1).max(0) as usize;
    let n = call.x.width.saturating_sub(first).min(pw - skip);
    for c in c0..c1 {
        for b in b0..=b1 {
            let plane = call.x.ptr.add((b * call.ins + c) * call.x.stride + first);
            let from = if b == b0 { ty0 } else { 0 };
            let to = if b == b1 { ty1 + 1 } else { call.th };
            // Row y of the image is row y + 1 of the padded copy.
            let (top, bottom) = ((T::M * from) as isize - 1, (T::M * to) as isize + 1);
            for y in top.max(call.rows[0])..bottom.min(call.rows[1]) {
                let r = begin(b, from) + (y - top) as usize;
                let row = plane.add(call.x.ring.at(y) * call.x.width);
                std::ptr::copy_nonoverlapping(row, pad.add(r * pw + skip), n);
            }
        }
        for t in (0..tn).step_by(S::L) {
            let mut d = [[S::splat(0.0); 6]; 6];
            for i in 0..T::A {
                for j in 0..T::A {
                    d[i][j] = S::gather(pad.add(i * pw + j), corners.as_ptr().add(t));
                }
            }
            input_tiles::<S, T>(&mut d, v.add(c * tn + t), ps);
        }
    }
}

/// Writes Aᵀ M A + bias + residual of output channels o0..o1 and tiles t0..t0+tn to the image. M is at m + p·ps +
/// (o−o0)·tn + t; channels and tiles beyond the last are dropped.
#[inline(always)]
pub(super) unsafe fn output_transform<S: Simd, T: Tile>(
    call: &Call<'_>,
    m: *const f32,
    ps: usize,
    o0: usize,
    o1: usize,
    t0: usize,
    tn: usize,
) {
    for o in o0..o1.min(call.outs) {
        let bias = S::splat(*call.bias.add(o));
        for t in (0..tn).step_by(S::L) {
            if t0 + t >= call.tiles {
                break;
            }
            let src = m.add((o - o0) * tn + t);
            let mut r = [[bias; 6]; 4];
            for j in 0..T::A {
                let mut column = [bias; 6];
                for i in 0..T::A {
                    column[i] = S::load(src.add((i * T::A + j) * ps));
                }
                let column = T::at::<S>(column);
                for i in 0..T::M {
                    r[i][j] = column[i];
                }
            }
            let mut y = [[bias; 4]; 4];
            for i in 0..T::M {
                let row = T::at::<S>(r[i]);
                for j in 0..T::M {
                    y[i][j] = S::add(row[j], bias);
                }
            }
            if by_rows::<S, T>(call) {
                output_rows::<S>(call, o, t0 + t, &y);
            } else {
                output_scattered::<S, T>(call, o, t0 + t, &y);
            }
        }
    }
}

/// Writes L tiles of one row of tiles, for channel o from tile t on. For F4.
#[inline(always)]
unsafe fn output_rows<S: Simd>(call: &Call<'_>, o: usize, t: usize, y: &[[S::V; 4]; 4]) {
    let [b, ty, tx] = call.place(t);
    let (to, more) = (&call.y, &call.residual);
    for i in 0..4.min(call.h - 4 * ty) {
        let (plane, row) = (b * call.outs + o, (4 * ty + i) as isize);
        let out = to.ptr.add(plane * to.stride + to.ring.at(row) * to.width);
        let added = more.ptr.wrapping_add(plane * more.stride + more.ring.at(row) * more.width);
        let q = S::join4(y[i]);
        for j in 0..4 {
            let x = (4 * tx + j * S::L) as isize;
            let mut v = q[j];
            if !more.ptr.is_null() {
                v = S::add(v, S::load_range(added, x + more.left, more.width as isize));
            }
            S::store_range(out, x, call.w as isize, v);
        }
    }
}

/// Writes L tiles one by one, for channel o from tile t on. For any width.
#[inline(always)]
unsafe fn output_scattered<S: Simd, T: Tile>(call: &Call<'_>, o: usize, t: usize, y: &[[S::V; 4]; 4]) {
    let mut s = [[[0.0; 16]; 4]; 4];
    for i in 0..T::M {
        for j in 0..T::M {
            S::store(s[i][j].as_mut_ptr(), y[i][j]);
        }
    }
    for l in 0..S::L.min(call.tiles - t) {
        let [b, ty, tx] = call.place(t + l);
        let (y0, x0) = (ty * T::M, tx * T::M);
        let (to, more) = (&call.y, &call.residual);
        for i in 0..T::M.min(call.h - y0) {
            let (plane, row) = (b * call.outs + o, (y0 + i) as isize);
            let out = to.ptr.add(plane * to.stride + to.ring.at(row) * to.width + x0);
            let added = plane * more.stride + more.ring.at(row) * more.width + (x0 as isize + more.left) as usize;
            for j in 0..T::M.min(call.w - x0) {
                let more = if more.ptr.is_null() { 0.0 } else { *more.ptr.add(added + j) };
                *out.add(j) = s[i][j][l] + more;
            }
        }
    }
}

/// U = G g Gᵀ for input channels k0..k1 of one block of weights `[in][9][16]`, at u + p·ps + (k−k0)·16.
#[inline(always)]
pub(super) unsafe fn weight_transform<S: Simd, T: Tile>(w: *const f32, k0: usize, k1: usize, u: *mut f32, ps: usize) {
    for k in k0..k1 {
        for l in (0..16).step_by(S::L) {
            let src = w.add(k * 144 + l);
            let mut t = [[S::splat(0.0); 3]; 6];
            for j in 0..3 {
                let column = [S::load(src.add(j * 16)), S::load(src.add((3 + j) * 16)), S::load(src.add((6 + j) * 16))];
                let column = T::g::<S>(column);
                for i in 0..T::A {
                    t[i][j] = column[i];
                }
            }
            for i in 0..T::A {
                let row = T::g::<S>(t[i]);
                for j in 0..T::A {
                    S::store(u.add((i * T::A + j) * ps + (k - k0) * 16 + l), row[j]);
                }
            }
        }
    }
}
