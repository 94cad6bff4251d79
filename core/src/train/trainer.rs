//! Single training steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::critic::{Critic, View, add_gradients};
use super::ema::{follow, warm_decay};
use super::inputs::{Sampling, Sources, generator_input, layout_of};
use super::loss_scale::LossScale;
use super::losses::{
    balanced_perceptual, coarse_l1, cross_entropy_fake, cross_entropy_generator, cross_entropy_real, feature_matching,
    hinge_fake, hinge_generator, hinge_real, kl_divergence, l1, least_squares_fake, least_squares_generator,
    least_squares_real, perceptual, pyramid,
};
use super::segmentation::{LabelMix, balanced, pixels_of_classes, segment_fake};
use super::segments::Segments;
use super::sums::{sum_gradients, sum_tensor};
use super::vgg::load_vgg;
use super::{Adam, Adversarial, Batch, DiffAugment, Group, PerceptualLayers, Recipe};
use crate::collage::Collage;
use crate::error::{Error, Result};
use crate::model::read_back;
use crate::network::{Architecture, Encoder, Network, Vgg19};
use crate::nn::{GeneratorInput, Init, LabelEncoding, Layout, Mode, NormKind, Share};
use crate::rng::{Rng, mix64};

/// The networks, their optimizers and the number of completed steps.
#[derive(Debug)]
pub struct Trainer {
    pub(super) recipe: Recipe,
    pub(super) architecture: Architecture,
    /// The device with autodiff.
    pub(super) device: Device,
    /// Generator and encoder.
    pub(super) network: Network,
    /// The discriminator; `None` if the recipe has no adversarial loss.
    pub(super) critic: Option<Critic>,
    /// The running average of the network, without gradients.
    pub(super) average: Option<Network>,
    pub(super) adam_g: Adam,
    pub(super) adam_d: Adam,
    /// Of generator and discriminator, with mixed precision.
    pub(super) scales: Option<[LossScale; 2]>,
    pub(super) vgg: Option<Vgg19>,
    pub(super) step: u64,
    /// The processes that train the networks together.
    pub(super) group: Group,
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
    /// The unweighted values by name: `gan` (generator, adversarial), `feature` (feature matching), `vgg`, `l1`, `coarse`,
    /// `pyramid`, `kl` (latent vectors), `d_real` and `d_fake` (discriminator), `d_mix` (`LabelMix`).
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
        let mixed = recipe.mixed && Self::can_mix(device);
        let device = device.burn().clone().autodiff();
        let mut init = Init::random(recipe.seed, &device).mixed(mixed);
        let architecture = recipe.architecture(label_channels);
        let network = architecture.init(&mut init)?;
        let channels = [label_channels, architecture.semantics()];
        let critic = (recipe.adversarial != Adversarial::None)
            .then(|| Critic::new(&recipe.discriminator, &mut init, channels, recipe.size));
        let vgg = match &recipe.vgg {
            Some(path) => Some(load_vgg(path, recipe.perceptual, Init::to_load(&device).mixed(mixed))?),
            None => None,
        };
        let average = (recipe.ema > 0.0).then(|| network.valid());
        let (beta_1, beta_2) = recipe.betas();
        let adam = Adam::new(beta_1, beta_2);
        let (adam_g, adam_d) = (adam.clone(), adam);
        let scales = mixed.then(|| [LossScale::new(), LossScale::new()]);
        let group = Group::alone();
        Ok(Self { recipe, architecture, device, network, critic, average, adam_g, adam_d, scales, vgg, step: 0, group })
    }

    /// Whether [`mixed`](Recipe::mixed) has an effect on a device.
    pub fn can_mix(device: &crate::device::Device) -> bool {
        device.burn() != &Device::flex() && device.supports_half()
    }

    /// Makes this one of the processes of a group that trains the same networks together. Each gives its own pictures to
    /// [`step`](Self::step), and all compute the step of one batch: the pictures of all processes in the order of ranks. They may
    /// give different numbers of pictures, but of one size. Each process has all of both networks; gradients, losses and the
    /// statistics of batch norms are added up. From here on, all must make the same calls; those that are collective say so.
    ///
    /// Results equal those of one process with the whole batch but for rounding.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the processes differ in recipe, classes or completed steps, or if networks with batch norm are to
    /// be trained on another device than the CPU: elsewhere, statistics are not added up. [`Error::Device`] if a process is gone.
    pub fn together(self, group: Group) -> Result<Self> {
        if group.size() == 1 {
            return Ok(Self { group, ..self });
        }
        let ready = if self.architecture.norm() == NormKind::Batch && self.plain_device() != Device::flex() {
            Err(Error::Argument(
                "batch norm over several processes works on the CPU only: train on the CPU, or choose a recipe with \
                 norm: Instance"
                    .into(),
            ))
        } else if self.recipe.perceptual == PerceptualLayers::Balanced && self.vgg.is_some() {
            Err(Error::Argument(
                "perceptual: Balanced weighs layers by the whole batch, which several processes do not have: train in one, or \
                 choose perceptual: Deeper"
                    .into(),
            ))
        } else {
            self.digest()
        };
        let mine = group.agree(ready)?;
        let all = group.gather(&[self.step, mine])?;
        let (all, _) = all.as_chunks::<2>();
        for (rank, [step, digest]) in all.iter().enumerate() {
            // All compare with rank 0, so all find the same.
            if *digest != all[0][1] {
                return Err(Error::Argument(format!("rank {rank} has another recipe or other classes than rank 0")));
            }
            if *step != all[0][0] {
                let first = all[0][0];
                return Err(Error::Argument(format!("rank {rank} has done {step} steps, but rank 0 has done {first}")));
            }
        }
        Ok(Self { group, ..self })
    }

    /// A number that tells recipes and classes apart. Files may lie elsewhere on other machines.
    fn digest(&self) -> Result<u64> {
        let text = self.recipe.without_paths().to_ron_string()?;
        let numbers = [self.architecture.label_channels() as u64, u64::from(self.recipe.vgg.is_some())];
        Ok(text.bytes().map(u64::from).chain(numbers).fold(0, |digest, value| mix64(digest ^ value)))
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

    /// Does one step of the generator, then one of the discriminator, if there is one (Park et al. 2019, §4). With
    /// [`accumulate`](Recipe::accumulate), the batch is divided into that many parts, whose gradients are added up. In a group, a
    /// part is what the first, second… parts of all processes are together. Collective.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if a label has no channel, [`Error::Argument`] if the batch does not fit the recipe. What is wrong with the
    /// batch of one process is an error of all; after [`Error::Device`] the networks of a group must not be used any more.
    pub fn step(&mut self, batch: Batch) -> Result<Losses> {
        let parts = self.group.agree(batch.divided(self.recipe.accumulate))?;
        let parts = parts.into_iter().map(|part| self.upload(part, &self.device)).collect::<Result<Vec<_>>>()?;
        let (rate_g, rate_d) = self.recipe.learning_rates(self.step);
        self.step += 1;

        let mut terms = Vec::with_capacity(parts.len());
        let mut fakes = Vec::with_capacity(parts.len());
        let mut sum = None;
        for (index, part) in parts.iter().enumerate() {
            let (loss, of_part, fake) = self.generator_loss(part, Place { index, count: parts.len() })?;
            let loss = match &self.scales {
                Some([scale, _]) => scale.of(loss),
                None => loss,
            };
            let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
            add_gradients(&self.network, &mut sum, gradients);
            terms.push(of_part);
            fakes.push(fake);
        }
        let gradients = sum_gradients(&self.group, &self.network, sum.unwrap_or_default())?;
        let gradients = match &mut self.scales {
            Some([scale, _]) => scale.gradients(&self.network, gradients)?,
            None => Some(gradients),
        };
        if let Some(gradients) = gradients {
            self.network = self.adam_g.step_with(self.network.clone(), gradients, rate_g);
        }

        // A copy of handles: an error must not cost the discriminator.
        if let Some(critic) = self.critic.clone() {
            self.critic = Some(self.step_critic(critic, &parts, fakes, &mut terms, rate_d)?);
        }
        if let Some(average) = self.average.take() {
            self.average = Some(follow(average, &self.network, warm_decay(self.recipe.ema, self.step)));
        }
        let (names, values): (Vec<_>, Vec<_>) = joined(terms).into_iter().unzip();
        let values = sum_tensor(&self.group, Tensor::cat(values, 0))?;
        Ok(Losses { step: self.step, names, values })
    }

    /// The step of the discriminator, whose terms are added to those of each part.
    fn step_critic(
        &mut self,
        critic: Critic,
        parts: &[Uploaded],
        fakes: Vec<Tensor<4>>,
        terms: &mut [Terms],
        rate: f64,
    ) -> Result<Critic> {
        let mut sum = None;
        for (index, (part, mut fake)) in parts.iter().zip(fakes).enumerate() {
            let place = Place { index, count: parts.len() };
            if self.recipe.fresh_fakes {
                let network = self.network.clone().no_grad();
                let mode = self.mode_at(place);
                let sampling = self.sampling_at(1, place, part);
                let seed = sampling.seed;
                let (input, _) = generator_input(&network, &part.layout, part.sources(), sampling, mode)?;
                let input = self.with_dropout(input, seed);
                fake = network.forward(&input, mode)?.detach();
            }
            let (loss, of_part) = self.discriminator_loss(&critic, part, fake, place)?;
            let loss = match &self.scales {
                Some([_, scale]) => scale.of(loss),
                None => loss,
            };
            let gradients = critic.gradients(loss.backward());
            critic.add(&mut sum, gradients);
            if let Some(terms) = terms.get_mut(index) {
                terms.extend(of_part);
            }
        }
        let gradients = critic.sum(&self.group, sum.unwrap_or_default())?;
        let gradients = match &mut self.scales {
            Some([_, scale]) => critic.unscaled(scale, gradients)?,
            None => Some(gradients),
        };
        Ok(match gradients {
            Some(gradients) => critic.stepped(&mut self.adam_d, gradients, rate),
            None => critic,
        })
    }

    /// The mode of the generator in a part of the current step. Power iterations happen once per step; statistics of the
    /// batch are those of each part.
    fn mode_at(&self, place: Place) -> Mode {
        let mode = self.mode();
        match mode {
            Mode::Train { .. } if self.architecture.norm() == NormKind::Batch => mode,
            _ if place.index > 0 => Mode::EVAL,
            _ => mode,
        }
    }

    /// The mode of the discriminator's first pass in a part of the current step.
    fn first_pass(place: Place) -> Mode {
        if place.index == 0 { Mode::TRAIN } else { Mode::EVAL }
    }

    /// How the discriminator sees a part in one of a step's passes.
    fn view(&self, part: &Uploaded, pass: u64, place: Place) -> View {
        let [height, width] = part.layout.size();
        let (first, batch) = (part.share.first(), part.layout.batch());
        let draw = || DiffAugment::draw_from(first, self.seed(pass, place), batch, [height, width]);
        View::new(&part.layout, self.recipe.diff_augment.then(draw))
    }

    /// A seed for one of a step's passes over a part.
    fn seed(&self, pass: u64, place: Place) -> u64 {
        let random = Rng::at(self.recipe.seed, self.step).fork(pass);
        let mut random = if place.index == 0 { random } else { random.fork(place.index as u64) };
        random.next_u64()
    }

    /// The random inputs of one of a step's passes over a part; they depend only on seed, step, pass and part.
    fn sampling_at(&self, pass: u64, place: Place, part: &Uploaded) -> Sampling {
        let (seed, share) = (self.seed(pass, place), part.share.clone());
        Sampling { seed, noise: self.recipe.noise, draw_latent: true, share }
    }

    /// The input with the dropout of the recipe.
    fn with_dropout(&self, input: GeneratorInput, seed: u64) -> GeneratorInput {
        if self.recipe.dropout { input.dropout(seed) } else { input }
    }

    /// The mode of the generator in the current step.
    fn mode(&self) -> Mode {
        match self.recipe.fixed_statistics_from {
            Some(from) if self.step > from => Mode::TrainFixed,
            _ => Mode::TRAIN,
        }
    }

    /// Uploads a batch to a device. Collective.
    fn upload(&self, batch: Batch, device: &Device) -> Result<Uploaded> {
        let part = self.group.agree(self.uploaded(batch, device))?;
        let share = self.share(part.layout.batch(), part.layout.size())?;
        Ok(Uploaded { share, ..part })
    }

    /// Which pictures of the batch of all processes this one has, given their number and size.
    fn share(&self, pictures: usize, size: [usize; 2]) -> Result<Share> {
        if self.group.size() == 1 {
            return Ok(Share::default());
        }
        let all = self.group.gather(&[pictures, size[0], size[1]])?;
        let (all, _) = all.as_chunks::<3>();
        let [_, height, width] = all[0];
        if let Some(rank) = all.iter().position(|other| other[1..] != [height, width]) {
            let [_, other_height, other_width] = all[rank];
            return Err(Error::Argument(format!(
                "pictures of a batch must have one size: those of rank {rank} have {other_width}x{other_height} pixels, \
                 those of rank 0 {width}x{height}"
            )));
        }
        let count = |ranks: &[[usize; 3]]| ranks.iter().map(|[pictures, ..]| pictures).sum();
        Ok(Share::new(count(&all[..self.group.rank()]), count(all), Arc::new(self.group.clone())))
    }

    /// The part of the batch that this process has, on a device.
    fn uploaded(&self, batch: Batch, device: &Device) -> Result<Uploaded> {
        let instances = batch.instances.as_deref();
        let segments = match self.network.encoder {
            Some(Encoder::Features(_)) => Some(Segments::new(&batch.labels, instances, device)?),
            _ => None,
        };
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
        let collages = if self.architecture.takes_collage() {
            let shape = [layout.batch(), Collage::CHANNELS, height, width];
            let values = batch.collages.filter(|values| values.len() == shape.iter().product::<usize>());
            let values = values.ok_or_else(|| {
                Error::Argument(format!("this network takes collages: the batch has none of shape {shape:?}"))
            })?;
            Some(Tensor::from_data(TensorData::new(values, shape), device))
        } else {
            None
        };
        Ok(Uploaded { layout, real, styles, collages, segments, share: Share::default() })
    }

    /// The sum of the cross-entropies of classes, balanced over the whole batch; here, what the pictures of this process add.
    fn segment_real(&self, scores: Tensor<4>, labels: &Tensor<4>) -> Result<Tensor<1>> {
        Ok(balanced(scores, labels, sum_tensor(&self.group, pixels_of_classes(labels))?))
    }

    /// The loss of the generator in a part of the step, its terms, and the pictures it has synthesized. In a group, losses are what
    /// this process adds to those of the batch.
    fn generator_loss(&self, part: &Uploaded, place: Place) -> Result<(Tensor<1>, Terms, Tensor<4>)> {
        let Uploaded { layout, real, .. } = part;
        let mode = self.mode_at(place);
        let sampling = self.sampling_at(0, place, part);
        let seed = sampling.seed;
        let (input, posterior) = generator_input(&self.network, layout, part.sources(), sampling, mode)?;
        let input = self.with_dropout(input, seed);
        let fake = self.network.forward(&input, mode)?;
        let weights = &self.recipe.losses;
        let mut terms = Terms::new();
        let mut total: Option<Tensor<1>> = None;
        let mut add = |name, loss: Tensor<1>, weight: f64| {
            terms.push((name, loss.clone()));
            let term = loss * weight;
            total = Some(match total.take() {
                Some(total) => total + term,
                None => term,
            });
        };
        let adversarial = self.critic.as_ref().map(|critic| self.adversarial_loss(critic, part, &fake, place));
        if let Some((gan, feature)) = adversarial.transpose()? {
            add("gan", gan, 1.0);
            if let Some(feature) = feature {
                add("feature", feature, weights.feature_matching);
            }
        }
        if let Some(vgg) = self.vgg.as_ref().filter(|_| weights.perceptual > 0.0) {
            let loss = match self.recipe.perceptual {
                PerceptualLayers::Deeper => perceptual,
                PerceptualLayers::Balanced => balanced_perceptual,
            };
            add("vgg", part.share_of(loss(vgg, fake.clone(), real.clone())), weights.perceptual);
        }
        if weights.l1 > 0.0 {
            add("l1", part.share_of(l1(fake.clone(), real.clone())), weights.l1);
        }
        if weights.coarse > 0.0 {
            add("coarse", part.share_of(coarse_l1(fake.clone(), real.clone())), weights.coarse);
        }
        if weights.pyramid > 0.0 {
            add("pyramid", part.share_of(pyramid(fake.clone(), real.clone())), weights.pyramid);
        }
        if let Some(posterior) = posterior {
            // A sum over pictures, which the division below must leave as it is.
            add("kl", kl_divergence(&posterior), weights.kl * place.count as f64);
        }
        let total = total.ok_or_else(|| Error::Argument("recipe: there is no loss to learn from".into()))?;
        Ok((place.share(total), inner(terms), fake.detach()))
    }

    /// The adversarial loss of the generator in a part of the step, and feature matching if the recipe has it.
    fn adversarial_loss(
        &self,
        critic: &Critic,
        part: &Uploaded,
        fake: &Tensor<4>,
        place: Place,
    ) -> Result<(Tensor<1>, Option<Tensor<1>>)> {
        let view = self.view(part, pass::VIEW_G, place);
        // Gradients flow through this copy of the discriminator, but its own are not computed. It shares the vectors
        // of the power iteration, and the second pass uses those of the first: one iteration per step, as if both
        // halves were one batch.
        Ok(match critic.frozen() {
            Critic::Patches(network) => {
                let of_fake = network.forward(view.conditioned(fake.clone()), Self::first_pass(place));
                let feature = (self.recipe.losses.feature_matching > 0.0).then(|| {
                    let of_real = network.forward(view.conditioned(part.real.clone()), Mode::EVAL);
                    part.share_of(feature_matching(&of_fake, &of_real))
                });
                let gan = match self.recipe.adversarial {
                    Adversarial::LeastSquares => least_squares_generator(&of_fake),
                    Adversarial::CrossEntropy => cross_entropy_generator(&of_fake),
                    Adversarial::Hinge | Adversarial::None => hinge_generator(&of_fake),
                };
                (part.share_of(gan), feature)
            }
            Critic::Segmentation(network) => {
                let scores = network.forward(view.picture(fake.clone()), Self::first_pass(place));
                (self.segment_real(scores, &view.labels)?, None)
            }
        })
    }

    /// The loss of the discriminator in a part of the step, and its terms; as [`generator_loss`](Self::generator_loss).
    fn discriminator_loss(
        &self,
        critic: &Critic,
        part: &Uploaded,
        fake: Tensor<4>,
        place: Place,
    ) -> Result<(Tensor<1>, Terms)> {
        let view = self.view(part, pass::VIEW_D, place);
        let real = part.real.clone();
        let (loss, terms) = match critic {
            Critic::Patches(network) => {
                let of_fake = network.forward(view.conditioned(fake), Self::first_pass(place));
                let of_real = network.forward(view.conditioned(real), Mode::EVAL);
                let (loss_fake, loss_real) = match self.recipe.adversarial {
                    Adversarial::LeastSquares => (least_squares_fake(&of_fake), least_squares_real(&of_real)),
                    Adversarial::CrossEntropy => (cross_entropy_fake(&of_fake), cross_entropy_real(&of_real)),
                    Adversarial::Hinge | Adversarial::None => (hinge_fake(&of_fake), hinge_real(&of_real)),
                };
                let (loss_fake, loss_real) = (part.share_of(loss_fake), part.share_of(loss_real));
                let terms = vec![("d_real", loss_real.clone()), ("d_fake", loss_fake.clone())];
                (loss_fake + loss_real, terms)
            }
            Critic::Segmentation(network) => {
                let (fake, real) = (view.picture(fake), view.picture(real));
                let of_fake = network.forward(fake.clone(), Self::first_pass(place));
                let of_real = network.forward(real.clone(), Mode::EVAL);
                let (loss_fake, loss_real) =
                    (part.share_of(segment_fake(of_fake.clone())), self.segment_real(of_real.clone(), &view.labels)?);
                let mut terms = vec![("d_real", loss_real.clone()), ("d_fake", loss_fake.clone())];
                let mut loss = loss_fake + loss_real;
                if self.recipe.losses.label_mix > 0.0 {
                    let mix = LabelMix::draw_from(part.share.first(), self.seed(pass::MIX, place), &view.labels);
                    let of_mixed = network.forward(mix.mixed(real, fake), Mode::EVAL);
                    let consistency = part.share_of(mix.consistency(of_mixed, of_real, of_fake));
                    terms.push(("d_mix", consistency.clone()));
                    loss = loss + consistency * self.recipe.losses.label_mix;
                }
                (loss, terms)
            }
        };
        Ok((place.share(loss), inner(terms)))
    }

    /// A copy of the averaged network with recomputed statistics: averaged weights have other statistics than any of
    /// the networks they were averaged from. Running means and the vectors of spectral norm are computed over
    /// `batches`. In training with fixed statistics, these stay, and only spectral norm is brought up to date. Collective: each
    /// process of a group gives its part of each batch.
    ///
    /// # Errors
    ///
    /// Same as [`step`](Self::step).
    pub fn calibrated(&self, batches: impl IntoIterator<Item = Result<Batch>>) -> Result<Network> {
        let network = self.averaged();
        let device = self.plain_device();
        let parts = batches.into_iter().flat_map(|batch| {
            let parts = batch.and_then(|batch| batch.divided(self.recipe.accumulate));
            match parts {
                Ok(parts) => parts.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        });
        for (index, batch) in (0u64..).zip(parts) {
            let part = self.upload(self.group.agree(batch)?, &device)?;
            let mode = match self.mode() {
                Mode::TrainFixed => Mode::TrainFixed,
                _ => Mode::Train { momentum: 1.0 / (index as f64 + 1.0) },
            };
            let sampling = self.sampling_at(2 + index, Place { index: 0, count: 1 }, &part);
            let (input, _) = generator_input(&network, &part.layout, part.sources(), sampling, mode)?;
            network.forward(&input, mode)?;
        }
        self.group.check()?;
        Ok(network)
    }

    pub(super) fn plain_device(&self) -> Device {
        self.device.clone().without_autodiff()
    }
}

/// Numbers of a step's random draws, beside those of the generator's passes, which count from 0.
mod pass {
    pub(super) const VIEW_G: u64 = 1 << 40;
    pub(super) const VIEW_D: u64 = VIEW_G + 1;
    pub(super) const MIX: u64 = VIEW_G + 2;
}

/// Which part of a step, and of how many.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    count: usize,
}

