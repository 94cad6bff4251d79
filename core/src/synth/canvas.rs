//! A live picture: edits of labels cost what they change.

use std::sync::Arc;

use super::paint::Job;
use super::prepared::Weights;
use super::request::Border;
use super::synthesizer::StyleInput;
use super::{Control, PreparedModel, Request, Synthesizer};
use crate::engine::{self, Engine, Window};
use crate::error::{Error, Result};
use crate::label::{Area, Edges, LabelInput, LabelMap, LabelSource, Limits, Rect, Span};
use crate::network::{affected, block_affected, cells_of, grown, join};
use crate::nn::{BlockPlan, Noise, Statistics};
use crate::picture::{PixelFormat, Pixels};
use crate::pixels::write_rgb;

/// How far a [`Canvas`] goes to bring its picture up to date. Each goal includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// The edit and a few pixels around it, at once, from coarse features as they are: what is further away stays as it
    /// is, though it may depend on the edit. For pictures while a brush moves.
    Preview,
    /// Changes are followed until they are small: pixels differ from a fresh picture by about this many of 255 levels
    /// at most. 1 or more.
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
/// Side of the squares of cells whose change is looked at.
const SQUARE: usize = 4;

/// A live picture of labels that can be edited. It keeps the output of each block of the network, so that only what
/// depends on an edit is computed again: see [`Goal`].
///
/// Edits cost their rectangle and compute nothing; [`update`](Self::update) computes, and can be interrupted: the next
/// update goes on. Undo is an edit. At official widths the cache takes 65 MiB for 512x512 pixels, and four times as much
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
    /// For each block, areas of its features that changed since its output was computed there.
    stale: Vec<Areas>,
    /// The same, where the change was small.
    deferred: Vec<Areas>,
    /// Edits, in pixels, that were not previewed.
    edits: Areas,
    /// Whether all has the bits of a fresh picture, except for what is stale.
    exact: bool,
    picture: Vec<u8>,
}

/// A few areas. Those that nearly touch are joined.
#[derive(Clone, Debug, Default)]
struct Areas(Vec<Area>);

impl Areas {
    const MOST: usize = 8;

