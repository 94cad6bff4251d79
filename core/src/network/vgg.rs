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
#[cfg(feature = "train")]
const TORCHVISION: [usize; 13] = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28];

/// Convolutions whose rectified output is compared: `relu1_1`, `relu2_1`, `relu3_1`, `relu4_1`, `relu5_1`.
const TAPS: [usize; 5] = [0, 2, 4, 8, 12];

/// The feature extractor. Its weights come from a torchvision file that the user supplies.
#[derive(Module, Debug)]
pub struct Vgg19 {
    features: Vec<Conv>,
}

impl Vgg19 {
    /// The network as `init` fills it.
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
    #[cfg(feature = "train")]
    pub(crate) fn torchvision_name(path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        if let ["features", index, leaf] = parts.as_slice()
            && let Some(position) = index.parse().ok().and_then(|index: usize| TORCHVISION.get(index))
        {
            return format!("features.{position}.{leaf}");
        }
        path.to_owned()
    }

    /// The five rectified feature maps, of `[batch, 3, height, width]` in -1 to 1 (the papers do not shift it to the
    /// mean and deviation VGG was trained with).
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
