//! GIMP's own dialogs, with a live preview and a legend.

use std::ffi::{CStr, c_void};
use std::fmt::Write as _;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use semsynth::label::{ColorPolicy, LabelPixels, Report, Source};
use semsynth::{CancelToken, ClassTable, Control, LabelMap, PreparedModel, Request};

use crate::api::{I, P, call, call_ui, load_ui};
use crate::gimp::{Config, Drawable, Image, text};
use crate::labels::{Labels, classify};
use crate::paint::device;
use crate::plugin::{NAME, append, tr};
use crate::settings::{
    ModelChoice, Output, PaletteEntries, StyleChoice, class_table, is_random, output, palette, policy,
};
use crate::synthesize::{StyleSource, advice, selected};

/// Longest side of the preview in pixels.
const PREVIEW: usize = 256;
/// Longest side of the labels that the legend counts.
const COUNTED: usize = 1024;
/// After the last change, before a new preview is painted.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two looks at the painter, in milliseconds.
const TICK: u32 = 50;
/// Most lines of the legend.
const LINES: usize = 200;

const HORIZONTAL: I = 0;
const VERTICAL: I = 1;
/// `GTK_ALIGN_START` and `GTK_ALIGN_CENTER`.
const START: I = 1;
const CENTER: I = 3;
const SCROLL_NEVER: I = 2;
const SCROLL_AUTOMATIC: I = 1;

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
    let list = names.into_iter().fold(null_mut(), append);
    let settings = call_ui!(gimp_procedure_dialog_fill_box_list(dialog, c"settings".as_ptr(), list));
    let dice = call_ui!(gtk_button_new_with_mnemonic(tr(c"New seed").as_ptr()));
    call_ui!(gtk_box_pack_start(settings, dice, 0, 0, 0));

    let picture = call_ui!(gtk_image_new());
    call_ui!(gtk_widget_set_size_request(picture, PREVIEW as I, PREVIEW as I));
    call_ui!(gtk_widget_set_valign(picture, CENTER));
    let note = label();
    let legend = label();
    let scrolled = call_ui!(gtk_scrolled_window_new(null_mut(), null_mut()));
    call_ui!(gtk_scrolled_window_set_policy(scrolled, SCROLL_NEVER, SCROLL_AUTOMATIC));
    call_ui!(gtk_container_add(scrolled, legend));
    let right = call_ui!(gtk_box_new(VERTICAL, 6));
    for (widget, grows) in [(framed(c"Preview", picture), 0), (note, 0), (framed(c"Labels", scrolled), 1)] {
        call_ui!(gtk_box_pack_start(right, widget, grows, grows, 0));
    }
    let columns = call_ui!(gtk_box_new(HORIZONTAL, 12));
    call_ui!(gtk_container_set_border_width(columns, 6));
    call_ui!(gtk_box_pack_start(columns, settings, 1, 1, 0));
    call_ui!(gtk_box_pack_start(columns, right, 1, 1, 0));
    let content = call_ui!(gtk_dialog_get_content_area(dialog));
    call_ui!(gtk_box_pack_start(content, columns, 1, 1, 0));
    call_ui!(gtk_widget_show_all(columns));

    let labels = Labels::new(image, layer, rect);
    let [width, height] = labels.size();
    let shrunk = |longest: usize| {
        let scale = (longest as f64 / width.max(height) as f64).min(1.0);
        [width, height].map(|side| ((side as f64 * scale).round() as usize).max(1))
    };
    let sample = |size: [usize; 2]| Sample { pixels: labels.sample(size[0], size[1]), size };
    let picture_of = Arc::new(Picture {
        small: sample(shrunk(PREVIEW)),
        counted: sample(shrunk(COUNTED)),
        exact: width.max(height) <= COUNTED,
        source: labels.source(),
        colors: labels.colors().to_vec(),
        size: [width, height],
    });
    // GTK calls back with this, so it stays at its place until the dialog is closed.
    let mut live = Box::new(Live {
        dialog,
        config,
        image,
        layer,
        widgets: Widgets { picture, note, legend, dice },
        of: picture_of,
        changed: Some(Instant::now()),
        painter: None,
        prepared: None,
    });
    live.sensitize(None);
    let data: P = (&raw mut *live).cast();
    let changed_fn: unsafe extern "C" fn(P, P, P) = changed;
    let dice_fn: unsafe extern "C" fn(P, P) = roll;
    call_ui!(g_signal_connect_data(config.0, c"notify".as_ptr(), changed_fn as P, data, null_mut(), 0));
    call_ui!(g_signal_connect_data(dice, c"clicked".as_ptr(), dice_fn as P, data, null_mut(), 0));
    let timer = call_ui!(g_timeout_add(TICK, tick, data));
    let done = call_ui!(gimp_procedure_dialog_run(dialog)) != 0;
    call_ui!(g_source_remove(timer));
    if let Some(painter) = &live.painter {
        painter.cancel.cancel();
    }
    call_ui!(gtk_widget_destroy(dialog));
    // The configuration outlives the dialog and could still call back.
    std::mem::forget(live);
    Ok(done)
}

