//! The networks that measure pictures, against direct loops in 64 bits that share no code with them. Weights are
//! computed by a formula.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/hashed.rs"]
mod hashed;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use burn::tensor::{Tensor, TensorData};
use common::shared;
use image::{Rgb, RgbImage};
use rayon::prelude::*;
use semsynth::eval::{self, Against, Files, Folders, Measures, evaluate};
use semsynth::label::{ClassTable, LabelMap};
use semsynth::metrics::{Confusion, EspNet, Inception, Lpips};
use semsynth::nn::Mode;
use semsynth::tensors::Tensors;
use semsynth::{Device, Error};

/// `[channels, height, width]`
#[derive(Clone)]
struct Map {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Map {
    fn at(&self, channel: usize, y: isize, x: isize) -> Option<f64> {
        let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
        (y < self.height && x < self.width).then(|| self.values[(channel * self.height + y) * self.width + x])
    }

    fn each(&self, change: impl Fn(usize, f64) -> f64) -> Self {
        let plane = self.height * self.width;
        let values = self.values.iter().enumerate().map(|(index, &value)| change(index / plane, value)).collect();
        Self { values, ..*self }
    }

    fn relu(&self) -> Self {
        self.each(|_, value| value.max(0.0))
    }

    fn cat(parts: &[Self]) -> Self {
        let channels = parts.iter().map(|part| part.channels).sum();
        Self { channels, values: parts.iter().flat_map(|part| part.values.clone()).collect(), ..parts[0] }
    }

    fn add(&self, other: &Self) -> Self {
        Self { values: self.values.iter().zip(&other.values).map(|(a, b)| a + b).collect(), ..*self }
    }

    fn means(&self) -> Vec<f64> {
        let plane = self.height * self.width;
        self.values.chunks(plane).map(|plane_values| plane_values.iter().sum::<f64>() / plane as f64).collect()
    }

    /// Takes windows of `side` and gives what is inside the picture, and how many places there were.
    fn pool(&self, side: isize, stride: usize, padding: isize, of: impl Fn(&[f64]) -> f64) -> Self {
        let out = |size: usize| (size as isize + 2 * padding - side) as usize / stride + 1;
        let (height, width) = (out(self.height), out(self.width));
        let mut values = Vec::new();
        for channel in 0..self.channels {
            for y in 0..height {
                for x in 0..width {
                    let (top, left) = ((y * stride) as isize - padding, (x * stride) as isize - padding);
                    let window = (0..side * side).filter_map(|i| self.at(channel, top + i / side, left + i % side));
                    values.push(of(&window.collect::<Vec<_>>()));
                }
            }
        }
        Self { channels: self.channels, height, width, values }
    }

