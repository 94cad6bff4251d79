//! Bytes as calls: four for each, the function, two numbers of handles, and a choice.

use std::sync::LazyLock;

use super::*;
use crate::canvas::*;
use crate::job::*;

const SIDE: usize = 32;
/// The number of functions in [`World::call`].
const FUNCTIONS: u8 = 48;
/// Handles that are none; those that calls make come after them.
const NONE: [usize; 3] = [0, usize::MAX, 1 << 60];

/// The first handle that a sequence makes, and the ones after it.
const FIRST: u8 = NONE.len() as u8;
const DEVICE: u8 = FIRST;
const MODEL: u8 = FIRST + 1;
const SESSION: u8 = FIRST + 2;
const FOURTH: u8 = FIRST + 3;
const FIFTH: u8 = FIRST + 4;

const START: [[u8; 4]; 3] = [[0, 0, 0, 0], [1, 0, 0, 1], [2, DEVICE, MODEL, 0]];

/// A picture, one more from a fork, and everything about the model.
pub(super) const PICTURE: [[u8; 4]; 14] = [
    START[0],
    START[1],
    START[2],
    [6, SESSION, 0, 0],
    [3, SESSION, 0, 0],
    [6, FOURTH, 0, 1],
    [4, SESSION, 0, 1],
    [5, SESSION, 0, 0],
    [27, MODEL, 0, 0],
    [28, MODEL, 0, 1],
    [32, MODEL, 0, 5],
    [43, DEVICE, 0, 0],
    [46, MODEL, 0, 1],
    [6, SESSION, 0, 0],
];
/// Edits of a canvas, its labels and pixels.
pub(super) const CANVAS: [[u8; 4]; 14] = [
    START[0],
    START[1],
    START[2],
    [33, SESSION, 0, 0],
    [37, FOURTH, 0, 0],
    [34, FOURTH, 0, 9],
    [37, FOURTH, 0, 1],
    [39, FOURTH, 0, 0],
    [35, FOURTH, 0, 3],
    [36, FOURTH, 0, 0],
    [37, FOURTH, 0, 8],
    [38, FOURTH, 0, 0],
    [40, FOURTH, 0, 0],
    [46, FOURTH, 0, 6],
];
/// Jobs of one session: waited for, polled, cancelled; and a token.
pub(super) const JOBS: [[u8; 4]; 12] = [
    START[0],
    START[1],
    START[2],
    [7, SESSION, 0, 1],
    [7, SESSION, 0, 0],
    [8, FOURTH, 0, 0],
    [10, FIFTH, 0, 0],
    [9, FOURTH, 0, 0],
    [41, 0, 0, 0],
    [42, FIRST + 5, 0, 0],
    [45, FOURTH, 0, 7],
    [46, FOURTH, 0, 7],
];
/// Presets, blends, files of styles.
pub(super) const STYLES: [[u8; 4]; 13] = [
    START[0],
    START[1],
    START[2],
    [30, MODEL, 0, 0],
    [31, MODEL, 0, 1],
    [19, MODEL, 0, 0],
    [19, MODEL, 0, 1],
    [22, FOURTH, FIFTH, 100],
    [23, FOURTH, FIFTH, 1],
    [24, FOURTH, 0, 0],
    [25, FOURTH, 0, 0],
    [26, 0, 0, 0],
    [6, SESSION, FOURTH, 8],
];
/// Palettes, colours and ids.
pub(super) const LABELS: [[u8; 4]; 9] = [
    START[0],
    START[1],
    START[2],
    [11, MODEL, 0, 0],
    [13, FOURTH, 0, 0],
    [14, FOURTH, 0, 1],
    [17, FOURTH, 0, 0],
    [16, FOURTH, 0, 2],
    [12, 0, 0, 1],
];

extern "C" fn go_on(_: *mut c_void, _: f32) -> u32 {
    1
}

