//! Processes that train together. Each has a rank, and sums are taken over all of them.

use std::fmt::Debug;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;

use crate::error::{Error, ErrorCategory, Result};
use crate::nn::Sums;

/// How many bytes a sum may have so that all ranks send all of it to all others, which takes one message instead of two.
const SHORT: usize = 1 << 14;
/// Values of a long sum that travel at once.
const PIECE: usize = 1 << 22;

/// What carries bytes between the processes of a group. All processes make the same calls in the same order.
pub trait Link: Debug + Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes, at least 1.
    fn size(&self) -> usize;

    /// Gives `mine` to all: `all` gets that of every rank, in the order of ranks. All are of one length.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if a process is gone.
    fn all_gather(&self, mine: &[u8], all: &mut [u8]) -> Result<()>;

    /// Gives one of `size` equal pieces of `mine` to each rank; `theirs`, of the same length, gets a piece from each, in the
    /// order of ranks.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if a process is gone.
    fn all_to_all(&self, mine: &[u8], theirs: &mut [u8]) -> Result<()>;
}

/// Processes that train together. Clones belong to the same process.
#[derive(Clone, Debug)]
pub struct Group(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Box<dyn Link>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of sums so far: processes that do not add up the same things must not go on.
    sums: u64,
    /// Why sums no longer work.
    failure: Option<String>,
}

/// Numbers that are added up in 64 bits.
trait Number: Pod {
    fn wide(self) -> f64;
    fn narrow(value: f64) -> Self;
}

impl Number for f32 {
    fn wide(self) -> f64 {
        self.into()
    }
    fn narrow(value: f64) -> Self {
        value as Self
    }
}

impl Number for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn narrow(value: f64) -> Self {
        value
    }
}

impl Group {
    /// A group over a link.
    pub fn new(link: impl Link + 'static) -> Self {
        Self(Arc::new(Inner { link: Box::new(link), state: Mutex::default() }))
    }

    /// A group of one.
    pub fn alone() -> Self {
        Self::new(Alone)
    }

    /// Groups of `size` threads of this process, one for each thread, in the order of ranks: for tests, and to try what many
    /// processes compute.
    pub fn of_threads(size: usize) -> Vec<Self> {
        let table = Arc::new(Table::default());
        let seat = |rank| Self::new(Seat { table: Arc::clone(&table), rank, size });
        (0..size).map(seat).collect()
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.0.link.rank()
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.0.link.size()
    }

    /// Replaces each value by its sum over all processes, added up in 64 bits in the order of ranks. All get the same bits. If a
    /// process is gone, values are unspecified, and [`check`](Self::check) says so.
    pub fn sum(&self, values: &mut [f32]) {
        self.add_up(values);
    }

