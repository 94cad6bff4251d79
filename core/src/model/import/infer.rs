//! The architecture of a checkpoint, read off its names and shapes.

use std::collections::BTreeSet;

use super::super::Tensors;
use super::{Family, Hints};
use crate::error::{Error, Result};
use crate::network::{Architecture, BLOCKS, GeneratorConfig, Pix2PixHdConfig, StyleConfig, UNetConfig, Upsampling};
use crate::nn::NormKind;
use crate::nn::modulation::ModulationKind;

/// Whether a tensor's name is one that only a certain system gives.
type Sign = fn(&str) -> bool;

/// Which system wrote the checkpoint, and the tensor that tells.
pub(super) fn family(tensors: &Tensors) -> Result<(Family, String)> {
    let find = |matches: &dyn Fn(&str) -> bool| tensors.names().find(|name| matches(name)).map(str::to_owned);
    let signs: [(Family, Sign); 5] = [
        (Family::Sean, |name| name.contains(".ace_")),
        (Family::Clade, |name| name.contains(".class_specified_affine.")),
        (Family::Spade, |name| name.contains(".mlp_shared.")),
        (Family::Pix2Pix, |name| name.starts_with("model.model.")),
        (Family::Pix2PixHd, |name| name.starts_with("model.1.") || name.starts_with("model1_1.")),
    ];
    for (family, sign) in signs {
        if let Some(name) = find(&sign) {
            return Ok((family, name));
        }
    }
    let what = match tensors.names().next() {
        None => "the file holds no tensors".to_owned(),
        Some(name) if name.starts_with("discriminator_") => "this is a discriminator (…_net_D.pth)".to_owned(),
        Some(_) if find(&|name| name == "fc_mu.weight").is_some() => {
            "this is an encoder (…_net_E.pth): it goes with its generator, as the `encoder`".to_owned()
        }
        Some(name) => format!("its tensors have names such as {name:?}"),
    };
    Err(Error::Model(format!(
        "this is no generator of SPADE, SEAN, CLADE, pix2pixHD or pix2pix: {what}. The generator is in …_net_G.pth"
    )))
}

/// Reads sides off tensors.
struct Shapes<'a>(&'a Tensors);

impl Shapes<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The shape of a tensor that must be there, with so many sides.
    fn of<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let data = self.0.get(name).ok_or_else(|| Error::Model(format!("tensor {name:?} is missing")))?;
        let shape = data.shape();
        shape.try_into().map_err(|_| Error::Model(format!("tensor {name:?} has shape {shape:?}: it needs {N} sides")))
    }
}

/// The architecture that fits the tensors and what the user says of them.
pub(super) fn architecture(tensors: &Tensors, family: Family, hints: &Hints) -> Result<Architecture> {
    let shapes = Shapes(tensors);
    let baseline = matches!(family, Family::Pix2PixHd | Family::Pix2Pix);
    if baseline && hints.upsampling.is_some() {
        return Err(Error::Argument(format!(
            "the option `upsampling` is given, but {} has no such choice",
            family.name()
        )));
    }
    if family == Family::Pix2Pix && hints.instance_edges == Some(true) {
        return Err(Error::Argument("the option `instance_edges` is true, but pix2pix takes none".into()));
    }
    match family {
        Family::Spade | Family::Clade | Family::Sean => spade_family(&shapes, hints).map(Architecture::SpadeFamily),
        Family::Pix2PixHd => pix2pixhd(&shapes, hints).map(Architecture::Pix2PixHd),
        Family::Pix2Pix => pix2pix(&shapes, hints).map(Architecture::Pix2Pix),
    }
}

