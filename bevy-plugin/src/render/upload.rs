//! Writes painted parts into textures, in the render world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bevy_asset::AssetId;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, ResMut};
use bevy_image::Image;
use bevy_render::render_asset::RenderAssets;
use bevy_render::render_resource::{
    Extent3d, Origin3d, TexelCopyBufferLayout, TexelCopyTextureInfo, TextureAspect, TextureId,
};
use bevy_render::renderer::RenderQueue;
use bevy_render::texture::GpuImage;

use crate::queue::{HostUploads, Rows};
use crate::upload::{COLOR, LINEAR};

/// The queue, in the render world.
#[derive(Resource, Debug)]
pub(super) struct Uploads {
    queue: Arc<HostUploads>,
    /// The texture of each image that was written to, until the plugin has no use for the image.
    textures: HashMap<AssetId<Image>, TextureId>,
}

impl Uploads {
    pub(super) fn new(queue: Arc<HostUploads>) -> Self {
        Self { queue, textures: HashMap::new() }
    }
}

/// Writes what fits into this frame.
pub(super) fn upload(mut uploads: ResMut<Uploads>, images: Res<RenderAssets<GpuImage>>, gpu_queue: Res<RenderQueue>) {
    let Uploads { queue, textures } = &mut *uploads;
    let mut state = queue.lock();
    let start = Instant::now();
    for image in state.forgotten.drain(..) {
        textures.remove(&image);
    }
    let lost = lost(textures, |image| images.get(image).map(|gpu| gpu.texture.id()));
    state.news.lost.extend(lost);
    let mut written = 0;
    while let Some(rows) = HostUploads::next(&mut state, queue.budget.saturating_sub(written), written == 0, |image| {
        images.get(image).is_some()
    }) {
        let Some(gpu) = images.get(rows.image) else { continue };
        textures.insert(rows.image, gpu.texture.id());
        written += rows.bytes.len();
        let fits =
            rows.level < gpu.texture.mip_level_count() && [COLOR, LINEAR].contains(&gpu.texture_descriptor.format);
        if fits {
            write(&gpu_queue, gpu, &rows);
        }
        if let Some(edited) = rows.edited {
            state.news.shown.push((rows.image, edited.elapsed()));
        }
    }
    if written > 0 {
        state.news.written.push(written);
        state.news.time += start.elapsed();
    }
}

/// Images whose texture is not the one that was written to, which has lost its content. Bevy may take some frames to make
/// the new one.
fn lost<T: PartialEq>(
    textures: &mut HashMap<AssetId<Image>, T>,
    now: impl Fn(AssetId<Image>) -> Option<T>,
) -> Vec<AssetId<Image>> {
    let mut lost = Vec::new();
    for (image, known) in textures {
        if let Some(texture) = now(*image).filter(|texture| texture != known) {
            *known = texture;
            lost.push(*image);
        }
    }
    lost
}

fn write(queue: &RenderQueue, gpu: &GpuImage, rows: &Rows) {
    let texture = TexelCopyTextureInfo {
        texture: &*gpu.texture,
        mip_level: rows.level,
        origin: Origin3d { x: rows.origin.x, y: rows.origin.y, z: 0 },
        aspect: TextureAspect::All,
    };
    let layout = TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * rows.size.x), rows_per_image: None };
    let size = Extent3d { width: rows.size.x, height: rows.size.y, depth_or_array_layers: 1 };
    queue.write_texture(texture, &rows.bytes, layout, size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_texture_that_was_away_and_is_another_is_lost_once() {
        let image = AssetId::Uuid { uuid: bevy_asset::uuid::Uuid::from_u128(1) };
        let mut textures = HashMap::from([(image, 7)]);
        let mut step = |now| lost(&mut textures, |_| now).len();
        assert_eq!(
            [Some(7), None, None, Some(8), Some(8), None, Some(8), Some(9)].map(&mut step),
            [0, 0, 0, 1, 0, 0, 0, 1]
        );
    }
}
