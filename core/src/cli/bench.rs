//! `semsynth bench`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};

use super::{ColorArgs, Ending, parse_size};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{Class, ClassTable, LabelMap};
use crate::model::{FORMAT, Manifest, Model, Precision, Provenance};
use crate::network::{Architecture, GeneratorConfig, StyleConfig};
use crate::nn::modulation::ModulationKind;
use crate::nn::{Init, Statistics};
use crate::rng::Rng;
use crate::synth::{Request, Style, Synthesizer};
use crate::train::{Batch, LossWeights, Recipe, Trainer};

/// Arguments of `semsynth bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// A network of the papers at its official width, with random weights
    #[arg(long, value_enum, default_value_t = Net::CladeFacades, conflicts_with = "model")]
    net: Net,
    /// A model instead
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// A label map, or a folder of them, painted in turn [default: four of blocks of 16 pixels of random classes]
    #[arg(short, long, value_name = "FILE|DIR")]
    labels: Option<PathBuf>,
    /// Every pixel another random class: the worst case
    #[arg(long, conflicts_with = "labels")]
    noise: bool,
    /// Size that label maps are brought to, by the nearest pixel
    #[arg(long, default_value = "256", value_name = "SIZE", value_parser = parse_size)]
    size: [usize; 2],
    /// Pictures to time, after the first
    #[arg(long, default_value_t = 9, value_name = "N")]
    runs: usize,
    /// Processor threads [default: as many as the machine has]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where to compute: auto, or a name that `semsynth devices` lists
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    /// How to paint
    #[arg(long, value_enum, default_value_t = How::Fast)]
    how: How,
    /// Time training steps instead: generator and discriminator, without a perceptual loss
    #[arg(long, conflicts_with_all = ["model", "how"])]
    train: bool,
    /// Pictures a training step sees
    #[arg(long, default_value_t = 4, value_name = "N", requires = "train")]
    batch: usize,
    /// Width of the generator [default: 64, as in the papers]
    #[arg(long, value_name = "N", conflicts_with = "model")]
    ngf: Option<usize>,
    #[command(flatten)]
    colors: ColorArgs,
}

