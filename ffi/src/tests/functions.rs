//! What functions give, against the Rust library: the fields of a request, styles, palettes, canvases, estimates, owners.

use semsynth_core::network::{GeneratorConfig, StyleConfig};
use semsynth_core::nn::Statistics;
use semsynth_core::nn::modulation::ModulationKind;
use semsynth_core::synth::{Canvas, Control, Synthesizer};
use semsynth_core::{Border, ClassTable, Goal, Image, Rect, Style};

use super::fuzz::{model_bytes, small_model};
use super::*;
use crate::canvas::*;
use crate::job::*;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

fn prepared() -> PreparedModel {
    PreparedModel::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap()
}

fn map_of(ids: &[u8], width: usize) -> LabelMap {
    LabelMap::from_u8(ids, width, ids.len() / width, width).unwrap()
}

/// The picture that the C library paints of all labels.
fn painted(painter: &Painter, ids: &[u8], width: usize, request: &SemsynthRequest) -> Vec<u8> {
    let mut bytes = vec![0; 3 * ids.len()];
    let image = image_of(&mut bytes, width, SEMSYNTH_FORMAT_RGB8, 3);
    must(painter.paint(&labels_of(ids, width), request, &image));
    bytes
}

fn preset(model: *const SemsynthModel, name: &std::ffi::CStr) -> *mut SemsynthStyle {
    let mut style = null_mut();
    // SAFETY: a handle, a text and an output.
    must(unsafe { semsynth_style_from_preset(model, name.as_ptr(), &raw mut style) });
    style
}

fn bytes_of(style: *const SemsynthStyle) -> Vec<u8> {
    let mut length = 0;
    // SAFETY: the buffer has the length that was asked for.
    unsafe {
        must(semsynth_style_save(style, null_mut(), 0, &raw mut length));
        let mut bytes = vec![0; length];
        must(semsynth_style_save(style, bytes.as_mut_ptr(), bytes.len(), &raw mut length));
        bytes
    }
}

#[test]
fn every_field_of_a_request_does_what_it_does_in_rust() {
    let (painter, ids) = (Painter::new(), ids(WIDTH, HEIGHT));
    let (mut synth, map) = (prepared().synthesizer(), map_of(&ids, WIDTH));
    let mut rust = |request: &Request| synth.run(&map, request).unwrap().into_bytes();
    let plain = rust(&Request::new());
    let brick = preset(painter.model, c"brick");
    let styled = Request::new().style(&Model::builtin("facades").unwrap().preset("brick").unwrap());
    let zero = || sized::<SemsynthRequest>();
    let cases = [
        ("seed", Request::new().seed(5), SemsynthRequest { seed: 5, ..zero() }),
        ("origin", Request::new().origin(-160, 48), SemsynthRequest { origin_x: -160, origin_y: 48, ..zero() }),
        (
            "wrap",
            Request::new().borders(Border::Wrap, Border::Wrap),
            SemsynthRequest { border_rows: SEMSYNTH_BORDER_WRAP, border_columns: SEMSYNTH_BORDER_WRAP, ..zero() },
        ),
        (
            "wrap of rows",
            Request::new().borders(Border::Wrap, Border::Zero),
            SemsynthRequest { border_rows: SEMSYNTH_BORDER_WRAP, ..zero() },
        ),
        (
            "statistics",
            Request::new().statistics(Statistics::Batch),
            SemsynthRequest { statistics: SEMSYNTH_STATISTICS_BATCH, ..zero() },
        ),
        ("quiet", Request::new().quiet(), SemsynthRequest { flags: SEMSYNTH_REQUEST_QUIET, ..zero() }),
        ("style", styled, SemsynthRequest { style: brick, ..zero() }),
    ];
    let mut different = 0;
    for (name, request, asked) in &cases {
        let expected = rust(request);
        assert!(painted(&painter, &ids, WIDTH, asked) == expected, "{name}");
        different += usize::from(expected != plain);
        println!("{name}: {}", if expected == plain { "the same picture" } else { "another picture" });
    }
    assert!(different >= 5, "most of them change the picture");
    // SAFETY: owned.
    must(unsafe { semsynth_style_release(brick) });
}

