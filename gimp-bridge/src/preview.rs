//! The preview of the dialog: a small picture of what comes, and a legend, made on a thread of its own, without GIMP but for its
//! translations.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use semsynth::label::{ColorPolicy, LabelPixels, Report, Source};
use semsynth::{CancelToken, ClassTable, Control, LabelMap, PreparedModel, Request};

use crate::labels::{classify, rgb, shrink};
use crate::paint::{borders, device};
use crate::presets::Presets;
use crate::settings::{ModelChoice, Output, PaletteEntries, class_table, is_random};
use crate::synthesize::{StyleSource, prepare, unpaintable};
use crate::words::said;

/// Longest side of the preview in pixels.
pub(crate) const SIDE: usize = 256;
/// Longest side of the labels that the legend counts.
const COUNTED: usize = 1024;
/// Most lines of the legend.
const LINES: usize = 200;

/// The labels that are painted from; a smaller picture of them, if they are large.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) pixels: LabelPixels,
    /// Of `pixels`, width and height.
    pub(crate) size: [usize; 2],
    /// Of all labels, width and height.
    pub(crate) whole: [usize; 2],
    pub(crate) source: Source,
    /// Of each value of an indexed or grey image.
    pub(crate) colors: Vec<[u8; 3]>,
}

impl Scene {
    /// How much is looked at of labels of this size.
    pub(crate) fn size_for(whole: [usize; 2]) -> [usize; 2] {
        within(whole, COUNTED)
    }
}

/// Width and height, with sides of at most `longest`.
fn within([width, height]: [usize; 2], longest: usize) -> [usize; 2] {
    let scale = (longest as f64 / width.max(height) as f64).min(1.0);
    [width, height].map(|side| ((side as f64 * scale).round() as usize).max(1))
}

/// Width and height of the preview. A side that repeats must be a multiple of the network's stride.
fn preview_size(whole: [usize; 2], wraps: [bool; 2], stride: usize) -> [usize; 2] {
    let [width, height] = within(whole, SIDE);
    let fit = |side: usize, wraps| if wraps { ((side + stride / 2) / stride).max(1) * stride } else { side };
    [fit(width, wraps[0]), fit(height, wraps[1])]
}

/// A model that is ready to paint.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) choice: ModelChoice,
    pub(crate) prepared: PreparedModel,
    pub(crate) presets: Arc<Presets>,
}

impl Opened {
    fn new(choice: &ModelChoice) -> Result<Self, String> {
        let device = device()?;
        let model = choice.open()?;
        let presets = Arc::new(Presets::of(&model)?);
        let prepared = prepare(model, &device)?;
        Ok(Self { choice: choice.clone(), prepared, presets })
    }
}

/// A small picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    pub(crate) rgb: Vec<u8>,
    /// Width and height.
    pub(crate) size: [usize; 2],
}

impl Thumbnail {
    /// Width and height that the preview of labels of this size usually has.
    pub(crate) fn size_for(whole: [usize; 2]) -> [usize; 2] {
        let size = within(whole, SIDE);
        size.map(|side| side * Self::factor(size))
    }

    fn factor([width, height]: [usize; 2]) -> usize {
        (SIDE / width.max(height).max(1)).max(1)
    }

    /// Very small pictures are enlarged, each pixel to a square.
    fn new(rgb: Vec<u8>, size: [usize; 2]) -> Self {
        let factor = Self::factor(size);
        if factor == 1 {
            return Self { rgb, size };
        }
        let mut large = Vec::with_capacity(rgb.len() * factor * factor);
        for row in rgb.chunks_exact(3 * size[0]) {
            let wide: Vec<u8> =
                row.as_chunks::<3>().0.iter().flat_map(|pixel| std::iter::repeat_n(*pixel, factor)).flatten().collect();
            (0..factor).for_each(|_| large.extend_from_slice(&wide));
        }
        Self { rgb: large, size: size.map(|side| side * factor) }
    }
}

/// What a painter gives.
#[derive(Debug)]
pub(crate) struct Painted {
    pub(crate) opened: Option<Opened>,
    /// The labels, each pixel in the colour of its class.
    pub(crate) labels: Option<Thumbnail>,
    pub(crate) picture: Option<Thumbnail>,
    /// Pango markup.
    pub(crate) note: String,
    /// Pango markup.
    pub(crate) legend: String,
    /// Whether the seed makes a difference.
    pub(crate) random: bool,
}

/// What a painter needs.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) choice: ModelChoice,
    /// The model, if it is open already.
    pub(crate) opened: Option<Opened>,
    pub(crate) palette: Result<Option<PaletteEntries>, String>,
    pub(crate) style: Result<StyleSource, String>,
    /// Whether there is a style other than the model's.
    pub(crate) styled: bool,
    pub(crate) policy: ColorPolicy,
    pub(crate) output: Output,
    pub(crate) rgb_image: bool,
    pub(crate) seed: i32,
    /// Of left and right, and of top and bottom.
    pub(crate) wraps: [bool; 2],
    /// Whether a picture is painted.
    pub(crate) preview: bool,
    pub(crate) of: Arc<Scene>,
}

