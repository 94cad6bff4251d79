//! SPADE that caches gamma and beta of a label map.

use std::sync::Arc;

use semsynth_kernels::{Affine, MapMut, Source, Spade, Tables};

use crate::label::LabelArea;

/// Most bytes of tables that one layer keeps for a label map that may be used again. The papers' networks would need
/// 150 MB if every layer used all of it, but the wider layers work on small maps.
const MOST: usize = 8 << 20;

/// A packed SPADE that keeps gamma and beta of distinct patches once a label map is used a second time: while a user looks
/// for a style, features and styles change more often than labels.
#[derive(Debug)]
pub(in super::super) struct CachedSpade {
    spade: Arc<Spade>,
    low_memory: bool,
    /// By the number of the group of patches; `None` if they are not worthwhile.
    tables: Vec<(u64, Option<Tables>)>,
}

impl CachedSpade {
    /// Keeps no tables between pictures if `low_memory`.
    pub(in super::super) fn new(spade: Arc<Spade>, low_memory: bool) -> Self {
        Self { spade, low_memory, tables: Vec::new() }
    }

    /// Modulates some rows; see [`CpuSession::modulate`](super::super::cpu::CpuSession::modulate).
    pub(in super::super) fn run(
        &mut self,
        x: Source<'_>,
        affine: Affine<'_>,
        labels: &LabelArea<'_>,
        mut out: MapMut<'_>,
    ) {
        let reused = labels.reused() && !self.low_memory;
        self.tables.retain(|(number, _)| reused && labels.has_group(*number));
        for (group, part, rows) in labels.groups() {
            if reused && !self.tables.iter().any(|(number, _)| *number == group.number) {
                let bytes = |(_, tables): &(_, Option<Tables>)| tables.as_ref().map_or(0, Tables::bytes);
                let most = MOST.saturating_sub(self.tables.iter().map(bytes).sum());
                self.tables.push((group.number, self.spade.tables(part.patches, most)));
            }
            let mine = self.tables.iter().find(|(number, _)| *number == group.number);
            let tables = mine.and_then(|(_, tables)| tables.as_ref());
            let x = x.moved(rows.start, part.out);
            self.spade.run_rows(part, tables, x, affine, out.rows(rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use semsynth_kernels::{HIDDEN, Isa, Map};

    use super::*;
    use crate::label::{Area, Edges, LabelInput, LabelMap, LabelStream, LevelNeeds, Limits, Span};
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
        let whole = Area { rows: Span::new(0, side as i64), columns: Span::new(0, side as i64) };
        let stream = |turn: usize| {
            let ids = (0..side * side).map(|i| ((i / side / 5 + i % side / 7 + turn) % classes) as u16);
            let map = LabelMap::new(side, side, ids.collect()).unwrap();
            let needs = LevelNeeds { labels: whole, patches: Some(whole), scale: 1 };
            let mut stream = LabelStream::new(&[needs], Limits::picture([side, side]), classes, None, true);
            let mut source = &map;
            let mut input = LabelInput { source: &mut source, edges: Edges::None, distances: None, size: [None; 2] };
            stream.prepare(0, whole.rows, &mut input).unwrap();
            stream
        };
        let (scale, shift) = (random(channels), random(channels));
        let affine = Affine { scale: &scale, shift: &shift, leaky: true };
        let size = [side, side];
        for low_memory in [false, true] {
            let mut cached = CachedSpade::new(Arc::new(spade()), low_memory);
            let mut last: Option<(usize, LabelStream)> = None;
            let mut kept = Vec::new();
            for turn in [0, 0, 0, 1, 1, 0, 1, 1] {
                let (_, stream) = match last.take() {
                    Some((same, mut stream)) if same == turn => {
                        stream.mark_reused();
                        last.insert((same, stream))
                    }
                    _ => last.insert((turn, stream(turn))),
                };
                let labels = stream.area(0, whole);
                let x = random(channels * side * side);
                let source = Source::new(Map::whole(&x, size), [0, 0]);
                let [mut found, mut expected] = [(); 2].map(|()| vec![0.0; x.len()]);
                cached.run(source, affine, &labels, MapMut::whole(&mut found, size));
                let (group, ..) = labels.groups().next().unwrap();
                spade().run(&group.patches, &x, affine, &mut expected);
                assert_eq!(found, expected);
                kept.push(!cached.tables.is_empty());
            }
            let expected = [false, true, true, false, true, false, false, true];
            assert_eq!(kept, expected.map(|kept| kept && !low_memory));
        }
    }
}
