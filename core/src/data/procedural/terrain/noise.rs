//! Noise over an unbounded world: every value depends on the place and a seed, never on the part that is painted.
//!
//! Only integer hashes and the basic operations of IEEE 754 are used, so a world is the same on every platform.

use super::super::rng::lattice;

/// The largest integer up to `x`, and the rest.
fn split(x: f64) -> (i32, f32) {
    let whole = x as i32;
    let whole = whole - i32::from(f64::from(whole) > x);
    (whole, (x - f64::from(whole)) as f32)
}

fn hash(x: i32, y: i32, seed: u32) -> u32 {
    let mut h = x.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ y.cast_unsigned().wrapping_mul(0x85eb_ca77) ^ seed;
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

/// `0.0` below `low`, `1.0` above `high`, smooth between.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A number in `0.0..1.0` for a cell of a lattice.
pub(super) fn random(x: i32, y: i32, seed: u32) -> f32 {
    lattice(x, y, seed)
}

/// Smooth noise, about -1 to 1 with mean 0, with features of one unit.
pub(super) fn smooth(x: f64, y: f64, seed: u32) -> f32 {
    let ((ix, u), (iy, v)) = (split(x), split(y));
    // Sixteen directions would not look better than these eight.
    let corner = |dx: i32, dy: i32| {
        let (u, v) = (u - dx as f32, v - dy as f32);
        match hash(ix.wrapping_add(dx), iy.wrapping_add(dy), seed) >> 29 {
            0 => u + v,
            1 => u - v,
            2 => v - u,
            3 => -u - v,
            4 => 1.414 * u,
            5 => -1.414 * u,
            6 => 1.414 * v,
            _ => -1.414 * v,
        }
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (s, t) = (fade(u), fade(v));
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * s;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * s;
    upper + (lower - upper) * t
}

/// A sum of `octaves` of [`smooth`], each half as large and half as strong as the one before; about -1 to 1.
pub(super) fn fractal(x: f64, y: f64, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut gain, mut scale, mut total) = (0.0, 1.0, 1.0, 0.0);
    for octave in 0..octaves {
        // Octaves are shifted, so that their lattices do not meet at one place.
        let shift = 17.31 * f64::from(octave);
        sum += gain * smooth(x * scale + shift, y * scale - shift, seed.wrapping_add(octave.wrapping_mul(0x9e37_79b9)));
        total += gain;
        gain *= 0.5;
        scale *= 2.0;
    }
    1.5 * sum / total
}

/// The nearest points of a jittered lattice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Distance to the nearest point.
    pub(super) near: f32,
    /// Distance to the second nearest point.
    pub(super) next: f32,
    /// The lattice cell of the nearest point.
    pub(super) at: (i32, i32),
}

/// Cells of about one unit around jittered points.
pub(super) fn cells(x: f64, y: f64, seed: u32) -> Cell {
    let ((ix, u), (iy, v)) = (split(x), split(y));
    let mut cell = Cell { near: 9.0, next: 9.0, at: (ix, iy) };
    for dy in -1..=1 {
        for dx in -1..=1 {
            let (cx, cy) = (ix.wrapping_add(dx), iy.wrapping_add(dy));
            let px = dx as f32 + 0.1 + 0.8 * random(cx, cy, seed) - u;
            let py = dy as f32 + 0.1 + 0.8 * random(cx, cy, seed ^ 0x5bd1_e995) - v;
            let square = px * px + py * py;
            if square < cell.near {
                (cell.near, cell.next, cell.at) = (square, cell.near, (cx, cy));
            } else if square < cell.next {
                cell.next = square;
            }
        }
    }
    Cell { near: cell.near.sqrt(), next: cell.next.sqrt(), ..cell }
}

/// A disc that covers a place: a tree, a shrub, a stone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disc {
    /// Distance to its centre over its radius, 0 to 1.
    pub(super) reach: f32,
    /// A number in `0.0..1.0` of its own.
    pub(super) number: f32,
    /// Radius in pixels.
    pub(super) radius: f32,
}

/// The disc with the highest dome at a pixel, of discs scattered with one in each cell of `spacing` pixels, whose radii
/// are `radii` (from, to; at most `spacing`). `exists` gets a disc's centre and its number.
pub(super) fn disc(
    x: i32,
    y: i32,
    spacing: i32,
    radii: (f32, f32),
    seed: u32,
    exists: impl Fn(i32, i32, f32) -> bool,
) -> Option<Disc> {
    let (cx, cy) = (x.div_euclid(spacing), y.div_euclid(spacing));
    let mut best: Option<(f32, Disc)> = None;
    for iy in cy - 1..=cy + 1 {
        for ix in cx - 1..=cx + 1 {
            let bits = hash(ix, iy, seed);
            let part = |shift: u32| ((bits >> shift) & 0xff) as f32 / 256.0;
            let px = ix as f32 * spacing as f32 + spacing as f32 * (0.05 + 0.9 * part(0));
            let py = iy as f32 * spacing as f32 + spacing as f32 * (0.05 + 0.9 * part(8));
            let radius = radii.0 + (radii.1 - radii.0) * part(16);
            let (dx, dy) = (x as f32 + 0.5 - px, y as f32 + 0.5 - py);
            let square = (dx * dx + dy * dy) / (radius * radius);
            if square < 1.0 && exists(px as i32, py as i32, part(24)) {
                let dome = radius * (1.0 - square);
                if best.is_none_or(|(other, _)| dome > other) {
                    best = Some((dome, Disc { reach: square.sqrt(), number: part(24), radius }));
                }
            }
        }
    }
    best.map(|(_, disc)| disc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_centred_and_bounded() {
        let values: Vec<f32> =
            (0..10_000).map(|i| fractal(f64::from(i % 100) * 0.37, f64::from(i / 100) * 0.41, 4, 7)).collect();
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.08, "{mean}");
        assert!(values.iter().all(|v| v.abs() < 1.5) && values.iter().any(|v| v.abs() > 0.4));
    }

    #[test]
    fn noise_is_continuous_across_lattice_lines() {
        for i in -5..5 {
            let x = f64::from(i);
            assert!((smooth(x - 1e-4, 0.3, 1) - smooth(x + 1e-4, 0.3, 1)).abs() < 1e-2);
        }
    }

    #[test]
    fn the_second_point_is_not_nearer_than_the_first() {
        for i in 0..500 {
            let cell = cells(f64::from(i) * 0.13, f64::from(i) * 0.29 - 40.0, 3);
            assert!(cell.near <= cell.next && cell.next < 3.0, "{cell:?}");
        }
    }
}
