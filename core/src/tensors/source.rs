//! Reading byte ranges by position, checked against the real length first.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Bytes that several threads can read at once.
pub(super) trait ReadAt: Sync {
    /// Fills `buffer` with the bytes from `offset`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        // All handles of a file share one position, so reads take turns.
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = TURN.lock();
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

impl ReadAt for &[u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file or a slice of known length.
pub(super) struct Source<R> {
    reader: R,
    len: u64,
    path: PathBuf,
}

impl<'a> Source<&'a [u8]> {
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { reader: bytes, len: bytes.len() as u64, path: PathBuf::new() }
    }
}

impl<R: ReadAt> Source<R> {
    pub(super) fn new(reader: R, len: u64, path: &Path) -> Self {
        Self { reader, len, path: path.to_path_buf() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes from `offset`; `what` describes them in errors. Allocates memory only for bytes that
    /// exist.
    pub(super) fn read_at(&self, offset: u64, len: u64, what: &dyn Fn() -> String) -> Result<Vec<u8>> {
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
        match self.reader.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            // The length was checked above, so the file was truncated in the meantime.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Err(short()),
            Err(e) => Err(Error::io(&self.path)(e)),
        }
    }
}
