//! Builds the house: places every part, from back to front.

use super::colors::Colors;
use super::layout::Layout;
use super::parts::{Builder, Hood, WindowLook};
use super::program::{Balconies, Feature, Program};
use super::rng::Rng;
use super::scene::{Fill, Grade, Scene, class, mixed, scaled};
use super::shape::{Rect, Shape};
use super::style::{Kind, Style};
use super::texture::Texture;

/// The scene of one facade for a picture `aspect` times as wide as high; in these colours, if there are any.
pub(super) fn plan(seed: u64, index: u64, aspect: f32, colors: Option<&Colors>) -> Scene {
    let root = Rng::new(seed, index);
    let (mut layout_rng, mut style_rng, mut program_rng) = (root.fork(1), root.fork(2), root.fork(3));
    // The architecture determines the bays, and the storeys determine the size of bricks, so draw the layout first.
    let mut layout = Layout::random(&mut layout_rng, aspect);
    let mut style = Style::random(&mut style_rng, layout.storey);
    if let Some(colors) = colors {
        colors.dress(&mut style, &mut root.fork(6), layout.storey);
    }
    layout.divide(&mut root.fork(4), style.kind);
    let mut program = Program::random(&mut program_rng, style.kind, &layout);
    if let Some(colors) = colors {
        program.look.panes = colors.panes();
    }
    let exposure = style_rng.range(0.93, 1.06);
    let warm = style_rng.range(-0.02, 0.03);
    let grade = Grade {
        gain: [exposure * (1.0 + warm), exposure, exposure * (1.0 - warm)],
        contrast: style_rng.range(0.95, 1.1),
    };
    // Given colours are meant as they are.
    let grade = if colors.is_some() { Grade { gain: [1.0; 3], contrast: 1.0 } } else { grade };
    let storey = layout.storey;
    let scene = Scene { aspect, prims: Vec::with_capacity(2048), grade };
    let mut house = House { b: Builder { scene, style, rng: root.fork(5), storey }, layout, program };
    house.surroundings();
    house.roof();
    house.wall();
    house.ground_floor();
    house.upper_floors();
    house.crown();
    house.weather();
    house.b.scene
}

/// A house under construction.
struct House {
    b: Builder,
    layout: Layout,
    program: Program,
}

