//! The label map of a world: which class each pixel of an unbounded plane has.

use super::super::rng::Rng;
use super::classes::{
    COUNT, DEEP_WATER, DIRT, FIELD, FOREST, GRASS, ROAD, ROCK, ROOF, SAND, SHALLOW_WATER, SNOW, WETLAND,
};
use super::noise::{cells, fractal, random, smooth, smoothstep};

/// Pixels between the places where slow noise is computed; it is interpolated between them.
const STEP: i32 = 4;

/// A rectangle of the world, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Area {
    /// With `by` more pixels on every side.
    pub(super) fn grown(self, by: usize) -> Self {
        let Self { x, y, width, height } = self;
        Self { x: x - by as i32, y: y - by as i32, width: width + 2 * by, height: height + 2 * by }
    }
}

/// How a world is laid out.
#[derive(Clone, Debug)]
pub(super) struct World {
    seed: u32,
    /// Whether classes lie beside each other at random, as people paint them, instead of as in nature.
    patchwork: bool,
    /// Size of landscapes in pixels: about that of a lake or a wood.
    scale: f64,
    /// Shifts of elevation, moisture, and of the shares of settled and farmed land.
    bias: [f32; 4],
    /// Cosine and sine of the direction of streets, and of that of plots.
    turns: [(f64, f64); 2],
}

/// Slow noise over an area.
struct Slow {
    left: i32,
    top: i32,
    columns: usize,
    values: Vec<f32>,
}

impl Slow {
    fn new(area: Area, f: impl Fn(f64, f64) -> f32) -> Self {
        // Two more samples on both sides, for slopes.
        let (left, top) = (area.x.div_euclid(STEP) - 1, area.y.div_euclid(STEP) - 1);
        let columns = (area.x + area.width as i32).div_euclid(STEP) + 3 - left;
        let rows = (area.y + area.height as i32).div_euclid(STEP) + 3 - top;
        let sample = |i: i32| f(f64::from(STEP * (left + i % columns)), f64::from(STEP * (top + i / columns)));
        Self { left, top, columns: columns as usize, values: (0..columns * rows).map(sample).collect() }
    }

    fn at(&self, x: i32, y: i32) -> f32 {
        let (column, row) = (x.div_euclid(STEP), y.div_euclid(STEP));
        let part = |v: i32| v.rem_euclid(STEP) as f32 / STEP as f32;
        let at = (row - self.top) as usize * self.columns + (column - self.left) as usize;
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let upper = mix(self.values[at], self.values[at + 1], part(x));
        let lower = mix(self.values[at + self.columns], self.values[at + self.columns + 1], part(x));
        mix(upper, lower, part(y))
    }

    /// The value over the length of its slope: about the distance to the line where it is 0, in pixels.
    fn distance(&self, x: i32, y: i32) -> f32 {
        let (column, row) = (x.div_euclid(STEP), y.div_euclid(STEP));
        let at = (row - self.top) as usize * self.columns + (column - self.left) as usize;
        let (dx, dy) = (self.values[at + 1] - self.values[at], self.values[at + self.columns] - self.values[at]);
        let slope = (dx * dx + dy * dy).sqrt() / STEP as f32;
        self.at(x, y).abs() / slope.max(1e-4)
    }
}

/// The slow noise that a natural landscape is made of.
struct Fields {
    elevation: Slow,
    moisture: Slow,
    warmth: Slow,
    settled: Slow,
    farmed: Slow,
    road: Slow,
    warp: [Slow; 2],
}

/// Rational points of the circle: directions without sines, which differ between platforms.
const TURNS: [(f64, f64); 6] =
    [(1.0, 0.0), (0.8, 0.6), (0.6, -0.8), (12.0 / 13.0, 5.0 / 13.0), (15.0 / 17.0, -8.0 / 17.0), (0.0, 1.0)];

