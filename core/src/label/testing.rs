//! Helpers for the tests of label maps.

use std::path::{Path, PathBuf};

use super::classes::{Class, ClassTable};

/// A PNG assembled by hand, so that tests can use any header.
pub(super) struct RawPng {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u8,
    /// 0 grey, 2 RGB, 3 indexed, 4 grey and alpha, 6 RGBA.
    pub(super) color: u8,
    pub(super) interlaced: bool,
    pub(super) palette: Vec<[u8; 3]>,
    pub(super) trns: Vec<u8>,
    /// Rows (or rows of passes) without their filter bytes.
    pub(super) rows: Vec<Vec<u8>>,
}

impl RawPng {
    pub(super) fn new(width: u32, height: u32, bits: u8, color: u8, rows: &[&[u8]]) -> Self {
        let rows = rows.iter().map(|r| r.to_vec()).collect();
        Self { width, height, bits, color, interlaced: false, palette: Vec::new(), trns: Vec::new(), rows }
    }

    pub(super) fn palette(mut self, palette: &[[u8; 3]]) -> Self {
        self.palette = palette.to_vec();
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut header = Vec::new();
        header.extend(self.width.to_be_bytes());
        header.extend(self.height.to_be_bytes());
        header.extend([self.bits, self.color, 0, 0, u8::from(self.interlaced)]);
        chunk(&mut file, *b"IHDR", &header);
        if !self.palette.is_empty() {
            chunk(&mut file, *b"PLTE", self.palette.as_flattened());
        }
        if !self.trns.is_empty() {
            chunk(&mut file, *b"tRNS", &self.trns);
        }
        let raw: Vec<u8> = self.rows.iter().flat_map(|row| std::iter::once(0).chain(row.iter().copied())).collect();
        chunk(&mut file, *b"IDAT", &stored_zlib(&raw));
        chunk(&mut file, *b"IEND", &[]);
        file
    }
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(data);
    let crc = crc32(&file[start..]);
    file.extend(crc.to_be_bytes());
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let blocks = data.chunks(65535);
    let count = blocks.len();
    for (i, block) in blocks.enumerate() {
        out.push(u8::from(i + 1 == count));
        out.extend((block.len() as u16).to_le_bytes());
        out.extend((!(block.len() as u16)).to_le_bytes());
        out.extend(block);
    }
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    out.extend(((b << 16) | a).to_be_bytes());
    out
}

pub(super) fn class(id: u16, name: &str, color: [u8; 3]) -> Class {
    Class { id, name: name.into(), color, dont_care: false }
}

/// Three classes with ids 0 to 2 (black, red, green), and `dont_care` with this id in grey.
pub(super) fn table(dont_care: Option<u16>) -> ClassTable {
    let mut classes = vec![class(0, "ground", [0, 0, 0]), class(1, "roof", [255, 0, 0]), class(2, "tree", [0, 255, 0])];
    classes.extend(dont_care.map(|id| Class { dont_care: true, ..class(id, "void", [128, 128, 128]) }));
    ClassTable::new(classes).unwrap()
}

/// The folder of a real data set, if this machine has it.
pub(super) fn shared_data(set: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("SEMSYNTH_SHARED")
        .map_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")).into(), PathBuf::from);
    let folder = shared.join("data").join(set);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there", folder.display());
    None
}

pub(super) fn files(folder: &Path, extension: &str, limit: usize) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no .{extension} files in {}", folder.display());
    files.truncate(limit);
    files
}
