//! VGG19 (Simonyan & Zisserman 2015) up to `relu5_1` or `relu5_2`, for perceptual losses.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

use crate::nn::{Conv, ConvConfig, Init, Mode};

/// Channels after each convolution, and whether the next one is preceded by a 2x2 max pool.
const PLAN: [(usize, bool); 14] = [
    (64, false),
    (64, true),
    (128, false),
    (128, true),
    (256, false),
    (256, false),
    (256, false),
    (256, true),
    (512, false),
    (512, false),
    (512, false),
    (512, true),
    (512, false),
    (512, false),
];

/// Index of each convolution in torchvision's `features`.
const TORCHVISION: [usize; 14] = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30];

/// The layers of VGG19 whose output is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VggTaps {
    /// `relu1_1`, `relu2_1`, `relu3_1`, `relu4_1` and `relu5_1` (Wang et al. 2018; Park et al. 2019).
    #[default]
    First,
    /// `relu1_2`, `relu2_2`, `relu3_2`, `relu4_2` and `relu5_2` (Chen & Koltun 2017).
    Second,
}

impl VggTaps {
    /// Indices of the convolutions whose output after `ReLU` is compared.
    fn convolutions(self) -> [usize; 5] {
        match self {
            Self::First => [0, 2, 4, 8, 12],
            Self::Second => [1, 3, 5, 9, 13],
        }
    }
}

/// VGG19 as a feature extractor. Its weights come from a torchvision file that the user supplies.
#[derive(Module, Debug)]
pub struct Vgg19 {
    features: Vec<Conv>,
    /// Indices of the convolutions whose output is compared.
    taps: Vec<usize>,
}

impl Vgg19 {
    /// Makes the network up to the last of the layers to compare, with the values that `init` gives.
    pub fn new(init: &mut Init, taps: VggTaps) -> Self {
        let taps = taps.convolutions();
        let mut input = 3;
        let mut conv = |output| {
            let layer = ConvConfig::new(input, output, 3).init(init);
            input = output;
            layer
        };
        let count = taps.last().map_or(0, |last| last + 1);
        let features = PLAN.iter().take(count).map(|&(output, _)| conv(output)).collect();
        Self { features, taps: taps.to_vec() }
    }

    /// The five feature maps after ReLU of pictures `[batch, 3, h, w]` in -1 to 1: `[batch, 64, h, w]`, `[batch, 128,
    /// h / 2, w / 2]`, `[batch, 256, h / 4, w / 4]`, `[batch, 512, h / 8, w / 8]` and `[batch, 512, h / 16, w / 16]`.
    /// The input is not normalised to VGG's training mean and deviation: the loss may do that before.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = x;
        let mut taps = Vec::with_capacity(self.taps.len());
        for (index, (conv, (_, pool))) in self.features.iter().zip(PLAN).enumerate() {
            x = relu(conv.forward(x, Mode::EVAL));
            if self.taps.contains(&index) {
                taps.push(x.clone());
            }
            if pool {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
            }
        }
        taps
    }
}

/// torchvision's name of a layer, from its path.
pub(super) fn official_name(parts: &[&str]) -> Option<String> {
    let ["features", index] = parts else { return None };
    Some(format!("features.{}", TORCHVISION.get(index.parse::<usize>().ok()?)?))
}
