//! What callbacks may do, and on which threads they run.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::*;
use crate::guard::*;
use crate::job::*;

const SIDE: usize = 32;

/// A function that calls back into the session that calls it.
extern "C" fn call_back(user: *mut c_void, _: f32) -> u32 {
    // SAFETY: the test hands its painter.
    let (painter, status) = unsafe { &mut *user.cast::<(*const Painter, SemsynthStatus)>() };
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    // SAFETY: the painter lives as long as the call.
    *status = unsafe { &**painter }.paint(&labels_of(&ids, SIDE), null(), &image);
    1
}

#[test]
fn calling_back_is_an_error_and_no_deadlock() {
    let painter = Painter::new();
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let mut user = (&raw const painter, SEMSYNTH_STATUS_OK);
    let mut request: SemsynthRequest = sized();
    request.progress = Some(call_back);
    request.user = (&raw mut user).cast();
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    must(painter.paint(&labels_of(&ids, SIDE), &raw const request, &image));
    assert_eq!(user.1, SEMSYNTH_STATUS_BUSY);
}

/// A job that a callback waits for, and what it was told.
#[derive(Default)]
struct Waiting {
    job: AtomicUsize,
    /// For no time, for ten seconds, for ever.
    told: Mutex<Vec<SemsynthStatus>>,
}

extern "C" fn wait_for_job(user: *mut c_void, _: f32) -> u32 {
    // SAFETY: the test hands one that outlives the call.
    let waiting = unsafe { &*user.cast::<Waiting>() };
    let mut told = waiting.told.lock().unwrap();
    if told.is_empty() {
        let job = loop {
            match waiting.job.load(Ordering::Acquire) {
                0 => thread::yield_now(),
                job => break std::ptr::without_provenance(job),
            }
        };
        // SAFETY: a handle, which is checked.
        told.extend([0, 10_000, -1].map(|most| unsafe { semsynth_job_wait(job, most) }));
    }
    1
}

const TOLD: [SemsynthStatus; 3] = [SEMSYNTH_STATUS_TIMEOUT, SEMSYNTH_STATUS_BUSY, SEMSYNTH_STATUS_BUSY];

#[test]
fn a_job_that_waits_for_itself_is_told_so() {
    let (painter, waiting) = (Painter::new(), Waiting::default());
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let (labels, image) = (labels_of(&ids, SIDE), image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3));
    let mut request: SemsynthRequest = sized();
    request.progress = Some(wait_for_job);
    request.user = (&raw const waiting).cast_mut().cast();
    let (mut job, start) = (null_mut(), Instant::now());
    // SAFETY: labels, image and user stay until the job has ended.
    unsafe {
        let (labels, request, image) = (&raw const labels, &raw const request, &raw const image);
        must(semsynth_synthesize_async(painter.session, labels, request, image, &raw mut job));
        waiting.job.store(job.addr(), Ordering::Release);
        must(semsynth_job_wait(job, -1));
        must(semsynth_job_release(job));
    }
    assert_eq!(*waiting.told.lock().unwrap(), TOLD);
    assert!(start.elapsed() < Duration::from_secs(10), "it was told at once");
    assert_eq!(bytes, expected(&ids, SIDE));
}

/// A job waits for its session's turn, which the caller of the callback has.
#[test]
fn a_call_that_waits_for_a_job_behind_it_is_told_so() {
    let (painter, waiting) = (Painter::new(), Waiting::default());
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let (labels, mut other) = (labels_of(&ids, SIDE), vec![0; 3 * SIDE * SIDE]);
    let image = image_of(&mut other, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    let mut job = null_mut();
    // SAFETY: labels and image stay until the job has ended.
    must(unsafe {
        semsynth_synthesize_async(painter.session, &raw const labels, null(), &raw const image, &raw mut job)
    });
    waiting.job.store(job.addr(), Ordering::Release);
    // The job may have been first; then a callback finds it ended, which is fine too.
    let mut request: SemsynthRequest = sized();
    request.progress = Some(wait_for_job);
    request.user = (&raw const waiting).cast_mut().cast();
    must(painter.paint(&labels, &raw const request, &image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3)));
    let told = waiting.told.lock().unwrap().clone();
    assert!(told == TOLD || told == [SEMSYNTH_STATUS_OK; 3], "{told:?}");
    // SAFETY: a handle.
    unsafe {
        must(semsynth_job_wait(job, -1));
        must(semsynth_job_release(job));
    }
    assert_eq!(other, bytes);
}

