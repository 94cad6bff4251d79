//! Decodes picture files to stored values or colours, within the size limits and without panics on damaged files.

use std::io::{BufRead, Cursor, ErrorKind, Seek};
use std::path::{Path, PathBuf};

use image::ImageDecoder as _;
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodeOptions, DecodingError};

use super::map::check_size;
use super::report::Source;
use crate::error::{Error, Result};
use crate::files::{jpeg_is_complete, read_picture};
use crate::memory;

/// The first bytes of a PNG.
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Deflate cannot compress data further than this.
const DEFLATE_RATIO: u64 = 1032;

/// A JPEG uses at least one bit for each block of 8x8 pixels.
const JPEG_PIXELS_PER_BYTE: u64 = 512;

/// Tolerance of the size check in pixels, so that rounding never rejects a tiny picture.
const SLACK: u64 = 1 << 12;

/// A decoded picture.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) source: Source,
    /// The colour of each value: palette entries or greys; empty if unknown.
    pub(super) colors: Vec<[u8; 3]>,
    pub(super) pixels: Stored,
}

/// Pixels as a file stores them: those of a picture, or of some of its rows.
pub(super) enum Stored {
    /// One value per pixel.
    Values {
        values: Vec<u16>,
        /// Alpha per pixel; empty without an alpha channel.
        alpha: Vec<u8>,
    },
    /// One RGBA colour per pixel.
    Colors(Vec<[u8; 4]>),
}

impl Stored {
    /// Number of pixels.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values { values, .. } => values.len(),
            Self::Colors(colors) => colors.len(),
        }
    }

    /// The values; colours have none.
    pub(super) fn into_values(self) -> Vec<u16> {
        match self {
            Self::Values { values, .. } => values,
            Self::Colors(_) => Vec::new(),
        }
    }
}

/// Reads a PNG or JPEG file; the format is detected from its content.
pub(super) fn open(path: &Path) -> Result<Picture> {
    decode(&read_picture(path)?).map_err(|e| e.context(path.display()))
}

/// As [`open`], for the content of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture> {
    const OTHERS: [(&[u8], &str); 7] = [
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"RIFF", "a WebP or other RIFF file"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"gimp xcf", "a GIMP project (XCF)"),
        (b"8BPS", "a Photoshop document"),
    ];
    if bytes.starts_with(PNG) {
        decode_png(bytes)
    } else if bytes.starts_with(b"\xff\xd8") {
        decode_jpeg(bytes)
    } else if bytes.is_empty() {
        Err(Error::Labels("the file is empty (0 bytes); export or copy it again".into()))
    } else {
        let known = OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic));
        Err(Error::Labels(format!(
            "this is {}: export the labels as PNG (indexed, grey or RGB), or as JPEG",
            known.map_or("no picture that can be read", |(_, name)| name)
        )))
    }
}

/// Rejects sizes that the file is too short for, so that a forged header allocates nothing.
fn check_plausible(needed: u64, possible: u64) -> Result<()> {
    if needed > possible.saturating_add(SLACK) {
        return Err(Error::Labels(
            "the file is too short for the size it claims: it is truncated or damaged; export it again".into(),
        ));
    }
    Ok(())
}

fn decode_png(bytes: &[u8]) -> Result<Picture> {
    let mut png = PngRows::open(Cursor::new(bytes), bytes.len() as u64, Path::new(""), check_size)?;
    memory::ask_for(png.width * png.height, png.bytes_per_pixel(), "reading the label map")?;
    let mut pixels = png.buffer(png.width * png.height);
    if png.interlaced {
        png.read_interlaced(&mut pixels)?;
    } else {
        // Row by row, so that the raw picture and the result are never both in memory.
        for _ in 0..png.height {
            png.next(&mut pixels)?;
        }
    }
    png.finish()?;
    Ok(Picture { width: png.width, height: png.height, source: png.source, colors: png.colors, pixels })
}

/// Reads a PNG row by row.
pub(super) struct PngRows<R: BufRead + Seek> {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) source: Source,
    /// As in [`Picture`].
    pub(super) colors: Vec<[u8; 3]>,
    /// The rows of interlaced pictures are not in the order of the file.
    pub(super) interlaced: bool,
    layout: Layout,
    reader: png::Reader<R>,
    /// Number of rows read.
    rows: usize,
    /// The file, for errors of the operating system; memory has none.
    path: PathBuf,
}