fn spade_family(shapes: &Shapes<'_>, hints: &Hints) -> Result<GeneratorConfig> {
    let [widest, ..] = shapes.of::<4>("head_0.conv_0.weight")?;
    let ngf = widest / 16;
    let upsampling = upsampling(shapes, hints)?;
    let blocks = if upsampling == Upsampling::Most { 8 } else { 7 };
    let kinds: Vec<ModulationKind> =
        BLOCKS.iter().take(blocks).map(|block| modulation(shapes, block)).collect::<Result<_>>()?;
    let last = kinds.last().copied().unwrap_or(ModulationKind::Clade);
    let leading = kinds.iter().rposition(|&kind| kind != last).map_or(0, |index| index + 1);
    let norm = shapes.0.names().any(|name| name.ends_with("_0.param_free_norm.running_mean"));
    let (label_channels, instance_edges) = channels(shapes, hints, &kinds)?;
    let style = match shapes.0.get("fc.weight").map(super::TensorData::shape) {
        Some(&[rows, length]) => latent(shapes, hints, upsampling, [rows, length], widest)?,
        _ if kinds.contains(&ModulationKind::Sean) => {
            let styled =
                kinds.iter().position(|&kind| kind == ModulationKind::Sean).and_then(|index| BLOCKS.get(index));
            let [length, _] = shapes.of::<2>(&format!("{}.ace_0.fc_mu0.weight", styled.unwrap_or(&"head_0")))?;
            let encoder = if shapes.has("Zencoder.model.1.weight") {
                Some(shapes.of::<4>("Zencoder.model.1.weight")?[0])
            } else {
                None
            };
            StyleConfig::Regions { length, encoder }
        }
        _ => StyleConfig::None,
    };
    Ok(GeneratorConfig {
        modulation: last,
        leading_blocks: kinds.into_iter().take(leading).collect(),
        norm: if norm { NormKind::Batch } else { NormKind::Instance },
        ngf,
        upsampling,
        label_channels,
        instance_edges,
        style,
    })
}

fn upsampling(shapes: &Shapes<'_>, hints: &Hints) -> Result<Upsampling> {
    let most = shapes.has("up_4.conv_0.weight");
    match hints.upsampling {
        Some(Upsampling::Most) if !most => {
            let fault = "the option `upsampling` is most, but the checkpoint has no up_4 block: it is normal or more";
            Err(Error::Argument(fault.into()))
        }
        Some(other @ (Upsampling::Normal | Upsampling::More)) if most => Err(Error::Argument(format!(
            "the option `upsampling` is {}, but the checkpoint has an up_4 block: it is most",
            if other == Upsampling::Normal { "normal" } else { "more" }
        ))),
        Some(given) => Ok(given),
        None if most => Ok(Upsampling::Most),
        // The tensors of the two are the same.
        None => Ok(hints.conventions().upsampling),
    }
}

fn modulation(shapes: &Shapes<'_>, block: &str) -> Result<ModulationKind> {
    if shapes.has(&format!("{block}.ace_0.noise_var")) {
        return Ok(ModulationKind::Sean);
    }
    let norm = format!("{block}.norm_0");
    if shapes.has(&format!("{norm}.class_specified_affine.weight")) {
        let icpe = shapes.has(&format!("{norm}.class_specified_affine.dist_conv_w.weight"));
        return Ok(if icpe { ModulationKind::CladeIcpe } else { ModulationKind::Clade });
    }
    let [_, _, kernel, _] = shapes.of::<4>(&format!("{norm}.mlp_shared.0.weight"))?;
    Ok(ModulationKind::Spade { kernel })
}

/// Label channels, and whether instance edges follow them.
fn channels(shapes: &Shapes<'_>, hints: &Hints, kinds: &[ModulationKind]) -> Result<(usize, bool)> {
    let clade = kinds.iter().position(|kind| matches!(kind, ModulationKind::Clade | ModulationKind::CladeIcpe));
    let blocks = || kinds.iter().zip(BLOCKS);
    if let Some(block) = clade.and_then(|index| BLOCKS.get(index)) {
        let [labels, _] = shapes.of::<2>(&format!("{block}.norm_0.class_specified_affine.weight"))?;
        let edges = shapes.has(&format!("{block}.norm_0.inst_conv.weight"));
        return hints.agree(labels, edges);
    }
    let Some((kind, block)) = blocks().next() else { return Err(Error::Model("the network has no blocks".into())) };
    let name = match kind {
        ModulationKind::Sean => format!("{block}.ace_0.Spade.mlp_shared.0.weight"),
        _ => format!("{block}.norm_0.mlp_shared.0.weight"),
    };
    let [_, semantics, ..] = shapes.of::<4>(&name)?;
    if *kind == ModulationKind::Sean {
        return hints.agree(semantics, false);
    }
    hints.split(semantics)
}

