//! The plug-in as GIMP sees it: its procedures, their arguments, and what happens when they are called.

use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::ptr::{null, null_mut};

use semsynth::Model;

use crate::api::{P, PlugInClass, S, TypeQuery, call};
use crate::gimp::{Config, Drawable, Image, Palette, text};
use crate::settings::{ModelChoice, StyleChoice, keep_style_layers, recall_style_layers};
use crate::words::said;
use crate::{classes, dialog, install, snap, synthesize};

pub(crate) const NAME: &CStr = c"plug-in-semsynth";
const SYNTHESIZE: &CStr = c"plug-in-semsynth-synthesize";
const PALETTE: &CStr = c"plug-in-semsynth-label-palette";
const SNAP: &CStr = c"plug-in-semsynth-snap";
pub(crate) const PROCEDURES: [&CStr; 3] = [SYNTHESIZE, PALETTE, SNAP];

/// `G_PARAM_READWRITE`.
const READ_WRITE: c_int = 3;
/// Of `GimpPDBStatusType`.
const EXECUTION_ERROR: c_int = 0;
const SUCCESS: c_int = 3;
const CANCEL: c_int = 4;
/// Of `GimpRunMode`.
const INTERACTIVE: c_int = 0;
const NONINTERACTIVE: c_int = 1;
/// `GIMP_PDB_PROC_TYPE_PLUGIN`.
const PLUGIN: c_int = 1;
/// `GIMP_FILE_CHOOSER_ACTION_OPEN`.
const OPEN_FILE: c_int = 1;

/// Text in the user's language. Any thread may ask for it. Unit tests have no GIMP, and get the text itself.
pub(crate) fn tr(message: &CStr) -> &CStr {
    if !crate::api::is_loaded() {
        return message;
    }
    let translated = call!(g_dgettext(NAME.as_ptr(), message.as_ptr()));
    // SAFETY: gettext gives a text that stays, or `message` itself.
    unsafe { CStr::from_ptr(translated) }
}

/// Runs the plug-in for the GIMP that started this program, and gives the exit status.
///
/// # Errors
///
/// If this libgimp is not one that the program knows.
pub(crate) fn main(arguments: &[String]) -> Result<i32, String> {
    let (parent, query) = check_layout()?;
    let register = crate::api::core().g_type_register_static_simple;
    // SAFETY: the sizes are those that GObject gave for the parent, and `class_init` fills a class of that layout.
    let plug_in = unsafe {
        register(parent, c"SemsynthPlugIn".as_ptr(), query.class_size, class_init, query.instance_size, None, 0)
    };
    let arguments: Vec<CString> = arguments.iter().map(|argument| text(argument)).collect();
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
    pointers.push(null_mut());
    Ok(call!(gimp_main(plug_in, arguments.len() as c_int, pointers.as_mut_ptr())))
}

/// Compares the layout of libgimp's class of plug-ins with ours.
///
/// # Errors
///
/// If they differ: this libgimp is then none of GIMP 3.
pub(crate) fn check_layout() -> Result<(usize, TypeQuery), String> {
    let parent = call!(gimp_plug_in_get_type());
    let mut query = TypeQuery::default();
    call!(g_type_query(parent, &raw mut query));
    let (found, expected) = (query.class_size as usize, size_of::<PlugInClass>());
    if found != expected {
        return Err(format!(
            "this libgimp has plug-in classes of {found} bytes where GIMP 3 has {expected}: this plug-in needs an update"
        ));
    }
    Ok((parent, query))
}

/// A folder beside the program, if it is there.
pub(crate) fn own_folder(name: &str) -> Option<PathBuf> {
    let folder = install::own_program()?.parent()?.join(name);
    folder.is_dir().then_some(folder)
}

