//! Tokens that cancel.

use semsynth_core::CancelToken;

use crate::guard::guard;
use crate::pointers::Out;
use crate::registry::{self, Handle};
use crate::status::SemsynthStatus;

/// Cancels calls that were given it, from any thread. It stays cancelled: make a new one for the next call.
#[derive(Debug)]
pub struct SemsynthCancel(());

impl Handle for SemsynthCancel {
    type Object = CancelToken;
    const NAME: &'static str = "cancel token";
}

/// Makes a token, to be released with `semsynth_cancel_release`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_cancel_create(out: *mut *mut SemsynthCancel) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        registry::give(CancelToken::new(), out);
        Ok(())
    })
}

/// Cancels, from any thread, as often as you like. Calls with this token return `SEMSYNTH_STATUS_CANCELLED` soon.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_cancel_now(cancel: *const SemsynthCancel) -> SemsynthStatus {
    guard(|| {
        registry::get(cancel)?.cancel();
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_cancel_retain(cancel: *const SemsynthCancel) -> SemsynthStatus {
    guard(|| registry::retain(cancel))
}

/// Removes an owner; NULL is fine. Calls that use the token are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_cancel_release(cancel: *mut SemsynthCancel) -> SemsynthStatus {
    guard(|| registry::release(cancel).map(drop))
}
