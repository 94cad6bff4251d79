//! Class tables and GIMP palettes.

use semsynth::ClassTable;
use semsynth::label::Class;

use crate::words::said;

/// The name of the palette of a model.
pub(crate) fn palette_name(model: &str) -> String {
    format!("SemSynth {model}")
}

/// One entry per class, named as in a palette file: `3 door`.
pub(crate) fn entries(classes: &ClassTable) -> Vec<(String, [u8; 3])> {
    let suffix = |class: &Class| if class.dont_care { " (don't care)" } else { "" };
    classes.iter().map(|class| (format!("{} {}{}", class.id, class.name, suffix(class)), class.color)).collect()
}

/// A model's classes, painted in the colours of a palette. Entries are matched by name, such as `door` or `3 door`.
/// Classes that the palette lacks have no colour then.
///
/// # Errors
///
/// Which entries name no class, or why the classes cannot be told apart.
pub(crate) fn recolored(
    classes: &ClassTable,
    palette: &str,
    entries: &[(String, [u8; 3])],
) -> Result<ClassTable, String> {
    let find = |name: &str| {
        let name = name.trim();
        let name = strip_suffix(name, "(don't care)").unwrap_or(name).trim();
        let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = name[..name.len() - rest.len()].parse().ok();
        let same = |class: &&Class, name: &str| class.name.to_lowercase() == name.to_lowercase();
        classes
            .iter()
            .find(|class| same(class, name))
            .or_else(|| classes.iter().find(|class| number == Some(class.id) && same(class, rest.trim())))
    };
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for (name, color) in entries {
        match find(name) {
            Some(class) => found.push(Class { color: *color, ..class.clone() }),
            None => unknown.push(format!("{name:?}")),
        }
    }
    if !unknown.is_empty() || found.is_empty() {
        let known: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
        let what = match unknown.len() {
            0 => said(c"The palette \"{}\" has no colours.", &[&palette]),
            count if count == entries.len() => said(
                c"The palette \"{}\" does not belong to this model: none of its entries names a class.",
                &[&palette],
            ),
            _ => said(
                c"The palette \"{}\" has entries that name no class of this model: {}.",
                &[&palette, &first(&unknown)],
            ),
        };
        let advice = said(
            c"The classes are: {}. Name the entries like that, choose \"Colours of the model\", or make a palette with \
              Create Label Palette.",
            &[&first(&known)],
        );
        return Err(format!("{what} {advice}"));
    }
    found.sort_by_key(|class| class.id);
    if let Some([class, _]) = found.array_windows().find(|[a, b]| a.id == b.id) {
        return Err(said(
            c"The palette \"{}\" has two colours for \"{}\": remove one, for a class has one colour.",
            &[&palette, &class.name],
        ));
    }
    ClassTable::new(found).map_err(|error| said(c"The palette \"{}\" cannot be used: {}.", &[&palette, &error]))
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

/// The first of many names.
fn first<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => said(c"{} and {} more", &[&shown.join(", "), &more]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, color: [u8; 3]) -> (String, [u8; 3]) {
        (name.into(), color)
    }

    #[test]
    fn a_models_own_palette_gives_its_classes() {
        for name in ClassTable::shipped_names() {
            let classes = ClassTable::shipped(name).unwrap();
            assert_eq!(recolored(&classes, name, &entries(&classes)).unwrap(), classes, "{name}");
        }
    }

    #[test]
    fn entries_are_matched_by_name() {
        let facades = ClassTable::cmp_facades();
        let found = recolored(&facades, "mine", &[entry("Door", [1, 2, 3]), entry("2 window", [4, 5, 6])]).unwrap();
        let seen: Vec<(u16, &str, [u8; 3])> = found.iter().map(|c| (c.id, c.name.as_str(), c.color)).collect();
        assert_eq!(seen, [(2, "window", [4, 5, 6]), (3, "door", [1, 2, 3])]);
    }

    #[test]
    fn other_palettes_are_refused_and_say_what_to_do() {
        let facades = ClassTable::cmp_facades();
        let refused = |entries: &[(String, [u8; 3])]| recolored(&facades, "P", entries).unwrap_err();
        let history = refused(&[entry("Untitled", [0, 0, 0]), entry("", [1, 1, 1])]);
        assert!(history.contains("none of its entries names a class") && history.contains("Create Label Palette"));
        assert!(history.contains("background, facade, window"), "{history}");
        let some = refused(&[entry("door", [0, 0, 0]), entry("dragon", [1, 1, 1]), entry("7 door", [2, 2, 2])]);
        assert!(some.contains("\"dragon\", \"7 door\""), "{some}");
        assert!(refused(&[]).contains("has no colours"));
        let twice = refused(&[entry("door", [0, 0, 0]), entry("3 door", [1, 1, 1])]);
        assert!(twice.contains("two colours for \"door\""), "{twice}");
        let same = refused(&[entry("door", [0, 0, 0]), entry("window", [0, 0, 0])]);
        assert!(same.contains("colours must be unique"), "{same}");
    }
}
