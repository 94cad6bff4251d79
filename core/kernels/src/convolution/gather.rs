//! Convolution as a matrix product of weights and pixels, which are gathered in blocks.

use crate::isa::{Isa, dispatch};
use crate::scratch::{Loan, Shared, local, volume};
use crate::simd::Simd;
use rayon::prelude::*;
use std::ops::Range;

/// The number of pixels in a task is a multiple of this, and this is a multiple of every vector length.
const UNIT: usize = 96;
/// Most units in a task; with few channels more, so that rows of pixels are long.
const UNITS: usize = 5;
/// Rows of the product (input channels × taps) in a block.
const DEPTH: usize = 512;
/// Fewest tasks to make, if there are enough channels.
const TASKS: usize = 16;
/// Values of padded input to make at a time, if there are several images.
const MAX_PADDED: usize = 6 << 20;

/// y(b, m, i·spread + `offset[0]`, j·spread + `offset[1]`) = bias(m) + Σ over channels c and taps of
/// weight(m, c, tap) · x(b, c, i·stride + `tap[0]`, j·stride + `tap[1]`), for i and j in the grid; x is zero outside.
pub(super) struct Gather {
    pub(super) ins: usize,
    /// Height and width of x, and of y.
    pub(super) size: [usize; 2],
    pub(super) outs: usize,
    pub(super) target: [usize; 2],
    pub(super) grid: [usize; 2],
    pub(super) stride: usize,
    pub(super) spread: usize,
    pub(super) offset: [usize; 2],
    pub(super) taps: Vec<[isize; 2]>,
    /// Weights are in panels of 16 m. Rows `row`.. of a panel, which has `rows` rows, are the (c, tap) of this
    /// product.
    pub(super) row: usize,
    pub(super) rows: usize,
}

impl Gather {
    /// 1×1, for images whose pixels are treated as one long row.
    pub(super) fn pointwise(ins: usize, outs: usize, pixels: usize) -> Self {
        let size = [1, pixels];
        let taps = vec![[0, 0]];
        Self {
            ins,
            size,
            outs,
            target: size,
            grid: size,
            stride: 1,
            spread: 1,
            offset: [0, 0],
            taps,
            row: 0,
            rows: ins,
        }
    }
}

/// Where the values of x are read from: x itself, or a padded copy.
struct Source {
    /// Rows and columns of zeros before the image.
    before: [usize; 2],
    rows: usize,
    /// Number of columns per residue modulo the stride. A row stores the columns of each residue together, so that a
    /// step of the stride reads neighbours.
    part: usize,
    copied: bool,
}

impl Source {
    /// Reserves padding for all taps of all products, which have the same x and stride.
    fn new(gathers: &[Gather]) -> Self {
        let (mut low, mut high) = ([0; 2], [0; 2]);
        for g in gathers {
            for tap in &g.taps {
                for d in 0..2 {
                    low[d] = low[d].min(tap[d]);
                    high[d] = high[d].max(((g.grid[d] - 1) * g.stride) as isize + tap[d] + 1);
                }
            }
        }
        let g = &gathers[0];
        let inside = low == [0, 0] && high[0] <= g.size[0] as isize && high[1] <= g.size[1] as isize;
        if inside && g.stride == 1 {
            return Self { before: [0, 0], rows: g.size[0], part: g.size[1], copied: false };
        }
        let [rows, columns] = [0, 1].map(|d| (high[d] - low[d]) as usize);
        Self { before: low.map(|l| -l as usize), rows, part: columns.div_ceil(g.stride), copied: true }
    }

    /// Fills one padded plane.
    fn copy(&self, plane: &[f32], [h, w]: [usize; 2], stride: usize, padded: &mut [f32]) {
        let [top, left] = self.before;
        padded.fill(0.0);
        for (y, row) in padded.chunks_exact_mut(self.part * stride).enumerate() {
            if y < top || y - top >= h {
                continue;
            }
            let plane = &plane[(y - top) * w..][..w];
            for (residue, part) in row.chunks_exact_mut(self.part).enumerate() {
                // Column j of the part is column j·stride + residue − left of the image.
                let first = left.saturating_sub(residue).div_ceil(stride);
                let from = first * stride + residue - left;
                if stride == 1 {
                    let n = w.min(part.len() - first);
                    part[first..first + n].copy_from_slice(&plane[..n]);
                } else if from < w {
                    part[first..].iter_mut().zip(plane[from..].iter().step_by(stride)).for_each(|(p, &x)| *p = x);
                }
            }
        }
    }
}

