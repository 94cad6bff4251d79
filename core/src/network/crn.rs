//! The cascaded refinement network (Chen & Koltun, "Photographic Image Synthesis with Cascaded Refinement Networks", 2017,
//! section 3.2), a baseline.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;
use serde::{Deserialize, Serialize};

use super::check;
use crate::collage::Collage;
use crate::error::{Error, Result};
use crate::nn::{Conv, ConvConfig, GeneratorInput, Init, Mode, instance_norm, leaky_relu};

/// Channels of the modules from the coarsest, in multiples of half of `ngf`. The paper's are 1024 five times, 512 twice,
/// 128 and 32.
const HALF_WIDTHS: [usize; 9] = [32, 32, 32, 32, 32, 16, 16, 4, 1];

/// Configuration of a cascaded refinement network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrnConfig {
    /// A 16th of the channels of the first module; 64 for the paper's widths. 2 to 256, even.
    pub ngf: usize,
    /// Number of refinement modules, each at twice the size of the one before: 7 for 256x512 in the paper, 9 for 1024x2048,
    /// so that the first one works at 4x8. 2 to 9.
    pub modules: usize,
    /// Label channels: highest class id + 1.
    pub label_channels: usize,
    /// Whether a channel of instance edges follows the label channels. The paper has none.
    #[serde(default)]
    pub instance_edges: bool,
    /// Whether every module also takes a [`Collage`] at its size: SIMS. The network of that paper has an encoder for it instead.
    #[serde(default)]
    pub collage: bool,
}

impl CrnConfig {
    /// The paper's network for pictures 256 high, without edges.
    pub fn new(ngf: usize, label_channels: usize) -> Self {
        Self { ngf, modules: 7, label_channels, instance_edges: false, collage: false }
    }

    /// The same with as many modules as pictures of this height and width allow: the first one works at four rows or
    /// columns, as in the paper, or more where the sides are no multiples.
    #[must_use]
    pub fn for_size(self, size: [usize; 2]) -> Self {
        let least = size.into_iter().min().unwrap_or(0).max(4);
        let doublings = size.map(usize::trailing_zeros).into_iter().min().unwrap_or(0).min((least / 4).ilog2());
        Self { modules: (doublings as usize + 1).clamp(2, HALF_WIDTHS.len()), ..self }
    }

    /// Picture sides must be multiples of this.
    pub fn stride(&self) -> usize {
        1 << self.modules.saturating_sub(1)
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { ngf, modules, label_channels: labels, .. } = self;
        check((2..=256).contains(ngf) && ngf.is_multiple_of(2), || {
            format!("ngf is {ngf}, it must be even and 2 to 256")
        })?;
        check((2..=HALF_WIDTHS.len()).contains(modules), || {
            format!("{modules} refinement modules: it must be 2 to {}", HALF_WIDTHS.len())
        })?;
        check((1..=1024).contains(labels), || format!("{labels} label channels: it must be 1 to 1024"))
    }

    /// Channels of each module, from the coarsest.
    pub(crate) fn widths(&self) -> impl Iterator<Item = usize> {
        HALF_WIDTHS.into_iter().map(|halves| (halves * self.ngf / 2).max(1)).take(self.modules)
    }

    /// Makes the network. Weights are drawn Xavier-normal, with gain 1.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Crn> {
        self.validate()?;
        let collage = if self.collage { Collage::CHANNELS } else { 0 };
        let given = self.label_channels + usize::from(self.instance_edges) + collage;
        let mut before = 0;
        let refinement = |width| {
            let mut layer = |input| Layer {
                conv: ConvConfig::new(input, width, 3).gain(1.0).init(init),
                norm: LayerNorm { weight: init.ones([width]), bias: init.zeros([width]) },
            };
            let refinement = Refinement { first: layer(before + given), second: layer(width) };
            before = width;
            refinement
        };
        let modules: Vec<Refinement> = self.widths().map(refinement).collect();
        let last = ConvConfig::new(before, 3, 1).gain(1.0).init(init);
        Ok(Crn { modules, last, labels: self.label_channels, edges: self.instance_edges, collage: self.collage })
    }
}

/// Generates a picture by modules of growing size: each refines the features of the one before, given the label map at its
/// own size.
#[derive(Module, Debug)]
pub struct Crn {
    /// From the coarsest.
    modules: Vec<Refinement>,
    /// A linear map of the last features to colours.
    last: Conv,
    labels: usize,
    edges: bool,
    collage: bool,
}

