//! Canvases: live pictures of labels that are edited.

use std::ffi::c_void;

use semsynth_core::label::LabelSource;
use semsynth_core::synth::Canvas;
use semsynth_core::{CancelToken, ClassTable, Goal, Rect};

use crate::cancel::SemsynthCancel;
use crate::guard::{guard, trip};
use crate::image::{SemsynthImage, SemsynthRect, View};
use crate::labels::{self, SemsynthLabels};
use crate::pointers::{Out, read_optional, room, versioned};
use crate::registry::{self, Handle};
use crate::request::{Inputs, SemsynthProgressFn, SemsynthRequest, Watch};
use crate::session::SemsynthSession;
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_PANIC, SemsynthStatus};
use crate::turn::{Held, Turn};

/// A live picture of labels that are edited: only what depends on an edit is computed again. On the CPU, for models that
/// say `SEMSYNTH_CAN_EDIT`. Calls from several threads take turns. It needs no session after it was made.
#[derive(Debug)]
pub struct SemsynthCanvas(());

impl Handle for SemsynthCanvas {
    type Object = LiveCanvas;
    const NAME: &'static str = "canvas";
}

/// All that depends on the edits, up to rounding.
pub const SEMSYNTH_GOAL_SETTLED: u32 = 0;
/// The edit and a few pixels around it, at once: for pictures while a brush moves.
pub const SEMSYNTH_GOAL_PREVIEW: u32 = 1;
/// Pixels differ from a fresh picture by about `levels` of 255 at most.
pub const SEMSYNTH_GOAL_WITHIN: u32 = 2;
/// The same bytes as a fresh picture.
pub const SEMSYNTH_GOAL_BITS: u32 = 3;

/// How to bring a canvas up to date. Zeros are the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthUpdate {
    /// Set it to `sizeof(SemsynthUpdate)`.
    pub struct_size: usize,
    /// One of the `SEMSYNTH_GOAL_` constants.
    pub goal: u32,
    /// For `SEMSYNTH_GOAL_WITHIN`: 1 to 255.
    pub levels: u32,
    /// Cancels the update, or NULL. The next one goes on where it ended.
    pub cancel: *const SemsynthCancel,
    /// Takes progress on the calling thread, or NULL.
    pub progress: SemsynthProgressFn,
    /// Handed to `progress`.
    pub user: *mut c_void,
}

versioned!(SemsynthUpdate);

/// A canvas, and what its owner does not know yet.
#[derive(Debug)]
pub struct LiveCanvas {
    size: [usize; 2],
    classes: ClassTable,
    state: Turn<State>,
}

#[derive(Debug)]
struct State {
    canvas: Canvas,
    /// Whether an update ended early: it may have changed pixels without saying which.
    unreported: bool,
    /// Whether a panic broke something off.
    broken: bool,
}

impl LiveCanvas {
    fn take(&self, cancel: &CancelToken) -> Outcome<Held<'_, State>> {
        let state = self.state.take(cancel)?;
        if state.broken {
            return Err(Fault::new(
                SEMSYNTH_STATUS_PANIC,
                "an internal error has left this canvas incomplete: release it and make a new one",
            ));
        }
        Ok(state)
    }

    /// Uses the canvas; a panic breaks it.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> Outcome<T>) -> Outcome<T> {
        let mut state = self.take(&CancelToken::new())?;
        state.broken = true;
        trip("canvas");
        let result = work(&mut state);
        state.broken = false;
        result
    }

    fn whole(&self) -> Rect {
        let [width, height] = self.size;
        Rect { x: 0, y: 0, width: width as u32, height: height as u32 }
    }
}

/// Makes a canvas, to be released with `semsynth_canvas_release`. Nothing is painted before the first update.
///
/// @param session      Gives the model, on the CPU.
/// @param labels       The labels at first.
/// @param request      NULL for the defaults; without region, and with `memory_limit` for what it keeps between edits: a
///                     lower limit makes edits slower. `SEMSYNTH_STATUS_LIMIT` if the system has less than needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_create(
    session: *const SemsynthSession,
    labels: *const SemsynthLabels,
    request: *const SemsynthRequest,
    out: *mut *mut SemsynthCanvas,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        let classes = session.prepared.manifest().classes.clone();
        // SAFETY: by the conventions of the header.
        let (labels, inputs, out) = unsafe {
            (labels::read(labels, "labels", &classes)?, Inputs::read(request, &classes)?, Out::new(out, "out")?)
        };
        no_region(&inputs)?;
        let most = inputs.memory.or(session.memory).unwrap_or(usize::MAX);
        let canvas = Canvas::with_memory(&session.prepared, &labels, inputs.request, most)?;
        let size = [labels.width(), labels.height()];
        let state = Turn::new(State { canvas, unreported: false, broken: false });
        registry::give(LiveCanvas { size, classes, state }, out);
        Ok(())
    })
}

