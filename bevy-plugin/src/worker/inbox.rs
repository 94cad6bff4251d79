//! What the app asks of the worker. Nothing here waits: the app never blocks on the worker.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bevy_ecs::entity::Entity;
use bevy_math::URect;
use semsynth::{CancelToken, LabelMap, Rect};

use crate::model::ModelData;
use crate::stream::WorldLabels;
use crate::surface::SynthSurface;
use crate::terrain::SynthSettings;

/// New ids of a rectangle, row by row.
pub(crate) type Edit = (URect, Vec<u16>);

/// A picture to be painted, and kept up to date.
pub(crate) struct Open {
    pub(crate) generation: u64,
    pub(crate) model: Arc<ModelData>,
    pub(crate) settings: SynthSettings,
    pub(crate) priority: f32,
    /// Send the colours of the classes first: the texture is new.
    pub(crate) colors: bool,
    pub(crate) surface: Option<SynthSurface>,
    pub(crate) what: What,
}

/// What is painted.
pub(crate) enum What {
    /// Labels that will be edited.
    Terrain(LabelMap),
    /// A part of a world, once.
    Chunk { labels: Arc<dyn WorldLabels>, area: Rect },
}

pub(crate) enum Command {
    /// Starts, or starts anew.
    Open(Entity, Box<Open>),
    Edit {
        entity: Entity,
        revision: u64,
        edits: Vec<Edit>,
        at: Instant,
    },
    /// Another seed, style and so on.
    Settings {
        entity: Entity,
        revision: u64,
        settings: Box<SynthSettings>,
    },
    Priority(Entity, f32),
    /// The texture was lost: send all of it.
    Resend(Entity),
    /// Writes the picture into a file.
    Save(Entity, PathBuf),
    Close(Entity),
}

impl Command {
    fn entity(&self) -> Entity {
        match self {
            Self::Open(entity, _)
            | Self::Edit { entity, .. }
            | Self::Settings { entity, .. }
            | Self::Priority(entity, _)
            | Self::Resend(entity)
            | Self::Save(entity, _)
            | Self::Close(entity) => *entity,
        }
    }
}

/// What the worker is doing.
pub(crate) struct Current {
    pub(crate) entity: Entity,
    pub(crate) token: CancelToken,
    /// Whether an edit of any terrain is more urgent.
    pub(crate) yields_to_edits: bool,
}

impl Current {
    fn is_spoiled_by(&self, command: &Command) -> bool {
        let same = command.entity() == self.entity;
        match command {
            Command::Open(..) | Command::Close(_) => same,
            // Otherwise what is shown while a slider moves would never be finished.
            Command::Edit { .. } | Command::Settings { .. } => self.yields_to_edits,
            Command::Priority(..) | Command::Resend(_) | Command::Save(..) => false,
        }
    }
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    current: Option<Current>,
    closed: bool,
}

