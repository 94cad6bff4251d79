//! The `semsynth` command: output, messages and exit codes.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use common::{has_half, semsynth, software, text};
use semsynth::Device;
use semsynth::label::{ClassTable, LabelMap};
use semsynth::model::{self, Precision};
use semsynth::network::{Architecture, GeneratorConfig, StyleConfig};
use semsynth::nn::Init;
use semsynth::nn::modulation::ModulationKind;

/// A training run of two steps, made once for all tests.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let arguments = ["--steps", "2", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "64x32"];
        let arguments = [arguments.as_slice(), &["--animation", "--tensorboard"]].concat();
        let output =
            semsynth(&[&["train", "--device", "cpu", "--out", out.to_str().unwrap()], arguments.as_slice()].concat());
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("PSNR"), "{}", text(&output));
        folder
    });
    folder.path()
}

fn model() -> String {
    trained().join("run/model.safetensors").to_str().unwrap().to_owned()
}

#[test]
fn training_writes_an_animation_and_an_event_file_on_request() {
    let run = trained().join("run");
    let size = image::image_dimensions(run.join("sheet.png")).unwrap();
    assert_eq!(image::image_dimensions(run.join("animation.png")).unwrap(), size);
    // Its first record: 8 bytes of length, 4 of checksum, then the version.
    let events = std::fs::read(run.join("events.out.tfevents.semsynth")).unwrap();
    assert!(events[12..].windows(13).any(|part| part == b"brain.Event:2"));
}

#[test]
fn many_processes_need_the_flag_and_the_build_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let train = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_semsynth"));
        command.args(["train", "--out", out.to_str().unwrap(), "--steps", "1"]).args(flags);
        let output = command.env("OMPI_COMM_WORLD_SIZE", "2").output().unwrap();
        (output.status.code(), text(&output))
    };
    let (code, message) = train(&[]);
    assert!(code == Some(2) && message.contains("mpirun") && message.contains("--mpi"), "{message}");
    if cfg!(not(feature = "mpi")) {
        let (code, message) = train(&["--mpi"]);
        assert!(code == Some(2) && message.contains("feature `mpi`"), "{message}");
    }
    assert!(!out.exists());
}

#[test]
fn a_table_is_printed_and_not_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.ron");
    let rows = r#"(images: 2, rows: [(name: "One", system: "spade"), (name: "Two", system: "clade")])"#;
    std::fs::write(&file, rows).unwrap();
    let out = folder.path().join("out");
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let flags = ["--device", "cpu", "--ngf", "2", "--ndf", "2", "--size", "64x32", "--seed", "1"];
    let make = || semsynth(&[&["train", "--table", file, "--out", out_text], flags.as_slice()].concat());
    let [first, again] = [make(), make()];
    assert_eq!((first.status.code(), again.status.code()), (Some(0), Some(0)), "{}", text(&first));
    let table = std::fs::read_to_string(out.join("table.md")).unwrap();
    assert!(table.contains("| One | ") && table.contains("PSNR"), "{table}");
    assert!(text(&first).contains(&table) && text(&again).contains(&table), "{}", text(&again));
    assert!(text(&first).contains("steps done") && !text(&again).contains("steps done"), "{}", text(&again));
    std::fs::write(file, rows.replace("images", "image")).unwrap();
    let wrong = make();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong).contains("table.ron: malformed table") && text(&wrong).contains("image"), "{}", text(&wrong));
}

#[test]
fn synth_paints_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, picture) = (folder.path().join("labels.png"), folder.path().join("picture.png"));
    let classes = ClassTable::cmp_facades();
    LabelMap::filled(40, 33, 1).unwrap().save(&labels, &classes).unwrap();
    let (labels, picture) = (labels.to_str().unwrap(), picture.to_str().unwrap());
    let output = semsynth(&["synth", "--device", "cpu", "--model", &model(), "--labels", labels, "-o", picture]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(image::image_dimensions(picture).unwrap(), (40, 33));
}