impl Job {
    pub(crate) fn paint(self, cancel: &CancelToken) -> Painted {
        let mut painted = Painted {
            opened: None,
            labels: None,
            picture: None,
            note: String::new(),
            legend: String::new(),
            random: true,
        };
        if let Err(error) = self.try_paint(cancel, &mut painted) {
            painted.note = format!("<b>{}</b>", escape(&error));
        }
        painted
    }

    fn try_paint(self, cancel: &CancelToken, painted: &mut Painted) -> Result<(), String> {
        let opened = match self.opened {
            Some(opened) => opened,
            None => Opened::new(&self.choice)?,
        };
        painted.opened = Some(opened.clone());
        let prepared = &opened.prepared;
        let manifest = prepared.manifest();
        let classes = class_table(&manifest.classes, self.palette?.as_ref())?;
        let of = &self.of;
        let read = |pixels: &LabelPixels, size| classify(pixels, size, of.source, &of.colors, &classes, self.policy);
        let (counted, report) = read(&of.pixels, of.size);
        painted.legend = legend(&report, &classes, of.size == of.whole);
        painted.random = is_random(manifest, self.styled);

        let stride = manifest.architecture.stride();
        let size = preview_size(of.whole, self.wraps, stride);
        let small = shrink(&of.pixels, of.size, size);
        let (labels, _) = read(&small, size);
        let colors = labels.as_ref().map_or_else(|_| rgb(&small, &of.colors), |map| class_colors(map, &classes));
        painted.labels = Some(Thumbnail::new(colors, size));

        let mut notes = vec![said(c"{} pixels", &[&format!("{}x{}", of.whole[0], of.whole[1])])];
        if !painted.random {
            notes.push(said(c"the model has nothing random, so the seed changes nothing", &[]));
        }
        if self.output != Output::NewImage && !self.rgb_image {
            notes.push(said(c"the picture becomes a new image, because this one is not RGB", &[]));
        }
        painted.note = escape(&notes.join("; "));
        let seamless = [
            c"To repeat without a seam, the width must be a multiple of {}; it is {}. Scale or crop the layer, or select a \
              part of that size.",
            c"To repeat without a seam, the height must be a multiple of {}; it is {}. Scale or crop the layer, or select \
              a part of that size.",
        ];
        for ((wraps, side), text) in self.wraps.into_iter().zip(of.whole).zip(seamless) {
            if wraps && side % stride != 0 {
                return Err(said(text, &[&stride, &side]));
            }
        }
        counted.map_err(|error| unpaintable(&error))?;
        let style = self.style?.style(prepared, &opened.presets)?;
        if !self.preview || cancel.is_cancelled() {
            return Ok(());
        }
        let labels = labels.map_err(|error| unpaintable(&error))?;
        let mut request = borders(Request::new().seed(self.seed as u64), self.wraps[0], self.wraps[1]);
        if let Some(style) = style {
            request = request.style(&style);
        }
        let mut control = Control::new().cancel(cancel);
        let picture = prepared.synthesizer().run_with(&labels, &request, &mut control);
        let picture = picture.map_err(|error| unpaintable(&error))?;
        painted.picture = Some(Thumbnail::new(picture.into_bytes(), size));
        Ok(())
    }
}

/// Labels as RGB bytes, in the colours of their classes.
fn class_colors(map: &LabelMap, classes: &ClassTable) -> Vec<u8> {
    let colors: HashMap<u16, [u8; 3]> = classes.iter().map(|class| (class.id, class.color)).collect();
    map.ids().flat_map(|id| colors.get(&id).copied().unwrap_or_default()).collect()
}

