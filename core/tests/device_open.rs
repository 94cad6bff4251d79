//! A host that has opened the GPU with Burn before: a process of its own, for a device can be opened once.
#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(feature = "gpu")]

use burn::tensor::{Device as BurnDevice, DeviceKind};
use semsynth::Device;
use semsynth::device::DeviceOptions;

#[test]
fn a_gpu_that_is_open_already_can_be_used() {
    // Lists adapters, without opening one.
    let Some(info) = Device::list().into_iter().find(|info| info.name == "software") else {
        println!("skipped: there is no software GPU here");
        return;
    };
    if BurnDevice::wgpu_options().device_kind(DeviceKind::Cpu).init().is_err() {
        println!("skipped: {} cannot be opened", info.description);
        return;
    }
    match Device::by_name_with("software", DeviceOptions::keep_process_settings()) {
        Ok(device) => assert!(device.describe().contains("software")),
        // The driver lacks what our kernels need.
        Err(error) => assert!(error.to_string().contains("cannot be used"), "{error}"),
    }
}
