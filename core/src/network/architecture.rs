//! Any supported network, with its encoder.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::{
    ConvEncoder, ConvEncoderConfig, Crn, CrnConfig, FeatureEncoder, FeatureEncoderConfig, Generator, GeneratorConfig,
    Pix2PixHd, Pix2PixHdConfig, RegionEncoder, RegionEncoderConfig, StyleConfig, UNet, UNetConfig,
};
use crate::error::Result;
use crate::nn::modulation::{ModulationKind, Needs};
use crate::nn::{GeneratorInput, Init, Mode, NormKind};

/// The complete configuration of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Architecture {
    /// SPADE, CLADE, SEAN and networks that combine them.
    SpadeFamily(GeneratorConfig),
    /// The global generator of pix2pixHD.
    Pix2PixHd(Pix2PixHdConfig),
    /// The U-Net of pix2pix.
    Pix2Pix(UNetConfig),
    /// The cascaded refinement network.
    Crn(CrnConfig),
}

impl Architecture {
    /// Picture sides must be multiples of this; other sizes are padded.
    pub fn stride(&self) -> usize {
        match self {
            Self::SpadeFamily(config) => config.stride(),
            Self::Pix2PixHd(config) => config.stride(),
            Self::Pix2Pix(config) => config.stride(),
            Self::Crn(config) => config.stride(),
        }
    }

    /// The smallest picture side; smaller pictures are padded.
    pub fn least_side(&self) -> usize {
        match self {
            Self::Pix2PixHd(config) => config.least_side(),
            Self::SpadeFamily(_) | Self::Pix2Pix(_) | Self::Crn(_) => self.stride(),
        }
    }

    /// Number of label channels: highest class id + 1.
    pub fn label_channels(&self) -> usize {
        match self {
            Self::SpadeFamily(config) => config.label_channels,
            Self::Pix2PixHd(config) => config.label_channels,
            Self::Pix2Pix(config) => config.label_channels,
            Self::Crn(config) => config.label_channels,
        }
    }

    /// Whether the network takes instance edges.
    pub fn instance_edges(&self) -> bool {
        match self {
            Self::SpadeFamily(config) => config.instance_edges,
            Self::Pix2PixHd(config) => config.instance_edges,
            Self::Crn(config) => config.instance_edges,
            Self::Pix2Pix(_) => false,
        }
    }

    /// Channels of the semantic input: labels and edges.
    pub fn semantics(&self) -> usize {
        self.label_channels() + usize::from(self.instance_edges())
    }

    /// The kind of style that the network takes.
    pub fn style(&self) -> StyleConfig {
        match self {
            Self::SpadeFamily(config) => config.style,
            Self::Pix2PixHd(config) => config.features,
            Self::Pix2Pix(_) | Self::Crn(_) => StyleConfig::None,
        }
    }

    /// Number of blocks that can have separate styles; 0 if styles are not per class.
    pub fn styled_blocks(&self) -> usize {
        match self {
            Self::SpadeFamily(config) if matches!(config.style, StyleConfig::Regions { .. }) => config.blocks(),
            _ => 0,
        }
    }

    /// Inputs that the network needs besides label maps.
    pub fn needs(&self) -> Needs {
        match self {
            Self::SpadeFamily(config) => config.needs(),
            Self::Pix2PixHd(config) => config.needs(),
            Self::Pix2Pix(_) | Self::Crn(_) => Needs::default(),
        }
    }

    /// Whether the network takes a [`Collage`](crate::Collage) of each picture.
    pub fn takes_collage(&self) -> bool {
        matches!(self, Self::Crn(CrnConfig { collage: true, .. }))
    }

    /// Which dimensions the norms of the network normalise over; for layer norms, each picture counts separately.
    pub fn norm(&self) -> NormKind {
        match self {
            Self::SpadeFamily(config) => config.norm,
            Self::Pix2PixHd(_) | Self::Crn(_) => NormKind::Instance,
            Self::Pix2Pix(_) => NormKind::Batch,
        }
    }

