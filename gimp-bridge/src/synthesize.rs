//! The procedure "Synthesize from Labels".

use std::time::Instant;

use semsynth::label::ColorPolicy;
use semsynth::network::{Architecture, StyleConfig};
use semsynth::picture::{PixelFormat, Pixels};
use semsynth::{ClassTable, Device, Image as Picture, LabelMap, Model, PreparedModel, Request, Style};

use crate::gimp::{Config, Drawable, Format, Image, Rect, progress};
use crate::labels::{Labels, classify};
use crate::paint::{borders, device, paint, trace};
use crate::presets::Presets;
use crate::settings::{ModelChoice, Output, StyleChoice, class_table, is_random, output, palette, policy};
use crate::words::{said, steps};

/// Paints a picture from the labels of a layer, and gives the layer that holds it.
pub(crate) fn run(image: Image, layer: Drawable, config: Config, show: bool) -> Result<Drawable, String> {
    let started = Instant::now();
    let output = output(config);
    let rect = selected(layer)?;
    if output == Output::InPlace {
        check_writable(image, layer)?;
    }
    progress::start(&said(steps::MODEL, &[]));
    let choice = ModelChoice::of(config);
    let model = choice.open()?;
    let classes = class_table(model.classes(), palette(config)?.as_ref())?;
    let style = StyleChoice::of(config)?;
    let presets = Presets::of(&model)?;
    let seed = config.int(c"seed");

    let [width, height] = [rect.w, rect.h];
    progress::say(&said(steps::LABELS, &[&width, &height]));
    let labels = Labels::new(image, layer, rect);
    let (key, report) = labels.survey(&classes, policy(config));
    if !key.needs_filling() {
        report.check().map_err(|error| unpaintable(&error))?;
    }
    let bands = labels.bands(key).map_err(|error| unpaintable(&error))?;

    progress::say(&said(steps::SYNTHESIZING, &[&width, &height]));
    let random = is_random(model.manifest(), style != StyleChoice::Model);
    let device = device()?;
    let source = StyleSource::gather(&style, model.architecture(), image, layer, &classes, policy(config))?;
    let prepared = prepare(model, &device)?;
    let mut request = Request::new().seed(seed as u64);
    if let Some(style) = source.style(&prepared, &presets)? {
        request = request.style(&style);
    }
    request = borders(request, config.flag(c"wrap-x"), config.flag(c"wrap-y"));
    let pixels = paint(&prepared, &labels, &bands, &request, started).map_err(|error| unpaintable(&error))?;

    // All work is done: the image changes in one short step from here on.
    progress::say(&said(steps::STORING, &[]));
    let name = if random {
        format!("Synthesized ({}, seed {seed})", choice.name())
    } else {
        format!("Synthesized ({})", choice.name())
    };
    let result = match output {
        Output::InPlace => layer
            .replace(rect, |shadow| {
                pixels.copy_to(Rect { x: 0, y: 0, ..rect }, shadow, rect.x, rect.y);
                Ok(())
            })
            .map(|()| layer),
        Output::NewLayer if image.is_rgb() => image.add_layer(&name, &pixels, layer, rect),
        // The picture is RGB, which other images cannot hold.
        Output::NewLayer | Output::NewImage => Image::create(&name, &pixels, width, height, show),
    };
    progress::end();
    trace("done", started);
    result
}

/// The part of a layer to work on.
pub(crate) fn selected(layer: Drawable) -> Result<Rect, String> {
    if !layer.is_layer() {
        return Err(if layer.is_layer_mask() {
            said(c"A layer mask is selected: select the layer that holds the labels, in the Layers dialog.", &[])
        } else {
            said(c"A channel is selected: select the layer that holds the labels, in the Layers dialog.", &[])
        });
    }
    layer.selected().ok_or_else(|| {
        said(
            c"The selection does not touch the layer: move the selection, or choose Select > None to use the whole \
              layer.",
            &[],
        )
    })
}

