//! Styles: how classes look, independent of the label map.
//!
//! There are two [kinds](StyleKind). SEAN (Zhu et al. 2020, section 3.1) has one vector per class; a class that the
//! style photo does not show is absent. Models with a variational encoder (Park et al. 2019, "Multi-modal
//! synthesis") have one vector for the whole picture. Both are stored as a table of rows, one row per class or a
//! single one, and all operations work on both.

mod algebra;
mod codes;
mod file;
mod form;
mod npy;
#[cfg(test)]
mod testing;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::rng::Rng;
use form::{Form, Names};

/// The kind of a style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StyleKind {
    /// One row per class, in the order of their ids (SEAN).
    Regions,
    /// One row for the whole picture (models with a variational encoder).
    #[serde(alias = "Whole")]
    Global,
}

/// How a picture should look, independent of its label map.
///
/// A style is immutable and cheap to clone; methods that change it return a new style. All values are finite. Two
/// styles can be combined if they have the same kind, number of rows and row length, and the same class names if
/// both [have names](Self::with_names). Styles made by one model always can.
///
/// ```
/// # fn main() -> semsynth::Result<()> {
/// use semsynth::style::Style;
///
/// let dusk = Style::regions(2, vec![Some(vec![0.0, 1.0]), Some(vec![2.0, 2.0]), None])?;
/// let dawn = Style::regions(2, vec![Some(vec![1.0, 1.0]), None, Some(vec![5.0, 6.0])])?;
/// let between = dusk.blend(&dawn, 0.25)?;
/// assert_eq!(between.row(0), Some([0.25, 1.0].as_slice()));
/// assert_eq!(between.row(1), dusk.row(1)); // absent in one: taken from the other
/// assert_eq!(dusk.with_class(2, &dawn, 2)?.row(2), dawn.row(2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq)]
pub struct Style(Arc<Inner>);

#[derive(PartialEq)]
struct Inner {
    form: Form,
    /// As many rows as the form says, each of its length; a style of the whole picture has exactly one, which is
    /// present.
    rows: Vec<Row>,
}

/// The values of one class, shared between styles; `None` if it is absent.
type Row = Option<Arc<[f32]>>;

// Values are finite, so every style equals itself.
impl Eq for Style {}

impl Style {
    /// Makes a style with one row per class: row *j*, of `length` values, belongs to class id *j*; `None` makes it
    /// absent.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless `length` is at least 1, there are 1 to 65536 rows, and all rows have `length`
    /// finite values; [`Error::Limit`] for more than 2²⁴ values.
    pub fn regions(length: usize, rows: Vec<Option<Vec<f32>>>) -> Result<Self> {
        let form = Form::new(StyleKind::Regions, rows.len(), length)?;
        Self::checked(form, rows.into_iter().map(|row| row.map(Arc::from)).collect())
    }

    /// Makes a style of the whole picture.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless there is at least one value and all are finite; [`Error::Limit`] for more than
    /// 2²⁴ values.
    pub fn global(values: Vec<f32>) -> Result<Self> {
        Self::checked(Form::new(StyleKind::Global, 1, values.len())?, vec![Some(values.into())])
    }

    /// Draws a style of the whole picture from the standard normal distribution, which models with a variational
    /// encoder expect.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `length` is 0; [`Error::Limit`] for more than 2²⁴ values.
    pub fn random(seed: u64, length: usize) -> Result<Self> {
        let form = Form::new(StyleKind::Global, 1, length)?;
        let mut rng = Rng::new(seed);
        Self::checked(form, vec![Some((0..length).map(|_| rng.normal() as f32).collect())])
    }

    /// Checks rows against their form.
    fn checked(form: Form, rows: Vec<Row>) -> Result<Self> {
        let length = form.length();
        for (class, row) in (0..).zip(&rows) {
            let Some(row) = row else { continue };
            if row.len() != length {
                return Err(Error::Argument(format!(
                    "{} has {} values where the style has {length} per row",
                    form.call(class),
                    row.len()
                )));
            }
            if let Some(at) = row.iter().position(|value| !value.is_finite()) {
                return Err(Error::Argument(format!(
                    "value {at} of {} is {}: values must be finite",
                    form.call(class),
                    row[at]
                )));
            }
        }
        Ok(Self::new(form, rows))
    }

