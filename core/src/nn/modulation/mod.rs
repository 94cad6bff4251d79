//! Modulation: scale and shift per pixel, computed from the label map.
//!
//! Each modulation has a folder here and an entry in `registry.rs`. The folder holds its reference implementation in
//! Burn operations (with tables for GPUs, if any), its implementation for the CPU engine, and its `Facts`: names,
//! limits, and how to recognise it in a checkpoint. Networks, engine, model files and importers use modulations only
//! through these interfaces.

mod adain;
mod clade;
mod clade_icpe;
mod clade_positions;
mod clade_styled;
mod concat;
mod cpu;
mod facts;
mod norm;
mod registry;
mod sean;
mod spade;
mod spade_noise;

pub use adain::Adain;
pub use clade::Clade;
pub use clade_icpe::CladeIcpe;
pub use clade_positions::CladePositions;
pub use clade_styled::CladeStyled;
pub use concat::Concat;
pub use facts::{ModulationConfig, Needs};
pub use norm::ModulatedNorm;
pub use registry::{Modulation, ModulationKind};
pub use sean::{Sean, StyleBranch};
pub use spade::Spade;
pub use spade_noise::SpadeNoise;

pub(crate) use cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights, values};
pub(crate) use facts::{BlockTensors, Inputs, shape_of};
pub(crate) use registry::{norm_prefix, official_name};
