//! Synthesizing pictures from label maps.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};

use super::paint::{Job, Partition};
use super::prepared::Weights;
use super::windows::{describe, windows};
use super::{Border, Control, PreparedModel, Request, SynthesizerOptions};
use crate::collage::Collage;
use crate::engine::{self, ClassStyles};
use crate::error::{Error, Result};
use crate::label::{
    ClassTable, DistanceMap, Edges, LabelInput, LabelMap, LabelPyramid, LabelSource, Placed, Rect, WithInstances,
};
use crate::memory;
use crate::model::{Manifest, Model, read_back};
use crate::network::StyleConfig;
use crate::nn::{BlockStyles, GeneratorInput, LabelEncoding, Layout, Mode, Noise, Statistics, ops};
use crate::picture::{Image, PixelFormat, PixelsMut};
use crate::pixels::{write_planes, write_rgb};
use crate::rng::Rng;
use crate::sink::{self, RowSink};
use crate::style::{Style, StyleKind};

/// Synthesizes pictures from label maps, on one thread, with the weights of a [`PreparedModel`]. It keeps buffers
/// and reusable intermediate results between pictures.
#[derive(Debug)]
pub struct Synthesizer {
    prepared: PreparedModel,
    /// The buffers of the CPU engine.
    session: Option<engine::Session>,
    last: Option<LastLabels>,
    /// Multiplications per second, of the last picture on the engine.
    speed: Option<f64>,
}

/// The inputs of the last picture, and what was made from them.
#[derive(Debug)]
struct LastLabels {
    labels: LabelMap,
    instances: Option<LabelMap>,
    /// Differs from those of earlier labels.
    number: u64,
    distances: Option<Arc<DistanceMap>>,
    /// On the device, where the engine does not run.
    layout: Option<Layout>,
}

/// What a synthesis takes and how long.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// Most memory in bytes, with the weights, as it is without a budget.
    pub memory: usize,
    /// The least [budget](Control::memory), in bytes.
    pub least_memory: usize,
    /// Multiplications of its convolutions by definition, including those at the borders of windows.
    pub multiplications: f64,
    /// Time in seconds, at the speed of the last picture of this synthesizer.
    pub seconds: Option<f64>,
}

/// The style in the form that networks take.
#[derive(Clone)]
pub(super) enum StyleInput {
    None,
    Latent(Vec<f32>),
    Classes(ClassStyles),
}

impl Synthesizer {
    /// Prepares a model for a single thread; see [`PreparedModel::new`].
    ///
    /// # Errors
    ///
    /// As [`PreparedModel::new`].
    pub fn new(model: impl Into<Model>, options: impl Into<SynthesizerOptions>) -> Result<Self> {
        PreparedModel::new(model, options).map(Self::of)
    }

    pub(super) fn of(prepared: PreparedModel) -> Self {
        let session = match prepared.weights() {
            Weights::Engine(engine) => Some(engine.session()),
            Weights::Network { .. } => None,
        };
        Self { prepared, session, last: None, speed: None }
    }

    /// The weights, for sharing with other threads.
    pub fn prepared(&self) -> &PreparedModel {
        &self.prepared
    }

    /// The manifest of the model.
    pub fn manifest(&self) -> &Manifest {
        self.prepared.manifest()
    }

    /// Encodes the style of a photo; see [`PreparedModel::encode`].
    ///
    /// # Errors
    ///
    /// As [`PreparedModel::encode`].
    pub fn encode(&self, photo: &Image, labels: Option<&LabelMap>, seed: Option<u64>) -> Result<Style> {
        self.prepared.encode(photo, labels, seed)
    }