    fn new(form: Form, rows: Vec<Row>) -> Self {
        debug_assert!(rows.len() == form.rows() && rows.iter().flatten().all(|row| row.len() == form.length()));
        Self(Arc::new(Inner { form, rows }))
    }

    /// Adds class names. They are saved with the style, appear in messages, and prevent combining styles whose
    /// classes differ.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for a style of the whole picture, or if the table has ids without a row in the style.
    pub fn with_names(&self, classes: &ClassTable) -> Result<Self> {
        Ok(Self::new(self.0.form.clone().named(names_of(classes))?, self.0.rows.clone()))
    }

    /// Compares the style's class names with a model's classes. A style without names passes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the first class whose name differs.
    pub fn check_names(&self, classes: &ClassTable) -> Result<()> {
        let form = &self.0.form;
        if form.names().is_empty() {
            return Ok(());
        }
        form.join(&form.clone().named(names_of(classes))?).map(drop)
    }

    /// The kind of the style.
    pub fn kind(&self) -> StyleKind {
        self.0.form.kind()
    }

    /// Number of values per row, at least 1.
    pub fn length(&self) -> usize {
        self.0.form.length()
    }

    /// Number of rows, present and absent: the number of classes, or 1.
    pub fn rows(&self) -> usize {
        self.0.rows.len()
    }

    /// The [`length`](Self::length) values of a class; `None` if it is absent or has no row. A style of the whole
    /// picture has only row 0.
    pub fn row(&self, class: u16) -> Option<&[f32]> {
        self.0.rows.get(usize::from(class))?.as_deref()
    }

    /// Whether the style has values for this class.
    pub fn is_present(&self, class: u16) -> bool {
        self.row(class).is_some()
    }

    /// The name of a class, if the style has [names](Self::with_names).
    pub fn name(&self, class: u16) -> Option<&str> {
        self.0.form.names().get(&class).map(String::as_str)
    }

    /// All rows in order, `rows * length` values. Absent classes are 0, as in the output of SEAN's encoder.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows() * self.length());
        for row in &self.0.rows {
            match row {
                Some(row) => values.extend_from_slice(row),
                None => values.resize(values.len() + self.length(), 0.0),
            }
        }
        values
    }
}

fn names_of(classes: &ClassTable) -> Names {
    classes.iter().map(|class| (class.id, class.name.clone())).collect()
}