/// Runs calls, and counts those that succeeded and all.
pub(super) fn run(bytes: &[u8]) -> (usize, usize) {
    let mut world = World { handles: NONE.to_vec(), pictures: Vec::new(), ids: ids(SIDE, SIDE) };
    world.ids.iter_mut().for_each(|id| *id %= 3);
    let (mut good, mut all) = (0, 0);
    // More calls only cost time.
    for call in bytes.chunks_exact(4).take(40) {
        let mut out = null_mut();
        let status = world.call([call[0], call[1], call[2], call[3]], &raw mut out);
        let succeeded = sane(status);
        assert!(succeeded || out.is_null(), "a call that failed has written");
        if !out.is_null() {
            world.handles.push(out.addr());
        }
        (good, all) = (good + usize::from(succeeded), all + 1);
    }
    (good, all)
}

struct World {
    handles: Vec<usize>,
    /// Those that jobs paint.
    pictures: Vec<Vec<u8>>,
    ids: Vec<u8>,
}

impl Drop for World {
    fn drop(&mut self) {
        for &handle in &self.handles {
            // As often as it takes: owners were added.
            while RELEASES.iter().any(|release| release(handle) == SEMSYNTH_STATUS_OK) && !NONE.contains(&handle) {}
        }
    }
}

type OfHandle = fn(usize) -> SemsynthStatus;

fn handle<T>(address: usize) -> *mut T {
    std::ptr::without_provenance_mut(address)
}

// SAFETY: handles are numbers, which are checked.
const RELEASES: [OfHandle; 8] = unsafe {
    [
        |of| semsynth_device_release(handle(of)),
        |of| semsynth_model_release(handle(of)),
        |of| semsynth_session_release(handle(of)),
        |of| semsynth_palette_release(handle(of)),
        |of| semsynth_style_release(handle(of)),
        |of| semsynth_cancel_release(handle(of)),
        |of| semsynth_canvas_release(handle(of)),
        |of| semsynth_job_release(handle(of)),
    ]
};
// SAFETY: as above.
const RETAINS: [OfHandle; 8] = unsafe {
    [
        |of| semsynth_device_retain(handle(of)),
        |of| semsynth_model_retain(handle(of)),
        |of| semsynth_session_retain(handle(of)),
        |of| semsynth_palette_retain(handle(of)),
        |of| semsynth_style_retain(handle(of)),
        |of| semsynth_cancel_retain(handle(of)),
        |of| semsynth_canvas_retain(handle(of)),
        |of| semsynth_job_retain(handle(of)),
    ]
};

