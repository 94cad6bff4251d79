//! Distance maps: the position of each pixel within its object.

use super::map::{LabelMap, check_size};
use crate::error::{Error, Result};

/// Added to an object's largest offset before dividing by it, in pixels, so that an object of one pixel gives 0.
const MARGIN: f64 = 1e-5;

/// Channels of a position: vertical, then horizontal.
pub(crate) const POSITION_CHANNELS: usize = 2;

/// The position of each pixel within its object: its offset below and to the right of the object's centroid.
///
/// This is the intra-class positional encoding of CLADE-ICPE (Tan et al., "Efficient Semantic Image Synthesis via
/// Class-Adaptive Normalization", 2021, section 3), by which a normalisation layer distinguishes pixels of one
/// class. It has two planes of `width * height` values each, row by row from the top left.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceMap {
    width: usize,
    height: usize,
    vertical: Vec<f32>,
    horizontal: Vec<f32>,
}

impl DistanceMap {
    /// The encoding of a label map, at its own size.
    ///
    /// An object is a connected set of pixels with the same id; pixels that touch only at a corner are connected.
    /// Along each axis, a pixel's value is its offset from the object's centroid (the mean of its pixels), divided
    /// by the object's largest absolute offset plus 1e-5. So values of any object are between -1 and 1, and nearly
    /// -1 or 1 at the end that is further from the centroid. Pixels of id 0 get 0, whatever class that is: the
    /// paper's networks were trained this way.
    ///
    /// Time and memory are linear in the area.
    pub fn of(labels: &LabelMap) -> Self {
        let (width, height) = (labels.width(), labels.height());
        let mut map =
            Self { width, height, vertical: vec![0.0; width * height], horizontal: vec![0.0; width * height] };
        let mut objects = Objects::new(labels);
        while let Some(runs) = objects.next_runs() {
            map.encode(runs);
        }
        map
    }

    /// Uses maps made elsewhere: `width * height` values each, row by row from the top left, about -1 to 1.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0, a plane has the wrong number of values, or a value is not finite;
    /// [`Error::Limit`] for a size that no label map can have.
    pub fn new(width: usize, height: usize, vertical: Vec<f32>, horizontal: Vec<f32>) -> Result<Self> {
        check_size(width, height).map_err(|e| e.context("distance map"))?;
        for (name, plane) in [("vertical", &vertical), ("horizontal", &horizontal)] {
            if plane.len() != width * height {
                return Err(Error::Argument(format!(
                    "{} {name} offsets do not fill a distance map of {width}x{height} = {} pixels",
                    plane.len(),
                    width * height
                )));
            }
            if let Some((i, value)) = plane.iter().enumerate().find(|(_, value)| !value.is_finite()) {
                return Err(Error::Argument(format!(
                    "the {name} offset at ({}, {}) of a distance map is {value}; offsets must be finite",
                    i % width,
                    i / width
                )));
            }
        }
        Ok(Self { width, height, vertical, horizontal })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Offsets downwards, row by row from the top left.
    pub fn vertical(&self) -> &[f32] {
        &self.vertical
    }

    /// Offsets to the right, row by row from the top left.
    pub fn horizontal(&self) -> &[f32] {
        &self.horizontal
    }

    /// Samples both planes, first the vertical one, at the given rows and columns, which must be within the map.
    /// Gives `2 * rows * columns` values.
    pub(crate) fn sample(
        &self,
        rows: impl Iterator<Item = usize> + Clone,
        columns: impl Iterator<Item = usize> + Clone,
    ) -> Vec<f32> {
        let mut planes = Vec::new();
        for plane in [&self.vertical, &self.horizontal] {
            for y in rows.clone() {
                let row = &plane[y * self.width..][..self.width];
                planes.extend(columns.clone().map(|x| row[x]));
            }
        }
        planes
    }

    /// Writes the offsets of one object.
    fn encode(&mut self, runs: &[Run]) {
        let mut rows = Extent::default();
        let mut columns = Extent::default();
        for run in runs {
            rows.add(run.y, run.y, run.len());
            columns.add(run.start, run.end - 1, run.len());
        }
        let (rows, columns) = (rows.scale(), columns.scale());
        for run in runs {
            let at = usize::from(run.y) * self.width;
            let range = at + usize::from(run.start)..at + usize::from(run.end);
            self.vertical[range.clone()].fill(rows.at(run.y));
            for (offset, x) in self.horizontal[range].iter_mut().zip(run.start..) {
                *offset = columns.at(x);
            }
        }
    }
}

/// Neighbouring pixels of one id in a row: `start..end`. Sides are at most 32768 pixels, which 16 bits hold.
#[derive(Clone, Copy)]
struct Run {
    y: u16,
    start: u16,
    end: u16,
}

impl Run {
    fn len(self) -> u64 {
        u64::from(self.end - self.start)
    }
}

/// Iterates over the objects of a map.
struct Objects {
    width: usize,
    height: usize,
    /// Ids row by row; 0 for pixels that need no (further) work.
    ids: Vec<u16>,
    /// All pixels before this index are done.
    next: usize,
    runs: Vec<Run>,
    /// A queue of pixels, as (x, y): one for each run that touches a run of the object.
    touched: Vec<(u16, u16)>,
}

impl Objects {
    fn new(labels: &LabelMap) -> Self {
        let (width, height) = (labels.width(), labels.height());
        Self { width, height, ids: labels.ids().collect(), next: 0, runs: Vec::new(), touched: Vec::new() }
    }

