//! What the plug-in says, in the user's language.

use std::ffi::CStr;
use std::fmt::{Display, Write as _};

/// What the progress bar says.
pub(crate) mod steps {
    use std::ffi::CStr;

    pub(crate) const MODEL: &CStr = c"Reading the model";
    pub(crate) const LABELS: &CStr = c"Reading the labels of {}x{} pixels";
    pub(crate) const SYNTHESIZING: &CStr = c"Synthesizing {}x{} pixels";
    pub(crate) const TIME_LEFT: &CStr = c"Synthesizing {}x{} pixels, about {} left";
    pub(crate) const STORING: &CStr = c"Storing the picture";
    pub(crate) const SNAPPING: &CStr = c"Snapping to labels";
}

/// A text in the user's language, in which values take the places of `{}`, from left to right.
pub(crate) fn said(text: &CStr, values: &[&dyn Display]) -> String {
    filled(&crate::plugin::tr(text).to_string_lossy(), values)
}

fn filled(text: &str, values: &[&dyn Display]) -> String {
    let mut parts = text.split("{}");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for (index, part) in parts.enumerate() {
        if let Some(value) = values.get(index) {
            // Writing to a string cannot fail.
            let _ = write!(whole, "{value}");
        }
        whole.push_str(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_in_order() {
        assert_eq!(filled("{} of {}", &[&"1 %", &"all"]), "1 % of all");
        assert_eq!(filled("none", &[&1]), "none");
        assert_eq!(filled("{} and {}", &[&1]), "1 and ");
        // What is filled in has no gaps.
        assert_eq!(filled("{} and {}", &[&"{}", &2]), "{} and 2");
    }

    /// C strings that nobody reads, or that are not translated: names of GIMP's, pixel formats, who wrote this, and what
    /// GIMP's procedure browser says of results.
    const NO_TEXTS: [&str; 18] = [
        "<Image>/Filters/Render/",
        "<Palettes>/Palettes Menu",
        "RGB*",
        "R'G'B' u8",
        "R'G'B'A u8",
        "Y' u8",
        "Y' u16",
        "Y'A u8",
        "Y'A u16",
        "SemsynthPlugIn",
        "The semsynth authors",
        "The semsynth authors, MIT or Apache-2.0",
        "Layer",
        "The layer that holds the picture",
        "Palette",
        "The palette",
        "Run mode",
        "The run mode",
    ];

    /// All C strings of the program that are texts, as they are written there, on one line.
    fn texts() -> Vec<String> {
        let mut texts = Vec::new();
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap() {
            let code = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for (at, _) in code.match_indices("c\"") {
                if code[..at].ends_with(|c: char| c.is_alphanumeric()) {
                    continue;
                }
                let literal = &code[at + 2..];
                let end = literal.match_indices('"').find(|(at, _)| !literal[..*at].ends_with('\\')).unwrap().0;
                // A backslash at the end of a line continues the text after the spaces of the next.
                let mut lines = literal[..end].split("\\\n");
                let first = lines.next().unwrap_or_default().to_owned();
                let text = lines.fold(first, |text, line| text + line.trim_start());
                let is_text = text.contains([' ', '{']) || text.contains(|c: char| c.is_ascii_uppercase());
                if is_text && !NO_TEXTS.contains(&text.as_str()) {
                    texts.push(text);
                }
            }
        }
        texts.sort();
        texts.dedup();
        texts
    }

    /// A translation that lost a gap would lose a number.
    #[test]
    fn all_texts_are_translated_with_their_gaps() {
        let texts = texts();
        assert!(texts.len() > 100, "{} texts are found", texts.len());
        for (language, file) in [("de", include_str!("../i18n/de.po")), ("fr", include_str!("../i18n/fr.po"))] {
            let entries: Vec<(&str, &str)> = file
                .split("\n\n")
                .filter_map(|entry| entry.trim().strip_prefix("msgid \"")?.split_once("\"\nmsgstr \""))
                .filter(|(text, _)| !text.is_empty())
                .map(|(text, said)| (text, said.trim_end_matches('"')))
                .collect();
            let mut wrong = Vec::new();
            for text in &texts {
                match entries.iter().find(|(known, _)| known == text) {
                    None => wrong.push(format!("nothing for \"{text}\"")),
                    Some((_, said)) if said.is_empty() || said.contains('\n') => {
                        wrong.push(format!("not one line for \"{text}\""));
                    }
                    Some((_, said)) if said.matches("{}").count() != text.matches("{}").count() => {
                        wrong.push(format!("other gaps in \"{said}\""));
                    }
                    // A word may be the same in both languages, a sentence is not.
                    Some((_, said)) if said == text && text.contains(' ') => wrong.push(format!("English: \"{said}\"")),
                    Some(_) => {}
                }
            }
            let unused = entries.iter().filter(|(text, _)| !texts.iter().any(|known| known == text));
            wrong.extend(unused.map(|(text, _)| format!("no such text any more: \"{text}\"")));
            assert!(wrong.is_empty(), "{language}:\n{}", wrong.join("\n"));
        }
    }
}
