//! SEAN on the CPU engine.
//!
//! A style convolution of a map of class vectors equals a convolution of the one-hot labels whose kernel is
//! multiplied by the vectors. So gamma and beta, blended from both branches, are one convolution of SPADE's hidden
//! layer concatenated with the one-hot labels. It is repacked when the style changes.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use semsynth_kernels::{Affine, HIDDEN, Isa, MapMut, Scratch, Source, Spade, collapse, times};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use super::super::spade::CachedSpade;
use crate::error::Result;
use crate::label::LabelArea;

/// Packs SEAN. Its convolutions are packed when the style is set.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    Ok(Arc::new(Packed {
        isa: config.isa,
        labels: config.modulation.labels,
        channels: config.channels,
        low_memory: config.low_memory,
        noise_var: weights.get("noise_var")?.into_owned(),
        styled: weights.has("conv_gamma.weight"),
        latest: Mutex::default(),
    }))
}

#[derive(Debug)]
struct Packed {
    isa: Isa,
    labels: usize,
    channels: usize,
    low_memory: bool,
    /// `[channels]`
    noise_var: Vec<f32>,
    styled: bool,
    /// The style packed last, for other sessions that set the same one.
    latest: Mutex<Option<Arc<Styled>>>,
}

/// SPADE with a style blended in.
#[derive(Debug)]
struct Styled {
    /// `[labels, length]`
    style: Option<Vec<f32>>,
    spade: Arc<Spade>,
}

impl Packed {
    /// Channels that gamma and beta are convolutions of.
    fn inputs(&self) -> usize {
        HIDDEN + if self.styled { self.labels } else { 0 }
    }
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(Session { packed: self, styled: None })
    }

    fn bytes(&self) -> usize {
        // Of one style.
        4 * 2 * 9 * self.channels * self.inputs()
    }

    fn scratch(&self, size: [usize; 2]) -> Scratch {
        Spade::scratch(self.inputs(), self.channels, size)
    }
}

#[derive(Debug)]
struct Session {
    packed: Arc<Packed>,
    styled: Option<(Arc<Styled>, CachedSpade)>,
}

impl CpuSession for Session {
    fn set_style(&mut self, weights: &NormWeights<'_>, style: Option<&[f32]>) -> Result<()> {
        let style = style.filter(|_| self.packed.styled);
        if self.styled.as_ref().is_some_and(|(present, _)| present.style.as_deref() == style) {
            return Ok(());
        }
        let styled = self.packed.styled(weights, style)?;
        let cached = CachedSpade::new(Arc::clone(&styled.spade), self.packed.low_memory);
        self.styled = Some((styled, cached));
        Ok(())
    }

    fn noise_strength(&self) -> Option<&[f32]> {
        Some(&self.packed.noise_var)
    }

    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        if let Some((_, spade)) = &mut self.styled {
            spade.run(x, affine, labels, out);
        }
    }
}

impl Packed {
    /// Packs a style, unless another session has just packed the same one.
    fn styled(&self, weights: &NormWeights<'_>, style: Option<&[f32]>) -> Result<Arc<Styled>> {
        // The lock is not held while packing: packing waits on a thread pool, whose threads may call this function
        // meanwhile.
        let latest = || self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(styled) = latest().as_ref().filter(|styled| styled.style.as_deref() == style) {
            return Ok(Arc::clone(styled));
        }
        let spade = Arc::new(self.mixed(weights, style)?);
        let styled = Arc::new(Styled { style: style.map(<[f32]>::to_vec), spade });
        *latest() = Some(Arc::clone(&styled));
        Ok(styled)
    }

    /// SPADE with the style branch blended in.
    fn mixed(&self, weights: &NormWeights<'_>, style: Option<&[f32]>) -> Result<Spade> {
        let get = |name: &str| weights.get(name);
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
        Ok(Spade::new(self.isa, sizes, &shared, &bias, &gamma, &gamma_bias, &beta, &beta_bias))
    }

    /// The vector of each class after the linear layer of the class, `[length, labels]`.
    fn vectors(&self, weights: &NormWeights<'_>, style: &[f32]) -> Result<Vec<f32>> {
        let length = style.len() / self.labels;
        let of_class = |class: usize| -> Result<Vec<f32>> {
            let layer = |leaf: &str| weights.get(&format!("fc_mu{class}.{leaf}"));
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
