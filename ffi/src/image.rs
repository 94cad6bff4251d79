//! Pictures in the caller's memory.

use std::ffi::c_void;
use std::slice;

use semsynth_core::label::{MAX_AREA, MAX_SIDE};
use semsynth_core::{Image, PixelFormat, Rect};

use crate::pointers::{Out, read_struct, room, versioned};
use crate::status::{Fault, Outcome};

/// Class ids, one byte each. For labels.
pub const SEMSYNTH_FORMAT_U8: u32 = 1;
/// Class ids, two bytes each in the machine's order. For labels.
pub const SEMSYNTH_FORMAT_U16: u32 = 2;
/// Red, green, blue, a byte each.
pub const SEMSYNTH_FORMAT_RGB8: u32 = 16;
/// Red, green, blue, straight alpha, a byte each.
pub const SEMSYNTH_FORMAT_RGBA8: u32 = 17;
/// Blue, green, red, a byte each.
pub const SEMSYNTH_FORMAT_BGR8: u32 = 18;
/// Blue, green, red, straight alpha, a byte each.
pub const SEMSYNTH_FORMAT_BGRA8: u32 = 19;
/// Red, green, blue, a 32-bit float each, 0 to 1, with the sRGB curve as in 8 bits. Not for labels.
pub const SEMSYNTH_FORMAT_RGB_F32: u32 = 32;
/// Red, green, blue, straight alpha, a 32-bit float each, 0 to 1, colours as above. Not for labels.
pub const SEMSYNTH_FORMAT_RGBA_F32: u32 = 33;

/// A rectangle of pixels. Coordinates count from the top left.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SemsynthRect {
    /// The leftmost column.
    pub x: i64,
    /// The top row.
    pub y: i64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl SemsynthRect {
    /// # Safety
    ///
    /// If not NULL, `pointer` points to a rectangle.
    pub(crate) unsafe fn read(pointer: *const Self, name: &str) -> Outcome<Rect> {
        // SAFETY: as the caller's; `Out` only checks the pointer here.
        unsafe { Out::new(pointer.cast_mut(), name).map(|pointer| pointer.pointer().read().into()) }
    }
}

impl From<Rect> for SemsynthRect {
    fn from(Rect { x, y, width, height }: Rect) -> Self {
        Self { x, y, width, height }
    }
}

impl From<SemsynthRect> for Rect {
    fn from(SemsynthRect { x, y, width, height }: SemsynthRect) -> Self {
        Self { x, y, width, height }
    }
}

/// A picture in the caller's memory, to read or to write.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthImage {
    /// Set it to `sizeof(SemsynthImage)`.
    pub struct_size: usize,
    /// The first pixel of the top row.
    pub data: *mut c_void,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes from a row to the one below it: 0 for rows without padding, negative for a picture stored bottom-up, whose
    /// `data` is then near its end. Bytes between rows are neither read nor written.
    pub stride: isize,
    /// One of the colour formats, `SEMSYNTH_FORMAT_RGB8` and so on. Alpha is written as opaque, and not read.
    pub format: u32,
    /// 0.
    pub reserved: u32,
}

versioned!(SemsynthImage);

/// Where rows of pixels are.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    data: *mut u8,
    pub(crate) width: usize,
    pub(crate) height: usize,
    stride: isize,
    bytes: usize,
}

// SAFETY: an address; the caller who gave it promised that it may be used until the call or its job has ended.
unsafe impl Send for Rows {}

