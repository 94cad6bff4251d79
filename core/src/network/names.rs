//! The names the papers' code gives to parameters: what model files use, so that checkpoints need no translation.

use std::collections::BTreeSet;

/// Blocks of the generator in the order they run.
pub(crate) const BLOCKS: [&str; 8] = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"];

/// Whether a tensor of an official checkpoint is one that no network ever reads: counters of batches, and the statistics
/// that SEAN's code makes for the SPADE inside its norms and then does without.
pub fn is_unused(name: &str) -> bool {
    name.ends_with(".num_batches_tracked") || name.contains(".Spade.param_free_norm.")
}

/// Translates the paths of a module's parameters, all of them at once: whether a `weight` is a `weight_orig`, and where in
/// a sequence a layer stands, shows in its neighbours.
pub(crate) fn official_names(paths: &[String]) -> Vec<String> {
    let known: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    paths.iter().map(|path| official_name(path, &known)).collect()
}

fn official_name(path: &str, known: &BTreeSet<&str>) -> String {
    let (layer, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let (layer, leaf, spectral) = match (layer.strip_suffix(".spectral"), leaf) {
        (Some(layer), leaf) => (layer, format!("weight_{leaf}"), true),
        (None, "weight") if known.contains(format!("{layer}.spectral.u").as_str()) => {
            (layer, "weight_orig".to_owned(), true)
        }
        (None, leaf) => (layer, leaf.to_owned(), false),
    };
    // Whole networks call their parts by kind, lone parts are what they are.
    let parts: Vec<&str> = layer.split('.').collect();
    let name = match parts.as_slice() {
        ["generator", "SpadeFamily", rest @ ..] => spade_family(rest, known),
        ["generator", "Pix2PixHd", rest @ ..] => pix2pixhd(rest, known),
        ["generator", "Pix2Pix", rest @ ..] => pix2pix(rest, known),
        ["encoder", "Region", rest @ ..] => region_encoder(rest),
        ["encoder", "Conv", rest @ ..] => conv_encoder(rest),
        ["scales", scale, "layers", index, "conv"] => {
            // A layer with instance norm is one more sequence deep; those are the layers with spectral norm.
            let deeper = if spectral { ".0" } else { "" };
            format!("discriminator_{scale}.model{index}.0{deeper}")
        }
        parts => spade_family(parts, known),
    };
    if name.is_empty() { leaf } else { format!("{name}.{leaf}") }
}

fn spade_family(parts: &[&str], known: &BTreeSet<&str>) -> String {
    match parts {
        ["fc", "Labels" | "Latent"] => "fc".into(),
        ["blocks", index, rest @ ..] => {
            let block = index.parse().ok().and_then(|index: usize| BLOCKS.get(index)).copied().unwrap_or(index);
            // SEAN's code calls its norms ACE.
            let sean = |norm: &str| {
                let places = ["generator.SpadeFamily.", ""];
                places.iter().any(|place| {
                    known.contains(format!("{place}blocks.{index}.{norm}.modulation.Sean.noise_var").as_str())
                })
            };
            match rest {
                [norm, rest @ ..] if norm.starts_with("norm_") => {
                    let name = if sean(norm) { norm.replace("norm_", "ace_") } else { (*norm).to_owned() };
                    match modulated_norm(rest) {
                        rest if rest.is_empty() => format!("{block}.{name}"),
                        rest => format!("{block}.{name}.{rest}"),
                    }
                }
                rest => format!("{block}.{}", rest.join(".")),
            }
        }
        parts => parts.join("."),
    }
}

fn modulated_norm(parts: &[&str]) -> String {
    match parts {
        ["modulation", "Spade", rest @ ..] => spade(rest),
        ["modulation", "Clade"] => "class_specified_affine".into(),
        ["modulation", "Clade", "icpe", conv] => format!("class_specified_affine.{conv}"),
        ["modulation", "Clade", "inst_conv"] => "inst_conv".into(),
        ["modulation", "Sean"] => String::new(),
        ["modulation", "Sean", "spade", rest @ ..] => format!("Spade.{}", spade(rest)),
        ["modulation", "Sean", "style", "fc_mu", class] => format!("fc_mu{class}"),
        ["modulation", "Sean", "style", conv] => (*conv).into(),
        parts => parts.join("."),
    }
}

fn spade(parts: &[&str]) -> String {
    match parts {
        ["mlp_shared"] => "mlp_shared.0".into(),
        parts => parts.join("."),
    }
}

fn region_encoder(parts: &[&str]) -> String {
    let index = match parts {
        ["first"] => "1",
        ["down", "0"] => "4",
        ["down", "1"] => "7",
        ["up"] => "10",
        ["last"] => "14",
        parts => return parts.join("."),
    };
    format!("Zencoder.model.{index}")
}

fn conv_encoder(parts: &[&str]) -> String {
    match parts {
        ["layers", index] => {
            let number = index.parse().map_or(0, |index: usize| index + 1);
            format!("layer{number}.0")
        }
        parts => parts.join("."),
    }
}

/// Positions in long sequences. pix2pixHD's own has convolution, norm and activation as three entries; that of SPADE's
/// code, told by its lack of biases, has convolution and norm as one.
fn pix2pixhd(parts: &[&str], known: &BTreeSet<&str>) -> String {
    let there = |path: String| known.contains(format!("generator.Pix2PixHd.{path}").as_str());
    let plus_plus = !there("trunk.first.bias".into());
    let count = |path: &dyn Fn(usize) -> String| (0..known.len()).take_while(|&index| there(path(index))).count();
    let local = there("local.first.weight".into());
    let (step, inner) = if plus_plus { (2, ".0") } else { (3, "") };
    let index = |text: &str| text.parse().unwrap_or(0usize);
    let in_block = |conv: &str| match (conv, plus_plus) {
        ("conv_0", _) => 1,
        (_, true) => 4,
        (_, false) => 5,
    };
    // A pad, then the first layer.
    let downs = 1 + step;
    let down = count(&|index| format!("trunk.down.{index}.weight"));
    let first_block = downs + step * down;
    let ups = first_block + count(&|index| format!("trunk.blocks.{index}.conv_0.weight"));
    let local_blocks = count(&|index| format!("local.blocks.{index}.conv_0.weight"));
    match parts {
        ["trunk", "first"] => format!("model.1{inner}"),
        ["trunk", "down", i] => format!("model.{}{inner}", downs + step * index(i)),
        ["trunk", "blocks", i, conv] => {
            format!("model.{}.conv_block.{}{inner}", first_block + index(i), in_block(conv))
        }
        ["trunk", "up", i] => format!("model.{}{inner}", ups + step * index(i)),
        ["local", "first"] => "model1_1.1".into(),
        ["local", "down"] => "model1_1.4".into(),
        ["local", "blocks", i, conv] => format!("model1_2.{i}.conv_block.{}", in_block(conv)),
        ["local", "up"] => format!("model1_2.{local_blocks}"),
        ["last"] if local => format!("model1_2.{}", local_blocks + 4),
        ["last"] => format!("model.{}", ups + step * down + 1),
        parts => parts.join("."),
    }
}

/// Levels inside of one another.
fn pix2pix(parts: &[&str], known: &BTreeSet<&str>) -> String {
    let ["levels", level, part, ..] = parts else { return parts.join(".") };
    let level: usize = level.parse().unwrap_or(0);
    let innermost = !known.contains(format!("generator.Pix2Pix.levels.{}.down.weight", level + 1).as_str());
    if level == 0 {
        return format!("model.model.{}", if *part == "down" { 0 } else { 3 });
    }
    let position = match (*part, innermost) {
        ("down", _) => 1,
        ("down_norm", _) => 2,
        ("up", true) => 3,
        ("up", false) => 5,
        (_, true) => 4,
        (_, false) => 6,
    };
    format!("model.model.1.model.{}{position}", "3.model.".repeat(level - 1))
}