#[test]
fn styles_of_regions_are_blended_in_their_order() {
    let (painter, ids, model) = (Painter::new(), ids(WIDTH, HEIGHT), Model::builtin("facades").unwrap());
    let [brick, rose] = ["brick", "rose"].map(|name| model.preset(name).unwrap());
    let (wall, window) = (id_of(&model, "facade"), id_of(&model, "window"));
    let style = brick.blend_class(wall, &rose, 0.75).unwrap().blend_class(window, &rose, 1.0).unwrap();
    let expected = prepared().synthesizer().run(&map_of(&ids, WIDTH), &Request::new().style(&style)).unwrap();
    let [base, other] = [c"brick", c"rose"].map(|name| preset(painter.model, name));
    let region = |id: u16, weight: f32| SemsynthRegionStyle { style: other, id: u32::from(id), weight };
    let regions = [region(wall, 0.75), region(window, 1.0)];
    let mut request: SemsynthRequest = sized();
    (request.style, request.region_styles, request.region_style_count) = (base, regions.as_ptr(), regions.len());
    assert_eq!(painted(&painter, &ids, WIDTH, &request), expected.into_bytes());
    // Without a style there is nothing to change, and weights are fractions.
    let mut bytes = vec![9; 3 * ids.len()];
    let image = image_of(&mut bytes, WIDTH, SEMSYNTH_FORMAT_RGB8, 3);
    request.style = null();
    assert_eq!(painter.paint(&labels_of(&ids, WIDTH), &raw const request, &image), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    request.style = base;
    let wrong = [region(wall, 1.5)];
    (request.region_styles, request.region_style_count) = (wrong.as_ptr(), 1);
    assert_eq!(painter.paint(&labels_of(&ids, WIDTH), &raw const request, &image), SEMSYNTH_STATUS_INVALID_ARGUMENT);
    assert!(bytes.iter().all(|&byte| byte == 9));
    // SAFETY: owned.
    unsafe {
        must(semsynth_style_release(base));
        must(semsynth_style_release(other));
    }
}

fn id_of(model: &Model, name: &str) -> u16 {
    model.classes().by_name(name).unwrap().id
}

/// Parts of a world, and windows of little memory, against `Synthesizer::synthesize`.
#[test]
fn regions_worlds_and_memory_limits_give_the_bytes_of_rust() {
    let painter = Painter::new();
    let mut synth = prepared().synthesizer();
    let mut part = |map: &LabelMap, area: Rect, request: &Request, control: &mut Control<'_>| {
        let mut bytes = Vec::new();
        let mut sink = semsynth_core::sink::from_fn(|_, row: &[u8]| {
            bytes.extend_from_slice(row);
            Ok(())
        });
        synth.synthesize(&mut &*map, area, request, &mut sink, control).unwrap();
        bytes
    };
    // The labels around a part of a world are read.
    let (width, height) = (768, 736);
    let world = ids(width, height);
    let area = Rect { x: 336, y: 336, width: 96, height: 80 };
    for (border, constant) in [(Border::Zero, SEMSYNTH_BORDER_ZERO), (Border::Source, SEMSYNTH_BORDER_WORLD)] {
        let request = Request::new().borders(border, border).origin(32, 64);
        let expected = part(&map_of(&world, width), area, &request, &mut Control::new());
        let mut request: SemsynthRequest = sized();
        (request.border_rows, request.border_columns, request.region) = (constant, constant, area.into());
        (request.origin_x, request.origin_y) = (32, 64);
        let mut bytes = vec![0; expected.len()];
        let image = image_of(&mut bytes, 96, SEMSYNTH_FORMAT_RGB8, 3);
        must(painter.paint(&labels_of(&world, width), &raw const request, &image));
        assert!(bytes == expected, "{border:?}");
    }
    let (width, height) = (320, 288);
    let ids = ids(width, height);
    let map = map_of(&ids, width);
    let whole = Rect { x: 0, y: 0, width: width as u32, height: height as u32 };
    let estimate = prepared().synthesizer().estimate(whole, &Request::new()).unwrap();
    assert!(estimate.least_memory < estimate.memory);
    let expected = part(&map, whole, &Request::new(), &mut Control::new().memory(estimate.least_memory));
    let mut request: SemsynthRequest = sized();
    assert!(painted(&painter, &ids, width, &request) == expected);
    request.memory_limit = estimate.least_memory as u64;
    assert!(painted(&painter, &ids, width, &request) == expected);
    // Of the session, unless the request has one of its own.
    let mut options: SemsynthSessionOptions = sized();
    options.memory_limit = 1;
    let narrow = Painter::with(&raw const options);
    assert!(painted(&narrow, &ids, width, &request) == expected);
    let mut bytes = vec![9; expected.len()];
    let image = image_of(&mut bytes, width, SEMSYNTH_FORMAT_RGB8, 3);
    assert_eq!(narrow.paint(&labels_of(&ids, width), null(), &image), SEMSYNTH_STATUS_LIMIT);
    request.memory_limit -= 1;
    assert_eq!(painter.paint(&labels_of(&ids, width), &raw const request, &image), SEMSYNTH_STATUS_LIMIT);
    assert!(bytes.iter().all(|&byte| byte == 9));
}

