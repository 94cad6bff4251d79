//! Writes a part of a procedural terrain in every preset: `labels.png`, `NAME.png` for each preset, and `sheet.png`
//! with all of them beside each other. With `--varied`, a sheet of the worlds that models learn from.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use image::{RgbImage, imageops};
use semsynth::cli::{Ending, finish};
use semsynth::data::ProceduralTerrain;
use semsynth::label::{LabelMap, Rect};
use semsynth::{Error, Result};

/// Write procedural terrain and its label map as PNG files
#[derive(Parser)]
#[command(version, name = "procedural_terrain")]
struct Arguments {
    /// Output folder
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Width and height in pixels, 1 to 8192
    #[arg(long, default_value_t = 512, value_name = "PIXELS")]
    size: u32,
    /// Left border in pixels of the world
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "PIXELS")]
    x: i64,
    /// Upper border in pixels of the world
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "PIXELS")]
    y: i64,
    /// Seed of the world
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Only this preset
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Instead, this many worlds of the training set, each with its labels
    #[arg(long, value_name = "N")]
    varied: Option<u64>,
}

fn main() -> ExitCode {
    finish(write(&Arguments::parse()))
}

fn write(arguments: &Arguments) -> Result<Ending> {
    let Arguments { out, size, x, y, seed, .. } = arguments;
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let part = Rect { x: *x, y: *y, width: *size, height: *size };
    let mut pictures = Vec::new();
    if let Some(count) = arguments.varied {
        for index in 0..count {
            let (picture, labels) = ProceduralTerrain::varied(*seed, index).render(part)?;
            pictures.extend([colors(&labels)?, picture]);
        }
    } else {
        let world = ProceduralTerrain::new(*seed);
        let labels = world.labels(part)?;
        labels.save(out.join("labels.png"), &ProceduralTerrain::classes())?;
        pictures.push(colors(&labels)?);
        for (name, _) in ProceduralTerrain::presets() {
            if arguments.preset.as_deref().is_none_or(|wanted| wanted == name) {
                let (picture, _) = world.clone().preset(name)?.render(part)?;
                save(&picture, &out.join(format!("{name}.png")))?;
                pictures.push(picture);
            }
        }
    }
    let columns = if arguments.varied.is_some() { 6 } else { 3 };
    let rows = (pictures.len() as u32).div_ceil(columns);
    let mut sheet = RgbImage::new(columns * size, rows * size);
    for (i, picture) in (0..).zip(&pictures) {
        imageops::replace(&mut sheet, picture, i64::from(i % columns * size), i64::from(i / columns * size));
    }
    save(&sheet, &out.join("sheet.png"))?;
    println!("{}", out.join("sheet.png").display());
    Ok(Ending::Done)
}

fn colors(labels: &LabelMap) -> Result<RgbImage> {
    let image = labels.to_rgb(&ProceduralTerrain::classes());
    RgbImage::from_raw(labels.width() as u32, labels.height() as u32, image.as_bytes().to_vec())
        .ok_or_else(|| Error::Data("the label map has no pixels".into()))
}

fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    picture.save(path).map_err(|error| Error::io(path)(std::io::Error::other(error)))
}
