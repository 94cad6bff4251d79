//! What a picture is made of besides its labels.

use std::ffi::c_void;

use semsynth_core::nn::Statistics;
use semsynth_core::{Border, CancelToken, ClassTable, Control, Rect, Request};

use crate::cancel::SemsynthCancel;
use crate::guard::trip;
use crate::image::SemsynthRect;
use crate::labels::{self, SemsynthLabels};
use crate::pointers::{array, read_optional, versioned};
use crate::registry;
use crate::status::{Fault, Outcome};
use crate::style::{SemsynthStyle, class_id};

/// Takes progress: `done` rises from 0 to 1. Return 0 to cancel, and anything else to go on. It must return, also where
/// the host's language has exceptions, and must not call back into the session or canvas that calls it.
pub type SemsynthProgressFn = Option<unsafe extern "C" fn(user: *mut c_void, done: f32) -> u32>;

/// Nothing is beyond the border, as in the papers' networks.
pub const SEMSYNTH_BORDER_ZERO: u32 = 0;
/// The picture repeats itself there: a seamless texture. The side must be a multiple of the model's stride.
pub const SEMSYNTH_BORDER_WRAP: u32 = 1;
/// More of the world is there: `region` is a part of the labels, and the labels around it are used.
pub const SEMSYNTH_BORDER_WORLD: u32 = 2;

/// The statistics that the model names.
pub const SEMSYNTH_STATISTICS_MODEL: u32 = 0;
/// Those stored in the model.
pub const SEMSYNTH_STATISTICS_RUNNING: u32 = 1;
/// Those of the picture itself: every pixel then depends on the whole picture.
pub const SEMSYNTH_STATISTICS_BATCH: u32 = 2;

/// No noise in the features of a model that has some.
pub const SEMSYNTH_REQUEST_QUIET: u32 = 1;

/// The style of one class.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthRegionStyle {
    /// Its values for the class are used.
    pub style: *const SemsynthStyle,
    /// The class.
    pub id: u32,
    /// How much of it, 0 to 1; the rest is what the class had before.
    pub weight: f32,
}

/// What a picture is made of besides its labels. Zeros are the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthRequest {
    /// Set it to `sizeof(SemsynthRequest)`.
    pub struct_size: usize,
    /// Seed of all randomness in the model. A model without any gives the same picture for every seed.
    pub seed: u64,
    /// Column of the world where the labels begin. Noise belongs to places in the world.
    pub origin_x: i64,
    /// Row of the world where the labels begin.
    pub origin_y: i64,
    /// The part of the labels to paint, for `semsynth_synthesize`; all of them if its width and height are 0. The picture
    /// is as large as this.
    pub region: SemsynthRect,
    /// What is above and below the picture: one of the `SEMSYNTH_BORDER_` constants.
    pub border_rows: u32,
    /// What is to its left and right: one of the `SEMSYNTH_BORDER_` constants.
    pub border_columns: u32,
    /// One of the `SEMSYNTH_STATISTICS_` constants.
    pub statistics: u32,
    /// A sum of `SEMSYNTH_REQUEST_` constants.
    pub flags: u32,
    /// The style, or NULL.
    pub style: *const SemsynthStyle,
    /// Styles of single classes, applied to `style` in this order, or NULL. For models with a style per class.
    pub region_styles: *const SemsynthRegionStyle,
    /// Their number.
    pub region_style_count: usize,
    /// Instance ids, as large as the labels, for models that take instance edges; else NULL. Formats U8 and U16.
    pub instances: *const SemsynthLabels,
    /// Most memory in bytes, with the weights; 0 for the session's limit. The picture is painted in smaller parts if it
    /// needs more, which gives the same bytes; `SEMSYNTH_STATUS_LIMIT` if no part is small enough, see `least_memory` of
    /// `SemsynthEstimate`. This takes the place of a tile size: the library knows how far each layer of the model
    /// reaches and chooses the largest bands and windows that fit, without seams. On the CPU.
    pub memory_limit: u64,
    /// Cancels the call, or NULL.
    pub cancel: *const SemsynthCancel,
    /// Takes progress, or NULL. A blocking function calls it on the thread that called the function, a job on the job's
    /// own thread. Where it returns 0, the token in `cancel`, if any, is cancelled too.
    pub progress: SemsynthProgressFn,
    /// Handed to `progress`.
    pub user: *mut c_void,
}

versioned!(SemsynthRequest);

/// Progress goes to the caller.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    call: unsafe extern "C" fn(*mut c_void, f32) -> u32,
    user: *mut c_void,
}

// SAFETY: whoever gives a job a callback promises that it can be called on the job's thread.
unsafe impl Send for Progress {}

impl Progress {
    pub(crate) fn new(call: SemsynthProgressFn, user: *mut c_void) -> Option<Self> {
        call.map(|call| Self { call, user })
    }

