//! Class tables: the meaning of the ids in label maps.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{foreign, gpl};
use crate::error::{Error, Result};

/// One class of a [`ClassTable`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The id of the class in label maps.
    pub id: u16,
    /// The name of the class.
    pub name: String,
    /// The colour of the class in label pictures, as RGB.
    pub color: [u8; 3],
    /// Whether this class marks unlabelled pixels ("don't care", value `255` in many data sets).
    #[serde(default)]
    pub dont_care: bool,
}

/// The classes that a model knows, sorted by id.
///
/// A table has 1 to 65535 classes with unique ids, names and colours; at most one of them is don't-care. Reading a
/// table from a file or through serde checks this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ClassTable {
    classes: Vec<Class>,
}

/// A table as read from a RON file, before [`ClassTable::new`] has checked it.
#[derive(Deserialize)]
#[serde(rename = "ClassTable")]
struct Unchecked {
    classes: Vec<Class>,
}

impl TryFrom<Unchecked> for ClassTable {
    type Error = Error;

    fn try_from(table: Unchecked) -> Result<Self> {
        Self::new(table.classes)
    }
}

/// The form of `classes.json`; other keys are ignored.
#[derive(Serialize, Deserialize)]
struct JsonTable {
    classes: Vec<JsonClass>,
}

#[derive(Serialize, Deserialize)]
struct JsonClass {
    id: u16,
    name: String,
    rgb: [u8; 3],
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dont_care: bool,
}

/// Suffix that marks the don't-care class in a palette file; class names must not end with it.
pub(super) const DONT_CARE_SUFFIX: &str = "(don't care)";

/// Removes [`DONT_CARE_SUFFIX`] from the end of `name`, in any letter case; `None` if it is not there.
pub(super) fn strip_dont_care(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(DONT_CARE_SUFFIX.len())?;
    let suffix = name.get(at..)?;
    suffix.eq_ignore_ascii_case(DONT_CARE_SUFFIX).then(|| name.get(..at).unwrap_or_default().trim_end())
}

fn check_name(class: &Class) -> Result<()> {
    let Class { id, name, .. } = class;
    if name.trim().is_empty() {
        return Err(Error::Labels(format!("class {id} has no name: give it one")));
    }
    if name.trim() != name || name.chars().any(char::is_control) {
        return Err(Error::Labels(format!(
            "the name {name:?} of class {id} has white space at an end or control characters: remove them"
        )));
    }
    if strip_dont_care(name).is_some() {
        return Err(Error::Labels(format!(
            "the name {name:?} of class {id} ends with `{DONT_CARE_SUFFIX}`, which marks don't-care classes in palette \
             files: set the don't-care flag instead"
        )));
    }
    Ok(())
}

impl ClassTable {
    /// Makes a table of these classes, given in any order.
    ///
    /// # Errors
    /// [`Error::Labels`] unless there are 1 to 65535 classes with unique ids, names and colours, at most one of
    /// them don't-care, and each name is printable, has no white space at its ends, and does not end with `(don't
    /// care)`.
    pub fn new(mut classes: Vec<Class>) -> Result<Self> {
        if classes.is_empty() {
            return Err(Error::Labels("a class table needs at least one class".into()));
        }
        if classes.len() > 65535 {
            return Err(Error::Labels(format!("{} classes are more than the 65535 possible", classes.len())));
        }
        classes.sort_by_key(|c| c.id);
        let mut names: HashMap<&str, u16> = HashMap::new();
        let mut colors: HashMap<[u8; 3], &Class> = HashMap::new();
        let mut ids = HashSet::new();
        let mut dont_care: Option<&Class> = None;
        for class in &classes {
            check_name(class)?;
            if !ids.insert(class.id) {
                return Err(Error::Labels(format!("two classes have id {}: ids must be unique", class.id)));
            }
            if let Some(other) = names.insert(&class.name, class.id) {
                return Err(Error::Labels(format!(
                    "classes {other} and {} are both called {:?}: names must be unique",
                    class.id, class.name
                )));
            }
            if let Some(other) = colors.insert(class.color, class) {
                return Err(Error::Labels(format!(
                    "classes {} ({}) and {} ({}) are both painted {}: colours must be unique",
                    other.id,
                    other.name,
                    class.id,
                    class.name,
                    super::report::rgb(class.color)
                )));
            }
            if class.dont_care
                && let Some(other) = dont_care.replace(class)
            {
                return Err(Error::Labels(format!(
                    "classes {} ({}) and {} ({}) are both don't-care: at most one can be",
                    other.id, other.name, class.id, class.name
                )));
            }
        }
        Ok(Self { classes })
    }

