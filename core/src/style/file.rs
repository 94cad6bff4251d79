//! Style files.
//!
//! A style file is a `.safetensors` file with two tensors: `style`, `F32`, `[rows, length]`, with zeros for absent
//! classes, and `present`, `U8`, `[rows]`, with 1 for present classes and 0 for absent ones. Its metadata has a RON
//! [`Header`] under the key `semsynth-style`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::form::{Form, MAX_VALUES, Names};
use super::{Style, StyleKind};
use crate::error::{Error, Result};
use crate::tensors::{DType, Limits, TensorData, Tensors};

/// The metadata key of the header.
const HEADER_KEY: &str = "semsynth-style";

/// The only version of the file format so far.
const FORMAT: u32 = 1;

const VALUES: &str = "style";
const PRESENT: &str = "present";

/// The header of a style file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    kind: StyleKind,
    /// Names by class id.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    classes: Names,
}

/// The field that all versions of the header have.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Style {
    /// Opens a style file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; [`Error::Model`] if it is malformed or no style file, saying what
    /// is wrong; [`Error::UnsupportedFormat`] for another format version; [`Error::Limit`] if it is larger than any
    /// style.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(Error::Model(format!(
                "{}: this is a folder, expected a style file; the style codes of SEAN's program are read by `open_codes`",
                path.display()
            )));
        }
        let tensors = Tensors::open_within(path, &limits())?;
        Self::from_tensors(&tensors).map_err(|error| error.context(path.display()))
    }

    /// Reads a style from the content of its file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] or [`Error::Limit`], saying what is wrong; [`Error::UnsupportedFormat`] for another format
    /// version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_tensors(&Tensors::from_safetensors(bytes, &limits())?)
    }

    /// Writes the style to a `.safetensors` file; a crash never leaves a partial file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; [`Error::Limit`] if the class names take more than 1 MiB.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.to_tensors()?.save(path)
    }

    /// Encodes the style as a file. Equal styles give equal bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the class names take more than 1 MiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.to_tensors()?.to_safetensors()
    }

    fn to_tensors(&self) -> Result<Tensors> {
        let header = Header { format: FORMAT, kind: self.kind(), classes: self.0.form.names().clone() };
        let header = ron::to_string(&header)
            .map_err(|error| Error::Model(format!("the header of the style cannot be written: {error}")))?;
        let present = self.0.rows.iter().map(|row| u8::from(row.is_some())).collect();
        let mut tensors = Tensors::new();
        tensors.insert_f32(VALUES, vec![self.rows(), self.length()], self.to_rows())?;
        tensors.insert(PRESENT, TensorData::new(DType::U8, vec![self.rows()], present)?)?;
        tensors.set_metadata(HEADER_KEY, header);
        Ok(tensors)
    }

    fn from_tensors(tensors: &Tensors) -> Result<Self> {
        let text = tensors.metadata().get(HEADER_KEY).ok_or_else(|| {
            Error::Model(format!("this is no style: its metadata has no {HEADER_KEY:?} (a model, or other weights?)"))
        })?;
        let header = Header::from_ron_str(text)?;
        if let Some(name) = tensors.names().find(|name| ![VALUES, PRESENT].contains(name)) {
            return Err(Error::Model(format!("tensor {name:?} does not belong to a style")));
        }
        let (values, present) = (tensor(tensors, VALUES, DType::F32)?, tensor(tensors, PRESENT, DType::U8)?);
        let (&[rows, length], &[marks]) = (values.shape(), present.shape()) else {
            return Err(shapes(values, present));
        };
        if rows != marks {
            return Err(shapes(values, present));
        }
        let form = Form::new(header.kind, rows, length).and_then(|form| form.named(header.classes)).map_err(in_file)?;
        let values = values.to_f32();
        let rows =
            (0..).zip(values.chunks_exact(length)).zip(present.bytes()).map(|((class, row), &mark)| match mark {
                1 => Ok(Some(row.into())),
                0 if row.iter().all(|&value| value == 0.0) => Ok(None),
                0 => Err(Error::Model(format!("{} is marked absent but has values that are not 0", form.call(class)))),
                _ => Err(Error::Model(format!("{} is marked {mark}: 1 is present, 0 is absent", form.call(class)))),
            });
        let rows: Vec<super::Row> = rows.collect::<Result<_>>()?;
        if form.kind() == StyleKind::Global && rows.contains(&None) {
            return Err(Error::Model("a style of the whole picture cannot be absent".into()));
        }
        Self::checked(form, rows).map_err(in_file)
    }
}

