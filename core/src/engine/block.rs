//! The residual block on kernels.

use semsynth_kernels::{Clade, Conv1x1, Conv3x3, Isa, Spade, affine, moments};

use super::buffers::Buffers;
use super::level::Level;
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::nn::modulation::ModulationKind;
use crate::nn::{NormKind, Statistics};

/// Added to every variance before the square root.
const EPSILON: f32 = 1e-5;

#[derive(Debug)]
pub(super) struct Block {
    conv_0: Conv3x3,
    conv_1: Conv3x3,
    norm_0: Norm,
    norm_1: Norm,
    shortcut: Option<(Norm, Conv1x1)>,
    output: usize,
}

/// Shape of a block and the size it mostly works at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) kind: ModulationKind,
    pub(super) norm: NormKind,
    pub(super) labels: usize,
    pub(super) channels: [usize; 2],
    pub(super) pixels: usize,
}

impl Block {
    pub(super) fn new(isa: Isa, weights: &Weights<'_>, name: &str, shape: Shape) -> Result<Self> {
        let [input, output] = shape.channels;
        let middle = input.min(output);
        let norm = |part: &str, channels| Norm::new(isa, weights, &format!("{name}.norm_{part}"), channels, shape);
        let (norm_0, norm_1) = (norm("0", input)?, norm("1", middle)?);
        let conv = |part: &str, from: usize, to: usize| -> Result<Conv3x3> {
            let weight = weights.get(&format!("{name}.conv_{part}.weight"))?;
            let bias = weights.get(&format!("{name}.conv_{part}.bias"))?;
            Ok(Conv3x3::new(isa, &weight, Some(&bias), [to, from], shape.pixels))
        };
        let shortcut = if input == output {
            None
        } else {
            let norm = norm("s", input)?;
            let weight = weights.get(&format!("{name}.conv_s.weight"))?;
            let channels = [output, input + norm.extra()];
            Some((norm, Conv1x1::new(isa, &weight, None, channels)))
        };
        Ok(Self {
            conv_0: conv("0", input + norm_0.extra(), middle)?,
            conv_1: conv("1", middle + norm_1.extra(), output)?,
            norm_0,
            norm_1,
            shortcut,
            output,
        })
    }

    /// `[input, h, w] -> [output, h, w]`
    pub(super) fn run(&self, x: Vec<f32>, level: &Level, statistics: Statistics, memory: &mut Buffers) -> Vec<f32> {
        let pixels = level.ids.len();
        let residual = match &self.shortcut {
            None => None,
            Some((norm, conv)) => {
                let modulated = norm.run(&x, level, statistics, false, memory);
                let mut y = memory.take(self.output * pixels);
                conv.run(&modulated, level.size, &mut y, None);
                memory.give(modulated);
                Some(y)
            }
        };
        let modulated = self.norm_0.run(&x, level, statistics, true, memory);
        let mut middle = memory.take(self.norm_1.channels * pixels);
        self.conv_0.run(&modulated, level.size, &mut middle, None);
        memory.give(modulated);
        let modulated = self.norm_1.run(&middle, level, statistics, true, memory);
        memory.give(middle);
        let mut y = memory.take(self.output * pixels);
        self.conv_1.run(&modulated, level.size, &mut y, Some(residual.as_ref().unwrap_or(&x)));
        memory.give(modulated);
        memory.give(x);
        if let Some(residual) = residual {
            memory.give(residual);
        }
        y
    }
}

#[derive(Debug)]
struct Norm {
    channels: usize,
    isa: Isa,
    modulation: Modulation,
    /// Running statistics as `x * scale + shift`; absent for instance norm.
    running: Option<[Vec<f32>; 2]>,
}

#[derive(Debug)]
enum Modulation {
    Spade(Spade),
    /// With what becomes of instance edges, `edge * weight + bias`.
    Clade(Clade, Option<[f32; 2]>),
}

