//! The thread that paints. It owns the canvases of all terrains; the app sends edits and receives rectangles.

mod inbox;
mod maps;
mod mips;
mod painter;
mod picture;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use bevy_log::{debug, error};
use bevy_math::URect;
use semsynth::ClassTable;
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

use crate::events::Quality;
use crate::model::SynthPresets;
pub(crate) use inbox::{Command, Edit, Inbox, Open, What};
pub(crate) use maps::MapParts;
pub use mips::LevelPart;
pub(crate) use mips::level_count;
use painter::{OpenDevice, Painter, opener};

use crate::SemSynthSettings;

/// Reports that wait for the app. The worker pauses when there are more, for example while the app is suspended.
const WAITING: usize = 64;

/// What the worker tells the app.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) entity: Entity,
    pub(crate) generation: u64,
    pub(crate) news: News,
}

#[derive(Debug)]
pub(crate) enum News {
    /// The model is ready.
    Model(Arc<ClassTable>, SynthPresets),
    Painted(Painted),
    /// What it was asked up to this revision cannot be done.
    Failed {
        error: String,
        revision: u64,
    },
    /// A file was written, or why not.
    Saved(PathBuf, Option<String>),
}

/// New pixels.
#[derive(Debug)]
pub(crate) struct Painted {
    /// Edits up to this one are shown.
    pub(crate) revision: u64,
    pub(crate) quality: Quality,
    /// What changed; nothing may have.
    pub(crate) rect: Option<URect>,
    pub(crate) parts: Vec<LevelPart>,
    /// Of the normal and roughness maps.
    pub(crate) maps: MapParts,
    /// How long the worker took.
    pub(crate) time: Duration,
    /// When the oldest edit was made that had not been shown.
    pub(crate) edited: Option<Instant>,
}

/// The app's end of the worker. Dropping it ends the thread: it stops at its next kernel.
#[derive(Resource, Debug)]
pub(crate) struct Worker {
    inbox: Arc<Inbox>,
    // A receiver is not `Sync`.
    reports: Option<Mutex<Receiver<Report>>>,
    thread: Option<JoinHandle<()>>,
    /// Whether its end was noticed.
    ended: bool,
}

impl Worker {
    pub(crate) fn start(settings: &SemSynthSettings) -> Self {
        Self::start_on(settings, opener(settings.device))
    }

    /// Starts with a device of one's own.
    fn start_on(settings: &SemSynthSettings, open_device: OpenDevice) -> Self {
        let inbox = Arc::new(Inbox::default());
        let (sender, receiver) = sync_channel(WAITING);
        let painter = Painter::new(Arc::clone(&inbox), sender, settings, open_device);
        let threads = settings.threads.max(1);
        let thread = std::thread::Builder::new().name("semsynth".into()).spawn(move || {
            // A pool of the worker's own, whose threads give way to the app's.
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("semsynth {index}"))
                .start_handler(|_| give_way())
                .build();
            match pool {
                Ok(pool) => pool.install(|| painter.run()),
                Err(fault) => error!("the painting threads cannot be started: {fault}"),
            }
        });
        let thread = thread.map_err(|fault| error!("the painting thread cannot be started: {fault}")).ok();
        Self { inbox, reports: Some(Mutex::new(receiver)), thread, ended: false }
    }

    pub(crate) fn send(&self, command: Command) {
        self.inbox.send(command);
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// What the worker has reported; never waits.
    pub(crate) fn reports(&mut self) -> Vec<Report> {
        let Some(receiver) = &mut self.reports else { return Vec::new() };
        receiver.get_mut().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }

    /// Whether the thread ended, which it does by itself only if something is broken. True once.
    pub(crate) fn has_died(&mut self) -> bool {
        let dead = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        !std::mem::replace(&mut self.ended, dead) && dead
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.close();
        // A worker that waits for room for its reports goes on with an error.
        self.reports = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the painting thread panicked");
        }
    }
}

/// Lowers the priority of this thread a little: frames come first where cores are few. (On Linux 6 of nice's 19 steps.)
fn give_way() {
    let lower = ThreadPriorityValue::try_from(34).map(ThreadPriority::Crossplatform);
    let done = lower.and_then(|lower| set_current_thread_priority(lower).map_err(|fault| format!("{fault:?}")));
    if let Err(fault) = done {
        debug!("painting has the priority of the app: {fault}");
    }
}

/// The end of the channel to the app.
type Reports = SyncSender<Report>;
