//! Checks ARCHITECTURE.md against the code: it lists every module, and modules use only those before them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules that are not public. The command does not use them, so other programs do not need them either.
const PRIVATE: [&str; 5] = ["engine", "files", "memory", "pixels", "rng"];

/// Each module of the crate and the modules it uses, outside of tests.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let mut uses = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "lib" || name == "main" {
            continue;
        }
        let mut used = BTreeSet::new();
        collect(&path, &mut used);
        used.remove(&name);
        uses.insert(name, used);
    }
    uses
}

fn collect(path: &Path, used: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), used);
        }
        return;
    }
    // Files used only in tests.
    if path.extension().is_none_or(|extension| extension != "rs")
        || ["tests", "testing", "software", "fuzz"].contains(&path.file_stem().unwrap().to_str().unwrap())
    {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    assert!(!code.contains("use crate::{"), "{}: a grouped import hides what it uses", path.display());
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let name: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit()).collect();
            used.insert(name);
        }
    }
    used.remove("");
}

#[test]
fn modules_use_only_those_above_them_in_the_list() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md")).unwrap();
    // Rows of the list: | `name` | purpose | `a`, `b` |
    let quoted = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let listed: Vec<(String, BTreeSet<String>)> = document
        .split("<!-- modules -->")
        .nth(1)
        .expect("the list is between two comments")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            (quoted(cells[0])[0].clone(), quoted(cells[2]).into_iter().collect())
        })
        .collect();
    let found = uses();
    let names: BTreeSet<&String> = listed.iter().map(|(name, _)| name).collect();
    assert_eq!(names, found.keys().collect(), "modules in ARCHITECTURE.md, and in core/src");
    let mut above = BTreeSet::new();
    for (name, used) in &listed {
        let expected: Vec<String> = found[name].iter().map(|name| format!("`{name}`")).collect();
        assert_eq!(used, &found[name], "{name} uses {}", expected.join(", "));
        let upward: Vec<&String> = used.difference(&above).collect();
        assert!(upward.is_empty(), "{name} uses {upward:?}, which stand below it in ARCHITECTURE.md");
        above.insert(name.clone());
    }
}

#[test]
fn the_command_uses_only_public_doors() {
    let used = &uses()["cli"];
    assert!(
        PRIVATE.iter().all(|private| !used.contains(*private)),
        "cli uses {used:?}, of which {PRIVATE:?} are private"
    );
}
