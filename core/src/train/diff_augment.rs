//! Differentiable augmentation (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", 2020): what the
//! discriminator sees is varied, real and synthesized pictures alike, so that it cannot learn a small set by heart. Gradients
//! flow through the variation to the generator.

use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};

use crate::rng::Rng;

/// The farthest that a picture moves, as a share of its side: one out of this many.
const TRANSLATION: usize = 8;
/// The side of the hole, as a share of the picture's: one out of this many.
const CUTOUT: usize = 2;

/// The variation of each picture of a batch: colours first, then the place, then a hole.
#[derive(Clone, Debug)]
pub struct DiffAugment {
    pictures: Vec<Picture>,
    size: [usize; 2],
}

/// The variation of a picture.
#[derive(Clone, Copy, Debug)]
struct Picture {
    /// Added to all values.
    brightness: f32,
    /// What the differences from the grey of a pixel are multiplied with.
    saturation: f32,
    /// What the differences from the mean of the picture are multiplied with.
    contrast: f32,
    /// By how many pixels the picture moves: down, and to the right.
    shift: [isize; 2],
    /// Rows and columns of the hole: the first, and the one after the last.
    hole: [[usize; 2]; 2],
}

impl DiffAugment {
    /// Draws the variation of `batch` pictures of `size` (height and width): brightness -0.5 to 0.5 added, saturation 0 to 2,
    /// contrast 0.5 to 1.5, a shift by up to an eighth of the side, a hole of half the side. The same seed always draws the
    /// same.
    pub fn draw(seed: u64, batch: usize, size: [usize; 2]) -> Self {
        Self::draw_from(0, seed, batch, size)
    }

    /// The same for pictures from number `first` on of a batch.
    pub(super) fn draw_from(first: usize, seed: u64, batch: usize, size: [usize; 2]) -> Self {
        let mut random = Rng::new(seed);
        let mut picture = |_| {
            let mut uniform = |from: f64, to: f64| (from + (to - from) * random.uniform()) as f32;
            let (brightness, saturation, contrast) = (uniform(-0.5, 0.5), uniform(0.0, 2.0), uniform(0.5, 1.5));
            let shift = size.map(|side| {
                let farthest = side / TRANSLATION;
                random.below(2 * farthest + 1) as isize - farthest as isize
            });
            let hole = size.map(|side| {
                let length = side / CUTOUT;
                // Its middle is anywhere in the picture.
                let start = random.below(side) as isize - (length / 2) as isize;
                [start.max(0) as usize, (start + length as isize).clamp(0, side as isize) as usize]
            });
            Picture { brightness, saturation, contrast, shift, hole }
        };
        Self { pictures: (0..first + batch).map(&mut picture).skip(first).collect(), size }
    }

    /// Varies pictures, `[batch, 3, height, width]` in -1 to 1. Values may leave that range; what moves in, and the hole, are
    /// 0.
    ///
    /// # Panics
    ///
    /// If batch or size are not those it was drawn for.
    pub fn pictures(&self, x: Tensor<4>) -> Tensor<4> {
        let device = x.device();
        let of_all = |value: fn(&Picture) -> f32| {
            let values: Vec<f32> = self.pictures.iter().map(value).collect();
            Tensor::<4>::from_data(TensorData::new(values, [self.pictures.len(), 1, 1, 1]), &device)
        };
        let x = x + of_all(|picture| picture.brightness);
        let grey = x.clone().mean_dim(1);
        let x = (x - grey.clone()) * of_all(|picture| picture.saturation) + grey;
        let mean = x.clone().mean_dims(&[1, 2, 3]);
        let x = (x - mean.clone()) * of_all(|picture| picture.contrast) + mean;
        self.labels(x) * Tensor::from_data(self.mask(), &device)
    }

    /// Moves maps of labels, `[batch, channels, height, width]`, by as much as the pictures. Nothing is set where something
    /// moves in.
    ///
    /// # Panics
    ///
    /// If batch or size are not those it was drawn for.
    pub fn labels(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        assert_eq!((batch, [height, width]), (self.pictures.len(), self.size), "the augmentation was drawn for these");
        let [rows, columns] = self.size.map(|side| side / TRANSLATION);
        let padded = x.pad((columns, columns, rows, rows), PadMode::Constant(0.0));
        let moved = self.pictures.iter().enumerate().map(|(index, picture)| {
            let [down, right] = picture.shift;
            let (top, left) = ((rows as isize - down) as usize, (columns as isize - right) as usize);
            padded.clone().slice([index..index + 1, 0..channels, top..top + height, left..left + width])
        });
        Tensor::cat(moved.collect(), 0)
    }