    /// The 12 classes of the CMP facade data set as in pix2pix: ids, names and colours.
    pub fn cmp_facades() -> Self {
        const CLASSES: [(&str, [u8; 3]); 12] = [
            ("background", [0, 0, 222]),
            ("facade", [0, 48, 255]),
            ("window", [0, 128, 255]),
            ("door", [0, 207, 255]),
            ("cornice", [32, 255, 224]),
            ("sill", [112, 255, 143]),
            ("balcony", [192, 255, 63]),
            ("blind", [255, 240, 0]),
            ("deco", [255, 159, 0]),
            ("molding", [255, 80, 0]),
            ("pillar", [255, 0, 0]),
            ("shop", [174, 0, 0]),
        ];
        let class =
            |(id, (name, color)): (u16, (&str, [u8; 3]))| Class { id, name: name.into(), color, dont_care: false };
        Self { classes: (0..).zip(CLASSES).map(class).collect() }
    }

    /// The 12 classes of the built-in terrain: ground seen from above. The colours differ in lightness too, so that
    /// colour-blind people can tell them apart.
    pub fn terrain() -> Self {
        const CLASSES: [(&str, [u8; 3]); 12] = [
            ("deep water", [16, 42, 120]),
            ("shallow water", [83, 182, 246]),
            ("sand", [250, 228, 140]),
            ("dirt", [148, 90, 53]),
            ("grass", [139, 208, 68]),
            ("forest", [11, 83, 60]),
            ("rock", [128, 128, 132]),
            ("snow", [255, 255, 255]),
            ("road", [36, 32, 36]),
            ("roof", [203, 59, 13]),
            ("field", [247, 131, 0]),
            ("wetland", [175, 120, 193]),
        ];
        let class =
            |(id, (name, color)): (u16, (&str, [u8; 3]))| Class { id, name: name.into(), color, dont_care: false };
        Self { classes: (0..).zip(CLASSES).map(class).collect() }
    }

