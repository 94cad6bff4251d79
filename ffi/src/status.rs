//! Status codes, and the error that functions of this crate return.

use std::cell::RefCell;

use semsynth_core::Error;

/// What a function returns: `SEMSYNTH_STATUS_OK`, which is 0, or one of the other `SEMSYNTH_STATUS_` codes, all of
/// which are positive. Later versions may add codes; the hundreds say whose fault it is: 1xx the caller's, 2xx the
/// labels', 3xx a model's or style's file, 4xx another file's, 5xx a limit, 6xx the device's, 8xx the system's, 9xx
/// nobody's, 1000 and above this library's.
pub type SemsynthStatus = i32;

/// Success.
pub const SEMSYNTH_STATUS_OK: SemsynthStatus = 0;
/// An argument does not make sense; the message says which and why.
pub const SEMSYNTH_STATUS_INVALID_ARGUMENT: SemsynthStatus = 100;
/// A name is unknown: of a built-in model, a device or a class. The message lists those there are.
pub const SEMSYNTH_STATUS_UNKNOWN_NAME: SemsynthStatus = 101;
/// The model needs a style and got none.
pub const SEMSYNTH_STATUS_STYLE_NEEDED: SemsynthStatus = 102;
/// A pointer is NULL that must not be.
pub const SEMSYNTH_STATUS_NULL_POINTER: SemsynthStatus = 110;
/// A handle was released before, is of another type, or never was one.
pub const SEMSYNTH_STATUS_INVALID_HANDLE: SemsynthStatus = 111;
/// A value is none of the constants that the parameter or field takes.
pub const SEMSYNTH_STATUS_INVALID_ENUM: SemsynthStatus = 112;
/// `struct_size` is not the size of a struct this library knows, or the header is from an incompatible version.
pub const SEMSYNTH_STATUS_VERSION_MISMATCH: SemsynthStatus = 113;
/// The caller's buffer is too small; the needed size was written.
pub const SEMSYNTH_STATUS_BUFFER_TOO_SMALL: SemsynthStatus = 114;
/// An index is not below the count.
pub const SEMSYNTH_STATUS_OUT_OF_RANGE: SemsynthStatus = 115;
/// The session or canvas is in use by the calling thread: a callback called back into it.
pub const SEMSYNTH_STATUS_BUSY: SemsynthStatus = 116;
/// Labels are malformed.
pub const SEMSYNTH_STATUS_INVALID_LABELS: SemsynthStatus = 200;
/// Pixels have colours that belong to no class.
pub const SEMSYNTH_STATUS_UNKNOWN_COLORS: SemsynthStatus = 201;
/// Pixels have ids that belong to no class.
pub const SEMSYNTH_STATUS_UNKNOWN_IDS: SemsynthStatus = 202;
/// The ids of a picture and its palette contradict each other.
pub const SEMSYNTH_STATUS_UNCLEAR_PALETTE: SemsynthStatus = 203;
/// A model or style file is malformed.
pub const SEMSYNTH_STATUS_INVALID_MODEL: SemsynthStatus = 300;
/// A model or style file has another format version.
pub const SEMSYNTH_STATUS_UNSUPPORTED_FORMAT: SemsynthStatus = 301;
/// Other data is malformed.
pub const SEMSYNTH_STATUS_INVALID_DATA: SemsynthStatus = 400;
/// Something is larger than a limit, or does not fit the memory limit; the message says what would.
pub const SEMSYNTH_STATUS_LIMIT: SemsynthStatus = 500;
/// The device or its driver failed.
pub const SEMSYNTH_STATUS_DEVICE: SemsynthStatus = 600;
/// A file could not be read.
pub const SEMSYNTH_STATUS_IO: SemsynthStatus = 800;
/// There is no such file.
pub const SEMSYNTH_STATUS_NOT_FOUND: SemsynthStatus = 801;
/// The file may not be read.
pub const SEMSYNTH_STATUS_PERMISSION_DENIED: SemsynthStatus = 802;
/// The disk is full.
pub const SEMSYNTH_STATUS_STORAGE_FULL: SemsynthStatus = 803;
/// The call was cancelled. Its session can be used as before.
pub const SEMSYNTH_STATUS_CANCELLED: SemsynthStatus = 900;
/// The time to wait is over; the job still runs.
pub const SEMSYNTH_STATUS_TIMEOUT: SemsynthStatus = 901;
/// A mistake in this library was caught; please report the message. Outputs are untouched. Sessions, models and the like
/// can be used as before; a canvas in use then is incomplete, and only to be released: all else is this status again.
pub const SEMSYNTH_STATUS_PANIC: SemsynthStatus = 1000;

