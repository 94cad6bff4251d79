//! Convolution, plain or with spectral norm.

use burn::module::{Module, Param};
use burn::tensor::module::conv2d;
use burn::tensor::ops::{ConvOptions, PadMode};
use burn::tensor::{Device, Tensor, s};

use super::{Init, Mode, SpectralNorm};

/// Shape and kind of a [`Conv`].
#[derive(Clone, Copy, Debug)]
pub struct ConvConfig {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    bias: bool,
    spectral: bool,
}

impl ConvConfig {
    /// A square kernel with stride 1, "same" zero padding (`kernel / 2`), a bias and no spectral norm.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self { input, output, kernel, stride: 1, padding: kernel / 2, bias: true, spectral: false }
    }

    /// Another stride.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Another zero padding, on all four sides.
    #[must_use]
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// No bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The weight is divided by its largest singular value.
    #[must_use]
    pub fn spectral(self) -> Self {
        Self { spectral: true, ..self }
    }

    /// Makes the layer. Plain weights are drawn Xavier-normal with gain 0.02, spectral ones as `PyTorch` does by
    /// default: that is what training the papers' code on a GPU ends up with. Biases start at 0.
    pub fn init(self, init: &mut Init) -> Conv {
        let shape = [self.output, self.input, self.kernel, self.kernel];
        let spectral = self.spectral && init.spectral();
        let weight = if spectral { init.kaiming_uniform(shape) } else { init.xavier_normal(shape, 0.02) };
        let spectral = spectral.then(|| SpectralNorm::new(init, self.output, self.input * self.kernel * self.kernel));
        let bias = self.bias.then(|| init.zeros([self.output]));
        Conv { weight, bias, spectral, stride: self.stride, padding: self.padding }
    }
}

/// A 2-d convolution over `[batch, in, height, width]`.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, kernel, kernel]`
    weight: Param<Tensor<4>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
    spectral: Option<SpectralNorm>,
    stride: usize,
    padding: usize,
}

impl Conv {
    /// Convolves. In training mode spectral norm does one power iteration first.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let weight = self.effective_weight(mode);
        let bias = self.bias.as_ref().map(Param::val);
        if lowering_pays(&x, &weight) {
            return lowered(x, weight, bias, self.stride, self.padding);
        }
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(x, weight, bias, options)
    }

    /// The stored weight, `[out, in, kernel, kernel]`; with spectral norm, before the division.
    pub(crate) fn weight(&self) -> Tensor<4> {
        self.weight.val()
    }

    /// The bias, `[out]`.
    pub(crate) fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }

    /// The weight a forward pass convolves with.
    pub(crate) fn effective_weight(&self, mode: Mode) -> Tensor<4> {
        match &self.spectral {
            Some(spectral) => {
                let weight = self.weight.val();
                let [out, ..] = weight.dims();
                let matrix = weight.clone().reshape([out as i32, -1]);
                weight / spectral.sigma(matrix, mode)
            }
            None => self.weight.val(),
        }
    }

    /// The same convolution without spectral norm: its weight is divided once and for all.
    #[must_use]
    pub fn folded(self) -> Self {
        let weight = Param::from_tensor(self.effective_weight(Mode::EVAL).detach());
        Self { weight, spectral: None, ..self }
    }
}

/// Whether [`lowered`] is the faster way on this device (measured; see BENCHMARKS.md, "Convolution in training").
///
/// On the CPU Burn takes the gradient with respect to the weight as a convolution whose kernel is as large as the picture.
/// That is slow for 1x1 kernels, and very slow where both the batch and the output channels are few.
fn lowering_pays(x: &Tensor<4>, weight: &Tensor<4>) -> bool {
    let [batch, ..] = x.dims();
    let [out, _, kernel, _] = weight.dims();
    let slow = kernel == 1 || (batch <= 4 && out <= 16);
    slow && weight.is_tracked() && weight.device() == Device::flex()
}

/// A convolution as one matrix product over shifted copies of its input.
/// Its gradients are matrix products too.
fn lowered(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: usize, padding: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let [out, _, kernel_h, kernel_w] = weight.dims();
    let rows = (height + 2 * padding - kernel_h) / stride + 1;
    let columns = (width + 2 * padding - kernel_w) / stride + 1;
    let x = if padding > 0 { x.pad((padding, padding, padding, padding), PadMode::Constant(0.0)) } else { x };
    let mut taps = Vec::with_capacity(kernel_h * kernel_w);
    for dy in 0..kernel_h {
        for dx in 0..kernel_w {
            let (end_y, end_x) = (dy + (rows - 1) * stride + 1, dx + (columns - 1) * stride + 1);
            let step = stride as isize;
            let tap = x.clone().slice(s![.., .., dy..end_y;step, dx..end_x;step]);
            taps.push(tap.reshape([batch, channels, rows * columns]));
        }
    }
    let taps = if taps.len() == 1 { taps.remove(0) } else { Tensor::cat(taps, 1) };
    let matrix = weight.permute([0, 2, 3, 1]).reshape([1, out, kernel_h * kernel_w * channels]);
    let y =
        matrix.expand([batch, out, kernel_h * kernel_w * channels]).matmul(taps).reshape([batch, out, rows, columns]);
    match bias {
        Some(bias) => y + bias.reshape([1, out, 1, 1]),
        None => y,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random(shape: [usize; 4], seed: u64, device: &Device) -> Tensor<4> {
        let mut rng = Rng::new(seed);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
        Tensor::from_data(burn::tensor::TensorData::new(values, shape), device)
    }

    /// The largest difference, as a share of the largest value.
    fn relative<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let largest: f32 = b.clone().abs().max().into_scalar();
        (a - b).abs().max().into_scalar::<f32>() / largest
    }

    #[test]
    fn lowering_changes_neither_values_nor_gradients() {
        let device = Device::flex().autodiff();
        for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (4, 2, 2), (4, 1, 2), (3, 2, 1)] {
            let x = random([2, 3, 9, 8], 1, &device).require_grad();
            let weight = random([5, 3, kernel, kernel], 2, &device).require_grad();
            let bias = random([5, 1, 1, 1], 3, &device).reshape([5]);
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let plain = conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let found = lowered(x.clone(), weight.clone(), Some(bias), stride, padding);
            let case = format!("kernel {kernel}, stride {stride}, padding {padding}");
            assert!(relative(found.clone().inner(), plain.clone().inner()) < 1e-5, "{case}");
            // Not all outputs weigh the same, so that no gradient is the same everywhere.
            let slope = random(plain.dims(), 4, &device);
            let (expected, found) = ((plain * slope.clone()).sum().backward(), (found * slope).sum().backward());
            let pair = |tensor: &Tensor<4>| (tensor.grad(&found).unwrap(), tensor.grad(&expected).unwrap());
            for (found, expected) in [pair(&x), pair(&weight)] {
                assert!(relative(found, expected) < 1e-4, "{case}");
            }
        }
    }
}
