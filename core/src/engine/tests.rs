//! Compares the engine, and networks on GPU kernels, with the reference implementation.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;
use crate::device::software::{has_half, software};
use crate::error::Error;
use crate::label::Span;
use crate::label::{DistanceMap, Edges, LabelMap, LabelSource, Rect, instance_edges};
use crate::model::{self, Precision};
use crate::network::{Upsampling, affected};
use crate::nn::modulation::ModulationKind;
use crate::nn::modulation::Needs;
use crate::nn::{BlockStyles, GeneratorInput, Init, LabelEncoding, Layout, Mode, NormKind, gpu, ops};
use crate::rng::Rng;

/// Random weights as in a model file, large enough to affect the result.
fn weights(config: &GeneratorConfig, seed: u64) -> Tensors {
    let network = config.init(&mut Init::random(seed, &Device::flex())).unwrap().folded();
    let stored = model::store(&network, Precision::Full).unwrap();
    let mut rng = Rng::new(seed);
    let mut tensors = Tensors::new();
    for (name, data) in stored.iter() {
        let fan: usize = data.shape().iter().skip(1).product::<usize>().max(1);
        let statistic = name.contains("running_var");
        let scale = if data.shape().len() > 1 { 1.0 / (fan as f64).sqrt() } else { 0.2 };
        // Gains of random styles multiply from block to block: large ones turn rounding into another picture.
        let scale = if name.contains("style_affine") { 0.3 * scale } else { scale };
        let value = |_| if statistic { 0.5 + rng.uniform() } else { rng.normal() * scale };
        let values = (0..data.len()).map(value).map(|value| value as f32).collect();
        tensors.insert_f32(name, data.shape().to_vec(), values).unwrap();
    }
    tensors
}

/// The owned data behind a scene.
struct Owned {
    labels: LabelMap,
    edges: Option<Vec<bool>>,
    distances: Option<DistanceMap>,
    latent: Option<Vec<f32>>,
    styles: Option<ClassStyles>,
    noise: Noise,
    statistics: Statistics,
}

impl Owned {
    fn scene(&self) -> Scene<'_> {
        let period = [None; 2];
        let (noise, statistics) = (self.noise.clone(), self.statistics);
        Scene { latent: self.latent.as_deref(), styles: self.styles.as_ref(), noise, statistics, period }
    }

    fn window(&self) -> Window {
        let size = [self.labels.height(), self.labels.width()];
        let [rows, columns] = size.map(|side| Span::new(0, side as i64));
        Window { area: Area { rows, columns }, limits: Limits::picture(size) }
    }

    /// The result of a session of the engine.
    fn run(&self, session: &mut Session) -> Vec<f32> {
        self.run_with(session, None, self.window(), 64, &mut |_| Ok(())).unwrap()
    }

    fn run_with(
        &self,
        session: &mut Session,
        key: Option<u64>,
        window: Window,
        tiles: usize,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let mut source = &self.labels;
        let edges = self.edges.as_ref().map_or(Edges::None, |edges| Edges::Given(edges, self.labels.width()));
        let distances = self.distances.clone().map(Arc::new);
        let mut input = LabelInput { source: &mut source, edges, distances, size: [None; 2] };
        collect(session, &self.scene(), &mut input, key, window, tiles, step)
    }

    /// The result of the reference implementation.
    fn expected(&self, config: &GeneratorConfig, tensors: &Tensors) -> Vec<f32> {
        let network = model::load(config.init(&mut Init::to_load(&Device::flex())).unwrap(), tensors).unwrap();
        let input = self.input(config, &Device::flex());
        // With Burn's own convolutions: ours share the Winograd transforms with the engine.
        let paint = || network.forward(&input, Mode::Eval(self.statistics)).unwrap();
        ops::without(paint).into_data().try_to_vec().unwrap()
    }

    /// The result on GPU kernels.
    fn on_gpu(&self, config: &GeneratorConfig, tensors: &Tensors, device: &Device, half: bool) -> Vec<f32> {
        let network = model::load(config.init(&mut Init::to_load(device)).unwrap(), tensors).unwrap();
        let network = gpu::prepared(network, half);
        let picture = network.forward(&self.input(config, device), Mode::Eval(self.statistics)).unwrap();
        assert_eq!(picture.dtype(), if half { DType::F16 } else { DType::F32 });
        picture.cast(DType::F32).into_data().try_to_vec().unwrap()
    }

    fn input(&self, config: &GeneratorConfig, device: &Device) -> GeneratorInput {
        let mut layout =
            Layout::new(vec![self.labels.clone()], config.label_channels, LabelEncoding::Indexed, device).unwrap();
        if let Some(edges) = &self.edges {
            layout = layout.with_edges(vec![edges.clone()]).unwrap();
        }
        if let Some(distances) = &self.distances {
            layout = layout.with_distances(vec![distances.clone()]).unwrap();
        }
        let mut input = GeneratorInput::new(layout).noise(self.noise.clone());
        if let Some(latent) = &self.latent {
            input = input.latent(Tensor::from_data(TensorData::new(latent.clone(), [1, latent.len()]), device));
        }
        if let Some(styles) = &self.styles {
            let rows = |values: &[f32]| -> Tensor<3> {
                let length = values.len() / config.label_channels;
                Tensor::from_data(TensorData::new(values.to_vec(), [1, config.label_channels, length]), device)
            };
            let each = (0..config.blocks()).map(|block| rows(styles.of(block)));
            input = input.styles(BlockStyles::Each(each.collect()));
        }
        input
    }
}

