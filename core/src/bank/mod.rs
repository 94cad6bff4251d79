//! The memory bank of SIMS (Qi et al. 2018): segments of training photos, and collages of them for label maps.
//!
//! A segment is a connected region of one class. For each segment of a label map, [`Bank::collage`] takes the one of the same
//! class that fits best: the overlap of the shapes plus the overlap of the classes around, after the boxes are
//! aligned; of equals, that of the nearest place and size. Segments are scaled to the box of their place, the largest first, and
//! keep only pixels where the label map has their class. Pixels close to the boundaries of segments are missing.
//!
//! The paper's networks for aligning and ordering segments are not there: boxes are aligned, and small segments lie over large ones.

mod segments;

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::fmt;

use image::RgbImage;
use rayon::prelude::*;

use segments::{Bounds, Descriptor, Segment, Segments, centre};

use crate::collage::Collage;
use crate::data::{Dataset, fit};
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::memory;
use crate::picture::Image;
use crate::rng::{Rng, mix64};

/// Photos that are read at a time.
const CHUNK: usize = 64;
/// Share of the segments of a [simulated](Bank::simulated) collage that get other colours.
const RECOLOURED: f64 = 0.3;
/// A picture loses a pixel at each side of a boundary for so many pixels of its shorter side, at least one.
const ELISION: usize = 128;
/// No segment.
const NONE: u32 = u32::MAX;

/// How much a bank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankLimits {
    /// Most photos, at random if the set has more.
    pub photos: usize,
    /// Most bytes of photos, of which there is at least one.
    pub bytes: usize,
    /// Most segments of a class, at random. More take longer to compare.
    pub per_class: usize,
}

impl Default for BankLimits {
    fn default() -> Self {
        Self { photos: 1024, bytes: 512 << 20, per_class: 1024 }
    }
}

/// Segments of the photos of a data set. The same photos and limits always give the same bank.
pub struct Bank {
    classes: ClassTable,
    photos: Vec<Photo>,
    by_class: BTreeMap<u16, Vec<Entry>>,
}

/// A photo of the bank.
struct Photo {
    /// Its number in the data set.
    index: usize,
    image: RgbImage,
    /// The number of the segment of each pixel.
    numbers: Vec<u32>,
}

/// A segment of the bank.
struct Entry {
    photo: usize,
    number: u32,
    segment: Segment,
    descriptor: Descriptor,
}

impl Bank {
    /// Cuts the photos of a data set into segments, after resizing them to this height and width.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the set is empty, errors of reading it, and [`Error::Limit`] if the memory is too little.
    pub fn of(set: &dyn Dataset, size: [usize; 2], limits: BankLimits) -> Result<Self> {
        if set.is_empty() {
            return Err(Error::Data(format!("{}: there are no photos for a memory bank", set.name())));
        }
        let [height, width] = size;
        let bytes = (width * height).max(1) * (3 + size_of::<u32>());
        let count = (limits.bytes / bytes).min(limits.photos).clamp(1, set.len());
        memory::ask_for(count, bytes, "the memory bank")?;
        let mut random = Rng::new(0);
        let order = random.permutation(set.len());
        let mut photos = Vec::with_capacity(count);
        let mut by_class: BTreeMap<u16, Vec<Entry>> = BTreeMap::new();
        let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
        for chunk in order[..count].chunks(CHUNK) {
            let read = |&index: &usize| {
                let sample = fit(set.get(index)?, width, height)?;
                Ok((index, sample.image, Segments::of(&sample.labels)))
            };
            for (index, image, segments) in chunk.par_iter().map(read).collect::<Result<Vec<_>>>()? {
                for (number, &segment) in (0..).zip(&segments.all) {
                    let entries = by_class.entry(segment.class).or_default();
                    let seen = seen.entry(segment.class).or_default();
                    *seen += 1;
                    // Each segment of a class stays with the same probability (reservoir sampling).
                    let place = if *seen <= limits.per_class { entries.len() } else { random.below(*seen) };
                    if place >= limits.per_class {
                        continue;
                    }
                    let descriptor = segments.describe(number);
                    let entry = Entry { photo: photos.len(), number, segment, descriptor };
                    match entries.get_mut(place) {
                        Some(other) => *other = entry,
                        None => entries.push(entry),
                    }
                }
                photos.push(Photo { index, image, numbers: segments.numbers });
            }
        }
        Ok(Self { classes: set.classes().clone(), photos, by_class })
    }

