//! Pairs photos with labels, and collects what does not match.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::header;
use super::listing::{Picture, natural_order};
use crate::error::{Error, Result};

/// How many problems an error lists; the rest is only counted.
const LISTED: usize = 10;

/// What a problem means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files do not make up pairs.
    Pairs,
    /// The header of a file is not right. Whoever reads the whole file finds it again, and more.
    Header,
    /// The pair can be used, but not for everything.
    Note,
}

/// What does not fit, and what to do about it, if that is not the same for all problems of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) text: String,
    pub(super) advice: String,
}

/// The problems of a data set.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: impl Display) {
        self.add(Kind::Pairs, problem, "");
    }

    pub(super) fn add(&mut self, kind: Kind, problem: impl Display, advice: impl Display) {
        self.0.push(Problem { kind, text: problem.to_string(), advice: advice.to_string() });
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// An error that lists the problems, if there are any that matter. `folder` is where they are, `advice` how to fix
    /// them.
    pub(super) fn into_result(self, folder: &Path, advice: &str) -> Result<()> {
        let all: Vec<String> = self.0.into_iter().filter(|p| p.kind != Kind::Note).map(|p| p.text).collect();
        let count = all.len();
        if count == 0 {
            return Ok(());
        }
        let mut lines = all[..count.min(LISTED)].join("\n  ");
        if count > LISTED {
            lines.push_str(&format_args!("\n  and {} more", count - LISTED).to_string());
        }
        let noun = if count == 1 { "file does" } else { "files do" };
        Err(Error::Data(format!("{}: {count} {noun} not fit:\n  {lines}\n{advice}", folder.display())))
    }
}

/// A photo file and its label file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) stem: String,
    pub(super) photo: PathBuf,
    pub(super) label: PathBuf,
}

/// Pairs photos and labels with the same stem, in natural order of the stems.
pub(super) fn match_up(photos: Vec<Picture>, labels: Vec<Picture>, problems: &mut Problems) -> Vec<Match> {
    let photos = by_stem(photos, problems);
    let mut labels = by_stem(labels, problems);
    let mut matches = Vec::with_capacity(photos.len());
    for (stem, photo) in photos {
        match labels.remove(&stem) {
            Some(label) => matches.push(Match { stem, photo, label }),
            None => problems.add(
                Kind::Pairs,
                format_args!("{} has no label", short(&photo)),
                "add a label PNG of the same stem, or take the photo out",
            ),
        }
    }
    for label in labels.values() {
        let text = format!("{} has no photo", short(label));
        problems.add(Kind::Pairs, text, "add the photo of the same stem, or take the label map out");
    }
    matches.sort_by(|a, b| natural_order(&a.stem, &b.stem));
    matches
}

/// The files by their stems. Of several files with one stem, the first is taken and the others are problems.
pub(super) fn by_stem(pictures: Vec<Picture>, problems: &mut Problems) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::<String, PathBuf>::new();
    for Picture { stem, path, .. } in pictures {
        if let Some(other) = files.get(&stem) {
            let text = format!("{} and {} have the same stem", short(other), short(&path));
            problems.add(Kind::Pairs, text, "keep one of them, or rename it together with its label map");
        } else {
            files.insert(stem, path);
        }
    }
    files
}

/// The sizes of many pictures, in order; unreadable ones are recorded as problems.
pub(super) fn sizes<'a>(paths: impl Iterator<Item = &'a Path>, problems: &mut Problems) -> Vec<Option<(u32, u32)>> {
    let paths: Vec<_> = paths.collect();
    let read: Vec<_> = paths.par_iter().map(|path| header::size(path)).collect();
    read.into_iter().map(|size| size.map_err(|e| problems.add(Kind::Header, e, "")).ok()).collect()
}

/// Folder and file name: enough to find a file in the data set.
pub(super) fn short(path: &Path) -> String {
    let name = |p: &Path| p.file_name().unwrap_or(p.as_os_str()).to_string_lossy().into_owned();
    match path.parent().filter(|p| p.file_name().is_some()) {
        Some(parent) => format!("{}/{}", name(parent), name(path)),
        None => name(path),
    }
}

#[cfg(test)]
mod tests {
    use super::{Problems, match_up};
    use crate::data::listing::{Kind, Picture};
    use std::path::{Path, PathBuf};

    fn files(folder: &str, names: &[&str]) -> Vec<Picture> {
        let picture = |name: &&str| Picture {
            stem: name.split('.').next().unwrap().to_owned(),
            path: PathBuf::from(format!("{folder}/{name}")),
            kind: Kind::Png,
        };
        names.iter().map(picture).collect()
    }

    #[test]
    fn pairs_by_stem_in_natural_order() {
        let mut problems = Problems::default();
        let found = match_up(files("i", &["10.jpg", "2.jpg"]), files("l", &["10.png", "2.png"]), &mut problems);
        assert_eq!(found.iter().map(|m| m.stem.as_str()).collect::<Vec<_>>(), ["2", "10"]);
        assert_eq!(found[1].label, Path::new("l/10.png"));
        problems.into_result(Path::new("d"), "").unwrap();
    }

    #[test]
    fn names_what_is_missing() {
        let mut problems = Problems::default();
        let photos = files("i", &["1.jpg", "2.jpg", "3.jpg", "3.png"]);
        let found = match_up(photos, files("l", &["2.png", "3.png", "4.png"]), &mut problems);
        assert_eq!(found.len(), 2);
        let message = problems.into_result(Path::new("d"), "do this").unwrap_err().to_string();
        for part in ["d: 3 files", "i/1.jpg has no label", "l/4.png has no photo", "same stem", "do this"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn counts_what_it_does_not_list() {
        let mut problems = Problems::default();
        (0..25).for_each(|i| problems.push(format_args!("file {i} is odd")));
        let message = problems.into_result(Path::new("d"), "").unwrap_err().to_string();
        assert!(message.contains("file 9 is odd") && !message.contains("file 10 is odd"), "{message}");
        assert!(message.contains("and 15 more"), "{message}");
    }
}
