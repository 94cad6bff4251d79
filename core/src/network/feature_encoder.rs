//! The encoder of pix2pixHD's instance features (Wang et al. 2018, §3.4): a few values per object, from a photo.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::error::Result;
use crate::nn::{Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, Init, Layout, Mode, instance_norm, reflect};

/// Strided convolutions, and as many upsamplings.
const HALVINGS: usize = 4;

/// Configuration of a [`FeatureEncoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureEncoderConfig {
    /// Channels of the first layer; 16 in the paper's code.
    pub nef: usize,
    /// Number of features; 3 in the paper.
    pub length: usize,
}

impl FeatureEncoderConfig {
    /// Makes the network.
    pub fn init(self, init: &mut Init) -> FeatureEncoder {
        let widths: Vec<usize> = (0..=HALVINGS).map(|level| self.nef << level).collect();
        let pairs = || widths.iter().copied().zip(widths.iter().copied().skip(1));
        FeatureEncoder {
            first: ConvConfig::new(3, self.nef, 7).padding(0).init(init),
            down: pairs().map(|(outer, inner)| ConvConfig::new(outer, inner, 3).stride(2).init(init)).collect(),
            up: pairs().rev().map(|(outer, inner)| ConvTransposeConfig::new(inner, outer, 3).init(init)).collect(),
            last: ConvConfig::new(self.nef, self.length, 7).padding(0).init(init),
        }
    }
}

/// Computes features at the photo's size; those of an object are their mean over it.
#[derive(Module, Debug)]
pub struct FeatureEncoder {
    first: Conv,
    down: Vec<Conv>,
    up: Vec<ConvTranspose>,
    last: Conv,
}

impl FeatureEncoder {
    /// Sides of photos must be multiples of this.
    pub const STRIDE: usize = 1 << HALVINGS;

    /// Features of each pixel, `[batch, length, height, width]` in -1 to 1, not averaged. Photos are `[batch, 3, height, width]` in
    /// -1 to 1.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) unless both sides are multiples of [`STRIDE`](Self::STRIDE).
    pub fn features(&self, photos: Tensor<4>, mode: Mode) -> Result<Tensor<4>> {
        let [_, _, height, width] = photos.dims();
        let fits = |side: usize| side > 0 && side.is_multiple_of(Self::STRIDE);
        super::check(fits(height) && fits(width), || {
            format!("a photo of {width}x{height}: sides must be multiples of {}", Self::STRIDE)
        })?;
        let norm = |x| relu(instance_norm(x));
        let mut x = norm(self.first.forward(reflect(photos, 3), mode));
        for conv in &self.down {
            x = norm(conv.forward(x, mode));
        }
        for conv in &self.up {
            x = norm(conv.forward(x, mode));
        }
        Ok(self.last.forward(reflect(x, 3), mode).tanh())
    }

    /// The mean features of each class in each photo, `[batch, classes, length]`; zeros for a class without a pixel.
    ///
    /// # Errors
    ///
    /// As [`features`](Self::features); [`Error::Argument`](crate::Error::Argument) unless photos and label maps have the same size.
    pub fn forward(&self, photos: Tensor<4>, layout: &Layout, mode: Mode) -> Result<Tensor<3>> {
        super::check_photos(&photos, layout)?;
        Ok(super::class_means(self.features(photos, mode)?, layout))
    }
}

/// The official name of a layer from its path: convolution, norm and activation are three entries of a sequence.
pub(super) fn official_name(parts: &[&str]) -> Option<String> {
    let number = |text: &str| text.parse::<usize>().ok();
    let index = match parts {
        ["first"] => 1,
        ["down", i] => 4 + 3 * number(i)?,
        ["up", i] => 4 + 3 * (HALVINGS + number(i)?),
        ["last"] => 5 + 6 * HALVINGS,
        _ => return None,
    };
    Some(format!("netE.model.{index}"))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::LabelEncoding;
    use crate::rng::Rng;

    #[test]
    fn the_features_of_a_class_are_the_mean_over_its_pixels() {
        let device = Device::flex();
        let encoder = FeatureEncoderConfig { nef: 2, length: 3 }.init(&mut Init::random(1, &device));
        let mut rng = Rng::new(1);
        let photo: Vec<f32> = (0..3 * 16 * 32).map(|_| rng.normal() as f32).collect();
        let photo = Tensor::<4>::from_data(TensorData::new(photo, [1, 3, 16, 32]), &device);
        let ids: Vec<u16> = (0..16 * 32).map(|i| if i % 32 < 20 { 0 } else { 2 }).collect();
        let labels = LabelMap::new(32, 16, ids.clone()).unwrap();
        let layout = Layout::new(vec![labels], 4, LabelEncoding::OneHot, &device).unwrap();
        let of_pixels: Vec<f32> =
            encoder.features(photo.clone(), Mode::EVAL).unwrap().into_data().try_to_vec().unwrap();
        let found: Vec<f32> = encoder.forward(photo, &layout, Mode::EVAL).unwrap().into_data().try_to_vec().unwrap();
        assert!(of_pixels.iter().all(|value| value.abs() <= 1.0) && of_pixels.iter().any(|value| value.abs() > 0.01));
        for class in 0..4u16 {
            for feature in 0..3 {
                let values = ids.iter().zip(&of_pixels[feature * 512..]).filter(|(id, _)| **id == class);
                let values: Vec<f32> = values.map(|(_, value)| *value).collect();
                let mean = values.iter().sum::<f32>() / values.len().max(1) as f32;
                let found = found[usize::from(class) * 3 + feature];
                assert!((found - mean).abs() < 1e-5, "{class} {feature}: {found} {mean}");
            }
        }
        let odd = Tensor::<4>::zeros([1, 3, 16, 24], &device);
        assert!(encoder.features(odd, Mode::EVAL).unwrap_err().to_string().contains("multiples of 16"));
    }

    /// The sequence of the papers' code: padding, then convolution, norm and activation for each of nine layers, padding, the last
    /// convolution.
    #[test]
    fn layers_have_the_names_of_the_papers_code() {
        let name = |parts: &[&str]| official_name(parts).unwrap();
        assert_eq!(name(&["first"]), "netE.model.1");
        assert_eq!([name(&["down", "0"]), name(&["down", "3"])], ["netE.model.4", "netE.model.13"]);
        assert_eq!([name(&["up", "0"]), name(&["up", "3"])], ["netE.model.16", "netE.model.25"]);
        assert_eq!(name(&["last"]), "netE.model.29");
    }
}
