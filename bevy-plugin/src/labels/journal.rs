//! Which rectangles of a map changed, for any number of readers that each remember where they were.

use std::collections::VecDeque;

use bevy_math::URect;

use super::area;

/// Rectangles that are kept. A reader that falls further behind repaints everything.
const KEPT: usize = 1024;

/// A numbered list of changed rectangles. They are joined only when they are read: a reader that sees each dab of a stroke must
/// not get the stroke so far again with every dab.
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

    /// The rectangles noted after this head, or `None` if some of them are forgotten. Neighbours in the list that overlap a
    /// lot are joined.
    pub(super) fn since(&self, head: u64) -> Option<Vec<URect>> {
        if head < self.dropped {
            return None;
        }
        let mut joined: Vec<URect> = Vec::new();
        // Pixels of the rectangles in the last one.
        let mut pixels = 0;
        for &(_, rect) in self.entries.iter().skip_while(|(number, _)| *number <= head) {
            match joined.last_mut() {
                // Many dabs are one long rectangle as long as that repaints little in vain.
                Some(last) if area(last.union(rect)) <= (pixels + area(rect)) * 5 / 4 => {
                    pixels += area(rect).saturating_sub(area(last.intersect(rect)));
                    *last = last.union(rect);
                }
                _ => {
                    joined.push(rect);
                    pixels = area(rect);
                }
            }
        }
        Some(joined)
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
    fn rectangles_are_joined_for_those_who_saw_none_of_them_only() {
        let mut journal = Journal::default();
        let mut head = 0;
        for x in 0..20 {
            journal.note(at(x, 0));
            assert_eq!(journal.since(head), Some(vec![at(x, 0)]));
            head = journal.head();
        }
        assert_eq!(journal.since(0), Some(vec![URect::new(0, 0, 23, 4)]));
        assert_eq!(journal.since(17), Some(vec![URect::new(17, 0, 23, 4)]));
        // A diagonal is not its bounding square.
        let mut journal = Journal::default();
        (0..100).for_each(|i| journal.note(at(i, i)));
        let pixels: usize = journal.since(0).unwrap().into_iter().map(area).sum();
        assert!(pixels < 103 * 103 / 4, "{pixels}");
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
