//! The parts of a facade; each is drawn and labelled in one step.

use super::rng::Rng;
use super::scene::{Color, Fill, Scene, class, mixed, scaled};
use super::shape::{Rect, Shape};
use super::style::{Kind, Style};
use super::texture::Texture;

/// How window panes are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panes {
    /// Two casements under a transom.
    Casement,
    /// Two sashes, each with small panes.
    Sash,
    /// A grid of iron bars.
    Grid,
    /// One fixed pane and a narrow casement.
    Picture,
}

impl Panes {
    pub(super) const ALL: [Self; 4] = [Self::Casement, Self::Sash, Self::Grid, Self::Picture];

    /// About how many bars there are, upright and level, as shares of those of a grid.
    pub(super) fn bars(self) -> [f32; 2] {
        match self {
            Self::Casement => [0.25, 0.25],
            Self::Sash => [0.5, 0.75],
            Self::Grid => [1.0, 1.0],
            Self::Picture => [0.25, 0.0],
        }
    }
}

/// The ornament above a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hood {
    None,
    Flat,
    Triangle,
    Segment,
    Lintel,
}

/// The look of the windows of a storey.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowLook {
    pub(super) panes: Panes,
    /// Height of the arch over the window's half width; 0 for a straight top.
    pub(super) arch: f32,
    /// Thickness of the frame in units of the window's width.
    pub(super) frame: f32,
}

/// The kind of railing of a balcony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Railing {
    Iron,
    Stone,
    Panel,
}

/// Adds parts to a scene.
pub(super) struct Builder {
    pub(super) scene: Scene,
    pub(super) style: Style,
    pub(super) rng: Rng,
    /// Height of a storey, which scales everything else.
    pub(super) storey: f32,
}

fn rectangle(x0: f32, y0: f32, x1: f32, y1: f32) -> Shape {
    Shape::Rect(Rect::new(x0, y0, x1, y1))
}

impl Builder {
    /// The shadow on the wall below something that projects by `depth`.
    pub(super) fn shadow_below(&mut self, r: Rect, depth: f32) {
        let shift = 0.5 * depth * self.style.light;
        let soft = Rect::new(r.x0 + shift, r.y1, r.x1 + shift, r.y1 + depth);
        self.scene.rect(soft, Fill::shade(self.style.sun, 0.10 * self.style.sun));
    }

    /// The shadow on the wall beside something that projects by `depth`.
    pub(super) fn shadow_beside(&mut self, r: Rect, depth: f32) {
        let (x0, x1) = if self.style.light > 0.0 { (r.x1, r.x1 + depth) } else { (r.x0 - depth, r.x0) };
        let (from, to) = if self.style.light > 0.0 { (0.8, 0.2) } else { (0.2, 0.8) };
        let fill = Fill { sideways: true, ..Fill::shade(self.style.sun * from, self.style.sun * to) };
        self.scene.rect(Rect::new(x0, r.y0, x1, r.y1), fill);
    }

