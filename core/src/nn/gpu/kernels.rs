//! Kernels under Burn's tensors.
//!
//! Feature maps are written channels last, as Burn's convolutions do it; shapes stay `[batch, channels, h, w]`.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::ops::{permute, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, cubecl};
use cubecl::calculate_cube_count_elemwise;
use cubecl::prelude::{CubeCount, CubeDim};

use super::cube::{OUTS, PIXELS, SIDE, convolution_kernel, modulate_kernel, sum_rows_kernel};
use crate::nn::LEAKY_SLOPE;
use crate::nn::conv::Geometry;

/// Most workgroups of pixels in one direction. GPUs take 65535.
const LAYER: usize = 1 << 10;

pub(super) fn sum_rows(table: Tensor<2>, ids: Tensor<2, Int>, bias: Tensor<1>, relu: bool) -> Tensor<2> {
    let (table, ids, bias) = (table.into_dispatch(), ids.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::sum_rows(table, ids, bias, relu))
}

pub(super) fn modulate(
    x: Tensor<4>,
    [mean, scale]: [Tensor<1>; 2],
    [gamma, beta]: [Tensor<2>; 2],
    ids: Tensor<1, Int>,
    leaky: bool,
) -> Tensor<4> {
    let (mean, scale, ids) = (mean.into_dispatch(), scale.into_dispatch(), ids.into_dispatch());
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(Dispatch::modulate_rows(x.into_dispatch(), mean, scale, gamma, beta, ids, leaky))
}

pub(super) fn convolve(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, geometry: Geometry) -> Tensor<4> {
    // An operation takes no optional tensors.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], (&weight.device(), weight.dtype())));
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::tiled_convolution(x, weight, bias, geometry))
}

#[backend_extension(Cube, Fusion: cfg(feature = "gpu-tuned"))]
trait Kernels: Backend {
    #[fusion(dtype = bias, shape = Shape::new([ids.dims::<2>()[0], table.dims::<2>()[1]]))]
    fn sum_rows(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        bias: FloatTensor<Self>,
        relu: bool,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = x)]
    fn modulate_rows(
        x: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        ids: IntTensor<Self>,
        leaky: bool,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = convolved(x, weight, *geometry))]
    fn tiled_convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
}

/// Shape of a convolution's result.
fn convolved(x: &Shape, weight: &Shape, geometry: Geometry) -> Shape {
    let ([batch, _, height, width], [outs, _, rows, columns]) = (x.dims(), weight.dims());
    let side = |side: usize, kernel: usize| (side + 2 * geometry.padding - kernel) / geometry.stride + 1;
    Shape::new([batch, outs, side(height, rows), side(width, columns)])
}

/// A feature map of that shape, `[batch, channels, h, w]`, channels last in memory.
fn channels_last(like: &CubeTensor, shape: &Shape) -> CubeTensor {
    let [batch, channels, height, width] = shape.dims();
    let shape = Shape::new([batch, height, width, channels]);
    let nhwc = empty_device_dtype(like.client.clone(), like.device.clone(), shape, like.dtype);
    permute_nhwc_to_nchw(nhwc)
}

impl Kernels for CubeBackend {
    fn sum_rows(table: CubeTensor, ids: CubeTensor, bias: CubeTensor, relu: bool) -> CubeTensor {
        let [table, ids, bias] = [table, ids, bias].map(into_contiguous);
        let ([n, _], [_, channels]) = (ids.shape().dims(), table.shape().dims());
        let shape = Shape::new([n, channels]);
        let out = empty_device_dtype(table.client.clone(), table.device.clone(), shape, bias.dtype);
        let client = out.client.clone();
        let units = CubeDim::new(&client, n * channels);
        let types = [table.dtype, bias.dtype, ids.dtype].map(dtype_to_storage_type);
        sum_rows_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, n * channels, units),
            units,
            table.into_tensor_arg(),
            ids.into_tensor_arg(),
            bias.into_tensor_arg(),
            out.clone().into_tensor_arg(),
            relu,
            types,
        );
        out
    }

    fn modulate_rows(
        x: CubeTensor,
        mean: CubeTensor,
        scale: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        ids: CubeTensor,
        leaky: bool,
    ) -> CubeTensor {
        let [mean, scale, gamma, beta, ids] = [mean, scale, gamma, beta, ids].map(into_contiguous);
        let out = channels_last(&x, &x.shape());
        let client = out.client.clone();
        let count = out.shape().num_elements();
        let units = CubeDim::new(&client, count);
        let types = [x.dtype, mean.dtype, gamma.dtype, ids.dtype].map(dtype_to_storage_type);
        modulate_kernel::launch(
            &client,
            calculate_cube_count_elemwise(&client, count, units),
            units,
            x.into_tensor_arg(),
            mean.into_tensor_arg(),
            scale.into_tensor_arg(),
            gamma.into_tensor_arg(),
            beta.into_tensor_arg(),
            ids.into_tensor_arg(),
            out.clone().into_tensor_arg(),
            if leaky { LEAKY_SLOPE as f32 } else { 1.0 },
            types,
        );
        out
    }

    fn tiled_convolution(x: CubeTensor, weight: CubeTensor, bias: CubeTensor, geometry: Geometry) -> CubeTensor {
        // Units side by side have output channels side by side.
        let weight = if weight.meta.strides()[0] == 1 {
            weight
        } else {
            permute(into_contiguous(permute(weight, &[2, 3, 1, 0])), &[3, 2, 0, 1])
        };
        let out = channels_last(&x, &convolved(&x.shape(), &weight.shape(), geometry));
        let ([_, _, _, kernel], [batch, outs, height, width]) = (weight.shape().dims::<4>(), out.shape().dims());
        let client = out.client.clone();
        // Workgroups beyond the last pixel find nothing to do.
        let pixels = (batch * height * width).div_ceil(PIXELS);
        let layers = pixels.div_ceil(LAYER);
        let dtype = dtype_to_storage_type(x.dtype);
        convolution_kernel::launch(
            &client,
            CubeCount::Static(outs.div_ceil(OUTS) as u32, pixels.div_ceil(layers) as u32, layers as u32),
            CubeDim::new_2d(SIDE as u32, SIDE as u32),
            x.into_tensor_arg(),
            weight.into_tensor_arg(),
            into_contiguous(bias).into_tensor_arg(),
            out.clone().into_tensor_arg(),
            geometry.stride,
            geometry.padding,
            kernel,
            dtype,
        );
        out
    }
}
