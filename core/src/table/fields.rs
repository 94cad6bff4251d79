//! The fields of a RON struct as text, so that one struct can change some fields of another before either is read.

use std::fmt;

use ron::value::RawValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// The fields of a RON struct `(name: value, …)` in their order, values as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// These fields with some of them changed. A field whose old and new values are both structs without a name, such as
    /// `losses: (l1: 2.0)`, is changed field by field; any other is replaced.
    pub(super) fn changed(&self, changes: &Self) -> Self {
        let mut fields = self.0.clone();
        for (name, value) in &changes.0 {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => {
                    *old = match (Self::parsed(old), Self::parsed(value)) {
                        (Some(old), Some(new)) => old.changed(&new).text(),
                        _ => value.clone(),
                    }
                }
                None => fields.push((name.clone(), value.clone())),
            }
        }
        Self(fields)
    }

    /// The struct as RON. Values may end in a comment, so each is followed by a line break.
    pub(super) fn text(&self) -> String {
        let fields = self.0.iter().map(|(name, value)| format!("{name}: {value}\n,"));
        format!("({})", fields.collect::<String>())
    }

    /// The fields of a value that is a struct without a name; `None` for any other value.
    fn parsed(value: &str) -> Option<Self> {
        // Variants of enums have fields too, but those of different variants do not mix.
        if value.trim_start().starts_with('(') { super::file::options().from_str(value).ok() } else { None }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fields of a recipe, such as (ngf: 32, batch: 2)")
    }

    fn visit_unit<E>(self) -> Result<Fields, E> {
        Ok(Fields::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields: Vec<(String, String)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(serde::de::Error::custom(format!("the field {name} is there twice")));
            }
            fields.push((name, value.get_ron().to_owned()));
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        super::super::file::options().from_str(text).unwrap()
    }

    #[test]
    fn nested_structs_are_changed_field_by_field_and_enums_replaced() {
        let base = fields("(size: (64, 64), // a comment\n losses: (l1: 1.0, kl: 2.0), modulation: Spade(kernel: 3))");
        let changes = fields("(losses: (kl: 3.0), size: (32, 64), modulation: Clade, ngf: 4)");
        let expected = fields("(size: (32, 64), losses: (l1: 1.0, kl: 3.0), modulation: Clade, ngf: 4)");
        let changed = base.changed(&changes);
        let names = |fields: &Fields| fields.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&changed), names(&expected));
        assert_eq!(fields(&changed.text()).0[0].1.trim(), "(32, 64)");
        let losses = fields(&changed.0[1].1);
        assert_eq!(losses.0.iter().map(|(_, value)| value.trim()).collect::<Vec<_>>(), ["1.0", "3.0"]);
        assert_eq!(changed.0[2].1.trim(), "Clade");
    }

    #[test]
    fn a_field_that_is_there_twice_is_refused() {
        let result: Result<Fields, _> = super::super::file::options().from_str("(ngf: 1, ngf: 2)");
        assert!(result.unwrap_err().to_string().contains("twice"));
        assert_eq!(fields("()"), Fields::default());
    }
}