    /// A window with reveal, frame, glass and what is behind it.
    pub(super) fn window(&mut self, r: Rect, look: WindowLook) {
        let (w, style) = (r.width(), self.style.clone());
        let rise = look.arch * 0.5 * w;
        let cut = |r: Rect, rise: f32| {
            if rise > 0.0 { Shape::Arch(r, rise) } else { Shape::Rect(r) }
        };
        let (lit, dark) = (scaled(style.wall, 0.95), scaled(style.wall, 0.42));
        let (left, right) = if style.light > 0.0 { (dark, lit) } else { (lit, dark) };
        self.scene.part(cut(r, rise), Fill::sideways(left, right), class::WINDOW);
        let reveal = 0.045 * w;
        let inner = Rect::new(r.x0 + reveal, r.y0 + reveal, r.x1 - reveal, r.y1);
        let rise = (rise - 0.5 * reveal).max(0.0) * if look.arch > 0.0 { 1.0 } else { 0.0 };
        self.scene.paint(cut(inner, rise), Fill::gradient(scaled(style.frame, 0.72), style.frame));
        let edge = look.frame * w;
        let glass = inner.inset(edge, edge);
        let rise = if rise > 0.0 { (rise - 0.5 * edge).max(0.0) } else { 0.0 };
        let gain = self.rng.range(0.75, 1.25);
        let gain = if style.is_told { 1.0 } else { gain };
        let pane = cut(glass, rise);
        self.scene.paint(pane, Fill::gradient(scaled(style.glass.0, gain), scaled(style.glass.1, gain)));
        let before = self.scene.prims.len();
        self.behind(glass, rise);
        if style.is_told {
            // Drawn and dropped, so that everything else of the house stays what it is in other colours.
            self.scene.prims.truncate(before);
        }
        self.reflection(glass, rise);
        self.bars(glass, look, edge, rise);
        let sun = style.sun;
        let lintel = Rect::new(inner.x0, inner.y0 + rise, inner.x1, inner.y0 + rise + 0.16 * w);
        self.scene.rect(lintel, Fill::shade(sun * 0.9, 0.0));
        let side = Rect::new(inner.x0, inner.y0 + rise, inner.x1, inner.y1);
        let jamb = if style.light > 0.0 { side.columns(0.0, 0.10) } else { side.columns(0.90, 1.0) };
        self.scene.rect(jamb, Fill::shade(sun * 0.6, sun * 0.6));
    }

    /// The inside of a room: curtains, a half-drawn roller blind, or darkness.
    fn behind(&mut self, glass: Rect, rise: f32) {
        let cloth = mixed(self.style.glass.1, [0.82, 0.80, 0.74], self.rng.range(0.45, 0.8));
        let body = Rect::new(glass.x0, glass.y0 + rise, glass.x1, glass.y1);
        match self.rng.int(0, 9) {
            0..=2 => {
                let share = self.rng.range(0.22, 0.36);
                let (a, b) = (body.columns(0.0, share), body.columns(1.0 - share, 1.0));
                let fold = 0.55 * a.width();
                let fill = Fill::gradient(scaled(cloth, 0.85), cloth).opacity(0.8);
                self.scene.paint(Shape::Taper(a, a.x0, a.x1 - fold), fill);
                self.scene.paint(Shape::Taper(b, b.x0 + fold, b.x1), fill);
            }
            3 => {
                let drop = self.rng.range(0.25, 0.6);
                self.scene.rect(body.rows(0.0, drop), Fill::gradient(scaled(cloth, 0.9), cloth).opacity(0.75));
            }
            4 => {
                let from = self.rng.range(0.45, 0.6);
                self.scene.rect(body.rows(from, 1.0), Fill::plain(cloth).opacity(0.7));
            }
            _ => {}
        }
    }

    /// The reflection in the glass: the sky and the dark outline of the house across the street.
    fn reflection(&mut self, glass: Rect, rise: f32) {
        let sky = scaled(self.style.sky.1, 0.9);
        let body = Rect::new(glass.x0, glass.y0 + rise, glass.x1, glass.y1);
        let is_told = self.style.is_told;
        let mut range = |from, to| {
            let drawn = self.rng.range(from, to);
            if is_told { 0.5 * (from + to) } else { drawn }
        };
        let strength = range(0.08, 0.34);
        let line = range(0.35, 0.7);
        let upper = body.rows(0.0, line);
        let slant = range(-0.25, 0.25) * body.height();
        self.scene.rect(upper, Fill { opacity: (strength, strength * 0.5), ..Fill::plain(sky) });
        let width = body.width();
        let streak = Rect::new(body.x0 + 0.12 * width, body.y0, body.x0 + 0.42 * width, body.y1);
        if slant > 0.0 {
            let fill = Fill { opacity: (strength * 0.7, strength * 0.2), ..Fill::plain(sky) };
            self.scene.paint(Shape::Taper(streak, streak.x0 + 0.2 * width, streak.x1 + 0.3 * width), fill);
        }
    }

