//! The part of every feature map that a part of a picture needs.

use std::ops::Range;

use super::Plan;
use crate::label::{Area, LevelNeeds, Limits, Span, patch_block, up};
use crate::nn::BlockPlan;

/// The unit of convolution: rows and columns that begin at multiples of it have the same bits in every computation.
pub(crate) const TILE: i64 = semsynth_kernels::Conv3x3::TILE as i64;

/// What is computed around the values that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Whole tiles of convolution and all that they read: values have the bits of any larger picture.
    Bits,
    /// The needed values differ by rounding. Others in the same tiles are made of what happens to be there.
    Rounding,
    /// Nothing, for what the network depends on.
    #[cfg(test)]
    Reach,
}

/// The areas of a block, in cells of its scale, except for the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockExtents {
    /// Whether the input is doubled before the block.
    pub(crate) doubles: bool,
    /// How often features have been doubled: the level of its labels.
    pub(crate) level: usize,
    /// What exists of its input, in cells of the input's scale.
    pub(crate) input: Area,
    /// The normalised input: of `norm_0`.
    pub(crate) features: Area,
    /// Between the convolutions.
    pub(crate) middle: Area,
    pub(crate) output: Area,
}

/// The areas of the feature maps of some consecutive blocks.
#[derive(Clone, Debug)]
pub(crate) struct Extents {
    /// The number of the first block.
    pub(crate) first: usize,
    pub(crate) blocks: Vec<BlockExtents>,
    pub(crate) precision: Precision,
    /// Whether the output layer follows.
    pub(crate) head: bool,
    /// What is made: the picture, or an area of the last block's output in cells of its scale.
    pub(crate) made: Area,
    /// Where the world ends, in pixels.
    pub(crate) limits: Limits,
    /// The labels of each scale, from the coarsest; an empty area where none are needed.
    pub(crate) labels: Vec<LevelNeeds>,
}

impl Extents {
    /// What an area of the picture needs.
    pub(crate) fn new(plan: &Plan, picture: Area, limits: Limits, precision: Precision) -> Self {
        Self::of_blocks(plan, 0..plan.blocks.len(), true, picture, limits, precision)
    }

    /// What an area needs of some blocks: of the picture with `head`, else of the output of the last of them. The input
    /// of the first block is all it needs of earlier ones.
    pub(crate) fn of_blocks(
        plan: &Plan,
        range: Range<usize>,
        head: bool,
        made: Area,
        limits: Limits,
        precision: Precision,
    ) -> Self {
        let doublings = plan.blocks.last().map_or(0, |block| block.doublings);
        let scale = |level: usize| 1i64 << (doublings - level);
        let mut needed = if head { made.map(|span| span.grown(1)).within(limits) } else { made };
        let mut blocks = Vec::with_capacity(range.len());
        let mut labels: Vec<Option<LevelNeeds>> = vec![None; doublings + 1];
        for block in plan.blocks[range.clone()].iter().rev() {
            let level = block.doublings;
            let limits = limits.coarser(scale(level));
            let around = |area: Area, by: i64, unit: i64| area.map(|span| span.grown(by).snapped(unit)).within(limits);
            let (output, middle, features) = match precision {
                Precision::Bits => {
                    let output = around(needed, 0, TILE);
                    let middle = around(output, 1, TILE);
                    (output, middle, around(middle, 1, TILE))
                }
                Precision::Rounding => {
                    let middle = around(needed, 1, TILE);
                    (around(needed, 0, TILE), middle, middle.hull(around(needed, 2, 1)))
                }
                #[cfg(test)]
                Precision::Reach => (needed, around(needed, 1, 1), around(needed, 2, 1)),
            };
            needed = if block.doubles { features.map(|span| span.coarser(2)) } else { features };
            let needs = block_labels(block, features, limits, scale(level), precision);
            add(&mut labels[level], needs);
            blocks.push(BlockExtents { doubles: block.doubles, level, input: needed, features, middle, output });
        }
        if range.start == 0 {
            // The first convolution reads the labels around its output.
            let first = needed.map(|span| span.grown(1)).within(limits.coarser(scale(0)));
            add(&mut labels[0], LevelNeeds { labels: first, patches: None, scale: scale(0) });
        }
        blocks.reverse();
        // A block reads what the one before made, which may be more than it needs.
        let outputs: Vec<Area> = blocks.iter().map(|block| block.output).collect();
        blocks.iter_mut().skip(1).zip(outputs).for_each(|(block, output)| block.input = output);
        let none = Span::new(0, 0);
        let empty =
            |level| LevelNeeds { labels: Area { rows: none, columns: none }, patches: None, scale: scale(level) };
        let labels = labels.into_iter().enumerate().map(|(level, needs)| needs.unwrap_or(empty(level))).collect();
        Self { first: range.start, blocks, precision, head, made, limits, labels }
    }

