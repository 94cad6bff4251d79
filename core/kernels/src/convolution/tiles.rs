//! Convolution and gradients by Winograd's minimal filtering, with SIMD lanes that are *channels*.
//!
//! With stride s, each image is split into s² images, one for each residue (*phase*) of rows and columns modulo s,
//! and each kernel into as many kernels with r = k/s taps per side; the sum over all phases is a convolution with
//! stride 1. All have 6×6 windows, for m×m = (7−r)² outputs, and the same Bᵀ as F(4×4, 3×3). With windows d, kernels
//! g and outputs y of one tile:
//!
//! * y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A, summed over input channels and phases;
//! * the gradient of d is again a convolution, of the output gradient with flipped kernels; its output channels have
//!   phases;
//! * the gradient of g is Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ d B)] G, summed over tiles.
//!
//! A y are the values of the polynomial with coefficients y at the six points of Bᵀ; G g are those of g, scaled.
//!
//! All transformed values are `[block of channels][36][rows][channel]`; rows are tiles, or input channels of weights.
//! Because lanes are channels, transforms are the same for all sizes and strides and need only loads and stores;
//! images are transposed once, to and from channels last, a row of tiles at a time.

use crate::isa::{Isa, dispatch};
use crate::layout::{add_up, adjoint_panels, channels_last, panels, transposed};
use crate::scratch::{Loan, Shared, local, volume};
use crate::simd::Simd;
use crate::winograd::{POWERS, SCALES, padded_bias, skew, windows};
use rayon::prelude::*;

/// Positions in a window.
const P: usize = 36;
/// Most channels in a block.
const BLOCK: usize = 64;
/// Output channels in a task of the weight gradient; a part of a block.
const OUTS: usize = 32;
/// Tiles in a round, chosen so that transformed values stay in cache. For convolutions: the fewest tiles, or as many
/// as have `ROUND_VALUES` transformed values if that is more. For weight gradients: the fewest tiles, and the tiles
/// of a task.
const ROUND: usize = 160;
const ROUND_VALUES: usize = 1 << 20;
const ROUND_BACK: usize = 80;
const SHARE: usize = 40;
/// Fewest tasks of a weight gradient.
const TASKS: usize = 8;

/// Taps per side of a phase, and outputs per side of a tile.
trait Fit: 'static {
    const R: usize;
    const M: usize = 7 - Self::R;
}
struct R2;
struct R3;
struct R4;
impl Fit for R2 {
    const R: usize = 2;
}
impl Fit for R3 {
    const R: usize = 3;
}
impl Fit for R4 {
    const R: usize = 4;
}

/// Values, at the six points, of the polynomial with the first n coefficients.
#[inline(always)]
unsafe fn values<S: Simd>(n: usize, c: [S::V; 5]) -> [S::V; 6] {
    let mut v = [c[0]; 6];
    for (k, powers) in POWERS.iter().enumerate() {
        let (mut even, mut odd) = (c[0], S::mul(S::splat(powers[1]), c[1]));
        for j in 2..n {
            let sum = if j % 2 == 0 { &mut even } else { &mut odd };
            *sum = S::fma(S::splat(powers[j]), c[j], *sum);
        }
        (v[2 * k + 1], v[2 * k + 2]) = (S::add(even, odd), S::sub(even, odd));
    }
    v[5] = c[n - 1];
    v
}

/// The adjoint of [`values`].
#[inline(always)]
unsafe fn coefficients<S: Simd>(n: usize, v: [S::V; 6]) -> [S::V; 5] {
    let (even, odd) = ([S::add(v[1], v[2]), S::add(v[3], v[4])], [S::sub(v[1], v[2]), S::sub(v[3], v[4])]);
    let mut c = [S::add(v[0], S::add(even[0], even[1])); 5];
    for j in 1..n {
        let part = if j % 2 == 0 { even } else { odd };
        let sum = S::mul(S::splat(POWERS[0][j]), part[0]);
        c[j] = S::fma(S::splat(POWERS[1][j]), part[1], if j == n - 1 { S::add(sum, v[5]) } else { sum });
    }
    c
}

