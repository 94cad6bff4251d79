//! Convolution for training: batches, weights that change from call to call, and gradients.
//!
//! There are three methods, each for the forward pass and both gradients:
//!
//! * Kernels with two to four taps per side and stride step: Winograd's minimal filtering. [`crate::winograd`]
//!   handles 3×3 with stride and padding 1 and its input gradient, which is the same with flipped kernels; [`tiles`]
//!   handles all others, and gradients of weights.
//! * Few channels on one side ([`scatter`]): compute all products first, then sum neighbours.
//! * All others ([`gather`], [`outer`]): matrix products. The input gradient of a convolution with stride s is s²
//!   products with stride 1, one for each residue of rows and columns modulo s; each uses its own subset of the taps.

mod gather;
mod outer;
mod scatter;
mod tiles;

use crate::isa::{Isa, dispatch};
use crate::layout::{adjoint_panels, panels, taps_last};
use crate::scratch::{Loan, Shared, volume};
use crate::simd::Simd;
use crate::winograd;
use gather::Gather;
use outer::Outer;
use rayon::prelude::*;
use tiles::Tiles;

/// Most values that the products of a convolution with few channels may have: 256 MiB.
const MAX_PRODUCTS: usize = 64 << 20;
/// With this many channels or fewer on one side, Winograd transforms cost more than they save.
const FEW: usize = 4;

/// The dimensions of a 2-D convolution of a batch of images, with a square kernel and zero padding.
///
/// Images are `[batch, channels, height, width]`, weights `[out, in, kernel, kernel]`. The relative error (Frobenius
/// norm) compared with exact arithmetic is below 1e-5, unless results cancel out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    batch: usize,
    outs: usize,
    ins: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Height and width of input and output.
    size: [usize; 2],
    output: [usize; 2],
}

impl Convolution {
    /// A convolution of `batch` images of `size` `[height, width]`; `channels` is `[out, in]`.
    ///
    /// # Panics
    ///
    /// If one of the sizes (other than `padding`) is zero, the kernel does not fit in a padded image, or a row is
    /// longer than 2²⁴ pixels.
    pub fn new(
        batch: usize,
        [outs, ins]: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
        size: [usize; 2],
    ) -> Self {
        assert!(batch > 0 && outs > 0 && ins > 0, "a convolution has images and channels");
        assert!(kernel > 0 && stride > 0, "a convolution has a kernel and a stride");
        assert!(size[0] > 0 && size[1] > 0, "an image has pixels");
        assert!(size[1] <= 1 << 24, "rows are at most 2^24 pixels long");
        // The largest offset of the kernel. With a longer stride there is one output, whatever the stride.
        let room = size.map(|n| {
            let padded = padding.checked_mul(2).and_then(|p| p.checked_add(n)).expect("sizes fit in memory");
            assert!(padded >= kernel, "the kernel fits in an image");
            padded - kernel
        });
        let stride = stride.min(room[0].max(room[1]) + 1);
        let output = room.map(|room| room / stride + 1);
        Self { batch, outs, ins, kernel, stride, padding, size, output }
    }

    /// Height and width of the output.
    pub fn output_size(&self) -> [usize; 2] {
        self.output
    }

    /// Number of values of the input, the weights, and the output.
    pub fn lens(&self) -> [usize; 3] {
        let ([h, w], [oh, ow]) = (self.size, self.output);
        [
            volume(&[self.batch, self.ins, h, w]),
            volume(&[self.outs, self.ins, self.kernel, self.kernel]),
            volume(&[self.batch, self.outs, oh, ow]),
        ]
    }

    #[track_caller]
    fn check(&self, input: usize, weight: usize, output: usize) {
        let lens = self.lens();
        assert_eq!(input, lens[0], "input is [batch, in, h, w]");
        assert_eq!(weight, lens[1], "weight is [out, in, kernel, kernel]");
        assert_eq!(output, lens[2], "output is [batch, out, h, w]");
    }

    /// Whether this is 1×1 with stride 1 and no padding, so that an image can be treated as one long row.
    fn pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// Whether this is 3×3 with stride and padding 1, with enough channels for Winograd tiles.
    fn winograd(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (3, 1, 1) && self.outs.min(self.ins) > FEW
    }

    /// Tiles whose SIMD lanes are channels, if they support the kernel and there are enough channels.
    fn tiles(&self) -> Option<Tiles> {
        let &Self { batch: images, outs, ins, kernel, stride, padding, size, output } = self;
        let fit = Tiles::fits(kernel, stride) && outs.min(ins) > FEW;
        fit.then_some(Tiles { images, outs, ins, kernel, stride, padding, size, output })
    }

