//! Compares SPADE and CLADE with plain `f64` computations, on every instruction set of this machine.

mod common;

use common::*;
use proptest::prelude::*;
use semsynth_kernels::{Affine, Clade, HIDDEN, Isa, Map, MapMut, Part, Patches, Source, Spade, collapse};

const WORST: f64 = 5e-5;

/// The weights of one SPADE block.
struct Block {
    classes: usize,
    channels: usize,
    shared: Vec<f32>,
    shared_bias: Vec<f32>,
    gamma: Vec<f32>,
    gamma_bias: Vec<f32>,
    beta: Vec<f32>,
    beta_bias: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Block {
    fn new(classes: usize, channels: usize) -> Self {
        Self::with_inputs(classes, channels, HIDDEN)
    }

    /// Gamma and beta are convolutions of the hidden layer concatenated with the one-hot labels.
    fn labelled(classes: usize, channels: usize) -> Self {
        Self::with_inputs(classes, channels, HIDDEN + classes)
    }

    fn with_inputs(classes: usize, channels: usize, inputs: usize) -> Self {
        let s = 1.0 / ((HIDDEN * 9) as f32).sqrt();
        Self {
            classes,
            channels,
            shared: values(HIDDEN * classes * 9, 1, 0.5),
            shared_bias: values(HIDDEN, 2, 0.5),
            gamma: values(channels * inputs * 9, 3, s),
            gamma_bias: values(channels, 4, 0.3),
            beta: values(channels * inputs * 9, 5, s),
            beta_bias: values(channels, 6, 0.3),
            scale: values(channels, 7, 1.0),
            shift: values(channels, 8, 1.0),
        }
    }

    fn spade(&self, isa: Isa) -> Spade {
        let sizes = [self.classes, self.channels];
        let (g, b) = ((&self.gamma, &self.gamma_bias), (&self.beta, &self.beta_bias));
        Spade::new(isa, sizes, &self.shared, &self.shared_bias, g.0, g.1, b.0, b.1)
    }

    /// By the formula: one-hot map, convolution, ReLU, two convolutions, modulation.
    fn exact(&self, labels: &[u16], size: [usize; 2], x: &[f32], act: bool) -> Vec<f64> {
        let hw = labels.len();
        let one_hot: Vec<f64> =
            (0..self.classes * hw).map(|i| f64::from(u8::from(labels[i % hw] as usize == i / hw))).collect();
        let mut hidden = conv3x3(&one_hot, &self.shared, &self.shared_bias, [HIDDEN, self.classes], size);
        for v in &mut hidden {
            *v = v.max(0.0);
        }
        let inputs = self.gamma.len() / 9 / self.channels;
        if inputs > HIDDEN {
            hidden.extend(&one_hot);
        }
        let gamma = conv3x3(&hidden, &self.gamma, &self.gamma_bias, [self.channels, inputs], size);
        let beta = conv3x3(&hidden, &self.beta, &self.beta_bias, [self.channels, inputs], size);
        (0..x.len())
            .map(|i| {
                let n = f64::from(x[i]) * f64::from(self.scale[i / hw]) + f64::from(self.shift[i / hw]);
                let v = n * (1.0 + gamma[i]) + beta[i];
                if act { leaky(v) } else { v }
            })
            .collect()
    }

    fn check(&self, labels: &[u16], size: [usize; 2]) {
        let x = values(self.channels * labels.len(), 9, 1.0);
        let patches = Patches::new(labels, size);
        for act in [false, true] {
            let want = self.exact(labels, size, &x, act);
            each_isa(|isa| {
                let spade = self.spade(isa);
                for (i, route) in [Spade::run, Spade::run_patches, Spade::run_dense].into_iter().enumerate() {
                    let out = on_pools(|| {
                        let mut out = vec![f32::NAN; x.len()];
                        let affine = Affine { scale: &self.scale, shift: &self.shift, leaky: act };
                        route(&spade, &patches, &x, affine, &mut out);
                        out
                    });
                    assert_close(&out, &want, WORST, &format!("{isa} route {i} {size:?}"));
                }
            });
        }
    }
}

/// A map of one label.
fn constant(n: usize) -> Vec<u16> {
    vec![1; n]
}

/// A random label for every pixel.
fn busy(n: usize, classes: u16, seed: u64) -> Vec<u16> {
    values(n, seed, 1000.0).iter().map(|v| v.abs() as u16 % classes).collect()
}

/// Blocks of labels; one of them has no class.
fn blocks(h: usize, w: usize, classes: u16) -> Vec<u16> {
    let label = |y: usize, x: usize| (y / 3 * 7 + x / 4 * 3) as u16 % (classes + 1);
    (0..h * w).map(|i| label(i / w, i % w)).map(|l| if l == classes { u16::MAX } else { l }).collect()
}

#[test]
fn spade_on_all_kinds_of_maps() {
    let block = Block::new(6, 19);
    for [h, w] in SIZES {
        for labels in [constant(h * w), busy(h * w, 6, 3), blocks(h, w, 6)] {
            block.check(&labels, [h, w]);
        }
    }
}

#[test]
fn spade_of_any_number_of_channels_and_classes() {
    for (classes, channels) in [(1, 1), (3, 16), (300, 33)] {
        Block::new(classes, channels).check(&blocks(9, 14, classes as u16), [9, 14]);
    }
}

/// All labels without a class are treated the same.
#[test]
fn labels_without_a_class_are_void() {
    let block = Block::new(4, 16);
    let spade = block.spade(Isa::detect());
    let (size, x) = ([6, 7], values(16 * 42, 9, 1.0));
    let run = |void: [u16; 2]| {
        let labels: Vec<u16> = (0..42).map(|i| if i % 5 < 2 { void[i % 2] } else { i as u16 % 3 }).collect();
        let mut out = vec![f32::NAN; x.len()];
        spade.run_patches(
            &Patches::new(&labels, size),
            &x,
            Affine { scale: &block.scale, shift: &block.shift, leaky: true },
            &mut out,
        );
        out
    };
    assert_eq!(run([4, 65_535]), run([4, 4]));
}

/// If features change while the map and its tables stay the same, results are still equal bit for bit.
#[test]
fn tables_are_kept() {
    for (classes, channels, size) in [(6, 19, [33, 31]), (4, 64, [17, 64])] {
        let block = Block::new(classes, channels);
        let labels = blocks(size[0], size[1], classes as u16);
        let patches = Patches::new(&labels, size);
        each_isa(|isa| {
            let spade = block.spade(isa);
            let tables = spade.tables(&patches, 1 << 24).expect("blocks have few patches");
            assert!(spade.tables(&patches, tables.bytes() - 1).is_none());
            for seed in [1, 2] {
                let x = values(channels * labels.len(), seed, 1.0);
                let [mut kept, mut fresh] = [(); 2].map(|()| vec![f32::NAN; x.len()]);
                spade.run_rows(
                    Part { patches: &patches, row: 0, columns: [0, size[1]], out: 0 },
                    Some(&tables),
                    Source::new(Map::whole(&x, size), [0, 0]),
                    Affine { scale: &block.scale, shift: &block.shift, leaky: true },
                    MapMut::whole(&mut kept, size),
                );
                spade.run_patches(
                    &patches,
                    &x,
                    Affine { scale: &block.scale, shift: &block.shift, leaky: true },
                    &mut fresh,
                );
                assert_eq!(kept, fresh, "{isa}");
            }
        });
    }
    let noise = Patches::new(&busy(64 * 64, 200, 1), [64, 64]);
    assert!(Block::new(200, 16).spade(Isa::detect()).tables(&noise, usize::MAX).is_none());
}

/// A map high enough for several strips of the dense method.
#[test]
fn strips_join_without_a_seam() {
    let (block, size) = (Block::new(3, 16), [150, 300]);
    let labels = busy(150 * 300, 3, 5);
    let patches = Patches::new(&labels, size);
    let x = values(16 * labels.len(), 9, 1.0);
    let spade = block.spade(Isa::detect());
    let [mut by_patches, mut dense] = [(); 2].map(|()| vec![f32::NAN; x.len()]);
    spade.run_patches(&patches, &x, Affine { scale: &block.scale, shift: &block.shift, leaky: false }, &mut by_patches);
    spade.run_dense(&patches, &x, Affine { scale: &block.scale, shift: &block.shift, leaky: false }, &mut dense);
    let by_patches: Vec<f64> = wide(&by_patches);
    assert_close(&dense, &by_patches, WORST, "strips");
}

fn check_clade([classes, channels]: [usize; 2], labels: &[u16], act: bool) {
    let hw = labels.len();
    let (scales, shifts) = (values(classes * channels, 1, 1.0), values(classes * channels, 2, 1.0));
    let (x, scale, shift) = (values(channels * hw, 3, 1.0), values(channels, 4, 1.0), values(channels, 5, 1.0));
    let want: Vec<f64> = (0..x.len())
        .map(|i| {
            let (c, l) = (i / hw, labels[i % hw] as usize);
            let of = |table: &[f32]| if l < classes { f64::from(table[l * channels + c]) } else { 0.0 };
            let v = (f64::from(x[i]) * f64::from(scale[c]) + f64::from(shift[c])) * of(&scales) + of(&shifts);
            if act { leaky(v) } else { v }
        })
        .collect();
    each_isa(|isa| {
        let clade = Clade::new(isa, &scales, &shifts, [classes, channels]);
        let out = on_pools(|| {
            let mut out = vec![f32::NAN; x.len()];
            clade.run(labels, &x, Affine { scale: &scale, shift: &shift, leaky: act }, &mut out);
            out
        });
        assert_close(&out, &want, WORST, &format!("{isa} {classes} classes, {channels} channels, {hw} pixels"));
    });
}

#[test]
fn clade_on_all_kinds_of_maps() {
    for [h, w] in SIZES {
        for act in [false, true] {
            check_clade([6, 19], &blocks(h, w, 6), act);
            check_clade([6, 1], &busy(h * w, 6, 1), act);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_map(
        h in 1usize..14, w in 1usize..40, classes in 1u16..9, channels in 1usize..20, seed in any::<u32>(),
        void in 0u16..3,
    ) {
        let labels = busy(h * w, classes + void, u64::from(seed));
        Block::new(classes as usize, channels).check(&labels, [h, w]);
        check_clade([classes as usize, channels], &labels, seed.is_multiple_of(2));
    }
}

/// Gamma and beta of the hidden layer and of the labels, including labels without a class.
#[test]
fn labels_beside_the_hidden_layer() {
    for (classes, channels, size) in [(5, 19, [9, 14]), (1, 3, [4, 4]), (19, 16, [17, 33])] {
        let labels: Vec<u16> = (0..size[0] * size[1]).map(|i| ((i * 7 + i / 5) % (classes + 1)) as u16).collect();
        Block::labelled(classes, channels).check(&labels, size);
    }
}

#[test]
fn a_collapsed_kernel_is_the_product_of_kernel_and_vectors() {
    for (outs, length, classes, before) in [(1, 1, 1, 0), (3, 5, 19, 7), (18, 40, 16, 0), (2, 64, 37, 128 * 9)] {
        let (weight, vectors) = (values(outs * length * 9, 1, 1.0), values(length * classes, 2, 1.0));
        let stride = before + classes * 9;
        let exact: Vec<f64> = (0..outs * classes * 9)
            .map(|i| {
                let (o, class, tap) = (i / (classes * 9), i / 9 % classes, i % 9);
                let product =
                    |k: usize| f64::from(weight[(o * length + k) * 9 + tap]) * f64::from(vectors[k * classes + class]);
                0.25 * (0..length).map(product).sum::<f64>()
            })
            .collect();
        each_isa(|isa| {
            let found = on_pools(|| {
                let mut found = vec![f32::NAN; outs * stride];
                collapse(isa, &weight, &vectors, classes, 0.25, stride, &mut found);
                // Values before the written ones are unchanged.
                assert!(found.chunks(stride).all(|row| row[..before].iter().all(|value| value.is_nan())));
                found.chunks(stride).flat_map(|row| row[before..].to_vec()).collect()
            });
            assert_close(&found, &exact, WORST, &format!("{isa} {outs} {length} {classes}"));
        });
    }
}
