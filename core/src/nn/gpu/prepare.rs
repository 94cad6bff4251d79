//! Prepares the weights of a network for the GPU kernels.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// The same network with weights in the memory layout of the kernels and, if `half`, in 16 bits, except for running
/// statistics. For inference only.
pub(crate) fn prepared<M: Module>(network: M, half: bool) -> M {
    network.map(&mut Prepare { half, path: Vec::new() })
}

struct Prepare {
    half: bool,
    path: Vec<String>,
}

impl ModuleMapper for Prepare {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.path.last().is_some_and(|name| name.starts_with("running_")) {
            return param;
        }
        let (id, value, _) = param.consume();
        let value = laid_out(value);
        Param::initialized(id, if self.half { value.cast(DType::F16) } else { value })
    }
}

/// Permutes the memory of a convolution's weight, `[out, in, k, k]`, to `[k, k, in, out]`; returns any other tensor
/// unchanged.
pub(super) fn laid_out<const D: usize>(weight: Tensor<D>) -> Tensor<D> {
    const ORDER: [usize; 4] = [2, 3, 1, 0];
    const BACK: [usize; 4] = [3, 2, 0, 1];
    let dims = weight.dims();
    if D != 4 || cfg!(feature = "gpu-tuned") {
        return weight;
    }
    let axes = |order: [usize; 4]| std::array::from_fn::<usize, D, _>(|i| order.get(i).copied().unwrap_or(i));
    let turned: [usize; D] = axes(ORDER).map(|axis| dims.get(axis).copied().unwrap_or(1));
    let signed = |order| axes(order).map(|axis| axis as isize);
    // Reshape to one dimension first: only that is guaranteed to copy.
    let flat: Tensor<1> = weight.permute(signed(ORDER)).reshape([dims.iter().product::<usize>()]);
    flat.reshape(turned).permute(signed(BACK))
}
