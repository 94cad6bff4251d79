//! Label map in, picture out.

mod style;

use burn::tensor::{DType, Tensor, TensorData};
use image::RgbImage;
use image::imageops::{FilterType, resize};

pub use style::{Style, StyleKind};

use crate::device::{Device, DeviceClass};
use crate::engine::{self, Engine, Styles};
use crate::error::{Error, Result};
use crate::label::{DistanceMap, LabelMap, instance_edges};
use crate::model::{Manifest, Model, read_back};
use crate::network::{Architecture, ConvEncoder, Encoder, Network, StyleConfig};
use crate::nn::{BlockStyles, Guide, Layout, Lookup, Mode, Noise, Statistics, gpu, ops};
use crate::picture::Image;
use crate::pixels::{push_planes, to_image, to_images};
use crate::rng::Rng;

/// Pixels of a photo that SEAN's encoder takes: its first features are 32 channels of them.
const MAX_ENCODED: usize = 1 << 22;

/// What to make of a label map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Seed of everything random in a model: the noise of SEAN, the style of a model with a latent vector where none is
    /// given. SPADE and CLADE have no random input: they give one picture for a label map, whatever the seed.
    pub seed: u64,
    /// Statistics that batch norms divide by; none: those the model names.
    pub statistics: Option<Statistics>,
    /// How the picture is to look. SEAN needs one; a model with a latent vector draws one where there is none.
    pub style: Option<Style>,
    /// Other styles for some of SEAN's residual blocks, by their number from 0: style crossover.
    pub block_styles: Vec<(usize, Style)>,
    /// No noise in SEAN's features.
    pub quiet: bool,
    /// Where the picture's top left pixel lies in the world that its noise is anchored in: x to the right, y down.
    /// Pictures of neighbouring places have the same noise where they meet if these are multiples of the network's
    /// stride.
    pub origin: [i64; 2],
    /// Instance ids, of the size of the label map, for models that are fed instance edges; none: the edges are those
    /// between classes.
    pub instances: Option<LabelMap>,
}

impl Request {
    /// Seed 0, the model's own statistics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Other statistics: those of the picture itself ([`Statistics::Batch`]) can look better for a model that was trained
    /// with few pictures a step, but a pixel then depends on the whole picture.
    #[must_use]
    pub fn statistics(self, statistics: Statistics) -> Self {
        Self { statistics: Some(statistics), ..self }
    }

    /// A style.
    #[must_use]
    pub fn style(self, style: &Style) -> Self {
        Self { style: Some(style.clone()), ..self }
    }

    /// Another style for one residual block, counted from 0.
    #[must_use]
    pub fn block_style(mut self, block: usize, style: &Style) -> Self {
        self.block_styles.push((block, style.clone()));
        self
    }

    /// Without noise.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Another place in the world.
    #[must_use]
    pub fn origin(self, x: i64, y: i64) -> Self {
        Self { origin: [x, y], ..self }
    }

    /// Instance ids.
    #[must_use]
    pub fn instances(self, instances: LabelMap) -> Self {
        Self { instances: Some(instances), ..self }
    }
}

/// A model on a device, ready to synthesize. It is the scratch: one per worker thread.
///
/// On the CPU, models of the SPADE family are painted by kernels of our own where there are some for everything in them, on
/// the threads of the current Rayon pool. On a GPU, convolution and modulation are kernels of our own.
#[derive(Debug)]
pub struct Synthesizer {
    /// Without the weights that a compact engine has packed.
    model: Model,
    device: Device,
    engine: Option<Engine>,
    /// Made when it is first needed, where there is an engine: for its encoder.
    network: Option<Network>,
    /// Whether Burn's own operations paint.
    plain: bool,
}

/// What is where, as the network is given it.
struct Scene {
    labels: LabelMap,
    edges: Option<Vec<bool>>,
    distances: Option<DistanceMap>,
}

/// How it is to look, as the network is given it.
enum Look {
    Plain,
    Latent(Vec<f32>),
    Regions(Styles),
}

