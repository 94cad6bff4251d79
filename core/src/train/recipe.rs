//! The description of a training run: everything except the device.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::label::ReadOptions;
use crate::network::{
    Architecture, CrnConfig, DiscriminatorConfig, DiscriminatorKind, GeneratorConfig, Pix2PixHdConfig, StyleConfig,
    System, UNetConfig, Upsampling,
};
use crate::nn::NormKind;
use crate::nn::modulation::ModulationKind;

/// The settings of a training run, stored in RON. Missing fields have the values of [`Recipe::default`]: the papers'
/// networks, losses and optimizer, with an averaged generator and a batch size that fits one GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "options in a file that people write")]
pub struct Recipe {
    /// Name of the model; `None` for the name of the run's folder.
    pub name: Option<String>,
    /// Licence of the weights, as an SPDX expression if there is one.
    pub licence: String,
    /// Whether to store the model's weights in 16 bits.
    pub half: bool,
    /// Whether convolutions compute with 16-bit floats (mixed precision, Micikevicius et al. 2018): on GPUs that have them, elsewhere
    /// without effect. Weights, norms, losses and the optimizer have 32 bits in any case.
    pub mixed: bool,
    /// Folder of the training data; `None` for the procedural set `set`.
    pub data: Option<PathBuf>,
    /// Which procedural set to train on, if there is no `data`.
    pub set: ProceduralSet,
    /// Class table of the data, in place of what its folder holds: a file, or the name of a built-in one.
    pub classes: Option<PathBuf>,
    /// How to read the label maps of the data.
    pub labels: ReadOptions,
    /// The kind of network.
    pub network: NetworkKind,
    /// The modulation of a network of the SPADE family, and of pix2pixHD if it is `modulated`.
    pub modulation: ModulationKind,
    /// Modulations of its first blocks, if they differ.
    pub leading_blocks: Vec<ModulationKind>,
    /// Whether to train with one latent vector per picture, from a variational encoder. (SEAN always has styles.)
    pub latent: bool,
    /// The number of values per class in the styles of the data set, for networks with a style per class. `None` to learn
    /// styles from photos, with an encoder.
    pub style_length: Option<usize>,
    /// Whether the generator takes instance edges: those of the instance maps if the data set has them, else of the label
    /// maps.
    pub instance_edges: bool,
    /// Whether the first layer of a network of the SPADE family also sees where in its object each pixel lies (`dist_i` of the
    /// CLADE paper; `dist_p` is the modulation CLADE-ICPE).
    pub input_positions: bool,
    /// Which dimensions its norms normalise over.
    pub norm: NormKind,
    /// Step from which the generator's batch norms keep their statistics, so that training and inference compute the
    /// same; `None` for statistics of each batch to the end. For small batches of pictures that differ much.
    pub fixed_statistics_from: Option<u64>,
    /// Channels of the generator's last block.
    pub ngf: usize,
    /// How often the generator upsamples its first features. Only the SPADE family has a choice.
    pub upsampling: Upsampling,
    /// Whether pix2pixHD has spectral norm, and no bias before its norms: then it is the "pix2pixHD++" that SPADE's paper
    /// compares with.
    pub spectral: bool,
    /// Whether the norms of pix2pixHD are modulated by `modulation`: with `Spade` and `spectral`, the "pix2pixHD++ with SPADE" of
    /// SPADE's paper.
    pub modulated: bool,
    /// The number of instance features that pix2pixHD takes besides labels (3 in its paper), from an encoder that is trained with it;
    /// `None` for none. Objects are those of the instance maps if the data set has them, else all pixels of a class. The model gets
    /// presets: centres of the features of training photos, by class.
    pub features: Option<usize>,
    /// Whether pix2pix is trained with dropout: half of the values in the first three blocks of its way up (Isola et al.
    /// 2017). The model has none, so that a label map always gives the same picture.
    pub dropout: bool,
    /// Whether a generator with noise maps (SEAN, for example) is trained with noise. Without it, their strength stays 0, and the
    /// model is one without noise.
    pub noise: bool,
    /// The discriminator.
    pub discriminator: DiscriminatorConfig,
    /// The adversarial loss, or none: then there is no discriminator.
    pub adversarial: Adversarial,
    /// Height and width of training pictures; multiples of the generator's stride, at least 32.
    pub size: [usize; 2],
    /// Pictures per step, or per part of it with `accumulate`.
    pub batch: usize,
    /// Number of batches whose gradients are added up for a step: as one batch that many times as large, with the memory of
    /// a single one. Batch norm, and the balance of classes of the segmentation discriminator, still see single batches.
    pub accumulate: usize,
    /// Total number of steps.
    pub steps: u64,
    /// Step from which the learning rates fall linearly, to 0 at the last step; `None` for constant rates.
    pub decay_from: Option<u64>,
    /// The base learning rate.
    pub learning_rate: f64,
    /// Two time-scale update rule (Heusel et al. 2017): the generator learns at half the base rate, the discriminator
    /// at twice the base rate, both with betas (0, 0.9). Otherwise both learn at the base rate with betas (0.5,
    /// 0.999).
    pub ttur: bool,
    /// Weights of the generator's losses relative to the adversarial loss. Without a discriminator, `feature_matching` and
    /// `label_mix` have no effect.
    pub losses: LossWeights,
    /// VGG19 weights of torchvision for the perceptual loss, `.pth` or `.safetensors`; `None` to omit the loss.
    pub vgg: Option<PathBuf>,
    /// Which features of VGG19 the perceptual loss compares.
    pub perceptual: PerceptualLayers,
    /// Whether the discriminator learns from pictures that the generator synthesizes again after its own step, as in
    /// the papers' code. Otherwise the pictures of the generator's step are reused, which saves a quarter of the
    /// time.
    pub fresh_fakes: bool,
    /// Whether the discriminator sees pictures under random changes of colours, place and a hole
    /// ([`DiffAugment`](super::DiffAugment)), for small data sets.
    pub diff_augment: bool,
    /// Decay of the running average of the generator, which becomes the model; 0 for no average.
    pub ema: f64,
    /// Whether to mirror samples half of the time.
    pub flip: bool,
    /// Samples are resized to this times `size` before the random crop. Procedural ones are made at that size.
    pub load_scale: f64,
    /// Seed of the initial values, of the order of samples and of their variation.
    pub seed: u64,
    /// Steps between contact sheets.
    pub sample_every: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between records in the log.
    pub log_every: u64,
}

