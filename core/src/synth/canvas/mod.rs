//! A live picture: edits of labels cost what they change.

mod mask;

use std::sync::Arc;

use mask::Mask;
use rayon::prelude::*;

use super::paint::Job;
use super::prepared::Weights;
use super::request::Border;
use super::synthesizer::StyleInput;
use super::{Control, PreparedModel, Request, Synthesizer};
use crate::engine::{self, Engine, Window};
use crate::error::{Error, Result};
use crate::label::{Area, Edges, LabelInput, LabelMap, LabelSource, Limits, Rect, Span};
use crate::memory;
use crate::network::{Precision, TILE, affected, block_affected, cells_of, grown, join};
use crate::nn::{BlockPlan, Noise, Statistics};
use crate::picture::{PixelFormat, Pixels};
use crate::pixels::write_rgb;

/// How far a [`Canvas`] goes to bring its picture up to date. Each goal includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The edit and a few pixels around it, at once, from coarse features as they are: what is further away stays as it
    /// is, though it may depend on the edit. For pictures while a brush moves.
    Preview,
    /// Changes of features are followed where they are not small: pixels differ from a fresh picture by about this many
    /// of 255 levels at most. 1 or more.
    Within(u8),
    /// All that depends on the edit, up to rounding: few pixels differ from a fresh picture, by one level.
    Settled,
    /// The bits of a fresh picture. Rounding reaches further than the mathematics, so this costs more.
    Bits,
}

/// Pixels that a [preview](Goal::Preview) computes around an edit.
const MARGIN: i64 = 8;
/// The coarsest scale that a preview computes, in pixels per cell. Coarser layers are wide, so that they take most of the
/// time of a small edit, and change little within it.
const COARSEST: i64 = 8;
/// A change of a feature, in standard deviations of its channel, that is rounding.
const ROUNDING: f32 = 1e-6;
/// What a computation of an area costs besides its cells, in multiplications.
const CALL: f64 = 1.5e7;

/// A live picture of labels that can be edited. It keeps the output of each block of the network, so that only what
/// depends on an edit is computed again: see [`Goal`].
///
/// Edits cost their rectangle and compute nothing; [`update`](Self::update) computes, and can be interrupted: the next
/// update goes on. Undo is an edit. At official widths the cache takes 70 MiB for 512x512 pixels, and four times as much
/// for twice the sides; see [`memory`](Self::memory).
#[derive(Debug)]
pub struct Canvas {
    synth: Synthesizer,
    engine: Arc<Engine>,
    request: Request,
    ids: Vec<u16>,
    size: [usize; 2],
    limits: Limits,
    /// Outputs of the first blocks, `[channels, height, width]`.
    cache: Vec<Vec<f32>>,
    /// 1 / the standard deviation of each channel of the cached outputs.
    spread: Vec<Vec<f32>>,
    /// For each cached output, cells whose input changed since they were computed.
    stale: Vec<Mask>,
    /// For each cached output, cells that are off by little: by at most `left` standard deviations of their channel. What
    /// follows from them fits the values in the cache, so that differences do not add up from edit to edit.
    deferred: Vec<Mask>,
    left: f32,
    /// Pixels of the picture that have to be painted.
    pixels: Mask,
    /// Edits, in pixels, that were not previewed.
    edits: Mask,
    /// Whether all is to be computed, or was when the computation was cancelled.
    fresh: bool,
    /// Whether all has the bits of a fresh picture, except for what is stale.
    exact: bool,
    picture: Vec<u8>,
}

/// The ids of a canvas, and its instances if they are not the classes.
struct Ids<'a> {
    all: &'a [u16],
    width: usize,
    instances: Option<&'a LabelMap>,
}

impl LabelSource for Ids<'_> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        let (x, y, width) = (area.x as usize, area.y as usize, area.width as usize);
        for (y, ids) in (y..).zip(ids.chunks_exact_mut(width.max(1))) {
            ids.copy_from_slice(&self.all[y * self.width + x..][..width]);
        }
        Ok(())
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        match self.instances {
            Some(mut instances) => instances.read(area, ids),
            None => self.read(area, ids),
        }
    }
}

