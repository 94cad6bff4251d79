//! `--check`: what the program finds, and what is wrong.

use semsynth::Model;

use crate::install::{Environment, installed};
use crate::{api, paint, plugin};

/// # Errors
///
/// What was found, followed by what is wrong.
pub(crate) fn check(environment: &Environment) -> Result<String, String> {
    let mut said = vec![format!("plug-in-semsynth {}", env!("CARGO_PKG_VERSION"))];
    let mut wrong = Vec::new();
    match api::load().and_then(|()| Ok((plugin::check_layout()?, api::version()?))) {
        Ok(((_, query), version)) => {
            said.push(format!("libgimp {version}, plug-in classes of {} bytes as expected", query.class_size));
        }
        Err(error) => wrong.push(format!(
            "{error}. GIMP 3 is not where the system looks for libraries. That is usual with Flatpak, Snap, AppImage, \
             Windows and macOS, where only GIMP itself finds them: look at Filters > Render in GIMP"
        )),
    }
    if wrong.is_empty()
        && let Err(error) = api::load_ui()
    {
        wrong.push(format!("{error}. Dialogs cannot be shown"));
    }
    match paint::device() {
        Ok(device) => said.push(format!("device: {}", device.describe())),
        Err(error) => wrong.push(error),
    }
    for name in Model::builtins() {
        match Model::builtin(name) {
            Ok(model) => {
                let (classes, network) = (model.classes().len(), model.architecture().describe());
                said.push(format!("model {name}: {network}, {classes} classes"));
            }
            Err(error) => wrong.push(format!("model {name}: {error}")),
        }
    }
    let profiles = installed(environment);
    if profiles.is_empty() {
        wrong.push("there is no GIMP 3 profile: start GIMP once, or run with --install".into());
    }
    for line in profiles {
        if line.ends_with(": installed") { said.push(format!("profile {line}")) } else { wrong.push(line) }
    }
    if wrong.is_empty() {
        said.push("all is well\n".into());
        return Ok(said.join("\n"));
    }
    Err(format!("{}\nwrong:\n  {}", said.join("\n"), wrong.join("\n  ")))
}
