//! Data sets in the folders in which their authors publish them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coding::Coding;
use super::disk::{Labels, Pair};
use super::forms::{Found, attach_instances, check_equal, class_table, in_dir, label_pngs, only};
use super::listing::{Kind, Picture, natural_order, pictures};
use super::pairing::{Kind as Trouble, Match, Problems, by_stem, match_up, short};
use super::{OpenOptions, Split, parts};
use crate::error::{Error, Result};
use crate::label::ClassTable;

/// Looks for one of the official layouts.
pub(super) fn find(dir: &Path, split: Split, options: &OpenOptions) -> Result<Option<Found>> {
    if dir.join("images/training").is_dir() && dir.join("annotations/training").is_dir() {
        return ade20k(dir, split, options).map(Some);
    }
    if dir.join("leftImg8bit/train").is_dir() && dir.join("gtFine/train").is_dir() {
        return cityscapes(dir, split, options).map(Some);
    }
    let (photos, masks) = (dir.join("CelebA-HQ-img"), dir.join("CelebAMask-HQ-mask-anno"));
    if photos.is_dir() && masks.is_dir() {
        return celebamask(dir, options, &photos, &masks).map(Some);
    }
    if dir.join("cihp_train_mask").is_dir() {
        return deep_fashion(dir, split, options).map(Some);
    }
    Ok(None)
}

/// The classes of a set: those that were given, or the built-in table. The second value says whether label maps are read
/// with the coding of the set, which belongs to the built-in table.
fn classes_of(dir: &Path, options: &OpenOptions, name: &str) -> (Result<ClassTable>, bool) {
    let own = ClassTable::shipped(name);
    match class_table(dir, options) {
        Ok(None) => (own, true),
        Ok(Some(given)) => {
            let coded = own.is_ok_and(|own| own == given);
            (Ok(given), coded)
        }
        Err(error) => (Err(error), true),
    }
}

/// Pairs whose label maps are read with a coding, or as the ids of the given table.
fn pairs_of(matches: Vec<Match>, coding: Option<Coding>) -> Vec<Pair> {
    let coding = coding.map(Arc::new);
    let labels = |path: PathBuf| match &coding {
        Some(coding) => Labels::Coded(path, Arc::clone(coding)),
        None => Labels::Index(path),
    };
    matches.into_iter().map(|m| Pair::new(m.stem, m.photo, labels(m.label))).collect()
}

/// The file that chooses the pairs of ADE20K-outdoor.
const LIST: &str = "outdoor.txt";

/// `images/training/*.jpg` and `annotations/training/*.png` of the scene parsing challenge (Zhou et al., "Scene Parsing
/// through ADE20K Dataset", 2017). With a list beside them, only the pairs that it names.
fn ade20k(dir: &Path, split: Split, options: &OpenOptions) -> Result<Found> {
    let hold_out = !(dir.join("images/validation").is_dir() && dir.join("annotations/validation").is_dir());
    let part = if split == Split::Val && !hold_out { "validation" } else { "training" };
    let (photos, labels) = (dir.join("images").join(part), dir.join("annotations").join(part));
    let mut problems = Problems::default();
    let (mut found, mut maps) = (pictures(&photos)?, label_pngs(&labels, &mut problems)?);
    let mut name = "ADE20K";
    if dir.join(LIST).is_file() {
        name = "ADE20K-outdoor";
        let listed = listed(&dir.join(LIST))?;
        let mut missing = listed.clone();
        for folder in [dir.join("images/training"), dir.join("images/validation")] {
            if folder.is_dir() {
                for picture in pictures(&folder)? {
                    missing.remove(&picture.stem);
                }
            }
        }
        for stem in missing {
            let text = format!("{LIST} names {stem}, which is not in images/");
            problems.add(Trouble::Pairs, text, "add the photo and its label map, or take the line out of the list");
        }
        found.retain(|picture| listed.contains(&picture.stem));
        maps.retain(|picture| listed.contains(&picture.stem));
    }
    let matches = match_up(found, maps, &mut problems);
    check_equal(&matches, &mut problems);
    let (classes, coded) = classes_of(dir, options, "ade20k-shifted");
    let coding = if coded { Some(Coding::ade20k(&ClassTable::shipped("ade20k-shifted")?)?) } else { None };
    Ok(Found {
        form: format!("{name} in {}, {} + {}", dir.display(), in_dir(dir, &photos), in_dir(dir, &labels)),
        pairs: pairs_of(matches, coding),
        hold_out,
        classes,
        problems,
        folder: dir.to_path_buf(),
        advice: format!(
            "Each photo in images/{part}/ needs a PNG of the same stem and size in annotations/{part}/, with values 0 \
             (unlabelled) to 150"
        ),
    })
}

