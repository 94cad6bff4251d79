//! ESPNet (Mehta et al. 2018), a small segmentation network.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use image::RgbImage;

use super::layers::{Doubling, Kernel, Norm, Slope, Step, avg_pool, mean_of_channels};
use super::planes::tensor;
use super::{load, open};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::{ClassTable, LabelMap};
use crate::model::{export, names, read_back, slots};
use crate::nn::{Init, Mode};
use crate::tensors::Tensors;

/// What a weights file should be, for messages.
const WHAT: &str =
    "ESPNet with its decoder, as `semsynth train-segmenter` writes it, or decoder_espnet_p_2_q_8_camvid.pth";

/// Pictures are padded to multiples of this.
const STRIDE: u32 = 8;

/// Version of what [`EspNet::to_tensors`] writes into the metadata of a file.
const FORMAT: u32 = 1;

/// Fewest outputs: each of the decoder's convolutions needs a channel.
const LEAST: usize = 5;

/// Most blocks of one level, and most classes, that a file is read for.
const MOST: usize = 256;

/// How values from 0 to 255 become the input of a network: less a mean, divided by a deviation and by `divisor`. Channels are in
/// the order red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) mean: [f32; 3],
    pub(crate) deviation: [f32; 3],
    pub(crate) divisor: f32,
}

impl Scaling {
    /// What the published network expects: statistics of CamVid's training pictures.
    const CAMVID: Self = Self { mean: [105.2, 108.6, 110.5], deviation: [78.4, 79.5, 78.4], divisor: 255.0 };

    fn value(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.deviation[channel] / self.divisor
    }
}

/// ESPNet with its decoder: classes for each pixel of a picture.
///
/// The number of classes and of blocks (`p`, `q`) is that of the weights file. Pictures are normalised by the statistics
/// in the file's metadata, or without, as the network for CamVid expects, by those of that data set.
#[derive(Module, Debug)]
pub struct EspNet {
    encoder: Encoder,
    level3_c: Kernel,
    br: Norm,
    conv: Unit,
    up_l3: Doubling,
    combine_norm: NormSlope,
    combine_block: Pyramid,
    up_l2: Doubling,
    up_l2_norm: NormSlope,
    classifier: Doubling,
    classes: usize,
    #[module(skip)]
    scaling: Scaling,
    #[module(skip)]
    table: Option<ClassTable>,
}

/// What a segmentation network finds in a picture.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// The most likely class of each pixel.
    pub labels: LabelMap,
    /// The mean over the picture of the features that classes are found by: [`EspNet::FEATURES`] values.
    pub features: Vec<f32>,
}

impl EspNet {
    /// Number of features of a picture.
    pub const FEATURES: usize = 256;

