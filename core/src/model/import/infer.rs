//! Detects the architecture of a checkpoint from the names and shapes of its tensors.

use std::collections::BTreeSet;

use super::Hints;
use crate::error::{Error, Result};
use crate::network::{
    Architecture, BLOCKS, GeneratorConfig, Pix2PixHdConfig, StyleConfig, System, UNetConfig, Upsampling, block_names,
};
use crate::nn::NormKind;
use crate::nn::modulation::{BlockTensors, Inputs, ModulationKind, shape_of};
use crate::tensors::{TensorData, Tensors};

/// Looks up the shapes of tensors.
struct Shapes<'a>(&'a Tensors);

impl Shapes<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The shape of a required tensor, which must have `N` sides.
    fn of<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        shape_of(self.0, name)
    }

    fn block<'a>(&'a self, block: &'a str) -> BlockTensors<'a> {
        BlockTensors { tensors: self.0, block }
    }
}

/// The code base that a checkpoint comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Generators from SPADE's code and its descendants.
    SpadeFamily,
    /// pix2pixHD, and the variant in SPADE's code ("pix2pixHD++").
    Pix2PixHd,
    /// The U-Net of pix2pix.
    Pix2Pix,
}

pub(super) fn layout(tensors: &Tensors) -> Result<Layout> {
    let any = |prefix: &str| tensors.names().any(|name| name.starts_with(prefix));
    if BLOCKS.iter().any(|block| any(&format!("{block}."))) {
        return Ok(Layout::SpadeFamily);
    }
    if any("model.model.") {
        return Ok(Layout::Pix2Pix);
    }
    if any("model.1.") || any("model1_1.") {
        return Ok(Layout::Pix2PixHd);
    }
    let what = match tensors.names().next() {
        None => "the file holds no tensors".to_owned(),
        Some(name) if name.starts_with("discriminator_") => "this is a discriminator (…_net_D.pth)".to_owned(),
        Some(_) if any("fc_mu.") => {
            "this is an encoder (…_net_E.pth): it goes with its generator, as the `encoder`".to_owned()
        }
        Some(name) => format!("its tensors have names such as {name:?}"),
    };
    // The official checkpoints of the refinement networks are TensorFlow's.
    let systems = System::all().filter(|system| !matches!(system, System::Crn | System::Sims));
    let names: Vec<&str> = systems.map(System::name).collect();
    Err(Error::Model(format!("this is no generator of {}: {what}. The generator is in …_net_G.pth", names.join(", "))))
}

/// Checks that a checkpoint holds the system that the user expects.
///
/// # Errors
///
/// [`Error::Argument`] naming the expected system and the ones found.
pub(super) fn check_system(tensors: &Tensors, layout: Layout, asked: System) -> Result<()> {
    let found: Vec<System> = match layout {
        Layout::Pix2PixHd => vec![System::Pix2PixHd],
        Layout::Pix2Pix => vec![System::Pix2Pix],
        Layout::SpadeFamily => {
            let blocks = BLOCKS.iter().map(|block| BlockTensors { tensors, block });
            let mut kinds: Vec<ModulationKind> = Vec::new();
            for block in blocks {
                kinds.extend(ModulationKind::detect(block)?.filter(|kind| !kinds.contains(kind)));
            }
            let mixed = (kinds.len() > 1).then_some(System::Hybrid);
            kinds.into_iter().map(System::Modulation).chain(mixed).collect()
        }
    };
    if found.iter().any(|system| system.name() == asked.name()) {
        return Ok(());
    }
    let names: Vec<&str> = found.iter().map(|system| system.name()).collect();
    Err(Error::Argument(format!("the option `system` is {asked}, but the checkpoint holds {}", names.join(" and "))))
}

