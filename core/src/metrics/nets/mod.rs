//! Networks whose features measure pictures. Their weights come from files that the user supplies.

mod espnet;
mod inception;
mod layers;
mod lpips;
mod planes;

use std::path::Path;

use burn::module::Module;

use crate::error::{Error, Result};
use crate::model::{import, names, slots};
use crate::tensors::{Tensors, unwrapped};

pub(crate) use espnet::Scaling;
pub use espnet::{EspNet, Segmentation};
pub use inception::Inception;
pub use lpips::Lpips;

/// Opens a weights file; wrappers around the names are removed until there are some for which `is_top` holds. `what`
/// says what the file should be.
fn open(path: &Path, what: &str, is_top: impl Fn(&str) -> bool) -> Result<Tensors> {
    let read = || unwrapped(Tensors::open(path)?, &is_top);
    read().map_err(|error| match error {
        // A message about the file as a whole says enough with its path.
        Error::Model(text) => Error::Model(format!("{text} (it should be {what})")),
        other => other.context(format!("weights of {what}")),
    })
}

/// Fills a network from tensors; `translate` turns the path of a parameter into its name in the file.
fn load<M: Module>(network: M, tensors: &Tensors, translate: impl Fn(&str) -> String) -> Result<M> {
    let names = names(&slots(&network), |paths| paths.iter().map(|path| translate(path)).collect::<Vec<_>>());
    import(network, tensors, &names)
}
