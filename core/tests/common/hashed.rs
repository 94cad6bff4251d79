//! Weights and inputs that are computed by a formula instead of stored: the same values, bit for bit, as those of
//! `fixtures/spade_family.py`, which documents the formula. This file uses only the standard library, so that unit
//! tests can include it too.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "test support; not every topic uses all of it")]

/// The step between two indices: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of `SplitMix64`.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64-bit FNV-1a.
fn key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The hash input for value `index` of the tensor with this key.
fn place(key: u64, index: usize) -> u64 {
    key.wrapping_add((index as u64 + 1).wrapping_mul(GOLDEN))
}

/// Uniform in `[-1, 1)`.
fn uniform(key: u64, index: usize) -> f64 {
    2.0 * ((mix(place(key, index)) >> 11) as f64 / (1u64 << 53) as f64) - 1.0
}

/// One value of a vector with `count` values and length 1.
fn unit(key: u64, count: usize, index: usize) -> f64 {
    (if uniform(key, index) < 0.0 { -1.0 } else { 1.0 }) / (count as f64).sqrt()
}

/// The values of a tensor, row-major. The distribution depends on the name in the papers' code: weights as the layer
/// needs them, inputs (`io.*`) in `[-1, 1)` or with variance 1.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    let (count, rows) = (shape.iter().product::<usize>(), shape[0]);
    let columns = count / rows;
    let row = columns as f64;
    let is = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let key_of = key;
    let key = key(name);
    let fill = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f32> {
        (0..count).map(|index| value(index, uniform(key, index)) as f32).collect()
    };
    if is(&[".weight_u", ".weight_v"]) {
        fill(&|index, _| unit(key, count, index))
    } else if let Some(layer) = name.strip_suffix("_orig") {
        let (u, v) = (key_of(&format!("{layer}_u")), key_of(&format!("{layer}_v")));
        fill(&|index, s| {
            let (u, v) = (unit(u, rows, index / columns), unit(v, columns, index % columns));
            3.0 * ((3.0 / row).sqrt() * s + 1.25 * u * v)
        })
    } else if is(&[".running_mean"]) {
        fill(&|_, s| 0.2 * s)
    } else if is(&[".running_var"]) {
        fill(&|_, s| 1.0 + 0.5 * s)
    } else if is(&[".class_specified_affine.weight"]) {
        fill(&|_, s| 0.9 + 0.6 * s)
    } else if is(&[".class_specified_affine.bias", ".noise_var"]) {
        fill(&|_, s| 0.5 * s)
    } else if is(&[".bias"]) {
        fill(&|_, s| 0.1 * s)
    } else if name.contains(".dist_conv_") {
        fill(&|_, s| 0.5 * s)
    } else if name == "conv_img.weight" {
        fill(&|_, s| (1.0 / row).sqrt() * s)
    } else if is(&[".weight"]) {
        fill(&|_, s| (3.0 / row).sqrt() * s)
    } else if name == "io.z" || name.starts_with("io.noise") {
        fill(&|_, s| 3.0f64.sqrt() * s)
    } else {
        fill(&|_, s| s)
    }
}

/// The contribution of a tensor to the checksum of a network, which is the sum of all contributions modulo 2^64.
pub fn checksum(name: &str, values: &[f32]) -> u64 {
    let key = key(name);
    let of = |(index, value): (usize, &f32)| mix(place(key, index).wrapping_add(u64::from(value.to_bits())));
    values.iter().enumerate().map(of).fold(0, u64::wrapping_add)
}

/// The photo for the encoders, `[batch, 3, height, width]`: tiles of 8 pixels, blended with noise in equal parts.
pub fn photo(batch: usize, height: usize, width: usize) -> Vec<f32> {
    let pixels = values("io.photo", &[batch, 3, height, width]);
    let tiles = values("io.tiles", &[batch, 3, height / 8, width / 8]);
    let tile = |index: usize| {
        let (row, column) = (index / width, index % width);
        let (plane, y) = (row / height, row % height);
        tiles[(plane * (height / 8) + y / 8) * (width / 8) + column / 8]
    };
    pixels.iter().enumerate().map(|(i, &s)| (0.5 * f64::from(s) + 0.5 * f64::from(tile(i))) as f32).collect()
}
