//! Detects the format in which a folder stores its pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coding::Coding;
use super::disk::{Disk, Labels, Pair};
use super::listing::{Kind, Picture, natural_order, pictures};
use super::pairing::{Kind as Trouble, Match, Problems, by_stem, match_up, short, sizes};
use super::{OpenOptions, Split, official, pix2pix};
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::picture::Image;

/// In a folder without splits, one pair out of this many is used for validation.
const HELD_OUT: usize = 10;

const CLASS_FILES: [&str; 3] = ["classes.ron", "classes.json", "classes.gpl"];

/// A layout that was recognised, with all that does not fit in it.
#[derive(Debug)]
pub(super) struct Found {
    /// The format and its location, for [`Dataset::describe`](super::Dataset::describe).
    pub(super) form: String,
    /// The pairs of all splits that are in these folders, in order.
    pub(super) pairs: Vec<Pair>,
    /// Whether validation pairs are held out of `pairs`.
    pub(super) hold_out: bool,
    pub(super) classes: Result<ClassTable>,
    pub(super) problems: Problems,
    /// Where the problems are, and how to fix them.
    pub(super) folder: PathBuf,
    pub(super) advice: String,
}

impl Found {
    /// The data set, if everything fits.
    pub(super) fn usable(self, dir: &Path, split: Split, options: &OpenOptions) -> Result<Disk> {
        let note = held_out_note(self.hold_out);
        self.problems.into_result(&self.folder, &self.advice)?;
        let pairs = choose(self.pairs, split, self.hold_out, &self.folder)?;
        let with = pairs.iter().filter(|pair| pair.instances.is_some()).count();
        let instances = with > 0 && with == pairs.len();
        let maps = match with {
            0 => String::new(),
            _ if instances => ", with instance maps".to_owned(),
            _ => format!(", instance maps not used ({} pairs have none)", pairs.len() - with),
        };
        let form = self.form + note + &maps;
        let name = folder_name(dir);
        Ok(Disk { name, form, split, pairs, classes: self.classes?, labels: options.labels, instances })
    }
}

/// Detects the format of the data set in `dir` and checks all its pairs.
pub(super) fn find(dir: &Path, split: Split, options: &OpenOptions) -> Result<Disk> {
    look(dir, split, options)?.usable(dir, split, options)
}

/// Detects the format of the data set in `dir`.
pub(super) fn look(dir: &Path, split: Split, options: &OpenOptions) -> Result<Found> {
    if !dir.is_dir() {
        return Err(Error::Data(format!("{} is not a folder; a data set is a folder with pictures", dir.display())));
    }
    if let Some(found) = official::find(dir, split, options)? {
        return Ok(found);
    }
    // Without validation pairs, some of the training pairs are held out.
    let exists = |name: &&str| ["", "_img", "_label", "_A"].iter().any(|end| dir.join(format!("{name}{end}")).is_dir());
    // Test pictures often have no labels.
    let usable = |name: &str| find_named(dir, name, Split::Val, options, false)?.usable(dir, Split::Val, options);
    let fits = |name: &&str| *name != "test" || usable(name).is_ok();
    match ["val", "validation", "valid", "test"].iter().find(|name| exists(name)).filter(|name| fits(name)) {
        Some(val) => find_named(dir, if split == Split::Val { val } else { "train" }, split, options, false),
        None => find_named(dir, "train", split, options, true),
    }
}

/// As [`look`], in the folders of this name first.
fn find_named(dir: &Path, name: &str, split: Split, options: &OpenOptions, hold_out: bool) -> Result<Found> {
    let within = dir.join(name);
    let labels = dir.join(format!("{name}_label"));

    // Folders named after the split take precedence over those that are not.
    for (photos, labels, instances) in [
        (dir.join(format!("{name}_img")), labels.clone(), dir.join(format!("{name}_inst"))),
        (within.join("img"), within.join("label"), within.join("inst")),
    ] {
        if photos.is_dir() && labels.is_dir() {
            return folders(dir, options, &photos, &labels, &instances, hold_out);
        }
    }
    let [a, b] = ["A", "B"].map(|side| dir.join(format!("{name}_{side}")));
    if a.is_dir() && b.is_dir() {
        // pix2pixHD has labels in A; others have them in B. The first picture that can be read says it.
        let are_labels = |picture: &Picture| {
            let labels = LabelMap::open_ids(&picture.path).is_ok();
            (labels || Image::open(&picture.path).is_ok()).then_some(labels)
        };
        let has_labels =
            |folder: &Path| -> Result<bool> { Ok(pictures(folder)?.iter().find_map(are_labels).unwrap_or(false)) };
        let (photos, labels) = if has_labels(&a)? || !has_labels(&b)? { (b, a) } else { (a, b) };
        return folders(dir, options, &photos, &labels, &dir.join(format!("{name}_inst")), hold_out);
    }
    if within.is_dir() {
        let found = pictures(&within)?;
        if !found.is_empty() && labels.is_dir() {
            return split_folder(dir, options, found, &labels, &dir.join(format!("{name}_inst")), hold_out);
        }
        if let Some(found) = side_by_side(dir, &within, options, &found, hold_out)? {
            return Ok(found);
        }
        if !found.is_empty() {
            return double_width(dir, &within, split, options, found, hold_out);
        }
    }
    let (photos, labels) = (dir.join("img"), dir.join("label"));
    if photos.is_dir() && labels.is_dir() {
        return folders(dir, options, &photos, &labels, &dir.join("inst"), true);
    }
    if let Some(found) = original_cmp(dir)? {
        return Ok(found);
    }
    let found = pictures(dir)?;
    if let Some(found) = side_by_side(dir, dir, options, &found, true)? {
        return Ok(found);
    }
    let any_double = sizes(found.iter().map(|p| p.path.as_path()), &mut Problems::default())
        .into_iter()
        .any(|size| size.is_some_and(is_double));
    if any_double {
        return double_width(dir, dir, split, options, found, true);
    }
    Err(nothing_found(dir, split)?)
}

