//! Sessions: a model on a device, and pictures.

use semsynth_core::model::Precision;
use semsynth_core::synth::Synthesizer;
use semsynth_core::{Border, CancelToken, Estimate, Image, LabelMap, PreparedModel, Rect, SynthesizerOptions};

use crate::device::SemsynthDevice;
use crate::guard::{SEMSYNTH_LOG_INFO, guard, log};
use crate::image::{SemsynthImage, View};
use crate::labels::{self, SemsynthLabels};
use crate::model::SemsynthModel;
use crate::pointers::{Out, OutStruct, read_optional, room, versioned};
use crate::registry::{self, Handle};
use crate::request::{Inputs, SemsynthRequest};
use crate::status::{Fault, Outcome, SemsynthStatus};
use crate::turn::{Holder, Turn};

/// A model on a device, with the memory to work in. Calls from several threads take turns; for pictures at the same time,
/// give each thread a session of its own with `semsynth_session_fork`.
#[derive(Debug)]
pub struct SemsynthSession(());

impl Handle for SemsynthSession {
    type Object = Session;
    const NAME: &'static str = "session";
}

/// 32-bit floats.
pub const SEMSYNTH_PRECISION_FULL: u32 = 0;
/// 16-bit floats, for GPUs that have them.
pub const SEMSYNTH_PRECISION_HALF: u32 = 1;

/// Less memory on the CPU, in exchange for some time.
pub const SEMSYNTH_SESSION_LOW_MEMORY: u32 = 1;

/// How to make a session. Zeros are the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthSessionOptions {
    /// Set it to `sizeof(SemsynthSessionOptions)`.
    pub struct_size: usize,
    /// One of the `SEMSYNTH_PRECISION_` constants.
    pub precision: u32,
    /// A sum of `SEMSYNTH_SESSION_` constants.
    pub flags: u32,
    /// Threads of its own, on the CPU; 0 to share those of the process, as many as there are cores. Pictures do not
    /// depend on it.
    pub threads: u32,
    /// The usual width of pictures, which kernels are chosen for; 0, with a height of 0, for the model's own size.
    pub usual_width: u32,
    /// The usual height of pictures.
    pub usual_height: u32,
    /// 0.
    pub reserved: u32,
    /// Most memory in bytes for a picture, with the weights; 0 for no limit. See `SemsynthRequest`.
    pub memory_limit: u64,
}

/// What a picture will take.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthEstimate {
    /// Set it to `sizeof(SemsynthEstimate)`.
    pub struct_size: usize,
    /// Most memory in bytes, with the weights, without a limit.
    pub memory: u64,
    /// The least memory limit that is possible.
    pub least_memory: u64,
    /// Multiplications.
    pub multiplications: f64,
    /// Seconds, at the speed of the last picture of this session; negative before that.
    pub seconds: f64,
}

versioned!(SemsynthSessionOptions, SemsynthEstimate);

/// A model on a device, and what works with it.
#[derive(Debug)]
pub struct Session {
    pub(crate) prepared: PreparedModel,
    pub(crate) memory: Option<usize>,
    worker: Turn<Worker>,
}

#[derive(Debug)]
struct Worker {
    synth: Synthesizer,
    /// Whether nothing was broken off by a panic.
    whole: bool,
}

impl Session {
    fn new(prepared: PreparedModel, memory: Option<usize>) -> Self {
        let worker = Turn::new(Worker { synth: prepared.synthesizer(), whole: true });
        Self { prepared, memory, worker }
    }

    pub(crate) fn holder(&self) -> &Holder {
        self.worker.holder()
    }

    /// Uses the synthesizer, in turn.
    fn with<T>(&self, cancel: &CancelToken, work: impl FnOnce(&mut Synthesizer) -> Outcome<T>) -> Outcome<T> {
        let mut worker = self.worker.take(cancel)?;
        if !worker.whole {
            worker.synth = self.prepared.synthesizer();
        }
        worker.whole = false;
        let result = work(&mut worker.synth);
        worker.whole = true;
        result
    }

