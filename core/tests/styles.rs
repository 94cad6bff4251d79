//! The effect of styles on pictures: encoding, blending, crossover, and missing styles.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{random_model, rgb};
use image::RgbImage;
use semsynth::label::LabelMap;
use semsynth::network::{Architecture, GeneratorConfig, StyleConfig, System};
use semsynth::nn::Statistics;
use semsynth::nn::modulation::ModulationKind;
use semsynth::style::StyleKind;
use semsynth::{
    CancelToken, Collage, Control, Device, Error, Image, Model, PreparedModel, Request, Style, StyleEncoder,
    Synthesizer, SynthesizerOptions,
};

const CLASSES: u16 = 4;

fn model(config: GeneratorConfig) -> Model {
    random_model(Architecture::SpadeFamily(config), CLASSES)
}

fn sean() -> Synthesizer {
    let config = GeneratorConfig {
        style: StyleConfig::Regions { length: 6, encoder: Some(2) },
        ..GeneratorConfig::new(ModulationKind::Sean, 2, usize::from(CLASSES))
    };
    Synthesizer::new(model(config), &Device::cpu()).unwrap()
}

fn vae() -> Synthesizer {
    let style = StyleConfig::Latent { length: 8, grid: [2, 2], encoder: Some(2) };
    let config = GeneratorConfig { style, ..GeneratorConfig::spade(2, usize::from(CLASSES)) };
    Synthesizer::new(model(config), &Device::cpu()).unwrap()
}

/// A map of four quarters.
fn labels() -> LabelMap {
    let id = |pixel: usize| (2 * (pixel / 64 / 32) + pixel % 64 / 32) as u16;
    LabelMap::new(64, 64, (0..64 * 64).map(id).collect()).unwrap()
}

fn photo(seed: u32) -> Image {
    let byte = |x: u32, y: u32, c: u32| ((x * (3 + seed) + y * (5 + c) + seed * 41 + x * y * c) % 251) as u8;
    let pixel = |i: u32| [0, 1, 2].map(|channel| byte(i % 64, i / 64, channel));
    Image::new(64, 64, (0..64 * 64).flat_map(pixel).collect()).unwrap()
}

fn paint(synth: &mut Synthesizer, request: &Request) -> RgbImage {
    rgb(synth.run(&labels(), request).unwrap())
}

fn error(synth: &mut Synthesizer, request: &Request) -> String {
    match synth.run(&labels(), request) {
        Err(Error::Argument(message)) => message,
        Err(Error::StyleNeeded) => Error::StyleNeeded.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn region_styles_show_in_the_picture() {
    let mut synth = sean();
    let a = synth.encode(&photo(1), Some(&labels()), None).unwrap();
    let b = synth.encode(&photo(2), Some(&labels()), None).unwrap();
    assert_eq!((a.kind(), a.rows(), a.length()), (StyleKind::Regions, 4, 6));
    assert!((0..CLASSES).all(|class| a.is_present(class)));
    let of = |style: &Style| Request::new().style(style);
    let (picture_a, picture_b) = (paint(&mut synth, &of(&a)), paint(&mut synth, &of(&b)));
    assert_ne!(picture_a, picture_b);
    // The ends of a blend, and replacing one class after the other, give the original styles.
    assert_eq!(paint(&mut synth, &of(&a.blend(&b, 0.0).unwrap())), picture_a);
    assert_eq!(paint(&mut synth, &of(&a.blend(&b, 1.0).unwrap())), picture_b);
    let replaced = (0..CLASSES).try_fold(a.clone(), |style, class| style.with_class(class, &b, class)).unwrap();
    assert_eq!(paint(&mut synth, &of(&replaced)), picture_b);
    let one = paint(&mut synth, &of(&a.with_class(2, &b, 2).unwrap()));
    assert!(one != picture_a && one != picture_b);
}

#[test]
fn crossover_with_equal_styles_changes_nothing() {
    let mut synth = sean();
    let a = synth.encode(&photo(1), Some(&labels()), None).unwrap();
    let b = synth.encode(&photo(2), Some(&labels()), None).unwrap();
    let plain = paint(&mut synth, &Request::new().style(&a));
    let mut all_a = Request::new().style(&a);
    let mut all_b = Request::new().style(&a);
    for block in 0..7 {
        all_a = all_a.block_style(block, &a);
        all_b = all_b.block_style(block, &b);
    }
    assert_eq!(paint(&mut synth, &all_a), plain);
    assert_eq!(paint(&mut synth, &all_b), paint(&mut synth, &Request::new().style(&b)));
    assert_ne!(paint(&mut synth, &Request::new().style(&a).block_style(3, &b)), plain);
    // The block at full size has no style.
    assert_eq!(paint(&mut synth, &Request::new().style(&a).block_style(6, &b)), plain);
    let message = error(&mut synth, &Request::new().style(&a).block_style(7, &b));
    assert!(message.contains("block 7") && message.contains("0 to 6"), "{message}");
}

#[test]
fn absent_classes_count_as_zeros() {
    let mut synth = sean();
    let half = LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (pixel % 64 / 32) as u16).collect()).unwrap();
    let style = synth.encode(&photo(1), Some(&half), None).unwrap();
    let present: Vec<bool> = (0..CLASSES).map(|class| style.is_present(class)).collect();
    assert_eq!(present, [true, true, false, false]);
    let row = |class: u16| style.row(class).map(<[f32]>::to_vec);
    let zeros = Style::regions(6, vec![row(0), row(1), Some(vec![0.0; 6]), Some(vec![0.0; 6])]).unwrap();
    let absent = paint(&mut synth, &Request::new().style(&style));
    assert_eq!(absent, paint(&mut synth, &Request::new().style(&zeros)));
    // Missing classes can be filled in from a mean.
    let whole = synth.encode(&photo(2), Some(&labels()), None).unwrap();
    let mean = Style::mean([&style, &whole]).unwrap();
    let filled = style.or(&mean).unwrap();
    assert_eq!(filled.row(3), whole.row(3));
    assert_ne!(paint(&mut synth, &Request::new().style(&filled)), absent);
    // A class whose only pixel is lost at half the size is missing too.
    let mut ids: Vec<u16> = vec![0; 64 * 64];
    ids[65] = 3;
    let style = synth.encode(&photo(1), Some(&LabelMap::new(64, 64, ids).unwrap()), None).unwrap();
    assert!(style.is_present(0) && !style.is_present(3));
}

