//! Paints a label map as ground seen from above.
//!
//! A pixel depends on the labels within [`HALO`] pixels and on noise anchored in the world, so parts of a world meet
//! without a seam. First every pixel gets a colour and a height; then the heights give relief and contact shade. There
//! are no long shadows: the picture serves as a texture under any light.

use super::super::scene::{Color, mixed, scaled};
use super::classes::{
    COUNT, DEEP_WATER, DIRT, FIELD, FOREST, GRASS, ROAD, ROCK, ROOF, SAND, SHALLOW_WATER, SNOW, WETLAND,
};
use super::layout::Area;
use super::material::Materials;
use super::near::{depth, share};
use super::noise::{cells, disc, fractal, random, smooth, smoothstep};

/// How far the labels reach that a pixel depends on.
pub(super) const HALO: usize = 34;

/// Pixels around the picture whose colours and heights are computed too: the reach of relief and contact shade.
const PAD: usize = 6;

/// The greatest distance to the border of a roof that its ridge depends on.
const RIDGE: u16 = 22;

/// A pixel before light: its colour and its height in pixels.
type Surface = (Color, f32);

/// What is known of the labels.
struct Painter<'a> {
    materials: &'a Materials,
    seed: u32,
    /// The area of the label map.
    area: Area,
    ids: &'a [u16],
    /// Share of each class nearby; `None` for classes that do not occur.
    soft: [Option<Vec<f32>>; COUNT],
    /// Share of water within about 20 pixels.
    water: Option<Vec<f32>>,
    /// Share of deep water within about 14 pixels.
    deep: Option<Vec<f32>>,
    /// Distance to the border of a roof.
    roof: Option<Vec<f32>>,
}

/// RGB bytes of `area`; `ids` are the labels of `area.grown(HALO)`.
pub(super) fn paint(area: Area, ids: &[u16], materials: &Materials, seed: u32) -> Vec<u8> {
    let painter = Painter::new(area.grown(HALO), ids, materials, seed);
    let padded = area.grown(PAD);
    let places =
        (0..padded.height as i32).flat_map(|y| (0..padded.width as i32).map(move |x| (padded.x + x, padded.y + y)));
    let (colors, heights): (Vec<Color>, Vec<f32>) = places.map(|(x, y)| painter.surface(x, y)).unzip();
    let around = mean_heights(&heights, padded.width);
    let mut bytes = Vec::with_capacity(3 * area.width * area.height);
    for y in 0..area.height {
        for x in 0..area.width {
            let at = (y + PAD) * padded.width + x + PAD;
            let diagonal = padded.width + 1;
            // Light from the upper left, and a sky that hollows see less of.
            let slope = heights[at + diagonal] - heights[at - diagonal];
            let relief = 1.0 + 0.085 * slope / (1.0 + 0.28 * slope.abs());
            let hollow = (around[at - diagonal] - heights[at]).max(0.0);
            let light = relief * (1.0 - 0.62 * hollow / (hollow + 4.0));
            for c in colors[at] {
                let value = (c * light).clamp(0.0, 1.0);
                bytes.push((255.0 * value + 0.5) as u8);
            }
        }
    }
    bytes
}

/// The mean height of the 7x7 pixels around each pixel; 0 within 3 pixels of the border.
fn mean_heights(heights: &[f32], width: usize) -> Vec<f32> {
    let height = heights.len() / width;
    let mut rows = vec![0.0; heights.len()];
    for y in 0..height {
        for x in 3..width - 3 {
            rows[y * width + x] = heights[y * width + x - 3..=y * width + x + 3].iter().sum();
        }
    }
    let mut means = vec![0.0; heights.len()];
    for y in 3..height - 3 {
        for x in 3..width - 3 {
            means[y * width + x] = (0..7).map(|dy| rows[(y + dy - 3) * width + x]).sum::<f32>() / 49.0;
        }
    }
    means
}

/// A wave with sharp crests and hollows between -1 and 1, with a period of 1.
fn wave(t: f32) -> f32 {
    let t = t - t.floor();
    4.0 * (t - 0.5).abs() - 1.0
}

