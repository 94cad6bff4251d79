//! What can be painted, as rows of pixels.

use std::ops::Range;

use bevy_math::{IVec2, UVec2, Vec2};
use bevy_reflect::Reflect;
use semsynth::{Error, Result};

/// What to paint. Coordinates are in pixels of the map: x to the right, y down, the centre of the top left pixel at (0.5,
/// 0.5). A pixel belongs to a shape if its centre does.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub enum Shape {
    /// A disc; at least the pixel under its centre.
    Disc {
        /// The centre.
        center: Vec2,
        /// The radius in pixels, 0 or more.
        radius: f32,
    },
    /// A line with round ends: what a disc covers on its way.
    Line {
        /// The start.
        from: Vec2,
        /// The end.
        to: Vec2,
        /// Half the width in pixels, 0 or more.
        radius: f32,
    },
    /// A closed polygon; where it crosses itself, every second layer is left out.
    Polygon(Vec<Vec2>),
    /// The pixels with the class of this one that are connected with it by their sides.
    Fill(UVec2),
    /// A small picture of ids, with its top left pixel here.
    Stamp {
        /// Where the top left pixel goes; it may be outside of the map.
        at: IVec2,
        /// The ids.
        stamp: Stamp,
    },
    /// The whole map.
    All,
}

/// A small picture of class ids with holes. It brings its own ids: the class that is painted with is not used.
#[derive(Clone, Debug, PartialEq, Eq, Reflect)]
pub struct Stamp {
    width: u32,
    ids: Vec<Option<u16>>,
}

impl Stamp {
    /// Makes a stamp from rows of `width` ids; `None` leaves a pixel as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are no ids or they do not fill whole rows.
    pub fn new(width: u32, ids: Vec<Option<u16>>) -> Result<Self> {
        if width == 0 || ids.is_empty() || !ids.len().is_multiple_of(width as usize) {
            return Err(Error::Argument(format!("{} ids do not fill rows of {width} pixels", ids.len())));
        }
        Ok(Self { width, ids })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        (self.ids.len() / self.width as usize) as u32
    }
}

/// Part of a row that a shape covers.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) y: u32,
    pub(super) columns: Range<u32>,
    /// Ids of its own.
    ids: Option<&'a [Option<u16>]>,
}

impl Span<'_> {
    /// The id that goes to a column of the span, if it changes.
    pub(super) fn id(&self, offset: usize, class: u16) -> Option<u16> {
        self.ids.map_or(Some(class), |ids| ids.get(offset).copied().flatten())
    }
}

impl Shape {
    pub(super) fn check(&self) -> Result<()> {
        let finite = |points: &[Vec2]| {
            let bad = points.iter().find(|point| !point.is_finite());
            bad.map_or(Ok(()), |point| {
                Err(Error::Argument(format!("the point ({}, {}) is not finite", point.x, point.y)))
            })
        };
        let radius = |radius: f32| {
            if radius.is_finite() && radius >= 0.0 {
                Ok(())
            } else {
                Err(Error::Argument(format!("a radius of {radius}: it must be finite and not negative")))
            }
        };
        match self {
            Self::Disc { center, radius: r } => finite(&[*center]).and_then(|()| radius(*r)),
            Self::Line { from, to, radius: r } => finite(&[*from, *to]).and_then(|()| radius(*r)),
            Self::Polygon(points) => finite(points),
            Self::Fill(_) | Self::Stamp { .. } | Self::All => Ok(()),
        }
    }

    /// Calls `emit` with the rows of the shape within a map of this size. `ids` are those of the map.
    pub(super) fn spans<'a>(&'a self, size: UVec2, ids: &[u16], emit: &mut dyn FnMut(Span<'a>)) {
        let mut plain = |y, columns: Range<u32>| emit(Span { y, columns, ids: None });
        match self {
            Self::Disc { center, radius } => capsule(*center, *center, *radius, size, &mut plain),
            Self::Line { from, to, radius } => capsule(*from, *to, *radius, size, &mut plain),
            Self::Polygon(points) => polygon(points, size, &mut plain),
            Self::Fill(at) => fill(*at, size, ids, &mut plain),
            Self::Stamp { at, stamp } => place(*at, stamp, size, emit),
            Self::All => (0..size.y).for_each(|y| plain(y, 0..size.x)),
        }
    }
}

/// The pixels of a row whose centres are between two places, within the map.
fn columns(low: f32, high: f32, width: u32) -> Range<u32> {
    let bounded = |value: f32| value.clamp(0.0, width as f32) as u32;
    let start = bounded((low - 0.5).ceil());
    start..bounded((high - 0.5).floor() + 1.0).max(start)
}

/// The rows whose centres are between two places, within the map.
fn rows(low: f32, high: f32, height: u32) -> Range<u32> {
    columns(low, high, height)
}

/// Where the edge from `a` to `b` crosses the row `y`, if it does.
fn crossing(a: Vec2, b: Vec2, y: f32) -> Option<f32> {
    ((a.y <= y) != (b.y <= y)).then(|| a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x))
}

