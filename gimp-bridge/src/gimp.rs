//! GIMP's objects, as far as this program uses them. GIMP is called from the main thread only.

use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::ptr::{null, null_mut};

pub(crate) use crate::api::Rect;
use crate::api::{I, P, S, call};
use crate::words::said;

/// Text for GIMP.
pub(crate) fn text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// Takes over text that GIMP has allocated.
fn owned_text(pointer: P) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: GIMP's text ends with 0, and is copied before it is freed.
    let text = unsafe { CStr::from_ptr(pointer as S) }.to_string_lossy().into_owned();
    call!(g_free(pointer));
    Some(text)
}

/// What has failed, in the user's language, and GIMP's reason if it gives one.
fn reason(what: &CStr) -> String {
    let what = said(what, &[]);
    let pdb = call!(gimp_get_pdb());
    let reason = call!(gimp_pdb_get_last_error(pdb));
    let reason = if reason.is_null() {
        None
    } else {
        // SAFETY: text of GIMP's that ends with 0.
        Some(unsafe { CStr::from_ptr(reason) }.to_string_lossy().into_owned())
    };
    match reason.filter(|text| !text.is_empty() && text != "success") {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    }
}

fn check(done: I, what: &CStr) -> Result<(), String> {
    if done == 0 { Err(reason(what)) } else { Ok(()) }
}

/// A pixel format of babl.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format(P);

impl Format {
    /// In sRGB.
    pub(crate) fn new(name: &CStr) -> Self {
        Self(call!(babl_format(name.as_ptr())))
    }

    /// In the colour space of another format.
    pub(crate) fn in_space_of(name: &CStr, other: Self) -> Self {
        let space = call!(babl_format_get_space(other.0));
        Self(call!(babl_format_with_space(name.as_ptr(), space)))
    }

    pub(crate) fn bytes(self) -> usize {
        call!(babl_format_get_bytes_per_pixel(self.0)) as usize
    }
}

/// Pixels in tiles, which GEGL moves to disk where memory is scarce.
#[derive(Debug)]
pub(crate) struct Buffer(P);

impl Buffer {
    /// A buffer of this program's own.
    pub(crate) fn new(width: i32, height: i32, format: Format) -> Self {
        let rect = Rect { x: 0, y: 0, w: width, h: height };
        Self(call!(gegl_buffer_new(&raw const rect, format.0)))
    }

    /// Reads a rectangle.
    pub(crate) fn get(&self, rect: Rect, format: Format) -> Vec<u8> {
        let mut bytes = vec![0; rect.w as usize * rect.h as usize * format.bytes()];
        call!(gegl_buffer_get(self.0, &raw const rect, 1.0, format.0, bytes.as_mut_ptr().cast(), 0, 0));
        bytes
    }

    /// Writes a rectangle. `bytes` must fill it.
    pub(crate) fn set(&self, rect: Rect, format: Format, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() != rect.w as usize * rect.h as usize * format.bytes() {
            return Err(format!("{} bytes do not fill {}x{} pixels", bytes.len(), rect.w, rect.h));
        }
        call!(gegl_buffer_set(self.0, &raw const rect, 0, format.0, bytes.as_ptr().cast::<c_void>(), 0));
        Ok(())
    }

    /// Copies a rectangle to another buffer, at (x, y) there.
    pub(crate) fn copy_to(&self, rect: Rect, other: &Self, x: i32, y: i32) {
        let to = Rect { x, y, ..rect };
        call!(gegl_buffer_copy(self.0, &raw const rect, 0, other.0, &raw const to));
        call!(gegl_buffer_flush(other.0));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        call!(g_object_unref(self.0));
    }
}

/// A layer, layer mask or channel. GIMP owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drawable(pub(crate) P);

impl Drawable {
    /// The number that stands for it as long as GIMP runs.
    pub(crate) fn id(self) -> i32 {
        call!(gimp_item_get_id(self.0))
    }

    /// The layer that has this number, if it is still there.
    pub(crate) fn layer_by_id(id: i32) -> Option<Self> {
        let item = call!(gimp_item_get_by_id(id));
        Some(Self(item)).filter(|item| !item.0.is_null() && item.is_layer())
    }

    pub(crate) fn width(self) -> i32 {
        call!(gimp_drawable_get_width(self.0))
    }

    pub(crate) fn height(self) -> i32 {
        call!(gimp_drawable_get_height(self.0))
    }

