//! The weights of the perceptual loss.

use super::{Recipe, Trainer};
use crate::device::Device;
use crate::error::Result;

/// Opens the weights of VGG19 that a recipe names, so that a file that cannot be used is found before any long work.
///
/// # Errors
///
/// As [`Trainer::new`].
pub(crate) fn check_vgg(recipe: &Recipe) -> Result<()> {
    let Some(file) = &recipe.vgg else { return Ok(()) };
    // A trainer of the smallest networks opens them as any other.
    let small = Recipe { vgg: Some(file.clone()), perceptual: recipe.perceptual, ngf: 2, ..Recipe::quick() };
    let what = "VGG19 for the perceptual loss (`vgg` of the recipe)";
    Trainer::new(small, 1, &Device::cpu()).map(drop).map_err(|error| error.context(what))
}
