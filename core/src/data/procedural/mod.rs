//! Procedural facades, so that training runs without any data.
//!
//! Every picture is drawn from a description in unit coordinates. The photo has anti-aliased edges and materials
//! filtered to the size of a pixel; the label map takes the centre of each pixel. Both are drawn from the same shapes
//! in the same order, so labels match the photo exactly. Only integer hashes and the basic operations of IEEE 754 are
//! used, so a set is the same on every platform.

mod colors;
mod layout;
mod paint;
mod parts;
mod plan;
mod program;
mod rng;
mod scene;
mod shape;
mod style;
mod terrain;
mod texture;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::style::Style;
use colors::{Colors, PRESETS};
use rng::Rng;
pub use terrain::ProceduralTerrain;

/// An endless set of procedural, rectified facades with the twelve classes of the CMP facades.
///
/// ```no_run
/// # use semsynth::data::ProceduralFacades;
/// let set = ProceduralFacades::new(7);
/// let (photo, labels) = set.render(0, 256, 256)?;
/// # Ok::<(), semsynth::error::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ProceduralFacades {
    seed: u64,
    look: Look,
}

/// Where the colours of a set come from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Look {
    /// From the architecture of each house.
    Plain,
    /// Each house has colours of its own.
    Varied,
    /// All houses have these.
    Fixed(Colors),
}

impl ProceduralFacades {
    /// The set with this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, look: Look::Plain }
    }

    /// The set with this seed in many colours and materials, each house with a [style](Self::style): walls of plaster
    /// and of bricks, frames, shutters, roofs, and the sky.
    pub const fn varied(seed: u64) -> Self {
        Self { seed, look: Look::Varied }
    }

    /// The number of values per class in a [style](Self::style).
    pub const STYLE_LENGTH: usize = colors::VALUES;

    /// The same houses in the colours of a preset; [`presets`](Self::presets) lists them.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if there is no such preset; it lists the valid names.
    pub fn preset(self, name: &str) -> Result<Self> {
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        let known = || Error::unknown_name("preset", name, PRESETS.iter().map(|preset| preset.name));
        Ok(Self { look: Look::Fixed(preset.ok_or_else(known)?.colors()), ..self })
    }

    /// Names of the presets and one line about each.
    pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
        PRESETS.iter().map(|preset| (preset.name, preset.summary))
    }

    /// Whether facades have [styles](Self::style).
    pub fn has_styles(&self) -> bool {
        self.look != Look::Plain
    }

    /// The colours of facade `index`, if they are not those of its architecture.
    fn colors(&self, index: u64) -> Option<Colors> {
        match self.look {
            Look::Plain => None,
            Look::Varied => Some(Colors::random(&mut Rng::new(self.seed ^ 0x636f_6c6f_7273, index))),
            Look::Fixed(colors) => Some(colors),
        }
    }

    /// The look of facade `index` as a style with a row for each class: two colours (red, green, blue), whether the wall
    /// is of bricks, and the strength of the sun, as differences from their means over all presets. Windows have the share of
    /// upright and of level bars in place of the last two. `None` for a set
    /// whose colours come from the architecture.
    ///
    /// # Errors
    /// None in practice: the form of the style is fixed.
    pub fn style(&self, index: u64) -> Result<Option<Style>> {
        self.colors(index).map(|colors| Style::regions(colors::VALUES, colors.style_rows())).transpose()
    }

    /// Facade `index` as photo and label map of `width` x `height` pixels, each side 16 to 4096.
    ///
    /// The same index shows the same house at every size with the same aspect ratio. Aspect ratios beyond 5:2 and 2:5
    /// are drawn at that limit and stretched.
    ///
    /// # Errors
    /// [`Error::Argument`] for sides outside 16 to 4096.
    pub fn render(&self, index: u64, width: usize, height: usize) -> Result<(RgbImage, LabelMap)> {
        if !(16..=4096).contains(&width) || !(16..=4096).contains(&height) {
            return Err(Error::Argument(format!(
                "a procedural facade of {width} x {height} pixels: choose sides from 16 to 4096"
            )));
        }
        let aspect = (width as f32 / height as f32).clamp(0.4, 2.5);
        let (bytes, ids) =
            paint::paint(&plan::plan(self.seed, index, aspect, self.colors(index).as_ref()), width, height);
        let photo = RgbImage::from_raw(width as u32, height as u32, bytes).ok_or_else(|| {
            Error::Data(format!("procedural facade {index}: the painted bytes do not fill the picture"))
        })?;
        Ok((photo, LabelMap::new(width, height, ids)?))
    }

    /// The classes: those of the CMP facades.
    pub fn classes() -> ClassTable {
        ClassTable::cmp_facades()
    }
}

