//! The built-in models.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::rgb;
use semsynth::data::ProceduralFacades;
use semsynth::metrics::{psnr, ssim};
use semsynth::{Device, Error, Image, Model, Request, Synthesizer, SynthesizerOptions};

/// Every built-in model opens, names its licence, and reconstructs facades it was not trained on.
#[test]
fn built_in_models_paint() {
    for name in Model::builtins() {
        let model = Model::builtin(name).unwrap();
        assert_eq!(model.manifest().name, name);
        assert_eq!(model.manifest().licence, "CC0-1.0");
        let set = ProceduralFacades::new(7);
        let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
        let [height, width] = model.manifest().native_size;
        let (mut decibels, mut similarity) = (0.0, 0.0);
        for index in 0..8 {
            let (photo, labels) = set.render(index, width, height).unwrap();
            let picture = rgb(synth.run(&labels, &Request::new()).unwrap());
            decibels += psnr(&picture, &photo).unwrap() / 8.0;
            similarity += ssim(&picture, &photo).unwrap() / 8.0;
        }
        println!("{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
        assert!(decibels > 14.0 && similarity > 0.4, "{name}: PSNR {decibels:.2} dB, SSIM {similarity:.3}");
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
