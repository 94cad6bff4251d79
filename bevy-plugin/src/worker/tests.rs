//! The worker on its own, without an app.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bevy_ecs::entity::Entity;
use bevy_math::{BVec2, URect, UVec2};
use semsynth::{Border, CancelToken, Device, LabelMap, Model, PreparedModel, Rect, Request, Synthesizer};

use super::picture::{Job, Picture, State};
use super::*;
use crate::model::SynthModel;
use crate::terrain::SynthSettings;

const SIDE: u32 = 192;

/// A worker and what its textures show.
struct Bench {
    worker: Worker,
    /// Size and red, green and blue of pictures.
    shown: HashMap<Entity, (UVec2, Vec<u8>)>,
    maps: HashMap<Entity, MapParts>,
    news: Vec<(Entity, u64, Option<Quality>, Option<URect>)>,
    errors: Vec<(Entity, String)>,
    model: SynthModel,
}

fn entity(number: u64) -> Entity {
    Entity::from_bits(number)
}

fn id_at(x: u32, y: u32) -> u16 {
    if x % 40 > 12 && x % 40 < 28 && y % 44 > 10 && y % 44 < 34 { 2 } else { 1 }
}

fn labels() -> LabelMap {
    let ids = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| id_at(x, y)));
    LabelMap::new(SIDE as usize, SIDE as usize, ids.collect()).unwrap()
}

impl Bench {
    fn new() -> Self {
        Self::on(Box::new(Device::cpu))
    }

    fn on(open_device: OpenDevice) -> Self {
        let settings = SemSynthSettings { rest: Duration::from_millis(60), ..Default::default() };
        Self {
            worker: Worker::start_on(&settings, open_device),
            shown: HashMap::new(),
            maps: HashMap::new(),
            news: Vec::new(),
            errors: Vec::new(),
            model: SynthModel::builtin("facades").unwrap(),
        }
    }

    fn open(&self, entity: Entity, generation: u64, settings: SynthSettings, what: What) {
        let open = Open {
            generation,
            model: self.model.0.clone(),
            settings,
            priority: 0.0,
            colors: true,
            surface: None,
            what,
        };
        self.worker.send(Command::Open(entity, Box::new(open)));
    }

    fn edit(&self, entity: Entity, revision: u64, rect: URect, id: u16) {
        let edits = vec![(rect, vec![id; (rect.width() * rect.height()) as usize])];
        self.worker.send(Command::Edit { entity, revision, edits, at: Instant::now() });
    }