    /// The runs of the next object, in no particular order.
    fn next_runs(&mut self) -> Option<&[Run]> {
        self.next += self.ids[self.next..].iter().position(|&id| id != 0)?;
        self.take(self.next % self.width, self.next / self.width);
        Some(&self.runs)
    }

    /// Moves the object at (x, y) from `ids` to `runs`.
    fn take(&mut self, x: usize, y: usize) {
        let id = self.ids[y * self.width + x];
        self.runs.clear();
        self.touched.push((x as u16, y as u16));
        while let Some((x, y)) = self.touched.pop() {
            let (x, y) = (usize::from(x), usize::from(y));
            let row = &mut self.ids[y * self.width..][..self.width];
            if row[x] != id {
                // The run touches several runs of the object and was taken with the first of them.
                continue;
            }
            let start = row[..x].iter().rposition(|&other| other != id).map_or(0, |before| before + 1);
            let end = row[x..].iter().position(|&other| other != id).map_or(self.width, |len| x + len);
            row[start..end].fill(0);
            self.runs.push(Run { y: y as u16, start: start as u16, end: end as u16 });
            // Pixels that touch at corners are connected.
            let (start, end) = (start.saturating_sub(1), (end + 1).min(self.width));
            if y > 0 {
                self.touch(id, y - 1, start, end);
            }
            if y + 1 < self.height {
                self.touch(id, y + 1, start, end);
            }
        }
    }

    /// Queues the first pixel of each run of `id` in a part of a row.
    fn touch(&mut self, id: u16, y: usize, start: usize, end: usize) {
        let mut inside = false;
        for (&other, x) in self.ids[y * self.width..][start..end].iter().zip(start..) {
            if other == id && !inside {
                self.touched.push((x as u16, y as u16));
            }
            inside = other == id;
        }
    }
}

/// The extent of an object along one axis.
struct Extent {
    count: u64,
    sum: u64,
    first: u16,
    last: u16,
}

impl Default for Extent {
    fn default() -> Self {
        Self { count: 0, sum: 0, first: u16::MAX, last: 0 }
    }
}

impl Extent {
    /// Adds `count` pixels, evenly spread from `first` to `last`.
    fn add(&mut self, first: u16, last: u16, count: u64) {
        self.count += count;
        // The division is exact: either `count` is even, or the sum of first and last is.
        self.sum += (u64::from(first) + u64::from(last)) * count / 2;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
    }