impl Header {
    fn from_ron_str(text: &str) -> Result<Self> {
        // The version is read on its own first, so that a newer file gives `UnsupportedFormat` instead of a parse
        // error.
        if let Ok(Version { format }) = ron::from_str(text)
            && format != FORMAT
        {
            return Err(Error::unsupported_format(format, FORMAT));
        }
        ron::from_str(text).map_err(|error| Error::Model(format!("the header of the style is malformed: {error}")))
    }
}

fn limits() -> Limits {
    let metadata = Limits::default().max_metadata;
    Limits { max_file: (4 * MAX_VALUES + 4 * metadata) as u64, ..Limits::default() }
}

fn tensor<'a>(tensors: &'a Tensors, name: &str, dtype: DType) -> Result<&'a TensorData> {
    let tensor = tensors.get(name).ok_or_else(|| Error::Model(format!("the style has no tensor {name:?}")))?;
    if tensor.dtype() != dtype {
        let found = tensor.dtype();
        return Err(Error::Model(format!("tensor {name:?} of the style has type {found}, expected {dtype}")));
    }
    Ok(tensor)
}

fn shapes(values: &TensorData, present: &TensorData) -> Error {
    Error::Model(format!(
        "tensors {VALUES:?} of shape {:?} and {PRESENT:?} of shape {:?}: expected [rows, length] and [rows]",
        values.shape(),
        present.shape()
    ))
}

