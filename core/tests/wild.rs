//! Files as people really have them: label maps, photos, class tables and data sets from other programs. Each input is
//! made here, small, with its right value; `semsynth inspect` looks at every label map.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use common::{semsynth, text};
use image::{Rgb, RgbImage};
use semsynth::data::{self, OpenOptions, Split};
use semsynth::label::{Class, ClassTable, ColorPolicy, LabelMap, ReadAs, ReadOptions};
use semsynth::{Error, Image};

fn str(path: &Path) -> &str {
    path.to_str().unwrap()
}

const SKY: [u8; 3] = [70, 130, 180];
const LAND: [u8; 3] = [60, 160, 40];
const ROAD: [u8; 3] = [128, 64, 128];

fn table() -> ClassTable {
    let class = |(id, name, color): (u16, &str, [u8; 3])| Class { id, name: name.into(), color, dont_care: false };
    ClassTable::new([(0, "sky", SKY), (1, "land", LAND), (2, "road", ROAD)].map(class).to_vec()).unwrap()
}

/// The labels of all pictures here: 20 columns and 10 rows of sky, land and road.
fn expected() -> Vec<u16> {
    (0..200)
        .map(|i| {
            if i / 20 < 4 {
                0
            } else if i % 20 < 14 {
                1
            } else {
                2
            }
        })
        .collect()
}

