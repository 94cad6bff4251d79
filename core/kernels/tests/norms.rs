//! Compares normalisation, modulation by class and leaky ReLU for training with their definitions.

mod common;

use proptest::prelude::*;
use semsynth_kernels::{
    Isa, Runs, batch_moments, gradient_sums, leaky, leaky_gradient, modulate_by_class, modulate_by_class_gradients,
    spectral_gradient, standardize, standardize_gradient, times, transposed_times,
};

fn values(n: usize, seed: u64) -> Vec<f32> {
    common::values(n, seed, 1.0)
}

/// The derivative of a scalar loss with respect to one input, by finite differences.
fn slope(x: &[f32], at: usize, loss: impl Fn(&[f32]) -> f64) -> f64 {
    let step = 1e-2;
    let moved = |by: f32| {
        let mut x = x.to_vec();
        x[at] += by;
        loss(&x)
    };
    (moved(step) - moved(-step)) / (2.0 * f64::from(step))
}

fn weighted(y: &[f32], g: &[f32]) -> f64 {
    y.iter().zip(g).map(|(y, g)| f64::from(*y) * f64::from(*g)).sum()
}

/// Computed in `f64`, from the definition.
fn standardized(x: &[f64], [batch, channels, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for c in 0..channels {
        let at: Vec<usize> = (0..batch * n).map(|i| (i / n * channels + c) * n + i % n).collect();
        let mean = at.iter().map(|&i| x[i]).sum::<f64>() / at.len() as f64;
        let variance = at.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / at.len() as f64;
        for i in at {
            y[i] = (x[i] - mean) / (variance + 1e-5).sqrt();
        }
    }
    y
}

fn moments_of(x: &[f32], batch: usize, channels: usize) -> [Vec<f32>; 2] {
    let moments = batch_moments(Isa::detect(), x, batch, channels);
    let scale = |[_, variance]: &[f64; 2]| 1.0 / (*variance as f32 + 1e-5).sqrt();
    [moments.iter().map(|[mean, _]| *mean as f32).collect(), moments.iter().map(scale).collect()]
}

fn gradient_of(x: &[f32], g: &[f32], batch: usize, [mean, scale]: [&[f32]; 2]) -> Vec<f32> {
    let count = (x.len() / mean.len()) as f64;
    let sums = gradient_sums(x, g, batch, mean, scale);
    let means: Vec<[f32; 2]> = sums.iter().map(|sums| sums.map(|sum| (sum / count) as f32)).collect();
    let mut out = vec![f32::NAN; x.len()];
    standardize_gradient([x, g], batch, [mean, scale], &means, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn standardize_matches_its_formula(
        batch in 1usize..4, channels in 1usize..5, n in 2usize..60, seed in any::<u32>(), offset in -50.0f32..50.0,
    ) {
        let x: Vec<f32> = values(batch * channels * n, seed.into()).iter().map(|v| v + offset).collect();
        let [mean, scale] = moments_of(&x, batch, channels);
        let mut y = vec![f32::NAN; x.len()];
        standardize(&x, batch, &mean, &scale, &mut y);
        let exact: Vec<f64> = x.iter().map(|&v| v.into()).collect();
        for (y, want) in y.iter().zip(standardized(&exact, [batch, channels, n])) {
            prop_assert!((f64::from(*y) - want).abs() < 1e-3, "{y} {want}");
        }
        let g = values(x.len(), 1 + u64::from(seed));
        let found = gradient_of(&x, &g, batch, [&mean, &scale]);
        let loss = |at: usize, by: f64| -> f64 {
            let mut x = exact.clone();
            x[at] += by;
            standardized(&x, [batch, channels, n]).iter().zip(&g).map(|(y, g)| y * f64::from(*g)).sum()
        };
        let largest = found.iter().fold(1.0f32, |a, v| a.max(v.abs()));
        for at in [0, x.len() / 2, x.len() - 1] {
            // A step that is small even where two values, almost the same, make up the statistics.
            let step = 1e-6;
            let want = (loss(at, step) - loss(at, -step)) / (2.0 * step);
            prop_assert!((f64::from(found[at]) - want).abs() < 0.03 * f64::from(largest), "{} {want}", found[at]);
        }
    }

    #[test]
    fn modulation_by_class_matches_its_formula(
        batch in 1usize..4, channels in 1usize..5, n in 1usize..60, classes in 1usize..6, seed in any::<u32>(),
    ) {
        let x = values(batch * channels * n, seed.into());
        let labels: Vec<u16> = values(batch * n, 7 + u64::from(seed))
            .iter()
            .map(|v| (((v + 0.5) * classes as f32) as u16).min(classes as u16 - 1))
            .collect();
        let runs = Runs::new(&labels, batch);
        let (weight, bias) = (values(classes * channels, 2), values(classes * channels, 3));
        let (mut y, mut found) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        modulate_by_class(&x, &runs, &weight, &bias, &mut y);
        let g = values(x.len(), 4);
        let (mut of_weight, mut of_bias) = (vec![f32::NAN; weight.len()], vec![f32::NAN; weight.len()]);
        modulate_by_class_gradients(&x, &runs, &weight, &g, [&mut found, &mut of_weight, &mut of_bias]);
        let (mut want_weight, mut want_bias) = (vec![0.0; weight.len()], vec![0.0; weight.len()]);
        for i in 0..x.len() {
            let (picture, channel, pixel) = (i / n / channels, i / n % channels, i % n);
            let at = usize::from(labels[picture * n + pixel]) * channels + channel;
            prop_assert!((y[i] - (x[i] * weight[at] + bias[at])).abs() < 1e-6);
            prop_assert!((found[i] - g[i] * weight[at]).abs() < 1e-6);
            want_weight[at] += f64::from(g[i] * x[i]);
            want_bias[at] += f64::from(g[i]);
        }
        for (found, want) in of_weight.iter().chain(&of_bias).zip(want_weight.iter().chain(&want_bias)) {
            prop_assert!((f64::from(*found) - want).abs() < 1e-4, "{found} {want}");
        }
    }

    #[test]
    fn the_gradient_of_leaky_relu_is_its_slope(n in 1usize..100, seed in any::<u32>()) {
        let (x, g) = (values(n, seed.into()), values(n, 1 + u64::from(seed)));
        let (mut y, mut found) = (vec![f32::NAN; n], vec![f32::NAN; n]);
        leaky(&x, &mut y);
        leaky_gradient(&x, &g, &mut found);
        for i in 0..n {
            let want = if x[i] > 0.0 { x[i] } else { 0.2 * x[i] };
            prop_assert!((y[i] - want).abs() < 1e-7);
            if x[i].abs() > 0.02 {
                let want = slope(&x, i, |x| {
                    let mut y = vec![0.0; n];
                    leaky(x, &mut y);
                    weighted(&y, &g)
                });
                prop_assert!((f64::from(found[i]) - want).abs() < 1e-3);
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let [batch, channels, n] = [3, 40, 777];
    let (x, g) = (values(batch * channels * n, 1), values(batch * channels * n, 2));
    let labels: Vec<u16> = (0..batch * n).map(|i| (i / 13 % 5) as u16).collect();
    let runs = Runs::new(&labels, batch);
    let table = values(5 * channels, 3);
    let results = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let [mean, scale] = moments_of(&x, batch, channels);
            let mut out: [Vec<f32>; 4] = std::array::from_fn(|_| vec![0.0; x.len()]);
            standardize(&x, batch, &mean, &scale, &mut out[0]);
            out[1] = gradient_of(&x, &g, batch, [&mean, &scale]);
            modulate_by_class(&x, &runs, &table, &table, &mut out[2]);
            let (mut w, mut b) = (table.clone(), table.clone());
            modulate_by_class_gradients(&x, &runs, &table, &g, [&mut out[3], &mut w, &mut b]);
            (mean, scale, out, w, b)
        })
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn passes_over_matrices_are_products(rows in 1usize..60, columns in 1usize..5000, seed in any::<u32>()) {
        let (w, x, y) = (values(rows * columns, seed.into()), values(columns, 2), values(rows, 3));
        let (mut along, mut across) = (vec![f32::NAN; rows], vec![f32::NAN; columns]);
        times(&w, &x, &mut along);
        transposed_times(&w, &y, &mut across);
        let product = |a: &mut dyn Iterator<Item = (f32, f32)>| a.map(|(a, b)| f64::from(a) * f64::from(b)).sum::<f64>();
        for (row, found) in along.iter().enumerate() {
            let want = product(&mut w[row * columns..][..columns].iter().copied().zip(x.iter().copied()));
            prop_assert!((f64::from(*found) - want).abs() < 1e-3, "{found} {want}");
        }
        for (column, found) in across.iter().enumerate() {
            let want = product(&mut w.iter().copied().skip(column).step_by(columns).zip(y.iter().copied()));
            prop_assert!((f64::from(*found) - want).abs() < 1e-3, "{found} {want}");
        }
        // d(w / sigma), sigma = y w x, along any direction.
        let (g, sigma) = (values(w.len(), 4), 3.0);
        let mut found = vec![f32::NAN; w.len()];
        spectral_gradient(&w, &g, [&y, &x], sigma, &mut found);
        let inner = product(&mut w.iter().copied().zip(g.iter().copied())) / f64::from(sigma);
        for (i, found) in found.iter().enumerate() {
            let want = (f64::from(g[i]) - inner * f64::from(y[i / columns]) * f64::from(x[i % columns])) / f64::from(sigma);
            prop_assert!((f64::from(*found) - want).abs() < 1e-3 * (1.0 + want.abs()), "{found} {want}");
        }
    }
}
