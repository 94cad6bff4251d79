//! Model files: a written file can be read, and malformed files cause errors, never a panic.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::OnceLock;

use proptest::prelude::*;
use semsynth::label::{ClassTable, LabelMap};
use semsynth::model::{self, FORMAT, Manifest, Precision, Preset, Provenance};
use semsynth::network::{Architecture, GeneratorConfig, Pix2PixHdConfig, StyleConfig, UNetConfig, Upsampling};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{Init, Statistics};
use semsynth::tensors::Tensors;
use semsynth::{Device, Error, Image, Model, Request, Style, Synthesizer};

fn config() -> GeneratorConfig {
    GeneratorConfig::clade(2, 12)
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        name: "test".into(),
        architecture: Architecture::SpadeFamily(config()),
        classes: ClassTable::cmp_facades(),
        statistics: Statistics::Running,
        native_size: [64, 64],
        value_range: [-1.0, 1.0],
        provenance: Provenance::default(),
        licence: "CC0-1.0".into(),
        presets: Vec::new(),
    }
}

fn weights() -> Tensors {
    let device = burn::tensor::Device::flex();
    let network = config().init(&mut Init::random(3, &device)).unwrap().folded();
    model::store(&network, Precision::Full).unwrap()
}

fn file_of(tensors: &Tensors, manifest: &str) -> Vec<u8> {
    let mut tensors = tensors.clone();
    tensors.set_metadata("semsynth", manifest);
    tensors.to_safetensors().unwrap()
}

/// A valid model file.
fn valid() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| file_of(&weights(), &manifest().to_ron_string().unwrap()))
}

fn message(bytes: &[u8]) -> String {
    match Model::from_bytes(bytes) {
        Ok(_) => panic!("a malformed file was accepted"),
        Err(error @ (Error::Model(_) | Error::Limit(_) | Error::UnsupportedFormat { .. })) => error.to_string(),
        Err(other) => panic!("wrong kind of error: {other:?}"),
    }
}

#[test]
fn what_is_written_is_read() {
    let model = Model::from_bytes(valid()).unwrap();
    assert_eq!(model.manifest(), &manifest());
    assert_eq!(model.to_bytes().unwrap(), valid());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    model.save(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), valid());
    let again =
        model::store(&Model::open(&path).unwrap().network(&burn::tensor::Device::flex()).unwrap(), Precision::Full);
    assert!(again.unwrap().iter().eq(weights().iter()), "the weights changed");
}

#[test]
fn every_fault_is_named() {
    let ron = manifest().to_ron_string().unwrap();
    let mut missing = weights();
    missing.remove("conv_img.weight");
    assert!(message(&file_of(&missing, &ron)).contains("\"conv_img.weight\" is missing"));

    let mut extra = weights();
    extra.insert_f32("up_9.weight", vec![1], vec![0.0]).unwrap();
    assert!(message(&file_of(&extra, &ron)).contains("up_9.weight"));

    let mut reshaped = weights();
    reshaped.remove("conv_img.weight");
    reshaped.insert_f32("conv_img.weight", vec![3, 2, 3, 4], vec![0.0; 72]).unwrap();
    let text = message(&file_of(&reshaped, &ron));
    assert!(text.contains("[3, 2, 3, 4]") && text.contains("[3, 2, 3, 3]"), "{text}");

    let mut broken = weights();
    broken.remove("conv_img.bias");
    broken.insert_f32("conv_img.bias", vec![3], vec![0.0, f32::NAN, 0.0]).unwrap();
    assert!(message(&file_of(&broken, &ron)).contains("not finite"));

    assert!(message(&weights().to_safetensors().unwrap()).contains("no manifest"));
    assert!(message(b"").contains("cut short"));
}

