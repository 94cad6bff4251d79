//! Normalisation, modulation by class and leaky ReLU for training, on batches and with gradients.
//!
//! Images are `[batch, channels, pixels]`. Each function makes as few passes through memory as possible; sums are
//! computed in a fixed order, whatever the number of threads.

use rayon::prelude::*;

use crate::LEAKY_SLOPE;
use crate::elementwise::moments;
use crate::isa::Isa;
use crate::scratch::volume;

/// Values in a task.
const BLOCK: usize = 1 << 14;
/// Number of partial sums that are computed in parallel.
const LANES: usize = 16;

/// Leaky ReLU: `out` = `x` where positive, 0.2 · `x` elsewhere.
///
/// # Panics
///
/// If the slices differ in length.
pub fn leaky(x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "out is as long as x");
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(out, x)| {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x.max(LEAKY_SLOPE * x);
        }
    });
}

/// The gradient of [`leaky`] with respect to its input, from that with respect to its output.
///
/// # Panics
///
/// If the slices differ in length.
pub fn leaky_gradient(x: &[f32], gradient: &[f32], out: &mut [f32]) {
    assert!(x.len() == out.len() && gradient.len() == out.len(), "all are of one length");
    out.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).zip(gradient.par_chunks(BLOCK)).for_each(|((out, x), g)| {
        for ((out, &x), &g) in out.iter_mut().zip(x).zip(g) {
            *out = if x > 0.0 { g } else { LEAKY_SLOPE * g };
        }
    });
}

/// Mean and biased variance (divided by n) of each channel over a batch.
///
/// # Panics
///
/// If `x` is empty or cannot be divided into that many planes.
pub fn batch_moments(isa: Isa, x: &[f32], batch: usize, channels: usize) -> Vec<[f64; 2]> {
    let planes = volume(&[batch, channels]);
    let (mut means, mut variances) = (vec![0.0; planes], vec![0.0; planes]);
    moments(isa, x, &mut means, &mut variances);
    let of_channel = |c: usize| {
        let planes = || means.iter().zip(&variances).skip(c).step_by(channels);
        let whole = planes().map(|(mean, _)| mean).sum::<f64>() / batch as f64;
        let spread = planes().map(|(mean, variance)| variance + (mean - whole).powi(2)).sum::<f64>();
        [whole, spread / batch as f64]
    };
    (0..channels).map(of_channel).collect()
}

/// `out` = (`x` − mean) · `scale`; mean and scale are `[channels]`.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn standardize(x: &[f32], batch: usize, mean: &[f32], scale: &[f32], out: &mut [f32]) {
    let n = plane(x.len(), batch, mean.len());
    assert!(out.len() == x.len() && scale.len() == mean.len(), "out is as x, scale as mean");
    planes(out, n).zip(x.par_chunks(n)).for_each(|((i, out), x)| {
        let (mean, scale) = (mean[i % mean.len()], scale[i % scale.len()]);
        for (out, x) in out.iter_mut().zip(x) {
            *out = (x - mean) * scale;
        }
    });
}

/// For each channel, what [`standardize_gradient`] needs of the whole batch: the sums of the gradient with respect to the result of
/// [`standardize`], and of its product with that result.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn gradient_sums(x: &[f32], gradient: &[f32], batch: usize, mean: &[f32], scale: &[f32]) -> Vec<[f64; 2]> {
    let channels = mean.len();
    let n = plane(x.len(), batch, channels);
    assert!(gradient.len() == x.len() && scale.len() == channels, "the gradient is as x, scale as mean");
    let of_plane = |(i, (x, g)): (usize, (&[f32], &[f32]))| sums(x, g, mean[i % channels], scale[i % channels]);
    let planes: Vec<[f64; 2]> = x.par_chunks(n).zip(gradient.par_chunks(n)).enumerate().map(of_plane).collect();
    let of_channel =
        |c: usize| [0, 1].map(|which: usize| planes.iter().skip(c).step_by(channels).map(|s| s[which]).sum());
    (0..channels).map(of_channel).collect()
}

