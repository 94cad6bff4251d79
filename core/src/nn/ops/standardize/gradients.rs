//! The gradient of normalisation.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::standardize_gradient;

use super::super::{computed, dims, values};
use super::{Norms, mean_and_scale};

trait NormGradients: Backend {
    fn standardize_backward(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
}

impl NormGradients for Flex {
    fn standardize_backward(x: FlexTensor, moments: FlexTensor, gradient: FlexTensor, epsilon: f32) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let [batch, ..] = dims(&x);
        let [mean, scale] = mean_and_scale(&moments, epsilon);
        computed(x.shape(), |dx| {
            standardize_gradient(values(&x), values(&gradient), batch, &mean, &scale, dx);
        })
    }
}

impl<B: Norms + NormGradients, C: CheckpointStrategy> Norms for Autodiff<B, C> {
    fn moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::moments(x.into_primitive()))
    }

    fn standardize(x: FloatTensor<Self>, moments: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self> {
        match Standardize.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = ([prepared.checkpoint(&x), prepared.checkpoint(&moments)], epsilon);
                let y = B::standardize(x.into_primitive(), moments.into_primitive(), epsilon);
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::standardize(x.into_primitive(), moments.into_primitive(), epsilon))
            }
        }
    }
}

/// The node in the autodiff graph; its parent is `x`.
#[derive(Debug)]
struct Standardize;

impl<B: NormGradients> Backward<B, 1> for Standardize {
    /// `x` and its moments, and epsilon.
    type State = ([NodeId; 2], f32);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, moments], epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let moments = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(moments);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::standardize_backward(x, moments, gradient, epsilon));
        }
    }
}
