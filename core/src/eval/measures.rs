//! The measures of an evaluation and the networks they need.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::journal::{Features, PairValues, Segments};
use super::{Fingerprint, Item, Source};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::metrics::{Confusion, EspNet, Inception, Lpips, Segmentation, rmse, ssim};

/// Which photos the pictures' distribution is compared with. Both are published under the name FID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// The photos of the pictures themselves (SPADE, OASIS).
    #[default]
    Photos,
    /// The photos of the training set (CLADE).
    Training,
}

impl Against {
    /// `val` or `train`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Photos => "val",
            Self::Training => "train",
        }
    }
}

/// The class whose pixels do not count in scores of a segmentation network: the one with this name or id, or the don't-care
/// class of the table if there is no name.
///
/// # Errors
///
/// [`Error::UnknownName`] if no class has the name or id.
pub fn ignored_class(name: Option<&str>, classes: Option<&ClassTable>) -> Result<Option<u16>> {
    let Some(classes) = classes else { return Ok(None) };
    let Some(name) = name else { return Ok(classes.dont_care().map(|class| class.id)) };
    let by_id = || name.parse().ok().and_then(|id| classes.get(id));
    let class = classes.by_name(name).or_else(by_id);
    let names = || classes.iter().map(|class| class.name.as_str());
    class.map(|class| Some(class.id)).ok_or_else(|| Error::unknown_name("class", name, names()))
}

/// Whether a segmentation network that was trained on the classes `known` suits label maps with `classes`.
fn fits(known: &ClassTable, classes: &ClassTable, ignored: Option<u16>) -> Result<()> {
    let counted = |table: &ClassTable| table.iter().filter(|class| Some(class.id) != ignored).count();
    let missing = |of: &ClassTable, from: &ClassTable| {
        let lacks = |class: &&crate::label::Class| Some(class.id) != ignored && from.get(class.id).is_none();
        of.iter().find(lacks).map(|class| format!("class {} ({})", class.id, class.name))
    };
    let (lacks, more) = (missing(classes, known), missing(known, classes));
    let difference = match (&lacks, &more) {
        (None, None) => return Ok(()),
        (Some(class), _) => format!("it does not know {class}"),
        (None, Some(class)) => format!("they do not have its {class}"),
    };
    Err(Error::Argument(format!(
        "the segmentation network was trained on {} classes, the label maps have {}, and {difference}: train one on these \
         classes (semsynth train-segmenter), or leave one class out (--ignore)",
        counted(known),
        counted(classes)
    )))
}

/// What to measure. PSNR, SSIM and RMSE are always measured.
#[derive(Debug)]
pub struct Measures {
    pub(super) device: Device,
    pub(super) lpips: Option<Lpips>,
    pub(super) inception: Option<(Inception, Against)>,
    pub(super) segmenter: Option<EspNet>,
    pub(super) ignored: Option<u16>,
    inception_fingerprint: u64,
    fingerprint: Fingerprint,
}

