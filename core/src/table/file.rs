//! Files that describe a table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::network::System;
use crate::train::Recipe;

/// A table to make: recipes that differ in what is compared, trained on the same number of pictures.
///
/// As a file (RON):
///
/// ```ron
/// (
///     images: 400000,                                  // pictures that each row is trained on
///     base: (size: (256, 256), batch: 4),              // fields of a recipe, the same for all rows
///     rows: [
///         (name: "SPADE", system: "spade"),
///         (name: "CLADE, narrow", system: "clade", changes: (ngf: 32, losses: (l1: 5.0))),
///         (name: "as published", recipe: "other.ron"), // a file in place of the base
///     ],
///     measures: (segmenter: "espnet.pth", ignore: "Unlabelled"),
/// )
/// ```
///
/// The recipe of a row is the base, or its own file, then the network `system` (a name of [`System`]), then its `changes`,
/// of which groups such as `losses` are changed field by field.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Number of pictures that each row is trained on: its steps times `batch` and `accumulate`.
    pub images: u64,
    /// The rows, in the order of the table.
    pub rows: Vec<Row>,
    /// What to measure beside PSNR, SSIM and RMSE.
    pub measures: TableMeasures,
}

/// A row of a table: a name and what is trained. Its number of steps is that of the table's pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, unique in the table.
    pub name: String,
    /// Its recipe.
    pub recipe: Recipe,
}

/// What to measure beside PSNR, SSIM and RMSE, as the flags of `semsynth eval`. Paths are relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableMeasures {
    /// Height and width to paint and measure at; `None` for `size` of the recipes, as the papers do.
    pub size: Option<[usize; 2]>,
    /// Weights of ESPNet, for mIoU, pixel accuracy and the Fréchet distance of its features.
    pub segmenter: Option<PathBuf>,
    /// Class whose pixels do not count in these scores, by name or id; `None` for the don't-care class.
    pub ignore: Option<String>,
    /// Weights of Inception, for FID against the photos of the pictures.
    pub fid: Option<PathBuf>,
    /// Whether FID compares with the training photos instead, as CLADE's paper.
    pub fid_against_training: bool,
    /// Weights of a network and of LPIPS for it.
    pub lpips: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    images: u64,
    #[serde(default)]
    base: Fields,
    rows: Vec<RowFile>,
    #[serde(default)]
    measures: TableMeasures,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowFile {
    name: String,
    #[serde(default)]
    recipe: Option<PathBuf>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    changes: Fields,
}

/// How tables are written: as recipes, optional fields without `Some`.
pub(super) fn options() -> ron::Options {
    ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
}

impl Table {
    /// Reads a table from a RON file. Recipes that it names are relative to its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it or a recipe cannot be read, [`Error::Argument`] naming the line or the row that is wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_ron_str(&text, folder).map_err(|error| error.context(path.display()))
    }

    /// Reads a table from RON. Recipes that it names are relative to `folder`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_ron_str(text: &str, folder: &Path) -> Result<Self> {
        let malformed = |error| Error::Argument(format!("malformed table: {error}"));
        let TableFile { images, base, rows, measures } = options().from_str(text).map_err(malformed)?;
        let read = |row: RowFile| {
            let name = row.name.clone();
            let recipe = row.recipe(&base, folder).map_err(|error| error.context(format!("row {name:?}")))?;
            Ok(Row { name, recipe })
        };
        let rows = rows.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Self { images, rows, measures })
    }

    /// Sets the steps of each row to those of the table's pictures, rounded up, and the step from which rates fall to the
    /// same share of them; then checks everything.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the row and what is wrong with it.
    pub fn prepared(mut self) -> Result<Self> {
        let wrong = |text: String| Err(Error::Argument(format!("table: {text}")));
        if self.images == 0 {
            return wrong("images is 0: it must be 1 or more".into());
        }
        if self.rows.is_empty() {
            return wrong("there are no rows: give at least one in `rows`".into());
        }
        let mut folders = BTreeSet::new();
        let mut sizes = BTreeSet::new();
        for row in &mut self.rows {
            let folder = row.folder();
            if folder.is_empty() {
                return wrong(format!("the row name {:?} has no letter or digit, so its folder has no name", row.name));
            }
            if !folders.insert(folder) {
                return wrong(format!("the row {:?} has the folder of another row: choose another name", row.name));
            }
            let recipe = &mut row.recipe;
            let context = |error: Error| error.context(format!("row {:?}", row.name));
            recipe.validate().map_err(context)?;
            let steps = self.images.div_ceil((recipe.batch * recipe.accumulate) as u64);
            let scale = |from: u64| (u128::from(from) * u128::from(steps) / u128::from(recipe.steps)) as u64;
            recipe.decay_from = recipe.decay_from.map(scale);
            recipe.steps = steps;
            recipe.name = Some(recipe.name.take().unwrap_or_else(|| row.name.clone()));
            sizes.insert(recipe.size);
        }
        if self.measures.size.is_none() && sizes.len() > 1 {
            let list: Vec<_> = sizes.iter().map(|[height, width]| format!("{width}x{height}")).collect();
            return wrong(format!(
                "rows would be measured at different sizes ({}): give `size: (HEIGHT, WIDTH)` in `measures`",
                list.join(", ")
            ));
        }
        Ok(self)
    }
}

