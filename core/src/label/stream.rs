//! Labels row by row, at every scale that a network works at.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use semsynth_kernels::{Part, Patches};

use super::area::{Area, Limits, Span};
use super::{DistanceMap, LabelSource, Rect};
use crate::error::Result;

/// Most pixels of a group of patches, which bounds the memory that SPADE needs for it.
const GROUP: usize = 1 << 16;

/// Where labels come from.
pub(crate) struct LabelInput<'a> {
    pub(crate) source: &'a mut dyn LabelSource,
    pub(crate) edges: Edges<'a>,
    pub(crate) distances: Option<Arc<DistanceMap>>,
    /// Height and width that the source has, of a picture whose sides were extended to multiples of the stride: beyond
    /// them, the last row and column are repeated.
    pub(crate) size: [Option<usize>; 2],
}

/// Where instance edges come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edges<'a> {
    /// The network takes none.
    None,
    /// The instances of the source.
    Instances,
    /// Given edges, row by row, of a picture of this width.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare with edges made elsewhere"))]
    Given(&'a [bool], usize),
}

/// What a network needs at one scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LevelNeeds {
    /// Labels, in cells.
    pub(crate) labels: Area,
    /// Patches, in cells; whole blocks.
    pub(crate) patches: Option<Area>,
    /// Pixels per cell.
    pub(crate) scale: i64,
}

/// Side of the blocks of labels that SPADE chooses a method for, in cells. Fewer where cells are large, so that the
/// choice depends on labels nearby.
pub(crate) fn patch_block(scale: i64) -> i64 {
    if scale >= 32 { 16 } else { 32 }
}

/// Labels of part of a world at every scale of a network, read from top to bottom. Rows that nobody needs any more are
/// dropped.
#[derive(Debug)]
pub(crate) struct LabelStream {
    levels: Vec<Level>,
    limits: Limits,
    label_channels: usize,
    distances: Option<Arc<DistanceMap>>,
    /// Whether rows are kept, and whether a second picture is made of them.
    keep: bool,
    reused: bool,
    /// The pixels of the row read last.
    pixels: Vec<u16>,
    /// Row and columns of `pixels`.
    read: Option<(i64, Span)>,
}

/// Labels at one scale.
#[derive(Debug)]
struct Level {
    needs: LevelNeeds,
    rows: VecDeque<Row>,
    /// The row at the front of `rows`.
    first: i64,
    /// Rows and columns of a group of patches.
    group: [i64; 2],
    groups: Vec<Group>,
    /// The first row without groups.
    ungrouped: i64,
}

#[derive(Debug)]
struct Row {
    ids: Box<[u16]>,
    edges: Option<Box<[bool]>>,
}