/// Computes products that have the same input, into one output. The caller has checked the lengths of the slices.
pub(super) fn run(
    isa: Isa,
    gathers: &[Gather],
    images: usize,
    x: &[f32],
    weights: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let Some(&Gather { ins, size, stride, .. }) = gathers.first() else { return };
    let source = Source::new(gathers);
    let plane = volume(&[source.rows, source.part, stride]);
    let share = (MAX_PADDED / (ins * plane).max(1)).clamp(1, images);
    // Reads extend up to one vector beyond the end.
    let mut padded = Loan::new(if source.copied { volume(&[share, ins, plane]) + 16 } else { 0 });
    let (xs, ys) = (x.len() / images, y.len() / images);
    for (x, y) in x.chunks(share * xs).zip(y.chunks_mut(share * ys)) {
        let images = x.len() / xs;
        if source.copied {
            let planes = padded.par_chunks_exact_mut(plane).zip(x.par_chunks_exact(size[0] * size[1]));
            planes.with_min_len(8).for_each(|(padded, x)| source.copy(x, size, stride, padded));
        }
        let y = Shared::new(y);
        for gather in gathers {
            let offset = |[dy, dx]: [isize; 2]| {
                let (r, c) = (dy + source.before[0] as isize, dx + source.before[1] as isize);
                (r as usize * stride + c as usize % stride) * source.part + c as usize / stride
            };
            let call = Call {
                gather,
                x: if source.copied { padded.as_ptr() } else { x.as_ptr() },
                plane,
                row: source.part * stride,
                copied: source.copied,
                taps: &gather.taps.iter().map(|&tap| offset(tap)).collect::<Vec<_>>(),
                pixels: images * gather.grid[0] * gather.grid[1],
                weights: weights.as_ptr(),
                bias: bias.map_or(std::ptr::null(), <[f32]>::as_ptr),
            };
            let depth = DEPTH.min(ins * gather.taps.len());
            let units = (DEPTH / depth.max(gather.outs)).min(call.pixels / (TASKS * UNIT)).clamp(1, UNITS);
            let pixels = units * UNIT;
            let (parts, panels) = (call.pixels.div_ceil(pixels), gather.outs.div_ceil(16));
            // With few pixels, split output channels too. Each group gathers its pixels again.
            let group = panels.div_ceil((TASKS / parts.max(1)).clamp(1, panels));
            let groups = panels.div_ceil(group);
            (0..parts * groups).into_par_iter().with_max_len(1).for_each(|i| {
                let panels = i % groups * group..(i % groups * group + group).min(panels);
                local([depth * pixels + 16, panels.len() * 16 * pixels], |[v, m]| {
                    // SAFETY: `call` and `y` point to whole images of the sizes stated; the scratch areas hold a block
                    // of pixels; tasks write different pixels or channels.
                    unsafe {
                        let first = i / groups * pixels;
                        let range = first..(first + pixels).min(call.pixels);
                        block(isa, &call, range, panels, v.as_mut_ptr(), m.as_mut_ptr(), y.ptr());
                    }
                });
            });
        }
    }
}

/// One product: sizes, and pointers to whole arrays.
struct Call<'a> {
    gather: &'a Gather,
    x: *const f32,
    /// Values between planes, and between rows of x.
    plane: usize,
    row: usize,
    copied: bool,
    /// Offset of each tap from the first value of x.
    taps: &'a [usize],
    pixels: usize,
    weights: *const f32,
    /// May be null.
    bias: *const f32,
}

// SAFETY: tasks only read through it.
unsafe impl Sync for Call<'_> {}

/// Neighbours in a row: `len` pixels of a block from `at` on, and their positions in x and y.
#[derive(Clone, Copy, Default)]
struct Run {
    at: usize,
    len: usize,
    x: usize,
    y: usize,
}

/// Computes the output channels of some panels for a block of pixels.
#[inline(always)]
unsafe fn block_task<S: Simd>(
    call: &Call,
    pixels: Range<usize>,
    panels: Range<usize>,
    v: *mut f32,
    m: *mut f32,
    y: *mut f32,
) {
    let g = call.gather;
    let ([gh, gw], area) = (g.grid, g.target[0] * g.target[1]);
    let (n0, n) = (pixels.start, pixels.len());
    let ld = n.next_multiple_of(S::L);
    let (mut runs, mut count, mut at) = ([Run::default(); UNIT * UNITS], 0, 0);
    while at < n {
        let (b, i, j) = ((n0 + at) / gw / gh, (n0 + at) / gw % gh, (n0 + at) % gw);
        let len = (gw - j).min(n - at);
        let x = b * g.ins * call.plane + i * g.stride * call.row + j;
        let (oy, ox) = (i * g.spread + g.offset[0], j * g.spread + g.offset[1]);
        runs[count] = Run { at, len, x, y: b * g.outs * area + oy * g.target[1] + ox };
        (count, at) = (count + 1, at + len);
    }
    let runs = &runs[..count];
    // Initialise the sums with the bias.
    let biased = !call.bias.is_null();
    for o in 0..if biased { panels.len() * 16 } else { 0 } {
        let o16 = panels.start * 16 + o;
        let bias = S::splat(if o16 < g.outs { *call.bias.add(o16) } else { 0.0 });
        for j in (0..ld).step_by(S::L) {
            S::store(m.add(o * ld + j), bias);
        }
    }
    let depth = g.ins * call.taps.len();
    for k0 in (0..depth).step_by(DEPTH) {
        let kn = DEPTH.min(depth - k0);
        for k in 0..kn {
            let src = call.x.add((k0 + k) / call.taps.len() * call.plane + call.taps[(k0 + k) % call.taps.len()]);
            // A vector may overwrite the beginning of the next run, which is written afterwards.
            let dst = v.add(k * ld);
            for run in runs {
                for j in (0..run.len).step_by(S::L) {
                    let src = src.add(run.x);
                    let x = if call.copied {
                        S::load(src.add(j))
                    } else {
                        S::load_range(src, j as isize, run.len as isize)
                    };
                    S::store(dst.add(run.at + j), x);
                }
            }
        }
        for (i, panel) in panels.clone().enumerate() {
            let a = call.weights.add((panel * g.rows + g.row + k0) * 16);
            S::strip(kn, a, v, ld, m.add(i * 16 * ld), ld, ld / S::L, biased || k0 > 0);
        }
    }
    for o in 0..(panels.len() * 16).min(g.outs - panels.start * 16) {
        for run in runs {
            let (src, dst) = (m.add(o * ld + run.at), y.add((panels.start * 16 + o) * area + run.y));
            if g.spread == 1 {
                std::ptr::copy_nonoverlapping(src, dst, run.len);
            } else {
                for j in 0..run.len {
                    *dst.add(j * g.spread) = *src.add(j);
                }
            }
        }
    }
}
dispatch!(
    unsafe fn block(
        call: &Call, pixels: Range<usize>, panels: Range<usize>, v: *mut f32, m: *mut f32, y: *mut f32,
    ) => block_task
);
