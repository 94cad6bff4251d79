//! Bytes as the fields of a request, its labels and its picture: nine for each field that is set, its number and a value.

use super::*;

const WIDTH: usize = 48;
const HEIGHT: usize = 40;
/// Of the largest format, so that no size or format reaches beyond the memory.
const DEEPEST: usize = 16;

/// Fields of an ordinary request: see [`Asked::set`].
pub(super) const EXAMPLE: [(u8, u64); 14] = [
    (0, 7),
    (1, 64),
    (6, 0),
    (9, 1),
    (10, 1 << 30),
    (14, 33),
    (15, 136),
    (16, 2),
    (17, 1),
    (19, 1),
    (20, 1),
    (21, 2),
    (22, 2),
    (18, 1),
];

/// Sessions with models of all kinds, styles, and tokens.
pub(super) struct Painters {
    all: Vec<Painter>,
    sessions: Vec<usize>,
    /// For no model, one or the other, and one that is no handle.
    styles: [usize; 5],
    /// One that is cancelled, one that is not, and one that is no handle.
    cancels: [usize; 4],
}

impl Painters {
    pub(super) fn new() -> Self {
        let clade = || GeneratorConfig::new(ModulationKind::Clade, 2, 3);
        let latent = StyleConfig::Latent { length: 8, grid: [2, 2], encoder: None };
        let all = vec![
            Painter::new(),
            Painter::of(&model_bytes()),
            Painter::of(&styled_model()),
            Painter::of(&small_model(GeneratorConfig { instance_edges: true, ..clade() })),
            Painter::of(&small_model(GeneratorConfig { style: latent, ..clade() })),
        ];
        let (mut styles, mut cancels) = ([0, 0, 0, 0, usize::MAX], [0, 0, 0, usize::MAX]);
        let values = [0.5_f32; 12];
        // SAFETY: handles, values and outputs are there.
        unsafe {
            let mut style = null_mut();
            must(semsynth_style_from_preset(all[0].model, null(), &raw mut style));
            styles[1] = style.addr();
            must(semsynth_style_from_preset(all[2].model, null(), &raw mut style));
            styles[2] = style.addr();
            must(semsynth_style_from_values(SEMSYNTH_STYLE_GLOBAL, values.as_ptr(), 1, 8, &raw mut style));
            styles[3] = style.addr();
            for token in &mut cancels[1..3] {
                let mut cancel = null_mut();
                must(semsynth_cancel_create(&raw mut cancel));
                *token = cancel.addr();
            }
            must(semsynth_cancel_now(std::ptr::without_provenance(cancels[1])));
        }
        Self { sessions: all.iter().map(|painter| painter.session.addr()).collect(), all, styles, cancels }
    }
}

impl Drop for Painters {
    fn drop(&mut self) {
        // SAFETY: owned.
        unsafe {
            for style in &self.styles[1..4] {
                must(semsynth_style_release(std::ptr::without_provenance_mut(*style)));
            }
            for cancel in &self.cancels[1..3] {
                must(semsynth_cancel_release(std::ptr::without_provenance_mut(*cancel)));
            }
        }
        self.all.clear();
    }
}

extern "C" fn go_on(_: *mut c_void, _: f32) -> u32 {
    1
}

pub(super) fn run(painters: &Painters, bytes: &[u8]) {
    let ids: Vec<u8> = (0..DEEPEST * WIDTH * HEIGHT).map(|i| (i / 7 % 3) as u8).collect();
    let mut picture = vec![9; DEEPEST * WIDTH * HEIGHT];
    let mut labels = labels_of(&ids[..WIDTH * HEIGHT], WIDTH);
    let mut instances = labels;
    let mut image = image_of(&mut picture, WIDTH, SEMSYNTH_FORMAT_RGB8, DEEPEST);
    let mut request: SemsynthRequest = sized();
    let mut regions = [SemsynthRegionStyle { style: null(), id: 1, weight: 0.5 }; 2];
    let mut session = 0;
    // More fields only cost time.
    for field in bytes.chunks_exact(9).take(24) {
        let value = u64::from_le_bytes(field[1..].try_into().unwrap());
        let value = edge(value);
        let of = |list: &[usize]| list[value as usize % list.len()];
        // Sizes only shrink: what a caller says is there must be.
        let smaller = value as usize % (HEIGHT + 1);
        match field[0] % 26 {
            0 => request.seed = value,
            1 => request.origin_x = value as i64,
            2 => request.origin_y = value as i64,
            3 => request.region.x = value as i64,
            4 => request.region.width = value as u32,
            5 => (request.region.height, request.region.width) = (value as u32 % 64, value as u32 % 32),
            6 => request.border_rows = value as u32 % 4,
            7 => request.border_columns = value as u32,
            8 => request.statistics = value as u32 % 5,
            9 => request.flags = value as u32,
            10 => request.memory_limit = value,
            11 => (labels.height, image.height) = (smaller, smaller),
            12 => (labels.width, labels.stride) = (smaller, (DEEPEST * WIDTH) as isize),
            13 => labels.policy = value as u32,
            14 => image.format = value as u32 % 40,
            15 => labels.format = value as u32 % 40,
            16 => session = value as usize % painters.sessions.len(),
            17 => request.progress = if value.is_multiple_of(3) { Some(stop_at_once) } else { Some(go_on) },
            18 => request.cancel = std::ptr::without_provenance(of(&painters.cancels)),
            19 => request.style = std::ptr::without_provenance(of(&painters.styles)),
            20 => {
                regions[0].style = std::ptr::without_provenance(of(&painters.styles));
                (request.region_styles, request.region_style_count) = (regions.as_ptr(), 1 + value as usize % 2);
            }
            21 => {
                regions[1] = SemsynthRegionStyle {
                    style: std::ptr::without_provenance(of(&painters.styles)),
                    id: value as u32,
                    weight: f32::from_bits(value as u32),
                }
            }
            22 => request.instances = &raw const instances,
            23 => (instances.format, instances.width) = (value as u32 % 40, value as usize % (WIDTH + 1)),
            24 => (image.width, image.stride) = (smaller, (DEEPEST * WIDTH) as isize),
            _ => request.struct_size = value as usize % 200,
        }
    }
    // What the raw pointers look at was set after they were taken.
    if !request.instances.is_null() {
        request.instances = &raw const instances;
    }
    if !request.region_styles.is_null() {
        request.region_styles = regions.as_ptr();
    }
    let session = std::ptr::without_provenance(painters.sessions[session]);
    // SAFETY: labels and image are within memory that is there, of the largest format.
    let status = unsafe { semsynth_synthesize(session, &raw const labels, &raw const request, &raw const image) };
    if !sane(status) {
        assert!(picture.iter().all(|&byte| byte == 9), "a call that failed has written");
    }
}

/// A value that is often at an edge.
fn edge(value: u64) -> u64 {
    const EDGES: [u64; 6] = [u64::MAX, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, 1 << 16];
    match value >> 56 {
        high @ 1..=6 => EDGES[high as usize - 1],
        7..=15 => value % 100,
        _ => value,
    }
}
