//! Evaluation of pictures or models by one protocol; `docs/evaluation.md` describes it.
//!
//! A [`Source`] gives pairs of a picture and its photo: [`Folders`] of pictures, or a model that paints the label maps
//! of a data set ([`Painted`]). [`evaluate`] measures all pairs with the [`Measures`] asked for, writes down each pair
//! as soon as it is measured, and sums up in a [`Report`].

mod fingerprint;
mod folders;
mod journal;
mod measures;
mod painted;
mod report;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::RgbImage;

use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::label::{ClassTable, LabelMap};

use fingerprint::Fingerprint;
use journal::{Journal, PairValues, Values};

pub use folders::Folders;
pub use measures::{Against, Measures, ignored_class};
pub use painted::Painted;
pub use report::{Distance, Perceptual, Report, SegmentationScore, Similarity};

/// Version of the protocol. It changes when the same pictures would get another number.
pub const PROTOCOL: u32 = 1;

/// How many problems an error lists; the rest is only counted.
const LISTED: usize = 10;

/// A photo with what belongs to it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its name: the file name without extension.
    pub name: String,
    /// The photo.
    pub photo: RgbImage,
    /// Its label map, as large as the photo.
    pub labels: Option<LabelMap>,
    /// The picture to compare with it, if there is one before it is painted.
    pub picture: Option<RgbImage>,
}

/// Pairs of a picture and a photo.
pub trait Source {
    /// What it is, in one line.
    fn describe(&self) -> String;

    /// The classes of the label maps, if there are label maps.
    fn classes(&self) -> Option<&ClassTable>;

    /// Number of pairs.
    fn len(&self) -> usize;

    /// Whether there are no pairs.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A number that is another one if [`paint`](Self::paint) would give other pictures for the same items.
    fn fingerprint(&self) -> u64;

    /// Reads a photo and what belongs to it.
    ///
    /// # Errors
    ///
    /// Those of reading, naming the file.
    fn load(&self, index: usize) -> Result<Item>;

    /// Makes the picture of the item with this number, which has none.
    ///
    /// # Errors
    ///
    /// Those of painting.
    fn paint(&mut self, index: usize, item: &Item) -> Result<RgbImage>;

    /// Number of training photos, for a distance from these; `None` if there is no training set.
    fn references(&self) -> Option<usize> {
        None
    }

    /// Reads a training photo, at the size of the pictures.
    ///
    /// # Errors
    ///
    /// Those of reading, naming the file.
    fn reference(&self, index: usize) -> Result<Item> {
        Err(Error::Argument(format!("there is no training photo {index}")))
    }
}

/// Receives events of an evaluation.
pub trait Observer {
    /// A round over `total` pictures starts; the folder has `known` results of earlier evaluations, of the same pictures or
    /// others.
    fn start(&mut self, what: &str, total: usize, known: usize);
    /// So many pictures of the round are done.
    fn progress(&mut self, done: usize);
    /// A message for the user.
    fn note(&mut self, text: &str);
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn start(&mut self, _what: &str, _total: usize, _known: usize) {}
    fn progress(&mut self, _done: usize) {}
    fn note(&mut self, _text: &str) {}
}

/// The paths of an evaluation's files.
#[derive(Clone, Debug)]
pub struct Files(PathBuf);

impl Files {
    /// The paths for an evaluation in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The results of single pictures, one JSON object per line.
    pub fn journal(&self) -> PathBuf {
        self.0.join("pictures.jsonl")
    }

    /// The [`Report`], as JSON.
    pub fn report(&self) -> PathBuf {
        self.0.join("eval.json")
    }
}

