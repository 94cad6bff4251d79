//! Batches, and runs that are stopped.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use semsynth::data::Dataset;
use semsynth::train::{Batch, Observer, Record};

/// Some pictures of a set as one batch.
pub fn batch(set: &dyn Dataset, pictures: Range<usize>) -> Batch {
    let samples: Vec<_> = pictures.map(|index| set.get(index).unwrap()).collect();
    let mut images = Vec::new();
    for sample in &samples {
        for channel in 0..3 {
            images.extend(sample.image.pixels().map(|pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0));
        }
    }
    let labels = samples.into_iter().map(|sample| sample.labels).collect();
    Batch { labels, instances: None, images, styles: None, collages: None }
}

/// Requests an interruption after a step, as Ctrl-C does.
pub struct StopAfter<'a>(pub u64, pub &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn start(&mut self, _first: u64, _steps: u64) {}
    fn step(&mut self, step: u64) {
        if step == self.0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    fn losses(&mut self, _record: &Record) {}
    fn note(&mut self, _text: &str) {}
    fn finish(&mut self) {}
}
