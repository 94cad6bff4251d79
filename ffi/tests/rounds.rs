//! Nothing is lost: memory over many rounds, leaks under the address sanitizer, and one model in eight threads.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::process::Command;

use common::{Sanitizer, compile, compile_sanitized, have, library, root, run, without_drivers};

#[test]
fn memory_stays_over_many_rounds() {
    let Some(library) = library() else { return };
    if !have("cc") {
        println!("skipped: no C compiler");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("ffi/tests/c/rounds.c");
    let binary = compile(&[&source], &library, Sanitizer::None, folder.path(), "rounds");
    let said = run(Command::new(&binary).args(["100", "10000"]));
    let grown = |what: &str| -> i64 {
        let line = said.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{said}"));
        line.trim().parse().unwrap()
    };
    let (rounds, runs) = (grown("rounds"), grown("runs"));
    println!("memory grew by {rounds} KiB over 100 rounds and by {runs} KiB over 10,000 pictures");
    assert!(said.ends_with("end\n") && runs < 1024, "{said}");
    // Threads of jobs come and go, and the allocator keeps memory for them; leaks are looked for below.
    assert!(rounds < 64 << 10, "{said}");
    if let Some(binary) = compile_sanitized(&[&source], &library, folder.path(), "rounds-asan") {
        let mut command = Command::new(&binary);
        command.args(["1000", "100"]).env("ASAN_OPTIONS", "detect_leaks=1");
        let said = run(without_drivers(&mut command));
        assert!(said.ends_with("end\n"), "{said}");
    }
}