impl House {
    /// Sky, clouds, neighbours, pavement.
    fn surroundings(&mut self) {
        let (a, wall, m) = (self.b.scene.aspect, self.layout.wall, self.layout.storey);
        let style = self.b.style.clone();
        let rng = &mut self.b.rng;
        let sky = Rect::new(0.0, 0.0, a, 1.0);
        let (seed, cover) = (rng.seed(), rng.range(0.1, 0.38));
        let s = &mut self.b.scene;
        // Skip what the wall will hide.
        let hidden = wall.x0 <= 0.0 && wall.x1 >= a;
        let zenith = Rect { y1: (wall.y0 + 0.3).max(0.35), ..sky };
        if !hidden {
            s.rect(sky, Fill::plain(style.sky.1));
        }
        s.rect(
            if hidden { Rect { y1: wall.y0 + 0.04, ..sky } } else { zenith },
            Fill::gradient(style.sky.0, style.sky.1),
        );
        let clouds = Rect { y1: wall.y0 + 0.02, ..sky };
        s.rect(
            clouds,
            Fill::plain([0.95, 0.95, 0.96]).opacity(0.8).textured(Texture::Clouds { seed, cover }, style.sky.1),
        );
        let before = s.prims.len();
        for (x0, x1) in [(-0.1, wall.x0), (wall.x1, a + 0.1)] {
            if x1 - x0 > 0.1 || (x0 < 0.0 && x1 > 0.0) || x0 > 0.0 && x0 < a {
                let top = wall.y0 + rng.range(-0.8, 1.6) * m;
                let tone = mixed(style.wall, [0.50, 0.48, 0.46], rng.range(0.55, 0.8));
                let r = Rect::new(x0, top, x1, wall.y1);
                let seed = rng.seed();
                let fill = Fill::gradient(scaled(tone, 0.86), scaled(tone, 0.72));
                s.rect(r, fill.textured(Texture::Plaster { seed, amount: 0.12 }, tone));
                s.rect(
                    Rect { y0: top - 0.10 * m, y1: top + 0.06 * m, ..r },
                    Fill::gradient(style.roof, scaled(style.roof, 0.6)),
                );
                let (step, rise) = (m * rng.range(0.6, 0.8), m * rng.range(0.85, 1.0));
                let mut y = top + 0.35 * m;
                while y + 0.5 * m < wall.y1 {
                    // Measured from the house, so that the first window has some distance to it.
                    for i in 0..4_u8 {
                        let d = 0.3 * step + f32::from(i) * step;
                        let x = if x0 < 0.0 { x1 - d - 0.4 * step } else { x0 + d };
                        let window = Rect::new(x, y, x + 0.4 * step, y + 0.5 * m);
                        s.rect(window, Fill::gradient(scaled(style.glass.0, 0.9), style.glass.1).opacity(0.8));
                        s.rect(window.columns(0.45, 0.55), Fill::plain(tone).opacity(0.7));
                    }
                    y += rise;
                }
                let near = if x0 < 0.0 { r.columns(0.8, 1.0) } else { r.columns(0.0, 0.2) };
                s.rect(near, Fill::shade(0.12, 0.2));
            }
        }
        if style.is_told {
            s.prims.truncate(before);
        }
        let ground = Rect::new(0.0, wall.y1, a, 1.0);
        if ground.y1 > ground.y0 {
            s.rect(ground, Fill::gradient([0.56, 0.55, 0.53], [0.44, 0.44, 0.44]));
            let kerb = Rect { y0: wall.y1 + 0.03, y1: wall.y1 + 0.038, ..ground };
            s.rect(kerb, Fill::plain([0.66, 0.65, 0.62]));
            s.rect(Rect { y0: kerb.y1, y1: 1.0_f32.max(kerb.y1), ..ground }, Fill::plain([0.33, 0.33, 0.34]));
            s.rect(Rect { y1: wall.y1 + 0.012, ..ground }, Fill::shade(0.4, 0.0));
        }
    }

    /// Chimneys, tiles or mansard, dormers.
    fn roof(&mut self) {
        let (wall, m, style) = (self.layout.wall, self.layout.storey, self.b.style.clone());
        if wall.y0 < 0.03 || style.kind == Kind::Modern {
            return;
        }
        let mansard = style.kind == Kind::Haussmann;
        let height = m * if mansard { self.b.rng.range(0.6, 0.75) } else { self.b.rng.range(0.12, 0.42) };
        let slope = height * if mansard { 0.22 } else { 0.7 };
        let top = wall.y0 - height;
        let bays = self.layout.bays.clone();
        for (x0, x1) in &bays {
            if self.b.rng.chance(0.22) {
                let (x, w) = (0.5 * (x0 + x1), 0.11 * m);
                let stack = Rect::new(x - w, top - 0.24 * m, x + w, wall.y0);
                let brick = scaled([0.52, 0.36, 0.30], 0.95);
                self.b.scene.rect(stack, Fill::sideways(scaled(brick, 1.1), scaled(brick, 0.75)));
                self.b.scene.rect(stack.inset(-0.15 * w, 0.0).rows(0.0, 0.06), Fill::plain(scaled(brick, 0.6)));
            }
        }
        let course = m / 22.0;
        let tiles = Texture::Masonry {
            seed: self.b.rng.seed(),
            course,
            length: course * if mansard { 1.4 } else { 0.9 },
            joint: course * 0.22,
            bond: 0.5,
            vary: 0.25,
            top: 0.0,
        };
        let r = Rect::new(wall.x0 + slope, top, wall.x1 - slope, wall.y0 + 0.02);
        let fill =
            Fill::gradient(scaled(style.roof, 1.1), scaled(style.roof, 0.9)).textured(tiles, scaled(style.roof, 0.68));
        self.b.scene.paint(Shape::Taper(r, wall.x0, wall.x1), fill);
        if mansard {
            let ridge = Rect::new(r.x0, top - 0.04 * m, r.x1, top + 0.03 * m);
            self.b.scene.rect(ridge, Fill::gradient(scaled(style.roof, 1.35), scaled(style.roof, 0.7)));
            for (x0, x1) in bays {
                let (x, half) = (0.5 * (x0 + x1), 0.17 * m);
                let dormer = Rect::new(x - half, wall.y0 - 0.82 * height, x + half, wall.y0);
                self.b.scene.part(
                    Shape::Arch(dormer.inset(-0.07 * m, -0.05 * m), 0.5 * half),
                    Fill::plain(style.trim),
                    class::DECO,
                );
                let look = WindowLook { arch: 0.5, ..self.program.look };
                self.b.window(dormer.inset(0.02 * m, 0.03 * m), look);
            }
        }
    }

