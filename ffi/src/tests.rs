//! The boundary as callers use it, against the Rust library.

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use semsynth_core::synth::PreparedModel;
use semsynth_core::{Device, LabelMap, Model, Request};

use crate::cancel::*;
use crate::device::*;
use crate::image::*;
use crate::labels::*;
use crate::library::*;
use crate::model::*;
use crate::palette::*;
use crate::request::*;
use crate::session::*;
use crate::status::*;
use crate::style::*;

mod boundary;
mod callbacks;
mod functions;
mod fuzz;
mod panics;

/// A struct of zeros that knows its size.
fn sized<T>() -> T {
    // SAFETY: the structs of the header are integers, floats and pointers, for which zeros are valid.
    let mut value: T = unsafe { std::mem::zeroed() };
    // SAFETY: they begin with their size.
    unsafe { (&raw mut value).cast::<usize>().write(size_of::<T>()) };
    value
}

/// The message of the last failure.
fn message() -> String {
    let mut text = vec![0_u8; 1024];
    // SAFETY: the buffer has so many bytes.
    let length = unsafe { semsynth_last_error(text.as_mut_ptr().cast(), text.len()) };
    text.truncate(length);
    String::from_utf8(text).unwrap()
}

fn must(status: SemsynthStatus) {
    assert!(status == SEMSYNTH_STATUS_OK, "{status}: {}", message());
}

/// The built-in model on the CPU.
struct Painter {
    model: *mut SemsynthModel,
    session: *mut SemsynthSession,
}

impl Painter {
    fn new() -> Self {
        Self::with(null())
    }

    fn with(options: *const SemsynthSessionOptions) -> Self {
        let (mut device, mut model, mut session) = (null_mut(), null_mut(), null_mut());
        let (cpu, facades) = (CString::new("cpu").unwrap(), CString::new("facades").unwrap());
        // SAFETY: texts and outputs are there.
        unsafe {
            must(semsynth_device_create(cpu.as_ptr(), &raw mut device));
            must(semsynth_model_load_builtin(facades.as_ptr(), &raw mut model));
            must(semsynth_session_create(device, model, options, &raw mut session));
            must(semsynth_device_release(device));
        }
        Self { model, session }
    }

    /// With a model from memory.
    fn of(model_bytes: &[u8]) -> Self {
        let (mut device, mut model, mut session) = (null_mut(), null_mut(), null_mut());
        // SAFETY: bytes, texts and outputs are there.
        unsafe {
            must(semsynth_device_create(c"cpu".as_ptr(), &raw mut device));
            must(semsynth_model_load_memory(model_bytes.as_ptr(), model_bytes.len(), null(), &raw mut model));
            must(semsynth_session_create(device, model, null(), &raw mut session));
            must(semsynth_device_release(device));
        }
        Self { model, session }
    }

    fn paint(&self, labels: &SemsynthLabels, request: *const SemsynthRequest, image: &SemsynthImage) -> SemsynthStatus {
        // SAFETY: labels and image describe memory that is there.
        unsafe { semsynth_synthesize(self.session, labels, request, image) }
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        // SAFETY: both are owned.
        unsafe {
            must(semsynth_session_release(self.session));
            must(semsynth_model_release(self.model));
        }
    }
}

/// Ids of the built-in model's classes.
fn ids(width: usize, height: usize) -> Vec<u8> {
    (0..width * height).map(|i| ((i % width / 9 + i / width / 7) % 12) as u8).collect()
}

fn labels_of(ids: &[u8], width: usize) -> SemsynthLabels {
    let mut labels: SemsynthLabels = sized();
    labels.data = ids.as_ptr().cast();
    (labels.width, labels.height, labels.format) = (width, ids.len() / width, SEMSYNTH_FORMAT_U8);
    labels
}

fn image_of(bytes: &mut [u8], width: usize, format: u32, depth: usize) -> SemsynthImage {
    let mut image: SemsynthImage = sized();
    image.data = bytes.as_mut_ptr().cast();
    (image.width, image.height, image.format) = (width, bytes.len() / depth / width, format);
    image
}

/// The picture that the Rust library paints.
fn expected(ids: &[u8], width: usize) -> Vec<u8> {
    let model = PreparedModel::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap();
    let map = LabelMap::from_u8(ids, width, ids.len() / width, width).unwrap();
    model.synthesizer().run(&map, &Request::new()).unwrap().into_bytes()
}

