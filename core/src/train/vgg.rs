//! VGG19 of the perceptual loss.

use std::path::Path;

use burn::tensor::Device;

use super::{PerceptualLayers, Recipe};
use crate::error::Result;
use crate::model::load;
use crate::network::{Vgg19, VggTaps};
use crate::nn::Init;
use crate::tensors::{Tensors, unwrapped};

/// Opens the weights that a recipe names, so that a file that cannot be used is found before any long work.
///
/// # Errors
///
/// As [`Trainer::new`](super::Trainer::new).
pub(crate) fn check_vgg(recipe: &Recipe) -> Result<()> {
    match &recipe.vgg {
        Some(path) => load_vgg(path, recipe.perceptual, Init::to_load(&Device::flex())).map(drop),
        None => Ok(()),
    }
}

/// Loads weights with the names of torchvision.
pub(super) fn load_vgg(path: &Path, layers: PerceptualLayers, mut init: Init) -> Result<Vgg19> {
    // Frozen: gradients flow through it, but its own are not computed.
    let taps = match layers {
        PerceptualLayers::Deeper => VggTaps::First,
        PerceptualLayers::Balanced => VggTaps::Second,
    };
    let what = "VGG19 for the perceptual loss (`vgg` of the recipe)";
    let tensors = Tensors::open(path).and_then(|tensors| unwrapped(tensors, |name| name.starts_with("features.")));
    let tensors = tensors.map_err(|error| error.context(what))?;
    let hint = "this is not torchvision's VGG19";
    load(Vgg19::new(&mut init, taps), &tensors)
        .map_err(|error| error.context(format!("{}: {hint}", path.display())).context(what))
}