/// Photos in one folder, label PNGs in another, and perhaps instance maps in a third.
fn folders(
    dir: &Path,
    options: &OpenOptions,
    photos: &Path,
    labels: &Path,
    instances: &Path,
    hold_out: bool,
) -> Result<Found> {
    let mut problems = Problems::default();
    let matches = match_up(pictures(photos)?, label_pngs(labels, &mut problems)?, &mut problems);
    check_equal(&matches, &mut problems);
    let given = class_table(dir, options);
    // SPADE prepares COCO-Stuff like this, without a class table; names end with numbers of twelve digits.
    let numbered = |stem: &str| stem.bytes().rev().take_while(u8::is_ascii_digit).count() == 12;
    let is_coco = instances.is_dir() && matches!(given, Ok(None)) && matches.iter().all(|m| numbered(&m.stem));
    let coding = if is_coco { Some(Arc::new(Coding::ids(coco()?))) } else { None };
    let pair = |m: Match| {
        let labels = match &coding {
            Some(coding) => Labels::Coded(m.label, Arc::clone(coding)),
            None => Labels::Index(m.label),
        };
        Pair::new(m.stem, m.photo, labels)
    };
    let mut pairs: Vec<Pair> = matches.into_iter().map(pair).collect();
    let mut form = format!("folder form in {}, {} + {}", dir.display(), in_dir(dir, photos), in_dir(dir, labels));
    if instances.is_dir() {
        attach_instances(&mut pairs, only(pictures(instances)?, Kind::Png), &mut problems);
        form = format!("{form} + {}", in_dir(dir, instances));
    }
    let classes = match given {
        Ok(Some(classes)) => Ok(classes),
        Ok(None) if is_coco => {
            form = format!("COCO-Stuff, {form}");
            coco()
        }
        Ok(None) => Err(no_classes(dir)),
        Err(error) => Err(error),
    };
    let (folder, advice) = (dir.to_path_buf(), FOLDER_ADVICE.to_owned());
    Ok(Found { form, pairs, hold_out, classes, problems, folder, advice })
}

fn coco() -> Result<ClassTable> {
    ClassTable::shipped("coco-stuff")
}

/// The PNGs of a folder with label maps; JPEGs are problems.
pub(super) fn label_pngs(folder: &Path, problems: &mut Problems) -> Result<Vec<Picture>> {
    let found = pictures(folder)?;
    for picture in found.iter().filter(|picture| picture.kind == Kind::Jpeg) {
        let text = format!("{} is no PNG", short(&picture.path));
        problems.add(Trouble::Pairs, text, "label maps must be PNG: JPEG changes their values; export it again");
    }
    Ok(only(found, Kind::Png))
}

/// Adds instance maps to pairs of the same name.
pub(super) fn attach_instances(pairs: &mut [Pair], maps: Vec<Picture>, problems: &mut Problems) {
    let mut maps = by_stem(maps, problems);
    for pair in pairs {
        pair.instances = maps.remove(&pair.name);
        if pair.instances.is_none() {
            problems.add(
                Trouble::Note,
                format_args!("{} has no instance map", short(&pair.picture)),
                "add it to train with instance edges of the instance maps; without it, the edges of label maps are used \
                 for all pairs",
            );
        }
    }
    for map in maps.values() {
        problems.add(Trouble::Note, format_args!("{} has no photo", short(map)), "it is not used");
    }
}

