//! The residual block every generator of the family is built from.

use burn::module::Module;
use burn::tensor::Tensor;

use super::input::BlockInput;
use super::modulation::{ModulationConfig, ModulationKind};
use super::{Conv, ConvConfig, Init, Mode, ModulatedNorm};

/// The structure of a residual block, independent of any device.
#[derive(Clone, Debug)]
pub(crate) struct BlockPlan {
    /// Official name, such as `up_0`.
    pub(crate) name: &'static str,
    /// Whether features are upsampled by two before the block.
    pub(crate) doubles: bool,
    /// How often the features have been upsampled when the block runs.
    pub(crate) doublings: usize,
    pub(crate) modulation: ModulationKind,
    /// The configuration shared by its norms.
    pub(crate) config: ModulationConfig,
    /// Extra channels that each modulated norm appends to its output.
    pub(crate) extra_channels: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// The norm of the shortcut; only present where the number of channels changes. It runs first.
    pub(crate) norm_s: Option<NormPlan>,
    pub(crate) norm_0: NormPlan,
    pub(crate) norm_1: NormPlan,
}

/// The structure of a modulated norm.
#[derive(Clone, Debug)]
pub(crate) struct NormPlan {
    /// Official name, such as `norm_0`.
    pub(crate) name: String,
    pub(crate) channels: usize,
    /// Index of the norm's noise map, in drawing order, if the modulation uses noise.
    pub(crate) noise: Option<usize>,
}

impl BlockPlan {
    /// Channels between the two convolutions.
    pub(crate) fn middle(&self) -> usize {
        self.input.min(self.output)
    }

    /// The norms in the order they run.
    pub(crate) fn norms(&self) -> impl Iterator<Item = &NormPlan> {
        self.norm_s.iter().chain([&self.norm_0, &self.norm_1])
    }
}

/// Two modulated convolutions with a shortcut (Park et al. 2019, appendix A). The shortcut is a modulated 1x1
/// convolution without activation where the number of channels changes, and the identity elsewhere.
#[derive(Module, Debug)]
pub struct ResBlock {
    conv_0: Conv,
    conv_1: Conv,
    conv_s: Option<Conv>,
    norm_0: ModulatedNorm,
    norm_1: ModulatedNorm,
    norm_s: Option<ModulatedNorm>,
}

impl ResBlock {
    pub(crate) fn new(init: &mut Init, plan: &BlockPlan) -> Self {
        let (input, output, middle, extra) = (plan.input, plan.output, plan.middle(), plan.extra_channels);
        let mut modulated =
            |norm: &NormPlan| ModulatedNorm::new(init, plan.modulation, &plan.config, norm.channels, norm.noise);
        let norm_0 = modulated(&plan.norm_0);
        let norm_1 = modulated(&plan.norm_1);
        let norm_s = plan.norm_s.as_ref().map(modulated);
        let learned = norm_s.is_some();
        Self {
            conv_0: ConvConfig::new(input + extra, middle, 3).spectral().init(init),
            conv_1: ConvConfig::new(middle + extra, output, 3).spectral().init(init),
            conv_s: learned.then(|| ConvConfig::new(input + extra, output, 1).without_bias().spectral().init(init)),
            norm_0,
            norm_1,
            norm_s,
        }
    }

    /// `[batch, input, h, w] -> [batch, output, h, w]`
    pub(crate) fn forward(&self, x: Tensor<4>, input: BlockInput<'_>, mode: Mode) -> Tensor<4> {
        let shortcut = match (&self.conv_s, &self.norm_s) {
            (Some(conv), Some(norm)) => conv.forward(norm.forward(x.clone(), input, mode, false), mode),
            _ => x.clone(),
        };
        let dx = self.conv_0.forward(self.norm_0.forward(x, input, mode, true), mode);
        let dx = self.conv_1.forward(self.norm_1.forward(dx, input, mode, true), mode);
        shortcut + dx
    }

    /// The same block with spectral norms folded into the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        Self {
            conv_0: self.conv_0.folded(),
            conv_1: self.conv_1.folded(),
            conv_s: self.conv_s.map(Conv::folded),
            ..self
        }
    }
}
