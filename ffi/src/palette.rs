//! Palettes: colours of classes.

use std::ffi::c_char;

use semsynth_core::label::{Class, Report};
use semsynth_core::{ClassTable, LabelMap, Pixels};

use crate::device::at;
use crate::guard::guard;
use crate::image::{SemsynthImage, View};
use crate::labels::{self, SemsynthLabels, policy};
use crate::model::SemsynthModel;
use crate::pointers::{Out, OutStruct, array, chars, text_of, versioned};
use crate::registry::{self, Handle};
use crate::status::{Fault, SemsynthStatus};

/// What colours mean: classes with ids, names and colours. Never changes; use it from any thread.
#[derive(Debug)]
pub struct SemsynthPalette(());

impl Handle for SemsynthPalette {
    type Object = ClassTable;
    const NAME: &'static str = "palette";
}

/// The class stands for pixels without a label.
pub const SEMSYNTH_CLASS_DONT_CARE: u8 = 1;

/// A GIMP palette, `.gpl`.
pub const SEMSYNTH_PALETTE_GPL: u32 = 1;
/// `{"classes": [{"id": 0, "name": "sky", "rgb": [128, 128, 128]}]}`
pub const SEMSYNTH_PALETTE_JSON: u32 = 2;
/// `(classes: [(id: 0, name: "sky", color: (128, 128, 128))])`
pub const SEMSYNTH_PALETTE_RON: u32 = 3;

/// A class. This struct will never change.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthClass {
    /// Its id in label maps, 0 to 65535.
    pub id: u32,
    /// Red, 0 to 255.
    pub red: u8,
    /// Green, 0 to 255.
    pub green: u8,
    /// Blue, 0 to 255.
    pub blue: u8,
    /// A sum of `SEMSYNTH_CLASS_` constants.
    pub flags: u8,
    /// Its name in UTF-8, ended by a zero byte.
    pub name: [c_char; 120],
}

impl From<&Class> for SemsynthClass {
    fn from(class: &Class) -> Self {
        let [red, green, blue] = class.color;
        let flags = if class.dont_care { SEMSYNTH_CLASS_DONT_CARE } else { 0 };
        Self { id: u32::from(class.id), red, green, blue, flags, name: chars(&class.name) }
    }
}

/// What a picture of labels contains.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SemsynthReport {
    /// Set it to `sizeof(SemsynthReport)`.
    pub struct_size: usize,
    /// Pixels with a colour of no class.
    pub unknown_pixels: u64,
    /// Different colours of no class.
    pub unknown_colors: u64,
    /// Pixels with alpha below 128.
    pub transparent_pixels: u64,
    /// Pixels within the tolerance of a colour, but not equal to it.
    pub near_pixels: u64,
    /// Pixels that took the class of the nearest certain pixel.
    pub filled_pixels: u64,
    /// Column of the first pixel with the most frequent unknown colour.
    pub first_x: u64,
    /// Row of that pixel.
    pub first_y: u64,
    /// That colour: red, green, blue, and 255 if there is one.
    pub first_color: [u8; 4],
    /// The tolerance that would accept all colours.
    pub needed_tolerance: u32,
}

versioned!(SemsynthReport);

impl From<&Report> for SemsynthReport {
    fn from(report: &Report) -> Self {
        let first = report.unknown_colors.first();
        let (x, y) = first.map_or((0, 0), |color| color.found.first);
        Self {
            struct_size: 0,
            unknown_pixels: report.unknown_color_pixels,
            unknown_colors: report.unknown_color_count as u64,
            transparent_pixels: report.transparent.map_or(0, |found| found.pixels),
            near_pixels: report.near,
            filled_pixels: report.filled,
            first_x: x as u64,
            first_y: y as u64,
            first_color: first.map_or([0; 4], |color| [color.color[0], color.color[1], color.color[2], 255]),
            needed_tolerance: u32::from(report.needed_tolerance),
        }
    }
}

/// Makes a palette of a model's own classes and colours, to be released with `semsynth_palette_release`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_create(
    model: *const SemsynthModel,
    out: *mut *mut SemsynthPalette,
) -> SemsynthStatus {
    guard(|| {
        let model = registry::get(model)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        registry::give(model.classes().clone(), out);
        Ok(())
    })
}

/// Makes a palette of classes with ids, names and colours that differ, to be released with `semsynth_palette_release`.
///
/// @param classes The classes, in any order.
/// @param count   Their number, 1 to 65535.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_create_from(
    classes: *const SemsynthClass,
    count: usize,
    out: *mut *mut SemsynthPalette,
) -> SemsynthStatus {
    guard(|| {
        if classes.is_null() {
            return Err(Fault::null("classes"));
        }
        // SAFETY: by the conventions of the header.
        let (classes, out) = unsafe { (array(classes, count, "classes")?, Out::new(out, "out")?) };
        let class = |class: &SemsynthClass| {
            let id = u16::try_from(class.id)
                .map_err(|_| Fault::argument(format!("a class has the id {}, ids go up to 65535", class.id)))?;
            if class.flags & !SEMSYNTH_CLASS_DONT_CARE != 0 {
                return Err(Fault::unknown_enum("flags of a class", u32::from(class.flags)));
            }
            Ok(Class {
                id,
                name: text_of(&class.name, "the name of a class")?,
                color: [class.red, class.green, class.blue],
                dont_care: class.flags & SEMSYNTH_CLASS_DONT_CARE != 0,
            })
        };
        let classes: Result<Vec<Class>, Fault> = classes.iter().map(class).collect();
        registry::give(ClassTable::new(classes?)?, out);
        Ok(())
    })
}

