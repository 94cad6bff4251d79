//! Tables of tiny networks on procedural facades.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::data::{Dataset, Procedural, Split};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::train::{self, Record};

const TINY: &str = r#"(
    images: 3,
    base: (
        ngf: 2, discriminator: (ndf: 4, layers: 3), size: (32, 64), batch: 2, learning_rate: 4e-4,
        losses: (l1: 1.0), load_scale: 1.0, log_every: 1, sample_every: 10,
    ),
    rows: [(name: "SPADE", system: "spade"), (name: "CLADE", system: "clade", changes: (batch: 3))],
)"#;

fn table(text: &str) -> Table {
    Table::from_ron_str(text, Path::new("")).unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "the type that `make` takes")]
fn sets(_: &train::Recipe) -> Result<Sets> {
    let set = |split, len| Arc::new(Procedural::new(split, 1, len, 64, 32)) as Arc<dyn Dataset>;
    Ok((set(Split::Train, 4), set(Split::Val, 2)))
}

/// Notes which steps are done, and stops after the first of them if told to.
#[derive(Default)]
struct Watch<'a> {
    steps: Vec<u64>,
    stop: Option<&'a AtomicBool>,
    evaluation: crate::eval::Silent,
}

impl train::Observer for Watch<'_> {
    fn start(&mut self, _first: u64, _steps: u64) {}
    fn step(&mut self, step: u64) {
        self.steps.push(step);
        if let Some(stop) = self.stop {
            stop.store(true, Ordering::Relaxed);
        }
    }
    fn losses(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self) {}
}

impl Observer for Watch<'_> {
    fn row(&mut self, _index: usize, _rows: usize, _name: &str) {}
    fn note(&mut self, _text: &str) {}
    fn training(&mut self) -> &mut dyn train::Observer {
        self
    }
    fn evaluation(&mut self) -> &mut dyn crate::eval::Observer {
        &mut self.evaluation
    }
}

/// Makes a table; returns the results and the steps that were done for it.
fn made(text: &str, folder: &Path, interrupted: bool) -> Result<(Results, Vec<u64>)> {
    let stop = AtomicBool::new(false);
    let mut watch = Watch { stop: interrupted.then_some(&stop), ..Watch::default() };
    let results = make(table(text), &Files::new(folder), &Device::cpu(), &sets, &mut watch, &stop)?;
    Ok((results, watch.steps))
}

#[test]
fn an_interrupted_table_goes_on_to_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let (expected, steps) = made(TINY, &whole, false).unwrap();
    assert_eq!(steps, [1, 2, 1]);
    for row in &expected.rows {
        let report = row.report.as_ref().unwrap();
        assert_eq!((row.state, report.pictures), (RowState::Finished, 2));
        assert!(row.parameters.unwrap() > 1000 && row.seconds_per_step.unwrap() > 0.0);
    }
    assert!(expected.rows[0].parameters > expected.rows[1].parameters);

    let (results, steps) = made(TINY, &parts, true).unwrap();
    assert_eq!((steps.as_slice(), results.rows[0].state), ([1].as_slice(), RowState::Unfinished));
    let (results, steps) = made(TINY, &parts, false).unwrap();
    assert_eq!(steps, [2, 1]);
    for (row, expected) in results.rows.iter().zip(&expected.rows) {
        assert_eq!((&row.report, row.parameters), (&expected.report, expected.parameters));
    }
    // Nothing is left to do; the files say the same again.
    let files = Files::new(&parts);
    let before = results.to_markdown();
    let (results, steps) = made(TINY, &parts, false).unwrap();
    assert_eq!((steps.as_slice(), results.to_markdown()), ([].as_slice(), before.clone()));
    assert_eq!(std::fs::read_to_string(files.markdown()).unwrap(), before);
    let text = std::fs::read_to_string(files.results()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["images"], &json["rows"][1]["state"]), (&3.into(), &"finished".into()));
}

#[test]
fn a_row_that_diverges_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let text = TINY.replace("system: \"spade\"", "changes: (losses: (l1: 1e39))");
    let (results, steps) = made(&text, folder.path(), false).unwrap();
    assert_eq!(results.rows[0].state, RowState::Diverged, "{results:?}");
    assert!(results.rows[0].message.as_ref().unwrap().contains("diverged"));
    assert_eq!(results.rows[1].state, RowState::Finished);
    assert!(results.to_markdown().contains("| SPADE | – |"), "{}", results.to_markdown());
    assert!(!steps.is_empty());
    // It would diverge again.
    assert_eq!(made(&text, folder.path(), false).unwrap().1, [] as [u64; 0]);
}

#[test]
fn another_recipe_in_a_rows_folder_is_refused_and_a_run_without_checkpoint_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let text = TINY.replace(", (name: \"CLADE\", system: \"clade\", changes: (batch: 3))", "");
    let files = train::Files::new(folder.path().join("spade"));
    made(&text, folder.path(), true).unwrap();
    let other = made(&text.replace("ngf: 2", "ngf: 4"), folder.path(), false).unwrap_err();
    assert!(matches!(other, Error::Argument(_)) && other.to_string().contains("another recipe"), "{other}");
    for file in [files.checkpoint(), files.model(), files.sheet()] {
        std::fs::remove_file(file).unwrap();
    }
    assert_eq!(made(&text, folder.path(), false).unwrap().1, [1, 2]);
}
