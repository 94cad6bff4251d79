//! The built-in class tables.

use super::classes::ClassTable;
use crate::error::{Error, Result};

macro_rules! file {
    ($name:literal) => {
        ($name, || ClassTable::from_ron_str(include_str!(concat!("../../classes/", $name, ".ron"))))
    };
}

/// A name, and a function that makes the table.
type Shipped = (&'static str, fn() -> Result<ClassTable>);

/// Tests check that every file parses.
const TABLES: [Shipped; 9] = [
    file!("ade20k"),
    file!("ade20k-shifted"),
    file!("celebamask-hq"),
    file!("cihp"),
    file!("cityscapes"),
    ("cmp-facades", || Ok(ClassTable::cmp_facades())),
    file!("coco-stuff"),
    file!("landscapes"),
    ("terrain", || Ok(ClassTable::terrain())),
];

impl ClassTable {
    /// Returns a built-in table by name; [`shipped_names`](Self::shipped_names) lists the names.
    ///
    /// | name | data set | channels | ids | source |
    /// |---|---|---|---|---|
    /// | `ade20k` | ADE20K scene parsing, 150 classes | 151 | as stored: 0 is unlabelled (don't care), 1 to 150 the classes | <http://sceneparsing.csail.mit.edu> |
    /// | `ade20k-shifted` | the same | 151 | one less: 0 to 149 the classes, 150 is unlabelled (don't care) | the same |
    /// | `celebamask-hq` | CelebAMask-HQ, parts of faces | 19 | as stored; 0 is background | <https://github.com/switchablenorms/CelebAMask-HQ> |
    /// | `cihp` | CIHP, people and clothes; DeepFashion's label maps | 20 | as stored; 0 is background | <https://arxiv.org/abs/1808.00157> |
    /// | `cityscapes` | Cityscapes, streets | 35 | `labelIds`, 0 to 33; 34 stands for the licence plate, officially -1, and never occurs | <https://www.cityscapes-dataset.com> |
    /// | `cmp-facades` | CMP facades: [`cmp_facades`](Self::cmp_facades) | 12 | the pix2pix form: 0 is background | <https://cmp.felk.cvut.cz/~tylecr1/facade/> |
    /// | `coco-stuff` | COCO-Stuff, 91 things (11 of them never used) and 91 stuff classes | 183 | as stored, COCO's id - 1: 0 is person; 182 is unlabeled (don't care), stored as 255 | <https://github.com/nightrome/cocostuff> |
    /// | `landscapes` | landscapes, for painting | 29 | 0 to 27; 28 is unlabelled (don't care) | our own |
    /// | `terrain` | ground from above: [`terrain`](Self::terrain) | 12 | 0 to 11 | our own |
    ///
    /// In a picture of ids, the value 255 is read as the don't-care class, if there is one.
    ///
    /// Names and colours are those of the data sets; from ADE20K's names only the first synonym is kept. If a data
    /// set gives several classes the same colour, the less important ones differ slightly in blue: ADE20K's
    /// skyscraper (from road), and in Cityscapes ids 1 to 4 (from unlabeled), polegroup (from pole) and license plate
    /// (from car).
    ///
    /// # Errors
    /// [`Error::UnknownName`] if there is no such table; it lists the valid names.
    pub fn shipped(name: &str) -> Result<Self> {
        match TABLES.iter().find(|(known, _)| *known == name) {
            Some((_, table)) => table(),
            None => Err(Error::unknown_name("built-in class table", name, Self::shipped_names())),
        }
    }

    /// The names of the built-in tables, in alphabetical order.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        TABLES.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::classes::Class;
    use super::*;

    fn shipped(name: &str) -> ClassTable {
        ClassTable::shipped(name).unwrap()
    }

    /// Checks that the table has these classes.
    fn has(table: &ClassTable, classes: &[(u16, &str, [u8; 3])]) {
        for &(id, name, color) in classes {
            let class = table.get(id).unwrap();
            assert_eq!((class.name.as_str(), class.color), (name, color), "id {id}");
        }
    }

    #[test]
    fn every_table_is_complete() {
        let dont_care = [Some(0), Some(150), None, None, None, None, Some(182), Some(28), None]
            .map(|id: Option<u16>| id.into_iter());
        let sizes = [151, 151, 19, 20, 35, 12, 183, 29, 12];
        assert!(ClassTable::shipped_names().is_sorted());
        assert_eq!(ClassTable::shipped_names().count(), sizes.len());
        for ((name, size), dont_care) in ClassTable::shipped_names().zip(sizes).zip(dont_care) {
            let table = shipped(name);
            assert_eq!((table.len(), table.channels()), (size, size), "{name}");
            assert!(table.iter().filter(|c| c.dont_care).map(|c| c.id).eq(dont_care), "{name}");
        }
    }

    #[test]
    fn unknown_names_get_the_list() {
        for name in ["", "ADE20K", "ade20k.ron", "../classes/ade20k"] {
            let error = ClassTable::shipped(name).unwrap_err();
            let message = error.to_string();
            assert!(ClassTable::shipped_names().all(|known| message.contains(known)), "{message}");
            assert!(message.contains(&format!("{name:?}")), "{message}");
            let Error::UnknownName { name: given, known, .. } = error else { panic!("{message}") };
            assert!(given == name && known.iter().map(String::as_str).eq(ClassTable::shipped_names()));
        }
    }

    #[test]
    fn ade20k() {
        let raw = shipped("ade20k");
        has(
            &raw,
            &[
                (0, "unlabelled", [0, 0, 0]),
                (1, "wall", [120, 120, 120]),
                (2, "building", [180, 120, 120]),
                (3, "sky", [6, 230, 230]),
                (5, "tree", [4, 200, 3]),
                (7, "road", [140, 140, 140]),
                (45, "chest of drawers", [6, 51, 255]),
                (49, "skyscraper", [140, 140, 141]),
                (59, "screen door", [0, 173, 255]),
                (90, "television", [0, 255, 194]),
                (131, "screen", [0, 204, 255]),
                (142, "crt screen", [122, 0, 255]),
                (150, "flag", [92, 0, 255]),
            ],
        );
        let unshift = |c: &Class| Class { id: (c.id + 1) % 151, ..c.clone() };
        assert_eq!(ClassTable::new(shipped("ade20k-shifted").iter().map(unshift).collect()).unwrap(), raw);
    }

    #[test]
    fn coco_stuff() {
        let table = shipped("coco-stuff");
        // The bits of the class number are dealt to red, green and blue in turn, filling each from its highest bit
        // down.
        let pattern = |number: u16| {
            let mut color = [0_u8; 3];
            for bit in 0..9 {
                color[bit % 3] |= ((number >> bit & 1) as u8) << (7 - bit / 3);
            }
            color
        };
        let own = [
            (105, "clouds", [170, 170, 170]),
            (123, "grass", [29, 195, 49]),
            (154, "sea", [54, 62, 167]),
            (156, "sky-other", [95, 219, 255]),
            (168, "tree", [140, 104, 47]),
        ];
        has(&table, &own);
        for class in table.iter().filter(|c| own.iter().all(|o| o.0 != c.id)) {
            assert_eq!(class.color, pattern(class.id + 1), "{}", class.name);
        }
        has(
            &table,
            &[
                (0, "person", [128, 0, 0]),
                (11, "street sign", [64, 0, 128]),
                (25, "hat", [64, 192, 0]),
                (90, "hair brush", [224, 192, 0]),
                (91, "banner", [96, 64, 128]),
                (134, "mountain", [128, 160, 128]),
                (147, "river", [0, 96, 128]),
                (181, "wood", [0, 224, 192]),
                (182, "unlabeled", [128, 224, 192]),
            ],
        );
    }

    #[test]
    fn cityscapes() {
        has(
            &shipped("cityscapes"),
            &[
                (0, "unlabeled", [0, 0, 0]),
                (1, "ego vehicle", [0, 0, 1]),
                (4, "static", [0, 0, 4]),
                (5, "dynamic", [111, 74, 0]),
                (7, "road", [128, 64, 128]),
                (11, "building", [70, 70, 70]),
                (17, "pole", [153, 153, 153]),
                (18, "polegroup", [153, 153, 154]),
                (21, "vegetation", [107, 142, 35]),
                (23, "sky", [70, 130, 180]),
                (26, "car", [0, 0, 142]),
                (33, "bicycle", [119, 11, 32]),
                (34, "license plate", [0, 0, 143]),
            ],
        );
    }

    #[test]
    fn celebamask_hq() {
        has(
            &shipped("celebamask-hq"),
            &[
                (0, "background", [0, 0, 0]),
                (1, "skin", [204, 0, 0]),
                (4, "left eye (l_eye)", [51, 51, 255]),
                (7, "right eyebrow (r_brow)", [51, 255, 255]),
                (12, "lower lip (l_lip)", [0, 0, 153]),
                (13, "hair", [0, 0, 204]),
                (15, "earring (ear_r)", [0, 204, 204]),
                (18, "clothes (cloth)", [0, 204, 0]),
            ],
        );
    }

    #[test]
    fn landscape_colors_are_far_apart() {
        let table = shipped("landscapes");
        let near = |a: &Class, b: &Class| a.color.iter().zip(b.color).all(|(&a, b)| a.abs_diff(b) < 24);
        for a in &table {
            assert!(table.iter().all(|b| a == b || !near(a, b)), "{}", a.name);
        }
    }
}