/// [`values`] along columns, then rows, of the first n×n of `c`; stored with stride `ps`, scaled if `scaled`.
#[inline(always)]
unsafe fn values2<S: Simd>(n: usize, c: &[[S::V; 5]; 5], scaled: bool, to: *mut f32, ps: usize) {
    let mut t = [[c[0][0]; 5]; 6];
    for j in 0..n {
        let column = values::<S>(n, [c[0][j], c[1][j], c[2][j], c[3][j], c[4][j]]);
        for i in 0..6 {
            t[i][j] = column[i];
        }
    }
    for i in 0..6 {
        let row = values::<S>(n, t[i]);
        for j in 0..6 {
            let v = if scaled { S::mul(S::splat(SCALES[i] * SCALES[j]), row[j]) } else { row[j] };
            S::store(to.add((i * 6 + j) * ps), v);
        }
    }
}

/// The adjoint of [`values2`].
#[inline(always)]
unsafe fn coefficients2<S: Simd>(n: usize, scaled: bool, from: *const f32, ps: usize) -> [[S::V; 5]; 5] {
    let mut t = [[S::splat(0.0); 6]; 5];
    for j in 0..6 {
        let mut column = [S::splat(0.0); 6];
        for i in 0..6 {
            let v = S::load(from.add((i * 6 + j) * ps));
            column[i] = if scaled { S::mul(S::splat(SCALES[i] * SCALES[j]), v) } else { v };
        }
        let column = coefficients::<S>(n, column);
        for i in 0..n {
            t[i][j] = column[i];
        }
    }
    let mut c = [[S::splat(0.0); 5]; 5];
    for i in 0..n {
        c[i] = coefficients::<S>(n, t[i]);
    }
    c
}

/// Values `[block][36][rows][channel]`.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    /// Rounded up to a multiple of 16.
    channels: usize,
    block: usize,
    /// Stride between positions.
    ps: usize,
}

impl Blocks {
    fn new(channels: usize, rows: usize) -> Self {
        let block = BLOCK.min(channels);
        Self { channels, block, ps: skew(rows.next_multiple_of(16) * block) }
    }

    fn count(&self) -> usize {
        self.channels.div_ceil(self.block)
    }

    fn len(&self) -> usize {
        volume(&[self.count(), P, self.ps])
    }

    /// Pointer to a row of channels, at position 0.
    #[inline(always)]
    fn at(&self, channel: usize, row: usize) -> usize {
        channel / self.block * P * self.ps + row * self.block + channel % self.block
    }

    /// Number of channels in block b.
    #[inline(always)]
    fn lanes(&self, b: usize) -> usize {
        self.block.min(self.channels - b * self.block)
    }
}

/// Images divided into tiles, or into the windows of tiles.
#[derive(Clone, Copy)]
struct Side {
    channels: usize,
    size: [usize; 2],
    /// Phases per side.
    phases: usize,
    /// The first row and column of the first tile.
    first: isize,
    /// Rows of tiles in an image, and tiles in a row.
    th: usize,
    tw: usize,
}

impl Side {
    fn padded(&self) -> usize {
        self.channels.next_multiple_of(16)
    }

    /// Number of channels of all phases together.
    fn all(&self) -> usize {
        self.phases * self.phases * self.padded()
    }
}

/// The dimensions of a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    pub(super) images: usize,
    pub(super) outs: usize,
    pub(super) ins: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) size: [usize; 2],
    pub(super) output: [usize; 2],
}

impl Tiles {
    const WEIGHTS: usize = 58;

    /// Whether tiles support this kernel and stride.
    pub(super) fn fits(kernel: usize, stride: usize) -> bool {
        kernel.is_multiple_of(stride) && (2..=4).contains(&(kernel / stride))
    }

    /// Whether tiles save more products than it costs to write and read the transformed weights once. That cost is
    /// about as high as for [`WEIGHTS`](Self::WEIGHTS) tiles: an estimate from one layer (128 to 256 channels, 4×4,
    /// stride 2, 32 tiles).
    pub(super) fn pay(&self) -> bool {
        let r = self.kernel / self.stride;
        let tiles: usize = self.output.iter().map(|n| n.div_ceil(7 - r)).product();
        P * (self.images * tiles + Self::WEIGHTS) < r * r * self.images * self.output[0] * self.output[1]
    }

