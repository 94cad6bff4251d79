//! Properties of the networks that need no reference outputs: names, equivalent computations, statistics, losses.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device as BurnDevice, Tensor, TensorData};
use common::{difference, shared, values};
use proptest::prelude::*;
use semsynth::label::LabelMap;
use semsynth::model::{self, Precision};
use semsynth::network::{
    Architecture, ConvEncoderConfig, DiscriminatorConfig, Encoder, GeneratorConfig, Pix2PixHdConfig, StyleConfig,
    UNetConfig, Upsampling, Vgg19, VggTaps, is_unused,
};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{
    BlockStyles, GeneratorInput, Init, LabelEncoding, Layout, Mode, Noise, NormKind, ParamFreeNorm, Share, Statistics,
};
use semsynth::tensors::Tensors;
use semsynth::train::{Batch, LossWeights, Recipe, Trainer, balanced_perceptual, feature_matching, perceptual};
use semsynth::{Device, Error};

const SPADE: ModulationKind = ModulationKind::Spade { kernel: 3 };

fn flex() -> BurnDevice {
    BurnDevice::flex()
}

fn tensor(shape: [usize; 4], seed: u64) -> Tensor<4> {
    let mut state = seed;
    let values: Vec<f32> = (0..shape.iter().product::<usize>())
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &flex())
}

/// Names and shapes in a key list, which has `name (shape) type kind` per line.
fn keys_of(text: &str) -> Vec<(String, Vec<usize>)> {
    let key = |line: &str| {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap().to_owned();
        let shape = columns.next().unwrap().trim_matches(['(', ')']).to_owned();
        let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
        (name, sides.map(|side| side.parse().unwrap()).collect())
    };
    text.lines().map(key).filter(|(name, _): &(String, _)| !is_unused(name)).collect()
}

/// The network that a key list belongs to, at full size, from the words of its file name.
fn network_of(file: &str) -> Architecture {
    let words: Vec<&str> = file.trim_end_matches(".txt").split('_').collect();
    let has = |word: &str| words.contains(&word);
    let (labels, edges) = match () {
        () if has("facades") => (13, false),
        () if has("celebamaskhq") => (19, false),
        () if has("coco") => (183, true),
        () if has("cityscapes") => (35, true),
        () => (151, false),
    };
    if has("pix2pixhd") {
        let config = Pix2PixHdConfig { instance_edges: edges, spectral: true, ..Pix2PixHdConfig::new(64, labels) };
        return Architecture::Pix2PixHd(config);
    }
    let modulation = match () {
        () if has("SEAN") => ModulationKind::Sean,
        () if has("icpe") => ModulationKind::CladeIcpe,
        () if has("clade") => ModulationKind::Clade,
        () => SPADE,
    };
    let style = match () {
        () if has("SEAN") => StyleConfig::SEAN,
        () if has("vae") && has("cityscapes") => StyleConfig::Latent { length: 256, grid: [4, 8], encoder: None },
        () if has("vae") => StyleConfig::Latent { length: 256, grid: [8, 8], encoder: None },
        () => StyleConfig::None,
    };
    let upsampling = match () {
        () if has("most") => Upsampling::Most,
        () if has("more") || has("cityscapes") => Upsampling::More,
        () => Upsampling::Normal,
    };
    let config = GeneratorConfig::new(modulation, 64, labels);
    Architecture::SpadeFamily(GeneratorConfig { style, upsampling, instance_edges: edges, ..config })
}

