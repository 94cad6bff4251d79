//! The look of a house: architecture, colours and light.

use super::rng::Rng;
use super::scene::{Color, Fill, mixed, scaled};
use super::texture::Texture;

/// The architecture of a house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neo-Renaissance stucco: pediments, bands, pilasters.
    Stucco,
    /// Limestone, running iron balconies, mansard roof.
    Haussmann,
    /// Brick with sash windows and stone dressings.
    Georgian,
    /// Painted plaster with arched windows and ornament.
    ArtNouveau,
    /// Brick mill with piers and large grids of panes.
    Industrial,
    /// Smooth walls, wide windows, slab balconies.
    Modern,
    /// Painted plaster with shutters.
    Tenement,
}

/// Colours and light of one picture.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) kind: Kind,
    pub(super) wall: Color,
    pub(super) joint: Color,
    pub(super) texture: Texture,
    /// Mouldings, sills, surrounds.
    pub(super) trim: Color,
    /// Plinth and ground floor.
    pub(super) base: Color,
    pub(super) frame: Color,
    pub(super) glass: (Color, Color),
    pub(super) shutter: Color,
    pub(super) iron: Color,
    pub(super) door: Color,
    pub(super) roof: Color,
    pub(super) shop: Color,
    pub(super) awning: Color,
    pub(super) sky: (Color, Color),
    /// 1 for light from the left, so that shadows fall to the right; -1 for light from the right.
    pub(super) light: f32,
    /// Strength of the shadows.
    pub(super) sun: f32,
    /// Whether a model is told these colours. Then there is less that it cannot know: no neighbours, no curtains.
    pub(super) is_told: bool,
}

/// `color` with a small random variation.
fn near(rng: &mut Rng, color: Color) -> Color {
    let gain = rng.range(0.93, 1.06);
    color.map(|c| (c * gain + rng.range(-0.015, 0.015)).clamp(0.02, 0.97))
}

