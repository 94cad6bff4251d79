//! Single training steps, and checkpoints between them.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Recipe, Survey};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::eval::ignored_class;
use crate::label::{ClassTable, LabelMap};
use crate::metrics::{EspNet, Scaling};
use crate::model::slots;
use crate::nn::{Init, Mode};
use crate::tensors::Tensors;
use crate::train::{Adam, Batch, restore, store};

/// Version of the checkpoints that are written.
const FORMAT: &str = "1";

/// Key of that version in the metadata.
const KEY: &str = "semsynth-segmenter-checkpoint";

/// A segmentation network, its optimizer and the number of completed steps.
#[derive(Debug)]
pub struct Trainer {
    recipe: Recipe,
    classes: ClassTable,
    ignored: Option<u16>,
    survey: Survey,
    /// Weight of each output in the loss; 0 for outputs that are no class.
    weights: Vec<f32>,
    /// The device with autodiff.
    device: Device,
    network: EspNet,
    adam: Adam,
    step: u64,
}

impl Trainer {
    /// A new network for the classes of a set, which is looked at once to weigh classes and normalise pictures.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the recipe is invalid or the set has more classes than ESPNet takes; [`Error::UnknownName`]
    /// if no class is called as the one to ignore; otherwise those of reading the set.
    pub fn new(recipe: Recipe, set: &dyn Dataset, device: &crate::device::Device) -> Result<Self> {
        recipe.validate()?;
        let ignored = ignored(&recipe, set.classes())?;
        let survey = Survey::of(set, ignored)?;
        Self::with(recipe, set.classes().clone(), survey, device)
    }

    fn with(recipe: Recipe, classes: ClassTable, survey: Survey, device: &crate::device::Device) -> Result<Self> {
        recipe.validate()?;
        let ignored = ignored(&recipe, &classes)?;
        let outputs = EspNet::outputs(&classes, ignored);
        let mut weights = survey.weights();
        weights.resize(outputs, 0.0);
        let device = device.burn().clone().autodiff();
        let scaling = Scaling { mean: survey.mean, deviation: survey.deviation, divisor: 1.0 };
        let network = EspNet::new(&mut Init::random(recipe.seed, &device), outputs, recipe.blocks, scaling);
        let network = network.map_err(|error| Error::Argument(error.to_string()))?.named(classes.clone());
        let adam = Adam::new(0.9, 0.999);
        Ok(Self { recipe, classes, ignored, survey, weights, device, network, adam, step: 0 })
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The classes of the training set.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }

    /// The class whose pixels do not count.
    pub fn ignored(&self) -> Option<u16> {
        self.ignored
    }

    /// What the training set is like.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Number of completed steps.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The network, without gradients.
    pub fn network(&self) -> EspNet {
        self.network.valid()
    }

    /// Does one step, and returns its loss, `[1]`, which is still on the device: the cross-entropy of each pixel with its
    /// class, a mean over the pixels that count, in which rare classes weigh more ([`Survey::weights`]).
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the batch is not of the size of the recipe, [`Error::Labels`] if a label has no output.
    pub fn step(&mut self, batch: &Batch) -> Result<Tensor<1>> {
        let [height, width] = self.recipe.size;
        let expected = 3 * batch.labels.len() * height * width;
        if batch.images.len() != expected || batch.labels.is_empty() {
            let found = batch.images.len();
            return Err(Error::Argument(format!("a batch of {width}x{height} has {expected} values, not {found}")));
        }
        let target = self.target(&batch.labels)?;
        let input = self.network.input(&batch.images, self.recipe.size, &self.device);
        let (scores, _) = self.network.forward(input, Mode::TRAIN);
        let loss = weighted_cross_entropy(scores, target);
        let rate = self.recipe.learning_rate_at(self.step);
        self.network = self.adam.step(self.network.clone(), loss.backward(), rate);
        self.step += 1;
        Ok(loss.inner())
    }

