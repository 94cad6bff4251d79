//! The U-Net generator of pix2pix (Isola et al. 2017, appendix 6.1.1), a baseline.

use std::collections::BTreeSet;

use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::check;
use crate::error::Result;
use crate::nn::{
    Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, GeneratorInput, Init, Mode, NormKind, ParamFreeNorm, Share,
    leaky_relu,
};
use crate::rng::Rng;

/// Blocks of the way up with dropout, from the innermost (Isola et al. 2017, appendix 6.1.1).
const DROPOUT_BLOCKS: usize = 3;

/// Configuration of a U-Net.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Channels of the first layer; 64 in the paper. 1 to 256.
    pub ngf: usize,
    /// Number of strided convolutions; 8 in the paper, for 256x256. 5 to 10.
    pub downsamplings: usize,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Colour of each class, for networks that take label maps as colour pictures, as in the paper. `None` for
    /// one-hot maps.
    #[serde(default)]
    pub palette: Option<Vec<[u8; 3]>>,
}

impl UNetConfig {
    /// The paper's network for 256x256, with one-hot maps as input.
    pub fn new(ngf: usize, label_channels: usize) -> Self {
        Self { ngf, downsamplings: 8, label_channels, palette: None }
    }

    /// Picture sides must be multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.downsamplings
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { ngf, downsamplings, label_channels: labels, palette } = self;
        check((1..=256).contains(ngf), || format!("ngf is {ngf}, it must be 1 to 256"))?;
        check((5..=10).contains(downsamplings), || format!("{downsamplings} downsamplings: it must be 5 to 10"))?;
        check((1..=1024).contains(labels), || format!("{labels} label channels: it must be 1 to 1024"))?;
        let colors = palette.as_ref().map_or(*labels, Vec::len);
        check(colors == *labels, || format!("{colors} colours for {labels} label channels: there must be one for each"))
    }

    /// Makes the network.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<UNet> {
        self.validate()?;
        let input = if self.palette.is_some() { 3 } else { self.label_channels };
        let depth = self.downsamplings;
        let width = |level: usize| self.ngf << level.min(3);
        let levels = (0..depth).map(|level| {
            let outer = if level == 0 { input } else { width(level - 1) };
            let (outermost, innermost) = (level == 0, level + 1 == depth);
            // On the way up, a level's input is its skip connection concatenated with the output of the level below.
            let below = if innermost { width(level) } else { 2 * width(level) };
            let down = ConvConfig::new(outer, width(level), 4).stride(2).padding(1).without_bias();
            let up = ConvTransposeConfig::new(below, if outermost { 3 } else { outer }, 4);
            Level {
                down: down.init(init),
                down_norm: (!outermost && !innermost).then(|| AffineNorm::new(init, width(level))),
                up: if outermost { up } else { up.without_bias() }.init(init),
                up_norm: (!outermost).then(|| AffineNorm::new(init, outer)),
            }
        });
        let (labels, palette) = (self.label_channels, self.palette.clone());
        Ok(UNet { levels: levels.collect(), labels, palette: Palette(palette) })
    }
}

/// Downsamples to a single pixel and upsamples again, with a skip connection at every size. The paper's dropout, with rate 0.5
/// in the first three blocks of the way up, is applied only if the input has a seed for it
/// ([`GeneratorInput::dropout()`]). The paper keeps it at inference; here, a model is made without.
#[derive(Module, Debug)]
pub struct UNet {
    /// From the outermost to the innermost.
    levels: Vec<Level>,
    labels: usize,
    #[module(skip)]
    palette: Palette,
}

/// The class colours that the network takes; not one of its parameters.
#[derive(Clone, Debug)]
struct Palette(Option<Vec<[u8; 3]>>);

#[derive(Module, Debug)]
struct Level {
    down: Conv,
    down_norm: Option<AffineNorm>,
    up: ConvTranspose,
    up_norm: Option<AffineNorm>,
}

/// Batch norm with a learned scale and shift per channel.
#[derive(Module, Debug)]
struct AffineNorm {
    /// `[channels]`
    weight: Param<Tensor<1>>,
    /// `[channels]`
    bias: Param<Tensor<1>>,
    param_free_norm: ParamFreeNorm,
}