/// Runs a session and puts its bands together: `[3, height, width]`.
fn collect(
    session: &mut Session,
    scene: &Scene<'_>,
    input: &mut LabelInput<'_>,
    key: Option<u64>,
    window: Window,
    tiles: usize,
    step: &mut dyn FnMut(f32) -> Result<()>,
) -> Result<Vec<f32>> {
    let [height, width] = window.area.size();
    let mut picture = vec![f32::NAN; 3 * height * width];
    let mut sink = |y: usize, planes: &[f32]| {
        let rows = planes.len() / 3;
        for (channel, plane) in planes.chunks_exact(rows).enumerate() {
            picture[(channel * height + y) * width..][..rows].copy_from_slice(plane);
        }
        Ok(())
    };
    session.run(scene, input, key, window, tiles, &mut sink, step)?;
    Ok(picture)
}

/// A session of an engine for a network and picture size.
fn session(config: &GeneratorConfig, tensors: &Tensors, size: [usize; 2]) -> Session {
    Arc::new(Engine::new(config, Arc::new(tensors.clone()), size, false).unwrap()).session()
}

/// The largest difference between the engine and the reference implementation.
fn difference(config: &GeneratorConfig, tensors: &Tensors, owned: &Owned) -> f32 {
    assert!(Engine::supports(config));
    let size = [owned.labels.height(), owned.labels.width()];
    let mut session = session(config, tensors, size);
    let found = owned.run(&mut session);
    // Neither buffers with contents of an earlier picture nor cached tables nor the height of bands change the result.
    for tiles in [1, 1, 10_000, 20] {
        assert!(
            owned.run_with(&mut session, Some(1), owned.window(), tiles, &mut |_| Ok(())).unwrap() == found,
            "{tiles}"
        );
    }
    // Dropping weights changes nothing, as long as those needed later are kept.
    let low_memory = Engine::low_memory(config, tensors.clone(), size).unwrap();
    assert!(low_memory.tensors().len() < tensors.len());
    assert!(owned.run(&mut Arc::new(low_memory).session()) == found);
    let expected = owned.expected(config, tensors);
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
    fn it_gives_what_the_reference_gives(
        leading in prop::collection::vec(modulation(), 0..4),
        last in modulation(),
        norm in prop::sample::select(vec![NormKind::Batch, NormKind::Instance]),
        statistics in prop::sample::select(vec![Statistics::Running, Statistics::Batch]),
        upsampling in prop::sample::select(Upsampling::ALL.to_vec()),
        ngf in prop::sample::select(vec![2usize, 6]),
        sides in (1usize..4, 1usize..4),
        block in prop::sample::select(vec![1usize, 5, 24]),
        with_edges in any::<bool>(),
        with_latent in any::<bool>(),
        with_positions in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let classes = 9;
        let kinds = leading.iter().chain([&last]).take(upsampling.blocks());
        let needs = kinds.map(|kind| kind.facts().needs()).fold(Needs::default(), Needs::or);
        let sean = last == ModulationKind::Sean || leading.contains(&ModulationKind::Sean);
        let style = match (needs.styles, with_latent) {
            (true, _) => StyleConfig::Regions { length: 4, encoder: None },
            (false, true) => StyleConfig::Latent { length: 5, grid: [2, 1], encoder: None },
            (false, false) => StyleConfig::None,
        };
        let config = GeneratorConfig {
            leading_blocks: leading,
            norm,
            upsampling,
            instance_edges: with_edges && !sean,
            input_positions: with_positions && !matches!(style, StyleConfig::Latent { .. }),
            style,
            ..GeneratorConfig::new(last, ngf, classes)
        };
        // At least two pixels, so that the variance of a picture is not 0.
        let (width, height) = (sides.0 * config.stride(), (sides.1 + 1) * config.stride());
        let labels = busy_map(width, height, classes as u16, block, u64::from(seed));
        let mut rng = Rng::new(u64::from(seed));
        let mut normals = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let latent = matches!(style, StyleConfig::Latent { .. }).then(|| normals(5));
        let styles = needs.styles.then(|| ClassStyles {
            all: normals(classes * 4),
            some: vec![(1, normals(classes * 4)), (6, normals(classes * 4))],
        });
        let edges = config.instance_edges.then(|| (0..width * height).map(|_| rng.below(7) == 0).collect());
        let distances = config.needs().distances.then(|| DistanceMap::of(&labels));
        let noise = if needs.noise { Noise::Anchored { seed: 3, origin: [32, -64] } } else { Noise::Zero };
        let owned = Owned { labels, edges, distances, latent, styles, noise, statistics };
        let found = difference(&config, &weights(&config, u64::from(seed)), &owned);
        prop_assert!(found <= 1e-3, "{found}");
    }
}

