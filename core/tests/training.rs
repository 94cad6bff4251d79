//! Training: resume is exact, a run writes all its files, divergence stops it, devices agree.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use common::{StopAfter, batch_of, devices, difference};
use semsynth::bank::{Bank, BankLimits};
use semsynth::data::{Dataset, Procedural, ProceduralTiles, Sample, Split};
use semsynth::eval::{self, Measures, Painted, Source as _, evaluate};
use semsynth::label::LabelMap;
use semsynth::model::{self, ImportOptions, Precision, import_checkpoint};
use semsynth::network::{Architecture, DiscriminatorConfig, DiscriminatorKind, StyleConfig, Upsampling};
use semsynth::nn::NormKind;
use semsynth::nn::modulation::ModulationKind;
use semsynth::segmenter;
use semsynth::tensors::Tensors;
use semsynth::train::{
    Adversarial, Batch, Checkpoint, Files, LossWeights, NetworkKind, Observer, Outcome, ProceduralSet, Recipe, Record,
    Run, Silent, Stopped, TrainLog, Trainer, resume, train,
};
use semsynth::{
    Collage, Control, Device, Error, Image, Model, Rect, Request, Style, StyleEncoder, Synthesizer, SynthesizerOptions,
};

/// Networks small enough for a test, with every feature enabled.
fn recipe() -> Recipe {
    Recipe {
        ngf: 2,
        discriminator: DiscriminatorConfig { ndf: 4, layers: 3, ..DiscriminatorConfig::default() },
        size: [32, 64],
        batch: 2,
        steps: 6,
        decay_from: Some(3),
        losses: LossWeights { l1: 1.0, ..LossWeights::default() },
        ema: 0.9,
        sample_every: 2,
        checkpoint_every: 3,
        log_every: 1,
        name: Some("test".into()),
        licence: "CC0-1.0".into(),
        ..Recipe::quick()
    }
}

fn segmentation(ndf: usize) -> DiscriminatorConfig {
    DiscriminatorConfig { kind: DiscriminatorKind::Segmentation, ndf, ..DiscriminatorConfig::default() }
}

fn run(out: &Path, recipe: Recipe) -> Run {
    let set = |split, len| Arc::new(Procedural::new(split, 1, len, 64, 32)) as Arc<dyn Dataset>;
    Run {
        recipe,
        out: out.into(),
        train: set(Split::Train, 5),
        val: set(Split::Val, 3),
        device: Device::cpu(),
        time_limit: None,
        trace: false,
    }
}

/// A whole data set as one batch.
fn batch(set: &Procedural) -> Batch {
    batch_of(set, 0..set.len())
}

fn finished(run: &Run) -> Outcome {
    train(run, &mut Silent, &AtomicBool::new(false)).unwrap()
}

/// Resumes the run in its folder.
fn resumed(run: &Run) -> semsynth::Result<Outcome> {
    resume(run, Checkpoint::open(Files::new(&run.out).checkpoint())?, &mut Silent, &AtomicBool::new(false))
}

fn losses(files: &Files) -> Vec<(u64, Vec<(String, u32)>)> {
    let records = TrainLog::read(files.log()).unwrap();
    let bits = |record: Record| record.values.into_iter().map(|(name, value)| (name, value.to_bits())).collect();
    records.into_iter().map(|record| (record.step, bits(record))).collect()
}

/// After an interruption, losses and model equal those of an uninterrupted run bit for bit.
#[test]
fn resume_is_exact() {
    let spade = ModulationKind::Spade { kernel: 3 };
    let icpe = ModulationKind::CladeIcpe;
    let sean = ModulationKind::Sean;
    for recipe in [
        recipe(),
        Recipe { modulation: spade, fresh_fakes: false, ttur: false, ..recipe() },
        Recipe { leading_blocks: vec![spade; 3], modulation: icpe, instance_edges: true, ..recipe() },
        Recipe { modulation: sean, ..recipe() },
        Recipe { latent: true, ..recipe() },
        Recipe { latent: true, upsampling: Upsampling::Two, ..recipe() },
        Recipe { network: NetworkKind::Pix2PixHd, instance_edges: true, ..recipe() },
        Recipe {
            network: NetworkKind::Pix2PixHd,
            spectral: false,
            adversarial: Adversarial::LeastSquares,
            ttur: false,
            discriminator: DiscriminatorConfig { spectral: false, ..recipe().discriminator },
            ..recipe()
        },
        Recipe { network: NetworkKind::Pix2PixHd, features: Some(3), ..recipe() },
        Recipe { network: NetworkKind::Pix2PixHd, modulated: true, modulation: spade, ..recipe() },
        Recipe { input_positions: true, modulation: ModulationKind::CladePositions, ..recipe() },
        Recipe { network: NetworkKind::Pix2Pix, dropout: true, adversarial: Adversarial::CrossEntropy, ..recipe() },
        Recipe { network: NetworkKind::Crn, adversarial: Adversarial::None, ..recipe() },
        Recipe { network: NetworkKind::Sims, adversarial: Adversarial::None, ..recipe() },
        Recipe { diff_augment: true, batch: 1, accumulate: 2, ..recipe() },
        Recipe { diff_augment: true, discriminator: segmentation(2), ..recipe() },
    ] {
        println!("{}", recipe.architecture(12).describe());
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let whole = finished(&run(&whole, recipe.clone()));

        let stop = AtomicBool::new(false);
        let first = train(&run(&parts, recipe.clone()), &mut StopAfter(4, &stop), &stop).unwrap();
        assert_eq!((first.stopped, first.steps), (Stopped::Interrupted, 4));
        // The network is that of the checkpoint, whatever the new recipe says.
        let Recipe { steps, decay_from, losses: weights, learning_rate, ttur, fresh_fakes, .. } = recipe.clone();
        let now = Recipe { steps, decay_from, losses: weights, learning_rate, ttur, fresh_fakes, ..Recipe::quick() };
        let now = Recipe { name: recipe.name.clone(), licence: recipe.licence.clone(), log_every: 1, ..now };
        let second = resumed(&run(&parts, now)).unwrap();
        assert_eq!((second.stopped, second.steps), (Stopped::Finished, 6));

        assert_eq!(losses(&second.files), losses(&whole.files));
        assert_eq!(losses(&whole.files).len(), 6);
        let tensors = |files: &Files| Tensors::open(files.model()).unwrap();
        let (a, b) = (tensors(&whole.files), tensors(&second.files));
        assert!(a.iter().eq(b.iter()), "the models differ");
    }
}

