//! A batch of label maps as the layers see it: integer ids at whatever size a layer works.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::label::LabelMap;

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
    levels: Mutex<BTreeMap<(usize, usize), Arc<Level>>>,
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
        let levels = Mutex::default();
        Ok(Self(Arc::new(Inner { maps, channels, lookup, device: device.clone(), levels })))
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
    flat: OnceLock<Tensor<1, Int>>,
    one_hot: OnceLock<Tensor<4>>,
    taps: Mutex<BTreeMap<usize, Arc<Vec<Tensor<1, Int>>>>>,
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
        Self {
            ids,
            batch: layout.maps.len(),
            height,
            width,
            channels: layout.channels,
            device: layout.device.clone(),
            flat: OnceLock::new(),
            one_hot: OnceLock::new(),
            taps: Mutex::default(),
        }
    }

    /// Ids, `[batch * height * width]`.
    pub(crate) fn flat(&self) -> Tensor<1, Int> {
        self.flat.get_or_init(|| self.upload(self.ids.iter().map(|&id| i32::from(id)).collect())).clone()
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

    /// For each of the `kernel * kernel` taps of a convolution, the ids it meets, `[batch * height * width]` each;
    /// `channels` stands for "outside of the picture".
    pub(crate) fn taps(&self, kernel: usize) -> Arc<Vec<Tensor<1, Int>>> {
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        let made = taps.entry(kernel).or_insert_with(|| {
            let offsets = (0..kernel).flat_map(|dy| (0..kernel).map(move |dx| (dy, dx)));
            Arc::new(offsets.map(|(dy, dx)| self.upload(self.shifted(dy, dx, kernel / 2))).collect())
        });
        Arc::clone(made)
    }

    /// Ids of the pixels `dy - padding` rows below and `dx - padding` columns right.
    fn shifted(&self, dy: usize, dx: usize, padding: usize) -> Vec<i32> {
        let outside = self.channels as i32;
        let mut ids = Vec::with_capacity(self.ids.len());
        for picture in self.ids.chunks_exact(self.height * self.width) {
            for y in 0..self.height {
                let row = (y + dy).checked_sub(padding).filter(|&row| row < self.height);
                ids.extend((0..self.width).map(|x| {
                    let column = (x + dx).checked_sub(padding).filter(|&column| column < self.width);
                    row.zip(column).map_or(outside, |(row, column)| i32::from(picture[row * self.width + column]))
                }));
            }
        }
        ids
    }

    fn upload(&self, ids: Vec<i32>) -> Tensor<1, Int> {
        let count = ids.len();
        Tensor::from_data(TensorData::new(ids, [count]), &self.device)
    }

    /// `[c, batch * height * width]`, as look-ups give it, to `[batch, c, height, width]`.
    pub(crate) fn unflatten(&self, values: Tensor<2>) -> Tensor<4> {
        let channels = values.dims()[0];
        if self.batch == 1 {
            return values.reshape([1, channels, self.height, self.width]);
        }
        values.reshape([channels, self.batch, self.height, self.width]).swap_dims(0, 1)
    }
}
