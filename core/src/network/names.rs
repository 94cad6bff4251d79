//! Parameter names of the papers' code. Model files use them, so checkpoints need no translation.

use std::collections::BTreeSet;

use super::{conv_encoder, crn, discriminator, feature_encoder, generator, pix2pix, pix2pixhd, region_encoder, vgg};
use crate::error::{Error, Result};

/// Whether a tensor of an official checkpoint is never read: batch counters, and the statistics that SEAN's code
/// creates for the SPADE inside its norms and does not use.
pub fn is_unused(name: &str) -> bool {
    name.ends_with(".num_batches_tracked") || name.contains(".Spade.param_free_norm.")
}

/// Translates the paths of all parameters of a module. It needs all of them at once: whether a `weight` is called
/// `weight_orig`, and a layer's position in a sequence, depends on its neighbours.
///
/// # Errors
///
/// [`Error::Model`] for a parameter that belongs to no network of this library. Each network translates its own
/// paths, in its own file.
pub(crate) fn official_names(paths: &[String]) -> Result<Vec<String>> {
    let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let name = |path: &String| {
        official_name(path, &known).ok_or_else(|| Error::Model(format!("the parameter {path:?} has no official name")))
    };
    paths.iter().map(name).collect()
}

fn official_name(path: &str, known: &BTreeSet<&str>) -> Option<String> {
    let (layer, leaf) = path.rsplit_once('.')?;
    let (layer, leaf, spectral) = match (layer.strip_suffix(".spectral"), leaf) {
        (Some(layer), leaf) => (layer, format!("weight_{leaf}"), true),
        (None, "weight") if known.contains(format!("{layer}.spectral.u").as_str()) => {
            (layer, "weight_orig".to_owned(), true)
        }
        (None, leaf) => (layer, leaf.to_owned(), false),
    };
    let parts: Vec<&str> = layer.split('.').collect();
    let name = match parts.as_slice() {
        ["generator", "SpadeFamily", rest @ ..] => generator::official_name(rest, known),
        ["generator", "Pix2PixHd", rest @ ..] => pix2pixhd::official_name(rest, known),
        ["generator", "Pix2Pix", rest @ ..] => pix2pix::official_name(rest, known),
        ["generator", "Crn", rest @ ..] => crn::official_name(rest),
        ["encoder", "Region", rest @ ..] => region_encoder::official_name(rest),
        ["encoder", "Features", rest @ ..] => feature_encoder::official_name(rest),
        ["encoder", "Conv", rest @ ..] => conv_encoder::official_name(rest),
        // A part of a network on its own, or a single layer.
        parts => discriminator::official_name(parts, spectral)
            .or_else(|| generator::official_name(parts, known))
            .or_else(|| region_encoder::official_name(parts))
            .or_else(|| conv_encoder::official_name(parts))
            .or_else(|| vgg::official_name(parts))
            .or_else(|| if let [layer] = parts { Some((*layer).to_owned()) } else { None }),
    }?;
    Some(format!("{name}.{leaf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_nobody_names_is_an_error() {
        let named = |path: &str| official_names(&[path.to_owned()]);
        assert_eq!(named("generator.SpadeFamily.conv_img.weight").unwrap(), ["conv_img.weight"]);
        for path in
            ["generator.SpadeFamily.blocks.0.norm_0.gate.weight", "generator.New.fc.weight", "encoder.Conv.x.bias"]
        {
            let message = named(path).unwrap_err().to_string();
            assert!(message.contains(path), "{message}");
        }
    }
}