/// Each code and its name without the prefix.
pub(crate) const NAMES: [(SemsynthStatus, &std::ffi::CStr); 27] = [
    (SEMSYNTH_STATUS_OK, c"OK"),
    (SEMSYNTH_STATUS_INVALID_ARGUMENT, c"INVALID_ARGUMENT"),
    (SEMSYNTH_STATUS_UNKNOWN_NAME, c"UNKNOWN_NAME"),
    (SEMSYNTH_STATUS_STYLE_NEEDED, c"STYLE_NEEDED"),
    (SEMSYNTH_STATUS_NULL_POINTER, c"NULL_POINTER"),
    (SEMSYNTH_STATUS_INVALID_HANDLE, c"INVALID_HANDLE"),
    (SEMSYNTH_STATUS_INVALID_ENUM, c"INVALID_ENUM"),
    (SEMSYNTH_STATUS_VERSION_MISMATCH, c"VERSION_MISMATCH"),
    (SEMSYNTH_STATUS_BUFFER_TOO_SMALL, c"BUFFER_TOO_SMALL"),
    (SEMSYNTH_STATUS_OUT_OF_RANGE, c"OUT_OF_RANGE"),
    (SEMSYNTH_STATUS_BUSY, c"BUSY"),
    (SEMSYNTH_STATUS_INVALID_LABELS, c"INVALID_LABELS"),
    (SEMSYNTH_STATUS_UNKNOWN_COLORS, c"UNKNOWN_COLORS"),
    (SEMSYNTH_STATUS_UNKNOWN_IDS, c"UNKNOWN_IDS"),
    (SEMSYNTH_STATUS_UNCLEAR_PALETTE, c"UNCLEAR_PALETTE"),
    (SEMSYNTH_STATUS_INVALID_MODEL, c"INVALID_MODEL"),
    (SEMSYNTH_STATUS_UNSUPPORTED_FORMAT, c"UNSUPPORTED_FORMAT"),
    (SEMSYNTH_STATUS_INVALID_DATA, c"INVALID_DATA"),
    (SEMSYNTH_STATUS_LIMIT, c"LIMIT"),
    (SEMSYNTH_STATUS_DEVICE, c"DEVICE"),
    (SEMSYNTH_STATUS_IO, c"IO"),
    (SEMSYNTH_STATUS_NOT_FOUND, c"NOT_FOUND"),
    (SEMSYNTH_STATUS_PERMISSION_DENIED, c"PERMISSION_DENIED"),
    (SEMSYNTH_STATUS_STORAGE_FULL, c"STORAGE_FULL"),
    (SEMSYNTH_STATUS_CANCELLED, c"CANCELLED"),
    (SEMSYNTH_STATUS_TIMEOUT, c"TIMEOUT"),
    (SEMSYNTH_STATUS_PANIC, c"PANIC"),
];

/// Why a function failed.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: SemsynthStatus,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(status: SemsynthStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(SEMSYNTH_STATUS_INVALID_ARGUMENT, message)
    }

    pub(crate) fn null(name: &str) -> Self {
        Self::new(SEMSYNTH_STATUS_NULL_POINTER, format!("{name} is NULL"))
    }

    pub(crate) fn unknown_enum(name: &str, value: u32) -> Self {
        Self::new(SEMSYNTH_STATUS_INVALID_ENUM, format!("{name} is {value}, which is none of its constants"))
    }
}

impl From<Error> for Fault {
    /// The codes of the library are those of the header.
    fn from(error: Error) -> Self {
        Self::new(error.code().number(), error.to_string())
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Fault>;

thread_local! {
    /// The message of the last function that failed on this thread.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps a message, unless the thread ends and has no place for it any more: destructors of a host's own thread-local
/// objects may still call.
pub(crate) fn set_last_message(message: String) {
    let _ = LAST.try_with(|last| last.replace(message));
}

pub(crate) fn last_message() -> String {
    LAST.try_with(|last| last.borrow().clone()).unwrap_or_default()
}