/// Parts of a picture see the positions of the whole one.
#[test]
fn positions_of_a_part_are_those_of_the_whole() {
    let config = GeneratorConfig {
        input_positions: true,
        upsampling: Upsampling::Three,
        ..GeneratorConfig::new(ModulationKind::CladePositions, 4, 5)
    };
    let labels = busy_map(96, 64, 5, 11, 3);
    let (distances, statistics) = (Some(DistanceMap::of(&labels)), Statistics::Running);
    let owned = Owned { labels, edges: None, distances, latent: None, styles: None, noise: Noise::Zero, statistics };
    let mut session = session(&config, &weights(&config, 4), [64, 96]);
    let whole = owned.run(&mut session);
    for [top, left, height, width] in [[0, 0, 16, 24], [19, 30, 21, 40], [40, 72, 24, 24]] {
        let area = Area { rows: Span::new(top, top + height), columns: Span::new(left, left + width) };
        let part = owned.run_with(&mut session, None, Window { area, ..owned.window() }, 8, &mut |_| Ok(())).unwrap();
        for (i, value) in part.iter().enumerate() {
            let [height, width, i] = [height as usize, width as usize, i];
            let (plane, y, x) = (i / (height * width), top as usize + i / width % height, left as usize + i % width);
            assert_eq!(value.to_bits(), whole[(plane * 64 + y) * 96 + x].to_bits(), "{top} {left}: {plane} {y} {x}");
        }
    }
}

/// Every modulation.
fn modulation() -> impl Strategy<Value = ModulationKind> {
    prop::sample::select(ModulationKind::ALL.to_vec())
}