impl<'a> Painter<'a> {
    fn new(area: Area, ids: &'a [u16], materials: &'a Materials, seed: u32) -> Self {
        let mut present = [false; COUNT];
        for &id in ids {
            present[usize::from(id).min(COUNT - 1)] = true;
        }
        let has = |class: u16| present[usize::from(class)];
        let of = |class: u16| ids.iter().map(move |&id| id == class);
        let soft = std::array::from_fn(|class| present[class].then(|| share(of(class as u16), area.width, 2)));
        let wet = |id: u16| id == DEEP_WATER || id == SHALLOW_WATER;
        Self {
            materials,
            seed,
            area,
            ids,
            soft,
            water: (has(DEEP_WATER) || has(SHALLOW_WATER))
                .then(|| share(ids.iter().map(|&id| wet(id)), area.width, 10)),
            deep: (has(DEEP_WATER) && has(SHALLOW_WATER)).then(|| share(of(DEEP_WATER), area.width, 7)),
            roof: has(ROOF).then(|| depth(of(ROOF), area.width, RIDGE)),
        }
    }

    /// A seed for one thing in the world.
    fn salt(&self, tag: u32) -> u32 {
        self.seed ^ tag
    }

    fn index(&self, x: i32, y: i32) -> usize {
        (y - self.area.y) as usize * self.area.width + (x - self.area.x) as usize
    }

    fn id(&self, x: i32, y: i32) -> Option<u16> {
        let (dx, dy) = (x - self.area.x, y - self.area.y);
        let inside = dx >= 0 && dy >= 0 && dx < self.area.width as i32 && dy < self.area.height as i32;
        inside.then(|| self.ids[self.index(x, y)])
    }

    /// Noise with features of `size` pixels.
    fn noise(&self, x: i32, y: i32, size: f64, tag: u32) -> f32 {
        smooth(f64::from(x) / size, f64::from(y) / size, self.seed ^ tag.wrapping_mul(0x85eb_ca6b))
    }

    /// Noise in several octaves, the largest with features of `size` pixels.
    fn clouds(&self, x: i32, y: i32, size: f64, octaves: u32, tag: u32) -> f32 {
        fractal(f64::from(x) / size, f64::from(y) / size, octaves, self.seed ^ tag.wrapping_mul(0x85eb_ca6b))
    }

    /// The ground of all classes nearby, and what stands on it.
    fn surface(&self, x: i32, y: i32) -> Surface {
        let at = self.index(x, y);
        let (mut color, mut height, mut total) = ([0.0; 3], 0.0, 0.0);
        // Built things have straight edges, and natural ones reach into each other.
        let hard = |class: u16| self.soft[usize::from(class)].as_ref().map_or(0.0, |soft| soft[at]);
        let built = hard(ROAD) + hard(ROOF);
        let built = smoothstep(0.30, 0.70, built);
        for class in 0..COUNT as u16 {
            let Some(soft) = &self.soft[usize::from(class)] else { continue };
            let near = soft[at];
            if near < 0.02 {
                continue;
            }
            let weight = if class == ROAD || class == ROOF {
                near
            } else if near > 0.995 {
                1.0
            } else {
                let ragged = 0.36 * self.noise(x, y, 5.5, 900 + u32::from(class));
                let ragged = ragged + 0.2 * self.noise(x, y, 2.4, 950 + u32::from(class));
                (1.0 - built) * smoothstep(0.30, 0.70, near + ragged) + 1e-4 * near
            };
            let (part, part_height) = self.ground(class, x, y, at);
            for (sum, value) in color.iter_mut().zip(part) {
                *sum += weight * value;
            }
            height += weight * part_height;
            total += weight;
        }
        let ground = (color.map(|c| c / total), height / total);
        self.canopy(x, y, ground)
    }

    fn ground(&self, class: u16, x: i32, y: i32, at: usize) -> Surface {
        match class {
            DEEP_WATER => self.deep_water(x, y, at),
            SHALLOW_WATER => self.shallow_water(x, y, at),
            SAND => self.sand(x, y, at),
            DIRT => self.dirt(x, y, at),
            GRASS => self.grass(x, y, at),
            ROCK => self.rock(x, y),
            SNOW => self.snow(x, y),
            ROAD => self.road(x, y, at),
            ROOF => self.roof(x, y, at),
            FIELD => self.field(x, y),
            WETLAND => self.wetland(x, y),
            _ => self.forest_floor(x, y),
        }
    }

    /// The share of water nearby: 0.5 at the shore.
    fn water_at(&self, at: usize) -> f32 {
        self.water.as_ref().map_or(0.0, |water| water[at])
    }

    /// Earth is darker where it is wet.
    fn damp(&self, at: usize, most: f32) -> f32 {
        1.0 - most * smoothstep(0.12, 0.5, self.water_at(at))
    }

