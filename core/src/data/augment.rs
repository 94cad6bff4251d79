//! Resizes samples to the size a network takes, with random variation for training.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::Sample;
use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::rng::Rng;

/// Random variation of a sample. Photo, labels and instances always undergo the same.
///
/// The sample is resized to [`load_scale`](Self::load_scale) times the target size (which may change its aspect
/// ratio), a window of the target size is cropped at a random whole-pixel offset, and the result is mirrored half of
/// the time. Photos are resized with a bicubic filter (a = −0.5, widened when shrinking), labels by the nearest pixel
/// centre, so that no new class appears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augment {
    /// Whether to mirror left and right with probability 0.5.
    pub flip: bool,
    /// Size before the crop divided by the target size, 1 to 16. 286/256 is usual; 1 means no crop.
    pub load_scale: f64,
    /// Target width in pixels.
    pub width: usize,
    /// Target height in pixels.
    pub height: usize,
}

impl Augment {
    /// Varies `sample`. The same `seed` always gives the same variation. The classes of each pair in `mirrored` swap when
    /// it is mirrored; see [`ClassTable::mirrored`](crate::label::ClassTable::mirrored).
    ///
    /// # Errors
    ///
    /// If `load_scale` is not within 1 to 16, a side is 0 or too large, or photo and labels differ in size.
    pub fn apply(&self, sample: Sample, mirrored: &[(u16, u16)], seed: u64) -> Result<Sample> {
        if !(1.0..=16.0).contains(&self.load_scale) {
            return Err(Error::Argument(format!("load_scale is {}; it must be within 1 to 16", self.load_scale)));
        }
        let scaled = |side: usize| (side as f64 * self.load_scale).round() as usize;
        let (load_width, load_height) = (scaled(self.width), scaled(self.height));
        let mut sample = fit(sample, load_width, load_height)?;

        let mut random = Rng::new(seed);
        // Always draw all three numbers, so that disabling one variation does not change the others.
        let x = random.below(load_width - self.width + 1);
        let y = random.below(load_height - self.height + 1);
        let mirror = random.next_u64() >> 63 == 1 && self.flip;
        if (load_width, load_height) != (self.width, self.height) {
            let (width, height) = (self.width as u32, self.height as u32);
            sample.image = imageops::crop_imm(&sample.image, x as u32, y as u32, width, height).to_image();
            let crop = |map: LabelMap| map.crop(x, y, self.width, self.height);
            sample.labels = crop(sample.labels)?;
            sample.instances = sample.instances.map(crop).transpose()?;
        }
        if mirror {
            imageops::flip_horizontal_in_place(&mut sample.image);
            sample.labels = sample.labels.flip_horizontal().swap(mirrored)?;
            sample.instances = sample.instances.map(|map| map.flip_horizontal());
        }
        Ok(sample)
    }
}

/// Resizes a sample to `width` by `height` pixels without any variation, as for validation: the photo with a bicubic
/// filter (a = −0.5), the labels by the nearest pixel centre.
///
/// # Errors
///
/// If a side is 0 or too large, or photo and labels differ in size.
pub fn fit(sample: Sample, width: usize, height: usize) -> Result<Sample> {
    let Sample { name, image, labels, instances, style } = sample;
    let (from_width, from_height) = (labels.width(), labels.height());
    if (image.width() as usize, image.height() as usize) != (from_width, from_height) {
        let sizes = format!("the photo is {}x{}, its labels {from_width}x{from_height}", image.width(), image.height());
        return Err(Error::Data(format!("{name}: {sizes}; they must have the same size")));
    }
    if let Some(map) = &instances
        && (map.width(), map.height()) != (from_width, from_height)
    {
        let sizes =
            format!("the instance map is {}x{}, the labels {from_width}x{from_height}", map.width(), map.height());
        return Err(Error::Data(format!("{name}: {sizes}; they must have the same size")));
    }
    if (from_width, from_height) == (width, height) {
        return Ok(Sample { name, image, labels, instances, style });
    }
    // Labels first: this call rejects impossible sizes.
    let labels = labels.resize_centered(width, height).map_err(|e| e.context(&name))?;
    let instances = instances.map(|map| map.resize_centered(width, height)).transpose()?;
    let image: RgbImage = imageops::resize(&image, width as u32, height as u32, FilterType::CatmullRom);
    Ok(Sample { name, image, labels, instances, style })
}

#[cfg(test)]
mod tests {
    use super::{Augment, fit};
    use crate::data::Sample;
    use crate::label::LabelMap;
    use image::{Rgb, RgbImage};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn color(id: u16) -> Rgb<u8> {
        Rgb([40 + 13 * id as u8, 200 - 11 * id as u8, 60 + 9 * id as u8])
    }

    /// A sample whose photo encodes the class of each pixel, in blocks of `block` pixels with one of ten classes.
    fn coded(width: usize, height: usize, block: usize, seed: u64) -> Sample {
        let id = |x: usize, y: usize| ((x / block) as u64 * 31 + (y / block) as u64 * 17 + seed).pow(2) % 97 % 10;
        let ids: Vec<_> = (0..width * height).map(|i| id(i % width, i / width) as u16).collect();
        let labels = LabelMap::new(width, height, ids).unwrap();
        let image =
            RgbImage::from_fn(width as u32, height as u32, |x, y| color(labels.get(x as usize, y as usize).unwrap()));
        Sample { name: "coded".into(), image, instances: Some(labels.clone()), labels, style: None }
    }

