//! Normal and roughness maps of a picture.

use bevy_math::{URect, UVec2};

use super::inbox::Edit;
use super::mips::{LevelPart, Pyramid, Texels};

/// A pixel's normal depends on the pixels up to this far away: one for the blur, one for the slope.
const REACH: i32 = 2;

/// The maps of a picture, up to date with its colours and labels.
pub(super) struct Maps {
    size: UVec2,
    /// Relief and roughness of each id.
    surfaces: Vec<(f32, f32)>,
    ids: Vec<u16>,
    /// Where ids changed since the last update.
    edited: Vec<URect>,
    normal: Pyramid,
    roughness: Pyramid,
}

/// New parts of both maps.
#[derive(Debug, Default)]
pub(crate) struct MapParts {
    pub(crate) normal: Vec<LevelPart>,
    pub(crate) roughness: Vec<LevelPart>,
}

impl Maps {
    pub(super) fn new(size: UVec2, surfaces: Vec<(f32, f32)>, ids: Vec<u16>) -> Self {
        let [normal, roughness] = [Texels::Normal, Texels::Linear].map(|texels| Pyramid::new(size, texels));
        Self { size, surfaces, ids, edited: Vec::new(), normal, roughness }
    }

    pub(super) fn edit(&mut self, edits: &[Edit]) {
        super::picture::write(&mut self.ids, self.size.x, edits);
        self.edited.extend(edits.iter().map(|(rect, _)| *rect));
    }

    /// Makes the maps anew where colours or labels changed.
    pub(super) fn update(&mut self, colors: &Pyramid, changed: &[URect]) -> MapParts {
        let mut parts = MapParts::default();
        let edited = std::mem::take(&mut self.edited);
        let Some(all) = changed.iter().chain(&edited).copied().reduce(|all, rect| all.union(rect)) else {
            return parts;
        };
        let rect = all.inflate(REACH).intersect(self.normal.whole());
        if rect.is_empty() {
            return parts;
        }
        let slopes = Heights::of(colors, rect.inflate(1).intersect(self.normal.whole()));
        let wide = rect.width() as usize;
        let (mut normals, mut rough) = (Vec::with_capacity(3 * wide), Vec::with_capacity(3 * wide));
        for y in rect.min.y..rect.max.y {
            normals.clear();
            rough.clear();
            for x in rect.min.x..rect.max.x {
                let id = self.ids.get((y * self.size.x + x) as usize).copied().unwrap_or_default();
                let (relief, roughness) = self.surfaces.get(usize::from(id)).copied().unwrap_or_default();
                let (across, down) = slopes.at(x, y);
                // Rows go down, +Y is up.
                let normal = bevy_math::Vec3::new(-relief * across, relief * down, 1.0).normalize();
                normals.extend(Texels::Normal.encode(normal.to_array()));
                // Bevy takes roughness from green and metal from blue.
                rough.extend(Texels::Linear.encode([0.0, roughness, 0.0]));
            }
            self.normal.write_row(rect, y, &normals);
            self.roughness.write_row(rect, y, &rough);
        }
        parts.normal = self.normal.send(rect);
        parts.roughness = self.roughness.send(rect);
        parts
    }

    /// All of both maps.
    pub(super) fn send(&mut self) -> MapParts {
        let whole = self.normal.whole();
        MapParts { normal: self.normal.send(whole), roughness: self.roughness.send(whole) }
    }
}

/// Blurred brightness of a part of a picture, 0 to 1.
struct Heights {
    part: URect,
    values: Vec<f32>,
}

