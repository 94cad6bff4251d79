//! Adam (Kingma & Ba 2015) whose state is saved by parameter name.
//!
//! Burn's optimizer restores its state onto `Device::default()`, whatever the device of the module, and identifies
//! parameters by ids that a model file does not store. Exact resume needs its own implementation.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::model::Slot;
use crate::nn::ops;
use crate::tensors::Tensors;

/// Added to the denominator, as in `PyTorch`.
const EPSILON: f64 = 1e-8;

/// The optimizer of one network.
#[derive(Clone, Debug)]
pub struct Adam {
    beta_1: f64,
    beta_2: f64,
    steps: u64,
    /// By the path of the parameter; tensors are flat.
    moments: BTreeMap<String, Moments>,
}

#[derive(Clone, Debug)]
struct Moments {
    /// `None` if `beta_1` is 0: then the first moment is the gradient.
    first: Option<Tensor<1>>,
    second: Tensor<1>,
}

impl Adam {
    /// An optimizer with empty state.
    pub fn new(beta_1: f64, beta_2: f64) -> Self {
        Self { beta_1, beta_2, steps: 0, moments: BTreeMap::new() }
    }

    /// Takes the gradients of `module`'s parameters out of `gradients` and updates the parameters.
    pub fn step<M: Module>(&mut self, module: M, gradients: Gradients, learning_rate: f64) -> M {
        let gradients = GradientsParams::from_grads(gradients, &module);
        self.step_with(module, gradients, learning_rate)
    }

    /// Updates the parameters with gradients that were taken out already, perhaps summed over several batches.
    pub fn step_with<M: Module>(&mut self, module: M, gradients: GradientsParams, learning_rate: f64) -> M {
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let correction_1 = 1.0 - self.beta_1.powi(steps);
        let correction_2 = 1.0 - self.beta_2.powi(steps);
        let scale = learning_rate / correction_1;
        module.map(&mut Step { adam: self, gradients, path: Vec::new(), scale, correction_2: correction_2.sqrt() })
    }

    /// Adds the state to `tensors`, with names that start with `prefix`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the state cannot be read back.
    pub(crate) fn save(&self, tensors: &mut Tensors, prefix: &str) -> Result<()> {
        for (path, moments) in &self.moments {
            for (leaf, tensor) in [("m", moments.first.as_ref()), ("v", Some(&moments.second))] {
                if let Some(tensor) = tensor {
                    let values = crate::model::read_back(tensor.clone())?;
                    tensors.insert_f32(format!("{prefix}{path}.{leaf}"), vec![values.len()], values)?;
                }
            }
        }
        tensors.set_metadata(format!("{prefix}steps"), self.steps.to_string());
        Ok(())
    }

    /// Restores the state that [`save`](Self::save) wrote, for the parameters in `slots`.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] if the step count is missing, or a moment is malformed or does not fit its parameter.
    pub(crate) fn load(&mut self, tensors: &Tensors, prefix: &str, slots: &[Slot], device: &Device) -> Result<()> {
        let steps = tensors.metadata().get(&format!("{prefix}steps")).and_then(|text| text.parse().ok());
        self.steps = steps.ok_or_else(|| Error::Model(format!("the checkpoint lacks {prefix}steps")))?;
        self.moments.clear();
        let fetch = |slot: &Slot, leaf: &str| {
            let name = format!("{prefix}{}.{leaf}", slot.path);
            let Some(data) = tensors.get(&name) else { return Ok(None) };
            let (values, count) = (data.to_f32(), slot.shape.iter().product::<usize>());
            // A second moment may be infinite: the square of the gradient was too large for a 32-bit float.
            if values.len() != count || values.iter().any(|value| value.is_nan()) {
                return Err(Error::Model(format!("{name} does not hold the {count} values of its parameter")));
            }
            Ok(Some(Tensor::from_data(TensorData::new(values, [count]), device)))
        };
        for slot in slots {
            let first = fetch(slot, "m")?;
            // Parameters without any gradient so far have no moments; a first moment without a second one is an
            // error.
            match fetch(slot, "v")? {
                Some(second) if self.beta_1 == 0.0 || first.is_some() => {
                    self.moments.insert(slot.path.clone(), Moments { first, second });
                }
                None if first.is_none() => {}
                _ => return Err(Error::Model(format!("{prefix}{} lacks one of its moments", slot.path))),
            }
        }
        let known = |name: &str| {
            slots
                .iter()
                .any(|slot| name.strip_prefix(slot.path.as_str()).is_some_and(|rest| rest == ".m" || rest == ".v"))
        };
        match tensors.names().filter_map(|name| name.strip_prefix(prefix)).find(|name| !known(name)) {
            Some(name) => Err(Error::Model(format!("{prefix}{name} belongs to no parameter"))),
            None if self.steps > 0 && self.moments.is_empty() => {
                Err(Error::Model(format!("the checkpoint lacks the moments {prefix}*")))
            }
            None => Ok(()),
        }
    }
}

