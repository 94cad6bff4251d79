//! `include/semsynth.h` and what was derived from it are up to date, and compilers accept them.
//!
//! `SEMSYNTH_BLESS=1` writes the files anew.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{have, root, run};

/// Compares with a committed file, or writes it.
fn same(path: &str, text: &str) {
    let path = root().join(path);
    if std::env::var_os("SEMSYNTH_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not up to date: SEMSYNTH_BLESS=1 cargo test --release -p semsynth-ffi --test header",
        path.display()
    );
}

fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("ffi/cbindgen.toml")).unwrap();
    let mut text = Vec::new();
    cbindgen::Builder::new().with_crate(root().join("ffi")).with_config(config).generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// The names of all functions of the header.
fn functions(header: &str) -> Vec<String> {
    let mut names: Vec<String> = header
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .filter_map(|line| {
            let start = line.find("semsynth_")?;
            let name: String = line[start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            line[start + name.len()..].starts_with('(').then_some(name)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn header_symbols_and_layout_are_up_to_date() {
    let header = generated();
    same("include/semsynth.h", &header);
    let names = functions(&header);
    assert!(names.len() > 50, "{names:?}");
    same("include/symbols.txt", &(names.join("\n") + "\n"));
    if !have("cc") {
        println!("skipped: no C compiler for the layout of structs");
        return;
    }
    same("include/layout.txt", &layout(&header));
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
fn compiles(compiler: &str, language: &str, standard: &str, header: &str, dir: &Path) {
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
        .args(["-x", language])
        .arg("-I")
        .arg(root().join("include"))
        .arg("-c")
        .arg(&source)
        .args(["-o", "/dev/null"]));
    println!("{header}: {compiler} {standard}");
}

#[test]
fn compilers_accept_the_headers() {
    let dir = tempfile::tempdir().unwrap();
    for (c, cpp) in [("gcc", "g++"), ("clang", "clang++")] {
        for standard in ["c99", "c11", "c17", "c2x"] {
            compiles(c, "c", standard, "semsynth.h", dir.path());
        }
        for standard in ["c++11", "c++17", "c++20"] {
            compiles(cpp, "c++", standard, "semsynth.h", dir.path());
        }
        for standard in ["c++17", "c++20"] {
            compiles(cpp, "c++", standard, "semsynth.hpp", dir.path());
        }
    }
}
