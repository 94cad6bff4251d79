//! Label maps as assets: ids that can be painted, with undo, and a journal of what changed.

mod commands;
mod history;
mod journal;
mod loader;
mod shape;

use std::sync::atomic::{AtomicU64, Ordering};

use bevy_asset::Asset;
use bevy_math::{URect, UVec2};
use bevy_reflect::TypePath;
use semsynth::{Error, Result};

pub use commands::PaintLabels;
use history::History;
use journal::Journal;
pub(crate) use loader::class_table;
pub use loader::{LabelMapLoader, LabelMapSettings};
pub use shape::{Shape, Stamp};

/// The class of each pixel of a terrain, row by row from the top left: the asset that is painted on.
///
/// Every change goes through [`paint`](Self::paint), [`undo`](Self::undo) or [`redo`](Self::redo), which note the changed
/// rectangle, so that the picture is repainted only where it may change. Sides are 1 to 65535 pixels.
///
/// Change it in place: `labels.get_mut(&handle)`. To replace all ids, insert a new map under the same handle.
#[derive(Asset, TypePath, Debug)]
pub struct LabelMap {
    width: u32,
    height: u32,
    ids: Vec<u16>,
    journal: Journal,
    history: History,
    /// Differs for each map that was made, so that a reload is told from an edit.
    serial: u64,
}

/// What changed in a map since some earlier state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// These rectangles.
    Rects(Vec<URect>),
    /// More than the journal keeps.
    Everything,
}

