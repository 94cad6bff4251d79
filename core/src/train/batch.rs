//! Batches: the samples of a step, loaded in the background.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::Group;
use super::trace::{Lane, Trace};
use crate::bank::Bank;
use crate::data::{Augment, Dataset};
use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::pixels::push_planes;
use crate::rng::Rng;

/// The data of one step, on the host.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Label maps of equal size.
    pub labels: Vec<LabelMap>,
    /// Instance maps of that size, if the data set has them. Without, instances are what the label maps show.
    pub instances: Option<Vec<LabelMap>>,
    /// The photos, `[batch, 3, height, width]` in -1 to 1.
    pub images: Vec<f32>,
    /// The styles, `[batch, classes, length]`, if the data set has them.
    pub styles: Option<Vec<f32>>,
    /// The collages, `[batch, 4, height, width]`, for networks that take them; see
    /// [`GeneratorInput::collage`](crate::nn::GeneratorInput::collage).
    pub collages: Option<Vec<f32>>,
}

impl Batch {
    /// The batch in `count` parts of equal size.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it cannot be divided.
    pub(super) fn divided(self, count: usize) -> Result<Vec<Self>> {
        if count == 1 {
            return Ok(vec![self]);
        }
        let pictures = self.labels.len();
        if pictures == 0 || !pictures.is_multiple_of(count) {
            return Err(Error::Argument(format!(
                "accumulate is {count}: a batch of {pictures} pictures cannot be divided into that many parts"
            )));
        }
        let each = pictures / count;
        let of = |values: &[f32], part: usize| {
            let length = values.len() / count;
            values.get(part * length..(part + 1) * length).unwrap_or_default().to_vec()
        };
        let maps = |maps: &[LabelMap], part: usize| maps.iter().skip(part * each).take(each).cloned().collect();
        let part = |part: usize| Self {
            labels: maps(&self.labels, part),
            instances: self.instances.as_ref().map(|all| maps(all, part)),
            images: of(&self.images, part),
            styles: self.styles.as_ref().map(|all| of(all, part)),
            collages: self.collages.as_ref().map(|all| of(all, part)),
        };
        Ok((0..count).map(part).collect())
    }
}

/// The samples of each step. They depend only on seed and step, so a resumed run sees the same samples.
#[derive(Clone)]
pub(crate) struct Sampler {
    pub(crate) dataset: Arc<dyn Dataset>,
    /// The bank that collages are made of, for networks that take them.
    pub(crate) bank: Option<Arc<Bank>>,
    pub(crate) augment: Augment,
    /// Pictures of a step.
    pub(crate) batch: usize,
    /// Which of them are loaded, in this order.
    pub(crate) shares: Vec<Range<usize>>,
    pub(crate) seed: u64,
}

/// Which pictures of a step a process of a group loads: its range of each of `parts` parts of `batch` pictures.
pub(super) fn shares(batch: usize, parts: usize, group: &Group) -> Vec<Range<usize>> {
    let bound = |rank: usize| batch * rank / group.size();
    let (start, end) = (bound(group.rank()), bound(group.rank() + 1));
    (0..parts).map(|part| part * batch + start..part * batch + end).collect()
}

impl Sampler {
    /// A sampler of whole batches, for a single process.
    pub(crate) fn alone(dataset: Arc<dyn Dataset>, augment: Augment, batch: usize, seed: u64) -> Self {
        Self { dataset, bank: None, augment, batch, shares: shares(batch, 1, &Group::alone()), seed }
    }

    /// The batch of a step, or the share of it. Every epoch visits all samples, in a different order.
    pub(crate) fn batch(&self, step: u64) -> Result<Batch> {
        let len = self.dataset.len() as u64;
        if len == 0 {
            return Err(Error::Data("the training set is empty".into()));
        }
        let first = step * self.batch as u64;
        let mirrored = self.dataset.classes().mirrored();
        let pictures = self.shares.iter().map(Range::len).sum();
        let mut labels = Vec::with_capacity(pictures);
        let mut images = Vec::with_capacity(pictures * 3 * self.augment.width * self.augment.height);
        let mut instances = self.dataset.has_instances().then(Vec::new);
        let mut styles = self.dataset.style_length().map(|_| Vec::new());
        let mut collages = self.bank.as_ref().map(|_| Vec::new());
        let mut epoch_order: Option<(u64, Vec<usize>)> = None;
        for position in self.shares.iter().cloned().flatten().map(|picture| first + picture as u64) {
            let epoch = position / len;
            let order = match &epoch_order {
                Some((known, order)) if *known == epoch => order,
                _ => &epoch_order.insert((epoch, Rng::at(self.seed, epoch).permutation(len as usize))).1,
            };
            let index = order[(position % len) as usize];
            let sample = self.dataset.get(index)?;
            let mut random = Rng::at(!self.seed, position);
            let sample = self.augment.apply(sample, &mirrored, random.next_u64())?;
            push_planes(&sample.image, &mut images);
            if let (Some(bank), Some(collages)) = (&self.bank, &mut collages) {
                let size = [self.augment.height, self.augment.width];
                bank.simulated(&sample.image, &sample.labels, Some(index), random.next_u64())?
                    .push_planes(size, collages);
            }
            labels.push(sample.labels);
            if let Some(instances) = &mut instances {
                let missing = || Error::Data(format!("{}: the sample has no instance map", sample.name));
                instances.push(sample.instances.ok_or_else(missing)?);
            }
            if let Some(styles) = &mut styles {
                let style =
                    sample.style.ok_or_else(|| Error::Data(format!("{}: the sample has no style", sample.name)))?;
                styles.extend(style.to_rows());
            }
        }
        Ok(Batch { labels, instances, images, styles, collages })
    }

