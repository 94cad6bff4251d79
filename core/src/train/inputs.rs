//! The input for reconstructing a photo: its label map, and the style that the encoder extracts from it.

use burn::tensor::{Tensor, TensorData};

use super::segments::Segments;
use crate::error::Result;
use crate::label::{LabelMap, instance_edges};
use crate::network::{Architecture, Encoder, Network, Posterior};
use crate::nn::{BlockStyles, GeneratorInput, LabelEncoding, Layout, Mode, Noise, Share};
use crate::rng::Rng;

/// Label maps as network input. Instance edges are those of the instance maps, or else of the label maps.
pub(super) fn layout_of(
    architecture: &Architecture,
    labels: Vec<LabelMap>,
    instances: Option<&[LabelMap]>,
    encoding: LabelEncoding,
    device: &burn::tensor::Device,
) -> Result<Layout> {
    let edges =
        architecture.instance_edges().then(|| instances.unwrap_or(&labels).iter().map(instance_edges).collect());
    let layout = Layout::new(labels, architecture.label_channels(), encoding, device)?;
    match edges {
        Some(edges) => layout.with_edges(edges),
        None => Ok(layout),
    }
}

/// How to draw the random inputs of a forward pass.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    /// Seed of noise and of latent vectors.
    pub(super) seed: u64,
    /// Whether there is noise.
    pub(super) noise: bool,
    /// Whether to sample latent vectors from their distribution, as in training, or to use the mean.
    pub(super) draw_latent: bool,
    /// Which pictures of a batch these are: each gets what it would get in the whole.
    pub(super) share: Share,
}

/// What networks take besides label maps, or make it from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    /// The photos, `[batch, 3, height, width]`.
    pub(super) photos: &'a Tensor<4>,
    /// The styles of the data set, `[batch, classes, length]`, for networks without encoder.
    pub(super) styles: Option<&'a Tensor<3>>,
    /// The collages, `[batch, 4, height, width]`, for networks that take them.
    pub(super) collages: Option<&'a Tensor<4>>,
    /// The objects of the pictures, for instance features. Without, these are those of each class.
    pub(super) segments: Option<&'a Segments>,
}

/// The input for reconstructing photos, and the distribution of their latent vectors if the network uses them.
pub(super) fn generator_input(
    network: &Network,
    layout: &Layout,
    sources: Sources<'_>,
    sampling: Sampling,
    mode: Mode,
) -> Result<(GeneratorInput, Option<Posterior>)> {
    let Sources { photos, styles, collages, segments } = sources;
    let first = sampling.share.first();
    let input = GeneratorInput { collage: collages.cloned(), ..GeneratorInput::new(layout.clone()) };
    let input = input.share(sampling.share);
    let noise = if sampling.noise { Noise::Anchored { seed: sampling.seed, origin: [0, 0] } } else { Noise::Zero };
    match &network.encoder {
        None => {
            let input = input.noise(noise);
            Ok((if let Some(styles) = styles { input.styles(BlockStyles::All(styles.clone())) } else { input }, None))
        }
        Some(Encoder::Region(encoder)) => {
            let styles = encoder.forward(photos.clone(), layout, mode)?;
            Ok((input.styles(BlockStyles::All(styles)).noise(noise), None))
        }
        Some(Encoder::Features(encoder)) => match segments {
            Some(segments) => Ok((input.features(segments.averaged(encoder.features(photos.clone(), mode)?)), None)),
            None => {
                let styles = encoder.forward(photos.clone(), layout, mode)?;
                Ok((input.styles(BlockStyles::All(styles)), None))
            }
        },
        Some(Encoder::Conv(encoder)) => {
            let posterior = encoder.forward(photos.clone(), mode)?;
            let latent = if sampling.draw_latent {
                let shape = posterior.mean.dims();
                let mut rng = Rng::new(sampling.seed);
                let before = first * shape[1];
                let drawn = (0..before + shape.iter().product::<usize>()).map(|_| rng.normal() as f32);
                let values: Vec<f32> = drawn.skip(before).collect();
                posterior.sample(Tensor::from_data(TensorData::new(values, shape), layout.device()))
            } else {
                posterior.mean.clone()
            };
            Ok((input.latent(latent), Some(posterior)))
        }
    }
}
