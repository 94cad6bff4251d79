//! The components of a terrain.

use std::time::Duration;

use bevy_asset::{AssetId, Handle};
use bevy_ecs::component::Component;
use bevy_ecs::reflect::ReflectComponent;
use bevy_image::Image;
use bevy_math::{BVec2, I64Vec2, UVec2};
use bevy_reflect::Reflect;
use bevy_reflect::std_traits::ReflectDefault;
use semsynth::{Border, ClassTable, Error, Request, Result, Style};

use crate::labels::LabelMap;
use crate::model::{SynthModel, SynthPresets};
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
    /// The style, or a preset of the model. With `None` it is the model's first preset; without presets, a model with a
    /// latent style draws one from the seed, and SEAN fails.
    #[reflect(ignore)]
    pub style: Option<StyleSource>,
    /// Other styles for some classes, one after the other.
    #[reflect(ignore)]
    pub class_styles: Vec<ClassStyle>,
    /// Turns off the noise in SEAN's features.
    pub quiet: bool,
    /// Whether the texture repeats without a seam, to the right and downwards. Such a terrain is repainted as a whole: core's
    /// live canvas ends at its borders. Sides must be multiples of the network's stride.
    pub wrap: BVec2,
    /// The place of the top left pixel in the world, in pixels, which anchors noise. Multiples of the network's stride make
    /// neighbours fit. For a [`SemanticWorld`](crate::SemanticWorld), the pixel of the world at its entity: the same world,
    /// moved.
    pub origin: I64Vec2,
    /// Terrains with a higher priority are painted first.
    pub priority: f32,
}

/// A style, or the name of a preset of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum StyleSource {
    /// A style.
    Style(Style),
    /// The name of a [preset](crate::SynthPresets).
    Preset(String),
}

impl From<Style> for StyleSource {
    fn from(style: Style) -> Self {
        Self::Style(style)
    }
}

impl From<&str> for StyleSource {
    fn from(preset: &str) -> Self {
        Self::Preset(preset.into())
    }
}

/// A class of the model, by its id or its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassKey {
    /// Its id.
    Id(u16),
    /// Its name.
    Name(String),
}

impl From<u16> for ClassKey {
    fn from(id: u16) -> Self {
        Self::Id(id)
    }
}

impl From<&str> for ClassKey {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl ClassKey {
    /// The id of the class.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there is no such class; it lists the valid names.
    pub fn id(&self, classes: &ClassTable) -> Result<u16> {
        let found = match self {
            Self::Id(id) => classes.get(*id),
            Self::Name(name) => classes.by_name(name),
        };
        found.map(|class| class.id).ok_or_else(|| {
            let wanted = match self {
                Self::Id(id) => format!("{id}"),
                Self::Name(name) => format!("{name:?}"),
            };
            let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            Error::Argument(format!("the model has no class {wanted}; it has {}", names.join(", ")))
        })
    }
}

/// The style of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassStyle {
    /// The class that takes it.
    pub class: ClassKey,
    /// Where it comes from.
    pub style: StyleSource,
    /// The class in that style; the same one if `None`.
    pub from: Option<ClassKey>,
    /// How much of it, 0 (the style as it was) to 1.
    pub weight: f32,
}

impl ClassStyle {
    /// A class as it is in a style or a preset.
    pub fn new(class: impl Into<ClassKey>, style: impl Into<StyleSource>, weight: f32) -> Self {
        Self { class: class.into(), style: style.into(), from: None, weight }
    }
}

impl SynthSettings {
    /// The inputs of the library, for a model with these classes and presets.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model has no such class or preset, if styles do not fit together, or if a weight is not 0
    /// to 1.
    pub(crate) fn request(&self, classes: &ClassTable, presets: &SynthPresets) -> Result<Request> {
        let find = |source: &StyleSource| match source {
            StyleSource::Style(style) => Ok(style.clone()),
            StyleSource::Preset(name) => presets.get(name).cloned().ok_or_else(|| {
                let names: Vec<&str> = presets.0.iter().map(|preset| preset.name.as_str()).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                Error::Argument(format!("the model has no preset {name:?}; it has {names}"))
            }),
        };
        let mut style = self.style.as_ref().map(find).transpose()?;
        for part in &self.class_styles {
            let (class, other) = (part.class.id(classes)?, find(&part.style)?);
            let from = part.from.as_ref().map_or(Ok(class), |from| from.id(classes))?;
            let first = || presets.0.first().map_or_else(|| other.clone(), |preset| preset.style.clone());
            let whole = style.take().unwrap_or_else(first);
            let replaced = whole.with_class(class, &other, from)?;
            style = Some(whole.blend_class(class, &replaced, part.weight)?);
        }
        let border = |wraps: bool| if wraps { Border::Wrap } else { Border::Zero };
        let request = Request::new().seed(self.seed).origin(self.origin.x, self.origin.y);
        let mut request = request.borders(border(self.wrap.y), border(self.wrap.x));
        request.style = style;
        request.quiet = self.quiet;
        Ok(request)
    }
}

/// The textures of a terrain. Handles change only when the size of the labels or what repeats does, and when a
/// [`SynthSurface`](crate::SynthSurface) comes or goes.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Component, Default)]
pub struct SynthOutput {
    /// The picture, sRGB with a chain of mips, each averaged in linear light. `None` until the labels are loaded.
    pub base_color: Option<Handle<Image>>,
    /// Normals, if there is a [`SynthSurface`](crate::SynthSurface).
    pub normal: Option<Handle<Image>>,
    /// Roughness in green, with blue 0 for no metal, if there is a [`SynthSurface`](crate::SynthSurface).
    pub roughness: Option<Handle<Image>>,
    /// Their size in pixels, that of the labels.
    pub size: UVec2,
}

impl SynthOutput {
    /// All textures there are.
    pub(crate) fn images(&self) -> impl Iterator<Item = AssetId<Image>> {
        [&self.base_color, &self.normal, &self.roughness].into_iter().flatten().map(Handle::id)
    }
}

/// What is going on with a terrain, a chunk or a world, which has no edits.
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