impl<R: BufRead + Seek> PngRows<R> {
    /// Reads the header of a PNG of `length` bytes. `check_size` checks width and height before memory for pixels is
    /// allocated.
    pub(super) fn open(
        input: R,
        length: u64,
        path: &Path,
        check_size: impl FnOnce(usize, usize) -> Result<()>,
    ) -> Result<Self> {
        let damaged = |error| damaged_png(path, "", error);
        let mut options = DecodeOptions::default();
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut decoder = png::Decoder::new_with_options(input, options);
        let header = decoder.read_header_info().map_err(damaged)?;
        let (width, height) = (header.width as usize, header.height as usize);
        check_size(width, height)?;
        let row_bytes = (width * header.bits_per_pixel()).div_ceil(8) as u64;
        check_plausible(row_bytes.saturating_mul(height as u64), length.saturating_mul(DEFLATE_RATIO))?;

        let reader = decoder.read_info().map_err(damaged)?;
        let info = reader.info();
        check_upright(info.exif_metadata.as_deref())?;
        let (color, depth) = (info.color_type, info.bit_depth);
        let bits = depth as u8;
        let alpha = matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba);
        let source = match color {
            ColorType::Indexed => Source::IndexedPng { bits },
            ColorType::Grayscale | ColorType::GrayscaleAlpha => Source::GreyPng { bits, alpha },
            ColorType::Rgb | ColorType::Rgba => Source::RgbPng { bits, alpha },
        };
        Ok(Self {
            width,
            height,
            source,
            colors: value_colors(color, depth, info.palette.as_deref()),
            interlaced: info.interlaced,
            layout: Layout::new(width, color, depth, info.trns.as_deref()),
            reader,
            rows: 0,
            path: path.into(),
        })
    }

    /// Bytes that a pixel takes while the whole picture is read: stored, its class, and rows that are not in order.
    fn bytes_per_pixel(&self) -> usize {
        let raw = if self.interlaced {
            self.reader.output_line_size(self.width as u32).unwrap_or(0).div_ceil(self.width)
        } else {
            0
        };
        let stored = match self.layout.color {
            ColorType::Rgb | ColorType::Rgba => 4,
            _ => 3,
        };
        raw + stored + size_of::<u16>()
    }

    /// An empty buffer for this many pixels.
    pub(super) fn buffer(&self, pixels: usize) -> Stored {
        match self.layout.color {
            ColorType::Rgb | ColorType::Rgba => Stored::Colors(Vec::with_capacity(pixels)),
            color => {
                let clear = self.layout.key.is_some() || self.layout.entries.is_some();
                let has_alpha = color == ColorType::GrayscaleAlpha || clear;
                let alpha = if has_alpha { pixels } else { 0 };
                Stored::Values { values: Vec::with_capacity(pixels), alpha: Vec::with_capacity(alpha) }
            }
        }
    }

    /// Appends the pixels of the next row. The picture must not be interlaced.
    pub(super) fn next(&mut self, pixels: &mut Stored) -> Result<()> {
        let Self { width, layout, rows, .. } = *self;
        let before = pixels.len();
        if let Some(row) = self.row()? {
            layout.unpack(row, pixels);
        }
        if pixels.len() - before == width { Ok(()) } else { Err(self.missing(rows)) }
    }

    /// Passes over the next row.
    pub(super) fn skip(&mut self) -> Result<()> {
        let rows = self.rows;
        if self.row()?.is_some() { Ok(()) } else { Err(self.missing(rows)) }
    }

    fn row(&mut self) -> Result<Option<&[u8]>> {
        let (height, number) = (self.height, self.rows);
        self.rows += 1;
        let path = &self.path;
        let row = self.reader.next_row();
        Ok(row
            .map_err(|error| damaged_png(path, &format!(" in row {number} of {height}"), error))?
            .map(|row| row.data()))
    }

    fn missing(&self, row: usize) -> Error {
        let height = self.height;
        Error::Labels(format!(
            "damaged or truncated PNG (pixels are missing in row {row} of {height}); export it again"
        ))
    }

    fn read_interlaced(&mut self, pixels: &mut Stored) -> Result<()> {
        let path = &self.path;
        let too_large = || Error::Limit("too large for this machine's memory".into());
        let mut data = vec![0; self.reader.output_buffer_size().ok_or_else(too_large)?];
        let frame = self.reader.next_frame(&mut data).map_err(|error| damaged_png(path, "", error))?;
        data.chunks_exact(frame.line_size.max(1)).take(self.height).for_each(|row| self.layout.unpack(row, pixels));
        if pixels.len() == self.width * self.height { Ok(()) } else { Err(self.missing(pixels.len() / self.width)) }
    }

    /// Checks the rest of the file, once all rows are read.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.reader.finish().map_err(|error| damaged_png(&self.path, " after the last row", error))
    }
}

