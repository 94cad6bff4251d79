//! Data sets whose pairs are in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use image::imageops::{self, FilterType};
use rayon::prelude::*;

use super::coding::Coding;
use super::pairing::{Problems, short};
use super::{Dataset, Sample, Split, cmp, parts, pix2pix};
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
    /// In the PNG at this path, whose values mean what the coding says.
    Coded(PathBuf, Arc<Coding>),
    /// In the PNG of the CMP Facade Database at this path.
    Cmp(PathBuf),
    /// One mask for each part, in the order in which they are painted, with its class.
    Parts(Vec<(u16, PathBuf)>),
}

/// One photo and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) picture: PathBuf,
    pub(super) labels: Labels,
    /// The picture of its instances.
    pub(super) instances: Option<PathBuf>,
    /// Whether the photo may be larger than the labels by a whole factor, and is reduced to their size.
    pub(super) reduce: bool,
}

impl Pair {
    pub(super) fn new(name: String, picture: PathBuf, labels: Labels) -> Self {
        Self { name, picture, labels, instances: None, reduce: false }
    }

    /// The files of labels that are not in the photo's picture.
    pub(super) fn label_files(&self) -> Vec<&PathBuf> {
        match &self.labels {
            Labels::Half(_) => Vec::new(),
            Labels::OfLeftHalf(path) | Labels::Index(path) | Labels::Coded(path, _) | Labels::Cmp(path) => vec![path],
            Labels::Parts(parts) => parts.iter().map(|(_, path)| path).collect(),
        }
    }

    /// The whole picture of the photo, which holds its labels too in some formats.
    pub(super) fn read_picture(&self) -> Result<RgbImage> {
        Image::open(&self.picture).map(Image::into_rgb)
    }

    /// The labels; those of pictures with two halves are in `picture`.
    pub(super) fn read_labels(
        &self,
        picture: Option<&RgbImage>,
        classes: &ClassTable,
        options: ReadOptions,
    ) -> Result<LabelMap> {
        let index = |path: &Path| LabelMap::read(path, classes, options)?.map();
        match &self.labels {
            Labels::Half(left) => {
                let missing = || Error::Data("the picture cannot be read".into());
                let labels = picture.ok_or_else(missing).and_then(|p| pix2pix::labels(p, *left, classes, options));
                labels.map_err(|error| error.context(self.picture.display()))
            }
            Labels::OfLeftHalf(path) | Labels::Index(path) => index(path),
            Labels::Coded(path, coding) => coding.read(path, options),
            Labels::Cmp(path) => cmp::read_labels(path),
            Labels::Parts(parts) => parts::read(parts),
        }
    }

    /// The photo in its picture.
    pub(super) fn photo(&self, picture: RgbImage) -> RgbImage {
        match &self.labels {
            Labels::Half(left) => pix2pix::half(&picture, !left),
            Labels::OfLeftHalf(_) => pix2pix::half(&picture, true),
            _ => picture,
        }
    }

    /// The photo at the size of its labels.
    pub(super) fn at_size_of(&self, labels: &LabelMap, photo: RgbImage) -> Result<RgbImage> {
        let (width, height) = photo.dimensions();
        let (to_width, to_height) = (labels.width() as u32, labels.height() as u32);
        if (width, height) == (to_width, to_height) {
            return Ok(photo);
        }
        let factor = width / to_width;
        if self.reduce && (2..=4).contains(&factor) && (width, height) == (factor * to_width, factor * to_height) {
            return Ok(imageops::resize(&photo, to_width, to_height, FilterType::CatmullRom));
        }
        let file = self.label_files().first().map_or_else(String::new, |path| format!(" ({})", short(path)));
        Err(Error::Data(format!(
            "{}: the photo is {width}x{height}, its labels{file} are {to_width}x{to_height}",
            self.picture.display()
        )))
    }

    /// The instance map, if there is one; has the size of the labels.
    pub(super) fn read_instances(&self, labels: Option<&LabelMap>) -> Result<Option<LabelMap>> {
        let Some(path) = &self.instances else { return Ok(None) };
        let map = LabelMap::open_instances(path)?;
        if let Some(labels) = labels
            && (map.width(), map.height()) != (labels.width(), labels.height())
        {
            return Err(Error::Data(format!(
                "{}: the instance map is {}x{}, the labels are {}x{}",
                path.display(),
                map.width(),
                map.height(),
                labels.width(),
                labels.height()
            )));
        }
        Ok(Some(map))
    }
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
    /// Whether all pairs have instance maps.
    pub(super) instances: bool,
}

impl Dataset for Disk {
    fn is_read(&self) -> bool {
        true
    }

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
        let picture = pair.read_picture()?;
        let labels = pair.read_labels(Some(&picture), &self.classes, self.labels)?;
        let image = pair.at_size_of(&labels, pair.photo(picture))?;
        let instances = if self.instances { pair.read_instances(Some(&labels))? } else { None };
        Ok(Sample { name: pair.name.clone(), image, labels, instances, style: None })
    }

    fn has_instances(&self) -> bool {
        self.instances
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
