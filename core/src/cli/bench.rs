//! `semsynth bench`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::{ColorArgs, Ending, parse_size, system_parser, upsampling_parser};
use crate::collage::Collage;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::model::{FORMAT, Manifest, Model, Precision, Provenance};
use crate::network::{Architecture, StyleConfig, System, Upsampling};
use crate::nn::{Init, Statistics};
use crate::picture::PictureFolder;
use crate::style::Style;
use crate::synth::{Request, Synthesizer, SynthesizerOptions};
use crate::train::{Batch, LossWeights, Recipe, Trainer};

/// Arguments of `semsynth bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Network to benchmark, at its paper's width and with random weights
    #[arg(long, value_name = "NETWORK", value_parser = system_parser(), default_value = "clade", conflicts_with = "model")]
    arch: System,
    /// How often that network doubles the size of its first features [default: normal]. Not for the
    /// baselines
    #[arg(long, value_name = "HOW", value_parser = upsampling_parser(), conflicts_with = "model")]
    upsampling: Option<Upsampling>,
    /// Name of the class table for that network
    #[arg(long, value_name = "NAME", default_value = "cmp-facades", conflicts_with = "model")]
    classes: String,
    /// Model file to benchmark instead, or `builtin:NAME`
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Label map or folder of label maps, used in turn [default: four maps with 16x16 blocks of random classes]
    #[arg(short, long, value_name = "FILE|DIR")]
    labels: Option<PathBuf>,
    /// Random class for every pixel: the worst case
    #[arg(long, conflicts_with = "labels")]
    noise: bool,
    /// Size that label maps are resized to (nearest neighbour): WIDTHxHEIGHT, or one number for both
    #[arg(long, default_value = "256", value_name = "SIZE", value_parser = parse_size)]
    size: [usize; 2],
    /// Number of runs to measure, after a first one that is timed separately
    #[arg(long, default_value_t = 9, value_name = "N")]
    runs: usize,
    /// Number of CPU threads [default: one per logical core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    /// Options to synthesize with
    #[arg(long, value_enum, default_value_t = How::Fast)]
    how: How,
    /// Benchmark training steps of generator and discriminator instead, without the perceptual loss
    #[arg(long, conflicts_with_all = ["model", "how"])]
    train: bool,
    /// Batch size of a training step
    #[arg(long, default_value_t = 4, value_name = "N", requires = "train")]
    batch: usize,
    /// Base width of the generator [default: 64, as in the papers]
    #[arg(long, value_name = "N", conflicts_with = "model")]
    ngf: Option<usize>,
    #[command(flatten)]
    colors: ColorArgs,
}

/// Number of random label maps that are generated if none are given.
const RANDOM_MAPS: u64 = 4;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    /// The library's default options
    Fast,
    /// Low-memory mode, on the CPU
    LowMemory,
    /// 16-bit floats, on a GPU
    Half,
    /// The reference path, on Burn's operations
    Reference,
}

