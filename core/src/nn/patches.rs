//! Distinct patches of a label map, as tables to look up.

use burn::tensor::{Device, Int, Tensor, TensorData};
use semsynth_kernels::Patches;

/// Patches as rows of tables: of hidden vectors for 3x3 patches, of gamma and beta for 5x5 patches (see
/// [`Patches`]). Instance edges make two classes of one, labels beside an edge and then labels at one.
#[derive(Debug)]
pub(crate) struct PatchRows {
    /// Numbers of distinct 3x3 and 5x5 patches.
    pub(crate) distinct: [usize; 2],
    /// For each 3x3 patch and each of its nine taps, `tap * classes + class`, `[n3, 9]`; beyond the map a larger number.
    pub(crate) labels: Tensor<2, Int>,
    /// For each 5x5 patch and each of its nine 3x3 patches, `tap * n3 + patch`, `[n5, 9]`; beyond the map a larger number.
    pub(crate) nine: Tensor<2, Int>,
    /// The same with the label in the middle of the 3x3 patch: `tap * labels + label`.
    pub(crate) middles: Tensor<2, Int>,
    /// The 5x5 patch of each pixel, `[height * width]`.
    pub(crate) of_pixels: Tensor<1, Int>,
}

impl PatchRows {
    /// Of `labels` label channels, row by row; nothing where there are too many patches to gain from.
    pub(crate) fn new(
        ids: &[u16],
        size: [usize; 2],
        labels: usize,
        edges: Option<&[f32]>,
        device: &Device,
    ) -> Option<Self> {
        let both = |(&id, &edge): (&u16, &f32)| if edge > 0.0 { id + labels as u16 } else { id };
        let (ids, classes) = match edges {
            // Ids have 16 bits.
            Some(_) if labels >= 1 << 15 => return None,
            Some(edges) => (ids.iter().zip(edges).map(both).collect(), 2 * labels),
            None => (ids.to_vec(), labels),
        };
        let patches = Patches::new(&ids, size);
        let distinct @ [n3, n5] = patches.distinct();
        // Fewer products, and tables much smaller than features.
        if 2 * n3 > ids.len() || 2 * n5 > ids.len() {
            return None;
        }
        let upload = |rows: &[[u32; 9]], number: &dyn Fn(u32) -> Option<usize>, of: usize| {
            let value = |(tap, &id): (usize, &u32)| number(id).map_or(9 * of, |id| tap * of + id) as i32;
            let values: Vec<i32> = rows.iter().flat_map(|row| row.iter().enumerate().map(value)).collect();
            Tensor::from_data(TensorData::new(values, [rows.len(), 9]), device)
        };
        let patch = |id: u32| (id < n3 as u32).then_some(id as usize);
        let middle =
            |id: u32| patches.labels().get(id as usize).map(|labels_around| labels_around[4] as usize % labels);
        let of_pixels: Vec<i32> = patches.of_pixels().iter().map(|&id| id as i32).collect();
        Some(Self {
            distinct,
            labels: upload(patches.labels(), &|id| (id < classes as u32).then_some(id as usize), classes),
            nine: upload(patches.nine(), &patch, n3),
            middles: upload(patches.nine(), &middle, labels),
            of_pixels: Tensor::from_data(TensorData::new(of_pixels, [ids.len()]), device),
        })
    }
}
