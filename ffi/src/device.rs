//! Devices.

use std::ffi::c_char;
use std::sync::OnceLock;

use semsynth_core::Device;
use semsynth_core::device::{DeviceClass, DeviceInfo};

use crate::guard::{SEMSYNTH_LOG_INFO, guard, log};
use crate::pointers::{Out, OutStruct, chars, text, versioned};
use crate::registry::{self, Handle};
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_OUT_OF_RANGE, SemsynthStatus};

/// Where pictures are computed. Thread-safe.
#[derive(Debug)]
pub struct SemsynthDevice(());

impl Handle for SemsynthDevice {
    type Object = Device;
    const NAME: &'static str = "device";
}

/// The CPU.
pub const SEMSYNTH_DEVICE_CPU: u32 = 1;
/// A graphics card of its own.
pub const SEMSYNTH_DEVICE_DISCRETE_GPU: u32 = 2;
/// A GPU that shares memory with the CPU.
pub const SEMSYNTH_DEVICE_INTEGRATED_GPU: u32 = 3;
/// A GPU passed through to a virtual machine.
pub const SEMSYNTH_DEVICE_VIRTUAL_GPU: u32 = 4;
/// A graphics driver that runs on the CPU: slow, for tests, used only if asked for by name.
pub const SEMSYNTH_DEVICE_SOFTWARE_GPU: u32 = 5;

/// A device of this machine.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthDeviceInfo {
    /// Set it to `sizeof(SemsynthDeviceInfo)`.
    pub struct_size: usize,
    /// One of the `SEMSYNTH_DEVICE_` constants.
    pub kind: u32,
    /// 1 if it is opened and computes with 16-bit floats, else 0.
    pub supports_half: u32,
    /// The name for `semsynth_device_create`: "cpu", "gpu:0", "gpu:1", "software".
    pub name: [c_char; 64],
    /// The name that the driver reports, and what it lacks, if anything; for an opened device also why it was chosen.
    pub description: [c_char; 448],
}

versioned!(SemsynthDeviceInfo);

fn list() -> &'static [DeviceInfo] {
    static LIST: OnceLock<Vec<DeviceInfo>> = OnceLock::new();
    LIST.get_or_init(Device::list)
}

fn described(info: &DeviceInfo, description: &str, half: bool) -> SemsynthDeviceInfo {
    SemsynthDeviceInfo {
        struct_size: 0,
        kind: match info.class {
            DeviceClass::DiscreteGpu => SEMSYNTH_DEVICE_DISCRETE_GPU,
            DeviceClass::IntegratedGpu => SEMSYNTH_DEVICE_INTEGRATED_GPU,
            DeviceClass::VirtualGpu => SEMSYNTH_DEVICE_VIRTUAL_GPU,
            DeviceClass::SoftwareGpu => SEMSYNTH_DEVICE_SOFTWARE_GPU,
            _ => SEMSYNTH_DEVICE_CPU,
        },
        supports_half: u32::from(half),
        name: chars(&info.name),
        description: chars(description),
    }
}

/// Counts the devices of this machine, at least 1. The first call looks for GPUs, which takes a while; devices that
/// appear later are not seen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_count(out: *mut usize) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        out.write(list().len());
        Ok(())
    })
}

/// Describes a device of this machine, best first.
///
/// @param index From 0, below the count.
/// @param info  Takes the description; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_info(index: usize, info: *mut SemsynthDeviceInfo) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let out = unsafe { OutStruct::new(info, "info")? };
        let info = at(list(), index, "devices")?;
        out.write(&described(info, &info.description, false));
        Ok(())
    })
}

/// Opens a device, to be released with `semsynth_device_release`.
///
/// @param name "cpu", "gpu" (the best one), a name from `semsynth_device_info`, or "auto" or NULL for the best GPU if
///             there is one and the CPU otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_create(name: *const c_char, out: *mut *mut SemsynthDevice) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let (name, out) = unsafe { (if name.is_null() { "auto" } else { text(name, "name")? }, Out::new(out, "out")?) };
        let device = Device::by_name(name)?;
        log(SEMSYNTH_LOG_INFO, || device.describe());
        registry::give(device, out);
        Ok(())
    })
}

/// Describes an opened device.
///
/// @param info Takes the description; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_describe(
    device: *const SemsynthDevice,
    info: *mut SemsynthDeviceInfo,
) -> SemsynthStatus {
    guard(|| {
        let device = registry::get(device)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { OutStruct::new(info, "info")? };
        out.write(&described(device.info(), &device.describe(), device.supports_half()));
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_retain(device: *const SemsynthDevice) -> SemsynthStatus {
    guard(|| registry::retain(device))
}

/// Removes an owner; NULL is fine. Sessions keep what they need.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_device_release(device: *mut SemsynthDevice) -> SemsynthStatus {
    guard(|| registry::release(device).map(drop))
}

/// An element, if there is one.
pub(crate) fn at<'a, T>(list: &'a [T], index: usize, what: &str) -> Outcome<&'a T> {
    list.get(index).ok_or_else(|| {
        Fault::new(SEMSYNTH_STATUS_OUT_OF_RANGE, format!("there is no number {index} among {} {what}", list.len()))
    })
}