/// For every key list of the official code, the network at full size has exactly those names and shapes.
#[test]
fn full_size_networks_have_the_official_names_and_shapes() {
    let Some(folder) = shared("spec/keys") else { return };
    let mut lists = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let text = std::fs::read_to_string(shared(&format!("spec/keys/{file}")).unwrap()).unwrap();
        let expected: BTreeMap<String, Vec<usize>> = keys_of(&text).into_iter().collect();
        let mut init = Init::to_load_unfolded(&flex());
        let architecture = network_of(&file);
        let found = if file.ends_with("_D.txt") {
            let config =
                if file.contains("SEAN") { DiscriminatorConfig::sean() } else { DiscriminatorConfig::default() };
            model::shapes(&config.init(&mut init, architecture.semantics() + 3)).unwrap()
        } else if file.ends_with("_E.txt") {
            let encoder = ConvEncoderConfig { ndf: 64, latent_length: 256 }.init(&mut init);
            model::shapes(&OneEncoder { encoder: Encoder::Conv(encoder) }).unwrap()
        } else {
            model::shapes(&architecture.init(&mut init).unwrap()).unwrap()
        };
        let count = found.len();
        let found: BTreeMap<String, Vec<usize>> = found.into_iter().collect();
        assert_eq!(found.len(), count, "{file}: a name twice");
        for (name, shape) in &expected {
            assert_eq!(found.get(name), Some(shape), "{file}: {name}");
        }
        let known: Vec<&String> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
        assert!(known.is_empty(), "{file} does not have {known:?}");
        lists += 1;
    }
    assert_eq!(lists, 39);
}

/// The same for the baselines, whose lists were made with our own version of them (`fixtures/baselines.py`).
#[test]
fn full_size_baselines_have_the_official_names_and_shapes() {
    let hd = Pix2PixHdConfig { instance_edges: true, ..Pix2PixHdConfig::new(64, 35) };
    let local = Pix2PixHdConfig { enhancer_blocks: Some(3), ..hd.clone() };
    let unet = UNetConfig { palette: Some(vec![[0; 3]; 12]), ..UNetConfig::new(64, 12) };
    for (file, architecture, parameters) in [
        ("pix2pixHD_global_cityscapes", Architecture::Pix2PixHd(hd), 182_546_755),
        ("pix2pixHD_local_cityscapes", Architecture::Pix2PixHd(local), 182_857_059),
        ("pix2pix_unet256", Architecture::Pix2Pix(unet), 54_413_955),
    ] {
        let path = format!("{}/tests/fixtures/keys/keys_{file}_G.txt", env!("CARGO_MANIFEST_DIR"));
        let mut expected = keys_of(&std::fs::read_to_string(path).unwrap());
        expected.sort();
        let mut found = model::shapes(&architecture.init(&mut Init::to_load_unfolded(&flex())).unwrap()).unwrap();
        found.sort();
        assert_eq!(found, expected, "{file}");
        let trained = found.iter().filter(|(name, _)| !name.contains(".running_"));
        assert_eq!(trained.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), parameters, "{file}");
    }
}

/// Blocks of networks that start at a finer scale have the names of the papers' blocks of that scale, in a network and
/// on their own.
#[test]
fn networks_that_start_at_a_finer_scale_have_official_names() {
    for (upsampling, expected) in [
        (Upsampling::Two, vec!["head_0", "up_2", "up_3"]),
        (Upsampling::Three, vec!["head_0", "up_1", "up_2", "up_3"]),
        (Upsampling::Four, vec!["head_0", "up_0", "up_1", "up_2", "up_3"]),
    ] {
        let config = GeneratorConfig { upsampling, ..GeneratorConfig::hybrid(2, 3, 2) };
        let usual = GeneratorConfig { upsampling: Upsampling::Normal, ..config.clone() };
        let usual: BTreeMap<String, Vec<usize>> =
            model::shapes(&usual.init_random(1, &flex()).unwrap()).unwrap().into_iter().collect();
        let alone = model::shapes(&config.init_random(1, &flex()).unwrap()).unwrap();
        let whole = Architecture::SpadeFamily(config).init(&mut Init::random(1, &flex())).unwrap();
        assert_eq!(model::shapes(&whole).unwrap(), alone);
        let blocks: BTreeSet<&str> = alone.iter().map(|(name, _)| name.split('.').next().unwrap()).collect();
        assert_eq!(blocks.into_iter().collect::<Vec<_>>(), [vec!["conv_img", "fc"], expected.clone()].concat());
        // Where the modulation is the same, so are the shapes.
        for (name, shape) in alone.iter().filter(|(name, _)| name.starts_with("up_3") || name.starts_with("conv_img")) {
            assert_eq!(usual.get(name), Some(shape), "{name}");
        }
    }
}