/// `train/` next to `train_label/`: whole photos, or pix2pix pictures with their labels cleaned.
fn split_folder(
    dir: &Path,
    options: &OpenOptions,
    photos: Vec<Picture>,
    labels: &Path,
    instances: &Path,
    hold_out: bool,
) -> Result<Found> {
    let mut problems = Problems::default();
    let matches = match_up(photos, label_pngs(labels, &mut problems)?, &mut problems);
    let sizes = sizes_of(&matches, &mut problems);
    let is_half = |((w, h), label): ((u32, u32), (u32, u32))| w % 2 == 0 && (w / 2, h) == label;
    // Decide by majority, so that a single file of another kind is reported as the error.
    let halves = sizes.iter().filter(|&&s| is_half(s)).count();
    let double = halves > sizes.iter().filter(|(photo, label)| photo == label).count();
    for (pair, &(photo, label)) in matches.iter().zip(&sizes) {
        if (double && !is_half((photo, label))) || (!double && photo != label) {
            problems.add(Trouble::Header, unequal(pair, photo, label), "");
        }
    }
    let pair = |m: Match| {
        let labels = if double { Labels::OfLeftHalf(m.label) } else { Labels::Index(m.label) };
        Pair::new(m.stem, m.photo, labels)
    };
    let mut pairs: Vec<Pair> = matches.into_iter().map(pair).collect();
    if instances.is_dir() {
        attach_instances(&mut pairs, only(pictures(instances)?, Kind::Png), &mut problems);
    }
    let given = class_table(dir, options);
    let (form, classes) = if double {
        let form = format!("pix2pix form in {}, cleaned labels from {}", dir.display(), in_dir(dir, labels));
        (form, given.map(|given| given.unwrap_or_else(ClassTable::cmp_facades)))
    } else {
        let form = format!("folder form in {}, photos beside {}", dir.display(), in_dir(dir, labels));
        (form, given.and_then(|given| given.ok_or_else(|| no_classes(dir))))
    };
    let advice = if double { CLEANED_ADVICE } else { FOLDER_ADVICE }.to_owned();
    Ok(Found { form, pairs, hold_out, classes, problems, folder: dir.to_path_buf(), advice })
}

/// The end of a label map's stem, if it has one more than its photo.
const LABEL_END: &str = "_label";

/// Photos and label PNGs in one folder: `1.jpg` and `1.png`, or `1.jpg` and `1_label.png`. So CelebAMask-HQ is passed on,
/// with labels at half the size of the photos.
fn side_by_side(
    dir: &Path,
    folder: &Path,
    options: &OpenOptions,
    found: &[Picture],
    hold_out: bool,
) -> Result<Option<Found>> {
    let stems = |kind| -> BTreeSet<&str> { found.iter().filter(|p| p.kind == kind).map(|p| p.stem.as_str()).collect() };
    let (jpegs, pngs) = (stems(Kind::Jpeg), stems(Kind::Png));
    let photo_of = |picture: &Picture| -> Option<String> {
        let base = picture.stem.strip_suffix(LABEL_END).filter(|base| jpegs.contains(base) || pngs.contains(base));
        let own = || jpegs.contains(picture.stem.as_str()).then_some(picture.stem.as_str());
        (picture.kind == Kind::Png).then(|| base.or_else(own)).flatten().map(str::to_owned)
    };
    let (mut photos, mut labels) = (Vec::<Picture>::new(), Vec::new());
    for picture in found {
        match photo_of(picture) {
            Some(stem) => labels.push(Picture { stem, ..picture.clone() }),
            None => photos.push(picture.clone()),
        }
    }
    // A photo in two formats does not make its copy a label map.
    if labels.is_empty() || 2 * labels.len() < photos.len() {
        return Ok(None);
    }
    // A label map that has lost its photo is not taken for one.
    let ends = |picture: &Picture| picture.stem.ends_with(LABEL_END);
    let end = found.iter().any(|picture| picture.kind == Kind::Png && ends(picture));
    let (lost, photos): (Vec<_>, Vec<_>) = photos.into_iter().partition(|p| p.kind == Kind::Png && ends(p) == end);
    labels.extend(lost);
    let mut problems = Problems::default();
    let matches = match_up(photos, labels, &mut problems);
    let sizes = sizes_of(&matches, &mut problems);
    let is_half = |&((w, h), label): &(Size, Size)| w % 2 == 0 && h % 2 == 0 && (w / 2, h / 2) == label && w > 0;
    let halved = 2 * sizes.iter().filter(|size| is_half(size)).count() > sizes.len();
    for (pair, &(photo, label)) in matches.iter().zip(&sizes) {
        if photo != label && !(halved && is_half(&(photo, label))) {
            problems.add(Trouble::Header, unequal(pair, photo, label), "");
        }
    }
    let given = class_table(dir, options);
    let is_celeba = halved && matches!(given, Ok(None));
    let coding = if is_celeba { Some(Arc::new(Coding::ids(ClassTable::shipped("celebamask-hq")?))) } else { None };
    let pair = |m: Match| {
        let labels = match &coding {
            Some(coding) => Labels::Coded(m.label, Arc::clone(coding)),
            None => Labels::Index(m.label),
        };
        Pair { reduce: halved, ..Pair::new(m.stem, m.photo, labels) }
    };
    let pairs = matches.into_iter().map(pair).collect();
    let (form, classes) = if is_celeba {
        (format!("CelebAMask-HQ in {}", folder.display()), ClassTable::shipped("celebamask-hq"))
    } else {
        let form = format!("photos with label maps beside them in {}", folder.display());
        (form, given.and_then(|given| given.ok_or_else(|| no_classes(dir))))
    };
    let (folder, advice) = (folder.to_path_buf(), FOLDER_ADVICE.to_owned());
    Ok(Some(Found { form, pairs, hold_out, classes, problems, folder, advice }))
}

