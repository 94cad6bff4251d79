//! The part of every feature map that a part of a picture needs.

use super::Plan;
use crate::label::{Area, LevelNeeds, Limits, Span, patch_block, up};
use crate::nn::BlockPlan;

/// The unit of convolution: rows and columns that begin at multiples of it have the same bits in every computation.
pub(crate) const TILE: i64 = semsynth_kernels::Conv3x3::TILE as i64;

/// The areas of a block, in cells of its scale, except for the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockExtents {
    /// Whether the input is doubled before the block.
    pub(crate) doubles: bool,
    /// How often features have been doubled: the level of its labels.
    pub(crate) level: usize,
    /// What the block reads of its input, in cells of the input's scale.
    pub(crate) input: Area,
    /// The normalised input: of `norm_0`.
    pub(crate) features: Area,
    /// Between the convolutions.
    pub(crate) middle: Area,
    pub(crate) output: Area,
}

/// The areas of all feature maps.
#[derive(Clone, Debug)]
pub(crate) struct Extents {
    pub(crate) blocks: Vec<BlockExtents>,
    pub(crate) picture: Area,
    /// Where the world ends, in pixels.
    pub(crate) limits: Limits,
    /// The labels of each scale, from the coarsest.
    pub(crate) labels: Vec<LevelNeeds>,
}

impl Extents {
    /// What an area of the picture needs. Areas begin and end at multiples of `unit` or where the world ends: with
    /// [`TILE`], they have the bits of any larger picture; with 1, they are all that the picture depends on.
    pub(crate) fn new(plan: &Plan, picture: Area, limits: Limits, unit: i64) -> Self {
        let doublings = plan.blocks.last().map_or(0, |block| block.doublings);
        let scale = |level: usize| 1i64 << (doublings - level);
        let mut needed = picture.map(|span| span.grown(1)).within(limits);
        let mut blocks = Vec::with_capacity(plan.blocks.len());
        let mut labels: Vec<Option<LevelNeeds>> = vec![None; doublings + 1];
        for block in plan.blocks.iter().rev() {
            let level = block.doublings;
            let limits = limits.coarser(scale(level));
            let before = |area: Area| area.map(|span| span.grown(1).snapped(unit)).within(limits);
            let output = needed.map(|span| span.snapped(unit)).within(limits);
            let middle = before(output);
            let features = before(middle);
            needed = if block.doubles { features.map(|span| span.coarser(2)) } else { features };
            let needs = block_labels(block, features, limits, scale(level), unit > 1);
            add(&mut labels[level], needs);
            blocks.push(BlockExtents { doubles: block.doubles, level, input: needed, features, middle, output });
        }
        // The first convolution reads the labels around its output.
        let first = needed.map(|span| span.grown(1)).within(limits.coarser(scale(0)));
        add(&mut labels[0], LevelNeeds { labels: first, patches: None, scale: scale(0) });
        blocks.reverse();
        Self { blocks, picture, limits, labels: labels.into_iter().flatten().collect() }
    }

    /// The labels that the picture depends on, in pixels.
    #[cfg(test)]
    pub(crate) fn pixels(&self) -> Area {
        let pixels = |needs: &LevelNeeds| {
            needs.labels.map(|span| Span::new(span.start * needs.scale, (span.end - 1) * needs.scale + 1))
        };
        self.labels.iter().map(pixels).reduce(Area::hull).unwrap_or(self.picture)
    }
}

/// What a change of labels changes: for each block, its features, middle and output; then the picture.
#[derive(Clone, Debug)]
pub(crate) struct Affected {
    pub(crate) blocks: Vec<[Area; 3]>,
    pub(crate) picture: Area,
}

impl Affected {
    /// What depends on the labels of an area, in pixels. Areas begin and end at multiples of `unit`, as those of
    /// [`Extents`]. They are empty where nothing depends on the labels.
    pub(crate) fn new(plan: &Plan, labels: Area, limits: Limits, unit: i64) -> Self {
        let doublings = plan.blocks.last().map_or(0, |block| block.doublings);
        let scale = |level: usize| 1i64 << (doublings - level);
        // A cell has the label of its first pixel.
        let cells = |level: usize| {
            labels
                .map(|span| Span::new(up(span.start, scale(level)), up(span.end, scale(level))))
                .map(|span| Span::new(span.start / scale(level), span.end / scale(level)))
        };
        let at = |level: usize| limits.coarser(scale(level));
        let mut changed = grown(cells(0), 1, 1).within(at(0));
        let mut blocks = Vec::with_capacity(plan.blocks.len());
        for block in &plan.blocks {
            let level = block.doublings;
            if block.doubles {
                changed = changed.map(|span| Span::new(2 * span.start, 2 * span.end));
            }
            let reach = block.modulation.facts().reach() as i64;
            let norm = grown(cells(level), reach, 1).within(at(level));
            let features = join(changed, norm);
            let middle = join(grown(features, 1, unit).within(at(level)), norm);
            let output = grown(middle, 1, unit).within(at(level));
            // The shortcut.
            changed = join(output, features);
            blocks.push([features, middle, changed]);
        }
        Self { blocks, picture: grown(changed, 1, 1).within(limits) }
    }
}

/// A larger area, snapped outwards; an empty one stays empty.
fn grown(area: Area, by: i64, unit: i64) -> Area {
    if area.is_empty() { area } else { area.map(|span| span.grown(by).snapped(unit)) }
}

fn join(a: Area, b: Area) -> Area {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => a,
        (true, _) => b,
        _ => a.hull(b),
    }
}

/// The labels that the norms of a block read.
fn block_labels(block: &BlockPlan, features: Area, limits: Limits, scale: i64, whole_blocks: bool) -> LevelNeeds {
    let reach = block.modulation.facts().reach() as i64;
    let patches =
        (reach > 0 && whole_blocks).then(|| features.map(|span| span.snapped(patch_block(scale))).within(limits));
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
