//! The result of an evaluation.

use std::fmt::{self, Display};

use serde::Serialize;

use super::journal::{Features, PairValues, Segments};
use super::{Against, Measures, PROTOCOL, Source};
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::metrics::{Confusion, EspNet, FeatureStatistics, Inception, frechet_distance};

/// Pictures below which a covariance of Inception's features has no full rank.
const FULL_RANK: usize = Inception::FEATURES + 1;

/// All results of an evaluation. `Display` prints a table; `eval.json` holds the fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of the protocol: [`PROTOCOL`].
    pub protocol: u32,
    /// Version of this library.
    pub program: String,
    /// What was measured.
    pub source: String,
    /// Number of pictures.
    pub pictures: usize,
    /// Similarity to the photos.
    pub similarity: Similarity,
    /// LPIPS, if it was measured.
    pub lpips: Option<Perceptual>,
    /// FID, if it was measured.
    pub fid: Option<Distance>,
    /// Scores of the segmentation network on the pictures, if they were measured.
    pub segmentation: Option<SegmentationScore>,
    /// The same on the photos: what the pictures can reach.
    pub segmentation_of_photos: Option<SegmentationScore>,
    /// Fréchet distance in the features of the segmentation network. It is not FID, and not comparable with it.
    pub segmenter_distance: Option<Distance>,
}

/// Means over the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Similarity {
    /// Peak signal-to-noise ratio in decibels; `None` (infinite) if a picture equals its photo.
    pub psnr: Option<f64>,
    /// Structural similarity, -1 to 1.
    pub ssim: f64,
    /// Root mean squared difference, 0 to 1.
    pub rmse: f64,
}

/// LPIPS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Perceptual {
    /// The network: `alex` or `vgg`.
    pub network: String,
    /// Mean over the pictures.
    pub mean: f64,
}

/// A Fréchet distance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// What it is, and of what.
    pub name: String,
    /// The distance, at least 0.
    pub value: f64,
    /// Number of pictures.
    pub pictures: usize,
    /// Number of photos.
    pub photos: usize,
}

/// What a segmentation network finds of the label maps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentationScore {
    /// Share of pixels whose class is found, 0 to 1.
    pub pixel_accuracy: Option<f64>,
    /// Mean intersection over union of the classes that occur, 0 to 1.
    pub mean_iou: Option<f64>,
    /// Intersection over union of each class that occurs, by name.
    pub iou: Vec<(String, f64)>,
}

impl SegmentationScore {
    /// The scores of counted pixels, with the names of `classes`.
    pub fn new(confusion: &Confusion, classes: &ClassTable) -> Self {
        let name = |id: u16| classes.get(id).map_or_else(|| format!("class {id}"), |class| class.name.clone());
        Self {
            pixel_accuracy: confusion.pixel_accuracy(),
            mean_iou: confusion.mean_iou(),
            iou: (0..confusion.classes() as u16).filter_map(|id| Some((name(id), confusion.iou(id)?))).collect(),
        }
    }
}

impl Report {
    pub(super) fn new(
        source: &dyn Source,
        measures: &Measures,
        pairs: &[PairValues],
        references: &[Features],
    ) -> Result<Self> {
        let mean = |value: &dyn Fn(&PairValues) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len() as f64;
        let psnr = mean(&|pair| -20.0 * pair.rmse.log10());
        let similarity = Similarity {
            psnr: psnr.is_finite().then_some(psnr),
            ssim: mean(&|pair| pair.ssim),
            rmse: mean(&|pair| pair.rmse),
        };
        let lpips = measures.lpips.as_ref().map(|network| Perceptual {
            network: network.backbone().into(),
            mean: mean(&|pair| pair.lpips.unwrap_or(f64::NAN)),
        });
        let fid = measures.against().map(|against| fid(against, pairs, references)).transpose()?;
        let mut report = Self {
            protocol: PROTOCOL,
            program: format!("semsynth {}", env!("CARGO_PKG_VERSION")),
            source: source.describe(),
            pictures: pairs.len(),
            similarity,
            lpips,
            fid,
            segmentation: None,
            segmentation_of_photos: None,
            segmenter_distance: None,
        };
        if let (Some(network), Some(classes)) = (&measures.segmenter, source.classes()) {
            let side = |side: usize| pairs.iter().filter_map(move |pair| Some(&pair.segments.as_ref()?[side]));
            report.segmentation = Some(score(network, measures.ignored, classes, side(0))?);
            report.segmentation_of_photos = Some(score(network, measures.ignored, classes, side(1))?);
            let [pictures, photos] =
                [0, 1].map(|index| statistics(EspNet::FEATURES, side(index).map(|segments| &segments.features)));
            // One picture has no covariance; its other scores are still worth having.
            if pairs.len() > 1 {
                let name = "Fréchet distance of ESPNet features, pictures and their photos (not FID)";
                report.segmenter_distance = Some(distance(name.into(), &pictures?, &photos?)?);
            }
        }
        Ok(report)
    }

