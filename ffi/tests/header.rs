//! What was derived from `include/semsynth.h` is up to date, the library exports what it says, and compilers accept it.
//! That the header itself is up to date is checked by `ffi/header`.
//!
//! `SEMSYNTH_BLESS=1` writes `include/layout.txt` anew.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Sanitizer, compile_with, have, library, root, run, sanitizers, without_drivers};

fn header() -> String {
    fs::read_to_string(root().join("include/semsynth.h")).unwrap()
}

#[test]
fn the_layout_of_structs_stays() {
    if !have("cc") {
        println!("skipped: no C compiler");
        return;
    }
    let (path, layout) = (root().join("include/layout.txt"), layout(&header()));
    if std::env::var_os("SEMSYNTH_BLESS").is_some() {
        fs::write(&path, &layout).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    assert!(known == layout, "structs changed: SEMSYNTH_BLESS=1 cargo test --release -p semsynth-ffi --test header");
}

#[test]
fn the_library_exports_the_header_and_nothing_else() {
    if !have("nm") {
        println!("skipped: no nm");
        return;
    }
    let Some(library) = library() else { return };
    let symbols =
        run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library.join("libsemsynth.so")));
    let mut found: Vec<&str> = symbols.lines().filter_map(|line| line.split_whitespace().next()).collect();
    found.sort_unstable();
    let expected = fs::read_to_string(root().join("include/symbols.txt")).unwrap();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
    assert!(found.len() > 50 && expected.lines().all(|name| header().contains(&format!("{name}("))));
}

/// The size of each struct and the place of each field, as the C compiler sees them.
fn layout(header: &str) -> String {
    let mut program = String::from("#include <stdio.h>\n#include \"semsynth.h\"\nint main(void) {\n");
    for part in header.split("typedef struct Semsynth").skip(1) {
        let Some((name, rest)) = part.split_once(" {\n") else { continue };
        if name.contains(';') {
            continue;
        }
        let name = format!("Semsynth{name}");
        let body = rest.split("\n}").next().unwrap();
        writeln!(program, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        for line in body.lines().map(str::trim).filter(|line| !line.starts_with("//") && line.ends_with(';')) {
            let field = line.trim_end_matches(';').split(['[', ')']).next().unwrap();
            let field = field.rsplit([' ', '*']).next().unwrap();
            writeln!(
                program,
                "printf(\"    {field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
            )
            .unwrap();
        }
    }
    program += "return 0; }\n";
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("layout.c"), program).unwrap();
    let binary = dir.path().join("layout");
    run(Command::new("cc")
        .arg("-I")
        .arg(root().join("include"))
        .arg(dir.path().join("layout.c"))
        .arg("-o")
        .arg(&binary));
    run(&mut Command::new(binary))
}

/// Compiles a program that only includes a header, with every warning an error.
fn compiles(compiler: &str, language: &str, standard: &str, header: &str, more: &[&str], dir: &Path) {
    if !have(compiler) {
        println!("skipped: no {compiler}");
        return;
    }
    let standards =
        Command::new(compiler).args(["-x", language, &format!("-std={standard}"), "-E", "/dev/null"]).output().unwrap();
    if !standards.status.success() {
        println!("skipped: {compiler} does not know {standard}");
        return;
    }
    let source = dir.join("only.c");
    fs::write(&source, format!("#include \"{header}\"\nint main(void) {{ return 0; }}\n")).unwrap();
    let strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"];
    run(Command::new(compiler)
        .args(strict)
        .arg(format!("-std={standard}"))
        .args(more)
        .args(["-x", language])
        .arg("-I")
        .arg(root().join("include"))
        .arg("-c")
        .arg(&source)
        .args(["-o", "/dev/null"]));
    println!("{header}: {compiler} {standard} {}", more.join(" "));
}

/// A program that uses all of `semsynth.hpp`, with exceptions and without, and under sanitizers.
#[test]
fn the_wrapper_does_what_the_library_does() {
    let Some(library) = library() else { return };
    if !have("c++") {
        println!("skipped: no C++ compiler");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = root().join("ffi/tests/c/wrapper.cpp");
    let without = ["-DSEMSYNTH_NO_EXCEPTIONS", "-fno-exceptions"];
    for (name, flags) in [("exceptions", &[][..]), ("results", &without)] {
        let binary = compile_with(flags, &[&source], &library, Sanitizer::None, dir.path(), name);
        assert_eq!(run(&mut Command::new(binary)), "end\n");
        if sanitizers("c++", dir.path()) {
            let name = format!("{name}-asan");
            let binary = compile_with(flags, &[&source], &library, Sanitizer::Address, dir.path(), &name);
            assert_eq!(run(without_drivers(&mut Command::new(binary))), "end\n");
        }
    }
}

#[test]
fn compilers_accept_the_headers() {
    let dir = tempfile::tempdir().unwrap();
    for (c, cpp) in [("gcc", "g++"), ("clang", "clang++")] {
        for standard in ["c99", "c11", "c17", "c2x"] {
            compiles(c, "c", standard, "semsynth.h", &[], dir.path());
        }
        for standard in ["c++11", "c++17", "c++20"] {
            compiles(cpp, "c++", standard, "semsynth.h", &[], dir.path());
        }
        for standard in ["c++17", "c++20"] {
            for more in [&[][..], &["-DSEMSYNTH_NO_EXCEPTIONS", "-fno-exceptions"]] {
                compiles(cpp, "c++", standard, "semsynth.hpp", more, dir.path());
            }
        }
    }
}