/// On a software GPU: every modulation, by distinct patches and by pixels, in 32 and in 16 bits.
#[test]
fn a_gpu_gives_what_the_reference_gives() {
    let Some(device) = software() else { return };
    let mut precisions = vec![(false, 2e-4)];
    precisions.extend(has_half(&device).then_some((true, 0.1)));
    let device = device.burn();
    let edged = |config: GeneratorConfig| GeneratorConfig { instance_edges: true, ..config };
    let instance = |config: GeneratorConfig| GeneratorConfig { norm: NormKind::Instance, ..config };
    let regions = StyleConfig::Regions { length: 4, encoder: None };
    let latent = StyleConfig::Latent { length: 5, grid: [2, 1], encoder: None };
    let (classes, ngf) = (9, 6);
    let mut cases = vec![
        ("SPADE with edges", edged(instance(GeneratorConfig::spade(ngf, classes)))),
        ("SPADE 5x5", GeneratorConfig::new(ModulationKind::Spade { kernel: 5 }, ngf, classes)),
        ("SPADE of a latent vector", GeneratorConfig { style: latent, ..GeneratorConfig::spade(ngf, classes) }),
        ("CLADE with edges", edged(GeneratorConfig::clade(ngf, classes))),
        (
            "CLADE, positions in the first layer",
            GeneratorConfig { input_positions: true, ..GeneratorConfig::clade(ngf, classes) },
        ),
    ];
    cases.extend(ModulationKind::ALL.iter().map(|kind| {
        let config = GeneratorConfig::new(*kind, ngf, classes);
        let style = if config.needs().styles { regions } else { StyleConfig::None };
        (kind.facts().name(), GeneratorConfig { style, ..config })
    }));
    for (what, config) in cases {
        let tensors = weights(&config, 5);
        for (block, statistics) in [(24, Statistics::Batch), (1, Statistics::Running)] {
            let mut rng = Rng::new(7);
            let mut normals = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
            let sean = matches!(config.style, StyleConfig::Regions { .. });
            let (styles, latent) = (sean.then(|| normals(4 * classes)), (config.style == latent).then(|| normals(5)));
            let labels = busy_map(96, 64, classes as u16, block, 9);
            let distances = config.needs().distances.then(|| DistanceMap::of(&labels));
            let edges = config.instance_edges.then(|| instance_edges(&labels));
            let noise = if config.needs().noise { Noise::Anchored { seed: 3, origin: [32, -64] } } else { Noise::Zero };
            let styles = styles.map(|all| ClassStyles { all, some: Vec::new() });
            let owned = Owned { labels, edges, distances, latent, styles, noise, statistics };
            // Maps of blocks have few distinct patches at full size; maps of noise have hardly any patch twice.
            let labels = owned.input(&config, device).layout.at(64, 96);
            assert_eq!(labels.patches().is_some(), block > 1);
            let expected = owned.expected(&config, &tensors);
            for &(half, most) in &precisions {
                let found = owned.on_gpu(&config, &tensors, device, half);
                let off = |(a, b): (&f32, &f32)| (a - b).abs();
                let worst = found.iter().zip(&expected).map(off).fold(0.0, f32::max);
                let mean = found.iter().zip(&expected).map(off).sum::<f32>() / found.len() as f32;
                println!("{what}, blocks of {block}, {statistics:?}, half {half}: {worst:e}, mean {mean:e}");
                assert!(worst <= most && mean <= most / 10.0, "{what} {block} {statistics:?} {half}: {worst} {mean}");
            }
        }
    }
}

/// A new style is packed, and going back to an old one works.
#[test]
fn styles_follow_each_other() {
    let style = StyleConfig::Regions { length: 4, encoder: None };
    let config = GeneratorConfig { style, ..GeneratorConfig::new(ModulationKind::Sean, 2, 5) };
    let tensors = weights(&config, 1);
    let mut rng = Rng::new(1);
    let mut paint = {
        let mut session = session(&config, &tensors, [32, 64]);
        let labels = busy_map(64, 32, 5, 8, 1);
        move |all: &Vec<f32>, some: &[(usize, Vec<f32>)]| {
            let (styles, noise) = (Some(ClassStyles { all: all.clone(), some: some.to_vec() }), Noise::Zero);
            let (edges, distances, latent, statistics) = (None, None, None, Statistics::Batch);
            let owned = Owned { labels: labels.clone(), edges, distances, latent, styles, noise, statistics };
            let found = owned.run(&mut session);
            let expected = owned.expected(&config, &tensors);
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-3, "{off}");
            found
        }
    };
    let [a, b] = [(); 2].map(|()| (0..20).map(|_| rng.normal() as f32).collect::<Vec<f32>>());
    let first = paint(&a, &[]);
    let second = paint(&b, &[]);
    assert_ne!(first, second);
    assert_eq!(paint(&a, &[]), first);
    let crossed = paint(&a, &[(3, b.clone())]);
    assert!(crossed != first && crossed != second);
    assert_eq!(paint(&b, &[]), second);
}

