//! The networks: generators and discriminators.

mod discriminator;
mod generator;
mod names;
mod vgg;

pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use generator::{Generator, GeneratorConfig, Upsampling};
pub use vgg::Vgg19;

pub(crate) use names::official_names;
