//! A label map at the size of a layer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use semsynth_kernels::Patches;

use crate::error::Result;
use crate::label::{DistanceMap, LabelMap};

/// The number of the next level.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Class ids and what the kernels derive from them, shared by all layers of one size.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) size: [usize; 2],
    /// Height and width of the whole picture.
    pub(super) whole: [usize; 2],
    pub(super) ids: Vec<u16>,
    /// 0 or 1.
    pub(super) edges: Option<Vec<f32>>,
    /// Vertical, then horizontal.
    pub(super) distances: Option<Vec<f32>>,
    labels: usize,
    patches: OnceLock<Patches>,
    /// No other level of the process has it.
    number: u64,
    /// Whether more than one picture is made of it.
    repeated: AtomicBool,
}

impl Level {
    /// What tells it from others, where it is worth keeping what is made of it.
    pub(super) fn repeated(&self) -> Option<u64> {
        self.repeated.load(Ordering::Relaxed).then_some(self.number)
    }

    /// Patches of labels; with edges, of labels at an edge and labels beside one, the latter first.
    pub(super) fn patches(&self) -> &Patches {
        self.patches.get_or_init(|| match &self.edges {
            None => Patches::new(&self.ids, self.size),
            Some(edges) => {
                let both = |(&id, &edge): (&u16, &f32)| if edge > 0.0 { id + self.labels as u16 } else { id };
                let ids: Vec<u16> = self.ids.iter().zip(edges).map(both).collect();
                Patches::new(&ids, self.size)
            }
        })
    }
}

/// What is where, at every size a network works at; kept while it is the same.
#[derive(Debug)]
pub(super) struct Levels {
    channels: usize,
    labels: LabelMap,
    edges: Option<Vec<bool>>,
    distances: Option<DistanceMap>,
    of_size: BTreeMap<[usize; 2], Arc<Level>>,
}

impl Levels {
    /// For networks with so many label channels.
    pub(super) fn new(
        channels: usize,
        labels: &LabelMap,
        edges: Option<&[bool]>,
        distances: Option<&DistanceMap>,
    ) -> Self {
        let (labels, edges) = (labels.clone(), edges.map(<[bool]>::to_vec));
        Self { channels, labels, edges, distances: distances.cloned(), of_size: BTreeMap::new() }
    }

    /// Whether these are the levels of that.
    pub(super) fn are_of(&self, labels: &LabelMap, edges: Option<&[bool]>, distances: Option<&DistanceMap>) -> bool {
        self.labels == *labels && self.edges.as_deref() == edges && self.distances.as_ref() == distances
    }

    /// Another picture is made of them.
    pub(super) fn repeat(&self) {
        self.of_size.values().for_each(|level| level.repeated.store(true, Ordering::Relaxed));
    }

    pub(super) fn at(&mut self, size: [usize; 2]) -> Result<Arc<Level>> {
        if let Some(level) = self.of_size.get(&size) {
            return Ok(Arc::clone(level));
        }
        let [height, width] = size;
        let whole = [self.labels.height(), self.labels.width()];
        let edge = |edges: &Vec<bool>| {
            let at = |y: usize, x: usize| edges.get(y * whole[0] / height * whole[1] + x * whole[1] / width);
            (0..height * width).map(|i| f32::from(u8::from(at(i / width, i % width) == Some(&true)))).collect()
        };
        let level = Arc::new(Level {
            size,
            whole,
            ids: self.labels.resize_floor(width, height)?.ids().collect(),
            edges: self.edges.as_ref().map(edge),
            distances: self.distances.as_ref().map(|map| map.at(height, width)),
            labels: self.channels,
            patches: OnceLock::new(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            repeated: AtomicBool::new(false),
        });
        self.of_size.insert(size, Arc::clone(&level));
        Ok(level)
    }
}