    /// Prepares for pictures of a size with a request like this, so that the first picture is as fast as later
    /// ones. On a GPU, this compiles kernels, and with the feature `gpu-tuned` also tunes them, for label maps with
    /// few and with many distinct patches. On the CPU, it allocates buffers and packs the style. The request's
    /// instance ids and collage are ignored.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn warm_up(&mut self, width: usize, height: usize, request: &Request) -> Result<()> {
        let ids: Vec<u16> = self.manifest().classes.iter().map(|class| class.id).collect();
        let collage =
            if self.prepared.architecture().takes_collage() { Some(Collage::empty(width, height)?) } else { None };
        let request = Request { instances: None, collage, ..request.clone() };
        let flat = LabelMap::filled(width, height, ids.first().copied().unwrap_or_default())?;
        let mut rng = Rng::new(0);
        let busy = (0..width * height).map(|_| ids.get(rng.below(ids.len())).copied().unwrap_or_default()).collect();
        for labels in [LabelMap::new(width, height, busy)?, flat] {
            self.run(&labels, &request)?;
        }
        Ok(())
    }

    /// Synthesizes a picture, which has the size of the label map.
    ///
    /// If a side is not a multiple of the network's stride, the last row and column of the label map are repeated
    /// up to the next multiple, and the picture is cropped.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLabels`] if an id has no class; [`Error::StyleNeeded`] if the model needs a style;
    /// [`Error::Argument`] if a style does not fit the model or the instance ids have another size;
    /// [`Error::Device`] if the device fails.
    pub fn run(&mut self, labels: &LabelMap, request: &Request) -> Result<Image> {
        self.run_with(labels, request, &mut Control::new())
    }

    /// As [`run`](Self::run), with cancellation and progress reports.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); [`Error::Cancelled`] if cancelled. The synthesizer can be used again after that.
    pub fn run_with(&mut self, labels: &LabelMap, request: &Request, control: &mut Control<'_>) -> Result<Image> {
        let (width, height) = (labels.width(), labels.height());
        memory::ask_for(width * height, 2 * 3, "the picture")?;
        let mut bytes = vec![0; 3 * width * height];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, width, height, 3 * width, &mut bytes)?;
        self.run_into(labels, request, &mut out, control)?;
        Image::new(width, height, bytes)
    }

    /// As [`run_with`](Self::run_with), into the caller's memory. After an error `out` is unchanged.
    ///
    /// # Errors
    ///
    /// As [`run_with`](Self::run_with); [`Error::Argument`] if `out` and the label map differ in size.
    pub fn run_into(
        &mut self,
        labels: &LabelMap,
        request: &Request,
        out: &mut PixelsMut<'_>,
        control: &mut Control<'_>,
    ) -> Result<()> {
        labels.check(&self.manifest().classes)?;
        same_size("the output picture", [out.width(), out.height()], labels)?;
        self.check_collage(request, [labels.width(), labels.height()])?;
        self.take_labels(labels, request)?;
        if self.session.is_some() || request.borders != [Border::Zero; 2] || control.budget().is_some() {
            let (width, height) = (labels.width(), labels.height());
            let area = Rect { x: 0, y: 0, width: width as u32, height: height as u32 };
            let mut bytes = vec![0; 3 * width * height];
            let mut sink = sink::from_fn(|y: usize, row: &[u8]| {
                bytes[3 * width * y..][..row.len()].copy_from_slice(row);
                Ok(())
            });
            let needs_distances = self.prepared.architecture().needs().distances;
            let distances_of = || Arc::new(DistanceMap::of(labels));
            let last = self.last.as_mut().filter(|_| needs_distances);
            let distances = last.map(|last| Arc::clone(last.distances.get_or_insert_with(distances_of)));
            let number = self.last.as_ref().map(|last| last.number);
            let mut source = labels;
            self.paint(&mut source, number, distances, area, request, &mut sink, control)?;
            return Image::new(width, height, bytes)?.write_into(out);
        }
        let style = self.style_input(request)?;
        let noise = self.noise(request, [0; 2]);
        let statistics = self.statistics(request);
        let prepared = &self.prepared;
        let Weights::Network { network, reference } = prepared.weights() else {
            return Err(Error::Device("the engine has no session".into()));
        };
        let last = self.last.as_mut().ok_or_else(|| Error::Argument("there are no labels".into()))?;
        let architecture = prepared.architecture();
        // Keeps the tensors of the label map on the device for the next picture.
        if last.layout.is_none() {
            let (stride, least) = (architecture.stride(), architecture.least_side());
            let size = [labels.height(), labels.width()].map(|side| side.max(least).next_multiple_of(stride));
            let classes = architecture.label_channels();
            let mut pyramid = LabelPyramid::padded(labels, size, classes);
            if architecture.instance_edges() {
                pyramid = pyramid.with_instances(request.instances.as_ref().unwrap_or(labels))?;
            }
            let pyramid = vec![Arc::new(pyramid)];
            last.layout = Some(Layout::of(pyramid, classes, LabelEncoding::Indexed, prepared.device().burn()));
        }
        let Some(layout) = last.layout.clone() else { return Ok(()) };
        let [_, width] = layout.size();
        let input = generator_input(prepared, layout, style, noise, request.collage.as_ref());
        let (device, watched) = (prepared.device().burn(), control.is_used());
        let planes = control.run(prepared.pool(), |step| {
            let mut step = |done: f32| {
                // GPU work is queued faster than it is computed, so a watched run waits for it.
                if watched {
                    device.sync().map_err(|error| Error::Device(error.to_string()))?;
                }
                step(done)
            };
            let mut forward = || network.forward_by_steps(&input, Mode::Eval(statistics), &mut step);
            let output = if *reference { ops::without(forward)? } else { forward()? };
            read_back(output.cast(DType::F32))
        })?;
        write_planes(&planes, width, self.manifest().value_range, out);
        Ok(())
    }

    /// Synthesizes a picture of any size: labels come from a source, rows go to a sink, from top to bottom. Neither has
    /// to be in memory. `area` is the picture's place in the source's coordinates; the source is asked for rows from top
    /// to bottom, and, with a [border](Request::borders) other than zeros, for labels beyond the picture. With a
    /// [budget](Control::memory) that a whole row does not fit, the picture is made of windows, and rows of labels are
    /// read again for each of them.
    ///
    /// The picture has the same bits as that of [`run`](Self::run). On a device other than the CPU, it is made of windows
    /// and differs by rounding. A source or a sink that fails ends the synthesis with its error.
    ///
    /// # Errors
    ///
    /// As [`run_with`](Self::run_with); [`Error::UnknownLabels`] if an id has no class;
    /// [`Error::Argument`] if the model cannot paint such a picture, and why; [`Error::Limit`] if the budget is too
    /// little, and how much it needs.
    pub fn synthesize(
        &mut self,
        labels: &mut dyn LabelSource,
        area: Rect,
        request: &Request,
        sink: &mut dyn RowSink,
        control: &mut Control<'_>,
    ) -> Result<()> {
        let classes = self.manifest().classes.clone();
        let mut checked = Checked { source: labels, known: known_ids(&classes), classes: &classes };
        let distances = if self.prepared.architecture().needs().distances {
            Some(Arc::new(DistanceMap::of(&whole_map(&mut checked, area)?)))
        } else {
            None
        };
        self.paint(&mut checked, None, distances, area, request, sink, control)
    }

    /// What [`synthesize`](Self::synthesize) will take, as counted from the sizes of all feature maps.
    ///
    /// # Errors
    ///
    /// As [`synthesize`](Self::synthesize).
    pub fn estimate(&self, area: Rect, request: &Request) -> Result<Estimate> {
        let Weights::Engine(engine) = self.prepared.weights() else {
            return Err(Error::Argument("estimates are of the CPU engine: use the device cpu".into()));
        };
        let statistics = self.statistics(request);
        let capabilities = self.prepared.architecture().capabilities(statistics);
        let job = Job::new(area, request.borders, &capabilities)?;
        let whole = Partition::new(engine, job.window, statistics, &capabilities, None)?;
        let least = Partition::least(engine, job.window, statistics, &capabilities);
        let multiplications = engine.multiplications(job.window);
        let seconds = self.speed.map(|speed| multiplications / speed);
        Ok(Estimate { memory: whole.memory, least_memory: least, multiplications, seconds })
    }

    /// Paints by rows. `number` identifies labels that may come again.
    #[allow(
        clippy::too_many_arguments,
        reason = "where labels come from, rows go and progress is reported are separate things"
    )]
    fn paint(
        &mut self,
        labels: &mut dyn LabelSource,
        number: Option<u64>,
        distances: Option<Arc<DistanceMap>>,
        area: Rect,
        request: &Request,
        sink: &mut dyn RowSink,
        control: &mut Control<'_>,
    ) -> Result<()> {
        self.check_collage(request, [area.width as usize, area.height as usize])?;
        let mut with_instances;
        let labels: &mut dyn LabelSource = match &request.instances {
            Some(instances) => {
                self.check_takes_instances()?;
                with_instances = WithInstances { labels, instances };
                &mut with_instances
            }
            None => &mut *labels,
        };
        match &self.session {
            Some(_) => self.paint_bands(labels, number, distances, area, request, sink, control),
            None => self.paint_windows(labels, distances, area, request, sink, control),
        }
    }

    /// Paints on the engine.
    #[allow(clippy::too_many_arguments, reason = "as of `paint`")]
    fn paint_bands(
        &mut self,
        labels: &mut dyn LabelSource,
        number: Option<u64>,
        distances: Option<Arc<DistanceMap>>,
        area: Rect,
        request: &Request,
        sink: &mut dyn RowSink,
        control: &mut Control<'_>,
    ) -> Result<()> {
        let style = self.style_input(request)?;
        let statistics = self.statistics(request);
        let capabilities = self.prepared.architecture().capabilities(statistics);
        let Job { window, origin, period, size } = Job::new(area, request.borders, &capabilities)?;
        let range = self.manifest().value_range;
        let edges = if self.prepared.architecture().instance_edges() { Edges::Instances } else { Edges::None };
        let noise = self.noise(request, [origin[1], origin[0]]);
        let (prepared, Some(session)) = (&self.prepared, &mut self.session) else {
            return Err(Error::Device("the engine has no session".into()));
        };
        let Weights::Engine(engine) = prepared.weights() else {
            return Err(Error::Device("the engine has no weights".into()));
        };
        let partition = match control.budget() {
            Some(budget) => Partition::of_budget(engine, window, statistics, &capabilities, budget, session.bytes())?,
            None => Partition::of_free(engine, window, statistics, &capabilities, session.bytes())?,
        };
        let scene = engine::Scene {
            latent: if let StyleInput::Latent(latent) = &style { Some(latent) } else { None },
            styles: if let StyleInput::Classes(styles) = &style { Some(styles) } else { None },
            noise,
            statistics,
            period,
        };
        let costs: Vec<f64> = partition.slabs.iter().flatten().map(|&window| engine.multiplications(window)).collect();
        let all: f64 = costs.iter().sum();
        let started = Instant::now();
        session.stop_on(control.flag());
        control.run(prepared.pool(), |step| {
            let mut placed = Placed { source: labels, origin, period };
            let mut input = LabelInput { source: &mut placed, edges, distances, size };
            let width = window.area.columns.len();
            let (mut done, mut costs) = (0.0, costs.iter());
            let mut bytes = Vec::new();
            let mut rows_written = 0;
            for slab in &partition.slabs {
                let whole_rows = slab.len() == 1;
                let rows = slab.first().map_or(0, |window| window.area.rows.len());
                if !whole_rows {
                    bytes.resize(3 * width * rows, 0);
                }
                for part in slab {
                    let cost = costs.next().copied().unwrap_or_default();
                    let (first, columns) =
                        ((part.area.columns.start - window.area.columns.start) as usize, part.area.columns.len());
                    let mut take = |y: usize, planes: &[f32]| {
                        if whole_rows {
                            bytes.resize(planes.len(), 0);
                            write_rgb(planes, range, &mut bytes);
                            let mut rows = bytes.chunks_exact(3 * width).enumerate();
                            return rows.try_for_each(|(i, row)| sink.write(rows_written + y + i, row));
                        }
                        let mut part = vec![0; planes.len()];
                        write_rgb(planes, range, &mut part);
                        for (i, row) in part.chunks_exact(3 * columns).enumerate() {
                            bytes[3 * ((y + i) * width + first)..][..row.len()].copy_from_slice(row);
                        }
                        Ok(())
                    };
                    let mut step = |share: f32| step(((done + f64::from(share) * cost) / all) as f32);
                    session.run(&scene, &mut input, number, *part, partition.tiles, &mut take, &mut step)?;
                    if !whole_rows {
                        session.release();
                    }
                    done += cost;
                }
                if !whole_rows {
                    let mut all = bytes.chunks_exact(3 * width).enumerate();
                    all.try_for_each(|(i, row)| sink.write(rows_written + i, row))?;
                }
                rows_written += rows;
            }
            Ok(())
        })?;
        self.speed = Some(all / started.elapsed().as_secs_f64().max(1e-6));
        Ok(())
    }

    /// Paints on a device, in windows.
    fn paint_windows(
        &mut self,
        labels: &mut dyn LabelSource,
        distances: Option<Arc<DistanceMap>>,
        area: Rect,
        request: &Request,
        sink: &mut dyn RowSink,
        control: &mut Control<'_>,
    ) -> Result<()> {
        let statistics = self.statistics(request);
        let prepared = &self.prepared;
        let architecture = prepared.architecture();
        let capabilities = architecture.capabilities(statistics);
        let job = Job::new(area, request.borders, &capabilities)?;
        if architecture.needs().noise && !request.quiet && job.period != [None; 2] {
            return Err(Error::Argument(
                "noise that repeats itself needs the CPU engine: use the device cpu, or a request without noise".into(),
            ));
        }
        let slabs = windows(&job, architecture, &capabilities, control.budget())?;
        let Weights::Network { network, reference } = prepared.weights() else {
            return Err(Error::Device("the engine has no session".into()));
        };
        let (style, noise) = (self.style_input(request)?, self.noise(request, [0; 2]));
        let (range, device) = (self.manifest().value_range, prepared.device().burn());
        let classes = architecture.label_channels();
        let count = slabs.iter().map(Vec::len).sum::<usize>() as f32;
        control.run(prepared.pool(), |step| {
            let mut source = Placed { source: labels, origin: job.origin, period: job.period };
            let width = job.window.area.columns.len();
            let (mut done, mut written) = (0.0, 0);
            for slab in slabs {
                let rows = slab.first().map_or(0, |part| part.picture.rows.len());
                let mut bytes = vec![0; 3 * width * rows];
                for part in slab {
                    let pyramid = describe(&mut source, &job, part.labels, architecture, distances.as_deref())?;
                    let wide = pyramid.size()[1];
                    let layout = Layout::of(vec![pyramid], classes, LabelEncoding::Indexed, device);
                    let [y, x] = [part.labels.rows.start + job.origin[0], part.labels.columns.start + job.origin[1]];
                    let noise = match &noise {
                        Noise::Anchored { seed, origin: [left, top] } => {
                            Noise::Anchored { seed: *seed, origin: [left.wrapping_add(x), top.wrapping_add(y)] }
                        }
                        other => other.clone(),
                    };
                    // Networks that take a collage have one window, which begins where the picture does.
                    let input = generator_input(prepared, layout, style.clone(), noise, request.collage.as_ref());
                    let mut step = |share: f32| {
                        device.sync().map_err(|error| Error::Device(error.to_string()))?;
                        step((done + share) / count)
                    };
                    let mut forward = || network.forward_by_steps(&input, Mode::Eval(statistics), &mut step);
                    let output = if *reference { ops::without(forward)? } else { forward()? };
                    let planes = read_back(output.cast(DType::F32))?;
                    let high = planes.len() / 3 / wide;
                    let mut all = vec![0; planes.len()];
                    write_rgb(&planes, range, &mut all);
                    let (inside, across) = (
                        part.labels.rows.relative(part.picture.rows),
                        part.labels.columns.relative(part.picture.columns),
                    );
                    debug_assert!(inside.end <= high);
                    let first = (part.picture.columns.start - job.window.area.columns.start) as usize;
                    for (i, y) in inside.enumerate() {
                        let row = &all[3 * (y * wide + across.start)..][..3 * across.len()];
                        bytes[3 * (i * width + first)..][..row.len()].copy_from_slice(row);
                    }
                    done += 1.0;
                }
                let mut all = bytes.chunks_exact(3 * width).enumerate();
                all.try_for_each(|(i, row)| sink.write(written + i, row))?;
                written += rows;
            }
            Ok(())
        })
    }

    pub(super) fn noise(&self, request: &Request, [x, y]: [i64; 2]) -> Noise {
        if self.prepared.architecture().needs().noise && !request.quiet {
            let [left, top] = request.origin;
            Noise::Anchored { seed: request.seed, origin: [left.wrapping_add(x), top.wrapping_add(y)] }
        } else {
            Noise::Zero
        }
    }

    pub(super) fn statistics(&self, request: &Request) -> Statistics {
        request.statistics.unwrap_or(self.manifest().statistics)
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut engine::Session> {
        self.session.as_mut()
    }

    /// Checks that the instances of a request fit the model and the labels.
    pub(super) fn check_instances(&self, request: &Request, labels: &LabelMap) -> Result<()> {
        let Some(instances) = &request.instances else { return Ok(()) };
        self.check_takes_instances()?;
        same_size("the instance map", [instances.width(), instances.height()], labels)
    }

    fn check_takes_instances(&self) -> Result<()> {
        let architecture = self.prepared.architecture();
        if architecture.instance_edges() {
            return Ok(());
        }
        let network = architecture.describe();
        Err(Error::Argument(format!("an instance map was given, but this model ({network}) takes none")))
    }

    /// Checks that there is a collage if the model takes one, of the width and height of the picture.
    pub(super) fn check_collage(&self, request: &Request, [width, height]: [usize; 2]) -> Result<()> {
        let architecture = self.prepared.architecture();
        match (&request.collage, architecture.takes_collage()) {
            (None, false) => Ok(()),
            (Some(collage), true) if [collage.width(), collage.height()] == [width, height] => Ok(()),
            (Some(collage), true) => Err(Error::Argument(format!(
                "the collage has {}x{} pixels, the picture {width}x{height}: they must be the same",
                collage.width(),
                collage.height()
            ))),
            (Some(_), false) => {
                let network = architecture.describe();
                Err(Error::Argument(format!("a collage was given, but this model ({network}) takes none")))
            }
            (None, true) => Err(Error::Argument(
                "this model paints from a collage of photos: give one with the request, or paint with `semsynth synth --bank DIR`, \
                 the data set that it was trained on"
                    .into(),
            )),
        }
    }

    /// Notes the labels of a picture, after checking that the request fits them: what was made of the last ones is used
    /// again if labels and instance ids are the same.
    fn take_labels(&mut self, labels: &LabelMap, request: &Request) -> Result<()> {
        self.check_instances(request, labels)?;
        if let Some(last) = &self.last
            && last.labels == *labels
            && last.instances == request.instances
        {
            return Ok(());
        }
        let number = self.last.as_ref().map_or(0, |last| last.number + 1);
        let (labels, instances) = (labels.clone(), request.instances.clone());
        self.last = Some(LastLabels { labels, instances, number, distances: None, layout: None });
        Ok(())
    }

    pub(super) fn style_input(&self, request: &Request) -> Result<StyleInput> {
        let architecture = self.prepared.architecture();
        match architecture.style() {
            StyleConfig::None => {
                if request.style.is_some() || !request.block_styles.is_empty() {
                    let network = architecture.describe();
                    return Err(Error::Argument(format!("a style was given, but this model ({network}) takes none")));
                }
                Ok(StyleInput::None)
            }
            StyleConfig::Latent { length, .. } => {
                if !request.block_styles.is_empty() {
                    return Err(Error::Argument("this model has one style for all blocks".into()));
                }
                match request.style.as_ref().or(self.prepared.default_style()) {
                    Some(style) => self.rows_of(style).map(StyleInput::Latent),
                    None => Ok(StyleInput::Latent(Style::random(request.seed, length)?.to_rows())),
                }
            }
            StyleConfig::Regions { .. } => {
                let style = request.style.as_ref().or(self.prepared.default_style());
                let style = style.ok_or(Error::StyleNeeded)?;
                let blocks = architecture.styled_blocks();
                let of_block = |(block, style): &(usize, Style)| {
                    if *block >= blocks {
                        let last = blocks - 1;
                        return Err(Error::Argument(format!(
                            "a style for block {block}: the network has blocks 0 to {last}"
                        )));
                    }
                    Ok((*block, self.rows_of(style)?))
                };
                let some = request.block_styles.iter().map(of_block).collect::<Result<_>>()?;
                Ok(StyleInput::Classes(ClassStyles { all: self.rows_of(style)?, some }))
            }
        }
    }

    /// The values of a style, after checking that the model takes its form.
    fn rows_of(&self, style: &Style) -> Result<Vec<f32>> {
        let architecture = self.prepared.architecture();
        let (kind, rows, length) = match architecture.style() {
            StyleConfig::Latent { length, .. } => (StyleKind::Global, 1, length),
            StyleConfig::Regions { length, .. } => (StyleKind::Regions, architecture.label_channels(), length),
            StyleConfig::None => return Ok(style.to_rows()),
        };
        let form = |kind: StyleKind, rows: usize, length: usize| match kind {
            StyleKind::Global => format!("one vector of {length} values for the whole picture"),
            StyleKind::Regions => format!("{rows} classes of {length} values"),
        };
        if (style.kind(), style.rows(), style.length()) != (kind, rows, length) {
            return Err(Error::Argument(format!(
                "the style has {}, this model takes {}: it was made for another model",
                form(style.kind(), style.rows(), style.length()),
                form(kind, rows, length)
            )));
        }
        if kind == StyleKind::Regions {
            style.check_names(&self.manifest().classes)?;
        }
        Ok(style.to_rows())
    }
}

