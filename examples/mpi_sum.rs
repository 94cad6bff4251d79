//! How long the processes of a group take to add up gradients: the cost of training together, apart from the step itself.
//!
//! ```sh
//! cargo build --release --features mpi --example mpi_sum
//! mpirun -n 2 target/release/examples/mpi_sum 102.3          # millions of values: SPADE for ADE20K with its discriminator
//! ```

use std::process::ExitCode;
use std::time::Instant;

use semsynth::cli::{Ending, finish};
use semsynth::train::{Group, in_mpi};
use semsynth::{Error, Result};

/// Sums to measure, after one to warm up.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    finish(in_mpi(|group, _| measure(group)))
}

fn measure(group: &Group) -> Result<Ending> {
    let millions = std::env::args().nth(1).unwrap_or_else(|| "10".into());
    let millions: f64 =
        millions.parse().map_err(|_| Error::Argument(format!("{millions:?} is no number of millions")))?;
    let mut values = vec![1.0f32; (millions * 1e6) as usize];
    let mut seconds = Vec::new();
    for round in 0..=ROUNDS {
        values.fill(1.0);
        let start = Instant::now();
        group.sum(&mut values);
        group.check()?;
        if round > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    if values.iter().any(|value| (value - group.size() as f32).abs() > 0.0) {
        return Err(Error::Device("the sum is wrong: this is a bug, please report it".into()));
    }
    seconds.sort_by(f64::total_cmp);
    let (least, median) = (seconds[0], seconds[ROUNDS / 2]);
    if group.rank() == 0 {
        let bytes = 4.0 * values.len() as f64;
        let size = group.size();
        let sent = 2.0 * bytes * (size - 1) as f64 / size as f64;
        println!(
            "{size} processes add up {millions} million values ({:.0} MB, each sends {:.0} MB): {median:.3} s ({least:.3} at best)",
            bytes / 1e6,
            sent / 1e6
        );
    }
    Ok(Ending::Done)
}
