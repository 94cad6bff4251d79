//! Pictures in host memory.
//!
//! Hosts keep pictures in their own memory, often with padded rows. [`Pixels`] and [`PixelsMut`] are views that
//! borrow such memory; [`Image`] is a picture that the library owns.

use std::fmt;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, RgbImage};

use crate::error::{Error, Result};
use crate::files::{jpeg_is_complete, picture_format, read_picture, save_picture};
use crate::memory;

/// The longest side of a picture or label map, in pixels.
pub const MAX_SIDE: usize = 32768;

/// The largest area of a picture or label map, in pixels.
pub const MAX_AREA: usize = 1 << 28;

/// The longest side of a picture or label map that is read or written by rows, in pixels. Its area has no limit.
pub const MAX_SIDE_BY_ROWS: usize = 1 << 20;

/// Checks the size of `what` (such as "a picture") that is read or written by rows.
pub(crate) fn check_size_by_rows(what: &str, width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Argument(format!("{what} of {width}x{height} pixels is empty")));
    }
    if width > MAX_SIDE_BY_ROWS || height > MAX_SIDE_BY_ROWS {
        return Err(Error::Limit(format!(
            "{width}x{height} pixels are too many: sides may be up to {MAX_SIDE_BY_ROWS} pixels; divide the picture"
        )));
    }
    Ok(())
}

/// Checks the size of `what` (such as "a picture") before any memory of that size is allocated.
pub(crate) fn check_size(what: &str, width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(Error::Argument(format!("{what} of {width}x{height} pixels is empty")));
    }
    if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_AREA {
        return Err(Error::Limit(format!(
            "{width}x{height} pixels are too many: sides may be up to {MAX_SIDE} and the area up to {MAX_AREA} pixels; \
             crop or scale the picture"
        )));
    }
    Ok(())
}

/// Checks that `height` rows (at least 1) of `row` units fit into `len` units, where each row starts `stride` units
/// after the previous one. The last row needs no padding.
pub(crate) fn check_rows(units: &str, height: usize, row: usize, stride: usize, len: usize) -> Result<()> {
    if stride < row {
        return Err(Error::Argument(format!("a stride of {stride} {units} is too short: a row takes {row}")));
    }
    match stride.checked_mul(height.saturating_sub(1)).and_then(|above| above.checked_add(row)) {
        Some(needed) if needed <= len => Ok(()),
        Some(needed) => Err(Error::Argument(format!(
            "{len} {units} are too few: {height} rows with a stride of {stride} take {needed}"
        ))),
        None => Err(Error::Argument(format!(
            "{height} rows with a stride of {stride} {units} are more than memory can hold"
        ))),
    }
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green and blue, a byte each.
    Rgb8,
    /// Red, green, blue and alpha, a byte each; straight alpha (colours are not premultiplied).
    Rgba8,
}

impl PixelFormat {
    /// Bytes per pixel.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb8 => 3,
            Self::Rgba8 => 4,
        }
    }
}

/// The layout shared by [`Pixels`] and [`PixelsMut`]: rows from top to bottom, `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
struct Frame {
    format: PixelFormat,
    width: usize,
    height: usize,
    stride: usize,
}

impl Frame {
    fn new(format: PixelFormat, width: usize, height: usize, stride: usize, len: usize) -> Result<Self> {
        check_size("a picture", width, height)?;
        let frame = Self { format, width, height, stride };
        check_rows("bytes", height, frame.row(), stride, len)?;
        Ok(frame)
    }

    /// Bytes per row, without padding.
    fn row(self) -> usize {
        self.width * self.format.bytes_per_pixel()
    }
}

/// A read-only view of a picture in the caller's memory.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    frame: Frame,
    data: &'a [u8],
}

