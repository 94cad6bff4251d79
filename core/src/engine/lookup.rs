//! SPADE that remembers gamma and beta of a label map.

use std::sync::{Mutex, PoisonError};

use semsynth_kernels::{Spade, Tables};

use super::level::Level;

/// Bytes that one layer keeps at most.
const MOST: usize = 8 << 20;

/// A modulation, and gamma and beta of the label map it was last used for more than once: features and styles change more
/// often than labels when somebody looks for a style.
#[derive(Debug)]
pub(super) struct Remembering {
    spade: Spade,
    tables: Mutex<Option<(u64, Tables)>>,
}

impl Remembering {
    pub(super) fn new(spade: Spade) -> Self {
        Self { spade, tables: Mutex::new(None) }
    }

    /// As [`Spade::run`].
    pub(super) fn run(&self, level: &Level, x: &[f32], scale: &[f32], shift: &[f32], leaky: bool, out: &mut [f32]) {
        let patches = level.patches();
        let mut kept = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().map(|(number, _)| *number) != level.repeated() {
            *kept = level.repeated().and_then(|number| Some((number, self.spade.tables(patches, MOST)?)));
        }
        match &*kept {
            Some((_, tables)) => self.spade.run_tables(tables, patches, x, scale, shift, leaky, out),
            None => self.spade.run(patches, x, scale, shift, leaky, out),
        }
    }
}
