//! What normal and roughness maps are made of.

use bevy_ecs::component::Component;
use semsynth::{ClassTable, Error, Result};

use crate::terrain::ClassKey;

/// Makes a normal map and a roughness map of a terrain too, or of all chunks of a world, in
/// [`SynthOutput`](crate::SynthOutput), and gives them to the `StandardMaterial`. A change repaints.
///
/// The network paints colours only. So relief is an estimate: what is brighter is taken to be higher, pixel by pixel, after
/// a slight blur. That looks right for grass, gravel, trees and waves in even light; it takes paint on a road for relief
/// too, which a class of its own with less relief repairs. Roughness is that of the class.
///
/// Normals are in tangent space with +Y up; the mesh of a terrain needs tangents
/// (`Mesh::with_generated_tangents`); those of chunks have them.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct SynthSurface {
    /// How many pixels high a step from black to white is, 0 (flat) or more; 3 unless changed.
    pub relief: f32,
    /// Roughness, 0 (a mirror) to 1; 0.9 unless changed.
    pub roughness: f32,
    /// Classes that differ.
    pub classes: Vec<ClassSurface>,
}

/// The surface of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSurface {
    /// The class.
    pub class: ClassKey,
    /// As [`SynthSurface::relief`].
    pub relief: f32,
    /// As [`SynthSurface::roughness`].
    pub roughness: f32,
}

impl Default for SynthSurface {
    fn default() -> Self {
        Self { relief: 3.0, roughness: 0.9, classes: Vec::new() }
    }
}

impl SynthSurface {
    /// Another surface for a class.
    #[must_use]
    pub fn class(mut self, class: impl Into<ClassKey>, relief: f32, roughness: f32) -> Self {
        self.classes.push(ClassSurface { class: class.into(), relief, roughness });
        self
    }

    /// Relief and roughness of each id up to the greatest of the model.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a value is out of range, or the model has no such class.
    pub(crate) fn by_id(&self, classes: &ClassTable) -> Result<Vec<(f32, f32)>> {
        let check = |relief: f32, roughness: f32| {
            if !(relief.is_finite() && relief >= 0.0) {
                return Err(Error::Argument(format!("a relief of {relief}: it must be 0 or more")));
            }
            if !(0.0..=1.0).contains(&roughness) {
                return Err(Error::Argument(format!("a roughness of {roughness}: it must be 0 to 1")));
            }
            Ok((relief, roughness))
        };
        let most = classes.iter().map(|class| class.id).max().unwrap_or_default();
        let mut values = vec![check(self.relief, self.roughness)?; usize::from(most) + 1];
        for part in &self.classes {
            let value = check(part.relief, part.roughness)?;
            if let Some(slot) = values.get_mut(usize::from(part.class.id(classes)?)) {
                *slot = value;
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_their_own_values_and_mistakes_are_told() {
        let classes = ClassTable::terrain();
        let surface = SynthSurface::default().class("deep water", 0.5, 0.1).class(6, 8.0, 1.0);
        let values = surface.by_id(&classes).unwrap();
        assert_eq!((values.len(), values[0], values[1], values[6]), (12, (0.5, 0.1), (3.0, 0.9), (8.0, 1.0)));
        for (surface, word) in [
            (SynthSurface::default().class("lava", 1.0, 1.0), "lava"),
            (SynthSurface::default().class("rock", -1.0, 1.0), "-1"),
            (SynthSurface { roughness: 1.5, ..Default::default() }, "1.5"),
            (SynthSurface { relief: f32::NAN, ..Default::default() }, "NaN"),
        ] {
            let error = surface.by_id(&classes).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
