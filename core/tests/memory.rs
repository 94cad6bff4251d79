//! Estimates of memory and time, against what a process of its own takes.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;

use semsynth::label::{Class, ClassTable, Rect, from_fn};
use semsynth::model::{FORMAT, Manifest, Model, Precision, Provenance};
use semsynth::network::System;
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{Init, Statistics};
use semsynth::synth::{Control, PreparedModel, Request};
use semsynth::{Device, sink};

/// Names the case that [`paints_in_a_process_of_its_own`] runs: model, width, and height.
const CASE: &str = "SEMSYNTH_MEMORY_CASE";

/// A figure of this process, in bytes.
fn status(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").parse().ok().map(|kibibytes: usize| kibibytes << 10)
}

/// Writes a model of 12 classes with random weights, and returns its path.
fn random_model(folder: &Path, kind: ModulationKind, ngf: usize) -> String {
    let architecture = System::Modulation(kind).architecture(ngf, 12);
    let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
    let manifest = Manifest {
        format: FORMAT,
        name: "random".into(),
        architecture: architecture.clone(),
        classes: ClassTable::new((0..12).map(class).collect()).unwrap(),
        statistics: Statistics::Running,
        native_size: [256, 256],
        value_range: [-1.0, 1.0],
        provenance: Provenance::default(),
        licence: "CC0-1.0".into(),
        presets: Vec::new(),
    };
    let weights = architecture.init(&mut Init::random(1, &burn::tensor::Device::flex())).unwrap();
    let path = folder.join(format!("{}-{ngf}.safetensors", System::Modulation(kind).name()));
    Model::from_network(weights, manifest, Precision::Full).unwrap().save(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Paints one picture of blocks, with neither labels nor picture in memory, and prints its memory and the estimate.
#[test]
#[ignore = "estimates_are_near runs it, in a process of its own"]
fn paints_in_a_process_of_its_own() {
    let case = std::env::var(CASE).unwrap_or("builtin:facades 256 256".into());
    let [model, width, height] = case.split(' ').collect::<Vec<_>>()[..] else { panic!("{case}") };
    let area = Rect { x: 0, y: 0, width: width.parse().unwrap(), height: height.parse().unwrap() };
    let prepared = PreparedModel::new(Model::open(Path::new(model)).unwrap(), &Device::cpu()).unwrap();
    let known: Vec<u16> = prepared.manifest().classes.iter().map(|class| class.id).collect();
    let mut labels = from_fn(|area: Rect, ids: &mut [u16]| {
        let width = i64::from(area.width);
        for (i, to) in (0..).zip(ids) {
            let (x, y) = ((area.x + i % width) / 40, (area.y + i / width) / 24);
            *to = known[(x * 7 + y * 3 + x * y) as usize % known.len()];
        }
        Ok(())
    });
    let mut synth = prepared.synthesizer();
    let estimate = synth.estimate(area, &Request::new()).unwrap();
    let mut rows = sink::from_fn(|_, _: &[u8]| Ok(()));
    synth.synthesize(&mut labels, area, &Request::new(), &mut rows, &mut Control::new()).unwrap();
    println!("measured {} estimated {}", status("VmHWM").unwrap_or_default(), estimate.memory);
}

#[test]
fn estimates_are_near() {
    if status("VmHWM").is_none() {
        println!("skipped: this system does not tell the memory of a process");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let small = "builtin:facades";
    let [clade, spade] =
        [ModulationKind::Clade, ModulationKind::Spade { kernel: 3 }].map(|kind| random_model(folder.path(), kind, 64));
    let cases = [
        (small, 256, 256),
        (small, 512, 512),
        (small, 1024, 1024),
        (small, 4096, 512),
        (&spade, 256, 256),
        (&clade, 512, 256),
    ];
    for (model, width, height) in cases {
        let case = format!("{model} {width} {height}");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "paints_in_a_process_of_its_own"])
            .env(CASE, &case)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        let number = |name: &str| -> f64 {
            let words: Vec<&str> = text.split_whitespace().collect();
            let at = words.iter().position(|word| *word == name).unwrap_or_else(|| panic!("{case}: {text}"));
            words[at + 1].parse().unwrap()
        };
        let (measured, estimated) = (number("measured") / 1e6, number("estimated") / 1e6);
        println!("{case}: {measured:.0} MB measured, {estimated:.0} MB estimated");
        assert!(
            (0.8..1.2).contains(&(estimated / measured)),
            "{case}: {measured} MB measured, {estimated} MB estimated"
        );
    }
}
