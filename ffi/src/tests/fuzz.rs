//! Random bytes and calls: an error at worst. `SEMSYNTH_FUZZ_SECONDS` says how long each test tries; without it a second.
//!
//! This stands for `cargo fuzz`, which needs another toolchain: the inputs are those of `ffi/corpus`, changed at random. A failure
//! names its seed, and its input can become a file of the corpus.

mod calls;
mod requests;

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use semsynth_core::Style;
use semsynth_core::model::Preset;
use semsynth_core::network::{GeneratorConfig, StyleConfig};
use semsynth_core::nn::modulation::ModulationKind;

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

    /// Bytes of no file at all.
    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(4096)).map(|_| self.next() as u8).collect()
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

/// The files of `ffi/corpus` whose names begin so: valid inputs, and damaged ones that failed once.
fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
    paths.sort();
    assert!(!paths.is_empty(), "no {kind} in ffi/corpus: SEMSYNTH_BLESS=1 cargo test -p semsynth-ffi --lib corpus");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Calls `work` with the files of a kind as they are, then with damaged ones, and now and then with random bytes, until the time
/// is over. A panic that leaves it names the file, or the seed: `SEMSYNTH_FUZZ_SEED` begins there.
fn fuzz(kind: &str, work: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<f64>().ok());
    let (seconds, first) =
        (number("SEMSYNTH_FUZZ_SECONDS").unwrap_or(1.0), number("SEMSYNTH_FUZZ_SEED").unwrap_or(0.0));
    let files = corpus(kind);
    for (i, file) in files.iter().enumerate() {
        catch_unwind(|| work(file)).unwrap_or_else(|_| panic!("failed with file {i} of {kind} in ffi/corpus"));
    }
    let (start, first) = (Instant::now(), first as u64);
    let mut seed = first;
    while start.elapsed() < Duration::from_secs_f64(seconds) {
        let mut random = Random(seed);
        let input = if random.below(16) == 0 {
            random.bytes()
        } else {
            let mut file = files[random.below(files.len())].clone();
            random.damage(&mut file);
            file
        };
        catch_unwind(|| work(&input)).unwrap_or_else(|_| panic!("failed with seed {seed}: {kind} {input:?}"));
        seed += 1;
    }
    println!("{} inputs of {kind} from seed {first} on", files.len() as u64 + seed - first);
    assert!(seed > first);
}

/// A status is a success or an error with a message, but never a panic.
fn sane(status: SemsynthStatus) -> bool {
    assert!((0..1000).contains(&status), "{status}: {}", message());
    assert!(status == SEMSYNTH_STATUS_OK || !message().is_empty());
    status == SEMSYNTH_STATUS_OK
}

/// The smallest model there is: a file of a few kilobytes.
pub(super) fn model_bytes() -> Vec<u8> {
    small_model(GeneratorConfig::new(ModulationKind::Clade, 2, 3))
}

