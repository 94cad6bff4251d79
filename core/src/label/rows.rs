//! Label pictures whose pixels a host gives by rows, twice: first to find out what they mean, then to read them.

use super::classes::ClassTable;
use super::decode::Stored;
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
/// [`LabelMap::read`](super::LabelMap::read) does for a file. Memory does not depend on the size of the picture.
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
    /// Whether pixels take the class of the nearest pixel that has one.
    pub fn needs_filling(&self) -> bool {
        self.fills
    }

    /// Makes ready to read class ids in bands of `rows` rows; the last band may have fewer. `read` gives the pixels of
    /// the band that begins at a row. If pixels [need filling](Self::needs_filling), each band is read once, from top to
    /// bottom, to know which pixels of the picture can be the nearest ones of others. This takes 16 bytes of memory per
    /// column and band, whatever the size of the picture. Otherwise `read` is not called.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if there is not enough memory; [`Error::Labels`] if a band has too few pixels or too many; errors
    /// of `read`.
    pub fn bands(self, rows: usize, mut read: impl FnMut(usize) -> Result<LabelPixels>) -> Result<LabelBands> {
        let [width, height] = self.size;
        let rows = rows.clamp(1, height.max(1));
        let mut bands = LabelBands { key: self, rows, fill: None };
        if bands.key.fills {
            let mut fill = nearest::Bands::new(width, height, rows)?;
            for band in 0..height.div_ceil(rows) {
                fill.add(&bands.positions(band, read(band * rows)?)?);
            }
            fill.finish();
            bands.fill = Some(fill);
        }
        Ok(bands)
    }
}

impl std::fmt::Debug for LabelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LabelKey").field("size", &self.size).field("fills", &self.fills).finish_non_exhaustive()
    }
}

/// Reads the class ids of a label picture in bands of rows, in any order.
#[derive(Debug)]
pub struct LabelBands {
    key: LabelKey,
    rows: usize,
    fill: Option<nearest::Bands>,
}

impl LabelBands {
    /// Rows of each band but the last.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The class ids of a band, of which these are the pixels. Those without a class take that of the nearest pixel of the
    /// whole picture that has one, if the policy says so.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if the band has too few pixels or too many, or for a pixel without a class, such as one that has
    /// changed.
    pub fn ids(&self, band: usize, pixels: LabelPixels) -> Result<Vec<u16>> {
        let mut ids = self.positions(band, pixels)?;
        if let Some(fill) = &self.fill {
            fill.fill(band, &mut ids);
        }
        for id in &mut ids {
            let class = self.key.ids.get(usize::from(*id)).copied();
            *id = class.ok_or_else(|| Error::Labels("a pixel has no class: did the picture change?".into()))?;
        }
        Ok(ids)
    }

    /// The class of each pixel of a band, as its index in the table.
    fn positions(&self, band: usize, pixels: LabelPixels) -> Result<Vec<u16>> {
        let [width, height] = self.key.size;
        let rows = height.saturating_sub(band.saturating_mul(self.rows)).min(self.rows);
        let pixels = Stored::from(pixels);
        if pixels.len() != width * rows {
            let count = pixels.len();
            return Err(Error::Labels(format!("{count} pixels do not fill {rows} rows of {width}")));
        }
        Ok(self.key.legend.positions(pixels))
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::LabelMap;
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
            rows in 1_usize..10,
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
            let fills = key.needs_filling();
            match whole.map() {
                Ok(map) => {
                    // Only then is nothing to fill.
                    prop_assert!(fills || report == *whole.report());
                    let band = |y: usize| pixels[y * width..(y + rows).min(height) * width].to_vec();
                    let mut read = Vec::new();
                    let bands = key.bands(rows, |y| {
                        read.push(y);
                        Ok(LabelPixels::Colors(band(y)))
                    }).unwrap();
                    let all: Vec<usize> = (0..height).step_by(rows).collect();
                    prop_assert_eq!(read, if fills { all.clone() } else { Vec::new() });
                    // In any order.
                    for y in all.into_iter().rev() {
                        let expected: Vec<u16> = map.ids().skip(y * width).take(rows * width).collect();
                        let found = bands.ids(y / rows, LabelPixels::Colors(band(y))).unwrap();
                        prop_assert_eq!(found, expected);
                    }
                }
                Err(error) => {
                    prop_assert!(!fills);
                    prop_assert_eq!(report.check().unwrap_err().to_string(), error.to_string());
                }
            }
        }
    }

    fn key(width: usize, height: usize, of: &[[u8; 4]]) -> LabelKey {
        let classes = table(None);
        let policy = ColorPolicy::NearestPixel { tolerance: 0 };
        let mut survey = LabelSurvey::new(Source::Memory, width, height, &classes, policy);
        survey.add(LabelPixels::Colors(of.to_vec()));
        survey.finish(&[]).0
    }

    /// Neither a long side nor an unknown colour sets a limit.
    #[test]
    fn pictures_longer_than_a_label_map_are_filled() {
        let (width, height) = (40_000, 3);
        let mut pixels = vec![[255, 0, 0, 255]; width * height];
        pixels[width + 39_999] = [9, 9, 9, 255];
        pixels[39_999] = [0, 255, 0, 255];
        let read = |y: usize| LabelPixels::Colors(pixels[y * width..][..width].to_vec());
        let bands = key(width, height, &pixels).bands(1, |y| Ok(read(y))).unwrap();
        let ids = |y: usize| bands.ids(y, read(y)).unwrap();
        assert_eq!(ids(1)[39_997..], [1, 1, 1], "the left of two equally near ones");
        assert_eq!(ids(0)[39_998..], [1, 2]);
    }

    #[test]
    fn bands_of_another_size_are_refused() {
        let pixels = [[255, 0, 0, 255], [9, 9, 9, 255], [0, 255, 0, 255], [255, 0, 0, 255]];
        let few = |count: usize| LabelPixels::Colors(pixels[..count].to_vec());
        let error = key(2, 2, &pixels).bands(1, |_| Ok(few(1))).unwrap_err().to_string();
        assert!(error.contains("1 pixels do not fill 1 rows of 2"), "{error}");
        let bands = key(2, 2, &pixels).bands(1, |y| Ok(LabelPixels::Colors(pixels[2 * y..][..2].to_vec()))).unwrap();
        assert!(bands.ids(0, few(4)).is_err() && bands.ids(2, few(2)).is_err() && bands.ids(1, few(2)).is_ok());
    }
}
