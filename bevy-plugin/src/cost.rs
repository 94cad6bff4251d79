//! What the plugin costs the app's frames.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bevy_ecs::resource::Resource;
use cpu_time::ThreadTime;

/// Time that the plugin's systems and painting commands took since it was last taken. Systems may run side by side.
#[derive(Resource, Debug, Default)]
pub(crate) struct FrameCost {
    /// In nanoseconds.
    elapsed: AtomicU64,
    /// Of a processor.
    cpu: AtomicU64,
}

impl FrameCost {
    /// Counts until the result is dropped, which must be on the same thread.
    pub(crate) fn count(&self) -> Counting<'_> {
        Counting { cost: self, began: Began::now() }
    }

    /// Adds what began then, on the same thread.
    pub(crate) fn add(&self, began: &Began) {
        for (sum, time) in [(&self.elapsed, began.elapsed.elapsed()), (&self.cpu, began.cpu.elapsed())] {
            sum.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// All of it so far, on the clock and of a processor; begins anew.
    pub(crate) fn take(&self) -> [Duration; 2] {
        [&self.elapsed, &self.cpu].map(|sum| Duration::from_nanos(sum.swap(0, Ordering::Relaxed)))
    }
}

/// When something began.
#[derive(Debug)]
pub(crate) struct Began {
    elapsed: Instant,
    cpu: ThreadTime,
}

impl Began {
    pub(crate) fn now() -> Self {
        Self { elapsed: Instant::now(), cpu: ThreadTime::now() }
    }
}

/// Adds the time of its life to the cost.
#[derive(Debug)]
pub(crate) struct Counting<'a> {
    cost: &'a FrameCost,
    began: Began,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.cost.add(&self.began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_taken_once_and_sleeping_is_no_work() {
        let cost = FrameCost::default();
        {
            let _counting = cost.count();
            std::thread::sleep(Duration::from_millis(30));
        }
        let [elapsed, cpu] = cost.take();
        assert!(elapsed >= Duration::from_millis(30) && cpu < Duration::from_millis(20), "{elapsed:?}, {cpu:?}");
        assert_eq!(cost.take(), [Duration::ZERO; 2]);
    }
}