unsafe extern "C" fn class_init(class: P, _: P) {
    // SAFETY: GObject calls this with a class of the registered size, which `check_layout` has compared with this type.
    let class = unsafe { &mut *class.cast::<PlugInClass>() };
    class.query_procedures = Some(query);
    class.create_procedure = Some(create);
    // libgimp's own way looks for the folder `locale` beside the program, and warns if there is none.
    if own_folder("locale").is_none() {
        class.set_i18n = Some(no_translations);
    }
}

unsafe extern "C" fn no_translations(_: P, _: S, _: *mut S, _: *mut S) -> c_int {
    0
}

unsafe extern "C" fn query(plug_in: P) -> P {
    // GIMP's help finds the pages by the names of procedures.
    if let Some(folder) = own_folder(install::HELP) {
        let file = call!(g_file_new_for_path(text(&folder.to_string_lossy()).as_ptr()));
        call!(gimp_plug_in_set_help_domain(plug_in, NAME.as_ptr(), file));
        call!(g_object_unref(file));
    }
    PROCEDURES.into_iter().fold(null_mut(), append)
}

/// Appends a copy of the text to a list.
pub(crate) fn append(list: P, item: &CStr) -> P {
    let copy = call!(g_strdup(item.as_ptr()));
    call!(g_list_append(list, copy))
}

unsafe extern "C" fn create(plug_in: P, name: S) -> P {
    // SAFETY: GIMP gives one of the names of `query`.
    let name = unsafe { CStr::from_ptr(name) };
    if name == PALETTE {
        create_palette(plug_in)
    } else if name == SNAP {
        create_snap(plug_in)
    } else if name == SYNTHESIZE {
        create_synthesize(plug_in)
    } else {
        null_mut()
    }
}

/// A procedure under construction. Translated texts have a mnemonic where dialogs show them; the dialog's own buttons
/// have C, H, L, R and S.
struct Procedure(P);

impl Procedure {
    fn describe(&self, label: &CStr, menu: &CStr, blurb: &CStr, help: &CStr, name: &CStr) {
        call!(gimp_procedure_set_menu_label(self.0, tr(label).as_ptr()));
        call!(gimp_procedure_add_menu_path(self.0, menu.as_ptr()));
        call!(gimp_procedure_set_documentation(self.0, tr(blurb).as_ptr(), tr(help).as_ptr(), name.as_ptr()));
        call!(gimp_procedure_set_attribution(
            self.0,
            c"The semsynth authors".as_ptr(),
            c"The semsynth authors, MIT or Apache-2.0".as_ptr(),
            c"2026".as_ptr()
        ));
    }

