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
use crate::synth::PreparedModel;

/// Arguments of `semsynth style`.
#[derive(Args, Debug)]
pub struct StyleArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Find the style of a photo
    Encode(EncodeArgs),
    /// Mix two styles, whole or for some classes
    Blend(BlendArgs),
    /// Average styles: for each class over those that know it
    Mean(MeanArgs),
    /// Steps from one style to another, both ends included
    Interpolate(InterpolateArgs),
    /// Read a folder of style codes that SEAN's code wrote (CLASS/ACE.npy)
    Codes(CodesArgs),
}

/// A photo and what shows it, where a style is found in it.
#[derive(Args, Debug)]
struct EncodeArgs {
    /// A model file
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// The photo
    #[arg(short, long, value_name = "FILE")]
    photo: PathBuf,
    /// The photo's label map, for models with a style per class
    #[arg(short, long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// For models with a latent vector: draw one from what the encoder finds, instead of its mean
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Where to compute: auto, or a name that `semsynth devices` lists
    #[arg(long, default_value = "auto", value_name = "NAME")]
    device: String,
    #[command(flatten)]
    colors: ColorArgs,
}

#[derive(Args, Debug)]
struct BlendArgs {
    /// The style to start from
    #[arg(value_name = "STYLE")]
    from: PathBuf,
    /// The style to mix in
    #[arg(value_name = "OTHER")]
    with: PathBuf,
    /// How much of the other, 0 to 1: 1 replaces, 0 takes only classes that the first lacks
    #[arg(short, long, default_value_t = 1.0, value_name = "W")]
    weight: f32,
    /// Only this class, by name or id; may be repeated [default: all]
    #[arg(short, long, value_name = "CLASS")]
    class: Vec<String>,
    /// The style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct MeanArgs {
    /// Style files
    #[arg(required = true, value_name = "STYLE")]
    styles: Vec<PathBuf>,
    /// The style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct InterpolateArgs {
    /// The first style
    #[arg(value_name = "STYLE")]
    from: PathBuf,
    /// The last style
    #[arg(value_name = "OTHER")]
    to: PathBuf,
    /// How many, 2 or more
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    count: usize,
    /// The folder for the style files; it is made if need be
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Args, Debug)]
struct CodesArgs {
    /// The folder of one picture's codes
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The model they are for
    #[arg(short, long, value_name = "MODEL")]
    model: PathBuf,
    /// The style file to write (.safetensors)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl StyleArgs {
    /// Finds or mixes styles.
    ///
    /// # Errors
    ///
    /// As reading, computing and writing go.
    pub fn run(&self) -> Result<Ending> {
        match &self.action {
            Action::Encode(args) => {
                let model = Model::open(&args.model)?;
                let prepared = PreparedModel::new(&model, &Device::by_name(&args.device)?)?;
                let style = args.encode(&prepared)?;
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
    fn encode(&self, model: &PreparedModel) -> Result<Style> {
        let labels = self.labels.as_deref().map(|path| (path, self.colors));
        encode(model, &self.photo, labels, self.seed)
    }
}

/// The style of a photo.
pub(super) fn encode(
    model: &PreparedModel,
    photo: &Path,
    labels: Option<(&Path, ColorArgs)>,
    seed: Option<u64>,
) -> Result<Style> {
    let read =
        |(path, colors): (&Path, ColorArgs)| LabelMap::read(path, &model.manifest().classes, colors.policy()?)?.map();
    model.encode(&Image::open(photo)?, labels.map(read).transpose()?.as_ref(), seed)
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

/// A class by its id or its name.
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
