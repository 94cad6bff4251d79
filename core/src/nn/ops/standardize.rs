//! Normalisation over a batch.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Isa, batch_moments};

use super::{computed, dims, values};

/// Mean and variance (divided by n) of each channel of `[batch, channels, h, w]` over the batch, `[2, channels]`, without
/// gradients. For tensors on the CPU.
pub(in crate::nn) fn moments(x: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::moments(x.into_dispatch()))
}

/// `(x - mean) / sqrt(variance + epsilon)`, of `[batch, channels, h, w]` and its own [`moments`]. Gradients take into
/// account that those depend on `x`. For tensors on the CPU.
pub(in crate::nn) fn standardize(x: Tensor<4>, moments: Tensor<2>, epsilon: f64) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::standardize(x.into_dispatch(), moments.into_dispatch(), epsilon as f32))
}

#[backend_extension(Flex, Autodiff)]
trait Norms: Backend {
    fn moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn standardize(x: FloatTensor<Self>, moments: FloatTensor<Self>, epsilon: f32) -> FloatTensor<Self>;
}

trait NormGradients: Backend {
    fn standardize_backward(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self>;
}

impl Norms for Flex {
    fn moments(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let [batch, channels, ..] = dims(&x);
        computed([2, channels], |moments| {
            let (mean, variance) = moments.split_at_mut(channels);
            batch_moments(Isa::detect(), values(&x), batch, mean, variance);
        })
    }

    fn standardize(x: FlexTensor, moments: FlexTensor, epsilon: f32) -> FlexTensor {
        let x = x.to_contiguous();
        let [batch, ..] = dims(&x);
        let [mean, scale] = mean_and_scale(&moments, epsilon);
        computed(x.shape(), |y| semsynth_kernels::standardize(values(&x), batch, &mean, &scale, y))
    }
}

impl NormGradients for Flex {
    fn standardize_backward(x: FlexTensor, moments: FlexTensor, gradient: FlexTensor, epsilon: f32) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let [batch, ..] = dims(&x);
        let [mean, scale] = mean_and_scale(&moments, epsilon);
        computed(x.shape(), |dx| {
            semsynth_kernels::standardize_gradient(values(&x), values(&gradient), batch, &mean, &scale, dx);
        })
    }
}

fn mean_and_scale(moments: &FlexTensor, epsilon: f32) -> [Vec<f32>; 2] {
    let moments = moments.to_contiguous();
    let (mean, variance) = values(&moments).split_at(values(&moments).len() / 2);
    [mean.to_vec(), variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect()]
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

/// The graph's node, whose parent is `x`.
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
