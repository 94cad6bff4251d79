//! A batch of label maps as the layers see it: integer ids at whatever size a layer works.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use semsynth_kernels::Runs;

use super::gpu;
use super::patches::PatchRows;
use crate::error::{Error, Result};
use crate::label::{DistanceMap, LabelMap};

/// How a layer turns ids into values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lookup {
    /// Table look-ups: no one-hot tensor exists. For inference.
    #[default]
    Gather,
    /// One-hot tensors and matrix products, the definition in the papers. Their gradients are matrix products too, where
    /// the gradient of a look-up is a scatter that GPUs do slowly. For training, and the reference for tests.
    Dense,
}

/// A batch of label maps of one size, with everything layers derive from them computed once per size.
///
/// Clones share the cache.
#[derive(Clone, Debug)]
pub struct Layout(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    maps: Vec<LabelMap>,
    channels: usize,
    lookup: Lookup,
    device: Device,
    /// Instance edges of each map, row by row.
    edges: Option<Vec<Vec<bool>>>,
    /// Made when the first layer asks for them, unless they were given.
    distances: OnceLock<Vec<DistanceMap>>,
    levels: Mutex<BTreeMap<(usize, usize), Arc<Level>>>,
    distance_levels: Mutex<BTreeMap<(usize, usize), Tensor<4>>>,
}

impl Layout {
    /// Prepares label maps for networks with `channels` label channels.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if there is no map, sizes differ, or an id has no channel.
    pub fn new(maps: Vec<LabelMap>, channels: usize, lookup: Lookup, device: &Device) -> Result<Self> {
        let Some(first) = maps.first() else {
            return Err(Error::Labels("no label map given".into()));
        };
        let size = (first.width(), first.height());
        for map in &maps {
            if (map.width(), map.height()) != size {
                return Err(Error::Labels(format!(
                    "label maps of one batch must have one size: {}x{} and {}x{}",
                    size.0,
                    size.1,
                    map.width(),
                    map.height()
                )));
            }
            if let Some(id) = map.ids().find(|&id| usize::from(id) >= channels) {
                return Err(Error::Labels(format!(
                    "class id {id} is out of range: the network knows ids 0 to {}",
                    channels - 1
                )));
            }
        }
        Ok(Self::build(maps, channels, lookup, device.clone(), None, OnceLock::new()))
    }

    fn build(
        maps: Vec<LabelMap>,
        channels: usize,
        lookup: Lookup,
        device: Device,
        edges: Option<Vec<Vec<bool>>>,
        distances: OnceLock<Vec<DistanceMap>>,
    ) -> Self {
        let (levels, distance_levels) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { maps, channels, lookup, device, edges, distances, levels, distance_levels }))
    }

    /// The same maps with instance edges ([`instance_edges`](crate::label::instance_edges)), for networks that have a
    /// channel for them: one vector for each map, row by row.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless there is one value for each pixel of each map.
    pub fn with_edges(&self, edges: Vec<Vec<bool>>) -> Result<Self> {
        let Inner { maps, channels, lookup, device, distances, .. } = &*self.0;
        let fits = |(edges, map): (&Vec<bool>, &LabelMap)| edges.len() == map.width() * map.height();
        if edges.len() != maps.len() || !edges.iter().zip(maps).all(fits) {
            return Err(Error::Argument("instance edges must have one value for each pixel of each label map".into()));
        }
        Ok(Self::build(maps.clone(), *channels, *lookup, device.clone(), Some(edges), distances.clone()))
    }

    /// The same maps with ready-made distance maps, for CLADE-ICPE; without, they are those of the maps.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless there is one for each map, of its size.
    pub fn with_distances(&self, distances: Vec<DistanceMap>) -> Result<Self> {
        let Inner { maps, channels, lookup, device, edges, .. } = &*self.0;
        let fits = |(distances, map): (&DistanceMap, &LabelMap)| {
            (distances.width(), distances.height()) == (map.width(), map.height())
        };
        if distances.len() != maps.len() || !distances.iter().zip(maps).all(fits) {
            return Err(Error::Argument("distance maps must be as many and as large as the label maps".into()));
        }
        Ok(Self::build(maps.clone(), *channels, *lookup, device.clone(), edges.clone(), distances.into()))
    }

    /// Number of pictures.
    pub fn batch(&self) -> usize {
        self.0.maps.len()
    }

    /// Height and width of the maps as given.
    pub fn size(&self) -> [usize; 2] {
        // `new` made sure that there is a first one.
        self.0.maps.first().map_or([0, 0], |map| [map.height(), map.width()])
    }

    /// Number of label channels.
    pub fn channels(&self) -> usize {
        self.0.channels
    }

    /// Whether there are instance edges.
    pub fn has_edges(&self) -> bool {
        self.0.edges.is_some()
    }

    /// The device of everything derived from the maps.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// How layers are to look values up.
    pub fn lookup(&self) -> Lookup {
        self.0.lookup
    }

    /// The maps at another size (source pixel `floor(dst * in / out)`).
    pub(crate) fn at(&self, height: usize, width: usize) -> Arc<Level> {
        let mut levels = self.0.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry((height, width)).or_insert_with(|| Arc::new(Level::new(&self.0, height, width)));
        Arc::clone(level)
    }

    /// Distance maps at another size, `[batch, 2, height, width]`: vertical, then horizontal.
    pub(crate) fn distances_at(&self, height: usize, width: usize) -> Tensor<4> {
        let Inner { maps, device, distances, distance_levels, .. } = &*self.0;
        let make = || {
            let whole = distances.get_or_init(|| maps.iter().map(DistanceMap::of).collect());
            let values: Vec<f32> = whole.iter().flat_map(|map| map.at(height, width)).collect();
            Tensor::from_data(TensorData::new(values, [maps.len(), 2, height, width]), device)
        };
        let mut levels = distance_levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.entry((height, width)).or_insert_with(make).clone()
    }

    /// The maps painted, `[batch, 3, height, width]` in -1 to 1: class `i` in the colour `palette[i]`.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if an id has no colour.
    pub(crate) fn painted(&self, palette: &[[u8; 3]]) -> Result<Tensor<4>> {
        let [height, width] = self.size();
        let mut values = Vec::with_capacity(self.batch() * 3 * height * width);
        for map in &self.0.maps {
            let color = |id: u16| {
                let colors = palette.len();
                let message = || Error::Labels(format!("class id {id} has no colour: there are {colors}"));
                palette.get(usize::from(id)).ok_or_else(message)
            };
            let colors: Vec<&[u8; 3]> = map.ids().map(color).collect::<Result<_>>()?;
            for channel in 0..3 {
                values.extend(colors.iter().map(|color| f32::from(color[channel]) / 127.5 - 1.0));
            }
        }
        let shape = [self.batch(), 3, height, width];
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.0.device))
    }
}

