//! Memory for rows of a feature map, where new rows take the place of old ones.

use std::ops::Range;

use semsynth_kernels::{Map, MapMut};

use super::buffers::Buffers;

/// Rows of a feature map. Empty until its size is set.
#[derive(Debug, Default)]
pub(super) struct Ring {
    values: Vec<f32>,
    capacity: usize,
    width: usize,
    /// Rows in memory.
    rows: Range<usize>,
}

impl Ring {
    /// Takes memory for `[channels, capacity, width]`, unless it has it.
    pub(super) fn take(&mut self, memory: &mut Buffers, channels: usize, [capacity, width]: [usize; 2]) {
        if self.values.is_empty() {
            *self = Self { values: memory.take(channels * capacity * width), capacity, width, rows: 0..0 };
        }
    }

    /// The rows in memory.
    pub(super) fn map(&self) -> Map<'_> {
        Map::new(&self.values, [self.capacity, self.width], self.rows.clone())
    }

    /// The next rows, to be written.
    pub(super) fn write(&mut self, rows: Range<usize>) -> MapMut<'_> {
        let first = self.rows.start.max(rows.end.saturating_sub(self.capacity));
        self.rows = if self.rows.is_empty() { rows.clone() } else { first..rows.end };
        MapMut::new(&mut self.values, [self.capacity, self.width], rows)
    }

    /// Returns the memory.
    pub(super) fn give(&mut self, memory: &mut Buffers) {
        memory.give(std::mem::take(self).values);
    }
}
