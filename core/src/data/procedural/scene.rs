//! The description of a picture: a list of filled shapes with classes, from back to front.

use super::shape::{Rect, Shape};
use super::texture::Texture;

/// Ids of the classes of the CMP facades. Pixels that nothing covers are 0, the background.
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

/// Red, green and blue from 0 to 1, in sRGB.
pub(super) type Color = [f32; 3];

/// `color` scaled by `gain`.
pub(super) fn scaled(color: Color, gain: f32) -> Color {
    color.map(|c| (c * gain).min(1.0))
}

/// Interpolates from `a` to `b`; `share` is the weight of `b`.
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

    /// A black gradient from one opacity to another.
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

/// One filled shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prim {
    pub(super) shape: Shape,
    /// `None` for a shape that only assigns a class.
    pub(super) fill: Option<Fill>,
    /// The class of the covered pixels; `None` leaves their class unchanged.
    pub(super) class: Option<u16>,
}

/// Adjusts colours like a camera does.
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

/// All shapes of the picture, from back to front.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    /// Width of the picture, whose height is 1.
    pub(super) aspect: f32,
    pub(super) prims: Vec<Prim>,
    pub(super) grade: Grade,
}

impl Scene {
    /// Adds a shape that does not change classes.
    pub(super) fn paint(&mut self, shape: Shape, fill: Fill) {
        self.prims.push(Prim { shape, fill: Some(fill), class: None });
    }

    /// Adds a rectangle that does not change classes.
    pub(super) fn rect(&mut self, rect: Rect, fill: Fill) {
        self.paint(Shape::Rect(rect), fill);
    }

    /// Adds a shape with a class.
    pub(super) fn part(&mut self, shape: Shape, fill: Fill, class: u16) {
        self.prims.push(Prim { shape, fill: Some(fill), class: Some(class) });
    }

    /// Assigns a class to the pixels of a shape without drawing it.
    pub(super) fn mark(&mut self, shape: Shape, class: u16) {
        self.prims.push(Prim { shape, fill: None, class: Some(class) });
    }
}
