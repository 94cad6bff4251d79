//! The two rules for nearest-neighbour resizing, in exact integer arithmetic.

/// Source index for each target index, `floor(i * from / to)`: what `PyTorch` calls `nearest`.
pub(super) fn floor_indices(from: usize, to: usize) -> impl Iterator<Item = usize> + Clone {
    (0..to).map(move |i| i * from / to)
}

/// Source index for each target index, `floor((i + 1/2) * from / to)`: what PIL calls `NEAREST` and `PyTorch`
/// `nearest-exact`.
pub(super) fn centered_indices(from: usize, to: usize) -> impl Iterator<Item = usize> + Clone {
    (0..to).map(move |i| (2 * i + 1) * from / (2 * to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_indices() {
        assert_eq!(floor_indices(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(centered_indices(10, 4).collect::<Vec<_>>(), [1, 3, 6, 8]);
        assert_eq!(floor_indices(10, 14).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 7, 8, 9]);
        assert_eq!(centered_indices(10, 14).collect::<Vec<_>>(), [0, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 9]);
    }

    proptest! {
        #[test]
        fn indices_rise_within_the_source(from in 1_usize..=32768, to in 1_usize..=4096) {
            for indices in [floor_indices(from, to).collect::<Vec<_>>(), centered_indices(from, to).collect()] {
                prop_assert_eq!(indices.len(), to);
                prop_assert!(indices.is_sorted());
                prop_assert!(indices.iter().all(|&i| i < from));
            }
        }

        #[test]
        fn centred_is_symmetric_for_odd_ratios(from in 1_usize..200, k in 0_usize..5) {
            let to = from * (2 * k + 1);
            let forward: Vec<_> = centered_indices(from, to).collect();
            let backward: Vec<_> = forward.iter().rev().map(|i| from - 1 - i).collect();
            prop_assert_eq!(forward, backward);
        }

        #[test]
        fn whole_upscaling_is_the_same_under_both_rules(from in 1_usize..200, k in 1_usize..9) {
            prop_assert!(floor_indices(from, from * k).eq(centered_indices(from, from * k)));
        }
    }
}