/// The input channels, as far as the tensors tell before anything else is known.
pub(super) fn inputs(tensors: &Tensors) -> Option<Inputs> {
    let shapes = Shapes(tensors);
    match layout(tensors).ok()? {
        Layout::SpadeFamily => {
            let block = BLOCKS.iter().map(|block| shapes.block(block));
            // Some modulations (CLADE) separate label channels from edges in their tensors; others only give the
            // sum.
            let found: Vec<Inputs> = block.filter_map(|block| kind_inputs(block).ok().flatten()).collect();
            let labels = found.iter().find(|inputs| matches!(inputs, Inputs::Labels(..)));
            labels.or(found.first()).copied()
        }
        Layout::Pix2PixHd | Layout::Pix2Pix => {
            let first = ["model.1.weight", "model.1.0.weight"].into_iter().find_map(|name| tensors.get(name))?;
            first.shape().get(1).copied().map(Inputs::Semantics)
        }
    }
}

fn kind_inputs(block: BlockTensors<'_>) -> Result<Option<Inputs>> {
    match ModulationKind::detect(block)? {
        Some(kind) => kind.facts().inputs(block).map(Some),
        None => Ok(None),
    }
}

/// The architecture, from the tensors and the user's options.
pub(super) fn architecture(tensors: &Tensors, layout: Layout, hints: &Hints) -> Result<Architecture> {
    let shapes = Shapes(tensors);
    if layout != Layout::SpadeFamily && hints.upsampling.is_some() {
        return Err(Error::Argument(
            "the option `upsampling` is given, but pix2pixHD and pix2pix do not have it".into(),
        ));
    }
    if layout == Layout::Pix2Pix && hints.instance_edges == Some(true) {
        return Err(Error::Argument("the option `instance_edges` is true, but pix2pix takes none".into()));
    }
    match layout {
        Layout::SpadeFamily => spade_family(&shapes, hints).map(Architecture::SpadeFamily),
        Layout::Pix2PixHd => pix2pixhd(&shapes, hints).map(Architecture::Pix2PixHd),
        Layout::Pix2Pix => pix2pix(&shapes, hints).map(Architecture::Pix2Pix),
    }
}

fn spade_family(shapes: &Shapes<'_>, hints: &Hints) -> Result<GeneratorConfig> {
    let [widest, ..] = shapes.of::<4>("head_0.conv_0.weight")?;
    let upsampling = upsampling(shapes, hints)?;
    let ngf = widest / upsampling.first_width();
    let blocks: Vec<BlockTensors<'_>> = block_names(upsampling.blocks()).map(|block| shapes.block(block)).collect();
    let kinds: Vec<ModulationKind> = blocks.iter().map(|block| modulation(*block)).collect::<Result<_>>()?;
    let last = kinds.last().copied().unwrap_or(ModulationKind::Clade);
    let leading = kinds.iter().rposition(|&kind| kind != last).map_or(0, |index| index + 1);
    let norm = shapes.0.names().any(|name| name.ends_with("_0.param_free_norm.running_mean"));
    let (label_channels, instance_edges) = channels(hints, &kinds, &blocks)?;
    let style = match shapes.0.get("fc.weight").map(TensorData::shape) {
        Some(&[rows, length]) => latent(shapes, hints, upsampling, [rows, length], widest)?,
        _ => match style_length(&kinds, &blocks)? {
            Some(length) => {
                let encoder = if shapes.has("Zencoder.model.1.weight") {
                    Some(shapes.of::<4>("Zencoder.model.1.weight")?[0])
                } else {
                    None
                };
                StyleConfig::Regions { length, encoder }
            }
            None => StyleConfig::None,
        },
    };
    Ok(GeneratorConfig {
        modulation: last,
        leading_blocks: kinds.into_iter().take(leading).collect(),
        norm: if norm { NormKind::Batch } else { NormKind::Instance },
        ngf,
        upsampling,
        label_channels,
        instance_edges,
        // No published checkpoint has them.
        input_positions: false,
        style,
    })
}