impl AffineNorm {
    fn new(init: &mut Init, channels: usize) -> Self {
        Self {
            weight: init.ones([channels]),
            bias: init.zeros([channels]),
            param_free_norm: ParamFreeNorm::new(init, NormKind::Batch, channels),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode, share: &Share) -> Tensor<4> {
        let [_, channels, _, _] = x.dims();
        let spread = |values: Tensor<1>| -> Tensor<4> { values.reshape([1, channels, 1, 1]) };
        self.param_free_norm.forward(x, mode, share) * spread(self.weight.val()) + spread(self.bias.val())
    }
}

impl UNet {
    /// Synthesizes pictures `[batch, 3, height, width]` with values in -1 to 1, from label maps of that batch, height
    /// and width.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if a side is not a multiple of 2 to the number of downsamplings,
    /// or the layout does not fit.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// Like [`forward`](Self::forward); `step` gets the fraction done, 0 to 1, between levels, and may end it with an
    /// error.
    pub(crate) fn forward_by_steps(
        &self,
        input: &GeneratorInput,
        mode: Mode,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Tensor<4>> {
        let (layout, dropout, share) = (&input.layout, input.dropout, &input.share);
        super::check_layout(layout, self.labels, false, 1 << self.levels.len())?;
        let [height, width] = layout.size();
        let input = match &self.palette.0 {
            Some(palette) => layout.painted(palette)?,
            None => {
                super::check_one_hot(layout)?;
                layout.at(height, width).one_hot()
            }
        };
        let mut skips = Vec::with_capacity(self.levels.len());
        let mut x = input;
        let depth = self.levels.len();
        for (index, level) in self.levels.iter().enumerate() {
            step(index as f32 / (2 * depth) as f32)?;
            let activated = if index == 0 { x } else { leaky_relu(x) };
            skips.push(activated.clone());
            x = level.down.forward(activated, mode);
            if let Some(norm) = &level.down_norm {
                x = norm.forward(x, mode, share);
            }
        }
        for (index, level) in self.levels.iter().enumerate().rev() {
            step((2 * depth - 1 - index) as f32 / (2 * depth) as f32)?;
            x = level.up.forward(relu(x), mode);
            if let Some(norm) = &level.up_norm {
                x = norm.forward(x, mode, share);
            }
            if let Some(seed) = dropout.filter(|_| index + DROPOUT_BLOCKS >= depth) {
                x = dropped(x, share.first(), &mut Rng::new(seed).fork(index as u64));
            }
            if let (Some(skip), true) = (skips.pop(), index > 0) {
                x = Tensor::cat(vec![skip, x], 1);
            }
        }
        Ok(x.tanh())
    }
}

/// Sets half of the values to zero and doubles the others, so that their mean stays. `first` is the number of the first picture,
/// for a part of a batch.
fn dropped(x: Tensor<4>, first: usize, random: &mut Rng) -> Tensor<4> {
    let shape = x.dims();
    // What the pictures before lose is drawn before.
    for _ in 0..first * shape[1..].iter().product::<usize>() {
        random.below(2);
    }
    let factors: Vec<f32> = (0..shape.iter().product()).map(|_| if random.below(2) == 0 { 0.0 } else { 2.0 }).collect();
    let factors = Tensor::from_data(TensorData::new(factors, shape), &x.device());
    x * factors
}

/// The official name of a layer from its path: levels are nested in one another.
pub(super) fn official_name(parts: &[&str], known: &BTreeSet<&str>) -> Option<String> {
    let ["levels", level, part, ..] = parts else { return None };
    let level: usize = level.parse().ok()?;
    let innermost = !known.contains(format!("generator.Pix2Pix.levels.{}.down.weight", level + 1).as_str());
    if level == 0 {
        return Some(format!("model.model.{}", if *part == "down" { 0 } else { 3 }));
    }
    let position = match (*part, innermost) {
        ("down", _) => 1,
        ("down_norm", _) => 2,
        ("up", true) => 3,
        ("up", false) => 5,
        (_, true) => 4,
        (_, false) => 6,
    };
    Some(format!("model.model.1.model.{}{position}", "3.model.".repeat(level - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LabelMap;
    use crate::nn::{LabelEncoding, Layout};

    #[test]
    fn dropout_follows_its_seed_and_is_off_without_one() {
        let device = burn::tensor::Device::flex();
        let network =
            UNetConfig { downsamplings: 5, ..UNetConfig::new(4, 2) }.init(&mut Init::random(1, &device)).unwrap();
        let labels = vec![LabelMap::filled(64, 32, 1).unwrap(); 2];
        let layout = Layout::new(labels, 2, LabelEncoding::OneHot, &device).unwrap();
        let paint = |seed: Option<u64>| -> Vec<f32> {
            let input = GeneratorInput::new(layout.clone());
            let input = seed.map_or_else(|| input.clone(), |seed| input.clone().dropout(seed));
            let picture = network.forward(&input, Mode::Train { momentum: 0.0 }).unwrap();
            picture.into_data().try_to_vec().unwrap()
        };
        assert_eq!(paint(Some(3)), paint(Some(3)));
        assert_ne!(paint(Some(3)), paint(Some(4)));
        assert_ne!(paint(Some(3)), paint(None));
        // The pictures of a batch lose different values.
        let picture = paint(Some(3));
        let (first, second) = picture.split_at(picture.len() / 2);
        assert_ne!(first, second);
    }

    #[test]
    fn half_of_the_values_are_dropped_and_the_mean_stays() {
        let ones = Tensor::<4>::ones([2, 8, 16, 16], &burn::tensor::Device::flex());
        let values: Vec<f32> = dropped(ones, 0, &mut Rng::new(5)).into_data().try_to_vec().unwrap();
        assert!(values.iter().all(|value| [0.0, 2.0].contains(value)));
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
    }
}