    /// Takes reports until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "{what} does not come: {:?} {:?}",
                self.news,
                self.errors
            );
            for report in self.worker.reports() {
                match report.news {
                    News::Painted(painted) => {
                        for part in painted.parts.iter().filter(|part| part.level == 0) {
                            let (size, texels) =
                                self.shown.entry(report.entity).or_insert_with(|| (part.rect.size(), Vec::new()));
                            texels.resize(3 * (size.x * size.y) as usize, 0);
                            let wide = part.rect.width() as usize;
                            for (y, row) in (part.rect.min.y..).zip(part.rgba.chunks_exact(4 * wide)) {
                                let start = 3 * (y * size.x + part.rect.min.x) as usize;
                                let row: Vec<u8> = row.chunks_exact(4).flat_map(|texel| texel[..3].to_vec()).collect();
                                texels[start..start + row.len()].copy_from_slice(&row);
                            }
                        }
                        self.maps.insert(report.entity, painted.maps);
                        self.news.push((report.entity, painted.revision, Some(painted.quality), painted.rect));
                    }
                    News::Failed { error, .. } => self.errors.push((report.entity, error)),
                    News::Model(..) | News::Saved(..) => {}
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_settled(&self, entity: Entity, revision: u64) -> bool {
        self.news.iter().any(|news| news.0 == entity && news.1 == revision && news.2 == Some(Quality::Settled))
    }

    fn off(&self, entity: Entity, expected: &[u8]) -> (u8, usize) {
        let found = &self.shown[&entity].1;
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        (off.clone().max().unwrap_or(0), off.filter(|off| *off > 0).count())
    }
}

fn expected(edits: &[(URect, u16)], request: &Request) -> Vec<u8> {
    let mut ids: Vec<u16> = labels().ids().collect();
    for (rect, id) in edits {
        for y in rect.min.y..rect.max.y {
            ids[(y * SIDE + rect.min.x) as usize..(y * SIDE + rect.max.x) as usize].fill(*id);
        }
    }
    let map = LabelMap::new(SIDE as usize, SIDE as usize, ids).unwrap();
    let mut synth = Synthesizer::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap();
    synth.run(&map, request).unwrap().into_bytes()
}

#[test]
fn colours_come_first_then_the_picture_then_previews_and_what_follows_from_them() {
    let mut bench = Bench::new();
    bench.open(entity(1), 1, SynthSettings::default(), What::Terrain(labels()));
    bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
    assert_eq!(
        bench.news.iter().map(|news| news.2).collect::<Vec<_>>(),
        [Some(Quality::Colors), Some(Quality::Settled)]
    );
    assert_eq!(bench.off(entity(1), &expected(&[], &Request::new())), (0, 0));
    let rect = URect::new(90, 70, 120, 100);
    bench.edit(entity(1), 1, rect, 3);
    bench.until("full quality", |bench| bench.is_settled(entity(1), 1));
    let previews: Vec<_> = bench.news.iter().filter(|news| news.2 == Some(Quality::Preview)).collect();
    assert_eq!(previews.len(), 1);
    let shown = previews[0].3.unwrap();
    assert!(shown.min.x >= 81 && shown.min.y >= 61 && shown.max.x <= 129 && shown.max.y <= 109, "{shown:?}");
    let (most, off) = bench.off(entity(1), &expected(&[(rect, 3)], &Request::new()));
    assert!(most <= 1 && off <= 30, "{most} levels, {off} bytes");
}

#[test]
fn edits_while_settling_interrupt_it_and_nothing_is_lost() {
    let mut bench = Bench::new();
    bench.open(entity(1), 1, SynthSettings::default(), What::Terrain(labels()));
    bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
    let mut edits = Vec::new();
    // Strokes with pauses of all lengths around the rest, so that full quality is interrupted anywhere.
    for step in 0..40_u32 {
        let (x, y) = (step * 37 % 150, step * 53 % 150);
        let rect = URect::new(x, y, x + 20 + step % 9, y + 15 + step % 17);
        let id = [1, 2, 3, 5][step as usize % 4];
        bench.edit(entity(1), u64::from(step) + 1, rect, id);
        edits.push((rect, id));
        std::thread::sleep(Duration::from_millis(u64::from(step) * 4 % 110));
    }
    bench.until("full quality", |bench| bench.is_settled(entity(1), 40));
    let (most, off) = bench.off(entity(1), &expected(&edits, &Request::new()));
    assert!(most <= 1 && off <= 30, "{most} levels, {off} bytes");
}

#[test]
fn what_was_painted_before_a_cancellation_reaches_the_texture() {
    let model = PreparedModel::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap();
    let open = Open {
        generation: 1,
        model: SynthModel::builtin("facades").unwrap().0,
        settings: SynthSettings::default(),
        priority: 0.0,
        colors: false,
        surface: None,
        what: What::Terrain(labels()),
    };
    let mut picture = Picture::new(open);
    picture.begin(&model, Request::new(), usize::MAX).unwrap();
    let all = |picture: &mut Picture, job: Job, steps: usize| {
        let token = CancelToken::new();
        let mut left = steps;
        let change = picture.paint(job, &token, &mut |_| {
            left = left.saturating_sub(1);
            if left == 0 {
                token.cancel();
            }
        });
        change.map(|change| picture.take_over(change).unwrap())
    };
    all(&mut picture, Job::Paint, usize::MAX).unwrap();
    let mut cancelled = 0;
    // At every report of progress: far apart, so that the update has parts.
    for steps in (1..60).step_by(2) {
        let id = [2, 3, 5][steps % 3];
        let edits = [(4, 4), (150, 160), (10, 150)].map(|(x, y)| (URect::new(x, y, x + 9, y + 9), vec![id; 81]));
        picture.edit(&edits).unwrap();
        cancelled += usize::from(all(&mut picture, Job::Preview, steps).is_err());
        cancelled += usize::from(all(&mut picture, Job::Settle, steps).is_err());
        all(&mut picture, Job::Settle, usize::MAX).unwrap();
        let State::Live { canvas, .. } = &picture.state else { panic!("a canvas") };
        let pixels: Vec<u8> = canvas.pixels().unwrap().rows().flatten().copied().collect();
        assert!(picture.pyramid.image().unwrap().as_bytes() == pixels, "cancelled at step {steps}");
    }
    assert!(cancelled > 20, "{cancelled}");
}

#[test]
fn an_edit_of_one_terrain_goes_before_full_quality_of_another() {
    let mut bench = Bench::new();
    for number in 1..=2 {
        bench.open(entity(number), 1, SynthSettings::default(), What::Terrain(labels()));
    }
    bench.until("both", |bench| bench.is_settled(entity(1), 0) && bench.is_settled(entity(2), 0));
    bench.edit(entity(1), 1, URect::new(0, 0, SIDE, SIDE), 3);
    bench.until("its preview", |bench| bench.news.last().is_some_and(|news| news.0 == entity(1) && news.1 == 1));
    // While it settles.
    std::thread::sleep(Duration::from_millis(70));
    bench.edit(entity(2), 1, URect::new(20, 20, 40, 40), 3);
    bench.until("both again", |bench| bench.is_settled(entity(1), 1) && bench.is_settled(entity(2), 1));
    for (number, rect) in [(1, URect::new(0, 0, SIDE, SIDE)), (2, URect::new(20, 20, 40, 40))] {
        let (most, off) = bench.off(entity(number), &expected(&[(rect, 3)], &Request::new()));
        assert!(most <= 1 && off <= 30, "{number}: {most} levels, {off} bytes");
    }
}

#[test]
fn unknown_classes_fail_and_a_new_beginning_repairs() {
    let mut bench = Bench::new();
    bench.open(entity(1), 1, SynthSettings::default(), What::Terrain(labels()));
    bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
    bench.edit(entity(1), 1, URect::new(0, 0, 4, 4), 99);
    bench.until("the failure", |bench| !bench.errors.is_empty());
    assert!(bench.errors[0].1.contains("99"), "{:?}", bench.errors);
    bench.news.clear();
    bench.open(entity(1), 2, SynthSettings::default(), What::Terrain(labels()));
    bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
    assert_eq!(bench.off(entity(1), &expected(&[], &Request::new())), (0, 0));
}

#[test]
fn a_lost_device_is_told_opened_anew_once_and_then_given_up() {
    let opened = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = || opened.load(std::sync::atomic::Ordering::Relaxed);
    let counter = Arc::clone(&opened);
    let mut bench = Bench::on(Box::new(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Device::cpu()
    }));
    let begin = |bench: &mut Bench, generation: u64| {
        bench.news.clear();
        bench.open(entity(1), generation, SynthSettings::default(), What::Terrain(labels()));
        bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
        assert_eq!(bench.off(entity(1), &expected(&[], &Request::new())), (0, 0));
    };
    let lose = |bench: &mut Bench, revision: u64, errors: usize| {
        bench.worker.inbox().loses_device.store(true, std::sync::atomic::Ordering::Relaxed);
        bench.edit(entity(1), revision, URect::new(90, 70, 120, 100), 3);
        bench.until("the failure", |bench| bench.errors.len() == errors);
        assert!(bench.errors[errors - 1].1.contains("the device is lost"), "{:?}", bench.errors);
    };
    // A terrain beside it.
    bench.open(entity(2), 1, SynthSettings::default(), What::Terrain(labels()));
    bench.until("its picture", |bench| bench.is_settled(entity(2), 0));
    begin(&mut bench, 1);
    assert_eq!(count(), 1);
    lose(&mut bench, 1, 1);
    // The next beginning, which an edit makes, opens it anew, and what is painted counts.
    begin(&mut bench, 2);
    assert_eq!(count(), 2);
    lose(&mut bench, 1, 2);
    begin(&mut bench, 3);
    assert_eq!(count(), 3);
    // Twice without a picture between: the second time before anything is painted.
    lose(&mut bench, 1, 3);
    bench.worker.inbox().loses_device.store(true, std::sync::atomic::Ordering::Relaxed);
    bench.open(entity(1), 4, SynthSettings::default(), What::Terrain(labels()));
    bench.until("the failure", |bench| bench.errors.len() == 4);
    assert_eq!(count(), 4);
    begin(&mut bench, 5);
    assert_eq!(count(), 4, "the CPU took over");
    // The terrain beside it takes settings still.
    bench.news.clear();
    let settings = Box::new(SynthSettings { seed: 3, ..Default::default() });
    bench.worker.send(Command::Settings { entity: entity(2), revision: 1, settings });
    bench.until("the terrain beside it", |bench| bench.is_settled(entity(2), 1));
}

