//! The plan of a generator of the SPADE family. Burn modules, the CPU engine, parameter names and importers are
//! derived from it.

use super::{GeneratorConfig, Upsampling};
use crate::nn::modulation::ModulationConfig;
use crate::nn::{BlockPlan, NormPlan};

/// Official names of the blocks, in the order they run.
pub(crate) const BLOCKS: [&str; 8] = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"];

/// Number of blocks of most of the papers' networks.
const USUAL_BLOCKS: usize = 7;

/// The blocks of a network that has this many of them. A network with fewer than usual lacks those after the first, so
/// that its other blocks have the scale and the channels of the papers' blocks of these names.
pub(crate) fn block_names(count: usize) -> impl Iterator<Item = &'static str> {
    let lacking = USUAL_BLOCKS.saturating_sub(count);
    BLOCKS.into_iter().take(1).chain(BLOCKS.into_iter().skip(1 + lacking)).take(count)
}

/// The layers of a generator.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Channels of the first features.
    pub(crate) first_channels: usize,
    /// Input channels of the output convolution.
    pub(crate) last_channels: usize,
    pub(crate) blocks: Vec<BlockPlan>,
}

impl Plan {
    /// The plan of a validated configuration.
    pub(crate) fn new(config: &GeneratorConfig) -> Self {
        let first_channels = config.upsampling.first_width() * config.ngf;
        let (mut channels, mut doublings, mut noise_maps) = (first_channels, 0, 0);
        let mut blocks = Vec::with_capacity(config.blocks());
        for (index, name) in block_names(config.blocks()).enumerate() {
            let input = channels;
            let output = if name.starts_with("up_") { input / 2 } else { input };
            channels = output;
            let doubles = doubles_before(config.upsampling, name);
            doublings += usize::from(doubles);
            let modulation = config.modulation_of(index);
            let facts = modulation.facts();
            let norms = ModulationConfig {
                norm: config.norm,
                labels: config.label_channels,
                edges: config.instance_edges,
                style: if facts.needs().styles && facts.styles_block(name) { config.style.region_length() } else { 0 },
            };
            let mut norm = |part: &str, channels| {
                let noise = facts.needs().noise.then_some(noise_maps);
                noise_maps += usize::from(noise.is_some());
                NormPlan { name: format!("{name}.{}_{part}", facts.norm_prefix()), channels, noise }
            };
            let norm_s = (input != output).then(|| norm("s", input));
            let (norm_0, norm_1) = (norm("0", input), norm("1", input.min(output)));
            let extra_channels = facts.extra_channels(&norms);
            blocks.push(BlockPlan {
                name,
                doubles,
                doublings,
                modulation,
                config: norms,
                extra_channels,
                input,
                output,
                norm_s,
                norm_0,
                norm_1,
            });
        }
        Self { first_channels, last_channels: channels, blocks }
    }
}

