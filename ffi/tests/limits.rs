//! Where memory is short, calls are refused and the process lives; and nothing is printed.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::process::Command;

use common::{Sanitizer, compile, have, library, root};

#[test]
fn little_memory_is_an_error_and_not_the_end() {
    let Some(library) = library() else { return };
    if !have("cc") {
        println!("skipped: no C compiler");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("ffi/tests/c/limits.c");
    let binary = compile(&[&source], &library, Sanitizer::None, folder.path(), "limits");
    // Kibibytes of address space: little beside the 100 GB of the canvas, little beside its labels, hardly more than them.
    for limit in [8_000_000, 2_000_000, 1_000_000] {
        let output = Command::new("sh").args(["-c", &format!("ulimit -v {limit}; exec \"$0\"")]).arg(&binary).output();
        let output = output.unwrap();
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.ends_with("end\n"), "{limit}: {}\n{said}{complained}", output.status);
        assert_eq!(complained, "", "the library prints nothing, also where calls fail");
        let status = |what: &str| -> i32 {
            let line = said.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{said}"));
            line.trim().parse().unwrap()
        };
        assert_eq!(status("canvas "), 500, "{said}");
        let less = status("less ");
        assert!(if limit > 2_000_000 { less == 0 } else { less == 500 }, "{limit}: {said}");
        // Colours that belong to no class, if there was memory to read them.
        assert!([201, 500].contains(&status("colors ")), "{said}");
        assert_eq!(status("picture "), 0, "{said}");
    }
}
