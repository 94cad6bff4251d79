//! What a network can do besides painting whole pictures.

use super::{Architecture, Plan, StyleConfig, affected};
use crate::error::{Error, Result};
use crate::label::{Area, Limits, Rect, Span};
use crate::nn::{NormKind, Statistics};

/// Whether a network can do something, or why it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It cannot, for this reason.
    No(&'static str),
}

impl Ability {
    /// Whether it can.
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    /// Why it cannot.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No(why) => Some(why),
        }
    }

    /// # Errors
    ///
    /// [`Error::Argument`] that names `what` is not possible, and why.
    pub(crate) fn require(self, what: &str) -> Result<()> {
        match self {
            Self::Yes => Ok(()),
            Self::No(why) => Err(Error::Argument(format!("{what} is not possible with this model: {why}"))),
        }
    }
}

/// How far labels reach, in pixels: exact for a network whose statistics are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halo {
    /// A label affects pixels of the picture at most so far above it and to its left.
    pub before: u32,
    /// A label affects pixels of the picture at most so far below it and to its right.
    pub after: u32,
}

/// What a network can do besides painting whole pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How far labels reach; `None` if a pixel depends on the whole picture.
    pub halo: Option<Halo>,
    /// Periods of a [wrapped](crate::synth::Border::Wrap) world must be multiples of this.
    pub stride: u32,
    /// Parts of a world have the same bits wherever they begin. Rolling the labels of a wrapped picture by multiples of
    /// this rolls its bits.
    pub lattice: u32,
    /// Painting in bands of rows, in memory that does not grow with the height.
    pub stream: Ability,
    /// Seamless textures: a world that repeats itself.
    pub wrap: Ability,
    /// Parts of an endless world that meet without a seam.
    pub world: Ability,
    /// Edits that cost less than a new picture.
    pub edit: Ability,
}

const STATISTICS: &str = "its norms use statistics of the whole picture";
const BASELINE: &str = "every pixel of this network depends on the whole picture";
const LATENT: &str = "its first features are a grid that is stretched over the whole picture";
const DISTANCES: &str = "it uses the position of pixels within whole objects";

impl Architecture {
    /// What the network can do with the given statistics.
    pub fn capabilities(&self, statistics: Statistics) -> Capabilities {
        let stride = self.stride() as u32;
        let lattice = stride * semsynth_kernels::Conv3x3::TILE as u32;
        let only_whole = |why| Capabilities {
            halo: None,
            stride,
            lattice,
            stream: Ability::No(why),
            wrap: Ability::No(why),
            world: Ability::No(why),
            edit: Ability::No(why),
        };
        let Self::SpadeFamily(config) = self else { return only_whole(BASELINE) };
        if config.norm != NormKind::Batch || statistics != Statistics::Running {
            return only_whole(STATISTICS);
        }
        let bound_to_picture = match (config.style, config.needs().distances) {
            (StyleConfig::Latent { .. }, _) => Ability::No(LATENT),
            (_, true) => Ability::No(DISTANCES),
            _ => Ability::Yes,
        };
        Capabilities {
            halo: Some(halo(&Plan::new(config), config.instance_edges)),
            stride,
            lattice,
            stream: Ability::Yes,
            wrap: bound_to_picture,
            world: bound_to_picture,
            edit: if config.needs().distances { Ability::No(DISTANCES) } else { Ability::Yes },
        }
    }

    /// The pixels that depend on the labels of a rectangle, within a picture of the given height and width or, without
    /// one, in an endless world. `None` if all pixels do, or more than a [`Rect`] can have.
    pub fn affected(&self, edit: Rect, size: Option<[usize; 2]>, statistics: Statistics) -> Option<Rect> {
        let Self::SpadeFamily(config) = self else { return None };
        let capabilities = self.capabilities(statistics);
        capabilities.halo?;
        capabilities.edit.is_yes().then_some(())?;
        let near = Area::of(edit).map(|span| Span::new(near(span.start), near(span.end)));
        if size.is_none() && near != Area::of(edit) {
            return None;
        }
        let padded = |size: [usize; 2]| size.map(|side| side.next_multiple_of(config.stride()));
        let limits = size.map_or(Limits::default(), |size| Limits::picture(padded(size)));
        // A pixel next to an edit may become an edge.
        let labels = near.map(|span| span.grown(i64::from(config.instance_edges))).within(limits);
        let picture = affected(&Plan::new(config), labels, limits, 1);
        let picture = size.map_or(picture, |size| picture.within(Limits::picture(size)));
        picture.size().iter().all(|&side| u32::try_from(side).is_ok()).then(|| picture.rect())
    }
}

