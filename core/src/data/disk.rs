//! Data sets whose pairs are in files.

use std::path::{Path, PathBuf};

use image::{ImageReader, RgbImage};

use super::{Dataset, Sample, Split, cmp, pix2pix};
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};

/// Where the labels of a photo are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Labels {
    /// In the right half of the photo's picture.
    RightHalf,
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
            Labels::RightHalf => {
                let labels = pix2pix::labels(&picture, &self.classes);
                (pix2pix::photo(&picture), labels.map_err(|e| e.context(pair.picture.display()))?)
            }
            Labels::OfLeftHalf(path) => (pix2pix::photo(&picture), LabelMap::open(path, &self.classes)?),
            Labels::Index(path) => (picture, LabelMap::open(path, &self.classes)?),
            Labels::Cmp(path) => (picture, cmp::read_labels(path)?),
        };
        let sizes = (image.width() as usize, image.height() as usize, labels.width(), labels.height());
        let (width, height, label_width, label_height) = sizes;
        if (width, height) != (label_width, label_height) {
            let message = format!("the photo is {width}x{height}, its labels are {label_width}x{label_height}");
            return Err(Error::Data(format!("{}: {message}", pair.picture.display())));
        }
        Ok(Sample { name: pair.name.clone(), image, labels })
    }

    fn name(&self) -> String {
        self.name.clone()
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
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(Error::io(path))?;
    let picture = reader.decode().map_err(|e| Error::Data(format!("{}: {e}", path.display())))?;
    Ok(picture.into_rgb8())
}
