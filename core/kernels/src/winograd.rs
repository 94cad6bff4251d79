//! 3×3 convolution by Winograd's minimal filtering.
//!
//! A tile of m×m outputs needs (m+2)² products for each pair of channels instead of 9·m²: for m = 4, 36 instead of 144.
//! With inputs d, weights g and outputs y of one tile, all matrices: y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A. Summed over
//! input channels, the products at one position of all tiles are a matrix product; it takes most of the time.
//!
//! SIMD lanes are *tiles*: a vector holds one position of L neighbouring tiles. Layouts, with P positions:
//!
//! * weights as `[out/16][in][9][16]`, or transformed in advance as U `[out/16][P][in][16]`;
//! * V, transformed input, `[P][in][tiles]`;
//! * M, products, `[P][out][tiles]`.
//!
//! There are two schedules. *Private*: a task is one block of tiles; its V stays in the cache of one core while
//! transformed weights are streamed. For many tiles and few channels. *Shared*: V of many tiles is computed first, in
//! parallel over input channels; then a task is one block of output channels, which transforms its weights as it
//! goes, so that each is read once. For few tiles and many channels, where transformed weights, which are four times
//! as large, would be slow to read.
//!
//! Each output is one chain of multiply-adds in the order of input channels, whatever the schedule, block sizes and
//! number of threads.
//!
//! Source: A. Lavin and S. Gray, *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016, section 4.

mod transform;

use crate::isa::{Isa, dispatch};
use crate::layout::{panels, panels_in_turn};
use crate::map::{Map, MapMut, Place, Ring};
use crate::scratch::{Buf, Loan, Shared, local, volume};
use crate::simd::Simd;
use rayon::prelude::*;
use std::sync::atomic::AtomicBool;
use transform::{Call, F2, F4, Plane, Tile, input_transform, output_transform, weight_transform};
pub(crate) use transform::{POWERS, SCALES, skew, windows};

/// Output channels in a block of weights.
const BLOCK: usize = 16;
/// Most bytes and tiles that V may have in the shared schedule; larger images are processed in several rounds.
const MAX_V: usize = 24 << 20;
const MAX_TILES: usize = 512;

/// Tile size.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F2,
    F4,
}

/// Schedule with its block sizes, which are multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    /// Number of tiles and output channels in a block; weights are transformed in advance.
    Private { tiles: usize, outs: usize },
    /// Most output channels in a block, and the number of input channels whose weights are transformed at a time.
    Shared { outs: usize, ins: usize },
}

impl Plan {
    /// The fastest choice for images of about `pixels` pixels, on two CPUs with AVX-512. The optima are flat.
    fn choose(pixels: usize, ins: usize) -> (Kind, Self) {
        match pixels {
            0..=100 => (Kind::F2, Self::Shared { outs: 64, ins: 32 }),
            101..=576 => (Kind::F4, Self::Shared { outs: 64, ins: 128 }),
            577..=2048 if ins <= 512 => (Kind::F4, Self::Shared { outs: 64, ins: 64 }),
            577..=8192 => (Kind::F4, Self::Shared { outs: 128, ins: 128 }),
            _ if ins > 64 => (Kind::F4, Self::Private { tiles: 32, outs: 32 }),
            _ => (Kind::F4, Self::Private { tiles: 64, outs: 64 }),
        }
    }
}

/// A 3×3 convolution with stride 1 and padding 1.
///
/// The relative error (Frobenius norm) compared with exact arithmetic is below 1e-5, for inputs and weights of any
/// scale.
#[derive(Debug)]
pub struct Conv3x3 {
    ins: usize,
    outs: usize,
    isa: Isa,
    kind: Kind,
    plan: Plan,
    /// `[out/16][in][9][16]` for the shared schedule, `[out/16][P][in][16]` for the private one.
    weights: Buf,
    /// `[out]`, padded to whole blocks.
    bias: Buf,
}