    /// Windows of the input, and tiles of the output.
    fn sides<T: Fit>(&self) -> (Side, Side) {
        let [th, tw] = self.output.map(|n| n.div_ceil(T::M));
        let (phases, first) = (self.stride, -(self.padding as isize));
        let input = Side { channels: self.ins, size: self.size, phases, first, th, tw };
        (input, Side { channels: self.outs, size: self.output, phases: 1, first: 0, th, tw })
    }

    /// Windows of the output gradient, and tiles of the input gradient.
    fn sides_back<T: Fit>(&self) -> (Side, Side) {
        let (s, p) = (self.stride, self.padding);
        // Counted in strides from the edge of the padding: the first position inside the image, in some phase.
        let u0 = p / s;
        let [th, tw] = self.size.map(|n| ((n - 1 + p) / s + 1 - u0).div_ceil(T::M));
        let first = u0 as isize - (T::R - 1) as isize;
        let output = Side { channels: self.outs, size: self.output, phases: 1, first, th, tw };
        (output, Side { channels: self.ins, size: self.size, phases: s, first: -((p % s) as isize), th, tw })
    }

    /// The taps of the sub-kernels that [`kernels`] transforms to U: for each phase, in their order or flipped.
    fn phase_taps<T: Fit>(&self, forward: bool) -> Vec<usize> {
        let (s, r) = (self.stride, T::R);
        let tap = |i: usize, phase: usize| s * (if forward { i } else { r - 1 - i }) + phase;
        let all = |i: usize| tap(i / r % r, i / (r * r) / s) * self.kernel + tap(i % r, i / (r * r) % s);
        (0..s * s * r * r).map(all).collect()
    }

    /// Same as [`super::Convolution::forward`].
    pub(super) fn forward(&self, isa: Isa, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        match self.kernel / self.stride {
            2 => self.convolve::<R2>(isa, true, x, weight, bias, y),
            3 => self.convolve::<R3>(isa, true, x, weight, bias, y),
            _ => self.convolve::<R4>(isa, true, x, weight, bias, y),
        }
    }

    /// Same as [`super::Convolution::input_gradient`].
    pub(super) fn input_gradient(&self, isa: Isa, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
        match self.kernel / self.stride {
            2 => self.convolve::<R2>(isa, false, dy, weight, None, dx),
            3 => self.convolve::<R3>(isa, false, dy, weight, None, dx),
            _ => self.convolve::<R4>(isa, false, dy, weight, None, dx),
        }
    }

    /// Same as [`super::Convolution::weight_gradient`].
    pub(super) fn weight_gradient(&self, isa: Isa, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        match self.kernel / self.stride {
            2 => self.correlate::<R2>(isa, x, dy, dw),
            3 => self.correlate::<R3>(isa, x, dy, dw),
            _ => self.correlate::<R4>(isa, x, dy, dw),
        }
    }

