//! How long a new process takes to its first picture. `SEMSYNTH_LIBRARY=FOLDER SEMSYNTH_STARTS=50` for BENCHMARKS.md, with the
//! library that users get (profile `dist`) and on a quiet machine.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{Sanitizer, compile, have, library, root};

#[test]
fn the_first_picture_comes_soon() {
    let Some(library) = library() else { return };
    if !have("cc") {
        println!("skipped: no C compiler");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = root().join("ffi/tests/c/first.c");
    let binary = compile(&[&source], &library, Sanitizer::None, folder.path(), "first");
    let starts = std::env::var("SEMSYNTH_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_usize);
    let mut times = Vec::new();
    // The first one reads the library from the disk.
    for round in 0..=starts {
        let start = Instant::now();
        let mut child = Command::new(&binary).arg("256").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let time = start.elapsed();
        assert!(child.wait().unwrap().success() && line == "painted\n", "{line}");
        if round > 0 {
            times.push(time.as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!(
        "process start to a picture of 256x256: median {median:.3} s, {least:.3} to {most:.3} s ({starts} starts)"
    );
    // Generous: tests share the machine.
    assert!(median < 5.0);
}
