//! A batch of label maps, available to layers as tensors at any size.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use semsynth_kernels::Runs;

use super::gpu;
use super::patches::PatchTables;
use crate::error::{Error, Result};
use crate::label::{DistanceMap, LabelMap, LabelPyramid, LabelScale};

/// How layers convert class ids into values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelEncoding {
    /// Ids index into tables; no one-hot tensor is built. For inference.
    #[default]
    Indexed,
    /// One-hot tensors and matrix products, as the papers define the networks. For training, and the reference in
    /// tests: the gradients are matrix products too, whereas the gradient of indexing is a scatter, which is slow on
    /// GPUs.
    OneHot,
}

/// A batch of label maps of equal size. Everything that layers derive from them is computed once per size.
///
/// Clones share what has been computed.
#[derive(Clone, Debug)]
pub struct Layout(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pictures: Vec<Arc<LabelPyramid>>,
    channels: usize,
    encoding: LabelEncoding,
    device: Device,
    scales: Mutex<BTreeMap<[usize; 2], Arc<LabelTensors>>>,
}

impl Layout {
    /// Wraps label maps for networks with `channels` label channels.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if there is no map, sizes differ, or an id is not below `channels`.
    pub fn new(maps: Vec<LabelMap>, channels: usize, encoding: LabelEncoding, device: &Device) -> Result<Self> {
        if channels == 0 {
            return Err(Error::Argument("a layout needs at least one label channel".into()));
        }
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
        let pictures = maps.iter().map(|map| Arc::new(LabelPyramid::new(map, channels))).collect();
        Ok(Self::of(pictures, channels, encoding, device))
    }

    /// Wraps label pyramids of equal size, whose ids are all below `channels`.
    pub(crate) fn of(
        pictures: Vec<Arc<LabelPyramid>>,
        channels: usize,
        encoding: LabelEncoding,
        device: &Device,
    ) -> Self {
        Self(Arc::new(Inner { pictures, channels, encoding, device: device.clone(), scales: Mutex::default() }))
    }

    /// The same maps with instance edges ([`instance_edges`](crate::label::instance_edges)), for networks with an
    /// edge channel: one vector per map, in row-major order.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless there is one value per pixel of each map.
    pub fn with_edges(&self, edges: Vec<Vec<bool>>) -> Result<Self> {
        self.with(
            edges,
            "instance edges must have one value for each pixel of each label map",
            LabelPyramid::with_edges,
        )
    }

    /// The same maps with precomputed distance maps for CLADE-ICPE. By default, they are computed from the label
    /// maps.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] unless there is one distance map per label map, of the same size.
    pub fn with_distances(&self, distances: Vec<DistanceMap>) -> Result<Self> {
        self.with(
            distances,
            "distance maps must be as many and as large as the label maps",
            LabelPyramid::with_distances,
        )
    }

    /// The same maps, each combined with one of `values`.
    fn with<T>(
        &self,
        values: Vec<T>,
        otherwise: &str,
        add: impl Fn(&LabelPyramid, T) -> Result<LabelPyramid>,
    ) -> Result<Self> {
        let Inner { pictures, channels, encoding, device, .. } = &*self.0;
        if values.len() != pictures.len() {
            return Err(Error::Argument(otherwise.into()));
        }
        let added = pictures.iter().zip(values).map(|(picture, value)| add(picture, value).map(Arc::new));
        Ok(Self::of(added.collect::<Result<_>>()?, *channels, *encoding, device))
    }

    /// Number of pictures.
    pub fn batch(&self) -> usize {
        self.0.pictures.len()
    }

    /// Height and width of the pictures.
    pub fn size(&self) -> [usize; 2] {
        // There is at least one picture.
        self.0.pictures.first().map_or([0, 0], |picture| picture.size())
    }

    /// Number of label channels.
    pub fn channels(&self) -> usize {
        self.0.channels
    }

    /// Whether instance edges are set.
    pub fn has_edges(&self) -> bool {
        self.0.pictures.iter().any(|picture| picture.has_edges())
    }

    /// The device of the tensors.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// How layers convert class ids into values.
    pub fn encoding(&self) -> LabelEncoding {
        self.0.encoding
    }

    /// The maps resized (source pixel `floor(dst * in / out)`), as tensors.
    pub(crate) fn at(&self, height: usize, width: usize) -> Arc<LabelTensors> {
        let make = || Arc::new(LabelTensors::new(&self.0, [height, width]));
        let mut scales = self.0.scales.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(scales.entry([height, width]).or_insert_with(make))
    }