#[test]
fn pictures_that_wrap_are_repainted_whole() {
    let mut bench = Bench::new();
    let request = Request::new().borders(Border::Wrap, Border::Wrap);
    let settings = SynthSettings { wrap: BVec2::TRUE, ..Default::default() };
    bench.open(entity(1), 1, settings, What::Terrain(labels()));
    bench.until("the picture", |bench| bench.is_settled(entity(1), 0));
    assert_eq!(bench.off(entity(1), &expected(&[], &request)), (0, 0));
    let rect = URect::new(0, 100, 9, 120);
    bench.edit(entity(1), 1, rect, 3);
    bench.until("the edit", |bench| bench.is_settled(entity(1), 1));
    assert_eq!(bench.off(entity(1), &expected(&[(rect, 3)], &request)), (0, 0));
}

#[test]
fn chunks_are_parts_of_one_world() {
    let mut bench = Bench::new();
    let world: Arc<dyn crate::stream::WorldLabels> =
        Arc::new(|x: i64, y: i64| id_at(x.rem_euclid(40) as u32, y.rem_euclid(44) as u32));
    for (number, x) in [(1, -64), (2, 0)] {
        let area = Rect { x, y: -32, width: 64, height: 96 };
        bench.open(entity(number), 1, SynthSettings::default(), What::Chunk { labels: Arc::clone(&world), area });
    }
    bench.until("both", |bench| bench.is_settled(entity(1), 0) && bench.is_settled(entity(2), 0));
    let mut source = semsynth::label::from_fn(|area: Rect, ids: &mut [u16]| {
        world.read(area, ids);
        Ok(())
    });
    let mut whole = Vec::new();
    let mut rows = semsynth::sink::from_fn(|_: usize, row: &[u8]| {
        whole.extend_from_slice(row);
        Ok(())
    });
    let request = Request::new().borders(Border::Source, Border::Source);
    let area = Rect { x: -64, y: -32, width: 128, height: 96 };
    let mut synth = Synthesizer::new(Model::builtin("facades").unwrap(), &Device::cpu()).unwrap();
    synth.synthesize(&mut source, area, &request, &mut rows, &mut semsynth::Control::new()).unwrap();
    let (left, right) = (&bench.shown[&entity(1)].1, &bench.shown[&entity(2)].1);
    for (y, row) in whole.chunks_exact(3 * 128).enumerate() {
        assert_eq!(row[..192], left[192 * y..192 * (y + 1)], "row {y}");
        assert_eq!(row[192..], right[192 * y..192 * (y + 1)], "row {y}");
    }
}