    /// The number of classes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a table is never empty")]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes, sorted by id.
    pub fn iter(&self) -> std::slice::Iter<'_, Class> {
        self.classes.iter()
    }

    /// The class with this id.
    pub fn get(&self, id: u16) -> Option<&Class> {
        self.position(id).and_then(|i| self.classes.get(i))
    }

    /// The index of the class with this id, in the order of ids.
    pub(super) fn position(&self, id: u16) -> Option<usize> {
        self.classes.binary_search_by_key(&id, |c| c.id).ok()
    }

    /// The class with this name; upper and lower case matter.
    pub fn by_name(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|c| c.name == name)
    }

    /// How these classes of a model first differ from those of a data set in an id or a name, in words.
    #[cfg(feature = "train")]
    pub(crate) fn difference(&self, data: &Self) -> Option<String> {
        let mut ids: Vec<u16> = self.iter().chain(data.iter()).map(|class| class.id).collect();
        ids.sort_unstable();
        let name = |table: &Self, id| table.get(id).map_or("no class", |class| class.name.as_str()).to_owned();
        let differs = |&id: &u16| !name(self, id).eq_ignore_ascii_case(&name(data, id));
        let id = ids.into_iter().find(differs)?;
        Some(format!("id {id} is {:?} in the model and {:?} in the data", name(self, id), name(data, id)))
    }

    /// The don't-care class, if there is one.
    pub fn dont_care(&self) -> Option<&Class> {
        self.classes.iter().find(|c| c.dont_care)
    }

    /// The number of one-hot channels: highest id + 1, 1 to 65536.
    pub fn channels(&self) -> usize {
        self.classes.last().map_or(0, |c| usize::from(c.id) + 1)
    }

    /// Reads a table in the format that the extension names: `.ron`, `.gpl` (GIMP palette) or `.json`. Tables of other
    /// programs are read too: `.json` of Supervisely (`meta.json`), COCO and Label Studio (`categories`; ids without a
    /// colour get one), `.txt` of CVAT (`labelmap.txt`), and `.csv` with lines of `name,r,g,b` or `id,name,r,g,b`.
    ///
    /// # Errors
    /// [`Error::Argument`] for another extension; [`Error::Io`] if the file cannot be read; [`Error::Labels`] if it
    /// is malformed or fails the checks of [`ClassTable::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let parse = match Form::of(path)? {
            Form::Ron => Self::from_ron_str,
            Form::Gpl => Self::from_gpl_str,
            Form::Json => Self::from_any_json,
            Form::Cvat => |text: &str| foreign::cvat(text).and_then(Self::new),
            Form::Csv => |text: &str| foreign::csv(text).and_then(Self::new),
        };
        let bytes = fs::read(path).map_err(Error::io(path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::Labels("is not UTF-8 text: a class table is a .ron, .gpl or .json text file".into()));
        text.and_then(|text| parse(text.strip_prefix('\u{feff}').unwrap_or(&text)))
            .map_err(|e| e.context(path.display()))
    }

    /// Writes the table in the format that the extension names: `.ron`, `.gpl` (GIMP palette) or `.json`. No format
    /// loses information.
    ///
    /// # Errors
    /// [`Error::Argument`] for another extension; [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = match Form::of(path)? {
            Form::Ron => self.to_ron_string()?,
            Form::Gpl => self.to_gpl_string(path.file_stem().and_then(|s| s.to_str()).unwrap_or("classes")),
            Form::Json => self.to_json_string()?,
            Form::Cvat | Form::Csv => {
                let message = format!("{}: class tables are written as .ron, .gpl or .json", path.display());
                return Err(Error::Argument(message));
            }
        };
        fs::write(path, text).map_err(Error::io(path))
    }

    /// Reads a table from RON text:
    /// `(classes: [(id: 0, name: "sky", color: (128, 128, 128)), (id: 1, name: "void", color: (0, 0, 0), dont_care: true)])`.
    ///
    /// # Errors
    /// [`Error::Labels`] if the text is malformed or fails the checks of [`ClassTable::new`].
    pub fn from_ron_str(text: &str) -> Result<Self> {
        ron::from_str(text).map_err(|e| {
            Error::Labels(format!(
                "not a class table: {e}; a table is written `(classes: [(id: 0, name: \"sky\", color: (128, 128, 128))])`"
            ))
        })
    }

    /// The table as RON text.
    ///
    /// # Errors
    /// [`Error::Labels`] if the text cannot be written.
    pub fn to_ron_string(&self) -> Result<String> {
        let pretty = ron::ser::PrettyConfig::new().depth_limit(2);
        let mut text =
            ron::ser::to_string_pretty(self, pretty).map_err(|e| Error::Labels(format!("class table: {e}")))?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a table from a GIMP palette.
    ///
    /// If the names of all colours begin with a number (`3 door`), that number is the class id. If none does, ids
    /// count the colours from 0, in the order of the lines. A name that ends with `(don't care)` marks the
    /// don't-care class.
    ///
    /// # Errors
    /// [`Error::Labels`] if the text is no GIMP palette, only some names begin with an id, or the classes fail the
    /// checks of [`ClassTable::new`].
    pub fn from_gpl_str(text: &str) -> Result<Self> {
        gpl::parse(text).and_then(Self::new)
    }

    /// The table as a GIMP palette called `palette_name`. Colour names hold the id and the don't-care flag (`3
    /// door`, `12 unlabelled (don't care)`), because GIMP keeps names.
    pub fn to_gpl_string(&self, palette_name: &str) -> String {
        gpl::format(&self.classes, palette_name)
    }

    /// Reads a table from JSON text: `{"classes": [{"id": 0, "name": "sky", "rgb": [128, 128, 128]}]}`, with
    /// `"dont_care": true` on the don't-care class. Other keys are ignored.
    ///
    /// # Errors
    /// [`Error::Labels`] if the text is malformed or fails the checks of [`ClassTable::new`].
    pub fn from_json_str(text: &str) -> Result<Self> {
        let table: JsonTable = serde_json::from_str(text).map_err(|e| {
            Error::Labels(format!(
                "not a class table: {e}; a table is written \
                 {{\"classes\": [{{\"id\": 0, \"name\": \"sky\", \"rgb\": [128, 128, 128]}}]}}"
            ))
        })?;
        let class = |c: JsonClass| Class { id: c.id, name: c.name, color: c.rgb, dont_care: c.dont_care };
        Self::new(table.classes.into_iter().map(class).collect())
    }

    fn from_any_json(text: &str) -> Result<Self> {
        Self::from_json_str(text).or_else(|error| foreign::json(text).map_or(Err(error), |all| all.and_then(Self::new)))
    }

    /// Pairs of classes that swap when a picture is mirrored: those whose names differ only in left and right, such as
    /// `l_eye` and `r_eye`, `left arm` and `right arm`, `hand_left` and `hand_right`.
    pub fn mirrored(&self) -> Vec<(u16, u16)> {
        const SIDES: [(&str, &str); 4] = [("left", "right"), ("Left", "Right"), ("l", "r"), ("L", "R")];
        let other_side = |word: &str| {
            let other = |(left, right): &(&'static str, &'static str)| match word {
                _ if word == *left => Some(*right),
                _ if word == *right => Some(*left),
                _ => None,
            };
            SIDES.iter().find_map(other)
        };
        let opposite = |name: &str| -> String {
            let words = name.split_inclusive(|c: char| !c.is_alphanumeric());
            let turned = words.map(|part| {
                let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
                let end = part.get(word.len()..).unwrap_or_default();
                format!("{}{end}", other_side(word).unwrap_or(word))
            });
            turned.collect()
        };
        let pair = |class: &Class| Some((class.id, self.by_name(&opposite(&class.name))?.id));
        self.iter().filter_map(pair).filter(|(a, b)| a < b).collect()
    }

    /// The table as JSON text.
    ///
    /// # Errors
    /// [`Error::Labels`] if the text cannot be written.
    pub fn to_json_string(&self) -> Result<String> {
        let class = |c: &Class| JsonClass { id: c.id, name: c.name.clone(), rgb: c.color, dont_care: c.dont_care };
        let table = JsonTable { classes: self.classes.iter().map(class).collect() };
        let mut text = serde_json::to_string_pretty(&table).map_err(|e| Error::Labels(format!("class table: {e}")))?;
        text.push('\n');
        Ok(text)
    }
}