    /// The classes of the data set.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }

    /// Checks that the classes are those of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] with the first difference.
    pub fn check(&self, model: &ClassTable) -> Result<()> {
        let Some(difference) = model.difference(&self.classes) else { return Ok(()) };
        Err(Error::Data(format!(
            "the classes of the photos are not those of the model ({difference}): take the data set that it was trained on"
        )))
    }

    /// Number of photos.
    pub fn photos(&self) -> usize {
        self.photos.len()
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.by_class.values().map(Vec::len).sum()
    }

    /// A number that is another one if collages may be others.
    pub fn digest(&self) -> u64 {
        let mut digest = self.segments() as u64;
        let mut add = |value: u64| digest = mix64(digest ^ value);
        for Photo { index, image, numbers } in &self.photos {
            add(*index as u64);
            for bytes in image.as_raw().chunks(8) {
                add(bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)));
            }
            for number in numbers {
                add(u64::from(*number));
            }
        }
        digest
    }

    /// A collage for a label map, with its size. `without` is the number of a picture in the data set of which nothing is taken.
    /// Where there is no segment of a class, or the best one does not reach, pixels are missing.
    ///
    /// # Errors
    ///
    /// As [`Image::new`].
    pub fn collage(&self, labels: &LabelMap, without: Option<usize>) -> Result<Collage> {
        self.compose(labels, without, None)
    }

    /// A collage to learn from: the pixels of a photo itself, but only those that [`collage`](Self::collage) would fill, and
    /// about three in ten segments with the mean and spread of the colours of what would fill them. So a network learns to trust a
    /// collage, to fill its gaps and to bring its colours together. `seed` chooses the segments.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if photo and label map differ in size.
    pub fn simulated(&self, photo: &RgbImage, labels: &LabelMap, without: Option<usize>, seed: u64) -> Result<Collage> {
        let (width, height) = (labels.width(), labels.height());
        if (photo.width() as usize, photo.height() as usize) != (width, height) {
            let (w, h) = photo.dimensions();
            return Err(Error::Argument(format!("the photo has {w}x{h} pixels, its label map {width}x{height}")));
        }
        self.compose(labels, without, Some((photo, Rng::new(seed))))
    }

    /// The segment of a class that fits best, if there is one.
    fn best(&self, class: u16, wanted: &Descriptor, without: Option<usize>) -> Option<&Entry> {
        let mut best: Option<(f64, &Entry)> = None;
        let entries = self.by_class.get(&class)?.iter();
        for entry in entries.filter(|entry| without != Some(self.photos[entry.photo].index)) {
            let fit = wanted.fit(&entry.descriptor);
            let better = best.is_none_or(|(other, known)| match fit.total_cmp(&other) {
                Ordering::Equal => wanted.distance(&entry.descriptor) < wanted.distance(&known.descriptor),
                order => order.is_gt(),
            });
            if better {
                best = Some((fit, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }

    /// A collage of the bank's photos, or of `own` in the shape of these.
    fn compose(&self, labels: &LabelMap, without: Option<usize>, mut own: Option<(&RgbImage, Rng)>) -> Result<Collage> {
        let (width, height) = (labels.width(), labels.height());
        let segments = Segments::of(labels);
        let mut order: Vec<u32> = (0..segments.all.len() as u32).collect();
        order.sort_by_key(|&number| Reverse(segments.all[number as usize].pixels));
        let mut bytes = vec![0; 3 * width * height];
        // The segment whose pixel is on top.
        let mut owners = vec![NONE; width * height];
        let pixels = bytes.as_chunks_mut::<3>().0;
        for number in order {
            let Segment { class, bounds, .. } = segments.all[number as usize];
            let Some(entry) = self.best(class, &segments.describe(number), without) else { continue };
            let Photo { image, numbers, .. } = &self.photos[entry.photo];
            let (source, from) = (pixels_of(image), entry.segment.bounds);
            let changes = own.as_mut().is_some_and(|(_, random)| random.uniform() < RECOLOURED);
            let change = own.as_ref().filter(|_| changes).map(|(photo, _)| Recolouring {
                from: Colours::of(pixels_of(photo), width, bounds, &segments.numbers, number),
                to: Colours::of(source, image.width() as usize, from, numbers, entry.number),
            });
            for (row, y) in (bounds.y..bounds.y + bounds.height).enumerate() {
                let source_row = (from.y + centre(row, bounds.height, from.height)) * image.width() as usize + from.x;
                for (column, at) in (y * width + bounds.x..).take(bounds.width).enumerate() {
                    let source_at = source_row + centre(column, bounds.width, from.width);
                    if segments.ids[at] != class || numbers[source_at] != entry.number {
                        continue;
                    }
                    let pixel = own.as_ref().map_or(source[source_at], |(photo, _)| pixels_of(photo)[at]);
                    pixels[at] = change.as_ref().map_or(pixel, |change| change.apply(pixel));
                    owners[at] = number;
                }
            }
        }
        let edges = near_edges(&segments.ids, &owners, width, elision([height, width]));
        let missing = owners.iter().zip(edges).map(|(owner, edge)| *owner == NONE || edge).collect();
        Collage::new(Image::new(width, height, bytes)?, missing)
    }
}

impl fmt::Debug for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bank")
            .field("photos", &self.photos())
            .field("segments", &self.segments())
            .finish_non_exhaustive()
    }
}

fn pixels_of(image: &RgbImage) -> &[[u8; 3]] {
    image.as_raw().as_chunks().0
}

/// Pixels that are missing at each side of a boundary, in a picture of this height and width.
fn elision([height, width]: [usize; 2]) -> usize {
    (height.min(width) / ELISION).max(1)
}

/// Which pixels are at most so far from one of another class or owner, up and down and to the sides; `reach` is at least 1.
fn near_edges(ids: &[u16], owners: &[u32], width: usize, reach: usize) -> Vec<bool> {
    let height = ids.len() / width.max(1);
    let differ = |a: usize, b: usize| ids[a] != ids[b] || owners[a] != owners[b];
    let mut edges = vec![false; ids.len()];
    for at in 0..ids.len() {
        for other in [(at % width + 1 < width).then_some(at + 1), (at / width + 1 < height).then_some(at + width)] {
            if let Some(other) = other.filter(|&other| differ(at, other)) {
                (edges[at], edges[other]) = (true, true);
            }
        }
    }
    // Pixels beside an edge are at a distance of 1 already.
    for _ in 1..reach {
        let before = edges.clone();
        for at in (0..ids.len()).filter(|&at| before[at]) {
            let (x, y) = (at % width, at / width);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                edges[row * width + x.saturating_sub(1)..row * width + (x + 2).min(width)].fill(true);
            }
        }
    }
    edges
}

