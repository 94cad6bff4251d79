//! The names the papers' code gives to parameters: what model files use, so that checkpoints need no translation.

use std::collections::BTreeSet;

/// Blocks of the generator in the order they run.
const BLOCKS: [&str; 8] = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"];

/// Translates the paths of a module's parameters, all of them at once: whether a `weight` is a `weight_orig` shows in
/// its neighbours.
pub(crate) fn official_names(paths: &[String]) -> Vec<String> {
    let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    let spectral = |layer: &str| known.contains(format!("{layer}.spectral.u").as_str());
    paths.iter().map(|path| official_name(path, &spectral)).collect()
}

fn official_name(path: &str, spectral: &dyn Fn(&str) -> bool) -> String {
    let mut name = path.to_owned();
    let mut normed = false;
    if let Some(layer) = path.strip_suffix(".spectral.u") {
        (name, normed) = (format!("{layer}.weight_u"), true);
    } else if let Some(layer) = path.strip_suffix(".spectral.v") {
        (name, normed) = (format!("{layer}.weight_v"), true);
    } else if let Some(layer) = path.strip_suffix(".weight").filter(|layer| spectral(layer)) {
        (name, normed) = (format!("{layer}.weight_orig"), true);
    }
    let mut parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["blocks", index, ..] => {
            let block = index.parse().ok().and_then(|index: usize| BLOCKS.get(index));
            parts.splice(0..2, block.copied());
        }
        ["scales", scale, "layers", layer, "conv", rest @ ..] => {
            // A layer with instance norm is one more sequence deep; those are the layers with spectral norm.
            let deeper = if normed { ".0" } else { "" };
            return format!("discriminator_{scale}.model{layer}.0{deeper}.{}", rest.join("."));
        }
        _ => {}
    }
    parts
        .join(".")
        .replace(".modulation.Spade.mlp_shared.", ".mlp_shared.0.")
        .replace(".modulation.Spade.", ".")
        .replace(".modulation.Clade.", ".class_specified_affine.")
}