impl<'a> IntoIterator for &'a ClassTable {
    type Item = &'a Class;
    type IntoIter = std::slice::Iter<'a, Class>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

enum Form {
    Ron,
    Gpl,
    Json,
    Cvat,
    Csv,
}

impl Form {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("ron") => Ok(Self::Ron),
            Some("gpl") => Ok(Self::Gpl),
            Some("json") => Ok(Self::Json),
            Some("txt") => Ok(Self::Cvat),
            Some("csv") => Ok(Self::Csv),
            _ => Err(Error::Argument(format!(
                "{}: class tables are .ron, .gpl (GIMP palette), .json, .txt (CVAT) or .csv files",
                path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{class, files, shared_data, table};
    use super::*;
    use proptest::prelude::*;

    fn message(result: Result<ClassTable>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn refuses_inconsistent_tables() {
        let a = || class(0, "a", [0, 0, 0]);
        assert!(message(ClassTable::new(vec![])).contains("at least one"));
        assert!(message(ClassTable::new(vec![a(), class(0, "b", [1, 0, 0])])).contains("id 0"));
        assert!(message(ClassTable::new(vec![a(), class(1, "a", [1, 0, 0])])).contains("both called \"a\""));
        let same_color = message(ClassTable::new(vec![a(), class(1, "b", [0, 0, 0])]));
        assert!(same_color.contains("0 (a) and 1 (b)") && same_color.contains("rgb(0, 0, 0)"), "{same_color}");
        let void = |id, name: &str, red| Class { dont_care: true, ..class(id, name, [red, 0, 0]) };
        assert!(message(ClassTable::new(vec![void(1, "u", 1), void(7, "v", 2)])).contains("1 (u) and 7 (v)"));
        for bad in ["", " ", " a", "a\n", "a\tb", "x (don't care)", "x (DON'T CARE)"] {
            assert!(ClassTable::new(vec![class(0, bad, [0, 0, 0])]).is_err(), "{bad:?}");
        }
        let all: Vec<Class> =
            (0..=65535_u16).map(|i| class(i, &format!("c{i}"), [(i >> 8) as u8, i as u8, 0])).collect();
        assert!(message(ClassTable::new(all.clone())).contains("65535"));
        assert_eq!(ClassTable::new(all[1..].to_vec()).unwrap().channels(), 65536);
    }

    #[test]
    fn sorts_and_finds() {
        let table = ClassTable::new(vec![class(9, "b", [1, 1, 1]), class(3, "a", [2, 2, 2])]).unwrap();
        assert_eq!(table.iter().map(|c| c.id).collect::<Vec<_>>(), [3, 9]);
        assert_eq!((table.len(), table.channels()), (2, 10));
        assert_eq!(table.get(9).unwrap().name, "b");
        assert_eq!(table.by_name("a").unwrap().id, 3);
        assert!(table.get(4).is_none() && table.by_name("A").is_none() && table.dont_care().is_none());
        assert_eq!(super::super::testing::table(Some(7)).dont_care().unwrap().id, 7);
    }

    #[test]
    fn facades_are_valid() {
        let facades = ClassTable::cmp_facades();
        assert_eq!(ClassTable::new(facades.classes.clone()).unwrap(), facades);
        assert_eq!((facades.len(), facades.channels()), (12, 12));
    }

    #[test]
    fn serde_checks_too() {
        let ron = r#"(classes: [(id: 1, name: "a", color: (0, 0, 0)), (id: 1, name: "b", color: (1, 0, 0))])"#;
        assert!(message(ClassTable::from_ron_str(ron)).contains("two classes have id 1"));
        assert!(message(ClassTable::from_ron_str("(classes: [(id: 1)])")).contains("written `(classes"));
    }

    #[test]
    fn reads_other_peoples_json() {
        let text = r#"{"note": 1, "classes": [{"id": 0, "name": "sky", "rgb": [1, 2, 3], "pixel_fraction": 0.5}]}"#;
        assert_eq!(ClassTable::from_json_str(text).unwrap().get(0).unwrap(), &class(0, "sky", [1, 2, 3]));
        assert!(message(ClassTable::from_json_str("{}")).contains("classes"));
        assert!(ClassTable::from_json_str(r#"{"classes": [{"id": 0, "name": "sky", "rgb": [1, 2, 300]}]}"#).is_err());
    }

    #[test]
    fn files_by_extension_and_errors_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.ron", "t.gpl", "t.json", "t.GPL"] {
            let path = folder.path().join(name);
            let table = table(Some(255));
            table.save(&path).unwrap();
            assert_eq!(ClassTable::open(&path).unwrap(), table, "{name}");
            fs::write(&path, "nonsense").unwrap();
            assert!(message(ClassTable::open(&path)).contains(name));
            fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
            assert!(message(ClassTable::open(&path)).contains("UTF-8"));
        }
        let other = folder.path().join("t.doc");
        assert!(matches!(ClassTable::open(&other), Err(Error::Argument(m)) if m.contains(".gpl")));
        assert!(matches!(table(None).save(&other), Err(Error::Argument(_))));
        assert!(matches!(ClassTable::open(folder.path().join("absent.ron")), Err(Error::Io { .. })));
        let bom = folder.path().join("bom.json");
        fs::write(&bom, format!("\u{feff}{}", table(None).to_json_string().unwrap())).unwrap();
        assert_eq!(ClassTable::open(bom).unwrap(), table(None));
    }

    #[test]
    fn real_tables() {
        for (set, classes) in [("facades", 12), ("camvid", 12), ("dubai", 6), ("terrain_recife", 11)] {
            let Some(folder) = shared_data(set) else { continue };
            let table = ClassTable::open(&files(&folder, "json", 1)[0]).unwrap();
            assert_eq!(table.len(), classes, "{set}");
            if set == "facades" {
                assert_eq!(table, ClassTable::cmp_facades());
            }
        }
    }

    pub(in super::super) fn any_table() -> impl Strategy<Value = ClassTable> {
        let name = "[A-Za-z0-9#(é.][ A-Za-z0-9#%)'\"\\\\:ü/-]{0,12}[a-z0-9)%]?";
        let classes = proptest::collection::vec((any::<u16>(), name, any::<[u8; 3]>()), 1..20);
        (classes, any::<Option<u8>>()).prop_filter_map("names and colours must be unique", |(classes, dont_care)| {
            let mut classes: Vec<Class> =
                classes.into_iter().map(|(id, name, color)| class(id, name.trim(), color)).collect();
            classes.sort_by_key(|c| c.id);
            classes.dedup_by_key(|c| c.id);
            if let Some(pick) = dont_care {
                let at = usize::from(pick) % classes.len();
                classes[at].dont_care = true;
            }
            ClassTable::new(classes).ok()
        })
    }

    proptest! {
        #[test]
        fn all_forms_are_lossless(table in any_table()) {
            prop_assert_eq!(&ClassTable::from_ron_str(&table.to_ron_string().unwrap()).unwrap(), &table);
            prop_assert_eq!(&ClassTable::from_json_str(&table.to_json_string().unwrap()).unwrap(), &table);
            prop_assert_eq!(&ClassTable::from_gpl_str(&table.to_gpl_string("p\nq")).unwrap(), &table);
            // GIMP writes its own header and line ends, and drops comments.
            let gimp: String = table.to_gpl_string("p").lines().filter(|l| *l != "#").flat_map(|l| [l, "\r\n"]).collect();
            prop_assert_eq!(&ClassTable::from_gpl_str(&gimp).unwrap(), &table);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}", tail in "(GIMP Palette\n)?[0-9 \ta(')#\n]{0,60}") {
            for text in [&text, &tail] {
                let _ = ClassTable::from_ron_str(text);
                let _ = ClassTable::from_json_str(text);
                let _ = ClassTable::from_gpl_str(text);
            }
        }
    }
}
