//! GPUs through wgpu.

use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use burn::BurnConfig;
use burn::tensor::wgpu::{WgpuInitError, wgpu};
use burn::tensor::{Device, DeviceKind};
use burn_cubecl::cubecl::config::cache::CacheConfig;
use burn_cubecl::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use etcetera::BaseStrategy;

use super::{DeviceClass, DeviceInfo, DeviceOptions};
use crate::error::{Error, Result};

/// The adapters of the graphics API that Burn selects: the first API with a real GPU, else the first with any
/// adapter.
pub(super) fn gpus() -> Vec<DeviceInfo> {
    let apis = if cfg!(target_os = "macos") {
        vec![wgpu::Backends::METAL]
    } else {
        vec![wgpu::Backends::VULKAN, wgpu::Backends::DX12, wgpu::Backends::GL]
    };
    let _guard = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut software = Vec::new();
    for api in apis {
        let list = adapters(api);
        if list.iter().any(|info| info.class != DeviceClass::SoftwareGpu) {
            return list;
        }
        if software.is_empty() {
            software = list;
        }
    }
    software
}

fn adapters(api: wgpu::Backends) -> Vec<DeviceInfo> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: api,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut per_class = std::collections::BTreeMap::new();
    let mut list = Vec::new();
    for adapter in pollster::block_on(instance.enumerate_adapters(api)) {
        let info = adapter.get_info();
        let class = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceClass::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => DeviceClass::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => DeviceClass::VirtualGpu,
            wgpu::DeviceType::Cpu => DeviceClass::SoftwareGpu,
            // Burn cannot address adapters of unknown type.
            wgpu::DeviceType::Other => continue,
        };
        let index = per_class.entry(class).or_insert(0usize);
        let mut description = format!("{} through {}", info.name, info.backend);
        let lacking = lacking(&adapter.limits());
        if let Some(lacking) = &lacking {
            description = format!("{description}, which has {lacking}");
        }
        list.push(DeviceInfo { name: String::new(), class, description, index: *index, usable: lacking.is_none() });
        *index += 1;
    }
    // Burn can address only one software adapter.
    list.retain(|info| info.class != DeviceClass::SoftwareGpu || info.index == 0);
    list.sort_by_key(|info| info.class);
    for (number, info) in list.iter_mut().enumerate() {
        info.name = if info.class == DeviceClass::SoftwareGpu { "software".into() } else { format!("gpu:{number}") };
    }
    list
}

/// The first limit of an adapter that is below WebGPU's default, as with old OpenGL drivers. Our kernels need eight
/// storage buffers and workgroups of 256 threads.
fn lacking(limits: &wgpu::Limits) -> Option<String> {
    if limits.max_compute_invocations_per_workgroup == 0 {
        return Some("no compute shaders".into());
    }
    let needs = |limits: &wgpu::Limits| {
        [
            ("storage buffers per kernel", limits.max_storage_buffers_per_shader_stage),
            ("threads per workgroup", limits.max_compute_invocations_per_workgroup),
            ("bytes of memory per workgroup", limits.max_compute_workgroup_storage_size),
        ]
    };
    let least = needs(&wgpu::Limits::default()).map(|(_, least)| least);
    let mut needs = needs(limits).into_iter().zip(least).map(|((what, has), least)| (what, has, least));
    needs
        .find(|(_, has, least)| has < least)
        .map(|(what, has, least)| format!("{has} {what}, fewer than the {least} needed"))
}

/// Devices that are already open: Burn initialises a device once per process and fails on a second attempt. The
/// lock is held whenever graphics instances are created or dropped, by us or by Burn: the Vulkan loader crashes if
/// several threads do so at once.
static OPENED: Mutex<Vec<DeviceInfo>> = Mutex::new(Vec::new());

pub(super) fn open_gpu(info: &DeviceInfo, options: DeviceOptions) -> Result<Device> {
    let kind = match info.class {
        DeviceClass::DiscreteGpu => DeviceKind::DiscreteGpu(info.index),
        DeviceClass::IntegratedGpu => DeviceKind::IntegratedGpu(info.index),
        DeviceClass::VirtualGpu => DeviceKind::VirtualGpu(info.index),
        DeviceClass::SoftwareGpu | DeviceClass::Cpu => DeviceKind::Cpu,
    };
    if cfg!(feature = "gpu-vulkan") && info.class == DeviceClass::SoftwareGpu {
        return Err(Error::Device(
            "this build compiles kernels to SPIR-V, which crashes inside software Vulkan drivers; use the CPU, or a \
             build without the feature `gpu-vulkan`"
                .into(),
        ));
    }
    if !options.keep_process_settings {
        set_up();
    }
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.contains(info) {
        return Ok(Device::wgpu(kind));
    }
    let device = match Device::wgpu_options().device_kind(kind.clone()).init() {
        Ok(device) => device,
        // The program uses Burn itself and has opened it already.
        Err(WgpuInitError::Registration { .. }) => Device::wgpu(kind),
        Err(error) => return Err(Error::Device(format!("{} ({}): {error}", info.name, info.description))),
    };
    opened.push(info.clone());
    Ok(device)
}

/// Configures `CubeCL`, once per process: results of autotuning and compiled kernels (with the feature `gpu-tuned`)
/// are cached in the folder named by `SEMSYNTH_CACHE`, or else in the user's cache folder, and no settings are read
/// from the current folder. The number of autotuning samples is limited, so the first picture does not take long.
/// Has no effect if the program has already configured `CubeCL`.
fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut config = CubeClRuntimeConfig::default();
        config.environment.path = CacheConfig::Directory(cache_folder());
        let bench = &mut config.autotune.bench;
        // The default is ten samples, but a single one already separates slow kernels from fast ones.
        (bench.min_samples, bench.max_samples, bench.short_circuit_samples) = (1, 3, 1);
        #[cfg(feature = "gpu-tuned")]
        {
            config.compilation.cache = true;
        }
        CubeClRuntimeConfig::try_set(config.override_from_env());
        BurnConfig::try_set(BurnConfig::default().override_from_env());
    });
}

fn cache_folder() -> PathBuf {
    let chosen = std::env::var_os("SEMSYNTH_CACHE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let users = || etcetera::choose_base_strategy().map(|strategy| strategy.cache_dir().join("semsynth"));
    chosen.or_else(|| users().ok()).unwrap_or_else(|| std::env::temp_dir().join("semsynth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_adapter_lacks_is_named() {
        let enough = wgpu::Limits::default();
        assert_eq!(lacking(&enough), None);
        let few = wgpu::Limits { max_storage_buffers_per_shader_stage: 4, ..enough.clone() };
        assert_eq!(lacking(&few).unwrap(), "4 storage buffers per kernel, fewer than the 8 needed");
        let none = wgpu::Limits { max_compute_invocations_per_workgroup: 0, ..few };
        assert_eq!(lacking(&none).unwrap(), "no compute shaders");
    }
}