    fn scale(&self) -> Scale {
        let (count, sum) = (self.count as f64, self.sum as f64);
        let reach = (sum - f64::from(self.first) * count).max(f64::from(self.last) * count - sum);
        Scale { count, sum, reach: reach + MARGIN * count }
    }
}

/// Turns positions along one axis into offsets.
///
/// Everything is multiplied by the number of pixels. The offset from the centroid is then a whole number below
/// 2^53, so it is exact, and mirrored objects get exactly mirrored values.
struct Scale {
    count: f64,
    sum: f64,
    reach: f64,
}

impl Scale {
    fn at(&self, position: u16) -> f32 {
        ((f64::from(position) * self.count - self.sum) / self.reach) as f32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::resize::floor_indices;
    use super::*;

    /// Resized as [`LabelMap::resize_floor`] does.
    fn at(map: &DistanceMap, height: usize, width: usize) -> Vec<f32> {
        map.sample(floor_indices(map.height, height), floor_indices(map.width, width))
    }

    fn map(width: usize, ids: &[u16]) -> LabelMap {
        LabelMap::new(width, ids.len() / width, ids.to_vec()).unwrap()
    }

    /// Few ids, so that objects are large and intricate; some maps are mostly id 1.
    fn any_map() -> impl Strategy<Value = LabelMap> {
        let id = prop_oneof![
            (0_u16..2).boxed(),
            (0_u16..4).boxed(),
            prop::sample::select(vec![1_u16, 1, 1, 0, 400]).boxed()
        ];
        (1_usize..16, 1_usize..16, prop::collection::vec(id, 256)).prop_map(|(width, height, ids)| {
            LabelMap::new(width, height, ids.into_iter().cycle().take(width * height).collect()).unwrap()
        })
    }

    fn close(found: &[f32], expected: &[f32]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    /// The object of each pixel, found by spreading the lowest index among equal neighbours until nothing changes.
    fn objects(map: &LabelMap) -> BTreeMap<usize, Vec<(usize, usize)>> {
        let (width, height) = (map.width(), map.height());
        let mut lowest: Vec<usize> = (0..width * height).collect();
        loop {
            let before = lowest.clone();
            for i in 0..width * height {
                let (x, y) = (i % width, i / width);
                for ny in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                    for nx in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                        if map.get(nx, ny) == map.get(x, y) {
                            lowest[i] = lowest[i].min(lowest[ny * width + nx]);
                        }
                    }
                }
            }
            if lowest == before {
                break;
            }
        }
        let mut objects = BTreeMap::<_, Vec<_>>::new();
        for (i, object) in lowest.into_iter().enumerate() {
            if map.get(i % width, i / width) != Some(0) {
                objects.entry(object).or_default().push((i % width, i / width));
            }
        }
        objects
    }

    /// A direct implementation of the definition.
    fn naive(map: &LabelMap) -> DistanceMap {
        let (width, height) = (map.width(), map.height());
        let mut planes = [vec![0.0; width * height], vec![0.0; width * height]];
        for pixels in objects(map).values() {
            let positions = pixels.iter().map(|&(x, y)| [y as f64, x as f64]);
            for (axis, plane) in planes.iter_mut().enumerate() {
                let centre = positions.clone().map(|p| p[axis]).sum::<f64>() / pixels.len() as f64;
                let max = positions.clone().map(|p| (p[axis] - centre).abs() + 1e-5).fold(0.0, f64::max);
                for (&(x, y), position) in pixels.iter().zip(positions.clone()) {
                    plane[y * width + x] = ((position[axis] - centre) / max) as f32;
                }
            }
        }
        let [vertical, horizontal] = planes;
        DistanceMap::new(width, height, vertical, horizontal).unwrap()
    }

    #[test]
    fn a_rectangle_reaches_from_minus_one_to_one() {
        let found = DistanceMap::of(&map(5, &[0, 7, 7, 7, 0, 0, 7, 7, 7, 0]));
        let (v, h) = (0.5 / 0.50001, 1.0 / 1.00001);
        assert!(close(found.vertical(), &[0.0, -v, -v, -v, 0.0, 0.0, v, v, v, 0.0]), "{found:?}");
        assert!(close(found.horizontal(), &[0.0, -h, 0.0, h, 0.0, 0.0, -h, 0.0, h, 0.0]), "{found:?}");
        assert_eq!((found.width(), found.height()), (5, 2));
    }

    #[test]
    fn each_object_is_scaled_by_itself() {
        // Two objects of one class; the second is asymmetric, and its longer side has the largest offset.
        let found = DistanceMap::of(&map(9, &[3, 3, 0, 3, 3, 3, 3, 3, 3]));
        assert!((found.horizontal()[1] - 0.5 / 0.50001).abs() < 1e-6, "{found:?}");
        assert!((found.horizontal()[8] - 2.5 / 2.50001).abs() < 1e-6, "{found:?}");
        let found = DistanceMap::of(&map(4, &[1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0]));
        assert!(close(&found.horizontal()[..4], &[-1.0, 0.0, 1.0, 2.0].map(|x: f32| x / 2.00001)), "{found:?}");
        assert!(close(&found.vertical()[..1], &[-0.5 / 1.50001]), "{found:?}");
    }

