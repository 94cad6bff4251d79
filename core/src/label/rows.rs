//! Label pictures whose pixels a host gives by rows, twice: first to find out what they mean, then to read them.

use super::classes::ClassTable;
use super::decode::Stored;
use super::map::LabelMap;
use super::nearest;
use super::policy::ReadOptions;
use super::read::{Legend, Survey};
use super::report::{Report, Source};
use crate::error::{Error, Result};

/// Pixels of some rows of a label picture, as it stores them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelPixels {
    /// One value per pixel, of an indexed or grey picture.
    Values {
        /// The stored values.
        values: Vec<u16>,
        /// Alpha per pixel; empty without an alpha channel.
        alpha: Vec<u8>,
    },
    /// Red, green, blue and alpha per pixel.
    Colors(Vec<[u8; 4]>),
}

impl From<LabelPixels> for Stored {
    fn from(pixels: LabelPixels) -> Self {
        match pixels {
            LabelPixels::Values { values, alpha } => Self::Values { values, alpha },
            LabelPixels::Colors(colors) => Self::Colors(colors),
        }
    }
}

/// The first look at a label picture: counts its values or colours, then decides what they mean, as
/// [`LabelMap::read`] does for a file. Memory does not depend on the size of the picture.
pub struct LabelSurvey<'a> {
    survey: Survey<'a>,
    ids: Vec<u16>,
    size: [usize; 2],
}

impl<'a> LabelSurvey<'a> {
    /// Begins with a picture of `width` by `height` pixels, which is stored as `source` says.
    pub fn new(
        source: Source,
        width: usize,
        height: usize,
        classes: &'a ClassTable,
        options: impl Into<ReadOptions>,
    ) -> Self {
        let size = [width, height];
        Self {
            survey: Survey::new(source, options.into(), size, classes),
            ids: classes.iter().map(|c| c.id).collect(),
            size,
        }
    }

    /// Counts the next pixels, row by row from the top left.
    pub fn add(&mut self, pixels: LabelPixels) {
        self.survey.add(&pixels.into());
    }

    /// The key to the picture, and a report in which no pixel is filled yet. `colors` has the colour of each value of
    /// an indexed or grey picture.
    pub fn finish(self, colors: &[[u8; 3]]) -> (LabelKey, Report) {
        let (legend, report) = self.survey.finish(colors);
        (LabelKey { legend, ids: self.ids, size: self.size, fills: report.needs_filling() }, report)
    }
}

impl std::fmt::Debug for LabelSurvey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelSurvey").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The class of each value or colour of a label picture.
pub struct LabelKey {
    legend: Legend,
    /// Of each class in the table.
    ids: Vec<u16>,
    size: [usize; 2],
    fills: bool,
}

impl LabelKey {
    /// Whether pixels take the class of the nearest certain pixel, which takes the whole picture to tell:
    /// [`fill`](Self::fill) instead of [`ids`](Self::ids).
    pub fn needs_filling(&self) -> bool {
        self.fills
    }

    /// The class ids of some pixels of a picture whose pixels all have a class of their own.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] for a pixel without a class, such as one that has changed.
    pub fn ids(&self, pixels: LabelPixels) -> Result<Vec<u16>> {
        let mut ids = self.legend.positions(pixels.into());
        self.name(&mut ids)?;
        Ok(ids)
    }

    /// The whole picture, in which pixels without a class take that of the nearest pixel that has one. `read` gives its
    /// pixels part by part, row by row from the top left.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the picture is too large for a [`LabelMap`]; [`Error::Labels`] if the parts do not fill it;
    /// errors of `read`.
    pub fn fill(&self, mut read: impl FnMut(usize) -> Result<LabelPixels>) -> Result<LabelMap> {
        let [width, height] = self.size;
        super::map::check_size(width, height)?;
        let mut ids = Vec::with_capacity(width * height);
        while ids.len() < width * height {
            let before = ids.len();
            ids.append(&mut self.legend.positions(read(before / width)?.into()));
            if ids.len() == before {
                return Err(Error::Labels("pixels of the label picture are missing".into()));
            }
        }
        nearest::fill(&mut ids, width);
        self.name(&mut ids)?;
        LabelMap::new(width, height, ids)
    }

    /// Replaces positions in the class table by ids.
    fn name(&self, positions: &mut [u16]) -> Result<()> {
        for position in positions {
            let id = self.ids.get(usize::from(*position)).copied();
            *position = id.ok_or_else(|| Error::Labels("a pixel has no class: did the picture change?".into()))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for LabelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelKey").field("size", &self.size).field("fills", &self.fills).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::ColorPolicy;
    use super::super::testing::table;
    use super::*;
    use crate::picture::{PixelFormat, Pixels};
    use proptest::prelude::*;

    proptest! {
        /// Row by row, a picture has the ids and the report that it has as a whole.
        #[test]
        fn rows_are_read_as_the_whole_picture(
            (width, height) in (1_usize..9, 1_usize..9),
            colors in proptest::collection::vec(0_usize..5, 64),
            tolerance in 0_u8..3,
            policy in 0..3,
        ) {
            let palette = [[0, 0, 0, 255], [255, 0, 0, 255], [0, 255, 0, 255], [254, 1, 0, 200], [9, 9, 9, 0]];
            let pixels: Vec<[u8; 4]> = colors[..width * height].iter().map(|&color| palette[color]).collect();
            let policy = match policy {
                0 => ColorPolicy::Refuse,
                1 => ColorPolicy::NearestColor { tolerance },
                _ => ColorPolicy::NearestPixel { tolerance },
            };
            let classes = table(None);
            let view = Pixels::new(PixelFormat::Rgba8, width, height, 4 * width, pixels.as_flattened()).unwrap();
            let whole = LabelMap::from_pixels(&view, &classes, policy).unwrap();

            let mut survey = LabelSurvey::new(Source::Memory, width, height, &classes, policy);
            let row = |y: usize| LabelPixels::Colors(pixels[y * width..][..width].to_vec());
            (0..height).for_each(|y| survey.add(row(y)));
            let (key, report) = survey.finish(&[]);
            match whole.map() {
                Ok(map) if key.needs_filling() => prop_assert_eq!(key.fill(|y| Ok(row(y))).unwrap(), map),
                Ok(map) => {
                    prop_assert_eq!(&report, whole.report());
                    for y in 0..height {
                        let expected: Vec<u16> = map.ids().skip(y * width).take(width).collect();
                        prop_assert_eq!(key.ids(row(y)).unwrap(), expected);
                    }
                }
                Err(error) => {
                    prop_assert!(!key.needs_filling());
                    prop_assert_eq!(report.check().unwrap_err().to_string(), error.to_string());
                }
            }
        }
    }
}