fn indexed(path: &Path, palette: &[[u8; 3]], alpha: &[u8], values: &[u8]) {
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), 20, 10);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(palette.as_flattened().to_vec());
    if !alpha.is_empty() {
        encoder.set_trns(alpha.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(values).unwrap();
}

fn values(of: impl Fn(u16) -> u8) -> Vec<u8> {
    expected().into_iter().map(of).collect()
}

/// How a label map is to be read.
enum Right {
    /// As it is, with these options.
    Read(ReadOptions),
    /// Refused without options, with this in the message; read with these.
    Told(&'static str, ReadOptions),
}

/// Label maps with the same labels, from all kinds of programs.
fn label_maps(folder: &Path) -> Vec<(PathBuf, Right)> {
    let by_color = ReadOptions::default().read_as(ReadAs::Colors);
    let by_id = ReadOptions::default().read_as(ReadAs::Ids);
    let nearest = ReadOptions::from(ColorPolicy::NearestPixel { tolerance: 0 });
    let plain = ReadOptions::default;
    let mut all = Vec::new();
    let mut add = |name: &str, right: Right| {
        let path = folder.join(name);
        all.push((path.clone(), right));
        path
    };
    // A class table's own palette.
    let path = add("own.png", Right::Read(plain()));
    indexed(&path, &[SKY, LAND, ROAD], &[], &values(|id| id as u8));
    // Photoshop and Pillow order a palette by use, and pad it.
    let path = add("padded.png", Right::Told("not clear", by_color));
    let mut palette = vec![LAND, SKY, ROAD];
    palette.resize(16, [0; 3]);
    indexed(&path, &palette, &[], &values(|id| [1, 0, 2][usize::from(id)]));
    let path = add("padded-nearest.png", Right::Told("not clear", nearest));
    indexed(&path, &palette, &[], &values(|id| [1, 0, 2][usize::from(id)]));
    // Indexed layers of GIMP with alpha: entry 0 is transparent, all others are shifted by one.
    let path = add("gimp-alpha.png", Right::Read(nearest));
    let mut shifted = values(|id| id as u8 + 1);
    shifted[25] = 0;
    indexed(&path, &[[0; 3], SKY, LAND, ROAD], &[0], &shifted);
    // A soft brush leaves few blended pixels, each with an entry of its own.
    let path = add("soft.png", Right::Told("no class's colour", nearest));
    let mut soft = values(|id| [2, 0, 1][usize::from(id)]);
    soft[100] = 3;
    indexed(&path, &[LAND, ROAD, SKY, [94, 112, 84]], &[], &soft);
    // A palette whose colours are a little off.
    let path =
        add("profile.png", Right::Told("not clear", ReadOptions::from(ColorPolicy::NearestColor { tolerance: 8 })));
    let off = [LAND, SKY, ROAD].map(|[r, g, b]| [r + 2, g - 3, b]);
    indexed(&path, &off, &[], &values(|id| [1, 0, 2][usize::from(id)]));
    // A colour map that has nothing to do with the classes, and a grey ramp.
    let path = add("colour-map.png", Right::Read(plain()));
    indexed(&path, &[[0; 3], [128, 0, 0], [0, 128, 0]], &[], &values(|id| id as u8));
    let path = add("ramp.png", Right::Read(plain()));
    let ramp: Vec<[u8; 3]> = (0..=255).map(|v| [v; 3]).collect();
    indexed(&path, &ramp, &[], &values(|id| id as u8));
    // The values are right, and the palette is another program's, in class colours by chance.
    let path = add("values-are-right.png", Right::Told("value 0, say, is painted", by_id));
    indexed(&path, &[ROAD, LAND, SKY], &[], &values(|id| id as u8));
    // Ids as grey colours.
    let grey = |id: u16| Rgb([id as u8; 3]);
    let path = add("grey-rgb.png", Right::Told("look like ids", by_id));
    RgbImage::from_fn(20, 10, |x, y| grey(expected()[(y * 20 + x) as usize])).save(&path).unwrap();
    // A transparent grey.
    let path = add("grey-key.png", Right::Read(nearest));
    let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 20, 10);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_trns(vec![0, 9]);
    let mut keyed = values(|id| id as u8);
    keyed[3] = 9;
    encoder.write_header().unwrap().write_image_data(&keyed).unwrap();
    // Colours, under the wrong extension.
    let path = add("colours.png", Right::Read(plain()));
    let colors = table();
    let painted = RgbImage::from_fn(20, 10, |x, y| Rgb(colors.get(expected()[(y * 20 + x) as usize]).unwrap().color));
    painted.save(&path).unwrap();
    let path = add("png-named.jpg", Right::Read(plain()));
    painted.save_with_format(&path, image::ImageFormat::Png).unwrap();
    all
}

#[test]
fn label_maps_are_read_right_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let classes = folder.path().join("classes.ron");
    table().save(&classes).unwrap();
    for (path, right) in label_maps(folder.path()) {
        let name = path.display();
        let options = match right {
            Right::Read(options) => options,
            Right::Told(problem, options) => {
                let refused = LabelMap::open(&path, &table()).unwrap_err();
                assert!(refused.to_string().contains(problem), "{name}: {refused}");
                let output = semsynth(&["inspect", str(&path), "--classes", str(&classes)]);
                assert_eq!(output.status.code(), Some(1), "{name}");
                assert!(text(&output).contains(problem), "{name}: {}", text(&output));
                options
            }
        };
        let reading = LabelMap::read(&path, &table(), options).unwrap();
        assert_eq!(reading.map().unwrap().ids().collect::<Vec<_>>(), expected(), "{name}\n{}", reading.report());
        let mut arguments = vec!["inspect", str(&path), "--classes", str(&classes)];
        arguments.extend(match options.read_as {
            Some(ReadAs::Ids) => vec!["--read-as", "ids"],
            Some(ReadAs::Colors) => vec!["--read-as", "colors"],
            None if options.policy == ColorPolicy::Refuse => vec![],
            None if options.policy.tolerance() > 0 => vec!["--unknown-colors", "nearest-color", "--tolerance", "8"],
            None => vec!["--unknown-colors", "nearest-pixel"],
        });
        let output = semsynth(&arguments);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
        for line in ["0 sky          80 px", "1 land         84 px", "2 road         36 px"] {
            assert!(text(&output).contains(line), "{name}: {}", text(&output));
        }
    }
}

#[test]
fn ids_are_not_read_from_jpeg() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jpg");
    RgbImage::from_fn(32, 32, |x, _| Rgb([if x < 16 { 0 } else { 2 }; 3])).save(&path).unwrap();
    let by_id = ReadOptions::default().read_as(ReadAs::Ids);
    for message in [
        LabelMap::open(&path, &table()).unwrap_err().to_string(),
        LabelMap::read(&path, &table(), by_id).unwrap_err().to_string(),
    ] {
        assert!(message.contains("grey PNG"), "{message}");
    }
}