impl Style {
    /// Draws a style. `storey` is the height of a storey, which determines the size of bricks.
    pub(super) fn random(rng: &mut Rng, storey: f32) -> Self {
        let kind = match rng.int(0, 19) {
            0..=6 => Kind::Stucco,
            7..=9 => Kind::Haussmann,
            10..=11 => Kind::Georgian,
            12..=14 => Kind::ArtNouveau,
            15 => Kind::Industrial,
            16 => Kind::Modern,
            _ => Kind::Tenement,
        };
        let wall = match kind {
            Kind::Stucco => rng.pick([
                [0.78, 0.69, 0.50],
                [0.80, 0.75, 0.64],
                [0.73, 0.66, 0.55],
                [0.68, 0.65, 0.60],
                [0.77, 0.60, 0.49],
            ]),
            Kind::Haussmann => rng.pick([[0.77, 0.72, 0.61], [0.72, 0.67, 0.57], [0.80, 0.76, 0.67]]),
            Kind::Georgian => rng.pick([[0.55, 0.33, 0.25], [0.52, 0.38, 0.29], [0.62, 0.43, 0.32]]),
            Kind::ArtNouveau => {
                rng.pick([[0.80, 0.74, 0.58], [0.73, 0.65, 0.50], [0.70, 0.68, 0.57], [0.77, 0.65, 0.55]])
            }
            Kind::Industrial => rng.pick([[0.53, 0.31, 0.24], [0.49, 0.36, 0.29], [0.58, 0.41, 0.32]]),
            Kind::Modern => rng.pick([[0.64, 0.62, 0.58], [0.80, 0.78, 0.73], [0.69, 0.59, 0.50]]),
            Kind::Tenement => rng.pick([[0.80, 0.65, 0.47], [0.76, 0.57, 0.44], [0.82, 0.74, 0.58]]),
        };
        let wall = near(rng, wall);
        let brick = matches!(kind, Kind::Georgian | Kind::Industrial);
        let stone = near(rng, [0.78, 0.74, 0.66]);
        let trim = if brick { stone } else { mixed(wall, [0.92, 0.90, 0.85], rng.range(0.3, 0.65)) };
        let seed = rng.seed();
        let course = storey / rng.range(26.0, 34.0);
        let texture = match kind {
            Kind::Georgian | Kind::Industrial => Texture::Masonry {
                seed,
                course,
                length: course * 2.9,
                joint: course * 0.17,
                bond: 0.5,
                vary: 0.34,
                top: 0.0,
            },
            Kind::Haussmann => Texture::Masonry {
                seed,
                course: course * 3.4,
                length: course * 8.0,
                joint: course * 0.22,
                bond: 0.5,
                vary: 0.12,
                top: 0.0,
            },
            Kind::Modern if rng.chance(0.5) => Texture::Masonry {
                seed,
                course: course * 15.0,
                length: course * 17.0,
                joint: course * 0.25,
                bond: 0.0,
                vary: 0.10,
                top: 0.0,
            },
            _ => Texture::Plaster { seed, amount: rng.range(0.07, 0.17) },
        };
        let joint = match kind {
            Kind::Georgian | Kind::Industrial => near(rng, [0.70, 0.64, 0.56]),
            _ => scaled(wall, 0.68),
        };
        let base = if rng.chance(0.5) { scaled(wall, rng.range(0.78, 0.92)) } else { near(rng, [0.62, 0.58, 0.52]) };
        let white = near(rng, [0.88, 0.87, 0.83]);
        let frame = match kind {
            Kind::Georgian | Kind::Haussmann => white,
            Kind::Industrial => rng.pick([[0.20, 0.24, 0.24], [0.30, 0.22, 0.18]]),
            Kind::Modern => rng.pick([white, [0.25, 0.26, 0.28]]),
            _ => rng.pick([white, white, [0.42, 0.29, 0.19], [0.55, 0.47, 0.38]]),
        };
        let day = rng.range(0.0, 1.0);
        let glass = near(rng, [0.18, 0.23, 0.29]);
        let shutter = rng.pick([[0.26, 0.38, 0.29], [0.44, 0.28, 0.19], [0.40, 0.45, 0.46], [0.30, 0.42, 0.33]]);
        let door = rng.pick([[0.36, 0.22, 0.13], [0.42, 0.27, 0.16], [0.24, 0.29, 0.22], [0.30, 0.18, 0.13]]);
        let roof = match kind {
            Kind::Haussmann => [0.40, 0.43, 0.48],
            Kind::Modern | Kind::Industrial => [0.42, 0.41, 0.40],
            _ => rng.pick([[0.55, 0.31, 0.23], [0.60, 0.37, 0.27], [0.41, 0.38, 0.37]]),
        };
        let shop = rng.pick([[0.23, 0.14, 0.11], [0.15, 0.19, 0.17], [0.40, 0.13, 0.11], [0.14, 0.16, 0.22]]);
        let awning = rng.pick([[0.62, 0.16, 0.13], [0.18, 0.36, 0.25], [0.70, 0.50, 0.20], [0.55, 0.20, 0.16]]);
        Self {
            kind,
            wall,
            joint,
            texture,
            trim,
            base,
            frame,
            glass: (scaled(glass, 0.62), glass),
            shutter: near(rng, shutter),
            iron: [0.13, 0.14, 0.15],
            door: near(rng, door),
            roof: near(rng, roof),
            shop,
            awning,
            // From a clear day to an overcast one.
            sky: (
                mixed([0.40, 0.58, 0.82], [0.78, 0.81, 0.85], day),
                mixed([0.74, 0.84, 0.93], [0.88, 0.89, 0.90], day),
            ),
            light: rng.pick([1.0, -1.0]),
            sun: 0.62 - 0.3 * day,
            is_told: false,
        }
    }

    /// The wall, from roof to ground.
    pub(super) fn wall_fill(&self) -> Fill {
        Fill::gradient(scaled(self.wall, 1.04), scaled(self.wall, 0.95)).textured(self.texture, self.joint)
    }
}
