//! The plugin: what it adds to an app, and when its systems run.

use std::sync::Arc;

use bevy_app::{App, Plugin, PostUpdate, PreUpdate};
use bevy_asset::{AssetApp, AssetEventSystems};
use bevy_ecs::schedule::{IntoScheduleConfigs, SystemSet};

use crate::labels::{LabelMap, LabelMapLoader};
use crate::look::{TerrainLook, TerrainLookLoader};
use crate::model::{ClassPalette, ClassPaletteLoader, SynthModel, SynthModelLoader};
use crate::settings::SemSynthSettings;
use crate::terrain::{ManualMaterial, SynthOutput, SynthSettings, SynthStatus};
use crate::upload::{Nowhere, SynthSink};
use crate::worker::Worker;
use crate::{diagnostics, look, stream, sweep, sync};

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
    /// In `PostUpdate`, before [`Collect`](Self::Collect): applies looks, advances style sweeps, spawns and drops chunks.
    Schedule,
    /// In `PostUpdate`, after [`Schedule`](Self::Schedule): gives new chunks a mesh and a material.
    Dress,
    /// In `PostUpdate`: sends edits of labels and settings to the worker. Edits made in `Update` go out in the same frame.
    Collect,
    /// In `PostUpdate`, after [`Collect`](Self::Collect): gives textures to materials, and shows chunks that are painted.
    Apply,
    /// In the render app's `Render` schedule, in `RenderSystems::PrepareResources`: writes to textures.
    Upload,
}

impl Plugin for SemSynthPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<SemSynthSettings>()
            .init_resource::<crate::cost::FrameCost>()
            .register_type::<SemSynthSettings>()
            .register_type::<SynthSettings>()
            .register_type::<SynthOutput>()
            .register_type::<SynthStatus>()
            .register_type::<ManualMaterial>()
            .init_asset::<LabelMap>()
            .init_asset::<SynthModel>()
            .init_asset::<ClassPalette>()
            .init_asset::<TerrainLook>()
            .init_asset_loader::<LabelMapLoader>()
            .init_asset_loader::<TerrainLookLoader>()
            .init_asset_loader::<SynthModelLoader>()
            .init_asset_loader::<ClassPaletteLoader>();
        diagnostics::register(app);
        let settings = app.world().resource::<SemSynthSettings>().clone();
        app.insert_resource(Worker::start(&settings));
        #[cfg(feature = "render")]
        crate::render::add(app, settings.upload_budget);
        if app.world().get_resource::<SynthSink>().is_none() {
            app.insert_resource(SynthSink(Arc::new(Nowhere)));
        }
        app.configure_sets(
            PostUpdate,
            (SemSynthSystems::Schedule, SemSynthSystems::Dress, SemSynthSystems::Collect, SemSynthSystems::Apply)
                .chain()
                // New images and changed materials reach the renderer in the same frame.
                .before(AssetEventSystems),
        )
        .add_systems(PreUpdate, sync::receive.in_set(SemSynthSystems::Receive))
        .add_systems(
            PostUpdate,
            (look::apply_looks, sweep::sweep_styles, stream::stream).chain().in_set(SemSynthSystems::Schedule),
        )
        .add_systems(PostUpdate, sync::collect.in_set(SemSynthSystems::Collect))
        .add_observer(sync::close)
        .add_observer(sync::save)
        .add_observer(stream::close)
        .add_observer(stream::end)
        .add_observer(stream::report_failures);
    }
}
