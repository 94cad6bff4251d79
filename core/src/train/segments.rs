//! The objects of a batch: pixels of one instance and one class.

use std::collections::HashMap;

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::label::LabelMap;

/// Which object each pixel of a batch belongs to.
#[derive(Clone, Debug)]
pub(super) struct Segments {
    /// The object of each pixel, `[batch * height * width]`.
    ids: Tensor<1, Int>,
    /// Number of pixels of each object, `[objects, 1]`.
    pixels: Tensor<2>,
    /// The class of each object.
    classes: Vec<u16>,
}

impl Segments {
    /// The objects of label maps: the pixels of a class in an instance, or without instance maps, all pixels of a class in a picture.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is not one instance map per label map, of its size.
    pub(super) fn new(labels: &[LabelMap], instances: Option<&[LabelMap]>, device: &Device) -> Result<Self> {
        let size = |map: &LabelMap| (map.width(), map.height());
        let alike = |instances: &[LabelMap]| {
            instances.len() == labels.len() && instances.iter().zip(labels).all(|(a, b)| size(a) == size(b))
        };
        if !instances.is_none_or(alike) {
            return Err(Error::Data("instance maps must be as many and as large as the label maps".into()));
        }
        let mut known: HashMap<(usize, u16, u16), usize> = HashMap::new();
        let (mut ids, mut pixels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for (picture, map) in labels.iter().enumerate() {
            let instance: Box<dyn Iterator<Item = u16>> = match instances.and_then(|maps| maps.get(picture)) {
                Some(map) => Box::new(map.ids()),
                None => Box::new(std::iter::repeat(0)),
            };
            for (class, instance) in map.ids().zip(instance) {
                let id = *known.entry((picture, class, instance)).or_insert_with(|| {
                    classes.push(class);
                    pixels.push(0.0f32);
                    classes.len() - 1
                });
                if let Some(count) = pixels.get_mut(id) {
                    *count += 1.0;
                }
                ids.push(id as i32);
            }
        }
        let count = [ids.len()];
        Ok(Self {
            ids: Tensor::from_data(TensorData::new(ids, count), device),
            pixels: Tensor::from_data(TensorData::new(pixels, [classes.len(), 1]), device),
            classes,
        })
    }

    /// The class of each object.
    pub(super) fn classes(&self) -> &[u16] {
        &self.classes
    }

    /// The mean over each object, `[objects, channels]`, of features `[batch, channels, height, width]`.
    pub(super) fn means(&self, features: Tensor<4>) -> Tensor<2> {
        let [batch, channels, height, width] = features.dims();
        let rows = features.permute([0, 2, 3, 1]).reshape([batch * height * width, channels]);
        let sums = Tensor::<2>::zeros([self.classes.len(), channels], &rows.device());
        sums.select_assign(0, self.ids.clone(), rows, IndexingUpdateOp::Add) / self.pixels.clone()
    }

    /// Features in which each pixel has the mean over its object.
    pub(super) fn averaged(&self, features: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = features.dims();
        let rows = self.means(features).select(0, self.ids.clone());
        rows.reshape([batch, height, width, channels]).permute([0, 3, 1, 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Values and gradients against loops, with instances that share a number across classes and pictures.
    #[test]
    fn each_pixel_gets_the_mean_over_its_object() {
        let device = Device::flex().autodiff();
        let labels = [vec![0, 0, 1, 1, 0, 0], vec![1, 1, 1, 1, 2, 2]];
        let instances = [vec![5, 6, 6, 6, 5, 6], vec![5, 5, 7, 7, 7, 7]];
        let maps = |all: &[Vec<u16>; 2]| all.clone().map(|ids| LabelMap::new(3, 2, ids).unwrap());
        let segments = Segments::new(&maps(&labels), Some(&maps(&instances)), &device).unwrap();
        assert_eq!(segments.classes(), [0, 0, 1, 1, 1, 2]);
        let mut rng = Rng::new(1);
        let mut random = || -> Vec<f32> { (0..2 * 2 * 6).map(|_| rng.normal() as f32).collect() };
        let (x, slope) = (random(), random());
        let tensor = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [2, 2, 2, 3]), &device);
        // Averaging twice is averaging once, and averaging is its own transpose.
        let mean = |values: &[f32]| -> Vec<f32> {
            let key = |i: usize| (i / 12, labels[i / 12][i % 6], instances[i / 12][i % 6]);
            let of = |i: usize| -> f32 {
                let same: Vec<f32> =
                    (0..24).filter(|&j| j / 6 == i / 6 && key(j) == key(i)).map(|j| values[j]).collect();
                same.iter().sum::<f32>() / same.len() as f32
            };
            (0..24).map(of).collect()
        };
        let input = tensor(&x).require_grad();
        let found = segments.averaged(input.clone());
        let gradients = (found.clone() * tensor(&slope)).sum().backward();
        let close = |found: Tensor<4>, expected: Vec<f32>| {
            let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6)
        };
        assert!(close(found, mean(&x)));
        assert!(close(input.grad(&gradients).unwrap(), mean(&slope)));
        // Without instances, objects are classes of a picture.
        let plain = Segments::new(&maps(&labels), None, &device).unwrap();
        assert_eq!(plain.classes(), [0, 1, 1, 2]);
        assert!(Segments::new(&maps(&labels), Some(&maps(&instances)[..1]), &device).is_err());
    }
}
