//! Training by many processes, here threads: they compute what one process computes with the whole batch.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{StopAfter, batch_of};
use semsynth::data::{Dataset, Procedural, Split};
use semsynth::network::{DiscriminatorConfig, DiscriminatorKind};
use semsynth::nn::NormKind;
use semsynth::nn::modulation::ModulationKind;
use semsynth::tensors::Tensors;
use semsynth::train::{
    Adversarial, Batch, Checkpoint, Files, Group, LossWeights, NetworkKind, Outcome, Recipe, Run, Silent, Stopped,
    TrainLog, Trainer, train_in_group,
};
use semsynth::{Device, Error};

/// Channels of the labels of procedural facades.
const CLASSES: usize = 12;

/// Networks small enough for a test. Without `ttur`, Adam's first moment after a step is half of the gradient. The discriminator's
/// gradient is that of the generator's own pictures, for Adam makes whole steps out of gradients that are only rounding.
fn recipe() -> Recipe {
    Recipe {
        ngf: 2,
        discriminator: DiscriminatorConfig { ndf: 4, layers: 3, ..DiscriminatorConfig::default() },
        size: [32, 64],
        batch: 4,
        losses: LossWeights { l1: 1.0, coarse: 2.0, ..LossWeights::default() },
        ema: 0.9,
        ttur: false,
        fresh_fakes: false,
        ..Recipe::quick()
    }
}

/// Pictures of the procedural set as one batch.
fn batch(pictures: std::ops::Range<usize>) -> Batch {
    batch_of(&Procedural::new(Split::Train, 1, 6, 64, 32), pictures)
}

