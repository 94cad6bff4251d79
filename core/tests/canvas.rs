//! Pictures of any size and live edits: parts, seams, rolled and wrapped pictures, edits in gears, cancelling.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use common::software;
use proptest::prelude::*;
use semsynth::label::{Rect, from_fn};
use semsynth::model::Model;
use semsynth::network::{Architecture, GeneratorConfig};
use semsynth::nn::Statistics;
use semsynth::synth::{Border, CancelToken, Canvas, Control, Goal, PreparedModel, Request, SynthesizerOptions};
use semsynth::{Device, Error, LabelMap, sink};

/// Rectangles that a [`Rect`] cannot hold are none, and sums near the ends of numbers do not overflow.
#[test]
fn what_an_edit_affects_is_never_cut() {
    let clade = Architecture::SpadeFamily(GeneratorConfig::clade(8, 3));
    let affected = |x, width, size| clade.affected(Rect { x, y: 0, width, height: 1 }, size, Statistics::Running);
    let wide = affected(0, u32::MAX - 512, None).unwrap();
    assert!(wide.x == -191 && wide.width > u32::MAX - 512 + 191, "{wide}");
    assert_eq!(affected(0, u32::MAX - 191, None), None);
    assert_eq!(affected(0, u32::MAX, None), None);
    assert_eq!(affected(i64::MAX - 3, 9, None), None);
    assert_eq!(affected(i64::MIN, 9, None), None);
    let whole = Rect { x: 0, y: 0, width: 512, height: 223 };
    assert_eq!(affected(0, u32::MAX, Some([512, 512])), Some(whole));
    assert!(affected(i64::MAX - 3, 9, Some([512, 512])).is_some_and(|rect| rect.width <= 512));
}

fn facades() -> PreparedModel {
    PreparedModel::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap()
}