/// Shared by the app and its worker.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
    /// Pictures that wait for something to be painted, as the worker last counted.
    queue: AtomicU32,
    /// The terrain being painted and the fraction done, as bits.
    painting: AtomicU64,
    progress: AtomicU32,
    /// Makes the worker panic where its device would: at its next kernel.
    #[cfg(test)]
    pub(super) loses_device: std::sync::atomic::AtomicBool,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a command, and cancels what it makes useless.
    pub(crate) fn send(&self, command: Command) {
        let mut state = self.lock();
        if let Some(current) = &state.current
            && current.is_spoiled_by(&command)
        {
            current.token.cancel();
        }
        // Edits that the worker has not seen yet are joined: the newest ids count.
        if let Command::Edit { entity, revision, edits, at } = command {
            if let Some(Command::Edit { entity: last, revision: old, edits: waiting, .. }) = state.commands.back_mut()
                && *last == entity
            {
                waiting.retain(|(rect, _)| !edits.iter().any(|(new, _)| new.intersect(*rect) == *rect));
                waiting.extend(edits);
                *old = revision;
            } else {
                state.commands.push_back(Command::Edit { entity, revision, edits, at });
            }
        } else {
            state.commands.push_back(command);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the worker: it stops at its next kernel.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(current) = &state.current {
            current.token.cancel();
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Takes all commands; `None` if closed. Without any, waits up to `patience`, or for ever.
    pub(super) fn take(&self, patience: Option<Duration>) -> Option<VecDeque<Command>> {
        let mut state = self.lock();
        state.current = None;
        let until = patience.map(|patience| Instant::now() + patience);
        while state.commands.is_empty() && !state.closed {
            match until {
                None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        if state.closed { None } else { Some(std::mem::take(&mut state.commands)) }
    }

    /// Announces what the worker does next; false if something came in meanwhile that may be more urgent.
    pub(super) fn start(&self, current: Current) -> bool {
        let mut state = self.lock();
        if state.closed || !state.commands.is_empty() {
            return false;
        }
        self.painting.store(current.entity.to_bits(), Ordering::Relaxed);
        self.progress.store(0, Ordering::Relaxed);
        state.current = Some(current);
        true
    }

    pub(super) fn set_progress(&self, done: f32) {
        #[cfg(test)]
        assert!(!self.loses_device.swap(false, Ordering::Relaxed), "the device is lost");
        self.progress.store(done.to_bits(), Ordering::Relaxed);
    }

    /// Notes that the worker waits, and for how many pictures.
    pub(super) fn set_idle(&self) {
        self.painting.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_queue(&self, pictures: usize) {
        self.queue.store(pictures as u32, Ordering::Relaxed);
    }

    /// Pictures with something left to paint, commands not yet seen included.
    pub(crate) fn queue(&self) -> usize {
        self.queue.load(Ordering::Relaxed) as usize + self.lock().commands.len()
    }

    /// The fraction done, if this one is being painted.
    pub(crate) fn progress(&self, entity: Entity) -> Option<f32> {
        (self.painting.load(Ordering::Relaxed) == entity.to_bits())
            .then(|| f32::from_bits(self.progress.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(entity: Entity, revision: u64, x: u32, width: u32) -> Command {
        let edits = vec![(URect::new(x, 0, x + width, 1), vec![revision as u16; width as usize])];
        Command::Edit { entity, revision, edits, at: Instant::now() }
    }

    #[test]
    fn waiting_edits_are_joined_and_the_newest_wins() {
        let (inbox, entity) = (Inbox::default(), Entity::from_bits(7));
        for revision in 1..1000 {
            inbox.send(edit(entity, revision, 5, 3));
        }
        inbox.send(edit(entity, 1000, 100, 2));
        let commands = inbox.take(None).unwrap();
        let [Command::Edit { revision: 1000, edits, .. }] = commands.iter().collect::<Vec<_>>()[..] else {
            panic!("{} commands", commands.len());
        };
        assert_eq!(edits.iter().map(|(_, ids)| ids[0]).collect::<Vec<_>>(), [999, 1000]);
    }

    #[test]
    fn edits_cancel_what_yields_to_them() {
        let (inbox, entity, other) = (Inbox::default(), Entity::from_bits(7), Entity::from_bits(8));
        for (yields, command, cancelled) in [
            (true, edit(other, 1, 0, 1), true),
            (false, edit(entity, 1, 0, 1), false),
            (false, Command::Close(entity), true),
            (true, Command::Close(other), false),
            (true, Command::Priority(entity, 1.0), false),
        ] {
            let token = CancelToken::new();
            let current = || Current { entity, token: token.clone(), yields_to_edits: yields };
            assert!(inbox.start(current()));
            inbox.send(command);
            assert_eq!(token.is_cancelled(), cancelled);
            // Something is there that may be more urgent.
            assert!(!inbox.start(current()));
            assert_eq!(inbox.take(None).unwrap().len(), 1);
        }
    }

    #[test]
    fn closing_cancels_and_ends_waiting() {
        let inbox = Arc::new(Inbox::default());
        let other = Arc::clone(&inbox);
        let waiting = std::thread::spawn(move || other.take(None).is_none());
        std::thread::sleep(Duration::from_millis(20));
        inbox.close();
        assert!(waiting.join().unwrap());
        assert!(inbox.take(Some(Duration::ZERO)).is_none());

        let inbox = Inbox::default();
        let token = CancelToken::new();
        let current = Current { entity: Entity::from_bits(7), token: token.clone(), yields_to_edits: false };
        assert!(inbox.start(current));
        inbox.close();
        assert!(token.is_cancelled());
    }
}
