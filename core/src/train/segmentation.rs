//! The losses of the segmentation discriminator (Schönfeld, Sushko et al., "You Only Need Adversarial Supervision for Semantic
//! Image Synthesis", 2021, sections 3.1 and 3.2). Scores are `[batch, classes + 1, height, width]`, labels are one-hot maps
//! `[batch, classes, height, width]`; every loss is a tensor with one value, `[1]`. Pixels without any label do not count.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use crate::rng::Rng;

/// Cross-entropy of each pixel with its class, balanced: a class weighs as much as it is rare in the batch. It is the sum over
/// the classes that occur of the mean over their pixels. The loss of the discriminator for real pictures, and of the
/// generator for its own.
pub fn segment_real(scores: Tensor<4>, labels: &Tensor<4>) -> Tensor<1> {
    balanced(scores, labels, pixels_of_classes(labels))
}

/// The number of pixels of each class, `[1, classes, 1, 1]`.
pub(super) fn pixels_of_classes(labels: &Tensor<4>) -> Tensor<4> {
    labels.clone().sum_dims(&[0, 2, 3])
}

/// What the pictures here add to [`segment_real`] of a batch, given the number of pixels that each class has in the whole.
pub(super) fn balanced(scores: Tensor<4>, labels: &Tensor<4>, pixels_of_class: Tensor<4>) -> Tensor<1> {
    let [_, classes, _, _] = labels.dims();
    let weights = pixels_of_class.clamp_min(1.0).recip();
    let logarithms = log_softmax(scores, 1).narrow(1, 0, classes);
    (logarithms * labels.clone() * weights).sum().neg()
}

/// Mean cross-entropy of each pixel with "synthesized": the loss of the discriminator for the generator's pictures.
pub fn segment_fake(scores: Tensor<4>) -> Tensor<1> {
    let [_, channels, _, _] = scores.dims();
    log_softmax(scores, 1).narrow(1, channels - 1, 1).mean().neg()
}

/// `LabelMix`: which classes of which picture come from the real one.
#[derive(Clone, Debug)]
pub struct LabelMix {
    /// `[batch, 1, height, width]`, 1 where a pixel is real.
    mask: Tensor<4>,
}

impl LabelMix {
    /// Draws a choice for each class of each picture. The same seed always draws the same.
    pub fn draw(seed: u64, labels: &Tensor<4>) -> Self {
        Self::draw_from(0, seed, labels)
    }

    /// The same for pictures from number `first` on of a batch.
    pub(super) fn draw_from(first: usize, seed: u64, labels: &Tensor<4>) -> Self {
        let [batch, classes, _, _] = labels.dims();
        let mut random = Rng::new(seed);
        let drawn = (0..(first + batch) * classes).map(|_| (random.next_u64() >> 63) as f32);
        let choices: Vec<f32> = drawn.skip(first * classes).collect();
        let choices = Tensor::from_data(TensorData::new(choices, [batch, classes, 1, 1]), &labels.device());
        Self { mask: (labels.clone() * choices).sum_dim(1) }
    }

    /// `real` where the mask is 1, `fake` elsewhere: of pictures or of scores.
    pub fn mixed(&self, real: Tensor<4>, fake: Tensor<4>) -> Tensor<4> {
        fake.clone() + (real - fake) * self.mask.clone()
    }

    /// Mean square of what the scores of a mixed picture differ from the mixed scores: the discriminator must judge each
    /// class by its own pixels.
    pub fn consistency(&self, of_mixed: Tensor<4>, real: Tensor<4>, fake: Tensor<4>) -> Tensor<1> {
        (of_mixed - self.mixed(real, fake)).square().mean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn tensor(values: &[f32], shape: [usize; 4], device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
    }

    fn value(loss: Tensor<1>) -> f32 {
        loss.into_scalar()
    }

    /// Two classes and "synthesized" on a picture of 4x1: class 0 three times, class 1 once.
    #[test]
    fn classes_are_balanced() {
        let device = Device::flex();
        let labels = tensor(&[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0], [1, 2, 1, 4], &device);
        let ln = f32::ln;
        // Probabilities 1/2, 1/4, 1/4 at the first pixel and 1/4, 1/4, 1/2 at the others.
        let scores = [ln(2.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ln(2.0), ln(2.0), ln(2.0)];
        let scores = tensor(&scores, [1, 3, 1, 4], &device);
        // Class 0: the mean of ln 2, ln 4, ln 4. Class 1: ln 4.
        let expected = (ln(2.0) + 2.0 * ln(4.0)) / 3.0 + ln(4.0);
        assert!((value(segment_real(scores.clone(), &labels)) - expected).abs() < 1e-6);
        // "Synthesized" has 1/4, then 1/2.
        let expected = (ln(4.0) + 3.0 * ln(2.0)) / 4.0;
        assert!((value(segment_fake(scores.clone())) - expected).abs() < 1e-6);
        // Pixels without a label and classes without pixels add nothing.
        let few = tensor(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [1, 2, 1, 4], &device);
        assert!((value(segment_real(scores, &few)) - ln(2.0)).abs() < 1e-6);
    }

    #[test]
    fn a_mix_takes_whole_classes() {
        let device = Device::flex();
        let labels = tensor(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], [1, 2, 2, 2], &device);
        let (real, fake) = (tensor(&[5.0; 4], [1, 1, 2, 2], &device), tensor(&[1.0; 4], [1, 1, 2, 2], &device));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let mix = LabelMix::draw(seed, &labels);
            let mixed: Vec<f32> = mix.mixed(real.clone(), fake.clone()).into_data().try_to_vec().unwrap();
            assert!(mixed[0].to_bits() == mixed[1].to_bits() && mixed[2].to_bits() == mixed[3].to_bits());
            seen.insert([mixed[0] as u32, mixed[2] as u32]);
            // Scores that agree cost nothing; one that is 2 off in each of four pixels costs 4.
            let right = mix.mixed(real.clone(), fake.clone());
            assert!(value(mix.consistency(right.clone(), real.clone(), fake.clone())).abs() < 1e-9);
            assert!((value(mix.consistency(right + 2.0, real.clone(), fake.clone())) - 4.0).abs() < 1e-5);
        }
        assert_eq!(seen.len(), 4, "every choice is drawn");
    }

    #[test]
    fn gradients_pull_scores_to_the_class() {
        let device = Device::flex().autodiff();
        let labels = tensor(&[1.0, 0.0, 0.0, 1.0], [1, 2, 1, 2], &device);
        let scores = tensor(&[0.0; 6], [1, 3, 1, 2], &device).require_grad();
        let gradients = segment_real(scores.clone(), &labels).backward();
        let found: Vec<f32> = scores.grad(&gradients).unwrap().into_data().try_to_vec().unwrap();
        // Softmax minus one-hot, for one pixel of each class.
        let third = 1.0 / 3.0;
        for (found, expected) in found.iter().zip([third - 1.0, third, third, third - 1.0, third, third]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