    #[test]
    fn corners_connect() {
        let d = 1.0 / 1.00001;
        let slash = DistanceMap::of(&map(3, &[0, 0, 5, 0, 5, 0, 5, 0, 0]));
        assert!(close(slash.vertical(), &[0.0, 0.0, -d, 0.0, 0.0, 0.0, d, 0.0, 0.0]), "{slash:?}");
        assert!(close(slash.horizontal(), &[0.0, 0.0, d, 0.0, 0.0, 0.0, -d, 0.0, 0.0]), "{slash:?}");
        // Diagonals of two ids cross without breaking each other.
        let cross = DistanceMap::of(&map(2, &[5, 6, 6, 5]));
        let d = 0.5 / 0.50001;
        assert!(close(cross.horizontal(), &[-d, d, -d, d]), "{cross:?}");
        // The end of a row does not touch the next row's start.
        let apart = DistanceMap::of(&map(3, &[0, 0, 5, 5, 0, 0]));
        assert!(close(apart.horizontal(), &[0.0; 6]) && close(apart.vertical(), &[0.0; 6]), "{apart:?}");
    }

    #[test]
    fn single_pixels_and_id_zero_are_zero() {
        for map in [map(3, &[1, 2, 1, 3, 4, 5, 1, 2, 1]), map(1, &[400]), LabelMap::filled(4, 3, 0).unwrap()] {
            let found = DistanceMap::of(&map);
            assert!(found.vertical().iter().chain(found.horizontal()).all(|&v| v == 0.0), "{found:?}");
        }
    }

    #[test]
    fn long_winding_objects_are_one() {
        // A comb: every second column, joined only in the bottom row, so that it is found from many sides.
        let (width, height) = (301, 200);
        let ids = (0..width * height).map(|i| u16::from(i % width % 2 == 0 || i / width == height - 1)).collect();
        let found = DistanceMap::of(&LabelMap::new(width, height, ids).unwrap());
        assert!(found.horizontal()[0] < -0.9999 && found.horizontal()[width - 1] > 0.9999);
        assert!(found.horizontal()[150].abs() < 1e-9);
    }

    #[test]
    fn large_maps_stay_exact() {
        let (width, height) = (32768, 3);
        let found = DistanceMap::of(&LabelMap::filled(width, height, 9).unwrap());
        let half = 16383.5;
        for x in [0, 1, 16383, 16384, 32766, 32767] {
            let expected = ((x as f64 - half) / (half + 1e-5)) as f32;
            assert_eq!(found.horizontal()[x].to_bits(), expected.to_bits(), "{x}");
        }
        assert!(found.vertical()[width..2 * width].iter().all(|&v| v == 0.0));
    }

    #[test]
    fn ready_made_maps_are_checked() {
        let new = DistanceMap::new;
        assert!(matches!(new(0, 2, vec![], vec![]), Err(Error::Argument(_))));
        assert!(matches!(new(usize::MAX, usize::MAX, vec![], vec![]), Err(Error::Limit(_))));
        assert!(
            matches!(new(2, 1, vec![0.0], vec![0.0; 2]), Err(Error::Argument(m)) if m.starts_with("1 vertical offsets"))
        );
        assert!(matches!(new(2, 1, vec![0.0; 2], vec![0.0; 3]), Err(Error::Argument(m)) if m.contains("3 horizontal")));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = new(2, 2, vec![0.0; 4], vec![0.0, 0.0, bad, 0.0]).unwrap_err().to_string();
            assert!(message.contains("horizontal offset at (0, 1)"), "{message}");
        }
        let made = new(2, 1, vec![0.5, -0.5], vec![1.0, -1.0]).unwrap();
        assert_eq!((made.vertical(), made.horizontal()), (&[0.5, -0.5][..], &[1.0, -1.0][..]));
    }

