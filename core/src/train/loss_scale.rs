//! Gradients of 16-bit floats (Micikevicius et al. 2018, §3.2): the loss is multiplied by a number that keeps small gradients within
//! their range, and gradients are divided by it.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::model::read_back;

/// The number that the loss of one network is multiplied by. It is halved when gradients exceed the range of 16-bit floats, and
/// doubled after so many steps in which they did not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LossScale {
    factor: f64,
    /// Steps since the last change.
    steps: u32,
}

impl LossScale {
    /// Steps after which the factor is doubled.
    const PATIENCE: u32 = 2000;
    const MOST: f64 = (1_u64 << 24) as f64;

    /// Where every run starts; the first steps find what fits.
    pub(super) fn new() -> Self {
        Self { factor: f64::from(1 << 16), steps: 0 }
    }

    /// The scaled loss.
    pub(super) fn of(&self, loss: Tensor<1>) -> Tensor<1> {
        loss * self.factor
    }

    /// The gradients of the loss itself, from those of the scaled one. `None` if they exceed what 16-bit floats hold: then the step is
    /// to be left out, and the next has a smaller factor.
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`] if they do not fit without scaling either; [`Error::Device`] if they cannot be read.
    pub(super) fn gradients<M: Module>(
        &mut self,
        module: &M,
        gradients: GradientsParams,
    ) -> Result<Option<GradientsParams>> {
        let mut divided = Divide { gradients, by: self.factor, sums: Vec::new() };
        module.visit(&mut divided);
        let Divide { gradients, sums, .. } = divided;
        // A sum is finite only if all its terms are.
        let fits = sums.is_empty() || read_back(Tensor::cat(sums, 0))?.iter().all(|sum| sum.is_finite());
        if !fits && self.factor <= 1.0 {
            return Err(Error::Diverged(
                "training diverged: gradients exceed 16-bit floats without any loss scale; checkpoints from before are kept. \
                 Train without --mixed, or with a smaller learning_rate"
                    .into(),
            ));
        }
        self.note(fits);
        Ok(fits.then_some(gradients))
    }

    fn note(&mut self, fits: bool) {
        if !fits {
            *self = Self { factor: (self.factor / 2.0).max(1.0), steps: 0 };
        } else if self.steps + 1 < Self::PATIENCE {
            self.steps += 1;
        } else {
            *self = Self { factor: (self.factor * 2.0).min(Self::MOST), steps: 0 };
        }
    }

    /// As text in a checkpoint.
    pub(super) fn to_text(&self) -> String {
        format!("{} {}", self.factor, self.steps)
    }

    /// What [`to_text`](Self::to_text) wrote.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (factor, steps) = text.split_once(' ')?;
        let (factor, steps) = (factor.parse().ok()?, steps.parse().ok()?);
        ((1.0..=Self::MOST).contains(&factor) && steps < Self::PATIENCE).then_some(Self { factor, steps })
    }
}

/// Divides gradients, and adds up the values of each.
struct Divide {
    gradients: GradientsParams,
    by: f64,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Divide {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let gradient = gradient / self.by;
            self.sums.push(gradient.clone().sum());
            self.gradients.register::<D>(param.id, gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::{ConvConfig, Init, Mode};

    #[test]
    fn gradients_are_those_of_the_loss_or_none() {
        let device = Device::flex().autodiff();
        let conv = ConvConfig::new(2, 3, 3).init(&mut Init::random(1, &device));
        let mut scale = LossScale::new();
        let loss = |by: f64| (conv.forward(Tensor::ones([1, 2, 4, 4], &device), Mode::TRAIN) * by).sum();
        let of = |loss: Tensor<1>| GradientsParams::from_grads(loss.backward(), &conv);
        let weight = |gradients: &GradientsParams| {
            read_back(gradients.get::<4>(conv.weight_id()).expect("it has a gradient")).unwrap()
        };
        let expected = of(loss(1.0));
        let found = scale.gradients(&conv, of(scale.of(loss(1.0)))).unwrap().expect("they fit");
        // A power of two changes no digit.
        assert_eq!(weight(&found), weight(&expected));
        assert!(scale.gradients(&conv, of(scale.of(loss(f64::from(f32::MAX))))).unwrap().is_none());
        assert_eq!(scale, LossScale { factor: f64::from(1 << 15), steps: 0 });
        let mut least = LossScale { factor: 1.0, steps: 0 };
        let endless = of(loss(f64::from(f32::MAX)) * f64::from(f32::MAX));
        assert!(matches!(least.gradients(&conv, endless), Err(Error::Diverged(_))));
    }

    #[test]
    fn the_factor_grows_when_all_fits_and_is_kept_in_text() {
        let mut scale = LossScale::new();
        for _ in 1..LossScale::PATIENCE {
            scale.note(true);
        }
        assert_eq!(LossScale::from_text(&scale.to_text()), Some(scale.clone()));
        scale.note(true);
        assert_eq!(scale, LossScale { factor: f64::from(1 << 17), steps: 0 });
        for _ in 0..100 {
            scale.note(false);
        }
        assert_eq!(scale, LossScale { factor: 1.0, steps: 0 });
        for text in ["", "5", "0 0", "inf 3", "64 2000", "64 x"] {
            assert_eq!(LossScale::from_text(text), None, "{text}");
        }
    }
}