    fn bars(&mut self, glass: Rect, look: WindowLook, edge: f32, rise: f32) {
        let (frame, half) = (self.style.frame, 0.5 * edge);
        let fill = Fill::plain(frame);
        let (w, h) = (glass.width(), glass.height());
        let upright = |s: &mut Scene, t: f32, y0: f32, y1: f32, half: f32| {
            let x = glass.x0 + t * w;
            s.rect(Rect::new(x - half, glass.y0 + y0 * h, x + half, glass.y0 + y1 * h), fill);
        };
        let level = |s: &mut Scene, t: f32, half: f32| {
            let y = (glass.y0 + t * h).max(glass.y0 + rise);
            s.rect(Rect::new(glass.x0, y - half, glass.x1, y + half), fill);
        };
        let s = &mut self.scene;
        match look.panes {
            Panes::Casement => {
                upright(s, 0.5, 0.0, 1.0, 0.55 * edge);
                level(s, 0.30, 0.5 * edge);
                if h > 1.7 * w {
                    level(s, 0.66, 0.6 * half);
                }
            }
            Panes::Sash => {
                level(s, 0.5, half);
                for t in [1.0 / 3.0, 2.0 / 3.0] {
                    upright(s, t, 0.0, 1.0, 0.5 * half);
                }
                for t in [0.25, 0.75] {
                    level(s, t, 0.5 * half);
                }
            }
            Panes::Grid => {
                for i in 1..5_u8 {
                    upright(s, f32::from(i) / 5.0, 0.0, 1.0, 0.6 * half);
                    level(s, f32::from(i) / 5.0, 0.6 * half);
                }
            }
            Panes::Picture => upright(s, 0.68, 0.0, 1.0, 0.8 * edge),
        }
    }

    /// A frame of trim around an opening; must be drawn before the opening.
    pub(super) fn surround(&mut self, r: Rect, thickness: f32, arch: f32) {
        let outer = Rect::new(r.x0 - thickness, r.y0 - thickness, r.x1 + thickness, r.y1);
        self.shadow_beside(outer, 0.35 * thickness);
        let fill = Fill::sideways(self.lit(1.06), self.lit(0.94));
        let rise = arch * 0.5 * r.width() + 0.5 * thickness;
        let shape = if arch > 0.0 { Shape::Arch(outer, rise) } else { Shape::Rect(outer) };
        self.scene.part(shape, fill, class::MOLDING);
        let groove = outer.inset(0.42 * thickness, 0.42 * thickness);
        let groove = Rect { y1: r.y1, ..groove };
        let shape = if arch > 0.0 { Shape::Arch(groove, rise - 0.2 * thickness) } else { Shape::Rect(groove) };
        self.scene.paint(shape, Fill::plain(scaled(self.style.trim, 0.84)));
    }

    /// The trim colour, brightened by `gain` on the side of the light.
    fn lit(&self, gain: f32) -> Color {
        scaled(self.style.trim, if self.style.light > 0.0 { gain } else { 2.0 - gain })
    }

    /// The ledge under a window.
    pub(super) fn sill(&mut self, r: Rect, brackets: bool) {
        self.shadow_below(r, 0.9 * r.height());
        let fill = Fill::gradient(scaled(self.style.trim, 1.12), scaled(self.style.trim, 0.86));
        if brackets {
            for t in [0.08, 0.84] {
                let x = r.x0 + t * r.width();
                let foot = rectangle(x, r.y1, x + 0.08 * r.width(), r.y1 + 0.8 * r.height());
                self.scene.part(foot, Fill::plain(scaled(self.style.trim, 0.8)), class::SILL);
            }
        }
        self.scene.part(Shape::Rect(r), fill, class::SILL);
    }

