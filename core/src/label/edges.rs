//! Instance edges.

use super::map::{Ids, LabelMap};

/// The pixels at instance borders, row by row from the top left: those whose left, right, upper or lower neighbour
/// has another id. The pixels on both sides of a border count; the border of the picture does not.
///
/// Networks trained with instance maps take this as their last input channel, 0 or 1 (Wang et al., "High-Resolution
/// Image Synthesis and Semantic Manipulation with Conditional GANs", 2018, section 3.3).
pub fn instance_edges(instances: &LabelMap) -> Vec<bool> {
    match instances.storage() {
        Ids::U8(ids) => edges(ids, instances.width()),
        Ids::U16(ids) => edges(ids, instances.width()),
    }
}

/// `ids` has at least one row.
fn edges<T: PartialEq>(ids: &[T], width: usize) -> Vec<bool> {
    let mut edges = vec![false; ids.len()];
    for (edges, ids) in edges.chunks_exact_mut(width).zip(ids.chunks_exact(width)) {
        mark(edges, ids, 1);
    }
    mark(&mut edges, ids, width);
    edges
}

/// Marks the pixels that differ from the pixel `step` before or after them; `step` is at most the length.
fn mark<T: PartialEq>(edges: &mut [bool], ids: &[T], step: usize) {
    let (before, after) = (&ids[..ids.len() - step], &ids[step..]);
    // Two passes without branches, which the compiler vectorizes.
    let (last, first) = (edges.len() - step, step);
    for ((edge, a), b) in edges[..last].iter_mut().zip(before).zip(after) {
        *edge |= a != b;
    }
    for ((edge, a), b) in edges[first..].iter_mut().zip(before).zip(after) {
        *edge |= a != b;
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use safetensors::{Dtype, SafeTensors};

    use super::*;

    /// Pixels as `#` and `.`, one line per row.
    fn drawn(map: &LabelMap) -> Vec<String> {
        let pixels: Vec<char> = instance_edges(map).into_iter().map(|edge| if edge { '#' } else { '.' }).collect();
        pixels.chunks(map.width()).map(|row| row.iter().collect()).collect()
    }

    #[test]
    fn both_sides_count_and_corners_do_not() {
        #[rustfmt::skip]
        let ids = vec![
            1, 1, 1, 1, 1,
            1, 1, 1, 1, 1,
            1, 1, 300, 1, 1,
            1, 1, 1, 1, 1,
        ];
        let map = LabelMap::new(5, 4, ids).unwrap();
        assert_eq!(drawn(&map), [".....", "..#..", ".###.", "..#.."]);
        // The end of a row is not next to the start of the following row.
        assert_eq!(drawn(&LabelMap::new(4, 2, vec![1, 1, 1, 2, 1, 1, 1, 2]).unwrap()), ["..##", "..##"]);
        assert_eq!(drawn(&LabelMap::new(2, 4, vec![1, 1, 1, 1, 5, 5, 5, 5]).unwrap()), ["..", "##", "##", ".."]);
    }

    #[test]
    fn a_single_instance_has_no_border() {
        for (width, height) in [(1, 1), (1, 7), (7, 1), (5, 3)] {
            for id in [0, 7, 400] {
                let map = LabelMap::filled(width, height, id).unwrap();
                assert_eq!(instance_edges(&map), vec![false; width * height]);
            }
        }
    }

    fn golden(name: &str) -> Option<PathBuf> {
        let shared = std::env::var_os("SEMSYNTH_SHARED")
            .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
        let path = shared.join("golden").join(name);
        if path.is_file() {
            return Some(path);
        }
        eprintln!("skipped: {} is not there", path.display());
        None
    }

    #[test]
    fn edges_are_those_the_networks_were_trained_with() {
        let Some(path) = golden("edges.safetensors") else { return };
        let file = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let (instances, expected) = (file.tensor("inst").unwrap(), file.tensor("edge").unwrap());
        assert_eq!((instances.dtype(), expected.dtype()), (Dtype::I64, Dtype::F32));
        let &[1, 1, height, width] = instances.shape() else { panic!("{:?}", instances.shape()) };
        let ids = instances.data().chunks_exact(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()) as u16);
        let map = LabelMap::new(width, height, ids.collect()).unwrap();
        let found: Vec<u8> =
            instance_edges(&map).into_iter().flat_map(|edge| f32::from(u8::from(edge)).to_le_bytes()).collect();
        assert_eq!(found, expected.data());
    }

    proptest! {
        #[test]
        fn a_pixel_is_an_edge_where_a_neighbour_differs(
            (width, ids) in (1_usize..12, 1_usize..12, prop_oneof![Just(2_u16), Just(4), Just(u16::MAX)])
                .prop_flat_map(|(w, h, ids)| (Just(w), proptest::collection::vec(0..ids, w * h))),
        ) {
            let map = LabelMap::new(width, ids.len() / width, ids).unwrap();
            for (i, edge) in instance_edges(&map).into_iter().enumerate() {
                let (x, y) = (i % width, i / width);
                let near = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
                let differs = near.iter().filter_map(|&(x, y)| map.get(x, y)).any(|id| Some(id) != map.get(x, y));
                prop_assert_eq!(edge, differs, "({}, {})", x, y);
            }
        }
    }
}
