//! Gradients of scale and shift per class.

use std::sync::Arc;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::{Runs, modulate_by_class_gradients};

use super::super::{computed, values};
use super::ClassAffines;

trait ClassAffineGradients: Backend {
    /// Gradients with respect to `x`, weight and bias.
    fn class_affine_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        runs: &Runs,
    ) -> [FloatTensor<Self>; 3];
}

impl ClassAffineGradients for Flex {
    fn class_affine_backward(x: FlexTensor, weight: FlexTensor, gradient: FlexTensor, runs: &Runs) -> [FlexTensor; 3] {
        let (x, weight, gradient) = (x.to_contiguous(), weight.to_contiguous(), gradient.to_contiguous());
        let (mut of_weight, mut of_bias) = (vec![0.0; values(&weight).len()], vec![0.0; values(&weight).len()]);
        let of_x = computed(x.shape(), |of_x| {
            let found = [of_x, &mut of_weight, &mut of_bias];
            modulate_by_class_gradients(values(&x), runs, values(&weight), values(&gradient), found);
        });
        let table = |values: &[f32]| computed(weight.shape(), |table| table.copy_from_slice(values));
        [of_x, table(&of_weight), table(&of_bias)]
    }
}

impl<B: ClassAffines + ClassAffineGradients, C: CheckpointStrategy> ClassAffines for Autodiff<B, C> {
    fn class_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        runs: Arc<Runs>,
    ) -> FloatTensor<Self> {
        match ClassAffine.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prepared) => {
                let state = ([prepared.checkpoint(&x), prepared.checkpoint(&weight)], Arc::clone(&runs));
                let y = B::class_affine(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), runs);
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                let y = B::class_affine(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), runs);
                prepared.finish(y)
            }
        }
    }
}

/// The node in the autodiff graph; its parents are `x`, weight and bias.
#[derive(Debug)]
struct ClassAffine;

impl<B: ClassAffineGradients> Backward<B, 3> for ClassAffine {
    /// `x` and the weight, and the runs of classes.
    type State = ([NodeId; 2], Arc<Runs>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, weight], runs) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let weight = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(weight);
        let found = B::class_affine_backward(x, weight, gradient, &runs);
        for (parent, found) in ops.parents.into_iter().zip(found) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, found);
            }
        }
    }
}