/// The gradient with respect to `x`, from that with respect to the result of [`standardize`]. `mean` must be the mean
/// of `x` over the batch, and `scale` one over the square root of its variance (plus a small constant): both depend
/// on `x`. `means` are the [`gradient_sums`] of the batch divided by the number of values in a channel.
///
/// # Panics
///
/// If a slice has the wrong length.
pub fn standardize_gradient(
    [x, gradient]: [&[f32]; 2],
    batch: usize,
    [mean, scale]: [&[f32]; 2],
    means: &[[f32; 2]],
    out: &mut [f32],
) {
    let channels = mean.len();
    let n = plane(x.len(), batch, channels);
    assert!(out.len() == x.len() && gradient.len() == x.len(), "gradients are as x");
    assert!(scale.len() == channels && means.len() == channels, "mean, scale and means are [channels]");
    planes(out, n).zip(x.par_chunks(n)).zip(gradient.par_chunks(n)).for_each(|(((i, out), x), g)| {
        let c = i % channels;
        let ([of_gradient, of_product], mean, scale) = (means[c], mean[c], scale[c]);
        for ((out, x), g) in out.iter_mut().zip(x).zip(g) {
            *out = scale * (g - of_gradient - (x - mean) * scale * of_product);
        }
    });
}

/// Sums of g, and of g · (x − mean) · scale.
fn sums(x: &[f32], g: &[f32], mean: f32, scale: f32) -> [f64; 2] {
    let mut total = [0.0; 2];
    for (x, g) in x.chunks(BLOCK).zip(g.chunks(BLOCK)) {
        let lanes = partial_sums(x, g, |x| (x - mean) * scale);
        for (total, lanes) in total.iter_mut().zip(lanes) {
            *total += lanes.iter().map(|&v| f64::from(v)).sum::<f64>();
        }
    }
    total
}

/// Sums of g, and of g · `of`(x), each over every 16th pair.
#[inline(always)]
fn partial_sums(x: &[f32], g: &[f32], of: impl Fn(f32) -> f32) -> [[f32; LANES]; 2] {
    let mut lanes = [[0.0; LANES]; 2];
    let mut add = |i: usize, x: f32, g: f32| {
        lanes[0][i] += g;
        lanes[1][i] += g * of(x);
    };
    let ((groups, rest), (g_groups, g_rest)) = (x.as_chunks::<LANES>(), g.as_chunks::<LANES>());
    for (x, g) in groups.iter().zip(g_groups) {
        for i in 0..LANES {
            add(i, x[i], g[i]);
        }
    }
    for (i, (&x, &g)) in rest.iter().zip(g_rest).enumerate() {
        add(i, x, g);
    }
    lanes
}

/// A batch of label maps as runs of equal labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    batch: usize,
    pixels: usize,
    /// For each picture: the label of each run, and the pixel where the run ends.
    ends: Vec<Vec<(u16, u32)>>,
}

impl Runs {
    /// Finds the runs of `batch` consecutive label maps.
    ///
    /// # Panics
    ///
    /// If `labels` cannot be divided into `batch` maps of equal size, or maps have 2³² pixels or more.
    pub fn new(labels: &[u16], batch: usize) -> Self {
        assert!(batch > 0 && labels.len().is_multiple_of(batch), "labels are [batch, pixels]");
        let pixels = labels.len() / batch;
        assert!(u32::try_from(pixels).is_ok(), "a map has less than 2^32 pixels");
        let of_map = |map: &[u16]| {
            let mut end = 0;
            let run = |run: &[u16]| {
                end += run.len() as u32;
                (run[0], end)
            };
            map.chunk_by(|a, b| a == b).map(run).collect()
        };
        let ends = if pixels == 0 { vec![Vec::new(); batch] } else { labels.chunks(pixels).map(of_map).collect() };
        Self { batch, pixels, ends }
    }

    /// The runs of a picture: their label and range of pixels.
    fn of(&self, picture: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + '_ {
        let mut start = 0;
        self.ends[picture].iter().map(move |&(label, end)| {
            let range = start..end as usize;
            start = end as usize;
            (usize::from(label), range)
        })
    }
}