/// Buildings of the built-in model's classes, without an end.
fn world(seed: u64) -> impl FnMut(Rect, &mut [u16]) -> semsynth::Result<()> + Send + Clone {
    let id = move |x: i64, y: i64| -> u16 {
        let hash = |a: i64, b: i64| {
            let mixed = (a as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (b as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
            (mixed ^ seed).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40
        };
        // Windows in walls, of sizes that differ from block to block.
        let (block, inner) = ((x.div_euclid(96), y.div_euclid(80)), (x.rem_euclid(96), y.rem_euclid(80)));
        let side = 12 + (hash(block.0, block.1) % 20) as i64;
        let window = inner.0 % 32 < side && inner.1 % 40 < side + 4;
        if window {
            3
        } else if inner.1 > 70 {
            (hash(block.0, block.1) % 5) as u16
        } else {
            2
        }
    };
    move |area: Rect, ids: &mut [u16]| {
        for (i, to) in (0..).zip(ids) {
            *to = id(area.x + i % i64::from(area.width), area.y + i / i64::from(area.width));
        }
        Ok(())
    }
}

fn map_of(area: Rect, seed: u64) -> LabelMap {
    let mut ids = vec![0; area.width as usize * area.height as usize];
    world(seed)(area, &mut ids).unwrap();
    let known: Vec<u16> = Model::builtin("facades").unwrap().classes().iter().map(|class| class.id).collect();
    let ids = ids.into_iter().map(|id| known[usize::from(id) % known.len()]).collect();
    LabelMap::new(area.width as usize, area.height as usize, ids).unwrap()
}

fn rect(x: i64, y: i64, width: u32, height: u32) -> Rect {
    Rect { x, y, width, height }
}

/// The bytes of a part of the world.
fn paint(model: &PreparedModel, area: Rect, borders: [Border; 2], seed: u64, memory: usize) -> Vec<u8> {
    let known: Vec<u16> = model.manifest().classes.iter().map(|class| class.id).collect();
    let mut world = world(seed);
    let mut source = from_fn(move |area: Rect, ids: &mut [u16]| {
        world(area, ids)?;
        for id in &mut *ids {
            *id = known[usize::from(*id) % known.len()];
        }
        Ok(())
    });
    let mut bytes = Vec::new();
    let mut next = 0;
    let mut rows = sink::from_fn(|y, row: &[u8]| {
        assert_eq!(y, next, "rows come in order");
        next += 1;
        bytes.extend_from_slice(row);
        Ok(())
    });
    let request = Request::new().borders(borders[0], borders[1]);
    // On devices, noise does not repeat itself.
    let request = if borders.contains(&Border::Wrap) { request.quiet() } else { request };
    let mut control = Control::new().memory(memory);
    model.synthesizer().synthesize(&mut source, area, &request, &mut rows, &mut control).unwrap();
    assert_eq!(bytes.len(), 3 * area.width as usize * area.height as usize);
    bytes
}

fn part(bytes: &[u8], whole: Rect, part: Rect) -> Vec<u8> {
    let row = |y: i64| {
        let first = 3 * ((y - whole.y) as usize * whole.width as usize + (part.x - whole.x) as usize);
        &bytes[first..first + 3 * part.width as usize]
    };
    (part.y..part.y + i64::from(part.height)).flat_map(|y| row(y).to_vec()).collect()
}

fn off(a: &[u8], b: &[u8]) -> usize {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a != b).count()
}

fn most(a: &[u8], b: &[u8]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn chunks_of_a_world_meet_without_a_seam() {
    let model = facades();
    let source = [Border::Source; 2];
    let whole = rect(-200, 100, 420, 300);
    let picture = paint(&model, whole, source, 3, usize::MAX);
    // Off any grid, on different threads.
    std::thread::scope(|scope| {
        for (x, y, width, height) in [(-200, 100, 97, 300), (-103, 100, 323, 33), (-77, 161, 1, 1), (19, 250, 150, 150)]
        {
            let (model, picture) = (&model, &picture);
            scope.spawn(move || {
                let chunk = rect(x, y, width, height);
                assert_eq!(
                    off(&paint(model, chunk, source, 3, usize::MAX), &part(picture, whole, chunk)),
                    0,
                    "{chunk}"
                );
            });
        }
    });
}

#[test]
fn the_smallest_pictures_have_estimates() {
    let synth = facades().synthesizer();
    for (width, height) in [(1, 1), (1, 1000), (1000, 1)] {
        let estimate = synth.estimate(rect(0, 0, width, height), &Request::new()).unwrap();
        assert!(estimate.least_memory <= estimate.memory && estimate.least_memory > 0, "{width}x{height}");
    }
}

#[test]
fn a_source_gives_the_picture_of_a_map_in_any_memory() {
    let model = facades();
    let area = rect(0, 0, 500, 333);
    let labels = map_of(area, 5);
    let expected = model.synthesizer().run(&labels, &Request::new()).unwrap();
    let zero = [Border::Zero; 2];
    assert_eq!(off(&paint(&model, area, zero, 5, usize::MAX), expected.as_bytes()), 0);
    let estimate = model.synthesizer().estimate(area, &Request::new()).unwrap();
    assert!(estimate.least_memory < estimate.memory);
    let (mut last, mut windows) = (usize::MAX, 0);
    for share in [0.6, 0.3, 0.1, 0.0] {
        let memory = estimate.least_memory + ((estimate.memory - estimate.least_memory) as f64 * share) as usize;
        assert!(memory < last);
        (last, windows) = (memory, windows + 1);
        assert_eq!(off(&paint(&model, area, zero, 5, memory), expected.as_bytes()), 0, "{share}");
    }
    assert_eq!(windows, 4);
    let labels = &labels;
    let mut control = Control::new().memory(estimate.least_memory - 1);
    let refused = model.synthesizer().run_with(labels, &Request::new(), &mut control).unwrap_err();
    assert!(matches!(refused, Error::Limit(_)) && refused.to_string().contains("at least"), "{refused}");
    // A goal is none of these refusals, and the smallest parts are reached.
    let steps = |memory: usize| {
        let mut steps = 0;
        let mut count = |_| steps += 1;
        let mut control = Control::new().progress(&mut count).memory_goal(memory);
        let picture = model.synthesizer().run_with(labels, &Request::new(), &mut control).unwrap();
        assert_eq!(off(picture.as_bytes(), expected.as_bytes()), 0, "{memory}");
        steps
    };
    let (large, small, least) = (steps(usize::MAX), steps(1), steps(estimate.least_memory));
    assert!(small == least && small > 2 * large, "{large} {small} {least} steps");
}

#[test]
fn wrapped_pictures_are_seamless() {
    let model = facades();
    let size = rect(0, 0, 128, 256);
    let (wrap, labels) = ([Border::Wrap; 2], map_of(size, 7));
    // Noise has a place in the world, and is not the same elsewhere.
    let quiet = Request::new().quiet();
    let request = quiet.clone().borders(Border::Wrap, Border::Wrap);
    let picture = model.synthesizer().run(&labels, &request).unwrap();
    let ids = |x: i64, y: i64| labels.get(x.rem_euclid(128) as usize, y.rem_euclid(256) as usize).unwrap();
    // A part of the endless world of which it is one period.
    let mut endless = from_fn(|area: Rect, out: &mut [u16]| {
        for (i, to) in (0..).zip(out) {
            *to = ids(area.x + i % i64::from(area.width), area.y + i / i64::from(area.width));
        }
        Ok(())
    });
    let mut found = vec![0; 3 * 128 * 256];
    let mut rows = sink::from_fn(|y, row: &[u8]| {
        found[3 * 128 * y..][..row.len()].copy_from_slice(row);
        Ok(())
    });
    let source = quiet.clone().borders(Border::Source, Border::Source);
    let area = rect(-128, 512, 128, 256);
    model.synthesizer().synthesize(&mut endless, area, &source, &mut rows, &mut Control::new()).unwrap();
    assert_eq!(off(picture.as_bytes(), &found), 0);
    // The middle of the map repeated, as far from the border as labels reach.
    let repeated = LabelMap::new(640, 768, (0..640 * 768).map(|i| ids(i % 640, i / 640)).collect()).unwrap();
    let large = model.synthesizer().run(&repeated, &quiet).unwrap();
    let middle = part(large.as_bytes(), rect(0, 0, 640, 768), rect(256, 256, 128, 256));
    assert!(most(picture.as_bytes(), &middle) <= 1);
    assert!(off(picture.as_bytes(), &middle) < 10);
    // Rolled by the lattice, and by the stride.
    let stride = Model::builtin("facades").unwrap().capabilities().stride;
    for (by, allowed) in [(128, 0), (i64::from(stride), 1)] {
        let rolled =
            LabelMap::new(128, 256, (0..128 * 256).map(|i| ids(i % 128 + by, i / 128 + by)).collect()).unwrap();
        let found = model.synthesizer().run(&rolled, &request).unwrap();
        let expected: Vec<u8> = (0..256_i64)
            .flat_map(|y| (0..128_i64).flat_map(move |x| [(x, y)]))
            .flat_map(|(x, y)| {
                let at = 3 * ((y + by).rem_euclid(256) * 128 + (x + by).rem_euclid(128)) as usize;
                picture.as_bytes()[at..at + 3].to_vec()
            })
            .collect();
        assert!(most(found.as_bytes(), &expected) <= allowed, "{by}");
    }
    assert!(paint(&model, rect(0, 0, 64, 64), wrap, 1, usize::MAX).len() == 3 * 64 * 64);
    let odd = model.synthesizer().run(&map_of(rect(0, 0, 100, 128), 1), &request).unwrap_err().to_string();
    assert!(odd.contains(&format!("width must be a multiple of {stride}")), "{odd}");
}

#[test]
fn bad_input_has_a_clear_error_and_nothing_breaks() {
    let model = facades();
    let mut synth = model.synthesizer();
    let id = model.manifest().classes.iter().next().unwrap().id;
    let request = Request::new();
    let mut flat = from_fn(move |_: Rect, ids: &mut [u16]| {
        ids.fill(id);
        Ok(())
    });
    let mut nowhere = sink::from_fn(|_, _: &[u8]| Ok(()));
    let mut run = |synth: &mut semsynth::Synthesizer, area, request: &Request| {
        synth.synthesize(&mut flat, area, request, &mut nowhere, &mut Control::new()).map_err(|error| error.to_string())
    };
    assert!(run(&mut synth, rect(0, 0, 0, 5), &request).unwrap_err().contains("0x5"));
    assert!(run(&mut synth, rect(0, 0, u32::MAX, 5), &request).unwrap_err().contains("4294967295x5"));
    assert!(run(&mut synth, rect(i64::MIN, 0, 8, 8), &request).unwrap_err().contains("coordinates"));
    run(&mut synth, rect(i64::from(u32::MAX), -77, 1, 1), &request).unwrap();
    // A source that fails, an unknown id, and a sink that refuses, each in mid-picture.
    let area = rect(0, 0, 96, 96);
    let mut failing = from_fn(move |area: Rect, ids: &mut [u16]| {
        ids.fill(id);
        if area.y > 50 { Err(Error::Data("the tape is at its end".into())) } else { Ok(()) }
    });
    let mut count = 0;
    let mut counting = sink::from_fn(|_, _: &[u8]| {
        count += 1;
        Ok(())
    });
    let error = synth.synthesize(&mut failing, area, &request, &mut counting, &mut Control::new()).unwrap_err();
    assert!(error.to_string().contains("tape"));
    let mut unknown = from_fn(move |area: Rect, ids: &mut [u16]| {
        ids.fill(if area.y > 40 { 999 } else { id });
        Ok(())
    });
    let error = synth.synthesize(&mut unknown, area, &request, &mut counting, &mut Control::new()).unwrap_err();
    assert!(error.to_string().contains("999"), "{error}");
    let mut full =
        sink::from_fn(|y, _: &[u8]| if y > 3 { Err(Error::Data("the disk is full".into())) } else { Ok(()) });
    let mut flat = from_fn(move |_: Rect, ids: &mut [u16]| {
        ids.fill(id);
        Ok(())
    });
    let error = synth.synthesize(&mut flat, area, &request, &mut full, &mut Control::new()).unwrap_err();
    assert!(error.to_string().contains("disk is full"));
    // The next picture is right.
    let labels = map_of(area, 2);
    let expected = model.synthesizer().run(&labels, &request).unwrap();
    assert_eq!(off(synth.run(&labels, &request).unwrap().as_bytes(), expected.as_bytes()), 0);
    // Labels beyond a map.
    let endless = Request::new().borders(Border::Source, Border::Zero);
    let error = synth.run(&labels, &endless).unwrap_err().to_string();
    assert!(error.contains("96x96"), "{error}");
    // A canvas.
    let mut canvas = Canvas::new(&model, &labels, request).unwrap();
    for (x, y, width, height) in [(-1, 0, 2, 2), (0, 0, 0, 1), (90, 0, 7, 1), (i64::MAX, 0, 1, 1)] {
        let error = canvas.edit(rect(x, y, width, height), &[id; 7]).unwrap_err().to_string();
        assert!(error.contains("96x96"), "{error}");
    }
    assert!(canvas.edit(rect(0, 0, 2, 2), &[id; 3]).unwrap_err().to_string().contains("takes 4"));
    assert!(canvas.edit(rect(0, 0, 1, 1), &[999]).is_err());
    canvas.update(Goal::Settled, &mut Control::new()).unwrap();
    assert_eq!(off(&bytes(&canvas), expected.as_bytes()), 0);
}

fn bytes(canvas: &Canvas) -> Vec<u8> {
    canvas.pixels().unwrap().rows().flatten().copied().collect()
}

fn fresh(model: &PreparedModel, canvas: &Canvas) -> Vec<u8> {
    model.synthesizer().run(&canvas.labels().unwrap(), &Request::new()).unwrap().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was edited, previewed and cancelled before: settled is a fresh picture up to rounding, and bits are bits.
    #[test]
    fn edits_lead_to_a_fresh_picture(
        size in (100u32..230, 100u32..230),
        edits in prop::collection::vec(
            ((any::<u16>(), any::<u16>()), (1u32..60, 1u32..60), 0usize..12, 0usize..5, 0usize..40), 1..6,
        ),
        memory in prop::sample::select(vec![usize::MAX, 3 << 20, 0]),
        seed in any::<u32>(),
    ) {
        let model = facades();
        let known: Vec<u16> = model.manifest().classes.iter().map(|class| class.id).collect();
        let labels = map_of(rect(0, 0, size.0, size.1), seed.into());
        let mut canvas = Canvas::with_memory(&model, &labels, Request::new(), memory).unwrap();
        prop_assert!(canvas.memory() <= memory);
        for ((x, y), (width, height), class, goal, steps) in edits {
            let (x, y) = (u32::from(x) % size.0, u32::from(y) % size.1);
            let area = rect(x.into(), y.into(), width.min(size.0 - x), height.min(size.1 - y));
            let before = fresh(&model, &canvas);
            let ids = vec![known[class % known.len()]; area.width as usize * area.height as usize];
            let reaches = canvas.edit(area, &ids).unwrap();
            // Nothing outside of the rectangle changes.
            let after = fresh(&model, &canvas);
            for (i, (a, b)) in before.iter().zip(&after).enumerate() {
                let (px, py) = ((i / 3) as i64 % i64::from(size.0), (i / 3) as i64 / i64::from(size.0));
                let inside = px >= reaches.x && py >= reaches.y
                    && px < reaches.x + i64::from(reaches.width) && py < reaches.y + i64::from(reaches.height);
                prop_assert!(inside || a.abs_diff(*b) <= 1, "({px}, {py}) is not within {reaches}");
            }
            let goal = [Goal::Preview, Goal::Within(1), Goal::Within(8), Goal::Settled, Goal::Bits][goal];
            // Cancelled after some steps, or not at all.
            let token = CancelToken::new();
            let mut left = steps;
            let mut progress = |_| match left.checked_sub(1) {
                Some(less) => left = less,
                None => token.cancel(),
            };
            match canvas.update(goal, &mut Control::new().cancel(&token).progress(&mut progress)) {
                Err(Error::Cancelled) | Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
        canvas.update(Goal::Settled, &mut Control::new()).unwrap();
        prop_assert!(canvas.is_at(Goal::Settled));
        let expected = fresh(&model, &canvas);
        let settled = bytes(&canvas);
        prop_assert!(most(&settled, &expected) <= 1);
        prop_assert!(off(&settled, &expected) * 1000 <= settled.len(), "{} of {}", off(&settled, &expected), settled.len());
        canvas.update(Goal::Bits, &mut Control::new()).unwrap();
        prop_assert_eq!(off(&bytes(&canvas), &expected), 0);
        // From exact to exact.
        canvas.edit(rect(10, 20, 5, 4), &[known[1]; 20]).unwrap();
        canvas.update(Goal::Bits, &mut Control::new()).unwrap();
        prop_assert_eq!(off(&bytes(&canvas), &fresh(&model, &canvas)), 0);
    }
}

/// Differences do not add up from edit to edit, and a closer goal takes up what a wider one left.
#[test]
fn many_edits_do_not_drift() {
    let model = facades();
    let known: Vec<u16> = model.manifest().classes.iter().map(|class| class.id).collect();
    let mut canvas = Canvas::new(&model, &map_of(rect(0, 0, 256, 192), 11), Request::new()).unwrap();
    canvas.update(Goal::Settled, &mut Control::new()).unwrap();
    for turn in 0..20 {
        let (x, y) = (turn * 67 % 240, turn * 41 % 180);
        canvas.edit(rect(x, y, 12, 9), &[known[turn as usize % known.len()]; 108]).unwrap();
        canvas.update(Goal::Within(8), &mut Control::new()).unwrap();
    }
    let expected = fresh(&model, &canvas);
    assert!(canvas.is_at(Goal::Within(8)) && !canvas.is_at(Goal::Within(1)));
    let after = [Goal::Within(8), Goal::Within(1), Goal::Settled].map(|goal| {
        canvas.update(goal, &mut Control::new()).unwrap();
        assert!(canvas.is_at(goal));
        most(&bytes(&canvas), &expected)
    });
    assert!(after[0] <= 12 && after[1] <= 2 && after[2] <= 1, "{after:?}");
}

#[test]
fn a_canvas_can_be_cancelled_at_every_step() {
    let model = facades();
    let area = rect(0, 0, 128, 96);
    let canvas = || {
        let mut canvas = Canvas::new(&model, &map_of(area, 3), Request::new()).unwrap();
        canvas.update(Goal::Bits, &mut Control::new()).unwrap();
        canvas.edit(rect(40, 30, 24, 20), &[model.manifest().classes.iter().last().unwrap().id; 480]).unwrap();
        canvas
    };
    let expected = fresh(&model, &canvas());
    for goal in [Goal::Within(1), Goal::Settled, Goal::Bits] {
        let mut ended = false;
        for steps in 0..400 {
            let mut canvas = canvas();
            let token = CancelToken::new();
            let mut left = steps;
            let mut last = -1.0;
            let mut progress = |done: f32| {
                assert!(done > last && (0.0..=1.0).contains(&done));
                last = done;
                match left {
                    0 => token.cancel(),
                    _ => left -= 1,
                }
            };
            ended = canvas.update(goal, &mut Control::new().cancel(&token).progress(&mut progress)).is_ok();
            canvas.update(Goal::Settled, &mut Control::new()).unwrap();
            assert!(most(&bytes(&canvas), &expected) <= 1, "{goal:?} {steps}");
            if ended {
                break;
            }
        }
        assert!(ended);
    }
    let shared: Arc<PreparedModel> = Arc::new(model.clone());
    assert!(
        PreparedModel::new(Model::builtin("facades").unwrap(), SynthesizerOptions::new(&Device::cpu()).threads(1))
            .is_ok()
    );
    drop(shared);
}

/// On Burn, on the CPU, which stands for any device: windows give the picture of the whole, up to rounding.
#[test]
fn windows_on_a_device_give_the_whole() {
    let options = SynthesizerOptions::new(&Device::cpu()).reference();
    let windowed = PreparedModel::new(Model::builtin("facades").unwrap(), options).unwrap();
    assert!(!windowed.uses_engine());
    let model = facades();
    let area = rect(0, 0, 500, 300);
    let labels = map_of(area, 5);
    let expected = model.synthesizer().run(&labels, &Request::new()).unwrap();
    // Windows of 128 pixels.
    let memory = 26 * 16 * 550 * 550;
    let close = |found: &[u8], expected: &[u8]| most(found, expected) <= 1 && off(found, expected) * 500 < found.len();
    assert!(close(&paint(&windowed, area, [Border::Zero; 2], 5, memory), expected.as_bytes()));
    let refused = windowed.synthesizer().run_with(&labels, &Request::new(), &mut Control::new().memory(1 << 20));
    assert!(matches!(refused, Err(Error::Limit(_))));
    // A goal that is too little gives the smallest windows, which take more steps than larger ones.
    let steps = |memory: usize| {
        let mut steps = 0;
        let mut count = |_| steps += 1;
        let mut control = Control::new().progress(&mut count).memory_goal(memory);
        let picture = windowed.synthesizer().run_with(&labels, &Request::new(), &mut control).unwrap();
        assert!(close(picture.as_bytes(), expected.as_bytes()), "{memory}");
        steps
    };
    let (large, small) = (steps(usize::MAX), steps(1 << 20));
    assert!(small > 2 * large, "{large} {small} steps");
    // A part of a world, and a picture that repeats itself.
    let chunk = rect(-77, 131, 150, 90);
    let source = [Border::Source; 2];
    assert!(close(&paint(&windowed, chunk, source, 3, memory), &paint(&model, chunk, source, 3, usize::MAX)));
    let wrapped = rect(0, 0, 128, 96);
    let wrap = [Border::Wrap; 2];
    assert!(close(&paint(&windowed, wrapped, wrap, 3, memory), &paint(&model, wrapped, wrap, 3, usize::MAX)));
}

/// The same on a GPU: part of a world, and a picture in windows.
#[test]
fn windows_on_a_gpu_give_the_whole() {
    let Some(device) = software() else { return };
    let windowed = PreparedModel::new(Model::builtin("facades").unwrap(), &device).unwrap();
    let model = facades();
    let memory = 26 * 16 * 550 * 550;
    for (area, borders) in [(rect(-77, 131, 60, 40), Border::Source), (rect(0, 0, 160, 96), Border::Zero)] {
        let found = paint(&windowed, area, [borders; 2], 3, memory);
        let expected = paint(&model, area, [borders; 2], 3, usize::MAX);
        assert!(most(&found, &expected) <= 2 && off(&found, &expected) * 100 < found.len(), "{area}");
    }
}
