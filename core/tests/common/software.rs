//! GPU devices for tests. The unit tests of the library include this file as well.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Device;

/// Held by the one test that uses OpenGL, until its thread ends: if a thread waits six seconds for the work of another,
/// `wgpu` takes that for a deadlock and panics.
static OPENGL: Mutex<()> = Mutex::new(());

thread_local! {
    static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// The CPU, and the software GPU if there is one.
pub(crate) fn devices() -> Vec<Device> {
    [Some(Device::cpu()), software()].into_iter().flatten().collect()
}

/// The software GPU. If there is none, prints that the test is skipped and why. `.ci/run` looks for both messages.
pub(crate) fn software() -> Option<Device> {
    match Device::by_name("software") {
        Ok(device) => {
            println!("on {}", device.describe());
            if device.info().description.contains("through gl") {
                HELD.with_borrow_mut(|held| {
                    held.get_or_insert_with(|| OPENGL.lock().unwrap_or_else(PoisonError::into_inner));
                });
            }
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