/// An encoder at the path it has in a network.
#[derive(Module, Debug)]
struct OneEncoder {
    encoder: Encoder,
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let network = GeneratorConfig::clade(2, 2).init_random(1, &flex()).unwrap();
    let layout = |width, height, id| {
        Layout::new(vec![LabelMap::filled(width, height, id).unwrap()], 2, LabelEncoding::Indexed, &flex())
    };
    let input = |width, height| GeneratorInput::new(layout(width, height, 1).unwrap());
    let message = network.forward(&input(48, 64), Mode::EVAL).unwrap_err().to_string();
    assert!(message.contains("48x64") && message.contains("32"), "{message}");
    assert_eq!(network.forward(&input(96, 32), Mode::EVAL).unwrap().dims(), [1, 3, 32, 96]);
    assert!(matches!(layout(32, 32, 2), Err(Error::Labels(_))));
    assert!(GeneratorConfig::clade(3, 2).validate().is_err());
    assert!(
        GeneratorConfig { modulation: ModulationKind::Spade { kernel: 4 }, ..GeneratorConfig::spade(2, 2) }
            .validate()
            .is_err()
    );
}

/// The picture of a pix2pixHD without and with modulated norms, whose other weights are the same; and the names of the modulations'
/// tensors, which have the values given by name, row and column.
fn modulated(modulation: ModulationKind, set: impl Fn(&str, usize, usize) -> f32) -> ([Vec<f32>; 2], BTreeSet<String>) {
    let config = Pix2PixHdConfig { downsamplings: 2, blocks: 1, spectral: true, ..Pix2PixHdConfig::new(2, 3) };
    let plain = Architecture::Pix2PixHd(config.clone()).init(&mut Init::random(3, &flex())).unwrap();
    let mut tensors = model::store(&plain, Precision::Full).unwrap();
    let architecture = Architecture::Pix2PixHd(Pix2PixHdConfig { modulation: Some(modulation), ..config });
    let network = architecture.init(&mut Init::random(4, &flex())).unwrap();
    let mut added = BTreeSet::new();
    for (name, shape) in model::shapes(&network).unwrap() {
        if tensors.get(&name).is_none() {
            let columns = shape.iter().skip(1).product::<usize>();
            let values = (0..shape[0] * columns).map(|at| set(&name, at / columns, at % columns)).collect();
            tensors.insert_f32(&name, shape, values).unwrap();
            added.insert(name);
        }
    }
    let network = model::load(network, &tensors).unwrap();
    let map = LabelMap::new(16, 8, (0..128).map(|i| (i % 16 / 6) as u16).collect()).unwrap();
    let layout = Layout::new(vec![map], 3, LabelEncoding::OneHot, &flex()).unwrap();
    let pictures = [plain, network]
        .map(|network| values(network.forward(&GeneratorInput::new(layout.clone()), Mode::EVAL).unwrap()));
    (pictures, added)
}