fn no_region(inputs: &Inputs) -> Outcome {
    match inputs.region {
        None => Ok(()),
        Some(_) => Err(Fault::argument("region: a canvas shows all of its labels, leave the region empty")),
    }
}

/// Changes labels. Computes nothing.
///
/// @param labels   The new labels of a rectangle.
/// @param x        Its leftmost column.
/// @param y        Its top row.
/// @param affected Takes the rectangle of pixels that depend on them. May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_edit(
    canvas: *const SemsynthCanvas,
    labels: *const SemsynthLabels,
    x: i64,
    y: i64,
    affected: *mut SemsynthRect,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let (map, out) = unsafe {
            let out = if affected.is_null() { None } else { Some(Out::new(affected, "affected")?) };
            (labels::read(labels, "labels", &canvas.classes)?, out)
        };
        let mut ids: Vec<u16> = room(map.width() * map.height(), "a copy of the labels")?;
        ids.extend(map.ids());
        let area = Rect { x, y, width: map.width() as u32, height: map.height() as u32 };
        let affected = canvas.with(|state| Ok(state.canvas.edit(area, &ids)?))?;
        if let Some(out) = out {
            out.write(affected.into());
        }
        Ok(())
    })
}

/// Reads labels back, for undo for instance.
///
/// @param rect  The rectangle.
/// @param ids   Takes `width * height` ids, row by row.
/// @param count Room in `ids`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_labels(
    canvas: *const SemsynthCanvas,
    rect: *const SemsynthRect,
    ids: *mut u16,
    count: usize,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let (rect, out) = unsafe { (SemsynthRect::read(rect, "rect")?, Out::new(ids, "ids")?) };
        canvas.inside(rect)?;
        let needed = rect.width as usize * rect.height as usize;
        if count < needed {
            return Err(Fault::new(
                crate::status::SEMSYNTH_STATUS_BUFFER_TOO_SMALL,
                format!("there is room for {count} ids, {needed} are needed"),
            ));
        }
        let labels = canvas.with(|state| Ok(state.canvas.labels()?))?;
        let mut found = room(needed, "a copy of the labels")?;
        found.resize(needed, 0);
        (&labels).read(rect, &mut found)?;
        // SAFETY: the caller vouches for `count` ids, and these are no more.
        unsafe { std::ptr::copy_nonoverlapping(found.as_ptr(), out.pointer(), needed) };
        Ok(())
    })
}

impl LiveCanvas {
    fn inside(&self, rect: Rect) -> Outcome {
        let fits = |at: i64, len: u32, side: usize| at >= 0 && len > 0 && at <= side as i64 - i64::from(len);
        if fits(rect.x, rect.width, self.size[0]) && fits(rect.y, rect.height, self.size[1]) {
            return Ok(());
        }
        let [width, height] = self.size;
        Err(Fault::argument(format!("{rect} are not inside a canvas of {width}x{height} pixels")))
    }
}

/// Changes style, seed and so on. The next update paints everything.
///
/// @param request NULL for the defaults; without region. Its memory limit is not used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_set_request(
    canvas: *const SemsynthCanvas,
    request: *const SemsynthRequest,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let inputs = unsafe { Inputs::read(request, &canvas.classes)? };
        no_region(&inputs)?;
        canvas.with(|state| Ok(state.canvas.set_request(inputs.request)?))
    })
}

/// Brings the picture up to date, and returns when it is done.
///
/// @param update   NULL for the defaults.
/// @param image    As large as the canvas; the pixels that changed are written, and no others. NULL for none.
/// @param rects    Takes the rectangles of pixels that changed. If there are more than `capacity`, takes one that holds
///                 them all. May be NULL if `capacity` is 0.
/// @param capacity Room in `rects`.
/// @param count    Takes the number of rectangles written, or that there are, if `capacity` is 0. May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_update(
    canvas: *const SemsynthCanvas,
    update: *const SemsynthUpdate,
    image: *const SemsynthImage,
    rects: *mut SemsynthRect,
    capacity: usize,
    count: *mut usize,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let (asked, view, count) = unsafe {
            let view = if image.is_null() { None } else { Some(View::new(image, "image")?) };
            let count = if count.is_null() { None } else { Some(Out::new(count, "count")?) };
            (read_optional(update, "update")?, view, count)
        };
        // SAFETY: by the conventions of the header.
        let rects = if capacity == 0 { None } else { Some(unsafe { Out::new(rects, "rects")? }) };
        if let Some(view) = &view {
            view.require("image", canvas.size)?;
        }
        let (goal, watch) = match asked {
            None => (Goal::Settled, Watch::new(std::ptr::null(), None, std::ptr::null_mut())?),
            Some(asked) => (goal(asked.goal, asked.levels)?, Watch::new(asked.cancel, asked.progress, asked.user)?),
        };
        let mut state = canvas.take(&watch.cancel)?;
        state.broken = true;
        let result = watch.run(None, None, |control| state.canvas.update(goal, control));
        state.broken = false;
        let changed = match result {
            Ok(_) if state.unreported => vec![canvas.whole()],
            Ok(changed) => changed,
            Err(error) => {
                state.unreported = true;
                return Err(error.into());
            }
        };
        if let Some(view) = view {
            // SAFETY: by the conventions of the header.
            unsafe { copy(&state.canvas, &changed, view)? };
        }
        state.unreported = false;
        let listed = if changed.len() > capacity && capacity > 0 { vec![hull(&changed)] } else { changed };
        if let Some(rects) = rects {
            for (i, &rect) in listed.iter().enumerate() {
                // SAFETY: there are no more than `capacity`, which the caller vouches for.
                unsafe { rects.pointer().add(i).write(rect.into()) };
            }
        }
        if let Some(count) = count {
            count.write(listed.len());
        }
        Ok(())
    })
}