    #[test]
    fn resizing_takes_the_top_left_pixel() {
        let made = DistanceMap::new(4, 2, (0..8_u8).map(f32::from).collect(), (10..18_u8).map(f32::from).collect());
        let made = made.unwrap();
        assert_eq!(at(&made, 1, 2), [0.0, 2.0, 10.0, 12.0]);
        assert_eq!(at(&made, 4, 1), [0.0, 0.0, 4.0, 4.0, 10.0, 10.0, 14.0, 14.0]);
    }

    proptest! {
        #[test]
        fn maps_are_as_defined(map in any_map()) {
            let (found, expected) = (DistanceMap::of(&map), naive(&map));
            prop_assert!(close(found.vertical(), expected.vertical()), "{:?}\n{:?}", found, expected);
            prop_assert!(close(found.horizontal(), expected.horizontal()), "{:?}\n{:?}", found, expected);
        }

        #[test]
        fn offsets_are_bounded_and_cancel_in_each_object(map in any_map()) {
            let found = DistanceMap::of(&map);
            for plane in [found.vertical(), found.horizontal()] {
                prop_assert!(plane.iter().all(|v| (-1.0..=1.0).contains(v)));
                for pixels in objects(&map).values() {
                    let values: Vec<f32> = pixels.iter().map(|&(x, y)| plane[y * map.width() + x]).collect();
                    prop_assert!(values.iter().sum::<f32>().abs() < 1e-4);
                    let reach = values.iter().fold(0.0, |reach: f32, v| reach.max(v.abs()));
                    prop_assert!(reach == 0.0 || reach > 0.9999, "{}", reach);
                }
            }
            for (id, (v, h)) in map.ids().zip(found.vertical().iter().zip(found.horizontal())) {
                prop_assert!(id != 0 || (*v == 0.0 && *h == 0.0));
            }
        }

        /// So a symmetric map gives a plane that is antisymmetric across the axis, and one that is symmetric along
        /// it.
        #[test]
        fn mirroring_negates_the_horizontal_offsets(map in any_map()) {
            let (found, mirrored) = (DistanceMap::of(&map), DistanceMap::of(&map.flip_horizontal()));
            let rows = |plane: &[f32]| plane.chunks(map.width()).map(<[f32]>::to_vec).collect::<Vec<_>>();
            for (row, mirrored) in rows(found.vertical()).iter_mut().zip(rows(mirrored.vertical())) {
                row.reverse();
                prop_assert_eq!(&*row, &mirrored);
            }
            for (row, mirrored) in rows(found.horizontal()).iter().zip(rows(mirrored.horizontal())) {
                prop_assert_eq!(row.iter().rev().map(|v| -v).collect::<Vec<_>>(), mirrored);
            }
        }

        #[test]
        fn transposing_swaps_the_planes(labels in any_map()) {
            let transpose = |values: &[f32], width: usize| -> Vec<f32> {
                (0..width).flat_map(|x| values.iter().skip(x).step_by(width).copied()).collect()
            };
            let (width, height) = (labels.width(), labels.height());
            let places = (0..width).flat_map(|x| (0..height).map(move |y| (x, y)));
            let transposed = map(height, &places.filter_map(|(x, y)| labels.get(x, y)).collect::<Vec<_>>());
            let (found, swapped) = (DistanceMap::of(&labels), DistanceMap::of(&transposed));
            prop_assert_eq!(transpose(found.vertical(), width), swapped.horizontal());
            prop_assert_eq!(transpose(found.horizontal(), width), swapped.vertical());
        }

        #[test]
        fn resizing_follows_the_rule_of_label_maps(map in any_map(), width in 1_usize..40, height in 1_usize..40) {
            // The position of each pixel, as a map of ids and as offsets.
            let places: Vec<u16> = (0..map.width() * map.height()).map(|i| i as u16).collect();
            let offsets: Vec<f32> = places.iter().copied().map(f32::from).collect();
            let negated = offsets.iter().map(|v| -v).collect();
            let labels = LabelMap::new(map.width(), map.height(), places).unwrap();
            let found = at(&DistanceMap::new(map.width(), map.height(), offsets, negated).unwrap(), height, width);
            let expected: Vec<f32> = labels.resize_floor(width, height).unwrap().ids().map(f32::from).collect();
            let negated: Vec<f32> = expected.iter().map(|v| -v).collect();
            prop_assert_eq!(found, [expected, negated].concat());
        }
    }
}