impl World {
    /// A landscape at its usual scale, with a bit of everything.
    pub(super) fn natural(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0);
        let turns = [rng.pick(TURNS), rng.pick(TURNS)];
        Self { seed: rng.seed(), patchwork: false, scale: 420.0, bias: [0.0; 4], turns }
    }

    /// A world to learn from: a natural landscape whose size and composition vary, or a patchwork.
    pub(super) fn varied(rng: &mut Rng) -> Self {
        let patchwork = rng.chance(0.35);
        let scale = f64::from(if patchwork { rng.range(26.0, 90.0) } else { rng.range(130.0, 400.0) });
        let bias = [rng.range(-0.35, 0.5), rng.range(-0.4, 0.4), rng.range(-0.35, 0.35), rng.range(-0.35, 0.35)];
        Self { seed: rng.seed(), patchwork, scale, bias, turns: [rng.pick(TURNS), rng.pick(TURNS)] }
    }

    /// The seed of everything that is painted into this world.
    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    fn noise(&self, tag: u32) -> u32 {
        self.seed ^ tag.wrapping_mul(0x9e37_79b9)
    }

    /// Class ids, in row-major order.
    pub(super) fn ids(&self, area: Area) -> Vec<u16> {
        let places =
            (0..area.height as i32).flat_map(|y| (0..area.width as i32).map(move |x| (area.x + x, area.y + y)));
        if self.patchwork {
            return places.map(|(x, y)| self.patch(x, y)).collect();
        }
        let scale = self.scale;
        let slow = |tag: u32, size: f64, octaves: u32| {
            let seed = self.noise(tag);
            Slow::new(area, move |x, y| fractal(x / (scale * size), y / (scale * size), octaves, seed))
        };
        let fields = Fields {
            elevation: slow(1, 1.0, 4),
            moisture: slow(2, 0.7, 3),
            warmth: slow(3, 1.1, 2),
            settled: slow(4, 1.0, 2),
            farmed: slow(5, 0.9, 2),
            road: slow(6, 1.1, 2),
            warp: [slow(7, 0.2, 2), slow(8, 0.2, 2)],
        };
        places.map(|(x, y)| self.natural_class(&fields, x, y)).collect()
    }

    /// The class at a pixel of a patchwork: cells with wavy borders.
    fn patch(&self, x: i32, y: i32) -> u16 {
        let (x, y) = (f64::from(x), f64::from(y));
        let bend = |tag: u32| {
            let seed = self.noise(tag);
            f64::from(9.0 * smooth(x / 34.0, y / 34.0, seed) + 3.0 * smooth(x / 9.0, y / 9.0, seed ^ 1))
        };
        let cell = cells((x + bend(9)) / self.scale, (y + bend(10)) / self.scale, self.noise(11));
        let number = random(cell.at.0, cell.at.1, self.noise(12));
        ((number * COUNT as f32) as u16).min(COUNT as u16 - 1)
    }

    fn natural_class(&self, fields: &Fields, x: i32, y: i32) -> u16 {
        let fine = |tag: u32, size: f64| smooth(f64::from(x) / size, f64::from(y) / size, self.noise(tag));
        let ripple = fine(20, 13.0);
        let elevation = fields.elevation.at(x, y) + self.bias[0] + 0.05 * ripple + 0.025 * fine(21, 5.0);
        let moisture = fields.moisture.at(x, y) + self.bias[1] + 0.10 * fine(22, 17.0) + 0.04 * fine(23, 6.0);
        let warmth = fields.warmth.at(x, y);
        let dry_land = elevation > -0.16;
        if dry_land && elevation < 0.42 {
            let settled = fields.settled.at(x, y) + self.bias[2];
            if settled > 0.32 {
                return self.town(x, y, settled);
            }
            if fields.road.distance(x, y) < 4.6 + 0.5 * ripple && settled > -0.55 {
                return ROAD;
            }
            if fields.farmed.at(x, y) + self.bias[3] > 0.2 && elevation < 0.30 {
                return self.farm(x, y);
            }
        }
        match elevation {
            e if e < -0.34 => DEEP_WATER,
            e if e < -0.19 => SHALLOW_WATER,
            e if e < -0.12 + 0.06 * warmth => {
                if moisture > 0.22 {
                    WETLAND
                } else {
                    SAND
                }
            }
            e if e > 0.52 - 0.12 * warmth => SNOW,
            e if e > 0.34 + 0.10 * fine(24, 30.0) => ROCK,
            e if e < 0.02 && moisture > 0.34 => WETLAND,
            _ if moisture > 0.06 => FOREST,
            _ if moisture < -0.46 => SAND,
            _ if moisture < -0.34 => DIRT,
            _ => {
                // Bends of the small noise leave outcrops and bare spots in the meadows.
                let spot = fields.warp[0].at(x, y) + 0.15 * ripple;
                if spot > 0.62 {
                    ROCK
                } else if fields.warp[1].at(x, y) + 0.15 * ripple > 0.58 {
                    DIRT
                } else {
                    GRASS
                }
            }
        }
    }

    /// Coordinates along and across a direction.
    fn turned(&self, which: usize, x: i32, y: i32) -> (f32, f32) {
        let ((c, s), x, y) = (self.turns[which], f64::from(x), f64::from(y));
        ((x * c + y * s) as f32, (y * c - x * s) as f32)
    }

    /// Blocks of houses between straight streets.
    fn town(&self, x: i32, y: i32, settled: f32) -> u16 {
        const BLOCK: (f32, f32) = (104.0, 66.0);
        const STREET: f32 = 9.0;
        let (u, v) = self.turned(0, x, y);
        let (column, row) = ((u / BLOCK.0).floor() as i32, (v / BLOCK.1).floor() as i32);
        let (u, v) = (u - column as f32 * BLOCK.0, v - row as f32 * BLOCK.1);
        if u < STREET || v < STREET {
            return ROAD;
        }
        // Two rows of four lots.
        let (u, v) = (u - STREET, v - STREET);
        let lot = ((BLOCK.0 - STREET) / 4.0, (BLOCK.1 - STREET) / 2.0);
        let (i, j) = ((u / lot.0) as i32, (v / lot.1) as i32);
        let (u, v) = (u - i as f32 * lot.0, v - j as f32 * lot.1);
        let number = |tag: u32| random(4 * column + i, 2 * row + j, self.noise(40 + tag));
        let (width, depth) = (lot.0 * (0.5 + 0.4 * number(0)), lot.1 * (0.42 + 0.38 * number(1)));
        let left = 0.5 * (lot.0 - width);
        // Houses stand towards their street.
        let top = if j == 0 { 2.0 + 3.0 * number(2) } else { lot.1 - depth - 2.0 - 3.0 * number(2) };
        let inside = u > left && u < left + width && v > top && v < top + depth;
        let notch = number(3) < 0.35 && u > left + 0.55 * width && (v - top > 0.5 * depth) == (j == 0);
        // Fewer houses towards the edge of the town.
        if inside && !notch && number(4) < smoothstep(0.25, 0.5, settled) + 0.15 {
            return ROOF;
        }
        let garden = fractal(f64::from(x) / 26.0, f64::from(y) / 26.0, 2, self.noise(50));
        match number(5) {
            n if n < 0.12 && garden > -0.4 => FOREST,
            n if n < 0.24 => DIRT,
            _ if garden > 0.42 => FOREST,
            _ => GRASS,
        }
    }

    /// Plots of fields and meadows between hedges and tracks.
    fn farm(&self, x: i32, y: i32) -> u16 {
        let (u, v) = self.turned(1, x, y);
        let bend = 10.0 * smooth(f64::from(x) / 120.0, f64::from(y) / 120.0, self.noise(60));
        let (u, v) = (u + bend, v - 0.5 * bend);
        let row = (v / 76.0).floor() as i32;
        let length = 80.0 + 90.0 * random(row, 0, self.noise(61));
        let column = (u / length).floor() as i32;
        let (u, v) = (u - column as f32 * length, v - row as f32 * 76.0);
        let number = |tag: u32| random(column, row, self.noise(62 + tag));
        if v < 3.0 && random(row, 7, self.noise(70)) < 0.6 {
            return DIRT;
        }
        if u < 7.0 && number(0) < 0.4 {
            return FOREST;
        }
        match number(1) {
            n if n < 0.68 => FIELD,
            n if n < 0.88 => GRASS,
            n if n < 0.94 => FOREST,
            _ => DIRT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_world_is_a_part_of_the_whole() {
        let mut rng = Rng::new(5, 5);
        for world in [World::natural(3), World::varied(&mut rng), World::varied(&mut rng), World::varied(&mut rng)] {
            let whole = Area { x: -37, y: 1003, width: 90, height: 70 };
            let part = Area { x: -20, y: 1021, width: 41, height: 33 };
            let (all, some) = (world.ids(whole), world.ids(part));
            for y in 0..part.height {
                let from = (y + 18) * whole.width + 17;
                assert_eq!(all[from..from + part.width], some[y * part.width..][..part.width], "{world:?}");
            }
        }
    }
}
