//! A run of the engine: does the work of a sweep.

use semsynth_kernels::{Map, MapMut, Mode, ScratchPeak, Source, for_each_run};

use super::buffers::Buffers;
use super::ring::Ring;
use super::sweep::{Bands, Step, Work, sweep};
use super::{BlockSession, Engine, Scene};
use crate::error::Result;
use crate::label::{Area, LabelInput, LabelStream, Span};
use crate::network::{BlockExtents, Extents, StyleConfig};

/// The feature maps of a run, and its progress.
pub(super) struct Run<'a> {
    engine: &'a Engine,
    mode: Mode<'a>,
    sessions: &'a mut [BlockSession],
    memory: &'a mut Buffers,
    scene: &'a Scene<'a>,
    extents: &'a Extents,
    /// The map that the first block reads, if the first features are not made: `[channels, height, width]`, and its
    /// height and width.
    cached: Option<(&'a [f32], [usize; 2])>,
    labels: LabelStream,
    /// Number of rows that each map needs.
    capacities: Capacities,
    /// The input of each block, then that of the output layer.
    inputs: Vec<Ring>,
    features: Vec<Ring>,
    middles: Vec<Ring>,
    /// The last rows of the output that were made: for each block, where its norms are.
    progress: Progress,
}

/// Number of rows in memory at a time.
#[derive(Clone, Debug)]
struct Capacities {
    inputs: Vec<usize>,
    features: Vec<usize>,
    middles: Vec<usize>,
}

impl Capacities {
    fn new(extents: &Extents, bands: &Bands) -> Self {
        let blocks = extents.blocks.len();
        let mut all = Self { inputs: vec![0; blocks + 1], features: vec![0; blocks], middles: vec![0; blocks] };
        let sized = sweep(extents, bands, &mut |Step { work, rows, oldest }| {
            let capacity = match work {
                Work::First => &mut all.inputs[0],
                Work::Features(block) => &mut all.features[block],
                Work::Middle(block) => &mut all.middles[block],
                Work::Output(block) => &mut all.inputs[block + 1],
                Work::Last => return Ok(()),
            };
            *capacity = (*capacity).max(rows.end - oldest);
            Ok(())
        });
        debug_assert!(sized.is_ok());
        all
    }
}

/// The share of the work that is done.
struct Progress {
    all: f32,
    done: f32,
    /// For each level, the first row that each norm of its blocks will need next.
    next: Vec<[i64; 3]>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        mode: Mode<'a>,
        sessions: &'a mut [BlockSession],
        memory: &'a mut Buffers,
        scene: &'a Scene<'a>,
        extents: &'a Extents,
        bands: &Bands,
        cached: Option<(&'a [f32], [usize; 2])>,
        labels: LabelStream,
    ) -> Self {
        let blocks = extents.blocks.len();
        let rings = |count: usize| (0..count).map(|_| Ring::default()).collect();
        let next = |block: &BlockExtents| [block.features, block.middle, block.output].map(|area| area.rows.start);
        let mut all = 0.0;
        let counted = sweep(extents, bands, &mut |step| {
            all += work(engine, extents, &step);
            Ok(())
        });
        debug_assert!(counted.is_ok());
        Self {
            engine,
            mode,
            sessions,
            memory,
            scene,
            extents,
            cached,
            labels,
            capacities: Capacities::new(extents, bands),
            inputs: rings(blocks + 1),
            features: rings(blocks),
            middles: rings(blocks),
            progress: Progress { all, done: 0.0, next: extents.blocks.iter().map(next).collect() },
        }
    }

    /// Ends the run, and returns its labels.
    pub(super) fn finish(self) -> LabelStream {
        let rings = self.inputs.into_iter().chain(self.features).chain(self.middles);
        rings.for_each(|mut ring| ring.give(self.memory));
        self.labels
    }

