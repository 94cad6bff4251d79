//! Evaluations of generated pictures.

use std::fs;
use std::sync::atomic::AtomicBool;

use image::{Rgb, RgbImage};

use super::*;
use crate::device::Device;
use crate::label::ReadOptions;

/// Two folders with pairs of 24x20 pixels; the pictures are brighter than the photos by 51 of 255.
fn folders(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, offset) in [("pictures", 51), ("photos", 0)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        for (place, stem) in names.iter().enumerate() {
            let pixel = |x, y| Rgb([(x * 5 + y) as u8 + offset, (y * 7) as u8 + offset, place as u8 * 20 + offset]);
            let path = folder.path().join(name).join(format!("{stem}.png"));
            RgbImage::from_fn(24, 20, pixel).save(path).unwrap();
        }
    }
    folder
}

fn open(folder: &Path) -> Result<Folders> {
    Folders::open(&folder.join("pictures"), &folder.join("photos"))
}

fn run(folder: &Path) -> Result<Report> {
    let files = Files::new(folder.join("out"));
    let measures = Measures::new(&Device::cpu());
    evaluate(&mut open(folder)?, &measures, &files, &mut Silent, &AtomicBool::new(false))
}

fn lines(folder: &Path) -> usize {
    fs::read_to_string(folder.join("out/pictures.jsonl")).unwrap().lines().count()
}

#[test]
fn pictures_are_measured_and_written_down() {
    let folder = folders(&["1", "2", "10"]);
    let report = run(folder.path()).unwrap();
    assert_eq!(report.pictures, 3);
    assert!((report.similarity.rmse - 0.2).abs() < 1e-12);
    assert!((report.similarity.psnr.unwrap() - -20.0 * 0.2f64.log10()).abs() < 1e-9);
    assert!(report.similarity.ssim > 0.3 && report.similarity.ssim < 1.0);
    let text = fs::read_to_string(folder.path().join("out/eval.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["pictures"], 3);
    assert_eq!(json["protocol"], PROTOCOL);
    assert!((json["similarity"]["rmse"].as_f64().unwrap() - 0.2).abs() < 1e-12);
    let table = report.to_string();
    assert!(table.contains("PSNR            13.98 dB") && table.contains("RMSE            0.2000"), "{table}");
}

#[test]
fn only_what_changed_is_measured_again() {
    let folder = folders(&["a", "b", "c"]);
    let first = run(folder.path()).unwrap();
    assert_eq!(lines(folder.path()), 3);
    assert_eq!(run(folder.path()).unwrap(), first);
    assert_eq!(lines(folder.path()), 3);
    // Another picture under the same name: its old result must not count.
    RgbImage::new(24, 20).save(folder.path().join("pictures/b.png")).unwrap();
    let second = run(folder.path()).unwrap();
    assert_eq!(lines(folder.path()), 4);
    assert!(second.similarity.rmse > first.similarity.rmse);
}

#[test]
fn a_stopped_evaluation_goes_on() {
    struct StopAfter<'a>(usize, &'a AtomicBool);
    impl Observer for StopAfter<'_> {
        fn start(&mut self, _what: &str, _total: usize, _known: usize) {}
        fn progress(&mut self, done: usize) {
            self.1.store(done >= self.0, Ordering::Relaxed);
        }
        fn note(&mut self, _text: &str) {}
    }
    let folder = folders(&["a", "b", "c"]);
    let (stop, measures) = (AtomicBool::new(false), Measures::new(&Device::cpu()));
    let files = Files::new(folder.path().join("out"));
    let mut source = open(folder.path()).unwrap();
    let result = evaluate(&mut source, &measures, &files, &mut StopAfter(2, &stop), &stop);
    assert!(matches!(result, Err(Error::Cancelled)));
    assert!(lines(folder.path()) == 2 && !files.report().exists());
    let resumed = run(folder.path()).unwrap();
    assert_eq!(lines(folder.path()), 3);
    fs::remove_dir_all(folder.path().join("out")).unwrap();
    assert_eq!(run(folder.path()).unwrap(), resumed);
}