/// Two discs and what is between them: a convex shape, so that each row is one span.
fn capsule(from: Vec2, to: Vec2, radius: f32, size: UVec2, emit: &mut dyn FnMut(u32, Range<u32>)) {
    let side = (to - from).normalize_or_zero().perp() * radius;
    let corners = [from + side, to + side, to - side, from - side];
    let touched = |point: Vec2, y: u32| point.y >= 0.0 && point.y as u32 == y;
    let (low, high) = (from.y.min(to.y) - radius, from.y.max(to.y) + radius);
    // The rows of both ends are looked at even if no centre of a row is within a tiny radius.
    let all = rows(low - 0.5, high + 0.5, size.y);
    for y in all {
        let center = y as f32 + 0.5;
        let mut span: Option<(f32, f32)> = None;
        let mut include = |low: f32, high: f32| {
            span = Some(span.map_or((low, high), |(a, b)| (a.min(low), b.max(high))));
        };
        for point in [from, to] {
            let squared = radius * radius - (center - point.y) * (center - point.y);
            if squared >= 0.0 {
                include(point.x - squared.sqrt(), point.x + squared.sqrt());
            }
            if touched(point, y) && point.x >= 0.0 {
                let middle = point.x.floor() + 0.5;
                include(middle, middle);
            }
        }
        for (a, b) in corners.into_iter().zip(corners.into_iter().cycle().skip(1)) {
            if let Some(x) = crossing(a, b, center) {
                include(x, x);
            }
        }
        if let Some((low, high)) = span {
            let columns = columns(low, high, size.x);
            if !columns.is_empty() {
                emit(y, columns);
            }
        }
    }
}

fn polygon(points: &[Vec2], size: UVec2, emit: &mut dyn FnMut(u32, Range<u32>)) {
    let low = points.iter().map(|point| point.y).fold(f32::INFINITY, f32::min);
    let high = points.iter().map(|point| point.y).fold(f32::NEG_INFINITY, f32::max);
    if points.len() < 3 {
        return;
    }
    for y in rows(low, high, size.y) {
        let center = y as f32 + 0.5;
        let edges = points.iter().zip(points.iter().cycle().skip(1));
        let mut crossings: Vec<f32> = edges.filter_map(|(a, b)| crossing(*a, *b, center)).collect();
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            let columns = columns(pair[0], pair[1], size.x);
            if !columns.is_empty() {
                emit(y, columns);
            }
        }
    }
}

/// Rows of equal ids, from one to those above and below it.
fn fill(at: UVec2, size: UVec2, ids: &[u16], emit: &mut dyn FnMut(u32, Range<u32>)) {
    let (width, height) = (size.x as usize, size.y as usize);
    let (x, y) = (at.x as usize, at.y as usize);
    if x >= width || y >= height || ids.len() != width * height {
        return;
    }
    let class = ids[y * width + x];
    let mut done = vec![false; ids.len()];
    let mut open = vec![(x, y)];
    while let Some((x, y)) = open.pop() {
        let row = y * width;
        if done[row + x] {
            continue;
        }
        let is_free = |x: usize| ids[row + x] == class;
        let start = (0..=x).rev().take_while(|&x| is_free(x)).last().unwrap_or(x);
        let end = (x..width).take_while(|&x| is_free(x)).last().unwrap_or(x) + 1;
        done[row + start..row + end].fill(true);
        emit(y as u32, start as u32..end as u32);
        for next in [y.checked_sub(1), Some(y + 1).filter(|&y| y < height)].into_iter().flatten() {
            let mut before = false;
            for x in start..end {
                let free = ids[next * width + x] == class && !done[next * width + x];
                if free && !before {
                    open.push((x, next));
                }
                before = free;
            }
        }
    }
}

