//! The networks of the SPADE family give the same results as our own `PyTorch` version of them,
//! `fixtures/spade_family.py`: the largest absolute difference is at most 1e-4, and 8-bit pictures differ by at most
//! one level. Weights are computed by a formula (`common/hashed.rs`), so the golden files are small enough for the
//! repository and no test is skipped on the CPU.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/hashed.rs"]
mod hashed;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{devices, difference, rgb, values};
use semsynth::device::DeviceClass;
use semsynth::label::{Class, ClassTable, DistanceMap, LabelMap, instance_edges};
use semsynth::model::{self, FORMAT, Manifest, Precision, Provenance};
use semsynth::network::{
    Architecture, DiscriminatorConfig, Encoder, GeneratorConfig, Network, StyleConfig, Upsampling,
};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{
    BlockStyles, Conv, ConvConfig, GeneratorInput, Init, LabelEncoding, Layout, Mode, Noise, NormKind, Statistics,
};
use semsynth::tensors::Tensors;
use semsynth::train::{feature_matching, hinge_fake, hinge_generator, hinge_real, kl_divergence};
use semsynth::{Device, Model, Request, Style, Synthesizer};

const TOLERANCE: f32 = 1e-4;

/// Number of classes of every network but SEAN's, and length of latent vectors and styles.
const CLASSES: usize = 5;
const LENGTH: usize = 8;

fn open(file: &str) -> Tensors {
    Tensors::open(format!("{}/tests/fixtures/spade_family/{file}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn stored(golden: &Tensors, name: &str) -> Vec<f32> {
    golden.get(name).unwrap_or_else(|| panic!("the golden file has no {name}")).to_f32()
}

/// An input computed by the formula.
fn given<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(hashed::values(name, &shape), shape), device.burn())
}

/// Fills a network with values of the formula, and compares their checksum with that of the golden file.
fn fill<M: Module>(network: M, golden: &Tensors) -> M {
    let (mut weights, mut sum) = (Tensors::new(), 0u64);
    for (name, shape) in model::shapes(&network).unwrap() {
        let values = hashed::values(&name, &shape);
        sum = sum.wrapping_add(hashed::checksum(&name, &values));
        weights.insert_f32(name, shape, values).unwrap();
    }
    let sum = format!("{sum:016x}");
    assert_eq!(sum, golden.metadata()["weights"], "other names, shapes or formulas than spade_family.py has");
    model::load(network, &weights).unwrap()
}

/// The input of a generator, and the expected pictures.
struct Scene {
    file: &'static str,
    golden: Tensors,
    config: GeneratorConfig,
    labels: Vec<LabelMap>,
    instances: Vec<LabelMap>,
    distances: Vec<DistanceMap>,
}

impl Scene {
    fn open(file: &'static str, config: GeneratorConfig) -> Self {
        let golden = open(file);
        let [batch, 1, height, width] = *golden.get("io.labels").unwrap().shape() else { panic!("one map a picture") };
        let area = height * width;
        let maps = |name: &str| -> Vec<LabelMap> {
            let Some(ids) = golden.get(name) else { return Vec::new() };
            let map = |ids: &[f32]| LabelMap::new(width, height, ids.iter().map(|&id| id as u16).collect()).unwrap();
            ids.to_f32().chunks_exact(area).map(map).collect()
        };
        let (labels, instances) = (maps("io.labels"), maps("io.instances"));
        assert_eq!((labels.len(), !instances.is_empty()), (batch, config.instance_edges));
        let mut distances = Vec::new();
        if config.needs().distances {
            for (planes, labels) in stored(&golden, "io.distances").chunks_exact(2 * area).zip(&labels) {
                let (vertical, horizontal) = planes.split_at(area);
                let own = DistanceMap::of(labels);
                assert!(
                    difference(own.vertical(), vertical) <= 1e-6 && difference(own.horizontal(), horizontal) <= 1e-6
                );
                distances.push(DistanceMap::new(width, height, vertical.to_vec(), horizontal.to_vec()).unwrap());
            }
        }
        let scene = Self { file, golden, config, labels, instances, distances };
        if scene.config.instance_edges {
            let found: Vec<f32> = scene.edges().concat().iter().map(|&edge| f32::from(u8::from(edge))).collect();
            assert_eq!(found, stored(&scene.golden, "io.edges"));
        }
        scene
    }