    /// The convolution, or its input gradient.
    fn convolve<T: Fit>(
        &self,
        isa: Isa,
        forward: bool,
        x: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        // Computes tiles of `to` from windows of `from`; one of the two may have phases.
        let (from, to) = if forward { self.sides::<T>() } else { self.sides_back::<T>() };
        let kernel = self.kernel * self.kernel;
        // [channels of `to`/16][channels of `from`][kernel][16]
        let mut packed = Loan::new(volume(&[to.padded(), from.channels, kernel]));
        if forward {
            panels(isa, weight, self.ins * kernel, &mut packed);
        } else {
            let rows: Vec<[usize; 2]> = (0..kernel).map(|t| [t, kernel]).collect();
            adjoint_panels(isa, weight, self.ins, &rows, self.outs * kernel, &mut packed);
        }
        let (taps, bias) = (self.phase_taps::<T>(forward), padded_bias(bias, to.channels));
        let rows = self.images * from.th;
        let round = round(rows, ROUND.max(ROUND_VALUES / (P * (from.all() + to.all()))) / from.tw);
        let weights = Blocks::new(to.all(), from.all());
        let (vs, ms) = (Blocks::new(from.all(), round * from.tw), Blocks::new(to.all(), round * from.tw));
        let (mut u, mut v, mut m) = (Loan::new(weights.len()), Loan::new(vs.len()), Loan::new(ms.len()));
        let (u, v, m, out) = (Shared::new(&mut u), Shared::new(&mut v), Shared::new(&mut m), Shared::new(y));
        packed.par_chunks(from.channels * kernel * 16).enumerate().for_each(|(i, packed)| {
            // SAFETY: a panel of weights in, U of it out, which no other task writes.
            unsafe { kernels::<T>(isa, packed, &taps, &from, &to, &weights, i * 16, u.ptr()) }
        });
        for r0 in (0..rows).step_by(round) {
            let rn = round.min(rows - r0);
            (0..rn).into_par_iter().with_max_len(1).for_each(|r| {
                local([area::<T>(&from)], |[copy]| {
                    // SAFETY: x are whole images of `from`; `copy` holds a row of tiles; tasks write different tiles.
                    unsafe { inputs::<T>(isa, &from, x, r0 + r, true, &vs, v.ptr(), r * from.tw, copy.as_mut_ptr()) }
                });
            });
            (0..P * ms.count()).into_par_iter().with_max_len(1).for_each(|i| {
                let (p, b) = (i / ms.count(), i % ms.count());
                // SAFETY: U and V are complete and only read; tasks write different blocks and positions of M.
                unsafe { multiply(isa, &weights, u.ptr(), &vs, v.ptr(), &ms, m.ptr(), p, b, rn * from.tw) }
            });
            (0..rn).into_par_iter().with_max_len(1).for_each(|r| {
                local([area::<T>(&to)], |[copy]| {
                    // SAFETY: y are whole images of `to`; M is complete; tasks write different rows of pixels.
                    unsafe {
                        let copy = copy.as_mut_ptr();
                        outputs::<T>(isa, &to, &ms, m.ptr(), r * to.tw, r0 + r, &bias, copy, out.ptr());
                    }
                });
            });
        }
    }

    /// The weight gradient.
    fn correlate<T: Fit>(&self, isa: Isa, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (input, output) = self.sides::<T>();
        let (rows, tw, taps) = (self.images * input.th, input.tw, self.kernel * self.kernel);
        // A task computes a few output channels and a block of input channels, over a part of the tiles of a round.
        let outs = OUTS.min(output.all());
        let (oblocks, iblocks) = (output.all().div_ceil(outs), input.all().div_ceil(BLOCK));
        let parts = TASKS.div_ceil(oblocks * iblocks);
        let round = round(rows, ROUND_BACK.max(parts * SHARE).div_ceil(tw));
        let parts = parts.min(round * tw);
        let (vs, zs) = (Blocks::new(input.all(), round * tw), Blocks::new(output.all(), round * tw));
        let (mut v, mut z) = (Loan::new(vs.len()), Loan::new(zs.len()));
        let (v, z) = (Shared::new(&mut v), Shared::new(&mut z));
        let size = outs * T::R * T::R * vs.block;
        let mut sums = Loan::new(volume(&[parts, oblocks, iblocks, size]));
        for r0 in (0..rows).step_by(round) {
            let rn = round.min(rows - r0);
            (0..2 * rn).into_par_iter().with_max_len(1).for_each(|i| {
                let (r, windows) = (i % rn, i < rn);
                let (side, values, blocks, to) = if windows { (&input, x, &vs, v) } else { (&output, dy, &zs, z) };
                local([area::<T>(side)], |[copy]| {
                    // SAFETY: `values` are whole images of `side`; `copy` holds a row of tiles; tasks write different
                    // tiles.
                    unsafe {
                        inputs::<T>(isa, side, values, r0 + r, windows, blocks, to.ptr(), r * tw, copy.as_mut_ptr());
                    }
                });
            });
            sums.par_chunks_mut(size).enumerate().with_max_len(1).for_each(|(i, sum)| {
                let (part, ob, ib) = (i / iblocks / oblocks, i / iblocks % oblocks, i % iblocks);
                let tiles = rn * tw * part / parts..rn * tw * (part + 1) / parts;
                local([P * outs * vs.block], |[m]| {
                    // SAFETY: V and Z hold the tiles of the round, and are only read now; `m` holds all positions.
                    unsafe {
                        let m = m.as_mut_ptr();
                        gradients::<T>(isa, &zs, z.ptr(), &vs, v.ptr(), ob * outs, outs, ib, tiles, r0 > 0, m, sum);
                    }
                });
            });
        }
        let at = self.phase_taps::<T>(true);
        let n = T::R * T::R;
        dw.par_chunks_mut(self.ins * taps).enumerate().for_each(|(o, dw)| {
            local([n * vs.block], |[sum]| {
                for ib in 0..iblocks {
                    let from = (o / outs * iblocks + ib) * size + o % outs * n * vs.block;
                    add_up(&sums[from..], oblocks * iblocks * size, parts, &mut sum[..n * vs.block]);
                    for lane in 0..vs.lanes(ib) {
                        let (phase, c) =
                            ((ib * vs.block + lane) / input.padded(), (ib * vs.block + lane) % input.padded());
                        if c < self.ins {
                            for t in 0..n {
                                dw[c * taps + at[phase * n + t]] = sum[t * vs.block + lane];
                            }
                        }
                    }
                }
            });
        });
    }
}