/// Mean and standard deviation of the colours of a segment.
#[derive(Clone, Copy, Debug)]
struct Colours {
    mean: [f32; 3],
    spread: [f32; 3],
}

impl Colours {
    fn of(pixels: &[[u8; 3]], width: usize, bounds: Bounds, numbers: &[u32], number: u32) -> Self {
        let Bounds { x, y, width: wide, height } = bounds;
        let places = (y..y + height).flat_map(|y| (y * width + x..).take(wide)).filter(|&at| numbers[at] == number);
        let (mut count, mut sums, mut squares) = (0.0, [0.0; 3], [0.0; 3]);
        for pixel in places.map(|at| pixels[at].map(f64::from)) {
            count += 1.0;
            for (channel, value) in pixel.into_iter().enumerate() {
                sums[channel] += value;
                squares[channel] += value * value;
            }
        }
        let mean = sums.map(|sum| sum / f64::max(count, 1.0));
        let spread = std::array::from_fn(|channel| {
            f64::sqrt((squares[channel] / f64::max(count, 1.0) - mean[channel] * mean[channel]).max(0.0)) as f32
        });
        Self { mean: mean.map(|mean| mean as f32), spread }
    }
}

/// Gives pixels the mean and, within a factor of two, the spread of other colours.
#[derive(Clone, Copy, Debug)]
struct Recolouring {
    from: Colours,
    to: Colours,
}

impl Recolouring {
    fn apply(&self, pixel: [u8; 3]) -> [u8; 3] {
        std::array::from_fn(|channel| {
            let (from, to) = (self.from.spread[channel], self.to.spread[channel]);
            let factor = if from < 1.0 { 1.0 } else { (to / from).clamp(0.5, 2.0) };
            let value = (f32::from(pixel[channel]) - self.from.mean[channel]) * factor + self.to.mean[channel];
            value.round().clamp(0.0, 255.0) as u8
        })
    }
}

#[cfg(test)]
mod tests;
