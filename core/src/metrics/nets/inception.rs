//! Inception-v3 (Szegedy et al. 2016), in the form whose features FID is defined on.

use std::path::Path;

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use image::RgbImage;

use super::layers::{Kernel, Norm, Step, avg_pool, max_pool, mean_of_channels};
use super::planes::resized;
use super::{load, open};
use crate::device::Device;
use crate::error::Result;
use crate::model::read_back;
use crate::nn::{Init, Mode};
use crate::tensors::Tensors;

/// What a weights file should be, for messages.
const WHAT: &str = "pytorch-fid's pt_inception-2015-12-05";

/// Side of the picture the network sees.
const SIDE: usize = 299;

/// Inception-v3 up to its last pooling, as `pytorch-fid` uses it: the weights of the network that FID was published with
/// (`pt_inception-2015-12-05`), average pooling that leaves out the border, and maximum pooling in the last block.
///
/// Pictures are resized to 299x299 with bilinear interpolation that does not average when it shrinks (PyTorch's
/// `interpolate` without corners aligned), and scaled to -1 to 1.
#[derive(Module, Debug)]
pub struct Inception {
    conv2d_1a_3x3: Unit,
    conv2d_2a_3x3: Unit,
    conv2d_2b_3x3: Unit,
    conv2d_3b_1x1: Unit,
    conv2d_4a_3x3: Unit,
    mixed_5b: BlockA,
    mixed_5c: BlockA,
    mixed_5d: BlockA,
    mixed_6a: BlockB,
    mixed_6b: BlockC,
    mixed_6c: BlockC,
    mixed_6d: BlockC,
    mixed_6e: BlockC,
    mixed_7a: BlockD,
    mixed_7b: BlockE,
    mixed_7c: BlockE,
}

impl Inception {
    /// Number of features of a picture.
    pub const FEATURES: usize = 2048;

    /// Opens the weights, `.pth` or `.safetensors`, with the names of `pytorch-fid`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read, [`Error::Model`](crate::Error::Model) if it is
    /// damaged or holds another network.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let tensors = open(path, WHAT, |name| name.starts_with("Conv2d_1a_3x3."))?;
        Self::from_tensors(&tensors, device)
            .map_err(|error| error.context(format!("{}: this is not {WHAT}", path.display())))
    }

    /// Takes the weights from tensors with the names of `pytorch-fid`. Other tensors are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) naming the tensor that is missing, has the wrong shape, or holds a value
    /// that is not finite.
    pub fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self> {
        // `conv2d_1a_3x3` is `Conv2d_1a_3x3`, `mixed_5b` is `Mixed_5b`.
        let name = |path: &str| path.replacen("conv2d_", "Conv2d_", 1).replacen("mixed_", "Mixed_", 1);
        load(Self::new(&mut Init::to_load(device.burn())), tensors, name)
    }

    fn new(init: &mut Init) -> Self {
        let mut plain = |input, output, kernel, step| Unit::new(init, input, output, [kernel; 2], step);
        Self {
            conv2d_1a_3x3: plain(3, 32, 3, Step::valid(2)),
            conv2d_2a_3x3: plain(32, 32, 3, Step::valid(1)),
            conv2d_2b_3x3: plain(32, 64, 3, Step::same([3; 2])),
            conv2d_3b_1x1: plain(64, 80, 1, Step::valid(1)),
            conv2d_4a_3x3: plain(80, 192, 3, Step::valid(1)),
            mixed_5b: BlockA::new(init, 192, 32),
            mixed_5c: BlockA::new(init, 256, 64),
            mixed_5d: BlockA::new(init, 288, 64),
            mixed_6a: BlockB::new(init),
            mixed_6b: BlockC::new(init, 128),
            mixed_6c: BlockC::new(init, 160),
            mixed_6d: BlockC::new(init, 160),
            mixed_6e: BlockC::new(init, 192),
            mixed_7a: BlockD::new(init),
            mixed_7b: BlockE::new(init, 1280, false),
            mixed_7c: BlockE::new(init, 2048, true),
        }
    }

    /// The features of a picture of any size: 2048 values, none below 0.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    pub fn features(&self, image: &RgbImage, device: &Device) -> Result<Vec<f32>> {
        let planes: Vec<f32> = resized(image, SIDE).into_iter().map(|value| value / 127.5 - 1.0).collect();
        let x = Tensor::from_data(TensorData::new(planes, [1, 3, SIDE, SIDE]), device.burn());
        read_back(self.forward(x))
    }

    /// `[batch, 3, h, w]` in -1 to 1, with sides of at least 75, to `[batch, 2048]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.conv2d_1a_3x3.forward(x);
        let x = self.conv2d_2b_3x3.forward(self.conv2d_2a_3x3.forward(x));
        let x = self.conv2d_3b_1x1.forward(max_pool(x, 2, 0));
        let x = max_pool(self.conv2d_4a_3x3.forward(x), 2, 0);
        let x = self.mixed_5d.forward(self.mixed_5c.forward(self.mixed_5b.forward(x)));
        let x = self.mixed_6b.forward(self.mixed_6a.forward(x));
        let x = self.mixed_6e.forward(self.mixed_6d.forward(self.mixed_6c.forward(x)));
        let x = self.mixed_7b.forward(self.mixed_7a.forward(x));
        mean_of_channels(self.mixed_7c.forward(x))
    }
}