/// Rows of tiles in a round: about `most`, and about equal in all rounds.
fn round(rows: usize, most: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most.max(1)))
}

/// Number of values in a copy of a row of tiles, or of their windows.
fn area<T: Fit>(side: &Side) -> usize {
    volume(&[side.phases * 6, side.phases * (T::M * side.tw + T::R - 1), side.padded()])
}

/// U of a panel of weights, written to channels c0.. of all phases of `to`.
#[inline(always)]
unsafe fn kernels_task<S: Simd, T: Fit>(
    packed: &[f32],
    taps: &[usize],
    from: &Side,
    to: &Side,
    blocks: &Blocks,
    c0: usize,
    u: *mut f32,
) {
    let n = T::R * T::R;
    let kernel = packed.len() / from.channels;
    for k in 0..from.padded() {
        for (phase, taps) in taps.chunks_exact(n).enumerate() {
            // One of the two sides has a single phase.
            let row = if from.phases > 1 { phase * from.padded() + k } else { k };
            let channel = if from.phases > 1 { c0 } else { phase * to.padded() + c0 };
            for l in (0..16).step_by(S::L) {
                let mut g = [[S::splat(0.0); 5]; 5];
                if k < from.channels {
                    for (t, tap) in taps.iter().enumerate() {
                        g[t / T::R][t % T::R] = S::load(packed.as_ptr().add(k * kernel + tap * 16 + l));
                    }
                }
                values2::<S>(T::R, &g, true, u.add(blocks.at(channel + l, row)), blocks.ps);
            }
        }
    }
}
dispatch!(
    unsafe fn kernels<T: Fit>(
        packed: &[f32], taps: &[usize], from: &Side, to: &Side, blocks: &Blocks, c0: usize, u: *mut f32,
    ) => kernels_task
);

/// V (of windows) or Z (of tiles) for row `row` of tiles of all images, which have the numbers t0.. in the round.
#[inline(always)]
unsafe fn inputs_task<S: Simd, T: Fit>(
    side: &Side,
    x: &[f32],
    row: usize,
    window: bool,
    blocks: &Blocks,
    to: *mut f32,
    t0: usize,
    copy: *mut f32,
) {
    let &Side { channels, size, phases: s, first, th, tw } = side;
    let (image, ty, cs) = (row / th, row % th, side.padded());
    let n = if window { 6 } else { T::M };
    let width = s * (T::M * tw + n - T::M);
    let x = x.as_ptr().add(image * channels * size[0] * size[1]);
    let y0 = (s * T::M * ty) as isize + first;
    channels_last::<S>(x, channels, size, [y0, first], s * n, width, cs, copy);
    for tx in 0..tw {
        for phase in 0..s * s {
            let corner = copy.add(((phase / s) * width + s * T::M * tx + phase % s) * cs);
            for c in (0..cs).step_by(S::L) {
                let at = |i: usize, j: usize| corner.add((i * s * width + j * s) * cs + c).cast_const();
                let to = to.add(blocks.at(phase * cs + c, t0 + tx));
                if window {
                    let mut d = [[S::splat(0.0); 6]; 6];
                    for i in 0..6 {
                        for j in 0..6 {
                            d[i][j] = S::load(at(i, j));
                        }
                    }
                    windows::<S>(&mut d, to, blocks.ps);
                } else {
                    let mut y = [[S::splat(0.0); 5]; 5];
                    for i in 0..T::M {
                        for j in 0..T::M {
                            y[i][j] = S::load(at(i, j));
                        }
                    }
                    values2::<S>(T::M, &y, false, to, blocks.ps);
                }
            }
        }
    }
}
dispatch!(
    unsafe fn inputs<T: Fit>(
        side: &Side, x: &[f32], row: usize, window: bool, blocks: &Blocks, to: *mut f32, t0: usize, copy: *mut f32,
    ) => inputs_task
);

