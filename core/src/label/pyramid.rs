//! Label maps with their edges and distances, at every scale that a network uses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use semsynth_kernels::Patches;

use super::resize::floor_indices;
use super::{DistanceMap, LabelMap, instance_edges};
use crate::error::{Error, Result};

/// Class ids, instance edges and distance maps of one picture, sampled once for each scale that a network uses. [`nn::Layout`](crate::nn::Layout)
/// reads them from here; the CPU engine reads a [`LabelStream`](super::LabelStream), row by row.
#[derive(Debug)]
pub(crate) struct LabelPyramid {
    source: Arc<Source>,
    scales: Mutex<BTreeMap<[usize; 2], Arc<LabelScale>>>,
}

/// The data that all scales are sampled from.
#[derive(Debug)]
struct Source {
    labels: LabelMap,
    /// Height and width of the picture. Beyond the label map, its last row and column are repeated.
    size: [usize; 2],
    label_channels: usize,
    /// `[height, width]` of the picture.
    edges: Option<Vec<bool>>,
    /// At the size of the label map; computed on first use, unless given.
    distances: OnceLock<DistanceMap>,
}

impl Source {
    /// The row of the label map that each row of a scale is sampled from.
    fn rows(&self, height: usize) -> impl Iterator<Item = usize> + Clone {
        let last = self.labels.height() - 1;
        floor_indices(self.size[0], height).map(move |y| y.min(last))
    }

    /// The column of the label map that each column of a scale is sampled from.
    fn columns(&self, width: usize) -> impl Iterator<Item = usize> + Clone {
        let last = self.labels.width() - 1;
        floor_indices(self.size[1], width).map(move |x| x.min(last))
    }
}

impl LabelPyramid {
    /// A picture as large as the label map, for networks with `label_channels` label channels.
    pub(crate) fn new(labels: &LabelMap, label_channels: usize) -> Self {
        Self::padded(labels, [labels.height(), labels.width()], label_channels)
    }

    /// A larger picture, of this height and width: the last row and column of the label map are repeated.
    pub(crate) fn padded(labels: &LabelMap, size: [usize; 2], label_channels: usize) -> Self {
        let distances = OnceLock::new();
        Self::of_source(Source { labels: labels.clone(), size, label_channels, edges: None, distances })
    }

    fn of_source(source: Source) -> Self {
        Self { source: Arc::new(source), scales: Mutex::default() }
    }

    /// The same picture with the edges of an instance map, which must be as large as the label map.
    pub(crate) fn with_instances(&self, instances: &LabelMap) -> Result<Self> {
        let [height, width] = self.source.size;
        self.with_edges(instance_edges(&instances.extended(width, height)?))
    }

    /// The same picture with given edges, one value per pixel.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the number of values is wrong.
    pub(crate) fn with_edges(&self, edges: Vec<bool>) -> Result<Self> {
        let Source { labels, size, label_channels, distances, .. } = &*self.source;
        if edges.len() != size[0] * size[1] {
            return Err(Error::Argument("instance edges must have one value for each pixel of each label map".into()));
        }
        let (labels, distances) = (labels.clone(), distances.clone());
        let (size, label_channels) = (*size, *label_channels);
        Ok(Self::of_source(Source { labels, size, label_channels, edges: Some(edges), distances }))
    }

    /// The same picture with a given distance map, which must be as large as the label map.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it is not.
    pub(crate) fn with_distances(&self, distances: DistanceMap) -> Result<Self> {
        let Source { labels, size, label_channels, edges, .. } = &*self.source;
        if (distances.width(), distances.height()) != (labels.width(), labels.height()) {
            return Err(Error::Argument("distance maps must be as many and as large as the label maps".into()));
        }
        let (labels, edges, distances) = (labels.clone(), edges.clone(), distances.into());
        let (size, label_channels) = (*size, *label_channels);
        Ok(Self::of_source(Source { labels, size, label_channels, edges, distances }))
    }

    /// Height and width of the picture.
    pub(crate) fn size(&self) -> [usize; 2] {
        self.source.size
    }

    /// Whether there are instance edges.
    pub(crate) fn has_edges(&self) -> bool {
        self.source.edges.is_some()
    }

    /// The picture sampled at a height and width: sample (x, y) is pixel (`floor(x * width / w)`, `floor(y * height / h)`).
    pub(crate) fn at(&self, size: [usize; 2]) -> Arc<LabelScale> {
        let mut scales = self.scales.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(LabelScale::new(Arc::clone(&self.source), size));
        Arc::clone(scales.entry(size).or_insert_with(make))
    }
}