/// "pix2pixHD++ with SPADE": each of its norms has a modulation, after it and before the ReLU.
#[test]
fn the_norms_of_pix2pixhd_can_be_modulated() {
    // First layer, two halvings, a block, two doublings: seven norms. SPADE with zeros leaves everything as it is.
    let ([plain, spade], names) = modulated(SPADE, |_, _, _| 0.0);
    assert_eq!(spade, plain);
    assert_eq!(names.len(), 7 * 6, "{names:?}");
    assert!(names.contains("norm.6.mlp_shared.0.weight"), "{names:?}");
    // So does CLADE with ones.
    let one = |name: &str| f32::from(u8::from(name.ends_with(".weight")));
    let ([_, clade], names) = modulated(ModulationKind::Clade, |name, _, _| one(name));
    assert_eq!(clade, plain);
    let expected =
        (0..7).flat_map(|norm| ["bias", "weight"].map(|leaf| format!("norm.{norm}.class_specified_affine.{leaf}")));
    assert_eq!(names, expected.collect());
    // Shifting one class in one of them changes the picture.
    let shifted = |norm: usize| {
        let bias = format!("norm.{norm}.class_specified_affine.bias");
        let set = |name: &str, class: usize, channel: usize| {
            if name != bias {
                one(name)
            } else if class == 1 {
                4.0 * (channel % 2) as f32
            } else {
                0.0
            }
        };
        let ([_, picture], _) = modulated(ModulationKind::Clade, set);
        picture
    };
    for norm in 0..7 {
        assert!(difference(&shifted(norm), &plain) > 1e-3, "{norm}");
    }
    // The last norm has the picture's size: its labels reach three pixels, through the last convolution. Class 1 is in columns 6 to 11.
    let changed: Vec<bool> =
        (0..16).map(|x| (0..8).any(|y| shifted(6)[y * 16 + x].to_bits() != plain[y * 16 + x].to_bits())).collect();
    assert_eq!(changed, (0..16).map(|x| (3..15).contains(&x)).collect::<Vec<_>>());
    // With scale 0, every shift below 0 is cut off by the ReLU: the same picture for all such shifts.
    let cut = |shift: f32| {
        let set = |name: &str, _: usize, _: usize| if name.ends_with("bias") { shift } else { 0.0 };
        let ([_, picture], _) = modulated(ModulationKind::Clade, set);
        picture
    };
    assert_eq!(cut(-1.0), cut(-2.0));
    assert_ne!(cut(1.0), cut(2.0));
    let wrong = |modulation| {
        let config = Pix2PixHdConfig { modulation: Some(modulation), ..Pix2PixHdConfig::new(2, 3) };
        config.validate().unwrap_err().to_string()
    };
    assert!(wrong(ModulationKind::Concat).contains("concat") && wrong(ModulationKind::Sean).contains("sean"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Indexed encoding gives the same result as one-hot encoding, on random maps, for every mixture of modulations,
    /// both norms, with and without instance edges, with styles that differ between blocks.
    #[test]
    fn look_ups_equal_matrix_products(
        ids in prop::collection::vec(0u16..7, 2 * 64 * 32),
        edges in prop::collection::vec(any::<bool>(), 2 * 64 * 32),
        modulation in modulation(),
        leading_blocks in prop::collection::vec(modulation(), 0..5),
        norm in prop::sample::select(vec![NormKind::Batch, NormKind::Instance]),
        statistics in prop::sample::select(vec![Statistics::Running, Statistics::Batch]),
        instance_edges in any::<bool>(),
        batch in 1usize..3,
    ) {
        let config =
            GeneratorConfig { norm, leading_blocks, instance_edges, ..GeneratorConfig::new(modulation, 2, 7) };
        let sean = config.needs().styles;
        let style = if sean { StyleConfig::Regions { length: 5, encoder: None } } else { StyleConfig::None };
        let config = GeneratorConfig { style, instance_edges: instance_edges && !sean, ..config };
        let network = busy(config.init_random(5, &flex()).unwrap());
        // A few steps of power iteration, without which the singular value would be arbitrary.
        for _ in 0..3 {
            let map = LabelMap::new(64, 32, ids[..64 * 32].to_vec()).unwrap();
            let mut layout = Layout::new(vec![map], 7, LabelEncoding::OneHot, &flex()).unwrap();
            if config.instance_edges {
                layout = layout.with_edges(vec![edges[..64 * 32].to_vec()]).unwrap();
            }
            let styles = BlockStyles::All(tensor([1, 1, 7, 5], 1).reshape([1, 7, 5]));
            network.forward(&GeneratorInput::new(layout).styles(styles), Mode::TRAIN).unwrap();
        }
        let maps: Vec<LabelMap> =
            ids.chunks(64 * 32).map(|ids| LabelMap::new(64, 32, ids.to_vec()).unwrap()).take(batch).collect();
        let styles: Vec<Tensor<3>> =
            (0..7).map(|block| tensor([1, batch, 7, 5], 100 + block).reshape([batch, 7, 5])).collect();
        let paint = |encoding| {
            let mut layout = Layout::new(maps.clone(), 7, encoding, &flex()).unwrap();
            if config.instance_edges {
                let edges = edges.chunks(64 * 32).map(<[bool]>::to_vec).take(batch).collect();
                layout = layout.with_edges(edges).unwrap();
            }
            let input = GeneratorInput::new(layout)
                .noise(Noise::Anchored { seed: 2, origin: [0, 0] })
                .styles(BlockStyles::Each(styles.clone()));
            values(network.forward(&input, Mode::Eval(statistics)).unwrap())
        };
        let (found, expected) = (paint(LabelEncoding::Indexed), paint(LabelEncoding::OneHot));
        let difference = difference(&found, &expected);
        // Rounding differs between the two, and a norm over two pixels, as in the first block here, amplifies it up
        // to 300 times. A wrong result would differ in the first digit.
        prop_assert!(difference <= 1e-3, "{difference}");
        let extremes = expected.iter().fold((1.0f32, -1.0f32), |(low, high), &value| (low.min(value), high.max(value)));
        prop_assert!(extremes.1 - extremes.0 > 1e-2, "a flat picture: {extremes:?}");
    }
}

fn modulation() -> impl Strategy<Value = ModulationKind> {
    prop_oneof![
        prop::sample::select(vec![1usize, 5]).prop_map(|kernel| ModulationKind::Spade { kernel }),
        prop::sample::select(ModulationKind::ALL.to_vec()),
    ]
}

/// The same network with every parameter changed from its initial value, so that no branch is multiplied by 0.
fn busy<M: Module>(network: M) -> M {
    struct Move(u64);
    impl ModuleMapper for Move {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1;
            let (id, value, mapper) = param.consume();
            let count = value.shape().num_elements();
            let noise = tensor([1, 1, 1, count], self.0).reshape(value.shape()) * 0.1;
            Param::from_mapped_value(id, value + noise, mapper)
        }
    }
    network.map(&mut Move(1))
}

/// After one pass with momentum 0.1: a tenth of the batch's mean and unbiased variance, plus nine tenths of 0 and 1.
#[test]
fn running_statistics_follow_the_definition() {
    let norm = ParamFreeNorm::new(&Init::random(1, &flex()), NormKind::Batch, 2);
    let x = tensor([3, 2, 4, 5], 7) * 2.0 + 0.5;
    let all = values(x.clone());
    let output = values(norm.forward(x.clone(), Mode::TRAIN, &Share::default()));
    let again = values(norm.forward(x, Mode::Eval(Statistics::Running), &Share::default()));
    for channel in 0..2 {
        let of_channel = |values: &[f32]| -> Vec<f64> {
            let planes = values.chunks(20).enumerate().filter(|(index, _)| index % 2 == channel);
            planes.flat_map(|(_, plane)| plane.iter().map(|&value| f64::from(value))).collect()
        };
        let input = of_channel(&all);
        let count = input.len() as f64;
        let mean = input.iter().sum::<f64>() / count;
        let squares = input.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        for (found, value) in of_channel(&output).iter().zip(&input) {
            assert!((found - (value - mean) / (squares / count + 1e-5).sqrt()).abs() < 1e-5);
        }
        let (running_mean, running_var) = (0.1 * mean, 0.9 + 0.1 * squares / (count - 1.0));
        for (found, value) in of_channel(&again).iter().zip(&input) {
            assert!((found - (value - running_mean) / (running_var + 1e-5).sqrt()).abs() < 1e-5);
        }
    }
}

#[test]
fn feature_matching_leaves_the_output_out() {
    let features =
        |value: f32| vec![tensor([1, 2, 3, 3], 1) * 0.0 + value, tensor([1, 1, 2, 2], 2) * 0.0 + 100.0 * value];
    // One scale differs by 1 in its feature, the other by 3; the scores differ by far more but do not count.
    let fake = vec![features(1.0), features(3.0)];
    let real = vec![features(0.0), features(0.0)];
    assert!((values(feature_matching(&fake, &real))[0] - 2.0).abs() < 1e-6);
}

/// Layers of VGG19 and their positions in torchvision's file.
const VGG19: [(&str, usize); 14] = [
    ("relu1_1", 0),
    ("relu1_2", 2),
    ("relu2_1", 5),
    ("relu2_2", 7),
    ("relu3_1", 10),
    ("relu3_2", 12),
    ("relu3_3", 14),
    ("relu3_4", 16),
    ("relu4_1", 19),
    ("relu4_2", 21),
    ("relu4_3", 23),
    ("relu4_4", 25),
    ("relu5_1", 28),
    ("relu5_2", 30),
];

/// Random weights with torchvision's names, including the classifier that the file also contains.
fn vgg_weights() -> Tensors {
    let network = Vgg19::new(&mut Init::random(2, &flex()), VggTaps::Second);
    let ours = model::store(&network, Precision::Full).unwrap();
    let mut theirs = Tensors::new();
    for (_, position) in VGG19 {
        let weight = ours.get(&format!("features.{position}.weight")).unwrap().clone();
        let channels = weight.shape()[0];
        // Xavier with gain 0.02 would let the features vanish on the way; He's deviation keeps them.
        let values = weight.to_f32().into_iter().map(|value| value * 70.0).collect();
        theirs.insert_f32(format!("features.{position}.weight"), weight.shape().to_vec(), values).unwrap();
        let bias = tensor([1, 1, 1, channels], position as u64 + 50) * 0.1;
        theirs.insert_f32(format!("features.{position}.bias"), vec![channels], common::values(bias)).unwrap();
    }
    theirs.insert_f32("classifier.6.bias", vec![4], vec![0.0; 4]).unwrap();
    theirs
}

/// VGG19 by its definition, in plain loops: what each layer makes of a picture `[3, height, width]`.
fn plain_vgg(weights: &Tensors, picture: &[f32], size: [usize; 2]) -> BTreeMap<&'static str, Vec<f64>> {
    let [mut height, mut width] = size;
    let mut x: Vec<f64> = picture.iter().copied().map(f64::from).collect();
    let mut features = BTreeMap::new();
    for (name, position) in VGG19 {
        let get = |leaf: &str| weights.get(&format!("features.{position}.{leaf}")).unwrap().to_f32();
        let input = x.len() / height / width;
        if name.ends_with("_1") && name != "relu1_1" {
            let [rows, columns] = [height / 2, width / 2];
            let largest = |i: usize| {
                let corner = (i / columns / rows * height + i / columns % rows * 2) * width + i % columns * 2;
                [0, 1, width, width + 1].map(|step| x[corner + step]).into_iter().fold(f64::MIN, f64::max)
            };
            x = (0..input * rows * columns).map(largest).collect();
            [height, width] = [rows, columns];
        }
        let bias = get("bias");
        let mut sums: Vec<f64> =
            bias.iter().flat_map(|&value| std::iter::repeat_n(f64::from(value), height * width)).collect();
        for (index, weight) in get("weight").into_iter().enumerate() {
            let (output, plane, dy, dx) = (index / 9 / input, index / 9 % input, index % 9 / 3, index % 3);
            for y in (0..height).filter(|y| (1..=height).contains(&(y + dy))) {
                for column in (0..width).filter(|column| (1..=width).contains(&(column + dx))) {
                    let value = x[(plane * height + y + dy - 1) * width + column + dx - 1];
                    sums[(output * height + y) * width + column] += f64::from(weight) * value;
                }
            }
        }
        x = sums.into_iter().map(|sum| sum.max(0.0)).collect();
        features.insert(name, x.clone());
    }
    features
}

