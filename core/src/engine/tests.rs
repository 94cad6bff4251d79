//! The engine paints what the network's definition paints.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::model::{self, Precision};
use crate::network::Upsampling;
use crate::nn::{Guide, Init, Layout, Lookup, Mode, NormKind};
use crate::rng::Rng;

const SPADE: ModulationKind = ModulationKind::Spade { kernel: 3 };

/// Weights as a model file holds them, large enough to matter.
fn weights(config: &GeneratorConfig, seed: u64) -> Tensors {
    let network = config.init(&mut Init::random(seed, &Device::flex())).unwrap().folded();
    let stored = model::store(&network, Precision::Full).unwrap();
    let mut rng = Rng::new(seed);
    let mut tensors = Tensors::new();
    for (name, data) in stored.iter() {
        let fan: usize = data.shape().iter().skip(1).product::<usize>().max(1);
        let statistic = name.contains("running_var");
        let scale = if data.shape().len() > 1 { 1.0 / (fan as f64).sqrt() } else { 0.2 };
        let value = |_| if statistic { 0.5 + rng.uniform() } else { rng.normal() * scale };
        let values = (0..data.len()).map(value).map(|value| value as f32).collect();
        tensors.insert_f32(name, data.shape().to_vec(), values).unwrap();
    }
    tensors
}

