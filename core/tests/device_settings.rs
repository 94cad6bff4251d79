//! A host's own settings of Burn: a process of its own, for they can be set once.
#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(feature = "gpu")]

use burn::BurnConfig;
use burn_cubecl::cubecl::config::RuntimeConfig;
use semsynth::Device;
use semsynth::device::DeviceOptions;

#[test]
fn a_host_keeps_its_settings() {
    // Lists adapters and asks for limits, without opening one.
    if Device::list().iter().all(|info| info.name != "software") {
        println!("skipped: there is no software GPU here");
        return;
    }
    let keep = DeviceOptions::keep_process_settings();
    if let Err(error) = Device::by_name_with("software", keep) {
        println!("skipped: {error}");
        return;
    }
    assert!(BurnConfig::try_set(BurnConfig::default()), "nobody has set it so far");
}
