//! The functions of the GIMP that started the program, loaded at run time. Nothing of GIMP is needed to compile this.
//!
//! The wire protocol between GIMP and its plug-ins changes from version to version, so a plug-in must use the libgimp of
//! the GIMP that started it. `check_gir.py` compares the tables below with GIMP's own description of its libraries.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

use libloading::Library;

/// A pointer to anything.
pub(crate) type P = *mut c_void;
/// Text that ends with 0.
pub(crate) type S = *const c_char;
/// An `int`, a `gboolean`, or a value of an enumeration.
pub(crate) type I = c_int;
pub(crate) type GType = usize;

/// The names of a library on Linux, Windows and macOS.
struct Lib(&'static str, &'static str, &'static str);

const GLIB: Lib = Lib("libglib-2.0.so.0", "libglib-2.0-0.dll", "libglib-2.0.0.dylib");
const GOBJECT: Lib = Lib("libgobject-2.0.so.0", "libgobject-2.0-0.dll", "libgobject-2.0.0.dylib");
const GIO: Lib = Lib("libgio-2.0.so.0", "libgio-2.0-0.dll", "libgio-2.0.0.dylib");
const BABL: Lib = Lib("libbabl-0.1.so.0", "libbabl-0.1-0.dll", "libbabl-0.1.0.dylib");
const GEGL: Lib = Lib("libgegl-0.4.so.0", "libgegl-0.4-0.dll", "libgegl-0.4.0.dylib");
const GIMPBASE: Lib = Lib("libgimpbase-3.0.so.0", "libgimpbase-3.0-0.dll", "libgimpbase-3.0.0.dylib");
const GIMP: Lib = Lib("libgimp-3.0.so.0", "libgimp-3.0-0.dll", "libgimp-3.0.0.dylib");
const GIMPUI: Lib = Lib("libgimpui-3.0.so.0", "libgimpui-3.0-0.dll", "libgimpui-3.0.0.dylib");
const GIMPWIDGETS: Lib = Lib("libgimpwidgets-3.0.so.0", "libgimpwidgets-3.0-0.dll", "libgimpwidgets-3.0.0.dylib");
const GTK: Lib = Lib("libgtk-3.so.0", "libgtk-3-0.dll", "libgtk-3.0.dylib");
const PIXBUF: Lib = Lib("libgdk_pixbuf-2.0.so.0", "libgdk_pixbuf-2.0-0.dll", "libgdk_pixbuf-2.0.0.dylib");

/// Folders that are tried after the system's own search, from variables that GIMP sets for its plug-ins. macOS needs
/// them: GIMP's libraries are inside GIMP.app.
fn extra_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for (name, up) in [("SEMSYNTH_GIMP_LIBDIR", 0), ("GI_TYPELIB_PATH", 1), ("GEGL_PATH", 1), ("GIO_MODULE_DIR", 2)] {
        if let Some(value) = std::env::var_os(name) {
            let up = std::env::split_paths(&value).filter_map(|path| path.ancestors().nth(up).map(PathBuf::from));
            folders.extend(up);
        }
    }
    if cfg!(target_os = "macos") {
        folders.push("/Applications/GIMP.app/Contents/Resources/lib".into());
    }
    folders
}

fn open(names: &Lib) -> Result<&'static Library, String> {
    let name = if cfg!(windows) {
        names.1
    } else if cfg!(target_os = "macos") {
        names.2
    } else {
        names.0
    };
    // Types get registered with GObject, so a library must stay.
    let keep = |library| -> &'static Library { Box::leak(Box::new(library)) };
    // SAFETY: these are the libraries of GIMP, whose initialisers have no requirements.
    let error = match unsafe { Library::new(name) } {
        Ok(library) => return Ok(keep(library)),
        Err(error) => error,
    };
    for path in extra_folders().into_iter().map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        // SAFETY: as above.
        if let Ok(library) = unsafe { Library::new(&path) } {
            return Ok(keep(library));
        }
    }
    Err(format!("cannot load {name}: {error}"))
}

/// # Safety
///
/// `T` must be the type of the function.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: the caller's.
    let symbol = unsafe { library.get::<T>(name.as_bytes()) };
    symbol.map(|symbol| *symbol).map_err(|error| format!("GIMP's libraries lack the function {name}: {error}"))
}

/// GIMP's version, such as `3.0.4`. GIMP's own function for it works only for a plug-in that GIMP has started.
///
/// # Errors
///
/// If the library does not say.
pub(crate) fn version() -> Result<String, String> {
    let library = open(&GIMPBASE)?;
    let number = |name| -> Result<c_uint, String> {
        // SAFETY: libgimpbase exports these three numbers as `guint`.
        let pointer = unsafe { symbol::<*const c_uint>(library, name) }?;
        // SAFETY: as above.
        Ok(unsafe { *pointer })
    };
    let (major, minor) = (number("gimp_major_version")?, number("gimp_minor_version")?);
    Ok(format!("{major}.{minor}.{}", number("gimp_micro_version")?))
}