impl Synthesizer {
    /// Puts a model on a device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device refuses.
    pub fn new(model: &Model, device: &Device) -> Result<Self> {
        if let (DeviceClass::Cpu, Architecture::SpadeFamily(config)) = (device.info().class, model.architecture())
            && Engine::supports(config)
        {
            let engine = Engine::new(config, model.tensors(), model.manifest().native_size)?;
            let (model, device) = (model.clone(), device.clone());
            return Ok(Self { model, device, engine: Some(engine), network: None, plain: false });
        }
        Self::on_kernels(model, device, false)
    }

    /// The same with 16-bit floats, on a GPU: half the memory, and faster where the GPU has units for them. Statistics and the
    /// sums of our kernels have 32 bits.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`Error::Argument`] if the device has no such floats, or is the CPU, which does not gain from
    /// them.
    pub fn half(model: &Model, device: &Device) -> Result<Self> {
        if device.info().class == DeviceClass::Cpu || !device.burn().supports_dtype(DType::F16) {
            let name = &device.info().name;
            return Err(Error::Argument(format!(
                "16-bit floats are for GPUs that have them, and {name} is none: paint with 32 bits"
            )));
        }
        Self::on_kernels(model, device, true)
    }

    fn on_kernels(model: &Model, device: &Device, half: bool) -> Result<Self> {
        let mut network = model.network(device.burn())?;
        if device.info().class != DeviceClass::Cpu {
            network.generator = gpu::prepared(network.generator, half);
        }
        let (model, device) = (model.clone(), device.clone());
        Ok(Self { model, device, engine: None, network: Some(network), plain: false })
    }

