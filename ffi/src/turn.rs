//! What one thread uses at a time.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use semsynth_core::CancelToken;

use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_BUSY, SEMSYNTH_STATUS_CANCELLED};

/// A lock that a thread cannot wait for while it holds it: that is a fault instead.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    holder: Holder,
    inner: Mutex<T>,
}

/// The thread whose turn it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holder(Arc<Mutex<Option<ThreadId>>>);

impl Holder {
    /// A fault if it is the calling thread's own turn: it would wait for itself.
    pub(crate) fn refuse_me(&self) -> Outcome {
        if *lock(&self.0) != Some(thread::current().id()) {
            return Ok(());
        }
        Err(Fault::new(
            SEMSYNTH_STATUS_BUSY,
            "a callback called back into what its own thread is using: do that after the call has returned",
        ))
    }
}

pub(crate) struct Held<'a, T> {
    holder: &'a Holder,
    inner: MutexGuard<'a, T>,
}

impl<T> Turn<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { holder: Holder::default(), inner: Mutex::new(value) }
    }

    pub(crate) fn holder(&self) -> &Holder {
        &self.holder
    }

    /// Waits for its turn, unless the token is cancelled before.
    pub(crate) fn take(&self, cancel: &CancelToken) -> Outcome<Held<'_, T>> {
        loop {
            self.holder.refuse_me()?;
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
            *lock(&self.holder.0) = Some(thread::current().id());
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
        *lock(&self.holder.0) = None;
    }
}