    /// The report as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if it cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Error::Data(format!("the report cannot be written: {error}")))
    }
}

fn fid(against: Against, pairs: &[PairValues], references: &[Features]) -> Result<Distance> {
    let side = |side: usize| pairs.iter().filter_map(move |pair| Some(&pair.inception.as_ref()?[side]));
    let pictures = statistics(Inception::FEATURES, side(0))?;
    let (name, photos) = match against {
        Against::Photos => {
            ("FID against the photos of the pictures (as SPADE)", statistics(Inception::FEATURES, side(1))?)
        }
        Against::Training => (
            "FID against the photos of the training set (as CLADE)",
            statistics(Inception::FEATURES, references.iter())?,
        ),
    };
    distance(name.into(), &pictures, &photos)
}

fn statistics<'a>(length: usize, features: impl Iterator<Item = &'a Features>) -> Result<FeatureStatistics> {
    let mut statistics = FeatureStatistics::new(length);
    for features in features {
        statistics.add(&features.0)?;
    }
    Ok(statistics)
}

fn distance(name: String, pictures: &FeatureStatistics, photos: &FeatureStatistics) -> Result<Distance> {
    let value = frechet_distance(pictures, photos)?;
    Ok(Distance { name, value, pictures: pictures.count(), photos: photos.count() })
}

fn score<'a>(
    network: &EspNet,
    ignored: Option<u16>,
    classes: &ClassTable,
    all: impl Iterator<Item = &'a Segments>,
) -> Result<SegmentationScore> {
    let count = network.classes();
    let mut pixels = vec![0; count * count];
    for segments in all {
        for &(place, more) in &segments.pixels {
            let Some(sum) = pixels.get_mut(place) else {
                return Err(Error::Data(
                    "a stored result has more classes than the segmentation network: evaluate into another folder"
                        .into(),
                ));
            };
            *sum += more;
        }
    }
    Ok(SegmentationScore::new(&Confusion::from_counts(count, ignored, pixels)?, classes))
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Similarity { psnr, ssim, rmse } = self.similarity;
        writeln!(f, "{}, {} pictures, protocol {}", self.source, self.pictures, self.protocol)?;
        match psnr {
            Some(psnr) => writeln!(f, "PSNR            {psnr:.2} dB")?,
            None => writeln!(f, "PSNR            infinite (a picture equals its photo)")?,
        }
        writeln!(f, "SSIM            {ssim:.4}")?;
        writeln!(f, "RMSE            {rmse:.4}")?;
        if let Some(Perceptual { network, mean }) = &self.lpips {
            writeln!(f, "LPIPS ({network}){}{mean:.4}", " ".repeat(8usize.saturating_sub(network.len())))?;
        }
        if let Some(score) = &self.segmentation {
            let value = |value: Option<f64>| value.map_or_else(|| "none".into(), |value| format!("{value:.4}"));
            let photos = |of: fn(&SegmentationScore) -> Option<f64>| {
                self.segmentation_of_photos
                    .as_ref()
                    .map_or_else(String::new, |photos| format!("  ({} on the photos)", value(of(photos))))
            };
            writeln!(f, "mIoU            {}{}", value(score.mean_iou), photos(|score| score.mean_iou))?;
            let accuracy = photos(|score| score.pixel_accuracy);
            writeln!(f, "pixel accuracy  {}{accuracy}", value(score.pixel_accuracy))?;
        }
        for distance in [&self.fid, &self.segmenter_distance].into_iter().flatten() {
            let Distance { name, value, pictures, photos } = distance;
            writeln!(f, "{name}: {value:.3}  ({pictures} pictures, {photos} photos)")?;
        }
        if self.fid.as_ref().is_some_and(|fid| fid.pictures.min(fid.photos) < FULL_RANK) {
            writeln!(
                f,
                "note: FID of fewer than {FULL_RANK} pictures is larger than of many, so compare only equal numbers"
            )?;
        }
        Ok(())
    }
}