/// The largest difference between the engine and the definition.
fn difference(
    config: &GeneratorConfig,
    tensors: &Tensors,
    labels: &LabelMap,
    edges: Option<&[bool]>,
    latent: Option<&[f32]>,
    statistics: Statistics,
) -> f32 {
    assert!(Engine::supports(config));
    let device = Device::flex();
    let mut engine = Engine::new(config, tensors, [labels.height(), labels.width()]).unwrap();
    let found = engine.run(labels, edges, latent, statistics).unwrap();
    // Buffers full of an old picture change nothing.
    assert_eq!(engine.run(labels, edges, latent, statistics).unwrap(), found);
    let mut layout = Layout::new(vec![labels.clone()], config.label_channels, Lookup::Gather, &device).unwrap();
    if let Some(edges) = edges {
        layout = layout.with_edges(vec![edges.to_vec()]).unwrap();
    }
    let mut guide = Guide::new(layout);
    if let Some(latent) = latent {
        guide = guide.latent(Tensor::from_data(TensorData::new(latent.to_vec(), [1, latent.len()]), &device));
    }
    let network = model::load(config.init(&mut Init::to_load(&device)).unwrap(), tensors).unwrap();
    let expected: Vec<f32> = network.forward(&guide, Mode::Eval(statistics)).unwrap().into_data().try_to_vec().unwrap();
    let (low, high) = expected.iter().fold((1.0f32, -1.0f32), |(low, high), &v| (low.min(v), high.max(v)));
    assert!(high - low > 0.1, "a flat picture: {low} to {high}");
    found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn busy_map(width: usize, height: usize, classes: u16, block: usize, seed: u64) -> LabelMap {
    let mut rng = Rng::new(seed);
    let columns = width.div_ceil(block);
    let blocks: Vec<u16> =
        (0..columns * height.div_ceil(block)).map(|_| rng.below(usize::from(classes)) as u16).collect();
    let id = |i: usize| blocks[i / width / block * columns + i % width / block];
    LabelMap::new(width, height, (0..width * height).map(id).collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_paints_what_the_definition_paints(
        leading in prop::collection::vec(prop::sample::select(vec![SPADE, ModulationKind::Clade]), 0..4),
        last in prop::sample::select(vec![SPADE, ModulationKind::Clade]),
        norm in prop::sample::select(vec![NormKind::Batch, NormKind::Instance]),
        statistics in prop::sample::select(vec![Statistics::Running, Statistics::Batch]),
        upsampling in prop::sample::select(vec![Upsampling::Normal, Upsampling::More, Upsampling::Most]),
        ngf in prop::sample::select(vec![2usize, 6]),
        sides in (1usize..4, 1usize..4),
        block in prop::sample::select(vec![1usize, 5, 24]),
        with_edges in any::<bool>(),
        with_latent in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let classes = 9;
        let clade = last == ModulationKind::Clade && leading.iter().all(|&kind| kind == ModulationKind::Clade);
        let style = StyleConfig::Latent { length: 5, grid: [2, 1], encoder: None };
        let config = GeneratorConfig {
            leading_blocks: leading,
            norm,
            upsampling,
            instance_edges: with_edges && clade,
            style: if with_latent { style } else { StyleConfig::None },
            ..GeneratorConfig::new(last, ngf, classes)
        };
        // Two pixels at least, so that a picture's own variance is not 0.
        let (width, height) = (sides.0 * config.stride(), (sides.1 + 1) * config.stride());
        let labels = busy_map(width, height, classes as u16, block, u64::from(seed));
        let mut rng = Rng::new(u64::from(seed));
        let edges: Vec<bool> = (0..width * height).map(|_| rng.below(7) == 0).collect();
        let latent: Vec<f32> = (0..5).map(|_| rng.normal() as f32).collect();
        let edges = config.instance_edges.then_some(edges.as_slice());
        let latent = with_latent.then_some(latent.as_slice());
        let found = difference(&config, &weights(&config, u64::from(seed)), &labels, edges, latent, statistics);
        prop_assert!(found <= 1e-3, "{found}");
    }
}

/// Reference outputs of the whole family that it knows.
#[test]
fn it_paints_the_reference_pictures() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden");
    let shared = std::env::var("SEMSYNTH_SHARED").map_or_else(|_| shared.to_owned(), |path| format!("{path}/golden"));
    let latent = StyleConfig::Latent { length: 256, grid: [2, 2], encoder: None };
    for (file, config) in [
        ("spade_normal", GeneratorConfig::spade(2, 5)),
        ("spade_most", GeneratorConfig { upsampling: Upsampling::Most, ..GeneratorConfig::spade(2, 5) }),
        ("spade_vae", GeneratorConfig { style: latent, ..GeneratorConfig::spade(2, 5) }),
        ("clade", GeneratorConfig::clade(2, 5)),
    ] {
        let path = Path::new(&shared).join(format!("{file}.safetensors"));
        if !path.exists() {
            eprintln!("skipped: {} is not here", path.display());
            return;
        }
        let fixture = Tensors::open(&path).unwrap();
        let seg = fixture.get("io.seg").unwrap();
        let (one_hot, [height, width]) = (seg.to_f32(), [seg.shape()[2], seg.shape()[3]]);
        let pixels = height * width;
        let id = |i: usize| (0..5u16).find(|&class| one_hot[usize::from(class) * pixels + i] > 0.5).unwrap();
        let labels = LabelMap::new(width, height, (0..pixels).map(id).collect()).unwrap();
        let network = model::load(config.init(&mut Init::random(1, &Device::flex())).unwrap(), &fixture).unwrap();
        let tensors = model::store(&network.folded(), Precision::Full).unwrap();
        let mut engine = Engine::new(&config, &tensors, [height, width]).unwrap();
        let latent = fixture.get("io.z").map(model::TensorData::to_f32);
        for (name, statistics) in [("io.out_eval", Statistics::Running), ("io.out_batchstats", Statistics::Batch)] {
            let Some(expected) = fixture.get(name).map(model::TensorData::to_f32) else { continue };
            let found = engine.run(&labels, None, latent.as_deref(), statistics).unwrap();
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("engine {file} {name}: max abs difference {off:e}");
            assert!(off <= 1e-4, "{file} {name}: {off}");
        }
    }
}

/// Threads change the time a picture takes, never a bit of it.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let config = GeneratorConfig::hybrid(6, 9, 4);
    let tensors = weights(&config, 3);
    let labels = busy_map(96, 64, 9, 5, 8);
    let paint = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            Engine::new(&config, &tensors, [64, 96]).unwrap().run(&labels, None, None, Statistics::Batch).unwrap()
        })
    };
    let one = paint(1);
    assert_eq!(paint(2), one);
    assert_eq!(paint(3), one);
}
