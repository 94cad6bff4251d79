//! The procedure "Snap to Labels": gives every pixel of a label layer the exact colour of its class.

use std::collections::HashMap;

use semsynth::label::{ColorPolicy, LabelPixels};

use crate::gimp::{Config, Drawable, Format, Image, Rect, progress};
use crate::labels::{Labels, STRIP};
use crate::settings::{ModelChoice, class_table, palette};
use crate::synthesize::{check_writable, selected};
use crate::words::{said, steps};

/// Alpha from which a pixel counts as painted.
const OPAQUE: u8 = 128;

pub(crate) fn run(image: Image, layer: Drawable, config: Config) -> Result<(), String> {
    let rect = selected(layer)?;
    check_writable(image, layer)?;
    progress::start(&said(steps::SNAPPING, &[]));
    let model = ModelChoice::of(config).open()?;
    let classes = class_table(model.classes(), palette(config)?.as_ref())?;
    let tolerance = config.int(c"tolerance").clamp(0, 255) as u8;
    let fill = config.flag(c"fill-transparent");
    let labels = Labels::new(image, layer, rect);
    let (key, report) = labels.survey(&classes, ColorPolicy::NearestPixel { tolerance });
    if !key.needs_filling() {
        report.check().map_err(|error| unsnappable(&error))?;
    }
    let bands = labels.bands(key).map_err(|error| unsnappable(&error))?;
    let colors: HashMap<u16, [u8; 3]> = classes.iter().map(|class| (class.id, class.color)).collect();

    let format = Format::in_space_of(c"R'G'B'A u8", layer.format());
    let [width, height] = labels.size();
    layer.replace(rect, |shadow| {
        for y in (0..height).step_by(STRIP as usize) {
            let LabelPixels::Colors(mut rgba) = labels.strip(y) else {
                return Err(said(c"Only layers of RGB images have label colours.", &[]));
            };
            let ids = labels.ids(&bands, y).map_err(|error| unsnappable(&error))?;
            for (pixel, id) in rgba.iter_mut().zip(ids) {
                let [r, g, b] = colors.get(&id).copied().unwrap_or_default();
                let painted = fill || pixel[3] >= OPAQUE;
                *pixel = if painted { [r, g, b, 255] } else { [0; 4] };
            }
            let rows = (rgba.len() / width) as i32;
            let place = Rect { x: rect.x, y: rect.y + y as i32, w: rect.w, h: rows };
            shadow.set(place, format, rgba.as_flattened())?;
            progress::set((y as f64) / height as f64);
        }
        Ok(())
    })?;
    progress::end();
    Ok(())
}

fn unsnappable(error: &semsynth::Error) -> String {
    said(c"The labels cannot be cleaned: {}.", &[error])
}
