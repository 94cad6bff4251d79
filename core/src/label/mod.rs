//! Label maps: the class of each pixel.
//!
//! A [`LabelMap`] holds integer class ids; a [`ClassTable`] gives their meaning. This module only deals with
//! integers, never with one-hot tensors.
//!
//! [`LabelMap::read`] reads a label picture. Its [`Report`] says what the picture contains, even if it cannot be
//! used. A [`ColorPolicy`] decides what to do with colours that belong to no class.
//!
//! A [`LabelSource`] gives the ids of a picture area by area, so that the picture need not fit into memory.
//! [`LabelFile`] is one that reads a file by rows. A host whose own pictures hold the labels reads them by rows with a
//! [`LabelSurvey`], the [`LabelKey`] that it gives, and [`LabelBands`].

mod area;
mod classes;
mod decode;
mod distance;
mod edges;
mod file;
mod foreign;
mod gpl;
mod map;
mod nearest;
mod policy;
mod pyramid;
mod read;
mod report;
mod resize;
mod rows;
mod source;
mod stream;
mod tables;
#[cfg(test)]
mod testing;
mod write;

pub(crate) use area::{Area, Limits, Span, up};
pub use classes::{Class, ClassTable};
pub use distance::DistanceMap;
pub(crate) use distance::POSITION_CHANNELS;
pub use edges::instance_edges;
pub use file::LabelFile;
pub use map::{LabelMap, MAX_AREA, MAX_SIDE};
pub use policy::{ColorPolicy, ReadOptions};
pub(crate) use pyramid::{LabelPyramid, LabelScale};
pub use read::LabelReading;
pub use report::{ClassCount, ColorCount, Found, IdCount, ReadAs, Report, Source};
pub use rows::{LabelBands, LabelKey, LabelPixels, LabelSurvey};
pub use source::{LabelFn, LabelSource, Rect, from_fn};
pub(crate) use source::{Placed, WithInstances};
pub(crate) use stream::{Edges, LabelArea, LabelInput, LabelStream, LevelNeeds, patch_block, read_edges, read_row};