/// The maps of chunks, at their border too, are those of the colours of the world around it.
#[test]
fn chunks_have_normals_and_roughness_if_wanted() {
    let mut bench = Bench::new();
    let world: Arc<dyn crate::stream::WorldLabels> =
        Arc::new(|x: i64, y: i64| id_at(x.rem_euclid(40) as u32, y.rem_euclid(44) as u32));
    let surface = crate::surface::SynthSurface::default();
    let mut chunk = |number: u64, area: Rect, surface: Option<crate::surface::SynthSurface>| {
        let open = Open {
            generation: 1,
            model: bench.model.0.clone(),
            settings: SynthSettings::default(),
            priority: 0.0,
            colors: false,
            surface,
            what: What::Chunk { labels: Arc::clone(&world), area },
        };
        bench.worker.send(Command::Open(entity(number), Box::new(open)));
        bench.until("a chunk", |bench| bench.is_settled(entity(number), 0));
        (bench.shown[&entity(number)].1.clone(), bench.maps.remove(&entity(number)).unwrap_or_default())
    };
    let large = chunk(1, Rect { x: -32, y: -32, width: 128, height: 128 }, Some(surface.clone())).1;
    let area = Rect { x: 0, y: 0, width: 64, height: 64 };
    let (colors, small) = chunk(2, area, Some(surface));
    let (plain, none) = chunk(3, area, None);
    assert!(colors == plain && none.normal.is_empty());
    let texel = |part: &LevelPart, x: u32, y: u32| {
        let at = 4 * (y * part.rect.width() + x) as usize;
        [part.rgba[at], part.rgba[at + 1], part.rgba[at + 2]]
    };
    let mut tilted = 0;
    for (x, y) in (0..64).flat_map(|y| (0..64).map(move |x| (x, y))) {
        let normal = texel(&small.normal[0], x, y);
        assert_eq!(normal, texel(&large.normal[0], x + 32, y + 32), "{x}, {y}");
        assert_eq!(texel(&small.roughness[0], x, y), [0, 230, 0]);
        tilted += u32::from(normal != [128, 128, 255]);
    }
    assert!(tilted > 1000, "{tilted}");
    assert_eq!((small.normal.len(), small.roughness.len()), (7, 7));
}

#[test]
fn it_ends_at_once_in_the_middle_of_a_picture_and_with_reports_that_nobody_takes() {
    let bench = Bench::new();
    let large = LabelMap::filled(1024, 1024, 1).unwrap();
    bench.open(entity(1), 1, SynthSettings::default(), What::Terrain(large));
    std::thread::sleep(Duration::from_millis(150));
    let start = Instant::now();
    drop(bench);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let bench = Bench::new();
    bench.open(entity(1), 1, SynthSettings::default(), What::Terrain(LabelMap::filled(32, 32, 1).unwrap()));
    // More than the channel takes.
    for _ in 0..3 * WAITING {
        bench.worker.send(Command::Resend(entity(1)));
        std::thread::sleep(Duration::from_millis(1));
    }
    let start = Instant::now();
    drop(bench);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