/// Instance edges are those of the instance maps, or of the label maps without any.
#[test]
fn instance_maps_give_the_edges() {
    let plain = batch(&Procedural::new(Split::Train, 1, 2, 64, 32));
    let spade = ModulationKind::Spade { kernel: 3 };
    let losses = |instance_edges, instances: Option<Vec<LabelMap>>| {
        let recipe = Recipe { instance_edges, modulation: spade, ..recipe() };
        let mut trainer = Trainer::new(recipe, 12, &Device::cpu()).unwrap();
        let values = trainer.step(Batch { instances, ..plain.clone() }).unwrap().read().unwrap();
        values.values().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    let stripes = || LabelMap::new(64, 32, (0..64 * 32).map(|i| 300 + (i % 64 / 8) as u16).collect()).unwrap();
    let edges_of_labels = losses(true, None);
    assert_eq!(edges_of_labels, losses(true, Some(plain.labels.clone())));
    assert_ne!(edges_of_labels, losses(true, Some(vec![stripes(), stripes()])));
    // Networks without edges do not look at instances.
    assert_eq!(losses(false, None), losses(false, Some(vec![stripes(), stripes()])));
}

/// The gradients of a step, squared, as Adam has them after its first step.
fn squares(recipe: &Recipe, batch: &Batch) -> Vec<(String, Vec<f32>)> {
    let mut trainer = Trainer::new(recipe.clone(), 12, &Device::cpu()).unwrap();
    trainer.step(batch.clone()).unwrap().read().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    trainer.save(&path, Procedural::new(Split::Train, 1, 4, 64, 32).classes()).unwrap();
    let checkpoint = Tensors::open(path).unwrap();
    let is_second_moment = |name: &str| name.starts_with("adam_") && name.strip_suffix(".v").is_some();
    let moments = checkpoint.iter().filter(|(name, _)| is_second_moment(name));
    moments.map(|(name, data)| (name.to_owned(), data.to_f32())).collect()
}

/// Without statistics of the batch, gradients that are added up are those of the whole batch.
#[test]
fn accumulated_gradients_are_those_of_a_large_batch() {
    let all = batch(&Procedural::new(Split::Train, 1, 4, 64, 32));
    for modulation in [ModulationKind::Clade, ModulationKind::Spade { kernel: 3 }] {
        let whole = Recipe { modulation, norm: NormKind::Instance, batch: 4, fresh_fakes: false, ..recipe() };
        let expected = squares(&whole, &all);
        assert!(expected.len() > 20);
        // Where the true gradient is 0, as before an instance norm, there is only rounding.
        let rounding = expected.iter().flat_map(|(_, values)| values).fold(0.0f32, |a, b| a.max(*b)) * 1e-8;
        for (batch, accumulate) in [(2, 2), (1, 4)] {
            let found = squares(&Recipe { batch, accumulate, ..whole.clone() }, &all);
            for ((name, expected), (other, found)) in expected.iter().zip(&found) {
                assert_eq!(name, other);
                let largest = expected.iter().fold(0.0f32, |a, b| a.max(*b));
                let off = difference(expected, found);
                assert!(off <= 2e-3 * largest + rounding, "{name}, {batch} x {accumulate}: {off} of {largest}");
            }
        }
        // The check sees more than noise: three of the four pictures have other gradients.
        let few = batch(&Procedural::new(Split::Train, 1, 3, 64, 32));
        let other = squares(&Recipe { batch: 3, ..whole.clone() }, &few);
        let differs = |a: &[f32], b: &[f32]| difference(a, b) > 0.05 * a.iter().fold(0.0f32, |a, b| a.max(*b));
        let pairs = expected.iter().zip(&other);
        assert!(pairs.filter(|((_, a), (_, b))| differs(a, b)).count() > 10);
    }
    let recipe = Recipe { batch: 2, accumulate: 3, ..recipe() };
    let message = Trainer::new(recipe, 12, &Device::cpu()).unwrap().step(all).unwrap_err().to_string();
    assert!(message.contains("accumulate is 3") && message.contains("4 pictures"), "{message}");
}

/// The segmentation discriminator and `DiffAugment` learn: the discriminator's own losses fall.
#[test]
fn a_segmentation_discriminator_learns() {
    let set = Procedural::new(Split::Train, 1, 2, 64, 32);
    let recipe = Recipe {
        discriminator: segmentation(4),
        losses: LossWeights { l1: 1.0, ..LossWeights::default() },
        steps: 30,
        decay_from: None,
        ..recipe()
    };
    for diff_augment in [false, true] {
        let recipe = Recipe { diff_augment, ..recipe.clone() };
        let mut trainer = Trainer::new(recipe, set.classes().channels(), &Device::cpu()).unwrap();
        let steps: Vec<_> = (0..30).map(|_| trainer.step(batch(&set)).unwrap().read().unwrap()).collect();
        let names: Vec<&str> = steps[0].keys().map(String::as_str).collect();
        assert_eq!(names, ["d_fake", "d_mix", "d_real", "gan", "l1"]);
        let sum = |step: &std::collections::BTreeMap<String, f32>| step["d_real"] + step["d_fake"];
        let mean = |steps: &[_]| steps.iter().map(sum).sum::<f32>() / steps.len() as f32;
        let (first, last) = (mean(&steps[..5]), mean(&steps[25..]));
        println!("diff_augment {diff_augment}: {first} to {last}");
        assert!(last < 0.97 * first, "{first} {last}");
    }
}

#[test]
fn a_run_leaves_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = finished(&run(folder.path(), recipe()));
    assert_eq!(outcome.stopped, Stopped::Finished);
    let files = &outcome.files;
    for path in [files.model(), files.sheet(), files.recipe(), files.log(), files.plot(), files.sample(4)] {
        assert!(path.exists(), "{} is missing", path.display());
    }
    assert_eq!(Recipe::open(files.recipe()).unwrap(), recipe());
    assert_eq!(outcome.score.pictures, 3);
    assert!(outcome.score.psnr > 3.0 && outcome.score.psnr < 40.0, "{:?}", outcome.score);

    // The model works on its own: it synthesizes at any size, with the same result every time.
    let model = Model::open(files.model()).unwrap();
    assert_eq!(model.manifest().provenance.steps, 6);
    let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
    let labels = LabelMap::filled(50, 37, 1).unwrap();
    let picture = synth.run(&labels, &Request::new()).unwrap();
    assert_eq!((picture.width(), picture.height()), (50, 37));
    assert_eq!(picture, synth.run(&labels, &Request::new().seed(9)).unwrap());
    let error = synth.run(&LabelMap::filled(32, 32, 12).unwrap(), &Request::new()).unwrap_err();
    assert!(error.to_string().contains("12"), "{error}");
}

