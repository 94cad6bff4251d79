//! Compares convolution for training with plain `f64` loops, on every instruction set of this machine.

mod common;

use common::*;
use proptest::prelude::*;
use semsynth_kernels::{Convolution, Isa};

/// A convolution with its inputs and an output gradient.
struct Case {
    batch: usize,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
    size: [usize; 2],
    conv: Convolution,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    /// `None` if the kernel does not fit.
    fn new(
        batch: usize,
        channels: [usize; 2],
        [kernel, stride, padding]: [usize; 3],
        size: [usize; 2],
        seed: u64,
    ) -> Option<Self> {
        if size.iter().any(|n| n + 2 * padding < kernel) {
            return None;
        }
        let conv = Convolution::new(batch, channels, kernel, stride, padding, size);
        let [x, weight, y] = conv.lens();
        let scale = 1.0 / ((channels[1] * kernel * kernel) as f32).sqrt();
        Some(Self {
            batch,
            channels,
            kernel,
            stride,
            padding,
            size,
            conv,
            x: values(x, seed, 1.0),
            weight: values(weight, seed + 1, scale),
            bias: values(channels[0], seed + 2, 0.3),
            dy: values(y, seed + 3, 1.0),
        })
    }

    /// Calls `f` with the indices of an output, a weight and an input value for each of their products.
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([outs, ins], [h, w], [oh, ow]) = (self.channels, self.size, self.conv.output_size());
        for i in 0..self.dy.len() {
            let (b, o, p) = (i / (outs * oh * ow), i / (oh * ow) % outs, i % (oh * ow));
            for k in 0..ins * self.kernel * self.kernel {
                let (c, t) = (k / (self.kernel * self.kernel), k % (self.kernel * self.kernel));
                let y = (p / ow * self.stride + t / self.kernel).wrapping_sub(self.padding);
                let x = (p % ow * self.stride + t % self.kernel).wrapping_sub(self.padding);
                if y < h && x < w {
                    f(i, o * ins * self.kernel * self.kernel + k, ((b * ins + c) * h + y) * w + x);
                }
            }
        }
    }

    fn check(&self) {
        let [outs, ins] = self.channels;
        let name = format!(
            "{} x {ins}->{outs}@{:?}, kernel {} stride {} padding {}",
            self.batch, self.size, self.kernel, self.stride, self.padding
        );
        let mut y = vec![0.0; self.dy.len()];
        let (mut dx, mut dw) = (vec![0.0; self.x.len()], vec![0.0; self.weight.len()]);
        self.products(|i, j, k| {
            let [dy, w, x] = [self.dy[i], self.weight[j], self.x[k]].map(f64::from);
            y[i] += w * x;
            dx[k] += w * dy;
            dw[j] += x * dy;
        });
        let area = y.len() / self.batch / outs;
        let mut db = vec![0.0; outs];
        for (i, &dy) in self.dy.iter().enumerate() {
            db[i / area % outs] += f64::from(dy);
        }
        let biased: Vec<f64> = y.iter().enumerate().map(|(i, y)| y + f64::from(self.bias[i / area % outs])).collect();
        each_isa(|isa| {
            let close = |got: &[f32], want: &[f64], what: &str| {
                assert_close(got, want, f64::INFINITY, &format!("{isa} {what} of {name}"));
            };
            close(&self.forward(isa, None), &y, "output");
            close(&self.forward(isa, Some(&self.bias)), &biased, "biased output");
            close(&self.input_gradient(isa, &self.dy), &dx, "input gradient");
            close(&self.weight_gradient(isa), &dw, "weight gradient");
            let mut got = vec![f32::NAN; outs];
            self.conv.bias_gradient(isa, &self.dy, &mut got);
            close(&got, &db, "bias gradient");
        });
    }

    fn forward(&self, isa: Isa, bias: Option<&[f32]>) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        self.conv.forward(isa, &self.x, &self.weight, bias, &mut y);
        y
    }

    fn input_gradient(&self, isa: Isa, dy: &[f32]) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.x.len()];
        self.conv.input_gradient(isa, dy, &self.weight, &mut dx);
        dx
    }

    fn weight_gradient(&self, isa: Isa) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.weight.len()];
        self.conv.weight_gradient(isa, &self.x, &self.dy, &mut dw);
        dw
    }
}

/// Kernel, stride, padding.
const KINDS: [[usize; 3]; 12] = [
    [3, 1, 1],
    [1, 1, 0],
    [4, 2, 2],
    [4, 1, 2],
    [3, 2, 1],
    [3, 1, 0],
    [5, 1, 2],
    [2, 3, 1],
    [1, 2, 0],
    [1, 1, 2],
    [4, 2, 0],
    [5, 2, 1],
];

#[test]
fn awkward_shapes() {
    for (i, size) in SIZES.into_iter().enumerate() {
        for kind in KINDS {
            for (batch, channels) in [(1, [1, 1]), (3, [3, 5]), (2, [33, 17]), (2, [1, 40]), (1, [20, 2])] {
                if let Some(case) = Case::new(batch, channels, kind, size, i as u64) {
                    case.check();
                }
            }
        }
    }
}

