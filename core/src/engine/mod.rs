//! Painting on the CPU with kernels of our own (`semsynth-kernels`): the SPADE family, but for SPADE with other than 3x3
//! kernels.
//!
//! [`Network::forward`](crate::network::Network::forward) is the definition; tests compare with it. What makes the
//! difference: Winograd convolutions, modulation computed once for each distinct label patch, normalisation, activation and
//! residual sums within the kernels, and memory that is kept.

mod block;
mod buffers;
mod level;
mod norm;
mod remembering;
mod sean;
mod weights;

use rayon::prelude::*;
use semsynth_kernels::{ConvHead, Isa, upsample2};

use self::block::Block;
use self::buffers::Buffers;
use self::level::{Level, Levels};
use self::norm::Shape;
use self::weights::Weights;
use crate::error::Result;
use crate::label::{DistanceMap, LabelMap};
use crate::model::Tensors;
use crate::network::{BLOCKS, GeneratorConfig, StyleConfig};
use crate::nn::modulation::ModulationKind;
use crate::nn::{Noise, Statistics};

/// A generator on kernels, with its scratch memory.
#[derive(Debug)]
pub(crate) struct Engine {
    config: GeneratorConfig,
    fc: Start,
    blocks: Vec<Block>,
    conv_img: ConvHead,
    memory: Buffers,
    levels: Option<Levels>,
}

/// What is to be painted.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    /// Sides are multiples of the network's stride, and all ids have a channel.
    pub(crate) labels: &'a LabelMap,
    /// For networks that take them.
    pub(crate) edges: Option<&'a [bool]>,
    /// For CLADE-ICPE.
    pub(crate) distances: Option<&'a DistanceMap>,
    /// For networks that take one.
    pub(crate) latent: Option<&'a [f32]>,
    /// For SEAN.
    pub(crate) styles: Option<&'a Styles>,
    /// For SEAN; given maps count as none.
    pub(crate) noise: Noise,
    pub(crate) statistics: Statistics,
}

/// Styles per class, `[labels, length]`.
#[derive(Clone, Debug)]
pub(crate) struct Styles {
    pub(crate) all: Vec<f32>,
    /// For single blocks, instead.
    pub(crate) some: Vec<(usize, Vec<f32>)>,
}

impl Styles {
    fn of(&self, block: usize) -> &[f32] {
        self.some.iter().rfind(|(index, _)| *index == block).map_or(&self.all, |(_, style)| style)
    }
}

/// What the first features are made from; weights as they are stored.
#[derive(Debug)]
struct Start {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Engine {
    /// Whether there are kernels for everything in a network.
    pub(crate) fn supports(config: &GeneratorConfig) -> bool {
        let known = |kind| !matches!(kind, ModulationKind::Spade { kernel } if kernel != 3);
        // A label at an edge is a class of its own.
        let labels_fit = !config.instance_edges || config.label_channels < 1 << 15;
        labels_fit && (0..config.blocks()).all(|block| known(config.modulation_of(block)))
    }

    /// Packs the weights of a model that has been checked. `size` is the height and width it will mostly paint: speed
    /// depends on it, the picture does not, but for its last bits.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::Error::Model) if a tensor is missing.
    pub(crate) fn new(config: &GeneratorConfig, tensors: &Tensors, size: [usize; 2]) -> Result<Self> {
        let blocks = (0..config.blocks()).into_par_iter().map(|index| block(config, tensors, size, index, false));
        Self::around(blocks.collect::<Result<_>>()?, config, tensors)
    }

    /// The same with less memory: block by block, removing what is packed and not needed again.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(crate) fn emptying(config: &GeneratorConfig, tensors: &mut Tensors, size: [usize; 2]) -> Result<Self> {
        let mut blocks = Vec::with_capacity(config.blocks());
        for (index, name) in BLOCKS.into_iter().enumerate().take(config.blocks()) {
            blocks.push(block(config, tensors, size, index, true)?);
            // SEAN's norms are packed anew for every style; its code calls them ACE.
            let (convs, norms) = (format!("{name}.conv_"), format!("{name}.norm_"));
            tensors.retain(|name| !name.starts_with(&convs) && !name.starts_with(&norms));
        }
        Self::around(blocks, config, tensors)
    }