/// Networks that start at a finer scale than the papers' are trained, averaged, saved, loaded and painted like them,
/// and their weights can be imported.
#[test]
fn networks_that_start_at_a_finer_scale_are_trained() {
    let (spade, sean) = (ModulationKind::Spade { kernel: 3 }, ModulationKind::Sean);
    for recipe in [
        Recipe { upsampling: Upsampling::Four, ..recipe() },
        Recipe { upsampling: Upsampling::Three, leading_blocks: vec![spade; 2], instance_edges: true, ..recipe() },
        Recipe { upsampling: Upsampling::Three, latent: true, ..recipe() },
        // Sides need not be multiples of 32.
        Recipe { upsampling: Upsampling::Two, modulation: sean, size: [36, 44], load_scale: 1.0, ..recipe() },
    ] {
        let recipe = Recipe { steps: 2, decay_from: None, ..recipe };
        let folder = tempfile::tempdir().unwrap();
        let [height, width] = recipe.size;
        let set = |split, len| Arc::new(Procedural::new(split, 1, len, width, height));
        let run = Run { train: set(Split::Train, 4), val: set(Split::Val, 2), ..run(folder.path(), recipe.clone()) };
        let outcome = finished(&run);
        assert_eq!((outcome.stopped, outcome.steps), (Stopped::Finished, 2));

        let model = Model::open(outcome.files.model()).unwrap();
        assert_eq!(model.architecture(), &recipe.architecture(12), "{}", model.architecture().describe());
        let Architecture::SpadeFamily(config) = model.architecture() else { panic!("another network") };
        assert_eq!(config.stride(), 1 << recipe.upsampling.doublings());

        // On the engine and by the reference, at a size that needs padding.
        let labels = LabelMap::new(50, 37, (0..50 * 37).map(|pixel| (pixel / 9 % 12) as u16).collect()).unwrap();
        let mut request = Request::new();
        if let StyleConfig::Regions { length, .. } = config.style {
            let row = |class: u64| Some(Style::random(class, length).unwrap().to_rows());
            request = request.style(&Style::regions(length, (0..12).map(row).collect()).unwrap());
        }
        let [picture, expected] =
            [SynthesizerOptions::new(&Device::cpu()), SynthesizerOptions::new(&Device::cpu()).reference()]
                .map(|options| Synthesizer::new(&model, options).unwrap().run(&labels, &request).unwrap());
        assert_eq!((picture.width(), picture.height()), (50, 37));
        let off = picture.as_bytes().iter().zip(expected.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(1), "{off:?}: {}", model.architecture().describe());

        // Its weights as a checkpoint: the same model but for its manifest.
        let options = ImportOptions {
            classes: Some(model.classes().clone()),
            instance_edges: Some(config.instance_edges),
            size: Some(recipe.size),
            ..ImportOptions::default()
        };
        let imported = import_checkpoint(Tensors::open(outcome.files.model()).unwrap(), None, &options).unwrap();
        assert_eq!(imported.architecture(), model.architecture());
        let again = Synthesizer::new(&imported, &Device::cpu()).unwrap().run(&labels, &request).unwrap();
        assert_eq!(again, picture);
    }
}

#[test]
fn a_run_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let short = Recipe { steps: 1, ..recipe() };
    let error = resumed(&run(folder.path(), short.clone())).unwrap_err();
    assert!(error.to_string().contains("no checkpoint"), "{error}");
    finished(&run(folder.path(), short.clone()));
    let error = train(&run(folder.path(), short), &mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("can be resumed"), "{error}");
}

/// A checkpoint is read once: changes of its file afterwards have no effect.
#[test]
fn a_checkpoint_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = finished(&run(folder.path(), Recipe { steps: 3, ..recipe() }));
    let checkpoint = Checkpoint::open(outcome.files.checkpoint()).unwrap();
    assert_eq!((checkpoint.steps_done(), checkpoint.recipe().steps), (3, 3));
    std::fs::write(outcome.files.checkpoint(), "another file").unwrap();
    let outcome = resume(&run(folder.path(), recipe()), checkpoint, &mut Silent, &AtomicBool::new(false)).unwrap();
    assert_eq!((outcome.stopped, outcome.steps), (Stopped::Finished, 6));
}

/// A run can only be resumed in its own folder; otherwise the checkpoint of another run there would be lost.
#[test]
fn a_checkpoint_of_another_folder_is_refused() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let short = Recipe { steps: 1, ..recipe() };
    let files = [&ours, &other].map(|folder| finished(&run(folder.path(), short.clone())).files);
    let before = std::fs::read(files[0].checkpoint()).unwrap();
    let checkpoint = Checkpoint::open(files[1].checkpoint()).unwrap();
    let error = resume(&run(ours.path(), recipe()), checkpoint, &mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("is not the checkpoint of the run"), "{error}");
    assert_eq!(std::fs::read(files[0].checkpoint()).unwrap(), before);
}

