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

/// Cross-entropy of the discriminator on real pictures, for scores that are logits: mean over scales of `mean(ln(1 + exp(-p)))`, halved
/// (Isola et al. 2017, §3.3).
pub fn cross_entropy_real(output: &DiscriminatorOutput) -> Tensor<1> {
    cross_entropy_generator(output) * 0.5
}

/// Cross-entropy of the discriminator on synthesized pictures: mean over scales of `mean(ln(1 + exp(p)))`, halved.
pub fn cross_entropy_fake(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| softplus(p).mean()) * 0.5
}

/// Cross-entropy of the generator: mean over scales of `mean(ln(1 + exp(-p)))`, so that it raises the scores of its pictures.
pub fn cross_entropy_generator(output: &DiscriminatorOutput) -> Tensor<1> {
    mean_over_scales(output, |p| softplus(p.neg()).mean())
}

/// `ln(1 + exp(x))`, also where `exp(x)` is infinite.
fn softplus(x: Tensor<4>) -> Tensor<4> {
    relu(x.clone()) + (x.abs().neg().exp() + 1.0).log()
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

/// Mean and deviation of the photos that torchvision's VGG19 was trained on, by colour, in 0 to 1.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Perceptual loss whose layers count equally (Chen & Koltun 2017, section 3.3): the mean over `relu1_2`, `relu2_2`,
/// `relu3_2`, `relu4_2` and `relu5_2` of the mean absolute difference of features, in proportion to the mean size of the
/// real picture's features. (The paper weighs layers by constants that it sets once for all pictures, to the same end.) The
/// input is normalised as torchvision's VGG19 expects. `vgg` has the layers [`VggTaps::Second`](crate::network::VggTaps);
/// pictures are `[batch, 3, height, width]` in -1 to 1.
pub fn balanced_perceptual(vgg: &Vgg19, fake: Tensor<4>, real: Tensor<4>) -> Tensor<1> {
    let [mean, deviation] =
        IMAGENET.map(|values| Tensor::<1>::from_floats(values, &real.device()).reshape([1, 3, 1, 1]));
    let normalized = |x: Tensor<4>| ((x + 1.0) * 0.5 - mean.clone()) / deviation.clone();
    let (fake, real) = (vgg.forward(normalized(fake)), vgg.forward(normalized(real)));
    let layers = real.len() as f64;
    let terms = fake.into_iter().zip(real).map(|(fake, real)| {
        let real = real.detach();
        let size = real.clone().abs().mean() + 1e-6;
        l1(fake, real) / size
    });
    sum(terms) / layers
}

/// Sizes at which [`pyramid`] compares pictures.
const PYRAMID_LEVELS: usize = 5;

/// Mean absolute difference of pictures at full size, 1/2, 1/4, 1/8 and 1/16, as far as sides can be halved: the mean over
/// sizes. Not in any of the papers; it trains a network that needs no discriminator without VGG19, but leaves textures
/// blurred.
pub fn pyramid(a: Tensor<4>, b: Tensor<4>) -> Tensor<1> {
    let mut difference = a - b;
    let mut terms = vec![difference.clone().abs().mean()];
    while terms.len() < PYRAMID_LEVELS {
        let [batch, channels, height, width] = difference.dims();
        if height % 2 != 0 || width % 2 != 0 {
            break;
        }
        let cells = difference.reshape([batch * channels, height / 2, 2, width / 2, 2]);
        difference = cells.mean_dims(&[2, 4]).reshape([batch, channels, height / 2, width / 2]);
        terms.push(difference.clone().abs().mean());
    }
    let levels = terms.len() as f64;
    sum(terms.into_iter()) / levels
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

    #[test]
    fn cross_entropy_takes_scores_as_logits() {
        let device = burn::tensor::Device::flex();
        let output = |scores: [f32; 2]| [vec![Tensor::<1>::from_floats(scores, &device).reshape([1, 1, 1, 2])]];
        let value = |loss: Tensor<1>| -> f32 { loss.into_scalar() };
        // Probabilities of being real: 3/4 and 1/2.
        let scores = output([3f32.ln(), 0.0]);
        let half = |a: f32, b: f32| -f32::midpoint(a.ln(), b.ln()) / 2.0;
        assert!((value(cross_entropy_real(&scores)) - half(0.75, 0.5)).abs() < 1e-6);
        assert!((value(cross_entropy_fake(&scores)) - half(0.25, 0.5)).abs() < 1e-6);
        // Scores beyond what exp can hold.
        assert!((value(cross_entropy_generator(&output([200.0, -200.0]))) - 100.0).abs() < 1e-4);
    }

    #[test]
    fn a_pyramid_averages_differences_before_their_size() {
        let device = burn::tensor::Device::flex();
        let value = |loss: Tensor<1>| -> f32 { loss.into_scalar() };
        let zeros = Tensor::<4>::zeros([1, 1, 4, 4], &device);
        // A chequered difference: 2 at full size, nothing at 1/2 and 1/4.
        let chequered = Tensor::<2>::from_floats(
            [[2., -2., 2., -2.], [-2., 2., -2., 2.], [2., -2., 2., -2.], [-2., 2., -2., 2.]],
            &device,
        )
        .reshape([1, 1, 4, 4]);
        assert!((value(pyramid(chequered, zeros.clone())) - 2.0 / 3.0).abs() < 1e-6);
        // A constant difference counts at every size: of 4x4 there are three, of 6x4 two.
        assert!((value(pyramid(zeros.clone() + 3.0, zeros)) - 3.0).abs() < 1e-6);
        let odd = Tensor::<4>::zeros([2, 3, 6, 4], &device);
        assert!((value(pyramid(odd.clone() - 1.5, odd)) - 1.5).abs() < 1e-6);
    }
}
