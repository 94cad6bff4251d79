//! The gradient of leaky ReLU.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::leaky_gradient;

use super::super::{computed, values};
use super::LeakyRelus;

trait LeakyReluGradients: Backend {
    fn leaky_relu_on_cpu_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl LeakyReluGradients for Flex {
    fn leaky_relu_on_cpu_backward(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        computed(x.shape(), |dx| leaky_gradient(values(&x), values(&gradient), dx))
    }
}

impl<B: LeakyRelus + LeakyReluGradients, C: CheckpointStrategy> LeakyRelus for Autodiff<B, C> {
    fn leaky_relu_on_cpu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match LeakyRelu.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = prepared.checkpoint(&x);
                prepared.finish(state, B::leaky_relu_on_cpu(x.into_primitive()))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::leaky_relu_on_cpu(x.into_primitive())),
        }
    }
}

/// The node in the autodiff graph.
#[derive(Debug)]
struct LeakyRelu;

impl<B: LeakyReluGradients> Backward<B, 1> for LeakyRelu {
    type State = NodeId;

    fn backward(self, ops: Ops<NodeId, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(ops.state);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            grads.register::<B>(parent.id, B::leaky_relu_on_cpu_backward(x, gradient));
        }
    }
}