/// Matches the reference outputs of every network the engine supports.
#[test]
fn it_paints_the_reference_pictures() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/golden");
    let shared = std::env::var("SEMSYNTH_SHARED").map_or_else(|_| shared.to_owned(), |path| format!("{path}/golden"));
    let latent = StyleConfig::Latent { length: 256, grid: [2, 2], encoder: None };
    let regions = StyleConfig::Regions { length: 16, encoder: None };
    let edged =
        |config: GeneratorConfig| GeneratorConfig { instance_edges: true, upsampling: Upsampling::More, ..config };
    let mut worst = 0.0f32;
    for (file, config) in [
        ("spade_normal", GeneratorConfig::spade(2, 5)),
        ("spade_more_inst_2to1", edged(GeneratorConfig::spade(2, 5))),
        ("spade_most", GeneratorConfig { upsampling: Upsampling::Most, ..GeneratorConfig::spade(2, 5) }),
        ("spade_vae", GeneratorConfig { style: latent, ..GeneratorConfig::spade(2, 5) }),
        ("clade", GeneratorConfig::clade(2, 5)),
        ("clade_icpe_inst", edged(GeneratorConfig::new(ModulationKind::CladeIcpe, 2, 5))),
        ("sean", GeneratorConfig { style: regions, ..GeneratorConfig::sean(2, 3) }),
    ] {
        let path = Path::new(&shared).join(format!("{file}.safetensors"));
        if !Path::new(&shared).exists() {
            eprintln!("skipped: {} is not here", path.display());
            return;
        }
        let fixture = Tensors::open(&path).unwrap();
        let values = |name: &str| fixture.get(name).map(crate::tensors::TensorData::to_f32);
        let seg = fixture.get("io.seg").unwrap();
        let (one_hot, [height, width]) = (seg.to_f32(), [seg.shape()[2], seg.shape()[3]]);
        let (pixels, classes) = (height * width, config.label_channels);
        let id = |i: usize| (0..classes).find(|&class| one_hot[class * pixels + i] > 0.5).unwrap() as u16;
        let network = model::load(config.init(&mut Init::random(1, &Device::flex())).unwrap(), &fixture).unwrap();
        let tensors = model::store(&network.folded(), Precision::Full).unwrap();
        let mut session = session(&config, &tensors, [height, width]);
        let mut owned = Owned {
            labels: LabelMap::new(width, height, (0..pixels).map(id).collect()).unwrap(),
            edges: config.instance_edges.then(|| one_hot[classes * pixels..].iter().map(|&edge| edge > 0.5).collect()),
            distances: values("io.dist").map(|planes| {
                let (vertical, horizontal) = planes.split_at(pixels);
                DistanceMap::new(width, height, vertical.to_vec(), horizontal.to_vec()).unwrap()
            }),
            latent: values("io.z"),
            styles: values("io.style").map(|all| ClassStyles { all, some: Vec::new() }),
            noise: Noise::Zero,
            statistics: Statistics::Running,
        };
        // The engine takes no given noise: compare with SEAN's reference without noise.
        let eval = if file == "sean" { "io.out_eval_nonoise" } else { "io.out_eval" };
        for (name, statistics) in [(eval, Statistics::Running), ("io.out_batchstats", Statistics::Batch)] {
            let Some(expected) = values(name) else { continue };
            owned.statistics = statistics;
            let found = owned.run(&mut session);
            let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            println!("engine {file} {name}: max abs difference {off:e}");
            assert!(off <= 1e-4, "{file} {name}: {off}");
            worst = worst.max(off);
        }
    }
    assert!(worst > 0.0);
}

