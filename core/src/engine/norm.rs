//! Modulated norms on the CPU engine: statistics, noise, and the modulation's kernels.

use std::sync::Arc;

use semsynth_kernels::{Affine, Isa, Map, MapMut, Scratch, Source, affine, for_each_run, moments};

use super::Scene;
use super::buffers::Buffers;
use crate::error::{Error, Result};
use crate::label::LabelArea;
use crate::nn::modulation::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::nn::{BlockPlan, EPSILON, NormKind, NormPlan, Statistics};
use crate::tensors::Tensors;

/// Packed weights of a norm, shared by all sessions.
#[derive(Debug)]
pub(super) struct Norm {
    plan: NormPlan,
    isa: Isa,
    modulation: Arc<dyn CpuModulation>,
    /// Number of extra channels that the modulation appends.
    extra: usize,
    /// Running statistics as `x * scale + shift`; `None` for instance norm.
    running: Option<[Vec<f32>; 2]>,
}

impl Norm {
    pub(super) fn new(
        isa: Isa,
        tensors: &Tensors,
        block: &BlockPlan,
        plan: &NormPlan,
        low_memory: bool,
    ) -> Result<Self> {
        let facts = block.modulation.facts();
        let pack = facts.cpu(&block.config).ok_or_else(|| {
            Error::Argument(format!("the CPU engine does not support {} in this network", facts.label()))
        })?;
        let weights = NormWeights::new(tensors, &plan.name);
        let config = CpuConfig { isa, modulation: block.config, channels: plan.channels, low_memory };
        let running = match block.config.norm {
            NormKind::Instance => None,
            NormKind::Batch => {
                let [mean, var] =
                    [weights.get("param_free_norm.running_mean")?, weights.get("param_free_norm.running_var")?];
                let scale: Vec<f32> = var.iter().map(|var| 1.0 / (var + EPSILON as f32).sqrt()).collect();
                let shift = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
                Some([scale, shift])
            }
        };
        let modulation = pack(&weights, &config)?;
        Ok(Self { plan: plan.clone(), isa, modulation, extra: block.extra_channels, running })
    }

    pub(super) fn session(&self) -> Box<dyn CpuSession> {
        Arc::clone(&self.modulation).session()
    }

    pub(super) fn channels(&self) -> usize {
        self.plan.channels
    }

    /// Sets the styles, `[labels, length]`, or removes them.
    pub(super) fn set_style(
        &self,
        session: &mut dyn CpuSession,
        tensors: &Tensors,
        style: Option<&[f32]>,
    ) -> Result<()> {
        session.set_style(&NormWeights::new(tensors, &self.plan.name), style)
    }

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        self.modulation.bytes()
    }

    /// Working memory for `[rows, columns]`.
    pub(super) fn scratch(&self, size: [usize; 2]) -> Scratch {
        self.modulation.scratch(size)
    }

    /// Channels of the output.
    pub(super) fn outputs(&self) -> usize {
        self.channels() + self.extra
    }

    /// Normalises, modulates and activates some rows: those of `labels` and of `out`, which has
    /// [`outputs`](Self::outputs) channels. `x` starts at their first row and column. With statistics of the picture,
    /// these must be all rows, and those of `x` all of its map.
    pub(super) fn run(
        &self,
        session: &mut dyn CpuSession,
        x: Source<'_>,
        labels: &LabelArea<'_>,
        scene: &Scene<'_>,
        leaky: bool,
        out: MapMut<'_>,
        memory: &mut Buffers,
    ) {
        let size = labels.size();
        let noisy = self.with_noise(session, x, labels, scene, memory);
        let x = noisy.as_deref().map_or(x, |noisy| Source::new(Map::whole(noisy, size), [0, 0]));
        if let (Some([factor, shift]), Statistics::Running) = (&self.running, scene.statistics) {
            session.modulate(x, Affine { scale: factor, shift, leaky }, labels, out);
        } else {
            // For a batch of one picture, batch statistics are those of the picture. Subtract the mean first: if a
            // channel hardly varies, the scale is large and would amplify the rounding error of the mean.
            let channels = self.channels();
            let mut plain = memory.take(channels * size[0] * size[1]);
            for_each_run(x, MapMut::whole(&mut plain, size), |_, _, x, out| out.copy_from_slice(x));
            let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
            moments(self.isa, &plain, &mut mean, &mut variance);
            let mut centered = memory.take(plain.len());
            let minus_mean: Vec<f32> = mean.iter().map(|mean| -*mean as f32).collect();
            let one = vec![1.0; channels];
            affine(self.isa, &plain, Affine { scale: &one, shift: &minus_mean, leaky: false }, &mut centered);
            memory.give(plain);
            let factor: Vec<f32> = variance.iter().map(|var| 1.0 / (*var as f32 + EPSILON as f32).sqrt()).collect();
            let zero = vec![0.0; channels];
            let x = Source::new(Map::whole(&centered, size), [0, 0]);
            session.modulate(x, Affine { scale: &factor, shift: &zero, leaky }, labels, out);
            memory.give(centered);
        }
        if let Some(noisy) = noisy {
            memory.give(noisy);
        }
    }

    /// Features with noise added: one value per pixel, scaled per channel. `None` without noise.
    fn with_noise(
        &self,
        session: &dyn CpuSession,
        x: Source<'_>,
        labels: &LabelArea<'_>,
        scene: &Scene<'_>,
        memory: &mut Buffers,
    ) -> Option<Vec<f32>> {
        let strength = session.noise_strength()?;
        let noise = scene.noise.area(self.plan.noise?, labels.scale(), labels.area(), scene.period)?;
        let mut y = memory.take(self.channels() * noise.len());
        for_each_run(x, MapMut::whole(&mut y, labels.size()), |channel, offset, x, y| {
            let strength = strength[channel];
            for ((y, x), noise) in y.iter_mut().zip(x).zip(&noise[offset..]) {
                *y = x + noise * strength;
            }
        });
        Some(y)
    }
}
