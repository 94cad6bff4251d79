//! SEAN's modulation on the kernels of SPADE.
//!
//! A style convolution over a map of class vectors is a convolution of the one-hot labels with a kernel that has the vectors
//! multiplied in. So gamma and beta, mixed of both branches, are one convolution of SPADE's hidden layer with the labels
//! beside it.

use std::borrow::Cow;

use rayon::prelude::*;
use semsynth_kernels::{HIDDEN, Isa, Spade, collapse, times};

use super::Scene;
use super::buffers::Buffers;
use super::level::Level;
use super::norm::Shape;
use super::remembering::Remembering;
use super::weights::Weights;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Sean {
    name: String,
    isa: Isa,
    labels: usize,
    frugal: bool,
    channels: usize,
    /// `[channels]`
    noise_var: Vec<f32>,
    draw: usize,
    styled: bool,
    /// The style that is worked in, and what came of it.
    worked_in: Option<(Option<Vec<f32>>, Remembering)>,
}

impl Sean {
    /// Paints nothing before [`restyle`](Self::restyle).
    pub(super) fn new(
        isa: Isa,
        weights: Weights<'_>,
        name: &str,
        channels: usize,
        shape: Shape,
        draw: usize,
    ) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            isa,
            labels: shape.labels,
            frugal: shape.frugal,
            channels,
            noise_var: weights.get(&format!("{name}.noise_var"))?.into_owned(),
            draw,
            styled: weights.has(&format!("{name}.conv_gamma.weight")),
            worked_in: None,
        })
    }

    pub(super) fn spade(&self) -> Option<&Remembering> {
        self.worked_in.as_ref().map(|(_, spade)| spade)
    }

    /// Features with noise, one value per pixel, scaled per channel; nothing where there is none.
    pub(super) fn disturb(
        &self,
        x: &[f32],
        level: &Level,
        scene: &Scene<'_>,
        memory: &mut Buffers,
    ) -> Option<Vec<f32>> {
        let noise = scene.noise.values(self.draw, level.whole, level.size)?;
        let mut y = memory.take(x.len());
        let planes = y.par_chunks_mut(noise.len()).zip(x.par_chunks(noise.len())).zip(&self.noise_var);
        planes.for_each(|((y, x), &strength)| {
            for ((y, x), noise) in y.iter_mut().zip(x).zip(&noise) {
                *y = x + noise * strength;
            }
        });
        Some(y)
    }

    /// Works a style in, `[labels, length]`, or that there is none, unless it is there already.
    pub(super) fn restyle(&mut self, weights: Weights<'_>, style: Option<&[f32]>) -> Result<()> {
        let style = style.filter(|_| self.styled);
        if self.worked_in.as_ref().is_some_and(|(present, _)| present.as_deref() == style) {
            return Ok(());
        }
        let get = |leaf: &str| weights.get(&format!("{}.{leaf}", self.name));
        let [mut gamma, mut beta] = [get("Spade.mlp_gamma.weight")?, get("Spade.mlp_beta.weight")?];
        let [mut gamma_bias, mut beta_bias] = [get("Spade.mlp_gamma.bias")?, get("Spade.mlp_beta.bias")?];
        if let Some(style) = style {
            let vectors = self.vectors(weights, style)?;
            let mix = |kind: &str, spade: &[f32], bias: &[f32]| -> Result<_> {
                let blending = get(&format!("blending_{kind}"))?.first().copied().unwrap_or_default();
                let share = 1.0 / (1.0 + (-blending).exp());
                let stride = (HIDDEN + self.labels) * 9;
                let mut weight = vec![0.0; self.channels * stride];
                let conv = get(&format!("conv_{kind}.weight"))?;
                collapse(self.isa, &conv, &vectors, self.labels, share, stride, &mut weight);
                weight.par_chunks_exact_mut(stride).zip(spade.par_chunks_exact(HIDDEN * 9)).for_each(|(row, spade)| {
                    row.iter_mut().zip(spade).for_each(|(to, value)| *to = value * (1.0 - share));
                });
                let conv = get(&format!("conv_{kind}.bias"))?;
                let bias = bias.iter().zip(&*conv).map(|(spade, conv)| spade * (1.0 - share) + conv * share);
                Ok((Cow::Owned(weight), Cow::Owned(bias.collect())))
            };
            (gamma, gamma_bias) = mix("gamma", &gamma, &gamma_bias)?;
            (beta, beta_bias) = mix("beta", &beta, &beta_bias)?;
        }
        let (shared, bias) = (get("Spade.mlp_shared.0.weight")?, get("Spade.mlp_shared.0.bias")?);
        let sizes = [self.labels, self.channels];
        let spade = Spade::new(self.isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias);
        self.worked_in = Some((style.map(<[f32]>::to_vec), Remembering::new(spade, self.frugal)));
        Ok(())
    }

    /// Each class's vector after the layer of its own, `[length, labels]`.
    fn vectors(&self, weights: Weights<'_>, style: &[f32]) -> Result<Vec<f32>> {
        let length = style.len() / self.labels;
        let of_class = |class: usize| -> Result<Vec<f32>> {
            let layer = |leaf: &str| weights.get(&format!("{}.fc_mu{class}.{leaf}", self.name));
            let (weight, bias) = (layer("weight")?, layer("bias")?);
            let style = style.get(class * length..(class + 1) * length).unwrap_or_default();
            let mut vector = vec![0.0; bias.len()];
            times(&weight, style, &mut vector);
            vector.iter_mut().zip(&*bias).for_each(|(value, bias)| *value = (*value + bias).max(0.0));
            Ok(vector)
        };
        let vectors: Vec<Vec<f32>> = (0..self.labels).into_par_iter().map(of_class).collect::<Result<_>>()?;
        Ok((0..length).flat_map(|i| vectors.iter().filter_map(move |vector| vector.get(i).copied())).collect())
    }
}
