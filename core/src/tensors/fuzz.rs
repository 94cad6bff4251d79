//! Damage for tests: reproducible truncations, bit flips and random mutations of well-formed files.

/// A small reproducible random number generator (splitmix64).
pub(super) struct Random(pub u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Calls `check` with `count` damaged copies of `bytes`. Every other change is within the first `focus` bytes,
/// which hold most of the structure.
pub(super) fn mutate(bytes: &[u8], focus: usize, count: usize, mut check: impl FnMut(&[u8])) {
    let mut random = Random(bytes.len() as u64);
    let mut damaged = Vec::new();
    for _ in 0..count {
        damaged.clear();
        damaged.extend_from_slice(bytes);
        for _ in 0..=random.below(4) {
            let within = if random.below(2) == 0 { focus.min(damaged.len()) } else { damaged.len() };
            let at = random.below(within);
            if damaged.is_empty() {
                break;
            }
            match random.below(8) {
                0 => damaged[at] ^= 1 << random.below(8),
                1 => damaged[at] = random.next() as u8,
                2 => damaged[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'.', b'('][random.below(8)],
                3 => damaged.truncate(at),
                4 => drop(damaged.remove(at)),
                5 => damaged.insert(at, random.next() as u8),
                6 => {
                    // A run of bytes from elsewhere in the file, as if two files were spliced.
                    let from = random.below(damaged.len());
                    let len = random.below(24).min(damaged.len() - from).min(damaged.len() - at);
                    damaged.copy_within(from..from + len, at);
                }
                _ => {
                    // An extreme number.
                    let value = [0, u64::MAX, 1 << 63, i64::MAX as u64, 1 << 31, 0xffff_ffff][random.below(6)];
                    let len = [2, 4, 8][random.below(3)].min(damaged.len() - at);
                    damaged[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
                }
            }
        }
        check(&damaged);
    }
}