/// The smallest side of training pictures, which VGG19 and the discriminators halve several times.
const LEAST_SIDE: usize = 32;

/// Kinds of networks that can be trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkKind {
    /// SPADE, CLADE, SEAN and networks that combine them, as set by `modulation` and `leading_blocks`.
    #[default]
    SpadeFamily,
    /// The global generator of pix2pixHD. With `spectral` and the losses of this trainer it is the "pix2pixHD++"
    /// that the SPADE paper compares with. As published: `spectral: false`, `adversarial: LeastSquares`, `ttur: false` and
    /// `discriminator: (spectral: false)`.
    Pix2PixHd,
    /// The U-Net of pix2pix, with dropout in training if `dropout` is set.
    Pix2Pix,
    /// The cascaded refinement network, with as many modules as the size allows. As published, it has a perceptual loss
    /// only: `adversarial: None`, `perceptual: Balanced`, a `vgg`, and `losses: (perceptual: 1.0, l1: 1.0)`. Without VGG19,
    /// `losses: (perceptual: 0.0, pyramid: 1.0)` trains it to blurred pictures: that is not the paper's loss.
    Crn,
    /// The same with collages of photos, after SIMS: each picture is trained on with a [simulated](crate::bank::Bank::simulated) one,
    /// without segments of its own photo, and painted with one of the training photos. Losses are as those of `Crn`.
    Sims,
}

