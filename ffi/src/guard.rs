//! What every exported function begins with: no panic leaves, messages are kept, nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_void};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Once, PoisonError, RwLock};

use crate::status::{
    Fault, Outcome, SEMSYNTH_STATUS_CANCELLED, SEMSYNTH_STATUS_OK, SEMSYNTH_STATUS_PANIC, SemsynthStatus,
    set_last_message,
};

/// Takes messages of the library: `level` is one of the `SEMSYNTH_LOG_` constants, `message` is UTF-8 and valid during
/// the call. The function may call the library; what these calls have to say is not delivered.
pub type SemsynthLogFn = Option<unsafe extern "C" fn(user: *mut c_void, level: u32, message: *const c_char)>;

/// No messages.
pub const SEMSYNTH_LOG_OFF: u32 = 0;
/// Mistakes in this library that were caught.
pub const SEMSYNTH_LOG_ERROR: u32 = 1;
/// What was loaded and which device was chosen, and errors.
pub const SEMSYNTH_LOG_INFO: u32 = 2;
/// Every function that fails, and all of the above.
pub const SEMSYNTH_LOG_DEBUG: u32 = 3;

#[derive(Clone, Copy)]
struct Log {
    level: u32,
    call: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    user: usize,
}

static LOG: RwLock<Option<Log>> = RwLock::new(None);

thread_local! {
    static GUARDED: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread is in the callback: messages about what the callback does would have no end.
    static LOGGING: Cell<bool> = const { Cell::new(false) };
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
    /// Where the next panic of this thread happens, for tests; see [`trip`].
    #[cfg(test)]
    pub(crate) static PANIC_AT: Cell<&'static str> = const { Cell::new("") };
}

/// A place where tests let a panic happen, once.
pub(crate) fn trip(place: &'static str) {
    #[cfg(test)]
    PANIC_AT.with(|at| {
        if at.get() == place {
            at.set("");
            panic!("injected in a {place}");
        }
    });
    #[cfg(not(test))]
    let _ = place;
}

/// Sets or clears the callback.
pub(crate) fn set_log(level: u32, call: SemsynthLogFn, user: *mut c_void) {
    let log = call.filter(|_| level != SEMSYNTH_LOG_OFF).map(|call| Log { level, call, user: user.addr() });
    // The address of the caller's data, which only the callback looks at.
    user.expose_provenance();
    *LOG.write().unwrap_or_else(PoisonError::into_inner) = log;
}

/// Sends a message, if somebody listens.
pub(crate) fn log(level: u32, message: impl FnOnce() -> String) {
    // Copied, so that the callback may change the callback.
    let log = *LOG.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(Log { level: most, call, user }) = log
        && level <= most
        && let Ok(text) = CString::new(message().replace('\0', " "))
        && !LOGGING.replace(true)
    {
        // SAFETY: the caller of `semsynth_set_log_callback` vouches for the function and its data.
        unsafe { call(std::ptr::with_exposed_provenance_mut(user), level, text.as_ptr()) };
        LOGGING.set(false);
    }
}

/// Panics of this library go into messages; those of anything else that shares this copy of the standard library are
/// passed on.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = GUARDED.try_with(Cell::get).is_ok_and(|depth| depth > 0);
            if !ours && rayon::current_thread_index().is_none() {
                return before(info);
            }
            let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let _ = PANICKED_AT.try_with(|at| at.replace(place));
        }));
    });
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown")
}

/// Runs a function of the library: a panic becomes a fault.
pub(crate) fn caught<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    install_hook();
    GUARDED.with(|depth| depth.set(depth.get() + 1));
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        trip("call");
        work()
    }));
    GUARDED.with(|depth| depth.set(depth.get() - 1));
    result.unwrap_or_else(|payload| {
        // A thread that ends has none any more.
        let place = PANICKED_AT.try_with(RefCell::take).unwrap_or_default();
        let message = format!("internal error: {}{place}; please report this", text_of(&*payload));
        // Dropping what was thrown may panic too.
        std::mem::forget(payload);
        log(SEMSYNTH_LOG_ERROR, || message.clone());
        Err(Fault::new(SEMSYNTH_STATUS_PANIC, message))
    })
}

/// Runs the body of an exported function and returns its status. The message of a failure is kept for
/// `semsynth_last_error`.
pub(crate) fn guard(work: impl FnOnce() -> Outcome) -> SemsynthStatus {
    match caught(work) {
        Ok(()) => SEMSYNTH_STATUS_OK,
        Err(Fault { status, message }) => {
            if status != SEMSYNTH_STATUS_PANIC && status != SEMSYNTH_STATUS_CANCELLED {
                log(SEMSYNTH_LOG_DEBUG, || message.clone());
            }
            set_last_message(message);
            status
        }
    }
}

/// As [`guard`] for functions that cannot fail: a panic gives the neutral value.
pub(crate) fn guard_or<T>(neutral: T, work: impl FnOnce() -> T) -> T {
    caught(|| Ok(work())).unwrap_or(neutral)
}
