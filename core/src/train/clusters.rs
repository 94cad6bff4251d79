//! Presets of models with instance features: centres of what the encoder finds in training photos, by class (Wang et al. 2018,
//! §3.4).

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::Recipe;
use super::segments::Segments;
use crate::data::{Dataset, fit};
use crate::error::Result;
use crate::model::{Preset, read_back};
use crate::network::{Encoder, Network};
use crate::nn::Mode;
use crate::pixels::push_planes;
use crate::rng::Rng;
use crate::style::Style;

/// Centres of each class; 10 in the paper.
const CENTRES: usize = 10;

/// Most photos to look at, spread over the data set.
const PHOTOS: usize = 256;

/// Most rounds of k-means.
const ROUNDS: usize = 50;

/// Presets for a network with instance features: in the first, each class has the centre of most of its objects, in the second, that
/// of the second most, and so on. Empty for other networks.
///
/// # Errors
///
/// Errors of reading the photos.
pub(super) fn feature_presets(
    network: &Network,
    set: &dyn Dataset,
    recipe: &Recipe,
    device: &Device,
) -> Result<Vec<(Preset, Style)>> {
    let Some(Encoder::Features(encoder)) = &network.encoder else { return Ok(Vec::new()) };
    let [height, width] = recipe.validation_size();
    let mut found: BTreeMap<u16, Vec<Vec<f32>>> = BTreeMap::new();
    let count = set.len().min(PHOTOS);
    let mut length = 0;
    for index in 0..count {
        let sample = fit(set.get(index * set.len() / count)?, width, height)?;
        let mut planes = Vec::with_capacity(3 * height * width);
        push_planes(&sample.image, &mut planes);
        let photo = Tensor::from_data(TensorData::new(planes, [1, 3, height, width]), device);
        let instances = sample.instances.as_ref().map(std::slice::from_ref);
        let segments = Segments::new(std::slice::from_ref(&sample.labels), instances, device)?;
        let means = segments.means(encoder.features(photo, Mode::EVAL)?);
        length = means.dims()[1];
        let values = read_back(means)?;
        for (class, features) in segments.classes().iter().zip(values.chunks_exact(length.max(1))) {
            found.entry(*class).or_default().push(features.to_vec());
        }
    }
    let mut random = Rng::new(recipe.seed);
    let centres: BTreeMap<u16, Vec<Vec<f32>>> =
        found.into_iter().map(|(class, points)| (class, centres(&points, CENTRES, &mut random))).collect();
    let most = centres.values().map(Vec::len).max().unwrap_or_default();
    let classes = set.classes();
    let preset = |number: usize| {
        let rows = (0..classes.channels()).map(|class| {
            let of_class = centres.get(&(class as u16))?;
            of_class.get(number % of_class.len().max(1)).cloned()
        });
        let style = Style::regions(length, rows.collect())?.with_names(classes)?;
        let summary = format!("features {} of {most} by how many objects of training photos have them", number + 1);
        Ok((Preset { name: format!("look-{}", number + 1), summary }, style))
    };
    (0..most).map(preset).collect()
}

/// At most `count` centres of points by k-means, that of most points first. The start is that of k-means++ (Arthur & Vassilvitskii
/// 2007).
fn centres(points: &[Vec<f32>], count: usize, random: &mut Rng) -> Vec<Vec<f32>> {
    let off = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum() };
    let Some(first) = points.first() else { return Vec::new() };
    let mut centres = vec![points.get(random.below(points.len())).unwrap_or(first).clone()];
    let nearest = |centres: &[Vec<f32>], point: &[f32]| -> (usize, f64) {
        let offs = centres.iter().map(|centre| off(centre, point)).enumerate();
        offs.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
    };
    while centres.len() < count {
        let offs: Vec<f64> = points.iter().map(|point| nearest(&centres, point).1).collect();
        let total: f64 = offs.iter().sum();
        if total <= 0.0 {
            break;
        }
        // A point far from all centres so far is likelier.
        let mut rest = random.uniform() * total;
        let chosen = offs.iter().position(|off| {
            rest -= off;
            rest < 0.0
        });
        centres.extend(chosen.and_then(|index| points.get(index)).cloned().or_else(|| points.last().cloned()));
    }
    let mut sizes = vec![0usize; centres.len()];
    for _ in 0..ROUNDS {
        let mut sums = vec![vec![0.0f64; first.len()]; centres.len()];
        sizes = vec![0; centres.len()];
        for point in points {
            let (index, _) = nearest(&centres, point);
            sizes[index] += 1;
            sums[index].iter_mut().zip(point).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let moved: Vec<Vec<f32>> = sums
            .iter()
            .zip(&sizes)
            .zip(&centres)
            .map(|((sum, size), centre)| match size {
                0 => centre.clone(),
                size => sum.iter().map(|sum| (sum / *size as f64) as f32).collect(),
            })
            .collect();
        if moved == centres {
            break;
        }
        centres = moved;
    }
    let mut ranked: Vec<(usize, Vec<f32>)> = sizes.into_iter().zip(centres).collect();
    ranked.retain(|(size, _)| *size > 0);
    ranked.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    ranked.into_iter().map(|(_, centre)| centre).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three heaps of different sizes are found, the largest first.
    #[test]
    fn centres_are_those_of_heaps() {
        let mut random = Rng::new(3);
        let heaps = [([0.0f32, 0.0], 50), ([1.0, 0.0], 30), ([0.0, 1.0], 10)];
        let mut points = Vec::new();
        for (centre, count) in heaps {
            for _ in 0..count {
                points.push(centre.iter().map(|value| value + 0.02 * random.normal() as f32).collect::<Vec<f32>>());
            }
        }
        let found = centres(&points, 3, &mut Rng::new(1));
        assert_eq!(found.len(), 3);
        for ((centre, _), found) in heaps.iter().zip(&found) {
            assert!(centre.iter().zip(found).all(|(a, b)| (a - b).abs() < 0.02), "{centre:?} {found:?}");
        }
        // Fewer points than centres, and points that are equal.
        assert_eq!(centres(&points[..2], 5, &mut Rng::new(1)).len(), 2);
        assert_eq!(centres(&vec![vec![1.0, 2.0]; 9], 5, &mut Rng::new(1)), [[1.0, 2.0]]);
        assert!(centres(&[], 5, &mut Rng::new(1)).is_empty());
    }
}