    /// For each pixel the weight of its class at the place of that class, zeros elsewhere: `[batch, outputs, h, w]`.
    fn target(&self, labels: &[LabelMap]) -> Result<Tensor<4>> {
        let ([height, width], outputs) = (self.recipe.size, self.weights.len());
        let plane = height * width;
        let mut values = vec![0.0; labels.len() * outputs * plane];
        for (map, values) in labels.iter().zip(values.chunks_exact_mut(outputs * plane)) {
            if (map.height(), map.width()) != (height, width) {
                let (w, h) = (map.width(), map.height());
                return Err(Error::Argument(format!("a label map has {w}x{h} pixels, not {width}x{height}")));
            }
            for (pixel, id) in map.ids().enumerate().filter(|(_, id)| Some(*id) != self.ignored) {
                let weight = self.weights.get(usize::from(id));
                let weight = weight.ok_or_else(|| Error::Labels(format!("class {id} has no output")))?;
                values[usize::from(id) * plane + pixel] = *weight;
            }
        }
        let shape = [labels.len(), outputs, height, width];
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    /// Saves everything that the next step depends on. The file is replaced atomically.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; [`Error::Diverged`] if a value is not finite, in which case
    /// nothing is written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut tensors = Tensors::new();
        store(&self.network, "network.", &mut tensors)?;
        self.adam.save(&mut tensors, "adam.")?;
        tensors.set_metadata(KEY, FORMAT);
        tensors.set_metadata("step", self.step.to_string());
        tensors.set_metadata("recipe", self.recipe.to_ron_string()?);
        tensors.set_metadata("classes", self.classes.to_ron_string()?);
        let Survey { shares, mean, deviation } = &self.survey;
        tensors.set_metadata("shares", text(shares));
        tensors.set_metadata("mean", text(mean));
        tensors.set_metadata("deviation", text(deviation));
        tensors.save(path)
    }

    /// Continues from a checkpoint. On the CPU, the next steps equal those of an uninterrupted run, bit for bit. `change` may
    /// alter the recipe (such as its number of steps), but not the network.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the checkpoint does not fit its recipe; otherwise same as [`new`](Self::new).
    pub fn resume(
        checkpoint: Checkpoint,
        device: &crate::device::Device,
        change: impl FnOnce(&mut Recipe),
    ) -> Result<Self> {
        let Checkpoint { path, tensors, mut recipe, classes, survey, step } = checkpoint;
        change(&mut recipe);
        let restored = || {
            let mut trainer = Self::with(recipe, classes, survey, device)?;
            trainer.network = restore(trainer.network, "network.", &tensors)?;
            trainer.adam.load(&tensors, "adam.", &slots(&trainer.network), device.burn())?;
            trainer.step = step;
            Ok(trainer)
        };
        restored().map_err(|error: Error| error.context(path.display()))
    }
}

/// A checkpoint read from a file; pass it to [`Trainer::resume`] or [`resume`](super::resume) to continue.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    tensors: Tensors,
    recipe: Recipe,
    classes: ClassTable,
    survey: Survey,
    step: u64,
}

impl Checkpoint {
    /// Reads a checkpoint that [`Trainer::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file does not exist or cannot be read, [`Error::Model`] if it is not a checkpoint of a
    /// segmentation network or has another format version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.exists() {
            let missing = Error::io(&path)(std::io::ErrorKind::NotFound.into());
            return Err(missing.context("there is no checkpoint to resume from"));
        }
        let tensors = Tensors::open(&path)?;
        let header = header(&tensors).map_err(|error| error.context(path.display()));
        let (recipe, classes, survey, step) = header?;
        Ok(Self { path, tensors, recipe, classes, survey, step })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe of the run.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The classes of the run's data.
    pub fn classes(&self) -> &ClassTable {
        &self.classes
    }

    /// Number of completed steps.
    pub fn steps_done(&self) -> u64 {
        self.step
    }
}