/// A number that no other asset of this process has.
pub(crate) fn next_serial() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl LabelMap {
    /// Makes a map from `width * height` class ids.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a side is 0 or the number of ids is not `width * height`; [`Error::Limit`] if a side or the
    /// area is more than core's label maps take.
    pub fn new(width: u32, height: u32, ids: Vec<u16>) -> Result<Self> {
        Self::from_core(&semsynth::LabelMap::new(width as usize, height as usize, ids)?)
    }

    /// Makes a map with the same id everywhere.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn filled(width: u32, height: u32, id: u16) -> Result<Self> {
        Self::from_core(&semsynth::LabelMap::filled(width as usize, height as usize, id)?)
    }

    /// Copies a map of the library.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if a side is over 65535 pixels.
    pub fn from_core(map: &semsynth::LabelMap) -> Result<Self> {
        let side = |side: usize| {
            u16::try_from(side).map(u32::from).map_err(|_| {
                Error::Limit(format!(
                    "a terrain of {}x{} pixels: a side takes at most 65535",
                    map.width(),
                    map.height()
                ))
            })
        };
        Ok(Self {
            width: side(map.width())?,
            height: side(map.height())?,
            ids: map.ids().collect(),
            journal: Journal::default(),
            history: History::default(),
            serial: next_serial(),
        })
    }

    /// A copy as a map of the library.
    ///
    /// # Errors
    ///
    /// None: sizes were checked before.
    pub fn to_core(&self) -> Result<semsynth::LabelMap> {
        semsynth::LabelMap::new(self.width as usize, self.height as usize, self.ids.clone())
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> UVec2 {
        UVec2::new(self.width, self.height)
    }

    /// The id in column `x` and row `y`; `None` outside the map.
    pub fn get(&self, x: u32, y: u32) -> Option<u16> {
        let index = y as usize * self.width as usize + x as usize;
        if x < self.width && y < self.height { self.ids.get(index).copied() } else { None }
    }

    /// All ids, row by row from the top left.
    pub fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// The ids of a part, row by row; the part is cut off at the border of the map.
    pub fn read(&self, part: URect) -> Vec<u16> {
        let part = part.intersect(URect::from_corners(UVec2::ZERO, self.size()));
        let mut ids = Vec::with_capacity(area(part));
        for y in part.min.y..part.max.y {
            let start = y as usize * self.width as usize;
            let row = self.ids.get(start + part.min.x as usize..start + part.max.x as usize);
            ids.extend_from_slice(row.unwrap_or_default());
        }
        ids
    }

    /// Paints a shape with a class id and returns the rectangle that changed, or `None` if nothing did. What is outside
    /// the map is cut off. Unless a group is [open](Self::begin_group), the change is one step of undo.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a coordinate or radius is not finite or a radius is negative; the map is then unchanged.
    pub fn paint(&mut self, shape: &Shape, class: u16) -> Result<Option<URect>> {
        shape.check()?;
        let mut spans = Vec::new();
        shape.spans(self.size(), &self.ids, &mut |span| spans.push(span));
        let mut changed: Option<URect> = None;
        let single = !self.history.is_open();
        if single {
            self.history.begin();
        }
        for span in spans {
            let start = span.y as usize * self.width as usize + span.columns.start as usize;
            let Some(row) = self.ids.get(start..start + span.columns.len()) else { continue };
            let differs = |(offset, &id): (usize, &u16)| span.id(offset, class).is_some_and(|new| new != id);
            let Some(first) = row.iter().enumerate().position(differs) else { continue };
            let last = row.len() - 1 - row.iter().enumerate().rev().position(differs).unwrap_or(0);
            let (x, y) = (span.columns.start, span.y);
            let part = URect::new(x + first as u32, y, x + last as u32 + 1, y + 1);
            self.history.before_write(part, self.width, self.height, &self.ids);
            if let Some(row) = self.ids.get_mut(start..start + span.columns.len()) {
                for (offset, id) in row.iter_mut().enumerate() {
                    *id = span.id(offset, class).unwrap_or(*id);
                }
            }
            changed = Some(changed.map_or(part, |all| all.union(part)));
        }
        if single {
            self.history.end();
        }
        if let Some(rect) = changed {
            self.journal.note(rect);
        }
        Ok(changed)
    }

    /// Opens a group: all that is painted until [`end_group`](Self::end_group) is one step of undo, such as a stroke. An
    /// open group is closed first.
    pub fn begin_group(&mut self) {
        self.history.begin();
    }

    /// Closes the open group, if there is one.
    pub fn end_group(&mut self) {
        self.history.end();
    }

    /// Whether there is a step to undo.
    pub fn can_undo(&self) -> bool {
        self.history.can_undo()
    }

    /// Whether there is an undone step to redo.
    pub fn can_redo(&self) -> bool {
        self.history.can_redo()
    }

    /// Takes the last step back, an open group first, and returns the rectangle that changed.
    pub fn undo(&mut self) -> Option<URect> {
        let rects = self.history.undo(self.width, self.height, &mut self.ids);
        self.note_all(&rects)
    }

    /// Does the last undone step again and returns the rectangle that changed.
    pub fn redo(&mut self) -> Option<URect> {
        let rects = self.history.redo(self.width, self.height, &mut self.ids);
        self.note_all(&rects)
    }

    /// Most memory in bytes that steps of undo may take; the oldest are forgotten first. The default is 64 MiB.
    pub fn set_undo_memory(&mut self, bytes: usize) {
        self.history.set_limit(bytes);
    }

    /// Bytes that the steps of undo and redo take.
    pub fn undo_memory(&self) -> usize {
        self.history.bytes()
    }

    fn note_all(&mut self, rects: &[URect]) -> Option<URect> {
        for &rect in rects {
            self.journal.note(rect);
        }
        rects.iter().copied().reduce(|all, rect| all.union(rect))
    }

    /// Differs between maps; edits keep it.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Grows with each edit.
    pub(crate) fn head(&self) -> u64 {
        self.journal.head()
    }

    /// What changed since the map had this head.
    pub(crate) fn changes_since(&self, head: u64) -> Changes {
        self.journal.since(head).map_or(Changes::Everything, Changes::Rects)
    }
}

/// Number of pixels.
pub(crate) fn area(rect: URect) -> usize {
    rect.width() as usize * rect.height() as usize
}