extern "C" fn note_thread(user: *mut c_void, _: f32) -> u32 {
    // SAFETY: the test hands a list that outlives the call.
    let threads = unsafe { &*user.cast::<Mutex<Vec<ThreadId>>>() };
    threads.lock().unwrap().push(thread::current().id());
    1
}

/// A blocking call reports on its own thread, also where others compute; a job on one thread of its own.
#[test]
fn progress_comes_on_one_thread() {
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let (labels, image) = (labels_of(&ids, SIDE), image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3));
    for threads in [0, 3] {
        let mut options: SemsynthSessionOptions = sized();
        options.threads = threads;
        let painter = Painter::with(&raw const options);
        let mut seen = Mutex::new(Vec::<ThreadId>::new());
        let mut request: SemsynthRequest = sized();
        request.progress = Some(note_thread);
        request.user = (&raw mut seen).cast();
        must(painter.paint(&labels, &raw const request, &image));
        let me = thread::current().id();
        let blocking = std::mem::take(seen.get_mut().unwrap());
        assert!(blocking.len() > 2 && blocking.iter().all(|&id| id == me), "{threads}: {blocking:?}");
        let mut job = null_mut();
        // SAFETY: labels, image and user stay until the job has ended.
        unsafe {
            let (labels, request, image) = (&raw const labels, &raw const request, &raw const image);
            must(semsynth_synthesize_async(painter.session, labels, request, image, &raw mut job));
            must(semsynth_job_wait(job, -1));
            must(semsynth_job_release(job));
        }
        let of_job = std::mem::take(seen.get_mut().unwrap());
        assert!(of_job.len() > 2 && of_job.iter().all(|&id| id == of_job[0] && id != me), "{threads}: {of_job:?}");
    }
}

/// There is one callback for the process, so tests take turns.
fn log_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Messages with their levels and threads: other tests run meanwhile.
type Messages = Mutex<Vec<(ThreadId, u32, String)>>;

extern "C" fn note_message(user: *mut c_void, level: u32, message: *const c_char) {
    // SAFETY: the test hands a list that is never freed, and the library a text.
    let (all, message) = unsafe { (&*user.cast::<Messages>(), CStr::from_ptr(message)) };
    let message = message.to_str().unwrap().to_owned();
    all.lock().unwrap_or_else(PoisonError::into_inner).push((thread::current().id(), level, message));
}

#[test]
fn messages_are_delivered_up_to_their_level() {
    let _turn = log_turn();
    // Another test's thread may still be in the callback when this test ends.
    let all: &'static Messages = Box::leak(Box::default());
    let user = std::ptr::from_ref(all).cast_mut().cast();
    let mine = || -> Vec<(u32, String)> {
        let me = thread::current().id();
        let all = std::mem::take(&mut *all.lock().unwrap());
        all.into_iter().filter(|(thread, ..)| *thread == me).map(|(_, level, text)| (level, text)).collect()
    };
    let make = || drop(Painter::new());
    // SAFETY: NULL is an error, texts and outputs are there.
    let fail = || unsafe {
        assert_eq!(semsynth_device_count(null_mut()), SEMSYNTH_STATUS_NULL_POINTER);
        let mut model = null_mut();
        assert_eq!(semsynth_model_load_builtin(c"castles".as_ptr(), &raw mut model), SEMSYNTH_STATUS_UNKNOWN_NAME);
    };
    let panic = || {
        PANIC_AT.set("call");
        assert_eq!(semsynth_version(), 0);
    };
    // SAFETY: the list is never freed.
    let set = |level| must(unsafe { semsynth_set_log_callback(level, Some(note_message), user) });

    // Nobody listens at first.
    make();
    fail();
    panic();
    assert_eq!(mine(), []);

    set(SEMSYNTH_LOG_ERROR);
    make();
    fail();
    assert_eq!(mine(), []);
    panic();
    let told = mine();
    assert!(told.len() == 1 && told[0].0 == SEMSYNTH_LOG_ERROR && told[0].1.contains("injected"), "{told:?}");

    set(SEMSYNTH_LOG_INFO);
    make();
    fail();
    let told = mine();
    assert!(told.iter().all(|(level, _)| *level == SEMSYNTH_LOG_INFO), "{told:?}");
    for part in ["loaded the model facades", "facades is ready on cpu"] {
        assert!(told.iter().any(|(_, text)| text.contains(part)), "{part}: {told:?}");
    }

    set(SEMSYNTH_LOG_DEBUG);
    fail();
    let told = mine();
    assert!(told.len() == 2 && told.iter().all(|(level, _)| *level == SEMSYNTH_LOG_DEBUG), "{told:?}");
    assert!(told[0].1.contains("out is NULL") && told[1].1.contains("castles"), "{told:?}");

    for end in [None, Some(note_message as unsafe extern "C" fn(_, _, _))] {
        let level = if end.is_none() { SEMSYNTH_LOG_DEBUG } else { SEMSYNTH_LOG_OFF };
        set(SEMSYNTH_LOG_DEBUG);
        // SAFETY: as above.
        must(unsafe { semsynth_set_log_callback(level, end, user) });
        make();
        fail();
        panic();
        assert_eq!(mine(), []);
    }
}