impl Conv3x3 {
    /// Packs `weight` `[out, in, 3, 3]` and `bias` `[out]` (zero if absent); `channels` is `[out, in]`.
    ///
    /// `hint_pixels` is the height × width of typical images. It determines tile size and schedule, so it affects
    /// speed, memory and the last bits of the result.
    ///
    /// # Panics
    ///
    /// If a number of channels is zero or a slice has the wrong length.
    pub fn new(isa: Isa, weight: &[f32], bias: Option<&[f32]>, channels: [usize; 2], hint_pixels: usize) -> Self {
        let (kind, plan) = Plan::choose(hint_pixels, channels[1]);
        Self::with_plan(isa, weight, bias, channels, kind, plan)
    }

    fn with_plan(
        isa: Isa,
        weight: &[f32],
        bias: Option<&[f32]>,
        [outs, ins]: [usize; 2],
        kind: Kind,
        plan: Plan,
    ) -> Self {
        assert!(outs > 0 && ins > 0, "a convolution has channels");
        assert_eq!(weight.len(), volume(&[outs, ins, 9]), "weight is [out, in, 3, 3]");
        let blocks = outs.div_ceil(BLOCK);
        let mut weights = Buf::zeroed(volume(&[blocks, ins, 9, BLOCK]));
        panels(isa, weight, ins * 9, &mut weights);
        if let Plan::Private { .. } = plan {
            let mut ahead = Buf::zeroed(volume(&[weights.len() / 9, kind.positions()]));
            kind.transform_ahead(isa, &weights, ins, &mut ahead);
            weights = ahead;
        }
        Self { ins, outs, isa, kind, plan, weights, bias: padded_bias(bias, outs) }
    }

    /// Two convolutions of one image whose outputs alternate, 16 channels of each; the last 16 are padded with zeros.
    /// Keeps weights in packed form, for [`Conv3x3::packed`].
    pub(crate) fn in_turn(isa: Isa, weights: [&[f32]; 2], biases: [&[f32]; 2], [outs, ins]: [usize; 2]) -> Self {
        assert!(weights.iter().all(|weight| weight.len() == volume(&[outs, ins, 9])), "weights are [out, in, 3, 3]");
        let blocks = outs.div_ceil(BLOCK);
        let mut packed = Buf::zeroed(volume(&[blocks, 2, ins, 9, BLOCK]));
        panels_in_turn(isa, weights, ins * 9, &mut packed);
        let mut bias = Buf::zeroed(2 * blocks * BLOCK);
        for (block, bias) in bias.chunks_exact_mut(BLOCK).enumerate() {
            let from = biases[block % 2].iter().skip(block / 2 * BLOCK);
            bias.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        let plan = Plan::Shared { outs: 128, ins: 128 };
        Self { ins, outs: 2 * blocks * BLOCK, isa, kind: Kind::F4, plan, weights: packed, bias }
    }

    /// The weights, `[out/16][in][9][16]`, and bias of a layer made by [`Conv3x3::in_turn`].
    pub(crate) fn packed(&self) -> (&[f32], &[f32]) {
        (&self.weights, &self.bias)
    }

    /// Size of the weights in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.weights) + size_of_val(&*self.bias)
    }

    /// `output` `[out, h, w]` = convolution of `input` `[in, h, w]` + bias + `residual` `[out, h, w]`.
    ///
    /// # Panics
    ///
    /// If height or width is zero, a slice has the wrong length, or a row is longer than 2²⁴ pixels.
    pub fn run(&self, input: &[f32], size: [usize; 2], output: &mut [f32], residual: Option<&[f32]>) {
        self.layer().run(1, input, size, output, residual);
    }

