//! Training data: pairs of a photo and a label map of the same size.
//!
//! [`open`] detects the format of a folder:
//!
//! | format | photos | labels |
//! |---|---|---|
//! | pix2pix | `train/*.jpg`, or `*.jpg`: one half of a picture | the other half, in class colours; or `train_label/*.png` |
//! | folders | `train_img/`, `train/img/`, `train/` or `img/` | label PNGs of the same stem in `train_label/`, `train/label/`, `train_label/` or `label/`; instance maps in `train_inst/`, `train/inst/` or `inst/` |
//! | pix2pixHD | `train_B/`, or `train_A/` if labels are in `train_B/` | label PNGs of the same stem in the other folder |
//! | side by side | `*.jpg` in the folder or in `train/` | `*.png` or `*_label.png` of the same stem beside them |
//! | ADE20K | `images/training/`, `images/validation/` | `annotations/training/`, `annotations/validation/`: 0 is unlabelled, 1 to 150 the classes. With a list `outdoor.txt`, only the photos in it |
//! | Cityscapes | `leftImg8bit/train/CITY/*_leftImg8bit.png` | `gtFine/train/CITY/*_gtFine_labelIds.png`, instances in `*_gtFine_instanceIds.png` |
//! | COCO-Stuff | `train_img/` | `train_label/`: 0 to 181, 255 is unlabelled; instances in `train_inst/` |
//! | CelebAMask-HQ | `CelebA-HQ-img/N.jpg` | one mask for each part: `CelebAMask-HQ-mask-anno/K/NNNNN_PART.png` |
//! | DeepFashion | `train_img/` or `train/` | `cihp_train_mask/` |
//! | original CMP | `cmp_b0001.jpg` in the folder, `base/` or `extended/` | `cmp_b0001.png` in the same folder, values 1 to 12 |
//!
//! (For the other split, `val` replaces `train`, or `validation`, `valid` or `test`.) If a folder does not separate the
//! splits, every tenth pair in natural order belongs to [`Split::Val`], or the last one if there are fewer than ten.
//!
//! Official layouts bring their own class tables, so that `open` needs none: `ade20k-shifted`, `cityscapes`, `coco-stuff`,
//! `celebamask-hq` and `cihp` of [`ClassTable::shipped`]. With another table, label maps hold the ids of that table.
//!
//! [`check()`] lists all that is wrong with a data set. File names that look the same are the same, however their accents
//! are encoded. Pictures are told by their content.
//! Photos are turned upright as their EXIF orientation says.
//!
//! [`Procedural`] generates pairs on demand and needs no files. [`Augment`] and [`fit`] resize a sample to the size a
//! network takes.

mod augment;
mod check;
mod cmp;
mod coding;
mod disk;
mod forms;
mod generated;
mod header;
mod kept;
mod listing;
mod official;
mod pairing;
mod parts;
mod pix2pix;
pub mod procedural;

use std::path::Path;

use image::RgbImage;

use crate::error::Result;
use crate::label::{ClassTable, LabelMap, ReadOptions};
use crate::style::Style;

pub use augment::{Augment, fit};
pub use check::{Check, ClassShare, Finding, Severity, check};
pub use generated::{Procedural, ProceduralTiles};
pub(crate) use kept::Kept;
pub(crate) use listing::{natural_order, pictures_in};
pub use procedural::{ProceduralFacades, ProceduralTerrain};

/// A photo and its label map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Name of the sample: the file name without extension.
    pub name: String,
    /// The photo.
    pub image: RgbImage,
    /// The class of each pixel; has the size of the photo.
    pub labels: LabelMap,
    /// The instance of each pixel, if the data set has instance maps; has the size of the photo. Only which pixels are
    /// equal matters.
    pub instances: Option<LabelMap>,
    /// How the classes look, if the data set knows: a row for each class.
    pub style: Option<Style>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Pairs to train on.
    Train,
    /// Pairs to validate on; never used for training.
    Val,
}

impl Split {
    /// `train` or `val`, as in the names of folders.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }

    /// The purpose of its pairs, for text that follows "pairs to".
    fn purpose(self) -> &'static str {
        match self {
            Self::Train => "train on",
            Self::Val => "validate on",
        }
    }
}

impl std::fmt::Display for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An indexed set of [`Sample`]s that share one class table.
pub trait Dataset: Send + Sync {
    /// The meaning of the ids in the label maps.
    fn classes(&self) -> &ClassTable;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads or generates one sample; the same index always gives the same sample.
    ///
    /// # Errors
    ///
    /// If `index` is not below [`len`](Self::len), or the sample's files cannot be read or do not match.
    fn get(&self, index: usize) -> Result<Sample>;

    /// Name of the data set, without its path.
    fn name(&self) -> String;

    /// A one-line description: format, folder, number of pairs and of classes.
    fn describe(&self) -> String;

    /// Whether samples are read from files, rather than made.
    fn is_read(&self) -> bool {
        false
    }

    /// The number of values per class in the styles of the samples; `None` if they have no styles.
    fn style_length(&self) -> Option<usize> {
        None
    }

    /// Whether all samples have instance maps.
    fn has_instances(&self) -> bool {
        false
    }

    /// Named styles that belong to the data set: name, one line about it, and the style.
    ///
    /// # Errors
    ///
    /// If a style cannot be made.
    fn presets(&self) -> Result<Vec<(String, String, Style)>> {
        Ok(Vec::new())
    }

    /// Reads everything once, so that nothing is found wanting later. Sets that are generated have nothing to check.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) that lists all samples that cannot be used, and why.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    fn classes(&self) -> &ClassTable {
        (**self).classes()
    }

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        (**self).get(index)
    }

    fn name(&self) -> String {
        (**self).name()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }

    fn is_read(&self) -> bool {
        (**self).is_read()
    }

    fn style_length(&self) -> Option<usize> {
        (**self).style_length()
    }

    fn has_instances(&self) -> bool {
        (**self).has_instances()
    }

    fn presets(&self) -> Result<Vec<(String, String, Style)>> {
        (**self).presets()
    }

    fn check(&self) -> Result<()> {
        (**self).check()
    }
}

/// How to open a data set.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The classes, if they are not those that the folder holds.
    pub classes: Option<ClassTable>,
    /// How to read label maps.
    pub labels: ReadOptions,
}

/// Opens one split of the data set in `dir`. The format is detected (see the [module](self) documentation).
///
/// Classes are those of the options, or else come from `classes.ron`, `classes.json` or `classes.gpl` in `dir`. Without
/// either, official layouts use the table of the data set, and the pix2pix format [`ClassTable::cmp_facades`]; the original
/// CMP format always uses that one. Instance maps are used if all pairs of the split have one. This function
/// checks the names of all pairs and the sizes in the file headers; [`Dataset::check`] decodes the pixels.
///
/// # Errors
///
/// If `dir` has none of these formats, a pair is incomplete or its sizes differ, or the classes are unknown.
pub fn open(dir: &Path, split: Split, options: &OpenOptions) -> Result<Box<dyn Dataset>> {
    forms::find(dir, split, options).map(|found| Box::new(found) as Box<dyn Dataset>)
}
