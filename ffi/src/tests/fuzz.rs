//! Random bytes and calls: an error at worst. `SEMSYNTH_FUZZ_SECONDS` says how long each test tries; without it a second.
//!
//! This stands for `cargo fuzz`, which needs another toolchain: the inputs are valid ones, changed at random. A failure names its
//! seed.

use std::panic::catch_unwind;

use super::*;

/// Random numbers: `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// A number that is often at an edge.
    fn edge(&mut self) -> u64 {
        let some = self.next();
        [0, 1, 2, 3, 16, 64, some % 100, some, u64::MAX, 1 << 31, 1 << 32, (1 << 63) - 1][self.below(12)]
    }

    /// Changes, cuts, repeats or drops some bytes.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            // Headers are where it counts.
            let at = if self.below(2) == 0 { at % 4096.min(bytes.len().max(1)) } else { at };
            match self.below(5) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 => {
                    let end = (at + self.below(32)).min(bytes.len());
                    let part = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at.min(end)..at.min(end), part);
                }
                _ => {
                    let end = (at + self.below(32)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
            }
        }
    }
}

/// Calls `work` with seed after seed until the time is over. A panic that leaves it names the seed.
fn fuzz(work: impl Fn(&mut Random) + std::panic::RefUnwindSafe) {
    let seconds = std::env::var("SEMSYNTH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let (start, mut seed) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        catch_unwind(|| work(&mut Random(seed))).unwrap_or_else(|_| panic!("failed with seed {seed}"));
        seed += 1;
    }
    println!("{seed} inputs");
    assert!(seed > 0);
}

/// A status is a success or an error with a message, but never a panic.
fn sane(status: SemsynthStatus) -> bool {
    assert!((0..1000).contains(&status), "{status}: {}", message());
    assert!(status == SEMSYNTH_STATUS_OK || !message().is_empty());
    status == SEMSYNTH_STATUS_OK
}

/// The smallest model there is: a file of a few kilobytes.
pub(super) fn model_bytes() -> Vec<u8> {
    use semsynth_core::label::{Class, ClassTable};
    use semsynth_core::model::{FORMAT, Manifest, Precision, Provenance};
    use semsynth_core::network::{Architecture, GeneratorConfig};
    use semsynth_core::nn::modulation::ModulationKind;
    use semsynth_core::nn::{Init, Statistics};
    let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
    let architecture = Architecture::SpadeFamily(GeneratorConfig::new(ModulationKind::Clade, 2, 3));
    let network = architecture.init(&mut Init::random(1, Device::cpu().burn())).unwrap();
    let manifest = Manifest {
        format: FORMAT,
        name: "small".into(),
        architecture,
        classes: ClassTable::new((0..3).map(class).collect()).unwrap(),
        statistics: Statistics::Running,
        native_size: [32, 32],
        value_range: [-1.0, 1.0],
        provenance: Provenance::default(),
        licence: "CC0-1.0".into(),
        presets: Vec::new(),
    };
    Model::from_network(network, manifest, Precision::Half).unwrap().to_bytes().unwrap()
}

#[test]
fn damaged_models_are_errors() {
    let whole = model_bytes();
    fuzz(|random| {
        let mut bytes = whole.clone();
        random.damage(&mut bytes);
        let mut model = null_mut();
        // SAFETY: so many bytes are there.
        let status = unsafe { semsynth_model_load_memory(bytes.as_ptr(), bytes.len(), null(), &raw mut model) };
        if sane(status) {
            // What loads can be described and used, or says why not.
            let mut info: SemsynthModelInfo = sized();
            let (mut device, mut session) = (null_mut(), null_mut());
            // SAFETY: handles and outputs are there.
            unsafe {
                must(semsynth_model_info(model, &raw mut info));
                must(semsynth_device_create(c"cpu".as_ptr(), &raw mut device));
                if sane(semsynth_session_create(device, model, null(), &raw mut session)) {
                    let (ids, mut bytes) = (vec![0; 32 * 32], vec![0; 3 * 32 * 32]);
                    let image = image_of(&mut bytes, 32, SEMSYNTH_FORMAT_RGB8, 3);
                    sane(semsynth_synthesize(session, &labels_of(&ids, 32), null(), &raw const image));
                    must(semsynth_session_release(session));
                }
                must(semsynth_device_release(device));
                must(semsynth_model_release(model));
            }
        } else {
            assert!(model.is_null(), "an output was written by a call that failed");
        }
    });
}

#[test]
fn damaged_styles_are_errors() {
    let mut style = null_mut();
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let mut whole = vec![0; 1 << 16];
    let mut length = 0;
    // SAFETY: the values, the buffer and the outputs are there.
    unsafe {
        must(semsynth_style_from_values(SEMSYNTH_STYLE_REGIONS, values.as_ptr(), 3, 8, &raw mut style));
        must(semsynth_style_save(style, whole.as_mut_ptr(), whole.len(), &raw mut length));
        must(semsynth_style_release(style));
    }
    whole.truncate(length);
    fuzz(|random| {
        let mut bytes = whole.clone();
        random.damage(&mut bytes);
        let mut style = null_mut();
        // SAFETY: so many bytes are there.
        if sane(unsafe { semsynth_style_load(null(), bytes.as_ptr(), bytes.len(), &raw mut style) }) {
            // SAFETY: owned.
            must(unsafe { semsynth_style_release(style) });
        }
    });
}

