//! The list of modulations, and everything that asks each of them.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::facts::{BlockTensors, Facts, ModulationConfig};
use super::norm::{Layer, ModulationTables};
use crate::error::Result;
use crate::nn::Init;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;

/// Makes the types that know every modulation. A line is: the name in files, its parameters with the values that networks
/// of the papers have, and its layer.
macro_rules! modulations {
    ($(
        $(#[$doc:meta])*
        $kind:ident $({ $($(#[$field_doc:meta])* $field:ident: $type:ty = $usual:expr),* })? => $folder:ident::$layer:ident,
    )*) => {
        /// Which modulation a block uses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ModulationKind {
            $($(#[$doc])* $kind $({ $($(#[$field_doc])* $field: $type),* })?,)*
        }

        impl ModulationKind {
            /// Every modulation, with the parameters it has in the papers.
            pub const ALL: &[Self] = &[$(Self::$kind $({ $($field: $usual),* })?),*];

            /// What is known of it.
            pub(crate) fn facts(self) -> Box<dyn Facts> {
                match self {
                    $(Self::$kind $({ $($field),* })? => Box::new(super::$folder::Facts $({ $($field),* })?),)*
                }
            }

            /// The modulation of a block of a checkpoint, if it is one of these.
            ///
            /// # Errors
            ///
            /// [`Error::Model`](crate::Error::Model) if a tensor that it is told by has another number of sides than it must
            /// have.
            pub(crate) fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
                $(
                    if let Some(super::$folder::Facts $({ $($field),* })?) = <super::$folder::Facts as Facts>::detect(block)? {
                        return Ok(Some(Self::$kind $({ $($field),* })?));
                    }
                )*
                Ok(None)
            }

            /// A layer of it, for features of `channels` channels.
            pub(super) fn layer(self, init: &mut Init, config: &ModulationConfig, channels: usize) -> Modulation {
                match self {
                    $(Self::$kind $({ $($field),* })? => {
                        let facts = super::$folder::Facts $({ $($field),* })?;
                        Modulation::$kind(super::$folder::$layer::new(init, &facts, channels, config))
                    })*
                }
            }
        }

        /// Turns a normalised feature map into a modulated one.
        #[derive(Module, Debug)]
        #[allow(clippy::large_enum_variant, reason = "a network has a few dozen of them")]
        pub enum Modulation {
            $($(#[$doc])* $kind(super::$folder::$layer),)*
        }

        impl Modulation {
            pub(super) fn modulate(&self, normalized: Tensor<4>, input: BlockInput<'_>) -> Tensor<4> {
                match self { $(Self::$kind(layer) => layer.modulate(normalized, input),)* }
            }

            pub(super) fn extra(&self, labels: &LabelTensors) -> Option<Tensor<4>> {
                match self { $(Self::$kind(layer) => layer.extra(labels),)* }
            }

            pub(super) fn noise_strength(&self) -> Option<Tensor<1>> {
                match self { $(Self::$kind(layer) => layer.noise_strength(),)* }
            }

            pub(super) fn tables(&self, labels: &LabelTensors, style: Option<&Tensor<3>>) -> Option<ModulationTables> {
                match self { $(Self::$kind(layer) => layer.tables(labels, style),)* }
            }
        }

        /// What the papers' code calls a layer of a modulation: what follows the name of the norm. From the name of the
        /// variant of [`Modulation`] and the path within it.
        pub(crate) fn official_name(variant: &str, path: &[&str]) -> Option<String> {
            $(if variant == stringify!($kind) {
                return <super::$folder::Facts as Facts>::official_name(path);
            })*
            None
        }

        /// What the papers' code calls norms with the modulation of this variant, before `_0`, `_1` and `_s`.
        pub(crate) fn norm_prefix(variant: &str) -> Option<&'static str> {
            $(if variant == stringify!($kind) {
                let facts = super::$folder::Facts $({ $($field: $usual),* })?;
                return Some(facts.norm_prefix());
            })*
            None
        }
    };
}

modulations! {
    /// SPADE: scale and shift are convolved from the label map.
    Spade {
        /// Side of the square kernels (odd, the papers use 3 and 5).
        kernel: usize = 3
    } => spade::Spade,
    /// CLADE: one scale and one shift per class and channel.
    Clade => clade::Clade,
    /// CLADE whose scale and shift also depend on the place within the object (CLADE-ICPE).
    CladeIcpe => clade_icpe::CladeIcpe,
    /// SEAN: SPADE mixed with scales and shifts from a style per class, over noisy features.
    Sean => sean::Sean,
    /// AdaIN with a style per class.
    Adain => adain::Adain,
}
