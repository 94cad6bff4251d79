//! Ctrl-C: the first press stops after the current step, the second stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// Returns a flag that the first Ctrl-C sets.
pub(super) fn flag(message: &'static str) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if shared.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\n{message}; press Ctrl-C again to stop at once");
    })
    .map_err(|error| Error::Argument(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(flag)
}