    /// Whether all sums so far were computed.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if a process is gone, or if processes did not add up the same things.
    pub fn check(&self) -> Result<()> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failure.as_ref().map_or(Ok(()), |failure| Err(Error::Device(failure.clone())))
    }

    /// The values of every process, in the order of ranks. All give as many.
    ///
    /// # Errors
    ///
    /// Same as [`check`](Self::check).
    pub fn gather<T: Pod>(&self, mine: &[T]) -> Result<Vec<T>> {
        let mut all = vec![T::zeroed(); mine.len() * self.size()];
        self.0.link.all_gather(bytemuck::cast_slice(mine), bytemuck::cast_slice_mut(&mut all))?;
        Ok(all)
    }

    /// The result of this process, unless another one has an error: then all get the error of the first rank that has one.
    ///
    /// # Errors
    ///
    /// The error, with the rank it comes from; same as [`check`](Self::check).
    pub fn agree<T>(&self, mine: Result<T>) -> Result<T> {
        if self.size() == 1 {
            return mine;
        }
        self.check()?;
        let (category, text) = match &mine {
            Ok(_) => (0, String::new()),
            Err(error) => (error.code().category() as u64, error.to_string()),
        };
        let heads = self.gather(&[category, text.len() as u64])?;
        let (heads, _) = heads.as_chunks::<2>();
        let Some(rank) = heads.iter().position(|&[category, _]| category != 0) else { return mine };
        let longest = heads.iter().map(|&[_, length]| length as usize).max().unwrap_or_default();
        let mut padded = text.into_bytes();
        padded.resize(longest, 0);
        let texts = self.gather(&padded)?;
        let [category, length] = heads[rank];
        let text = texts.iter().skip(rank * longest).take(length as usize).copied().collect();
        let text = String::from_utf8(text).unwrap_or_default();
        let from = format!("rank {rank} of {}", self.size());
        Err(match mine {
            Err(error) if rank == self.rank() => error.context(from),
            _ => foreign(category, format!("{from}: {text}")),
        })
    }

    fn add_up<T: Number>(&self, values: &mut [T]) {
        if self.size() == 1 || self.check().is_err() {
            return;
        }
        if let Err(error) = self.try_add_up(values) {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.failure.get_or_insert(error.to_string());
        }
    }

    fn try_add_up<T: Number>(&self, values: &mut [T]) -> Result<()> {
        let number = {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.sums += 1;
            state.sums
        };
        let head = [number, values.len() as u64];
        let heads = self.gather(&head)?;
        if heads.as_chunks::<2>().0.iter().any(|other| *other != head) {
            let text = "the processes do not add up the same values: this is a bug, please report it";
            return Err(Error::Device(text.into()));
        }
        let size = self.size();
        if size_of_val(values) <= SHORT {
            let all = self.gather(values)?;
            total(&all, values);
            return Ok(());
        }
        for piece in values.chunks_mut(PIECE) {
            // Each process adds up one part, and gives it to all.
            let part = piece.len().div_ceil(size);
            let mut mine = vec![T::zeroed(); part * size];
            mine[..piece.len()].copy_from_slice(piece);
            let mut theirs = vec![T::zeroed(); part * size];
            self.0.link.all_to_all(bytemuck::cast_slice(&mine), bytemuck::cast_slice_mut(&mut theirs))?;
            let mut sum = vec![T::zeroed(); part];
            total(&theirs, &mut sum);
            let all = self.gather(&sum)?;
            piece.copy_from_slice(&all[..piece.len()]);
        }
        Ok(())
    }
}

impl Sums for Group {
    fn sum(&self, values: &mut [f64]) {
        self.add_up(values);
    }
}

/// Adds up parts, each as long as `sum`, in their order.
fn total<T: Number>(parts: &[T], sum: &mut [T]) {
    let length = sum.len();
    for (at, sum) in sum.iter_mut().enumerate() {
        *sum = T::narrow(parts.iter().skip(at).step_by(length).map(|value| value.wide()).sum());
    }
}

/// The error of another process.
fn foreign(category: u64, text: String) -> Error {
    let is = |other: ErrorCategory| category == other as u64;
    if is(ErrorCategory::Argument) {
        Error::Argument(text)
    } else if is(ErrorCategory::Model) {
        Error::Model(text)
    } else if is(ErrorCategory::Device) {
        Error::Device(text)
    } else if is(ErrorCategory::Diverged) {
        Error::Diverged(text)
    } else {
        Error::Data(text)
    }
}

/// The link of a process without others.
#[derive(Debug)]
struct Alone;

impl Link for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather(&self, mine: &[u8], all: &mut [u8]) -> Result<()> {
        all.copy_from_slice(mine);
        Ok(())
    }

    fn all_to_all(&self, mine: &[u8], theirs: &mut [u8]) -> Result<()> {
        self.all_gather(mine, theirs)
    }
}

/// Where threads exchange bytes.
#[derive(Debug, Default)]
struct Table {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    /// What each rank has laid down; complete when all have.
    laid: Vec<Option<Arc<Vec<u8>>>>,
    /// How many ranks have taken what is there.
    taken: usize,
    /// A rank that has left.
    gone: Option<usize>,
}

