//! Runs generators of the SPADE family on the CPU, with the kernels of `semsynth-kernels`. Supports every network
//! whose modulations have a CPU implementation.
//!
//! [`Network::forward`](crate::network::Network::forward) is the reference implementation; tests compare with it. The
//! engine is faster because it uses Winograd convolution, computes modulation once for each distinct label patch,
//! fuses normalisation, activation and residual sums into the kernels, and reuses memory between pictures.

#![allow(
    clippy::too_many_arguments,
    reason = "where labels come from, rows go and progress is reported are separate things"
)]

mod block;
mod buffers;
mod norm;
mod ring;
mod run;
mod sweep;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use semsynth_kernels::{ConvHead, Isa, MapMut, Mode, fill_rows, times};

use self::block::{Block, BlockSession};
use self::buffers::Buffers;
use self::run::Run;
use self::sweep::{Bands, sweep};
use crate::error::Result;
use crate::label::{Area, LabelArea, LabelInput, LabelStream, Limits, POSITION_CHANNELS};
use crate::memory;
use crate::network::{Extents, GeneratorConfig, Plan, Precision, StyleConfig};
use crate::nn::modulation::values;
use crate::nn::{BlockPlan, Noise, NormKind, Statistics};
use crate::tensors::Tensors;

/// The packed weights of a generator: immutable, and shared by any number of [sessions](Session).
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    style: StyleConfig,
    label_channels: usize,
    norm: NormKind,
    fc: FirstLayer,
    blocks: Vec<Block>,
    conv_img: ConvHead,
    /// The tensors that styles are packed from.
    tensors: Arc<Tensors>,
}

/// What to synthesize, besides labels.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'a> {
    /// The latent vector, for networks that use one.
    pub(crate) latent: Option<&'a [f32]>,
    /// Styles, for networks with a style per class.
    pub(crate) styles: Option<&'a ClassStyles>,
    /// Noise, for networks that use it. Given maps are treated as no noise.
    pub(crate) noise: Noise,
    pub(crate) statistics: Statistics,
    /// Height and width with which the world repeats itself, in pixels, for noise.
    pub(crate) period: [Option<i64>; 2],
}

/// Tiles of convolution in a band: enough for a kernel to run for a millisecond or two, so that handing out its tasks
/// costs little, and few enough for features to stay in cache.
pub(crate) const TILES: usize = 512;

/// Which part of a world to synthesize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The picture, in pixels.
    pub(crate) area: Area,
    /// Where the world ends: at multiples of the network's stride, and the first row and column are 0.
    pub(crate) limits: Limits,
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
    /// Channels of labels and edges.
    semantics: usize,
    /// Those, and channels of positions if it sees them.
    inputs: usize,
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
            semantics: config.semantics(),
            inputs: config.first_inputs(),
        };
        let (style, norm, label_channels) = (config.style, config.norm, config.label_channels);
        Ok(Self { plan, style, label_channels, norm, fc, blocks, conv_img, tensors })
    }

    /// The tensors the engine was packed from, except those that were dropped.
    pub(crate) fn tensors(&self) -> &Arc<Tensors> {
        &self.tensors
    }

    /// Whether a pixel depends on the whole picture, through statistics.
    fn whole_only(&self, statistics: Statistics) -> bool {
        statistics != Statistics::Running || self.norm != NormKind::Batch
    }

    /// Whether norms work on copies of features.
    fn copies_features(&self) -> bool {
        self.norm != NormKind::Batch || self.plan.blocks.iter().any(|block| block.modulation.facts().needs().noise)
    }

    /// Bytes of the weights in memory.
    pub(crate) fn bytes(&self) -> usize {
        let tensors = self.tensors.iter().map(|(_, data)| data.bytes().len());
        self.blocks.iter().map(Block::bytes).sum::<usize>() + tensors.sum::<usize>()
    }

    /// Memory in bytes for a part of a world, without weights, with bands of about this many tiles of convolution.
    pub(crate) fn memory(&self, window: Window, statistics: Statistics, tiles: usize) -> usize {
        let extents = Extents::new(&self.plan, window.area, window.limits, Precision::Bits);
        run::memory(self, &extents, &self.bands(&extents, statistics, tiles))
    }

    /// Multiplications that a part of a world takes, by the definition of its convolutions.
    pub(crate) fn multiplications(&self, window: Window) -> f64 {
        run::multiplications(self, &Extents::new(&self.plan, window.area, window.limits, Precision::Bits))
    }

    /// The plan of the network.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Pixels per cell of a block.
    pub(crate) fn scale(&self, block: &BlockPlan) -> i64 {
        let doublings = self.plan.blocks.last().map_or(0, |block| block.doublings);
        1 << (doublings - block.doublings)
    }

    fn label_stream(&self, extents: &Extents, input: &LabelInput<'_>, keep: bool) -> LabelStream {
        LabelStream::new(&extents.labels, extents.limits, self.label_channels, input.distances.clone(), keep)
    }

    fn bands(&self, extents: &Extents, statistics: Statistics, tiles: usize) -> Bands {
        if self.whole_only(statistics) { Bands::whole(extents) } else { Bands::of_tiles(extents, tiles) }
    }

    /// Creates the mutable state that one thread needs.
    pub(crate) fn session(self: &Arc<Self>) -> Session {
        let blocks = self.blocks.iter().map(Block::session).collect();
        Session { engine: Arc::clone(self), blocks, memory: Buffers::default(), stop: Arc::default(), labels: None }
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
    /// Set when a run is not wanted any more.
    stop: Arc<AtomicBool>,
    /// The labels of the last picture, if they were kept.
    labels: Option<(LabelKey, LabelStream)>,
}

