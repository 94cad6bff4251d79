//! The built-in models.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::rgb;
use semsynth::data::ProceduralFacades;
use semsynth::metrics::{psnr, ssim};
use semsynth::{
    CancelToken, Control, Device, Error, Image, LabelMap, Model, PixelFormat, PixelsMut, PreparedModel, Request,
    Synthesizer, SynthesizerOptions,
};

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

/// Threads that share weights give the same pictures as each would alone.
#[test]
fn threads_share_a_prepared_model() {
    let model = Model::builtin("facades").unwrap();
    let prepared = PreparedModel::new(&model, SynthesizerOptions::new(&Device::cpu()).threads(2)).unwrap();
    let set = ProceduralFacades::new(7);
    let labels: Vec<LabelMap> = (0..4).map(|index| set.render(index, 96, 64).unwrap().1).collect();
    let alone: Vec<Image> = labels
        .iter()
        .map(|labels| Synthesizer::new(&model, &Device::cpu()).unwrap().run(labels, &Request::new()).unwrap())
        .collect();
    std::thread::scope(|scope| {
        for (labels, expected) in labels.iter().zip(&alone) {
            let mut synth = prepared.synthesizer();
            scope.spawn(move || {
                for _ in 0..3 {
                    assert!(synth.run(labels, &Request::new()).unwrap().as_bytes() == expected.as_bytes());
                }
            });
        }
    });
    let none = Synthesizer::new(&model, SynthesizerOptions::new(&Device::cpu()).threads(0));
    assert!(matches!(none, Err(Error::Argument(_))));
}

/// Writes into memory of the caller, with a stride and alpha; under control, and after a cancellation.
#[test]
fn pictures_go_into_memory_of_the_caller() {
    let model = Model::builtin("facades").unwrap();
    let (_, labels) = ProceduralFacades::new(7).render(1, 90, 61).unwrap();
    let mut synth = Synthesizer::new(&model, SynthesizerOptions::new(&Device::cpu()).threads(2)).unwrap();
    let expected = synth.run(&labels, &Request::new()).unwrap();
    let stride = 90 * 4 + 24;
    let mut memory = vec![7; stride * 61];
    let run = |synth: &mut Synthesizer, memory: &mut [u8], width, control: &mut Control<'_>| {
        let mut out = PixelsMut::new(PixelFormat::Rgba8, width, 61, stride, memory).unwrap();
        synth.run_into(&labels, &Request::new(), &mut out, control)
    };
    let token = CancelToken::new();
    let mut seen = Vec::new();
    let mut progress = |done| {
        seen.push(done);
        if seen.len() == 5 {
            token.cancel();
        }
    };
    let ended = run(&mut synth, &mut memory, 90, &mut Control::new().cancel(&token).progress(&mut progress));
    assert!(matches!(ended, Err(Error::Cancelled)));
    assert!(matches!(run(&mut synth, &mut memory, 89, &mut Control::new()), Err(Error::Argument(_))));
    assert!(memory.iter().all(|&byte| byte == 7), "nothing was written");
    let mut seen = Vec::new();
    run(&mut synth, &mut memory, 90, &mut Control::new().progress(&mut |done| seen.push(done))).unwrap();
    assert!(seen.is_sorted() && seen.first() == Some(&0.0) && seen.last() == Some(&1.0), "{seen:?}");
    for (row, expected) in memory.chunks_exact(stride).zip(expected.as_bytes().chunks_exact(90 * 3)) {
        let (row, padding) = row.split_at(90 * 4);
        assert!(row.chunks_exact(4).zip(expected.chunks_exact(3)).all(|(a, b)| a[..3] == *b && a[3] == 255));
        assert!(padding.iter().all(|&byte| byte == 7));
    }
}
