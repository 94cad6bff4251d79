//! Where the arithmetic runs: a GPU through wgpu, or the CPU.

use std::fmt;

use burn::tensor::DType;

use crate::error::{Error, Result};

/// What kind of machine a [`Device`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeviceClass {
    /// A graphics card of its own.
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    IntegratedGpu,
    /// A GPU handed through to a virtual machine.
    VirtualGpu,
    /// The processor itself, through burn-flex.
    Cpu,
    /// A graphics driver that runs on the processor. Slow, for testing: only taken when asked for by name.
    SoftwareGpu,
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::VirtualGpu => "virtual GPU",
            Self::Cpu => "CPU",
            Self::SoftwareGpu => "software GPU",
        })
    }
}

/// A device this machine has, opened or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name [`Device::by_name`] takes: `cpu`, `gpu:0`, `gpu:1`, `software`; `gpu` is `gpu:0`, the best one.
    pub name: String,
    /// What it is.
    pub class: DeviceClass,
    /// What its driver calls it.
    pub description: String,
    /// Its place among devices of its class.
    index: usize,
    /// Whether its driver has what kernels need. What it lacks is in the description.
    usable: bool,
}

/// An opened device.
///
/// Opening the first GPU sets `CubeCL` up for the process, unless the program has done so before
/// (`CubeClRuntimeConfig::set`): files `cubecl.toml` and `burn.toml` beside the program's user are not looked for, kernels are
/// measured with few samples, and, with the feature `gpu-tuned`, what was found is kept in the user's cache folder, in
/// `semsynth`, or in the folder that the environment variable `SEMSYNTH_CACHE` names.
#[derive(Clone, Debug)]
pub struct Device {
    burn: burn::tensor::Device,
    info: DeviceInfo,
    reason: String,
}

impl Device {
    /// A GPU if this machine has a real one (discrete before integrated before virtual) that kernels run on, else the CPU.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the driver of the chosen GPU refuses.
    pub fn best() -> Result<Self> {
        let (info, reason) = choose(&Self::list());
        Self::open(info, reason)
    }

    /// The processor.
    pub fn cpu() -> Self {
        Self { burn: burn::tensor::Device::flex(), info: cpu_info(), reason: "asked for".into() }
    }

    /// The device of a name that [`list`](Self::list) gives, or `auto` for [`best`](Self::best).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is no such device; it lists the names there are. [`Error::Device`] if the driver
    /// refuses, or lacks what kernels need.
    pub fn by_name(name: &str) -> Result<Self> {
        match name {
            "auto" => return Self::best(),
            "cpu" => return Ok(Self::cpu()),
            _ => {}
        }
        let list = Self::list();
        let wanted = if name == "gpu" { "gpu:0" } else { name };
        match list.iter().find(|info| info.name == wanted) {
            Some(info) => Self::open(info.clone(), "asked for".into()),
            None => {
                let known = std::iter::once("auto").chain(list.iter().map(|info| info.name.as_str()));
                let error = Error::unknown_name("device", name, known);
                let built = cfg!(feature = "gpu");
                Err(if built { error } else { error.context("this build has no GPU support (feature `gpu`)") })
            }
        }
    }

    /// Every device this machine has, best first.
    pub fn list() -> Vec<DeviceInfo> {
        let mut list = gpus();
        list.push(cpu_info());
        list.sort_by_key(|info| info.class);
        list
    }

    /// What this device is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// One line: name, class, what the driver calls it, and why it was picked.
    pub fn describe(&self) -> String {
        format!("{} ({}, {}; {})", self.info.name, self.info.class, self.info.description, self.reason)
    }

    /// Whether the device has 16-bit floats. Graphics drivers without them are common: those of OpenGL have none. The CPU
    /// has them, but gains nothing from them: [`Synthesizer::half`](crate::Synthesizer::half) is for GPUs.
    pub fn supports_half(&self) -> bool {
        self.burn.supports_dtype(DType::F16)
    }

    /// The device as Burn knows it.
    pub fn burn(&self) -> &burn::tensor::Device {
        &self.burn
    }

    fn open(info: DeviceInfo, reason: String) -> Result<Self> {
        if !info.usable {
            let DeviceInfo { name, description, .. } = info;
            return Err(Error::Device(format!(
                "{name} cannot be used ({description}): use the CPU, or another driver"
            )));
        }
        let burn = match info.class {
            DeviceClass::Cpu => burn::tensor::Device::flex(),
            _ => open_gpu(&info)?,
        };
        Ok(Self { burn, info, reason })
    }
}