/// Convolution without bias, batch norm, `ReLU`.
#[derive(Module, Debug)]
struct Unit {
    conv: Kernel,
    bn: Norm,
}

impl Unit {
    fn new(init: &mut Init, input: usize, output: usize, kernel: [usize; 2], step: Step) -> Self {
        Self { conv: Kernel::new(init, [output, input], kernel, step), bn: Norm::new(init, output) }
    }

    /// Stride 1, and zeros that keep the size.
    fn same(init: &mut Init, input: usize, output: usize, kernel: [usize; 2]) -> Self {
        Self::new(init, input, output, kernel, Step::same(kernel))
    }

    /// Kernel 3, which halves the size.
    fn halving(init: &mut Init, input: usize, output: usize) -> Self {
        Self::new(init, input, output, [3; 2], Step::valid(2))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(self.bn.forward(self.conv.forward(x), Mode::EVAL))
    }
}

/// Applies units one after the other.
fn chain(x: &Tensor<4>, units: &[&Unit]) -> Tensor<4> {
    units.iter().fold(x.clone(), |x, unit| unit.forward(x))
}

#[derive(Module, Debug)]
struct BlockA {
    branch1x1: Unit,
    branch5x5_1: Unit,
    branch5x5_2: Unit,
    branch3x3dbl_1: Unit,
    branch3x3dbl_2: Unit,
    branch3x3dbl_3: Unit,
    branch_pool: Unit,
}