/// What tells networks apart: the prefix of a block's tensors, the choices it leaves if those before it in the list are
/// not there, and its description.
const TELLING_BLOCKS: [(&str, &[Upsampling], &str); 5] = [
    ("up_4.", &[Upsampling::Most], "an up_4 block"),
    ("G_middle_", &[Upsampling::Normal, Upsampling::More], "middle blocks and no up_4 block"),
    ("up_0.", &[Upsampling::Four], "an up_0 block and no middle blocks"),
    ("up_1.", &[Upsampling::Three], "an up_1 block and neither middle blocks nor up_0"),
    ("up_2.", &[Upsampling::Two], "an up_2 block and neither middle blocks nor up_0 and up_1"),
];

fn upsampling(shapes: &Shapes<'_>, hints: &Hints) -> Result<Upsampling> {
    let found = TELLING_BLOCKS.iter().find(|(prefix, ..)| shapes.0.names().any(|name| name.starts_with(prefix)));
    let Some((_, choices, blocks)) = found else {
        return Err(Error::Model(
            "the generator has neither middle blocks nor any of up_0, up_1, up_2 and up_4".into(),
        ));
    };
    match hints.upsampling {
        Some(asked) if choices.contains(&asked) => Ok(asked),
        Some(asked) => {
            let (asked, names) = (asked.name(), choices.iter().map(|choice| choice.name()).collect::<Vec<_>>());
            Err(Error::Argument(format!(
                "the option `upsampling` is {asked}, but the checkpoint has {blocks}: it is {}",
                names.join(" or ")
            )))
        }
        None => {
            // `normal` and `more` have the same tensors: the data set tells which it is.
            let usual = hints.conventions().upsampling;
            Ok(choices.iter().copied().find(|&choice| choice == usual).or(choices.first().copied()).unwrap_or(usual))
        }
    }
}

fn modulation(block: BlockTensors<'_>) -> Result<ModulationKind> {
    ModulationKind::detect(block)?.ok_or_else(|| {
        let name = block.block;
        Error::Model(format!(
            "block {name} of the generator has an unknown modulation, or tensors of its modulation are missing"
        ))
    })
}

/// Length of the style vectors, for a network with a style per class.
fn style_length(kinds: &[ModulationKind], blocks: &[BlockTensors<'_>]) -> Result<Option<usize>> {
    for (kind, block) in kinds.iter().zip(blocks) {
        if let Some(length) = kind.facts().style_length(*block)? {
            return Ok(Some(length));
        }
    }
    Ok(None)
}

/// Number of label channels, and whether a channel of instance edges follows them.
fn channels(hints: &Hints, kinds: &[ModulationKind], blocks: &[BlockTensors<'_>]) -> Result<(usize, bool)> {
    let found = kinds.iter().zip(blocks).map(|(kind, block)| kind.facts().inputs(*block));
    let found: Vec<Inputs> = found.collect::<Result<_>>()?;
    // A modulation that separates labels from edges decides.
    match found.iter().find(|inputs| matches!(inputs, Inputs::Labels(..))).or(found.first()) {
        Some(&Inputs::Labels(labels, edges)) => hints.agree(labels, edges),
        Some(&Inputs::Semantics(semantics)) => hints.split(semantics),
        None => Err(Error::Model("the network has no blocks".into())),
    }
}

/// The latent grid of a network whose first layer takes a latent vector.
fn latent(
    shapes: &Shapes<'_>,
    hints: &Hints,
    upsampling: Upsampling,
    [rows, length]: [usize; 2],
    widest: usize,
) -> Result<StyleConfig> {
    let cells = rows / widest.max(1);
    let size = hints.size();
    let grid = upsampling.latent_grid(size);
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
        // Instance features cannot be told from labels by the tensors: such checkpoints are not imported.
        features: StyleConfig::None,
        // No published checkpoint has one.
        modulation: None,
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
    // Three input channels: the network takes the label map as an RGB picture, like the paper's.
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