/// Label maps that are painted in turn where none are given.
const RANDOM_MAPS: u64 = 4;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Net {
    /// 151 classes
    SpadeAde20k,
    /// 12 classes
    SpadeFacades,
    /// 151 classes
    CladeAde20k,
    /// 12 classes
    CladeFacades,
    /// 19 classes
    SeanCelebamask,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum How {
    /// By kernels of our own
    Fast,
    /// The same in less memory, on the CPU
    Compact,
    /// On a GPU, with 16-bit floats
    Half,
    /// By the definition of the network, operation by operation
    Definition,
}

impl BenchArgs {
    /// Times pictures, from label map to bytes, or training steps, and prints the median.
    ///
    /// # Errors
    ///
    /// As reading, painting and training go.
    pub fn run(&self) -> Result<Ending> {
        if self.runs == 0 {
            return Err(Error::Argument("--runs 0: there must be one at least".into()));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build();
        let pool = pool.map_err(|error| Error::Device(format!("threads: {error}")))?;
        pool.install(|| if self.train { self.time_steps() } else { self.time_pictures() })
    }

    fn time_pictures(&self) -> Result<Ending> {
        let started = Instant::now();
        let model = match &self.model {
            Some(path) => Model::open(path)?,
            None => self.net.model(self.ngf(), self.size)?,
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
        let mut synth = match self.how {
            How::Fast => Synthesizer::new(&model, &device)?,
            How::Compact => Synthesizer::compact(model, &device)?,
            How::Half => Synthesizer::half(&model, &device)?,
            How::Definition => Synthesizer::by_definition(&model, &device)?,
        };
        let prepared = started.elapsed().as_secs_f64();
        let seconds = self.time(maps.iter().cycle(), |map| synth.run(map, &request).map(|_| ()))?;
        self.print(&synth.manifest().architecture.describe(), &device, &maps);
        if self.model.is_some() {
            println!("load     {loaded:.3} s");
        }
        println!("prepare  {prepared:.3} s");
        print_times("picture", seconds);
        Ok(Ending::Done)
    }

    fn time_steps(&self) -> Result<Ending> {
        let classes = self.net.classes()?;
        let maps = self.maps(&classes)?;
        let device = Device::by_name(&self.device)?;
        let mut recipe = self.net.recipe(self.ngf());
        (recipe.batch, recipe.size) = (self.batch, self.size);
        let mut trainer = Trainer::new(recipe, classes.len(), &device)?;
        let [height, width] = self.size;
        let mut rng = Rng::new(1);
        let images: Vec<f32> = (0..self.batch * 3 * height * width).map(|_| 2.0 * rng.uniform() as f32 - 1.0).collect();
        let batch = |first: usize| {
            let labels = maps.iter().cycle().skip(first % maps.len()).take(self.batch).cloned().collect();
            Batch { labels, images: images.clone() }
        };
        let seconds = self.time((0..).step_by(self.batch), |first| {
            // Reading the losses waits for the step.
            trainer.step(batch(first))?.read().map(|_| ())
        })?;
        self.print(&trainer.architecture().describe(), &device, &maps);
        print_times("step", seconds);
        Ok(Ending::Done)
    }

    fn ngf(&self) -> usize {
        self.ngf.unwrap_or(64)
    }

    /// Seconds of each run, after one more that comes first.
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
        let remembered = if maps.len() > 1 { "" } else { "; what is remembered of it helps from the third picture on" };
        println!("maps     {} of {width}x{height}{remembered}", maps.len());
    }

    fn maps(&self, table: &ClassTable) -> Result<Vec<LabelMap>> {
        let [height, width] = self.size;
        let Some(path) = &self.labels else {
            let classes: Vec<u16> = table.iter().map(|class| class.id).collect();
            let block = if self.noise { 1 } else { 16 };
            let columns = width.div_ceil(block);
            let map = |seed: u64| {
                let mut rng = Rng::new(seed);
                let blocks: Vec<u16> =
                    (0..columns * height.div_ceil(block)).map(|_| classes[rng.below(classes.len())]).collect();
                let id = |i: usize| blocks[i / width / block * columns + i % width / block];
                LabelMap::new(width, height, (0..width * height).map(id).collect())
            };
            // What is remembered of a map is of no use for the next.
            return (1..=RANDOM_MAPS).map(map).collect();
        };
        let files = if path.is_dir() { super::synth::label_maps(path)? } else { vec![path.clone()] };
        if files.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", path.display())));
        }
        let read = |file: &PathBuf| {
            let map = LabelMap::read(file, table, self.colors.policy()?)?.map()?;
            map.resize_centered(width, height)
        };
        files.iter().map(read).collect()
    }
}

impl Net {
    fn label_channels(self) -> usize {
        match self {
            Self::SpadeAde20k | Self::CladeAde20k => 151,
            Self::SpadeFacades | Self::CladeFacades => 12,
            Self::SeanCelebamask => 19,
        }
    }

    fn modulation(self) -> ModulationKind {
        match self {
            Self::SpadeAde20k | Self::SpadeFacades => ModulationKind::Spade { kernel: 3 },
            Self::CladeAde20k | Self::CladeFacades => ModulationKind::Clade,
            Self::SeanCelebamask => ModulationKind::Sean,
        }
    }

    fn classes(self) -> Result<ClassTable> {
        let class = |id: usize| Class {
            id: id as u16,
            name: format!("class {id}"),
            color: [id as u8, (id >> 8) as u8, 1],
            dont_care: false,
        };
        ClassTable::new((0..self.label_channels()).map(class).collect())
    }

    /// A recipe for networks like the papers', without the perceptual loss, which needs weights.
    fn recipe(self, ngf: usize) -> Recipe {
        let losses = LossWeights { perceptual: 0.0, ..LossWeights::default() };
        Recipe { modulation: self.modulation(), ngf, losses, ..Recipe::default() }
    }

    fn model(self, ngf: usize, native_size: [usize; 2]) -> Result<Model> {
        let config = match self.modulation() {
            ModulationKind::Spade { .. } => GeneratorConfig::spade(ngf, self.label_channels()),
            ModulationKind::Sean => GeneratorConfig::sean(ngf, self.label_channels()),
            ModulationKind::Clade | ModulationKind::CladeIcpe => GeneratorConfig::clade(ngf, self.label_channels()),
        };
        let architecture = Architecture::SpadeFamily(config);
        let network = architecture.init(&mut Init::random(1, &burn::tensor::Device::flex()))?;
        let manifest = Manifest {
            format: FORMAT,
            name: "bench".into(),
            architecture,
            classes: self.classes()?,
            statistics: Statistics::Running,
            native_size,
            value_range: [-1.0, 1.0],
            provenance: Provenance::default(),
            licence: "CC0-1.0".into(),
        };
        Model::from_network(network, manifest, Precision::Full)
    }
}

/// Prints the first time, and median, least and most of the others.
fn print_times(what: &str, mut seconds: Vec<f64>) {
    let first = seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let last = seconds.len() - 1;
    let median = f64::midpoint(seconds[last / 2], seconds[last.div_ceil(2)]);
    println!("first    {first:.3} s");
    println!("{what:<8} {median:.3} s (median of {}; {:.3} to {:.3})", seconds.len(), seconds[0], seconds[last]);
    if let Some(peak) = peak_memory() {
        println!("memory   {peak:.2} GB at most");
    }
}

/// The most memory this process ever had, in GB, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok().map(|kibibytes: f64| kibibytes * 1024.0 / 1e9)
}
