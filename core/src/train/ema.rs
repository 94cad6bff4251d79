//! An exponential moving average of a network's parameters (Karras et al. 2018; Sushko et al. 2021 for this family).

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::nn::ops;

/// Moves `average` towards `current`: parameters by a share of `1 - decay`; state that is not trained is copied.
///
/// `current` is the network in training; `average` was made from it by [`Module::valid`].
pub(crate) fn follow<M: Module>(average: M, current: &M, decay: f64) -> M {
    let mut values = Collect::default();
    current.visit(&mut values);
    average.map(&mut Blend { values: values.0.into_iter(), decay })
}

/// The decay at a step. It is small early on, so that random initial values are forgotten.
pub(crate) fn warm_decay(decay: f64, step: u64) -> f64 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64))
}

#[derive(Default)]
struct Collect(Vec<(Tensor<1>, bool)>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let trained = value.is_require_grad();
        let count = value.shape().num_elements();
        self.0.push((value.inner().reshape([count]), trained));
    }
}

struct Blend {
    values: std::vec::IntoIter<(Tensor<1>, bool)>,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Both networks have the same type and shape, so they are visited in the same order.
        let Some((value, trained)) = self.values.next() else { return param };
        let (id, old, mapper) = param.consume();
        let shape = old.shape();
        if trained && ops::apply_to(&old) {
            let (decay, flat) = (self.decay as f32, old.reshape([shape.num_elements()]));
            let [new] = ops::update([flat], [value], move |[old], [value]| {
                for (old, value) in old.iter_mut().zip(value) {
                    *old = *old * decay + *value * (1.0 - decay);
                }
            });
            return Param::from_mapped_value(id, new.reshape(shape), mapper);
        }
        let value = value.reshape(shape);
        let new = if trained { old * self.decay + value * (1.0 - self.decay) } else { value };
        Param::from_mapped_value(id, new, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn early_steps_forget_quickly() {
        assert!(warm_decay(0.999, 0) < 0.2);
        assert!((warm_decay(0.999, 1_000_000) - 0.999).abs() < 1e-12);
    }

    #[derive(Module, Debug)]
    struct Pair {
        trained: Param<Tensor<1>>,
        state: crate::nn::Buffer<1>,
    }

    #[test]
    fn parameters_are_averaged_and_state_is_copied() {
        let device = Device::flex().autodiff();
        let filled = |value: f32| Tensor::<1>::full([3], value, &device);
        let old = Pair { trained: Param::from_tensor(filled(1.0)), state: crate::nn::Buffer::new(filled(1.0)) };
        let average = old.valid();
        let new = Pair { trained: Param::from_tensor(filled(3.0)), state: crate::nn::Buffer::new(filled(3.0)) };
        let average = follow(average, &new, 0.75);
        let first = |tensor: Tensor<1>| tensor.into_data().try_to_vec::<f32>().unwrap()[0];
        assert!((first(average.trained.val()) - 1.5).abs() < 1e-6);
        assert!((first(average.state.get()) - 3.0).abs() < 1e-6);
        assert!((first(old.state.get().inner()) - 1.0).abs() < 1e-6, "the original must not change");
    }
}