    /// The place of a picture in its labels.
    pub(crate) fn area(labels: &LabelMap, inputs: &Inputs) -> Rect {
        let (width, height) = (labels.width() as u32, labels.height() as u32);
        inputs.region.unwrap_or(Rect { x: 0, y: 0, width, height })
    }

    /// Paints a picture; `also` hears of progress.
    pub(crate) fn paint(&self, labels: &LabelMap, inputs: &Inputs, also: Option<&dyn Fn(f32)>) -> Outcome<Image> {
        let Inputs { request, watch, .. } = inputs;
        let memory = inputs.memory.or(self.memory);
        self.with(&watch.cancel, |synth| {
            watch.run(memory, also, |control| {
                if inputs.region.is_none() && !request.borders.contains(&Border::Source) {
                    return Ok(synth.run_with(labels, request, control)?);
                }
                let area = Self::area(labels, inputs);
                let size @ [width, height] = [area.width, area.height].map(|side| side as usize);
                check_area(size)?;
                let mut bytes = room(3 * width * height, "the picture")?;
                bytes.resize(3 * width * height, 0);
                let mut sink = semsynth_core::sink::from_fn(|y: usize, row: &[u8]| {
                    bytes[3 * width * y..][..row.len()].copy_from_slice(row);
                    Ok(())
                });
                let mut source = labels;
                synth.synthesize(&mut source, area, request, &mut sink, control)?;
                Ok(Image::new(width, height, bytes)?)
            })
        })
    }
}

/// Checks the size of a part of the labels before memory for it is taken.
fn check_area([width, height]: [usize; 2]) -> Outcome {
    use semsynth_core::label::{MAX_AREA, MAX_SIDE};
    let side = 1..=MAX_SIDE;
    if side.contains(&width) && side.contains(&height) && width * height <= MAX_AREA {
        return Ok(());
    }
    Err(Fault::argument(format!(
        "region has {width}x{height} pixels: sides must be 1 to {MAX_SIDE}, the area up to {MAX_AREA}"
    )))
}

/// Puts a model on a device, to be released with `semsynth_session_release`. This takes a moment: keep the session.
///
/// @param options NULL for the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_create(
    device: *const SemsynthDevice,
    model: *const SemsynthModel,
    options: *const SemsynthSessionOptions,
    out: *mut *mut SemsynthSession,
) -> SemsynthStatus {
    guard(|| {
        let (device, model) = (registry::get(device)?, registry::get(model)?);
        // SAFETY: by the conventions of the header.
        let (asked, out) = unsafe { (read_optional(options, "options")?, Out::new(out, "out")?) };
        let mut options = SynthesizerOptions::new(&device);
        let mut memory = None;
        if let Some(asked) = asked {
            options = match asked.precision {
                SEMSYNTH_PRECISION_FULL => options,
                SEMSYNTH_PRECISION_HALF => options.precision(Precision::Half),
                other => return Err(Fault::unknown_enum("precision", other)),
            };
            options = match asked.flags {
                0 => options,
                SEMSYNTH_SESSION_LOW_MEMORY => options.low_memory(),
                other => return Err(Fault::unknown_enum("flags", other)),
            };
            if asked.threads > MOST_THREADS {
                return Err(Fault::argument(format!("threads is {}, it may be up to {MOST_THREADS}", asked.threads)));
            }
            if asked.threads != 0 {
                options = options.threads(asked.threads as usize);
            }
            if (asked.usual_width, asked.usual_height) != (0, 0) {
                options = options.size_hint(asked.usual_width as usize, asked.usual_height as usize);
            }
            memory = usize::try_from(asked.memory_limit).ok().filter(|&bytes| bytes != 0);
        }
        let prepared = PreparedModel::new((*model).clone(), options)?;
        log(SEMSYNTH_LOG_INFO, || format!("the model {} is ready on {}", prepared.manifest().name, device.info().name));
        registry::give(Session::new(prepared, memory), out);
        Ok(())
    })
}

