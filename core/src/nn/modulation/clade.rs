//! CLADE: class-adaptive modulation (Tan et al. 2021, §3), also with intra-class positional encoding (ICPE).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{ModulationConfig, Rows};
use crate::nn::layout::Level;
use crate::nn::{Conv, ConvConfig, Init, Layout, Lookup, Mode, ops};

/// `y = n W[class] + B[class]` (there is no `1 +` here): a scale and a shift per class and channel.
#[derive(Module, Debug)]
pub struct Clade {
    /// `[labels, channels]`
    weight: Param<Tensor<2>>,
    /// `[labels, channels]`
    bias: Param<Tensor<2>>,
    icpe: Option<Icpe>,
    /// With instance edges: what becomes of them, the last channel of the output.
    inst_conv: Option<Conv>,
}

/// Positional encoding: factors that depend on where in its object a pixel lies.
#[derive(Module, Debug)]
pub struct Icpe {
    dist_conv_w: Conv,
    dist_conv_b: Conv,
}

impl Clade {
    pub(super) fn new(init: &mut Init, channels: usize, config: &ModulationConfig, icpe: bool) -> Self {
        let shape = [config.labels, channels];
        Self {
            weight: init.uniform(shape),
            bias: init.zeros(shape),
            icpe: icpe.then(|| {
                let mut conv = || ConvConfig::new(2, 1, 1).init(init);
                Icpe { dist_conv_w: conv(), dist_conv_b: conv() }
            }),
            inst_conv: config.edges.then(|| ConvConfig::new(1, 1, 1).init(init)),
        }
    }

    pub(super) fn modulate(&self, normalized: Tensor<4>, layout: &Layout) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let level = layout.at(height, width);
        let modulated = if self.icpe.is_none() && ops::apply_to(&normalized) {
            ops::class_affine(normalized, self.weight.val(), self.bias.val(), &level.runs())
        } else {
            self.by_definition(normalized, layout)
        };
        match self.edges(&level) {
            Some(edges) => Tensor::cat(vec![modulated, edges], 1),
            None => modulated,
        }
    }

    /// With instance edges: what becomes of them, `[batch, 1, height, width]`.
    pub(super) fn edges(&self, level: &Level) -> Option<Tensor<4>> {
        let (conv, edges) = self.inst_conv.as_ref().zip(level.edges())?;
        Some(conv.forward(edges, Mode::EVAL))
    }

    /// Without positional encoding, the banks are the tables.
    pub(super) fn rows(&self, level: &Level) -> Option<Rows> {
        let tables = [self.weight.val(), self.bias.val()];
        self.icpe.is_none().then(|| Rows { tables, ids: level.flat() })
    }

    fn by_definition(&self, normalized: Tensor<4>, layout: &Layout) -> Tensor<4> {
        let [_, _, height, width] = normalized.dims();
        let level = layout.at(height, width);
        let value = |bank: &Param<Tensor<2>>| match layout.lookup() {
            Lookup::Gather => level.unflatten(bank.val().select(0, level.flat())),
            Lookup::Dense => dense(bank.val().transpose(), level.one_hot()),
        };
        let (mut scale, mut shift) = (value(&self.weight), value(&self.bias));
        if let Some(icpe) = &self.icpe {
            let distances = layout.distances_at(height, width);
            scale = scale * (icpe.dist_conv_w.forward(distances.clone(), Mode::EVAL) + 1.0);
            shift = shift * (icpe.dist_conv_b.forward(distances, Mode::EVAL) + 1.0);
        }
        normalized * scale + shift
    }
}

/// `[c, labels]` times one-hot `[batch, labels, h, w]` is `[batch, c, h, w]`.
pub(super) fn dense(table: Tensor<2>, one_hot: Tensor<4>) -> Tensor<4> {
    let [batch, labels, height, width] = one_hot.dims();
    let channels = table.dims()[0];
    let pixels = one_hot.reshape([batch, labels, height * width]);
    let values = table.unsqueeze::<3>().expand([batch, channels, labels]).matmul(pixels);
    values.reshape([batch, channels, height, width])
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::NormKind;
    use crate::rng::Rng;

    #[test]
    fn kernels_change_neither_values_nor_gradients() {
        let device = Device::flex().autodiff();
        let mut rng = Rng::new(1);
        let maps = (0..2).map(|_| LabelMap::new(6, 5, (0..30).map(|_| rng.below(4) as u16).collect()).unwrap());
        let layout = Layout::new(maps.collect(), 4, Lookup::Dense, &device).unwrap();
        let config = ModulationConfig { norm: NormKind::Batch, labels: 4, edges: false, style: 0 };
        let clade = Clade::new(&mut Init::random(1, &device), 3, &config, false);
        let mut random = || -> Tensor<4> {
            let values: Vec<f32> = (0..2 * 3 * 30).map(|_| rng.normal() as f32).collect();
            Tensor::from_data(TensorData::new(values, [2, 3, 5, 6]), &device)
        };
        let (x, slope) = (random().require_grad(), random());
        let (found, expected) = (clade.modulate(x.clone(), &layout), clade.by_definition(x.clone(), &layout));
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
