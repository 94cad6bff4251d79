//! `semsynth demo`.

use std::path::PathBuf;

use clap::Args;

use super::Ending;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::model::Model;
use crate::synth::{Request, Synthesizer};

/// Label maps in the program: the class table they are for, and the PNG.
const MAPS: [(&str, &[u8]); 2] = [
    ("cmp-facades", include_bytes!("../../models/demo/facades.png")),
    ("terrain", include_bytes!("../../models/demo/terrain.png")),
];

/// Arguments of `semsynth demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Folder for the pictures; it is created if it does not exist
    #[arg(short, long, value_name = "DIR", default_value = "semsynth-demo")]
    output: PathBuf,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
}

impl DemoArgs {
    /// Writes a picture for each built-in model and preset, and the label map it was made of.
    ///
    /// # Errors
    ///
    /// Errors from synthesizing and writing.
    pub fn run(&self) -> Result<Ending> {
        let device = Device::by_name(&self.device)?;
        std::fs::create_dir_all(&self.output).map_err(Error::io(&self.output))?;
        for name in Model::builtins() {
            let model = Model::builtin(name)?;
            let labels = labels(model.classes())
                .ok_or_else(|| Error::Data(format!("there is no label map for the classes of builtin:{name}")))??;
            let file = |part: &str| self.output.join(format!("{name}{part}.png"));
            labels.save(file("-labels"), model.classes())?;
            let mut synth = Synthesizer::new(&model, &device)?;
            let mut paint = |request: &Request, part: &str| -> Result<()> {
                synth.run(&labels, request)?.save(file(part))?;
                println!("{}", file(part).display());
                Ok(())
            };
            if model.presets().is_empty() {
                paint(&Request::new(), "")?;
            }
            for preset in model.presets() {
                let request = Request::new().style(&model.preset(&preset.name)?);
                paint(&request, &format!("-{}", preset.name))?;
            }
        }
        println!("each with its label map, in the same folder: change one, and paint it with `semsynth synth`");
        Ok(Ending::Done)
    }
}

/// The label map for these classes.
fn labels(classes: &ClassTable) -> Option<Result<LabelMap>> {
    let table = |name: &str| ClassTable::shipped(name).is_ok_and(|table| &table == classes);
    let (_, bytes) = MAPS.iter().find(|(name, _)| table(name))?;
    Some(LabelMap::ids_from_image_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_maps_fit_their_classes() {
        for (name, _) in MAPS {
            let classes = ClassTable::shipped(name).unwrap();
            let map = labels(&classes).unwrap().unwrap();
            map.check(&classes).unwrap();
            let mut seen: Vec<u16> = map.ids().collect();
            seen.sort_unstable();
            seen.dedup();
            assert!(seen.len() >= 10, "{name}: {seen:?}");
        }
    }
}
