//! The error type of the library, with stable error codes.
//!
//! Each message says what is wrong and, if possible, how to fix it. [`Error::code`] gives the same information as a
//! number, for hosts that react to errors or pass them on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Variants are grouped by cause; see [`ErrorCategory`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked for something that does not exist, or for options that cannot be combined.
    #[error("{0}")]
    Argument(String),

    /// The caller gave a name that does not exist.
    #[error("{context}there is no {what} {name:?}; there is: {}", known.join(", "))]
    UnknownName {
        /// The kind of thing that was looked up, such as "device".
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
        /// The prefixes added by [`context`](Self::context), each followed by a colon.
        context: String,
    },

    /// The model needs a style, and the request has none.
    #[error("this model needs a style: encode one from a photo and its label map, or open one")]
    StyleNeeded,

    /// A label map or class table is unusable: wrong size, malformed palette, damaged picture.
    #[error("{0}")]
    Labels(String),

    /// Some pixels of a label map or label picture have no class, or their class is ambiguous.
    #[error("{message}")]
    UnknownLabels {
        /// The cause: unknown ids, unknown colours, or an ambiguous palette.
        code: ErrorCode,
        /// How many pixels have no class.
        pixels: u64,
        /// The unknown values with their counts and first positions, and what to do about them.
        message: String,
    },

    /// A model, checkpoint or weights file is malformed, or does not fit the network it is loaded into.
    #[error("{0}")]
    Model(String),

    /// A model or style file has a format version that this library cannot read.
    #[error(
        "{context}the file has format version {found}, this program reads version {supported}: it needs another version \
         of semsynth"
    )]
    UnsupportedFormat {
        /// The format version of the file.
        found: u32,
        /// The format version that this library reads.
        supported: u32,
        /// The prefixes added by [`context`](Self::context), each followed by a colon.
        context: String,
    },

    /// A training set or a picture is incomplete or malformed.
    #[error("{0}")]
    Data(String),

    /// The input is well formed but larger than this library accepts.
    #[error("{0}")]
    Limit(String),

    /// The compute device is missing, lacks a feature, or failed.
    #[error("{0}")]
    Device(String),

    /// Training diverged. Nothing was written after the last good checkpoint.
    #[error("{0}")]
    Diverged(String),

    /// The operating system refused to read or write a file.
    #[error("{context}{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
        /// The prefixes added by [`context`](Self::context), each followed by a colon.
        context: String,
    },

    /// The caller cancelled the operation.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// Attaches the path to an I/O error: `fs::read(p).map_err(Error::io(p))?`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source, context: String::new() }
    }

    /// No `what` is called `name`; the valid names are `known`.
    pub(crate) fn unknown_name(
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let known = known.into_iter().map(Into::into).collect();
        Self::UnknownName { what, name: name.into(), known, context: String::new() }
    }

    /// A file has format version `found`; this library reads `supported`.
    pub(crate) fn unsupported_format(found: u32, supported: u32) -> Self {
        Self::UnsupportedFormat { found, supported, context: String::new() }
    }

    /// Adds `prefix: ` (a file name, for example) to the front of the message. The variant stays the same.
    ///
    /// [`StyleNeeded`](Self::StyleNeeded) and [`Cancelled`](Self::Cancelled) concern the call as a whole and take
    /// no prefix. [`Io`](Self::Io) takes none either if its path already begins with the prefix.
    #[must_use]
    pub fn context(mut self, prefix: impl std::fmt::Display) -> Self {
        match &mut self {
            Self::Argument(text)
            | Self::Labels(text)
            | Self::Model(text)
            | Self::Data(text)
            | Self::Limit(text)
            | Self::Device(text)
            | Self::Diverged(text)
            | Self::UnknownLabels { message: text, .. } => *text = format!("{prefix}: {text}"),
            Self::UnknownName { context, .. } | Self::UnsupportedFormat { context, .. } => {
                *context = format!("{prefix}: {context}");
            }
            Self::Io { path, context, .. } => {
                let prefix = prefix.to_string();
                if !path.starts_with(&prefix) {
                    *context = format!("{prefix}: {context}");
                }
            }
            Self::StyleNeeded | Self::Cancelled => {}
        }
        self
    }

    /// The code of this error, which is the same in every version.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Argument(_) => ErrorCode::Argument,
            Self::UnknownName { .. } => ErrorCode::UnknownName,
            Self::StyleNeeded => ErrorCode::StyleNeeded,
            Self::Labels(_) => ErrorCode::Labels,
            Self::UnknownLabels { code, .. } => *code,
            Self::Model(_) => ErrorCode::Model,
            Self::UnsupportedFormat { .. } => ErrorCode::UnsupportedFormat,
            Self::Data(_) => ErrorCode::Data,
            Self::Limit(_) => ErrorCode::Limit,
            Self::Device(_) => ErrorCode::Device,
            Self::Diverged(_) => ErrorCode::Diverged,
            Self::Io { source, .. } => match source.kind() {
                ErrorKind::NotFound => ErrorCode::NotFound,
                ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                ErrorKind::StorageFull => ErrorCode::StorageFull,
                _ => ErrorCode::Io,
            },
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }
}

