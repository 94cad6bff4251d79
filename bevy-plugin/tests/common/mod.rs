//! An app without a window or a GPU, and a sink that keeps what it is given.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bevy::asset::AssetPlugin;
use bevy::image::ImagePlugin;
use bevy::prelude::*;
use bevy_semsynth::{
    LabelMap, LevelPart, PartPainted, Quality, SemSynthPlugin, SemSynthSettings, SemanticTerrain, SinkNews,
    SynthFailed, SynthFinished, SynthModel, SynthOutput, SynthSink, SynthState, SynthStatus, TextureSink, semsynth,
};

/// Part of an endless world in one piece, as a built-in model paints it in a preset; without a name, in its first.
pub fn painted(model: &str, class: fn(i64, i64) -> u16, area: semsynth::Rect, preset: Option<&str>) -> Vec<u8> {
    use semsynth::{Border, Control, Device, Model, Request, Synthesizer};
    let mut source = semsynth::label::from_fn(|area: semsynth::Rect, ids: &mut [u16]| {
        for (i, id) in (0..).zip(ids) {
            *id = class(area.x + i % i64::from(area.width), area.y + i / i64::from(area.width));
        }
        Ok(())
    });
    let mut picture = Vec::new();
    let mut rows = semsynth::sink::from_fn(|_: usize, row: &[u8]| {
        picture.extend_from_slice(row);
        Ok(())
    });
    let model = Model::builtin(model).unwrap();
    let mut request = Request::new().borders(Border::Source, Border::Source);
    if let Some(preset) = preset {
        request = request.style(&model.preset(preset).unwrap());
    }
    let mut synth = Synthesizer::new(model, &Device::cpu()).unwrap();
    synth.synthesize(&mut source, area, &request, &mut rows, &mut Control::new()).unwrap();
    picture
}

/// Textures in memory, as a GPU would have them.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Size and texels of each level.
    levels: Mutex<HashMap<(AssetId<Image>, u32), Level>>,
    pub forgotten: Mutex<Vec<AssetId<Image>>>,
    pub news: Mutex<SinkNews>,
    pub bytes: Mutex<usize>,
}

impl TextureSink for Recorder {
    fn push(&self, image: AssetId<Image>, parts: Vec<LevelPart>, _: Option<Instant>) {
        let mut levels = self.levels.lock().unwrap();
        for part in parts {
            *self.bytes.lock().unwrap() += part.rgba.len();
            // The first thing that a texture gets is all of it.
            let whole = || {
                assert_eq!(part.rect.min, UVec2::ZERO);
                (part.rect.size(), vec![0; part.rgba.len()])
            };
            let (size, texels) = levels.entry((image, part.level)).or_insert_with(whole);
            assert!(part.rect.max.cmple(*size).all() && !part.rect.is_empty(), "{part:?} of {size}");
            for (y, row) in (part.rect.min.y..).zip(part.rgba.chunks_exact(4 * part.rect.width() as usize)) {
                let start = 4 * (y * size.x + part.rect.min.x) as usize;
                texels[start..start + row.len()].copy_from_slice(row);
            }
        }
    }

    fn forget(&self, image: AssetId<Image>) {
        self.forgotten.lock().unwrap().push(image);
    }

    fn take_news(&self) -> SinkNews {
        std::mem::take(&mut self.news.lock().unwrap())
    }

    fn waiting(&self) -> usize {
        0
    }
}

impl Recorder {
    /// Red, green and blue of a level.
    pub fn level(&self, image: &Handle<Image>, level: u32) -> Vec<u8> {
        let levels = self.levels.lock().unwrap();
        let (_, texels) = &levels[&(image.id(), level)];
        texels.chunks_exact(4).flat_map(|texel| texel[..3].to_vec()).collect()
    }

    pub fn level_size(&self, image: &Handle<Image>, level: u32) -> Option<UVec2> {
        self.levels.lock().unwrap().get(&(image.id(), level)).map(|(size, _)| *size)
    }
}

/// Size and texels.
type Level = (UVec2, Vec<u8>);

/// What happened, in order.
#[derive(Resource, Default, Debug)]
pub struct Happened {
    pub parts: Vec<(Entity, URect, Quality)>,
    pub finished: Vec<Entity>,
    pub failed: Vec<(Entity, String)>,
}

pub struct World3 {
    pub app: App,
    pub sink: Arc<Recorder>,
}

pub fn headless(assets: &Path) -> World3 {
    headless_with(assets, TaskPoolPlugin::default())
}

