//! Compares all convolutions with plain `f64` loops, on every instruction set of this machine.

mod common;

use common::*;
use proptest::prelude::*;
use semsynth_kernels::{Conv1x1, Conv3x3, ConvHead, Isa};

/// One hint for each tile size and schedule.
const HINTS: [usize; 5] = [64, 256, 1024, 4096, 65_536];
/// Largest allowed error of one value, for inputs and outputs with unit variance.
const WORST: f64 = 5e-5;

/// The weights and inputs of a layer, and the exact result.
struct Case {
    channels: [usize; 2],
    size: [usize; 2],
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    plain: Vec<f64>,
}

impl Case {
    fn new(channels: [usize; 2], size: [usize; 2], seed: u64) -> Self {
        let [outs, ins] = channels;
        let hw = size[0] * size[1];
        let x = values(ins * hw, seed, 1.0);
        let weight = values(outs * ins * 9, seed + 1, 1.0 / ((ins * 9) as f32).sqrt());
        let bias = values(outs, seed + 2, 0.3);
        let plain = conv3x3(&wide(&x), &weight, &bias, channels, size);
        Self { channels, size, x, weight, bias, residual: values(outs * hw, seed + 3, 1.0), plain }
    }

    fn check(&self, isa: Isa, hint: usize) {
        let what = format!("{isa} {:?}@{:?} for {hint} pixels", self.channels, self.size);
        let conv = Conv3x3::new(isa, &self.weight, Some(&self.bias), self.channels, hint);
        let mut y = vec![f32::NAN; self.plain.len()];
        conv.run(&self.x, self.size, &mut y, None);
        assert_close(&y, &self.plain, WORST, &what);
        y.fill(f32::NAN);
        conv.run(&self.x, self.size, &mut y, Some(&self.residual));
        let want: Vec<f64> = self.plain.iter().zip(&self.residual).map(|(p, &r)| p + f64::from(r)).collect();
        assert_close(&y, &want, WORST, &what);
    }
}

#[test]
fn conv3x3_of_awkward_shapes() {
    for (i, size) in SIZES.into_iter().enumerate() {
        for channels in [[1, 1], [19, 5], [16, 3], [33, 17]] {
            let case = Case::new(channels, size, i as u64);
            each_isa(|isa| HINTS.iter().for_each(|&hint| case.check(isa, hint)));
        }
    }
}

#[test]
fn conv3x3_of_many_channels() {
    for (channels, size, hint) in [([80, 130], [16, 16], 256), ([96, 128], [20, 36], 65_536), ([70, 600], [8, 8], 64)] {
        let case = Case::new(channels, size, 7);
        each_isa(|isa| case.check(isa, hint));
    }
}

#[test]
fn conv3x3_without_bias() {
    let case = Case::new([3, 2], [5, 6], 1);
    let mut y = vec![f32::NAN; case.plain.len()];
    Conv3x3::new(Isa::detect(), &case.weight, None, case.channels, 30).run(&case.x, case.size, &mut y, None);
    let want = conv3x3(&wide(&case.x), &case.weight, &[0.0; 3], case.channels, case.size);
    assert_close(&y, &want, WORST, "no bias");
}

#[test]
fn conv3x3_has_the_same_bits_on_any_number_of_threads() {
    let case = Case::new([100, 40], [40, 64], 3);
    each_isa(|isa| {
        for hint in HINTS {
            let conv = Conv3x3::new(isa, &case.weight, Some(&case.bias), case.channels, hint);
            on_pools(|| {
                let mut y = vec![f32::NAN; case.plain.len()];
                conv.run(&case.x, case.size, &mut y, Some(&case.residual));
                y
            });
        }
    });
}

#[test]
fn transformed_weights_count() {
    let weight = vec![0.0; 64 * 32 * 9];
    let bytes = |hint| Conv3x3::new(Isa::detect(), &weight, None, [64, 32], hint).bytes();
    assert_eq!(bytes(64), 4 * (64 * 32 * 9 + 64));
    assert_eq!(bytes(65_536), 4 * (64 * 32 * 36 + 64));
}