    fn deep_water(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(DEEP_WATER);
        let (fx, fy) = (f64::from(x), f64::from(y));
        let chop = smooth(fx / 9.0, fy / 4.2, self.salt(11)) + 0.6 * smooth(fx / 4.1, fy / 2.3, self.salt(12));
        let tint = 0.5 + 0.5 * self.clouds(x, y, 64.0, 3, 13);
        let mut color = mixed(m.base, m.accent, (m.share * (0.25 + 1.1 * tint)).clamp(0.0, 1.0));
        if let Some(deep) = &self.deep {
            let shallow = self.materials.of(SHALLOW_WATER).base;
            let shore = smoothstep(0.12, 0.85, 1.0 - deep[at] + 0.08 * self.noise(x, y, 14.0, 15));
            color = mixed(color, shallow, 0.75 * shore);
        }
        (scaled(color, 1.0 + 0.07 * m.form * chop), 0.55 * m.form * chop)
    }

    fn shallow_water(&self, x: i32, y: i32, at: usize) -> Surface {
        let (m, ripple) = (self.materials.of(SHALLOW_WATER), self.noise(x, y, 12.0, 21));
        let land = 1.0 - self.water_at(at);
        let bottom = smoothstep(0.02, 0.52, land + 0.05 * ripple + 0.10 * self.clouds(x, y, 30.0, 3, 22));
        let mut color = mixed(m.base, m.accent, 0.85 * bottom);
        // Weed on the ground.
        let weed = smoothstep(0.25, 0.65, self.clouds(x, y, 26.0, 3, 23));
        color = scaled(color, 1.0 - 0.16 * weed);
        if let Some(deep) = &self.deep {
            let water = self.materials.of(DEEP_WATER).base;
            let far = smoothstep(0.15, 0.88, deep[at] + 0.08 * self.noise(x, y, 14.0, 15));
            color = mixed(color, water, 0.45 * far);
        }
        let net = 1.0 - self.noise(x, y, 7.5, 24).abs() - 0.5 * self.noise(x, y, 4.0, 25).abs();
        let glint = m.form * 0.22 * smoothstep(0.6, 1.0, net);
        color = color.map(|c| c + glint * (1.0 - c));
        let surf = land + 0.045 * ripple + 0.03 * self.noise(x, y, 4.5, 26);
        let line = smoothstep(0.385, 0.44, surf) * smoothstep(0.54, 0.47, surf)
            + 0.5 * smoothstep(0.030, 0.008, (surf - 0.30).abs());
        let lace = 0.62 + 0.5 * self.noise(x, y, 3.0, 27);
        let foam = (1.5 * m.share * line * lace).clamp(0.0, 0.92);
        (mixed(color, [0.95, 0.97, 0.97], foam), 0.35 * m.form * ripple + 0.5 * foam)
    }

    /// The base colour with patches of the accent colour.
    fn patches(&self, class: u16, x: i32, y: i32, size: f64) -> Color {
        let m = self.materials.of(class);
        let cloud = self.clouds(x, y, size, 4, 30 + u32::from(class));
        let edge = 0.75 - 1.5 * m.share;
        mixed(m.base, m.accent, smoothstep(edge - 0.55, edge + 0.55, cloud))
    }

    fn sand(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(SAND);
        let bend = 1.1 * self.noise(x, y, 34.0, 51) + 0.35 * self.noise(x, y, 13.0, 52);
        let along = (0.36 * x as f32 + 0.93 * y as f32) / 9.0 + bend;
        let fade = 0.55 + 0.45 * self.noise(x, y, 52.0, 53);
        let ripple = m.form * fade * wave(along);
        let dune = m.form * self.clouds(x, y, 70.0, 2, 54);
        let grain = 0.035 * self.noise(x, y, 1.7, 55) + 0.02 * self.noise(x, y, 3.3, 56);
        let color = scaled(self.patches(SAND, x, y, 44.0), (1.0 + grain + 0.05 * dune) * self.damp(at, 0.30));
        if let Some(stone) = disc(x, y, 17, (0.7, 2.2), self.salt(57), |cx, cy, n| n < 0.22 && self.is(cx, cy, SAND)) {
            let color = scaled(mixed(color, [0.45, 0.42, 0.38], 0.6), 0.85 + 0.4 * stone.number);
            return (color, 0.9 * stone.radius * (1.0 - stone.reach * stone.reach));
        }
        (color, 1.0 * ripple + 2.2 * dune)
    }

