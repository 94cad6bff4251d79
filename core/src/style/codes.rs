//! Style codes written by SEAN's code: a folder per picture, with a folder per class id that holds `ACE.npy`.

use std::fs;
use std::path::Path;

use super::file::in_file;
use super::form::Form;
use super::{Style, StyleKind, npy};
use crate::error::{Error, Result};

/// The name of the file with the code of a class.
const CODE: &str = "ACE.npy";

impl Style {
    /// Reads the style codes of one picture, written by SEAN's code: `folder/<class id>/ACE.npy`, one vector per
    /// class, for ids below `classes`. Classes without a folder are absent. Mean codes have the same folder
    /// structure.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless `classes` is 1 to 65536; [`Error::Io`] if a file cannot be read, such as a
    /// missing code in a class folder; [`Error::Model`] if a code is malformed, if codes have different lengths, if
    /// there are none, or if an id is not below `classes`.
    pub fn open_codes(folder: impl AsRef<Path>, classes: usize) -> Result<Self> {
        let folder = folder.as_ref();
        Form::new(StyleKind::Regions, classes, 1)?;
        let ids = class_folders(folder).map_err(|error| error.context(folder.display()))?;
        let mut rows = vec![None; classes];
        for &id in &ids {
            let row = rows.get_mut(id).ok_or_else(|| {
                Error::Model(format!(
                    "{}: there is a code for class {id}, the classes are 0 to {}: it is of another model",
                    folder.display(),
                    classes - 1
                ))
            })?;
            *row = Some(npy::read(&folder.join(id.to_string()).join(CODE))?);
        }
        let length = rows.iter().flatten().map(Vec::len).next().unwrap_or(0);
        Self::regions(length, rows).map_err(|error| in_file(error).context(folder.display()))
    }
}

/// The ids of classes that have a folder, at least one; other files and folders are ignored.
fn class_folders(folder: &Path) -> Result<Vec<usize>> {
    if !fs::metadata(folder).map_err(Error::io(folder))?.is_dir() {
        return Err(Error::Model(format!(
            "this is a file, expected the folder with one picture's style codes, 0/{CODE}, 1/{CODE} and so on (a style file \
             is read by `open`)"
        )));
    }
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let name = entry.map_err(Error::io(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<usize>().ok());
        ids.extend(number.filter(|id| *id.to_string() == *name));
    }
    if ids.is_empty() {
        return Err(Error::Model(format!(
            "there are no style codes in this folder, 0/{CODE}, 1/{CODE} and so on: give the folder of one picture, a level \
             below `style_codes`"
        )));
    }
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::super::npy::tests::vector;
    use super::super::testing::{assert_same, regions};
    use super::*;

    /// A folder with these codes.
    fn folder(codes: &[(&str, &[f32])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (class, values) in codes {
            let class = folder.path().join(class);
            fs::create_dir(&class).unwrap();
            fs::write(class.join(CODE), vector(values)).unwrap();
        }
        folder
    }

    fn fault(folder: &Path, classes: usize) -> String {
        match Style::open_codes(folder, classes).unwrap_err() {
            Error::Model(message) => {
                assert!(message.starts_with(&folder.display().to_string()), "{message}");
                message
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_folders_are_absent_classes() {
        let folder =
            folder(&[("0", &[1.0, 2.0]), ("10", &[3.0, -0.0]), ("notes", &[9.0]), ("03", &[9.0]), ("+4", &[9.0])]);
        fs::write(folder.path().join(".DS_Store"), "").unwrap();
        let none: &[f32] = &[];
        let mut rows = [none; 12];
        (rows[0], rows[10]) = (&[1.0, 2.0], &[3.0, -0.0]);
        assert_same(&Style::open_codes(folder.path(), 12).unwrap(), &regions(&rows));
    }

    #[test]
    fn other_folders_are_refused() {
        let codes = folder(&[("0", &[1.0, 2.0]), ("2", &[3.0])]);
        let uneven = fault(codes.path(), 19);
        assert!(uneven.contains("class 2 has 1 values where the style has 2"), "{uneven}");
        let beyond = fault(codes.path(), 2);
        assert!(beyond.contains("class 2") && beyond.contains("0 to 1"), "{beyond}");
        fs::write(codes.path().join("2").join(CODE), "<html>").unwrap();
        let broken = fault(codes.path(), 19);
        assert!(broken.contains(CODE) && broken.contains("no .npy file"), "{broken}");
        fs::remove_file(codes.path().join("2").join(CODE)).unwrap();
        assert!(
            matches!(Style::open_codes(codes.path(), 19), Err(Error::Io { path, .. }) if path.ends_with("2/ACE.npy"))
        );

        assert!(fault(&codes.path().join("0").join(CODE), 19).contains("this is a file"));
        assert!(fault(&codes.path().join("0"), 19).contains("below `style_codes`"));
        assert!(fault(folder(&[("0", &[])]).path(), 19).contains("no values"));
        assert!(matches!(Style::open_codes(codes.path().join("7"), 19), Err(Error::Io { .. })));
        for classes in [0, 65_537, usize::MAX] {
            assert!(matches!(Style::open_codes(codes.path(), classes), Err(Error::Argument(_))));
        }
    }
}