    fn add(&mut self, area: Area) {
        if area.is_empty() {
            return;
        }
        let count = |area: Area| area.size().into_iter().map(|side| side as f64).product::<f64>();
        let joins = |other: &Area| count(other.hull(area)) <= 1.3 * (count(*other) + count(area));
        match self.0.iter().position(joins) {
            // The larger area may touch others.
            Some(index) => {
                let joined = self.0.swap_remove(index).hull(area);
                self.add(joined);
            }
            None if self.0.len() == Self::MOST => {
                let all = self.0.drain(..).fold(area, Area::hull);
                self.0.push(all);
            }
            None => self.0.push(area),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
    /// As [`new`](Self::new).
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
        let bytes =
            |block: &BlockPlan| 4 * block.output * whole_of(limits, engine, block).size().iter().product::<usize>();
        let (mut cache, mut left) = (Vec::new(), most);
        for block in &plan.blocks[..plan.blocks.len() - 1] {
            let bytes = bytes(block);
            if bytes > left {
                break;
            }
            left -= bytes;
            cache.push(vec![0.0; bytes / 4]);
        }
        let none = vec![Areas::default(); plan.blocks.len()];
        let mut canvas = Self {
            engine: Arc::clone(engine),
            synth,
            request,
            ids: labels.ids().collect(),
            size: [height, width],
            limits,
            spread: vec![Vec::new(); cache.len()],
            cache,
            stale: none.clone(),
            deferred: none,
            edits: Areas::default(),
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

    /// Bytes of the cache.
    pub fn memory(&self) -> usize {
        4 * self.cache.iter().map(Vec::len).sum::<usize>()
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
        let stale = self.stale.iter().any(|areas| !areas.is_empty());
        let deferred = self.deferred.iter().any(|areas| !areas.is_empty());
        match goal {
            Goal::Preview => self.edits.is_empty(),
            Goal::Within(_) => !stale,
            Goal::Settled => !stale && !deferred,
            Goal::Bits => !stale && !deferred && self.exact,
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
        for index in 0..self.stale.len() {
            let features = self.changed_features(index, pixels, None);
            self.stale[index].add(features);
        }
        self.edits.add(pixels);
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
    /// [`Error::Cancelled`] if cancelled; [`Error::Device`] if the device fails.
    pub fn update(&mut self, goal: Goal, control: &mut Control<'_>) -> Result<Vec<Rect>> {
        if goal == Goal::Bits && !self.exact {
            self.spoil();
        }
        let prepared = self.synth.prepared().clone();
        let style = self.synth.style_input(&self.request)?;
        let noise = self.synth.noise(&self.request, [0; 2]);
        let statistics = self.synth.statistics(&self.request);
        control.run(prepared.pool(), |step| {
            let scene = scene(&style, noise, statistics);
            let mut changed = Areas::default();
            step(0.0)?;
            self.session()?.set_styles(&scene)?;
            // With everything to compute, there is nothing to preview.
            let fresh = self.stale.first().is_some_and(|areas| areas.0.contains(&self.whole(0)));
            if goal == Goal::Preview && !fresh {
                self.preview(&scene, &mut changed, step)?;
            } else {
                self.follow(if fresh { Goal::Bits } else { goal }, &scene, &mut changed, step)?;
            }
            let picture = Limits::picture(self.size);
            Ok(changed.0.into_iter().map(|area| area.within(picture).rect()).collect())
        })
    }

    fn session(&mut self) -> Result<&mut engine::Session> {
        self.synth.session_mut().ok_or_else(|| Error::Device("the engine has no session".into()))
    }

    /// Marks everything as not computed.
    fn spoil(&mut self) {
        for index in 0..self.stale.len() {
            self.stale[index] = Areas(vec![self.whole(index)]);
            self.deferred[index] = Areas::default();
        }
        self.spread.iter_mut().for_each(Vec::clear);
        self.edits = Areas::default();
        self.exact = true;
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
        changed: &mut Areas,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let (cached, units) = (self.cache.len(), self.cache.len() as f32 + 1.0);
        while let Some(&edit) = self.edits.0.last() {
            let around = edit.map(|span| span.grown(MARGIN)).within(self.limits);
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
                    let values = self.compute(index, area, scene, &mut |share| step((index as f32 + share) / units))?;
                    self.write(index, area, &values);
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
            let area = intersection(grown(area, 1, 1), around).within(Limits::picture(self.size));
            self.paint(area, scene, changed, &mut |share| step((cached as f32 + share) / units))?;
            self.edits.0.pop();
            // Values around an edit now belong to another state than those further away.
            self.exact = false;
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
        changed: &mut Areas,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<()> {
        let unit = if goal == Goal::Bits { crate::network::TILE } else { 1 };
        let small = if let Goal::Within(levels) = goal { tolerance(levels) } else { 0.0 };
        if small == 0.0 {
            for index in 0..self.stale.len() {
                let deferred = std::mem::take(&mut self.deferred[index]);
                deferred.0.into_iter().for_each(|area| self.stale[index].add(area));
            }
        }
        if self.stale.iter().all(Areas::is_empty) {
            return Ok(());
        }
        self.edits = Areas::default();
        if goal != Goal::Bits {
            self.exact = false;
        }
        let (cached, units) = (self.cache.len(), self.cache.len() as f32 + 1.0);
        for index in 0..cached {
            while let Some(&features) = self.stale[index].0.last() {
                let area = self.output_of(index, features, unit);
                let mut step = |share: f32| step((index as f32 + share) / units);
                let values = self.compute(index, area, scene, &mut step)?;
                // From here on nothing can fail: what is written, noted as done and handed on stays consistent.
                let large = if small > 0.0 { self.large_change(index, area, &values, small) } else { Some(area) };
                self.write(index, area, &values);
                self.stale[index].0.pop();
                if let Some(large) = large {
                    let features = self.features_of(index + 1, large);
                    self.stale[index + 1].add(features);
                }
                if large != Some(area) {
                    let features = self.features_of(index + 1, area);
                    self.deferred[index + 1].add(features);
                }
            }
            if self.spread[index].is_empty() {
                self.spread[index] = spread(&self.cache[index], self.engine.plan().blocks[index].output);
            }
        }
        let mut step = |share: f32| step((cached as f32 + share) / units);
        if cached + 1 == self.stale.len() {
            while let Some(&features) = self.stale[cached].0.last() {
                let area = grown(self.output_of(cached, features, unit), 1, 1).within(Limits::picture(self.size));
                self.paint(area, scene, changed, &mut step)?;
                self.stale[cached].0.pop();
            }
            return Ok(());
        }
        // Blocks without a cache are computed at once.
        let mut area = None;
        for index in cached..self.stale.len() {
            let own = self.stale[index].0.iter().copied().reduce(Area::hull);
            let before = area.map(|area| self.features_of(index, area));
            area = own.into_iter().chain(before).reduce(Area::hull);
            area = area.map(|features| block_affected(features, self.limits_of(index), unit));
        }
        if let Some(area) = area {
            let area = grown(area, 1, 1).within(Limits::picture(self.size));
            self.paint(area, scene, changed, &mut step)?;
            self.stale[cached..].iter_mut().for_each(|areas| *areas = Areas::default());
        }
        Ok(())
    }

    /// The output that changes with features; all of it, if that is nearly so.
    fn output_of(&self, index: usize, features: Area, unit: i64) -> Area {
        let (area, whole) = (block_affected(features, self.limits_of(index), unit), self.whole(index));
        let count = |area: Area| area.size().iter().product::<usize>();
        if 10 * count(area) > 8 * count(whole) { whole } else { area }
    }

    /// Computes an area of a block's output, `[channels, rows, columns]`.
    fn compute(
        &mut self,
        index: usize,
        area: Area,
        scene: &engine::Scene<'_>,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let channels = self.engine.plan().blocks[index].output;
        let [rows, columns] = area.size();
        let mut values = vec![0.0; channels * rows * columns];
        let mut sink = |y: usize, planes: &[f32]| {
            let count = planes.len() / channels;
            for (to, from) in values.chunks_exact_mut(rows * columns).zip(planes.chunks_exact(count)) {
                to[y * columns..][..count].copy_from_slice(from);
            }
            Ok(())
        };
        self.run(index..index + 1, false, area, scene, &mut sink, step)?;
        Ok(values)
    }

    /// Paints an area of the picture from the last cached block on.
    fn paint(
        &mut self,
        area: Area,
        scene: &engine::Scene<'_>,
        changed: &mut Areas,
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
        self.run(blocks, true, area, scene, &mut sink, step)?;
        for (y, row) in (area.rows.start as usize..).zip(bytes.chunks_exact(3 * columns)) {
            self.picture[3 * (y * width + area.columns.start as usize)..][..row.len()].copy_from_slice(row);
        }
        changed.add(area);
        Ok(())
    }

    fn run(
        &mut self,
        blocks: std::ops::Range<usize>,
        head: bool,
        area: Area,
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
        session.run_blocks(scene, &mut input, blocks, head, cached, window, sink, step)
    }

    /// Writes an area of a block's output into the cache.
    fn write(&mut self, index: usize, area: Area, values: &[f32]) {
        let [height, width] = self.whole(index).size();
        let [rows, columns] = area.size();
        for (plane, from) in self.cache[index].chunks_exact_mut(height * width).zip(values.chunks_exact(rows * columns))
        {
            for (y, from) in (area.rows.start as usize..).zip(from.chunks_exact(columns)) {
                plane[y * width + area.columns.start as usize..][..columns].copy_from_slice(from);
            }
        }
    }

    /// The part of an area where new values differ from those in the cache by more than `small` times the standard
    /// deviation of their channel.
    fn large_change(&self, index: usize, area: Area, values: &[f32], small: f32) -> Option<Area> {
        let [height, width] = self.whole(index).size();
        let [rows, columns] = area.size();
        let across = columns.div_ceil(SQUARE);
        let mut large = vec![false; rows.div_ceil(SQUARE) * across];
        let planes = self.cache[index].chunks_exact(height * width).zip(values.chunks_exact(rows * columns));
        for ((old, new), spread) in planes.zip(&self.spread[index]) {
            for (r, new) in new.chunks_exact(columns).enumerate() {
                let old = &old[(area.rows.start as usize + r) * width + area.columns.start as usize..][..columns];
                let squares = old.chunks(SQUARE).zip(new.chunks(SQUARE)).zip(&mut large[r / SQUARE * across..]);
                for ((old, new), large) in squares {
                    *large |= old.iter().zip(new).any(|(old, new)| (old - new).abs() * spread > small);
                }
            }
        }
        let square = |(i, _): (usize, &bool)| {
            let span = |at: usize, start: i64| {
                let start = start + (at * SQUARE) as i64;
                Span::new(start, start + SQUARE as i64)
            };
            let here = Area { rows: span(i / across, area.rows.start), columns: span(i % across, area.columns.start) };
            intersection(here, area)
        };
        large.iter().enumerate().filter(|(_, large)| **large).map(square).reduce(Area::hull)
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
    synth.check_instances(request, labels)
}

/// How small a change may be to be left alone, in standard deviations of its channel; found by experiment.
fn tolerance(levels: u8) -> f32 {
    match levels {
        0 | 1 => 0.01,
        2..=4 => 0.03,
        _ => 0.1,
    }
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
