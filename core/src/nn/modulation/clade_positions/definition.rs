//! Reference implementation of CLADE with positions in Burn operations.

use burn::module::Module;
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::clade::{self, Clade};
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::Init;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;

/// CLADE. After the features and the channel of edges come two channels of positions: vertical and horizontal, -1 to 1.
#[derive(Module, Debug)]
pub struct CladePositions {
    clade: Clade,
}

impl Layer for CladePositions {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        Self { clade: Clade::new(init, &clade::Facts, channels, config) }
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        self.clade.modulate(normalized, input)
    }

    fn extra(&self, labels: &LabelTensors) -> Option<Tensor<4>> {
        Some(match self.clade.extra(labels) {
            Some(edges) => Tensor::cat(vec![edges, labels.distances()], 1),
            None => labels.distances(),
        })
    }

    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        self.clade.tables(labels, style)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::label::{DistanceMap, LabelMap};
    use crate::nn::modulation::ModulationKind;
    use crate::nn::modulation::norm::ModulatedNorm;
    use crate::nn::{LabelEncoding, Layout, Mode, Noise, NormKind, Share};

    /// The features are those of CLADE; then the edges' channel, and the distances as they are.
    #[test]
    fn positions_follow_the_features() {
        let device = Device::flex();
        let map = LabelMap::new(6, 4, (0..24).map(|i| u16::from(i % 6 > 1)).collect()).unwrap();
        let edges = vec![(0..24).map(|i| i % 5 == 0).collect()];
        let layout = Layout::new(vec![map.clone()], 2, LabelEncoding::Indexed, &device).unwrap();
        let layout = layout.with_edges(edges).unwrap();
        let config = ModulationConfig { norm: NormKind::Instance, labels: 2, edges: true, style: 0 };
        let input = BlockInput { layout: &layout, noise: &Noise::Zero, share: &Share::default(), style: None };
        let x = Tensor::<4>::random([1, 3, 4, 6], Distribution::Default, &device);
        let out = |kind| -> Vec<f32> {
            let norm = ModulatedNorm::new(&mut Init::random(1, &device), kind, &config, 3, None);
            norm.forward(x.clone(), input, Mode::EVAL, false).into_data().try_to_vec().unwrap()
        };
        let (found, clade) = (out(ModulationKind::CladePositions), out(ModulationKind::Clade));
        assert_eq!(found[..4 * 24], clade);
        let distances = DistanceMap::of(&map).sample(0..4, 0..6);
        assert_eq!(found[4 * 24..], distances);
        assert!(distances[24..].iter().any(|value| *value < 0.0));
    }
}
