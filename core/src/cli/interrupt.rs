//! Ctrl-C: the first asks to stop after the current piece of work, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// A flag that is set by the first Ctrl-C.
pub(super) fn flag(message: &'static str) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if shared.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\n{message}; once more to stop at once");
    })
    .map_err(|error| Error::Argument(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(flag)
}