impl Rows {
    /// Checks what can be checked.
    pub(crate) fn new(
        name: &str,
        data: *mut u8,
        [width, height]: [usize; 2],
        stride: isize,
        bytes: usize,
    ) -> Outcome<Self> {
        if data.is_null() {
            return Err(Fault::null(&format!("{name}.data")));
        }
        let size = format!("{name} of {width}x{height} pixels");
        if width == 0 || height == 0 {
            return Err(Fault::argument(format!("{size}: both sides must be at least 1")));
        }
        if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_AREA {
            return Err(Fault::new(
                crate::status::SEMSYNTH_STATUS_LIMIT,
                format!("{size}: sides may have up to {MAX_SIDE} pixels, the area up to {MAX_AREA}"),
            ));
        }
        let row = width * bytes;
        let stride = if stride == 0 { row as isize } else { stride };
        if height > 1 && stride.unsigned_abs() < row {
            return Err(Fault::argument(format!("{size}: a stride of {stride} bytes is too short, a row takes {row}")));
        }
        if stride.unsigned_abs().checked_mul(height).is_none_or(|all| all > isize::MAX as usize) {
            return Err(Fault::argument(format!(
                "{size} with a stride of {stride} bytes is more than memory can hold"
            )));
        }
        Ok(Self { data, width, height, stride, bytes })
    }

    /// The bytes of `width` pixels from (`x`, `y`) on, which are inside.
    ///
    /// # Safety
    ///
    /// The caller's memory is there, holds values, and nobody changes it for `'a`.
    unsafe fn get<'a>(&self, y: usize) -> &'a [u8] {
        // SAFETY: as the caller's; `new` has checked the sizes.
        unsafe { slice::from_raw_parts(self.data.offset(y as isize * self.stride), self.width * self.bytes) }
    }

    /// All rows from top to bottom, without padding.
    ///
    /// # Safety
    ///
    /// As [`get`](Self::get).
    pub(crate) unsafe fn copied(&self) -> Outcome<Vec<u8>> {
        let mut all = room(self.width * self.height * self.bytes, "a copy of the pixels")?;
        for y in 0..self.height {
            // SAFETY: as the caller's, and the row is inside.
            all.extend_from_slice(unsafe { self.get(y) });
        }
        Ok(all)
    }
}

/// How colours are stored.
#[derive(Clone, Copy)]
pub(crate) struct ColorFormat {
    /// Bytes per channel: 1 or 4.
    depth: usize,
    /// 3, or 4 with alpha.
    channels: usize,
    blue_first: bool,
}

impl ColorFormat {
    pub(crate) fn new(name: &str, format: u32) -> Outcome<Self> {
        let (depth, channels, blue_first) = match format {
            SEMSYNTH_FORMAT_RGB8 => (1, 3, false),
            SEMSYNTH_FORMAT_RGBA8 => (1, 4, false),
            SEMSYNTH_FORMAT_BGR8 => (1, 3, true),
            SEMSYNTH_FORMAT_BGRA8 => (1, 4, true),
            SEMSYNTH_FORMAT_RGB_F32 => (4, 3, false),
            SEMSYNTH_FORMAT_RGBA_F32 => (4, 4, false),
            _ => return Err(Fault::unknown_enum(&format!("{name}.format"), format)),
        };
        Ok(Self { depth, channels, blue_first })
    }

    pub(crate) fn bytes(self) -> usize {
        self.depth * self.channels
    }

    /// Exchanges red and blue where blue comes first. For bytes, not floats.
    pub(crate) fn to_red_first(self, bytes: &mut [u8]) {
        if self.blue_first {
            bytes.chunks_exact_mut(self.channels).for_each(|pixel| pixel.swap(0, 2));
        }
    }

    /// Stores a pixel in its bytes.
    fn put(self, rgb: [u8; 3], to: &mut [u8]) {
        let [r, g, b] = rgb;
        let channels = if self.blue_first { [b, g, r, 255] } else { [r, g, b, 255] };
        for (to, value) in to.chunks_exact_mut(self.depth).zip(channels) {
            match self.depth {
                1 => to.copy_from_slice(&[value]),
                _ => to.copy_from_slice(&(f32::from(value) / 255.0).to_ne_bytes()),
            }
        }
    }

