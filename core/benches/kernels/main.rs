//! Benchmarks of the kernels on the layers of a 256×256 generator, on the threads of the global Rayon pool.
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo run --release --manifest-path core/benches/kernels/Cargo.toml -- --bench 3x3
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use semsynth_kernels::{
    Affine, Clade, Conv1x1, Conv3x3, ConvHead, Convolution, HIDDEN, Isa, Patches, Spade, affine, moments, upsample2,
};

const SIDE: usize = 256;

fn values(n: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            z ^= z << 13;
            z ^= z >> 7;
            z ^= z << 17;
            ((z >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * scale
        })
        .collect()
}

/// Measures `f`. `work` is the number of floating-point operations, counted as for a direct convolution, or of
/// values.
fn time(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, work: usize, mut f: impl FnMut()) {
    group.throughput(Throughput::Elements(work as u64));
    group.bench_function(name, |bencher| bencher.iter(&mut f));
}

fn convolutions(c: &mut Criterion) {
    let isa = Isa::detect();
    let mut group = c.benchmark_group("3x3");
    let layers = [
        (1024, 1024, 8),
        (1024, 1024, 16),
        (1024, 512, 32),
        (512, 512, 32),
        (512, 256, 64),
        (256, 256, 64),
        (256, 128, 128),
        (128, 128, 128),
        (128, 64, 256),
        (64, 64, 256),
    ];
    for (ins, outs, side) in layers {
        let (x, weight) = (values(ins * side * side, 1, 1.0), values(outs * ins * 9, 2, 0.1));
        let conv = Conv3x3::new(isa, &weight, None, [outs, ins], side * side);
        let mut y = vec![0.0; outs * side * side];
        let work = 18 * ins * outs * side * side;
        time(&mut group, &format!("{ins}-{outs} at {side}"), work, || {
            conv.run(black_box(&x), [side, side], &mut y, None);
        });
    }
    group.finish();
    let mut group = c.benchmark_group("1x1");
    for (ins, outs, side) in [(1024, 1024, 16), (1024, 512, 32), (512, 256, 64), (256, 128, 128), (128, 64, 256)] {
        let (x, weight) = (values(ins * side * side, 1, 1.0), values(outs * ins, 2, 0.1));
        let conv = Conv1x1::new(isa, &weight, None, [outs, ins]);
        let mut y = vec![0.0; outs * side * side];
        time(&mut group, &format!("{ins}-{outs} at {side}"), 2 * ins * outs * side * side, || {
            conv.run(black_box(&x), [side, side], &mut y, None);
        });
    }
    group.finish();
    let (x, weight) = (values(64 * SIDE * SIDE, 1, 1.0), values(3 * 64 * 9, 2, 0.1));
    let mut y = vec![0.0; 3 * SIDE * SIDE];
    let head = ConvHead::new(isa, &weight, None, [3, 64]).with_leaky().with_tanh();
    let mut group = c.benchmark_group("head");
    time(&mut group, "64-3 at 256", 18 * 64 * 3 * SIDE * SIDE, || head.run(black_box(&x), [SIDE, SIDE], &mut y));
    group.finish();
}

/// Layers of a generator at 128×128, batch 4, and of the larger discriminator, batch 8.
fn training(c: &mut Criterion) {
    let isa = Isa::detect();
    let layers = [
        (4, [512, 512], [3, 1, 1], 8),
        (4, [512, 256], [3, 1, 1], 16),
        (4, [256, 128], [3, 1, 1], 32),
        (4, [128, 64], [3, 1, 1], 64),
        (4, [64, 32], [3, 1, 1], 128),
        (4, [64, 32], [1, 1, 0], 128),
        (4, [32, 3], [3, 1, 1], 128),
        (8, [15, 64], [4, 2, 2], 128),
        (8, [64, 128], [4, 2, 2], 65),
        (8, [128, 256], [4, 2, 2], 33),
        (8, [256, 512], [4, 1, 2], 17),
        (8, [512, 1], [4, 1, 2], 18),
    ];
    for (batch, [ins, outs], [kernel, stride, padding], side) in layers {
        let layer = Convolution::new(batch, [outs, ins], kernel, stride, padding, [side, side]);
        let [input, weight, output] = layer.lens();
        let (mut x, mut w, mut y) = (values(input, 1, 1.0), values(weight, 2, 0.1), values(output, 3, 1.0));
        let [rows, columns] = layer.output_size();
        let work = 2 * batch * rows * columns * weight;
        let mut group = c.benchmark_group(format!("training, {kernel}x{kernel} step {stride}, {ins}-{outs} at {side}"));
        time(&mut group, "forward", work, || layer.forward(isa, black_box(&x), &w, None, &mut y));
        time(&mut group, "gradient of input", work, || layer.input_gradient(isa, black_box(&y), &w, &mut x));
        time(&mut group, "gradient of weight", work, || layer.weight_gradient(isa, black_box(&x), &y, &mut w));
        group.finish();
    }
}