impl<'a> Pixels<'a> {
    /// A view of `data`: `height` rows from top to bottom, each starting `stride` bytes after the previous one. The
    /// last row needs no padding; bytes after it are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a side is 0, `stride` is shorter than a row, or `data` is too short; [`Error::Limit`]
    /// if a side is over [`MAX_SIDE`] or the area over [`MAX_AREA`].
    pub fn new(format: PixelFormat, width: usize, height: usize, stride: usize, data: &'a [u8]) -> Result<Self> {
        Ok(Self { frame: Frame::new(format, width, height, stride, data.len())?, data })
    }

    /// How pixels are stored.
    pub fn format(&self) -> PixelFormat {
        self.frame.format
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.frame.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.frame.height
    }

    /// Bytes from the start of a row to the start of the next.
    pub fn stride(&self) -> usize {
        self.frame.stride
    }

    /// The rows from top to bottom, without padding.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Frame { height, stride, .. } = self.frame;
        let row = self.frame.row();
        self.data.chunks(stride.max(1)).take(height).filter_map(move |chunk| chunk.get(..row))
    }
}

impl fmt::Debug for Pixels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pixels").field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// A writable view of a picture in the caller's memory.
pub struct PixelsMut<'a> {
    frame: Frame,
    data: &'a mut [u8],
}

impl<'a> PixelsMut<'a> {
    /// A view of `data`: `height` rows from top to bottom, each starting `stride` bytes after the previous one. The
    /// last row needs no padding. Padding and bytes after the last row are never written.
    ///
    /// # Errors
    ///
    /// As for [`Pixels::new`].
    pub fn new(format: PixelFormat, width: usize, height: usize, stride: usize, data: &'a mut [u8]) -> Result<Self> {
        Ok(Self { frame: Frame::new(format, width, height, stride, data.len())?, data })
    }

    /// How pixels are stored.
    pub fn format(&self) -> PixelFormat {
        self.frame.format
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.frame.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.frame.height
    }

    /// Bytes from the start of a row to the start of the next.
    pub fn stride(&self) -> usize {
        self.frame.stride
    }

    /// The rows from top to bottom, without padding.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let Frame { height, stride, .. } = self.frame;
        let row = self.frame.row();
        self.data.chunks_mut(stride.max(1)).take(height).filter_map(move |chunk| chunk.get_mut(..row))
    }

    /// Row `y`, without padding; `None` outside the picture.
    pub(crate) fn row_mut(&mut self, y: usize) -> Option<&mut [u8]> {
        let Frame { height, stride, .. } = self.frame;
        let row = self.frame.row();
        if y >= height {
            return None;
        }
        self.data.get_mut(y * stride..)?.get_mut(..row)
    }
}

impl fmt::Debug for PixelsMut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PixelsMut").field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// A picture: red, green and blue, 8 bits each, row by row from the top left, without padding.
#[derive(Clone, PartialEq, Eq)]
pub struct Image(RgbImage);

