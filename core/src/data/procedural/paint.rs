//! Rasterises a scene: colours with anti-aliased edges, labels by the centre of the pixel.

use super::scene::{Color, Fill, Prim, Scene};
use super::shape::{Rect, Shape};
use super::texture::Texture;

/// Lines per pixel row on which the edges of non-rectangular shapes are sampled.
const LINES: usize = 4;

/// Rows rasterised at once: limits the memory for floating-point colours at any picture size.
const STRIP: usize = 256;

/// A horizontal strip of the picture.
struct Strip {
    width: usize,
    /// First row.
    top: usize,
    rows: usize,
    /// Pixels per unit, horizontally and vertically.
    scale: (f32, f32),
    colors: Vec<Color>,
    /// The share of each pixel of one row that the current shape covers.
    cover: Vec<f32>,
}

/// RGB bytes and class ids of `scene`, both in row-major order from the top left.
pub(super) fn paint(scene: &Scene, width: usize, height: usize) -> (Vec<u8>, Vec<u16>) {
    let scale = (width as f32 / scene.aspect, height as f32);
    let mut bytes = Vec::with_capacity(width * height * 3);
    let mut ids = vec![0; width * height];
    for top in (0..height).step_by(STRIP) {
        let rows = STRIP.min(height - top);
        let mut strip =
            Strip { width, top, rows, scale, colors: vec![[0.0; 3]; width * rows], cover: vec![0.0; width] };
        for prim in &scene.prims {
            if let Some(fill) = &prim.fill {
                strip.fill(&prim.shape, fill);
            }
        }
        for color in &strip.colors {
            bytes.extend(scene.grade.apply(*color));
        }
    }
    for prim in &scene.prims {
        mark(prim, &mut ids, width, height, scale);
    }
    (bytes, ids)
}

/// Writes the class of `prim` where it covers the centre of a pixel.
fn mark(prim: &Prim, ids: &mut [u16], width: usize, height: usize, scale: (f32, f32)) {
    let Some(id) = prim.class else { return };
    let bounds = prim.shape.bounds();
    for y in centres(bounds.y0 * scale.1, bounds.y1 * scale.1, height) {
        if let Some((from, to)) = prim.shape.span((y as f32 + 0.5) / scale.1) {
            let columns = centres(from * scale.0, to * scale.0, width);
            ids[y * width + columns.start..y * width + columns.end].fill(id);
        }
    }
}

/// The pixels of `0..limit` whose centre lies in `from..to`.
fn centres(from: f32, to: f32, limit: usize) -> std::ops::Range<usize> {
    let clip = |v: f32| ((v - 0.5).ceil().max(0.0) as usize).min(limit);
    clip(from)..clip(to).max(clip(from))
}

/// The pixels of `0..limit` that `from..to` touches.
fn touched(from: f32, to: f32, limit: usize) -> std::ops::Range<usize> {
    let start = (from.floor().max(0.0) as usize).min(limit);
    start..(to.ceil().max(0.0) as usize).clamp(start, limit)
}

/// The share of pixel `i` that lies in `from..to`.
fn overlap(i: usize, from: f32, to: f32) -> f32 {
    (to.min(i as f32 + 1.0) - from.max(i as f32)).clamp(0.0, 1.0)
}

impl Strip {
    fn fill(&mut self, shape: &Shape, fill: &Fill) {
        let bounds = shape.bounds();
        let columns = touched(bounds.x0 * self.scale.0, bounds.x1 * self.scale.0, self.width);
        let (y0, y1) = (bounds.y0 * self.scale.1, bounds.y1 * self.scale.1);
        let rows = touched(y0, y1, self.top + self.rows);
        if columns.is_empty() {
            return;
        }
        for y in rows.start.max(self.top)..rows.end {
            if let Shape::Rect(r) = *shape {
                let vertical = overlap(y, y0, y1);
                let (x0, x1) = (r.x0 * self.scale.0, r.x1 * self.scale.0);
                self.cover[columns.clone()].fill(vertical);
                // Only the ends are partly covered; a rectangle within one pixel has a single end.
                for x in [columns.start, columns.end - 1] {
                    self.cover[x] = vertical * overlap(x, x0, x1);
                }
            } else {
                self.cover[columns.clone()].fill(0.0);
                for line in 0..LINES {
                    let at = (y as f32 + (line as f32 + 0.5) / LINES as f32) / self.scale.1;
                    if let Some((from, to)) = shape.span(at) {
                        let (from, to) = (from * self.scale.0, to * self.scale.0);
                        for x in touched(from, to, self.width) {
                            self.cover[x] += overlap(x, from, to) / LINES as f32;
                        }
                    }
                }
            }
            self.blend(y, columns.clone(), &bounds, fill);
        }
    }

    /// Blends `fill` over the covered pixels of row `y`.
    fn blend(&mut self, y: usize, columns: std::ops::Range<usize>, bounds: &Rect, fill: &Fill) {
        let foot = (1.0 / self.scale.0, 1.0 / self.scale.1);
        let v = (y as f32 + 0.5) * foot.1;
        let start = (y - self.top) * self.width;
        let tone = |t: f32| {
            let t = t.clamp(0.0, 1.0);
            let mix = |c: usize| fill.from[c] + (fill.to[c] - fill.from[c]) * t;
            ([mix(0), mix(1), mix(2)], fill.opacity.0 + (fill.opacity.1 - fill.opacity.0) * t)
        };
        // All gradients except sideways ones are constant along a row.
        let level = tone((v - bounds.y0) / bounds.height());
        if matches!(fill.texture, Texture::Plain) && !fill.sideways {
            let (color, opacity) = level;
            let pixels = &mut self.colors[start + columns.start..start + columns.end];
            for (pixel, cover) in pixels.iter_mut().zip(&self.cover[columns]) {
                let alpha = cover * opacity;
                for (value, c) in pixel.iter_mut().zip(color) {
                    *value += (c - *value) * alpha;
                }
            }
            return;
        }
        for x in columns {
            let cover = self.cover[x];
            if cover <= 0.0 {
                continue;
            }
            let u = (x as f32 + 0.5) * foot.0;
            let (color, opacity) = if fill.sideways { tone((u - bounds.x0) / bounds.width()) } else { level };
            let sample = fill.texture.sample(u, v, foot);
            let alpha = cover * sample.opacity * opacity;
            let pixel = &mut self.colors[start + x];
            for (c, value) in pixel.iter_mut().enumerate() {
                let plain = color[c] * sample.gain;
                let painted = plain + (fill.second[c] - plain) * sample.second;
                *value += (painted - *value) * alpha;
            }
        }
    }
}
