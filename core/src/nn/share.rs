//! A batch that several processes hold together: which pictures are here, and sums over all processes.

use std::fmt::Debug;
use std::sync::Arc;

/// Sums over all processes that hold a part of a batch.
pub trait Sums: Debug + Send + Sync {
    /// Replaces each value by its sum over all processes. All of them must call this in the same order and with the same
    /// number of values; all get the same bits.
    fn sum(&self, values: &mut [f64]);
}

/// Which pictures of a batch an input holds. The default: all of them.
#[derive(Clone, Debug, Default)]
pub struct Share {
    first: usize,
    others: Option<Others>,
}

impl Share {
    /// Pictures from `first` on of a batch of `whole` pictures; the other processes hold the others.
    pub fn new(first: usize, whole: usize, sums: Arc<dyn Sums>) -> Self {
        Self { first, others: Some(Others { whole, sums }) }
    }

    /// The number of the first picture in the whole batch.
    pub(crate) fn first(&self) -> usize {
        self.first
    }

    /// The number of pictures in the whole batch, of which `here` are here.
    pub(crate) fn whole(&self, here: usize) -> usize {
        self.others.as_ref().map_or(here, |others| others.whole)
    }

    pub(crate) fn others(&self) -> Option<Others> {
        self.others.clone()
    }
}

/// The processes that hold the other pictures.
#[derive(Clone, Debug)]
pub(crate) struct Others {
    /// Pictures in the whole batch.
    whole: usize,
    sums: Arc<dyn Sums>,
}

impl Others {
    /// Pictures in the whole batch.
    #[cfg(feature = "train")]
    pub(crate) fn whole(&self) -> usize {
        self.whole
    }

    /// Replaces each value by its sum over all processes.
    #[cfg(feature = "train")]
    pub(crate) fn sum(&self, values: &mut [f64]) {
        self.sums.sum(values);
    }

    /// Mean and variance of each channel over the whole batch, from those over the `here` pictures of this process. Sums of
    /// squares lose no digits that a 32-bit result would show, for sums are in 64 bits.
    pub(crate) fn moments(&self, here: usize, moments: &mut [[f64; 2]]) {
        let share = here as f64 / self.whole as f64;
        for [mean, variance] in &mut *moments {
            (*mean, *variance) = (*mean * share, (*variance + *mean * *mean) * share);
        }
        self.sums.sum(moments.as_flattened_mut());
        for [mean, square] in moments {
            *square = (*square - *mean * *mean).max(0.0);
        }
    }
}
