//! Label pictures as the CMP Facade Database publishes them.

use std::path::Path;

use crate::error::{Error, Result};
use crate::label::LabelMap;

/// The largest value in the published files: `shop`.
const LAST: u16 = 12;

/// Reads an indexed PNG whose values are 1 (`background`) to 12 (`shop`), or 0 for pixels without annotation, as ids
/// 0 to 11 of [`ClassTable::cmp_facades`](crate::label::ClassTable::cmp_facades). The palette is ignored.
pub(super) fn read_labels(path: &Path) -> Result<LabelMap> {
    let stored = LabelMap::open_ids(path).map_err(|error| {
        let wanted = format!("CMP labels are indexed PNGs with values 0 to {LAST}");
        error.context(wanted)
    })?;
    let width = stored.width();
    let mut ids = Vec::with_capacity(width * stored.height());
    for (pixel, value) in stored.ids().enumerate() {
        if value > LAST {
            let (x, y) = (pixel % width, pixel / width);
            let hint = "are these labels in another order? Then use the folder form with class ids";
            let message = format!("{}: value {value} at ({x}, {y}) is not within 0 to {LAST}; {hint}", path.display());
            return Err(Error::Labels(message));
        }
        ids.push(value.saturating_sub(1));
    }
    LabelMap::new(width, stored.height(), ids).map_err(|e| e.context(path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::read_labels;
    use std::fs::File;
    use std::path::Path;

    /// Writes an indexed PNG with the given bit depth.
    pub(in crate::data) fn write_indexed(path: &Path, width: u32, height: u32, depth: png::BitDepth, values: &[u8]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(depth);
        encoder.set_palette(vec![0; 3 << depth as usize]);
        let per_byte = 8 / depth as usize;
        let lines = values.chunks(width as usize).flat_map(|line| {
            line.chunks(per_byte).map(|some| {
                (0..per_byte).fold(0u8, |byte, i| {
                    let value = some.get(i).copied().unwrap_or(0);
                    if per_byte == 1 { value } else { byte << (8 / per_byte) | value }
                })
            })
        });
        encoder.write_header().unwrap().write_image_data(&lines.collect::<Vec<_>>()).unwrap();
    }

    #[test]
    fn values_are_ids_plus_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cmp_b0001.png");
        let values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 1, 1];
        for depth in [png::BitDepth::Four, png::BitDepth::Eight] {
            write_indexed(&path, 5, 3, depth, &values);
            let labels = read_labels(&path).unwrap();
            assert_eq!((labels.width(), labels.height()), (5, 3));
            assert_eq!(labels.ids().collect::<Vec<_>>(), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0]);
        }
        write_indexed(&path, 3, 2, png::BitDepth::Two, &[1, 2, 3, 3, 2, 0]);
        assert_eq!(read_labels(&path).unwrap().ids().collect::<Vec<_>>(), [0, 1, 2, 2, 1, 0]);
    }

    #[test]
    fn names_the_first_value_out_of_range() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cmp_b0001.png");
        write_indexed(&path, 2, 2, png::BitDepth::Eight, &[1, 2, 3, 13]);
        let message = read_labels(&path).unwrap_err().to_string();
        assert!(message.contains("cmp_b0001.png") && message.contains("value 13 at (1, 1)"), "{message}");
    }

    #[test]
    fn refuses_colour_pictures_and_rubbish() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cmp_b0001.png");
        image::RgbImage::new(2, 2).save(&path).unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("CMP labels are indexed"));
        write_indexed(&path, 4, 4, png::BitDepth::Eight, &[1; 16]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
        assert!(read_labels(&path).is_err());
        std::fs::write(&path, "no png").unwrap();
        assert!(read_labels(&path).is_err());
    }
}