    /// Convolves some rows: row and column 0 of the rows to write are at `at` in `input`, and what `input` lacks
    /// around them counts as zero.
    ///
    /// An output has the same bits in every call in which it has the same place in its tile: give rows and columns
    /// that begin at multiples of [`TILE`](Self::TILE) of the map, and end there or where the map ends.
    ///
    /// # Panics
    ///
    /// If a map has another number of channels, there are no rows, a row is longer than 2²⁴ pixels, or the residual
    /// lacks pixels of the output.
    pub fn run_rows(&self, input: Map<'_>, at: [usize; 2], output: MapMut<'_>, residual: Residual<'_>) {
        self.layer().run_rows(input, at, output, residual);
    }

    /// As [`run_rows`](Self::run_rows), in some mode.
    ///
    /// # Panics
    ///
    /// As [`run_rows`](Self::run_rows).
    pub fn run_rows_in(
        &self,
        mode: Mode<'_>,
        input: Map<'_>,
        at: [usize; 2],
        output: MapMut<'_>,
        residual: Residual<'_>,
    ) {
        let mut layer = Layer { stop: mode.stop, ..self.layer() };
        if let (true, Plan::Shared { .. }) = (mode.any_tiles, layer.plan) {
            // Weights are transformed as they are used, so any size of tiles can be chosen.
            let choice = Plan::choose(volume(&output.size()), self.ins);
            if let (_, Plan::Shared { .. }) = choice {
                (layer.kind, layer.plan) = choice;
            }
        }
        layer.run_rows(input, at, output, residual);
    }

    /// Tiles are of this size, or of half of it.
    pub const TILE: usize = 4;

    fn layer(&self) -> Layer<'_> {
        Layer {
            channels: [self.outs, self.ins],
            isa: self.isa,
            kind: self.kind,
            plan: self.plan,
            weights: &self.weights,
            bias: &self.bias,
            stop: &NEVER,
        }
    }
}

/// How to compute rows.
#[derive(Clone, Copy, Debug)]
pub struct Mode<'a> {
    /// Once it is set, the call returns within a millisecond or a few, and what it wrote is of no use.
    pub stop: &'a AtomicBool,
    /// Whether the size of tiles may depend on the number of rows and columns: faster for few, with other last bits.
    pub any_tiles: bool,
}

/// What a convolution is added to.
#[derive(Clone, Copy, Debug)]
pub enum Residual<'a> {
    /// Nothing.
    None,
    /// The values that the output has before.
    Output,
    /// A map in which row and column 0 of the rows to write are at the given place.
    Map(Map<'a>, [usize; 2]),
}

/// A layer that borrows its weights, for any number of images. The fields are like those of [`Conv3x3`].
pub(crate) struct Layer<'a> {
    channels: [usize; 2],
    isa: Isa,
    kind: Kind,
    plan: Plan,
    weights: &'a [f32],
    bias: &'a [f32],
    /// Set when the result is not wanted any more.
    stop: &'a AtomicBool,
}

/// For results that are wanted in any case.
static NEVER: AtomicBool = AtomicBool::new(false);

/// `output` `[images, out, h, w]` = convolution of `input` `[images, in, h, w]` + bias, for weights that are used
/// once: `[out/16][in][9][16]`. `bias` is padded to whole blocks.
pub(crate) fn convolve(
    isa: Isa,
    weights: &[f32],
    bias: &[f32],
    channels: [usize; 2],
    images: usize,
    input: &[f32],
    size: [usize; 2],
    output: &mut [f32],
) {
    let (kind, plan) = Plan::choose(volume(&[images, size[0], size[1]]), channels[1]);
    let mut ahead =
        Loan::new(if let Plan::Private { .. } = plan { volume(&[weights.len() / 9, kind.positions()]) } else { 0 });
    if let Plan::Private { .. } = plan {
        kind.transform_ahead(isa, weights, channels[1], &mut ahead);
    }
    let weights = if ahead.is_empty() { weights } else { &ahead };
    Layer { channels, isa, kind, plan, weights, bias, stop: &NEVER }.run(images, input, size, output, None);
}