/// A finished run is not overwritten even if its checkpoint is missing, and a refused run creates no folder.
#[test]
fn results_without_a_checkpoint_are_kept_too() {
    let folder = tempfile::tempdir().unwrap();
    let short = Recipe { steps: 1, ..recipe() };
    let outcome = finished(&run(folder.path(), short.clone()));
    std::fs::remove_file(outcome.files.checkpoint()).unwrap();
    let log = std::fs::read(outcome.files.log()).unwrap();
    let error = train(&run(folder.path(), short.clone()), &mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("already holds a run"), "{error}");
    assert_eq!(std::fs::read(outcome.files.log()).unwrap(), log);
    let never = folder.path().join("never");
    let missing = Recipe { vgg: Some("no-such-file.pth".into()), ..short };
    train(&run(&never, missing), &mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(!never.exists());
}

/// A data set whose sample 3 cannot be read, or panics, after it was read some times.
struct Faulty {
    set: Procedural,
    panics: bool,
    good: AtomicUsize,
}

impl Dataset for Faulty {
    fn classes(&self) -> &semsynth::ClassTable {
        self.set.classes()
    }
    fn len(&self) -> usize {
        5
    }
    fn get(&self, index: usize) -> semsynth::Result<semsynth::data::Sample> {
        if index == 3 && self.good.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
        {
            assert!(!self.panics, "a panic while reading, on purpose");
            return Err(Error::Data("facade 3 is torn".into()));
        }
        self.set.get(index)
    }
    fn name(&self) -> String {
        "faulty".into()
    }
    fn describe(&self) -> String {
        "faulty".into()
    }
}

/// Unreadable data ends a run with an error, keeps the steps so far, and never writes a model that looks finished.
#[test]
fn faulty_data_is_no_success() {
    for panics in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let faulty = |good| -> Arc<dyn Dataset> {
            Arc::new(Faulty { set: Procedural::new(Split::Train, 1, 5, 64, 32), panics, good: AtomicUsize::new(good) })
        };
        let run = Run { train: faulty(0), ..run(folder.path(), recipe()) };
        let error = train(&run, &mut Silent, &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(error.contains(if panics { "unexpectedly" } else { "facade 3 is torn" }), "{error}");
        let files = Files::new(folder.path());
        assert!(!files.model().exists());
        assert!(files.checkpoint().exists() && error.contains("kept in the checkpoint"), "{error}");
        // A segmentation network is trained by the same rule, after all samples were read for their statistics.
        let run = segmenter::Run {
            recipe: segmenter::Recipe { size: [32, 64], batch: 2, blocks: [1, 1], ..segmenter::Recipe::default() },
            out: folder.path().join("segmenter"),
            train: faulty(1),
            val: run.val,
            device: run.device,
            time_limit: None,
        };
        let error = segmenter::train(&run, &mut Silent, &AtomicBool::new(false)).unwrap_err().to_string();
        assert!(error.contains(if panics { "unexpectedly" } else { "facade 3 is torn" }), "{error}");
        let files = segmenter::Files::new(&run.out);
        assert!(!files.segmenter().exists() && files.checkpoint().exists(), "{error}");
        assert!(error.contains("kept in the checkpoint"), "{error}");
    }
}

/// A manipulated checkpoint is rejected with a message that names the problem; nothing is trained on partly restored
/// state.
#[test]
fn incomplete_checkpoints_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = finished(&run(folder.path(), Recipe { steps: 2, ..recipe() }));
    let whole = Tensors::open(outcome.files.checkpoint()).unwrap();
    let restore = |path: &Path| Trainer::resume(Checkpoint::open(path)?, &Device::cpu(), |_| ());
    let broken = folder.path().join("broken.safetensors");
    let message = |tensors: &Tensors| {
        tensors.save(&broken).unwrap();
        restore(&broken).unwrap_err().to_string()
    };
    restore(&outcome.files.checkpoint()).unwrap();
    let moment = whole
        .names()
        .find(|name| name.starts_with("adam_g.") && name.rsplit('.').next() == Some("v"))
        .unwrap()
        .to_owned();
    let mut short = whole.clone();
    short.remove(&moment);
    short.insert_f32(&moment, vec![1], vec![0.5]).unwrap();
    assert!(message(&short).contains(&moment));
    let mut stranger = whole.clone();
    stranger.insert_f32("adam_d.nowhere.v", vec![1], vec![0.5]).unwrap();
    assert!(message(&stranger).contains("adam_d.nowhere.v"));
    for prefix in ["network.", "discriminator.", "average.", "adam_d."] {
        let mut lacking = whole.clone();
        for name in whole.names().filter(|name| name.starts_with(prefix)) {
            lacking.remove(name);
        }
        assert!(message(&lacking).contains(prefix), "{prefix}");
    }
    let mut huge = whole.clone();
    let recipe = whole.metadata()["recipe"].replace("ngf: 2", "ngf: 1024");
    huge.set_metadata("recipe", recipe);
    let start = std::time::Instant::now();
    assert!(message(&huge).contains("shape"));
    assert!(start.elapsed().as_secs() < 5);
}

/// A loss that is not finite stops the run, names the step, and leaves the last good checkpoint unchanged.
#[test]
fn divergence_stops_and_keeps_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let good = Recipe { steps: 3, ..recipe() };
    let outcome = finished(&run(folder.path(), good));
    let before = std::fs::read(outcome.files.checkpoint()).unwrap();
    // From here on one weight is not finite, as after an overflow.
    let mut tensors = Tensors::open(outcome.files.checkpoint()).unwrap();
    let name = "network.generator.SpadeFamily.conv_img.weight";
    let broken = tensors.remove(name).unwrap();
    let values = vec![1e30; broken.len()];
    tensors.insert_f32(name, broken.shape().to_vec(), values).unwrap();
    let name = "discriminator.scales.0.layers.0.conv.weight";
    let broken = tensors.remove(name).unwrap();
    tensors.insert_f32(name, broken.shape().to_vec(), vec![f32::MAX; broken.len()]).unwrap();
    tensors.save(outcome.files.checkpoint()).unwrap();
    let damaged = std::fs::read(outcome.files.checkpoint()).unwrap();
    assert_ne!(before, damaged);
    let error = resumed(&run(folder.path(), recipe())).unwrap_err();
    assert!(matches!(error, Error::Diverged(_)), "{error}");
    assert!(error.to_string().contains("step 4"), "{error}");
    assert_eq!(std::fs::read(outcome.files.checkpoint()).unwrap(), damaged, "the checkpoint was overwritten");
}