/// A [`Layout`] at one size.
#[derive(Debug)]
pub(crate) struct Level {
    /// Picture after picture, row after row.
    ids: Vec<u16>,
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    device: Device,
    /// 1 at the edges of instances, 0 elsewhere; in the order of `ids`.
    edges: Option<Vec<f32>>,
    edge_map: OnceLock<Tensor<4>>,
    semantics: OnceLock<Tensor<4>>,
    flat: OnceLock<Tensor<1, Int>>,
    one_hot: OnceLock<Tensor<4>>,
    taps: Mutex<BTreeMap<usize, Tensor<2, Int>>>,
    runs: OnceLock<Arc<Runs>>,
    patches: OnceLock<Option<Arc<PatchRows>>>,
}

impl Level {
    fn new(layout: &Inner, height: usize, width: usize) -> Self {
        let mut ids = Vec::with_capacity(layout.maps.len() * height * width);
        for map in &layout.maps {
            for y in 0..height {
                let source_y = y * map.height() / height;
                ids.extend((0..width).map(|x| map.get(x * map.width() / width, source_y).unwrap_or_default()));
            }
        }
        let edges = layout.edges.as_ref().map(|edges| {
            let mut values = Vec::with_capacity(ids.len());
            for (edges, map) in edges.iter().zip(&layout.maps) {
                for y in 0..height {
                    let row = y * map.height() / height * map.width();
                    values.extend((0..width).map(|x| f32::from(u8::from(edges[row + x * map.width() / width]))));
                }
            }
            values
        });
        Self {
            ids,
            edges,
            batch: layout.maps.len(),
            height,
            width,
            channels: layout.channels,
            device: layout.device.clone(),
            edge_map: OnceLock::new(),
            semantics: OnceLock::new(),
            flat: OnceLock::new(),
            one_hot: OnceLock::new(),
            taps: Mutex::default(),
            runs: OnceLock::new(),
            patches: OnceLock::new(),
        }
    }

    /// Ids, `[batch * height * width]`.
    pub(crate) fn flat(&self) -> Tensor<1, Int> {
        let make = || {
            let ids: Vec<i32> = self.ids.iter().map(|&id| i32::from(id)).collect();
            Tensor::from_data(TensorData::new(ids, [self.ids.len()]), &self.device)
        };
        self.flat.get_or_init(make).clone()
    }

