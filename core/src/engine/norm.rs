//! Modulated norms on kernels.

use std::borrow::Cow;

use rayon::prelude::*;
use semsynth_kernels::{Clade, Isa, LEAKY_SLOPE, Spade, affine, moments};

use super::Scene;
use super::buffers::Buffers;
use super::level::Level;
use super::remembering::Remembering;
use super::sean::Sean;
use super::weights::Weights;
use crate::error::{Error, Result};
use crate::nn::modulation::ModulationKind;
use crate::nn::{NormKind, Statistics};

/// Added to every variance before the square root.
const EPSILON: f32 = 1e-5;

/// What the norms of a block have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) kind: ModulationKind,
    pub(super) norm: NormKind,
    /// Label channels.
    pub(super) labels: usize,
    /// Whether a channel of instance edges follows them.
    pub(super) edges: bool,
    /// Input and output channels of the block.
    pub(super) channels: [usize; 2],
    /// Pixels it mostly works on.
    pub(super) pixels: usize,
    /// Whether memory is dearer than time.
    pub(super) frugal: bool,
}

#[derive(Debug)]
pub(super) struct Norm {
    pub(super) channels: usize,
    isa: Isa,
    modulation: Modulation,
    /// Running statistics as `x * scale + shift`; absent for instance norm.
    running: Option<[Vec<f32>; 2]>,
    /// With instance edges: what becomes of them, `edge * weight + bias`, the last channel of the output.
    edge: Option<[f32; 2]>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has a few dozen of them")]
enum Modulation {
    Spade(Remembering),
    Clade(Clade),
    Icpe(Icpe),
    Sean(Sean),
}

/// CLADE with factors that depend on the place within the object.
#[derive(Debug)]
struct Icpe {
    /// `[labels, channels]` each.
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Of the vertical and the horizontal distance, and the bias with the 1 it is added to.
    factor_scale: [f32; 3],
    factor_shift: [f32; 3],
}

impl Norm {
    /// `draw` is the number of the noise map it draws, if it draws one.
    pub(super) fn new(
        isa: Isa,
        weights: Weights<'_>,
        name: &str,
        channels: usize,
        shape: Shape,
        draw: usize,
    ) -> Result<Self> {
        let get = |leaf: &str| weights.get(&format!("{name}.{leaf}"));
        let bank = || Ok::<_, Error>([get("class_specified_affine.weight")?, get("class_specified_affine.bias")?]);
        let modulation = match shape.kind {
            ModulationKind::Spade { kernel: 3 } => {
                let mut shared = get("mlp_shared.0.weight")?;
                let mut labels = shape.labels;
                if shape.edges {
                    // A label beside an edge and one at it are two classes: the latter's weights have the edge's in them.
                    shared = at_edges(&shared, labels).into();
                    labels *= 2;
                }
                let (gamma, beta) = (get("mlp_gamma.weight")?, get("mlp_beta.weight")?);
                let (gamma_bias, beta_bias) = (get("mlp_gamma.bias")?, get("mlp_beta.bias")?);
                let bias = get("mlp_shared.0.bias")?;
                let sizes = [labels, channels];
                let spade = Spade::new(isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias);
                Modulation::Spade(Remembering::new(spade, shape.frugal))
            }
            ModulationKind::Clade => {
                let [scale, shift] = bank()?;
                Modulation::Clade(Clade::new(isa, &scale, &shift, [shape.labels, channels]))
            }
            ModulationKind::CladeIcpe => {
                let [scale, shift] = bank()?;
                let factor = |leaf: &str| -> Result<[f32; 3]> {
                    let weight = get(&format!("class_specified_affine.{leaf}.weight"))?;
                    let bias = get(&format!("class_specified_affine.{leaf}.bias"))?;
                    let at = |values: &[f32], index: usize| values.get(index).copied().unwrap_or_default();
                    Ok([at(&weight, 0), at(&weight, 1), 1.0 + at(&bias, 0)])
                };
                let (factor_scale, factor_shift) = (factor("dist_conv_w")?, factor("dist_conv_b")?);
                let (scale, shift) = (scale.into_owned(), shift.into_owned());
                Modulation::Icpe(Icpe { scale, shift, factor_scale, factor_shift })
            }
            ModulationKind::Sean => Modulation::Sean(Sean::new(isa, weights, name, channels, shape, draw)?),
            ModulationKind::Spade { .. } => {
                return Err(Error::Argument(format!("there is no kernel for {:?}", shape.kind)));
            }
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
        let first = |values: Cow<'_, [f32]>| values.first().copied().unwrap_or_default();
        let edge = match weights.find(&format!("{name}.inst_conv.weight")) {
            Some(weight) => Some([first(weight), first(get("inst_conv.bias")?)]),
            None => None,
        };
        Ok(Self { channels, isa, modulation, running, edge })
    }

    /// Channels that come out beyond those that go in.
    pub(super) fn extra(&self) -> usize {
        usize::from(self.edge.is_some())
    }

    /// Takes on a style, `[labels, length]`, if it has any use for one.
    pub(super) fn restyle(&mut self, weights: Weights<'_>, style: Option<&[f32]>) -> Result<()> {
        match &mut self.modulation {
            Modulation::Sean(sean) => sean.restyle(weights, style),
            Modulation::Spade(_) | Modulation::Clade(_) | Modulation::Icpe(_) => Ok(()),
        }
    }

    /// `[channels, h, w]` in, `[channels (+ 1), h, w]` out.
    pub(super) fn run(
        &self,
        x: &[f32],
        level: &Level,
        scene: &Scene<'_>,
        leaky: bool,
        memory: &mut Buffers,
    ) -> Vec<f32> {
        let noisy = match &self.modulation {
            Modulation::Sean(sean) => sean.disturb(x, level, scene, memory),
            Modulation::Spade(_) | Modulation::Clade(_) | Modulation::Icpe(_) => None,
        };
        let x = noisy.as_deref().unwrap_or(x);
        let y = if let (Some([scale, shift]), Statistics::Running) = (&self.running, scene.statistics) {
            self.modulate(x, scale, shift, level, leaky, memory)
        } else {
            // A batch of one picture: the statistics of the batch are those of the picture. The mean goes off first, for
            // where a channel hardly varies the scale is large, and so would be what rounding left of the mean.
            let (mut mean, mut variance) = (vec![0.0; self.channels], vec![0.0; self.channels]);
            moments(self.isa, x, &mut mean, &mut variance);
            let mut centered = memory.take(x.len());
            let off: Vec<f32> = mean.iter().map(|mean| -*mean as f32).collect();
            affine(self.isa, x, &vec![1.0; self.channels], &off, false, &mut centered);
            let scale: Vec<f32> = variance.iter().map(|var| 1.0 / (*var as f32 + EPSILON).sqrt()).collect();
            let y = self.modulate(&centered, &scale, &vec![0.0; self.channels], level, leaky, memory);
            memory.give(centered);
            y
        };
        if let Some(noisy) = noisy {
            memory.give(noisy);
        }
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
            Modulation::Spade(spade) => spade.run(level, x, scale, shift, leaky, features),
            Modulation::Clade(clade) => clade.run(&level.ids, x, scale, shift, leaky, features),
            Modulation::Icpe(icpe) => icpe.run(level, x, scale, shift, leaky, features),
            Modulation::Sean(sean) => {
                if let Some(spade) = sean.spade() {
                    spade.run(level, x, scale, shift, leaky, features);
                }
            }
        }
        if let (Some([weight, bias]), Some(edges)) = (self.edge, &level.edges) {
            affine(self.isa, edges, &[weight], &[bias], leaky, rest);
        }
        y
    }
}

/// `[out, labels + 1, 9]`, the last channel for edges, as `[out, 2 labels, 9]`: labels beside edges, then labels at them.
fn at_edges(weight: &[f32], labels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(2 * weight.len());
    for row in weight.chunks_exact((labels + 1) * 9) {
        let (plain, edge) = row.split_at(labels * 9);
        out.extend(plain);
        out.extend(plain.chunks_exact(9).flat_map(|label| label.iter().zip(edge).map(|(label, edge)| label + edge)));
    }
    out
}

impl Icpe {
    fn run(&self, level: &Level, x: &[f32], scale: &[f32], shift: &[f32], leaky: bool, out: &mut [f32]) {
        let (pixels, channels) = (level.ids.len(), scale.len());
        let none = vec![0.0; 2 * pixels];
        let (vertical, horizontal) = level.distances.as_deref().unwrap_or(&none).split_at(pixels);
        let factors = |[v, h, one]: [f32; 3]| -> Vec<f32> {
            vertical.iter().zip(horizontal).map(|(dy, dx)| dy * v + dx * h + one).collect()
        };
        let (of_scale, of_shift) = (factors(self.factor_scale), factors(self.factor_shift));
        let slope = if leaky { LEAKY_SLOPE } else { 1.0 };
        out.par_chunks_mut(pixels).zip(x.par_chunks(pixels)).enumerate().for_each(|(channel, (out, x))| {
            let column = |bank: &[f32]| -> Vec<f32> { bank.iter().skip(channel).step_by(channels).copied().collect() };
            let (weight, bias) = (column(&self.scale), column(&self.shift));
            let (scale, shift) = (scale[channel], shift[channel]);
            let places = level.ids.iter().zip(of_scale.iter().zip(&of_shift));
            for ((out, x), (&id, (fw, fb))) in out.iter_mut().zip(x).zip(places) {
                let (w, b) = (weight.get(usize::from(id)), bias.get(usize::from(id)));
                let value = (x * scale + shift) * (w.unwrap_or(&0.0) * fw) + b.unwrap_or(&0.0) * fb;
                *out = value.max(slope * value);
            }
        });
    }
}
