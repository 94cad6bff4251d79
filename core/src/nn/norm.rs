//! Normalisation without learned scale and shift: the modulation supplies those.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{Buffer, Init, Mode, Statistics};

/// Added to every variance before the square root.
const EPSILON: f64 = 1e-5;

/// What statistics are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NormKind {
    /// Each channel over the whole batch; inference can use running averages. The papers' "batch" and "syncbatch".
    #[default]
    Batch,
    /// Each channel of each picture by itself, in training and at inference.
    Instance,
}

/// The parameter-free normalisation inside a modulated norm.
#[derive(Module, Debug)]
pub struct ParamFreeNorm {
    /// `[channels]`; absent for instance norm.
    running_mean: Option<Buffer<1>>,
    /// `[channels]`; absent for instance norm.
    running_var: Option<Buffer<1>>,
}

impl ParamFreeNorm {
    /// Statistics start at mean 0 and variance 1.
    pub fn new(init: &Init, kind: NormKind, channels: usize) -> Self {
        let running =
            |value| (kind == NormKind::Batch).then(|| Buffer::new(Tensor::full([channels], value, init.device())));
        Self { running_mean: running(0.0), running_var: running(1.0) }
    }

    /// `(x - mean) / sqrt(var + 1e-5)`.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            return instance_norm(x);
        };
        match mode {
            Mode::Eval(Statistics::Running) => normalize(x, per_channel(mean.get()), per_channel(var.get())),
            Mode::Eval(Statistics::Batch) => {
                let (centered, batch_var, _) = moments(x, &[3, 2, 0]);
                centered / (batch_var + EPSILON).sqrt()
            }
            Mode::Train { momentum } => {
                let [batch, channels, height, width] = x.dims();
                let (centered, batch_var, batch_mean) = moments(x, &[3, 2, 0]);
                let count = (batch * height * width) as f64;
                // The running variance is of the unbiased kind, the division is not.
                let unbiased = batch_var.clone().detach() * (count / (count - 1.0).max(1.0));
                let blend =
                    |old: Tensor<1>, new: Tensor<4>| old * (1.0 - momentum) + new.reshape([channels]) * momentum;
                mean.set(blend(mean.get(), batch_mean.detach()));
                var.set(blend(var.get(), unbiased));
                centered / (batch_var + EPSILON).sqrt()
            }
        }
    }
}

/// Normalises each channel of each picture by itself.
pub(crate) fn instance_norm(x: Tensor<4>) -> Tensor<4> {
    let (centered, var, _) = moments(x, &[3, 2]);
    centered / (var + EPSILON).sqrt()
}

fn normalize(x: Tensor<4>, mean: Tensor<4>, var: Tensor<4>) -> Tensor<4> {
    (x - mean) / (var + EPSILON).sqrt()
}

/// `x - mean`, the biased variance and the mean over `dims`, which stay as dimensions of size 1.
fn moments(x: Tensor<4>, dims: &[usize]) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
    let mean = x.clone().mean_dims(dims);
    let centered = x - mean.clone();
    let var = centered.clone().square().mean_dims(dims);
    (centered, var, mean)
}

fn per_channel(x: Tensor<1>) -> Tensor<4> {
    let channels = x.dims()[0];
    x.reshape([1, channels, 1, 1])
}
