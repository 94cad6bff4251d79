//! Colours of a whole house as a style: what a model can be told about a facade besides its label map.

use super::parts::Panes;
use super::rng::Rng;
use super::scene::{Color, class, mixed, scaled};
use super::style::{Kind, Style};
use super::texture::Texture;

/// The number of values per class.
pub(super) const VALUES: usize = 8;

/// Number of classes.
pub(super) const CLASSES: usize = 12;

/// Colours and materials of a house.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colors {
    wall: Color,
    /// Between bricks and stones.
    joint: Color,
    /// Mouldings, sills, surrounds.
    trim: Color,
    /// Plinth and ground floor.
    base: Color,
    /// Window frames.
    frame: Color,
    glass: Color,
    shutter: Color,
    door: Color,
    roof: Color,
    shop: Color,
    awning: Color,
    /// Railings of iron.
    iron: Color,
    /// The sky at the top of the picture, and at the horizon.
    sky: (Color, Color),
    /// 1 for a wall of bricks, 0 for plaster.
    bricks: f32,
    /// Strength of the shadows, 0 to 1.
    sun: f32,
    /// How the windows are divided.
    panes: Panes,
}

/// A named set of colours.
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// One line.
    pub(super) summary: &'static str,
    /// Wall, joint, trim, base, frame, glass, shutter, door, roof, shop, awning, iron, sky above, sky below.
    rows: [[u8; 3]; 14],
    /// In percent.
    bricks: u8,
    /// In percent.
    sun: u8,
    panes: Panes,
}

impl Preset {
    pub(super) fn colors(&self) -> Colors {
        let [wall, joint, trim, base, frame, glass, shutter, door, roof, shop, awning, iron, zenith, horizon] =
            self.rows.map(|rgb| rgb.map(|c| f32::from(c) / 255.0));
        let sky = (zenith, horizon);
        let (bricks, sun) = (f32::from(self.bricks) / 100.0, f32::from(self.sun) / 100.0);
        let panes = self.panes;
        Colors {
            wall,
            joint,
            trim,
            base,
            frame,
            glass,
            shutter,
            door,
            roof,
            shop,
            awning,
            iron,
            sky,
            bricks,
            sun,
            panes,
        }
    }
}