#[test]
fn labels_of_every_format_mean_the_same() {
    let (painter, ids) = (Painter::new(), ids(WIDTH, HEIGHT));
    let expected = painted(&painter, &ids, WIDTH, &sized());
    let classes = ClassTable::cmp_facades();
    let color = |id: &u8| classes.iter().find(|class| class.id == u16::from(*id)).unwrap().color;
    let mut bytes = vec![0; expected.len()];
    let image = image_of(&mut bytes, WIDTH, SEMSYNTH_FORMAT_RGB8, 3);
    let check = |labels: &SemsynthLabels, name: &str| {
        must(painter.paint(labels, null(), &image));
        // SAFETY: what `image` describes; nothing else uses it meanwhile.
        let bytes = unsafe { std::slice::from_raw_parts_mut(image.data.cast::<u8>(), expected.len()) };
        assert!(bytes == expected, "{name}");
        bytes.fill(0);
    };
    let wide: Vec<u16> = ids.iter().map(|&id| u16::from(id)).collect();
    let mut labels = labels_of(&ids, WIDTH);
    (labels.data, labels.format) = (wide.as_ptr().cast(), SEMSYNTH_FORMAT_U16);
    check(&labels, "U16");
    for (format, depth, blue_first) in [
        (SEMSYNTH_FORMAT_RGB8, 3, false),
        (SEMSYNTH_FORMAT_RGBA8, 4, false),
        (SEMSYNTH_FORMAT_BGR8, 3, true),
        (SEMSYNTH_FORMAT_BGRA8, 4, true),
    ] {
        // Rows from the bottom up, five bytes apart.
        let row = depth * WIDTH + 5;
        let mut pixels = vec![3_u8; row * HEIGHT];
        for (y, ids) in ids.chunks(WIDTH).enumerate() {
            for (x, id) in ids.iter().enumerate() {
                let mut rgba = [color(id)[0], color(id)[1], color(id)[2], 255];
                if blue_first {
                    rgba.swap(0, 2);
                }
                pixels[row * (HEIGHT - 1 - y) + depth * x..][..depth].copy_from_slice(&rgba[..depth]);
            }
        }
        let top = row * (HEIGHT - 1);
        let mut labels = labels_of(&ids, WIDTH);
        (labels.data, labels.stride, labels.format) = (pixels[top..].as_ptr().cast(), -(row as isize), format);
        check(&labels, &format!("{format}"));
        // The model's own colours are a palette too.
        let mut palette = null_mut();
        // SAFETY: handles and outputs.
        must(unsafe { semsynth_palette_create(painter.model, &raw mut palette) });
        labels.palette = palette;
        check(&labels, &format!("{format} with a palette"));
        // SAFETY: owned.
        must(unsafe { semsynth_palette_release(palette) });
        labels.palette = null();
        if depth == 4 {
            // Half transparent and more: no class, unless its neighbours' is taken.
            pixels[top + 3] = 127;
            labels.data = pixels[top..].as_ptr().cast();
            assert_eq!(painter.paint(&labels, null(), &image), SEMSYNTH_STATUS_UNKNOWN_COLORS);
            labels.policy = SEMSYNTH_COLORS_FILL;
            check(&labels, &format!("{format}, filled"));
        }
    }
}

/// A model with instance edges sees objects of one class apart.
#[test]
fn instances_are_those_of_rust() {
    let config = GeneratorConfig { instance_edges: true, ..GeneratorConfig::new(ModulationKind::Clade, 2, 3) };
    let model = small_model(config);
    let (painter, side) = (Painter::of(&model), 64);
    let ids: Vec<u8> = (0..side * side).map(|i| (i / side / 24) as u8).collect();
    let objects: Vec<u16> = (0..side * side).map(|i| 300 * (i % side / 10) as u16).collect();
    let mut synth = Synthesizer::new(Model::from_bytes(&model).unwrap(), &Device::cpu()).unwrap();
    let map = LabelMap::from_u16(&objects, side, side, side).unwrap();
    let expected = synth.run(&map_of(&ids, side), &Request::new().instances(map)).unwrap().into_bytes();
    let mut instances = labels_of(&ids, side);
    (instances.data, instances.format) = (objects.as_ptr().cast(), SEMSYNTH_FORMAT_U16);
    let mut request: SemsynthRequest = sized();
    let plain = painted(&painter, &ids, side, &request);
    request.instances = &raw const instances;
    assert!(painted(&painter, &ids, side, &request) == expected && plain != expected);
    instances.height = 63;
    request.instances = &raw const instances;
    let mut bytes = vec![9; expected.len()];
    let image = image_of(&mut bytes, side, SEMSYNTH_FORMAT_RGB8, 3);
    let status = painter.paint(&labels_of(&ids, side), &raw const request, &image);
    assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT);
}

