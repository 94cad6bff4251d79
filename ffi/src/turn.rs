//! What one thread uses at a time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use semsynth_core::CancelToken;

use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_BUSY, SEMSYNTH_STATUS_CANCELLED};

/// A lock that a thread cannot wait for while it holds it: that is a fault instead.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    holder: Mutex<Option<ThreadId>>,
    inner: Mutex<T>,
}

pub(crate) struct Held<'a, T> {
    holder: &'a Mutex<Option<ThreadId>>,
    inner: MutexGuard<'a, T>,
}

impl<T> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { holder: Mutex::new(None), inner: Mutex::new(value) }
    }

    /// Waits for its turn, unless the token is cancelled before.
    pub(crate) fn take(&self, cancel: &CancelToken) -> Outcome<Held<'_, T>> {
        let me = thread::current().id();
        loop {
            if *lock(&self.holder) == Some(me) {
                return Err(Fault::new(
                    SEMSYNTH_STATUS_BUSY,
                    "a callback called back into what its own thread is using: do that after the call has returned",
                ));
            }
            let inner = match self.inner.try_lock() {
                Ok(inner) => inner,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    if cancel.is_cancelled() {
                        return Err(Fault::new(SEMSYNTH_STATUS_CANCELLED, "cancelled"));
                    }
                    thread::sleep(Duration::from_micros(500));
                    continue;
                }
            };
            *lock(&self.holder) = Some(me);
            return Ok(Held { holder: &self.holder, inner });
        }
    }
}

/// A lock whose value is whole whenever it is free.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        *lock(self.holder) = None;
    }
}
