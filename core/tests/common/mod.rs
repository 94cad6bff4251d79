//! Helpers shared by several tests.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::unwrap_used,
    missing_docs,
    reason = "test support; not every topic uses all of it"
)]

#[cfg(feature = "cli")]
mod program;
mod software;
#[cfg(feature = "train")]
mod training;

use std::path::PathBuf;

use burn::tensor::{Tensor, TensorData};
use image::RgbImage;
use semsynth::label::{Class, ClassTable, LabelMap};
use semsynth::model::{FORMAT, Manifest, Provenance};
use semsynth::network::Architecture;
use semsynth::nn::{Init, Statistics};
use semsynth::tensors::Tensors;
use semsynth::{Device, Image, Model};

#[cfg(feature = "cli")]
pub(crate) use program::{semsynth, text};
pub(crate) use software::{devices, has_half, software};
#[cfg(feature = "train")]
pub(crate) use training::{StopAfter, batch as batch_of};

/// The path of a shared fixture, which is not part of the repository. If it is missing, prints that the test is
/// skipped.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SEMSYNTH_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")), PathBuf::from);
    let path = folder.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// A tensor of a fixture.
pub fn tensor<const D: usize>(tensors: &Tensors, name: &str, device: &Device) -> Tensor<D> {
    let data = tensors.get(name).unwrap_or_else(|| panic!("the fixture has no {name}"));
    Tensor::from_data(TensorData::new(data.to_f32(), data.shape().to_vec()), device.burn())
}

/// Values of a tensor, row-major.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The largest absolute difference.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The label map of a fixture's one-hot `[1, channels, h, w]`, and the instance edges if there are more channels than
/// `classes`.
pub fn labels_of(tensors: &Tensors, classes: usize) -> (LabelMap, Option<Vec<bool>>) {
    let one_hot = tensors.get("io.seg").unwrap();
    let [_, channels, height, width] = *one_hot.shape() else { panic!("io.seg has four dimensions") };
    let values = one_hot.to_f32();
    let pixels = height * width;
    let id = |pixel: usize| (0..classes).find(|class| values[class * pixels + pixel] > 0.5).unwrap() as u16;
    let edges = (channels > classes).then(|| values[classes * pixels..].iter().map(|&edge| edge > 0.5).collect());
    (LabelMap::new(width, height, (0..pixels).map(id).collect()).unwrap(), edges)
}

/// Converts a picture to the type of the crate `image`.
pub fn rgb(picture: Image) -> RgbImage {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    RgbImage::from_raw(width, height, picture.into_bytes()).unwrap()
}

/// A model with random weights, large enough that every part affects the result.
pub fn random_model(architecture: Architecture, classes: u16) -> Model {
    let class = |id: u16| Class { id, name: format!("class {id}"), color: [id as u8, 0, 7], dont_care: false };
    let network = architecture.init(&mut Init::random(3, &burn::tensor::Device::flex())).unwrap().folded();
    let stored = semsynth::model::store(&network, semsynth::model::Precision::Full).unwrap();
    let mut tensors = Tensors::new();
    for (name, data) in stored.iter() {
        let small = ["conv_", "fc", "mlp", "model"].iter().any(|part| name.contains(part)) && !name.contains("running");
        let scale = if small { 20.0 } else { 1.0 };
        let offset = if name.ends_with("noise_var") { 0.5 } else { 0.0 };
        let values = data.to_f32().iter().map(|value| value * scale + offset).collect();
        tensors.insert_f32(name, data.shape().to_vec(), values).unwrap();
    }
    let manifest = Manifest {
        format: FORMAT,
        name: "test".into(),
        architecture,
        classes: ClassTable::new((0..classes).map(class).collect()).unwrap(),
        statistics: Statistics::Batch,
        native_size: [64, 64],
        value_range: [-1.0, 1.0],
        provenance: Provenance::default(),
        licence: "CC0-1.0".into(),
        presets: Vec::new(),
    };
    tensors.set_metadata("semsynth", manifest.to_ron_string().unwrap());
    Model::from_bytes(&tensors.to_safetensors().unwrap()).unwrap()
}
