//! Data sets that are generated on demand.

use super::{Dataset, ProceduralFacades, Sample, Split};
use crate::error::{Error, Result};
use crate::label::ClassTable;

/// A data set of procedural facades, for tests and for first experiments without any download.
///
/// Training and validation never share a facade, whatever their lengths.
#[derive(Debug)]
pub struct Procedural {
    facades: ProceduralFacades,
    classes: ClassTable,
    split: Split,
    seed: u64,
    len: usize,
    width: usize,
    height: usize,
}

impl Procedural {
    /// `len` facades of `width` by `height` pixels. Different seeds give different facades.
    pub fn new(split: Split, seed: u64, len: usize, width: usize, height: usize) -> Self {
        let facades = ProceduralFacades::new(seed);
        let classes = ProceduralFacades::classes();
        Self { facades, classes, split, seed, len, width, height }
    }
}

impl Dataset for Procedural {
    fn classes(&self) -> &ClassTable {
        &self.classes
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Sample> {
        if index >= self.len {
            return Err(Error::Argument(format!("sample {index} of {} does not exist; the first is 0", self.len)));
        }
        // Training uses even indices and validation odd ones: they never overlap, whatever their lengths.
        let facade = 2 * index as u64 + u64::from(self.split == Split::Val);
        let (image, labels) = self.facades.render(facade, self.width, self.height)?;
        Ok(Sample { name: format!("facade{facade}"), image, labels })
    }

    fn name(&self) -> String {
        format!("procedural facades {}", self.seed)
    }

    fn describe(&self) -> String {
        let Self { split, seed, len, width, height, .. } = self;
        let classes = self.classes.len();
        format!(
            "procedural facades, seed {seed}: {len} pairs of {width}x{height} to {}, {classes} classes",
            split.purpose()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Procedural;
    use crate::data::{Dataset, Split};

    #[test]
    fn gives_the_same_sample_each_time() {
        let set = Procedural::new(Split::Train, 1, 4, 48, 32);
        let sample = set.get(3).unwrap();
        assert_eq!(sample, set.get(3).unwrap());
        assert_eq!(sample.image.dimensions(), (48, 32));
        assert_eq!((sample.labels.width(), sample.labels.height()), (48, 32));
        assert!(sample.labels.ids().all(|id| set.classes().get(id).is_some()));
        assert_ne!(sample.labels, Procedural::new(Split::Train, 2, 4, 48, 32).get(3).unwrap().labels);
    }

    #[test]
    fn training_and_validation_share_nothing() {
        let train = Procedural::new(Split::Train, 1, 12, 64, 64);
        let val = Procedural::new(Split::Val, 1, 12, 64, 64);
        let all = |set: &Procedural| (0..set.len()).map(|i| set.get(i).unwrap()).collect::<Vec<_>>();
        let (train, val) = (all(&train), all(&val));
        for a in &train {
            assert!(val.iter().all(|b| a.name != b.name && a.image != b.image), "{}", a.name);
        }
    }

    #[test]
    fn ends_where_it_says() {
        let set = Procedural::new(Split::Val, 1, 2, 16, 16);
        assert!(set.get(2).unwrap_err().to_string().contains("sample 2 of 2"));
        assert!(Procedural::new(Split::Val, 1, 0, 16, 16).is_empty());
        assert_eq!(set.describe(), "procedural facades, seed 1: 2 pairs of 16x16 to validate on, 12 classes");
    }
}
