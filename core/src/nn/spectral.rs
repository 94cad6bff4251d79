//! Spectral norm.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Buffer, Init, Mode, ops};

/// Divides a weight by its largest singular value, estimated by power iteration (Miyato et al. 2018). Numerically
/// equal to `torch.nn.utils.spectral_norm`.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    /// Left singular vector, `[out]`.
    u: Buffer<1>,
    /// Right singular vector, `[rest]`.
    v: Buffer<1>,
}

impl SpectralNorm {
    /// For a weight that is an `[out, rest]` matrix.
    pub(super) fn new(init: &mut Init, out: usize, rest: usize) -> Self {
        Self { u: Buffer::new(init.unit_vector(out)), v: Buffer::new(init.unit_vector(rest)) }
    }

    /// A weight matrix, `[out, rest]`, divided by its singular value. In training mode, one power iteration comes
    /// first.
    pub(super) fn divide(&self, matrix: Tensor<2>, mode: Mode) -> Tensor<2> {
        // The gradient treats the vectors as constants and follows the weight only, in sigma and in the quotient.
        let training = matches!(mode, Mode::Train { .. } | Mode::TrainFixed);
        if ops::apply_to(&matrix) {
            if !training {
                let singular = ops::singular(matrix.clone(), self.u.get(), self.v.get());
                return ops::spectral_divide(matrix, singular);
            }
            let singular = ops::power_iteration(matrix.clone(), self.u.get());
            self.u.set(singular.u.clone());
            self.v.set(singular.v.clone());
            return ops::spectral_divide(matrix, singular);
        }
        let [out, rest] = matrix.dims();
        let mut u: Tensor<2> = self.u.get().reshape([out, 1]);
        let mut v: Tensor<2> = self.v.get().reshape([rest, 1]);
        if training {
            let fixed = matrix.clone().detach();
            v = unit(fixed.clone().transpose().matmul(u));
            u = unit(fixed.matmul(v.clone()));
            self.u.set(u.clone().reshape([out]));
            self.v.set(v.clone().reshape([rest]));
        }
        let sigma = (matrix.clone().matmul(v) * u).sum().reshape([1, 1]);
        matrix / sigma
    }
}

/// A column divided by its Euclidean length.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = x.clone().square().sum().sqrt().clamp_min(1e-12);
    x / length.reshape([1, 1])
}

#[cfg(all(test, feature = "train"))]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn kernels_change_neither_values_nor_gradients() {
        let device = Device::flex().autodiff();
        let mut rng = Rng::new(1);
        let mut random = |shape: [usize; 2]| -> Tensor<2> {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| rng.normal() as f32).collect();
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        let (matrix, slope) = (random([7, 50]).require_grad(), random([7, 50]));
        let singular = ops::power_iteration(matrix.clone(), random([7, 1]).reshape([7]));
        let (u, v) = (singular.u.clone(), singular.v.clone());
        let differ = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
        let (row, column) = (v.clone().reshape([50, 1]), u.clone().reshape([7, 1]));
        // The vectors of the iteration belong together.
        assert!(differ(unit(matrix.clone().detach().matmul(row.clone())), column.clone()) < 1e-5);
        let sigma = (matrix.clone().matmul(row) * column).sum().reshape([1, 1]);
        let (expected, found) = (matrix.clone() / sigma, ops::spectral_divide(matrix.clone(), singular));
        assert!(differ(found.clone().inner(), expected.clone().inner()) < 1e-5);
        // The iteration returns the singular value for its vectors.
        let again = ops::spectral_divide(matrix.clone(), ops::singular(matrix.clone(), u, v));
        assert!(differ(again.inner(), expected.clone().inner()) < 1e-5);
        let (found, expected) = ((found * slope.clone()).sum().backward(), (expected * slope).sum().backward());
        assert!(differ(matrix.grad(&found).unwrap(), matrix.grad(&expected).unwrap()) < 1e-5);
    }
}
