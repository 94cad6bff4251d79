//! Data sets whose pairs are in files.

use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use super::pairing::Problems;
use super::{Dataset, Sample, Split, cmp, pix2pix};
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap, ReadOptions};
use crate::picture::Image;

/// Where the labels of a photo are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// In the right half of the photo's picture, or with `true` in the left one.
    Half(bool),
    /// In the index PNG at this path; the photo is the left half of its picture.
    OfLeftHalf(PathBuf),
    /// In the index PNG at this path.
    Index(PathBuf),
    /// In the PNG of the CMP Facade Database at this path.
    Cmp(PathBuf),
}

/// One photo and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) picture: PathBuf,
    pub(super) labels: Labels,
}

/// A data set whose pairs are read from files on demand.
#[derive(Debug)]
pub(super) struct Disk {
    /// The format and its location, for [`Dataset::describe`].
    pub(super) form: String,
    /// Name of the folder, for [`Dataset::name`].
    pub(super) name: String,
    pub(super) split: Split,
    pub(super) pairs: Vec<Pair>,
    pub(super) classes: ClassTable,
    pub(super) labels: ReadOptions,
}

impl Disk {
    fn read_labels(&self, path: &Path) -> Result<LabelMap> {
        LabelMap::read(path, &self.classes, self.labels)?.map()
    }
}

impl Dataset for Disk {
    fn classes(&self) -> &ClassTable {
        &self.classes
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let pair = self.pairs.get(index).ok_or_else(|| {
            Error::Argument(format!("sample {index} of {} does not exist; the first is 0", self.pairs.len()))
        })?;
        let picture = read_photo(&pair.picture)?;
        let (image, labels) = match &pair.labels {
            Labels::Half(left) => {
                let labels = pix2pix::labels(&picture, *left, &self.classes, self.labels);
                (pix2pix::half(&picture, !left), labels.map_err(|e| e.context(pair.picture.display()))?)
            }
            Labels::OfLeftHalf(path) => (pix2pix::half(&picture, true), self.read_labels(path)?),
            Labels::Index(path) => (picture, self.read_labels(path)?),
            Labels::Cmp(path) => (picture, cmp::read_labels(path)?),
        };
        let sizes = (image.width() as usize, image.height() as usize, labels.width(), labels.height());
        let (width, height, label_width, label_height) = sizes;
        if (width, height) != (label_width, label_height) {
            let message = format!("the photo is {width}x{height}, its labels are {label_width}x{label_height}");
            return Err(Error::Data(format!("{}: {message}", pair.picture.display())));
        }
        Ok(Sample { name: pair.name.clone(), image, labels, style: None })
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn check(&self) -> Result<()> {
        let mut problems = Problems::default();
        let all: Vec<Option<Error>> = (0..self.len()).into_par_iter().map(|index| self.get(index).err()).collect();
        all.into_iter().flatten().for_each(|error| problems.push(error));
        let advice = "Mend these files, or take them out of the data set. Nothing was trained";
        problems.into_result(Path::new(&self.name), advice)
    }

    fn describe(&self) -> String {
        let pairs = if self.pairs.len() == 1 { "pair" } else { "pairs" };
        format!(
            "{}: {} {pairs} to {}, {} classes",
            self.form,
            self.pairs.len(),
            self.split.purpose(),
            self.classes.len()
        )
    }
}

fn read_photo(path: &Path) -> Result<RgbImage> {
    Image::open(path).map(Image::into_rgb)
}