#[cfg(test)]
mod tests {
    use bevy_math::Vec2;

    use super::*;

    fn dab(x: f32, y: f32) -> Shape {
        Shape::Disc { center: Vec2::new(x, y), radius: 3.0 }
    }

    #[test]
    fn only_changed_pixels_are_reported() {
        let mut map = LabelMap::filled(64, 48, 1).unwrap();
        assert_eq!(map.paint(&dab(10.0, 10.0), 1).unwrap(), None);
        assert_eq!(map.head(), 0);
        let rect = map.paint(&dab(10.0, 10.0), 2).unwrap().unwrap();
        assert_eq!(rect, URect::new(7, 7, 13, 13));
        assert_eq!(map.changes_since(0), Changes::Rects(vec![rect]));
        // The half that is new.
        let rect = map.paint(&dab(13.0, 10.0), 2).unwrap().unwrap();
        assert!(rect.min.x > 10 && rect.max.x == 16, "{rect:?}");
    }

    #[test]
    fn a_stroke_is_one_step_and_undo_restores_every_id() {
        let ids: Vec<u16> = (0..100 * 70).map(|i| (i % 7) as u16).collect();
        let mut map = LabelMap::new(100, 70, ids.clone()).unwrap();
        map.begin_group();
        for step in 0..20 {
            map.paint(&dab(5.0 + 4.0 * step as f32, 30.0), 9).unwrap();
        }
        map.end_group();
        map.paint(&Shape::All, 3).unwrap();
        let painted = map.ids().to_vec();
        assert!(map.undo().is_some() && map.can_undo());
        assert!(map.ids().contains(&9));
        let rect = map.undo().unwrap();
        assert_eq!(map.ids(), ids);
        // The stroke's own rectangle, not that of whole tiles.
        assert_eq!((rect.min.y, rect.max.y), (27, 33));
        assert!(!map.can_undo() && map.undo().is_none());
        assert!(map.redo().is_some() && map.redo().is_some() && map.redo().is_none());
        assert_eq!(map.ids(), painted);
        // A new step forgets what was undone.
        map.undo();
        map.paint(&dab(50.0, 50.0), 8).unwrap();
        assert!(!map.can_redo());
    }

    #[test]
    fn undo_forgets_the_oldest_steps_first() {
        let mut map = LabelMap::filled(256, 256, 0).unwrap();
        map.set_undo_memory(300_000);
        for class in 1..6 {
            map.paint(&Shape::All, class).unwrap();
        }
        assert!(map.undo_memory() <= 300_000);
        assert!(map.undo().is_some() && map.undo().is_some() && map.undo().is_none());
        assert!(map.ids().iter().all(|&id| id == 3));
    }

    #[test]
    fn bad_shapes_are_refused_and_change_nothing() {
        let mut map = LabelMap::filled(8, 8, 0).unwrap();
        for shape in [
            Shape::Disc { center: Vec2::NAN, radius: 1.0 },
            Shape::Disc { center: Vec2::ZERO, radius: -1.0 },
            Shape::Line { from: Vec2::ZERO, to: Vec2::new(f32::INFINITY, 0.0), radius: 1.0 },
            Shape::Polygon(vec![Vec2::ZERO, Vec2::NAN, Vec2::ONE]),
        ] {
            let error = map.paint(&shape, 1).unwrap_err();
            assert!(matches!(&error, Error::Argument(text) if text.contains("finite") || text.contains("negative")));
        }
        assert!(map.ids().iter().all(|&id| id == 0) && map.head() == 0 && !map.can_undo());
    }

    #[test]
    fn parts_are_cut_off_at_the_border() {
        let map = LabelMap::new(3, 2, vec![0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(map.read(URect::new(1, 0, 9, 9)), [1, 2, 4, 5]);
        assert_eq!(map.read(URect::new(5, 5, 9, 9)), [] as [u16; 0]);
    }
}