fn label() -> P {
    let label = call_ui!(gtk_label_new(c"".as_ptr()));
    call_ui!(gtk_label_set_line_wrap(label, 1));
    call_ui!(gtk_label_set_max_width_chars(label, 44));
    call_ui!(gtk_widget_set_halign(label, START));
    call_ui!(gtk_widget_set_valign(label, START));
    label
}

fn framed(title: &CStr, widget: P) -> P {
    let frame = call_ui!(gtk_frame_new(tr(title).as_ptr()));
    call_ui!(gtk_container_add(frame, widget));
    frame
}

/// A smaller picture of the labels.
struct Sample {
    pixels: LabelPixels,
    size: [usize; 2],
}

/// What is painted from.
struct Picture {
    small: Sample,
    counted: Sample,
    /// Whether `counted` has all pixels.
    exact: bool,
    source: Source,
    colors: Vec<[u8; 3]>,
    /// Width and height of the whole.
    size: [usize; 2],
}

struct Widgets {
    picture: P,
    note: P,
    legend: P,
    dice: P,
}

/// The dialog while it is open. Only the main thread touches it.
struct Live {
    dialog: P,
    config: Config,
    image: Image,
    layer: Drawable,
    widgets: Widgets,
    of: Arc<Picture>,
    /// When something was changed for which no painter has started.
    changed: Option<Instant>,
    painter: Option<Painter>,
    prepared: Option<(ModelChoice, PreparedModel)>,
}

struct Painter {
    cancel: CancelToken,
    result: Receiver<Painted>,
}

/// What a painter gives.
struct Painted {
    prepared: Option<(ModelChoice, PreparedModel)>,
    /// RGB bytes of the size of the small sample.
    rgb: Option<Vec<u8>>,
    note: String,
    legend: String,
    random: bool,
}

/// What a painter needs, read from GIMP by the main thread.
struct Job {
    choice: ModelChoice,
    prepared: Option<PreparedModel>,
    palette: Result<Option<PaletteEntries>, String>,
    /// Not of a layer if there is no preview.
    style: Result<StyleSource, String>,
    /// Whether there is a style other than the model's.
    styled: bool,
    policy: ColorPolicy,
    output: Output,
    rgb_image: bool,
    seed: i32,
    wrap: [bool; 2],
    preview: bool,
    of: Arc<Picture>,
}

unsafe extern "C" fn changed(_: P, _: P, data: P) {
    // SAFETY: `data` is the `Live` of an open dialog; callbacks come one at a time.
    let live = unsafe { &mut *data.cast::<Live>() };
    live.changed = Some(Instant::now());
    if let Some(painter) = &live.painter {
        painter.cancel.cancel();
    }
}

unsafe extern "C" fn roll(_: P, data: P) {
    // SAFETY: as for `changed`; the borrow ends before the setting notifies `changed`.
    let config = unsafe { (*data.cast::<Live>()).config };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    // The generator of Lehmer, so that neighbouring times give different numbers.
    let seed = (nanos % 0x7FFF_FFFF) * 48271 % 0x7FFF_FFFF;
    config.set_int(c"seed", seed as i32);
}

unsafe extern "C" fn tick(data: P) -> I {
    // SAFETY: as for `changed`.
    let live = unsafe { &mut *data.cast::<Live>() };
    live.look();
    1
}

