//! `semsynth models`.

use clap::Args;

use super::Ending;
use crate::error::Result;
use crate::model::Model;

/// Arguments of `semsynth models`.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    /// Only the names, one per line
    #[arg(long)]
    names: bool,
}

impl ModelsArgs {
    /// Lists the models that are built in.
    ///
    /// # Errors
    ///
    /// Errors from reading a model.
    pub fn run(&self) -> Result<Ending> {
        for name in Model::builtins() {
            if self.names {
                println!("{name}");
            } else {
                print!("{}", describe(&Model::builtin(name)?));
            }
        }
        Ok(Ending::Done)
    }
}

/// A model: classes, presets, licence.
fn describe(model: &Model) -> String {
    let manifest = model.manifest();
    let classes: Vec<&str> = manifest.classes.iter().map(|class| class.name.as_str()).collect();
    let mut lines = vec![
        format!("builtin:{}", manifest.name),
        format!("  network  {}", manifest.architecture.describe()),
        format!("  licence  {}", manifest.licence),
        format!("  classes  {}", classes.join(", ")),
    ];
    if manifest.presets.is_empty() {
        lines.push("  presets  none".to_owned());
    } else {
        lines.push("  presets".to_owned());
        let preset = |preset: &crate::model::Preset| format!("    {:<12} {}", preset.name, preset.summary);
        lines.extend(manifest.presets.iter().map(preset));
    }
    lines.join("\n") + "\n"
}
