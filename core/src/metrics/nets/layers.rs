//! Layers with the parameters that PyTorch's layers have, and its initial values.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv_transpose2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, ConvTransposeOptions, MaxPoolOptions};

use crate::nn::{Buffer, Init, Mode, Share, batch_norm};

/// How a kernel moves over a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) stride: usize,
    /// Zeros above and below, then to the left and right.
    pub(super) padding: [usize; 2],
    pub(super) dilation: usize,
}

impl Step {
    /// Stride 1, and zeros that keep the size.
    pub(super) fn same([height, width]: [usize; 2]) -> Self {
        Self { stride: 1, padding: [height / 2, width / 2], dilation: 1 }
    }

    /// Stride 1, kernels of 3x3 that are spread, and zeros that keep the size.
    pub(super) fn dilated(dilation: usize) -> Self {
        Self { stride: 1, padding: [dilation; 2], dilation }
    }

    /// No zeros.
    pub(super) fn valid(stride: usize) -> Self {
        Self { stride, padding: [0; 2], dilation: 1 }
    }
}

/// A convolution over `[batch, in, height, width]`.
#[derive(Module, Debug)]
pub(super) struct Kernel {
    /// `[out, in, height, width]`
    weight: Param<Tensor<4>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    step: Step,
}

impl Kernel {
    pub(super) fn new(init: &mut Init, [output, input]: [usize; 2], [height, width]: [usize; 2], step: Step) -> Self {
        Self { weight: init.kaiming_uniform([output, input, height, width]), bias: None, step }
    }

    pub(super) fn with_bias(self, init: &Init) -> Self {
        let [output, ..] = self.weight.lazy_shape().dims::<4>();
        Self { bias: Some(init.zeros([output])), ..self }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Step { stride, padding, dilation } = self.step;
        let options = ConvOptions::new([stride; 2], padding, [dilation; 2], 1);
        conv2d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

/// A transposed convolution with kernel 2 and stride 2, without bias: it doubles the size.
#[derive(Module, Debug)]
pub(super) struct Doubling {
    /// `[in, out, 2, 2]`
    weight: Param<Tensor<4>>,
}

impl Doubling {
    pub(super) fn new(init: &mut Init, channels: usize) -> Self {
        Self { weight: init.kaiming_uniform([channels, channels, 2, 2]) }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        conv_transpose2d(x, self.weight.val(), None, ConvTransposeOptions::new([2; 2], [0; 2], [0; 2], [1; 2], 1))
    }
}

/// Batch norm with its running statistics, each `[channels]`.
#[derive(Module, Debug)]
pub(super) struct Norm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: Buffer<1>,
    running_var: Buffer<1>,
}

/// Added to every variance: all of these networks use this value, not PyTorch's default.
const EPSILON: f64 = 1e-3;

impl Norm {
    pub(super) fn new(init: &mut Init, channels: usize) -> Self {
        let running = |value| Buffer::new(Tensor::full([channels], value, init.device()));
        let (running_mean, running_var) = (running(0.0), running(1.0));
        Self { weight: init.constant([channels], 1.0), bias: init.zeros([channels]), running_mean, running_var }
    }

    /// In training, statistics are those of the batch, and the running ones follow them.
    pub(super) fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        if let Mode::Train { momentum } = mode {
            let x = batch_norm(x, &self.running_mean, &self.running_var, EPSILON, momentum, &Share::default());
            return x * per_channel(self.weight.val()) + per_channel(self.bias.val());
        }
        let scale = self.weight.val() / (self.running_var.get() + EPSILON).sqrt();
        let shift = self.bias.val() - self.running_mean.get() * scale.clone();
        x * per_channel(scale) + per_channel(shift)
    }
}

/// A leaky `ReLU` with a learned slope for each channel (He et al. 2015).
#[derive(Module, Debug)]
pub(super) struct Slope {
    /// `[channels]`
    weight: Param<Tensor<1>>,
}

impl Slope {
    pub(super) fn new(init: &mut Init, channels: usize) -> Self {
        Self { weight: init.constant([channels], 0.25) }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        relu(x.clone()) - relu(x.neg()) * per_channel(self.weight.val())
    }
}

/// `[channels] -> [1, channels, 1, 1]`
fn per_channel(values: Tensor<1>) -> Tensor<4> {
    let [channels] = values.dims();
    values.reshape([1, channels, 1, 1])
}

/// The largest value of windows of 3x3.
pub(super) fn max_pool(x: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    max_pool2d(x, MaxPoolOptions::new([3; 2]).with_stride([stride; 2]).with_padding([padding; 2]))
}

/// The mean of windows of 3x3 with a border of one pixel; `zeros` says whether the border counts as zeros.
pub(super) fn avg_pool(x: Tensor<4>, stride: usize, zeros: bool) -> Tensor<4> {
    let options = AvgPoolOptions::new([3; 2]).with_stride([stride; 2]).with_padding([1; 2]);
    avg_pool2d(x, options.with_count_include_pad(zeros))
}

/// The mean of each channel over the picture: `[batch, channels, h, w] -> [batch, channels]`.
pub(super) fn mean_of_channels(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, ..] = x.dims();
    x.mean_dims(&[2, 3]).reshape([batch, channels])
}
