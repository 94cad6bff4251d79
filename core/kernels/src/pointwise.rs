//! 1×1 convolution: a matrix product over blocks of pixels.

use crate::isa::{Isa, dispatch};
use crate::layout::panels;
use crate::map::{Map, MapMut};
use crate::scratch::{Buf, Shared, local, volume};
use crate::simd::Simd;
use crate::winograd::padded_bias;
use rayon::prelude::*;

/// Number of pixels in a task: a multiple of all vector lengths, and few enough for their channels to stay in cache.
const PIXELS: usize = 96;
/// Fewest tasks to make, if there are enough channels.
const TASKS: usize = 16;

/// A 1×1 convolution with stride 1.
#[derive(Debug)]
pub struct Conv1x1 {
    ins: usize,
    outs: usize,
    isa: Isa,
    /// `[out/16][in][16]`
    weights: Buf,
    /// `[out]`, padded to a multiple of 16.
    bias: Option<Buf>,
}

impl Conv1x1 {
    /// Packs `weight` `[out, in]` and `bias` `[out]` (zero if absent); `channels` is `[out, in]`.
    ///
    /// # Panics
    ///
    /// If a number of channels is zero or a slice has the wrong length.
    pub fn new(isa: Isa, weight: &[f32], bias: Option<&[f32]>, [outs, ins]: [usize; 2]) -> Self {
        assert!(outs > 0 && ins > 0, "a convolution has channels");
        assert_eq!(weight.len(), volume(&[outs, ins]), "weight is [out, in]");
        let mut weights = Buf::zeroed(volume(&[outs.next_multiple_of(16), ins]));
        panels(isa, weight, ins, &mut weights);
        Self { ins, outs, isa, weights, bias: bias.map(|b| padded_bias(Some(b), outs)) }
    }

    /// Size of the weights in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.weights) + self.bias.as_ref().map_or(0, |b| size_of_val(&**b))
    }

    /// `output` `[out, h, w]` = convolution of `input` `[in, h, w]` + bias + `residual` `[out, h, w]`.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run(&self, input: &[f32], [h, w]: [usize; 2], output: &mut [f32], residual: Option<&[f32]>) {
        let pixels = volume(&[h, w]);
        assert_eq!(input.len(), volume(&[self.ins, pixels]), "input is [in, h, w]");
        assert_eq!(output.len(), volume(&[self.outs, pixels]), "output is [out, h, w]");
        assert!(residual.is_none_or(|r| r.len() == output.len()), "residual is [out, h, w]");
        let residual = residual.map_or(std::ptr::null(), <[f32]>::as_ptr);
        self.run_pixels(pixels, input.as_ptr(), pixels, Shared::new(output), pixels, residual);
    }

    /// Convolves some rows; the first row to write is row `first` of `input`.
    ///
    /// # Panics
    ///
    /// If a map has another number of channels, widths differ, or the input lacks rows.
    pub fn run_rows(&self, input: Map<'_>, first: usize, output: MapMut<'_>) {
        let (from, to) = (input.place, output.place);
        assert!(input.channels() == self.ins && output.channels() == self.outs, "maps have the layer's channels");
        assert_eq!(from.width, to.width, "input and output have the same width");
        assert!(from.first <= first && first + to.rows() <= from.end, "the input has the rows of the output");
        let (x, y) = (input.values.as_ptr(), Shared::new(output.values));
        let mut r = 0;
        while r < to.rows() {
            let (source, target) = ((first + r) % from.capacity, (to.first + r) % to.capacity);
            let rows = (to.rows() - r).min(from.capacity - source).min(to.capacity - target);
            let x = x.wrapping_add(source * from.width);
            let y = y.moved(target * to.width);
            self.run_pixels(rows * to.width, x, from.plane(), y, to.plane(), std::ptr::null());
            r += rows;
        }
    }

    /// Convolves consecutive pixels; `x_stride` and `y_stride` are the distances between channels, that of the
    /// residual is `y_stride`.
    fn run_pixels(
        &self,
        pixels: usize,
        x: *const f32,
        x_stride: usize,
        y: Shared,
        y_stride: usize,
        residual: *const f32,
    ) {
        let call = Call {
            ins: self.ins,
            outs: self.outs,
            pixels,
            x,
            x_stride,
            y_stride,
            residual,
            weights: self.weights.as_ptr(),
            bias: self.bias.as_ref().map_or(std::ptr::null(), |b| b.as_ptr()),
        };
        let (parts, blocks) = (pixels.div_ceil(PIXELS), self.outs.div_ceil(16));
        // With few pixels, split output channels too. Each group packs its input again.
        let group = blocks.div_ceil((TASKS / parts.max(1)).clamp(1, blocks));
        let groups = blocks.div_ceil(group);
        (0..parts * groups).into_par_iter().with_max_len(1).for_each(|i| {
            let (p0, b0) = (i / groups * PIXELS, i % groups * group);
            let blocks = b0..(b0 + group).min(blocks);
            local([self.ins * PIXELS, 16 * PIXELS], |[v, m]| {
                // SAFETY: `call` and `y` point to whole images of the sizes stated; the scratch areas hold a block of
                // pixels; tasks write different pixels or channels.
                unsafe { pointwise(self.isa, &call, y.ptr(), p0, blocks, v.as_mut_ptr(), m.as_mut_ptr()) }
            });
        });
    }
}

