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
        assert!(model.to_bytes().unwrap().len() <= 9 << 20, "{name} is large");
        let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
        let (mut decibels, mut similarity) = (0.0, 0.0);
        for (photo, labels) in pairs(&model) {
            let picture = rgb(synth.run(&labels, &Request::new()).unwrap());
            decibels += psnr(&picture, &photo).unwrap() / 8.0;
            similarity += ssim(&picture, &photo).unwrap() / 8.0;
        }
        println!("{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
        // Textures are free: of terrain, only the colours can be near.
        let least = if name == "facades" { 0.4 } else { 0.2 };
        assert!(decibels > 14.0 && similarity > least, "{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
    }
    assert!(Model::builtins().any(|name| name == "facades"));
    let error = Model::builtin("nothing").unwrap_err();
    assert!(error.to_string().contains("facades"), "{error}");
    let Error::UnknownName { name, known, .. } = error else { panic!("{error}") };
    assert!(name == "nothing" && known.iter().map(String::as_str).eq(Model::builtins()));
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
