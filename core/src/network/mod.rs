//! The networks: generators, encoders and discriminators.

mod architecture;
mod capabilities;
mod conv_encoder;
mod crn;
mod discriminator;
mod extents;
mod feature_encoder;
mod generator;
mod names;
mod pix2pix;
mod pix2pixhd;
mod plan;
mod region_encoder;
mod segmentation;
mod system;
mod vgg;

pub use architecture::{AnyGenerator, Architecture, Encoder, Network};
pub use capabilities::{Ability, Capabilities, Halo};
pub use conv_encoder::{ConvEncoder, ConvEncoderConfig, Posterior};
pub use crn::{Crn, CrnConfig};
pub use discriminator::{Discriminator, DiscriminatorConfig, DiscriminatorKind};
pub use feature_encoder::{FeatureEncoder, FeatureEncoderConfig};
pub use generator::{Generator, GeneratorConfig, StyleConfig, Upsampling};
pub use pix2pix::{UNet, UNetConfig};
pub use pix2pixhd::{Pix2PixHd, Pix2PixHdConfig};
pub use region_encoder::{RegionEncoder, RegionEncoderConfig};
pub use segmentation::SegmentationDiscriminator;
pub use system::System;
pub use vgg::{Vgg19, VggTaps};

pub use names::is_unused;

pub(crate) use extents::{BlockExtents, Extents, Precision, TILE, affected, block_affected, cells_of, grown, join};
pub(crate) use names::official_names;
pub(crate) use plan::{BLOCKS, Plan, block_names};

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::nn::Layout;

/// An [`Error::Argument`] unless `fine`.
fn check(fine: bool, message: impl FnOnce() -> String) -> Result<()> {
    if fine { Ok(()) } else { Err(Error::Argument(message())) }
}

/// Checks that a layout fits a network with `labels` label channels, with or without instance edges, whose picture
/// sides must be multiples of `stride`.
fn check_layout(layout: &Layout, labels: usize, edges: bool, stride: usize) -> Result<()> {
    let [height, width] = layout.size();
    let fine = height > 0 && width > 0 && height.is_multiple_of(stride) && width.is_multiple_of(stride);
    check(fine, || {
        format!("a label map of {width}x{height} does not fit this generator: both sides must be multiples of {stride}")
    })?;
    let channels = layout.channels();
    check(channels == labels, || format!("a layout of {channels} label channels: this network has {labels}"))?;
    check(layout.has_edges() == edges, || {
        let (needs, has) = if edges { ("needs", "none") } else { ("takes no", "some") };
        format!("this network {needs} instance edges, the layout has {has}")
    })
}

/// Checks that the one-hot maps at full size, which the baselines take, are no larger than 8 GB.
fn check_one_hot(layout: &Layout) -> Result<()> {
    let [height, width] = layout.size();
    let values =
        [layout.batch(), layout.channels(), height, width].iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    if values.is_some_and(|values| values <= 1 << 31) {
        return Ok(());
    }
    let channels = layout.channels();
    Err(Error::Limit(format!(
        "this network takes {channels} one-hot channels of {width}x{height} pixels at once, more than this library \
         accepts: give it a smaller label map"
    )))
}

/// The mean of features, `[batch, length, height, width]`, over each class of the label maps at that size,
/// `[batch, classes, length]`; zeros for a class without a pixel.
fn class_means(features: Tensor<4>, layout: &Layout) -> Tensor<3> {
    let [batch, length, height, width] = features.dims();
    let regions = layout.at(height, width).one_hot();
    let classes = regions.dims()[1];
    let regions = regions.reshape([batch, classes, height * width]);
    let pixels = regions.clone().sum_dim(2).clamp_min(1.0);
    regions.matmul(features.reshape([batch, length, height * width]).swap_dims(1, 2)) / pixels
}

/// Checks that photos, `[batch, 3, height, width]`, match the label maps in number and size.
fn check_photos(photos: &Tensor<4>, layout: &Layout) -> Result<()> {
    let [height, width] = layout.size();
    let (found, expected) = (photos.dims(), [layout.batch(), 3, height, width]);
    check(found == expected, || format!("photos of shape {found:?} for label maps that need {expected:?}"))
}
