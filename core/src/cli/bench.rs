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
use crate::nn::{Init, Statistics};
use crate::rng::Rng;
use crate::synth::{Request, Style, Synthesizer};

/// Arguments of `semsynth bench`.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// A network of the papers at its official width, with random weights
    #[arg(long, value_enum, default_value_t = Net::CladeFacades, conflicts_with = "model")]
    net: Net,
    /// A model instead
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// A label map, or a folder of them, painted in turn [default: blocks of 16 pixels of random classes]
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
    /// Paint by the definition of the network, without kernels of our own
    #[arg(long)]
    definition: bool,
    #[command(flatten)]
    colors: ColorArgs,
}

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

impl BenchArgs {
    /// Times pictures and prints the median, from label map to bytes.
    ///
    /// # Errors
    ///
    /// As reading and painting go.
    pub fn run(&self) -> Result<Ending> {
        if self.runs == 0 {
            return Err(Error::Argument("--runs 0: there must be one at least".into()));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads.unwrap_or(0)).build();
        let pool = pool.map_err(|error| Error::Device(format!("threads: {error}")))?;
        pool.install(|| self.time())
    }

    fn time(&self) -> Result<Ending> {
        let model = match &self.model {
            Some(path) => Model::open(path)?,
            None => self.net.model()?,
        };
        let maps = self.maps(&model)?;
        let device = Device::by_name(&self.device)?;
        let mut request = Request::new();
        if let StyleConfig::Regions { length, .. } = model.architecture().style() {
            let row = |class: u64| Style::random(class, length).map(|style| Some(style.to_rows()));
            let rows = (0..model.architecture().label_channels() as u64).map(row).collect::<Result<_>>()?;
            request = request.style(&Style::regions(length, rows)?);
        }
        let started = Instant::now();
        let mut synth = if self.definition {
            Synthesizer::by_definition(&model, &device)?
        } else {
            Synthesizer::new(&model, &device)?
        };
        let prepared = started.elapsed().as_secs_f64();
        let mut seconds = Vec::with_capacity(self.runs);
        for map in maps.iter().cycle().take(self.runs + 1) {
            let started = Instant::now();
            synth.run(map, &request)?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        let first = seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        let at = |share: f64| seconds[((seconds.len() - 1) as f64 * share).round() as usize];
        let [height, width] = self.size;
        println!("network  {}", model.architecture().describe());
        println!("device   {}, {} threads", device.describe(), rayon::current_num_threads());
        println!("maps     {} of {width}x{height}", maps.len());
        println!("prepare  {prepared:.3} s");
        println!("first    {first:.3} s");
        println!("picture  {:.3} s (median of {}; {:.3} to {:.3})", at(0.5), self.runs, at(0.0), at(1.0));
        if let Some(peak) = peak_memory() {
            println!("memory   {peak:.2} GB at most, with the model");
        }
        Ok(Ending::Done)
    }

    fn maps(&self, model: &Model) -> Result<Vec<LabelMap>> {
        let [height, width] = self.size;
        let Some(path) = &self.labels else {
            let classes: Vec<u16> = model.classes().iter().map(|class| class.id).collect();
            let block = if self.noise { 1 } else { 16 };
            let mut rng = Rng::new(1);
            let columns = width.div_ceil(block);
            let blocks: Vec<u16> =
                (0..columns * height.div_ceil(block)).map(|_| classes[rng.below(classes.len())]).collect();
            let id = |i: usize| blocks[i / width / block * columns + i % width / block];
            return Ok(vec![LabelMap::new(width, height, (0..width * height).map(id).collect())?]);
        };
        let files = if path.is_dir() { super::synth::label_maps(path)? } else { vec![path.clone()] };
        if files.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", path.display())));
        }
        let read = |file: &PathBuf| {
            let (map, _) = LabelMap::read(file, model.classes(), self.colors.policy()?)?;
            map.resize_centered(width, height)
        };
        files.iter().map(read).collect()
    }
}

impl Net {
    fn model(self) -> Result<Model> {
        let config = match self {
            Self::SpadeAde20k => GeneratorConfig::spade(64, 151),
            Self::SpadeFacades => GeneratorConfig::spade(64, 12),
            Self::CladeAde20k => GeneratorConfig::clade(64, 151),
            Self::CladeFacades => GeneratorConfig::clade(64, 12),
            Self::SeanCelebamask => GeneratorConfig::sean(64, 19),
        };
        let class = |id: usize| Class {
            id: id as u16,
            name: format!("class {id}"),
            color: [id as u8, (id >> 8) as u8, 1],
            dont_care: false,
        };
        let classes = ClassTable::new((0..config.label_channels).map(class).collect())?;
        let architecture = Architecture::SpadeFamily(config);
        let network = architecture.init(&mut Init::random(1, &burn::tensor::Device::flex()))?;
        let manifest = Manifest {
            format: FORMAT,
            name: "bench".into(),
            architecture,
            classes,
            statistics: Statistics::Running,
            native_size: [256, 256],
            value_range: [-1.0, 1.0],
            provenance: Provenance::default(),
            licence: "CC0-1.0".into(),
        };
        Model::from_network(network, manifest, Precision::Full)
    }
}

/// The most memory this process ever had, in GB, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok().map(|kilobytes: f64| kilobytes / 1e6)
}