/// What must be the same for labels to be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LabelKey {
    labels: u64,
    window: Window,
}

/// Labels are kept for the next picture if they have at most this many pixels.
const KEPT_LABELS: usize = 1 << 22;

impl Session {
    /// Bytes that are held for the next picture.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Frees what is held for the next picture. Buffers that fit one window badly serve another of a different size worse:
    /// where memory is scarce, each window gets its own.
    pub(crate) fn release(&mut self) {
        self.memory = Buffers::default();
    }

    /// Synthesizes a part of a world in bands of rows, from top to bottom. `sink` gets the first row of a band, counted
    /// from the top of the picture, and its values in -1 to 1, `[3, rows, width]`. Calls `step` between kernels with the
    /// progress, 0 to 1. An error from either ends the computation, and the session remains usable. `key` identifies
    /// labels that may be used again.
    ///
    /// # Errors
    ///
    /// Those of `step`, of `sink` and of the labels.
    pub(crate) fn run(
        &mut self,
        scene: &Scene<'_>,
        labels: &mut LabelInput<'_>,
        key: Option<u64>,
        window: Window,
        tiles: usize,
        sink: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        step(0.0)?;
        self.set_styles(scene)?;
        let engine = Arc::clone(&self.engine);
        let extents = Extents::new(&engine.plan, window.area, window.limits, Precision::Bits);
        let [height, width] = window.area.size();
        let key = key.filter(|_| height * width <= KEPT_LABELS).map(|labels| LabelKey { labels, window });
        let stream = match (self.labels.take(), key) {
            (Some((last, mut stream)), Some(key)) if last == key => {
                stream.mark_reused();
                stream
            }
            _ => engine.label_stream(&extents, labels, key.is_some()),
        };
        let (stream, done) = self.sweep(scene, labels, &extents, None, tiles, stream, sink, step);
        // What was read before an error is right.
        self.labels = key.map(|key| (key, stream));
        done
    }

    /// Makes an area of the output of some blocks, in cells of the last block's scale, or with `head` of the picture.
    /// `cached` is the input of the first block, `[channels, height, width]` of the whole picture, and its height and
    /// width; without it, blocks start with the first. Otherwise as [`run`](Self::run), after
    /// [`set_styles`](Self::set_styles).
    pub(crate) fn run_blocks(
        &mut self,
        scene: &Scene<'_>,
        labels: &mut LabelInput<'_>,
        blocks: Range<usize>,
        head: bool,
        cached: Option<(&[f32], [usize; 2])>,
        window: Window,
        precision: Precision,
        sink: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let engine = Arc::clone(&self.engine);
        let extents = Extents::of_blocks(&engine.plan, blocks, head, window.area, window.limits, precision);
        let needed = run::memory(&engine, &extents, &engine.bands(&extents, scene.statistics, TILES));
        memory::ask(needed.saturating_sub(self.bytes()), "an update of the canvas")?;
        let stream = engine.label_stream(&extents, labels, false);
        self.sweep(scene, labels, &extents, cached, TILES, stream, sink, step).1
    }

    /// Kernels of the next runs end early once `stop` is set: then the next call of `step` must return an error.
    pub(crate) fn stop_on(&mut self, stop: Arc<AtomicBool>) {
        self.stop = stop;
    }

    /// Takes the styles of a scene.
    pub(crate) fn set_styles(&mut self, scene: &Scene<'_>) -> Result<()> {
        let Engine { blocks, tensors, .. } = &*self.engine;
        let sessions = self.blocks.par_iter_mut().zip(blocks).enumerate();
        sessions.try_for_each(|(index, (session, block))| {
            block.set_style(session, tensors, scene.styles.map(|styles| styles.of(index)))
        })
    }