    fn around(blocks: Vec<Block>, config: &GeneratorConfig, tensors: &Tensors) -> Result<Self> {
        let weights = Weights(tensors);
        let last = config.plan().last().map_or(config.ngf, |&[_, output]| output);
        let (weight, bias) = (weights.get("conv_img.weight")?, weights.get("conv_img.bias")?);
        let conv_img = ConvHead::new(Isa::detect(), &weight, Some(&bias), [3, last]);
        Ok(Self {
            config: config.clone(),
            fc: Start { weight: weights.get("fc.weight")?.into_owned(), bias: weights.get("fc.bias")?.into_owned() },
            blocks,
            conv_img: conv_img.with_leaky().with_tanh(),
            memory: Buffers::default(),
            levels: None,
        })
    }

    /// Paints: `[3, height, width]`, -1 to 1. `tensors` are those it was made of: a new style is worked into them.
    ///
    /// # Errors
    ///
    /// Does not fail for label maps within the limits of [`LabelMap`].
    pub(crate) fn run(&mut self, scene: &Scene<'_>, tensors: &Tensors) -> Result<Vec<f32>> {
        let blocks = self.blocks.par_iter_mut().enumerate();
        blocks.try_for_each(|(index, block)| {
            block.restyle(Weights(tensors), scene.styles.map(|styles| styles.of(index)))
        })?;
        let mut levels = match self.levels.take() {
            Some(levels) if levels.are_of(scene.labels, scene.edges, scene.distances) => {
                levels.repeat();
                levels
            }
            _ => Levels::new(self.config.label_channels, scene.labels, scene.edges, scene.distances),
        };
        let stride = self.config.stride();
        let mut size = [scene.labels.height() / stride, scene.labels.width() / stride];
        let level = levels.at(size)?;
        let mut channels = 16 * self.config.ngf;
        let mut x = self.memory.take(channels * size[0] * size[1]);
        match (self.config.style, scene.latent) {
            (StyleConfig::Latent { grid, .. }, Some(latent)) => self.fc.spread(latent, grid, size, &mut x),
            _ => self.fc.gather(&level, self.config.semantics(), &mut x),
        }
        for (index, (block, [_, output])) in self.blocks.iter().zip(self.config.plan()).enumerate() {
            if self.config.doubles_before(index) {
                let mut larger = self.memory.take(4 * x.len());
                upsample2(&x, [channels, size[0], size[1]], &mut larger);
                self.memory.give(std::mem::replace(&mut x, larger));
                size = size.map(|side| 2 * side);
            }
            x = block.run(x, &*levels.at(size)?, scene, &mut self.memory);
            channels = output;
        }
        let mut picture = vec![0.0; 3 * size[0] * size[1]];
        self.conv_img.run(&x, size, &mut picture);
        self.memory.give(x);
        self.levels = Some(levels);
        Ok(picture)
    }
}

/// The block of a network that will mostly paint pictures of a height and width.
fn block(config: &GeneratorConfig, tensors: &Tensors, size: [usize; 2], index: usize, frugal: bool) -> Result<Block> {
    let (plan, stride) = (config.plan(), config.stride());
    let [height, width] = size.map(|side| side.div_ceil(stride) << config.doublings_until(index));
    let learned = |block: usize| plan.get(block).is_some_and(|[input, output]| input != output);
    let draws = |block: usize| config.modulation_of(block).draws() * (2 + usize::from(learned(block)));
    let shape = Shape {
        kind: config.modulation_of(index),
        norm: config.norm,
        labels: config.label_channels,
        edges: config.instance_edges,
        channels: plan[index],
        pixels: height * width,
        frugal,
    };
    Block::new(Isa::detect(), Weights(tensors), BLOCKS[index], shape, (0..index).map(draws).sum())
}

impl Start {
    /// The 3x3 convolution of the one-hot map: each tap adds one column of the weight, `[out, semantics, 3, 3]`.
    fn gather(&self, level: &Level, semantics: usize, x: &mut [f32]) {
        let [height, width] = level.size;
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
                    let label = level.ids.get(pixel).copied().map_or(0, usize::from);
                    *value += weight.get(label * 9 + tap).copied().unwrap_or_default();
                    if let (Some(edges), Some(weight)) = (&level.edges, weight.get((semantics - 1) * 9 + tap)) {
                        *value += edges.get(pixel).copied().unwrap_or_default() * weight;
                    }
                }
            }
        });
    }

    /// The grid that a latent vector is turned into, by the nearest of its cells.
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
