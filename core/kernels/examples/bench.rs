//! Times of the kernels on the layers of a 256×256 generator, with 1 and 2 threads, in milliseconds.
//!
//! ```text
//! cargo run --release --example bench [label map ...]
//! ```
//!
//! A label map is a raw file of 256×256 bytes. Without one, a synthetic map of boxes stands in.

use semsynth_kernels::{Clade, Conv1x1, Conv3x3, ConvHead, HIDDEN, Isa, Patches, Spade, affine, moments, upsample2};
use std::time::Instant;

const SIDE: usize = 256;
const REPEATS: usize = 7;

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

/// Prints the median time on each pool, and GFLOP/s if there are any.
fn time(pools: &[rayon::ThreadPool], name: &str, flop: usize, mut f: impl FnMut() + Send) {
    print!("{name:32}");
    for pool in pools {
        let mut times = [0.0; REPEATS];
        pool.install(|| {
            f();
            for t in &mut times {
                let start = Instant::now();
                f();
                *t = start.elapsed().as_secs_f64();
            }
        });
        times.sort_by(f64::total_cmp);
        let median = times[REPEATS / 2];
        print!("{:9.2} ms", median * 1e3);
        if flop > 0 {
            print!(" {:5.0} GFLOP/s", flop as f64 / median * 1e-9);
        }
    }
    println!();
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let isa = Isa::detect();
    let isa = match std::env::var("ISA") {
        Ok(name) => Isa::available().find(|i| i.name() == name).ok_or("no such instruction set here")?,
        Err(_) => isa,
    };
    println!("{isa}, 1 and 2 threads, median of {REPEATS}");
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build());
    let [one, two] = pools;
    let pools = [one?, two?];

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
        let flop = 18 * ins * outs * side * side;
        time(&pools, &format!("3x3 {ins}->{outs}@{side}"), flop, || conv.run(&x, [side, side], &mut y, None));
    }
    for (ins, outs, side) in [(1024, 1024, 16), (1024, 512, 32), (512, 256, 64), (256, 128, 128), (128, 64, 256)] {
        let (x, weight) = (values(ins * side * side, 1, 1.0), values(outs * ins, 2, 0.1));
        let conv = Conv1x1::new(isa, &weight, None, [outs, ins]);
        let mut y = vec![0.0; outs * side * side];
        let flop = 2 * ins * outs * side * side;
        time(&pools, &format!("1x1 {ins}->{outs}@{side}"), flop, || conv.run(&x, [side, side], &mut y, None));
    }
    let pixels = SIDE * SIDE;
    let (x, weight) = (values(64 * pixels, 1, 1.0), values(3 * 64 * 9, 2, 0.1));
    let mut y = vec![0.0; 3 * pixels];
    let head = ConvHead::new(isa, &weight, None, [3, 64]);
    let flop = 18 * 64 * 3 * pixels;
    time(&pools, "head 64->3@256", flop, || head.run(&x, [SIDE, SIDE], &mut y));
    let head = head.with_leaky().with_tanh();
    time(&pools, "head 64->3@256 leaky, tanh", flop, || head.run(&x, [SIDE, SIDE], &mut y));

    let boxes = |i: usize| [0, 3, 5, 1, 4][(i / SIDE / 37 + i % SIDE / 23 * 3 + i / SIDE / 91) % 5];
    let mut maps: Vec<(String, Vec<u8>)> = Vec::new();
    for path in std::env::args().skip(1) {
        maps.push((path.clone(), std::fs::read(path)?));
    }
    if maps.is_empty() {
        maps.push(("boxes".into(), (0..pixels).map(boxes).collect()));
    }
    maps.push(("random".into(), values(pixels, 5, 2000.0).iter().map(|v| v.abs() as u8 % 12).collect()));
    for (name, map) in &maps {
        let name = name.rsplit('/').next().unwrap_or(name);
        for (channels, side) in [(1024, 16), (1024, 32), (512, 64), (256, 64), (128, 128), (64, 256)] {
            let skip = SIDE / side;
            let labels: Vec<u16> =
                (0..side * side).map(|i| u16::from(map[i / side * skip * SIDE + i % side * skip])).collect();
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
            let (x, one) = (values(channels * side * side, 4, 1.0), vec![1.0; channels]);
            let mut y = vec![0.0; x.len()];
            let title = format!("{name} {:?} {channels}@{side}", patches.distinct());
            println!("{title}");
            time(&pools, "  numbering", 0, || drop(Patches::new(&labels, [side, side])));
            time(&pools, "  spade chosen", 0, || spade.run(&patches, &x, &one, &one, true, &mut y));
            time(&pools, "  spade patches", 0, || spade.run_patches(&patches, &x, &one, &one, true, &mut y));
            time(&pools, "  spade dense", 0, || spade.run_dense(&patches, &x, &one, &one, true, &mut y));
            let table = values(12 * channels, 6, 1.0);
            let clade = Clade::new(isa, &table, &table, [12, channels]);
            time(&pools, "  clade", 0, || clade.run(&labels, &x, &one, &one, true, &mut y));
        }
    }
    let x = values(64 * pixels, 1, 1.0);
    let (mut y, mut mean, mut variance) = (vec![0.0; x.len()], vec![0.0; 64], vec![0.0; 64]);
    time(&pools, "moments 64@256", 0, || moments(isa, &x, &mut mean, &mut variance));
    time(&pools, "affine 64@256", 0, || affine(isa, &x, &[1.0; 64], &[0.5; 64], true, &mut y));
    time(&pools, "upsample 64@128", 0, || upsample2(&x[..16 * pixels], [64, 128, 128], &mut y));
    Ok(())
}
