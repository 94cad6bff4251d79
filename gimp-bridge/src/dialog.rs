//! GIMP's own dialogs, with a live preview and a legend.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use semsynth::CancelToken;
use semsynth::model::Manifest;

use crate::api::{I, P, call, call_ui, load_ui};
use crate::gimp::{Config, Drawable, Image, text};
use crate::install::HELP;
use crate::labels::Labels;
use crate::plugin::{NAME, append, own_folder, tr};
use crate::preview::{Job, Opened, Painted, SIDE, Scene, Thumbnail};
use crate::settings::{ModelChoice, StyleChoice, class_table, output, palette, policy};
use crate::synthesize::{StyleSource, selected};
use crate::words::said;

/// After the last change, before a new preview is painted.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at the painter, in milliseconds.
const TICK: u32 = 50;

const HORIZONTAL: I = 0;
const VERTICAL: I = 1;
/// `GTK_ALIGN_START`.
const START: I = 1;
const SCROLL_NEVER: I = 2;
const SCROLL_AUTOMATIC: I = 1;
/// `G_TYPE_NONE`: GIMP chooses the widget of an argument.
const USUAL_WIDGET: usize = 4;
/// `GTK_SIZE_GROUP_HORIZONTAL`.
const SAME_WIDTH: I = 1;

/// A dialog with all arguments of a procedure and nothing else. Whether OK was pressed.
pub(crate) fn plain(procedure: P, config: Config, title: &CStr) -> Result<bool, String> {
    let dialog = open(procedure, config, title)?;
    call_ui!(gimp_procedure_dialog_fill_list(dialog, null_mut()));
    let done = call_ui!(gimp_procedure_dialog_run(dialog)) != 0;
    call_ui!(gtk_widget_destroy(dialog));
    Ok(done)
}

fn open(procedure: P, config: Config, title: &CStr) -> Result<P, String> {
    load_ui()?;
    call_ui!(gimp_ui_init(NAME.as_ptr()));
    // Without its pages, the button Help would lead nowhere.
    if own_folder(HELP).is_none() {
        call_ui!(gimp_dialogs_show_help_button(0));
    }
    Ok(call_ui!(gimp_procedure_dialog_new(procedure, config.0, tr(title).as_ptr())))
}