/// Planes in which row and column 0 of the output are at the given place.
fn plane<P>(ptr: P, place: Place, [row, column]: [usize; 2]) -> Plane<P> {
    let ring = Ring::new(place.capacity, row);
    Plane { ptr, stride: place.plane(), width: place.width, ring, left: column as isize }
}

impl Layer<'_> {
    fn run(&self, images: usize, x: &[f32], [h, w]: [usize; 2], y: &mut [f32], residual: Option<&[f32]>) {
        let [outs, ins] = self.channels;
        assert!(h > 0 && w > 0, "an image has pixels");
        assert_eq!(x.len(), volume(&[images, ins, h, w]), "input is [in, h, w]");
        assert_eq!(y.len(), volume(&[images, outs, h, w]), "output is [out, h, w]");
        assert!(residual.is_none_or(|r| r.len() == y.len()), "residual is [out, h, w]");
        let residual = residual.map_or(Residual::None, |residual| Residual::Map(Map::whole(residual, [h, w]), [0, 0]));
        self.run_images(images, Map::whole(x, [h, w]), [0, 0], MapMut::whole(y, [h, w]), residual);
    }

    fn run_rows(&self, x: Map<'_>, at: [usize; 2], y: MapMut<'_>, residual: Residual<'_>) {
        let [outs, ins] = self.channels;
        assert!(y.place.rows() > 0, "there are rows to write");
        assert_eq!(x.channels(), ins, "input has the layer's channels");
        assert_eq!(y.channels(), outs, "output has the layer's channels");
        if let Residual::Map(map, [row, column]) = residual {
            assert_eq!(map.channels(), outs, "residual has the output's channels");
            let (has, rows) = (map.place, row..row + y.place.rows());
            assert!(has.first <= rows.start && rows.end <= has.end, "residual has the output's rows");
            assert!(column + y.place.width <= has.width, "residual has the output's columns");
        }
        self.run_images(1, x, at, y, residual);
    }

    fn run_images(&self, images: usize, x: Map<'_>, at: [usize; 2], y: MapMut<'_>, residual: Residual<'_>) {
        match self.kind {
            Kind::F2 => self.run_tiles::<F2>(images, x, at, y, residual),
            Kind::F4 => self.run_tiles::<F4>(images, x, at, y, residual),
        }
    }

    fn run_tiles<T: Tile>(&self, images: usize, x: Map<'_>, at: [usize; 2], y: MapMut<'_>, residual: Residual<'_>) {
        let [outs, ins] = self.channels;
        let (h, w) = (y.place.rows(), y.place.width);
        // Keeps the offsets of gathered values below 2³¹.
        assert!(w <= 1 << 24, "rows are at most 2^24 pixels long");
        let (th, tw) = (h.div_ceil(T::M), w.div_ceil(T::M));
        let from = x.place;
        // Rows further away than this are not read, and a ring only counts rows that are nearer than its capacity.
        let near = [from.first.max(at[0].saturating_sub(1)), from.end.min(at[0] + h.next_multiple_of(T::M) + 1)];
        let rows = near.map(|row| row as isize - at[0] as isize);
        let (to, out) = (y.place, y.values.as_mut_ptr());
        let call = Call {
            ins,
            outs,
            h,
            w,
            th,
            tw,
            tiles: images * th * tw,
            x: plane(x.values.as_ptr(), from, at),
            rows,
            y: plane(out, to, [to.first, 0]),
            residual: match residual {
                Residual::None => plane(std::ptr::null(), to, [to.first, 0]),
                Residual::Output => plane(out.cast_const(), to, [to.first, 0]),
                Residual::Map(map, at) => plane(map.values.as_ptr(), map.place, at),
            },
            bias: self.bias.as_ptr(),
            stop: self.stop,
        };
        match self.plan {
            Plan::Private { tiles, outs } => self.run_private::<T>(&call, tiles, outs),
            Plan::Shared { outs, ins } => self.run_shared::<T>(&call, outs, ins),
        }
    }

    fn run_private<T: Tile>(&self, call: &Call<'_>, tiles: usize, outs: usize) {
        let outs = outs.min(call.outs.next_multiple_of(BLOCK));
        let need = [T::P * skew(call.ins * tiles), T::P * skew(outs * tiles), T::pad_len(call.th, call.tw, tiles)];
        (0..call.tiles.div_ceil(tiles)).into_par_iter().with_max_len(1).for_each(|i| {
            if call.stopped() {
                return;
            }
            local(need, |[v, m, pad]| {
                let (v, m, pad) = (v.as_mut_ptr(), m.as_mut_ptr(), pad.as_mut_ptr());
                // SAFETY: `call` holds pointers to whole images of the sizes it states; the scratch areas are as long as
                // the task needs; tasks write different tiles.
                unsafe { private::<T>(self.isa, call, self.weights.as_ptr(), i * tiles, tiles, outs, v, m, pad) }
            });
        });
    }

    fn run_shared<T: Tile>(&self, call: &Call<'_>, outs: usize, ins: usize) {
        // Rounds with about equal numbers of tiles.
        let most = (MAX_V / (size_of::<f32>() * T::P * call.ins)).clamp(16, MAX_TILES);
        let round = call.tiles.div_ceil(call.tiles.div_ceil(most)).next_multiple_of(16);
        // Two tasks per thread, if there are enough channels. The block size does not affect the result.
        let share = call.outs / (2 * rayon::current_num_threads());
        let outs = (share / BLOCK * BLOCK).clamp(BLOCK, outs);
        let ins = ins.min(call.ins);
        let vps = skew(call.ins * round);
        let mut v = Loan::new(T::P * vps);
        let v = Shared::new(&mut v);
        let need = [T::P * skew(outs * round), outs / BLOCK * T::P * skew(ins * 16)];
        let group = call.ins.div_ceil(64).max(8);
        for t0 in (0..call.tiles).step_by(round) {
            let tn = (call.tiles - t0).min(round).next_multiple_of(16);
            (0..call.ins.div_ceil(group)).into_par_iter().with_max_len(1).for_each(|i| {
                let (c0, c1) = (i * group, ((i + 1) * group).min(call.ins));
                if call.stopped() {
                    return;
                }
                local([T::pad_len(call.th, call.tw, tn)], |[pad]| {
                    // SAFETY: as in `run_private`; V has P·vps values and tasks write different channels of it.
                    unsafe { shared_input::<T>(self.isa, call, c0, c1, t0, tn, v.ptr(), vps, pad.as_mut_ptr()) }
                });
            });
            (0..call.outs.div_ceil(outs)).into_par_iter().with_max_len(1).for_each(|i| {
                if call.stopped() {
                    return;
                }
                local(need, |[m, u]| {
                    let (w, m, u) = (self.weights.as_ptr(), m.as_mut_ptr(), u.as_mut_ptr());
                    // SAFETY: as in `run_private`; V is complete and only read; tasks write different output channels.
                    unsafe { shared_outputs::<T>(self.isa, call, v.ptr(), vps, t0, tn, w, i * outs, outs, ins, m, u) }
                });
            });
        }
    }
}

