//! From the worker's bytes to the GPU's textures: rectangles with all their mips, a few MiB per frame.
//!
//! Bevy rewrites only the first level of an `Image` that changes, and all of it. So the image is made once, without
//! data, and parts are written into its texture in the render world. Neither image nor material change, and no bind group
//! is made anew.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bevy_asset::{AssetId, RenderAssetUsages};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::Res;
use bevy_image::{Image, ImageAddressMode, ImageSampler, ImageSamplerDescriptor};
use bevy_math::{BVec2, UVec2};
use bevy_render::render_asset::RenderAssets;
use bevy_render::render_resource::{
    Extent3d, Origin3d, TexelCopyBufferLayout, TexelCopyTextureInfo, TextureAspect, TextureDimension, TextureFormat,
    TextureId, TextureUsages,
};
use bevy_render::renderer::RenderQueue;
use bevy_render::texture::GpuImage;

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

/// Writes parts through the queue of Bevy's GPU.
#[derive(Debug)]
pub(crate) struct HostUploads {
    budget: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Waiting>,
    /// The texture that each image had.
    textures: HashMap<AssetId<Image>, TextureId>,
    news: SinkNews,
}

#[derive(Debug)]
struct Waiting {
    image: AssetId<Image>,
    part: LevelPart,
    /// Rows that are written.
    done: u32,
    /// On the last part of an edit.
    edited: Option<Instant>,
}

impl HostUploads {
    /// At most `budget` bytes per frame; at least a row.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows of one part that fit into what is left of the budget, of the first image that `is_ready`.
    fn next(state: &mut State, left: usize, is_first: bool, is_ready: impl Fn(AssetId<Image>) -> bool) -> Option<Rows> {
        // An image that is not there yet holds up only its own parts.
        let index = state.queue.iter().position(|waiting| is_ready(waiting.image))?;
        let waiting = state.queue.get_mut(index)?;
        let row = 4 * waiting.part.rect.width() as usize;
        let fitting = (left / row.max(1)) as u32;
        let height = waiting.part.rect.height() - waiting.done;
        let rows = if is_first { fitting.max(1) } else { fitting }.min(height);
        if rows == 0 {
            return None;
        }
        let start = waiting.done as usize * row;
        let origin = waiting.part.rect.min + UVec2::new(0, waiting.done);
        let size = UVec2::new(waiting.part.rect.width(), rows);
        let mut taken =
            Rows { image: waiting.image, level: waiting.part.level, origin, size, bytes: Vec::new(), edited: None };
        if rows == height {
            let Some(mut waiting) = state.queue.remove(index) else { return None };
            taken.edited = waiting.edited;
            taken.bytes = if start == 0 { waiting.part.rgba } else { waiting.part.rgba.split_off(start) };
        } else {
            taken.bytes = waiting.part.rgba.get(start..start + rows as usize * row).unwrap_or_default().to_vec();
            waiting.done += rows;
        }
        Some(taken)
    }
}

/// Rows of one level that are written now.
#[derive(Debug, PartialEq, Eq)]
struct Rows {
    image: AssetId<Image>,
    level: u32,
    origin: UVec2,
    size: UVec2,
    bytes: Vec<u8>,
    edited: Option<Instant>,
}

impl TextureSink for HostUploads {
    fn push(&self, image: AssetId<Image>, parts: Vec<LevelPart>, edited: Option<Instant>) {
        let mut state = self.lock();
        // What is painted over before it was sent need not be sent.
        state.queue.retain(|old| {
            let covers =
                |new: &LevelPart| new.level == old.part.level && new.rect.intersect(old.part.rect) == old.part.rect;
            old.image != image || old.done > 0 || old.edited.is_some() || !parts.iter().any(covers)
        });
        let last = parts.len().saturating_sub(1);
        state.queue.extend(parts.into_iter().enumerate().map(|(index, part)| Waiting {
            image,
            part,
            done: 0,
            edited: edited.filter(|_| index == last),
        }));
    }

    fn forget(&self, image: AssetId<Image>) {
        let mut state = self.lock();
        state.queue.retain(|waiting| waiting.image != image);
        state.textures.remove(&image);
    }

    fn take_news(&self) -> SinkNews {
        std::mem::take(&mut self.lock().news)
    }

    fn waiting(&self) -> usize {
        self.lock().queue.iter().map(|waiting| waiting.part.rgba.len()).sum()
    }
}

/// The queue, in the render world.
#[derive(Resource, Clone, Debug)]
pub(crate) struct RenderUploads(pub(crate) Arc<HostUploads>);