#[cfg(test)]
mod tests {
    use super::scene::class;
    use super::*;
    use crate::rng::mix64;

    /// The number of pixels of each class.
    fn counts(labels: &LabelMap) -> [usize; 12] {
        let mut counts = [0; 12];
        for id in labels.ids() {
            counts[usize::from(id)] += 1;
        }
        counts
    }

    fn hash(photo: &RgbImage, labels: &LabelMap) -> u64 {
        let bytes = photo.as_raw().iter().map(|&b| u64::from(b));
        bytes.chain(labels.ids().map(u64::from)).fold(0, |h, v| mix64(h ^ v))
    }

    #[test]
    fn a_facade_is_the_same_everywhere_and_always() {
        let (photo, labels) = ProceduralFacades::new(1).render(4, 96, 96).unwrap();
        assert_eq!((photo.width(), photo.height(), labels.width(), labels.height()), (96, 96, 96, 96));
        assert_eq!(hash(&photo, &labels), 0x8219_d7b5_7f54_286e, "{:#018x}", hash(&photo, &labels));
    }

    #[test]
    fn facades_differ_by_index_and_by_seed() {
        let photo = |seed, index| ProceduralFacades::new(seed).render(index, 48, 48).unwrap().0;
        let mut photos: Vec<_> = (0..16).map(|index| photo(3, index)).collect();
        photos.push(photo(4, 0));
        for (i, a) in photos.iter().enumerate() {
            for b in &photos[..i] {
                let difference: u32 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                assert!(difference as f32 / a.as_raw().len() as f32 > 8.0);
            }
        }
    }

    #[test]
    fn every_class_is_common_enough_to_learn() {
        let set = ProceduralFacades::new(0);
        let (mut total, mut pictures) = ([0; 12], [0; 12]);
        for index in 0..200 {
            for (id, n) in counts(&set.render(index, 64, 64).unwrap().1).into_iter().enumerate() {
                total[id] += n;
                pictures[id] += usize::from(n > 0);
            }
        }
        let classes = ProceduralFacades::classes();
        for (id, (n, pictures)) in total.into_iter().zip(pictures).enumerate() {
            let share = n as f32 / (200.0 * 64.0 * 64.0);
            let name = classes.get(id as u16).map_or("?", |c| c.name.as_str());
            assert!(share > 0.006 && pictures >= 30, "{name}: {share} of the pixels, in {pictures} of 200 pictures");
        }
        assert!(total[usize::from(class::FACADE)] > total[usize::from(class::WINDOW)]);
    }

    #[test]
    fn labels_stand_where_things_are_painted() {
        let set = ProceduralFacades::new(9);
        let mut darker = 0;
        for index in 0..40 {
            let (photo, labels) = set.render(index, 128, 128).unwrap();
            let mut sums = [(0.0_f32, 0.0_f32); 12];
            for (pixel, id) in photo.pixels().zip(labels.ids()) {
                let [r, g, b] = pixel.0.map(f32::from);
                let sum = &mut sums[usize::from(id)];
                *sum = (sum.0 + 0.299 * r + 0.587 * g + 0.114 * b, sum.1 + 1.0);
            }
            let mean = |id: u16| sums[usize::from(id)].0 / sums[usize::from(id)].1;
            darker += usize::from(mean(class::WINDOW) + 10.0 < mean(class::FACADE));
        }
        assert!(darker >= 36, "windows are darker than the wall in {darker} of 40 facades");
    }

