//! Label map in, picture out.

use std::path::Path;

use burn::tensor::Tensor;
use image::RgbImage;

use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::save_picture;
use crate::label::LabelMap;
use crate::model::{Architecture, Model, read_back};
use crate::network::Generator;
use crate::nn::{Layout, Lookup, Mode, Statistics};

/// What to make of a label map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Seed of everything random in a model. SPADE and CLADE have no random input: they give one picture for a label
    /// map, whatever the seed.
    pub seed: u64,
    /// Statistics that batch norms divide by; none: those the model names.
    pub statistics: Option<Statistics>,
}

impl Request {
    /// Seed 0, the model's own statistics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Other statistics: those of the picture itself ([`Statistics::Batch`]) can look better for a model that was trained
    /// with few pictures a step, but a pixel then depends on the whole picture.
    #[must_use]
    pub fn statistics(self, statistics: Statistics) -> Self {
        Self { statistics: Some(statistics), ..self }
    }
}

/// A synthesized picture.
#[derive(Clone, Debug)]
pub struct Image(RgbImage);

impl Image {
    /// The pixels.
    pub fn as_rgb(&self) -> &RgbImage {
        &self.0
    }

    /// The pixels, owned.
    pub fn into_rgb(self) -> RgbImage {
        self.0
    }

    /// Writes a PNG or JPEG, by the extension.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for another extension, [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save_picture(&self.0, path.as_ref())
    }
}

/// A model on a device, ready to synthesize. It is the scratch: one per worker thread.
#[derive(Debug)]
pub struct Synthesizer {
    model: Model,
    generator: Generator,
    device: Device,
}

impl Synthesizer {
    /// Puts a model on a device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device refuses.
    pub fn new(model: &Model, device: &Device) -> Result<Self> {
        let generator = model.generator(device.burn())?;
        Ok(Self { model: model.clone(), generator, device: device.clone() })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Paints a label map; the picture has its size.
    ///
    /// Sizes that are no multiple of the network's stride are padded at the right and lower edge with the labels of the
    /// nearest pixel, and cut off again.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if an id has no class; [`Error::Device`] if the device fails.
    pub fn run(&mut self, labels: &LabelMap, request: &Request) -> Result<Image> {
        labels.check(self.model.classes())?;
        let (width, height) = (labels.width(), labels.height());
        let padded = pad_to_multiple(labels, self.model.architecture().stride())?;
        let Architecture::SpadeFamily(config) = self.model.architecture();
        let layout = Layout::new(vec![padded], config.label_channels, Lookup::Gather, self.device.burn())?;
        let statistics = request.statistics.unwrap_or(self.model.manifest().statistics);
        let output = self.generator.forward(&layout, Mode::Eval(statistics))?;
        let mut pictures = to_images(output, self.model.manifest().value_range)?;
        let picture = pictures.pop().ok_or_else(|| Error::Device("the network gave no picture".into()))?;
        Ok(Image(image::imageops::crop_imm(&picture, 0, 0, width as u32, height as u32).to_image()))
    }
}

/// Repeats the last column and row until both sides are multiples of `stride`.
fn pad_to_multiple(labels: &LabelMap, stride: usize) -> Result<LabelMap> {
    let (width, height) = (labels.width(), labels.height());
    let (wide, high) = (width.next_multiple_of(stride), height.next_multiple_of(stride));
    if (wide, high) == (width, height) {
        return Ok(labels.clone());
    }
    let mut ids = Vec::with_capacity(wide * high);
    for y in 0..high {
        ids.extend((0..wide).map(|x| labels.get(x.min(width - 1), y.min(height - 1)).unwrap_or_default()));
    }
    LabelMap::new(wide, high, ids)
}

/// Turns network output, `[batch, 3, height, width]`, into pictures: `range` is stretched to 0 to 255, cut off at both
/// ends and truncated, as the papers' code does it.
pub(crate) fn to_images(output: Tensor<4>, range: [f32; 2]) -> Result<Vec<RgbImage>> {
    let [_, channels, height, width] = output.dims();
    let values = read_back(output)?;
    let [low, high] = range;
    let byte = |value: f32| ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8;
    let pictures = values.chunks_exact(channels * height * width).map(|picture| {
        let planes: Vec<&[f32]> = picture.chunks_exact(height * width).collect();
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let pixel = y as usize * width + x as usize;
            image::Rgb([0, 1, 2].map(|channel: usize| byte(planes[channel][pixel])))
        })
    });
    Ok(pictures.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn bytes_are_truncated_and_clamped() {
        let values = vec![-1.0f32, 1.0, 0.0, 0.5, -2.0, 3.0, 0.999, -0.999, 0.1, 0.2, 0.3, 0.4];
        let tensor = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 2]), &burn::tensor::Device::flex());
        let image = to_images(tensor, [-1.0, 1.0]).unwrap().remove(0);
        assert_eq!(image.get_pixel(0, 0).0, [0, 0, 140]);
        assert_eq!(image.get_pixel(1, 0).0, [255, 255, 153]);
        // 0.0 is 127.5 and becomes 127.
        assert_eq!(image.get_pixel(0, 1).0[0], 127);
    }

    #[test]
    fn padding_repeats_the_edge() {
        let labels = LabelMap::new(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        let padded = pad_to_multiple(&labels, 4).unwrap();
        assert_eq!((padded.width(), padded.height()), (4, 4));
        assert_eq!(padded.ids().collect::<Vec<_>>(), [0, 1, 2, 2, 3, 4, 5, 5, 3, 4, 5, 5, 3, 4, 5, 5]);
    }
}