/// The dialog of "Synthesize from Labels". Whether OK was pressed.
pub(crate) fn synthesize(procedure: P, config: Config, image: Image, layer: Drawable) -> Result<bool, String> {
    // What cannot work is said before any work.
    let rect = selected(layer)?;
    let dialog = open(procedure, config, c"Synthesize from Labels")?;
    call_ui!(gimp_procedure_dialog_set_ok_label(dialog, tr(c"Synthesi_ze").as_ptr()));

    let names = [
        c"model",
        c"model-file",
        c"colors",
        c"palette",
        c"unknown-colors",
        c"tolerance",
        c"output",
        c"seed",
        c"style",
        c"style-file",
        c"style-layer",
        c"style-labels",
        c"wrap-x",
        c"wrap-y",
        c"preview",
    ];
    let widget = |name: &CStr, kind| call_ui!(gimp_procedure_dialog_get_widget(dialog, name.as_ptr(), kind));
    // GIMP 3.2 would show short lists as radio buttons, which makes the dialog higher than small screens.
    let lists = call_ui!(gtk_combo_box_get_type());
    for name in [c"model", c"colors", c"unknown-colors", c"output", c"style"] {
        widget(name, lists);
    }
    let list = names.into_iter().fold(null_mut(), append);
    let settings = call_ui!(gimp_procedure_dialog_fill_box_list(dialog, c"settings".as_ptr(), list));
    let dice = call_ui!(gtk_button_new_with_mnemonic(tr(c"New seed").as_ptr()));
    call_ui!(gtk_grid_attach(widget(c"seed", USUAL_WIDGET), dice, 2, 0, 1, 1));
    let (preset, presets) = preset_row(widget(c"style", lists));
    call_ui!(gtk_box_pack_start(settings, preset, 0, 0, 0));
    let below = names.iter().position(|name| *name == c"style").map_or(0, |at| at + 1);
    call_ui!(gtk_box_reorder_child(settings, preset, below as I));

    let labels = Labels::new(image, layer, rect);
    let whole = labels.size();
    let (shown_labels, picture) = (thumbnail(whole), thumbnail(whole));
    let pictures = call_ui!(gtk_box_new(HORIZONTAL, 6));
    for widget in [framed(c"Labels", shown_labels), framed(c"Preview", picture)] {
        call_ui!(gtk_box_pack_start(pictures, widget, 1, 1, 0));
    }
    let note = label();
    let legend = label();
    let scrolled = call_ui!(gtk_scrolled_window_new(null_mut(), null_mut()));
    call_ui!(gtk_scrolled_window_set_policy(scrolled, SCROLL_NEVER, SCROLL_AUTOMATIC));
    call_ui!(gtk_container_add(scrolled, legend));
    let right = call_ui!(gtk_box_new(VERTICAL, 6));
    for (widget, grows) in [(pictures, 0), (note, 0), (framed(c"Classes", scrolled), 1)] {
        call_ui!(gtk_box_pack_start(right, widget, grows, grows, 0));
    }
    let columns = call_ui!(gtk_box_new(HORIZONTAL, 12));
    call_ui!(gtk_container_set_border_width(columns, 6));
    call_ui!(gtk_box_pack_start(columns, settings, 1, 1, 0));
    call_ui!(gtk_box_pack_start(columns, right, 1, 1, 0));
    let content = call_ui!(gtk_dialog_get_content_area(dialog));
    call_ui!(gtk_box_pack_start(content, columns, 1, 1, 0));
    call_ui!(gtk_widget_show_all(columns));

    let size = Scene::size_for(whole);
    let of = Arc::new(Scene {
        pixels: labels.sample(size[0], size[1]),
        size,
        whole,
        source: labels.source(),
        colors: labels.colors().to_vec(),
    });
    // The configuration outlives the dialog and could still call back, so these stay.
    let events: &'static Events = Box::leak(Box::new(Events {
        config,
        changed: Cell::new(Some(Instant::now())),
        cancel: RefCell::new(None),
        filling: Cell::new(false),
    }));
    // GTK calls back with this, so it stays at its place until the dialog is closed.
    let mut live = Box::new(Live {
        dialog,
        config,
        image,
        layer,
        widgets: Widgets { labels: shown_labels, picture, note, legend, dice, preset, presets },
        of,
        events,
        painter: None,
        opened: None,
    });
    live.sensitize(None);
    let data: P = std::ptr::from_ref(events).cast_mut().cast();
    let changed_fn: unsafe extern "C" fn(P, P, P) = changed;
    let (dice_fn, preset_fn): (unsafe extern "C" fn(P, P), unsafe extern "C" fn(P, P)) = (roll, choose_preset);
    call_ui!(g_signal_connect_data(config.0, c"notify".as_ptr(), changed_fn as P, data, null_mut(), 0));
    call_ui!(g_signal_connect_data(dice, c"clicked".as_ptr(), dice_fn as P, data, null_mut(), 0));
    call_ui!(g_signal_connect_data(presets, c"changed".as_ptr(), preset_fn as P, data, null_mut(), 0));
    let timer = call_ui!(g_timeout_add(TICK, tick, (&raw mut *live).cast()));
    let done = call_ui!(gimp_procedure_dialog_run(dialog)) != 0;
    call_ui!(g_source_remove(timer));
    if let Some(cancel) = events.cancel.borrow().as_ref() {
        cancel.cancel();
    }
    call_ui!(gtk_widget_destroy(dialog));
    Ok(done)
}

/// A row for the style preset, and the list in it. Its label is as wide as that of another row.
fn preset_row(other: P) -> (P, P) {
    let row = call_ui!(gtk_box_new(HORIZONTAL, 6));
    let name = call_ui!(gtk_label_new(tr(c"Style preset").as_ptr()));
    call_ui!(gtk_label_set_xalign(name, 0.0));
    let widths = call_ui!(gtk_size_group_new(SAME_WIDTH));
    for label in [name, call_ui!(gimp_labeled_get_label(other))] {
        call_ui!(gtk_size_group_add_widget(widths, label));
    }
    call!(g_object_unref(widths));
    let list = call_ui!(gtk_combo_box_text_new());
    call_ui!(gtk_box_pack_start(row, name, 0, 0, 0));
    call_ui!(gtk_box_pack_start(row, list, 1, 1, 0));
    (row, list)
}

/// A place for a small picture of labels of this size.
fn thumbnail(whole: [usize; 2]) -> P {
    let image = call_ui!(gtk_image_new());
    call_ui!(gtk_widget_set_size_request(image, SIDE as I, Thumbnail::size_for(whole)[1] as I));
    call_ui!(gtk_widget_set_valign(image, START));
    image
}

fn label() -> P {
    let label = call_ui!(gtk_label_new(c"".as_ptr()));
    call_ui!(gtk_label_set_line_wrap(label, 1));
    call_ui!(gtk_label_set_max_width_chars(label, 72));
    call_ui!(gtk_widget_set_halign(label, START));
    call_ui!(gtk_widget_set_valign(label, START));
    label
}

