//! How well predicted classes agree with the true ones.

use crate::error::{Error, Result};
use crate::label::LabelMap;

/// Counts of pixels by their true class and their predicted class, over a whole set of pictures.
///
/// Shares are of all pixels of the set, so a large picture counts more than a small one, as in the papers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    ignored: Option<u16>,
    /// `[true class, predicted class]`, row-major.
    counts: Vec<u64>,
}

impl Confusion {
    /// No pixels yet. Classes are `0..classes`. Pixels whose true class is `ignored` do not count, and that class is
    /// none of the classes that means are taken over; predicting it for another pixel is an error as any other.
    pub fn new(classes: usize, ignored: Option<u16>) -> Self {
        Self { classes, ignored, counts: vec![0; classes * classes] }
    }

    /// Continues with counts that [`counts`](Self::counts) gave.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there are not `classes²` counts.
    pub fn from_counts(classes: usize, ignored: Option<u16>, counts: Vec<u64>) -> Result<Self> {
        if counts.len() != classes * classes {
            let count = counts.len();
            return Err(Error::Data(format!("{count} counts of pixels do not fit {classes} classes")));
        }
        Ok(Self { classes, ignored, counts })
    }

    /// Counts the pixels of one picture.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the sizes differ, [`Error::Labels`] if a true class is neither below `classes` nor
    /// ignored, or a predicted class is not below `classes`. Nothing is counted then.
    pub fn add(&mut self, truth: &LabelMap, predicted: &LabelMap) -> Result<()> {
        let (size, found) = ((truth.width(), truth.height()), (predicted.width(), predicted.height()));
        if size != found {
            let ((w, h), (fw, fh)) = (size, found);
            return Err(Error::Argument(format!("the true labels are {w}x{h}, the predicted ones {fw}x{fh}")));
        }
        let mut counts = self.counts.clone();
        for (truth, predicted) in truth.ids().zip(predicted.ids()) {
            if self.ignored == Some(truth) {
                continue;
            }
            let (row, column) = (usize::from(truth), usize::from(predicted));
            let classes = self.classes;
            if row >= classes || column >= classes {
                let id = if row >= classes { truth } else { predicted };
                return Err(Error::Labels(format!(
                    "class {id} is none of the {classes} classes that are measured: the segmentation network needs to \
                     have the classes of the label maps"
                )));
            }
            counts[row * classes + column] += 1;
        }
        self.counts = counts;
        Ok(())
    }

    /// Adds the counts of another set with the same classes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if (self.classes, self.ignored) != (other.classes, other.ignored) {
            return Err(Error::Argument("counts of pixels with different classes cannot be added".into()));
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        Ok(())
    }

    /// The counts, `[true class, predicted class]`, row-major.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of pixels that count.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of pixels whose predicted class is the true one, 0 to 1; `None` without pixels.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let right: u64 = (0..self.classes).map(|class| self.count(class, class)).sum();
        share(right, self.pixels())
    }

    /// Intersection over union of one class, 0 to 1: of the pixels that are of the class or are predicted to be, the
    /// share for which both hold. `None` if there are no such pixels, or the class is ignored.
    pub fn iou(&self, class: u16) -> Option<f64> {
        let index = usize::from(class);
        if self.ignored == Some(class) || index >= self.classes {
            return None;
        }
        let of_class: u64 = (0..self.classes).map(|predicted| self.count(index, predicted)).sum();
        let predicted: u64 = (0..self.classes).map(|truth| self.count(truth, index)).sum();
        let both = self.count(index, index);
        share(both, of_class + predicted - both)
    }

    /// The mean of [`iou`](Self::iou) over the classes that have one; `None` if none has.
    pub fn mean_iou(&self) -> Option<f64> {
        let values: Vec<f64> = (0..self.classes).filter_map(|class| self.iou(class as u16)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }
}

fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ids: &[u16]) -> LabelMap {
        LabelMap::new(ids.len(), 1, ids.to_vec()).unwrap()
    }

    #[test]
    fn follows_the_definitions() {
        // Class 0: 2 of 3 found, 1 more predicted. Class 1: 1 of 2 found, 1 more predicted. Class 3: nowhere.
        let mut confusion = Confusion::new(4, None);
        confusion.add(&map(&[0, 0, 0, 1, 1, 2]), &map(&[0, 0, 1, 1, 0, 2])).unwrap();
        assert_eq!(confusion.pixel_accuracy(), Some(4.0 / 6.0));
        assert_eq!([0, 1, 2, 3].map(|class| confusion.iou(class)), [Some(0.5), Some(1.0 / 3.0), Some(1.0), None]);
        assert!((confusion.mean_iou().unwrap() - (0.5 + 1.0 / 3.0 + 1.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_class_that_is_only_predicted_counts() {
        let mut confusion = Confusion::new(3, None);
        confusion.add(&map(&[0, 0]), &map(&[0, 2])).unwrap();
        assert_eq!((confusion.iou(2), confusion.mean_iou()), (Some(0.0), Some(0.25)));
    }

    #[test]
    fn ignored_pixels_do_not_count() {
        let mut confusion = Confusion::new(3, Some(2));
        confusion.add(&map(&[0, 0, 1, 2, 2]), &map(&[0, 2, 1, 0, 2])).unwrap();
        assert_eq!(confusion.pixels(), 3);
        assert_eq!(confusion.pixel_accuracy(), Some(2.0 / 3.0));
        assert_eq!((confusion.iou(0), confusion.iou(1), confusion.iou(2)), (Some(0.5), Some(1.0), None));
        assert_eq!(confusion.mean_iou(), Some(0.75));
        // An ignored id may be one that no class has, as 255.
        let mut confusion = Confusion::new(2, Some(255));
        confusion.add(&map(&[255, 1]), &map(&[0, 1])).unwrap();
        assert_eq!(confusion.mean_iou(), Some(1.0));
    }

    #[test]
    fn without_pixels_there_is_no_score() {
        let confusion = Confusion::new(3, None);
        assert_eq!((confusion.pixel_accuracy(), confusion.mean_iou()), (None, None));
    }

    #[test]
    fn sets_add_up_pixel_by_pixel() {
        let (a, b) = (map(&[0, 1, 1]), map(&[0, 1, 0]));
        let mut whole = Confusion::new(2, None);
        whole.add(&a, &b).unwrap();
        whole.add(&b, &a).unwrap();
        let mut parts = Confusion::new(2, None);
        for (truth, predicted) in [(&a, &b), (&b, &a)] {
            let mut part = Confusion::new(2, None);
            part.add(truth, predicted).unwrap();
            parts.merge(&Confusion::from_counts(2, None, part.counts().to_vec()).unwrap()).unwrap();
        }
        assert_eq!(whole, parts);
        assert!(whole.merge(&Confusion::new(3, None)).is_err() && Confusion::from_counts(2, None, vec![1]).is_err());
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut confusion = Confusion::new(2, None);
        let message = confusion.add(&map(&[0, 7]), &map(&[0, 0])).unwrap_err().to_string();
        assert!(message.contains("class 7"), "{message}");
        assert!(confusion.add(&map(&[0, 0]), &map(&[0])).is_err());
        assert_eq!(confusion.pixels(), 0);
    }
}
