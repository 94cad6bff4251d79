//! Label maps whose stored values are not the class ids of the table that is trained with.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::label::{Class, ClassTable, LabelMap, ReadAs, ReadOptions};

/// What the stored values of a data set's label maps mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// The classes by stored value.
    stored: ClassTable,
    /// The class ids that differ from their stored values.
    moved: BTreeMap<u16, u16>,
}

impl Coding {
    /// Stored values are the ids of this table.
    pub(super) fn ids(classes: ClassTable) -> Self {
        Self { stored: classes, moved: BTreeMap::new() }
    }

    /// `stored_as` gives the stored value of each class of the table.
    fn new(classes: &ClassTable, stored_as: impl Fn(u16) -> u16) -> Result<Self> {
        let stored = classes.iter().map(|class| Class { id: stored_as(class.id), ..class.clone() }).collect();
        let moved = classes.iter().map(|class| (stored_as(class.id), class.id)).filter(|(stored, id)| stored != id);
        Ok(Self { stored: ClassTable::new(stored)?, moved: moved.collect() })
    }

    /// The scene parsing challenge of ADE20K: 0 is unlabelled, 1 to 150 are the classes. `classes` counts them from 0, and
    /// unlabelled last, as the papers train.
    pub(super) fn ade20k(classes: &ClassTable) -> Result<Self> {
        Self::new(classes, |id| if id == 150 { 0 } else { id + 1 })
    }

    /// `labelIds` of Cityscapes. The licence plate, officially -1, is 34 in `classes` and would be 255 in a file of 8 bits.
    pub(super) fn cityscapes(classes: &ClassTable) -> Result<Self> {
        Self::new(classes, |id| if id == 34 { 255 } else { id })
    }

    /// Reads a picture of stored values. Official label maps hold ids, whatever their palettes look like.
    pub(super) fn read(&self, path: &Path, options: ReadOptions) -> Result<LabelMap> {
        let options = ReadOptions { read_as: options.read_as.or(Some(ReadAs::Ids)), ..options };
        let labels = LabelMap::read(path, &self.stored, options)?.map()?;
        if self.moved.is_empty() {
            return Ok(labels);
        }
        let ids = labels.ids().map(|stored| self.moved.get(&stored).copied().unwrap_or(stored)).collect();
        LabelMap::new(labels.width(), labels.height(), ids)
    }
}

#[cfg(test)]
mod tests {
    use super::Coding;
    use crate::data::cmp::tests::write_indexed;
    use crate::label::{ClassTable, LabelMap, ReadOptions};

    fn read(coding: &Coding, values: &[u8]) -> crate::Result<LabelMap> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        write_indexed(&path, values.len() as u32, 1, png::BitDepth::Eight, values);
        coding.read(&path, ReadOptions::default())
    }

    #[test]
    fn ade20k_is_shifted() {
        let classes = ClassTable::shipped("ade20k-shifted").unwrap();
        let coding = Coding::ade20k(&classes).unwrap();
        let map = read(&coding, &[0, 1, 2, 150]).unwrap();
        assert_eq!(map.ids().collect::<Vec<_>>(), [150, 0, 1, 149]);
        assert!(read(&coding, &[1, 151]).unwrap_err().to_string().contains("151"));
    }

    #[test]
    fn cityscapes_keeps_its_ids() {
        let classes = ClassTable::shipped("cityscapes").unwrap();
        let coding = Coding::cityscapes(&classes).unwrap();
        let map = read(&coding, &[0, 7, 33, 255]).unwrap();
        assert_eq!(map.ids().collect::<Vec<_>>(), [0, 7, 33, 34]);
        assert!(read(&coding, &[34]).is_err());
    }

    #[test]
    fn coco_stuff_has_255_for_unlabelled() {
        let coding = Coding::ids(ClassTable::shipped("coco-stuff").unwrap());
        assert_eq!(read(&coding, &[0, 181, 255]).unwrap().ids().collect::<Vec<_>>(), [0, 181, 182]);
    }
}
