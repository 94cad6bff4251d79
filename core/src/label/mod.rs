//! Label maps: which class each pixel belongs to.
//!
//! A [`LabelMap`] holds integer class ids, a [`ClassTable`] says what they mean. Maps stay integer all the way to
//! the network: nothing here ever builds a one-hot tensor.
//!
//! [`LabelMap::read`] takes a picture of labels and says in a [`Report`] what it found; [`inspect`] gives the report
//! alone, even for a picture that cannot be used. A [`ColorPolicy`] says what to do with colours that are no class's.

mod classes;
mod decode;
mod distance;
mod edges;
mod gpl;
mod map;
mod nearest;
mod policy;
mod read;
mod report;
mod resize;
mod tables;
#[cfg(test)]
mod testing;
mod write;

pub use classes::{Class, ClassTable};
pub use distance::DistanceMap;
pub use edges::instance_edges;
pub use map::{LabelMap, MAX_AREA, MAX_SIDE};
pub use policy::ColorPolicy;
pub use read::inspect;
#[cfg(feature = "train")]
pub(crate) use read::stored_ids;
pub use report::{ClassCount, ColorCount, Found, IdCount, ReadAs, Report, Source};