/// Both perceptual losses, value by value: which layers they compare, how these are weighed, and what VGG19 gets.
#[test]
fn perceptual_losses_are_those_of_the_formulas() {
    let weights = vgg_weights();
    let size @ [height, width] = [16, 32];
    let [fake, real] = [tensor([2, 3, height, width], 3), tensor([2, 3, height, width], 4) * 0.5 + 0.2];
    let mean_of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    // Features of both pictures of a batch, one after the other.
    let features = |pictures: &Tensor<4>, layer: &dyn Fn(usize, f32) -> f32| {
        let mut all = BTreeMap::<&str, Vec<f64>>::new();
        for picture in values(pictures.clone()).chunks(3 * height * width) {
            let seen: Vec<f32> =
                picture.iter().enumerate().map(|(i, &value)| layer(i / height / width, value)).collect();
            for (name, values) in plain_vgg(&weights, &seen, size) {
                all.entry(name).or_default().extend(values);
            }
        }
        all
    };
    let apart = |a: &[f64], b: &[f64]| mean_of(&a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>());
    let network = |taps| model::load(Vgg19::new(&mut Init::to_load(&flex()), taps), &weights).unwrap();

    let as_it_is = |_: usize, value: f32| value;
    let (of_fake, of_real) = (features(&fake, &as_it_is), features(&real, &as_it_is));
    let layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"];
    let shares = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];
    let expected: f64 =
        layers.iter().zip(shares).map(|(layer, share)| share * apart(&of_fake[layer], &of_real[layer])).sum();
    let vgg = network(VggTaps::First);
    let found = f64::from(values(perceptual(&vgg, fake.clone(), real.clone()))[0]);
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} {expected}");
    for (tap, layer) in vgg.forward(real.clone()).into_iter().zip(layers) {
        let tap: Vec<f64> = values(tap).into_iter().map(f64::from).collect();
        assert!(apart(&tap, &of_real[layer]) < 1e-5 * mean_of(&of_real[layer]), "{layer}");
    }

    // What torchvision documents for its weights: colours in 0 to 1, less a mean, by a deviation.
    let [mean, deviation] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
    let normalized = |channel: usize, value: f32| (value * 0.5 + 0.5 - mean[channel]) / deviation[channel];
    let (of_fake, of_real) = (features(&fake, &normalized), features(&real, &normalized));
    let layers = ["relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2"];
    let terms = layers.map(|layer| apart(&of_fake[layer], &of_real[layer]) / mean_of(&of_real[layer]));
    assert!(terms.iter().all(|&term| term > 1e-2), "a layer without weight: {terms:?}");
    let vgg = network(VggTaps::Second);
    let found = f64::from(values(balanced_perceptual(&vgg, fake, real.clone()))[0]);
    assert!((found / mean_of(&terms) - 1.0).abs() < 1e-4, "{found} {terms:?}");
    assert!(values(balanced_perceptual(&vgg, real.clone(), real))[0].abs() < 1e-9);
}