/// Adversarial losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adversarial {
    /// The hinge loss, as SPADE and its successors. The segmentation discriminator has its own loss instead.
    #[default]
    Hinge,
    /// Least squares (Mao et al. 2017), as pix2pixHD.
    LeastSquares,
    /// Cross-entropy (Goodfellow et al. 2014), as pix2pix.
    CrossEntropy,
    /// None: no discriminator is made, and the generator learns from the other losses, which compare its pictures with the
    /// photos (Chen & Koltun 2017).
    None,
}

/// Which features of VGG19 the perceptual loss compares, and how much they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PerceptualLayers {
    /// The first layer of each size, deeper ones with more weight ([`perceptual`](super::perceptual)), as pix2pixHD and SPADE.
    #[default]
    Deeper,
    /// The second layer of each size, all with the same share ([`balanced_perceptual`](super::balanced_perceptual)), as the
    /// cascaded refinement network.
    Balanced,
}

/// The procedural sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProceduralSet {
    /// [`ProceduralFacades`](crate::data::ProceduralFacades).
    #[default]
    Facades,
    /// The same in many colours and materials, with styles:
    /// [`ProceduralFacades::varied`](crate::data::ProceduralFacades::varied).
    StyledFacades,
    /// [`ProceduralTerrain`](crate::data::ProceduralTerrain), with styles.
    Terrain,
}

/// Weights of the generator's losses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossWeights {
    /// Feature matching on the discriminator's features.
    pub feature_matching: f64,
    /// Perceptual loss on VGG19's features.
    pub perceptual: f64,
    /// Mean absolute difference of pixels. Not in the SPADE papers; it helps short runs without VGG19.
    pub l1: f64,
    /// Mean absolute difference of cells of 8x8 pixels, each averaged. Not in the papers; it keeps colours right and
    /// leaves the detail of textures free, which `l1` would blur.
    pub coarse: f64,
    /// Mean absolute difference at full size, 1/2, 1/4, 1/8 and 1/16 ([`pyramid`](super::pyramid)). Not in the papers; for
    /// training without discriminator and without VGG19.
    pub pyramid: f64,
    /// Kullback-Leibler divergence of latent vectors from a standard normal distribution, for networks that use them.
    pub kl: f64,
    /// Consistency of the segmentation discriminator on mixed pictures ([`LabelMix`](super::LabelMix)): a weight of the
    /// discriminator's loss, 0 for none.
    pub label_mix: f64,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { feature_matching: 10.0, perceptual: 10.0, l1: 0.0, coarse: 0.0, pyramid: 0.0, kl: 0.05, label_mix: 10.0 }
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: None,
            licence: "unknown".into(),
            half: false,
            mixed: false,
            data: None,
            set: ProceduralSet::Facades,
            classes: None,
            network: NetworkKind::SpadeFamily,
            modulation: ModulationKind::Clade,
            leading_blocks: Vec::new(),
            latent: false,
            style_length: None,
            instance_edges: false,
            input_positions: false,
            norm: NormKind::Batch,
            fixed_statistics_from: None,
            ngf: 64,
            upsampling: Upsampling::Normal,
            spectral: true,
            modulated: false,
            features: None,
            dropout: false,
            noise: true,
            discriminator: DiscriminatorConfig::default(),
            adversarial: Adversarial::Hinge,
            size: [256, 256],
            batch: 4,
            accumulate: 1,
            steps: 100_000,
            decay_from: Some(50_000),
            learning_rate: 2e-4,
            ttur: true,
            losses: LossWeights::default(),
            vgg: None,
            perceptual: PerceptualLayers::Deeper,
            labels: ReadOptions::default(),
            fresh_fakes: true,
            diff_augment: false,
            ema: 0.999,
            flip: true,
            load_scale: 286.0 / 256.0,
            seed: 0,
            sample_every: 500,
            checkpoint_every: 1000,
            log_every: 10,
        }
    }
}