fn goal(goal: u32, levels: u32) -> Outcome<Goal> {
    match goal {
        SEMSYNTH_GOAL_SETTLED => Ok(Goal::Settled),
        SEMSYNTH_GOAL_PREVIEW => Ok(Goal::Preview),
        SEMSYNTH_GOAL_BITS => Ok(Goal::Bits),
        SEMSYNTH_GOAL_WITHIN => match u8::try_from(levels) {
            Ok(levels @ 1..) => Ok(Goal::Within(levels)),
            _ => Err(Fault::argument(format!("levels is {levels}, it must be 1 to 255"))),
        },
        _ => Err(Fault::unknown_enum("goal", goal)),
    }
}

/// Writes rectangles of the picture into a picture as large as the canvas.
///
/// # Safety
///
/// As [`View::write`].
unsafe fn copy(canvas: &Canvas, rects: &[Rect], view: View) -> Outcome {
    let pixels = canvas.pixels()?;
    for rect in rects {
        let (x, y) = (rect.x as usize, rect.y as usize);
        let rows = pixels.rows().skip(y).take(rect.height as usize);
        let parts = rows.filter_map(|row| row.get(3 * x..3 * (x + rect.width as usize)));
        // SAFETY: as the caller's; rectangles of a canvas are inside it.
        unsafe { view.write(x, y, parts) };
    }
    Ok(())
}

/// The smallest rectangle that holds all of them.
fn hull(rects: &[Rect]) -> Rect {
    let left = rects.iter().map(|rect| rect.x).min().unwrap_or_default();
    let top = rects.iter().map(|rect| rect.y).min().unwrap_or_default();
    let right = rects.iter().map(|rect| rect.x + i64::from(rect.width)).max().unwrap_or_default();
    let bottom = rects.iter().map(|rect| rect.y + i64::from(rect.height)).max().unwrap_or_default();
    Rect { x: left, y: top, width: (right - left) as u32, height: (bottom - top) as u32 }
}

/// Copies the picture, as of the last update.
///
/// @param image As large as the canvas.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_read(
    canvas: *const SemsynthCanvas,
    image: *const SemsynthImage,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let view = unsafe { View::new(image, "image")? };
        view.require("image", canvas.size)?;
        let state = canvas.take(&CancelToken::new())?;
        // SAFETY: by the conventions of the header.
        unsafe { copy(&state.canvas, &[canvas.whole()], view) }
    })
}

/// Whether an update would compute nothing.
///
/// @param goal   One of the `SEMSYNTH_GOAL_` constants.
/// @param levels For `SEMSYNTH_GOAL_WITHIN`.
/// @param out    Takes 1 or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_is_at(
    canvas: *const SemsynthCanvas,
    goal: u32,
    levels: u32,
    out: *mut u32,
) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        let goal = self::goal(goal, levels)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        let state = canvas.take(&CancelToken::new())?;
        out.write(u32::from(state.canvas.is_at(goal)));
        Ok(())
    })
}

/// Bytes that a canvas keeps between edits, besides 7 per pixel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_memory(canvas: *const SemsynthCanvas, out: *mut u64) -> SemsynthStatus {
    guard(|| {
        let canvas = registry::get(canvas)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        out.write(canvas.take(&CancelToken::new())?.canvas.memory() as u64);
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_retain(canvas: *const SemsynthCanvas) -> SemsynthStatus {
    guard(|| registry::retain(canvas))
}

/// Removes an owner; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_canvas_release(canvas: *mut SemsynthCanvas) -> SemsynthStatus {
    guard(|| registry::release(canvas).map(drop))
}