/// `bias` padded with zeros to whole blocks.
pub(crate) fn padded_bias(bias: Option<&[f32]>, outs: usize) -> Buf {
    let mut padded = Buf::zeroed(outs.next_multiple_of(BLOCK));
    if let Some(bias) = bias {
        assert_eq!(bias.len(), outs, "bias is [out]");
        padded[..outs].copy_from_slice(bias);
    }
    padded
}

impl Kind {
    fn positions(self) -> usize {
        match self {
            Self::F2 => F2::P,
            Self::F4 => F4::P,
        }
    }

    /// Transforms all packed weights to U.
    fn transform_ahead(self, isa: Isa, packed: &[f32], ins: usize, u: &mut [f32]) {
        let blocks = u.par_chunks_mut(self.positions() * ins * BLOCK).zip(packed.par_chunks(ins * 9 * BLOCK));
        blocks.for_each(|(u, w)| {
            // SAFETY: one block of weights in, one block of U out.
            unsafe {
                match self {
                    Self::F2 => weights::<F2>(isa, w.as_ptr(), ins, u.as_mut_ptr()),
                    Self::F4 => weights::<F4>(isa, w.as_ptr(), ins, u.as_mut_ptr()),
                }
            }
        });
    }
}

#[inline(always)]
unsafe fn weights_task<S: Simd, T: Tile>(w: *const f32, ins: usize, u: *mut f32) {
    weight_transform::<S, T>(w, 0, ins, u, ins * BLOCK);
}
dispatch!(unsafe fn weights<T: Tile>(w: *const f32, ins: usize, u: *mut f32) => weights_task);