/// A [`LabelPyramid`] at one size, with data that layers derive from it.
#[derive(Debug)]
pub(crate) struct LabelScale {
    source: Arc<Source>,
    size: [usize; 2],
    ids: Vec<u16>,
    edges: Option<Vec<f32>>,
    distances: OnceLock<Vec<f32>>,
    patches: OnceLock<Patches>,
}

impl LabelScale {
    fn new(source: Arc<Source>, size: [usize; 2]) -> Self {
        let [height, width] = size;
        let columns: Vec<usize> = source.columns(width).collect();
        let mut ids = Vec::with_capacity(height * width);
        for y in source.rows(height) {
            source.labels.sample_row(y, &columns, &mut ids);
        }
        let edges = source.edges.as_ref().map(|edges| {
            let columns: Vec<usize> = floor_indices(source.size[1], width).collect();
            let mut values = Vec::with_capacity(height * width);
            for y in floor_indices(source.size[0], height) {
                let row = edges.get(y * source.size[1]..).unwrap_or_default();
                values.extend(columns.iter().map(|&x| f32::from(u8::from(row.get(x) == Some(&true)))));
            }
            values
        });
        Self { size, ids, edges, distances: OnceLock::new(), patches: OnceLock::new(), source }
    }

    /// Number of samples.
    pub(crate) fn area(&self) -> usize {
        self.ids.len()
    }

    /// Class ids, `[height, width]`.
    pub(crate) fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// 1 at instance edges, 0 elsewhere, `[height, width]`.
    pub(crate) fn edges(&self) -> Option<&[f32]> {
        self.edges.as_deref()
    }

    /// The position of each sample within its object (CLADE-ICPE), first vertical, then horizontal: `[2, height,
    /// width]`.
    pub(crate) fn distances(&self) -> &[f32] {
        let sample = || {
            let source = &self.source;
            let whole = source.distances.get_or_init(|| DistanceMap::of(&source.labels));
            let [height, width] = self.size;
            whole.sample(source.rows(height), source.columns(width))
        };
        self.distances.get_or_init(sample)
    }

    /// Number of classes in [`patches`](Self::patches): the label channels, or twice as many with instance edges.
    pub(crate) fn patch_classes(&self) -> usize {
        self.source.label_channels * if self.edges.is_some() { 2 } else { 1 }
    }

    /// The distinct label patches. With instance edges, a label at an edge is a class of its own: its id plus the
    /// number of label channels.
    pub(crate) fn patches(&self) -> &Patches {
        self.patches.get_or_init(|| Patches::new(&self.classes(), self.size))
    }

    fn classes(&self) -> Cow<'_, [u16]> {
        let Some(edges) = &self.edges else { return Cow::Borrowed(&self.ids) };
        let at_edges = self.source.label_channels as u16;
        let class = |(&id, &edge): (&u16, &f32)| if edge > 0.0 { id + at_edges } else { id };
        self.ids.iter().zip(edges).map(class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> LabelMap {
        LabelMap::new(5, 3, (0..15).map(|i| i % 4).collect()).unwrap()
    }

    #[test]
    fn padding_repeats_the_last_row_and_column() {
        let pyramid = LabelPyramid::padded(&map(), [4, 8], 4);
        let whole = pyramid.at([4, 8]);
        for (i, &id) in whole.ids().iter().enumerate() {
            assert_eq!(Some(id), map().get((i % 8).min(4), (i / 8).min(2)));
        }
        // A coarser scale samples the padded picture.
        let half = pyramid.at([2, 4]);
        let expected: Vec<u16> = (0..8).map(|i| whole.ids()[i / 4 * 2 * 8 + i % 4 * 2]).collect();
        assert_eq!(half.ids(), expected);
        assert_eq!(half.distances().len(), 2 * 8);
    }

    #[test]
    fn edges_make_classes_of_their_own() {
        let edges: Vec<bool> = (0..15).map(|i| i == 7).collect();
        let pyramid = LabelPyramid::new(&map(), 4).with_edges(edges).unwrap();
        let scale = pyramid.at([3, 5]);
        assert_eq!(scale.edges().unwrap().iter().filter(|&&edge| edge > 0.0).count(), 1);
        assert_eq!(scale.classes()[7], scale.ids()[7] + 4);
        assert_eq!(scale.classes()[8], scale.ids()[8]);
        assert_eq!(scale.patch_classes(), 8);
        assert!(LabelPyramid::new(&map(), 4).with_edges(vec![false; 3]).is_err());
    }
}