    pub(crate) fn whole(self) -> Rect {
        Rect { x: 0, y: 0, w: self.width(), h: self.height() }
    }

    pub(crate) fn format(self) -> Format {
        Format(call!(gimp_drawable_get_format(self.0)))
    }

    pub(crate) fn is_layer(self) -> bool {
        call!(gimp_item_is_layer(self.0)) != 0
    }

    pub(crate) fn is_layer_mask(self) -> bool {
        call!(gimp_item_is_layer_mask(self.0)) != 0
    }

    pub(crate) fn is_group(self) -> bool {
        call!(gimp_item_is_group(self.0)) != 0
    }

    pub(crate) fn is_locked(self) -> bool {
        call!(gimp_item_get_lock_content(self.0)) != 0
    }

    pub(crate) fn is_rgb(self) -> bool {
        call!(gimp_drawable_is_rgb(self.0)) != 0
    }

    pub(crate) fn is_indexed(self) -> bool {
        call!(gimp_drawable_is_indexed(self.0)) != 0
    }

    pub(crate) fn has_alpha(self) -> bool {
        call!(gimp_drawable_has_alpha(self.0)) != 0
    }

    pub(crate) fn buffer(self) -> Buffer {
        Buffer(call!(gimp_drawable_get_buffer(self.0)))
    }

    /// The part that is selected, in its own coordinates: all of it without a selection.
    pub(crate) fn selected(self) -> Option<Rect> {
        let (mut x, mut y, mut w, mut h) = (0, 0, 0, 0);
        let any = call!(gimp_drawable_mask_intersect(self.0, &raw mut x, &raw mut y, &raw mut w, &raw mut h));
        (any != 0 && w > 0 && h > 0).then_some(Rect { x, y, w, h })
    }

    fn offsets(self) -> [i32; 2] {
        let (mut x, mut y) = (0, 0);
        call!(gimp_drawable_get_offsets(self.0, &raw mut x, &raw mut y));
        [x, y]
    }

    /// Puts new pixels into the layer where it is selected, as one step to undo.
    ///
    /// # Errors
    ///
    /// GIMP's reason, such as a lock.
    pub(crate) fn replace(self, rect: Rect, write: impl FnOnce(&Buffer) -> Result<(), String>) -> Result<(), String> {
        let shadow = Buffer(call!(gimp_drawable_get_shadow_buffer(self.0)));
        write(&shadow)?;
        call!(gegl_buffer_flush(shadow.0));
        drop(shadow);
        check(call!(gimp_drawable_merge_shadow(self.0, 1)), c"GIMP could not change the layer")?;
        call!(gimp_drawable_update(self.0, rect.x, rect.y, rect.w, rect.h));
        call!(gimp_displays_flush());
        Ok(())
    }
}

/// An image. GIMP owns it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image(pub(crate) P);

/// What GIMP's numbers for them mean here.
const RGB: I = 0;
const RGBA: I = 1;
const NORMAL_MODE: I = 28;
const MASK_OF_SELECTION: I = 4;

impl Image {
    pub(crate) fn is_rgb(self) -> bool {
        call!(gimp_image_get_base_type(self.0)) == RGB
    }

    /// Whether channels have 16-bit integers.
    pub(crate) fn has_16_bits(self) -> bool {
        (200..300).contains(&call!(gimp_image_get_precision(self.0)))
    }

    /// The colours of an indexed image, in its own colour space.
    pub(crate) fn palette(self, like: Format) -> Vec<[u8; 3]> {
        let palette = call!(gimp_image_get_palette(self.0));
        if palette.is_null() {
            return Vec::new();
        }
        Palette(palette).colors(Format::in_space_of(c"R'G'B' u8", like))
    }

    /// Adds a layer with these pixels above `labels`, where `rect` is there, as one step to undo. A selection becomes
    /// its mask.
    ///
    /// # Errors
    ///
    /// GIMP's reason; the image is then as it was.
    pub(crate) fn add_layer(
        self,
        name: &str,
        pixels: &Buffer,
        labels: Drawable,
        rect: Rect,
    ) -> Result<Drawable, String> {
        let [x, y] = labels.offsets();
        call!(gimp_image_undo_group_start(self.0));
        let layer = self.insert_layer(name, pixels, [rect.w, rect.h], RGBA, Some(labels)).and_then(|layer| {
            check(call!(gimp_layer_set_offsets(layer.0, x + rect.x, y + rect.y)), c"GIMP could not move the layer")?;
            if call!(gimp_selection_is_empty(self.0)) == 0 {
                let mask = call!(gimp_layer_create_mask(layer.0, MASK_OF_SELECTION));
                check(call!(gimp_layer_add_mask(layer.0, mask)), c"GIMP could not add the mask")?;
            }
            Ok(layer)
        });
        call!(gimp_image_undo_group_end(self.0));
        call!(gimp_displays_flush());
        layer
    }

