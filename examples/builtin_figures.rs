//! Measures a built-in model against the renderer of its training set, on label maps that neither it nor the segmentation
//! network has seen: the figures of its card.
//!
//! ```sh
//! semsynth train-segmenter --set terrain --load-scale 1 --no-flip --out segmenter
//! cargo run --release --example builtin_figures -- --model terrain --segmenter segmenter/segmenter.safetensors
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use image::RgbImage;
use semsynth::cli::{Ending, finish};
use semsynth::data::{
    Dataset, OpenOptions, Procedural, ProceduralFacades, ProceduralTerrain, ProceduralTiles, Split, fit,
};
use semsynth::metrics::{Confusion, EspNet, FeatureStatistics, frechet_distance, psnr, ssim};
use semsynth::{ClassTable, Device, Error, LabelMap, Model, Rect, Request, Result, Style, Synthesizer};

/// Measure a built-in model against renders, with a segmentation network that was trained on renders
#[derive(Parser)]
#[command(version, name = "builtin_figures")]
struct Arguments {
    /// Built-in model: terrain or facades
    #[arg(short, long)]
    model: String,
    /// Segmentation network, as `semsynth train-segmenter` writes it
    #[arg(long, value_name = "FILE")]
    segmenter: PathBuf,
    /// Number of renders in styles of their own
    #[arg(long, default_value_t = 600, value_name = "N")]
    count: usize,
    /// Number of label maps that are painted in every preset
    #[arg(long, default_value_t = 40, value_name = "N")]
    maps: usize,
    /// Width and height in pixels
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    size: usize,
    /// With terrain, also measure the segmentation network on the real photos of "Semantic segmentation of aerial imagery" (Dubai)
    /// in this folder, at a third of their size
    #[arg(long, value_name = "DIR")]
    dubai: Option<PathBuf>,
    /// Write some of the pictures there
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What a segmentation network finds in a set of pictures.
struct Found {
    confusion: Confusion,
    features: Vec<Vec<f32>>,
}

impl Found {
    fn new(network: &EspNet) -> Self {
        Self { confusion: Confusion::new(network.classes(), None), features: Vec::new() }
    }

    fn add(&mut self, network: &EspNet, picture: &RgbImage, labels: &LabelMap) -> Result<()> {
        let found = network.segment(picture, &Device::cpu())?;
        self.features.push(found.features);
        self.confusion.add(labels, &found.labels)
    }

    fn text(&self) -> String {
        let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        format!("mIoU {}, pixel accuracy {}", share(self.confusion.mean_iou()), share(self.confusion.pixel_accuracy()))
    }

