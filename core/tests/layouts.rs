//! Data sets in the layouts in which they are published, whole and with every kind of damage. All trees are made here.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::shared;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use semsynth::Error;
use semsynth::data::{Check, OpenOptions, Sample, Severity, Split, check, open};
use semsynth::label::ClassTable;

use Split::{Train, Val};

const BOTH: [Split; 2] = [Train, Val];

fn parent(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

fn photo(path: PathBuf, width: u32, height: u32) {
    let path = parent(path);
    RgbImage::from_fn(width, height, |x, y| Rgb([(9 * x) as u8, (7 * y) as u8, 90])).save(path).unwrap();
}

/// A grey PNG with these values, in columns.
fn grey(path: PathBuf, width: u32, height: u32, values: &[u8]) {
    let of = |x: u32| values[x as usize * values.len() / width as usize];
    GrayImage::from_fn(width, height, |x, _| Luma([of(x)])).save(parent(path)).unwrap();
}

fn grey16(path: PathBuf, width: u32, height: u32, values: &[u16]) {
    let of = |x: u32| values[x as usize * values.len() / width as usize];
    let picture: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(width, height, |x, _| Luma([of(x)]));
    picture.save(parent(path)).unwrap();
}

fn plain() -> OpenOptions {
    OpenOptions::default()
}

fn with(name: &str) -> OpenOptions {
    OpenOptions { classes: Some(ClassTable::shipped(name).unwrap()), ..OpenOptions::default() }
}

fn samples(dir: &Path, split: Split) -> Vec<Sample> {
    let set = open(dir, split, &plain()).unwrap();
    set.check().unwrap();
    (0..set.len()).map(|index| set.get(index).unwrap()).collect()
}

fn names(samples: &[Sample]) -> Vec<&str> {
    samples.iter().map(|sample| sample.name.as_str()).collect()
}

fn ids(sample: &Sample) -> BTreeSet<u16> {
    sample.labels.ids().collect()
}

fn open_error(dir: &Path) -> String {
    open(dir, Train, &plain()).map(|set| set.describe()).unwrap_err().to_string()
}

/// Checks that there is a finding with these words, and that `open` refuses what blocks.
fn finds(check: &Check, severity: Severity, words: &[&str]) {
    let has = |text: &str| words.iter().all(|word| text.contains(word));
    let found = check.findings.iter().find(|f| f.severity == severity && has(&format!("{} {}", f.problem, f.advice)));
    assert!(found.is_some(), "{words:?} is not in:\n{check}");
    assert!(!found.unwrap().advice.is_empty() || found.unwrap().problem.contains(';'), "no advice: {found:?}");
}

fn ade20k(dir: &Path) {
    for (folder, stem, values) in [
        ("training", "ADE_train_00000001", [0, 1, 150]),
        ("training", "ADE_train_00000002", [2, 3, 4]),
        ("validation", "ADE_val_00000001", [0, 5, 5]),
    ] {
        photo(dir.join(format!("images/{folder}/{stem}.jpg")), 30, 20);
        grey(dir.join(format!("annotations/{folder}/{stem}.png")), 30, 20, &values);
    }
}

#[test]
fn ade20k_as_published() {
    let dir = tempfile::tempdir().unwrap();
    ade20k(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!(names(&train), ["ADE_train_00000001", "ADE_train_00000002"]);
    assert_eq!(ids(&train[0]), BTreeSet::from([150, 0, 149]));
    assert_eq!(ids(&train[1]), BTreeSet::from([1, 2, 3]));
    assert!(train[0].instances.is_none());
    assert_eq!(names(&samples(dir.path(), Val)), ["ADE_val_00000001"]);
    let set = open(dir.path(), Train, &plain()).unwrap();
    assert_eq!(set.classes(), &ClassTable::shipped("ade20k-shifted").unwrap());
    assert!(set.describe().starts_with("ADE20K in"), "{}", set.describe());
    // The table of stored values reads what is stored.
    let stored = open(dir.path(), Train, &with("ade20k")).unwrap().get(0).unwrap();
    assert_eq!(ids(&stored), BTreeSet::from([0, 1, 150]));

    grey(dir.path().join("annotations/training/ADE_train_00000002.png"), 30, 20, &[151, 200]);
    let found = check(dir.path(), &BOTH, &plain()).unwrap();
    finds(&found, Severity::Error, &["ADE_train_00000002.png", "without a class", "151"]);
    assert_eq!(found.splits, [(Train, 2, 1), (Val, 1, 1)]);
}

#[test]
fn ade20k_outdoor_is_a_list() {
    let dir = tempfile::tempdir().unwrap();
    ade20k(dir.path());
    let list = dir.path().join("outdoor.txt");
    fs::write(&list, "# outdoor scenes\nADE_train_00000002 street\nimages/validation/ADE_val_00000001.jpg\n").unwrap();
    assert_eq!(names(&samples(dir.path(), Train)), ["ADE_train_00000002"]);
    assert_eq!(names(&samples(dir.path(), Val)), ["ADE_val_00000001"]);
    assert!(open(dir.path(), Train, &plain()).unwrap().describe().starts_with("ADE20K-outdoor"));
    fs::write(&list, "ADE_train_00000002\nADE_train_00000009\n").unwrap();
    assert!(open_error(dir.path()).contains("outdoor.txt names ADE_train_00000009"), "{}", open_error(dir.path()));
    fs::write(&list, "# nothing\n").unwrap();
    assert!(open_error(dir.path()).contains("the list is empty"));
}

fn cityscapes(dir: &Path) {
    for (split, city, number, values) in
        [("train", "aachen", 1, [7, 26, 255]), ("train", "bochum", 2, [0, 7, 33]), ("val", "lindau", 3, [7, 11, 23])]
    {
        let name = format!("{city}_00000{number}_000019");
        photo(dir.join(format!("leftImg8bit/{split}/{city}/{name}_leftImg8bit.png")), 24, 12);
        let labels = dir.join(format!("gtFine/{split}/{city}/{name}"));
        grey(PathBuf::from(format!("{}_gtFine_labelIds.png", labels.display())), 24, 12, &values);
        grey(PathBuf::from(format!("{}_gtFine_labelTrainIds.png", labels.display())), 24, 12, &[0, 1, 255]);
        let instances = [7, 26000, 26001, 300];
        grey16(PathBuf::from(format!("{}_gtFine_instanceIds.png", labels.display())), 24, 12, &instances);
    }
}

#[test]
fn cityscapes_as_published() {
    let dir = tempfile::tempdir().unwrap();
    cityscapes(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!(names(&train), ["aachen_000001_000019", "bochum_000002_000019"]);
    assert_eq!(ids(&train[0]), BTreeSet::from([7, 26, 34]));
    let instances: BTreeSet<u16> = train[0].instances.as_ref().unwrap().ids().collect();
    assert_eq!(instances, BTreeSet::from([7, 300, 26000, 26001]));
    assert_eq!(names(&samples(dir.path(), Val)), ["lindau_000003_000019"]);
    let set = open(dir.path(), Train, &plain()).unwrap();
    assert!(set.has_instances() && set.describe().contains("with instance maps"), "{}", set.describe());
    assert_eq!(set.classes().channels(), 35);

    // A missing instance map is no error, but then none are used.
    let gone = dir.path().join("gtFine/train/aachen/aachen_000001_000019_gtFine_instanceIds.png");
    fs::remove_file(gone).unwrap();
    let set = open(dir.path(), Train, &plain()).unwrap();
    assert!(!set.has_instances() && set.describe().contains("instance maps not used"), "{}", set.describe());
    assert!((0..2).all(|index| set.get(index).unwrap().instances.is_none()));
    let found = check(dir.path(), &BOTH, &plain()).unwrap();
    finds(&found, Severity::Warning, &["aachen_000001_000019_leftImg8bit.png", "no instance map"]);
    assert!(found.is_usable(), "{found}");

    fs::remove_file(dir.path().join("gtFine/train/bochum/bochum_000002_000019_gtFine_labelIds.png")).unwrap();
    assert!(open_error(dir.path()).contains("bochum_000002_000019_leftImg8bit.png has no label"));
}

fn coco_stuff(dir: &Path) {
    for (split, stem, values) in [
        ("train", "000000000009", [0, 181, 255]),
        ("train", "000000000025", [0, 1, 2]),
        ("val", "000000000139", [5, 5, 90]),
    ] {
        photo(dir.join(format!("{split}_img/{stem}.jpg")), 30, 20);
        grey(dir.join(format!("{split}_label/{stem}.png")), 30, 20, &values);
        grey(dir.join(format!("{split}_inst/{stem}.png")), 30, 20, &[1, 2, 2]);
    }
}

#[test]
fn coco_stuff_as_it_is_prepared() {
    let dir = tempfile::tempdir().unwrap();
    coco_stuff(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!(ids(&train[0]), BTreeSet::from([0, 181, 182]));
    let instances: BTreeSet<u16> = train[0].instances.as_ref().unwrap().ids().collect();
    assert_eq!(instances, BTreeSet::from([1, 2]));
    let set = open(dir.path(), Val, &plain()).unwrap();
    assert_eq!(set.classes(), &ClassTable::shipped("coco-stuff").unwrap());
    assert!(set.describe().starts_with("COCO-Stuff"), "{}", set.describe());

    grey(dir.path().join("train_inst/000000000009.png"), 10, 20, &[1, 2]);
    let found = check(dir.path(), &[Train], &plain()).unwrap();
    finds(&found, Severity::Error, &["train_inst/000000000009.png", "10x20", "30x20"]);
}

fn celebamask(dir: &Path) {
    let masks = dir.join("CelebAMask-HQ-mask-anno");
    for (number, folder) in [(0, 0), (1, 0), (2000, 1)] {
        photo(dir.join(format!("CelebA-HQ-img/{number}.jpg")), 32, 32);
        // Skin everywhere, then an eye over it, and hair over a part of the eye.
        grey(masks.join(format!("{folder}/{number:05}_skin.png")), 16, 16, &[255]);
        grey(masks.join(format!("{folder}/{number:05}_l_eye.png")), 16, 16, &[0, 255, 255, 0]);
        grey(masks.join(format!("{folder}/{number:05}_hair.png")), 16, 16, &[0, 0, 255, 0]);
    }
}

#[test]
fn celebamask_as_published() {
    let dir = tempfile::tempdir().unwrap();
    let masks = dir.path().join("CelebAMask-HQ-mask-anno");
    celebamask(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!((names(&train), names(&samples(dir.path(), Val))), (vec!["0", "1"], vec!["2000"]));
    assert_eq!((train[0].image.dimensions(), train[0].labels.width()), ((16, 16), 16));
    let row: Vec<u16> = (0..16).map(|x| train[0].labels.get(x, 5).unwrap()).collect();
    assert_eq!(row, [1, 1, 1, 1, 4, 4, 4, 4, 13, 13, 13, 13, 1, 1, 1, 1]);

    photo(dir.path().join("CelebA-HQ-img/7.jpg"), 32, 32);
    grey(masks.join("0/00001_wing.png"), 16, 16, &[255]);
    grey(masks.join("0/00009_skin.png"), 16, 16, &[255]);
    grey(masks.join("1/02000_nose.png"), 8, 16, &[255]);
    let found = check(dir.path(), &BOTH, &plain()).unwrap();
    finds(&found, Severity::Error, &["CelebA-HQ-img/7.jpg", "no masks"]);
    finds(&found, Severity::Error, &["00001_wing.png", "no mask of a known part", "l_brow"]);
    finds(&found, Severity::Error, &["00009_skin.png", "no photo"]);
    finds(&found, Severity::Error, &["02000_nose.png", "8x16", "16x16"]);
}

fn side_by_side(dir: &Path) {
    for number in 0..3 {
        photo(dir.join(format!("{number}.jpg")), 32, 32);
        grey(dir.join(format!("{number}.png")), 16, 16, &[0, 1, 18]);
    }
}

#[test]
fn celebamask_in_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    side_by_side(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!((train.len(), train[0].image.dimensions()), (2, (16, 16)));
    assert_eq!(ids(&train[0]), BTreeSet::from([0, 1, 18]));
    assert!(open(dir.path(), Val, &plain()).unwrap().describe().starts_with("CelebAMask-HQ"));
    grey(dir.path().join("1.png"), 15, 16, &[0]);
    assert!(open_error(dir.path()).contains("1.jpg is 32x32"), "{}", open_error(dir.path()));
}

fn deep_fashion(dir: &Path) {
    for (split, stem) in [("train", "a_1"), ("train", "a_2"), ("test", "b_2")] {
        photo(dir.join(format!("{split}_img/{stem}.jpg")), 16, 24);
        grey(dir.join(format!("cihp_{split}_mask/{stem}.png")), 16, 24, &[0, 5, 19]);
    }
}

#[test]
fn deep_fashion_with_its_masks() {
    let dir = tempfile::tempdir().unwrap();
    deep_fashion(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!((names(&train), ids(&train[0])), (vec!["a_1", "a_2"], BTreeSet::from([0, 5, 19])));
    assert_eq!(names(&samples(dir.path(), Val)), ["b_2"]);
    let set = open(dir.path(), Train, &plain()).unwrap();
    assert_eq!(set.classes().mirrored(), [(14, 15), (16, 17), (18, 19)]);
}

/// Landscapes in plain folders, with instance maps and a table of their own.
fn landscapes(dir: &Path) {
    ClassTable::shipped("landscapes").unwrap().save(dir.join("classes.json")).unwrap();
    for number in 0..12 {
        photo(dir.join(format!("img/{number}.jpg")), 20, 10);
        grey(dir.join(format!("label/{number}.png")), 20, 10, &[3, 27]);
        grey(dir.join(format!("inst/{number}.png")), 20, 10, &[0, 1, 1]);
    }
}

#[test]
fn plain_folders() {
    let dir = tempfile::tempdir().unwrap();
    landscapes(dir.path());
    let train = samples(dir.path(), Train);
    assert_eq!((train.len(), ids(&train[0])), (11, BTreeSet::from([3, 27])));
    assert!(train[0].instances.is_some());
    assert_eq!(check(dir.path(), &BOTH, &plain()).unwrap().findings, []);
}

/// A baseline JPEG of 30x20 pixels and four components, all of one colour. Each block is a DC difference of 0 and the end
/// of the block, and each of these is coded in the single bit 0.
fn cmyk(path: &Path) {
    let segment = |marker: u8, body: &[u8]| {
        let mut bytes = vec![0xff, marker];
        bytes.extend((body.len() as u16 + 2).to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let table = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    let scans: Vec<u8> = (1..=4).flat_map(|id| [id, 0]).collect();
    let blocks = [0; 4 * 3];
    let parts = [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &[&[8, 0, 20, 0, 30, 4][..], &components].concat()),
        segment(0xc4, &table(0x00)),
        segment(0xc4, &table(0x10)),
        segment(0xda, &[&[4][..], &scans, &[0, 63, 0]].concat()),
        blocks.to_vec(),
        vec![0xff, 0xd9],
    ];
    fs::write(path, parts.concat()).unwrap();
}

#[test]
fn every_kind_of_damage_is_found_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = |text: &str| dir.path().join(text);
    let classes = ClassTable::cmp_facades();
    classes.save(path("classes.json")).unwrap();
    for number in 1..=14 {
        photo(path(&format!("train_img/{number}.jpg")), 30, 20);
        grey(path(&format!("train_label/{number}.png")), 30, 20, &[0, 1]);
    }
    photo(path("val_img/1.jpg"), 30, 20);
    grey(path("val_label/1.png"), 30, 20, &[2]);
    let cut = |name: &str| {
        let whole = fs::read(path(name)).unwrap();
        fs::write(path(name), &whole[..whole.len() * 2 / 3]).unwrap();
    };
    fs::remove_file(path("train_label/1.png")).unwrap();
    fs::remove_file(path("train_img/2.jpg")).unwrap();
    photo(path("train_img/3.jpg"), 31, 20);
    GrayImage::from_pixel(30, 20, Luma([77])).save(path("train_img/4.jpg")).unwrap();
    cut("train_img/5.jpg");
    cut("train_label/6.png");
    grey(path("train_label/7.png"), 30, 20, &[0, 12, 200]);
    RgbImage::from_pixel(30, 20, Rgb([1, 2, 3])).save(path("train_label/8.png")).unwrap();
    File::create(path("train_img/9.jpg")).unwrap();
    File::create(path("train_label/10.png")).unwrap();
    photo(path("train_img/11.png"), 30, 20);
    cmyk(&path("train_img/12.jpg"));
    fs::write(path("train_label/13.png"), "no picture").unwrap();
    photo(path("train_label/2.jpg"), 30, 20);

    let found = check(dir.path(), &BOTH, &plain()).unwrap();
    println!("{found}");
    for words in [
        &["train_img/1.jpg", "has no label"][..],
        &["train_label/2.png", "has no photo"],
        &["train_label/2.jpg", "no PNG", "JPEG changes"],
        &["3.jpg", "31x20", "30x20", "same size"],
        &["5.jpg", "copy it again"],
        &["6.png", "truncated"],
        &["7.png", "12", "200"],
        &["8.png", "rgb(1, 2, 3)"],
        &["train_img/9.jpg", "empty"],
        &["train_label/10.png", "empty"],
        &["train_img/11.jpg", "train_img/11.png", "same stem"],
        &["13.png", "no picture"],
    ] {
        finds(&found, Severity::Error, words);
    }
    finds(&found, Severity::Warning, &["train_img/4.jpg", "greyscale"]);
    finds(&found, Severity::Warning, &["train_img/12.jpg", "CMYK"]);
    assert!(!found.is_usable());
    // 1 and 2 are no pairs; 12 may or may not be readable.
    let (split, pairs, usable) = found.splits[0];
    assert!(split == Train && pairs == 12 && (3..=4).contains(&usable), "{:?}", found.splits);
    assert_eq!(found.splits[1], (Val, 1, 1));
    let share = |id: usize| (found.classes[id].pixels, found.classes[id].pictures);
    assert_eq!((share(2), share(5)), ((600, 1), (0, 0)));
    let text = found.to_string();
    for part in ["sizes    30x20", "classes  3 of 12 occur", "never", "3 door", "training does not start"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The splits can be checked on their own.
    assert!(check(dir.path(), &[Val], &plain()).unwrap().is_usable());
    assert!(check(&path("train_img"), &BOTH, &plain()).is_err());
}

/// Facades as pix2pix has them: photo left, labels in class colours right; with `left`, the other way round.
fn double(dir: &Path, left: bool) {
    let classes = ClassTable::cmp_facades();
    for (split, numbers) in [("train", 1..=3), ("val", 4..=4)] {
        for number in numbers {
            let picture = RgbImage::from_fn(64, 32, |x, y| {
                let labels = classes.get((x / 8 % 4) as u16).unwrap().color;
                Rgb(if (x < 32) == left { labels } else { [(7 * x) as u8, (7 * y) as u8, 90] })
            });
            picture.save(parent(dir.join(format!("{split}/{number}.png")))).unwrap();
        }
    }
}

/// pix2pixHD's folders, with the labels in one of them.
fn two_sides(dir: &Path, photos: &str, labels: &str) {
    ClassTable::cmp_facades().save(dir.join("classes.json")).unwrap();
    for number in 1..=3 {
        photo(dir.join(format!("train_{photos}/{number}.jpg")), 30, 20);
        grey(dir.join(format!("train_{labels}/{number}.png")), 30, 20, &[0, 1]);
    }
}

/// A data set and the files that belong to one of its training pairs, the first in the order of names.
struct Layout {
    name: &'static str,
    build: fn(&Path),
    photo: &'static str,
    /// The label map; of CelebAMask-HQ a mask, and none if the photo's picture holds the labels.
    labels: Option<&'static str>,
    instances: Option<&'static str>,
}

const LAYOUTS: [Layout; 13] = [
    Layout {
        name: "ADE20K",
        build: ade20k,
        photo: "images/training/ADE_train_00000001.jpg",
        labels: Some("annotations/training/ADE_train_00000001.png"),
        instances: None,
    },
    Layout {
        name: "ADE20K-outdoor",
        build: |dir| {
            ade20k(dir);
            let list = "ADE_train_00000001\nADE_train_00000002\nADE_val_00000001\n";
            fs::write(dir.join("outdoor.txt"), list).unwrap();
        },
        photo: "images/training/ADE_train_00000001.jpg",
        labels: Some("annotations/training/ADE_train_00000001.png"),
        instances: None,
    },
    Layout {
        name: "Cityscapes",
        build: cityscapes,
        photo: "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png",
        labels: Some("gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png"),
        instances: Some("gtFine/train/aachen/aachen_000001_000019_gtFine_instanceIds.png"),
    },
    Layout {
        name: "COCO-Stuff",
        build: coco_stuff,
        photo: "train_img/000000000009.jpg",
        labels: Some("train_label/000000000009.png"),
        instances: Some("train_inst/000000000009.png"),
    },
    Layout {
        name: "CelebAMask-HQ",
        build: celebamask,
        photo: "CelebA-HQ-img/0.jpg",
        labels: Some("CelebAMask-HQ-mask-anno/0/00000_l_eye.png"),
        instances: None,
    },
    Layout {
        name: "CelebAMask-HQ in one folder",
        build: side_by_side,
        photo: "0.jpg",
        labels: Some("0.png"),
        instances: None,
    },
    Layout {
        name: "DeepFashion",
        build: deep_fashion,
        photo: "train_img/a_1.jpg",
        labels: Some("cihp_train_mask/a_1.png"),
        instances: None,
    },
    Layout {
        name: "landscapes",
        build: landscapes,
        photo: "img/0.jpg",
        labels: Some("label/0.png"),
        instances: Some("inst/0.png"),
    },
    Layout {
        name: "CMP facades",
        build: |dir| {
            for number in 1..=3 {
                photo(dir.join(format!("base/cmp_b000{number}.jpg")), 30, 20);
                grey(dir.join(format!("base/cmp_b000{number}.png")), 30, 20, &[1, 12]);
            }
        },
        photo: "base/cmp_b0001.jpg",
        labels: Some("base/cmp_b0001.png"),
        instances: None,
    },
    Layout {
        name: "pix2pix facades",
        build: |dir| double(dir, true),
        photo: "train/1.png",
        labels: None,
        instances: None,
    },
    Layout {
        name: "pix2pix facades with cleaned labels",
        build: |dir| {
            double(dir, false);
            for (split, number) in [("train", 1), ("train", 2), ("train", 3), ("val", 4)] {
                grey(dir.join(format!("{split}_label/{number}.png")), 32, 32, &[0, 1]);
            }
        },
        photo: "train/1.png",
        labels: Some("train_label/1.png"),
        instances: None,
    },
    Layout {
        name: "pix2pixHD",
        build: |dir| two_sides(dir, "B", "A"),
        photo: "train_B/1.jpg",
        labels: Some("train_A/1.png"),
        instances: None,
    },
    Layout {
        name: "pix2pixHD, labels in B",
        build: |dir| two_sides(dir, "A", "B"),
        photo: "train_A/1.jpg",
        labels: Some("train_B/1.png"),
        instances: None,
    },
];

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Damage {
    Missing,
    Empty,
    /// Cut short within its header.
    Head,
    /// Cut short within its pixels.
    Tail,
    Text,
    Resized,
}

impl Damage {
    const ALL: [Self; 6] = [Self::Missing, Self::Empty, Self::Head, Self::Tail, Self::Text, Self::Resized];

    fn apply(self, path: &Path) {
        let whole = fs::read(path).unwrap();
        match self {
            Self::Missing => fs::remove_file(path).unwrap(),
            Self::Empty => fs::write(path, "").unwrap(),
            Self::Head => fs::write(path, &whole[..20]).unwrap(),
            Self::Tail => fs::write(path, &whole[..whole.len() - 24]).unwrap(),
            Self::Text => fs::write(path, "<html>404 Not Found</html>").unwrap(),
            Self::Resized => {
                let (width, height) = image::image_dimensions(path).unwrap();
                match image::open(path).unwrap() {
                    image::DynamicImage::ImageRgb8(_) => photo(path.into(), width + 1, height),
                    image::DynamicImage::ImageLuma16(_) => grey16(path.into(), width + 1, height, &[7, 26000]),
                    _ => grey(path.into(), width + 1, height, &[1]),
                }
            }
        }
    }
}

/// Every kind of damage to every file of a pair, in every layout: the check names the file and says what to do;
/// training does not start. The first pair is damaged, because layouts are told by what comes first.
#[test]
fn damage_is_named_in_every_layout() {
    for Layout { name, build, photo, labels, instances } in LAYOUTS {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path());
        assert!(check(dir.path(), &[Train], &plain()).unwrap().is_usable(), "{name}");
        for file in [Some(photo), labels, instances].into_iter().flatten() {
            let path = dir.path().join(file);
            let whole = fs::read(&path).unwrap();
            for damage in Damage::ALL {
                damage.apply(&path);
                let what = format!("{name}: {file}, {damage:?}");
                let found = check(dir.path(), &[Train], &plain()).unwrap_or_else(|error| panic!("{what}: {error}"));
                let opened = open(dir.path(), Train, &plain()).and_then(|set| set.check());
                fs::write(&path, &whole).unwrap();

                // A pair without instances is used without, a face may lack a part, and no file tells that a picture is gone
                // that held both halves of a pair.
                let lacks_nothing = labels.is_none() || file.contains("mask-anno") || Some(file) == instances;
                if damage == Damage::Missing && lacks_nothing {
                    assert!(found.is_usable() && opened.is_ok(), "{what}: {found}");
                    continue;
                }
                // What is missing is named by its partner.
                let name_of = |file: &str| Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
                let named = match damage {
                    Damage::Missing if file == photo => labels.unwrap_or(photo).replace("l_eye", "skin"),
                    Damage::Missing => photo.to_owned(),
                    _ => file.to_owned(),
                };
                let errors: Vec<_> = found.findings.iter().filter(|f| f.severity == Severity::Error).collect();
                assert!(errors.iter().any(|error| error.problem.contains(&name_of(&named))), "{what}: {found}");
                assert!(errors.iter().all(|error| !error.advice.is_empty()), "{what}: {found}");
                // The other pairs of the split are as they were.
                let [(_, pairs, usable)] = found.splits[..] else { panic!("{what}: {found}") };
                let gone = usize::from(damage == Damage::Missing);
                assert!(usable > 0 && pairs - usable <= 1 - gone, "{what}: {found}");
                let error = opened.unwrap_err();
                assert!(matches!(error, Error::Data(_)), "{what}: {error:?}");
                let error = error.to_string();
                assert!(error.contains(&name_of(&named)), "{what}: {error}");
                // Its list misses a photo too.
                let count = if name == "ADE20K-outdoor" { " not fit" } else { "1 file does not fit" };
                assert!(error.contains(count), "{what}: {error}");
            }
        }
    }
}

#[cfg(feature = "cli")]
#[test]
fn the_command_says_whether_training_can_start() {
    use common::{semsynth, text};

    let dir = tempfile::tempdir().unwrap();
    ade20k(dir.path());
    let folder = dir.path().to_str().unwrap();
    let output = semsynth(&["data", "check", folder]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("train    2 pairs, 2 of them can be used"), "{}", text(&output));
    fs::remove_file(dir.path().join("annotations/training/ADE_train_00000001.png")).unwrap();
    let output = semsynth(&["data", "check", folder]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("ADE_train_00000001.jpg has no label"), "{}", text(&output));
    assert_eq!(semsynth(&["data", "check", folder, "--split", "val"]).status.code(), Some(0));
    let output = semsynth(&["data", "check", folder, "--classes", "no-such-table"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}

#[test]
fn a_set_without_classes_is_checked_as_far_as_possible() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        photo(dir.path().join(format!("img/{number}.jpg")), 30, 20);
        grey(dir.path().join(format!("label/{number}.png")), 30, 20, &[0, 1]);
    }
    fs::write(dir.path().join("img/2.jpg"), "").unwrap();
    let found = check(dir.path(), &BOTH, &plain()).unwrap();
    finds(&found, Severity::Error, &["the classes are unknown"]);
    finds(&found, Severity::Error, &["img/2.jpg", "empty"]);
    let classes = found.findings.iter().filter(|finding| finding.problem.contains("classes are unknown")).count();
    assert_eq!(classes, 1, "held-out splits share their problems: {found}");
}

#[test]
fn real_coco_stuff_is_read() {
    let Some(dir) = shared("data/coco_stuff") else { return };
    let set = open(&dir, Val, &plain()).unwrap();
    println!("{}", set.describe());
    assert_eq!(set.len(), 8);
    assert!(set.has_instances());
    for index in 0..set.len() {
        let sample = set.get(index).unwrap();
        assert!(sample.labels.ids().all(|id| id <= 182));
        let instances = sample.instances.unwrap();
        assert_eq!((instances.width(), instances.height()), (sample.labels.width(), sample.labels.height()));
    }
    let found = check(&dir, &[Val], &plain()).unwrap();
    println!("{found}");
    assert!(found.is_usable());
}

#[test]
fn real_celebamask_is_read() {
    let Some(dir) = shared("data/celebamask") else { return };
    let train = open(&dir, Train, &plain()).unwrap();
    println!("{}", train.describe());
    assert_eq!(train.len() + open(&dir, Val, &plain()).unwrap().len(), 4);
    let sample = train.get(0).unwrap();
    assert_eq!(sample.image.dimensions(), (512, 512));
    assert!(ids(&sample).contains(&1) && ids(&sample).contains(&13), "a face has skin and hair");
    assert!(check(&dir, &BOTH, &plain()).unwrap().is_usable());
}

#[test]
fn other_real_sets_pass_the_check() {
    for name in ["camvid", "dubai", "terrain_recife"] {
        let Some(dir) = shared(&format!("data/{name}")) else { continue };
        let found = check(&dir, &BOTH, &plain()).unwrap();
        println!("{found}");
        assert!(found.is_usable(), "{found}");
    }
}