/// Block b of M at position p, for all tiles: V U.
#[inline(always)]
unsafe fn multiply_task<S: Simd>(
    us: &Blocks,
    u: *const f32,
    vs: &Blocks,
    v: *const f32,
    ms: &Blocks,
    m: *mut f32,
    p: usize,
    b: usize,
    tiles: usize,
) {
    let n = ms.lanes(b) / S::L;
    let m = m.add(ms.at(b * ms.block, 0) + p * ms.ps);
    for kb in 0..vs.count() {
        let v = v.add(vs.at(kb * vs.block, 0) + p * vs.ps);
        let u = u.add(us.at(b * us.block, kb * vs.block) + p * us.ps);
        for t in (0..tiles).step_by(16) {
            let (a, c) = (v.add(t * vs.block), m.add(t * ms.block));
            S::product(vs.lanes(kb), a, [vs.block, 1], u, us.block, c, ms.block, n, kb > 0);
        }
    }
}
dispatch!(
    unsafe fn multiply(
        us: &Blocks, u: *const f32, vs: &Blocks, v: *const f32, ms: &Blocks, m: *mut f32, p: usize, b: usize, tiles: usize,
    ) => multiply_task
);

/// Writes the pixels of row `row` of tiles of all images, which have the numbers t0.. in the round.
#[inline(always)]
unsafe fn outputs_task<S: Simd, T: Fit>(
    side: &Side,
    blocks: &Blocks,
    m: *const f32,
    t0: usize,
    row: usize,
    bias: &[f32],
    copy: *mut f32,
    out: *mut f32,
) {
    let &Side { channels, size: [h, w], phases: s, first, th, tw } = side;
    let (image, ty, cs) = (row / th, row % th, side.padded());
    let width = s * T::M * tw;
    for tx in 0..tw {
        for phase in 0..s * s {
            let corner = copy.add(((phase / s) * width + s * T::M * tx + phase % s) * cs);
            for c in (0..cs).step_by(S::L) {
                let y = coefficients2::<S>(T::M, false, m.add(blocks.at(phase * cs + c, t0 + tx)), blocks.ps);
                let bias = S::load(bias.as_ptr().add(c));
                for i in 0..T::M {
                    for j in 0..T::M {
                        S::store(corner.add((i * s * width + j * s) * cs + c), S::add(y[i][j], bias));
                    }
                }
            }
        }
    }
    // `first` is zero or negative: that many rows and columns of the first tiles are outside.
    let skip = -first as usize;
    for r in 0..s * T::M {
        let y = s * T::M * ty + r;
        if y < skip || y - skip >= h {
            continue;
        }
        let out = out.add((image * channels * h + y - skip) * w);
        for x in (0..w).step_by(16) {
            let src = copy.add((r * width + skip + x) * cs);
            let n = 16.min(w - x);
            transposed::<S>(src, cs, n, channels, n, |c| out.add(c * h * w + x));
        }
    }
}
dispatch!(
    unsafe fn outputs<T: Fit>(
        side: &Side, blocks: &Blocks, m: *const f32, t0: usize, row: usize, bias: &[f32], copy: *mut f32, out: *mut f32,
    ) => outputs_task
);