fn header(tensors: &Tensors) -> Result<(Recipe, ClassTable, Survey, u64)> {
    let field = |key: &str| {
        let text = tensors.metadata().get(key).map(String::as_str);
        text.ok_or_else(|| Error::Model(format!("this is no checkpoint of a segmentation network: {key:?} is missing")))
    };
    let format = field(KEY)?;
    if format != FORMAT {
        return Err(Error::Model(format!("the checkpoint has format {format}, this program reads {FORMAT}")));
    }
    let recipe = Recipe::from_ron_str(field("recipe")?)?;
    let classes = ClassTable::from_ron_str(field("classes")?)?;
    let wrong = |key: &str| Error::Model(format!("the checkpoint's {key} is malformed"));
    let step = field("step")?.parse().ok().filter(|&step: &u64| step < 1 << 48).ok_or_else(|| wrong("step"))?;
    let numbers = |key| -> Result<Vec<f64>> {
        let values: Option<Vec<f64>> = field(key)?.split(' ').map(|value| value.parse().ok()).collect();
        values.filter(|values| values.iter().all(|value| value.is_finite())).ok_or_else(|| wrong(key))
    };
    let three = |key| -> Result<[f32; 3]> {
        let values: Vec<f32> = numbers(key)?.into_iter().map(|value| value as f32).collect();
        values.try_into().map_err(|_| wrong(key))
    };
    let survey = Survey { shares: numbers("shares")?, mean: three("mean")?, deviation: three("deviation")? };
    if survey.shares.len() != classes.channels() {
        return Err(wrong("shares"));
    }
    Ok((recipe, classes, survey, step))
}

fn text<T: ToString>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn ignored(recipe: &Recipe, classes: &ClassTable) -> Result<Option<u16>> {
    ignored_class(recipe.ignore.as_deref(), Some(classes)).map_err(|error| error.context("ignore"))
}

