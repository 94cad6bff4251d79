//! What a training set is like: how frequent its classes are, and how bright its pictures.

use crate::data::Dataset;
use crate::error::{Error, Result};

/// Most samples that are looked at.
const SAMPLES: usize = 512;

/// Added to the share of a class before the logarithm. The rarest class weighs `1 / ln(1.1)`, ten times as much as one.
const SMOOTHING: f64 = 1.1;

/// Shares of classes, and mean and deviation of the values of pictures, over at most 512 samples that are spread evenly over a
/// set.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Share of the pixels that count, by class id; 0 for ids that no class has.
    pub shares: Vec<f64>,
    /// Mean of red, green and blue, 0 to 255.
    pub mean: [f32; 3],
    /// Their standard deviation, at least 1.
    pub deviation: [f32; 3],
}

impl Survey {
    /// Looks at the samples of a set. Pixels of class `ignored` do not count.
    ///
    /// # Errors
    ///
    /// Those of reading samples; [`Error::Data`] if there are none, or no pixel counts.
    pub fn of(set: &dyn Dataset, ignored: Option<u16>) -> Result<Self> {
        let (len, looked) = (set.len(), set.len().min(SAMPLES));
        let mut counts = vec![0_u64; set.classes().channels()];
        let (mut sums, mut squares, mut pixels) = ([0_u64; 3], [0_u64; 3], 0_u64);
        for place in 0..looked {
            let sample = set.get(place * len / looked)?;
            for id in sample.labels.ids().filter(|id| Some(*id) != ignored) {
                let count = counts.get_mut(usize::from(id));
                *count.ok_or_else(|| Error::Labels(format!("{}: no class has id {id}", sample.name)))? += 1;
            }
            for pixel in sample.image.pixels() {
                for (channel, value) in pixel.0.into_iter().map(u64::from).enumerate() {
                    sums[channel] += value;
                    squares[channel] += value * value;
                }
            }
            pixels += u64::from(sample.image.width()) * u64::from(sample.image.height());
        }
        let counted: u64 = counts.iter().sum();
        if counted == 0 {
            return Err(Error::Data(format!("{}: no pixel to train on has a class that counts", set.describe())));
        }
        let mean = sums.map(|sum| sum as f64 / pixels as f64);
        let deviation = |channel: usize| {
            let variance = squares[channel] as f64 / pixels as f64 - mean[channel] * mean[channel];
            variance.max(1.0).sqrt() as f32
        };
        Ok(Self {
            shares: counts.into_iter().map(|count| count as f64 / counted as f64).collect(),
            mean: mean.map(|mean| mean as f32),
            deviation: [0, 1, 2].map(deviation),
        })
    }

    /// Weight of each class in the loss, by id: `1 / ln(1.1 + share)` (Paszke et al. 2016, section 5.2, with the
    /// constant 1.1 in place of 1.02, so that the rarest classes weigh 10 and not 50).
    pub fn weights(&self) -> Vec<f32> {
        self.shares.iter().map(|share| (1.0 / (SMOOTHING + share).ln()) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Procedural, Sample, Split};
    use crate::label::{ClassTable, LabelMap};
    use image::{Rgb, RgbImage};

    /// Two pictures of one colour each.
    struct Pair(ClassTable);

    impl Dataset for Pair {
        fn classes(&self) -> &ClassTable {
            &self.0
        }
        fn len(&self) -> usize {
            2
        }
        fn get(&self, index: usize) -> Result<Sample> {
            let labels = LabelMap::new(4, 1, [vec![0, 0, 1, 3], vec![0, 0, 0, 3]][index].clone())?;
            let image = RgbImage::from_pixel(4, 1, Rgb([index as u8 * 100, 50, 255]));
            Ok(Sample { name: String::new(), image, labels, instances: None, style: None })
        }
        fn name(&self) -> String {
            "pair".into()
        }
        fn describe(&self) -> String {
            "a pair".into()
        }
    }

    #[test]
    fn counts_what_counts() {
        let set = Pair(ClassTable::cmp_facades());
        let survey = Survey::of(&set, Some(3)).unwrap();
        assert!((survey.shares[0] - 5.0 / 6.0).abs() < 1e-12 && (survey.shares[1] - 1.0 / 6.0).abs() < 1e-12);
        assert!(survey.shares[2..].iter().all(|share| *share == 0.0) && survey.shares.len() == 12);
        assert_eq!((survey.mean, survey.deviation), ([50.0, 50.0, 255.0], [50.0, 1.0, 1.0]));
        let weights = survey.weights();
        assert!((f64::from(weights[0]) - 1.0 / (1.1_f64 + 5.0 / 6.0).ln()).abs() < 1e-6);
        assert!(weights[0] < weights[1] && weights[1] < weights[2] && weights[2] < 10.6);
    }

    #[test]
    fn sets_without_anything_are_refused() {
        let empty = Procedural::new(Split::Train, 0, 0, 32, 32);
        assert!(Survey::of(&empty, None).unwrap_err().to_string().contains("no pixel"));
    }
}
