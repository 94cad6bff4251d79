//! The networks give the same results as the papers' code: the largest absolute difference from reference outputs is
//! at most 1e-4, with running and batch statistics, with indexed and one-hot encoding, on the CPU and on a (software)
//! GPU.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use common::{devices, difference, labels_of, shared, tensor, values};
use semsynth::label::DistanceMap;
use semsynth::model::{self, Precision};
use semsynth::network::{
    Architecture, ConvEncoderConfig, DiscriminatorConfig, Encoder, GeneratorConfig, Pix2PixHdConfig, Posterior,
    StyleConfig, UNetConfig, Upsampling,
};
use semsynth::nn::modulation::ModulationKind;
use semsynth::nn::{
    BlockStyles, Conv, ConvConfig, GeneratorInput, Init, LabelEncoding, Layout, Mode, Noise, Statistics,
};
use semsynth::tensors::{TensorData as TensorFile, Tensors};
use semsynth::train::{hinge_fake, hinge_generator, hinge_real, kl_divergence};

const TOLERANCE: f32 = 1e-4;

/// A generator with `ngf` 2 and all its inputs from the fixture.
fn generator(file: &str, classes: usize, change: impl Fn(GeneratorConfig) -> GeneratorConfig) {
    let Some(path) = shared(&format!("golden/{file}.safetensors")) else { return };
    let fixture = Tensors::open(path).unwrap();
    let (labels, edges) = labels_of(&fixture, classes);
    let config = change(GeneratorConfig { instance_edges: edges.is_some(), ..GeneratorConfig::spade(2, classes) });
    let mut cases = 0;
    for device in devices() {
        let network = config.init(&mut Init::random(1, device.burn())).unwrap();
        let network = model::load(network, &fixture).unwrap();
        let folded = network.clone().folded();
        for encoding in [LabelEncoding::Indexed, LabelEncoding::OneHot] {
            let mut layout = Layout::new(vec![labels.clone()], classes, encoding, device.burn()).unwrap();
            if let Some(edges) = &edges {
                layout = layout.with_edges(vec![edges.clone()]).unwrap();
            }
            if let Some(distances) = fixture.get("io.dist") {
                let values = distances.to_f32();
                let (vertical, horizontal) = values.split_at(values.len() / 2);
                let (width, height) = (labels.width(), labels.height());
                let map = DistanceMap::new(width, height, vertical.to_vec(), horizontal.to_vec()).unwrap();
                layout = layout.with_distances(vec![map]).unwrap();
            }
            let mut input = GeneratorInput::new(layout);
            if fixture.get("io.z").is_some() {
                input = input.latent(tensor(&fixture, "io.z", &device));
            }
            if fixture.get("io.style").is_some() {
                input = input.styles(BlockStyles::All(tensor(&fixture, "io.style", &device)));
            }
            let noises = (0..).map(|draw| format!("io.noise{draw}")).take_while(|name| fixture.get(name).is_some());
            let noise = Noise::Fed(noises.map(|name| tensor(&fixture, &name, &device)).collect());
            for (name, statistics, noise) in [
                ("io.out_eval", Statistics::Running, noise),
                ("io.out_eval_nonoise", Statistics::Running, Noise::Zero),
                ("io.out_batchstats", Statistics::Batch, Noise::Zero),
            ] {
                let Some(expected) = fixture.get(name).map(TensorFile::to_f32) else { continue };
                let input = input.clone().noise(noise);
                for (kind, network) in [("spectral norm", &network), ("folded", &folded)] {
                    let found = values(network.forward(&input, Mode::Eval(statistics)).unwrap());
                    let difference = difference(&found, &expected);
                    let case = format!("{file} {name} {encoding:?} {kind} {}", device.info().name);
                    println!("{case}: max abs difference {difference:e}");
                    assert!(difference <= TOLERANCE, "{case}: {difference}");
                    cases += 1;
                }
            }
        }
    }
    assert!(cases >= 4, "the fixture has outputs");
}

#[test]
fn spade_normal() {
    generator("spade_normal", 5, |config| config);
}

#[test]
fn spade_more_with_instance_edges() {
    generator("spade_more_inst_2to1", 5, |config| GeneratorConfig { upsampling: Upsampling::More, ..config });
}

