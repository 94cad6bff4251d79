//! `semsynth synth`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{ColorArgs, Ending};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::model::Model;
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
        let model = Model::open(&self.model)?;
        let device = Device::by_name(&self.device)?;
        let mut synth = Synthesizer::new(&model, &device)?;
        if !self.labels.is_dir() {
            if self.output.is_dir() {
                let name = self.labels.with_extension("png");
                let name = name.file_name().ok_or_else(|| Error::Argument("the label map has no file name".into()))?;
                self.paint(&mut synth, &self.labels, &self.output.join(name))?;
            } else {
                self.paint(&mut synth, &self.labels, &self.output)?;
            }
            return Ok(Ending::Done);
        }
        let maps = label_maps(&self.labels)?;
        if maps.is_empty() {
            return Err(Error::Data(format!("{}: no .png or .jpg in this folder", self.labels.display())));
        }
        std::fs::create_dir_all(&self.output).map_err(Error::io(&self.output))?;
        let mut failed = 0;
        for map in &maps {
            let name = map.with_extension("png");
            let Some(name) = name.file_name() else { continue };
            if let Err(error) = self.paint(&mut synth, map, &self.output.join(name)) {
                eprintln!("error: {error}");
                failed += 1;
            }
        }
        println!("{} of {} painted into {}", maps.len() - failed, maps.len(), self.output.display());
        Ok(if failed == 0 { Ending::Done } else { Ending::Incomplete })
    }

    fn paint(&self, synth: &mut Synthesizer, labels: &Path, output: &Path) -> Result<()> {
        let (map, _) = LabelMap::read(labels, synth.model().classes(), self.colors.policy())?;
        synth.run(&map, &Request::new().seed(self.seed))?.save(output)
    }
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