    /// The wall with plinth and corner stones.
    fn wall(&mut self) {
        let (wall, m) = (self.layout.wall, self.layout.storey);
        self.b.scene.part(Shape::Rect(wall), self.b.style.wall_fill(), class::FACADE);
        if let Some(&(top, bottom)) = self.layout.storeys.last() {
            let ground = Rect { y0: top, y1: bottom, ..wall };
            let base = self.b.style.base;
            if self.program.has(Feature::Rusticated) {
                let stone = Texture::Masonry {
                    seed: self.b.rng.seed(),
                    course: m / 6.5,
                    length: m / 3.2,
                    joint: m / 60.0,
                    bond: 0.5,
                    vary: 0.08,
                    top,
                };
                self.b.scene.rect(ground, Fill::gradient(base, scaled(base, 0.93)).textured(stone, scaled(base, 0.62)));
            }
            let seed = self.b.rng.seed();
            let plinth = Rect { y0: bottom - 0.16 * m, ..ground };
            let fill = Fill::gradient(scaled(base, 0.84), scaled(base, 0.66));
            self.b.scene.rect(plinth, fill.textured(Texture::Plaster { seed, amount: 0.1 }, base));
            self.b.scene.rect(plinth.rows(0.0, 0.1), Fill::plain(scaled(base, 1.06)));
        }
        if self.program.has(Feature::Quoins) {
            let w = 0.17 * m;
            let y1 = self.layout.storeys.last().map_or(wall.y1, |s| s.0);
            self.b.quoins(Rect::new(wall.x0, wall.y0, wall.x0 + w, y1));
            let right = Rect::new(wall.x1 - w, wall.y0, wall.x1, y1);
            self.b.quoins(right);
        }
    }

    /// Doors, shops and windows on street level.
    fn ground_floor(&mut self) {
        let Some(&(top, bottom)) = self.layout.storeys.last() else {
            return;
        };
        let (m, height) = (self.layout.storey, bottom - top);
        let bays = self.layout.bays.clone();
        let count = bays.len();
        let entrance = if self.b.rng.chance(0.6) { count / 2 } else { self.b.rng.int(0, count - 1) };
        let arch =
            if self.b.style.kind != Kind::Modern && self.b.rng.chance(0.45) { 1.0 } else { self.program.look.arch };
        let mut next = 0;
        while next < count {
            let (x0, x1) = bays[next];
            if next == entrance {
                let half = (0.42 * (x1 - x0)).min(0.23 * m);
                let x = 0.5 * (x0 + x1);
                let r = Rect::new(x - half, top + 0.17 * height, x + half, bottom);
                if !self.program.has(Feature::Shops) || self.b.rng.chance(0.5) {
                    self.b.surround(r, 0.06 * m, arch);
                    if arch > 0.5 {
                        self.b.keystone(x, Rect::new(x - 0.06 * m, r.y0 - 0.10 * m, x + 0.06 * m, r.y0 + 0.05 * m));
                    }
                }
                self.b.door(r, arch);
                let step = Rect::new(r.x0 - 0.06 * m, bottom - 0.05 * m, r.x1 + 0.06 * m, bottom);
                self.b.scene.rect(step, Fill::gradient([0.70, 0.68, 0.64], [0.50, 0.49, 0.46]));
                next += 1;
                continue;
            }
            let run = if next < entrance { entrance - next } else { count - next };
            if self.program.has(Feature::Shops) && self.b.rng.chance(0.8) {
                let take = self.b.rng.int(1, run.min(3));
                let end = bays[next + take - 1].1;
                let gap = 0.06 * m;
                self.b.shop(Rect::new(x0 + gap, top + 0.13 * height, end - gap, bottom - 0.02 * m));
                next += take;
                continue;
            }
            let look = WindowLook { arch, ..self.program.look };
            let w = (x1 - x0) * self.program.window.0;
            let x = 0.5 * (x0 + x1);
            let r = Rect::new(x - 0.5 * w, top + 0.24 * height, x + 0.5 * w, top + 0.72 * height);
            if self.program.surround > 0.0 && !self.program.has(Feature::Rusticated) {
                self.b.surround(r, self.program.surround * w, arch);
            }
            self.b.window(r, look);
            if self.program.has(Feature::Sills) {
                self.b.sill(Rect::new(r.x0 - 0.14 * w, r.y1, r.x1 + 0.14 * w, r.y1 + 0.07 * m), false);
            }
            next += 1;
        }
    }

