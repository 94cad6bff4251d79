//! Encoding the style of a photo.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use image::imageops::{FilterType, resize};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::model::{self, Manifest, Model, read_back};
use crate::network::{ConvEncoder, Encoder, FeatureEncoder};
use crate::nn::{LabelEncoding, Layout, Mode};
use crate::picture::Image;
use crate::pixels::push_planes;
use crate::rng::Rng;
use crate::style::Style;
use crate::tensors::Tensors;

/// Largest photo that SEAN's encoder accepts, in pixels: its first layer makes 32 channels of this size.
const MAX_ENCODED: usize = 1 << 22;

/// The style encoder of a model, without its generator: for programs that only encode. Immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct StyleEncoder {
    manifest: Arc<Manifest>,
    device: Device,
    encoder: Encoder,
}

impl StyleEncoder {
    /// Loads the encoder of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model has none.
    pub fn new(model: impl Into<Model>, device: &Device) -> Result<Self> {
        let (manifest, tensors) = model.into().into_parts();
        Self::load(manifest, &tensors, device)
    }

    /// Loads it from the tensors of a model.
    pub(super) fn load(manifest: Arc<Manifest>, tensors: &Tensors, device: &Device) -> Result<Self> {
        let encoder = model::load_encoder(&manifest.architecture, tensors, device.burn())?;
        Self::of(manifest, encoder, device)
    }

    pub(super) fn of(manifest: Arc<Manifest>, encoder: Option<Encoder>, device: &Device) -> Result<Self> {
        let encoder = encoder.ok_or_else(|| {
            let network = manifest.architecture.describe();
            Error::Argument(format!("this model ({network}) has no style encoder"))
        })?;
        Ok(Self { manifest, device: device.clone(), encoder })
    }

    /// The manifest of the model.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Encodes the style of a photo.
    ///
    /// A model with a style per class (SEAN, or pix2pixHD with instance features) needs `labels`, the label map of the photo. Both are
    /// resized to the size the model was trained at. A class without a pixel at half that size (with instance features, at that
    /// size) is absent in the style. A model
    /// with a latent vector takes no labels and returns the mean of the encoder's distribution, or, with a `seed`,
    /// a sample from it.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if labels are missing or not used by the model, or if it takes no seed;
    /// [`Error::UnknownLabels`] if an id has no class; [`Error::Limit`] if the training size is over 2²² pixels;
    /// [`Error::Device`] if the device fails.
    pub fn encode(&self, photo: &Image, labels: Option<&LabelMap>, seed: Option<u64>) -> Result<Style> {
        match (&self.encoder, labels, seed) {
            (Encoder::Region(_) | Encoder::Features(_), _, Some(_)) => {
                Err(Error::Argument("seed: this model has a style per class, which is never sampled".into()))
            }
            (Encoder::Region(_) | Encoder::Features(_), None, _) => {
                Err(Error::Argument("this model has a style per class: give the photo's label map too".into()))
            }
            (Encoder::Region(encoder), Some(labels), None) => {
                let [height, width] = self.manifest.native_size.map(|side| side.next_multiple_of(4));
                self.region_style(photo, labels, [height, width], 2, |photo, layout| {
                    encoder.forward(photo, layout, Mode::EVAL)
                })
            }
            (Encoder::Features(encoder), Some(labels), None) => {
                let size = self.manifest.native_size.map(|side| side.next_multiple_of(FeatureEncoder::STRIDE));
                self.region_style(photo, labels, size, 1, |photo, layout| encoder.forward(photo, layout, Mode::EVAL))
            }
            (Encoder::Conv(_), Some(_), _) => Err(Error::Argument(
                "this model has one style for the whole picture: leave the photo's label map out".into(),
            )),
            (Encoder::Conv(encoder), None, seed) => self.latent_style(encoder, photo, seed),
        }
    }

    /// The style of each class, by an encoder that takes a photo of this size and averages over regions at a `scale`-th of it.
    fn region_style(
        &self,
        photo: &Image,
        labels: &LabelMap,
        [height, width]: [usize; 2],
        scale: usize,
        encode: impl FnOnce(Tensor<4>, &Layout) -> Result<Tensor<3>>,
    ) -> Result<Style> {
        let classes = &self.manifest.classes;
        labels.check(classes)?;
        if height * width > MAX_ENCODED {
            return Err(Error::Limit(format!(
                "this model encodes photos at the size it was trained at, {width}x{height}, which is more than the \
                 {MAX_ENCODED} pixels that are possible"
            )));
        }
        let labels = labels.resize_centered(width, height)?;
        let present = labels.resize_floor(width / scale, height / scale)?;
        let channels = self.manifest.architecture.label_channels();
        let layout = Layout::new(vec![labels], channels, LabelEncoding::Indexed, self.device.burn())?;
        let styles = encode(self.upload(photo, [height, width]), &layout)?;
        let [_, _, length] = styles.dims();
        let values = read_back(styles)?;
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; channels];
        for id in present.ids().map(usize::from) {
            if let (Some(row), Some(values)) = (rows.get_mut(id), values.get(id * length..(id + 1) * length)) {
                row.get_or_insert_with(|| values.to_vec());
            }
        }
        Style::regions(length, rows)?.with_names(classes)
    }

    fn latent_style(&self, encoder: &ConvEncoder, photo: &Image, seed: Option<u64>) -> Result<Style> {
        let posterior = encoder.forward(self.upload(photo, [ConvEncoder::SIDE; 2]), Mode::EVAL)?;
        let latent = match seed {
            None => posterior.mean,
            Some(seed) => {
                let [_, length] = posterior.mean.dims();
                let mut rng = Rng::new(seed);
                let noise: Vec<f32> = (0..length).map(|_| rng.normal() as f32).collect();
                posterior.sample(Tensor::from_data(TensorData::new(noise, [1, length]), self.device.burn()))
            }
        };
        Style::global(read_back(latent)?)
    }

    /// Resizes a photo and moves it to the device: `[1, 3, height, width]`, -1 to 1.
    fn upload(&self, photo: &Image, [height, width]: [usize; 2]) -> Tensor<4> {
        let resized;
        let mut pixels = photo.as_rgb();
        if pixels.dimensions() != (width as u32, height as u32) {
            // Catmull-Rom is the bicubic filter that training data is resized with.
            resized = resize(pixels, width as u32, height as u32, FilterType::CatmullRom);
            pixels = &resized;
        }
        let mut planes = Vec::with_capacity(3 * height * width);
        push_planes(pixels, &mut planes);
        Tensor::from_data(TensorData::new(planes, [1, 3, height, width]), self.device.burn())
    }
}
