//! Looks at every file of a data set, and says all that is wrong with it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;

use super::disk::{Labels, Pair};
use super::forms::{choose, look};
use super::pairing::{Kind, Problem, short};
use super::{OpenOptions, Split, header};
use crate::error::Result;
use crate::label::{ClassTable, LabelMap, ReadOptions};
use crate::picture::Image;

/// How many sizes and class names a summary lists; the rest is only counted.
const LISTED: usize = 12;

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Training does not start.
    Error,
    /// Training works, but perhaps not as meant.
    Warning,
}

/// Something that is wrong in a data set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The file, and what is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub advice: String,
}

/// How often a class occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassShare {
    /// Its id.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Number of pixels, in all pairs that can be used.
    pub pixels: u64,
    /// Number of pictures that have it.
    pub pictures: usize,
}

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The format and its location.
    pub form: String,
    /// All that is wrong: files without partners first, then pair by pair.
    pub findings: Vec<Finding>,
    /// Number of pairs of each split, and how many of them can be used.
    pub splits: Vec<(Split, usize, usize)>,
    /// Width and height of the pairs that can be used, with the number of pairs of that size.
    pub sizes: BTreeMap<(usize, usize), usize>,
    /// The classes in the order of their ids; empty if they are unknown.
    pub classes: Vec<ClassShare>,
}

impl Check {
    /// Whether training can start.
    pub fn is_usable(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Reads all files of some splits of the data set in `dir`, and lists everything that is wrong: files without a partner or
/// with the same stem, sizes that differ, files that are empty, cut short or damaged, labels without a class, grey and
/// CMYK photos, missing instance maps. One bad file never hides another.
///
/// # Errors
///
/// If `dir` cannot be read, or is in no format that [`open`](super::open) knows.
pub fn check(dir: &Path, splits: &[Split], options: &OpenOptions) -> Result<Check> {
    let mut result = Check {
        form: String::new(),
        findings: Vec::new(),
        splits: Vec::new(),
        sizes: BTreeMap::new(),
        classes: Vec::new(),
    };
    // Splits that are held out of the same folders have the same problems.
    let mut known = BTreeSet::new();
    let mut note = |finding: Finding, findings: &mut Vec<Finding>| {
        if known.insert(finding.clone()) {
            findings.push(finding);
        }
    };
    for &split in splits {
        let found = look(dir, split, options)?;
        result.form = found.form;
        for problem in found.problems.into_vec().into_iter().filter(|problem| problem.kind != Kind::Header) {
            note(pairing(problem, &found.advice), &mut result.findings);
        }
        let classes = match found.classes {
            Ok(classes) => Some(classes),
            Err(error) => {
                let advice = "without the classes, labels are not checked";
                note(blocking(error.to_string(), advice), &mut result.findings);
                None
            }
        };
        let pairs = match choose(found.pairs, split, found.hold_out, dir) {
            Ok(pairs) => pairs,
            Err(error) => {
                note(blocking(format!("{split}: {error}"), ""), &mut result.findings);
                Vec::new()
            }
        };
        if let (Some(classes), true) = (&classes, result.classes.is_empty()) {
            let unseen = |class: &crate::label::Class| ClassShare {
                id: class.id,
                name: class.name.clone(),
                pixels: 0,
                pictures: 0,
            };
            result.classes = classes.iter().map(unseen).collect();
        }
        let checked: Vec<PairCheck> =
            pairs.par_iter().map(|pair| PairCheck::of(pair, classes.as_ref(), options.labels)).collect();
        let mut usable = 0;
        for pair in checked {
            if pair.findings.iter().all(|finding| finding.severity != Severity::Error) {
                usable += 1;
                if let Some(size) = pair.size {
                    *result.sizes.entry(size).or_default() += 1;
                }
                for share in &mut result.classes {
                    if let Some(pixels) = pair.pixels.get(&share.id) {
                        share.pixels += pixels;
                        share.pictures += 1;
                    }
                }
            }
            for finding in pair.findings {
                note(finding, &mut result.findings);
            }
        }
        result.splits.push((split, pairs.len(), usable));
    }
    Ok(result)
}

fn blocking(problem: String, advice: impl Into<String>) -> Finding {
    Finding { severity: Severity::Error, problem, advice: advice.into() }
}

fn warning(problem: String, advice: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, problem, advice: advice.into() }
}

fn pairing(problem: Problem, advice: &str) -> Finding {
    let Problem { kind, text, advice: own } = problem;
    let advice = if own.is_empty() { advice.to_owned() } else { own };
    if kind == Kind::Note { warning(text, advice) } else { blocking(text, advice) }
}

/// What is in a pair, and wrong with it.
#[derive(Default)]
struct PairCheck {
    findings: Vec<Finding>,
    size: Option<(usize, usize)>,
    /// By class.
    pixels: BTreeMap<u16, u64>,
}

const COPY: &str = "copy it again from where the data set comes from, or take the pair out";

impl PairCheck {
    fn of(pair: &Pair, classes: Option<&ClassTable>, options: ReadOptions) -> Self {
        let mut check = Self::default();
        let empty: Vec<&PathBuf> = files(pair).into_iter().filter(|path| is_empty(path)).collect();
        for path in &empty {
            check.findings.push(blocking(format!("{} is empty (0 bytes)", short(path)), COPY));
        }
        let readable = |path: &PathBuf| !empty.contains(&path);

        let picture = readable(&pair.picture).then(|| pair.read_picture()).and_then(|read| check.keep(read, COPY));
        let own_files = pair.label_files();
        // Labels in the same picture are lost with it.
        let lost = own_files.is_empty() && picture.is_none() || !own_files.iter().all(|path| readable(path));
        let labels = if lost { None } else { check.labels(pair, picture.as_ref(), classes, options) };
        if header::is_cmyk(&pair.picture) {
            let advice = "convert it to sRGB; how its colours look depends on a profile that is not used";
            check.findings.push(warning(format!("{} is a CMYK photo", short(&pair.picture)), advice));
        }
        let photo = picture.map(|picture| pair.photo(picture));
        if let Some(photo) = &photo {
            check.colours(pair, photo);
        }
        if let (Some(labels), Some(photo)) = (&labels, photo) {
            let advice =
                "give both the same size; do not stretch one of them, which would shift labels against the photo";
            if check.keep(pair.at_size_of(labels, photo), advice).is_some() {
                check.size = Some((labels.width(), labels.height()));
            }
        }
        if pair.instances.as_ref().is_some_and(readable) {
            check.keep(pair.read_instances(labels.as_ref()), "export the instance map again, or take it out");
        }
        for id in labels.iter().flat_map(LabelMap::ids) {
            *check.pixels.entry(id).or_default() += 1;
        }
        check
    }

