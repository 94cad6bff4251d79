//! Importing official checkpoints: the inferred configuration, the checks, and that pictures are the same.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::tensor::Device as BurnDevice;
use common::{difference, labels_of, shared, tensor, values};
use semsynth::label::{Class, ClassTable, DistanceMap, LabelMap};
use semsynth::model::{self, ImportOptions, Precision, import_checkpoint};
use semsynth::network::{Architecture, GeneratorConfig, Pix2PixHdConfig, StyleConfig, System, UNetConfig, Upsampling};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{BlockStyles, GeneratorInput, Init, LabelEncoding, Layout, Mode, Statistics};
use semsynth::tensors::{self, Tensors};
use semsynth::{Device, Error, Model, Request, Synthesizer};

fn flex() -> BurnDevice {
    BurnDevice::flex()
}

fn table(classes: u16) -> ClassTable {
    let class =
        |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, (id >> 8) as u8, 7], dont_care: false };
    ClassTable::new((0..classes).map(class).collect()).unwrap()
}

fn options(classes: u16) -> ImportOptions {
    ImportOptions { classes: Some(table(classes)), name: "test".into(), ..ImportOptions::default() }
}

/// A checkpoint with random values, as saved in training: with spectral norm not folded, and with batch counters.
fn checkpoint(architecture: &Architecture) -> Tensors {
    let network = architecture.init(&mut Init::random(4, &flex())).unwrap();
    let mut tensors = model::store(&network, Precision::Full).unwrap();
    tensors.insert_f32("head_0.norm_0.param_free_norm.num_batches_tracked", vec![], vec![7.0]).unwrap();
    tensors
}

fn imported(architecture: &Architecture, options: &ImportOptions) -> Architecture {
    import_checkpoint(checkpoint(architecture), None, options).unwrap().architecture().clone()
}

fn message(tensors: Tensors, options: &ImportOptions) -> String {
    match import_checkpoint(tensors, None, options) {
        Ok(model) => panic!("accepted as {}", model.architecture().describe()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("--"), "a library has no flags: {text}");
            text
        }
    }
}

#[test]
fn architectures_are_read_off_the_tensors() {
    let spade = ModulationKind::Spade { kernel: 5 };
    let base = GeneratorConfig::clade(2, 5);
    let family = |config: GeneratorConfig| Architecture::SpadeFamily(config);
    for architecture in [
        family(base.clone()),
        family(GeneratorConfig { instance_edges: true, modulation: ModulationKind::CladeIcpe, ..base.clone() }),
        family(GeneratorConfig { modulation: spade, norm: semsynth::nn::NormKind::Instance, ..base.clone() }),
        family(GeneratorConfig { leading_blocks: vec![spade; 3], ..base.clone() }),
        family(GeneratorConfig { upsampling: Upsampling::Most, ngf: 4, ..base.clone() }),
        family(GeneratorConfig { upsampling: Upsampling::Four, ..base.clone() }),
        family(GeneratorConfig { upsampling: Upsampling::Three, leading_blocks: vec![spade; 2], ..base.clone() }),
        family(GeneratorConfig {
            upsampling: Upsampling::Three,
            style: StyleConfig::Latent { length: 9, grid: [8, 8], encoder: Some(2) },
            ..GeneratorConfig::spade(2, 5)
        }),
        family(GeneratorConfig {
            upsampling: Upsampling::Two,
            modulation: ModulationKind::Sean,
            style: StyleConfig::Regions { length: 6, encoder: Some(3) },
            ..base.clone()
        }),
        family(GeneratorConfig {
            modulation: ModulationKind::Sean,
            style: StyleConfig::Regions { length: 6, encoder: Some(3) },
            ..base.clone()
        }),
        family(GeneratorConfig {
            modulation: ModulationKind::Sean,
            style: StyleConfig::Regions { length: 6, encoder: None },
            ..base.clone()
        }),
        family(GeneratorConfig {
            style: StyleConfig::Latent { length: 9, grid: [8, 8], encoder: Some(2) },
            ..GeneratorConfig::spade(2, 5)
        }),
        Architecture::Pix2PixHd(Pix2PixHdConfig { downsamplings: 3, blocks: 2, ..Pix2PixHdConfig::new(2, 5) }),
        Architecture::Pix2PixHd(Pix2PixHdConfig { blocks: 1, spectral: true, ..Pix2PixHdConfig::new(2, 5) }),
        Architecture::Pix2PixHd(Pix2PixHdConfig { enhancer_blocks: Some(2), ..Pix2PixHdConfig::new(2, 5) }),
        Architecture::Pix2Pix(UNetConfig { downsamplings: 6, ..UNetConfig::new(2, 5) }),
    ] {
        assert_eq!(imported(&architecture, &options(5)), architecture, "{}", architecture.describe());
    }
    // The network takes colour pictures: the palette comes from the classes.
    let colors = table(5).iter().map(|class| class.color).collect();
    let painted = Architecture::Pix2Pix(UNetConfig { palette: Some(colors), ..UNetConfig::new(2, 5) });
    assert_eq!(imported(&painted, &options(5)), painted);
}

