//! The segmentation discriminator (Sushko, Schönfeld et al., "You Only Need Adversarial Supervision for Semantic Image
//! Synthesis", 2021): it tells the class of each pixel, or that the pixel is synthesized.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::avg_pool2d;
use burn::tensor::ops::AvgPoolOptions;

use crate::nn::{Conv, ConvConfig, Init, Mode, leaky_relu, upsample2};

/// Channels of the blocks that halve the picture, in multiples of the base width.
const WIDTHS: [usize; 6] = [2, 2, 4, 4, 8, 8];

/// A U-Net of residual blocks with spectral norm and no other norm: each block of the encoder halves the picture, each of the
/// decoder doubles it and takes the features of the encoder at its size as well.
#[derive(Module, Debug)]
pub struct SegmentationDiscriminator {
    down: Vec<Block>,
    up: Vec<Block>,
    last: Conv,
}

impl SegmentationDiscriminator {
    /// A network for `classes` classes and pictures of `size` (height and width), with base width `ndf` (64 in the paper).
    /// It halves the picture six times, as in the paper, or as often as the sides can be halved.
    pub fn new(init: &mut Init, ndf: usize, classes: usize, size: [usize; 2]) -> Self {
        let halvings = size.map(|side| side.trailing_zeros() as usize);
        let depth = halvings[0].min(halvings[1]).clamp(1, WIDTHS.len());
        let width = |level: usize| ndf * WIDTHS[level.min(WIDTHS.len() - 1)];
        let down = (0..depth).map(|level| {
            let input = if level == 0 { 3 } else { width(level - 1) };
            Block::new(init, input, width(level), Resize::Down { first: level == 0 })
        });
        let down = down.collect();
        let output = |step: usize| if step + 1 < depth { width(depth - 2 - step) } else { ndf };
        let up = (0..depth).map(|step| {
            // The features so far, and those of the encoder at the same size.
            let input = if step == 0 { width(depth - 1) } else { output(step - 1) + width(depth - 1 - step) };
            Block::new(init, input, output(step), Resize::Up)
        });
        let up = up.collect();
        Self { down, up, last: ConvConfig::new(ndf, classes + 1, 1).init(init) }
    }

    /// `pictures` is `[batch, 3, height, width]`. Returns unbounded scores, `[batch, classes + 1, height, width]`: one for
    /// each class, then the one for "synthesized".
    pub fn forward(&self, pictures: Tensor<4>, mode: Mode) -> Tensor<4> {
        let mut x = pictures;
        let mut encoded = Vec::with_capacity(self.down.len());
        for block in &self.down {
            x = block.forward(x, mode);
            encoded.push(x.clone());
        }
        encoded.pop();
        for block in &self.up {
            x = block.forward(x, mode);
            if let Some(skip) = encoded.pop() {
                x = Tensor::cat(vec![x, skip], 1);
            }
        }
        self.last.forward(x, mode)
    }
}

/// How a block changes the size.
#[derive(Clone, Copy)]
enum Resize {
    /// Halves it. The first block of a network starts with a convolution.
    Down { first: bool },
    /// Doubles it.
    Up,
}

#[derive(Module, Debug)]
struct Block {
    conv_0: Conv,
    conv_1: Conv,
    shortcut: Conv,
    first: bool,
    up: bool,
}

impl Block {
    fn new(init: &mut Init, input: usize, output: usize, resize: Resize) -> Self {
        let mut conv = |input, kernel| ConvConfig::new(input, output, kernel).spectral().init(init);
        let (conv_0, conv_1, shortcut) = (conv(input, 3), conv(output, 3), conv(input, 1));
        let first = matches!(resize, Resize::Down { first: true });
        Self { conv_0, conv_1, shortcut, first, up: matches!(resize, Resize::Up) }
    }

    fn forward(&self, x: Tensor<4>, mode: Mode) -> Tensor<4> {
        let dx = if self.first { x.clone() } else { leaky_relu(x.clone()) };
        if self.up {
            let dx = self.conv_0.forward(upsample2(dx), mode);
            let dx = self.conv_1.forward(leaky_relu(dx), mode);
            return upsample2(self.shortcut.forward(x, mode)) + dx;
        }
        let dx = self.conv_1.forward(leaky_relu(self.conv_0.forward(dx, mode)), mode);
        halved(dx + self.shortcut.forward(x, mode))
    }
}

/// The mean of each 2x2 pixels.
fn halved(x: Tensor<4>) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new([2, 2]).with_stride([2, 2]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn every_size_has_its_depth() {
        let device = Device::flex();
        for ([height, width], depth) in [([64, 128], 6), ([36, 44], 2), ([32, 32], 5)] {
            let network = SegmentationDiscriminator::new(&mut Init::random(1, &device), 2, 5, [height, width]);
            assert_eq!((network.down.len(), network.up.len()), (depth, depth));
            let picture = Tensor::random([2, 3, height, width], Distribution::Uniform(-1.0, 1.0), &device);
            let scores = network.forward(picture, Mode::TRAIN);
            assert_eq!(scores.dims(), [2, 6, height, width]);
        }
    }

    #[test]
    fn widths_are_those_of_the_paper() {
        let network = SegmentationDiscriminator::new(&mut Init::to_load(&Device::flex()), 64, 150, [256, 256]);
        let shape = |conv: &Conv| conv.weight().dims();
        let channels = |block: &Block| (shape(&block.conv_0)[1], shape(&block.conv_0)[0]);
        let down: Vec<_> = network.down.iter().map(channels).collect();
        let up: Vec<_> = network.up.iter().map(channels).collect();
        assert_eq!(down, [(3, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]);
        assert_eq!(up, [(512, 512), (1024, 256), (512, 256), (512, 128), (256, 128), (256, 64)]);
        assert_eq!(shape(&network.last), [151, 64, 1, 1]);
    }

    #[test]
    #[cfg(feature = "train")]
    fn gradients_reach_the_picture_and_every_convolution() {
        let device = Device::flex().autodiff();
        let network = SegmentationDiscriminator::new(&mut Init::random(1, &device), 2, 3, [32, 32]);
        let picture = Tensor::random([1, 3, 32, 32], Distribution::Uniform(-1.0, 1.0), &device).require_grad();
        let gradients = network.forward(picture.clone(), Mode::TRAIN).square().mean().backward();
        assert!(picture.grad(&gradients).unwrap().abs().sum().into_scalar::<f32>() > 0.0);
        for block in network.down.iter().chain(&network.up) {
            for conv in [&block.conv_0, &block.conv_1, &block.shortcut] {
                let gradient = conv.weight().grad(&gradients).expect("a gradient");
                assert!(gradient.abs().sum().into_scalar::<f32>() > 0.0);
            }
        }
    }
}