    /// The head over an opening, standing on `r.y1`.
    pub(super) fn hood(&mut self, r: Rect, hood: Hood) {
        let trim = self.style.trim;
        let (h, top) = (r.height(), scaled(trim, 1.14));
        match hood {
            Hood::None => {}
            Hood::Lintel => {
                let fill = Fill::gradient(trim, scaled(trim, 0.9));
                self.scene.part(Shape::Taper(r, r.x0 + 0.3 * h, r.x1 - 0.3 * h), fill, class::CORNICE);
            }
            Hood::Flat => {
                self.shadow_below(r, 0.5 * h);
                self.scene.part(Shape::Rect(r), Fill::plain(scaled(trim, 0.95)), class::CORNICE);
                self.scene
                    .rect(r.inset(0.04 * r.width(), 0.0).rows(0.5, 1.0), Fill::gradient(scaled(trim, 0.74), trim));
                self.scene.rect(r.rows(0.0, 0.38), Fill::gradient(top, scaled(trim, 0.98)));
            }
            Hood::Triangle | Hood::Segment => {
                self.shadow_below(r, 0.22 * h);
                let base = r.rows(0.68, 1.0);
                let raised = r.rows(0.0, 0.72);
                let (outer, inner) = if hood == Hood::Triangle {
                    let (x, w) = (r.centre_x(), r.width());
                    let tip = Rect::new(x, raised.y0, x + 0.001, raised.y1);
                    let low = raised.y0 + 0.34 * raised.height();
                    let field = Rect::new(x, low, x + 0.001, raised.y1);
                    (Shape::Taper(tip, r.x0, r.x1), Shape::Taper(field, r.x0 + 0.17 * w, r.x1 - 0.17 * w))
                } else {
                    let field = raised.inset(0.09 * r.width(), 0.0).rows(0.3, 1.0);
                    (Shape::Arch(raised, raised.height()), Shape::Arch(field, field.height()))
                };
                self.scene.part(outer, Fill::gradient(top, trim), class::CORNICE);
                self.scene.paint(inner, Fill::gradient(scaled(trim, 0.66), scaled(trim, 0.84)));
                self.scene.part(Shape::Rect(base), Fill::gradient(top, scaled(trim, 0.82)), class::CORNICE);
            }
        }
    }

    /// A horizontal moulding.
    pub(super) fn molding(&mut self, r: Rect) {
        let trim = self.style.trim;
        self.shadow_below(r, 0.55 * r.height());
        self.scene.part(Shape::Rect(r), Fill::gradient(trim, scaled(trim, 0.92)), class::MOLDING);
        self.scene.rect(r.rows(0.0, 0.28), Fill::gradient(scaled(trim, 1.18), scaled(trim, 1.04)));
        self.scene.rect(r.rows(0.28, 0.5), Fill::gradient(scaled(trim, 0.62), scaled(trim, 0.86)));
        self.scene.rect(r.rows(0.86, 1.0), Fill::plain(scaled(trim, 0.78)));
    }

    /// The moulding that ends the wall under the roof: ledge, brackets, frieze.
    pub(super) fn entablature(&mut self, r: Rect, brackets: bool) {
        let trim = self.style.trim;
        let h = r.height();
        self.shadow_below(r, 0.25 * h);
        self.scene.part(Shape::Rect(r), Fill::gradient(scaled(trim, 0.94), trim), class::MOLDING);
        self.scene.rect(r.rows(0.0, 0.16), Fill::gradient(scaled(trim, 1.2), scaled(trim, 1.05)));
        self.scene.rect(r.rows(0.16, 0.26), Fill::plain(scaled(trim, 0.80)));
        self.scene.rect(r.rows(0.26, 0.62), Fill::shade(self.style.sun * 1.1, 0.12));
        let period = if brackets { 0.42 * h } else { 0.17 * h };
        let texture = Texture::Bars { start: r.x0, period, bar: 0.45 * period };
        let teeth = if brackets { r.rows(0.26, 0.60) } else { r.rows(0.28, 0.44) };
        let fill = Fill::gradient(scaled(trim, 0.80), scaled(trim, 1.06));
        self.scene.rect(teeth, fill.textured(texture, trim));
        self.scene.rect(r.rows(0.9, 1.0), Fill::gradient(scaled(trim, 1.08), scaled(trim, 0.8)));
    }

