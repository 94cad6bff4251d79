//! Runs generators of the SPADE family on the CPU, with the kernels of `semsynth-kernels`. Supports every network
//! whose modulations have a CPU implementation.
//!
//! [`Network::forward`](crate::network::Network::forward) is the reference implementation; tests compare with it. The
//! engine is faster because it uses Winograd convolution, computes modulation once for each distinct label patch,
//! fuses normalisation, activation and residual sums into the kernels, and reuses memory between pictures.

mod block;
mod buffers;
mod norm;

use std::sync::Arc;

use rayon::prelude::*;
use semsynth_kernels::{ConvHead, Isa, upsample2};

use self::block::{Block, BlockSession};
use self::buffers::Buffers;
use crate::error::Result;
use crate::label::{LabelPyramid, LabelScale};
use crate::network::{GeneratorConfig, Plan, StyleConfig};
use crate::nn::modulation::values;
use crate::nn::{BlockPlan, Noise, Statistics};
use crate::tensors::Tensors;

/// The packed weights of a generator: immutable, and shared by any number of [sessions](Session).
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    style: StyleConfig,
    semantics: usize,
    stride: usize,
    fc: FirstLayer,
    blocks: Vec<Block>,
    conv_img: ConvHead,
    /// The tensors that styles are packed from.
    tensors: Arc<Tensors>,
}

/// What to synthesize.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    /// Label maps whose sides are multiples of the network's stride, with ids below its label channels, and with
    /// edges if the network uses them.
    pub(crate) labels: &'a LabelPyramid,
    /// The latent vector, for networks that use one.
    pub(crate) latent: Option<&'a [f32]>,
    /// Styles, for networks with a style per class.
    pub(crate) styles: Option<&'a ClassStyles>,
    /// Noise, for networks that use it. Given maps are treated as no noise.
    pub(crate) noise: Noise,
    pub(crate) statistics: Statistics,
}

/// A style per class, `[labels, length]`.
#[derive(Clone, Debug)]
pub(crate) struct ClassStyles {
    pub(crate) all: Vec<f32>,
    /// Different styles for single blocks, by block index.
    pub(crate) some: Vec<(usize, Vec<f32>)>,
}

impl ClassStyles {
    pub(crate) fn of(&self, block: usize) -> &[f32] {
        self.some.iter().rfind(|(index, _)| *index == block).map_or(&self.all, |(_, style)| style)
    }
}

/// The layer that makes the first features, with weights as stored.
#[derive(Debug)]
struct FirstLayer {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Engine {
    /// Whether every modulation of a network has a CPU implementation.
    pub(crate) fn supports(config: &GeneratorConfig) -> bool {
        let has_form = |block: &BlockPlan| block.modulation.facts().cpu(&block.config).is_some();
        Plan::new(config).blocks.iter().all(has_form)
    }

    /// Packs the weights of a validated model. `size` is the height and width of typical pictures: it affects speed,
    /// and the result only by rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if a tensor is missing.
    pub(crate) fn new(
        config: &GeneratorConfig,
        tensors: Arc<Tensors>,
        size: [usize; 2],
        low_memory: bool,
    ) -> Result<Self> {
        let plan = Plan::new(config);
        let isa = Isa::detect();
        let block = |block: &BlockPlan| Block::new(isa, &tensors, block, pixels(config, block, size), low_memory);
        let blocks = plan.blocks.par_iter().map(block).collect::<Result<_>>()?;
        Self::of_blocks(isa, config, plan, blocks, tensors)
    }

    /// Like [`new`](Self::new), with less memory: packs block by block and drops tensors that are no longer needed.
    ///
    /// # Errors
    ///
    /// Same as [`new`](Self::new).
    pub(crate) fn low_memory(config: &GeneratorConfig, mut tensors: Tensors, size: [usize; 2]) -> Result<Self> {
        let plan = Plan::new(config);
        let isa = Isa::detect();
        let mut blocks = Vec::with_capacity(plan.blocks.len());
        for block in &plan.blocks {
            blocks.push(Block::new(isa, &tensors, block, pixels(config, block, size), true)?);
            // Norms with styles are repacked for every style.
            let keep_norms = block.modulation.facts().needs().styles;
            let packed = |name: &str| {
                name.strip_prefix(block.name)
                    .is_some_and(|rest| rest.starts_with(".conv_") || !keep_norms && rest.starts_with('.'))
            };
            tensors.retain(|name| !packed(name));
        }
        Self::of_blocks(isa, config, plan, blocks, Arc::new(tensors))
    }

    fn of_blocks(
        isa: Isa,
        config: &GeneratorConfig,
        plan: Plan,
        blocks: Vec<Block>,
        tensors: Arc<Tensors>,
    ) -> Result<Self> {
        let (weight, bias) = (values(&tensors, "conv_img.weight")?, values(&tensors, "conv_img.bias")?);
        let conv_img = ConvHead::new(isa, &weight, Some(&bias), [3, plan.last_channels]).with_leaky().with_tanh();
        let fc = FirstLayer {
            weight: values(&tensors, "fc.weight")?.into_owned(),
            bias: values(&tensors, "fc.bias")?.into_owned(),
        };
        let (style, semantics, stride) = (config.style, config.semantics(), config.stride());
        Ok(Self { plan, style, semantics, stride, fc, blocks, conv_img, tensors })
    }

    /// The tensors the engine was packed from, except those that were dropped.
    pub(crate) fn tensors(&self) -> &Arc<Tensors> {
        &self.tensors
    }