extern "C" fn fail_again(user: *mut c_void, _: u32, _: *const c_char) {
    // SAFETY: the test hands a counter that is never freed; NULL is an error.
    unsafe {
        let (calls, me) = &*user.cast::<(AtomicUsize, ThreadId)>();
        if thread::current().id() == *me {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(semsynth_device_count(null_mut()), SEMSYNTH_STATUS_NULL_POINTER);
    }
}

#[test]
fn a_log_callback_that_fails_itself_has_an_end() {
    let _turn = log_turn();
    let user: &'static (AtomicUsize, ThreadId) = Box::leak(Box::new((AtomicUsize::new(0), thread::current().id())));
    let pointer = std::ptr::from_ref(user).cast_mut().cast();
    // SAFETY: the counter is never freed; NULL is an error.
    unsafe {
        must(semsynth_set_log_callback(SEMSYNTH_LOG_DEBUG, Some(fail_again), pointer));
        let mut model = null_mut();
        for round in 1..3 {
            let status = semsynth_model_load_builtin(c"castles".as_ptr(), &raw mut model);
            assert_eq!(status, SEMSYNTH_STATUS_UNKNOWN_NAME);
            assert_eq!(user.0.load(Ordering::Relaxed), round);
            assert!(message().contains("castles"), "the message is that of the outer call: {}", message());
        }
        must(semsynth_set_log_callback(SEMSYNTH_LOG_OFF, None, null_mut()));
    }
}

/// Calls when its thread ends, after this crate's own thread-local values have gone.
struct AtTheEnd(Cell<Option<std::sync::mpsc::Sender<(SemsynthStatus, SemsynthStatus, usize)>>>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        PANIC_AT.set("call");
        // SAFETY: NULL is an error, and no buffer is fine.
        let told = unsafe {
            let panicked = semsynth_device_count(null_mut());
            (panicked, semsynth_device_count(null_mut()), semsynth_last_error(null_mut(), 0))
        };
        self.0.take().unwrap().send(told).unwrap();
    }
}

thread_local! {
    static AT_THE_END: AtTheEnd = const { AtTheEnd(Cell::new(None)) };
}

#[test]
fn calls_while_a_thread_ends_keep_their_status() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let ended = thread::spawn(move || {
        // What is first used first goes last.
        AT_THE_END.with(|end| end.0.set(Some(sender)));
        // SAFETY: NULL is an error.
        assert_eq!(unsafe { semsynth_device_count(null_mut()) }, SEMSYNTH_STATUS_NULL_POINTER);
        PANIC_AT.set("call");
        assert_eq!(semsynth_version(), 0);
    });
    ended.join().unwrap();
    let (panicked, failed, length) = receiver.recv().unwrap();
    assert_eq!((panicked, failed), (SEMSYNTH_STATUS_PANIC, SEMSYNTH_STATUS_NULL_POINTER));
    assert_eq!(length, 0, "this thread's message had gone, or the test shows nothing");
}
