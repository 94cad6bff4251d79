//! Materials, filtered to the size of a pixel, so that a small picture shows the mean of a large one.

use super::rng::lattice;

/// How a surface varies around its base colour.
#[derive(Clone, Copy, Debug)]
pub(super) enum Texture {
    /// No variation.
    Plain,
    /// Stains and grain of strength `amount`.
    Plaster { seed: u32, amount: f32 },
    /// Rows of blocks: bricks, ashlar, panels, roof tiles.
    Masonry {
        seed: u32,
        /// Height of a row.
        course: f32,
        /// Length of a block.
        length: f32,
        /// Thickness of the joints, drawn in the fill's second colour.
        joint: f32,
        /// Offset of each row relative to the previous one, in blocks.
        bond: f32,
        /// How much the blocks vary in brightness.
        vary: f32,
        /// Top of the first row.
        top: f32,
    },
    /// Lines in the fill's second colour, `line` thick, every `period`; one is at `start`.
    Lines { upright: bool, start: f32, period: f32, line: f32 },
    /// Upright bars with gaps between them.
    Bars { start: f32, period: f32, bar: f32 },
    /// Soft patches; with a `cover` of 1 there are no gaps.
    Clouds { seed: u32, cover: f32 },
    /// Shapes that resemble letters, each `period` wide.
    Letters { seed: u32, start: f32, period: f32 },
}

/// The effect of a texture at a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Factor applied to the colour.
    pub(super) gain: f32,
    /// Share of the second colour.
    pub(super) second: f32,
    /// Factor applied to the opacity.
    pub(super) opacity: f32,
}

const PLAIN: Sample = Sample { gain: 1.0, second: 0.0, opacity: 1.0 };

/// The largest integer up to `x`. Does not call the C library on processors without an instruction for it.
fn floor(x: f32) -> i32 {
    let whole = x as i32;
    whole - i32::from((whole as f32) > x)
}

/// The share of `x - foot/2 .. x + foot/2` that lies in `0..width` modulo `period`.
fn pulse(x: f32, period: f32, width: f32, foot: f32) -> f32 {
    let integral = |x: f32| {
        let n = floor(x / period) as f32;
        n * width + (x - n * period).min(width)
    };
    ((integral(x + 0.5 * foot) - integral(x - 0.5 * foot)) / foot).clamp(0.0, 1.0)
}

/// 1 if details of `size` are well resolved by pixels of size `foot`, falling to 0 if they are not.
fn resolved(size: f32, foot: f32) -> f32 {
    (2.0 - 2.0 * foot / size).clamp(0.0, 1.0)
}

/// Smooth noise in `-1.0..1.0` with one lattice point per unit.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (ix, iy) = (floor(x), floor(y));
    let (fx, fy) = (ix as f32, iy as f32);
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - fx), smooth(y - fy));
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let upper = mix(lattice(ix, iy, seed), lattice(ix + 1, iy, seed), u);
    let lower = mix(lattice(ix, iy + 1, seed), lattice(ix + 1, iy + 1, seed), u);
    2.0 * mix(upper, lower, v) - 1.0
}

impl Texture {
    /// The texture in a pixel of size `foot` (width, height) around (`x`, `y`).
    pub(super) fn sample(&self, x: f32, y: f32, foot: (f32, f32)) -> Sample {
        match *self {
            Self::Plain => PLAIN,
            Self::Plaster { seed, amount } => {
                let mut value = 0.55 * noise(x * 5.0, y * 4.0, seed);
                // Rain runs down: the second layer is stretched vertically.
                let (streaks, grain) = (resolved(1.0 / 45.0, foot.0), resolved(1.0 / 140.0, foot.1));
                if streaks > 0.0 {
                    value += 0.35 * streaks * noise(x * 45.0, y * 6.0, seed ^ 1);
                }
                if grain > 0.0 {
                    value += 0.35 * grain * noise(x * 140.0, y * 140.0, seed ^ 2);
                }
                Sample { gain: 1.0 + amount * value, ..PLAIN }
            }
            Self::Masonry { seed, course, length, joint, bond, vary, top } => {
                let y = y - top;
                let row = floor(y / course);
                let shifted = x + bond * length * if row & 1 == 0 { 0.0 } else { 1.0 };
                let sharp = resolved(course, foot.1);
                let beds = pulse(y, course, joint, foot.1);
                let mean = joint / length;
                let heads = mean + sharp * (pulse(shifted, length, joint, foot.0) - mean);
                let block = if sharp > 0.0 {
                    let column = floor(shifted / length);
                    resolved(length, foot.0) * sharp * (lattice(column, row, seed) - 0.5)
                } else {
                    0.0
                };
                let stain = 0.25 * noise(x * 6.0, y * 5.0, seed ^ 3);
                Sample { gain: 1.0 + vary * (block + stain), second: 1.0 - (1.0 - beds) * (1.0 - heads), ..PLAIN }
            }
            Self::Lines { upright, start, period, line } => {
                let (t, foot) = if upright { (x, foot.0) } else { (y, foot.1) };
                Sample { second: pulse(t - start, period, line, foot), ..PLAIN }
            }
            Self::Bars { start, period, bar } => Sample { opacity: pulse(x - start, period, bar, foot.0), ..PLAIN },
            Self::Clouds { seed, cover } => {
                let value = noise(x * 2.2, y * 5.0, seed)
                    + 0.5 * noise(x * 5.3, y * 12.0, seed ^ 1)
                    + 0.25 * noise(x * 12.0, y * 27.0, seed ^ 2);
                let t = (0.5 * value + 2.0 * cover - 0.5).clamp(0.0, 1.0);
                Sample { opacity: t * t * (3.0 - 2.0 * t), ..PLAIN }
            }
            Self::Letters { seed, start, period } => {
                let t = (x - start) / period;
                let cell = floor(t);
                let kind = lattice(cell, 0, seed);
                let sharp = resolved(period, 2.0 * foot.0);
                // A word gap, a thin letter or a wide one.
                let ink = if kind < 0.16 {
                    0.0
                } else {
                    pulse((t - cell as f32) * period, period, (0.35 + 0.4 * kind) * period, foot.0)
                };
                Sample { opacity: 0.45 + sharp * (ink - 0.45), ..PLAIN }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_pixel_is_the_mean_of_small_ones() {
        let fine = (0..1000).map(|i| pulse(0.003 + 0.001 * i as f32, 0.04, 0.013, 0.001)).sum::<f32>() / 1000.0;
        let coarse = pulse(0.5025, 0.04, 0.013, 1.0);
        assert!((fine - coarse).abs() < 0.01, "{fine} {coarse}");
    }

    #[test]
    fn noise_is_bounded_and_continuous() {
        for i in 0..2000 {
            let x = i as f32 * 0.0371;
            let (a, b) = (noise(x, 1.7, 5), noise(x + 0.001, 1.7, 5));
            assert!((-1.0..=1.0).contains(&a));
            assert!((a - b).abs() < 0.02);
        }
    }
}