    /// Two leaves of slatted shutters beside an opening, open or (rarely) closed over it.
    pub(super) fn shutters(&mut self, window: Rect, closed: bool) {
        let w = window.width();
        let leaves = if closed {
            [window.columns(0.02, 0.49), window.columns(0.51, 0.98)]
        } else {
            let (gap, leaf) = (0.03 * w, 0.44 * w);
            [
                Rect { x0: window.x0 - gap - leaf, x1: window.x0 - gap, ..window },
                Rect { x0: window.x1 + gap, x1: window.x1 + gap + leaf, ..window },
            ]
        };
        let color = self.style.shutter;
        for leaf in leaves {
            if !closed {
                self.shadow_beside(leaf, 0.05 * w);
            }
            self.scene.part(Shape::Rect(leaf), Fill::gradient(color, scaled(color, 0.92)), class::BLIND);
            let slats = leaf.inset(0.14 * leaf.width(), 0.05 * leaf.height());
            for part in [slats.rows(0.0, 0.47), slats.rows(0.53, 1.0)] {
                let period = window.height() / 18.0;
                let texture = Texture::Lines { upright: false, start: part.y0, period, line: 0.42 * period };
                self.scene.rect(part, Fill::plain(scaled(color, 1.22)).textured(texture, scaled(color, 0.55)));
            }
        }
    }

    /// A roller blind let down over the upper `share` of a window.
    pub(super) fn roller(&mut self, window: Rect, share: f32) {
        let r = window.inset(0.05 * window.width(), 0.0).rows(0.0, share);
        let color = mixed(self.style.shutter, [0.72, 0.70, 0.64], 0.75);
        let period = self.storey / 26.0;
        let texture = Texture::Lines { upright: false, start: r.y0, period, line: 0.3 * period };
        let fill = Fill::gradient(scaled(color, 0.9), color).textured(texture, scaled(color, 0.7));
        self.scene.part(Shape::Rect(r), fill, class::BLIND);
        self.shadow_below(r, 0.06 * window.width());
    }

    /// A balcony whose railing fills `r`; the slab lies at its lower end.
    pub(super) fn balcony(&mut self, r: Rect, railing: Railing) {
        let (style, h) = (self.style.clone(), r.height());
        self.scene.mark(Shape::Rect(r), class::BALCONY);
        let slab = r.inset(-0.04 * h, 0.0).rows(0.82, 1.0);
        self.shadow_below(slab, 0.55 * h);
        match railing {
            Railing::Iron => {
                self.scene.rect(r.rows(0.0, 0.82), Fill::shade(0.22, 0.30));
                let period = 0.13 * h;
                let bars = Texture::Bars { start: r.x0, period, bar: 0.34 * period };
                self.scene.rect(r.rows(0.05, 0.82), Fill::plain(style.iron).textured(bars, style.iron));
                let wide = 0.52 * h;
                let scrolls = Texture::Bars { start: r.x0, period: wide, bar: 0.5 * wide };
                let fill = Fill::plain(style.iron).opacity(0.55).textured(scrolls, style.iron);
                self.scene.rect(r.rows(0.30, 0.62), fill);
                for (a, b) in [(0.0, 0.09), (0.20, 0.25), (0.72, 0.78)] {
                    self.scene.rect(r.rows(a, b), Fill::plain(style.iron));
                }
            }
            Railing::Stone => {
                self.scene.rect(r.rows(0.0, 0.82), Fill::plain(scaled(style.trim, 0.46)));
                let period = 0.26 * h;
                let texture = Texture::Bars { start: r.x0 + 0.05 * h, period, bar: 0.56 * period };
                let fill = Fill::gradient(scaled(style.trim, 1.02), scaled(style.trim, 0.86));
                self.scene.rect(r.rows(0.16, 0.78), fill.textured(texture, style.trim));
                self.scene.rect(r.rows(0.0, 0.17), Fill::gradient(scaled(style.trim, 1.15), style.trim));
                for x in [r.x0, r.x1 - 0.2 * h] {
                    self.scene.rect(Rect::new(x, r.y0, x + 0.2 * h, r.y1), Fill::plain(style.trim));
                }
            }
            Railing::Panel => {
                let color = mixed(style.trim, style.glass.1, 0.25);
                self.scene.rect(r.rows(0.04, 0.84), Fill::gradient(scaled(color, 1.02), scaled(color, 0.86)));
                self.scene.rect(r.rows(0.0, 0.06), Fill::plain(style.iron));
            }
        }
        let fill = Fill::gradient(scaled(style.trim, 1.08), scaled(style.trim, 0.72));
        self.scene.part(Shape::Rect(slab), fill, class::BALCONY);
    }