#[test]
fn many_channels() {
    let shapes = [
        (4, [80, 130], [3, 1, 1], [4, 4]),
        (4, [70, 100], [3, 1, 1], [8, 8]),
        (2, [48, 96], [3, 1, 1], [33, 64]),
        (2, [70, 130], [4, 1, 2], [9, 9]),
        (2, [100, 70], [4, 2, 2], [17, 17]),
        (2, [40, 24], [4, 2, 2], [65, 65]),
        (2, [24, 40], [4, 2, 1], [64, 50]),
        (3, [24, 40], [4, 1, 2], [30, 31]),
        (3, [1, 300], [4, 1, 2], [10, 10]),
        (2, [3, 32], [3, 1, 1], [40, 64]),
        (2, [150, 600], [1, 1, 0], [4, 4]),
    ];
    for (batch, channels, kind, size) in shapes {
        Case::new(batch, channels, kind, size, 5).expect("the kernel fits").check();
    }
}

/// More images than are padded, transposed or transformed at a time, and sums long enough to be split.
#[test]
fn large_batches_go_in_rounds() {
    for (channels, kind) in [([8, 20], [4, 2, 2]), ([8, 24], [3, 1, 1])] {
        Case::new(9, channels, kind, [190, 201], 3).expect("the kernel fits").check();
    }
}

#[test]
fn bits_are_the_same_on_any_number_of_threads() {
    let shapes = [
        (3, [100, 40], [3, 1, 1], [24, 64]),
        (2, [20, 30], [4, 2, 2], [33, 40]),
        (2, [1, 64], [4, 1, 2], [18, 18]),
        (4, [64, 32], [1, 1, 0], [40, 40]),
    ];
    for (batch, channels, kind, size) in shapes {
        let case = Case::new(batch, channels, kind, size, 3).expect("the kernel fits");
        each_isa(|isa| {
            on_pools(|| case.forward(isa, Some(&case.bias)));
            on_pools(|| case.input_gradient(isa, &case.dy));
            on_pools(|| case.weight_gradient(isa));
        });
    }
}

/// The convolution is linear in the input and in the weights, and the gradients are its adjoints.
fn check_adjoint(case: &Case) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let norm = |a: &[f32]| dot(a, a).sqrt();
    each_isa(|isa| {
        let y = case.forward(isa, None);
        let want = dot(&y, &case.dy);
        let most = 1e-5 * norm(&y) * norm(&case.dy);
        for (name, got) in [
            ("input", dot(&case.x, &case.input_gradient(isa, &case.dy))),
            ("weights", dot(&case.weight, &case.weight_gradient(isa))),
        ] {
            assert!((got - want).abs() <= most, "{isa} {name} of {:?}: {got} for {want}", case.conv);
        }
    });
}

#[test]
#[should_panic(expected = "the kernel fits in an image")]
fn kernels_that_do_not_fit_are_refused() {
    Convolution::new(1, [1, 1], 4, 1, 0, [3, 5]);
}

#[test]
#[should_panic(expected = "output is [batch, out, h, w]")]
fn slices_that_do_not_fit_are_refused() {
    let conv = Convolution::new(2, [1, 1], 3, 1, 1, [2, 2]);
    conv.forward(Isa::detect(), &[0.0; 8], &[0.0; 9], None, &mut [0.0; 4]);
}

#[test]
#[should_panic(expected = "fit in memory")]
fn sizes_that_overflow_are_refused() {
    let conv = Convolution::new(1 << 40, [1, 1], 1, 1, 0, [1 << 23, 2]);
    conv.forward(Isa::detect(), &[], &[0.0], None, &mut []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_shape(
        batch in 1usize..4, outs in 1usize..40, ins in 1usize..40, kernel in 1usize..9, stride in 1usize..5,
        padding in 0usize..3, h in 1usize..20, w in 1usize..20, seed in any::<u32>(),
    ) {
        if let Some(case) = Case::new(batch, [outs, ins], [kernel, stride, padding], [h, w], u64::from(seed)) {
            case.check();
            check_adjoint(&case);
        }
    }
}

/// With strides larger than the image there is one output, however large the stride is.
#[test]
fn strides_beyond_the_image_are_like_any_other() {
    for stride in [4, 1 << 32, usize::MAX / 3 + 1, usize::MAX] {
        let layer = Convolution::new(1, [1, 1], 3, stride, 0, [3, 4]);
        assert_eq!(layer.output_size(), [1, 1], "stride {stride}");
        let (x, w): (Vec<f32>, Vec<f32>) = ((1..=12).map(|v| v as f32).collect(), (1..=9).map(|v| v as f32).collect());
        let (mut y, mut dx, mut dw) = ([0.0], [f32::NAN; 12], [f32::NAN; 9]);
        layer.forward(Isa::detect(), &x, &w, None, &mut y);
        layer.input_gradient(Isa::detect(), &[2.0], &w, &mut dx);
        layer.weight_gradient(Isa::detect(), &x, &[2.0], &mut dw);
        let window = [1.0f32, 2.0, 3.0, 5.0, 6.0, 7.0, 9.0, 10.0, 11.0];
        let sum = window.iter().zip(&w).map(|(x, w)| f64::from(x * w)).sum();
        assert_close(&y, &[sum], 0.0, "forward");
        assert_close(&dx, &[2.0, 4.0, 6.0, 0.0, 8.0, 10.0, 12.0, 0.0, 14.0, 16.0, 18.0, 0.0], 0.0, "input");
        assert_close(&dw, &window.map(|x| f64::from(2.0 * x)), 0.0, "weight");
    }
}
