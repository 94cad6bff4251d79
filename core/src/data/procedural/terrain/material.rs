//! Materials: how each class looks, as a few numbers.

use super::super::rng::Rng;
use super::super::scene::Color;
use super::classes::COUNT;

/// The number of values of a [`Material`].
pub(super) const VALUES: usize = 8;

/// How a class looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Material {
    /// The main colour.
    pub(super) base: Color,
    /// The colour of patches: flowers, lichen, the ground under shallow water, hollows in snow.
    pub(super) accent: Color,
    /// The kind of relief, 0 to 1: from calm to wavy water, from broadleaf to conifer trees, from flat to pitched
    /// roofs, from ploughed ground to rows of plants, from smooth to rough everywhere else.
    pub(super) form: f32,
    /// The share of the accent colour, 0 to 1; the strength of foam on shallow water and of wear on roads.
    pub(super) share: f32,
}

impl Material {
    /// The values in a fixed order.
    pub(super) fn values(&self) -> [f32; VALUES] {
        let ([r, g, b], [s, t, u]) = (self.base, self.accent);
        [r, g, b, s, t, u, self.form, self.share]
    }

    fn from_values([r, g, b, s, t, u, form, share]: [f32; VALUES]) -> Self {
        Self { base: [r, g, b], accent: [s, t, u], form, share }
    }

    /// A material between two; `share` is the weight of `other`.
    pub(super) fn mixed(&self, other: &Self, share: f32) -> Self {
        let (mut values, others) = (self.values(), other.values());
        for (value, other) in values.iter_mut().zip(others) {
            *value += (other - *value) * share;
        }
        Self::from_values(values)
    }

    /// A similar material.
    fn varied(&self, rng: &mut Rng, amount: f32) -> Self {
        let mut values = self.values();
        let gain = 1.0 + amount * rng.range(-1.0, 1.0);
        for (i, value) in values.iter_mut().enumerate() {
            let (gain, spread) = if i < 6 { (gain, 0.5) } else { (1.0, 1.5) };
            *value = (*value * gain + spread * amount * rng.range(-1.0, 1.0)).clamp(0.0, 1.0);
        }
        Self::from_values(values)
    }
}

/// A material for each class, by id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Materials(pub(super) [Material; COUNT]);

impl Materials {
    pub(super) fn of(&self, class: u16) -> &Material {
        &self.0[usize::from(class).min(COUNT - 1)]
    }

    /// Materials to learn from: those of a preset, or each class between two presets, all a little varied.
    pub(super) fn random(rng: &mut Rng, presets: &[Self]) -> Self {
        let any = |rng: &mut Rng| &presets[rng.int(0, presets.len() - 1)];
        let (whole, main) = (rng.chance(0.5), any(rng).clone());
        let mut materials = main.0;
        for (class, material) in materials.iter_mut().enumerate() {
            if !whole {
                let (a, b) = (any(rng).0[class], any(rng).0[class]);
                *material = if rng.chance(0.5) { a } else { a.mixed(&b, rng.unit()) };
            }
            *material = material.varied(rng, 0.08);
        }
        Self(materials)
    }
}
