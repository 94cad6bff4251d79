//! Convolution, plain or with spectral norm.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};

use super::{Init, Mode, SpectralNorm, as_type_of, gpu, ops};

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
    gain: f64,
}

impl ConvConfig {
    /// A square kernel with stride 1, "same" zero padding (`kernel / 2`), a bias and no spectral norm.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self { input, output, kernel, stride: 1, padding: kernel / 2, bias: true, spectral: false, gain: 0.02 }
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

    /// Another gain of the initial weights, if they are plain.
    #[must_use]
    pub fn gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// Makes the layer. Plain weights are drawn Xavier-normal with gain 0.02, spectral ones as `PyTorch` does by
    /// default: that is what training the papers' code on a GPU ends up with. Biases start at 0.
    pub fn init(self, init: &mut Init) -> Conv {
        let shape = [self.output, self.input, self.kernel, self.kernel];
        let spectral = self.spectral && init.spectral();
        let weight = if spectral { init.kaiming_uniform(shape) } else { init.xavier_normal(shape, self.gain) };
        let spectral = spectral.then(|| SpectralNorm::new(init, self.output, self.input * self.kernel * self.kernel));
        let bias = self.bias.then(|| init.zeros([self.output]));
        Conv { weight, bias, spectral, stride: self.stride, padding: self.padding, mixed: init.is_mixed() }
    }
}

/// How a square kernel moves over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) stride: usize,
    /// Zeros on all four sides.
    pub(crate) padding: usize,
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
    /// Whether to compute with 16-bit floats, from and to 32 bits.
    mixed: bool,
}

impl Conv {
    /// Convolves. In training mode spectral norm does one power iteration first.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let geometry = Geometry { stride: self.stride, padding: self.padding };
        let weight = self.effective_weight(mode);
        let bias = self.bias.as_ref().map(Param::val);
        if ops::apply_to(&weight) {
            return ops::convolve(x, weight, bias, geometry);
        }
        if self.mixed {
            return in_half(x, weight, bias, |x, weight| gpu::convolve(x, weight, None, geometry));
        }
        gpu::convolve(as_type_of(&weight, x), weight, bias, geometry)
    }

    #[cfg(all(test, feature = "train"))]
    pub(crate) fn weight_id(&self) -> burn::module::ParamId {
        self.weight.id
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
                let shape = weight.dims();
                spectral.divide(weight.flatten(1, 3), mode).reshape(shape)
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

/// Computes with 16-bit floats from and to 32 bits. The bias is added in 32 bits: its gradient is a sum over all pixels.
pub(super) fn in_half(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    compute: impl FnOnce(Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let products = compute(x.cast(DType::F16), weight.cast(DType::F16)).cast(DType::F32);
    match bias {
        Some(bias) => products + bias.reshape([1, -1, 1, 1]),
        None => products,
    }
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use burn::tensor::Device;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;

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
    fn kernels_change_neither_values_nor_gradients() {
        let device = Device::flex().autodiff();
        for (kernel, stride, padding) in [(1, 1, 0), (3, 1, 1), (4, 2, 2), (4, 1, 2), (3, 2, 1)] {
            let x = random([2, 3, 9, 8], 1, &device).require_grad();
            let weight = random([5, 3, kernel, kernel], 2, &device).require_grad();
            let bias = random([5, 1, 1, 1], 3, &device).reshape([5]).require_grad();
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            let plain = conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let found = ops::convolve(x.clone(), weight.clone(), Some(bias.clone()), Geometry { stride, padding });
            let case = format!("kernel {kernel}, stride {stride}, padding {padding}");
            assert!(relative(found.clone().inner(), plain.clone().inner()) < 1e-5, "{case}");
            // Not all outputs weigh the same, so that no gradient is the same everywhere.
            let slope = random(plain.dims(), 4, &device);
            let (expected, found) = ((plain * slope.clone()).sum().backward(), (found * slope).sum().backward());
            let pair = |tensor: &Tensor<4>| (tensor.grad(&found).unwrap(), tensor.grad(&expected).unwrap());
            for (found, expected) in [pair(&x), pair(&weight)] {
                assert!(relative(found, expected) < 1e-5, "{case}");
            }
            assert!(relative(bias.grad(&found).unwrap(), bias.grad(&expected).unwrap()) < 1e-5, "{case}");
        }
    }

    /// Tensors that are no whole blocks of memory, and those that need no gradient.
    #[test]
    fn kernels_take_views_and_constants() {
        let device = Device::flex().autodiff();
        let whole = random([2, 6, 9, 8], 1, &device).require_grad();
        let weight = random([3, 5, 3, 3], 2, &device);
        let options = || ConvOptions::new([1; 2], [1; 2], [1, 1], 1);
        let view = || whole.clone().slice([0..2, 2..5]).swap_dims(2, 3);
        let turned = || weight.clone().swap_dims(0, 1);
        let plain = conv2d(view(), turned(), None, options());
        let found = ops::convolve(view(), turned(), None, Geometry { stride: 1, padding: 1 });
        assert!(relative(found.clone().inner(), plain.clone().inner()) < 1e-5);
        let slope = random(plain.dims(), 4, &device);
        let (expected, found) = ((plain * slope.clone()).sum().backward(), (found * slope).sum().backward());
        assert!(relative(whole.grad(&found).unwrap(), whole.grad(&expected).unwrap()) < 1e-5);
        assert!(weight.grad(&found).is_none());
    }
}
