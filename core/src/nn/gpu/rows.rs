//! Look-ups in tables of rows, which replace the modulation of SPADE and CLADE where labels repeat.

use burn::tensor::activation::leaky_relu;
use burn::tensor::{DType, Int, Tensor};

use crate::nn::LEAKY_SLOPE;

/// Sums of rows: row `i` of the result `[n, channels]` is `bias`, `[channels]`, plus the rows `ids[i]` of `table`,
/// where `ids` is `[n, taps]` and `table` is `[rows, channels]`. An id of `rows` or more counts as a row of zeros.
/// Applies ReLU if `relu`. The result has the type of `bias`.
pub(in crate::nn) fn sum_rows(table: Tensor<2>, ids: Tensor<2, Int>, bias: Tensor<1>, relu: bool) -> Tensor<2> {
    #[cfg(feature = "gpu")]
    if super::applies_to(&table) {
        return super::kernels::sum_rows(table, ids, bias, relu);
    }
    sum_rows_reference(table, ids, bias, relu)
}

pub(super) fn sum_rows_reference(table: Tensor<2>, ids: Tensor<2, Int>, bias: Tensor<1>, relu: bool) -> Tensor<2> {
    let ([rows, channels], [_, taps]) = (table.dims(), ids.dims());
    let (dtype, device) = (bias.dtype(), table.device());
    let table = Tensor::cat(vec![table.cast(DType::F32), Tensor::zeros([1, channels], &device)], 0);
    let ids = ids.clamp(0, rows as i64);
    let mut sum = bias.cast(DType::F32).reshape([1, channels]);
    for tap in 0..taps {
        sum = sum + table.clone().select(0, ids.clone().narrow(1, tap, 1).squeeze_dim::<1>(1));
    }
    let sum = if relu { sum.clamp_min(0.0) } else { sum };
    sum.cast(dtype)
}

/// Normalises, modulates and, if `leaky`, applies leaky ReLU: `(x - mean) * scale * gamma[id] + beta[id]`. `x` is
/// `[1, channels, h, w]`, mean and scale are `[channels]`, gamma and beta are tables `[rows, channels]`, and every id
/// in `[h * w]` must be less than `rows`. The result has the type and shape of `x`.
pub(in crate::nn) fn modulate(
    x: Tensor<4>,
    [mean, scale]: [Tensor<1>; 2],
    tables: [Tensor<2>; 2],
    ids: Tensor<1, Int>,
    leaky: bool,
) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if super::applies_to(&x) {
        return super::kernels::modulate(x, [mean, scale], tables, ids, leaky);
    }
    modulate_reference(x, [mean, scale], tables, ids, leaky)
}

pub(super) fn modulate_reference(
    x: Tensor<4>,
    [mean, scale]: [Tensor<1>; 2],
    tables: [Tensor<2>; 2],
    ids: Tensor<1, Int>,
    leaky: bool,
) -> Tensor<4> {
    let ([_, channels, height, width], dtype) = (x.dims(), x.dtype());
    let per_channel = |values: Tensor<1>| values.cast(DType::F32).reshape([1, channels, 1, 1]);
    let [gamma, beta]: [Tensor<4>; 2] = tables.map(|table| {
        let values = table.cast(DType::F32).select(0, ids.clone());
        values.reshape([1, height, width, channels]).permute([0, 3, 1, 2])
    });
    let y = (x.cast(DType::F32) - per_channel(mean)) * per_channel(scale) * gamma + beta;
    let y = if leaky { leaky_relu(y, LEAKY_SLOPE) } else { y };
    y.cast(dtype)
}
