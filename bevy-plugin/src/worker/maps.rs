//! Normal and roughness maps of a picture.

use bevy_math::{BVec2, I64Vec2, URect, UVec2, Vec3};

use super::inbox::Edit;
use super::mips::{LevelPart, Pyramid, Texels};

/// A pixel's normal depends on the pixels up to this far away: one for the blur, one for the slope.
pub(super) const REACH: u32 = 2;

/// The maps of a picture, up to date with its colours and labels.
pub(super) struct Maps {
    size: UVec2,
    /// Whether the picture repeats to the right and downwards.
    wrap: BVec2,
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
    /// Maps of which nothing is made yet.
    pub(super) fn new(size: UVec2, wrap: BVec2, surfaces: Vec<(f32, f32)>, ids: Vec<u16>) -> Self {
        let [normal, roughness] = [Texels::Normal, Texels::Linear].map(|texels| Pyramid::new(size, texels));
        let edited = vec![normal.whole()];
        Self { size, wrap, surfaces, ids, edited, normal, roughness }
    }

    pub(super) fn edit(&mut self, edits: &[Edit]) {
        super::picture::write(&mut self.ids, self.size.x, edits);
        self.edited.extend(edits.iter().map(|(rect, _)| *rect));
    }

    /// Makes the maps anew where colours or labels changed.
    pub(super) fn update(&mut self, colors: &Pyramid, changed: &[URect]) -> MapParts {
        let (side, wrap) = (self.size.as_i64vec2(), self.wrap);
        // Beyond its border the picture goes on with its other side, or with its last pixels.
        let inside = |at: i64, side: i64, wraps: bool| if wraps { at.rem_euclid(side) } else { at.clamp(0, side - 1) };
        self.make(changed, |x, y| colors.base_at(inside(x, side.x, wrap.x) as u32, inside(y, side.y, wrap.y) as u32))
    }

    /// Makes the maps of a part of a world: `colors` has [`REACH`] more pixels on every side, so that neighbours agree.
    pub(super) fn update_within(&mut self, colors: &[u8]) -> MapParts {
        let width = i64::from(self.size.x + 2 * REACH);
        self.make(&[], |x, y| {
            let at = 3 * ((y + i64::from(REACH)) * width + x + i64::from(REACH)) as usize;
            colors.get(at..at + 3).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
        })
    }

    fn make(&mut self, changed: &[URect], color: impl Fn(i64, i64) -> [u8; 3]) -> MapParts {
        let mut parts = MapParts::default();
        let edited = std::mem::take(&mut self.edited);
        let whole = self.normal.whole();
        let mut done = Vec::new();
        for rect in edited.iter().chain(changed) {
            // What wraps reaches over the border to the other side.
            let rect = if self.wrap.any() { whole } else { rect.inflate(REACH as i32).intersect(whole) };
            if !is_new(rect, &mut done) {
                continue;
            }
            let heights = Heights::of(&color, rect);
            let mut normals = Vec::with_capacity(3 * rect.width() as usize);
            for y in rect.min.y..rect.max.y {
                normals.clear();
                for x in rect.min.x..rect.max.x {
                    let (relief, _) = self.surface(x, y);
                    let (across, down) = heights.slope(x, y);
                    // Rows go down, +Y is up.
                    let normal = Vec3::new(-relief * across, relief * down, 1.0).normalize();
                    normals.extend(Texels::Normal.encode(normal.to_array()));
                }
                self.normal.write_row(rect, y, &normals);
            }
            parts.normal.extend(self.normal.send(rect));
        }
        done.clear();
        for rect in edited.iter().map(|rect| rect.intersect(whole)) {
            if !is_new(rect, &mut done) {
                continue;
            }
            for y in rect.min.y..rect.max.y {
                // Bevy takes roughness from green and metal from blue.
                let texel = |x| Texels::Linear.encode([0.0, self.surface(x, y).1, 0.0]);
                let row: Vec<u8> = (rect.min.x..rect.max.x).flat_map(texel).collect();
                self.roughness.write_row(rect, y, &row);
            }
            parts.roughness.extend(self.roughness.send(rect));
        }
        parts
    }

    /// Relief and roughness of a pixel.
    fn surface(&self, x: u32, y: u32) -> (f32, f32) {
        let id = self.ids.get((y * self.size.x + x) as usize).copied().unwrap_or_default();
        self.surfaces.get(usize::from(id)).copied().unwrap_or_default()
    }

    /// All of both maps.
    pub(super) fn send(&mut self) -> MapParts {
        let whole = self.normal.whole();
        MapParts { normal: self.normal.send(whole), roughness: self.roughness.send(whole) }
    }
}

/// Notes a rectangle; false if it is empty or within one that was noted.
fn is_new(rect: URect, done: &mut Vec<URect>) -> bool {
    let is_new = !rect.is_empty() && !done.iter().any(|done| done.intersect(rect) == rect);
    if is_new {
        done.push(rect);
    }
    is_new
}

/// Blurred brightness of a part of a picture and of one pixel around it, 0 to 1.
struct Heights {
    start: I64Vec2,
    width: i64,
    values: Vec<f32>,
}

