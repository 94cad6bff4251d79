//! The arguments of a call, read from GIMP.

use std::ffi::CStr;
use std::path::PathBuf;

use semsynth::label::ColorPolicy;
use semsynth::model::Manifest;
use semsynth::network::StyleConfig;
use semsynth::{ClassTable, Model};

use crate::classes;
use crate::gimp::{Config, Drawable, session};
use crate::words::said;

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
            Self::Builtin(name) => {
                Model::builtin(name).map_err(|error| said(c"The model cannot be used: {}.", &[&error]))
            }
            Self::File(None) => Err(said(
                c"No model file is chosen: choose a .safetensors file as Model file, or a built-in model.",
                &[],
            )),
            Self::File(Some(path)) => Model::open(path).map_err(|error| {
                said(c"The model cannot be opened: {}. Choose another Model file, or a built-in model.", &[&error])
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
    let none = || said(c"No palette is chosen: choose one, or \"Colours of the model\".", &[]);
    let palette = config.palette(c"palette").ok_or_else(none)?;
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
    /// A named style of the model.
    Preset(String),
    /// A layer that shows a photo, and the one that holds its labels.
    Layer(Drawable, Option<Drawable>),
}

impl StyleChoice {
    /// The numbers of the choices.
    pub(crate) const FILE: i32 = 1;
    pub(crate) const LAYER: i32 = 2;
    pub(crate) const PRESET: i32 = 3;

    pub(crate) fn of(config: Config) -> Result<Self, String> {
        match config.choice(c"style") {
            Self::FILE => config.path(c"style-file").map(Self::File).ok_or_else(|| {
                said(
                    c"No style file is chosen: choose one that `semsynth style encode` has written, or another Style.",
                    &[],
                )
            }),
            Self::LAYER => {
                let none = || said(c"No style layer is chosen: choose the layer that shows the photo.", &[]);
                let photo = config.layer(c"style-layer").ok_or_else(none)?;
                Ok(Self::Layer(photo, config.layer(c"style-labels")))
            }
            Self::PRESET => Ok(Self::Preset(config.text(c"style-preset"))),
            _ => Ok(Self::Model),
        }
    }
}

/// The ids of the style's layers in the last run. GIMP stores all other arguments as last values, but no layers.
const STYLE_LAYERS: &CStr = c"plug-in-semsynth-style-layers";

/// Keeps the style's layers for the next run.
pub(crate) fn keep_style_layers(config: Config) {
    let id = |name| config.layer(name).map_or(0, Drawable::id);
    session::keep(STYLE_LAYERS, &format!("{} {}", id(c"style-layer"), id(c"style-labels")));
}

/// Puts the layers of the last run where the last values lack them, if they are still there.
pub(crate) fn recall_style_layers(config: Config) {
    let Some(kept) = session::kept(STYLE_LAYERS) else { return };
    for (name, id) in [c"style-layer", c"style-labels"].into_iter().zip(kept.split(' ')) {
        let layer = id.parse().ok().and_then(Drawable::layer_by_id);
        if let Some(layer) = layer.filter(|_| config.layer(name).is_none()) {
            config.set_layer(name, layer);
        }
    }
}

/// Whether a seed makes a difference: SPADE and CLADE have no random input. `styled` says whether a style is given; models
/// with presets have one without that.
pub(crate) fn is_random(model: &Manifest, styled: bool) -> bool {
    let network = &model.architecture;
    let latent = matches!(network.style(), StyleConfig::Latent { .. }) && !styled && model.presets.is_empty();
    latent || network.needs().noise
}

pub(crate) fn output(config: Config) -> Output {
    match config.choice(c"output") {
        1 => Output::InPlace,
        2 => Output::NewImage,
        _ => Output::NewLayer,
    }
}