    fn is(&self, x: i32, y: i32, class: u16) -> bool {
        self.id(x, y) == Some(class)
    }

    fn dirt(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(DIRT);
        let clods = self.noise(x, y, 4.2, 61) + 0.7 * self.noise(x, y, 2.1, 62);
        let gain = (1.0 + 0.07 * clods + 0.05 * self.noise(x, y, 21.0, 63)) * self.damp(at, 0.28);
        let color = scaled(self.patches(DIRT, x, y, 36.0), gain);
        let many = 0.55 * m.form;
        if let Some(stone) = disc(x, y, 8, (0.7, 2.6), self.salt(64), |cx, cy, n| n < many && self.is(cx, cy, DIRT)) {
            let grey = mixed(m.accent, [0.56, 0.54, 0.51], 0.55);
            let color = scaled(grey, 0.72 + 0.5 * random(x / 8, y / 8, 65).max(stone.number));
            return (color, 1.1 * stone.radius * (1.0 - stone.reach * stone.reach));
        }
        (color, 0.7 * clods)
    }

    fn grass(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(GRASS);
        let tufts = self.noise(x, y, 6.5, 71) + 0.8 * self.noise(x, y, 2.9, 72) + 0.4 * self.noise(x, y, 1.6, 73);
        let color = scaled(self.patches(GRASS, x, y, 48.0), (1.0 + 0.075 * tufts) * self.damp(at, 0.12));
        let many = 0.42 * m.form * (0.5 + 0.9 * smoothstep(-0.3, 0.5, self.clouds(x / 4 * 4, y / 4 * 4, 60.0, 2, 74)));
        if let Some(shrub) = disc(x, y, 15, (1.6, 4.4), self.salt(75), |cx, cy, n| n < many && self.is(cx, cy, GRASS)) {
            let leaf = mixed(m.base, self.materials.of(FOREST).base, 0.35 + 0.5 * shrub.number / many.max(0.1));
            let dome = 1.0 - shrub.reach * shrub.reach;
            let color = scaled(leaf, 0.80 + 0.18 * dome + 0.10 * self.noise(x, y, 2.0, 76));
            return (color, shrub.radius * (0.35 + 0.75 * dome));
        }
        (color, 0.85 * tufts)
    }

    fn forest_floor(&self, x: i32, y: i32) -> Surface {
        let (m, earth) = (self.materials.of(FOREST), self.materials.of(DIRT).base);
        let under = mixed(scaled(m.base, 0.62), scaled(earth, 0.55), 0.35 + 0.25 * self.noise(x, y, 6.0, 81));
        (scaled(under, 1.0 + 0.1 * self.noise(x, y, 2.4, 82)), 0.6 * self.noise(x, y, 3.4, 83))
    }

    /// Crowns of the forest, which reach a little over their surroundings.
    fn canopy(&self, x: i32, y: i32, ground: Surface) -> Surface {
        let Some(forest) = &self.soft[usize::from(FOREST)] else { return ground };
        let m = self.materials.of(FOREST);
        let wooded = |cx: i32, cy: i32, _: f32| self.is(cx, cy, FOREST) && forest[self.index(cx, cy)] > 0.4;
        let ragged = 1.0 + 0.5 * m.form;
        let (jx, jy) = (ragged * self.noise(x, y, 3.2, 91), ragged * self.noise(x, y, 3.2, 92));
        let (jx, jy) = (x + (jx * 1.6) as i32, y + (jy * 1.6) as i32);
        // Conifers are slimmer.
        let slim = 1.0 - 0.28 * m.form;
        let large = disc(jx, jy, 11, (4.6 * slim, 8.2 * slim), self.salt(93), wooded);
        let small = disc(jx, jy, 7, (2.6 * slim, 4.8 * slim), self.salt(94), wooded);
        let height = |crown: &super::noise::Disc| {
            let dome = (1.0 - crown.reach * crown.reach).sqrt();
            let cone = 1.0 - crown.reach;
            let size = 0.8 + 0.4 * crown.number;
            2.0 + size * (1.15 * crown.radius * dome * (1.0 - m.form) + (2.0 * crown.radius * cone + 1.0) * m.form)
        };
        let taller = match (large, small) {
            (Some(a), Some(b)) => Some(if height(&a) >= height(&b) { a } else { b }),
            (a, b) => a.or(b),
        };
        let Some(crown) = taller else { return ground };
        let pick = (crown.number - 1.0 + m.share) / m.share.max(0.05);
        let tone = 0.65 * smoothstep(0.0, 0.5, pick) + 0.35 * crown.number;
        let leaf = 0.13 * self.noise(x, y, 2.3, 95) + 0.06 * self.noise(x, y, 1.4, 96);
        let top = 0.80 + 0.26 * (1.0 - crown.reach) + leaf;
        let tint = 1.0 + 0.06 * self.clouds(x, y, 58.0, 2, 97);
        let color = scaled(mixed(m.base, m.accent, tone), top * tint);
        (color, height(&crown) + 1.2 * leaf)
    }

