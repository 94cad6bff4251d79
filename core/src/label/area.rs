//! Rows and columns of a world, in cells of some scale.

use std::ops::Range;

use super::Rect;

/// Rows or columns from `start` up to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Span {
    pub(crate) fn new(start: i64, end: i64) -> Self {
        Self { start, end }
    }

    pub(crate) fn len(self) -> usize {
        (self.end - self.start).max(0) as usize
    }

    /// With as many more cells on both sides.
    pub(crate) fn grown(self, by: i64) -> Self {
        Self { start: self.start - by, end: self.end + by }
    }

    /// The smallest span around it that starts and ends at multiples of `unit`.
    pub(crate) fn snapped(self, unit: i64) -> Self {
        Self { start: self.start.div_euclid(unit) * unit, end: up(self.end, unit) }
    }

    /// The part within limits, if there are any.
    pub(crate) fn within(self, limits: Option<Self>) -> Self {
        limits.map_or(self, |limits| Self {
            start: self.start.clamp(limits.start, limits.end),
            end: self.end.clamp(limits.start, limits.end),
        })
    }

    /// The cells of a scale `factor` times as coarse that it touches.
    pub(crate) fn coarser(self, factor: i64) -> Self {
        Self { start: self.start.div_euclid(factor), end: -(-self.end).div_euclid(factor) }
    }

    /// The smallest span around both.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Parts that end at multiples of `side`.
    pub(crate) fn parts(self, side: i64) -> impl Iterator<Item = Self> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            let part = Self { start, end: up(start + 1, side).min(self.end) };
            start = part.end;
            (part.start < part.end).then_some(part)
        })
    }

    /// A span of it, counted from its start.
    pub(crate) fn relative(self, part: Self) -> Range<usize> {
        (part.start - self.start) as usize..(part.end - self.start) as usize
    }
}

/// The smallest multiple of `unit` that is not less than `value`.
pub(crate) fn up(value: i64, unit: i64) -> i64 {
    -(-value).div_euclid(unit) * unit
}

/// Some rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub(crate) rows: Span,
    pub(crate) columns: Span,
}

impl Area {
    pub(crate) fn of(rect: Rect) -> Self {
        let span = |start: i64, len: u32| Span::new(start, start.saturating_add(i64::from(len)));
        Self { rows: span(rect.y, rect.height), columns: span(rect.x, rect.width) }
    }

    pub(crate) fn rect(self) -> Rect {
        let Self { rows, columns } = self;
        Rect { x: columns.start, y: rows.start, width: columns.len() as u32, height: rows.len() as u32 }
    }

    /// Applies a function to rows and to columns.
    pub(crate) fn map(self, f: impl Fn(Span) -> Span) -> Self {
        Self { rows: f(self.rows), columns: f(self.columns) }
    }

    pub(crate) fn within(self, limits: Limits) -> Self {
        Self { rows: self.rows.within(limits.rows), columns: self.columns.within(limits.columns) }
    }

    pub(crate) fn hull(self, other: Self) -> Self {
        Self { rows: self.rows.hull(other.rows), columns: self.columns.hull(other.columns) }
    }

    pub(crate) fn is_empty(self) -> bool {
        self.rows.len() == 0 || self.columns.len() == 0
    }

    /// Number of rows and of columns.
    pub(crate) fn size(self) -> [usize; 2] {
        [self.rows.len(), self.columns.len()]
    }
}

/// Where the world ends. Beyond that, convolutions see zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// First and last rows; `None` if the world goes on in both directions.
    pub(crate) rows: Option<Span>,
    pub(crate) columns: Option<Span>,
}

impl Limits {
    /// A picture of this height and width.
    pub(crate) fn picture([height, width]: [usize; 2]) -> Self {
        Self { rows: Some(Span::new(0, height as i64)), columns: Some(Span::new(0, width as i64)) }
    }

    /// In cells of a scale `factor` times as coarse.
    pub(crate) fn coarser(self, factor: i64) -> Self {
        let coarser = |limits: Option<Span>| limits.map(|span| span.coarser(factor));
        Self { rows: coarser(self.rows), columns: coarser(self.columns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_snap_outwards() {
        assert_eq!(Span::new(-5, 5).snapped(4), Span::new(-8, 8));
        assert_eq!(Span::new(-8, 8).snapped(4), Span::new(-8, 8));
        assert_eq!(Span::new(-5, 5).coarser(2), Span::new(-3, 3));
        assert_eq!(Span::new(-5, 50).within(Some(Span::new(0, 32))), Span::new(0, 32));
        assert_eq!(Span::new(-5, 50).relative(Span::new(-4, 0)), 1..5);
    }
}
