//! Groups of processes that `mpirun` has started, on one machine or on many.

use std::sync::{Arc, Mutex, PoisonError};

use mpi::Threading;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};

use super::{Group, Link};
use crate::error::{Error, Result};

/// Runs `work` as one of the processes that `mpirun` has started, all of which must call this once. Without `mpirun`, the group has
/// this process only. The second argument of `work` is the number of this process among those of its machine, from 0, to choose a
/// GPU by.
///
/// If `work` fails, end the process with a status that is not 0: `mpirun` then ends all others, which may be waiting for this one.
///
/// # Errors
///
/// [`Error::Device`] if MPI is already in use, or cannot be called from more than one thread; the error of `work`.
pub fn in_mpi<T>(work: impl FnOnce(&Group, usize) -> Result<T>) -> Result<T> {
    let unusable = |why: &str| Error::Device(format!("MPI {why}"));
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
        return Err(unusable("is already in use in this process"));
    };
    if threading < Threading::Serialized {
        return Err(unusable(
            "cannot be called from more than one thread, which training does: use another library of MPI",
        ));
    }
    let world = universe.world();
    let (rank, size) = (number(world.rank())?, number(world.size())?);
    let local = number(world.split_shared(world.rank()).rank())?;
    let open = Arc::new(Mutex::new(Some(universe)));
    let result = work(&Group::new(World { open: Arc::clone(&open), rank, size }), local);
    let universe = open.lock().unwrap_or_else(PoisonError::into_inner).take();
    if result.is_err() {
        // Leaving MPI in order would wait for the others, which may be waiting for this process.
        std::mem::forget(universe);
    }
    result
}

fn number(value: i32) -> Result<usize> {
    usize::try_from(value).map_err(|_| Error::Device(format!("MPI numbers this process {value}")))
}

/// The link of a process that `mpirun` has started.
struct World {
    /// Until MPI is left. Only one thread calls MPI at a time.
    open: Arc<Mutex<Option<Universe>>>,
    rank: usize,
    size: usize,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("rank", &self.rank).field("size", &self.size).finish_non_exhaustive()
    }
}

impl World {
    /// Calls MPI. A process that dies makes MPI end all others, so there is no error to return.
    fn call(&self, work: impl FnOnce(&SimpleCommunicator)) -> Result<()> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let universe = open.as_ref().ok_or_else(|| Error::Device("MPI has been left".into()))?;
        work(&universe.world());
        Ok(())
    }
}

impl Link for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather(&self, mine: &[u8], all: &mut [u8]) -> Result<()> {
        self.call(|world| world.all_gather_into(mine, all))
    }

    fn all_to_all(&self, mine: &[u8], theirs: &mut [u8]) -> Result<()> {
        self.call(|world| world.all_to_all_into(mine, theirs))
    }
}