impl Measures {
    /// PSNR, SSIM and RMSE only; networks that are added run on `device`.
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            lpips: None,
            inception: None,
            segmenter: None,
            ignored: None,
            inception_fingerprint: 0,
            fingerprint: Fingerprint::new(),
        }
    }

    /// Adds LPIPS; see [`Lpips::open`].
    ///
    /// # Errors
    ///
    /// As [`Lpips::open`].
    pub fn lpips(mut self, files: &[PathBuf]) -> Result<Self> {
        self.lpips = Some(Lpips::open(files, &self.device)?);
        self.fingerprint = self.fingerprint.number(1);
        for file in files {
            self.fingerprint = self.fingerprint.file(file)?;
        }
        Ok(self)
    }

    /// Adds FID; see [`Inception::open`].
    ///
    /// # Errors
    ///
    /// As [`Inception::open`].
    pub fn fid(mut self, file: &Path, against: Against) -> Result<Self> {
        self.inception = Some((Inception::open(file, &self.device)?, against));
        self.inception_fingerprint = Fingerprint::new().file(file)?.value();
        self.fingerprint = self.fingerprint.number(2).number(self.inception_fingerprint);
        Ok(self)
    }

    /// Adds scores of a segmentation network, and the distance of its features; see [`EspNet::open`]. Pixels whose true
    /// class is `ignored` do not count.
    ///
    /// # Errors
    ///
    /// As [`EspNet::open`].
    pub fn segmenter(mut self, file: &Path, ignored: Option<u16>) -> Result<Self> {
        self.segmenter = Some(EspNet::open(file, &self.device)?);
        self.ignored = ignored;
        self.fingerprint = self.fingerprint.number(3).file(file)?.number(ignored.map_or(u64::MAX, u64::from));
        Ok(self)
    }

    /// Which photos FID compares with, if it is measured.
    pub fn against(&self) -> Option<Against> {
        self.inception.as_ref().map(|(_, against)| *against)
    }

    /// What the user should know before measuring.
    pub(super) fn note(&self, source: &dyn Source) -> Option<String> {
        let (known, classes) = (self.segmenter.as_ref()?.class_table()?, source.classes()?);
        let pairs = classes.iter().filter_map(|class| Some((class, known.get(class.id)?)));
        let (class, other) = pairs.into_iter().find(|(class, other)| class.name != other.name)?;
        Some(format!(
            "note: class {} is called {:?} in the label maps and {:?} in the segmentation network; scores are only right if \
             both mean the same",
            class.id, class.name, other.name
        ))
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    pub(super) fn inception_fingerprint(&self) -> u64 {
        self.inception_fingerprint
    }

    /// Whether a source has what the measures need.
    pub(super) fn check(&self, source: &dyn Source) -> Result<()> {
        if self.against() == Some(Against::Training) && source.references().is_none_or(|count| count < 2) {
            return Err(Error::Argument(
                "FID against training photos needs a data set with a training split: give --data, or compare with the \
                 photos of the pictures (--fid-against val)"
                    .into(),
            ));
        }
        self.check_classes(source.classes())
    }

    /// Whether the segmentation network suits label maps with these classes.
    pub(crate) fn check_classes(&self, classes: Option<&ClassTable>) -> Result<()> {
        let Some(network) = &self.segmenter else { return Ok(()) };
        let Some(classes) = classes else {
            return Err(Error::Argument(
                "a segmentation score needs the label maps of the photos: give --labels and --classes, or --data"
                    .into(),
            ));
        };
        if let Some(known) = network.class_table() {
            return fits(known, classes, self.ignored);
        }
        let most = network.classes();
        let beyond = |class: &&crate::label::Class| usize::from(class.id) >= most && Some(class.id) != self.ignored;
        match classes.iter().find(beyond) {
            None => Ok(()),
            Some(class) => Err(Error::Argument(format!(
                "the segmentation network tells {most} classes apart, the label maps have class {} ({}): the network \
                 has to be trained on these classes; --ignore leaves one class out",
                class.id, class.name
            ))),
        }
    }

    /// Measures a picture and its photo.
    pub(super) fn pair(&self, item: &Item, picture: &RgbImage, classes: Option<&ClassTable>) -> Result<PairValues> {
        let photo = &item.photo;
        let lpips = self.lpips.as_ref().map(|lpips| lpips.distance(picture, photo, &self.device)).transpose()?;
        let inception = match &self.inception {
            None => None,
            Some((network, _)) => {
                let features = |image| network.features(image, &self.device).map(Features);
                Some([features(picture)?, features(photo)?])
            }
        };
        let segments = match (&self.segmenter, &item.labels) {
            (Some(network), Some(labels)) if classes.is_some() => {
                let segments = |image| {
                    let Segmentation { labels: found, features } = network.segment(image, &self.device)?;
                    let mut confusion = Confusion::new(network.classes(), self.ignored);
                    confusion.add(labels, &found)?;
                    let pixels = confusion.counts().iter().copied().enumerate().filter(|(_, count)| *count > 0);
                    Ok::<_, Error>(Segments { pixels: pixels.collect(), features: Features(features) })
                };
                Some([segments(picture)?, segments(photo)?])
            }
            _ => None,
        };
        Ok(PairValues { rmse: rmse(picture, photo)?, ssim: ssim(picture, photo)?, lpips, inception, segments })
    }

    /// Measures a training photo.
    pub(super) fn reference(&self, item: &Item) -> Result<Features> {
        match &self.inception {
            Some((network, _)) => network.features(&item.photo, &self.device).map(Features),
            None => Err(Error::Argument("only FID compares with training photos".into())),
        }
    }
}