#[test]
fn known_data_sets_are_recognised_by_their_classes() {
    let import = |config: GeneratorConfig| {
        let options = ImportOptions { name: "test".into(), ..ImportOptions::default() };
        import_checkpoint(checkpoint(&Architecture::SpadeFamily(config)), None, &options).unwrap()
    };
    let size = |model: &Model| model.manifest().native_size;
    let ade = import(GeneratorConfig::spade(2, 151));
    assert_eq!(ade.classes(), &ClassTable::shipped("ade20k").unwrap());
    assert_eq!(size(&ade), [256, 256]);
    let coco = GeneratorConfig { instance_edges: true, ..GeneratorConfig::spade(2, 183) };
    let model = import(coco.clone());
    assert_eq!(model.architecture(), &Architecture::SpadeFamily(coco));
    assert_eq!(model.classes(), &ClassTable::shipped("coco-stuff").unwrap());
    let city = GeneratorConfig { instance_edges: true, upsampling: Upsampling::More, ..GeneratorConfig::clade(2, 35) };
    let model = import(city.clone());
    assert_eq!(model.architecture(), &Architecture::SpadeFamily(city));
    assert_eq!(size(&model), [256, 512]);
    let sean =
        GeneratorConfig { style: StyleConfig::Regions { length: 4, encoder: Some(2) }, ..GeneratorConfig::sean(2, 19) };
    assert_eq!(import(sean).classes(), &ClassTable::shipped("celebamask-hq").unwrap());
    // The blocks of networks that start at a finer scale tell how often they double, whatever the data set.
    let live = GeneratorConfig { instance_edges: true, upsampling: Upsampling::Three, ..GeneratorConfig::clade(2, 35) };
    let model = import(live.clone());
    assert_eq!(model.architecture(), &Architecture::SpadeFamily(live));
    assert!(!model.manifest().provenance.data.contains("doublings"), "{}", model.manifest().provenance.data);
    // The shifted numbering of ADE20K is an option.
    let shifted = ClassTable::shipped("ade20k-shifted").unwrap();
    let options = ImportOptions { classes: Some(shifted.clone()), ..ImportOptions::default() };
    let tensors = checkpoint(&Architecture::SpadeFamily(GeneratorConfig::spade(2, 151)));
    assert_eq!(import_checkpoint(tensors, None, &options).unwrap().classes(), &shifted);
}

