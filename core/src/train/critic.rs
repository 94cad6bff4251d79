//! What the generator is trained against.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};

use super::loss_scale::LossScale;
use super::sums::sum_gradients;
use super::{Adam, DiffAugment, Group};
use crate::error::Result;
use crate::network::{Discriminator, DiscriminatorConfig, DiscriminatorKind, SegmentationDiscriminator};
use crate::nn::{Init, Layout};

/// One of the discriminators. Paths of their parameters in checkpoints do not tell which.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a trainer has one")]
pub(super) enum Critic {
    /// It rates patches, given the label map.
    Patches(Discriminator),
    /// It tells the class of each pixel.
    Segmentation(SegmentationDiscriminator),
}

impl Critic {
    /// Makes one for pictures of `size` with `classes` label channels, or `semantics` with edges.
    pub(super) fn new(
        config: &DiscriminatorConfig,
        init: &mut Init,
        [classes, semantics]: [usize; 2],
        size: [usize; 2],
    ) -> Self {
        match config.kind {
            DiscriminatorKind::Patches => Self::Patches(config.init(init, semantics + 3)),
            DiscriminatorKind::Segmentation => {
                Self::Segmentation(SegmentationDiscriminator::new(init, config.ndf, classes, size))
            }
        }
    }

    /// A copy whose own gradients are not computed. It shares the vectors of the power iteration.
    pub(super) fn frozen(&self) -> Self {
        match self {
            Self::Patches(network) => Self::Patches(network.clone().no_grad()),
            Self::Segmentation(network) => Self::Segmentation(network.clone().no_grad()),
        }
    }

    pub(super) fn gradients(&self, gradients: Gradients) -> GradientsParams {
        match self {
            Self::Patches(network) => GradientsParams::from_grads(gradients, network),
            Self::Segmentation(network) => GradientsParams::from_grads(gradients, network),
        }
    }

    /// One step of the optimizer.
    pub(super) fn stepped(self, adam: &mut Adam, gradients: GradientsParams, rate: f64) -> Self {
        match self {
            Self::Patches(network) => Self::Patches(adam.step_with(network, gradients, rate)),
            Self::Segmentation(network) => Self::Segmentation(adam.step_with(network, gradients, rate)),
        }
    }

    /// The sums of the gradients over all processes.
    pub(super) fn sum(&self, group: &Group, mine: GradientsParams) -> Result<GradientsParams> {
        match self {
            Self::Patches(network) => sum_gradients(group, network, mine),
            Self::Segmentation(network) => sum_gradients(group, network, mine),
        }
    }

    /// The gradients of the loss, from those of the scaled one; `None` to leave the step out.
    pub(super) fn unscaled(&self, scale: &mut LossScale, scaled: GradientsParams) -> Result<Option<GradientsParams>> {
        match self {
            Self::Patches(network) => scale.gradients(network, scaled),
            Self::Segmentation(network) => scale.gradients(network, scaled),
        }
    }

    /// Adds gradients to those so far.
    pub(super) fn add(&self, sum: &mut Option<GradientsParams>, gradients: GradientsParams) {
        match self {
            Self::Patches(network) => add_gradients(network, sum, gradients),
            Self::Segmentation(network) => add_gradients(network, sum, gradients),
        }
    }
}

/// Adds the gradients of a module to those so far.
pub(super) fn add_gradients<M: Module>(module: &M, sum: &mut Option<GradientsParams>, gradients: GradientsParams) {
    let Some(before) = sum.take() else {
        *sum = Some(gradients);
        return;
    };
    let mut all = burn::optim::GradientsAccumulator::new();
    all.accumulate(module, before);
    all.accumulate(module, gradients);
    *sum = Some(all.grads());
}

/// Labels and pictures as the discriminator sees them.
pub(super) struct View {
    /// One-hot labels, and edges if the network has them.
    semantics: Tensor<4>,
    /// One-hot labels.
    pub(super) labels: Tensor<4>,
    augment: Option<DiffAugment>,
}

impl View {
    pub(super) fn new(layout: &Layout, augment: Option<DiffAugment>) -> Self {
        let [height, width] = layout.size();
        let tensors = layout.at(height, width);
        let moved = |maps: Tensor<4>| augment.as_ref().map_or(maps.clone(), |augment| augment.labels(maps));
        Self { semantics: moved(tensors.semantics()), labels: moved(tensors.one_hot()), augment }
    }

    pub(super) fn picture(&self, picture: Tensor<4>) -> Tensor<4> {
        match &self.augment {
            Some(augment) => augment.pictures(picture),
            None => picture,
        }
    }

    /// The input of the patch discriminator.
    pub(super) fn conditioned(&self, picture: Tensor<4>) -> Tensor<4> {
        Tensor::cat(vec![self.semantics.clone(), self.picture(picture)], 1)
    }
}
