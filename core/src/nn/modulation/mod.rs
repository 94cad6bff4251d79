//! Modulation: scale and shift per pixel, read off the label map.
//!
//! Each modulation is a folder here and a line in `registry.rs`. A folder holds its definition in Burn's operations, with
//! tables for GPUs where it has some, its form on the CPU engine, and its facts: names, limits, and how it shows in a
//! checkpoint. Networks, engine, model files and importers know modulations by those only.

mod adain;
mod clade;
mod clade_icpe;
mod cpu;
mod facts;
mod norm;
mod registry;
mod sean;
mod spade;

pub use adain::Adain;
pub use clade::Clade;
pub use clade_icpe::CladeIcpe;
pub use facts::{ModulationConfig, Needs};
pub use norm::ModulatedNorm;
pub use registry::{Modulation, ModulationKind};
pub use sean::{Sean, StyleBranch};
pub use spade::Spade;

pub(crate) use cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights, values};
pub(crate) use facts::{BlockTensors, Inputs, shape_of};
pub(crate) use registry::{norm_prefix, official_name};
