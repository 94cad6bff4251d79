//! The GIMP 3 plug-in of semsynth: "Synthesize from Labels", "Snap to Labels" and "Create Label Palette".
//!
//! GIMP starts this program. It loads the libraries of the GIMP that started it (`api`), registers its procedures
//! (`plugin`), shows dialogs (`dialog`), reads labels (`labels`), and paints on a thread of its own (`paint`). Started by
//! a person, it installs itself (`install`) and says what is wrong (`check`).

#![cfg_attr(windows, windows_subsystem = "windows")]
// GIMP is a C library. `unsafe` is in `api`, `gimp`, `plugin` and `dialog` only, and for the console of Windows here.
#![allow(unsafe_code)]

mod api;
mod check;
mod classes;
mod dialog;
mod gimp;
mod install;
mod labels;
mod paint;
mod plugin;
mod presets;
mod preview;
mod settings;
mod snap;
mod synthesize;
mod words;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use install::Environment;

const HELP: &str = "\
The GIMP 3 plug-in of semsynth. GIMP starts it; yourself, use one of these:

  --install     copy it, its palettes and translations into every GIMP 3 profile of yours
  --uninstall   remove what --install has written
  --check       say which GIMP it finds, its version, device and models, and what is wrong
  --version     print its version
";

/// Windows gives a program of this kind no console, so what it says would be lost: this takes that of the terminal which
/// started it, if there is one.
#[cfg(windows)]
fn take_console() {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn AttachConsole(process: u32) -> i32;
    }
    /// `ATTACH_PARENT_PROCESS`.
    const PARENT: u32 = u32::MAX;
    // SAFETY: it may be called at any time, and changes nothing if there is no console.
    let _ = unsafe { AttachConsole(PARENT) };
}

#[cfg(not(windows))]
fn take_console() {}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    if arguments.get(1).is_none_or(|first| first.starts_with("--")) {
        take_console();
    }
    let result = match arguments.get(1).map(String::as_str) {
        Some("--install") => install::own_program()
            .ok_or_else(|| "this program's own file cannot be found: start it with its full path".into())
            .and_then(|program| install::install(&Environment::current(), &program)),
        Some("--uninstall") => install::uninstall(&Environment::current()),
        Some("--check") => check::check(&Environment::current()),
        Some("--version") => Ok(format!("plug-in-semsynth {}\n", env!("CARGO_PKG_VERSION"))),
        Some("-h" | "--help") | None => Ok(HELP.into()),
        // GIMP's own arguments follow a flag of its own.
        Some(other) if other.starts_with("--") => Err(format!("there is no option {other}\n\n{HELP}")),
        Some(_) => {
            return match api::load().and_then(|()| plugin::main(&arguments)) {
                Ok(status) => ExitCode::from(status as u8),
                Err(error) => fail(&error),
            };
        }
    };
    match result {
        Ok(text) => {
            match std::io::stdout().write_all(text.as_bytes()) {
                // Whoever reads may have had enough: `print!` would panic.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error),
                _ => ExitCode::SUCCESS,
            }
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "plug-in-semsynth: {error}");
    ExitCode::FAILURE
}