#[test]
fn styles_are_made_as_in_rust() {
    let (painter, model) = (Painter::new(), Model::builtin("facades").unwrap());
    let (mut count, mut info) = (0, sized::<SemsynthPreset>());
    // SAFETY: handles and outputs are there.
    unsafe { must(semsynth_model_preset_count(painter.model, &raw mut count)) };
    assert_eq!(count, model.presets().len());
    for (i, expected) in model.presets().iter().enumerate() {
        // SAFETY: as above; the texts end with a zero byte.
        let (name, summary) = unsafe {
            must(semsynth_model_preset(painter.model, i, &raw mut info));
            (std::ffi::CStr::from_ptr(info.name.as_ptr()), std::ffi::CStr::from_ptr(info.summary.as_ptr()))
        };
        assert_eq!((name.to_str().unwrap(), summary.to_str().unwrap()), (&*expected.name, &*expected.summary));
        let style = preset(painter.model, name);
        assert_eq!(bytes_of(style), model.preset(&expected.name).unwrap().to_bytes().unwrap());
        // SAFETY: owned.
        must(unsafe { semsynth_style_release(style) });
    }
    // SAFETY: handles, texts and outputs are there.
    unsafe {
        assert_eq!(semsynth_model_preset(painter.model, count, &raw mut info), SEMSYNTH_STATUS_OUT_OF_RANGE);
        let mut style = null_mut();
        let status = semsynth_style_from_preset(painter.model, c"castle".as_ptr(), &raw mut style);
        assert!(status == SEMSYNTH_STATUS_UNKNOWN_NAME && message().contains("brick"), "{}", message());
        let none = Painter::of(&model_bytes());
        must(semsynth_model_preset_count(none.model, &raw mut count));
        assert_eq!(count, 0);
        assert_eq!(semsynth_style_from_preset(none.model, null(), &raw mut style), SEMSYNTH_STATUS_UNKNOWN_NAME);
        must(semsynth_style_from_preset(painter.model, null(), &raw mut style));
        let first = &model.presets()[0].name;
        assert_eq!(bytes_of(style), model.preset(first).unwrap().to_bytes().unwrap());
        must(semsynth_style_release(style));
    }

    let [brick, rose] = ["brick", "rose"].map(|name| model.preset(name).unwrap());
    let [a, b] = [c"brick", c"rose"].map(|name| preset(painter.model, name));
    let mut made = null_mut();
    for weight in [0.0, 0.25, 1.0] {
        // SAFETY: handles and an output.
        must(unsafe { semsynth_style_blend(a, b, weight, &raw mut made) });
        assert_eq!(bytes_of(made), brick.blend(&rose, weight).unwrap().to_bytes().unwrap());
        // SAFETY: owned.
        must(unsafe { semsynth_style_release(made) });
    }
    // SAFETY: as above; 70000 is no class.
    unsafe {
        assert_eq!(semsynth_style_blend(a, b, f32::NAN, &raw mut made), SEMSYNTH_STATUS_INVALID_ARGUMENT);
        must(semsynth_style_with_class(a, 2, b, 1, &raw mut made));
        assert_eq!(bytes_of(made), brick.with_class(2, &rose, 1).unwrap().to_bytes().unwrap());
        must(semsynth_style_release(made));
        assert_eq!(semsynth_style_with_class(a, 70_000, b, 1, &raw mut made), SEMSYNTH_STATUS_UNKNOWN_IDS);
        must(semsynth_style_release(a));
        must(semsynth_style_release(b));
    }
}