/// Weights can become invalid in the last update although all losses were finite: such a checkpoint is not written.
#[test]
fn a_broken_network_does_not_replace_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let classes = semsynth::ClassTable::cmp_facades();
    let mut trainer = Trainer::new(Recipe { learning_rate: 1.0, ..recipe() }, 12, &Device::cpu()).unwrap();
    trainer.save(&path, &classes).unwrap();
    let before = std::fs::read(&path).unwrap();
    let batch = Batch {
        labels: vec![LabelMap::filled(64, 32, 1).unwrap()],
        instances: None,
        images: vec![f32::MAX; 3 * 32 * 64],
        styles: None,
        collages: None,
    };
    let _ = trainer.step(batch).unwrap();
    let error = trainer.save(&path, &classes).unwrap_err();
    assert!(matches!(error, Error::Diverged(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Training makes the pictures more similar to the photos.
#[test]
fn losses_fall() {
    let recipe = Recipe {
        ngf: 4,
        size: [32, 32],
        batch: 4,
        steps: 1000,
        decay_from: None,
        learning_rate: 2e-3,
        losses: LossWeights { l1: 10.0, ..LossWeights::default() },
        ..recipe()
    };
    let batch = batch(&Procedural::new(Split::Train, 3, 4, 32, 32));
    let mut trainer = Trainer::new(recipe, 12, &Device::cpu()).unwrap();
    let mut history = Vec::new();
    for _ in 0..40 {
        history.push(trainer.step(batch.clone()).unwrap().read().unwrap()["l1"]);
    }
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (early, late) = (mean(&history[..5]), mean(&history[35..]));
    assert!(late < 0.7 * early, "L1 went from {early} to {late}");
}

/// A recipe for procedural terrain, with styles and presets.
fn terrain() -> Recipe {
    Recipe {
        modulation: ModulationKind::CladeStyled,
        style_length: Some(8),
        upsampling: Upsampling::Three,
        set: ProceduralSet::Terrain,
        fixed_statistics_from: Some(2),
        losses: LossWeights { l1: 1.0, coarse: 4.0, ..LossWeights::default() },
        flip: false,
        load_scale: 1.0,
        ..recipe()
    }
}

fn terrain_run(out: &Path, recipe: Recipe) -> Run {
    let set = |split, len| Arc::new(ProceduralTiles::new(split, 1, len, 64, 32)) as Arc<dyn Dataset>;
    Run { train: set(Split::Train, 5), val: set(Split::Val, 3), ..run(out, recipe) }
}

/// The model file has the presets of the data set; a resumed run equals an uninterrupted one.
#[test]
fn terrain_is_trained_with_styles_and_presets() {
    let folder = tempfile::tempdir().unwrap();
    let whole = terrain_run(&folder.path().join("whole"), terrain());
    let outcome = finished(&whole);
    let model = Model::open(outcome.files.model()).unwrap();
    assert!(model.presets().len() >= 6 && !model.architecture().style().has_encoder());
    let log = TrainLog::read(outcome.files.log()).unwrap();
    assert!(log.iter().all(|record| record.values["coarse"] > 0.0));
    let labels = whole.val.get(0).unwrap().labels;
    let mut synth = Synthesizer::new(&model, &Device::cpu()).unwrap();
    synth.run(&labels, &Request::new()).unwrap();

    let parts = terrain_run(&folder.path().join("parts"), terrain());
    let stop = AtomicBool::new(false);
    let stopped = train(&parts, &mut StopAfter(4, &stop), &stop).unwrap();
    assert_eq!((stopped.steps, stopped.stopped), (4, Stopped::Interrupted));
    let again = resumed(&parts).unwrap();
    assert_eq!(std::fs::read(again.files.model()).unwrap().len(), std::fs::read(outcome.files.model()).unwrap().len());
    let tensors = |files: &Files| Model::open(files.model()).unwrap().tensors().clone();
    assert!(tensors(&again.files).iter().eq(tensors(&outcome.files).iter()), "resuming changes nothing");
}

/// From the given step on, the statistics of the norms no longer move, and those of the model are these.
#[test]
fn fixed_statistics_stay() {
    let set = ProceduralTiles::new(Split::Train, 3, 2, 64, 32);
    let samples: Vec<_> = (0..2).map(|index| set.get(index).unwrap()).collect();
    let mut images = Vec::new();
    for sample in &samples {
        for channel in 0..3 {
            images.extend(sample.image.pixels().map(|pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0));
        }
    }
    let styles = samples.iter().flat_map(|sample| sample.style.as_ref().unwrap().to_rows()).collect();
    let labels = samples.iter().map(|sample| sample.labels.clone()).collect();
    let batch = Batch { labels, instances: None, images, styles: Some(styles), collages: None };
    let mut trainer = Trainer::new(terrain(), 12, &Device::cpu()).unwrap();
    let statistics = |trainer: &Trainer| {
        let mut tensors = model::store(trainer.network(), Precision::Full).unwrap();
        tensors.retain(|name| name.contains(".running_"));
        tensors
    };
    let mut history = vec![statistics(&trainer)];
    for _ in 0..5 {
        trainer.step(batch.clone()).unwrap();
        history.push(statistics(&trainer));
    }
    let moves: Vec<bool> = history.windows(2).map(|pair| !pair[0].iter().eq(pair[1].iter())).collect();
    assert_eq!(moves, [true, true, false, false, false]);
    let calibrated = trainer.calibrated([Ok(batch.clone())]).unwrap();
    let mut of_model = model::store(&calibrated, Precision::Full).unwrap();
    of_model.retain(|name| name.contains(".running_"));
    assert!(of_model.iter().eq(history[5].iter()));

    let without = Batch { styles: None, ..batch };
    let message = trainer.step(without).unwrap_err().to_string();
    assert!(message.contains("style_length is 8"), "{message}");
}

/// A data set without styles cannot train a network that takes its styles from it.
#[test]
fn styles_must_come_from_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let facades = run(folder.path(), terrain());
    let message = train(&facades, &mut Silent, &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(message.contains("style_length is 8") && message.contains("has no styles"), "{message}");
    let clade = Recipe { modulation: ModulationKind::Clade, ..terrain() };
    assert!(clade.validate().unwrap_err().to_string().contains("style_length"));
    let instance = Recipe { norm: NormKind::Instance, ..terrain() };
    assert!(instance.validate().unwrap_err().to_string().contains("fixed_statistics_from"));
}

/// A data set whose objects are the left and the right half of a picture.
struct Halves(Procedural);

impl Dataset for Halves {
    fn classes(&self) -> &semsynth::ClassTable {
        self.0.classes()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, index: usize) -> semsynth::Result<Sample> {
        let sample = self.0.get(index)?;
        let (width, height) = (sample.labels.width(), sample.labels.height());
        let ids = (0..width * height).map(|i| u16::from(i % width >= width / 2)).collect();
        Ok(Sample { instances: Some(LabelMap::new(width, height, ids)?), ..sample })
    }
    fn name(&self) -> String {
        "halves".into()
    }
    fn describe(&self) -> String {
        "halves".into()
    }
}

/// pix2pixHD with instance features: the model has presets, each paints another picture, and a photo's features can be encoded.
#[test]
fn instance_features_become_presets() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { network: NetworkKind::Pix2PixHd, features: Some(3), ..recipe() };
    let of = |name: &str, train_set: Arc<dyn Dataset>| {
        let run = Run { train: train_set, ..run(&folder.path().join(name), recipe.clone()) };
        Model::open(finished(&run).files.model()).unwrap()
    };
    let plain = of("plain", Arc::new(Procedural::new(Split::Train, 1, 7, 64, 32)));
    let model = of("halves", Arc::new(Halves(Procedural::new(Split::Train, 1, 7, 64, 32))));
    assert!(model.to_bytes().unwrap() != plain.to_bytes().unwrap(), "objects are not those of classes");
    let presets = model.presets();
    assert!((2..=10).contains(&presets.len()), "{presets:?}");
    let sample = Procedural::new(Split::Val, 1, 1, 64, 32).get(0).unwrap();
    let mut synth = Synthesizer::new(model.clone(), &Device::cpu()).unwrap();
    let mut paint = |request: &Request| synth.run(&sample.labels, request).unwrap();
    let first = paint(&Request::new());
    let preset = |name: &str| Request::new().style(&model.preset(name).unwrap());
    assert!(first == paint(&preset("look-1")) && first != paint(&preset("look-2")));
    let encoder = StyleEncoder::new(model.clone(), &Device::cpu()).unwrap();
    let photo = Image::new(64, 32, sample.image.into_raw()).unwrap();
    let style = encoder.encode(&photo, Some(&sample.labels), None).unwrap();
    assert_eq!((style.rows(), style.length()), (12, 3));
    assert!(style.is_present(1) && encoder.encode(&photo, None, None).is_err());
    assert!(paint(&Request::new().style(&style)) != first);
}

/// A data set that gives pictures of a batch, two, only when the step before it is done.
struct Slow(Procedural, AtomicUsize, Arc<AtomicU64>);

impl Dataset for Slow {
    fn classes(&self) -> &semsynth::ClassTable {
        self.0.classes()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, index: usize) -> semsynth::Result<Sample> {
        let batch = self.1.fetch_add(1, Ordering::Relaxed) as u64 / 2;
        // The last ones are asked for after training.
        while batch < 6 && self.2.load(Ordering::Relaxed) < batch {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(50));
        self.0.get(index)
    }
    fn name(&self) -> String {
        "slow".into()
    }
    fn describe(&self) -> String {
        "slow".into()
    }
}

/// Notes which step is done.
struct Steps(Arc<AtomicU64>);

impl Observer for Steps {
    fn start(&mut self, _first: u64, _steps: u64) {}
    fn step(&mut self, step: u64) {
        self.0.store(step, Ordering::Relaxed);
    }
    fn losses(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self) {}
}

/// How long training waits for data is measured, apart from the first batch.
#[test]
fn a_slow_data_set_makes_training_wait() {
    let folder = tempfile::tempdir().unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let set = Slow(Procedural::new(Split::Train, 1, 7, 64, 32), AtomicUsize::new(0), Arc::clone(&done));
    // Nothing else reads the set before the end.
    let run = Run {
        train: Arc::new(set),
        recipe: Recipe { sample_every: 9, ..recipe() },
        trace: true,
        ..run(folder.path(), recipe())
    };
    let outcome = train(&run, &mut Steps(done), &AtomicBool::new(false)).unwrap();
    // Five batches of two pictures, 50 ms each. On a busy machine, part of that is over before training gets to wait for it.
    assert!(outcome.waited >= Duration::from_millis(100), "{:?}", outcome.waited);
    // The trace shows the same.
    let events: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(outcome.files.trace()).unwrap()).unwrap();
    let of = |name: &str| -> Vec<[f64; 2]> {
        let named = events.iter().filter(|event| event["name"] == name);
        named.map(|event| ["ts", "dur"].map(|field| event[field].as_f64().unwrap())).collect()
    };
    let waited: f64 = of("wait for pictures").iter().map(|[_, time]| time).sum();
    assert!((waited - outcome.waited.as_secs_f64() * 1e6).abs() < 50_000.0, "{waited} {:?}", outcome.waited);
    let [loads, steps] = [of("load"), of("step")];
    assert_eq!([loads.len(), steps.len()], [6, 6]);
    // Each batch is there before its step, and the thread that loads does not wait for the first step to turn to the second.
    assert!(loads.iter().zip(&steps).all(|([from, time], [step, _])| from + time <= *step), "{loads:?} {steps:?}");
    assert!(loads[1][0] < steps[0][0] + steps[0][1]);
}

/// Without noise, its strength stays 0, and so does that of the model; all else is trained as before.
#[test]
fn a_network_can_be_trained_without_its_noise() {
    let batch = batch(&Procedural::new(Split::Train, 3, 2, 64, 32));
    for modulation in [ModulationKind::Sean, ModulationKind::SpadeNoise] {
        let strengths = |noise: bool| -> Vec<f32> {
            let mut trainer = Trainer::new(Recipe { modulation, noise, ..recipe() }, 12, &Device::cpu()).unwrap();
            for _ in 0..2 {
                trainer.step(batch.clone()).unwrap();
            }
            let stored = model::store(trainer.network(), Precision::Full).unwrap();
            let strengths = stored.iter().filter(|(name, _)| name.ends_with(".noise_var"));
            strengths.flat_map(|(_, data)| data.to_f32()).collect()
        };
        assert!(strengths(true).iter().all(|strength| *strength != 0.0), "{modulation:?}");
        let without = strengths(false);
        assert!(!without.is_empty() && without.iter().all(|strength| *strength == 0.0), "{modulation:?}");
    }
}

/// The photos of a batch as collages, without every third pixel.
fn collages(batch: &Batch) -> Vec<f32> {
    let (area, pictures) = (batch.images.len() / batch.labels.len() / 3, batch.labels.len());
    let missing = |at: usize| (at % area).is_multiple_of(3);
    let of = |picture: usize| {
        let photo = &batch.images[picture * 3 * area..][..3 * area];
        let colours = photo.iter().enumerate().map(|(at, value)| if missing(at) { 0.0 } else { *value });
        colours.chain((0..area).map(|at| f32::from(missing(at)))).collect::<Vec<f32>>()
    };
    (0..pictures).flat_map(of).collect()
}

/// SIMS paints from collages of the training photos: in the run, in the evaluation of its model, and by hand; without one, it says what
/// is missing.
#[test]
fn sims_paints_from_photos() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { network: NetworkKind::Sims, adversarial: Adversarial::None, ..recipe() };
    let run = run(&folder.path().join("run"), recipe);
    let outcome = finished(&run);
    let model = Model::open(outcome.files.model()).unwrap();
    assert!(model.architecture().takes_collage());
    let bank = || Bank::of(&*run.train, model.manifest().native_size, BankLimits::default()).unwrap();
    let set = |split, len| Box::new(Procedural::new(split, 1, len, 64, 32)) as Box<dyn Dataset>;

    // The evaluation has the pictures of the run's own score.
    let painted = Painted::new(model.clone(), set(Split::Val, 3), None, &Device::cpu()).unwrap();
    let plain = painted.fingerprint();
    let mut painted = painted.bank(bank(), false).unwrap();
    assert!(painted.fingerprint() != plain && painted.describe().contains("5 photos"), "{}", painted.describe());
    let (measures, files) = (Measures::new(&Device::cpu()), eval::Files::new(folder.path().join("eval")));
    let report = evaluate(&mut painted, &measures, &files, &mut eval::Silent, &AtomicBool::new(false)).unwrap();
    assert!((report.similarity.psnr.unwrap() - outcome.score.psnr).abs() < 1e-6, "{report} {:?}", outcome.score);
    // Nothing of a photo goes into its own picture if it is in the bank.
    let paint = |own: bool| {
        let painted = Painted::new(model.clone(), set(Split::Train, 5), None, &Device::cpu()).unwrap();
        let mut painted = painted.bank(bank(), own).unwrap();
        let item = painted.load(2).unwrap();
        painted.paint(2, &item).unwrap()
    };
    assert!(paint(false) != paint(true));

    let mut synth = Synthesizer::new(model.clone(), &Device::cpu()).unwrap();
    synth.warm_up(64, 32, &Request::new()).unwrap();
    let labels = run.val.get(0).unwrap().labels;
    let message = synth.run(&labels, &Request::new()).unwrap_err().to_string();
    assert!(message.contains("collage") && message.contains("--bank"), "{message}");
    let collage = bank().collage(&labels, None).unwrap();
    let picture = synth.run(&labels, &Request::new().collage(collage.clone())).unwrap();
    let empty = Request::new().collage(Collage::empty(64, 32).unwrap());
    assert!(picture != synth.run(&labels, &empty).unwrap(), "the collage does not matter");
    // A side that is no multiple of the stride, and by rows.
    let odd = labels.crop(0, 0, 61, 29).unwrap();
    let request = Request::new().collage(bank().collage(&odd, None).unwrap());
    let whole = synth.run(&odd, &request).unwrap();
    let mut rows = Vec::new();
    let mut sink = semsynth::sink::from_fn(|_, row: &[u8]| {
        rows.extend_from_slice(row);
        Ok(())
    });
    let area = Rect { x: 0, y: 0, width: 61, height: 29 };
    synth.synthesize(&mut &odd, area, &request, &mut sink, &mut Control::new()).unwrap();
    assert!(rows == whole.as_bytes());
    let message = synth.run(&odd, &Request::new().collage(collage.clone())).unwrap_err().to_string();
    assert!(message.contains("64x32") && message.contains("61x29"), "{message}");
    let facades = Model::builtin("facades").unwrap();
    let mut other = Synthesizer::new(facades, &Device::cpu()).unwrap();
    let message = other.run(&labels, &Request::new().collage(collage)).unwrap_err().to_string();
    assert!(message.contains("takes none"), "{message}");
}