    /// Whether taps fill panels of 16 much better than that many channels do, and their products fit in memory.
    fn few(&self, channels: usize) -> bool {
        let taps = self.kernel * self.kernel;
        let pixels = volume(&self.size).max(volume(&self.output));
        let fits = volume(&[self.batch, channels, taps, pixels]) <= MAX_PRODUCTS;
        fits && self.stride == 1 && 2 * (channels * taps).next_multiple_of(16) < channels.next_multiple_of(16) * taps
    }

    /// Offsets from a pixel of the output to those of the input; or the other way around, for stride 1.
    fn taps(&self, forward: bool) -> Vec<[isize; 2]> {
        let offset = |k: usize| k as isize - self.padding as isize;
        let sign = if forward { 1 } else { -1 };
        (0..self.kernel * self.kernel)
            .map(|t| [sign * offset(t / self.kernel), sign * offset(t % self.kernel)])
            .collect()
    }

    /// `output` `[batch, out, oh, ow]` = convolution of `input` `[batch, in, h, w]` with `weight`
    /// `[out, in, kernel, kernel]`, plus `bias` `[out]`.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn forward(&self, isa: Isa, input: &[f32], weight: &[f32], bias: Option<&[f32]>, output: &mut [f32]) {
        self.check(input.len(), weight.len(), output.len());
        assert!(bias.is_none_or(|b| b.len() == self.outs), "bias is [out]");
        let &Self { batch, outs, ins, size, .. } = self;
        let taps = self.kernel * self.kernel;
        if self.few(outs) {
            let weight = |m: usize, t: usize, c: usize| weight[(m * ins + c) * taps + t];
            let y = (output, self.output);
            return scatter::run(isa, batch, [outs, ins], &self.taps(true), weight, bias, (input, size), y);
        }
        if let Some(tiles) = self.tiles().filter(|t| !self.winograd() && t.pay()) {
            return tiles.forward(isa, input, weight, bias, output);
        }
        let mut packed = Loan::new(volume(&[outs.next_multiple_of(16), ins, taps]));
        panels(isa, weight, ins * taps, &mut packed);
        if self.winograd() {
            let bias = winograd::padded_bias(bias, outs);
            return winograd::convolve(isa, &packed, &bias, [outs, ins], batch, input, size, output);
        }
        let gather = if self.pointwise() {
            Gather::pointwise(ins, outs, size[0] * size[1])
        } else {
            Gather {
                ins,
                size,
                outs,
                target: self.output,
                grid: self.output,
                stride: self.stride,
                spread: 1,
                offset: [0, 0],
                taps: self.taps(true),
                row: 0,
                rows: ins * taps,
            }
        };
        gather::run(isa, &[gather], batch, input, &packed, bias, output);
    }

    /// The gradient of the input, `[batch, in, h, w]`, from that of the output, `[batch, out, oh, ow]`.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn input_gradient(&self, isa: Isa, output_gradient: &[f32], weight: &[f32], input_gradient: &mut [f32]) {
        self.check(input_gradient.len(), weight.len(), output_gradient.len());
        let &Self { batch, outs, ins, kernel, stride, padding, size, output } = self;
        let taps = kernel * kernel;
        if self.few(ins) {
            let weight = |m: usize, t: usize, c: usize| weight[(c * ins + m) * taps + t];
            let (x, y) = ((output_gradient, output), (input_gradient, size));
            return scatter::run(isa, batch, [ins, outs], &self.taps(false), weight, None, x, y);
        }
        if let Some(tiles) = self.tiles().filter(|t| !self.winograd() && t.pay()) {
            return tiles.input_gradient(isa, output_gradient, weight, input_gradient);
        }
        let rows = outs * taps;
        let mut packed = Loan::new(volume(&[ins.next_multiple_of(16), rows]));
        if self.winograd() {
            let turned: Vec<[usize; 2]> = (0..taps).map(|t| [taps - 1 - t, taps]).collect();
            adjoint_panels(isa, weight, ins, &turned, rows, &mut packed);
            let bias = winograd::padded_bias(None, ins);
            return winograd::convolve(isa, &packed, &bias, [ins, outs], batch, output_gradient, size, input_gradient);
        }
        if self.pointwise() {
            adjoint_panels(isa, weight, ins, &[[0, 1]], rows, &mut packed);
            let gather = Gather::pointwise(outs, ins, size[0] * size[1]);
            return gather::run(isa, &[gather], batch, output_gradient, &packed, None, input_gradient);
        }
        // Pixel y of the input, y + padding = i·stride + residue, contributes to row i − a of the output through tap
        // residue + a·stride.
        let mut places = vec![[0, 0]; taps];
        let mut gathers = Vec::new();
        let mut row = 0;
        // Residues beyond the kernel have no tap.
        let reach = stride.min(kernel);
        for phase in 0..reach * reach {
            let residue = [phase / reach, phase % reach];
            let mine: Vec<usize> =
                (0..taps).filter(|t| [t / kernel % stride, t % kernel % stride] == residue).collect();
            for (i, &t) in mine.iter().enumerate() {
                places[t] = [row + i, mine.len()];
            }
            // The first pixel with this residue.
            let offset = residue.map(|r| (r + stride - padding % stride) % stride);
            let base = [0, 1].map(|d| ((offset[d] + padding - residue[d]) / stride) as isize);
            let grid = [0, 1].map(|d| size[d].saturating_sub(offset[d]).div_ceil(stride));
            let place = |t: usize| [base[0] - (t / kernel / stride) as isize, base[1] - (t % kernel / stride) as isize];
            let gather = Gather {
                ins: outs,
                size: output,
                outs: ins,
                target: size,
                grid,
                stride: 1,
                spread: stride,
                offset,
                taps: mine.iter().map(|&t| place(t)).collect(),
                row,
                rows,
            };
            row += outs * mine.len();
            if grid[0] > 0 && grid[1] > 0 && !mine.is_empty() {
                gathers.push(gather);
            }
        }
        if kernel < stride {
            // Some pixels have no tap.
            input_gradient.fill(0.0);
        }
        adjoint_panels(isa, weight, ins, &places, rows, &mut packed);
        gather::run(isa, &gathers, batch, output_gradient, &packed, None, input_gradient);
    }

    /// The gradient of the weights, `[out, in, kernel, kernel]`, from the input, `[batch, in, h, w]`, and the
    /// gradient of the output, `[batch, out, oh, ow]`.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn weight_gradient(&self, isa: Isa, input: &[f32], output_gradient: &[f32], weight_gradient: &mut [f32]) {
        self.check(input.len(), weight_gradient.len(), output_gradient.len());
        let &Self { batch: images, outs, ins, kernel, stride, padding, size, output } = self;
        let taps = kernel * kernel;
        if let Some(tiles) = self.tiles() {
            return tiles.weight_gradient(isa, input, output_gradient, weight_gradient);
        }
        if self.few(outs) && padding < kernel {
            // With the roles swapped: windows of the output gradient, for each pixel of the input.
            let outer = Outer {
                images,
                rows: ins,
                grid: size,
                channels: outs,
                size: output,
                kernel,
                stride,
                padding: kernel - 1 - padding,
            };
            let to = Shared::new(weight_gradient);
            return outer.run(isa, input, output_gradient, |c, sums| {
                for (i, &sum) in sums.iter().enumerate() {
                    // SAFETY: a weight of input channel c, which no other task writes.
                    unsafe { *to.ptr().add((i % outs * ins + c) * taps + taps - 1 - i / outs) = sum };
                }
            });
        }
        let outer = Outer { images, rows: outs, grid: output, channels: ins, size, kernel, stride, padding };
        let to = Shared::new(weight_gradient);
        outer.run(isa, output_gradient, input, |o, sums| {
            // SAFETY: the weights of output channel o, which no other task writes.
            let gradient = unsafe { std::slice::from_raw_parts_mut(to.ptr().add(o * ins * taps), ins * taps) };
            taps_last(isa, sums, taps, gradient);
        });
    }

    /// The gradient of the bias, `[out]`, from that of the output, `[batch, out, oh, ow]`; summed in `f64`.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn bias_gradient(&self, isa: Isa, output_gradient: &[f32], bias_gradient: &mut [f32]) {
        assert_eq!(output_gradient.len(), self.lens()[2], "output gradient is [batch, out, h, w]");
        assert_eq!(bias_gradient.len(), self.outs, "bias gradient is [out]");
        let area = self.output[0] * self.output[1];
        bias_gradient.par_iter_mut().enumerate().for_each(|(o, gradient)| {
            let mut sum = 0.0;
            for plane in output_gradient.chunks_exact(area).skip(o).step_by(self.outs) {
                // SAFETY: no pointers.
                unsafe { total(isa, plane, &mut sum) }
            }
            *gradient = sum as f32;
        });
    }
}

/// Adds all values; the compiler vectorises it.
#[inline(always)]
fn total_task<S: Simd>(values: &[f32], sum: &mut f64) {
    let mut lanes = [0.0; 16];
    let (groups, rest) = values.as_chunks::<16>();
    for group in groups {
        for i in 0..16 {
            lanes[i] += f64::from(group[i]);
        }
    }
    *sum += lanes.iter().sum::<f64>() + rest.iter().map(|&v| f64::from(v)).sum::<f64>();
}
dispatch!(unsafe fn total(values: &[f32], sum: &mut f64) => total_task);
