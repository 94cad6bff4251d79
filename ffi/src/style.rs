//! Styles: the look of a picture, or of each class in it.

use std::ffi::c_char;

use semsynth_core::network::StyleConfig;
use semsynth_core::style::StyleKind;
use semsynth_core::{Error, Style};

use crate::guard::guard;
use crate::image::{SemsynthImage, View};
use crate::labels::{self, SemsynthLabels};
use crate::model::{SEMSYNTH_STYLE_GLOBAL, SEMSYNTH_STYLE_REGIONS, SemsynthModel};
use crate::pointers::{Out, OutStruct, array, copy_out, text, versioned};
use crate::registry::{self, Handle};
use crate::session::SemsynthSession;
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_UNKNOWN_IDS, SEMSYNTH_STATUS_UNKNOWN_NAME, SemsynthStatus};

/// A style. Never changes; use it from any thread. Functions that change a style make a new one.
#[derive(Debug)]
pub struct SemsynthStyle(());

impl Handle for SemsynthStyle {
    type Object = Style;
    const NAME: &'static str = "style";
}

/// What a style is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthStyleInfo {
    /// Set it to `sizeof(SemsynthStyleInfo)`.
    pub struct_size: usize,
    /// `SEMSYNTH_STYLE_GLOBAL` or `SEMSYNTH_STYLE_REGIONS`.
    pub kind: u32,
    /// Values per row.
    pub length: u32,
    /// Rows: one per class id, or 1.
    pub rows: u32,
    /// Rows that are present.
    pub present: u32,
}

versioned!(SemsynthStyleInfo);

/// Draws a style for a model with one vector for the whole picture, `SEMSYNTH_STYLE_GLOBAL`. To be released with
/// `semsynth_style_release`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_from_seed(
    model: *const SemsynthModel,
    seed: u64,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        let length = match model.architecture().style() {
            StyleConfig::Latent { length, .. } => length,
            StyleConfig::Regions { .. } => {
                return Err(Fault::argument(
                    "this model has a style per class, which cannot be drawn: encode one from a photo, or load one",
                ));
            }
            StyleConfig::None => return Err(Fault::argument("this model takes no style")),
        };
        registry::give(Style::random(seed, length)?, out);
        Ok(())
    })
}

/// Makes a style of a model's preset, to be released with `semsynth_style_release`.
///
/// @param name One of those that `semsynth_model_preset` gives, such as "brick"; `SEMSYNTH_STATUS_UNKNOWN_NAME` for any
///             other. NULL for the model's first preset, if it has one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_from_preset(
    model: *const SemsynthModel,
    name: *const c_char,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let (name, out) =
            unsafe { (if name.is_null() { None } else { Some(text(name, "name")?) }, Out::new(out, "out")?) };
        let first = model.presets().first().map(|preset| preset.name.as_str());
        let name =
            name.or(first).ok_or_else(|| Fault::new(SEMSYNTH_STATUS_UNKNOWN_NAME, "this model has no presets"))?;
        registry::give(model.preset(name)?, out);
        Ok(())
    })
}

/// Makes a style of values, to be released with `semsynth_style_release`.
///
/// @param kind   `SEMSYNTH_STYLE_GLOBAL`, or `SEMSYNTH_STYLE_REGIONS`.
/// @param values `rows * length` finite values, row by row.
/// @param rows   1 for a global style, else the model's highest class id and 1 more.
/// @param length Values per row.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_from_values(
    kind: u32,
    values: *const f32,
    rows: usize,
    length: usize,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        if values.is_null() {
            return Err(Fault::null("values"));
        }
        let count = rows
            .checked_mul(length)
            .filter(|_| rows <= 1 << 16)
            .ok_or_else(|| Fault::argument(format!("{rows} rows of {length} values are more than any style has")))?;
        // SAFETY: by the conventions of the header.
        let (values, out) = unsafe { (array(values, count, "values")?, Out::new(out, "out")?) };
        let style = match kind {
            SEMSYNTH_STYLE_GLOBAL if rows == 1 => Style::global(values.to_vec())?,
            SEMSYNTH_STYLE_GLOBAL => {
                return Err(Fault::argument(format!("a style of the whole picture has 1 row, not {rows}")));
            }
            SEMSYNTH_STYLE_REGIONS => {
                Style::regions(length, values.chunks(length.max(1)).map(|row| Some(row.to_vec())).collect())?
            }
            _ => return Err(Fault::unknown_enum("kind", kind)),
        };
        registry::give(style, out);
        Ok(())
    })
}

