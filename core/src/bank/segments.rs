//! The segments of a label map: connected pixels of one class, and what they are compared by.

use crate::label::LabelMap;

/// Cells along each side of the grids that shapes and surroundings are compared on.
const GRID: usize = 16;
const CELLS: usize = GRID * GRID;
/// What is beyond the border of a picture, in place of a class. No network has so many classes.
const OUTSIDE: u16 = u16::MAX;

/// The box around a segment, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Connected pixels of one class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) class: u16,
    pub(super) bounds: Bounds,
    pub(super) pixels: usize,
}

/// A label map in segments. Pixels are connected to those above, below, left and right.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    width: usize,
    height: usize,
    /// The class of each pixel.
    pub(super) ids: Vec<u16>,
    /// The number of the segment of each pixel.
    pub(super) numbers: Vec<u32>,
    /// In the order of their first pixels.
    pub(super) all: Vec<Segment>,
}

/// What segments are compared by: shape and surroundings, whatever their place and size.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    /// Which cells of the box belong to the segment.
    shape: [u64; CELLS / 64],
    /// The classes in the box and a quarter of its sides beyond it.
    around: [u16; CELLS],
    /// Left, top, right and bottom in parts of the picture.
    place: [f64; 4],
}

impl Segments {
    pub(super) fn of(labels: &LabelMap) -> Self {
        let (width, height) = (labels.width(), labels.height());
        let ids: Vec<u16> = labels.ids().collect();
        let mut numbers = vec![u32::MAX; ids.len()];
        let (mut all, mut open) = (Vec::new(), Vec::new());
        for start in 0..ids.len() {
            if numbers[start] != u32::MAX {
                continue;
            }
            let (class, number) = (ids[start], all.len() as u32);
            let [mut left, mut right, mut bottom] = [start % width, start % width, start / width];
            let mut pixels = 0;
            numbers[start] = number;
            open.push(start);
            while let Some(at) = open.pop() {
                let (x, y) = (at % width, at / width);
                (left, right, bottom) = (left.min(x), right.max(x), bottom.max(y));
                pixels += 1;
                let mut visit = |next: usize| {
                    if ids[next] == class && numbers[next] == u32::MAX {
                        numbers[next] = number;
                        open.push(next);
                    }
                };
                if x > 0 {
                    visit(at - 1);
                }
                if x + 1 < width {
                    visit(at + 1);
                }
                if y > 0 {
                    visit(at - width);
                }
                if y + 1 < height {
                    visit(at + width);
                }
            }
            // The first pixel is in the highest row.
            let top = start / width;
            let bounds = Bounds { x: left, y: top, width: right + 1 - left, height: bottom + 1 - top };
            all.push(Segment { class, bounds, pixels });
        }
        Self { width, height, ids, numbers, all }
    }

    /// What a segment is compared by.
    pub(super) fn describe(&self, number: u32) -> Descriptor {
        let Bounds { x, y, width, height } = self.all[number as usize].bounds;
        let mut shape = [0; CELLS / 64];
        for cell in 0..CELLS {
            let at = (y + centre(cell / GRID, GRID, height)) * self.width + x + centre(cell % GRID, GRID, width);
            shape[cell / 64] |= u64::from(self.numbers[at] == number) << (cell % 64);
        }
        let more = |side: usize| (side / 4).max(1);
        let (wide, high) = (width + 2 * more(width), height + 2 * more(height));
        let around = std::array::from_fn(|cell| {
            let column = (x + centre(cell % GRID, GRID, wide)).checked_sub(more(width));
            let row = (y + centre(cell / GRID, GRID, high)).checked_sub(more(height));
            match (row, column) {
                (Some(row), Some(column)) if row < self.height && column < self.width => {
                    self.ids[row * self.width + column]
                }
                _ => OUTSIDE,
            }
        });
        let part = |at: usize, side: usize| at as f64 / side as f64;
        let place =
            [part(x, self.width), part(y, self.height), part(x + width, self.width), part(y + height, self.height)];
        Descriptor { shape, around, place }
    }
}

/// Where the centre of the `index`-th of `count` cells is on a side of so many pixels.
pub(super) fn centre(index: usize, count: usize, side: usize) -> usize {
    (2 * index + 1) * side / (2 * count)
}

impl Descriptor {
    /// How well another segment fits in this one's place, 0 to 2: the overlap of the shapes and that of the classes in and around
    /// the boxes, each as intersection over union.
    pub(super) fn fit(&self, other: &Self) -> f64 {
        let count = |join: fn(u64, u64) -> u64| -> u32 {
            self.shape.iter().zip(&other.shape).map(|(a, b)| join(*a, *b).count_ones()).sum()
        };
        let either = count(|a, b| a | b);
        // Few pixels may lie between the cells' centres.
        let shape = if either == 0 { 1.0 } else { f64::from(count(|a, b| a & b)) / f64::from(either) };
        let same: u16 = self.around.iter().zip(&other.around).map(|(a, b)| u16::from(a == b)).sum();
        shape + f64::from(same) / f64::from(2 * CELLS as u16 - same)
    }

    /// How far apart the boxes are, in parts of the picture: 0 for those of the same place and size.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        self.place.iter().zip(&other.place).map(|(a, b)| (a - b).abs()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_connected_pixels_of_a_class() {
        let ids = [
            [1, 1, 2, 1], //
            [2, 1, 2, 2],
            [1, 2, 2, 1],
        ];
        let segments = Segments::of(&LabelMap::new(4, 3, ids.concat()).unwrap());
        assert_eq!(segments.numbers, [0, 0, 1, 2, 3, 0, 1, 1, 4, 1, 1, 5]);
        let of = |number: usize| {
            let Segment { class, bounds: Bounds { x, y, width, height }, pixels } = segments.all[number];
            (class, [x, y, width, height], pixels)
        };
        assert_eq!(of(0), (1, [0, 0, 2, 2], 3));
        assert_eq!(of(1), (2, [1, 0, 3, 3], 5));
        assert_eq!(of(5), (1, [3, 2, 1, 1], 1));
        // A pixel on its own fills its box.
        assert_eq!(segments.describe(5).shape, [u64::MAX; 4]);
        assert!(segments.describe(5).around.contains(&OUTSIDE));
    }

    /// The same segment elsewhere and twice as large fits fully; another shape and other surroundings less.
    #[test]
    fn place_and_size_do_not_matter() {
        let map = |scale: usize, at: usize, back: u16| {
            let side = 32 * scale;
            let inside = |x: usize, y: usize| {
                let (x, y) = ((x / scale).wrapping_sub(at), (y / scale).wrapping_sub(at));
                x < 8 && y < 8 && (x < 4 || y < 4)
            };
            let ids = (0..side * side).map(|i| if inside(i % side, i / side) { 5 } else { back }).collect();
            let segments = Segments::of(&LabelMap::new(side, side, ids).unwrap());
            segments.describe(1)
        };
        let one = map(1, 8, 1);
        assert!((one.fit(&map(2, 4, 1)) - 2.0).abs() < 1e-9);
        assert!((one.fit(&one) - 2.0).abs() < 1e-9 && one.distance(&one) == 0.0);
        assert!(one.distance(&map(1, 9, 1)) > 0.0 && one.fit(&map(1, 8, 2)) < 1.7);
        let square = Segments::of(&LabelMap::filled(8, 8, 5).unwrap()).describe(0);
        assert!((one.fit(&square) - 0.75).abs() < 0.75, "{}", one.fit(&square));
    }
}