pub fn headless_with(assets: &Path, pools: TaskPoolPlugin) -> World3 {
    let sink = Arc::new(Recorder::default());
    let mut app = App::new();
    app.add_plugins((
        MinimalPlugins.set(pools),
        AssetPlugin { file_path: assets.display().to_string(), ..Default::default() },
        ImagePlugin::default(),
    ));
    app.insert_resource(SemSynthSettings { rest: Duration::from_millis(30), ..Default::default() });
    app.insert_resource(SynthSink(sink.clone()));
    app.init_resource::<Happened>();
    #[cfg(feature = "render")]
    app.init_asset::<StandardMaterial>().init_asset::<Mesh>();
    app.add_plugins(SemSynthPlugin);
    app.add_observer(|part: On<PartPainted>, mut happened: ResMut<Happened>| {
        happened.parts.push((part.entity, part.rect, part.quality));
    });
    app.add_observer(|done: On<SynthFinished>, mut happened: ResMut<Happened>| happened.finished.push(done.entity));
    app.add_observer(|failed: On<SynthFailed>, mut happened: ResMut<Happened>| {
        happened.failed.push((failed.entity, failed.error.clone()));
    });
    World3 { app, sink }
}

/// Buildings of the model's classes.
pub fn labels(width: u32, height: u32) -> LabelMap {
    let id = |i: u32| {
        let (x, y) = (i % width, i / width);
        match (x % 32, y % 36) {
            (6..=22, 8..=26) => 3,
            (_, 33..) => 5,
            _ => 2,
        }
    };
    LabelMap::new(width, height, (0..width * height).map(id).collect()).unwrap()
}

impl World3 {
    pub fn new() -> Self {
        headless(Path::new("assets"))
    }

    pub fn add_labels(&mut self, map: LabelMap) -> Handle<LabelMap> {
        self.app.world_mut().resource_mut::<Assets<LabelMap>>().add(map)
    }

    pub fn model(&mut self) -> Handle<SynthModel> {
        self.app.world_mut().resource_mut::<Assets<SynthModel>>().add(SynthModel::builtin("facades").unwrap())
    }

    pub fn terrain(&mut self, map: LabelMap) -> (Entity, Handle<LabelMap>) {
        let (labels, model) = (self.add_labels(map), self.model());
        let terrain = SemanticTerrain { labels: labels.clone(), model };
        (self.app.world_mut().spawn(terrain).id(), labels)
    }

    pub fn status(&self, entity: Entity) -> SynthStatus {
        self.app.world().get::<SynthStatus>(entity).unwrap().clone()
    }

    pub fn image(&self, entity: Entity) -> Handle<Image> {
        self.app.world().get::<SynthOutput>(entity).unwrap().base_color.clone().unwrap()
    }

    pub fn happened(&self) -> &Happened {
        self.app.world().resource()
    }

    /// Runs frames until something holds, for a minute at most.
    pub fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> usize {
        let start = Instant::now();
        let mut frames = 0;
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_mins(1), "{what} does not come; {:?}", self.happened().failed);
            self.app.update();
            frames += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        frames
    }

    pub fn until_ready(&mut self, entity: Entity) -> usize {
        self.until("the finished picture", |world| world.status(entity).state == SynthState::Ready)
    }

    pub fn until_failed(&mut self, entity: Entity) -> String {
        self.until("a failure", |world| matches!(world.status(entity).state, SynthState::Failed { .. }));
        let SynthState::Failed { error } = self.status(entity).state else { unreachable!() };
        error
    }

    pub fn edit<T>(&mut self, labels: &Handle<LabelMap>, change: impl FnOnce(&mut LabelMap) -> T) -> T {
        let mut maps = self.app.world_mut().resource_mut::<Assets<LabelMap>>();
        change(&mut maps.get_mut(labels).unwrap())
    }

    /// The picture that the library paints of the labels as they are.
    pub fn expected(&self, labels: &Handle<LabelMap>, request: &semsynth::Request) -> Vec<u8> {
        let map = self.app.world().resource::<Assets<LabelMap>>().get(labels).unwrap().to_core().unwrap();
        let model = semsynth::Model::builtin("facades").unwrap();
        let mut synth = semsynth::Synthesizer::new(model, &semsynth::Device::cpu()).unwrap();
        synth.run(&map, request).unwrap().into_bytes()
    }

    /// Most levels of 255 off, and bytes that are off.
    pub fn off(&self, entity: Entity, expected: &[u8]) -> (u8, usize) {
        let found = self.sink.level(&self.image(entity), 0);
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
        (off.clone().max().unwrap_or(0), off.filter(|off| *off > 0).count())
    }
}
