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
    pub(super) rmse: f64,
    pub(super) ssim: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lpips: Option<f64>,
    /// Of Inception: of the picture, then of the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) inception: Option<[Features; 2]>,
    /// Of the segmentation network: of the picture, then of the photo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) segments: Option<[Segments; 2]>,
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