    /// The same in less memory: on the CPU the weights of the model are given up as they are packed for the kernels. Preparing
    /// takes a little longer, painting does not.
    ///
    /// Nothing is saved while there are other handles of the model, for models with an encoder, which keep their weights for
    /// it, or where there is no kernel for something in the model.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn compact(model: Model, device: &Device) -> Result<Self> {
        if let (DeviceClass::Cpu, Architecture::SpadeFamily(config)) = (device.info().class, model.architecture())
            && Engine::supports(config)
            && !config.style.has_encoder()
        {
            let (config, size) = (config.clone(), model.manifest().native_size);
            let (manifest, mut tensors) = model.into_parts();
            let engine = Engine::emptying(&config, &mut tensors, size)?;
            let model = Model::of_parts(manifest, tensors);
            return Ok(Self { model, device: device.clone(), engine: Some(engine), network: None, plain: false });
        }
        Self::new(&model, device)
    }

    /// Puts a model on a device to be painted by the definition of its network, by Burn's own operations on any device: what
    /// [`new`](Self::new) is measured against and tested with.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn by_definition(model: &Model, device: &Device) -> Result<Self> {
        let network = model.network(device.burn())?;
        let (model, device) = (model.clone(), device.clone());
        Ok(Self { model, device, engine: None, network: Some(network), plain: true })
    }

    fn network(&mut self) -> Result<&Network> {
        if self.network.is_none() {
            self.network = Some(self.model.network(self.device.burn())?);
        }
        self.network.as_ref().ok_or_else(|| Error::Device("the network is not there".into()))
    }

    /// What the model says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// Makes ready for pictures of a size as a request asks for them, so that the first is as fast as the others: on a GPU,
    /// kernels are compiled, and with the feature `gpu-tuned` measured, for calm and for busy label maps; on the CPU, memory is
    /// taken; a style is worked in. The request's instances are left out.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn warm_up(&mut self, width: usize, height: usize, request: &Request) -> Result<()> {
        let ids: Vec<u16> = self.model.classes().iter().map(|class| class.id).collect();
        let request = Request { instances: None, ..request.clone() };
        let flat = LabelMap::filled(width, height, ids.first().copied().unwrap_or_default())?;
        let mut rng = Rng::new(0);
        let busy = (0..width * height).map(|_| ids.get(rng.below(ids.len())).copied().unwrap_or_default()).collect();
        for labels in [LabelMap::new(width, height, busy)?, flat] {
            self.run(&labels, &request)?;
        }
        Ok(())
    }

    /// Paints a label map; the picture has its size.
    ///
    /// Sizes that are no multiple of the network's stride are padded at the right and lower edge with the labels of the
    /// nearest pixel, and cut off again.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if an id has no class; [`Error::Argument`] if a style is missing or does not fit the model, or
    /// instances have another size; [`Error::Device`] if the device fails.
    pub fn run(&mut self, labels: &LabelMap, request: &Request) -> Result<Image> {
        labels.check(self.model.classes())?;
        let (width, height) = (labels.width(), labels.height());
        let (scene, look) = (self.scene(labels, request)?, self.look(request)?);
        let statistics = request.statistics.unwrap_or(self.model.manifest().statistics);
        let range = self.model.manifest().value_range;
        let noise = if self.model.architecture().noisy() && !request.quiet {
            Noise::Anchored { seed: request.seed, origin: request.origin }
        } else {
            Noise::Zero
        };
        let picture = if let Some(engine) = &mut self.engine {
            let to_paint = engine::Scene {
                labels: &scene.labels,
                edges: scene.edges.as_deref(),
                distances: scene.distances.as_ref(),
                latent: if let Look::Latent(latent) = &look { Some(latent) } else { None },
                styles: if let Look::Regions(styles) = &look { Some(styles) } else { None },
                noise,
                statistics,
            };
            to_image(&engine.run(&to_paint, self.model.tensors())?, scene.labels.width(), range)
        } else {
            let guide = self.guide(scene, look, noise)?;
            let plain = self.plain;
            let network = self.network()?;
            let paint = || network.forward(&guide, Mode::Eval(statistics));
            let output = if plain { ops::without(paint)? } else { paint()? };
            let mut pictures = to_images(output, range)?;
            pictures.pop().ok_or_else(|| Error::Device("the network gave no picture".into()))?
        };
        if picture.dimensions() == (width as u32, height as u32) {
            return Ok(Image::from_rgb(picture));
        }
        Ok(Image::from_rgb(image::imageops::crop_imm(&picture, 0, 0, width as u32, height as u32).to_image()))
    }

    fn scene(&self, labels: &LabelMap, request: &Request) -> Result<Scene> {
        let architecture = self.model.architecture();
        let pad = |map: &LabelMap| pad(map, architecture.stride(), architecture.least_side());
        let padded = pad(labels)?;
        // Objects are those of the label map, without what was put around it.
        let distances =
            architecture.positional().then(|| DistanceMap::of(labels).extended(padded.width(), padded.height()));
        let edges = if architecture.instance_edges() {
            let instances = request.instances.as_ref().unwrap_or(labels);
            same_size("the instance map", instances, labels.width(), labels.height())?;
            Some(instance_edges(&pad(instances)?))
        } else if request.instances.is_some() {
            let network = architecture.describe();
            return Err(Error::Argument(format!("an instance map was given, but this model ({network}) takes none")));
        } else {
            None
        };
        Ok(Scene { labels: padded, edges, distances })
    }

    fn look(&self, request: &Request) -> Result<Look> {
        let architecture = self.model.architecture();
        match architecture.style() {
            StyleConfig::None => {
                if request.style.is_some() || !request.block_styles.is_empty() {
                    let network = architecture.describe();
                    return Err(Error::Argument(format!("a style was given, but this model ({network}) takes none")));
                }
                Ok(Look::Plain)
            }
            StyleConfig::Latent { length, .. } => {
                if !request.block_styles.is_empty() {
                    return Err(Error::Argument("this model has one style for all blocks".into()));
                }
                match &request.style {
                    Some(style) => self.rows_of(style).map(Look::Latent),
                    None => Ok(Look::Latent(Style::random(request.seed, length)?.to_rows())),
                }
            }
            StyleConfig::Regions { .. } => {
                let Some(style) = &request.style else {
                    return Err(Error::Argument(
                        "this model needs a style: encode one from a photo and its label map, or open one".into(),
                    ));
                };
                let blocks = architecture.styled_blocks();
                let of_block = |(block, style): &(usize, Style)| {
                    if *block >= blocks {
                        let last = blocks - 1;
                        return Err(Error::Argument(format!(
                            "a style for block {block}: the network has blocks 0 to {last}"
                        )));
                    }
                    Ok((*block, self.rows_of(style)?))
                };
                let some = request.block_styles.iter().map(of_block).collect::<Result<_>>()?;
                Ok(Look::Regions(Styles { all: self.rows_of(style)?, some }))
            }
        }
    }

    /// The same for the definition of the network, on its device.
    fn guide(&self, scene: Scene, look: Look, noise: Noise) -> Result<Guide> {
        let (architecture, device) = (self.model.architecture(), self.device.burn());
        let mut layout = Layout::new(vec![scene.labels], architecture.label_channels(), Lookup::Gather, device)?;
        if let Some(distances) = scene.distances {
            layout = layout.with_distances(vec![distances])?;
        }
        if let Some(edges) = scene.edges {
            layout = layout.with_edges(vec![edges])?;
        }
        let guide = Guide::new(layout).noise(noise);
        Ok(match look {
            Look::Plain => guide,
            Look::Latent(latent) => {
                let length = latent.len();
                guide.latent(Tensor::from_data(TensorData::new(latent, [1, length]), device))
            }
            Look::Regions(Styles { all, some }) => {
                let classes = architecture.label_channels();
                let upload = |rows: Vec<f32>| -> Tensor<3> {
                    let length = rows.len() / classes;
                    Tensor::from_data(TensorData::new(rows, [1, classes, length]), device)
                };
                let all = upload(all);
                if some.is_empty() {
                    return Ok(guide.styles(BlockStyles::All(all)));
                }
                let mut each = vec![all; architecture.styled_blocks()];
                for (block, rows) in some {
                    if let Some(place) = each.get_mut(block) {
                        *place = upload(rows);
                    }
                }
                guide.styles(BlockStyles::Each(each))
            }
        })
    }

    /// The values of a style that has the form this model takes.
    fn rows_of(&self, style: &Style) -> Result<Vec<f32>> {
        self.check_style(style)?;
        Ok(style.to_rows())
    }

    /// Whether a style has the form this model takes.
    fn check_style(&self, style: &Style) -> Result<()> {
        let architecture = self.model.architecture();
        let (kind, rows, length) = match architecture.style() {
            StyleConfig::Latent { length, .. } => (StyleKind::Whole, 1, length),
            StyleConfig::Regions { length, .. } => (StyleKind::Regions, architecture.label_channels(), length),
            StyleConfig::None => return Ok(()),
        };
        let form = |kind: StyleKind, rows: usize, length: usize| match kind {
            StyleKind::Whole => format!("one vector of {length} values for the whole picture"),
            StyleKind::Regions => format!("{rows} classes of {length} values"),
        };
        if (style.kind(), style.rows(), style.length()) != (kind, rows, length) {
            return Err(Error::Argument(format!(
                "the style has {}, this model takes {}: it was made for another model",
                form(style.kind(), style.rows(), style.length()),
                form(kind, rows, length)
            )));
        }
        if kind == StyleKind::Regions { style.check_names(self.model.classes()) } else { Ok(()) }
    }

    /// The styles of a photo's regions, for models with a style per class (SEAN). Photo and label map show the same; both
    /// are brought to the size the model was trained at. A class with no pixel at half that size is absent.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model has no such encoder; [`Error::Labels`] if an id has no class; [`Error::Device`] if
    /// the device fails.
    pub fn region_style(&mut self, photo: &RgbImage, labels: &LabelMap) -> Result<Style> {
        if !matches!(self.model.architecture().style(), StyleConfig::Regions { encoder: Some(_), .. }) {
            return Err(Error::Argument(self.no_encoder("styles per class")));
        }
        labels.check(self.model.classes())?;
        let architecture = self.model.architecture();
        let [height, width] = self.model.manifest().native_size.map(|side| side.next_multiple_of(4));
        if height * width > MAX_ENCODED {
            return Err(Error::Limit(format!(
                "the model was trained at {width}x{height}: photos of more than {MAX_ENCODED} pixels cannot be encoded"
            )));
        }
        let labels = labels.resize_centered(width, height)?;
        let present = labels.resize_floor(width / 2, height / 2)?;
        let classes = architecture.label_channels();
        let layout = Layout::new(vec![labels], classes, Lookup::Gather, self.device.burn())?;
        let photo = self.upload_photo(photo, [height, width]);
        let Some(Encoder::Region(encoder)) = &self.network()?.encoder else {
            return Err(Error::Argument(self.no_encoder("styles per class")));
        };
        let styles = encoder.forward(photo, &layout, Mode::EVAL)?;
        let [_, _, length] = styles.dims();
        let values = read_back(styles)?;
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; classes];
        for id in present.ids().map(usize::from) {
            if let (Some(row), Some(values)) = (rows.get_mut(id), values.get(id * length..(id + 1) * length)) {
                row.get_or_insert_with(|| values.to_vec());
            }
        }
        Style::regions(length, rows)?.with_names(self.model.classes())
    }

    /// The style of a photo, for models with a latent vector: the mean of what the encoder finds, or, with a seed, a
    /// vector drawn from it.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model has no such encoder; [`Error::Device`] if the device fails.
    pub fn latent_style(&mut self, photo: &RgbImage, seed: Option<u64>) -> Result<Style> {
        if !matches!(self.model.architecture().style(), StyleConfig::Latent { encoder: Some(_), .. }) {
            return Err(Error::Argument(self.no_encoder("a latent vector")));
        }
        let photo = self.upload_photo(photo, [ConvEncoder::SIDE; 2]);
        let Some(Encoder::Conv(encoder)) = &self.network()?.encoder else {
            return Err(Error::Argument(self.no_encoder("a latent vector")));
        };
        let posterior = encoder.forward(photo, Mode::EVAL)?;
        let latent = match seed {
            None => posterior.mean,
            Some(seed) => {
                let [_, length] = posterior.mean.dims();
                let mut rng = Rng::new(seed);
                let noise: Vec<f32> = (0..length).map(|_| rng.normal() as f32).collect();
                posterior.sample(Tensor::from_data(TensorData::new(noise, [1, length]), self.device.burn()))
            }
        };
        Style::whole(read_back(latent)?)
    }

    fn no_encoder(&self, what: &str) -> String {
        let network = self.model.architecture().describe();
        format!("this model ({network}) has no encoder for {what}")
    }

    /// A photo at the size asked for, `[1, 3, height, width]` in -1 to 1.
    fn upload_photo(&self, photo: &RgbImage, [height, width]: [usize; 2]) -> Tensor<4> {
        let resized;
        let photo = if photo.dimensions() == (width as u32, height as u32) {
            photo
        } else {
            // Catmull-Rom is the bicubic kernel that training data is resized with.
            resized = resize(photo, width as u32, height as u32, FilterType::CatmullRom);
            &resized
        };
        let mut planes = Vec::with_capacity(3 * height * width);
        push_planes(photo, &mut planes);
        Tensor::from_data(TensorData::new(planes, [1, 3, height, width]), self.device.burn())
    }
}

