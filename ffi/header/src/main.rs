//! Writes `include/semsynth.h` from the comments in `ffi/src`, and the list of its functions, `include/symbols.txt`.
//!
//! `cargo run --manifest-path ffi/header/Cargo.toml`; with `--check` it only compares, and fails if they differ.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let check = std::env::args().nth(1).as_deref() == Some("--check");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ffi = here.parent().ok_or("no folder above")?;
    let include = ffi.with_file_name("include");
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml"))?;
    let mut header = Vec::new();
    cbindgen::Builder::new().with_crate(ffi).with_config(config).generate()?.write(&mut header);
    let header = String::from_utf8(header)?;
    let symbols = functions(&header).join("\n") + "\n";
    for (name, text) in [("semsynth.h", header), ("symbols.txt", symbols)] {
        let path = include.join(name);
        if !check {
            fs::write(&path, text)?;
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            let path = path.display();
            return Err(format!("{path} is not up to date: cargo run --manifest-path ffi/header/Cargo.toml").into());
        }
    }
    Ok(())
}

/// The names of all functions of the header, sorted.
fn functions(header: &str) -> Vec<&str> {
    let code = header.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut names: Vec<&str> = code
        .filter_map(|line| {
            let rest = &line[line.find("semsynth_")?..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            rest[end..].starts_with('(').then(|| &rest[..end])
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