/// Photos as bytes and as floats, with labels, for a model with an encoder; and styles drawn from seeds.
#[test]
fn styles_are_encoded_and_drawn_as_in_rust() {
    let side = 64;
    let config = GeneratorConfig {
        style: StyleConfig::Regions { length: 6, encoder: Some(2) },
        ..GeneratorConfig::new(ModulationKind::Sean, 2, 3)
    };
    let model = small_model(config);
    let painter = Painter::of(&model);
    let rust = PreparedModel::new(Model::from_bytes(&model).unwrap(), &Device::cpu()).unwrap();
    let ids: Vec<u8> = (0..side * side).map(|i| (i % side / 24) as u8).collect();
    let mut photo: Vec<u8> = (0..3 * side * side).map(|i| ((i * 7 + i / side * 31) % 251) as u8).collect();
    let whole = Image::new(side, side, photo.clone()).unwrap();
    let expected = rust.encode(&whole, Some(&map_of(&ids, side)), None).unwrap().to_bytes().unwrap();
    let labels = labels_of(&ids, side);
    let mut floats: Vec<f32> = photo.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let mut style = null_mut();
    let bytes = image_of(&mut photo, side, SEMSYNTH_FORMAT_RGB8, 3);
    let as_floats = SemsynthImage { data: floats.as_mut_ptr().cast(), format: SEMSYNTH_FORMAT_RGB_F32, ..bytes };
    for image in [bytes, as_floats] {
        // SAFETY: photos, labels and outputs are there.
        unsafe {
            must(semsynth_style_encode(painter.session, &raw const image, &raw const labels, &raw mut style));
            assert!(bytes_of(style) == expected, "format {}", image.format);
            let mut request: SemsynthRequest = sized();
            request.style = style;
            let style_of_rust = Style::from_bytes(&expected).unwrap();
            let picture = rust.synthesizer().run(&map_of(&ids, side), &Request::new().style(&style_of_rust));
            assert!(painted(&painter, &ids, side, &request) == picture.unwrap().into_bytes());
            must(semsynth_style_release(style));
        }
    }
    // SAFETY: as above.
    unsafe {
        let status = semsynth_style_encode(painter.session, &raw const bytes, null(), &raw mut style);
        assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT);
        // A style per class cannot be drawn, and a model that takes none has none.
        assert_eq!(semsynth_style_from_seed(painter.model, 1, &raw mut style), SEMSYNTH_STATUS_INVALID_ARGUMENT);
        let plain = Painter::of(&model_bytes());
        assert_eq!(semsynth_style_from_seed(plain.model, 1, &raw mut style), SEMSYNTH_STATUS_INVALID_ARGUMENT);
        let latent = StyleConfig::Latent { length: 8, grid: [2, 2], encoder: None };
        let latent = small_model(GeneratorConfig { style: latent, ..GeneratorConfig::spade(2, 3) });
        let latent = Painter::of(&latent);
        must(semsynth_style_from_seed(latent.model, 77, &raw mut style));
        assert_eq!(bytes_of(style), Style::random(77, 8).unwrap().to_bytes().unwrap());
        let mut info: SemsynthStyleInfo = sized();
        must(semsynth_style_info(style, &raw mut info));
        assert_eq!((info.kind, info.length, info.rows, info.present), (SEMSYNTH_STYLE_GLOBAL, 8, 1, 1));
        must(semsynth_style_release(style));
    }
}

#[test]
fn estimates_rectangles_and_devices_are_those_of_rust() {
    let (painter, rust) = (Painter::new(), prepared());
    let (mut synth, area) = (rust.synthesizer(), Rect { x: 0, y: 0, width: 320, height: 200 });
    let expected = synth.estimate(area, &Request::new()).unwrap();
    let mut estimate: SemsynthEstimate = sized();
    // SAFETY: handles and outputs are there.
    must(unsafe { semsynth_session_estimate(painter.session, 320, 200, null(), &raw mut estimate) });
    assert_eq!(estimate.memory, expected.memory as u64);
    assert_eq!(estimate.least_memory, expected.least_memory as u64);
    assert!((estimate.multiplications - expected.multiplications).abs() < 1.0 && estimate.multiplications > 1e6);
    assert!(estimate.seconds < 0.0 && expected.seconds.is_none(), "there is no speed before the first picture");
    // Warm pictures are the same, and tell a speed.
    let ids = ids(WIDTH, HEIGHT);
    // SAFETY: as above.
    unsafe {
        must(semsynth_session_warm_up(painter.session, WIDTH, HEIGHT, null()));
        must(semsynth_session_estimate(painter.session, 320, 200, null(), &raw mut estimate));
        assert!(estimate.seconds > 0.0);
        let mut request: SemsynthRequest = sized();
        request.border_rows = SEMSYNTH_BORDER_WRAP;
        // A wrapped side must be a multiple of the stride.
        let status = semsynth_session_estimate(painter.session, 320, 201, &raw const request, &raw mut estimate);
        assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT);
        for (width, height) in [(0, 9), (9, 0), (1 << 20, 1), (32768, 32768), (usize::MAX, usize::MAX)] {
            let status = semsynth_session_warm_up(painter.session, width, height, null());
            assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT, "{width}x{height}");
        }
    }
    synth.warm_up(WIDTH, HEIGHT, &Request::new()).unwrap();
    let picture = synth.run(&map_of(&ids, WIDTH), &Request::new()).unwrap().into_bytes();
    assert!(painted(&painter, &ids, WIDTH, &sized()) == picture);

    let model = Model::builtin("facades").unwrap();
    let mut out = SemsynthRect::default();
    for edit in [
        Rect { x: 3, y: 4, width: 5, height: 6 },
        Rect { x: 0, y: 0, width: 320, height: 200 },
        Rect { x: 319, y: 199, width: 9, height: 9 },
        Rect { x: 0, y: 0, width: u32::MAX, height: 1 },
        Rect { x: i64::MAX, y: i64::MIN, width: u32::MAX, height: u32::MAX },
    ] {
        let asked = SemsynthRect::from(edit);
        for (width, height, size) in [(320, 200, Some([200, 320])), (0, 0, None)] {
            // SAFETY: a handle, a rectangle and an output.
            let status =
                unsafe { semsynth_affected_rect(painter.model, &raw const asked, width, height, &raw mut out) };
            match model.affected(edit, size) {
                Some(expected) => {
                    must(status);
                    assert_eq!(out, expected.into());
                }
                None => assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT),
            }
            assert!(size.is_some() || edit.width < u32::MAX || status != SEMSYNTH_STATUS_OK, "no side is cut");
        }
    }
    let edit = SemsynthRect { x: 0, y: 0, width: 1, height: 1 };
    // SAFETY: as above.
    unsafe {
        let status = semsynth_affected_rect(painter.model, &raw const edit, 0, 7, &raw mut out);
        assert_eq!(status, SEMSYNTH_STATUS_INVALID_ARGUMENT);
    }

    let (devices, mut count, mut info) = (Device::list(), 0, sized::<SemsynthDeviceInfo>());
    // SAFETY: outputs are there, and texts end with a zero byte.
    unsafe {
        must(semsynth_device_count(&raw mut count));
        assert_eq!(count, devices.len());
        for (i, device) in devices.iter().enumerate() {
            must(semsynth_device_info(i, &raw mut info));
            assert_eq!(std::ffi::CStr::from_ptr(info.name.as_ptr()).to_str().unwrap(), device.name);
            assert_eq!(info.kind == SEMSYNTH_DEVICE_CPU, device.name == "cpu");
        }
        assert_eq!(semsynth_device_info(count, &raw mut info), SEMSYNTH_STATUS_OUT_OF_RANGE);
    }
}

