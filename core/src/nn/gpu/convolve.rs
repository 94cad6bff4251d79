//! Convolution.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use crate::nn::conv::Geometry;

/// Convolves `[batch, in, h, w]` with `[out, in, k, k]` and adds `[out]`. Fastest with the weights of a
/// [`prepared`](super::prepared) network.
pub(in crate::nn) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    geometry: Geometry,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::applies_to(&x) && kernel_pays(&x, &weight) {
        return super::kernels::convolve(x, weight, bias, geometry);
    }
    let Geometry { stride, padding } = geometry;
    conv2d(x, weight, bias, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}

/// Whether our kernel is better than Burn's convolution.
#[cfg(feature = "gpu")]
fn kernel_pays(x: &Tensor<4>, weight: &Tensor<4>) -> bool {
    use burn::tensor::{DType, Device, DeviceKind};

    /// Fewest output channels it has work for.
    const FEWEST: usize = 16;
    // Those of Burn's that are chosen by measuring use what matrix units the GPU has.
    let measured = cfg!(feature = "gpu-tuned");
    // A driver on the processor has no fast memory for a workgroup: there only for sums of 32 bits.
    let processor = x.device() == Device::wgpu(DeviceKind::Cpu);
    !measured && weight.dims()[0] >= FEWEST && (!processor || x.dtype() != DType::F32)
}
