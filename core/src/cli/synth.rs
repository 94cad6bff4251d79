//! `semsynth synth`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{ColorArgs, Ending};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files::picture_format;
use crate::label::LabelMap;
use crate::model::Model;
use crate::nn::Statistics;
use crate::synth::{Request, Synthesizer};

/// Arguments of `semsynth synth`.
#[derive(Args, Debug)]
pub struct SynthArgs {
    /// A model file, or `builtin:NAME`
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// A label map, or a folder of them (.png, .jpg): ids as indexed or grey PNG, or class colours
    #[arg(short, long, value_name = "FILE|DIR")]
    labels: PathBuf,
    /// The picture to write (.png, .jpg), or the folder for them; it is made if need be
    #[arg(short, long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Seed of everything random in the model (SPADE and CLADE have nothing random)
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Statistics that batch norms divide by [default: as the model says]
    #[arg(long, value_enum, value_name = "WHICH")]
    statistics: Option<Norms>,
    /// Where to compute: auto, or a name that `semsynth devices` lists
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    #[command(flatten)]
    colors: ColorArgs,
}

impl SynthArgs {
    /// Paints one picture, or one for each label map of a folder. A label map of a folder that cannot be used is named
    /// and passed over.
    ///
    /// # Errors
    ///
    /// As reading, synthesizing and writing go.
    pub fn run(&self) -> Result<Ending> {
        let jobs = self.jobs()?;
        let policy = self.colors.policy()?;
        let model = Model::open(&self.model)?;
        let device = Device::by_name(&self.device)?;
        let mut synth = Synthesizer::new(&model, &device)?;
        let mut request = Request::new().seed(self.seed);
        request.statistics = self.statistics.map(|statistics| match statistics {
            Norms::Running => Statistics::Running,
            Norms::Batch => Statistics::Batch,
        });
        let mut paint = |(labels, output): &(PathBuf, PathBuf)| {
            let (map, _) = LabelMap::read(labels, model.classes(), policy)?;
            synth.run(&map, &request)?.save(output)
        };
        if !self.labels.is_dir() {
            jobs.iter().try_for_each(paint)?;
            return Ok(Ending::Done);
        }
        std::fs::create_dir_all(&self.output).map_err(Error::io(&self.output))?;
        let mut failed = 0;
        for job in &jobs {
            if let Err(error) = paint(job) {
                eprintln!("error: {error}");
                failed += 1;
            }
        }
        println!("{} of {} painted into {}", jobs.len() - failed, jobs.len(), self.output.display());
        Ok(if failed == 0 { Ending::Done } else { Ending::Incomplete })
    }

    /// Which label map becomes which picture. No label map may be written over, and no picture twice.
    fn jobs(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let folder = self.labels.is_dir();
        let maps = if folder { label_maps(&self.labels)? } else { vec![self.labels.clone()] };
        if maps.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", self.labels.display())));
        }
        let mut jobs: Vec<(PathBuf, PathBuf)> = Vec::with_capacity(maps.len());
        for map in maps {
            let output = match map.with_extension("png").file_name() {
                Some(name) if folder || self.output.is_dir() => self.output.join(name),
                _ => self.output.clone(),
            };
            picture_format(&output)?;
            if let (Ok(input), Ok(output)) = (map.canonicalize(), output.canonicalize())
                && input == output
            {
                return Err(Error::Argument(format!(
                    "the picture of {} would be written over its label map; choose another --output",
                    map.display()
                )));
            }
            if let Some((other, _)) = jobs.iter().find(|(_, known)| *known == output) {
                let (a, b) = (other.display(), map.display());
                return Err(Error::Argument(format!("{a} and {b} would both be painted into {}", output.display())));
            }
            jobs.push((map, output));
        }
        Ok(jobs)
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Norms {
    /// The running averages of training
    Running,
    /// Those of the picture at hand, as while training
    Batch,
}

/// The pictures of a folder, by name.
fn label_maps(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut maps = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let extension = path.extension().and_then(|text| text.to_str()).map(str::to_ascii_lowercase);
        if path.is_file() && matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
            maps.push(path);
        }
    }
    maps.sort();
    Ok(maps)
}