    fn statistics(&self, keep: impl Fn(usize) -> bool) -> Result<FeatureStatistics> {
        let mut statistics = FeatureStatistics::new(EspNet::FEATURES);
        for (_, features) in self.features.iter().enumerate().filter(|(index, _)| keep(*index)) {
            statistics.add(features)?;
        }
        Ok(statistics)
    }
}

fn main() -> ExitCode {
    finish(measure(&Arguments::parse()))
}

fn measure(arguments: &Arguments) -> Result<Ending> {
    let network = EspNet::open(&arguments.segmenter, &Device::cpu())?;
    let model = Model::builtin(&arguments.model)?;
    if network.class_table().is_some_and(|classes| classes != model.classes()) {
        return Err(Error::Argument("the segmentation network has other classes than the model".into()));
    }
    let mut painter = Painter { synth: Synthesizer::new(&model, &Device::cpu())?, classes: model.classes().clone() };
    styles_of_their_own(arguments, &network, &mut painter)?;
    presets(arguments, &network, &model, &mut painter)?;
    if let Some(folder) = &arguments.dubai {
        real_photos(folder, &network, model.classes())?;
    }
    Ok(Ending::Done)
}

struct Painter {
    synth: Synthesizer,
    classes: ClassTable,
}

impl Painter {
    fn paint(&mut self, labels: &LabelMap, style: &Style) -> Result<RgbImage> {
        let image = self.synth.run(labels, &Request::new().style(style))?;
        let (width, height) = (image.width() as u32, image.height() as u32);
        RgbImage::from_raw(width, height, image.into_bytes())
            .ok_or_else(|| Error::Argument("the picture is not as large as its labels".into()))
    }
}

/// Renders as in training, each in a style of its own, and what the model paints of their labels in that style.
fn styles_of_their_own(arguments: &Arguments, network: &EspNet, painter: &mut Painter) -> Result<()> {
    let (count, size) = (arguments.count, arguments.size);
    let set: Box<dyn Dataset> = match arguments.model.as_str() {
        "terrain" => Box::new(ProceduralTiles::new(Split::Val, 0, count, size, size)),
        _ => Box::new(Procedural::varied(Split::Val, 0, count, size, size)),
    };
    let (mut renders, mut pictures) = (Found::new(network), Found::new(network));
    let (mut decibels, mut similarity) = (0.0, 0.0);
    for index in 0..count {
        let sample = set.get(index)?;
        let style = sample.style.ok_or_else(|| Error::Data("the set has no styles".into()))?;
        let picture = painter.paint(&sample.labels, &style)?;
        renders.add(network, &sample.image, &sample.labels)?;
        pictures.add(network, &picture, &sample.labels)?;
        decibels += psnr(&picture, &sample.image)? / count as f64;
        similarity += ssim(&picture, &sample.image)? / count as f64;
        if let Some(out) = arguments.out.as_deref().filter(|_| index < 6) {
            let labels = sample.labels.to_rgb(&painter.classes);
            save_row(out, &format!("own-{index}"), &[&sample.image, &picture], &labels)?;
        }
    }
    println!("{count} label maps of {size}x{size}, each in a style of its own");
    println!("renders     {}", renders.text());
    println!("pictures    {}, PSNR {decibels:.2} dB, SSIM {similarity:.3}", pictures.text());
    let [one, other] = [0, 1].map(|half| move |index: usize| index % 2 == half);
    let between = |a: &FeatureStatistics, b: &FeatureStatistics| frechet_distance(a, b);
    let own = between(&pictures.statistics(|_| true)?, &renders.statistics(|_| true)?)?;
    let apart = between(&pictures.statistics(one)?, &renders.statistics(other)?)?;
    let scale = between(&renders.statistics(one)?, &renders.statistics(other)?)?;
    println!("Fréchet distance of ESPNet features (not FID)");
    println!("            {own:.2} pictures and their renders, {count} each");
    println!("            {apart:.2} pictures of one half and renders of the other, {} each", count / 2);
    println!("            {scale:.2} renders of one half and renders of the other");
    Ok(())
}

/// The same label maps in every preset.
fn presets(arguments: &Arguments, network: &EspNet, model: &Model, painter: &mut Painter) -> Result<()> {
    let names: Vec<&str> = model.presets().iter().map(|preset| preset.name.as_str()).collect();
    let (mut renders, mut painted) = (Vec::new(), Vec::new());
    println!("{} label maps of {1}x{1} in each preset", arguments.maps, arguments.size);
    for name in &names {
        let style = model.preset(name)?;
        let (mut of_renders, mut of_pictures) = (Found::new(network), Found::new(network));
        let (mut all, mut made) = (Vec::new(), Vec::new());
        for index in 0..arguments.maps {
            let (render, labels) = render(arguments, name, index)?;
            let picture = painter.paint(&labels, &style)?;
            of_renders.add(network, &render, &labels)?;
            of_pictures.add(network, &picture, &labels)?;
            if let Some(out) = arguments.out.as_deref().filter(|_| index < 2) {
                save_row(out, &format!("{name}-{index}"), &[&render, &picture], &labels.to_rgb(model.classes()))?;
            }
            all.push(render);
            made.push(picture);
        }
        println!("{name:<12}renders {}; pictures {}", of_renders.text(), of_pictures.text());
        renders.push(all);
        painted.push(made);
    }
    let mean = |a: &[RgbImage], b: &[RgbImage]| {
        a.iter().zip(b).map(|(a, b)| block_difference(a, b)).sum::<f64>() / a.len() as f64
    };
    println!("mean difference of blocks of 8x8, in levels of 255");
    for (index, name) in names.iter().enumerate() {
        let own = mean(&painted[index], &renders[index]);
        let others = (0..names.len()).filter(|other| *other != index);
        let nearest = others.map(|other| mean(&painted[index], &renders[other])).fold(f64::INFINITY, f64::min);
        println!("{name:<12}{own:.1} from its own render, {nearest:.1} from the nearest other");
    }
    for (what, set) in [("pictures", &painted), ("renders", &renders)] {
        let pairs = (0..names.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let apart: Vec<f64> = pairs.map(|(a, b)| mean(&set[a], &set[b])).collect();
        let least = apart.iter().copied().fold(f64::INFINITY, f64::min);
        let average = apart.iter().sum::<f64>() / apart.len() as f64;
        println!("{what} of two presets are {average:.1} apart, the nearest two {least:.1}");
    }
    Ok(())
}

/// Classes of the Dubai tiles, and those of terrain that they can be.
const GROUPS: [(&str, &[&str]); 5] = [
    ("water", &["deep water", "shallow water"]),
    ("land_unpaved", &["sand", "dirt", "rock"]),
    ("road", &["road"]),
    ("building", &["roof"]),
    ("vegetation", &["grass", "forest", "field", "wetland"]),
];

/// How well the network finds the classes of real photos, whose classes are groups of terrain's. Pixels without a class do not
/// count; snow is in no group, so it is always wrong.
fn real_photos(folder: &Path, network: &EspNet, classes: &ClassTable) -> Result<()> {
    let group = |name: &str| GROUPS.iter().position(|(group, names)| *group == name || names.contains(&name));
    let wrong = GROUPS.len() as u16;
    let table = |of: &ClassTable| -> Vec<(u16, u16)> {
        of.iter().map(|class| (class.id, group(&class.name).map_or(wrong, |group| group as u16))).collect()
    };
    let grouped = |map: &LabelMap, table: &[(u16, u16)]| {
        let of = |id: u16| table.iter().find(|(class, _)| *class == id).map_or(wrong, |(_, group)| *group);
        LabelMap::new(map.width(), map.height(), map.ids().map(of).collect())
    };
    let mut confusion = Confusion::new(GROUPS.len() + 1, Some(wrong));
    let mut count = 0;
    for split in [Split::Train, Split::Val] {
        let set = semsynth::data::open(folder, split, &OpenOptions::default())?;
        for index in 0..set.len() {
            let sample = set.get(index)?;
            let (width, height) = (sample.labels.width() / 3, sample.labels.height() / 3);
            let sample = fit(sample, width, height)?;
            let found = network.segment(&sample.image, &Device::cpu())?.labels;
            confusion.add(&grouped(&sample.labels, &table(set.classes()))?, &grouped(&found, &table(classes))?)?;
            count += 1;
        }
    }
    let share = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    println!("{count} real photos of Dubai at a third of their size, in {} groups of classes", GROUPS.len());
    let (mean, accuracy) = (share(confusion.mean_iou()), share(confusion.pixel_accuracy()));
    println!("photos      mIoU {mean}, pixel accuracy {accuracy}");
    for (id, (name, _)) in (0..).zip(GROUPS) {
        println!("            {} {name}", share(confusion.iou(id)));
    }
    Ok(())
}

/// A render of labels that no network was trained on, in the look of a preset.
fn render(arguments: &Arguments, preset: &str, index: usize) -> Result<(RgbImage, LabelMap)> {
    let size = arguments.size;
    if arguments.model == "terrain" {
        let part = Rect { x: 1000 * index as i64, y: 77, width: size as u32, height: size as u32 };
        return ProceduralTerrain::new(7).preset(preset)?.render(part);
    }
    ProceduralFacades::new(7).preset(preset)?.render(index as u64, size, size)
}

/// Mean absolute difference of the mean colours of blocks of 8x8 pixels: details are free, colours are not.
fn block_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let blocks = |picture: &RgbImage| image::imageops::thumbnail(picture, picture.width() / 8, picture.height() / 8);
    let (a, b) = (blocks(a), blocks(b));
    let off: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    off / a.as_raw().len() as f64
}

/// Labels and pictures beside each other, as a PNG file.
fn save_row(out: &Path, name: &str, pictures: &[&RgbImage], labels: &semsynth::Image) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let (width, height) = pictures.first().map_or((1, 1), |picture| picture.dimensions());
    let mut row = RgbImage::new(width * (1 + pictures.len() as u32), height);
    let labels = RgbImage::from_raw(width, height, labels.clone().into_bytes());
    let labels = labels.ok_or_else(|| Error::Argument("the labels are not as large as the picture".into()))?;
    image::imageops::replace(&mut row, &labels, 0, 0);
    for (place, picture) in (1..).zip(pictures) {
        image::imageops::replace(&mut row, *picture, place * i64::from(width), 0);
    }
    let path = out.join(format!("{name}.png"));
    row.save(&path).map_err(|error| Error::io(&path)(std::io::Error::other(error)))
}
