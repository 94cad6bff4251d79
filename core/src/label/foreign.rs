//! Class tables as other programs write them.

use serde::Deserialize;

use super::classes::Class;
use crate::error::{Error, Result};

/// A class without its id, which is its place.
fn listed(id: usize, name: &str, color: [u8; 3]) -> Result<Class> {
    let id = u16::try_from(id).map_err(|_| Error::Labels("more than 65536 classes".into()))?;
    Ok(Class { id, name: name.trim().into(), color, dont_care: false })
}

/// Three numbers, 0 to 255, between commas.
fn color(text: &str) -> Option<[u8; 3]> {
    let mut parts = text.split(',').map(|part| part.trim().parse().ok());
    let color = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(color)
}

/// A colour such as `#ff8000`, or without the sign.
fn hex(text: &str) -> Option<[u8; 3]> {
    let digits = text.trim().trim_start_matches('#');
    if digits.len() != 6 || !digits.is_ascii() {
        return None;
    }
    let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

/// CVAT's `labelmap.txt`: lines of `name:r,g,b:parts:actions`, ids in their order.
pub(super) fn cvat(text: &str) -> Result<Vec<Class>> {
    let lines =
        text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let class = |(id, (line, number)): (usize, (&str, usize))| {
        let mut parts = line.split(':');
        let (name, color) = (parts.next().unwrap_or_default(), parts.next().and_then(color));
        let color = color.ok_or_else(|| {
            Error::Labels(format!(
                "line {number}: {line:?} is no class: expected `name:red,green,blue::`, as CVAT writes it"
            ))
        })?;
        listed(id, name, color)
    };
    lines.enumerate().map(class).collect()
}

/// Lines of `name,r,g,b` or `id,name,r,g,b`; without ids, these count the lines. A first line without numbers is a
/// header.
pub(super) fn csv(text: &str) -> Result<Vec<Class>> {
    let separator = if text.contains(';') && !text.contains(',') { ';' } else { ',' };
    let fields = |line: &str| -> Vec<String> {
        line.split(separator).map(|field| field.trim().trim_matches('"').to_owned()).collect()
    };
    let is_header =
        |fields: &[String]| fields.iter().all(|field| field.parse::<u32>().is_err() && hex(field).is_none());
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let rows: Vec<(Vec<String>, usize)> = lines.map(|(line, number)| (fields(line), number)).collect();
    let skip = usize::from(rows.first().is_some_and(|(fields, _)| is_header(fields)));
    let class = |(place, (fields, number)): (usize, &(Vec<String>, usize))| {
        let fault = || {
            Error::Labels(format!(
                "line {number}: expected `name,red,green,blue` or `id,name,red,green,blue`, colours 0 to 255"
            ))
        };
        let (id, name, channels) = match fields.as_slice() {
            [name, r, g, b] => (place, name, [r, g, b]),
            [id, name, r, g, b] => (id.parse().map_err(|_| fault())?, name, [r, g, b]),
            [name, color] => return listed(place, name, hex(color).ok_or_else(fault)?),
            _ => return Err(fault()),
        };
        let mut color = [0; 3];
        for (to, from) in color.iter_mut().zip(channels) {
            *to = from.parse().map_err(|_| fault())?;
        }
        listed(id, name, color)
    };
    rows.iter().skip(skip).enumerate().map(class).collect()
}

/// `meta.json` of Supervisely.
#[derive(Deserialize)]
struct Supervisely {
    classes: Vec<SuperviselyClass>,
}

#[derive(Deserialize)]
struct SuperviselyClass {
    title: String,
    color: String,
}

/// COCO annotations, and what Label Studio exports beside masks.
#[derive(Deserialize)]
struct Categories {
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Category {
    id: u16,
    name: String,
    color: Option<[u8; 3]>,
}

/// JSON of another program, if it is one of these.
pub(super) fn json(text: &str) -> Option<Result<Vec<Class>>> {
    if let Ok(Supervisely { classes }) = serde_json::from_str(text) {
        let class = |(id, class): (usize, SuperviselyClass)| {
            let color = hex(&class.color).ok_or_else(|| {
                Error::Labels(format!(
                    "class {:?} has the colour {:?}: expected one such as #ff8000",
                    class.title, class.color
                ))
            })?;
            listed(id, &class.title, color)
        };
        return Some(classes.into_iter().enumerate().map(class).collect());
    }
    let Categories { categories } = serde_json::from_str(text).ok()?;
    let class = |Category { id, name, color }: Category| {
        let color = color.unwrap_or_else(|| spread(id));
        Class { id, name: name.trim().into(), color, dont_care: false }
    };
    Some(Ok(categories.into_iter().map(class).collect()))
}

/// A colour for an id of a table without colours: that of the PASCAL VOC colour map, which is unique.
fn spread(id: u16) -> [u8; 3] {
    let mut color = [0; 3];
    for bit in 0..6 {
        for (channel, value) in color.iter_mut().enumerate() {
            *value |= ((u32::from(id) >> (3 * bit + channel)) as u8 & 1) << (7 - bit);
        }
    }
    color
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::classes::ClassTable;
    use super::*;

    #[test]
    fn tables_of_other_programs_keep_names_and_colours() {
        let folder = tempfile::tempdir().unwrap();
        let expected = [("sky", [70, 130, 180]), ("grass, dry", [107, 142, 35])];
        for (file, text) in [
            ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:70,130,180::\ngrass, dry:107,142,35::\n"),
            (
                "meta.json",
                r##"{"classes": [{"title": "sky", "shape": "bitmap", "color": "#4682B4"}, {"title": "grass, dry", "color": "#6B8E23"}], "tags": []}"##,
            ),
            (
                "coco.json",
                r#"{"images": [], "categories": [{"id": 0, "name": "sky", "color": [70, 130, 180]}, {"id": 1, "name": "grass, dry", "color": [107, 142, 35]}]}"#,
            ),
            ("aseprite.gpl", "GIMP Palette\nChannels: RGBA\n#\n 70 130 180 255\tsky\n107 142  35 128\tgrass, dry\n"),
        ] {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            let table = ClassTable::open(&path).unwrap();
            let found: Vec<_> = table.iter().map(|class| (class.name.as_str(), class.color)).collect();
            assert_eq!(found, expected, "{file}");
            assert_eq!(table.iter().map(|class| class.id).collect::<Vec<_>>(), [0, 1], "{file}");
        }
    }

    #[test]
    fn comma_separated_lines() {
        let names =
            |text: &str| csv(text).map(|all| all.iter().map(|c| (c.id, c.name.clone(), c.color)).collect::<Vec<_>>());
        let sky = |id| (id, "sky".to_owned(), [70, 130, 180]);
        assert_eq!(names("name,r,g,b\nsky,70,130,180\n").unwrap(), [sky(0)]);
        assert_eq!(names("7,sky,70,130,180\n").unwrap(), [sky(7)]);
        assert_eq!(names("id;name;r;g;b\n7;\"sky\";70;130;180\n").unwrap(), [sky(7)]);
        assert_eq!(names("sky,#4682B4\n").unwrap(), [sky(0)]);
        assert!(csv("name,r,g,b\nsky,70,130,280\n").unwrap_err().to_string().contains("line 2"));
        assert!(cvat("sky 70 130 180\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn ids_without_a_colour_get_different_ones() {
        let all: HashSet<[u8; 3]> = (0..=u16::MAX).map(spread).collect();
        assert_eq!(all.len(), 1 << 16);
        assert_eq!([spread(1), spread(2), spread(15)], [[128, 0, 0], [0, 128, 0], [192, 128, 128]]);
    }

    #[test]
    fn names_that_are_colours_are_no_ids() {
        let lospec =
            ClassTable::from_gpl_str("GIMP Palette\n#Palette Name: x\n16 32 48\t102030\n0 0 0\t000000\n").unwrap();
        assert_eq!(lospec.iter().map(|class| class.id).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(lospec.get(0).unwrap().name, "102030");
    }
}