/// The number of threads does not change a single bit.
#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let config = GeneratorConfig::hybrid(6, 9, 4);
    let tensors = weights(&config, 3);
    let (labels, noise, statistics) = (busy_map(96, 64, 9, 5, 8), Noise::Zero, Statistics::Batch);
    let owned = Owned { labels, edges: None, distances: None, latent: None, styles: None, noise, statistics };
    let paint = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| owned.run(&mut session(&config, &tensors, [64, 96])))
    };
    let one = paint(1);
    assert_eq!(paint(2), one);
    assert_eq!(paint(3), one);
}

/// What a session keeps between pictures does not grow with their number.
#[test]
fn buffers_do_not_add_up() {
    let config = GeneratorConfig::hybrid(6, 9, 4);
    let tensors = weights(&config, 3);
    let (labels, noise, statistics) = (busy_map(96, 64, 9, 5, 8), Noise::Zero, Statistics::Running);
    let owned = Owned { labels, edges: None, distances: None, latent: None, styles: None, noise, statistics };
    let mut session = session(&config, &tensors, [64, 96]);
    let kept = |session: &mut Session| {
        owned.run(session);
        (session.memory.count(), session.bytes())
    };
    let first = [(); 3].map(|()| kept(&mut session))[2];
    for _ in 0..20 {
        assert_eq!(kept(&mut session), first);
    }
}

/// Sessions share weights, but not styles.
#[test]
fn sessions_do_not_disturb_each_other() {
    let style = StyleConfig::Regions { length: 4, encoder: None };
    let config = GeneratorConfig { style, ..GeneratorConfig::new(ModulationKind::Sean, 2, 5) };
    let tensors = weights(&config, 1);
    let engine = Arc::new(Engine::new(&config, Arc::new(tensors), [32, 64], false).unwrap());
    let owned = |seed: u64| {
        let mut rng = Rng::new(seed);
        let all = (0..20).map(|_| rng.normal() as f32).collect();
        let styles = Some(ClassStyles { all, some: Vec::new() });
        let (labels, noise) = (busy_map(64, 32, 5, 8, seed), Noise::Anchored { seed, origin: [0, 0] });
        Owned { labels, edges: None, distances: None, latent: None, styles, noise, statistics: Statistics::Running }
    };
    let alone: Vec<Vec<f32>> = (0..4).map(|seed| owned(seed).run(&mut engine.session())).collect();
    std::thread::scope(|scope| {
        for (seed, expected) in (0..).zip(&alone) {
            let (mut session, owned) = (engine.session(), owned(seed));
            scope.spawn(move || (0..3).for_each(|_| assert!(&owned.run(&mut session) == expected)));
        }
    });
}

/// After a cancellation at any point, the next picture is correct.
#[test]
fn a_session_can_be_used_after_an_error() {
    let config = GeneratorConfig::hybrid(2, 5, 3);
    let tensors = weights(&config, 1);
    let (labels, noise, statistics) = (busy_map(64, 32, 5, 8, 1), Noise::Zero, Statistics::Batch);
    let owned = Owned { labels, edges: None, distances: None, latent: None, styles: None, noise, statistics };
    let mut session = session(&config, &tensors, [32, 64]);
    let mut steps = Vec::new();
    let window = owned.window();
    let expected = owned.run_with(&mut session, Some(1), window, 16, &mut |done| {
        steps.push(done);
        Ok(())
    });
    let expected = expected.unwrap();
    assert!(steps.len() > 30 && steps.is_sorted() && steps[0] == 0.0 && steps.iter().all(|&done| done <= 1.0));
    for end in 0..steps.len() {
        let mut left = end;
        let ended = owned.run_with(&mut session, Some(1), window, 16, &mut |_| {
            left = left.checked_sub(1).ok_or(Error::Cancelled)?;
            Ok(())
        });
        assert!(matches!(ended, Err(Error::Cancelled)), "{end}");
        assert!(owned.run_with(&mut session, Some(1), window, 16, &mut |_| Ok(())).unwrap() == expected, "{end}");
    }
}

