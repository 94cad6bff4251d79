//! Checkpoints: files with everything that the next step depends on.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;

use super::critic::Critic;
use super::loss_scale::LossScale;
use super::{Recipe, Trainer};
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::model::{export, import, names, slots};
use crate::nn::Init;
use crate::tensors::{Limits, Tensors};

/// Checkpoints hold both networks, their average and the optimizers' moments, so they are several times as large as a
/// model.
const LIMITS: Limits =
    Limits { max_file: 64 << 30, max_metadata: 16 << 20, max_tensors: 65_536, max_rank: 6, max_name: 512 };

/// Version of the format that is written.
const FORMAT: &str = "2";

/// Names of the loss scales of generator and discriminator.
const SCALES: [&str; 2] = ["scale_g", "scale_d"];

impl Trainer {
    /// Saves everything that the next step depends on. The file is replaced atomically.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; [`Error::Diverged`] if a value is not finite, in which case
    /// nothing is written.
    pub fn save(&self, path: impl AsRef<Path>, classes: &ClassTable) -> Result<()> {
        let mut tensors = Tensors::new();
        store(&self.network, "network.", &mut tensors)?;
        match &self.critic {
            Some(Critic::Patches(network)) => store(network, "discriminator.", &mut tensors)?,
            Some(Critic::Segmentation(network)) => store(network, "discriminator.", &mut tensors)?,
            None => {}
        }
        if let Some(average) = &self.average {
            store(average, "average.", &mut tensors)?;
        }
        self.adam_g.save(&mut tensors, "adam_g.")?;
        if self.critic.is_some() {
            self.adam_d.save(&mut tensors, "adam_d.")?;
        }
        if let Some(scales) = &self.scales {
            for (name, scale) in SCALES.into_iter().zip(scales) {
                tensors.set_metadata(name, scale.to_text());
            }
        }
        tensors.set_metadata("semsynth-checkpoint", FORMAT);
        tensors.set_metadata("step", self.step.to_string());
        tensors.set_metadata("recipe", self.recipe.to_ron_string()?);
        tensors.set_metadata("classes", classes.to_ron_string()?);
        tensors.save_within(path, &LIMITS)
    }

    /// Continues from a checkpoint that [`save`](Self::save) wrote. On the CPU, the next steps equal those of an
    /// uninterrupted run, bit for bit. `change` may alter the recipe (such as its number of steps) but not the
    /// networks.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the checkpoint does not fit its recipe; otherwise same as [`new`](Self::new).
    pub fn resume(
        checkpoint: Checkpoint,
        device: &crate::device::Device,
        change: impl FnOnce(&mut Recipe),
    ) -> Result<Self> {
        let Checkpoint { path, tensors, mut recipe, classes, steps } = checkpoint;
        change(&mut recipe);
        let restored = justified(&recipe, classes.channels(), &tensors)
            .and_then(|()| Self::new(recipe, classes.channels(), device)?.restored(&tensors, steps));
        restored.map_err(|error| error.context(path.display()))
    }

    /// Restores the state from a checkpoint.
    fn restored(mut self, tensors: &Tensors, steps: u64) -> Result<Self> {
        self.step = steps;
        if let Some(scales) = &mut self.scales {
            for (name, scale) in SCALES.into_iter().zip(scales) {
                // A run that had none so far starts with new ones.
                if let Some(text) = tensors.metadata().get(name) {
                    let found = LossScale::from_text(text);
                    *scale = found.ok_or_else(|| Error::Model(format!("{name} is {text:?}: this is no loss scale")))?;
                }
            }
        }
        self.network = restore(self.network, "network.", tensors)?;
        self.critic = match self.critic {
            Some(Critic::Patches(network)) => Some(Critic::Patches(restore(network, "discriminator.", tensors)?)),
            Some(Critic::Segmentation(network)) => {
                Some(Critic::Segmentation(restore(network, "discriminator.", tensors)?))
            }
            None => None,
        };
        self.average = match self.average {
            Some(average) => Some(restore(average, "average.", tensors)?),
            None => None,
        };
        let device = self.plain_device();
        self.adam_g.load(tensors, "adam_g.", &slots(&self.network), &device)?;
        let slots = match &self.critic {
            Some(Critic::Patches(network)) => slots(network),
            Some(Critic::Segmentation(network)) => slots(network),
            None => return Ok(self),
        };
        self.adam_d.load(tensors, "adam_d.", &slots, &device)?;
        Ok(self)
    }
}

