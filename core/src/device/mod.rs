//! Compute devices: GPUs through wgpu, and the CPU.

use std::fmt;

use burn::tensor::DType;

use crate::error::{Error, Result};

/// The class of a [`Device`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DeviceClass {
    /// A dedicated graphics card.
    DiscreteGpu,
    /// A GPU that shares memory with the CPU.
    IntegratedGpu,
    /// A GPU passed through to a virtual machine.
    VirtualGpu,
    /// The CPU, through burn-flex.
    Cpu,
    /// A graphics driver that runs on the CPU. Slow and meant for testing: only used when requested by name.
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

/// A device of this machine, opened or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name for [`Device::by_name`]: `cpu`, `gpu:0`, `gpu:1`, `software`. `gpu` is short for `gpu:0`, the best
    /// GPU.
    pub name: String,
    /// The class of the device.
    pub class: DeviceClass,
    /// The name that the driver reports, and what the driver lacks, if anything.
    pub description: String,
    /// Index among the devices of its class.
    index: usize,
    /// Whether the driver supports our kernels; if not, `description` says what is missing.
    usable: bool,
}

/// An opened device.
///
/// Opening the first GPU configures `CubeCL` for the process, unless the program has done so before
/// (`CubeClRuntimeConfig::set`): the files `cubecl.toml` and `burn.toml` are not searched for, autotuning takes few
/// samples, and, with the feature `gpu-tuned`, its results are cached in the folder that the environment variable
/// `SEMSYNTH_CACHE` names, or else in `semsynth` in the user's cache folder.
///
/// [`DeviceOptions::keep_process_settings`] turns that off.
#[derive(Clone, Debug)]
pub struct Device {
    burn: burn::tensor::Device,
    info: DeviceInfo,
    reason: String,
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceOptions {
    /// Leave the process-wide settings of `CubeCL` and Burn as they are: for programs that use those libraries
    /// themselves. See [`Device`] for what is set otherwise.
    pub keep_process_settings: bool,
}

impl DeviceOptions {
    /// With [`keep_process_settings`](Self::keep_process_settings).
    #[must_use]
    pub fn keep_process_settings() -> Self {
        Self { keep_process_settings: true }
    }
}

impl Device {
    /// Opens the best GPU (discrete before integrated before virtual) that supports our kernels, or the CPU if
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the driver of the chosen GPU fails.
    pub fn best() -> Result<Self> {
        Self::by_name("auto")
    }

    /// The CPU.
    pub fn cpu() -> Self {
        Self { burn: burn::tensor::Device::flex(), info: cpu_info(), reason: "requested".into() }
    }

    /// Opens the device with this name, one of [`list`](Self::list), or [`best`](Self::best) for `auto`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownName`] if there is no such device; it lists the valid names. [`Error::Device`] if the driver
    /// fails or does not support our kernels.
    pub fn by_name(name: &str) -> Result<Self> {
        Self::by_name_with(name, DeviceOptions::default())
    }

    /// Opens the device with this name, with options.
    ///
    /// # Errors
    ///
    /// As [`by_name`](Self::by_name).
    pub fn by_name_with(name: &str, options: DeviceOptions) -> Result<Self> {
        if name == "cpu" {
            return Ok(Self::cpu());
        }
        let list = Self::list();
        if name == "auto" {
            let (info, reason) = choose(&list, 0);
            return Self::open(info, reason, options);
        }
        let wanted = if name == "gpu" { "gpu:0" } else { name };
        match list.iter().find(|info| info.name == wanted) {
            Some(info) => Self::open(info.clone(), "requested".into(), options),
            None => {
                let known = std::iter::once("auto").chain(list.iter().map(|info| info.name.as_str()));
                let error = Error::unknown_name("device", name, known);
                let built = cfg!(feature = "gpu");
                Err(if built { error } else { error.context("this build has no GPU support (feature `gpu`)") })
            }
        }
    }

    /// The device for one of several processes on this machine, counted from 0. With the name `auto`, processes take turns with
    /// the GPUs of the best class; with another name, all get the device of that name.
    ///
    /// # Errors
    ///
    /// As [`by_name`](Self::by_name).
    pub fn for_process(name: &str, process: usize) -> Result<Self> {
        if name != "auto" {
            return Self::by_name(name);
        }
        let (info, reason) = choose(&Self::list(), process);
        Self::open(info, reason, DeviceOptions::default())
    }

    /// All devices of this machine, best first.
    pub fn list() -> Vec<DeviceInfo> {
        let mut list = gpus();
        list.push(cpu_info());
        list.sort_by_key(|info| info.class);
        list
    }

