//! The variational encoder of SPADE (Park et al. 2019, appendix A), which maps a photo to a latent vector.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};

use crate::error::Result;
use crate::nn::{Conv, ConvConfig, Init, Linear, Mode, instance_norm, leaky_relu};

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
        let mut x = photos;
        if (height, width) != (Self::SIDE, Self::SIDE) {
            let options = InterpolateOptions::new(InterpolateMode::Bilinear).with_align_corners(false);
            x = interpolate(x, options.with_output_size([Self::SIDE; 2]));
        }
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