impl Canvas {
    /// A canvas with these labels. Nothing is painted before the first [`update`](Self::update).
    ///
    /// # Errors
    ///
    /// As [`Synthesizer::run`]; [`Error::Argument`] if the model cannot be edited, and why, or does not run on the CPU
    /// engine.
    pub fn new(model: &PreparedModel, labels: &LabelMap, request: Request) -> Result<Self> {
        Self::with_memory(model, labels, request, usize::MAX)
    }

    /// As [`new`](Self::new), with a cache of at most so many bytes: the outputs of the finest blocks are left out
    /// first, which makes edits slower.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`Error::Limit`] if the system has less memory than the canvas needs.
    pub fn with_memory(model: &PreparedModel, labels: &LabelMap, request: Request, most: usize) -> Result<Self> {
        let Weights::Engine(engine) = model.weights() else {
            return Err(Error::Argument("a canvas needs the CPU engine: use the device cpu".into()));
        };
        let synth = model.synthesizer();
        labels.check(&synth.manifest().classes)?;
        check(&synth, &request, labels)?;
        let capabilities = model.architecture().capabilities(synth.statistics(&request));
        let (width, height) = (labels.width(), labels.height());
        let whole = Rect { x: 0, y: 0, width: width as u32, height: height as u32 };
        let limits = Job::new(whole, request.borders, &capabilities)?.window.limits;
        let plan = engine.plan();
        let (mut kept, mut bytes, mut largest) = (Vec::new(), 0, 0);
        for block in &plan.blocks[..plan.blocks.len() - 1] {
            let size = whole_of(limits, engine, block).size();
            let cells = size[0] * size[1];
            // A cell has two flags besides its values.
            let more = (4 * block.output + 2) * cells;
            if more > most - bytes {
                break;
            }
            (bytes, largest) = (bytes + more, largest.max(4 * block.output * cells));
            kept.push((size, block.output * cells));
        }
        let pixels = [limits.rows, limits.columns].map(|span| span.map_or(0, Span::len));
        // The first update computes each block as a whole, beside the cache.
        let all = bytes + largest + 7 * pixels[0] * pixels[1];
        memory::ask(all, &format!("a canvas of {width}x{height} pixels (less with a lower memory limit)"))?;
        let cache: Vec<Vec<f32>> = kept.iter().map(|&(_, values)| vec![0.0; values]).collect();
        let masks: Vec<Mask> = kept.iter().map(|&(size, _)| Mask::new(size)).collect();
        let mut canvas = Self {
            engine: Arc::clone(engine),
            synth,
            request,
            ids: labels.ids().collect(),
            size: [height, width],
            limits,
            spread: vec![Vec::new(); cache.len()],
            cache,
            stale: masks.clone(),
            deferred: masks,
            left: ROUNDING,
            pixels: Mask::new([height, width]),
            edits: Mask::new(pixels),
            fresh: true,
            exact: true,
            picture: vec![0; 3 * width * height],
        };
        canvas.spoil();
        Ok(canvas)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.size[1]
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.size[0]
    }

    /// The labels.
    ///
    /// # Errors
    ///
    /// None: sizes were checked before.
    pub fn labels(&self) -> Result<LabelMap> {
        LabelMap::new(self.size[1], self.size[0], self.ids.clone())
    }

    /// Bytes of the cache, with what is noted about its cells. The picture, its labels and what is noted about its
    /// pixels take 7 bytes per pixel besides.
    pub fn memory(&self) -> usize {
        let flags = self.stale.iter().chain(&self.deferred).map(Mask::bytes);
        4 * self.cache.iter().map(Vec::len).sum::<usize>() + flags.sum::<usize>()
    }

