//! Parts of textures that wait to be written, a few MiB per frame.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bevy_asset::AssetId;
use bevy_image::Image;
use bevy_math::UVec2;

use crate::upload::{SinkNews, TextureSink};
use crate::worker::LevelPart;

/// Keeps parts until the renderer writes them.
#[derive(Debug)]
pub(crate) struct HostUploads {
    pub(crate) budget: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    queue: VecDeque<Waiting>,
    /// Images that nothing will be written to any more, for the renderer.
    pub(crate) forgotten: Vec<AssetId<Image>>,
    pub(crate) news: SinkNews,
}

#[derive(Debug)]
struct Waiting {
    image: AssetId<Image>,
    part: LevelPart,
    /// Rows that are written.
    done: u32,
    /// On the last part of an edit.
    edited: Option<Instant>,
}

impl HostUploads {
    /// At most `budget` bytes per frame; at least a row.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget, state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows of one part that fit into what is left of the budget, of the first image that `is_ready`.
    pub(crate) fn next(
        state: &mut State,
        left: usize,
        is_first: bool,
        is_ready: impl Fn(AssetId<Image>) -> bool,
    ) -> Option<Rows> {
        // An image that is not there yet holds up only its own parts.
        let index = state.queue.iter().position(|waiting| is_ready(waiting.image))?;
        let waiting = state.queue.get_mut(index)?;
        let row = 4 * waiting.part.rect.width() as usize;
        let fitting = (left / row.max(1)) as u32;
        let height = waiting.part.rect.height() - waiting.done;
        let rows = if is_first { fitting.max(1) } else { fitting }.min(height);
        if rows == 0 {
            return None;
        }
        let start = waiting.done as usize * row;
        let origin = waiting.part.rect.min + UVec2::new(0, waiting.done);
        let size = UVec2::new(waiting.part.rect.width(), rows);
        let mut taken =
            Rows { image: waiting.image, level: waiting.part.level, origin, size, bytes: Vec::new(), edited: None };
        if rows == height {
            let mut waiting = state.queue.remove(index)?;
            taken.edited = waiting.edited;
            taken.bytes = if start == 0 { waiting.part.rgba } else { waiting.part.rgba.split_off(start) };
        } else {
            taken.bytes = waiting.part.rgba.get(start..start + rows as usize * row).unwrap_or_default().to_vec();
            waiting.done += rows;
        }
        Some(taken)
    }
}

/// Rows of one level that are written now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) image: AssetId<Image>,
    pub(crate) level: u32,
    pub(crate) origin: UVec2,
    pub(crate) size: UVec2,
    pub(crate) bytes: Vec<u8>,
    pub(crate) edited: Option<Instant>,
}

impl TextureSink for HostUploads {
    fn push(&self, image: AssetId<Image>, parts: Vec<LevelPart>, edited: Option<Instant>) {
        let mut state = self.lock();
        // What is painted over before it was sent need not be sent.
        state.queue.retain(|old| {
            let covers =
                |new: &LevelPart| new.level == old.part.level && new.rect.intersect(old.part.rect) == old.part.rect;
            old.image != image || old.done > 0 || old.edited.is_some() || !parts.iter().any(covers)
        });
        let last = parts.len().saturating_sub(1);
        state.queue.extend(parts.into_iter().enumerate().map(|(index, part)| Waiting {
            image,
            part,
            done: 0,
            edited: edited.filter(|_| index == last),
        }));
    }

    fn forget(&self, image: AssetId<Image>) {
        let mut state = self.lock();
        state.queue.retain(|waiting| waiting.image != image);
        state.forgotten.push(image);
    }

    fn take_news(&self) -> SinkNews {
        std::mem::take(&mut self.lock().news)
    }

    fn waiting(&self) -> usize {
        self.lock().queue.iter().map(|waiting| waiting.part.rgba.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use bevy_math::URect;

    use super::*;

    fn id(number: u128) -> AssetId<Image> {
        AssetId::Uuid { uuid: bevy_asset::uuid::Uuid::from_u128(number) }
    }

    fn part(level: u32, rect: URect, byte: u8) -> LevelPart {
        LevelPart { level, rect, rgba: vec![byte; 4 * (rect.width() * rect.height()) as usize] }
    }

    /// What frames write, each as the rows of its parts.
    fn frames(uploads: &HostUploads, ready: impl Fn(AssetId<Image>) -> bool + Copy) -> Vec<Vec<Rows>> {
        let mut frames = Vec::new();
        loop {
            let (mut frame, mut written) = (Vec::new(), 0);
            while let Some(rows) =
                HostUploads::next(&mut uploads.lock(), uploads.budget.saturating_sub(written), written == 0, ready)
            {
                written += rows.bytes.len();
                frame.push(rows);
            }
            if frame.is_empty() {
                return frames;
            }
            frames.push(frame);
        }
    }

    #[test]
    fn no_frame_writes_more_than_the_budget_and_all_rows_arrive_once() {
        let uploads = HostUploads::new(1000);
        let (large, small) = (part(0, URect::new(3, 5, 33, 75), 1), part(1, URect::new(1, 2, 16, 38), 2));
        uploads.push(id(1), vec![large.clone(), small.clone()], None);
        let frames = frames(&uploads, |_| true);
        let bytes = |frame: &Vec<Rows>| frame.iter().map(|rows| rows.bytes.len()).sum::<usize>();
        assert!(frames.iter().all(|frame| bytes(frame) <= 1000), "{:?}", frames.iter().map(bytes).collect::<Vec<_>>());
        assert_eq!(frames.iter().map(bytes).sum::<usize>(), large.rgba.len() + small.rgba.len());
        let mut next = 5;
        for rows in frames.iter().flatten().filter(|rows| rows.level == 0) {
            assert_eq!((rows.origin, rows.size.x), (UVec2::new(3, next), 30));
            next += rows.size.y;
        }
        assert_eq!(next, 75);
    }

    #[test]
    fn a_row_goes_out_even_if_the_budget_is_less() {
        let uploads = HostUploads::new(1);
        uploads.push(id(1), vec![part(0, URect::new(0, 0, 100, 3), 1)], None);
        assert_eq!(frames(&uploads, |_| true).len(), 3);
    }

    #[test]
    fn the_newest_pixels_win_and_order_is_kept() {
        let uploads = HostUploads::new(1 << 20);
        let rect = URect::new(10, 10, 20, 20);
        uploads.push(id(1), vec![part(0, rect, 1)], None);
        uploads.push(id(2), vec![part(0, rect, 2)], None);
        uploads.push(id(1), vec![part(0, URect::new(0, 0, 40, 40), 3)], None);
        let rows: Vec<Rows> = frames(&uploads, |_| true).into_iter().flatten().collect();
        assert_eq!(rows.iter().map(|rows| rows.bytes[0]).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn an_image_that_is_not_there_holds_up_no_other() {
        let uploads = HostUploads::new(1 << 20);
        let rect = URect::new(0, 0, 4, 4);
        uploads.push(id(1), vec![part(0, rect, 1)], None);
        uploads.push(id(2), vec![part(0, rect, 2)], Some(Instant::now()));
        let rows = frames(&uploads, |image| image == id(2));
        assert!(rows.len() == 1 && rows[0][0].bytes[0] == 2 && rows[0][0].edited.is_some());
        assert_eq!(uploads.waiting(), 64);
        uploads.forget(id(1));
        assert_eq!(uploads.waiting(), 0);
    }
}
