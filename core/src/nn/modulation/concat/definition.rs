//! Reference implementation of concatenation in Burn operations.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::Init;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;

/// `y = n w + b` with a scale and a shift per channel, and the semantic input (one-hot labels, then instance edges) as further
/// channels.
#[derive(Module, Debug)]
pub struct Concat {
    /// `[channels]`
    weight: Param<Tensor<1>>,
    /// `[channels]`
    bias: Param<Tensor<1>>,
}

impl Layer for Concat {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, _config: &ModulationConfig) -> Self {
        Self { weight: init.ones([channels]), bias: init.zeros([channels]) }
    }

    fn modulate(&self, normalized: Tensor<4>, _input: BlockInput<'_>) -> Tensor<4> {
        let [_, channels, ..] = normalized.dims();
        let [scale, shift] = [&self.weight, &self.bias].map(|values| values.val().reshape([1, channels, 1, 1]));
        normalized * scale + shift
    }

    fn extra(&self, labels: &LabelTensors) -> Option<Tensor<4>> {
        Some(labels.semantics())
    }

    /// Tables of one row.
    fn tables(&self, labels: &LabelTensors, _style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        let gamma_beta = [&self.weight, &self.bias].map(|values| values.val().unsqueeze::<2>());
        let ids = labels.ids();
        let rows = Tensor::<1, Int>::zeros(ids.dims(), &ids.device());
        Some(ModulationTables { gamma_beta, rows })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::modulation::ModulationKind;
    use crate::nn::modulation::norm::ModulatedNorm;
    use crate::nn::{LabelEncoding, Layout, Mode, Noise, NormKind, Share};
    use crate::rng::Rng;

    /// Value by value against loops, for a batch of two with edges, before leaky ReLU.
    #[test]
    fn it_scales_channels_and_appends_the_labels() {
        let (device, classes, channels, pixels) = (Device::flex(), 3, 2, 20);
        let mut rng = Rng::new(1);
        let mut ids = || -> Vec<u16> { (0..pixels).map(|_| rng.below(classes) as u16).collect() };
        let ids = [ids(), ids()];
        let edges: Vec<Vec<bool>> = (0..2).map(|k| (0..pixels).map(|i| (i + k) % 3 == 0).collect()).collect();
        let maps = ids.iter().map(|ids| LabelMap::new(5, 4, ids.clone()).unwrap()).collect();
        let layout =
            Layout::new(maps, classes, LabelEncoding::OneHot, &device).unwrap().with_edges(edges.clone()).unwrap();
        let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let config = ModulationConfig { norm: NormKind::Instance, labels: classes, edges: true, style: 0 };
        let (weight, bias, x) = (random(channels), random(channels), random(2 * channels * pixels));
        let vector = |values: &[f32]| {
            Param::from_tensor(Tensor::from_data(TensorData::new(values.to_vec(), [channels]), &device))
        };
        let concat = Concat { weight: vector(&weight), bias: vector(&bias) };
        let input = BlockInput { layout: &layout, noise: &Noise::Zero, share: &Share::default(), style: None };
        let tensor = Tensor::<4>::from_data(TensorData::new(x.clone(), [2, channels, 4, 5]), &device);
        let found: Vec<f32> = concat.modulate(tensor.clone(), input).into_data().try_to_vec().unwrap();
        for (i, (found, x)) in found.iter().zip(&x).enumerate() {
            let channel = i / pixels % channels;
            assert!((found - (x * weight[channel] + bias[channel])).abs() < 1e-6);
        }
        let norm = ModulatedNorm::new(&mut Init::random(1, &device), ModulationKind::Concat, &config, channels, None);
        let out = norm.forward(tensor, input, Mode::EVAL, true);
        assert_eq!(out.dims(), [2, channels + classes + 1, 4, 5]);
        let out: Vec<f32> = out.into_data().try_to_vec().unwrap();
        let all = channels + classes + 1;
        for picture in 0..2 {
            for extra in 0..=classes {
                for pixel in 0..pixels {
                    let found = out[(picture * all + channels + extra) * pixels + pixel];
                    let set = if extra == classes {
                        edges[picture][pixel]
                    } else {
                        usize::from(ids[picture][pixel]) == extra
                    };
                    assert_eq!(found.to_bits(), f32::from(u8::from(set)).to_bits(), "{picture} {extra} {pixel}");
                }
            }
        }
    }
}