    /// Opens the weights, `.pth` or `.safetensors`, with the names of the paper's code.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, [`Error::Model`] if it is damaged or holds another network.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let tensors = open(path, WHAT, |name| name.starts_with("encoder.level1."))?;
        Self::from_tensors(&tensors, device)
            .map_err(|error| error.context(format!("{}: this is not {WHAT}", path.display())))
    }

    /// Takes the weights from tensors with the names of the paper's code. Other tensors are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] naming the tensor that is missing, has the wrong shape, or holds a value that is not finite.
    pub fn from_tensors(tensors: &Tensors, device: &Device) -> Result<Self> {
        let classes = tensors.get("classifier.weight").map(|data| data.shape().to_vec());
        let Some(&[classes, _, 2, 2]) = classes.as_deref() else {
            return Err(Error::Model("tensor \"classifier.weight\" is missing or no kernel of 2x2".into()));
        };
        let blocks = |level: &str| {
            let has = |block: &usize| tensors.get(&format!("encoder.{level}.{block}.c1.conv.weight")).is_some();
            (0..=MOST).take_while(has).count()
        };
        let blocks = ["level2", "level3"].map(blocks);
        let (scaling, table) = described(tensors)?;
        let network = Self::new(&mut Init::to_load(device.burn()), classes, blocks, scaling)?;
        Ok(Self { table, ..load(network, tensors, official_name)? })
    }

    /// The number of outputs for a class table: the highest id + 1 of the classes that count, and at least 5.
    pub(crate) fn outputs(table: &ClassTable, ignored: Option<u16>) -> usize {
        let ids = table.iter().map(|class| class.id).filter(|id| Some(*id) != ignored);
        ids.max().map_or(0, |id| usize::from(id) + 1).max(LEAST)
    }

    /// A network with `classes` outputs and `blocks` at a quarter and an eighth of the size (2 and 8 in the paper).
    pub(crate) fn new(init: &mut Init, classes: usize, blocks: [usize; 2], scaling: Scaling) -> Result<Self> {
        let [p, q] = blocks;
        if classes.max(p).max(q) > MOST || classes < LEAST || p.min(q) == 0 {
            return Err(Error::Model(format!("{classes} classes, {p} and {q} blocks are more or fewer than accepted")));
        }
        let point = [1; 2];
        Ok(Self {
            encoder: Encoder {
                level1: Unit::new(init, 3, 16, 2),
                b1: NormSlope::new(init, 19),
                level2_0: Downsampler::new(init, 19, 64),
                level2: (0..p).map(|_| Pyramid::new(init, 64, 64)).collect(),
                b2: NormSlope::new(init, 131),
                level3_0: Downsampler::new(init, 131, 128),
                level3: (0..q).map(|_| Pyramid::new(init, 128, 128)).collect(),
                b3: NormSlope::new(init, Self::FEATURES),
                classifier: Kernel::new(init, [classes, Self::FEATURES], point, Step::valid(1)),
            },
            level3_c: Kernel::new(init, [classes, 131], point, Step::valid(1)),
            br: Norm::new(init, classes),
            conv: Unit::new(init, 19 + classes, classes, 1),
            up_l3: Doubling::new(init, classes),
            combine_norm: NormSlope::new(init, 2 * classes),
            combine_block: Pyramid::new(init, 2 * classes, classes),
            up_l2: Doubling::new(init, classes),
            up_l2_norm: NormSlope::new(init, classes),
            classifier: Doubling::new(init, classes),
            classes,
            scaling,
            table: None,
        })
    }

    /// The same network, with the classes that it was trained on.
    pub(crate) fn named(self, table: ClassTable) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Number of classes it tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The classes that it was trained on, if its file names them.
    pub fn class_table(&self) -> Option<&ClassTable> {
        self.table.as_ref()
    }

    /// The weights with the names of the paper's code, and in the metadata the classes and how pictures are normalised:
    /// what [`from_tensors`](Self::from_tensors) reads.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if they cannot be read back, [`Error::Diverged`] if a value is not finite.
    pub fn to_tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        let names = names(&slots(self), |paths| paths.iter().map(|path| official_name(path)).collect::<Vec<_>>());
        export(self, &names, |name, shape, values| {
            if !values.iter().all(|value| value.is_finite()) {
                return Err(Error::Diverged(format!("training diverged: {name} holds a value that is not finite")));
            }
            tensors.insert_f32(name, shape, values)
        })?;
        let text = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ");
        tensors.set_metadata("semsynth-segmenter", FORMAT.to_string());
        tensors.set_metadata("mean", text(&self.scaling.mean));
        tensors.set_metadata("deviation", text(&self.scaling.deviation.map(|value| value * self.scaling.divisor)));
        if let Some(table) = &self.table {
            tensors.set_metadata("classes", table.to_ron_string()?);
        }
        Ok(tensors)
    }

    /// Pictures as planes in -1 to 1, `[batch, 3, h, w]` in the order red, green, blue, as input of
    /// [`forward`](Self::forward).
    pub(crate) fn input(
        &self,
        planes: &[f32],
        [height, width]: [usize; 2],
        device: &burn::tensor::Device,
    ) -> Tensor<4> {
        let plane = (height * width).max(1);
        let mut values = Vec::with_capacity(planes.len());
        for picture in planes.chunks_exact(3 * plane) {
            for channel in [2, 1, 0] {
                let plane = &picture[channel * plane..(channel + 1) * plane];
                values.extend(plane.iter().map(|value| self.scaling.value(channel, (value + 1.0) * 127.5)));
            }
        }
        let batch = values.len() / (3 * plane);
        Tensor::from_data(TensorData::new(values, [batch, 3, height, width]), device)
    }

    /// Finds the classes of a picture of any size, at that size. Sides that are no multiples of 8 are continued by
    /// their last pixels, whose classes are cut off again.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails, [`Error::Argument`] if the picture is empty.
    pub fn segment(&self, image: &RgbImage, device: &Device) -> Result<Segmentation> {
        let (width, height) = image.dimensions();
        if width == 0 || height == 0 {
            return Err(Error::Argument("an empty picture has no classes".into()));
        }
        let padded = [width, height].map(|side| side.div_ceil(STRIDE) * STRIDE);
        let padded =
            RgbImage::from_fn(padded[0], padded[1], |x, y| *image.get_pixel(x.min(width - 1), y.min(height - 1)));
        let normalised = |channel: usize, value: f32| self.scaling.value(channel, value);
        let (scores, features) = self.forward(tensor(&padded, [2, 1, 0], normalised, device.burn()), Mode::EVAL);
        let scores = read_back(scores)?;
        let (columns, plane) = (padded.width() as usize, (padded.width() * padded.height()) as usize);
        let class = |pixel: usize| {
            let score = |class: &usize| scores[class * plane + pixel];
            // The first of equal scores.
            (0..self.classes).rev().max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(0) as u16
        };
        let (width, height) = (width as usize, height as usize);
        let ids = (0..height).flat_map(|y| (0..width).map(move |x| y * columns + x)).map(class).collect();
        Ok(Segmentation { labels: LabelMap::new(width, height, ids)?, features: read_back(features)? })
    }

    /// Normalised pictures, `[batch, 3, h, w]` in the order blue, green, red, with sides that are multiples of 8, to
    /// scores, `[batch, classes, h, w]`, and features, `[batch, 256]`. In training, norms take the statistics of the batch.
    pub fn forward(&self, x: Tensor<4>, mode: Mode) -> (Tensor<4>, Tensor<2>) {
        let [half, quarter, eighth] = self.encoder.forward(x, mode);
        let coarse = self.br.forward(self.encoder.classifier.forward(eighth.clone()), mode);
        let both = Tensor::cat(vec![self.level3_c.forward(quarter), self.up_l3.forward(coarse)], 1);
        let combined = self.combine_block.forward(self.combine_norm.forward(both, mode), false, mode);
        let middle = self.up_l2_norm.forward(self.up_l2.forward(combined), mode);
        let fine = self.conv.forward(Tensor::cat(vec![middle, half], 1), mode);
        (self.classifier.forward(fine), mean_of_channels(eighth))
    }
}