/// One step over all parameters of a module.
struct Step<'a> {
    adam: &'a mut Adam,
    gradients: GradientsParams,
    path: Vec<String>,
    scale: f64,
    correction_2: f64,
}

impl Step<'_> {
    /// On the CPU: the whole update in one pass through memory.
    fn fused(&self, value: Tensor<1>, gradient: Tensor<1>, old: Option<Moments>) -> (Tensor<1>, Moments) {
        let (beta_1, beta_2) = (self.adam.beta_1 as f32, self.adam.beta_2 as f32);
        let (scale, correction_2) = (self.scale as f32, self.correction_2 as f32);
        // Capture by value: the compiler must assume that a store changes what a reference points to, and does not
        // vectorise.
        let blend = |old: &mut f32, new: f32, beta: f32| {
            *old = beta * *old + (1.0 - beta) * new;
            *old
        };
        let way = move |first: f32, second: f32| scale * first / (second.sqrt() / correction_2 + EPSILON as f32);
        let none = || Tensor::zeros_like(&gradient);
        let (first, second) = old.map_or_else(|| (None, none()), |old| (old.first, old.second));
        if beta_1 == 0.0 {
            let [value, second] = ops::update([value, second], [gradient], move |[value, second], [gradient]| {
                for ((value, &gradient), second) in value.iter_mut().zip(gradient).zip(second) {
                    *value -= way(gradient, blend(second, gradient * gradient, beta_2));
                }
            });
            return (value, Moments { first: None, second });
        }
        let first = first.unwrap_or_else(none);
        let [value, first, second] =
            ops::update([value, first, second], [gradient], move |[value, first, second], [gradient]| {
                let moments = first.iter_mut().zip(second);
                for ((value, &gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
                    let first = blend(first, gradient, beta_1);
                    *value -= way(first, blend(second, gradient * gradient, beta_2));
                }
            });
        (value, Moments { first: Some(first), second })
    }
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, value, mapper);
        };
        let shape = gradient.shape();
        let gradient: Tensor<1> = gradient.reshape([shape.num_elements()]);
        let (beta_1, beta_2) = (self.adam.beta_1, self.adam.beta_2);
        let old = self.adam.moments.remove(&self.path.join("."));
        if ops::apply_to(&gradient) {
            let flat = value.inner().reshape([shape.num_elements()]);
            let (value, moments) = self.fused(flat, gradient, old);
            self.adam.moments.insert(self.path.join("."), moments);
            return Param::from_mapped_value(id, Tensor::from_inner(value.reshape(shape)).require_grad(), mapper);
        }
        let second = gradient.clone().square() * (1.0 - beta_2);
        let second = match &old {
            Some(old) => old.second.clone() * beta_2 + second,
            None => second,
        };
        let first = if beta_1 > 0.0 {
            let fresh = gradient * (1.0 - beta_1);
            match old.and_then(|old| old.first) {
                Some(old) => old * beta_1 + fresh,
                None => fresh,
            }
        } else {
            gradient
        };
        let update = first.clone() * self.scale / (second.clone().sqrt() / self.correction_2 + EPSILON);
        let moments = Moments { first: (beta_1 > 0.0).then_some(first), second };
        self.adam.moments.insert(self.path.join("."), moments);
        let value = Tensor::from_inner(value.inner() - update.reshape(shape)).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Module, Debug)]
    struct Line {
        weight: Param<Tensor<1>>,
    }

    /// Three steps computed by hand, with and without a first moment, on more values than one piece of work holds.
    #[test]
    fn follows_the_definition() {
        let device = Device::flex().autodiff();
        let start: Vec<f64> = (0..40_000).map(|i| f64::from(i % 17) / 4.0 - 2.1).collect();
        for (beta_1, beta_2) in [(0.0, 0.9), (0.5, 0.999)] {
            let values: Vec<f32> = start.iter().map(|&value| value as f32).collect();
            let values = Tensor::from_data(TensorData::new(values, [start.len()]), &device);
            let mut line = Line { weight: Param::from_tensor(values) };
            let mut adam = Adam::new(beta_1, beta_2);
            let mut expected = start.clone();
            let mut moments = vec![[0.0f64; 2]; start.len()];
            for step in 1..=3 {
                let loss = line.weight.val().square().sum();
                line = adam.step(line, loss.backward(), 0.1);
                for (value, [first, second]) in expected.iter_mut().zip(&mut moments) {
                    let gradient = 2.0 * *value;
                    *first = beta_1 * *first + (1.0 - beta_1) * gradient;
                    *second = beta_2 * *second + (1.0 - beta_2) * gradient * gradient;
                    let corrected = [*first / (1.0 - beta_1.powi(step)), *second / (1.0 - beta_2.powi(step))];
                    *value -= 0.1 * corrected[0] / (corrected[1].sqrt() + 1e-8);
                }
                let found: Vec<f32> = line.weight.val().inner().into_data().try_to_vec().unwrap();
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} {expected}");
                }
            }
        }
    }
}
