//! Bytes that are read by position, with every range checked against the real length first.

use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file or a slice of known length.
pub(super) struct Source<R> {
    reader: R,
    len: u64,
    path: PathBuf,
}

impl<'a> Source<Cursor<&'a [u8]>> {
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { reader: Cursor::new(bytes), len: bytes.len() as u64, path: PathBuf::new() }
    }
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(reader: R, len: u64, path: &Path) -> Self {
        Self { reader, len, path: path.to_path_buf() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes from `offset`; `what` names them in errors. Takes memory only for bytes that exist.
    pub(super) fn read_at(&mut self, offset: u64, len: u64, what: &dyn Fn() -> String) -> Result<Vec<u8>> {
        let short = || {
            let total = self.len;
            Error::Model(format!(
                "{} takes {len} bytes from position {offset}, but there are only {total}: the file is cut short or \
                 damaged",
                what()
            ))
        };
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(short());
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| short())?];
        let read = self.reader.seek(SeekFrom::Start(offset)).and_then(|_| self.reader.read_exact(&mut bytes));
        match read {
            Ok(()) => Ok(bytes),
            // The length was checked above, so the file shrank while it was being read.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(short()),
            Err(e) => Err(Error::io(&self.path)(e)),
        }
    }
}