    /// Checks ranges.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) naming the value that is out of range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::SpadeFamily(config) => config.validate(),
            Self::Pix2PixHd(config) => config.validate(),
            Self::Pix2Pix(config) => config.validate(),
            Self::Crn(config) => config.validate(),
        }
    }

    /// Makes the network and its encoder, if it has one.
    ///
    /// # Errors
    ///
    /// Same as [`validate`](Self::validate).
    pub fn init(&self, init: &mut Init) -> Result<Network> {
        let generator = match self {
            Self::SpadeFamily(config) => AnyGenerator::SpadeFamily(config.init(init)?),
            Self::Pix2PixHd(config) => AnyGenerator::Pix2PixHd(config.init(init)?),
            Self::Pix2Pix(config) => AnyGenerator::Pix2Pix(config.init(init)?),
            Self::Crn(config) => AnyGenerator::Crn(config.init(init)?),
        };
        Ok(Network { generator, encoder: self.init_encoder(init) })
    }

    /// Makes the encoder that extracts styles for the network, if it has one.
    pub(crate) fn init_encoder(&self, init: &mut Init) -> Option<Encoder> {
        match self.style() {
            StyleConfig::Latent { length, encoder: Some(ndf), .. } => {
                Some(Encoder::Conv(ConvEncoderConfig { ndf, latent_length: length }.init(init)))
            }
            StyleConfig::Regions { length, encoder: Some(nef) } if matches!(self, Self::Pix2PixHd(_)) => {
                Some(Encoder::Features(FeatureEncoderConfig { nef, length }.init(init)))
            }
            StyleConfig::Regions { length, encoder: Some(ngf) } => {
                Some(Encoder::Region(RegionEncoderConfig { ngf, style_length: length }.init(init)))
            }
            _ => None,
        }
    }

    /// Name and width in the papers' terms, such as `CLADE, batch norm, ngf 64, 5 doublings`.
    pub fn describe(&self) -> String {
        let mut parts = match self {
            Self::SpadeFamily(config) => spade_family(config),
            Self::Pix2PixHd(config) => {
                let name = if config.spectral { "pix2pixHD++" } else { "pix2pixHD" };
                let (ngf, halvings, blocks) = (config.ngf, config.downsamplings, config.blocks);
                let part = if config.enhancer_blocks.is_some() { "local enhancer" } else { "global generator" };
                let with = config.modulation.map_or(String::new(), |kind| format!(" with {}", kind.facts().label()));
                vec![format!("{name}{with} ({part}), ngf {ngf}, {halvings} halvings, {blocks} blocks")]
            }
            Self::Pix2Pix(config) => {
                let input = if config.palette.is_some() { "colour input" } else { "one-hot input" };
                vec![format!("pix2pix U-Net, {input}, ngf {}, {} halvings", config.ngf, config.downsamplings)]
            }
            Self::Crn(config) => {
                let name = if config.collage {
                    "SIMS (refinement network with a collage)"
                } else {
                    "cascaded refinement network"
                };
                vec![format!("{name}, ngf {}, {} modules", config.ngf, config.modules)]
            }
        };
        if self.instance_edges() {
            parts.push("instance edges".into());
        }
        match self.style() {
            StyleConfig::None => {}
            StyleConfig::Latent { length, encoder, .. } => {
                let encoder = if encoder.is_some() { "with" } else { "without" };
                parts.push(format!("a latent vector of {length} values, {encoder} encoder"));
            }
            StyleConfig::Regions { length, encoder } => {
                let encoder = if encoder.is_some() { "with" } else { "without" };
                parts.push(format!("a style of {length} values per class, {encoder} encoder"));
            }
        }
        parts.join(", ")
    }
}

