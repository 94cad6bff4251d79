//! Distinct patches of a label map, as look-up tables.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::label::LabelScale;

/// Patches as rows of tables: hidden vectors for 3x3 patches, gamma and beta for 5x5 patches (see
/// [`Patches`](semsynth_kernels::Patches)).
#[derive(Debug)]
pub(crate) struct PatchTables {
    /// Numbers of distinct 3x3 and 5x5 patches.
    pub(crate) distinct: [usize; 2],
    /// For each 3x3 patch and each of its nine taps, `tap * classes + class`, `[n3, 9]`; a larger number means
    /// outside of the map. With instance edges, each label has two classes: without an edge, then with one.
    pub(crate) labels: Tensor<2, Int>,
    /// For each 5x5 patch and each of its nine 3x3 patches, `tap * n3 + patch`, `[n5, 9]`; a larger number means
    /// outside of the map.
    pub(crate) nine: Tensor<2, Int>,
    /// Like `nine`, with the label in the middle of the 3x3 patch: `tap * labels + label`.
    pub(crate) middles: Tensor<2, Int>,
    /// The 5x5 patch of each pixel, `[height * width]`.
    pub(crate) of_pixels: Tensor<1, Int>,
}

impl PatchTables {
    /// The patches of a picture with `labels` label channels; `None` if there are too many to be worthwhile.
    pub(crate) fn new(scale: &LabelScale, labels: usize, device: &Device) -> Option<Self> {
        let classes = scale.patch_classes();
        // Class ids have 16 bits.
        if classes > 1 << 16 {
            return None;
        }
        let (patches, area) = (scale.patches(), scale.area());
        let distinct @ [n3, n5] = patches.distinct();
        // Worthwhile only if there are fewer products, and tables much smaller than the features.
        if 2 * n3 > area || 2 * n5 > area {
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
            of_pixels: Tensor::from_data(TensorData::new(of_pixels, [area]), device),
        })
    }
}
