//! The style encoder of SEAN (Zhu et al. 2020, §3 and appendix): a style vector per class, from a photo and its label
//! map.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::error::Result;
use crate::nn::{
    Conv, ConvConfig, ConvTranspose, ConvTransposeConfig, Init, Layout, Mode, instance_norm, leaky_relu, reflect,
};

/// Configuration of a [`RegionEncoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionEncoderConfig {
    /// Channels of the first layer; 32 in the paper.
    pub ngf: usize,
    /// Length of the vectors; 512 in the paper.
    pub style_length: usize,
}

impl RegionEncoderConfig {
    /// Makes the network.
    pub fn init(self, init: &mut Init) -> RegionEncoder {
        let n = self.ngf;
        RegionEncoder {
            first: ConvConfig::new(3, n, 3).padding(0).init(init),
            down: [n, 2 * n].map(|width| ConvConfig::new(width, 2 * width, 3).stride(2).init(init)).to_vec(),
            up: ConvTransposeConfig::new(4 * n, 8 * n, 3).init(init),
            last: ConvConfig::new(8 * n, self.style_length, 3).padding(0).init(init),
        }
    }
}

/// Computes features at half the photo's size and averages them over the region of each class.
#[derive(Module, Debug)]
pub struct RegionEncoder {
    first: Conv,
    down: Vec<Conv>,
    up: ConvTranspose,
    last: Conv,
}

impl RegionEncoder {
    /// The styles of photos, `[batch, classes, length]` with values in -1 to 1. Photos are `[batch, 3, height, width]`
    /// in -1 to 1, with label maps of the same size. A class without a pixel at half the size gets zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) unless photos and label maps have the same size, with sides that
    /// are multiples of 4.
    pub fn forward(&self, photos: Tensor<4>, layout: &Layout, mode: Mode) -> Result<Tensor<3>> {
        let [height, width] = layout.size();
        let fine = height >= 4 && width >= 4 && height.is_multiple_of(4) && width.is_multiple_of(4);
        super::check(fine, || format!("a photo of {width}x{height}: sides must be multiples of 4"))?;
        super::check_photos(&photos, layout)?;
        let norm = |x| leaky_relu(instance_norm(x));
        let mut x = norm(self.first.forward(reflect(photos, 1), mode));
        for conv in &self.down {
            x = norm(conv.forward(x, mode));
        }
        x = norm(self.up.forward(x, mode));
        Ok(super::class_means(self.last.forward(reflect(x, 1), mode).tanh(), layout))
    }
}

/// The official name of a layer from its path.
pub(super) fn official_name(parts: &[&str]) -> Option<String> {
    let index = match parts {
        ["first"] => 1,
        ["down", "0"] => 4,
        ["down", "1"] => 7,
        ["up"] => 10,
        ["last"] => 14,
        _ => return None,
    };
    Some(format!("Zencoder.model.{index}"))
}