impl Place {
    /// What a part adds to a mean over all parts.
    fn share(self, loss: Tensor<1>) -> Tensor<1> {
        if self.count == 1 { loss } else { loss / self.count as f64 }
    }
}

/// The terms of all parts of a step as those of the whole: means, but for the sum `kl`.
fn joined(parts: Vec<Terms>) -> Terms {
    let count = parts.len() as f64;
    let mut parts = parts.into_iter();
    let mut whole = parts.next().unwrap_or_default();
    for part in parts {
        for ((_, sum), (_, value)) in whole.iter_mut().zip(part) {
            *sum = sum.clone() + value;
        }
    }
    if count > 1.0 {
        for (name, sum) in &mut whole {
            if *name != "kl" {
                *sum = sum.clone() / count;
            }
        }
    }
    whole
}

/// A batch on a device.
struct Uploaded {
    layout: Layout,
    /// The photos.
    real: Tensor<4>,
    /// The styles of the data set, `[batch, classes, length]`.
    styles: Option<Tensor<3>>,
    /// The collages, `[batch, 4, height, width]`.
    collages: Option<Tensor<4>>,
    /// The objects of the pictures, for networks with instance features.
    segments: Option<Segments>,
    /// Which pictures of the part these are, in a group.
    share: Share,
}

impl Uploaded {
    /// What the network takes besides label maps.
    fn sources(&self) -> Sources<'_> {
        let (styles, collages) = (self.styles.as_ref(), self.collages.as_ref());
        Sources { photos: &self.real, styles, collages, segments: self.segments.as_ref() }
    }

    /// What the mean over these pictures adds to that over the pictures of all processes.
    fn share_of(&self, mean: Tensor<1>) -> Tensor<1> {
        let here = self.layout.batch();
        let whole = self.share.whole(here);
        if here == whole { mean } else { mean * (here as f64 / whole as f64) }
    }
}

/// Losses by name.
type Terms = Vec<(&'static str, Tensor<1>)>;

/// Detaches losses from their graphs.
fn inner(terms: Terms) -> Terms {
    terms.into_iter().map(|(name, loss)| (name, loss.inner())).collect()
}