/// The link of a thread.
#[derive(Debug)]
struct Seat {
    table: Arc<Table>,
    rank: usize,
    size: usize,
}

impl Seat {
    /// What every rank has laid down.
    fn exchange<'a>(&'a self, mine: &[u8]) -> Result<Vec<Arc<Vec<u8>>>> {
        let wait = |turn: MutexGuard<'a, Turn>, condition: &dyn Fn(&Turn) -> bool| {
            let waits = self.table.changed.wait_while(turn, |turn| turn.gone.is_none() && !condition(turn));
            waits.unwrap_or_else(PoisonError::into_inner)
        };
        let mut turn = self.table.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.laid.resize(self.size, None);
        // Everyone must have taken what was there before.
        turn = wait(turn, &|turn| turn.laid[self.rank].is_none());
        if turn.laid[self.rank].is_none() {
            turn.laid[self.rank] = Some(Arc::new(mine.to_vec()));
            self.table.changed.notify_all();
            turn = wait(turn, &|turn| turn.laid.iter().all(Option::is_some));
            let all: Vec<_> = turn.laid.iter().flatten().cloned().collect();
            if all.len() == self.size {
                turn.taken += 1;
                if turn.taken == self.size {
                    turn.taken = 0;
                    turn.laid.fill(None);
                    self.table.changed.notify_all();
                }
                return Ok(all);
            }
        }
        let gone = turn.gone.map_or_else(String::new, |rank| format!("rank {rank} of {} ", self.size));
        Err(Error::Device(format!("{gone}has left: the run can be resumed from its last checkpoint")))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut turn = self.table.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.gone.get_or_insert(self.rank);
        self.table.changed.notify_all();
    }
}

impl Link for Seat {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, mine: &[u8], all: &mut [u8]) -> Result<()> {
        let found = self.exchange(mine)?.iter().flat_map(|bytes| bytes.iter().copied()).collect::<Vec<u8>>();
        fill(all, &found)
    }

    fn all_to_all(&self, mine: &[u8], theirs: &mut [u8]) -> Result<()> {
        let part = mine.len() / self.size;
        let all = self.exchange(mine)?;
        let of_mine = all.iter().flat_map(|bytes| bytes.iter().skip(self.rank * part).take(part).copied());
        fill(theirs, &of_mine.collect::<Vec<u8>>())
    }
}

