//! Painting parts of worlds on the CPU engine: in bands of rows, within a budget of memory.

use std::sync::Arc;

use super::control::Budget;
use super::request::Border;
use crate::engine::{Engine, TILES, Window};
use crate::error::{Error, Result};
use crate::label::{Area, Limits, Rect, Span, up};
use crate::memory;
use crate::network::{Ability, Capabilities};
use crate::nn::Statistics;

/// Fewer, where memory is scarce.
const FEWER: [usize; 5] = [256, 128, 64, 16, 1];
/// Rows that are painted at a time where columns are split.
const SLAB: i64 = 1024;
/// Memory of the process besides weights and features.
const PROGRAM: usize = 24 << 20;
/// Longest side of a picture.
const MOST: u32 = 1 << 24;
/// Furthest place in a world.
const FURTHEST: i64 = 1 << 40;

/// Where a picture is in its world, and how the engine paints it.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The picture in the engine's coordinates, in which the world starts at 0.
    pub(super) window: Window,
    /// Row and column of the source that are row and column 0 of the engine.
    pub(super) origin: [i64; 2],
    /// Height and width that repeat.
    pub(super) period: [Option<i64>; 2],
    /// Height and width of the source, if the world ends.
    pub(super) size: [Option<usize>; 2],
}

impl Job {
    /// # Errors
    ///
    /// [`Error::Argument`] for an empty picture, a period that is no multiple of the stride, or a border that the network
    /// cannot have; [`Error::Limit`] for a side or a place that is too large.
    pub(super) fn new(area: Rect, borders: [Border; 2], capabilities: &Capabilities) -> Result<Self> {
        let Rect { x, y, width, height } = area;
        if width == 0 || height == 0 {
            return Err(Error::Argument(format!(
                "a picture of {width}x{height} pixels: both sides must be at least 1"
            )));
        }
        if width > MOST || height > MOST {
            return Err(Error::Limit(format!("a picture of {width}x{height} pixels: sides may have up to {MOST}")));
        }
        if x.unsigned_abs().max(y.unsigned_abs()) > FURTHEST as u64 {
            return Err(Error::Limit(format!("a picture at ({x}, {y}): coordinates may be up to {FURTHEST}")));
        }
        let stride = i64::from(capabilities.stride);
        let mut job = Self {
            window: Window { area: Area::of(area), limits: Limits::default() },
            origin: [0; 2],
            period: [None; 2],
            size: [None; 2],
        };
        for (axis, border) in borders.into_iter().enumerate() {
            let Window { area, limits } = &mut job.window;
            let (span, limit) = match axis {
                0 => (&mut area.rows, &mut limits.rows),
                _ => (&mut area.columns, &mut limits.columns),
            };
            let side = span.len() as i64;
            match border {
                Border::Zero => {
                    *limit = Some(Span::new(0, up(side, stride)));
                    job.size[axis] = Some(side as usize);
                }
                Border::Wrap => {
                    capabilities.wrap.require("a picture that repeats itself")?;
                    if side % stride != 0 {
                        let name = ["height", "width"][axis];
                        return Err(Error::Argument(format!(
                            "a picture that repeats itself every {side} pixels: its {name} must be a multiple of {stride}"
                        )));
                    }
                    job.period[axis] = Some(side);
                }
                Border::Source => {
                    capabilities.world.require("a part of an endless world")?;
                    continue;
                }
            }
            job.origin[axis] = span.start;
            *span = Span::new(0, side);
        }
        Ok(job)
    }
}

/// How to paint a job within a budget: rows of windows that are painted one after the other, and the size of bands.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    /// From top to bottom; those of a row from left to right.
    pub(super) slabs: Vec<Vec<Window>>,
    pub(super) tiles: usize,
    /// Bytes, with weights.
    pub(super) memory: usize,
}

impl Partition {
    /// # Errors
    ///
    /// [`Error::Limit`] that names the least budget, if `budget` is less.
    pub(super) fn new(
        engine: &Arc<Engine>,
        window: Window,
        statistics: Statistics,
        capabilities: &Capabilities,
        budget: Option<usize>,
    ) -> Result<Self> {
        Self::within(engine, window, statistics, capabilities, budget).map_err(|least| least.error(window, budget))
    }