#[test]
fn an_unclear_palette_is_refused_with_both_readings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.png");
    indexed(&path, &[LAND, SKY, ROAD, [9; 3]], &[], &values(|id| [1, 0, 2][usize::from(id)]));
    let message = LabelMap::open(&path, &table()).unwrap_err().to_string();
    assert!(message.contains("as ids, the picture has 84 px of sky, 80 px of land"), "{message}");
    assert!(message.contains("as colours, 84 px of land, 80 px of sky"), "{message}");
    let classes = folder.path().join("classes.json");
    table().save(&classes).unwrap();
    let output = semsynth(&["inspect", str(&path), "--classes", str(&classes)]);
    assert!(text(&output).contains("--read-as colors"), "{}", text(&output));
}

#[test]
fn no_tolerance_is_advised_that_merges_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.png");
    RgbImage::from_fn(20, 10, |x, _| Rgb([200, x as u8, 255])).save(&path).unwrap();
    let far = LabelMap::open(&path, &table()).unwrap_err().to_string();
    assert!(!far.contains("a tolerance of"), "{far}");
    RgbImage::from_pixel(20, 10, Rgb([SKY[0] + 3, SKY[1], SKY[2]])).save(&path).unwrap();
    let near = LabelMap::open(&path, &table()).unwrap_err().to_string();
    assert!(near.contains("a tolerance of 3 takes all colours"), "{near}");
}

/// A photo that is red in its upper half when it is upright, stored turned by a quarter, as a phone does.
fn turned_photo(path: &Path) {
    // Orientation 6: to be turned by a quarter clockwise. Up is left as stored.
    let stored = RgbImage::from_fn(16, 32, |x, _| if x < 8 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(&stored).unwrap();
    let tiff: &[u8] = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut segment = b"\xff\xe1".to_vec();
    segment.extend((tiff.len() as u16 + 8).to_be_bytes());
    segment.extend(b"Exif\0\0");
    segment.extend(tiff);
    bytes.splice(2..2, segment);
    fs::write(path, bytes).unwrap();
}

#[test]
fn photos_are_turned_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    turned_photo(&path);
    let photo = Image::open(&path).unwrap();
    assert_eq!((photo.width(), photo.height()), (32, 16));
    let pixel = |x: usize, y: usize| photo.as_bytes()[3 * (y * 32 + x)];
    assert!(pixel(3, 3) > 200 && pixel(28, 3) > 200 && pixel(3, 12) < 50, "the red half is above");
    // A label map that is to be turned is refused.
    let refused = LabelMap::open(&path, &table()).unwrap_err().to_string();
    assert!(refused.contains("EXIF orientation"), "{refused}");
    // In a data set, sizes are those of the upright photo.
    let (photos, labels) = (folder.path().join("set/img"), folder.path().join("set/label"));
    fs::create_dir_all(&photos).unwrap();
    fs::create_dir_all(&labels).unwrap();
    for name in ["a", "b"] {
        fs::copy(&path, photos.join(format!("{name}.jpg"))).unwrap();
        LabelMap::filled(32, 16, 1).unwrap().save(labels.join(format!("{name}.png")), &table()).unwrap();
    }
    let options = OpenOptions { classes: Some(table()), ..OpenOptions::default() };
    let set = data::open(&folder.path().join("set"), Split::Train, &options).unwrap();
    set.check().unwrap();
    assert!(set.get(0).unwrap().image.get_pixel(3, 3).0[0] > 200);
}

#[test]
fn photos_that_are_cut_short_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["photo.jpg", "photo.png"] {
        let path = folder.path().join(name);
        RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 3, y as u8 * 3, (x * y) as u8])).save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        assert!(Image::from_bytes(&whole).is_ok());
        for length in [whole.len() / 2, whole.len() * 9 / 10] {
            let refused = Image::from_bytes(&whole[..length]).unwrap_err().to_string();
            assert!(refused.contains("cut short") || refused.contains("damaged"), "{name}: {refused}");
        }
    }
}

