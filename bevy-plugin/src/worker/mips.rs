//! A picture with its chain of mips, of which any part can be made anew.
//!
//! Levels are averaged, colours in linear light, each from the one above in floats, so that rounding does not add up. A texel is the
//! average of exactly the area of the level above that it covers, whatever the sides are: each level has half the sides of
//! the one above, rounded down, as GPUs have it.

use std::sync::LazyLock;

use bevy_math::{URect, UVec2};

/// Part of one level, as it goes to the GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelPart {
    /// The level; 0 is the picture.
    pub level: u32,
    /// The part, in texels of the level.
    pub rect: URect,
    /// Red, green, blue and alpha of each texel, row by row; colours are sRGB.
    pub rgba: Vec<u8>,
}

/// Number of levels down to 1x1.
pub(crate) fn level_count(size: UVec2) -> u32 {
    u32::BITS - size.max_element().max(1).leading_zeros()
}

/// The linear value of each sRGB byte.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let value = byte as f64 / 255.0;
        let linear = if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        linear as f32
    })
});

/// The sRGB byte of a linear value in 1/65535. Steps of dark bytes are 20 of these.
static SRGB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |index: u32| {
        let linear = f64::from(index) / 65535.0;
        let value = if linear <= 0.003_130_8 { 12.92 * linear } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 };
        (255.0 * value).round() as u8
    };
    (0..=65535).map(byte).collect()
});

fn to_srgb(linear: f32) -> u8 {
    let index = (linear * 65535.0 + 0.5) as usize;
    SRGB.get(index.min(65535)).copied().unwrap_or_default()
}

/// The texels of the level above that one texel covers, along one axis: the first one, and their shares.
type Taps = (u32, [f32; 4]);

fn taps(from: u32, to: u32) -> Vec<Taps> {
    (0..to)
        .map(|i| {
            // In units in which both levels' texels have whole ends.
            let (start, end) = (u64::from(i) * u64::from(from), u64::from(i + 1) * u64::from(from));
            let first = start / u64::from(to);
            let share = |k: u64| {
                let (low, high) = ((first + k) * u64::from(to), (first + k + 1) * u64::from(to));
                high.min(end).saturating_sub(low.max(start)) as f32 / from as f32
            };
            (first as u32, [share(0), share(1), share(2), share(3)])
        })
        .collect()
}

/// The texels of a level that a range of the level above reaches, along one axis.
fn reached(start: u32, end: u32, from: u32, to: u32) -> (u32, u32) {
    let scaled = |at: u32, up: u64| ((u64::from(at) * u64::from(to) + up) / u64::from(from)) as u32;
    (scaled(start, 0), scaled(end, u64::from(from) - 1).min(to))
}

#[derive(Debug)]
struct Level {
    size: UVec2,
    columns: Vec<Taps>,
    rows: Vec<Taps>,
    /// As [`Texels::decode`] gives them.
    values: Vec<[f32; 3]>,
}

/// What the bytes of a texture mean, and so how they are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texels {
    /// sRGB colours, averaged in linear light.
    Color,
    /// Vectors of length 1, whose components have bytes for -1 to 1. Sums keep their length, so that each counts the same.
    Normal,
    /// Numbers from 0 to 1.
    Linear,
}

impl Texels {
    fn decode(self, bytes: [u8; 3]) -> [f32; 3] {
        match self {
            Self::Color => bytes.map(|byte| LINEAR[usize::from(byte)]),
            Self::Normal => bytes.map(|byte| f32::from(byte) / 127.5 - 1.0),
            Self::Linear => bytes.map(|byte| f32::from(byte) / 255.0),
        }
    }

    pub(super) fn encode(self, values: [f32; 3]) -> [u8; 3] {
        match self {
            Self::Color => values.map(to_srgb),
            Self::Normal => {
                let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
                // Vectors that cancel out have no direction: straight up.
                let upright = if length > 1e-6 { values.map(|value| value / length) } else { [0.0, 0.0, 1.0] };
                upright.map(|value| (127.5 * value + 127.5).round() as u8)
            }
            Self::Linear => values.map(|value| (255.0 * value).round() as u8),
        }
    }
}

