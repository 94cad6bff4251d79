//! The named styles of a model.

use semsynth::model::Preset;
use semsynth::{Model, Style};

use crate::words::said;

/// The presets of one model, with their styles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presets(Vec<(Preset, Style)>);

impl Presets {
    /// # Errors
    ///
    /// If the model file is damaged.
    pub(crate) fn of(model: &Model) -> Result<Self, String> {
        let read = |preset: &Preset| Ok((preset.clone(), model.preset(&preset.name)?));
        let presets: semsynth::Result<_> = model.presets().iter().map(read).collect();
        presets.map(Self).map_err(|error| said(c"The style presets of the model cannot be read: {}.", &[&error]))
    }

    /// Names and what they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Preset> {
        self.0.iter().map(|(preset, _)| preset)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.iter().any(|preset| preset.name == name)
    }

    /// # Errors
    ///
    /// Which presets there are, if this is none of them.
    pub(crate) fn get(&self, name: &str) -> Result<&Style, String> {
        if let Some((_, style)) = self.0.iter().find(|(preset, _)| preset.name == name) {
            return Ok(style);
        }
        if self.0.is_empty() {
            return Err(said(c"The model has no style presets: choose another Style.", &[]));
        }
        let names: Vec<&str> = self.iter().map(|preset| preset.name.as_str()).collect();
        let names = names.join(", ");
        Err(if name.is_empty() {
            said(c"No Style preset is chosen. The model has: {}.", &[&names])
        } else {
            said(c"The model has no Style preset \"{}\". It has: {}.", &[&name, &names])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presets(names: &[&str]) -> Presets {
        let style = Style::global(vec![0.5, 1.0]).unwrap();
        let preset = |name: &&str| Preset { name: (*name).into(), summary: String::new() };
        Presets(names.iter().map(|name| (preset(name), style.clone())).collect())
    }

    #[test]
    fn unknown_presets_are_refused_with_the_names_of_all() {
        let some = presets(&["alpine", "desert"]);
        assert!(some.get("desert").is_ok() && some.has("alpine") && !some.has("Alpine"));
        assert_eq!(some.get("moon").unwrap_err(), "The model has no Style preset \"moon\". It has: alpine, desert.");
        assert_eq!(some.get("").unwrap_err(), "No Style preset is chosen. The model has: alpine, desert.");
        let none = Presets(Vec::new());
        assert!(none.get("desert").unwrap_err().contains("no style presets"));
    }
}