impl Image {
    /// Makes a picture from `width * height * 3` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if a side is 0 or the number of bytes is wrong; [`Error::Limit`] if a side is over
    /// [`MAX_SIDE`] or the area over [`MAX_AREA`].
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        check_size("a picture", width, height)?;
        let (found, needed) = (pixels.len(), 3 * width * height);
        match RgbImage::from_raw(width as u32, height as u32, pixels) {
            Some(image) if found == needed => Ok(Self(image)),
            _ => Err(Error::Argument(format!(
                "{found} bytes are no picture of {width}x{height} pixels, which takes {needed}"
            ))),
        }
    }

    /// Copies a picture out of the caller's memory; alpha is dropped.
    pub fn from_pixels(pixels: &Pixels<'_>) -> Self {
        let (width, height) = (pixels.width(), pixels.height());
        let mut bytes = Vec::with_capacity(3 * width * height);
        for row in pixels.rows() {
            match pixels.format() {
                PixelFormat::Rgb8 => bytes.extend_from_slice(row),
                PixelFormat::Rgba8 => bytes.extend(row.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b])),
            }
        }
        Self(RgbImage::from_raw(width as u32, height as u32, bytes).unwrap_or_default())
    }

    /// Reads a PNG or JPEG file; the format is detected from its content. Grey becomes RGB, alpha is dropped, 16-bit
    /// channels are rounded to 8 bits, and a photo that says how to turn it (EXIF orientation) is turned upright.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read; otherwise as [`from_bytes`](Self::from_bytes).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&read_picture(path)?).map_err(|error| error.context(path.display()))
    }

    /// As [`open`](Self::open), for the content of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the content is empty, damaged, cut short, or neither PNG nor JPEG; [`Error::Limit`] if a side is over
    /// [`MAX_SIDE`] or the area over [`MAX_AREA`], before memory of that size is allocated.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged =
            |error: image::ImageError| Error::Data(format!("the picture is damaged ({error}); export it again"));
        if bytes.is_empty() {
            return Err(Error::Data("the file is empty (0 bytes); export or copy it again".into()));
        }
        let Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = image::guess_format(bytes) else {
            return Err(Error::Data("this is no PNG or JPEG picture: convert it to one".into()));
        };
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        // The limits of this library are checked below.
        reader.no_limits();
        // Decoders fill what is missing with grey.
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(Error::Data("the picture is cut short (its end is missing); export or copy it again".into()));
        }
        let mut decoder = reader.into_decoder().map_err(damaged)?;
        let (width, height) = decoder.dimensions();
        check_size("a picture", width as usize, height as usize)?;
        let orientation = decoder.orientation().map_err(damaged)?;
        // As it is stored, and what it becomes.
        let stored = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
        memory::ask(stored.saturating_add(3 * width as usize * height as usize), "reading the picture")?;
        let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
        picture.apply_orientation(orientation);
        Ok(Self(picture.into_rgb8()))
    }

    pub(crate) fn from_rgb(image: RgbImage) -> Self {
        Self(image)
    }

    #[cfg(feature = "train")]
    pub(crate) fn into_rgb(self) -> RgbImage {
        self.0
    }

    pub(crate) fn as_rgb(&self) -> &RgbImage {
        &self.0
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.0.width() as usize
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.0.height() as usize
    }

    /// A read-only view of the picture.
    pub fn pixels(&self) -> Pixels<'_> {
        let (width, height) = (self.width(), self.height());
        Pixels { frame: Frame { format: PixelFormat::Rgb8, width, height, stride: 3 * width }, data: self.0.as_raw() }
    }

    /// The bytes: red, green and blue of each pixel, row by row from the top left.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// The bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_raw()
    }

    /// Copies the picture into the caller's memory; an alpha channel is set to 255. Padding is not written.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if `out` has another size.
    pub fn write_into(&self, out: &mut PixelsMut<'_>) -> Result<()> {
        if (self.width(), self.height()) != (out.width(), out.height()) {
            return Err(Error::Argument(format!(
                "a picture of {}x{} pixels cannot be written into one of {}x{}: they must have the same size",
                self.width(),
                self.height(),
                out.width(),
                out.height()
            )));
        }
        let format = out.format();
        for (from, to) in self.pixels().rows().zip(out.rows_mut()) {
            match format {
                PixelFormat::Rgb8 => to.copy_from_slice(from),
                PixelFormat::Rgba8 => {
                    for (&[r, g, b], to) in from.as_chunks::<3>().0.iter().zip(to.as_chunks_mut::<4>().0) {
                        *to = [r, g, b, 255];
                    }
                }
            }
        }
        Ok(())
    }

    /// Encodes the picture as PNG.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] if the file would be too large.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        self.0
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|error| Error::Limit(format!("the picture cannot be written as PNG: {error}")))?;
        Ok(bytes.into_inner())
    }

    /// Checks that [`save`](Self::save) supports the extension of a path, before a picture is computed.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it does not.
    pub fn check_path(path: impl AsRef<Path>) -> Result<()> {
        picture_format(path.as_ref()).map(drop)
    }

    /// Writes a PNG or JPEG file, depending on the extension.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for another extension, [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save_picture(&self.0, path.as_ref())
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("width", &self.width()).field("height", &self.height()).finish_non_exhaustive()
    }
}