    /// The share of labels at `(width, height)` that equals the nearest pixel's label in a picture `times` as large.
    fn agreement(set: &ProceduralFacades, index: u64, width: usize, height: usize, times: usize) -> f32 {
        let labels = set.render(index, width, height).unwrap().1;
        let large = set.render(index, times * width, times * height).unwrap().1;
        let nearest = large.resize_centered(width, height).unwrap();
        let equal = labels.ids().zip(nearest.ids()).filter(|(a, b)| a == b).count();
        equal as f32 / (width * height) as f32
    }

    #[test]
    fn labels_agree_between_sizes() {
        let set = ProceduralFacades::new(5);
        let mut mean = 0.0;
        for index in 0..12 {
            // At three times the size, the middle of each block is the same point, so only rounding may differ.
            let same = agreement(&set, index, 128, 96, 3);
            assert!(same > 0.995, "{index}: {same}");
            // At twice the size, the nearest pixel is a quarter of a pixel away.
            mean += agreement(&set, index, 256, 192, 2) / 12.0;
        }
        assert!(mean >= 0.95, "{mean}");
    }

    #[test]
    fn a_house_looks_the_same_at_every_size() {
        let set = ProceduralFacades::new(5);
        for index in 0..12 {
            let small = set.render(index, 128, 96).unwrap().0;
            let large = set.render(index, 256, 192).unwrap().0;
            let mut error = 0.0;
            for (x, y, pixel) in small.enumerate_pixels() {
                for c in 0..3 {
                    let block = [(0, 0), (1, 0), (0, 1), (1, 1)];
                    let mean: f32 =
                        block.iter().map(|(i, j)| f32::from(large.get_pixel(2 * x + i, 2 * y + j)[c])).sum();
                    error += (0.25 * mean - f32::from(pixel[c])).abs();
                }
            }
            let error = error / (128.0 * 96.0 * 3.0);
            assert!(error < 4.0, "{index}: mean difference {error} of 255");
        }
    }

    #[test]
    fn colours_change_and_labels_stay() {
        let plain = ProceduralFacades::new(3);
        let names: Vec<&str> = ProceduralFacades::presets().map(|(name, _)| name).collect();
        assert!(names.len() >= 6 && plain.style(0).unwrap().is_none());
        let mut sets = vec![ProceduralFacades::varied(3)];
        sets.extend(names.iter().map(|name| plain.clone().preset(name).unwrap()));
        let (_, labels) = plain.render(1, 64, 64).unwrap();
        let mut photos: Vec<RgbImage> = Vec::new();
        for set in &sets {
            let (photo, same) = set.render(1, 64, 64).unwrap();
            assert_eq!(same, labels);
            let rows = set.style(1).unwrap().unwrap().to_rows();
            assert!(rows.len() == 12 * ProceduralFacades::STYLE_LENGTH && rows.iter().all(|value| value.abs() < 4.0));
            for other in &photos {
                let sum: u32 = photo.as_raw().iter().zip(other.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
                assert!(sum as f32 / photo.as_raw().len() as f32 > 4.0);
            }
            photos.push(photo);
        }
        assert_ne!(sets[0].style(1).unwrap(), sets[0].style(2).unwrap());
        assert_eq!(sets[0].render(2, 48, 48).unwrap(), ProceduralFacades::varied(3).render(2, 48, 48).unwrap());
        assert!(plain.preset("gold").unwrap_err().to_string().contains("limestone"));
    }

    #[test]
    fn impossible_sizes_are_refused_and_extreme_ones_painted() {
        let set = ProceduralFacades::new(0);
        for (w, h) in [(15, 64), (64, 15), (0, 0), (4097, 64)] {
            assert!(matches!(set.render(0, w, h), Err(Error::Argument(m)) if m.contains(&w.to_string())));
        }
        for index in 0..20 {
            for (w, h) in [(16, 16), (16, 300), (300, 16), (70, 41)] {
                let (photo, labels) = set.render(index, w, h).unwrap();
                assert_eq!((photo.width() as usize, labels.height()), (w, h));
            }
        }
        assert!(set.render(u64::MAX, 4096, 16).is_ok());
    }
}