fn damaged_png(path: &Path, place: &str, error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => Error::io(path)(error),
        error => {
            let reason = error.to_string();
            let reason = reason.trim_end_matches('.');
            Error::Labels(format!("damaged or truncated PNG{place} ({reason}); export it again"))
        }
    }
}

/// How the rows of a PNG store its pixels.
#[derive(Clone, Copy)]
struct Layout {
    width: usize,
    color: ColorType,
    depth: BitDepth,
    /// The colour or grey that stands for transparent pixels.
    key: Option<[u16; 3]>,
    /// The alpha of palette entries, if one of them is not opaque.
    entries: Option<[u8; 256]>,
}

impl Layout {
    fn new(width: usize, color: ColorType, depth: BitDepth, trns: Option<&[u8]>) -> Self {
        let key = match (color, trns) {
            // The decoder only keeps the bytes that the bit depth can use.
            (ColorType::Rgb, Some(&[r, g, b])) => Some([r, g, b].map(u16::from)),
            (ColorType::Rgb, Some(&[r1, r0, g1, g0, b1, b0])) => {
                Some([u16::from_be_bytes([r1, r0]), u16::from_be_bytes([g1, g0]), u16::from_be_bytes([b1, b0])])
            }
            (ColorType::Grayscale, Some(&[grey])) => Some([grey.into(); 3]),
            (ColorType::Grayscale, Some(&[high, low])) => Some([u16::from_be_bytes([high, low]); 3]),
            _ => None,
        };
        let entries = trns.filter(|trns| color == ColorType::Indexed && trns.iter().any(|alpha| *alpha < 255));
        let entries = entries.map(|trns| {
            let mut all = [255; 256];
            all.iter_mut().zip(trns).for_each(|(all, alpha)| *all = *alpha);
            all
        });
        Self { width, color, depth, key, entries }
    }

    /// Appends the pixels of a row.
    fn unpack(self, row: &[u8], pixels: &mut Stored) {
        match pixels {
            Stored::Values { values, alpha } => self.unpack_values(row, values, alpha),
            Stored::Colors(colors) => self.unpack_colors(row, colors),
        }
    }

    fn unpack_values(self, row: &[u8], values: &mut Vec<u16>, alpha: &mut Vec<u8>) {
        let bits = self.depth as usize;
        let first = values.len();
        match (self.color, bits) {
            (ColorType::GrayscaleAlpha, 16) => {
                for &[v1, v0, a1, a0] in row.as_chunks::<4>().0.iter().take(self.width) {
                    values.push(u16::from_be_bytes([v1, v0]));
                    alpha.push(to_8_bits(u16::from_be_bytes([a1, a0])));
                }
            }
            (ColorType::GrayscaleAlpha, _) => {
                for &[value, opacity] in row.as_chunks::<2>().0.iter().take(self.width) {
                    values.push(u16::from(value));
                    alpha.push(opacity);
                }
            }
            (_, 16) => values.extend(samples16(row).take(self.width)),
            (_, 8) => values.extend(row.iter().take(self.width).map(|&v| u16::from(v))),
            _ => {
                let mask = (1_u16 << bits) - 1;
                let shifts = (0..8 / bits).rev().map(|i| i * bits);
                let unpacked = row.iter().flat_map(|&b| shifts.clone().map(move |s| (u16::from(b) >> s) & mask));
                values.extend(unpacked.take(self.width));
            }
        }
        let values = values.iter().skip(first);
        if let Some([grey, ..]) = self.key {
            alpha.extend(values.map(|value| if *value == grey { 0 } else { 255 }));
        } else if let Some(entries) = &self.entries {
            alpha.extend(values.map(|value| entries.get(usize::from(*value)).copied().unwrap_or(255)));
        }
    }