/// Prints the form and the present classes, but not thousands of values.
impl fmt::Debug for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present: Vec<usize> = (0..).zip(&self.0.rows).filter_map(|(id, row)| row.as_ref().map(|_| id)).collect();
        f.debug_struct("Style").field("form", &self.0.form).field("present", &present).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::table;
    use super::*;

    fn fault<T: fmt::Debug>(result: Result<T>) -> String {
        match result.unwrap_err() {
            Error::Argument(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_are_what_was_put_in() {
        let style = Style::regions(2, vec![Some(vec![1.0, -0.0]), None, Some(vec![3.0, 4.0])]).unwrap();
        assert_eq!((style.kind(), style.rows(), style.length()), (StyleKind::Regions, 3, 2));
        assert_eq!(style.row(2), Some([3.0, 4.0].as_slice()));
        assert!(style.is_present(0) && !style.is_present(1) && !style.is_present(3) && !style.is_present(u16::MAX));
        assert_eq!(style.to_rows(), [1.0, -0.0, 0.0, 0.0, 3.0, 4.0]);
        assert_eq!(style, style.clone());
        let whole = Style::global(vec![1.0, 2.0, 3.0]).unwrap();
        assert_eq!((whole.kind(), whole.rows(), whole.length()), (StyleKind::Global, 1, 3));
        assert_eq!(whole.row(0), Some([1.0, 2.0, 3.0].as_slice()));
        assert_ne!(whole, Style::regions(3, vec![Some(vec![1.0, 2.0, 3.0])]).unwrap());
        let shown = format!("{style:?}");
        assert!(shown.contains("Regions") && shown.contains("[0, 2]") && !shown.contains("4.0"), "{shown}");
    }

    #[test]
    fn refuses_what_is_no_style() {
        assert!(fault(Style::regions(0, vec![None])).contains("no values"));
        assert!(fault(Style::regions(2, vec![])).contains("no rows"));
        assert!(fault(Style::regions(1, vec![None; 65_537])).contains("65537"));
        assert!(fault(Style::global(vec![])).contains("no values"));
        assert!(fault(Style::random(1, 0)).contains("no values"));
        let uneven = fault(Style::regions(2, vec![None, Some(vec![1.0; 3])]));
        assert!(uneven.contains("class 1") && uneven.contains('3') && uneven.contains('2'), "{uneven}");
        let broken = fault(Style::regions(2, vec![None, Some(vec![1.0, f32::NAN])]));
        assert!(broken.contains("value 1 of class 1 is NaN"), "{broken}");
        assert!(fault(Style::global(vec![f32::INFINITY])).contains("inf"));
        // Few values are given, but `to_rows` would need 16 GiB.
        assert!(matches!(Style::regions(1 << 16, vec![None; 1 << 16]), Err(Error::Limit(_))));
        assert!(matches!(Style::random(0, usize::MAX), Err(Error::Limit(_))));
        assert!(Style::regions(1, vec![None; 65_536]).is_ok());
    }

    #[test]
    fn random_styles_are_normal_and_repeat() {
        let style = Style::random(7, 20_000).unwrap();
        assert_eq!(style, Style::random(7, 20_000).unwrap());
        assert_ne!(style, Style::random(8, 20_000).unwrap());
        assert_eq!(style.kind(), StyleKind::Global);
        let values = style.to_rows();
        let moment = |power: i32| values.iter().map(|v| f64::from(*v).powi(power)).sum::<f64>() / values.len() as f64;
        assert!(moment(1).abs() < 0.03 && (moment(2) - 1.0).abs() < 0.05, "{} {}", moment(1), moment(2));
        // Computed independently of this library: the meaning of a seed must not change.
        for (value, expected) in values.iter().zip([0.988_474_3, -1.864_255_8, 0.003_920_207_2, -0.529_270_7]) {
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
        }
        // A longer style starts with the values of a shorter one, so a seed means the same for all models.
        assert_eq!(values[..16], Style::random(7, 16).unwrap().to_rows());
    }

    #[test]
    fn names_keep_other_orders_out() {
        let style = Style::regions(1, vec![None; 3]).unwrap();
        let face = style.with_names(&table(&["skin", "hair", "cloth"])).unwrap();
        assert_eq!((face.name(1), face.name(3), style.name(1)), (Some("hair"), None, None));
        assert!(style.check_names(&table(&["skin", "hair", "cloth"])).is_ok(), "no names, nothing to compare");
        assert!(face.check_names(&table(&["skin", "hair", "cloth"])).is_ok());
        let other = fault(face.check_names(&table(&["skin", "cloth", "hair"])));
        assert!(other.contains("class 1") && other.contains("hair") && other.contains("cloth"), "{other}");
        let fewer = fault(face.check_names(&table(&["skin", "hair"])));
        assert!(fewer.contains("class 2") && fewer.contains("cloth") && fewer.contains("nothing"), "{fewer}");
        let more = fault(style.with_names(&table(&["a", "b", "c", "d"])));
        assert!(more.contains("3 (\"d\")") && more.contains("3 classes"), "{more}");
        assert!(Style::global(vec![1.0]).unwrap().check_names(&table(&["a"])).is_ok());
        assert!(fault(Style::global(vec![1.0]).unwrap().with_names(&table(&["a"]))).contains("whole picture"));
    }
}
