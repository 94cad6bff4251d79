//! Noise maps: the random part of a picture.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use super::Layout;
use crate::error::{Error, Result};
use crate::label::Area;
use crate::rng::{Rng, mix64};

/// Source of the noise that SEAN adds to its features (Zhu et al. 2020, §3).
///
/// Every norm with noise draws one map of standard normal values. Draws are numbered in the order they run.
#[derive(Clone, Debug, Default)]
pub enum Noise {
    /// No noise: every value is 0.
    #[default]
    Zero,
    /// A value depends only on the seed, the draw and the world position. Adjacent pictures therefore join without a
    /// seam (if origins are multiples of the network's stride), and the same request gives the same picture on every
    /// device.
    Anchored {
        /// Seed of the world.
        seed: u64,
        /// World position of the picture's top left pixel: x to the right, y down, in pixels of the picture.
        origin: [i64; 2],
    },
    /// Given maps, one tensor per draw, each `[batch, width, height]` (width first, as in the papers' code) at the
    /// size of the features.
    Fed(Vec<Tensor<3>>),
}

impl Noise {
    /// Checks that given noise matches the draws of the network.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if given noise has a different number of maps, or a map has a different shape.
    pub(crate) fn check(&self, batch: usize, sizes: &[[usize; 2]]) -> Result<()> {
        let Self::Fed(maps) = self else { return Ok(()) };
        if maps.len() != sizes.len() {
            return Err(Error::Argument(format!("the network draws {} noise maps, not {}", sizes.len(), maps.len())));
        }
        for (draw, (map, &[height, width])) in maps.iter().zip(sizes).enumerate() {
            let expected = [batch, width, height];
            if map.dims() != expected {
                let found = map.dims();
                return Err(Error::Argument(format!(
                    "noise map {draw} has shape {found:?}, it must have {expected:?}"
                )));
            }
        }
        Ok(())
    }

    /// The map of a draw, `[batch, 1, height, width]`; `None` without noise. `first` is the number of the first picture, for a
    /// part of a batch.
    pub(crate) fn map(
        &self,
        draw: usize,
        layout: &Layout,
        first: usize,
        [height, width]: [usize; 2],
    ) -> Option<Tensor<4>> {
        match self {
            Self::Zero => None,
            Self::Fed(maps) => maps.get(draw).map(|map| map.clone().swap_dims(1, 2).unsqueeze_dim(1)),
            Self::Anchored { seed, origin } => {
                let values =
                    anchored(*seed, *origin, draw, first..first + layout.batch(), layout.size(), [height, width]);
                let shape = [layout.batch(), 1, height, width];
                Some(Tensor::from_data(TensorData::new(values, shape), layout.device()))
            }
        }
    }

    /// The map of a draw on the host, for an area in cells of `scale` pixels, `[rows, columns]`; `None` without noise
    /// and for given noise. Where the world repeats itself, `period` is the height and width that repeat, in pixels.
    pub(crate) fn area(&self, draw: usize, scale: i64, area: Area, period: [Option<i64>; 2]) -> Option<Vec<f32>> {
        let Self::Anchored { seed, origin } = self else { return None };
        let [left, top] = origin.map(|origin| origin.div_euclid(scale));
        let repeated = |cell: i64, period: Option<i64>| period.map_or(cell, |period| cell.rem_euclid(period / scale));
        let stream = stream(*seed, draw, 0);
        let mut values = Vec::with_capacity(area.rows.len() * area.columns.len());
        for y in area.rows.start..area.rows.end {
            let row = row(stream, top.wrapping_add(repeated(y, period[0])));
            let value = |x: i64| Rng::at(row, left.wrapping_add(repeated(x, period[1])) as u64).normal() as f32;
            values.extend((area.columns.start..area.columns.end).map(value));
        }
        Some(values)
    }
}

