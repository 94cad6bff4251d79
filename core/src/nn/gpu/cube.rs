//! The GPU kernels, compiled from one source to WGSL, SPIR-V, Metal and CUDA.

#![allow(clippy::used_underscore_binding, reason = "what `cube` makes of the types of a kernel")]

use burn_cubecl::cubecl;
use cubecl::prelude::*;

/// Size of the tile that one workgroup of the convolution computes: this many pixels by this many output channels.
pub(super) const PIXELS: usize = 64;
pub(super) const OUTS: usize = 64;
/// Input channels that a workgroup holds in shared memory at a time.
const DEPTH: usize = 16;
/// Width and height of a workgroup in units. Each unit computes a patch of this side of pixels by channels.
pub(super) const SIDE: usize = 16;
const PATCH: usize = 4;
/// Length of a row of pixels in shared memory. It is odd so that neighbouring units write to different memory banks.
const ROW: usize = PIXELS + 1;

/// Looks up and sums rows. Table `[rows, channels]`, ids `[n, taps]`, bias `[channels]`, out `[n, channels]`, all
/// contiguous. One unit per value.
#[cube(launch)]
pub(super) fn sum_rows_kernel<T: Float, B: Float, I: Int>(
    table: &Tensor<T>,
    ids: &Tensor<I>,
    bias: &Tensor<B>,
    out: &mut Tensor<B>,
    #[comptime] relu: bool,
    #[define(T, B, I)] _types: [ElemType; 3],
) {
    let channels = table.shape(1);
    if ABSOLUTE_POS >= ids.shape(0) * channels {
        terminate!();
    }
    let (row, channel) = (ABSOLUTE_POS / channels, ABSOLUTE_POS % channels);
    let (rows, taps) = (table.shape(0), ids.shape(1));
    let mut sum = f32::cast_from(bias[channel]);
    for tap in 0..taps {
        let id = usize::cast_from(ids[row * taps + tap]);
        if id < rows {
            sum += f32::cast_from(table[id * channels + channel]);
        }
    }
    if relu {
        sum = max(sum, 0.0f32);
    }
    out[ABSOLUTE_POS] = B::cast_from(sum);
}

/// Normalises and modulates. `x` and `out` are `[batch, channels, h, w]` with any strides; the rest is contiguous.
/// One unit per value, with neighbouring units on neighbouring channels.
#[cube(launch)]
pub(super) fn modulate_kernel<F: Float, M: Float, T: Float, I: Int>(
    x: &Tensor<F>,
    mean: &Tensor<M>,
    scale: &Tensor<M>,
    gamma: &Tensor<T>,
    beta: &Tensor<T>,
    ids: &Tensor<I>,
    out: &mut Tensor<F>,
    slope: f32,
    #[define(F, M, T, I)] _types: [ElemType; 4],
) {
    let (channels, height, width) = (x.shape(1), x.shape(2), x.shape(3));
    if ABSOLUTE_POS >= x.shape(0) * channels * height * width {
        terminate!();
    }
    let (pixel, channel) = (ABSOLUTE_POS / channels, ABSOLUTE_POS % channels);
    let (row, column) = (pixel / width, pixel % width);
    let (batch, row) = (row / height, row % height);
    let entry = usize::cast_from(ids[pixel]) * channels + channel;
    let from = batch * x.stride(0) + channel * x.stride(1) + row * x.stride(2) + column * x.stride(3);
    let value = (f32::cast_from(x[from]) - f32::cast_from(mean[channel])) * f32::cast_from(scale[channel]);
    let value = value * f32::cast_from(gamma[entry]) + f32::cast_from(beta[entry]);
    let to = batch * out.stride(0) + channel * out.stride(1) + row * out.stride(2) + column * out.stride(3);
    out[to] = F::cast_from(max(value, slope * value));
}