    /// Does a step of the sweep.
    pub(super) fn work(
        &mut self,
        step: Step,
        input: &mut LabelInput<'_>,
        sink: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
        report: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let (done, all) = (self.progress.done, self.progress.all);
        let mut check = || report((done / all).min(1.0));
        check()?;
        match step.work {
            Work::First => self.first(&step, input)?,
            Work::Features(block) => self.features(block, &step, input)?,
            Work::Middle(block) => self.middle(block, &step, input, &mut check)?,
            Work::Output(block) => self.output(block, &step, input, &mut check)?,
            Work::Last => {
                let area = self.extents.made;
                let size = [step.rows.len(), area.columns.len()];
                let from = self.extents.blocks.last().map_or(area, |block| block.output);
                let at = place_in(from, rows_of(area, &step));
                let last = self.inputs[self.extents.blocks.len()].map();
                let channels = if self.extents.head { 3 } else { last.channels() };
                let mut planes = self.memory.take(channels * size[0] * size[1]);
                if self.extents.head {
                    self.engine.conv_img.run_rows(last, at, size, &mut planes);
                } else {
                    let out = MapMut::whole(&mut planes, size);
                    for_each_run(Source::new(last, at), out, |_, _, x, out| out.copy_from_slice(x));
                }
                let taken = sink(step.rows.start, &planes);
                self.memory.give(planes);
                taken?;
            }
        }
        self.progress.done += work(self.engine, self.extents, &step);
        Ok(())
    }

    fn first(&mut self, step: &Step, input: &mut LabelInput<'_>) -> Result<()> {
        let engine = self.engine;
        let area = self.extents.blocks[0].input;
        let part = rows_of(area, step);
        let ring = &mut self.inputs[0];
        ring.take(self.memory, input_channels(engine, self.extents), [self.capacities.inputs[0], area.columns.len()]);
        let out = ring.write(step.rows.clone());
        if let Some((values, size)) = self.cached {
            let at = [part.rows.start as usize, part.columns.start as usize];
            for_each_run(Source::new(Map::whole(values, size), at), out, |_, _, x, out| out.copy_from_slice(x));
            return Ok(());
        }
        match (engine.style, self.scene.latent) {
            (StyleConfig::Latent { grid, .. }, Some(latent)) => {
                let limits = self.extents.limits.coarser(self.extents.labels[0].scale);
                let (rows, columns) = (limits.rows.unwrap_or(area.rows), limits.columns.unwrap_or(area.columns));
                engine.fc.spread(latent, grid, [rows.len(), columns.len()], part, out);
            }
            _ => {
                self.labels.prepare(0, part.rows.grown(1), input)?;
                engine.fc.gather(&self.labels.area(0, part), out);
            }
        }
        Ok(())
    }

    fn features(&mut self, index: usize, step: &Step, input: &mut LabelInput<'_>) -> Result<()> {
        let number = self.extents.first + index;
        let (block, areas) = (&self.engine.blocks[number], self.extents.blocks[index]);
        let part = rows_of(areas.features, step);
        self.labels.prepare(areas.level, part.rows, input)?;
        let ring = &mut self.features[index];
        ring.take(self.memory, block.widths()[0], [self.capacities.features[index], areas.features.columns.len()]);
        let out = ring.write(step.rows.clone());
        let x = source(&self.inputs[index], &areas, part);
        let labels = self.labels.area(areas.level, part);
        block.features(&mut self.sessions[number], x, &labels, self.scene, out, self.memory);
        self.release(index, 0, part.rows.end);
        Ok(())
    }

    fn middle(
        &mut self,
        index: usize,
        step: &Step,
        input: &mut LabelInput<'_>,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let number = self.extents.first + index;
        let (block, areas) = (&self.engine.blocks[number], self.extents.blocks[index]);
        let part = rows_of(areas.middle, step);
        self.labels.prepare(areas.level, part.rows, input)?;
        let ring = &mut self.middles[index];
        ring.take(self.memory, block.widths()[1], [self.capacities.middles[index], areas.middle.columns.len()]);
        let out = ring.write(step.rows.clone());
        let at = place_in(areas.features, part);
        let labels = self.labels.area(areas.level, part);
        let session = &mut self.sessions[number];
        block.middle(
            self.mode,
            session,
            self.features[index].map(),
            at,
            &labels,
            self.scene,
            out,
            self.memory,
            check,
        )?;
        if part.rows.end == areas.middle.rows.end {
            self.features[index].give(self.memory);
        }
        self.release(index, 1, part.rows.end);
        Ok(())
    }