#[test]
fn what_contradicts_the_tensors_is_named_with_the_option_that_fits() {
    let clade = || checkpoint(&Architecture::SpadeFamily(GeneratorConfig::clade(2, 5)));
    let spade = |config: GeneratorConfig| checkpoint(&Architecture::SpadeFamily(config));
    let text =
        message(clade(), &ImportOptions { system: Some(System::Modulation(ModulationKind::Sean)), ..options(5) });
    assert!(text.contains("`system` is sean") && text.contains("holds clade"), "{text}");
    let text = message(clade(), &ImportOptions { upsampling: Some(Upsampling::Most), ..options(5) });
    assert!(text.contains("`upsampling` is most") && text.contains("up_4"), "{text}");
    for (upsampling, asked, expected) in [
        (Upsampling::Normal, Upsampling::Four, ["is four", "middle blocks", "it is normal or more"]),
        (Upsampling::Most, Upsampling::More, ["is more", "up_4", "it is most"]),
        (Upsampling::Four, Upsampling::Normal, ["is normal", "no middle blocks", "it is four"]),
        (Upsampling::Three, Upsampling::Two, ["is two", "up_1", "it is three"]),
        (Upsampling::Two, Upsampling::Most, ["is most", "up_2", "it is two"]),
    ] {
        let tensors = spade(GeneratorConfig { upsampling, ..GeneratorConfig::clade(2, 5) });
        let text = message(tensors, &ImportOptions { upsampling: Some(asked), ..options(5) });
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    }
    let mut beheaded = Tensors::new();
    for (name, data) in clade().iter().filter(|(name, _)| !name.starts_with("up_") && !name.starts_with("G_middle_")) {
        beheaded.insert(name, data.clone()).unwrap();
    }
    let text = message(beheaded, &options(5));
    assert!(text.contains("neither middle blocks nor"), "{text}");
    let text = message(clade(), &ImportOptions { instance_edges: Some(true), ..options(5) });
    assert!(text.contains("`instance_edges` is true, but the network has no channel"), "{text}");
    let text = message(clade(), &options(7));
    assert!(text.contains("0 to 6") && text.contains("5 label channels") && text.contains("`classes`"), "{text}");
    let text = message(clade(), &options(3));
    assert!(text.contains("0 to 2") && text.contains("5 label channels"), "{text}");
    let text = message(clade(), &ImportOptions { classes: None, ..options(5) });
    assert!(text.contains("5 input channels") && text.contains("`classes`") && text.contains("ade20k"), "{text}");
    // The tensors of SPADE do not tell whether the last channel is the edge channel.
    let edged = || spade(GeneratorConfig { instance_edges: true, ..GeneratorConfig::spade(2, 5) });
    let text = message(edged(), &options(5));
    assert!(text.contains("`instance_edges`") && text.contains("6 input channels"), "{text}");
    let with = |edges| ImportOptions { instance_edges: Some(edges), ..options(5) };
    let read = |edges| import_checkpoint(edged(), None, &with(edges)).unwrap().architecture().clone();
    assert_eq!((read(true).label_channels(), read(true).instance_edges()), (5, true));
    assert_eq!((read(false).label_channels(), read(false).instance_edges()), (6, false));
    // The latent grid depends on the picture size.
    let latent = StyleConfig::Latent { length: 9, grid: [4, 8], encoder: None };
    let latent = || spade(GeneratorConfig { style: latent, ..GeneratorConfig::spade(2, 5) });
    let text = message(latent(), &options(5));
    assert!(text.contains("32 cells") && text.contains("`size`"), "{text}");
    let sized = ImportOptions { size: Some([128, 256]), ..options(5) };
    import_checkpoint(latent(), None, &sized).unwrap();
    // An encoder for a network that has none.
    let error = import_checkpoint(clade(), Some(clade()), &options(5)).unwrap_err();
    assert!(error.to_string().contains("no latent vector"), "{error}");
}

