//! What tests that run other programs share.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    missing_docs,
    reason = "test support; no test uses all of it"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The folder with the built libraries, which Cargo does not build for tests: `ffi/ci.sh` does, and names it. Otherwise
/// prints that a test is skipped.
pub fn library() -> Option<PathBuf> {
    // From the root of the repository, where the command was given.
    let folder = std::env::var_os("SEMSYNTH_LIBRARY").map(|folder| root().join(folder));
    if folder.is_none() {
        println!("skipped: the C library was not built; ffi/ci.sh builds it and runs this test");
    }
    folder
}

/// Whether a program is installed.
pub fn have(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Runs a program that must succeed within ten minutes, and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (id, (ended, end)) = (child.id(), mpsc::channel::<()>());
    let watch = thread::spawn(move || {
        if end.recv_timeout(Duration::from_mins(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(ended);
    watch.join().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // The end says what went wrong.
    let end: String = out.chars().rev().take(4000).collect::<Vec<_>>().into_iter().rev().collect();
    assert!(output.status.success(), "{command:?} failed ({}):\n{end}\n{err}", output.status);
    out.into_owned()
}

/// Hides the graphics drivers of the system from a program: what they leak when they are unloaded is not ours.
pub fn without_drivers(command: &mut Command) -> &mut Command {
    let variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"];
    command.envs(variables.map(|name| (name, "/nonexistent")))
}

/// What a program is checked with while it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sanitizer {
    None,
    /// Addresses, undefined behaviour, and leaks.
    Address,
}

/// Compiles C or C++ with every warning an error, against the built library.
pub fn compile(sources: &[&Path], library: &Path, sanitizer: Sanitizer, folder: &Path, name: &str) -> PathBuf {
    compile_with(&[], sources, library, sanitizer, folder, name)
}

/// As [`compile`], with more flags for the compiler.
pub fn compile_with(
    flags: &[&str],
    sources: &[&Path],
    library: &Path,
    sanitizer: Sanitizer,
    folder: &Path,
    name: &str,
) -> PathBuf {
    let cpp = sources.iter().any(|source| source.extension().is_some_and(|extension| extension == "cpp"));
    let (compiler, standard) = if cpp { ("c++", "-std=c++17") } else { ("cc", "-std=c11") };
    let output = folder.join(name);
    let mut command = Command::new(compiler);
    command.args([standard, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    command.args(flags).arg("-I").arg(root().join("include"));
    if sanitizer == Sanitizer::Address {
        command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    // Programs look for the library by its soname.
    let soname = folder.join("libsemsynth.so.0.1");
    if !soname.exists() {
        std::os::unix::fs::symlink(library.join("libsemsynth.so"), &soname).unwrap();
    }
    command.args(sources).arg("-L").arg(library).arg("-lsemsynth");
    command.arg(format!("-Wl,-rpath,{}", folder.display())).arg("-o").arg(&output);
    run(&mut command);
    output
}

/// Whether a compiler for C or C++ has sanitizers; prints that something is skipped if not.
pub fn sanitizers(compiler: &str, folder: &Path) -> bool {
    let (probe, output) = (folder.join("probe.c"), folder.join("probe"));
    std::fs::write(&probe, "int main(void) { return 0; }\n").unwrap();
    let mut command = Command::new(compiler);
    let works = command.arg("-fsanitize=address,undefined").arg(&probe).arg("-o").arg(&output).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: the compiler {compiler} has no sanitizers");
    }
    works
}

/// As [`compile`] with sanitizers; prints that it is skipped where the compiler has none.
pub fn compile_sanitized(sources: &[&Path], library: &Path, folder: &Path, name: &str) -> Option<PathBuf> {
    sanitizers("cc", folder).then(|| compile(sources, library, Sanitizer::Address, folder, name))
}
