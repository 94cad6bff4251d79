//! Cancelling, and progress.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rayon::ThreadPool;

use crate::error::{Error, Result};

/// Cancels what runs under it, from any thread. Clones are one token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that nobody has cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels. What runs ends with [`Error::Cancelled`] as soon as the kernel at hand is done.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// How the caller of [`Synthesizer::run_with`](super::Synthesizer::run_with) watches and ends it.
///
/// On the CPU both happen between kernels, a few milliseconds apart. On a GPU they happen between blocks of the network,
/// which then wait for each other.
#[derive(Default)]
pub struct Control<'a> {
    cancel: Option<CancelToken>,
    progress: Option<&'a mut dyn FnMut(f32)>,
    /// What was reported last.
    reported: Option<f32>,
}

impl<'a> Control<'a> {
    /// Neither.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends with [`Error::Cancelled`] once the token is cancelled.
    #[must_use]
    pub fn cancel(self, token: &CancelToken) -> Self {
        Self { cancel: Some(token.clone()), ..self }
    }

    /// Is told how much is done, on the thread of the caller: 0 at first, then more each time, 1 at last.
    #[must_use]
    pub fn progress(self, progress: &'a mut dyn FnMut(f32)) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Whether anybody watches.
    pub(super) fn is_used(&self) -> bool {
        self.cancel.is_some() || self.progress.is_some()
    }

    /// Runs `work` on the threads of a pool, or of the current one. `work` says now and then how much it has done, 0 to 1,
    /// and ends with the error that it gets for that.
    pub(super) fn run<T: Send>(
        &mut self,
        pool: Option<&ThreadPool>,
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
            Some(pool) => self.run_in(pool, &cancel, work),
        }?;
        self.report(1.0);
        Ok(result)
    }

    /// The caller's thread waits and reports, so that its callback is called nowhere else.
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
                    // Nobody listens once the caller's thread panics; the scope ends then.
                    let _ = sender.send(done);
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

impl fmt::Debug for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = self.progress.is_some();
        f.debug_struct("Control").field("cancel", &self.cancel).field("progress", &progress).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn progress_rises_from_0_to_1_on_the_callers_thread() {
        let own = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
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
        let own = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
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
            // It stays cancelled.
            assert!(matches!(control.run(pool, |_| Ok(())), Err(Error::Cancelled)));
        }
    }
}