impl Heights {
    fn of(color: impl Fn(i64, i64) -> [u8; 3], part: URect) -> Self {
        // Luma of the bytes: brightness as eyes see it, which dark hollows follow better than linear light.
        let luma = |x: i64, y: i64| {
            let [r, g, b] = color(x, y).map(f32::from);
            (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
        };
        let (min, max) = (part.min.as_i64vec2() - 1, part.max.as_i64vec2() + 1);
        // A binomial blur, first along rows.
        let across: Vec<f32> = (min.y - 1..=max.y)
            .flat_map(|y| (min.x..max.x).map(move |x| (x, y)))
            .map(|(x, y)| 0.25 * luma(x - 1, y) + 0.5 * luma(x, y) + 0.25 * luma(x + 1, y))
            .collect();
        let width = (max.x - min.x) as usize;
        let rows = across.windows(2 * width + 1).take(width * (max.y - min.y) as usize);
        let values = rows.map(|rows| 0.25 * rows[0] + 0.5 * rows[width] + 0.25 * rows[2 * width]).collect();
        Self { start: min, width: width as i64, values }
    }

    fn value(&self, x: i64, y: i64) -> f32 {
        let at = (y - self.start.y) * self.width + x - self.start.x;
        self.values.get(at as usize).copied().unwrap_or_default()
    }

    /// How much the height grows per pixel to the right and downwards.
    fn slope(&self, x: u32, y: u32) -> (f32, f32) {
        let (x, y) = (i64::from(x), i64::from(y));
        let across = self.value(x + 1, y) - self.value(x - 1, y);
        let down = self.value(x, y + 1) - self.value(x, y - 1);
        (across / 2.0, down / 2.0)
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
        let mut maps = Maps::new(size, BVec2::FALSE, vec![(4.0, 0.5)], vec![0; 512]);
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
        let mut maps = Maps::new(size, BVec2::FALSE, surfaces.clone(), vec![0; 53 * 38]);
        maps.update(&colors(size, value), &[whole]);
        let edits = [(URect::new(4, 30, 11, 38), vec![2; 56]), (URect::new(50, 0, 53, 2), vec![1; 6])];
        maps.edit(&edits);
        let painted = URect::new(20, 10, 33, 22);
        let after = |x: u32, y: u32| {
            value(x, y) ^ (if painted.contains(UVec2::new(x, y)) && x < 33 && y < 22 { 0x55 } else { 0 })
        };
        maps.update(&colors(size, after), &[painted]);
        let mut fresh = Maps::new(size, BVec2::FALSE, surfaces, vec![0; 53 * 38]);
        fresh.edit(&edits);
        let fresh = fresh.update(&colors(size, after), &[whole]);
        let found = maps.send();
        assert!(found.normal == fresh.normal && found.roughness == fresh.roughness);
        // Nothing changed.
        assert!(maps.update(&colors(size, after), &[]).normal.is_empty());
    }

    #[test]
    fn maps_of_a_picture_that_wraps_move_with_it() {
        let size = UVec2::new(24, 16);
        let value = |x: u32, y: u32| (x * x * 37 + y * 91 + x * y) as u8;
        let normals = |dx: u32, dy: u32, wrap: BVec2| {
            let rolled = colors(size, |x, y| value((x + dx) % 24, (y + dy) % 16));
            let mut maps = Maps::new(size, wrap, vec![(5.0, 0.5)], vec![0; 384]);
            maps.update(&rolled, &[]).normal.swap_remove(0)
        };
        let moved = |wrap: BVec2| {
            let (still, moved) = (normals(0, 0, wrap), normals(7, 5, wrap));
            (0..16).all(|y| (0..24).all(|x| texel(&moved, x, y) == texel(&still, (x + 7) % 24, (y + 5) % 16)))
        };
        assert!(moved(BVec2::TRUE) && !moved(BVec2::FALSE));
    }

    /// The maps of two neighbours are those of the whole, up to the border between them.
    #[test]
    fn maps_of_parts_of_a_world_are_those_of_the_whole() {
        let value = |x: i64, y: i64| (x * x * 37 + y * 91 + x * y) as u8;
        let surfaces = vec![(5.0, 0.2), (1.0, 0.7)];
        let id = |x: i64, y: i64| u16::from((x + y) % 5 == 0);
        let maps = |start: i64, width: u32| {
            let (reach, size) = (i64::from(REACH), UVec2::new(width, 16));
            let grid = |more: i64| {
                (-more..16 + more)
                    .flat_map(move |y| (start - more..start + i64::from(width) + more).map(move |x| (x, y)))
            };
            let bytes: Vec<u8> = grid(reach).flat_map(|(x, y)| [value(x, y); 3]).collect();
            let ids = grid(0).map(|(x, y)| id(x, y)).collect();
            let mut parts = Maps::new(size, BVec2::FALSE, surfaces.clone(), ids).update_within(&bytes);
            [parts.normal.swap_remove(0), parts.roughness.swap_remove(0)]
        };
        let (whole, left, right) = (maps(0, 32), maps(0, 16), maps(16, 16));
        for kind in 0..2 {
            for (x, y) in (0..16).flat_map(|y| (0..32).map(move |x| (x, y))) {
                let part = if x < 16 { texel(&left[kind], x, y) } else { texel(&right[kind], x - 16, y) };
                assert_eq!(part, texel(&whole[kind], x, y), "{x}, {y}");
            }
        }
    }

    #[test]
    fn normals_of_all_levels_have_length_one() {
        let size = UVec2::new(64, 64);
        let mut maps = Maps::new(size, BVec2::FALSE, vec![(20.0, 1.0)], vec![0; 4096]);
        let parts = maps.update(&colors(size, |x, y| (x * x * 7 + y * y * 13) as u8), &[URect::new(0, 0, 64, 64)]);
        assert_eq!(parts.normal.len(), 7);
        for texel in parts.normal.iter().flat_map(|part| part.rgba.chunks_exact(4)) {
            let length: f32 =
                texel[..3].iter().map(|byte| (f32::from(*byte) / 127.5 - 1.0).powi(2)).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 0.02, "{texel:?}");
        }
    }
}