fn place<'a>(at: IVec2, stamp: &'a Stamp, size: UVec2, emit: &mut dyn FnMut(Span<'a>)) {
    let at = at.as_i64vec2();
    let (start, end) = (at.x.max(0), (at.x + i64::from(stamp.width)).min(i64::from(size.x)));
    if start >= end {
        return;
    }
    for (y, row) in (at.y..).zip(stamp.ids.chunks_exact(stamp.width as usize)) {
        if (0..i64::from(size.y)).contains(&y) {
            let ids = row.get((start - at.x) as usize..(end - at.x) as usize);
            emit(Span { y: y as u32, columns: start as u32..end as u32, ids });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(shape: &Shape, size: UVec2, ids: &[u16]) -> Vec<bool> {
        let mut covered = vec![false; (size.x * size.y) as usize];
        shape.spans(size, ids, &mut |span| {
            for x in span.columns.clone() {
                covered[(span.y * size.x + x) as usize] = true;
            }
        });
        covered
    }

    /// Compares with a test of every pixel's centre.
    fn same_as(shape: &Shape, inside: impl Fn(Vec2) -> bool) {
        let size = UVec2::new(40, 30);
        let found = painted(shape, size, &[]);
        for (i, found) in found.into_iter().enumerate() {
            let center = Vec2::new((i % 40) as f32 + 0.5, (i / 40) as f32 + 0.5);
            assert_eq!(found, inside(center), "{shape:?} at {center}");
        }
    }

    fn distance(point: Vec2, a: Vec2, b: Vec2) -> f32 {
        let along = (b - a).length_squared();
        let t = if along > 0.0 { ((point - a).dot(b - a) / along).clamp(0.0, 1.0) } else { 0.0 };
        (a + t * (b - a) - point).length()
    }

    #[test]
    fn discs_and_lines_cover_the_centres_within_their_radius() {
        let places = [(5.3, 7.1), (20.2, 14.7), (-4.0, 3.3), (38.7, 29.2), (50.1, 12.6)];
        for (i, &(ax, ay)) in places.iter().enumerate() {
            for &(bx, by) in &places[i..] {
                for radius in [1.37, 4.21, 9.77] {
                    let (from, to) = (Vec2::new(ax, ay), Vec2::new(bx, by));
                    same_as(&Shape::Line { from, to, radius }, |center| distance(center, from, to) <= radius);
                }
            }
            let center = Vec2::new(ax, ay);
            same_as(&Shape::Disc { center, radius: 3.6 }, |pixel| pixel.distance(center) <= 3.6);
        }
    }

    #[test]
    fn the_smallest_disc_is_the_pixel_under_it() {
        let size = UVec2::new(5, 5);
        for (x, y) in [(2.01, 3.99), (0.0, 0.0), (4.5, 2.2)] {
            let covered = painted(&Shape::Disc { center: Vec2::new(x, y), radius: 0.0 }, size, &[]);
            assert_eq!(covered.iter().filter(|&&on| on).count(), 1);
            assert!(covered[y as usize * 5 + x as usize]);
        }
        let outside = painted(&Shape::Disc { center: Vec2::new(-3.0, 2.0), radius: 0.0 }, size, &[]);
        assert!(outside.iter().all(|&on| !on));
    }

    #[test]
    fn polygons_cover_what_is_inside() {
        let points = vec![Vec2::new(3.2, 2.1), Vec2::new(33.7, 8.4), Vec2::new(12.3, 27.6)];
        let cross = |a: Vec2, b: Vec2, p: Vec2| (b - a).perp_dot(p - a) >= 0.0;
        let triangle = points.clone();
        same_as(&Shape::Polygon(points), |p| {
            cross(triangle[0], triangle[1], p)
                && cross(triangle[1], triangle[2], p)
                && cross(triangle[2], triangle[0], p)
        });
        same_as(&Shape::Polygon(vec![Vec2::ZERO, Vec2::ONE]), |_| false);
        // Beyond the border.
        let all = [(-9.0, -9.0), (99.0, -9.0), (99.0, 99.0), (-9.0, 99.0)].map(Vec2::from).to_vec();
        same_as(&Shape::Polygon(all), |_| true);
    }

    #[test]
    fn a_fill_stays_within_its_borders() {
        // A ring of 1 around 0, with 0 outside; corners do not connect.
        #[rustfmt::skip]
        let ids = [
            0, 0, 0, 0, 0, 0,
            0, 1, 1, 1, 1, 0,
            0, 1, 0, 0, 1, 0,
            0, 1, 0, 0, 1, 0,
            0, 1, 1, 1, 0, 1,
            0, 0, 0, 0, 0, 0,
        ];
        let size = UVec2::new(6, 6);
        let inner = painted(&Shape::Fill(UVec2::new(2, 2)), size, &ids);
        assert_eq!(inner.iter().filter(|&&on| on).count(), 4);
        let outer = painted(&Shape::Fill(UVec2::new(0, 0)), size, &ids);
        assert_eq!(outer.iter().filter(|&&on| on).count(), ids.iter().filter(|&&id| id == 0).count() - 4);
        assert!(painted(&Shape::Fill(UVec2::new(9, 0)), size, &ids).iter().all(|&on| !on));
    }

    #[test]
    fn stamps_have_holes_and_may_reach_over_the_border() {
        assert!(Stamp::new(2, vec![Some(1); 3]).is_err() && Stamp::new(0, vec![]).is_err());
        let stamp = Stamp::new(2, vec![Some(7), None, Some(8), Some(9)]).unwrap();
        assert_eq!((stamp.width(), stamp.height()), (2, 2));
        let mut map = crate::LabelMap::filled(3, 3, 0).unwrap();
        map.paint(&Shape::Stamp { at: IVec2::new(-1, 0), stamp: stamp.clone() }, 5).unwrap();
        assert_eq!(map.ids(), [0, 0, 0, 9, 0, 0, 0, 0, 0]);
        map.paint(&Shape::Stamp { at: IVec2::new(1, 1), stamp }, 5).unwrap();
        assert_eq!(map.ids(), [0, 0, 0, 9, 7, 0, 0, 8, 9]);
    }
}