    /// The maps as colour pictures, `[batch, 3, height, width]` in -1 to 1: class `i` has the colour `palette[i]`.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if an id has no colour.
    pub(crate) fn painted(&self, palette: &[[u8; 3]]) -> Result<Tensor<4>> {
        let [height, width] = self.size();
        let mut values = Vec::with_capacity(self.batch() * 3 * height * width);
        for picture in &self.0.pictures {
            let color = |id: &u16| {
                let colors = palette.len();
                let message = || Error::Labels(format!("class id {id} has no colour: there are {colors}"));
                palette.get(usize::from(*id)).ok_or_else(message)
            };
            let scale = picture.at([height, width]);
            let colors: Vec<&[u8; 3]> = scale.ids().iter().map(color).collect::<Result<_>>()?;
            for channel in 0..3 {
                values.extend(colors.iter().map(|color| f32::from(color[channel]) / 127.5 - 1.0));
            }
        }
        let shape = [self.batch(), 3, height, width];
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.0.device))
    }
}

/// A [`Layout`] at one size, as tensors. Each is computed on first use.
#[derive(Debug)]
pub(crate) struct LabelTensors {
    /// One per picture of the batch.
    pictures: Vec<Arc<LabelScale>>,
    height: usize,
    width: usize,
    channels: usize,
    device: Device,
    edges: OnceLock<Tensor<4>>,
    distances: OnceLock<Tensor<4>>,
    semantics: OnceLock<Tensor<4>>,
    ids: OnceLock<Tensor<1, Int>>,
    one_hot: OnceLock<Tensor<4>>,
    taps: Mutex<BTreeMap<usize, Tensor<2, Int>>>,
    runs: OnceLock<Arc<Runs>>,
    runs_of_pictures: OnceLock<Arc<Runs>>,
    patches: OnceLock<Option<Arc<PatchTables>>>,
}

impl LabelTensors {
    fn new(layout: &Inner, [height, width]: [usize; 2]) -> Self {
        Self {
            pictures: layout.pictures.iter().map(|picture| picture.at([height, width])).collect(),
            height,
            width,
            channels: layout.channels,
            device: layout.device.clone(),
            edges: OnceLock::new(),
            distances: OnceLock::new(),
            semantics: OnceLock::new(),
            ids: OnceLock::new(),
            one_hot: OnceLock::new(),
            taps: Mutex::default(),
            runs: OnceLock::new(),
            runs_of_pictures: OnceLock::new(),
            patches: OnceLock::new(),
        }
    }

    fn batch(&self) -> usize {
        self.pictures.len()
    }