/// Moves the inputs of a network to its device.
fn generator_input(
    prepared: &PreparedModel,
    layout: Layout,
    style: StyleInput,
    noise: Noise,
    collage: Option<&Collage>,
) -> GeneratorInput {
    let (architecture, device) = (prepared.architecture(), prepared.device().burn());
    let classes = architecture.label_channels();
    let [height, width] = layout.size();
    let mut input = GeneratorInput::new(layout).noise(noise);
    if let Some(collage) = collage {
        let shape = [1, Collage::CHANNELS, height, width];
        let mut planes = Vec::with_capacity(shape.iter().product());
        collage.push_planes([height, width], &mut planes);
        input = input.collage(Tensor::from_data(TensorData::new(planes, shape), device));
    }
    match style {
        StyleInput::None => input,
        StyleInput::Latent(latent) => {
            let length = latent.len();
            input.latent(Tensor::from_data(TensorData::new(latent, [1, length]), device))
        }
        StyleInput::Classes(styles) => {
            let upload = |rows: &[f32]| -> Tensor<3> {
                Tensor::from_data(TensorData::new(rows.to_vec(), [1, classes, rows.len() / classes]), device)
            };
            if styles.some.is_empty() {
                return input.styles(BlockStyles::All(upload(&styles.all)));
            }
            let each = (0..architecture.styled_blocks()).map(|block| upload(styles.of(block)));
            input.styles(BlockStyles::Each(each.collect()))
        }
    }
}