/// Convolution. `x` `[batch, in, h, w]`, `weight` `[out, in, k, k]` and `out` may have any strides; `bias` is
/// `[out]`.
///
/// This is a tiled matrix product of pixels and output channels over taps and input channels: a workgroup copies a
/// tile of both factors into shared memory, then each unit multiplies its rows and columns.
#[cube(launch)]
pub(super) fn convolution_kernel<F: Float>(
    x: &Tensor<F>,
    weight: &Tensor<F>,
    bias: &Tensor<F>,
    out: &mut Tensor<F>,
    stride: usize,
    padding: usize,
    #[comptime] kernel: usize,
    #[define(F)] _type: ElemType,
) {
    let (ins, outs) = (x.shape(1), out.shape(1));
    let (height, width) = (out.shape(2), out.shape(3));
    let pixels = out.shape(0) * height * width;
    let first_pixel = (CUBE_POS_Z * CUBE_COUNT_Y + CUBE_POS_Y) as usize * PIXELS;
    let first_out = CUBE_POS_X as usize * OUTS;
    let unit = UNIT_POS as usize;

    let mut left = Shared::<[f32]>::new_slice(DEPTH * ROW);
    let mut right = Shared::<[f32]>::new_slice(DEPTH * OUTS);
    let mut sums = Array::<f32>::new(PATCH * PATCH);
    #[unroll]
    for i in 0..PATCH * PATCH {
        sums[i] = 0.0f32;
    }

    // What this unit copies: four input channels of one pixel, and one input channel of four output channels.
    let (my_pixel, my_channel) = (unit / PATCH, unit % PATCH * PATCH);
    let pixel = first_pixel + my_pixel;
    let (batch, row, column) = (pixel / width / height, pixel / width % height, pixel % width);
    let (my_row, my_out) = (unit / SIDE, unit % SIDE * PATCH);

    // The patch this unit multiplies.
    let (unit_y, unit_x) = (UNIT_POS_Y as usize * PATCH, UNIT_POS_X as usize * PATCH);

    for tap in 0..kernel * kernel {
        let (dy, dx) = (tap / kernel, tap % kernel);
        let (y, x_at) = (row * stride + dy, column * stride + dx);
        let inside = pixel < pixels
            && y >= padding
            && y < x.shape(2) + padding
            && x_at >= padding
            && x_at < x.shape(3) + padding;
        let from = batch * x.stride(0) + (y - padding) * x.stride(2) + (x_at - padding) * x.stride(3);
        let tap_weight = dy * weight.stride(2) + dx * weight.stride(3);
        for first in range_stepped(0, ins, DEPTH) {
            #[unroll]
            for i in 0..PATCH {
                let channel = first + my_channel + i;
                let mut value = 0.0f32;
                if inside && channel < ins {
                    value = f32::cast_from(x[from + channel * x.stride(1)]);
                }
                left[(my_channel + i) * ROW + my_pixel] = value;
            }
            #[unroll]
            for i in 0..PATCH {
                let (channel, output) = (first + my_row, first_out + my_out + i);
                let mut value = 0.0f32;
                if channel < ins && output < outs {
                    let at = tap_weight + channel * weight.stride(1) + output * weight.stride(0);
                    value = f32::cast_from(weight[at]);
                }
                right[my_row * OUTS + my_out + i] = value;
            }
            sync_cube();
            #[unroll]
            for k in 0..DEPTH {
                #[unroll]
                for i in 0..PATCH {
                    let a = left[k * ROW + unit_y + i];
                    #[unroll]
                    for j in 0..PATCH {
                        sums[i * PATCH + j] += a * right[k * OUTS + unit_x + j];
                    }
                }
            }
            sync_cube();
        }
    }

    #[unroll]
    for i in 0..PATCH {
        let pixel = first_pixel + unit_y + i;
        let (batch, row, column) = (pixel / width / height, pixel / width % height, pixel % width);
        #[unroll]
        for j in 0..PATCH {
            let output = first_out + unit_x + j;
            if pixel < pixels && output < outs {
                let to = batch * out.stride(0) + output * out.stride(1) + row * out.stride(2) + column * out.stride(3);
                out[to] = F::cast_from(sums[i * PATCH + j] + f32::cast_from(bias[output]));
            }
        }
    }
}