/// A model with three classes and random weights.
pub(super) fn small_model(config: GeneratorConfig) -> Vec<u8> {
    use semsynth_core::label::{Class, ClassTable};
    use semsynth_core::model::{FORMAT, Manifest, Precision, Provenance};
    use semsynth_core::network::Architecture;
    use semsynth_core::nn::{Init, Statistics};
    let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
    let architecture = Architecture::SpadeFamily(config);
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

/// A small model with styles and presets.
fn styled_model() -> Vec<u8> {
    let style = StyleConfig::Regions { length: 4, encoder: None };
    let config = GeneratorConfig { style, ..GeneratorConfig::new(ModulationKind::CladeStyled, 2, 3) };
    let model = Model::from_bytes(&small_model(config)).unwrap();
    let preset = |name: &str, value: f32| {
        let style = Style::regions(4, (0..3).map(|i| Some(vec![value + i as f32; 4])).collect()).unwrap();
        (Preset { name: name.into(), summary: format!("of {value}") }, style)
    };
    model.with_presets(&[preset("plain", 0.0), preset("bright-1", 1.5)]).unwrap().to_bytes().unwrap()
}

/// Writes the corpus anew with `SEMSYNTH_BLESS=1`; otherwise every file of it must be good for something.
#[test]
fn the_corpus_is_valid() {
    if std::env::var_os("SEMSYNTH_BLESS").is_some() {
        let style = |style: Style| style.to_bytes().unwrap();
        let rows = (0..3).map(|i| if i == 1 { None } else { Some(vec![i as f32; 8]) }).collect();
        let files: [(&str, Vec<u8>); 12] = [
            ("model-presets", styled_model()),
            ("style-global", style(Style::random(3, 8).unwrap())),
            ("style-regions", style(Style::regions(8, rows).unwrap())),
            ("palette-1", b"GIMP Palette\nName: x\nColumns: 4\n#\n  0   0 222\tbackground\n 70 130 180\tsky\n".to_vec()),
            ("palette-2", br#"{"classes": [{"id": 0, "name": "sky", "rgb": [128, 128, 128]}, {"id": 7, "name": "sea", "rgb": [1, 2, 3]}]}"#.to_vec()),
            ("palette-3", br#"(classes: [(id: 0, name: "sky", color: (128, 128, 128)), (id: 3, name: "sea", color: (1, 2, 3))])"#.to_vec()),
            ("calls-picture", calls::PICTURE.concat()),
            ("calls-canvas", calls::CANVAS.concat()),
            ("calls-jobs", calls::JOBS.concat()),
            ("calls-styles", calls::STYLES.concat()),
            ("calls-labels", calls::LABELS.concat()),
            ("request", requests::EXAMPLE.iter().flat_map(|(field, value)| [vec![*field], value.to_le_bytes().to_vec()].concat()).collect()),
        ];
        for (name, bytes) in files {
            std::fs::write(folder().join(name), bytes).unwrap();
        }
    }
    for bytes in corpus("model") {
        drop(Painter::of(&bytes));
    }
    for bytes in corpus("style") {
        Style::from_bytes(&bytes).unwrap();
    }
    for bytes in corpus("palette") {
        let mut palette = null_mut();
        // SAFETY: so many bytes are there.
        must(unsafe { semsynth_palette_parse(kind_of(&bytes), bytes.as_ptr(), bytes.len(), &raw mut palette) });
        // SAFETY: owned.
        must(unsafe { semsynth_palette_release(palette) });
    }
    // Nearly every call of the examples succeeds.
    for bytes in corpus("calls") {
        let (good, all) = calls::run(&bytes);
        assert!(10 * good >= 9 * all && all > 5, "{good} of {all} calls succeed");
    }
}

fn kind_of(palette: &[u8]) -> u32 {
    match palette.first() {
        Some(b'{') => SEMSYNTH_PALETTE_JSON,
        Some(b'(') => SEMSYNTH_PALETTE_RON,
        _ => SEMSYNTH_PALETTE_GPL,
    }
}

#[test]
fn damaged_models_are_errors() {
    fuzz("model", |bytes| {
        let mut model = null_mut();
        // SAFETY: so many bytes are there.
        let status = unsafe { semsynth_model_load_memory(bytes.as_ptr(), bytes.len(), null(), &raw mut model) };
        if !sane(status) {
            return assert!(model.is_null(), "an output was written by a call that failed");
        }
        // What loads can be described and used, or says why not.
        let (mut info, mut preset): (SemsynthModelInfo, SemsynthPreset) = (sized(), sized());
        let (mut device, mut session, mut style, mut count) = (null_mut(), null_mut(), null_mut(), 0);
        // SAFETY: handles and outputs are there.
        unsafe {
            must(semsynth_model_info(model, &raw mut info));
            must(semsynth_model_preset_count(model, &raw mut count));
            for i in 0..count {
                must(semsynth_model_preset(model, i, &raw mut preset));
                if sane(semsynth_style_from_preset(model, preset.name.as_ptr(), &raw mut style)) {
                    must(semsynth_style_release(style));
                }
            }
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
    });
}

#[test]
fn damaged_styles_are_errors() {
    let painter = Painter::of(&styled_model());
    let model = painter.model.addr();
    fuzz("style", |bytes| {
        for model in [0, model] {
            let (model, mut style) = (std::ptr::without_provenance(model), null_mut());
            // SAFETY: so many bytes are there.
            if sane(unsafe { semsynth_style_load(model, bytes.as_ptr(), bytes.len(), &raw mut style) }) {
                let mut blended = null_mut();
                // SAFETY: handles and outputs are there.
                unsafe {
                    if sane(semsynth_style_blend(style, style, 0.5, &raw mut blended)) {
                        must(semsynth_style_release(blended));
                    }
                    must(semsynth_style_release(style));
                }
            }
        }
    });
}

#[test]
fn damaged_palettes_are_errors() {
    fuzz("palette", |bytes| {
        for kind in [SEMSYNTH_PALETTE_GPL, SEMSYNTH_PALETTE_JSON, SEMSYNTH_PALETTE_RON] {
            let mut palette = null_mut();
            // SAFETY: so many bytes are there.
            if sane(unsafe { semsynth_palette_parse(kind, bytes.as_ptr(), bytes.len(), &raw mut palette) }) {
                // SAFETY: owned.
                must(unsafe { semsynth_palette_release(palette) });
            }
        }
    });
}

/// Fields at their edges: pictures that can be painted are, all others are refused before memory is touched.
#[test]
fn any_request_is_an_error_at_worst() {
    let painters = requests::Painters::new();
    fuzz("request", |bytes| requests::run(&painters, bytes));
}

/// Calls in any order, with handles that were released, and ones that never were.
#[test]
fn calls_in_any_order_are_errors_at_worst() {
    fuzz("calls", |bytes| {
        calls::run(bytes);
    });
}
