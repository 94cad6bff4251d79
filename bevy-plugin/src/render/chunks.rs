//! How chunks look: a flat mesh and a material, shown when painted.

use std::collections::HashMap;

use bevy_asset::{Assets, Handle};
use bevy_camera::visibility::Visibility;
use bevy_ecs::entity::Entity;
use bevy_ecs::query::{Added, Changed, Or};
use bevy_ecs::system::{Commands, Local, Query, Res, ResMut};
use bevy_math::primitives::Plane3d;
use bevy_math::{Vec2, Vec3};
use bevy_mesh::{Mesh, Mesh3d, MeshBuilder, Meshable};
use bevy_pbr::{MeshMaterial3d, StandardMaterial};

use crate::cost::FrameCost;
use crate::stream::{SemanticWorld, SynthChunk};
use crate::sync::{Link, Shown};
use crate::terrain::SynthStatus;

/// Gives new chunks a mesh and a material of their own; the mesh is shared by chunks of a size.
pub(super) fn dress(
    mut commands: Commands,
    chunks: Query<(Entity, &SynthChunk), Added<SynthChunk>>,
    worlds: Query<&SemanticWorld>,
    meshes: Option<ResMut<Assets<Mesh>>>,
    materials: Option<ResMut<Assets<StandardMaterial>>>,
    mut planes: Local<HashMap<u32, Handle<Mesh>>>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    let (Some(mut meshes), Some(mut materials)) = (meshes, materials) else { return };
    for (entity, chunk) in &chunks {
        let Ok(world) = worlds.get(chunk.world) else { continue };
        let side = world.side();
        let plane = || {
            let plane = Plane3d::new(Vec3::Y, Vec2::splat(side / 2.0)).mesh().build();
            // Columns of the texture go along +X and rows along +Z, so that up in a normal map is -Z: normal x tangent.
            let tangents = vec![[1.0, 0.0, 0.0, 1.0]; plane.count_vertices()];
            meshes.add(plane.with_inserted_attribute(Mesh::ATTRIBUTE_TANGENT, tangents))
        };
        let mesh = planes.entry(side.to_bits()).or_insert_with(plane).clone();
        let material = StandardMaterial { perceptual_roughness: 0.9, reflectance: 0.2, ..Default::default() };
        let look = (Mesh3d(mesh), MeshMaterial3d(materials.add(material)), Visibility::Hidden);
        commands.entity(entity).try_insert(look);
    }
}

type Changes = Or<(Changed<SynthStatus>, Changed<SynthChunk>)>;

/// Shows chunks that are near and were painted, also while they are painted anew, and if that fails.
pub(super) fn show(mut chunks: Query<(&SynthChunk, &Link, &mut Visibility), Changes>, cost: Res<FrameCost>) {
    let _counting = cost.count();
    for (chunk, link, mut visibility) in &mut chunks {
        let is_shown = chunk.is_near && link.shown > Shown::Nothing;
        let wanted = if is_shown { Visibility::Inherited } else { Visibility::Hidden };
        if *visibility != wanted {
            *visibility = wanted;
        }
    }
}
