//! The residual block every generator of the family is built from.

use burn::module::Module;
use burn::tensor::Tensor;

use super::modulation::ModulationKind;
use super::{Conv, ConvConfig, Init, Layout, Mode, ModulatedNorm, NormKind, leaky_relu};

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
    /// A block from `input` to `output` channels.
    pub fn new(
        init: &mut Init,
        kind: ModulationKind,
        norm: NormKind,
        [input, output]: [usize; 2],
        label_channels: usize,
    ) -> Self {
        let middle = input.min(output);
        let learned = input != output;
        let mut modulated = |channels| ModulatedNorm::new(init, kind, norm, channels, label_channels);
        let norm_0 = modulated(input);
        let norm_1 = modulated(middle);
        let norm_s = learned.then(|| modulated(input));
        Self {
            conv_0: ConvConfig::new(input, middle, 3).spectral().init(init),
            conv_1: ConvConfig::new(middle, output, 3).spectral().init(init),
            conv_s: learned.then(|| ConvConfig::new(input, output, 1).without_bias().spectral().init(init)),
            norm_0,
            norm_1,
            norm_s,
        }
    }

    /// `[batch, input, h, w] -> [batch, output, h, w]`
    pub fn forward(&self, x: Tensor<4>, layout: &Layout, mode: Mode) -> Tensor<4> {
        let shortcut = match (&self.conv_s, &self.norm_s) {
            (Some(conv), Some(norm)) => conv.forward(norm.forward(x.clone(), layout, mode), mode),
            _ => x.clone(),
        };
        let dx = self.conv_0.forward(leaky_relu(self.norm_0.forward(x, layout, mode)), mode);
        let dx = self.conv_1.forward(leaky_relu(self.norm_1.forward(dx, layout, mode)), mode);
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