/// The pix2pix format with labels in one half of each picture.
fn double_width(
    dir: &Path,
    photos: &Path,
    split: Split,
    options: &OpenOptions,
    found: Vec<Picture>,
    hold_out: bool,
) -> Result<Found> {
    let mut problems = Problems::default();
    let classes = class_table(dir, options)?.unwrap_or_else(ClassTable::cmp_facades);
    let sizes = sizes(found.iter().map(|p| p.path.as_path()), &mut problems);
    let readable = found.iter().zip(&sizes).filter(|(_, size)| size.is_some());
    let (doubles, others): (Vec<_>, Vec<_>) = readable.partition(|(_, size)| size.is_some_and(is_double));
    let side_of = |pictures: &[(&Picture, _)]| {
        let whole = pictures.iter().find_map(|(picture, _)| Image::open(&picture.path).ok())?;
        pix2pix::side_of_labels(whole.as_rgb(), &classes)
    };
    // Halves are square. If they have another form, the first such picture must show that it is no plain photo.
    let of_others = side_of(&others);
    let any_form = of_others.is_some();
    // Which half has the labels is the same in all pictures: the first that can be read says it.
    let side = side_of(&doubles).or(of_others);
    let mut seen = BTreeMap::new();
    let mut fitting = Vec::with_capacity(found.len());
    for (picture, size) in found.into_iter().zip(sizes) {
        if let Some(other) = seen.insert(picture.stem.clone(), picture.path.clone()) {
            problems.push(format_args!("{} and {} have the same stem", short(&other), short(&picture.path)));
        }
        let fits = |(width, height): (u32, u32)| is_double((width, height)) || any_form && width % 2 == 0;
        match size.filter(|&size| !fits(size)) {
            Some((width, height)) => problems.push(format_args!("{} is {width}x{height}", short(&picture.path))),
            None => fitting.push(picture),
        }
    }
    let advice = format!(
        "Without a {split}_label folder each picture must be twice as wide as high, or hold two halves of another form: a \
         photo and its labels in class colours. For plain photos put label PNGs of the same names into {}",
        dir.join(format!("{split}_label")).display()
    );
    let left = side == Some(true);
    let pairs = fitting.into_iter().map(|p| Pair::new(p.stem, p.path, Labels::Half(left))).collect();
    let half = if left { "left" } else { "right" };
    let form = format!("pix2pix form in {}, labels from the {half} halves", photos.display());
    Ok(Found { form, pairs, hold_out, classes: Ok(classes), problems, folder: photos.to_path_buf(), advice })
}

/// `cmp_*.jpg` and `cmp_*.png` in the same folder, as the CMP Facade Database is published.
fn original_cmp(dir: &Path) -> Result<Option<Found>> {
    let mut found = Vec::new();
    for folder in [dir.to_path_buf(), dir.join("base"), dir.join("extended")] {
        if folder.is_dir() {
            found.extend(pictures(&folder)?);
        }
    }
    found.retain(|p| p.stem.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("cmp_")));
    let photos = only(found.clone(), Kind::Jpeg);
    let labels = only(found, Kind::Png);
    if photos.is_empty() || labels.is_empty() {
        return Ok(None);
    }
    let mut problems = Problems::default();
    let matches = match_up(photos, labels, &mut problems);
    check_equal(&matches, &mut problems);
    let mut pairs: Vec<_> = matches.into_iter().map(|m| Pair::new(m.stem, m.photo, Labels::Cmp(m.label))).collect();
    pairs.sort_by(|a, b| natural_order(&a.name, &b.name));
    let form = format!("original CMP form in {}", dir.display());
    let advice = "Each cmp_*.jpg needs a cmp_*.png of the same name and size beside it".to_owned();
    let (classes, folder) = (Ok(ClassTable::cmp_facades()), dir.to_path_buf());
    Ok(Some(Found { form, pairs, hold_out: true, classes, problems, folder, advice }))
}

const FOLDER_ADVICE: &str = "Each photo (jpg, jpeg or png) needs an index PNG of the same stem and size";
const CLEANED_ADVICE: &str =
    "Each picture (photo left, labels right) needs an index PNG of the same stem and of half its width";

