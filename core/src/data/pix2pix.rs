//! Pictures with a photo in one half and its labels in class colours in the other.

use image::RgbImage;
use image::imageops;

use crate::error::{Error, Result};
use crate::label::{ClassTable, ColorPolicy, LabelMap, ReadOptions};
use crate::picture::{PixelFormat, Pixels};

/// How the class of a noisy pixel is determined.
///
/// Chosen on the 100 validation pictures of the pix2pix facades. The table gives the share of pixels that agree with
/// independently cleaned labels, over all pictures and in the worst one.
///
/// | policy | all | worst |
/// |---|---|---|
/// | nearest pixel, tolerance 8 | 94.4 % | 83.1 % |
/// | nearest pixel, tolerance 16 | 96.0 % | 86.9 % |
/// | nearest pixel, tolerance 24 | 97.5 % | 90.3 % |
/// | **nearest pixel, tolerance 25** | **97.5 %** | **90.4 %** |
/// | nearest pixel, tolerance 32 | 96.7 % | 90.1 % |
/// | nearest pixel, tolerance 48 | 93.1 % | 85.6 % |
/// | nearest colour, tolerance 255 | 89.5 % | 78.0 % |
///
/// (The nearest colour with a tolerance of 128 already rejects 98 of the pictures.) On the 400 training pictures, the
/// best value, 97.7 %, is at the same tolerance.
pub(super) const POLICY: ColorPolicy = ColorPolicy::NearestPixel { tolerance: 25 };

/// Smallest share of pixels that must have the colour of a class. The facades have at least 50 %; pictures in other
/// colours have hardly any.
const LEAST_CERTAIN: f64 = 0.2;

/// The left or right half. Of an odd width, the left half is the larger, so that no labels of half the width fit it.
pub(super) fn half(picture: &RgbImage, left: bool) -> RgbImage {
    let half = picture.width().div_ceil(2);
    let (from, width) = if left { (0, half) } else { (half, picture.width() - half) };
    imageops::crop_imm(picture, from, 0, width, picture.height()).to_image()
}

/// The labels in the left or right half. Under a policy of its own, because pairs mostly are JPEGs, if `options` has none.
pub(super) fn labels(picture: &RgbImage, left: bool, classes: &ClassTable, options: ReadOptions) -> Result<LabelMap> {
    let policy = if options.policy == ColorPolicy::Refuse { POLICY } else { options.policy };
    let (labels, certain) = read(picture, left, classes, ReadOptions { policy, ..options })?;
    if certain < LEAST_CERTAIN {
        return Err(Error::Labels(format!(
            "only {:.1} % of the {} half has the colour of a class, to within {}; give the class table whose colours \
             these labels are painted in (as classes.json beside the pictures, say)",
            certain * 100.0,
            if left { "left" } else { "right" },
            policy.tolerance()
        )));
    }
    Ok(labels)
}

/// Whether the labels of a picture are in its left half (`true`) or in its right half; `None` if neither has enough class
/// colours. If both have, labels are right.
pub(super) fn side_of_labels(picture: &RgbImage, classes: &ClassTable) -> Option<bool> {
    let fits = |left| read(picture, left, classes, POLICY.into()).is_ok_and(|(_, certain)| certain >= LEAST_CERTAIN);
    if fits(false) { Some(false) } else { fits(true).then_some(true) }
}

/// The labels in a half, and the share of its pixels that has the colour of a class.
fn read(picture: &RgbImage, left: bool, classes: &ClassTable, options: ReadOptions) -> Result<(LabelMap, f64)> {
    let (half, height) = (picture.width() as usize / 2, picture.height() as usize);
    let (first, stride) = (if left { 0 } else { 3 * half }, 3 * picture.width() as usize);
    let pixels = Pixels::new(PixelFormat::Rgb8, half, height, stride, picture.get(first..).unwrap_or_default())?;
    let reading = LabelMap::from_pixels(&pixels, classes, options)?;
    let labels = reading.map()?;
    let certain = 1.0 - reading.report().filled as f64 / (labels.width() * labels.height()) as f64;
    Ok((labels, certain))
}

#[cfg(test)]
mod tests {
    use super::{ColorPolicy, half, labels, side_of_labels};
    use crate::data::listing::pictures;
    use crate::label::{ClassTable, LabelMap};
    use image::{Rgb, RgbImage};
    use std::path::PathBuf;

    #[test]
    fn agrees_with_cleaned_labels_on_the_facades() {
        let shared = std::env::var_os("SEMSYNTH_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
        let root = shared.join("data/facades");
        if !root.is_dir() {
            eprintln!("skipped: no data set {}", root.display());
            return;
        }
        let classes = ClassTable::cmp_facades();
        let (mut agreeing, mut total, mut worst) = (0, 0, 1.0f64);
        for file in pictures(&root.join("val")).unwrap() {
            let picture = image::open(&file.path).unwrap().into_rgb8();
            assert_eq!(half(&picture, true).dimensions(), (256, 256));
            assert_eq!(side_of_labels(&picture, &classes), Some(false));
            let found = labels(&picture, false, &classes, ColorPolicy::Refuse.into()).unwrap();
            let cleaned = LabelMap::open(root.join(format!("val_label/{}.png", file.stem)), &classes).unwrap();
            assert_eq!(found.ids().len(), cleaned.ids().len());
            let same = found.ids().zip(cleaned.ids()).filter(|(a, b)| a == b).count();
            agreeing += same;
            total += cleaned.ids().len();
            worst = worst.min(same as f64 / cleaned.ids().len() as f64);
        }
        let agreement = agreeing as f64 / total as f64;
        eprintln!("agreement {agreement:.4}, in the worst picture {worst:.4}");
        assert_eq!(total, 100 * 256 * 256);
        assert!(agreement >= 0.972 && worst >= 0.89, "{agreement} {worst}");
    }

    #[test]
    fn exact_colours_are_read_exactly() {
        let classes = ClassTable::cmp_facades();
        let map = LabelMap::new(12, 12, (0..144).map(|i| i % 12).collect()).unwrap();
        let right = map.to_rgb(&classes);
        let picture = RgbImage::from_fn(24, 12, |x, y| match x {
            0..12 => Rgb([9, 9, y as u8]),
            _ => *right.as_rgb().get_pixel(x - 12, y),
        });
        assert_eq!(labels(&picture, false, &classes, ColorPolicy::Refuse.into()).unwrap(), map);
        let turned = image::imageops::rotate180(&picture);
        assert_eq!([&turned, &picture].map(|picture| side_of_labels(picture, &classes)), [Some(true), Some(false)]);
        assert!(half(&picture, true).enumerate_pixels().all(|(_, y, p)| *p == Rgb([9, 9, y as u8])));
    }

    #[test]
    fn pictures_in_other_colours_are_refused() {
        let classes = ClassTable::cmp_facades();
        let mut picture = RgbImage::from_pixel(40, 20, Rgb([128, 128, 128]));
        picture.put_pixel(30, 10, Rgb(classes.get(3).unwrap().color));
        let message = labels(&picture, false, &classes, ColorPolicy::Refuse.into()).unwrap_err().to_string();
        assert!(message.contains("only 0.2 %") && message.contains("class table"), "{message}");
    }
}