/// The pictures directly in a folder, and what else there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PictureFolder {
    /// Files with the extension of a PNG or JPEG, sorted by name. Hidden files, among them `._x` of macOS, are none.
    pub pictures: Vec<PathBuf>,
    /// What has such an extension but is no file: folders, and links that lead nowhere.
    pub passed: Vec<PathBuf>,
    /// Number of other folders.
    pub folders: usize,
}

impl PictureFolder {
    /// Lists a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn list(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut listed = Self::default();
        for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let extension = path.extension().and_then(|text| text.to_str()).map(str::to_ascii_lowercase);
            let is_picture = matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg" | "jpe" | "jfif"));
            match (is_picture, path.is_file()) {
                (true, true) => listed.pictures.push(path),
                (true, false) => listed.passed.push(path),
                (false, _) => listed.folders += usize::from(path.is_dir()),
            }
        }
        listed.pictures.sort();
        listed.passed.sort();
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: [PixelFormat; 2] = [PixelFormat::Rgb8, PixelFormat::Rgba8];

    fn message<T: fmt::Debug>(result: Result<T>) -> String {
        match result.unwrap_err() {
            Error::Argument(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn views_say_what_is_too_short() {
        let data = [0; 24];
        let new = |width, height, stride| Pixels::new(PixelFormat::Rgba8, width, height, stride, &data);
        assert!(message(new(0, 2, 8)).contains("0x2 pixels is empty"));
        assert!(message(new(2, 2, 7)).contains("a stride of 7 bytes is too short: a row takes 8"));
        assert!(message(new(2, 3, 9)).contains("24 bytes are too few: 3 rows with a stride of 9 take 26"));
        assert!(message(new(2, 3, usize::MAX)).contains("more than memory"));
        assert!(matches!(new(MAX_SIDE + 1, 1, usize::MAX), Err(Error::Limit(_))));
        assert!(matches!(new(usize::MAX, usize::MAX, 8), Err(Error::Limit(_))));
        assert!(new(2, 3, 8).is_ok() && new(6, 1, usize::MAX).is_ok());
        let mut data = [0; 5];
        assert!(message(PixelsMut::new(PixelFormat::Rgb8, 1, 2, 3, &mut data)).contains("5 bytes are too few"));
    }

    #[test]
    fn images_have_the_bytes_of_their_size() {
        for bytes in [11, 13] {
            let text = message(Image::new(2, 2, vec![0; bytes]));
            assert!(text.contains("2x2") && text.contains("takes 12"), "{text}");
        }
        assert!(message(Image::new(0, 2, vec![])).contains("empty"));
        assert!(matches!(Image::new(MAX_SIDE, MAX_SIDE, vec![]), Err(Error::Limit(_))));
        let image = Image::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!((image.width(), image.height(), image.as_bytes()), (2, 1, [1, 2, 3, 4, 5, 6].as_slice()));
        assert_eq!(image.as_rgb().get_pixel(1, 0).0, [4, 5, 6]);
    }

    #[test]
    fn nothing_is_written_into_another_size() {
        let image = Image::new(2, 1, vec![9; 6]).unwrap();
        let mut data = [7; 6];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, 1, 2, 3, &mut data).unwrap();
        assert!(message(image.write_into(&mut out)).contains("2x1 pixels cannot be written into one of 1x2"));
        assert_eq!(data, [7; 6]);
    }

    #[test]
    fn files_are_told_by_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::new(2, 2, (0..12).map(|i| i * 20).collect()).unwrap();
        let png = image.to_png().unwrap();
        let misnamed = folder.path().join("picture.jpg");
        std::fs::write(&misnamed, &png).unwrap();
        assert_eq!(Image::open(&misnamed).unwrap(), image);
        assert_eq!(Image::from_bytes(&png).unwrap(), image);
        let jpeg = folder.path().join("flat.jpg");
        let flat = Image::new(16, 16, vec![100; 768]).unwrap();
        flat.save(&jpeg).unwrap();
        let read = Image::open(&jpeg).unwrap();
        assert!(read.as_bytes().iter().all(|value| value.abs_diff(100) < 4) && read.width() == 16);
        assert!(matches!(flat.save(folder.path().join("flat.webp")), Err(Error::Argument(_))));
        assert!(matches!(Image::open(folder.path().join("absent.png")), Err(Error::Io { .. })));
        std::fs::write(&misnamed, &png[..png.len() / 2]).unwrap();
        let error = Image::open(&misnamed).unwrap_err();
        assert!(matches!(&error, Error::Data(text) if text.contains("picture.jpg: the picture is damaged")), "{error}");
        assert!(matches!(Image::from_bytes(b"GIF89a"), Err(Error::Data(text)) if text.contains("no PNG or JPEG")));
        assert!(matches!(Image::from_bytes(b""), Err(Error::Data(text)) if text.contains("empty")));
    }

    #[test]
    fn alpha_and_wide_channels_are_brought_to_8_bits() {
        let mut file = Cursor::new(Vec::new());
        let pixel = image::Rgba([0xffff_u16, 0x8080, 0, 0]);
        image::ImageBuffer::from_pixel(1, 1, pixel).write_to(&mut file, ImageFormat::Png).unwrap();
        assert_eq!(Image::from_bytes(file.get_ref()).unwrap().into_bytes(), [255, 128, 0]);
    }

    proptest! {
        #[test]
        fn padded_rows_read_as_packed_ones(
            (width, height, padding) in (1_usize..9, 1_usize..9, 0_usize..7),
            bytes in proptest::collection::vec(any::<u8>(), 256),
            junk in any::<u8>(),
            cut in any::<bool>(),
        ) {
            for format in BOTH {
                let row = width * format.bytes_per_pixel();
                let packed = &bytes[..row * height];
                let mut padded = Vec::new();
                for line in packed.chunks(row) {
                    padded.extend_from_slice(line);
                    padded.extend(std::iter::repeat_n(junk, padding));
                }
                if cut {
                    padded.truncate(padded.len() - padding);
                }
                let tight = Pixels::new(format, width, height, row, packed).unwrap();
                let loose = Pixels::new(format, width, height, row + padding, &padded).unwrap();
                prop_assert!(loose.rows().eq(packed.chunks(row)));
                let image = Image::from_pixels(&loose);
                prop_assert_eq!(&image, &Image::from_pixels(&tight));
                let colors = packed.chunks(format.bytes_per_pixel()).flat_map(|pixel| &pixel[..3]);
                prop_assert!(image.as_bytes().iter().eq(colors));
            }
        }

        #[test]
        fn writing_leaves_padding_as_it_is(
            (width, height, padding, after) in (1_usize..9, 1_usize..9, 0_usize..7, 0_usize..9),
            bytes in proptest::collection::vec(any::<u8>(), 192),
            junk in any::<u8>(),
        ) {
            let image = Image::new(width, height, bytes[..3 * width * height].to_vec()).unwrap();
            for format in BOTH {
                let row = width * format.bytes_per_pixel();
                let stride = row + padding;
                let mut data = vec![junk; stride * (height - 1) + row + after];
                let mut out = PixelsMut::new(format, width, height, stride, &mut data).unwrap();
                image.write_into(&mut out).unwrap();
                let written = Pixels::new(format, width, height, stride, &data).unwrap();
                prop_assert_eq!(Image::from_pixels(&written), image.clone());
                for (place, &value) in data.iter().enumerate() {
                    let (x, y) = (place % stride, place / stride);
                    if x >= row || y >= height {
                        prop_assert_eq!(value, junk, "byte {}", place);
                    } else if format == PixelFormat::Rgba8 && x % 4 == 3 {
                        prop_assert_eq!(value, 255);
                    }
                }
            }
        }
    }
}
