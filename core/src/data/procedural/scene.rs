//! The description of a picture: what is painted, in which order, and which class it has.

use super::shape::{Rect, Shape};
use super::texture::Texture;

/// Ids of the classes of the CMP facades; 0, the background, is what nothing else covers.
pub(super) mod class {
    pub(in super::super) const FACADE: u16 = 1;
    pub(in super::super) const WINDOW: u16 = 2;
    pub(in super::super) const DOOR: u16 = 3;
    pub(in super::super) const CORNICE: u16 = 4;
    pub(in super::super) const SILL: u16 = 5;
    pub(in super::super) const BALCONY: u16 = 6;
    pub(in super::super) const BLIND: u16 = 7;
    pub(in super::super) const DECO: u16 = 8;
    pub(in super::super) const MOLDING: u16 = 9;
    pub(in super::super) const PILLAR: u16 = 10;
    pub(in super::super) const SHOP: u16 = 11;
}

/// Red, green, blue from 0 to 1, as a screen takes them.
pub(super) type Color = [f32; 3];

/// `color` scaled by `gain`.
pub(super) fn scaled(color: Color, gain: f32) -> Color {
    color.map(|c| (c * gain).min(1.0))
}

/// `share` of `b`, the rest `a`.
pub(super) fn mixed(a: Color, b: Color, share: f32) -> Color {
    [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share]
}

/// What a shape is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    /// Colour at the top (or left).
    pub(super) from: Color,
    /// Colour at the bottom (or right).
    pub(super) to: Color,
    /// Opacity at the two ends.
    pub(super) opacity: (f32, f32),
    /// Whether the gradient runs from left to right.
    pub(super) sideways: bool,
    /// Second colour of the texture.
    pub(super) second: Color,
    /// Material.
    pub(super) texture: Texture,
}

impl Fill {
    pub(super) const fn plain(color: Color) -> Self {
        Self { from: color, to: color, opacity: (1.0, 1.0), sideways: false, second: color, texture: Texture::Plain }
    }

    pub(super) const fn gradient(from: Color, to: Color) -> Self {
        Self { to, ..Self::plain(from) }
    }

    pub(super) const fn sideways(from: Color, to: Color) -> Self {
        Self { sideways: true, ..Self::gradient(from, to) }
    }

    /// Darkness fading from one opacity to another.
    pub(super) const fn shade(from: f32, to: f32) -> Self {
        Self { opacity: (from, to), ..Self::plain([0.05, 0.05, 0.08]) }
    }

    pub(super) const fn opacity(self, opacity: f32) -> Self {
        Self { opacity: (opacity, opacity), ..self }
    }

    pub(super) const fn textured(self, texture: Texture, second: Color) -> Self {
        Self { second, texture, ..self }
    }
}

/// One thing painted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prim {
    pub(super) shape: Shape,
    /// Nothing for a shape that only carries a class.
    pub(super) fill: Option<Fill>,
    /// The class of the covered pixels; without one they keep theirs.
    pub(super) class: Option<u16>,
}

/// The camera's rendering of colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grade {
    pub(super) gain: Color,
    /// 1 leaves the contrast as it is.
    pub(super) contrast: f32,
}

impl Grade {
    /// The colour as bytes.
    pub(super) fn apply(&self, color: Color) -> [u8; 3] {
        let channel = |i: usize| {
            let value = (color[i] * self.gain[i] - 0.5) * self.contrast + 0.5;
            (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
        };
        [channel(0), channel(1), channel(2)]
    }
}

/// Everything in the picture, from back to front.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// Width of the picture; its height is 1.
    pub(super) aspect: f32,
    pub(super) prims: Vec<Prim>,
    pub(super) grade: Grade,
}

impl Scene {
    /// Paints without changing classes.
    pub(super) fn paint(&mut self, shape: Shape, fill: Fill) {
        self.prims.push(Prim { shape, fill: Some(fill), class: None });
    }

    /// Paints a rectangle without changing classes.
    pub(super) fn rect(&mut self, rect: Rect, fill: Fill) {
        self.paint(Shape::Rect(rect), fill);
    }

    /// Paints something of a class.
    pub(super) fn part(&mut self, shape: Shape, fill: Fill, class: u16) {
        self.prims.push(Prim { shape, fill: Some(fill), class: Some(class) });
    }

    /// Gives the pixels of a shape a class without painting.
    pub(super) fn mark(&mut self, shape: Shape, class: u16) {
        self.prims.push(Prim { shape, fill: None, class: Some(class) });
    }
}
