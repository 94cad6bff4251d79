//! The plugin: what it adds to an app, and when its systems run.

use std::sync::Arc;

use bevy_app::{App, Plugin, PostUpdate, PreUpdate};
use bevy_asset::{AssetApp, AssetEventSystems, AssetId};
use bevy_ecs::schedule::{IntoScheduleConfigs, SystemSet};
use bevy_image::Image;
use bevy_render::{Render, RenderApp, RenderSystems};

use crate::labels::{LabelMap, LabelMapLoader};
use crate::model::{ClassPalette, ClassPaletteLoader, SynthModel, SynthModelLoader};
use crate::settings::SemSynthSettings;
use crate::terrain::{ManualMaterial, SynthOutput, SynthSettings, SynthStatus};
use crate::upload::{HostUploads, RenderUploads, SynthSink, upload};
use crate::worker::Worker;
use crate::{diagnostics, material, stream, sweep, sync};

/// Paints terrains from their labels: add it after `DefaultPlugins`.
///
/// It needs Bevy's `AssetPlugin` and `ImagePlugin`. Without a renderer everything works but the textures, whose pixels go
/// nowhere; insert a [`SynthSink`] to have them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SemSynthPlugin;

/// When the plugin's systems run.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SemSynthSystems {
    /// In `PreUpdate`: takes what the worker has painted, and triggers events.
    Receive,
    /// In `PostUpdate`, before [`Collect`](Self::Collect): advances style sweeps, spawns and drops chunks.
    Schedule,
    /// In `PostUpdate`: sends edits of labels and settings to the worker. Edits made in `Update` go out in the same frame.
    Collect,
    /// In `PostUpdate`, after [`Collect`](Self::Collect): gives textures to materials.
    Apply,
    /// In the render app's `Render` schedule, in `RenderSystems::PrepareResources`: writes to textures.
    Upload,
}

impl Plugin for SemSynthPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<SemSynthSettings>()
            .init_resource::<sync::FrameCost>()
            .register_type::<SemSynthSettings>()
            .register_type::<SynthSettings>()
            .register_type::<SynthOutput>()
            .register_type::<SynthStatus>()
            .register_type::<ManualMaterial>()
            .init_asset::<LabelMap>()
            .init_asset::<SynthModel>()
            .init_asset::<ClassPalette>()
            .init_asset_loader::<LabelMapLoader>()
            .init_asset_loader::<SynthModelLoader>()
            .init_asset_loader::<ClassPaletteLoader>();
        diagnostics::register(app);
        let settings = app.world().resource::<SemSynthSettings>().clone();
        app.insert_resource(Worker::start(&settings));
        let uploads = Arc::new(HostUploads::new(settings.upload_budget));
        if let Some(render) = app.get_sub_app_mut(RenderApp) {
            render.insert_resource(RenderUploads(Arc::clone(&uploads)));
            let set = SemSynthSystems::Upload.in_set(RenderSystems::PrepareResources);
            render.configure_sets(Render, set).add_systems(Render, upload.in_set(SemSynthSystems::Upload));
            if app.world().get_resource::<SynthSink>().is_none() {
                app.insert_resource(SynthSink(uploads));
            }
        } else if app.world().get_resource::<SynthSink>().is_none() {
            app.insert_resource(SynthSink(Arc::new(Nowhere)));
        }
        app.configure_sets(
            PostUpdate,
            (SemSynthSystems::Schedule, SemSynthSystems::Collect, SemSynthSystems::Apply)
                .chain()
                // New images and changed materials reach the renderer in the same frame.
                .before(AssetEventSystems),
        )
        .add_systems(PreUpdate, sync::receive.in_set(SemSynthSystems::Receive))
        .add_systems(PostUpdate, (sweep::sweep_styles, stream::stream).in_set(SemSynthSystems::Schedule))
        .add_systems(PostUpdate, sync::collect.in_set(SemSynthSystems::Collect))
        .add_systems(PostUpdate, material::apply_to_materials.in_set(SemSynthSystems::Apply))
        .add_observer(sync::close)
        .add_observer(sync::save)
        .add_observer(stream::close)
        .add_observer(stream::end)
        .add_observer(stream::report_failures);
    }
}

/// The sink of an app that renders nothing.
#[derive(Debug)]
struct Nowhere;

impl crate::TextureSink for Nowhere {
    fn push(&self, _: AssetId<Image>, _: Vec<crate::LevelPart>, _: Option<std::time::Instant>) {}

    fn forget(&self, _: AssetId<Image>) {}

    fn take_news(&self) -> crate::SinkNews {
        crate::SinkNews::default()
    }

    fn waiting(&self) -> usize {
        0
    }
}