    /// Loads the batches of `first..end` on a separate thread, two steps ahead. Nothing comes after an error.
    pub(crate) fn prefetch(self, first: u64, end: u64) -> impl Iterator<Item = Result<Batch>> + use<> {
        self.prefetch_traced(first, end, Trace::default())
    }

    /// The same, with a trace of the thread.
    pub(super) fn prefetch_traced(
        self,
        first: u64,
        end: u64,
        trace: Trace,
    ) -> impl Iterator<Item = Result<Batch>> + use<> {
        prefetch(first..end, trace, move |step| self.batch(step))
    }
}

/// Loads the batches of some steps on a separate thread, two steps ahead. Nothing comes after an error.
pub(crate) fn prefetch(
    steps: Range<u64>,
    trace: Trace,
    load: impl Fn(u64) -> Result<Batch> + Send + 'static,
) -> impl Iterator<Item = Result<Batch>> {
    let (sender, receiver) = sync_channel(2);
    let all = steps.clone();
    std::thread::spawn(move || {
        for step in all {
            let batch = trace.span(Lane::Pictures, "load", step + 1, || load(step));
            let failed = batch.is_err();
            let sent = trace.span(Lane::Pictures, "wait for training", step + 1, || sender.send(batch));
            // The receiver is gone if training stopped early.
            if sent.is_err() || failed {
                break;
            }
        }
    });
    // The thread may have panicked: then there are fewer batches than steps.
    let ended = |step| format!("the data ended after step {step}: reading it stopped unexpectedly");
    steps.map(move |step| receiver.recv().unwrap_or_else(|_| Err(Error::Data(ended(step)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Procedural, Split};

    fn sampler() -> Sampler {
        let dataset = Arc::new(Procedural::new(Split::Train, 5, 7, 32, 32));
        Sampler {
            dataset,
            bank: None,
            augment: Augment { flip: true, load_scale: 1.1, width: 32, height: 32 },
            batch: 3,
            shares: shares(3, 1, &Group::alone()),
            seed: 9,
        }
    }

    #[test]
    fn a_step_always_sees_the_same() {
        let (a, b) = (sampler().batch(4).unwrap(), sampler().batch(4).unwrap());
        assert_eq!(a.images, b.images);
        assert_eq!(a.labels, b.labels);
        assert_ne!(a.images, sampler().batch(5).unwrap().images);
        assert_eq!(a.images.len(), 3 * 3 * 32 * 32);
        assert!(a.images.iter().all(|value| (-1.0..=1.0).contains(value)));
    }

    /// Parts of all ranks one after the other are the batch; parts of different sizes.
    #[test]
    fn the_shares_of_a_group_are_the_batch() {
        let whole = Sampler { batch: 10, shares: shares(10, 1, &Group::alone()), ..sampler() }.batch(3).unwrap();
        let groups = Group::of_threads(3);
        let of: Vec<Batch> = groups
            .iter()
            .map(|group| Sampler { batch: 10, shares: shares(5, 2, group), ..sampler() }.batch(3).unwrap())
            .collect();
        assert_eq!(of.iter().map(|batch| batch.labels.len()).collect::<Vec<_>>(), [2, 4, 4]);
        let parts: Vec<Vec<Batch>> = of.into_iter().map(|batch| batch.divided(2).unwrap()).collect();
        let images: Vec<f32> =
            (0..2).flat_map(|part| parts.iter().flat_map(move |of_rank| of_rank[part].images.clone())).collect();
        assert_eq!(images, whole.images);
    }

    #[test]
    fn prefetching_changes_nothing_but_time() {
        let fetched: Vec<Batch> = sampler().prefetch(2, 5).map(Result::unwrap).collect();
        assert_eq!(fetched.len(), 3);
        for (batch, step) in fetched.iter().zip(2..) {
            assert_eq!(batch.images, sampler().batch(step).unwrap().images);
        }
    }

    #[test]
    fn an_epoch_leaves_no_sample_out() {
        let plain = Sampler {
            augment: Augment { flip: false, load_scale: 1.0, width: 32, height: 32 },
            batch: 7,
            shares: shares(7, 1, &Group::alone()),
            ..sampler()
        };
        let mut seen = plain.batch(0).unwrap().labels;
        let mut all: Vec<LabelMap> = (0..7).map(|index| plain.dataset.get(index).unwrap().labels).collect();
        let key = |map: &LabelMap| map.ids().collect::<Vec<_>>();
        seen.sort_by_key(key);
        all.sort_by_key(key);
        assert_eq!(seen, all);
    }
}
