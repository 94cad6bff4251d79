//! A model that paints the label maps of a data set.

use image::RgbImage;

use super::{Fingerprint, Item, Source};
use crate::bank::Bank;
use crate::data::{Dataset, fit};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::model::Model;
use crate::network::StyleConfig;
use crate::picture::Image;
use crate::rng::mix64;
use crate::synth::{Request, Synthesizer, SynthesizerOptions};

/// The pictures that a model paints of the label maps of a data set, and the photos.
///
/// Photos and label maps are resized to one size first: photos with a bicubic filter (a = −0.5) that averages when it
/// shrinks, label maps by the nearest pixel centre. A model that needs a style of each class (SEAN) and has no presets
/// takes it from the photo itself, as in its paper: that is reconstruction, and easier than painting from labels alone.
#[allow(missing_debug_implementations, reason = "a data set has no Debug")]
pub struct Painted {
    synthesizer: Synthesizer,
    set: Box<dyn Dataset>,
    training: Option<Box<dyn Dataset>>,
    bank: Option<Bank>,
    /// Whether the photos of the bank are those of the set.
    own: bool,
    size: [usize; 2],
    reconstructs: bool,
    fingerprint: u64,
}

impl Painted {
    /// A model and the data to paint. `size` is height and width; `None` is the size the model was trained at.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the classes of the data are not those of the model; errors of preparing the model.
    pub fn new(model: Model, set: Box<dyn Dataset>, size: Option<[usize; 2]>, device: &Device) -> Result<Self> {
        if let Some(difference) = model.classes().difference(set.classes()) {
            return Err(Error::Data(format!(
                "{}: the classes of the data are not those of the model ({difference}): give the table that the label \
                 maps are written with as --classes, or a model for this data",
                set.name()
            )));
        }
        let size = size.unwrap_or(model.manifest().native_size);
        let reconstructs =
            matches!(model.architecture().style(), StyleConfig::Regions { .. }) && model.presets().is_empty();
        let fingerprint = Fingerprint::new()
            .bytes(&model.to_bytes()?)
            .number(u64::from(reconstructs))
            .bytes(env!("CARGO_PKG_VERSION").as_bytes());
        Ok(Self {
            synthesizer: Synthesizer::new(model, SynthesizerOptions::new(device))?,
            set,
            training: None,
            bank: None,
            own: false,
            size,
            reconstructs,
            fingerprint: fingerprint.bytes(device.info().name.as_bytes()).value(),
        })
    }

    /// Adds the bank that collages are made of, for models that take them. `own` says that it is of the data to paint: then nothing
    /// of a photo goes into its own collage.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if its classes are not those of the model.
    pub fn bank(self, bank: Bank, own: bool) -> Result<Self> {
        bank.check(&self.synthesizer.manifest().classes)?;
        let fingerprint = mix64(self.fingerprint ^ bank.digest().wrapping_add(u64::from(own)));
        Ok(Self { bank: Some(bank), own, fingerprint, ..self })
    }

    /// Adds the training split of the data, for FID against its photos.
    #[must_use]
    pub fn training(self, set: Box<dyn Dataset>) -> Self {
        Self { training: Some(set), ..self }
    }

    fn item(&self, set: &dyn Dataset, index: usize) -> Result<Item> {
        let [height, width] = self.size;
        let sample = fit(set.get(index)?, width, height)?;
        Ok(Item { name: sample.name, photo: sample.image, labels: Some(sample.labels), picture: None })
    }
}

impl Source for Painted {
    fn describe(&self) -> String {
        let ([height, width], manifest) = (self.size, self.synthesizer.manifest());
        let style = if self.reconstructs { ", styles of the photos (reconstruction)" } else { "" };
        let bank = self.bank.as_ref().map(|bank| format!(", from segments of {} photos", bank.photos()));
        let bank = bank.unwrap_or_default();
        format!("model {:?} on {} at {width}x{height}{style}{bank}", manifest.name, self.set.name())
    }

    fn classes(&self) -> Option<&ClassTable> {
        Some(self.set.classes())
    }

    fn len(&self) -> usize {
        self.set.len()
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn load(&self, index: usize) -> Result<Item> {
        self.item(self.set.as_ref(), index)
    }

    fn paint(&mut self, index: usize, item: &Item) -> Result<RgbImage> {
        let Some(labels) = &item.labels else {
            return Err(Error::Data(format!("{} has no label map to paint", item.name)));
        };
        let mut request = Request::new();
        if self.reconstructs {
            let photo = Image::from_rgb(item.photo.clone());
            request = request.style(&self.synthesizer.encode(&photo, Some(labels), None)?);
        }
        if let Some(bank) = &self.bank {
            request = request.collage(bank.collage(labels, self.own.then_some(index))?);
        }
        self.synthesizer.run(labels, &request).map(Image::into_rgb)
    }

    fn references(&self) -> Option<usize> {
        self.training.as_ref().map(|set| set.len())
    }

    fn reference(&self, index: usize) -> Result<Item> {
        let Some(set) = &self.training else {
            return Err(Error::Argument("there is no training split".into()));
        };
        // The labels of training photos do not matter.
        Ok(Item { labels: None, ..self.item(set.as_ref(), index)? })
    }
}
