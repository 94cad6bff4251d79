//! SEAN's modulation on the kernels of SPADE.
//!
//! A style convolution over a map of class vectors is a convolution of the one-hot labels with a kernel that has the vectors
//! multiplied in. So gamma and beta, mixed of both branches, are one convolution of SPADE's hidden layer with the labels
//! beside it.

use rayon::prelude::*;
use semsynth_kernels::{HIDDEN, Isa, Spade};

use super::Scene;
use super::buffers::Buffers;
use super::level::Level;
use super::weights::Weights;
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Sean {
    name: String,
    isa: Isa,
    labels: usize,
    channels: usize,
    /// `[channels]`
    noise_var: Vec<f32>,
    draw: usize,
    styled: bool,
    /// The style that is worked in.
    style: Vec<f32>,
    spade: Spade,
}

impl Sean {
    pub(super) fn new(
        isa: Isa,
        weights: Weights<'_>,
        name: &str,
        [labels, channels]: [usize; 2],
        draw: usize,
    ) -> Result<Self> {
        let spade = plain(isa, weights, name, [labels, channels])?;
        Ok(Self {
            name: name.to_owned(),
            isa,
            labels,
            channels,
            noise_var: weights.get(&format!("{name}.noise_var"))?,
            draw,
            styled: weights.has(&format!("{name}.conv_gamma.weight")),
            style: Vec::new(),
            spade,
        })
    }

    pub(super) fn spade(&self) -> &Spade {
        &self.spade
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

    /// Works a style in, `[labels, length]`, unless it is there already.
    pub(super) fn restyle(&mut self, weights: Weights<'_>, style: &[f32]) -> Result<()> {
        if !self.styled || self.style == style {
            return Ok(());
        }
        let get = |leaf: &str| weights.get(&format!("{}.{leaf}", self.name));
        let vectors = self.vectors(weights, style)?;
        let branch = |kind: &str| -> Result<(Vec<f32>, Vec<f32>)> {
            let blending = get(&format!("blending_{kind}"))?.first().copied().unwrap_or_default();
            let share = 1.0 / (1.0 + (-blending).exp());
            let spade = get(&format!("Spade.mlp_{kind}.weight"))?;
            let conv = collapsed(&get(&format!("conv_{kind}.weight"))?, &vectors, self.labels);
            let mut weight = Vec::with_capacity(self.channels * (HIDDEN + self.labels) * 9);
            for (spade, conv) in spade.chunks_exact(HIDDEN * 9).zip(conv.chunks_exact(self.labels * 9)) {
                weight.extend(spade.iter().map(|value| value * (1.0 - share)));
                weight.extend(conv.iter().map(|value| value * share));
            }
            let (spade, conv) = (get(&format!("Spade.mlp_{kind}.bias"))?, get(&format!("conv_{kind}.bias"))?);
            let bias = spade.iter().zip(&conv).map(|(spade, conv)| spade * (1.0 - share) + conv * share).collect();
            Ok((weight, bias))
        };
        let ((gamma, gamma_bias), (beta, beta_bias)) = (branch("gamma")?, branch("beta")?);
        let (shared, bias) = (get("Spade.mlp_shared.0.weight")?, get("Spade.mlp_shared.0.bias")?);
        let sizes = [self.labels, self.channels];
        self.spade = Spade::new(self.isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias);
        self.style = style.to_vec();
        Ok(())
    }

    /// Each class's vector after the layer of its own, `[length, labels]`.
    fn vectors(&self, weights: Weights<'_>, style: &[f32]) -> Result<Vec<f32>> {
        let length = style.len() / self.labels;
        let of_class = |class: usize| -> Result<Vec<f32>> {
            let layer = |leaf: &str| weights.get(&format!("{}.fc_mu{class}.{leaf}", self.name));
            let (weight, bias) = (layer("weight")?, layer("bias")?);
            let style = style.get(class * length..(class + 1) * length).unwrap_or_default();
            let value = |(row, bias): (&[f32], &f32)| {
                (row.iter().zip(style).map(|(weight, style)| weight * style).sum::<f32>() + bias).max(0.0)
            };
            Ok(weight.chunks_exact(length).zip(&bias).map(value).collect())
        };
        let vectors: Vec<Vec<f32>> = (0..self.labels).into_par_iter().map(of_class).collect::<Result<_>>()?;
        Ok((0..length).flat_map(|i| vectors.iter().filter_map(move |vector| vector.get(i).copied())).collect())
    }
}

/// SPADE alone, as it is where there are no styles.
fn plain(isa: Isa, weights: Weights<'_>, name: &str, sizes: [usize; 2]) -> Result<Spade> {
    let get = |leaf: &str| weights.get(&format!("{name}.Spade.{leaf}"));
    let (shared, bias) = (get("mlp_shared.0.weight")?, get("mlp_shared.0.bias")?);
    let (gamma, gamma_bias) = (get("mlp_gamma.weight")?, get("mlp_gamma.bias")?);
    let (beta, beta_bias) = (get("mlp_beta.weight")?, get("mlp_beta.bias")?);
    Ok(Spade::new(isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias))
}

/// A kernel over maps of class vectors, `[out, length, 9]`, as one over one-hot labels, `[out, labels, 9]`.
fn collapsed(weight: &[f32], vectors: &[f32], labels: usize) -> Vec<f32> {
    let length = vectors.len() / labels;
    let mut out = vec![0.0; weight.len() / (length * 9) * labels * 9];
    out.par_chunks_mut(labels * 9).zip(weight.par_chunks(length * 9)).for_each(|(out, weight)| {
        // Taps outside, labels inside: the inner loop goes along both.
        let mut sums = vec![0.0f32; 9 * labels];
        for (taps, vector) in weight.chunks_exact(9).zip(vectors.chunks_exact(labels)) {
            for (sums, tap) in sums.chunks_exact_mut(labels).zip(taps) {
                for (sum, value) in sums.iter_mut().zip(vector) {
                    *sum += tap * value;
                }
            }
        }
        for (i, value) in out.iter_mut().enumerate() {
            *value = sums.get(i % 9 * labels + i / 9).copied().unwrap_or_default();
        }
    });
    out
}