#[test]
fn manifests_are_checked() {
    let ron = manifest().to_ron_string().unwrap();
    let weights = weights();
    let with = |from: &str, to: &str| {
        assert!(ron.contains(from), "{ron}");
        message(&file_of(&weights, &ron.replacen(from, to, 1)))
    };
    assert!(with("format: 1", "format: 2").contains("another version"));
    let error = Model::from_bytes(&file_of(&weights, &ron.replace("format: 1", "format: 2"))).unwrap_err();
    assert!(matches!(error, Error::UnsupportedFormat { found: 2, supported: 1, .. }), "{error:?}");
    assert!(with("ngf: 2", "ngf: 4").contains("shape"));
    assert!(with("ngf: 2", "ngf: 1000000").contains("ngf"));
    assert!(with("label_channels: 12", "label_channels: 3").contains("label channels"));
    assert!(with("name: \"facade\"", "name: \"window\"").contains("window"));
    assert!(with("licence", "license").contains("licen"));
    assert!(with("64", "0").contains("native size"));
    assert!(with("(", "[").contains("malformed"));
}

/// A small file that claims to hold the largest network: it is rejected at once, without allocating that much.
#[test]
fn a_small_file_cannot_claim_a_huge_network() {
    let spade = GeneratorConfig { label_channels: 65_535, ..GeneratorConfig::spade(1024, 12) };
    let style = StyleConfig::Regions { length: 4096, encoder: Some(1024) };
    let sean = GeneratorConfig { label_channels: 1024, style, ..GeneratorConfig::sean(1024, 12) };
    let local = Pix2PixHdConfig { downsamplings: 6, blocks: 32, ..Pix2PixHdConfig::new(256, 12) };
    let unet = UNetConfig { downsamplings: 10, ..UNetConfig::new(256, 12) };
    for architecture in [
        Architecture::SpadeFamily(spade),
        Architecture::SpadeFamily(sean),
        Architecture::Pix2PixHd(Pix2PixHdConfig { enhancer_blocks: Some(32), ..local }),
        Architecture::Pix2Pix(unet),
    ] {
        let name = architecture.describe();
        let manifest = Manifest { architecture, ..manifest() };
        let start = std::time::Instant::now();
        let text = message(&file_of(&weights(), &manifest.to_ron_string().unwrap()));
        assert!(text.contains("tensor"), "{name}: {text}");
        assert!(start.elapsed().as_secs() < 5, "{name} took {:?}", start.elapsed());
    }
}

/// A model with a style per class of three values, for two classes.
fn styled() -> Model {
    let style = StyleConfig::Regions { length: 3, encoder: None };
    let modulation = ModulationKind::CladeStyled;
    let config = GeneratorConfig { style, upsampling: Upsampling::Two, ..GeneratorConfig::new(modulation, 2, 12) };
    let architecture = Architecture::SpadeFamily(config);
    let network = architecture.init(&mut Init::random(5, &burn::tensor::Device::flex())).unwrap();
    let manifest = Manifest { architecture, ..manifest() };
    Model::from_network(network, manifest, Precision::Half).unwrap()
}

