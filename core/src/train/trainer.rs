//! Single training steps.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use super::ema::{follow, warm_decay};
use super::inputs::{Sampling, generator_input, layout_of};
use super::losses::{
    coarse_l1, feature_matching, hinge_fake, hinge_generator, hinge_real, kl_divergence, l1, perceptual,
};
use super::{Adam, Batch, Recipe};
use crate::error::{Error, Result};
use crate::model::{load, read_back};
use crate::network::{Architecture, Discriminator, Network, Vgg19};
use crate::nn::{Init, LabelEncoding, Layout, Mode};
use crate::rng::Rng;
use crate::tensors::{Tensors, unwrapped};

/// Both networks, their optimizers and the number of completed steps.
#[derive(Debug)]
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) architecture: Architecture,
    /// The device with autodiff.
    pub(super) device: Device,
    /// Generator and encoder.
    pub(super) network: Network,
    pub(super) discriminator: Discriminator,
    /// The running average of the network, without gradients.
    pub(super) average: Option<Network>,
    pub(super) adam_g: Adam,
    pub(super) adam_d: Adam,
    pub(super) vgg: Option<Vgg19>,
    pub(super) step: u64,
}

/// The losses of a step, still on the device: reading them waits for the computation.
#[derive(Clone, Debug)]
pub struct Losses {
    /// The step, counted from 1.
    pub step: u64,
    names: Vec<&'static str>,
    values: Tensor<1>,
}

impl Losses {
    /// The unweighted values by name: `gan` (generator, adversarial), `feature` (feature matching), `vgg`, `l1`, `coarse`, `kl`
    /// (latent vectors), `d_real` and `d_fake` (discriminator).
    ///
    /// # Errors
    ///
    /// [`Error::Diverged`] naming the step and the loss that is not finite; [`Error::Device`] if reading fails.
    pub fn read(self) -> Result<BTreeMap<String, f32>> {
        let values = read_back(self.values)?;
        for (name, value) in self.names.iter().zip(&values) {
            // Hinge and L1 losses of a working network are of the order of 1; the KL divergence is a sum over the
            // batch.
            if !value.is_finite() || (value.abs() > 1e4 && *name != "kl") {
                return Err(Error::Diverged(format!(
                    "training diverged at step {}: loss {name} is {value}; checkpoints from before are kept. A smaller \
                     learning_rate or a larger batch may help",
                    self.step
                )));
            }
        }
        Ok(self.names.into_iter().map(str::to_owned).zip(values).collect())
    }
}

impl Trainer {
    /// New networks on a device, for label maps with `label_channels` channels.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the recipe is invalid; [`Error::Io`] or [`Error::Model`] if VGG19's weights cannot be
    /// used.
    pub fn new(recipe: Recipe, label_channels: usize, device: &crate::device::Device) -> Result<Self> {
        recipe.validate()?;
        let device = device.burn().clone().autodiff();
        let mut init = Init::random(recipe.seed, &device);
        let architecture = recipe.architecture(label_channels);
        let network = architecture.init(&mut init)?;
        let discriminator = recipe.discriminator.init(&mut init, architecture.semantics() + 3);
        let vgg = match &recipe.vgg {
            Some(path) => Some(load_vgg(path, &device)?),
            None => None,
        };
        let average = (recipe.ema > 0.0).then(|| network.valid());
        let (beta_1, beta_2) = recipe.betas();
        let adam = Adam::new(beta_1, beta_2);
        let (adam_g, adam_d) = (adam.clone(), adam);
        Ok(Self { recipe, architecture, device, network, discriminator, average, adam_g, adam_d, vgg, step: 0 })
    }