/// Every preset; the first is what a model paints without a style.
pub(super) const PRESETS: [Preset; 7] = [
    Preset {
        name: "limestone",
        summary: "Pale stone, white frames, slate roof, clear sky",
        rows: [
            [204, 190, 160],
            [150, 138, 114],
            [222, 212, 186],
            [186, 172, 144],
            [232, 230, 222],
            [52, 64, 80],
            [196, 198, 192],
            [78, 56, 40],
            [96, 104, 118],
            [44, 40, 40],
            [120, 40, 36],
            [34, 36, 40],
            [96, 146, 206],
            [190, 214, 236],
        ],
        bricks: 0,
        sun: 55,
        panes: Panes::Casement,
    },
    Preset {
        name: "brick",
        summary: "Red bricks, white frames and dressings",
        rows: [
            [146, 78, 58],
            [186, 170, 148],
            [214, 204, 184],
            [128, 72, 56],
            [236, 234, 228],
            [44, 54, 66],
            [52, 74, 62],
            [40, 58, 50],
            [86, 80, 80],
            [38, 52, 48],
            [160, 120, 60],
            [28, 30, 32],
            [120, 158, 200],
            [206, 220, 232],
        ],
        bricks: 100,
        sun: 50,
        panes: Panes::Sash,
    },
    Preset {
        name: "ochre",
        summary: "Warm plaster, green shutters, tiled roof",
        rows: [
            [214, 168, 96],
            [150, 114, 66],
            [230, 208, 164],
            [190, 146, 86],
            [140, 100, 66],
            [58, 64, 70],
            [56, 100, 72],
            [92, 56, 34],
            [168, 96, 66],
            [96, 48, 36],
            [190, 140, 60],
            [50, 46, 44],
            [90, 150, 216],
            [186, 216, 240],
        ],
        bricks: 0,
        sun: 62,
        panes: Panes::Casement,
    },
    Preset {
        name: "rose",
        summary: "Pink plaster, white trim, blue-grey shutters",
        rows: [
            [212, 150, 140],
            [150, 104, 98],
            [238, 226, 216],
            [188, 130, 122],
            [240, 238, 234],
            [60, 72, 88],
            [116, 134, 152],
            [96, 62, 66],
            [128, 82, 70],
            [70, 50, 62],
            [176, 72, 84],
            [44, 44, 50],
            [128, 170, 214],
            [212, 224, 236],
        ],
        bricks: 0,
        sun: 45,
        panes: Panes::Casement,
    },
    Preset {
        name: "azure",
        summary: "Blue plaster, white frames, bright sky",
        rows: [
            [116, 152, 190],
            [80, 106, 136],
            [232, 236, 238],
            [98, 128, 162],
            [242, 242, 240],
            [46, 58, 74],
            [226, 228, 226],
            [42, 66, 104],
            [112, 108, 112],
            [34, 52, 80],
            [214, 196, 120],
            [36, 40, 48],
            [66, 134, 220],
            [176, 212, 246],
        ],
        bricks: 0,
        sun: 60,
        panes: Panes::Picture,
    },
    Preset {
        name: "soot",
        summary: "Dark bricks and iron under a grey sky",
        rows: [
            [92, 72, 64],
            [58, 50, 48],
            [124, 114, 106],
            [76, 64, 60],
            [54, 58, 58],
            [36, 44, 52],
            [60, 52, 48],
            [44, 36, 32],
            [60, 58, 60],
            [30, 30, 34],
            [86, 40, 36],
            [22, 22, 24],
            [150, 156, 162],
            [198, 200, 202],
        ],
        bricks: 100,
        sun: 25,
        panes: Panes::Grid,
    },
    Preset {
        name: "whitewash",
        summary: "White walls, dark frames, hard sun",
        rows: [
            [236, 232, 222],
            [190, 184, 172],
            [246, 244, 238],
            [214, 208, 196],
            [62, 60, 62],
            [48, 60, 74],
            [72, 110, 150],
            [52, 86, 128],
            [176, 108, 76],
            [66, 92, 120],
            [226, 206, 150],
            [40, 42, 48],
            [58, 124, 214],
            [160, 204, 244],
        ],
        bricks: 0,
        sun: 65,
        panes: Panes::Casement,
    },
];

impl Colors {
    pub(super) fn panes(&self) -> Panes {
        self.panes
    }

    /// All values but the panes, in a fixed order.
    fn values(&self) -> [f32; 44] {
        let colors = [
            self.wall,
            self.joint,
            self.trim,
            self.base,
            self.frame,
            self.glass,
            self.shutter,
            self.door,
            self.roof,
            self.shop,
            self.awning,
            self.iron,
            self.sky.0,
            self.sky.1,
        ];
        let mut values = [0.0; 44];
        for (to, value) in values.iter_mut().zip(colors.into_iter().flatten().chain([self.bricks, self.sun])) {
            *to = value;
        }
        values
    }

    fn from_values(values: &[f32; 44], panes: Panes) -> Self {
        let color = |i: usize| [values[3 * i], values[3 * i + 1], values[3 * i + 2]];
        Self {
            wall: color(0),
            joint: color(1),
            trim: color(2),
            base: color(3),
            frame: color(4),
            glass: color(5),
            shutter: color(6),
            door: color(7),
            roof: color(8),
            shop: color(9),
            awning: color(10),
            iron: color(11),
            sky: (color(12), color(13)),
            bricks: values[42],
            sun: values[43],
            panes,
        }
    }

