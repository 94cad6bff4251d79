//! Contact sheets: label maps, synthesized pictures and photos in one picture.

use burn::tensor::{DType, Tensor};
use image::imageops;
use image::{Rgb, RgbImage};

use crate::collage::Collage;
use crate::error::Result;
use crate::label::{ClassTable, LabelMap};
use crate::model::read_back;
use crate::picture::{PixelFormat, PixelsMut};
use crate::pixels::write_planes;

/// One sample of a contact sheet.
#[derive(Clone, Copy, Debug)]
pub struct SheetRow<'a> {
    /// The network's input.
    pub labels: &'a LabelMap,
    /// The collage, if the network takes one.
    pub collage: Option<&'a Collage>,
    /// The network's output.
    pub synthesized: &'a RgbImage,
    /// The photo the labels belong to, if there is one.
    pub real: Option<&'a RgbImage>,
}

/// Pixels between the panels of a sample.
const GAP: u32 = 2;
/// Pixels between samples and around the sheet.
const MARGIN: u32 = 6;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);

/// Draws `labels | collage | synthesized | real` for each sample, labels in the colours of `classes`. If no sample has a collage or
/// a photo, its panel is omitted.
///
/// Up to four samples are stacked vertically. More are arranged in columns, from left to right, so that the sheet is
/// close to a square (eight samples make two columns of four). All panels are shown at their original size, each
/// centred in a cell of the largest panel's size.
pub fn contact_sheet(rows: &[SheetRow], classes: &ClassTable) -> RgbImage {
    let collages = u32::from(rows.iter().any(|row| row.collage.is_some()));
    let panels = 2 + collages + u32::from(rows.iter().any(|row| row.real.is_some()));
    let (cell_width, cell_height) = cell_size(rows);
    let columns = columns(rows.len(), panels);
    let lines = (rows.len() as u32).div_ceil(columns);

    let sample_width = panels * cell_width + (panels - 1) * GAP;
    let width = MARGIN + columns.min(rows.len() as u32) * (sample_width + MARGIN);
    let height = MARGIN + lines * (cell_height + MARGIN);
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);

    for (index, row) in (0u32..).zip(rows) {
        let left = MARGIN + index % columns * (sample_width + MARGIN);
        let top = MARGIN + index / columns * (cell_height + MARGIN);
        let mut place = |panel: u32, image: &RgbImage| {
            let x = left + panel * (cell_width + GAP) + (cell_width - image.width()) / 2;
            let y = top + (cell_height - image.height()) / 2;
            imageops::replace(&mut sheet, image, x.into(), y.into());
        };
        place(0, row.labels.to_rgb(classes).as_rgb());
        if let Some(collage) = row.collage {
            place(1, collage.image().as_rgb());
        }
        place(1 + collages, row.synthesized);
        if let Some(real) = row.real {
            place(2 + collages, real);
        }
    }
    sheet
}

/// The largest width and the largest height of any panel.
fn cell_size(rows: &[SheetRow]) -> (u32, u32) {
    let sizes = rows.iter().flat_map(|row| {
        let labels = (row.labels.width() as u32, row.labels.height() as u32);
        [Some(labels), Some(row.synthesized.dimensions()), row.real.map(RgbImage::dimensions)].into_iter().flatten()
    });
    sizes.fold((0, 0), |(width, height), (w, h)| (width.max(w), height.max(h)))
}

fn columns(samples: usize, panels: u32) -> u32 {
    if samples <= 4 { 1 } else { (samples as f64 / f64::from(panels)).sqrt().ceil() as u32 }
}

/// Turns network output, `[batch, 3, height, width]`, into pictures: `range` maps to 0 to 255; values are clamped,
/// then truncated, as in the papers' code.
pub(super) fn to_images(output: Tensor<4>, range: [f32; 2]) -> Result<Vec<RgbImage>> {
    let [_, channels, height, width] = output.dims();
    let values = read_back(output.cast(DType::F32))?;
    let image = |planes: &[f32]| {
        let mut image = RgbImage::new(width as u32, height as u32);
        let mut out = PixelsMut::new(PixelFormat::Rgb8, width, height, 3 * width, &mut image)?;
        write_planes(planes, width, range, &mut out);
        Ok(image)
    };
    values.chunks_exact(channels * height * width).map(image).collect()
}