/// The last component of a path.
pub(super) fn folder_name(dir: &Path) -> String {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    absolute.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

pub(super) fn only(mut found: Vec<Picture>, kind: Kind) -> Vec<Picture> {
    found.retain(|p| p.kind == kind);
    found
}

fn is_double((width, height): (u32, u32)) -> bool {
    width.checked_div(2) == Some(height) && width % 2 == 0 && height > 0
}

type Size = (u32, u32);

/// Sizes of photo and label of each pair; (0, 0) for both if one is unreadable, which is reported as a problem.
fn sizes_of(matches: &[Match], problems: &mut Problems) -> Vec<(Size, Size)> {
    let photos = sizes(matches.iter().map(|m| m.photo.as_path()), problems);
    let labels = sizes(matches.iter().map(|m| m.label.as_path()), problems);
    photos.into_iter().zip(labels).map(|(photo, label)| photo.zip(label).unwrap_or_default()).collect()
}

/// Notes photos and labels of different sizes.
pub(super) fn check_equal(matches: &[Match], problems: &mut Problems) {
    let sizes = sizes_of(matches, problems);
    for (pair, (photo, label)) in matches.iter().zip(sizes).filter(|(_, (photo, label))| photo != label) {
        problems.add(Trouble::Header, unequal(pair, photo, label), "");
    }
}

fn unequal(pair: &Match, (pw, ph): Size, (lw, lh): Size) -> String {
    format!("{} is {pw}x{ph}, {} is {lw}x{lh}", short(&pair.photo), short(&pair.label))
}

/// The pairs of one split, in order.
pub(super) fn choose(pairs: Vec<Pair>, split: Split, hold_out: bool, dir: &Path) -> Result<Vec<Pair>> {
    let count = pairs.len();
    let chosen: Vec<_> = if hold_out {
        let is_chosen = |&(i, _): &(usize, Pair)| is_held_out(i, count) == (split == Split::Val);
        pairs.into_iter().enumerate().filter(is_chosen).map(|(_, pair)| pair).collect()
    } else {
        pairs
    };
    if chosen.is_empty() {
        let why = match count {
            0 => "there are no pairs".to_owned(),
            _ => "a single pair cannot be split into training and validation".to_owned(),
        };
        return Err(Error::Data(format!("{}: {why}; add pairs of photo and label", dir.display())));
    }
    Ok(chosen)
}

/// Every tenth pair, or the last of fewer than ten pairs (but never the only one).
fn is_held_out(index: usize, count: usize) -> bool {
    if count < HELD_OUT { count > 1 && index + 1 == count } else { index % HELD_OUT == HELD_OUT - 1 }
}

fn held_out_note(hold_out: bool) -> &'static str {
    if hold_out { ", every 10th pair held out" } else { "" }
}

pub(super) fn class_table(dir: &Path, options: &OpenOptions) -> Result<Option<ClassTable>> {
    if options.classes.is_some() {
        return Ok(options.classes.clone());
    }
    let own = CLASS_FILES.map(|name| dir.join(name));
    own.iter().find(|path| path.is_file()).map(ClassTable::open).transpose()
}

fn no_classes(dir: &Path) -> Error {
    Error::Data(format!(
        "{}: the classes are unknown. Put a classes.ron, classes.json or classes.gpl there (id, name and \
         colour of each class), or give a class table when opening the data set",
        dir.display()
    ))
}

/// `path` relative to `dir`.
pub(super) fn in_dir(dir: &Path, path: &Path) -> String {
    format!("{}/", path.strip_prefix(dir).unwrap_or(path).display())
}

