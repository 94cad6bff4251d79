//! SPADE that remembers gamma and beta of a label map.

use std::sync::{Mutex, PoisonError};

use semsynth_kernels::{Spade, Tables};

use super::level::Level;

/// Bytes that one layer keeps at most: 150 MB in the papers' networks, if each did, but the larger ones work on small maps.
const MOST: usize = 8 << 20;

/// A modulation, and gamma and beta of the label map it was last used for more than once: features and styles change more
/// often than labels when somebody looks for a style.
#[derive(Debug)]
pub(super) struct Remembering {
    spade: Spade,
    /// Bytes it may keep.
    most: usize,
    tables: Mutex<Option<(u64, Tables)>>,
}

impl Remembering {
    /// `frugal` ones remember nothing.
    pub(super) fn new(spade: Spade, frugal: bool) -> Self {
        Self { spade, most: if frugal { 0 } else { MOST }, tables: Mutex::new(None) }
    }

    /// As [`Spade::run`].
    pub(super) fn run(&self, level: &Level, x: &[f32], scale: &[f32], shift: &[f32], leaky: bool, out: &mut [f32]) {
        let patches = level.patches();
        let mut kept = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().map(|(number, _)| *number) != level.repeated() {
            *kept = level.repeated().and_then(|number| Some((number, self.spade.tables(patches, self.most)?)));
        }
        match &*kept {
            Some((_, tables)) => self.spade.run_tables(tables, patches, x, scale, shift, leaky, out),
            None => self.spade.run(patches, x, scale, shift, leaky, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use semsynth_kernels::{HIDDEN, Isa};

    use super::super::level::Levels;
    use super::*;
    use crate::label::LabelMap;
    use crate::rng::Rng;

    /// Tables are those of the map at hand, whatever maps came before and however often.
    #[test]
    fn a_map_is_remembered_until_another_comes() {
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
        for frugal in [false, true] {
            let remembering = Remembering::new(spade(), frugal);
            let mut levels: Option<Levels> = None;
            let mut kept = Vec::new();
            for turn in [0, 0, 0, 1, 1, 0, 1, 1] {
                let levels = match levels.take() {
                    Some(same) if same.are_of(&maps[turn], None, None) => {
                        same.repeat();
                        levels.insert(same)
                    }
                    _ => levels.insert(Levels::new(classes, &maps[turn], None, None)),
                };
                let level = levels.at([side, side]).unwrap();
                let x = random(channels * side * side);
                let [mut found, mut expected] = [(); 2].map(|()| vec![0.0; x.len()]);
                remembering.run(&level, &x, &scale, &shift, true, &mut found);
                spade().run(level.patches(), &x, &scale, &shift, true, &mut expected);
                assert_eq!(found, expected);
                kept.push(remembering.tables.lock().unwrap().is_some());
            }
            let expected = [false, true, true, false, true, false, false, true];
            assert_eq!(kept, expected.map(|kept| kept && !frugal));
        }
    }
}
