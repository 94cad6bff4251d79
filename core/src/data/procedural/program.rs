//! The features of a house, chosen at random for its architecture.

use super::layout::Layout;
use super::parts::{Hood, Panes, Railing, WindowLook};
use super::rng::Rng;
use super::style::Kind;

/// Where a house has balconies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Balconies {
    None,
    /// On the accented bays of some storeys.
    Accent,
    /// On every bay of some storeys.
    Every,
    /// Along the whole front of some storeys.
    Running,
}

/// A feature that a house may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    /// Two windows in each bay.
    Paired,
    Sills,
    /// Consoles under the sills.
    Brackets,
    /// Reliefs under the windows.
    Panels,
    /// Masks over the windows.
    Medallions,
    /// Mouldings between the storeys.
    Bands,
    Pillars,
    Quoins,
    /// Reliefs between the windows.
    Piers,
    /// Projecting bay windows on the accented bays.
    Oriels,
    /// A gable over the middle.
    Gable,
    Shops,
    /// A ground floor of large blocks.
    Rusticated,
}

/// The features of one house.
pub(super) struct Program {
    pub(super) features: Vec<Feature>,
    pub(super) look: WindowLook,
    /// Width of a window divided by that of its bay, and height divided by that of its storey.
    pub(super) window: (f32, f32),
    pub(super) main: Hood,
    pub(super) other: Hood,
    pub(super) surround: f32,
    pub(super) shutters: f32,
    pub(super) rollers: f32,
    pub(super) balconies: Balconies,
    pub(super) railing: Railing,
}

impl Program {
    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    pub(super) fn random(rng: &mut Rng, kind: Kind, layout: &Layout) -> Self {
        let bay = (layout.bays[0].1 - layout.bays[0].0) / layout.storey;
        let p =
            |stucco: f32, haussmann: f32, georgian: f32, nouveau: f32, industrial: f32, modern: f32, tenement: f32| {
                match kind {
                    Kind::Stucco => stucco,
                    Kind::Haussmann => haussmann,
                    Kind::Georgian => georgian,
                    Kind::ArtNouveau => nouveau,
                    Kind::Industrial => industrial,
                    Kind::Modern => modern,
                    Kind::Tenement => tenement,
                }
            };
        let panes = match kind {
            Kind::Georgian => Panes::Sash,
            Kind::Industrial => Panes::Grid,
            Kind::Modern => Panes::Picture,
            _ => Panes::Casement,
        };
        let arch = if rng.chance(p(0.15, 0.1, 0.1, 0.6, 0.75, 0.0, 0.1)) { rng.pick([0.3, 0.5, 1.0]) } else { 0.0 };
        let heads = [Hood::Triangle, Hood::Segment, Hood::Flat];
        let (main, other) = match kind {
            Kind::Stucco => (rng.pick(heads), rng.pick([Hood::Flat, Hood::Flat, Hood::Triangle, Hood::Segment])),
            Kind::Haussmann => (rng.pick(heads), rng.pick([Hood::Flat, Hood::Flat, Hood::None])),
            Kind::Georgian => (rng.pick([Hood::Lintel, Hood::Flat]), Hood::Lintel),
            Kind::ArtNouveau => (rng.pick([Hood::Segment, Hood::Flat]), rng.pick([Hood::Flat, Hood::None])),
            Kind::Tenement => (rng.pick([Hood::Flat, Hood::None]), Hood::None),
            Kind::Industrial | Kind::Modern => (Hood::None, Hood::None),
        };
        let narrow = (0.50 / bay).min(0.62);
        let width = match kind {
            Kind::Industrial => rng.range(0.58, 0.7),
            Kind::Modern => rng.range(0.5, 0.68),
            Kind::Tenement => rng.range(0.30, 0.38),
            _ => narrow.min(rng.range(0.42, 0.54)),
        };
        let balconies = if rng.chance(p(0.45, 0.9, 0.1, 0.8, 0.0, 0.6, 0.65)) {
            match kind {
                Kind::Haussmann => rng.pick([Balconies::Running, Balconies::Every, Balconies::Accent]),
                Kind::Modern => rng.pick([Balconies::Every, Balconies::Accent]),
                _ => rng.pick([Balconies::Accent, Balconies::Accent, Balconies::Every]),
            }
        } else {
            Balconies::None
        };
        let railing = match kind {
            Kind::Stucco => rng.pick([Railing::Stone, Railing::Iron]),
            Kind::Modern => rng.pick([Railing::Panel, Railing::Iron]),
            _ => Railing::Iron,
        };
        let chances = [
            (Feature::Paired, if bay > 0.75 { p(0.2, 0.0, 0.0, 0.35, 0.0, 0.0, 0.0) } else { 0.0 }),
            (Feature::Sills, p(0.95, 0.7, 0.95, 0.9, 0.95, 0.6, 0.95)),
            (Feature::Brackets, 0.4),
            (Feature::Panels, p(0.65, 0.5, 0.15, 0.65, 0.0, 0.0, 0.15)),
            (Feature::Medallions, p(0.4, 0.3, 0.0, 0.8, 0.0, 0.0, 0.25)),
            (Feature::Bands, p(0.9, 0.9, 0.6, 0.7, 0.3, 0.1, 0.4)),
            (Feature::Pillars, p(0.38, 0.25, 0.1, 0.2, 1.0, 0.0, 0.0)),
            (Feature::Quoins, p(0.25, 0.2, 0.6, 0.1, 0.0, 0.0, 0.2)),
            (Feature::Piers, p(0.25, 0.1, 0.0, 0.5, 0.0, 0.0, 0.0)),
            (Feature::Oriels, p(0.15, 0.1, 0.0, 0.5, 0.0, 0.0, 0.0)),
            (Feature::Gable, p(0.3, 0.1, 0.3, 0.6, 0.2, 0.0, 0.0)),
            (Feature::Shops, p(0.35, 0.5, 0.3, 0.35, 0.1, 0.5, 0.3)),
            (Feature::Rusticated, p(0.7, 0.5, 0.4, 0.5, 0.0, 0.1, 0.3)),
        ];
        let features = chances.into_iter().filter(|(_, p)| rng.chance(*p)).map(|(feature, _)| feature).collect();
        Self {
            features,
            look: WindowLook { panes, arch, frame: rng.range(0.055, 0.09) },
            window: (width, rng.range(0.47, 0.55)),
            main,
            other,
            surround: if rng.chance(p(0.65, 0.6, 0.15, 0.5, 0.0, 0.1, 0.5)) { rng.range(0.10, 0.17) } else { 0.0 },
            shutters: if rng.chance(p(0.05, 0.3, 0.1, 0.1, 0.0, 0.0, 0.8)) { rng.range(0.75, 1.0) } else { 0.0 },
            rollers: if rng.chance(p(0.08, 0.1, 0.0, 0.15, 0.0, 0.6, 0.25)) { rng.range(0.15, 0.4) } else { 0.0 },
            balconies,
            railing,
        }
    }
}