    /// Whether to go on.
    fn report(self, done: f32) -> bool {
        // SAFETY: the caller vouches for the function and its data.
        unsafe { (self.call)(self.user, done) != 0 }
    }
}

/// How a call can be watched and ended.
pub(crate) struct Watch {
    pub(crate) cancel: CancelToken,
    /// Whether somebody can cancel.
    pub(crate) cancellable: bool,
    pub(crate) progress: Option<Progress>,
}

impl Watch {
    pub(crate) fn new(cancel: *const SemsynthCancel, progress: SemsynthProgressFn, user: *mut c_void) -> Outcome<Self> {
        let progress = Progress::new(progress, user);
        let token = registry::get_optional(cancel)?;
        let cancellable = token.is_some() || progress.is_some();
        Ok(Self { cancel: token.map(|token| CancelToken::clone(&token)).unwrap_or_default(), cancellable, progress })
    }

    /// Runs work under control; `also` hears of progress too.
    pub(crate) fn run<T>(
        &self,
        memory: Option<usize>,
        also: Option<&dyn Fn(f32)>,
        work: impl FnOnce(&mut Control<'_>) -> T,
    ) -> T {
        let mut report = |done: f32| {
            if let Some(also) = also {
                also(done);
            }
            if done > 0.5 {
                trip("picture");
            }
            if self.progress.is_some_and(|progress| !progress.report(done)) {
                self.cancel.cancel();
            }
        };
        let mut control = Control::new();
        if self.cancellable {
            control = control.cancel(&self.cancel);
        }
        if also.is_some() || self.progress.is_some() {
            control = control.progress(&mut report);
        }
        if let Some(bytes) = memory {
            control = control.memory(bytes);
        }
        work(&mut control)
    }
}

/// A request, read from the caller's memory.
pub(crate) struct Inputs {
    pub(crate) request: Request,
    pub(crate) region: Option<Rect>,
    pub(crate) memory: Option<usize>,
    pub(crate) watch: Watch,
}

impl Inputs {
    /// # Safety
    ///
    /// If not NULL, `request` points to a struct of the size that it says, and all it points to is there.
    pub(crate) unsafe fn read(request: *const SemsynthRequest, classes: &ClassTable) -> Outcome<Self> {
        // SAFETY: as the caller's.
        let Some(asked) = (unsafe { read_optional(request, "request")? }) else {
            let watch = Watch { cancel: CancelToken::new(), cancellable: false, progress: None };
            return Ok(Self { request: Request::new(), region: None, memory: None, watch });
        };
        let mut request = Request::new()
            .seed(asked.seed)
            .origin(asked.origin_x, asked.origin_y)
            .borders(border("border_rows", asked.border_rows)?, border("border_columns", asked.border_columns)?);
        request.statistics = match asked.statistics {
            SEMSYNTH_STATISTICS_MODEL => None,
            SEMSYNTH_STATISTICS_RUNNING => Some(Statistics::Running),
            SEMSYNTH_STATISTICS_BATCH => Some(Statistics::Batch),
            other => return Err(Fault::unknown_enum("statistics", other)),
        };
        if asked.flags & !SEMSYNTH_REQUEST_QUIET != 0 {
            return Err(Fault::unknown_enum("flags", asked.flags));
        }
        request.quiet = asked.flags & SEMSYNTH_REQUEST_QUIET != 0;
        request.style = registry::get_optional(asked.style)?.map(|style| (*style).clone());
        // SAFETY: as the caller's.
        let regions = unsafe { array(asked.region_styles, asked.region_style_count, "region_styles")? };
        for region in regions {
            let (id, from) = (class_id(region.id)?, registry::get(region.style)?);
            let Some(style) = &request.style else {
                return Err(Fault::argument("region_styles change the style of a class: set style too"));
            };
            request.style = Some(style.blend_class(id, &from, region.weight)?);
        }
        if !asked.instances.is_null() {
            // SAFETY: as the caller's.
            request.instances = Some(unsafe { labels::read(asked.instances, "instances", classes)? });
        }
        let region = Rect::from(asked.region);
        Ok(Self {
            request,
            region: (region.width != 0 || region.height != 0).then_some(region),
            memory: usize::try_from(asked.memory_limit).ok().filter(|&bytes| bytes != 0),
            watch: Watch::new(asked.cancel, asked.progress, asked.user)?,
        })
    }
}

fn border(name: &str, value: u32) -> Outcome<Border> {
    match value {
        SEMSYNTH_BORDER_ZERO => Ok(Border::Zero),
        SEMSYNTH_BORDER_WRAP => Ok(Border::Wrap),
        SEMSYNTH_BORDER_WORLD => Ok(Border::Source),
        _ => Err(Fault::unknown_enum(name, value)),
    }
}