/// Every part of every network is trained: after a few steps every trained weight has changed.
#[test]
fn every_weight_learns() {
    let batch = batch(&Procedural::new(Split::Train, 3, 2, 64, 32));
    let batch = Batch { collages: Some(collages(&batch)), ..batch };
    let clade = ModulationKind::Clade;
    for recipe in [
        Recipe {
            leading_blocks: vec![clade; 2],
            modulation: ModulationKind::CladeIcpe,
            instance_edges: true,
            ..recipe()
        },
        Recipe { modulation: ModulationKind::Sean, ..recipe() },
        Recipe { modulation: ModulationKind::Adain, ..recipe() },
        Recipe { modulation: ModulationKind::CladeStyled, ..recipe() },
        Recipe { modulation: ModulationKind::SpadeNoise, ..recipe() },
        Recipe { modulation: ModulationKind::Concat, instance_edges: true, ..recipe() },
        Recipe { modulation: ModulationKind::Spade { kernel: 3 }, latent: true, ..recipe() },
        Recipe { network: NetworkKind::Pix2PixHd, ..recipe() },
        Recipe { network: NetworkKind::Pix2PixHd, features: Some(3), ..recipe() },
        Recipe { network: NetworkKind::Pix2Pix, ..recipe() },
        Recipe { network: NetworkKind::Crn, ..recipe() },
        Recipe { network: NetworkKind::Crn, adversarial: Adversarial::None, ..recipe() },
        Recipe { network: NetworkKind::Sims, adversarial: Adversarial::None, ..recipe() },
    ] {
        let mut trainer = Trainer::new(recipe, 12, &Device::cpu()).unwrap();
        let before = model::store(trainer.network(), Precision::Full).unwrap();
        for _ in 0..3 {
            trainer.step(batch.clone()).unwrap();
        }
        let after = model::store(trainer.network(), Precision::Full).unwrap();
        let network = trainer.architecture().describe();
        let smallest = batch.labels.iter().map(|map| map.resize_floor(2, 1).unwrap());
        let present: BTreeSet<u16> = smallest.flat_map(|map| map.ids().collect::<Vec<_>>()).collect();
        for (name, data) in before.iter() {
            // A class that no block sees has no gradient, so its layer does not change.
            let class = name.split_once(".fc_mu").and_then(|(_, rest)| rest.split('.').next()?.parse::<u16>().ok());
            // The block without styles has blending factors that are not used.
            let idle = name.starts_with("up_3.ace_") && name.contains(".blending_");
            if idle || class.is_some_and(|class| !present.contains(&class)) {
                continue;
            }
            assert_ne!(after.get(name).unwrap(), data, "{network}: {name} has not moved");
        }
    }
}