fn cpu_info() -> DeviceInfo {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let plural = if threads == 1 { "" } else { "s" };
    let description = format!("{} processor, {threads} thread{plural}", std::env::consts::ARCH);
    DeviceInfo { name: "cpu".into(), class: DeviceClass::Cpu, description, index: 0, usable: true }
}

/// The device [`Device::best`] takes out of a list, and why.
fn choose(list: &[DeviceInfo]) -> (DeviceInfo, String) {
    let real = |info: &&DeviceInfo| info.class < DeviceClass::Cpu;
    if let Some(gpu) = list.iter().filter(real).filter(|info| info.usable).min_by_key(|info| info.class) {
        return (gpu.clone(), "the best GPU here".into());
    }
    let reason = if list.iter().any(|info| real(&info)) {
        "the driver of the GPU here lacks what kernels need"
    } else if list.iter().any(|info| info.class == DeviceClass::SoftwareGpu) {
        "there is no real GPU; the software one is slower and only taken when asked for"
    } else if cfg!(feature = "gpu") {
        "no GPU was found"
    } else {
        "this build has no GPU support"
    };
    (cpu_info(), reason.into())
}

#[cfg(not(feature = "gpu"))]
fn gpus() -> Vec<DeviceInfo> {
    Vec::new()
}

#[cfg(not(feature = "gpu"))]
fn open_gpu(info: &DeviceInfo) -> Result<burn::tensor::Device> {
    Err(Error::Device(format!("{}: this build has no GPU support: feature `gpu`", info.name)))
}

#[cfg(feature = "gpu")]
use gpu::{gpus, open_gpu};

#[cfg(feature = "gpu")]
mod gpu;

/// What tests of every module ask for; the topics in `tests` share the file.
#[cfg(test)]
#[path = "../../tests/common/software.rs"]
pub(crate) mod software;

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, class: DeviceClass) -> DeviceInfo {
        DeviceInfo { name: name.into(), class, description: String::new(), index: 0, usable: true }
    }

    #[test]
    fn a_real_gpu_is_preferred_discrete_first() {
        let list = [
            info("cpu", DeviceClass::Cpu),
            info("gpu:0", DeviceClass::IntegratedGpu),
            info("gpu:1", DeviceClass::DiscreteGpu),
            info("software", DeviceClass::SoftwareGpu),
        ];
        assert_eq!(choose(&list).0.name, "gpu:1");
        assert_eq!(choose(&list[..2]).0.name, "gpu:0");
    }

    #[test]
    fn a_software_gpu_is_passed_over_with_a_reason() {
        let list = [info("cpu", DeviceClass::Cpu), info("software", DeviceClass::SoftwareGpu)];
        let (chosen, reason) = choose(&list);
        assert_eq!(chosen.name, "cpu");
        assert!(reason.contains("software"), "{reason}");
    }

    #[test]
    fn a_gpu_that_lacks_something_is_passed_over_and_refused() {
        let lacking = DeviceInfo { usable: false, ..info("gpu:0", DeviceClass::DiscreteGpu) };
        let list = [lacking.clone(), info("gpu:1", DeviceClass::IntegratedGpu), info("cpu", DeviceClass::Cpu)];
        assert_eq!(choose(&list).0.name, "gpu:1");
        let (chosen, reason) = choose(&[lacking.clone(), info("cpu", DeviceClass::Cpu)]);
        assert!(chosen.name == "cpu" && reason.contains("lacks"), "{chosen:?} {reason}");
        assert!(matches!(Device::open(lacking, String::new()), Err(Error::Device(_))));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = Device::by_name("gpu:99").unwrap_err().to_string();
        assert!(message.contains("gpu:99") && message.contains("cpu"), "{message}");
    }

    #[test]
    fn the_cpu_has_floats_of_16_bits() {
        assert!(Device::cpu().supports_half());
    }

    #[test]
    fn the_cpu_is_always_listed() {
        assert!(Device::list().iter().any(|info| info.name == "cpu"));
        assert!(Device::by_name("cpu").unwrap().describe().starts_with("cpu (CPU"));
    }
}