    fn rock(&self, x: i32, y: i32) -> Surface {
        let m = self.materials.of(ROCK);
        let bend = self.clouds(x, y, 66.0, 4, 101);
        // Layers that come out in steps: slow rise, steep fall.
        let layer = (0.80 * x as f32 + 0.60 * y as f32) / 19.0 + 1.9 * bend + 0.25 * self.noise(x, y, 9.0, 109);
        let step = layer - layer.floor();
        let ledge = if step < 0.78 { step / 0.78 } else { (1.0 - step) / 0.22 };
        let fine = wave(3.0 * layer + 0.5 * self.noise(x, y, 6.0, 102));
        // Spurs and gullies in three sizes.
        let (wx, wy) = (6.0 * self.noise(x, y, 17.0, 103), 6.0 * self.noise(x, y, 17.0, 104));
        let (px, py) = (f64::from(x as f32 + wx), f64::from(y as f32 + wy));
        let crest = |size: f64, tag: u32| 1.0 - 2.0 * smooth(px / size, py / size, self.seed ^ tag).abs();
        let (large, middle, small) = (crest(38.0, 105), crest(17.0, 106), crest(7.5, 110));
        let gully = smoothstep(0.10, 0.02, (middle - 0.25).abs()) * smoothstep(-0.1, 0.5, large);
        let layered = 0.25 + 0.75 * m.form;
        let rough = 1.25 - 0.75 * m.form;
        let grit = self.noise(x, y, 2.0, 107) + 0.6 * self.noise(x, y, 4.0, 108);
        let gain = 1.0
            + layered * (0.06 * (ledge - 0.5) + 0.04 * fine)
            + rough * (0.05 * large + 0.05 * middle - 0.10 * gully)
            + 0.055 * grit
            + 0.06 * bend;
        let height = layered * 3.4 * ledge
            + rough * (5.0 * large + 2.6 * middle + 1.0 * small - 1.2 * gully)
            + 0.7 * grit
            + 4.0 * bend;
        (scaled(self.patches(ROCK, x, y, 30.0), gain), height)
    }

    fn snow(&self, x: i32, y: i32) -> Surface {
        let m = self.materials.of(SNOW);
        let (fx, fy) = (f64::from(x), f64::from(y));
        let (u, v) = (0.94 * fx + 0.34 * fy, 0.94 * fy - 0.34 * fx);
        let drift = fractal(u / 58.0, v / 26.0, 3, self.salt(111));
        let crust = smooth(u / 11.0, v / 3.6, self.salt(112)) * (0.5 + 0.5 * self.noise(x, y, 36.0, 113));
        let hollow = smoothstep(0.45, -0.65, drift + 0.35 - m.share);
        let color = mixed(m.base, m.accent, 0.65 * hollow);
        let grain = 0.010 * self.noise(x, y, 1.8, 114);
        (scaled(color, 1.0 + grain), m.form * (9.0 * drift + 1.1 * crust) + 0.25 * self.noise(x, y, 5.0, 115))
    }

    fn road(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(ROAD);
        let inside = self.soft[usize::from(ROAD)].as_ref().map_or(1.0, |soft| soft[at]);
        let gravel = self.noise(x, y, 1.7, 121) + 0.5 * self.noise(x, y, 3.6, 122);
        let mended = cells(f64::from(x) / 27.0, f64::from(y) / 27.0, self.salt(123));
        let patch = 0.10 * (random(mended.at.0, mended.at.1, self.salt(124)) - 0.5) * (1.0 - 0.8 * m.form);
        let broken = (1.0 - m.form) * smoothstep(0.1, 0.5, self.noise(x, y, 31.0, 128));
        let crack = smoothstep(0.06, 0.015, self.noise(x, y, 15.0, 125).abs()) * broken;
        let dust = m.share * smoothstep(1.02, 0.55, inside + 0.12 * self.noise(x, y, 6.0, 126));
        let worn = m.share * smoothstep(0.0, 0.7, self.clouds(x, y, 24.0, 2, 127));
        let color = mixed(m.base, m.accent, (0.9 * dust + 0.35 * worn).clamp(0.0, 1.0));
        let gain = 1.0 + (0.025 + 0.07 * m.form) * gravel + patch - 0.16 * crack;
        (scaled(color, gain), 0.45 * m.form * gravel - 0.4)
    }

