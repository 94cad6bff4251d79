//! SPADE that caches gamma and beta of a label map.

use std::sync::Arc;

use semsynth_kernels::{Affine, Spade, Tables};

use crate::label::LabelScale;

/// Most bytes that one layer caches. The papers' networks would need 150 MB if every layer used all of it, but the
/// wider layers work on small maps.
const MOST: usize = 8 << 20;

/// A packed SPADE that caches gamma and beta of a label map once that map is used a second time: while a user looks
/// for a style, features and styles change more often than labels.
#[derive(Debug)]
pub(in super::super) struct CachedSpade {
    spade: Arc<Spade>,
    /// Most bytes to cache.
    most: usize,
    /// The key of the label map, and its tables if they are worthwhile.
    tables: Option<(u64, Tables)>,
}

impl CachedSpade {
    /// Caches nothing if `low_memory`.
    pub(in super::super) fn new(spade: Arc<Spade>, low_memory: bool) -> Self {
        Self { spade, most: if low_memory { 0 } else { MOST }, tables: None }
    }

    /// Same as [`Spade::run`].
    pub(in super::super) fn run(&mut self, x: &[f32], affine: Affine<'_>, scale: &LabelScale, out: &mut [f32]) {
        let patches = scale.patches();
        if self.tables.as_ref().map(|(key, _)| *key) != scale.reuse_key() {
            self.tables = scale.reuse_key().and_then(|key| Some((key, self.spade.tables(patches, self.most)?)));
        }
        match &self.tables {
            Some((_, tables)) => self.spade.run_tables(tables, patches, x, affine, out),
            None => self.spade.run(patches, x, affine, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use semsynth_kernels::{HIDDEN, Isa};

    use super::*;
    use crate::label::{LabelMap, LabelPyramid};
    use crate::rng::Rng;

    /// The tables always belong to the current map, whatever maps came before and however often.
    #[test]
    fn tables_are_kept_until_another_map_comes() {
        let (classes, channels, side) = (3, 20, 24);
        let mut rng = Rng::new(1);
        let mut random = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let (shared, gamma, beta) =
            (random(HIDDEN * classes * 9), random(channels * HIDDEN * 9), random(channels * HIDDEN * 9));
        let spade = || {
            let none = vec![0.1; HIDDEN];
            let few = &none[..channels];
            Spade::new(Isa::detect(), [classes, channels], &shared, &none, &gamma, few, &beta, few)
        };
        let map = |turn: usize| {
            let ids = (0..side * side).map(|i| ((i / side / 5 + i % side / 7 + turn) % classes) as u16);
            LabelMap::new(side, side, ids.collect()).unwrap()
        };
        let maps = [map(0), map(1)];
        let (scale, shift) = (random(channels), random(channels));
        let affine = Affine { scale: &scale, shift: &shift, leaky: true };
        for low_memory in [false, true] {
            let mut cached = CachedSpade::new(Arc::new(spade()), low_memory);
            let mut last: Option<(usize, LabelPyramid)> = None;
            let mut kept = Vec::new();
            for turn in [0, 0, 0, 1, 1, 0, 1, 1] {
                let (_, pyramid) = match last.take() {
                    Some((same, pyramid)) if same == turn => {
                        pyramid.mark_reused();
                        last.insert((same, pyramid))
                    }
                    _ => last.insert((turn, LabelPyramid::new(&maps[turn], classes))),
                };
                let labels = pyramid.at([side, side]);
                let x = random(channels * side * side);
                let [mut found, mut expected] = [(); 2].map(|()| vec![0.0; x.len()]);
                cached.run(&x, affine, &labels, &mut found);
                spade().run(labels.patches(), &x, affine, &mut expected);
                assert_eq!(found, expected);
                kept.push(cached.tables.is_some());
            }
            let expected = [false, true, true, false, true, false, false, true];
            assert_eq!(kept, expected.map(|kept| kept && !low_memory));
        }
    }
}