impl BlockA {
    fn new(init: &mut Init, input: usize, pooled: usize) -> Self {
        let mut unit = |input, output, side| Unit::same(init, input, output, [side; 2]);
        Self {
            branch1x1: unit(input, 64, 1),
            branch5x5_1: unit(input, 48, 1),
            branch5x5_2: unit(48, 64, 5),
            branch3x3dbl_1: unit(input, 64, 1),
            branch3x3dbl_2: unit(64, 96, 3),
            branch3x3dbl_3: unit(96, 96, 3),
            branch_pool: unit(input, pooled, 1),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let double = chain(&x, &[&self.branch3x3dbl_1, &self.branch3x3dbl_2, &self.branch3x3dbl_3]);
        let five = chain(&x, &[&self.branch5x5_1, &self.branch5x5_2]);
        let pool = self.branch_pool.forward(avg_pool(x.clone(), 1, false));
        Tensor::cat(vec![self.branch1x1.forward(x), five, double, pool], 1)
    }
}

#[derive(Module, Debug)]
struct BlockB {
    branch3x3: Unit,
    branch3x3dbl_1: Unit,
    branch3x3dbl_2: Unit,
    branch3x3dbl_3: Unit,
}

impl BlockB {
    fn new(init: &mut Init) -> Self {
        Self {
            branch3x3: Unit::halving(init, 288, 384),
            branch3x3dbl_1: Unit::same(init, 288, 64, [1; 2]),
            branch3x3dbl_2: Unit::same(init, 64, 96, [3; 2]),
            branch3x3dbl_3: Unit::halving(init, 96, 96),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let double = chain(&x, &[&self.branch3x3dbl_1, &self.branch3x3dbl_2, &self.branch3x3dbl_3]);
        Tensor::cat(vec![self.branch3x3.forward(x.clone()), double, max_pool(x, 2, 0)], 1)
    }
}

/// Kernels of one row or one column with seven values.
const ROW: [usize; 2] = [1, 7];
const COLUMN: [usize; 2] = [7, 1];

#[derive(Module, Debug)]
struct BlockC {
    branch1x1: Unit,
    branch7x7_1: Unit,
    branch7x7_2: Unit,
    branch7x7_3: Unit,
    branch7x7dbl_1: Unit,
    branch7x7dbl_2: Unit,
    branch7x7dbl_3: Unit,
    branch7x7dbl_4: Unit,
    branch7x7dbl_5: Unit,
    branch_pool: Unit,
}

impl BlockC {
    fn new(init: &mut Init, inner: usize) -> Self {
        let mut unit = |input, output, kernel| Unit::same(init, input, output, kernel);
        Self {
            branch1x1: unit(768, 192, [1; 2]),
            branch7x7_1: unit(768, inner, [1; 2]),
            branch7x7_2: unit(inner, inner, ROW),
            branch7x7_3: unit(inner, 192, COLUMN),
            branch7x7dbl_1: unit(768, inner, [1; 2]),
            branch7x7dbl_2: unit(inner, inner, COLUMN),
            branch7x7dbl_3: unit(inner, inner, ROW),
            branch7x7dbl_4: unit(inner, inner, COLUMN),
            branch7x7dbl_5: unit(inner, 192, ROW),
            branch_pool: unit(768, 192, [1; 2]),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let seven = chain(&x, &[&self.branch7x7_1, &self.branch7x7_2, &self.branch7x7_3]);
        let double = [
            &self.branch7x7dbl_1,
            &self.branch7x7dbl_2,
            &self.branch7x7dbl_3,
            &self.branch7x7dbl_4,
            &self.branch7x7dbl_5,
        ];
        let double = chain(&x, &double);
        let pool = self.branch_pool.forward(avg_pool(x.clone(), 1, false));
        Tensor::cat(vec![self.branch1x1.forward(x), seven, double, pool], 1)
    }
}

#[derive(Module, Debug)]
struct BlockD {
    branch3x3_1: Unit,
    branch3x3_2: Unit,
    branch7x7x3_1: Unit,
    branch7x7x3_2: Unit,
    branch7x7x3_3: Unit,
    branch7x7x3_4: Unit,
}

impl BlockD {
    fn new(init: &mut Init) -> Self {
        Self {
            branch3x3_1: Unit::same(init, 768, 192, [1; 2]),
            branch3x3_2: Unit::halving(init, 192, 320),
            branch7x7x3_1: Unit::same(init, 768, 192, [1; 2]),
            branch7x7x3_2: Unit::same(init, 192, 192, ROW),
            branch7x7x3_3: Unit::same(init, 192, 192, COLUMN),
            branch7x7x3_4: Unit::halving(init, 192, 192),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let three = chain(&x, &[&self.branch3x3_1, &self.branch3x3_2]);
        let seven = chain(&x, &[&self.branch7x7x3_1, &self.branch7x7x3_2, &self.branch7x7x3_3, &self.branch7x7x3_4]);
        Tensor::cat(vec![three, seven, max_pool(x, 2, 0)], 1)
    }
}

#[derive(Module, Debug)]
struct BlockE {
    branch1x1: Unit,
    branch3x3_1: Unit,
    branch3x3_2a: Unit,
    branch3x3_2b: Unit,
    branch3x3dbl_1: Unit,
    branch3x3dbl_2: Unit,
    branch3x3dbl_3a: Unit,
    branch3x3dbl_3b: Unit,
    branch_pool: Unit,
    /// Whether windows are pooled to their largest value, as in the last block of the published network, or to their
    /// mean.
    largest: bool,
}

impl BlockE {
    fn new(init: &mut Init, input: usize, largest: bool) -> Self {
        let mut unit = |input, output, kernel| Unit::same(init, input, output, kernel);
        Self {
            branch1x1: unit(input, 320, [1; 2]),
            branch3x3_1: unit(input, 384, [1; 2]),
            branch3x3_2a: unit(384, 384, [1, 3]),
            branch3x3_2b: unit(384, 384, [3, 1]),
            branch3x3dbl_1: unit(input, 448, [1; 2]),
            branch3x3dbl_2: unit(448, 384, [3; 2]),
            branch3x3dbl_3a: unit(384, 384, [1, 3]),
            branch3x3dbl_3b: unit(384, 384, [3, 1]),
            branch_pool: unit(input, 192, [1; 2]),
            largest,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let three = self.branch3x3_1.forward(x.clone());
        let double = chain(&x, &[&self.branch3x3dbl_1, &self.branch3x3dbl_2]);
        let pool = if self.largest { max_pool(x.clone(), 1, 1) } else { avg_pool(x.clone(), 1, false) };
        let branches = vec![
            self.branch1x1.forward(x),
            self.branch3x3_2a.forward(three.clone()),
            self.branch3x3_2b.forward(three),
            self.branch3x3dbl_3a.forward(double.clone()),
            self.branch3x3dbl_3b.forward(double),
            self.branch_pool.forward(pool),
        ];
        Tensor::cat(branches, 1)
    }
}
