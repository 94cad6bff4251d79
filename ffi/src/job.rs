//! Jobs: pictures that are painted in the background.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use semsynth_core::{CancelToken, Error};

use crate::guard::{caught, guard, trip};
use crate::image::SemsynthImage;
use crate::labels::SemsynthLabels;
use crate::pointers::Out;
use crate::registry::{self, Handle};
use crate::request::SemsynthRequest;
use crate::session::{Order, SemsynthSession};
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_TIMEOUT, SemsynthStatus};
use crate::turn::{Holder, lock};

/// A picture that is painted in the background. Poll, wait and cancel from any thread.
#[derive(Debug)]
pub struct SemsynthJob(());

impl Handle for SemsynthJob {
    type Object = Job;
    const NAME: &'static str = "job";
}

/// The job runs, or waits for its session.
pub const SEMSYNTH_JOB_RUNNING: u32 = 0;
/// The job has ended: `semsynth_job_wait` tells how, at once.
pub const SEMSYNTH_JOB_ENDED: u32 = 1;

#[derive(Debug)]
pub struct Job {
    shared: Arc<Shared>,
    cancel: CancelToken,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whose turn it is with the session.
    holder: Holder,
}

#[derive(Debug, Default)]
struct Shared {
    result: Mutex<Option<Outcome>>,
    ended: Condvar,
    /// Bits of a float.
    progress: AtomicU32,
}

impl Job {
    fn start(session: Arc<crate::session::Session>, mut order: Order) -> Outcome<Self> {
        order.inputs.watch.cancellable = true;
        let cancel = order.inputs.watch.cancel.clone();
        let holder = session.holder().clone();
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        #[cfg(test)]
        let place = crate::guard::PANIC_AT.take();
        let work = move || {
            #[cfg(test)]
            crate::guard::PANIC_AT.set(place);
            let result = caught(|| {
                trip("job");
                let Order { labels, inputs, view } = order;
                let progress = |done: f32| ours.progress.store(done.to_bits(), Ordering::Relaxed);
                let picture = session.paint(&labels, &inputs, Some(&progress))?;
                // SAFETY: whoever starts a job promises that the picture stays until it has ended.
                unsafe { view.write(0, 0, picture.pixels().rows()) };
                Ok(())
            });
            // Freed before anybody hears of the end, so that a host can measure its memory then.
            drop(session);
            *lock(&ours.result) = Some(result);
            ours.ended.notify_all();
        };
        let thread =
            thread::Builder::new().name("semsynth job".into()).spawn(work).map_err(Error::io("a job's thread"))?;
        Ok(Self { shared, cancel, thread: Mutex::new(Some(thread)), holder })
    }

    /// The result, once there is one; a fault when the time is over, or would be spent for nothing.
    fn wait(&self, most: Option<Duration>) -> Outcome {
        let start = Instant::now();
        let mut result = lock(&self.shared.result);
        loop {
            if let Some(result) = &*result {
                return result.clone();
            }
            let left = most.map(|most| most.saturating_sub(start.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Fault::new(SEMSYNTH_STATUS_TIMEOUT, "the job still runs"));
            }
            // The job cannot end before this thread gives the session back.
            self.holder.refuse_me()?;
            result = match left {
                None => self.shared.ended.wait(result).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.shared.ended.wait_timeout(result, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Cancels, and waits until the job no longer uses anything of the caller's.
    fn end(&self) {
        self.cancel.cancel();
        if let Some(thread) = lock(&self.thread).take()
            && thread.thread().id() != thread::current().id()
        {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts a picture in the background, to be released with `semsynth_job_release`. Jobs of one session take turns, in no
/// certain order.
///
/// Labels, request and styles are copied. The picture's memory, and `user` of the progress function, must stay until the
/// job has ended or was released.
///
/// @param labels  The class of each pixel.
/// @param request NULL for the defaults. Its token is also what `semsynth_job_cancel` cancels.
/// @param image   Takes the picture, as by `semsynth_synthesize`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_synthesize_async(
    session: *const SemsynthSession,
    labels: *const SemsynthLabels,
    request: *const SemsynthRequest,
    image: *const SemsynthImage,
    out: *mut *mut SemsynthJob,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        // SAFETY: by the conventions of the header.
        let (order, out) = unsafe { (Order::read(&session, labels, request, image)?, Out::new(out, "out")?) };
        registry::give(Job::start(session, order)?, out);
        Ok(())
    })
}

/// How far a job is.
///
/// @param state    Takes one of the `SEMSYNTH_JOB_` constants. May be NULL.
/// @param progress Takes the fraction done, 0 to 1. May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_job_poll(
    job: *const SemsynthJob,
    state: *mut u32,
    progress: *mut f32,
) -> SemsynthStatus {
    guard(|| {
        let job = registry::get(job)?;
        let ended = lock(&job.shared.result).is_some();
        // SAFETY: by the conventions of the header.
        unsafe {
            let state = if state.is_null() { None } else { Some(Out::new(state, "state")?) };
            let progress = if progress.is_null() { None } else { Some(Out::new(progress, "progress")?) };
            if let Some(state) = state {
                state.write(if ended { SEMSYNTH_JOB_ENDED } else { SEMSYNTH_JOB_RUNNING });
            }
            if let Some(progress) = progress {
                progress.write(f32::from_bits(job.shared.progress.load(Ordering::Relaxed)));
            }
        }
        Ok(())
    })
}

/// Waits for a job and returns its status, with its message in `semsynth_last_error`; `SEMSYNTH_STATUS_TIMEOUT` if it
/// still runs; `SEMSYNTH_STATUS_BUSY`, at once, in a callback of the job or of its session, which the job waits for.
///
/// @param milliseconds The longest time to wait; 0 not to wait, negative for as long as it takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_job_wait(job: *const SemsynthJob, milliseconds: i64) -> SemsynthStatus {
    guard(|| {
        let job = registry::get(job)?;
        let most = u64::try_from(milliseconds).ok().map(Duration::from_millis);
        job.wait(most)
    })
}

/// Cancels a job, from any thread, as often as you like. It then soon ends with `SEMSYNTH_STATUS_CANCELLED`, unless it
/// was done before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_job_cancel(job: *const SemsynthJob) -> SemsynthStatus {
    guard(|| {
        registry::get(job)?.cancel.cancel();
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_job_retain(job: *const SemsynthJob) -> SemsynthStatus {
    guard(|| registry::retain(job))
}

/// Removes an owner; NULL is fine. The last one cancels the job if it still runs, and waits until it no longer uses the
/// picture's memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_job_release(job: *mut SemsynthJob) -> SemsynthStatus {
    guard(|| {
        if let Some(job) = registry::release(job)? {
            job.end();
        }
        Ok(())
    })
}
