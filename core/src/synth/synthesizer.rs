//! Synthesizing pictures from label maps.

use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};

use super::prepared::Weights;
use super::{Control, PreparedModel, Request, SynthesizerOptions};
use crate::engine::{self, ClassStyles};
use crate::error::{Error, Result};
use crate::label::{LabelMap, LabelPyramid};
use crate::model::{Manifest, Model, read_back};
use crate::network::StyleConfig;
use crate::nn::{BlockStyles, GeneratorInput, LabelEncoding, Layout, Mode, Noise, ops};
use crate::picture::{Image, PixelFormat, PixelsMut};
use crate::pixels::write_planes;
use crate::rng::Rng;
use crate::style::{Style, StyleKind};

/// Synthesizes pictures from label maps, on one thread, with the weights of a [`PreparedModel`]. It keeps buffers
/// and reusable intermediate results between pictures.
#[derive(Debug)]
pub struct Synthesizer {
    prepared: PreparedModel,
    /// The buffers of the CPU engine.
    session: Option<engine::Session>,
    last: Option<LastLabels>,
}

/// The inputs of the last picture, and the label pyramid made from them.
#[derive(Debug)]
struct LastLabels {
    labels: LabelMap,
    instances: Option<LabelMap>,
    pyramid: Arc<LabelPyramid>,
    /// On the device, where the engine does not run.
    layout: Option<Layout>,
}

/// The style in the form that networks take.
enum StyleInput {
    None,
    Latent(Vec<f32>),
    Classes(ClassStyles),
}

impl Synthesizer {
    /// Prepares a model for a single thread; see [`PreparedModel::new`].
    ///
    /// # Errors
    ///
    /// As [`PreparedModel::new`].
    pub fn new(model: impl Into<Model>, options: impl Into<SynthesizerOptions>) -> Result<Self> {
        PreparedModel::new(model, options).map(Self::of)
    }

    pub(super) fn of(prepared: PreparedModel) -> Self {
        let session = match prepared.weights() {
            Weights::Engine(engine) => Some(engine.session()),
            Weights::Network { .. } => None,
        };
        Self { prepared, session, last: None }
    }

    /// The weights, for sharing with other threads.
    pub fn prepared(&self) -> &PreparedModel {
        &self.prepared
    }

    /// The manifest of the model.
    pub fn manifest(&self) -> &Manifest {
        self.prepared.manifest()
    }

    /// Encodes the style of a photo; see [`PreparedModel::encode`].
    ///
    /// # Errors
    ///
    /// As [`PreparedModel::encode`].
    pub fn encode(&self, photo: &Image, labels: Option<&LabelMap>, seed: Option<u64>) -> Result<Style> {
        self.prepared.encode(photo, labels, seed)
    }