#[test]
fn colors_and_ids_are_those_of_rust() {
    let (painter, ids) = (Painter::new(), ids(WIDTH, HEIGHT));
    let (mut palette, classes) = (null_mut(), ClassTable::cmp_facades());
    // SAFETY: handles and outputs.
    must(unsafe { semsynth_palette_create(painter.model, &raw mut palette) });
    let expected = map_of(&ids, WIDTH).to_rgb(&classes).into_bytes();
    let mut colors = vec![0; expected.len()];
    let (labels, image) = (labels_of(&ids, WIDTH), image_of(&mut colors, WIDTH, SEMSYNTH_FORMAT_RGB8, 3));
    let mut found = vec![9_u16; ids.len()];
    let mut report: SemsynthReport = sized();
    // SAFETY: pictures, arrays and outputs have the sizes that are given.
    unsafe {
        must(semsynth_labels_to_colors(palette, &raw const labels, &raw const image));
        assert_eq!(std::slice::from_raw_parts(image.data.cast::<u8>(), expected.len()), expected);
        let read = |policy, ids: *mut u16, count, report: *mut SemsynthReport| {
            semsynth_labels_from_colors(palette, &raw const image, policy, 8, ids, count, report)
        };
        must(read(SEMSYNTH_COLORS_EXACT, found.as_mut_ptr(), found.len(), &raw mut report));
        assert!(found.iter().zip(&ids).all(|(found, id)| *found == u16::from(*id)));
        let counts = |of: &SemsynthReport| [of.unknown_pixels, of.unknown_colors, of.near_pixels, of.filled_pixels];
        assert_eq!(counts(&report), [0; 4]);
        // A pixel a little off, and one that is far from every class.
        *image.data.cast::<u8>().add(3 * 7) ^= 5;
        image.data.cast::<u8>().add(3 * (2 * WIDTH + 11)).copy_from_nonoverlapping([250, 3, 250].as_ptr(), 3);
        found.fill(9);
        let status = read(SEMSYNTH_COLORS_EXACT, found.as_mut_ptr(), found.len(), &raw mut report);
        assert_eq!(status, SEMSYNTH_STATUS_UNKNOWN_COLORS);
        assert_eq!(counts(&report), [2, 2, 0, 0]);
        assert!(found.iter().all(|&id| id == 9), "the report is written, the ids are not");
        let status = read(SEMSYNTH_COLORS_NEAREST, null_mut(), 0, &raw mut report);
        assert_eq!(status, SEMSYNTH_STATUS_UNKNOWN_COLORS);
        assert_eq!(counts(&report), [1, 1, 1, 0]);
        assert_eq!((report.first_x, report.first_y, report.first_color), (11, 2, [250, 3, 250, 255]));
        must(read(SEMSYNTH_COLORS_FILL, found.as_mut_ptr(), found.len(), &raw mut report));
        assert_eq!(counts(&report)[3], 1);
        assert!(found.iter().zip(&ids).filter(|(found, id)| **found != u16::from(**id)).count() <= 1);
        let status = read(SEMSYNTH_COLORS_FILL, found.as_mut_ptr(), found.len() - 1, null_mut());
        assert_eq!(status, SEMSYNTH_STATUS_BUFFER_TOO_SMALL);
        must(semsynth_palette_release(palette));
    }
}

