//! One picture of the worker: of a terrain, or of a chunk of a world.

use std::sync::Arc;
use std::time::Instant;

use bevy_math::{URect, UVec2};
use semsynth::synth::{Canvas, Goal};
use semsynth::{Border, CancelToken, Control, LabelMap, PreparedModel, Rect, Request, Result, Synthesizer, sink};

use super::inbox::{Edit, Open, What};
use super::maps::{MapParts, Maps};
use super::mips::{LevelPart, Pyramid, Texels};
use crate::model::ModelData;
use crate::stream::WorldLabels;
use crate::surface::SynthSurface;
use crate::terrain::SynthSettings;

/// A picture and what it is made of.
pub(super) struct Picture {
    pub(super) generation: u64,
    /// The painter's device that it is on.
    pub(super) epoch: u64,
    /// The newest edit.
    pub(super) revision: u64,
    pub(super) priority: f32,
    pub(super) model: Arc<ModelData>,
    pub(super) settings: SynthSettings,
    /// What the settings ask for; of no meaning before it has begun.
    request: Request,
    pub(super) colors: bool,
    pub(super) state: State,
    /// As the texture is.
    pub(super) pyramid: Pyramid,
    /// What makes normals and roughness, if they are wanted.
    pub(super) surface: Option<SynthSurface>,
    pub(super) maps: Option<Box<Maps>>,
    /// Nothing was sent: the texture may have another content than the pyramid.
    pub(super) fresh: bool,
    /// The texture may differ from the canvas anywhere: an update was cancelled.
    pub(super) unsure: bool,
    /// When the oldest edit was made that is not shown.
    pub(super) unseen: Option<Instant>,
    /// When the newest edit came in.
    pub(super) touched: Instant,
}

/// How a picture is painted.
pub(super) enum State {
    /// Not begun.
    New(What),
    /// Edits cost what they change.
    Live {
        canvas: Box<Canvas>,
        /// Whether all of it was painted since it began or the request changed.
        painted: bool,
    },
    /// For networks, borders and devices that a canvas does not take: any edit repaints everything.
    Whole { synth: Box<Synthesizer>, ids: Vec<u16>, dirty: bool },
    /// Nothing to do: a chunk that is done, or a picture that failed.
    Done,
}

/// What a picture needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// Show edits as soon as possible.
    Preview,
    /// Prepare the model and begin.
    Begin,
    /// Paint everything.
    Paint,
    /// Bring a terrain to full quality.
    Settle,
    /// Paint a chunk.
    Chunk,
}

impl Picture {
    pub(super) fn new(open: Open) -> Self {
        let size = match &open.what {
            What::Terrain(labels) => UVec2::new(labels.width() as u32, labels.height() as u32),
            What::Chunk { area, .. } => UVec2::new(area.width, area.height),
        };
        Self {
            generation: open.generation,
            epoch: 0,
            revision: 0,
            priority: open.priority,
            model: open.model,
            settings: open.settings,
            request: Request::new(),
            colors: open.colors,
            state: State::New(open.what),
            pyramid: Pyramid::new(size, Texels::Color),
            surface: open.surface,
            maps: None,
            fresh: true,
            unsure: false,
            unseen: None,
            touched: Instant::now(),
        }
    }

    /// Begins with what the textures show, not with nothing.
    pub(super) fn take_textures(&mut self, old: Self) {
        if old.pyramid.whole() == self.pyramid.whole() {
            self.pyramid = old.pyramid;
            (self.fresh, self.unsure) = (old.fresh, old.unsure);
        }
    }

    /// What to do, and from when on.
    pub(super) fn job(&self, rest: std::time::Duration) -> Option<(Job, Instant)> {
        let now = self.touched;
        match &self.state {
            State::New(What::Terrain(_)) => Some((Job::Begin, now)),
            State::New(What::Chunk { .. }) => Some((Job::Chunk, now)),
            State::Live { painted: false, .. } | State::Whole { dirty: true, .. } => Some((Job::Paint, now)),
            State::Live { canvas, .. } if !canvas.is_at(Goal::Preview) => Some((Job::Preview, now)),
            State::Live { canvas, .. } if !canvas.is_at(Goal::Settled) => Some((Job::Settle, now + rest)),
            State::Live { .. } | State::Whole { .. } | State::Done => None,
        }
    }

