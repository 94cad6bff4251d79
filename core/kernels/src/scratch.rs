//! Working memory that is reused between calls, so that kernels do not need fresh pages each time.
//!
//! The memory that is kept is bounded: [`KEEP_LOCAL`] for each thread that ran a task, [`KEEP_SHARED`] for the
//! process. A call that needs more allocates it and returns it to the system when it ends. Buffers contain arbitrary
//! values at first.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most bytes that a thread keeps between tasks.
pub(crate) const KEEP_LOCAL: usize = 32 << 20;
/// Most bytes that the process keeps between calls.
const KEEP_SHARED: usize = 96 << 20;
/// Size of a cache line, and of the widest vector.
const ALIGN: usize = 64;

/// `f32` values aligned to a cache line.
pub(crate) struct Buf {
    ptr: NonNull<f32>,
    len: usize,
}

// SAFETY: a `Buf` owns its memory alone, as a `Box<[f32]>` does.
unsafe impl Send for Buf {}
// SAFETY: as above; `&Buf` only gives `&[f32]`.
unsafe impl Sync for Buf {}

impl Buf {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout is never empty.
        let ptr = unsafe { alloc_zeroed(layout) };
        let Some(ptr) = NonNull::new(ptr.cast()) else { handle_alloc_error(layout) };
        Self { ptr, len }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len.max(1).checked_mul(size_of::<f32>()).expect("a buffer fits in memory");
        Layout::from_size_align(bytes, ALIGN).expect("a buffer fits in memory")
    }

    fn bytes(&self) -> usize {
        self.len * size_of::<f32>()
    }
}

impl Deref for Buf {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `len` values were allocated and set to zero, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout.
        unsafe { dealloc(self.ptr.as_ptr().cast(), Self::layout(self.len)) }
    }
}

impl std::fmt::Debug for Buf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buf({})", self.len)
    }
}

thread_local! {
    static LOCAL: Cell<Option<Buf>> = const { Cell::new(None) };
}

/// Runs `f` with slices of at least the given lengths, from memory of this thread. For tasks that run to their end on
/// one thread; a nested call is correct, but allocates.
pub(crate) fn local<const N: usize>(lens: [usize; N], f: impl FnOnce([&mut [f32]; N])) {
    let lens = lens.map(|n| n.next_multiple_of(ALIGN / size_of::<f32>()));
    let need = lens.iter().sum();
    let mut buf = LOCAL.take().filter(|b| b.len >= need).unwrap_or_else(|| Buf::zeroed(need));
    let mut rest = &mut buf[..];
    f(lens.map(|n| {
        let (part, tail) = std::mem::take(&mut rest).split_at_mut(n);
        rest = tail;
        part
    }));
    if buf.bytes() <= KEEP_LOCAL {
        LOCAL.set(Some(buf));
    }
}

/// The buffers not in use, the one unused for longest first.
static SHARED: Mutex<Vec<Buf>> = Mutex::new(Vec::new());

fn shared() -> MutexGuard<'static, Vec<Buf>> {
    // The list is consistent after any panic: each change is a single call.
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer borrowed from the process, for memory that several tasks share.
pub(crate) struct Loan {
    buf: Option<Buf>,
    len: usize,
}

impl Loan {
    /// `len` values, from the smallest free buffer that is large enough.
    pub(crate) fn new(len: usize) -> Self {
        let mut free = shared();
        let fit = free.iter().enumerate().filter(|(_, b)| b.len >= len).min_by_key(|(_, b)| b.len).map(|(i, _)| i);
        let found = fit.map(|i| free.remove(i));
        drop(free);
        Self { buf: Some(found.unwrap_or_else(|| Buf::zeroed(len))), len }
    }
}

impl Deref for Loan {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        self.buf.as_ref().map_or(&[], |b| &b[..self.len])
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut [f32] {
        self.buf.as_mut().map_or(&mut [], |b| &mut b[..self.len])
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut free = shared();
        free.extend(self.buf.take());
        while free.iter().map(Buf::bytes).sum::<usize>() > KEEP_SHARED {
            free.remove(0);
        }
    }
}

/// Working memory of a call, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// Buffers that all threads share while the call lasts, or 0.
    shared: [usize; 3],
    /// For each thread.
    thread: usize,
}

