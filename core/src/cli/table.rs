//! `semsynth train --table`.

use std::path::Path;

use super::train::open_sets;
use super::{Ending, eval, interrupt, progress};
use crate::device::Device;
use crate::error::Result;
use crate::table::{Files, Observer, RowState, Table, make};

/// Makes a table and prints it.
pub(super) fn run(table: Table, out: &Path, device: &Device) -> Result<Ending> {
    eprintln!("device      {}", device.describe());
    eprintln!("table       {} rows of {} pictures, into {}", table.rows.len(), table.images, out.display());
    let stop = interrupt::flag("stopping after this step; the same command goes on from here")?;
    let files = Files::new(out);
    let results = make(table, &files, device, &open_sets, &mut Progress::new(), &stop)?;
    print!("{}", results.to_markdown());
    println!();
    println!("results     {}, {}", files.results().display(), files.markdown().display());
    let count = |state| results.rows.iter().filter(|row| row.state == state).count();
    if count(RowState::Unfinished) > 0 {
        println!("{} rows are unfinished; the same command goes on", count(RowState::Unfinished));
        return Ok(Ending::Interrupted);
    }
    Ok(if count(RowState::Diverged) > 0 { Ending::Incomplete } else { Ending::Done })
}

struct Progress {
    training: progress::Progress,
    evaluation: eval::Progress,
}

impl Progress {
    fn new() -> Self {
        Self { training: progress::Progress::new(None), evaluation: eval::Progress::new() }
    }
}

impl Observer for Progress {
    fn row(&mut self, index: usize, rows: usize, name: &str) {
        self.evaluation.clear();
        eprintln!("row         {}/{rows}: {name}", index + 1);
    }

    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn training(&mut self) -> &mut dyn crate::train::Observer {
        &mut self.training
    }

    fn evaluation(&mut self) -> &mut dyn crate::eval::Observer {
        &mut self.evaluation
    }
}