/// Colour, class and share of the pixels, as Pango markup; then the pixels without a class and what happens to them.
fn legend(report: &Report, classes: &ClassTable, exact: bool) -> String {
    let about = |share: f64| {
        let share = format!("{share:.1} %");
        if exact { share } else { said(c"about {}", &[&share]) }
    };
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
            "<span foreground=\"#{r:02x}{g:02x}{b:02x}\">\u{2588}\u{2588}</span> {}  {}",
            escape(&class.name),
            escape(&about(share))
        );
    }
    if report.unclassified > 0 {
        let fate = match report.policy {
            _ if !report.unknown_ids.is_empty() => said(c"these ids belong to no class", &[]),
            ColorPolicy::NearestPixel { .. } => said(c"they take the class of the nearest pixel that has one", &[]),
            _ => said(c"nothing can be painted until they have one", &[]),
        };
        let share = report.unclassified as f64 * 100.0 / all;
        let what = said(c"{} of the pixels have no class: {}", &[&about(share), &fate]);
        let _ = writeln!(text, "<b>{}</b>", escape(&what));
        for color in report.unknown_colors.iter().take(8) {
            let [r, g, b] = color.color;
            let share = color.found.pixels as f64 * 100.0 / all;
            let nearest = classes.get(color.nearest).map_or("", |class| class.name.as_str());
            let _ = writeln!(
                text,
                "<span foreground=\"#{r:02x}{g:02x}{b:02x}\">\u{2588}\u{2588}</span> #{r:02x}{g:02x}{b:02x}  {share:.1} % ({})",
                escape(&said(c"nearest: {}", &[&nearest]))
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

    fn job(of: Scene, wraps: [bool; 2]) -> Job {
        Job {
            choice: ModelChoice::Builtin("facades"),
            opened: None,
            palette: Ok(None),
            style: Ok(StyleSource::Model),
            styled: false,
            policy: ColorPolicy::NearestPixel { tolerance: 0 },
            output: Output::NewLayer,
            rgb_image: true,
            seed: 0,
            wraps,
            preview: true,
            of: Arc::new(of),
        }
    }

    /// Grey labels: windows in a wall that begins at the left.
    fn facade(width: usize, height: usize) -> (Scene, LabelMap) {
        let id = |x: usize, y: usize| {
            if x < 9 {
                0
            } else if x % 20 < 9 && y % 16 < 9 {
                2
            } else {
                1
            }
        };
        let values: Vec<u16> = (0..width * height).map(|i| id(i % width, i / width)).collect();
        let map = LabelMap::new(width, height, values.clone()).unwrap();
        let size = [width, height];
        let pixels = LabelPixels::Values { values, alpha: Vec::new() };
        let source = Source::GreyPng { bits: 8, alpha: false };
        (Scene { pixels, size, whole: size, source, colors: Vec::new() }, map)
    }

    #[test]
    fn the_preview_is_the_librarys_picture_also_where_borders_meet() {
        let device = semsynth::Device::cpu();
        let prepared = PreparedModel::new(semsynth::Model::builtin("facades").unwrap(), &device).unwrap();
        let mut pictures = Vec::new();
        for wraps in [[false, false], [true, false], [false, true], [true, true]] {
            let (scene, map) = facade(160, 128);
            let painted = job(scene, wraps).paint(&CancelToken::new());
            let request = borders(Request::new(), wraps[0], wraps[1]);
            let expected = prepared.synthesizer().run(&map, &request).unwrap();
            let picture = painted.picture.unwrap_or_else(|| panic!("{}", painted.note));
            assert_eq!((picture.size, &picture.rgb[..]), ([160, 128], expected.as_bytes()), "{wraps:?}");
            let labels = painted.labels.unwrap();
            assert_eq!(labels.rgb, class_colors(&map, &prepared.manifest().classes));
            pictures.push(picture.rgb);
        }
        pictures.sort();
        pictures.dedup();
        assert_eq!(pictures.len(), 4, "the borders make a difference");
    }

    #[test]
    fn what_is_wrong_is_said_and_the_labels_are_shown_all_the_same() {
        let painted = job(facade(161, 128).0, [true, false]).paint(&CancelToken::new());
        assert!(painted.note.contains("the width must be a multiple of") && painted.note.contains("it is 161"));
        assert!(painted.picture.is_none() && painted.labels.is_some());
        let style = Ok(StyleSource::Preset("desert".into()));
        let painted = Job { style, preview: false, ..job(facade(64, 64).0, [false; 2]) }.paint(&CancelToken::new());
        assert!(painted.note.contains("no Style preset \"desert\""), "{}", painted.note);
    }

    #[test]
    fn previews_fit_and_wrapped_sides_are_multiples_of_the_stride() {
        assert_eq!(preview_size([200, 100], [false, false], 32), [200, 100]);
        assert_eq!(preview_size([4000, 3000], [false, false], 32), [256, 192]);
        assert_eq!(preview_size([4000, 3000], [true, true], 32), [256, 192]);
        assert_eq!(preview_size([3200, 2528], [false, true], 32), [256, 192]);
        assert_eq!(preview_size([6400, 32], [false, true], 32), [256, 32]);
    }

    #[test]
    fn tiny_pictures_are_enlarged_pixel_by_pixel() {
        let small = Thumbnail::new(vec![1, 2, 3, 4, 5, 6], [2, 1]);
        assert_eq!((small.size, Thumbnail::size_for([2, 1])), ([256, 128], [256, 128]));
        let pixel = |x: usize, y: usize| &small.rgb[3 * (y * 256 + x)..][..3];
        assert_eq!([pixel(0, 0), pixel(127, 127)], [[1, 2, 3]; 2]);
        assert_eq!([pixel(128, 0), pixel(255, 127)], [[4, 5, 6]; 2]);
        let large = Thumbnail::new(vec![7; 3 * 200 * 150], [200, 150]);
        assert_eq!((large.size, large.rgb.len()), ([200, 150], 3 * 200 * 150));
    }
}