#[test]
fn canvases_take_requests_and_give_labels_as_in_rust() {
    let (painter, ids, rust) = (Painter::new(), ids(WIDTH, HEIGHT), prepared());
    let mut live = Canvas::new(&rust, &map_of(&ids, WIDTH), Request::new()).unwrap();
    let (mut canvas, labels, mut memory, mut at) = (null_mut(), labels_of(&ids, WIDTH), 0, 9);
    let mut bytes = vec![0; 3 * ids.len()];
    let image = image_of(&mut bytes, WIDTH, SEMSYNTH_FORMAT_RGB8, 3);
    let mut update: SemsynthUpdate = sized();
    update.goal = SEMSYNTH_GOAL_BITS;
    // SAFETY: handles, memory and outputs are there.
    unsafe {
        must(semsynth_canvas_create(painter.session, &raw const labels, null(), &raw mut canvas));
        must(semsynth_canvas_memory(canvas, &raw mut memory));
        assert_eq!(memory, live.memory() as u64);
    }
    let brick = preset(painter.model, c"brick");
    let (dab, area) = ([5_u8; 12], Rect { x: 40, y: 20, width: 4, height: 3 });
    let styled = Request::new().style(&Model::builtin("facades").unwrap().preset("brick").unwrap());
    let mut request: SemsynthRequest = sized();
    request.style = brick;
    for (goal, constant) in [(Goal::Preview, SEMSYNTH_GOAL_PREVIEW), (Goal::Bits, SEMSYNTH_GOAL_BITS)] {
        // SAFETY: as above.
        unsafe { must(semsynth_canvas_is_at(canvas, constant, 1, &raw mut at)) };
        assert_eq!(at, u32::from(live.is_at(goal)));
    }
    let affected = live.edit(area, &dab.map(u16::from)).unwrap();
    live.set_request(styled).unwrap();
    live.update(Goal::Bits, &mut Control::new()).unwrap();
    let mut rect = SemsynthRect::default();
    let mut found = [9_u16; 20];
    let around = SemsynthRect { x: 39, y: 20, width: 5, height: 4 };
    // SAFETY: as above.
    unsafe {
        let small = labels_of(&dab, 4);
        must(semsynth_canvas_edit(canvas, &raw const small, 40, 20, &raw mut rect));
        assert_eq!(rect, affected.into());
        must(semsynth_canvas_set_request(canvas, &raw const request));
        must(semsynth_canvas_update(canvas, &raw const update, &raw const image, null_mut(), 0, null_mut()));
        must(semsynth_canvas_is_at(canvas, SEMSYNTH_GOAL_BITS, 0, &raw mut at));
        assert_eq!(at, 1);
        must(semsynth_canvas_labels(canvas, &raw const around, found.as_mut_ptr(), found.len()));
        let status = semsynth_canvas_labels(canvas, &raw const around, found.as_mut_ptr(), found.len() - 1);
        assert_eq!(status, SEMSYNTH_STATUS_BUFFER_TOO_SMALL);
        // Neither wrapped nor a part: the canvas is then as before.
        for (rows, region) in [(SEMSYNTH_BORDER_WRAP, SemsynthRect::default()), (SEMSYNTH_BORDER_ZERO, around)] {
            let refused = SemsynthRequest { border_rows: rows, region, ..request };
            assert_eq!(semsynth_canvas_set_request(canvas, &raw const refused), SEMSYNTH_STATUS_INVALID_ARGUMENT);
        }
        must(semsynth_canvas_is_at(canvas, SEMSYNTH_GOAL_BITS, 0, &raw mut at));
        assert_eq!(at, 1);
        must(semsynth_canvas_release(canvas));
        must(semsynth_style_release(brick));
    }
    assert_eq!(bytes, live.pixels().unwrap().rows().flatten().copied().collect::<Vec<_>>());
    let map = live.labels().unwrap();
    let expected: Vec<u16> = (0..20).map(|i| map.get(39 + i % 5, 20 + i / 5).unwrap()).collect();
    assert_eq!(found.as_slice(), expected);
}