    fn roof(&self, x: i32, y: i32, at: usize) -> Surface {
        let m = self.materials.of(ROOF);
        let inward = self.roof.as_ref().map_or(1.0, |roof| roof[at]);
        let pitched = smoothstep(0.25, 0.6, m.form);
        let house = cells(f64::from(x) / 46.0, f64::from(y) / 46.0, self.salt(131));
        let tone = random(house.at.0, house.at.1, self.salt(132));
        let mut color = mixed(m.base, m.accent, m.share * tone);
        let stain = 0.05 * self.noise(x, y, 8.0, 133) + 0.03 * self.noise(x, y, 2.0, 134);
        let tiles = wave(inward / 3.0);
        let rim = smoothstep(2.6, 1.6, inward) * (1.0 - pitched);
        color = scaled(color, 1.0 + stain + 0.05 * pitched * tiles + 0.10 * rim);
        let mut height = 8.0 + pitched * (1.05 * inward + 0.25 * tiles) + 1.2 * rim;
        if pitched < 0.5
            && inward > 4.0
            && let Some(unit) = disc(x, y, 13, (1.2, 2.6), self.salt(135), |cx, cy, n| n < 0.3 && self.is(cx, cy, ROOF))
        {
            color = mixed(color, [0.62, 0.62, 0.6], 0.75);
            height += 2.2 * (1.0 - unit.reach);
        }
        (color, height)
    }

    fn field(&self, x: i32, y: i32) -> Surface {
        let m = self.materials.of(FIELD);
        let bend = 1.2 * self.noise(x, y, 46.0, 141);
        let across = y as f32 + bend;
        let (fine, wide) = (wave(across / 4.0), wave(across / 8.0));
        let rows = fine + (wide - fine) * smoothstep(0.35, 0.65, m.form);
        let growth = m.share + 0.22 * self.clouds(x, y, 62.0, 3, 142) + 0.12 * self.noise(x, y, 5.0, 143);
        // Plants stand on the crests; the more they have grown, the less earth is seen between them.
        let plants = smoothstep(-0.25, 0.25, 0.5 * rows + 2.0 * (growth - 0.5)) * smoothstep(0.05, 0.25, growth);
        let clod = self.noise(x, y, 2.2, 144);
        let earth = scaled(m.base, 1.0 + 0.07 * rows + 0.06 * clod);
        let leaves = scaled(m.accent, 1.0 + 0.05 * rows + 0.09 * self.noise(x, y, 2.0, 145));
        (mixed(earth, leaves, plants), 0.7 * rows + (0.6 + 1.2 * m.form) * plants + 0.4 * clod)
    }

    fn wetland(&self, x: i32, y: i32) -> Surface {
        let m = self.materials.of(WETLAND);
        let lie = self.clouds(x, y, 24.0, 3, 151) + 0.12 * self.noise(x, y, 4.0, 152);
        let level = 0.85 - 1.7 * m.share;
        let pool = smoothstep(level - 0.10, level + 0.10, lie - 0.35);
        let (fx, fy) = (f64::from(x), f64::from(y));
        let reeds = smooth(fx / 1.8, fy / 4.2, self.salt(153)) + 0.7 * self.noise(x, y, 4.4, 154);
        let moss = mixed(m.base, self.materials.of(GRASS).accent, 0.28 + 0.28 * self.noise(x, y, 19.0, 155));
        let bank = 1.0 - 0.22 * smoothstep(level - 0.5, level, lie - 0.35);
        let land = scaled(moss, bank * (1.0 + 0.11 * reeds));
        let water = scaled(m.accent, 1.0 + 0.05 * self.noise(x, y, 11.0, 156));
        (mixed(land, water, pool), (1.0 - pool) * (1.6 + (0.5 + m.form) * reeds))
    }
}