    /// A new image with these pixels. `show` opens it in a window.
    ///
    /// # Errors
    ///
    /// GIMP's reason.
    pub(crate) fn create(name: &str, pixels: &Buffer, width: i32, height: i32, show: bool) -> Result<Drawable, String> {
        let image = call!(gimp_image_new(width, height, RGB));
        if image.is_null() {
            return Err(reason(c"GIMP could not create an image"));
        }
        let image = Self(image);
        call!(gimp_image_undo_disable(image.0));
        let layer = image.insert_layer(name, pixels, [width, height], RGB, None);
        call!(gimp_image_undo_enable(image.0));
        if layer.is_err() {
            call!(gimp_image_delete(image.0));
        } else if show {
            call!(gimp_display_new(image.0));
            call!(gimp_displays_flush());
        }
        layer
    }

    fn insert_layer(
        self,
        name: &str,
        pixels: &Buffer,
        [width, height]: [i32; 2],
        kind: I,
        above: Option<Drawable>,
    ) -> Result<Drawable, String> {
        let name = text(name);
        let layer = call!(gimp_layer_new(self.0, name.as_ptr(), width, height, kind, 100.0, NORMAL_MODE));
        if layer.is_null() {
            return Err(reason(c"GIMP could not create a layer"));
        }
        let (parent, position) = match above {
            Some(other) => (call!(gimp_item_get_parent(other.0)), call!(gimp_image_get_item_position(self.0, other.0))),
            None => (null_mut(), 0),
        };
        let layer = Drawable(layer);
        if let Err(error) =
            check(call!(gimp_image_insert_layer(self.0, layer.0, parent, position)), c"GIMP could not insert the layer")
        {
            call!(gimp_item_delete(layer.0));
            return Err(error);
        }
        pixels.copy_to(layer.whole(), &layer.buffer(), 0, 0);
        call!(gimp_drawable_update(layer.0, 0, 0, width, height));
        Ok(layer)
    }
}

/// A palette. GIMP owns it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette(pub(crate) P);

impl Palette {
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let palette = call!(gimp_palette_get_by_name(text(name).as_ptr()));
        (!palette.is_null()).then_some(Self(palette))
    }

    /// A new palette; GIMP changes the name if there is one of that name.
    ///
    /// # Errors
    ///
    /// GIMP's reason.
    pub(crate) fn create(name: &str, entries: &[(String, [u8; 3])]) -> Result<Self, String> {
        let palette = call!(gimp_palette_new(text(name).as_ptr()));
        if palette.is_null() {
            return Err(reason(c"GIMP could not create the palette"));
        }
        let format = Format::new(c"R'G'B' u8");
        for (name, rgb) in entries {
            let color = call!(gegl_color_new(c"black".as_ptr()));
            call!(gegl_color_set_pixel(color, format.0, rgb.as_ptr().cast::<c_void>()));
            let mut index = 0;
            let done = call!(gimp_palette_add_entry(palette, text(name).as_ptr(), color, &raw mut index));
            call!(g_object_unref(color));
            check(done, c"GIMP could not add a colour to the palette")?;
        }
        call!(gimp_palette_set_columns(palette, 4));
        Ok(Self(palette))
    }

    /// Makes it the palette that the user sees.
    pub(crate) fn choose(self) {
        call!(gimp_context_set_palette(self.0));
    }

    pub(crate) fn name(self) -> String {
        owned_text(call!(gimp_resource_get_name(self.0))).unwrap_or_default()
    }

    /// Names and sRGB colours.
    pub(crate) fn entries(self) -> Vec<(String, [u8; 3])> {
        let colors = self.colors(Format::new(c"R'G'B' u8"));
        let name = |index| {
            let mut name = null_mut();
            call!(gimp_palette_get_entry_name(self.0, index, &raw mut name));
            owned_text(name).unwrap_or_default()
        };
        (0..).zip(colors).map(|(index, color)| (name(index), color)).collect()
    }

    fn colors(self, format: Format) -> Vec<[u8; 3]> {
        let (mut count, mut length) = (0, 0);
        let bytes = call!(gimp_palette_get_colormap(self.0, format.0, &raw mut count, &raw mut length));
        if bytes.is_null() {
            return Vec::new();
        }
        // SAFETY: GIMP allocated `length` bytes, which are copied before they are freed.
        let copy = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec();
        call!(g_free(bytes));
        copy.as_chunks::<3>().0.to_vec()
    }
}