#[test]
fn presets_are_styles_inside_the_file() {
    let style =
        |first: f32| Style::regions(3, (0..12).map(|row| Some(vec![first, row as f32, 0.25])).collect()).unwrap();
    let preset = |name: &str| Preset { name: name.into(), summary: format!("about {name}") };
    let plain = styled();
    let model = plain.with_presets(&[(preset("red"), style(1.0)), (preset("blue-2"), style(2.0))]).unwrap();
    let read = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(read.presets(), [preset("red"), preset("blue-2")]);
    assert_eq!(read.preset("blue-2").unwrap().to_rows(), style(2.0).to_rows());
    read.preset("red").unwrap().check_names(read.classes()).unwrap();
    assert_eq!(read.num_values(), plain.num_values());
    let error = read.preset("green").unwrap_err().to_string();
    assert!(error.contains("green") && error.contains("red") && error.contains("blue-2"), "{error}");
    // Presets are replaced, not added.
    assert_eq!(read.with_presets(&[(preset("grey"), style(3.0))]).unwrap().presets().len(), 1);

    // The first is the default; without presets, a style is needed.
    let labels = LabelMap::filled(16, 16, 3).unwrap();
    let paint = |model: &Model, request: &Request| {
        Synthesizer::new(model, &Device::cpu()).unwrap().run(&labels, request).map(Image::into_bytes)
    };
    let (default, red) = (Request::new(), Request::new().style(&read.preset("red").unwrap()));
    assert_eq!(paint(&read, &default).unwrap(), paint(&read, &red).unwrap());
    let blue = Request::new().style(&read.preset("blue-2").unwrap());
    assert_ne!(paint(&read, &blue).unwrap(), paint(&read, &red).unwrap());
    assert!(matches!(paint(&plain, &default), Err(Error::StyleNeeded)));

    let fault = |presets: &[(Preset, Style)]| plain.with_presets(presets).unwrap_err().to_string();
    assert!(fault(&[(preset("Red"), style(1.0))]).contains("lower-case"));
    assert!(fault(&[(preset("a"), style(1.0)), (preset("a"), style(1.0))]).contains("unique"));
    let short = Style::regions(2, vec![Some(vec![0.0; 2]); 12]).unwrap();
    assert!(fault(&[(preset("a"), short)]).contains("[12, 3]"));
    let unstyled = Model::from_bytes(valid()).unwrap();
    let error = unstyled.with_presets(&[(preset("a"), style(1.0))]).unwrap_err().to_string();
    assert!(error.contains("takes no styles"), "{error}");

    // What a file could claim.
    let text = model.manifest().to_ron_string().unwrap();
    let mut missing = model.tensors().clone();
    missing.remove("preset.red");
    assert!(message(&file_of(&missing, &text)).contains("preset.red"));
    let mut extra = model.tensors().clone();
    extra.insert_f32("preset.green", vec![12, 3], vec![0.0; 36]).unwrap();
    assert!(message(&file_of(&extra, &text)).contains("preset.green"));
    let mut infinite = model.tensors().clone();
    infinite.remove("preset.red");
    infinite.insert_f32("preset.red", vec![12, 3], vec![f32::INFINITY; 36]).unwrap();
    assert!(message(&file_of(&infinite, &text)).contains("preset.red"));
}

#[test]
fn truncated_files_are_refused() {
    let bytes = valid();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for length in (0..header.min(4096)).chain((header..bytes.len()).step_by(997)) {
        message(&bytes[..length]);
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    message(&longer);
}

#[test]
fn half_precision_halves_the_file_and_keeps_three_digits() {
    let device = burn::tensor::Device::flex();
    let network = config().init(&mut Init::random(3, &device)).unwrap().folded();
    let mut half = model::store(&network, Precision::Half).unwrap();
    half.set_metadata("semsynth", manifest().to_ron_string().unwrap());
    let bytes = half.to_safetensors().unwrap();
    assert!(bytes.len() < valid().len() * 2 / 3, "{} {}", bytes.len(), valid().len());
    let read = Model::from_bytes(&bytes).unwrap().network(&device).unwrap();
    let read = model::store(&read, Precision::Full).unwrap();
    for (name, data) in weights().iter() {
        for (a, b) in data.to_f32().iter().zip(read.get(name).unwrap().to_f32()) {
            assert!((a - b).abs() <= a.abs() * 1e-3 + 1e-7, "{name}: {a} {b}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes changed anywhere, removed, or repeated: an error or a model, never a panic.
    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_header in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid().to_vec();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let range = if in_header { header } else { bytes.len() };
        for (index, value) in changes {
            bytes[index.index(range)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(model) = Model::from_bytes(&bytes) {
            // Whatever is accepted can be used.
            model.network(&burn::tensor::Device::flex()).unwrap();
        }
    }

    /// Changes in the text of the manifest.
    #[test]
    fn mutated_manifests_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), proptest::char::range(' ', '~')), 1..6),
    ) {
        let mut text: Vec<char> = manifest().to_ron_string().unwrap().chars().collect();
        for (index, character) in changes {
            let index = index.index(text.len());
            text[index] = character;
        }
        let text: String = text.into_iter().collect();
        if let Ok(model) = Model::from_bytes(&file_of(&weights(), &text)) {
            model.network(&burn::tensor::Device::flex()).unwrap();
        }
    }
}