#[test]
fn pictures_are_those_of_the_rust_library() {
    let (width, height) = (90, 70);
    let ids = ids(width, height);
    let expected = expected(&ids, width);
    let painter = Painter::new();
    let mut bytes = vec![0; expected.len()];
    must(painter.paint(&labels_of(&ids, width), null(), &image_of(&mut bytes, width, SEMSYNTH_FORMAT_RGB8, 3)));
    assert_eq!(bytes, expected);
    // Bottom-up rows with padding, blue first; what is between rows stays.
    let stride = 4 * width + 12;
    let mut padded = vec![7; stride * height];
    let mut image = image_of(&mut bytes, width, SEMSYNTH_FORMAT_BGRA8, 3);
    image.data = padded[stride * (height - 1)..].as_mut_ptr().cast();
    image.stride = -(stride as isize);
    must(painter.paint(&labels_of(&ids, width), null(), &image));
    for (row, expected) in padded.chunks(stride).rev().zip(expected.chunks(3 * width)) {
        assert!(row[..4 * width].chunks(4).zip(expected.chunks(3)).all(|(a, b)| a == [b[2], b[1], b[0], 255]));
        assert!(row[4 * width..].iter().all(|&byte| byte == 7));
    }
    // A region, as a part of the whole.
    let mut request: SemsynthRequest = sized();
    request.region = SemsynthRect { x: 20, y: 10, width: 30, height: 25 };
    let mut part = vec![0; 3 * 30 * 25];
    let status =
        painter.paint(&labels_of(&ids, width), &raw const request, &image_of(&mut part, 30, SEMSYNTH_FORMAT_RGB8, 3));
    assert!(status == SEMSYNTH_STATUS_OK, "{}", message());
}