#[test]
fn noise_follows_the_seed_and_can_be_left_out() {
    let mut synth = sean();
    let style = synth.encode(&photo(1), Some(&labels()), None).unwrap();
    let request = Request::new().style(&style);
    let noisy = paint(&mut synth, &request.clone().seed(1));
    assert_eq!(noisy, paint(&mut synth, &request.clone().seed(1)));
    assert_ne!(noisy, paint(&mut synth, &request.clone().seed(2)));
    assert_ne!(noisy, paint(&mut synth, &request.clone().seed(1).origin(64, 0)));
    let quiet = paint(&mut synth, &request.clone().seed(1).quiet());
    assert_ne!(noisy, quiet);
    assert_eq!(quiet, paint(&mut synth, &request.seed(2).quiet()));
}

#[test]
fn latent_styles_come_from_a_photo_or_a_seed() {
    let mut synth = vae();
    let drawn = paint(&mut synth, &Request::new().seed(1));
    assert_eq!(drawn, paint(&mut synth, &Request::new().style(&Style::random(1, 8).unwrap())));
    assert_ne!(drawn, paint(&mut synth, &Request::new().seed(2)));
    let mean = synth.encode(&photo(1), None, None).unwrap();
    assert_eq!(mean, synth.encode(&photo(1), None, None).unwrap());
    let sampled = synth.encode(&photo(1), None, Some(5)).unwrap();
    assert_eq!(sampled, synth.encode(&photo(1), None, Some(5)).unwrap());
    assert_ne!(sampled, mean);
    let (a, b) = (Style::random(1, 8).unwrap(), Style::random(2, 8).unwrap());
    let steps: Vec<Style> = a.interpolate(&b, 3).unwrap().collect();
    assert_eq!(paint(&mut synth, &Request::new().style(&steps[0])), drawn);
    assert_eq!(paint(&mut synth, &Request::new().style(&steps[2])), paint(&mut synth, &Request::new().style(&b)));
    // A label map with another size than the latent grid was made for.
    let larger = LabelMap::filled(128, 64, 1).unwrap();
    assert_eq!(rgb(synth.run(&larger, &Request::new()).unwrap()).dimensions(), (128, 64));
}

#[test]
fn styles_that_do_not_fit_are_refused() {
    let (mut sean, mut vae) = (sean(), vae());
    let message = error(&mut sean, &Request::new());
    assert!(message.contains("needs a style"), "{message}");
    let message = error(&mut sean, &Request::new().style(&Style::random(1, 8).unwrap()));
    assert!(message.contains("one vector of 8 values") && message.contains("4 classes of 6 values"), "{message}");
    let style = sean.encode(&photo(1), Some(&labels()), None).unwrap();
    let message = error(&mut vae, &Request::new().style(&style));
    assert!(message.contains("another model"), "{message}");
    let message = error(&mut vae, &Request::new().block_style(0, &Style::random(1, 8).unwrap()));
    assert!(message.contains("one style for all blocks"), "{message}");
    assert!(matches!(vae.encode(&photo(1), Some(&labels()), None), Err(Error::Argument(_))));
    assert!(matches!(sean.encode(&photo(1), None, None), Err(Error::Argument(_))));
    let mut clade = Synthesizer::new(model(GeneratorConfig::clade(2, usize::from(CLASSES))), &Device::cpu()).unwrap();
    let message = error(&mut clade, &Request::new().style(&style));
    assert!(message.contains("takes none"), "{message}");
}

