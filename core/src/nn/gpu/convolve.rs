//! Convolution.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// Fewest output channels the kernel has work for.
#[cfg(feature = "gpu")]
const FEWEST: usize = 16;

/// Convolves `[batch, in, h, w]` with `[out, in, k, k]` and adds `[out]`. Fastest with the weights of a
/// [`prepared`](super::prepared) network.
pub(in crate::nn) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    // Measured kernels use what matrix units the GPU has; without, Burn's convolution reads everything from memory again.
    #[cfg(all(feature = "gpu", not(feature = "gpu-tuned")))]
    if super::applies_to(&x) && weight.dims()[0] >= FEWEST {
        return super::kernels::convolve(x, weight, bias, stride, padding);
    }
    conv2d(x, weight, bias, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}