/// How pictures are normalised, and the classes, from the metadata of a file. Files of other programs have neither.
fn described(tensors: &Tensors) -> Result<(Scaling, Option<ClassTable>)> {
    let metadata = tensors.metadata();
    let Some(format) = metadata.get("semsynth-segmenter") else { return Ok((Scaling::CAMVID, None)) };
    match format.parse() {
        Ok(FORMAT) => {}
        Ok(found) => return Err(Error::unsupported_format(found, FORMAT)),
        Err(_) => return Err(Error::Model(format!("metadata: format {format:?} is no number"))),
    }
    let three = |key: &str| {
        let values: Option<Vec<f32>> =
            metadata.get(key).and_then(|text| text.split(' ').map(|value| value.parse().ok()).collect());
        let values: Option<[f32; 3]> = values.and_then(|values| values.try_into().ok());
        let values = values.filter(|values| values.iter().all(|value| value.is_finite()));
        values.ok_or_else(|| Error::Model(format!("metadata: {key} is missing or no three numbers")))
    };
    let (mean, deviation) = (three("mean")?, three("deviation")?);
    if deviation.iter().any(|value| *value <= 0.0) {
        return Err(Error::Model("metadata: deviation must be above 0".into()));
    }
    let table = metadata.get("classes").map(|text| ClassTable::from_ron_str(text)).transpose();
    let table = table.map_err(|error| error.context("metadata: classes"))?;
    Ok((Scaling { mean, deviation, divisor: 1.0 }, table))
}

/// The name of a parameter in the paper's code, from its path.
fn official_name(path: &str) -> String {
    const PARTS: [(&str, &str); 6] = [
        ("level3_c.", "level3_C.conv."),
        ("up_l3.", "up_l3.0."),
        ("combine_norm.", "combine_l2_l3.0."),
        ("combine_block.", "combine_l2_l3.1."),
        ("up_l2.", "up_l2.0."),
        ("up_l2_norm.", "up_l2.1."),
    ];
    let found = PARTS.iter().find_map(|(ours, theirs)| Some(format!("{theirs}{}", path.strip_prefix(ours)?)));
    let name = found.unwrap_or_else(|| path.to_owned());
    // Convolutions without a norm are in a module of their own.
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        [outer @ .., layer @ ("c1" | "d1" | "d2" | "d4" | "d8" | "d16"), "weight"] => {
            format!("{}.{layer}.conv.weight", outer.join("."))
        }
        ["encoder", "classifier", "weight"] => "encoder.classifier.conv.weight".to_owned(),
        _ => name,
    }
}

#[derive(Module, Debug)]
struct Encoder {
    level1: Unit,
    b1: NormSlope,
    level2_0: Downsampler,
    level2: Vec<Pyramid>,
    b2: NormSlope,
    level3_0: Downsampler,
    level3: Vec<Pyramid>,
    b3: NormSlope,
    classifier: Kernel,
}

