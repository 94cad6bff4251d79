//! The position of the house in the picture, and its division into storeys and bays.

use super::rng::Rng;
use super::shape::Rect;
use super::style::Kind;

/// The position of the house in the picture, and its division into storeys and bays.
pub(super) struct Layout {
    pub(super) wall: Rect,
    /// Height of the moulding under the roof.
    pub(super) entablature: f32,
    pub(super) storey: f32,
    /// Top and bottom of each storey, from the top; the last is the ground floor.
    pub(super) storeys: Vec<(f32, f32)>,
    /// Left and right edge of each bay.
    pub(super) bays: Vec<(f32, f32)>,
    pub(super) accent: Vec<bool>,
}

impl Layout {
    pub(super) fn random(rng: &mut Rng, aspect: f32) -> Self {
        let framing = rng.unit();
        let wall = if framing < 0.45 {
            let (left, right) = (rng.range(-0.12, -0.002), rng.range(0.002, 0.12));
            Rect::new(left * aspect, rng.range(-0.06, 0.04), aspect * (1.0 + right), rng.range(0.97, 1.05))
        } else if framing < 0.68 {
            Rect::new(-0.05 * aspect, rng.range(0.08, 0.24), 1.05 * aspect, rng.range(0.93, 1.03))
        } else {
            let (left, right) = (rng.range(-0.06, 0.24), rng.range(-0.06, 0.24));
            Rect::new(left * aspect, rng.range(0.10, 0.27), aspect * (1.0 - right), rng.range(0.90, 0.99))
        };
        let storeys = rng.pick([3, 3, 4, 4, 4, 5, 5, 6]);
        let (ground, entablature) = (rng.range(1.05, 1.35), rng.range(0.24, 0.42));
        let storey = wall.height() / (storeys as f32 - 1.0 + ground + entablature);
        let top = wall.y0 + entablature * storey;
        let storeys = (0..storeys)
            .map(|i| {
                let y = top + i as f32 * storey;
                (y, if i + 1 == storeys { wall.y1 } else { y + storey })
            })
            .collect();
        Self { wall, entablature: entablature * storey, storey, storeys, bays: Vec::new(), accent: Vec::new() }
    }

    pub(super) fn divide(&mut self, rng: &mut Rng, kind: Kind) {
        let ratio = match kind {
            Kind::Industrial => rng.range(1.0, 1.35),
            Kind::Modern => rng.range(0.9, 1.4),
            Kind::Tenement => rng.range(0.85, 1.2),
            _ => rng.range(0.62, 1.0),
        };
        let count = (self.wall.width() / (ratio * self.storey) + 0.5).floor().clamp(1.0, 24.0);
        let margin = 0.06 * self.storey;
        let inner = self.wall.inset(margin, 0.0);
        let bays = count as u8;
        let rhythm = rng.int(0, 3);
        for i in 0..bays {
            let r = inner.columns(f32::from(i) / count, f32::from(i + 1) / count);
            self.bays.push((r.x0, r.x1));
            self.accent.push(match rhythm {
                0 => i == bays / 2 || i == (bays - 1) / 2,
                1 => i == 0 || i + 1 == bays,
                2 => i & 1 == 1,
                _ => i == 1 || i + 2 == bays,
            });
        }
    }
}
