//! A training run on disk: everything that the next step depends on.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;

use super::{Recipe, Trainer};
use crate::error::{Error, Result};
use crate::label::ClassTable;
use crate::model::{export, import, names, slots};
use crate::nn::Init;
use crate::tensors::{Limits, Tensors};

/// Checkpoints hold both networks, their average and the optimizers' moments: several times a model.
const LIMITS: Limits =
    Limits { max_file: 64 << 30, max_metadata: 16 << 20, max_tensors: 65_536, max_rank: 6, max_name: 512 };

/// The format written.
const FORMAT: &str = "2";

impl Trainer {
    /// Writes everything that the next step depends on; a crash never leaves half a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be written; [`Error::Diverged`] if a value is not finite, and then nothing is
    /// written.
    pub fn save(&self, path: impl AsRef<Path>, classes: &ClassTable) -> Result<()> {
        let mut tensors = Tensors::new();
        store(&self.network, "network.", &mut tensors)?;
        store(&self.discriminator, "discriminator.", &mut tensors)?;
        if let Some(average) = &self.average {
            store(average, "average.", &mut tensors)?;
        }
        self.adam_g.save(&mut tensors, "adam_g.")?;
        self.adam_d.save(&mut tensors, "adam_d.")?;
        tensors.set_metadata("semsynth-checkpoint", FORMAT);
        tensors.set_metadata("step", self.step.to_string());
        tensors.set_metadata("recipe", self.recipe.to_ron_string()?);
        tensors.set_metadata("classes", classes.to_ron_string()?);
        tensors.save_within(path, &LIMITS)
    }

    /// Goes on where [`save`](Self::save) left off. On the CPU the next steps are those of an uninterrupted run, bit for
    /// bit. `change` may alter the recipe (its number of steps, say) but not the networks.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, [`Error::Model`] if it is no checkpoint or does not fit.
    pub fn resume(
        path: impl AsRef<Path>,
        device: &crate::device::Device,
        change: impl FnOnce(&mut Recipe),
    ) -> Result<(Self, ClassTable)> {
        let path = path.as_ref();
        let tensors = Tensors::open_within(path, &LIMITS)?;
        Self::from_tensors(&tensors, device, change).map_err(|error| error.context(path.display()))
    }

    fn from_tensors(
        tensors: &Tensors,
        device: &crate::device::Device,
        change: impl FnOnce(&mut Recipe),
    ) -> Result<(Self, ClassTable)> {
        let format = field(tensors, "semsynth-checkpoint")?;
        if format != FORMAT {
            return Err(Error::Model(format!("the checkpoint has format {format}, this program reads {FORMAT}")));
        }
        let mut recipe = Recipe::from_ron_str(field(tensors, "recipe")?)?;
        change(&mut recipe);
        let classes = ClassTable::from_ron_str(field(tensors, "classes")?)?;
        let step = field(tensors, "step")?;
        let step = step.parse().ok().filter(|&step: &u64| step < 1 << 48);
        let step = step.ok_or_else(|| Error::Model("the checkpoint's step is not a number of steps".into()))?;
        justified(&recipe, classes.channels(), tensors)?;
        let mut trainer = Self::new(recipe, classes.channels(), device)?;
        trainer.step = step;
        trainer.network = restore(trainer.network, "network.", tensors)?;
        trainer.discriminator = restore(trainer.discriminator, "discriminator.", tensors)?;
        trainer.average = match trainer.average {
            Some(average) => Some(restore(average, "average.", tensors)?),
            None => None,
        };
        let plain = trainer.plain_device();
        trainer.adam_g.load(tensors, "adam_g.", &slots(&trainer.network), &plain)?;
        trainer.adam_d.load(tensors, "adam_d.", &slots(&trainer.discriminator), &plain)?;
        Ok((trainer, classes))
    }
}

/// The recipe of the run whose checkpoint this is.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read, [`Error::Model`] if it is no checkpoint.
pub fn stored_recipe(path: impl AsRef<Path>) -> Result<Recipe> {
    let tensors = Tensors::open_within(&path, &LIMITS)?;
    let recipe = field(&tensors, "recipe").and_then(Recipe::from_ron_str);
    recipe.map_err(|error| error.context(path.as_ref().display()))
}

/// Refuses a checkpoint whose recipe claims networks larger than the file holds, before they are made.
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

fn store<M: Module>(module: &M, prefix: &str, tensors: &mut Tensors) -> Result<()> {
    let names = prefixed(module, prefix);
    export(module, &names, |name, shape, values| {
        // A step's losses are those before its update: they can be fine while the update was not.
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::Diverged(format!(
                "training diverged: {name} holds a value that is not finite; checkpoints from before are kept. A smaller \
                 learning_rate or a larger batch may help"
            )));
        }
        tensors.insert_f32(name, shape, values)
    })
}

fn restore<M: Module>(module: M, prefix: &str, tensors: &Tensors) -> Result<M> {
    let names = prefixed(&module, prefix);
    import(module, tensors, &names)
}

fn prefixed<M: Module>(module: &M, prefix: &str) -> Vec<String> {
    names(&slots(module), |paths| paths.iter().map(|path| format!("{prefix}{path}")).collect::<Vec<_>>())
}