impl Live {
    fn look(&mut self) {
        if let Some(painter) = &self.painter {
            match painter.result.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(painted) => {
                    self.painter = None;
                    self.show(painted);
                }
                Err(TryRecvError::Disconnected) => {
                    self.painter = None;
                    say(self.widgets.note, "The preview failed.");
                }
            }
        }
        if self.changed.is_some_and(|at| at.elapsed() >= PAUSE) {
            self.changed = None;
            self.start();
        }
    }

    fn start(&mut self) {
        let choice = ModelChoice::of(self.config);
        let prepared = self.prepared.as_ref().filter(|(known, _)| *known == choice).map(|(_, model)| model.clone());
        let preview = self.config.flag(c"preview");
        let (palette, policy) = (palette(self.config), policy(self.config));
        let chosen = StyleChoice::of(self.config);
        let styled = chosen != Ok(StyleChoice::Model);
        // Layers are GIMP's, so the main thread reads them.
        let style = chosen.and_then(|chosen| match chosen {
            StyleChoice::Layer(..) if !preview => Ok(StyleSource::Model),
            StyleChoice::Layer(..) => {
                let model = choice.open()?;
                let classes = class_table(model.classes(), palette.as_ref().ok().and_then(Option::as_ref))?;
                StyleSource::gather(&chosen, model.architecture(), self.image, self.layer, &classes, policy)
            }
            StyleChoice::File(path) => Ok(StyleSource::File(path)),
            StyleChoice::Model => Ok(StyleSource::Model),
        });
        let job = Job {
            choice,
            prepared,
            palette,
            style,
            styled,
            policy,
            output: output(self.config),
            rgb_image: self.image.is_rgb(),
            seed: self.config.int(c"seed"),
            wrap: [self.config.flag(c"wrap-x"), self.config.flag(c"wrap-y")],
            preview,
            of: Arc::clone(&self.of),
        };
        self.sensitize(None);
        let cancel = CancelToken::new();
        let (sender, result) = channel();
        self.painter = Some(Painter { cancel: cancel.clone(), result });
        std::thread::spawn(move || {
            let _ = sender.send(job.paint(&cancel));
        });
    }

    fn show(&mut self, painted: Painted) {
        if painted.prepared.is_some() {
            self.prepared = painted.prepared;
        }
        let [width, height] = self.of.small.size;
        match &painted.rgb {
            Some(rgb) => {
                let bytes = call_ui!(g_bytes_new(rgb.as_ptr().cast_mut().cast::<c_void>(), rgb.len()));
                let pixbuf =
                    call_ui!(gdk_pixbuf_new_from_bytes(bytes, 0, 0, 8, width as I, height as I, 3 * width as I));
                call!(g_bytes_unref(bytes));
                call_ui!(gtk_image_set_from_pixbuf(self.widgets.picture, pixbuf));
                call!(g_object_unref(pixbuf));
            }
            None => call_ui!(gtk_image_clear(self.widgets.picture)),
        }
        say(self.widgets.note, &painted.note);
        say(self.widgets.legend, &painted.legend);
        self.sensitize(Some(painted.random));
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
        set(c"style-file", style == 1);
        set(c"style-layer", style == 2);
        set(c"style-labels", style == 2);
        if let Some(random) = random {
            set(c"seed", random);
            call_ui!(gtk_widget_set_sensitive(self.widgets.dice, random.into()));
        }
    }
}

/// Shows Pango markup.
fn say(label: P, markup: &str) {
    call_ui!(gtk_label_set_markup(label, text(markup).as_ptr()));
}

impl Job {
    /// Runs on a thread of its own, without GIMP.
    fn paint(self, cancel: &CancelToken) -> Painted {
        let mut painted =
            Painted { prepared: None, rgb: None, note: String::new(), legend: String::new(), random: true };
        if let Err(error) = self.try_paint(cancel, &mut painted) {
            painted.note = format!("<b>{}</b>", escape(&error));
        }
        painted
    }

