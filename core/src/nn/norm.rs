//! Normalisation without learned scale and shift: the modulation provides those.

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::share::Others;
use super::{Buffer, Init, Mode, Share, Statistics, as_type_of, ops};

/// Added to every variance before the square root.
pub(crate) const EPSILON: f64 = 1e-5;

/// Which dimensions statistics are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormKind {
    /// Each channel over the whole batch; inference can use running averages. The papers' "batch" and "syncbatch".
    #[default]
    Batch,
    /// Each channel of each picture separately, in training and at inference.
    Instance,
}

/// The parameter-free normalisation inside a modulated norm.
#[derive(Module, Debug)]
pub struct ParamFreeNorm {
    /// `[channels]`; `None` for instance norm.
    running_mean: Option<Buffer<1>>,
    /// `[channels]`; `None` for instance norm.
    running_var: Option<Buffer<1>>,
}

impl ParamFreeNorm {
    /// Running statistics start with mean 0 and variance 1.
    pub fn new(init: &Init, kind: NormKind, channels: usize) -> Self {
        let running =
            |value| (kind == NormKind::Batch).then(|| Buffer::new(Tensor::full([channels], value, init.device())));
        Self { running_mean: running(0.0), running_var: running(1.0) }
    }

    /// Mean and `1 / sqrt(var + 1e-5)` of each channel, each `[channels]` in 32 bits, as used at inference for a
    /// batch of one picture.
    pub(super) fn mean_and_scale(&self, x: &Tensor<4>, statistics: Statistics) -> [Tensor<1>; 2] {
        let [mean, var] = match (&self.running_mean, &self.running_var, statistics) {
            (Some(mean), Some(var), Statistics::Running) => [mean.get(), var.get()],
            _ => {
                let (_, mean, var) = centered(x.clone().cast(DType::F32), &[3, 2, 0]);
                [mean, var].map(|values| values.reshape([x.dims()[1]]))
            }
        };
        [mean, (var + EPSILON).sqrt().recip()]
    }

    /// `(x - mean) / sqrt(var + 1e-5)`: `[batch, channels, h, w] -> [batch, channels, h, w]`. Statistics are computed
    /// in 32 bits whatever the type of `x`. In training they are those of the whole batch that `share` is a part of.
    pub fn forward(&self, x: Tensor<4>, mode: Mode, share: &Share) -> Tensor<4> {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            return instance_norm(x);
        };
        match mode {
            Mode::Eval(Statistics::Running) | Mode::TrainFixed => {
                normalize(x, per_channel(mean.get()), per_channel(var.get()))
            }
            Mode::Eval(Statistics::Batch) => standardize(x, EPSILON, None).0,
            Mode::Train { momentum } => batch_norm(x, mean, var, EPSILON, momentum, share),
        }
    }
}

/// Normalises each channel over the batch, `[batch, channels, h, w]`, and moves the running `mean` and `var`, each
/// `[channels]`, towards its statistics by a part of `momentum`. Statistics are those of the whole batch that `share` is of.
pub(crate) fn batch_norm(
    x: Tensor<4>,
    mean: &Buffer<1>,
    var: &Buffer<1>,
    epsilon: f64,
    momentum: f64,
    share: &Share,
) -> Tensor<4> {
    let [batch, _, height, width] = x.dims();
    let (standardized, batch_mean, batch_var) = standardize(x, epsilon, share.others());
    let count = (share.whole(batch) * height * width) as f64;
    // The running variance is the unbiased one; the division uses the biased one.
    let unbiased = batch_var * (count / (count - 1.0).max(1.0));
    let blend = |old: Tensor<1>, new: Tensor<1>| old * (1.0 - momentum) + new * momentum;
    mean.set(blend(mean.get(), batch_mean));
    var.set(blend(var.get(), unbiased));
    standardized
}

/// Normalises each channel of each picture separately.
pub(crate) fn instance_norm(x: Tensor<4>) -> Tensor<4> {
    if !ops::apply_to(&x) {
        return reference(x, &[3, 2], EPSILON).0;
    }
    let [batch, channels, height, width] = x.dims();
    // Treat each plane as a channel of a batch of one.
    let planes = x.reshape([1, batch * channels, height, width]);
    standardize(planes, EPSILON, None).0.reshape([batch, channels, height, width])
}

/// Normalises each channel over the batch; also returns the mean and the biased variance, `[channels]`, without
/// gradients. On the CPU, the batch includes what `others` hold; elsewhere there must be none.
fn standardize(x: Tensor<4>, epsilon: f64, others: Option<Others>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let channels = x.dims()[1];
    if ops::apply_to(&x) {
        let moments = ops::moments(x.clone(), others.clone());
        let row = |index: usize| moments.clone().slice([index..index + 1, 0..channels]).reshape([channels]);
        return (ops::standardize(x, moments.clone(), epsilon, others), row(0), row(1));
    }
    let (standardized, mean, var) = reference(x, &[3, 2, 0], epsilon);
    (standardized, mean.detach().reshape([channels]), var.detach().reshape([channels]))
}

/// Normalised `x`, and its mean and biased variance over `dims`, which are kept with size 1, in 32 bits.
fn reference(x: Tensor<4>, dims: &[usize], epsilon: f64) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    if x.dtype() != DType::F32 {
        let (standardized, mean, var) = reference(x.clone().cast(DType::F32), dims, epsilon);
        return (as_type_of(&x, standardized), mean, var);
    }
    let (centered, mean, var) = centered(x, dims);
    (centered / (var.clone() + epsilon).sqrt(), mean, var)
}

/// `x` minus its mean over `dims`, that mean, and the biased variance.
fn centered(x: Tensor<4>, dims: &[usize]) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let mean = x.clone().mean_dims(dims);
    let centered = x - mean.clone();
    let var = centered.clone().square().mean_dims(dims);
    (centered, mean, var)
}

fn normalize(x: Tensor<4>, mean: Tensor<4>, var: Tensor<4>) -> Tensor<4> {
    let normalized = (as_type_of(&mean, x.clone()) - mean) / (var + EPSILON).sqrt();
    as_type_of(&x, normalized)
}

fn per_channel(x: Tensor<1>) -> Tensor<4> {
    let channels = x.dims()[0];
    x.reshape([1, channels, 1, 1])
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
        let mut random = |offset: f32| -> Tensor<4> {
            let values: Vec<f32> = (0..3 * 5 * 7 * 9).map(|_| rng.normal() as f32 + offset).collect();
            Tensor::from_data(TensorData::new(values, [3, 5, 7, 9]), &device)
        };
        let (x, slope) = (random(3.0).require_grad(), random(0.0));
        let largest = |x: Tensor<4>| x.abs().max().into_scalar::<f32>();
        for dims in [&[3, 2][..], &[3, 2, 0]] {
            let expected = reference(x.clone(), dims, EPSILON).0;
            let found =
                if dims.len() == 2 { instance_norm(x.clone()) } else { standardize(x.clone(), EPSILON, None).0 };
            assert!(largest(found.clone().inner() - expected.clone().inner()) < 1e-5);
            let (found, expected) =
                ((found * slope.clone()).sum().backward(), (expected * slope.clone()).sum().backward());
            assert!(largest(x.grad(&found).unwrap() - x.grad(&expected).unwrap()) < 1e-5);
        }
    }
}
