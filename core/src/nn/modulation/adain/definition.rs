//! Reference implementation of per-class AdaIN in Burn operations, and its GPU tables.

use burn::module::Module;
use burn::tensor::Tensor;

use super::super::ModulationConfig;
use super::super::norm::{Layer, ModulationTables};
use super::Facts;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Init, LabelEncoding, Linear};

/// `y = n (1 + gamma) + beta`, where gamma and beta are a linear function of the style of the pixel's class.
#[derive(Module, Debug)]
pub struct Adain {
    /// Maps a style, `[length]`, to gamma and beta, `[2 channels]`.
    style_affine: Linear,
}

impl Layer for Adain {
    type Facts = Facts;

    fn new(init: &mut Init, _facts: &Facts, channels: usize, config: &ModulationConfig) -> Self {
        Self { style_affine: Linear::new(init, config.style, 2 * channels) }
    }

    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [batch, _, height, width] = normalized.dims();
        let Some(style) = input.style else { return normalized };
        let labels = input.layout.at(height, width);
        let [gamma, beta] = self.gamma_beta(style).map(|table| {
            let [_, classes, channels] = table.dims();
            if batch == 1 && input.layout.encoding() == LabelEncoding::Indexed {
                return labels.look_up(table.reshape([classes, channels]), LabelEncoding::Indexed);
            }
            let pixels = labels.one_hot().reshape([batch, classes, height * width]);
            table.swap_dims(1, 2).matmul(pixels).reshape([batch, channels, height, width])
        });
        normalized * (gamma + 1.0) + beta
    }

    fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        let [gamma, beta] = self.gamma_beta(style?).map(|table| {
            let [_, classes, channels] = table.dims();
            table.reshape([classes, channels])
        });
        Some(ModulationTables { gamma_beta: [gamma + 1.0, beta], rows: labels.ids() })
    }
}

impl Adain {
    /// Gamma and beta of each class, each `[batch, classes, channels]`, for styles `[batch, classes, length]`.
    fn gamma_beta(&self, style: &Tensor<3>) -> [Tensor<3>; 2] {
        let [batch, classes, length] = style.dims();
        let both = self.style_affine.forward(style.clone().reshape([batch * classes, length]));
        let channels = both.dims()[1] / 2;
        let both: Tensor<3> = both.reshape([batch, classes, 2 * channels]);
        [both.clone().narrow(2, 0, channels), both.narrow(2, channels, channels)]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::{Layout, Noise, NormKind, Share};
    use crate::rng::Rng;

    /// Value by value, in both encodings, for a batch of one picture and of two.
    #[test]
    fn it_is_a_linear_map_of_the_style_of_each_class() {
        let (device, classes, channels, length, size) = (Device::flex(), 3, 2, 4, [5, 6]);
        let mut rng = Rng::new(1);
        let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let config = ModulationConfig { norm: NormKind::Batch, labels: classes, edges: false, style: length };
        let adain = Adain::new(&mut Init::random(1, &device), &Facts, channels, &config);
        let probe = |x: Vec<f32>| -> Vec<f32> {
            let x = Tensor::<2>::from_data(TensorData::new(x, [1, length]), &device);
            adain.style_affine.forward(x).into_data().try_to_vec().unwrap()
        };
        for batch in [1, 2] {
            let ids: Vec<Vec<u16>> =
                (0..batch).map(|k| (0..30).map(|i| ((i * 7 + k) % classes) as u16).collect()).collect();
            let (x, styles) = (random(batch * channels * 30), random(batch * classes * length));
            let maps = ids.iter().map(|ids| LabelMap::new(6, 5, ids.clone()).unwrap()).collect::<Vec<_>>();
            let mut expected = x.clone();
            for (i, value) in expected.iter_mut().enumerate() {
                let (picture, channel, pixel) = (i / channels / 30, i / 30 % channels, i % 30);
                let class = usize::from(ids[picture][pixel]);
                let both = probe(styles[(picture * classes + class) * length..][..length].to_vec());
                *value = *value * (1.0 + both[channel]) + both[channels + channel];
            }
            for encoding in [LabelEncoding::Indexed, LabelEncoding::OneHot] {
                let layout = Layout::new(maps.clone(), classes, encoding, &device).unwrap();
                let style = Tensor::from_data(TensorData::new(styles.clone(), [batch, classes, length]), &device);
                let input =
                    BlockInput { layout: &layout, noise: &Noise::Zero, share: &Share::default(), style: Some(&style) };
                let x = Tensor::from_data(TensorData::new(x.clone(), [batch, channels, size[0], size[1]]), &device);
                let found: Vec<f32> = adain.modulate(x, input).into_data().try_to_vec().unwrap();
                let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-5, "{batch} {encoding:?}: {off}");
            }
        }
    }
}