/// Mean over the pixels of the weight times the cross-entropy, over the mean of the weights. `target` has the weight of a pixel
/// at its class; pixels without any do not count.
fn weighted_cross_entropy(scores: Tensor<4>, target: Tensor<4>) -> Tensor<1> {
    let total = target.clone().sum().clamp_min(1e-6);
    (log_softmax(scores, 1) * target).sum().neg() / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augment, Procedural, Split};
    use crate::train::Sampler;
    use std::sync::Arc;

    fn set() -> Procedural {
        Procedural::new(Split::Train, 3, 6, 40, 40)
    }

    fn recipe() -> Recipe {
        Recipe { size: [32, 32], batch: 3, blocks: [1, 1], steps: 80, learning_rate: 1e-2, ..Recipe::default() }
    }

    fn sampler() -> Sampler {
        let augment = Augment { flip: true, load_scale: 1.25, width: 32, height: 32 };
        Sampler::alone(Arc::new(set()), augment, 3, 0)
    }

    fn steps(trainer: &mut Trainer, until: u64) -> Vec<f32> {
        let mut losses = Vec::new();
        while trainer.steps_done() < until {
            let batch = sampler().batch(trainer.steps_done()).unwrap();
            losses.push(trainer.step(&batch).unwrap().into_scalar::<f32>());
        }
        losses
    }

    fn trainer() -> Trainer {
        Trainer::new(recipe(), &set(), &crate::device::Device::cpu()).unwrap()
    }

    fn scores(network: &EspNet, batch: &Batch) -> Vec<f32> {
        let input = network.input(&batch.images, [32, 32], &Device::flex());
        network.forward(input, Mode::EVAL).0.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn steps_lower_the_loss_and_files_hold_the_network() {
        let mut trainer = trainer();
        let losses = steps(&mut trainer, 80);
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
        let (first, last) = (mean(&losses[..4]), mean(&losses[76..]));
        assert!(first > 1.8 && last < 0.75 * first, "{losses:?}");
        // What a file says is what was trained.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("segmenter.safetensors");
        trainer.network().to_tensors().unwrap().save(&path).unwrap();
        let opened = EspNet::open(&path, &crate::device::Device::cpu()).unwrap();
        assert_eq!((opened.classes(), opened.class_table()), (12, Some(set().classes())));
        let batch = sampler().batch(99).unwrap();
        let (expected, found) = (scores(&trainer.network(), &batch), scores(&opened, &batch));
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-4));
        let spread = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!(spread > 0.5, "scores are near 0: {spread}");
        // The statistics that inference uses follow those of training.
        let input = opened.input(&batch.images, [32, 32], &Device::flex());
        let of_batch: Vec<f32> = opened.forward(input, Mode::TRAIN).0.into_data().try_to_vec().unwrap();
        let off = of_batch.iter().zip(&found).map(|(a, b)| (a - b).abs()).sum::<f32>() / found.len() as f32;
        assert!(off < 0.5 * spread, "{off} {spread}");
        // A picture has the same classes by its planes and by its pixels.
        let picture = set().get(0).unwrap().image;
        let segmented = opened.segment(&picture, &crate::device::Device::cpu()).unwrap();
        assert!(segmented.labels.ids().all(|id| id < 12) && segmented.features.len() == EspNet::FEATURES);
    }

    #[test]
    fn a_resumed_run_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let mut whole = trainer();
        let losses = steps(&mut whole, 7);
        let mut part = trainer();
        steps(&mut part, 4);
        part.save(&path).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!((checkpoint.steps_done(), checkpoint.recipe()), (4, &recipe()));
        let mut part = Trainer::resume(checkpoint, &crate::device::Device::cpu(), |_| ()).unwrap();
        assert_eq!(part.survey(), whole.survey());
        assert_eq!(steps(&mut part, 7), losses[4..]);
        assert_eq!(part.network().to_tensors().unwrap(), whole.network().to_tensors().unwrap());
        // A model, or a network without its optimizer, is no checkpoint.
        whole.network().to_tensors().unwrap().save(&path).unwrap();
        let message = Checkpoint::open(&path).unwrap_err().to_string();
        assert!(message.contains("no checkpoint of a segmentation network"), "{message}");
    }

    /// Two pixels of two classes, one of which counts three times as much, and one pixel that does not count.
    #[test]
    fn the_loss_weighs_classes() {
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 2, 1, 3]), &device);
        let scores = tensor(&[3.0_f32.ln(), 0.0, 9.0, 0.0, 0.0, 0.0]);
        let target = tensor(&[1.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
        let expected = ((4.0_f32 / 3.0).ln() + 3.0 * 2.0_f32.ln()) / 4.0;
        let found: f32 = weighted_cross_entropy(scores.clone(), target).into_scalar();
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        let nothing: f32 = weighted_cross_entropy(scores, tensor(&[0.0; 6])).into_scalar();
        assert!(nothing.abs() < 1e-9);
    }

    #[test]
    fn ignored_pixels_and_few_classes() {
        let recipe = Recipe { ignore: Some("shop".into()), ..recipe() };
        let trainer = Trainer::new(recipe, &set(), &crate::device::Device::cpu()).unwrap();
        // The last class is ignored, so it needs no output.
        assert_eq!((trainer.ignored(), trainer.network().classes()), (Some(11), 11));
        let maps = [LabelMap::filled(32, 32, 11).unwrap()];
        let target: f32 = trainer.target(&maps).unwrap().inner().sum().into_scalar();
        assert!(target == 0.0);
        let recipe = Recipe { ignore: Some("moon".into()), ..super::Recipe::default() };
        let message = Trainer::new(recipe, &set(), &crate::device::Device::cpu()).unwrap_err().to_string();
        assert!(message.contains("moon") && message.contains("window"), "{message}");
        let classes = set().classes().iter().take(2).cloned().collect();
        let two = ClassTable::new(classes).unwrap();
        assert_eq!(EspNet::outputs(&two, None), 5);
    }
}
