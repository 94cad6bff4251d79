//! The arguments of a call, read from GIMP.

use std::path::PathBuf;

use semsynth::label::ColorPolicy;
use semsynth::network::{Architecture, StyleConfig};
use semsynth::{ClassTable, Model};

use crate::classes;
use crate::gimp::{Config, Drawable};

/// Where the picture goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    NewLayer,
    InPlace,
    NewImage,
}

/// What is known of a model before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelChoice {
    Builtin(&'static str),
    File(Option<PathBuf>),
}

impl ModelChoice {
    /// The number of "from a file" among the choices; built-in models count from 0.
    pub(crate) const FILE: i32 = 1000;

    pub(crate) fn of(config: Config) -> Self {
        match config.choice(c"model") {
            Self::FILE => Self::File(config.path(c"model-file")),
            index => Self::Builtin(Model::builtins().nth(index as usize).unwrap_or_default()),
        }
    }

    /// # Errors
    ///
    /// What is wrong with the file, and what to do.
    pub(crate) fn open(&self) -> Result<Model, String> {
        match self {
            Self::Builtin(name) => Model::builtin(name).map_err(|error| error.to_string()),
            Self::File(None) => {
                Err("No model file is chosen: choose a .safetensors file as Model file, or a built-in \
                                     model."
                    .into())
            }
            Self::File(Some(path)) => Model::open(path).map_err(|error| {
                format!("The model cannot be opened: {error}. Choose another Model file, or a built-in model.")
            }),
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Builtin(name) => (*name).into(),
            Self::File(path) => {
                let stem = path.as_deref().and_then(|path| path.file_stem());
                stem.map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned())
            }
        }
    }
}

/// A palette's name and entries.
pub(crate) type PaletteEntries = (String, Vec<(String, [u8; 3])>);

/// The chosen palette; `None` for the colours of the model.
pub(crate) fn palette(config: Config) -> Result<Option<PaletteEntries>, String> {
    if config.choice(c"colors") == 0 {
        return Ok(None);
    }
    let palette = config.palette(c"palette").ok_or("No palette is chosen: choose one, or \"Colours of the model\".")?;
    Ok(Some((palette.name(), palette.entries())))
}

/// The classes of a model, in the colours of the chosen palette.
pub(crate) fn class_table(model: &ClassTable, palette: Option<&PaletteEntries>) -> Result<ClassTable, String> {
    match palette {
        None => Ok(model.clone()),
        Some((name, entries)) => classes::recolored(model, name, entries),
    }
}

pub(crate) fn policy(config: Config) -> ColorPolicy {
    let tolerance = config.int(c"tolerance").clamp(0, 255) as u8;
    match config.choice(c"unknown-colors") {
        1 => ColorPolicy::NearestColor { tolerance },
        2 => ColorPolicy::Refuse,
        _ => ColorPolicy::NearestPixel { tolerance },
    }
}

/// Where the style comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StyleChoice {
    /// The model's own: none, or one drawn from the seed.
    Model,
    File(PathBuf),
    /// A layer that shows a photo, and the one that holds its labels.
    Layer(Drawable, Option<Drawable>),
}

impl StyleChoice {
    pub(crate) fn of(config: Config) -> Result<Self, String> {
        match config.choice(c"style") {
            1 => config.path(c"style-file").map(Self::File).ok_or_else(|| {
                "No style file is chosen: choose one that `semsynth style encode` has written, or another Style.".into()
            }),
            2 => {
                let photo = config.layer(c"style-layer");
                let photo = photo.ok_or("No style layer is chosen: choose the layer that shows the photo.")?;
                Ok(Self::Layer(photo, config.layer(c"style-labels")))
            }
            _ => Ok(Self::Model),
        }
    }
}

/// Whether a seed makes a difference: SPADE and CLADE have no random input. `styled` says whether a style is given.
pub(crate) fn is_random(network: &Architecture, styled: bool) -> bool {
    let latent = matches!(network.style(), StyleConfig::Latent { .. }) && !styled;
    latent || network.needs().noise
}

pub(crate) fn output(config: Config) -> Output {
    match config.choice(c"output") {
        1 => Output::InPlace,
        2 => Output::NewImage,
        _ => Output::NewLayer,
    }
}