/// Patches of some blocks.
#[derive(Debug)]
pub(crate) struct Group {
    /// Unique within the process.
    pub(crate) number: u64,
    pub(crate) area: Area,
    pub(crate) patches: Patches,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Level {
    fn new(needs: LevelNeeds) -> Self {
        let block = patch_block(needs.scale);
        let [height, width] = needs.patches.map_or([1, 1], Area::size);
        // As many rows as fit, but whole blocks.
        let fitting = |side: usize| ((GROUP / side.max(1)) as i64 / block * block).max(block);
        let rows = fitting(width).min((height as i64).max(block));
        let columns = fitting(rows as usize);
        let first = needs.labels.rows.start;
        let ungrouped = needs.patches.map_or(i64::MAX, |area| area.rows.start);
        Self { needs, rows: VecDeque::new(), first, group: [rows, columns], groups: Vec::new(), ungrouped }
    }

    /// The row after the last that was read.
    fn next(&self) -> i64 {
        self.first + self.rows.len() as i64
    }

    /// The pixel row to read next.
    fn pending(&self) -> Option<i64> {
        (self.next() < self.needs.labels.rows.end).then(|| self.next() * self.needs.scale)
    }

    fn row(&self, y: i64) -> &Row {
        &self.rows[(y - self.first) as usize]
    }

    /// Numbers the patches of the next rows of groups.
    fn add_groups(&mut self, area: Area, limits: Limits, label_channels: usize) {
        let rows = Span::new(self.ungrouped, (self.ungrouped + self.group[0]).min(area.rows.end));
        let limits = limits.coarser(self.needs.scale);
        let mut x = area.columns.start;
        while x < area.columns.end {
            let columns = Span::new(x, (x + self.group[1]).min(area.columns.end));
            let inner = Area { rows, columns };
            let outer = inner.map(|span| span.grown(2)).within(limits);
            let mut classes = Vec::with_capacity(outer.rows.len() * outer.columns.len());
            for y in outer.rows.start..outer.rows.end {
                let row = self.row(y);
                let part = self.needs.labels.columns.relative(outer.columns);
                match &row.edges {
                    None => classes.extend_from_slice(&row.ids[part]),
                    Some(edges) => {
                        let class = |(&id, &edge): (&u16, &bool)| if edge { id + label_channels as u16 } else { id };
                        classes.extend(row.ids[part.clone()].iter().zip(&edges[part]).map(class));
                    }
                }
            }
            let (inside, across) = (outer.rows.relative(rows), outer.columns.relative(columns));
            let block = patch_block(self.needs.scale) as usize;
            let patches = Patches::within(&classes, outer.size(), inside, across, block);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            self.groups.push(Group { number, area: inner, patches });
            x = columns.end;
        }
        self.ungrouped = rows.end;
    }
}

impl LabelStream {
    /// The labels that a network needs, for each scale, from the coarsest to the finest. With `keep`, nothing is
    /// dropped.
    pub(crate) fn new(
        needs: &[LevelNeeds],
        limits: Limits,
        label_channels: usize,
        distances: Option<Arc<DistanceMap>>,
        keep: bool,
    ) -> Self {
        let levels = needs.iter().map(|&needs| Level::new(needs)).collect();
        Self { levels, limits, label_channels, distances, keep, reused: false, pixels: Vec::new(), read: None }
    }

    /// Says that another picture is made of the same labels, which were kept.
    pub(crate) fn mark_reused(&mut self) {
        self.reused = self.keep;
    }

    /// Reads what is needed for some rows of a level.
    pub(crate) fn prepare(&mut self, level: usize, rows: Span, input: &mut LabelInput<'_>) -> Result<()> {
        self.read_up_to(level, rows.end, input)?;
        while let Some(patches) = self.levels[level].needs.patches
            && self.levels[level].ungrouped < rows.end.min(patches.rows.end)
        {
            let Level { ungrouped, group, needs, .. } = &self.levels[level];
            let end = (ungrouped + group[0] + 2).min(needs.labels.rows.end);
            self.read_up_to(level, end, input)?;
            let (limits, label_channels) = (self.limits, self.label_channels);
            self.levels[level].add_groups(patches, limits, label_channels);
        }
        Ok(())
    }

    /// Reads rows of pixels, from top to bottom, until a level has its rows up to `end`.
    fn read_up_to(&mut self, level: usize, end: i64, input: &mut LabelInput<'_>) -> Result<()> {
        while self.levels[level].next() < end.min(self.levels[level].needs.labels.rows.end) {
            let Some(y) = self.levels.iter().filter_map(Level::pending).min() else { return Ok(()) };
            let waiting = |level: &&mut Level| level.pending() == Some(y);
            let columns = |level: &Level| {
                let Span { start, end } = level.needs.labels.columns;
                Span::new(start * level.needs.scale, (end - 1) * level.needs.scale + 1)
            };
            let here = self.levels.iter().filter(|level| level.pending() == Some(y));
            let Some(all) = here.map(columns).reduce(Span::hull) else { return Ok(()) };
            if self.read != Some((clamped(y, input.size[0]), all)) {
                self.read = None;
                self.pixels.resize(all.len(), 0);
                read_row(&mut |area, ids| input.source.read(area, ids), input.size, y, all, &mut self.pixels)?;
                self.read = Some((clamped(y, input.size[0]), all));
            }
            let mut edges = vec![false; all.len()];
            match input.edges {
                Edges::None => edges.clear(),
                Edges::Instances => read_edges(input.source, input.size, self.limits, y, all.start, &mut edges)?,
                Edges::Given(given, width) => {
                    edges.copy_from_slice(&given[y as usize * width + all.start as usize..][..all.len()]);
                }
            }
            for level in self.levels.iter_mut().filter(waiting) {
                let (first, scale) = (columns(level).start - all.start, level.needs.scale as usize);
                let count = level.needs.labels.columns.len();
                let ids = self.pixels[first as usize..].iter().step_by(scale).take(count).copied().collect();
                let edges = (!edges.is_empty())
                    .then(|| edges[first as usize..].iter().step_by(scale).take(count).copied().collect());
                level.rows.push_back(Row { ids, edges });
            }
        }
        Ok(())
    }