/// The weight of the KL divergence keeps latent vectors close to a standard normal distribution.
#[test]
fn the_divergence_of_latent_vectors_is_held_down() {
    let batch = batch(&Procedural::new(Split::Train, 3, 2, 64, 32));
    let divergence = |kl: f64| {
        let losses = LossWeights { kl, feature_matching: 0.0, ..LossWeights::default() };
        let recipe = Recipe { latent: true, losses, learning_rate: 1e-2, decay_from: None, ..recipe() };
        let mut trainer = Trainer::new(recipe, 12, &Device::cpu()).unwrap();
        let steps: Vec<f32> = (0..12).map(|_| trainer.step(batch.clone()).unwrap().read().unwrap()["kl"]).collect();
        steps[11]
    };
    let (free, held) = (divergence(0.0), divergence(10.0));
    assert!(held < free / 2.0, "{held} with the loss, {free} without");
}

/// One step on a GPU changes every weight as on the CPU: in particular the discriminator's gradients for pictures
/// without gradients, and the generator's through a discriminator that is not trained.
#[test]
fn devices_agree_on_a_step() {
    let batch = batch(&Procedural::new(Split::Train, 3, 2, 64, 32));
    // SEAN has every kind of layer: its encoder, styles, noise.
    for modulation in [ModulationKind::Clade, ModulationKind::Sean] {
        devices_agree(modulation, &batch);
    }
}

