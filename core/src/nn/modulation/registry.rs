//! The list of modulations, and the functions that dispatch on it.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::facts::{BlockTensors, Facts, ModulationConfig};
use super::norm::{Layer, ModulationTables};
use crate::error::Result;
use crate::nn::Init;
use crate::nn::input::BlockInput;
use crate::nn::layout::LabelTensors;

/// Generates the types that know every modulation. An entry has the name used in files, the parameters with their
/// values in the papers' networks, and the layer.
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
            /// Every modulation, with its parameters as in the papers.
            pub const ALL: &[Self] = &[$(Self::$kind $({ $($field: $usual),* })?),*];

            /// The description of the modulation.
            pub(crate) fn facts(self) -> Box<dyn Facts> {
                match self {
                    $(Self::$kind $({ $($field),* })? => Box::new(super::$folder::Facts $({ $($field),* })?),)*
                }
            }

            /// Detects the modulation of a block of a checkpoint.
            ///
            /// # Errors
            ///
            /// [`Error::Model`](crate::Error::Model) if a tensor that identifies a modulation has the wrong number of
            /// dimensions.
            pub(crate) fn detect(block: BlockTensors<'_>) -> Result<Option<Self>> {
                $(
                    if let Some(super::$folder::Facts $({ $($field),* })?) = <super::$folder::Facts as Facts>::detect(block)? {
                        return Ok(Some(Self::$kind $({ $($field),* })?));
                    }
                )*
                Ok(None)
            }

            /// Makes a layer for features with `channels` channels.
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

        /// The name of a layer of a modulation in the papers' code, without that of the norm. `variant` is the name
        /// of the variant of [`Modulation`], `path` the layer's path within it.
        pub(crate) fn official_name(variant: &str, path: &[&str]) -> Option<String> {
            $(if variant == stringify!($kind) {
                return <super::$folder::Facts as Facts>::official_name(path);
            })*
            None
        }

        /// Prefix of the norms with this variant of [`Modulation`] in the papers' code, before `_0`, `_1` and `_s`.
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
    /// SPADE: scale and shift are convolutions of the label map.
    Spade {
        /// Size of the square kernels (odd; the papers use 3 and 5).
        kernel: usize = 3
    } => spade::Spade,
    /// CLADE: one scale and one shift per class and channel.
    Clade => clade::Clade,
    /// CLADE-ICPE: CLADE whose scale and shift also depend on the position within the object.
    CladeIcpe => clade_icpe::CladeIcpe,
    /// CLADE with the position within the object beside the features: a comparison for CLADE-ICPE.
    CladePositions => clade_positions::CladePositions,
    /// SEAN: SPADE blended with a scale and shift from a style per class, on features with added noise.
    Sean => sean::Sean,
    /// AdaIN with a style per class.
    Adain => adain::Adain,
    /// CLADE whose tables depend on a style per class, on features with added noise.
    CladeStyled => clade_styled::CladeStyled,
    /// SPADE on features with added noise: SEAN without styles.
    SpadeNoise => spade_noise::SpadeNoise,
    /// No modulation: the labels are further channels of the features (the SPADE paper's "decoder + concat").
    Concat => concat::Concat,
}
