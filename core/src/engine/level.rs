//! A label map at the size of a layer.

use std::collections::BTreeMap;
use std::sync::Arc;

use semsynth_kernels::Patches;

use crate::error::Result;
use crate::label::LabelMap;

/// Class ids and what the kernels derive from them, shared by all layers of one size.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) size: [usize; 2],
    pub(super) ids: Vec<u16>,
    pub(super) patches: Patches,
    /// 0 or 1.
    pub(super) edges: Option<Vec<f32>>,
}

/// What is where, at every size a network works at; kept while it is the same.
#[derive(Debug)]
pub(super) struct Levels {
    labels: LabelMap,
    edges: Option<Vec<bool>>,
    levels: BTreeMap<[usize; 2], Arc<Level>>,
}

impl Levels {
    pub(super) fn new(labels: &LabelMap, edges: Option<&[bool]>) -> Self {
        Self { labels: labels.clone(), edges: edges.map(<[bool]>::to_vec), levels: BTreeMap::new() }
    }

    /// Whether these are the levels of that.
    pub(super) fn are_of(&self, labels: &LabelMap, edges: Option<&[bool]>) -> bool {
        self.labels == *labels && self.edges.as_deref() == edges
    }

    pub(super) fn at(&mut self, [height, width]: [usize; 2]) -> Result<Arc<Level>> {
        if let Some(level) = self.levels.get(&[height, width]) {
            return Ok(Arc::clone(level));
        }
        let ids: Vec<u16> = self.labels.resize_floor(width, height)?.ids().collect();
        let (whole_width, whole_height) = (self.labels.width(), self.labels.height());
        let edge = |edges: &Vec<bool>| {
            let at = |y: usize, x: usize| edges.get(y * whole_height / height * whole_width + x * whole_width / width);
            (0..height * width).map(|i| f32::from(u8::from(at(i / width, i % width) == Some(&true)))).collect()
        };
        let edges = self.edges.as_ref().map(edge);
        let level = Arc::new(Level { size: [height, width], patches: Patches::new(&ids, [height, width]), ids, edges });
        self.levels.insert([height, width], Arc::clone(&level));
        Ok(level)
    }
}
