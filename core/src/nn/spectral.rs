//! Spectral norm.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Buffer, Init, Mode};

/// Division of a weight by its largest singular value, estimated by power iteration (Miyato et al. 2018), numerically as
/// `torch.nn.utils.spectral_norm` does it.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    /// Left singular vector, `[out]`.
    u: Buffer<1>,
    /// Right singular vector, `[rest]`.
    v: Buffer<1>,
}

impl SpectralNorm {
    /// For a weight that is a matrix of `[out, rest]`.
    pub(super) fn new(init: &mut Init, out: usize, rest: usize) -> Self {
        Self { u: Buffer::new(init.unit_vector(out)), v: Buffer::new(init.unit_vector(rest)) }
    }

    /// The singular value of a weight as a matrix, `[out, rest]`, in a shape to divide a 4-d weight by. In training one
    /// power iteration goes before.
    pub(super) fn sigma(&self, matrix: Tensor<2>, mode: Mode) -> Tensor<4> {
        let [out, rest] = matrix.dims();
        let mut u: Tensor<2> = self.u.get().reshape([out, 1]);
        let mut v: Tensor<2> = self.v.get().reshape([rest, 1]);
        if matches!(mode, Mode::Train { .. }) {
            // The vectors are constants for the gradient; only the weight in sigma and in the quotient is followed.
            let fixed = matrix.clone().detach();
            v = unit(fixed.clone().transpose().matmul(u));
            u = unit(fixed.matmul(v.clone()));
            self.u.set(u.clone().reshape([out]));
            self.v.set(v.clone().reshape([rest]));
        }
        (matrix.matmul(v) * u).sum().reshape([1, 1, 1, 1])
    }
}

/// A column divided by its Euclidean length.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum().sqrt().clamp_min(1e-12);
    x / length.reshape([1, 1])
}
