//! The losses of generator and discriminator. Every loss is a tensor with one value, `[1]`.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;

use crate::network::{Posterior, Vgg19};

/// Kullback-Leibler divergence of the distributions of latent vectors from the standard normal distribution, summed
/// over vectors and pictures as in the papers' code: `-1/2 sum(1 + log_variance - mean^2 - exp(log_variance))`
/// (Kingma & Welling 2014).
pub fn kl_divergence(posterior: &Posterior) -> Tensor<1> {
    let Posterior { mean, log_variance } = posterior;
    let terms = log_variance.clone() + 1.0 - mean.clone().square() - log_variance.clone().exp();
    terms.sum() * -0.5
}

/// The output of a discriminator: for each scale the output of every layer, with the scores of the patches last.
pub type DiscriminatorOutput = [Vec<Tensor<4>>];

/// Weights of VGG19's five feature maps, from shallow to deep (Park et al. 2019, appendix A).
const VGG_WEIGHTS: [f64; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];

/// Hinge loss of the discriminator on real pictures: mean over scales of `mean(max(0, 1 - p))`.
pub fn hinge_real(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| relu(p.neg() + 1.0).mean())
}

/// Hinge loss of the discriminator on synthesized pictures: mean over scales of `mean(max(0, 1 + p))`.
pub fn hinge_fake(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| relu(p + 1.0).mean())
}

/// Adversarial loss of the generator: mean over scales of `-mean(p)`.
pub fn hinge_generator(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| p.mean().neg())
}

/// Least-squares loss of the discriminator on real pictures: mean over scales of `mean((p - 1)^2)`, halved (Mao et al. 2017).
pub fn least_squares_real(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| (p - 1.0).square().mean()) * 0.5
}

/// Least-squares loss of the discriminator on synthesized pictures: mean over scales of `mean(p^2)`, halved.
pub fn least_squares_fake(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| p.square().mean()) * 0.5
}

/// Least-squares loss of the generator: mean over scales of `mean((p - 1)^2)`.
pub fn least_squares_generator(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| (p - 1.0).square().mean())
}

/// Mean absolute difference of the discriminator's features (all layers but the scores), summed over layers and
/// averaged over scales. No gradient flows into the features of the real picture.
pub fn feature_matching(fake: &DiscriminatorOutput, real: &DiscriminatorOutput) -> Tensor<1> {
    let scales = fake.len() as f64;
    let pairs = fake.iter().zip(real).flat_map(|(fake, real)| {
        let features = fake.len().saturating_sub(1);
        fake.iter().zip(real).take(features)
    });
    sum(pairs.map(|(fake, real)| l1(fake.clone(), real.clone().detach()))) / scales
}

/// Perceptual loss (Johnson et al. 2016, with the layers and weights of Wang et al. 2018): weighted mean absolute
/// difference of VGG19's features. Pictures are `[batch, 3, height, width]` in -1 to 1.
pub fn perceptual(vgg: &Vgg19, fake: Tensor<4>, real: Tensor<4>) -> Tensor<1> {
    let fake = vgg.forward(fake);
    let real = vgg.forward(real);
    let terms = fake.into_iter().zip(real).zip(VGG_WEIGHTS);
    sum(terms.map(|((fake, real), weight)| l1(fake, real.detach()) * weight))
}

/// Mean absolute difference.
pub fn l1(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    (a - b).abs().mean()
}

/// Mean absolute difference of pictures whose cells of 8x8 pixels are averaged: colours must be right, but detail is
/// free. Sides are multiples of 8.
pub fn coarse_l1(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    const CELL: usize = 8;
    let [batch, channels, height, width] = a.dims();
    let cells = (a - b).reshape([batch * channels, height / CELL, CELL, width / CELL, CELL]);
    cells.mean_dims(&[2, 4]).abs().mean()
}

fn mean_over_scales(output: &DiscriminatorOutput, loss: impl Fn(Tensor<4>) -> Tensor<1>) -> Tensor<1> {
    let terms = output.iter().filter_map(|features| features.last()).map(|p| loss(p.clone()));
    sum(terms) / output.len() as f64
}

/// Sums terms; the networks ensure that there is at least one.
fn sum(terms: impl Iterator<Item = Tensor<1>>) -> Tensor<1> {
    terms.reduce(|a, b| a + b).expect("a discriminator has at least one scale and VGG has five taps")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_pull_scores_to_one_and_to_zero() {
        let device = burn::tensor::Device::flex();
        let scores = |values: [[f32; 2]; 1]| Tensor::<2>::from_floats(values, &device).reshape([1, 1, 1, 2]);
        // Two scales, of which only the last output counts.
        let output = [vec![scores([[9.0, 9.0]]), scores([[3.0, 1.0]])], vec![scores([[0.0, -1.0]])]];
        let value = |loss: Tensor<1>| -> f32 { loss.into_scalar() };
        // Means of the scales: of (p - 1)^2 they are 2 and 2.5, of p^2 5 and 0.5.
        assert!((value(least_squares_generator(&output)) - 2.25).abs() < 1e-6);
        assert!((value(least_squares_real(&output)) - 1.125).abs() < 1e-6);
        assert!((value(least_squares_fake(&output)) - 1.375).abs() < 1e-6);
    }
}