    fn host_ids(&self) -> impl Iterator<Item = u16> + '_ {
        self.pictures.iter().flat_map(|picture| picture.ids().iter().copied())
    }

    /// Ids, `[batch * height * width]`.
    pub(crate) fn ids(&self) -> Tensor<1, Int> {
        let make = || {
            let ids: Vec<i32> = self.host_ids().map(i32::from).collect();
            let shape = [ids.len()];
            Tensor::from_data(TensorData::new(ids, shape), &self.device)
        };
        self.ids.get_or_init(make).clone()
    }

    /// Runs of equal ids.
    pub(crate) fn runs(&self) -> Arc<Runs> {
        let make = || {
            let ids: Cow<'_, [u16]> = match self.pictures.as_slice() {
                [picture] => picture.ids().into(),
                _ => self.host_ids().collect(),
            };
            Arc::new(Runs::new(&ids, self.batch()))
        };
        Arc::clone(self.runs.get_or_init(make))
    }

    /// Runs of equal ids where each picture of the batch has ids of its own: those of picture `k` start at `k` times the
    /// number of channels.
    pub(crate) fn runs_of_pictures(&self) -> Arc<Runs> {
        if self.batch() == 1 {
            return self.runs();
        }
        let make = || {
            let ids = self.pictures.iter().enumerate().flat_map(|(k, picture)| {
                let first = (k * self.channels) as u16;
                picture.ids().iter().map(move |id| first + id)
            });
            Arc::new(Runs::new(&ids.collect::<Vec<_>>(), self.batch()))
        };
        Arc::clone(self.runs_of_pictures.get_or_init(make))
    }

    /// Distinct patches of the labels, if computing on them is cheaper than computing on pixels; never for a batch of
    /// several pictures.
    pub(crate) fn patches(&self) -> Option<Arc<PatchTables>> {
        let make = || match self.pictures.as_slice() {
            [picture] => PatchTables::new(picture, self.channels, &self.device).map(Arc::new),
            _ => None,
        };
        self.patches.get_or_init(make).clone()
    }

    /// The semantic input of the papers' networks: one-hot maps, then the instance edges if set,
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
        let values: Vec<&[f32]> = self.pictures.iter().filter_map(|picture| picture.edges()).collect();
        if values.is_empty() {
            return None;
        }
        let make = || {
            let shape = [self.batch(), 1, self.height, self.width];
            Tensor::from_data(TensorData::new(values.concat(), shape), &self.device)
        };
        Some(self.edges.get_or_init(make).clone())
    }

    /// The position of each pixel within its object, `[batch, 2, height, width]`: vertical, then horizontal distance
    /// from the centre.
    pub(crate) fn distances(&self) -> Tensor<4> {
        let make = || {
            let values: Vec<f32> =
                self.pictures.iter().flat_map(|picture| picture.distances().iter().copied()).collect();
            let shape = [self.batch(), 2, self.height, self.width];
            Tensor::from_data(TensorData::new(values, shape), &self.device)
        };
        self.distances.get_or_init(make).clone()
    }

    /// One-hot maps, `[batch, channels, height, width]`.
    pub(crate) fn one_hot(&self) -> Tensor<4> {
        let make = || {
            let pixels = self.height * self.width;
            let mut values = vec![0.0f32; self.batch() * self.channels * pixels];
            for (values, picture) in values.chunks_exact_mut(self.channels * pixels).zip(&self.pictures) {
                for (pixel, &id) in picture.ids().iter().enumerate() {
                    values[usize::from(id) * pixels + pixel] = 1.0;
                }
            }
            let shape = [self.batch(), self.channels, self.height, self.width];
            Tensor::from_data(TensorData::new(values, shape), &self.device)
        };
        self.one_hot.get_or_init(make).clone()
    }

    /// For each pixel and each of the `kernel * kernel` taps of a convolution, `tap * channels + id` of the pixel
    /// under the tap, `[batch * height * width, taps]`. The value `taps * channels` means "outside of the picture".
    fn taps(&self, kernel: usize) -> Tensor<2, Int> {
        let make = || {
            let (taps, channels, padding) = (kernel * kernel, self.channels, kernel / 2);
            let count = self.batch() * self.height * self.width;
            let mut rows = Vec::with_capacity(count * taps);
            for picture in self.pictures.iter().map(|picture| picture.ids()) {
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
            Tensor::from_data(TensorData::new(rows, [count, taps]), &self.device)
        };
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.entry(kernel).or_insert_with(make).clone()
    }

    /// Convolves the one-hot maps (stride 1, "same" zero padding) without building them: each tap of the kernel adds
    /// one looked-up column of the weight, `[out, channels, kernel, kernel]` with odd kernel size, to the bias,
    /// `[out]`. Returns `[batch, out, height, width]`.
    pub(crate) fn convolve(&self, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
        let [out, channels, kernel, _] = weight.dims();
        let bias = bias.unwrap_or_else(|| Tensor::zeros([out], (&weight.device(), weight.dtype())));
        let rows: Tensor<2> = weight.permute([2, 3, 1, 0]).reshape([kernel * kernel * channels, out]);
        self.unflatten(gpu::sum_rows(rows, self.taps(kernel), bias, false))
    }

    /// Looks up the class of each pixel in a table `[labels, c]`; returns `[batch, c, height, width]`.
    pub(crate) fn look_up(&self, table: Tensor<2>, encoding: LabelEncoding) -> Tensor<4> {
        match encoding {
            LabelEncoding::Indexed => self.unflatten(table.select(0, self.ids())),
            LabelEncoding::OneHot => {
                let (batch, [labels, channels]) = (self.batch(), table.dims());
                let pixels = self.one_hot().reshape([batch, labels, self.height * self.width]);
                let table: Tensor<3> = table.transpose().unsqueeze::<3>().expand([batch, channels, labels]);
                table.matmul(pixels).reshape([batch, channels, self.height, self.width])
            }
        }
    }

    /// Reshapes the result of a look-up, `[batch * height * width, c]`, to `[batch, c, height, width]`.
    pub(crate) fn unflatten(&self, values: Tensor<2>) -> Tensor<4> {
        let [_, channels] = values.dims();
        values.reshape([self.batch(), self.height, self.width, channels]).permute([0, 3, 1, 2])
    }
}