impl Heights {
    fn of(colors: &Pyramid, part: URect) -> Self {
        let last = colors.whole().max - 1;
        // Luma of the bytes: brightness as eyes see it, which dark hollows follow better than linear light.
        let luma = |x: u32, y: u32| {
            let [r, g, b] = colors.base_at(x, y).map(f32::from);
            (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
        };
        // A binomial blur; at the picture's border its pixels repeat.
        let around = |at: u32, last: u32| [at.saturating_sub(1), at, (at + 1).min(last)];
        let blurred = |x: u32, y: u32| -> f32 {
            let rows = around(y, last.y).into_iter().zip([0.25, 0.5, 0.25]);
            let columns = around(x, last.x);
            rows.map(|(y, down)| {
                let [left, middle, right] = columns.map(|x| luma(x, y));
                down * (0.25 * left + 0.5 * middle + 0.25 * right)
            })
            .sum()
        };
        let values = (part.min.y..part.max.y)
            .flat_map(|y| (part.min.x..part.max.x).map(move |x| (x, y)))
            .map(|(x, y)| blurred(x, y));
        Self { part, values: values.collect() }
    }

    fn value(&self, x: u32, y: u32) -> f32 {
        let (x, y) = (x - self.part.min.x, y - self.part.min.y);
        self.values.get((y * self.part.width() + x) as usize).copied().unwrap_or_default()
    }

    /// How much the height grows per pixel to the right and downwards.
    fn at(&self, x: u32, y: u32) -> (f32, f32) {
        let slope = |low: f32, high: f32, steps: u32| if steps == 0 { 0.0 } else { (high - low) / steps as f32 };
        let (left, right) = (x.saturating_sub(1).max(self.part.min.x), (x + 1).min(self.part.max.x - 1));
        let (up, down) = (y.saturating_sub(1).max(self.part.min.y), (y + 1).min(self.part.max.y - 1));
        (
            slope(self.value(left, y), self.value(right, y), right - left),
            slope(self.value(x, up), self.value(x, down), down - up),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colors(size: UVec2, value: impl Fn(u32, u32) -> u8) -> Pyramid {
        let mut pyramid = Pyramid::new(size, Texels::Color);
        let whole = pyramid.whole();
        let bytes: Vec<u8> =
            (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y))).flat_map(|(x, y)| [value(x, y); 3]).collect();
        pyramid.update(bytes.chunks_exact(3 * size.x as usize), whole);
        pyramid
    }

    fn texel(part: &LevelPart, x: u32, y: u32) -> [u8; 4] {
        let at = 4 * ((y - part.rect.min.y) * part.rect.width() + x - part.rect.min.x) as usize;
        part.rgba[at..at + 4].try_into().unwrap()
    }

    #[test]
    fn flat_ground_has_upright_normals_and_slopes_lean_away_from_what_is_higher() {
        let size = UVec2::new(32, 16);
        let whole = URect::new(0, 0, 32, 16);
        let mut maps = Maps::new(size, vec![(4.0, 0.5)], vec![0; 512]);
        let parts = maps.update(&colors(size, |_, _| 90), &[whole]);
        assert!(parts.normal[0].rgba.chunks_exact(4).all(|texel| texel == [128, 128, 255, 255]));
        assert!(parts.roughness[0].rgba.chunks_exact(4).all(|texel| texel == [0, 128, 0, 255]));
        // Brighter to the right: 4 pixels high over 255 levels, 8 levels a pixel.
        let parts = maps.update(&colors(size, |x, _| (8 * x) as u8), &[whole]);
        let [r, g, b, _] = texel(&parts.normal[0], 16, 8);
        let slope = 4.0 * 8.0 / 255.0_f32;
        let length = (1.0 + slope * slope).sqrt();
        let byte = |value: f32| (127.5 * value + 127.5).round() as u8;
        assert!(r.abs_diff(byte(-slope / length)) <= 1 && g == 128 && b.abs_diff(byte(1.0 / length)) <= 1);
        // Brighter downwards: leans up.
        let parts = maps.update(&colors(size, |_, y| (8 * y) as u8), &[whole]);
        assert!(texel(&parts.normal[0], 16, 8)[1] > 140 && texel(&parts.normal[0], 16, 8)[0] == 128);
    }

    #[test]
    fn parts_made_anew_give_the_maps_of_the_whole() {
        let size = UVec2::new(53, 38);
        let whole = URect::from_corners(UVec2::ZERO, size);
        let value = |x: u32, y: u32| (x * 37 + y * 91 + x * y) as u8;
        let surfaces = vec![(2.0, 0.2), (0.0, 0.9), (5.0, 1.0)];
        let mut maps = Maps::new(size, surfaces.clone(), vec![0; 53 * 38]);
        maps.update(&colors(size, value), &[whole]);
        let edits = [(URect::new(4, 30, 11, 38), vec![2; 56]), (URect::new(50, 0, 53, 2), vec![1; 6])];
        maps.edit(&edits);
        let painted = URect::new(20, 10, 33, 22);
        let after = |x: u32, y: u32| {
            value(x, y) ^ (if painted.contains(UVec2::new(x, y)) && x < 33 && y < 22 { 0x55 } else { 0 })
        };
        maps.update(&colors(size, after), &[painted]);
        let mut fresh = Maps::new(size, surfaces, vec![0; 53 * 38]);
        fresh.edit(&edits);
        let fresh = fresh.update(&colors(size, after), &[whole]);
        let found = maps.send();
        assert_eq!((found.normal, found.roughness), (fresh.normal, fresh.roughness));
        // Nothing changed.
        assert!(maps.update(&colors(size, after), &[]).normal.is_empty());
    }

    #[test]
    fn normals_of_all_levels_have_length_one() {
        let size = UVec2::new(64, 64);
        let mut maps = Maps::new(size, vec![(20.0, 1.0)], vec![0; 4096]);
        let parts = maps.update(&colors(size, |x, y| (x * x * 7 + y * y * 13) as u8), &[URect::new(0, 0, 64, 64)]);
        assert_eq!(parts.normal.len(), 7);
        for texel in parts.normal.iter().flat_map(|part| part.rgba.chunks_exact(4)) {
            let length: f32 =
                texel[..3].iter().map(|byte| (f32::from(*byte) / 127.5 - 1.0).powi(2)).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 0.02, "{texel:?}");
        }
    }
}
