//! Training progress: a progress bar with rate and time left, or, without a terminal, a line every 15 seconds.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::train::{Observer, Record};

/// Time between lines without a terminal.
const EVERY: Duration = Duration::from_secs(15);

/// Displays the progress of a run.
pub(super) struct Progress {
    bar: ProgressBar,
    /// Time after which the run stops, even if steps are left.
    time_limit: Option<Duration>,
    started: Instant,
    first: u64,
    steps: u64,
    plain: bool,
    last_line: Instant,
    losses: String,
}

impl Progress {
    pub(super) fn new(time_limit: Option<Duration>) -> Self {
        let now = Instant::now();
        let plain = !std::io::stderr().is_terminal();
        let (bar, losses) = (ProgressBar::hidden(), String::new());
        Self { bar, time_limit, started: now, first: 0, steps: 0, plain, last_line: now, losses }
    }

    /// Time left: estimated from the steps so far, but at most until the time limit.
    fn eta(&self, step: u64) -> Duration {
        let elapsed = self.started.elapsed();
        let done = (step - self.first).max(1);
        let by_steps = elapsed.mul_f64((self.steps.saturating_sub(step)) as f64 / done as f64);
        self.time_limit.map_or(by_steps, |limit| by_steps.min(limit.saturating_sub(elapsed)))
    }
}

impl Observer for Progress {
    fn start(&mut self, first: u64, steps: u64) {
        (self.first, self.steps, self.started) = (first, steps, Instant::now());
        if !self.plain {
            self.bar = ProgressBar::new(steps);
            self.bar.set_position(first);
            self.bar.reset_eta();
            // The template is a constant, so a mistake in it shows on the first run.
            let style = ProgressStyle::with_template("{pos}/{len} steps [{bar:24}] {msg}");
            self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        }
    }

    fn step(&mut self, step: u64) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let rate = (step - self.first) as f64 / seconds;
        let text = format!("{rate:.2} steps/s, {} left{}", clock(self.eta(step)), self.losses);
        if self.plain {
            if self.last_line.elapsed() >= EVERY {
                self.last_line = Instant::now();
                eprintln!("{step}/{} steps, {text}", self.steps);
            }
        } else {
            self.bar.set_position(step);
            self.bar.set_message(text);
        }
    }

    fn losses(&mut self, record: &Record) {
        self.losses.clear();
        for (name, value) in &record.values {
            // Writing to a string cannot fail.
            let _ = write!(self.losses, "  {name} {value:.3}");
        }
    }

    fn note(&mut self, text: &str) {
        if self.plain {
            eprintln!("{text}");
        } else {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    fn finish(&mut self) {
        self.bar.finish();
    }
}

/// Formats a duration as `1:02:03` or `2:03`.
pub(super) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(Duration::from_secs(3)), "0:03");
        assert_eq!(clock(Duration::from_secs(123)), "2:03");
        assert_eq!(clock(Duration::from_secs(3_723)), "1:02:03");
    }
}
