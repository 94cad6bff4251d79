//! `semsynth style`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{ColorArgs, Ending};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::model::Model;
use crate::network::StyleConfig;
use crate::picture::Image;
use crate::style::{Style, StyleKind};
use crate::synth::StyleEncoder;

/// Arguments of `semsynth style`.
#[derive(Args, Debug)]
pub struct StyleArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Encode the style of a photo
    Encode(EncodeArgs),
    /// Mix two styles, for all classes or for some
    Blend(BlendArgs),
    /// Average styles; each class over the styles that have it
    Mean(MeanArgs),
    /// Write a series of styles from one to another, both included
    Interpolate(InterpolateArgs),
    /// Convert a folder of style codes written by SEAN's code (CLASS/ACE.npy)
    Codes(CodesArgs),
}

/// A photo, and the model and label map to encode its style with.
#[derive(Args, Debug)]
struct EncodeArgs {
    /// Model file
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// Photo
    #[arg(short, long, value_name = "FILE")]
    photo: PathBuf,
    /// Label map of the photo, for models with a style per class
    #[arg(short, long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// For models with a latent vector: sample from the encoder's distribution with this seed instead of taking its
    /// mean
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Device: auto, or a name from `semsynth devices`
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    #[command(flatten)]
    colors: ColorArgs,
}

#[derive(Args, Debug)]
struct BlendArgs {
    /// Style to start from
    #[arg(value_name = "STYLE")]
    from: PathBuf,
    /// Style to mix in
    #[arg(value_name = "OTHER")]
    with: PathBuf,
    /// Weight of the second style, 0 to 1: 1 replaces the first, 0 only fills in classes that the first lacks
    #[arg(short, long, default_value_t = 1.0, value_name = "W")]
    weight: f32,
    /// Mix only this class, given by name or id; may be repeated [default: all classes]
    #[arg(short, long, value_name = "CLASS")]
    class: Vec<String>,
    /// Style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct MeanArgs {
    /// Style files
    #[arg(required = true, value_name = "STYLE")]
    styles: Vec<PathBuf>,
    /// Style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct InterpolateArgs {
    /// First style
    #[arg(value_name = "STYLE")]
    from: PathBuf,
    /// Last style
    #[arg(value_name = "OTHER")]
    to: PathBuf,
    /// Number of styles, at least 2
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    count: usize,
    /// Folder for the style files; created if it does not exist
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct CodesArgs {
    /// Folder with the codes of one picture
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Model that the codes are for
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// Style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl StyleArgs {
    /// Runs the subcommand.
    ///
    /// # Errors
    ///
    /// Errors from reading, encoding, mixing and writing.
    pub fn run(&self) -> Result<Ending> {
        match &self.action {
            Action::Encode(args) => {
                let model = Model::open(&args.model)?;
                let encoder = StyleEncoder::new(&model, &Device::by_name(&args.device)?)?;
                let style = args.encode(&encoder)?;
                save(&style, &args.output)
            }
            Action::Blend(args) => save(&args.blend()?, &args.output),
            Action::Mean(args) => {
                let styles: Vec<Style> = args.styles.iter().map(Style::open).collect::<Result<_>>()?;
                save(&Style::mean(&styles)?, &args.output)
            }
            Action::Interpolate(args) => {
                let steps = Style::open(&args.from)?.interpolate(&Style::open(&args.to)?, args.count)?;
                std::fs::create_dir_all(&args.output).map_err(Error::io(&args.output))?;
                let digits = args.count.to_string().len();
                for (index, style) in steps.enumerate() {
                    style.save(args.output.join(format!("{index:0digits$}.safetensors")))?;
                }
                println!("{} styles in {}", args.count, args.output.display());
                Ok(Ending::Done)
            }
            Action::Codes(args) => {
                let model = Model::open(&args.model)?;
                let StyleConfig::Regions { .. } = model.architecture().style() else {
                    return Err(Error::Argument("style codes are for SEAN models, and this is none".into()));
                };
                let style = Style::open_codes(&args.folder, model.architecture().label_channels())?;
                save(&style.with_names(model.classes())?, &args.output)
            }
        }
    }
}

impl EncodeArgs {
    fn encode(&self, encoder: &StyleEncoder) -> Result<Style> {
        let labels = self.labels.as_deref().map(|path| (path, self.colors));
        encode(encoder, &self.photo, labels, self.seed)
    }
}

/// Encodes the style of a photo.
pub(super) fn encode(
    encoder: &StyleEncoder,
    photo: &Path,
    labels: Option<(&Path, ColorArgs)>,
    seed: Option<u64>,
) -> Result<Style> {
    let read = |(path, colors): (&Path, ColorArgs)| {
        LabelMap::read(path, &encoder.manifest().classes, colors.options()?)?.map()
    };
    encoder.encode(&Image::open(photo)?, labels.map(read).transpose()?.as_ref(), seed)
}

impl BlendArgs {
    fn blend(&self) -> Result<Style> {
        let (from, with) = (Style::open(&self.from)?, Style::open(&self.with)?);
        if self.class.is_empty() {
            return from.blend(&with, self.weight);
        }
        let mut style = from;
        for class in &self.class {
            let id = class_id(&style, class)?;
            if !with.is_present(id) {
                let other = self.with.display();
                return Err(Error::Argument(format!("class {class:?} is absent in {other}: choose another")));
            }
            style = style.blend_class(id, &with, self.weight)?;
        }
        Ok(style)
    }
}

/// Finds a class by its id or name.
fn class_id(style: &Style, class: &str) -> Result<u16> {
    let by_name = || (0..=u16::MAX).take(style.rows()).find(|&id| style.name(id) == Some(class));
    let by_id = || class.parse().ok().filter(|&id: &u16| usize::from(id) < style.rows());
    by_name().or_else(by_id).ok_or_else(|| {
        let names: Vec<&str> = (0..=u16::MAX).take(style.rows()).filter_map(|id| style.name(id)).collect();
        Error::Argument(format!("the style has no class {class:?}; it has: {}", names.join(", ")))
    })
}

fn save(style: &Style, path: &Path) -> Result<Ending> {
    let extension = path.extension().and_then(|text| text.to_str());
    if extension.is_none_or(|text| !text.eq_ignore_ascii_case("safetensors")) {
        let output = path.display();
        return Err(Error::Argument(format!("--output {output}: a style file ends with .safetensors")));
    }
    style.save(path)?;
    match style.kind() {
        StyleKind::Global => println!("a style of {} values in {}", style.length(), path.display()),
        StyleKind::Regions => {
            let present = (0..=u16::MAX).take(style.rows()).filter(|&id| style.is_present(id));
            let names: Vec<String> =
                present.map(|id| style.name(id).map_or_else(|| id.to_string(), str::to_owned)).collect();
            println!("styles of {} classes in {}: {}", names.len(), path.display(), names.join(", "));
        }
    }
    Ok(Ending::Done)
}
