//! Reference implementation of CLADE in Burn operations, and its GPU tables.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::{Facts, edge_channel, edge_conv};
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Conv, Init, LabelEncoding, ops};

/// `y = n W[class] + B[class]` (without SPADE's `1 +`): a scale and a shift per class and channel.
#[derive(Module, Debug)]
pub struct Clade {
    /// `[labels, channels]`
    weight: Param<Tensor<2>>,
    /// `[labels, channels]`
    bias: Param<Tensor<2>>,
    inst_conv: Option<Conv>,
}

impl Layer for Clade {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        let shape = [config.labels, channels];
        Self { weight: init.uniform(shape), bias: init.zeros(shape), inst_conv: config.edges.then(|| edge_conv(init)) }
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let labels = input.layout.at(height, width);
        if ops::apply_to(&normalized) {
            return ops::class_affine(normalized, self.weight.val(), self.bias.val(), &labels.runs());
        }
        self.reference(normalized, &labels, input.layout.encoding())
    }

    fn extra(&self, labels: &LabelTensors) -> Option<Tensor<4>> {
        edge_channel(self.inst_conv.as_ref(), labels)
    }

    /// The weight and bias are the tables.
    fn tables(&self, labels: &LabelTensors, _style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        Some(ModulationTables { gamma_beta: [self.weight.val(), self.bias.val()], rows: labels.ids() })
    }
}

impl Clade {
    /// The same in Burn operations.
    fn reference(&self, normalized: Tensor<4>, labels: &LabelTensors, encoding: LabelEncoding) -> Tensor<4> {
        let [scale, shift] = [&self.weight, &self.bias].map(|bank| labels.look_up(bank.val(), encoding));
        normalized * scale + shift
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::noise::Noise;
    use crate::nn::{Layout, NormKind, Share};
    use crate::rng::Rng;

    #[test]
    fn kernels_change_neither_values_nor_gradients() {
        let device = Device::flex().autodiff();
        let mut rng = Rng::new(1);
        let maps = (0..2).map(|_| LabelMap::new(6, 5, (0..30).map(|_| rng.below(4) as u16).collect()).unwrap());
        let layout = Layout::new(maps.collect(), 4, LabelEncoding::OneHot, &device).unwrap();
        let config = ModulationConfig { norm: NormKind::Batch, labels: 4, edges: false, style: 0 };
        let clade = Clade::new(&mut Init::random(1, &device), &Facts, 3, &config);
        let mut random = || -> Tensor<4> {
            let values: Vec<f32> = (0..2 * 3 * 30).map(|_| rng.normal() as f32).collect();
            Tensor::from_data(TensorData::new(values, [2, 3, 5, 6]), &device)
        };
        let (x, slope) = (random().require_grad(), random());
        let input = BlockInput { layout: &layout, noise: &Noise::Zero, share: &Share::default(), style: None };
        let reference = |x: Tensor<4>| clade.reference(x, &layout.at(5, 6), LabelEncoding::OneHot);
        let (found, expected) = (clade.modulate(x.clone(), input), reference(x.clone()));
        assert!((found.clone() - expected.clone()).abs().max().into_scalar::<f32>() < 1e-5);
        let (found, expected) = ((found * slope.clone()).sum().backward(), (expected * slope).sum().backward());
        let differ = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
        let flat = |x: Tensor<4>| x.reshape([6, 30]);
        assert!(differ(flat(x.grad(&found).unwrap()), flat(x.grad(&expected).unwrap())) < 1e-5);
        for table in [clade.weight.val(), clade.bias.val()] {
            let found = table.grad(&found).unwrap();
            assert!(found.clone().abs().max().into_scalar::<f32>() > 0.1);
            assert!(differ(found, table.grad(&expected).unwrap()) < 1e-5);
        }
    }
}
