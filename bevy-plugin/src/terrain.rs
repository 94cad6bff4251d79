//! The components of a terrain.

use std::time::Duration;

use bevy_asset::Handle;
use bevy_ecs::component::Component;
use bevy_ecs::reflect::ReflectComponent;
use bevy_image::Image;
use bevy_math::{BVec2, I64Vec2, UVec2};
use bevy_reflect::Reflect;
use bevy_reflect::std_traits::ReflectDefault;
use semsynth::{Border, Request, Result, Style};

use crate::labels::LabelMap;
use crate::model::SynthModel;
use crate::sync::Link;

/// Paints the ground: labels become a texture, which follows every edit.
///
/// ```no_run
/// # use bevy_asset::{AssetServer, Assets};
/// # use bevy_ecs::prelude::*;
/// # use bevy_semsynth::*;
/// fn setup(mut commands: Commands, mut models: ResMut<Assets<SynthModel>>, files: Res<AssetServer>) -> Result {
///     commands.spawn((
///         SemanticTerrain {
///             labels: files.load("island.labels.png"),
///             model: models.add(SynthModel::builtin("facades")?),
///         },
///         // Mesh3d(..), and a MeshMaterial3d<StandardMaterial>, which then shows the texture.
///     ));
///     Ok(())
/// }
/// ```
#[derive(Component, Clone, Debug)]
#[require(SynthSettings, SynthOutput, SynthStatus, Link)]
pub struct SemanticTerrain {
    /// The class of each pixel.
    pub labels: Handle<LabelMap>,
    /// The network that paints.
    pub model: Handle<SynthModel>,
}

/// How a terrain is painted. A change repaints all of it.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Component, Default)]
pub struct SynthSettings {
    /// Seed of the network's randomness. SPADE and CLADE have none.
    pub seed: u64,
    /// The style. SEAN needs one; a model with a latent style draws one from the seed if this is `None`.
    #[reflect(ignore)]
    pub style: Option<Style>,
    /// Other styles for some classes.
    #[reflect(ignore)]
    pub class_styles: Vec<ClassStyle>,
    /// Turns off the noise in SEAN's features.
    pub quiet: bool,
    /// Whether the texture repeats without a seam, to the right and downwards. Such a terrain is repainted as a whole: core's
    /// live canvas ends at its borders. Sides must be multiples of the network's stride.
    pub wrap: BVec2,
    /// The place of the top left pixel in the world, in pixels, which anchors noise. Multiples of the network's stride make
    /// neighbours fit.
    pub origin: I64Vec2,
    /// Terrains with a higher priority are painted first.
    pub priority: f32,
}

/// The style of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassStyle {
    /// The id of the class that takes it.
    pub class: u16,
    /// Where it comes from.
    pub style: Style,
    /// The class in that style.
    pub from: u16,
    /// How much of it, 0 (the style as it was) to 1.
    pub weight: f32,
}

impl SynthSettings {
    /// The inputs of the library.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`](semsynth::Error::Argument) if styles do not fit together, there is a style of a class but none
    /// of the rest, or a weight is not 0 to 1.
    pub(crate) fn request(&self) -> Result<Request> {
        let mut style = self.style.clone();
        for part in &self.class_styles {
            let whole = style.as_ref().unwrap_or(&part.style);
            let replaced = whole.with_class(part.class, &part.style, part.from)?;
            style = Some(whole.blend_class(part.class, &replaced, part.weight)?);
        }
        let border = |wraps: bool| if wraps { Border::Wrap } else { Border::Zero };
        let request = Request::new().seed(self.seed).origin(self.origin.x, self.origin.y);
        let mut request = request.borders(border(self.wrap.y), border(self.wrap.x));
        request.style = style;
        request.quiet = self.quiet;
        Ok(request)
    }
}

/// The textures of a terrain. Handles change only when the size of the labels does.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Component, Default)]
pub struct SynthOutput {
    /// The picture, sRGB with a chain of mips, each averaged in linear light. `None` until the labels are loaded.
    pub base_color: Option<Handle<Image>>,
    /// Its size in pixels, that of the labels.
    pub size: UVec2,
}

/// What is going on with a terrain.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Component, Default)]
pub struct SynthStatus {
    /// The state.
    pub state: SynthState,
    /// Grows when labels are replaced, or model or settings change: results of earlier generations are dropped.
    pub generation: u64,
    /// Number of edits sent to the worker.
    pub sent: u64,
    /// Number of edits that the texture shows, at least as a preview.
    pub shown: u64,
    /// Number of edits up to which the texture is final.
    pub settled: u64,
    /// Time from the last edit to its first visible change, as of the hand-over to the GPU's queue.
    pub latency: Option<Duration>,
}

/// The state of a terrain.
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
pub enum SynthState {
    /// Waits for labels or a model to be loaded.
    #[default]
    Loading,
    /// Waits for the worker.
    Queued,
    /// Is being painted.
    Running {
        /// The fraction done of the current step, 0 to 1.
        progress: f32,
    },
    /// The texture shows all edits at full quality.
    Ready,
    /// Cannot be painted; the texture stays as it was. New labels, another model or other settings try again.
    Failed {
        /// What is wrong and what to do.
        error: String,
    },
}

/// Keeps the plugin from changing the `StandardMaterial` of this entity.
#[derive(Component, Clone, Copy, Debug, Default, Reflect)]
#[reflect(Component, Default)]
pub struct ManualMaterial;