    fn choice(&self, name: &CStr, nick: &CStr, blurb: &CStr, choices: &[(&CStr, i32, &CStr)]) {
        let choice = call!(gimp_choice_new());
        for (nick, id, label) in choices {
            call!(gimp_choice_add(choice, nick.as_ptr(), *id, tr(label).as_ptr(), null()));
        }
        let default = choices.first().map_or(null(), |(nick, _, _)| nick.as_ptr());
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_choice_argument(self.0, name.as_ptr(), nick, blurb, choice, default, READ_WRITE));
    }

    fn int(&self, name: &CStr, nick: &CStr, blurb: &CStr, [least, most, default]: [i32; 3]) {
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_int_argument(self.0, name.as_ptr(), nick, blurb, least, most, default, READ_WRITE));
    }

    fn flag(&self, name: &CStr, nick: &CStr, blurb: &CStr, default: bool) {
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_boolean_argument(self.0, name.as_ptr(), nick, blurb, default.into(), READ_WRITE));
    }

    fn file(&self, name: &CStr, nick: &CStr, blurb: &CStr) {
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_file_argument(
            self.0,
            name.as_ptr(),
            nick,
            blurb,
            OPEN_FILE,
            1,
            null_mut(),
            READ_WRITE
        ));
    }

    fn text(&self, name: &CStr, nick: &CStr, blurb: &CStr) {
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_string_argument(self.0, name.as_ptr(), nick, blurb, c"".as_ptr(), READ_WRITE));
    }

    fn layer(&self, name: &CStr, nick: &CStr, blurb: &CStr) {
        let (nick, blurb) = (tr(nick).as_ptr(), tr(blurb).as_ptr());
        call!(gimp_procedure_add_layer_argument(self.0, name.as_ptr(), nick, blurb, 1, READ_WRITE));
    }

    /// The model: built in, or a file.
    fn model(&self) {
        let names: Vec<CString> = Model::builtins().map(text).collect();
        let built_in = (0..).zip(&names).map(|(id, name)| (name.as_c_str(), id, name.as_c_str()));
        let choices: Vec<(&CStr, i32, &CStr)> =
            built_in.chain([(c"file", ModelChoice::FILE, c"From a file")]).collect();
        self.choice(c"model", c"_Model", c"The network that paints", &choices);
        self.file(
            c"model-file",
            c"Model _file",
            c"A model file of semsynth (.safetensors), if the model is \"From a file\"",
        );
    }

    /// Which colours stand for the classes. The palette counts only if it is asked for: GIMP shows, and stores, its
    /// "Color History" where nobody has chosen one.
    fn colors(&self) {
        self.choice(
            c"colors",
            c"Colo_urs",
            c"What the colours of the labels mean",
            &[(c"model", 0, c"Colours of the model"), (c"palette", 1, c"Colours of the palette below")],
        );
        call!(gimp_procedure_add_palette_argument(
            self.0,
            c"palette".as_ptr(),
            tr(c"P_alette").as_ptr(),
            tr(c"A palette whose colours are named after classes, if Colours is \"Colours of the palette below\"")
                .as_ptr(),
            1,
            null_mut(),
            0,
            READ_WRITE
        ));
    }

    fn tolerance(&self) {
        self.int(
            c"tolerance",
            c"_Tolerance",
            c"Largest difference per channel at which a colour still is that of a class",
            [0, 255, 0],
        );
    }
}

fn create_synthesize(plug_in: P) -> P {
    let procedure = Procedure(call!(gimp_image_procedure_new(
        plug_in,
        SYNTHESIZE.as_ptr(),
        PLUGIN,
        run_synthesize,
        null_mut(),
        null_mut()
    )));
    let p = &procedure;
    call!(gimp_procedure_set_image_types(p.0, c"*".as_ptr()));
    // Exactly one layer.
    call!(gimp_procedure_set_sensitivity_mask(p.0, 1));
    p.describe(
        c"S_ynthesize from Labels...",
        c"<Image>/Filters/Render/",
        c"Paint a picture from a label map (segmentation, semantic image synthesis, texture)",
        c"Each colour of the layer names a class, such as sky or door; a neural network paints the picture. In indexed and \
          grey images, pixel values are class ids. The part that is selected is painted.",
        SYNTHESIZE,
    );
    p.model();
    p.colors();
    p.choice(
        c"unknown-colors",
        c"Un_known colours",
        c"The class of pixels whose colour belongs to no class",
        &[
            (c"nearest-pixel", 0, c"Nearest pixel that has a class (soft edges)"),
            (c"nearest-color", 1, c"Nearest colour within the tolerance"),
            (c"refuse", 2, c"None: stop and list the colours"),
        ],
    );
    p.tolerance();
    p.choice(
        c"output",
        c"Out_put",
        c"Where the picture goes; indexed and grey images get a new image in place of a new layer",
        &[
            (c"new-layer", 0, c"New layer"),
            (c"in-place", 1, c"In place of the labels"),
            (c"new-image", 2, c"New image"),
        ],
    );
    p.int(c"seed", c"See_d", c"Another number, another picture, if the model has something random", [0, i32::MAX, 0]);
    p.choice(
        c"style",
        c"Styl_e",
        c"How the picture looks, if the model has styles",
        &[
            (c"model", 0, c"Of the model"),
            (c"preset", StyleChoice::PRESET, c"A preset of the model"),
            (c"file", StyleChoice::FILE, c"From a file"),
            (c"layer", StyleChoice::LAYER, c"From a layer that shows a photo"),
        ],
    );
    p.text(
        c"style-preset",
        c"Style preset",
        c"The name of a style inside the model, if Style is \"A preset of the model\"",
    );
    p.file(c"style-file", c"Style f_ile", c"A style that `semsynth style encode` has written (.safetensors)");
    p.layer(c"style-layer", c"Style la_yer", c"The layer that shows the photo");
    p.layer(
        c"style-labels",
        c"Style la_bels",
        c"The labels of that photo, for models with a style per class; none: the layer that is painted from",
    );
    p.flag(c"wrap-x", c"_Wrap left and right", c"Left and right border meet without a seam", false);
    p.flag(c"wrap-y", c"Wrap top a_nd bottom", c"Upper and lower border meet without a seam", false);
    // Only the dialog has this one.
    call!(gimp_procedure_add_boolean_aux_argument(
        p.0,
        c"preview".as_ptr(),
        tr(c"Pre_view").as_ptr(),
        tr(c"Show a small picture of what comes").as_ptr(),
        1,
        READ_WRITE
    ));
    call!(gimp_procedure_add_layer_return_value(
        p.0,
        c"layer".as_ptr(),
        c"Layer".as_ptr(),
        c"The layer that holds the picture".as_ptr(),
        0,
        READ_WRITE
    ));
    procedure.0
}

