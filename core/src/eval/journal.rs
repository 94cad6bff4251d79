//! The results of single pictures, one JSON object per line, so that a long evaluation can be continued.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::write_whole;

/// What was measured of one picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Values {
    /// Of a picture and its photo.
    Pair(PairValues),
    /// Features of a training photo.
    Reference(Features),
}

/// What was measured of a picture and its photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PairValues {
    #[serde(with = "exact")]
    pub(super) rmse: f64,
    #[serde(with = "exact")]
    pub(super) ssim: f64,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact::option")]
    pub(super) lpips: Option<f64>,
    /// Of Inception: of the picture, then of the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inception: Option<[Features; 2]>,
    /// Of the segmentation network: of the picture, then of the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segments: Option<[Segments; 2]>,
}

/// Numbers as text: the reader of JSON may round a number to a neighbour of the one that was written, and a continued
/// evaluation must have the results of an uninterrupted one. Numbers, which earlier versions wrote, are read too.
mod exact {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Number(f64),
    }

    impl Written {
        fn value<E: Error>(self) -> Result<f64, E> {
            match self {
                Self::Text(text) => text.parse().map_err(|_| E::custom(format!("{text:?} is no number"))),
                Self::Number(value) => Ok(value),
            }
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Written::deserialize(deserializer)?.value()
    }

    pub(super) mod option {
        use super::{Deserialize as _, Deserializer, Serializer, Written};

        #[allow(clippy::ref_option, reason = "what serde calls")]
        pub(in super::super) fn serialize<S: Serializer>(
            value: &Option<f64>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.collect_str(value),
                None => serializer.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<f64>, D::Error> {
            Option::<Written>::deserialize(deserializer)?.map(Written::value).transpose()
        }
    }
}

/// What a segmentation network found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Segments {
    /// Pixels by true and predicted class: index and count of what is not 0.
    pub(super) pixels: Vec<(usize, u64)>,
    pub(super) features: Features,
}

/// Features of a picture, written as the hexadecimal digits of their bits: exact, and shorter than numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Features(pub(super) Vec<f32>);

impl Serialize for Features {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(8 * self.0.len());
        for value in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:08x}", value.to_bits());
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        let value = |word: &[u8; 8]| {
            let bits = std::str::from_utf8(word).ok().and_then(|word| u32::from_str_radix(word, 16).ok());
            bits.map(f32::from_bits)
        };
        let values: Option<Vec<f32>> = words.iter().map(value).collect();
        match values.filter(|_| rest.is_empty()) {
            Some(values) => Ok(Self(values)),
            None => Err(serde::de::Error::custom("features are no hexadecimal digits")),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    name: String,
    values: Values,
}

/// The file of results, open for appending.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    known: HashMap<String, Values>,
}

impl Journal {
    /// Opens or creates the file. An incomplete last line, which a crash can leave, is removed.
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            bytes => bytes.map_err(Error::io(&path))?,
        };
        let mut known = HashMap::new();
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        for (number, line) in bytes[..whole].split(|&byte| byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).map_err(|error| {
                Error::Data(format!(
                    "{}: line {} is no result of an evaluation ({error}): remove that line, or evaluate into another \
                     folder",
                    path.display(),
                    number + 1
                ))
            })?;
            known.insert(line.key, line.values);
        }
        if whole < bytes.len() {
            write_whole(&path, |out| out.write_all(&bytes[..whole]))?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { path, file, known })
    }

    /// Number of results that are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The results for a key.
    pub(super) fn get(&self, key: &str) -> Option<&Values> {
        self.known.get(key)
    }

    /// Adds results; they are handed to the system at once.
    pub(super) fn append(&mut self, key: String, name: &str, values: Values) -> Result<()> {
        let line = Line { key, name: name.to_owned(), values };
        let mut text = serde_json::to_vec(&line)
            .map_err(|error| Error::Data(format!("the results of {name} cannot be written: {error}")))?;
        text.push(b'\n');
        self.file.write_all(&text).and_then(|()| self.file.flush()).map_err(Error::io(&self.path))?;
        self.known.insert(line.key, line.values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Without this, a continued evaluation can differ from an uninterrupted one in the last digit.
        #[test]
        fn every_number_is_read_back_with_its_bits(values in prop::collection::vec(0.0..1.0_f64, 64)) {
            for value in values {
                let pair = PairValues { rmse: value, ssim: -value, lpips: Some(value / 3.0), inception: None, segments: None };
                let text = serde_json::to_string(&pair).unwrap();
                let read: PairValues = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(read.rmse.to_bits(), value.to_bits());
                prop_assert_eq!(read.ssim.to_bits(), (-value).to_bits());
                prop_assert_eq!(read.lpips.map(f64::to_bits), Some((value / 3.0).to_bits()));
            }
        }
    }

    #[test]
    fn numbers_of_earlier_versions_are_read() {
        let pair: PairValues = serde_json::from_str(r#"{"rmse":0.5,"ssim":1,"lpips":0.25}"#).unwrap();
        assert_eq!((pair.rmse, pair.ssim, pair.lpips), (0.5, 1.0, Some(0.25)));
        let pair: PairValues = serde_json::from_str(r#"{"rmse":"0.5","ssim":"1"}"#).unwrap();
        assert_eq!((pair.rmse, pair.ssim, pair.lpips), (0.5, 1.0, None));
        assert!(serde_json::from_str::<PairValues>(r#"{"rmse":"half","ssim":"1"}"#).is_err());
    }

    #[test]
    fn results_are_read_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pictures.jsonl");
        let features = Features(vec![0.1, -3.5e-20, f32::MAX, 0.0]);
        let segments = Segments { pixels: vec![(0, 7), (11, 1)], features: features.clone() };
        let pair = Values::Pair(PairValues {
            rmse: 0.1,
            ssim: 0.5,
            lpips: Some(0.25),
            inception: Some([features.clone(), features.clone()]),
            segments: Some([segments.clone(), segments]),
        });
        let plain = PairValues { rmse: 0.0, ssim: 1.0, lpips: None, inception: None, segments: None };
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.append("a".into(), "one", pair.clone()).unwrap();
        journal.append("b".into(), "two", Values::Pair(plain.clone())).unwrap();
        journal.append("c".into(), "three", Values::Reference(features.clone())).unwrap();
        // A crash in the middle of a line.
        let mut bytes = fs::read(&path).unwrap();
        let whole = bytes.clone();
        bytes.extend_from_slice(br#"{"key":"d","na"#);
        fs::write(&path, &bytes).unwrap();
        let journal = Journal::open(path.clone()).unwrap();
        assert_eq!(journal.len(), 3);
        assert_eq!(journal.get("a"), Some(&pair));
        assert_eq!(journal.get("b"), Some(&Values::Pair(plain)));
        assert_eq!(journal.get("c"), Some(&Values::Reference(features)));
        assert_eq!(fs::read(&path).unwrap(), whole);
        // A line that something else has written.
        fs::write(&path, b"{\"key\":1}\n").unwrap();
        let message = Journal::open(path).err().unwrap().to_string();
        assert!(message.contains("line 1") && message.contains("pictures.jsonl"), "{message}");
    }
}
