//! The labels that a layer holds, read in strips.

use std::ffi::CStr;

use semsynth::label::{ColorPolicy, LabelBands, LabelKey, LabelPixels, LabelSurvey, Report, Source};
use semsynth::{ClassTable, Error, LabelMap};

use crate::gimp::{Buffer, Drawable, Format, Image, Rect};

/// Rows that are read or written at a time.
pub(crate) const STRIP: i32 = 64;

/// A part of a layer, as labels. Colours and values are taken as the layer stores them, whatever its colour space: they
/// are names, not light.
#[derive(Debug)]
pub(crate) struct Labels {
    buffer: Buffer,
    format: Format,
    source: Source,
    /// Of each value of an indexed or grey image.
    colors: Vec<[u8; 3]>,
    /// In the layer's coordinates.
    pub(crate) rect: Rect,
}

impl Labels {
    pub(crate) fn new(image: Image, layer: Drawable, rect: Rect) -> Self {
        let (own, alpha) = (layer.format(), layer.has_alpha());
        let pick = |with: &'static CStr, without: &'static CStr| if alpha { with } else { without };
        let (format, source, colors) = if layer.is_rgb() {
            (Format::in_space_of(c"R'G'B'A u8", own), Source::RgbPng { bits: 8, alpha }, Vec::new())
        } else if layer.is_indexed() {
            (own, Source::IndexedPng { bits: 8 }, image.palette(own))
        } else if image.has_16_bits() {
            let format = Format::in_space_of(pick(c"Y'A u16", c"Y' u16"), own);
            (format, Source::GreyPng { bits: 16, alpha }, Vec::new())
        } else {
            let format = Format::in_space_of(pick(c"Y'A u8", c"Y' u8"), own);
            (format, Source::GreyPng { bits: 8, alpha }, (0..=255).map(|value| [value; 3]).collect())
        };
        Self { buffer: layer.buffer(), format, source, colors, rect }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> [usize; 2] {
        [self.rect.w as usize, self.rect.h as usize]
    }

    /// The pixels of up to [`STRIP`] rows from row `y` on.
    pub(crate) fn strip(&self, y: usize) -> LabelPixels {
        let rows = STRIP.min(self.rect.h - y as i32);
        self.read(Rect { y: self.rect.y + y as i32, h: rows, ..self.rect })
    }

    fn read(&self, rect: Rect) -> LabelPixels {
        unpack(&self.buffer.get(rect, self.format), self.source, self.format.bytes())
    }

    /// The values of an indexed image's colours.
    pub(crate) fn colors(&self) -> &[[u8; 3]] {
        &self.colors
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// A smaller picture of this width and height: each of its pixels is one of these, never a mixture.
    pub(crate) fn sample(&self, width: usize, height: usize) -> LabelPixels {
        let [own_width, own_height] = self.size();
        let mut all = match self.source {
            Source::RgbPng { .. } => LabelPixels::Colors(Vec::with_capacity(width * height)),
            _ => LabelPixels::Values { values: Vec::with_capacity(width * height), alpha: Vec::new() },
        };
        let columns: Vec<usize> = (0..width).map(|x| x * own_width / width).collect();
        for y in 0..height {
            let row = self.read(Rect { y: self.rect.y + (y * own_height / height) as i32, h: 1, ..self.rect });
            match (&mut all, row) {
                (LabelPixels::Colors(all), LabelPixels::Colors(row)) => {
                    all.extend(columns.iter().map(|&x| row[x]));
                }
                (LabelPixels::Values { values: all, alpha: all_alpha }, LabelPixels::Values { values: row, alpha }) => {
                    all.extend(columns.iter().map(|&x| row[x]));
                    if !alpha.is_empty() {
                        all_alpha.extend(columns.iter().map(|&x| alpha[x]));
                    }
                }
                _ => {}
            }
        }
        all
    }

    /// What the pixels mean. Reads all of them.
    pub(crate) fn survey(&self, classes: &ClassTable, policy: ColorPolicy) -> (LabelKey, Report) {
        let [width, height] = self.size();
        let mut survey = LabelSurvey::new(self.source, width, height, classes, policy);
        for y in (0..height).step_by(STRIP as usize) {
            survey.add(self.strip(y));
        }
        survey.finish(&self.colors)
    }

    /// Reads all pixels once more, if some take the class of others.
    ///
    /// # Errors
    ///
    /// If there is not enough memory.
    pub(crate) fn bands(&self, key: LabelKey) -> Result<LabelBands, Error> {
        key.bands(STRIP as usize, |y| Ok(self.strip(y)))
    }

    /// The ids of up to [`STRIP`] rows from row `y` on, a multiple of that.
    ///
    /// # Errors
    ///
    /// If the layer has changed.
    pub(crate) fn ids(&self, bands: &LabelBands, y: usize) -> Result<Vec<u16>, Error> {
        bands.ids(y / STRIP as usize, self.strip(y))
    }
}

/// The ids of a small picture, and the report on it.
pub(crate) fn classify(
    pixels: &LabelPixels,
    [width, height]: [usize; 2],
    source: Source,
    colors: &[[u8; 3]],
    classes: &ClassTable,
    policy: ColorPolicy,
) -> (Result<LabelMap, Error>, Report) {
    let mut survey = LabelSurvey::new(source, width, height, classes, policy);
    survey.add(pixels.clone());
    let (key, report) = survey.finish(colors);
    let map = if key.needs_filling() { Ok(()) } else { report.check() }.and_then(|()| {
        let ids = key.bands(height, |_| Ok(pixels.clone()))?.ids(0, pixels.clone())?;
        LabelMap::new(width, height, ids)
    });
    (map, report)
}

/// A smaller picture, of `to` width and height: each of its pixels is one of these, never a mixture.
pub(crate) fn shrink(pixels: &LabelPixels, from: [usize; 2], to: [usize; 2]) -> LabelPixels {
    let at: Vec<usize> =
        (0..to[1]).flat_map(|y| (0..to[0]).map(move |x| y * from[1] / to[1] * from[0] + x * from[0] / to[0])).collect();
    match pixels {
        LabelPixels::Colors(colors) => LabelPixels::Colors(at.iter().map(|&i| colors[i]).collect()),
        LabelPixels::Values { values, alpha } => {
            let alpha = if alpha.is_empty() { Vec::new() } else { at.iter().map(|&i| alpha[i]).collect() };
            LabelPixels::Values { values: at.iter().map(|&i| values[i]).collect(), alpha }
        }
    }
}

/// The colours of pixels, as RGB bytes. Values without a colour are grey.
pub(crate) fn rgb(pixels: &LabelPixels, colors: &[[u8; 3]]) -> Vec<u8> {
    let grey = |value: u16| [value.min(255) as u8; 3];
    match pixels {
        LabelPixels::Colors(pixels) => pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect(),
        LabelPixels::Values { values, .. } => values
            .iter()
            .flat_map(|&value| colors.get(usize::from(value)).copied().unwrap_or_else(|| grey(value)))
            .collect(),
    }
}

/// Pixels of a format with `size` bytes per pixel.
fn unpack(bytes: &[u8], source: Source, size: usize) -> LabelPixels {
    let mut values = Vec::new();
    let mut alpha = Vec::new();
    match (source, size) {
        (Source::RgbPng { .. }, _) => return LabelPixels::Colors(bytes.as_chunks::<4>().0.to_vec()),
        (Source::GreyPng { bits: 16, alpha: false }, _) => {
            values.extend(bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_ne_bytes(pair)));
        }
        (Source::GreyPng { bits: 16, alpha: true }, _) => {
            for &[v0, v1, a0, a1] in bytes.as_chunks::<4>().0 {
                values.push(u16::from_ne_bytes([v0, v1]));
                alpha.push((u16::from_ne_bytes([a0, a1]) / 257) as u8);
            }
        }
        (_, 2) => {
            for &[value, opacity] in bytes.as_chunks::<2>().0 {
                values.push(u16::from(value));
                alpha.push(opacity);
            }
        }
        _ => values.extend(bytes.iter().map(|&value| u16::from(value))),
    }
    LabelPixels::Values { values, alpha }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &[u8], source: Source, size: usize) -> (Vec<u16>, Vec<u8>) {
        match unpack(bytes, source, size) {
            LabelPixels::Values { values, alpha } => (values, alpha),
            LabelPixels::Colors(_) => panic!("colours"),
        }
    }

