//! The modulated norm: parameter-free normalisation followed by a modulation.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::{Modulation, ModulationConfig, ModulationKind};
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;
use crate::nn::{Init, LabelEncoding, Mode, ParamFreeNorm, Statistics, as_type_of, gpu, leaky_relu};

/// A modulation as a Burn module: its reference implementation and, optionally, its tables for GPUs.
pub(super) trait Layer {
    /// Its [description](super::Facts).
    type Facts;

    /// Makes a layer for features with `channels` channels.
    fn new(init: &mut Init, facts: &Self::Facts, channels: usize, config: &ModulationConfig) -> Self;

    /// Modulates `normalized`, `[batch, channels, height, width]`; the result has the same shape.
    fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4>;

    /// Channels to append to the modulated ones, `[batch, extra, height, width]`.
    fn extra(&self, _labels: &LabelTensors) -> Option<Tensor<4>> {
        None
    }

    /// Strength of the noise that is added to features before normalisation, `[channels]`; `None` if the modulation
    /// uses no noise.
    fn noise_strength(&self) -> Option<Tensor<1>> {
        None
    }

    /// The modulation of one picture as tables, if that is cheaper than [`modulate`](Self::modulate).
    fn tables(&self, _labels: &LabelTensors, _style: Option<&Tensor<3>>) -> Option<ModulationTables> {
        None
    }
}

/// A modulation as tables: each pixel looks up its row of gamma and beta, `y = n gamma[row] + beta[row]`. Gamma
/// already includes the 1 of SPADE's `1 + gamma`.
pub(super) struct ModulationTables {
    /// Gamma and beta, `[rows, channels]`.
    pub(super) gamma_beta: [Tensor<2>; 2],
    /// The row of each pixel, `[height * width]`.
    pub(super) rows: Tensor<1, Int>,
}

/// Normalises features, then scales and shifts each pixel depending on the label map (Park et al. 2019, §3).
#[derive(Module, Debug)]
pub struct ModulatedNorm {
    param_free_norm: ParamFreeNorm,
    modulation: Modulation,
    /// Index of the noise map that is added first, if the modulation uses noise.
    noise: Option<usize>,
}

impl ModulatedNorm {
    /// A norm over `channels` channels; `noise` is the index of its noise map, if it uses one.
    pub(crate) fn new(
        init: &mut Init,
        kind: ModulationKind,
        config: &ModulationConfig,
        channels: usize,
        noise: Option<usize>,
    ) -> Self {
        let param_free_norm = ParamFreeNorm::new(init, config.norm, channels);
        Self { param_free_norm, modulation: kind.layer(init, config, channels), noise }
    }

    /// `[batch, channels, height, width] -> [batch, channels + extra, height, width]`, where `extra` is the number of channels
    /// that the modulation appends, such as that of CLADE's instance edges. Applies leaky ReLU if `leaky`.
    pub(crate) fn forward(&self, x: Tensor<4>, input: BlockInput<'_>, mode: Mode, leaky: bool) -> Tensor<4> {
        let x = self.with_noise(x, input);
        let [_, _, height, width] = x.dims();
        let labels = input.layout.at(height, width);
        let activate = |x: Tensor<4>| if leaky { leaky_relu(x) } else { x };
        if let Mode::Eval(statistics) = mode
            && gpu::applies_to(&x)
            && let Some(modulated) = self.by_tables(&x, input, &labels, statistics, leaky)
        {
            return match self.modulation.extra(&labels) {
                Some(extra) => Tensor::cat(vec![modulated, as_type_of(&x, activate(extra))], 1),
                None => modulated,
            };
        }
        let modulated = self.modulation.modulate(self.param_free_norm.forward(x, mode, input.share), input);
        activate(match self.modulation.extra(&labels) {
            Some(extra) => Tensor::cat(vec![modulated, extra], 1),
            None => modulated,
        })
    }

    /// Adds a noise map: one value per pixel, scaled per channel.
    fn with_noise(&self, x: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
        let [_, channels, height, width] = x.dims();
        let (Some(number), Some(strength)) = (self.noise, self.modulation.noise_strength()) else { return x };
        match input.noise.map(number, input.layout, input.share.first(), [height, width]) {
            Some(noise) => x + as_type_of(&strength, noise) * strength.reshape([1, channels, 1, 1]),
            None => x,
        }
    }

    /// Normalisation and modulation of one picture in a single pass, if the modulation has tables.
    fn by_tables(
        &self,
        x: &Tensor<4>,
        input: BlockInput<'_>,
        labels: &LabelTensors,
        statistics: Statistics,
        leaky: bool,
    ) -> Option<Tensor<4>> {
        if x.dims()[0] > 1 || input.layout.encoding() == LabelEncoding::OneHot {
            return None;
        }
        let ModulationTables { gamma_beta, rows } = self.modulation.tables(labels, input.style)?;
        let statistics = self.param_free_norm.mean_and_scale(x, statistics);
        Some(gpu::modulate(x.clone(), statistics, gamma_beta, rows, leaky))
    }
}