    fn output(
        &mut self,
        index: usize,
        step: &Step,
        input: &mut LabelInput<'_>,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let number = self.extents.first + index;
        let (block, areas) = (&self.engine.blocks[number], self.extents.blocks[index]);
        let part = rows_of(areas.output, step);
        self.labels.prepare(areas.level, part.rows, input)?;
        let [before, after] = &mut self.inputs[index..index + 2] else { return Ok(()) };
        let size = [self.capacities.inputs[index + 1], areas.output.columns.len()];
        after.take(self.memory, self.engine.plan.blocks[number].output, size);
        let x = source(before, &areas, part);
        let labels = self.labels.area(areas.level, part);
        let mut out = after.write(step.rows.clone());
        let whole = 0..step.rows.len();
        block.shortcut(&mut self.sessions[number], x, &labels, self.scene, out.rows(whole), self.memory, check)?;
        check()?;
        block.add_output(self.mode, self.middles[index].map(), place_in(areas.middle, part), out);
        if part.rows.end == areas.output.rows.end {
            before.give(self.memory);
            self.middles[index].give(self.memory);
        }
        self.release(index, 2, part.rows.end);
        Ok(())
    }

    /// Notes that a norm of a block needs no labels before `row` any more.
    fn release(&mut self, index: usize, norm: usize, row: i64) {
        self.progress.next[index][norm] = row;
        let level = self.extents.blocks[index].level;
        let same = self.extents.blocks.iter().zip(&self.progress.next).filter(|(block, _)| block.level == level);
        if let Some(oldest) = same.flat_map(|(_, rows)| rows).min() {
            self.labels.release(level, *oldest);
        }
    }
}

/// The rows of a step within its area.
fn rows_of(area: Area, step: &Step) -> Area {
    let start = area.rows.start;
    Area { rows: Span::new(start + step.rows.start as i64, start + step.rows.end as i64), ..area }
}

/// The row and column of `whole` where `part` begins.
fn place_in(whole: Area, part: Area) -> [usize; 2] {
    [part.rows.start - whole.rows.start, part.columns.start - whole.columns.start].map(|start| start as usize)
}

/// The input of a block, from where `part` begins.
fn source<'a>(ring: &'a Ring, areas: &BlockExtents, part: Area) -> Source<'a> {
    let map: Map<'a> = ring.map();
    let Area { rows, columns } = areas.input;
    let factor = if areas.doubles { 2 } else { 1 };
    let at = [part.rows.start - factor * rows.start, part.columns.start - factor * columns.start];
    let at = at.map(|start| start as usize);
    if areas.doubles { Source::doubled(map, at) } else { Source::new(map, at) }
}

/// Channels of the first block's input.
fn input_channels(engine: &Engine, extents: &Extents) -> usize {
    engine.plan.blocks[extents.first].input
}

/// Approximate work of a step: multiplications in its convolution.
fn work(engine: &Engine, extents: &Extents, step: &Step) -> f32 {
    let (channels, area) = match step.work {
        // Little beside the rest.
        Work::First | Work::Features(_) => return 0.0,
        Work::Middle(block) => {
            let plan = &engine.plan.blocks[extents.first + block];
            (plan.input * plan.middle(), extents.blocks[block].middle)
        }
        Work::Output(block) => {
            let plan = &engine.plan.blocks[extents.first + block];
            (plan.middle() * plan.output, extents.blocks[block].output)
        }
        Work::Last => (engine.plan.last_channels * 6, extents.made),
    };
    (channels * area.columns.len() * step.rows.len()) as f32
}

/// Bytes for small working memory of the kernels, and what the allocator holds besides: for each thread.
const THREAD: usize = 2 << 20;

