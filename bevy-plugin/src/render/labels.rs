//! Labels in place of the texture, in the colours of their classes.

use bevy_asset::{Assets, Handle, RenderAssetUsages};
use bevy_ecs::component::Component;
use bevy_ecs::system::{Query, Res, ResMut};
use bevy_image::{Image, ImageSampler};
use bevy_math::UVec2;
use wgpu_types::{Extent3d, TextureDimension};

use crate::cost::FrameCost;
use crate::labels::LabelMap;
use crate::model::SynthClasses;
use crate::terrain::SemanticTerrain;
use crate::upload::COLOR;

/// Shows a terrain's labels instead of its texture, in the colours of their classes: to compare, or to see while painting
/// which class is where. Removing it brings the texture back. Each edit converts the whole map; a
/// [`ManualMaterial`](crate::ManualMaterial) is left alone.
#[derive(Component, Clone, Debug, Default)]
pub struct ShowLabels {
    pub(super) image: Option<Handle<Image>>,
    /// The map and the edit that the image shows.
    shown: (u64, u64),
}

/// Draws the labels of terrains that show them, anew after each edit.
pub(super) fn draw(
    mut terrains: Query<(&SemanticTerrain, &SynthClasses, &mut ShowLabels)>,
    maps: Res<Assets<LabelMap>>,
    mut images: ResMut<Assets<Image>>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    for (terrain, classes, mut view) in &mut terrains {
        let Some(map) = maps.get(&terrain.labels) else { continue };
        let state = (map.serial(), map.head());
        if view.image.is_some() && view.shown == state {
            continue;
        }
        let Ok(labels) = map.to_core() else { continue };
        let image = picture(map.size(), labels.to_rgb(&classes.0).as_bytes());
        let same_size = |old: &Handle<Image>| images.get(old).is_some_and(|old| old.size() == map.size());
        match view.image.clone().filter(same_size) {
            // The material keeps its texture.
            Some(old) => drop(images.insert(&old, image)),
            None => view.image = Some(images.add(image)),
        }
        view.shown = state;
    }
}

fn picture(size: UVec2, rgb: &[u8]) -> Image {
    let extent = Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 };
    let texels = rgb.chunks_exact(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255]).collect();
    let mut image = Image::new(extent, TextureDimension::D2, texels, COLOR, RenderAssetUsages::default());
    // Labels have edges.
    image.sampler = ImageSampler::nearest();
    image
}
