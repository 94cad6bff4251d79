//! The residual block every generator of the family is built from.

use burn::module::Module;
use burn::tensor::Tensor;

use super::input::BlockInput;
use super::modulation::{ModulationConfig, ModulationKind};
use super::{Conv, ConvConfig, Init, Mode, ModulatedNorm};

/// What a residual block is made of, on any device.
#[derive(Clone, Debug)]
pub(crate) struct BlockPlan {
    /// Official name.
    pub(crate) name: &'static str,
    /// Whether features double in height and width before it.
    pub(crate) doubles: bool,
    /// How often they have doubled when it runs.
    pub(crate) doublings: usize,
    pub(crate) modulation: ModulationKind,
    /// What its norms have in common.
    pub(crate) config: ModulationConfig,
    /// Channels that each modulated norm puts out beyond those it takes.
    pub(crate) extra_channels: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// The norm of the shortcut, which is learned where the number of channels changes. It runs first.
    pub(crate) norm_s: Option<NormPlan>,
    pub(crate) norm_0: NormPlan,
    pub(crate) norm_1: NormPlan,
}

/// What a modulated norm is made of.
#[derive(Clone, Debug)]
pub(crate) struct NormPlan {
    /// Official name.
    pub(crate) name: String,
    pub(crate) channels: usize,
    /// The number of its noise map, in the order they are drawn, if it takes one.
    pub(crate) noise: Option<usize>,
}

impl BlockPlan {
    /// Channels between its two convolutions.
    pub(crate) fn middle(&self) -> usize {
        self.input.min(self.output)
    }

    /// Its norms, in the order they run.
    pub(crate) fn norms(&self) -> impl Iterator<Item = &NormPlan> {
        self.norm_s.iter().chain([&self.norm_0, &self.norm_1])
    }
}

/// Two modulated convolutions around a shortcut (Park et al. 2019, appendix A). The shortcut is learned where the
/// number of channels changes, and it has no activation.
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

    /// The same block with its spectral norms folded into the weights.
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