#[test]
fn damaged_palettes_are_errors() {
    let texts: [(u32, &str); 3] = [
        (SEMSYNTH_PALETTE_GPL, "GIMP Palette\nName: x\nColumns: 4\n#\n  0   0 222\tbackground\n 70 130 180\tsky\n"),
        (
            SEMSYNTH_PALETTE_JSON,
            r#"{"classes": [{"id": 0, "name": "sky", "rgb": [128, 128, 128]}, {"id": 7, "name": "sea", "rgb": [1, 2, 3]}]}"#,
        ),
        (
            SEMSYNTH_PALETTE_RON,
            r#"(classes: [(id: 0, name: "sky", color: (128, 128, 128)), (id: 3, name: "sea", color: (1, 2, 3))])"#,
        ),
    ];
    fuzz(|random| {
        let (kind, text) = texts[random.below(3)];
        let mut bytes = text.as_bytes().to_vec();
        random.damage(&mut bytes);
        let mut palette = null_mut();
        // SAFETY: so many bytes are there.
        if sane(unsafe { semsynth_palette_parse(kind, bytes.as_ptr(), bytes.len(), &raw mut palette) }) {
            // SAFETY: owned.
            must(unsafe { semsynth_palette_release(palette) });
        }
    });
}

/// Fields at their edges: pictures that can be painted are, all others are refused before memory is touched.
#[test]
fn any_request_is_an_error_at_worst() {
    let painter = Painter::new();
    let address = [painter.session.addr(), painter.model.addr()];
    let ids = ids(48, 40);
    fuzz(|random| {
        let session: *const SemsynthSession = std::ptr::without_provenance(address[0]);
        let mut bytes = vec![0; 4 * 48 * 40];
        let (mut labels, mut image) = (labels_of(&ids, 48), image_of(&mut bytes, 48, SEMSYNTH_FORMAT_RGB8, 4));
        image.height = 40;
        let mut request: SemsynthRequest = sized();
        for _ in 0..=random.below(3) {
            let edge = random.edge();
            // Sizes only shrink: what a caller says is there must be.
            let smaller = edge as usize % 41;
            match random.below(16) {
                0 => request.seed = edge,
                1 => request.origin_x = edge as i64,
                2 => request.origin_y = edge as i64,
                3 => request.region.x = edge as i64,
                4 => request.region.width = edge as u32,
                5 => (request.region.height, request.region.width) = (edge as u32 % 64, edge as u32 % 32),
                6 => request.border_rows = edge as u32 % 4,
                7 => request.border_columns = edge as u32,
                8 => request.statistics = edge as u32 % 5,
                9 => request.flags = edge as u32,
                10 => request.memory_limit = edge,
                11 => (labels.height, image.height) = (smaller, smaller),
                12 => (labels.width, labels.stride) = (smaller, 48),
                13 => labels.policy = edge as u32,
                14 => image.format = edge as u32 % 40,
                _ => request.struct_size = edge as usize % 200,
            }
        }
        if image.format >= SEMSYNTH_FORMAT_RGB_F32 || labels.format != SEMSYNTH_FORMAT_U8 {
            return;
        }
        // SAFETY: labels and image are within memory that is there.
        sane(unsafe { semsynth_synthesize(session, &raw const labels, &raw const request, &raw const image) });
    });
}

fn handle<T>(address: usize) -> *mut T {
    std::ptr::without_provenance_mut(address)
}

/// Calls in any order, with handles that were released, and ones that never were.
#[test]
fn calls_in_any_order_are_errors_at_worst() {
    let ids = ids(32, 32);
    fuzz(|random| {
        // Other tests own those that begin at 1.
        let mut handles: Vec<usize> = vec![0, usize::MAX, 1 << 60];
        for _ in 0..12 {
            let mut some = || handles[random.below(handles.len())];
            let (a, b) = (some(), some());
            let mut out: *mut c_void = null_mut();
            let mut bytes = vec![0; 3 * 32 * 32];
            let image = image_of(&mut bytes, 32, SEMSYNTH_FORMAT_RGB8, 3);
            let labels = labels_of(&ids, 32);
            // SAFETY: handles are numbers, and all memory is there.
            let status = unsafe {
                match random.below(14) {
                    0 => semsynth_device_create(c"cpu".as_ptr(), (&raw mut out).cast()),
                    1 => semsynth_model_load_builtin(c"facades".as_ptr(), (&raw mut out).cast()),
                    2 => semsynth_session_create(handle(a), handle(b), null(), (&raw mut out).cast()),
                    3 => semsynth_session_fork(handle(a), (&raw mut out).cast()),
                    4 => semsynth_synthesize(handle(a), &raw const labels, null(), &raw const image),
                    5 => semsynth_palette_create(handle(a), (&raw mut out).cast()),
                    6 => semsynth_cancel_create((&raw mut out).cast()),
                    7 => semsynth_cancel_now(handle(a)),
                    8 => semsynth_session_release(handle(a)),
                    9 => semsynth_model_release(handle(a)),
                    10 => semsynth_device_release(handle(a)),
                    11 => semsynth_palette_release(handle(a)),
                    12 => crate::canvas::semsynth_canvas_create(
                        handle(a),
                        &raw const labels,
                        null(),
                        (&raw mut out).cast(),
                    ),
                    _ => crate::canvas::semsynth_canvas_update(
                        handle(a),
                        null(),
                        &raw const image,
                        null_mut(),
                        0,
                        null_mut(),
                    ),
                }
            };
            sane(status);
            if !out.is_null() {
                handles.push(out.addr());
            }
        }
        for handle in handles {
            let handle = std::ptr::without_provenance_mut::<c_void>(handle);
            // SAFETY: as above; a handle is of one of these.
            unsafe {
                let _ = semsynth_session_release(handle.cast());
                let _ = semsynth_model_release(handle.cast());
                let _ = semsynth_device_release(handle.cast());
                let _ = semsynth_palette_release(handle.cast());
                let _ = semsynth_cancel_release(handle.cast());
                let _ = crate::canvas::semsynth_canvas_release(handle.cast());
            }
        }
    });
}