/// The first word of each line of a list, without folders and extension. Lines that begin with `#` are remarks.
fn listed(path: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    let stem = |line: &str| -> Option<String> {
        let word = line.split_whitespace().next().filter(|word| !word.starts_with('#'))?;
        let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
        let stem = [".jpg", ".png", ".jpeg"].iter().find_map(|end| name.strip_suffix(end));
        Some(stem.unwrap_or(name).to_owned())
    };
    let stems: BTreeSet<String> = text.lines().filter_map(stem).collect();
    if stems.is_empty() {
        return Err(Error::Data(format!(
            "{}: the list is empty; write one name of a photo on each line, or remove the file to use all photos",
            path.display()
        )));
    }
    Ok(stems)
}

/// `leftImg8bit/train/CITY/*_leftImg8bit.png`, `gtFine/train/CITY/*_gtFine_labelIds.png` and `*_gtFine_instanceIds.png`
/// (Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", 2016).
fn cityscapes(dir: &Path, split: Split, options: &OpenOptions) -> Result<Found> {
    let hold_out = !(dir.join("leftImg8bit/val").is_dir() && dir.join("gtFine/val").is_dir());
    let part = if split == Split::Val && !hold_out { "val" } else { "train" };
    let (photos, labels) = (dir.join("leftImg8bit").join(part), dir.join("gtFine").join(part));
    let mut problems = Problems::default();
    let found = of_cities(&photos, "_leftImg8bit")?;
    let maps = only(of_cities(&labels, "_gtFine_labelIds")?, Kind::Png);
    let matches = match_up(found, maps, &mut problems);
    check_equal(&matches, &mut problems);
    let (classes, coded) = classes_of(dir, options, "cityscapes");
    let coding = if coded { Some(Coding::cityscapes(&ClassTable::shipped("cityscapes")?)?) } else { None };
    let mut pairs = pairs_of(matches, coding);
    let instances = of_cities(&labels, "_gtFine_instanceIds")?;
    if !instances.is_empty() {
        attach_instances(&mut pairs, only(instances, Kind::Png), &mut problems);
    }
    Ok(Found {
        form: format!("Cityscapes in {}, {} + {}", dir.display(), in_dir(dir, &photos), in_dir(dir, &labels)),
        pairs,
        hold_out,
        classes,
        problems,
        folder: dir.to_path_buf(),
        advice: format!(
            "Each leftImg8bit/{part}/CITY/NAME_leftImg8bit.png needs gtFine/{part}/CITY/NAME_gtFine_labelIds.png of the \
             same size"
        ),
    })
}

/// The pictures in the folders of all cities whose stem has this end, which is cut off.
fn of_cities(folder: &Path, end: &str) -> Result<Vec<Picture>> {
    let mut found = Vec::new();
    for city in subfolders(folder)? {
        let cut = |picture: Picture| {
            let stem = picture.stem.strip_suffix(end)?.to_owned();
            Some(Picture { stem, ..picture })
        };
        found.extend(pictures(&city)?.into_iter().filter_map(cut));
    }
    Ok(found)
}

/// The visible folders in a folder, in natural order.
fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') {
            found.push((name, path));
        }
    }
    found.sort_by(|(a, _), (b, _)| natural_order(a, b));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// `CelebA-HQ-img/N.jpg` and `CelebAMask-HQ-mask-anno/K/NNNNN_part.png` (Lee et al. 2020). Photos have twice the sides of
