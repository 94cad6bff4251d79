//! The models that are part of the library.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::rgb;
use semsynth::data::ProceduralFacades;
use semsynth::metrics::{psnr, ssim};
use semsynth::{Device, Error, Model, Request, Synthesizer};

/// Every built-in opens, names its licence, and paints facades nobody has trained on about as they are.
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

/// Less memory, the same picture, whether or not the model has other handles.
#[test]
fn compact_synthesizers_paint_the_same() {
    let model = Model::builtin("facades").unwrap();
    let (_, labels) = ProceduralFacades::new(7).render(0, 96, 64).unwrap();
    let paint = |mut synth: Synthesizer| rgb(synth.run(&labels, &Request::new()).unwrap());
    let expected = paint(Synthesizer::new(&model, &Device::cpu()).unwrap());
    assert!(paint(Synthesizer::compact(model.clone(), &Device::cpu()).unwrap()) == expected);
    let mut compact = Synthesizer::compact(model, &Device::cpu()).unwrap();
    let photo = expected.clone();
    assert!(matches!(compact.latent_style(&photo, None), Err(Error::Argument(_))), "there is no encoder");
    assert!(paint(compact) == expected);
}
