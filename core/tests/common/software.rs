//! GPU devices for tests. The unit tests of the library include this file as well.

use super::Device;

/// The CPU, and the software GPU if there is one.
pub(crate) fn devices() -> Vec<Device> {
    [Some(Device::cpu()), software()].into_iter().flatten().collect()
}

/// The software GPU. If there is none, prints that the test is skipped and why. `.ci/run` looks for both messages.
pub(crate) fn software() -> Option<Device> {
    match Device::by_name("software") {
        Ok(device) => {
            println!("on {}", device.describe());
            Some(device)
        }
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Whether a device supports 16-bit floats. If not, prints that this part of the test is skipped.
pub(crate) fn has_half(device: &Device) -> bool {
    let info = device.info();
    if !device.supports_half() {
        println!("skipped: {} ({}) has no 16-bit floats", info.name, info.description);
    }
    device.supports_half()
}
