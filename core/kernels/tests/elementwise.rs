//! Compares upsampling, normalisation and statistics with plain loops.

mod common;

use common::*;
use proptest::prelude::*;
use semsynth_kernels::{Affine, Isa, affine, moments, upsample2};

fn check_moments(channels: usize, n: usize, x: &[f32]) {
    let mut first: Option<(Vec<f64>, Vec<f64>)> = None;
    each_isa(|isa| {
        on_pools(|| {
            let (mut mean, mut variance) = (vec![f64::NAN; channels], vec![f64::NAN; channels]);
            moments(isa, x, &mut mean, &mut variance);
            for (c, x) in x.chunks(n).enumerate() {
                let m = wide(x).iter().sum::<f64>() / n as f64;
                let v = wide(x).iter().map(|x| (x - m).powi(2)).sum::<f64>() / n as f64;
                assert!((mean[c] - m).abs() <= 1e-12 * (m.abs() + v.sqrt()), "{} for {m}", mean[c]);
                assert!((variance[c] - v).abs() <= 1e-11 * v, "{} for {v}", variance[c]);
            }
            mean.iter().chain(&variance).flat_map(|v| v.to_bits().to_ne_bytes()).map(f32::from).collect()
        });
    });
    // All instruction sets give the same bits.
    for isa in Isa::available() {
        let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
        moments(isa, x, &mut mean, &mut variance);
        let (m, v) = first.get_or_insert_with(|| (mean.clone(), variance.clone()));
        assert_eq!((&*m, &*v), (&mean, &variance), "{isa}");
    }
}

#[test]
fn moments_of_long_channels() {
    check_moments(3, 50_001, &values(150_003, 1, 2.0));
    // A mean so large that plain sums of squares would lose the variance.
    let x: Vec<f32> = values(40_000, 2, 1.0).iter().map(|v| 30_000.0 + v / 8.0).collect();
    check_moments(2, 20_000, &x);
    // Channels whose first value is far from their mean.
    let x: Vec<f32> = (0..1000).map(|i| if i % 500 == 0 { 4.0 } else { 0.0 }).collect();
    check_moments(2, 500, &x);
}

#[test]
fn a_constant_channel_has_no_variance() {
    let (mut mean, mut variance) = ([0.0; 2], [1.0; 2]);
    moments(Isa::detect(), &[0.1; 200], &mut mean, &mut variance);
    assert_eq!((mean, variance), ([f64::from(0.1f32); 2], [0.0; 2]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn moments_of_any_shape(channels in 1usize..6, n in 1usize..200, seed in any::<u32>()) {
        check_moments(channels, n, &values(channels * n, u64::from(seed), 3.0));
    }

    #[test]
    fn upsampling_repeats_each_pixel(channels in 0usize..5, h in 0usize..9, w in 0usize..70) {
        let x = values(channels * h * w, 1, 1.0);
        let mut out = vec![f32::NAN; 4 * x.len()];
        upsample2(&x, [channels, h, w], &mut out);
        for (i, v) in out.iter().enumerate() {
            let (c, y, x0) = (i / (4 * h * w), i / (2 * w) % (2 * h), i % (2 * w));
            prop_assert_eq!(v.to_bits(), x[(c * h + y / 2) * w + x0 / 2].to_bits());
        }
    }

    #[test]
    fn affine_of_any_shape(channels in 1usize..6, n in 0usize..200, act in any::<bool>()) {
        let (x, scale, shift) = (values(channels * n, 1, 1.0), values(channels, 2, 1.0), values(channels, 3, 1.0));
        each_isa(|isa| {
            let out = on_pools(|| {
                let mut out = vec![f32::NAN; x.len()];
                affine(isa, &x, Affine { scale: &scale, shift: &shift, leaky: act }, &mut out);
                out
            });
            let want: Vec<f64> = (0..x.len())
                .map(|i| f64::from(x[i]) * f64::from(scale[i / n]) + f64::from(shift[i / n]))
                .map(|v| if act { leaky(v) } else { v })
                .collect();
            assert_close(&out, &want, 2e-6, "affine");
        });
    }
}

#[test]
fn affine_in_several_parts() {
    let x = values(2 * 40_000, 1, 1.0);
    let mut out = vec![f32::NAN; x.len()];
    affine(Isa::detect(), &x, Affine { scale: &[2.0, 3.0], shift: &[1.0, -1.0], leaky: false }, &mut out);
    let want: Vec<f64> =
        wide(&x).iter().enumerate().map(|(i, v)| if i < 40_000 { 2.0 * v + 1.0 } else { 3.0 * v - 1.0 }).collect();
    assert_close(&out, &want, 2e-6, "affine");
}
