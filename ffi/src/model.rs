//! Models.

use std::ffi::c_char;
use std::{fs, slice};

use semsynth_core::model::Manifest;
use semsynth_core::network::{Ability, StyleConfig};
use semsynth_core::{Error, Model, Rect};

use crate::device::at;
use crate::guard::{SEMSYNTH_LOG_INFO, guard, log};
use crate::image::SemsynthRect;
use crate::palette::SemsynthClass;
use crate::pointers::{Out, OutStruct, array, chars, read_optional, text, versioned};
use crate::registry::{self, Handle};
use crate::status::{Fault, Outcome, SEMSYNTH_STATUS_LIMIT, SEMSYNTH_STATUS_UNKNOWN_NAME, SemsynthStatus};

/// A model: weights, classes and a description. Never changes; use it from any thread.
#[derive(Debug)]
pub struct SemsynthModel(());

impl Handle for SemsynthModel {
    type Object = Model;
    const NAME: &'static str = "model";
}

/// The model takes no style.
pub const SEMSYNTH_STYLE_NONE: u32 = 0;
/// One vector for the whole picture, drawn from the seed if there is none.
pub const SEMSYNTH_STYLE_GLOBAL: u32 = 1;
/// One vector per class.
pub const SEMSYNTH_STYLE_REGIONS: u32 = 2;

/// The model paints pictures of any height in memory that does not grow with it.
pub const SEMSYNTH_CAN_STREAM: u32 = 1;
/// The model paints seamless textures.
pub const SEMSYNTH_CAN_WRAP: u32 = 2;
/// The model paints parts of an endless world that meet without a seam.
pub const SEMSYNTH_CAN_WORLD: u32 = 4;
/// Edits on a canvas cost less than a new picture.
pub const SEMSYNTH_CAN_EDIT: u32 = 8;
/// The model encodes the style of a photo.
pub const SEMSYNTH_CAN_ENCODE: u32 = 16;

/// How to load a model. Zeros are the defaults.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthModelOptions {
    /// Set it to `sizeof(SemsynthModelOptions)`.
    pub struct_size: usize,
    /// Largest file in bytes; 0 for no limit besides those of the format.
    pub max_bytes: u64,
}

/// What a model is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthModelInfo {
    /// Set it to `sizeof(SemsynthModelInfo)`.
    pub struct_size: usize,
    /// Number of classes.
    pub class_count: usize,
    /// Number of weights.
    pub weight_count: u64,
    /// Width that it was trained at, in pixels. Other sizes work, but pictures may look worse.
    pub native_width: u32,
    /// Height that it was trained at, in pixels.
    pub native_height: u32,
    /// Sides of wrapped pictures, and origins in a world, must be multiples of this.
    pub stride: u32,
    /// Parts of a world have the same bytes wherever they begin, if that is a multiple of this.
    pub lattice: u32,
    /// A label reaches so many pixels upwards and to the left; `UINT32_MAX` if it reaches everywhere.
    pub halo_before: u32,
    /// A label reaches so many pixels downwards and to the right; `UINT32_MAX` if it reaches everywhere.
    pub halo_after: u32,
    /// What it can do: a sum of `SEMSYNTH_CAN_` constants.
    pub abilities: u32,
    /// The kind of style that it takes, one of the `SEMSYNTH_STYLE_` constants.
    pub style_kind: u32,
    /// Values of a style's vector; 0 without styles.
    pub style_length: u32,
    /// 0.
    pub reserved: u32,
    /// Its name.
    pub name: [c_char; 128],
    /// Licence of the weights: an SPDX expression if possible.
    pub licence: [c_char; 256],
}

/// A preset: a named style in a model's file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthPreset {
    /// Set it to `sizeof(SemsynthPreset)`.
    pub struct_size: usize,
    /// Its name for `semsynth_style_from_preset`: lower-case letters, digits and hyphens.
    pub name: [c_char; 128],
    /// One line about it, for menus; may be empty.
    pub summary: [c_char; 256],
}

versioned!(SemsynthModelOptions, SemsynthModelInfo, SemsynthPreset);

/// Counts the built-in models.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_builtin_count(out: *mut usize) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        out.write(Model::builtins().count());
        Ok(())
    })
}