    /// Labels of an area of a level, for which [`prepare`](Self::prepare) was called.
    pub(crate) fn area(&self, level: usize, area: Area) -> LabelArea<'_> {
        LabelArea { stream: self, level: &self.levels[level], area }
    }

    /// Says that a level needs no rows before `row` any more.
    pub(crate) fn release(&mut self, level: usize, row: i64) {
        if self.keep {
            return;
        }
        let level = &mut self.levels[level];
        level.groups.retain(|group| group.area.rows.end > row);
        let oldest = row.min(level.ungrouped) - 2;
        while level.first < oldest && !level.rows.is_empty() {
            level.rows.pop_front();
            level.first += 1;
        }
    }
}

fn clamped(y: i64, size: Option<usize>) -> i64 {
    size.map_or(y, |size| y.min(size as i64 - 1))
}

/// Reads a row of pixels. Beyond the size, the last row and column are repeated.
pub(crate) fn read_row(
    read: &mut dyn FnMut(Rect, &mut [u16]) -> Result<()>,
    [height, width]: [Option<usize>; 2],
    y: i64,
    columns: Span,
    ids: &mut [u16],
) -> Result<()> {
    let last = width.map_or(columns.end, |width| columns.end.min(width as i64));
    let first = columns.start.min(last - 1);
    let exist = (last - first) as usize;
    let area = Rect { x: first, y: clamped(y, height), width: exist as u32, height: 1 };
    if first == columns.start {
        read(area, &mut ids[..exist])?;
        let fill = ids[exist - 1];
        ids[exist..].fill(fill);
    } else {
        let mut one = [0];
        read(area, &mut one)?;
        ids.fill(one[0]);
    }
    Ok(())
}

/// Reads whether the pixels of a row have an instance edge, from the column `x` on: whether a neighbour is of another
/// instance.
pub(crate) fn read_edges(
    source: &mut dyn LabelSource,
    size: [Option<usize>; 2],
    limits: Limits,
    y: i64,
    x: i64,
    edges: &mut [bool],
) -> Result<()> {
    let wide = Span::new(x - 1, x + edges.len() as i64 + 1).within(limits.columns);
    let mut rows = [(); 3].map(|()| vec![0; wide.len()]);
    for (ids, y) in rows.iter_mut().zip(y - 1..) {
        // The border of the world is no edge.
        let y = limits.rows.map_or(y, |limits| y.clamp(limits.start, limits.end - 1));
        read_row(&mut |area, ids| source.read_instances(area, ids), size, y, wide, ids)?;
    }
    let [above, row, below] = &rows;
    for (i, edge) in (x..).zip(edges) {
        let i = (i - wide.start) as usize;
        let differs = |other: Option<&u16>| other.is_some_and(|&id| id != row[i]);
        *edge = differs(above.get(i))
            || differs(below.get(i))
            || differs(row.get(i + 1))
            || i > 0 && differs(row.get(i - 1));
    }
    Ok(())
}

/// Labels of some cells of a scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelArea<'a> {
    stream: &'a LabelStream,
    level: &'a Level,
    area: Area,
}