/// The cause of an error in broad terms. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCategory {
    /// The caller asked for something that does not exist, or for options that cannot be combined.
    Argument = 100,
    /// A label map or class table.
    Labels = 200,
    /// A model, style or weights file.
    Model = 300,
    /// A training set or a picture.
    Data = 400,
    /// The input is too large.
    Limit = 500,
    /// The compute device.
    Device = 600,
    /// A training run diverged.
    Diverged = 700,
    /// The operating system.
    Io = 800,
    /// The caller cancelled the operation.
    Cancelled = 900,
}

/// A stable number for what went wrong.
///
/// The hundreds digit is the [`ErrorCategory`]; a code that ends in 00 says nothing beyond the category. Errors
/// that a host can react to have codes of their own. New versions may add codes, so a host should treat an unknown
/// code by its category. The meaning of a number never changes.
///
/// | number | code | what a host can do |
/// |---|---|---|
/// | 100 | `Argument` | show the message |
/// | 101 | `UnknownName` | offer the valid names ([`Error::UnknownName`]) |
/// | 102 | `StyleNeeded` | ask for a style, or encode one |
/// | 200 | `Labels` | show the message |
/// | 201 | `UnknownColors` | offer another [`ColorPolicy`](crate::label::ColorPolicy), or show where the pixels are ([`Error::UnknownLabels`]) |
/// | 202 | `UnknownIds` | offer another class table, or show where the pixels are ([`Error::UnknownLabels`]) |
/// | 203 | `UnclearPalette` | ask whether the values or the colours are meant ([`Error::UnknownLabels`]) |
/// | 300 | `Model` | show the message |
/// | 301 | `UnsupportedFormat` | offer an update ([`Error::UnsupportedFormat`]) |
/// | 400 | `Data` | show the message |
/// | 500 | `Limit` | scale or crop the input |
/// | 600 | `Device` | fall back to the CPU |
/// | 700 | `Diverged` | train with other settings |
/// | 800 | `Io` | show the message ([`Error::Io`]) |
/// | 801 | `NotFound` | ask for another path |
/// | 802 | `PermissionDenied` | ask for another path, or for permission |
/// | 803 | `StorageFull` | ask the user to free disk space, then retry |
/// | 900 | `Cancelled` | nothing: the host asked for it |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// The caller asked for something that does not exist, or for options that cannot be combined.
    Argument = 100,
    /// The name does not exist.
    UnknownName = 101,
    /// The model needs a style.
    StyleNeeded = 102,
    /// A label map or class table is unusable.
    Labels = 200,
    /// Some pixels are transparent or have a colour that belongs to no class.
    UnknownColors = 201,
    /// Some pixels have an id that belongs to no class.
    UnknownIds = 202,
    /// The values and the palette colours of an indexed picture stand for different classes.
    UnclearPalette = 203,
    /// A model, style or weights file is malformed or does not fit the network.
    Model = 300,
    /// The file has a format version that this library cannot read.
    UnsupportedFormat = 301,
    /// A training set or a picture is incomplete or malformed.
    Data = 400,
    /// The input is too large.
    Limit = 500,
    /// The device is missing, lacks a feature, or failed.
    Device = 600,
    /// Training diverged.
    Diverged = 700,
    /// The operating system refused to read or write a file.
    Io = 800,
    /// The file or folder does not exist.
    NotFound = 801,
    /// The process lacks the permission to read or write the file.
    PermissionDenied = 802,
    /// The disk is full.
    StorageFull = 803,
    /// The caller cancelled the operation.
    Cancelled = 900,
}

impl ErrorCode {
    /// The category of this code.
    pub const fn category(self) -> ErrorCategory {
        match self {
            Self::Argument | Self::UnknownName | Self::StyleNeeded => ErrorCategory::Argument,
            Self::Labels | Self::UnknownColors | Self::UnknownIds | Self::UnclearPalette => ErrorCategory::Labels,
            Self::Model | Self::UnsupportedFormat => ErrorCategory::Model,
            Self::Data => ErrorCategory::Data,
            Self::Limit => ErrorCategory::Limit,
            Self::Device => ErrorCategory::Device,
            Self::Diverged => ErrorCategory::Diverged,
            Self::Io | Self::NotFound | Self::PermissionDenied | Self::StorageFull => ErrorCategory::Io,
            Self::Cancelled => ErrorCategory::Cancelled,
        }
    }