    fn unpack_colors(self, row: &[u8], colors: &mut Vec<[u8; 4]>) {
        let wide = self.depth == BitDepth::Sixteen;
        let opacity = |rgb: [u16; 3]| if self.key == Some(rgb) { 0 } else { 255 };
        if self.color == ColorType::Rgba && wide {
            let samples: Vec<u16> = samples16(row).collect();
            colors.extend(samples.as_chunks::<4>().0.iter().take(self.width).map(|rgba| rgba.map(to_8_bits)));
        } else if self.color == ColorType::Rgba {
            colors.extend(row.as_chunks::<4>().0.iter().take(self.width));
        } else if wide {
            let samples: Vec<u16> = samples16(row).collect();
            colors.extend(samples.as_chunks::<3>().0.iter().take(self.width).map(|&rgb| {
                let [r, g, b] = rgb.map(to_8_bits);
                [r, g, b, opacity(rgb)]
            }));
        } else {
            let pixels = row.as_chunks::<3>().0.iter().take(self.width);
            colors.extend(pixels.map(|&[r, g, b]| [r, g, b, opacity([r, g, b].map(u16::from))]));
        }
    }
}

fn samples16(row: &[u8]) -> impl Iterator<Item = u16> + '_ {
    row.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair))
}

/// Rounds a 16-bit sample to 8 bits.
fn to_8_bits(sample: u16) -> u8 {
    ((u32::from(sample) + 128) / 257) as u8
}

/// The colour of each value: palette entries or greys; empty for 16-bit greys.
fn value_colors(color: ColorType, depth: BitDepth, palette: Option<&[u8]>) -> Vec<[u8; 3]> {
    match color {
        ColorType::Indexed => palette.unwrap_or_default().as_chunks::<3>().0.to_vec(),
        ColorType::Grayscale | ColorType::GrayscaleAlpha if depth != BitDepth::Sixteen => {
            let highest = (1_u16 << depth as u16) - 1;
            (0..=highest).map(|v| [(v * 255 / highest) as u8; 3]).collect()
        }
        _ => Vec::new(),
    }
}

fn decode_jpeg(bytes: &[u8]) -> Result<Picture> {
    let damaged = |e: image::ImageError| {
        Error::Labels(format!("damaged JPEG ({e}); export it again, best as PNG, which keeps labels as they are"))
    };
    if !jpeg_is_complete(bytes) {
        return Err(Error::Labels(
            "truncated or damaged JPEG (its end is missing); export it again, best as PNG".into(),
        ));
    }
    let mut decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    check_upright(decoder.exif_metadata().map_err(damaged)?.as_deref())?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height)?;
    check_plausible((width * height) as u64, (bytes.len() as u64).saturating_mul(JPEG_PIXELS_PER_BYTE))?;
    memory::ask_for(width * height, 3 + 4 + size_of::<u16>(), "reading the label map")?;
    let image = image::DynamicImage::from_decoder(decoder).map_err(damaged)?.into_rgb8();
    let colors = image.pixels().map(|p| [p.0[0], p.0[1], p.0[2], 255]).collect();
    Ok(Picture { width, height, source: Source::Jpeg, colors: Vec::new(), pixels: Stored::Colors(colors) })
}