    /// Takes edits in; computes nothing.
    pub(super) fn edit(&mut self, edits: &[Edit]) -> Result<()> {
        if let Some(maps) = &mut self.maps {
            maps.edit(edits);
        }
        match &mut self.state {
            State::Live { canvas, .. } => {
                for (rect, ids) in edits {
                    canvas.edit(core_rect(*rect), ids)?;
                }
            }
            State::Whole { ids: all, dirty, .. } => {
                write(all, self.pyramid.whole().width(), edits);
                *dirty = true;
            }
            State::New(What::Terrain(labels)) => {
                let mut ids: Vec<u16> = labels.ids().collect();
                write(&mut ids, labels.width() as u32, edits);
                *labels = LabelMap::new(labels.width(), labels.height(), ids)?;
            }
            State::New(What::Chunk { .. }) | State::Done => {}
        }
        Ok(())
    }

    /// Another seed, style and so on; the borders stay.
    pub(super) fn set_request(&mut self, request: Request) -> Result<()> {
        match &mut self.state {
            State::Live { canvas, painted } => {
                canvas.set_request(request.clone())?;
                *painted = false;
            }
            State::Whole { dirty, .. } => *dirty = true,
            State::New(_) | State::Done => {}
        }
        self.request = request;
        Ok(())
    }

    /// Begins a terrain with a model that is ready.
    pub(super) fn begin(&mut self, model: &PreparedModel, request: Request, memory: usize) -> Result<()> {
        let State::New(What::Terrain(labels)) = &self.state else { return Ok(()) };
        self.request = request;
        if let Some(surface) = &self.surface {
            let surfaces = surface.by_id(&model.manifest().classes)?;
            let size = self.pyramid.whole().size();
            self.maps = Some(Box::new(Maps::new(size, self.settings.wrap, surfaces, labels.ids().collect())));
        }
        let live = model.uses_engine()
            && self.request.borders == [Border::Zero; 2]
            && model.manifest().capabilities().edit.is_yes();
        self.state = if live {
            let canvas = Canvas::with_memory(model, labels, self.request.clone(), memory)?;
            State::Live { canvas: Box::new(canvas), painted: false }
        } else {
            labels.check(&model.manifest().classes)?;
            State::Whole { synth: Box::new(model.synthesizer()), ids: labels.ids().collect(), dirty: true }
        };
        Ok(())
    }

    /// Does a job on a terrain that was begun, and returns what may have changed.
    pub(super) fn paint(&mut self, job: Job, token: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<Change> {
        let change = self.update(job, token, progress);
        // What was painted before a cancellation is in the canvas, but nobody says where.
        self.unsure |= change.is_err();
        change
    }

    fn update(&mut self, job: Job, token: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<Change> {
        let mut control = Control::new().cancel(token).progress(progress);
        match &mut self.state {
            State::Live { canvas, painted } => {
                let goal = if job == Job::Preview { Goal::Preview } else { Goal::Settled };
                let rects = canvas.update(goal, &mut control)?;
                *painted = true;
                Ok(Change::Canvas(rects.into_iter().map(plugin_rect).collect()))
            }
            State::Whole { synth, ids, dirty } => {
                let size = self.pyramid.whole().size();
                let labels = LabelMap::new(size.x as usize, size.y as usize, ids.clone())?;
                let image = synth.run_with(&labels, &self.request, &mut control)?;
                *dirty = false;
                Ok(Change::Picture(image.into_bytes()))
            }
            State::New(_) | State::Done => Ok(Change::Canvas(Vec::new())),
        }
    }

    /// Takes what a job changed over to the texture: what differs, and the parts to send.
    pub(super) fn take_over(&mut self, change: Change) -> Result<Taken> {
        let whole = self.pyramid.whole();
        let unsure = std::mem::take(&mut self.unsure);
        let fresh = std::mem::take(&mut self.fresh);
        let mut taken = Taken::default();
        match (change, &self.state) {
            (Change::Canvas(rects), State::Live { canvas, .. }) => {
                let pixels = canvas.pixels()?;
                for rect in if unsure || fresh { vec![whole] } else { rects } {
                    taken.add(&mut self.pyramid, || pixels.rows(), rect, fresh);
                }
            }
            (Change::Picture(bytes), _) => {
                let wide = 3 * whole.width() as usize;
                taken.add(&mut self.pyramid, || bytes.chunks_exact(wide), whole, fresh);
            }
            (Change::Canvas(_), _) => {}
        }
        if let Some(maps) = &mut self.maps {
            taken.maps = maps.update(&self.pyramid, &taken.changed);
        }
        Ok(taken)
    }
}

/// What a texture must take over.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What differs from what it shows.
    pub(super) changed: Vec<URect>,
    pub(super) parts: Vec<LevelPart>,
    pub(super) maps: MapParts,
}

impl Taken {
    /// Around all that differs.
    pub(super) fn rect(&self) -> Option<URect> {
        self.changed.iter().copied().reduce(|all, rect| all.union(rect))
    }

