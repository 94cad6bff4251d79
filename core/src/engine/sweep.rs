//! The order of work on bands of rows, from the labels to the picture: depth first, nothing twice.

use std::ops::Range;

use crate::error::Result;
use crate::label::up;
use crate::network::{BlockExtents, Extents, TILE};

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The input of the first block: the first features, or an earlier block's output.
    First,
    /// `norm_0` of a block.
    Features(usize),
    /// `conv_0` and `norm_1` of a block.
    Middle(usize),
    /// `conv_1` and shortcut of a block, into the input of the next one or of the output layer.
    Output(usize),
    /// The output layer, or the last block's output.
    Last,
}

/// Work on some rows, counted from the first of the area it writes.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) work: Work,
    pub(super) rows: Range<usize>,
    /// The oldest row that is still needed of the map that is written.
    pub(super) oldest: usize,
}

/// Number of rows of a band: for each block, then for the output layer. Multiples of [`TILE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bands(pub(super) Vec<usize>);

impl Bands {
    /// One band for the whole picture.
    pub(super) fn whole(extents: &Extents) -> Self {
        let most = |rows: usize| rows.next_multiple_of(TILE as usize) + 2 * TILE as usize;
        let blocks = extents.blocks.iter().map(|block| most(block.features.rows.len()));
        Self(blocks.chain([most(extents.made.rows.len())]).collect())
    }

    /// Bands of about this many tiles of convolution, but no more rows than there are.
    pub(super) fn of_tiles(extents: &Extents, tiles: usize) -> Self {
        let tile = TILE as usize;
        let rows = |width: usize| tile * tiles.div_ceil(width.div_ceil(tile)).max(1);
        let mut bands: Vec<usize> = extents.blocks.iter().map(|block| rows(block.output.columns.len())).collect();
        bands.push(rows(extents.made.columns.len()));
        let whole = Self::whole(extents).0;
        Self(bands.into_iter().zip(whole).map(|(rows, most)| rows.min(most)).collect())
    }
}

/// Rows that are done.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    features: usize,
    middle: usize,
    output: usize,
}

struct Sweep<'a> {
    extents: &'a Extents,
    bands: &'a Bands,
    first: usize,
    blocks: Vec<Done>,
    last: usize,
    visit: &'a mut dyn FnMut(Step) -> Result<()>,
}

/// Visits all work in order.
///
/// # Errors
///
/// Those of `visit`, which ends the sweep.
pub(super) fn sweep(extents: &Extents, bands: &Bands, visit: &mut dyn FnMut(Step) -> Result<()>) -> Result<()> {
    let blocks = vec![Done::default(); extents.blocks.len()];
    let mut sweep = Sweep { extents, bands, first: 0, blocks, last: 0, visit };
    let all = extents.made.rows.len();
    let band = bands.0.last().copied().unwrap_or(all);
    while sweep.last < all {
        // Bands end where those of the last block can end.
        let end = (sweep.last + band).min(all);
        sweep.last_rows(end)?;
    }
    Ok(())
}

impl BlockExtents {
    /// The first row that a block reads of its (doubled) input next.
    fn next_row(&self, done: Done) -> i64 {
        (self.output.rows.start + done.output as i64).min(self.features.rows.start + done.features as i64)
    }
}

impl Sweep<'_> {
    fn last_rows(&mut self, end: usize) -> Result<()> {
        let Extents { blocks, made, head, .. } = self.extents;
        if let Some(last) = blocks.last() {
            let needed = (made.rows.start + end as i64 + i64::from(*head)).min(last.output.rows.end);
            self.output(blocks.len() - 1, (needed - last.output.rows.start) as usize)?;
        }
        (self.visit)(Step { work: Work::Last, rows: self.last..end, oldest: 0 })?;
        self.last = end;
        Ok(())
    }

    /// Makes the rows up to `end` of a block's output.
    fn output(&mut self, index: usize, end: usize) -> Result<()> {
        let BlockExtents { output, middle, features, .. } = self.extents.blocks[index];
        let band = self.bands.0[index];
        while self.blocks[index].output < end {
            let from = self.blocks[index].output;
            let to = (from + band).min(output.rows.len());
            let need = up(output.rows.start + to as i64 + 1, TILE).min(middle.rows.end);
            let need = (need - middle.rows.start) as usize;
            if self.blocks[index].middle < need {
                let rows = self.blocks[index].middle..need;
                let need = up(middle.rows.start + rows.end as i64 + 1, TILE).min(features.rows.end);
                let need = (need - features.rows.start) as usize;
                if self.blocks[index].features < need {
                    let new = self.blocks[index].features..need;
                    self.input(index, need)?;
                    let oldest = middle.rows.start + rows.start as i64 - 1 - features.rows.start;
                    let oldest = (oldest.max(0) as usize).min(new.start);
                    (self.visit)(Step { work: Work::Features(index), rows: new, oldest })?;
                    self.blocks[index].features = need;
                }
                let oldest = (output.rows.start + from as i64 - 1 - middle.rows.start).max(0) as usize;
                let oldest = oldest.min(rows.start);
                self.blocks[index].middle = rows.end;
                (self.visit)(Step { work: Work::Middle(index), rows, oldest })?;
            }
            let oldest = self.oldest(index).min(from);
            (self.visit)(Step { work: Work::Output(index), rows: from..to, oldest })?;
            self.blocks[index].output = to;
        }
        Ok(())
    }

    /// The oldest row of a block's output that is still needed.
    fn oldest(&self, index: usize) -> usize {
        let output = self.extents.blocks[index].output.rows.start;
        match self.extents.blocks.get(index + 1) {
            // The shortcut lags behind, except at first.
            Some(next) => {
                let row = next.next_row(self.blocks[index + 1]);
                let row = if next.doubles { row.div_euclid(2) } else { row };
                (row - output).max(0) as usize
            }
            None => (self.extents.made.rows.start + self.last as i64 - 1 - output).max(0) as usize,
        }
    }

    /// Makes the input that a block needs for the rows up to `end` of its features.
    fn input(&mut self, index: usize, end: usize) -> Result<()> {
        let BlockExtents { doubles, input, features, .. } = self.extents.blocks[index];
        let end = features.rows.start + end as i64;
        let end = if doubles { up(end, 2) / 2 } else { end };
        match index.checked_sub(1) {
            Some(before) => {
                let start = self.extents.blocks[before].output.rows.start;
                self.output(before, (end - start) as usize)
            }
            None => {
                let rows = self.first..(end - input.rows.start) as usize;
                if rows.is_empty() {
                    return Ok(());
                }
                let row = self.extents.blocks[0].next_row(self.blocks[0]);
                let row = if doubles { row.div_euclid(2) } else { row } - input.rows.start;
                let oldest = (row.max(0) as usize).min(rows.start);
                self.first = rows.end;
                (self.visit)(Step { work: Work::First, rows, oldest })
            }
        }
    }
}