/// A pixel's position within its object does not depend on how much the map is padded to the network's stride.
#[test]
fn positions_are_those_of_the_map_as_given() {
    let config = GeneratorConfig::new(ModulationKind::CladeIcpe, 2, usize::from(CLASSES));
    let mut synth = Synthesizer::new(model(config), &Device::cpu()).unwrap();
    // A block of 40 columns in a map of 40 columns, which is padded to 64.
    let narrow = LabelMap::filled(40, 64, 1).unwrap();
    let wide = LabelMap::filled(64, 64, 1).unwrap();
    let paint = |synth: &mut Synthesizer, map: &LabelMap| {
        rgb(synth.run(map, &Request::new().statistics(Statistics::Running)).unwrap())
    };
    let (narrow, wide) = (paint(&mut synth, &narrow), paint(&mut synth, &wide));
    assert_eq!(narrow.dimensions(), (40, 64));
    // Relative to its own size, the columns of the narrow block differ from those of the wide one.
    assert!((0..64).any(|y| narrow.get_pixel(39, y) != wide.get_pixel(39, y)));
}

/// Instance edges affect the picture; without an instance map they are the edges between classes.
#[test]
fn instances_show_in_the_picture() {
    let config = GeneratorConfig { instance_edges: true, ..GeneratorConfig::clade(2, usize::from(CLASSES)) };
    let mut synth = Synthesizer::new(model(config), &Device::cpu()).unwrap();
    let plain = paint(&mut synth, &Request::new());
    assert_eq!(plain, paint(&mut synth, &Request::new().instances(labels())));
    let stripes = LabelMap::new(64, 64, (0..64 * 64).map(|pixel| (pixel / 64 / 4) as u16).collect()).unwrap();
    assert_ne!(plain, paint(&mut synth, &Request::new().instances(stripes)));
    let message = error(&mut synth, &Request::new().instances(LabelMap::filled(8, 8, 0).unwrap()));
    assert!(message.contains("8x8") && message.contains("64x64"), "{message}");
}

#[test]
fn warming_up_changes_no_picture() {
    let style = Style::regions(6, vec![Some(vec![0.3; 6]); usize::from(CLASSES)]).unwrap();
    for (mut synth, request) in [(sean(), Request::new().style(&style)), (vae(), Request::new())] {
        let expected = paint(&mut synth, &request);
        synth.warm_up(64, 32, &request).unwrap();
        assert_eq!(paint(&mut synth, &request), expected);
        for (width, height) in [(0, 32), (1 << 40, 1 << 40)] {
            assert!(synth.warm_up(width, height, &request).is_err());
        }
    }
}

/// Many threads ask for the encoder at once, in a pool as small as can be; and the encoder alone gives the same.
#[test]
fn threads_encode_at_the_same_time() {
    let config = GeneratorConfig {
        style: StyleConfig::Regions { length: 64, encoder: Some(64) },
        ..GeneratorConfig::new(ModulationKind::Sean, 2, usize::from(CLASSES))
    };
    let model = model(config);
    let expected = StyleEncoder::new(&model, &Device::cpu()).unwrap().encode(&photo(1), Some(&labels()), None).unwrap();
    for threads in [1, 2] {
        let prepared = PreparedModel::new(&model, SynthesizerOptions::new(&Device::cpu()).threads(threads)).unwrap();
        assert!(prepared.uses_engine());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(prepared.encode(&photo(1), Some(&labels()), None).unwrap(), expected));
            }
        });
    }
}

/// Baselines can be cancelled inside a picture too.
#[test]
fn every_network_stops_when_it_is_cancelled() {
    for system in System::all() {
        let mut synth =
            Synthesizer::new(random_model(system.architecture(4, usize::from(CLASSES)), CLASSES), &Device::cpu())
                .unwrap();
        let length =
            if let StyleConfig::Regions { length, .. } = synth.manifest().architecture.style() { length } else { 0 };
        let mut request = Request::new();
        if length > 0 {
            request = request.style(&Style::regions(length, vec![None; usize::from(CLASSES)]).unwrap());
        }
        if synth.manifest().architecture.takes_collage() {
            request = request.collage(Collage::empty(256, 256).unwrap());
        }
        let labels = LabelMap::filled(256, 256, 1).unwrap();
        let token = CancelToken::new();
        let mut seen = Vec::new();
        let mut progress = |done| {
            seen.push(done);
            if done > 0.0 {
                token.cancel();
            }
        };
        let ended = synth.run_with(&labels, &request, &mut Control::new().cancel(&token).progress(&mut progress));
        assert!(matches!(ended, Err(Error::Cancelled)), "{system}");
        assert!(seen.len() == 2 && seen[1] < 0.5, "{system}: {seen:?}");
        let mut seen = Vec::new();
        synth.run_with(&labels, &request, &mut Control::new().progress(&mut |done| seen.push(done))).unwrap();
        assert!(
            seen.is_sorted() && seen.len() > 5 && seen[0] == 0.0 && seen.last() == Some(&1.0),
            "{system}: {seen:?}"
        );
    }
}
