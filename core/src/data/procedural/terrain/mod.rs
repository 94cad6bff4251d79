//! Procedural terrain: the ground from above, as label map and as picture.
//!
//! A world is an unbounded plane of pixels. Its labels and its picture depend on the seed and the place only, so any
//! part of it can be painted and parts meet without a seam. Pictures look like the ground from 100 to 500 m, without
//! long shadows: they serve as textures.

mod classes;
mod layout;
mod material;
mod near;
mod noise;
mod paint;
mod presets;

use image::RgbImage;

use super::rng::Rng;
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap, Rect};
use crate::style::Style;
use layout::{Area, World};
use material::{Materials, VALUES};
use paint::HALO;
use presets::PRESETS;

/// The greatest distance of a part from the origin of its world, in pixels.
const REACH: i64 = 1 << 24;

/// A world of procedural terrain with the twelve classes of [`ClassTable::terrain`].
///
/// ```no_run
/// # use semsynth::data::ProceduralTerrain;
/// # use semsynth::label::Rect;
/// let world = ProceduralTerrain::new(7).preset("alpine")?;
/// let (picture, labels) = world.render(Rect { x: -100, y: 300, width: 512, height: 512 })?;
/// # Ok::<(), semsynth::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProceduralTerrain {
    world: World,
    materials: Materials,
}

impl ProceduralTerrain {
    /// The number of values per class in a [`style`](Self::style).
    pub const STYLE_LENGTH: usize = VALUES;

    /// The world with this seed, in the first preset.
    pub fn new(seed: u64) -> Self {
        Self { world: World::natural(seed), materials: PRESETS[0].materials() }
    }

    /// World `index` of the set with this seed, to learn from: landscapes of different sizes and compositions, some of
    /// them patchworks in which any two classes meet; half of them in the materials of one preset, half in a mix.
    pub fn varied(seed: u64, index: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x7465_7272_6169_6e00, index);
        let presets: Vec<Materials> = PRESETS.iter().map(presets::Preset::materials).collect();
        Self { world: World::varied(&mut rng.fork(1)), materials: Materials::random(&mut rng, &presets) }
    }

    /// The same world in other materials; [`presets`](Self::presets) lists them.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if there is no such preset; it lists the valid names.
    pub fn preset(self, name: &str) -> Result<Self> {
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        let known = || Error::unknown_name("preset", name, PRESETS.iter().map(|preset| preset.name));
        Ok(Self { materials: preset.ok_or_else(known)?.materials(), ..self })
    }

    /// Names of the presets and one line about each.
    pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
        PRESETS.iter().map(|preset| (preset.name, preset.summary))
    }

    /// A part of the world: its picture and its labels, each side 1 to 8192 pixels, within 2²⁴ pixels of the origin.
    ///
    /// # Errors
    /// [`Error::Argument`] for other sides or places.
    pub fn render(&self, part: Rect) -> Result<(RgbImage, LabelMap)> {
        let area = area(part)?;
        let around = area.grown(HALO);
        let ids = self.world.ids(around);
        let bytes = paint::paint(area, &ids, &self.materials, self.world.seed());
        let picture = RgbImage::from_raw(part.width, part.height, bytes)
            .ok_or_else(|| Error::Data("procedural terrain: the painted bytes do not fill the picture".into()))?;
        let rows = ids.chunks_exact(around.width).skip(HALO).take(area.height);
        let inner = rows.flat_map(|row| row[HALO..HALO + area.width].iter().copied()).collect();
        Ok((picture, LabelMap::new(area.width, area.height, inner)?))
    }

    /// The labels of a part of the world.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn labels(&self, part: Rect) -> Result<LabelMap> {
        let area = area(part)?;
        LabelMap::new(area.width, area.height, self.world.ids(area))
    }

    /// The classes.
    pub fn classes() -> ClassTable {
        ClassTable::terrain()
    }

    /// The materials as a style with a row for each class: base colour and accent colour (red, green, blue), form and
    /// share, as differences from their means over all presets, so that a row of zeros is a usual look.
    ///
    /// # Errors
    /// None in practice: the form of the style is fixed.
    pub fn style(&self) -> Result<Style> {
        let presets: Vec<Materials> = PRESETS.iter().map(presets::Preset::materials).collect();
        let row = |class: usize| {
            let mean = |value: usize| {
                presets.iter().map(|preset| preset.0[class].values()[value]).sum::<f32>() / presets.len() as f32
            };
            let values = self.materials.0[class].values();
            (0..VALUES).map(|value| STYLE_SCALE * (values[value] - mean(value))).collect()
        };
        Style::regions(VALUES, (0..classes::COUNT).map(|class| Some(row(class))).collect())
    }
}

/// Brings the differences of materials to about 1.
const STYLE_SCALE: f32 = 5.0;