/// Makes a palette of the content of a file, to be released with `semsynth_palette_release`.
///
/// @param kind   One of the `SEMSYNTH_PALETTE_` constants.
/// @param data   The bytes, in UTF-8.
/// @param length Their number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_parse(
    kind: u32,
    data: *const u8,
    length: usize,
    out: *mut *mut SemsynthPalette,
) -> SemsynthStatus {
    guard(|| {
        if data.is_null() {
            return Err(Fault::null("data"));
        }
        // SAFETY: by the conventions of the header.
        let (data, out) = unsafe { (array(data, length, "data")?, Out::new(out, "out")?) };
        let parse = match kind {
            SEMSYNTH_PALETTE_GPL => ClassTable::from_gpl_str,
            SEMSYNTH_PALETTE_JSON => ClassTable::from_json_str,
            SEMSYNTH_PALETTE_RON => ClassTable::from_ron_str,
            _ => return Err(Fault::unknown_enum("kind", kind)),
        };
        let text = str::from_utf8(data).map_err(|error| Fault::argument(format!("data is not UTF-8: {error}")))?;
        registry::give(parse(text)?, out);
        Ok(())
    })
}

/// Counts the classes of a palette.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_count(palette: *const SemsynthPalette, out: *mut usize) -> SemsynthStatus {
    guard(|| {
        let palette = registry::get(palette)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        out.write(palette.len());
        Ok(())
    })
}

/// A class of a palette.
///
/// @param index From 0, below the count; classes come in the order of their ids.
/// @param out   Takes the class.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_class(
    palette: *const SemsynthPalette,
    index: usize,
    out: *mut SemsynthClass,
) -> SemsynthStatus {
    guard(|| {
        let palette = registry::get(palette)?;
        // SAFETY: by the conventions of the header.
        let out = unsafe { Out::new(out, "out")? };
        let classes: Vec<_> = palette.iter().collect();
        out.write(SemsynthClass::from(*at(&classes, index, "classes")?));
        Ok(())
    })
}

/// Turns colours into class ids.
///
/// @param palette   What the colours mean.
/// @param image     The colours: one of the formats with a byte per channel.
/// @param policy    What to do with colours of no class: one of the `SEMSYNTH_COLORS_` constants.
/// @param tolerance Largest difference in red, green and blue, 0 to 255.
/// @param ids       Takes the ids, `width * height` of them, row by row; NULL to only inspect.
/// @param count     Room in `ids`.
/// @param report    Takes what was found, also where colours of no class are an error; set its `struct_size`. May be
///                  NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_labels_from_colors(
    palette: *const SemsynthPalette,
    image: *const SemsynthImage,
    policy: u32,
    tolerance: u32,
    ids: *mut u16,
    count: usize,
    report: *mut SemsynthReport,
) -> SemsynthStatus {
    guard(|| {
        let palette = registry::get(palette)?;
        let policy = self::policy(policy, tolerance)?;
        // SAFETY: by the conventions of the header.
        let (view, report_out) = unsafe {
            let report = if report.is_null() { None } else { Some(OutStruct::new(report, "report")?) };
            (View::new(image, "image")?, report)
        };
        let [width, height] = [view.rows.width, view.rows.height];
        if ids.is_null() && count != 0 {
            return Err(Fault::null("ids"));
        }
        if !ids.is_null() && count < width * height {
            return Err(Fault::new(
                crate::status::SEMSYNTH_STATUS_BUFFER_TOO_SMALL,
                format!("there is room for {count} ids, {} are needed", width * height),
            ));
        }
        // SAFETY: by the conventions of the header.
        let (format, bytes) = unsafe { view.to_bytes("image")? };
        let pixels = Pixels::new(format, width, height, width * format.bytes_per_pixel(), &bytes)?;
        let reading = LabelMap::from_pixels(&pixels, &palette, policy)?;
        if let Some(out) = report_out {
            out.write(&SemsynthReport::from(reading.report()));
        }
        let map = reading.map()?;
        if !ids.is_null() {
            // SAFETY: the caller vouches for `count` ids, and these are no more.
            let out = unsafe { Out::new(ids, "ids")? };
            for (i, id) in map.ids().enumerate() {
                // SAFETY: as above.
                unsafe { out.pointer().add(i).write(id) };
            }
        }
        Ok(())
    })
}

/// Paints labels in the colours of their classes, as a preview.
///
/// @param palette The colours.
/// @param labels  The labels. Ids without a class become magenta.
/// @param image   Takes the picture, as large as the labels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_labels_to_colors(
    palette: *const SemsynthPalette,
    labels: *const SemsynthLabels,
    image: *const SemsynthImage,
) -> SemsynthStatus {
    guard(|| {
        let palette = registry::get(palette)?;
        // SAFETY: by the conventions of the header.
        let (map, view) = unsafe { (labels::read(labels, "labels", &palette)?, View::new(image, "image")?) };
        view.require("image", [map.width(), map.height()])?;
        let colors = map.to_rgb(&palette);
        // SAFETY: by the conventions of the header.
        unsafe { view.write(0, 0, colors.pixels().rows()) };
        Ok(())
    })
}

/// Adds an owner.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_retain(palette: *const SemsynthPalette) -> SemsynthStatus {
    guard(|| registry::retain(palette))
}

/// Removes an owner; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn semsynth_palette_release(palette: *mut SemsynthPalette) -> SemsynthStatus {
    guard(|| registry::release(palette).map(drop))
}