#[test]
fn the_perceptual_loss_takes_torchvision_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    vgg_weights().save(&path).unwrap();
    let recipe = Recipe {
        ngf: 2,
        discriminator: DiscriminatorConfig { ndf: 2, ..DiscriminatorConfig::default() },
        size: [32, 32],
        batch: 1,
        vgg: Some(path.clone()),
        losses: LossWeights { l1: 0.0, ..LossWeights::default() },
        ..Recipe::quick()
    };
    let mut trainer = Trainer::new(recipe.clone(), 2, &Device::cpu()).unwrap();
    let images: Vec<f32> = values(tensor([1, 3, 32, 32], 3));
    let batch = Batch {
        labels: vec![LabelMap::filled(32, 32, 1).unwrap()],
        instances: None,
        images,
        styles: None,
        collages: None,
    };
    let mut losses: Vec<f32> = (0..8).map(|_| trainer.step(batch.clone()).unwrap().read().unwrap()["vgg"]).collect();
    let last = losses.pop().unwrap();
    assert!(losses[0] > 1e-3 && last < losses[0], "{losses:?} {last}");

    let mut broken = vgg_weights();
    broken.remove("features.28.weight");
    broken.save(&path).unwrap();
    let message = Trainer::new(recipe, 2, &Device::cpu()).unwrap_err().to_string();
    assert!(message.contains("features.28.weight") && message.contains("VGG19"), "{message}");
}

#[test]
fn the_perceptual_loss_of_a_picture_with_itself_is_zero() {
    let vgg = Vgg19::new(&mut Init::random(2, &flex()), VggTaps::First);
    let picture = tensor([1, 3, 32, 32], 9);
    assert!(values(perceptual(&vgg, picture.clone(), picture))[0].abs() < 1e-9);
    let taps = vgg.forward(tensor([1, 3, 32, 32], 9));
    let shapes: Vec<_> = taps.iter().map(Tensor::dims).collect();
    assert_eq!(shapes, [[1, 64, 32, 32], [1, 128, 16, 16], [1, 256, 8, 8], [1, 512, 4, 4], [1, 512, 2, 2]]);
    // The second layers of each size have the same shapes.
    let vgg = Vgg19::new(&mut Init::random(2, &flex()), VggTaps::Second);
    let second: Vec<_> = vgg.forward(tensor([1, 3, 32, 32], 9)).iter().map(Tensor::dims).collect();
    assert_eq!(second, shapes);
}
