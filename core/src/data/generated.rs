//! Data sets that are generated on demand.

use super::{Dataset, ProceduralFacades, ProceduralTerrain, Sample, Split};
use crate::error::{Error, Result};
use crate::label::{ClassTable, Rect};
use crate::style::Style;

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
        Self::of(ProceduralFacades::new(seed), split, seed, len, width, height)
    }

    /// The same in many colours and materials; every sample has a style.
    pub fn varied(split: Split, seed: u64, len: usize, width: usize, height: usize) -> Self {
        Self::of(ProceduralFacades::varied(seed), split, seed, len, width, height)
    }

    fn of(facades: ProceduralFacades, split: Split, seed: u64, len: usize, width: usize, height: usize) -> Self {
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
        let facade = number(index, self.len, self.split)?;
        let (image, labels) = self.facades.render(facade, self.width, self.height)?;
        Ok(Sample {
            name: format!("facade{facade}"),
            image,
            labels,
            instances: None,
            style: self.facades.style(facade)?,
        })
    }

    fn name(&self) -> String {
        let colours = if self.facades.has_styles() { " in many colours" } else { "" };
        format!("procedural facades{colours} {}", self.seed)
    }

    fn describe(&self) -> String {
        let Self { split, seed, len, width, height, .. } = self;
        let classes = self.classes.len();
        let colours = if self.facades.has_styles() { " in many colours" } else { "" };
        format!(
            "procedural facades{colours}, seed {seed}: {len} pairs of {width}x{height} to {}, {classes} classes",
            split.purpose()
        )
    }

    fn style_length(&self) -> Option<usize> {
        self.facades.has_styles().then_some(ProceduralFacades::STYLE_LENGTH)
    }

    fn presets(&self) -> Result<Vec<(String, String, Style)>> {
        if !self.facades.has_styles() {
            return Ok(Vec::new());
        }
        let preset = |(name, summary): (&str, &str)| {
            let style = ProceduralFacades::new(0).preset(name)?.style(0)?;
            let style = style.ok_or_else(|| Error::Data(format!("preset {name} has no style")))?;
            Ok((name.to_owned(), summary.to_owned(), style.with_names(&self.classes)?))
        };
        ProceduralFacades::presets().map(preset).collect()
    }
}

/// The number of a sample of a split in its unbounded set. Training uses even numbers and validation odd ones: they never
/// overlap, whatever their lengths.
fn number(index: usize, len: usize, split: Split) -> Result<u64> {
    if index >= len {
        return Err(Error::Argument(format!("sample {index} of {len} does not exist; the first is 0")));
    }
    Ok(2 * index as u64 + u64::from(split == Split::Val))
}

/// A data set of procedural terrain: each sample is a part of a world of its own, with its style.
///
/// Training and validation never share a world, whatever their lengths.
#[derive(Debug)]
pub struct ProceduralTiles {
    classes: ClassTable,
    split: Split,
    seed: u64,
    len: usize,
    width: usize,
    height: usize,
}

impl ProceduralTiles {
    /// `len` tiles of `width` by `height` pixels. Different seeds give different worlds.
    pub fn new(split: Split, seed: u64, len: usize, width: usize, height: usize) -> Self {
        Self { classes: ProceduralTerrain::classes(), split, seed, len, width, height }
    }
}

impl Dataset for ProceduralTiles {
    fn classes(&self) -> &ClassTable {
        &self.classes
    }

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let number = number(index, self.len, self.split)?;
        let world = ProceduralTerrain::varied(self.seed, number);
        let part = Rect { x: 0, y: 0, width: self.width as u32, height: self.height as u32 };
        let (image, labels) = world.render(part)?;
        Ok(Sample { name: format!("terrain{number}"), image, labels, instances: None, style: Some(world.style()?) })
    }

    fn name(&self) -> String {
        format!("procedural terrain {}", self.seed)
    }

    fn describe(&self) -> String {
        let Self { split, seed, len, width, height, .. } = self;
        let classes = self.classes.len();
        format!(
            "procedural terrain, seed {seed}: {len} pairs of {width}x{height} to {}, {classes} classes",
            split.purpose()
        )
    }

    fn style_length(&self) -> Option<usize> {
        Some(ProceduralTerrain::STYLE_LENGTH)
    }

    fn presets(&self) -> Result<Vec<(String, String, Style)>> {
        let preset = |(name, summary): (&str, &str)| {
            let style = ProceduralTerrain::new(0).preset(name)?.style()?.with_names(&self.classes)?;
            Ok((name.to_owned(), summary.to_owned(), style))
        };
        ProceduralTerrain::presets().map(preset).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Procedural, ProceduralTiles};
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
    fn tiles_have_styles_and_repeat() {
        let set = ProceduralTiles::new(Split::Train, 1, 4, 48, 32);
        let sample = set.get(3).unwrap();
        assert_eq!(sample, set.get(3).unwrap());
        let style = sample.style.unwrap();
        assert_eq!((style.rows(), Some(style.length())), (12, set.style_length()));
        assert_eq!(sample.image.dimensions(), (48, 32));
        assert_ne!(sample.labels, ProceduralTiles::new(Split::Val, 1, 4, 48, 32).get(3).unwrap().labels);
        assert_ne!(sample.labels, ProceduralTiles::new(Split::Train, 2, 4, 48, 32).get(3).unwrap().labels);
        assert!(set.get(4).unwrap_err().to_string().contains("sample 4 of 4"));
        let presets = set.presets().unwrap();
        assert!(presets.len() >= 6 && presets.iter().all(|(_, _, style)| style.check_names(set.classes()).is_ok()));
        assert!(Procedural::new(Split::Train, 1, 4, 48, 32).presets().unwrap().is_empty());
    }

    #[test]
    fn ends_where_it_says() {
        let set = Procedural::new(Split::Val, 1, 2, 16, 16);
        assert!(set.get(2).unwrap_err().to_string().contains("sample 2 of 2"));
        assert!(Procedural::new(Split::Val, 1, 0, 16, 16).is_empty());
        assert_eq!(set.describe(), "procedural facades, seed 1: 2 pairs of 16x16 to validate on, 12 classes");
    }
}
