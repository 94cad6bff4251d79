//! Spectral norm.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{dot, spectral_gradient, times, transposed_times};

use super::{computed, values};

/// One power iteration on a matrix `[out, rest]` with its left vector `[out]`: the new left and right vector, `[out]` and
/// `[rest]`, without gradients. For tensors on the CPU.
pub(in crate::nn) fn power_iteration(matrix: Tensor<2>, u: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    let [out, rest] = matrix.dims();
    let both: Tensor<1> = Tensor::from_dispatch(Dispatch::power_iteration(matrix.into_dispatch(), u.into_dispatch()));
    (both.clone().narrow(0, 0, out), both.narrow(0, out, rest))
}

/// A matrix `[out, rest]` divided by its singular value `u · matrix · v`; gradients take the vectors for constants. For tensors
/// on the CPU.
pub(in crate::nn) fn spectral_divide(matrix: Tensor<2>, u: Tensor<1>, v: Tensor<1>) -> Tensor<2> {
    let (matrix, u, v) = (matrix.into_dispatch(), u.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::spectral_divide(matrix, u, v))
}

#[backend_extension(Flex, Autodiff)]
trait Spectral: Backend {
    fn power_iteration(matrix: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self>;

    fn spectral_divide(matrix: FloatTensor<Self>, u: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self>;
}

trait SpectralGradients: Backend {
    fn spectral_divide_backward(
        matrix: FloatTensor<Self>,
        u: FloatTensor<Self>,
        v: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Spectral for Flex {
    fn power_iteration(matrix: FlexTensor, u: FlexTensor) -> FlexTensor {
        let [out, rest] = matrix.shape().dims();
        let (matrix, u) = (matrix.to_contiguous(), u.to_contiguous());
        computed([out + rest], |both| {
            let (new_u, v) = both.split_at_mut(out);
            transposed_times(values(&matrix), values(&u), v);
            unit(v);
            times(values(&matrix), v, new_u);
            unit(new_u);
        })
    }

    fn spectral_divide(matrix: FlexTensor, u: FlexTensor, v: FlexTensor) -> FlexTensor {
        let (matrix, u, v) = (matrix.to_contiguous(), u.to_contiguous(), v.to_contiguous());
        let sigma = sigma(&matrix, &u, &v);
        computed(matrix.shape(), |out| semsynth_kernels::divide(values(&matrix), sigma, out))
    }
}

impl SpectralGradients for Flex {
    fn spectral_divide_backward(matrix: FlexTensor, u: FlexTensor, v: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (matrix, gradient) = (matrix.to_contiguous(), gradient.to_contiguous());
        let (u, v) = (u.to_contiguous(), v.to_contiguous());
        let sigma = sigma(&matrix, &u, &v);
        let vectors = [values(&u), values(&v)];
        computed(matrix.shape(), |out| spectral_gradient(values(&matrix), values(&gradient), vectors, sigma, out))
    }
}

fn sigma(matrix: &FlexTensor, u: &FlexTensor, v: &FlexTensor) -> f32 {
    let mut product = vec![0.0; values(u).len()];
    times(values(matrix), values(v), &mut product);
    dot(&product, values(u))
}

/// Divides a vector by its length.
fn unit(x: &mut [f32]) {
    let length = dot(x, x).sqrt().max(1e-12);
    for value in x {
        *value /= length;
    }
}

impl<B: Spectral + SpectralGradients, C: CheckpointStrategy> Spectral for Autodiff<B, C> {
    fn power_iteration(matrix: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::power_iteration(matrix.into_primitive(), u.into_primitive()))
    }

    fn spectral_divide(matrix: FloatTensor<Self>, u: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        match SpectralDivide.prepare::<C>([matrix.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = [prepared.checkpoint(&matrix), prepared.checkpoint(&u), prepared.checkpoint(&v)];
                let y = B::spectral_divide(matrix.into_primitive(), u.into_primitive(), v.into_primitive());
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                let y = B::spectral_divide(matrix.into_primitive(), u.into_primitive(), v.into_primitive());
                prepared.finish(y)
            }
        }
    }
}

/// The graph's node, whose parent is the matrix.
#[derive(Debug)]
struct SpectralDivide;

impl<B: SpectralGradients> Backward<B, 1> for SpectralDivide {
    /// The matrix and both vectors.
    type State = [NodeId; 3];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [matrix, u, v] = ops.state.map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::spectral_divide_backward(matrix, u, v, gradient));
        }
    }
}