    /// Number of completed steps.
    pub fn steps_done(&self) -> u64 {
        self.step
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The configuration of the network that is trained.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The network in training: generator and encoder.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network that becomes the model: the running average, if there is one. Without gradients.
    pub fn averaged(&self) -> Network {
        self.average.as_ref().map_or_else(|| self.network.valid(), |average| average.clone().fork(&self.plain_device()))
    }

    /// Does one step of the generator, then one of the discriminator (Park et al. 2019, §4).
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if a label has no channel, [`Error::Argument`] if the batch does not fit the recipe.
    pub fn step(&mut self, batch: Batch) -> Result<Losses> {
        let Uploaded { layout, real, styles } = self.upload(batch, &self.device)?;
        let [height, width] = layout.size();
        let labels = layout.at(height, width).semantics();
        let conditioned = |picture: Tensor<4>| Tensor::cat(vec![labels.clone(), picture], 1);
        let (rate_g, rate_d) = self.recipe.learning_rates(self.step);
        self.step += 1;

        let styles = styles.as_ref();
        let (mut terms, mut fake) = self.step_generator(&layout, &real, styles, &conditioned, rate_g)?;
        if self.recipe.fresh_fakes {
            let network = self.network.clone().no_grad();
            let mode = self.mode();
            let (input, _) = generator_input(&network, &layout, &real, styles, self.sampling(1), mode)?;
            fake = network.forward(&input, mode)?.detach();
        }
        terms.extend(self.step_discriminator(fake, real, &conditioned, rate_d));
        if let Some(average) = self.average.take() {
            self.average = Some(follow(average, &self.network, warm_decay(self.recipe.ema, self.step)));
        }
        let (names, values): (Vec<_>, Vec<_>) = terms.into_iter().unzip();
        Ok(Losses { step: self.step, names, values: Tensor::cat(values, 0) })
    }

    /// The mode of the generator in the current step.
    fn mode(&self) -> Mode {
        match self.recipe.fixed_statistics_from {
            Some(from) if self.step > from => Mode::TrainFixed,
            _ => Mode::TRAIN,
        }
    }

    /// Uploads label maps, photos and styles to a device.
    fn upload(&self, batch: Batch, device: &Device) -> Result<Uploaded> {
        let instances = batch.instances.as_deref();
        let layout = layout_of(&self.architecture, batch.labels, instances, LabelEncoding::OneHot, device)?;
        let [height, width] = layout.size();
        let shape = [layout.batch(), 3, height, width];
        let (found, expected) = (batch.images.len(), shape.iter().product::<usize>());
        if found != expected {
            return Err(Error::Argument(format!("a batch of shape {shape:?} cannot hold {found} values")));
        }
        let real = Tensor::from_data(TensorData::new(batch.images, shape), device);
        let styles = match self.recipe.style_length {
            None => None,
            Some(length) => {
                let shape = [layout.batch(), self.architecture.label_channels(), length];
                let values = batch.styles.filter(|values| values.len() == shape.iter().product::<usize>());
                let values = values.ok_or_else(|| {
                    Error::Argument(format!("style_length is {length}: the batch has no styles of shape {shape:?}"))
                })?;
                Some(Tensor::from_data(TensorData::new(values, shape), device))
            }
        };
        Ok(Uploaded { layout, real, styles })
    }

    /// The random inputs of one of a step's passes; they depend only on seed, step and pass.
    fn sampling(&self, pass: u64) -> Sampling {
        Sampling { seed: Rng::at(self.recipe.seed, self.step).fork(pass).next_u64(), draw_latent: true }
    }

    fn step_generator(
        &mut self,
        layout: &Layout,
        real: &Tensor<4>,
        styles: Option<&Tensor<3>>,
        conditioned: &dyn Fn(Tensor<4>) -> Tensor<4>,
        rate: f64,
    ) -> Result<(Terms, Tensor<4>)> {
        // Gradients flow through this copy of the discriminator, but its own are not computed. It shares the vectors
        // of the power iteration, and the second pass uses those of the first: one iteration per step, as if both
        // halves were one batch.
        let discriminator = self.discriminator.clone().no_grad();
        let mode = self.mode();
        let (input, posterior) = generator_input(&self.network, layout, real, styles, self.sampling(0), mode)?;
        let fake = self.network.forward(&input, mode)?;
        let of_fake = discriminator.forward(conditioned(fake.clone()), Mode::TRAIN);
        let weights = &self.recipe.losses;
        let gan = hinge_generator(&of_fake);
        let mut terms = vec![("gan", gan.clone())];
        let mut total = gan;
        let mut add = |name, loss: Tensor<1>, weight: f64| {
            terms.push((name, loss.clone()));
            total = total.clone() + loss * weight;
        };
        if weights.feature_matching > 0.0 {
            let of_real = discriminator.forward(conditioned(real.clone()), Mode::EVAL);
            add("feature", feature_matching(&of_fake, &of_real), weights.feature_matching);
        }
        if let Some(vgg) = self.vgg.as_ref().filter(|_| weights.perceptual > 0.0) {
            add("vgg", perceptual(vgg, fake.clone(), real.clone()), weights.perceptual);
        }
        if weights.l1 > 0.0 {
            add("l1", l1(fake.clone(), real.clone()), weights.l1);
        }
        if weights.coarse > 0.0 {
            add("coarse", coarse_l1(fake.clone(), real.clone()), weights.coarse);
        }
        if let Some(posterior) = posterior {
            add("kl", kl_divergence(&posterior), weights.kl);
        }
        let gradients = total.backward();
        self.network = self.adam_g.step(self.network.clone(), gradients, rate);
        Ok((inner(terms), fake.detach()))
    }

    fn step_discriminator(
        &mut self,
        fake: Tensor<4>,
        real: Tensor<4>,
        conditioned: &dyn Fn(Tensor<4>) -> Tensor<4>,
        rate: f64,
    ) -> Terms {
        let loss_fake = hinge_fake(&self.discriminator.forward(conditioned(fake), Mode::TRAIN));
        let loss_real = hinge_real(&self.discriminator.forward(conditioned(real), Mode::EVAL));
        let terms = vec![("d_real", loss_real.clone()), ("d_fake", loss_fake.clone())];
        let gradients = (loss_fake + loss_real).backward();
        self.discriminator = self.adam_d.step(self.discriminator.clone(), gradients, rate);
        inner(terms)
    }

    /// A copy of the averaged network with recomputed statistics: averaged weights have other statistics than any of
    /// the networks they were averaged from. Running means and the vectors of spectral norm are computed over
    /// `batches`. In training with fixed statistics, these stay, and only spectral norm is brought up to date.
    ///
    /// # Errors
    ///
    /// Same as [`step`](Self::step).
    pub fn calibrated(&self, batches: impl IntoIterator<Item = Result<Batch>>) -> Result<Network> {
        let network = self.averaged();
        let device = self.plain_device();
        for (index, batch) in (0u64..).zip(batches) {
            let Uploaded { layout, real, styles } = self.upload(batch?, &device)?;
            let mode = match self.mode() {
                Mode::TrainFixed => Mode::TrainFixed,
                _ => Mode::Train { momentum: 1.0 / (index as f64 + 1.0) },
            };
            let sampling = self.sampling(2 + index);
            let (input, _) = generator_input(&network, &layout, &real, styles.as_ref(), sampling, mode)?;
            network.forward(&input, mode)?;
        }
        Ok(network)
    }

    pub(super) fn plain_device(&self) -> Device {
        self.device.clone().without_autodiff()
    }
}

/// A batch on a device.
struct Uploaded {
    layout: Layout,
    /// The photos.
    real: Tensor<4>,
    /// The styles of the data set, `[batch, classes, length]`.
    styles: Option<Tensor<3>>,
}

/// Losses by name.
type Terms = Vec<(&'static str, Tensor<1>)>;

/// Detaches losses from their graphs.
fn inner(terms: Terms) -> Terms {
    terms.into_iter().map(|(name, loss)| (name, loss.inner())).collect()
}

fn load_vgg(path: &std::path::Path, device: &Device) -> Result<Vgg19> {
    let tensors = unwrapped(Tensors::open(path)?, |name| name.starts_with("features."))?;
    // Frozen: gradients flow through it, but its own are not computed.
    let vgg = Vgg19::new(&mut Init::to_load(device));
    let hint = "this is not torchvision's VGG19";
    load(vgg, &tensors).map_err(|error| error.context(format!("{}: {hint}", path.display())))
}
