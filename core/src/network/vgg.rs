//! VGG19 (Simonyan & Zisserman 2015) up to `relu5_1`, for the perceptual loss.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;

use crate::nn::{Conv, ConvConfig, Init, Mode};

/// Channels after each convolution, and whether the next one is preceded by a 2x2 max pool.
const PLAN: [(usize, bool); 13] = [
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
];

/// Index of each convolution in torchvision's `features`.
const TORCHVISION: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28];

/// Indices of the convolutions whose output after ReLU is compared: `relu1_1`, `relu2_1`, `relu3_1`, `relu4_1`,
/// `relu5_1`.
const TAPS: [usize; 5] = [0, 2, 4, 8, 12];

/// VGG19 as a feature extractor. Its weights come from a torchvision file that the user supplies.
#[derive(Module, Debug)]
pub struct Vgg19 {
    features: Vec<Conv>,
}

impl Vgg19 {
    /// Makes the network, with the values that `init` gives.
    pub fn new(init: &mut Init) -> Self {
        let mut input = 3;
        let mut conv = |output| {
            let layer = ConvConfig::new(input, output, 3).init(init);
            input = output;
            layer
        };
        Self { features: PLAN.iter().map(|&(output, _)| conv(output)).collect() }
    }

    /// torchvision's name of a parameter of this module.
    pub(crate) fn torchvision_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        if let ["features", index, leaf] = parts.as_slice()
            && let Some(position) = index.parse().ok().and_then(|index: usize| TORCHVISION.get(index))
        {
            return format!("features.{position}.{leaf}");
        }
        path.to_owned()
    }

    /// The five feature maps after ReLU of pictures `[batch, 3, h, w]` in -1 to 1: `[batch, 64, h, w]`, `[batch, 128,
    /// h / 2, w / 2]`, `[batch, 256, h / 4, w / 4]`, `[batch, 512, h / 8, w / 8]` and `[batch, 512, h / 16, w / 16]`.
    /// As in the papers' code, the input is not normalised to VGG's training mean and deviation.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = x;
        let mut taps = Vec::with_capacity(TAPS.len());
        for (index, (conv, (_, pool))) in self.features.iter().zip(PLAN).enumerate() {
            x = relu(conv.forward(x, Mode::EVAL));
            if TAPS.contains(&index) {
                taps.push(x.clone());
            }
            if pool {
                x = max_pool2d(x, MaxPoolOptions::new([2, 2]).with_stride([2, 2]));
            }
        }
        taps
    }
}