    /// A pilaster or pier with capital and base.
    pub(super) fn pillar(&mut self, r: Rect, fluted: bool) {
        let brick = self.style.kind == Kind::Industrial;
        let color = if brick { self.style.wall } else { self.style.trim };
        let w = r.width();
        self.shadow_beside(r, 0.3 * w);
        let (a, b) = if self.style.light > 0.0 { (1.08, 0.84) } else { (0.84, 1.08) };
        let fill = Fill::sideways(scaled(color, a), scaled(color, b));
        let fill = if brick {
            fill.textured(self.style.texture, self.style.joint)
        } else if fluted {
            let period = w / 5.0;
            let line = 0.4 * period;
            fill.textured(
                Texture::Lines { upright: true, start: r.x0 + 0.3 * period, period, line },
                scaled(color, 0.76),
            )
        } else {
            fill
        };
        self.scene.part(Shape::Rect(r), fill, class::PILLAR);
        if !brick {
            let light = scaled(color, 1.1);
            let capital = Rect::new(r.x0 - 0.1 * w, r.y0, r.x1 + 0.1 * w, r.y0 + 0.7 * w);
            self.scene.part(Shape::Rect(capital), Fill::gradient(light, scaled(color, 0.8)), class::PILLAR);
            self.scene.rect(capital.rows(0.35, 0.5), Fill::plain(scaled(color, 0.68)));
            let base = Rect::new(r.x0 - 0.1 * w, r.y1 - 0.5 * w, r.x1 + 0.1 * w, r.y1);
            self.scene.part(Shape::Rect(base), Fill::gradient(light, scaled(color, 0.86)), class::PILLAR);
        }
    }

    /// A relief in a frame: garland, rosette or diamond.
    pub(super) fn deco(&mut self, r: Rect) {
        let trim = mixed(self.style.trim, self.style.wall, 0.25);
        let dark = scaled(trim, 0.62);
        self.scene.part(Shape::Rect(r), Fill::gradient(scaled(trim, 0.80), scaled(trim, 0.92)), class::DECO);
        let inner = r.inset(0.06 * r.width(), 0.12 * r.height());
        self.scene.rect(inner, Fill::gradient(dark, scaled(trim, 0.78)));
        let size = 0.78 * inner.height();
        let count = (inner.width() / (1.25 * size)).floor().clamp(1.0, 9.0);
        for i in 0..count as u8 {
            let x = inner.x0 + (f32::from(i) + 0.5) / count * inner.width();
            let half = 0.5 * size.min(inner.width());
            let y = inner.y0 + 0.5 * inner.height();
            let ring = Rect::new(x - half, y - half, x + half, y + half);
            self.scene.paint(Shape::Ellipse(ring), Fill::gradient(scaled(trim, 1.15), scaled(trim, 0.82)));
            self.scene.paint(Shape::Ellipse(ring.inset(0.5 * half, 0.5 * half)), Fill::gradient(dark, trim));
        }
    }

