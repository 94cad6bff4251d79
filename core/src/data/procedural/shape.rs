//! The shapes a facade is made of, in unit coordinates: height 1, y downwards.

/// An axis-parallel rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rect {
    pub(super) x0: f32,
    pub(super) y0: f32,
    pub(super) x1: f32,
    pub(super) y1: f32,
}

impl Rect {
    pub(super) const fn new(x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        Self { x0, y0, x1, y1 }
    }

    pub(super) fn width(&self) -> f32 {
        self.x1 - self.x0
    }

    pub(super) fn height(&self) -> f32 {
        self.y1 - self.y0
    }

    pub(super) fn centre_x(&self) -> f32 {
        0.5 * (self.x0 + self.x1)
    }

    /// Shrinks by `dx` on the left and right and by `dy` above and below; negative values enlarge.
    pub(super) fn inset(&self, dx: f32, dy: f32) -> Self {
        Self::new(self.x0 + dx, self.y0 + dy, self.x1 - dx, self.y1 - dy)
    }

    /// A rectangle of this height that stands on the upper edge.
    pub(super) fn above(&self, height: f32) -> Self {
        Self { y0: self.y0 - height, y1: self.y0, ..*self }
    }

    /// The part between the fractions `a` and `b` of the width.
    pub(super) fn columns(&self, a: f32, b: f32) -> Self {
        Self::new(self.x0 + a * self.width(), self.y0, self.x0 + b * self.width(), self.y1)
    }

    /// The part between the fractions `a` and `b` of the height, from the top.
    pub(super) fn rows(&self, a: f32, b: f32) -> Self {
        Self::new(self.x0, self.y0 + a * self.height(), self.x1, self.y0 + b * self.height())
    }
}

/// A shape whose intersection with any horizontal line is at most one segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// The whole rectangle.
    Rect(Rect),
    /// A rectangle whose upper part, of height `rise`, is half an ellipse.
    Arch(Rect, f32),
    /// The ellipse inscribed in the rectangle.
    Ellipse(Rect),
    /// From `x0..x1` at the top of the rectangle to the range between the two numbers at its bottom.
    Taper(Rect, f32, f32),
}

impl Shape {
    /// The smallest rectangle around the shape.
    pub(super) fn bounds(&self) -> Rect {
        match *self {
            Self::Rect(r) | Self::Arch(r, _) | Self::Ellipse(r) => r,
            Self::Taper(r, left, right) => Rect::new(r.x0.min(left), r.y0, r.x1.max(right), r.y1),
        }
    }

    /// The segment of the horizontal line at `y` that is inside: from, to.
    pub(super) fn span(&self, y: f32) -> Option<(f32, f32)> {
        let r = self.bounds();
        if y < r.y0 || y >= r.y1 {
            return None;
        }
        // Half the width of the ellipse at `v`, the height above its middle (1 at the top).
        let half = |v: f32| (1.0 - v * v).max(0.0).sqrt() * 0.5 * r.width();
        match *self {
            Self::Rect(r) => Some((r.x0, r.x1)),
            Self::Arch(r, rise) => {
                let above = r.y0 + rise - y;
                let half = if above > 0.0 { half(above / rise) } else { 0.5 * r.width() };
                Some((r.centre_x() - half, r.centre_x() + half))
            }
            Self::Ellipse(r) => {
                let half = half((y - r.y0) / r.height() * 2.0 - 1.0);
                Some((r.centre_x() - half, r.centre_x() + half))
            }
            Self::Taper(r, left, right) => {
                let t = (y - r.y0) / r.height();
                let (a, b) = (r.x0 + (left - r.x0) * t, r.x1 + (right - r.x1) * t);
                (a < b).then_some((a, b))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_inside_the_bounds() {
        let r = Rect::new(0.2, 0.1, 0.8, 0.9);
        for shape in [Shape::Rect(r), Shape::Arch(r, 0.3), Shape::Ellipse(r), Shape::Taper(r, 0.1, 0.5)] {
            let bounds = shape.bounds();
            for i in 0..100 {
                let y = i as f32 / 100.0;
                match shape.span(y) {
                    Some((a, b)) => {
                        assert!(y >= bounds.y0 && y < bounds.y1);
                        assert!(a >= bounds.x0 - 1e-6 && b <= bounds.x1 + 1e-6 && a <= b);
                    }
                    None => assert!(y < bounds.y0 || y >= bounds.y1, "{shape:?} at {y}"),
                }
            }
        }
    }
}
