//! `semsynth import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Ending, class_table, inspect, parse_size, system_parser};
use crate::error::{Error, Result};
use crate::model::{ImportOptions, Precision, import_checkpoint};
use crate::network::{System, Upsampling};
use crate::tensors::Tensors;

/// Arguments of `semsynth import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The checkpoint of a generator: .pth of any `PyTorch` version, or .safetensors
    #[arg(value_name = "FILE")]
    checkpoint: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The system that trained it [default: as its tensors tell]
    #[arg(long, value_name = "NETWORK", value_parser = system_parser())]
    arch: Option<System>,
    /// Its classes: ade20k, ade20k-shifted, coco-stuff, cityscapes, celebamask-hq, cmp-facades, landscapes, or a table
    /// (.ron, .gpl, .json) [default: those of the data set with as many]
    #[arg(long, value_name = "NAME|FILE")]
    classes: Option<PathBuf>,
    /// The encoder of a SPADE with a latent vector (`latest_net_E.pth`)
    #[arg(long, value_name = "FILE")]
    encoder: Option<PathBuf>,
    /// Width and height it was trained at [default: those of the data set, or 256x256]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// The checkpoint's `num_upsampling_layers` [default: as its tensors or the data set tell]
    #[arg(long, value_enum, value_name = "HOW")]
    upsampling: Option<Layers>,
    /// Whether its last input channel is for instance edges [default: as its tensors or the data set tell]
    #[arg(long, value_name = "BOOL")]
    instance_edges: Option<bool>,
    /// What to call the model [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Licence of the weights, as their publisher states it
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// Store weights with 16 bits: half the size, about three decimal digits
    #[arg(long)]
    half: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Layers {
    /// Five doublings
    Normal,
    /// Six doublings
    More,
    /// Seven doublings, one more block
    Most,
}

impl ImportArgs {
    /// Reads the checkpoint, checks it, and writes the model file.
    ///
    /// # Errors
    ///
    /// As reading, checking and writing go.
    pub fn run(&self) -> Result<Ending> {
        let extension = self.output.extension().and_then(|text| text.to_str());
        if extension.is_none_or(|text| !text.eq_ignore_ascii_case("safetensors")) {
            let output = self.output.display();
            return Err(Error::Argument(format!("--output {output}: a model file ends with .safetensors")));
        }
        for input in [Some(&self.checkpoint), self.encoder.as_ref()].into_iter().flatten() {
            if let (Ok(input), Ok(output)) = (input.canonicalize(), self.output.canonicalize())
                && input == output
            {
                return Err(Error::Argument(
                    "the model would be written over the checkpoint; choose another --output".into(),
                ));
            }
        }
        let options = self.options()?;
        let generator = Tensors::open(&self.checkpoint)?;
        let encoder = self.encoder.as_ref().map(Tensors::open).transpose()?;
        let model = import_checkpoint(generator, encoder, &options)
            .map_err(|error| with_flags(error).context(self.checkpoint.display()))?;
        model.save(&self.output)?;
        print!("{}", inspect::summary(&model));
        println!("written to  {}", self.output.display());
        Ok(Ending::Done)
    }

    fn options(&self) -> Result<ImportOptions> {
        let stem = self.checkpoint.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(ImportOptions {
            system: self.arch,
            classes: self.classes.as_deref().map(class_table).transpose()?,
            instance_edges: self.instance_edges,
            upsampling: self.upsampling.map(|layers| match layers {
                Layers::Normal => Upsampling::Normal,
                Layers::More => Upsampling::More,
                Layers::Most => Upsampling::Most,
            }),
            size: self.size,
            name: self.name.clone().or(stem).unwrap_or_else(|| "imported".into()),
            licence: self.licence.clone(),
            precision: if self.half { Precision::Half } else { Precision::Full },
        })
    }
}

/// The flags of [`ImportOptions`], as far as errors speak of them.
const FLAGS: [(&str, &str); 6] = [
    ("system", "--arch"),
    ("classes", "--classes"),
    ("instance_edges", "--instance-edges"),
    ("upsampling", "--upsampling"),
    ("size", "--size WIDTHxHEIGHT"),
    ("encoder", "--encoder"),
];

/// Says which flags the options are that an error speaks of.
fn with_flags(error: Error) -> Error {
    let text = error.to_string();
    let named = FLAGS.iter().filter(|(option, _)| text.contains(&format!("`{option}`")));
    let named: Vec<String> = named.map(|(option, flag)| format!("{option} is {flag}")).collect();
    let add = |text: String| match named.as_slice() {
        [] => text,
        named => format!("{text}\n(options are flags: {})", named.join(", ")),
    };
    match error {
        Error::Argument(text) => Error::Argument(add(text)),
        Error::Model(text) => Error::Model(add(text)),
        other => other,
    }
}