/// Pairs in folders; `names` without extension.
fn pairs(photos: &Path, labels: &Path, names: &[&str]) {
    fs::create_dir_all(photos).unwrap();
    fs::create_dir_all(labels).unwrap();
    for name in names {
        RgbImage::from_pixel(20, 10, Rgb([200, 100, 50])).save(photos.join(format!("{name}.jpg"))).unwrap();
        LabelMap::new(20, 10, expected()).unwrap().save(labels.join(format!("{name}.png")), &table()).unwrap();
    }
}

#[test]
fn a_data_set_is_checked_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, labels) = (folder.path().join("train_img"), folder.path().join("train_label"));
    pairs(&photos, &labels, &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]);
    table().save(folder.path().join("classes.json")).unwrap();
    for name in ["3", "7"] {
        let path = photos.join(format!("{name}.jpg"));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    }
    LabelMap::filled(20, 10, 2).unwrap().save(labels.join("5.png"), &table()).unwrap();
    let mut bad = values(|id| id as u8);
    bad[7] = 77;
    let mut encoder = png::Encoder::new(File::create(labels.join("11.png")).unwrap(), 20, 10);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&bad).unwrap();
    let out = folder.path().join("run");
    let data = str(folder.path());
    let output = semsynth(&["train", "--data", data, "--out", str(&out), "--steps", "1", "--device", "cpu"]);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("3 files do not fit"), "{printed}");
    for part in ["3.jpg", "7.jpg", "11.png", "77", "Nothing was trained"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!out.exists());
    let output = semsynth(&["inspect", data]);
    assert!(text(&output).contains("3 files do not fit"), "{}", text(&output));
}

#[test]
fn data_sets_without_validation_pairs_hold_some_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let names: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pairs(&dir.join("train_img"), &dir.join("train_label"), &names);
    let options = OpenOptions { classes: Some(table()), ..OpenOptions::default() };
    let lengths = || [Split::Train, Split::Val].map(|split| data::open(dir, split, &options).unwrap().len());
    assert_eq!(lengths(), [18, 2]);
    assert!(data::open(dir, Split::Val, &options).unwrap().describe().contains("held out"));
    // Test pictures without labels are no validation pairs; with labels they are.
    fs::create_dir_all(dir.join("test_img")).unwrap();
    assert_eq!(lengths(), [18, 2]);
    pairs(&dir.join("test_img"), &dir.join("test_label"), &["1", "2", "3"]);
    assert_eq!(lengths(), [20, 3]);
}

#[test]
fn pairs_in_all_forms_of_pix2pix() {
    let options = OpenOptions { classes: Some(table()), ..OpenOptions::default() };
    let folder = tempfile::tempdir().unwrap();
    // Labels in the left halves, of any aspect.
    let train = folder.path().join("train");
    fs::create_dir_all(&train).unwrap();
    let labels = LabelMap::new(20, 10, expected()).unwrap();
    let painted = labels.to_rgb(&table());
    for name in 0..3 {
        let picture = RgbImage::from_fn(40, 10, |x, y| match x {
            0..20 => *image::RgbImage::from_raw(20, 10, painted.as_bytes().to_vec()).unwrap().get_pixel(x, y),
            _ => Rgb([9, 9, 9]),
        });
        picture.save(train.join(format!("{name}.png"))).unwrap();
    }
    let set = data::open(folder.path(), Split::Train, &options).unwrap();
    assert!(set.describe().contains("left halves"), "{}", set.describe());
    let sample = set.get(0).unwrap();
    assert_eq!((sample.labels, sample.image.get_pixel(3, 3).0), (labels.clone(), [9, 9, 9]));
    // pix2pixHD: labels in A; and the other way round.
    for (photos, maps) in [("train_B", "train_A"), ("train_A", "train_B")] {
        let folder = tempfile::tempdir().unwrap();
        pairs(&folder.path().join(photos), &folder.path().join(maps), &["1", "2"]);
        let set = data::open(folder.path(), Split::Train, &options).unwrap();
        assert_eq!(set.get(0).unwrap().labels, labels, "{maps}");
    }
}