#[derive(Module, Debug)]
struct Refinement {
    first: Layer,
    second: Layer,
}

/// A convolution, layer norm and leaky `ReLU`.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv,
    norm: LayerNorm,
}

/// Normalises each picture over all channels and pixels (Ba et al. 2016), with a learned scale and shift per channel.
#[derive(Module, Debug)]
struct LayerNorm {
    /// `[channels]`
    weight: Param<Tensor<1>>,
    /// `[channels]`
    bias: Param<Tensor<1>>,
}

impl Crn {
    /// Synthesizes pictures `[batch, 3, height, width]` from label maps of that batch, height and width. As in the paper,
    /// the last layer is linear: values are about -1 to 1, but nothing holds them there.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if a side is not a multiple of the stride, or layout or collage do not fit.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// Like [`forward`](Self::forward); `step` gets the fraction done, 0 to 1, between layers, and may end it with an
    /// error.
    pub(crate) fn forward_by_steps(
        &self,
        input: &GeneratorInput,
        mode: Mode,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Tensor<4>> {
        let layout = &input.layout;
        let count = self.modules.len();
        super::check_layout(layout, self.labels, self.edges, 1 << count.saturating_sub(1))?;
        super::check_one_hot(layout)?;
        let [height, width] = layout.size();
        let mut finest = layout.at(height, width).semantics();
        if self.collage {
            let expected = [layout.batch(), Collage::CHANNELS, height, width];
            let needed = || Error::Argument("this network needs a collage for each picture".into());
            let collage = input.collage.clone().ok_or_else(needed)?;
            let found = collage.dims();
            check(found == expected, || format!("a collage of shape {found:?}: this network takes {expected:?}"))?;
            finest = Tensor::cat(vec![finest, collage], 1);
        }
        // From the finest: each scale has the share of every class in a cell, and the mean of the collage.
        let mut scales = vec![finest];
        for _ in 1..count {
            let finer = scales.last().cloned();
            scales.extend(finer.map(|maps| avg_pool2d(maps, AvgPoolOptions::new([2, 2]).with_stride([2, 2]))));
        }
        let mut features: Option<Tensor<4>> = None;
        for (index, (module, given)) in self.modules.iter().zip(scales.into_iter().rev()).enumerate() {
            step(index as f32 / count as f32)?;
            let x = match features {
                Some(features) => Tensor::cat(vec![given, bilinear2(features)], 1),
                None => given,
            };
            let x = module.first.forward(x, mode);
            step((index as f32 + 0.5) / count as f32)?;
            features = Some(module.second.forward(x, mode));
        }
        let features = features.ok_or_else(|| Error::Model("a refinement network without modules".into()))?;
        Ok(self.last.forward(features, mode))
    }
}

impl Layer {
    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        leaky_relu(self.norm.forward(self.conv.forward(x, mode)))
    }
}

impl LayerNorm {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shape @ [batch, channels, height, width] = x.dims();
        let spread = |values: &Param<Tensor<1>>| -> Tensor<4> { values.val().reshape([1, channels, 1, 1]) };
        // All channels of a picture as the rows of a single one.
        let whole: Tensor<4> = x.reshape([batch, 1, channels * height, width]);
        instance_norm(whole).reshape(shape) * spread(&self.weight) + spread(&self.bias)
    }
}

/// Bilinear upsampling by two: `[b, c, h, w] -> [b, c, 2h, 2w]`. Pixels are squares, so a new pixel lies a quarter of an old
/// one away from the nearest centre. Burn's interpolation has no gradient on GPUs.
fn bilinear2(x: Tensor<4>) -> Tensor<4> {
    doubled(doubled(x, 2), 3)
}

/// Linear upsampling by two along a dimension; beyond the border is what is at the border.
fn doubled(x: Tensor<4>, dim: usize) -> Tensor<4> {
    let mut shape = x.dims();
    let side = shape[dim];
    let (before, after) = if side > 1 {
        let part = |start, length| x.clone().narrow(dim, start, length);
        let join = |a, b| Tensor::cat(vec![a, b], dim);
        (join(part(0, 1), part(0, side - 1)), join(part(1, side - 1), part(side - 1, 1)))
    } else {
        (x.clone(), x.clone())
    };
    let near = x * 0.75;
    let pairs: Tensor<5> = Tensor::stack(vec![near.clone() + before * 0.25, near + after * 0.25], dim + 1);
    shape[dim] = 2 * side;
    pairs.reshape(shape)
}