macro_rules! c {
    ($($t:ty),* => $r:ty) => { unsafe extern "C" fn($($t),*) -> $r };
    ($($t:ty),* ; va) => { unsafe extern "C" fn($($t),*, ...) };
    ($($t:ty),*) => { unsafe extern "C" fn($($t),*) };
}

macro_rules! api {
    ($(#[$doc:meta])* $st:ident { $( $lib:ident : $( $name:ident = $t:ty ),* ; )* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $st { $( $( pub(crate) $name: $t, )* )* }
        impl $st {
            fn load() -> Result<Self, String> {
                // SAFETY: `check_gir.py` checks the types in CI.
                $( let library = open(&$lib)?; $( let $name: $t = unsafe { symbol(library, stringify!($name))? }; )* )*
                Ok(Self { $( $( $name, )* )* })
            }
        }
    };
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rect {
    pub(crate) x: c_int,
    pub(crate) y: c_int,
    pub(crate) w: c_int,
    pub(crate) h: c_int,
}

#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct TypeQuery {
    pub(crate) type_: GType,
    pub(crate) name: usize,
    pub(crate) class_size: c_uint,
    pub(crate) instance_size: c_uint,
}

/// `GObjectClass`, whose layout is public: 17 words.
#[repr(C)]
pub(crate) struct GObjectClass {
    words: [usize; 17],
}

/// `GimpPlugInClass` of libgimp 3: 5 functions and 10 reserved words.
#[repr(C)]
pub(crate) struct PlugInClass {
    parent: GObjectClass,
    pub(crate) query_procedures: Option<unsafe extern "C" fn(P) -> P>,
    pub(crate) init_procedures: Option<unsafe extern "C" fn(P) -> P>,
    pub(crate) create_procedure: Option<unsafe extern "C" fn(P, S) -> P>,
    pub(crate) quit: Option<unsafe extern "C" fn(P)>,
    pub(crate) set_i18n: Option<unsafe extern "C" fn(P, S, *mut S, *mut S) -> c_int>,
    reserved: [usize; 10],
}

pub(crate) type ImageRunFn = unsafe extern "C" fn(P, c_int, P, *mut P, P, P) -> P;
pub(crate) type RunFn = unsafe extern "C" fn(P, P, P) -> P;
pub(crate) type SourceFn = unsafe extern "C" fn(P) -> I;

api! {
/// What every run needs.
Core {
    GLIB:
        g_dgettext = c!(S, S => S), g_free = c!(P), g_strdup = c!(S => P), g_list_append = c!(P, P => P),
        g_bytes_unref = c!(P),
        g_quark_from_string = c!(S => u32), g_error_new_literal = c!(u32, I, S => P);
    GIO: g_file_get_path = c!(P => P), g_file_new_for_path = c!(S => P);
    GOBJECT:
        g_object_unref = c!(P), g_object_get = c!(P, S; va), g_object_set = c!(P, S; va),
        g_value_set_object = c!(P, P),
        g_type_query = c!(GType, *mut TypeQuery),
        g_type_register_static_simple = c!(GType, S, c_uint, unsafe extern "C" fn(P, P), c_uint, Option<unsafe extern "C" fn(P, P)>, c_uint => GType);
    BABL:
        babl_format = c!(S => P), babl_format_with_space = c!(S, P => P), babl_format_get_space = c!(P => P),
        babl_format_get_bytes_per_pixel = c!(P => I);
    GEGL:
        gegl_init = c!(P, P), gegl_buffer_new = c!(*const Rect, P => P), gegl_buffer_flush = c!(P),
        gegl_buffer_get = c!(P, *const Rect, f64, P, P, I, I),
        gegl_buffer_set = c!(P, *const Rect, I, P, *const c_void, I),
        gegl_buffer_copy = c!(P, *const Rect, I, P, *const Rect),
        gegl_color_new = c!(S => P), gegl_color_set_pixel = c!(P, P, *const c_void);
    GIMPBASE:
        gimp_value_array_index = c!(P, I => P), gimp_choice_new = c!(=> P), gimp_choice_add = c!(P, S, I, S, S),
        gimp_run_mode_get_type = c!(=> GType),
        gimp_parasite_new = c!(S, u32, u32, *const c_void => P), gimp_parasite_free = c!(P),
        gimp_parasite_get_data = c!(P, *mut u32 => P);
    GIMP:
        gimp_main = c!(GType, I, *mut *mut c_char => I),
        gimp_plug_in_get_type = c!(=> GType),
        gimp_plug_in_set_help_domain = c!(P, S, P),
        gimp_attach_parasite = c!(P => I), gimp_get_parasite = c!(S => P),
        gimp_get_pdb = c!(=> P), gimp_pdb_get_last_error = c!(P => S),
        gimp_image_procedure_new = c!(P, S, I, ImageRunFn, P, P => P),
        gimp_procedure_new = c!(P, S, I, RunFn, P, P => P),
        gimp_procedure_set_menu_label = c!(P, S), gimp_procedure_add_menu_path = c!(P, S),
        gimp_procedure_set_image_types = c!(P, S), gimp_procedure_set_documentation = c!(P, S, S, S),
        gimp_procedure_set_attribution = c!(P, S, S, S), gimp_procedure_set_sensitivity_mask = c!(P, I),
        gimp_procedure_add_int_argument = c!(P, S, S, S, I, I, I, I),
        gimp_procedure_add_boolean_argument = c!(P, S, S, S, I, I),
        gimp_procedure_add_boolean_aux_argument = c!(P, S, S, S, I, I),
        gimp_procedure_add_choice_argument = c!(P, S, S, S, P, S, I),
        gimp_procedure_add_enum_argument = c!(P, S, S, S, GType, I, I),
        gimp_procedure_add_file_argument = c!(P, S, S, S, I, I, P, I),
        gimp_procedure_add_string_argument = c!(P, S, S, S, S, I),
        gimp_procedure_add_layer_argument = c!(P, S, S, S, I, I),
        gimp_procedure_add_palette_argument = c!(P, S, S, S, I, P, I, I),
        gimp_procedure_add_layer_return_value = c!(P, S, S, S, I, I),
        gimp_procedure_add_palette_return_value = c!(P, S, S, S, I),
        gimp_procedure_new_return_values = c!(P, I, P => P),
        gimp_procedure_config_get_choice_id = c!(P, S => I),
        gimp_image_new = c!(I, I, I => P), gimp_image_delete = c!(P => I), gimp_display_new = c!(P => P),
        gimp_image_undo_group_start = c!(P => I), gimp_image_undo_group_end = c!(P => I),
        gimp_image_undo_disable = c!(P => I), gimp_image_undo_enable = c!(P => I),
        gimp_image_insert_layer = c!(P, P, P, I => I), gimp_image_get_item_position = c!(P, P => I),
        gimp_image_get_base_type = c!(P => I), gimp_image_get_precision = c!(P => I), gimp_image_get_palette = c!(P => P),
        gimp_item_get_id = c!(P => I), gimp_item_get_by_id = c!(I => P),
        gimp_item_get_parent = c!(P => P), gimp_item_is_layer = c!(P => I), gimp_item_is_group = c!(P => I),
        gimp_item_is_layer_mask = c!(P => I), gimp_item_get_lock_content = c!(P => I), gimp_item_delete = c!(P => I),
        gimp_layer_new = c!(P, S, I, I, I, f64, I => P), gimp_layer_set_offsets = c!(P, I, I => I),
        gimp_layer_create_mask = c!(P, I => P), gimp_layer_add_mask = c!(P, P => I),
        gimp_drawable_get_width = c!(P => I), gimp_drawable_get_height = c!(P => I),
        gimp_drawable_get_offsets = c!(P, *mut I, *mut I => I),
        gimp_drawable_mask_intersect = c!(P, *mut I, *mut I, *mut I, *mut I => I),
        gimp_drawable_get_buffer = c!(P => P), gimp_drawable_get_shadow_buffer = c!(P => P),
        gimp_drawable_merge_shadow = c!(P, I => I), gimp_drawable_update = c!(P, I, I, I, I => I),
        gimp_drawable_get_format = c!(P => P), gimp_drawable_is_indexed = c!(P => I), gimp_drawable_is_rgb = c!(P => I),
        gimp_drawable_has_alpha = c!(P => I),
        gimp_selection_is_empty = c!(P => I), gimp_displays_flush = c!(=> I),
        gimp_progress_init = c!(S => I), gimp_progress_set_text = c!(S => I), gimp_progress_update = c!(f64 => I),
        gimp_progress_end = c!(=> I),
        gimp_palette_new = c!(S => P), gimp_palette_get_by_name = c!(S => P),
        gimp_palette_add_entry = c!(P, S, P, *mut I => I), gimp_palette_set_columns = c!(P, I => I),
        gimp_palette_get_entry_name = c!(P, I, *mut P => I),
        gimp_palette_get_colormap = c!(P, P, *mut I, *mut usize => P),
        gimp_context_set_palette = c!(P => I), gimp_resource_get_name = c!(P => P);
} }

api! {
/// What a dialog needs besides. A run without a dialog never touches GTK.
Ui {
    GLIB: g_timeout_add = c!(c_uint, SourceFn, P => c_uint), g_source_remove = c!(c_uint => I), g_bytes_new = c!(P, usize => P);
    GOBJECT: g_signal_connect_data = c!(P, S, P, P, P, I => u64);
    PIXBUF: gdk_pixbuf_new_from_bytes = c!(P, I, I, I, I, I, I => P);
    GTK:
        gtk_widget_destroy = c!(P), gtk_image_new = c!(=> P), gtk_image_set_from_pixbuf = c!(P, P), gtk_image_clear = c!(P),
        gtk_widget_show_all = c!(P), gtk_box_new = c!(I, I => P), gtk_box_pack_start = c!(P, P, I, I, c_uint),
        gtk_container_add = c!(P, P), gtk_container_set_border_width = c!(P, c_uint), gtk_frame_new = c!(S => P),
        gtk_dialog_get_content_area = c!(P => P), gtk_widget_set_size_request = c!(P, I, I),
        gtk_widget_set_halign = c!(P, I), gtk_widget_set_valign = c!(P, I), gtk_widget_set_sensitive = c!(P, I),
        gtk_label_new = c!(S => P), gtk_label_set_markup = c!(P, S), gtk_label_set_line_wrap = c!(P, I),
        gtk_label_set_max_width_chars = c!(P, I), gtk_scrolled_window_new = c!(P, P => P),
        gtk_scrolled_window_set_policy = c!(P, I, I), gtk_button_new_with_mnemonic = c!(S => P),
        gtk_grid_attach = c!(P, P, I, I, I, I), gtk_box_reorder_child = c!(P, P, I), gtk_label_set_xalign = c!(P, f32),
        gtk_size_group_new = c!(I => P), gtk_size_group_add_widget = c!(P, P), gtk_widget_set_tooltip_text = c!(P, S),
        gtk_combo_box_get_type = c!(=> GType), gtk_combo_box_text_new = c!(=> P), gtk_combo_box_text_append = c!(P, S, S), gtk_combo_box_text_remove_all = c!(P),
        gtk_combo_box_get_active_id = c!(P => S), gtk_combo_box_set_active_id = c!(P, S => I);
    GIMPWIDGETS: gimp_dialogs_show_help_button = c!(I), gimp_labeled_get_label = c!(P => P);
    GIMPUI:
        gimp_ui_init = c!(S), gimp_procedure_dialog_new = c!(P, P, S => P),
        gimp_procedure_dialog_set_ok_label = c!(P, S), gimp_procedure_dialog_fill_box_list = c!(P, S, P => P),
        gimp_procedure_dialog_fill_list = c!(P, P), gimp_procedure_dialog_get_widget = c!(P, S, GType => P),
        gimp_procedure_dialog_set_sensitive = c!(P, S, I, P, S, I), gimp_procedure_dialog_run = c!(P => I);
} }

static CORE: OnceLock<Core> = OnceLock::new();
static UI: OnceLock<Ui> = OnceLock::new();

/// Loads GIMP's libraries, without GTK.
///
/// # Errors
///
/// Which library or function is missing.
pub(crate) fn load() -> Result<(), String> {
    if CORE.get().is_none() {
        let _ = CORE.set(Core::load()?);
    }
    Ok(())
}

/// Loads the libraries of dialogs.
///
/// # Errors
///
/// Which library or function is missing.
pub(crate) fn load_ui() -> Result<(), String> {
    if UI.get().is_none() {
        let _ = UI.set(Ui::load()?);
    }
    Ok(())
}

/// Whether [`load`] was successful.
pub(crate) fn is_loaded() -> bool {
    CORE.get().is_some()
}

/// GIMP's functions, after [`load`].
#[allow(clippy::expect_used, reason = "`main` loads them before anything else")]
pub(crate) fn core() -> &'static Core {
    CORE.get().expect("GIMP's libraries are loaded first")
}

/// The functions of dialogs, after [`load_ui`].
#[allow(clippy::expect_used, reason = "dialogs load them first")]
pub(crate) fn ui() -> &'static Ui {
    UI.get().expect("the libraries of dialogs are loaded first")
}

/// Calls a function of GIMP's from the main thread.
macro_rules! call {
    // SAFETY: the types are checked against GIMP's own description (`check_gir.py`). All pointers come from GIMP, or live
    // until the call returns.
    ($name:ident($($argument:expr),* $(,)?)) => { unsafe { (crate::api::core().$name)($($argument),*) } };
}
/// Calls a function that only dialogs need.
macro_rules! call_ui {
    // SAFETY: as for `call`.
    ($name:ident($($argument:expr),* $(,)?)) => { unsafe { (crate::api::ui().$name)($($argument),*) } };
}
pub(crate) use {call, call_ui};