/// Turns argument errors into model errors: the file is at fault, not the caller.
pub(super) fn in_file(error: Error) -> Error {
    match error {
        Error::Argument(message) => Error::Model(message),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_same, damaged, every_small_fault, regions, style, table};
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Style {
        regions(&[&[1.0, -0.0], &[], &[1e-45, -f32::MAX]]).with_names(&table(&["skin", "hair \"dyed\"", "ü"])).unwrap()
    }

    fn fault(tensors: &Tensors) -> String {
        match Style::from_bytes(&tensors.to_safetensors().unwrap()).unwrap_err() {
            error @ (Error::Model(_) | Error::UnsupportedFormat { .. }) => error.to_string(),
            error => panic!("{error:?}"),
        }
    }

    /// A file with this header and these tensors.
    fn file(header: &str, values: (Vec<usize>, Vec<f32>), present: (Vec<usize>, Vec<u8>)) -> Tensors {
        let mut tensors = Tensors::new();
        tensors.insert_f32(VALUES, values.0, values.1).unwrap();
        tensors.insert(PRESENT, TensorData::new(DType::U8, present.0, present.1).unwrap()).unwrap();
        tensors.set_metadata(HEADER_KEY, header);
        tensors
    }

    fn fine() -> Tensors {
        file("(format: 1, kind: Regions)", (vec![2, 1], vec![5.0, 0.0]), (vec![2], vec![1, 0]))
    }

    #[test]
    fn saved_styles_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("face.safetensors");
        for style in [sample(), Style::random(3, 256).unwrap(), regions(&[&[2.0]]).without(0).unwrap()] {
            style.save(&path).unwrap();
            assert_same(&Style::open(&path).unwrap(), &style);
            assert_eq!(std::fs::read(&path).unwrap(), style.to_bytes().unwrap());
        }
        assert_same(&Style::from_bytes(&fine().to_safetensors().unwrap()).unwrap(), &regions(&[&[5.0], &[]]));
    }

    #[test]
    fn other_files_are_called_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("what");
        let fault = |path: &Path| Style::open(path).unwrap_err().to_string();
        assert!(fault(folder.path()).contains("open_codes"));
        assert!(matches!(Style::open(&path), Err(Error::Io { .. })));
        let mut model = Tensors::new();
        model.set_metadata("semsynth", "(format: 1)");
        model.save(&path).unwrap();
        let message = fault(&path);
        assert!(message.contains("what: this is no style") && message.contains("model"), "{message}");
        // A sparse file, larger than any style.
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert!(matches!(Style::open(&path), Err(Error::Limit(_))));
    }

    #[test]
    fn malformed_files_name_the_fault() {
        let header = |text: &str| {
            let mut tensors = fine();
            tensors.set_metadata(HEADER_KEY, text);
            fault(&tensors)
        };
        assert!(header("(format: 2, future: true)").contains("version 2"));
        let mut newer = fine();
        newer.set_metadata(HEADER_KEY, "(format: 2, future: true)");
        let error = Style::from_tensors(&newer).unwrap_err();
        assert!(matches!(error, Error::UnsupportedFormat { found: 2, supported: FORMAT, .. }), "{error:?}");
        assert!(header("(format: 1, kind: Regions, colour: 3)").contains("colour"));
        assert!(header("(format: 1)").contains("kind"));
        assert!(header("").contains("malformed"));
        assert!(header("(format: 1, kind: Global)").contains("2 rows"));
        assert!(header("(format: 1, kind: Regions, classes: {2: \"hat\"})").contains("class 2 (\"hat\")"));
        let named = "(format: 1, kind: Regions, classes: {1: \"hat\"})";
        let cases = [
            (file(named, (vec![2, 1], vec![5.0, 1.0]), (vec![2], vec![1, 0])), "class 1 (\"hat\") is marked absent"),
            (file(named, (vec![2, 1], vec![5.0, 1.0]), (vec![2], vec![1, 2])), "marked 2"),
            (
                file(named, (vec![2, 1], vec![5.0, f32::NAN]), (vec![2], vec![1, 1])),
                "value 0 of class 1 (\"hat\") is NaN",
            ),
            (file(named, (vec![2, 1], vec![5.0, f32::NAN]), (vec![2], vec![1, 0])), "marked absent"),
            (file(named, (vec![2, 1], vec![5.0, 1.0]), (vec![3], vec![1; 3])), "[2, 1]"),
            (file(named, (vec![2], vec![5.0, 1.0]), (vec![2], vec![1; 2])), "[2]"),
            (file(named, (vec![2, 0], vec![]), (vec![2], vec![0; 2])), "no values"),
            (file(named, (vec![65_537, 1], vec![0.0; 65_537]), (vec![65_537], vec![0; 65_537])), "65537 rows"),
            (file("(format: 1, kind: Regions)", (vec![0, 2], vec![]), (vec![0], vec![])), "no rows"),
            (file("(format: 1, kind: Global)", (vec![1, 1], vec![0.0]), (vec![1], vec![0])), "cannot be absent"),
        ];
        for (tensors, expected) in cases {
            let message = fault(&tensors);
            assert!(message.contains(expected), "{expected}: {message}");
        }
        for name in [VALUES, PRESENT] {
            let mut tensors = fine();
            tensors.remove(name);
            assert!(fault(&tensors).contains(&format!("no tensor {name:?}")));
            tensors.insert_f16(name, vec![2], vec![1.0, 1.0]).unwrap();
            assert!(fault(&tensors).contains("type F16"));
        }
        let mut tensors = fine();
        tensors.insert_f32("fc.weight", vec![1], vec![0.0]).unwrap();
        assert!(fault(&tensors).contains("fc.weight"));
    }

    /// A file that opens must give a style that can be saved; other files must give an error about the file.
    fn check(bytes: &[u8]) -> bool {
        match Style::from_bytes(bytes) {
            Ok(style) => {
                assert_same(&Style::from_bytes(&style.to_bytes().unwrap()).unwrap(), &style);
                true
            }
            Err(error @ (Error::Model(_) | Error::Limit(_) | Error::UnsupportedFormat { .. })) => {
                assert!(!error.to_string().is_empty());
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_truncation_or_changed_byte_panics() {
        let bytes = sample().to_bytes().unwrap();
        assert!(check(&bytes));
        for end in 0..bytes.len() {
            assert!(!check(&bytes[..end]), "cut at {end}");
        }
        let (opened, all) = every_small_fault(&bytes)
            .fold((0, 0), |(opened, all), bytes| (opened + usize::from(check(&bytes)), all + 1));
        assert!(opened > 0 && opened * 2 < all, "{opened} of {all}");
    }

    proptest! {
        #[test]
        fn a_round_trip_keeps_every_bit(style in style()) {
            let bytes = style.to_bytes()?;
            assert_same(&Style::from_bytes(&bytes)?, &style);
            prop_assert_eq!(Style::from_bytes(&bytes)?.to_bytes()?, bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn no_damage_panics(bytes in damaged(sample().to_bytes().unwrap())) {
            check(&bytes);
        }
    }
}