    fn max(&self, side: isize, stride: usize, padding: isize) -> Self {
        self.pool(side, stride, padding, |window| window.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    fn mean_inside(&self) -> Self {
        self.pool(3, 1, 1, |window| window.iter().sum::<f64>() / window.len() as f64)
    }

    fn mean_with_border(&self) -> Self {
        self.pool(3, 2, 1, |window| window.iter().sum::<f64>() / 9.0)
    }
}

/// Weights by name, made when they are asked for: so names and shapes are checked too.
#[derive(Default)]
struct Weights(RefCell<Tensors>);

impl Weights {
    fn get(&self, name: &str, shape: &[usize]) -> Vec<f64> {
        let values = match name {
            // Norms and slopes as networks have them: not all of one sign, none near 0.
            _ if name.ends_with(".bn.weight") || name == "br.weight" => scaled(name, shape, 0.9, 0.4),
            _ if name.ends_with(".act.weight") => scaled(name, shape, 0.2, 0.2),
            // Those of LPIPS are not negative.
            _ if name.starts_with("lin") => scaled(name, shape, 0.5, 0.5),
            // For layers with ReLU, so that values neither vanish nor grow.
            _ if shape.len() == 4 => {
                scaled(name, shape, 0.0, (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt())
            }
            _ => hashed::values(name, shape),
        };
        let mut tensors = self.0.borrow_mut();
        if tensors.get(name).is_none() {
            tensors.insert_f32(name, shape.to_vec(), values.clone()).unwrap();
        }
        values.into_iter().map(f64::from).collect()
    }

    fn conv(&self, x: &Map, name: &str, [output, height, width]: [usize; 3], step: [usize; 4]) -> Map {
        let [stride, vertical, horizontal, dilation] = step;
        let weight = self.get(&format!("{name}.weight"), &[output, x.channels, height, width]);
        let out = |size: usize, padding: usize, kernel: usize| {
            (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
        };
        let (rows, columns) = (out(x.height, vertical, height), out(x.width, horizontal, width));
        let mut values = vec![0.0; output * rows * columns];
        values.par_iter_mut().enumerate().for_each(|(place, value): (usize, &mut f64)| {
            let (o, y, column) = (place / (rows * columns), place / columns % rows, place % columns);
            for i in 0..x.channels {
                for ky in 0..height {
                    for kx in 0..width {
                        let from_y = (y * stride + ky * dilation) as isize - vertical as isize;
                        let from_x = (column * stride + kx * dilation) as isize - horizontal as isize;
                        if let Some(input) = x.at(i, from_y, from_x) {
                            *value += input * weight[((o * x.channels + i) * height + ky) * width + kx];
                        }
                    }
                }
            }
        });
        Map { channels: output, height: rows, width: columns, values }
    }

    fn bias(&self, x: &Map, name: &str) -> Map {
        let bias = self.get(&format!("{name}.bias"), &[x.channels]);
        x.each(|channel, value| value + bias[channel])
    }

    fn norm(&self, x: &Map, name: &str) -> Map {
        let [weight, bias, mean, var] = ["weight", "bias", "running_mean", "running_var"]
            .map(|leaf| self.get(&format!("{name}.{leaf}"), &[x.channels]));
        x.each(|c, value| (value - mean[c]) / (var[c] + 1e-3).sqrt() * weight[c] + bias[c])
    }

    fn slope(&self, x: &Map, name: &str) -> Map {
        let slope = self.get(&format!("{name}.weight"), &[x.channels]);
        x.each(|channel, value| if value > 0.0 { value } else { value * slope[channel] })
    }

    /// Kernel 2, stride 2.
    fn doubled(&self, x: &Map, name: &str) -> Map {
        let weight = self.get(&format!("{name}.weight"), &[x.channels, x.channels, 2, 2]);
        let (height, width) = (2 * x.height, 2 * x.width);
        let mut values = Vec::new();
        for o in 0..x.channels {
            for y in 0..height {
                for column in 0..width {
                    let part = |i: usize| {
                        x.at(i, (y / 2) as isize, (column / 2) as isize).unwrap()
                            * weight[((i * x.channels + o) * 2 + y % 2) * 2 + column % 2]
                    };
                    values.push((0..x.channels).map(part).sum());
                }
            }
        }
        Map { channels: x.channels, height, width, values }
    }
}

fn scaled(name: &str, shape: &[usize], middle: f64, range: f64) -> Vec<f32> {
    let uniform = hashed::values(&format!("io.{name}.values"), shape);
    uniform.into_iter().map(|value| (middle + range * f64::from(value)) as f32).collect()
}

fn input(height: usize, width: usize, name: &str) -> Map {
    let values = hashed::values(name, &[3, height, width]);
    Map { channels: 3, height, width, values: values.into_iter().map(f64::from).collect() }
}

fn tensor(map: &Map) -> Tensor<4> {
    let values: Vec<f32> = map.values.iter().map(|&value| value as f32).collect();
    let data = TensorData::new(values, [1, map.channels, map.height, map.width]);
    Tensor::from_data(data, Device::cpu().burn())
}

/// The largest difference as a share of the largest value is at most 1e-3; returns it.
fn close(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    assert!(largest > 1e-3, "the reference vanishes: {largest}");
    let difference = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(difference <= 1e-3 * largest, "{difference} of {largest}");
    difference / largest
}

/// One unit of Inception: convolution, norm, `ReLU`. The padding keeps the size if the stride is 1.
fn unit(w: &Weights, x: &Map, name: &str, output: usize, [height, width]: [usize; 2], stride: usize) -> Map {
    let padding = if stride == 1 { [height / 2, width / 2] } else { [0, 0] };
    let conv = w.conv(x, &format!("{name}.conv"), [output, height, width], [stride, padding[0], padding[1], 1]);
    w.norm(&conv, &format!("{name}.bn")).relu()
}

fn inception(w: &Weights, x: &Map) -> Vec<f64> {
    let valid = |x: &Map, name: &str, output, stride| {
        let conv = w.conv(x, &format!("{name}.conv"), [output, 3, 3], [stride, 0, 0, 1]);
        w.norm(&conv, &format!("{name}.bn")).relu()
    };
    let x = valid(x, "Conv2d_1a_3x3", 32, 2);
    let x = valid(&x, "Conv2d_2a_3x3", 32, 1);
    let x = unit(w, &x, "Conv2d_2b_3x3", 64, [3, 3], 1).max(3, 2, 0);
    let x = unit(w, &x, "Conv2d_3b_1x1", 80, [1, 1], 1);
    let mut x = valid(&x, "Conv2d_4a_3x3", 192, 1).max(3, 2, 0);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        let u = |x: &Map, branch: &str, output, side| unit(w, x, &format!("{name}.{branch}"), output, [side, side], 1);
        let five = u(&u(&x, "branch5x5_1", 48, 1), "branch5x5_2", 64, 5);
        let double = u(&u(&u(&x, "branch3x3dbl_1", 64, 1), "branch3x3dbl_2", 96, 3), "branch3x3dbl_3", 96, 3);
        let pool = u(&x.mean_inside(), "branch_pool", pooled, 1);
        x = Map::cat(&[u(&x, "branch1x1", 64, 1), five, double, pool]);
    }
    let u = |x: &Map, name: &str, output, kernel, stride| unit(w, x, name, output, kernel, stride);
    let double = u(&x, "Mixed_6a.branch3x3dbl_1", 64, [1, 1], 1);
    let double = u(&double, "Mixed_6a.branch3x3dbl_2", 96, [3, 3], 1);
    let double = u(&double, "Mixed_6a.branch3x3dbl_3", 96, [3, 3], 2);
    x = Map::cat(&[u(&x, "Mixed_6a.branch3x3", 384, [3, 3], 2), double, x.max(3, 2, 0)]);
    let (row, column) = ([1, 7], [7, 1]);
    for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        let n = |branch: &str| format!("{name}.{branch}");
        let seven = u(&x, &n("branch7x7_1"), inner, [1, 1], 1);
        let seven = u(&u(&seven, &n("branch7x7_2"), inner, row, 1), &n("branch7x7_3"), 192, column, 1);
        let double = u(&x, &n("branch7x7dbl_1"), inner, [1, 1], 1);
        let double = u(&u(&double, &n("branch7x7dbl_2"), inner, column, 1), &n("branch7x7dbl_3"), inner, row, 1);
        let double = u(&u(&double, &n("branch7x7dbl_4"), inner, column, 1), &n("branch7x7dbl_5"), 192, row, 1);
        let pool = u(&x.mean_inside(), &n("branch_pool"), 192, [1, 1], 1);
        x = Map::cat(&[u(&x, &n("branch1x1"), 192, [1, 1], 1), seven, double, pool]);
    }
    let three = u(&u(&x, "Mixed_7a.branch3x3_1", 192, [1, 1], 1), "Mixed_7a.branch3x3_2", 320, [3, 3], 2);
    let seven = u(&x, "Mixed_7a.branch7x7x3_1", 192, [1, 1], 1);
    let seven = u(&seven, "Mixed_7a.branch7x7x3_2", 192, row, 1);
    let seven = u(&seven, "Mixed_7a.branch7x7x3_3", 192, column, 1);
    let seven = u(&seven, "Mixed_7a.branch7x7x3_4", 192, [3, 3], 2);
    x = Map::cat(&[three, seven, x.max(3, 2, 0)]);
    for name in ["Mixed_7b", "Mixed_7c"] {
        let n = |branch: &str| format!("{name}.{branch}");
        let three = u(&x, &n("branch3x3_1"), 384, [1, 1], 1);
        let double = u(&u(&x, &n("branch3x3dbl_1"), 448, [1, 1], 1), &n("branch3x3dbl_2"), 384, [3, 3], 1);
        let pooled = if name == "Mixed_7b" { x.mean_inside() } else { x.max(3, 1, 1) };
        x = Map::cat(&[
            u(&x, &n("branch1x1"), 320, [1, 1], 1),
            u(&three, &n("branch3x3_2a"), 384, [1, 3], 1),
            u(&three, &n("branch3x3_2b"), 384, [3, 1], 1),
            u(&double, &n("branch3x3dbl_3a"), 384, [1, 3], 1),
            u(&double, &n("branch3x3dbl_3b"), 384, [3, 1], 1),
            u(&pooled, &n("branch_pool"), 192, [1, 1], 1),
        ]);
    }
    x.means()
}

/// FID as `semsynth eval` measures it: from files to the number. Two pictures on each side have covariances of rank 1, so the
/// distance has a closed form: `|m - n|^2 + |d|^2 / 2 + |e|^2 / 2 - |d e|`, with means m, n and differences d, e.
fn fid_of_files(tensors: &Tensors, network: &Inception) {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("inception.safetensors");
    tensors.save(&weights).unwrap();
    let features = ["pictures", "photos"].map(|name| {
        let side = folder.path().join(name);
        std::fs::create_dir(&side).unwrap();
        [0_u32, 1].map(|number| {
            let seed = number * 3 + name.len() as u32;
            let picture = RgbImage::from_fn(40, 30, |x, y| {
                Rgb([(x * 5 + seed * 40) as u8, (y * 8 * seed) as u8, (x * y * (seed + 1)) as u8])
            });
            picture.save(side.join(format!("{number}.png"))).unwrap();
            network.features(&picture, &Device::cpu()).unwrap()
        })
    });
    let of = |side: &[Vec<f32>; 2], combine: fn(f64, f64) -> f64| -> Vec<f64> {
        side[0].iter().zip(&side[1]).map(|(&a, &b)| combine(f64::from(a), f64::from(b))).collect()
    };
    let [means, differences] =
        [f64::midpoint, |a, b| a - b].map(|combine| [0, 1].map(|side| of(&features[side], combine)));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let apart: Vec<f64> = means[0].iter().zip(&means[1]).map(|(a, b)| a - b).collect();
    let [d, e] = &differences;
    let expected = product(&apart, &apart) + product(d, d) / 2.0 + product(e, e) / 2.0 - product(d, e).abs();

    let measured = |against: Against| {
        let measures = Measures::new(&Device::cpu()).fid(&weights, against)?;
        let mut source = Folders::open(&folder.path().join("pictures"), &folder.path().join("photos"))?;
        let files = Files::new(folder.path().join("eval"));
        evaluate(&mut source, &measures, &files, &mut eval::Silent, &AtomicBool::new(false))
    };
    let fid = measured(Against::Photos).unwrap().fid.unwrap();
    println!("FID of two pictures: {} instead of {expected}", fid.value);
    assert!((fid.value - expected).abs() < 1e-3 * expected && expected > 0.0, "{} {expected}", fid.value);
    assert_eq!((fid.pictures, fid.photos), (2, 2));
    // Folders have no training photos.
    assert!(matches!(measured(Against::Training), Err(Error::Argument(message)) if message.contains("--data")));
    // Damaged weights are named.
    let bytes = std::fs::read(&weights).unwrap();
    for length in [0, 5, bytes.len() / 2] {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        let message = Measures::new(&Device::cpu()).fid(&weights, Against::Photos).unwrap_err().to_string();
        assert!(message.contains("inception.safetensors"), "{message}");
    }
}

#[test]
fn inception_is_that_of_fid() {
    let (weights, x) = (Weights::default(), input(123, 107, "io.picture"));
    let expected = inception(&weights, &x);
    let network = Inception::from_tensors(&weights.0.borrow(), &Device::cpu()).unwrap();
    let difference = close(&common::values(network.forward(tensor(&x))), &expected);
    println!("Inception-v3: largest difference {difference:e} of the largest feature");
    let mut tensors = weights.0.into_inner();
    fid_of_files(&tensors, &network);
    // Every weight is needed.
    tensors.remove("Mixed_7c.branch_pool.bn.running_var");
    let message = Inception::from_tensors(&tensors, &Device::cpu()).unwrap_err().to_string();
    assert!(message.contains("Mixed_7c.branch_pool.bn.running_var"), "{message}");
}

/// The layers of a backbone: index, output, kernel, stride, padding, side of the pooling before it, whether it counts.
type Layers = &'static [(usize, usize, usize, usize, usize, isize, bool)];

const ALEX: Layers = &[
    (0, 64, 11, 4, 2, 0, true),
    (3, 192, 5, 1, 2, 3, true),
    (6, 384, 3, 1, 1, 3, true),
    (8, 256, 3, 1, 1, 0, true),
    (10, 256, 3, 1, 1, 0, true),
];

const VGG: Layers = &[
    (0, 64, 3, 1, 1, 0, false),
    (2, 64, 3, 1, 1, 0, true),
    (5, 128, 3, 1, 1, 2, false),
    (7, 128, 3, 1, 1, 0, true),
    (10, 256, 3, 1, 1, 2, false),
    (12, 256, 3, 1, 1, 0, false),
    (14, 256, 3, 1, 1, 0, true),
    (17, 512, 3, 1, 1, 2, false),
    (19, 512, 3, 1, 1, 0, false),
    (21, 512, 3, 1, 1, 0, true),
    (24, 512, 3, 1, 1, 2, false),
    (26, 512, 3, 1, 1, 0, false),
    (28, 512, 3, 1, 1, 0, true),
];

fn taps(w: &Weights, x: &Map, layers: Layers) -> Vec<Map> {
    let (shift, scale) = ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]);
    let mut x = x.each(|channel, value| (value - shift[channel]) / scale[channel]);
    let mut taps = Vec::new();
    for &(index, output, kernel, stride, padding, pooled, tap) in layers {
        if pooled > 0 {
            x = x.max(pooled, 2, 0);
        }
        let name = format!("features.{index}");
        x = w.bias(&w.conv(&x, &name, [output, kernel, kernel], [stride, padding, padding, 1]), &name).relu();
        if tap {
            taps.push(x.clone());
        }
    }
    taps
}

fn lpips(w: &Weights, a: &Map, b: &Map, layers: Layers) -> f64 {
    let mut total = 0.0;
    for (index, (a, b)) in taps(w, a, layers).into_iter().zip(taps(w, b, layers)).enumerate() {
        let lin = w.get(&format!("lin{index}.model.1.weight"), &[1, a.channels, 1, 1]);
        let plane = a.height * a.width;
        for place in 0..plane {
            let length = |map: &Map| {
                (0..map.channels).map(|c| map.values[c * plane + place].powi(2)).sum::<f64>().sqrt() + 1e-10
            };
            let (of_a, of_b) = (length(&a), length(&b));
            for (channel, weight) in lin.iter().enumerate() {
                let at = channel * plane + place;
                total += weight * (a.values[at] / of_a - b.values[at] / of_b).powi(2) / plane as f64;
            }
        }
    }
    total
}

#[test]
fn lpips_is_that_of_the_paper() {
    for (name, layers) in [("alex", ALEX), ("vgg", VGG)] {
        let weights = Weights::default();
        let (a, b) = (input(40, 37, "io.a"), input(40, 37, "io.b"));
        let expected = lpips(&weights, &a, &b, layers);
        let network = Lpips::from_tensors(&weights.0.borrow(), &Device::cpu()).unwrap();
        assert_eq!(network.backbone(), name);
        let found = common::values(network.forward(tensor(&a), tensor(&b)));
        let difference = close(&found, &[expected]);
        println!("LPIPS ({name}): {expected:.4}, relative difference {difference:e}");
        assert!(common::values(network.forward(tensor(&a), tensor(&a)))[0].abs() < 1e-6);
        // Pictures of 8 bits: the same as their values.
        let picture = |seed: u32| RgbImage::from_fn(37, 40, |x, y| Rgb([(x * 7 + y * seed) as u8, (x * y) as u8, 90]));
        let map = |image: &RgbImage| {
            let value = |i: usize| f64::from(image.as_raw()[i % 1480 * 3 + i / 1480]) / 127.5 - 1.0;
            Map { channels: 3, height: 40, width: 37, values: (0..3 * 1480).map(value).collect() }
        };
        let (a, b) = (picture(3), picture(11));
        let found = network.distance(&a, &b, &Device::cpu()).unwrap();
        let expected = lpips(&weights, &map(&a), &map(&b), layers);
        assert!((found - expected).abs() < 1e-3 * expected, "{found} {expected}");
        let message = network.distance(&RgbImage::new(9, 99), &RgbImage::new(9, 99), &Device::cpu()).unwrap_err();
        assert!(message.to_string().contains("9x99"), "{message}");
    }
}

#[test]
fn lpips_says_which_file_it_lacks() {
    let weights = Weights::default();
    let x = input(40, 37, "io.a");
    lpips(&weights, &x, &x, ALEX);
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, keep: &dyn Fn(&str) -> bool| -> PathBuf {
        let mut part = weights.0.borrow().clone();
        part.retain(keep);
        let path = folder.path().join(name);
        part.save(&path).unwrap();
        path
    };
    let backbone = save("alexnet.safetensors", &|name| name.starts_with("features"));
    let lin = save("lin.safetensors", &|name| name.starts_with("lin"));
    let open = |paths: &[&PathBuf]| Lpips::open(paths, &Device::cpu()).map_err(|error| error.to_string());
    assert!(open(&[&lin, &backbone]).is_ok());
    for (paths, part) in [
        (vec![&backbone], "`lin` weights"),
        (vec![&lin], "features.0.weight"),
        (vec![&lin, &backbone, &backbone], "give one of the two"),
    ] {
        let message = open(&paths).unwrap_err();
        assert!(message.contains(part) && message.contains(".safetensors"), "{message}");
    }
}

fn pyramid(w: &Weights, x: &Map, name: &str, [input_side, stride]: [usize; 2], output: usize) -> Map {
    let others = output / 5;
    let first = output - 4 * others;
    let padding = input_side / 2;
    let x = w.conv(x, &format!("{name}.c1.conv"), [others, input_side, input_side], [stride, padding, padding, 1]);
    let d = |dilation: usize, output| {
        w.conv(&x, &format!("{name}.d{dilation}.conv"), [output, 3, 3], [1, dilation, dilation, dilation])
    };
    let (d1, d2, d4) = (d(1, first), d(2, others), d(4, others));
    let four = d2.add(&d4);
    let eight = four.add(&d(8, others));
    let sixteen = eight.add(&d(16, others));
    Map::cat(&[d1, d2, four, eight, sixteen])
}

fn br(w: &Weights, x: &Map, name: &str) -> Map {
    w.slope(&w.norm(x, &format!("{name}.bn")), &format!("{name}.act"))
}

fn espnet(w: &Weights, x: &Map, classes: usize, [p, q]: [usize; 2]) -> (Map, Vec<f64>) {
    let half = w.conv(x, "encoder.level1.conv", [16, 3, 3], [2, 1, 1, 1]);
    let half = br(w, &half, "encoder.level1");
    let small = x.mean_with_border();
    let half = br(w, &Map::cat(&[half, small.clone()]), "encoder.b1");
    let level = |x: &Map, level: usize, blocks: usize, output: usize| {
        let first = br(
            w,
            &pyramid(w, x, &format!("encoder.level{level}_0"), [3, 2], output),
            &format!("encoder.level{level}_0"),
        );
        let mut last = first.clone();
        for block in 0..blocks {
            let name = format!("encoder.level{level}.{block}");
            last = br(w, &last.add(&pyramid(w, &last, &name, [1, 1], output)), &format!("{name}.bn"));
        }
        (first, last)
    };
    let (first, last) = level(&half, 2, p, 64);
    let quarter = br(w, &Map::cat(&[last, first, small.mean_with_border()]), "encoder.b2");
    let (first, last) = level(&quarter, 3, q, 128);
    let eighth = br(w, &Map::cat(&[first, last]), "encoder.b3");
    let coarse = w.conv(&eighth, "encoder.classifier.conv", [classes, 1, 1], [1, 0, 0, 1]);
    let coarse = w.doubled(&w.norm(&coarse, "br"), "up_l3.0");
    let both = Map::cat(&[w.conv(&quarter, "level3_C.conv", [classes, 1, 1], [1, 0, 0, 1]), coarse]);
    let both = br(w, &both, "combine_l2_l3.0");
    let both = br(w, &pyramid(w, &both, "combine_l2_l3.1", [1, 1], classes), "combine_l2_l3.1.bn");
    let both = br(w, &w.doubled(&both, "up_l2.0"), "up_l2.1");
    let fine = w.conv(&Map::cat(&[both, half]), "conv.conv", [classes, 3, 3], [1, 1, 1, 1]);
    (w.doubled(&br(w, &fine, "conv"), "classifier"), eighth.means())
}

#[test]
fn espnet_is_that_of_the_paper() {
    let (weights, x) = (Weights::default(), input(40, 24, "io.picture"));
    let (scores, features) = espnet(&weights, &x, 7, [1, 2]);
    let network = EspNet::from_tensors(&weights.0.borrow(), &Device::cpu()).unwrap();
    assert_eq!(network.classes(), 7);
    let found = network.forward(tensor(&x), Mode::EVAL);
    let differences = [close(&common::values(found.0), &scores.values), close(&common::values(found.1), &features)];
    println!("ESPNet: relative differences {differences:?}");
    // Sides that are no multiples of 8 are continued.
    let picture = RgbImage::from_fn(21, 34, |x, y| Rgb([(x * 9) as u8, (y * 7) as u8, (x * y) as u8]));
    let labels = network.segment(&picture, &Device::cpu()).unwrap().labels;
    assert_eq!((labels.width(), labels.height()), (21, 34));
}

/// ESPNet's published weights for CamVid on every fifth picture of the validation split, twenty in all. (The data set's test
/// split, on which the paper reports scores, is harder.)
#[test]
fn espnet_finds_the_classes_of_camvid() {
    let Some(weights) = shared("data/weights/espnet/decoder_espnet_p_2_q_8_camvid.pth") else { return };
    let (Some(photos), Some(labels)) = (shared("data/camvid/val"), shared("data/camvid/val_label")) else { return };
    let classes = ClassTable::open(shared("data/camvid/classes.json").unwrap()).unwrap();
    let network = EspNet::open(weights, &Device::cpu()).unwrap();
    assert_eq!(network.classes(), 12);
    let unlabelled = classes.by_name("Unlabelled").map(|class| class.id);
    let mut confusion = Confusion::new(12, unlabelled);
    let mut files: Vec<_> = std::fs::read_dir(photos).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for photo in files.iter().step_by(5).take(20) {
        let truth = labels.join(photo.file_stem().unwrap()).with_extension("png");
        let truth = LabelMap::open(truth, &classes).unwrap();
        let picture = image::open(photo).unwrap().into_rgb8();
        confusion.add(&truth, &network.segment(&picture, &Device::cpu()).unwrap().labels).unwrap();
    }
    let (accuracy, mean) = (confusion.pixel_accuracy().unwrap(), confusion.mean_iou().unwrap());
    println!("ESPNet on 20 pictures of CamVid: pixel accuracy {accuracy:.4}, mIoU {mean:.4}");
    assert!((accuracy - 0.9255).abs() < 0.002 && (mean - 0.693).abs() < 0.005);
}
