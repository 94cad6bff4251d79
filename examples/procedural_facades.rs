//! Writes pairs of the procedural facades set as files: photos in `img/`, label maps in `label/`, and
//! `classes.ron`. `train_facades -- --data DIR` trains on such a folder, and `semsynth synth` turns its label maps
//! into pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use semsynth::cli::{Ending, finish};
use semsynth::data::ProceduralFacades;
use semsynth::{Error, Result};

/// Write procedural facades and their label maps as PNG files
#[derive(Parser)]
#[command(version, name = "procedural_facades")]
struct Arguments {
    /// Output folder for img/, label/ and classes.ron
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Number of pairs
    #[arg(short, long, default_value_t = 100, value_name = "N")]
    count: u64,
    /// Width and height in pixels, 16 to 4096
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    size: usize,
    /// Seed of the set
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

fn main() -> ExitCode {
    finish(write(&Arguments::parse()))
}

fn write(arguments: &Arguments) -> Result<Ending> {
    let (photos, labels) = (arguments.out.join("img"), arguments.out.join("label"));
    for folder in [&photos, &labels] {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let classes = ProceduralFacades::classes();
    classes.save(arguments.out.join("classes.ron"))?;
    let set = ProceduralFacades::new(arguments.seed);
    for index in 0..arguments.count {
        let (photo, map) = set.render(index, arguments.size, arguments.size)?;
        let name = format!("facade-{index:05}.png");
        let path = photos.join(&name);
        photo.save(&path).map_err(|error| Error::io(&path)(std::io::Error::other(error)))?;
        map.save(labels.join(&name), &classes)?;
    }
    println!("{} pairs of {1}x{1} in {2}", arguments.count, arguments.size, arguments.out.display());
    Ok(Ending::Done)
}
