//! Terrains show themselves: their texture becomes the base colour of their `StandardMaterial`.

use bevy_asset::Assets;
use bevy_ecs::query::Without;
use bevy_ecs::system::{Query, Res, ResMut};
use bevy_pbr::{MeshMaterial3d, StandardMaterial};

use super::labels::ShowLabels;
use crate::cost::FrameCost;
use crate::sync::{Link, Shown};
use crate::terrain::{ManualMaterial, SynthOutput};

type Terrain<'a> = (&'a SynthOutput, &'a mut Link, Option<&'a ShowLabels>, &'a MeshMaterial3d<StandardMaterial>);

/// Sets the texture of materials that have another one: at first, and when the size of the labels changed. A material
/// changes only by a real write, which also makes Bevy take the new texture in.
pub(super) fn apply_to_materials(
    mut terrains: Query<Terrain<'_>, Without<ManualMaterial>>,
    materials: Option<ResMut<Assets<StandardMaterial>>>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    let Some(mut materials) = materials else { return };
    for (output, mut link, view, material) in &mut terrains {
        let texture = view.map_or(&output.base_color, |view| &view.image);
        // Until something was painted, the material stays as it is.
        if texture.is_none() || link.shown == Shown::Nothing {
            continue;
        }
        let is_mapped = link.shown == Shown::ColorsAndMaps;
        let had_maps = output.normal.is_none() && link.roughness.is_some();
        let fits = |material: &StandardMaterial| {
            let maps_fit =
                material.normal_map_texture == output.normal && material.metallic_roughness_texture == output.roughness;
            material.base_color_texture == *texture && (!is_mapped || maps_fit) && !had_maps
        };
        if materials.get(&material.0).is_none_or(fits) {
            continue;
        }
        let Some(mut material) = materials.get_mut(&material.0) else { continue };
        material.base_color_texture.clone_from(texture);
        if is_mapped {
            material.normal_map_texture.clone_from(&output.normal);
            material.metallic_roughness_texture.clone_from(&output.roughness);
            link.roughness.get_or_insert(material.perceptual_roughness);
            // A factor of what the texture says.
            material.perceptual_roughness = 1.0;
        } else if had_maps {
            (material.normal_map_texture, material.metallic_roughness_texture) = (None, None);
            material.perceptual_roughness = link.roughness.take().unwrap_or(material.perceptual_roughness);
        }
    }
}
