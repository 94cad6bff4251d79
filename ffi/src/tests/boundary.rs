//! The boundary with the smallest model there is: little enough to compute for Miri and the thread sanitizer, which watch every
//! access to memory (`ffi/watched.sh`).

use std::sync::LazyLock;
use std::thread;

use semsynth_core::network::{GeneratorConfig, Upsampling};
use semsynth_core::nn::modulation::ModulationKind;

use super::fuzz::small_model;
use super::*;
use crate::canvas::*;
use crate::job::*;

/// Miri takes minutes for the 256 pixels of 16x16.
const SIDE: usize = if cfg!(miri) { 8 } else { 16 };

/// A model of a few thousand values. It is made once, for that takes Miri half a minute.
fn model_bytes() -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let plain = GeneratorConfig::new(ModulationKind::Clade, 2, 3);
        small_model(GeneratorConfig { upsampling: Upsampling::Two, ..plain })
    });
    &BYTES
}

fn ids() -> Vec<u8> {
    (0..SIDE * SIDE).map(|i| ((i % SIDE / 3 + i / SIDE / 2) % 3) as u8).collect()
}

fn picture(small: &Painter, ids: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 3 * SIDE * SIDE];
    let (labels, image) = (labels_of(ids, SIDE), image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3));
    // SAFETY: labels and image describe memory that is there.
    must(unsafe { semsynth_synthesize(small.session, &raw const labels, null(), &raw const image) });
    bytes
}

extern "C" fn count_calls(user: *mut c_void, _: f32) -> u32 {
    // SAFETY: the test hands a number that outlives the call.
    unsafe { *user.cast::<u32>() += 1 };
    1
}

/// Pictures into memory of every kind of the caller's, and one that ends exactly where it must.
#[test]
fn watched_pictures_are_written_within_their_memory() {
    let (small, ids) = (Painter::of(model_bytes()), ids());
    let expected = picture(&small, &ids);
    // Bottom-up rows with padding. The memory ends with the last pixel of the first row.
    let stride = 4 * SIDE + 12;
    let mut padded = vec![7_u8; stride * (SIDE - 1) + 4 * SIDE];
    let mut image = image_of(&mut [0; 3 * SIDE * SIDE], SIDE, SEMSYNTH_FORMAT_BGRA8, 3);
    let mut calls = 0_u32;
    // SAFETY: the first row begins `SIDE - 1` strides on.
    image.data = unsafe { padded.as_mut_ptr().add(stride * (SIDE - 1)) }.cast();
    image.stride = -(stride as isize);
    let mut request: SemsynthRequest = sized();
    request.progress = Some(count_calls);
    request.user = (&raw mut calls).cast();
    let labels = labels_of(&ids, SIDE);
    // SAFETY: as described.
    must(unsafe { semsynth_synthesize(small.session, &raw const labels, &raw const request, &raw const image) });
    assert!(calls > 0);
    for (y, expected) in expected.chunks(3 * SIDE).enumerate() {
        let row = &padded[stride * (SIDE - 1 - y)..][..4 * SIDE];
        assert!(row.chunks(4).zip(expected.chunks(3)).all(|(a, b)| a == [b[2], b[1], b[0], 255]));
    }
    // Labels of 16 bits with rows apart.
    let wide: Vec<u16> = ids.chunks(SIDE).flat_map(|row| row.iter().map(|&id| u16::from(id)).chain([9, 9])).collect();
    let mut apart: SemsynthLabels = sized();
    apart.data = wide.as_ptr().cast();
    (apart.width, apart.height, apart.format) = (SIDE, SIDE, SEMSYNTH_FORMAT_U16);
    apart.stride = 2 * (SIDE as isize + 2);
    let mut bytes = vec![0; 3 * SIDE * SIDE];
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    // SAFETY: as described.
    must(unsafe { semsynth_synthesize(small.session, &raw const apart, null(), &raw const image) });
    assert_eq!(bytes, expected);
}

