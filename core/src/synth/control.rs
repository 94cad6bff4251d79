//! Cancellation and progress.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, MutexGuard, TryLockError};
use std::time::Duration;

use rayon::ThreadPool;

use super::prepared::Pool;
use crate::error::{Error, Result};

/// Cancels a running synthesis, from any thread. Clones share one state.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels. A running synthesis returns [`Error::Cancelled`] as soon as its current kernel is done.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag that is set when cancelled.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// Memory in bytes, with the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    /// No more than this.
    Most(usize),
    /// No more than this if a picture can be painted with it, else the least that it can be painted with.
    Goal(usize),
}

impl Budget {
    pub(super) fn bytes(self) -> usize {
        let (Self::Most(bytes) | Self::Goal(bytes)) = self;
        bytes
    }
}

/// Cancellation and progress reports for [`Synthesizer::run_with`](super::Synthesizer::run_with).
///
/// In the CPU engine both happen between kernels, milliseconds to tens of milliseconds apart, and convolutions end early
/// when cancelled; only packing a new style of SEAN takes longer. Elsewhere
/// ([`PreparedModel::uses_engine`](super::PreparedModel::uses_engine)) they happen between blocks of the network. The GPU
/// then has to finish each block before the next one is queued, which costs some speed.
#[derive(Default)]
pub struct Control<'a> {
    cancel: Option<CancelToken>,
    progress: Option<&'a mut dyn FnMut(f32)>,
    memory: Option<Budget>,
    /// The last value reported.
    reported: Option<f32>,
}

impl<'a> Control<'a> {
    /// No cancellation and no progress reports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns [`Error::Cancelled`] once the token is cancelled.
    #[must_use]
    pub fn cancel(self, token: &CancelToken) -> Self {
        Self { cancel: Some(token.clone()), ..self }
    }

    /// Calls `progress` with the fraction done, on the caller's thread: first 0, then increasing values, finally 1.
    #[must_use]
    pub fn progress(self, progress: &'a mut dyn FnMut(f32)) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Most memory in bytes, with the weights: the picture is painted in smaller parts if it needs more otherwise, or
    /// not at all. On a device other than the CPU, it is that of the device, and a rough estimate; networks that
    /// cannot paint in parts do not look at it there.
    #[must_use]
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: Some(Budget::Most(bytes)), ..self }
    }

    /// As [`memory`](Self::memory), but a picture that needs more even in the smallest parts is painted in these, unless
    /// there is not enough memory. Replaces the value of `memory`.
    #[must_use]
    pub fn memory_goal(self, bytes: usize) -> Self {
        Self { memory: Some(Budget::Goal(bytes)), ..self }
    }

    pub(super) fn budget(&self) -> Option<Budget> {
        self.memory
    }

    /// The flag that is set when cancelled.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        self.cancel.as_ref().map(CancelToken::flag).unwrap_or_default()
    }

    /// Whether there is a token or a callback.
    pub(super) fn is_used(&self) -> bool {
        self.cancel.is_some() || self.progress.is_some()
    }

    /// Runs `work` on a thread pool, or on the current thread. `work` reports the fraction done, 0 to 1, through
    /// its argument and must return the error that a report gives.
    pub(super) fn run<T: Send>(
        &mut self,
        pool: Option<&Pool>,
        work: impl FnOnce(&mut dyn FnMut(f32) -> Result<()>) -> Result<T> + Send,
    ) -> Result<T> {
        self.reported = None;
        let cancel = self.cancel.clone().unwrap_or_default();
        cancel.check()?;
        self.report(0.0);
        let result = match pool {
            None => work(&mut |done| {
                self.report(done);
                cancel.check()
            }),
            Some(pool) => {
                let _turn = wait_for_turn(pool, &cancel)?;
                self.run_in(&pool.threads, &cancel, work)
            }
        }?;
        self.report(1.0);
        Ok(result)
    }

    /// The caller's thread waits and reports, so the callback only ever runs there.
    fn run_in<T: Send>(
        &mut self,
        pool: &ThreadPool,
        cancel: &CancelToken,
        work: impl FnOnce(&mut dyn FnMut(f32) -> Result<()>) -> Result<T> + Send,
    ) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        let mut result = None;
        pool.in_place_scope(|scope| {
            let result = &mut result;
            scope.spawn(move |_| {
                *result = Some(work(&mut |done| {
                    // Sending fails if the callback panicked on the caller's thread.
                    sender.send(done).map_err(|_| Error::Cancelled)?;
                    cancel.check()
                }));
            });
            for done in receiver {
                self.report(done);
            }
        });
        result.unwrap_or_else(|| Err(Error::Device("a worker thread ended without a result".into())))
    }

    fn report(&mut self, done: f32) {
        let Some(progress) = &mut self.progress else { return };
        if self.reported.is_none_or(|last| done > last) {
            self.reported = Some(done);
            progress(done);
        }
    }
}