    /// Name, class and description.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Name, class, description and why the device was chosen, in one line.
    pub fn describe(&self) -> String {
        format!("{} ({}, {}; {})", self.info.name, self.info.class, self.info.description, self.reason)
    }

    /// Whether the device supports 16-bit floats. Many graphics drivers do not, OpenGL's never. The CPU supports
    /// them but gains nothing: [`SynthesizerOptions::precision`](crate::SynthesizerOptions::precision) accepts them
    /// for GPUs only.
    pub fn supports_half(&self) -> bool {
        self.burn.supports_dtype(DType::F16)
    }

    /// The Burn device.
    pub fn burn(&self) -> &burn::tensor::Device {
        &self.burn
    }

    fn open(info: DeviceInfo, reason: String, options: DeviceOptions) -> Result<Self> {
        if !info.usable {
            let DeviceInfo { name, description, .. } = info;
            return Err(Error::Device(format!(
                "{name} cannot be used ({description}): use the CPU, or another driver"
            )));
        }
        let burn = match info.class {
            DeviceClass::Cpu => burn::tensor::Device::flex(),
            _ => open_gpu(&info, options)?,
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

/// The device that [`Device::for_process`] selects from a list, and why. [`Device::best`] is that of process 0.
fn choose(list: &[DeviceInfo], process: usize) -> (DeviceInfo, String) {
    let real = |info: &&DeviceInfo| info.class < DeviceClass::Cpu;
    let usable: Vec<_> = list.iter().filter(real).filter(|info| info.usable).collect();
    if let Some(best) = usable.iter().map(|info| info.class).min() {
        let gpus: Vec<_> = usable.into_iter().filter(|info| info.class == best).collect();
        let reason =
            if process == 0 { "the best GPU of this machine".into() } else { format!("GPU of process {process}") };
        return (gpus[process % gpus.len()].clone(), reason);
    }
    let reason = if list.iter().any(|info| real(&info)) {
        "the driver of the GPU lacks features that the kernels need"
    } else if list.iter().any(|info| info.class == DeviceClass::SoftwareGpu) {
        "there is no real GPU; the software GPU is slower and only used when requested by name"
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
fn open_gpu(info: &DeviceInfo, _options: DeviceOptions) -> Result<burn::tensor::Device> {
    Err(Error::Device(format!("{}: this build has no GPU support (feature `gpu`)", info.name)))
}

#[cfg(feature = "gpu")]
use gpu::{gpus, open_gpu};

#[cfg(feature = "gpu")]
mod gpu;

/// Shared by unit tests and the integration tests in `tests`.
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
        assert_eq!(choose(&list, 0).0.name, "gpu:1");
        assert_eq!(choose(&list[..2], 0).0.name, "gpu:0");
    }

    #[test]
    fn processes_take_turns_with_the_gpus_of_the_best_class() {
        let list = [
            info("gpu:0", DeviceClass::DiscreteGpu),
            DeviceInfo { usable: false, ..info("gpu:1", DeviceClass::DiscreteGpu) },
            info("gpu:2", DeviceClass::DiscreteGpu),
            info("gpu:3", DeviceClass::IntegratedGpu),
            info("cpu", DeviceClass::Cpu),
        ];
        let names: Vec<_> = (0..4).map(|process| choose(&list, process).0.name).collect();
        assert_eq!(names, ["gpu:0", "gpu:2", "gpu:0", "gpu:2"]);
        assert_eq!(choose(&list[4..], 3).0.name, "cpu");
    }

    #[test]
    fn a_software_gpu_is_passed_over_with_a_reason() {
        let list = [info("cpu", DeviceClass::Cpu), info("software", DeviceClass::SoftwareGpu)];
        let (chosen, reason) = choose(&list, 0);
        assert_eq!(chosen.name, "cpu");
        assert!(reason.contains("software"), "{reason}");
    }

    #[test]
    fn a_gpu_that_lacks_something_is_passed_over_and_refused() {
        let lacking = DeviceInfo { usable: false, ..info("gpu:0", DeviceClass::DiscreteGpu) };
        let list = [lacking.clone(), info("gpu:1", DeviceClass::IntegratedGpu), info("cpu", DeviceClass::Cpu)];
        assert_eq!(choose(&list, 0).0.name, "gpu:1");
        let (chosen, reason) = choose(&[lacking.clone(), info("cpu", DeviceClass::Cpu)], 0);
        assert!(chosen.name == "cpu" && reason.contains("lacks"), "{chosen:?} {reason}");
        assert!(matches!(Device::open(lacking, String::new(), DeviceOptions::default()), Err(Error::Device(_))));
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