#[test]
fn names_that_look_the_same_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (photos, labels) = (folder.path().join("img"), folder.path().join("label"));
    pairs(&photos, &labels, &["b", "c"]);
    // Composed and decomposed.
    RgbImage::new(20, 10).save(photos.join("caf\u{e9}.jpg")).unwrap();
    LabelMap::filled(20, 10, 1).unwrap().save(labels.join("cafe\u{301}.png"), &table()).unwrap();
    for name in [".DS_Store", "Thumbs.db", "._b.jpg"] {
        fs::write(photos.join(name), "x").unwrap();
    }
    let options = OpenOptions { classes: Some(table()), ..OpenOptions::default() };
    assert_eq!(data::open(folder.path(), Split::Train, &options).unwrap().len(), 2);
}

#[test]
fn a_folder_is_painted_as_far_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let maps = folder.path().join("maps");
    fs::create_dir_all(maps.join("inner")).unwrap();
    let facades = ClassTable::cmp_facades();
    LabelMap::filled(32, 32, 1).unwrap().save(maps.join("a.png"), &facades).unwrap();
    fs::write(maps.join("b.png"), "no picture").unwrap();
    fs::write(maps.join("._c.png"), "no picture").unwrap();
    LabelMap::filled(32, 32, 2).unwrap().save(maps.join("d.png"), &facades).unwrap();
    let out = folder.path().join("deep/er");
    let output = semsynth(&["synth", "-m", "builtin:facades", "-l", str(&maps), "-o", str(&out), "--device", "cpu"]);
    let printed = text(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("2 of 3 pictures written") && printed.contains("1 folders"), "{printed}");
    assert!(printed.contains("not painted: ") && out.join("d.png").exists(), "{printed}");
    // The folder of a single picture is made too.
    let single = folder.path().join("new/picture.png");
    let map = maps.join("a.png");
    let output = semsynth(&["synth", "-m", "builtin:facades", "-l", str(&map), "-o", str(&single), "--device", "cpu"]);
    assert!(output.status.success() && single.exists(), "{}", text(&output));
}

#[test]
fn instance_maps_may_be_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instances.png");
    RgbImage::from_fn(4, 1, |x, _| Rgb([[9, 9, 9], [200, 0, 0], [9, 9, 9], [0, 0, 1]][x as usize]))
        .save(&path)
        .unwrap();
    assert_eq!(LabelMap::open_instances(&path).unwrap().ids().collect::<Vec<_>>(), [0, 1, 0, 2]);
    assert!(matches!(LabelMap::open_ids(&path), Err(Error::Labels(_))));
}

#[test]
fn inspect_says_what_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights.safetensors");
    let mut tensors = semsynth::tensors::Tensors::new();
    tensors.insert_f32("netG.fc.weight", vec![1], vec![0.0]).unwrap();
    tensors.save(&weights).unwrap();
    let style = folder.path().join("style.safetensors");
    semsynth::Style::random(3, 8).unwrap().save(&style).unwrap();
    let foreign = folder.path().join("picture.xcf");
    fs::write(&foreign, b"gimp xcf v011\0").unwrap();
    for (path, part) in [(&weights, "semsynth import"), (&style, "a style"), (&foreign, "GIMP project")] {
        let output = semsynth(&["inspect", str(path)]);
        assert!(text(&output).contains(part), "{}: {}", path.display(), text(&output));
    }
}

#[test]
fn left_and_right_swap_when_mirrored() {
    let class = |(id, name): (u16, &str)| Class { id, name: name.into(), color: [id as u8; 3], dont_care: false };
    let names =
        [(0, "skin"), (1, "l_eye"), (2, "r_eye"), (3, "left arm"), (4, "right arm"), (5, "r_ear"), (6, "nose_l")];
    let classes = ClassTable::new(names.map(class).to_vec()).unwrap();
    assert_eq!(classes.mirrored(), [(1, 2), (3, 4)]);
    assert_eq!(ClassTable::shipped("celebamask-hq").unwrap().mirrored().len(), 3);
}