impl Row {
    /// The name of the row's folder: its name in lower case, with `-` for whatever is neither letter, digit nor `+`.
    pub fn folder(&self) -> String {
        let words = self.name.split(|c: char| !c.is_alphanumeric() && c != '+').filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
    }
}

impl RowFile {
    fn recipe(&self, base: &Fields, folder: &Path) -> Result<Recipe> {
        let read = |fields: &Fields| -> Result<Recipe> {
            // A place in the joined text would mean nothing to the reader.
            options().from_str(&fields.text()).map_err(|error| Error::Argument(error.code.to_string()))
        };
        let own = match &self.recipe {
            None => None,
            Some(file) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
                let malformed = |error| Error::Argument(format!("{}: malformed recipe: {error}", path.display()));
                Some(options().from_str::<Fields>(&text).map_err(malformed)?)
            }
        };
        let fields = own.as_ref().unwrap_or(base);
        let Some(system) = &self.system else { return read(&fields.changed(&self.changes)) };
        let mut recipe = read(fields)?;
        recipe.set_system(System::by_name(system)?);
        let with_system = options().from_str::<Fields>(&recipe.to_ron_string()?);
        let with_system = with_system.map_err(|error| Error::Argument(error.to_string()))?;
        read(&with_system.changed(&self.changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Upsampling;
    use crate::nn::modulation::ModulationKind;

    fn table(text: &str) -> Result<Table> {
        Table::from_ron_str(text, Path::new("no-such-folder")).and_then(Table::prepared)
    }

    #[test]
    fn rows_change_the_base_and_see_the_same_pictures() {
        let text = r#"(
            images: 1001,
            base: (batch: 4, steps: 100, decay_from: 50, losses: (l1: 2.0)),
            rows: [
                (name: "SPADE (5x5)", changes: (modulation: Spade(kernel: 5))),
                (name: "Hybrid", system: "hybrid", changes: (batch: 2, losses: (coarse: 1.0), upsampling: Four)),
            ],
            measures: (ignore: "sky"),
        )"#;
        let table = table(text).unwrap();
        let [spade, hybrid] = table.rows.as_slice() else { panic!() };
        assert_eq!(Row { name: "pix2pixHD++".into(), ..spade.clone() }.folder(), "pix2pixhd++");
        assert_eq!(
            (spade.folder().as_str(), spade.recipe.modulation),
            ("spade-5x5", ModulationKind::Spade { kernel: 5 })
        );
        assert_eq!((spade.recipe.steps, spade.recipe.decay_from), (251, Some(125)));
        assert_eq!((hybrid.recipe.steps, hybrid.recipe.decay_from), (501, Some(250)));
        assert_eq!((hybrid.recipe.losses.l1, hybrid.recipe.losses.coarse), (2.0, 1.0));
        assert_eq!((hybrid.recipe.leading_blocks.len(), hybrid.recipe.upsampling), (3, Upsampling::Four));
        assert_eq!(table.measures.ignore.as_deref(), Some("sky"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("(images: 1, rows: [)", "malformed table: 1:"),
            ("(images: 1, rows: [])", "no rows"),
            ("(images: 0, rows: [(name: \"a\")])", "images is 0"),
            ("(images: 1, rows: [(name: \"a\", change: ())])", "change"),
            ("(images: 1, base: (ngff: 3), rows: [(name: \"a\")])", "row \"a\": Unexpected field named `ngff`"),
            ("(images: 1, rows: [(name: \"a\", changes: (ngf: \"x\"))])", "row \"a\""),
            ("(images: 1, rows: [(name: \"a\", changes: (batch: 0))])", "row \"a\": recipe: batch is 0"),
            ("(images: 1, rows: [(name: \"a\", system: \"spode\")])", "clade-icpe"),
            ("(images: 1, rows: [(name: \"a b\"), (name: \"A-B\")])", "another row"),
            ("(images: 1, rows: [(name: \"…\")])", "no letter"),
            ("(images: 1, rows: [(name: \"a\", recipe: \"none.ron\")])", "none.ron"),
            ("(images: 1, rows: [(name: \"a\"), (name: \"b\", changes: (size: (64, 64)))])", "different sizes"),
        ] {
            let message = table(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}\n{message}");
        }
    }

    #[test]
    fn shipped_tables_are_valid() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/models/recipes/tables"));
        for (name, rows) in [("systems.ron", 14), ("ablations.ron", 7), ("builtin.ron", 3)] {
            let table = Table::open(folder.join(name)).unwrap().prepared().unwrap();
            assert!(table.rows.len() >= rows, "{name}");
        }
    }
}