fn fill(out: &mut [u8], found: &[u8]) -> Result<()> {
    if out.len() != found.len() {
        let text = format!("{} bytes came from the other processes instead of {}", found.len(), out.len());
        return Err(Error::Device(text));
    }
    out.copy_from_slice(found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::nn::{Init, Mode, NormKind, ParamFreeNorm, Share};
    use crate::rng::Rng;

    /// Runs `f` as every rank of a group of threads.
    fn together<T: Send>(size: usize, f: impl Fn(Group) -> T + Sync) -> Vec<T> {
        let f = &f;
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                Group::of_threads(size).into_iter().map(|group| scope.spawn(move || f(group))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_are_those_of_all_ranks_for_short_and_long_ones() {
        for (size, length) in [(1, 5), (2, 1), (3, 100), (2, 9_001), (3, 10_000), (3, 0)] {
            let value = |rank: usize, at: usize| ((rank * 31 + at * 7) % 1000) as f32 / 8.0;
            let sums = together(size, |group| {
                let mut values: Vec<f32> = (0..length).map(|at| value(group.rank(), at)).collect();
                group.sum(&mut values);
                group.check().unwrap();
                values
            });
            let expected: Vec<f32> = (0..length).map(|at| (0..size).map(|rank| value(rank, at)).sum()).collect();
            assert!(sums.iter().all(|found| *found == expected), "{size} ranks, {length} values");
        }
    }

    #[test]
    fn an_error_of_one_rank_is_one_of_all() {
        let texts = together(3, |group| {
            let mine = if group.rank() == 1 { Err(Error::Data("facade 3 is torn".into())) } else { Ok(()) };
            let first = group.agree(mine).unwrap_err();
            assert!(matches!(first, Error::Data(_)));
            // The group goes on.
            group.agree(Ok(())).unwrap();
            first.to_string()
        });
        assert!(texts.iter().all(|text| text == "rank 1 of 3: facade 3 is torn"), "{texts:?}");
    }

    #[test]
    fn a_rank_that_leaves_is_an_error_for_the_others() {
        let errors = together(3, |group| {
            if group.rank() == 2 {
                return None;
            }
            let mut values = [1.0f32];
            group.sum(&mut values);
            group.check().err().map(|error| error.to_string())
        });
        assert!(errors[2].is_none());
        assert!(errors[..2].iter().flatten().all(|text| text.contains("rank 2 of 3 has left")), "{errors:?}");
        assert_eq!(errors.iter().flatten().count(), 2);
    }

    #[test]
    fn ranks_that_add_up_different_things_are_stopped() {
        let errors = together(2, |group| {
            let mut values = vec![1.0f32; 1 + group.rank()];
            group.sum(&mut values);
            group.check().is_err()
        });
        assert_eq!(errors, [true, true]);
    }

    /// Values, gradients and running statistics of a norm.
    fn normed(values: &[f32], slope: &[f32], shape: [usize; 4], share: &Share) -> [Vec<f32>; 3] {
        let device = Device::flex().autodiff();
        let tensor = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device);
        let norm = ParamFreeNorm::new(&Init::random(1, &device), NormKind::Batch, shape[1]);
        let x = tensor(values).require_grad();
        let y = norm.forward(x.clone(), Mode::TRAIN, share);
        let gradients = (y.clone() * tensor(slope)).sum().backward();
        let again = norm.forward(x.clone(), Mode::EVAL, share);
        [y.inner(), x.grad(&gradients).unwrap(), again.inner()].map(|x| x.into_data().try_to_vec().unwrap())
    }

    /// Parts of different sizes, means far from 0.
    #[test]
    fn a_norm_over_ranks_is_that_over_the_whole_batch() {
        let plane = [3, 5, 7];
        let each = plane.iter().product::<usize>();
        for parts in [&[2usize, 2][..], &[1, 2, 1], &[3, 1, 2]] {
            let whole: usize = parts.iter().sum();
            let mut rng = Rng::new(whole as u64);
            let mut random = |offset: f32| -> Vec<f32> {
                (0..whole * each).map(|i| rng.normal() as f32 + offset * (i / each) as f32).collect()
            };
            let (values, slope) = (random(2.0), random(0.3));
            let shape = |pictures| [pictures, plane[0], plane[1], plane[2]];
            let expected = normed(&values, &slope, shape(whole), &Share::default());
            let found = together(parts.len(), |group| {
                let first: usize = parts[..group.rank()].iter().sum();
                let here = parts[group.rank()];
                let share = Share::new(first, whole, Arc::new(group));
                let range = first * each..(first + here) * each;
                normed(&values[range.clone()], &slope[range], shape(here), &share)
            });
            for (which, expected) in expected.iter().enumerate() {
                let found: Vec<f32> = found.iter().flat_map(|of_rank| of_rank[which].iter().copied()).collect();
                let off = found.iter().zip(expected).fold(0.0f32, |off, (a, b)| off.max((a - b).abs()));
                assert!(found.len() == expected.len() && off < 1e-6, "{parts:?}, {which}: {off}");
            }
            // Parts on their own have other statistics: the check sees more than noise.
            let alone =
                normed(&values[..parts[0] * each], &slope[..parts[0] * each], shape(parts[0]), &Share::default());
            assert!(alone[0].iter().zip(&expected[0]).any(|(a, b)| (a - b).abs() > 0.1));
        }
    }
}