    fn upper_floors(&mut self) {
        let upper = self.layout.storeys.len() - 1;
        let m = self.layout.storey;
        if self.program.has(Feature::Pillars) {
            self.pillars(upper);
        }
        if self.program.has(Feature::Oriels) {
            self.oriels(upper);
        }
        for k in (0..upper).rev() {
            let (y0, y1) = self.layout.storeys[k];
            // The storey above the ground floor is the main one.
            let main = k + 1 == upper;
            let hood = if main { self.program.main } else { self.program.other };
            let running = self.program.balconies == Balconies::Running && (main || k == 0);
            if self.program.has(Feature::Bands) && (main || k == 0 || self.b.rng.chance(0.5)) {
                let h = m * if main { 0.13 } else { 0.08 };
                let wall = self.layout.wall;
                self.b.molding(Rect::new(wall.x0, y1 - 0.4 * h, wall.x1, y1 + 0.6 * h));
            }
            let every = self.b.rng.chance(0.6);
            for i in 0..self.layout.bays.len() {
                let balcony = running
                    || match self.program.balconies {
                        Balconies::Accent => self.layout.accent[i] && (every || main),
                        Balconies::Every => main || every,
                        _ => false,
                    };
                self.bay(i, (y0, y1), if self.layout.accent[i] { self.program.main } else { hood }, balcony, running);
            }
            if running {
                let wall = self.layout.wall.inset(0.05 * m, 0.0);
                self.b.balcony(Rect::new(wall.x0, y1 - 0.30 * m, wall.x1, y1 + 0.05 * m), self.program.railing);
            }
        }
    }