impl Recipe {
    /// A small CLADE for first results within minutes on two CPU cores: 128x128, narrow networks, a larger learning
    /// rate, and an L1 loss in place of the perceptual loss.
    pub fn quick() -> Self {
        Self {
            ngf: 16,
            discriminator: DiscriminatorConfig { ndf: 16, ..DiscriminatorConfig::default() },
            size: [128, 128],
            batch: 2,
            steps: 1500,
            decay_from: Some(1000),
            learning_rate: 4e-4,
            losses: LossWeights { l1: 5.0, ..LossWeights::default() },
            fresh_fakes: false,
            ema: 0.995,
            sample_every: 100,
            checkpoint_every: 250,
            ..Self::default()
        }
    }

    /// Reads a recipe from a RON file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read, [`Error::Argument`] with line and reason if it is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::from_ron_str(&text).map_err(|error| error.context(path.display()))
    }

    /// Reads a recipe from RON.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] with line and reason.
    pub fn from_ron_str(text: &str) -> Result<Self> {
        // Optional fields are written without `Some`: `decay_from: 500`.
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        options.from_str(text).map_err(|error| Error::Argument(format!("malformed recipe: {error}")))
    }

    /// The recipe as RON, with every field.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it cannot be written as RON.
    pub fn to_ron_string(&self) -> Result<String> {
        let pretty = ron::ser::PrettyConfig::default();
        ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME)
            .to_string_pretty(self, pretty)
            .map_err(|error| Error::Argument(format!("the recipe cannot be written: {error}")))
    }

    /// The recipe without paths of this machine, for files to share.
    #[must_use]
    pub fn without_paths(&self) -> Self {
        Self { data: None, classes: None, vgg: None, ..self.clone() }
    }

    /// Changes the network: its kind and modulations, nothing else.
    pub fn set_system(&mut self, system: System) {
        (self.network, self.leading_blocks) = (NetworkKind::SpadeFamily, Vec::new());
        match system {
            System::Pix2PixHd => self.network = NetworkKind::Pix2PixHd,
            System::Pix2Pix => self.network = NetworkKind::Pix2Pix,
            System::Crn => self.network = NetworkKind::Crn,
            System::Sims => self.network = NetworkKind::Sims,
            System::Modulation(_) | System::Hybrid => {
                if let Some((modulation, leading_blocks)) = system.modulations() {
                    (self.modulation, self.leading_blocks) = (modulation, leading_blocks);
                }
            }
        }
    }

    /// The network for `label_channels` label channels.
    pub fn architecture(&self, label_channels: usize) -> Architecture {
        let Self { modulation, norm, ngf, upsampling, instance_edges, input_positions, .. } = *self;
        match self.network {
            NetworkKind::SpadeFamily => {
                let config = GeneratorConfig {
                    leading_blocks: self.leading_blocks.clone(),
                    norm,
                    upsampling,
                    instance_edges,
                    input_positions,
                    ..GeneratorConfig::new(modulation, ngf, label_channels)
                };
                let style = if let (true, Some(length)) = (config.needs().styles, self.style_length) {
                    StyleConfig::Regions { length, encoder: None }
                } else if config.needs().styles {
                    // Keep the paper's ratio of the encoder's width and of the vectors' length to the generator's
                    // width.
                    StyleConfig::Regions { length: ngf.saturating_mul(8), encoder: Some((ngf / 2).max(1)) }
                } else if self.latent {
                    StyleConfig::Latent { length: 256, grid: upsampling.latent_grid(self.size), encoder: Some(ngf) }
                } else {
                    StyleConfig::None
                };
                Architecture::SpadeFamily(GeneratorConfig { style, ..config })
            }
            NetworkKind::Pix2PixHd => Architecture::Pix2PixHd(Pix2PixHdConfig {
                instance_edges,
                spectral: self.spectral,
                modulation: self.modulated.then_some(modulation),
                // The paper's ratio of the widths.
                features: self.features.map_or(StyleConfig::None, |length| StyleConfig::Regions {
                    length,
                    encoder: Some((ngf / 4).max(1)),
                }),
                ..Pix2PixHdConfig::new(ngf, label_channels)
            }),
            NetworkKind::Crn | NetworkKind::Sims => {
                let collage = self.network == NetworkKind::Sims;
                let config = CrnConfig { instance_edges, collage, ..CrnConfig::new(ngf, label_channels) };
                Architecture::Crn(config.for_size(self.size))
            }
            NetworkKind::Pix2Pix => {
                let halvings = self.size.map(|side| side.trailing_zeros() as usize);
                Architecture::Pix2Pix(UNetConfig {
                    downsamplings: halvings[0].min(halvings[1]).clamp(5, 8),
                    ..UNetConfig::new(ngf, label_channels)
                })
            }
        }
    }

    /// Height and width of whole samples at the scale of the training pictures: `load_scale` times `size`.
    pub fn load_size(&self) -> [usize; 2] {
        self.size.map(|side| (side as f64 * self.load_scale).round() as usize)
    }

    /// Height and width of pictures to validate on: whole samples at the scale of the training pictures, rounded down to the
    /// generator's stride.
    pub fn validation_size(&self) -> [usize; 2] {
        let stride = self.architecture(1).stride();
        self.load_size().map(|side| (side / stride * stride).max(stride))
    }

    /// Learning rates of generator and discriminator at a step.
    pub fn learning_rates(&self, step: u64) -> (f64, f64) {
        let factor = match self.decay_from {
            Some(from) if step >= from && self.steps > from => {
                (self.steps.saturating_sub(step)) as f64 / (self.steps - from) as f64
            }
            _ => 1.0,
        };
        let rate = self.learning_rate * factor;
        if self.ttur { (rate / 2.0, rate * 2.0) } else { (rate, rate) }
    }

    /// The betas of Adam.
    pub fn betas(&self) -> (f64, f64) {
        if self.ttur { (0.0, 0.9) } else { (0.5, 0.999) }
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] naming the value and its range.
    pub fn validate(&self) -> Result<()> {
        let check = |fine: bool, message: String| {
            if fine { Ok(()) } else { Err(Error::Argument(format!("recipe: {message}"))) }
        };
        let network = self.architecture(1);
        network.validate().map_err(|error| error.context("recipe"))?;
        let stride = network.stride();
        let family = self.network == NetworkKind::SpadeFamily;
        check(
            !self.latent || network.style() != StyleConfig::None && !network.needs().styles,
            "latent: SEAN and AdaIN have styles of their own, and pix2pixHD, pix2pix, crn and sims have no latent vector"
                .into(),
        )?;
        check(
            family || self.leading_blocks.is_empty(),
            "leading_blocks: pix2pixHD, pix2pix, crn and sims have none".into(),
        )?;
        check(
            family || self.upsampling == Upsampling::Normal,
            "upsampling: pix2pixHD, pix2pix, crn and sims do not have it".into(),
        )?;
        check(
            self.style_length.is_none() || network.needs().styles,
            "style_length: only networks with a style per class take one (SEAN, AdaIN, clade-styled)".into(),
        )?;
        check(
            self.fixed_statistics_from.is_none() || family && self.norm == NormKind::Batch,
            "fixed_statistics_from: only batch norms of the SPADE family have statistics to keep".into(),
        )?;
        check(
            self.spectral || self.network == NetworkKind::Pix2PixHd,
            "spectral: only pix2pixHD has the choice".into(),
        )?;
        check(
            !self.modulated || self.network == NetworkKind::Pix2PixHd,
            "modulated: only pix2pixHD has the choice".into(),
        )?;
        check(
            !self.input_positions || family,
            "input_positions: the first layer of pix2pixHD, pix2pix, crn and sims takes none".into(),
        )?;
        check(
            !matches!(self.adversarial, Adversarial::LeastSquares | Adversarial::CrossEntropy)
                || self.discriminator.kind == DiscriminatorKind::Patches,
            "adversarial: the segmentation discriminator has a loss of its own".into(),
        )?;
        if self.adversarial == Adversarial::None {
            let LossWeights { perceptual, l1, coarse, pyramid, .. } = self.losses;
            let seen = [l1, coarse, pyramid, if self.vgg.is_some() { perceptual } else { 0.0 }];
            check(
                seen.iter().any(|weight| *weight > 0.0),
                "adversarial is None, and no other loss compares pictures: give `vgg` for the perceptual loss, or a weight \
                 losses.pyramid, losses.l1 or losses.coarse"
                    .into(),
            )?;
            check(
                !self.diff_augment,
                "diff_augment: without a discriminator (adversarial: None) nothing sees it".into(),
            )?;
        }
        check(
            self.features.is_none() || self.network == NetworkKind::Pix2PixHd,
            "features: only pix2pixHD has instance features".into(),
        )?;
        check(!self.dropout || self.network == NetworkKind::Pix2Pix, "dropout: only pix2pix has it".into())?;
        check(self.noise || network.needs().noise, "noise: this network has none to leave out".into())?;
        check(!self.instance_edges || network.instance_edges(), "instance_edges: pix2pix takes none".into())?;
        let [height, width] = self.size;
        let least = network.least_side().max(LEAST_SIDE);
        let side = |side: usize| side >= least && side.is_multiple_of(stride) && side <= 8192;
        check(
            side(height) && side(width),
            format!("size is {width}x{height}: both sides must be multiples of {stride}, {least} to 8192"),
        )?;
        check(
            self.losses.coarse <= 0.0 || [height, width].iter().all(|side| side.is_multiple_of(8)),
            format!("losses.coarse averages cells of 8x8 pixels, but size is {width}x{height}: take multiples of 8"),
        )?;
        let DiscriminatorConfig { ndf, scales, layers, .. } = self.discriminator;
        check((1..=1024).contains(&ndf), format!("discriminator.ndf is {ndf}: it must be 1 to 1024"))?;
        check((1..=4).contains(&scales), format!("discriminator.scales is {scales}: it must be 1 to 4"))?;
        check((2..=6).contains(&layers), format!("discriminator.layers is {layers}: it must be 2 to 6"))?;
        check((1..=4096).contains(&self.batch), format!("batch is {}: it must be 1 to 4096", self.batch))?;
        let parts = self.accumulate;
        check((1..=4096).contains(&parts), format!("accumulate is {parts}: it must be 1 to 4096"))?;
        check(self.steps > 0, "steps is 0".into())?;
        let rate = self.learning_rate;
        check(rate > 0.0 && rate <= 1.0, format!("learning_rate is {rate}: it must be above 0 and at most 1"))?;
        check((0.0..1.0).contains(&self.ema), format!("ema is {}: it must be 0 to just below 1", self.ema))?;
        let scale = self.load_scale;
        check((1.0..=16.0).contains(&scale), format!("load_scale is {scale}: it must be 1 to 16"))?;
        for (name, weight) in [
            ("feature_matching", self.losses.feature_matching),
            ("perceptual", self.losses.perceptual),
            ("l1", self.losses.l1),
            ("coarse", self.losses.coarse),
            ("pyramid", self.losses.pyramid),
            ("kl", self.losses.kl),
            ("label_mix", self.losses.label_mix),
        ] {
            check(weight >= 0.0 && weight.is_finite(), format!("losses.{name} is {weight}: it must be 0 or more"))?;
        }
        for (name, every) in [
            ("sample_every", self.sample_every),
            ("checkpoint_every", self.checkpoint_every),
            ("log_every", self.log_every),
        ] {
            check(every > 0, format!("{name} is 0: it must be 1 or more"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ron_round_trip_and_partial_recipes() {
        let recipe = Recipe { vgg: Some("vgg19.pth".into()), ..Recipe::quick() };
        assert_eq!(Recipe::from_ron_str(&recipe.to_ron_string().unwrap()).unwrap(), recipe);
        let partial = Recipe::from_ron_str("(ngf: 32, decay_from: 7, modulation: Spade(kernel: 5))").unwrap();
        assert_eq!(partial.ngf, 32);
        assert_eq!(partial.decay_from, Some(7));
        assert_eq!(partial.modulation, ModulationKind::Spade { kernel: 5 });
        assert_eq!(partial.batch, Recipe::default().batch);
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let message = Recipe::from_ron_str("(batchsize: 3)").unwrap_err().to_string();
        assert!(message.contains("batchsize"), "{message}");
    }

    #[test]
    fn presets_are_valid_and_bad_values_are_named() {
        Recipe::default().validate().unwrap();
        Recipe::quick().validate().unwrap();
        let message = Recipe { size: [100, 128], ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("multiples of 32"), "{message}");
        let small = Recipe { upsampling: Upsampling::Two, size: [36, 40], ..Recipe::quick() };
        small.validate().unwrap();
        let message = Recipe { size: [28, 40], ..small }.validate().unwrap_err().to_string();
        assert!(message.contains("multiples of 4, 32 to"), "{message}");
        let (network, upsampling) = (NetworkKind::Pix2Pix, Upsampling::Two);
        let message = Recipe { network, upsampling, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("upsampling") && message.contains("pix2pix"), "{message}");
        Recipe { network, dropout: true, ..Recipe::quick() }.validate().unwrap();
        let message = Recipe { dropout: true, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("only pix2pix"), "{message}");
        Recipe { modulation: ModulationKind::Sean, noise: false, ..Recipe::quick() }.validate().unwrap();
        let message = Recipe { noise: false, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("noise"), "{message}");
        let message = Recipe { spectral: false, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("only pix2pixHD"), "{message}");
        let discriminator =
            DiscriminatorConfig { kind: DiscriminatorKind::Segmentation, ..DiscriminatorConfig::default() };
        let adversarial = Adversarial::LeastSquares;
        let message = Recipe { discriminator, adversarial, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("adversarial"), "{message}");
        let crn = Recipe { network: NetworkKind::Crn, adversarial: Adversarial::None, ..Recipe::quick() };
        crn.validate().unwrap();
        assert_eq!(Recipe::from_ron_str(&crn.to_ron_string().unwrap()).unwrap(), crn);
        let blind = Recipe { losses: LossWeights::default(), ..crn.clone() };
        let message = blind.validate().unwrap_err().to_string();
        assert!(message.contains("adversarial is None") && message.contains("losses.pyramid"), "{message}");
        Recipe { vgg: Some("vgg19.pth".into()), ..blind }.validate().unwrap();
        let message = Recipe { diff_augment: true, ..crn.clone() }.validate().unwrap_err().to_string();
        assert!(message.contains("diff_augment"), "{message}");
        Recipe { size: [60, 64], ..crn.clone() }.validate().unwrap();
        let message = Recipe { size: [61, 64], ..crn }.validate().unwrap_err().to_string();
        assert!(message.contains("multiples of 2"), "{message}");
        let message = Recipe { ema: 1.0, ..Recipe::quick() }.validate().unwrap_err().to_string();
        assert!(message.contains("ema"), "{message}");
    }

    #[test]
    fn rates_follow_ttur_and_fall_linearly() {
        let recipe = Recipe { steps: 100, decay_from: Some(50), learning_rate: 2e-4, ..Recipe::default() };
        assert_eq!(recipe.learning_rates(0), (1e-4, 4e-4));
        let (generator, _) = recipe.learning_rates(75);
        assert!((generator - 5e-5).abs() < 1e-12);
        assert!(recipe.learning_rates(100).0.abs() < 1e-12);
    }
}