    /// Reads a pixel from its bytes; floats are limited to 0 to 1, and what is no number is 0.
    fn take(self, from: &[u8]) -> [u8; 3] {
        let mut channels = [0; 3];
        for (value, from) in channels.iter_mut().zip(from.chunks_exact(self.depth)) {
            *value = match *from {
                [byte] => byte,
                [a, b, c, d] => (f32::from_ne_bytes([a, b, c, d]).clamp(0.0, 1.0) * 255.0).round() as u8,
                _ => 0,
            };
        }
        if self.blue_first {
            channels.reverse();
        }
        channels
    }
}

/// A picture of the caller's.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) rows: Rows,
    format: ColorFormat,
}

impl View {
    /// # Safety
    ///
    /// If not NULL, `image` points to a struct of the size that it says; its pixels can be used until the view is gone.
    pub(crate) unsafe fn new(image: *const SemsynthImage, name: &str) -> Outcome<Self> {
        // SAFETY: as the caller's.
        let SemsynthImage { data, width, height, stride, format, .. } = unsafe { read_struct(image, name)? };
        let format = ColorFormat::new(name, format)?;
        Ok(Self { rows: Rows::new(name, data.cast(), [width, height], stride, format.bytes())?, format })
    }

    /// Checks that the picture has a size.
    pub(crate) fn require(&self, name: &str, [width, height]: [usize; 2]) -> Outcome {
        let Rows { width: w, height: h, .. } = self.rows;
        if [w, h] == [width, height] {
            return Ok(());
        }
        Err(Fault::argument(format!("{name} has {w}x{h} pixels, it must have {width}x{height}")))
    }

    /// Copies `rgb` rows, `3 * width` bytes each, to column `x` and row `y` on.
    ///
    /// # Safety
    ///
    /// The caller's memory is there and nobody else uses it.
    pub(crate) unsafe fn write<'b>(&self, x: usize, y: usize, rgb: impl Iterator<Item = &'b [u8]>) {
        let Rows { data, width, height, stride, bytes } = self.rows;
        for (y, row) in (y..height).zip(rgb) {
            let count = (row.len() / 3).min(width.saturating_sub(x));
            // SAFETY: as the caller's; the pixels are inside, and `Rows::new` has checked the sizes.
            let to =
                unsafe { slice::from_raw_parts_mut(data.offset(y as isize * stride).add(x * bytes), count * bytes) };
            if let ColorFormat { depth: 1, channels: 3, blue_first: false } = self.format {
                to.copy_from_slice(&row[..3 * count]);
                continue;
            }
            for (to, &rgb) in to.chunks_exact_mut(bytes).zip(row.as_chunks::<3>().0) {
                self.format.put(rgb, to);
            }
        }
    }

    /// Copies colours with a byte per channel, red first, out of the caller's memory.
    ///
    /// # Safety
    ///
    /// As [`Rows::copied`].
    pub(crate) unsafe fn to_bytes(self, name: &str) -> Outcome<(PixelFormat, Vec<u8>)> {
        let format = match self.format {
            ColorFormat { depth: 1, channels: 3, .. } => PixelFormat::Rgb8,
            ColorFormat { depth: 1, .. } => PixelFormat::Rgba8,
            _ => return Err(Fault::argument(format!("{name} has floats, it must have a byte per channel"))),
        };
        // SAFETY: as the caller's.
        let mut bytes = unsafe { self.rows.copied()? };
        self.format.to_red_first(&mut bytes);
        Ok((format, bytes))
    }

    /// Copies the picture out of the caller's memory; alpha is dropped.
    ///
    /// # Safety
    ///
    /// As [`Rows::copied`].
    pub(crate) unsafe fn to_image(self) -> Outcome<Image> {
        // SAFETY: as the caller's.
        let bytes = unsafe { self.rows.copied()? };
        let mut rgb = room(3 * self.rows.width * self.rows.height, "a copy of the picture")?;
        rgb.extend(bytes.chunks_exact(self.format.bytes()).flat_map(|pixel| self.format.take(pixel)));
        Ok(Image::new(self.rows.width, self.rows.height, rgb)?)
    }
}