fn framed(title: &CStr, widget: P) -> P {
    let frame = call_ui!(gtk_frame_new(tr(title).as_ptr()));
    call_ui!(gtk_container_add(frame, widget));
    frame
}

struct Widgets {
    labels: P,
    picture: P,
    note: P,
    legend: P,
    dice: P,
    /// The row of the style preset, and its list.
    preset: P,
    presets: P,
}

/// What GTK tells: it calls back also while the dialog is at work, so this is apart from the rest.
struct Events {
    config: Config,
    /// When something was changed for which no painter has started.
    changed: Cell<Option<Instant>>,
    /// Ends the painter that is at work.
    cancel: RefCell<Option<CancelToken>>,
    /// While the list of presets is made.
    filling: Cell<bool>,
}

/// The dialog while it is open. Only the main thread touches it.
struct Live {
    dialog: P,
    config: Config,
    image: Image,
    layer: Drawable,
    widgets: Widgets,
    of: Arc<Scene>,
    events: &'static Events,
    painter: Option<Receiver<Painted>>,
    opened: Option<Opened>,
}

unsafe extern "C" fn changed(_: P, _: P, data: P) {
    // SAFETY: `data` is the `Events` of a dialog, which stay.
    let events = unsafe { &*data.cast::<Events>() };
    events.changed.set(Some(Instant::now()));
    if let Some(cancel) = events.cancel.borrow().as_ref() {
        cancel.cancel();
    }
}

unsafe extern "C" fn roll(_: P, data: P) {
    // SAFETY: as for `changed`.
    let events = unsafe { &*data.cast::<Events>() };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    // The generator of Lehmer, so that neighbouring times give different numbers.
    let seed = (nanos % 0x7FFF_FFFF) * 48271 % 0x7FFF_FFFF;
    events.config.set_int(c"seed", seed as i32);
}

unsafe extern "C" fn choose_preset(list: P, data: P) {
    // SAFETY: as for `changed`.
    let events = unsafe { &*data.cast::<Events>() };
    let name = call_ui!(gtk_combo_box_get_active_id(list));
    if !events.filling.get() && !name.is_null() {
        // SAFETY: GTK's text ends with 0, and is copied at once.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        events.config.set_text(c"style-preset", &name);
    }
}

unsafe extern "C" fn tick(data: P) -> I {
    // SAFETY: `data` is the `Live` of an open dialog, which only this touches until it is closed.
    let live = unsafe { &mut *data.cast::<Live>() };
    live.look();
    1
}

