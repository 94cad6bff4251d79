//! What hosts rely on: shared weights, memory of their own, cancellation. None of it needs the feature `train`.
#![allow(clippy::unwrap_used, missing_docs)]

use semsynth::{
    CancelToken, Control, Device, Error, Image, LabelMap, Model, PixelFormat, PixelsMut, PreparedModel, Request,
    StyleEncoder, Synthesizer, SynthesizerOptions,
};

/// A label map of the examples.
fn labels(model: &Model, number: usize, width: usize, height: usize) -> LabelMap {
    let path = format!("{}/../examples/labels/facade-{number}.png", env!("CARGO_MANIFEST_DIR"));
    LabelMap::open(path, model.classes()).unwrap().resize_centered(width, height).unwrap()
}

/// Values that no machine can use are refused before anything is allocated.
#[test]
fn options_are_checked() {
    let model = Model::builtin("facades").unwrap();
    let options = SynthesizerOptions::new(&Device::cpu());
    for options in [options.clone().threads(0), options.clone().size_hint(0, 64), options.size_hint(64, usize::MAX)] {
        assert!(matches!(Synthesizer::new(&model, options), Err(Error::Argument(_))));
    }
    assert!(matches!(StyleEncoder::new(&model, &Device::cpu()), Err(Error::Argument(_))), "it has no encoder");
}

/// Threads that share weights give the same pictures as each would alone.
#[test]
fn threads_share_a_prepared_model() {
    let model = Model::builtin("facades").unwrap();
    let prepared = PreparedModel::new(&model, SynthesizerOptions::new(&Device::cpu()).threads(2)).unwrap();
    let labels: Vec<LabelMap> = (1..5).map(|number| labels(&model, number, 96, 64)).collect();
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
}

/// Writes into memory of the caller, with a stride and alpha; under control, and after a cancellation.
#[test]
fn pictures_go_into_memory_of_the_caller() {
    let model = Model::builtin("facades").unwrap();
    let labels = labels(&model, 1, 90, 61);
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
