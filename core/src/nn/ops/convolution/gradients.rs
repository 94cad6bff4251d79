//! Gradients of a convolution.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata};
use semsynth_kernels::Isa;

use super::super::{computed, dims, values};
use super::{Convolutions, convolution};
use crate::nn::conv::Geometry;

/// Gradients of a loss, from its gradient with respect to what a convolution gave.
trait ConvolutionGradients: Backend {
    fn convolve_x_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    fn convolve_weight_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;

    fn convolve_bias_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self>;
}

impl ConvolutionGradients for Flex {
    fn convolve_x_backward(x: FlexTensor, weight: FlexTensor, gradient: FlexTensor, geometry: Geometry) -> FlexTensor {
        let shape = convolution(&x, &weight, geometry);
        let (weight, gradient) = (weight.to_contiguous(), gradient.to_contiguous());
        computed(x.shape(), |dx| shape.input_gradient(Isa::detect(), values(&gradient), values(&weight), dx))
    }

    fn convolve_weight_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        geometry: Geometry,
    ) -> FlexTensor {
        let shape = convolution(&x, &weight, geometry);
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        computed(weight.shape(), |dw| shape.weight_gradient(Isa::detect(), values(&x), values(&gradient), dw))
    }

    fn convolve_bias_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        geometry: Geometry,
    ) -> FlexTensor {
        let shape = convolution(&x, &weight, geometry);
        let gradient = gradient.to_contiguous();
        let [outs, ..] = dims(&weight);
        computed([outs], |db| shape.bias_gradient(Isa::detect(), values(&gradient), db))
    }
}

impl<B: Convolutions + ConvolutionGradients, C: CheckpointStrategy> Convolutions for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let prepared = Convolve.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let state = ([prepared.checkpoint(&x), prepared.checkpoint(&weight)], geometry);
                let y = B::convolve(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), geometry);
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                let y = B::convolve(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), geometry);
                prepared.finish(y)
            }
        }
    }
}

/// The graph's node of a convolution, whose parents are `x`, `weight` and the bias.
#[derive(Debug)]
struct Convolve;

impl<B: ConvolutionGradients> Backward<B, 3> for Convolve {
    /// `x` and `weight`.
    type State = ([NodeId; 2], Geometry);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, weight], geometry) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let weight = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(weight);
        let of = [B::convolve_x_backward, B::convolve_weight_backward, B::convolve_bias_backward];
        for (parent, of) in ops.parents.into_iter().zip(of) {
            if let Some(parent) = parent {
                let found = of(x.clone(), weight.clone(), gradient.clone(), geometry);
                grads.register::<B>(parent.id, found);
            }
        }
    }
}
