//! Training by processes that `mpirun` starts, through the command. Needs a library of MPI; `core/ci-mpi.sh` runs this.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::text;
use semsynth::network::DiscriminatorConfig;
use semsynth::nn::modulation::ModulationKind;
use semsynth::tensors::Tensors;
use semsynth::train::{Files, LossWeights, Recipe, TrainLog};

/// A network with batch norm, spectral norm, noise and latent vectors, small enough for a test. Without `ttur`, Adam's first
/// moment after a step is half of the gradient.
fn recipe() -> Recipe {
    Recipe {
        modulation: ModulationKind::Spade { kernel: 3 },
        latent: true,
        ngf: 2,
        discriminator: DiscriminatorConfig { ndf: 4, layers: 3, ..DiscriminatorConfig::default() },
        size: [32, 64],
        batch: 6,
        losses: LossWeights { l1: 1.0, coarse: 2.0, ..LossWeights::default() },
        ttur: false,
        fresh_fakes: false,
        decay_from: None,
        log_every: 1,
        checkpoint_every: 3,
        ..Recipe::quick()
    }
}

/// `semsynth train` by `processes` processes, or by one without MPI.
fn train(processes: Option<usize>, arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_semsynth");
    let mut command = match processes {
        None => Command::new(program),
        Some(processes) => {
            let mut command = Command::new("mpirun");
            // More processes than cores, and as root where tests run as root.
            command.args(["--oversubscribe", "-n", &processes.to_string(), program]);
            command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
            command
        }
    };
    command.args(["train", "--device", "cpu"]).args(arguments);
    if processes.is_some() {
        command.arg("--mpi");
    }
    // The threads of several processes would wait for each other's cores.
    command.env("RAYON_NUM_THREADS", "1");
    command
}

fn finished(mut command: Command) -> Output {
    let output = command.output().expect("mpirun (Debian: openmpi-bin)");
    assert!(output.status.success(), "{}", text(&output));
    output
}

/// A folder with the recipe.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.ron");
    std::fs::write(&path, recipe().to_ron_string().unwrap()).unwrap();
    (folder, path)
}

fn run(processes: Option<usize>, recipe: &Path, out: &Path, steps: &str) -> Output {
    let (recipe, out) = (recipe.to_str().unwrap(), out.to_str().unwrap());
    finished(train(processes, &["--recipe", recipe, "--out", out, "--steps", steps]))
}

fn losses(out: &Path) -> Vec<BTreeMap<String, f32>> {
    TrainLog::read(Files::new(out).log()).unwrap().into_iter().map(|record| record.values).collect()
}

/// Gradients and running statistics of each network.
fn tensors(out: &Path, network: &str) -> Vec<f32> {
    let kept = |name: &str| {
        name.starts_with(network)
            && ((name.starts_with("adam_") && name.strip_suffix(".m").is_some()) || name.contains("running_"))
    };
    let tensors = Tensors::open(Files::new(out).checkpoint()).unwrap();
    let tensors = tensors.iter().filter(|(name, _)| kept(name)).map(|(name, data)| (name.to_owned(), data.to_f32()));
    tensors.collect::<BTreeMap<_, _>>().into_values().flatten().collect()
}

fn largest(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |largest, value| largest.max(value.abs()))
}

#[test]
fn processes_compute_what_one_computes() {
    let (folder, recipe) = folder();
    let at = |name: &str| folder.path().join(name);
    run(None, &recipe, &at("one"), "1");
    for processes in [1, 2, 3] {
        let out = at(&processes.to_string());
        let output = run(Some(processes), &recipe, &out, "1");
        // Only the first speaks.
        assert_eq!(text(&output).matches("PSNR").count(), 1, "{}", text(&output));
        let loss = |(a, b): (&f32, &f32)| (a - b).abs() / a.abs().max(1.0);
        let [expected, found] = [losses(&at("one")), losses(&out)];
        assert!(expected[0].len() > 4 && expected[0].keys().eq(found[0].keys()));
        let losses = largest(expected[0].values().zip(found[0].values()).map(loss));
        assert!(losses <= 1e-5, "{processes} processes: losses differ by {losses:e}");
        for network in ["adam_g.", "adam_d.", "network."] {
            let [expected, found] = [tensors(&at("one"), network), tensors(&out, network)];
            assert!(expected.len() == found.len() && expected.len() > 50, "{network}");
            let off = largest(expected.iter().zip(&found).map(|(a, b)| a - b)) / largest(expected.iter().copied());
            println!("{processes} processes, {network}: {off:e}, losses {losses:e}");
            assert!(off <= 1e-5, "{processes} processes, {network}: off by {off:e}");
            // One process over MPI is no different from one without.
            assert!(processes > 1 || off == 0.0);
        }
    }
}

