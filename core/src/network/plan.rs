//! The plan of a generator of the SPADE family. Burn modules, the CPU engine, parameter names and importers are
//! derived from it.

use super::{GeneratorConfig, Upsampling};
use crate::nn::modulation::ModulationConfig;
use crate::nn::{BlockPlan, NormPlan};

/// Official names of the blocks, in the order they run.
pub(crate) const BLOCKS: [&str; 8] = ["head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4"];

/// The layers of a generator.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Channels of the first features.
    pub(crate) first_channels: usize,
    /// Input channels of the output convolution.
    pub(crate) last_channels: usize,
    pub(crate) blocks: Vec<BlockPlan>,
}

/// Channels of the first features, in multiples of `ngf`.
pub(crate) const FIRST_WIDTH: usize = 16;

impl Plan {
    /// The plan of a validated configuration.
    pub(crate) fn new(config: &GeneratorConfig) -> Self {
        let n = config.ngf;
        let mut channels = vec![[FIRST_WIDTH * n; 2]; 3];
        channels.extend([[FIRST_WIDTH * n, 8 * n], [8 * n, 4 * n], [4 * n, 2 * n], [2 * n, n]]);
        if config.upsampling == Upsampling::Most {
            channels.push([n, n / 2]);
        }
        let (mut doublings, mut noise_maps) = (0, 0);
        let mut blocks = Vec::with_capacity(channels.len());
        for (index, ([input, output], name)) in channels.into_iter().zip(BLOCKS).enumerate() {
            let doubles = doubles_before(config.upsampling, index);
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
        let last_channels = blocks.last().map_or(n, |block| block.output);
        Self { first_channels: FIRST_WIDTH * n, last_channels, blocks }
    }
}

/// Whether features are upsampled before a block: never before the head block, and before the second middle block
/// only in deep networks.
fn doubles_before(upsampling: Upsampling, block: usize) -> bool {
    match block {
        0 => false,
        2 => upsampling != Upsampling::Normal,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::modulation::ModulationKind;

    #[test]
    fn a_plan_doubles_as_often_as_its_network() {
        for upsampling in [Upsampling::Normal, Upsampling::More, Upsampling::Most] {
            let config = GeneratorConfig { upsampling, ..GeneratorConfig::spade(4, 3) };
            let plan = Plan::new(&config);
            let last = plan.blocks.last().unwrap();
            assert_eq!(last.doublings, upsampling.doublings() as usize);
            assert_eq!(plan.blocks.iter().filter(|block| block.doubles).count(), last.doublings);
            assert_eq!(plan.last_channels, last.output);
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
