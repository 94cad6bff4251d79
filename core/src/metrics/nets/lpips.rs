//! LPIPS (Zhang et al. 2018): the distance of two pictures in the features of a network.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use image::RgbImage;

use super::layers::{Kernel, Step, max_pool};
use super::planes::tensor;
use super::{load, open};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::metrics::similarity::same_size;
use crate::model::read_back;
use crate::nn::Init;
use crate::tensors::Tensors;

/// A network whose features are compared, of torchvision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backbone {
    Alex,
    Vgg16,
}

/// A convolution of a backbone.
struct Layer {
    /// Index in torchvision's `features`.
    index: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Whether a pooling comes before it.
    pooled: bool,
    /// Whether its output after `ReLU` is compared.
    tap: bool,
}

const fn layer(index: usize, output: usize, pooled: bool, tap: bool) -> Layer {
    Layer { index, output, kernel: 3, stride: 1, padding: 1, pooled, tap }
}

const ALEX: [Layer; 5] = [
    Layer { index: 0, output: 64, kernel: 11, stride: 4, padding: 2, pooled: false, tap: true },
    Layer { index: 3, output: 192, kernel: 5, stride: 1, padding: 2, pooled: true, tap: true },
    layer(6, 384, true, true),
    layer(8, 256, false, true),
    layer(10, 256, false, true),
];

const VGG16: [Layer; 13] = [
    layer(0, 64, false, false),
    layer(2, 64, false, true),
    layer(5, 128, true, false),
    layer(7, 128, false, true),
    layer(10, 256, true, false),
    layer(12, 256, false, false),
    layer(14, 256, false, true),
    layer(17, 512, true, false),
    layer(19, 512, false, false),
    layer(21, 512, false, true),
    layer(24, 512, true, false),
    layer(26, 512, false, false),
    layer(28, 512, false, true),
];

impl Backbone {
    fn layers(self) -> &'static [Layer] {
        match self {
            Self::Alex => &ALEX,
            Self::Vgg16 => &VGG16,
        }
    }

    /// Length of the shortest side that leaves something to compare at the last layer.
    fn shortest(self) -> u32 {
        match self {
            Self::Alex => 31,
            Self::Vgg16 => 16,
        }
    }
}

/// Mean and deviation of the pictures the backbones were trained on, for values in -1 to 1 (red, green, blue).
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// What the files should be, for messages.
const WHAT: &str = "torchvision's AlexNet or VGG16, or the `lin` weights of the package lpips";

/// The distance LPIPS, version 0.1 with learned weights (`lin`), on AlexNet or VGG16.
#[derive(Module, Debug)]
pub struct Lpips {
    convs: Vec<Kernel>,
    /// Weights of the channels of each compared layer, `[1, channels, 1, 1]`.
    lins: Vec<Param<Tensor<4>>>,
    #[module(skip)]
    backbone: Backbone,
}

impl Lpips {
    /// Opens the weights: torchvision's file of AlexNet or VGG16 (`features.0.weight`, …) and the file of that network
    /// in the package lpips (`lin0.model.1.weight`, …), in any order, or one file that holds both; `.pth` or
    /// `.safetensors`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read, [`Error::Model`] if one is damaged, holds another network, or is not
    /// given.
    pub fn open(paths: &[impl AsRef<Path>], device: &Device) -> Result<Self> {
        let mut all = Tensors::new();
        let is_part = |name: &str| name.starts_with("features.") || is_lin(name);
        for path in paths {
            let path = path.as_ref();
            let mut tensors = open(path, WHAT, is_part)?;
            // The classifiers of the backbones are larger than all else.
            tensors.retain(is_part);
            if tensors.is_empty() {
                return Err(Error::Model(format!("{}: this is neither of {WHAT}", path.display())));
            }
            let names: Vec<String> = tensors.names().map(str::to_owned).collect();
            for name in names {
                if let Some(data) = tensors.remove(&name) {
                    let clash = |_| {
                        let path = path.display();
                        Error::Model(format!("{path}: another file has the tensor {name:?} too: give one of the two"))
                    };
                    all.insert(name.clone(), data).map_err(clash)?;
                }
            }
        }
        Self::from_tensors(&all, device).map_err(|error| {
            let files: Vec<String> = paths.iter().map(|path| path.as_ref().display().to_string()).collect();
            error.context(files.join(", "))
        })
    }