    #[test]
    fn pixels_are_unpacked_as_they_are_stored() {
        let grey = |bits, alpha| Source::GreyPng { bits, alpha };
        assert_eq!(values(&[3, 4], grey(8, false), 1), (vec![3, 4], vec![]));
        assert_eq!(values(&[3, 255, 4, 0], grey(8, true), 2), (vec![3, 4], vec![255, 0]));
        assert_eq!(values(&[3, 255, 4, 0], Source::IndexedPng { bits: 8 }, 2), (vec![3, 4], vec![255, 0]));
        let wide: Vec<u8> = [300_u16, 65535, 7, 257].iter().flat_map(|v| v.to_ne_bytes()).collect();
        assert_eq!(values(&wide, grey(16, false), 2), (vec![300, 65535, 7, 257], vec![]));
        assert_eq!(values(&wide, grey(16, true), 4), (vec![300, 7], vec![255, 1]));
        let colors = unpack(&[1, 2, 3, 4], Source::RgbPng { bits: 8, alpha: true }, 4);
        assert_eq!(colors, LabelPixels::Colors(vec![[1, 2, 3, 4]]));
    }

    #[test]
    fn smaller_pictures_mix_nothing() {
        let colors: Vec<[u8; 4]> = (0..12).map(|i| [i, 100 + i, 200, 255]).collect();
        let small = shrink(&LabelPixels::Colors(colors.clone()), [4, 3], [2, 2]);
        assert_eq!(small, LabelPixels::Colors([0, 2, 4, 6].map(|i| colors[i]).to_vec()));
        let all = LabelPixels::Values { values: (0..12).collect(), alpha: (100..112).collect() };
        let expected = LabelPixels::Values { values: vec![0, 2, 4, 6], alpha: vec![100, 102, 104, 106] };
        assert_eq!(shrink(&all, [4, 3], [2, 2]), expected);
        assert_eq!(shrink(&all, [4, 3], [4, 3]), all);
        assert_eq!(rgb(&small, &[])[3..6], [2, 102, 200]);
        let values = LabelPixels::Values { values: vec![1, 9, 700], alpha: Vec::new() };
        assert_eq!(rgb(&values, &[[0; 3], [5, 6, 7]]), [5, 6, 7, 9, 9, 9, 255, 255, 255]);
    }

    #[test]
    fn soft_edges_take_the_class_of_the_nearest_pixel() {
        let classes = ClassTable::cmp_facades();
        let [a, b] = [3_u16, 10].map(|id| classes.get(id).unwrap().color);
        let opaque = |[r, g, b]: [u8; 3]| [r, g, b, 255];
        let row = LabelPixels::Colors(vec![opaque(a), [80, 90, 100, 255], opaque(b)]);
        let source = Source::RgbPng { bits: 8, alpha: true };
        let (map, report) = classify(&row, [3, 1], source, &[], &classes, ColorPolicy::NearestPixel { tolerance: 2 });
        assert_eq!(map.unwrap().ids().collect::<Vec<_>>(), [3, 3, 10]);
        assert_eq!(report.unclassified, 1);
        let (map, _) = classify(&row, [3, 1], source, &[], &classes, ColorPolicy::Refuse);
        assert!(map.unwrap_err().to_string().contains("1 of 3 pixels have no class"));
    }
}