/// The name of a built-in model.
///
/// @param index    From 0, below the count.
/// @param name     Takes the name, ended by a zero byte.
/// @param capacity Bytes of `name`; 64 hold every name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_builtin_name(index: usize, name: *mut c_char, capacity: usize) -> SemsynthStatus {
    guard(|| {
        let all: Vec<&str> = Model::builtins().collect();
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(name, "name")? };
        let name = at(&all, index, "built-in models")?;
        if name.len() >= capacity {
            return Err(Fault::new(
                crate::status::SEMSYNTH_STATUS_BUFFER_TOO_SMALL,
                format!("a buffer of {capacity} bytes is too small, {} are needed", name.len() + 1),
            ));
        }
        // SAFETY: the caller vouches for `capacity` bytes, more than the name has.
        let room = unsafe { slice::from_raw_parts_mut(out.pointer().cast::<u8>(), name.len() + 1) };
        room[..name.len()].copy_from_slice(name.as_bytes());
        room[name.len()] = 0;
        Ok(())
    })
}

/// Loads a built-in model, to be released with `semsynth_model_release`.
///
/// @param name Such as "facades".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_load_builtin(
    name: *const c_char,
    out: *mut *mut SemsynthModel,
) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let (name, out) = unsafe { (text(name, "name")?, Out::new(out, "out")?) };
        give(Model::builtin(name)?, out);
        Ok(())
    })
}

/// Loads a model from a file, to be released with `semsynth_model_release`.
///
/// @param path    In UTF-8.
/// @param options NULL for the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_load_file(
    path: *const c_char,
    options: *const SemsynthModelOptions,
    out: *mut *mut SemsynthModel,
) -> SemsynthStatus {
    guard(|| {
        // SAFETY: by the conventions of the header.
        let (path, options, out) =
            unsafe { (text(path, "path")?, read_optional(options, "options")?, Out::new(out, "out")?) };
        let size = fs::metadata(path).map_err(Error::io(path))?.len();
        check_size(size, options).map_err(|fault| Fault { message: format!("{path}: {}", fault.message), ..fault })?;
        give(Model::open(path)?, out);
        Ok(())
    })
}

/// Loads a model from the content of its file, which is copied. To be released with `semsynth_model_release`.
///
/// @param data    The bytes.
/// @param length  Their number.
/// @param options NULL for the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_load_memory(
    data: *const u8,
    length: usize,
    options: *const SemsynthModelOptions,
    out: *mut *mut SemsynthModel,
) -> SemsynthStatus {
    guard(|| {
        if data.is_null() {
            return Err(Fault::null("data"));
        }
        // SAFETY: by the conventions of the header.
        let (data, options, out) =
            unsafe { (array(data, length, "data")?, read_optional(options, "options")?, Out::new(out, "out")?) };
        check_size(data.len() as u64, options)?;
        give(Model::from_bytes(data)?, out);
        Ok(())
    })
}

fn check_size(size: u64, options: Option<SemsynthModelOptions>) -> Outcome {
    match options.map(|options| options.max_bytes) {
        Some(most) if most != 0 && size > most => {
            Err(Fault::new(SEMSYNTH_STATUS_LIMIT, format!("the model has {size} bytes, and max_bytes allows {most}")))
        }
        _ => Ok(()),
    }
}

fn give(model: Model, out: Out<*mut SemsynthModel>) {
    log(SEMSYNTH_LOG_INFO, || format!("loaded the model {} ({} weights)", model.manifest().name, model.num_values()));
    registry::give(model, out);
}

/// Describes a model.
///
/// @param info Takes the description; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_info(
    model: *const SemsynthModel,
    info: *mut SemsynthModelInfo,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { OutStruct::new(info, "info")? };
        out.write(&describe(&model));
        Ok(())
    })
}

fn describe(model: &Model) -> SemsynthModelInfo {
    let manifest: &Manifest = model.manifest();
    let able = model.capabilities();
    let (style_kind, style_length, encodes) = match manifest.architecture.style() {
        StyleConfig::None => (SEMSYNTH_STYLE_NONE, 0, false),
        StyleConfig::Latent { length, encoder, .. } => (SEMSYNTH_STYLE_GLOBAL, length, encoder.is_some()),
        StyleConfig::Regions { length, encoder } => (SEMSYNTH_STYLE_REGIONS, length, encoder.is_some()),
    };
    let flag = |can: bool, flag: u32| if can { flag } else { 0 };
    let can = |ability: Ability, bit: u32| flag(ability.is_yes(), bit);
    SemsynthModelInfo {
        struct_size: 0,
        class_count: manifest.classes.len(),
        weight_count: model.num_values() as u64,
        native_width: manifest.native_size[1] as u32,
        native_height: manifest.native_size[0] as u32,
        stride: able.stride,
        lattice: able.lattice,
        halo_before: able.halo.map_or(u32::MAX, |halo| halo.before),
        halo_after: able.halo.map_or(u32::MAX, |halo| halo.after),
        abilities: can(able.stream, SEMSYNTH_CAN_STREAM)
            | can(able.wrap, SEMSYNTH_CAN_WRAP)
            | can(able.world, SEMSYNTH_CAN_WORLD)
            | can(able.edit, SEMSYNTH_CAN_EDIT)
            | flag(encodes, SEMSYNTH_CAN_ENCODE),
        style_kind,
        style_length: style_length as u32,
        reserved: 0,
        name: chars(&manifest.name),
        licence: chars(&manifest.licence),
    }
}