/// A checkpoint read from a file. Its recipe tells what the run needs; pass it to [`Trainer::resume`] or
/// [`resume`](super::resume) to continue. It holds both networks, their average and the optimizers' moments.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    tensors: Tensors,
    recipe: Recipe,
    classes: ClassTable,
    steps: u64,
}

impl Checkpoint {
    /// Reads a checkpoint that [`Trainer::save`] wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file does not exist or cannot be read, [`Error::Model`] if it is
    /// not a checkpoint or has another format version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        if !path.exists() {
            let missing = Error::io(&path)(std::io::ErrorKind::NotFound.into());
            return Err(missing.context("there is no checkpoint to resume from"));
        }
        let tensors = Tensors::open_within(&path, &LIMITS)?;
        let (recipe, classes, steps) = header(&tensors).map_err(|error| error.context(path.display()))?;
        Ok(Self { path, tensors, recipe, classes, steps })
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
        self.steps
    }
}

/// The metadata of a checkpoint: recipe, classes, number of completed steps.
fn header(tensors: &Tensors) -> Result<(Recipe, ClassTable, u64)> {
    let format = field(tensors, "semsynth-checkpoint")?;
    if format != FORMAT {
        return Err(Error::Model(format!("the checkpoint has format {format}, this program reads {FORMAT}")));
    }
    let recipe = Recipe::from_ron_str(field(tensors, "recipe")?)?;
    let classes = ClassTable::from_ron_str(field(tensors, "classes")?)?;
    let steps = field(tensors, "step")?.parse().ok().filter(|&steps: &u64| steps < 1 << 48);
    let steps = steps.ok_or_else(|| Error::Model("the checkpoint's step is not a number of steps".into()))?;
    Ok((recipe, classes, steps))
}

/// Rejects a checkpoint whose recipe describes larger networks than the file holds, before they are allocated.
fn justified(recipe: &Recipe, label_channels: usize, tensors: &Tensors) -> Result<()> {
    recipe.validate()?;
    let blank = recipe.architecture(label_channels).init(&mut Init::to_load(&Device::flex()))?;
    for slot in slots(&blank) {
        let name = format!("network.{}", slot.path);
        if tensors.get(&name).is_none_or(|data| data.shape() != slot.shape) {
            return Err(Error::Model(format!("{name} is missing or has not the shape {:?} of the recipe", slot.shape)));
        }
    }
    Ok(())
}

fn field<'a>(tensors: &'a Tensors, key: &str) -> Result<&'a str> {
    let text = tensors.metadata().get(key).map(String::as_str);
    text.ok_or_else(|| Error::Model(format!("this is no semsynth checkpoint: {key:?} is missing")))
}

pub(crate) fn store<M: Module>(module: &M, prefix: &str, tensors: &mut Tensors) -> Result<()> {
    let names = prefixed(module, prefix);
    export(module, &names, |name, shape, values| {
        // Losses are computed before the update of their step: they can be finite when the updated values are not.
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::Diverged(format!(
                "training diverged: {name} holds a value that is not finite; checkpoints from before are kept. A smaller \
                 learning_rate or a larger batch may help"
            )));
        }
        tensors.insert_f32(name, shape, values)
    })
}

pub(crate) fn restore<M: Module>(module: M, prefix: &str, tensors: &Tensors) -> Result<M> {
    let names = prefixed(&module, prefix);
    import(module, tensors, &names)
}

fn prefixed<M: Module>(module: &M, prefix: &str) -> Vec<String> {
    names(&slots(module), |paths| paths.iter().map(|path| format!("{prefix}{path}")).collect::<Vec<_>>())
}