/// Encodes the style of a photo, to be released with `semsynth_style_release`. Only for models that say
/// `SEMSYNTH_CAN_ENCODE`.
///
/// @param photo  Of any size.
/// @param labels The classes of its pixels, for a model with a style per class; else NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_encode(
    session: *const SemsynthSession,
    photo: *const SemsynthImage,
    labels: *const SemsynthLabels,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        let session = registry::get(session)?;
        // SAFETY: by the conventions of the header.
        let (photo, labels, out) = unsafe {
            let photo = View::new(photo, "photo")?.to_image()?;
            let classes = &session.prepared.manifest().classes;
            let labels = if labels.is_null() { None } else { Some(labels::read(labels, "labels", classes)?) };
            (photo, labels, Out::new(out, "out")?)
        };
        registry::give(session.prepared.encode(&photo, labels.as_ref(), None)?, out);
        Ok(())
    })
}

/// Mixes two styles into a new one, to be released with `semsynth_style_release`.
///
/// @param weight 0 for the first style, 1 for the second, or between.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_blend(
    first: *const SemsynthStyle,
    second: *const SemsynthStyle,
    weight: f32,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        let (first, second) = (registry::get(first)?, registry::get(second)?);
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        registry::give(first.blend(&second, weight)?, out);
        Ok(())
    })
}

/// Makes a style with one class from another style, to be released with `semsynth_style_release`.
///
/// @param base       The style of all other classes.
/// @param id         The class that changes.
/// @param from       The style that it comes from.
/// @param from_id    The class in that style; usually the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_with_class(
    base: *const SemsynthStyle,
    id: u32,
    from: *const SemsynthStyle,
    from_id: u32,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        let (base, from) = (registry::get(base)?, registry::get(from)?);
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        registry::give(base.with_class(class_id(id)?, &from, class_id(from_id)?)?, out);
        Ok(())
    })
}

pub(crate) fn class_id(id: u32) -> Outcome<u16> {
    u16::try_from(id)
        .map_err(|_| Fault::new(SEMSYNTH_STATUS_UNKNOWN_IDS, format!("there is no class {id}: ids go up to 65535")))
}

/// Describes a style.
///
/// @param info Takes the description; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_info(
    style: *const SemsynthStyle,
    info: *mut SemsynthStyleInfo,
) -> SemsynthStatus {
    guard(|| {
        let style = registry::get(style)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { OutStruct::new(info, "info")? };
        let present =
            (0..style.rows()).filter(|&row| u16::try_from(row).is_ok_and(|row| style.is_present(row))).count();
        out.write(&SemsynthStyleInfo {
            struct_size: 0,
            kind: if style.kind() == StyleKind::Global { SEMSYNTH_STYLE_GLOBAL } else { SEMSYNTH_STYLE_REGIONS },
            length: style.length() as u32,
            rows: style.rows() as u32,
            present: present as u32,
        });
        Ok(())
    })
}

/// Copies a style as the content of a file.
///
/// @param buffer   NULL, with a capacity of 0, to ask for the length.
/// @param capacity Bytes of the buffer.
/// @param length   Takes the number of bytes, also if the buffer is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_save(
    style: *const SemsynthStyle,
    buffer: *mut u8,
    capacity: usize,
    length: *mut usize,
) -> SemsynthStatus {
    guard(|| {
        let bytes = registry::get(style)?.to_bytes()?;
        // SAFETY: by the conventions of the header.
        unsafe { copy_out(&bytes, buffer, capacity, length) }
    })
}

/// Makes a style of the content of a file, to be released with `semsynth_style_release`.
///
/// @param model  The model that it is for; NULL to not check the names of classes.
/// @param data   The bytes.
/// @param length Their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_load(
    model: *const SemsynthModel,
    data: *const u8,
    length: usize,
    out: *mut *mut SemsynthStyle,
) -> SemsynthStatus {
    guard(|| {
        if data.is_null() {
            return Err(Fault::null("data"));
        }
        let model = registry::get_optional(model)?;
        // SAFETY: by the conventions of the header.
        let (data, out) = unsafe { (array(data, length, "data")?, Out::new(out, "out")?) };
        let style = Style::from_bytes(data)?;
        let checked: Result<(), Error> = model.map_or(Ok(()), |model| style.check_names(model.classes()));
        checked?;
        registry::give(style, out);
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_retain(style: *const SemsynthStyle) -> SemsynthStatus {
    guard(|| registry::retain(style))
}

/// Removes an owner; NULL is fine. Jobs and canvases keep what they need.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_style_release(style: *mut SemsynthStyle) -> SemsynthStatus {
    guard(|| registry::release(style).map(drop))
}