/// Describes a class of a model.
///
/// @param index From 0, below the model's `class_count`; classes come in the order of their ids.
/// @param out   Takes the class.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_class(
    model: *const SemsynthModel,
    index: usize,
    out: *mut SemsynthClass,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        let classes: Vec<_> = model.classes().iter().collect();
        out.write(SemsynthClass::from(*at(&classes, index, "classes")?));
        Ok(())
    })
}

/// The id of the class with a name, in exactly this spelling.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_find_class(
    model: *const SemsynthModel,
    name: *const c_char,
    out: *mut u32,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let (name, out) = unsafe { (text(name, "name")?, Out::new(out, "out")?) };
        let class = model.classes().by_name(name).ok_or_else(|| {
            let known: Vec<&str> = model.classes().iter().map(|class| class.name.as_str()).collect();
            Fault::new(
                SEMSYNTH_STATUS_UNKNOWN_NAME,
                format!("there is no class {name:?}; there is: {}", known.join(", ")),
            )
        })?;
        out.write(u32::from(class.id));
        Ok(())
    })
}

/// Counts the presets of a model: its named styles. A model without styles has none, one with styles may have none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_preset_count(model: *const SemsynthModel, out: *mut usize) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        out.write(model.presets().len());
        Ok(())
    })
}

/// Describes a preset of a model. `semsynth_style_from_preset` makes a style of it.
///
/// @param index  From 0, below the count. The first preset is what the model paints if a request has no style.
/// @param preset Takes the description; set its `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_preset(
    model: *const SemsynthModel,
    index: usize,
    preset: *mut SemsynthPreset,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { OutStruct::new(preset, "preset")? };
        let preset = at(model.presets(), index, "presets")?;
        out.write(&SemsynthPreset { struct_size: 0, name: chars(&preset.name), summary: chars(&preset.summary) });
        Ok(())
    })
}

/// The pixels that can change if labels in a rectangle change.
///
/// @param edit   The rectangle of labels.
/// @param width  Width of the picture, or 0, with a height of 0, for a world without borders. For a wrapped picture take
///               that too: the result then reaches beyond the picture, to where it repeats.
/// @param height Height of the picture, or 0.
/// @param out    Takes the rectangle of pixels. The whole picture if every pixel depends on every label; in a world
///               without borders that, and a rectangle with more pixels on a side than `UINT32_MAX`, is
///               `SEMSYNTH_STATUS_INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_affected_rect(
    model: *const SemsynthModel,
    edit: *const SemsynthRect,
    width: u32,
    height: u32,
    out: *mut SemsynthRect,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let (edit, out) = unsafe { (SemsynthRect::read(edit, "edit")?, Out::new(out, "out")?) };
        let size = match (width, height) {
            (0, 0) => None,
            (0, _) | (_, 0) => {
                return Err(Fault::argument(format!("a picture of {width}x{height} pixels: set both sides, or none")));
            }
            _ => Some([height as usize, width as usize]),
        };
        let whole = || size.map(|_| Rect { x: 0, y: 0, width, height });
        let affected = model.affected(edit, size).or_else(whole).ok_or_else(|| {
            Fault::argument(
                "there is no such rectangle: every pixel of this model depends on every label, or it is too large",
            )
        })?;
        out.write(affected.into());
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_retain(model: *const SemsynthModel) -> SemsynthStatus {
    guard(|| registry::retain(model))
}

/// Removes an owner; NULL is fine. Sessions keep what they need.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_model_release(model: *mut SemsynthModel) -> SemsynthStatus {
    guard(|| registry::release(model).map(drop))
}