#[test]
fn what_does_not_fit_is_named_with_both_shapes() {
    let whole = || checkpoint(&Architecture::SpadeFamily(GeneratorConfig::clade(2, 5)));
    let mut missing = whole();
    missing.remove("up_1.conv_0.bias").unwrap();
    let text = message(missing, &options(5));
    assert!(text.contains("\"up_1.conv_0.bias\"") && text.contains("missing") && text.contains("[8]"), "{text}");
    let mut other = whole();
    other.remove("conv_img.bias").unwrap();
    other.insert_f32("conv_img.bias", vec![4], vec![0.0; 4]).unwrap();
    let text = message(other, &options(5));
    assert!(text.contains("conv_img.bias") && text.contains("[4]") && text.contains("[3]"), "{text}");
    let mut more = whole();
    more.insert_f32("up_9.conv_0.bias", vec![4], vec![0.0; 4]).unwrap();
    let text = message(more, &options(5));
    assert!(text.contains("up_9.conv_0.bias") && text.contains("does not belong"), "{text}");
    let mut broken = whole();
    broken.remove("conv_img.bias").unwrap();
    broken.insert_f32("conv_img.bias", vec![3], vec![0.0, f32::NAN, 0.0]).unwrap();
    assert!(message(broken, &options(5)).contains("not finite"));
    let mut other_v = whole();
    other_v.remove("head_0.conv_0.weight_v").unwrap();
    let text = message(other_v, &options(5));
    assert!(text.contains("head_0.conv_0.weight_v"), "{text}");

    for (name, expected) in
        [("discriminator_0.model0.0.weight", "discriminator"), ("fc_mu.weight", "encoder"), ("x", "\"x\"")]
    {
        let mut tensors = Tensors::new();
        tensors.insert_f32(name, vec![1], vec![0.0]).unwrap();
        let text = message(tensors, &options(5));
        assert!(text.contains(expected) && text.contains("_net_G.pth"), "{text}");
    }
    assert!(message(Tensors::new(), &options(5)).contains("no tensors"));
}

/// Checkpoints saved while the network was distributed over several GPUs.
#[test]
fn the_prefix_of_spread_networks_is_taken_off() {
    let architecture = Architecture::SpadeFamily(GeneratorConfig::clade(2, 5));
    let plain = checkpoint(&architecture);
    let mut spread = Tensors::new();
    for (name, data) in plain.iter() {
        spread.insert(format!("module.{name}"), data.clone()).unwrap();
    }
    let bytes = |tensors| import_checkpoint(tensors, None, &options(5)).unwrap().to_bytes().unwrap();
    assert_eq!(bytes(spread), bytes(plain));
}

/// `PyTorch` before 0.4 stored running statistics for instance norms, which no network reads.
#[test]
fn statistics_of_old_instance_norms_are_passed_over() {
    let architecture = Architecture::Pix2PixHd(Pix2PixHdConfig { blocks: 1, ..Pix2PixHdConfig::new(2, 5) });
    let mut tensors = checkpoint(&architecture);
    tensors.insert_f32("model.2.running_mean", vec![2], vec![0.0; 2]).unwrap();
    tensors.insert_f32("model.2.running_var", vec![2], vec![1.0; 2]).unwrap();
    assert_eq!(import_checkpoint(tensors, None, &options(5)).unwrap().architecture(), &architecture);
}

/// Sizes whose product overflows.
#[test]
fn absurd_sizes_are_refused() {
    let mut tensors = checkpoint(&Architecture::SpadeFamily(GeneratorConfig::clade(2, 5)));
    tensors.remove("head_0.conv_0.weight_orig").unwrap();
    let data = tensors::TensorData::new(tensors::DType::F32, vec![0, 1 << 40, 1 << 40, 1 << 40], vec![]).unwrap();
    tensors.insert("head_0.conv_0.weight_orig", data).unwrap();
    assert!(message(tensors, &options(5)).contains("holds no values"));
    let style = StyleConfig::Latent { length: 9, grid: [4, 8], encoder: None };
    let latent = checkpoint(&Architecture::SpadeFamily(GeneratorConfig { style, ..GeneratorConfig::spade(2, 5) }));
    let text = message(latent, &ImportOptions { size: Some([usize::MAX, usize::MAX]), ..options(5) });
    assert!(text.contains("`size`"), "{text}");
    let recipe = semsynth::train::Recipe { modulation: ModulationKind::Sean, ngf: usize::MAX, ..Default::default() };
    assert!(recipe.validate().is_err());
}