    /// Prepares for pictures of a size with a request like this, so that the first picture is as fast as later
    /// ones. On a GPU, this compiles kernels, and with the feature `gpu-tuned` also tunes them, for label maps with
    /// few and with many distinct patches. On the CPU, it allocates buffers and packs the style. The request's
    /// instance ids are ignored.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn warm_up(&mut self, width: usize, height: usize, request: &Request) -> Result<()> {
        let ids: Vec<u16> = self.manifest().classes.iter().map(|class| class.id).collect();
        let request = Request { instances: None, ..request.clone() };
        let flat = LabelMap::filled(width, height, ids.first().copied().unwrap_or_default())?;
        let mut rng = Rng::new(0);
        let busy = (0..width * height).map(|_| ids.get(rng.below(ids.len())).copied().unwrap_or_default()).collect();
        for labels in [LabelMap::new(width, height, busy)?, flat] {
            self.run(&labels, &request)?;
        }
        Ok(())
    }

    /// Synthesizes a picture, which has the size of the label map.
    ///
    /// If a side is not a multiple of the network's stride, the last row and column of the label map are repeated
    /// up to the next multiple, and the picture is cropped.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownLabels`] if an id has no class; [`Error::StyleNeeded`] if the model needs a style;
    /// [`Error::Argument`] if a style does not fit the model or the instance ids have another size;
    /// [`Error::Device`] if the device fails.
    pub fn run(&mut self, labels: &LabelMap, request: &Request) -> Result<Image> {
        self.run_with(labels, request, &mut Control::new())
    }

    /// As [`run`](Self::run), with cancellation and progress reports.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); [`Error::Cancelled`] if cancelled. The synthesizer can be used again after that.
    pub fn run_with(&mut self, labels: &LabelMap, request: &Request, control: &mut Control<'_>) -> Result<Image> {
        let (width, height) = (labels.width(), labels.height());
        let mut bytes = vec![0; 3 * width * height];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, width, height, 3 * width, &mut bytes)?;
        self.run_into(labels, request, &mut out, control)?;
        Image::new(width, height, bytes)
    }

    /// As [`run_with`](Self::run_with), into the caller's memory. After an error `out` is unchanged.
    ///
    /// # Errors
    ///
    /// As [`run_with`](Self::run_with); [`Error::Argument`] if `out` and the label map differ in size.
    pub fn run_into(
        &mut self,
        labels: &LabelMap,
        request: &Request,
        out: &mut PixelsMut<'_>,
        control: &mut Control<'_>,
    ) -> Result<()> {
        labels.check(&self.manifest().classes)?;
        same_size("the output picture", [out.width(), out.height()], labels)?;
        let pyramid = self.describe(labels, request)?;
        let style = self.style_input(request)?;
        let [low, high] = self.manifest().value_range;
        let noise = if self.prepared.architecture().needs().noise && !request.quiet {
            Noise::Anchored { seed: request.seed, origin: request.origin }
        } else {
            Noise::Zero
        };
        let statistics = request.statistics.unwrap_or(self.manifest().statistics);
        let (prepared, session) = (&self.prepared, &mut self.session);
        let planes = match (prepared.weights(), session) {
            (Weights::Engine(_), Some(session)) => {
                let scene = engine::Scene {
                    labels: &pyramid,
                    latent: if let StyleInput::Latent(latent) = &style { Some(latent) } else { None },
                    styles: if let StyleInput::Classes(styles) = &style { Some(styles) } else { None },
                    noise,
                    statistics,
                };
                control.run(prepared.pool(), |step| session.run(&scene, step))?
            }
            (Weights::Network { network, reference }, _) => {
                let layout = || {
                    let classes = prepared.architecture().label_channels();
                    Layout::of(vec![Arc::clone(&pyramid)], classes, LabelEncoding::Indexed, prepared.device().burn())
                };
                // Keeps the tensors of the label map on the device for the next picture.
                let layout = match &mut self.last {
                    Some(last) => last.layout.get_or_insert_with(layout).clone(),
                    None => layout(),
                };
                let input = generator_input(prepared, layout, style, noise);
                let (device, watched) = (prepared.device().burn(), control.is_used());
                control.run(prepared.pool(), |step| {
                    let mut step = |done: f32| {
                        // GPU work is queued faster than it is computed, so a watched run waits for it.
                        if watched {
                            device.sync().map_err(|error| Error::Device(error.to_string()))?;
                        }
                        step(done)
                    };
                    let mut forward = || network.forward_by_steps(&input, Mode::Eval(statistics), &mut step);
                    let output = if *reference { ops::without(forward)? } else { forward()? };
                    read_back(output.cast(DType::F32))
                })?
            }
            (Weights::Engine(_), None) => return Err(Error::Device("the engine has no session".into())),
        };
        write_planes(&planes, pyramid.size()[1], [low, high], out);
        Ok(())
    }

    /// The label pyramid of a picture: the last one if labels and instance ids are the same.
    fn describe(&mut self, labels: &LabelMap, request: &Request) -> Result<Arc<LabelPyramid>> {
        let architecture = self.prepared.architecture();
        if request.instances.is_some() && !architecture.instance_edges() {
            let network = architecture.describe();
            return Err(Error::Argument(format!("an instance map was given, but this model ({network}) takes none")));
        }
        if let Some(last) = &self.last
            && last.labels == *labels
            && last.instances == request.instances
        {
            last.pyramid.mark_reused();
            return Ok(Arc::clone(&last.pyramid));
        }
        let (stride, least) = (architecture.stride(), architecture.least_side());
        let size = [labels.height(), labels.width()].map(|side| side.max(least).next_multiple_of(stride));
        let mut pyramid = LabelPyramid::padded(labels, size, architecture.label_channels());
        if architecture.instance_edges() {
            let instances = request.instances.as_ref().unwrap_or(labels);
            same_size("the instance map", [instances.width(), instances.height()], labels)?;
            pyramid = pyramid.with_instances(instances)?;
        }
        let pyramid = Arc::new(pyramid);
        let (labels, instances) = (labels.clone(), request.instances.clone());
        self.last = Some(LastLabels { labels, instances, pyramid: Arc::clone(&pyramid), layout: None });
        Ok(pyramid)
    }

    fn style_input(&self, request: &Request) -> Result<StyleInput> {
        let architecture = self.prepared.architecture();
        match architecture.style() {
            StyleConfig::None => {
                if request.style.is_some() || !request.block_styles.is_empty() {
                    let network = architecture.describe();
                    return Err(Error::Argument(format!("a style was given, but this model ({network}) takes none")));
                }
                Ok(StyleInput::None)
            }
            StyleConfig::Latent { length, .. } => {
                if !request.block_styles.is_empty() {
                    return Err(Error::Argument("this model has one style for all blocks".into()));
                }
                match &request.style {
                    Some(style) => self.rows_of(style).map(StyleInput::Latent),
                    None => Ok(StyleInput::Latent(Style::random(request.seed, length)?.to_rows())),
                }
            }
            StyleConfig::Regions { .. } => {
                let style = request.style.as_ref().ok_or(Error::StyleNeeded)?;
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
                Ok(StyleInput::Classes(ClassStyles { all: self.rows_of(style)?, some }))
            }
        }
    }

    /// The values of a style, after checking that the model takes its form.
    fn rows_of(&self, style: &Style) -> Result<Vec<f32>> {
        let architecture = self.prepared.architecture();
        let (kind, rows, length) = match architecture.style() {
            StyleConfig::Latent { length, .. } => (StyleKind::Global, 1, length),
            StyleConfig::Regions { length, .. } => (StyleKind::Regions, architecture.label_channels(), length),
            StyleConfig::None => return Ok(style.to_rows()),
        };
        let form = |kind: StyleKind, rows: usize, length: usize| match kind {
            StyleKind::Global => format!("one vector of {length} values for the whole picture"),
            StyleKind::Regions => format!("{rows} classes of {length} values"),
        };
        if (style.kind(), style.rows(), style.length()) != (kind, rows, length) {
            return Err(Error::Argument(format!(
                "the style has {}, this model takes {}: it was made for another model",
                form(style.kind(), style.rows(), style.length()),
                form(kind, rows, length)
            )));
        }
        if kind == StyleKind::Regions {
            style.check_names(&self.manifest().classes)?;
        }
        Ok(style.to_rows())
    }
}

