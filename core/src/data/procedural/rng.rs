//! Random numbers of facades and hashes for textures, equal on every platform.
//!
//! Integer arithmetic only, except for the last step to `f32`, which is exact.

use crate::rng;

/// A number in `0.0..1.0` for a lattice point.
pub(super) fn lattice(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = x.cast_unsigned().wrapping_mul(0x9e37_79b1) ^ y.cast_unsigned().wrapping_mul(0x85eb_ca77) ^ seed;
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    h ^= h >> 16;
    (h >> 8) as f32 / 16_777_216.0
}

/// The random numbers of a facade.
#[derive(Clone, Debug)]
pub(super) struct Rng(rng::Rng);

impl Rng {
    /// The stream of facade `index` in the set with seed `seed`.
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let seed = rng::mix64(seed ^ 0x6a09_e667_f3bc_c909);
        Self(rng::Rng::new(rng::mix64(seed.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15)))))
    }

    /// An independent stream: if one part draws more numbers, the others do not change.
    pub(super) fn fork(&self, tag: u64) -> Self {
        Self(self.0.fork(tag))
    }

    fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A seed for a texture.
    pub(super) fn seed(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    /// Uniform in `0.0..1.0`.
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 16_777_216.0
    }

    /// Uniform between `low` and `high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `low..=high`.
    pub(super) fn int(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() >> 11) as usize % (high - low + 1)
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f32) -> bool {
        self.unit() < p
    }

    /// One of `options`, all equally likely.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, options: [T; N]) -> T {
        options[self.int(0, N - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_fixed_and_independent() {
        let mut a = Rng::new(1, 2);
        let mut b = Rng::new(1, 2);
        assert_eq!(a.bits(), b.bits());
        assert_ne!(Rng::new(1, 2).bits(), Rng::new(1, 3).bits());
        assert_ne!(Rng::new(1, 2).bits(), Rng::new(2, 2).bits());
        assert_ne!(a.fork(0).bits(), a.fork(1).bits());
    }

    #[test]
    fn uniform_numbers_are_uniform() {
        let mut rng = Rng::new(0, 0);
        let mean = (0..10_000).map(|_| rng.unit()).sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..1000).all(|_| (3..=5).contains(&rng.int(3, 5))));
        let mean = (0..100).flat_map(|y| (0..100).map(move |x| lattice(x, y, 7))).sum::<f32>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
