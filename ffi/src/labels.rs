//! Label maps in the caller's memory.

use std::ffi::c_void;

use semsynth_core::label::ColorPolicy;
use semsynth_core::{ClassTable, LabelMap, PixelFormat, Pixels};

use crate::image::{ColorFormat, Rows, SEMSYNTH_FORMAT_RGB_F32, SEMSYNTH_FORMAT_U8, SEMSYNTH_FORMAT_U16};
use crate::palette::SemsynthPalette;
use crate::pointers::{read_struct, room, versioned};
use crate::registry;
use crate::status::{Fault, Outcome};

/// Every pixel must have exactly the colour of a class.
pub const SEMSYNTH_COLORS_EXACT: u32 = 0;
/// A pixel takes the class with the nearest colour within the tolerance; others are an error.
pub const SEMSYNTH_COLORS_NEAREST: u32 = 1;
/// Pixels within the tolerance of a class are certain; the others take the class of the nearest certain pixel. For soft
/// brushes and resampled pictures.
pub const SEMSYNTH_COLORS_FILL: u32 = 2;

/// A label map in the caller's memory: the class of each pixel, as an id or as a colour. It is copied when it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthLabels {
    /// Set it to `sizeof(SemsynthLabels)`.
    pub struct_size: usize,
    /// The first pixel of the top row.
    pub data: *const c_void,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes from a row to the one below it; see `SemsynthImage`.
    pub stride: isize,
    /// One of the `SEMSYNTH_FORMAT_` constants besides floats: ids or colours. Pixels with alpha below 128 have no class.
    pub format: u32,
    /// For colours, what to do with those of no class: one of the `SEMSYNTH_COLORS_` constants.
    pub policy: u32,
    /// For colours, the largest difference in red, green and blue, 0 to 255.
    pub tolerance: u32,
    /// 0.
    pub reserved: u32,
    /// For colours, what they mean; NULL for the model's own colours.
    pub palette: *const SemsynthPalette,
}

versioned!(SemsynthLabels);

pub(crate) fn policy(policy: u32, tolerance: u32) -> Outcome<ColorPolicy> {
    let tolerance = u8::try_from(tolerance)
        .map_err(|_| Fault::argument(format!("tolerance is {tolerance}, it must be 0 to 255")))?;
    match policy {
        SEMSYNTH_COLORS_EXACT => Ok(ColorPolicy::Refuse),
        SEMSYNTH_COLORS_NEAREST => Ok(ColorPolicy::NearestColor { tolerance }),
        SEMSYNTH_COLORS_FILL => Ok(ColorPolicy::NearestPixel { tolerance }),
        _ => Err(Fault::unknown_enum("policy", policy)),
    }
}

/// Reads a label map; `classes` are the model's.
///
/// # Safety
///
/// If not NULL, `labels` points to a struct of the size that it says, whose pixels can be read during the call.
pub(crate) unsafe fn read(labels: *const SemsynthLabels, name: &str, classes: &ClassTable) -> Outcome<LabelMap> {
    // SAFETY: as the caller's.
    let labels = unsafe { read_struct(labels, name)? };
    let size @ [width, height] = [labels.width, labels.height];
    let rows = |bytes| Rows::new(name, labels.data.cast_mut().cast(), size, labels.stride, bytes);
    let policy = policy(labels.policy, labels.tolerance)?;
    match labels.format {
        SEMSYNTH_FORMAT_U8 => {
            // SAFETY: as the caller's.
            let ids = unsafe { rows(1)?.copied()? };
            Ok(LabelMap::from_u8(&ids, width, height, width)?)
        }
        SEMSYNTH_FORMAT_U16 => {
            // Rows may begin at odd addresses, so the ids are put together from bytes.
            // SAFETY: as the caller's.
            let bytes = unsafe { rows(2)?.copied()? };
            let mut ids: Vec<u16> = room(width * height, "a copy of the labels")?;
            ids.extend(bytes.as_chunks().0.iter().map(|&id| u16::from_ne_bytes(id)));
            Ok(LabelMap::from_u16(&ids, width, height, width)?)
        }
        format if format >= SEMSYNTH_FORMAT_RGB_F32 => Err(Fault::unknown_enum(&format!("{name}.format"), format)),
        format => {
            let color = ColorFormat::new(name, format)?;
            let palette = registry::get_optional(labels.palette)?;
            // SAFETY: as the caller's.
            let mut bytes = unsafe { rows(color.bytes())?.copied()? };
            color.to_red_first(&mut bytes);
            let format = if color.bytes() == 4 { PixelFormat::Rgba8 } else { PixelFormat::Rgb8 };
            let pixels = Pixels::new(format, width, height, width * color.bytes(), &bytes)?;
            Ok(LabelMap::from_pixels(&pixels, palette.as_deref().unwrap_or(classes), policy)?.map()?)
        }
    }
}