/// The arguments of one call: sizes, and pointers to whole arrays.
struct Call {
    ins: usize,
    outs: usize,
    pixels: usize,
    x: *const f32,
    /// Distances between channels.
    x_stride: usize,
    y_stride: usize,
    /// May be null.
    residual: *const f32,
    weights: *const f32,
    /// May be null.
    bias: *const f32,
}

// SAFETY: tasks only read through it.
unsafe impl Sync for Call {}

/// Computes the output channels of some blocks of 16, for a block of pixels from p0 on.
#[inline(always)]
unsafe fn pointwise_task<S: Simd>(
    call: &Call,
    y: *mut f32,
    p0: usize,
    blocks: std::ops::Range<usize>,
    v: *mut f32,
    m: *mut f32,
) {
    let n = PIXELS.min(call.pixels - p0);
    let ld = n.next_multiple_of(S::L);
    for c in 0..call.ins {
        for j in (0..ld).step_by(S::L) {
            let x = S::load_range(call.x.add(c * call.x_stride + p0), j as isize, n as isize);
            S::store(v.add(c * ld + j), x);
        }
    }
    for b in blocks {
        let outs = 16.min(call.outs - b * 16);
        let at = b * 16 * call.y_stride + p0;
        let direct = n == ld && outs == 16;
        let (dst, ldd) = if direct { (y.add(at), call.y_stride) } else { (m, ld) };
        // Initialise the sums with bias and residual.
        let start = !call.bias.is_null() || !call.residual.is_null();
        for i in 0..if start { 16 } else { 0 } {
            let bias = S::splat(if call.bias.is_null() { 0.0 } else { *call.bias.add(b * 16 + i) });
            for j in (0..ld).step_by(S::L) {
                let mut r = bias;
                if !call.residual.is_null() && i < outs {
                    r = S::add(r, S::load_range(call.residual.add(at + i * call.y_stride), j as isize, n as isize));
                }
                S::store(dst.add(i * ldd + j), r);
            }
        }
        S::strip(call.ins, call.weights.add(b * call.ins * 16), v, ld, dst, ldd, ld / S::L, start);
        if !direct {
            for i in 0..outs {
                std::ptr::copy_nonoverlapping(m.add(i * ld), y.add(at + i * call.y_stride), n);
            }
        }
    }
}
dispatch!(
    unsafe fn pointwise(
        call: &Call, y: *mut f32, p0: usize, blocks: std::ops::Range<usize>, v: *mut f32, m: *mut f32,
    ) => pointwise_task
);