/// Waits until no other picture is computed by the threads of a pool.
fn wait_for_turn<'a>(pool: &'a Pool, cancel: &CancelToken) -> Result<MutexGuard<'a, ()>> {
    loop {
        match pool.turn.try_lock() {
            Ok(turn) => return Ok(turn),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                cancel.check()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress.is_some();
        f.debug_struct("Control").field("cancel", &self.cancel).field("progress", &progress).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use std::sync::Mutex;

    use super::*;

    fn pool(threads: usize) -> Pool {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        Pool { threads, turn: Mutex::new(()) }
    }

    /// Pictures of one pool take turns, and one that waits can be cancelled.
    #[test]
    fn a_pool_computes_one_picture_at_a_time() {
        let (own, token) = (pool(2), CancelToken::new());
        let turn = own.turn.lock().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| Control::new().cancel(&token).run(Some(&own), |_| Ok(())));
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            token.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
        drop(turn);
        Control::new().run(Some(&own), |_| Ok(())).unwrap();
    }

    /// A callback that panics ends the work, and the panic is the caller's.
    #[test]
    fn a_panic_of_the_callback_ends_the_work() {
        let own = pool(1);
        let mut steps = 0;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut progress = |done| assert!(done < 0.5, "the host's own mistake");
            let _ = Control::new().progress(&mut progress).run(Some(&own), |step| {
                for i in 0..1000 {
                    steps = i;
                    thread::sleep(Duration::from_millis(1));
                    step(i as f32 / 10.0)?;
                }
                Ok(())
            });
        }));
        assert!(panicked.is_err());
        assert!(steps < 900, "{steps}");
        Control::new().run(Some(&own), |_| Ok(())).unwrap();
    }

    #[test]
    fn progress_rises_from_0_to_1_on_the_callers_thread() {
        let own = pool(2);
        for pool in [None, Some(&own)] {
            let caller = thread::current().id();
            let mut seen = Vec::new();
            let mut progress = |done| {
                assert_eq!(thread::current().id(), caller);
                seen.push(done);
            };
            let work = |step: &mut dyn FnMut(f32) -> Result<()>| {
                [0.0, 0.25, 0.25, 0.2, 0.75].into_iter().try_for_each(step).map(|()| 7)
            };
            assert_eq!(Control::new().progress(&mut progress).run(pool, work).unwrap(), 7);
            assert_eq!(seen, [0.0, 0.25, 0.75, 1.0]);
        }
    }

    #[test]
    fn a_cancelled_token_ends_the_work() {
        let own = pool(1);
        for pool in [None, Some(&own)] {
            let token = CancelToken::new();
            let mut control = Control::new().cancel(&token);
            let mut steps = 0;
            let ended = control.run(pool, |step| {
                for done in [0.1, 0.2, 0.3] {
                    steps += 1;
                    if steps == 2 {
                        token.cancel();
                    }
                    step(done)?;
                }
                Ok(())
            });
            assert!(matches!(ended, Err(Error::Cancelled)));
            assert_eq!(steps, 2);
            // The token stays cancelled.
            assert!(matches!(control.run(pool, |_| Ok(())), Err(Error::Cancelled)));
        }
    }
}