/// Labels without an end: random blocks.
struct World {
    classes: u16,
    block: i64,
    seed: u64,
}

impl LabelSource for World {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        for (i, id) in (0..).zip(ids) {
            let (x, y) = (area.x + i % i64::from(area.width), area.y + i / i64::from(area.width));
            let [column, row] = [x, y].map(|at| at.div_euclid(self.block) as u64);
            let place =
                self.seed ^ row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ column.wrapping_mul(0xD1B5_4A32_D192_ED03);
            *id = Rng::new(place).below(usize::from(self.classes)) as u16;
        }
        Ok(())
    }
}

/// A picture of a part of a world.
fn paint(
    session: &mut Session,
    scene: &Scene<'_>,
    source: &mut dyn LabelSource,
    edges: bool,
    window: Window,
    tiles: usize,
) -> Vec<f32> {
    let edges = if edges { Edges::Instances } else { Edges::None };
    let mut input = LabelInput { source, edges, distances: None, size: [None; 2] };
    collect(session, scene, &mut input, None, window, tiles, &mut |_| Ok(())).unwrap()
}

/// The part of a picture of `whole` that is in `part`.
fn part_of(picture: &[f32], whole: Area, part: Area) -> Vec<f32> {
    let [height, width] = whole.size();
    let (rows, columns) = (whole.rows.relative(part.rows), whole.columns.relative(part.columns));
    let row = |channel: usize, y: usize| &picture[(channel * height + y) * width..][columns.clone()];
    (0..3).flat_map(|channel| rows.clone().flat_map(move |y| row(channel, y).to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any part of a picture or of an endless world, in bands of any height, has the bits of a larger one.
    #[test]
    fn parts_have_the_bits_of_the_whole(
        leading in prop::collection::vec(modulation(), 0..3),
        last in modulation(),
        upsampling in prop::sample::select(vec![Upsampling::Normal, Upsampling::Normal, Upsampling::More]),
        with_edges in any::<bool>(),
        endless in (any::<bool>(), any::<bool>()),
        size in (1i64..7, 1i64..7),
        corner in (-300i64..300, -300i64..300),
        parts in prop::collection::vec(((any::<u16>(), any::<u16>()), (1i64..150, 1i64..150), 1usize..300), 3),
        block in prop::sample::select(vec![1i64, 9, 40]),
        seed in any::<u32>(),
    ) {
        let classes = 7;
        let kinds = leading.iter().chain([&last]);
        let needs = kinds.map(|kind| kind.facts().needs()).fold(Needs::default(), Needs::or);
        prop_assume!(!needs.distances);
        let sean = last == ModulationKind::Sean || leading.contains(&ModulationKind::Sean);
        let style = if needs.styles { StyleConfig::Regions { length: 4, encoder: None } } else { StyleConfig::None };
        let instance_edges = with_edges && !sean;
        let config = GeneratorConfig {
            leading_blocks: leading, upsampling, instance_edges, style, ..GeneratorConfig::new(last, 2, classes)
        };
        let stride = config.stride() as i64;
        let mut session = session(&config, &weights(&config, u64::from(seed)), [96, 96]);
        let mut rng = Rng::new(u64::from(seed));
        let styles = needs.styles.then(|| {
            ClassStyles { all: (0..classes * 4).map(|_| rng.normal() as f32).collect(), some: Vec::new() }
        });
        let noise = if needs.noise { Noise::Anchored { seed: 3, origin: [96, -64] } } else { Noise::Zero };
        let (statistics, period) = (Statistics::Running, [None; 2]);
        let scene = Scene { latent: None, styles: styles.as_ref(), noise, statistics, period };
        let limits = Limits {
            rows: (!endless.0).then(|| Span::new(0, size.0 * stride)),
            columns: (!endless.1).then(|| Span::new(0, size.1 * stride)),
        };
        let axis = |limits: Option<Span>, corner: i64, size: i64| {
            limits.unwrap_or(Span::new(corner, corner + size * 30))
        };
        let whole = Area { rows: axis(limits.rows, corner.0, size.0), columns: axis(limits.columns, corner.1, size.1) };
        let mut world = World { classes: classes as u16, block, seed: u64::from(seed) };
        let mut paint = |area, tiles| {
            paint(&mut session, &scene, &mut world, instance_edges, Window { area, limits }, tiles)
        };
        let picture = paint(whole, 100_000);
        for ((y, x), (height, width), tiles) in parts {
            let axis = |span: Span, start: u16, side: i64| {
                let start = span.start + i64::from(start) % span.len() as i64;
                Span::new(start, (start + side).min(span.end))
            };
            let area = Area { rows: axis(whole.rows, y, height), columns: axis(whole.columns, x, width) };
            let found = paint(area, tiles);
            let expected = part_of(&picture, whole, area);
            let off = found.iter().zip(&expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            prop_assert_eq!(off, 0, "{:?} of {:?}", area, whole);
        }
    }
}

/// One class whose weights are so large that infinity follows: all that depends on a label changes, and nothing else.
#[test]
fn a_label_reaches_exactly_as_far_as_computed() {
    let (classes, side) = (2, 768);
    for (config, places) in [
        (GeneratorConfig::clade(2, classes), vec![0, 1, 16, 31]),
        (GeneratorConfig::spade(2, classes), vec![0, 31]),
        (GeneratorConfig { upsampling: Upsampling::Three, ..GeneratorConfig::clade(2, classes) }, vec![0, 3, 7]),
    ] {
        let mut tensors = weights(&config, 3);
        let names: Vec<String> = tensors.names().map(str::to_owned).collect();
        for name in names {
            let data = tensors.get(&name).unwrap();
            let (shape, mut values) = (data.shape().to_vec(), data.to_f32());
            // The weights of class 1.
            match name.as_str() {
                "fc.weight" => values.chunks_exact_mut(9).skip(1).step_by(2).for_each(|tap| tap.fill(1e30)),
                _ if name.contains("class_specified_affine") => values[shape[1]..].fill(1e30),
                _ if name.contains("mlp_shared.0.weight") => {
                    values.chunks_exact_mut(9).skip(1).step_by(2).for_each(|tap| tap.fill(1e30));
                }
                _ => continue,
            }
            tensors.remove(&name);
            tensors.insert_f32(&name, shape, values).unwrap();
        }
        let mut session = session(&config, &tensors, [256, 256]);
        let picture = |place: Option<usize>| {
            let ids = (0..side * side)
                .map(|i| u16::from(place.is_some_and(|place| i == (352 + 2 * place) * side + 384 + place)));
            Owned {
                labels: LabelMap::new(side, side, ids.collect()).unwrap(),
                edges: None,
                distances: None,
                latent: None,
                styles: None,
                noise: Noise::Zero,
                statistics: Statistics::Running,
            }
        };
        let (flat, flat_on_engine) = (picture(None).expected(&config, &tensors), picture(None).run(&mut session));
        for place in places {
            let owned = picture(Some(place));
            let changed = |found: &[f32], flat: &[f32]| {
                let mut all: Option<Area> = None;
                for (i, (found, flat)) in found.iter().zip(flat).take(side * side).enumerate() {
                    if !matches!(found.partial_cmp(flat), Some(std::cmp::Ordering::Equal)) {
                        let [rows, columns] = [i / side, i % side].map(|at| Span::new(at as i64, at as i64 + 1));
                        let here = Area { rows, columns };
                        all = Some(all.map_or(here, |all| all.hull(here)));
                    }
                }
                all.unwrap()
            };
            let [rows, columns] = [352 + 2 * place, 384 + place].map(|at| Span::new(at as i64, at as i64 + 1));
            let label = Area { rows, columns };
            let reach = |unit| affected(&Plan::new(&config), label, Limits::picture([side, side]), unit);
            assert_eq!(changed(&owned.expected(&config, &tensors), &flat), reach(1), "{place}");
            // In tiles of convolution, rounding reaches further.
            let found = changed(&owned.run(&mut session), &flat_on_engine);
            assert!(found.hull(reach(1)) == found && found.hull(reach(4)) == reach(4), "{place}: {found:?}");
        }
    }
}
