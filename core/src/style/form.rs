//! The properties that styles must share to be combined.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::StyleKind;
use crate::error::{Error, Result};

/// The number of ids that 16 bits can hold.
const MAX_ROWS: usize = 1 << 16;

/// The largest number of values in a style: 64 MiB.
pub(super) const MAX_VALUES: usize = 1 << 24;

/// Names by class id; empty if there are none.
pub(super) type Names = BTreeMap<u16, String>;

/// Kind, sides and class names of a style.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Form {
    kind: StyleKind,
    rows: usize,
    length: usize,
    names: Arc<Names>,
}

impl Form {
    pub(super) fn new(kind: StyleKind, rows: usize, length: usize) -> Result<Self> {
        let fault = if length == 0 {
            "has no values".to_owned()
        } else if rows == 0 {
            "has no rows".to_owned()
        } else if rows > MAX_ROWS {
            format!("has {rows} rows, more than the {MAX_ROWS} possible class ids")
        } else if kind == StyleKind::Global && rows != 1 {
            format!("has {rows} rows but is of the whole picture, which takes one")
        } else if rows.checked_mul(length).is_none_or(|values| values > MAX_VALUES) {
            return Err(Error::Limit(format!(
                "a style of {rows} rows with {length} values each, more than the {MAX_VALUES} values accepted"
            )));
        } else {
            return Ok(Self { kind, rows, length, names: Arc::default() });
        };
        Err(Error::Argument(format!("the style {fault}")))
    }

    pub(super) fn named(self, names: Names) -> Result<Self> {
        match names.last_key_value() {
            Some(_) if self.kind == StyleKind::Global => Err(no_classes()),
            Some((&id, name)) if usize::from(id) >= self.rows => {
                Err(Error::Argument(format!("the style has no row for class {id} ({name:?}): it is of {self}")))
            }
            _ => Ok(Self { names: Arc::new(names), ..self }),
        }
    }

    pub(super) fn kind(&self) -> StyleKind {
        self.kind
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The form of a combination of two styles; if one has no names, it takes the other's.
    pub(super) fn join(&self, other: &Self) -> Result<Self> {
        if (self.kind, self.rows, self.length) != (other.kind, other.rows, other.length) {
            return Err(Error::Argument(format!(
                "a style of {self} cannot be combined with a style of {other}: take styles of one model"
            )));
        }
        if self.names.is_empty() {
            return Ok(other.clone());
        }
        let ids = self.names.keys().chain(other.names.keys());
        let differing = ids.filter(|&id| self.names.get(id) != other.names.get(id)).min();
        if let (Some(id), false) = (differing, other.names.is_empty()) {
            let call = |form: &Self| form.names.get(id).map_or("nothing".to_owned(), |name| format!("{name:?}"));
            return Err(Error::Argument(format!(
                "class {id} is {} in one and {} in the other: styles belong together only if their classes are the same, \
                 in the same order",
                call(self),
                call(other)
            )));
        }
        Ok(self.clone())
    }

    /// The row of a class, for operations on a single class.
    pub(super) fn index(&self, class: u16) -> Result<usize> {
        let index = usize::from(class);
        match self.kind {
            StyleKind::Global => Err(no_classes()),
            StyleKind::Regions if index >= self.rows => {
                Err(Error::Argument(format!("there is no class {class}: the style is of {self}")))
            }
            StyleKind::Regions => Ok(index),
        }
    }

    /// Describes a row in messages.
    pub(super) fn call(&self, row: usize) -> String {
        match (self.kind, u16::try_from(row).ok().and_then(|id| self.names.get(&id))) {
            (StyleKind::Global, _) => "the style".into(),
            (StyleKind::Regions, Some(name)) => format!("class {row} ({name:?})"),
            (StyleKind::Regions, None) => format!("class {row}"),
        }
    }
}

fn no_classes() -> Error {
    Error::Argument("a style of the whole picture has no classes".into())
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StyleKind::Regions => write!(f, "{} classes with {} values each", self.rows, self.length),
            StyleKind::Global => write!(f, "the whole picture with {} values", self.length),
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}x{} {:?}", self.kind, self.rows, self.length, self.names)
    }
}