impl World {
    fn call(&mut self, [function, a, b, choice]: [u8; 4], out: *mut *mut c_void) -> SemsynthStatus {
        let of = |number: u8| self.handles[usize::from(number) % self.handles.len()];
        let (a, b) = (of(a), of(b));
        let c = usize::from(choice);
        let mut bytes = vec![0_u8; 4 * SIDE * SIDE];
        let mut image = image_of(&mut bytes[..3 * SIDE * SIDE], SIDE, SEMSYNTH_FORMAT_RGB8, 3);
        if function % FUNCTIONS == 7 {
            self.pictures.push(bytes.clone());
            image.data = self.pictures.last_mut().unwrap().as_mut_ptr().cast();
        }
        let labels = labels_of(&self.ids, SIDE);
        let regions = [SemsynthRegionStyle { style: handle(b), id: u32::from(choice) % 5, weight: 0.5 }];
        let (mut request, mut update): (SemsynthRequest, SemsynthUpdate) = (sized(), sized());
        if choice & 1 != 0 {
            request.progress = Some(if choice & 2 != 0 { stop_at_once } else { go_on });
        }
        if choice & 4 != 0 {
            request.cancel = handle(b);
        }
        if choice & 8 != 0 {
            request.style = handle(b);
        }
        if choice & 16 != 0 {
            (request.region_styles, request.region_style_count) = (regions.as_ptr(), 1);
        }
        if choice & 32 != 0 {
            request.instances = &raw const labels;
        }
        if choice & 64 != 0 {
            (request.border_rows, request.border_columns) = (SEMSYNTH_BORDER_WRAP, SEMSYNTH_BORDER_WRAP);
        }
        if choice & 128 != 0 {
            request.memory_limit = u64::from(choice) << 16;
        }
        (update.goal, update.levels, update.cancel, update.progress) =
            (u32::from(choice) % 5, u32::from(choice) / 5, request.cancel, request.progress);
        let (labels, request, image, update) =
            (&raw const labels, &raw const request, &raw const image, &raw const update);
        let values = [0.25_f32; 24];
        let rect = SemsynthRect { x: i64::from(choice) - 8, y: i64::from(choice) % 40, width: 3, height: 2 };
        let (mut number, mut small, mut wide, mut float) = (0_usize, 0_u32, 0_u64, 0.0_f32);
        let mut found = [0_u16; SIDE * SIDE];
        let mut class: SemsynthClass = no_class();
        // SAFETY: handles are numbers that are checked, all memory has the sizes that are said, and pictures of jobs stay until
        // the end.
        unsafe {
            match function % FUNCTIONS {
                0 => semsynth_device_create(c"cpu".as_ptr(), out.cast()),
                1 => {
                    let bytes = &MODELS[c % MODELS.len()];
                    semsynth_model_load_memory(bytes.as_ptr(), bytes.len(), null(), out.cast())
                }
                2 => {
                    let mut options: SemsynthSessionOptions = sized();
                    (options.threads, options.flags) = (u32::from(choice) % 3, u32::from(choice) / 3 % 3);
                    options.memory_limit = if choice & 64 != 0 { u64::from(choice) } else { 0 };
                    semsynth_session_create(handle(a), handle(b), &raw const options, out.cast())
                }
                3 => semsynth_session_fork(handle(a), out.cast()),
                4 => semsynth_session_warm_up(handle(a), 16 * (c % 4), 32, request),
                5 => {
                    let mut estimate: SemsynthEstimate = sized();
                    semsynth_session_estimate(handle(a), 32 << (c % 3), 64, request, &raw mut estimate)
                }
                6 => semsynth_synthesize(handle(a), labels, request, image),
                7 => semsynth_synthesize_async(handle(a), labels, request, image, out.cast()),
                8 => semsynth_job_poll(handle(a), &raw mut small, &raw mut float),
                9 => semsynth_job_wait(handle(a), i64::from(choice % 3) - 1),
                10 => semsynth_job_cancel(handle(a)),
                11 => semsynth_palette_create(handle(a), out.cast()),
                12 => {
                    let mut other = class;
                    (other.id, other.red, other.flags) = (u32::from(choice) << (choice % 17), choice, choice % 3);
                    other.name = [b'b' as std::ffi::c_char; 120];
                    class.name[0] = b'a' as std::ffi::c_char;
                    (other.id, other.red) = (other.id.max(1), other.red.max(1));
                    other.name[usize::from(choice) % 120] = 0;
                    semsynth_palette_create_from([class, other].as_ptr(), 2, out.cast())
                }
                13 => semsynth_palette_count(handle(a), &raw mut number),
                14 => semsynth_palette_class(handle(a), c, &raw mut class),
                15 => {
                    let text = b"GIMP Palette\n0 0 222 background\n70 130 180 sky\n";
                    semsynth_palette_parse(u32::from(choice) % 5, text.as_ptr(), text.len() - c % 20, out.cast())
                }
                16 => {
                    let mut report: SemsynthReport = sized();
                    let policy = u32::from(choice) % 4;
                    semsynth_labels_from_colors(
                        handle(a),
                        image,
                        policy,
                        255,
                        found.as_mut_ptr(),
                        found.len(),
                        &raw mut report,
                    )
                }
                17 => semsynth_labels_to_colors(handle(a), labels, image),
                18 => semsynth_style_from_seed(handle(a), u64::from(choice), out.cast()),
                19 => {
                    let names = [c"plain".as_ptr(), c"bright-1".as_ptr(), null(), c"x".as_ptr()];
                    semsynth_style_from_preset(handle(a), names[c % 4], out.cast())
                }
                20 => {
                    let (kind, rows) = (u32::from(choice) % 4, 1 + c % 3);
                    semsynth_style_from_values(kind, values.as_ptr(), rows, 8, out.cast())
                }
                21 => semsynth_style_encode(handle(a), image, if c % 2 == 0 { labels } else { null() }, out.cast()),
                22 => semsynth_style_blend(handle(a), handle(b), f32::from(choice) / 200.0, out.cast()),
                23 => semsynth_style_with_class(handle(a), u32::from(choice), handle(b), 1, out.cast()),
                24 => semsynth_style_info(handle(a), &mut sized()),
                25 => semsynth_style_save(handle(a), bytes.as_mut_ptr(), bytes.len() - c, &raw mut number),
                26 => {
                    let style = &STYLE;
                    semsynth_style_load(handle(a), style.as_ptr(), style.len() - c, out.cast())
                }
                27 => semsynth_model_info(handle(a), &mut sized()),
                28 => semsynth_model_class(handle(a), c, &raw mut class),
                29 => semsynth_model_find_class(handle(a), c"class 1".as_ptr(), &raw mut small),
                30 => semsynth_model_preset_count(handle(a), &raw mut number),
                31 => semsynth_model_preset(handle(a), c, &mut sized()),
                32 => {
                    let mut affected = rect;
                    semsynth_affected_rect(handle(a), &raw const rect, 32 * (c % 3) as u32, 32, &raw mut affected)
                }
                33 => semsynth_canvas_create(handle(a), labels, request, out.cast()),
                34 => {
                    let dab = labels_of(&[1; 6], 3);
                    semsynth_canvas_edit(handle(a), &raw const dab, rect.x, rect.y % 40 - 4, null_mut())
                }
                35 => {
                    let inside = SemsynthRect { x: rect.x.abs(), ..rect };
                    semsynth_canvas_labels(
                        handle(a),
                        &raw const inside,
                        found.as_mut_ptr(),
                        6 - c % 2 * usize::from(c > 9),
                    )
                }
                36 => semsynth_canvas_set_request(handle(a), request),
                37 => {
                    let mut rects = [SemsynthRect::default(); 2];
                    semsynth_canvas_update(handle(a), update, image, rects.as_mut_ptr(), 1 + c % 2, &raw mut number)
                }
                38 => semsynth_canvas_read(handle(a), image),
                39 => semsynth_canvas_is_at(handle(a), u32::from(choice) % 5, u32::from(choice) / 5, &raw mut small),
                40 => semsynth_canvas_memory(handle(a), &raw mut wide),
                41 => semsynth_cancel_create(out.cast()),
                42 => semsynth_cancel_now(handle(a)),
                43 => semsynth_device_describe(handle(a), &mut sized()),
                44 => semsynth_device_create(c"nonsense".as_ptr(), out.cast()),
                45 => RETAINS[c % 8](a),
                46 => RELEASES[c % 8](a),
                _ => {
                    // Functions without a status.
                    assert!(semsynth_last_error(bytes.as_mut_ptr().cast(), c) < 1 << 20);
                    assert!(!semsynth_status_name(i32::from(choice)).is_null());
                    SEMSYNTH_STATUS_OK
                }
            }
        }
    }
}

fn no_class() -> SemsynthClass {
    // SAFETY: integers and an array of them.
    unsafe { std::mem::zeroed() }
}

/// Models of all kinds, small ones.
static MODELS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let clade = || GeneratorConfig::new(ModulationKind::Clade, 2, 3);
    let latent = StyleConfig::Latent { length: 8, grid: [2, 2], encoder: None };
    let encoded = StyleConfig::Regions { length: 6, encoder: Some(2) };
    vec![
        model_bytes(),
        styled_model(),
        small_model(GeneratorConfig { instance_edges: true, ..clade() }),
        small_model(GeneratorConfig { style: latent, ..clade() }),
        small_model(GeneratorConfig { style: encoded, ..GeneratorConfig::new(ModulationKind::Sean, 2, 3) }),
    ]
});

static STYLE: LazyLock<Vec<u8>> = LazyLock::new(|| Style::random(3, 8).unwrap().to_bytes().unwrap());