/// `PyTorch` 1.0 stored `weight` already divided, and no `weight_v`.
#[test]
fn both_generations_of_spectral_norm_give_one_model() {
    let architecture = Architecture::SpadeFamily(GeneratorConfig::spade(2, 5));
    let newer = checkpoint(&architecture);
    let model = import_checkpoint(newer.clone(), None, &options(5)).unwrap();
    let network = architecture.init(&mut Init::random(4, &flex())).unwrap().folded();
    let divided = model::store(&network, Precision::Full).unwrap();
    let mut older = newer.clone();
    for name in newer.names().filter(|name| name.ends_with(".weight_v")) {
        older.remove(name).unwrap();
        let weight = name.replace(".weight_v", ".weight");
        older.insert(weight.clone(), divided.get(&weight).unwrap().clone()).unwrap();
    }
    assert_eq!(older.len(), newer.len());
    let older = import_checkpoint(older, None, &options(5)).unwrap();
    let labels = LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (pixel / 7 % 5) as u16).collect()).unwrap();
    let paint = |model: &Model| {
        let layout = Layout::new(vec![labels.clone()], 5, LabelEncoding::Indexed, &flex()).unwrap();
        values(model.network(&flex()).unwrap().forward(&GeneratorInput::new(layout), Mode::EVAL).unwrap())
    };
    assert!(difference(&paint(&model), &paint(&older)) <= 1e-5);
}

/// A golden network without its inputs and outputs.
fn weights(fixture: &Tensors) -> Tensors {
    let mut tensors = Tensors::new();
    for (name, data) in fixture.iter().filter(|(name, _)| !name.starts_with("io.")) {
        tensors.insert(name, data.clone()).unwrap();
    }
    tensors
}

/// Golden networks, imported with hardly any options, synthesize the reference pictures.
#[test]
fn imported_golden_networks_paint_the_reference_pictures() {
    let more = Some(Upsampling::More);
    let edges = Some(true);
    let cases: [(&str, u16, ImportOptions); 7] = [
        ("spade_normal", 5, options(5)),
        ("spade_more_inst_2to1", 5, ImportOptions { upsampling: more, instance_edges: edges, ..options(5) }),
        ("spade_most", 5, options(5)),
        ("spade_vae", 5, ImportOptions { size: Some([64, 64]), ..options(5) }),
        ("clade", 5, options(5)),
        ("clade_icpe_inst", 5, ImportOptions { upsampling: more, ..options(5) }),
        ("sean", 3, options(3)),
    ];
    for (file, classes, options) in cases {
        let Some(path) = shared(&format!("golden/{file}.safetensors")) else { return };
        let fixture = Tensors::open(path).unwrap();
        let model = import_checkpoint(weights(&fixture), None, &options).unwrap();
        let classes = usize::from(classes);
        let (labels, edges) = labels_of(&fixture, classes);
        let device = Device::cpu();
        let mut layout = Layout::new(vec![labels.clone()], classes, LabelEncoding::Indexed, device.burn()).unwrap();
        if let Some(edges) = edges {
            layout = layout.with_edges(vec![edges]).unwrap();
        }
        if let Some(distances) = fixture.get("io.dist").map(tensors::TensorData::to_f32) {
            let (vertical, horizontal) = distances.split_at(distances.len() / 2);
            let map = DistanceMap::new(labels.width(), labels.height(), vertical.to_vec(), horizontal.to_vec());
            layout = layout.with_distances(vec![map.unwrap()]).unwrap();
        }
        let mut input = GeneratorInput::new(layout);
        let mut name = "io.out_eval";
        if fixture.get("io.z").is_some() {
            input = input.latent(tensor(&fixture, "io.z", &device));
        }
        if fixture.get("io.style").is_some() {
            name = "io.out_eval_nonoise";
            input = input.styles(BlockStyles::All(tensor(&fixture, "io.style", &device)));
        }
        let network = model.network(device.burn()).unwrap();
        let found = values(network.forward(&input, Mode::Eval(Statistics::Running)).unwrap());
        let difference = difference(&found, &fixture.get(name).unwrap().to_f32());
        println!("{file} imported: max abs difference {difference:e}");
        assert!(difference <= 1e-4, "{file}: {difference}");
    }
}