/// An error that names what was looked for and what the folder contains instead.
fn nothing_found(dir: &Path, split: Split) -> Result<Error> {
    let (mut folders, mut files) = (Vec::new(), BTreeMap::<String, usize>::new());
    for entry in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = entry.map_err(Error::io(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(format!("{name}/"));
        } else {
            let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy().to_lowercase()));
            *files.entry(extension.unwrap_or_else(|| "without extension".to_owned())).or_default() += 1;
        }
    }
    folders.sort_by(|a, b| natural_order(a, b));
    let more = folders.len().saturating_sub(20);
    folders.truncate(20);
    if more > 0 {
        folders.push(format!("{more} more folders"));
    }
    folders.extend(
        files
            .into_iter()
            .map(|(extension, count)| format!("{count} {} {extension}", if count == 1 { "file" } else { "files" })),
    );
    let seen = if folders.is_empty() { "nothing".to_owned() } else { folders.join(", ") };
    Ok(Error::Data(format!(
        "{}: no {split} pairs found. Looked for:\n  \
         {split}_img/ + {split}_label/, {split}/img/ + {split}/label/, {split}/ + {split}_label/, img/ + label/: photos \
         and index PNGs of the same stem\n  \
         {split}/*.jpg or *.jpg: pictures twice as wide as high, photo left and labels in class colours right\n  \
         cmp_*.jpg + cmp_*.png, also in base/ and extended/: the CMP Facade Database as published\n  \
         *.jpg + *.png or *_label.png of the same stem in one folder\n  \
         images/ + annotations/ (ADE20K), leftImg8bit/ + gtFine/ (Cityscapes), train_img/ + train_label/ + train_inst/ \
         (COCO-Stuff), CelebA-HQ-img/ + CelebAMask-HQ-mask-anno/ (CelebAMask-HQ), train_img/ + cihp_train_mask/ \
         (DeepFashion): official layouts\n\
         Found: {seen}",
        dir.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::{find, is_held_out};
    use crate::data::cmp::tests::write_indexed;
    use crate::data::{Dataset, OpenOptions, Sample, Split, open};
    use crate::label::{Class, ClassTable, LabelMap};
    use image::{Rgb, RgbImage};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use Split::{Train, Val};

    fn table() -> ClassTable {
        let class = |(id, name, color): (u16, &str, [u8; 3])| Class { id, name: name.into(), color, dont_care: false };
        let classes = [(0, "sky", [10, 20, 250]), (1, "land", [30, 200, 10]), (2, "road", [128, 128, 128])];
        ClassTable::new(classes.map(class).to_vec()).unwrap()
    }

    /// Three stripes of classes, which depend on `salt`.
    fn stripes(width: usize, height: usize, salt: usize) -> LabelMap {
        let ids = (0..width * height).map(|i| ((i % width * 3 / width + salt) % 3) as u16).collect();
        LabelMap::new(width, height, ids).unwrap()
    }

    fn with(classes: Option<&ClassTable>) -> OpenOptions {
        OpenOptions { classes: classes.cloned(), ..OpenOptions::default() }
    }

    fn folder(path: PathBuf) -> PathBuf {
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes photos whose red channel encodes the stem, and their labels.
    fn write_pairs(photos: &Path, labels: &Path, stems: impl IntoIterator<Item = usize>, extension: &str) {
        for stem in stems {
            let image = RgbImage::from_pixel(12, 8, Rgb([stem as u8, 0, 0]));
            image.save(photos.join(format!("{stem}.{extension}"))).unwrap();
            stripes(12, 8, stem).save(labels.join(format!("{stem}.png")), &table()).unwrap();
        }
    }

    /// A pix2pix picture of 96 by 48 pixels.
    fn write_double(path: &Path, salt: usize, classes: &ClassTable) {
        let labels = stripes(48, 48, salt).to_rgb(classes);
        let picture = RgbImage::from_fn(96, 48, |x, y| match x {
            0..48 => Rgb([200, 100, 50]),
            _ => *labels.as_rgb().get_pixel(x - 48, y),
        });
        picture.save(path).unwrap();
    }

    fn names(set: &dyn Dataset) -> Vec<String> {
        (0..set.len()).map(|i| set.get(i).unwrap().name).collect()
    }

    fn error(dir: &Path, split: Split, classes: Option<&ClassTable>) -> String {
        find(dir, split, &with(classes)).map(|found| found.describe()).unwrap_err().to_string()
    }

    #[test]
    fn folders_in_all_layouts() {
        let layouts = [("train_img", "train_label"), ("train/img", "train/label"), ("train", "train_label")];
        for (photos, labels) in layouts {
            let dir = tempfile::tempdir().unwrap();
            let (photos, labels) = (folder(dir.path().join(photos)), folder(dir.path().join(labels)));
            write_pairs(&photos, &labels, [10, 2, 1], "PNG");
            fs::write(photos.join(".hidden.png"), "").unwrap();
            fs::write(photos.join("notes.txt"), "").unwrap();
            table().save(dir.path().join("classes.ron")).unwrap();
            let set = open(dir.path(), Train, &with(None)).unwrap();
            assert_eq!(names(&*set), ["1", "2"]);
            assert_eq!(set.classes(), &table());
            let val = open(dir.path(), Val, &with(None)).unwrap();
            assert_eq!(names(&*val), ["10"]);
            let Sample { image, labels, .. } = val.get(0).unwrap();
            assert_eq!(image.get_pixel(11, 7), &Rgb([10, 0, 0]));
            assert_eq!(labels, stripes(12, 8, 10));
            let line = set.describe();
            assert!(line.starts_with("folder form") && line.ends_with("2 pairs to train on, 3 classes"), "{line}");
            assert!(set.get(2).unwrap_err().to_string().contains("sample 2 of 2"));
        }
    }

    #[test]
    fn without_splits_every_tenth_pair_is_held_out() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, labels) = (folder(dir.path().join("img")), folder(dir.path().join("label")));
        write_pairs(&photos, &labels, 1..=23, "jpeg");
        let table = table();
        let val = open(dir.path(), Val, &with(Some(&table))).unwrap();
        assert_eq!(names(&*val), ["10", "20"]);
        assert!(val.describe().contains("every 10th pair held out"), "{}", val.describe());
        let train = open(dir.path(), Train, &with(Some(&table))).unwrap();
        assert_eq!(train.len(), 21);
        assert!(names(&*train).iter().all(|name| !names(&*val).contains(name)));
    }

    #[test]
    fn held_out_pairs_of_any_count_are_few_but_not_none() {
        for count in 2..200 {
            let held_out = (0..count).filter(|&i| is_held_out(i, count)).count();
            assert_eq!(held_out, (count / 10).max(1));
        }
        assert!(!is_held_out(0, 1));
    }

    #[test]
    fn the_callers_classes_go_before_those_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, labels) = (folder(dir.path().join("img")), folder(dir.path().join("label")));
        write_pairs(&photos, &labels, 1..=2, "png");
        let message = error(dir.path(), Train, None);
        assert!(message.contains("classes.json") && message.contains("class table"), "{message}");
        let cmp = ClassTable::cmp_facades();
        assert_eq!(find(dir.path(), Train, &with(Some(&cmp))).unwrap().classes(), &cmp);
        table().save(dir.path().join("classes.gpl")).unwrap();
        assert_eq!(find(dir.path(), Train, &with(None)).unwrap().classes().len(), 3);
        assert_eq!(find(dir.path(), Train, &with(Some(&cmp))).unwrap().classes(), &cmp);
        fs::write(dir.path().join("classes.json"), "{").unwrap();
        assert!(error(dir.path(), Train, None).contains("classes.json"), "malformed tables are not passed over");
    }

    #[test]
    fn misfits_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, labels) = (folder(dir.path().join("train")), folder(dir.path().join("train_label")));
        write_pairs(&photos, &labels, 1..=30, "png");
        for stem in 1..=3 {
            fs::remove_file(labels.join(format!("{stem}.png"))).unwrap();
        }
        fs::remove_file(photos.join("4.png")).unwrap();
        RgbImage::new(9, 8).save(photos.join("5.png")).unwrap();
        fs::write(photos.join("6.png"), "rubbish").unwrap();
        let message = error(dir.path(), Train, Some(&table()));
        let parts = [
            "6 files do not fit",
            "train/1.png has no label",
            "train_label/4.png has no photo",
            "train/5.png is 9x8, train_label/5.png is 12x8",
            "6.png is neither a JPEG nor a PNG",
        ];
        for part in parts {
            assert!(message.contains(part), "{part}: {message}");
        }
        for stem in 7..=17 {
            fs::remove_file(labels.join(format!("{stem}.png"))).unwrap();
        }
        let message = error(dir.path(), Train, Some(&table()));
        assert!(message.contains("17 files") && message.contains("and 7 more"), "{message}");
    }

    #[test]
    fn opening_decodes_no_pixels() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, labels) = (folder(dir.path().join("train")), folder(dir.path().join("train_label")));
        write_pairs(&photos, &labels, 1..=2, "png");
        let whole = fs::read(photos.join("2.png")).unwrap();
        fs::write(photos.join("2.png"), &whole[..40]).unwrap();
        let [set, val] = [Train, Val].map(|split| find(dir.path(), split, &with(Some(&table()))).unwrap());
        assert!(set.get(0).is_ok() && set.check().is_ok());
        assert!(val.get(0).unwrap_err().to_string().contains("2.png"));
        assert!(val.check().unwrap_err().to_string().contains("2.png"));
    }

    #[test]
    fn pix2pix_pictures_are_cut_in_half() {
        let dir = tempfile::tempdir().unwrap();
        let val = folder(dir.path().join("val"));
        let cmp = ClassTable::cmp_facades();
        write_double(&val.join("2.JPG"), 1, &cmp);
        write_double(&val.join("10.jpeg"), 2, &cmp);
        let set = open(dir.path(), Val, &with(None)).unwrap();
        assert_eq!(names(&*set), ["2", "10"]);
        assert_eq!(set.classes(), &cmp);
        let sample = set.get(1).unwrap();
        assert_eq!(sample.image.dimensions(), (48, 48));
        let off = |p: &Rgb<u8>| p.0.iter().zip([200, 100, 50]).any(|(&a, b)| a.abs_diff(b) > 12);
        assert!(!sample.image.pixels().take(40).any(off));
        let wrong = sample.labels.ids().zip(stripes(48, 48, 2).ids()).filter(|(a, b)| a != b).count();
        assert!(wrong < 48 * 48 / 20, "{wrong}");
        assert!(set.describe().starts_with("pix2pix form"), "{}", set.describe());

        // The same pictures without a folder for each split.
        let flat = open(&val, Val, &with(None)).unwrap();
        assert_eq!(names(&*flat), ["10"]);
        assert_eq!(names(&*open(&val, Train, &with(None)).unwrap()), ["2"]);
        // Other colours with another class table.
        let other = tempfile::tempdir().unwrap();
        table().save(other.path().join("classes.json")).unwrap();
        write_double(&folder(other.path().join("train")).join("1.jpg"), 0, &table());
        let set = open(other.path(), Train, &with(None)).unwrap();
        assert_eq!(set.classes().len(), 3);
        let found: BTreeSet<_> = set.get(0).unwrap().labels.ids().collect();
        assert_eq!(found, BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn cleaned_labels_go_before_the_right_half() {
        let dir = tempfile::tempdir().unwrap();
        let (photos, labels) = (folder(dir.path().join("train")), folder(dir.path().join("train_label")));
        let cmp = ClassTable::cmp_facades();
        for stem in 1..=3 {
            write_double(&photos.join(format!("{stem}.jpg")), stem, &cmp);
            stripes(48, 48, stem + 1).save(labels.join(format!("{stem}.png")), &cmp).unwrap();
        }
        let set = find(dir.path(), Train, &with(None)).unwrap();
        assert!(set.describe().contains("cleaned labels from train_label/"), "{}", set.describe());
        let sample = set.get(0).unwrap();
        assert_eq!((sample.image.dimensions(), &sample.labels), ((48, 48), &stripes(48, 48, 2)));

        stripes(40, 48, 0).save(labels.join("2.png"), &cmp).unwrap();
        fs::remove_file(labels.join("3.png")).unwrap();
        let message = error(dir.path(), Train, None);
        assert!(message.contains("train/2.jpg is 96x48, train_label/2.png is 40x48"), "{message}");
        assert!(message.contains("train/3.jpg has no label") && message.contains("2 files"), "{message}");
    }

    #[test]
    fn plain_photos_without_labels_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        let train = folder(dir.path().join("train"));
        write_double(&train.join("1.jpg"), 0, &ClassTable::cmp_facades());
        RgbImage::new(40, 30).save(train.join("2.jpg")).unwrap();
        let message = error(dir.path(), Train, None);
        let parts = ["1 file does", "train/2.jpg is 40x30", "twice as wide as high", "train_label"];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }

    #[test]
    fn the_original_cmp_form_counts_from_one() {
        let dir = tempfile::tempdir().unwrap();
        let (base, extended) = (folder(dir.path().join("base")), folder(dir.path().join("extended")));
        let values: Vec<u8> = (0..16).map(|i| i % 13).collect();
        for (folder, letter, count) in [(&base, 'b', 12), (&extended, 'x', 8)] {
            for i in 1..=count {
                let stem = folder.join(format!("cmp_{letter}{i:04}"));
                RgbImage::new(4, 4).save(stem.with_extension("jpg")).unwrap();
                write_indexed(&stem.with_extension("png"), 4, 4, png::BitDepth::Eight, &values);
                fs::write(stem.with_extension("xml"), "").unwrap();
            }
        }
        let val = open(dir.path(), Val, &with(None)).unwrap();
        assert_eq!(names(&*val), ["cmp_b0010", "cmp_x0008"]);
        assert_eq!(open(dir.path(), Train, &with(Some(&table()))).unwrap().len(), 18);
        assert_eq!(val.classes(), &ClassTable::cmp_facades());
        let ids: Vec<_> = val.get(0).unwrap().labels.ids().collect();
        assert_eq!(ids, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 1]);
        assert!(val.describe().starts_with("original CMP form"), "{}", val.describe());
        assert_eq!(open(&base, Train, &with(None)).unwrap().len(), 11);

        fs::remove_file(base.join("cmp_b0003.png")).unwrap();
        assert!(error(dir.path(), Val, None).contains("base/cmp_b0003.jpg has no label"));
    }

    #[test]
    fn what_is_no_data_set_is_described() {
        let dir = tempfile::tempdir().unwrap();
        assert!(error(dir.path(), Train, None).contains("Found: nothing"));
        folder(dir.path().join("img"));
        folder(dir.path().join("masks"));
        RgbImage::new(4, 3).save(dir.path().join("a.JPG")).unwrap();
        fs::write(dir.path().join("b.txt"), "").unwrap();
        let message = error(dir.path(), Train, None);
        assert!(message.contains("no train pairs") && message.contains("train_img/ + train_label/"), "{message}");
        assert!(message.contains("Found: img/, masks/, 1 file .jpg, 1 file .txt"), "{message}");
        assert!(error(&dir.path().join("none"), Train, None).contains("is not a folder"));
        assert!(error(&dir.path().join("b.txt"), Train, None).contains("is not a folder"));
        folder(dir.path().join("label"));
        assert!(error(dir.path(), Train, None).contains("there are no pairs"));
    }

    fn shared(name: &str) -> Option<PathBuf> {
        let folder = std::env::var_os("SEMSYNTH_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
        let dir = folder.join("data").join(name);
        if !dir.is_dir() {
            eprintln!("skipped: no data set {}", dir.display());
            return None;
        }
        Some(dir)
    }

    fn check_shared(name: &str, classes: Option<&ClassTable>, train: usize, val: usize, form: &str) {
        let Some(dir) = shared(name) else { return };
        for (split, count) in [(Train, train), (Val, val)] {
            if count == 0 {
                assert!(find(&dir, split, &with(classes)).is_err());
                continue;
            }
            let set = open(&dir, split, &with(classes)).unwrap();
            eprintln!("{}", set.describe());
            assert_eq!(set.len(), count);
            assert!(set.describe().contains(form), "{}", set.describe());
            for index in [0, count / 2, count - 1] {
                let Sample { image, labels, .. } = set.get(index).unwrap();
                assert_eq!(image.dimensions(), (labels.width() as u32, labels.height() as u32));
                assert!(labels.ids().all(|id| set.classes().get(id).is_some()));
            }
        }
    }

    #[test]
    fn opens_the_facades() {
        check_shared("facades", None, 400, 100, "cleaned labels from");
    }

    #[test]
    fn opens_camvid() {
        check_shared("camvid", None, 367, 101, "folder form");
    }

    #[test]
    fn opens_dubai() {
        check_shared("dubai", None, 57, 6, "every 10th pair held out");
    }

    #[test]
    fn opens_coco_stuff_with_a_table_of_the_caller() {
        let class = |id: u16| Class {
            id,
            name: format!("class {id}"),
            color: [id as u8, (id >> 8) as u8, 7],
            dont_care: id == 255,
        };
        let classes = ClassTable::new((0..256).map(class).collect()).unwrap();
        check_shared("coco_stuff", Some(&classes), 0, 8, "val_img/ + val_label/");
    }
}
