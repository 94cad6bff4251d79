//! How a terrain looks, as a file that can be changed while the app runs.

use std::collections::BTreeMap;

use bevy_asset::io::Reader;
use bevy_asset::{Asset, AssetEvent, AssetId, AssetLoader, Assets, Handle, LoadContext};
use bevy_ecs::component::Component;
use bevy_ecs::message::MessageReader;
use bevy_ecs::system::{Query, Res};
use bevy_math::BVec2;
use bevy_reflect::TypePath;
use serde::{Deserialize, Serialize};

use crate::cost::FrameCost;
use crate::error::LoadError;
use crate::terrain::{ClassKey, ClassStyle, StyleSource, SynthSettings};

/// Settings of a terrain from a `.look.ron` file; what it leaves out has its default:
///
/// ```
/// # let look = bevy_semsynth::TerrainLook::from_ron_str(r#"
/// (
///     seed: 7,
///     preset: "alpine",                                   // a preset of the model
///     classes: {
///         "grass": (preset: "savanna", weight: 0.5),      // half of it as in another preset
///         "rock": (preset: "volcanic", from: "dirt"),     // as another class of that preset
///     },
///     wrap: (true, true),
///     quiet: false,
/// )
/// # "#).unwrap();
/// # assert_eq!((look.seed, look.classes.len()), (7, 2));
/// ```
#[derive(Asset, TypePath, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TerrainLook {
    /// Seed of the network's randomness.
    pub seed: u64,
    /// The preset; without one, that of the model.
    pub preset: Option<String>,
    /// Classes, by name, that look different.
    pub classes: BTreeMap<String, ClassLook>,
    /// Whether the texture repeats to the right and downwards.
    pub wrap: (bool, bool),
    /// Turns off the noise in the features.
    pub quiet: bool,
}

/// How one class looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassLook {
    /// The preset it is taken from.
    pub preset: String,
    /// The class in that preset; the same one by default.
    #[serde(default)]
    pub from: Option<String>,
    /// How much of it, 0 to 1.
    #[serde(default = "all")]
    pub weight: f32,
}

fn all() -> f32 {
    1.0
}

impl TerrainLook {
    /// Reads the content of a file.
    ///
    /// # Errors
    ///
    /// [`LoadError::Look`] with line and column.
    pub fn from_ron_str(text: &str) -> Result<Self, LoadError> {
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        options.from_str(text.trim_start_matches('\u{feff}')).map_err(|error| LoadError::Look(error.to_string()))
    }

    /// Writes the look into settings; world origin and priority stay.
    fn apply(&self, settings: &mut SynthSettings) {
        settings.seed = self.seed;
        settings.style = self.preset.as_deref().map(StyleSource::from);
        let class = |(name, look): (&String, &ClassLook)| ClassStyle {
            from: look.from.as_deref().map(ClassKey::from),
            ..ClassStyle::new(name.as_str(), look.preset.as_str(), look.weight)
        };
        settings.class_styles = self.classes.iter().map(class).collect();
        settings.wrap = BVec2::new(self.wrap.0, self.wrap.1);
        settings.quiet = self.quiet;
    }
}

/// Takes the [`SynthSettings`] of a terrain or world from an asset, whenever that is loaded or changes. The terrain is not
/// painted before. What the app changes in the settings stays until the asset changes.
#[derive(Component, Clone, Debug)]
pub struct SynthLook {
    look: Handle<TerrainLook>,
    /// What the settings were taken from.
    applied: Option<AssetId<TerrainLook>>,
}

impl SynthLook {
    /// A look that is loaded or will be.
    pub fn new(look: Handle<TerrainLook>) -> Self {
        Self { look, applied: None }
    }

    /// The asset.
    pub fn handle(&self) -> &Handle<TerrainLook> {
        &self.look
    }

    /// Whether the settings were taken from it.
    pub fn is_applied(&self) -> bool {
        self.applied == Some(self.look.id())
    }
}

pub(crate) fn apply_looks(
    looks: Res<Assets<TerrainLook>>,
    mut events: MessageReader<'_, '_, AssetEvent<TerrainLook>>,
    mut users: Query<(&mut SynthLook, &mut SynthSettings)>,
    cost: Res<FrameCost>,
) {
    let _counting = cost.count();
    let changed: Vec<AssetId<TerrainLook>> = events
        .read()
        .filter_map(|event| match event {
            AssetEvent::Modified { id } => Some(*id),
            _ => None,
        })
        .collect();
    for (mut user, mut settings) in &mut users {
        let id = user.look.id();
        if user.is_applied() && !changed.contains(&id) {
            continue;
        }
        if let Some(look) = looks.get(id) {
            look.apply(&mut settings);
            user.applied = Some(id);
        }
    }
}

/// Loads a [`TerrainLook`] from a `.look.ron` file.
#[derive(Debug, Default, TypePath)]
pub struct TerrainLookLoader;

impl AssetLoader for TerrainLookLoader {
    type Asset = TerrainLook;
    type Settings = ();
    type Error = LoadError;

    async fn load(&self, reader: &mut dyn Reader, (): &(), _: &mut LoadContext<'_>) -> Result<TerrainLook, LoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(|_| LoadError::Look("it is not UTF-8 text".into()))?;
        TerrainLook::from_ron_str(&text)
    }

    fn extensions(&self) -> &[&str] {
        &["look.ron"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_leaves_out_has_its_default() {
        let look = TerrainLook::from_ron_str(r#"(classes: {"grass": (preset: "dry")})"#).unwrap();
        assert_eq!((look.seed, &look.preset, look.wrap, look.quiet), (0, &None, (false, false), false));
        assert_eq!(look.classes["grass"], ClassLook { preset: "dry".into(), from: None, weight: 1.0 });
        let mut settings = SynthSettings { seed: 9, priority: 2.0, ..Default::default() };
        look.apply(&mut settings);
        let expected = SynthSettings {
            priority: 2.0,
            class_styles: vec![ClassStyle::new("grass", "dry", 1.0)],
            ..Default::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, word) in [("(seed: 1,\n  presets: \"x\")", "presets"), ("(seed: -1)", "1:"), ("", "1:1")] {
            let error = TerrainLook::from_ron_str(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
