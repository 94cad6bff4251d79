//! Transposed convolution, with or without spectral norm.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv_transpose2d;
use burn::tensor::ops::ConvTransposeOptions;

use super::conv::in_half;
use super::{Init, Mode, SpectralNorm, ops};

/// Configuration of a [`ConvTranspose`], which doubles height and width.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeConfig {
    input: usize,
    output: usize,
    kernel: usize,
    bias: bool,
    spectral: bool,
}

impl ConvTransposeConfig {
    /// Kernel size 3 or 4, stride 2, padding 1, with bias and without spectral norm.
    pub fn new(input: usize, output: usize, kernel: usize) -> Self {
        Self { input, output, kernel, bias: true, spectral: false }
    }

    /// Omits the bias.
    #[must_use]
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Applies spectral norm: the weight is divided by its largest singular value.
    #[must_use]
    pub fn spectral(self) -> Self {
        Self { spectral: true, ..self }
    }

    /// Makes the layer, initialised like [`ConvConfig::init`](super::ConvConfig::init).
    pub fn init(self, init: &mut Init) -> ConvTranspose {
        let shape = [self.input, self.output, self.kernel, self.kernel];
        let spectral = self.spectral && init.spectral();
        let weight = if spectral { init.kaiming_uniform(shape) } else { init.xavier_normal(shape, 0.02) };
        let spectral = spectral.then(|| SpectralNorm::new(init, self.output, self.input * self.kernel * self.kernel));
        let bias = self.bias.then(|| init.zeros([self.output]));
        ConvTranspose { weight, bias, spectral, mixed: init.is_mixed() }
    }
}

/// A 2-d transposed convolution with stride 2: `[batch, in, h, w] -> [batch, out, 2h, 2w]`.
#[derive(Module, Debug)]
pub struct ConvTranspose {
    /// `[in, out, kernel, kernel]`
    weight: Param<Tensor<4>>,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
    spectral: Option<SpectralNorm>,
    /// Whether to compute with 16-bit floats, from and to 32 bits.
    mixed: bool,
}

impl ConvTranspose {
    /// `[batch, in, h, w] -> [batch, out, 2h, 2w]`. In training mode, spectral norm first does one power iteration.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let weight = self.effective_weight(mode);
        let [_, _, kernel, _] = weight.dims();
        // Output padding needed for exactly twice the size: 1 for a kernel of 3, 0 for a kernel of 4.
        let missing = 4usize.saturating_sub(kernel);
        let options = ConvTransposeOptions::new([2, 2], [1, 1], [missing, missing], [1, 1], 1);
        let bias = self.bias.as_ref().map(Param::val);
        if self.mixed && !ops::apply_to(&weight) {
            return in_half(x, weight, bias, |x, weight| conv_transpose2d(x, weight, None, options));
        }
        conv_transpose2d(x, weight, bias, options)
    }

    fn effective_weight(&self, mode: Mode) -> Tensor<4> {
        let weight = self.weight.val();
        let Some(spectral) = &self.spectral else { return weight };
        // For transposed convolutions, PyTorch's spectral norm puts the output channels first.
        let turned = weight.permute([1, 0, 2, 3]);
        let shape = turned.dims();
        spectral.divide(turned.reshape([shape[0] as i32, -1]), mode).reshape(shape).permute([1, 0, 2, 3])
    }

    /// The same layer with spectral norm folded into the weight.
    #[must_use]
    pub fn folded(self) -> Self {
        let weight = Param::from_tensor(self.effective_weight(Mode::EVAL).detach());
        Self { weight, spectral: None, ..self }
    }
}
