//! Synthesizes a label map in the style of a photo, with a SEAN model.
//!
//! ```sh
//! cargo run --release --example styles -- sean.safetensors photo.jpg photo-labels.png labels.png picture.png
//! ```
//!
//! `semsynth import` and `semsynth train --arch sean` make such a model.

use semsynth::{Device, Image, LabelMap, Model, PreparedModel, Request};

fn main() -> semsynth::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photo, photo_labels, labels, output] = arguments.as_slice() else {
        eprintln!("usage: styles MODEL PHOTO PHOTO-LABELS LABELS OUTPUT");
        std::process::exit(2);
    };
    let model = Model::open(model)?;
    let prepared = PreparedModel::new(&model, &Device::best()?)?;
    let open = |path: &String| LabelMap::open(path, model.classes());
    // Styles can also be saved, blended class by class, and used with any label map.
    let style = prepared.encode(&Image::open(photo)?, Some(&open(photo_labels)?), None)?;
    let request = Request::new().style(&style).seed(7);
    prepared.synthesizer().run(&open(labels)?, &request)?.save(output)
}