fn area(part: Rect) -> Result<Area> {
    let Rect { x, y, width, height } = part;
    let side = |side: u32| (1..=8192).contains(&side);
    let near = |v: i64| (-REACH..=REACH).contains(&v);
    if !side(width) || !side(height) || !near(x) || !near(y) {
        return Err(Error::Argument(format!(
            "a part of a procedural terrain of {width} x {height} pixels at {x}, {y}: choose sides from 1 to 8192, and \
             places up to {REACH} from the origin"
        )));
    }
    Ok(Area { x: x as i32, y: y as i32, width: width as usize, height: height as usize })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::mix64;

    fn part(x: i64, y: i64, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn a_terrain_is_the_same_everywhere_and_always() {
        let (picture, labels) = ProceduralTerrain::varied(1, 4).render(part(40, -7, 96, 80)).unwrap();
        let bytes = picture.as_raw().iter().map(|&b| u64::from(b));
        let hash = bytes.chain(labels.ids().map(u64::from)).fold(0, |h, v| mix64(h ^ v));
        assert_eq!(hash, 0xf975_d042_05c9_2081, "{hash:#018x}");
    }

    #[test]
    fn parts_meet_without_a_seam() {
        for index in 0..4 {
            let world = ProceduralTerrain::varied(2, index);
            let (whole, labels) = world.render(part(-20, 5, 150, 70)).unwrap();
            let (right, right_labels) = world.render(part(61, 18, 40, 31)).unwrap();
            for (x, y, pixel) in right.enumerate_pixels() {
                assert_eq!(whole.get_pixel(x + 81, y + 13), pixel, "{index}: {x}, {y}");
            }
            assert_eq!(labels.crop(81, 13, 40, 31).unwrap(), right_labels);
            assert_eq!(world.labels(part(61, 18, 40, 31)).unwrap(), right_labels);
        }
    }

    #[test]
    fn every_class_is_common_enough_to_learn() {
        let (mut total, mut pictures) = ([0; classes::COUNT], [0; classes::COUNT]);
        for index in 0..120 {
            let mut seen = [0; classes::COUNT];
            for id in ProceduralTerrain::varied(0, index).labels(part(0, 0, 128, 128)).unwrap().ids() {
                seen[usize::from(id)] += 1;
            }
            for (id, n) in seen.into_iter().enumerate() {
                total[id] += n;
                pictures[id] += usize::from(n > 200);
            }
        }
        for (class, (n, pictures)) in ProceduralTerrain::classes().iter().zip(total.into_iter().zip(pictures)) {
            let share = n as f32 / (120.0 * 128.0 * 128.0);
            assert!(share > 0.02 && pictures >= 20, "{}: {share} of the pixels, in {pictures} of 120", class.name);
        }
    }

    #[test]
    fn a_natural_world_has_all_classes() {
        let labels = ProceduralTerrain::new(1).labels(part(0, 0, 2048, 2048)).unwrap();
        let mut seen = [0; classes::COUNT];
        labels.ids().for_each(|id| seen[usize::from(id)] += 1);
        assert!(seen.iter().all(|&n| n > 4000), "{seen:?}");
    }

    #[test]
    fn presets_change_the_picture_and_not_the_labels() {
        let names: Vec<&str> = ProceduralTerrain::presets().map(|(name, _)| name).collect();
        assert!(names.len() >= 6);
        let paint = |name: &str| ProceduralTerrain::new(3).preset(name).unwrap().render(part(0, 0, 64, 64)).unwrap();
        let (first, labels) = paint(names[0]);
        for name in &names[1..] {
            let (other, same) = paint(name);
            assert_eq!(labels, same);
            let sum: u32 = first.as_raw().iter().zip(other.as_raw()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            assert!(sum as f32 / first.as_raw().len() as f32 > 4.0, "{name} looks like {}", names[0]);
        }
        assert!(ProceduralTerrain::new(3).preset("lunar").unwrap_err().to_string().contains("temperate"));
    }

    #[test]
    fn styles_of_presets_have_a_mean_of_zero() {
        let styles: Vec<Style> = ProceduralTerrain::presets()
            .map(|(name, _)| ProceduralTerrain::new(0).preset(name).unwrap().style().unwrap())
            .collect();
        for value in 0..classes::COUNT * VALUES {
            let mean = styles.iter().map(|style| style.to_rows()[value]).sum::<f32>() / styles.len() as f32;
            assert!(mean.abs() < 1e-5, "{value}: {mean}");
        }
        assert!(styles.iter().all(|style| style.to_rows().iter().all(|value| value.abs() < 4.0)));
    }

    #[test]
    fn impossible_parts_are_refused() {
        let world = ProceduralTerrain::new(0);
        for rect in [part(0, 0, 0, 5), part(0, 0, 5, 8193), part(1 << 25, 0, 5, 5)] {
            assert!(matches!(world.render(rect), Err(Error::Argument(m)) if m.contains("8192")));
        }
        assert!(world.render(part(-(1 << 24), 1 << 24, 3, 1)).is_ok());
    }
}
