//! Sets of cells of a feature map, and rectangles that cover them.

use crate::label::{Area, Limits, Span};

/// Side of the squares of cells that rectangles are made of: those of convolution.
const SIDE: usize = crate::network::TILE as usize;
/// Cells around a rectangle that are computed with it, on both sides together.
const AROUND: usize = 6;

/// A set of cells.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    size: [usize; 2],
    cells: Vec<bool>,
    count: usize,
    /// All cells of the set are within.
    bounds: Option<Area>,
}

impl Mask {
    /// An empty set of cells of a map of this height and width.
    pub(super) fn new(size: [usize; 2]) -> Self {
        Self { size, cells: vec![false; size[0] * size[1]], count: 0, bounds: None }
    }

    /// Height and width of the map.
    pub(super) fn size(&self) -> [usize; 2] {
        self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.cells.len()
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.cells.len()
    }

    /// Adds the cells of an area, as far as they exist.
    pub(super) fn insert(&mut self, area: Area) {
        let area = area.within(Limits::picture(self.size));
        if area.is_empty() {
            return;
        }
        self.count += self.fill(area, true);
        self.bounds = Some(self.bounds.map_or(area, |bounds| bounds.hull(area)));
    }

    /// Removes the cells of an area.
    pub(super) fn remove(&mut self, area: Area) {
        let area = area.within(Limits::picture(self.size));
        self.count -= self.fill(area, false);
        if self.count == 0 {
            self.bounds = None;
        }
    }

    pub(super) fn clear(&mut self) {
        if let Some(bounds) = self.bounds {
            self.remove(bounds);
        }
    }

    /// Sets cells to `value`, and counts those that had another.
    fn fill(&mut self, area: Area, value: bool) -> usize {
        let columns = area.columns.start as usize..area.columns.end as usize;
        let rows = self.cells.chunks_exact_mut(self.size[1].max(1)).take(area.rows.end as usize);
        let mut changed = 0;
        for row in rows.skip(area.rows.start as usize) {
            let row = &mut row[columns.clone()];
            changed += row.iter().filter(|cell| **cell != value).count();
            row.fill(value);
        }
        changed
    }

    /// Some columns of a row.
    pub(super) fn row(&self, y: i64, columns: Span) -> &[bool] {
        &self.cells[y as usize * self.size[1]..][columns.start as usize..columns.end as usize]
    }

    /// The cells, as areas of one row each.
    pub(super) fn runs(&self) -> impl Iterator<Item = Area> {
        let none = Area { rows: Span::new(0, 0), columns: Span::new(0, 0) };
        let Area { rows, columns } = self.bounds.unwrap_or(none);
        (rows.start..rows.end).flat_map(move |y| {
            runs(self.row(y, columns)).map(move |run| {
                let start = columns.start;
                Area { rows: Span::new(y, y + 1), columns: Span::new(start + run.start, start + run.end) }
            })
        })
    }

    /// Moves all cells of another set of the same map to this one.
    pub(super) fn take(&mut self, other: &mut Self) {
        other.runs().for_each(|run| self.insert(run));
        other.clear();
    }

    /// Areas that together cover all cells, and few others. `call` is what the computation of an area costs besides
    /// that of its cells, in cells.
    pub(super) fn areas(&self, call: usize) -> Vec<Area> {
        let Some(bounds) = self.bounds else { return Vec::new() };
        let whole = bounds.map(|span| span.snapped(SIDE as i64)).within(Limits::picture(self.size));
        let squares = Squares::new(self, whole);
        let mut parts = Vec::new();
        squares.split([0..squares.size[0], 0..squares.size[1]], call, &mut parts);
        parts.into_iter().map(|part| self.shrunk(squares.cells(&part))).collect()
    }

    /// The smallest area with the cells of the set that are in an area.
    fn shrunk(&self, area: Area) -> Area {
        let mut found: Option<Area> = None;
        for y in area.rows.start..area.rows.end {
            let row = self.row(y, area.columns);
            let (Some(first), Some(last)) = (row.iter().position(|cell| *cell), row.iter().rposition(|cell| *cell))
            else {
                continue;
            };
            let start = area.columns.start;
            let columns = Span::new(start + first as i64, start + last as i64 + 1);
            let here = Area { rows: Span::new(y, y + 1), columns };
            found = Some(found.map_or(here, |found| found.hull(here)));
        }
        found.unwrap_or(area)
    }
}

/// Runs of `true`.
pub(super) fn runs(cells: &[bool]) -> impl Iterator<Item = Span> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + cells[at..].iter().position(|cell| *cell)?;
        let end = cells[start..].iter().position(|cell| !*cell).map_or(cells.len(), |len| start + len);
        at = end;
        Some(Span::new(start as i64, end as i64))
    })
}

/// Squares of cells that have some of a set.
struct Squares {
    whole: Area,
    size: [usize; 2],
    has: Vec<bool>,
}

/// Rows and columns of squares.
type Part = [std::ops::Range<usize>; 2];

impl Squares {
    fn new(mask: &Mask, whole: Area) -> Self {
        let size = whole.size().map(|side| side.div_ceil(SIDE));
        let mut has = vec![false; size[0] * size[1]];
        for (y, row) in (whole.rows.start..whole.rows.end).enumerate() {
            let squares = mask.row(row, whole.columns).chunks(SIDE);
            for (has, cells) in has[y / SIDE * size[1]..].iter_mut().zip(squares) {
                *has |= cells.contains(&true);
            }
        }
        Self { whole, size, has }
    }