/// `out` = `x` · weight + bias, with weight and bias of the pixel's class and the channel, from tables
/// `[classes, channels]`.
///
/// # Panics
///
/// If a slice has the wrong length or a label has no class.
pub fn modulate_by_class(x: &[f32], runs: &Runs, weight: &[f32], bias: &[f32], out: &mut [f32]) {
    let (n, channels) = modulated(x, runs);
    assert!(weight.len() == bias.len() && weight.len().is_multiple_of(channels), "tables are [classes, channels]");
    assert_eq!(out.len(), x.len(), "out is as x");
    planes(out, n).zip(x.par_chunks(n)).for_each(|((i, out), x)| {
        let (picture, channel) = (i / channels, i % channels);
        for (label, range) in runs.of(picture) {
            let (w, b) = (weight[label * channels + channel], bias[label * channels + channel]);
            for (out, x) in out[range.clone()].iter_mut().zip(&x[range]) {
                *out = x * w + b;
            }
        }
    });
}

/// The gradients of [`modulate_by_class`] with respect to `x`, weight and bias, from that with respect to its result.
///
/// # Panics
///
/// If a slice has the wrong length or a label has no class.
pub fn modulate_by_class_gradients(
    x: &[f32],
    runs: &Runs,
    weight: &[f32],
    gradient: &[f32],
    [of_x, of_weight, of_bias]: [&mut [f32]; 3],
) {
    let (n, channels) = modulated(x, runs);
    assert!(weight.len().is_multiple_of(channels), "tables are [classes, channels]");
    assert!(of_weight.len() == weight.len() && of_bias.len() == weight.len(), "gradients of tables are as tables");
    assert!(of_x.len() == x.len() && gradient.len() == x.len(), "gradients of images are as images");
    let classes = weight.len() / channels;
    // For each plane, by class.
    let mut sums = vec![[0.0f64; 2]; runs.batch * channels * classes];
    let parts = planes(of_x, n).zip(x.par_chunks(n)).zip(gradient.par_chunks(n)).zip(sums.par_chunks_mut(classes));
    parts.for_each(|((((i, of_x), x), g), sums)| {
        let (picture, channel) = (i / channels, i % channels);
        for (label, range) in runs.of(picture) {
            let w = weight[label * channels + channel];
            let (x, g) = (&x[range.clone()], &g[range.clone()]);
            for (of_x, g) in of_x[range].iter_mut().zip(g) {
                *of_x = g * w;
            }
            let [gradients, products] = partial_sums(x, g, |x| x);
            for (sum, lanes) in sums[label].iter_mut().zip([products, gradients]) {
                *sum += f64::from(lanes.iter().sum::<f32>());
            }
        }
    });
    for (at, (w, b)) in of_weight.iter_mut().zip(of_bias).enumerate() {
        let (label, channel) = (at / channels, at % channels);
        let of_picture = |picture: usize| sums[(picture * channels + channel) * classes + label];
        let [of_w, of_b] =
            (0..runs.batch).map(of_picture).fold([0.0, 0.0], |sum, part| [sum[0] + part[0], sum[1] + part[1]]);
        (*w, *b) = (of_w as f32, of_b as f32);
    }
}

/// Number of pixels of a plane; at least one.
fn plane(len: usize, batch: usize, channels: usize) -> usize {
    let planes = volume(&[batch, channels]);
    assert!(planes > 0 && len > 0 && len.is_multiple_of(planes), "images are [batch, channels, pixels]");
    len / planes
}

/// Number of pixels of a plane, and of channels.
fn modulated(x: &[f32], runs: &Runs) -> (usize, usize) {
    let pixels = volume(&[runs.batch, runs.pixels]);
    assert!(!x.is_empty() && pixels > 0 && x.len().is_multiple_of(pixels), "x is [batch, channels, pixels]");
    (runs.pixels, x.len() / pixels)
}

/// The planes of `[batch, channels, n]` with their indices; several small planes share a task.
fn planes(out: &mut [f32], n: usize) -> impl IndexedParallelIterator<Item = (usize, &mut [f32])> {
    out.par_chunks_mut(n).enumerate().with_min_len((BLOCK / n).max(1))
}
