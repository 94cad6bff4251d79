//! Convolution.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use semsynth_kernels::{Convolution, Isa};

use super::{computed, dims, values};

/// Convolves `[batch, in, h, w]` with `[out, in, k, k]` and adds `[out]`. For tensors on the CPU.
pub(in crate::nn) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    // An operation takes no optional tensors.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    Tensor::from_dispatch(Dispatch::convolve(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        stride,
        padding,
    ))
}

#[backend_extension(Flex, Autodiff)]
trait Convolutions: Backend {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

/// Gradients of a loss, from its gradient with respect to what a convolution gave.
trait ConvolutionGradients: Backend {
    fn convolve_x_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;

    fn convolve_weight_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;

    fn convolve_bias_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

impl Convolutions for Flex {
    fn convolve(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, stride: usize, padding: usize) -> FlexTensor {
        let shape = convolution(&x, &weight, stride, padding);
        let (x, weight, bias) = (x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous());
        let ([batch, ..], [outs, ..], [rows, columns]) = (dims(&x), dims(&weight), shape.output_size());
        computed([batch, outs, rows, columns], |y| {
            shape.forward(Isa::detect(), values(&x), values(&weight), Some(values(&bias)), y);
        })
    }
}

impl ConvolutionGradients for Flex {
    fn convolve_x_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        stride: usize,
        padding: usize,
    ) -> FlexTensor {
        let shape = convolution(&x, &weight, stride, padding);
        let (weight, gradient) = (weight.to_contiguous(), gradient.to_contiguous());
        computed(x.shape(), |dx| shape.input_gradient(Isa::detect(), values(&gradient), values(&weight), dx))
    }

    fn convolve_weight_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        stride: usize,
        padding: usize,
    ) -> FlexTensor {
        let shape = convolution(&x, &weight, stride, padding);
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        computed(weight.shape(), |dw| shape.weight_gradient(Isa::detect(), values(&x), values(&gradient), dw))
    }

    fn convolve_bias_backward(
        x: FlexTensor,
        weight: FlexTensor,
        gradient: FlexTensor,
        stride: usize,
        padding: usize,
    ) -> FlexTensor {
        let shape = convolution(&x, &weight, stride, padding);
        let gradient = gradient.to_contiguous();
        let [outs, ..] = dims(&weight);
        computed([outs], |db| shape.bias_gradient(Isa::detect(), values(&gradient), db))
    }
}

fn convolution(x: &FlexTensor, weight: &FlexTensor, stride: usize, padding: usize) -> Convolution {
    let ([batch, ins, height, width], [outs, _, kernel, _]) = (dims(x), dims(weight));
    Convolution::new(batch, [outs, ins], kernel, stride, padding, [height, width])
}

impl<B: Convolutions + ConvolutionGradients, C: CheckpointStrategy> Convolutions for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let prepared = Convolve.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful();
        match prepared {
            OpsKind::Tracked(mut prepared) => {
                let state = ([prepared.checkpoint(&x), prepared.checkpoint(&weight)], [stride, padding]);
                let y =
                    B::convolve(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), stride, padding);
                prepared.finish(state, y)
            }
            OpsKind::UnTracked(prepared) => {
                let y =
                    B::convolve(x.into_primitive(), weight.into_primitive(), bias.into_primitive(), stride, padding);
                prepared.finish(y)
            }
        }
    }
}

/// The graph's node of a convolution, whose parents are `x`, `weight` and the bias.
#[derive(Debug)]
struct Convolve;

impl<B: ConvolutionGradients> Backward<B, 3> for Convolve {
    /// `x` and `weight`, stride and padding.
    type State = ([NodeId; 2], [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let ([x, weight], [stride, padding]) = ops.state;
        let x = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(x);
        let weight = checkpointer.retrieve_node_output::<B::FloatTensorPrimitive>(weight);
        let of = [B::convolve_x_backward, B::convolve_weight_backward, B::convolve_bias_backward];
        for (parent, of) in ops.parents.into_iter().zip(of) {
            if let Some(parent) = parent {
                let found = of(x.clone(), weight.clone(), gradient.clone(), stride, padding);
                grads.register::<B>(parent.id, found);
            }
        }
    }
}