    /// Colours to learn from: those of a preset, or each part from any of them, a little varied.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let any = |rng: &mut Rng| PRESETS[rng.int(0, PRESETS.len() - 1)].colors();
        let (whole, main) = (rng.chance(0.4), any(rng));
        let (mut values, mut panes) = (main.values(), main.panes);
        if !whole {
            panes = rng.pick(Panes::ALL);
            // Parts that belong together come from one preset: wall with joint and base, both colours of the sky.
            for part in [&[0, 1, 2, 3, 4, 5, 9, 10, 11, 42][..], &[36, 37, 38, 39, 40, 41, 43]] {
                let other = any(rng).values();
                for &i in part {
                    values[i] = other[i];
                }
            }
            for first in [6, 12, 15, 18, 21, 24, 27, 30, 33] {
                let (a, b, share) =
                    (any(rng).values(), any(rng).values(), if rng.chance(0.5) { 0.0 } else { rng.unit() });
                (first..first + 3).for_each(|i| values[i] = a[i] + (b[i] - a[i]) * share);
            }
        }
        for color in values[..42].chunks_exact_mut(3) {
            let gain = rng.range(0.9, 1.1);
            for c in color {
                *c = (*c * gain + rng.range(-0.03, 0.03)).clamp(0.02, 0.98);
            }
        }
        values[43] = (values[43] + rng.range(-0.1, 0.1)).clamp(0.1, 0.8);
        Self::from_values(&values, panes)
    }

    /// Gives a house these colours. `storey` is the height of a storey, which determines the size of bricks.
    pub(super) fn dress(&self, style: &mut Style, rng: &mut Rng, storey: f32) {
        (style.wall, style.joint, style.trim, style.base) = (self.wall, self.joint, self.trim, self.base);
        (style.frame, style.shutter, style.door, style.roof) = (self.frame, self.shutter, self.door, self.roof);
        (style.shop, style.awning, style.iron, style.sky) = (self.shop, self.awning, self.iron, self.sky);
        style.glass = (scaled(self.glass, 0.62), self.glass);
        (style.sun, style.light, style.is_told) = (self.sun, 1.0, true);
        let (seed, course) = (rng.seed(), storey / 30.0);
        style.texture = if self.bricks > 0.5 {
            let (length, joint) = (course * 2.9, course * 0.17);
            Texture::Masonry { seed, course, length, joint, bond: 0.5, vary: 0.30, top: 0.0 }
        } else {
            Texture::Plaster { seed, amount: 0.11 }
        };
        if matches!(style.kind, Kind::Georgian | Kind::Industrial) && self.bricks <= 0.5 {
            style.joint = scaled(self.wall, 0.68);
        }
    }

    /// The values that matter for each class, `[classes][values]`.
    fn rows(&self) -> [[f32; VALUES]; CLASSES] {
        let row = |a: Color, b: Color, c: f32, d: f32| [a[0], a[1], a[2], b[0], b[1], b[2], c, d];
        let (brick, sun) = (self.bricks, self.sun);
        let trim = row(self.trim, self.wall, brick, sun);
        let mut rows = [trim; CLASSES];
        let mut set = |id: u16, row: [f32; VALUES]| rows[usize::from(id)] = row;
        // The background has the sky, roofs and the ground.
        set(0, row(mixed(self.sky.0, self.sky.1, 0.5), self.roof, brick, sun));
        set(class::FACADE, row(self.wall, self.joint, brick, sun));
        let [upright, level] = self.panes.bars();
        set(class::WINDOW, row(self.frame, self.glass, upright, level));
        set(class::DOOR, row(self.door, self.frame, brick, sun));
        set(class::BALCONY, row(self.iron, self.trim, brick, sun));
        set(class::BLIND, row(self.shutter, self.wall, brick, sun));
        set(class::PILLAR, row(self.trim, self.base, brick, sun));
        set(class::SHOP, row(self.shop, self.awning, brick, sun));
        rows
    }

    /// The rows of a style: differences from the mean over all presets, brought to about 1.
    pub(super) fn style_rows(&self) -> Vec<Option<Vec<f32>>> {
        const SCALE: f32 = 4.0;
        let presets: Vec<_> = PRESETS.iter().map(|preset| preset.colors().rows()).collect();
        let row = |id: usize| {
            let mean = |value: usize| presets.iter().map(|rows| rows[id][value]).sum::<f32>() / presets.len() as f32;
            let values = self.rows()[id];
            // Bricks or not is a large difference by itself, and so are bars.
            let is_large = |value: usize| value == 6 || value == 7 && id == usize::from(class::WINDOW);
            let scale = |value: usize| if is_large(value) { 1.0 } else { SCALE };
            Some((0..VALUES).map(|value| scale(value) * (values[value] - mean(value))).collect())
        };
        (0..CLASSES).map(row).collect()
    }
}
