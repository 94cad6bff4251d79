//! Test data, and plain reference computations in `f64`.
#![allow(dead_code, reason = "each test program uses its part")]

use semsynth_kernels::Isa;

/// Sizes that are likely to fail: single pixels and rows, primes, sizes next to multiples of tiles and vectors.
pub(crate) const SIZES: [[usize; 2]; 10] =
    [[1, 1], [1, 37], [41, 1], [2, 3], [4, 4], [7, 64], [13, 29], [5, 127], [33, 31], [17, 130]];

/// Pseudo-random values with mean zero and variance `scale`².
pub(crate) fn values(n: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut uniform = || {
        z ^= z << 13;
        z ^= z >> 7;
        z ^= z << 17;
        (z >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..n).map(|_| (uniform() + uniform() + uniform() + uniform()) * 3f32.sqrt() * scale).collect()
}

/// Largest allowed relative error, as a ratio of Frobenius norms.
pub(crate) const RELATIVE: f64 = 1e-5;

/// Asserts that `got` is within [`RELATIVE`] of `want` as a whole, and within `most` in each value.
#[track_caller]
pub(crate) fn assert_close(got: &[f32], want: &[f64], most: f64, what: &str) {
    assert_eq!(got.len(), want.len());
    let (mut error, mut norm, mut worst) = (0.0, 0.0, 0.0f64);
    for (&g, w) in got.iter().zip(want) {
        let e = (f64::from(g) - w).abs();
        assert!(e.is_finite(), "{what}: {g} for {w}");
        error += e * e;
        norm += w * w;
        worst = worst.max(e);
    }
    assert!(error.sqrt() <= RELATIVE * norm.sqrt(), "{what}: relative error {:e}", (error / norm).sqrt());
    assert!(worst <= most, "{what}: largest error {worst:e}");
}

/// 3×3 convolution with padding 1.
pub(crate) fn conv3x3(x: &[f64], g: &[f32], bias: &[f32], [outs, ins]: [usize; 2], [h, w]: [usize; 2]) -> Vec<f64> {
    let mut y = Vec::with_capacity(outs * h * w);
    for o in 0..outs {
        for p in 0..h * w {
            let mut sum = f64::from(bias[o]);
            for k in 0..ins {
                for j in 0..9 {
                    let (r, c) = (p / w + j / 3, p % w + j % 3);
                    if (1..=h).contains(&r) && (1..=w).contains(&c) {
                        sum += x[(k * h + r - 1) * w + c - 1] * f64::from(g[(o * ins + k) * 9 + j]);
                    }
                }
            }
            y.push(sum);
        }
    }
    y
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

pub(crate) fn leaky(v: f64) -> f64 {
    v.max(0.2 * v)
}

/// Runs `f` on pools of 1, 2 and 3 threads, asserts that the results are equal bit for bit, and returns them.
#[track_caller]
pub(crate) fn on_pools(f: impl Fn() -> Vec<f32> + Sync) -> Vec<f32> {
    let runs = [1, 2, 3].map(|n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool of threads");
        pool.install(&f)
    });
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(runs.iter().all(|r| bits(r) == bits(&runs[0])), "bits depend on the number of threads");
    let [first, ..] = runs;
    first
}

pub(crate) fn each_isa(f: impl Fn(Isa)) {
    Isa::available().for_each(f);
}