/// Private schedule: tiles t0.. of a block of `tiles`, all output channels, `outs` of them at a time.
#[inline(always)]
unsafe fn private_task<S: Simd, T: Tile>(
    call: &Call<'_>,
    u: *const f32,
    t0: usize,
    tiles: usize,
    outs: usize,
    v: *mut f32,
    m: *mut f32,
    pad: *mut f32,
) {
    let tn = (call.tiles - t0).min(tiles).next_multiple_of(S::L);
    let (vps, mps) = (skew(call.ins * tn), skew(outs * tn));
    input_transform::<S, T>(call, 0, call.ins, t0, tn, v, vps, pad);
    let mut o = 0;
    while o < call.outs {
        let blocks = (call.outs - o).min(outs).div_ceil(BLOCK);
        for b in 0..blocks {
            let ub = u.add((o / BLOCK + b) * T::P * call.ins * BLOCK);
            for p in 0..T::P {
                let (a, v, m) = (ub.add(p * call.ins * BLOCK), v.add(p * vps), m.add(p * mps + b * BLOCK * tn));
                S::strip(call.ins, a, v, tn, m, tn, tn / S::L, false);
            }
        }
        output_transform::<S, T>(call, m, mps, o, o + blocks * BLOCK, t0, tn);
        o += outs;
    }
}
dispatch!(
    unsafe fn private<T: Tile>(
        call: &Call<'_>, u: *const f32, t0: usize, tiles: usize, outs: usize, v: *mut f32, m: *mut f32, pad: *mut f32,
    ) => private_task
);

/// Shared schedule, first half: V of input channels c0..c1.
#[inline(always)]
unsafe fn shared_input_task<S: Simd, T: Tile>(
    call: &Call<'_>,
    c0: usize,
    c1: usize,
    t0: usize,
    tn: usize,
    v: *mut f32,
    vps: usize,
    pad: *mut f32,
) {
    input_transform::<S, T>(call, c0, c1, t0, tn, v, vps, pad);
}
dispatch!(
    unsafe fn shared_input<T: Tile>(
        call: &Call<'_>, c0: usize, c1: usize, t0: usize, tn: usize, v: *mut f32, vps: usize, pad: *mut f32,
    ) => shared_input_task
);