    /// Takes a rectangle over. Pixels that were computed and came out the same need not be sent, if the texture has them.
    fn add<'a, I: Iterator<Item = &'a [u8]>>(
        &mut self,
        pyramid: &mut Pyramid,
        rows: impl Fn() -> I,
        rect: URect,
        fresh: bool,
    ) {
        let differs = if fresh { Some(rect) } else { pyramid.difference(rows(), rect) };
        if let Some(rect) = differs {
            self.parts.extend(pyramid.update(rows(), rect));
            self.changed.push(rect);
        }
    }
}

/// What a job changed.
pub(super) enum Change {
    /// Parts of the canvas.
    Canvas(Vec<URect>),
    /// A new picture.
    Picture(Vec<u8>),
}

/// An area with some pixels more on every side.
pub(super) fn grown(area: Rect, by: u32) -> Rect {
    Rect {
        x: area.x - i64::from(by),
        y: area.y - i64::from(by),
        width: area.width + 2 * by,
        height: area.height + 2 * by,
    }
}

/// Paints a part of a world, as it is within any larger part.
pub(super) fn paint_chunk(
    synth: &mut Synthesizer,
    labels: &Arc<dyn WorldLabels>,
    area: Rect,
    request: &Request,
    token: &CancelToken,
    progress: &mut dyn FnMut(f32),
) -> Result<Vec<u8>> {
    let labels = Arc::clone(labels);
    let mut source = semsynth::label::from_fn(move |area: Rect, ids: &mut [u16]| {
        labels.read(area, ids);
        Ok(())
    });
    let mut bytes = vec![0; 3 * area.width as usize * area.height as usize];
    let mut rows = sink::from_fn(|y: usize, row: &[u8]| {
        bytes[3 * area.width as usize * y..][..row.len()].copy_from_slice(row);
        Ok(())
    });
    let request = request.clone().borders(Border::Source, Border::Source).origin(0, 0);
    let mut control = Control::new().cancel(token).progress(progress);
    synth.synthesize(&mut source, area, &request, &mut rows, &mut control)?;
    Ok(bytes)
}

pub(super) fn write(ids: &mut [u16], width: u32, edits: &[Edit]) {
    for (rect, new) in edits {
        for (y, row) in (rect.min.y..rect.max.y).zip(new.chunks_exact(rect.width().max(1) as usize)) {
            let start = y as usize * width as usize + rect.min.x as usize;
            if let Some(to) = ids.get_mut(start..start + row.len()) {
                to.copy_from_slice(row);
            }
        }
    }
}

fn core_rect(rect: URect) -> Rect {
    Rect { x: i64::from(rect.min.x), y: i64::from(rect.min.y), width: rect.width(), height: rect.height() }
}

fn plugin_rect(rect: Rect) -> URect {
    let min = UVec2::new(rect.x as u32, rect.y as u32);
    URect::from_corners(min, min + UVec2::new(rect.width, rect.height))
}