    fn edges(&self) -> Vec<Vec<bool>> {
        self.instances.iter().map(instance_edges).collect()
    }

    fn size(&self) -> [usize; 2] {
        [self.labels[0].height(), self.labels[0].width()]
    }

    /// The pictures in the golden file: name, statistics, and whether with noise.
    fn pictures(&self) -> Vec<(&'static str, Statistics, bool)> {
        let mut pictures =
            vec![("io.out_eval", Statistics::Running, false), ("io.out_batchstats", Statistics::Batch, false)];
        if self.sean() {
            pictures.push(("io.out_noise", Statistics::Running, true));
        }
        pictures
    }

    fn sean(&self) -> bool {
        matches!(self.config.style, StyleConfig::Regions { .. })
    }

    /// Only every `step`-th value of a picture is stored.
    fn step(&self) -> usize {
        self.golden.metadata()["step"].parse().unwrap()
    }

    fn network(&self, device: &Device) -> Network {
        let architecture = Architecture::SpadeFamily(self.config.clone());
        fill(architecture.init(&mut Init::random(1, device.burn())).unwrap(), &self.golden)
    }

    fn layout(&self, encoding: LabelEncoding, device: &Device) -> Layout {
        let mut layout = Layout::new(self.labels.clone(), self.config.label_channels, encoding, device.burn()).unwrap();
        if self.config.instance_edges {
            layout = layout.with_edges(self.edges()).unwrap();
        }
        if !self.distances.is_empty() {
            layout = layout.with_distances(self.distances.clone()).unwrap();
        }
        layout
    }

    fn input(&self, encoding: LabelEncoding, device: &Device) -> GeneratorInput {
        let (batch, input) = (self.labels.len(), GeneratorInput::new(self.layout(encoding, device)));
        match self.config.style {
            StyleConfig::None => input,
            StyleConfig::Latent { length, .. } => input.latent(given("io.z", [batch, length], device)),
            StyleConfig::Regions { length, .. } => {
                let shape = [batch, self.config.label_channels, length];
                input.styles(BlockStyles::All(given("io.styles", shape, device)))
            }
        }
    }

    /// One map for each norm with noise, width first: two norms in each of the first three blocks, three in each of
    /// the others.
    fn noise(&self, device: &Device) -> Noise {
        let [height, width] = self.size();
        let doublings = [0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5];
        let map = |(draw, doublings): (usize, usize)| {
            let shape = [self.labels.len(), (width / 32) << doublings, (height / 32) << doublings];
            given(&format!("io.noise{draw}"), shape, device)
        };
        Noise::Fed(doublings.into_iter().enumerate().map(map).collect())
    }

    fn style(&self) -> Option<Style> {
        match self.config.style {
            StyleConfig::None => None,
            StyleConfig::Latent { length, .. } => Some(Style::global(hashed::values("io.z", &[1, length])).unwrap()),
            StyleConfig::Regions { length, .. } => {
                let all = hashed::values("io.styles", &[1, self.config.label_channels, length]);
                Some(Style::regions(length, all.chunks_exact(length).map(|row| Some(row.to_vec())).collect()).unwrap())
            }
        }
    }

    fn model(&self) -> Model {
        let network = self.network(&Device::cpu());
        let mut tensors = model::store(&network.folded(), Precision::Full).unwrap();
        let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
        let manifest = Manifest {
            format: FORMAT,
            name: self.file.into(),
            architecture: Architecture::SpadeFamily(self.config.clone()),
            classes: ClassTable::new((0..self.config.label_channels as u16).map(class).collect()).unwrap(),
            statistics: Statistics::Running,
            native_size: self.size(),
            value_range: [-1.0, 1.0],
            provenance: Provenance::default(),
            licence: "CC0-1.0".into(),
            presets: Vec::new(),
        };
        tensors.set_metadata("semsynth", manifest.to_ron_string().unwrap());
        Model::from_bytes(&tensors.to_safetensors().unwrap()).unwrap()
    }
}