fn modulations(c: &mut Criterion) {
    let isa = Isa::detect();
    let boxes = |y: usize, x: usize| [0, 3, 5, 1, 4][(y / 37 + x / 23 * 3 + y / 91) % 5];
    let noise = values(SIDE * SIDE, 5, 2000.0);
    let noisy = |y: usize, x: usize| noise[y * SIDE + x].abs() as u16 % 12;
    for map in ["boxes", "noise"] {
        let label = |y, x| if map == "boxes" { boxes(y, x) } else { noisy(y, x) };
        for (channels, side) in [(1024, 16), (1024, 32), (512, 64), (256, 64), (128, 128), (64, 256)] {
            let skip = SIDE / side;
            let labels: Vec<u16> = (0..side * side).map(|i| label(i / side * skip, i % side * skip)).collect();
            let patches = Patches::new(&labels, [side, side]);
            let spade = Spade::new(
                isa,
                [12, channels],
                &values(HIDDEN * 12 * 9, 1, 1.0),
                &[0.1; HIDDEN],
                &values(channels * HIDDEN * 9, 2, 0.1),
                &vec![0.1; channels],
                &values(channels * HIDDEN * 9, 3, 0.1),
                &vec![0.1; channels],
            );
            let table = values(12 * channels, 6, 1.0);
            let clade = Clade::new(isa, &table, &table, [12, channels]);
            let (x, one) = (values(channels * side * side, 4, 1.0), vec![1.0; channels]);
            let ones = Affine { scale: &one, shift: &one, leaky: true };
            let mut y = vec![0.0; x.len()];
            let mut group = c.benchmark_group(format!("modulation, {map}, {channels} at {side}"));
            time(&mut group, "numbering", labels.len(), || drop(Patches::new(black_box(&labels), [side, side])));
            time(&mut group, "spade", x.len(), || spade.run(&patches, black_box(&x), ones, &mut y));
            time(&mut group, "spade by patches", x.len(), || {
                spade.run_patches(&patches, black_box(&x), ones, &mut y);
            });
            time(&mut group, "spade by convolution", x.len(), || {
                spade.run_dense(&patches, black_box(&x), ones, &mut y);
            });
            time(&mut group, "clade", x.len(), || clade.run(&labels, black_box(&x), ones, &mut y));
            group.finish();
        }
    }
}

fn elementwise(c: &mut Criterion) {
    let isa = Isa::detect();
    let x = values(64 * SIDE * SIDE, 1, 1.0);
    let (mut y, mut mean, mut variance) = (vec![0.0; x.len()], vec![0.0; 64], vec![0.0; 64]);
    let mut group = c.benchmark_group("elementwise, 64 at 256");
    time(&mut group, "moments", x.len(), || moments(isa, black_box(&x), &mut mean, &mut variance));
    time(&mut group, "affine", x.len(), || affine(isa, black_box(&x), Affine { scale: &[1.0; 64], shift: &[0.5; 64], leaky: true }, &mut y));
    time(&mut group, "upsample", x.len(), || upsample2(black_box(&x[..x.len() / 4]), [64, 128, 128], &mut y));
    group.finish();
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = convolutions, training, modulations, elementwise
}
criterion_main!(kernels);