fn create_snap(plug_in: P) -> P {
    let new = call!(gimp_image_procedure_new(plug_in, SNAP.as_ptr(), PLUGIN, run_snap, null_mut(), null_mut()));
    let p = Procedure(new);
    call!(gimp_procedure_set_image_types(p.0, c"RGB*".as_ptr()));
    call!(gimp_procedure_set_sensitivity_mask(p.0, 1));
    p.describe(
        c"S_nap to Labels...",
        c"<Image>/Filters/Render/",
        c"Clean the soft edges of a label map (segmentation)",
        c"Every pixel gets the exact colour of a class: pixels of other colours take that of the nearest pixel that has one.",
        SNAP,
    );
    p.model();
    p.colors();
    p.tolerance();
    p.flag(c"fill-transparent", c"Fill transparent pi_xels", c"Give transparent pixels a class too", true);
    p.0
}

fn create_palette(plug_in: P) -> P {
    let new = call!(gimp_procedure_new(plug_in, PALETTE.as_ptr(), PLUGIN, run_palette, null_mut(), null_mut()));
    let p = Procedure(new);
    // GIMP demands a run mode of everything in a menu of palettes.
    let run_modes = call!(gimp_run_mode_get_type());
    call!(gimp_procedure_add_enum_argument(
        p.0,
        c"run-mode".as_ptr(),
        c"Run mode".as_ptr(),
        c"The run mode".as_ptr(),
        run_modes,
        NONINTERACTIVE,
        READ_WRITE
    ));
    p.describe(
        c"Create _Label Palette...",
        c"<Palettes>/Palettes Menu",
        c"Add a palette with one named colour per class of a model",
        c"Paint with these colours, with the Pencil, which has hard edges; then run Synthesize from Labels.",
        PALETTE,
    );
    p.model();
    call!(gimp_procedure_add_palette_return_value(
        p.0,
        c"palette".as_ptr(),
        c"Palette".as_ptr(),
        c"The palette".as_ptr(),
        READ_WRITE
    ));
    p.0
}

/// How a run ended.
enum Ended {
    Cancelled,
    Done,
    /// With this as the returned value.
    With(P),
}