/// The memory that a run needs for feature maps and labels, in bytes, without weights.
pub(super) fn memory(engine: &Engine, extents: &Extents, bands: &Bands) -> usize {
    let capacities = Capacities::new(extents, bands);
    let blocks = extents.blocks.len();
    let levels = extents.labels.len();
    // Values in the rings that exist, by the order of inputs, features and middles.
    let mut live = vec![0; 3 * blocks + 1];
    let [inputs, features, middles] = [0, blocks + 1, 2 * blocks + 1];
    let mut rows: Vec<[i64; 3]> =
        extents.blocks.iter().map(|b| [b.features, b.middle, b.output].map(|a| a.rows.start)).collect();
    // For each level, the row up to which labels were read.
    let mut read = vec![i64::MIN; levels];
    let mut peak = 0;
    // The largest passing map so far: its buffer is kept.
    let mut passed = 0;
    let mut scratch = ScratchPeak::default();
    let counted = sweep(extents, bands, &mut |Step { work, rows: step, .. }| {
        let mut passing = 0;
        let mut label_rows = None;
        match work {
            Work::First => {
                let area = extents.blocks[0].input;
                live[inputs] = input_channels(engine, extents) * capacities.inputs[0] * area.columns.len();
                label_rows = Some((0, area.rows.start + step.end as i64 + 1));
            }
            Work::Features(block) => {
                let area = extents.blocks[block].features;
                let channels = engine.blocks[extents.first + block].widths()[0];
                engine.blocks[extents.first + block].features_scratch([step.len(), area.columns.len()], &mut scratch);
                live[features + block] = channels * capacities.features[block] * area.columns.len();
                rows[block][0] = area.rows.start + step.end as i64;
                label_rows = Some((block, rows[block][0]));
            }
            Work::Middle(block) => {
                let area = extents.blocks[block].middle;
                let channels = engine.blocks[extents.first + block].widths()[1];
                engine.blocks[extents.first + block].middle_scratch([step.len(), area.columns.len()], &mut scratch);
                live[middles + block] = channels * capacities.middles[block] * area.columns.len();
                passing = engine.plan.blocks[extents.first + block].middle() * step.len() * area.columns.len();
                rows[block][1] = area.rows.start + step.end as i64;
            }
            Work::Output(block) => {
                let (area, plan) = (extents.blocks[block].output, &engine.plan.blocks[extents.first + block]);
                engine.blocks[extents.first + block].output_scratch([step.len(), area.columns.len()], &mut scratch);
                live[inputs + block + 1] = plan.output * capacities.inputs[block + 1] * area.columns.len();
                if plan.norm_s.is_some() {
                    passing = engine.blocks[extents.first + block].widths()[0] * step.len() * area.columns.len();
                }
                rows[block][2] = area.rows.start + step.end as i64;
            }
            Work::Last => passing = 4 * step.len() * extents.made.columns.len(),
        }
        // Noise and statistics of the picture take copies.
        if engine.copies_features() {
            passing *= 3;
        }
        if let Some((block, row)) = label_rows {
            let level = extents.blocks[block].level;
            read[level] = read[level].max(row);
        }
        // Rows of all levels are read in the order of pixels.
        let pixels = (0..levels).map(|level| read[level].saturating_mul(extents.labels[level].scale)).max();
        let labels: usize = extents
            .labels
            .iter()
            .enumerate()
            .map(|(level, needs)| {
                let at = extents.blocks.iter().zip(&rows).filter(|(block, _)| block.level == level);
                let oldest = at.flat_map(|(_, rows)| rows).min().copied().unwrap_or(needs.labels.rows.start);
                let end = pixels.unwrap_or(0).div_euclid(needs.scale).min(needs.labels.rows.end);
                let count = (end - oldest + 2).max(0) as usize * needs.labels.columns.len();
                // Ids, and where there are patches their numbers.
                count * if needs.patches.is_some() { 14 } else { 2 }
            })
            .sum();
        passed = passed.max(passing);
        peak = peak.max(4 * (live.iter().sum::<usize>() + passed) + labels);
        if let Work::Middle(block) = work
            && rows[block][1] == extents.blocks[block].middle.rows.end
        {
            live[features + block] = 0;
        }
        if let Work::Output(block) = work
            && rows[block][2] == extents.blocks[block].output.rows.end
        {
            live[inputs + block] = 0;
            live[middles + block] = 0;
        }
        Ok(())
    });
    debug_assert!(counted.is_ok());
    let threads = rayon::current_num_threads();
    let bytes = peak + scratch.bytes(threads);
    // Between buffers the allocator leaves some free: 2 to 3 % were measured.
    bytes + bytes / 32 + THREAD * threads
}

/// Multiplications of all convolutions, by definition.
pub(super) fn multiplications(engine: &Engine, extents: &Extents) -> f64 {
    let area = |area: Area| area.size().into_iter().map(|side| side as f64).product::<f64>();
    let blocks = engine.plan.blocks[extents.first..].iter().zip(&extents.blocks).map(|(plan, areas)| {
        let (input, middle, output) = (plan.input as f64, plan.middle() as f64, plan.output as f64);
        let shortcut = if plan.norm_s.is_some() { input * output * area(areas.output) } else { 0.0 };
        9.0 * (input * middle * area(areas.middle) + middle * output * area(areas.output)) + shortcut
    });
    blocks.sum::<f64>() + 27.0 * engine.plan.last_channels as f64 * area(extents.made)
}
