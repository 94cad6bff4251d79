//! Undo and redo: ids as they were before a step, in tiles.

use std::collections::{HashMap, VecDeque};

use bevy_math::URect;

/// The side of a tile in pixels.
const TILE: u32 = 32;
/// Bytes kept unless told otherwise.
const LIMIT: usize = 64 << 20;

/// A step: tiles of ids, as they are not in the map at the moment.
#[derive(Debug, Default)]
struct Group {
    tiles: HashMap<(u32, u32), Box<[u16]>>,
}

impl Group {
    fn bytes(&self) -> usize {
        self.tiles.values().map(|tile| 2 * tile.len()).sum()
    }

    /// Exchanges the tiles with those of the map and returns the rectangles that differ.
    fn swap(&mut self, width: u32, height: u32, ids: &mut [u16]) -> Vec<URect> {
        let mut rects = Vec::new();
        for (&tile, kept) in &mut self.tiles {
            let place = tile_rect(tile, width, height);
            let mut changed: Option<URect> = None;
            for (y, kept) in (place.min.y..).zip(kept.chunks_exact_mut(place.width().max(1) as usize)) {
                let start = y as usize * width as usize + place.min.x as usize;
                let Some(row) = ids.get_mut(start..start + kept.len()) else { continue };
                let differs = |(a, b): (&u16, &u16)| a != b;
                if let Some(first) = row.iter().zip(&*kept).position(differs) {
                    let last = row.len() - 1 - row.iter().rev().zip(kept.iter().rev()).position(differs).unwrap_or(0);
                    let x = place.min.x;
                    let part = URect::new(x + first as u32, y, x + last as u32 + 1, y + 1);
                    changed = Some(changed.map_or(part, |all| all.union(part)));
                }
                row.swap_with_slice(kept);
            }
            rects.extend(changed);
        }
        // In a fixed order: tiles of a map of tiles have none.
        rects.sort_by_key(|rect| (rect.min.y, rect.min.x));
        rects
    }
}

fn tile_rect((x, y): (u32, u32), width: u32, height: u32) -> URect {
    URect::new(x * TILE, y * TILE, ((x + 1) * TILE).min(width), ((y + 1) * TILE).min(height))
}

/// The steps of one map.
#[derive(Debug)]
pub(super) struct History {
    open: Option<Group>,
    undo: VecDeque<Group>,
    redo: Vec<Group>,
    limit: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { open: None, undo: VecDeque::new(), redo: Vec::new(), limit: LIMIT }
    }
}

impl History {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn begin(&mut self) {
        self.end();
        self.open = Some(Group::default());
    }

    pub(super) fn end(&mut self) {
        if let Some(group) = self.open.take().filter(|group| !group.tiles.is_empty()) {
            self.undo.push_back(group);
            self.shrink();
        }
    }

    /// Keeps the tiles of a rectangle that is about to be painted, unless the open group has them.
    pub(super) fn before_write(&mut self, part: URect, width: u32, height: u32, ids: &[u16]) {
        self.redo.clear();
        let Some(group) = &mut self.open else { return };
        for y in part.min.y / TILE..part.max.y.div_ceil(TILE) {
            for x in part.min.x / TILE..part.max.x.div_ceil(TILE) {
                group.tiles.entry((x, y)).or_insert_with(|| {
                    let place = tile_rect((x, y), width, height);
                    let rows = (place.min.y..place.max.y).filter_map(|y| {
                        let start = y as usize * width as usize;
                        ids.get(start + place.min.x as usize..start + place.max.x as usize)
                    });
                    rows.flatten().copied().collect()
                });
            }
        }
    }

    pub(super) fn can_undo(&self) -> bool {
        !self.undo.is_empty() || self.open.as_ref().is_some_and(|group| !group.tiles.is_empty())
    }

    pub(super) fn can_redo(&self) -> bool {
        !self.redo.is_empty()
    }

    pub(super) fn undo(&mut self, width: u32, height: u32, ids: &mut [u16]) -> Vec<URect> {
        self.end();
        let Some(mut group) = self.undo.pop_back() else { return Vec::new() };
        let rects = group.swap(width, height, ids);
        self.redo.push(group);
        rects
    }

    pub(super) fn redo(&mut self, width: u32, height: u32, ids: &mut [u16]) -> Vec<URect> {
        self.end();
        let Some(mut group) = self.redo.pop() else { return Vec::new() };
        let rects = group.swap(width, height, ids);
        self.undo.push_back(group);
        rects
    }

    pub(super) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
        self.shrink();
    }

    pub(super) fn bytes(&self) -> usize {
        self.undo.iter().chain(&self.redo).chain(&self.open).map(Group::bytes).sum()
    }

    fn shrink(&mut self) {
        let mut bytes = self.bytes();
        while bytes > self.limit {
            let Some(group) = self.undo.pop_front() else { break };
            bytes -= group.bytes();
        }
    }
}