/// Runs a procedure. Neither errors nor panics cross into C: GIMP shows both.
fn guarded(procedure: P, run: impl FnOnce() -> Result<Ended, String>) -> P {
    let result = catch_unwind(AssertUnwindSafe(|| {
        call!(gegl_init(null_mut(), null_mut()));
        run()
    }));
    let values = |status| call!(gimp_procedure_new_return_values(procedure, status, null_mut()));
    let fail = |message: &str| {
        let domain = call!(g_quark_from_string(NAME.as_ptr()));
        let error = call!(g_error_new_literal(domain, 0, text(message).as_ptr()));
        call!(gimp_procedure_new_return_values(procedure, EXECUTION_ERROR, error))
    };
    match result {
        Ok(Ok(Ended::Cancelled)) => values(CANCEL),
        Ok(Ok(Ended::Done)) => values(SUCCESS),
        Ok(Ok(Ended::With(object))) => {
            let values = values(SUCCESS);
            let value = call!(gimp_value_array_index(values, 1));
            call!(g_value_set_object(value, object));
            values
        }
        Ok(Err(message)) => fail(&message),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown cause");
            fail(&said(c"This is a mistake in SemSynth, please report it: {}. The image is unchanged.", &[&text]))
        }
    }
}

/// The only selected layer.
///
/// # Safety
///
/// `drawables` must be null, or a list that ends with null.
unsafe fn single(drawables: *mut P) -> Result<Drawable, String> {
    let message = || said(c"Select exactly one layer, the one that holds the labels.", &[]);
    if drawables.is_null() {
        return Err(message());
    }
    // SAFETY: the second is read only if the first is not the end.
    let (first, second) = unsafe { (*drawables, if (*drawables).is_null() { null_mut() } else { *drawables.add(1) }) };
    if first.is_null() || !second.is_null() { Err(message()) } else { Ok(Drawable(first)) }
}

unsafe extern "C" fn run_synthesize(procedure: P, mode: c_int, image: P, drawables: *mut P, config: P, _: P) -> P {
    guarded(procedure, || {
        // SAFETY: GIMP gives a list that ends with null.
        let layer = unsafe { single(drawables) }?;
        let (image, config) = (Image(image), Config(config));
        let interactive = mode == INTERACTIVE;
        if mode != NONINTERACTIVE {
            recall_style_layers(config);
        }
        if interactive && !dialog::synthesize(procedure, config, image, layer)? {
            return Ok(Ended::Cancelled);
        }
        // The tests in real GIMP show with this that a panic becomes an error message.
        assert!(std::env::var_os("SEMSYNTH_TEST_PANIC").is_none(), "a panic for tests");
        let result = synthesize::run(image, layer, config, interactive)?;
        if interactive {
            keep_style_layers(config);
        }
        Ok(Ended::With(result.0))
    })
}

unsafe extern "C" fn run_snap(procedure: P, mode: c_int, image: P, drawables: *mut P, config: P, _: P) -> P {
    guarded(procedure, || {
        // SAFETY: as above.
        let layer = unsafe { single(drawables) }?;
        if mode == INTERACTIVE && !dialog::plain(procedure, Config(config), c"Snap to Labels")? {
            return Ok(Ended::Cancelled);
        }
        snap::run(Image(image), layer, Config(config)).map(|()| Ended::Done)
    })
}

unsafe extern "C" fn run_palette(procedure: P, config: P, _: P) -> P {
    guarded(procedure, || {
        let config = Config(config);
        if config.int(c"run-mode") == INTERACTIVE && !dialog::plain(procedure, config, c"Create Label Palette")? {
            return Ok(Ended::Cancelled);
        }
        let choice = ModelChoice::of(config);
        let entries = classes::entries(choice.open()?.classes());
        let name = classes::palette_name(&choice.name());
        let palette = match Palette::by_name(&name).filter(|palette| palette.entries() == entries) {
            Some(palette) => palette,
            None => Palette::create(&name, &entries)?,
        };
        palette.choose();
        Ok(Ended::With(palette.0))
    })
}