/// More threads than this are a mistake.
const MOST_THREADS: u32 = 1024;

/// Makes another session that shares the weights, for another thread. To be released with `semsynth_session_release`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_fork(
    session: *const SemsynthSession,
    out: *mut *mut SemsynthSession,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        registry::give(Session::new(session.prepared.clone(), session.memory), out);
        Ok(())
    })
}

/// Prepares for pictures of a size, so that the first one is as fast as later ones: on a GPU this compiles kernels.
///
/// @param request NULL for the defaults; its progress and cancellation are not used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_warm_up(
    session: *const SemsynthSession,
    width: usize,
    height: usize,
    request: *const SemsynthRequest,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        check_area([width, height])?;
        // SAFETY: by the conventions of the header.
        let inputs = unsafe { Inputs::read(request, &session.prepared.manifest().classes)? };
        session.with(&inputs.watch.cancel, |synth| Ok(synth.warm_up(width, height, &inputs.request)?))
    })
}

/// What a picture will take, on the CPU.
///
/// @param request NULL for the defaults.
/// @param out     Takes the estimate; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_estimate(
    session: *const SemsynthSession,
    width: u32,
    height: u32,
    request: *const SemsynthRequest,
    out: *mut SemsynthEstimate,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        // SAFETY: by the conventions of the header.
        let (inputs, out) =
            unsafe { (Inputs::read(request, &session.prepared.manifest().classes)?, OutStruct::new(out, "out")?) };
        let area = Rect { x: 0, y: 0, width, height };
        let Estimate { memory, least_memory, multiplications, seconds, .. } =
            session.with(&inputs.watch.cancel, |synth| Ok(synth.estimate(area, &inputs.request)?))?;
        out.write(&SemsynthEstimate {
            struct_size: 0,
            memory: memory as u64,
            least_memory: least_memory as u64,
            multiplications,
            seconds: seconds.unwrap_or(-1.0),
        });
        Ok(())
    })
}

/// What a call to synthesize works on.
pub(crate) struct Order {
    pub(crate) labels: LabelMap,
    pub(crate) inputs: Inputs,
    pub(crate) view: View,
}

impl Order {
    /// # Safety
    ///
    /// By the conventions of the header; the picture can be written until the order is gone.
    pub(crate) unsafe fn read(
        session: &Session,
        labels: *const SemsynthLabels,
        request: *const SemsynthRequest,
        image: *const SemsynthImage,
    ) -> Outcome<Self> {
        let classes = &session.prepared.manifest().classes;
        // SAFETY: as the caller's.
        let (labels, inputs, view) = unsafe {
            (labels::read(labels, "labels", classes)?, Inputs::read(request, classes)?, View::new(image, "image")?)
        };
        let Rect { width, height, .. } = Session::area(&labels, &inputs);
        view.require("image", [width as usize, height as usize])?;
        Ok(Self { labels, inputs, view })
    }
}

/// Paints a picture, and returns when it is done.
///
/// @param labels  The class of each pixel.
/// @param request NULL for the defaults.
/// @param image   Takes the picture, which is as large as the labels or their region. Untouched on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_synthesize(
    session: *const SemsynthSession,
    labels: *const SemsynthLabels,
    request: *const SemsynthRequest,
    image: *const SemsynthImage,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        // SAFETY: by the conventions of the header.
        let Order { labels, inputs, view } = unsafe { Order::read(&session, labels, request, image)? };
        let picture = session.paint(&labels, &inputs, None)?;
        // SAFETY: by the conventions of the header.
        unsafe { view.write(0, 0, picture.pixels().rows()) };
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_retain(session: *const SemsynthSession) -> SemsynthStatus {
    guard(|| registry::retain(session))
}

/// Removes an owner; NULL is fine. Jobs and canvases keep what they need.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_session_release(session: *mut SemsynthSession) -> SemsynthStatus {
    guard(|| registry::release(session).map(drop))
}