/// Checks that a picture is neither flat nor saturated, which would hide a wrong constant.
fn check_range(what: &str, picture: &[f32]) {
    let count = picture.len() as f32;
    let mean = picture.iter().sum::<f32>() / count;
    let std = (picture.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt();
    let saturated = picture.iter().filter(|value| value.abs() > 0.99).count() as f32 / count;
    assert!(std > 0.1 && saturated < 0.05, "{what}: standard deviation {std}, beyond 0.99: {saturated}");
}

/// The values of the network: with indexed and one-hot encoding, with spectral norm and with it folded.
fn forward(scene: &Scene, device: &Device) {
    let network = scene.network(device);
    let folded = network.clone().folded();
    let mut worst = 0.0f32;
    // A GPU has kernels for the first of each, and a software driver takes minutes for the others.
    let on_cpu = device.info().class == DeviceClass::Cpu;
    let encodings: &[LabelEncoding] =
        if on_cpu { &[LabelEncoding::Indexed, LabelEncoding::OneHot] } else { &[LabelEncoding::Indexed] };
    let mut kinds = vec![("folded", &folded)];
    kinds.extend(on_cpu.then_some(("spectral norm", &network)));
    for &encoding in encodings {
        let input = scene.input(encoding, device);
        for (name, statistics, noisy) in scene.pictures() {
            let expected = stored(&scene.golden, name);
            check_range(&format!("{} {name}", scene.file), &expected);
            let input = input.clone().noise(if noisy { scene.noise(device) } else { Noise::Zero });
            for (kind, network) in &kinds {
                let picture = values(network.forward(&input, Mode::Eval(statistics)).unwrap());
                let found: Vec<f32> = picture.into_iter().step_by(scene.step()).collect();
                let difference = difference(&found, &expected);
                let case = format!("{} {name}, {encoding:?}, {kind}, {}", scene.file, device.info().name);
                assert!(difference <= TOLERANCE, "{case}: max abs difference {difference:e}");
                worst = worst.max(difference);
            }
        }
    }
    println!("{} on {}: max abs difference {worst:e}", scene.file, device.info().name);
}

/// The bytes of the picture through the public interface, which uses our kernels.
fn paint(scene: &Scene, device: &Device) {
    let mut synth = Synthesizer::new(scene.model(), device).unwrap();
    let (mut off, mut count) = (0, 0);
    for (name, statistics, noisy) in scene.pictures() {
        // A synthesizer takes no given noise, and synthesizes one picture at a time.
        if noisy || (statistics == Statistics::Batch && scene.labels.len() > 1) {
            continue;
        }
        let mut found = Vec::new();
        for (picture, labels) in scene.labels.iter().enumerate() {
            let mut request = Request::new().statistics(statistics).quiet();
            request.style = scene.style();
            request.instances = scene.instances.get(picture).cloned();
            let picture = rgb(synth.run(labels, &request).unwrap());
            (0..3).for_each(|channel| found.extend(picture.pixels().map(|pixel| pixel.0[channel])));
        }
        for (found, expected) in found.iter().step_by(scene.step()).zip(stored(&scene.golden, name)) {
            let expected = (f32::midpoint(expected, 1.0) * 255.0) as u8;
            let (file, device) = (scene.file, &device.info().name);
            assert!(found.abs_diff(expected) <= 1, "{file} {name} on {device}: {found} where {expected} is right");
            off += usize::from(*found != expected);
            count += 1;
        }
    }
    println!("{} on {}: {off} of {count} bytes are one off", scene.file, device.info().name);
    // Values close to the border between two levels may round differently.
    assert!(count > 1000 && off * 50 < count, "{}: {off} of {count} bytes are one off", scene.file);
}

fn generator(file: &'static str, config: GeneratorConfig) {
    generator_on(devices(), file, config);
}

fn generator_on(devices: Vec<Device>, file: &'static str, config: GeneratorConfig) {
    let scene = Scene::open(file, config);
    for device in devices {
        forward(&scene, &device);
        paint(&scene, &device);
    }
}

#[test]
fn spade() {
    generator("spade", GeneratorConfig::spade(2, CLASSES));
}

#[test]
fn spade_with_another_doubling_instance_norm_and_edges() {
    let (norm, upsampling) = (NormKind::Instance, Upsampling::More);
    let config = GeneratorConfig { norm, upsampling, instance_edges: true, ..GeneratorConfig::spade(2, CLASSES) };
    generator("spade_more_instance", config);
}

#[test]
fn spade_with_most_doublings() {
    let config = GeneratorConfig { upsampling: Upsampling::Most, ..GeneratorConfig::spade(2, CLASSES) };
    // Eight times as many pixels as the others: minutes on a software GPU, for no other kernels.
    generator_on(vec![Device::cpu()], "spade_most", config);
}

#[test]
fn spade_with_larger_kernels() {
    generator("spade_5x5", GeneratorConfig::new(ModulationKind::Spade { kernel: 5 }, 2, CLASSES));
}

fn latent() -> GeneratorConfig {
    let style = StyleConfig::Latent { length: LENGTH, grid: [2, 3], encoder: Some(2) };
    GeneratorConfig { style, ..GeneratorConfig::spade(2, CLASSES) }
}

#[test]
fn spade_of_a_latent_vector() {
    generator("spade_latent", latent());
}

#[test]
fn clade() {
    generator("clade", GeneratorConfig::clade(2, CLASSES));
}

#[test]
fn clade_with_instance_edges() {
    generator("clade_edges", GeneratorConfig { instance_edges: true, ..GeneratorConfig::clade(2, CLASSES) });
}

#[test]
fn clade_icpe() {
    generator("clade_icpe", GeneratorConfig::new(ModulationKind::CladeIcpe, 2, CLASSES));
}

#[test]
fn a_batch_of_spade_and_clade() {
    generator("hybrid", GeneratorConfig::hybrid(2, CLASSES, 4));
}

fn sean_config() -> GeneratorConfig {
    let style = StyleConfig::Regions { length: LENGTH, encoder: Some(2) };
    GeneratorConfig { style, ..GeneratorConfig::sean(2, 4) }
}

#[test]
fn sean() {
    generator("sean", sean_config());
}

/// The photo of a scene.
fn photo(scene: &Scene, device: &Device) -> Tensor<4> {
    let ([height, width], batch) = (scene.size(), scene.labels.len());
    Tensor::from_data(TensorData::new(hashed::photo(batch, height, width), [batch, 3, height, width]), device.burn())
}

#[test]
fn region_encoder() {
    let scene = Scene::open("sean", sean_config());
    let expected = stored(&scene.golden, "io.style");
    // The last class has one pixel, which is lost at half the size.
    assert!(expected.iter().any(|value| value.abs() > 0.1) && expected[3 * LENGTH..] == [0.0; LENGTH]);
    for device in devices() {
        let Some(Encoder::Region(encoder)) = scene.network(&device).encoder else { panic!("it has a region encoder") };
        let layout = scene.layout(LabelEncoding::Indexed, &device);
        let found = values(encoder.forward(photo(&scene, &device), &layout, Mode::EVAL).unwrap());
        let difference = difference(&found, &expected);
        println!("region encoder on {}: max abs difference {difference:e}", device.info().name);
        assert!(difference <= TOLERANCE, "{difference:e}");
    }
}

#[test]
fn conv_encoder() {
    let scene = Scene::open("spade_latent", latent());
    for device in devices() {
        let network = scene.network(&device);
        let whole = model::store(&network, Precision::Full).unwrap();
        let folded = model::store(&network.clone().folded(), Precision::Full).unwrap();
        // Instance norms hide the factor that a weight is divided by.
        for layer in 1..=6 {
            let sigma = stored(&scene.golden, &format!("sigma.layer{layer}.0"))[0];
            let weight = stored(&folded, &format!("layer{layer}.0.weight"));
            let weight: Vec<f32> = weight.into_iter().map(|value| value * sigma).collect();
            assert!(difference(&weight, &stored(&whole, &format!("layer{layer}.0.weight_orig"))) <= 1e-5, "{layer}");
        }
        for network in [network.clone(), network.folded()] {
            let Some(Encoder::Conv(encoder)) = network.encoder else { panic!("it has an encoder") };
            let posterior = encoder.forward(photo(&scene, &device), Mode::EVAL).unwrap();
            let (loss, expected) = (values(kl_divergence(&posterior))[0], stored(&scene.golden, "loss.kl")[0]);
            assert!((loss - expected).abs() <= TOLERANCE * expected.abs(), "{loss} {expected}");
            for (name, found) in [("io.mu", posterior.mean), ("io.logvar", posterior.log_variance)] {
                let difference = difference(&values(found), &stored(&scene.golden, name));
                println!("conv encoder {name} on {}: max abs difference {difference:e}", device.info().name);
                assert!(difference <= TOLERANCE, "{name}: {difference:e}");
            }
        }
    }
}

/// Every layer at both scales, and the losses of a pair of pictures.
fn discriminator(file: &str, config: &DiscriminatorConfig) {
    let golden = open(file);
    for device in devices() {
        let network = fill(config.init(&mut Init::random(1, device.burn()), CLASSES + 3), &golden);
        let scales = network.forward(given("io.x", [2, CLASSES + 3, 32, 48], &device), Mode::EVAL);
        assert_eq!(scales.len(), 2);
        let mut worst = 0.0f32;
        for (scale, features) in scales.iter().enumerate() {
            assert_eq!(features.len(), config.layers + 1);
            for (layer, feature) in features.iter().enumerate() {
                let name = format!("io.d{scale}_f{layer}");
                assert_eq!(feature.dims().as_slice(), golden.get(&name).unwrap().shape(), "{name}");
                let difference = difference(&values(feature.clone()), &stored(&golden, &name));
                assert!(difference <= TOLERANCE, "{file} {name} on {}: {difference:e}", device.info().name);
                worst = worst.max(difference);
            }
        }
        println!("{file} on {}: max abs difference {worst:e}", device.info().name);
        let picture = |index: usize| -> Vec<Vec<Tensor<4>>> {
            let of = |feature: &Tensor<4>| feature.clone().narrow(0, index, 1);
            scales.iter().map(|features| features.iter().map(of).collect()).collect()
        };
        let (fake, real) = (picture(0), picture(1));
        for (name, loss) in [
            ("loss.hinge_real", hinge_real(&real)),
            ("loss.hinge_fake", hinge_fake(&fake)),
            ("loss.hinge_generator", hinge_generator(&fake)),
            ("loss.feature_matching", feature_matching(&fake, &real)),
        ] {
            let (found, expected) = (values(loss)[0], stored(&golden, name)[0]);
            assert!((found - expected).abs() <= 1e-5 && expected.abs() > 1e-3, "{file} {name}: {found} {expected}");
        }
    }
}

#[test]
fn discriminator_and_its_losses() {
    discriminator("discriminator", &DiscriminatorConfig { ndf: 4, ..DiscriminatorConfig::default() });
}

#[test]
fn older_discriminator_and_its_losses() {
    discriminator("discriminator_sean", &DiscriminatorConfig { ndf: 4, ..DiscriminatorConfig::sean() });
}

#[derive(Module, Debug)]
struct One {
    sn: Conv,
}

/// Inference divides by the singular value of the stored vectors; training first does one power iteration and stores
/// the result.
#[test]
fn spectral_norm() {
    let golden = open("spectral_norm");
    for device in devices() {
        let sn = ConvConfig::new(5, 6, 3).without_bias().spectral().init(&mut Init::random(1, device.burn()));
        let one = fill(One { sn }, &golden);
        let x = || given("io.x", [1, 5, 6, 7], &device);
        let check = |name: &str, found: &[f32]| {
            let difference = difference(found, &stored(&golden, name));
            assert!(difference <= 1e-5, "{name} on {}: {difference:e}", device.info().name);
        };
        check("io.out_eval", &values(one.sn.forward(x(), Mode::EVAL)));
        check("io.out_eval", &values(one.sn.clone().folded().forward(x(), Mode::EVAL)));
        check("io.out_train", &values(one.sn.forward(x(), Mode::TRAIN)));
        let after = model::store(&one, Precision::Full).unwrap();
        check("io.u_after", &stored(&after, "sn.weight_u"));
        check("io.v_after", &stored(&after, "sn.weight_v"));
        check("io.out_train", &values(one.sn.forward(x(), Mode::EVAL)));
        check("io.out_train", &values(one.sn.folded().forward(x(), Mode::EVAL)));
    }
}