/// Writes what fits into this frame.
pub(crate) fn upload(uploads: Res<RenderUploads>, images: Res<RenderAssets<GpuImage>>, queue: Res<RenderQueue>) {
    let uploads = &uploads.0;
    let mut state = uploads.lock();
    let start = Instant::now();
    // A texture that is not the one that was written to has lost its content.
    let State { textures, news, .. } = &mut *state;
    for (image, known) in textures.iter_mut() {
        if let Some(gpu) = images.get(*image)
            && gpu.texture.id() != *known
        {
            *known = gpu.texture.id();
            news.lost.push(*image);
        }
    }
    let mut written = 0;
    while let Some(rows) =
        HostUploads::next(&mut state, uploads.budget.saturating_sub(written), written == 0, |image| {
            images.get(image).is_some()
        })
    {
        let Some(gpu) = images.get(rows.image) else { continue };
        state.textures.insert(rows.image, gpu.texture.id());
        written += rows.bytes.len();
        let fits = rows.level < gpu.texture.mip_level_count() && gpu.texture_descriptor.format == FORMAT;
        if fits {
            write(&queue, gpu, &rows);
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

const FORMAT: TextureFormat = TextureFormat::Rgba8UnormSrgb;

/// A texture for base colours, with all its levels. It has no data in the main world.
pub(crate) fn texture(size: UVec2, wrap: BVec2) -> Image {
    let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let mut image = Image::new_uninit(extent, TextureDimension::D2, FORMAT, RenderAssetUsages::RENDER_WORLD);
    image.texture_descriptor.label = Some("semsynth base color");
    image.texture_descriptor.mip_level_count = level_count(size);
    image.texture_descriptor.usage |= TextureUsages::COPY_DST;
    let mode = |wraps: bool| if wraps { ImageAddressMode::Repeat } else { ImageAddressMode::ClampToEdge };
    let mut sampler = ImageSamplerDescriptor::linear();
    sampler.set_anisotropic_filter(8);
    sampler.address_mode_u = mode(wrap.x);
    sampler.address_mode_v = mode(wrap.y);
    image.sampler = ImageSampler::Descriptor(sampler);
    image
}

#[cfg(test)]
mod tests {
    use bevy_math::URect;

    use super::*;

    fn id(number: u128) -> AssetId<Image> {
        AssetId::Uuid { uuid: bevy_asset::uuid::Uuid::from_u128(number) }
    }

    fn part(level: u32, rect: URect, byte: u8) -> LevelPart {
        LevelPart { level, rect, rgba: vec![byte; 4 * (rect.width() * rect.height()) as usize] }
    }

    /// What frames write, each as the rows of its parts.
    fn frames(uploads: &HostUploads, ready: impl Fn(AssetId<Image>) -> bool + Copy) -> Vec<Vec<Rows>> {
        let mut frames = Vec::new();
        loop {
            let (mut frame, mut written) = (Vec::new(), 0);
            while let Some(rows) =
                HostUploads::next(&mut uploads.lock(), uploads.budget.saturating_sub(written), written == 0, ready)
            {
                written += rows.bytes.len();
                frame.push(rows);
            }
            if frame.is_empty() {
                return frames;
            }
            frames.push(frame);
        }
    }

    #[test]
    fn no_frame_writes_more_than_the_budget_and_all_rows_arrive_once() {
        let uploads = HostUploads::new(1000);
        let (large, small) = (part(0, URect::new(3, 5, 33, 75), 1), part(1, URect::new(1, 2, 16, 38), 2));
        uploads.push(id(1), vec![large.clone(), small.clone()], None);
        let frames = frames(&uploads, |_| true);
        let bytes = |frame: &Vec<Rows>| frame.iter().map(|rows| rows.bytes.len()).sum::<usize>();
        assert!(frames.iter().all(|frame| bytes(frame) <= 1000), "{:?}", frames.iter().map(bytes).collect::<Vec<_>>());
        assert_eq!(frames.iter().map(bytes).sum::<usize>(), large.rgba.len() + small.rgba.len());
        let mut next = 5;
        for rows in frames.iter().flatten().filter(|rows| rows.level == 0) {
            assert_eq!((rows.origin, rows.size.x), (UVec2::new(3, next), 30));
            next += rows.size.y;
        }
        assert_eq!(next, 75);
    }

    #[test]
    fn a_row_goes_out_even_if_the_budget_is_less() {
        let uploads = HostUploads::new(1);
        uploads.push(id(1), vec![part(0, URect::new(0, 0, 100, 3), 1)], None);
        assert_eq!(frames(&uploads, |_| true).len(), 3);
    }

    #[test]
    fn the_newest_pixels_win_and_order_is_kept() {
        let uploads = HostUploads::new(1 << 20);
        let rect = URect::new(10, 10, 20, 20);
        uploads.push(id(1), vec![part(0, rect, 1)], None);
        uploads.push(id(2), vec![part(0, rect, 2)], None);
        uploads.push(id(1), vec![part(0, URect::new(0, 0, 40, 40), 3)], None);
        let rows: Vec<Rows> = frames(&uploads, |_| true).into_iter().flatten().collect();
        assert_eq!(rows.iter().map(|rows| rows.bytes[0]).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn an_image_that_is_not_there_holds_up_no_other() {
        let uploads = HostUploads::new(1 << 20);
        let rect = URect::new(0, 0, 4, 4);
        uploads.push(id(1), vec![part(0, rect, 1)], None);
        uploads.push(id(2), vec![part(0, rect, 2)], Some(Instant::now()));
        let rows = frames(&uploads, |image| image == id(2));
        assert!(rows.len() == 1 && rows[0][0].bytes[0] == 2 && rows[0][0].edited.is_some());
        assert_eq!(uploads.waiting(), 64);
        uploads.forget(id(1));
        assert_eq!(uploads.waiting(), 0);
    }

    #[test]
    fn textures_have_all_levels_and_no_data() {
        let image = texture(UVec2::new(500, 300), BVec2::new(true, false));
        assert_eq!(image.texture_descriptor.mip_level_count, 9);
        assert!(image.data.is_none());
        let ImageSampler::Descriptor(sampler) = image.sampler else { panic!("a sampler of its own") };
        assert_eq!(
            (sampler.address_mode_u, sampler.address_mode_v),
            (ImageAddressMode::Repeat, ImageAddressMode::ClampToEdge)
        );
    }
}