/// The command runs in the user's current folder: it must not read or leave anything there.
#[test]
fn a_gpu_is_not_set_up_by_the_current_folder() {
    let Some(device) = software() else { return };
    let half: &[&str] = if has_half(&device) { &["--half"] } else { &[] };
    let folder = tempfile::tempdir().unwrap();
    let (labels, picture) = (folder.path().join("labels.png"), folder.path().join("picture.png"));
    LabelMap::filled(32, 32, 1).unwrap().save(&labels, &ClassTable::cmp_facades()).unwrap();
    for name in ["cubecl.toml", "burn.toml", "Cargo.toml"] {
        std::fs::write(folder.path().join(name), "not = [toml").unwrap();
    }
    let cache = tempfile::tempdir().unwrap();
    let (model, labels, out) = (model(), labels.to_str().unwrap(), picture.to_str().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_semsynth"))
        .args(["synth", "--device", "software", "--model", &model, "--labels", labels, "-o", out])
        .args(half)
        .current_dir(folder.path())
        .env("SEMSYNTH_CACHE", cache.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!text(&output).contains("toml"), "{}", text(&output));
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["Cargo.toml", "burn.toml", "cubecl.toml", "labels.png", "picture.png"]);
    // Builds that measure kernels cache the results.
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count() > 0, cfg!(feature = "gpu-tuned"));
}

#[test]
fn half_is_for_gpus() {
    let folder = tempfile::tempdir().unwrap();
    let (labels, picture) = (folder.path().join("labels.png"), folder.path().join("picture.png"));
    LabelMap::filled(32, 32, 1).unwrap().save(&labels, &ClassTable::cmp_facades()).unwrap();
    let (labels, picture_text) = (labels.to_str().unwrap(), picture.to_str().unwrap());
    let without_half = software().filter(|device| !device.supports_half());
    for device in std::iter::once(Device::cpu()).chain(without_half) {
        let (model, name) = (model(), device.info().name.as_str());
        let output =
            semsynth(&["synth", "--half", "--device", name, "--model", &model, "--labels", labels, "-o", picture_text]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(name) && !picture.exists(), "{}", text(&output));
    }
}

#[test]
fn synth_paints_a_folder_and_names_what_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let (maps, out) = (folder.path().join("maps"), folder.path().join("out"));
    std::fs::create_dir(&maps).unwrap();
    let classes = ClassTable::cmp_facades();
    for name in ["a.png", "b.png"] {
        LabelMap::filled(32, 32, 2).unwrap().save(maps.join(name), &classes).unwrap();
    }
    image::GrayImage::from_pixel(32, 32, image::Luma([77])).save(maps.join("bad.png")).unwrap();
    let (maps, out_text) = (maps.to_str().unwrap(), out.to_str().unwrap());
    let output = semsynth(&["synth", "--device", "cpu", "--model", &model(), "--labels", maps, "-o", out_text]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("bad.png") && said.contains("77") && said.contains("2 of 3"), "{said}");
    assert!(out.join("a.png").exists() && out.join("b.png").exists() && !out.join("bad.png").exists());
}