/// Checks that a layer can be changed in place.
pub(crate) fn check_writable(image: Image, layer: Drawable) -> Result<(), String> {
    if !image.is_rgb() {
        return Err(said(
            c"Only layers of RGB images can be changed in place: choose another Output, or convert the image with \
              Image > Mode > RGB.",
            &[],
        ));
    }
    if layer.is_group() {
        return Err(said(c"A layer group cannot be changed in place: choose another Output, or select a layer.", &[]));
    }
    if layer.is_locked() {
        return Err(said(
            c"The pixels of the layer are locked: unlock them in the Layers dialog, or choose another Output.",
            &[],
        ));
    }
    Ok(())
}

/// Why labels cannot be painted, and what to do.
pub(crate) fn unpaintable(error: &semsynth::Error) -> String {
    said(c"The labels cannot be painted: {}.", &[error]) + &advice(error)
}

/// What to do in GIMP about an error of the library, as a sentence that follows others; nothing for most.
pub(crate) fn advice(error: &semsynth::Error) -> String {
    use semsynth::ErrorCode;
    let what_to_do = match error.code() {
        ErrorCode::UnknownColors => said(
            c"In GIMP: paint with the Pencil, which has hard edges, run Filters > Render > Snap to Labels, or choose \
              \"Nearest pixel\" for Unknown colours.",
            &[],
        ),
        ErrorCode::StyleNeeded => said(c"In GIMP: choose \"From a layer\" or \"From a file\" as Style.", &[]),
        _ => return String::new(),
    };
    format!(" {what_to_do}")
}

/// # Errors
///
/// Why the model cannot be used on that device.
pub(crate) fn prepare(model: Model, device: &Device) -> Result<PreparedModel, String> {
    PreparedModel::new(model, device).map_err(|error| said(c"The model cannot be used: {}.", &[&error]))
}

/// What a style is made of, read from GIMP.
#[derive(Clone, Debug)]
pub(crate) enum StyleSource {
    Model,
    File(std::path::PathBuf),
    Preset(String),
    Photo(Picture, Option<LabelMap>),
}

impl StyleSource {
    /// Reads photo and labels, if the style is taken from layers.
    pub(crate) fn gather(
        choice: &StyleChoice,
        network: &Architecture,
        image: Image,
        layer: Drawable,
        classes: &ClassTable,
        policy: ColorPolicy,
    ) -> Result<Self, String> {
        let (photo, labels) = match choice {
            StyleChoice::Model => return Ok(Self::Model),
            StyleChoice::File(path) => return Ok(Self::File(path.clone())),
            StyleChoice::Preset(name) => return Ok(Self::Preset(name.clone())),
            StyleChoice::Layer(photo, labels) => (*photo, labels.unwrap_or(layer)),
        };
        let by_region = matches!(network.style(), StyleConfig::Regions { .. });
        let map = if by_region {
            if [labels.width(), labels.height()] != [photo.width(), photo.height()] {
                return Err(said(
                    c"The style layer and its labels differ in size: choose as Style labels a layer that is as large \
                      as the photo.",
                    &[],
                ));
            }
            let read = Labels::new(image, labels, labels.whole());
            let size = read.size();
            let pixels = read.sample(size[0], size[1]);
            let (map, _) = classify(&pixels, size, read.source(), read.colors(), classes, policy);
            Some(map.map_err(|error| {
                said(c"The labels of the style layer cannot be used: {}.", &[&error]) + &advice(&error)
            })?)
        } else {
            None
        };
        let rect = photo.whole();
        let bytes = photo.buffer().get(rect, Format::new(c"R'G'B' u8"));
        let (width, height) = (rect.w as usize, rect.h as usize);
        let view = Pixels::new(PixelFormat::Rgb8, width, height, 3 * width, &bytes);
        let view = view.map_err(|error| said(c"The style layer cannot be used: {}.", &[&error]))?;
        Ok(Self::Photo(Picture::from_pixels(&view), map))
    }

    /// # Errors
    ///
    /// Why this is no style for that model, and what to do.
    pub(crate) fn style(&self, prepared: &PreparedModel, presets: &Presets) -> Result<Option<Style>, String> {
        let style = match self {
            Self::Model => return Ok(None),
            Self::Preset(name) => return presets.get(name).cloned().map(Some),
            Self::File(path) => Style::open(path),
            Self::Photo(photo, labels) => prepared.encode(photo, labels.as_ref(), None),
        };
        style.map(Some).map_err(|error| said(c"The style cannot be used: {}.", &[&error]))
    }
}