impl Scratch {
    /// Buffers of the given numbers of values, and those that a task takes together.
    pub(crate) fn of<const N: usize>(shared: [usize; N], task: &[usize]) -> Self {
        let mut all = [0; 3];
        all.iter_mut().zip(shared).for_each(|(all, values)| *all = values * size_of::<f32>());
        let aligned = |values: &usize| values.next_multiple_of(ALIGN / size_of::<f32>());
        Self { shared: all, thread: task.iter().map(aligned).sum::<usize>() * size_of::<f32>() }
    }

    /// Both at once in what is shared, and one after the other in what a thread has.
    pub(crate) fn and(self, other: Self) -> Self {
        let mut shared = self.shared;
        let more = other.shared.into_iter().filter(|&bytes| bytes > 0);
        shared.iter_mut().filter(|bytes| **bytes == 0).zip(more).for_each(|(to, bytes)| *to = bytes);
        Self { shared, thread: self.thread.max(other.thread) }
    }
}

/// The working memory of calls that come one after the other: what they take at most, with the buffers that are kept
/// between them.
#[derive(Clone, Debug, Default)]
pub struct ScratchPeak {
    free: Vec<usize>,
    shared: usize,
    thread: usize,
}

impl ScratchPeak {
    /// Adds a call.
    pub fn call(&mut self, call: Scratch) {
        self.thread = self.thread.max(call.thread);
        // As `Loan` does.
        let mut used = Vec::new();
        for need in call.shared.into_iter().filter(|&bytes| bytes > 0) {
            let fit = (0..self.free.len()).filter(|&i| self.free[i] >= need).min_by_key(|&i| self.free[i]);
            used.push(fit.map_or(need, |i| self.free.remove(i)));
        }
        self.free.extend(used);
        self.shared = self.shared.max(self.free.iter().sum());
        while self.free.iter().sum::<usize>() > KEEP_SHARED {
            self.free.remove(0);
        }
    }

    /// Bytes, with this many threads.
    pub fn bytes(&self, threads: usize) -> usize {
        self.shared + threads * self.thread
    }
}

/// A pointer through which tasks on several threads write disjoint parts.
#[derive(Clone, Copy)]
pub(crate) struct Shared(*mut f32);

// SAFETY: only an address; whoever writes through it answers for who else does.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }
    pub(crate) fn ptr(self) -> *mut f32 {
        self.0
    }
    pub(crate) fn moved(self, by: usize) -> Self {
        Self(self.0.wrapping_add(by))
    }
}

/// The product of `sizes`.
///
/// # Panics
///
/// If it exceeds what memory can hold.
pub(crate) fn volume(sizes: &[usize]) -> usize {
    sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).expect("sizes fit in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_aligned() {
        local([3, 17, 0, 40], |parts| {
            for (i, p) in parts.into_iter().enumerate() {
                assert_eq!(p.as_ptr().addr() % ALIGN, 0);
                assert!(p.len() >= [3, 17, 0, 40][i]);
            }
        });
    }

    #[test]
    fn a_thread_keeps_no_more_than_its_bound() {
        local([KEEP_LOCAL / 4 + 16], |_| ());
        assert!(LOCAL.take().is_none());
        local([100], |_| ());
        assert_eq!(LOCAL.take().map(|b| b.len), Some(112));
    }

    #[test]
    fn the_process_keeps_no_more_than_its_bound() {
        let loans: Vec<Loan> = (0..5).map(|_| Loan::new(KEEP_SHARED / 4 / 4)).collect();
        drop(loans);
        assert!(shared().iter().map(Buf::bytes).sum::<usize>() <= KEEP_SHARED);
    }

    #[test]
    fn buffers_of_earlier_calls_are_used_again() {
        let mut peak = ScratchPeak::default();
        let call = |shared: &[usize]| Scratch::of([shared[0], shared[1], 0], &[16, 17]);
        peak.call(call(&[100, 50]));
        peak.call(call(&[90, 0]));
        assert_eq!(peak.bytes(0), 600);
        assert_eq!(peak.bytes(2), 600 + 2 * 4 * (16 + 32));
        peak.call(call(&[150, 0]));
        assert_eq!(peak.bytes(0), 1200);
        let most = KEEP_SHARED / size_of::<f32>();
        peak.call(call(&[most, 0]));
        peak.call(call(&[most, 0]));
        assert_eq!(peak.bytes(0), 1200 + KEEP_SHARED, "older buffers are given back");
    }

    #[test]
    #[should_panic(expected = "fit in memory")]
    fn sizes_that_overflow_are_refused() {
        volume(&[1 << 40, 1 << 40]);
    }
}
