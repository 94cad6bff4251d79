//! An animated sweep (APNG): a part of an endless world moves past while its style changes from preset to preset.
//!
//! `sweep --model terrain.safetensors --out sweep.png`. Labels come from a procedural world, area by area, and noise is
//! anchored in the world, so that every frame shows the same ground.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use semsynth::cli::{Ending, finish};
use semsynth::data::ProceduralTerrain;
use semsynth::label::{LabelSource, Rect};
use semsynth::sink::RowSink;
use semsynth::style::Style;
use semsynth::synth::{Border, Control};
use semsynth::{Device, Error, Model, Request, Result, Synthesizer};

/// Write an animated sweep over procedural terrain
#[derive(Parser)]
#[command(version, name = "sweep")]
struct Arguments {
    /// Model file for the classes of the terrain, with presets, or `builtin:NAME`
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// Animation to write (.png)
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Width and height in pixels
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    size: u32,
    /// Frames from one preset to the next
    #[arg(long, default_value_t = 12, value_name = "N")]
    frames: u32,
    /// Pixels that the world moves to the left in each frame
    #[arg(long, default_value_t = 8, value_name = "PIXELS")]
    speed: u32,
    /// Seed of the world
    #[arg(long, default_value_t = 9, value_name = "N")]
    seed: u64,
}

/// The labels of an endless world.
struct World(ProceduralTerrain);

impl LabelSource for World {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        let labels = self.0.labels(area)?;
        ids.iter_mut().zip(labels.ids()).for_each(|(to, id)| *to = id);
        Ok(())
    }
}

/// A frame in memory.
struct Frame {
    width: usize,
    bytes: Vec<u8>,
}

impl RowSink for Frame {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        let from = 3 * self.width * y;
        self.bytes[from..from + rgb.len()].copy_from_slice(rgb);
        Ok(())
    }
}

fn main() -> ExitCode {
    finish(write(&Arguments::parse()))
}

fn write(arguments: &Arguments) -> Result<Ending> {
    let Arguments { out, size, frames, speed, seed, .. } = arguments;
    let model = Model::open(&arguments.model)?;
    let styles: Vec<Style> = model.presets().iter().map(|preset| model.preset(&preset.name)).collect::<Result<_>>()?;
    if styles.is_empty() || model.classes() != &ProceduralTerrain::classes() {
        return Err(Error::Argument(format!(
            "{}: a sweep needs a model for the classes of the procedural terrain, with presets",
            arguments.model.display()
        )));
    }
    let mut synth = Synthesizer::new(&model, &Device::cpu())?;
    let mut world = World(ProceduralTerrain::new(*seed));
    let failed = |error: png::EncodingError| Error::io(out)(std::io::Error::other(error));
    let file = BufWriter::new(File::create(out).map_err(Error::io(out))?);
    let mut encoder = png::Encoder::new(file, *size, *size);
    encoder.set_color(png::ColorType::Rgb);
    let count = frames * styles.len() as u32;
    encoder.set_animated(count, 0).map_err(failed)?;
    encoder.set_frame_delay(1, 12).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    for number in 0..count {
        let (at, share) = ((number / frames) as usize, (number % frames) as f32 / *frames as f32);
        let style = styles[at].blend(&styles[(at + 1) % styles.len()], share)?;
        let request = Request::new().style(&style).borders(Border::Source, Border::Source);
        let area = Rect { x: i64::from(number * speed), y: 0, width: *size, height: *size };
        let mut frame = Frame { width: *size as usize, bytes: vec![0; 3 * (size * size) as usize] };
        synth.synthesize(&mut world, area, &request, &mut frame, &mut Control::new())?;
        writer.write_image_data(&frame.bytes).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    println!("{}: {count} frames", out.display());
    Ok(Ending::Done)
}