impl Norm {
    fn new(isa: Isa, weights: &Weights<'_>, name: &str, channels: usize, shape: Shape) -> Result<Self> {
        let get = |leaf: &str| weights.get(&format!("{name}.{leaf}"));
        let modulation = match shape.kind {
            ModulationKind::Spade { kernel: 3 } => Modulation::Spade(Spade::new(
                isa,
                [shape.labels, channels],
                &get("mlp_shared.0.weight")?,
                &get("mlp_shared.0.bias")?,
                &get("mlp_gamma.weight")?,
                &get("mlp_gamma.bias")?,
                &get("mlp_beta.weight")?,
                &get("mlp_beta.bias")?,
            )),
            ModulationKind::Clade => {
                let (scale, shift) = (get("class_specified_affine.weight")?, get("class_specified_affine.bias")?);
                let edge = match weights.find(&format!("{name}.inst_conv.weight")) {
                    Some(weight) => Some([first(&weight), first(&get("inst_conv.bias")?)]),
                    None => None,
                };
                Modulation::Clade(Clade::new(isa, &scale, &shift, [shape.labels, channels]), edge)
            }
            other => return Err(Error::Argument(format!("{other:?} has no kernel"))),
        };
        let running = match shape.norm {
            NormKind::Instance => None,
            NormKind::Batch => {
                let (mean, var) = (get("param_free_norm.running_mean")?, get("param_free_norm.running_var")?);
                let scale: Vec<f32> = var.iter().map(|var| 1.0 / (var + EPSILON).sqrt()).collect();
                let shift = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
                Some([scale, shift])
            }
        };
        Ok(Self { channels, isa, modulation, running })
    }

    /// Channels that come out beyond those that go in.
    fn extra(&self) -> usize {
        usize::from(matches!(self.modulation, Modulation::Clade(_, Some(_))))
    }

    fn run(&self, x: &[f32], level: &Level, statistics: Statistics, leaky: bool, memory: &mut Buffers) -> Vec<f32> {
        if let (Some([scale, shift]), Statistics::Running) = (&self.running, statistics) {
            return self.modulate(x, scale, shift, level, leaky, memory);
        }
        // A batch of one picture: the statistics of the batch are those of the picture. The mean goes off first, for where
        // a channel hardly varies the scale is large, and so would be what rounding left of the mean.
        let (mut mean, mut variance) = (vec![0.0; self.channels], vec![0.0; self.channels]);
        moments(self.isa, x, &mut mean, &mut variance);
        let mut centered = memory.take(x.len());
        let off: Vec<f32> = mean.iter().map(|mean| -*mean as f32).collect();
        affine(self.isa, x, &vec![1.0; self.channels], &off, false, &mut centered);
        let scale: Vec<f32> = variance.iter().map(|var| 1.0 / (*var as f32 + EPSILON).sqrt()).collect();
        let y = self.modulate(&centered, &scale, &vec![0.0; self.channels], level, leaky, memory);
        memory.give(centered);
        y
    }

    fn modulate(
        &self,
        x: &[f32],
        scale: &[f32],
        shift: &[f32],
        level: &Level,
        leaky: bool,
        memory: &mut Buffers,
    ) -> Vec<f32> {
        let mut y = memory.take((self.channels + self.extra()) * level.ids.len());
        let (features, rest) = y.split_at_mut(x.len());
        match &self.modulation {
            Modulation::Spade(spade) => spade.run(&level.patches, x, scale, shift, leaky, features),
            Modulation::Clade(clade, edge) => {
                clade.run(&level.ids, x, scale, shift, leaky, features);
                if let (Some([weight, bias]), Some(edges)) = (edge, &level.edges) {
                    affine(self.isa, edges, &[*weight], &[*bias], leaky, rest);
                }
            }
        }
        y
    }
}

fn first(values: &[f32]) -> f32 {
    values.first().copied().unwrap_or_default()
}