/// The picture and its levels.
#[derive(Debug)]
pub(super) struct Pyramid {
    size: UVec2,
    texels: Texels,
    /// The picture, `[height, width, 3]`.
    base: Vec<u8>,
    /// From level 1 on.
    levels: Vec<Level>,
}

impl Pyramid {
    /// A black picture.
    pub(super) fn new(size: UVec2, texels: Texels) -> Self {
        let mut levels = Vec::new();
        let mut last = size;
        for _ in 1..level_count(size) {
            let next = (last / 2).max(UVec2::ONE);
            let values = vec![[0.0; 3]; next.x as usize * next.y as usize];
            levels.push(Level { size: next, columns: taps(last.x, next.x), rows: taps(last.y, next.y), values });
            last = next;
        }
        Self { size, texels, base: vec![0; 3 * size.x as usize * size.y as usize], levels }
    }

    pub(super) fn whole(&self) -> URect {
        URect::from_corners(UVec2::ZERO, self.size)
    }

    /// The picture.
    pub(super) fn image(&self) -> semsynth::Result<semsynth::Image> {
        semsynth::Image::new(self.size.x as usize, self.size.y as usize, self.base.clone())
    }

    /// The smallest rectangle around what differs from a picture of this size within `part`. `rows` are all rows of the
    /// picture, from the top, as red, green and blue bytes.
    pub(super) fn difference<'a>(&self, rows: impl Iterator<Item = &'a [u8]>, part: URect) -> Option<URect> {
        let part = part.intersect(self.whole());
        let mut found: Option<URect> = None;
        for (y, row) in (0..part.max.y).zip(rows).skip(part.min.y as usize) {
            let (old, new) = (self.base.get(self.bytes(part, y)), row.get(self.bytes(part, 0)));
            let (Some(old), Some(new)) = (old, new) else { continue };
            if old == new {
                continue;
            }
            let differs = |(a, b): (&u8, &u8)| a != b;
            let first = old.iter().zip(new).position(differs).unwrap_or(0);
            let last = old.len() - 1 - old.iter().rev().zip(new.iter().rev()).position(differs).unwrap_or(0);
            let x = part.min.x;
            let row = URect::new(x + (first / 3) as u32, y, x + (last / 3) as u32 + 1, y + 1);
            found = Some(found.map_or(row, |all| all.union(row)));
        }
        found
    }

    /// Takes a part of a picture of this size over and makes all levels anew that depend on it. `rows` are all rows of
    /// the picture, from the top.
    pub(super) fn update<'a>(&mut self, rows: impl Iterator<Item = &'a [u8]>, part: URect) -> Vec<LevelPart> {
        let part = part.intersect(self.whole());
        for (y, row) in (0..part.max.y).zip(rows).skip(part.min.y as usize) {
            let (to, from) = (self.bytes(part, y), self.bytes(part, 0));
            if let (Some(to), Some(from)) = (self.base.get_mut(to), row.get(from)) {
                to.copy_from_slice(from);
            }
        }
        self.send(part)
    }

    /// A texel of the picture; black outside.
    pub(super) fn base_at(&self, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y as usize * self.size.x as usize + x as usize);
        self.base.get(at..at + 3).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
    }

    /// Takes a row of a part over, without its levels.
    pub(super) fn write_row(&mut self, part: URect, y: u32, row: &[u8]) {
        let to = self.bytes(part, y);
        if let Some(to) = self.base.get_mut(to).filter(|to| to.len() == row.len()) {
            to.copy_from_slice(row);
        }
    }

    /// Where the bytes of a row of a part are.
    fn bytes(&self, part: URect, y: u32) -> std::ops::Range<usize> {
        let row = y as usize * self.size.x as usize;
        3 * (row + part.min.x as usize)..3 * (row + part.max.x as usize)
    }

    /// Makes the levels of a part anew.
    pub(super) fn send(&mut self, part: URect) -> Vec<LevelPart> {
        if part.is_empty() {
            return Vec::new();
        }
        let mut parts = vec![self.base_part(part)];
        let texels = self.texels;
        let (mut rect, mut above_size) = (part, self.size);
        for index in 0..self.levels.len() {
            let (done, rest) = self.levels.split_at_mut(index);
            let Some(level) = rest.first_mut() else { break };
            let (x0, x1) = reached(rect.min.x, rect.max.x, above_size.x, level.size.x);
            let (y0, y1) = reached(rect.min.y, rect.max.y, above_size.y, level.size.y);
            let base = &self.base;
            let texel = |x: usize, y: usize| -> [f32; 3] {
                let at = y * above_size.x as usize + x;
                match done.last() {
                    Some(above) => above.values.get(at).copied().unwrap_or_default(),
                    None => {
                        let bytes = base.get(3 * at..3 * at + 3).unwrap_or(&[0; 3]);
                        texels.decode([bytes[0], bytes[1], bytes[2]])
                    }
                }
            };
            let mut rgba = Vec::with_capacity(4 * (x1 - x0) as usize * (y1 - y0) as usize);
            for y in y0..y1 {
                let (top, shares) = level.rows[y as usize];
                for x in x0..x1 {
                    let (left, across) = level.columns[x as usize];
                    let mut sum = [0.0_f32; 3];
                    for (j, down) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                        for (i, share) in across.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                            let value = texel(left as usize + i, top as usize + j);
                            for (sum, value) in sum.iter_mut().zip(value) {
                                *sum += down * share * value;
                            }
                        }
                    }
                    level.values[y as usize * level.size.x as usize + x as usize] = sum;
                    rgba.extend(texels.encode(sum));
                    rgba.push(255);
                }
            }
            rect = URect::new(x0, y0, x1, y1);
            parts.push(LevelPart { level: index as u32 + 1, rect, rgba });
            above_size = level.size;
        }
        parts
    }

    fn base_part(&self, part: URect) -> LevelPart {
        let mut rgba = Vec::with_capacity(4 * part.width() as usize * part.height() as usize);
        for y in part.min.y..part.max.y {
            let row = y as usize * self.size.x as usize;
            let row = self.base.get(3 * (row + part.min.x as usize)..3 * (row + part.max.x as usize));
            rgba.extend(row.unwrap_or_default().as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]));
        }
        LevelPart { level: 0, rect: part, rgba }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(size: UVec2, seed: u32) -> Vec<u8> {
        let byte = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed).wrapping_mul(0x9E37_79B1) >> 24) as u8;
        (0..3 * size.x * size.y).map(byte).collect()
    }

    fn rows(picture: &[u8], size: UVec2) -> impl Iterator<Item = &[u8]> {
        picture.chunks_exact(3 * size.x as usize)
    }

    /// Writes parts into levels that start out black.
    fn apply(levels: &mut [Vec<u8>], size: UVec2, parts: &[LevelPart]) {
        for part in parts {
            let wide = (size.x >> part.level).max(1);
            for (y, row) in (part.rect.min.y..).zip(part.rgba.chunks_exact(4 * part.rect.width() as usize)) {
                let start = 4 * (y * wide + part.rect.min.x) as usize;
                levels[part.level as usize][start..start + row.len()].copy_from_slice(row);
            }
        }
    }

    fn black(size: UVec2) -> Vec<Vec<u8>> {
        (0..level_count(size)).map(|l| vec![0; 4 * ((size.x >> l).max(1) * (size.y >> l).max(1)) as usize]).collect()
    }

    #[test]
    fn there_are_as_many_levels_as_gpus_have() {
        for (width, height, levels) in [(1, 1, 1), (2, 1, 2), (512, 512, 10), (513, 7, 10), (500, 1023, 10)] {
            assert_eq!(level_count(UVec2::new(width, height)), levels);
        }
    }

    #[test]
    fn light_is_averaged_not_bytes() {
        let size = UVec2::new(2, 2);
        let mut pyramid = Pyramid::new(size, Texels::Color);
        let whole = pyramid.whole();
        let parts = pyramid.update(rows(&[255, 0, 255, 0, 255, 255, 0, 0, 255, 255, 255, 255], size), whole);
        // Half of the light is byte 188, not 128.
        assert_eq!(parts[1].rgba, [188, 188, 255, 255]);
    }

    #[test]
    fn every_level_is_the_average_of_the_one_above_for_any_sides() {
        for (width, height) in [(64, 64), (37, 53), (5, 1), (1, 9), (33, 64), (7, 7)] {
            let size = UVec2::new(width, height);
            let picture = noise(size, 3);
            let mut pyramid = Pyramid::new(size, Texels::Color);
            let whole = pyramid.whole();
            let parts = pyramid.update(rows(&picture, size), whole);
            assert_eq!(parts.len() as u32, level_count(size));
            for (above, part) in parts.iter().zip(&parts[1..]) {
                let [from, to] =
                    [above.level, part.level].map(|level| [width, height].map(|side| (side >> level).max(1)));
                assert_eq!(part.rect, URect::new(0, 0, to[0], to[1]));
                for (i, texel) in part.rgba.chunks_exact(4).enumerate() {
                    let at = [i as u32 % to[0], i as u32 / to[0]];
                    // How much of a texel above is under this one, along an axis.
                    let share = |axis: usize, k: u32| {
                        let scale = f64::from(from[axis]) / f64::from(to[axis]);
                        let (low, high) = (f64::from(at[axis]) * scale, f64::from(at[axis] + 1) * scale);
                        (high.min(f64::from(k + 1)) - low.max(f64::from(k))).max(0.0) / scale
                    };
                    let mut sum = [0.0; 3];
                    for (y, x) in (0..from[1]).flat_map(|y| (0..from[0]).map(move |x| (y, x))) {
                        let weight = share(1, y) * share(0, x);
                        for (c, sum) in sum.iter_mut().enumerate() {
                            let byte = above.rgba[4 * (y * from[0] + x) as usize + c];
                            *sum += weight * f64::from(LINEAR[usize::from(byte)]);
                        }
                    }
                    for (c, sum) in sum.into_iter().enumerate() {
                        // The level above is rounded to bytes here.
                        assert!(texel[c].abs_diff(to_srgb(sum as f32)) <= 1, "{size} level {} at {at:?}", part.level);
                    }
                    assert_eq!(texel[3], 255);
                }
            }
        }
    }

    #[test]
    fn parts_made_anew_give_the_levels_of_the_whole() {
        for (width, height) in [(64, 48), (51, 37), (100, 3)] {
            let size = UVec2::new(width, height);
            let mut pyramid = Pyramid::new(size, Texels::Color);
            let (mut picture, mut shown) = (noise(size, 1), black(size));
            let whole = pyramid.whole();
            apply(&mut shown, size, &pyramid.update(rows(&picture, size), whole));
            for step in 0..40_u32 {
                let (x, y) = (step * 17 % width, step * 29 % height);
                let part = URect::new(x, y, (x + 1 + step % 9).min(width), (y + 1 + step % 5).min(height));
                for row in part.min.y..part.max.y {
                    for column in part.min.x..part.max.x {
                        picture[3 * (row * width + column) as usize] ^= (step as u8) | 1;
                    }
                }
                assert_eq!(pyramid.difference(rows(&picture, size), whole), Some(part));
                apply(&mut shown, size, &pyramid.update(rows(&picture, size), part));
                assert_eq!(pyramid.difference(rows(&picture, size), whole), None);
            }
            let mut fresh = black(size);
            apply(&mut fresh, size, &Pyramid::new(size, Texels::Color).update(rows(&picture, size), whole));
            assert_eq!(shown, fresh, "{size}");
        }
    }
}
