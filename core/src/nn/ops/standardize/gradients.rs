//! The gradient of normalisation.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::{gradient_sums, standardize_gradient};

use super::super::{computed, dims, values};
use super::{Norms, mean_and_scale};
use crate::nn::share::Others;

trait NormGradients: Backend {
    fn standardize_backward(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
        others: Option<Others>,
    ) -> FloatTensor<Self>;
}

impl NormGradients for Flex {
    fn standardize_backward(
        x: FlexTensor,
        moments: FlexTensor,
        gradient: FlexTensor,
        epsilon: f32,
        others: Option<Others>,
    ) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let [batch, channels, height, width] = dims(&x);
        let [mean, scale] = mean_and_scale(&moments, epsilon);
        let mut sums = gradient_sums(values(&x), values(&gradient), batch, &mean, &scale);
        let mut pictures = batch;
        if let Some(others) = others {
            others.sum(sums.as_flattened_mut());
            pictures = others.whole();
        }
        debug_assert_eq!(sums.len(), channels);
        let count = (pictures * height * width) as f64;
        let means: Vec<[f32; 2]> = sums.into_iter().map(|sums| sums.map(|sum| (sum / count) as f32)).collect();
        computed(x.shape(), |dx| {
            standardize_gradient([values(&x), values(&gradient)], batch, [&mean, &scale], &means, dx);
        })
    }
}

impl<B: Norms + NormGradients, C: CheckpointStrategy> Norms for Autodiff<B, C> {
    fn moments(x: FloatTensor<Self>, others: Option<Others>) -> FloatTensor<Self> {
        FloatTensor::<Self>::new(B::moments(x.into_primitive(), others))
    }

    fn standardize(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        epsilon: f32,
        others: Option<Others>,
    ) -> FloatTensor<Self> {
        match Standardize.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = ([prepared.checkpoint(&x), prepared.checkpoint(&moments)], epsilon, others);
                let y = B::standardize(x.into_primitive(), moments.into_primitive(), epsilon, None);
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::standardize(x.into_primitive(), moments.into_primitive(), epsilon, None))
            }
        }
    }
}

/// The node in the autodiff graph; its parent is `x`.
#[derive(Debug)]
struct Standardize;

impl<B: NormGradients> Backward<B, 1> for Standardize {
    /// `x` and its moments, epsilon, and who else holds a part of the batch.
    type State = ([NodeId; 2], f32, Option<Others>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, moments], epsilon, others) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let moments = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(moments);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::standardize_backward(x, moments, gradient, epsilon, others));
        }
    }
}