    fn keep<T>(&mut self, result: Result<T>, advice: &str) -> Option<T> {
        result.map_err(|error| self.findings.push(blocking(error.to_string(), advice))).ok()
    }

    fn labels(
        &mut self,
        pair: &Pair,
        picture: Option<&RgbImage>,
        classes: Option<&ClassTable>,
        options: ReadOptions,
    ) -> Option<LabelMap> {
        const ADVICE: &str = "correct the label map or the class table, or take the pair out";
        match (classes, &pair.labels) {
            (None, Labels::Index(path) | Labels::OfLeftHalf(path)) => {
                self.keep(Image::open(path), COPY);
                None
            }
            (None, Labels::Half(_)) => None,
            (Some(classes), _) => self.keep(pair.read_labels(picture, classes, options), ADVICE),
            // These bring their own classes.
            (None, Labels::Coded(..) | Labels::Cmp(_) | Labels::Parts(_)) => {
                self.keep(pair.read_labels(picture, &ClassTable::cmp_facades(), options), ADVICE)
            }
        }
    }

    /// Warns of photos without colours.
    fn colours(&mut self, pair: &Pair, photo: &RgbImage) {
        let file = short(&pair.picture);
        if photo.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]) {
            let advice = "take it out unless grey pictures are wanted: the network learns to paint them";
            self.findings.push(warning(format!("{file} is a greyscale photo"), advice));
        }
    }
}

fn files(pair: &Pair) -> Vec<&PathBuf> {
    std::iter::once(&pair.picture).chain(pair.label_files()).chain(&pair.instances).collect()
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.len() == 0)
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { severity, problem, advice } in &self.findings {
            let name = if *severity == Severity::Error { "error" } else { "warning" };
            writeln!(f, "{name:<9}{}", problem.replace('\n', "\n         "))?;
            if !advice.is_empty() {
                writeln!(f, "         -> {advice}")?;
            }
        }
        writeln!(f, "{:<9}{}", "format", self.form)?;
        for (split, pairs, usable) in &self.splits {
            let noun = if *pairs == 1 { "pair" } else { "pairs" };
            writeln!(f, "{:<9}{pairs} {noun}, {usable} of them can be used", split.name())?;
        }
        let mut sizes: Vec<_> = self.sizes.iter().collect();
        sizes.sort_by_key(|(size, count)| (std::cmp::Reverse(**count), **size));
        let named = sizes.iter().map(|((width, height), count)| format!("{width}x{height} ({count})"));
        writeln!(f, "{:<9}{}", "sizes", listed(named.collect(), "none"))?;
        let area: u64 = self.classes.iter().map(|class| class.pixels).sum();
        let (used, absent): (Vec<_>, Vec<_>) = self.classes.iter().partition(|class| class.pixels > 0);
        writeln!(f, "{:<9}{} of {} occur", "classes", used.len(), self.classes.len())?;
        let width = used.iter().map(|class| class.name.chars().count()).max().unwrap_or(0);
        for ClassShare { id, name, pixels, pictures } in used {
            let share = *pixels as f64 * 100.0 / area.max(1) as f64;
            let noun = if *pictures == 1 { "picture" } else { "pictures" };
            writeln!(f, "  {id:5} {name:width$} {share:6.2} %  in {pictures} {noun}")?;
        }
        let absent = absent.iter().map(|class| format!("{} {}", class.id, class.name)).collect();
        writeln!(f, "{:<9}{}", "never", listed(absent, "no class is missing"))?;
        let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        let verdict = if errors == 0 { "training can start" } else { "training does not start until they are gone" };
        let (errors, warnings) = (plural(errors, "error"), plural(warnings, "warning"));
        writeln!(f, "{:<9}{errors}, {warnings}: {verdict}", "result")
    }
}

fn listed(items: Vec<String>, none: &str) -> String {
    let count = items.len();
    if count == 0 {
        return none.to_owned();
    }
    let shown: Vec<String> = items.into_iter().take(LISTED).collect();
    let more = count - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