/// The place itself, or one so far outside of every picture where sums do not overflow yet.
fn near(place: i64) -> i64 {
    const FARTHEST: i64 = 1 << 60;
    place.clamp(-FARTHEST, FARTHEST)
}

/// How far labels reach, over all places of a label within a cell of the coarsest scale.
fn halo(plan: &Plan, edges: bool) -> Halo {
    let doublings = plan.blocks.last().map_or(0, |block| block.doublings);
    let stride = 1i64 << doublings;
    // The first pixel of a cell is a sample of every scale; nothing else reaches as far.
    let edge = i64::from(edges);
    let label = Area { rows: Span::new(0, 1), columns: Span::new(0, 1) };
    let affected = affected(plan, label, Limits::default(), 1).rows;
    debug_assert!(affected.start < 0 && affected.end > stride);
    Halo { before: (edge - affected.start) as u32, after: (affected.end - 1 + edge) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Extents, GeneratorConfig, Pix2PixHdConfig, Precision, Upsampling};
    use crate::nn::modulation::ModulationKind;

    fn of(config: GeneratorConfig) -> Capabilities {
        Architecture::SpadeFamily(config).capabilities(Statistics::Running)
    }

    /// The figures that the networks of the papers allow.
    #[test]
    fn halos_are_those_worked_out_by_hand() {
        let halo = |config: GeneratorConfig| {
            let Halo { before, after } = of(config).halo.unwrap();
            [before, after]
        };
        let spade = |kernel| GeneratorConfig::new(ModulationKind::Spade { kernel }, 8, 3);
        let upsampled = |upsampling, config| GeneratorConfig { upsampling, ..config };
        assert_eq!(halo(GeneratorConfig::clade(8, 3)), [191, 222]);
        assert_eq!(halo(spade(3)), [223, 254]);
        assert_eq!(halo(spade(5)), [287, 318]);
        assert_eq!(halo(upsampled(Upsampling::More, GeneratorConfig::clade(8, 3))), [319, 382]);
        assert_eq!(halo(upsampled(Upsampling::More, spade(3))), [383, 446]);
        assert_eq!(halo(upsampled(Upsampling::Most, GeneratorConfig::clade(8, 3))), [639, 766]);
        let edged = GeneratorConfig { instance_edges: true, ..GeneratorConfig::clade(8, 3) };
        assert_eq!(halo(edged), [192, 223]);
        // What a window on the grid of strides reads.
        let window = Area { rows: Span::new(0, 512), columns: Span::new(0, 512) };
        let reads = |config: &GeneratorConfig| {
            let Span { start, end } =
                Extents::new(&Plan::new(config), window, Limits::default(), Precision::Reach).pixels().rows;
            [-start, end - 512]
        };
        assert_eq!(reads(&GeneratorConfig::clade(8, 3)), [192, 161]);
        assert_eq!(reads(&spade(3)), [224, 193]);
        assert_eq!(reads(&spade(5)), [288, 257]);
    }

    #[test]
    fn what_is_not_possible_has_a_reason() {
        let all = |c: Capabilities| [c.stream, c.wrap, c.world, c.edit].map(Ability::is_yes);
        assert_eq!(all(of(GeneratorConfig::clade(8, 3))), [true; 4]);
        let instance = GeneratorConfig { norm: NormKind::Instance, ..GeneratorConfig::clade(8, 3) };
        assert_eq!(of(instance).stream, Ability::No(STATISTICS));
        let clade = Architecture::SpadeFamily(GeneratorConfig::clade(8, 3));
        assert_eq!(clade.capabilities(Statistics::Batch).halo, None);
        let latent = StyleConfig::Latent { length: 4, grid: [2, 2], encoder: None };
        let latent = of(GeneratorConfig { style: latent, ..GeneratorConfig::clade(8, 3) });
        assert_eq!(all(latent), [true, false, false, true]);
        assert_eq!(all(of(GeneratorConfig::new(ModulationKind::CladeIcpe, 8, 3))), [true, false, false, false]);
        let positions = GeneratorConfig { input_positions: true, ..GeneratorConfig::clade(8, 3) };
        assert_eq!(all(of(positions)), [true, false, false, false]);
        let baseline = Architecture::Pix2PixHd(Pix2PixHdConfig::new(8, 3)).capabilities(Statistics::Running);
        let error = baseline.world.require("a world").unwrap_err().to_string();
        assert!(error.contains("a world is not possible") && error.contains("whole picture"), "{error}");
    }
}