    /// The number of pixels inside areas of one class, and how many of them have the colour of another class.
    fn compare(sample: &Sample, radius: usize) -> (usize, usize) {
        let (width, height) = (sample.labels.width(), sample.labels.height());
        let (mut inside, mut wrong) = (0, 0);
        for y in radius..height.saturating_sub(radius) {
            for x in radius..width.saturating_sub(radius) {
                let id = sample.labels.get(x, y).unwrap();
                let mut around = (y - radius..=y + radius).flat_map(|y| (x - radius..=x + radius).map(move |x| (x, y)));
                if around.all(|(x, y)| sample.labels.get(x, y) == Some(id)) {
                    inside += 1;
                    wrong += usize::from(*sample.image.get_pixel(x as u32, y as u32) != color(id));
                }
            }
        }
        (inside, wrong)
    }

    fn classes(sample: &Sample) -> BTreeSet<u16> {
        sample.labels.ids().collect()
    }

    #[test]
    fn without_resizing_every_pixel_stays_aligned() {
        // 22 x 11 is exactly 1.1 times 20 x 10: only crop and flip remain.
        let augment = Augment { flip: true, load_scale: 1.1, width: 20, height: 10 };
        let mut results = BTreeSet::new();
        for seed in 0..200 {
            let sample = augment.apply(coded(22, 11, 1, 3), &[], seed).unwrap();
            assert_eq!(compare(&sample, 0), (200, 0));
            results.insert(sample.labels.ids().collect::<Vec<_>>());
        }
        assert_eq!(results.len(), 3 * 2 * 2, "3 x 2 offsets, mirrored or not");
    }

    #[test]
    fn flips_half_of_the_time_and_only_when_asked() {
        let plain = coded(8, 8, 1, 0);
        let augment = Augment { flip: true, load_scale: 1.0, width: 8, height: 8 };
        let flipped = (0..1000).filter(|&seed| augment.apply(plain.clone(), &[], seed).unwrap() != plain).count();
        assert!((430..570).contains(&flipped), "{flipped}");
        let never = Augment { flip: false, ..augment };
        assert!((0..50).all(|seed| never.apply(plain.clone(), &[], seed).unwrap() == plain));
    }

    #[test]
    fn shapes_other_than_the_photos_are_fine() {
        let sample = coded(48, 36, 12, 1);
        let fitted = fit(sample.clone(), 20, 30).unwrap();
        assert_eq!((fitted.image.dimensions(), fitted.labels.width(), fitted.labels.height()), ((20, 30), 20, 30));
        assert_eq!(fitted.labels, sample.labels.resize_centered(20, 30).unwrap());
        assert_eq!(fit(sample.clone(), 48, 36).unwrap(), sample);
    }

    #[test]
    fn refuses_impossible_sizes() {
        let sample = coded(8, 8, 2, 0);
        for load_scale in [0.5, f64::NAN, f64::INFINITY, 17.0] {
            let message = Augment { flip: true, load_scale, width: 8, height: 8 }.apply(sample.clone(), &[], 0);
            assert!(message.unwrap_err().to_string().contains("load_scale"));
        }
        for (width, height) in [(0, 8), (8, 0), (usize::MAX, 8), (40_000, 8)] {
            assert!(fit(sample.clone(), width, height).is_err());
            assert!(Augment { flip: true, load_scale: 1.5, width, height }.apply(sample.clone(), &[], 0).is_err());
        }
        let skewed = Sample { image: RgbImage::new(8, 9), ..sample };
        assert!(fit(skewed, 8, 8).unwrap_err().to_string().contains("8x9"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn photo_and_labels_stay_together(
            (width, height) in (40usize..90, 40usize..90),
            (to_width, to_height) in (24usize..100, 24usize..100),
            load_scale in 1.0f64..1.4,
            seed in any::<u64>(),
        ) {
            let sample = coded(width, height, 20, seed % 50);
            let before = classes(&sample);
            let augment = Augment { flip: true, load_scale, width: to_width, height: to_height };
            let result = augment.apply(sample.clone(), &[], seed).unwrap();
            prop_assert_eq!(result.image.dimensions(), (to_width as u32, to_height as u32));
            prop_assert_eq!((result.labels.width(), result.labels.height()), (to_width, to_height));
            prop_assert!(classes(&result).is_subset(&before));
            prop_assert_eq!(result.instances.as_ref(), Some(&result.labels));
            // The bicubic filter reaches two source pixels (two target pixels when shrinking) from a border.
            let scale = (to_width as f64 / width as f64).max(to_height as f64 / height as f64) * load_scale;
            let (_, wrong) = compare(&result, (2.0 * scale.max(1.0)).ceil() as usize + 1);
            prop_assert_eq!(wrong, 0);
            prop_assert_eq!(augment.apply(sample, &[], seed).unwrap(), result);
        }
    }

    #[test]
    fn the_comparison_looks_at_something() {
        let sample = fit(coded(60, 60, 20, 0), 45, 66).unwrap();
        assert!(compare(&sample, 4).0 > 200);
        let mut moved = sample.clone();
        moved.image = imageops_shift(&sample.image);
        assert!(compare(&moved, 4).1 > 20, "a shift of 6 pixels must show");
    }

    fn imageops_shift(image: &RgbImage) -> RgbImage {
        RgbImage::from_fn(image.width(), image.height(), |x, y| *image.get_pixel((x + 6) % image.width(), y))
    }
}
