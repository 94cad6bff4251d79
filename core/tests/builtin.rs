//! The built-in models.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::rgb;
use semsynth::data::{ProceduralFacades, ProceduralTerrain};
use semsynth::metrics::{psnr, ssim};
use semsynth::{Device, Error, Image, LabelMap, Model, Rect, Request, Synthesizer, SynthesizerOptions};

/// Pairs that no model was trained on, for the classes of a model, in the look that it paints without a style.
fn pairs(model: &Model) -> Vec<(image::RgbImage, LabelMap)> {
    let [height, width] = model.manifest().native_size;
    let first = model.presets().first().map(|preset| preset.name.clone());
    if model.classes() == &ProceduralTerrain::classes() {
        let part = |index: i64| Rect { x: 1000 * index, y: 77, width: width as u32, height: height as u32 };
        let world = ProceduralTerrain::new(7).preset(&first.unwrap()).unwrap();
        return (0..8).map(|index| world.render(part(index)).unwrap()).collect();
    }
    let set = ProceduralFacades::new(7);
    let set = first.map_or(set.clone(), |name| set.preset(&name).unwrap());
    (0..8).map(|index| set.render(index, width, height).unwrap()).collect()
}

/// Every built-in model opens, names its licence, and reconstructs pictures it was not trained on.
#[test]
fn built_in_models_paint() {
    for name in Model::builtins() {
        let model = Model::builtin(name).unwrap();
        assert_eq!(model.manifest().name, name);
        assert_eq!(model.manifest().licence, "CC0-1.0");
        assert!(model.to_bytes().unwrap().len() <= 8 << 20, "{name} is large");
        let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
        let (mut decibels, mut similarity) = (0.0, 0.0);
        for (photo, labels) in pairs(&model) {
            let picture = rgb(synth.run(&labels, &Request::new()).unwrap());
            decibels += psnr(&picture, &photo).unwrap() / 8.0;
            similarity += ssim(&picture, &photo).unwrap() / 8.0;
        }
        println!("{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
        // Textures are free: of terrain, the colours are near and details look alike.
        let (least_decibels, least) = if name == "facades" { (17.0, 0.58) } else { (21.0, 0.35) };
        assert!(decibels > least_decibels && similarity > least, "{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
    }
    assert!(Model::builtins().any(|name| name == "facades"));
    let error = Model::builtin("nothing").unwrap_err();
    assert!(error.to_string().contains("facades"), "{error}");
    let Error::UnknownName { name, known, .. } = error else { panic!("{error}") };
    assert!(name == "nothing" && known.iter().map(String::as_str).eq(Model::builtins()));
}

/// Mean absolute difference in levels of 8x8 blocks' mean colours: details are free, colours are not.
fn block_difference(a: &image::RgbImage, b: &image::RgbImage) -> f64 {
    let blocks =
        |picture: &image::RgbImage| image::imageops::thumbnail(picture, picture.width() / 8, picture.height() / 8);
    let (a, b) = (blocks(a), blocks(b));
    let off: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    off / a.as_raw().len() as f64
}

/// Renders of the same labels in the look of a preset.
fn renders(model: &str, preset: &str) -> Vec<(image::RgbImage, LabelMap)> {
    (0..3)
        .map(|index| match model {
            "terrain" => {
                let part = Rect { x: 1000 * index, y: 77, width: 192, height: 192 };
                ProceduralTerrain::new(7).preset(preset).unwrap().render(part).unwrap()
            }
            _ => ProceduralFacades::new(7).preset(preset).unwrap().render(index as u64, 192, 192).unwrap(),
        })
        .collect()
}

/// Each preset paints what its own look is, on labels that no network was trained on: of all renders of the same labels, that of
/// the same preset is the nearest.
#[test]
fn presets_look_like_themselves() {
    for model in ["terrain", "facades"] {
        presets_of(model);
    }
}

fn presets_of(name: &str) {
    let model = Model::builtin(name).unwrap();
    assert!(model.presets().len() >= 6, "{name}");
    let names: Vec<&str> = model.presets().iter().map(|preset| preset.name.as_str()).collect();
    let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
    let renders: Vec<Vec<_>> = names.iter().map(|preset| renders(name, preset)).collect();
    let painted: Vec<Vec<_>> = names
        .iter()
        .map(|name| {
            let request = Request::new().style(&model.preset(name).unwrap());
            renders[0].iter().map(|(_, labels)| rgb(synth.run(labels, &request).unwrap())).collect()
        })
        .collect();
    let mean = |a: usize, b: usize| {
        let all = painted[a].iter().zip(&renders[b]).map(|(painted, (photo, _))| block_difference(painted, photo));
        all.sum::<f64>() / renders[0].len() as f64
    };
    for (a, preset) in names.iter().enumerate() {
        let differences: Vec<f64> = (0..names.len()).map(|b| mean(a, b)).collect();
        let (others, own) = (differences.iter().enumerate().filter(|(b, _)| *b != a), differences[a]);
        let nearest = others.map(|(_, difference)| *difference).fold(f64::INFINITY, f64::min);
        println!("{name}, {preset}: {own:.1} levels from its own render, {nearest:.1} from the nearest other");
        assert!(own < nearest, "{name}, {preset}: {differences:.1?}");
    }
    // Presets differ from each other.
    for a in 0..names.len() {
        for b in 0..a {
            let all = painted[a].iter().zip(&painted[b]).map(|(a, b)| block_difference(a, b));
            let apart = all.sum::<f64>() / renders[0].len() as f64;
            assert!(apart > 3.0, "{name}: {} and {}: {apart:.1} levels apart", names[a], names[b]);
        }
    }
}

/// Low memory gives the same picture, whether or not the model has other handles.
#[test]
fn low_memory_gives_the_same_picture() {
    let model = Model::builtin("facades").unwrap();
    let (_, labels) = ProceduralFacades::new(7).render(0, 96, 64).unwrap();
    let paint = |mut synth: Synthesizer| rgb(synth.run(&labels, &Request::new()).unwrap());
    let expected = paint(Synthesizer::new(&model, &Device::cpu()).unwrap());
    let options = SynthesizerOptions::new(&Device::cpu()).low_memory();
    assert!(paint(Synthesizer::new(model.clone(), &options).unwrap()) == expected);
    let low_memory = Synthesizer::new(model, options).unwrap();
    let photo = Image::new(96, 64, expected.to_vec()).unwrap();
    let photo = low_memory.encode(&photo, None, None);
    assert!(matches!(photo, Err(Error::Argument(_))), "there is no encoder");
    assert!(paint(low_memory) == expected);
}
