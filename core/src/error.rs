//! One error type, sorted by whose fault it is.
//!
//! Every message names what is wrong and, where there is one, the way out.

use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by whose fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that does not exist or cannot be combined.
    #[error("{0}")]
    Argument(String),

    /// A label map or class table does not fit: unknown colours, ids without a class, malformed palette.
    #[error("{0}")]
    Labels(String),

    /// A model, checkpoint or weights file is malformed, or does not fit the network it is loaded into.
    #[error("{0}")]
    Model(String),

    /// A training set is incomplete or malformed.
    #[error("{0}")]
    Data(String),

    /// The input is well formed but larger than this library accepts.
    #[error("{0}")]
    Limit(String),

    /// The compute device is missing or failed.
    #[error("{0}")]
    Device(String),

    /// Training diverged; nothing after the last good checkpoint was written.
    #[error("{0}")]
    Diverged(String),

    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// Attaches the path to an I/O error: `fs::read(p).map_err(Error::io(p))?`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// Puts `prefix: ` before the message (a file name, say), keeping whose fault it is.
    #[must_use]
    pub fn context(self, prefix: impl std::fmt::Display) -> Self {
        match self {
            Self::Argument(m) => Self::Argument(format!("{prefix}: {m}")),
            Self::Labels(m) => Self::Labels(format!("{prefix}: {m}")),
            Self::Model(m) => Self::Model(format!("{prefix}: {m}")),
            Self::Data(m) => Self::Data(format!("{prefix}: {m}")),
            Self::Limit(m) => Self::Limit(format!("{prefix}: {m}")),
            Self::Device(m) => Self::Device(format!("{prefix}: {m}")),
            Self::Diverged(m) => Self::Diverged(format!("{prefix}: {m}")),
            io @ Self::Io { .. } => io,
        }
    }
}
