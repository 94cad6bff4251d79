//! Why an asset cannot be loaded.

use std::fmt::Display;
use std::path::Path;

use thiserror::Error;

/// Why an asset cannot be loaded. The message names what is wrong and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The content is not what it should be.
    #[error(transparent)]
    Content(#[from] semsynth::Error),
    /// A look is not what it should be.
    #[error("the look cannot be read: {0}")]
    Look(String),
    /// The class table of a picture cannot be read.
    #[error("the palette {path}: {message}")]
    Palette {
        /// Its path, as in the settings.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl LoadError {
    pub(crate) fn palette(path: &Path, error: impl Display) -> Self {
        Self::Palette { path: path.display().to_string(), message: error.to_string() }
    }
}
