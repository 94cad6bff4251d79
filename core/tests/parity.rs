//! The networks compute what the papers' code computes: max abs difference at most 1e-4 to reference outputs, with
//! running and with batch statistics, with look-ups and with matrix products, on the CPU and on a (software) GPU.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{devices, difference, labels_of, shared, tensor, values};
use semsynth::model::{self, Precision, Tensors};
use semsynth::network::{DiscriminatorConfig, GeneratorConfig, Upsampling};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{Conv, ConvConfig, Init, Layout, Lookup, Mode, NormKind, Statistics};
use semsynth::train::{hinge_fake, hinge_generator, hinge_real};

const TOLERANCE: f32 = 1e-4;

fn generator(file: &str, modulation: ModulationKind, upsampling: Upsampling) {
    let Some(path) = shared(&format!("golden/{file}.safetensors")) else { return };
    let fixture = Tensors::open(path).unwrap();
    let (labels, classes) = labels_of(&fixture);
    let config = GeneratorConfig { modulation, norm: NormKind::Batch, ngf: 2, upsampling, label_channels: classes };
    for device in devices() {
        let network = config.init(&mut Init::random(1, device.burn())).unwrap();
        let network = model::load(network, &fixture).unwrap();
        let folded = network.clone().folded();
        for lookup in [Lookup::Gather, Lookup::Dense] {
            let layout = Layout::new(vec![labels.clone()], classes, lookup, device.burn()).unwrap();
            for (name, statistics) in [("io.out_eval", Statistics::Running), ("io.out_batchstats", Statistics::Batch)] {
                let expected = fixture.get(name).unwrap().to_f32();
                for (kind, network) in [("spectral norm", &network), ("folded", &folded)] {
                    let found = values(network.forward(&layout, Mode::Eval(statistics)).unwrap());
                    let difference = difference(&found, &expected);
                    let case = format!("{file} {name} {lookup:?} {kind} {}", device.info().name);
                    println!("{case}: max abs difference {difference:e}");
                    assert!(difference <= TOLERANCE, "{case}: {difference}");
                }
            }
        }
    }
}

#[test]
fn spade_normal() {
    generator("spade_normal", ModulationKind::Spade { kernel: 3 }, Upsampling::Normal);
}

#[test]
fn spade_most() {
    generator("spade_most", ModulationKind::Spade { kernel: 3 }, Upsampling::Most);
}

#[test]
fn clade() {
    generator("clade", ModulationKind::Clade, Upsampling::Normal);
}

#[test]
fn discriminator() {
    let Some(path) = shared("golden/discriminator.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    for device in devices() {
        let config = DiscriminatorConfig { ndf: 4, ..DiscriminatorConfig::default() };
        let network = config.init(&mut Init::random(1, device.burn()), 8);
        let network = model::load(network, &fixture).unwrap();
        let outputs = network.forward(tensor(&fixture, "io.x", &device), Mode::EVAL);
        assert_eq!(outputs.len(), 2);
        for (scale, features) in outputs.into_iter().enumerate() {
            assert_eq!(features.len(), 5);
            for (layer, feature) in features.into_iter().enumerate() {
                let name = format!("io.d{scale}_f{layer}");
                let expected = fixture.get(&name).unwrap();
                assert_eq!(feature.dims().as_slice(), expected.shape(), "{name}");
                let difference = difference(&values(feature), &expected.to_f32());
                assert!(difference <= TOLERANCE, "{name} on {}: {difference}", device.info().name);
            }
        }
    }
}

#[derive(Module, Debug)]
struct One {
    sn: Conv,
}

/// One training step of spectral norm: vectors before and after, and the weight a convolution then uses.
#[test]
fn spectral_norm_in_training() {
    let Some(path) = shared("golden/sn_and_losses.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    let mut weights = Tensors::new();
    for (theirs, ours) in [("sn.weight_orig", "sn.weight_orig"), ("sn.u", "sn.weight_u"), ("sn.v", "sn.weight_v")] {
        weights.insert(ours, fixture.get(theirs).unwrap().clone()).unwrap();
    }
    for device in devices() {
        let sn = ConvConfig::new(5, 6, 3).without_bias().spectral().init(&mut Init::random(1, device.burn()));
        let one = model::load(One { sn }, &weights).unwrap();
        // One picture per input channel, a single 1 in its middle: the output is the kernel, turned around.
        let mut impulses = vec![0.0f32; 5 * 5 * 9];
        (0..5).for_each(|channel| impulses[channel * (5 * 9 + 9) + 4] = 1.0);
        let impulses = Tensor::<4>::from_data(TensorData::new(impulses, [5, 5, 3, 3]), device.burn());
        let response = values(one.sn.forward(impulses.clone(), Mode::TRAIN));
        let expected = fixture.get("sn.weight_after").unwrap().to_f32();
        let mut turned = vec![0.0; response.len()];
        for output in 0..6 {
            for input in 0..5 {
                for tap in 0..9 {
                    turned[(output * 5 + input) * 9 + tap] = response[(input * 6 + output) * 9 + 8 - tap];
                }
            }
        }
        assert!(difference(&turned, &expected) <= TOLERANCE);
        let after = model::store(&one, Precision::Full).unwrap();
        for (theirs, ours) in [("sn.u_after", "sn.weight_u"), ("sn.v_after", "sn.weight_v")] {
            let difference = difference(&after.get(ours).unwrap().to_f32(), &fixture.get(theirs).unwrap().to_f32());
            assert!(difference <= 1e-6, "{ours}: {difference}");
        }
        // In evaluation nothing moves and the same weight is used.
        let again = values(one.sn.forward(impulses, Mode::EVAL));
        assert!(difference(&again, &response) <= 1e-6);
        assert_eq!(model::store(&one, Precision::Full).unwrap(), after);
    }
}

#[test]
fn hinge_losses() {
    let Some(path) = shared("golden/sn_and_losses.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    for device in devices() {
        let verdicts: Vec<Vec<Tensor<4>>> =
            ["d.p0", "d.p1"].iter().map(|name| vec![tensor(&fixture, name, &device)]).collect();
        for (name, loss) in [
            ("loss.hinge_D_real", hinge_real(&verdicts)),
            ("loss.hinge_D_fake", hinge_fake(&verdicts)),
            ("loss.hinge_G", hinge_generator(&verdicts)),
        ] {
            let difference = difference(&values(loss), &fixture.get(name).unwrap().to_f32());
            assert!(difference <= 1e-6, "{name}: {difference}");
        }
    }
}
