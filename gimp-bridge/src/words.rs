//! What the dialog says beside GIMP's own fields, and the progress bar, in the user's language. The preview has no GIMP to ask, so
//! it gets its words.

use std::ffi::CStr;
use std::fmt::Display;

/// What the progress bar says.
pub(crate) mod steps {
    use std::ffi::CStr;

    pub(crate) const MODEL: &CStr = c"Reading the model";
    pub(crate) const LABELS: &CStr = c"Reading the labels of {}x{} pixels";
    pub(crate) const SYNTHESIZING: &CStr = c"Synthesizing {}x{} pixels";
    pub(crate) const TIME_LEFT: &CStr = c"Synthesizing {}x{} pixels, about {} left";
    pub(crate) const STORING: &CStr = c"Storing the picture";
    pub(crate) const SNAPPING: &CStr = c"Snapping to labels";

    #[cfg(test)]
    pub(crate) const ALL: [&CStr; 6] = [MODEL, LABELS, SYNTHESIZING, TIME_LEFT, STORING, SNAPPING];
}

/// A text in the user's language, with its gaps filled.
pub(crate) fn said(text: &CStr, values: &[&dyn Display]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    filled(&crate::plugin::tr(text).to_string_lossy(), &values)
}

/// Texts with `{}` where something is filled in.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    pub(crate) pixels: String,
    pub(crate) no_seed: String,
    pub(crate) new_image: String,
    pub(crate) about: String,
    /// The share, then what happens to them.
    pub(crate) unclassified: String,
    pub(crate) unknown_ids: String,
    pub(crate) taken_over: String,
    pub(crate) unpaintable: String,
    pub(crate) nearest: String,
    pub(crate) failed: String,
}

impl Words {
    /// The words as `translate` gives them.
    pub(crate) fn new(translate: impl Fn(&'static CStr) -> String) -> Self {
        Self {
            pixels: translate(c"{} pixels"),
            no_seed: translate(c"the model has nothing random, so the seed changes nothing"),
            new_image: translate(c"the picture becomes a new image, because this one is not RGB"),
            about: translate(c"about {}"),
            unclassified: translate(c"{} of the pixels have no class: {}"),
            unknown_ids: translate(c"these ids belong to no class"),
            taken_over: translate(c"they take the class of the nearest pixel that has one"),
            unpaintable: translate(c"nothing can be painted until they have one"),
            nearest: translate(c"nearest: {}"),
            failed: translate(c"The preview failed."),
        }
    }

    /// The words of the program itself.
    #[cfg(test)]
    pub(crate) fn english() -> Self {
        Self::new(|text| text.to_string_lossy().into_owned())
    }
}

/// A text with its gaps filled from left to right.
pub(crate) fn filled(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        whole.push_str(values.get(index).copied().unwrap_or_default());
        whole.push_str(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_in_order() {
        assert_eq!(filled("{} of {}", &["1 %", "all"]), "1 % of all");
        assert_eq!(filled("none", &["1"]), "none");
        assert_eq!(filled("{} and {}", &["1"]), "1 and ");
    }

    /// A translation that lost a gap would lose a number.
    #[test]
    fn translations_have_the_words_and_their_gaps() {
        for (language, file) in [("de", include_str!("../i18n/de.po")), ("fr", include_str!("../i18n/fr.po"))] {
            let said = |text: &str| {
                let entry = format!("msgid \"{text}\"\nmsgstr \"");
                let at = file.find(&entry).unwrap_or_else(|| panic!("{language} has no \"{text}\""));
                file[at + entry.len()..].lines().next().unwrap_or_default().trim_end_matches('"').to_owned()
            };
            let translate = |text: &CStr| {
                let text = text.to_str().unwrap();
                let said = said(text);
                assert!(!said.is_empty() && said != text, "{language}: {text}");
                assert_eq!(said.matches("{}").count(), text.matches("{}").count(), "{language}: {said}");
                said
            };
            Words::new(translate);
            for text in steps::ALL {
                translate(text);
            }
        }
    }
}