#[test]
fn spade_most() {
    generator("spade_most", 5, |config| GeneratorConfig { upsampling: Upsampling::Most, ..config });
}

#[test]
fn spade_with_a_latent_vector() {
    let style = StyleConfig::Latent { length: 256, grid: [2, 2], encoder: None };
    generator("spade_vae", 5, |config| GeneratorConfig { style, ..config });
}

#[test]
fn clade() {
    generator("clade", 5, |config| GeneratorConfig { modulation: ModulationKind::Clade, ..config });
}

#[test]
fn clade_icpe_with_instance_edges() {
    let (modulation, upsampling) = (ModulationKind::CladeIcpe, Upsampling::More);
    generator("clade_icpe_inst", 5, |config| GeneratorConfig { modulation, upsampling, ..config });
}

#[test]
fn sean() {
    let style = StyleConfig::Regions { length: 16, encoder: None };
    generator("sean", 3, |config| GeneratorConfig { modulation: ModulationKind::Sean, style, ..config });
}

#[test]
fn region_encoder() {
    let Some(path) = shared("golden/sean.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    let (labels, _) = labels_of(&fixture, 3);
    let config = GeneratorConfig {
        modulation: ModulationKind::Sean,
        style: StyleConfig::Regions { length: 16, encoder: Some(4) },
        ..GeneratorConfig::sean(2, 3)
    };
    for device in devices() {
        let network = Architecture::SpadeFamily(config.clone()).init(&mut Init::random(1, device.burn())).unwrap();
        let network = model::load(network, &fixture).unwrap();
        let Some(Encoder::Region(encoder)) = network.encoder else { panic!("it has a region encoder") };
        let layout = Layout::new(vec![labels.clone()], 3, LabelEncoding::Indexed, device.burn()).unwrap();
        let found = values(encoder.forward(tensor(&fixture, "io.img", &device), &layout, Mode::EVAL).unwrap());
        let difference = difference(&found, &fixture.get("io.style").unwrap().to_f32());
        println!("region encoder on {}: max abs difference {difference:e}", device.info().name);
        assert!(difference <= TOLERANCE, "{difference}");
    }
}

#[test]
fn conv_encoder() {
    let Some(path) = shared("golden/conv_encoder.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    for device in devices() {
        let config = ConvEncoderConfig { ndf: 2, latent_length: 256 };
        let encoder = Encoder::Conv(config.init(&mut Init::random(1, device.burn())));
        let encoder = model::load(OneEncoder { encoder }, &fixture).unwrap();
        let Encoder::Conv(encoder) = encoder.encoder else { panic!("it is what it was") };
        for encoder in [encoder.clone(), encoder.folded()] {
            let posterior = encoder.forward(tensor(&fixture, "io.img", &device), Mode::EVAL).unwrap();
            for (name, found) in [("io.mu", posterior.mean), ("io.logvar", posterior.log_variance)] {
                let difference = difference(&values(found), &fixture.get(name).unwrap().to_f32());
                println!("conv encoder {name} on {}: max abs difference {difference:e}", device.info().name);
                assert!(difference <= TOLERANCE, "{name}: {difference}");
            }
        }
    }
}

/// An encoder at the path it has in a network.
#[derive(Module, Debug)]
struct OneEncoder {
    encoder: Encoder,
}

#[test]
fn kl_divergence_of_latent_vectors() {
    let Some(path) = shared("golden/sn_and_losses.safetensors") else { return };
    let fixture = Tensors::open(path).unwrap();
    for device in devices() {
        let (mean, log_variance) = (tensor(&fixture, "kld.mu", &device), tensor(&fixture, "kld.logvar", &device));
        let found = values(kl_divergence(&Posterior { mean, log_variance }))[0];
        let expected = fixture.get("kld.loss_unweighted").unwrap().to_f32()[0];
        assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
    }
}

/// The baselines, against our own PyTorch version of them (`fixtures/baselines.py`).
fn baseline(file: &str, architecture: &dyn Fn(&Tensors) -> Architecture) {
    let fixture = Tensors::open(format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let architecture = architecture(&fixture);
    let classes = architecture.label_channels();
    let (labels, edges) = labels_of(&fixture, classes);
    let mut cases = 0;
    for device in devices() {
        let network = architecture.init(&mut Init::random(1, device.burn())).unwrap();
        let network = model::load(network, &fixture).unwrap();
        for (kind, network) in [("spectral norm", network.clone()), ("folded", network.folded())] {
            let stored = model::store(&network, Precision::Full).unwrap();
            for (name, value) in effective_weights(&fixture).into_iter().filter(|_| kind == "folded") {
                assert!(difference(&stored.get(&name).unwrap().to_f32(), &value) <= 1e-5, "{name}");
            }
            let mut layout = Layout::new(vec![labels.clone()], classes, LabelEncoding::Indexed, device.burn()).unwrap();
            if let Some(edges) = &edges {
                layout = layout.with_edges(vec![edges.clone()]).unwrap();
            }
            let input = GeneratorInput::new(layout);
            for (name, statistics) in [("io.out_eval", Statistics::Running), ("io.out_batchstats", Statistics::Batch)] {
                let Some(expected) = fixture.get(name).map(TensorFile::to_f32) else { continue };
                let found = values(network.forward(&input, Mode::Eval(statistics)).unwrap());
                let difference = difference(&found, &expected);
                cases += 1;
                println!("{file} {name} {kind} {}: max abs difference {difference:e}", device.info().name);
                assert!(difference <= TOLERANCE, "{file} {name} {kind}: {difference}");
            }
        }
    }
    assert!(cases >= 2, "the fixture has outputs");
}

/// Weights with spectral norm folded: instance norms hide their scale from the picture.
fn effective_weights(fixture: &Tensors) -> Vec<(String, Vec<f32>)> {
    let names = fixture.names().filter_map(|name| Some((name, name.strip_prefix("io.weight.")?)));
    names.map(|(name, layer)| (format!("{layer}.weight"), fixture.get(name).unwrap().to_f32())).collect()
}

fn pix2pixhd(enhancer_blocks: Option<usize>, spectral: bool) -> Architecture {
    // A local enhancer has half the channels of the global generator.
    let ngf = if enhancer_blocks.is_some() { 4 } else { 2 };
    let config = Pix2PixHdConfig { downsamplings: 2, blocks: 2, ..Pix2PixHdConfig::new(ngf, 4) };
    Architecture::Pix2PixHd(Pix2PixHdConfig { instance_edges: true, enhancer_blocks, spectral, ..config })
}

#[test]
fn pix2pixhd_global_generator() {
    baseline("pix2pixhd", &|_| pix2pixhd(None, false));
}

#[test]
fn pix2pixhd_local_enhancer() {
    baseline("pix2pixhd_local", &|_| pix2pixhd(Some(2), false));
}

#[test]
fn pix2pixhd_plus_plus() {
    baseline("pix2pixhd_plus", &|fixture| {
        assert_eq!(effective_weights(fixture).len(), 9);
        pix2pixhd(None, true)
    });
}

#[test]
fn pix2pix() {
    baseline("pix2pix", &|fixture| {
        let colors = fixture.get("io.palette").unwrap().to_f32();
        let palette = colors.chunks(3).map(|rgb| [rgb[0] as u8, rgb[1] as u8, rgb[2] as u8]).collect();
        Architecture::Pix2Pix(UNetConfig { downsamplings: 6, palette: Some(palette), ..UNetConfig::new(2, 5) })
    });
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

/// One training step of spectral norm: vectors before and after, and the weight that a convolution uses afterwards.
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
        // One picture per input channel with a single 1 in its middle: the output is the flipped kernel.
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
        // Evaluation updates nothing and uses the same weight.
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
        let outputs: Vec<Vec<Tensor<4>>> =
            ["d.p0", "d.p1"].iter().map(|name| vec![tensor(&fixture, name, &device)]).collect();
        for (name, loss) in [
            ("loss.hinge_D_real", hinge_real(&outputs)),
            ("loss.hinge_D_fake", hinge_fake(&outputs)),
            ("loss.hinge_G", hinge_generator(&outputs)),
        ] {
            let difference = difference(&values(loss), &fixture.get(name).unwrap().to_f32());
            assert!(difference <= 1e-6, "{name}: {difference}");
        }
    }
}