fn spade_family(config: &GeneratorConfig) -> Vec<String> {
    let name = |kind: ModulationKind| kind.facts().label();
    // Group blocks with the same modulation: "SPADE 3x3 (3 blocks), CLADE (4 blocks)".
    let mut runs: Vec<(ModulationKind, usize)> = Vec::new();
    for kind in (0..config.blocks()).map(|block| config.modulation_of(block)) {
        match runs.last_mut() {
            Some((last, count)) if *last == kind => *count += 1,
            _ => runs.push((kind, 1)),
        }
    }
    let mut parts: Vec<String> = match runs.as_slice() {
        [(kind, _)] => vec![name(*kind)],
        runs => runs.iter().map(|&(kind, count)| format!("{} ({count} blocks)", name(kind))).collect(),
    };
    parts.push(match config.norm {
        NormKind::Batch => "batch norm".into(),
        NormKind::Instance => "instance norm".into(),
    });
    parts.push(format!("ngf {}, {} doublings", config.ngf, config.upsampling.doublings()));
    if config.input_positions {
        parts.push("positions in the first layer".into());
    }
    parts
}

/// A generator and, if it has one, the encoder that extracts styles for it: the contents of a model file.
#[derive(Module, Debug)]
pub struct Network {
    /// Generates a picture from a label map.
    pub generator: AnyGenerator,
    /// Extracts a style from a photo.
    pub encoder: Option<Encoder>,
}

/// One of the generators.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has one generator")]
pub enum AnyGenerator {
    /// SPADE, CLADE, SEAN and networks that combine them.
    SpadeFamily(Generator),
    /// The global generator of pix2pixHD.
    Pix2PixHd(Pix2PixHd),
    /// The U-Net of pix2pix.
    Pix2Pix(UNet),
    /// The cascaded refinement network.
    Crn(Crn),
}

/// One of the encoders.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has at most one encoder")]
pub enum Encoder {
    /// Extracts one latent vector for the whole picture.
    Conv(ConvEncoder),
    /// Extracts one style vector per class.
    Region(RegionEncoder),
    /// Extracts the instance features of pix2pixHD; those of a class are its style.
    Features(FeatureEncoder),
}

impl Network {
    /// Synthesizes pictures `[batch, 3, height, width]` with values in -1 to 1 (a few beyond with [`Crn`], whose last layer
    /// is linear), from label maps of that batch, height and width. Latent vectors are `[batch, length]`, styles
    /// `[batch, classes, length]`.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](crate::Error::Argument) if the input does not fit the network.
    pub fn forward(&self, input: &GeneratorInput, mode: Mode) -> Result<Tensor<4>> {
        self.forward_by_steps(input, mode, &mut |_| Ok(()))
    }

    /// Like [`forward`](Self::forward). Calls `step` from time to time with the progress, 0 to 1; an error from it
    /// ends the computation.
    pub(crate) fn forward_by_steps(
        &self,
        input: &GeneratorInput,
        mode: Mode,
        step: &mut dyn FnMut(f32) -> Result<()>,
    ) -> Result<Tensor<4>> {
        match &self.generator {
            AnyGenerator::SpadeFamily(generator) => generator.forward_by_steps(input, mode, step),
            AnyGenerator::Pix2PixHd(generator) => generator.forward_by_steps(input, mode, step),
            AnyGenerator::Pix2Pix(generator) => generator.forward_by_steps(input, mode, step),
            AnyGenerator::Crn(generator) => generator.forward_by_steps(input, mode, step),
        }
    }

    /// The same network for inference, with spectral norms folded into the weights.
    #[must_use]
    pub fn folded(self) -> Self {
        let generator = match self.generator {
            AnyGenerator::SpadeFamily(generator) => AnyGenerator::SpadeFamily(generator.folded()),
            AnyGenerator::Pix2PixHd(generator) => AnyGenerator::Pix2PixHd(generator.folded()),
            generator @ (AnyGenerator::Pix2Pix(_) | AnyGenerator::Crn(_)) => generator,
        };
        let encoder = self.encoder.map(|encoder| match encoder {
            Encoder::Conv(encoder) => Encoder::Conv(encoder.folded()),
            encoder @ (Encoder::Region(_) | Encoder::Features(_)) => encoder,
        });
        Self { generator, encoder }
    }
}