fn same_size(what: &str, map: &LabelMap, width: usize, height: usize) -> Result<()> {
    if (map.width(), map.height()) == (width, height) {
        return Ok(());
    }
    let found = format!("{}x{}", map.width(), map.height());
    Err(Error::Argument(format!("{what} has {found} pixels, the label map {width}x{height}: they must be the same")))
}

/// Repeats the last column and row until both sides are multiples of `stride` and at least `least`.
fn pad(labels: &LabelMap, stride: usize, least: usize) -> Result<LabelMap> {
    let (width, height) = (labels.width(), labels.height());
    let side = |side: usize| side.max(least).next_multiple_of(stride);
    let (wide, high) = (side(width), side(height));
    if (wide, high) == (width, height) {
        return Ok(labels.clone());
    }
    let mut ids = Vec::with_capacity(wide * high);
    for y in 0..high {
        ids.extend((0..wide).map(|x| labels.get(x.min(width - 1), y.min(height - 1)).unwrap_or_default()));
    }
    LabelMap::new(wide, high, ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_repeats_the_edge() {
        let labels = LabelMap::new(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        let padded = pad(&labels, 4, 0).unwrap();
        assert_eq!((padded.width(), padded.height()), (4, 4));
        let larger = pad(&labels, 4, 8).unwrap();
        assert_eq!((larger.width(), larger.height(), larger.get(7, 7)), (8, 8, Some(5)));
        assert_eq!(padded.ids().collect::<Vec<_>>(), [0, 1, 2, 2, 3, 4, 5, 5, 3, 4, 5, 5, 3, 4, 5, 5]);
    }
}