#[test]
fn outputs_of_calls_that_fail_are_untouched() {
    let painter = Painter::new();
    let (mut ids, mut bytes) = (ids(32, 32), vec![9; 3 * 32 * 32]);
    ids[500] = 200;
    let image = image_of(&mut bytes, 32, SEMSYNTH_FORMAT_RGB8, 3);
    assert_eq!(painter.paint(&labels_of(&ids, 32), null(), &image), SEMSYNTH_STATUS_UNKNOWN_IDS);
    assert!(message().contains("200"), "{}", message());
    ids[500] = 0;
    let mut small = image;
    small.height = 31;
    assert_eq!(painter.paint(&labels_of(&ids, 32), null(), &small), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    assert!(message().contains("image has 32x31 pixels"), "{}", message());
    assert!(bytes.iter().all(|&byte| byte == 9));
}

extern "C" fn stop_at_once(_: *mut c_void, _: f32) -> u32 {
    0
}

/// Cancels from another thread at many moments; the session then paints as before.
#[test]
fn a_cancelled_session_paints_as_before() {
    let side = 512;
    let (ids, painter) = (ids(side, side), Painter::new());
    let labels = labels_of(&ids, side);
    let mut expected = vec![0; 3 * side * side];
    let start = Instant::now();
    must(painter.paint(&labels, null(), &image_of(&mut expected, side, SEMSYNTH_FORMAT_RGB8, 3)));
    let whole = start.elapsed();
    let (mut bytes, mut latencies) = (vec![9; 3 * side * side], Vec::new());
    let rounds: u32 = 40;
    for round in 0..rounds {
        let mut cancel = null_mut();
        // SAFETY: the output is there.
        must(unsafe { semsynth_cancel_create(&raw mut cancel) });
        let mut request: SemsynthRequest = sized();
        request.cancel = cancel;
        let address = cancel.addr();
        let image = image_of(&mut bytes, side, SEMSYNTH_FORMAT_RGB8, 3);
        let (status, ended, cancelled) = std::thread::scope(|scope| {
            let canceller = scope.spawn(move || {
                std::thread::sleep(whole * round / rounds);
                let at = Instant::now();
                // SAFETY: a handle, which is checked.
                must(unsafe { semsynth_cancel_now(std::ptr::without_provenance(address)) });
                at
            });
            let status = painter.paint(&labels, &raw const request, &image);
            let ended = Instant::now();
            (status, ended, canceller.join().unwrap())
        });
        // SAFETY: owned.
        must(unsafe { semsynth_cancel_release(cancel) });
        if status == SEMSYNTH_STATUS_CANCELLED {
            latencies.push(ended.saturating_duration_since(cancelled));
        } else {
            must(status);
            assert_eq!(bytes, expected);
            bytes.fill(9);
        }
        assert!(bytes.iter().all(|&byte| byte == 9), "a cancelled call has written");
    }
    latencies.sort_unstable();
    assert!(latencies.len() >= 20, "{} of {rounds} were cancelled within {whole:?}", latencies.len());
    let at = |share: f64| latencies[(share * (latencies.len() - 1) as f64).ceil() as usize];
    let (median, p95) = (at(0.5), at(0.95));
    println!("cancelling took {median:?} (median), {p95:?} (95th percentile), {:?} at most", at(1.0));
    assert!(p95 < Duration::from_millis(100), "{latencies:?}");
    let mut request: SemsynthRequest = sized();
    request.progress = Some(stop_at_once);
    let image = image_of(&mut bytes, side, SEMSYNTH_FORMAT_RGB8, 3);
    assert_eq!(painter.paint(&labels, &raw const request, &image), SEMSYNTH_STATUS_CANCELLED);
    must(painter.paint(&labels, null(), &image));
    assert_eq!(bytes, expected);
}

/// What a call costs beyond the Rust library's: `SEMSYNTH_PAIRS=2000` for BENCHMARKS.md, on a quiet machine.
///
/// Each pair is a picture through Rust and one through C, in alternating order, so that a machine that gets slower meets both
/// alike. New sessions from time to time, because where their memory lies makes a difference of its own.
#[test]
fn a_call_costs_little() {
    const SIDE: usize = 256;
    const PAIRS_PER_SESSION: usize = 20;
    let pairs = std::env::var("SEMSYNTH_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(60_usize);
    let (ids, mut bytes) = (ids(SIDE, SIDE), vec![0; 3 * SIDE * SIDE]);
    let labels = labels_of(&ids, SIDE);
    let (mut rust, mut more) = (Vec::new(), Vec::new());
    while rust.len() < pairs {
        let painter = Painter::new();
        let model = PreparedModel::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap();
        let mut synth = model.synthesizer();
        for pair in 0..=PAIRS_PER_SESSION {
            let mut times = [Duration::ZERO; 2];
            let mut picture = None;
            for turn in 0..2 {
                let through_c = (turn + pair) % 2 == 1;
                let start = Instant::now();
                if through_c {
                    let image = image_of(&mut bytes, SIDE, SEMSYNTH_FORMAT_RGB8, 3);
                    must(painter.paint(&labels, null(), &image));
                } else {
                    let map = LabelMap::from_u8(&ids, SIDE, SIDE, SIDE).unwrap();
                    picture = Some(synth.run(&map, &Request::new()).unwrap());
                }
                times[usize::from(through_c)] = start.elapsed();
            }
            assert_eq!(picture.unwrap().as_bytes(), bytes);
            // The first one warms up.
            if pair > 0 {
                let [of_rust, of_c] = times.map(|time| time.as_secs_f64() * 1e3);
                rust.push(of_rust);
                more.push(of_c - of_rust);
            }
        }
    }
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |values: &[f64]| values[values.len() / 2];
    let (rust, more) = (median(&sorted(rust)), sorted(more));
    // The standard error of a median, from the range of the middle half, which outliers do not widen.
    let quartiles = more[3 * more.len() / 4] - more[more.len() / 4];
    let error = 1.2533 * quartiles / 1.349 / (more.len() as f64).sqrt();
    let percent = |milliseconds: f64| 100.0 * milliseconds / rust;
    println!(
        "a picture of {SIDE}x{SIDE}: {rust:.3} ms in Rust, {:+.3} ms or {:+.2} % through C (medians; standard error {:.2} %, \
         {} pairs)",
        median(&more),
        percent(median(&more)),
        percent(error),
        more.len()
    );
    // Other programs may use the machine: only what cannot be chance counts here.
    assert!(percent(median(&more) - 4.0 * error) < 1.0);
}

/// Every function is exported under its name and begins with a guard.
#[test]
fn every_export_is_guarded() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text
            .split("pub unsafe extern \"C\" fn ")
            .chain(text.split("pub extern \"C\" fn "))
            .filter(|part| part.starts_with("semsynth_"))
        {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let exported = text.split(&format!(" fn {name}(")).next().unwrap();
            assert!(
                exported
                    .trim_end_matches("pub unsafe extern \"C\"")
                    .trim_end_matches("pub extern \"C\"")
                    .trim_end()
                    .ends_with("#[unsafe(no_mangle)]"),
                "{name}"
            );
            // Some make a text once, within the guard too.
            let body = part.split("\n}\n").next().unwrap();
            assert!(body.contains("guard(") || body.contains("guard_or("), "{name} does not begin with a guard");
            count += 1;
        }
    }
    let symbols = include_str!("../../include/symbols.txt").lines().count();
    assert_eq!(count, symbols);
}