impl BenchArgs {
    /// Times synthesis, from label map to picture bytes, or training steps, and prints the median.
    ///
    /// # Errors
    ///
    /// Errors from reading files, from the device, and from synthesis or training.
    pub fn run(&self) -> Result<Ending> {
        if self.runs == 0 {
            return Err(Error::Argument("--runs 0: it must be at least 1".into()));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build();
        let pool = pool.map_err(|error| Error::Device(format!("threads: {error}")))?;
        pool.install(|| if self.train { self.time_steps() } else { self.time_pictures() })
    }

    fn time_pictures(&self) -> Result<Ending> {
        let started = Instant::now();
        let model = match &self.model {
            Some(path) => Model::open(path)?,
            None => self.random_model()?,
        };
        let loaded = started.elapsed().as_secs_f64();
        let maps = self.maps(model.classes())?;
        let device = Device::by_name(&self.device)?;
        let mut request = Request::new();
        if let StyleConfig::Regions { length, .. } = model.architecture().style() {
            let row = |class: u64| Style::random(class, length).map(|style| Some(style.to_rows()));
            let rows = (0..model.architecture().label_channels() as u64).map(row).collect::<Result<_>>()?;
            request = request.style(&Style::regions(length, rows)?);
        }
        let started = Instant::now();
        let options = SynthesizerOptions::new(&device);
        let options = match self.how {
            How::Fast => options,
            How::LowMemory => options.low_memory(),
            How::Half => options.precision(Precision::Half),
            How::Reference => options.reference(),
        };
        let mut synth = Synthesizer::new(model, options)?;
        let prepared = started.elapsed().as_secs_f64();
        let takes_collage = synth.manifest().architecture.takes_collage();
        let seconds = self.time(maps.iter().cycle(), |map| {
            if takes_collage {
                // Pixels that are missing take as long as others.
                request.collage = Some(Collage::empty(map.width(), map.height())?);
            }
            synth.run(map, &request).map(|_| ())
        })?;
        self.print(&synth.manifest().architecture.describe(), &device, &maps);
        if self.model.is_some() {
            println!("load     {loaded:.3} s");
        }
        println!("prepare  {prepared:.3} s");
        print_times("picture", seconds);
        Ok(Ending::Done)
    }

    fn time_steps(&self) -> Result<Ending> {
        let classes = ClassTable::shipped(&self.classes)?;
        let maps = self.maps(&classes)?;
        let device = Device::by_name(&self.device)?;
        // The papers' losses except the perceptual one, which needs VGG weights.
        let losses = LossWeights { perceptual: 0.0, ..LossWeights::default() };
        let (batch, size, ngf) = (self.batch, self.size, self.ngf());
        let mut recipe = Recipe { ngf, size, batch, losses, ..Recipe::default() };
        recipe.set_system(self.arch);
        recipe.upsampling = self.upsampling.unwrap_or_default();
        let mut trainer = Trainer::new(recipe, classes.channels(), &device)?;
        let [height, width] = self.size;
        let mut random = numbers(1);
        let images = (0..self.batch * 3 * height * width).map(|_| random(1 << 16) as f32 / f32::from(1u16 << 15) - 1.0);
        let images: Vec<f32> = images.collect();
        let values = self.batch * Collage::CHANNELS * height * width;
        let collages = trainer.architecture().takes_collage().then(|| vec![0.0; values]);
        let batch = |first: usize| {
            let labels = maps.iter().cycle().skip(first % maps.len()).take(self.batch).cloned().collect();
            Batch { labels, instances: None, images: images.clone(), styles: None, collages: collages.clone() }
        };
        let seconds = self.time((0..).step_by(self.batch), |first| {
            // Reading the losses waits until the device has finished the step.
            trainer.step(batch(first))?.read().map(|_| ())
        })?;
        self.print(&trainer.architecture().describe(), &device, &maps);
        print_times("step", seconds);
        Ok(Ending::Done)
    }

    /// A model with random weights.
    fn random_model(&self) -> Result<Model> {
        let classes = ClassTable::shipped(&self.classes)?;
        let mut architecture = self.arch.architecture(self.ngf(), classes.channels());
        match (&mut architecture, self.upsampling) {
            (Architecture::SpadeFamily(config), Some(upsampling)) => config.upsampling = upsampling,
            (_, Some(_)) => {
                return Err(Error::Argument("--upsampling: pix2pixHD, pix2pix, crn and sims do not have it".into()));
            }
            (_, None) => {}
        }
        let network = architecture.init(&mut Init::random(1, &burn::tensor::Device::flex()))?;
        let manifest = Manifest {
            format: FORMAT,
            name: "bench".into(),
            architecture,
            classes,
            statistics: Statistics::Running,
            native_size: self.size,
            value_range: [-1.0, 1.0],
            provenance: Provenance::default(),
            licence: "CC0-1.0".into(),
            presets: Vec::new(),
        };
        Model::from_network(network, manifest, Precision::Full)
    }

    fn ngf(&self) -> usize {
        self.ngf.unwrap_or(64)
    }

    /// Seconds of each run; the first one is the warm-up.
    fn time<T>(&self, inputs: impl Iterator<Item = T>, mut run: impl FnMut(T) -> Result<()>) -> Result<Vec<f64>> {
        let timed = |input| {
            let started = Instant::now();
            run(input).map(|()| started.elapsed().as_secs_f64())
        };
        inputs.take(self.runs + 1).map(timed).collect()
    }

    fn print(&self, network: &str, device: &Device, maps: &[LabelMap]) {
        let [height, width] = self.size;
        println!("network  {network}");
        println!("device   {}, {} threads", device.describe(), rayon::current_num_threads());
        let kept = if maps.len() > 1 { "" } else { "; results cached for it speed up pictures from the third on" };
        println!("maps     {} of {width}x{height}{kept}", maps.len());
    }

    fn maps(&self, table: &ClassTable) -> Result<Vec<LabelMap>> {
        let [height, width] = self.size;
        let Some(path) = &self.labels else {
            let classes: Vec<u16> = table.iter().map(|class| class.id).collect();
            let block = if self.noise { 1 } else { 16 };
            let columns = width.div_ceil(block);
            let map = |seed: u64| {
                let mut random = numbers(seed);
                let blocks: Vec<u16> =
                    (0..columns * height.div_ceil(block)).map(|_| classes[random(classes.len())]).collect();
                let id = |i: usize| blocks[i / width / block * columns + i % width / block];
                LabelMap::new(width, height, (0..width * height).map(id).collect())
            };
            // Several maps, so that results cached for one map do not speed up the next run.
            return (1..=RANDOM_MAPS).map(map).collect();
        };
        let files = if path.is_dir() { PictureFolder::list(path)?.pictures } else { vec![path.clone()] };
        if files.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", path.display())));
        }
        let read = |file: &PathBuf| {
            let map = LabelMap::read(file, table, self.colors.options()?)?.map()?;
            map.resize_centered(width, height)
        };
        files.iter().map(read).collect()
    }
}

/// Random numbers below a bound, good enough for benchmarks: the high bits of Knuth's linear congruential
/// generator.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

/// Prints the first time, then the median, minimum and maximum of the others.
fn print_times(what: &str, mut seconds: Vec<f64>) {
    let first = seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let last = seconds.len() - 1;
    let median = f64::midpoint(seconds[last / 2], seconds[last.div_ceil(2)]);
    println!("first    {first:.3} s");
    println!("{what:<8} {median:.3} s (median of {}; {:.3} to {:.3})", seconds.len(), seconds[0], seconds[last]);
    if let Some(peak) = peak_memory() {
        println!("memory   {peak:.2} GB peak");
    }
}

/// Peak memory of this process in GB, on systems that report it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok().map(|kibibytes: f64| kibibytes * 1024.0 / 1e9)
}