    /// The opening of one bay on one storey, with its ornaments.
    fn bay(&mut self, bay: usize, (y0, y1): (f32, f32), hood: Hood, balcony: bool, running: bool) {
        let (m, (x0, x1)) = (self.layout.storey, self.layout.bays[bay]);
        let (width, height) = ((x1 - x0) * self.program.window.0, m * self.program.window.1);
        let x = 0.5 * (x0 + x1);
        let top = y0 + 0.22 * m;
        let bottom = if balcony { y1 - 0.03 * m } else { top + height };
        let opening = Rect::new(x - 0.5 * width, top, x + 0.5 * width, bottom);
        let look = self.program.look;
        let surround = self.program.surround * width;
        if surround > 0.0 {
            self.b.surround(opening, surround, look.arch);
        }
        if self.program.has(Feature::Paired) {
            self.b.window(opening.columns(-0.12, 0.44), look);
            self.b.window(opening.columns(0.56, 1.12), look);
        } else {
            self.b.window(opening, look);
        }
        if self.program.shutters > 0.0 && self.b.rng.chance(self.program.shutters) {
            let closed = self.b.rng.chance(0.12);
            self.b.shutters(opening, closed);
        } else if self.b.rng.chance(self.program.rollers) {
            let share = self.b.rng.pick([0.25, 0.35, 0.5, 0.8]);
            self.b.roller(opening, share);
        }
        if hood == Hood::Lintel {
            self.b.hood(opening.inset(-0.1 * width, 0.0).above(0.11 * m), hood);
            self.b.keystone(x, Rect::new(x - 0.03 * m, top - 0.12 * m, x + 0.03 * m, top));
        } else if hood != Hood::None {
            let tall = if hood == Hood::Flat { 0.095 } else { 0.17 };
            let base = Rect { y0: top - surround, ..opening }.inset(-0.24 * width, 0.0);
            self.b.hood(base.above(tall * m), hood);
        } else if look.arch > 0.0 && !self.program.has(Feature::Medallions) {
            let y = top - surround;
            self.b.keystone(x, Rect::new(x - 0.06 * m, y - 0.08 * m, x + 0.06 * m, y + 0.05 * m));
        } else if self.program.has(Feature::Medallions) {
            let y = top - surround;
            self.b.medallion(Rect::new(x - 0.11 * m, y - 0.18 * m, x + 0.11 * m, y + 0.04 * m));
        }
        if self.program.has(Feature::Piers) && !self.program.has(Feature::Pillars) && self.program.shutters <= 0.0 {
            // Reliefs on the wall between windows, with some wall free on both sides.
            let half = (0.5 * (x1 - x0) * (1.0 - self.program.window.0) - 0.24 * width).min(0.09 * m);
            if half > 0.03 * m {
                let (a, b) = (top + 0.02 * m, top + 0.8 * height);
                self.b.deco(Rect::new(x0 - half, a, x0 + half, b));
            }
        }
        if balcony && !running {
            let wide = if self.layout.accent[bay] { 0.36 } else { 0.28 };
            let r = opening.inset(-wide * width, 0.0);
            self.b.balcony(Rect::new(r.x0, y1 - 0.34 * m, r.x1, y1 + 0.03 * m), self.program.railing);
        } else if !balcony {
            if self.program.has(Feature::Sills) {
                let sill = opening.inset(-0.2 * width, 0.0);
                self.b.sill(Rect { y0: bottom, y1: bottom + 0.075 * m, ..sill }, self.program.has(Feature::Brackets));
            }
            if self.program.has(Feature::Panels) {
                let r = opening.inset(-0.02 * width, 0.0);
                self.b.deco(Rect { y0: bottom + 0.10 * m, y1: y1 - 0.06 * m, ..r });
            }
        }
    }

    /// Projecting bays: a lit front between shaded sides, on a console.
    fn oriels(&mut self, upper: usize) {
        let m = self.layout.storey;
        let (from, to) = (usize::from(upper > 2), self.layout.storeys[upper].0);
        let top = self.layout.storeys[from].0 + 0.05 * m;
        let color = mixed(self.b.style.wall, self.b.style.trim, 0.35);
        for i in 0..self.layout.bays.len() {
            if !self.layout.accent[i] {
                continue;
            }
            let (x0, x1) = self.layout.bays[i];
            let body = Rect::new(x0, top, x1, to - 0.02 * m).inset(0.05 * (x1 - x0), 0.0);
            self.b.shadow_beside(body, 0.16 * m);
            self.b.shadow_below(body, 0.18 * m);
            let fill = Fill::gradient(scaled(color, 1.05), scaled(color, 0.98));
            self.b.scene.part(
                Shape::Rect(body),
                fill.textured(self.b.style.texture, self.b.style.joint),
                class::FACADE,
            );
            let flank = self.b.style.sun * 0.7;
            let (left, right) = if self.b.style.light > 0.0 { (0.0, flank) } else { (flank, 0.0) };
            self.b.scene.rect(body.columns(0.0, 0.12), Fill::shade(left, left));
            self.b.scene.rect(body.columns(0.88, 1.0), Fill::shade(right, right));
            self.b.molding(body.inset(-0.03 * m, 0.0).above(0.07 * m));
            let console = Rect::new(body.x0, body.y1, body.x1, body.y1 + 0.13 * m);
            let trim = self.b.style.trim;
            let taper = Shape::Taper(console, body.x0 + 0.16 * m, body.x1 - 0.16 * m);
            self.b.scene.part(taper, Fill::gradient(scaled(trim, 0.95), scaled(trim, 0.6)), class::MOLDING);
        }
    }