    /// 0 in the holes and 1 elsewhere, `[batch, 1, height, width]`.
    fn mask(&self) -> TensorData {
        let [height, width] = self.size;
        let mut values = Vec::with_capacity(self.pictures.len() * height * width);
        for Picture { hole: [rows, columns], .. } in &self.pictures {
            let within = |[start, end]: &[usize; 2], at: usize| *start <= at && at < *end;
            for y in 0..height {
                values.extend((0..width).map(|x| if within(rows, y) && within(columns, x) { 0.0_f32 } else { 1.0 }));
            }
        }
        TensorData::new(values, [self.pictures.len(), 1, height, width])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    /// A picture of 16x8 whose values tell their places.
    fn coded(device: &Device) -> Tensor<4> {
        let values: Vec<f32> = (0..3 * 16 * 8).map(|i| i as f32 / 400.0).collect();
        Tensor::from_data(TensorData::new(values, [1, 3, 16, 8]), device)
    }

    fn plain() -> Picture {
        Picture { brightness: 0.0, saturation: 1.0, contrast: 1.0, shift: [0, 0], hole: [[0, 0], [0, 0]] }
    }

    fn one(picture: Picture) -> DiffAugment {
        DiffAugment { pictures: vec![picture], size: [16, 8] }
    }

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
    }

    #[test]
    fn each_part_does_what_it_says() {
        let device = Device::flex();
        let x = values(coded(&device));
        let run = |picture: Picture| values(one(picture).pictures(coded(&device)));
        close(&run(plain()), &x);
        let brighter: Vec<f32> = x.iter().map(|value| value + 0.25).collect();
        close(&run(Picture { brightness: 0.25, ..plain() }), &brighter);
        // Without saturation, the three channels are their mean.
        let grey: Vec<f32> = (0..128).map(|i| (x[i] + x[128 + i] + x[256 + i]) / 3.0).collect();
        close(&run(Picture { saturation: 0.0, ..plain() }), &grey.repeat(3));
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let harder: Vec<f32> = x.iter().map(|value| (value - mean) * 1.5 + mean).collect();
        close(&run(Picture { contrast: 1.5, ..plain() }), &harder);

        let at = |channel: usize, y: usize, x: usize| (channel * 16 + y) * 8 + x;
        let moved = run(Picture { shift: [2, -1], ..plain() });
        assert!((moved[at(1, 5, 3)] - x[at(1, 3, 4)]).abs() < 1e-6);
        assert!(moved[at(1, 1, 3)].abs() < 1e-9 && moved[at(2, 9, 7)].abs() < 1e-9, "nothing moves in");
        let labels = values(one(Picture { shift: [2, -1], brightness: 0.3, ..plain() }).labels(coded(&device)));
        close(&labels, &moved);

        let holed = run(Picture { hole: [[4, 12], [0, 3]], ..plain() });
        for (i, (holed, value)) in holed.iter().zip(&x).enumerate() {
            let (row, column) = (i / 8 % 16, i % 8);
            let inside = (4..12).contains(&row) && column < 3;
            assert!((holed - if inside { 0.0 } else { *value }).abs() < 1e-6, "{row} {column}");
        }
    }

    #[test]
    fn what_is_drawn_is_within_its_ranges() {
        let size = [32, 64];
        let drawn = DiffAugment::draw(7, 500, size);
        let same = DiffAugment::draw(7, 500, size);
        assert_eq!(format!("{:?}", drawn.pictures), format!("{:?}", same.pictures));
        assert_ne!(format!("{:?}", drawn.pictures), format!("{:?}", DiffAugment::draw(8, 500, size).pictures));
        for picture in &drawn.pictures {
            assert!((-0.5..=0.5).contains(&picture.brightness) && (0.0..=2.0).contains(&picture.saturation));
            assert!((0.5..=1.5).contains(&picture.contrast));
            assert!(picture.shift[0].abs() <= 4 && picture.shift[1].abs() <= 8);
            let lengths = picture.hole.map(|[start, end]| end - start);
            assert!((8..=16).contains(&lengths[0]) && (16..=32).contains(&lengths[1]), "{lengths:?}");
        }
        let reached = |shift: isize| drawn.pictures.iter().any(|picture| picture.shift[1] == shift);
        assert!(reached(-8) && reached(8));
    }

    #[test]
    fn gradients_flow_to_what_is_seen() {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::random([2, 3, 16, 8], Distribution::Uniform(-1.0, 1.0), &device).require_grad();
        let augment = DiffAugment {
            pictures: vec![
                Picture { contrast: 1.5, shift: [1, 0], ..plain() },
                Picture { hole: [[0, 16], [0, 8]], ..plain() },
            ],
            size: [16, 8],
        };
        let gradients = augment.pictures(x.clone()).sum().backward();
        let gradient: Vec<f32> = x.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        let (first, second) = gradient.split_at(3 * 16 * 8);
        assert!(first.iter().any(|value| value.abs() > 0.5));
        assert!(second.iter().all(|value| value.abs() < 1e-6), "nothing of the second picture is left");
    }
}
