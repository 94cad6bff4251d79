//! `semsynth import`.

use std::path::PathBuf;

use clap::Args;

use super::{Ending, class_table, inspect, parse_size, system_parser, upsampling_parser};
use crate::error::{Error, Result};
use crate::model::{ImportOptions, Precision, import_checkpoint};
use crate::network::{System, Upsampling};
use crate::tensors::Tensors;

/// Arguments of `semsynth import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Checkpoint of a generator: .pth from any `PyTorch` version, or .safetensors
    #[arg(value_name = "FILE")]
    checkpoint: PathBuf,
    /// Model file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Network of the checkpoint [default: detected from its tensors]
    #[arg(long, value_name = "NETWORK", value_parser = system_parser())]
    arch: Option<System>,
    /// Class table: ade20k, ade20k-shifted, coco-stuff, cityscapes, celebamask-hq, cihp, cmp-facades, landscapes,
    /// terrain, or a file (.ron, .gpl, .json) [default: that of the known data set with this number of classes]
    #[arg(long, value_name = "NAME|FILE")]
    classes: Option<PathBuf>,
    /// Checkpoint of the encoder of a SPADE model with a latent vector (`latest_net_E.pth`)
    #[arg(long, value_name = "FILE")]
    encoder: Option<PathBuf>,
    /// Size the network was trained at [default: the data set's usual size, or 256x256]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    size: Option<[usize; 2]>,
    /// The checkpoint's `num_upsampling_layers` [default: detected from the tensors or the data set]
    #[arg(long, value_name = "HOW", value_parser = upsampling_parser())]
    upsampling: Option<Upsampling>,
    /// Whether the last input channel holds instance edges, true or false [default: detected from the tensors or
    /// the data set]
    #[arg(long, value_name = "BOOL")]
    instance_edges: Option<bool>,
    /// Name of the model [default: the file name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Licence of the weights, as stated by their publisher
    #[arg(long, value_name = "SPDX")]
    licence: Option<String>,
    /// Store weights as 16-bit floats: half the size, about three decimal digits
    #[arg(long)]
    half: bool,
}

impl ImportArgs {
    /// Reads and checks the checkpoint, and writes the model file.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if flags contradict each other or the checkpoint; otherwise errors from reading,
    /// checking and writing.
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
            upsampling: self.upsampling,
            size: self.size,
            name: self.name.clone().or(stem).unwrap_or_else(|| "imported".into()),
            licence: self.licence.clone(),
            precision: if self.half { Precision::Half } else { Precision::Full },
        })
    }
}

/// The options of [`ImportOptions`] that errors can mention, and their flags.
const FLAGS: [(&str, &str); 6] = [
    ("system", "--arch"),
    ("classes", "--classes"),
    ("instance_edges", "--instance-edges"),
    ("upsampling", "--upsampling"),
    ("size", "--size WIDTHxHEIGHT"),
    ("encoder", "--encoder"),
];

/// Adds the flags of the options that an error mentions.
fn with_flags(error: Error) -> Error {
    let text = error.to_string();
    let named = FLAGS.iter().filter(|(option, _)| text.contains(&format!("`{option}`")));
    let named: Vec<String> = named.map(|(option, flag)| format!("{option} is {flag}")).collect();
    let add = |text: String| match named.as_slice() {
        [] => text,
        named => format!("{text}\n(on the command line, {})", named.join(", ")),
    };
    match error {
        Error::Argument(text) => Error::Argument(add(text)),
        Error::Model(text) => Error::Model(add(text)),
        other => other,
    }
}