/// A label map can be hours of work: no picture ever overwrites one.
#[test]
fn synth_never_writes_over_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let maps = folder.path();
    let classes = ClassTable::cmp_facades();
    let labels = maps.join("labels.png");
    LabelMap::filled(32, 32, 2).unwrap().save(&labels, &classes).unwrap();
    let before = std::fs::read(&labels).unwrap();
    let (maps_text, labels_text) = (maps.to_str().unwrap(), labels.to_str().unwrap());
    for (from, to) in [(labels_text, labels_text), (labels_text, maps_text), (maps_text, maps_text)] {
        let output = semsynth(&["synth", "--device", "cpu", "--model", &model(), "--labels", from, "-o", to]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("label map"), "{}", text(&output));
    }
    // Two label maps for one picture.
    image::RgbImage::from_pixel(32, 32, image::Rgb(classes.get(1).unwrap().color))
        .save(maps.join("labels.jpg"))
        .unwrap();
    let out = maps.join("out");
    let output = semsynth(&["synth", "-m", &model(), "-l", maps_text, "-o", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("both"), "{}", text(&output));
    // A format that cannot be written.
    let old = maps.join("old.webp");
    std::fs::write(&old, "precious").unwrap();
    let output = semsynth(&["synth", "-m", &model(), "-l", labels_text, "-o", old.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read(&old).unwrap(), b"precious");
    assert_eq!(std::fs::read(&labels).unwrap(), before);
}

#[test]
fn statistics_and_tolerance_are_heeded() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.png");
    let ids = (0..64 * 32).map(|pixel| (pixel / 16 % 12) as u16).collect();
    LabelMap::new(64, 32, ids).unwrap().save(&labels, &ClassTable::cmp_facades()).unwrap();
    let paint = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let model = model();
        let usual =
            ["synth", "--device", "cpu", "-m", &model, "-l", labels.to_str().unwrap(), "-o", out.to_str().unwrap()];
        let output = semsynth(&[usual.as_slice(), more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        std::fs::read(out).unwrap()
    };
    let usual = paint("usual.png", &[]);
    assert_eq!(paint("running.png", &["--statistics", "running"]), usual);
    assert_ne!(paint("batch.png", &["--statistics", "batch"]), usual);
    let output = semsynth(&["inspect", labels.to_str().unwrap(), "--tolerance", "9"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("nearest-color"), "{}", text(&output));
}

#[test]
fn inspect_describes_models_and_label_maps() {
    let output = semsynth(&["inspect", &model()]);
    assert_eq!(output.status.code(), Some(0));
    let said = text(&output);
    for expected in ["CLADE", "ngf 2", "64x32", "cornice", "2 steps", "running averages", "procedural facades"] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.png");
    image::GrayImage::from_pixel(8, 8, image::Luma([255])).save(&path).unwrap();
    let output = semsynth(&["inspect", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("255"), "{}", text(&output));
}

#[test]
fn networks_with_any_number_of_doublings_are_benchmarked() {
    for (upsampling, doublings) in [("two", "2 doublings"), ("four", "4 doublings"), ("more", "6 doublings")] {
        let usual =
            ["bench", "--upsampling", upsampling, "--ngf", "2", "--size", "64", "--runs", "1", "--device", "cpu"];
        for more in [[].as_slice(), &["--train", "--batch", "1"]] {
            let output = semsynth(&[usual.as_slice(), more].concat());
            assert!(output.status.success() && text(&output).contains(doublings), "{}", text(&output));
        }
    }
}

#[test]
fn devices_are_listed_with_a_reason() {
    let output = semsynth(&["devices"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains("cpu") && text(&output).contains("auto picks"), "{}", text(&output));
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    assert_eq!(semsynth(&["synth"]).status.code(), Some(2));
    assert_eq!(semsynth(&["train", "--size", "100", "--out", "never-made"]).status.code(), Some(2));
    let scales = ["train", "--arch", "pix2pix", "--upsampling", "two", "--out", "never-made"];
    assert_eq!(semsynth(&scales).status.code(), Some(2));
    assert!(!Path::new("never-made").exists(), "a refused run left a folder");
    let refused = semsynth(&["bench", "--arch", "pix2pixhd", "--upsampling", "two"]);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("--upsampling"), "{}", text(&refused));
    assert_eq!(semsynth(&["train", "--device", "gpu:77"]).status.code(), Some(2));
    let missing = semsynth(&["inspect", "no-such-model.safetensors"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing).contains("no-such-model.safetensors"));
    let unknown = semsynth(&["synth", "-m", "builtin:nothing", "-l", "x.png", "-o", "y.png"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).contains("nothing"), "{}", text(&unknown));
    let nothing = semsynth(&["inspect", file!()]);
    assert_eq!(nothing.status.code(), Some(1));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_resume_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let out_text = out.to_str().unwrap();
    let arguments =
        ["--steps", "100000", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "32", "--device", "cpu"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_semsynth"))
        .args([&["train", "--out", out_text], arguments.as_slice()].concat())
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = out.join("log.jsonl");
    for _ in 0..600 {
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(out.join("checkpoint.safetensors").exists() && out.join("model.safetensors").exists());
    let steps = semsynth::train::TrainLog::read(&log).unwrap().last().unwrap().step;
    let more = (steps + 20).to_string();
    let output = semsynth(&["train", "--resume", out_text, "--steps", &more, "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(semsynth::train::TrainLog::read(&log).unwrap().last().unwrap().step > steps);
}

/// A checkpoint of a small SEAN for the 12 facade classes, with the official names.
fn checkpoint(folder: &Path) -> String {
    let style = StyleConfig::Regions { length: 6, encoder: Some(2) };
    let config = GeneratorConfig { style, ..GeneratorConfig::new(ModulationKind::Sean, 2, 12) };
    let network = Architecture::SpadeFamily(config).init(&mut Init::random(2, &burn::tensor::Device::flex())).unwrap();
    let tensors = model::store(&network, Precision::Full).unwrap();
    let path = folder.join("latest_net_G.safetensors");
    tensors.save(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn checkpoints_are_imported_and_painted_in_styles() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let checkpoint = checkpoint(folder.path());
    let model = path("sean.safetensors");
    let import = |more: &[&str]| semsynth(&[&["import", &checkpoint, "--classes", "cmp-facades"], more].concat());
    let refused = import(&["-o", &model, "--arch", "spade"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(text(&refused).contains("holds sean") && text(&refused).contains("--arch"), "{}", text(&refused));
    assert!(!Path::new(&model).exists());
    assert_eq!(import(&["-o", &path("sean.pth")]).status.code(), Some(2));
    assert_eq!(import(&["-o", &checkpoint]).status.code(), Some(2), "never over its input");
    let done = import(&["-o", &model, "--arch", "sean", "--licence", "CC0-1.0", "--size", "64"]);
    assert!(done.status.success() && text(&done).contains("SEAN"), "{}", text(&done));

    let labels = path("labels.png");
    let map = LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (pixel / 16 % 12) as u16).collect()).unwrap();
    map.save(&labels, &ClassTable::cmp_facades()).unwrap();
    let photo = |name: &str, step: u32| {
        let byte = |x: u32, y: u32| ((x * step + y * 3) % 256) as u8;
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([byte(x, y), byte(y, x), 90])).save(path(name)).unwrap();
        path(name)
    };
    let (photo_a, photo_b) = (photo("a.png", 2), photo("b.png", 5));
    let encode = |photo: &str, style: &str| {
        let labels = labels.as_str();
        let output =
            semsynth(&["style", "encode", "-m", &model, "-p", photo, "-l", labels, "-o", style, "--device", "cpu"]);
        assert!(output.status.success() && text(&output).contains("12 classes"), "{}", text(&output));
    };
    let (a, b) = (path("a.safetensors"), path("b.safetensors"));
    encode(&photo_a, &a);
    encode(&photo_b, &b);
    let mixed = path("mixed.safetensors");
    let output = semsynth(&["style", "blend", &a, &b, "-c", "window", "-c", "3", "-w", "0.5", "-o", &mixed]);
    assert!(output.status.success(), "{}", text(&output));
    let output = semsynth(&["style", "blend", &a, &b, "-c", "99", "-o", &mixed]);
    assert!(output.status.code() == Some(2) && text(&output).contains("no class \"99\""), "{}", text(&output));
    assert!(semsynth(&["style", "mean", &a, &b, "-o", &path("mean.safetensors")]).status.success());
    assert!(semsynth(&["style", "interpolate", &a, &b, "-n", "3", "-o", &path("steps")]).status.success());
    assert_eq!(std::fs::read(path("steps/0.safetensors")).unwrap(), std::fs::read(&a).unwrap());
    assert_eq!(std::fs::read(path("steps/2.safetensors")).unwrap(), std::fs::read(&b).unwrap());
    assert_eq!(semsynth(&["style", "mean", &a, "-o", &labels]).status.code(), Some(2), "never over a picture");

    let paint = |name: &str, more: &[&str]| {
        let picture = path(name);
        let start = ["synth", "-m", &model, "-l", &labels, "-o", &picture, "--device", "cpu"];
        (semsynth(&[start.as_slice(), more].concat()), picture)
    };
    let (output, _) = paint("none.png", &[]);
    assert!(output.status.code() == Some(2) && text(&output).contains("--style-photo"), "{}", text(&output));
    let picture = |name: &str, more: &[&str]| {
        let (output, picture) = paint(name, more);
        assert!(output.status.success(), "{}", text(&output));
        std::fs::read(picture).unwrap()
    };
    let plain = picture("p1.png", &["--style", &a]);
    assert_eq!(plain, picture("p2.png", &["--style-photo", &photo_a, "--style-labels", &labels]));
    let all: Vec<String> = (0..7).map(|block| format!("--block-style={block}={a}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(plain, picture("p3.png", &[&["--style", &b], all.as_slice()].concat()));
    for wrong in [["--block-style", "x=1"], ["--instances", labels.as_str()]] {
        let (output, _) = paint("wrong.png", &[&["--style", a.as_str()], wrong.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    }
}

/// The command with its standard output or error in a pipe that nobody reads.
#[cfg(unix)]
fn unread(arguments: &[&str], errors: bool) -> std::process::Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_semsynth"));
    if errors {
        command.stderr(writer)
    } else {
        command.stdout(writer)
    };
    // Mesa complains without one.
    command.env("XDG_RUNTIME_DIR", std::env::temp_dir()).args(arguments).output().unwrap()
}

/// As in `semsynth models | head -1`: the program ends as others do in a pipe, without a word.
#[cfg(unix)]
#[test]
fn results_that_nobody_reads_end_the_program_quietly() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let data = folder.path().to_str().unwrap();
    for arguments in [
        &["models"][..],
        &["models", "--names"],
        &["devices"],
        &["inspect", "builtin:facades"],
        &["data", "check", data],
    ] {
        let output = unread(arguments, false);
        assert_eq!((output.status.code(), text(&output).as_str()), (Some(141), ""), "{arguments:?}");
    }
    // A full disk is an error with a name.
    if cfg!(target_os = "linux") {
        let full = std::fs::File::create("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_semsynth")).arg("models").stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).starts_with("error: ") && text(&output).contains("standard output"), "{}", text(&output));
    }
}

/// As in `semsynth train 2>&1 | head`: no step is lost because nobody reads of the progress any more.
#[cfg(unix)]
#[test]
fn training_goes_on_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let arguments = ["--steps", "2", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "32", "--device", "cpu"];
    let output = unread(&[&["train", "--out", out.to_str().unwrap()], arguments.as_slice()].concat(), true);
    assert!(output.status.success() && text(&output).contains("after 2 steps"), "{}", text(&output));
    assert!(out.join("model.safetensors").exists());
}

/// Built-in models are listed with what one needs to know, and each is shown.
#[test]
fn models_are_listed_and_shown() {
    let output = semsynth(&["models"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    let names = semsynth(&["models", "--names"]);
    for name in semsynth::Model::builtins() {
        let model = semsynth::Model::builtin(name).unwrap();
        assert!(said.contains(&format!("builtin:{name}")) && said.contains(&model.manifest().licence), "{said}");
        assert!(model.classes().iter().all(|class| said.contains(&class.name)), "{said}");
        assert!(model.presets().iter().all(|preset| said.contains(&preset.name)), "{said}");
        assert!(text(&names).lines().any(|line| line == name));
    }

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let output = semsynth(&["demo", "--device", "cpu", "-o", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for name in semsynth::Model::builtins() {
        let model = semsynth::Model::builtin(name).unwrap();
        let labels = LabelMap::open(out.join(format!("{name}-labels.png")), model.classes()).unwrap();
        let parts: Vec<String> = match model.presets() {
            [] => vec![String::new()],
            presets => presets.iter().map(|preset| format!("-{}", preset.name)).collect(),
        };
        for part in parts {
            let size = image::image_dimensions(out.join(format!("{name}{part}.png"))).unwrap();
            assert_eq!(size, (labels.width() as u32, labels.height() as u32));
        }
    }
}

/// A preset is chosen by name; without one, the first is used.
#[test]
fn synth_takes_presets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let arguments = ["--steps", "2", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "32"];
    std::fs::write(
        path("recipe.ron"),
        "(set: Terrain, modulation: CladeStyled, style_length: 8, upsampling: Three, load_scale: 1.0)",
    )
    .unwrap();
    let output = semsynth(
        &[&["train", "--device", "cpu", "--recipe", &path("recipe.ron"), "--out", &path("run")], arguments.as_slice()]
            .concat(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let model = path("run/model.safetensors");
    assert!(text(&semsynth(&["inspect", &model])).contains("temperate"));
    LabelMap::filled(40, 40, 4).unwrap().save(path("labels.png"), &ClassTable::terrain()).unwrap();
    let paint = |arguments: &[&str]| {
        let common = ["synth", "--device", "cpu", "-m", &model, "-l", &path("labels.png"), "-o", &path("out.png")];
        let output = semsynth(&[common.as_slice(), arguments].concat());
        (output.status.code(), text(&output), std::fs::read(path("out.png")).unwrap_or_default())
    };
    let (code, said, default) = paint(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(paint(&["--preset", "temperate"]).2, default);
    assert_ne!(paint(&["--preset", "desert"]).2, default);
    let (code, said, _) = paint(&["--preset", "moon"]);
    assert!(code == Some(2) && said.contains("moon") && said.contains("desert"), "{code:?} {said}");
    assert_eq!(paint(&["--preset", "desert", "--style", "x"]).0, Some(2));
}

/// A data set whose label maps have the classes of the trained model.
fn data_set(folder: &Path) {
    let classes = ClassTable::cmp_facades();
    classes.save(folder.join("classes.ron")).unwrap();
    for split in ["train", "val"] {
        for (part, place) in [("img", 0), ("label", 1)] {
            std::fs::create_dir_all(folder.join(split).join(part)).unwrap();
            for id in 0..3u16 {
                let path = folder.join(split).join(part).join(format!("{id}.png"));
                if place == 1 {
                    LabelMap::filled(64, 32, id).unwrap().save(path, &classes).unwrap();
                } else {
                    image::RgbImage::from_fn(64, 32, |x, y| image::Rgb([(x * 3) as u8, y as u8 * 7, id as u8 * 50]))
                        .save(path)
                        .unwrap();
                }
            }
        }
    }
}

#[test]
fn eval_measures_a_model_and_pictures_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, data, out) = (model(), path(""), path("out"));
    let model_run = || semsynth(&["eval", "--device", "cpu", "--model", &model, "--data", &data, "--out", &out]);
    let output = model_run();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for part in ["3 pictures", "64x32", "PSNR", "SSIM", "RMSE", "eval.json"] {
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
    let first: serde_json::Value = serde_json::from_slice(&std::fs::read(path("out/eval.json")).unwrap()).unwrap();
    let again = model_run();
    assert!(text(&again).contains("3 results of earlier"), "{}", text(&again));
    let second: serde_json::Value = serde_json::from_slice(&std::fs::read(path("out/eval.json")).unwrap()).unwrap();
    assert_eq!(first, second);

    // The same pictures, painted by `synth`.
    let (maps, painted, photos) = (path("val/label"), path("painted"), path("val/img"));
    let output = semsynth(&["synth", "--device", "cpu", "--model", &model, "--labels", &maps, "-o", &painted]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let out = path("out-pictures");
    let output = semsynth(&["eval", "--pictures", &painted, "--truth", &photos, "--out", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let third: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("out-pictures/eval.json")).unwrap()).unwrap();
    assert_eq!(first["similarity"], third["similarity"]);

    // What is missing is named, before anything is measured.
    for (arguments, part) in [
        (vec!["--lpips", &maps], "label"),
        (vec!["--fid", "no-such-file.pth"], "no-such-file.pth"),
        (vec!["--segmenter", &model], "ESPNet"),
    ] {
        let output =
            semsynth(&[&["eval", "--pictures", &painted, "--truth", &photos, "--out", &out], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
    let output = semsynth(&["eval", "--model", &model, "--data", &data, "--pictures", &painted, "--truth", &photos]);
    assert_eq!(output.status.code(), Some(2));
    // Classes of another data set.
    let output = semsynth(&["eval", "--model", &model, "--data", &data, "--classes", "ade20k", "--out", &out]);
    assert!(!output.status.success() && text(&output).contains("--classes"), "{}", text(&output));
}

/// Weights of networks that measure or train, damaged in every way, are named with what they should be, before any work.
#[test]
fn weights_that_cannot_be_used_are_named_first() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let whole = std::fs::read(model()).unwrap();
    std::fs::write(path("empty.pth"), "").unwrap();
    std::fs::write(path("cut.safetensors"), &whole[..whole.len() * 2 / 3]).unwrap();
    std::fs::write(path("cut.pth"), b"PK\x03\x04 and nothing more").unwrap();
    std::fs::write(path("page.pth"), "<html>404 Not Found</html>").unwrap();
    std::fs::write(path("other.safetensors"), &whole).unwrap();
    std::fs::write(path("table.ron"), r#"(images: 2, rows: [(name: "One", system: "clade")])"#).unwrap();
    let (data, out, model, table) = (path(""), path("out"), model(), path("table.ron"));
    let small = ["--data", &data, "--steps", "1", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "64x32"];
    let eval = ["eval", "--device", "cpu", "--model", &model, "--data", &data, "--out", &out];
    let train = [&["train", "--device", "cpu", "--out", &out], small.as_slice()].concat();
    let tables = ["train", "--device", "cpu", "--table", &table, "--data", &data, "--out", &out, "--size", "64x32"];
    for name in ["missing.pth", "empty.pth", "cut.safetensors", "cut.pth", "page.pth", "other.safetensors"] {
        for (command, flag, what) in [
            (eval.as_slice(), "--lpips", "AlexNet or VGG16"),
            (&eval, "--fid", "pt_inception-2015-12-05"),
            (&eval, "--segmenter", "ESPNet with its decoder"),
            (&train, "--vgg", "VGG19"),
            (&tables, "--vgg", "VGG19"),
            (&tables, "--segmenter", "ESPNet with its decoder"),
        ] {
            let output = semsynth(&[command, &[flag, &path(name)]].concat());
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{flag} {name}: {said}");
            let error = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
            assert!(error.contains(&path(name)) && error.contains(what), "{flag} {name}: {said}");
            assert!(!Path::new(&out).exists(), "{flag} {name}: {said}");
        }
    }
}

/// A model that paints from photos needs them: `--bank` for `synth`, the training split for `eval`.
#[test]
fn sims_is_trained_and_paints_with_a_bank() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, run) = (path(""), path("run"));
    let sizes = ["--steps", "2", "--batch", "1", "--ngf", "2", "--ndf", "2", "--size", "64x32"];
    let train = ["train", "--device", "cpu", "--arch", "sims", "--data", &data, "--out", &run];
    let output = semsynth(&[train.as_slice(), &sizes].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let (sims, maps, painted) = (path("run/model.safetensors"), path("val/label"), path("painted"));
    let synth = |model: &str, flags: &[&str]| {
        let arguments = ["synth", "--device", "cpu", "--model", model, "--labels", &maps, "-o", &painted];
        let output = semsynth(&[arguments.as_slice(), flags].concat());
        (output.status.code(), text(&output))
    };
    let (code, message) = synth(&sims, &[]);
    assert!(code == Some(2) && message.contains("--bank DIR"), "{message}");
    let (code, message) = synth(&sims, &["--bank", &data]);
    assert!(code == Some(0) && message.contains("3 segments of 3 photos"), "{message}");
    assert_eq!(image::image_dimensions(path("painted/2.png")).unwrap(), (64, 32));
    let (code, message) = synth(&model(), &["--bank", &data]);
    assert!(code == Some(2) && message.contains("without photos"), "{message}");
    let out = path("out");
    let output = semsynth(&["eval", "--device", "cpu", "--model", &sims, "--data", &data, "--out", &out]);
    assert!(output.status.success() && text(&output).contains("segments of 3 photos"), "{}", text(&output));
}

#[test]
fn a_segmenter_is_trained_resumed_and_used() {
    let folder = tempfile::tempdir().unwrap();
    data_set(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, out, model) = (path(""), path("segmenter"), model());
    let flags = ["train-segmenter", "--device", "cpu", "--blocks", "1", "--batch", "2"];
    let flags = [flags.as_slice(), &["--data", &data, "--size", "64x32"]].concat();
    let train = |steps: &str, out: &str| semsynth(&[flags.as_slice(), &["--steps", steps, "--out", out]].concat());
    let output = train("2", &out);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for part in ["mIoU", "pixel accuracy", "3 pictures", "segmenter.safetensors", "background"] {
        assert!(text(&output).contains(part), "{part}: {}", text(&output));
    }
    let score: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("segmenter/score.json")).unwrap()).unwrap();
    assert_eq!((&score["classes"], &score["steps"], &score["pictures"]), (&12.into(), &2.into(), &3.into()));
    assert!(score["mean_iou"].is_number() && score["pixel_accuracy"].is_number(), "{score}");
    let found = image::image_dimensions(path("segmenter/sheet.png")).unwrap();
    assert!(found.0 > 3 * 64 && found.1 > 3 * 32);
    // A folder is not overwritten. A run goes on as if it had never been stopped, and flags reach it.
    assert!(text(&train("2", &out)).contains("already holds a run"));
    let output = semsynth(&["train-segmenter", "--device", "cpu", "--resume", &out, "--steps", "3"]);
    assert!(output.status.success() && text(&output).contains("after 3 steps"), "{}", text(&output));
    // Measured with it, the photos are those of the data set.
    let segmenter = path("segmenter/segmenter.safetensors");
    let said = text(&semsynth(&["inspect", &segmenter]));
    assert!(said.contains("a segmentation network") && said.contains("12 classes (background"), "{said}");
    let said = text(&semsynth(&["inspect", &path("segmenter/checkpoint.safetensors")]));
    assert!(said.contains("train-segmenter --resume"), "{said}");
    let eval = |data: &str, more: &[&str]| {
        let arguments = ["eval", "--device", "cpu", "--model", &model, "--data", data, "--segmenter", &segmenter];
        semsynth(&[arguments.as_slice(), more].concat())
    };
    let output = eval(&data, &["--out", &path("eval")]);
    assert!(output.status.success() && text(&output).contains("mIoU"), "{}", text(&output));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path("eval/eval.json")).unwrap()).unwrap();
    let score: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("segmenter/score.json")).unwrap()).unwrap();
    assert_eq!(report["segmentation_of_photos"]["iou"], score["iou"]);
    // A table takes it too.
    std::fs::write(path("table.ron"), r#"(images: 2, rows: [(name: "One", system: "clade")])"#).unwrap();
    let table = ["train", "--device", "cpu", "--table", &path("table.ron"), "--data", &data, "--out", &path("table")];
    let small = ["--ngf", "2", "--ndf", "2", "--size", "64x32", "--segmenter", &segmenter];
    let output = semsynth(&[table.as_slice(), &small].concat());
    assert!(output.status.success() && text(&output).contains("mIoU"), "{}", text(&output));
    // Classes that it was not trained on.
    let classes = ClassTable::new(ClassTable::cmp_facades().iter().take(3).cloned().collect()).unwrap();
    let few = folder.path().join("few.ron");
    classes.save(&few).unwrap();
    let (painted, labels) = (path("val/img"), path("val/label"));
    let arguments = ["eval", "--pictures", &painted, "--truth", &painted, "--labels", &labels, "--classes"];
    let output = semsynth(&[arguments.as_slice(), &[few.to_str().unwrap(), "--segmenter", &segmenter]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("trained on 12 classes, the label maps have 3"), "{}", text(&output));
    assert!(text(&output).contains("train-segmenter"), "{}", text(&output));
}