/// the masks, and are reduced to them.
fn celebamask(dir: &Path, options: &OpenOptions, photos: &Path, masks: &Path) -> Result<Found> {
    let mut problems = Problems::default();
    let mut of_photo = BTreeMap::<String, BTreeMap<u16, PathBuf>>::new();
    for folder in subfolders(masks)?.into_iter().chain([masks.to_path_buf()]) {
        for picture in pictures(&folder)? {
            let Some((number, class)) = parts::number_and_part(&picture.stem) else {
                let text = format!("{} is no mask of a known part", short(&picture.path));
                let known = parts::CELEBA.join(", ");
                problems.add(Trouble::Pairs, text, format!("masks are called NNNNN_PART.png; the parts are {known}"));
                continue;
            };
            let parts = of_photo.entry(number.to_owned()).or_default();
            if let Some(other) = parts.insert(class, picture.path.clone()) {
                let text = format!("{} and {} are the same part", short(&other), short(&picture.path));
                problems.add(Trouble::Pairs, text, "keep one of them");
            }
        }
    }
    let mut pairs = Vec::new();
    for (stem, photo) in by_stem(pictures(photos)?, &mut problems) {
        match of_photo.remove(&stem) {
            Some(parts) => {
                let labels = Labels::Parts(parts.into_iter().collect());
                pairs.push(Pair { reduce: true, ..Pair::new(stem, photo, labels) });
            }
            None => {
                let text = format!("{} has no masks", short(&photo));
                problems.add(Trouble::Pairs, text, "add the masks of its parts, or take the photo out");
            }
        }
    }
    for path in of_photo.values().filter_map(|parts| parts.values().next()) {
        let text = format!("{} has no photo", short(path));
        problems.add(Trouble::Pairs, text, "add the photo of this number, or take its masks out");
    }
    pairs.sort_by(|a, b| natural_order(&a.name, &b.name));
    Ok(Found {
        form: format!("CelebAMask-HQ in {}", dir.display()),
        pairs,
        hold_out: true,
        classes: classes_of(dir, options, "celebamask-hq").0,
        problems,
        folder: dir.to_path_buf(),
        advice: "Each CelebA-HQ-img/N.jpg needs masks CelebAMask-HQ-mask-anno/K/NNNNN_PART.png, N with five digits"
            .into(),
    })
}

/// `train_img/` (or `train/`) and `cihp_train_mask/`, the same with `test` (or `val`) to validate on.
fn deep_fashion(dir: &Path, split: Split, options: &OpenOptions) -> Result<Found> {
    let val = ["test", "val"].into_iter().find(|name| dir.join(format!("cihp_{name}_mask")).is_dir());
    let part = if split == Split::Val { val.unwrap_or("train") } else { "train" };
    let labels = dir.join(format!("cihp_{part}_mask"));
    let folders = [format!("{part}_img"), format!("{part}_image"), part.to_owned()].map(|name| dir.join(name));
    let photos = folders.iter().find(|folder| folder.is_dir()).ok_or_else(|| {
        let (dir, labels) = (dir.display(), in_dir(dir, &labels));
        Error::Data(format!("{dir}: the photos of {labels} are missing; put them into {part}_img/"))
    })?;
    let mut problems = Problems::default();
    let matches = match_up(pictures(photos)?, label_pngs(&labels, &mut problems)?, &mut problems);
    check_equal(&matches, &mut problems);
    let (classes, coded) = classes_of(dir, options, "cihp");
    let coding = if coded { Some(Coding::ids(ClassTable::shipped("cihp")?)) } else { None };
    Ok(Found {
        form: format!("DeepFashion in {}, {} + {}", dir.display(), in_dir(dir, photos), in_dir(dir, &labels)),
        pairs: pairs_of(matches, coding),
        hold_out: val.is_none(),
        classes,
        problems,
        folder: dir.to_path_buf(),
        advice: format!("Each photo needs a PNG of the same stem and size in {}", in_dir(dir, &labels)),
    })
}