/// Structs, arrays and texts that go in and out.
#[test]
fn watched_descriptions_are_copied_within_their_memory() {
    let small = Painter::of(model_bytes());
    let mut info: SemsynthModelInfo = sized();
    let mut palette = null_mut();
    // SAFETY: handles and outputs are there.
    unsafe {
        must(semsynth_model_info(small.model, &raw mut info));
        must(semsynth_palette_create(small.model, &raw mut palette));
        must(semsynth_palette_release(palette));
        // A stale handle, another type's, NULL.
        assert_eq!(semsynth_palette_release(palette), SEMSYNTH_STATUS_INVALID_HANDLE);
        assert_eq!(semsynth_model_info(small.session.cast(), &raw mut info), SEMSYNTH_STATUS_INVALID_HANDLE);
        assert_ne!(semsynth_model_info(small.model, null_mut()), SEMSYNTH_STATUS_OK);
    }
    // A struct of an older header, in memory that ends with it, and one that says too little.
    let size = <SemsynthModelInfo as crate::pointers::Versioned>::FIRST;
    let mut older = vec![0_usize; size.div_ceil(size_of::<usize>())];
    older[0] = size;
    // SAFETY: the memory has the size that it says.
    must(unsafe { semsynth_model_info(small.model, older.as_mut_ptr().cast()) });
    older[0] = 3;
    // SAFETY: as above.
    assert_eq!(
        unsafe { semsynth_model_info(small.model, older.as_mut_ptr().cast()) },
        SEMSYNTH_STATUS_VERSION_MISMATCH
    );
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let (mut style, mut again, mut length) = (null_mut(), null_mut(), 0);
    // SAFETY: the values and the outputs are there.
    unsafe {
        must(semsynth_style_from_values(SEMSYNTH_STYLE_REGIONS, values.as_ptr(), 3, 8, &raw mut style));
        must(semsynth_style_save(style, null_mut(), 0, &raw mut length));
        let mut bytes = vec![0; length];
        must(semsynth_style_save(style, bytes.as_mut_ptr(), bytes.len(), &raw mut length));
        assert_ne!(semsynth_style_save(style, bytes.as_mut_ptr(), length - 1, &raw mut length), SEMSYNTH_STATUS_OK);
        must(semsynth_style_load(null(), bytes.as_ptr(), bytes.len(), &raw mut again));
        must(semsynth_style_release(style));
        must(semsynth_style_release(again));
    }
    assert!(!message().is_empty());
}

/// A canvas, edited and read in parts.
#[test]
fn watched_canvases_give_the_picture_of_their_labels() {
    let (small, mut ids) = (Painter::of(model_bytes()), ids());
    let labels = labels_of(&ids, SIDE);
    let (mut canvas, mut count) = (null_mut(), 0);
    let mut bytes = vec![0; 3 * SIDE * SIDE];
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    let mut rects = [SemsynthRect::default(); 4];
    // SAFETY: handles, memory and outputs are there.
    unsafe {
        must(semsynth_canvas_create(small.session, &raw const labels, null(), &raw mut canvas));
        must(semsynth_canvas_update(canvas, null(), &raw const image, rects.as_mut_ptr(), rects.len(), &raw mut count));
    }
    assert_eq!(bytes, picture(&small, &ids));
    let painted = [2_u8; 9];
    let dab = labels_of(&painted, 3);
    for y in 0..3 {
        ids[(4 + y) * SIDE + 2..][..3].fill(2);
    }
    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
    // SAFETY: as above.
    unsafe {
        must(semsynth_canvas_edit(canvas, &raw const dab, 2, 4, null_mut()));
        must(semsynth_canvas_update(canvas, null(), null(), null_mut(), 0, &raw mut count));
        must(semsynth_canvas_read(canvas, &raw const image));
        must(semsynth_canvas_release(canvas));
    }
    // An edit is within rounding of the whole picture.
    assert!(bytes.iter().zip(picture(&small, &ids)).all(|(a, b)| a.abs_diff(b) <= 1));
}

/// One model in many threads, which paint, start jobs and cancel them; the handles are shared.
#[test]
fn watched_threads_share_a_model() {
    let (small, ids) = (Painter::of(model_bytes()), ids());
    let expected = picture(&small, &ids);
    let session = small.session.addr();
    let threads = if cfg!(miri) { 3 } else { 8 };
    let rounds = if cfg!(miri) { 1 } else { 20 };
    thread::scope(|scope| {
        for number in 0..threads {
            let (ids, expected) = (&ids, &expected);
            scope.spawn(move || {
                let shared: *const SemsynthSession = std::ptr::without_provenance(session);
                let mut own = null_mut();
                // SAFETY: a handle and an output.
                must(unsafe { semsynth_session_fork(shared, &raw mut own) });
                for round in 0..rounds {
                    let mut bytes = vec![0; 3 * SIDE * SIDE];
                    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
                    let labels = labels_of(ids, SIDE);
                    // By turns with the session of all and with one of its own.
                    let session = if (number + round) % 2 == 0 { shared } else { own.cast_const() };
                    let mut job = null_mut();
                    // SAFETY: labels and image stay until the job has ended.
                    let status = unsafe {
                        must(semsynth_synthesize_async(
                            session,
                            &raw const labels,
                            null(),
                            &raw const image,
                            &raw mut job,
                        ));
                        if round % 3 == 2 {
                            must(semsynth_job_cancel(job));
                        }
                        let status = semsynth_job_wait(job, -1);
                        must(semsynth_job_release(job));
                        status
                    };
                    if status != SEMSYNTH_STATUS_CANCELLED {
                        must(status);
                        assert_eq!(&bytes, expected);
                    }
                }
                // SAFETY: owned.
                must(unsafe { semsynth_session_release(own) });
            });
        }
    });
}
