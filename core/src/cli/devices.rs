//! `semsynth devices`.

use clap::Args;

use super::Ending;
use crate::device::Device;
use crate::error::Result;

/// Arguments of `semsynth devices`.
#[derive(Args, Debug)]
pub struct DevicesArgs {}

impl DevicesArgs {
    /// Lists the devices, best first, and which one `--device auto` selects and why.
    ///
    /// # Errors
    ///
    /// As [`Device::best`].
    pub fn run(&self) -> Result<Ending> {
        for info in Device::list() {
            println!("{:<10} {:<15} {}", info.name, info.class.to_string(), info.description);
        }
        println!("\nauto picks {}", Device::best()?.describe());
        Ok(Ending::Done)
    }
}