/// The name of a layer in model files, from its path. The official code is in TensorFlow, so the names are ours.
pub(super) fn official_name(parts: &[&str]) -> Option<String> {
    match parts {
        ["modules", index, layer @ ("first" | "second"), part @ ("conv" | "norm")] => {
            Some(format!("refinement_{index}.{layer}.{part}"))
        }
        ["last"] => Some("to_rgb".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::{LabelEncoding, Layout};
    use crate::rng::Rng;

    fn random(shape: [usize; 4], seed: u64) -> Tensor<4> {
        let mut rng = Rng::new(seed);
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn widths_are_those_of_the_paper() {
        let paper = CrnConfig { modules: 9, ..CrnConfig::new(64, 20) };
        assert_eq!(paper.widths().collect::<Vec<_>>(), [1024, 1024, 1024, 1024, 1024, 512, 512, 128, 32]);
        assert_eq!((paper.stride(), CrnConfig::new(64, 20).stride()), (256, 64));
        let modules = |size| CrnConfig::new(64, 20).for_size(size).modules;
        assert_eq!([[256, 512], [512, 1024], [1024, 2048], [2048, 4096]].map(modules), [7, 8, 9, 9]);
        // 96 is 3 times 32: five modules from 6x6. 36 is 9 times 4: three modules from 9x9.
        assert_eq!([[64, 64], [96, 96], [36, 64], [2, 2]].map(modules), [5, 5, 3, 2]);
        assert!(CrnConfig { modules: 10, ..paper.clone() }.validate().is_err());
        assert!(CrnConfig { ngf: 3, ..paper }.validate().is_err());
    }

    /// Value by value: the layer norm of all layers, and what each layer is convolved with, in a network of two modules.
    #[test]
    fn the_picture_is_that_of_the_formulas() {
        let device = Device::flex();
        for collage in [false, true] {
            let config = CrnConfig { modules: 2, collage, ..CrnConfig::new(2, 3) };
            is_that_of_the_formulas(&config, &device);
        }
    }

    fn is_that_of_the_formulas(config: &CrnConfig, device: &Device) {
        let network = config.init(&mut Init::random(3, device)).unwrap();
        let [height, width] = [4, 6];
        let ids: Vec<u16> = (0..24).map(|i| (i * 5 / 3 % 3) as u16).collect();
        let map = LabelMap::new(width, height, ids.clone()).unwrap();
        let layout = Layout::new(vec![map], 3, LabelEncoding::Indexed, device).unwrap();
        let mut input = GeneratorInput::new(layout);
        let collage = random([1, Collage::CHANNELS, height, width], 5);
        let given = if config.collage {
            let message = network.forward(&input, Mode::EVAL).unwrap_err().to_string();
            assert!(message.contains("needs a collage"), "{message}");
            let small = input.clone().collage(random([1, 3, height, width], 5));
            assert!(network.forward(&small, Mode::EVAL).unwrap_err().to_string().contains("[1, 4, 4, 6]"));
            input = input.collage(collage.clone());
            3 + Collage::CHANNELS
        } else {
            3
        };
        let found = values(network.forward(&input, Mode::EVAL).unwrap());

        let collage = values(collage);
        let plane = |c: usize, y: usize, x: usize| match c.checked_sub(3) {
            None => f32::from(u8::from(usize::from(ids[y * width + x]) == c)),
            Some(channel) => collage[(channel * height + y) * width + x],
        };
        let coarse =
            |c: usize, y: usize, x: usize| (0..4).map(|i| plane(c, 2 * y + i / 2, 2 * x + i % 2)).sum::<f32>() / 4.0;
        let to_map = |channels: usize, [height, width]: [usize; 2], at: &dyn Fn(usize, usize, usize) -> f32| {
            let each = (0..channels * height * width).map(|i| at(i / height / width, i / width % height, i % width));
            each.collect::<Vec<f32>>()
        };
        let convolved = |conv: &Conv, x: &[f32], [height, width]: [usize; 2]| {
            let weight = conv.weight();
            let [out, input, kernel, _] = weight.dims();
            let (weight, half) = (values(weight), kernel as isize / 2);
            assert_eq!(x.len(), input * height * width);
            to_map(out, [height, width], &|o, y, x_| {
                let mut sum = 0.0;
                for (i, dy, dx) in
                    (0..input * kernel * kernel).map(|k| (k / kernel / kernel, k / kernel % kernel, k % kernel))
                {
                    let (y, x_) = (y as isize + dy as isize - half, x_ as isize + dx as isize - half);
                    if (0..height as isize).contains(&y) && (0..width as isize).contains(&x_) {
                        sum += x[(i * height + y as usize) * width + x_ as usize]
                            * weight[((o * input + i) * kernel + dy) * kernel + dx];
                    }
                }
                sum
            })
        };
        let layer = |layer: &Layer, x: &[f32], size: [usize; 2]| {
            let x = convolved(&layer.conv, x, size);
            let count = x.len() as f32;
            let mean = x.iter().sum::<f32>() / count;
            let variance = x.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
            let normalized = x.iter().map(|value| (value - mean) / (variance + 1e-5).sqrt());
            normalized.map(|value| if value > 0.0 { value } else { 0.2 * value }).collect::<Vec<f32>>()
        };
        let refine = |module: &Refinement, x: &[f32], size| layer(&module.second, &layer(&module.first, x, size), size);
        let first = refine(&network.modules[0], &to_map(given, [2, 3], &coarse), [2, 3]);
        let channels = first.len() / 6;
        let larger = to_map(channels, [4, 6], &|c, y, x| {
            let axis = |at: usize, side: usize| {
                let centre = at as f32 / 2.0 - 0.25;
                let clamped = |at: f32| (at.max(0.0) as usize).min(side - 1);
                (clamped(centre.floor()), clamped(centre.floor() + 1.0), centre - centre.floor())
            };
            let ((y0, y1, dy), (x0, x1, dx)) = (axis(y, 2), axis(x, 3));
            let at = |y: usize, x: usize| first[(c * 2 + y) * 3 + x];
            (at(y0, x0) * (1.0 - dx) + at(y0, x1) * dx) * (1.0 - dy) + (at(y1, x0) * (1.0 - dx) + at(y1, x1) * dx) * dy
        });
        let second = refine(&network.modules[1], &[to_map(given, [4, 6], &plane), larger].concat(), [4, 6]);
        let expected = convolved(&network.last, &second, [4, 6]);
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-4, "{off}");
        assert!(expected.iter().any(|value| value.abs() > 0.1), "a flat picture");
    }

    #[test]
    fn pictures_of_a_batch_do_not_mix() {
        let device = Device::flex();
        let network = CrnConfig { modules: 3, ..CrnConfig::new(2, 3) }.init(&mut Init::random(3, &device)).unwrap();
        let map = |step: usize| LabelMap::new(8, 12, (0..96).map(|i| (i / step % 3) as u16).collect()).unwrap();
        let paint = |maps: Vec<LabelMap>| {
            let layout = Layout::new(maps, 3, LabelEncoding::OneHot, &device).unwrap();
            values(network.forward(&GeneratorInput::new(layout), Mode::TRAIN).unwrap())
        };
        let both = paint(vec![map(5), map(7)]);
        let each = [paint(vec![map(5)]), paint(vec![map(7)])].concat();
        assert!(both.iter().zip(&each).all(|(a, b)| (a - b).abs() < 1e-4));
        let (a, b) = both.split_at(both.len() / 2);
        assert_ne!(a, b);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        /// Upsampling keeps the mean of every plane, and a ramp inside it.
        #[test]
        fn bilinear_upsampling_keeps_means(height in 1usize..6, width in 1usize..6, seed in any::<u64>()) {
            let x = random([2, 3, height, width], seed);
            let larger = bilinear2(x.clone());
            prop_assert_eq!(larger.dims(), [2, 3, 2 * height, 2 * width]);
            let means = |x: Tensor<4>| values(x.mean_dims(&[2, 3]));
            // At the border the mean of a pair is that of the border and its neighbour, in equal parts on both ends.
            for (a, b) in means(larger).iter().zip(means(x)) {
                prop_assert!((a - b).abs() < 1e-5);
            }
            let ramp: Vec<f32> = (0..height * width).map(|i| (i / width) as f32 * 2.0 + (i % width) as f32).collect();
            let ramp = Tensor::<4>::from_data(TensorData::new(ramp, [1, 1, height, width]), &Device::flex());
            let larger = values(bilinear2(ramp));
            for y in 1..2 * height - 1 {
                for x in 1..2 * width - 1 {
                    let expected = (y as f32 - 0.5) + (x as f32 - 0.5) / 2.0;
                    prop_assert!((larger[y * 2 * width + x] - expected).abs() < 1e-5);
                }
            }
        }
    }
}
