//! Samples that stay in memory once they have been read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Dataset, Sample, fit};
use crate::error::Result;
use crate::label::ClassTable;
use crate::style::Style;

/// Memory for the samples of a set, in bytes.
const LIMIT: usize = 512 << 20;

/// A data set whose samples have one size and are read from files only once, as long as they fit into half a gigabyte. What no
/// longer fits is read each time.
pub(crate) struct Kept {
    set: Arc<dyn Dataset>,
    /// Height and width.
    size: [usize; 2],
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    samples: HashMap<usize, Sample>,
    bytes: usize,
}

impl Kept {
    /// The samples of `set`, resized to a height and width as [`fit`] does. A set that is not read from files is returned as it is.
    pub(crate) fn of(set: Arc<dyn Dataset>, size: [usize; 2]) -> Arc<dyn Dataset> {
        if set.is_read() { Arc::new(Self::within(set, size, LIMIT)) } else { set }
    }

    fn within(set: Arc<dyn Dataset>, size: [usize; 2], limit: usize) -> Self {
        Self { set, size, limit, state: Mutex::default() }
    }
}

/// Bytes of a sample in memory: ids may take two.
fn bytes(sample: &Sample) -> usize {
    let pixels = sample.labels.width() * sample.labels.height();
    pixels * (3 + 2 + 2 * usize::from(sample.instances.is_some()))
}

impl Dataset for Kept {
    fn get(&self, index: usize) -> Result<Sample> {
        let state = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sample) = state().samples.get(&index) {
            return Ok(sample.clone());
        }
        // Not under the lock: reading takes long.
        let [height, width] = self.size;
        let sample = fit(self.set.get(index)?, width, height)?;
        let mut state = state();
        let size = bytes(&sample);
        if state.bytes + size <= self.limit && state.samples.insert(index, sample.clone()).is_none() {
            state.bytes += size;
        }
        Ok(sample)
    }

    fn classes(&self) -> &ClassTable {
        self.set.classes()
    }

    fn len(&self) -> usize {
        self.set.len()
    }

    fn name(&self) -> String {
        self.set.name()
    }

    fn describe(&self) -> String {
        self.set.describe()
    }

    fn is_read(&self) -> bool {
        self.set.is_read()
    }

    fn style_length(&self) -> Option<usize> {
        self.set.style_length()
    }

    fn has_instances(&self) -> bool {
        self.set.has_instances()
    }

    fn presets(&self) -> Result<Vec<(String, String, Style)>> {
        self.set.presets()
    }

    fn check(&self) -> Result<()> {
        self.set.check()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::data::{Augment, Procedural, Split};

    /// Counts how often samples are asked for.
    struct Counted(Procedural, AtomicUsize);

    impl Dataset for Counted {
        fn get(&self, index: usize) -> Result<Sample> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.get(index)
        }
        fn classes(&self) -> &ClassTable {
            self.0.classes()
        }
        fn len(&self) -> usize {
            self.0.len()
        }
        fn name(&self) -> String {
            self.0.name()
        }
        fn describe(&self) -> String {
            self.0.describe()
        }
        fn is_read(&self) -> bool {
            true
        }
    }

    #[test]
    fn samples_are_read_once_and_are_the_same() {
        let set = || Arc::new(Counted(Procedural::new(Split::Train, 1, 5, 50, 40), AtomicUsize::new(0)));
        let (plain, inner) = (set(), set());
        let kept = Kept::of(Arc::clone(&inner) as Arc<dyn Dataset>, [35, 35]);
        let augment = Augment { flip: true, load_scale: 1.1, width: 32, height: 32 };
        for seed in 0..3 {
            for index in 0..5 {
                let [a, b] =
                    [plain.get(index), kept.get(index)].map(|sample| augment.apply(sample.unwrap(), &[], seed));
                let (a, b) = (a.unwrap(), b.unwrap());
                assert!(a.image == b.image && a.labels == b.labels && a.name == b.name, "{index} {seed}");
            }
        }
        assert_eq!(inner.1.load(Ordering::Relaxed), 5);
        // Room for two of them.
        let inner = set();
        let small = Kept::within(Arc::clone(&inner) as Arc<dyn Dataset>, [32, 32], 2 * 32 * 32 * 5);
        for index in [0, 1, 2, 0, 1, 2] {
            small.get(index).unwrap();
        }
        assert_eq!(inner.1.load(Ordering::Relaxed), 4);
        // What is generated is not kept.
        let generated: Arc<dyn Dataset> = Arc::new(Procedural::new(Split::Train, 1, 5, 50, 40));
        assert!(Arc::ptr_eq(&generated, &Kept::of(Arc::clone(&generated), [32, 32])));
    }
}
