//! The library as a whole: version, messages, log.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::LazyLock;

use semsynth_core::Model;

use crate::guard::{SEMSYNTH_LOG_DEBUG, SemsynthLogFn, guard, guard_or, set_log};
use crate::pointers::LARGEST_STRUCT;
use crate::status::{Fault, NAMES, SEMSYNTH_STATUS_VERSION_MISMATCH, SemsynthStatus, last_message};

/// Version of the header: 10000 * major + 100 * minor + patch.
pub const SEMSYNTH_VERSION: u32 = 100;
/// Version of the binary interface. Headers and libraries with equal numbers fit.
pub const SEMSYNTH_ABI_VERSION: u32 = 1;

/// Version of the loaded library, counted as `SEMSYNTH_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_version() -> u32 {
    guard_or(0, || SEMSYNTH_VERSION)
}

/// Version of the loaded library as text, such as "0.1.0". Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_version_string() -> *const c_char {
    const TEXT: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => c"",
    };
    guard_or(c"".as_ptr(), || TEXT.as_ptr())
}

/// Binary interface of the loaded library, counted as `SEMSYNTH_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_abi_version() -> u32 {
    guard_or(0, || SEMSYNTH_ABI_VERSION)
}

/// Checks that the header and the loaded library fit. Call it once, at the start, with `SEMSYNTH_ABI_VERSION`.
///
/// Returns `SEMSYNTH_STATUS_VERSION_MISMATCH` if they do not.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_check_abi(header_abi: u32) -> SemsynthStatus {
    guard(|| {
        if header_abi == SEMSYNTH_ABI_VERSION {
            return Ok(());
        }
        Err(Fault::new(
            SEMSYNTH_STATUS_VERSION_MISMATCH,
            format!(
                "the program was built for interface {header_abi} of libsemsynth, and this is {SEMSYNTH_ABI_VERSION} \
                 (version {}): install the library that belongs to the header",
                env!("CARGO_PKG_VERSION")
            ),
        ))
    })
}

/// What the library contains, in one line for reports of problems: version, devices, built-in models, target. Never
/// freed.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_build_info() -> *const c_char {
    static TEXT: LazyLock<CString> = LazyLock::new(|| {
        let devices = if cfg!(feature = "gpu") { "cpu, gpu" } else { "cpu" };
        let models = Model::builtins().collect::<Vec<_>>().join(", ");
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        let version = env!("CARGO_PKG_VERSION");
        CString::new(format!("semsynth {version}; devices: {devices}; models: {models}; {arch}-{os}"))
            .unwrap_or_default()
    });
    guard_or(c"".as_ptr(), || TEXT.as_ptr())
}

/// The name of a status, such as "NULL_POINTER", or "UNKNOWN" for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn semsynth_status_name(status: SemsynthStatus) -> *const c_char {
    guard_or(c"".as_ptr(), || {
        NAMES.iter().find(|(code, _)| *code == status).map_or(c"UNKNOWN", |(_, name)| *name).as_ptr()
    })
}

/// Copies the message of the last function that failed on the calling thread: what is wrong, and what to do, in UTF-8.
/// Functions that succeed leave it alone.
///
/// @param buffer   Takes the message, cut between characters if it is too long, and always ended by a zero byte.
///                 May be NULL if `capacity` is 0.
/// @param capacity Bytes of the buffer.
/// @return Bytes of the whole message without the zero byte: a buffer of one more holds it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    guard_or(0, || {
        let message = last_message();
        if !buffer.is_null() && capacity > 0 {
            let mut end = message.len().min(capacity - 1);
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            // SAFETY: the caller's buffer has room for `capacity` bytes, more than `end`.
            unsafe {
                std::ptr::copy_nonoverlapping(message.as_ptr(), buffer.cast(), end);
                buffer.add(end).write(0);
            }
        }
        message.len()
    })
}

/// Sets the function that takes messages of this library, for the whole process. There is none at first, and the
/// library never prints. The function is called on any thread that uses the library, also on several at once, and on
/// one of them perhaps still while this function returns.
///
/// @param level    The most talkative level wanted, one of the `SEMSYNTH_LOG_` constants.
/// @param callback NULL for none.
/// @param user     Handed to the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_set_log_callback(
    level: u32,
    callback: SemsynthLogFn,
    user: *mut c_void,
) -> SemsynthStatus {
    guard(|| {
        if level > SEMSYNTH_LOG_DEBUG {
            return Err(Fault::unknown_enum("level", level));
        }
        set_log(level, callback, user);
        Ok(())
    })
}

/// Prepares a struct that begins with `struct_size`: sets all its bytes to 0, which means the default for every field,
/// and then its size. The same in C: `SemsynthRequest request = {0}; request.struct_size = sizeof request;`.
///
/// @param options     The struct.
/// @param struct_size Its `sizeof`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_init(options: *mut c_void, struct_size: usize) -> SemsynthStatus {
    guard(|| {
        if options.is_null() {
            return Err(Fault::null("options"));
        }
        let options: *mut usize = options.cast();
        if !(size_of::<usize>()..=LARGEST_STRUCT).contains(&struct_size) || !options.is_aligned() {
            return Err(Fault::argument(format!("{struct_size} bytes there are no struct with a struct_size")));
        }
        // SAFETY: the caller vouches for so many bytes; they hold an aligned size.
        unsafe {
            options.cast::<u8>().write_bytes(0, struct_size);
            options.write(struct_size);
        }
        Ok(())
    })
}
