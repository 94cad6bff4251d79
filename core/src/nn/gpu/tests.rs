use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::prepare::laid_out;
use super::rows::{modulate_reference, sum_rows_reference};
use super::{applies_to, convolve, modulate, sum_rows};
use crate::device::software::{devices, has_half};
use crate::nn::conv::Geometry;
use crate::rng::Rng;

fn random<const D: usize>(rng: &mut Rng, shape: [usize; D]) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn numbers<const D: usize>(rng: &mut Rng, shape: [usize; D], below: usize) -> Tensor<D, Int> {
    let values: Vec<i32> = (0..shape.iter().product()).map(|_| rng.below(below) as i32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The largest difference, relative to the largest value.
fn difference<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    let values = |x: Tensor<D>| x.cast(DType::F32).into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(found.dims(), expected.dims());
    let (found, expected) = (values(found), values(expected));
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0f32, |most, value| most.max(value.abs()));
    let size = largest(&mut expected.iter().copied());
    assert!(size > 0.01, "there is something to compare");
    largest(&mut found.iter().zip(&expected).map(|(a, b)| a - b)) / size.max(1.0)
}

/// Runs a check on every device in 32 bits and, where supported, in 16 bits; the last argument is the tolerance.
fn everywhere(check: impl Fn(&Device, DType, f32)) {
    for device in devices() {
        check(device.burn(), DType::F32, 1e-5);
        if has_half(&device) {
            check(device.burn(), DType::F16, 2e-3);
        }
    }
}

#[test]
fn a_gpu_without_a_graph_has_kernels() {
    for device in devices() {
        let device = device.burn();
        let x: Tensor<1> = Tensor::zeros([1], device);
        assert_eq!(applies_to(&x), *device != Device::flex());
        #[cfg(feature = "train")]
        assert!(!applies_to(&Tensor::<1>::zeros([1], &device.clone().autodiff())));
    }
}

#[test]
fn rows_are_summed() {
    everywhere(|device, dtype, tolerance| {
        let mut rng = Rng::new(1);
        for (rows, channels, n, taps, relu) in [(1, 1, 1, 1, false), (7, 20, 33, 9, true), (300, 128, 65, 9, false)] {
            let (table, bias) = (random(&mut rng, [rows, channels]), random(&mut rng, [channels]) + 0.5);
            // Some ids are beyond the last row.
            let ids = numbers(&mut rng, [n, taps], rows + 2);
            let expected = sum_rows_reference(table.clone(), ids.clone(), bias.clone(), relu);
            let to = |x: Tensor<2>| x.to_device(device).cast(dtype);
            let bias = bias.to_device(device).cast(dtype);
            let found = sum_rows(to(table), ids.to_device(device), bias, relu);
            assert_eq!(found.dtype(), dtype);
            let off = difference(found, expected.to_device(device));
            assert!(off < tolerance, "{device:?} {dtype:?}: {off}");
        }
    });
}

#[test]
fn rows_modulate() {
    everywhere(|device, dtype, tolerance| {
        let mut rng = Rng::new(2);
        for (rows, channels, height, width, leaky) in [(1, 1, 1, 1, false), (5, 3, 7, 9, true), (40, 65, 16, 12, true)]
        {
            let x = random(&mut rng, [1, channels, height, width]) + 3.0;
            let [mean, scale] = [random(&mut rng, [channels]), random(&mut rng, [channels])];
            let tables = [random(&mut rng, [rows, channels]), random(&mut rng, [rows, channels])];
            let ids = numbers(&mut rng, [height * width], rows);
            let expected =
                modulate_reference(x.clone(), [mean.clone(), scale.clone()], tables.clone(), ids.clone(), leaky);
            // Also with the dimensions reversed in memory.
            for flipped in [false, true] {
                let mut x = x.clone().to_device(device).cast(dtype);
                if flipped {
                    x = x.permute([0, 3, 2, 1]).mul_scalar(1.0).permute([0, 3, 2, 1]);
                }
                let statistics = [mean.clone(), scale.clone()].map(|values| values.to_device(device));
                let tables = tables.clone().map(|table| table.to_device(device).cast(dtype));
                let found = modulate(x, statistics, tables, ids.clone().to_device(device), leaky);
                assert_eq!(found.dtype(), dtype);
                let off = difference(found, expected.clone().to_device(device));
                assert!(off < tolerance, "{device:?} {dtype:?}: {off}");
            }
        }
    });
}

/// Always calls our kernel; [`convolve`] prefers Burn's on some devices.
fn by_kernel(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, geometry: Geometry) -> Tensor<4> {
    #[cfg(feature = "gpu")]
    if applies_to(&x) {
        return super::kernels::convolve(x, weight, bias, geometry);
    }
    convolve(x, weight, bias, geometry)
}

#[test]
fn it_convolves() {
    everywhere(|device, dtype, tolerance| {
        let mut rng = Rng::new(3);
        let cases = [
            // batch, in, out, height, width, kernel, stride, padding
            [1, 1, 16, 1, 1, 3, 1, 1],
            [1, 20, 70, 9, 13, 3, 1, 1],
            [2, 33, 17, 8, 8, 1, 1, 0],
            [2, 16, 64, 10, 7, 4, 2, 2],
            [1, 64, 128, 12, 11, 3, 2, 1],
            // More pixels than one dimension of the dispatch has workgroups.
            [1, 1, 4, 260, 260, 1, 1, 0],
        ];
        for [batch, ins, outs, height, width, kernel, stride, padding] in cases {
            let x = random(&mut rng, [batch, ins, height, width]);
            let weight = random(&mut rng, [outs, ins, kernel, kernel]);
            let bias = random(&mut rng, [outs]);
            let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
            for bias in [None, Some(bias)] {
                let expected = conv2d(x.clone(), weight.clone(), bias.clone(), options.clone());
                let bias = bias.map(|bias| bias.to_device(device).cast(dtype));
                let (x, weight) =
                    (x.clone().to_device(device).cast(dtype), weight.clone().to_device(device).cast(dtype));
                for weight in [weight.clone(), laid_out(weight)] {
                    let geometry = Geometry { stride, padding };
                    let found = by_kernel(x.clone(), weight, bias.clone(), geometry);
                    assert_eq!(found.dtype(), dtype);
                    let off = difference(found, expected.clone().to_device(device));
                    assert!(off < tolerance, "{device:?} {dtype:?} {ins} {outs} {kernel}: {off}");
                }
            }
        }
    });
}
