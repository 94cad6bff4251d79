//! Spectral norm.

#[cfg(feature = "train")]
mod gradients;

use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{dot, times, transposed_times};

use super::{computed, values};

/// The largest singular value of a matrix `[out, rest]` and its vectors, without gradients.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Singular {
    /// Left singular vector, `[out]`.
    pub(in crate::nn) u: Tensor<1>,
    /// Right singular vector, `[rest]`.
    pub(in crate::nn) v: Tensor<1>,
    /// Singular value, `u · matrix · v`, `[1]`.
    sigma: Tensor<1>,
}

/// One power iteration on a matrix, starting from its left vector. For tensors on the CPU.
pub(in crate::nn) fn power_iteration(matrix: Tensor<2>, u: Tensor<1>) -> Singular {
    let [out, rest] = matrix.dims();
    let all: Tensor<1> = Tensor::from_dispatch(Dispatch::power_iteration(matrix.into_dispatch(), u.into_dispatch()));
    let part = |start: usize, len: usize| all.clone().narrow(0, start, len);
    Singular { u: part(0, out), v: part(out, rest), sigma: part(out + rest, 1) }
}

/// The singular value for given vectors. For tensors on the CPU.
pub(in crate::nn) fn singular(matrix: Tensor<2>, u: Tensor<1>, v: Tensor<1>) -> Singular {
    let [matrix, left, right] = [matrix.into_dispatch(), u.clone().into_dispatch(), v.clone().into_dispatch()];
    Singular { u, v, sigma: Tensor::from_dispatch(Dispatch::singular_value(matrix, left, right)) }
}

/// A matrix divided by its singular value; gradients treat the vectors as constants. For tensors on the CPU.
pub(in crate::nn) fn spectral_divide(matrix: Tensor<2>, Singular { u, v, sigma }: Singular) -> Tensor<2> {
    let (u, v, sigma) = (u.into_dispatch(), v.into_dispatch(), sigma.into_dispatch());
    Tensor::from_dispatch(Dispatch::spectral_divide(matrix.into_dispatch(), u, v, sigma))
}

#[backend_extension(Flex, Autodiff: cfg(feature = "train"))]
trait Spectral: Backend {
    fn power_iteration(matrix: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self>;

    fn singular_value(matrix: FloatTensor<Self>, u: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self>;

    fn spectral_divide(
        matrix: FloatTensor<Self>,
        u: FloatTensor<Self>,
        v: FloatTensor<Self>,
        sigma: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Spectral for Flex {
    fn power_iteration(matrix: FlexTensor, u: FlexTensor) -> FlexTensor {
        let [out, rest] = matrix.shape().dims();
        let (matrix, u) = (matrix.to_contiguous(), u.to_contiguous());
        computed([out + rest + 1], |all| {
            let (new_u, rest_of) = all.split_at_mut(out);
            let (v, sigma) = rest_of.split_at_mut(rest);
            transposed_times(values(&matrix), values(&u), v);
            unit(v);
            times(values(&matrix), v, new_u);
            // The length of u before it is normalised.
            sigma.fill(unit(new_u));
        })
    }

    fn singular_value(matrix: FlexTensor, u: FlexTensor, v: FlexTensor) -> FlexTensor {
        let (matrix, u, v) = (matrix.to_contiguous(), u.to_contiguous(), v.to_contiguous());
        let mut product = vec![0.0; values(&u).len()];
        times(values(&matrix), values(&v), &mut product);
        computed([1], |sigma| sigma.fill(dot(&product, values(&u))))
    }

    fn spectral_divide(matrix: FlexTensor, _u: FlexTensor, _v: FlexTensor, sigma: FlexTensor) -> FlexTensor {
        let matrix = matrix.to_contiguous();
        computed(matrix.shape(), |out| semsynth_kernels::divide(values(&matrix), value(&sigma), out))
    }
}

/// The value of a tensor with one element.
fn value(tensor: &FlexTensor) -> f32 {
    values(&tensor.to_contiguous()).first().copied().unwrap_or_default()
}

/// Normalises a vector to length 1 and returns its previous length.
fn unit(x: &mut [f32]) -> f32 {
    let length = dot(x, x).sqrt().max(1e-12);
    for value in x {
        *value /= length;
    }
    length
}