/// Measures all pairs and writes the report into the folder of `files`, which is created if it does not exist. The
/// report of an earlier evaluation is replaced only when the new one is complete.
///
/// Results of single pictures are kept in the folder. The next evaluation there uses those that are of the same
/// pictures, measures and weights, so that a long one can be stopped with `stop` and continued. A picture that cannot be
/// measured does not keep the others from being measured.
///
/// # Errors
///
/// [`Error::Argument`] if the measures need what the source has not, [`Error::Data`] if there are no pairs, or listing
/// the pictures that could not be measured; [`Error::Cancelled`] if `stop` was set. Results of single pictures are kept
/// in all cases.
pub fn evaluate(
    source: &mut dyn Source,
    measures: &Measures,
    files: &Files,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Report> {
    measures.check(source)?;
    if source.is_empty() {
        return Err(Error::Data(format!("{}: there are no pairs to measure", source.describe())));
    }
    if let Some(note) = measures.note(source) {
        observer.note(&note);
    }
    std::fs::create_dir_all(files.folder()).map_err(Error::io(files.folder()))?;
    let mut journal = Journal::open(files.journal())?;
    let mut problems = Problems::default();

    let of_all = Fingerprint::new().number(source.fingerprint()).number(measures.fingerprint());
    let total = source.len();
    observer.start("pictures", total, journal.len());
    let mut pairs: BTreeMap<usize, PairValues> = BTreeMap::new();
    for index in 0..total {
        stopped(stop)?;
        let mut pair = || {
            let item = source.load(index)?;
            let key = key_of(of_all.clone(), &item);
            if let Some(Values::Pair(known)) = journal.get(&key) {
                return Ok(known.clone());
            }
            let picture = match &item.picture {
                Some(picture) => picture.clone(),
                None => source.paint(index, &item).map_err(|error| error.context(&item.name))?,
            };
            let values = measures.pair(&item, &picture, source.classes());
            let values = values.map_err(|error| error.context(&item.name))?;
            journal.append(key, &item.name, Values::Pair(values.clone()))?;
            Ok(values)
        };
        match pair() {
            Ok(values) => {
                pairs.insert(index, values);
            }
            Err(error) => problems.take(error)?,
        }
        observer.progress(index + 1);
    }

    let mut references = Vec::new();
    if measures.against() == Some(Against::Training) {
        let of_references = Fingerprint::new().number(measures.inception_fingerprint());
        let total = source.references().unwrap_or(0);
        observer.start("training photos", total, 0);
        for index in 0..total {
            stopped(stop)?;
            let mut reference = || {
                let item = source.reference(index)?;
                let key = key_of(of_references.clone(), &item);
                if let Some(Values::Reference(known)) = journal.get(&key) {
                    return Ok(known.clone());
                }
                let features = measures.reference(&item).map_err(|error| error.context(&item.name))?;
                journal.append(key, &item.name, Values::Reference(features.clone()))?;
                Ok(features)
            };
            match reference() {
                Ok(features) => references.push(features),
                Err(error) => problems.take(error)?,
            }
            observer.progress(index + 1);
        }
    }

    problems.into_result(&files.journal())?;
    let pairs: Vec<PairValues> = pairs.into_values().collect();
    observer.note("summing up");
    let report = Report::new(source, measures, &pairs, &references)?;
    let text = report.to_json()?;
    write_whole(&files.report(), |out| std::io::Write::write_all(out, text.as_bytes()))?;
    Ok(report)
}

fn stopped(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
}

/// The key of an item's results: whatever they depend on.
fn key_of(all: Fingerprint, item: &Item) -> String {
    let mut key = all.number(u64::from(PROTOCOL)).picture(&item.photo);
    if let Some(picture) = &item.picture {
        key = key.picture(picture);
    }
    if let Some(labels) = &item.labels {
        key = key.labels(labels);
    }
    key.text()
}

/// The pictures that could not be measured.
#[derive(Debug, Default)]
struct Problems {
    lines: Vec<String>,
    count: usize,
}

impl Problems {
    /// Notes an error that is of one picture; returns one that would come again with the next.
    fn take(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Data(_) | Error::Labels(_) | Error::UnknownLabels { .. } | Error::Limit(_) | Error::Argument(_) => {}
            Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {}
            other => return Err(other),
        }
        self.count += 1;
        if self.lines.len() < LISTED {
            self.lines.push(error.to_string());
        }
        Ok(())
    }

    fn into_result(self, journal: &Path) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let more = if self.count > LISTED { format!("\n  and {} more", self.count - LISTED) } else { String::new() };
        let lines = self.lines.join("\n  ") + &more;
        let pictures = if self.count == 1 { "picture" } else { "pictures" };
        Err(Error::Data(format!(
            "{} {pictures} cannot be measured:\n  {lines}\nMend them, or take them out on both sides, and evaluate again: \
             what was measured is kept in {}",
            self.count,
            journal.display()
        )))
    }
}

#[cfg(test)]
mod tests;