/// Moves the inputs of a network to its device.
fn generator_input(prepared: &PreparedModel, layout: Layout, style: StyleInput, noise: Noise) -> GeneratorInput {
    let (architecture, device) = (prepared.architecture(), prepared.device().burn());
    let classes = architecture.label_channels();
    let input = GeneratorInput::new(layout).noise(noise);
    match style {
        StyleInput::None => input,
        StyleInput::Latent(latent) => {
            let length = latent.len();
            input.latent(Tensor::from_data(TensorData::new(latent, [1, length]), device))
        }
        StyleInput::Classes(styles) => {
            let upload = |rows: &[f32]| -> Tensor<3> {
                Tensor::from_data(TensorData::new(rows.to_vec(), [1, classes, rows.len() / classes]), device)
            };
            if styles.some.is_empty() {
                return input.styles(BlockStyles::All(upload(&styles.all)));
            }
            let each = (0..architecture.styled_blocks()).map(|block| upload(styles.of(block)));
            input.styles(BlockStyles::Each(each.collect()))
        }
    }
}

fn same_size(what: &str, [width, height]: [usize; 2], labels: &LabelMap) -> Result<()> {
    let expected = [labels.width(), labels.height()];
    if [width, height] == expected {
        return Ok(());
    }
    let [wide, high] = expected;
    Err(Error::Argument(format!(
        "{what} has {width}x{height} pixels, the label map {wide}x{high}: they must be the same"
    )))
}