/// The values of a draw of one picture of a batch. The first picture gets the same noise as it would alone.
fn stream(seed: u64, draw: usize, picture: u64) -> u64 {
    mix64(seed ^ mix64(draw as u64 + 1)) ^ mix64(picture)
}

/// The values of a row of the world.
fn row(stream: u64, y: i64) -> u64 {
    mix64(stream ^ mix64(y as u64))
}

/// Anchored noise of some pictures of a batch, `[batch, height, width]`; `whole` is the size of the picture.
fn anchored(
    seed: u64,
    origin: [i64; 2],
    draw: usize,
    pictures: Range<usize>,
    [whole_height, whole_width]: [usize; 2],
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let anchor = |origin: i64, side: usize, whole: usize| {
        (i128::from(origin) * side as i128).div_euclid(whole.max(1) as i128) as i64
    };
    let (left, top) = (anchor(origin[0], width, whole_width), anchor(origin[1], height, whole_height));
    let mut values = Vec::with_capacity(pictures.len() * height * width);
    for picture in pictures {
        let stream = stream(seed, draw, picture as u64);
        for y in 0..height as i64 {
            let row = row(stream, top.wrapping_add(y));
            let value = |x: i64| Rng::at(row, left.wrapping_add(x) as u64).normal() as f32;
            values.extend((0..width as i64).map(value));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::label::LabelMap;
    use crate::nn::LabelEncoding;

    fn layout(width: usize, height: usize, batch: usize) -> Layout {
        let maps = vec![LabelMap::filled(width, height, 0).unwrap(); batch];
        Layout::new(maps, 1, LabelEncoding::Indexed, &Device::flex()).unwrap()
    }

    fn values(noise: &Noise, draw: usize, layout: &Layout, size: [usize; 2]) -> Vec<f32> {
        noise.map(draw, layout, 0, size).unwrap().into_data().try_to_vec().unwrap()
    }

    #[test]
    fn noise_belongs_to_the_place() {
        let whole = values(&Noise::Anchored { seed: 3, origin: [0, 0] }, 2, &layout(64, 32, 1), [16, 32]);
        // The right half of the picture, requested separately.
        let half = values(&Noise::Anchored { seed: 3, origin: [32, 0] }, 2, &layout(32, 32, 1), [16, 16]);
        for y in 0..16 {
            assert_eq!(half[y * 16..(y + 1) * 16], whole[y * 32 + 16..(y + 1) * 32]);
        }
        let other = |seed, draw| values(&Noise::Anchored { seed, origin: [0, 0] }, draw, &layout(64, 32, 1), [16, 32]);
        assert_ne!(other(4, 2), whole);
        assert_ne!(other(3, 1), whole);
        assert_eq!(other(3, 2), whole);
        // Positions may be negative.
        let west = values(&Noise::Anchored { seed: 3, origin: [-32, 0] }, 2, &layout(64, 32, 1), [16, 32]);
        assert_eq!(west[16..32], whole[..16]);
    }

    #[test]
    fn noise_is_standard_normal_and_differs_within_a_batch() {
        let noise = Noise::Anchored { seed: 1, origin: [0, 0] };
        let all = values(&noise, 0, &layout(128, 128, 2), [128, 128]);
        let (first, second) = all.split_at(128 * 128);
        assert_eq!(first, values(&noise, 0, &layout(128, 128, 1), [128, 128]));
        assert_ne!(first, second);
        // The second picture alone, as a part of the batch.
        let part = noise.map(0, &layout(128, 128, 1), 1, [128, 128]).unwrap().into_data();
        assert_eq!(part.try_to_vec::<f32>().unwrap(), second);
        let count = all.len() as f32;
        let mean = all.iter().sum::<f32>() / count;
        let variance = all.iter().map(|value| value * value).sum::<f32>() / count - mean * mean;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // Neighbouring values are uncorrelated.
        let covariance = all.windows(2).map(|pair| pair[0] * pair[1]).sum::<f32>() / count;
        assert!(covariance.abs() < 0.02, "{covariance}");
    }
}
