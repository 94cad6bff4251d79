//! Measures of pictures: how similar they are to photos, how well a segmentation network finds their classes, and how
//! far the distribution of a set is from that of another.
//!
//! Protocol: 8-bit RGB pictures of equal size, every pixel counts, and the mean over a set is the mean of the values
//! of its pictures, except where a measure is of the whole set ([`Confusion`], [`frechet_distance`]).
//!
//! | here | paper |
//! |---|---|
//! | [`psnr`], [`rmse`] | by definition |
//! | [`ssim`] | Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity*, 2004 |
//! | [`Lpips`] | Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, 2018 |
//! | [`frechet_distance`] of [`Inception`] features: FID | Heusel et al., *GANs Trained by a Two Time-Scale Update Rule*, 2017 |
//! | [`Confusion`]: pixel accuracy and mean intersection over union | Everingham et al., *The Pascal Visual Object Classes Challenge*, 2015 |
//! | [`EspNet`] | Mehta et al., *ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic Segmentation*, 2018 |
//!
//! Weights of the networks come from files that the user supplies.

mod eigen;
mod frechet;
mod nets;
mod segmentation;
mod similarity;

pub use frechet::{FeatureStatistics, frechet_distance};
pub(crate) use nets::Scaling;
pub use nets::{EspNet, Inception, Lpips, Segmentation};
pub use segmentation::Confusion;
pub use similarity::{psnr, rmse, ssim};