    /// The code as a number, at least 100.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ErrorCode; 18] = [
        ErrorCode::Argument,
        ErrorCode::UnknownName,
        ErrorCode::StyleNeeded,
        ErrorCode::Labels,
        ErrorCode::UnknownColors,
        ErrorCode::UnknownIds,
        ErrorCode::UnclearPalette,
        ErrorCode::Model,
        ErrorCode::UnsupportedFormat,
        ErrorCode::Data,
        ErrorCode::Limit,
        ErrorCode::Device,
        ErrorCode::Diverged,
        ErrorCode::Io,
        ErrorCode::NotFound,
        ErrorCode::PermissionDenied,
        ErrorCode::StorageFull,
        ErrorCode::Cancelled,
    ];

    /// The published numbers. A new code does not compile until it is added here; existing numbers must not change.
    fn pinned(code: ErrorCode) -> i32 {
        match code {
            ErrorCode::Argument => 100,
            ErrorCode::UnknownName => 101,
            ErrorCode::StyleNeeded => 102,
            ErrorCode::Labels => 200,
            ErrorCode::UnknownColors => 201,
            ErrorCode::UnknownIds => 202,
            ErrorCode::UnclearPalette => 203,
            ErrorCode::Model => 300,
            ErrorCode::UnsupportedFormat => 301,
            ErrorCode::Data => 400,
            ErrorCode::Limit => 500,
            ErrorCode::Device => 600,
            ErrorCode::Diverged => 700,
            ErrorCode::Io => 800,
            ErrorCode::NotFound => 801,
            ErrorCode::PermissionDenied => 802,
            ErrorCode::StorageFull => 803,
            ErrorCode::Cancelled => 900,
        }
    }

    #[test]
    fn numbers_are_pinned_and_documented() {
        for code in ALL {
            assert_eq!(code.number(), pinned(code), "{code:?}");
            assert_eq!(code.category() as i32, code.number() / 100 * 100, "{code:?}");
            let row = format!("/// | {} | `{code:?}` |", code.number());
            assert_eq!(include_str!("error.rs").matches(&row).count(), 1, "the table of `ErrorCode` lacks {row}");
        }
        assert_eq!(include_str!("error.rs").lines().filter(|line| line.starts_with("/// | ")).count(), ALL.len() + 1);
    }

    #[test]
    fn errors_have_the_code_of_their_kind() {
        let text = || "why".to_owned();
        let io = |kind: ErrorKind| Error::io("file")(kind.into());
        let cases = [
            (Error::Argument(text()), 100),
            (Error::unknown_name("device", "x", ["cpu"]), 101),
            (Error::StyleNeeded, 102),
            (Error::Labels(text()), 200),
            (Error::Model(text()), 300),
            (Error::unsupported_format(2, 1), 301),
            (Error::Data(text()), 400),
            (Error::Limit(text()), 500),
            (Error::Device(text()), 600),
            (Error::Diverged(text()), 700),
            (io(ErrorKind::Interrupted), 800),
            (io(ErrorKind::NotFound), 801),
            (io(ErrorKind::PermissionDenied), 802),
            (io(ErrorKind::StorageFull), 803),
            (Error::Cancelled, 900),
        ];
        for (error, number) in cases {
            assert_eq!(error.code().number(), number, "{error:?}");
        }
    }

    #[test]
    fn context_goes_before_every_message_and_leaves_the_kind() {
        let cases = [
            (Error::Model("broken".into()), "a: b: broken"),
            (
                Error::unknown_name("device", "x", ["auto", "cpu"]),
                "a: b: there is no device \"x\"; there is: auto, cpu",
            ),
            (
                Error::unsupported_format(7, 1),
                "a: b: the file has format version 7, this program reads version 1: it needs another version of semsynth",
            ),
            (Error::io("c/d")(ErrorKind::NotFound.into()), "a: b: c/d: entity not found"),
            (Error::Cancelled, "cancelled"),
        ];
        for (error, expected) in cases {
            let code = error.code();
            let error = error.context("b").context(format_args!("a"));
            assert_eq!((error.to_string().as_str(), error.code()), (expected, code));
        }
    }

    #[test]
    fn a_path_is_not_said_twice() {
        let error = || Error::io("folder/file")(ErrorKind::NotFound.into());
        assert_eq!(error().context("folder/file").to_string(), error().to_string());
        assert_eq!(error().context("folder").to_string(), error().to_string());
        assert_eq!(error().context("file").to_string(), format!("file: {}", error()));
    }
}