    fn sweep(
        &mut self,
        scene: &Scene<'_>,
        labels: &mut LabelInput<'_>,
        extents: &Extents,
        cached: Option<(&[f32], [usize; 2])>,
        tiles: usize,
        stream: LabelStream,
        sink: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> (LabelStream, Result<()>) {
        let engine = Arc::clone(&self.engine);
        let bands = engine.bands(extents, scene.statistics, tiles);
        let mode = Mode { stop: &self.stop, any_tiles: extents.precision == Precision::Rounding };
        let mut run =
            Run::new(&engine, mode, &mut self.blocks, &mut self.memory, scene, extents, &bands, cached, stream);
        let done = sweep(extents, &bands, &mut |work| run.work(work, labels, sink, step));
        (run.finish(), done)
    }
}

impl FirstLayer {
    /// The 3x3 convolution of the one-hot map, for some rows: each tap adds one column of the weight, `[out, inputs, 3, 3]`, and those
    /// of the positions, weighted.
    fn gather(&self, labels: &LabelArea<'_>, out: MapMut<'_>) {
        let Self { semantics, inputs, .. } = *self;
        let area = labels.area();
        // For each pixel and tap, the place of its weight and whether there is an edge; none beyond the world.
        let mut taps = Vec::with_capacity(area.rows.len() * area.columns.len());
        for y in area.rows.start..area.rows.end {
            for x in area.columns.start..area.columns.end {
                taps.push(std::array::from_fn::<_, 9, _>(|tap| {
                    let (row, column) = (y + tap as i64 / 3 - 1, x + tap as i64 % 3 - 1);
                    labels.cell(row, column).map(|(id, edge)| (usize::from(id) * 9 + tap, edge))
                }));
            }
        }
        let positions = if inputs > semantics { positions(labels) } else { Vec::new() };
        fill_rows(out, |channel, offset, out| {
            let weight = &self.weight[channel * inputs * 9..][..inputs * 9];
            for (value, taps) in out.iter_mut().zip(&taps[offset..]) {
                *value = self.bias[channel];
                for (tap, (place, edge)) in taps.iter().enumerate().filter_map(|(tap, place)| Some((tap, (*place)?))) {
                    *value += weight.get(place).copied().unwrap_or_default();
                    if edge {
                        *value += weight[(semantics - 1) * 9 + tap];
                    }
                }
            }
            for (value, positions) in out.iter_mut().zip(positions.iter().skip(offset)) {
                *value += weight[semantics * 9..].iter().zip(positions).map(|(weight, at)| weight * at).sum::<f32>();
            }
        });
    }

    /// Maps a latent vector to a grid of features, resizes that to the `[height, width]` of the picture by nearest
    /// neighbour, and writes some rows and columns of it.
    fn spread(
        &self,
        latent: &[f32],
        [rows, columns]: [usize; 2],
        [height, width]: [usize; 2],
        area: Area,
        out: MapMut<'_>,
    ) {
        let cells = rows * columns;
        let mut grid = vec![0.0; self.bias.len()];
        times(&self.weight, latent, &mut grid);
        grid.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
        let wide = area.columns.len();
        fill_rows(out, |channel, offset, out| {
            for (i, value) in (offset..).zip(out) {
                let (y, x) = (area.rows.start as usize + i / wide, area.columns.start as usize + i % wide);
                let cell = y * rows / height * columns + x * columns / width;
                *value = grid[channel * cells + cell];
            }
        });
    }
}

/// The positions that a 3x3 convolution sees, for each cell: nine vertical ones, then nine horizontal ones; 0 beyond the world.
fn positions(labels: &LabelArea<'_>) -> Vec<[f32; 9 * POSITION_CHANNELS]> {
    let (area, near) = (labels.area(), labels.around());
    let (around, distances) = (near.area(), near.distances());
    let mut positions = Vec::with_capacity(area.rows.len() * area.columns.len());
    for y in area.rows.start..area.rows.end {
        for x in area.columns.start..area.columns.end {
            positions.push(std::array::from_fn(|i| {
                let (row, column) = (y + i as i64 % 9 / 3 - 1, x + i as i64 % 3 - 1);
                let there = labels.cell(row, column).is_some();
                let [row, column] = [row - around.rows.start, column - around.columns.start];
                if there { distances[i / 9][row as usize * around.columns.len() + column as usize] } else { 0.0 }
            }));
        }
    }
    positions
}

#[cfg(test)]
mod tests;
