//! What only an app that renders has: textures on the GPU, materials, and the look of chunks.

mod chunks;
mod labels;
mod material;
mod upload;

use std::sync::Arc;

use bevy_app::{App, PostUpdate};
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_render::renderer::RenderDevice;
use bevy_render::{Render, RenderApp, RenderSystems};

use crate::plugin::SemSynthSystems;
use crate::queue::HostUploads;
use crate::upload::SynthSink;
pub use labels::ShowLabels;

/// Adds systems, and the sink that writes to the GPU if the app has a renderer and no other sink.
pub(crate) fn add(app: &mut App, budget: usize) {
    app.add_systems(
        PostUpdate,
        ((labels::draw, material::apply_to_materials).chain(), chunks::show).in_set(SemSynthSystems::Apply),
    );
    app.add_systems(PostUpdate, chunks::dress.in_set(SemSynthSystems::Dress));
    let queue = Arc::new(HostUploads::new(budget));
    let Some(render) = app.get_sub_app_mut(RenderApp) else { return };
    render
        .insert_resource(upload::Uploads::new(Arc::clone(&queue)))
        .configure_sets(Render, SemSynthSystems::Upload.in_set(RenderSystems::PrepareResources))
        .add_systems(Render, upload::upload.in_set(SemSynthSystems::Upload));
    if app.world().get_resource::<SynthSink>().is_none() {
        app.insert_resource(SynthSink(queue));
    }
}

/// The longest side that a texture may have.
pub(crate) fn most_pixels(device: Option<&RenderDevice>) -> Option<u32> {
    device.map(|device| device.limits().max_texture_dimension_2d)
}
