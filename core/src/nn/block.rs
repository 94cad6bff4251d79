//! The residual block every generator of the family is built from.

use burn::module::Module;
use burn::tensor::Tensor;

use super::guide::Surroundings;
use super::modulation::{ModulationConfig, ModulationKind};
use super::{Conv, ConvConfig, Init, Mode, ModulatedNorm};

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
    /// A block from `input` to `output` channels; the noise maps it draws are numbered from `draw`, in the order they are
    /// drawn.
    pub(crate) fn new(
        init: &mut Init,
        kind: ModulationKind,
        config: &ModulationConfig,
        [input, output]: [usize; 2],
        draw: usize,
    ) -> Self {
        let middle = input.min(output);
        let learned = input != output;
        let extra = kind.extra_channels(config);
        // The shortcut runs first.
        let first = draw + usize::from(learned) * kind.draws();
        let mut modulated = |channels, draw| ModulatedNorm::new(init, kind, config, channels, draw);
        let norm_0 = modulated(input, first);
        let norm_1 = modulated(middle, first + kind.draws());
        let norm_s = learned.then(|| modulated(input, draw));
        Self {
            conv_0: ConvConfig::new(input + extra, middle, 3).spectral().init(init),
            conv_1: ConvConfig::new(middle + extra, output, 3).spectral().init(init),
            conv_s: learned.then(|| ConvConfig::new(input + extra, output, 1).without_bias().spectral().init(init)),
            norm_0,
            norm_1,
            norm_s,
        }
    }

    /// Number of modulated norms.
    pub(crate) fn norms([input, output]: [usize; 2]) -> usize {
        if input == output { 2 } else { 3 }
    }

    /// `[batch, input, h, w] -> [batch, output, h, w]`
    pub(crate) fn forward(&self, x: Tensor<4>, around: Surroundings<'_>, mode: Mode) -> Tensor<4> {
        let shortcut = match (&self.conv_s, &self.norm_s) {
            (Some(conv), Some(norm)) => conv.forward(norm.forward(x.clone(), around, mode, false), mode),
            _ => x.clone(),
        };
        let dx = self.conv_0.forward(self.norm_0.forward(x, around, mode, true), mode);
        let dx = self.conv_1.forward(self.norm_1.forward(dx, around, mode, true), mode);
        shortcut + dx
    }

    /// The same block with its spectral norms divided in.
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
