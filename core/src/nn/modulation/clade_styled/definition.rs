//! Reference implementation of CLADE with styles in Burn operations, and its GPU tables.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Init, LabelEncoding, as_type_of, ops};

/// `y = n W[class] + B[class]` on features with added noise, where the rows of W and B are linear functions of the style
/// of the class; each class has its own.
#[derive(Module, Debug)]
pub struct CladeStyled {
    /// `[labels, channels]`; the scale for a style of zeros.
    weight: Param<Tensor<2>>,
    /// `[labels, channels]`; the shift for a style of zeros.
    bias: Param<Tensor<2>>,
    /// `[labels, 2 channels, length]`; what a style adds to scale and shift.
    style_weight: Param<Tensor<3>>,
    /// `[channels]`; strength of the noise.
    noise_var: Param<Tensor<1>>,
}

impl Layer for CladeStyled {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        let labels = config.labels;
        Self {
            weight: init.uniform([labels, channels]),
            bias: init.zeros([labels, channels]),
            style_weight: init.xavier_normal([labels, 2 * channels, config.style], 0.02),
            // Not 0 as in SEAN: without noise, areas of one class have nothing that could become detail.
            noise_var: init.uniform([channels]),
        }
    }

    fn noise_strength(&self) -> Option<Tensor<1>> {
        Some(self.noise_var.val())
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [batch, channels, height, width] = normalized.dims();
        let labels = input.layout.at(height, width);
        let tables = self.scale_and_shift(input.style, batch);
        let [_, classes, _] = tables[0].dims();
        let rows = |table: Tensor<3>| table.reshape([batch * classes, channels]);
        if ops::apply_to(&normalized) {
            let [scale, shift] = tables.map(rows);
            return ops::class_affine(normalized, scale, shift, &labels.runs_of_pictures());
        }
        let [scale, shift] = tables.map(|table| {
            if batch == 1 && input.layout.encoding() == LabelEncoding::Indexed {
                return labels.look_up(rows(table), LabelEncoding::Indexed);
            }
            let pixels = labels.one_hot().reshape([batch, classes, height * width]);
            table.swap_dims(1, 2).matmul(pixels).reshape([batch, channels, height, width])
        });
        normalized * scale + shift
    }

    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        let gamma_beta = self.scale_and_shift(style, 1).map(|table| {
            let [_, classes, channels] = table.dims();
            table.reshape([classes, channels])
        });
        Some(ModulationTables { gamma_beta, rows: labels.ids() })
    }
}

impl CladeStyled {
    /// Scale and shift of each class, each `[batch, classes, channels]`, for styles `[batch, classes, length]`.
    fn scale_and_shift(&self, style: Option<&Tensor<3>>, batch: usize) -> [Tensor<3>; 2] {
        let banks = [&self.weight, &self.bias].map(|bank| bank.val().unsqueeze_dim::<3>(0));
        let [_, classes, channels] = banks[0].dims();
        let Some(style) = style else { return banks.map(|bank| bank.expand([batch, classes, channels])) };
        // [classes, 2 channels, length] x [classes, length, batch]
        let weight = self.style_weight.val();
        let style = as_type_of(&weight, style.clone());
        let added = weight.matmul(style.permute([1, 2, 0])).permute([2, 0, 1]);
        let mut from = 0;
        banks.map(|bank| {
            let part = added.clone().narrow(2, from, channels);
            from += channels;
            bank + part
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::{Layout, Noise, NormKind, Share};
    use crate::rng::Rng;

    /// Value by value, in both encodings, with and without kernels, for a batch of one picture and of two.
    #[test]
    fn scale_and_shift_are_a_linear_map_of_the_style_of_each_class() {
        let (device, classes, channels, length, size) = (Device::flex(), 3, 2, 4, [5, 6]);
        let mut rng = Rng::new(1);
        let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let config = ModulationConfig { norm: NormKind::Batch, labels: classes, edges: false, style: length };
        let layer = CladeStyled {
            style_weight: Param::from_tensor(Tensor::from_data(
                TensorData::new(random(classes * 2 * channels * length), [classes, 2 * channels, length]),
                &device,
            )),
            bias: Param::from_tensor(Tensor::from_data(
                TensorData::new(random(classes * channels), [classes, channels]),
                &device,
            )),
            ..CladeStyled::new(&mut Init::random(1, &device), &Facts, channels, &config)
        };
        let read = |tensor: Tensor<1>| -> Vec<f32> { tensor.into_data().try_to_vec().unwrap() };
        let (weight, bias) = (
            read(layer.weight.val().reshape([classes * channels])),
            read(layer.bias.val().reshape([classes * channels])),
        );
        let slopes = read(layer.style_weight.val().reshape([classes * 2 * channels * length]));
        for batch in [1, 2] {
            let ids: Vec<Vec<u16>> =
                (0..batch).map(|k| (0..30).map(|i| ((i * 7 + k) % classes) as u16).collect()).collect();
            let (x, styles) = (random(batch * channels * 30), random(batch * classes * length));
            let maps = ids.iter().map(|ids| LabelMap::new(6, 5, ids.clone()).unwrap()).collect::<Vec<_>>();
            let mut expected = x.clone();
            for (i, value) in expected.iter_mut().enumerate() {
                let (picture, channel, pixel) = (i / channels / 30, i / 30 % channels, i % 30);
                let class = usize::from(ids[picture][pixel]);
                let row = &styles[(picture * classes + class) * length..][..length];
                let added = |channel: usize| -> f32 {
                    let slope = &slopes[(class * 2 * channels + channel) * length..][..length];
                    slope.iter().zip(row).map(|(a, b)| a * b).sum()
                };
                let at = class * channels + channel;
                *value = *value * (weight[at] + added(channel)) + bias[at] + added(channels + channel);
            }
            for encoding in [LabelEncoding::Indexed, LabelEncoding::OneHot] {
                for kernels in [true, false] {
                    let layout = Layout::new(maps.clone(), classes, encoding, &device).unwrap();
                    let style = Tensor::from_data(TensorData::new(styles.clone(), [batch, classes, length]), &device);
                    let input = BlockInput {
                        layout: &layout,
                        noise: &Noise::Zero,
                        share: &Share::default(),
                        style: Some(&style),
                    };
                    let x = Tensor::from_data(TensorData::new(x.clone(), [batch, channels, size[0], size[1]]), &device);
                    let run = || layer.modulate(x.clone(), input);
                    let found = if kernels { run() } else { ops::without(run) };
                    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
                    let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert!(off < 1e-5, "{batch} {encoding:?} {kernels}: {off}");
                }
            }
        }
    }
}
