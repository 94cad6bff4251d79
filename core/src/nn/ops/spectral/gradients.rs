//! The gradient of spectral norm.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::spectral_gradient;

use super::super::{computed, values};
use super::{Spectral, value};

trait SpectralGradients: Backend {
    fn spectral_divide_backward(
        matrix: FloatTensor<Self>,
        u: FloatTensor<Self>,
        v: FloatTensor<Self>,
        sigma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl SpectralGradients for Flex {
    fn spectral_divide_backward(
        matrix: FlexTensor,
        u: FlexTensor,
        v: FlexTensor,
        sigma: FlexTensor,
        gradient: FlexTensor,
    ) -> FlexTensor {
        let (matrix, gradient) = (matrix.to_contiguous(), gradient.to_contiguous());
        let (u, v, sigma) = (u.to_contiguous(), v.to_contiguous(), value(&sigma));
        let vectors = [values(&u), values(&v)];
        computed(matrix.shape(), |out| spectral_gradient(values(&matrix), values(&gradient), vectors, sigma, out))
    }
}

impl<B: Spectral + SpectralGradients, C: CheckpointStrategy> Spectral for Autodiff<B, C> {
    fn power_iteration(matrix: FloatTensor<Self>, u: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::power_iteration(matrix.into_primitive(), u.into_primitive()))
    }

    fn singular_value(matrix: FloatTensor<Self>, u: FloatTensor<Self>, v: FloatTensor<Self>) -> FloatTensor<Self> {
        let (u, v) = (u.into_primitive(), v.into_primitive());
        FloatTensor::<Self>::new(B::singular_value(matrix.into_primitive(), u, v))
    }

    fn spectral_divide(
        matrix: FloatTensor<Self>,
        u: FloatTensor<Self>,
        v: FloatTensor<Self>,
        sigma: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let divide = |[matrix, u, v, sigma]: [FloatTensor<Self>; 4]| {
            let (u, v, sigma) = (u.into_primitive(), v.into_primitive(), sigma.into_primitive());
            B::spectral_divide(matrix.into_primitive(), u, v, sigma)
        };
        match SpectralDivide.prepare::<C>([matrix.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = [&matrix, &u, &v, &sigma].map(|tensor| prepared.checkpoint(tensor));
                prepared.finish(state, divide([matrix, u, v, sigma]))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(divide([matrix, u, v, sigma])),
        }
    }
}

/// The node in the autodiff graph; its parent is the matrix.
#[derive(Debug)]
struct SpectralDivide;

impl<B: SpectralGradients> Backward<B, 1> for SpectralDivide {
    /// The matrix and both vectors.
    type State = [NodeId; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [matrix, u, v, sigma] =
            ops.state.map(|node| checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(node));
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::spectral_divide_backward(matrix, u, v, sigma, gradient));
        }
    }
}