    /// Runs of equal ids.
    pub(crate) fn runs(&self) -> Arc<Runs> {
        Arc::clone(self.runs.get_or_init(|| Arc::new(Runs::new(&self.ids, self.batch))))
    }

    /// Distinct patches of the labels, where it pays to compute with those instead of pixels: never for a
    /// batch.
    pub(crate) fn patches(&self) -> Option<Arc<PatchRows>> {
        let make = || {
            if self.batch > 1 {
                return None;
            }
            let edges = self.edges.as_deref();
            PatchRows::new(&self.ids, [self.height, self.width], self.channels, edges, &self.device).map(Arc::new)
        };
        self.patches.get_or_init(make).clone()
    }

    /// What the papers' networks are fed: one-hot maps, then the instance edges if there are some,
    /// `[batch, channels (+ 1), height, width]`.
    pub(crate) fn semantics(&self) -> Tensor<4> {
        let make = || match self.edges() {
            Some(edges) => Tensor::cat(vec![self.one_hot(), edges], 1),
            None => self.one_hot(),
        };
        self.semantics.get_or_init(make).clone()
    }

    /// Instance edges, `[batch, 1, height, width]`, 0 or 1.
    pub(crate) fn edges(&self) -> Option<Tensor<4>> {
        let values = self.edges.as_ref()?;
        let make = || {
            let shape = [self.batch, 1, self.height, self.width];
            Tensor::from_data(TensorData::new(values.clone(), shape), &self.device)
        };
        Some(self.edge_map.get_or_init(make).clone())
    }

    /// One-hot maps, `[batch, channels, height, width]`.
    pub(crate) fn one_hot(&self) -> Tensor<4> {
        let make = || {
            let pixels = self.height * self.width;
            let mut values = vec![0.0f32; self.batch * self.channels * pixels];
            for (picture, ids) in values.chunks_exact_mut(self.channels * pixels).zip(self.ids.chunks_exact(pixels)) {
                for (pixel, &id) in ids.iter().enumerate() {
                    picture[usize::from(id) * pixels + pixel] = 1.0;
                }
            }
            let shape = [self.batch, self.channels, self.height, self.width];
            Tensor::from_data(TensorData::new(values, shape), &self.device)
        };
        self.one_hot.get_or_init(make).clone()
    }

    /// For each pixel and each of the `kernel * kernel` taps of a convolution, `tap * channels + id` of what it meets there,
    /// `[batch * height * width, taps]`; `taps * channels` stands for "outside of the picture".
    fn taps(&self, kernel: usize) -> Tensor<2, Int> {
        let make = || {
            let (taps, channels, padding) = (kernel * kernel, self.channels, kernel / 2);
            let mut rows = Vec::with_capacity(self.ids.len() * taps);
            for picture in self.ids.chunks_exact(self.height * self.width) {
                for pixel in 0..picture.len() {
                    let (y, x) = (pixel / self.width, pixel % self.width);
                    rows.extend((0..taps).map(|tap| {
                        let row = (y + tap / kernel).checked_sub(padding).filter(|&row| row < self.height);
                        let column = (x + tap % kernel).checked_sub(padding).filter(|&column| column < self.width);
                        let id = row.zip(column).and_then(|(row, column)| picture.get(row * self.width + column));
                        id.map_or(taps * channels, |&id| tap * channels + usize::from(id)) as i32
                    }));
                }
            }
            Tensor::from_data(TensorData::new(rows, [self.ids.len(), taps]), &self.device)
        };
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.entry(kernel).or_insert_with(make).clone()
    }

    /// A convolution of the one-hot maps, stride 1 and "same" zero padding, without a tensor of them: each tap of the
    /// kernel adds one column of the weight, `[out, channels, kernel, kernel]`, which is looked up, to the bias, `[out]`. The
    /// weight has odd sides. Gives `[batch, out, height, width]`.
    pub(crate) fn convolve(&self, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let [out, channels, kernel, _] = weight.dims();
        let bias = bias.unwrap_or_else(|| Tensor::zeros([out], (&weight.device(), weight.dtype())));
        let rows: Tensor<2> = weight.permute([2, 3, 1, 0]).reshape([kernel * kernel * channels, out]);
        self.unflatten(gpu::sum_rows(rows, self.taps(kernel), bias, false))
    }

    /// `[batch * height * width, c]`, as look-ups give it, to `[batch, c, height, width]`.
    pub(crate) fn unflatten(&self, values: Tensor<2>) -> Tensor<4> {
        let [_, channels] = values.dims();
        values.reshape([self.batch, self.height, self.width, channels]).permute([0, 3, 1, 2])
    }
}