    /// The picture, as of the last update.
    ///
    /// # Errors
    ///
    /// None: sizes were checked before.
    pub fn pixels(&self) -> Result<Pixels<'_>> {
        let [height, width] = self.size;
        Pixels::new(PixelFormat::Rgb8, width, height, 3 * width, &self.picture)
    }

    /// Whether an update to this goal would compute nothing.
    pub fn is_at(&self, goal: Goal) -> bool {
        let stale = !self.pixels.is_empty() || self.stale.iter().any(|cells| !cells.is_empty());
        let left = if self.deferred.iter().all(Mask::is_empty) { ROUNDING } else { self.left };
        match goal {
            Goal::Preview => self.edits.is_empty() && !self.fresh,
            Goal::Within(levels) => !stale && left <= tolerance(levels),
            Goal::Settled => !stale && left <= ROUNDING,
            Goal::Bits => !stale && left <= ROUNDING && self.exact,
        }
    }

    /// Changes the request: style, seed and so on. The next update paints everything.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the canvas is then unchanged.
    pub fn set_request(&mut self, request: Request) -> Result<()> {
        check(&self.synth, &request, &self.labels()?)?;
        self.request = request;
        self.spoil();
        Ok(())
    }

    /// Writes class ids into a rectangle, `[height, width]`, row by row, and returns the pixels that depend on them.
    /// Computes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the rectangle is empty or not within the canvas, or the number of ids is wrong;
    /// [`Error::UnknownLabels`] if an id has no class. The canvas is then unchanged.
    pub fn edit(&mut self, area: Rect, ids: &[u16]) -> Result<Rect> {
        let [height, width] = self.size;
        let inside = |start: i64, len: u32, side: usize| {
            start >= 0 && len > 0 && start.checked_add(i64::from(len)).is_some_and(|end| end <= side as i64)
        };
        if !inside(area.x, area.width, width) || !inside(area.y, area.height, height) {
            return Err(Error::Argument(format!(
                "an edit of {area} is not within the canvas of {width}x{height} pixels"
            )));
        }
        let (wide, high) = (area.width as usize, area.height as usize);
        if ids.len() != wide * high {
            return Err(Error::Argument(format!("{} ids for an edit of {area}: it takes {}", ids.len(), wide * high)));
        }
        LabelMap::new(wide, high, ids.to_vec())?.check(&self.synth.manifest().classes)?;
        for (y, row) in (area.y as usize..).zip(ids.chunks_exact(wide)) {
            self.ids[y * width + area.x as usize..][..wide].copy_from_slice(row);
        }
        let engine = Arc::clone(&self.engine);
        let plan = engine.plan();
        // The last row and column are repeated up to the limits; a pixel next to an edit may become an edge.
        let to_limit = |span: Span, side: usize, limit: Option<Span>| {
            if span.end == side as i64 {
                Span::new(span.start, limit.map_or(span.end, |limit| limit.end))
            } else {
                span
            }
        };
        let Area { rows, columns } = Area::of(area);
        let edge = i64::from(self.synth.prepared().architecture().instance_edges());
        let pixels = Area {
            rows: to_limit(rows, height, self.limits.rows),
            columns: to_limit(columns, width, self.limits.columns),
        };
        let pixels = pixels.map(|span| span.grown(edge)).within(self.limits);
        for index in 0..plan.blocks.len() {
            self.note_features(index, self.changed_features(index, pixels, None));
        }
        self.edits.insert(pixels);
        let whole = Limits::picture(self.size);
        Ok(affected(plan, pixels, self.limits, 1).within(whole).rect())
    }

    /// Brings the picture up to date, as far as `goal` says, and returns the rectangles of pixels that were computed.
    ///
    /// It can be cancelled at any kernel: edit, and update again. After an error, the picture may be new in some
    /// rectangles and old in others; the next update computes what is left.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if cancelled; [`Error::Limit`] if the system has too little memory; [`Error::Device`] if the
    /// device fails.
    pub fn update(&mut self, goal: Goal, control: &mut Control<'_>) -> Result<Vec<Rect>> {
        if goal == Goal::Bits && !self.exact {
            self.spoil();
        }
        let prepared = self.synth.prepared().clone();
        let style = self.synth.style_input(&self.request)?;
        let noise = self.synth.noise(&self.request, [0; 2]);
        let statistics = self.synth.statistics(&self.request);
        self.session()?.stop_on(control.flag());
        control.run(prepared.pool(), |step| {
            let scene = scene(&style, noise, statistics);
            let mut changed = Vec::new();
            step(0.0)?;
            self.session()?.set_styles(&scene)?;
            // With everything to compute, there is nothing to preview.
            if goal == Goal::Preview && !self.fresh {
                self.preview(&scene, &mut changed, step)?;
            } else {
                self.follow(if self.fresh { Goal::Bits } else { goal }, &scene, &mut changed, step)?;
            }
            Ok(changed.into_iter().map(Area::rect).collect())
        })
    }

    fn session(&mut self) -> Result<&mut engine::Session> {
        self.synth.session_mut().ok_or_else(|| Error::Device("the engine has no session".into()))
    }

    /// Marks everything as not computed.
    fn spoil(&mut self) {
        for index in 0..self.stale.len() {
            let whole = self.whole(index);
            self.stale[index].insert(whole);
            self.deferred[index].clear();
        }
        self.pixels.insert(picture(self.size));
        self.spread.iter_mut().for_each(Vec::clear);
        self.edits.clear();
        (self.fresh, self.exact) = (true, true);
    }

    /// Notes that features of a block changed: its output is stale, or what is painted from there.
    fn note_features(&mut self, index: usize, features: Area) {
        if features.is_empty() {
            return;
        }
        let mut output = block_affected(features, self.limits_of(index), 1);
        if let Some(stale) = self.stale.get_mut(index) {
            return stale.insert(output);
        }
        for index in index + 1..self.engine.plan().blocks.len() {
            output = block_affected(self.features_of(index, output), self.limits_of(index), 1);
        }
        self.pixels.insert(grown(output, 1, 1));
    }

    /// All cells of a block.
    fn whole(&self, index: usize) -> Area {
        whole_of(self.limits, &self.engine, &self.engine.plan().blocks[index])
    }

    /// Where a change of a block's input changes its features.
    fn features_of(&self, index: usize, input: Area) -> Area {
        if self.engine.plan().blocks[index].doubles {
            input.map(|span| Span::new(2 * span.start, 2 * span.end))
        } else {
            input
        }
    }

    fn limits_of(&self, index: usize) -> Limits {
        self.limits.coarser(self.engine.scale(&self.engine.plan().blocks[index]))
    }

    /// Computes edits and a few pixels around them, from coarser features as they are.
    fn preview(
        &mut self,
        scene: &engine::Scene<'_>,
        changed: &mut Vec<Area>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let cached = self.cache.len();
        let edits = self.edits.areas(self.call(cached));
        // Values around an edit will belong to another state than those further away.
        self.exact &= edits.is_empty();
        for (part, &edit) in edits.iter().enumerate() {
            let around = edit.map(|span| span.grown(MARGIN)).within(self.limits);
            let mut step = |index: usize, share: f32| {
                let done = (index as f32 + share) / (cached + 1) as f32;
                step((part as f32 + done) / edits.len() as f32)
            };
            let mut last = None;
            for index in 0..cached {
                let scale = self.engine.scale(&self.engine.plan().blocks[index]);
                if scale > COARSEST {
                    continue;
                }
                let features = self.changed_features(index, edit, last);
                let near = around.map(|span| span.coarser(scale));
                let area = intersection(block_affected(features, self.limits_of(index), 1), near);
                last = None;
                if !area.is_empty() {
                    let mut step = |share| step(index, share);
                    let values = self.compute(index, area, Precision::Rounding, scene, &mut step)?;
                    self.write(index, area, &values, |_, _| true);
                    // These cells are stale still. What follows from them further away is too, now.
                    self.note_features(index + 1, self.features_of(index + 1, area));
                    last = Some(area);
                }
            }
            let mut area = self.changed_features(cached, edit, last);
            for index in cached..self.engine.plan().blocks.len() {
                if index > cached {
                    area = self.changed_features(index, edit, Some(area));
                }
                area = block_affected(area, self.limits_of(index), 1);
            }
            let area = intersection(intersection(grown(area, 1, 1), around), picture(self.size));
            self.paint(area, Precision::Rounding, scene, changed, &mut |share| step(cached, share))?;
            self.edits.remove(edit);
        }
        Ok(())
    }

    /// The features of a block that an edit, and a change of the block before, change.
    fn changed_features(&self, index: usize, edit: Area, before: Option<Area>) -> Area {
        let block = &self.engine.plan().blocks[index];
        let reach = block.modulation.facts().reach() as i64;
        // The first features reach one cell.
        let reach = if index == 0 { reach.max(1) } else { reach };
        let labels = grown(cells_of(edit, self.engine.scale(block)), reach, 1).within(self.limits_of(index));
        before.map_or(labels, |before| join(labels, self.features_of(index, before)))
    }

    /// Follows changes from block to block.
    fn follow(
        &mut self,
        goal: Goal,
        scene: &engine::Scene<'_>,
        changed: &mut Vec<Area>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let small = if let Goal::Within(levels) = goal { tolerance(levels) } else { ROUNDING };
        if small < self.left {
            self.stale.iter_mut().zip(&mut self.deferred).for_each(|(stale, deferred)| stale.take(deferred));
            self.left = ROUNDING;
        }
        self.left = self.left.max(small);
        self.edits.clear();
        let bits = goal == Goal::Bits;
        let precision = if bits { Precision::Bits } else { Precision::Rounding };
        self.exact &= bits;
        let (cached, units) = (self.cache.len(), self.cache.len() as f32 + 1.0);
        for index in 0..cached {
            if bits {
                // A block has two convolutions: a tile is 4 cells, so that rounding reaches at most 3 further, and ends
                // with a tile.
                self.stale[index] = widened(&self.stale[index], 3);
            }
            let areas = self.stale[index].areas(self.call(index));
            for (part, &area) in areas.iter().enumerate() {
                let mut step = |share: f32| step((index as f32 + (part as f32 + share) / areas.len() as f32) / units);
                let values = self.compute(index, area, precision, scene, &mut step)?;
                // From here on nothing can fail: what is written, noted as done and handed on stays consistent.
                self.accept(index, area, &values, if bits { 0.0 } else { small });
            }
            if self.spread[index].is_empty() {
                self.spread[index] = spread(&self.cache[index], self.engine.plan().blocks[index].output);
            }
        }
        if bits {
            let further = |by: i64, block: &BlockPlan| if block.doubles { 2 * by + 8 } else { by + 8 };
            let by = self.engine.plan().blocks[cached..].iter().fold(0, further);
            self.pixels = widened(&self.pixels, by);
        }
        let areas = self.pixels.areas(self.call(cached));
        for (part, &area) in areas.iter().enumerate() {
            let mut step = |share: f32| step((cached as f32 + (part as f32 + share) / areas.len() as f32) / units);
            self.paint(area, precision, scene, changed, &mut step)?;
            self.pixels.remove(area);
        }
        self.fresh = false;
        Ok(())
    }

    /// What a computation costs besides its cells, in cells: of a block, or of all from a block without a cache on.
    fn call(&self, index: usize) -> usize {
        let blocks = &self.engine.plan().blocks[index..];
        let of_cell = |block: &BlockPlan| 9.0 * ((block.input + block.output) * block.middle()) as f64;
        let of_pixel = |block: &BlockPlan| of_cell(block) / (self.engine.scale(block) as f64).powi(2);
        let per_cell =
            if index < self.cache.len() { of_cell(&blocks[0]) } else { blocks.iter().map(of_pixel).sum::<f64>() };
        (CALL / per_cell.max(1.0)) as usize
    }

    /// Takes new values of an area of a block's output where the old ones are stale, and notes what follows. Changes of
    /// at most `small` times the standard deviation of their channel are left for later.
    fn accept(&mut self, index: usize, area: Area, values: &[f32], small: f32) {
        let changes = self.changes(index, area, values);
        let columns = area.columns.len();
        let mut large = Vec::with_capacity(changes.len());
        for (y, changes) in (area.rows.start..).zip(changes.chunks_exact(columns)) {
            let stale = self.stale[index].row(y, area.columns);
            large.extend(stale.iter().zip(changes).map(|(stale, change)| *stale && *change > small));
            for (x, (stale, change)) in (area.columns.start..).zip(stale.iter().zip(changes)) {
                let cell = Area { rows: Span::new(y, y + 1), columns: Span::new(x, x + 1) };
                if *stale && *change <= small && *change > ROUNDING.min(small) {
                    self.deferred[index].insert(cell);
                }
            }
        }
        self.write(index, area, values, |y, x| large[y * columns + x]);
        let mut rows = large.chunks_exact(columns).zip(area.rows.start..).peekable();
        while let Some((row, y)) = rows.next() {
            // Rows that are alike are handed on together.
            let mut end = y + 1;
            while rows.next_if(|(next, _)| *next == row).is_some() {
                end += 1;
            }
            for run in mask::runs(row) {
                let start = area.columns.start;
                let cells = Area { rows: Span::new(y, end), columns: Span::new(start + run.start, start + run.end) };
                self.deferred[index].remove(cells);
                self.note_features(index + 1, self.features_of(index + 1, cells));
            }
        }
        self.stale[index].remove(area);
    }

    /// Computes an area of a block's output, `[channels, rows, columns]`.
    fn compute(
        &mut self,
        index: usize,
        area: Area,
        precision: Precision,
        scene: &engine::Scene<'_>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let channels = self.engine.plan().blocks[index].output;
        let [rows, columns] = area.size();
        memory::ask_for(channels * rows * columns, size_of::<f32>(), "an update of the canvas")?;
        let mut values = vec![0.0; channels * rows * columns];
        let mut sink = |y: usize, planes: &[f32]| {
            let count = planes.len() / channels;
            for (to, from) in values.chunks_exact_mut(rows * columns).zip(planes.chunks_exact(count)) {
                to[y * columns..][..count].copy_from_slice(from);
            }
            Ok(())
        };
        self.run(index..index + 1, false, area, precision, scene, &mut sink, step)?;
        Ok(values)
    }

    /// Paints an area of the picture from the last cached block on.
    fn paint(
        &mut self,
        area: Area,
        precision: Precision,
        scene: &engine::Scene<'_>,
        changed: &mut Vec<Area>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        if area.is_empty() {
            return Ok(());
        }
        let (range, width) = (self.synth.manifest().value_range, self.size[1]);
        let [rows, columns] = area.size();
        let mut bytes = vec![0; 3 * rows * columns];
        let mut sink = |y: usize, planes: &[f32]| {
            write_rgb(planes, range, &mut bytes[3 * y * columns..][..planes.len()]);
            Ok(())
        };
        let blocks = self.cache.len()..self.engine.plan().blocks.len();
        self.run(blocks, true, area, precision, scene, &mut sink, step)?;
        for (y, row) in (area.rows.start as usize..).zip(bytes.chunks_exact(3 * columns)) {
            self.picture[3 * (y * width + area.columns.start as usize)..][..row.len()].copy_from_slice(row);
        }
        changed.push(area);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "as of `Session::run_blocks`")]
    fn run(
        &mut self,
        blocks: std::ops::Range<usize>,
        head: bool,
        area: Area,
        precision: Precision,
        scene: &engine::Scene<'_>,
        sink: &mut dyn FnMut(usize, &[f32]) -> Result<()>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let before = blocks.start.checked_sub(1).map(|before| self.whole(before).size());
        let Self { synth, cache, ids, size, request, limits, .. } = self;
        let edges = if synth.prepared().architecture().instance_edges() { Edges::Instances } else { Edges::None };
        let mut source = Ids { all: ids, width: size[1], instances: request.instances.as_ref() };
        let mut input = LabelInput { source: &mut source, edges, distances: None, size: size.map(Some) };
        let cached = before.map(|size| (&cache[blocks.start - 1][..], size));
        let window = Window { area, limits: *limits };
        let session = synth.session_mut().ok_or_else(|| Error::Device("the engine has no session".into()))?;
        session.run_blocks(scene, &mut input, blocks, head, cached, window, precision, sink, step)
    }

    /// Writes those cells of an area of a block's output into the cache for whose row and column in it `wanted` holds.
    fn write(&mut self, index: usize, area: Area, values: &[f32], wanted: impl Fn(usize, usize) -> bool + Sync) {
        let [height, width] = self.whole(index).size();
        let [rows, columns] = area.size();
        let (first, left) = (area.rows.start as usize, area.columns.start as usize);
        let planes = self.cache[index].par_chunks_exact_mut(height * width);
        planes.zip(values.par_chunks_exact(rows * columns)).for_each(|(plane, from)| {
            for (y, from) in from.chunks_exact(columns).enumerate() {
                let to = &mut plane[(first + y) * width + left..][..columns];
                for (x, (to, from)) in to.iter_mut().zip(from).enumerate() {
                    if wanted(y, x) {
                        *to = *from;
                    }
                }
            }
        });
    }

    /// How much each cell of an area changes: the most of all channels, in standard deviations of the channel.
    fn changes(&self, index: usize, area: Area, values: &[f32]) -> Vec<f32> {
        let [rows, columns] = area.size();
        let mut changes = vec![0.0; rows * columns];
        let spread = &self.spread[index];
        if spread.is_empty() {
            // There is nothing to compare with.
            changes.fill(f32::INFINITY);
            return changes;
        }
        let [height, width] = self.whole(index).size();
        let cache = &self.cache[index];
        let (first, left) = (area.rows.start as usize, area.columns.start as usize);
        changes.par_chunks_exact_mut(columns).enumerate().for_each(|(y, changes)| {
            let planes = cache.chunks_exact(height * width).zip(values.chunks_exact(rows * columns));
            for ((old, new), spread) in planes.zip(spread) {
                let old = &old[(first + y) * width + left..][..columns];
                let new = &new[y * columns..][..columns];
                for (change, (old, new)) in changes.iter_mut().zip(old.iter().zip(new)) {
                    *change = change.max((old - new).abs() * spread);
                }
            }
        });
        changes
    }
}