fn devices_agree(modulation: ModulationKind, batch: &Batch) {
    let mut results = Vec::new();
    for device in devices() {
        // Plain Adam: with TTUR's betas the first step has the same length for every gradient, however small, so
        // rounding would determine its sign.
        let recipe = Recipe { modulation, ttur: false, fresh_fakes: true, ..recipe() };
        let mut trainer = Trainer::new(recipe, 12, &device).unwrap();
        let mut losses = Vec::new();
        for _ in 0..3 {
            losses = trainer.step(batch.clone()).unwrap().read().unwrap().into_values().collect();
        }
        let weights = model::store(trainer.network(), Precision::Full).unwrap();
        results.push((device, losses, weights));
    }
    let (_, cpu_losses, cpu) = &results[0];
    for (device, losses, weights) in &results[1..] {
        let name = &device.info().name;
        let off = difference(losses, cpu_losses);
        println!("losses on {name} differ by at most {off:e}");
        assert!(off < 2e-3, "losses on {name} differ by {off}: {losses:?} {cpu_losses:?}");
        for (tensor, data) in weights.iter() {
            let (found, expected) = (data.to_f32(), cpu.get(tensor).unwrap().to_f32());
            assert!(found.iter().all(|value| value.is_finite()), "{tensor} on {name}");
            // A bias before a norm has no effect, so its gradient is rounding noise, which Adam scales up; means
            // depend on it.
            if !tensor.contains("weight") {
                continue;
            }
            let mean = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum::<f32>() / found.len() as f32;
            assert!(mean < 1e-4, "{tensor} on {name}: mean difference {mean}");
        }
    }
}

/// What a network has learnt from after a step: Adam's first moments by parameter, and from how many steps.
fn moments(trainer: &Trainer, adam: &str) -> (u64, BTreeMap<String, Vec<f32>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    trainer.save(&path, Procedural::new(Split::Train, 3, 2, 64, 32).classes()).unwrap();
    let tensors = Tensors::open(path).unwrap();
    let steps = tensors.metadata().get(&format!("{adam}steps")).unwrap().parse().unwrap();
    let moment = |name: &str| name.strip_prefix(adam)?.strip_suffix(".m").map(str::to_owned);
    (steps, tensors.iter().filter_map(|(name, data)| Some((moment(name)?, data.to_f32()))).collect())
}

/// The cosine of the angle between two gradients.
fn cosine(a: &BTreeMap<String, Vec<f32>>, b: &BTreeMap<String, Vec<f32>>) -> f64 {
    assert!(a.keys().eq(b.keys()), "the same parameters have gradients");
    let (mut product, mut squares) = (0.0, [0.0; 2]);
    for (&a, &b) in a.values().flatten().zip(b.values().flatten()) {
        let (a, b) = (f64::from(a), f64::from(b));
        product += a * b;
        squares = [squares[0] + a * a, squares[1] + b * b];
    }
    product / (squares[0] * squares[1]).sqrt()
}

/// 16-bit floats in convolutions: losses and gradients are those of 32 bits but for rounding, once the loss scale has come down to
/// where they fit. Until then steps leave the weights as they are.
#[test]
fn mixed_precision_agrees_on_devices() {
    let batch = batch(&Procedural::new(Split::Train, 3, 2, 64, 32));
    // Its generator has transposed convolutions, too.
    let recipe = Recipe { network: NetworkKind::Pix2Pix, ..recipe() };
    for device in devices() {
        let name = &device.info().name;
        // Steps that move nothing, so that a step that is left out changes none of the others. Adam's first moment is then the
        // mean of gradients, half of it the last.
        let recipe = Recipe { ttur: false, learning_rate: 1e-30, ema: 0.0, ..recipe.clone() };
        let [mut plain, mut mixed] =
            [false, true].map(|mixed| Trainer::new(Recipe { mixed, ..recipe.clone() }, 12, &device).unwrap());
        let mut before: [Option<BTreeMap<String, Vec<f32>>>; 2] = [None, None];
        let mut compared = [false; 2];
        for step in 1..=12 {
            let [expected, found] = [&mut plain, &mut mixed]
                .map(|trainer| trainer.step(batch.clone()).unwrap().read().unwrap().into_values().collect::<Vec<_>>());
            if !Trainer::can_mix(&device) {
                println!("skipped: {name} has no 16-bit floats to train with");
                assert_eq!(expected, found, "{name}");
                compared = [true; 2];
                break;
            }
            let off = difference(&found, &expected);
            assert!(off > 0.0 && off < 1e-3, "{name}: {found:?} instead of {expected:?}");
            for (index, adam) in ["adam_g.", "adam_d."].into_iter().enumerate() {
                let ((_, all), (steps, of_mixed)) = (moments(&plain, adam), moments(&mixed, adam));
                if steps == 1 && !compared[index] {
                    let mut last = all.clone();
                    if let Some(before) = &before[index] {
                        for (values, before) in last.values_mut().flatten().zip(before.values().flatten()) {
                            *values -= before / 2.0;
                        }
                    }
                    let alike = cosine(&of_mixed, &last);
                    println!("{adam} of {name}: step {step}, losses off by {off:e}, gradients' cosine {alike}");
                    assert!(alike > 0.99, "{adam} of {name}: cosine {alike}");
                    compared[index] = true;
                }
                before[index] = Some(all);
            }
            if compared == [true; 2] {
                break;
            }
        }
        assert_eq!(compared, [true; 2], "{name}: no scale fits");
    }
}
