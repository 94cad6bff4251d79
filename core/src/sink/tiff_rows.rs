//! Writes a TIFF row by row.
//!
//! TIFF 6.0 (Adobe, 1992) with deflate compression (TIFF Technical Note "Adobe Photoshop TIFF", 2002), and BigTIFF, which
//! has 64-bit offsets. All numbers are little-endian.

use std::io::{self, Seek as _, SeekFrom, Write as _};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::files::WholeFile;

/// The largest strip in bytes, unless a row is longer.
const STRIP: usize = 1 << 20;

// Types of values in a directory.
const SHORT: u16 = 3;
const LONG: u16 = 4;
/// Two [`LONG`]s.
const RATIONAL: u16 = 5;
const LONG8: u16 = 16;

pub(super) struct TiffRows {
    file: WholeFile,
    /// Whether this is a BigTIFF.
    pub(super) big: bool,
    width: u32,
    height: u32,
    rows_per_strip: usize,
    /// The rows of the strip that is not written yet, after prediction.
    pub(super) strip: Vec<u8>,
    /// Offset and length in bytes of each strip in the file.
    strips: Vec<[u64; 2]>,
    /// Length of the file.
    end: u64,
}

impl TiffRows {
    pub(super) fn new(file: WholeFile, width: u32, height: u32) -> io::Result<Self> {
        // Deflate may make a strip longer: by an eighth at most, where it uses fixed codes. Directory and strips take
        // some bytes each.
        let row = 3 * u64::from(width);
        let longest = row * u64::from(height) / 8 * 9 + 64 * u64::from(height) + 4096;
        Self::of_kind(file, width, height, longest > u64::from(u32::MAX))
    }

    pub(super) fn of_kind(mut file: WholeFile, width: u32, height: u32, big: bool) -> io::Result<Self> {
        // The offset of the directory follows when it is known.
        let header: &[u8] = if big { b"II\x2b\0\x08\0\0\0\0\0\0\0\0\0\0\0" } else { b"II\x2a\0\0\0\0\0" };
        file.write_all(header)?;
        let rows_per_strip = (STRIP / (3 * width as usize)).clamp(1, height as usize);
        let (strip, strips, end) = (Vec::new(), Vec::new(), header.len() as u64);
        Ok(Self { file, big, width, height, rows_per_strip, strip, strips, end })
    }

    /// Writes the next row.
    pub(super) fn write(&mut self, rgb: &[u8]) -> io::Result<()> {
        // Neighbouring pixels are alike: differences compress better.
        let left = [0; 3].iter().chain(rgb);
        self.strip.extend(rgb.iter().zip(left).map(|(value, left)| value.wrapping_sub(*left)));
        if self.strip.len() >= self.rows_per_strip * rgb.len() { self.write_strip() } else { Ok(()) }
    }

    fn write_strip(&mut self) -> io::Result<()> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.strip)?;
        let bytes = encoder.finish()?;
        self.strip.clear();
        self.strips.push([self.end, bytes.len() as u64]);
        self.append(&bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// The complete file, after the last row.
    pub(super) fn finish(mut self) -> io::Result<WholeFile> {
        if !self.strip.is_empty() {
            self.write_strip()?;
        }
        let padding = self.end.next_multiple_of(8) - self.end;
        self.append(&vec![0; padding as usize])?;
        let start = self.end;
        let directory = self.directory();
        self.append(&directory)?;
        let offset = self.offset_bytes();
        self.file.seek(SeekFrom::Start(offset as u64))?;
        self.file.write_all(&little_endian(start, offset))?;
        Ok(self.file)
    }

    /// Bytes of an offset, and of a value that stands in a directory itself.
    fn offset_bytes(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    /// The directory, which begins at the end of the file, and its values.
    fn directory(&self) -> Vec<u8> {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        let (offset, offsets, counts) = if self.big { (8, LONG8, 8) } else { (4, LONG, 2) };
        let strips = |which: fn(&[u64; 2]) -> u64| self.strips.iter().map(which).collect();
        // In the order of the tags.
        let entries: [(u16, u16, Vec<u64>); 14] = [
            (256, LONG, vec![width]),                      // ImageWidth
            (257, LONG, vec![height]),                     // ImageLength
            (258, SHORT, vec![8; 3]),                      // BitsPerSample
            (259, SHORT, vec![8]),                         // Compression: deflate
            (262, SHORT, vec![2]),                         // PhotometricInterpretation: RGB
            (273, offsets, strips(|[start, _]| *start)),   // StripOffsets
            (277, SHORT, vec![3]),                         // SamplesPerPixel
            (278, LONG, vec![self.rows_per_strip as u64]), // RowsPerStrip
            (279, offsets, strips(|[_, length]| *length)), // StripByteCounts
            (282, RATIONAL, vec![1, 1]),                   // XResolution
            (283, RATIONAL, vec![1, 1]),                   // YResolution
            (284, SHORT, vec![1]),                         // PlanarConfiguration: RGBRGB
            (296, SHORT, vec![1]),                         // ResolutionUnit: none, only the aspect ratio counts
            (317, SHORT, vec![2]),                         // Predictor: difference to the left
        ];
        let mut directory = little_endian(entries.len() as u64, counts);
        let values_at = self.end + (counts + entries.len() * (4 + 2 * offset) + offset) as u64;
        let mut values = Vec::new();
        for (tag, kind, numbers) in entries {
            let (bytes, parts) = match kind {
                SHORT => (2, 1),
                LONG => (4, 1),
                RATIONAL => (4, 2),
                _ => (8, 1),
            };
            directory.extend(tag.to_le_bytes());
            directory.extend(kind.to_le_bytes());
            directory.extend(little_endian((numbers.len() / parts) as u64, offset));
            let mut value: Vec<u8> = numbers.iter().flat_map(|&number| little_endian(number, bytes)).collect();
            if value.len() <= offset {
                value.resize(offset, 0);
                directory.extend(value);
            } else {
                value.resize(value.len().next_multiple_of(8), 0);
                directory.extend(little_endian(values_at + values.len() as u64, offset));
                values.extend(value);
            }
        }
        // No other directory follows.
        directory.extend(little_endian(0, offset));
        directory.extend(values);
        directory
    }
}

/// The lowest bytes of a number.
fn little_endian(number: u64, bytes: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().take(bytes).collect()
}
