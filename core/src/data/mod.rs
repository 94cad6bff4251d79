//! Training data: pairs of a photo and a label map of the same size.
//!
//! [`open`] finds out by itself in which form a folder holds its pairs:
//!
//! | form | photos | labels |
//! |---|---|---|
//! | pix2pix | `train/*.jpg`, or `*.jpg`: the left half of a picture twice as wide as high | the right half, in class colours; or `train_label/*.png` |
//! | folders | `train_img/`, `train/img/`, `train/` or `img/` | index PNGs of the same stem in `train_label/`, `train/label/`, `train_label/` or `label/` |
//! | original CMP | `cmp_b0001.jpg` in the folder, `base/` or `extended/` | `cmp_b0001.png` beside it, values 1 to 12 |
//!
//! (`val` in place of `train` for the other split.) Where a folder does not separate the splits, every tenth pair in
//! natural order belongs to [`Split::Val`], and the last one if there are fewer than ten.
//!
//! [`Procedural`] draws its pairs on demand and needs no files; [`Augment`] and [`fit`] bring a sample to the size a
//! network wants.

mod augment;
mod cmp;
mod disk;
mod forms;
mod generated;
mod header;
mod listing;
mod pairing;
mod pix2pix;
pub mod procedural;

use std::path::Path;

use image::RgbImage;

use crate::error::Result;
use crate::label::{ClassTable, LabelMap};

pub use augment::{Augment, fit};
pub use generated::Procedural;
pub use procedural::ProceduralFacades;

/// A photo and what is where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What to call it: the file name without extension.
    pub name: String,
    /// The photo.
    pub image: RgbImage,
    /// The class of each pixel of the photo, of the same size as the photo.
    pub labels: LabelMap,
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// The pairs a network learns from.
    Train,
    /// The pairs it never sees while learning.
    Val,
}

impl Split {
    /// `train` or `val`, as in folder names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }

    /// What its pairs are for, after "pairs to".
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

/// A numbered set of [`Sample`]s over one class table.
pub trait Dataset: Send + Sync {
    /// What the ids in the label maps mean.
    fn classes(&self) -> &ClassTable;

    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads or makes one sample; the same index always gives the same sample.
    ///
    /// # Errors
    ///
    /// If `index` is not below [`len`](Self::len), or the files behind it cannot be read or do not fit.
    fn get(&self, index: usize) -> Result<Sample>;

    /// What the set is called, without the path it is at.
    fn name(&self) -> String;

    /// One line for people: form, folder, how many pairs, how many classes.
    fn describe(&self) -> String;
}

/// Opens one split of the data set in `dir`, in whichever form (see the [module](self) documentation) it is.
///
/// Classes come from `classes.ron`, `classes.json` or `classes.gpl` in `dir`, else from `classes`; the pix2pix form
/// falls back to [`ClassTable::cmp_facades`], and the original CMP form always uses that table. All pairs are checked
/// here by name and by the sizes in the file headers; pixels are decoded by [`Dataset::get`].
///
/// # Errors
///
/// If `dir` holds none of the forms, if a pair is incomplete or its sizes differ, or if nothing says what the classes
/// are.
pub fn open(dir: &Path, split: Split, classes: Option<&ClassTable>) -> Result<Box<dyn Dataset>> {
    forms::find(dir, split, classes).map(|found| Box::new(found) as Box<dyn Dataset>)
}