/// Runs `f` as every rank of a group of threads.
fn together<T: Send>(size: usize, f: impl Fn(Group) -> T + Sync) -> Vec<T> {
    let f = &f;
    std::thread::scope(|scope| {
        let threads: Vec<_> = Group::of_threads(size).into_iter().map(|group| scope.spawn(move || f(group))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// What a step leaves: losses, gradients and running statistics.
struct Step {
    losses: BTreeMap<String, f32>,
    tensors: BTreeMap<String, Vec<f32>>,
}

fn step(recipe: &Recipe, group: Group, batch: Batch) -> Step {
    let mut trainer = Trainer::new(recipe.clone(), CLASSES, &Device::cpu()).unwrap().together(group).unwrap();
    let losses = trainer.step(batch).unwrap().read().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    trainer.save(&path, Procedural::new(Split::Train, 1, 4, 64, 32).classes()).unwrap();
    let kept = |name: &str| {
        let gradient = name.starts_with("adam_") && name.strip_suffix(".m").is_some();
        gradient || name.contains("running_")
    };
    let tensors = Tensors::open(path).unwrap();
    let tensors = tensors.iter().filter(|(name, _)| kept(name)).map(|(name, data)| (name.to_owned(), data.to_f32()));
    Step { losses, tensors: tensors.collect() }
}

fn largest<'a>(values: impl IntoIterator<Item = &'a f32>) -> f32 {
    values.into_iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The largest difference of losses, as a share of the loss, or of 1 for small ones.
fn loss_off(expected: &Step, found: &Step) -> f32 {
    assert!(expected.losses.keys().eq(found.losses.keys()));
    let loss = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(1.0);
    expected.losses.values().zip(found.losses.values()).map(loss).fold(0.0, f32::max)
}

/// The largest difference of losses, and that of gradients and statistics, as a share of the largest value in the network.
fn off(expected: &Step, found: &Step) -> [f32; 2] {
    assert!(expected.tensors.keys().eq(found.tensors.keys()), "the same parameters have gradients");
    let mut worst: f32 = 0.0;
    for kind in ["adam_g.", "adam_d.", "network."] {
        let of = |step: &Step| -> Vec<f32> {
            let kind = step.tensors.iter().filter(|(name, _)| name.starts_with(kind));
            kind.flat_map(|(_, values)| values.iter().copied()).collect()
        };
        let (expected, found) = (of(expected), of(found));
        assert_eq!(expected.len(), found.len());
        let differences: Vec<f32> = expected.iter().zip(&found).map(|(a, b)| a - b).collect();
        worst = worst.max(largest(&differences) / largest(&expected).max(f32::MIN_POSITIVE));
    }
    [loss_off(expected, found), worst]
}

/// Every kind of network, of loss and of random input, with parts of different sizes.
#[test]
fn a_step_of_many_is_that_of_one() {
    let spade = ModulationKind::Spade { kernel: 3 };
    let segmentation =
        DiscriminatorConfig { kind: DiscriminatorKind::Segmentation, ndf: 2, ..DiscriminatorConfig::default() };
    let cases = [
        ("CLADE", recipe()),
        (
            "SPADE and ICPE with edges",
            Recipe {
                leading_blocks: vec![spade; 3],
                modulation: ModulationKind::CladeIcpe,
                instance_edges: true,
                diff_augment: true,
                ..recipe()
            },
        ),
        ("SEAN", Recipe { modulation: ModulationKind::Sean, ..recipe() }),
        ("latent vectors", Recipe { latent: true, modulation: spade, ..recipe() }),
        ("pix2pix with dropout", Recipe { network: NetworkKind::Pix2Pix, dropout: true, ..recipe() }),
        (
            "pix2pixHD",
            Recipe {
                network: NetworkKind::Pix2PixHd,
                adversarial: Adversarial::LeastSquares,
                spectral: false,
                discriminator: DiscriminatorConfig { spectral: false, ..recipe().discriminator },
                ..recipe()
            },
        ),
        ("pix2pixHD with instance features", Recipe { network: NetworkKind::Pix2PixHd, features: Some(2), ..recipe() }),
        (
            "segmentation discriminator",
            Recipe { discriminator: segmentation.clone(), diff_augment: true, norm: NormKind::Instance, ..recipe() },
        ),
        ("segmentation discriminator, batch norm", Recipe { discriminator: segmentation, ..recipe() }),
        // The smallest rate, so that the new pictures are those of the same generator.
        ("new pictures", Recipe { fresh_fakes: true, learning_rate: 1e-12, latent: true, ..recipe() }),
    ];
    let mut wrong = Vec::new();
    for (name, recipe) in cases {
        // The segmentation discriminator's losses are sums over pixels in 32 bits. At the start all pixels have nearly the same loss,
        // which rounds to the same side: thousands are off by some 1e-5, in one process too. Gradients are not.
        let rounding = if recipe.discriminator.kind == DiscriminatorKind::Segmentation { 1e-4 } else { 1e-5 };
        let expected = step(&recipe, Group::alone(), batch(0..4));
        assert!(expected.tensors.len() > 20);
        for parts in [&[2usize, 2][..], &[1, 2, 1]] {
            let found = together(parts.len(), |group| {
                let first: usize = parts[..group.rank()].iter().sum();
                let here = parts[group.rank()];
                step(&recipe, group, batch(first..first + here))
            });
            let [losses, tensors] = off(&expected, &found[0]);
            println!("{name}, {parts:?}: losses {losses:e}, gradients {tensors:e}");
            if losses > rounding || tensors > 1e-5 {
                wrong.push(format!("{name}, {parts:?}: losses {losses:e}, gradients {tensors:e}"));
            }
            // All ranks have the same bits.
            for other in &found[1..] {
                assert_eq!((&other.losses, &other.tensors), (&found[0].losses, &found[0].tensors), "{name}");
            }
        }
        // Half of the batch has other losses: the check sees more than noise.
        let half = step(&recipe, Group::alone(), batch(0..2));
        assert!(loss_off(&expected, &half) > 1e-3, "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The parts of an accumulated step are those of all processes: first parts together, then second parts.
#[test]
fn accumulated_parts_are_shared() {
    let recipe = Recipe { batch: 2, accumulate: 2, latent: true, diff_augment: true, ..recipe() };
    let expected = step(&recipe, Group::alone(), batch(0..4));
    let found = together(2, |group| {
        let rank = group.rank();
        let pictures = [batch(rank..rank + 1), batch(2 + rank..3 + rank)];
        let [mut mine, second] = pictures;
        mine.labels.extend(second.labels);
        mine.images.extend(second.images);
        step(&recipe, group, mine)
    });
    let [losses, tensors] = off(&expected, &found[0]);
    println!("losses {losses:e}, gradients {tensors:e}");
    assert!(losses < 1e-5 && tensors < 1e-5, "losses {losses}, gradients {tensors}");
}

/// What is wrong on one rank is an error of all, and the group goes on.
#[test]
fn a_bad_batch_of_one_is_an_error_of_all() {
    let texts = together(2, |group| {
        let rank = group.rank();
        let mut trainer = Trainer::new(recipe(), CLASSES, &Device::cpu()).unwrap().together(group).unwrap();
        let mut torn = batch(rank..rank + 1);
        if rank == 1 {
            torn.images.pop();
        }
        let first = trainer.step(torn).unwrap_err();
        assert!(matches!(first, Error::Argument(_)), "{first}");
        let losses = trainer.step(batch(rank..rank + 1)).unwrap().read().unwrap();
        assert_eq!(trainer.steps_done(), 1);
        (first.to_string(), losses)
    });
    assert!(texts[0].0.contains("rank 1 of 2") && texts[0].0.contains("cannot hold"), "{}", texts[0].0);
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn ranks_that_train_different_things_are_refused() {
    let texts = together(2, |group| {
        let recipe = Recipe { seed: group.rank() as u64, ..recipe() };
        let trainer = Trainer::new(recipe, CLASSES, &Device::cpu()).unwrap();
        trainer.together(group).unwrap_err().to_string()
    });
    assert!(texts.iter().all(|text| text.contains("rank 1 has another recipe")), "{texts:?}");
}

/// A run in `out` with batches of 3 pictures: on two processes, one has a picture of each and the other two.
fn run(out: &Path) -> Run {
    let set = |split, len| Arc::new(Procedural::new(split, 1, len, 64, 32)) as Arc<dyn Dataset>;
    let recipe = Recipe {
        batch: 3,
        steps: 6,
        decay_from: Some(3),
        sample_every: 2,
        checkpoint_every: 3,
        log_every: 1,
        ttur: true,
        name: Some("test".into()),
        ..recipe()
    };
    Run {
        recipe,
        out: out.into(),
        train: set(Split::Train, 7),
        val: set(Split::Val, 3),
        device: Device::cpu(),
        time_limit: None,
        trace: false,
    }
}

fn losses(files: &Files) -> Vec<(u64, BTreeMap<String, f32>)> {
    TrainLog::read(files.log()).unwrap().into_iter().map(|record| (record.step, record.values)).collect()
}

fn close(expected: &Files, found: &Files) {
    let (expected, found) = (losses(expected), losses(found));
    assert_eq!((expected.len(), found.len()), (6, 6));
    for ((step, expected), (other, found)) in expected.iter().zip(&found) {
        assert_eq!(step, other);
        for (name, value) in expected {
            assert!(
                (value - found[name]).abs() < 1e-3 * value.abs().max(1.0),
                "{step} {name}: {value} {}",
                found[name]
            );
        }
    }
}

/// Two processes train as one does, only the first writes, and one that is stopped stops both. Resumed, they go on as if nothing
/// had been.
#[test]
fn a_run_of_many_is_that_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let never = AtomicBool::new(false);
    let one = train_in_group(&run(&at("one")), None, &Group::alone(), &mut Silent, &never).unwrap();
    let many = together(2, |group| {
        let out = at(if group.rank() == 0 { "many" } else { "nothing" });
        train_in_group(&run(&out), None, &group, &mut Silent, &AtomicBool::new(false)).unwrap()
    });
    close(&one.files, &many[0].files);
    assert!(!at("nothing").exists());
    assert!(many.iter().all(|of| (of.steps, of.stopped, of.score) == (6, Stopped::Finished, many[0].score)));
    assert!((many[0].score.psnr - one.score.psnr).abs() < 0.05, "{:?} {:?}", many[0].score, one.score);

    let stopped = together(2, |group| {
        let stop = AtomicBool::new(false);
        let mut observer = StopAfter(if group.rank() == 1 { 4 } else { 99 }, &stop);
        train_in_group(&run(&at("parts")), None, &group, &mut observer, &stop).unwrap()
    });
    assert!(stopped.iter().all(|part| (part.steps, part.stopped) == (4, Stopped::Interrupted)));
    let resumed = together(2, |group| {
        let checkpoint = Checkpoint::open(Files::new(at("parts")).checkpoint()).unwrap();
        train_in_group(&run(&at("parts")), Some(checkpoint), &group, &mut Silent, &AtomicBool::new(false)).unwrap()
    });
    assert!(resumed.iter().all(|part| (part.steps, part.stopped) == (6, Stopped::Finished)));
    assert_eq!(losses(&resumed[0].files), losses(&many[0].files));
    let model = |outcome: &Outcome| Tensors::open(outcome.files.model()).unwrap();
    assert!(model(&resumed[0]).iter().eq(model(&many[0]).iter()), "the models differ");
}

/// A data set whose sample 3 cannot be read.
struct Torn(Procedural);

impl Dataset for Torn {
    fn classes(&self) -> &semsynth::ClassTable {
        self.0.classes()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, index: usize) -> semsynth::Result<semsynth::data::Sample> {
        if index == 3 { Err(Error::Data("facade 3 is torn".into())) } else { self.0.get(index) }
    }
    fn name(&self) -> String {
        "torn".into()
    }
    fn describe(&self) -> String {
        "torn".into()
    }
}

/// What one process cannot read ends the run of all, with the steps so far in the checkpoint.
#[test]
fn faulty_data_of_one_ends_the_run_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let texts = together(2, |group| {
        let mut run = run(folder.path());
        if group.rank() == 1 {
            run.train = Arc::new(Torn(Procedural::new(Split::Train, 1, 7, 64, 32)));
        }
        let error = train_in_group(&run, None, &group, &mut Silent, &AtomicBool::new(false)).unwrap_err();
        assert!(matches!(error, Error::Data(_)));
        error.to_string()
    });
    assert!(texts[0].contains("rank 1 of 2") && texts[0].contains("facade 3 is torn"), "{}", texts[0]);
    assert!(texts[0].contains("kept in the checkpoint"), "{}", texts[0]);
    assert_eq!(texts[0], texts[1]);
    let files = Files::new(folder.path());
    assert!(files.checkpoint().exists() && !files.model().exists());
}

#[test]
fn a_batch_has_a_picture_for_each_process() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("never");
    let texts = together(4, |group| {
        let stop = AtomicBool::new(false);
        train_in_group(&run(&out), None, &group, &mut Silent, &stop).unwrap_err().to_string()
    });
    assert!(texts.iter().all(|text| text.contains("batch is 3: it must be at least 4")), "{texts:?}");
    assert!(!out.exists());
}