/// The same weights in both of PyTorch's file formats and as safetensors give the same model file and picture.
#[test]
fn every_file_format_gives_the_same_picture() {
    let mut results = Vec::new();
    for file in ["spade_normal.safetensors", "spade_normal.legacy.pth", "spade_normal.zip.pth"] {
        let Some(path) = shared(&format!("golden/{file}")) else { return };
        let model = import_checkpoint(weights(&Tensors::open(path).unwrap()), None, &options(5)).unwrap();
        let labels = LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (pixel / 5 % 5) as u16).collect()).unwrap();
        let picture = Synthesizer::new(&model, &Device::cpu()).unwrap().run(&labels, &Request::new()).unwrap();
        results.push((model.to_bytes().unwrap(), picture.into_bytes()));
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

/// An encoder is in a separate file.
#[test]
fn encoders_are_imported_with_their_generator() {
    let (Some(generator), Some(encoder)) =
        (shared("golden/spade_vae.safetensors"), shared("golden/conv_encoder.safetensors"))
    else {
        return;
    };
    let (generator, fixture) = (Tensors::open(generator).unwrap(), Tensors::open(encoder).unwrap());
    let options = ImportOptions { size: Some([64, 64]), ..options(5) };
    let model = import_checkpoint(weights(&generator), Some(weights(&fixture)), &options).unwrap();
    let style = StyleConfig::Latent { length: 256, grid: [2, 2], encoder: Some(2) };
    assert_eq!(model.architecture().style(), style);
    let bytes = model.to_bytes().unwrap();
    assert_eq!(Model::from_bytes(&bytes).unwrap().architecture().style(), style);
    // A generator in place of the encoder.
    let error = import_checkpoint(weights(&generator), Some(weights(&generator)), &options).unwrap_err();
    assert!(matches!(error, Error::Model(_)), "{error}");
}

/// Truncated files and files with flipped bits give errors, or a model if only values changed; never a panic.
#[test]
fn damaged_checkpoints_are_refused() {
    for file in ["spade_normal.legacy.pth", "spade_normal.zip.pth"] {
        let Some(path) = shared(&format!("golden/{file}")) else { return };
        let bytes = std::fs::read(path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let damaged = folder.path().join("damaged.pth");
        let attempt = |bytes: &[u8]| {
            std::fs::write(&damaged, bytes).unwrap();
            Tensors::open(&damaged).and_then(|tensors| import_checkpoint(tensors, None, &options(5)))
        };
        assert!(attempt(&bytes).is_ok());
        for eighth in 0..8 {
            assert!(attempt(&bytes[..bytes.len() * eighth / 8]).is_err(), "{file} cut after {eighth}/8");
        }
        // The pickle is at the beginning of one format and at the end of the other.
        let mut refused = 0;
        for step in 0..60 {
            let mut damaged = bytes.clone();
            let place = if file.contains("legacy") { step * 97 } else { (bytes.len() - 1) - step * 151 };
            damaged[place] ^= 1 << (step % 8);
            refused += usize::from(attempt(&damaged).is_err());
        }
        assert!(refused > 20, "{file}: only {refused} of 60 refused");
    }
}
