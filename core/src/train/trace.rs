//! A trace of a run: when each of its threads did what, as events that Perfetto (<https://ui.perfetto.dev>) and Chrome show on a time
//! axis ("Trace Event Format").

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// The threads of a run, in the order they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Training,
    Pictures,
}

impl Lane {
    const ALL: [Self; 2] = [Self::Training, Self::Pictures];

    fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Pictures => "pictures",
        }
    }
}

/// Writes what the threads of a run do, or nothing.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Writer>>);

struct Writer {
    started: Instant,
    /// The file until something could not be written, then why.
    file: Mutex<std::io::Result<File>>,
}

impl Trace {
    /// A trace in this file, in place of what is there.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let mut file = File::create(path).map_err(Error::io(path))?;
        // The closing bracket may be missing, and nothing is kept back: a run that fails leaves a trace, too.
        let names = Lane::ALL.map(|lane| {
            json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": lane as u32, "args": {"name": lane.name()}})
        });
        let [first, others @ ..] = &names;
        file.write_all(format!("[{first}").as_bytes()).map_err(Error::io(path))?;
        let writer = Writer { started: Instant::now(), file: Mutex::new(Ok(file)) };
        for event in others {
            writer.write(event);
        }
        Ok(Self(Some(Arc::new(writer))))
    }

    /// Does some work for the step of this number, and records its time.
    pub(super) fn span<T>(&self, lane: Lane, name: &str, step: u64, work: impl FnOnce() -> T) -> T {
        let Some(writer) = &self.0 else { return work() };
        let from = writer.started.elapsed();
        let done = work();
        let micros = |time: Duration| time.as_nanos() as f64 / 1000.0;
        writer.write(&json!({
            "name": name, "ph": "X", "pid": 1, "tid": lane as u32, "args": {"step": step},
            "ts": micros(from), "dur": micros(writer.started.elapsed().saturating_sub(from)),
        }));
        done
    }

    /// Writes what is left. An error of any span comes here: tracing must not end training.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with this path if the file is not whole.
    pub(super) fn close(&self, path: &Path) -> Result<()> {
        let Some(writer) = &self.0 else { return Ok(()) };
        let mut file = writer.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads that outlive this write nothing more.
        let file = std::mem::replace(&mut *file, Err(std::io::ErrorKind::BrokenPipe.into()));
        file.and_then(|mut file| file.write_all(b"]\n")).map_err(Error::io(path))
    }
}

impl Writer {
    /// Appends an event.
    fn write(&self, event: &Value) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(open) = &mut *file
            && let Err(error) = open.write_all(format!(",\n{event}").as_bytes())
        {
            *file = Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_the_spans_of_all_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        let trace = Trace::create(&path).unwrap();
        assert_eq!(trace.span(Lane::Training, "step", 1, || 7), 7);
        let other = trace.clone();
        let load = move || other.span(Lane::Pictures, "load", 2, || std::thread::sleep(Duration::from_millis(20)));
        std::thread::spawn(load).join().unwrap();
        trace.close(&path).unwrap();
        trace.span(Lane::Training, "late", 3, || {});
        let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let names: Vec<_> = events.iter().map(|event| event["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["thread_name", "thread_name", "step", "load"]);
        assert_eq!((&events[3]["tid"], &events[3]["args"]["step"]), (&json!(1), &json!(2)));
        assert!(events[3]["dur"].as_f64().unwrap() >= 20_000.0 && events[2]["ts"].as_f64().unwrap() >= 0.0);
    }

    /// What cannot be written is told at the end, and costs no work.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_ends_the_trace_only() {
        let path = Path::new("/dev/full");
        assert!(matches!(Trace::create(path), Err(Error::Io { .. })));
        let file = Mutex::new(Ok(File::create(path).unwrap()));
        let trace = Trace(Some(Arc::new(Writer { started: Instant::now(), file })));
        assert_eq!(trace.span(Lane::Training, "step", 1, || 7), 7);
        assert!(matches!(trace.close(path), Err(Error::Io { .. })));
    }

    #[test]
    fn no_trace_writes_nothing() {
        let trace = Trace::default();
        assert_eq!(trace.span(Lane::Training, "step", 1, || 7), 7);
        trace.close(Path::new("nowhere/trace.json")).unwrap();
    }
}