/// The arguments of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config(pub(crate) P);

impl Config {
    /// The number of a choice.
    pub(crate) fn choice(self, name: &CStr) -> i32 {
        call!(gimp_procedure_config_get_choice_id(self.0, name.as_ptr()))
    }

    pub(crate) fn int(self, name: &CStr) -> i32 {
        let mut value: I = 0;
        call!(g_object_get(self.0, name.as_ptr(), &raw mut value, null::<c_void>()));
        value
    }

    pub(crate) fn flag(self, name: &CStr) -> bool {
        self.int(name) != 0
    }

    pub(crate) fn set_int(self, name: &CStr, value: i32) {
        call!(g_object_set(self.0, name.as_ptr(), value, null::<c_void>()));
    }

    pub(crate) fn text(self, name: &CStr) -> String {
        let mut value: P = null_mut();
        call!(g_object_get(self.0, name.as_ptr(), &raw mut value, null::<c_void>()));
        owned_text(value).unwrap_or_default()
    }

    pub(crate) fn set_text(self, name: &CStr, value: &str) {
        call!(g_object_set(self.0, name.as_ptr(), text(value).as_ptr(), null::<c_void>()));
    }

    pub(crate) fn set_layer(self, name: &CStr, value: Drawable) {
        call!(g_object_set(self.0, name.as_ptr(), value.0, null::<c_void>()));
    }

    fn object(self, name: &CStr) -> P {
        let mut object: P = null_mut();
        call!(g_object_get(self.0, name.as_ptr(), &raw mut object, null::<c_void>()));
        if !object.is_null() {
            // GIMP keeps the object alive as long as its configuration has it.
            call!(g_object_unref(object));
        }
        object
    }

    pub(crate) fn layer(self, name: &CStr) -> Option<Drawable> {
        Some(self.object(name)).filter(|object| !object.is_null()).map(Drawable)
    }

    pub(crate) fn palette(self, name: &CStr) -> Option<Palette> {
        Some(self.object(name)).filter(|object| !object.is_null()).map(Palette)
    }

    pub(crate) fn path(self, name: &CStr) -> Option<PathBuf> {
        let file = self.object(name);
        if file.is_null() {
            return None;
        }
        owned_text(call!(g_file_get_path(file))).map(PathBuf::from)
    }
}

/// Text that GIMP keeps until it ends, for later calls of this program.
pub(crate) mod session {
    use std::ffi::{CStr, c_void};

    use super::{P, call};

    pub(crate) fn keep(name: &CStr, text: &str) {
        // No flags: GIMP does not store it in a file.
        let parasite = call!(gimp_parasite_new(name.as_ptr(), 0, text.len() as u32, text.as_ptr().cast::<c_void>()));
        call!(gimp_attach_parasite(parasite));
        call!(gimp_parasite_free(parasite));
    }

    pub(crate) fn kept(name: &CStr) -> Option<String> {
        let parasite: P = call!(gimp_get_parasite(name.as_ptr()));
        if parasite.is_null() {
            return None;
        }
        let mut length = 0;
        let data = call!(gimp_parasite_get_data(parasite, &raw mut length));
        let bytes = if data.is_null() {
            Vec::new()
        } else {
            // SAFETY: the parasite has `length` bytes, which are copied before it is freed.
            unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) }.to_vec()
        };
        call!(gimp_parasite_free(parasite));
        String::from_utf8(bytes).ok()
    }
}

/// The progress bar.
pub(crate) mod progress {
    use super::{call, text};

    pub(crate) fn start(message: &str) {
        call!(gimp_progress_init(text(message).as_ptr()));
    }

    pub(crate) fn say(message: &str) {
        call!(gimp_progress_set_text(text(message).as_ptr()));
    }

    /// 0 to 1.
    pub(crate) fn set(done: f64) {
        call!(gimp_progress_update(done));
    }

    pub(crate) fn end() {
        call!(gimp_progress_end());
    }
}
