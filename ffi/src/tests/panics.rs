//! Panics of the library, at the start of calls and in the middle of their work: a status, and what was in use recovers or is
//! refused as the header says.

use super::*;
use crate::canvas::*;
use crate::guard::PANIC_AT;
use crate::job::*;

const SIDE: usize = 64;

extern "C" fn go_on(_: *mut c_void, _: f32) -> u32 {
    1
}

fn watched() -> SemsynthRequest {
    let mut request: SemsynthRequest = sized();
    request.progress = Some(go_on);
    request
}

fn panicked(status: SemsynthStatus, place: &str) {
    assert_eq!(status, SEMSYNTH_STATUS_PANIC, "{}", message());
    let said = message();
    assert!(said.contains(&format!("injected in a {place}")) && said.contains("please report"), "{said}");
    assert!(said.contains("guard.rs"), "the place in the code is told: {said}");
}

#[test]
fn at_the_start_of_a_call() {
    let painter = Painter::new();
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![9; 3 * SIDE * SIDE]);
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    PANIC_AT.set("call");
    panicked(painter.paint(&labels_of(&ids, SIDE), null(), &image), "call");
    PANIC_AT.set("call");
    assert_eq!(semsynth_version(), 0, "a function without a status gives its neutral value");
    assert_eq!(semsynth_version(), SEMSYNTH_VERSION);
    must(painter.paint(&labels_of(&ids, SIDE), null(), &image));
    assert_eq!(bytes, expected(&ids, SIDE));
}

/// On the caller's own thread, and with threads of the session's own.
#[test]
fn in_the_middle_of_a_picture_and_the_session_recovers() {
    let (ids, expected) = (ids(SIDE, SIDE), expected(&ids(SIDE, SIDE), SIDE));
    for threads in [0, 2] {
        let mut options: SemsynthSessionOptions = sized();
        options.threads = threads;
        let painter = Painter::with(&raw const options);
        let (labels, request) = (labels_of(&ids, SIDE), watched());
        for _ in 0..2 {
            let mut bytes = vec![9; 3 * SIDE * SIDE];
            let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
            PANIC_AT.set("picture");
            panicked(painter.paint(&labels, &raw const request, &image), "picture");
            assert!(bytes.iter().all(|&byte| byte == 9), "a call that failed has written");
            let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
            must(painter.paint(&labels, &raw const request, &image));
            assert!(bytes == expected, "{threads} threads");
        }
    }
}

#[test]
fn in_a_job_and_its_session_recovers() {
    let painter = Painter::new();
    let (ids, request) = (ids(SIDE, SIDE), watched());
    let (labels, mut bytes) = (labels_of(&ids, SIDE), vec![9; 3 * SIDE * SIDE]);
    for place in ["job", "picture"] {
        let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
        let (mut job, mut state) = (null_mut(), 9);
        PANIC_AT.set(place);
        // SAFETY: labels and image describe memory that stays; handles and outputs are there.
        unsafe {
            must(semsynth_synthesize_async(
                painter.session,
                &raw const labels,
                &raw const request,
                &raw const image,
                &raw mut job,
            ));
            panicked(semsynth_job_wait(job, -1), place);
            must(semsynth_job_poll(job, &raw mut state, null_mut()));
            assert_eq!(state, SEMSYNTH_JOB_ENDED);
            must(semsynth_job_cancel(job));
            panicked(semsynth_job_wait(job, 0), place);
            must(semsynth_job_release(job));
        }
        assert!(bytes.iter().all(|&byte| byte == 9), "a job that failed has written");
    }
    must(painter.paint(&labels, null(), &image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3)));
    assert_eq!(bytes, expected(&ids, SIDE));
}

/// A canvas knows what it has computed; after a panic nobody knows that.
#[test]
fn in_a_canvas_which_is_refused_from_then_on() {
    let painter = Painter::new();
    let ids = ids(SIDE, SIDE);
    let labels = labels_of(&ids, SIDE);
    for place in ["canvas", "picture"] {
        let mut bytes = vec![9; 3 * SIDE * SIDE];
        let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
        let mut update: SemsynthUpdate = sized();
        update.progress = Some(go_on);
        let (mut canvas, mut count) = (null_mut(), 77_usize);
        let dab = labels_of(&ids[..4], 2);
        // SAFETY: handles, memory and outputs are there.
        unsafe {
            must(semsynth_canvas_create(painter.session, &raw const labels, null(), &raw mut canvas));
            PANIC_AT.set(place);
            if place == "canvas" {
                panicked(semsynth_canvas_edit(canvas, &raw const dab, 3, 3, null_mut()), place);
            } else {
                let status =
                    semsynth_canvas_update(canvas, &raw const update, &raw const image, null_mut(), 0, &raw mut count);
                panicked(status, place);
            }
            let rect = SemsynthRect { x: 0, y: 0, width: 1, height: 1 };
            let (mut id, mut at, mut memory) = (77_u16, 77_u32, 77_u64);
            let refused = [
                semsynth_canvas_edit(canvas, &raw const dab, 3, 3, null_mut()),
                semsynth_canvas_update(canvas, null(), &raw const image, null_mut(), 0, &raw mut count),
                semsynth_canvas_read(canvas, &raw const image),
                semsynth_canvas_labels(canvas, &raw const rect, &raw mut id, 1),
                semsynth_canvas_is_at(canvas, SEMSYNTH_GOAL_BITS, 0, &raw mut at),
                semsynth_canvas_memory(canvas, &raw mut memory),
                semsynth_canvas_set_request(canvas, null()),
            ];
            assert_eq!(refused, [SEMSYNTH_STATUS_PANIC; 7]);
            assert!(message().contains("make a new one"), "{}", message());
            assert_eq!((count, id, at, memory), (77, 77, 77, 77));
            must(semsynth_canvas_release(canvas));
        }
        assert!(bytes.iter().all(|&byte| byte == 9), "a call that failed has written");
        // The session is as before.
        must(painter.paint(&labels, null(), &image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3)));
        assert_eq!(bytes, expected(&ids, SIDE));
    }
}
