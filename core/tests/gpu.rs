//! A GPU synthesizes the same pictures as the CPU, in 32 and, where supported, in 16 bits, tested on a software GPU.
//! (Unit tests of `engine` cover every modulation.)
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{has_half, random_model, rgb, software};
use image::RgbImage;
use semsynth::data::ProceduralFacades;
use semsynth::label::LabelMap;
use semsynth::model::Precision;
use semsynth::network::{Architecture, Pix2PixHdConfig, UNetConfig};
use semsynth::{Device, Error, Model, Request, Synthesizer, SynthesizerOptions};

fn at_16_bits(device: &Device) -> SynthesizerOptions {
    SynthesizerOptions::new(device).precision(Precision::Half)
}

/// The largest and the mean difference of two pictures, in levels of 255.
fn difference(a: &RgbImage, b: &RgbImage) -> (u8, f64) {
    let off = || a.iter().zip(b.iter()).map(|(a, b)| a.abs_diff(*b));
    (off().max().unwrap(), off().map(f64::from).sum::<f64>() / a.len() as f64)
}

fn check(what: &str, model: &Model, labels: &LabelMap, [full, half]: [u8; 2]) {
    let Some(device) = software() else { return };
    let paint = |mut synth: Synthesizer| rgb(synth.run(labels, &Request::new()).unwrap());
    let expected = paint(Synthesizer::new(model, &Device::cpu()).unwrap());
    let (least, most) = expected.iter().fold((255, 0), |(least, most), &value| (value.min(least), value.max(most)));
    assert!(most - least > 50, "{what}: a flat picture, {least} to {most}");
    let mut synths = vec![(32, Synthesizer::new(model, &device).unwrap(), full)];
    if has_half(&device) {
        synths.push((16, Synthesizer::new(model, at_16_bits(&device)).unwrap(), half));
    } else {
        assert!(matches!(Synthesizer::new(model, at_16_bits(&device)), Err(Error::Argument(_))));
    }
    for (bits, synth, allowed) in synths {
        let (worst, mean) = difference(&paint(synth), &expected);
        println!("{what}, {bits} bits: {worst} levels at most, {mean:.4} on average");
        assert!(worst <= allowed && mean < 0.5, "{what}, {bits} bits: {worst} levels at most, {mean} on average");
    }
}

#[test]
fn the_built_in_model() {
    let (_, labels) = ProceduralFacades::new(7).render(0, 96, 64).unwrap();
    check("facades", &Model::builtin("facades").unwrap(), &labels, [1, 6]);
}

#[test]
fn the_baselines() {
    let labels = LabelMap::new(64, 64, (0..64 * 64).map(|i| ((i / 64 / 9 + i % 64 / 7) % 4) as u16).collect()).unwrap();
    let hd = |enhancer_blocks| {
        let config = Pix2PixHdConfig { downsamplings: 2, blocks: 2, ..Pix2PixHdConfig::new(16, 4) };
        Architecture::Pix2PixHd(Pix2PixHdConfig { enhancer_blocks, ..config })
    };
    let palette = Some(vec![[0, 0, 170], [0, 85, 255], [170, 255, 85], [255, 85, 0]]);
    let unet = Architecture::Pix2Pix(UNetConfig { downsamplings: 6, palette, ..UNetConfig::new(16, 4) });
    for (what, architecture) in [("pix2pixHD", hd(None)), ("its local enhancer", hd(Some(2))), ("pix2pix", unet)] {
        check(what, &random_model(architecture, 4), &labels, [1, 12]);
    }
}

#[test]
fn sixteen_bits_are_not_for_the_cpu() {
    let half = Synthesizer::new(Model::builtin("facades").unwrap(), at_16_bits(&Device::cpu()));
    assert!(matches!(half, Err(Error::Argument(_))));
}