    /// A partition for the memory that is free, of which a session holds some bytes already: rather in bands, or not at
    /// all, than that the system ends the process.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(super) fn of_free(
        engine: &Arc<Engine>,
        window: Window,
        statistics: Statistics,
        capabilities: &Capabilities,
        held: usize,
    ) -> Result<Self> {
        let whole = Self::new(engine, window, statistics, capabilities, None)?;
        let held = engine.bytes() + PROGRAM + held;
        if memory::fits(whole.memory.saturating_sub(held)) {
            return Ok(whole);
        }
        let budget = memory::available().map(|free| free.saturating_add(held));
        Self::new(engine, window, statistics, capabilities, budget)
    }

    /// A partition within a budget. A session holds some bytes already.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); for a goal, only if that much is not free.
    pub(super) fn of_budget(
        engine: &Arc<Engine>,
        window: Window,
        statistics: Statistics,
        capabilities: &Capabilities,
        budget: Budget,
        held: usize,
    ) -> Result<Self> {
        let bytes = match budget {
            Budget::Most(bytes) => return Self::new(engine, window, statistics, capabilities, Some(bytes)),
            Budget::Goal(bytes) => bytes,
        };
        let free = memory::available().map_or(usize::MAX, |free| free.saturating_add(engine.bytes() + PROGRAM + held));
        match Self::within(engine, window, statistics, capabilities, Some(bytes.min(free))) {
            Ok(partition) => Ok(partition),
            Err(least) if least.bytes > free => Err(least.error(window, Some(free))),
            Err(least) => Self::new(engine, window, statistics, capabilities, Some(least.bytes)),
        }
    }

    /// The least budget in bytes.
    pub(super) fn least(
        engine: &Arc<Engine>,
        window: Window,
        statistics: Statistics,
        capabilities: &Capabilities,
    ) -> usize {
        match Self::within(engine, window, statistics, capabilities, Some(0)) {
            Ok(partition) => partition.memory,
            Err(least) => least.bytes,
        }
    }

    fn within(
        engine: &Arc<Engine>,
        window: Window,
        statistics: Statistics,
        capabilities: &Capabilities,
        budget: Option<usize>,
    ) -> std::result::Result<Self, Least> {
        let weights = engine.bytes() + PROGRAM;
        let memory = |window: Window, tiles| weights + engine.memory(window, statistics, tiles);
        let fits = |memory: usize| budget.is_none_or(|budget| memory <= budget);
        let mut least = usize::MAX;
        for tiles in [TILES].into_iter().chain(FEWER) {
            let memory = memory(window, tiles);
            if fits(memory) {
                return Ok(Self { slabs: vec![vec![window]], tiles, memory });
            }
            least = least.min(memory);
        }
        if let Ability::No(why) = capabilities.stream {
            return Err(Least { bytes: least, why: Some(why) });
        }
        // Windows of the picture, which share work at their borders.
        let lattice = i64::from(capabilities.lattice);
        let Area { rows, columns } = window.area;
        // A picture may be a single column.
        let mut width = up(columns.len() as i64 / 2, lattice).max(lattice);
        loop {
            let slabs = split(window, [SLAB.max(lattice), width]);
            // Pixels of a row of windows are kept until its last window is done.
            let pixels = 3 * columns.len() * rows.len().min(SLAB.max(lattice) as usize);
            let widest = slabs.iter().flatten().map(|window| memory(*window, 16)).max().unwrap_or_default();
            let memory = widest + pixels;
            if fits(memory) {
                return Ok(Self { slabs, tiles: 16, memory });
            }
            least = least.min(memory);
            if width <= lattice {
                return Err(Least { bytes: least, why: None });
            }
            width = up(width / 2, lattice);
        }
    }
}

/// The least budget, and why it is not less.
#[derive(Debug)]
struct Least {
    bytes: usize,
    why: Option<&'static str>,
}

impl Least {
    fn error(&self, window: Window, budget: Option<usize>) -> Error {
        let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
        let [height, width] = window.area.size();
        let why = self.why.map_or_else(String::new, |why| format!(", for {why}"));
        Error::Limit(format!(
            "{} MiB of memory are too little for a picture of {width}x{height} pixels with this model: it needs at least \
             {} MiB{why}",
            mebibytes(budget.unwrap_or_default()),
            mebibytes(self.bytes),
        ))
    }
}

/// Windows of at most this height and width, which begin at multiples of them.
fn split(window: Window, [height, width]: [i64; 2]) -> Vec<Vec<Window>> {
    let Area { rows, columns } = window.area;
    let row = |rows| columns.parts(width).map(|columns| Window { area: Area { rows, columns }, ..window }).collect();
    rows.parts(height).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_picture_once() {
        let window =
            Window { area: Area { rows: Span::new(-100, 500), columns: Span::new(3, 260) }, limits: Limits::default() };
        let slabs = split(window, [256, 128]);
        assert_eq!(
            slabs.iter().map(|slab| slab[0].area.rows).collect::<Vec<_>>(),
            [(-100, 0), (0, 256), (256, 500)].map(|(a, b)| Span::new(a, b))
        );
        assert_eq!(
            slabs[1].iter().map(|window| window.area.columns).collect::<Vec<_>>(),
            [(3, 128), (128, 256), (256, 260)].map(|(a, b)| Span::new(a, b))
        );
    }
}