#[test]
fn models_are_loaded_from_files_up_to_a_size() {
    let bytes = super::fuzz::model_bytes();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modèle.safetensors");
    std::fs::write(&file, &bytes).unwrap();
    let name = |path: &std::path::Path| std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let load = |path: &std::path::Path, max_bytes: usize| {
        let options = SemsynthModelOptions { max_bytes: max_bytes as u64, ..sized() };
        let mut model = null_mut();
        // SAFETY: the path is text, and options and output are there.
        let status = unsafe { semsynth_model_load_file(name(path).as_ptr(), &raw const options, &raw mut model) };
        (status, model)
    };
    let mut copy = null_mut();
    // SAFETY: so many bytes are there.
    must(unsafe { semsynth_model_load_memory(bytes.as_ptr(), bytes.len(), null(), &raw mut copy) });
    for most in [0, bytes.len(), bytes.len() + 1] {
        let (status, model) = load(&file, most);
        must(status);
        let infos = [model, copy].map(|model| {
            let mut info: SemsynthModelInfo = sized();
            // SAFETY: a handle and an output.
            must(unsafe { semsynth_model_info(model, &raw mut info) });
            (info.class_count, info.weight_count, info.stride)
        });
        assert_eq!(infos[0], infos[1]);
        // SAFETY: owned.
        must(unsafe { semsynth_model_release(model) });
    }
    // SAFETY: owned.
    must(unsafe { semsynth_model_release(copy) });
    let (status, model) = load(&file, bytes.len() - 1);
    assert!(status == SEMSYNTH_STATUS_LIMIT && model.is_null());
    assert!(message().contains("modèle") && message().contains("max_bytes"), "{}", message());
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    for path in [file.as_path(), folder.path(), &folder.path().join("none")] {
        let (status, model) = load(path, 0);
        assert!(status != SEMSYNTH_STATUS_OK && model.is_null());
        assert!(message().contains(path.to_str().unwrap()), "{}", message());
    }
}

/// An owner that was added must go too before a handle is none any more.
#[test]
fn every_kind_of_handle_counts_its_owners() {
    let (painter, ids) = (Painter::new(), ids(32, 32));
    let labels = labels_of(&ids, 32);
    let mut bytes = vec![0; 3 * 32 * 32];
    let image = image_of(&mut bytes, 32, SEMSYNTH_FORMAT_RGB8, 3);
    let values = [0.0_f32; 4];
    macro_rules! counted {
        ($handle:expr, $retain:ident, $release:ident, $used:expr) => {{
            let handle = $handle;
            must($retain(handle));
            must($retain(handle));
            must($release(handle));
            must($used(handle));
            must($release(handle));
            must($used(handle));
            must($release(handle));
            assert_eq!($used(handle), SEMSYNTH_STATUS_INVALID_HANDLE, stringify!($retain));
            assert_eq!($retain(handle), SEMSYNTH_STATUS_INVALID_HANDLE);
            assert_eq!($release(handle), SEMSYNTH_STATUS_INVALID_HANDLE);
        }};
    }
    // SAFETY: handles, texts, memory and outputs are there.
    unsafe {
        let (mut device, mut model, mut session, mut palette) = (null_mut(), null_mut(), null_mut(), null_mut());
        let (mut style, mut cancel, mut canvas, mut job) = (null_mut(), null_mut(), null_mut(), null_mut());
        let mut count = 0;
        must(semsynth_device_create(c"cpu".as_ptr(), &raw mut device));
        must(semsynth_model_load_builtin(c"facades".as_ptr(), &raw mut model));
        must(semsynth_session_fork(painter.session, &raw mut session));
        must(semsynth_palette_create(model, &raw mut palette));
        must(semsynth_style_from_values(SEMSYNTH_STYLE_GLOBAL, values.as_ptr(), 1, 4, &raw mut style));
        must(semsynth_cancel_create(&raw mut cancel));
        must(semsynth_canvas_create(session, &raw const labels, null(), &raw mut canvas));
        must(semsynth_synthesize_async(session, &raw const labels, null(), &raw const image, &raw mut job));
        let mut info: SemsynthDeviceInfo = sized();
        counted!(device, semsynth_device_retain, semsynth_device_release, |handle| semsynth_device_describe(
            handle,
            &raw mut info
        ));
        counted!(model, semsynth_model_retain, semsynth_model_release, |handle| semsynth_model_preset_count(
            handle,
            &raw mut count
        ));
        counted!(session, semsynth_session_retain, semsynth_session_release, |handle| semsynth_session_warm_up(
            handle,
            32,
            32,
            null()
        ));
        counted!(palette, semsynth_palette_retain, semsynth_palette_release, |handle| semsynth_palette_count(
            handle,
            &raw mut count
        ));
        let mut of_style: SemsynthStyleInfo = sized();
        counted!(style, semsynth_style_retain, semsynth_style_release, |handle| semsynth_style_info(
            handle,
            &raw mut of_style
        ));
        counted!(cancel, semsynth_cancel_retain, semsynth_cancel_release, |handle| semsynth_cancel_now(handle));
        let mut memory = 0;
        counted!(canvas, semsynth_canvas_retain, semsynth_canvas_release, |handle| semsynth_canvas_memory(
            handle,
            &raw mut memory
        ));
        counted!(job, semsynth_job_retain, semsynth_job_release, |handle| semsynth_job_wait(handle, -1));
    }
    assert_eq!(bytes, expected(&ids, 32));
}
