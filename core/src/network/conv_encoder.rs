//! The variational encoder of SPADE (Park et al. 2019, appendix A), which maps a photo to a latent vector.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::Result;
use crate::nn::{Conv, ConvConfig, Init, Linear, Mode, as_type_of, instance_norm, leaky_relu};

/// Configuration of a [`ConvEncoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvEncoderConfig {
    /// Channels of the first layer; 64 in the paper.
    pub ndf: usize,
    /// Length of the latent vector; 256 in the paper.
    pub latent_length: usize,
}

impl ConvEncoderConfig {
    /// Makes the network.
    pub fn init(self, init: &mut Init) -> ConvEncoder {
        let n = self.ndf;
        let widths = [3, n, 2 * n, 4 * n, 8 * n, 8 * n, 8 * n];
        let layer =
            |pair: &[usize]| ConvConfig::new(pair[0], pair[1], 3).stride(2).without_bias().spectral().init(init);
        let layers = widths.windows(2).map(layer).collect();
        let flat = 8 * n * 4 * 4;
        let mut linear = || Linear::new(init, flat, self.latent_length);
        ConvEncoder { layers, fc_mu: linear(), fc_var: linear() }
    }
}

/// Six strided convolutions, then linear layers for mean and variance of the latent vector.
#[derive(Module, Debug)]
pub struct ConvEncoder {
    layers: Vec<Conv>,
    fc_mu: Linear,
    fc_var: Linear,
}

/// A normal distribution of latent vectors for each photo.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Means, `[batch, length]`.
    pub mean: Tensor<2>,
    /// Logarithms of the variances, `[batch, length]`.
    pub log_variance: Tensor<2>,
}

impl Posterior {
    /// Draws a vector for each photo: `mean + exp(log_variance / 2) * noise`, where `noise` is standard normal,
    /// `[batch, length]` (Kingma & Welling 2014).
    pub fn sample(&self, noise: Tensor<2>) -> Tensor<2> {
        self.mean.clone() + (self.log_variance.clone() * 0.5).exp() * noise
    }
}

impl ConvEncoder {
    /// Height and width that photos are resized to.
    pub const SIDE: usize = 256;

    /// The distribution of the latent vectors of photos: `[batch, 3, height, width]` in -1 to 1 `->` mean and log
    /// variance, each `[batch, length]`. Photos of another size than 256x256 are resized (bilinear, corners not
    /// aligned).
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) for photos without pixels or with a number of channels other than
    /// three.
    pub fn forward(&self, photos: Tensor<4>, mode: Mode) -> Result<Posterior> {
        let [batch, channels, height, width] = photos.dims();
        super::check(channels == 3 && height > 0 && width > 0, || {
            format!("photos of shape {:?}: it must be [batch, 3, height, width]", [batch, channels, height, width])
        })?;
        let mut x = if (height, width) == (Self::SIDE, Self::SIDE) { photos } else { resized(photos, Self::SIDE) };
        for conv in &self.layers {
            x = leaky_relu(instance_norm(conv.forward(x, mode)));
        }
        let flat: Tensor<2> = x.reshape([batch as i32, -1]);
        Ok(Posterior { mean: self.fc_mu.forward(flat.clone()), log_variance: self.fc_var.forward(flat) })
    }

    /// The same network for inference, with spectral norms folded into the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        Self { layers: self.layers.into_iter().map(Conv::folded).collect(), ..self }
    }
}

/// The official name of a layer from its path.
pub(super) fn official_name(parts: &[&str]) -> Option<String> {
    match parts {
        ["layers", index] => Some(format!("layer{}.0", index.parse::<usize>().ok()? + 1)),
        ["fc_mu" | "fc_var"] => Some(parts.concat()),
        _ => None,
    }
}

/// A picture `[b, c, h, w]` resized to a square: bilinear, corners not aligned.
///
/// By two matrix products: Burn's `interpolate` takes remainders of negative numbers, which OpenGL leaves undefined, and is
/// wrong at the left and upper edge there.
fn resized(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    let weights = |from: usize| as_type_of(&x, bilinear_weights(from, side, &x.device()));
    let (rows, columns) = (weights(height), weights(width).transpose());
    rows.unsqueeze::<4>().matmul(x).matmul(columns.unsqueeze())
}

/// What each of `to` values takes of each of `from`, `[to, from]`.
fn bilinear_weights(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let mut weights = vec![0.0f32; to * from];
    for (i, row) in weights.chunks_mut(from).enumerate() {
        let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let at = at.clamp(0.0, (from - 1) as f64);
        let (first, part) = (at.floor() as usize, at.fract() as f32);
        row[first] += 1.0 - part;
        row[(first + 1).min(from - 1)] += part;
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::module::interpolate;
    use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

    use super::*;
    use crate::device::software::devices;
    use crate::rng::Rng;

    /// One pixel, and a picture that grows in height and shrinks in width; on the CPU and on a GPU.
    #[test]
    fn a_gpu_resizes_photos_as_the_reference_does() {
        let mut rng = Rng::new(1);
        for device in devices() {
            for [height, width] in [[1, 1], [20, 48]] {
                let values: Vec<f32> = (0..2 * 3 * height * width).map(|_| rng.normal() as f32).collect();
                let photos = TensorData::new(values, [2, 3, height, width]);
                let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
                let expected: Tensor<4> = Tensor::from_data(photos.clone(), &Device::flex());
                let expected = interpolate(expected, options.with_output_size([32; 2]));
                let found = resized(Tensor::from_data(photos, device.burn()), 32).to_device(&Device::flex());
                let worst = (found - expected).abs().max().into_scalar::<f32>();
                assert!(worst < 1e-5, "{height}x{width} on {}: {worst}", device.info().name);
            }
        }
    }
}