impl<'a> LabelArea<'a> {
    /// Number of rows and of columns.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.area.size()
    }

    /// Class ids, `[rows, columns]`.
    pub(crate) fn ids(&self) -> Vec<u16> {
        let columns = self.level.needs.labels.columns.relative(self.area.columns);
        let rows = self.area.rows;
        let mut ids = Vec::with_capacity(rows.len() * columns.len());
        (rows.start..rows.end).for_each(|y| ids.extend_from_slice(&self.level.row(y).ids[columns.clone()]));
        ids
    }

    /// 1 at instance edges, 0 elsewhere, `[rows, columns]`; `None` without instances.
    pub(crate) fn edges(&self) -> Option<Vec<f32>> {
        let columns = self.level.needs.labels.columns.relative(self.area.columns);
        let rows = self.area.rows;
        let mut values = Vec::with_capacity(rows.len() * columns.len());
        for y in rows.start..rows.end {
            let edges = &self.level.row(y).edges.as_ref()?[columns.clone()];
            values.extend(edges.iter().map(|&edge| f32::from(u8::from(edge))));
        }
        Some(values)
    }

    /// The position of each cell within its object (CLADE-ICPE): vertical and horizontal, `[rows, columns]` each.
    pub(crate) fn distances(&self) -> [Vec<f32>; 2] {
        let Some(map) = &self.stream.distances else { return [Vec::new(), Vec::new()] };
        let scale = self.level.needs.scale;
        let sampled = |span: Span, side: usize| -> Vec<usize> {
            (span.start..span.end).map(|cell| (cell * scale).clamp(0, side as i64 - 1) as usize).collect()
        };
        let (rows, columns) = (sampled(self.area.rows, map.height()), sampled(self.area.columns, map.width()));
        let mut both = map.sample(rows.iter().copied(), columns.iter().copied());
        let horizontal = both.split_off(rows.len() * columns.len());
        [both, horizontal]
    }

    /// The groups of patches that the area touches: for each, its part, and the rows of the area that it covers.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&'a Group, Part<'a>, Range<usize>)> {
        let Self { level, area, .. } = *self;
        level.groups.iter().filter_map(move |group| {
            let rows = area.rows.within(Some(group.area.rows));
            let columns = area.columns.within(Some(group.area.columns));
            (rows.len() > 0 && columns.len() > 0).then(|| {
                let across = group.area.columns.relative(columns);
                let part = Part {
                    patches: &group.patches,
                    row: (rows.start - group.area.rows.start) as usize,
                    columns: [across.start, across.end],
                    out: (columns.start - area.columns.start) as usize,
                };
                (group, part, area.rows.relative(rows))
            })
        })
    }

    /// Pixels per cell.
    pub(crate) fn scale(&self) -> i64 {
        self.level.needs.scale
    }

    /// Its rows and columns, in cells.
    pub(crate) fn area(&self) -> Area {
        self.area
    }

    /// The area with the cells next to it, as far as the world goes.
    pub(crate) fn around(&self) -> Self {
        let Area { rows, columns } = self.level.needs.labels;
        let grown = self.area.map(|span| span.grown(1));
        Self {
            area: Area { rows: grown.rows.within(Some(rows)), columns: grown.columns.within(Some(columns)) },
            ..*self
        }
    }

    /// Whether this is not the first picture of these labels.
    pub(crate) fn reused(&self) -> bool {
        self.stream.reused
    }

    /// Whether a group of patches still exists.
    pub(crate) fn has_group(&self, number: u64) -> bool {
        self.level.groups.iter().any(|group| group.number == number)
    }

    /// The id of a cell and whether it has an edge; `None` beyond the limits of the world.
    pub(crate) fn cell(&self, y: i64, x: i64) -> Option<(u16, bool)> {
        let Area { rows, columns } = self.level.needs.labels;
        if y < rows.start || y >= rows.end || x < columns.start || x >= columns.end {
            return None;
        }
        let (row, x) = (self.level.row(y), (x - columns.start) as usize);
        Some((row.ids[x], row.edges.as_ref().is_some_and(|edges| edges[x])))
    }
}
