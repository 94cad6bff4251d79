//! Which rectangles of a map changed, for any number of readers that each remember where they were.

use std::collections::VecDeque;

use bevy_math::URect;

use super::area;

/// Rectangles that are kept. A reader that falls further behind repaints everything.
const KEPT: usize = 256;

/// A numbered list of changed rectangles. Rectangles that overlap a lot are joined.
#[derive(Debug, Default)]
pub(super) struct Journal {
    head: u64,
    /// The number of the newest rectangle that was dropped.
    dropped: u64,
    entries: VecDeque<(u64, URect)>,
}

impl Journal {
    pub(super) fn note(&mut self, rect: URect) {
        self.head += 1;
        if let Some((number, last)) = self.entries.back_mut() {
            let both = last.union(rect);
            // A stroke of many dabs is one long rectangle as long as that repaints little in vain.
            if area(both) <= (area(*last) + area(rect)) * 5 / 4 {
                (*number, *last) = (self.head, both);
                return;
            }
        }
        self.entries.push_back((self.head, rect));
        if self.entries.len() > KEPT
            && let Some((number, _)) = self.entries.pop_front()
        {
            self.dropped = number;
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// The rectangles noted after this head, or `None` if some of them are forgotten.
    pub(super) fn since(&self, head: u64) -> Option<Vec<URect>> {
        (head >= self.dropped)
            .then(|| self.entries.iter().filter(|(number, _)| *number > head).map(|(_, rect)| *rect).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: u32, y: u32) -> URect {
        URect::new(x, y, x + 4, y + 4)
    }

    #[test]
    fn readers_see_what_came_after_them() {
        let mut journal = Journal::default();
        journal.note(at(0, 0));
        let head = journal.head();
        journal.note(at(100, 0));
        journal.note(at(0, 100));
        assert_eq!(journal.since(head), Some(vec![at(100, 0), at(0, 100)]));
        assert_eq!(journal.since(journal.head()), Some(vec![]));
    }

    #[test]
    fn joined_rectangles_reach_those_who_saw_a_part() {
        let mut journal = Journal::default();
        journal.note(at(0, 0));
        let head = journal.head();
        journal.note(at(1, 0));
        let seen = journal.since(head).unwrap();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].contains(at(1, 0).min) && seen[0].max.x == 5);
    }

    #[test]
    fn falling_behind_is_told() {
        let mut journal = Journal::default();
        for i in 0..2 * KEPT as u32 {
            journal.note(at(10 * i, 1000 * (i % 2)));
        }
        assert_eq!(journal.since(0), None);
        assert_eq!(journal.since(KEPT as u64).map(|rects| rects.len()), Some(KEPT));
    }
}
