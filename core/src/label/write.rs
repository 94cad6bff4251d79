//! Writes label maps as PNG.

use std::fs;
use std::path::Path;

use super::classes::ClassTable;
use super::map::{Ids, LabelMap, NO_CLASS_COLOR};
use crate::error::{Error, Result};

pub(super) fn save(map: &LabelMap, path: &Path, classes: &ClassTable) -> Result<()> {
    let png = encode(map, classes).map_err(|e| Error::io(path)(std::io::Error::other(e)))?;
    fs::write(path, png).map_err(Error::io(path))
}

fn encode(map: &LabelMap, classes: &ClassTable) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, map.width() as u32, map.height() as u32);
    match map.storage() {
        Ids::U8(ids) => {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_depth(png::BitDepth::Eight);
            encoder.set_palette(palette(ids.iter().copied().max().unwrap_or(0), classes));
            let mut writer = encoder.write_header()?;
            writer.write_image_data(ids)?;
            writer.finish()?;
        }
        Ids::U16(ids) => {
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::Sixteen);
            let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
            let mut writer = encoder.write_header()?;
            writer.write_image_data(&bytes)?;
            writer.finish()?;
        }
    }
    Ok(file)
}

/// RGB per id, up to the highest id below 256 in the table or the map.
fn palette(highest: u8, classes: &ClassTable) -> Vec<u8> {
    // The colour of ids without a class must not be a class colour, or the file could be read by colour.
    let other = std::iter::once(NO_CLASS_COLOR)
        .chain((0..=0x00ff_ffff_u32).map(|rgb| [(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8]))
        .find(|color| classes.iter().all(|c| c.color != *color))
        .unwrap_or(NO_CLASS_COLOR);
    let highest = classes.iter().filter_map(|c| u8::try_from(c.id).ok()).max().unwrap_or(0).max(highest);
    (0..=u16::from(highest)).flat_map(|id| classes.get(id).map_or(other, |c| c.color)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::classes::Class;
    use super::super::policy::ColorPolicy;
    use super::super::report::{ReadAs, Source};
    use super::super::testing::{class, table};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_indexed_png_with_class_colours() {
        let bytes = encode(&LabelMap::new(2, 1, vec![2, 1]).unwrap(), &table(Some(4))).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&bytes)).read_info().unwrap();
        assert_eq!(reader.info().color_type, png::ColorType::Indexed);
        let palette = reader.info().palette.as_deref().unwrap().to_vec();
        assert_eq!(palette, [0, 0, 0, 255, 0, 0, 0, 255, 0, 255, 0, 255, 128, 128, 128]);
        let mut data = [0; 2];
        reader.next_frame(&mut data).unwrap();
        assert_eq!(data, [2, 1]);
    }

    #[test]
    fn ids_without_a_class_do_not_come_back_as_another() {
        let magenta = ClassTable::new(vec![class(0, "a", [255, 0, 255]), class(1, "b", [0, 0, 0])]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.png");
        LabelMap::new(3, 1, vec![0, 1, 5]).unwrap().save(&path, &magenta).unwrap();
        assert!(LabelMap::open(&path, &magenta).unwrap_err().to_string().contains("5 (1 px"));
    }

    #[test]
    fn an_unwritable_path_is_an_error_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent").join("l.png");
        let error = LabelMap::filled(1, 1, 0).unwrap().save(&path, &table(None)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("absent"));
    }

    proptest! {
        #[test]
        fn what_is_saved_is_read_back(
            table_ids in proptest::collection::btree_set(prop_oneof![0_u16..12, any::<u8>().prop_map(u16::from), any::<u16>()], 1..12),
            dont_care in any::<bool>(),
            (width, height) in (1_usize..16, 1_usize..16),
            picks in proptest::collection::vec(any::<prop::sample::Index>(), 256),
        ) {
            let colored = |(i, &id): (usize, &u16)| class(id, &format!("c{id}"), [255, (i * 20) as u8, 255]);
            let mut classes: Vec<Class> = table_ids.iter().enumerate().map(colored).collect();
            classes[0].dont_care = dont_care;
            let classes = ClassTable::new(classes).unwrap();
            let ids: Vec<u16> = table_ids.into_iter().collect();
            let map = LabelMap::new(width, height, picks.iter().take(width * height).map(|p| *p.get(&ids)).collect()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("l.png");
            map.save(&path, &classes).unwrap();
            for policy in [ColorPolicy::Refuse, ColorPolicy::NearestPixel { tolerance: 30 }] {
                let (back, report) = LabelMap::read(&path, &classes, policy).unwrap().into_parts();
                prop_assert_eq!(back.as_ref(), Some(&map));
                prop_assert_eq!(report.read_as, ReadAs::Ids);
                prop_assert_eq!(report.source == Source::IndexedPng { bits: 8 }, map.ids().all(|id| id < 256));
            }
            // Reading by colour gives the same map.
            let painted = map.to_rgb(&classes);
            let back = LabelMap::from_pixels(&painted.pixels(), &classes, ColorPolicy::Refuse).unwrap();
            prop_assert_eq!(&back.map().unwrap(), &map);
            // As file content.
            let bytes = std::fs::read(&path).unwrap();
            let back = LabelMap::from_image_bytes(&bytes, &classes, ColorPolicy::Refuse).unwrap();
            prop_assert_eq!(&back.map().unwrap(), &map);
        }
    }
}