/// The latent grid of a network whose first layer takes a vector.
fn latent(
    shapes: &Shapes<'_>,
    hints: &Hints,
    upsampling: Upsampling,
    [rows, length]: [usize; 2],
    widest: usize,
) -> Result<StyleConfig> {
    let stride = 1usize << upsampling.doublings();
    let cells = rows / widest.max(1);
    let size = hints.size();
    let grid = size.map(|side| side / stride);
    if grid[0].checked_mul(grid[1]) != Some(cells) || !rows.is_multiple_of(widest.max(1)) {
        let [height, width] = size;
        return Err(Error::Argument(format!(
            "the checkpoint's latent grid (fc.weight, [{rows}, {length}]) has {cells} cells; pictures of {width}x{height} \
             with {} doublings have {}x{}: give the size it was trained at in the option `size`, or change the option \
             `upsampling`",
            upsampling.doublings(),
            grid[1],
            grid[0]
        )));
    }
    let encoder = if shapes.has("layer1.0.weight") { Some(shapes.of::<4>("layer1.0.weight")?[0]) } else { None };
    Ok(StyleConfig::Latent { length, grid, encoder })
}

fn pix2pixhd(shapes: &Shapes<'_>, hints: &Hints) -> Result<Pix2PixHdConfig> {
    let spectral = shapes.has("model.1.0.weight");
    let first = if spectral { "model.1.0.weight" } else { "model.1.weight" };
    let [ngf, semantics, ..] = shapes.of::<4>(first)?;
    let step = if spectral { 2 } else { 3 };
    let positions = |sequence: &str| -> BTreeSet<usize> {
        let names = shapes.0.names().filter(|name| name.contains(".conv_block."));
        names.filter_map(|name| name.strip_prefix(sequence)?.split('.').next()?.parse().ok()).collect()
    };
    let blocks = positions("model.");
    let enhancer = shapes.has("model1_1.1.weight");
    let Some(&first_block) = blocks.first() else {
        return Err(Error::Model(
            "a pix2pixHD network without residual blocks: its generators have some (its feature encoder has none)"
                .into(),
        ));
    };
    let (label_channels, instance_edges) = hints.split(semantics)?;
    let downsamplings = first_block.saturating_sub(1 + step) / step;
    Ok(Pix2PixHdConfig {
        ngf,
        downsamplings,
        blocks: blocks.len(),
        label_channels,
        instance_edges,
        enhancer_blocks: enhancer.then(|| positions("model1_2.").len()),
        spectral,
    })
}

fn pix2pix(shapes: &Shapes<'_>, hints: &Hints) -> Result<UNetConfig> {
    let [ngf, input, ..] = shapes.of::<4>("model.model.0.weight")?;
    let mut prefix = "model.model.1.model.".to_owned();
    let mut downsamplings = 1;
    while shapes.has(&format!("{prefix}1.weight")) {
        downsamplings += 1;
        prefix.push_str("3.model.");
    }
    let classes = hints.table(input)?;
    let channels = classes.channels();
    // Three channels are a picture, as the paper's networks are fed.
    let painted = input == 3;
    if !painted && channels != input {
        return Err(Error::Argument(format!(
            "the network has {input} input channels, the class table {channels} label channels: give the table it was \
             trained with in the option `classes`"
        )));
    }
    let palette = painted.then(|| {
        let mut palette = vec![[0; 3]; channels];
        for class in &classes {
            if let Some(color) = palette.get_mut(usize::from(class.id)) {
                *color = class.color;
            }
        }
        palette
    });
    Ok(UNetConfig { ngf, downsamplings, label_channels: channels, palette })
}