/// A source whose ids are checked.
struct Checked<'a> {
    source: &'a mut dyn LabelSource,
    /// By id.
    known: Vec<bool>,
    classes: &'a ClassTable,
}

fn known_ids(classes: &ClassTable) -> Vec<bool> {
    let mut known = vec![false; 1 << 16];
    classes.iter().for_each(|class| known[usize::from(class.id)] = true);
    known
}

impl LabelSource for Checked<'_> {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.source.read(area, ids)?;
        if ids.iter().all(|&id| self.known[usize::from(id)]) {
            return Ok(());
        }
        // Says which ids have no class.
        let map = LabelMap::new(area.width as usize, area.height as usize, ids.to_vec())?;
        map.check(self.classes).map_err(|error| error.context(format!("labels at {area}")))
    }

    fn read_instances(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        self.source.read_instances(area, ids)
    }
}

/// The labels of a picture as a map, for networks that look at whole objects.
fn whole_map(source: &mut dyn LabelSource, area: Rect) -> Result<LabelMap> {
    let (width, height) = (area.width as usize, area.height as usize);
    let count = width.checked_mul(height).filter(|&count| count <= crate::label::MAX_AREA);
    let count = count.ok_or_else(|| {
        Error::Limit(format!("this model looks at whole objects, for which {width}x{height} pixels are too many"))
    })?;
    // Ids, and the distance maps of objects.
    memory::ask_for(count, 2 + 2 * 4, "the label map, of which this model needs whole objects,")?;
    let mut ids = vec![0; count];
    for (y, row) in (area.y..).zip(ids.chunks_exact_mut(width.max(1))) {
        source.read(Rect { y, height: 1, ..area }, row)?;
    }
    LabelMap::new(width, height, ids)
}

fn same_size(what: &str, [width, height]: [usize; 2], labels: &LabelMap) -> Result<()> {
    let expected = [labels.width(), labels.height()];
    if [width, height] == expected {
        return Ok(());
    }
    let [wide, high] = expected;
    Err(Error::Argument(format!(
        "{what} has {width}x{height} pixels, the label map {wide}x{high}: they must be the same"
    )))
}