    /// A mask or cartouche.
    pub(super) fn medallion(&mut self, r: Rect) {
        let trim = mixed(self.style.trim, self.style.wall, 0.2);
        self.shadow_beside(r.inset(0.25 * r.width(), 0.2 * r.height()), 0.4 * r.width());
        let fill = Fill::gradient(scaled(trim, 1.1), scaled(trim, 0.72));
        self.scene.part(Shape::Ellipse(r), fill, class::DECO);
        self.scene.paint(Shape::Ellipse(r.inset(0.2 * r.width(), 0.16 * r.height())), Fill::plain(scaled(trim, 0.66)));
        let core = r.inset(0.32 * r.width(), 0.26 * r.height());
        self.scene.paint(Shape::Ellipse(core), Fill::gradient(scaled(trim, 1.16), scaled(trim, 0.8)));
    }

    /// A keystone over an arch.
    pub(super) fn keystone(&mut self, x: f32, r: Rect) {
        let half = 0.5 * r.width();
        let top = Rect::new(x - half, r.y0, x + half, r.y1);
        let trim = self.style.trim;
        let shape = Shape::Taper(top, x - 0.6 * half, x + 0.6 * half);
        self.scene.part(shape, Fill::gradient(scaled(trim, 1.1), scaled(trim, 0.72)), class::DECO);
    }

    /// Alternating corner stones along `r`.
    pub(super) fn quoins(&mut self, r: Rect) {
        let w = r.width();
        let step = 0.62 * w;
        let count = (r.height() / step).floor().clamp(1.0, 200.0);
        let step = r.height() / count;
        for i in 0..count as u8 {
            let y = r.y0 + f32::from(i) * step;
            let x1 = r.x1 - if i & 1 == 0 { 0.0 } else { 0.28 * w };
            let stone = Rect::new(r.x0, y, x1, y + 0.93 * step);
            let gain = self.rng.range(0.93, 1.03);
            let fill = Fill::gradient(scaled(self.style.trim, gain), scaled(self.style.trim, 0.9 * gain));
            self.scene.part(Shape::Rect(stone), fill, class::DECO);
            self.scene.rect(stone.rows(0.9, 1.0), Fill::shade(0.3, 0.3));
        }
    }

    /// A double door under a fanlight.
    pub(super) fn door(&mut self, r: Rect, arch: f32) {
        let (style, w) = (self.style.clone(), r.width());
        let rise = arch * 0.5 * w;
        let shape = if rise > 0.0 { Shape::Arch(r, rise) } else { Shape::Rect(r) };
        self.scene.part(shape, Fill::plain(scaled(style.door, 0.5)), class::DOOR);
        let light = Rect::new(r.x0 + 0.08 * w, r.y0 + 0.06 * w, r.x1 - 0.08 * w, r.y0 + 0.26 * r.height());
        let fan =
            if rise > 0.0 { Shape::Arch(light, (rise - 0.04 * w).min(light.height())) } else { Shape::Rect(light) };
        self.scene.paint(fan, Fill::gradient(style.glass.0, style.glass.1));
        self.scene.rect(light.columns(0.48, 0.52), Fill::plain(style.door));
        let leaves = Rect::new(r.x0 + 0.05 * w, light.y1, r.x1 - 0.05 * w, r.y1);
        self.scene.rect(leaves, Fill::gradient(scaled(style.door, 0.95), scaled(style.door, 1.1)));
        self.scene.rect(leaves.rows(0.0, 0.05), Fill::plain(scaled(style.door, 1.35)));
        for half in [leaves.columns(0.05, 0.47), leaves.columns(0.53, 0.95)] {
            for (a, b) in [(0.10, 0.52), (0.58, 0.92)] {
                let panel = half.inset(0.1 * half.width(), 0.0).rows(a, b);
                self.scene.rect(panel, Fill::gradient(scaled(style.door, 0.6), scaled(style.door, 1.35)));
                let field = panel.inset(0.16 * panel.width(), 0.08 * panel.height());
                self.scene.rect(field, Fill::plain(scaled(style.door, 1.05)));
            }
        }
        self.scene.rect(leaves.columns(0.49, 0.51), Fill::shade(0.7, 0.7));
        self.scene.rect(Rect { y0: r.y0 + rise, ..r }.rows(0.0, 0.12), Fill::shade(style.sun, 0.0));
    }