impl Encoder {
    /// Features at a half (19 channels), a quarter (131) and an eighth (256) of the size.
    fn forward(&self, x: Tensor<4>, mode: Mode) -> [Tensor<4>; 3] {
        let small = avg_pool(x.clone(), 2, true);
        let smaller = avg_pool(small.clone(), 2, true);
        let half = self.b1.forward(Tensor::cat(vec![self.level1.forward(x, mode), small], 1), mode);
        let first = self.level2_0.forward(half.clone(), mode);
        let last = self.level2.iter().fold(first.clone(), |x, block| block.forward(x, true, mode));
        let quarter = self.b2.forward(Tensor::cat(vec![last, first, smaller], 1), mode);
        let first = self.level3_0.forward(quarter.clone(), mode);
        let last = self.level3.iter().fold(first.clone(), |x, block| block.forward(x, true, mode));
        let eighth = self.b3.forward(Tensor::cat(vec![first, last], 1), mode);
        [half, quarter, eighth]
    }
}

/// Convolution of 3x3, norm and slope.
#[derive(Module, Debug)]
struct Unit {
    conv: Kernel,
    bn: Norm,
    act: Slope,
}

impl Unit {
    fn new(init: &mut Init, input: usize, output: usize, stride: usize) -> Self {
        let step = Step { stride, ..Step::same([3; 2]) };
        let conv = Kernel::new(init, [output, input], [3; 2], step);
        Self { conv, bn: Norm::new(init, output), act: Slope::new(init, output) }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.act.forward(self.bn.forward(self.conv.forward(x), mode))
    }
}

#[derive(Module, Debug)]
struct NormSlope {
    bn: Norm,
    act: Slope,
}

impl NormSlope {
    fn new(init: &mut Init, channels: usize) -> Self {
        Self { bn: Norm::new(init, channels), act: Slope::new(init, channels) }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        self.act.forward(self.bn.forward(x, mode))
    }
}

/// Five convolutions of one input, each more spread than the one before.
fn spread(x: Tensor<4>, [d1, d2, d4, d8, d16]: [&Kernel; 5]) -> Tensor<4> {
    let first = d1.forward(x.clone());
    let mut parts = vec![first];
    let mut sum: Option<Tensor<4>> = None;
    // Sums from the narrowest to the widest, against the grid that wide ones leave.
    for conv in [d2, d4, d8, d16] {
        let part = conv.forward(x.clone());
        let total = match sum {
            Some(sum) => sum + part,
            None => part,
        };
        parts.push(total.clone());
        sum = Some(total);
    }
    Tensor::cat(parts, 1)
}

/// Channels of a pyramid's narrowest convolution and of the others.
fn shares(output: usize) -> [usize; 2] {
    let others = output / 5;
    [output - 4 * others, others]
}

/// A pyramid of spread convolutions that halves the size.
#[derive(Module, Debug)]
struct Downsampler {
    c1: Kernel,
    d1: Kernel,
    d2: Kernel,
    d4: Kernel,
    d8: Kernel,
    d16: Kernel,
    bn: Norm,
    act: Slope,
}

impl Downsampler {
    fn new(init: &mut Init, input: usize, output: usize) -> Self {
        let [first, others] = shares(output);
        let c1 = Kernel::new(init, [others, input], [3; 2], Step { stride: 2, ..Step::same([3; 2]) });
        let mut spread = |output, dilation| Kernel::new(init, [output, others], [3; 2], Step::dilated(dilation));
        Self {
            c1,
            d1: spread(first, 1),
            d2: spread(others, 2),
            d4: spread(others, 4),
            d8: spread(others, 8),
            d16: spread(others, 16),
            bn: Norm::new(init, output),
            act: Slope::new(init, output),
        }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let parts = spread(self.c1.forward(x), [&self.d1, &self.d2, &self.d4, &self.d8, &self.d16]);
        self.act.forward(self.bn.forward(parts, mode))
    }
}

/// A pyramid of spread convolutions.
#[derive(Module, Debug)]
struct Pyramid {
    c1: Kernel,
    d1: Kernel,
    d2: Kernel,
    d4: Kernel,
    d8: Kernel,
    d16: Kernel,
    bn: NormSlope,
}

impl Pyramid {
    fn new(init: &mut Init, input: usize, output: usize) -> Self {
        let [first, others] = shares(output);
        let c1 = Kernel::new(init, [others, input], [1; 2], Step::valid(1));
        let mut spread = |output, dilation| Kernel::new(init, [output, others], [3; 2], Step::dilated(dilation));
        Self {
            c1,
            d1: spread(first, 1),
            d2: spread(others, 2),
            d4: spread(others, 4),
            d8: spread(others, 8),
            d16: spread(others, 16),
            bn: NormSlope::new(init, output),
        }
    }

    /// With `residual`, the input is added before the norm.
    fn forward(&self, x: Tensor<4>, residual: bool, mode: Mode) -> Tensor<4> {
        let parts = spread(self.c1.forward(x.clone()), [&self.d1, &self.d2, &self.d4, &self.d8, &self.d16]);
        self.bn.forward(if residual { x + parts } else { parts }, mode)
    }
}