    /// Creates the mutable state that one thread needs.
    pub(crate) fn session(self: &Arc<Self>) -> Session {
        let blocks = self.blocks.iter().map(Block::session).collect();
        Session { engine: Arc::clone(self), blocks, memory: Buffers::default() }
    }
}

/// The area of a block's features, for a picture of the given size.
fn pixels(config: &GeneratorConfig, block: &BlockPlan, size: [usize; 2]) -> usize {
    size.map(|side| side.div_ceil(config.stride()) << block.doublings).iter().product()
}

/// An [`Engine`] in use by one thread: memory for features, and state that layers keep between pictures.
#[derive(Debug)]
pub(crate) struct Session {
    engine: Arc<Engine>,
    blocks: Vec<BlockSession>,
    memory: Buffers,
}

impl Session {
    /// Synthesizes `[3, height, width]` with values in -1 to 1. Calls `step` between kernels with the progress, 0 to
    /// 1; an error from it ends the computation, and the session remains usable.
    ///
    /// # Errors
    ///
    /// Those of `step`.
    pub(crate) fn run(&mut self, scene: &Scene<'_>, step: &mut dyn FnMut(f32) -> Result<()>) -> Result<Vec<f32>> {
        let Self { engine, blocks, memory } = self;
        let Engine { plan, tensors, .. } = &**engine;
        step(0.0)?;
        let sessions = blocks.par_iter_mut().zip(&engine.blocks).enumerate();
        sessions.try_for_each(|(index, (session, block))| {
            block.set_style(session, tensors, scene.styles.map(|styles| styles.of(index)))
        })?;
        let mut size = scene.labels.size().map(|side| side / engine.stride);
        let mut channels = plan.first_channels;
        let mut x = memory.take(channels * size[0] * size[1]);
        match (engine.style, scene.latent) {
            (StyleConfig::Latent { grid, .. }, Some(latent)) => engine.fc.spread(latent, grid, size, &mut x),
            _ => engine.fc.gather(&scene.labels.at(size), engine.semantics, &mut x),
        }
        let work: Vec<f32> = plan.blocks.iter().map(work).collect();
        // The output convolution is little work.
        let all = work.iter().sum::<f32>() * 1.05;
        let mut done = 0.0;
        for (((block, session), plan), work) in engine.blocks.iter().zip(blocks).zip(&plan.blocks).zip(work) {
            if plan.doubles {
                let mut larger = memory.take(4 * x.len());
                upsample2(&x, [channels, size[0], size[1]], &mut larger);
                memory.give(std::mem::replace(&mut x, larger));
                size = size.map(|side| 2 * side);
            }
            // A block calls `check` five or six times.
            let mut calls = 0;
            let mut check = || {
                calls += 1;
                step((done + work * (calls as f32 / 6.0)) / all)
            };
            x = block.run(session, x, &scene.labels.at(size), scene, memory, &mut check)?;
            done += work;
            channels = plan.output;
        }
        let mut picture = vec![0.0; 3 * size[0] * size[1]];
        engine.conv_img.run(&x, size, &mut picture);
        memory.give(x);
        Ok(picture)
    }
}

/// Approximate work of a block: multiplications in its convolutions, relative to other blocks.
fn work(block: &BlockPlan) -> f32 {
    let area = (1u64 << (2 * block.doublings)) as f32;
    area * (block.middle() * (block.input + block.output)) as f32
}

impl FirstLayer {
    /// The 3x3 convolution of the one-hot map: each tap adds one column of the weight, `[out, semantics, 3, 3]`.
    fn gather(&self, scale: &LabelScale, semantics: usize, x: &mut [f32]) {
        let ([height, width], ids, edges) = (scale.size(), scale.ids(), scale.edges());
        let planes = x.par_chunks_mut(height * width).zip(self.weight.par_chunks(semantics * 9)).zip(&self.bias);
        planes.for_each(|((plane, weight), &bias)| {
            for (i, value) in plane.iter_mut().enumerate() {
                let (y, x) = (i / width, i % width);
                *value = bias;
                for tap in 0..9 {
                    let (row, column) = ((y + tap / 3).wrapping_sub(1), (x + tap % 3).wrapping_sub(1));
                    if row >= height || column >= width {
                        continue;
                    }
                    let pixel = row * width + column;
                    let label = ids.get(pixel).copied().map_or(0, usize::from);
                    *value += weight.get(label * 9 + tap).copied().unwrap_or_default();
                    if let (Some(edges), Some(weight)) = (edges, weight.get((semantics - 1) * 9 + tap)) {
                        *value += edges.get(pixel).copied().unwrap_or_default() * weight;
                    }
                }
            }
        });
    }

    /// Maps a latent vector to a grid of features and resizes that to `[height, width]` by nearest neighbour.
    fn spread(&self, latent: &[f32], [rows, columns]: [usize; 2], [height, width]: [usize; 2], x: &mut [f32]) {
        let cells = rows * columns;
        x.par_chunks_mut(height * width).enumerate().for_each(|(channel, plane)| {
            let value = |cell: usize| -> f32 {
                let row = self.weight.chunks_exact(latent.len()).nth(channel * cells + cell).unwrap_or_default();
                let bias = self.bias.get(channel * cells + cell).copied().unwrap_or_default();
                row.iter().zip(latent).map(|(weight, value)| weight * value).sum::<f32>() + bias
            };
            let grid: Vec<f32> = (0..cells).map(value).collect();
            for (i, value) in plane.iter_mut().enumerate() {
                let cell = i / width * rows / height * columns + i % width * columns / width;
                *value = grid.get(cell).copied().unwrap_or_default();
            }
        });
    }
}

#[cfg(test)]
mod tests;