    /// A shop front: sign, glass with goods, stall riser, perhaps an awning.
    pub(super) fn shop(&mut self, r: Rect) {
        let (style, w, h) = (self.style.clone(), r.width(), r.height());
        let paint = style.shop;
        self.scene.part(Shape::Rect(r), Fill::gradient(scaled(paint, 1.1), scaled(paint, 0.9)), class::SHOP);
        let glass = r.inset(0.04 * w, 0.0).rows(0.25, 0.86);
        self.scene.rect(glass, Fill::gradient(scaled(style.glass.0, 0.8), style.glass.1));
        let lamp = [0.92, 0.78, 0.52];
        self.scene.rect(glass.rows(0.1, 0.75), Fill { opacity: (0.30, 0.05), ..Fill::plain(lamp) });
        let goods = self.rng.int(3, 7) as u8;
        for i in 0..goods {
            let t = (f32::from(i) + self.rng.range(0.2, 0.6)) / f32::from(goods);
            let top = self.rng.range(0.45, 0.8);
            let item = glass.columns(t, t + 0.6 / f32::from(goods)).rows(top, 1.0);
            let color = self.rng.pick([[0.62, 0.50, 0.40], [0.70, 0.66, 0.60], [0.45, 0.30, 0.26], [0.36, 0.40, 0.44]]);
            self.scene.rect(item, Fill::gradient(color, scaled(color, 0.6)).opacity(0.55));
        }
        let streak = glass.columns(0.12, 0.3);
        let shape = Shape::Taper(streak, streak.x0 + 0.16 * w, streak.x1 + 0.2 * w);
        self.scene.paint(shape, Fill { opacity: (0.32, 0.06), ..Fill::plain(style.sky.1) });
        let posts = (w / (0.75 * h)).floor().clamp(1.0, 6.0);
        for i in 1..=posts as u8 {
            let t = f32::from(i) / (posts + 1.0);
            self.scene.rect(glass.columns(t - 0.012, t + 0.012), Fill::plain(scaled(paint, 1.3)));
        }
        self.scene.rect(r.rows(0.86, 0.88), Fill::plain(scaled(paint, 1.7)));
        let sign = r.inset(0.03 * w, 0.0).rows(0.05, 0.20);
        self.scene.rect(sign, Fill::gradient(scaled(paint, 1.5), scaled(paint, 1.25)));
        let period = 0.11 * h;
        let text = sign.inset(self.rng.range(0.1, 0.25) * w, 0.25 * sign.height());
        let letters = Texture::Letters { seed: self.rng.seed(), start: text.x0, period };
        self.scene.rect(text, Fill::plain([0.88, 0.80, 0.58]).textured(letters, style.trim));
        if self.rng.chance(0.55) {
            let drop = Rect::new(r.x0 + 0.03 * w, r.y0 + 0.21 * h, r.x1 - 0.03 * w, r.y0 + 0.42 * h);
            let out = 0.03 * w;
            self.shadow_below(Rect::new(drop.x0 - out, drop.y0, drop.x1 + out, drop.y1), 0.25 * h);
            let stripe = 0.2 * h;
            let lines = Texture::Lines { upright: true, start: drop.x0, period: stripe, line: 0.5 * stripe };
            let cloth = Fill::gradient(scaled(style.awning, 1.15), scaled(style.awning, 0.85));
            let second = if self.rng.chance(0.6) { [0.84, 0.80, 0.72] } else { scaled(style.awning, 0.9) };
            let fill = cloth.textured(lines, second);
            self.scene.part(Shape::Taper(drop, drop.x0 - out, drop.x1 + out), fill, class::SHOP);
            let hem = Rect::new(drop.x0 - out, drop.y1, drop.x1 + out, drop.y1 + 0.04 * h);
            self.scene.part(Shape::Rect(hem), Fill { from: scaled(style.awning, 0.75), ..fill }, class::SHOP);
        }
        self.scene.rect(r.rows(0.0, 0.03), Fill::plain(scaled(paint, 1.6)));
    }
}