#[cfg(test)]
mod tests {
    use super::{GAP, MARGIN, PAPER, SheetRow, contact_sheet};
    use crate::collage::Collage;
    use crate::label::{ClassTable, LabelMap};
    use image::{Rgb, RgbImage};

    const MADE: Rgb<u8> = Rgb([1, 2, 3]);
    const REAL: Rgb<u8> = Rgb([4, 5, 6]);

    fn sheet(samples: usize, with_real: bool) -> RgbImage {
        let labels: Vec<_> = (0..samples).map(|i| LabelMap::filled(10, 8, i as u16 % 12).unwrap()).collect();
        let (made, real) = (RgbImage::from_pixel(10, 8, MADE), RgbImage::from_pixel(10, 8, REAL));
        let row = |labels| SheetRow { labels, collage: None, synthesized: &made, real: with_real.then_some(&real) };
        contact_sheet(&labels.iter().map(row).collect::<Vec<_>>(), &ClassTable::cmp_facades())
    }

    #[test]
    fn eight_samples_stand_in_two_columns_of_four() {
        let sheet = sheet(8, true);
        let sample_width = 3 * 10 + 2 * GAP;
        assert_eq!(sheet.dimensions(), (MARGIN + 2 * (sample_width + MARGIN), MARGIN + 4 * (8 + MARGIN)));
        let classes = ClassTable::cmp_facades();
        for index in 0..8u32 {
            let x = MARGIN + index % 2 * (sample_width + MARGIN);
            let y = MARGIN + index / 2 * (8 + MARGIN);
            let panels = [Rgb(classes.get(index as u16).unwrap().color), MADE, REAL];
            for (panel, color) in (0u32..).zip(panels) {
                let left = x + panel * (10 + GAP);
                assert!((0..80).all(|i| *sheet.get_pixel(left + i % 10, y + i / 10) == color), "{index} {panel}");
                assert_eq!(*sheet.get_pixel(left - 1, y), PAPER);
                assert_eq!(*sheet.get_pixel(left + 10, y + 7), PAPER);
            }
        }
    }

    #[test]
    fn few_samples_stand_in_one_column() {
        assert_eq!(sheet(3, true).dimensions(), (2 * MARGIN + 30 + 2 * GAP, MARGIN + 3 * (8 + MARGIN)));
        assert_eq!(sheet(1, false).dimensions(), (2 * MARGIN + 20 + GAP, 2 * MARGIN + 8));
    }

    #[test]
    fn a_collage_is_beside_the_labels() {
        let labels = LabelMap::filled(4, 4, 0).unwrap();
        let (made, real) = (RgbImage::from_pixel(4, 4, MADE), RgbImage::from_pixel(4, 4, REAL));
        let collage = Collage::empty(4, 4).unwrap();
        let row = SheetRow { labels: &labels, collage: Some(&collage), synthesized: &made, real: Some(&real) };
        let sheet = contact_sheet(&[row], &ClassTable::cmp_facades());
        assert_eq!(sheet.dimensions(), (2 * MARGIN + 4 * 4 + 3 * GAP, 2 * MARGIN + 4));
        let at = |panel: u32| *sheet.get_pixel(MARGIN + panel * (4 + GAP), MARGIN);
        assert_eq!([at(1), at(2), at(3)], [Rgb([0; 3]), MADE, REAL]);
    }

    #[test]
    fn no_samples_give_an_empty_sheet() {
        let empty = contact_sheet(&[], &ClassTable::cmp_facades());
        assert!(empty.width() > 0 && empty.height() > 0 && empty.pixels().all(|&p| p == PAPER));
    }

    #[test]
    fn panels_may_differ_in_size() {
        let labels = LabelMap::filled(4, 4, 0).unwrap();
        let (made, real) = (RgbImage::from_pixel(8, 8, MADE), RgbImage::from_pixel(6, 10, REAL));
        let rows = [
            SheetRow { labels: &labels, collage: None, synthesized: &made, real: Some(&real) },
            SheetRow { labels: &labels, collage: None, synthesized: &made, real: None },
        ];
        let sheet = contact_sheet(&rows, &ClassTable::cmp_facades());
        assert_eq!(sheet.dimensions(), (2 * MARGIN + 24 + 2 * GAP, MARGIN + 2 * (10 + MARGIN)));
        assert_eq!(sheet.pixels().filter(|&&p| p == MADE).count(), 128);
        assert_eq!(sheet.pixels().filter(|&&p| p == REAL).count(), 60);
    }
}