    /// The labels that the picture depends on, in pixels.
    #[cfg(test)]
    pub(crate) fn pixels(&self) -> Area {
        let pixels = |needs: &LevelNeeds| {
            needs.labels.map(|span| Span::new(span.start * needs.scale, (span.end - 1) * needs.scale + 1))
        };
        self.labels.iter().map(pixels).reduce(Area::hull).unwrap_or(self.made)
    }
}

/// The part of the picture that depends on the labels of an area, in pixels. Areas begin and end at multiples of `unit`,
/// as those of [`Extents`].
pub(crate) fn affected(plan: &Plan, labels: Area, limits: Limits, unit: i64) -> Area {
    let doublings = plan.blocks.last().map_or(0, |block| block.doublings);
    let scale = |level: usize| 1i64 << (doublings - level);
    let cells = |level: usize| cells_of(labels, scale(level));
    let at = |level: usize| limits.coarser(scale(level));
    let mut changed = grown(cells(0), 1, 1).within(at(0));
    for block in &plan.blocks {
        let level = block.doublings;
        if block.doubles {
            changed = changed.map(|span| Span::new(2 * span.start, 2 * span.end));
        }
        let reach = block.modulation.facts().reach() as i64;
        let norm = grown(cells(level), reach, 1).within(at(level));
        changed = block_affected(join(changed, norm), at(level), unit);
    }
    grown(changed, 1, 1).within(limits)
}

/// The output of a block that depends on an area of its features. Both convolutions reach one cell further.
pub(crate) fn block_affected(features: Area, limits: Limits, unit: i64) -> Area {
    let middle = grown(features, 1, unit).within(limits);
    // The shortcut reads features where the output is.
    join(grown(middle, 1, unit).within(limits), features)
}

/// The cells whose labels are in an area of pixels: a cell has the label of its first pixel.
pub(crate) fn cells_of(pixels: Area, scale: i64) -> Area {
    pixels.map(|span| Span::new(up(span.start, scale) / scale, up(span.end, scale) / scale))
}

/// A larger area, snapped outwards; an empty one stays empty.
pub(crate) fn grown(area: Area, by: i64, unit: i64) -> Area {
    if area.is_empty() { area } else { area.map(|span| span.grown(by).snapped(unit)) }
}

pub(crate) fn join(a: Area, b: Area) -> Area {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => a,
        (true, _) => b,
        _ => a.hull(b),
    }
}

/// The labels that the norms of a block read.
fn block_labels(block: &BlockPlan, features: Area, limits: Limits, scale: i64, precision: Precision) -> LevelNeeds {
    let reach = block.modulation.facts().reach() as i64;
    let patches = (reach > 0).then(|| match precision {
        // Whole blocks, so that each chooses its method as in any larger picture.
        Precision::Bits => features.map(|span| span.snapped(patch_block(scale))).within(limits),
        Precision::Rounding => features,
        #[cfg(test)]
        Precision::Reach => features,
    });
    let labels = patches.unwrap_or(features).map(|span| span.grown(reach)).within(limits);
    LevelNeeds { labels, patches, scale }
}

fn add(needs: &mut Option<LevelNeeds>, more: LevelNeeds) {
    let hull = |a: Option<Area>, b: Option<Area>| match (a, b) {
        (Some(a), Some(b)) => Some(a.hull(b)),
        (a, b) => a.or(b),
    };
    *needs = Some(needs.map_or(more, |needs| LevelNeeds {
        labels: needs.labels.hull(more.labels),
        patches: hull(needs.patches, more.patches),
        scale: needs.scale,
    }));
}