#[test]
fn a_run_that_is_resumed_is_that_without_a_stop() {
    let (folder, recipe) = folder();
    let at = |name: &str| folder.path().join(name);
    run(Some(2), &recipe, &at("whole"), "5");
    let parts = at("parts");
    run(Some(2), &recipe, &parts, "2");
    finished(train(Some(2), &["--resume", parts.to_str().unwrap(), "--steps", "5"]));
    assert_eq!(losses(&at("whole")), losses(&parts));
    let tensors = |out: &Path| Tensors::open(Files::new(out).model()).unwrap();
    assert!(tensors(&at("whole")).iter().eq(tensors(&parts).iter()), "the models differ");
}

/// The processes that this one has started.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent_of = |process: &u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in parentheses, may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    numbers.filter(|process| parent_of(process) == Some(parent)).collect()
}

fn wait(child: &mut Child, what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(child.try_wait().unwrap().is_none(), "mpirun ended before {what}");
        assert!(started.elapsed() < Duration::from_mins(2), "{what} takes too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that dies ends the run of all, with a message, and the last checkpoint is good.
#[test]
fn the_death_of_one_ends_all_and_leaves_a_checkpoint() {
    let (folder, recipe) = folder();
    let out = folder.path().join("run");
    let (recipe, out_text) = (recipe.to_str().unwrap(), out.to_str().unwrap());
    let mut command = train(Some(2), &["--recipe", recipe, "--out", out_text, "--steps", "1000000"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let checkpoint = Files::new(&out).checkpoint();
    wait(&mut running, "the first checkpoint", || checkpoint.exists());
    let processes = children(running.id());
    assert_eq!(processes.len(), 2, "{processes:?}");
    let killed = Command::new("kill").args(["-9", &processes[1].to_string()]).status().unwrap();
    assert!(killed.success());
    let killed = Instant::now();
    let output = running.wait_with_output().unwrap();
    assert!(killed.elapsed() < Duration::from_secs(30), "the others took {:?} to end", killed.elapsed());
    assert!(!output.status.success() && text(&output).contains("rank 1"), "{}", text(&output));
    let steps = semsynth::train::Checkpoint::open(&checkpoint).unwrap().steps_done();
    assert!(steps >= 3 && steps.is_multiple_of(3), "{steps}");
    finished(train(Some(2), &["--resume", out_text, "--steps", &(steps + 2).to_string()]));
    assert_eq!(losses(&out).len() as u64, steps + 2);
}

/// What only one process finds wrong ends all of them, with its words.
#[test]
fn an_error_of_one_ends_all() {
    let (folder, recipe) = folder();
    let out = folder.path().join("run");
    let (recipe, out) = (recipe.to_str().unwrap(), out.to_str().unwrap());
    // The second program of the two has another seed.
    let program = env!("CARGO_BIN_EXE_semsynth");
    let same = ["train", "--mpi", "--device", "cpu", "--recipe", recipe, "--out", out, "--steps", "2"];
    let mut command = Command::new("mpirun");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.args(["--oversubscribe", "-n", "1", program]).args(same);
    command.args([":", "-n", "1", program]).args(same).args(["--seed", "5"]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("rank 1 has another recipe"), "{}", text(&output));
    assert!(!Path::new(out).exists());
}