/// Refuses a label map that wants to be turned before it is shown. Labels are read as they are stored, by rows if need
/// be, and must fit a photo that is shown upright.
fn check_upright(exif: Option<&[u8]>) -> Result<()> {
    match exif.and_then(Orientation::from_exif_chunk) {
        None | Some(Orientation::NoTransforms) => Ok(()),
        Some(_) => Err(Error::Labels(
            "the label map is stored turned or mirrored, with an EXIF orientation that says so: open it in an editor and \
             save it upright"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::RawPng;
    use super::*;
    use proptest::prelude::*;

    fn values(png: &RawPng) -> Vec<u16> {
        match decode(&png.bytes()).unwrap().pixels {
            Stored::Values { values, .. } => values,
            Stored::Colors(_) => panic!("expected values"),
        }
    }

    fn colors(png: &RawPng) -> Vec<[u8; 4]> {
        match decode(&png.bytes()).unwrap().pixels {
            Stored::Colors(colors) => colors,
            Stored::Values { .. } => panic!("expected colours"),
        }
    }

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let image = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]));
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image).unwrap();
        bytes
    }

    #[test]
    fn values_of_every_bit_depth_are_not_scaled() {
        let palette = [[9, 9, 9]; 16];
        for (bits, row, expected) in [
            (1, &[0b1011_0000_u8, 0b1000_0000][..], vec![1, 0, 1, 1, 0, 0, 0, 0, 1]),
            (2, &[0b0001_1011, 0b1100_0000, 0], vec![0, 1, 2, 3, 3, 0, 0, 0, 0]),
            (4, &[0x01, 0x2f, 0x3e, 0x45, 0xa0], vec![0, 1, 2, 15, 3, 14, 4, 5, 10]),
            (8, &[0, 1, 2, 15, 3, 14, 4, 5, 10], vec![0, 1, 2, 15, 3, 14, 4, 5, 10]),
        ] {
            let grey = RawPng::new(9, 1, bits, 0, &[row]);
            assert_eq!(values(&grey), expected, "{bits}-bit grey");
            // A 1-bit or 2-bit picture cannot have all 16 palette entries.
            let palette = &palette[..16.min(1 << bits)];
            let indexed = RawPng::new(9, 1, bits, 3, &[row]).palette(palette);
            assert_eq!(values(&indexed), expected, "{bits}-bit indexed");
        }
        assert_eq!(values(&RawPng::new(2, 1, 16, 0, &[&[1, 2, 0xff, 0xff]])), [0x102, 0xffff]);
    }

    #[test]
    fn sources_are_named() {
        let source = |png: &RawPng| decode(&png.bytes()).unwrap().source.to_string();
        assert_eq!(source(&RawPng::new(1, 1, 4, 3, &[&[0]]).palette(&[[0; 3]])), "4-bit indexed PNG");
        assert_eq!(source(&RawPng::new(1, 1, 16, 0, &[&[0, 0]])), "16-bit grey PNG");
        assert_eq!(source(&RawPng::new(1, 1, 8, 4, &[&[0, 0]])), "8-bit grey PNG with alpha");
        assert_eq!(source(&RawPng::new(1, 1, 8, 6, &[&[0; 4]])), "8-bit RGBA PNG");
        assert_eq!(source(&RawPng::new(1, 1, 16, 2, &[&[0; 6]])), "16-bit RGB PNG");
        assert_eq!(decode(&jpeg(8, 8)).unwrap().source, Source::Jpeg);
    }

    #[test]
    fn colours_and_alpha() {
        let rgba = RawPng::new(2, 1, 8, 6, &[&[1, 2, 3, 4, 5, 6, 7, 8]]);
        assert_eq!(colors(&rgba), [[1, 2, 3, 4], [5, 6, 7, 8]]);
        let wide = RawPng::new(1, 1, 16, 6, &[&[1, 1, 2, 2, 0xff, 0xff, 0x80, 0x80]]);
        assert_eq!(colors(&wide), [[1, 2, 255, 128]]);
        let mut keyed = RawPng::new(2, 1, 8, 2, &[&[1, 2, 3, 5, 6, 7]]);
        keyed.trns = vec![0, 5, 0, 6, 0, 7];
        assert_eq!(colors(&keyed), [[1, 2, 3, 255], [5, 6, 7, 0]]);
        let mut keyed = RawPng::new(2, 1, 16, 2, &[&[1, 1, 2, 2, 3, 3, 5, 5, 6, 6, 7, 7]]);
        keyed.trns = vec![5, 5, 6, 6, 7, 7];
        assert_eq!(colors(&keyed), [[1, 2, 3, 255], [5, 6, 7, 0]]);
    }

    #[test]
    fn interlaced_pictures_read_the_same() {
        // 3x3: pass 1 has (0,0), pass 5 row 2 columns 0 and 2, pass 4 column 2 of row 0, pass 6 column 1 of rows 0
        // and 2, pass 7 row 1; passes 2 and 3 are empty.
        let rows: [&[u8]; 6] = [&[0], &[2], &[6, 8], &[1], &[7], &[3, 4, 5]];
        let mut png = RawPng::new(3, 3, 8, 0, &rows);
        png.interlaced = true;
        assert_eq!(values(&png), (0..9).collect::<Vec<_>>());
        let rows: [&[u8]; 6] = [&[0x00], &[0x20], &[0x68], &[0x10], &[0x70], &[0x34, 0x50]];
        let mut png = RawPng::new(3, 3, 4, 3, &rows).palette(&[[0; 3]; 9]);
        png.interlaced = true;
        assert_eq!(values(&png), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn forged_sizes_are_refused_before_allocation() {
        for (width, height) in [(32769, 1), (1, 40000), (32768, 32768), (u32::MAX >> 1, u32::MAX >> 1)] {
            let png = RawPng::new(width, height, 8, 0, &[&[0]]);
            assert!(matches!(decode(&png.bytes()), Err(Error::Limit(_))), "{width}x{height}");
        }
        for (bits, color) in [(16, 6), (8, 0), (1, 0)] {
            for interlaced in [false, true] {
                let mut png = RawPng::new(32768, 8192, bits, color, &[&[0]]);
                png.interlaced = interlaced;
                let message = decode(&png.bytes()).err().unwrap().to_string();
                assert!(message.contains("too short for the size"), "{message}");
            }
        }
        let mut bytes = jpeg(8, 8);
        let sof = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        bytes[sof + 5..sof + 9].copy_from_slice(&[0x20, 0, 0x80, 0]);
        assert!(decode(&bytes).err().unwrap().to_string().contains("too short for the size"));
        bytes[sof + 5..sof + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(decode(&bytes), Err(Error::Limit(_))));
    }

    #[test]
    fn highly_compressed_pictures_are_not_taken_for_forged() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 4096, 4096);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![0; 4096 * 4096]).unwrap();
        writer.finish().unwrap();
        assert!(decode(&file).is_ok(), "{} bytes", file.len());
        assert!(decode(&jpeg(1, 1)).is_ok());
    }

    #[test]
    fn other_formats_are_named() {
        for (bytes, name) in [
            (&b"GIF89a"[..], "GIF"),
            (b"BM123", "BMP"),
            (b"RIFF....WEBP", "WebP"),
            (b"gimp xcf v011", "XCF"),
            (b"hello", "no picture"),
            (b"", "empty"),
        ] {
            let message = decode(bytes).err().unwrap().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn truncated_files_are_errors_at_every_length() {
        let rows: Vec<Vec<u8>> = (0..20).map(|y| (0..20).map(|x: u8| x.wrapping_mul(y)).collect()).collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        for bytes in [RawPng::new(20, 20, 8, 3, &rows).palette(&[[1; 3]; 256]).bytes(), jpeg(40, 30)] {
            assert!(decode(&bytes).is_ok());
            for length in 0..bytes.len() {
                assert!(decode(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn errors_carry_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.png");
        std::fs::write(&path, &RawPng::new(1, 1, 8, 0, &[&[0]]).bytes()[..40]).unwrap();
        let message = open(&path).err().unwrap().to_string();
        assert!(message.contains("labels.png") && message.contains("truncated"), "{message}");
        assert!(matches!(open(&folder.path().join("absent.png")), Err(Error::Io { .. })));
        assert!(open(folder.path()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn damaged_files_never_panic(
            is_jpeg in any::<bool>(),
            interlaced in any::<bool>(),
            kind in 0_usize..6,
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let (color, bits) = [(0, 8), (2, 8), (3, 4), (4, 8), (6, 16), (0, 1)][kind];
            let row = [7; 64];
            let rows = [&row[..]; 8];
            let mut png = RawPng::new(8, 8, bits, color, &rows).palette(&[[3; 3]; 16]);
            png.interlaced = interlaced;
            let mut bytes = if is_jpeg { jpeg(24, 24) } else { png.bytes() };
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(picture) = decode(&bytes) {
                prop_assert!(picture.width * picture.height <= super::super::map::MAX_AREA);
            }
        }

        #[test]
        fn headers_with_valid_checksums_never_panic(
            width in 0_u32..40,
            height in 0_u32..40,
            bits in 0_u8..18,
            color in 0_u8..8,
            interlaced in any::<bool>(),
            row in proptest::collection::vec(any::<u8>(), 0..80),
            trns in proptest::collection::vec(any::<u8>(), 0..8),
            palette in proptest::collection::vec(any::<[u8; 3]>(), 0..20),
        ) {
            let rows = vec![&row[..]; height as usize];
            let mut png = RawPng::new(width, height, bits, color, &rows).palette(&palette);
            png.interlaced = interlaced;
            png.trns = trns;
            if let Ok(picture) = decode(&png.bytes()) {
                if let Stored::Values { values, alpha } = &picture.pixels {
                    prop_assert!(alpha.is_empty() || alpha.len() == values.len());
                }
                prop_assert_eq!(picture.pixels.len(), picture.width * picture.height);
            }
        }
    }
}
