//! Terrains show themselves: their texture becomes the base colour of their `StandardMaterial`.

use bevy_asset::Assets;
use bevy_ecs::query::Without;
use bevy_ecs::system::{Query, ResMut};
use bevy_pbr::{MeshMaterial3d, StandardMaterial};

use crate::sync::Link;
use crate::terrain::{ManualMaterial, SynthOutput};

/// Sets the texture of materials that have another one: at first, and when the size of the labels changed. A material
/// changes only by a real write, which also makes Bevy take the new texture in.
pub(super) fn apply_to_materials(
    terrains: Query<(&SynthOutput, &Link, &MeshMaterial3d<StandardMaterial>), Without<ManualMaterial>>,
    materials: Option<ResMut<Assets<StandardMaterial>>>,
) {
    let Some(mut materials) = materials else { return };
    for (output, link, material) in &terrains {
        // Until something was painted, the material stays as it is.
        if output.base_color.is_none() || !link.visible {
            continue;
        }
        if materials.get(&material.0).is_none_or(|material| material.base_color_texture == output.base_color) {
            continue;
        }
        if let Some(mut material) = materials.get_mut(&material.0) {
            material.base_color_texture.clone_from(&output.base_color);
        }
    }
}