    /// A gable with a medallion, standing on the crowning moulding.
    fn gable(&mut self) {
        let (wall, m) = (self.layout.wall, self.layout.storey);
        let height = (wall.y0 - 0.02).min(self.b.rng.range(0.45, 0.75) * m);
        if height < 0.3 * m {
            return;
        }
        let half = (self.b.rng.range(0.7, 1.2) * m).min(0.4 * wall.width());
        let x = wall.centre_x();
        let r = Rect::new(x - half, wall.y0 - height, x + half, wall.y0);
        let inner = Rect::new(r.x0 + 0.12 * m, r.y0 + 0.10 * m, r.x1 - 0.12 * m, r.y1);
        let (outer, field) = if self.b.style.kind == Kind::ArtNouveau || self.b.rng.chance(0.3) {
            (Shape::Arch(r, 0.85 * r.height()), Shape::Arch(inner, 0.85 * inner.height()))
        } else {
            let tip = |r: Rect, w: f32| Shape::Taper(Rect::new(x - w, r.y0, x + w, r.y1), r.x0, r.x1);
            (tip(r, 0.1 * m), tip(inner, 0.06 * m))
        };
        let trim = self.b.style.trim;
        self.b.scene.part(outer, Fill::gradient(scaled(trim, 1.12), trim), class::MOLDING);
        self.b.scene.part(field, self.b.style.wall_fill(), class::FACADE);
        self.b.scene.paint(field, Fill::shade(0.3, 0.05));
        let size = 0.3 * height;
        let y = r.y0 + 0.62 * height;
        self.b.medallion(Rect::new(x - size, y - size, x + size, y + size));
    }

    /// Pilasters between the bays, through all upper storeys.
    fn pillars(&mut self, upper: usize) {
        let (m, wall) = (self.layout.storey, self.layout.wall);
        let industrial = self.b.style.kind == Kind::Industrial;
        let fluted = self.b.rng.chance(0.5);
        let sparse = !industrial && self.b.rng.chance(0.4);
        let w = m * if industrial { 0.17 } else { 0.11 };
        let Some(top) = self.layout.storeys.first().map(|s| s.0) else {
            return;
        };
        let bottom = if industrial { wall.y1 } else { self.layout.storeys[upper].0 };
        let mut axes: Vec<f32> = self.layout.bays.iter().map(|b| b.0).collect();
        axes.extend(self.layout.bays.last().map(|b| b.1));
        for (i, x) in axes.iter().enumerate() {
            if !sparse || i % 2 == 0 {
                self.b.pillar(Rect::new(x - 0.5 * w, top, x + 0.5 * w, bottom), fluted);
            }
        }
    }

    /// The top of the wall under the roof.
    fn crown(&mut self) {
        let (wall, e) = (self.layout.wall, self.layout.entablature);
        if self.program.has(Feature::Gable) {
            self.gable();
        }
        let out = 0.25 * e;
        let r = Rect::new(wall.x0 - out, wall.y0 - 0.1 * e, wall.x1 + out, wall.y0 + e);
        match self.b.style.kind {
            Kind::Modern => self.b.molding(Rect { y1: r.y0 + 0.3 * r.height(), ..r }),
            Kind::Industrial | Kind::Tenement => {
                self.b.entablature(Rect { y1: r.y0 + 0.6 * r.height(), ..r }, true);
            }
            _ => {
                let brackets = self.b.rng.chance(0.5);
                self.b.entablature(r, brackets);
            }
        }
    }

    /// Dirt at the foot, and perhaps the shadow of a house across the street.
    fn weather(&mut self) {
        let (wall, m) = (self.layout.wall, self.layout.storey);
        self.b.scene.rect(Rect { y0: wall.y1 - 0.5 * m, ..wall }, Fill::shade(0.0, 0.16));
        if self.b.rng.chance(0.2) && !self.b.style.is_told {
            let y = wall.y1 - self.b.rng.range(0.6, 1.4) * m;
            self.b.scene.rect(Rect { y0: y, ..wall }, Fill::shade(0.14, 0.2));
        }
    }
}