impl Live {
    fn look(&mut self) {
        if let Some(painter) = &self.painter {
            match painter.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(painted) => {
                    self.painter = None;
                    self.show(painted);
                }
                Err(TryRecvError::Disconnected) => {
                    self.painter = None;
                    say(self.widgets.note, &said(c"The preview failed.", &[]));
                }
            }
        }
        if self.events.changed.get().is_some_and(|at| at.elapsed() >= PAUSE) {
            self.events.changed.set(None);
            self.start();
        }
    }

    fn start(&mut self) {
        let choice = ModelChoice::of(self.config);
        let opened = self.opened.clone().filter(|opened| opened.choice == choice);
        if let Some(opened) = &opened {
            self.choose_first_preset(opened);
        }
        let preview = self.config.flag(c"preview");
        let (palette, policy) = (palette(self.config), policy(self.config));
        let chosen = StyleChoice::of(self.config);
        let styled = chosen != Ok(StyleChoice::Model);
        let gather = |manifest: &Manifest, chosen: &StyleChoice| {
            let classes = class_table(&manifest.classes, palette.as_ref().ok().and_then(Option::as_ref))?;
            StyleSource::gather(chosen, &manifest.architecture, self.image, self.layer, &classes, policy)
        };
        let style = chosen.and_then(|chosen| match (chosen, &opened) {
            (StyleChoice::Model, _) => Ok(StyleSource::Model),
            (StyleChoice::File(path), _) => Ok(StyleSource::File(path)),
            (StyleChoice::Preset(name), _) => Ok(StyleSource::Preset(name)),
            // Layers are GIMP's, so the main thread reads them, and only if they are needed.
            (StyleChoice::Layer(..), _) if !preview => Ok(StyleSource::Model),
            (chosen, Some(opened)) => gather(opened.prepared.manifest(), &chosen),
            (chosen, None) => gather(choice.open()?.manifest(), &chosen),
        });
        let job = Job {
            choice,
            opened,
            palette,
            style,
            styled,
            policy,
            output: output(self.config),
            rgb_image: self.image.is_rgb(),
            seed: self.config.int(c"seed"),
            wraps: [self.config.flag(c"wrap-x"), self.config.flag(c"wrap-y")],
            preview,
            of: Arc::clone(&self.of),
        };
        self.sensitize(None);
        let cancel = CancelToken::new();
        let (sender, result) = channel();
        self.painter = Some(result);
        self.events.cancel.replace(Some(cancel.clone()));
        std::thread::spawn(move || {
            let _ = sender.send(job.paint(&cancel));
        });
    }

    fn show(&mut self, painted: Painted) {
        if let Some(opened) = painted.opened {
            if self.opened.as_ref().is_none_or(|known| known.choice != opened.choice) {
                self.list_presets(&opened);
            }
            self.choose_first_preset(&opened);
            self.opened = Some(opened);
        }
        draw(self.widgets.labels, painted.labels.as_ref());
        draw(self.widgets.picture, painted.picture.as_ref());
        say(self.widgets.note, &painted.note);
        say(self.widgets.legend, &painted.legend);
        self.sensitize(Some(painted.random));
    }

    /// Fills the list of style presets.
    fn list_presets(&self, opened: &Opened) {
        let list = self.widgets.presets;
        self.events.filling.set(true);
        call_ui!(gtk_combo_box_text_remove_all(list));
        for preset in opened.presets.iter() {
            let name = text(&preset.name);
            call_ui!(gtk_combo_box_text_append(list, name.as_ptr(), name.as_ptr()));
        }
        self.events.filling.set(false);
        let about = opened.presets.iter().map(|preset| format!("{}: {}", preset.name, preset.summary));
        let about = text(&about.collect::<Vec<_>>().join("\n"));
        call_ui!(gtk_widget_set_tooltip_text(self.widgets.preset, about.as_ptr()));
    }

    /// Shows the chosen preset. If the model has no such one, its first is chosen.
    fn choose_first_preset(&self, opened: &Opened) {
        let mut name = self.config.text(c"style-preset");
        if let Some(first) = opened.presets.iter().next().filter(|_| !opened.presets.has(&name)) {
            name.clone_from(&first.name);
            if self.config.choice(c"style") == StyleChoice::PRESET {
                self.config.set_text(c"style-preset", &name);
            }
        }
        self.events.filling.set(true);
        call_ui!(gtk_combo_box_set_active_id(self.widgets.presets, text(&name).as_ptr()));
        self.events.filling.set(false);
    }

    /// Greys out what makes no difference. `random` says whether the seed does, once that is known.
    fn sensitize(&self, random: Option<bool>) {
        let set = |name: &CStr, on: bool| {
            call_ui!(gimp_procedure_dialog_set_sensitive(
                self.dialog,
                name.as_ptr(),
                on.into(),
                null_mut(),
                c"".as_ptr(),
                0
            ));
        };
        let style = self.config.choice(c"style");
        set(c"model-file", matches!(ModelChoice::of(self.config), ModelChoice::File(_)));
        set(c"palette", self.config.choice(c"colors") == 1);
        set(c"tolerance", self.config.choice(c"unknown-colors") != 2);
        call_ui!(gtk_widget_set_sensitive(self.widgets.preset, (style == StyleChoice::PRESET).into()));
        set(c"style-file", style == StyleChoice::FILE);
        set(c"style-layer", style == StyleChoice::LAYER);
        set(c"style-labels", style == StyleChoice::LAYER);
        if let Some(random) = random {
            set(c"seed", random);
            call_ui!(gtk_widget_set_sensitive(self.widgets.dice, random.into()));
        }
    }
}

/// Shows a picture, or nothing.
fn draw(image: P, picture: Option<&Thumbnail>) {
    let Some(Thumbnail { rgb, size: [width, height] }) = picture else {
        call_ui!(gtk_image_clear(image));
        return;
    };
    let bytes = call_ui!(g_bytes_new(rgb.as_ptr().cast_mut().cast::<c_void>(), rgb.len()));
    let pixbuf = call_ui!(gdk_pixbuf_new_from_bytes(bytes, 0, 0, 8, *width as I, *height as I, 3 * *width as I));
    call!(g_bytes_unref(bytes));
    call_ui!(gtk_image_set_from_pixbuf(image, pixbuf));
    call!(g_object_unref(pixbuf));
}

/// Shows Pango markup.
fn say(label: P, markup: &str) {
    call_ui!(gtk_label_set_markup(label, text(markup).as_ptr()));
}