    fn try_paint(self, cancel: &CancelToken, painted: &mut Painted) -> Result<(), String> {
        let prepared = match &self.prepared {
            Some(prepared) => prepared.clone(),
            None => {
                let device = device().map_err(|error| error.to_string())?;
                PreparedModel::new(self.choice.open()?, &device).map_err(|error| error.to_string())?
            }
        };
        painted.prepared = Some((self.choice.clone(), prepared.clone()));
        let manifest = prepared.manifest();
        let classes = class_table(&manifest.classes, self.palette.clone()?.as_ref())?;
        let of = &self.of;
        let read =
            |sample: &Sample| classify(&sample.pixels, sample.size, of.source, &of.colors, &classes, self.policy);
        let (counted, report) = read(&of.counted);
        painted.legend = legend(&report, &classes, of.exact);
        painted.random = is_random(&manifest.architecture, self.styled);
        let mut notes = vec![format!("{}x{} pixels", of.size[0], of.size[1])];
        if !painted.random {
            notes.push("the model has nothing random, so the seed changes nothing".into());
        }
        if self.output != Output::NewImage && !self.rgb_image {
            notes.push("the picture becomes a new image, because this one is not RGB".into());
        }
        painted.note = escape(&notes.join("; "));
        let stride = manifest.architecture.stride();
        for (wraps, side, name) in [(self.wrap[0], of.size[0], "width"), (self.wrap[1], of.size[1], "height")] {
            if wraps && side % stride != 0 {
                return Err(format!(
                    "To repeat without a seam, the {name} must be a multiple of {stride}; it is {side}. Scale or crop the \
                     layer, or select a part of that size."
                ));
            }
        }
        counted.map_err(|error| advice(&error))?;
        if !self.preview || cancel.is_cancelled() {
            return Ok(());
        }
        let labels: LabelMap = read(&of.small).0.map_err(|error| advice(&error))?;
        let mut request = Request::new().seed(self.seed as u64);
        if let Some(style) = self.style?.style(&prepared)? {
            request = request.style(&style);
        }
        let mut control = Control::new().cancel(cancel);
        let picture = prepared.synthesizer().run_with(&labels, &request, &mut control);
        painted.rgb = Some(picture.map_err(|error| advice(&error))?.into_bytes());
        Ok(())
    }
}

/// Colour, class and share of the pixels, as Pango markup; then the pixels without a class and what happens to them.
fn legend(report: &Report, classes: &ClassTable, exact: bool) -> String {
    let about = if exact { "" } else { "about " };
    let all = (report.width * report.height) as f64;
    let mut used: Vec<_> = classes.iter().zip(&report.classes).filter(|(_, count)| count.pixels > 0).collect();
    used.sort_by_key(|(_, count)| std::cmp::Reverse(count.pixels));
    let mut text = String::new();
    for (class, count) in used.iter().take(LINES) {
        let [r, g, b] = class.color;
        let share = count.pixels as f64 * 100.0 / all;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "<span foreground=\"#{r:02x}{g:02x}{b:02x}\">\u{2588}\u{2588}</span> {}  {about}{share:.1} %",
            escape(&class.name)
        );
    }
    if report.unclassified > 0 {
        let fate = match report.policy {
            _ if !report.unknown_ids.is_empty() => "these ids belong to no class",
            ColorPolicy::NearestPixel { .. } => "they take the class of the nearest pixel that has one",
            _ => "nothing can be painted until they have one",
        };
        let share = report.unclassified as f64 * 100.0 / all;
        let _ = writeln!(text, "<b>{about}{share:.1} % of the pixels have no class: {fate}</b>");
        for color in report.unknown_colors.iter().take(8) {
            let [r, g, b] = color.color;
            let share = color.found.pixels as f64 * 100.0 / all;
            let nearest = classes.get(color.nearest).map_or("", |class| class.name.as_str());
            let _ = writeln!(
                text,
                "<span foreground=\"#{r:02x}{g:02x}{b:02x}\">\u{2588}\u{2588}</span> #{r:02x}{g:02x}{b:02x}  {share:.1} % \
                 (nearest: {})",
                escape(nearest)
            );
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Text as Pango markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legend_names_classes_shares_and_unknown_colours() {
        let classes = ClassTable::cmp_facades();
        let colors = [[0, 0, 222, 255], [0, 0, 222, 255], [0, 207, 255, 255], [1, 100, 7, 255]];
        let pixels = LabelPixels::Colors(colors.to_vec());
        let source = Source::RgbPng { bits: 8, alpha: true };
        let policy = ColorPolicy::NearestPixel { tolerance: 0 };
        let (_, report) = classify(&pixels, [4, 1], source, &[], &classes, policy);
        let text = legend(&report, &classes, true);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("#0000de") && lines[0].ends_with("background  50.0 %"), "{text}");
        assert!(lines[1].contains("#00cfff") && lines[1].ends_with("door  25.0 %"), "{text}");
        assert!(lines[2].contains("25.0 % of the pixels have no class: they take the class of the nearest"), "{text}");
        assert!(lines[3].contains("#016407"), "{text}");
        assert!(legend(&report, &classes, false).contains("about 50.0 %"));
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("a < b & c"), "a &lt; b &amp; c");
    }
}