/// Whether features are upsampled before a block: never before the head block, and before the second middle block
/// only in deep networks.
fn doubles_before(upsampling: Upsampling, block: &str) -> bool {
    match block {
        "head_0" => false,
        "G_middle_1" => upsampling != Upsampling::Normal,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::StyleConfig;
    use crate::nn::modulation::ModulationKind;

    #[test]
    fn a_plan_doubles_as_often_as_its_network() {
        for &upsampling in Upsampling::ALL {
            let config = GeneratorConfig { upsampling, ..GeneratorConfig::spade(4, 3) };
            let plan = Plan::new(&config);
            let last = plan.blocks.last().unwrap();
            assert_eq!(plan.blocks.len(), upsampling.blocks());
            assert_eq!(last.doublings, upsampling.doublings() as usize);
            assert_eq!(plan.blocks.iter().filter(|block| block.doubles).count(), last.doublings);
            assert_eq!(plan.first_channels, plan.blocks[0].input);
            assert_eq!(plan.last_channels, last.output);
            assert_eq!(config.stride(), 1 << last.doublings);
        }
    }

    /// Name, input and output channels in multiples of `ngf / 2`, and scale of every block.
    #[test]
    fn blocks_are_those_of_the_papers_networks_from_some_scale_on() {
        let blocks = |upsampling| {
            let plan = Plan::new(&GeneratorConfig { upsampling, ..GeneratorConfig::clade(2, 3) });
            let doublings = plan.blocks.last().unwrap().doublings;
            let row = |block: &BlockPlan| (block.name, block.input, block.output, 1 << (doublings - block.doublings));
            plan.blocks.iter().map(row).collect::<Vec<_>>()
        };
        let up = [("up_0", 32, 16, 8), ("up_1", 16, 8, 4), ("up_2", 8, 4, 2), ("up_3", 4, 2, 1)];
        let head = |channels, scale| vec![("head_0", channels, channels, scale)];
        assert_eq!(blocks(Upsampling::Two), [head(8, 4), up[2..].to_vec()].concat());
        assert_eq!(blocks(Upsampling::Three), [head(16, 8), up[1..].to_vec()].concat());
        assert_eq!(blocks(Upsampling::Four), [head(32, 16), up.to_vec()].concat());
        let middle = vec![("G_middle_0", 32, 32, 16), ("G_middle_1", 32, 32, 16)];
        assert_eq!(blocks(Upsampling::Normal), [head(32, 32), middle, up.to_vec()].concat());
        let most = [("up_1", 16, 8, 8), ("up_2", 8, 4, 4), ("up_3", 4, 2, 2), ("up_4", 2, 1, 1)];
        assert_eq!(blocks(Upsampling::Most)[4..], most);
    }

    /// Two 3x3 convolutions in each block, one before and one after all of them; the documentation of [`Upsampling`]
    /// has these numbers.
    #[test]
    fn labels_reach_less_far_with_fewer_doublings() {
        use Upsampling::{Four, Normal, Three, Two};
        let reach = |upsampling: Upsampling| {
            let plan = Plan::new(&GeneratorConfig { upsampling, ..GeneratorConfig::clade(2, 3) });
            let scale = |doublings: usize| 1 << (upsampling.doublings() as usize - doublings);
            scale(0) + plan.blocks.iter().map(|block| 2 * scale(block.doublings)).sum::<usize>() + 1
        };
        assert_eq!([Normal, Four, Three, Two].map(reach), [191, 79, 39, 19]);
    }

    /// The blocks of SEAN without style are those with the official name of the papers' one.
    #[test]
    fn the_block_without_style_is_found_by_its_name() {
        for (upsampling, expected) in [
            (Upsampling::Two, vec![16, 16, 0]),
            (Upsampling::Three, vec![16, 16, 16, 0]),
            (Upsampling::Four, vec![16, 16, 16, 16, 0]),
            (Upsampling::Normal, vec![16, 16, 16, 16, 16, 16, 0]),
            (Upsampling::Most, vec![16, 16, 16, 16, 16, 16, 0, 16]),
        ] {
            let style = StyleConfig::Regions { length: 16, encoder: None };
            let plan = Plan::new(&GeneratorConfig { upsampling, style, ..GeneratorConfig::sean(4, 3) });
            let found: Vec<usize> = plan.blocks.iter().map(|block| block.config.style).collect();
            assert_eq!(found, expected, "{upsampling:?}");
        }
    }

    /// As in SEAN's code, the shortcut draws its noise first.
    #[test]
    fn noise_maps_are_numbered_in_the_order_they_are_drawn() {
        let plan = Plan::new(&GeneratorConfig::sean(4, 3));
        let numbers: Vec<usize> = plan.blocks.iter().flat_map(BlockPlan::norms).filter_map(|norm| norm.noise).collect();
        assert_eq!(numbers, (0..18).collect::<Vec<_>>());
        let up_0 = &plan.blocks[3];
        assert_eq!((up_0.norm_s.as_ref().unwrap().noise, up_0.norm_0.noise), (Some(6), Some(7)));
        assert_eq!(up_0.norm_0.name, "up_0.ace_0");
        assert_eq!((up_0.config.style, plan.blocks[6].config.style), (512, 0));
        // Blocks without noise take no index.
        let mixed = GeneratorConfig { leading_blocks: vec![ModulationKind::Clade; 4], ..GeneratorConfig::sean(4, 3) };
        assert_eq!(Plan::new(&mixed).blocks[4].norm_s.as_ref().unwrap().noise, Some(0));
    }
}