    /// Cells of a part.
    fn cells(&self, [rows, columns]: &Part) -> Area {
        let cells = |squares: &std::ops::Range<usize>, start: i64| {
            Span::new(start + (squares.start * SIDE) as i64, start + (squares.end * SIDE) as i64)
        };
        let area = Area { rows: cells(rows, self.whole.rows.start), columns: cells(columns, self.whole.columns.start) };
        area.within(Limits { rows: Some(self.whole.rows), columns: Some(self.whole.columns) })
    }

    /// Splits a part as long as that saves work.
    fn split(&self, [rows, columns]: Part, call: usize, parts: &mut Vec<Part>) {
        // For each row, its columns with cells; for each column, its rows.
        let mut across = vec![0..0; rows.len()];
        let mut down = vec![0..0; columns.len()];
        for (r, across) in rows.clone().zip(&mut across) {
            for (c, down) in columns.clone().zip(&mut down) {
                if self.has[r * self.size[1] + c] {
                    include(across, c);
                    include(down, r);
                }
            }
        }
        let Some(whole) = hull(&across, rows.start) else { return };
        let cost = |part: &Part| {
            let [height, width] = part.each_ref().map(|squares| squares.len() * SIDE + AROUND);
            height * width + call
        };
        let best = |lines: &[std::ops::Range<usize>], first: usize| {
            // Hulls of the lines before each place, and of those after it.
            let both = |at: usize| {
                let pair = [hull(&lines[..at], first)?, hull(&lines[at..], first + at)?];
                Some((cost(&pair[0]) + cost(&pair[1]), at))
            };
            (1..lines.len()).filter_map(both).min()
        };
        let halves = [best(&across, rows.start), best(&down, columns.start)];
        let saves = |half: Option<(usize, usize)>| half.filter(|(sum, _)| 10 * sum < 9 * cost(&whole));
        match halves.map(saves) {
            [Some((sum, at)), other] if other.is_none_or(|(least, _)| sum <= least) => {
                let middle = rows.start + at;
                self.split([whole[0].start..middle, whole[1].clone()], call, parts);
                self.split([middle..whole[0].end, whole[1].clone()], call, parts);
            }
            [_, Some((_, at))] => {
                let middle = columns.start + at;
                self.split([whole[0].clone(), whole[1].start..middle], call, parts);
                self.split([whole[0].clone(), middle..whole[1].end], call, parts);
            }
            _ => parts.push(whole),
        }
    }
}

fn include(range: &mut std::ops::Range<usize>, at: usize) {
    *range = if range.start >= range.end { at..at + 1 } else { range.start.min(at)..range.end.max(at + 1) };
}

/// The lines that are not empty, and the hull of them.
fn hull(lines: &[std::ops::Range<usize>], first: usize) -> Option<Part> {
    let start = lines.iter().position(|line| !line.is_empty())?;
    let end = lines.iter().rposition(|line| !line.is_empty())? + 1;
    let across = lines.iter().filter(|line| !line.is_empty());
    let across = across.cloned().reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))?;
    Some([first + start..first + end, across])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area(rows: [i64; 2], columns: [i64; 2]) -> Area {
        Area { rows: Span::new(rows[0], rows[1]), columns: Span::new(columns[0], columns[1]) }
    }

    #[test]
    fn distant_cells_are_covered_apart() {
        let mut mask = Mask::new([100, 200]);
        mask.insert(area([0, 3], [0, 5]));
        mask.insert(area([90, 120], [190, 300]));
        assert_eq!(mask.count, 15 + 100);
        let mut areas = mask.areas(100);
        areas.sort_by_key(|area| area.rows.start);
        assert_eq!(areas, [area([0, 3], [0, 5]), area([90, 100], [190, 200])]);
        // A call that costs as much as the whole map is made once.
        assert_eq!(mask.areas(100 * 200), [area([0, 100], [0, 200])]);
        mask.remove(area([0, 50], [0, 200]));
        assert_eq!((mask.count, mask.areas(0)), (100, vec![area([90, 100], [190, 200])]));
        mask.clear();
        assert!(mask.is_empty() && mask.areas(0).is_empty());
    }

    proptest! {
        #[test]
        fn areas_cover_all_cells(
            size in (1usize..70, 1usize..70),
            rects in prop::collection::vec((-5i64..70, -5i64..70, 0i64..20, 0i64..20), 0..8),
            call in 0usize..500,
        ) {
            let mut mask = Mask::new([size.0, size.1]);
            for (y, x, height, width) in rects {
                mask.insert(area([y, y + height], [x, x + width]));
            }
            prop_assert_eq!(mask.cells.iter().filter(|cell| **cell).count(), mask.count);
            prop_assert_eq!(mask.runs().map(|run| run.columns.len()).sum::<usize>(), mask.count);
            let areas = mask.areas(call);
            prop_assert!(areas.iter().all(|area| !area.is_empty()));
            for area in areas {
                mask.remove(area);
            }
            prop_assert!(mask.is_empty() && !mask.cells.contains(&true));
        }
    }
}
