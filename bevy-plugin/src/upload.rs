//! From the worker's bytes to the GPU's textures: rectangles with all their mips, a few MiB per frame.
//!
//! Bevy rewrites only the first level of an `Image` that changes, and all of it. So the image is made once, without
//! data, and parts are written into its texture in the render world. Neither image nor material change, and no bind group
//! is made anew.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bevy_asset::{AssetId, RenderAssetUsages};
use bevy_ecs::resource::Resource;
use bevy_image::{Image, ImageAddressMode, ImageSampler, ImageSamplerDescriptor};
use bevy_math::{BVec2, UVec2};
use wgpu_types::{Extent3d, TextureDimension, TextureFormat, TextureUsages};

use crate::worker::{LevelPart, level_count};

/// Where painted parts go.
///
/// Pixels cross through host memory, because Bevy 0.19 and Burn 0.22 use different versions of wgpu. This trait is where
/// a shared device can take over once they agree. Replace the sink to have the pixels elsewhere: insert [`SynthSink`]
/// before adding the plugin.
pub trait TextureSink: fmt::Debug + Send + Sync + 'static {
    /// Takes a part of a texture, with its levels. It must not wait.
    fn push(&self, image: AssetId<Image>, parts: Vec<LevelPart>, edited: Option<Instant>);

    /// Forgets what waits for a texture that is gone.
    fn forget(&self, image: AssetId<Image>);

    /// What happened since the last call.
    fn take_news(&self) -> SinkNews;

    /// Bytes that wait.
    fn waiting(&self) -> usize;
}

/// What a [`TextureSink`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkNews {
    /// Bytes written in each frame since the last call.
    pub written: Vec<usize>,
    /// Textures whose content was lost, such as with their device.
    pub lost: Vec<AssetId<Image>>,
    /// Textures that show an edit now, and how long that took.
    pub shown: Vec<(AssetId<Image>, Duration)>,
    /// Time that the writing took, all frames together.
    pub time: Duration,
}

/// The sink that the plugin uses.
#[derive(Resource, Clone, Debug)]
pub struct SynthSink(pub Arc<dyn TextureSink>);

/// The sink of an app that renders nothing.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl TextureSink for Nowhere {
    fn push(&self, _: AssetId<Image>, _: Vec<LevelPart>, _: Option<Instant>) {}

    fn forget(&self, _: AssetId<Image>) {}

    fn take_news(&self) -> SinkNews {
        SinkNews::default()
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// The formats of colours, and of normals and roughness.
pub(crate) const COLOR: TextureFormat = TextureFormat::Rgba8UnormSrgb;
pub(crate) const LINEAR: TextureFormat = TextureFormat::Rgba8Unorm;

/// How textures are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    pub(crate) wrap: BVec2,
    pub(crate) anisotropy: u16,
}

/// A texture with all its levels. It has no data in the main world.
pub(crate) fn texture(size: UVec2, sampling: Sampling, format: TextureFormat) -> Image {
    let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let mut image = Image::new_uninit(extent, TextureDimension::D2, format, RenderAssetUsages::RENDER_WORLD);
    image.texture_descriptor.label = Some("semsynth terrain");
    image.texture_descriptor.mip_level_count = level_count(size);
    image.texture_descriptor.usage |= TextureUsages::COPY_DST;
    let mode = |wraps: bool| if wraps { ImageAddressMode::Repeat } else { ImageAddressMode::ClampToEdge };
    let mut sampler = ImageSamplerDescriptor::linear();
    sampler.set_anisotropic_filter(sampling.anisotropy.clamp(1, 16));
    sampler.address_mode_u = mode(sampling.wrap.x);
    sampler.address_mode_v = mode(sampling.wrap.y);
    image.sampler = ImageSampler::Descriptor(sampler);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn textures_have_all_levels_and_no_data() {
        let image = texture(UVec2::new(500, 300), Sampling { wrap: BVec2::new(true, false), anisotropy: 4 }, COLOR);
        assert_eq!(image.texture_descriptor.mip_level_count, 9);
        assert!(image.data.is_none());
        let ImageSampler::Descriptor(sampler) = image.sampler else { panic!("a sampler of its own") };
        assert_eq!(
            (sampler.address_mode_u, sampler.address_mode_v),
            (ImageAddressMode::Repeat, ImageAddressMode::ClampToEdge)
        );
        assert_eq!(sampler.anisotropy_clamp, 4);
    }
}
