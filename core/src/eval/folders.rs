//! Pictures and photos in two folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;

use super::{Item, LISTED, Source};
use crate::data::{natural_order, pictures_in};
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap, ReadOptions};
use crate::picture::Image;

/// Pictures and their photos, in two folders, paired by file names without extension.
#[derive(Debug)]
pub struct Folders {
    pictures: PathBuf,
    truth: PathBuf,
    pairs: Vec<(String, PathBuf, PathBuf)>,
    labels: Option<Labels>,
}

/// The label maps of the photos.
#[derive(Debug)]
struct Labels {
    files: BTreeMap<String, PathBuf>,
    classes: ClassTable,
    options: ReadOptions,
}

impl Folders {
    /// Pairs the pictures of a folder with the photos of another one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if one is empty, or listing the files that have no
    /// partner or share their name with another.
    pub fn open(pictures: &Path, truth: &Path) -> Result<Self> {
        let mut problems = Vec::new();
        let of_pictures = by_stem(pictures, &mut problems)?;
        let mut of_truth = by_stem(truth, &mut problems)?;
        let mut pairs = Vec::new();
        for (stem, picture) in of_pictures {
            match of_truth.remove(&stem) {
                Some(photo) => pairs.push((stem, picture, photo)),
                None => problems.push(format!("{} has no photo in {}", picture.display(), truth.display())),
            }
        }
        for photo in of_truth.values() {
            problems.push(format!("{} has no picture in {}", photo.display(), pictures.display()));
        }
        fits(&problems, "Pairs have one name, whatever their extension. Take out what has no partner")?;
        pairs.sort_by(|(a, ..), (b, ..)| natural_order(a, b));
        Ok(Self { pictures: pictures.into(), truth: truth.into(), pairs, labels: None })
    }

    /// Adds the label maps of the photos, with the same names, for segmentation scores.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder cannot be read; [`Error::Data`] listing the photos without a label map.
    pub fn labels(mut self, folder: &Path, classes: ClassTable, options: ReadOptions) -> Result<Self> {
        let mut problems = Vec::new();
        let files = by_stem(folder, &mut problems)?;
        for (stem, _, photo) in &self.pairs {
            if !files.contains_key(stem) {
                problems.push(format!("{} has no label map in {}", photo.display(), folder.display()));
            }
        }
        fits(&problems, "Label maps have the names of the photos")?;
        self.labels = Some(Labels { files, classes, options });
        Ok(self)
    }
}

impl Source for Folders {
    fn describe(&self) -> String {
        format!("{} and {}", self.pictures.display(), self.truth.display())
    }

    fn classes(&self) -> Option<&ClassTable> {
        self.labels.as_ref().map(|labels| &labels.classes)
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn fingerprint(&self) -> u64 {
        // The pictures speak for themselves.
        0
    }

    fn load(&self, index: usize) -> Result<Item> {
        let Some((name, picture, truth)) = self.pairs.get(index) else {
            return Err(Error::Argument(format!("there are {} pairs, none with number {index}", self.pairs.len())));
        };
        let (made, photo) = (Image::open(picture)?.into_rgb(), Image::open(truth)?.into_rgb());
        if made.dimensions() != photo.dimensions() {
            let ((w, h), (pw, ph)) = (made.dimensions(), photo.dimensions());
            return Err(Error::Data(format!(
                "{} is {w}x{h}, its photo {} is {pw}x{ph}: resize the photo to the size of the picture",
                picture.display(),
                truth.display()
            )));
        }
        let labels = match &self.labels {
            None => None,
            Some(Labels { files, classes, options }) => {
                let path = files.get(name).ok_or_else(|| Error::Data(format!("{name} has no label map")))?;
                let map =
                    LabelMap::read(path, classes, *options)?.map().map_err(|error| error.context(path.display()))?;
                if (map.width() as u32, map.height() as u32) != photo.dimensions() {
                    let (w, h) = photo.dimensions();
                    return Err(Error::Data(format!(
                        "{} is {}x{}, its photo is {w}x{h}: resize the label map to the size of the photo, without \
                         smoothing",
                        path.display(),
                        map.width(),
                        map.height()
                    )));
                }
                Some(map)
            }
        };
        Ok(Item { name: name.clone(), photo, labels, picture: Some(made) })
    }

    fn paint(&mut self, _index: usize, item: &Item) -> Result<RgbImage> {
        Err(Error::Argument(format!("{} has no picture, and there is no model to paint one", item.name)))
    }
}

/// The pictures of a folder by their names without extension.
fn by_stem(folder: &Path, problems: &mut Vec<String>) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::<String, PathBuf>::new();
    for (stem, path) in pictures_in(folder)? {
        if let Some(other) = files.get(&stem) {
            problems.push(format!("{} and {} have the same name", other.display(), path.display()));
        } else {
            files.insert(stem, path);
        }
    }
    if files.is_empty() {
        return Err(Error::Data(format!("{}: there is no .png or .jpg in this folder", folder.display())));
    }
    Ok(files)
}

fn fits(problems: &[String], advice: &str) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let count = problems.len();
    let more = if count > LISTED { format!("\n  and {} more", count - LISTED) } else { String::new() };
    let lines = problems[..count.min(LISTED)].join("\n  ") + &more;
    let files = if count == 1 { "file does" } else { "files do" };
    Err(Error::Data(format!("{count} {files} not fit:\n  {lines}\n{advice}")))
}