/// The gradients `[outs][taps][block]` of output channels o.. and block `ib` of input channels, over some tiles;
/// added to the previous values if `acc`.
#[inline(always)]
unsafe fn gradients_task<S: Simd, T: Fit>(
    zs: &Blocks,
    z: *const f32,
    vs: &Blocks,
    v: *const f32,
    o: usize,
    outs: usize,
    ib: usize,
    tiles: std::ops::Range<usize>,
    acc: bool,
    m: *mut f32,
    sum: &mut [f32],
) {
    let (width, lanes) = (vs.block, vs.lanes(ib));
    let (ms, outs) = (outs * width, outs.min(zs.channels - o));
    for p in 0..P {
        let v = v.add(vs.at(ib * width, tiles.start) + p * vs.ps);
        for i in (0..outs).step_by(16) {
            let z = z.add(zs.at(o + i, tiles.start) + p * zs.ps);
            S::product(tiles.len(), z, [1, zs.block], v, width, m.add(p * ms + i * width), width, lanes / S::L, false);
        }
    }
    for o in 0..outs {
        for c in (0..lanes).step_by(S::L) {
            let g = coefficients2::<S>(T::R, true, m.add(o * width + c), ms);
            for t in 0..T::R * T::R {
                let to = sum.as_mut_ptr().add((o * T::R * T::R + t) * width + c);
                let g = g[t / T::R][t % T::R];
                S::store(to, if acc { S::add(S::load(to), g) } else { g });
            }
        }
    }
}
dispatch!(
    unsafe fn gradients<T: Fit>(
        zs: &Blocks, z: *const f32, vs: &Blocks, v: *const f32, o: usize, outs: usize, ib: usize,
        tiles: std::ops::Range<usize>, acc: bool, m: *mut f32, sum: &mut [f32],
    ) => gradients_task
);

#[cfg(test)]
mod tests {
    use super::*;

    /// All supported kernels and strides, also where tiles do not pay off, on small integers, so that the result is
    /// exact.
    #[test]
    fn all_tiles_compute_the_convolution_and_its_gradients() {
        let integers = |n: usize, step: usize| (0..n).map(|i| (i * step % 7) as f32 - 3.0).collect::<Vec<_>>();
        for kernel in 2..=8 {
            for stride in (1..=4).filter(|&s| Tiles::fits(kernel, s)) {
                for (padding, [h, w], [outs, ins]) in
                    [(0, [8, 11], [5, 17]), (1, [9, 8], [18, 3]), (2, [23, 6], [33, 20]), (5, [7, 13], [2, 70])]
                {
                    let output = [h, w].map(|n| (n + 2 * padding - kernel) / stride + 1);
                    let tiles = Tiles { images: 2, outs, ins, kernel, stride, padding, size: [h, w], output };
                    let (taps, area) = (kernel * kernel, output[0] * output[1]);
                    let (x, g, dy) =
                        (integers(2 * ins * h * w, 5), integers(outs * ins * taps, 3), integers(2 * outs * area, 2));
                    let bias = integers(outs, 3);
                    let mut want = [vec![0.0f32; dy.len()], vec![0.0; x.len()], vec![0.0; g.len()]];
                    for i in 0..dy.len() {
                        let (b, o, p) = (i / area / outs, i / area % outs, i % area);
                        want[0][i] += bias[o];
                        for k in 0..ins * taps {
                            let (c, t) = (k / taps, k % taps);
                            let y = (p / output[1] * stride + t / kernel).wrapping_sub(padding);
                            let z = (p % output[1] * stride + t % kernel).wrapping_sub(padding);
                            if y < h && z < w {
                                let at = ((b * ins + c) * h + y) * w + z;
                                want[0][i] += x[at] * g[o * ins * taps + k];
                                want[1][at] += dy[i] * g[o * ins * taps + k];
                                want[2][o * ins * taps + k] += dy[i] * x[at];
                            }
                        }
                    }
                    for isa in Isa::available() {
                        let mut got = [0, 1, 2].map(|i| vec![f32::NAN; want[i].len()]);
                        tiles.forward(isa, &x, &g, Some(&bias), &mut got[0]);
                        tiles.input_gradient(isa, &dy, &g, &mut got[1]);
                        tiles.weight_gradient(isa, &x, &dy, &mut got[2]);
                        for i in 0..3 {
                            for (got, want) in got[i].iter().zip(&want[i]) {
                                assert!((got - want).abs() < 0.05, "{isa} {i} of {tiles:?}: {got} for {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
