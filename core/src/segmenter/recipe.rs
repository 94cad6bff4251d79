//! The settings of a run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::label::ReadOptions;
use crate::train::ProceduralSet;

/// The settings of a training run, kept in its checkpoint as RON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Folder of the training data; `None` for the procedural set `set`.
    pub data: Option<PathBuf>,
    /// Which procedural set to train on, if there is no `data`.
    pub set: ProceduralSet,
    /// Class table of the data, in place of what its folder holds: a file, or the name of a built-in one.
    pub classes: Option<PathBuf>,
    /// How to read the label maps of the data.
    pub labels: ReadOptions,
    /// Class whose pixels do not count, by name or id; `None` for the don't-care class, if there is one.
    pub ignore: Option<String>,
    /// Blocks of ESPNet at a quarter and at an eighth of the size; (2, 8) in the paper.
    pub blocks: [usize; 2],
    /// Height and width of training pictures; multiples of 8, at least 32.
    pub size: [usize; 2],
    /// Pictures per step.
    pub batch: usize,
    /// Number of steps.
    pub steps: u64,
    /// Learning rate of the first step.
    pub learning_rate: f64,
    /// Whether to mirror samples half of the time.
    pub flip: bool,
    /// Samples are resized to 1 to this times `size`, another factor at each step, before the random crop. Procedural ones are
    /// made at the largest of these sizes.
    pub load_scale: f64,
    /// Seed of the initial values, of the order of samples and of their variation.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between records in the log.
    pub log_every: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            data: None,
            set: ProceduralSet::Facades,
            classes: None,
            labels: ReadOptions::default(),
            ignore: None,
            blocks: [2, 8],
            size: [128, 128],
            batch: 8,
            steps: 2000,
            learning_rate: 1e-3,
            flip: true,
            load_scale: 1.25,
            seed: 0,
            checkpoint_every: 250,
            log_every: 10,
        }
    }
}

impl Recipe {
    /// Largest height and width of whole samples before the crop: `load_scale` times `size`.
    pub fn load_size(&self) -> [usize; 2] {
        self.size.map(|side| (side as f64 * self.load_scale).round() as usize)
    }

    /// The learning rate of a step, counted from 0: it falls as `(1 - step / steps)^0.9` (Chen et al., *Rethinking Atrous
    /// Convolution for Semantic Image Segmentation*, 2017, section 4.1).
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        let left = self.steps.saturating_sub(step) as f64 / self.steps.max(1) as f64;
        self.learning_rate * left.powf(0.9)
    }

    /// Reads a recipe from RON.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] with line and reason.
    pub fn from_ron_str(text: &str) -> Result<Self> {
        ron::from_str(text).map_err(|error| Error::Argument(format!("malformed recipe: {error}")))
    }

    /// The recipe as RON, with every field.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it cannot be written as RON.
    pub fn to_ron_string(&self) -> Result<String> {
        ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default())
            .map_err(|error| Error::Argument(format!("the recipe cannot be written: {error}")))
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value and its range.
    pub fn validate(&self) -> Result<()> {
        let check = |fine: bool, message: String| {
            if fine { Ok(()) } else { Err(Error::Argument(format!("recipe: {message}"))) }
        };
        let [height, width] = self.size;
        let side = |side: usize| (32..=8192).contains(&side) && side.is_multiple_of(8);
        check(
            side(height) && side(width),
            format!("size is {width}x{height}: both sides must be multiples of 8, 32 to 8192"),
        )?;
        let [p, q] = self.blocks;
        check(
            (1..=64).contains(&p) && (1..=64).contains(&q),
            format!("blocks are {p} and {q}: each number must be 1 to 64"),
        )?;
        // A norm needs more than one value for its statistics, and pictures of a batch to tell from each other.
        check((2..=4096).contains(&self.batch), format!("batch is {}: it must be 2 to 4096", self.batch))?;
        check(self.steps > 0, "steps is 0".into())?;
        let rate = self.learning_rate;
        check(rate > 0.0 && rate <= 1.0, format!("learning_rate is {rate}: it must be above 0 and at most 1"))?;
        let scale = self.load_scale;
        check((1.0..=16.0).contains(&scale), format!("load_scale is {scale}: it must be 1 to 16"))?;
        for (name, every) in [("checkpoint_every", self.checkpoint_every), ("log_every", self.log_every)] {
            check(every > 0, format!("{name} is 0: it must be 1 or more"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_named() {
        Recipe::default().validate().unwrap();
        for (recipe, name) in [
            (Recipe { size: [100, 128], ..Recipe::default() }, "128x100"),
            (Recipe { blocks: [0, 8], ..Recipe::default() }, "blocks"),
            (Recipe { batch: 1, ..Recipe::default() }, "batch"),
            (Recipe { steps: 0, ..Recipe::default() }, "steps"),
            (Recipe { learning_rate: f64::NAN, ..Recipe::default() }, "learning_rate"),
            (Recipe { load_scale: 0.5, ..Recipe::default() }, "load_scale"),
            (Recipe { log_every: 0, ..Recipe::default() }, "log_every"),
        ] {
            let message = recipe.validate().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn ron_round_trip_and_falling_rates() {
        let recipe = Recipe { ignore: Some("sky".into()), steps: 10, learning_rate: 0.5, ..Recipe::default() };
        assert_eq!(Recipe::from_ron_str(&recipe.to_ron_string().unwrap()).unwrap(), recipe);
        let rates: Vec<f64> = (0..=10).map(|step| recipe.learning_rate_at(step)).collect();
        assert!(rates.windows(2).all(|pair| pair[0] > pair[1]), "{rates:?}");
        assert!((rates[0] - 0.5).abs() < 1e-12 && rates[10].abs() < 1e-12);
    }
}