fn check_1x1(isa: Isa, [outs, ins]: [usize; 2], size: [usize; 2], seed: u64) {
    let hw = size[0] * size[1];
    let (x, residual) = (values(ins * hw, seed, 1.0), values(outs * hw, seed + 3, 1.0));
    let (weight, bias) = (values(outs * ins, seed + 1, 1.0 / (ins as f32).sqrt()), values(outs, seed + 2, 0.3));
    for (bias, residual) in [(None, None), (Some(&bias[..]), Some(&residual[..])), (Some(&bias[..]), None)] {
        let want: Vec<f64> = (0..outs * hw)
            .map(|i| {
                let (o, p) = (i / hw, i % hw);
                let sum: f64 = (0..ins).map(|k| f64::from(x[k * hw + p]) * f64::from(weight[o * ins + k])).sum();
                sum + f64::from(bias.map_or(0.0, |b| b[o])) + f64::from(residual.map_or(0.0, |r| r[i]))
            })
            .collect();
        let conv = Conv1x1::new(isa, &weight, bias, [outs, ins]);
        let y = on_pools(|| {
            let mut y = vec![f32::NAN; outs * hw];
            conv.run(&x, size, &mut y, residual);
            y
        });
        assert_close(&y, &want, WORST, &format!("{isa} 1x1 {ins}->{outs}@{size:?}"));
    }
}

#[test]
fn conv1x1_of_awkward_shapes() {
    for (i, size) in SIZES.into_iter().enumerate() {
        for channels in [[1, 1], [19, 5], [64, 100]] {
            each_isa(|isa| check_1x1(isa, channels, size, i as u64));
        }
    }
}

fn check_head(isa: Isa, channels: [usize; 2], size: [usize; 2], seed: u64) {
    let case = Case::new(channels, size, seed);
    let activated: Vec<f64> = case.x.iter().map(|&v| leaky(f64::from(v))).collect();
    let after_leaky = conv3x3(&activated, &case.weight, &case.bias, channels, size);
    let tanh = |y: &[f64]| y.iter().map(|v| v.tanh()).collect::<Vec<_>>();
    let head = || ConvHead::new(isa, &case.weight, Some(&case.bias), channels);
    for (head, want) in [
        (head(), case.plain.clone()),
        (head().with_leaky(), after_leaky.clone()),
        (head().with_tanh(), tanh(&case.plain)),
        (head().with_leaky().with_tanh(), tanh(&after_leaky)),
    ] {
        let y = on_pools(|| {
            let mut y = vec![f32::NAN; want.len()];
            head.run(&case.x, size, &mut y);
            y
        });
        assert_close(&y, &want, WORST, &format!("{isa} {head:?} {size:?}"));
    }
}

#[test]
fn head_of_awkward_shapes() {
    for (i, size) in SIZES.into_iter().chain([[3, 500]]).enumerate() {
        for channels in [[1, 1], [2, 3], [3, 20], [4, 7]] {
            each_isa(|isa| check_head(isa, channels, size, i as u64));
        }
    }
}

#[test]
#[should_panic(expected = "fit in memory")]
fn sizes_that_overflow_are_refused() {
    // 2^66 pixels are 0 modulo 2^64, which is the length of the slice.
    Conv1x1::new(Isa::detect(), &[1.0], None, [1, 1]).run(&[], [1 << 33, 1 << 33], &mut [], None);
}

#[test]
#[should_panic(expected = "input is [in, h, w]")]
fn images_that_do_not_fit_are_refused() {
    Conv3x3::new(Isa::detect(), &[0.0; 9], None, [1, 1], 1).run(&[0.0; 3], [2, 2], &mut [0.0; 4], None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_shape(
        outs in 1usize..40, ins in 1usize..40, h in 1usize..24, w in 1usize..80, seed in any::<u32>(),
        hint in proptest::sample::select(&HINTS[..]),
    ) {
        let case = Case::new([outs, ins], [h, w], u64::from(seed));
        each_isa(|isa| {
            case.check(isa, hint);
            check_1x1(isa, [outs, ins], [h, w], u64::from(seed));
            check_head(isa, [outs.min(4), ins], [h, w], u64::from(seed));
        });
    }
}