/// Shared schedule, second half: output channels o.. of a block of `outs`.
#[inline(always)]
unsafe fn shared_outputs_task<S: Simd, T: Tile>(
    call: &Call<'_>,
    v: *const f32,
    vps: usize,
    t0: usize,
    tn: usize,
    w: *const f32,
    o: usize,
    outs: usize,
    ins: usize,
    m: *mut f32,
    u: *mut f32,
) {
    let blocks = (call.outs - o).min(outs).div_ceil(BLOCK);
    let (mps, ups) = (skew(outs * tn), skew(ins * BLOCK));
    let mut k0 = 0;
    while k0 < call.ins {
        if call.stopped() {
            return;
        }
        let kn = ins.min(call.ins - k0);
        for b in 0..blocks {
            let w = w.add((o / BLOCK + b) * call.ins * 9 * BLOCK);
            weight_transform::<S, T>(w, k0, k0 + kn, u.add(b * T::P * ups), ups);
        }
        for p in 0..T::P {
            for b in 0..blocks {
                let (a, v, m) =
                    (u.add((b * T::P + p) * ups), v.add(p * vps + k0 * tn), m.add(p * mps + b * BLOCK * tn));
                S::strip(kn, a, v, tn, m, tn, tn / S::L, k0 > 0);
            }
        }
        k0 += kn;
    }
    output_transform::<S, T>(call, m, mps, o, o + blocks * BLOCK, t0, tn);
}
dispatch!(
    unsafe fn shared_outputs<T: Tile>(
        call: &Call<'_>, v: *const f32, vps: usize, t0: usize, tn: usize, w: *const f32, o: usize, outs: usize, ins: usize,
        m: *mut f32, u: *mut f32,
    ) => shared_outputs_task
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that the result is exact.
    #[test]
    fn every_plan_computes_the_same_convolution() {
        let values = |n: usize, step: usize| (0..n).map(|i| (i * step % 7) as f32 - 3.0).collect::<Vec<_>>();
        let plans = [
            Plan::Private { tiles: 16, outs: 32 },
            Plan::Private { tiles: 48, outs: 16 },
            Plan::Private { tiles: 112, outs: 16 },
            Plan::Shared { outs: 16, ins: 4 },
            Plan::Shared { outs: 32, ins: 64 },
        ];
        for [ins, outs, h, w] in [[1, 1, 1, 1], [5, 19, 13, 29], [3, 16, 7, 128], [17, 33, 5, 64], [4, 20, 66, 61]] {
            let (x, g, b) = (values(ins * h * w, 5), values(outs * ins * 9, 3), values(outs, 2));
            let at = |k: usize, y: usize, x0: usize| {
                // y and x0 are one ahead, so that the padding is at index zero.
                if y == 0 || x0 == 0 || y > h || x0 > w { 0.0 } else { x[(k * h + y - 1) * w + x0 - 1] }
            };
            let mut want = Vec::new();
            for o in 0..outs {
                for p in 0..h * w {
                    let tap = |i: usize| at(i / 9, p / w + i % 9 / 3, p % w + i % 3) * g[o * ins * 9 + i];
                    want.push(b[o] + (0..ins * 9).map(tap).sum::<f32>());
                }
            }
            let mut y = vec![0.0; outs * h * w];
            for isa in Isa::available() {
                for kind in [Kind::F2, Kind::F4] {
                    for plan in plans {
                        y.fill(f32::NAN);
                        let conv = Conv3x3::with_plan(isa, &g, Some(&b), [outs, ins], kind, plan);
                        conv.run(&x, [h, w], &mut y, None);
                        for (y, want) in y.iter().zip(&want) {
                            assert!((y - want).abs() < 0.01, "{isa} {kind:?} {plan:?} {ins}->{outs}@{h}x{w}: {y}");
                        }
                    }
                }
            }
        }
    }

    /// More tiles than fit in one round of the shared schedule.
    #[test]
    fn large_images_go_in_rounds() {
        let (h, w) = (130_usize, 133_usize);
        assert!(h.div_ceil(4) * w.div_ceil(4) > 2 * MAX_TILES);
        let x: Vec<f32> = (0..h * w).map(|i| (i * 31 % 17) as f32).collect();
        let mut g = vec![0.0; 9];
        g[4] = 1.0;
        let mut y = vec![f32::NAN; h * w];
        Conv3x3::new(Isa::detect(), &g, None, [1, 1], 300).run(&x, [h, w], &mut y, None);
        for (x, y) in x.iter().zip(&y) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }
}