    /// Takes the weights from tensors with torchvision's and lpips' names. Other tensors are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] naming the tensor that is missing, has the wrong shape, or holds a value that is not finite.
    pub fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self> {
        let Some(first) = tensors.get("features.0.weight") else {
            return Err(Error::Model(
                "LPIPS needs torchvision's AlexNet or VGG16 (features.0.weight, …) beside the `lin` weights".into(),
            ));
        };
        let backbone = match first.shape() {
            [64, 3, 11, 11] => Backbone::Alex,
            [64, 3, 3, 3] => Backbone::Vgg16,
            shape => {
                return Err(Error::Model(format!(
                    "LPIPS works on torchvision's AlexNet and VGG16; \"features.0.weight\" of shape {shape:?} is of neither"
                )));
            }
        };
        if !tensors.names().any(is_lin) {
            return Err(Error::Model(
                "LPIPS needs the `lin` weights of the package lpips (lin0.model.1.weight, …) beside the network".into(),
            ));
        }
        let name = |path: &str| {
            let parts: Vec<&str> = path.split('.').collect();
            match parts.as_slice() {
                ["convs", place, leaf] => {
                    let layer = place.parse::<usize>().ok().and_then(|place| backbone.layers().get(place));
                    layer.map_or_else(|| path.to_owned(), |layer| format!("features.{}.{leaf}", layer.index))
                }
                ["lins", place] => format!("lin{place}.model.1.weight"),
                _ => path.to_owned(),
            }
        };
        load(Self::new(backbone, &mut Init::to_load(device.burn())), tensors, name)
    }

    fn new(backbone: Backbone, init: &mut Init) -> Self {
        let mut input = 3;
        let mut convs = Vec::new();
        for layer in backbone.layers() {
            let step = Step { stride: layer.stride, padding: [layer.padding; 2], dilation: 1 };
            convs.push(Kernel::new(init, [layer.output, input], [layer.kernel; 2], step).with_bias(init));
            input = layer.output;
        }
        let taps = backbone.layers().iter().filter(|layer| layer.tap);
        Self { convs, lins: taps.map(|layer| init.zeros([1, layer.output, 1, 1])).collect(), backbone }
    }

    /// The name of the network whose features are compared, as lpips names it: `alex` or `vgg`.
    pub fn backbone(&self) -> &'static str {
        match self.backbone {
            Backbone::Alex => "alex",
            Backbone::Vgg16 => "vgg",
        }
    }

    /// The distance of two pictures of equal size, at that size: 0 for equal ones, usually below 1.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the sizes differ or a side is too short (31 pixels with AlexNet, 16 with VGG16),
    /// [`Error::Device`] if the device fails.
    pub fn distance(&self, a: &RgbImage, b: &RgbImage, device: &Device) -> Result<f64> {
        same_size(a, b)?;
        let ((width, height), shortest) = (a.dimensions(), self.backbone.shortest());
        if width.min(height) < shortest {
            return Err(Error::Argument(format!(
                "LPIPS with this network needs pictures of at least {shortest}x{shortest} pixels, these have \
                 {width}x{height}"
            )));
        }
        let tensor = |image| tensor(image, [0, 1, 2], |_, value| value / 127.5 - 1.0, device.burn());
        let values = read_back(self.forward(tensor(a), tensor(b)))?;
        Ok(values.first().copied().map_or(f64::NAN, f64::from))
    }

    /// The distances of the pictures of two batches, `[batch, 3, h, w]` in -1 to 1 each: `[batch]`.
    pub fn forward(&self, a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = a.dims();
        let total = self.taps(a).into_iter().zip(self.taps(b)).zip(&self.lins).map(|((a, b), lin)| {
            let difference = (unit(a) - unit(b)).square();
            (difference * lin.val()).sum_dim(1).mean_dims(&[2, 3]).reshape([batch])
        });
        total.reduce(|a, b| a + b).expect("both networks have compared layers")
    }

    /// The compared features.
    fn taps(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        let constant = |values: [f32; 3]| Tensor::<1>::from_floats(values, &x.device()).reshape([1, 3, 1, 1]);
        let mut x = (x.clone() - constant(SHIFT)) / constant(SCALE);
        let mut taps = Vec::with_capacity(self.lins.len());
        for (conv, layer) in self.convs.iter().zip(self.backbone.layers()) {
            if layer.pooled {
                x = match self.backbone {
                    Backbone::Alex => max_pool(x, 2, 0),
                    Backbone::Vgg16 => max_pool2d(x, MaxPoolOptions::new([2; 2]).with_stride([2; 2])),
                };
            }
            x = relu(conv.forward(x));
            if layer.tap {
                taps.push(x.clone());
            }
        }
        taps
    }
}

/// Whether a tensor belongs to the learned weights of lpips.
fn is_lin(name: &str) -> bool {
    name.strip_prefix("lin").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The vector of channels at each place, divided by its length.
fn unit(x: Tensor<4>) -> Tensor<4> {
    let length = x.clone().square().sum_dim(1).sqrt() + 1e-10;
    x / length
}