#[test]
fn bad_pictures_are_named_and_the_others_kept() {
    let folder = folders(&["a", "b", "c", "d"]);
    let path = |name: &str| folder.path().join(name);
    run(folder.path()).unwrap();
    let report = fs::read(path("out/eval.json")).unwrap();
    fs::remove_file(path("out/pictures.jsonl")).unwrap();
    let whole = fs::read(path("pictures/a.png")).unwrap();
    fs::write(path("pictures/a.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("photos/b.png"), "").unwrap();
    RgbImage::new(9, 9).save(path("pictures/c.png")).unwrap();
    let message = run(folder.path()).unwrap_err().to_string();
    for part in ["3 pictures", "a.png", "b.png", "c.png is 9x9", "24x20", "pictures.jsonl"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(lines(folder.path()), 1);
    assert_eq!(fs::read(path("out/eval.json")).unwrap(), report, "the earlier report is kept");
}

#[test]
fn bad_label_maps_are_named_and_the_other_pictures_kept() {
    let folder = folders(&["a", "b", "c", "d"]);
    let path = |name: &str| folder.path().join(name);
    let classes = ClassTable::cmp_facades();
    fs::create_dir(path("labels")).unwrap();
    for (name, width) in [("a", 24), ("b", 24), ("c", 9), ("d", 24)] {
        LabelMap::filled(width, 20, 1).unwrap().save(path(&format!("labels/{name}.png")), &classes).unwrap();
    }
    let whole = fs::read(path("labels/b.png")).unwrap();
    fs::write(path("labels/b.png"), &whole[..whole.len() - 20]).unwrap();
    image::GrayImage::from_pixel(24, 20, image::Luma([77])).save(path("labels/d.png")).unwrap();
    let with_labels = || open(folder.path())?.labels(&path("labels"), classes.clone(), ReadOptions::default());
    let files = Files::new(path("out"));
    let evaluated = evaluate(
        &mut with_labels().unwrap(),
        &Measures::new(&Device::cpu()),
        &files,
        &mut Silent,
        &AtomicBool::new(false),
    );
    let message = evaluated.unwrap_err().to_string();
    for part in ["3 pictures", "labels/b.png", "labels/c.png is 9x20", "24x20", "labels/d.png", "77", "pictures.jsonl"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(lines(folder.path()), 1);
    fs::remove_file(path("labels/d.png")).unwrap();
    let message = with_labels().unwrap_err().to_string();
    assert!(message.contains("photos/d.png has no label map in"), "{message}");
}

#[test]
fn pictures_without_a_partner_are_named() {
    let folder = folders(&["a", "b"]);
    let path = |name: &str| folder.path().join(name);
    fs::rename(path("photos/b.png"), path("photos/x.png")).unwrap();
    fs::copy(path("photos/a.png"), path("photos/a.jpg")).unwrap();
    let message = run(folder.path()).unwrap_err().to_string();
    for part in ["b.png has no photo", "x.png has no picture", "have the same name"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let empty = path("empty");
    fs::create_dir(&empty).unwrap();
    let message = Folders::open(&empty, &path("photos")).unwrap_err().to_string();
    assert!(message.contains("empty") && message.contains("no .png"), "{message}");
    assert!(Folders::open(&path("pictures"), &path("none")).unwrap_err().to_string().contains("none"));
}

#[test]
fn small_pictures_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pictures", "photos"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        RgbImage::new(8, 8).save(folder.path().join(name).join("tiny.png")).unwrap();
    }
    let message = run(folder.path()).unwrap_err().to_string();
    assert!(message.contains("tiny") && message.contains("11x11"), "{message}");
}

#[test]
fn equal_pictures_have_an_infinite_psnr() {
    let folder = folders(&["a"]);
    fs::copy(folder.path().join("photos/a.png"), folder.path().join("pictures/a.png")).unwrap();
    for _ in 0..2 {
        let report = run(folder.path()).unwrap();
        assert_eq!((report.similarity.psnr, report.similarity.rmse), (None, 0.0));
        assert!(report.to_string().contains("infinite"));
    }
}