/// Checks that a request suits a canvas.
fn check(synth: &Synthesizer, request: &Request, labels: &LabelMap) -> Result<()> {
    if request.borders != [Border::Zero; 2] {
        let fault = "a canvas ends at its borders: it can neither be wrapped nor part of a world";
        return Err(Error::Argument(fault.into()));
    }
    synth.prepared().architecture().capabilities(synth.statistics(request)).edit.require("an edit")?;
    synth.style_input(request)?;
    synth.check_collage(request, [labels.width(), labels.height()])?;
    synth.check_instances(request, labels)
}

/// How small a change may be to be left alone, in standard deviations of its channel; found by experiment with both built-in
/// models. Sharper networks amplify changes more.
fn tolerance(levels: u8) -> f32 {
    0.006 * f32::from(levels.clamp(1, 8))
}

/// 1 / the standard deviation of each channel.
fn spread(values: &[f32], channels: usize) -> Vec<f32> {
    let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
    semsynth_kernels::moments(semsynth_kernels::Isa::detect(), values, &mut mean, &mut variance);
    variance.into_iter().map(|variance| 1.0 / (variance.sqrt() as f32).max(1e-6)).collect()
}

fn scene(style: &StyleInput, noise: Noise, statistics: Statistics) -> engine::Scene<'_> {
    engine::Scene {
        latent: if let StyleInput::Latent(latent) = style { Some(latent) } else { None },
        styles: if let StyleInput::Classes(styles) = style { Some(styles) } else { None },
        noise,
        statistics,
        period: [None; 2],
    }
}

/// All cells of a block's output.
fn whole_of(limits: Limits, engine: &Engine, block: &BlockPlan) -> Area {
    let Limits { rows, columns } = limits.coarser(engine.scale(block));
    let none = Span::new(0, 0);
    Area { rows: rows.unwrap_or(none), columns: columns.unwrap_or(none) }
}

fn intersection(a: Area, b: Area) -> Area {
    a.within(Limits { rows: Some(b.rows), columns: Some(b.columns) })
}

/// The whole picture.
fn picture([height, width]: [usize; 2]) -> Area {
    Area { rows: Span::new(0, height as i64), columns: Span::new(0, width as i64) }
}

/// All cells at most so far from cells of a set, and the rest of their tiles.
fn widened(cells: &Mask, by: i64) -> Mask {
    if cells.is_full() {
        return cells.clone();
    }
    let mut wide = Mask::new(cells.size());
    cells.runs().for_each(|run| wide.insert(run.map(|span| span.grown(by).snapped(TILE))));
    wide
}
